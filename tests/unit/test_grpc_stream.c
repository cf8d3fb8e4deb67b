/* SPDX-License-Identifier: MIT */
/*
 * Calls of the gRPC client that are answered by any number of messages: flow control by their
 * reader, ends, retry, and silence.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "bureau.h"
#include "rpc/client.h"
#include "rpc/retry.h"

#define PIECES    1
#define UNLIMITED SIZE_MAX

/* A reader of a stream, which takes so many messages and then pauses. */
struct reader {
    struct rpc_channel *channel;
    struct rpc_call *call;
    size_t told, bytes, pause_at;
    bool cancels, frees; /* the call, or the channel, at the first message */
    char last[16];
    int times;
    struct rpc_reply reply;
};

static bool message_told(void *context, const uint8_t *bytes, size_t length)
{
    struct reader *r = context;
    r->told++;
    r->bytes += length;
    memcpy(r->last, bytes, length < sizeof(r->last) ? length : sizeof(r->last));
    if (r->cancels)
        rpc_call_cancel(r->call);
    if (r->frees) {
        rpc_channel_free(r->channel);
        r->channel = NULL;
    }
    return r->told < r->pause_at;
}

static void stream_ended(void *context, struct rpc_reply reply, const uint8_t *result,
                         const struct rpc_detail *detail)
{
    struct reader *r = context;
    (void)detail;
    assert_null(result);
    r->times++;
    r->reply = reply;
}

static struct rpc_channel *open_channel(struct bureau *b)
{
    const struct rpc_channel_config config = {
        .host = stream_host_strait(pair_stack(b->pair, 0), pair_env(b->pair)),
        .server = pair_address(1, BUREAU_PORT),
        .wire = &rpc_grpc_wire,
        .messages = b->config.messages,
    };
    struct rpc_channel *channel = rpc_channel_new(&config);
    assert_non_null(channel);
    return channel;
}

static void start(struct reader *r, const struct rpc_procedure *procedure, uint64_t deadline_ns)
{
    r->call = rpc_stream_start(r->channel, procedure, NULL, 0, deadline_ns, message_told,
                               stream_ended, r);
    assert_non_null(r->call);
}

/* A reader of `count` messages of the service of the tests, which has its first ones. */
static struct bureau *begin(struct reader *r, size_t count, size_t pause_at)
{
    struct bureau *b = bureau_new(true, NULL);
    b->to_send = count;
    *r = (struct reader){.channel = open_channel(b), .pause_at = pause_at};
    start(r, &bureau_messages[0]->procedures[PIECES], 0);
    return b;
}

static bool has_ended(void *context)
{
    return ((struct reader *)context)->times > 0;
}

static void expect_end(struct bureau *b, struct reader *r, enum rpc_outcome outcome,
                       enum rpc_code code)
{
    pair_until(b->pair, has_ended, r);
    assert_int_equal(r->reply.outcome, outcome);
    assert_int_equal(r->reply.code, code);
    assert_int_equal(r->times, 1);
}

static void end(struct bureau *b, struct rpc_channel *channel)
{
    rpc_channel_free(channel);
    pair_run(b->pair, 200 * PAIR_S);
    assert_true(strait_memory(pair_stack(b->pair, 0)) == 0);
    bureau_free(b);
}

/* ---- Messages ---- */

static void messages_are_told_one_by_one_and_then_the_end(void **state)
{
    (void)state;
    struct reader r;
    struct bureau *b = begin(&r, 1000, UNLIMITED);
    expect_end(b, &r, RPC_RESULT, RPC_OK);
    assert_int_equal(r.told, 1000);
    assert_int_equal(r.bytes, 1000 * 1000);
    end(b, r.channel);
}

/* A message may be longer than any window. */
static void messages_of_four_mebibytes_are_told_and_longer_ones_are_refused(void **state)
{
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        struct bureau *b = bureau_new(true, NULL);
        struct reader r = {.channel = open_channel(b), .pause_at = UNLIMITED};
        b->piece_bytes = RPC_MESSAGE_MAX + more;
        b->to_send = 2;
        start(&r, &bureau_messages[0]->procedures[PIECES], 0);
        expect_end(b, &r, more ? RPC_ERROR : RPC_RESULT, more ? RPC_RESOURCE_EXHAUSTED : RPC_OK);
        assert_int_equal(r.told, more ? 0 : 2);
        end(b, r.channel);
    }
}

/* "Flow control": the server writes no more than the reader's window, and what it may keep. */
static void a_reader_that_pauses_holds_the_server_up_and_nobody_else(void **state)
{
    (void)state;
    struct reader r;
    struct bureau *b = begin(&r, 1000, 1);
    pair_run(b->pair, 5 * PAIR_S);
    assert_int_equal(r.told, 1);
    /* 256 KiB of window, and 64 KiB that may wait: 326 messages of 1005, and one that was read. */
    assert_in_range(b->sent, 325, 329);
    /* Another reader on the same connection has them all, meanwhile. */
    struct reader other = {.channel = r.channel, .pause_at = UNLIMITED};
    b->to_send = b->sent + 700;
    start(&other, &bureau_messages[0]->procedures[PIECES], 0);
    expect_end(b, &other, RPC_RESULT, RPC_OK);
    assert_int_equal(other.told, 700);
    assert_int_equal(r.told, 1);
    assert_int_equal(server_sessions(b->server), 1);
    r.pause_at = 2;
    rpc_call_more(r.call);
    pair_run(b->pair, PAIR_S);
    assert_int_equal(r.told, 2);
    r.pause_at = UNLIMITED;
    rpc_call_more(r.call);
    expect_end(b, &r, RPC_RESULT, RPC_OK);
    end(b, r.channel);
}

/* The connection may be gone when its last messages are read. */
static void what_has_come_is_told_before_the_end(void **state)
{
    (void)state;
    struct reader r;
    struct bureau *b = begin(&r, 5, 1);
    pair_run(b->pair, PAIR_S);
    bureau_crash(b);
    pair_run(b->pair, PAIR_S);
    assert_int_equal(r.told, 1);
    assert_int_equal(r.times, 0);
    for (size_t n = 2; n <= 5; n++) {
        r.pause_at = n;
        rpc_call_more(r.call);
        pair_run(b->pair, PAIR_MS);
        assert_int_equal(r.told, n);
    }
    expect_end(b, &r, RPC_RESULT, RPC_OK);
    end(b, r.channel);
}

/* ---- Ends ---- */

static void a_stream_that_is_cancelled_ends_at_the_server(void **state)
{
    (void)state;
    struct reader r;
    struct bureau *b = begin(&r, 1000, 1);
    pair_run(b->pair, PAIR_S);
    assert_int_equal(rpc_call_cancel(r.call), RPC_UNKNOWN);
    pair_run(b->pair, PAIR_S);
    assert_int_equal(b->cancelled, 1);
    /* The window of the connection is whole again: as often as one likes. */
    for (int i = 0; i < 10; i++) {
        b->to_send += 1000;
        r.pause_at = r.told + 1;
        start(&r, &bureau_messages[0]->procedures[PIECES], 0);
        pair_run(b->pair, PAIR_S);
        assert_int_equal(r.told, i + 2);
        rpc_call_cancel(r.call);
    }
    assert_int_equal(r.times, 0);
    end(b, r.channel);
}

static void a_reader_may_cancel_its_call_or_free_the_channel(void **state)
{
    (void)state;
    for (int frees = 0; frees < 2; frees++) {
        struct reader r;
        struct bureau *b = begin(&r, 1000, UNLIMITED);
        r.cancels = !frees;
        r.frees = frees;
        pair_run(b->pair, PAIR_S);
        assert_int_equal(r.told, 1);
        assert_int_equal(r.times, 0);
        assert_int_equal(b->cancelled, 1);
        end(b, r.channel);
    }
}

static void a_stream_ends_at_its_deadline(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct reader r = {.channel = open_channel(b), .pause_at = UNLIMITED};
    struct strait_env *env = pair_env(b->pair);
    uint64_t began_ns = env->now(env);
    start(&r, &health_messages.procedures[HEALTH_WATCH], began_ns + 3 * PAIR_S);
    expect_end(b, &r, RPC_UNKNOWN, RPC_DEADLINE_EXCEEDED);
    uint64_t took_ns = env->now(env) - began_ns;
    assert_in_range(took_ns, 3 * PAIR_S, 3 * PAIR_S + PAIR_MS);
    assert_int_equal(r.told, 1);
    assert_int_equal(rpc_channel_counters(r.channel)->attempts, 1);
    end(b, r.channel);
}

/* ---- Retry ---- */

static void a_stream_that_has_told_nothing_is_begun_again(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct reader r = {.channel = open_channel(b), .pause_at = UNLIMITED};
    bureau_crash(b);
    start(&r, &health_messages.procedures[HEALTH_WATCH], 0);
    pair_run(b->pair, 20 * PAIR_MS);
    bureau_start(b);
    pair_run(b->pair, 5 * PAIR_S);
    assert_int_equal(r.told, 1);
    assert_true(rpc_channel_counters(r.channel)->attempts > 1);
    end(b, r.channel);
}

/* Nobody could tell which messages were told already. */
static void a_stream_that_has_told_a_message_is_not_begun_again(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct reader r = {.channel = open_channel(b), .pause_at = UNLIMITED};
    start(&r, &health_messages.procedures[HEALTH_WATCH], 0);
    pair_run(b->pair, PAIR_S);
    bureau_crash(b);
    bureau_start(b);
    expect_end(b, &r, RPC_UNKNOWN, RPC_UNAVAILABLE);
    assert_int_equal(r.told, 1);
    assert_int_equal(rpc_channel_counters(r.channel)->attempts, 1);
    end(b, r.channel);
}

/* ---- Silence ---- */

static void who_watches_health_is_told_of_changes_and_of_the_servers_end(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct reader r = {.channel = open_channel(b), .pause_at = UNLIMITED};
    start(&r, &health_messages.procedures[HEALTH_WATCH], 0);
    pair_run(b->pair, 1000 * PAIR_S);
    assert_int_equal(r.told, 1);
    assert_memory_equal(r.last, "\x08\1", 2);
    health_set(b->offer.health, false);
    pair_run(b->pair, PAIR_S);
    assert_int_equal(r.told, 2);
    assert_memory_equal(r.last, "\x08\2", 2);
    server_stop(b->server);
    expect_end(b, &r, RPC_UNKNOWN, RPC_UNAVAILABLE);
    end(b, r.channel);
}

static bool nothing_passes(void *context, int from, const uint8_t *packet, size_t length)
{
    (void)context, (void)from, (void)packet, (void)length;
    return false;
}

/* gRPC's servers call it too many pings if they come sooner than after 5 minutes. */
static void a_silent_stream_asks_for_its_server_after_five_minutes(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct reader r = {.channel = open_channel(b), .pause_at = UNLIMITED};
    start(&r, &health_messages.procedures[HEALTH_WATCH], 0);
    pair_run(b->pair, PAIR_S);
    pair_filter(b->pair, nothing_passes, NULL);
    uint64_t packets = pair_packets(b->pair, 0);
    pair_run(b->pair, 300 * PAIR_S);
    assert_true(pair_packets(b->pair, 0) == packets);
    assert_int_equal(r.times, 0);
    pair_run(b->pair, 21 * PAIR_S);
    assert_true(pair_packets(b->pair, 0) > packets);
    assert_int_equal(r.times, 1);
    assert_int_equal(r.reply.outcome, RPC_UNKNOWN);
    pair_filter(b->pair, NULL, NULL);
    end(b, r.channel);
}

/* Nothing has been heard yet that the five minutes could be counted from. */
static void a_stream_that_begins_on_a_dead_connection_finds_out(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct reader r = {.channel = open_channel(b), .pause_at = UNLIMITED};
    start(&r, &health_messages.procedures[HEALTH_CHECK], 0);
    expect_end(b, &r, RPC_RESULT, RPC_OK);
    pair_filter(b->pair, nothing_passes, NULL);
    start(&r, &health_messages.procedures[HEALTH_WATCH], 0);
    pair_run(b->pair, 309 * PAIR_S);
    assert_int_equal(rpc_channel_counters(r.channel)->attempts, 2);
    pair_run(b->pair, 13 * PAIR_S);
    assert_int_equal(rpc_channel_counters(r.channel)->attempts, 3);
    pair_filter(b->pair, NULL, NULL);
    end(b, r.channel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_told_one_by_one_and_then_the_end),
        cmocka_unit_test(messages_of_four_mebibytes_are_told_and_longer_ones_are_refused),
        cmocka_unit_test(a_reader_that_pauses_holds_the_server_up_and_nobody_else),
        cmocka_unit_test(what_has_come_is_told_before_the_end),
        cmocka_unit_test(a_stream_that_is_cancelled_ends_at_the_server),
        cmocka_unit_test(a_reader_may_cancel_its_call_or_free_the_channel),
        cmocka_unit_test(a_stream_ends_at_its_deadline),
        cmocka_unit_test(a_stream_that_has_told_nothing_is_begun_again),
        cmocka_unit_test(a_stream_that_has_told_a_message_is_not_begun_again),
        cmocka_unit_test(who_watches_health_is_told_of_changes_and_of_the_servers_end),
        cmocka_unit_test(a_silent_stream_asks_for_its_server_after_five_minutes),
        cmocka_unit_test(a_stream_that_begins_on_a_dead_connection_finds_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
