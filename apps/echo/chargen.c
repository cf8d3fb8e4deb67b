/* SPDX-License-Identifier: MIT */
/*
 * The pattern is lent to the stack and never copied, since it is the same for everyone. So it
 * belongs to the server and to each loan of it: what is on its way to a peer outlives the server.
 */
#include <stdlib.h>

#include "echo/echo.h"

#define SESSIONS_MAX  1024
#define SCRATCH_BYTES ((size_t)65536)

/* RFC 864: each line of 72 characters begins one further in the ring of the printing ones. */
#define FIRST_CHARACTER ' '
#define CHARACTERS      95
#define LINE_CHARACTERS 72
#define LINE_BYTES      (LINE_CHARACTERS + 2)
#define PERIOD_BYTES    ((size_t)CHARACTERS * LINE_BYTES)
#define PERIODS         36 /* in one loan of 253,080 bytes, so that a send is a large one */

struct chargen {
    unsigned references; /* of the server, and of each loan */
    char pattern[PERIODS * PERIOD_BYTES];
    char scratch[SCRATCH_BYTES];
};

static void fill(char *pattern)
{
    for (size_t line = 0; line < (size_t)PERIODS * CHARACTERS; line++) {
        for (size_t i = 0; i < LINE_CHARACTERS; i++)
            *pattern++ = (char)(FIRST_CHARACTER + (line + i) % CHARACTERS);
        *pattern++ = '\r';
        *pattern++ = '\n';
    }
}

static void release(void *context)
{
    struct chargen *chargen = context;
    if (--chargen->references == 0)
        free(chargen);
}

static void opened(struct session *s)
{
    session_watch(s, POLLIN | POLLOUT);
}

static void ready(struct session *s, short revents)
{
    struct chargen *chargen = server_context(s->server);
    if (revents & POLLIN) {
        bool end;
        if (session_recv(s, chargen->scratch, SCRATCH_BYTES, 0, &end) < 0) {
            session_close(s);
            return;
        }
        if (end)
            session_watch(s, POLLOUT);
    }
    chargen->references++;
    ssize_t sent = session_lend(s, chargen->pattern, sizeof(chargen->pattern), release, chargen);
    if (sent <= 0)
        chargen->references--;
    if (sent < 0)
        session_close(s);
}

static const struct service service = {
    .session_bytes = sizeof(struct session),
    .sessions_max = SESSIONS_MAX,
    .opened = opened,
    .ready = ready,
    .stop = session_finish,
    .release = release,
};

struct server *chargen_start(struct strait *stack, struct strait_env *env, uint16_t port)
{
    struct chargen *chargen = malloc(sizeof(*chargen));
    if (chargen) {
        chargen->references = 1;
        fill(chargen->pattern);
    }
    return server_start(stack, env, &service, port, chargen);
}
