/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "echo/echo.h"

#define SESSIONS_MAX  1024
#define SCRATCH_BYTES ((size_t)256 * 1024)

static void ready(struct session *s, short revents)
{
    (void)revents;
    bool end;
    if (session_recv(s, server_context(s->server), SCRATCH_BYTES, 0, &end) < 0 || end)
        session_close(s);
}

static const struct service service = {
    .session_bytes = sizeof(struct session),
    .sessions_max = SESSIONS_MAX,
    .ready = ready,
    .stop = session_finish,
    .release = free,
};

struct server *discard_start(struct strait *stack, struct strait_env *env, uint16_t port)
{
    return server_start(stack, env, &service, port, malloc(SCRATCH_BYTES));
}
