/* SPDX-License-Identifier: MIT */
/*
 * Sending and receiving. All calls of the family come down to four: of a stream, with the parts,
 * and of datagrams, with a struct msghdr for the parts and what else they have to tell. Bytes are
 * copied once, between the caller's parts and the buffer of TCP or UDP.
 */
#define _GNU_SOURCE /* POLLRDHUP */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "socket/control.h"
#include "socket/socket.h"
#include "stack.h"

#define PARTS_MAX    1024 /* IOV_MAX of Linux */
#define SEND_FLAGS   (MSG_DONTWAIT | MSG_NOSIGNAL)
#define STREAM_FLAGS (SEND_FLAGS | MSG_MORE | MSG_OOB)
#define RECEIVE_FLAGS                                                                              \
    (MSG_DONTWAIT | MSG_NOSIGNAL | MSG_PEEK | MSG_TRUNC | MSG_WAITALL | MSG_CMSG_CLOEXEC)
#define DATAGRAM_FLAGS (RECEIVE_FLAGS | MSG_ERRQUEUE)

static int fail(int number)
{
    errno = number;
    return -1;
}

/*
 * Adds up the parts. Returns 0, or -1 with EINVAL when no ssize_t can count them, or EFAULT where
 * one is nowhere, if it is to be touched.
 */
static int parts_total(const struct iovec *parts, size_t count, bool touched, size_t *total)
{
    *total = 0;
    if (count > 0 && !parts)
        return fail(EFAULT);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].iov_len > (size_t)SSIZE_MAX - *total)
            return fail(EINVAL);
        if (touched && !parts[i].iov_base && parts[i].iov_len > 0)
            return fail(EFAULT);
        *total += parts[i].iov_len;
    }
    return 0;
}

/* Checks what does not depend on the socket. Returns 0, or -1 with EMSGSIZE, EINVAL or EFAULT. */
static int message_check(const struct msghdr *message, bool touched, size_t *total)
{
    if (message->msg_name && message->msg_namelen > INT_MAX)
        return fail(EINVAL);
    if (message->msg_iovlen > PARTS_MAX)
        return fail(EMSGSIZE);
    return parts_total(message->msg_iov, message->msg_iovlen, touched, total);
}

/* Whether a buffer is nowhere: as Linux, so is one that no memory can hold. */
static bool is_nowhere(const void *bytes, size_t length)
{
    return length > SSIZE_MAX || (!bytes && length > 0);
}

/* Where a call that goes on in pieces has come to. */
struct progress {
    const struct iovec *parts;
    int count;
    size_t offset;     /* in the first part */
    struct iovec rest; /* of the first part */
};

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

/* Where a message is to go: `at` NULL is to nobody in particular. */
struct name {
    const struct sockaddr *at;
    socklen_t length;
};

/* Offers the parts to TCP, which takes them in part, if need be. */
static inline ssize_t stream_send_once(struct sockets *all, struct socket *s,
                                       const struct iovec *parts, int count, int flags)
{
    if (!socket_has_connection(s))
        return fail(EPIPE); /* as Linux, where POSIX has ENOTCONN */
    ssize_t sent = tcp_send(all->tcp, s->connection, parts, count, flags & MSG_MORE);
    if (sent > 0 && flags & MSG_OOB)
        tcp_mark_urgent(all->tcp, s->connection);
    return sent;
}

/*
 * A blocking send ends when all is taken, or with the part that was when it cannot go on. An error
 * that comes after a part was taken stays with the connection, for the next call to tell.
 */
static ssize_t stream_send_all(struct sockets *all, struct socket *s, const struct iovec *first,
                               int count_parts, size_t total, int flags)
{
    int fd = s->fd;
    uint64_t deadline_ns = sockets_deadline(all, s->options->send_timeout_ns);
    struct progress p = {.parts = first, .count = count_parts};
    size_t done = 0;
    for (;; s = socket_find(all, fd)) {
        int count;
        const struct iovec *parts = progress_next(&p, &count);
        if (done > 0 && (!s || socket_events(s, 0) & POLLERR))
            return (ssize_t)done;
        ssize_t sent = s ? stream_send_once(all, s, parts, count, flags) : -1;
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

static inline ssize_t stream_send(struct sockets *all, struct socket *s, const struct iovec *parts,
                                  int count, size_t total, int flags)
{
    if (flags & ~STREAM_FLAGS)
        return fail(EOPNOTSUPP);
    if (socket_waits(s, flags))
        return stream_send_all(all, s, parts, count, total, flags);
    return stream_send_once(all, s, parts, count, flags);
}

/* As Linux, a destination may be of the unspecified family, too: some programs leave it out. */
static int destination_read(const struct name *name, struct address *address, uint16_t *port)
{
    struct sockaddr_in in;
    if (name->length >= sizeof(in)) {
        memcpy(&in, name->at, sizeof(in));
        if (in.sin_family == AF_UNSPEC) {
            in.sin_family = AF_INET;
            return socket_address_read((struct sockaddr *)&in, sizeof(in), address, port);
        }
    }
    return socket_address_read(name->at, name->length, address, port);
}

/* Sends the parts and the control data of a message to `name`, whatever the message's own is. */
static ssize_t datagram_send(struct sockets *all, struct socket *s, const struct msghdr *message,
                             const struct name *name, size_t total, int flags)
{
    struct address remote;
    struct udp_terms terms;
    uint16_t port = 0;
    if (flags & ~SEND_FLAGS)
        return fail(EOPNOTSUPP);
    if (s->send_shut)
        return fail(EPIPE);
    if (name->at && destination_read(name, &remote, &port) < 0)
        return -1;
    if (message->msg_controllen > 0 && control_read(message, &terms) < 0)
        return -1;
    if (name->at)
        socket_address_complete(&s->endpoint->binding, &remote);
    int result =
        udp_send(all->udp, s->endpoint, message->msg_iov, (int)message->msg_iovlen,
                 name->at ? &remote : NULL, port, message->msg_controllen > 0 ? &terms : NULL);
    return result < 0 ? -1 : (ssize_t)total;
}

/* A message of the parts. Nothing in it is written to. */
static struct msghdr message_of(const struct iovec *parts, size_t count)
{
    return (struct msghdr){.msg_iov = (struct iovec *)parts, .msg_iovlen = count};
}

/* Sends `total` bytes in parts. The name is ignored, as by Linux, of a stream: it has one peer. */
static inline ssize_t send_parts(struct sockets *all, struct socket *s, const struct iovec *parts,
                                 int count, const struct name *name, size_t total, int flags)
{
    if (s->kind != SOCKET_DATAGRAM)
        return stream_send(all, s, parts, count, total, flags);
    struct msghdr message = message_of(parts, (size_t)count);
    return datagram_send(all, s, &message, name, total, flags);
}

static inline ssize_t send_bytes(struct strait *stack, int fd, const void *bytes, size_t length,
                                 int flags, const struct name *name)
{
    struct socket *s = socket_find(&stack->sockets, fd);
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = length};
    if (!s)
        return -1;
    if (is_nowhere(bytes, length))
        return fail(EFAULT);
    if (name->length > sizeof(struct sockaddr_storage))
        return fail(EINVAL);
    return send_parts(&stack->sockets, s, &part, 1, name, length, flags);
}

ssize_t strait_sendto(struct strait *stack, int fd, const void *bytes, size_t length, int flags,
                      const struct sockaddr *name, socklen_t name_length)
{
    struct name to = {name, name ? name_length : 0};
    return send_bytes(stack, fd, bytes, length, flags, &to);
}

ssize_t strait_send(struct strait *stack, int fd, const void *bytes, size_t length, int flags)
{
    return send_bytes(stack, fd, bytes, length, flags, &(struct name){0});
}

ssize_t strait_write(struct strait *stack, int fd, const void *bytes, size_t length)
{
    return strait_send(stack, fd, bytes, length, 0);
}

/* As Linux, a name of no length is none, and what is too long is cut. */
ssize_t strait_sendmsg(struct strait *stack, int fd, const struct msghdr *message, int flags)
{
    struct socket *s = socket_find(&stack->sockets, fd);
    struct name to = {0};
    size_t total;
    if (!s)
        return -1;
    if (!message)
        return fail(EFAULT);
    if (message_check(message, true, &total) < 0)
        return -1;
    if (message->msg_name && message->msg_namelen > 0) {
        to.at = message->msg_name;
        to.length = message->msg_namelen;
        if (to.length > sizeof(struct sockaddr_storage))
            to.length = sizeof(struct sockaddr_storage);
    }
    if (s->kind == SOCKET_DATAGRAM)
        return datagram_send(&stack->sockets, s, message, &to, total, flags);
    if (message->msg_controllen > 0 && control_check(message) < 0)
        return -1;
    return send_parts(&stack->sockets, s, message->msg_iov, (int)message->msg_iovlen, &to, total,
                      flags);
}

/* The socket that readv or writev is for, and the bytes of the parts; NULL with errno if the
 * arguments are none. */
static struct socket *vector_check(struct strait *stack, int fd, const struct iovec *parts,
                                   int count, size_t *total)
{
    struct socket *s = socket_find(&stack->sockets, fd);
    if (!s)
        return NULL;
    if (count < 0 || count > PARTS_MAX) {
        errno = EINVAL;
        return NULL;
    }
    return parts_total(parts, (size_t)count, true, total) < 0 ? NULL : s;
}

ssize_t strait_writev(struct strait *stack, int fd, const struct iovec *parts, int count)
{
    size_t total;
    struct socket *s = vector_check(stack, fd, parts, count, &total);
    if (!s)
        return -1;
    if (total == 0)
        return 0; /* as Linux, even where sending is over */
    return send_parts(&stack->sockets, s, parts, count, &(struct name){0}, total, 0);
}

/* ---- Receiving ---- */

/* Returns 0, or -1 with errno, for a stream that is asked for what it does not give. */
static int stream_receive_check(const struct socket *s, int flags)
{
    if (flags & MSG_ERRQUEUE)
        return fail(EAGAIN); /* of a stream nothing is kept */
    if (flags & MSG_OOB)
        return fail(EINVAL); /* urgent data stays in line, as RFC 6093 4 wants it */
    if (flags & ~RECEIVE_FLAGS)
        return fail(EOPNOTSUPP);
    return socket_has_connection(s) ? 0 : fail(ENOTCONN);
}

/* Takes what is there, `left` bytes at most: with MSG_TRUNC, as Linux, it is thrown away. */
static inline ssize_t stream_receive_once(struct sockets *all, struct socket *s,
                                          const struct iovec *parts, int count, size_t left,
                                          int flags)
{
    struct iovec nowhere = {.iov_len = left};
    if (stream_receive_check(s, flags) < 0)
        return -1;
    if (flags & MSG_TRUNC)
        return tcp_receive(all->tcp, s->connection, &nowhere, 1, flags & MSG_PEEK);
    return tcp_receive(all->tcp, s->connection, parts, count, flags & MSG_PEEK);
}

/* Whether a receive that has got less than it wanted ends all the same: it stops at the mark, at
 * the peer's end and in front of an error, which the next call is told. */
static bool stream_receive_ends(const struct socket *s)
{
    return !socket_has_connection(s) || tcp_is_at_mark(s->connection) ||
           socket_events(s, POLLRDHUP) & (POLLRDHUP | POLLERR);
}

/*
 * A blocking receive ends with as much as SO_RCVLOWAT says, or with all there is room for if that
 * is asked for. What is only peeked at is there again at the next look.
 */
static ssize_t stream_receive_wanted(struct sockets *all, struct socket *s,
                                     const struct iovec *first, int count_parts, size_t room,
                                     int flags)
{
    int fd = s->fd;
    uint64_t deadline_ns = sockets_deadline(all, s->options->receive_timeout_ns);
    size_t wanted =
        flags & MSG_WAITALL || s->options->receive_low > room ? room : s->options->receive_low;
    struct progress p = {.parts = first, .count = count_parts};
    size_t done = 0;
    for (;; s = socket_find(all, fd)) {
        int count;
        const struct iovec *parts = progress_next(&p, &count);
        if (done > 0 && (!s || socket_events(s, 0) & POLLERR))
            return (ssize_t)done;
        ssize_t got = s ? stream_receive_once(all, s, parts, count, room - done, flags) : -1;
        if (got < 0 && (errno != EAGAIN || !s))
            return done > 0 ? (ssize_t)done : -1;
        if (got >= 0) {
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

static inline ssize_t stream_receive(struct sockets *all, struct socket *s,
                                     const struct iovec *parts, int count, size_t room, int flags)
{
    if (socket_waits(s, flags))
        return stream_receive_wanted(all, s, parts, count, room, flags);
    return stream_receive_once(all, s, parts, count, room, flags);
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

static ssize_t datagram_receive(struct sockets *all, struct socket *s, struct msghdr *message,
                                size_t room, int flags)
{
    int fd = s->fd;
    uint64_t deadline_ns = sockets_deadline(all, s->options->receive_timeout_ns);
    if (flags & ~DATAGRAM_FLAGS)
        return fail(EOPNOTSUPP);
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

/* Whether a receive writes to the parts: what MSG_TRUNC takes of a stream is thrown away. */
static bool parts_are_touched(const struct socket *s, int flags)
{
    return !(flags & MSG_TRUNC) || s->kind == SOCKET_DATAGRAM;
}

/*
 * Takes from a datagram socket or a stream. A stream has neither name nor control data to tell: as
 * Linux, getpeername tells who it is.
 */
static ssize_t receive_message(struct sockets *all, struct socket *s, struct msghdr *message,
                               size_t room, int flags)
{
    message->msg_flags = 0;
    if (s->kind == SOCKET_DATAGRAM)
        return datagram_receive(all, s, message, room, flags);
    ssize_t got = stream_receive(all, s, message->msg_iov, (int)message->msg_iovlen, room, flags);
    if (got >= 0) {
        message->msg_namelen = 0;
        message->msg_controllen = 0;
    }
    return got;
}

/* A buffer to receive into: more than a call can tell of is not filled. */
static struct iovec part_of(void *bytes, size_t length)
{
    return (struct iovec){.iov_base = bytes, .iov_len = length > SSIZE_MAX ? SSIZE_MAX : length};
}

ssize_t strait_recv(struct strait *stack, int fd, void *bytes, size_t length, int flags)
{
    struct socket *s = socket_find(&stack->sockets, fd);
    struct iovec part = part_of(bytes, length);
    if (!s)
        return -1;
    if (is_nowhere(bytes, part.iov_len) && parts_are_touched(s, flags))
        return fail(EFAULT);
    if (s->kind != SOCKET_DATAGRAM)
        return stream_receive(&stack->sockets, s, &part, 1, part.iov_len, flags);
    struct msghdr message = message_of(&part, 1);
    return receive_message(&stack->sockets, s, &message, part.iov_len, flags);
}

ssize_t strait_recvfrom(struct strait *stack, int fd, void *bytes, size_t length, int flags,
                        struct sockaddr *name, socklen_t *name_length)
{
    if (!name)
        return strait_recv(stack, fd, bytes, length, flags);
    struct socket *s = socket_find(&stack->sockets, fd);
    struct iovec part = part_of(bytes, length);
    struct msghdr message = message_of(&part, 1);
    if (!s || !socket_address_fits(name, name_length))
        return -1;
    if (is_nowhere(bytes, part.iov_len) && parts_are_touched(s, flags))
        return fail(EFAULT);
    message.msg_name = name;
    message.msg_namelen = *name_length;
    ssize_t got = receive_message(&stack->sockets, s, &message, part.iov_len, flags);
    if (got >= 0)
        *name_length = message.msg_namelen;
    return got;
}

ssize_t strait_recvmsg(struct strait *stack, int fd, struct msghdr *message, int flags)
{
    struct socket *s = socket_find(&stack->sockets, fd);
    size_t room;
    if (!s)
        return -1;
    if (!message)
        return fail(EFAULT);
    if (message_check(message, parts_are_touched(s, flags), &room) < 0)
        return -1;
    return receive_message(&stack->sockets, s, message, room, flags);
}

ssize_t strait_readv(struct strait *stack, int fd, const struct iovec *parts, int count)
{
    size_t room;
    struct socket *s = vector_check(stack, fd, parts, count, &room);
    if (!s)
        return -1;
    if (room == 0)
        return 0; /* as Linux, whatever there is to read */
    struct msghdr message = message_of(parts, (size_t)count);
    return receive_message(&stack->sockets, s, &message, room, 0);
}

ssize_t strait_read(struct strait *stack, int fd, void *bytes, size_t length)
{
    struct iovec part = {.iov_base = bytes, .iov_len = length};
    if (is_nowhere(bytes, length) && socket_find(&stack->sockets, fd))
        return fail(EFAULT);
    return strait_readv(stack, fd, &part, 1);
}

int strait_sockatmark(struct strait *stack, int fd)
{
    const struct socket *s = socket_find(&stack->sockets, fd);
    if (!s)
        return -1;
    if (s->kind == SOCKET_DATAGRAM)
        return fail(ENOTTY);
    return socket_has_connection(s) && tcp_is_at_mark(s->connection);
}
