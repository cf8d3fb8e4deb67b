/* SPDX-License-Identifier: MIT */
/*
 * The client's side of the gRPC wire. A channel has one connection for all its attempts, which is
 * made when the first of them begins, and again when it has broken, after a time that grows with
 * failures:
 *
 *     resting --attempt--> connecting --> ready --GOAWAY--> leaving, until its streams have ended
 *        ^                     |            |
 *        `------- broken ------+------------'        (an attempt then gets a new connection)
 *
 * What is known of an attempt whose stream has no status: nothing ran if the server has refused the
 * stream, or has gone away without having looked at it, or if the end of the request was never
 * handed to the connection, since a server runs no call before it. Otherwise it is unknown.
 *
 * Callbacks of nghttp2 only note what has ended; callers hear of it when nghttp2 has returned.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "rpc/client.h"
#include "rpc/grpc.h"
#include "rpc/grpc_field.h"
#include "rpc/grpc_frame.h"
#include "rpc/h2.h"
#include "rpc/retry.h"

#define PATH_BYTES     256
#define FIELDS_MAX     8
#define KEEPALIVE_NS   (30 * RPC_S) /* without anything heard while attempts wait: a ping */
#define PING_ANSWER_NS (10 * RPC_S)
#define BACKOFF_STEPS  10

struct connection;

struct rpc_attempt {
    TAILQ_ENTRY(rpc_attempt) link; /* in its connection's or the transport's list */
    struct rpc_request request;
    struct transport *transport;
    struct connection *connection; /* NULL: it waits for one, or has ended */
    int32_t stream;
    const ProtobufCMessageDescriptor *input, *output;
    struct grpc_bytes body; /* the request */
    size_t sent;
    bool handed_over; /* all of it, to the connection */
    bool ended;
    struct grpc_frame in;
    int http;
    bool has_status, has_message;
    enum rpc_code code;
    uint32_t error; /* of the stream, once it has ended */
    char path[PATH_BYTES];
};

TAILQ_HEAD(attempts, rpc_attempt);

struct connection {
    TAILQ_ENTRY(connection) link;
    struct transport *transport;
    struct stream stream;
    struct h2 h2;
    struct attempts attempts;
    struct strait_timer flush, alive;
    bool connected, leaving;
    bool asked; /* a ping of ours is not answered yet */
};

struct transport {
    struct stream_host host;
    struct sockaddr_in server;
    char authority[32]; /* the same in words */
    const struct rpc_messages *const *messages;
    size_t message_max;
    TAILQ_HEAD(, connection) connections;
    struct connection *current; /* NULL: there is none to begin attempts on */
    struct attempts waiting;    /* for a connection */
    struct attempts ended;      /* of which nobody has been told yet */
    struct strait_timer reconnect;
    unsigned failures; /* in a row */
    unsigned busy;     /* within callbacks */
    bool closing;
    nghttp2_option *options;
    nghttp2_session_callbacks *callbacks;
    uint8_t scratch[H2_SCRATCH_BYTES], input[H2_SCRATCH_BYTES];
};

static void ready(void *argument, int fd, short revents);
static void flush(struct connection *c);

/* ---- How attempts end ------------------------------------------------------------------------ */

static void free_attempt(struct rpc_attempt *a)
{
    grpc_bytes_free(&a->body);
    grpc_bytes_free(&a->in.message);
    free(a);
}

/* Its stream is no more: it waits to be told. */
static void note_end(struct rpc_attempt *a, uint32_t error)
{
    TAILQ_REMOVE(a->connection ? &a->connection->attempts : &a->transport->waiting, a, link);
    a->connection = NULL;
    a->ended = true;
    a->error = error;
    TAILQ_INSERT_TAIL(&a->transport->ended, a, link);
}

static enum rpc_outcome broken(const struct rpc_attempt *a)
{
    return a->handed_over && a->error != NGHTTP2_REFUSED_STREAM ? RPC_UNKNOWN : RPC_NOT_EXECUTED;
}

/* Codes by which a server says that it could not, this time; others it would say again. */
static bool is_passing(enum rpc_code code)
{
    return code == RPC_UNAVAILABLE || code == RPC_RESOURCE_EXHAUSTED ||
           code == RPC_DEADLINE_EXCEEDED || code == RPC_CANCELLED;
}

static struct rpc_reply reply_of(const struct rpc_attempt *a)
{
    if (a->has_status && a->code == RPC_OK)
        return a->has_message ? (struct rpc_reply){RPC_RESULT, RPC_OK}
                              : (struct rpc_reply){RPC_ERROR, RPC_INTERNAL};
    if (a->has_status)
        return (struct rpc_reply){is_passing(a->code) ? RPC_UNKNOWN : RPC_ERROR, a->code};
    if (a->http != 0 && a->http != 200)
        return (struct rpc_reply){RPC_ERROR, grpc_code_of_http((unsigned)a->http)};
    return (struct rpc_reply){broken(a), RPC_UNAVAILABLE};
}

/* The attempt may be freed with its transport in what it tells. */
static void tell(struct rpc_attempt *a)
{
    struct rpc_reply reply = reply_of(a);
    const uint8_t *result = NULL;
    uint8_t words[RPC_BYTES_MAX];
    if (reply.outcome == RPC_RESULT) {
        result = grpc_bytes(&a->in.message);
        a->request.detail->result_bytes = a->in.length;
        if (a->request.procedure->result_bytes != RPC_ANY_SIZE) {
            bool is_message = message_to_words(a->output, result, a->in.length, words);
            result = is_message ? words : NULL;
            if (!is_message)
                reply = (struct rpc_reply){RPC_ERROR, RPC_INTERNAL};
        }
    }
    a->request.ended(a->request.owner, reply, result);
    free_attempt(a);
}

static void free_transport(struct transport *t);

static void enter(struct transport *t)
{
    t->busy++;
}

/* Tells what has ended meanwhile. The transport may be gone when this returns. */
static void leave(struct transport *t)
{
    for (struct rpc_attempt *a; t->busy == 1 && (a = TAILQ_FIRST(&t->ended));) {
        TAILQ_REMOVE(&t->ended, a, link);
        tell(a);
    }
    if (--t->busy == 0 && t->closing)
        free_transport(t);
}

/* ---- Connections ----------------------------------------------------------------------------- */

static struct strait_env *env_of(const struct transport *t)
{
    return t->host.env;
}

static void end_attempts(struct attempts *attempts)
{
    for (struct rpc_attempt *a; (a = TAILQ_FIRST(attempts));)
        note_end(a, NGHTTP2_INTERNAL_ERROR);
}

static void free_connection(struct connection *c)
{
    struct transport *t = c->transport;
    env_of(t)->timer_stop(env_of(t), &c->flush);
    env_of(t)->timer_stop(env_of(t), &c->alive);
    if (t->current == c)
        t->current = NULL;
    TAILQ_REMOVE(&t->connections, c, link);
    end_attempts(&c->attempts);
    stream_close(&c->stream);
    h2_free(&c->h2);
    free(c);
}

/* What has failed is not tried again at once. */
static void break_connection(struct connection *c)
{
    struct transport *t = c->transport;
    if (!c->leaving && t->failures < BACKOFF_STEPS)
        t->failures++;
    free_connection(c);
}

static void wake(struct connection *c)
{
    struct strait_env *env = env_of(c->transport);
    env->timer_start(env, &c->flush, env->now(env));
}

static void watch(struct connection *c, short events)
{
    stream_watch(&c->stream, events, ready, c);
}

/* Sends what there is to send. The connection may be gone when this returns. */
static void flush(struct connection *c)
{
    if (!c->connected)
        return;
    enum h2_progress progress = h2_flush(&c->h2, &c->stream, c->transport->scratch);
    bool over = c->leaving && TAILQ_EMPTY(&c->attempts) && progress == H2_SENT;
    if (progress == H2_FAILED || over || nghttp2_session_want_read(c->h2.session) == 0)
        break_connection(c);
    else
        watch(c, progress == H2_PENDING ? POLLIN | POLLOUT : POLLIN);
}

static void flush_due(void *owner, struct strait_timer *timer)
{
    (void)owner;
    struct connection *c =
        (struct connection *)(void *)((char *)timer - offsetof(struct connection, flush));
    struct transport *t = c->transport;
    enter(t);
    flush(c);
    leave(t);
}

/* Nothing has been heard for a while: is there anybody? */
static void alive_due(void *owner, struct strait_timer *timer)
{
    struct strait_env *env = owner;
    struct connection *c =
        (struct connection *)(void *)((char *)timer - offsetof(struct connection, alive));
    struct transport *t = c->transport;
    enter(t);
    if (c->asked || !c->connected) {
        break_connection(c);
    } else if (!TAILQ_EMPTY(&c->attempts)) {
        c->asked = true;
        nghttp2_submit_ping(c->h2.session, NGHTTP2_FLAG_NONE, NULL);
        env->timer_start(env, &c->alive, env->now(env) + PING_ANSWER_NS);
        flush(c);
    }
    leave(t);
}

static void heard(struct connection *c)
{
    struct strait_env *env = env_of(c->transport);
    c->asked = false;
    env->timer_start(env, &c->alive, env->now(env) + KEEPALIVE_NS);
}

static void receive(struct connection *c)
{
    struct transport *t = c->transport;
    ssize_t n = stream_recv(&c->stream, t->input, sizeof(t->input), 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (n <= 0 || nghttp2_session_mem_recv(c->h2.session, t->input, (size_t)n) < 0) {
        break_connection(c);
        return;
    }
    t->failures = 0;
    heard(c);
    flush(c);
}

static void ready(void *argument, int fd, short revents)
{
    struct connection *c = argument;
    struct transport *t = c->transport;
    (void)fd;
    enter(t);
    if (!c->connected && stream_error(&c->stream) != 0) {
        break_connection(c);
    } else if (!c->connected) {
        c->connected = true;
        heard(c);
        flush(c);
    } else if (revents & (POLLIN | POLLERR | POLLHUP)) {
        receive(c);
    } else {
        flush(c);
    }
    leave(t);
}

/* Returns NULL with errno. */
static struct connection *new_connection(struct transport *t)
{
    struct connection *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->transport = t;
    c->flush.expired = flush_due;
    c->alive.expired = alive_due;
    TAILQ_INIT(&c->attempts);
    errno = ENOMEM;
    if (nghttp2_session_client_new2(&c->h2.session, t->callbacks, c, t->options) == 0 &&
        h2_begin(c->h2.session, 0, GRPC_HEADER_BYTES) == 0 &&
        stream_connect(&c->stream, &t->host, &t->server) == 0) {
        TAILQ_INSERT_TAIL(&t->connections, c, link);
        heard(c);
        watch(c, POLLOUT);
        return c;
    }
    int error = errno;
    h2_free(&c->h2);
    free(c);
    errno = error;
    return NULL;
}

/* ---- Attempts on a connection ---------------------------------------------------------------- */

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *bytes, size_t length,
                         uint32_t *flags, nghttp2_data_source *source, void *user_data)
{
    struct rpc_attempt *a = source->ptr;
    (void)session, (void)id, (void)user_data;
    size_t left = a->body.length - a->sent;
    size_t n = left < length ? left : length;
    memcpy(bytes, grpc_bytes(&a->body) + a->sent, n);
    a->sent += n;
    if (n == left)
        *flags = NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

/* Begins the stream of an attempt, which is in no list. */
static void submit(struct connection *c, struct rpc_attempt *a)
{
    static const nghttp2_nv fixed[] = {
        H2_STATIC(":method", "POST"),
        H2_STATIC(":scheme", "http"),
        H2_STATIC("content-type", "application/grpc"),
        H2_STATIC("te", "trailers"),
    };
    const char *authority = c->transport->authority;
    struct strait_env *env = env_of(c->transport);
    uint64_t now_ns = env->now(env);
    uint64_t left_ns = a->request.deadline_ns > now_ns ? a->request.deadline_ns - now_ns : 0;
    char timeout[GRPC_TIMEOUT_BYTES + 1], identity[GRPC_IDENTITY_TEXT_BYTES];
    size_t timeout_bytes = grpc_timeout_write(left_ns, timeout);
    nghttp2_nv fields[FIELDS_MAX];
    /* RFC 9113 8.3: what begins with a colon comes first. */
    memcpy(fields, fixed, 2 * sizeof(fixed[0]));
    fields[2] = (nghttp2_nv)H2_FIELD(":path", a->path, strlen(a->path));
    fields[3] = (nghttp2_nv)H2_FIELD(":authority", authority, strlen(authority));
    memcpy(fields + 4, fixed + 2, 2 * sizeof(fixed[0]));
    fields[6] = (nghttp2_nv)H2_FIELD("grpc-timeout", timeout, timeout_bytes);
    if (a->request.procedure->identified) {
        grpc_identity_write(a->request.arguments, identity);
        fields[7] = (nghttp2_nv)H2_FIELD(GRPC_IDENTITY_FIELD, identity, sizeof(identity));
    }
    if (TAILQ_EMPTY(&c->attempts))
        heard(c); /* from now on an answer is waited for */
    const nghttp2_data_provider body = {.source.ptr = a, .read_callback = read_body};
    a->stream = nghttp2_submit_request(c->h2.session, NULL, fields,
                                       a->request.procedure->identified ? 8 : 7, &body, a);
    a->connection = a->stream < 0 ? NULL : c;
    TAILQ_INSERT_TAIL(a->connection ? &c->attempts : &c->transport->waiting, a, link);
    if (!a->connection)
        note_end(a, NGHTTP2_REFUSED_STREAM);
    wake(c);
}

/* Gives those that wait a connection, a new one if need be and it is the time. */
static void connect_due(void *owner, struct strait_timer *timer)
{
    (void)owner;
    struct transport *t =
        (struct transport *)(void *)((char *)timer - offsetof(struct transport, reconnect));
    enter(t);
    if (!t->current && !TAILQ_EMPTY(&t->waiting))
        t->current = new_connection(t);
    if (!t->current)
        end_attempts(&t->waiting);
    for (struct rpc_attempt *a; t->current && (a = TAILQ_FIRST(&t->waiting));) {
        TAILQ_REMOVE(&t->waiting, a, link);
        submit(t->current, a);
    }
    leave(t);
}

static void wait_for_connection(struct transport *t, struct rpc_attempt *a)
{
    struct strait_env *env = env_of(t);
    uint64_t pause_ns = 0;
    bool first = TAILQ_EMPTY(&t->waiting);
    TAILQ_INSERT_TAIL(&t->waiting, a, link);
    if (!first)
        return;
    if (t->failures > 0) {
        uint32_t random;
        env->random(env, &random, sizeof(random));
        pause_ns = rpc_backoff(t->failures, random);
    }
    env->timer_start(env, &t->reconnect, env->now(env) + pause_ns);
}

/* ---- Callbacks of nghttp2 -------------------------------------------------------------------- */

static struct rpc_attempt *attempt_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

static bool is(const char *word, const uint8_t *bytes, size_t length)
{
    return strlen(word) == length && memcmp(word, bytes, length) == 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_bytes, const uint8_t *value, size_t value_bytes, uint8_t flags,
                     void *user_data)
{
    (void)flags, (void)user_data;
    struct rpc_attempt *a = attempt_of(session, frame->hd.stream_id);
    if (!a)
        return 0;
    struct rpc_detail *detail = a->request.detail;
    if (is(":status", name, name_bytes)) {
        a->http = atoi((const char *)value);
    } else if (is("grpc-status", name, name_bytes)) {
        a->has_status = true;
        a->code = grpc_status_read((const char *)value, value_bytes);
    } else if (is("grpc-message", name, name_bytes)) {
        size_t n = grpc_message_decode((const char *)value, value_bytes, detail->text,
                                       sizeof(detail->text) - 1);
        detail->text[n] = '\0';
    }
    return 0;
}

/* An answer that cannot be taken: the server is told to stop. */
static int refuse(nghttp2_session *session, struct rpc_attempt *a, enum rpc_code code)
{
    a->has_status = true;
    a->has_message = false;
    a->code = code;
    return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, a->stream, NGHTTP2_CANCEL);
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                         size_t length, void *user_data)
{
    (void)flags, (void)user_data;
    struct rpc_attempt *a = attempt_of(session, id);
    nghttp2_session_consume(session, id, length);
    if (!a || a->has_status)
        return 0;
    size_t taken = grpc_frame_feed(&a->in, bytes, length);
    a->has_message = a->in.state == GRPC_FRAME_WHOLE;
    if (a->in.state == GRPC_FRAME_LONG || a->in.state == GRPC_FRAME_NO_MEMORY)
        return refuse(session, a, RPC_RESOURCE_EXHAUSTED);
    if (taken < length || a->in.state == GRPC_FRAME_COMPRESSED)
        return refuse(session, a, RPC_INTERNAL);
    return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct connection *c = user_data;
    (void)session;
    if (frame->hd.type != NGHTTP2_GOAWAY)
        return 0;
    c->leaving = true;
    if (c->transport->current == c)
        c->transport->current = NULL;
    return 0;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    (void)user_data;
    if (frame->hd.type != NGHTTP2_DATA || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    struct rpc_attempt *a = attempt_of(session, frame->hd.stream_id);
    if (a)
        a->handed_over = true;
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *user_data)
{
    (void)user_data;
    struct rpc_attempt *a = attempt_of(session, id);
    if (a)
        note_end(a, error);
    return 0;
}

static nghttp2_session_callbacks *make_callbacks(void)
{
    nghttp2_session_callbacks *c;
    if (nghttp2_session_callbacks_new(&c) != 0)
        return NULL;
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame_recv);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, on_frame_send);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
    return c;
}

/* ---- The wire -------------------------------------------------------------------------------- */

static void free_transport(struct transport *t)
{
    if (t->options)
        nghttp2_option_del(t->options);
    if (t->callbacks)
        nghttp2_session_callbacks_del(t->callbacks);
    free(t);
}

static void write_authority(struct transport *t)
{
    uint32_t address = ntohl(t->server.sin_addr.s_addr);
    snprintf(t->authority, sizeof(t->authority), "%u.%u.%u.%u:%u", address >> 24,
             address >> 16 & 255, address >> 8 & 255, address & 255, ntohs(t->server.sin_port));
}

static void *open_transport(const struct rpc_channel_config *config)
{
    struct transport *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->host = config->host;
    t->server = config->server;
    write_authority(t);
    t->messages = config->messages;
    t->message_max = config->message_max ? config->message_max : RPC_MESSAGE_MAX;
    t->reconnect.expired = connect_due;
    TAILQ_INIT(&t->connections);
    TAILQ_INIT(&t->waiting);
    TAILQ_INIT(&t->ended);
    t->options = h2_options();
    t->callbacks = make_callbacks();
    if (t->options && t->callbacks)
        return t;
    free_transport(t);
    return NULL;
}

static void close_transport(void *transport)
{
    struct transport *t = transport;
    env_of(t)->timer_stop(env_of(t), &t->reconnect);
    for (struct connection *c = TAILQ_FIRST(&t->connections), *next; c; c = next) {
        next = TAILQ_NEXT(c, link);
        free_connection(c);
    }
    t->closing = true;
    if (t->busy == 0)
        free_transport(t);
}

/* Finds the names and messages of a procedure, and writes its path. */
static bool find_method(struct rpc_attempt *a)
{
    const struct rpc_procedure *p = a->request.procedure;
    for (const struct rpc_messages *const *m = a->transport->messages; m && *m; m++)
        for (unsigned i = 0; i < (*m)->service->n_methods; i++) {
            if (&(*m)->procedures[i] != p)
                continue;
            const ProtobufCMethodDescriptor *d = &(*m)->service->methods[i];
            a->input = d->input;
            a->output = d->output;
            int n = snprintf(a->path, sizeof(a->path), "/%s/%s", (*m)->service->name, d->name);
            return (size_t)n < sizeof(a->path);
        }
    errno = ENOENT;
    return false;
}

/* The arguments become the message, framed. */
static bool frame_arguments(struct rpc_attempt *a)
{
    const struct rpc_request *r = &a->request;
    uint8_t message[MESSAGE_OF_WORDS_MAX];
    errno = ENOMEM;
    if (r->procedure->argument_bytes == RPC_ANY_SIZE)
        return grpc_frame_add(&a->body, r->arguments, r->argument_bytes);
    const uint8_t *words = r->arguments + (r->procedure->identified ? RPC_IDENTITY_BYTES : 0);
    return grpc_frame_add(&a->body, message, message_from_words(a->input, words, message));
}

static struct rpc_attempt *begin(const struct rpc_request *request)
{
    struct transport *t = request->transport;
    struct rpc_attempt *a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    a->request = *request;
    a->transport = t;
    a->in.max = t->message_max;
    if (!find_method(a) || !frame_arguments(a)) {
        free_attempt(a);
        return NULL;
    }
    if (t->current)
        submit(t->current, a);
    else
        wait_for_connection(t, a);
    return a;
}

static enum rpc_outcome abandon(struct rpc_attempt *a)
{
    enum rpc_outcome outcome = broken(a);
    struct connection *c = a->connection;
    if (c) {
        nghttp2_session_set_stream_user_data(c->h2.session, a->stream, NULL);
        nghttp2_submit_rst_stream(c->h2.session, NGHTTP2_FLAG_NONE, a->stream, NGHTTP2_CANCEL);
        TAILQ_REMOVE(&c->attempts, a, link);
        wake(c);
    } else {
        /* It waits for a connection, or for its end to be told. */
        TAILQ_REMOVE(a->ended ? &a->transport->ended : &a->transport->waiting, a, link);
    }
    free_attempt(a);
    return outcome;
}

const struct rpc_wire rpc_grpc_wire = {
    .open = open_transport, .close = close_transport, .begin = begin, .abandon = abandon};
