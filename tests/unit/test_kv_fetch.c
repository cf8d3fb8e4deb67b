/* SPDX-License-Identifier: MIT */
/* A fetch from a node: how it ends, whatever a server answers, or does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kv/fetch.h"
#include "pair.h"
#include "talker.h"

#define PORT 80

struct errand {
    struct pair *pair;
    int listener;
    struct talker *server; /* NULL until the fetch has connected */
    struct kv_fetch *fetch;
    size_t taken_max; /* bytes of the body, beyond which none are taken */
    /* What has been told. */
    char body[256];
    size_t taken;
    int ended;
    unsigned status;
    char error[128]; /* empty: none */
};

static bool take_body(void *context, unsigned status, const char *bytes, size_t length)
{
    struct errand *e = context;
    (void)status;
    if (e->taken + length > e->taken_max)
        return false;
    memcpy(e->body + e->taken, bytes, length);
    e->taken += length;
    return true;
}

static void ended(void *context, unsigned status, const char *error)
{
    struct errand *e = context;
    e->ended++;
    e->status = status;
    snprintf(e->error, sizeof(e->error), "%s", error ? error : "");
}

static void accepted(void *argument, int fd, short revents)
{
    struct errand *e = argument;
    (void)revents;
    int connection = strait_accept4(pair_stack(e->pair, 1), fd, NULL, NULL, SOCK_NONBLOCK);
    assert_true(connection >= 0);
    e->server = talker_adopt(e->pair, 1, connection);
}

static void listen_at(struct errand *e)
{
    struct strait *stack = pair_stack(e->pair, 1);
    struct sockaddr_in address = pair_address(1, PORT);
    e->listener = strait_socket(stack, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(strait_bind(stack, e->listener, (struct sockaddr *)&address, sizeof(address)),
                     0);
    assert_int_equal(strait_listen(stack, e->listener, 1), 0);
    strait_watch(stack, e->listener, POLLIN, accepted, e);
}

static void start(struct errand *e)
{
    const struct kv_fetch_config config = {
        .host = stream_host_strait(pair_stack(e->pair, 0), pair_env(e->pair)),
        .server = pair_address(1, PORT),
        .target = "/status",
        .body = take_body,
        .ended = ended,
        .context = e,
    };
    e->fetch = kv_fetch_start(&config);
    assert_non_null(e->fetch);
}

/* A fetch that has asked; or (`absent`) there is no server. */
static struct errand *errand_new(bool absent)
{
    struct errand *e = calloc(1, sizeof(*e));
    assert_non_null(e);
    e->pair = pair_new(&(struct pair_config){0});
    e->listener = -1;
    e->taken_max = sizeof(e->body) - 1;
    if (!absent)
        listen_at(e);
    start(e);
    pair_run(e->pair, 100 * PAIR_MS);
    return e;
}

static void errand_free(struct errand *e)
{
    pair_run(e->pair, 2 * KV_FETCH_SILENCE_NS);
    assert_in_range(e->ended, 0, 1);
    kv_fetch_free(e->fetch);
    if (e->server)
        talker_close(e->server);
    if (e->listener >= 0)
        strait_close(pair_stack(e->pair, 1), e->listener);
    pair_run(e->pair, 200 * PAIR_S);
    assert_true(strait_memory(pair_stack(e->pair, 0)) == 0);
    pair_free(e->pair);
    free(e);
}

/* The server says this, byte by byte if asked to, and closes if asked to. */
static void answer(struct errand *e, const char *text, bool slowly, bool closes)
{
    size_t length = strlen(text);
    for (size_t i = 0; slowly && i < length; i++) {
        talker_say(e->server, text + i, 1);
        pair_run(e->pair, 10 * PAIR_MS);
    }
    if (!slowly)
        talker_say(e->server, text, length);
    if (closes)
        talker_finish(e->server);
    pair_run(e->pair, 100 * PAIR_MS);
}

static void expect_end(const struct errand *e, unsigned status, const char *body, const char *error)
{
    assert_int_equal(e->ended, 1);
    assert_int_equal(e->status, status);
    assert_string_equal(e->body, body);
    if (error[0] == '\0' ? e->error[0] != '\0' : !strstr(e->error, error))
        fail_msg("\"%s\" is not \"%s\"", e->error, error);
}

static void a_body_with_a_length_or_in_chunks_comes_whole(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    };
    for (int i = 0; i < 4; i++) {
        struct errand *e = errand_new(false);
        assert_string_equal(e->server->received,
                            "GET /status HTTP/1.1\r\nHost: strait\r\nConnection: close\r\n\r\n");
        answer(e, answers[i % 2], i >= 2, false);
        expect_end(e, 200, "hello", "");
        errand_free(e);
    }
}

static void a_body_without_a_length_ends_with_its_connection(void **state)
{
    (void)state;
    struct errand *e = errand_new(false);
    answer(e, "HTTP/1.1 404 Not Found\r\n\r\nhello", false, false);
    assert_int_equal(e->ended, 0);
    talker_finish(e->server);
    pair_run(e->pair, 100 * PAIR_MS);
    expect_end(e, 404, "hello", "");
    errand_free(e);
}

static void a_body_that_is_cut_off_has_failed(void **state)
{
    (void)state;
    struct errand *e = errand_new(false);
    answer(e, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", false, true);
    assert_int_equal(e->ended, 1);
    assert_true(e->error[0] != '\0');
    errand_free(e);
}

static void what_is_no_answer_of_http_has_failed(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct errand *e = errand_new(false);
        answer(e, wrong[i], false, true);
        assert_int_equal(e->ended, 1);
        assert_true(e->error[0] != '\0');
        errand_free(e);
    }
}

static void a_part_that_is_not_taken_ends_it(void **state)
{
    (void)state;
    struct errand *e = errand_new(false);
    e->taken_max = 4;
    answer(e, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhellohello", false, false);
    expect_end(e, 200, "", "it cannot be written");
    errand_free(e);
}

static void a_server_that_is_not_there_or_resets_is_told(void **state)
{
    (void)state;
    struct errand *e = errand_new(true);
    expect_end(e, 0, "", strerror(ECONNREFUSED));
    errand_free(e);
    e = errand_new(false);
    struct linger at_once = {.l_onoff = 1};
    strait_setsockopt(pair_stack(e->pair, 1), e->server->fd, SOL_SOCKET, SO_LINGER, &at_once,
                      sizeof(at_once));
    talker_close(e->server);
    e->server = NULL;
    pair_run(e->pair, 100 * PAIR_MS);
    expect_end(e, 0, "", strerror(ECONNRESET));
    errand_free(e);
}

static void silence_has_an_end_and_each_byte_puts_it_off(void **state)
{
    (void)state;
    struct errand *e = errand_new(false);
    pair_run(e->pair, KV_FETCH_SILENCE_NS - PAIR_S);
    talker_say(e->server, "HTTP", 4);
    pair_run(e->pair, KV_FETCH_SILENCE_NS - PAIR_S);
    assert_int_equal(e->ended, 0);
    pair_run(e->pair, 2 * PAIR_S);
    expect_end(e, 0, "", "it does not answer");
    errand_free(e);
}

static void one_that_is_freed_is_not_told(void **state)
{
    (void)state;
    struct errand *e = errand_new(false);
    kv_fetch_free(e->fetch);
    e->fetch = NULL;
    pair_run(e->pair, 2 * KV_FETCH_SILENCE_NS);
    assert_int_equal(e->ended, 0);
    errand_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_with_a_length_or_in_chunks_comes_whole),
        cmocka_unit_test(a_body_without_a_length_ends_with_its_connection),
        cmocka_unit_test(a_body_that_is_cut_off_has_failed),
        cmocka_unit_test(what_is_no_answer_of_http_has_failed),
        cmocka_unit_test(a_part_that_is_not_taken_ends_it),
        cmocka_unit_test(a_server_that_is_not_there_or_resets_is_told),
        cmocka_unit_test(silence_has_an_end_and_each_byte_puts_it_off),
        cmocka_unit_test(one_that_is_freed_is_not_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
