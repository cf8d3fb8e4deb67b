/* SPDX-License-Identifier: MIT */
/*
 * The gRPC server, asked by nghttp2: calls, statuses, streams, deadlines, cancellation, and how it
 * ends. "gRPC over HTTP2" is the document of the wire.
 */
#define _GNU_SOURCE /* memmem */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "bureau.h"

#define MANY 500

static struct caller *call_on(struct bureau *b)
{
    return caller_new(b->pair, BUREAU_PORT);
}

static int32_t ask(struct caller *c, const char *path, const void *body, size_t length)
{
    return caller_ask(c, path, body, length, true, NULL, 0);
}

static int32_t ask_with(struct caller *c, const char *path, const void *body, size_t length,
                        const char *name, const char *value)
{
    const nghttp2_nv field = caller_field(name, value);
    return caller_ask(c, path, body, length, true, &field, 1);
}

static void end(struct bureau *b, struct caller *c)
{
    caller_free(c);
    bureau_free(b);
}

/* ---- Unary calls ---- */

static void a_call_is_answered_by_a_message_and_a_status(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct caller *c = call_on(b);
    bureau_expect(caller_hear(c, ask(c, ITH_PRIME, ITH_PRIME_5, 7)), "\0\0\0\0\2\x08\x0d", 7);
    bureau_expect(caller_hear(c, ask(c, IS_COPRIME, "\0\0\0\0\4\x08\x0e\x10\x0f", 9)),
                  "\0\0\0\0\2\x08\1", 7);
    /* Not coprime: a field that is 0 is not sent. */
    bureau_expect(caller_hear(c, ask(c, IS_COPRIME, "\0\0\0\0\4\x08\x0e\x10\x15", 9)), "\0\0\0\0\0",
                  5);
    bureau_expect(caller_hear(c, ask(c, ITH_PRIME, LONG_PRIME, 9)),
                  "\0\0\0\0\5\x08\xa7\x97\xb1\x07", 10);
    end(b, c);
}

static void many_calls_share_a_connection(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct caller *c = call_on(b);
    for (int i = 0; i < MANY; i++)
        ask(c, ITH_PRIME, ITH_PRIME_5, 7);
    for (int i = 0; i < MANY; i++)
        bureau_expect(caller_hear(c, 2 * i + 1), "\0\0\0\0\2\x08\x0d", 7);
    assert_int_equal(bureau_counters(b)->results, MANY);
    end(b, c);
}

static void what_is_wrong_with_a_call_has_its_status(void **state)
{
    (void)state;
    static const struct {
        const char *path, *body;
        size_t length;
        int status;
        const char *text;
    } wrong[] = {
        {ITH_PRIME, "\0\0\0\0\6\x08\xff\xff\xff\xff\x0f", 11, 11, "out of range"},
        {"/strait.Primes/Nth", ITH_PRIME_5, 7, 12, "no such method"},
        {"/strait.Prime/IthPrime", ITH_PRIME_5, 7, 12, "no such service"},
        {"/", ITH_PRIME_5, 7, 12, "no such service"},
        {ITH_PRIME, "\0\0\0\0\2\x08", 6, 13, "the message is cut off"},
        {ITH_PRIME, "\0\0\0", 3, 13, "the message is cut off"},
        {ITH_PRIME, "", 0, 12, "there is no message"},
        {ITH_PRIME, ITH_PRIME_5 ITH_PRIME_5, 14, 12, "more than one message"},
        {ITH_PRIME, "\0\0\0\0\1\x08", 6, 13, "the request is no such message"},
        {ITH_PRIME, "\1\0\0\0\2\x08\5", 7, 13, "a message is compressed, and by no encoding"},
        {ITH_PRIME, "\0\0\x40\0\1", 5, 8, "the message is too long"},
        {"/grpc.health.v1.Health/Check", "\0\0\0\0\3\x0a\1x", 8, 5, "no such service"},
    };
    struct bureau *b = bureau_new(false, NULL);
    struct caller *c = call_on(b);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        bureau_expect_status(caller_hear(c, ask(c, wrong[i].path, wrong[i].body, wrong[i].length)),
                             wrong[i].status, wrong[i].text);
    end(b, c);
}

static void what_is_no_grpc_has_a_status_of_http(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct caller *c = call_on(b);
    assert_int_equal(
        caller_hear(c, ask_with(c, ITH_PRIME, ITH_PRIME_5, 7, "content-type", "text/html"))->http,
        415);
    assert_int_equal(caller_hear(c, ask_with(c, ITH_PRIME, ITH_PRIME_5, 7, "content-type",
                                             "application/grpc+json"))
                         ->http,
                     415);
    assert_int_equal(caller_hear(c, ask_with(c, ITH_PRIME, "", 0, ":method", "GET"))->http, 405);
    bureau_expect(caller_hear(c, ask_with(c, ITH_PRIME, ITH_PRIME_5, 7, "content-type",
                                          "application/grpc+proto")),
                  "\0\0\0\0\2\x08\x0d", 7);
    assert_int_equal(bureau_counters(b)->requests_refused, 3);
    end(b, c);
}

/* "Compression": UNIMPLEMENTED, and what would have been understood. */
static void compression_is_refused_with_what_is_accepted(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct caller *c = call_on(b);
    const struct told *t =
        caller_hear(c, ask_with(c, ITH_PRIME, ITH_PRIME_5, 7, "grpc-encoding", "gzip"));
    bureau_expect_status(t, 12, "messages may not be compressed");
    assert_string_equal(t->accept_encoding, "identity");
    bureau_expect(
        caller_hear(c, ask_with(c, ITH_PRIME, ITH_PRIME_5, 7, "grpc-encoding", "identity")),
        "\0\0\0\0\2\x08\x0d", 7);
    end(b, c);
}

static void a_message_of_four_mebibytes_is_taken_and_a_longer_one_is_not(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct caller *c = call_on(b);
    size_t length = 5 + RPC_MESSAGE_MAX;
    /* An unknown field of almost all bytes; key 2 << 3 | 2, and the length in four. */
    static const uint8_t head[] = {0, 0, 0x40, 0, 0, 0x12, 0xfb, 0xff, 0xff, 1};
    uint8_t *body = calloc(1, length);
    assert_non_null(body);
    memcpy(body, head, sizeof(head));
    bureau_expect(caller_hear(c, ask(c, ITH_PRIME, body, length)), "\0\0\0\0\2\x08\2", 7);
    body[4] = 1;
    int32_t id = caller_ask(c, ITH_PRIME, body, length, false, NULL, 0);
    bureau_expect_status(caller_hear(c, id), 8, "the message is too long");
    assert_int_equal(caller_told(c, id)->error, NGHTTP2_NO_ERROR);
    free(body);
    end(b, c);
}

/* ---- Metadata ---- */

static void the_identity_of_a_once_call_travels_as_metadata(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(true, NULL);
    struct caller *c = call_on(b);
    static const char text[] = "strait-once-bin";
    /* client 1, sequence 9, lowest 2, in base64 by hand: 9 + 33 is 42. */
    bureau_expect(caller_hear(c, ask_with(c, ITH_PRIME, "\0\0\0\0\2\x08\x21", 7, text,
                                          "AAAAAAAAAAEAAAAAAAAACQAAAAAAAAAC")),
                  "\0\0\0\0\2\x08\x2a", 7);
    bureau_expect_status(caller_hear(c, ask(c, ITH_PRIME, ITH_PRIME_5, 7)), 3,
                         "strait-once-bin is missing or malformed");
    bureau_expect_status(caller_hear(c, ask_with(c, ITH_PRIME, ITH_PRIME_5, 7, text, "AAAA")), 3,
                         "strait-once-bin is missing or malformed");
    end(b, c);
}

static void header_fields_that_are_too_long_are_refused(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct caller *c = call_on(b);
    char value[9000];
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    bureau_expect_status(caller_hear(c, ask_with(c, ITH_PRIME, ITH_PRIME_5, 7, "x-long", value)), 8,
                         "the header fields are too long");
    bureau_expect(caller_hear(c, ask(c, ITH_PRIME, ITH_PRIME_5, 7)), "\0\0\0\0\2\x08\x0d", 7);
    end(b, c);
}

/* ---- Time ---- */

static void a_call_ends_at_its_deadline(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct caller *c = call_on(b);
    pair_work_takes(b->pair, 10 * PAIR_S);
    caller_run(c, 50 * PAIR_MS);
    struct strait_env *env = pair_env(b->pair);
    uint64_t began_ns = env->now(env);
    int32_t id = ask_with(c, ITH_PRIME, LONG_PRIME, 9, "grpc-timeout", "300m");
    bureau_expect_status(caller_hear(c, id), 4, "deadline exceeded");
    uint64_t took_ns = env->now(env) - began_ns;
    assert_in_range(took_ns, 300 * PAIR_MS, 330 * PAIR_MS);
    assert_int_equal(bureau_counters(b)->cancelled, 1);
    bureau_expect_status(
        caller_hear(c, ask_with(c, ITH_PRIME, ITH_PRIME_5, 7, "grpc-timeout", "0m")), 4,
        "deadline exceeded");
    bureau_expect_status(
        caller_hear(c, ask_with(c, ITH_PRIME, ITH_PRIME_5, 7, "grpc-timeout", "5x")), 13,
        "grpc-timeout is malformed");
    end(b, c);
}

static void a_request_that_never_becomes_whole_is_cut_off(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct caller *c = call_on(b);
    int32_t id = caller_ask(c, ITH_PRIME, ITH_PRIME_5, 4, false, NULL, 0);
    caller_run(c, 9 * PAIR_S);
    assert_false(caller_told(c, id)->closed);
    bureau_expect_status(caller_hear(c, id), 4, "deadline exceeded");
    assert_int_equal(bureau_counters(b)->requests_cut_off, 1);
    end(b, c);
}

static void a_reset_of_the_stream_cancels_the_call(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct caller *c = call_on(b);
    pair_work_takes(b->pair, 10 * PAIR_S);
    int32_t id = ask(c, ITH_PRIME, LONG_PRIME, 9);
    caller_run(c, 50 * PAIR_MS);
    nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    caller_run(c, 50 * PAIR_MS);
    assert_int_equal(bureau_counters(b)->cancelled, 1);
    bureau_expect(caller_hear(c, ask(c, ITH_PRIME, ITH_PRIME_5, 7)), "\0\0\0\0\2\x08\x0d", 7);
    end(b, c);
}

static void the_end_of_the_connection_cancels_its_calls(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct caller *c = call_on(b);
    pair_work_takes(b->pair, 10 * PAIR_S);
    for (int i = 0; i < 3; i++)
        ask(c, ITH_PRIME, LONG_PRIME, 9);
    caller_run(c, 50 * PAIR_MS);
    caller_free(c);
    pair_run(b->pair, PAIR_S);
    assert_int_equal(bureau_counters(b)->cancelled, 3);
    bureau_free(b);
}

/* ---- Streams ---- */

/* A reader that takes nothing holds the procedure up, and nothing else. */
static void a_procedure_waits_for_its_reader(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(true, NULL);
    struct caller *c = call_on(b);
    b->to_send = 1000;
    c->lazy = true;
    int32_t id = ask(c, IS_COPRIME, "\0\0\0\0\0", 5);
    caller_run(c, 5 * PAIR_S);
    /* The window of a stream, 65535 bytes, and what may wait, 65536: 131 messages of 1005. */
    assert_in_range(b->sent, 129, 132);
    size_t heard = caller_told(c, id)->body_bytes;
    assert_int_equal(heard, 65535);
    c->lazy = false;
    nghttp2_session_consume(c->session, id, heard);
    const struct told *t = caller_hear(c, id);
    assert_int_equal(t->status, 0);
    assert_int_equal(t->body_bytes, 1000 * 1005);
    end(b, c);
}

static void a_stream_that_is_reset_cancels_its_procedure(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(true, NULL);
    struct caller *c = call_on(b);
    b->to_send = 1000;
    c->lazy = true;
    int32_t id = ask(c, IS_COPRIME, "\0\0\0\0\0", 5);
    caller_run(c, PAIR_S);
    nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    caller_run(c, PAIR_S);
    assert_int_equal(b->cancelled, 1);
    end(b, c);
}

static void who_watches_health_is_told_of_changes(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct caller *c = call_on(b);
    int32_t id = ask(c, "/grpc.health.v1.Health/Watch", "\0\0\0\0\0", 5);
    int32_t unknown = ask(c, "/grpc.health.v1.Health/Watch", "\0\0\0\0\3\x0a\1x", 8);
    caller_run(c, 50 * PAIR_MS);
    assert_int_equal(caller_told(c, id)->body_bytes, 7);
    health_set(b->offer.health, false);
    caller_run(c, 50 * PAIR_MS);
    assert_int_equal(caller_told(c, id)->body_bytes, 14);
    assert_memory_equal(caller_told(c, id)->body, "\0\0\0\0\2\x08\1\0\0\0\0\2\x08\2", 14);
    assert_memory_equal(caller_told(c, unknown)->body, "\0\0\0\0\2\x08\3", 7);
    end(b, c);
}

/* Tells a watcher, to whom nothing passes, until there is no room. Returns how many messages there
 * were. */
static size_t fill_watcher(struct bureau *b, struct caller *c, int32_t *id)
{
    const struct rpc_counters *counters = rpc_counters(b->offer.rpc);
    *id = ask(c, "/grpc.health.v1.Health/Watch", "\0\0\0\0\0", 5);
    caller_run(c, 50 * PAIR_MS);
    for (uint64_t before = 0; before != counters->messages;) {
        assert_in_range(counters->messages, 1, 20000);
        before = counters->messages;
        health_set(b->offer.health, true);
    }
    return counters->messages;
}

static void a_watcher_without_room_is_told_how_it_is_when_there_is_some(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct caller *c = call_on(b);
    int32_t id;
    size_t messages = fill_watcher(b, c, &id);
    health_set(b->offer.health, true);
    health_set(b->offer.health, false);
    caller_run(c, PAIR_S);
    const struct told *t = caller_told(c, id);
    assert_int_equal(t->body_bytes, 7 * (messages + 1));
    assert_memory_equal(t->body + 7 * (messages - 1), "\0\0\0\0\2\x08\1\0\0\0\0\2\x08\2", 14);
    health_set(b->offer.health, true);
    caller_run(c, PAIR_S);
    assert_int_equal(t->body_bytes, 7 * (messages + 2));
    end(b, c);
}

static void a_watcher_that_has_missed_nothing_is_told_nothing_when_there_is_room(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct caller *c = call_on(b);
    int32_t id;
    size_t messages = fill_watcher(b, c, &id);
    end(b, c);
    b = bureau_new(false, NULL);
    c = call_on(b);
    id = ask(c, "/grpc.health.v1.Health/Watch", "\0\0\0\0\0", 5);
    caller_run(c, 50 * PAIR_MS);
    for (size_t i = 1; i < messages; i++)
        health_set(b->offer.health, true);
    caller_run(c, PAIR_S);
    assert_int_equal(caller_told(c, id)->body_bytes, 7 * messages);
    end(b, c);
}

/* Each request of a conversation is answered before the client has ended it. */
static void reflection_answers_message_by_message(void **state)
{
    (void)state;
    static const char path[] = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    struct bureau *b = bureau_new(false, NULL);
    struct caller *c = call_on(b);
    int32_t id = caller_ask(c, path, "\0\0\0\0\2\x3a\0", 7, false, NULL, 0);
    caller_run(c, 50 * PAIR_MS);
    struct told *t = caller_told(c, id);
    size_t first = t->body_bytes;
    assert_true(first > 5);
    /* original_request, then list_services_response, whose first service is strait.Primes. */
    assert_memory_equal(t->body + 5, "\x12\2\x3a\0\x32", 5);
    assert_memory_equal(t->body + 11, "\x0a\x0f\x0a\x0dstrait.Primes", 17);
    caller_say(c, id, "\0\0\0\0\4\x22\2no", 9, true);
    caller_hear(c, id);
    assert_int_equal(t->status, 0);
    /* An error response in the conversation: NOT_FOUND. */
    assert_memory_equal(t->body + first + 5, "\x12\4\x22\2no\x3a\x18\x08\5", 10);
    end(b, c);
}

static void reflection_describes_a_method_by_its_file(void **state)
{
    (void)state;
    static const char path[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
    struct bureau *b = bureau_new(false, NULL);
    struct caller *c = call_on(b);
    int32_t id = ask(c, path, "\0\0\0\0\x18\x22\x16strait.Primes.IthPrime", 29);
    const struct told *t = caller_hear(c, id);
    assert_int_equal(t->status, 0);
    assert_non_null(memmem(t->body, t->body_bytes, "\x0a\x13primes/primes.proto\x12\6strait", 29));
    end(b, c);
}

/* ---- The end ---- */

static void a_server_that_stops_answers_what_it_has_and_refuses_the_rest(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct caller *c = call_on(b);
    pair_work_takes(b->pair, PAIR_S);
    int32_t slow = ask(c, ITH_PRIME, LONG_PRIME, 9);
    int32_t watch = ask(c, "/grpc.health.v1.Health/Watch", "\0\0\0\0\0", 5);
    caller_run(c, 50 * PAIR_MS);
    server_stop(b->server);
    caller_run(c, 100 * PAIR_MS);
    assert_int_equal(caller_told(c, watch)->status, 14);
    assert_int_equal(c->goaways, 2);
    assert_int_equal(c->goaway_last, watch);
    assert_int_equal(c->goaway_error, NGHTTP2_NO_ERROR);
    bureau_expect(caller_hear(c, slow), "\0\0\0\0\5\x08\xa7\x97\xb1\x07", 10);
    talker_hear_end(c->talker);
    assert_int_equal(c->talker->error, 0);
    end(b, c);
}

static void have_small_buffers(struct strait_config *config)
{
    config->send_buffer_bytes = config->receive_buffer_bytes = 100000;
}

/* So many answers of 60 kB wait for their reader when the server stops. */
static void stop_with_answers(size_t calls)
{
    const size_t pieces = 60;
    size_t bytes = 0;
    const struct pair_config pair = {.configure = have_small_buffers};
    struct bureau *b = bureau_new_on(&pair, true, NULL);
    struct caller *c = call_on(b);
    c->lazy = true;
    for (size_t i = 0; i < calls; i++) {
        b->to_send += pieces;
        ask(c, IS_COPRIME, "\0\0\0\0\0", 5);
        caller_run(c, 20 * PAIR_MS);
    }
    caller_run(c, 20 * PAIR_MS);
    assert_int_equal(b->sent, pieces * calls);
    server_stop(b->server);
    caller_run(c, 50 * PAIR_MS);
    nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, 16 << 20);
    talker_be_deaf(c->talker, true);
    caller_run(c, 200 * PAIR_MS);
    talker_be_deaf(c->talker, false);
    for (size_t i = 0; i < calls; i++) {
        const struct told *t = caller_hear(c, (int32_t)(2 * i + 1));
        assert_int_equal(t->status, 0);
        bytes += t->body_bytes;
    }
    assert_int_equal(bytes, pieces * calls * 1005);
    talker_hear_end(c->talker);
    assert_int_equal(c->talker->error, 0);
    end(b, c);
}

/* Once, what is left over when the sockets take no more is the last that there is. */
static void a_server_that_stops_ends_behind_the_last_byte(void **state)
{
    (void)state;
    for (size_t calls = 1; calls <= 8; calls++)
        stop_with_answers(calls);
}

static void a_connection_without_an_answer_to_a_ping_is_ended(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct caller *c = call_on(b);
    bureau_expect(caller_hear(c, ask(c, ITH_PRIME, ITH_PRIME_5, 7)), "\0\0\0\0\2\x08\x0d", 7);
    caller_run(c, 300 * PAIR_S); /* it answers */
    assert_int_equal(server_sessions(b->server), 1);
    talker_be_deaf(c->talker, true);
    pair_run(b->pair, 141 * PAIR_S);
    assert_int_equal(server_sessions(b->server), 0);
    assert_int_equal(bureau_counters(b)->silent, 1);
    end(b, c);
}

static void the_connection_that_was_idle_for_the_longest_time_makes_room(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, &(struct grpc_config){.sessions_max = 2});
    struct caller *busy = call_on(b), *quiet = call_on(b);
    pair_work_takes(b->pair, 2 * PAIR_S);
    int32_t id = ask(busy, ITH_PRIME, LONG_PRIME, 9);
    caller_run(busy, 50 * PAIR_MS);
    caller_run(quiet, 50 * PAIR_MS);
    bureau_expect_service(b);
    assert_true(quiet->talker->ended);
    assert_int_equal(bureau_counters(b)->sessions_displaced, 1);
    bureau_expect(caller_hear(busy, id), "\0\0\0\0\5\x08\xa7\x97\xb1\x07", 10);
    caller_free(quiet);
    end(b, busy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_is_answered_by_a_message_and_a_status),
        cmocka_unit_test(many_calls_share_a_connection),
        cmocka_unit_test(what_is_wrong_with_a_call_has_its_status),
        cmocka_unit_test(what_is_no_grpc_has_a_status_of_http),
        cmocka_unit_test(compression_is_refused_with_what_is_accepted),
        cmocka_unit_test(a_message_of_four_mebibytes_is_taken_and_a_longer_one_is_not),
        cmocka_unit_test(the_identity_of_a_once_call_travels_as_metadata),
        cmocka_unit_test(header_fields_that_are_too_long_are_refused),
        cmocka_unit_test(a_call_ends_at_its_deadline),
        cmocka_unit_test(a_request_that_never_becomes_whole_is_cut_off),
        cmocka_unit_test(a_reset_of_the_stream_cancels_the_call),
        cmocka_unit_test(the_end_of_the_connection_cancels_its_calls),
        cmocka_unit_test(a_procedure_waits_for_its_reader),
        cmocka_unit_test(a_stream_that_is_reset_cancels_its_procedure),
        cmocka_unit_test(who_watches_health_is_told_of_changes),
        cmocka_unit_test(a_watcher_without_room_is_told_how_it_is_when_there_is_some),
        cmocka_unit_test(a_watcher_that_has_missed_nothing_is_told_nothing_when_there_is_room),
        cmocka_unit_test(reflection_answers_message_by_message),
        cmocka_unit_test(reflection_describes_a_method_by_its_file),
        cmocka_unit_test(a_server_that_stops_answers_what_it_has_and_refuses_the_rest),
        cmocka_unit_test(a_server_that_stops_ends_behind_the_last_byte),
        cmocka_unit_test(a_connection_without_an_answer_to_a_ping_is_ended),
        cmocka_unit_test(the_connection_that_was_idle_for_the_longest_time_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
