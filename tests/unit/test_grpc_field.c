/* SPDX-License-Identifier: MIT */
/* Header fields, framed messages, and the bounds on reading a message of protobuf. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "primes/primes.pb-c.h"
#include "rpc/described.pb-c.h"
#include "rpc/grpc_field.h"
#include "rpc/grpc_frame.h"
#include "rpc/message.h"

/* ---- Fields ---- */

static void a_timeout_is_a_number_and_a_unit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ns;
    } sound[] = {
        {"1n", 1},
        {"20u", 20000},
        {"300m", 300 * RPC_MS},
        {"0S", 0},
        {"7S", 7 * RPC_S},
        {"2M", 120 * RPC_S},
        {"1H", 3600 * RPC_S},
        {"99999999H", RPC_DEADLINE_MAX_NS},
    };
    static const char *const wrong[] = {"", "5", "S", "-1S", "1.5S", "123456789n", "1s", "1 S"};
    uint64_t ns;
    for (size_t i = 0; i < sizeof(sound) / sizeof(sound[0]); i++) {
        assert_true(grpc_timeout_read(sound[i].text, strlen(sound[i].text), &ns));
        assert_int_equal(ns, sound[i].ns);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(grpc_timeout_read(wrong[i], strlen(wrong[i]), &ns));
}

static void a_timeout_is_written_in_the_finest_unit_that_fits(void **state)
{
    (void)state;
    char text[GRPC_TIMEOUT_BYTES + 1];
    assert_int_equal(grpc_timeout_write(99999999, text), 9);
    assert_string_equal(text, "99999999n");
    grpc_timeout_write(100000000, text);
    assert_string_equal(text, "100000u");
    grpc_timeout_write(10 * RPC_S, text);
    assert_string_equal(text, "10000000u");
    grpc_timeout_write(3600 * RPC_S, text);
    assert_string_equal(text, "3600000m");
    grpc_timeout_write(0, text);
    assert_string_equal(text, "0n");
}

static void a_message_is_percent_encoded(void **state)
{
    (void)state;
    char encoded[64], text[64];
    size_t n = grpc_message_encode("50% of \xc3\xa4\n", 10, encoded, sizeof(encoded));
    assert_int_equal(n, 18);
    assert_memory_equal(encoded, "50%25 of %C3%A4%0A", 18);
    n = grpc_message_decode("50%25 of %C3%a4%0A %zz %4", 25, text, sizeof(text));
    assert_int_equal(n, 17);
    assert_memory_equal(text, "50% of \xc3\xa4\n %zz %4", 17);
    assert_int_equal(grpc_message_encode("a%", 2, encoded, 3), 1); /* nothing half */
}

static void a_status_is_a_number_that_is_known(void **state)
{
    (void)state;
    assert_int_equal(grpc_status_read("0", 1), RPC_OK);
    assert_int_equal(grpc_status_read("16", 2), RPC_UNAUTHENTICATED);
    assert_int_equal(grpc_status_read("17", 2), RPC_UNKNOWN_ERROR);
    assert_int_equal(grpc_status_read("", 0), RPC_UNKNOWN_ERROR);
    assert_int_equal(grpc_status_read("05", 2), RPC_UNKNOWN_ERROR);
}

static void an_identity_is_24_bytes_in_base64(void **state)
{
    (void)state;
    uint8_t bytes[RPC_IDENTITY_BYTES], again[RPC_IDENTITY_BYTES];
    char text[GRPC_IDENTITY_TEXT_BYTES];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(250 + i);
    grpc_identity_write(bytes, text);
    assert_memory_equal(text, "+vv8/f7/AAECAwQFBgcICQoLDA0ODxAR", 32);
    assert_true(grpc_identity_read(text, sizeof(text), again));
    assert_memory_equal(bytes, again, sizeof(bytes));
    text[3] = '=';
    assert_false(grpc_identity_read(text, sizeof(text), again));
    assert_false(grpc_identity_read(text, 31, again));
}

/* ---- Frames ---- */

static void a_framed_message_may_come_in_pieces(void **state)
{
    (void)state;
    uint8_t bytes[5 + 300] = {0, 0, 0, 1, 44};
    memset(bytes + 5, 'm', 300);
    for (size_t split = 0; split <= sizeof(bytes); split++) {
        struct grpc_frame f = {.max = 300};
        assert_int_equal(grpc_frame_feed(&f, bytes, split), split);
        assert_int_equal(grpc_frame_feed(&f, bytes + split, sizeof(bytes) - split),
                         sizeof(bytes) - split);
        assert_int_equal(f.state, GRPC_FRAME_WHOLE);
        assert_memory_equal(grpc_bytes(&f.message), bytes + 5, 300);
        grpc_frame_next(&f);
    }
}

static void no_more_is_taken_than_belongs_to_a_message(void **state)
{
    (void)state;
    struct grpc_frame f = {.max = 2};
    assert_int_equal(grpc_frame_feed(&f, (const uint8_t *)"\0\0\0\0\2xyz", 8), 7);
    assert_int_equal(f.state, GRPC_FRAME_WHOLE);
    grpc_frame_next(&f);
    assert_int_equal(grpc_frame_feed(&f, (const uint8_t *)"\0\0\0\0\0\0", 6), 5);
    assert_int_equal(f.state, GRPC_FRAME_WHOLE);
    grpc_frame_next(&f);
    assert_int_equal(grpc_frame_feed(&f, (const uint8_t *)"\0\0\0\0\3xyz", 8), 5);
    assert_int_equal(f.state, GRPC_FRAME_LONG);
}

/* ---- Messages ---- */

static bool reads(const ProtobufCMessageDescriptor *d, const void *bytes, size_t length)
{
    struct message_arena arena;
    message_arena_init(&arena);
    bool is_message = message_unpack(&arena, d, bytes, length) != NULL;
    message_arena_free(&arena);
    return is_message;
}

/* Types in types, as nested_type (3), each of the length of all below. Returns where it begins. */
static size_t nest(uint8_t *bytes, size_t room, int depth)
{
    size_t at = room;
    for (int i = 0; i < depth; i++) {
        size_t length = room - at;
        bytes[--at] = (uint8_t)(length >> 7);
        bytes[--at] = (uint8_t)(length | 0x80);
        bytes[--at] = 3 << 3 | 2;
    }
    return at;
}

static void messages_in_messages_have_a_bound(void **state)
{
    (void)state;
    uint8_t bytes[1000];
    size_t at = nest(bytes, sizeof(bytes), MESSAGE_DEPTH_MAX - 1);
    assert_true(reads(&strait__described__type__descriptor, bytes + at, sizeof(bytes) - at));
    at = nest(bytes, sizeof(bytes), MESSAGE_DEPTH_MAX);
    assert_false(reads(&strait__described__type__descriptor, bytes + at, sizeof(bytes) - at));
}

/* Two bytes for each field, but much more memory. */
static void a_message_that_needs_too_much_memory_is_none(void **state)
{
    (void)state;
    size_t length = RPC_MESSAGE_MAX;
    uint8_t *bytes = calloc(1, length);
    assert_non_null(bytes);
    for (size_t i = 0; i < length; i += 2)
        bytes[i] = 0x3a; /* an unknown field, 7, of no bytes */
    assert_false(reads(&strait__ith_prime_request__descriptor, bytes, length));
    assert_true(reads(&strait__ith_prime_request__descriptor, bytes, 20000));
    free(bytes);
}

static void the_words_of_a_message_are_its_fields(void **state)
{
    (void)state;
    uint8_t words[8], bytes[MESSAGE_OF_WORDS_MAX];
    const ProtobufCMessageDescriptor *d = &strait__is_coprime_request__descriptor;
    assert_true(message_is_words(d, 8));
    assert_false(message_is_words(d, 4));
    assert_false(message_is_words(&strait__described__file__descriptor, 4));
    /* The order on the wire is free, and what comes last counts. */
    assert_true(message_to_words(d, (const uint8_t *)"\x10\5\x08\7\x08\xac\2", 7, words));
    assert_memory_equal(words, "\0\0\1\x2c\0\0\0\5", 8);
    assert_int_equal(message_from_words(d, words, bytes), 5);
    assert_memory_equal(bytes, "\x08\xac\2\x10\5", 5);
    assert_false(message_to_words(d, (const uint8_t *)"\x10", 1, words));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timeout_is_a_number_and_a_unit),
        cmocka_unit_test(a_timeout_is_written_in_the_finest_unit_that_fits),
        cmocka_unit_test(a_message_is_percent_encoded),
        cmocka_unit_test(a_status_is_a_number_that_is_known),
        cmocka_unit_test(an_identity_is_24_bytes_in_base64),
        cmocka_unit_test(a_framed_message_may_come_in_pieces),
        cmocka_unit_test(no_more_is_taken_than_belongs_to_a_message),
        cmocka_unit_test(messages_in_messages_have_a_bound),
        cmocka_unit_test(a_message_that_needs_too_much_memory_is_none),
        cmocka_unit_test(the_words_of_a_message_are_its_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
