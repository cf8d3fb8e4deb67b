/* SPDX-License-Identifier: MIT */
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#define BACKLOG           128
#define FINISH_NS         (5 * UINT64_C(1000000000))
#define ACCEPT_RETRY_NS   (UINT64_C(100000000))
#define DISCARD_BYTES_MAX 16384

struct server {
    struct strait *stack;
    struct strait_env *env;
    const struct service *service;
    void *context;
    int fd;                    /* the listener; -1 once stopped */
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
    if (server->fd < 0)
        return;
    strait_watch(server->stack, server->fd, on ? POLLIN : 0, on ? accept_ready : NULL, server);
}

static void retry_expired(void *owner, struct strait_timer *timer)
{
    (void)owner;
    listener_watch((struct server *)(void *)((char *)timer - offsetof(struct server, retry)), true);
}

/* Makes the session of a connection; closes it when memory is short. */
static void session_open(struct server *server, int fd)
{
    struct session *s = calloc(1, server->service->session_bytes);
    if (!s) {
        strait_close(server->stack, fd);
        return;
    }
    s->server = server;
    s->fd = fd;
    s->timer.expired = session_expired;
    LIST_INSERT_HEAD(&server->list, s, link);
    server->sessions++;

    /* Services write as much as they have: there is nothing that Nagle's algorithm could gather. */
    int on = 1;
    strait_setsockopt(server->stack, fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
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
    (void)revents;
    struct server *server = argument;
    if (!make_room(server)) {
        listener_watch(server, false);
        return;
    }
    while (!is_full(server)) {
        int connection = strait_accept4(server->stack, fd, NULL, NULL, SOCK_NONBLOCK);
        if (connection >= 0) {
            session_open(server, connection);
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        if (errno == ECONNABORTED || errno == EINTR)
            continue;
        /* The stack has no descriptor or no memory now, and would say so again at once. */
        listener_watch(server, false);
        server->env->timer_start(server->env, &server->retry,
                                 server->env->now(server->env) + ACCEPT_RETRY_NS);
        return;
    }
}

void server_room_is_near(struct server *server)
{
    if (is_full(server))
        listener_watch(server, true);
}

static int listen_on(struct strait *stack, uint16_t port)
{
    int fd = strait_socket(stack, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
    int on = 1; /* connections of a server before this one may be left */
    if (strait_setsockopt(stack, fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        strait_bind(stack, fd, (struct sockaddr *)&any, sizeof(any)) == 0 &&
        strait_listen(stack, fd, BACKLOG) == 0)
        return fd;
    int error = errno;
    strait_close(stack, fd);
    errno = error;
    return -1;
}

/* Makes the server around a listener. */
static struct server *server_new(struct strait *stack, struct strait_env *env,
                                 const struct service *service, uint16_t port, void *context)
{
    struct server *server = calloc(1, sizeof(*server));
    if (!server)
        return NULL;
    server->fd = listen_on(stack, port);
    if (server->fd < 0) {
        int error = errno;
        free(server);
        errno = error;
        return NULL;
    }
    server->stack = stack;
    server->env = env;
    server->service = service;
    server->context = context;
    server->retry.expired = retry_expired;
    LIST_INIT(&server->list);
    listener_watch(server, true);
    return server;
}

struct server *server_start(struct strait *stack, struct strait_env *env,
                            const struct service *service, uint16_t port, void *context)
{
    if (!context) {
        errno = ENOMEM;
        return NULL;
    }
    struct server *server = server_new(stack, env, service, port, context);
    if (!server) {
        int error = errno;
        service->release(context);
        errno = error;
    }
    return server;
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
    if (server->fd < 0)
        return;
    server->env->timer_stop(server->env, &server->retry);
    strait_close(server->stack, server->fd);
    server->fd = -1;
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
    server->env->timer_stop(server->env, &server->retry);
    if (server->fd >= 0)
        strait_close(server->stack, server->fd);
    server->fd = -1;
    each_session(server, true, session_abort);
    server->service->release(server->context);
    free(server);
}

struct strait *server_stack(const struct server *server)
{
    return server->stack;
}

struct strait_env *server_env(const struct server *server)
{
    return server->env;
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
    ssize_t got = strait_recv(s->server->stack, s->fd, bytes, length, flags);
    *end = got == 0;
    return got < 0 && not_now() ? 0 : got;
}

ssize_t session_send(struct session *s, const void *bytes, size_t length)
{
    ssize_t sent = strait_send(s->server->stack, s->fd, bytes, length, MSG_NOSIGNAL);
    return sent < 0 && not_now() ? 0 : sent;
}

ssize_t session_sendv(struct session *s, const struct iovec *parts, int count)
{
    ssize_t sent = strait_writev(s->server->stack, s->fd, parts, count);
    return sent < 0 && not_now() ? 0 : sent;
}

ssize_t session_lend(struct session *s, const void *bytes, size_t length,
                     void (*release)(void *context), void *context)
{
    ssize_t sent = strait_send_reference(s->server->stack, s->fd, bytes, length, release, context);
    return sent < 0 && not_now() ? 0 : sent;
}

void session_watch(struct session *s, short events)
{
    if (s->events == events)
        return;
    s->events = events;
    strait_watch(s->server->stack, s->fd, events, session_ready, s);
}

void session_active_for(struct session *s, uint64_t ns)
{
    struct strait_env *env = s->server->env;
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
    struct strait_env *env = s->server->env;
    s->finishing = true;
    if (strait_shutdown(s->server->stack, s->fd, SHUT_WR) < 0) {
        session_close(s);
        return;
    }
    session_watch(s, POLLIN);
    env->timer_start(env, &s->timer, env->now(env) + FINISH_NS);
}

void session_close(struct session *s)
{
    struct server *server = s->server;
    server->env->timer_stop(server->env, &s->timer);
    if (server->service->closed)
        server->service->closed(s);
    strait_close(server->stack, s->fd);
    LIST_REMOVE(s, link);
    free(s);
    if (server->sessions-- == server->service->sessions_max)
        listener_watch(server, true);
}

void session_abort(struct session *s)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    strait_setsockopt(s->server->stack, s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    session_close(s);
}
