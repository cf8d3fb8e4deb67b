/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "kv/placement.h"

#define KEYS 3000

static kv_nodes replicas_of(const struct kv_placement *placement, uint32_t number)
{
    char text[16];
    snprintf(text, sizeof(text), "key %u", number);
    struct kv_blob key = {.length = strlen(text), .bytes = (const uint8_t *)text};
    return kv_replicas(placement, &key);
}

static uint32_t size_of(kv_nodes nodes)
{
    uint32_t count = 0;
    while (kv_node_take(&nodes) != 0)
        count++;
    return count;
}

static void a_key_has_as_many_replicas_as_asked_for_or_there_are_nodes(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 100; i++) {
        for (uint32_t n = 1; n <= 5; n++) {
            kv_nodes r = replicas_of(&(struct kv_placement){1, 0x1f, n}, i);
            assert_int_equal(size_of(r), n);
            assert_int_equal(r & ~(kv_nodes)0x1f, 0);
        }
        assert_int_equal(replicas_of(&(struct kv_placement){1, 0x5, 3}, i), 0x5);
        assert_int_equal(replicas_of(&(struct kv_placement){1, 0x80000000, 3}, i), 0x80000000);
    }
}

/* Of 3000 keys on 5 nodes each should have 600: the deviation is 22, and 110 are five of it. */
static void keys_are_spread_evenly(void **state)
{
    (void)state;
    uint32_t keys[KV_NODES_MAX] = {0};
    for (uint32_t i = 0; i < KEYS; i++)
        keys[kv_node_first(replicas_of(&(struct kv_placement){1, 0x1f, 1}, i)) - 1]++;
    for (uint32_t node = 0; node < 5; node++)
        assert_in_range(keys[node], 490, 710);
}

/* Thaler and Ravishankar, 1998: what a node gains it takes from others, nothing else moves. */
static void a_new_member_moves_only_what_it_gains(void **state)
{
    (void)state;
    uint32_t moved = 0;
    for (uint32_t i = 0; i < KEYS; i++) {
        kv_nodes before = replicas_of(&(struct kv_placement){1, 0x0f, 2}, i);
        kv_nodes after = replicas_of(&(struct kv_placement){2, 0x1f, 2}, i);
        if (before == after)
            continue;
        moved++;
        assert_true(after & 0x10);
        assert_int_equal(size_of(before & ~after), 1);
    }
    assert_in_range(moved, 1050, 1350); /* 2 of 5 keys: 1200, the deviation is 27 */
}

static void a_request_knows_its_participants(void **state)
{
    (void)state;
    struct kv_placement placement = {7, 0x1f, 2};
    struct kv_request *r = kv_request_new(2);
    r->operations[0] = (struct kv_operation){.kind = KV_GET, .key = kv_blob_new("a", 1)};
    r->operations[1] = (struct kv_operation){.kind = KV_GET, .key = kv_blob_new("b", 1)};
    kv_place(&placement, r);
    assert_int_equal(r->epoch, 7);
    assert_int_equal(r->operations[0].replicas, kv_replicas(&placement, r->operations[0].key));
    assert_int_equal(r->participants, r->operations[0].replicas | r->operations[1].replicas);
    assert_true(kv_request_valid(r));
    kv_request_release(r);
}

static void the_coordinator_is_the_one_asked_a_fixed_one_or_drawn(void **state)
{
    (void)state;
    struct kv_coordinator_choice choice;
    assert_true(kv_coordinator_parse("asked", &choice));
    assert_int_equal(kv_coordinator(&choice, 0x7, 2, 5), 2);
    assert_true(kv_coordinator_parse("fixed:32", &choice));
    assert_int_equal(kv_coordinator(&choice, 0x7, 2, 5), 32);
    assert_true(kv_coordinator_parse("random", &choice));
    assert_int_equal(kv_coordinator(&choice, 0x15, 2, 0), 1);
    assert_int_equal(kv_coordinator(&choice, 0x15, 2, 1), 3);
    assert_int_equal(kv_coordinator(&choice, 0x15, 2, 5), 5);
    assert_int_equal(kv_coordinator(&choice, 0x15, 2, UINT64_MAX), 1);
}

static void other_words_for_a_coordinator_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",        "Asked",    "fixed",    "fixed:",   "fixed:0",         "fixed:33",
        "fixed:x", "fixed:1 ", "fixed:-1", "randomly", "fixed:4294967297"};
    struct kv_coordinator_choice choice;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(kv_coordinator_parse(wrong[i], &choice));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_has_as_many_replicas_as_asked_for_or_there_are_nodes),
        cmocka_unit_test(keys_are_spread_evenly),
        cmocka_unit_test(a_new_member_moves_only_what_it_gains),
        cmocka_unit_test(a_request_knows_its_participants),
        cmocka_unit_test(the_coordinator_is_the_one_asked_a_fixed_one_or_drawn),
        cmocka_unit_test(other_words_for_a_coordinator_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
