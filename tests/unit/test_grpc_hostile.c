/* SPDX-License-Identifier: MIT */
/*
 * What no honest client says to the gRPC server: frames that are malformed, that have no end, or
 * that cost it more than their sender. Each has a bounded effect and a clear end, and others are
 * served. Frames are written by hand, after RFC 9113 4.1: length in 3 bytes, type, flags, stream
 * in 4.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "bureau.h"

#define PREFACE  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define SETTINGS "\0\0\0\4\0\0\0\0\0"
#define HELLO    PREFACE SETTINGS

/* Types of frames, and their flags. */
enum { DATA = 0, HEADERS = 1, PRIORITY = 2, RST_STREAM = 3, PUSH = 5, PING = 6, CONTINUATION = 9 };
enum { END_STREAM = 1, END_HEADERS = 4, PADDED = 8 };

/*
 * A request for IthPrime in HPACK without Huffman or table (RFC 7541 6.2.2 and its table of static
 * entries): :method POST, :scheme http, :authority, :path, content-type.
 */
#define REQUEST                                                                                    \
    "\x83\x86\x01\1x\x04\x17/strait.Primes/IthPrime\x0f\x10\x10"                                   \
    "application/grpc"

struct bytes {
    uint8_t *at;
    size_t length;
};

static void put(struct bytes *b, const void *bytes, size_t length)
{
    b->at = realloc(b->at, b->length + length);
    assert_non_null(b->at);
    if (length > 0)
        memcpy(b->at + b->length, bytes, length);
    b->length += length;
}

static void put_frame(struct bytes *b, int type, int flags, uint32_t stream, const void *payload,
                      size_t length)
{
    uint8_t head[9] = {(uint8_t)(length >> 16),
                       (uint8_t)(length >> 8),
                       (uint8_t)length,
                       (uint8_t)type,
                       (uint8_t)flags,
                       0,
                       0,
                       0,
                       0};
    rpc_put32(head + 5, stream);
    put(b, head, sizeof(head));
    put(b, payload, length);
}

static void put_request(struct bytes *b, uint32_t stream, bool whole)
{
    put_frame(b, HEADERS, END_HEADERS, stream, REQUEST, sizeof(REQUEST) - 1);
    if (whole)
        put_frame(b, DATA, END_STREAM, stream, ITH_PRIME_5, 7);
}

static struct bytes hello(void)
{
    struct bytes b = {0};
    put(&b, HELLO, sizeof(HELLO) - 1);
    return b;
}

/* Says it all and lets some time pass. */
static struct talker *say(struct bureau *b, struct bytes bytes)
{
    struct talker *t = talker_connect(b->pair, 0, BUREAU_PORT);
    talker_say(t, bytes.at, bytes.length);
    pair_run(b->pair, 2 * PAIR_S);
    return t;
}

/* The last frame that was received, if it is a GOAWAY, says why; else UINT32_MAX. */
static uint32_t goaway_error(const struct talker *t)
{
    uint32_t error = UINT32_MAX;
    for (size_t at = 0; at + 9 <= t->received_bytes;) {
        const uint8_t *frame = (const uint8_t *)t->received + at;
        size_t length = (size_t)frame[0] << 16 | (size_t)frame[1] << 8 | frame[2];
        if (frame[3] == 7)
            error = rpc_get32(frame + 9 + 4);
        at += 9 + length;
    }
    return error;
}

/* How many frames of a type were received. */
static size_t frames(const struct talker *t, int type)
{
    size_t count = 0;
    for (size_t at = 0; at + 9 <= t->received_bytes;) {
        const uint8_t *frame = (const uint8_t *)t->received + at;
        count += frame[3] == type;
        at += 9 + ((size_t)frame[0] << 16 | (size_t)frame[1] << 8 | frame[2]);
    }
    return count;
}

/* The connection has ended, with this GOAWAY, and others are served. */
static void expect_end(struct bureau *b, struct bytes bytes, uint32_t error)
{
    struct talker *t = say(b, bytes);
    assert_true(t->ended || t->error != 0);
    assert_int_equal(goaway_error(t), error);
    talker_close(t);
    free(bytes.at);
    bureau_expect_service(b);
}

/* ---- Sound bytes, in pieces ---- */

static void a_request_may_come_in_two_pieces_anywhere(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct bytes request = hello();
    put_request(&request, 1, true);
    for (size_t split = 1; split < request.length; split++) {
        struct talker *t = talker_connect(b->pair, 0, BUREAU_PORT);
        talker_say(t, request.at, split);
        pair_run(b->pair, 20 * PAIR_MS);
        talker_say(t, request.at + split, request.length - split);
        pair_run(b->pair, 20 * PAIR_MS);
        assert_int_equal(frames(t, HEADERS), 2);
        talker_close(t);
    }
    assert_int_equal(bureau_counters(b)->results, request.length - 1);
    free(request.at);
    bureau_free(b);
}

/* ---- Malformed ---- */

static void bytes_that_are_no_http2_end_the_connection(void **state)
{
    (void)state;
    static const char get[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    struct bureau *b = bureau_new(false, NULL);
    struct bytes bytes = {0};
    put(&bytes, get, sizeof(get) - 1);
    struct talker *t = say(b, bytes);
    assert_true(t->ended || t->error != 0);
    talker_close(t);
    free(bytes.at);
    assert_int_equal(bureau_counters(b)->protocol_errors, 1);
    bureau_expect_service(b);
    bureau_free(b);
}

/* Each a fault of the connection, with the error that RFC 9113 has for it. */
static void a_fault_of_the_connection_ends_it_rfc9113_5_4_1(void **state)
{
    (void)state;
    static const struct {
        int type, flags;
        uint32_t stream;
        const char *payload;
        size_t length;
        uint32_t error;
    } faults[] = {
        {DATA, 0, 1, "x", 1, NGHTTP2_PROTOCOL_ERROR}, /* 5.1: an idle stream */
        {DATA, 0, 0, "x", 1, NGHTTP2_PROTOCOL_ERROR}, /* 6.1 */
        {HEADERS, END_HEADERS, 2, REQUEST, sizeof(REQUEST) - 1,
         NGHTTP2_PROTOCOL_ERROR}, /* 5.1.1: an even one */
        {HEADERS, END_HEADERS, 0, REQUEST, sizeof(REQUEST) - 1, NGHTTP2_PROTOCOL_ERROR},
        {HEADERS, END_HEADERS | PADDED, 1, "\xff", 1, NGHTTP2_PROTOCOL_ERROR}, /* 6.2 */
        {HEADERS, END_HEADERS, 1, "\xff\xff\xff\xff\xff\xff", 6, NGHTTP2_COMPRESSION_ERROR},
        {RST_STREAM, 0, 1, "\0\0\0\1", 4, NGHTTP2_PROTOCOL_ERROR}, /* 6.4: an idle one */
        {RST_STREAM, 0, 1, "\0", 1, NGHTTP2_FRAME_SIZE_ERROR},
        {PING, 0, 0, "\0", 1, NGHTTP2_FRAME_SIZE_ERROR},               /* 6.7 */
        {4, 0, 0, "\0", 1, NGHTTP2_FRAME_SIZE_ERROR},                  /* 6.5 */
        {PUSH, END_HEADERS, 1, "\0\0\0\2", 4, NGHTTP2_PROTOCOL_ERROR}, /* 8.4 */
        {CONTINUATION, 0, 1, "", 0, NGHTTP2_PROTOCOL_ERROR},           /* 6.10 */
        {8, 0, 0, "\0\0\0\0", 4, NGHTTP2_PROTOCOL_ERROR},              /* 6.9: an increment of 0 */
        {8, 0, 0, "\x7f\xff\xff\xff", 4, NGHTTP2_FLOW_CONTROL_ERROR},  /* 6.9.1 */
    };
    struct bureau *b = bureau_new(false, NULL);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        struct bytes bytes = hello();
        put_frame(&bytes, faults[i].type, faults[i].flags, faults[i].stream, faults[i].payload,
                  faults[i].length);
        expect_end(b, bytes, faults[i].error);
    }
    bureau_free(b);
}

static void a_frame_that_is_too_long_ends_the_connection_rfc9113_4_2(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct bytes bytes = hello();
    uint8_t *payload = calloc(1, 16385);
    put_frame(&bytes, DATA, 0, 1, payload, 16385);
    free(payload);
    expect_end(b, bytes, NGHTTP2_FRAME_SIZE_ERROR);
    bureau_free(b);
}

static void a_stream_number_that_goes_down_is_not_answered_rfc9113_5_1_1(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct bytes bytes = hello();
    put_request(&bytes, 9, true);
    put_request(&bytes, 5, true);
    struct talker *t = say(b, bytes);
    assert_int_equal(bureau_counters(b)->calls, 1);
    talker_close(t);
    free(bytes.at);
    bureau_expect_service(b);
    bureau_free(b);
}

/* RFC 9113 8.1.1: the stream alone is reset. */
static void a_malformed_request_is_reset_and_others_go_on_rfc9113_8_1_1(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct bytes bytes = hello();
    put_frame(&bytes, HEADERS, END_HEADERS | END_STREAM, 1, "\x83\x83", 2); /* twice :method */
    put_frame(&bytes, HEADERS, END_HEADERS | END_STREAM, 3, "\x83", 1);     /* no :path */
    put_request(&bytes, 5, true);
    struct talker *t = say(b, bytes);
    assert_false(t->ended);
    assert_int_equal(frames(t, RST_STREAM), 2);
    assert_int_equal(frames(t, HEADERS), 2);
    assert_int_equal(bureau_counters(b)->results, 1);
    talker_close(t);
    free(bytes.at);
    bureau_free(b);
}

/* ---- Floods ---- */

/* Rapid reset, CVE-2023-44487. */
static void streams_that_are_reset_at_once_are_rationed(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    pair_work_takes(b->pair, PAIR_S);
    struct bytes bytes = hello();
    for (uint32_t i = 0; i < 3000; i++) {
        put_frame(&bytes, HEADERS, END_HEADERS, 2 * i + 1, REQUEST, sizeof(REQUEST) - 1);
        put_frame(&bytes, DATA, END_STREAM, 2 * i + 1, LONG_PRIME, 9);
        put_frame(&bytes, RST_STREAM, 0, 2 * i + 1, "\0\0\0\x08", 4);
    }
    expect_end(b, bytes, NGHTTP2_ENHANCE_YOUR_CALM);
    assert_int_equal(bureau_counters(b)->floods, 1);
    assert_in_range(bureau_counters(b)->calls, 1000, 2300);
    bureau_free(b);
}

/* As many as may be open may be cancelled together. */
static void a_thousand_calls_may_be_cancelled_at_once(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct bytes bytes = hello();
    for (uint32_t i = 0; i < 1000; i++) {
        put_request(&bytes, 2 * i + 1, false);
        put_frame(&bytes, RST_STREAM, 0, 2 * i + 1, "\0\0\0\x08", 4);
    }
    struct talker *t = say(b, bytes);
    assert_false(t->ended);
    assert_int_equal(bureau_counters(b)->floods, 0);
    talker_close(t);
    free(bytes.at);
    bureau_free(b);
}

static void flood(int type, int flags, uint32_t stream, const char *payload, size_t length)
{
    struct bureau *b = bureau_new(false, NULL);
    struct bytes bytes = hello();
    if (stream != 0)
        put_request(&bytes, stream, false);
    for (int i = 0; i < 5000; i++)
        put_frame(&bytes, type, flags, stream, payload, length);
    expect_end(b, bytes, NGHTTP2_ENHANCE_YOUR_CALM);
    assert_int_equal(bureau_counters(b)->floods, 1);
    bureau_free(b);
}

static void frames_that_carry_nothing_are_rationed(void **state)
{
    (void)state;
    flood(PING, 0, 0, "12345678", 8);
    flood(4, 0, 0, "", 0);
    flood(4, 0, 0, "\0\4\0\1\0\0", 6);
    flood(DATA, 0, 1, "", 0);
    flood(PRIORITY, 0, 1, "\0\0\0\0\1", 5);
}

/* gRPC's keepalive: two may come early, the third is too many; data in between forgives them. */
static void pings_that_come_too_often_end_the_connection(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct caller *c = caller_new(b->pair, BUREAU_PORT);
    for (int i = 0; i < 5; i++) {
        nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
        caller_run(c, PAIR_S);
        bureau_expect(caller_hear(c, caller_ask(c, ITH_PRIME, ITH_PRIME_5, 7, true, NULL, 0)),
                      "\0\0\0\0\2\x08\x0d", 7);
    }
    for (int i = 0; i < 3; i++) {
        nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
        caller_run(c, 11 * PAIR_S);
    }
    for (int i = 0; i < 3; i++) { /* the first is not early */
        nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
        caller_run(c, PAIR_S);
    }
    assert_int_equal(c->goaways, 0);
    nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
    caller_run(c, PAIR_S);
    assert_int_equal(c->goaways, 1);
    assert_int_equal(c->goaway_error, NGHTTP2_ENHANCE_YOUR_CALM);
    assert_string_equal(c->goaway_text, "too_many_pings");
    caller_free(c);
    bureau_free(b);
}

/* CVE-2024-28182. */
static void a_header_without_end_ends_the_connection(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct bytes bytes = hello();
    put_frame(&bytes, HEADERS, 0, 1, REQUEST, sizeof(REQUEST) - 1);
    for (int i = 0; i < 1000; i++)
        put_frame(&bytes, CONTINUATION, 0, 1, "\x40\1x\1y", 5);
    struct talker *t = say(b, bytes);
    assert_true(t->ended || t->error != 0);
    talker_close(t);
    free(bytes.at);
    bureau_expect_service(b);
    bureau_free(b);
}

/* An entry of the table of 4000 bytes, named 16000 times by a byte each: 64 MB of fields. */
static void a_header_bomb_is_refused_and_costs_no_memory(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct bytes bytes = hello(), block = {0};
    uint8_t value[4000];
    memset(value, 'v', sizeof(value));
    put(&block, REQUEST, sizeof(REQUEST) - 1);
    put(&block, "\x40\1x\x7f\xa1\x1e", 6); /* x: 127 + 33 + 30 * 128 = 4000 bytes, to be entry 62 */
    put(&block, value, sizeof(value));
    for (int i = 0; i < 12000; i++)
        put(&block, "\xbe", 1);
    put_frame(&bytes, HEADERS, END_HEADERS | END_STREAM, 1, block.at, block.length);
    put_request(&bytes, 3, true);
    struct talker *t = say(b, bytes);
    assert_false(t->ended);
    assert_int_equal(bureau_counters(b)->requests_refused, 1);
    assert_int_equal(bureau_counters(b)->results, 1);
    talker_close(t);
    free(bytes.at);
    free(block.at);
    bureau_free(b);
}

/* More streams than were allowed: those are refused, and the client knows that they did not run. */
static void streams_beyond_the_limit_are_refused_rfc9113_5_1_2(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct bytes bytes = hello();
    put_frame(&bytes, 4, 1, 0, "", 0); /* the settings of the server are acknowledged */
    for (uint32_t i = 0; i < 1010; i++)
        put_request(&bytes, 2 * i + 1, false);
    struct talker *t = say(b, bytes);
    assert_true(t->ended || frames(t, RST_STREAM) == 10);
    talker_close(t);
    free(bytes.at);
    bureau_expect_service(b);
    bureau_free(b);
}

/* What is promised is not what is kept: memory follows what has come. */
static void messages_that_never_come_take_no_memory(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct bytes bytes = hello();
    for (uint32_t i = 0; i < 900; i++) {
        put_request(&bytes, 2 * i + 1, false);
        put_frame(&bytes, DATA, 0, 2 * i + 1, "\0\0\x3f\xff\xff", 5);
    }
    struct talker *t = say(b, bytes);
    bureau_expect_service(b);
    assert_int_equal(bureau_counters(b)->memory_short, 0);
    pair_run(b->pair, 10 * PAIR_S);
    assert_int_equal(bureau_counters(b)->requests_cut_off, 900);
    talker_close(t);
    free(bytes.at);
    bureau_free(b);
}

/* A peer that reads nothing while it has answers made for it is left at last. */
static void a_peer_that_does_not_read_is_left(void **state)
{
    (void)state;
    struct bureau *b = bureau_new(false, NULL);
    struct bytes bytes = hello();
    for (uint32_t i = 0; i < 20000; i++)
        put_request(&bytes, 2 * i + 1, true);
    struct talker *t = talker_connect(b->pair, 0, BUREAU_PORT);
    talker_be_deaf(t, true);
    talker_say(t, bytes.at, bytes.length);
    pair_run(b->pair, 200 * PAIR_S);
    assert_int_equal(server_sessions(b->server), 0);
    talker_close(t);
    free(bytes.at);
    bureau_expect_service(b);
    bureau_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_may_come_in_two_pieces_anywhere),
        cmocka_unit_test(bytes_that_are_no_http2_end_the_connection),
        cmocka_unit_test(a_fault_of_the_connection_ends_it_rfc9113_5_4_1),
        cmocka_unit_test(a_frame_that_is_too_long_ends_the_connection_rfc9113_4_2),
        cmocka_unit_test(a_stream_number_that_goes_down_is_not_answered_rfc9113_5_1_1),
        cmocka_unit_test(a_malformed_request_is_reset_and_others_go_on_rfc9113_8_1_1),
        cmocka_unit_test(streams_that_are_reset_at_once_are_rationed),
        cmocka_unit_test(a_thousand_calls_may_be_cancelled_at_once),
        cmocka_unit_test(frames_that_carry_nothing_are_rationed),
        cmocka_unit_test(pings_that_come_too_often_end_the_connection),
        cmocka_unit_test(a_header_without_end_ends_the_connection),
        cmocka_unit_test(a_header_bomb_is_refused_and_costs_no_memory),
        cmocka_unit_test(streams_beyond_the_limit_are_refused_rfc9113_5_1_2),
        cmocka_unit_test(messages_that_never_come_take_no_memory),
        cmocka_unit_test(a_peer_that_does_not_read_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
