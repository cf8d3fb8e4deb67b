/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as what a server says to the gRPC client: through nghttp2 and its callbacks, the
 * framing of messages and the status, up to those who call; on streams that are nothing but the
 * input.
 *
 * The input is a byte that says how the rest arrives (line.h; an HTTP/2 server's first words may
 * stand in front of it), one that says what is called and how the callers behave, and the rest.
 *
 * Promised: a call ends just once, within its deadline, by an outcome that fits its code; what has
 * been cancelled is told nothing more, and what is held up no message; a channel takes no memory,
 * timer or stream with it, even when it is freed by a callback; and what the client says is
 * bounded.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "line.h"
#include "primes/stubs.h"
#include "rpc/client.h"
#include "rpc/health.h"
#include "targets.h"

#define CALLS_OF_EACH 3
#define CALLERS       (3 * CALLS_OF_EACH)
#define TIME_NS       (20 * RPC_S)

/* Of the second byte. */
#define HOLD_UP 0x01 /* callers take one message, and the next one later */
#define CANCEL  0x02 /* by the first message of a stream */
#define FREE    0x04 /* the channel, at the first end or message */
#define ONCE    0x08 /* no attempt is repeated */
#define SMALL   0x10 /* bound of messages */

#define SMALL_BYTES 16

static const char first_words[] = "\0\0\0\4\0\0\0\0";

struct caller {
    struct world *of;
    struct rpc_call *call; /* NULL: it has ended */
    struct strait_timer more;
    bool held_up;
};

struct world {
    struct line line;
    struct rpc_channel *channel;
    struct caller callers[CALLERS];
    uint8_t manner;
    uint64_t deadline_ns;
};

/* ---- Callers ---- */

static void rest(struct caller *c)
{
    struct strait_env *env = &c->of->line.env;
    CHECK(c->call);
    c->call = NULL;
    env->timer_stop(env, &c->more);
}

static void free_channel(struct world *w)
{
    struct rpc_channel *channel = w->channel;
    w->channel = NULL;
    for (int i = 0; i < CALLERS; i++)
        if (w->callers[i].call)
            rest(&w->callers[i]);
    rpc_channel_free(channel);
}

static void check_reply(const struct caller *c, struct rpc_reply reply)
{
    struct world *w = c->of;
    CHECK(w->channel && c->call && w->line.now_ns <= w->deadline_ns);
    CHECK((reply.outcome == RPC_RESULT) == (reply.code == RPC_OK));
    CHECK(reply.outcome != RPC_NOT_EXECUTED || reply.code == RPC_UNAVAILABLE ||
          reply.code == RPC_DEADLINE_EXCEEDED);
}

static void ended(void *context, struct rpc_reply reply, const uint8_t *result)
{
    struct caller *c = context;
    check_reply(c, reply);
    CHECK((reply.outcome == RPC_RESULT) == (result != NULL));
    rest(c);
    if (c->of->manner & FREE)
        free_channel(c->of);
}

static void message_ended(void *context, struct rpc_reply reply, const uint8_t *result,
                          const struct rpc_detail *detail)
{
    struct caller *c = context;
    check_reply(c, reply);
    CHECK(!result || detail->result_bytes <= RPC_MESSAGE_MAX);
    CHECK(!(c->of->manner & SMALL) || !result || detail->result_bytes <= SMALL_BYTES);
    CHECK(memchr(detail->text, '\0', sizeof(detail->text)));
    rest(c);
    if (c->of->manner & FREE)
        free_channel(c->of);
}

static bool told(void *context, const uint8_t *bytes, size_t length)
{
    struct caller *c = context;
    struct world *w = c->of;
    struct strait_env *env = &w->line.env;
    uint8_t sum = 0;
    CHECK(c->call && !c->held_up);
    for (size_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + bytes[i]); /* all of it can be read */
    if (w->manner & FREE) {
        free_channel(w);
        return sum & 1;
    }
    if (w->manner & CANCEL) {
        rpc_call_cancel(c->call);
        rest(c);
        return sum & 1;
    }
    if (!(w->manner & HOLD_UP))
        return true;
    c->held_up = true;
    env->timer_start(env, &c->more, env->now(env) + RPC_MS);
    return false;
}

static void more_due(void *owner, struct strait_timer *timer)
{
    struct caller *c = (struct caller *)(void *)((char *)timer - offsetof(struct caller, more));
    (void)owner;
    c->held_up = false;
    rpc_call_more(c->call);
}

/* ---- */

/* The latest end that there may be: the deadline. */
static void call_all(struct world *w)
{
    static const uint8_t fifth[] = {0, 0, 0, 5}, name[] = "\x0a\1x";
    const struct rpc_procedure *health = health_messages.procedures;
    w->deadline_ns = w->line.now_ns + TIME_NS;
    for (int i = 0; i < CALLERS; i++) {
        struct caller *c = &w->callers[i];
        c->of = w;
        c->more.expired = more_due;
        if (i % 3 == 0)
            c->call = rpc_call_start(w->channel, &primes_procedures[PRIMES_ITH_PRIME], fifth,
                                     w->deadline_ns, ended, c);
        else if (i % 3 == 1)
            c->call = rpc_stream_start(w->channel, &health[HEALTH_WATCH], name, sizeof(name) - 1,
                                       w->deadline_ns, told, message_ended, c);
        else
            c->call = rpc_message_start(w->channel, &health[HEALTH_CHECK], name, sizeof(name) - 1,
                                        w->deadline_ns, message_ended, c);
        CHECK(c->call);
    }
}

int fuzz_grpc_client(const uint8_t *bytes, size_t length)
{
    static const struct rpc_messages *const messages[] = {&primes_messages, &health_messages, NULL};
    struct world *w = calloc(1, sizeof(*w));
    CHECK(w);
    if (length >= 2) {
        line_open(&w->line, first_words, sizeof(first_words), bytes + 2, length - 2, bytes[0]);
        w->manner = bytes[1];
        w->channel = rpc_channel_new(&(struct rpc_channel_config){
            .host = w->line.host,
            .wire = &rpc_grpc_wire,
            .attempts_max = w->manner & ONCE ? 1 : 0,
            .messages = messages,
            .message_max = w->manner & SMALL ? SMALL_BYTES : 0,
        });
        CHECK(w->channel);
        call_all(w);
        line_drive(&w->line);
        for (int i = 0; i < CALLERS; i++)
            CHECK(!w->callers[i].call);
        rpc_channel_free(w->channel);
        CHECK(line_at_rest(&w->line));
        line_close(&w->line);
    }
    free(w);
    return 0;
}
