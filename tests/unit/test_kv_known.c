/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kv/known.h"

#define PLACES ((uint64_t)KV_KNOWN_SETS * KV_KNOWN_WAYS)

static void know(struct kv_known *k, uint64_t client, uint64_t highest)
{
    kv_known_put(k, &(struct kv_known_client){.client = client, .highest = highest});
}

static uint64_t count(struct kv_known *k, uint64_t clients)
{
    uint64_t known = 0;

    for (uint64_t client = 1; client <= clients; client++) {
        const struct kv_known_client *c = kv_known_find(k, client);
        known += c != NULL;
        assert_true(!c || c->highest == client + 1);
    }
    return known;
}

static void a_client_is_known_by_its_last_row_until_it_is_forgotten(void **state)
{
    struct kv_known k;
    (void)state;
    kv_known_init(&k);
    assert_null(kv_known_find(&k, UINT64_MAX));
    assert_null(kv_known_find(&k, 0));
    know(&k, UINT64_MAX, 1);
    know(&k, 8, 2);
    know(&k, UINT64_MAX, 3);
    assert_int_equal(kv_known_find(&k, UINT64_MAX)->highest, 3);
    kv_known_forget(&k, UINT64_MAX);
    kv_known_forget(&k, 9);
    assert_null(kv_known_find(&k, UINT64_MAX));
    assert_int_equal(kv_known_find(&k, 8)->highest, 2);
    kv_known_forget_all(&k);
    assert_null(kv_known_find(&k, 8));
    kv_known_free(&k);
}

static void what_is_known_is_bounded_and_never_of_another_client(void **state)
{
    struct kv_known k;
    (void)state;
    kv_known_init(&k);
    for (uint64_t client = 1; client <= 3 * PLACES; client++)
        know(&k, client, client + 1);
    uint64_t known = count(&k, 3 * PLACES);
    assert_true(known <= PLACES && known > PLACES / 2);
    kv_known_free(&k);
}

/* Of one set the client that was not heard of for longest makes room. */
static void those_that_are_heard_stay(void **state)
{
    struct kv_known k;
    (void)state;
    kv_known_init(&k);
    know(&k, 1, 2);
    for (uint64_t client = 2; client <= 3 * PLACES; client++) {
        know(&k, client, client + 1);
        assert_non_null(kv_known_find(&k, 1));
    }
    kv_known_free(&k);
}

static void without_memory_nothing_is_known(void **state)
{
    struct kv_known k = {0};
    (void)state;
    know(&k, 1, 2);
    assert_null(kv_known_find(&k, 1));
    kv_known_forget(&k, 1);
    kv_known_forget_all(&k);
    kv_known_free(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_is_known_by_its_last_row_until_it_is_forgotten),
        cmocka_unit_test(what_is_known_is_bounded_and_never_of_another_client),
        cmocka_unit_test(those_that_are_heard_stay),
        cmocka_unit_test(without_memory_nothing_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
