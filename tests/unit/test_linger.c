/* SPDX-License-Identifier: MIT */
/* SO_LINGER where tests/posix cannot look: in callbacks, when interrupted, and what is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>

#include "wire.h"

#define LINGER_S 5

static void linger(struct strait *stack, int fd)
{
    struct linger value = {.l_onoff = 1, .l_linger = LINGER_S};

    assert_int_equal(strait_setsockopt(stack, fd, SOL_SOCKET, SO_LINGER, &value, sizeof(value)), 0);
}

/* A connection whose client has sent more than the server's buffer holds, and lingers. */
static void stuffed(struct wire *w, int *client, int *server)
{
    static char bytes[65536];

    wire_established(w, wire_listener(w), client, server);
    linger(w->left, *client);
    while (strait_send(w->left, *client, bytes, sizeof(bytes), 0) > 0)
        wire_run(w);
    assert_int_equal(errno, EAGAIN);
}

static uint64_t now_ns(struct wire *w)
{
    return pair_env(w->pair)->now(pair_env(w->pair));
}

/* The server reads all there is, and closes. */
static void drain(struct wire *w, int server)
{
    static char bytes[65536];

    for (int rounds = 0; rounds < 1000; rounds++) {
        ssize_t got = strait_recv(w->right, server, bytes, sizeof(bytes), 0);
        if (got == 0)
            break;
        wire_run(w);
    }
    assert_int_equal(strait_close(w->right, server), 0);
    wire_run(w);
}

static void close_lingers_and_then_goes_on_in_the_background(void **state)
{
    struct wire *w = *state;
    int client, server;

    stuffed(w, &client, &server);
    uint64_t start_ns = now_ns(w);
    assert_int_equal(strait_close(w->left, client), 0);
    assert_int_equal(now_ns(w) - start_ns, LINGER_S * PAIR_S);
    assert_int_equal(strait_connections(w->left), 1); /* it goes on alone */
    drain(w, server);
    assert_int_equal(strait_connections(w->left), 0);
    assert_int_equal(strait_memory(w->left), 0);
}

static void close_him(void *argument, int fd, short revents)
{
    (void)revents;
    assert_int_equal(strait_close(argument, fd), 0);
}

static void close_in_a_callback_does_not_wait(void **state)
{
    struct wire *w = *state;
    int client, server;

    stuffed(w, &client, &server);
    assert_int_equal(strait_shutdown(w->right, server, SHUT_WR), 0);
    assert_int_equal(strait_watch(w->left, client, POLLIN, close_him, w->left), 0);
    uint64_t start_ns = now_ns(w);
    wire_run(w);
    assert_errno(strait_close(w->left, client), EBADF);
    assert_true(now_ns(w) - start_ns < PAIR_S);
    drain(w, server);
    assert_int_equal(strait_connections(w->left), 0);
}

static void close_that_is_interrupted_goes_on_in_the_background(void **state)
{
    struct wire *w = *state;
    int client, server;

    stuffed(w, &client, &server);
    wire_interrupt(w, true);
    uint64_t start_ns = now_ns(w);
    assert_int_equal(strait_close(w->left, client), 0);
    assert_true(now_ns(w) - start_ns < PAIR_S);
    wire_interrupt(w, false);
    drain(w, server);
    assert_int_equal(strait_connections(w->left), 0);
}

static void a_reset_ends_the_wait(void **state)
{
    struct wire *w = *state;
    int client, server;

    stuffed(w, &client, &server);
    assert_int_equal(strait_close(w->right, server), 0); /* unread bytes: a RST is under way */
    uint64_t start_ns = now_ns(w);
    assert_int_equal(strait_close(w->left, client), 0);
    assert_true(now_ns(w) - start_ns < PAIR_S);
    assert_int_equal(strait_connections(w->left), 0);
    assert_int_equal(strait_memory(w->left), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, wire_setup, wire_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(close_lingers_and_then_goes_on_in_the_background),
        TEST(close_in_a_callback_does_not_wait),
        TEST(close_that_is_interrupted_goes_on_in_the_background),
        TEST(a_reset_ends_the_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
