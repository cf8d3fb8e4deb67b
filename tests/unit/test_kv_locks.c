/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "kv/locks.h"

#define NODE 1u /* every key is on node 1 */

static const struct kv_txid one = {1, 1, 1}, two = {2, 1, 1}, three = {3, 1, 1};

/* A request of one operation on a key. */
static struct kv_request *of(enum kv_operation_kind kind, const char *key)
{
    struct kv_request *r = kv_request_new(1);
    assert_non_null(r);
    r->participants = NODE;
    r->operations[0] =
        (struct kv_operation){.kind = kind, .key = kv_blob_new(key, 1), .replicas = NODE};
    return r;
}

static struct kv_locks *table(uint32_t capacity)
{
    struct kv_locks *locks = calloc(1, kv_locks_bytes(capacity));
    assert_non_null(locks);
    kv_locks_init(locks, capacity);
    return locks;
}

static void a_writer_excludes_everybody_and_is_named(void **state)
{
    (void)state;
    struct kv_locks *locks = table(4);
    struct kv_request *put = of(KV_PUT, "a"), *get = of(KV_GET, "a"), *other = of(KV_PUT, "b");
    struct kv_refusal refusal = {0};
    assert_int_equal(kv_locks_take(locks, put, NODE, one, &refusal), KV_REASON_NONE);
    assert_int_equal(kv_locks_take(locks, put, NODE, two, &refusal), KV_REASON_LOCKED);
    assert_true(kv_txid_equal(refusal.holder, one));
    assert_int_equal(kv_locks_take(locks, get, NODE, two, &refusal), KV_REASON_LOCKED);
    assert_int_equal(kv_locks_take(locks, other, NODE, two, &refusal), KV_REASON_NONE);
    assert_true(kv_txid_equal(kv_locks_writer(locks, put->operations[0].key), one));
    kv_locks_release(locks, put, NODE, one);
    assert_int_equal(kv_locks_writer(locks, put->operations[0].key).incarnation, 0);
    assert_int_equal(kv_locks_take(locks, get, NODE, two, &refusal), KV_REASON_NONE);
    assert_int_equal(kv_locks_held_by(locks, two), 2);
    kv_request_release(put);
    kv_request_release(get);
    kv_request_release(other);
    free(locks);
}

static void readers_share_and_exclude_a_writer_until_the_last_has_left(void **state)
{
    (void)state;
    struct kv_locks *locks = table(4);
    struct kv_request *put = of(KV_PUT, "a"), *get = of(KV_GET, "a"), *check = of(KV_CHECK, "a");
    struct kv_refusal refusal = {0};
    assert_int_equal(kv_locks_take(locks, get, NODE, one, &refusal), KV_REASON_NONE);
    assert_int_equal(kv_locks_take(locks, check, NODE, two, &refusal), KV_REASON_NONE);
    assert_int_equal(kv_locks_writer(locks, get->operations[0].key).incarnation, 0);
    assert_int_equal(kv_locks_take(locks, put, NODE, three, &refusal), KV_REASON_LOCKED);
    kv_locks_release(locks, get, NODE, one);
    assert_int_equal(kv_locks_take(locks, put, NODE, three, &refusal), KV_REASON_LOCKED);
    assert_true(kv_txid_equal(refusal.holder, two));
    kv_locks_release(locks, check, NODE, two);
    assert_int_equal(kv_locks_take(locks, put, NODE, three, &refusal), KV_REASON_NONE);
    kv_request_release(put);
    kv_request_release(get);
    kv_request_release(check);
    free(locks);
}

static void all_locks_of_a_transaction_are_taken_or_none(void **state)
{
    (void)state;
    struct kv_locks *locks = table(8);
    struct kv_request *both = kv_request_new(3), *b = of(KV_PUT, "b");
    struct kv_refusal refusal = {0};
    for (uint32_t i = 0; i < 3; i++)
        both->operations[i] = (struct kv_operation){
            .kind = KV_GET, .key = kv_blob_new(&"xab"[i], 1), .replicas = i == 0 ? 2 : NODE};
    assert_int_equal(kv_locks_take(locks, b, NODE, one, &refusal), KV_REASON_NONE);
    assert_int_equal(kv_locks_take(locks, both, NODE, two, &refusal), KV_REASON_LOCKED);
    assert_int_equal(refusal.operation, 1); /* of those for this node */
    assert_int_equal(kv_locks_held(locks), 1);
    kv_locks_release(locks, b, NODE, one);
    assert_int_equal(kv_locks_take(locks, both, NODE, two, &refusal), KV_REASON_NONE);
    assert_int_equal(kv_locks_held(locks), 2); /* x is another node's */
    kv_request_release(both);
    kv_request_release(b);
    free(locks);
}

static void a_transaction_may_read_and_write_one_key(void **state)
{
    (void)state;
    struct kv_locks *locks = table(2);
    struct kv_request *both = kv_request_new(2);
    struct kv_refusal refusal = {0};
    for (uint32_t i = 0; i < 2; i++)
        both->operations[i] = (struct kv_operation){
            .kind = i ? KV_DELETE : KV_GET, .key = kv_blob_new("a", 1), .replicas = NODE};
    assert_int_equal(kv_locks_take(locks, both, NODE, one, &refusal), KV_REASON_NONE);
    assert_int_equal(kv_locks_held(locks), 2);
    kv_locks_release(locks, both, NODE, one);
    assert_int_equal(kv_locks_held(locks), 0);
    kv_request_release(both);
    free(locks);
}

static void a_full_table_refuses_and_recovers_with_the_next_release(void **state)
{
    (void)state;
    struct kv_locks *locks = table(2);
    struct kv_request *r[3];
    struct kv_refusal refusal = {0};
    for (uint32_t i = 0; i < 3; i++)
        r[i] = of(KV_PUT, &"abc"[i]);
    assert_int_equal(kv_locks_take(locks, r[0], NODE, one, &refusal), KV_REASON_NONE);
    assert_int_equal(kv_locks_take(locks, r[1], NODE, two, &refusal), KV_REASON_NONE);
    assert_int_equal(kv_locks_take(locks, r[2], NODE, three, &refusal), KV_REASON_BUSY);
    kv_locks_release(locks, r[0], NODE, one);
    assert_int_equal(kv_locks_take(locks, r[2], NODE, three, &refusal), KV_REASON_NONE);
    for (uint32_t i = 0; i < 3; i++)
        kv_request_release(r[i]);
    free(locks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_writer_excludes_everybody_and_is_named),
        cmocka_unit_test(readers_share_and_exclude_a_writer_until_the_last_has_left),
        cmocka_unit_test(all_locks_of_a_transaction_are_taken_or_none),
        cmocka_unit_test(a_transaction_may_read_and_write_one_key),
        cmocka_unit_test(a_full_table_refuses_and_recovers_with_the_next_release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
