/* SPDX-License-Identifier: MIT */
/*
 * A connection of the gRPC server: nghttp2 is fed with what arrives, and asked for what is to be
 * sent, at the end of each callback of the socket. What comes at another time (an answer of the
 * executor, a deadline) starts a timer that is due at once: so nothing is sent, and no connection
 * ends, inside a call of a procedure, and answers that come together leave together.
 *
 * What costs a peer little and the server much is rationed, on the environment's clock: streams
 * that are reset, frames that carry nothing. nghttp2 bounds the rest: header blocks of many
 * CONTINUATION frames, long lists of settings, acknowledgements that nobody reads.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/grpc_session.h"

#define SESSIONS_MAX 1024
#define STREAMS_MAX  16384 /* of all connections */

#define RESETS_BURST      1000 /* as many streams as may be open can be reset at once */
#define RESETS_PER_SECOND 200
#define FRAMES_BURST      500
#define FRAMES_PER_SECOND 100

#define PINGS_EARLY_MAX 2

static const uint8_t drain_ping[8] = "draining";

static void session_flush(struct grpc_session *g);

/* ---- Rations --------------------------------------------------------------------------------- */

static bool spend(struct grpc_allowance *a, uint64_t now_ns, uint32_t burst, uint32_t per_second)
{
    uint64_t ns_each = RPC_S / per_second, earned = (now_ns - a->since_ns) / ns_each;
    a->since_ns += earned * ns_each;
    a->left = earned < burst - a->left ? a->left + (uint32_t)earned : burst;
    if (a->left == 0)
        return false;
    a->left--;
    return true;
}

/* RFC 9113 10.5: a peer that has the endpoint do too much is told, and left. */
static void calm(struct grpc_session *g, const char *why)
{
    if (g->flooded)
        return;
    g->flooded = true;
    rpc_counters(grpc_of(g)->rpc)->floods++;
    nghttp2_submit_goaway(g->h2.session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(g->h2.session),
                          NGHTTP2_ENHANCE_YOUR_CALM, (const uint8_t *)why, strlen(why));
}

/* For callbacks of nghttp2: what follows in a flood is not even looked at. */
static int go_on_unless_flooded(const struct grpc_session *g)
{
    return g->flooded ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static void note_reset(struct grpc_session *g, uint64_t now_ns)
{
    if (!spend(&g->resets, now_ns, RESETS_BURST, RESETS_PER_SECOND))
        calm(g, "too_many_resets");
}

static void note_empty_frame(struct grpc_session *g, uint64_t now_ns)
{
    if (!spend(&g->frames, now_ns, FRAMES_BURST, FRAMES_PER_SECOND))
        calm(g, "too_many_frames");
}

/* gRPC's keepalive: pings that come more often than data may are what keeps servers awake. */
static void note_ping(struct grpc_session *g, uint64_t now_ns)
{
    bool early = g->pinged_ns != 0 && now_ns - g->pinged_ns < GRPC_PING_MIN_NS;
    g->pinged_ns = now_ns;
    note_empty_frame(g, now_ns);
    if (early && ++g->pings_early > PINGS_EARLY_MAX)
        calm(g, "too_many_pings");
}

/* ---- Callbacks of nghttp2 -------------------------------------------------------------------- */

static uint64_t now_of(const struct grpc_session *g)
{
    struct strait_env *env = grpc_of(g)->env;
    return env->now(env);
}

static struct grpc_stream *stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

static void set_idle(struct grpc_session *g, bool idle)
{
    struct grpc *grpc = grpc_of(g);
    if (g->is_idle == idle)
        return;
    g->is_idle = idle;
    if (!idle) {
        TAILQ_REMOVE(&grpc->idle, g, link);
        return;
    }
    TAILQ_INSERT_TAIL(&grpc->idle, g, link);
    server_room_is_near(g->session.server);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct grpc_session *g = user_data;
    struct grpc *grpc = grpc_of(g);
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct grpc_stream *s =
        grpc->streams < STREAMS_MAX ? grpc_stream_new(g, frame->hd.stream_id) : NULL;
    if (!s) {
        /* RFC 9113 8.7: the client knows by this that nothing has been done. */
        rpc_counters(grpc->rpc)->streams_refused++;
        return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                         NGHTTP2_REFUSED_STREAM);
    }
    set_idle(g, false);
    return nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, s);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_bytes, const uint8_t *value, size_t value_bytes, uint8_t flags,
                     void *user_data)
{
    (void)flags, (void)user_data;
    struct grpc_stream *s = stream_of(session, frame->hd.stream_id);
    if (s && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        grpc_stream_field(s, (const char *)name, name_bytes, (const char *)value, value_bytes);
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                         size_t length, void *user_data)
{
    (void)flags, (void)user_data;
    struct grpc_stream *s = stream_of(session, id);
    if (s)
        grpc_stream_data(s, bytes, length);
    else
        nghttp2_session_consume(session, id, length);
    return 0;
}

/* The peer has got the ping, and so all before it: it knows which streams are the last. */
static void drained(struct grpc_session *g)
{
    g->drained = true;
    nghttp2_submit_goaway(g->h2.session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(g->h2.session), NGHTTP2_NO_ERROR,
                          NULL, 0);
}

static void take_ping(struct grpc_session *g, const nghttp2_ping *ping)
{
    if (!(ping->hd.flags & NGHTTP2_FLAG_ACK))
        note_ping(g, now_of(g));
    else if (memcmp(ping->opaque_data, drain_ping, sizeof(drain_ping)) == 0 && g->draining &&
             !g->drained)
        drained(g);
}

static void take_frame_of_stream(struct grpc_session *g, const nghttp2_frame *frame)
{
    struct grpc_stream *s = stream_of(g->h2.session, frame->hd.stream_id);
    bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (frame->hd.type == NGHTTP2_DATA && frame->hd.length == 0 && !ends)
        note_empty_frame(g, now_of(g));
    if (s && frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        grpc_stream_head_ends(s);
    if (s && ends)
        grpc_stream_ends(s);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct grpc_session *g = user_data;
    (void)session;
    switch (frame->hd.type) {
    case NGHTTP2_DATA:
    case NGHTTP2_HEADERS:
        take_frame_of_stream(g, frame);
        break;
    case NGHTTP2_PING:
        take_ping(g, &frame->ping);
        break;
    case NGHTTP2_RST_STREAM:
        note_reset(g, now_of(g));
        break;
    case NGHTTP2_SETTINGS:
    case NGHTTP2_PRIORITY:
        note_empty_frame(g, now_of(g));
        break;
    default:
        break;
    }
    return go_on_unless_flooded(g);
}

/* Streams that end by a fault of theirs cost as much as those that the peer resets. */
static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error,
                            void *user_data)
{
    (void)session, (void)frame, (void)error;
    note_reset(user_data, now_of(user_data));
    return go_on_unless_flooded(user_data);
}

/* An answer that is whole before its request: RFC 9113 8.1 lets the client be told to stop. */
static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct grpc_session *g = user_data;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    g->pinged_ns = 0;
    g->pings_early = 0;
    struct grpc_stream *s = stream_of(session, frame->hd.stream_id);
    if (s && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) &&
        nghttp2_session_get_stream_remote_close(session, frame->hd.stream_id) == 0)
        grpc_stream_linger(s);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *user_data)
{
    struct grpc_session *g = user_data;
    struct grpc_stream *s = stream_of(session, id);
    (void)error;
    if (s)
        grpc_stream_free(s);
    if (g->stream_count == 0)
        set_idle(g, true);
    return 0;
}

static nghttp2_session_callbacks *make_callbacks(void)
{
    nghttp2_session_callbacks *c;
    if (nghttp2_session_callbacks_new(&c) != 0)
        return NULL;
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame_recv);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(c, on_invalid_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, on_frame_send);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
    return c;
}

/* ---- Input and output ------------------------------------------------------------------------ */

void grpc_wake(struct grpc_session *g)
{
    struct strait_env *env = grpc_of(g)->env;
    if (!g->in_callback)
        env->timer_start(env, &g->flush, STRAIT_AT_ONCE);
}

/* Goes on with what waited for room. Returns whether there was something. */
static bool go_on(struct grpc_session *g)
{
    struct grpc_stream *s;
    bool any = false;
    TAILQ_FOREACH(s, &g->streams, link)
        if (s->full || s->failed)
            any = grpc_stream_go_on(s) || any;
    return any;
}

static void free_streams(struct grpc_session *g)
{
    struct grpc *grpc = grpc_of(g);
    g->in_callback = true; /* nothing is sent any more */
    grpc->env->timer_stop(grpc->env, &g->flush);
    for (struct grpc_stream *s; (s = TAILQ_FIRST(&g->streams));)
        grpc_stream_free(s);
}

/* Whether nothing will be read or sent any more. */
static bool is_over(const struct grpc_session *g)
{
    return (!g->draining || g->drained) && nghttp2_session_want_read(g->h2.session) == 0 &&
           nghttp2_session_want_write(g->h2.session) == 0;
}

/* Sends what there is to send. The session may be gone when this returns. */
static void session_flush(struct grpc_session *g)
{
    struct grpc *grpc = grpc_of(g);
    enum h2_progress progress;
    g->in_callback = true;
    do
        progress = h2_flush(&g->h2, &g->session.stream, grpc->scratch);
    while (go_on(g) && progress == H2_SENT);
    g->in_callback = false;
    if (progress == H2_FAILED ||
        nghttp2_session_get_outbound_queue_size(g->h2.session) > H2_QUEUE_MAX) {
        session_abort(&g->session);
    } else if (g->flooded || (progress == H2_SENT && is_over(g))) {
        free_streams(g);
        set_idle(g, false);
        session_finish(&g->session);
    } else {
        session_watch(&g->session, progress == H2_PENDING ? POLLIN | POLLOUT : POLLIN);
    }
}

static void flush_due(void *owner, struct strait_timer *timer)
{
    (void)owner;
    session_flush(
        (struct grpc_session *)(void *)((char *)timer - offsetof(struct grpc_session, flush)));
}

static void receive(struct grpc_session *g)
{
    struct grpc *grpc = grpc_of(g);
    bool end;
    ssize_t n = session_recv(&g->session, grpc->input, sizeof(grpc->input), 0, &end);
    if (n < 0 || end) {
        session_close(&g->session);
        return;
    }
    if (n == 0) {
        session_flush(g);
        return;
    }
    g->asked = false;
    session_active(&g->session);
    g->in_callback = true;
    ssize_t taken = nghttp2_session_mem_recv(g->h2.session, grpc->input, (size_t)n);
    g->in_callback = false;
    if (taken < 0 && !g->flooded) {
        rpc_counters(grpc->rpc)->protocol_errors++;
        session_abort(&g->session);
        return;
    }
    session_flush(g);
}

/* ---- The service ----------------------------------------------------------------------------- */

static void opened(struct session *s)
{
    struct grpc_session *g = (struct grpc_session *)s;
    struct grpc *grpc = grpc_of(g);
    uint64_t now_ns = now_of(g);
    TAILQ_INIT(&g->streams);
    g->flush.expired = flush_due;
    g->resets = (struct grpc_allowance){RESETS_BURST, now_ns};
    g->frames = (struct grpc_allowance){FRAMES_BURST, now_ns};
    set_idle(g, true);
    if (nghttp2_session_server_new2(&g->h2.session, grpc->callbacks, g, grpc->options) != 0 ||
        h2_begin(g->h2.session, GRPC_CONNECTION_STREAMS, GRPC_HEADER_BYTES) != 0) {
        session_abort(s);
        return;
    }
    grpc_wake(g);
}

static void ready(struct session *s, short revents)
{
    struct grpc_session *g = (struct grpc_session *)s;
    if (revents & (POLLIN | POLLERR | POLLHUP))
        receive(g);
    else
        session_flush(g);
}

static void idle(struct session *s)
{
    struct grpc_session *g = (struct grpc_session *)s;
    if (g->asked) {
        rpc_counters(grpc_of(g)->rpc)->silent++;
        session_abort(s);
        return;
    }
    g->asked = true;
    nghttp2_submit_ping(g->h2.session, NGHTTP2_FLAG_NONE, NULL);
    session_active_for(s, GRPC_KEEPALIVE_ANSWER_NS);
    grpc_wake(g);
}

static void stop(struct session *s)
{
    struct grpc_session *g = (struct grpc_session *)s;
    struct grpc_stream *stream;
    g->draining = true;
    TAILQ_FOREACH(stream, &g->streams, link)
        grpc_stream_stop(stream);
    nghttp2_submit_shutdown_notice(g->h2.session);
    nghttp2_submit_ping(g->h2.session, NGHTTP2_FLAG_NONE, drain_ping);
    grpc_wake(g);
}

static void closed(struct session *s)
{
    struct grpc_session *g = (struct grpc_session *)s;
    free_streams(g);
    set_idle(g, false);
    h2_free(&g->h2);
}

static bool make_room(void *context)
{
    struct grpc *grpc = context;
    struct grpc_session *longest = TAILQ_FIRST(&grpc->idle);
    if (!longest)
        return false;
    rpc_counters(grpc->rpc)->sessions_displaced++;
    session_close(&longest->session);
    return true;
}

static void release(void *context)
{
    struct grpc *grpc = context;
    if (grpc->options)
        nghttp2_option_del(grpc->options);
    if (grpc->callbacks)
        nghttp2_session_callbacks_del(grpc->callbacks);
    free(grpc);
}

struct server *grpc_start(const struct stream_host *host, struct rpc_dispatcher *rpc,
                          const struct grpc_config *config)
{
    struct grpc *grpc = calloc(1, sizeof(*grpc));
    if (!grpc)
        return NULL;
    grpc->rpc = rpc;
    grpc->env = host->env;
    grpc->message_max = config->message_max ? config->message_max : RPC_MESSAGE_MAX;
    for (size_t i = 0; config->messages[i] && i < GRPC_MESSAGES_MAX; i++)
        grpc->messages[i] = config->messages[i];
    TAILQ_INIT(&grpc->idle);
    grpc->options = h2_options();
    grpc->callbacks = make_callbacks();
    grpc->service = (struct service){
        .session_bytes = sizeof(struct grpc_session),
        .sessions_max = config->sessions_max ? config->sessions_max : SESSIONS_MAX,
        .idle_ns = GRPC_KEEPALIVE_NS,
        .make_room = make_room,
        .opened = opened,
        .ready = ready,
        .idle = idle,
        .stop = stop,
        .closed = closed,
        .release = release,
    };
    if (grpc->options && grpc->callbacks)
        return server_start_at(host, &grpc->service, &config->address, grpc);
    release(grpc);
    errno = ENOMEM;
    return NULL;
}
