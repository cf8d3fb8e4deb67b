/* SPDX-License-Identifier: MIT */
/*
 * Sending and receiving. All calls of the family come down to two, with a struct msghdr for the
 * parts and the peer's name. Bytes are copied once, between the caller's parts and the buffer of
 * TCP or UDP.
 */
#define _GNU_SOURCE /* POLLRDHUP */
#include <errno.h>
#include <limits.h>

#include "socket/control.h"
#include "socket/socket.h"
#include "stack.h"

#define PARTS_MAX      1024 /* IOV_MAX of Linux */
#define SEND_FLAGS     (MSG_DONTWAIT | MSG_NOSIGNAL)
#define STREAM_FLAGS   (SEND_FLAGS | MSG_MORE | MSG_OOB)
#define RECEIVE_FLAGS  (MSG_DONTWAIT | MSG_NOSIGNAL | MSG_PEEK | MSG_TRUNC | MSG_WAITALL)
#define DATAGRAM_FLAGS (RECEIVE_FLAGS | MSG_ERRQUEUE)

/*
 * Adds up the parts. Returns 0, or -1 with EINVAL when no ssize_t can count them, or EFAULT where
 * one is nowhere, if it is to be touched.
 */
static int parts_total(const struct iovec *parts, size_t count, bool touched, size_t *total)
{
    *total = 0;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].iov_len > (size_t)SSIZE_MAX - *total) {
            errno = EINVAL;
            return -1;
        }
        if (touched && !parts[i].iov_base && parts[i].iov_len > 0) {
            errno = EFAULT;
            return -1;
        }
        *total += parts[i].iov_len;
    }
    return 0;
}

/* Checks what does not depend on the socket. Returns 0, or -1 with EMSGSIZE, EINVAL or EFAULT. */
static int message_check(const struct msghdr *message, bool touched, size_t *total)
{
    if (message->msg_iovlen > PARTS_MAX) {
        errno = EMSGSIZE;
        return -1;
    }
    return parts_total(message->msg_iov, message->msg_iovlen, touched, total);
}

/* Where a call that goes on in pieces has come to. */
struct progress {
    const struct iovec *parts;
    int count;
    size_t offset;     /* in the first part */
    struct iovec rest; /* of the first part */
};

static struct progress progress_over(const struct msghdr *message)
{
    return (struct progress){.parts = message->msg_iov, .count = (int)message->msg_iovlen};
}

static void progress_advance(struct progress *p, size_t bytes)
{
    p->offset += bytes;
    while (p->count > 0 && p->offset >= p->parts->iov_len) {
        p->offset -= p->parts->iov_len;
        p->parts++;
        p->count--;
    }
}

/* What is left, or a part of it: the rest of a part that is done in part, or all parts. */
static const struct iovec *progress_next(struct progress *p, int *count)
{
    *count = p->offset > 0 ? 1 : p->count;
    if (p->offset == 0)
        return p->parts;
    p->rest.iov_base = (char *)p->parts->iov_base + p->offset;
    p->rest.iov_len = p->parts->iov_len - p->offset;
    return &p->rest;
}

/* ---- Sending ---- */

/* Offers TCP what is left, or a part of it. */
static ssize_t stream_send_once(struct sockets *all, struct socket *s, struct progress *p,
                                int flags)
{
    int count;
    const struct iovec *parts = progress_next(p, &count);
    if (!socket_has_connection(s)) {
        errno = EPIPE; /* as Linux, where POSIX has ENOTCONN */
        return -1;
    }
    tcp_set_more(s->connection, flags & MSG_MORE);
    ssize_t sent = tcp_send(all->tcp, s->connection, parts, count);
    if (sent > 0 && flags & MSG_OOB)
        tcp_mark_urgent(all->tcp, s->connection);
    return sent;
}

/*
 * A blocking send ends when all is taken, or with the part that was when it cannot go on. An error
 * that comes after a part was taken stays with the connection, for the next call to tell.
 */
static ssize_t stream_send(struct sockets *all, int fd, const struct msghdr *message, size_t total,
                           int flags)
{
    struct socket *s = socket_find(all, fd);
    uint64_t deadline_ns = sockets_deadline(all, s->send_timeout_ns);
    struct progress p = progress_over(message);
    size_t done = 0;
    for (;; s = socket_find(all, fd)) {
        if (done > 0 && (!s || socket_events(s) & POLLERR))
            return (ssize_t)done;
        ssize_t sent = s ? stream_send_once(all, s, &p, flags) : -1;
        bool wait = s && socket_waits(s, flags);
        if (sent >= 0) {
            done += (size_t)sent;
            progress_advance(&p, (size_t)sent);
            if (done == total || !wait)
                return (ssize_t)done;
        } else if (errno != EAGAIN || !wait || sockets_wait(all, deadline_ns) < 0) {
            return done > 0 ? (ssize_t)done : -1;
        }
    }
}

static ssize_t datagram_send(struct sockets *all, struct socket *s, const struct msghdr *message,
                             size_t total)
{
    struct address remote;
    struct udp_terms terms;
    uint16_t port = 0;
    if (s->send_shut) {
        errno = EPIPE;
        return -1;
    }
    if (message->msg_name &&
        socket_address_read(message->msg_name, message->msg_namelen, &remote, &port) < 0)
        return -1;
    if (message->msg_controllen > 0 && control_read(message, &terms) < 0)
        return -1;
    int result = udp_send(all->udp, s->endpoint, message->msg_iov, (int)message->msg_iovlen,
                          message->msg_name ? &remote : NULL, port,
                          message->msg_controllen > 0 ? &terms : NULL);
    return result < 0 ? -1 : (ssize_t)total;
}

static ssize_t send_message(struct strait *stack, int fd, const struct msghdr *message, int flags)
{
    struct sockets *all = &stack->sockets;
    struct socket *s = socket_find(all, fd);
    size_t total;
    if (!s || message_check(message, true, &total) < 0)
        return -1;
    if (flags & ~(s->kind == SOCKET_DATAGRAM ? SEND_FLAGS : STREAM_FLAGS)) {
        errno = EOPNOTSUPP;
        return -1;
    }
    if (s->kind == SOCKET_DATAGRAM)
        return datagram_send(all, s, message, total);
    if (message->msg_controllen > 0 && control_check(message) < 0)
        return -1;
    /* The name is ignored, as by Linux: a stream has one peer. */
    return stream_send(all, fd, message, total, flags);
}

/* A message to `name`, which may be NULL, of the parts. Nothing in it is written to. */
static struct msghdr message_of(const struct iovec *parts, size_t count, const void *name,
                                socklen_t name_length)
{
    return (struct msghdr){
        .msg_name = (void *)name,
        .msg_namelen = name ? name_length : 0,
        .msg_iov = (struct iovec *)parts,
        .msg_iovlen = count,
    };
}

ssize_t strait_sendto(struct strait *stack, int fd, const void *bytes, size_t length, int flags,
                      const struct sockaddr *name, socklen_t name_length)
{
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = length};
    struct msghdr message = message_of(&part, 1, name, name_length);
    return send_message(stack, fd, &message, flags);
}

ssize_t strait_send(struct strait *stack, int fd, const void *bytes, size_t length, int flags)
{
    return strait_sendto(stack, fd, bytes, length, flags, NULL, 0);
}

ssize_t strait_write(struct strait *stack, int fd, const void *bytes, size_t length)
{
    return strait_sendto(stack, fd, bytes, length, 0, NULL, 0);
}

ssize_t strait_sendmsg(struct strait *stack, int fd, const struct msghdr *message, int flags)
{
    return send_message(stack, fd, message, flags);
}

/*
 * Checks the arguments of readv and writev. Returns whether there is something to move; if not,
 * *result is what to return: 0 for no bytes, as Linux, or -1 with errno.
 */
static bool vector_check(struct strait *stack, int fd, const struct iovec *parts, int count,
                         ssize_t *result)
{
    size_t total = 0;
    *result = -1;
    if (!socket_find(&stack->sockets, fd))
        return false;
    if (count < 0 || count > PARTS_MAX) {
        errno = EINVAL;
        return false;
    }
    if (parts_total(parts, (size_t)count, true, &total) < 0)
        return false;
    *result = 0;
    return total > 0;
}

ssize_t strait_writev(struct strait *stack, int fd, const struct iovec *parts, int count)
{
    ssize_t result;
    if (!vector_check(stack, fd, parts, count, &result))
        return result;
    struct msghdr message = message_of(parts, (size_t)count, NULL, 0);
    return send_message(stack, fd, &message, 0);
}

/* ---- Receiving ---- */

/* Returns 0, or -1 with errno, for a stream that is asked for what it does not give. */
static int stream_receive_check(const struct socket *s, int flags)
{
    if (flags & MSG_OOB)
        errno = EINVAL; /* urgent data stays in line, as RFC 6093 4 wants it */
    else if (flags & MSG_ERRQUEUE)
        errno = EAGAIN; /* of a stream nothing is kept */
    else if (flags & ~RECEIVE_FLAGS)
        errno = EOPNOTSUPP;
    else if (!socket_has_connection(s))
        errno = ENOTCONN;
    else
        return 0;
    return -1;
}

/* Takes what is there: with MSG_TRUNC, as Linux, it is thrown away. */
static ssize_t stream_receive_once(struct sockets *all, struct socket *s, struct progress *p,
                                   size_t left, int flags)
{
    struct iovec nowhere = {.iov_len = left};
    int count = 1;
    const struct iovec *parts = flags & MSG_TRUNC ? &nowhere : progress_next(p, &count);
    if (stream_receive_check(s, flags) < 0)
        return -1;
    return tcp_receive(all->tcp, s->connection, parts, count, flags & MSG_PEEK);
}

/* Whether a receive that has got less than it wanted ends all the same: it stops at the mark, at
 * the peer's end and in front of an error, which the next call is told. */
static bool stream_receive_ends(const struct socket *s)
{
    return !socket_has_connection(s) || tcp_is_at_mark(s->connection) ||
           socket_events(s) & (POLLRDHUP | POLLERR);
}

/*
 * A blocking receive ends with as much as SO_RCVLOWAT says, or with all there is room for if that
 * is asked for. What is only peeked at is there again at the next look.
 */
static ssize_t stream_receive(struct sockets *all, int fd, struct msghdr *message, size_t room,
                              int flags)
{
    struct socket *s = socket_find(all, fd);
    uint64_t deadline_ns = sockets_deadline(all, s->receive_timeout_ns);
    size_t wanted = flags & MSG_WAITALL || s->receive_low > room ? room : s->receive_low;
    struct progress p = progress_over(message);
    size_t done = 0;
    for (;; s = socket_find(all, fd)) {
        if (done > 0 && (!s || socket_events(s) & POLLERR))
            return (ssize_t)done;
        ssize_t got = s ? stream_receive_once(all, s, &p, room - done, flags) : -1;
        if (got < 0 && (errno != EAGAIN || !s))
            return done > 0 ? (ssize_t)done : -1;
        if (got >= 0) {
            message->msg_namelen = 0; /* as Linux: getpeername tells who it is */
            message->msg_controllen = 0;
            done = flags & MSG_PEEK ? (size_t)got : done + (size_t)got;
            if (got == 0 || done >= wanted || !socket_waits(s, flags) || stream_receive_ends(s))
                return (ssize_t)done;
            if (!(flags & MSG_PEEK))
                progress_advance(&p, (size_t)got);
        } else if (!socket_waits(s, flags)) {
            return done > 0 ? (ssize_t)done : -1;
        }
        if (sockets_wait(all, deadline_ns) < 0)
            return done > 0 ? (ssize_t)done : -1;
    }
}

/* Tells by the flags of the message that `length` bytes did not all fit. Returns what did. */
static ssize_t cut(struct msghdr *message, size_t length, size_t room)
{
    if (length <= room)
        return (ssize_t)length;
    message->msg_flags |= MSG_TRUNC;
    return (ssize_t)room;
}

/* What IP_RECVERR keeps. It is there or not: nobody waits for it. */
static ssize_t failure_receive(struct sockets *all, struct socket *s, struct msghdr *message,
                               size_t room)
{
    struct udp_failure failure;
    struct control control = {.message = message};
    ssize_t got = udp_take_failure(all->udp, s->endpoint, message->msg_iov,
                                   (int)message->msg_iovlen, &failure);
    if (got < 0)
        return -1;
    message->msg_flags |= MSG_ERRQUEUE;
    if (message->msg_name)
        socket_address_write(&failure.remote, failure.port, message->msg_name,
                             &message->msg_namelen);
    control_write_failure(&control, &failure);
    message->msg_controllen = control.used;
    return cut(message, (size_t)got, room);
}

/* Takes a datagram that is there. */
static ssize_t datagram_receive_once(struct sockets *all, struct socket *s, struct msghdr *message,
                                     size_t room, int flags)
{
    struct udp_arrival arrival;
    struct control control = {.message = message};
    ssize_t got = udp_receive(all->udp, s->endpoint, message->msg_iov, (int)message->msg_iovlen,
                              flags & MSG_PEEK, &arrival);
    if (got < 0) {
        bool ended = errno == EAGAIN && s->receive_shut;
        if (!ended)
            return -1;
        message->msg_namelen = 0;
        message->msg_controllen = 0;
        return 0;
    }
    if (message->msg_name)
        socket_address_write(&arrival.source, arrival.source_port, message->msg_name,
                             &message->msg_namelen);
    control_write_arrival(&control, s, all->udp->ip, &arrival);
    message->msg_controllen = control.used;
    ssize_t taken = cut(message, (size_t)got, room);
    return flags & MSG_TRUNC ? got : taken;
}

static ssize_t datagram_receive(struct sockets *all, int fd, struct msghdr *message, size_t room,
                                int flags)
{
    struct socket *s = socket_find(all, fd);
    uint64_t deadline_ns = sockets_deadline(all, s->receive_timeout_ns);
    if (flags & ~DATAGRAM_FLAGS) {
        errno = EOPNOTSUPP;
        return -1;
    }
    if (flags & MSG_ERRQUEUE)
        return failure_receive(all, s, message, room);
    for (; s; s = socket_find(all, fd)) {
        ssize_t got = datagram_receive_once(all, s, message, room, flags);
        if (got >= 0 || errno != EAGAIN || !socket_waits(s, flags))
            return got;
        if (sockets_wait(all, deadline_ns) < 0)
            return -1;
    }
    return -1;
}

static ssize_t receive_message(struct strait *stack, int fd, struct msghdr *message, int flags)
{
    struct sockets *all = &stack->sockets;
    const struct socket *s = socket_find(all, fd);
    size_t room;
    if (!s)
        return -1;
    bool datagram = s->kind == SOCKET_DATAGRAM;
    message->msg_flags = 0;
    if (message_check(message, datagram || !(flags & MSG_TRUNC), &room) < 0)
        return -1;
    return datagram ? datagram_receive(all, fd, message, room, flags)
                    : stream_receive(all, fd, message, room, flags);
}

ssize_t strait_recvfrom(struct strait *stack, int fd, void *bytes, size_t length, int flags,
                        struct sockaddr *name, socklen_t *name_length)
{
    struct iovec part = {.iov_base = bytes, .iov_len = length};
    struct msghdr message = message_of(&part, 1, name, name ? *name_length : 0);
    ssize_t got = receive_message(stack, fd, &message, flags);
    if (got >= 0 && name)
        *name_length = message.msg_namelen;
    return got;
}

ssize_t strait_recv(struct strait *stack, int fd, void *bytes, size_t length, int flags)
{
    return strait_recvfrom(stack, fd, bytes, length, flags, NULL, NULL);
}

ssize_t strait_recvmsg(struct strait *stack, int fd, struct msghdr *message, int flags)
{
    return receive_message(stack, fd, message, flags);
}

ssize_t strait_readv(struct strait *stack, int fd, const struct iovec *parts, int count)
{
    ssize_t result;
    if (!vector_check(stack, fd, parts, count, &result))
        return result;
    struct msghdr message = message_of(parts, (size_t)count, NULL, 0);
    return receive_message(stack, fd, &message, 0);
}

ssize_t strait_read(struct strait *stack, int fd, void *bytes, size_t length)
{
    struct iovec part = {.iov_base = bytes, .iov_len = length};
    return strait_readv(stack, fd, &part, 1);
}

int strait_sockatmark(struct strait *stack, int fd)
{
    const struct socket *s = socket_find(&stack->sockets, fd);
    if (!s)
        return -1;
    if (s->kind == SOCKET_DATAGRAM) {
        errno = ENOTTY;
        return -1;
    }
    return socket_has_connection(s) && tcp_is_at_mark(s->connection);
}
