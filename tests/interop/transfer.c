/* SPDX-License-Identifier: MIT */
#include "transfer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/check.h"
#include "base/prng.h"

/* At most so many bytes move on one connection before the next has its turn. */
#define TURN_BYTES ((size_t)1 << 20)

/* ---- Streams ------------------------------------------------------------------------------- */

struct stream {
    struct prng prng;
    size_t used; /* bytes of the block that have passed */
    uint64_t block[8192];
};

static void stream_refill(struct stream *s)
{
    for (size_t i = 0; i < sizeof(s->block) / sizeof(s->block[0]); i++)
        s->block[i] = prng_next(&s->prng);
    s->used = 0;
}

static struct stream *stream_new(uint64_t seed)
{
    struct stream *s = malloc(sizeof(*s));
    CHECK(s != NULL);
    prng_seed(&s->prng, seed);
    stream_refill(s);
    return s;
}

/* The next bytes of the stream, at least one. */
static const uint8_t *stream_peek(const struct stream *s, size_t *available)
{
    *available = sizeof(s->block) - s->used;
    return (const uint8_t *)s->block + s->used;
}

static void stream_skip(struct stream *s, size_t bytes)
{
    s->used += bytes;
    if (s->used == sizeof(s->block))
        stream_refill(s);
}

/* Whether the stream goes on with these bytes; it moves past them. */
static bool stream_matches(struct stream *s, const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        size_t part;
        const uint8_t *expected = stream_peek(s, &part);
        if (part > length)
            part = length;
        if (memcmp(expected, bytes, part) != 0)
            return false;
        stream_skip(s, part);
        bytes += part;
        length -= part;
    }
    return true;
}

/* ---- The two stacks ------------------------------------------------------------------------ */

static ssize_t kernel_send(struct strait *none, int fd, const void *bytes, size_t length)
{
    (void)none;
    return send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static ssize_t kernel_recv(struct strait *none, int fd, void *bytes, size_t length)
{
    (void)none;
    return recv(fd, bytes, length, MSG_DONTWAIT);
}

static int kernel_shutdown(struct strait *none, int fd, int how)
{
    (void)none;
    return shutdown(fd, how);
}

static int kernel_poll(struct strait *none, struct pollfd *fds, nfds_t count, int timeout_ms)
{
    (void)none;
    return poll(fds, count, timeout_ms);
}

const struct transport kernel_transport = {
    .send = kernel_send,
    .recv = kernel_recv,
    .shutdown = kernel_shutdown,
    .poll = kernel_poll,
};

static ssize_t stack_send(struct strait *stack, int fd, const void *bytes, size_t length)
{
    return strait_send(stack, fd, bytes, length, MSG_DONTWAIT);
}

static ssize_t stack_recv(struct strait *stack, int fd, void *bytes, size_t length)
{
    return strait_recv(stack, fd, bytes, length, MSG_DONTWAIT);
}

struct transport strait_transport(struct strait *stack)
{
    return (struct transport){
        .send = stack_send,
        .recv = stack_recv,
        .shutdown = strait_shutdown,
        .poll = strait_poll,
        .stack = stack,
    };
}

/* ---- Transfers ----------------------------------------------------------------------------- */

uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void transfer_init(struct transfer *t, int fd, uint64_t send_seed, uint64_t send_bytes,
                   uint64_t receive_seed, uint64_t receive_bytes)
{
    *t = (struct transfer){
        .fd = fd,
        .send_bytes = send_bytes,
        .receive_bytes = receive_bytes,
        .out = stream_new(send_seed),
        .in = stream_new(receive_seed),
    };
}

void transfer_init_echo(struct transfer *t, int fd, uint64_t seed, uint64_t bytes)
{
    transfer_init(t, fd, seed, bytes, seed, bytes);
}

void transfer_finish(struct transfer *t)
{
    free(t->out);
    free(t->in);
    t->out = t->in = NULL;
}

/* Sends what fits; returns the number of bytes, or -1 with errno (EAGAIN: nothing fitted). */
static ssize_t send_some(const struct transport *via, struct transfer *t)
{
    size_t total = 0;
    while (t->sent < t->send_bytes && total < TURN_BYTES) {
        size_t part;
        const uint8_t *bytes = stream_peek(t->out, &part);
        if (part > t->send_bytes - t->sent)
            part = (size_t)(t->send_bytes - t->sent);
        ssize_t n = via->send(via->stack, t->fd, bytes, part);
        if (n < 0)
            return total > 0 && errno == EAGAIN ? (ssize_t)total : -1;
        stream_skip(t->out, (size_t)n);
        t->sent += (uint64_t)n;
        total += (size_t)n;
    }
    return (ssize_t)total;
}

static int failed(const struct transfer *t, char *error, size_t error_bytes, const char *what)
{
    snprintf(error, error_bytes,
             "%s (sent %" PRIu64 " of %" PRIu64 " bytes, received %" PRIu64 " of %" PRIu64 ")",
             what, t->sent, t->send_bytes, t->received, t->receive_bytes);
    return -1;
}

static int step_send(const struct transport *via, struct transfer *t, char *error,
                     size_t error_bytes)
{
    if (t->sent == t->send_bytes)
        return 0;
    if (send_some(via, t) < 0 && errno != EAGAIN)
        return failed(t, error, error_bytes, strerror(errno));
    if (t->sent == t->send_bytes && !t->keep_open && via->shutdown(via->stack, t->fd, SHUT_WR) != 0)
        return failed(t, error, error_bytes, strerror(errno));
    return 0;
}

static int step_receive(const struct transport *via, struct transfer *t, char *error,
                        size_t error_bytes)
{
    static const char *const too_much = "more bytes than expected";
    uint8_t bytes[65536];
    for (size_t total = 0; total < TURN_BYTES;) {
        ssize_t n = via->recv(via->stack, t->fd, bytes, sizeof(bytes));
        if (n < 0)
            return errno == EAGAIN ? 0 : failed(t, error, error_bytes, strerror(errno));
        if (n == 0 && (t->received < t->receive_bytes || t->keep_open))
            return failed(t, error, error_bytes, "the other side ended too early");
        if (n == 0) {
            t->ended = true;
            return 0;
        }
        if ((uint64_t)n > t->receive_bytes - t->received)
            return failed(t, error, error_bytes, too_much);
        if (!stream_matches(t->in, bytes, (size_t)n))
            return failed(t, error, error_bytes, "a wrong byte");
        t->received += (uint64_t)n;
        total += (size_t)n;
    }
    return 0;
}

static int step(const struct transport *via, struct transfer *t, short events, char *error,
                size_t error_bytes)
{
    if ((events & (POLLOUT | POLLERR | POLLHUP)) && step_send(via, t, error, error_bytes) != 0)
        return -1;
    if ((events & (POLLIN | POLLERR | POLLHUP)) && !t->ended &&
        step_receive(via, t, error, error_bytes) != 0)
        return -1;
    bool moved = t->sent == t->send_bytes && t->received == t->receive_bytes;
    t->finished = moved && (t->ended || t->keep_open);
    return 0;
}

/* Lists the transfers under way; returns how many. */
static nfds_t list_unfinished(struct transfer *list, size_t count, struct pollfd *fds,
                              struct transfer **of)
{
    nfds_t n = 0;
    for (size_t i = 0; i < count; i++) {
        struct transfer *t = &list[i];
        if (t->finished)
            continue;
        of[n] = t;
        fds[n].fd = t->fd;
        fds[n].revents = 0;
        fds[n++].events =
            (short)((t->ended ? 0 : POLLIN) | (t->sent < t->send_bytes ? POLLOUT : 0));
    }
    return n;
}

int transfer_run(const struct transport *via, struct transfer *list, size_t count, int timeout_ms,
                 char *error, size_t error_bytes)
{
    struct pollfd *fds = calloc(count, sizeof(*fds));
    struct transfer **of = calloc(count, sizeof(struct transfer *));
    CHECK(fds != NULL && of != NULL);
    uint64_t deadline = now_ms() + (uint64_t)timeout_ms;
    int result = 0;
    nfds_t n;

    /* Nothing to send: the end of that direction is due at once. */
    for (size_t i = 0; i < count && result == 0; i++)
        if (list[i].send_bytes == 0 && !list[i].keep_open &&
            via->shutdown(via->stack, list[i].fd, SHUT_WR) != 0)
            result = failed(&list[i], error, error_bytes, strerror(errno));

    while (result == 0 && (n = list_unfinished(list, count, fds, of)) > 0) {
        uint64_t now = now_ms();
        if (now >= deadline) {
            result = failed(of[0], error, error_bytes, "no end in time");
            break;
        }
        if (via->poll(via->stack, fds, n, (int)(deadline - now)) < 0 && errno != EINTR)
            result = failed(of[0], error, error_bytes, strerror(errno));
        for (nfds_t i = 0; i < n && result == 0; i++)
            result = step(via, of[i], fds[i].revents, error, error_bytes);
    }
    free(fds);
    free(of);
    return result;
}

int transfer_fill(const struct transport *via, struct transfer *t, int quiet_ms)
{
    while (t->sent < t->send_bytes) {
        struct pollfd p = {.fd = t->fd, .events = POLLOUT};
        int ready = via->poll(via->stack, &p, 1, quiet_ms);
        if (ready <= 0)
            return ready;
        if (send_some(via, t) < 0 && errno != EAGAIN)
            return -1;
    }
    return 0;
}
