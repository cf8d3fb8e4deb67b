/* SPDX-License-Identifier: MIT */
/* Readiness: poll, watches, and what a callback may do. */
#define _GNU_SOURCE /* POLLRDHUP */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "wire.h"

/* A bound datagram socket on the left with `count` datagrams of one byte in its queue. */
static int filled(struct wire *w, uint16_t port, int count)
{
    int from = wire_datagram(w->right, 0, 0), fd = wire_datagram(w->left, port, SOCK_NONBLOCK);
    struct sockaddr_in to = pair_address(0, port);
    for (int i = 0; i < count; i++)
        assert_int_equal(
            strait_sendto(w->right, from, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
    wire_run(w);
    return fd;
}

/* ---- Events ---- */

static void events_of_each_kind_of_socket_are_linuxs(void **state)
{
    struct wire *w = *state;
    const short all = POLLIN | POLLOUT | POLLRDHUP | POLLPRI;
    int listener = wire_listener(w), client, server;
    char byte;
    assert_int_equal(wire_events(w->left, wire_stream(w->left, 0), all), POLLOUT | POLLHUP);
    assert_int_equal(wire_events(w->left, wire_datagram(w->left, 0, 0), all), POLLOUT);
    assert_int_equal(wire_events(w->right, listener, all), 0);
    client = wire_stream(w->left, SOCK_NONBLOCK);
    assert_errno(wire_connect(w, client, WIRE_PORT), EINPROGRESS);
    assert_int_equal(wire_events(w->left, client, all), 0);
    wire_run(w);
    assert_int_equal(wire_events(w->left, client, all), POLLOUT);
    assert_int_equal(wire_events(w->right, listener, all), POLLIN);
    server = strait_accept4(w->right, listener, NULL, NULL, SOCK_NONBLOCK);
    assert_int_equal(wire_events(w->right, listener, all), 0);
    assert_int_equal(wire_events(w->right, server, all), POLLOUT);

    assert_int_equal(strait_send(w->left, client, "x", 1, 0), 1);
    assert_int_equal(strait_shutdown(w->left, client, SHUT_WR), 0);
    wire_run(w);
    assert_int_equal(wire_events(w->right, server, all), POLLIN | POLLOUT | POLLRDHUP);
    assert_int_equal(strait_recv(w->right, server, &byte, 1, 0), 1);
    assert_int_equal(wire_events(w->right, server, all), POLLIN | POLLOUT | POLLRDHUP);
    wire_reset(w, w->right, server);
    assert_int_equal(wire_events(w->left, client, all),
                     POLLIN | POLLOUT | POLLRDHUP | POLLERR | POLLHUP);
}

static void poll_tells_the_other_names_of_in_and_out(void **state)
{
    struct wire *w = *state;
    const short both = POLLWRNORM | POLLRDNORM;
    assert_int_equal(wire_events(w->left, wire_datagram(w->left, 0, 0), both), POLLWRNORM);
    assert_int_equal(wire_events(w->left, filled(w, 1000, 1), both), both);
}

/* ---- poll ---- */

static void poll_skips_negative_descriptors_and_marks_bad_ones(void **state)
{
    struct wire *w = *state;
    int udp = wire_datagram(w->left, 0, 0), stale = wire_stream(w->left, 0);
    assert_int_equal(strait_close(w->left, stale), 0);
    struct pollfd fds[] = {
        {.fd = -1, .events = POLLOUT, .revents = 99},
        {.fd = stale, .events = 0, .revents = 0},
        {.fd = udp, .events = POLLIN, .revents = 99},
        {.fd = udp, .events = POLLIN | POLLOUT, .revents = 99},
    };
    assert_int_equal(strait_poll(w->left, fds, 4, -1), 2);
    assert_int_equal(fds[0].revents, 0);
    assert_int_equal(fds[1].revents, POLLNVAL);
    assert_int_equal(fds[2].revents, 0);
    assert_int_equal(fds[3].revents, POLLOUT);
}

static void poll_waits_for_its_timeout_and_no_longer(void **state)
{
    struct wire *w = *state;
    struct strait_env *env = pair_env(w->pair);
    struct pollfd p = {.fd = wire_datagram(w->left, 0, 0), .events = POLLIN};
    uint64_t before_ns = env->now(env);
    assert_int_equal(strait_poll(w->left, &p, 1, 250), 0);
    assert_int_equal(env->now(env) - before_ns, 250 * PAIR_MS);
    assert_int_equal(strait_poll(w->left, &p, 1, 0), 0);
    assert_int_equal(strait_poll(w->left, NULL, 0, 50), 0);
    assert_int_equal(env->now(env) - before_ns, 300 * PAIR_MS);
}

static void poll_returns_when_something_is_ready(void **state)
{
    struct wire *w = *state;
    struct strait_env *env = pair_env(w->pair);
    int listener = wire_listener(w), client = wire_stream(w->left, SOCK_NONBLOCK);
    uint64_t before_ns = env->now(env);
    assert_errno(wire_connect(w, client, WIRE_PORT), EINPROGRESS);
    struct pollfd p = {.fd = client, .events = POLLOUT};
    assert_int_equal(strait_poll(w->left, &p, 1, 60000), 1);
    assert_int_equal(p.revents, POLLOUT);
    assert_int_equal(env->now(env) - before_ns, 2 * PAIR_MS); /* one round trip */
    p = (struct pollfd){.fd = listener, .events = POLLIN};
    assert_int_equal(strait_poll(w->right, &p, 1, -1), 1);
}

static void poll_without_a_wait_returns_at_once(void **state)
{
    struct wire *w = *state;
    struct pollfd p = {.fd = wire_datagram(w->left, 0, 0), .events = POLLIN};
    wire_interrupt(w, true);
    assert_errno(strait_poll(w->left, &p, 1, -1), EINTR);
    pair_env(w->pair)->wait = NULL;
    assert_int_equal(strait_poll(w->left, &p, 1, -1), 0);
    assert_int_equal(strait_poll(w->left, &p, 1, 1000), 0);
}

/* ---- watch ---- */

/* What a callback has been told, and what it is to do. */
struct watcher {
    struct strait *stack;
    int fd;   /* that it was told of last */
    int told; /* how often */
    short events;
    int close_fd; /* to be closed; -1: nothing */
    bool read, end, again;
    struct watcher *other;
};

static void watched(void *argument, int fd, short revents)
{
    struct watcher *t = argument;
    char bytes[100];
    t->fd = fd;
    t->events = revents;
    t->told++;
    if (t->again)
        assert_int_equal(strait_dispatch(t->stack), 0);
    if (t->read)
        assert_true(strait_recv(t->stack, fd, bytes, sizeof(bytes), 0) >= 0);
    if (t->close_fd >= 0)
        assert_int_equal(strait_close(t->stack, t->close_fd), 0);
    if (t->end)
        assert_int_equal(strait_watch(t->stack, fd, 0, NULL, NULL), 0);
}

static struct watcher watcher(struct strait *stack)
{
    return (struct watcher){.stack = stack, .close_fd = -1};
}

static void watch(struct watcher *t, int fd, short events)
{
    assert_int_equal(strait_watch(t->stack, fd, events, watched, t), 0);
}

static void watch_is_level_triggered(void **state)
{
    struct wire *w = *state;
    int fd = filled(w, 1000, 3);
    struct watcher t = watcher(w->left);
    watch(&t, fd, POLLIN);
    for (int i = 1; i <= 5; i++) {
        assert_int_equal(strait_dispatch(w->left), 1);
        assert_int_equal(t.told, i);
        assert_int_equal(t.fd, fd);
        assert_int_equal(t.events, POLLIN);
    }
    t.read = true;
    for (int i = 0; i < 3; i++)
        assert_int_equal(strait_dispatch(w->left), 1);
    assert_int_equal(strait_dispatch(w->left), 0);
    assert_int_equal(t.told, 8);
}

static void watch_that_was_served_is_no_longer_pending(void **state)
{
    struct wire *w = *state;
    int fd = filled(w, 1000, 1);
    struct watcher t = watcher(w->left);
    const uint64_t now_ns = pair_env(w->pair)->now(pair_env(w->pair));
    watch(&t, fd, POLLIN);
    assert_int_equal(strait_advance(w->left, now_ns), now_ns);
    assert_int_equal(strait_dispatch(w->left), 1);
    assert_int_equal(strait_advance(w->left, now_ns), now_ns);
    t.read = true;
    assert_int_equal(strait_dispatch(w->left), 1);
    assert_true(strait_advance(w->left, now_ns) > now_ns);

    watch(&t, fd, POLLOUT);
    assert_int_equal(strait_advance(w->left, now_ns), now_ns);
    assert_int_equal(strait_watch(w->left, fd, 0, NULL, NULL), 0);
    assert_true(strait_advance(w->left, now_ns) > now_ns);
}

static void socket_that_is_due_twice_is_told_once(void **state)
{
    struct wire *w = *state;
    int first = filled(w, 1000, 1), second = filled(w, 1001, 1);
    struct watcher a = watcher(w->left), b = watcher(w->left);
    watch(&a, first, POLLIN);
    watch(&b, second, POLLIN);
    watch(&a, first, POLLIN);
    assert_int_equal(strait_dispatch(w->left), 2);
    assert_int_equal(a.told, 1);
    assert_int_equal(b.told, 1);
}

static void watch_is_told_of_what_happens_later_only_while_it_wants(void **state)
{
    struct wire *w = *state;
    int fd = filled(w, 1000, 0), from = wire_datagram(w->right, 0, 0);
    struct sockaddr_in to = pair_address(0, 1000);
    struct watcher t = watcher(w->left);
    t.read = true;
    watch(&t, fd, POLLIN);
    wire_run(w);
    assert_int_equal(t.told, 0);
    strait_sendto(w->right, from, "x", 1, 0, (struct sockaddr *)&to, sizeof(to));
    wire_run(w);
    assert_int_equal(t.told, 1);
    watch(&t, fd, 0);
    strait_sendto(w->right, from, "x", 1, 0, (struct sockaddr *)&to, sizeof(to));
    wire_run(w);
    assert_int_equal(t.told, 1);
    watch(&t, fd, POLLIN);
    wire_run(w);
    assert_int_equal(t.told, 2);
    assert_int_equal(strait_watch(w->left, fd, 0, NULL, NULL), 0);
    strait_sendto(w->right, from, "x", 1, 0, (struct sockaddr *)&to, sizeof(to));
    wire_run(w);
    assert_int_equal(t.told, 2);
    assert_errno(strait_watch(w->left, fd, POLLIN, NULL, NULL), EINVAL);
}

static void later_watch_replaces_the_earlier(void **state)
{
    struct wire *w = *state;
    int fd = filled(w, 1000, 1);
    struct watcher first = watcher(w->left), second = watcher(w->left);
    watch(&first, fd, POLLIN);
    watch(&second, fd, POLLIN | POLLOUT);
    assert_int_equal(strait_dispatch(w->left), 1);
    assert_int_equal(first.told, 0);
    assert_int_equal(second.told, 1);
    assert_int_equal(second.events, POLLIN | POLLOUT);
}

static void errors_and_hangups_are_always_told(void **state)
{
    struct wire *w = *state;
    int fd = wire_stream(w->left, SOCK_NONBLOCK);
    struct watcher t = watcher(w->left);
    assert_errno(wire_connect(w, fd, 9), EINPROGRESS);
    watch(&t, fd, 0);
    assert_int_equal(strait_dispatch(w->left), 0);
    t.end = true;
    wire_run(w);
    assert_int_equal(t.told, 1);
    assert_int_equal(t.events, POLLERR | POLLHUP);
}

static void own_calls_that_change_readiness_are_noticed(void **state)
{
    struct wire *w = *state;
    int client, server;
    struct watcher t = watcher(w->left);
    wire_established(w, wire_listener(w), &client, &server);
    watch(&t, client, POLLIN);
    assert_int_equal(strait_dispatch(w->left), 0);
    assert_int_equal(strait_shutdown(w->left, client, SHUT_RD), 0);
    assert_int_equal(strait_dispatch(w->left), 1);
    assert_int_equal(t.events, POLLIN);
    assert_int_equal(strait_close(w->left, client), 0);

    int udp = wire_datagram(w->left, 0, 0), fresh = wire_stream(w->left, SOCK_NONBLOCK);
    assert_int_equal(wire_connect(w, udp, 9), 0);
    watch(&t, udp, POLLIN);
    assert_int_equal(strait_dispatch(w->left), 0);
    assert_int_equal(strait_shutdown(w->left, udp, SHUT_RD), 0);
    assert_int_equal(strait_dispatch(w->left), 1);
    assert_int_equal(t.events, POLLIN);
    assert_int_equal(strait_close(w->left, udp), 0);

    assert_errno(wire_connect(w, fresh, WIRE_PORT), EINPROGRESS);
    watch(&t, fresh, POLLIN);
    assert_int_equal(strait_dispatch(w->left), 0);
    assert_int_equal(strait_shutdown(w->left, fresh, SHUT_RDWR), 0);
    assert_int_equal(strait_dispatch(w->left), 1);
    assert_int_equal(t.events, POLLHUP);
}

static void callback_may_close_its_own_socket(void **state)
{
    struct wire *w = *state;
    struct watcher t = watcher(w->left);
    t.close_fd = filled(w, 1000, 1);
    watch(&t, t.close_fd, POLLIN);
    assert_int_equal(strait_dispatch(w->left), 1);
    assert_int_equal(strait_dispatch(w->left), 0);
    assert_int_equal(t.told, 1);
}

static void callback_may_close_a_socket_whose_turn_would_come(void **state)
{
    struct wire *w = *state;
    struct watcher first = watcher(w->left), second = watcher(w->left), third = watcher(w->left);
    int closing = filled(w, 1000, 1), closed = filled(w, 1001, 1), other = filled(w, 1002, 1);
    watch(&first, closing, POLLIN);
    watch(&second, closed, POLLIN);
    watch(&third, other, POLLIN);
    first.close_fd = closed;
    assert_int_equal(strait_dispatch(w->left), 2);
    assert_int_equal(first.told, 1);
    assert_int_equal(second.told, 0);
    assert_int_equal(third.told, 1);
}

static void callback_may_close_a_socket_whose_turn_was_before(void **state)
{
    struct wire *w = *state;
    struct watcher first = watcher(w->left), second = watcher(w->left);
    int closed = filled(w, 1000, 1), closing = filled(w, 1001, 1);
    watch(&first, closed, POLLIN);
    watch(&second, closing, POLLIN);
    second.close_fd = closed;
    assert_int_equal(strait_dispatch(w->left), 2);
    second.close_fd = -1;
    assert_int_equal(strait_dispatch(w->left), 1);
    assert_int_equal(first.told, 1);
    assert_int_equal(second.told, 2);
}

static void callback_may_end_its_watch_and_may_not_dispatch(void **state)
{
    struct wire *w = *state;
    struct watcher t = watcher(w->left), other = watcher(w->left);
    int fd = filled(w, 1000, 1), second = filled(w, 1001, 1);
    t.end = t.again = true;
    watch(&t, fd, POLLIN);
    watch(&other, second, POLLIN);
    assert_int_equal(strait_dispatch(w->left), 2);
    assert_int_equal(t.told, 1);
    assert_int_equal(other.told, 1);
    assert_int_equal(strait_dispatch(w->left), 1);
    assert_int_equal(t.told, 1);
}

/* Watches another socket, which is ready, from within. */
static void watch_other(void *argument, int fd, short revents)
{
    struct watcher *t = argument;
    (void)revents;
    t->told++;
    strait_watch(t->stack, fd, 0, NULL, NULL);
    watch(t->other, wire_datagram(t->stack, 0, 0), POLLOUT);
}

static void watch_made_by_a_callback_is_told_in_the_next_round(void **state)
{
    struct wire *w = *state;
    struct watcher inner = watcher(w->left), outer = watcher(w->left);
    outer.other = &inner;
    int fd = filled(w, 1000, 1);
    assert_int_equal(strait_watch(w->left, fd, POLLIN, watch_other, &outer), 0);
    assert_int_equal(strait_dispatch(w->left), 1);
    assert_int_equal(inner.told, 0);
    assert_int_equal(strait_dispatch(w->left), 1);
    assert_int_equal(inner.told, 1);
    assert_int_equal(outer.told, 1);
}

/* Makes calls that would have to wait. */
static void block(void *argument, int fd, short revents)
{
    struct wire *w = argument;
    char byte;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int listener = wire_stream(w->left, 0), stream = wire_stream(w->left, 0);
    (void)revents;
    strait_watch(w->left, fd, 0, NULL, NULL);
    assert_errno(strait_recv(w->left, fd, &byte, 1, 0), EDEADLK);
    assert_errno(strait_recv(w->left, fd, &byte, 1, MSG_DONTWAIT), EAGAIN);
    assert_errno(strait_poll(w->left, &p, 1, 10), EDEADLK);
    assert_int_equal(strait_poll(w->left, &p, 1, 0), 0);
    assert_int_equal(strait_listen(w->left, listener, 1), 0);
    assert_errno(strait_accept(w->left, listener, NULL, NULL), EDEADLK);
    assert_errno(wire_connect(w, stream, WIRE_PORT), EDEADLK);
}

static void blocking_call_inside_a_callback_is_edeadlk(void **state)
{
    struct wire *w = *state;
    int fd = wire_datagram(w->left, 0, 0);
    assert_int_equal(strait_watch(w->left, fd, POLLOUT, block, w), 0);
    assert_int_equal(strait_dispatch(w->left), 1);
    wire_run(w);
    assert_int_equal(pair_packets(w->pair, 0), 0);
}

/* Accepts what waits, and watches it. */
static void accept_one(void *argument, int fd, short revents)
{
    struct watcher *t = argument;
    assert_int_equal(revents, POLLIN);
    t->told++;
    int server = strait_accept4(t->stack, fd, NULL, NULL, SOCK_NONBLOCK);
    assert_true(server >= 0);
    watch(t->other, server, POLLIN);
}

static void watched_listener_hands_out_watched_connections(void **state)
{
    struct wire *w = *state;
    struct watcher all = watcher(w->right), accepting = watcher(w->right);
    int listener = wire_listener(w), client = -1;
    all.read = true;
    accepting.other = &all;
    assert_int_equal(strait_watch(w->right, listener, POLLIN, accept_one, &accepting), 0);
    for (int i = 0; i < 5; i++) {
        client = wire_stream(w->left, SOCK_NONBLOCK);
        assert_errno(wire_connect(w, client, WIRE_PORT), EINPROGRESS);
    }
    wire_run(w);
    assert_int_equal(accepting.told, 5);
    assert_int_equal(all.told, 0);
    assert_int_equal(strait_send(w->left, client, "x", 1, 0), 1);
    wire_run(w);
    assert_int_equal(all.told, 1);
}

/* A few of many sockets become ready: only those are told, each once. */
static void dispatch_tells_the_ready_ones_of_many(void **state)
{
    struct wire *w = *state;
    enum { COUNT = 10000, EVERY = 1000 };
    static struct watcher watchers[COUNT];
    int from = wire_datagram(w->right, 0, 0);
    for (int i = 0; i < COUNT; i++) {
        watchers[i] = watcher(w->left);
        watchers[i].read = true;
        watch(&watchers[i], wire_datagram(w->left, (uint16_t)(10000 + i), SOCK_NONBLOCK), POLLIN);
    }
    assert_int_equal(strait_dispatch(w->left), 0);
    for (int i = 0; i < COUNT; i += EVERY) {
        struct sockaddr_in to = pair_address(0, (uint16_t)(10000 + i));
        strait_sendto(w->right, from, "x", 1, 0, (struct sockaddr *)&to, sizeof(to));
    }
    wire_run(w);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(watchers[i].told, i % EVERY == 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, wire_setup, wire_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(events_of_each_kind_of_socket_are_linuxs),
        TEST(poll_tells_the_other_names_of_in_and_out),
        TEST(poll_skips_negative_descriptors_and_marks_bad_ones),
        TEST(poll_waits_for_its_timeout_and_no_longer),
        TEST(poll_returns_when_something_is_ready),
        TEST(poll_without_a_wait_returns_at_once),
        TEST(watch_is_level_triggered),
        TEST(watch_that_was_served_is_no_longer_pending),
        TEST(socket_that_is_due_twice_is_told_once),
        TEST(watch_is_told_of_what_happens_later_only_while_it_wants),
        TEST(later_watch_replaces_the_earlier),
        TEST(errors_and_hangups_are_always_told),
        TEST(own_calls_that_change_readiness_are_noticed),
        TEST(callback_may_close_its_own_socket),
        TEST(callback_may_close_a_socket_whose_turn_would_come),
        TEST(callback_may_close_a_socket_whose_turn_was_before),
        TEST(callback_may_end_its_watch_and_may_not_dispatch),
        TEST(watch_made_by_a_callback_is_told_in_the_next_round),
        TEST(blocking_call_inside_a_callback_is_edeadlk),
        TEST(watched_listener_hands_out_watched_connections),
        TEST(dispatch_tells_the_ready_ones_of_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
