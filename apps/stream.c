/* SPDX-License-Identifier: MIT */
/* Streams of a Strait host. */
#include "stream.h"

#include <errno.h>
#include <linux/tcp.h>

static struct strait *stack_of(const struct stream *s)
{
    return s->host->stack;
}

static void leave_at_once(const struct stream *s)
{
    int on = 1;
    strait_setsockopt(stack_of(s), s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* Undoes the making of a stream that has failed. Returns -1 with errno as it was. */
static int give_up(struct stream *s)
{
    int error = errno;
    if (s->fd >= 0)
        strait_close(stack_of(s), s->fd);
    s->fd = -1;
    errno = error;
    return -1;
}

static int strait_stream_listen(struct stream *s, const struct sockaddr_in *address, int backlog)
{
    int on = 1; /* connections of a listener before this one may be left */
    s->fd = strait_socket(stack_of(s), AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (s->fd < 0)
        return -1;
    leave_at_once(s); /* as all that is accepted will, which has it from the listener */
    if (strait_setsockopt(stack_of(s), s->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        strait_bind(stack_of(s), s->fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ||
        strait_listen(stack_of(s), s->fd, backlog) < 0)
        return give_up(s);
    return 0;
}

static int strait_stream_accept(struct stream *listener, struct stream *s)
{
    s->fd = strait_accept4(stack_of(s), listener->fd, NULL, NULL, SOCK_NONBLOCK);
    return s->fd < 0 ? -1 : 0;
}

static int strait_stream_connect(struct stream *s, const struct sockaddr_in *address)
{
    s->fd = strait_socket(stack_of(s), AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (s->fd < 0)
        return -1;
    leave_at_once(s);
    if (strait_connect(stack_of(s), s->fd, (const struct sockaddr *)address, sizeof(*address)) <
            0 &&
        errno != EINPROGRESS)
        return give_up(s);
    return 0;
}

static int strait_stream_error(struct stream *s)
{
    int error = 0;
    socklen_t length = sizeof(error);
    strait_getsockopt(stack_of(s), s->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    return error;
}

static int strait_stream_peer(struct stream *s, struct sockaddr_in *peer)
{
    socklen_t length = sizeof(*peer);
    return strait_getpeername(stack_of(s), s->fd, (struct sockaddr *)peer, &length);
}

static uint64_t strait_stream_progress(struct stream *s)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof(info);
    strait_getsockopt(stack_of(s), s->fd, IPPROTO_TCP, TCP_INFO, &info, &length);
    return info.tcpi_bytes_acked + info.tcpi_bytes_received;
}

static ssize_t strait_stream_recv(struct stream *s, void *bytes, size_t length, int flags)
{
    return strait_recv(stack_of(s), s->fd, bytes, length, flags);
}

static ssize_t strait_stream_send(struct stream *s, const void *bytes, size_t length)
{
    return strait_send(stack_of(s), s->fd, bytes, length, MSG_NOSIGNAL);
}

static ssize_t strait_stream_sendv(struct stream *s, const struct iovec *parts, int count)
{
    return strait_writev(stack_of(s), s->fd, parts, count);
}

static ssize_t strait_stream_lend(struct stream *s, const void *bytes, size_t length,
                                  void (*release)(void *context), void *context)
{
    return strait_send_reference(stack_of(s), s->fd, bytes, length, release, context);
}

static int strait_stream_watch(struct stream *s, short events, stream_ready *ready, void *argument)
{
    return strait_watch(stack_of(s), s->fd, ready ? events : 0, ready, argument);
}

static void strait_stream_keep_alive(struct stream *s)
{
    int on = 1;
    strait_setsockopt(stack_of(s), s->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

static int strait_stream_finish(struct stream *s)
{
    return strait_shutdown(stack_of(s), s->fd, SHUT_WR);
}

static void strait_stream_close(struct stream *s)
{
    strait_close(stack_of(s), s->fd);
}

static void strait_stream_reset(struct stream *s)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    strait_setsockopt(stack_of(s), s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    strait_close(stack_of(s), s->fd);
}

const struct stream_kind stream_strait = {
    .listen = strait_stream_listen,
    .accept = strait_stream_accept,
    .connect = strait_stream_connect,
    .error = strait_stream_error,
    .peer = strait_stream_peer,
    .progress = strait_stream_progress,
    .recv = strait_stream_recv,
    .send = strait_stream_send,
    .sendv = strait_stream_sendv,
    .lend = strait_stream_lend,
    .watch = strait_stream_watch,
    .keep_alive = strait_stream_keep_alive,
    .finish = strait_stream_finish,
    .close = strait_stream_close,
    .reset = strait_stream_reset,
};
