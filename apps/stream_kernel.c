/* SPDX-License-Identifier: MIT */
/* Streams of the machine's own kernel. */
#define _GNU_SOURCE /* accept4 */
#include <errno.h>
#include <linux/tcp.h>
#include <unistd.h>

#include "stream.h"

static void switch_on(int fd, int level, int option)
{
    int on = 1;
    setsockopt(fd, level, option, &on, sizeof(on));
}

/* Urgent data stays in line, as in Strait: so it can be read away, and its event with it. */
static void set_options(int fd)
{
    switch_on(fd, IPPROTO_TCP, TCP_NODELAY);
    switch_on(fd, SOL_SOCKET, SO_OOBINLINE);
}

/* Undoes the making of a stream that has failed. Returns -1 with errno as it was. */
static int give_up(struct stream *s)
{
    int error = errno;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    errno = error;
    return -1;
}

static int kernel_listen(struct stream *s, const struct sockaddr_in *address, int backlog)
{
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        return -1;
    switch_on(s->fd, SOL_SOCKET, SO_REUSEADDR);
    set_options(s->fd); /* which all that is accepted has from the listener */
    if (bind(s->fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ||
        listen(s->fd, backlog) < 0)
        return give_up(s);
    return 0;
}

static int kernel_accept(struct stream *listener, struct stream *s)
{
    s->fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return s->fd < 0 ? -1 : 0;
}

static int kernel_connect(struct stream *s, const struct sockaddr_in *address)
{
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        return -1;
    set_options(s->fd);
    if (connect(s->fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
        errno != EINPROGRESS)
        return give_up(s);
    return 0;
}

static int kernel_error(struct stream *s)
{
    int error = 0;
    socklen_t length = sizeof(error);
    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    return error;
}

static int kernel_peer(struct stream *s, struct sockaddr_in *peer)
{
    socklen_t length = sizeof(*peer);
    return getpeername(s->fd, (struct sockaddr *)peer, &length);
}

static uint64_t kernel_progress(struct stream *s)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof(info);
    getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, &info, &length);
    return info.tcpi_bytes_acked + info.tcpi_bytes_received;
}

static ssize_t kernel_recv(struct stream *s, void *bytes, size_t length, int flags)
{
    return recv(s->fd, bytes, length, flags);
}

static ssize_t kernel_send(struct stream *s, const void *bytes, size_t length)
{
    return send(s->fd, bytes, length, MSG_NOSIGNAL);
}

static ssize_t kernel_sendv(struct stream *s, const struct iovec *parts, int count)
{
    const struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count};
    return sendmsg(s->fd, &message, MSG_NOSIGNAL);
}

static ssize_t kernel_lend(struct stream *s, const void *bytes, size_t length,
                           void (*release)(void *context), void *context)
{
    (void)s, (void)bytes, (void)length, (void)release, (void)context;
    errno = EOPNOTSUPP;
    return -1;
}

/* An environment tells of failures beside what it watches for, which cannot be nothing: so it is
 * what does not happen once all that is urgent has been read. */
static int kernel_watch(struct stream *s, short events, stream_ready *ready, void *argument)
{
    struct strait_env *env = s->host->env;
    if (!ready)
        return env->watch(env, s->fd, 0, NULL, NULL);
    return env->watch(env, s->fd, events ? events : POLLPRI, ready, argument);
}

static void kernel_keep_alive(struct stream *s)
{
    switch_on(s->fd, SOL_SOCKET, SO_KEEPALIVE);
}

static int kernel_finish(struct stream *s)
{
    return shutdown(s->fd, SHUT_WR);
}

static void kernel_close(struct stream *s)
{
    kernel_watch(s, 0, NULL, NULL);
    close(s->fd);
}

static void kernel_reset(struct stream *s)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    kernel_close(s);
}

const struct stream_kind stream_kernel = {
    .listen = kernel_listen,
    .accept = kernel_accept,
    .connect = kernel_connect,
    .error = kernel_error,
    .peer = kernel_peer,
    .progress = kernel_progress,
    .recv = kernel_recv,
    .send = kernel_send,
    .sendv = kernel_sendv,
    .lend = kernel_lend,
    .watch = kernel_watch,
    .keep_alive = kernel_keep_alive,
    .finish = kernel_finish,
    .close = kernel_close,
    .reset = kernel_reset,
};
