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
 * What comes back on a stream is the matter of grpc_reply.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/grpc_channel.h"
#include "rpc/grpc_field.h"
#include "rpc/retry.h"

#define FIELDS_MAX    8
#define BACKOFF_STEPS 10

/* Without anything heard while attempts wait, a ping: for streams, which may well have nothing to
 * tell, no sooner than servers of other people bear it, whose minimum is 5 minutes. */
#define KEEPALIVE_NS        (30 * RPC_S)
#define KEEPALIVE_STREAM_NS (310 * RPC_S)
#define PING_ANSWER_NS      (10 * RPC_S)
/* For a connection to be made: in the meantime TCP asks three times, and waits ever longer. */
#define CONNECT_NS (5 * RPC_S)

static void ready(void *argument, int fd, short revents);
static void flush(struct connection *c);

/* ---- Attempts in their lists -----------------------------------------------------------------
 */

void grpc_attempt_join(struct rpc_attempt *a, struct attempts *list)
{
    TAILQ_INSERT_TAIL(list, a, link);
    a->list = list;
    if (a->connection && !a->request.message)
        a->connection->unary++;
}

void grpc_attempt_part(struct rpc_attempt *a)
{
    TAILQ_REMOVE(a->list, a, link);
    a->list = NULL;
    if (a->connection && !a->request.message)
        a->connection->unary--;
}

void grpc_attempt_free(struct rpc_attempt *a)
{
    struct transport *t = a->transport;
    if (t->telling == a)
        t->telling = NULL;
    if (a->is_heard)
        TAILQ_REMOVE(&t->heard, a, heard_link);
    grpc_bytes_free(&a->body);
    grpc_bytes_free(&a->in.message);
    grpc_bytes_free(&a->heard);
    free(a);
}

/* ---- Callbacks of the environment ------------------------------------------------------------ */

static void free_transport(struct transport *t);

static void enter(struct transport *t)
{
    t->busy++;
}

/* Tells what has come meanwhile. The transport may be gone when this returns. */
static void leave(struct transport *t)
{
    while (t->busy == 1 && grpc_reply_tell(t))
        ;
    if (--t->busy == 0 && t->closing)
        free_transport(t);
}

static void more_due(void *owner, struct strait_timer *timer)
{
    (void)owner;
    struct transport *t =
        (struct transport *)(void *)((char *)timer - offsetof(struct transport, more));
    enter(t);
    leave(t);
}

/* ---- Connections ----------------------------------------------------------------------------- */

static struct strait_env *env_of(const struct transport *t)
{
    return t->host.env;
}

static void end_attempts(struct attempts *attempts)
{
    for (struct rpc_attempt *a; (a = TAILQ_FIRST(attempts));)
        grpc_reply_ends(a, NGHTTP2_INTERNAL_ERROR);
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
static void break_connection(struct connection *c, int error)
{
    struct transport *t = c->transport;
    if (!c->leaving) {
        t->error = error;
        t->failures += t->failures < BACKOFF_STEPS;
    }
    free_connection(c);
}

void grpc_connection_wake(struct connection *c)
{
    struct strait_env *env = env_of(c->transport);
    if (c->waking)
        return;
    c->waking = true;
    env->timer_start(env, &c->flush, STRAIT_AT_ONCE);
}

static void watch(struct connection *c, short events)
{
    if (c->events == events)
        return;
    c->events = events;
    stream_watch(&c->stream, events, ready, c);
}

/* Sends what there is to send. The connection may be gone when this returns: also when its server
 * lets requests wait, given up meanwhile, without end. */
static void flush(struct connection *c)
{
    if (!c->connected)
        return;
    enum h2_progress progress = h2_flush(&c->h2, &c->stream, c->transport->scratch);
    bool over = c->leaving && TAILQ_EMPTY(&c->attempts) && progress == H2_SENT;
    bool stuck = nghttp2_session_get_outbound_queue_size(c->h2.session) > H2_QUEUE_MAX;
    if (progress == H2_FAILED || over || stuck || nghttp2_session_want_read(c->h2.session) == 0)
        break_connection(c, ECONNRESET);
    else
        watch(c, progress == H2_PENDING ? POLLIN | POLLOUT : POLLIN);
}

static void flush_due(void *owner, struct strait_timer *timer)
{
    (void)owner;
    struct connection *c =
        (struct connection *)(void *)((char *)timer - offsetof(struct connection, flush));
    struct transport *t = c->transport;
    c->waking = false;
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
        break_connection(c, ETIMEDOUT);
    } else {
        c->asked = true;
        nghttp2_submit_ping(c->h2.session, NGHTTP2_FLAG_NONE, NULL);
        c->alive_ns = env->now(env) + PING_ANSWER_NS;
        env->timer_start(env, &c->alive, c->alive_ns);
        flush(c);
    }
    leave(t);
}

/* Something is awaited from now on: a ping, if nothing is heard for so long. What is awaited later
 * does not put that off. */
static void await(struct connection *c, uint64_t within_ns)
{
    struct strait_env *env = env_of(c->transport);
    uint64_t alive_ns = env->now(env) + within_ns;
    if (c->alive_ns != 0 && c->alive_ns <= alive_ns)
        return;
    c->alive_ns = alive_ns;
    env->timer_start(env, &c->alive, alive_ns);
}

static void heard(struct connection *c)
{
    struct strait_env *env = env_of(c->transport);
    env->timer_stop(env, &c->alive);
    c->alive_ns = 0;
    c->asked = false;
    if (!TAILQ_EMPTY(&c->attempts))
        await(c, c->unary > 0 ? KEEPALIVE_NS : KEEPALIVE_STREAM_NS);
}

static void receive(struct connection *c)
{
    struct transport *t = c->transport;
    ssize_t n = stream_recv(&c->stream, t->input, sizeof(t->input), 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (n <= 0) {
        break_connection(c, n < 0 ? errno : ECONNRESET);
        return;
    }
    if (nghttp2_session_mem_recv(c->h2.session, t->input, (size_t)n) < 0) {
        break_connection(c, EPROTO);
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
    int error = c->connected ? 0 : stream_error(&c->stream);
    if (error != 0) {
        break_connection(c, error);
    } else if (!c->connected) {
        c->connected = true;
        t->error = 0;
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
        await(c, CONNECT_NS);
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
    fields[6] = (nghttp2_nv)H2_UNIQUE("grpc-timeout", timeout, timeout_bytes);
    if (a->request.procedure->identified) {
        grpc_identity_write(a->request.arguments, identity);
        fields[7] = (nghttp2_nv)H2_UNIQUE(GRPC_IDENTITY_FIELD, identity, sizeof(identity));
    }
    const nghttp2_data_provider body = {.source.ptr = a, .read_callback = read_body};
    a->stream = nghttp2_submit_request(c->h2.session, NULL, fields,
                                       a->request.procedure->identified ? 8 : 7, &body, a);
    a->connection = a->stream < 0 ? NULL : c;
    grpc_attempt_join(a, a->connection ? &c->attempts : &c->transport->waiting);
    if (!a->connection)
        grpc_reply_ends(a, NGHTTP2_REFUSED_STREAM);
    else
        await(c, a->request.message ? KEEPALIVE_STREAM_NS : KEEPALIVE_NS);
    grpc_connection_wake(c);
}

/* Gives those that wait a connection, a new one if need be and it is the time. */
static void connect_due(void *owner, struct strait_timer *timer)
{
    (void)owner;
    struct transport *t =
        (struct transport *)(void *)((char *)timer - offsetof(struct transport, reconnect));
    enter(t);
    if (!t->current && !TAILQ_EMPTY(&t->waiting)) {
        t->current = new_connection(t);
        t->error = t->current ? t->error : errno;
    }
    if (!t->current)
        end_attempts(&t->waiting);
    for (struct rpc_attempt *a; t->current && (a = TAILQ_FIRST(&t->waiting));) {
        grpc_attempt_part(a);
        submit(t->current, a);
    }
    leave(t);
}

static void wait_for_connection(struct transport *t, struct rpc_attempt *a)
{
    struct strait_env *env = env_of(t);
    uint64_t pause_ns = 0;
    bool first = TAILQ_EMPTY(&t->waiting);
    grpc_attempt_join(a, &t->waiting);
    if (!first)
        return;
    if (t->failures > 0) {
        uint32_t random;
        env->random(env, &random, sizeof(random));
        pause_ns = rpc_backoff(t->failures, random);
    }
    env->timer_start(env, &t->reconnect, env->now(env) + pause_ns);
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
    t->more.expired = more_due;
    TAILQ_INIT(&t->connections);
    TAILQ_INIT(&t->waiting);
    TAILQ_INIT(&t->finishing);
    TAILQ_INIT(&t->ended);
    TAILQ_INIT(&t->heard);
    t->options = h2_options();
    t->callbacks = grpc_reply_callbacks();
    if (t->options && t->callbacks)
        return t;
    free_transport(t);
    return NULL;
}

static void close_transport(void *transport)
{
    struct transport *t = transport;
    env_of(t)->timer_stop(env_of(t), &t->reconnect);
    env_of(t)->timer_stop(env_of(t), &t->more);
    for (struct connection *c = TAILQ_FIRST(&t->connections), *next; c; c = next) {
        next = TAILQ_NEXT(c, link);
        free_connection(c);
    }
    t->closing = true;
    if (t->busy == 0)
        free_transport(t);
}

/* A connection that breaks takes its bytes with it, which is a change as well. */
static uint64_t progress_of(void *transport)
{
    struct transport *t = transport;
    struct connection *c;
    uint64_t bytes = 0;
    TAILQ_FOREACH(c, &t->connections, link)
        bytes += stream_progress(&c->stream);
    return bytes;
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
        grpc_attempt_free(a);
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
    enum rpc_outcome outcome = grpc_reply_missing(a);
    struct connection *c = a->connection;
    const struct transport *t = a->transport;
    if (c) {
        nghttp2_session_set_stream_user_data(c->h2.session, a->stream, NULL);
        nghttp2_session_consume_connection(c->h2.session, a->heard.length - a->heard_read);
        nghttp2_submit_rst_stream(c->h2.session, NGHTTP2_FLAG_NONE, a->stream, NGHTTP2_CANCEL);
        grpc_connection_wake(c);
    }
    if (a->list == &t->waiting || (c && !c->connected))
        rpc_detail_unconnected(a->request.detail, t->error != 0 ? t->error : ETIMEDOUT);
    grpc_attempt_part(a);
    grpc_attempt_free(a);
    return outcome;
}

const struct rpc_wire rpc_grpc_wire = {.open = open_transport,
                                       .close = close_transport,
                                       .progress = progress_of,
                                       .begin = begin,
                                       .more = grpc_reply_more,
                                       .abandon = abandon};
