/* SPDX-License-Identifier: MIT */
/*
 * A byte stream: a TCP socket of a Strait host or of the machine's kernel, behind one table, so
 * that a service or a client is written once for both. Nothing blocks; readiness is level-triggered
 * and told by callbacks on the thread that drives the environment. Calls have the results and errno
 * values of POSIX. A listener is a stream that accepts others.
 */
#ifndef APPS_STREAM_H
#define APPS_STREAM_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "strait.h"

struct stream_kind;

/* Where streams are made. */
struct stream_host {
    const struct stream_kind *kind;
    struct strait *stack; /* NULL for the kernel's */
    struct strait_env *env;
};

/* Embed it; it belongs to whoever made it, and outlives no host. */
struct stream {
    const struct stream_host *host; /* borrowed */
    int fd;
};

typedef void stream_ready(void *argument, int fd, short revents);

struct stream_kind {
    int (*listen)(struct stream *, const struct sockaddr_in *, int backlog);
    int (*accept)(struct stream *listener, struct stream *accepted);
    int (*connect)(struct stream *, const struct sockaddr_in *);
    int (*error)(struct stream *);
    int (*peer)(struct stream *, struct sockaddr_in *);
    uint64_t (*progress)(struct stream *);
    ssize_t (*recv)(struct stream *, void *bytes, size_t length, int flags);
    ssize_t (*send)(struct stream *, const void *bytes, size_t length);
    ssize_t (*sendv)(struct stream *, const struct iovec *parts, int count);
    ssize_t (*lend)(struct stream *, const void *bytes, size_t length,
                    void (*release)(void *context), void *context);
    int (*watch)(struct stream *, short events, stream_ready *ready, void *argument);
    void (*keep_alive)(struct stream *);
    int (*finish)(struct stream *);
    void (*close)(struct stream *);
    void (*reset)(struct stream *);
};

/* Sockets of `stack`, and of the kernel, watched by `env`: it has to be the real one. */
extern const struct stream_kind stream_strait, stream_kernel;

static inline struct stream_host stream_host_strait(struct strait *stack, struct strait_env *env)
{
    return (struct stream_host){&stream_strait, stack, env};
}

static inline struct stream_host stream_host_kernel(struct strait_env *env)
{
    return (struct stream_host){&stream_kernel, NULL, env};
}

/*
 * Make a stream on a host, which has to live as long. Return 0, or -1 with errno and nothing made.
 * stream_connect only begins: the stream is writable once it is connected or has failed, which
 * stream_error then tells. What is sent leaves at once (TCP_NODELAY): writers write all they have.
 */
static inline int stream_listen(struct stream *s, const struct stream_host *host,
                                const struct sockaddr_in *address, int backlog)
{
    *s = (struct stream){host, -1};
    return host->kind->listen(s, address, backlog);
}

static inline int stream_accept(struct stream *listener, struct stream *accepted)
{
    *accepted = (struct stream){listener->host, -1};
    return listener->host->kind->accept(listener, accepted);
}

static inline int stream_connect(struct stream *s, const struct stream_host *host,
                                 const struct sockaddr_in *address)
{
    *s = (struct stream){host, -1};
    return host->kind->connect(s, address);
}

/* SO_ERROR: what a connect that has ended, or the connection, has failed with; 0 if it has not. */
static inline int stream_error(struct stream *s)
{
    return s->host->kind->error(s);
}

static inline int stream_peer(struct stream *s, struct sockaddr_in *peer)
{
    return s->host->kind->peer(s, peer);
}

/* Bytes that its peer has acknowledged or sent, in all: while they grow, there is somebody. */
static inline uint64_t stream_progress(struct stream *s)
{
    return s->host->kind->progress(s);
}

static inline ssize_t stream_recv(struct stream *s, void *bytes, size_t length, int flags)
{
    return s->host->kind->recv(s, bytes, length, flags);
}

static inline ssize_t stream_send(struct stream *s, const void *bytes, size_t length)
{
    return s->host->kind->send(s, bytes, length);
}

static inline ssize_t stream_sendv(struct stream *s, const struct iovec *parts, int count)
{
    return s->host->kind->sendv(s, parts, count);
}

/* strait_send_reference; the kernel's sockets, to which nothing can be lent, say EOPNOTSUPP. */
static inline ssize_t stream_lend(struct stream *s, const void *bytes, size_t length,
                                  void (*release)(void *context), void *context)
{
    return s->host->kind->lend(s, bytes, length, release, context);
}

/* Calls ready(argument, fd, revents) while one of `events` (POLLIN, POLLOUT) holds, or the
 * connection has failed: with events 0 only then. NULL ends it. */
static inline int stream_watch(struct stream *s, short events, stream_ready *ready, void *argument)
{
    return s->host->kind->watch(s, events, ready, argument);
}

/* The connection, or each that the listener accepts from now on, fails when its peer no longer
 * answers (SO_KEEPALIVE). */
static inline void stream_keep_alive(struct stream *s)
{
    s->host->kind->keep_alive(s);
}

/* Sends no more: what has been sent is followed by a FIN. */
static inline int stream_finish(struct stream *s)
{
    return s->host->kind->finish(s);
}

/* Ends the stream, and its watch; what has been sent is still delivered. */
static inline void stream_close(struct stream *s)
{
    s->host->kind->close(s);
    s->fd = -1;
}

/* Ends it by a reset. */
static inline void stream_reset(struct stream *s)
{
    s->host->kind->reset(s);
    s->fd = -1;
}

#endif
