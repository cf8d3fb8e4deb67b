/* SPDX-License-Identifier: MIT */
/*
 * The gRPC client and servers that answer what they should not: frames as bytes, by hand (RFC 9113
 * 4 to 6, RFC 7541 6), against "gRPC over HTTP2".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "offer.h"
#include "primes/stubs.h"
#include "rpc/client.h"
#include "rpc/h2.h"
#include "rpc/health.h"
#include "talker.h"

#define PORT 7001

/* A server that says what it is told to, once it has been asked on stream 1. */
struct impostor {
    struct pair *pair;
    int listener;
    struct rpc_channel *channel;
    struct talker *talker;
    int messages, times;
    struct rpc_reply reply;
    uint32_t result;
};

static struct impostor *impostor_new(void)
{
    struct impostor *i = calloc(1, sizeof(*i));
    assert_non_null(i);
    i->pair = pair_new(&(struct pair_config){0});
    struct strait *stack = pair_stack(i->pair, 1);
    const struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    i->listener = strait_socket(stack, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(
        strait_bind(stack, i->listener, (const struct sockaddr *)(const void *)&at, sizeof(at)), 0);
    assert_int_equal(strait_listen(stack, i->listener, 1), 0);
    const struct rpc_channel_config config = {
        .host = stream_host_strait(pair_stack(i->pair, 0), pair_env(i->pair)),
        .server = pair_address(1, PORT),
        .wire = &rpc_grpc_wire,
        .attempts_max = 1,
        .messages = offer_messages,
    };
    i->channel = rpc_channel_new(&config);
    assert_non_null(i->channel);
    return i;
}

static void impostor_free(struct impostor *i)
{
    rpc_channel_free(i->channel);
    if (i->talker)
        talker_close(i->talker);
    strait_close(pair_stack(i->pair, 1), i->listener);
    pair_run(i->pair, 200 * PAIR_S);
    assert_true(strait_memory(pair_stack(i->pair, 0)) == 0);
    pair_free(i->pair);
    free(i);
}

static void call_ended(void *context, struct rpc_reply reply, const uint8_t *result,
                       const struct rpc_detail *detail)
{
    struct impostor *i = context;
    (void)detail;
    i->times++;
    i->reply = reply;
    i->result = result ? rpc_get32(result) : 0;
}

static bool message_told(void *context, const uint8_t *bytes, size_t length)
{
    struct impostor *i = context;
    assert_int_equal(length, 2);
    assert_memory_equal(bytes, "\x08\1", 2);
    i->messages++;
    return true;
}

static void waited_in_vain(void *context, struct rpc_reply reply, const uint8_t *result)
{
    (void)context, (void)result;
    assert_int_equal(reply.outcome, RPC_NOT_EXECUTED);
}

/* Lets the client ask, and answers. */
static void answer(struct impostor *i, const char *bytes, size_t length)
{
    struct strait *stack = pair_stack(i->pair, 1);
    pair_run(i->pair, 20 * PAIR_MS);
    int fd = strait_accept4(stack, i->listener, NULL, NULL, SOCK_NONBLOCK);
    assert_true(fd >= 0);
    i->talker = talker_adopt(i->pair, 1, fd);
    talker_say(i->talker, bytes, length);
    pair_run(i->pair, 20 * PAIR_MS);
}

static void ask_for_prime(struct impostor *i)
{
    assert_non_null(rpc_message_start(i->channel, &primes_procedures[PRIMES_ITH_PRIME],
                                      (const uint8_t *)"\0\0\0\5", 4, 0, call_ended, i));
}

static void ask_for_messages(struct impostor *i)
{
    assert_non_null(rpc_stream_start(i->channel, &health_messages.procedures[HEALTH_WATCH], NULL, 0,
                                     0, message_told, call_ended, i));
}

/* ---- Frames, on stream 1 ---- */

#define SETTINGS "\0\0\0\4\0\0\0\0\0"
#define HEAD     "\0\0\1\1\4\0\0\0\1\x88" /* :status 200 */
#define STATUS   "\0\x0bgrpc-status\1"    /* and a digit: 15 bytes */
#define OK       "\0\0\x0f\1\5\0\0\0\1" STATUS "0"
#define THIRTEEN "\0\0\7\0\0\0\0\0\1\0\0\0\0\2\x08\x0d"
#define SERVING  "\0\0\7\0\0\0\0\0\1\0\0\0\0\2\x08\1"

struct answer {
    const char *bytes;
    size_t length;
    enum rpc_outcome outcome;
    enum rpc_code code;
    int messages;
};

#define ANSWER(bytes, ...)                                                                         \
    {                                                                                              \
        SETTINGS bytes, sizeof(SETTINGS bytes) - 1, __VA_ARGS__                                    \
    }

static void expect_answers(const struct answer *answers, size_t count,
                           void (*ask)(struct impostor *))
{
    for (size_t n = 0; n < count; n++) {
        const struct answer *a = &answers[n];
        struct impostor *i = impostor_new();
        ask(i);
        answer(i, a->bytes, a->length);
        if (i->times != 1 || i->reply.outcome != a->outcome || i->reply.code != a->code ||
            i->messages != a->messages)
            fail_msg("answer %zu: ended %d times, %s (%s), after %d messages", n, i->times,
                     rpc_outcome_text(i->reply.outcome), rpc_code_text(i->reply.code), i->messages);
        impostor_free(i);
    }
}

#define EXPECT(answers, ask) expect_answers(answers, sizeof(answers) / sizeof((answers)[0]), ask)

static void a_right_answer_is_a_result(void **state)
{
    (void)state;
    static const char bytes[] = SETTINGS HEAD THIRTEEN OK;
    struct impostor *i = impostor_new();
    ask_for_prime(i);
    answer(i, bytes, sizeof(bytes) - 1);
    assert_int_equal(i->reply.outcome, RPC_RESULT);
    assert_int_equal(i->result, 13);
    impostor_free(i);
}

/* "Responses": Status is in the trailers, or in what is headers and trailers in one. */
static void the_status_is_that_of_the_trailers(void **state)
{
    (void)state;
    static const struct answer answers[] = {
        ANSWER("\0\0\x10\1\5\0\0\0\1\x88" STATUS "5", RPC_ERROR, RPC_NOT_FOUND, 0),
        ANSWER("\0\0\x10\1\4\0\0\0\1\x88" STATUS "5" THIRTEEN OK, RPC_RESULT, RPC_OK, 0),
        /* The end is that of the data, and no status has come. */
        ANSWER("\0\0\x10\1\4\0\0\0\1\x88" STATUS "0\0\0\7\0\1\0\0\0\1\0\0\0\0\2\x08\x0d",
               RPC_UNKNOWN, RPC_UNAVAILABLE, 0),
        /* A code that is none. */
        ANSWER(HEAD THIRTEEN "\0\0\x10\1\5\0\0\0\1\0\x0bgrpc-status\2"
                             "99",
               RPC_ERROR, RPC_UNKNOWN_ERROR, 0),
        /* Beside another status of HTTP, 404, a status of OK is none. */
        ANSWER("\0\0\x10\1\5\0\0\0\1\x8d" STATUS "0", RPC_ERROR, RPC_INTERNAL, 0),
        ANSWER("\0\0\1\1\4\0\0\0\1\x8d\0\0\x0c\0\1\0\0\0\1<!DOCTYPE x>", RPC_ERROR,
               RPC_UNIMPLEMENTED, 0),
    };
    EXPECT(answers, ask_for_prime);
}

static void what_is_not_one_message_is_no_result(void **state)
{
    (void)state;
    static const struct answer answers[] = {
        ANSWER(HEAD OK, RPC_ERROR, RPC_INTERNAL, 0),
        ANSWER(HEAD THIRTEEN THIRTEEN OK, RPC_ERROR, RPC_INTERNAL, 0),
        /* The message is cut off. */
        ANSWER(HEAD "\0\0\6\0\0\0\0\0\1\0\0\0\0\2\x08" OK, RPC_ERROR, RPC_INTERNAL, 0),
        /* It is compressed. */
        ANSWER(HEAD "\0\0\7\0\0\0\0\0\1\1\0\0\0\2\x08\x0d" OK, RPC_ERROR, RPC_INTERNAL, 0),
        /* It is 4 MiB and a byte long. */
        ANSWER(HEAD "\0\0\5\0\0\0\0\0\1\0\0\x40\0\1", RPC_ERROR, RPC_RESOURCE_EXHAUSTED, 0),
        /* It is whole, and no such message. */
        ANSWER(HEAD "\0\0\6\0\0\0\0\0\1\0\0\0\0\1\x08" OK, RPC_ERROR, RPC_INTERNAL, 0),
    };
    EXPECT(answers, ask_for_prime);
}

/* RFC 9113 6.8, 8.7: what has surely not been processed may be sent again. */
static void a_server_that_leaves_or_resets_says_what_has_run(void **state)
{
    (void)state;
    static const struct answer answers[] = {
        ANSWER("\0\0\x08\7\0\0\0\0\0\0\0\0\0\0\0\0\0", RPC_NOT_EXECUTED, RPC_UNAVAILABLE, 0),
        ANSWER("\0\0\x08\7\0\0\0\0\0\0\0\0\1\0\0\0\0" HEAD THIRTEEN OK, RPC_RESULT, RPC_OK, 0),
        ANSWER("\0\0\4\3\0\0\0\0\1\0\0\0\7", RPC_NOT_EXECUTED, RPC_UNAVAILABLE, 0),
        ANSWER("\0\0\4\3\0\0\0\0\1\0\0\0\x08", RPC_UNKNOWN, RPC_UNAVAILABLE, 0),
        /* No HTTP/2, after the settings. */
        ANSWER("HTTP/1.1 400 Bad Request\r\n\r\n", RPC_UNKNOWN, RPC_UNAVAILABLE, 0),
        /* Beyond what the client takes: a stream of the server's own. */
        ANSWER("\0\0\1\1\4\0\0\0\2\x88", RPC_UNKNOWN, RPC_UNAVAILABLE, 0),
    };
    EXPECT(answers, ask_for_prime);
}

static void messages_of_a_stream_are_told_until_one_is_wrong(void **state)
{
    (void)state;
    static const struct answer answers[] = {
        ANSWER(HEAD OK, RPC_RESULT, RPC_OK, 0),
        ANSWER(HEAD SERVING SERVING OK, RPC_RESULT, RPC_OK, 2),
        /* Cut anywhere: in a head, and in a message. */
        ANSWER(HEAD "\0\0\3\0\0\0\0\0\1\0\0\0\0\0\4\0\0\0\0\0\1\0\2\x08\1" OK, RPC_RESULT, RPC_OK,
               1),
        ANSWER(HEAD SERVING "\0\0\3\0\0\0\0\0\1\0\0\0" OK, RPC_ERROR, RPC_INTERNAL, 1),
        ANSWER(HEAD SERVING "\0\0\7\0\0\0\0\0\1\1\0\0\0\2\x08\1" OK, RPC_ERROR, RPC_INTERNAL, 1),
        ANSWER(HEAD SERVING "\0\0\5\0\0\0\0\0\1\0\0\x40\0\1", RPC_ERROR, RPC_RESOURCE_EXHAUSTED, 1),
        ANSWER(HEAD SERVING "\0\0\4\3\0\0\0\0\1\0\0\0\x08", RPC_UNKNOWN, RPC_UNAVAILABLE, 1),
    };
    EXPECT(answers, ask_for_messages);
}

/* The settings of a server that takes no streams (RFC 9113 6.5.2) but those that have begun. */
static void calls_that_a_server_never_takes_do_not_pile_up(void **state)
{
    enum { AT_ONCE = 1000 };
    static struct rpc_call *calls[AT_ONCE];
    (void)state;
    struct impostor *i = impostor_new();
    ask_for_prime(i);
    answer(i, "\0\0\6\4\0\0\0\0\0\0\3\0\0\0\0", 15);
    for (int given_up = 0; given_up <= H2_QUEUE_MAX && i->times == 0; given_up += AT_ONCE) {
        for (int n = 0; n < AT_ONCE; n++)
            calls[n] = rpc_call_start(i->channel, &primes_procedures[PRIMES_ITH_PRIME],
                                      (const uint8_t *)"\0\0\0\5", 0, waited_in_vain, NULL);
        pair_run(i->pair, PAIR_MS);
        for (int n = 0; n < AT_ONCE && i->times == 0; n++)
            assert_int_equal(rpc_call_cancel(calls[n]), RPC_NOT_EXECUTED);
        pair_run(i->pair, PAIR_MS);
    }
    assert_int_equal(i->times, 1);
    assert_int_equal(i->reply.outcome, RPC_UNKNOWN);
    assert_int_equal(i->reply.code, RPC_UNAVAILABLE);
    impostor_free(i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_right_answer_is_a_result),
        cmocka_unit_test(the_status_is_that_of_the_trailers),
        cmocka_unit_test(what_is_not_one_message_is_no_result),
        cmocka_unit_test(a_server_that_leaves_or_resets_says_what_has_run),
        cmocka_unit_test(messages_of_a_stream_are_told_until_one_is_wrong),
        cmocka_unit_test(calls_that_a_server_never_takes_do_not_pile_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
