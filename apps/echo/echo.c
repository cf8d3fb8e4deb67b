/* SPDX-License-Identifier: MIT */
#include "echo/echo.h"

#include <stdlib.h>
#include <string.h>

#define SESSIONS_MAX  1024
#define SCRATCH_BYTES ((size_t)256 * 1024) /* read at once, by one session after the other */

struct echo_session {
    struct session session;
    char *pending; /* what the peer has not taken yet, from `sent` to `length`; else NULL */
    size_t sent, length;
    bool stopping;
};

/* Keeps the bytes until the peer takes more; meanwhile nothing is read. */
static void keep(struct echo_session *e, const char *bytes, size_t length)
{
    e->pending = malloc(length);
    if (!e->pending) {
        session_abort(&e->session);
        return;
    }
    memcpy(e->pending, bytes, length);
    e->sent = 0;
    e->length = length;
    session_watch(&e->session, POLLOUT);
}

static void receive(struct echo_session *e)
{
    char *scratch = server_context(e->session.server);
    bool end;
    ssize_t got = session_recv(&e->session, scratch, SCRATCH_BYTES, 0, &end);
    ssize_t sent = got > 0 ? session_send(&e->session, scratch, (size_t)got) : 0;
    if (got < 0 || sent < 0 || end)
        session_close(&e->session);
    else if (sent < got)
        keep(e, scratch + sent, (size_t)(got - sent));
}

/* Sends more of what is pending, and goes back to reading when it is gone. */
static void send_pending(struct echo_session *e)
{
    ssize_t sent = session_send(&e->session, e->pending + e->sent, e->length - e->sent);
    if (sent < 0) {
        session_close(&e->session);
        return;
    }
    e->sent += (size_t)sent;
    if (e->sent < e->length)
        return;
    free(e->pending);
    e->pending = NULL;
    if (e->stopping)
        session_finish(&e->session);
    else
        session_watch(&e->session, POLLIN);
}

static void ready(struct session *s, short revents)
{
    (void)revents;
    struct echo_session *e = (struct echo_session *)s;
    if (e->pending)
        send_pending(e);
    else
        receive(e);
}

static void stop(struct session *s)
{
    struct echo_session *e = (struct echo_session *)s;
    e->stopping = true;
    if (!e->pending)
        session_finish(s);
}

static void closed(struct session *s)
{
    free(((struct echo_session *)s)->pending);
}

static const struct service service = {
    .session_bytes = sizeof(struct echo_session),
    .sessions_max = SESSIONS_MAX,
    .ready = ready,
    .stop = stop,
    .closed = closed,
    .release = free,
};

struct server *echo_start(struct strait *stack, struct strait_env *env, uint16_t port)
{
    return server_start(stack, env, &service, port, malloc(SCRATCH_BYTES));
}
