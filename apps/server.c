/* SPDX-License-Identifier: MIT */
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BACKLOG           128
#define FINISH_NS         (5 * UINT64_C(1000000000))
#define ACCEPT_RETRY_NS   (UINT64_C(100000000))
#define DISCARD_BYTES_MAX 16384

struct server {
    struct stream_host host;
    const struct service *service;
    void *context;
    struct stream listener;    /* its fd is -1 once stopped */
    struct strait_timer retry; /* accepts again after a failure that will pass */
    size_t sessions;
    LIST_HEAD(, session) list;
};

static void accept_ready(void *argument, int fd, short revents);

static void session_expired(void *owner, struct strait_timer *timer)
{
    (void)owner;
    struct session *s = (struct session *)(void *)((char *)timer - offsetof(struct session, timer));
    if (s->finishing)
        session_close(s);
    else
        s->server->service->idle(s);
}

/* Throws away what arrives while the peer has not finished. */
static void finish_ready(struct session *s)
{
    char bytes[DISCARD_BYTES_MAX];
    bool end;
    if (session_recv(s, bytes, sizeof(bytes), 0, &end) < 0 || end)
        session_close(s);
}

static void session_ready(void *argument, int fd, short revents)
{
    (void)fd;
    struct session *s = argument;
    if (s->finishing)
        finish_ready(s);
    else
        s->server->service->ready(s, revents);
}

static void listener_watch(struct server *server, bool on)
{
    if (server->listener.fd < 0)
        return;
    stream_watch(&server->listener, on ? POLLIN : 0, on ? accept_ready : NULL, server);
}

static void retry_expired(void *owner, struct strait_timer *timer)
{
    (void)owner;
    listener_watch((struct server *)(void *)((char *)timer - offsetof(struct server, retry)), true);
}

/* Makes the session of a connection; closes it when memory is short. */
static void session_open(struct server *server, struct stream *stream)
{
    /* Not by calloc: the C library keeps what was freed last, but gives it to malloc alone. */
    struct session *s = malloc(server->service->session_bytes);
    if (!s) {
        stream_close(stream);
        return;
    }
    memset(s, 0, server->service->session_bytes);
    s->server = server;
    s->stream = *stream;
    s->timer.expired = session_expired;
    LIST_INSERT_HEAD(&server->list, s, link);
    server->sessions++;
    session_watch(s, POLLIN);
    session_active(s);
    if (server->service->opened)
        server->service->opened(s);
}

static bool is_full(const struct server *server)
{
    return server->sessions >= server->service->sessions_max;
}

static bool make_room(struct server *server)
{
    const struct service *service = server->service;
    return !is_full(server) || (service->make_room && service->make_room(server->context));
}

/* The first connection is there for certain: a session is spared for it, but not for another. */
static void accept_ready(void *argument, int fd, short revents)
{
    (void)fd;
    (void)revents;
    struct server *server = argument;
    struct strait_env *env = server->host.env;
    if (!make_room(server)) {
        listener_watch(server, false);
        return;
    }
    while (!is_full(server)) {
        struct stream connection;
        if (stream_accept(&server->listener, &connection) == 0) {
            session_open(server, &connection);
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        if (errno == ECONNABORTED || errno == EINTR)
            continue;
        /* The stack has no descriptor or no memory now, and would say so again at once. */
        listener_watch(server, false);
        env->timer_start(env, &server->retry, env->now(env) + ACCEPT_RETRY_NS);
        return;
    }
}

void server_room_is_near(struct server *server)
{
    if (is_full(server))
        listener_watch(server, true);
}

/* Makes the server around a listener. */
static struct server *server_new(const struct stream_host *host, const struct service *service,
                                 const struct sockaddr_in *address, void *context)
{
    struct server *server = calloc(1, sizeof(*server));
    if (!server)
        return NULL;
    server->host = *host;
    if (stream_listen(&server->listener, &server->host, address, BACKLOG) < 0) {
        int error = errno;
        free(server);
        errno = error;
        return NULL;
    }
    if (service->idle_ns == 0) /* or a peer that vanishes has its session for ever */
        stream_keep_alive(&server->listener);
    server->service = service;
    server->context = context;
    server->retry.expired = retry_expired;
    LIST_INIT(&server->list);
    listener_watch(server, true);
    return server;
}

struct server *server_start_at(const struct stream_host *host, const struct service *service,
                               const struct sockaddr_in *address, void *context)
{
    if (!context) {
        errno = ENOMEM;
        return NULL;
    }
    struct server *server = server_new(host, service, address, context);
    if (!server) {
        int error = errno;
        service->release(context);
        errno = error;
    }
    return server;
}

struct server *server_start(struct strait *stack, struct strait_env *env,
                            const struct service *service, uint16_t port, void *context)
{
    const struct stream_host host = stream_host_strait(stack, env);
    const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
    return server_start_at(&host, service, &any, context);
}

/* Calls `end` for every session that is still the service's (or for all); it may free it. */
static void each_session(struct server *server, bool all, void (*end)(struct session *))
{
    struct session *s = LIST_FIRST(&server->list);
    while (s) {
        struct session *next = LIST_NEXT(s, link);
        if (all || !s->finishing)
            end(s);
        s = next;
    }
}

void server_stop(struct server *server)
{
    if (server->listener.fd < 0)
        return;
    server->host.env->timer_stop(server->host.env, &server->retry);
    stream_close(&server->listener);
    each_session(server, false, server->service->stop);
}

size_t server_sessions(const struct server *server)
{
    return server->sessions;
}

void server_free(struct server *server)
{
    if (!server)
        return;
    server->host.env->timer_stop(server->host.env, &server->retry);
    if (server->listener.fd >= 0)
        stream_close(&server->listener);
    each_session(server, true, session_abort);
    server->service->release(server->context);
    free(server);
}

struct strait_env *server_env(const struct server *server)
{
    return server->host.env;
}

void *server_context(const struct server *server)
{
    return server->context;
}

static bool not_now(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

ssize_t session_recv(struct session *s, void *bytes, size_t length, int flags, bool *end)
{
    ssize_t got = stream_recv(&s->stream, bytes, length, flags);
    *end = got == 0;
    return got < 0 && not_now() ? 0 : got;
}

ssize_t session_send(struct session *s, const void *bytes, size_t length)
{
    ssize_t sent = stream_send(&s->stream, bytes, length);
    return sent < 0 && not_now() ? 0 : sent;
}

ssize_t session_sendv(struct session *s, const struct iovec *parts, int count)
{
    ssize_t sent = stream_sendv(&s->stream, parts, count);
    return sent < 0 && not_now() ? 0 : sent;
}

ssize_t session_lend(struct session *s, const void *bytes, size_t length,
                     void (*release)(void *context), void *context)
{
    ssize_t sent = stream_lend(&s->stream, bytes, length, release, context);
    return sent < 0 && not_now() ? 0 : sent;
}

void session_watch(struct session *s, short events)
{
    if (s->events == events)
        return;
    s->events = events;
    stream_watch(&s->stream, events, session_ready, s);
}

void session_active_for(struct session *s, uint64_t ns)
{
    struct strait_env *env = s->server->host.env;
    if (!s->finishing)
        env->timer_start(env, &s->timer, env->now(env) + ns);
}

void session_active(struct session *s)
{
    if (s->server->service->idle_ns > 0)
        session_active_for(s, s->server->service->idle_ns);
}

void session_finish(struct session *s)
{
    struct strait_env *env = s->server->host.env;
    s->finishing = true;
    if (stream_finish(&s->stream) < 0) {
        session_close(s);
        return;
    }
    session_watch(s, POLLIN);
    env->timer_start(env, &s->timer, env->now(env) + FINISH_NS);
}

/* Frees a session whose stream is to be ended so. */
static void session_end(struct session *s, void (*end)(struct stream *))
{
    struct server *server = s->server;
    server->host.env->timer_stop(server->host.env, &s->timer);
    if (server->service->closed)
        server->service->closed(s);
    end(&s->stream);
    LIST_REMOVE(s, link);
    free(s);
    if (server->sessions-- == server->service->sessions_max)
        listener_watch(server, true);
}

void session_close(struct session *s)
{
    session_end(s, stream_close);
}

void session_abort(struct session *s)
{
    session_end(s, stream_reset);
}
