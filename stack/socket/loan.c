/* SPDX-License-Identifier: MIT */
/*
 * Sending and receiving without a copy. What is sent by reference stays where it is until the peer
 * has acknowledged it; what has been received is shown where it lies in the buffer. The bytes of a
 * reference count against the send buffer, but are the owner's own memory.
 *
 * A reference ends in whatever call the last of its bytes is dropped: when a packet arrives, when
 * the socket is closed, when a timer gives up. Its owner is told by the dispatch, as of all else.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/pool.h"
#include "socket/socket.h"
#include "stack.h"

/*
 * What is shorter is copied, and released at once: a reference of its own would cost more. So the
 * number of references is bounded by the send buffer, too.
 */
#define REFERENCE_MIN POOL_SMALL_BYTES
#define REFERENCE_MAX ((size_t)1 << 29) /* with a full buffer in front, half of all numbers */

struct reference {
    struct list node; /* on sockets.released when it has ended */
    struct sockets *all;
    void (*release)(void *context);
    void *context;
};

/* ---- Sending ---- */

static void reference_ended(void *argument)
{
    struct reference *r = argument;
    list_append(&r->all->released, &r->node);
}

int sockets_release(struct sockets *all)
{
    struct list round;
    int told = 0;
    list_take(&round, &all->released);
    for (; !list_empty(&round); told++) {
        struct reference *r = container_of(round.next, struct reference, node);
        list_remove(&r->node);
        r->release(r->context);
        free(r);
    }
    return told;
}

/* Copies all of the bytes or none. Returns 0, or -1 with errno of tcp_send. */
static int send_copy(struct sockets *all, struct socket *s, const void *bytes, size_t length,
                     struct reference *r)
{
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = length};
    if (tcp_send_whole(all->tcp, s->connection, &part) < 0)
        return -1;
    reference_ended(r);
    return 0;
}

static int send_once(struct sockets *all, struct socket *s, const void *bytes, size_t length,
                     struct reference *r)
{
    if (s->kind == SOCKET_DATAGRAM) {
        errno = EOPNOTSUPP;
        return -1;
    }
    if (!socket_has_connection(s)) {
        errno = EPIPE;
        return -1;
    }
    if (length < REFERENCE_MIN)
        return send_copy(all, s, bytes, length, r);
    return tcp_send_reference(all->tcp, s->connection, bytes, length, reference_ended, r);
}

/* Sends, and waits for room if the socket is blocking. Returns 0, or -1 with errno. */
static int send_reference(struct sockets *all, int fd, const void *bytes, size_t length,
                          struct reference *r)
{
    struct socket *s = socket_find(all, fd);
    uint64_t deadline_ns = s ? sockets_deadline(all, s->options->send_timeout_ns) : 0;
    for (; s; s = socket_find(all, fd)) {
        if (send_once(all, s, bytes, length, r) == 0)
            return 0;
        if (errno != EAGAIN || !socket_waits(s, 0) || sockets_wait(all, deadline_ns) < 0)
            return -1;
    }
    return -1;
}

ssize_t strait_send_reference(struct strait *stack, int fd, const void *bytes, size_t length,
                              void (*release)(void *context), void *context)
{
    struct sockets *all = &stack->sockets;
    if (length == 0 || length > REFERENCE_MAX || !bytes || !release) {
        errno = length > REFERENCE_MAX ? EMSGSIZE : EINVAL;
        return -1;
    }
    struct reference *r = malloc(sizeof(*r));
    if (!r) {
        errno = ENOMEM;
        return -1;
    }
    *r = (struct reference){.all = all, .release = release, .context = context};
    if (send_reference(all, fd, bytes, length, r) == 0)
        return (ssize_t)length;
    int error = errno;
    free(r);
    errno = error;
    return -1;
}

/* ---- Receiving ---- */

/* The stream of a descriptor that has a connection, or NULL with errno. */
static struct socket *find_stream(const struct sockets *all, int fd)
{
    struct socket *s = socket_find(all, fd);
    if (!s)
        return NULL;
    if (s->kind == SOCKET_DATAGRAM)
        errno = EOPNOTSUPP;
    else if (!socket_has_connection(s))
        errno = ENOTCONN;
    else
        return s;
    return NULL;
}

int strait_recv_borrow(struct strait *stack, int fd, struct iovec *parts, int count)
{
    struct sockets *all = &stack->sockets;
    if (count < 1 || !parts) {
        errno = count < 1 ? EINVAL : EFAULT;
        return -1;
    }
    struct socket *s = find_stream(all, fd);
    uint64_t deadline_ns = s ? sockets_deadline(all, s->options->receive_timeout_ns) : 0;
    for (; s; s = find_stream(all, fd)) {
        int got = tcp_borrow(s->connection, parts, count);
        if (got >= 0 || errno != EAGAIN || !socket_waits(s, 0))
            return got;
        if (sockets_wait(all, deadline_ns) < 0)
            return -1;
    }
    return -1;
}

int strait_recv_consume(struct strait *stack, int fd, size_t bytes)
{
    struct sockets *all = &stack->sockets;
    struct socket *s = find_stream(all, fd);
    return s ? tcp_consume(all->tcp, s->connection, bytes) : -1;
}
