/* SPDX-License-Identifier: MIT */
#include "talker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define READ_BYTES 65536

static void ready(void *argument, int fd, short revents);

static struct strait *stack_of(const struct talker *t)
{
    return pair_stack(t->pair, t->host);
}

/* Watches for what there is to do. */
static void watch(struct talker *t)
{
    short events = 0;
    if (!t->deaf && !t->ended)
        events |= POLLIN;
    if (t->sending_bytes > 0)
        events |= POLLOUT;
    if (t->error != 0)
        events = 0;
    strait_watch(stack_of(t), t->fd, events, events ? ready : NULL, t);
}

/* A call on the socket has failed: not yet, or for good. */
static void note_failure(struct talker *t)
{
    if (errno != EAGAIN && errno != EWOULDBLOCK)
        t->error = errno;
}

static void send_some(struct talker *t)
{
    ssize_t sent = strait_send(stack_of(t), t->fd, t->sending, t->sending_bytes, 0);
    if (sent < 0) {
        note_failure(t);
        return;
    }
    t->sending += sent;
    t->sending_bytes -= (size_t)sent;
    if (t->sending_bytes == 0 && t->finish)
        assert_int_equal(strait_shutdown(stack_of(t), t->fd, SHUT_WR), 0);
}

static void receive_some(struct talker *t)
{
    if (t->capacity - t->received_bytes < READ_BYTES) {
        t->capacity = 2 * t->capacity + READ_BYTES;
        t->received = realloc(t->received, t->capacity + 1);
        assert_non_null(t->received);
    }
    ssize_t got = strait_recv(stack_of(t), t->fd, t->received + t->received_bytes, READ_BYTES, 0);
    if (got < 0)
        note_failure(t);
    else if (got == 0)
        t->ended = true;
    else
        t->received_bytes += (size_t)got;
    t->received[t->received_bytes] = '\0';
}

static void ready(void *argument, int fd, short revents)
{
    (void)fd;
    struct talker *t = argument;
    if (!t->deaf && !t->ended && (revents & (POLLIN | POLLERR | POLLHUP)))
        receive_some(t);
    if (t->error == 0 && t->sending_bytes > 0 && (revents & (POLLOUT | POLLERR | POLLHUP)))
        send_some(t);
    watch(t);
}

struct talker *talker_adopt(struct pair *pair, int host, int fd)
{
    struct talker *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    assert_true(fd >= 0);
    t->pair = pair;
    t->host = host;
    t->fd = fd;
    watch(t);
    return t;
}

struct talker *talker_connect(struct pair *pair, int from, uint16_t port)
{
    struct strait *stack = pair_stack(pair, from);
    int fd = strait_socket(stack, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    struct sockaddr_in to = pair_address(1 - from, port);
    assert_int_equal(strait_connect(stack, fd, (struct sockaddr *)&to, sizeof(to)), -1);
    assert_int_equal(errno, EINPROGRESS);
    return talker_adopt(pair, from, fd);
}

void talker_say(struct talker *t, const void *bytes, size_t length)
{
    assert_int_equal(t->sending_bytes, 0);
    t->sending = bytes;
    t->sending_bytes = length;
    watch(t);
}

void talker_finish(struct talker *t)
{
    t->finish = true;
    if (t->sending_bytes == 0)
        assert_int_equal(strait_shutdown(stack_of(t), t->fd, SHUT_WR), 0);
}

void talker_be_deaf(struct talker *t, bool deaf)
{
    t->deaf = deaf;
    watch(t);
}

struct goal {
    const struct talker *talker;
    size_t bytes;
};

static bool heard(void *context)
{
    const struct goal *goal = context;
    const struct talker *t = goal->talker;
    return t->received_bytes >= goal->bytes || t->ended || t->error != 0;
}

void talker_hear(struct talker *t, size_t bytes)
{
    struct goal goal = {t, bytes};
    pair_until(t->pair, heard, &goal);
    assert_int_equal(t->error, 0);
    assert_true(t->received_bytes >= bytes);
}

void talker_hear_end(struct talker *t)
{
    struct goal goal = {t, SIZE_MAX};
    pair_until(t->pair, heard, &goal);
}

void talker_close(struct talker *t)
{
    strait_close(stack_of(t), t->fd);
    free(t->received);
    free(t);
}
