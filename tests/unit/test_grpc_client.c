/* SPDX-License-Identifier: MIT */
/*
 * The gRPC client over two stacks: calls that share a connection, outcomes, retry, and connections
 * that break.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bureau.h"
#include "primes/stubs.h"
#include "rpc/client.h"
#include "rpc/retry.h"

#define MANY 300

/* What became of a call. */
struct ended {
    int times;
    struct rpc_reply reply;
    uint32_t result;
    char bytes[64], text[RPC_TEXT_BYTES];
    size_t length;
};

static void call_ended(void *context, struct rpc_reply reply, const uint8_t *result)
{
    struct ended *e = context;
    e->times++;
    e->reply = reply;
    e->result = result ? rpc_get32(result) : 0;
}

static void message_ended(void *context, struct rpc_reply reply, const uint8_t *result,
                          const struct rpc_detail *detail)
{
    struct ended *e = context;
    e->times++;
    e->reply = reply;
    e->length = result ? detail->result_bytes : 0;
    assert_true(e->length <= sizeof(e->bytes));
    if (e->length > 0)
        memcpy(e->bytes, result, e->length);
    snprintf(e->text, sizeof(e->text), "%s", detail->text);
}

static struct rpc_channel *open_channel(struct bureau *b, unsigned attempts_max)
{
    const struct rpc_channel_config config = {
        .host = stream_host_strait(pair_stack(b->pair, 0), pair_env(b->pair)),
        .server = pair_address(1, BUREAU_PORT),
        .wire = &rpc_grpc_wire,
        .attempts_max = attempts_max,
        .messages = b->config.messages,
    };
    struct rpc_channel *channel = rpc_channel_new(&config);
    assert_non_null(channel);
    return channel;
}

static struct rpc_call *start(struct rpc_channel *channel, uint32_t i, uint64_t in_ns,
                              struct ended *e)
{
    struct strait_env *env = rpc_channel_env(channel);
    uint8_t arguments[4];
    *e = (struct ended){0};
    rpc_put32(arguments, i);
    struct rpc_call *call = rpc_call_start(channel, &primes_procedures[PRIMES_ITH_PRIME], arguments,
                                           in_ns ? env->now(env) + in_ns : 0, call_ended, e);
    assert_non_null(call);
    return call;
}

static bool has_ended(void *context)
{
    return ((struct ended *)context)->times > 0;
}

static void expect(struct bureau *b, struct ended *e, enum rpc_outcome outcome, enum rpc_code code)
{
    pair_until(b->pair, has_ended, e);
    assert_int_equal(e->reply.outcome, outcome);
    assert_int_equal(e->reply.code, code);
    assert_int_equal(e->times, 1);
}

static void expect_prime(struct bureau *b, struct ended *e, uint32_t prime)
{
    expect(b, e, RPC_RESULT, RPC_OK);
    assert_int_equal(e->result, prime);
}

static void end(struct bureau *b, struct rpc_channel *channel)
{
    rpc_channel_free(channel);
    pair_run(b->pair, 200 * PAIR_S);
    assert_true(strait_memory(pair_stack(b->pair, 0)) == 0);
    bureau_free(b);
}

/* ---- Calls ---- */

static void calls_share_a_connection(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct rpc_channel *channel = open_channel(b, 0);
    struct ended *e = calloc(MANY, sizeof(*e));
    assert_non_null(e);
    for (int i = 0; i < MANY; i++)
        start(channel, i % 2 ? 999999 : 5, 0, &e[i]);
    for (int i = 0; i < MANY; i += 2)
        expect_prime(b, &e[i], 13);
    assert_int_equal(server_sessions(b->server), 1);
    for (int i = 1; i < MANY; i += 2)
        pair_until(b->pair, has_ended, &e[i]);
    free(e);
    end(b, channel);
}

static void an_error_is_told_with_its_code_and_text(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct rpc_channel *channel = open_channel(b, 0);
    struct ended e;
    start(channel, UINT32_MAX, 0, &e);
    expect(b, &e, RPC_ERROR, RPC_OUT_OF_RANGE);
    e = (struct ended){0};
    rpc_message_start(channel, &health_messages.procedures[HEALTH_CHECK],
                      (const uint8_t *)"\x0a\1x", 3, 0, message_ended, &e);
    expect(b, &e, RPC_ERROR, RPC_NOT_FOUND);
    assert_string_equal(e.text, "no such service");
    assert_int_equal(rpc_channel_counters(channel)->attempts, 2);
    end(b, channel);
}

static void messages_of_any_size_are_called(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct rpc_channel *channel = open_channel(b, 0);
    struct ended e = {0};
    rpc_message_start(channel, &health_messages.procedures[HEALTH_CHECK], NULL, 0, 0, message_ended,
                      &e);
    expect(b, &e, RPC_RESULT, RPC_OK);
    assert_int_equal(e.length, 2);
    assert_memory_equal(e.bytes, "\x08\1", 2);
    end(b, channel);
}

/* bureau.c: the sum of the sequence and the amount. */
static void an_identity_travels_with_its_call(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(true, NULL);
    struct rpc_channel *channel = open_channel(b, 0);
    uint8_t arguments[RPC_IDENTITY_BYTES + 4] = {0};
    rpc_put32(arguments + RPC_IDENTITY_BYTES, 40);
    for (uint32_t sequence = 1; sequence < 4; sequence++) {
        struct ended e = {0};
        rpc_call_start(channel, &bureau_messages[0]->procedures[0], arguments, 0, call_ended, &e);
        expect(b, &e, RPC_RESULT, RPC_OK);
        assert_int_equal(e.result, 40 + sequence);
    }
    end(b, channel);
}

static void the_servers_side_hears_of_deadline_and_cancellation(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct rpc_channel *channel = open_channel(b, 1);
    struct ended e, never;
    pair_work_takes(b->pair, 20 * PAIR_S);
    struct rpc_call *call = start(channel, 999999, 10 * PAIR_S, &never);
    start(channel, 999999, PAIR_S, &e);
    expect(b, &e, RPC_UNKNOWN, RPC_DEADLINE_EXCEEDED);
    pair_run(b->pair, 50 * PAIR_MS);
    assert_int_equal(bureau_counters(b)->cancelled, 1);
    assert_int_equal(rpc_call_cancel(call), RPC_UNKNOWN);
    pair_run(b->pair, 50 * PAIR_MS);
    assert_int_equal(bureau_counters(b)->cancelled, 2);
    assert_int_equal(never.times, 0);
    end(b, channel);
}

/* ---- Connections that are not there, break, or go away ---- */

static void nobody_there_is_not_executed(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct rpc_channel *channel = open_channel(b, 0);
    struct ended e;
    bureau_crash(b);
    start(channel, 5, 0, &e);
    expect(b, &e, RPC_NOT_EXECUTED, RPC_UNAVAILABLE);
    assert_int_equal(rpc_channel_counters(channel)->attempts, RPC_ATTEMPTS_MAX);
    end(b, channel);
}

static void a_channel_connects_again(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct rpc_channel *channel = open_channel(b, 0);
    struct ended e;
    start(channel, 5, 0, &e);
    expect_prime(b, &e, 13);
    for (int i = 0; i < 3; i++) {
        bureau_crash(b);
        start(channel, 6, 0, &e);
        pair_run(b->pair, 20 * PAIR_MS);
        assert_int_equal(e.times, 0);
        bureau_start(b);
        expect_prime(b, &e, 17);
    }
    end(b, channel);
}

static void a_connection_that_breaks_leaves_what_was_sent_unknown(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct rpc_channel *once = open_channel(b, 1), *retrying = open_channel(b, 0);
    struct ended e, again;
    pair_work_takes(b->pair, PAIR_S);
    start(once, 999999, 0, &e);
    start(retrying, 999999, 0, &again);
    pair_run(b->pair, 100 * PAIR_MS);
    bureau_crash(b);
    bureau_start(b);
    expect(b, &e, RPC_UNKNOWN, RPC_UNAVAILABLE);
    expect_prime(b, &again, 15485863);
    assert_int_equal(rpc_channel_counters(retrying)->attempts, 2);
    rpc_channel_free(once);
    end(b, retrying);
}

/* The old connection carries its call to the end, the new one the others. */
static void a_server_that_goes_away_is_left_for_the_next_one(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct rpc_channel *channel = open_channel(b, 0);
    struct ended slow, e;
    pair_work_takes(b->pair, PAIR_S);
    start(channel, 999999, 0, &slow);
    pair_run(b->pair, 100 * PAIR_MS);
    struct server *old = b->server;
    server_stop(old);
    bureau_start(b);
    pair_run(b->pair, 100 * PAIR_MS);
    start(channel, 5, 0, &e);
    expect_prime(b, &e, 13);
    assert_int_equal(slow.times, 0);
    expect_prime(b, &slow, 15485863);
    assert_int_equal(rpc_channel_counters(channel)->attempts, 2);
    pair_run(b->pair, 10 * PAIR_S);
    assert_int_equal(server_sessions(old), 0);
    server_free(old);
    end(b, channel);
}

static bool nothing_passes(void *context, int from, const uint8_t *packet, size_t length)
{
    (void)context, (void)from, (void)packet, (void)length;
    return false;
}

/* A path that has gone dead is found out by a ping, long before TCP gives up. */
static void a_dead_connection_is_found_out_by_a_ping(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct rpc_channel *channel = open_channel(b, 1);
    struct ended e;
    start(channel, 5, 0, &e);
    expect_prime(b, &e, 13);
    pair_filter(b->pair, nothing_passes, NULL);
    start(channel, 5, 300 * PAIR_S, &e);
    pair_run(b->pair, 39 * PAIR_S);
    assert_int_equal(e.times, 0);
    pair_run(b->pair, 2 * PAIR_S);
    assert_int_equal(e.times, 1);
    assert_int_equal(e.reply.outcome, RPC_UNKNOWN);
    pair_filter(b->pair, NULL, NULL);
    end(b, channel);
}

/* TCP asks after 1, 3, 7, 15 and 31 s. */
static void a_path_that_was_dead_at_first_is_tried_anew(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct rpc_channel *channel = open_channel(b, 0);
    struct ended e;
    pair_filter(b->pair, nothing_passes, NULL);
    start(channel, 5, 60 * PAIR_S, &e);
    pair_run(b->pair, 16 * PAIR_S);
    pair_filter(b->pair, NULL, NULL);
    pair_run(b->pair, 6 * PAIR_S);
    assert_int_equal(e.times, 1);
    expect_prime(b, &e, 13);
    end(b, channel);
}

/* None of them waits for long enough to ask; all of them together do. */
static void calls_that_fail_one_after_the_other_find_out_a_dead_connection(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct rpc_channel *channel = open_channel(b, 1);
    struct ended e;
    start(channel, 5, 0, &e);
    expect_prime(b, &e, 13);
    pair_filter(b->pair, nothing_passes, NULL);
    for (int i = 0; i < 7; i++) {
        start(channel, 5, 5 * PAIR_S, &e);
        expect(b, &e, RPC_UNKNOWN, RPC_DEADLINE_EXCEEDED);
    }
    /* A ping 30 s after the first of them, and 10 s for its answer. */
    start(channel, 5, 6 * PAIR_S, &e);
    expect(b, &e, RPC_UNKNOWN, RPC_UNAVAILABLE);
    pair_filter(b->pair, NULL, NULL);
    end(b, channel);
}

static void free_the_channel(void *context, struct rpc_reply reply, const uint8_t *result)
{
    (void)reply, (void)result;
    struct rpc_channel **channel = context;
    rpc_channel_free(*channel);
    *channel = NULL;
}

static void a_channel_may_be_freed_by_what_it_tells(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct rpc_channel *channel = open_channel(b, 0);
    uint8_t arguments[4] = {0};
    struct ended e;
    rpc_call_start(channel, &primes_procedures[PRIMES_ITH_PRIME], arguments, 0, free_the_channel,
                   &channel);
    start(channel, 5, 0, &e);
    pair_run(b->pair, PAIR_S);
    assert_null(channel);
    assert_int_equal(e.times, 0);
    end(b, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_share_a_connection),
        cmocka_unit_test(an_error_is_told_with_its_code_and_text),
        cmocka_unit_test(messages_of_any_size_are_called),
        cmocka_unit_test(an_identity_travels_with_its_call),
        cmocka_unit_test(the_servers_side_hears_of_deadline_and_cancellation),
        cmocka_unit_test(nobody_there_is_not_executed),
        cmocka_unit_test(a_channel_connects_again),
        cmocka_unit_test(a_connection_that_breaks_leaves_what_was_sent_unknown),
        cmocka_unit_test(a_server_that_goes_away_is_left_for_the_next_one),
        cmocka_unit_test(a_dead_connection_is_found_out_by_a_ping),
        cmocka_unit_test(a_path_that_was_dead_at_first_is_tried_anew),
        cmocka_unit_test(calls_that_fail_one_after_the_other_find_out_a_dead_connection),
        cmocka_unit_test(a_channel_may_be_freed_by_what_it_tells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
