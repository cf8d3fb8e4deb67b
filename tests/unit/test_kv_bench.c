/* SPDX-License-Identifier: MIT */
/* The bench of the key-value store: that it counts what has been, and ends when it should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kv/bench.h"
#include "offer.h"
#include "pair.h"
#include "standin.h"

/* What a call takes: the node's time, and a millisecond of the link to there and back. */
#define CALL_NS (STANDIN_DELAY_NS + 2 * PAIR_MS)

static const struct rpc_messages *const services[] = {&kv_messages, &health_messages, NULL};

struct range {
    struct pair *pair;
    struct standin standin;
    struct offer offer;
    struct sockaddr_in node;
    struct kv_bench_config config;
    struct kv_bench_result result;
    struct strait_timer interrupt;
    unsigned interrupts;
};

static struct range *range_new(void)
{
    struct range *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    r->pair = pair_new(&(struct pair_config){0});
    struct strait_env *env = pair_env(r->pair);
    struct kv_node *node = standin_new(&r->standin, env);
    const struct stream_host server = stream_host_strait(pair_stack(r->pair, 1), env);
    assert_int_equal(offer_open(&r->offer, env, services), 0);
    assert_int_equal(kv_serve(r->offer.rpc, node), 0);
    assert_int_equal(offer_grpc(&r->offer, &server, KV_PORT), 0);
    r->node = pair_address(1, KV_PORT);
    r->config = (struct kv_bench_config){
        .host = stream_host_strait(pair_stack(r->pair, 0), env),
        .nodes = &r->node,
        .node_count = 1,
        .clients = 2,
        .duration_ns = PAIR_S,
        .value_bytes = 100,
        .interrupts = &r->interrupts,
    };
    return r;
}

static void range_free(struct range *r)
{
    struct strait_env *env = pair_env(r->pair);
    env->timer_stop(env, &r->interrupt);
    pair_run(r->pair, 10 * PAIR_S);
    offer_free(&r->offer);
    standin_free(&r->standin);
    pair_run(r->pair, 200 * PAIR_S);
    assert_true(strait_memory(pair_stack(r->pair, 0)) == 0);
    pair_free(r->pair);
    free(r);
}

static void interrupted(void *owner, struct strait_timer *timer)
{
    (void)owner;
    struct range *r = (struct range *)(void *)((char *)timer - offsetof(struct range, interrupt));
    r->interrupts++;
    struct strait_env *env = pair_env(r->pair);
    env->timer_start(env, timer, env->now(env) + PAIR_S / 2);
}

static void interrupt_after(struct range *r, uint64_t time_ns)
{
    struct strait_env *env = pair_env(r->pair);
    r->interrupt.expired = interrupted;
    env->timer_start(env, &r->interrupt, env->now(env) + time_ns);
}

static void it_counts_what_is_done_and_how_long_that_takes(void **state)
{
    (void)state;
    struct range *r = range_new();
    assert_int_equal(kv_bench(&r->config, &r->result), 0);
    assert_int_equal(r->result.done, r->standin.txns);
    assert_int_equal(r->standin.request->operations[0].value->length, 100);
    assert_in_range(r->result.took_ns, PAIR_S, PAIR_S + 2 * CALL_NS);
    assert_in_range(r->result.done, 2 * PAIR_S / CALL_NS * 9 / 10, 2 * PAIR_S / CALL_NS + 2);
    assert_in_range(r->result.median_ns, CALL_NS, CALL_NS + PAIR_MS);
    assert_true(r->result.median_ns <= r->result.slow_ns);
    assert_true(r->result.slow_ns <= r->result.slowest_ns);
    assert_int_equal(r->result.failed + r->result.unknown + r->result.retries, 0);
    range_free(r);
}

static void what_it_reads_it_has_written_before(void **state)
{
    (void)state;
    struct range *r = range_new();
    r->config.read = true;
    assert_int_equal(kv_bench(&r->config, &r->result), 0);
    assert_int_equal(r->standin.txns, 2 * KV_BENCH_KEYS);
    assert_int_equal(r->result.done, r->standin.reads);
    assert_in_range(r->result.took_ns, PAIR_S, PAIR_S + 2 * CALL_NS);
    range_free(r);
}

static void what_cannot_be_written_is_not_read(void **state)
{
    (void)state;
    struct range *r = range_new();
    r->config.read = true;
    r->standin.outcome =
        (struct kv_outcome){.end = KV_REFUSED, .refusal = {.reason = KV_REASON_DAMAGED, .node = 1}};
    assert_int_equal(kv_bench(&r->config, &r->result), -1);
    assert_int_equal(errno, EIO);
    assert_non_null(strstr(r->result.failure, "damaged: "));
    assert_int_equal(r->standin.reads, 0);
    range_free(r);
}

static void what_fails_or_is_unknown_is_counted_apart(void **state)
{
    (void)state;
    struct range *r = range_new();
    r->config.clients = 1;
    r->standin.outcome = (struct kv_outcome){.end = KV_REFUSED,
                                             .refusal = {.reason = KV_REASON_CONDITION, .node = 1}};
    r->standin.change_after = 3;
    r->standin.then = (struct kv_outcome){.end = KV_COMMITTED_NOW};
    assert_int_equal(kv_bench(&r->config, &r->result), 0);
    assert_int_equal(r->result.failed, 3);
    assert_int_equal(r->result.done, r->standin.txns - 3);
    r->standin.outcome = (struct kv_outcome){.end = KV_UNDECIDED, .node = 1};
    assert_int_equal(kv_bench(&r->config, &r->result), 0);
    assert_int_equal(r->result.unknown, 1);
    assert_int_equal(r->result.done, 0);
    assert_true(r->result.retries > 0);
    range_free(r);
}

static void further_attempts_are_counted(void **state)
{
    (void)state;
    struct range *r = range_new();
    r->config.clients = 1;
    r->standin.outcome =
        (struct kv_outcome){.end = KV_REFUSED, .refusal = {.reason = KV_REASON_LOCKED, .node = 1}};
    r->standin.change_after = 2;
    r->standin.then = (struct kv_outcome){.end = KV_COMMITTED_NOW};
    assert_int_equal(kv_bench(&r->config, &r->result), 0);
    assert_int_equal(r->result.retries, 2);
    assert_int_equal(r->result.done, r->standin.txns - 2);
    assert_int_equal(r->result.failed + r->result.unknown, 0);
    range_free(r);
}

static void one_interrupt_ends_it_early_with_what_was_measured(void **state)
{
    (void)state;
    struct range *r = range_new();
    r->config.duration_ns = 10 * PAIR_S;
    interrupt_after(r, PAIR_S);
    assert_int_equal(kv_bench(&r->config, &r->result), 0);
    assert_in_range(r->result.took_ns, PAIR_S, PAIR_S + 2 * CALL_NS);
    assert_int_equal(r->result.done, r->standin.txns);
    range_free(r);
}

static void two_interrupts_end_it_at_once(void **state)
{
    (void)state;
    struct range *r = range_new();
    r->standin.silent = true;
    interrupt_after(r, PAIR_S);
    assert_int_equal(kv_bench(&r->config, &r->result), -1);
    assert_int_equal(errno, ECANCELED);
    assert_int_equal(r->interrupts, 2);
    range_free(r);
}

static void numbers_out_of_range_are_refused(void **state)
{
    (void)state;
    struct range *r = range_new();
    struct kv_bench_config wrong[5];
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        wrong[i] = r->config;
    wrong[0].clients = 0;
    wrong[1].clients = KV_BENCH_CLIENTS_MAX + 1;
    wrong[2].node_count = 0;
    wrong[3].duration_ns = 0;
    wrong[4].value_bytes = KV_VALUE_BYTES_MAX + 1;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        errno = 0;
        assert_int_equal(kv_bench(&wrong[i], &r->result), -1);
        assert_int_equal(errno, EINVAL);
    }
    range_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_counts_what_is_done_and_how_long_that_takes),
        cmocka_unit_test(what_it_reads_it_has_written_before),
        cmocka_unit_test(what_cannot_be_written_is_not_read),
        cmocka_unit_test(what_fails_or_is_unknown_is_counted_apart),
        cmocka_unit_test(further_attempts_are_counted),
        cmocka_unit_test(one_interrupt_ends_it_early_with_what_was_measured),
        cmocka_unit_test(two_interrupts_end_it_at_once),
        cmocka_unit_test(numbers_out_of_range_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
