/* SPDX-License-Identifier: MIT */
/*
 * A session has three phases, each with its own meaning of silence:
 *
 *     receiving  --whole-->  running  --answered-->  sending  --all sent-->  (finishing)
 *     cut off after          cancelled at            cut off after
 *     request_ns             the deadline            SEND_NS without progress
 */
#include <stdlib.h>
#include <string.h>

#include "rpc/classic.h"

#define SESSIONS_MAX  1024
#define SEND_NS       (10 * RPC_S)
#define SCRATCH_BYTES ((size_t)16384)

enum phase { RECEIVING, RUNNING, SENDING, FINISHING };

struct classic_session {
    struct session session;
    TAILQ_ENTRY(classic_session) receiving; /* in this phase */
    enum phase phase;
    bool ended; /* the peer has finished */
    struct classic_request request;
    struct rpc_job *job; /* while it runs */
    size_t sent;
    uint8_t result[RPC_BYTES_MAX];
};

/* The context of the server. */
struct classic {
    struct rpc_dispatcher *rpc;
    struct strait_env *env;
    uint64_t request_ns;
    struct service service;                  /* its number of sessions is the server's own */
    TAILQ_HEAD(, classic_session) receiving; /* the oldest first */
    uint8_t scratch[SCRATCH_BYTES];          /* read at once, by one session after the other */
};

static struct classic *classic_of(const struct classic_session *c)
{
    return server_context(c->session.server);
}

static void wait_no_more(struct classic_session *c)
{
    if (c->phase == RECEIVING)
        TAILQ_REMOVE(&classic_of(c)->receiving, c, receiving);
}

/* Nothing more is sent. */
static void finish(struct classic_session *c)
{
    wait_no_more(c);
    c->phase = FINISHING;
    session_finish(&c->session);
}

/* ---- The answer ------------------------------------------------------------------------------ */

/* Sends what the stream takes; the stream ends behind the last byte. */
static void send_result(struct classic_session *c)
{
    size_t size = c->request.result_bytes;
    ssize_t n = session_send(&c->session, c->result + c->sent, size - c->sent);
    if (n < 0) {
        session_close(&c->session);
        return;
    }
    c->sent += (size_t)n;
    if (c->sent == size) {
        finish(c);
        return;
    }
    session_active_for(&c->session, SEND_NS);
    session_watch(&c->session, POLLOUT);
}

static void answered(void *owner, enum rpc_code code, const uint8_t *result, size_t result_bytes)
{
    struct classic_session *c = owner;
    c->job = NULL;
    if (code != RPC_OK) {
        finish(c);
        return;
    }
    c->phase = SENDING;
    memcpy(c->result, result, result_bytes);
    send_result(c);
}

/* ---- The request ----------------------------------------------------------------------------- */

/* The request is whole. The session may be gone when this returns. */
static void run(struct classic_session *c)
{
    struct classic *classic = classic_of(c);
    uint64_t deadline_ns = classic->env->now(classic->env) + RPC_DEADLINE_DEFAULT_NS;
    wait_no_more(c);
    c->phase = RUNNING;
    struct rpc_job *job = call_server_stub(
        classic->rpc, c->request.id, classic_arguments(&c->request), deadline_ns, answered, c);
    if (!job)
        return;
    c->job = job;
    session_active_for(&c->session, RPC_DEADLINE_DEFAULT_NS);
}

/* The second of the six steps of a call: reads as much as the id demands, however it comes. */
static void receive_rpc(struct classic_session *c)
{
    struct classic *classic = classic_of(c);
    bool end;
    ssize_t n = session_recv(&c->session, classic->scratch, sizeof(classic->scratch), 0, &end);
    if (n < 0 || end) {
        rpc_counters(classic->rpc)->requests_broken++;
        session_close(&c->session);
        return;
    }
    classic_feed(&c->request, classic->rpc, classic->scratch, (size_t)n);
    if (c->request.state == CLASSIC_WHOLE) {
        run(c);
    } else if (c->request.state == CLASSIC_NO_PROCEDURE) {
        rpc_counters(classic->rpc)->unknown++;
        finish(c);
    }
}

/* What comes behind the request is thrown away; a peer that has finished still gets its answer. */
static void watch_peer(struct classic_session *c)
{
    struct classic *classic = classic_of(c);
    bool end = false;
    if (!c->ended &&
        session_recv(&c->session, classic->scratch, sizeof(classic->scratch), 0, &end) >= 0 && !end)
        return;
    if (end) {
        c->ended = true;
        session_watch(&c->session, 0);
        return;
    }
    session_close(&c->session); /* it is gone, and its call cancelled: see `closed` */
}

/* ---- The service ----------------------------------------------------------------------------- */

static void opened(struct session *s)
{
    struct classic_session *c = (struct classic_session *)s;
    struct classic *classic = classic_of(c);
    TAILQ_INSERT_TAIL(&classic->receiving, c, receiving);
    session_active_for(s, classic->request_ns);
}

static void ready(struct session *s, short revents)
{
    (void)revents;
    struct classic_session *c = (struct classic_session *)s;
    if (c->phase == RECEIVING)
        receive_rpc(c);
    else if (c->phase == RUNNING)
        watch_peer(c);
    else if (c->phase == SENDING)
        send_result(c);
}

static void idle(struct session *s)
{
    struct classic_session *c = (struct classic_session *)s;
    if (c->phase == SENDING) {
        session_abort(s);
        return;
    }
    if (c->phase == RECEIVING)
        rpc_counters(classic_of(c)->rpc)->requests_cut_off++;
    session_close(s);
}

/* What has been asked for is still answered. */
static void stop(struct session *s)
{
    if (((struct classic_session *)s)->phase == RECEIVING)
        finish((struct classic_session *)s);
}

static void closed(struct session *s)
{
    struct classic_session *c = (struct classic_session *)s;
    wait_no_more(c);
    if (c->job)
        rpc_cancel(c->job);
}

static bool make_room(void *context)
{
    struct classic *classic = context;
    struct classic_session *oldest = TAILQ_FIRST(&classic->receiving);
    if (!oldest)
        return false;
    rpc_counters(classic->rpc)->sessions_displaced++;
    session_close(&oldest->session);
    return true;
}

struct server *classic_start(const struct stream_host *host, struct rpc_dispatcher *rpc,
                             const struct classic_config *config)
{
    struct classic *classic = calloc(1, sizeof(*classic));
    if (!classic)
        return NULL;
    classic->rpc = rpc;
    classic->env = host->env;
    classic->request_ns = config->request_ns ? config->request_ns : RPC_DEADLINE_DEFAULT_NS;
    TAILQ_INIT(&classic->receiving);
    classic->service = (struct service){
        .session_bytes = sizeof(struct classic_session),
        .sessions_max = config->sessions_max ? config->sessions_max : SESSIONS_MAX,
        .make_room = make_room,
        .opened = opened,
        .ready = ready,
        .idle = idle,
        .stop = stop,
        .closed = closed,
        .release = free,
    };
    return server_start_at(host, &classic->service, &config->address, classic);
}
