/* SPDX-License-Identifier: MIT */
/* The classic server and client over two stacks: calls, short reads and writes, and bad input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"
#include "primes/stubs.h"
#include "rpc/bench.h"
#include "rpc/classic.h"
#include "talker.h"

#define PORT         7000
#define SESSIONS_MAX 1024

#define ITH_PRIME_5      "\0\0\0\0\0\0\0\5"
#define IS_COPRIME_14_15 "\0\0\0\1\0\0\0\x0e\0\0\0\x0f"
#define ITH_PRIME_LONG   "\0\0\0\0\0\x0f\x42\x3f" /* the millionth, 15485863 */

/* ---- Streams that take and give little at a time ---- */

/* The first read, and the first write, of each stream goes so far; later ones go on as they like.
 */
static struct {
    size_t read, write;
} first;

static ssize_t stingy_recv(struct stream *s, void *bytes, size_t length, int flags)
{
    size_t most = first.read;
    if (most > 0 && length > most)
        length = most;
    return stream_strait.recv(s, bytes, length, flags);
}

/* Takes that much once, then nothing once, then all. */
static ssize_t stingy_send(struct stream *s, const void *bytes, size_t length)
{
    if (first.write == SIZE_MAX) {
        first.write = 0;
        errno = EAGAIN;
        return -1;
    }
    if (first.write > 0 && first.write < length) {
        length = first.write;
        first.write = SIZE_MAX;
    }
    return stream_strait.send(s, bytes, length);
}

/* ---- A server on host 1 ---- */

struct office {
    struct pair *pair;
    struct stream_kind kind; /* Strait's, but for the above */
    struct rpc_dispatcher *rpc;
    struct server *server;
};

static struct office *office_new(const struct classic_config *config)
{
    struct office *o = calloc(1, sizeof(*o));
    assert_non_null(o);
    first.read = first.write = 0;
    o->pair = pair_new(&(struct pair_config){0});
    o->kind = stream_strait;
    o->kind.recv = stingy_recv;
    o->kind.send = stingy_send;
    o->rpc = rpc_new(pair_env(o->pair));
    assert_int_equal(primes_serve(o->rpc), 0);
    const struct stream_host host = {&o->kind, pair_stack(o->pair, 1), pair_env(o->pair)};
    struct classic_config c = *config;
    c.address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(PORT)};
    o->server = classic_start(&host, o->rpc, &c);
    assert_non_null(o->server);
    return o;
}

/* Nothing is left of the sessions. */
static void office_free(struct office *o)
{
    pair_run(o->pair, 30 * PAIR_S);
    assert_int_equal(server_sessions(o->server), 0);
    assert_true(strait_memory(pair_stack(o->pair, 1)) == 0);
    server_free(o->server);
    rpc_free(o->rpc);
    pair_free(o->pair);
    free(o);
}

static const struct rpc_counters *counters(struct office *o)
{
    return rpc_counters(o->rpc);
}

/* A client that has ended got just this, and the end of the stream. */
static void expect(struct talker *t, const char *bytes, size_t length)
{
    talker_hear_end(t);
    assert_int_equal(t->error, 0);
    assert_true(t->ended);
    assert_int_equal(t->received_bytes, length);
    assert_memory_equal(t->received, bytes, length);
    talker_close(t);
}

static struct talker *ask(struct office *o, const void *request, size_t length)
{
    struct talker *t = talker_connect(o->pair, 0, PORT);
    talker_say(t, request, length);
    return t;
}

/* Whether somebody else is served. */
static void expect_service(struct office *o)
{
    expect(ask(o, ITH_PRIME_5, 8), "\0\0\0\x0d", 4);
}

/* ---- Calls ---- */

static void a_call_is_answered_byte_for_byte(void **state)
{
    (void)state;
    struct office *o = office_new(&(struct classic_config){0});
    expect(ask(o, ITH_PRIME_5, 8), "\0\0\0\x0d", 4);
    expect(ask(o, IS_COPRIME_14_15, 12), "\0\0\0\1", 4);
    expect(ask(o, ITH_PRIME_LONG, 8), "\0\xec\x4b\xa7", 4);
    assert_int_equal(counters(o)->results, 3);
    office_free(o);
}

static void a_request_may_come_in_two_pieces_anywhere(void **state)
{
    (void)state;
    static const char request[] = IS_COPRIME_14_15;
    struct office *o = office_new(&(struct classic_config){0});
    for (size_t split = 1; split < 12; split++) {
        struct talker *t = ask(o, request, split);
        pair_run(o->pair, PAIR_S);
        assert_int_equal(t->received_bytes, 0);
        talker_say(t, request + split, 12 - split);
        expect(t, "\0\0\0\1", 4);
    }
    office_free(o);
}

static void a_request_may_come_a_byte_at_a_time(void **state)
{
    (void)state;
    static const char request[] = ITH_PRIME_5;
    struct office *o = office_new(&(struct classic_config){0});
    struct talker *t = talker_connect(o->pair, 0, PORT);
    for (size_t i = 0; i < 8; i++) {
        talker_say(t, request + i, 1);
        pair_run(o->pair, PAIR_S);
        assert_int_equal(t->received_bytes, i < 7 ? 0 : 4);
    }
    expect(t, "\0\0\0\x0d", 4);
    office_free(o);
}

static void reads_and_writes_may_be_short_at_every_point(void **state)
{
    (void)state;
    struct office *o = office_new(&(struct classic_config){0});
    for (size_t read = 1; read <= 12; read++) {
        for (size_t write = 1; write <= 4; write++) {
            first.read = read;
            first.write = write;
            expect(ask(o, IS_COPRIME_14_15, 12), "\0\0\0\1", 4);
        }
    }
    office_free(o);
}

static void a_fin_behind_the_request_is_not_leaving(void **state)
{
    (void)state;
    struct office *o = office_new(&(struct classic_config){0});
    pair_work_takes(o->pair, PAIR_S);
    struct talker *t = ask(o, ITH_PRIME_LONG, 8);
    talker_finish(t);
    expect(t, "\0\xec\x4b\xa7", 4);
    assert_int_equal(counters(o)->cancelled, 0);
    office_free(o);
}

static void reset(struct office *o, struct talker *t)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(strait_setsockopt(pair_stack(o->pair, t->host), t->fd, SOL_SOCKET, SO_LINGER,
                                       &now, sizeof(now)),
                     0);
    talker_close(t);
}

static void a_reset_cancels_the_call(void **state)
{
    (void)state;
    struct office *o = office_new(&(struct classic_config){0});
    pair_work_takes(o->pair, PAIR_S);
    for (int finished = 0; finished <= 1; finished++) {
        struct talker *t = ask(o, ITH_PRIME_LONG, 8);
        if (finished)
            talker_finish(t);
        pair_run(o->pair, 100 * PAIR_MS);
        assert_int_equal(server_sessions(o->server), 1);
        reset(o, t);
        pair_run(o->pair, 100 * PAIR_MS);
        assert_int_equal(server_sessions(o->server), 0);
        assert_int_equal(counters(o)->cancelled, (uint64_t)finished + 1);
        pair_run(o->pair, 2 * PAIR_S);
    }
    assert_int_equal(counters(o)->unheard, 2);
    office_free(o);
}

static void long_calls_do_not_stall_the_others(void **state)
{
    (void)state;
    struct office *o = office_new(&(struct classic_config){0});
    struct talker *slow[4];
    pair_work_takes(o->pair, PAIR_S);
    for (int i = 0; i < 4; i++)
        slow[i] = ask(o, ITH_PRIME_LONG, 8);
    pair_run(o->pair, 10 * PAIR_MS);
    expect_service(o);
    for (int i = 0; i < 4; i++)
        assert_false(slow[i]->ended);
    for (int i = 0; i < 4; i++)
        expect(slow[i], "\0\xec\x4b\xa7", 4);
    office_free(o);
}

/* A server that does not come to an end: its client is told at the deadline. */
static void a_call_that_runs_beyond_its_deadline_is_ended(void **state)
{
    (void)state;
    struct office *o = office_new(&(struct classic_config){0});
    pair_work_takes(o->pair, 12 * PAIR_S);
    struct talker *t = ask(o, ITH_PRIME_LONG, 8);
    pair_run(o->pair, 9990 * PAIR_MS);
    assert_false(t->ended);
    pair_run(o->pair, 20 * PAIR_MS);
    assert_true(t->ended);
    expect(t, "", 0);
    assert_int_equal(counters(o)->cancelled, 1);
    office_free(o);
}

static void a_stopping_server_still_answers(void **state)
{
    (void)state;
    struct office *o = office_new(&(struct classic_config){0});
    pair_work_takes(o->pair, PAIR_S);
    struct talker *t = ask(o, ITH_PRIME_LONG, 8), *quiet = talker_connect(o->pair, 0, PORT);
    pair_run(o->pair, 100 * PAIR_MS);
    server_stop(o->server);
    expect(quiet, "", 0);
    expect(t, "\0\xec\x4b\xa7", 4);
    office_free(o);
}

/* ---- Bad input: a clear end, nothing left, others unharmed ---- */

static void an_unknown_id_is_a_close_without_bytes(void **state)
{
    (void)state;
    struct office *o = office_new(&(struct classic_config){0});
    expect(ask(o, "\0\0\0\2", 4), "", 0);
    expect(ask(o, "\xff\xff\xff\xff\0\0\0\5", 8), "", 0);
    assert_int_equal(counters(o)->unknown, 2);
    expect_service(o);
    office_free(o);
}

static void out_of_range_is_a_close_without_bytes(void **state)
{
    (void)state;
    struct office *o = office_new(&(struct classic_config){0});
    expect(ask(o, "\0\0\0\0\x0c\x1d\xcf\x5d", 8), "", 0);
    assert_int_equal(counters(o)->errors, 1);
    expect_service(o);
    office_free(o);
}

static void half_a_request_and_silence_is_cut_off_in_time(void **state)
{
    (void)state;
    static const uint64_t configured[] = {0, 3 * PAIR_S};
    for (size_t i = 0; i < 2; i++) {
        struct office *o = office_new(&(struct classic_config){.request_ns = configured[i]});
        uint64_t limit_ns = configured[i] ? configured[i] : 10 * PAIR_S;
        struct talker *t = ask(o, IS_COPRIME_14_15, 7);
        pair_run(o->pair, limit_ns - 10 * PAIR_MS);
        assert_false(t->ended);
        expect_service(o);
        pair_run(o->pair, 30 * PAIR_MS);
        assert_true(t->ended);
        expect(t, "", 0);
        assert_int_equal(counters(o)->requests_cut_off, 1);
        office_free(o);
    }
}

/* A byte now and then does not prolong it. */
static void a_request_that_trickles_is_cut_off_too(void **state)
{
    (void)state;
    struct office *o = office_new(&(struct classic_config){0});
    struct talker *t = talker_connect(o->pair, 0, PORT);
    int seconds = 0;
    for (; !t->ended && seconds < 11; seconds += 3) {
        talker_say(t, "\0", 1);
        pair_run(o->pair, 3 * PAIR_S);
    }
    assert_true(t->ended);
    talker_close(t);
    office_free(o);
}

static void half_a_request_and_a_fin_is_closed(void **state)
{
    (void)state;
    static const char request[] = IS_COPRIME_14_15;
    struct office *o = office_new(&(struct classic_config){0});
    for (size_t length = 0; length < 12; length++) {
        struct talker *t = ask(o, request, length);
        pair_run(o->pair, 10 * PAIR_MS);
        talker_finish(t);
        expect(t, "", 0);
    }
    assert_int_equal(counters(o)->requests_broken, 12);
    assert_int_equal(counters(o)->calls, 0);
    expect_service(o);
    office_free(o);
}

static void trailing_bytes_are_thrown_away(void **state)
{
    (void)state;
    static char quick[200000] = ITH_PRIME_5, slow[200000] = ITH_PRIME_LONG;
    struct office *o = office_new(&(struct classic_config){0});
    expect(ask(o, quick, sizeof(quick)), "\0\0\0\x0d", 4);
    expect(ask(o, slow, sizeof(slow)), "\0\xec\x4b\xa7", 4);
    assert_int_equal(counters(o)->calls, 2);
    expect_service(o);
    office_free(o);
}

static void ten_thousand_that_send_nothing_are_displaced(void **state)
{
    (void)state;
    enum { MANY = 10000, LOT = 100 };
    static struct talker *quiet[MANY];
    struct office *o = office_new(&(struct classic_config){0});
    for (int i = 0; i < MANY; i += LOT) {
        for (int j = i; j < i + LOT; j++)
            quiet[j] = talker_connect(o->pair, 0, PORT);
        pair_run(o->pair, 10 * PAIR_MS);
        assert_true(server_sessions(o->server) <= SESSIONS_MAX);
        expect_service(o);
    }
    assert_int_equal(server_sessions(o->server), SESSIONS_MAX);
    assert_true(counters(o)->sessions_displaced >= MANY - SESSIONS_MAX);
    assert_true(quiet[0]->ended);
    assert_false(quiet[MANY - 1]->ended);
    pair_run(o->pair, 11 * PAIR_S);
    for (int i = 0; i < MANY; i++) {
        assert_true(quiet[i]->ended);
        talker_close(quiet[i]);
    }
    expect_service(o);
    office_free(o);
}

/* ---- The client ---- */

static struct rpc_channel *channel_to(struct office *o, uint16_t port)
{
    const struct rpc_channel_config config = {
        .host = stream_host_strait(pair_stack(o->pair, 0), pair_env(o->pair)),
        .server = pair_address(1, port),
        .wire = &rpc_classic_wire,
    };
    struct rpc_channel *channel = rpc_channel_new(&config);
    assert_non_null(channel);
    return channel;
}

static void client_stubs_block_until_the_outcome(void **state)
{
    (void)state;
    uint32_t value;
    struct office *o = office_new(&(struct classic_config){0});
    struct rpc_channel *channel = channel_to(o, PORT);
    assert_int_equal(ith_prime_cstub(channel, 5, &value).outcome, RPC_RESULT);
    assert_int_equal(value, 13);
    assert_int_equal(ith_prime_cstub(channel, 999999, &value).outcome, RPC_RESULT);
    assert_int_equal(value, 15485863);
    assert_int_equal(is_coprime_cstub(channel, 14, 15, &value).outcome, RPC_RESULT);
    assert_int_equal(value, 1);
    assert_int_equal(is_coprime_cstub(channel, 14, 21, &value).outcome, RPC_RESULT);
    assert_int_equal(value, 0);
    rpc_channel_free(channel);
    office_free(o);
}

/* What the wire cannot tell is unknown; what was never connected is not executed. */
static void outcomes_without_a_result_are_told_apart(void **state)
{
    (void)state;
    uint32_t value;
    struct office *o = office_new(&(struct classic_config){0});
    struct rpc_channel *channel = channel_to(o, PORT), *nobody = channel_to(o, PORT + 1);
    struct rpc_reply reply = ith_prime_cstub(channel, 203280221, &value);
    assert_int_equal(reply.outcome, RPC_UNKNOWN);
    assert_int_equal(reply.code, RPC_UNAVAILABLE);
    assert_int_equal(rpc_channel_counters(channel)->attempts, 5);
    reply = ith_prime_cstub(nobody, 5, &value);
    assert_int_equal(reply.outcome, RPC_NOT_EXECUTED);
    assert_int_equal(reply.code, RPC_UNAVAILABLE);
    rpc_channel_free(nobody);
    rpc_channel_free(channel);
    office_free(o);
}

static void a_client_reads_its_result_in_any_pieces(void **state)
{
    (void)state;
    uint32_t value;
    struct office *o = office_new(&(struct classic_config){0});
    struct rpc_channel *channel = channel_to(o, PORT);
    for (size_t write = 1; write <= 4; write++) {
        first.write = write; /* the server's, with a turn in between */
        assert_int_equal(ith_prime_cstub(channel, 5, &value).outcome, RPC_RESULT);
        assert_int_equal(value, 13);
    }
    rpc_channel_free(channel);
    office_free(o);
}

static void an_abandoned_attempt_resets_its_connection(void **state)
{
    (void)state;
    static const uint8_t arguments[] = "\0\x0f\x42\x3f";
    struct office *o = office_new(&(struct classic_config){0});
    struct rpc_channel *channel = channel_to(o, PORT);
    pair_work_takes(o->pair, PAIR_S);
    struct rpc_call *call =
        rpc_call_start(channel, &primes_procedures[PRIMES_ITH_PRIME], arguments, 0, NULL, NULL);
    pair_run(o->pair, 100 * PAIR_MS);
    assert_int_equal(rpc_call_cancel(call), RPC_UNKNOWN);
    pair_run(o->pair, 100 * PAIR_MS);
    assert_int_equal(counters(o)->cancelled, 1);
    rpc_channel_free(channel);
    office_free(o);
}

static void the_bench_makes_its_calls(void **state)
{
    (void)state;
    struct office *o = office_new(&(struct classic_config){0});
    struct rpc_channel *channel = channel_to(o, PORT);
    const struct rpc_bench_config config = {
        .channels = &channel,
        .channel_count = 1,
        .procedure = &primes_procedures[PRIMES_ITH_PRIME],
        .arguments = (const uint8_t *)"\0\0\0\5",
        .expected = (const uint8_t *)"\0\0\0\x0d",
        .calls = 100,
        .at_once = 7,
    };
    struct rpc_bench_result r;
    assert_int_equal(rpc_bench(&config, &r), 0);
    assert_int_equal(r.results, 100);
    assert_int_equal(counters(o)->results, 100);
    /* Each direction takes 1 ms: two round trips for a connection and its call. */
    assert_in_range(r.median_ns, 4 * PAIR_MS, 5 * PAIR_MS);
    assert_true(r.median_ns <= r.slow_ns && r.slow_ns <= r.slowest_ns);
    rpc_channel_free(channel);
    office_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_is_answered_byte_for_byte),
        cmocka_unit_test(a_request_may_come_in_two_pieces_anywhere),
        cmocka_unit_test(a_request_may_come_a_byte_at_a_time),
        cmocka_unit_test(reads_and_writes_may_be_short_at_every_point),
        cmocka_unit_test(a_fin_behind_the_request_is_not_leaving),
        cmocka_unit_test(a_reset_cancels_the_call),
        cmocka_unit_test(long_calls_do_not_stall_the_others),
        cmocka_unit_test(a_call_that_runs_beyond_its_deadline_is_ended),
        cmocka_unit_test(a_stopping_server_still_answers),
        cmocka_unit_test(an_unknown_id_is_a_close_without_bytes),
        cmocka_unit_test(out_of_range_is_a_close_without_bytes),
        cmocka_unit_test(half_a_request_and_silence_is_cut_off_in_time),
        cmocka_unit_test(a_request_that_trickles_is_cut_off_too),
        cmocka_unit_test(half_a_request_and_a_fin_is_closed),
        cmocka_unit_test(trailing_bytes_are_thrown_away),
        cmocka_unit_test(ten_thousand_that_send_nothing_are_displaced),
        cmocka_unit_test(client_stubs_block_until_the_outcome),
        cmocka_unit_test(outcomes_without_a_result_are_told_apart),
        cmocka_unit_test(a_client_reads_its_result_in_any_pieces),
        cmocka_unit_test(an_abandoned_attempt_resets_its_connection),
        cmocka_unit_test(the_bench_makes_its_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
