/* SPDX-License-Identifier: MIT */
/*
 * A call on a stream:
 *
 *     head --refused: its status alone
 *       `--> message, end --> rpc_run ----> result --> head, message, status
 *       |                       `--> error --> status alone
 *       `--> messages ------> rpc_stream --> head, messages as they come, status
 *
 * A stream is answered once, by `answer` or `refuse_http`. What its client still sends is thrown
 * away, within the window that it has: for LINGER_NS, since some clients take a reset that comes
 * while they send for a failure, and lose the answer. Bytes of a body are given back to HTTP/2's
 * windows when they are taken: when a message is complete or under way within the bounds of memory,
 * and, in a conversation, not while its answers wait for their reader.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "rpc/grpc_session.h"

#define LINGER_NS        RPC_S
#define HEAD_FIELD_BYTES 32 /* RFC 9113 6.5.2: what each field counts beside its bytes */

static struct grpc *grpc_of_stream(const struct grpc_stream *s)
{
    return grpc_of(s->of);
}

static bool is_conversation(const struct grpc_stream *s)
{
    const struct rpc_streaming *streaming = s->method.procedure->streaming;
    return streaming && streaming->finished;
}

/* ---- Memory ---------------------------------------------------------------------------------- */

/* Counts what the stream holds. Returns whether that is not too much. */
static bool count_memory(struct grpc_stream *s)
{
    struct grpc *grpc = grpc_of_stream(s);
    size_t memory = s->in.message.room + s->held.room + s->out.room;
    grpc->memory += memory - s->memory;
    s->memory = memory;
    return grpc->memory <= GRPC_MEMORY;
}

/* ---- The answer ------------------------------------------------------------------------------ */

static const nghttp2_nv status_200 = H2_STATIC(":status", "200");
static const nghttp2_nv content_type = H2_STATIC("content-type", "application/grpc");
static const nghttp2_nv accept_encoding = H2_STATIC("grpc-accept-encoding", "identity");

/* Writes the fields that end the answer. Returns how many: at most 2. */
static size_t status_fields(const struct grpc_stream *s, nghttp2_nv fields[2],
                            char encoded[3 * GRPC_TEXT_BYTES])
{
    const char *status = grpc_status_text(s->code);
    fields[0] = (nghttp2_nv)H2_FIELD("grpc-status", status, strlen(status));
    if (s->text_bytes == 0)
        return 1;
    size_t length = grpc_message_encode(s->text, s->text_bytes, encoded, 3 * GRPC_TEXT_BYTES);
    fields[1] = (nghttp2_nv)H2_FIELD("grpc-message", encoded, length);
    return 2;
}

static void submit_trailer(struct grpc_stream *s)
{
    char encoded[3 * GRPC_TEXT_BYTES];
    nghttp2_nv fields[2];
    size_t count = status_fields(s, fields, encoded);
    nghttp2_submit_trailer(s->of->h2.session, s->id, fields, count);
}

/* Of nghttp2: gives it the next bytes of the body. */
static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *bytes, size_t length,
                         uint32_t *flags, nghttp2_data_source *source, void *user_data)
{
    struct grpc_stream *s = source->ptr;
    (void)session, (void)id, (void)user_data;
    size_t left = s->out.length - s->out_sent;
    size_t n = left < length ? left : length;
    memcpy(bytes, grpc_bytes(&s->out) + s->out_sent, n);
    s->out_sent += n;
    if (n < left)
        return (ssize_t)n;
    grpc_bytes_free(&s->out);
    s->out_sent = 0;
    count_memory(s);
    if (s->answered) {
        *flags = NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        submit_trailer(s);
    } else if (n == 0) {
        return NGHTTP2_ERR_DEFERRED;
    }
    return (ssize_t)n;
}

/* The head of the answer and what there is of its body are to be sent. */
static void begin_or_go_on(struct grpc_stream *s)
{
    const nghttp2_nv head[] = {status_200, content_type};
    const nghttp2_data_provider body = {.source.ptr = s, .read_callback = read_body};
    if (!s->begun)
        nghttp2_submit_response(s->of->h2.session, s->id, head, 2, &body);
    else
        nghttp2_session_resume_data(s->of->h2.session, s->id);
    s->begun = true;
    grpc_wake(s->of);
}

/* The status alone, in the head. */
static void submit_status(struct grpc_stream *s)
{
    char encoded[3 * GRPC_TEXT_BYTES];
    nghttp2_nv fields[5] = {status_200, content_type};
    size_t count = 2 + status_fields(s, fields + 2, encoded);
    if (s->head.is_compressed)
        fields[count++] = accept_encoding;
    nghttp2_submit_response(s->of->h2.session, s->id, fields, count, NULL);
    s->begun = true;
    grpc_wake(s->of);
}

static void give_window(struct grpc_stream *s, size_t length)
{
    if (length > 0)
        nghttp2_session_consume(s->of->h2.session, s->id, length);
}

/* Nothing more is read of the request, nothing runs for it, and no time. */
static void close_request(struct grpc_stream *s)
{
    struct strait_env *env = grpc_of_stream(s)->env;
    struct rpc_job *job = s->job;
    s->answered = true;
    s->job = NULL;
    if (job)
        rpc_cancel(job);
    env->timer_stop(env, &s->deadline);
    give_window(s, s->held.length);
    grpc_bytes_free(&s->held);
}

/* What has been read of the request is not needed any more. */
static void drop_message(struct grpc_stream *s)
{
    grpc_bytes_free(&s->in.message);
    count_memory(s);
}

static void answer_text(struct grpc_stream *s, enum rpc_code code, const char *text, size_t length)
{
    close_request(s);
    s->code = code;
    s->text_bytes = length < sizeof(s->text) ? length : sizeof(s->text);
    if (s->text_bytes > 0)
        memcpy(s->text, text, s->text_bytes);
    if (s->begun || s->out.length > 0)
        begin_or_go_on(s);
    else
        submit_status(s);
}

static void answer(struct grpc_stream *s, enum rpc_code code, const char *text)
{
    answer_text(s, code, text, strlen(text));
}

/* The same for what is the client's fault. */
static void refuse(struct grpc_stream *s, enum rpc_code code, const char *text)
{
    rpc_counters(grpc_of_stream(s)->rpc)->requests_refused++;
    answer(s, code, text);
}

/* The same for what is no gRPC at all. */
static void refuse_http(struct grpc_stream *s, const char *status)
{
    const nghttp2_nv field = H2_FIELD(":status", status, strlen(status));
    rpc_counters(grpc_of_stream(s)->rpc)->requests_refused++;
    close_request(s);
    nghttp2_submit_response(s->of->h2.session, s->id, &field, 1, NULL);
    s->begun = true;
    grpc_wake(s->of);
}

static void answer_no_memory(struct grpc_stream *s)
{
    rpc_counters(grpc_of_stream(s)->rpc)->memory_short++;
    answer(s, RPC_RESOURCE_EXHAUSTED, "no memory for this message now");
}

/* ---- Calls ----------------------------------------------------------------------------------- */

/* The result of a procedure becomes a message of the answer. Returns whether there is memory. */
static bool add_result(struct grpc_stream *s, const uint8_t *result, size_t length)
{
    uint8_t message[MESSAGE_OF_WORDS_MAX];
    if (s->method.procedure->result_bytes == RPC_ANY_SIZE)
        return grpc_frame_add(&s->out, result, length) && count_memory(s);
    length = message_from_words(s->method.output, result, message);
    return grpc_frame_add(&s->out, message, length);
}

static void answered(void *owner, enum rpc_code code, const uint8_t *result, size_t result_bytes)
{
    struct grpc_stream *s = owner;
    s->job = NULL;
    if (code == RPC_OK && !s->method.procedure->streaming && !add_result(s, result, result_bytes)) {
        grpc_bytes_free(&s->out);
        answer_no_memory(s);
    } else if (code == RPC_OK || result) {
        answer_text(s, code, (const char *)result, code == RPC_OK ? 0 : result_bytes);
    } else {
        answer(s, code, rpc_code_text(code));
    }
}

/* A message of a streaming procedure. */
static bool send_message(void *owner, const uint8_t *bytes, size_t length)
{
    struct grpc_stream *s = owner;
    if (!add_result(s, bytes, length)) {
        s->failed = true;
        grpc_wake(s->of);
        return false;
    }
    begin_or_go_on(s);
    s->full = s->out.length - s->out_sent >= GRPC_OUTPUT_BYTES;
    return !s->full;
}

static const struct rpc_reader reader = {.message = send_message, .ended = answered};

static void begin_stream(struct grpc_stream *s)
{
    s->job = rpc_stream(grpc_of_stream(s)->rpc, s->method.procedure, &reader, s);
    if (!s->job)
        answer(s, RPC_RESOURCE_EXHAUSTED, "too many calls of this service");
}

/* The identity comes first, as on the classic wire, and then the fields of the message. */
static void run_words(struct grpc_stream *s)
{
    const struct rpc_procedure *p = s->method.procedure;
    uint8_t arguments[RPC_BYTES_MAX];
    size_t of_identity = p->identified ? RPC_IDENTITY_BYTES : 0;
    memcpy(arguments, s->head.identity, of_identity);
    if (!message_to_words(s->method.input, grpc_bytes(&s->in.message), s->in.length,
                          arguments + of_identity)) {
        refuse(s, RPC_INTERNAL, "the request is no such message");
        return;
    }
    s->job = rpc_run(grpc_of_stream(s)->rpc, p, arguments, p->argument_bytes, s->deadline_ns,
                     answered, s);
}

/* The one message is there, and the end behind it. */
static void run(struct grpc_stream *s)
{
    const struct rpc_procedure *p = s->method.procedure;
    const uint8_t *message = grpc_bytes(&s->in.message);
    if (p->argument_bytes != RPC_ANY_SIZE) {
        run_words(s);
    } else if (!p->streaming) {
        s->job =
            rpc_run(grpc_of_stream(s)->rpc, p, message, s->in.length, s->deadline_ns, answered, s);
    } else {
        begin_stream(s);
        if (s->job)
            rpc_stream_message(s->job, message, s->in.length);
    }
    drop_message(s);
}

static void deadline_expired(void *owner, struct strait_timer *timer)
{
    (void)owner;
    struct grpc_stream *s =
        (struct grpc_stream *)(void *)((char *)timer - offsetof(struct grpc_stream, deadline));
    if (s->answered) {
        nghttp2_submit_rst_stream(s->of->h2.session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
        grpc_wake(s->of);
        return;
    }
    if (!s->job)
        rpc_counters(grpc_of_stream(s)->rpc)->requests_cut_off++;
    answer(s, RPC_DEADLINE_EXCEEDED, rpc_code_text(RPC_DEADLINE_EXCEEDED));
    drop_message(s);
}

/* ---- The head -------------------------------------------------------------------------------- */

static bool is(const char *word, const char *bytes, size_t length)
{
    return strlen(word) == length && memcmp(word, bytes, length) == 0;
}

/* "application/grpc", alone or followed by what says more about it. */
static bool is_grpc_type(const char *value, size_t length)
{
    static const char type[] = "application/grpc";
    size_t n = sizeof(type) - 1;
    if (length < n || strncasecmp(value, type, n) != 0)
        return false;
    return length == n || value[n] == ';' || is("+proto", value + n, length - n);
}

void grpc_stream_field(struct grpc_stream *s, const char *name, size_t name_bytes,
                       const char *value, size_t value_bytes)
{
    struct grpc_head *h = &s->head;
    h->bytes += name_bytes + value_bytes + HEAD_FIELD_BYTES;
    if (h->bytes > GRPC_HEADER_BYTES)
        return;
    if (is(":path", name, name_bytes))
        h->has_method = value_bytes > 0 && value[0] == '/' &&
                        rpc_find_method(grpc_of_stream(s)->messages, value + 1, value_bytes - 1,
                                        &s->method, &h->has_service);
    else if (is(":method", name, name_bytes))
        h->is_post = is("POST", value, value_bytes);
    else if (is("content-type", name, name_bytes))
        h->is_grpc = is_grpc_type(value, value_bytes);
    else if (is("grpc-timeout", name, name_bytes))
        h->has_timeout = !(h->bad_timeout = !grpc_timeout_read(value, value_bytes, &h->timeout_ns));
    else if (is("grpc-encoding", name, name_bytes))
        h->is_compressed = !is("identity", value, value_bytes);
    else if (is(GRPC_IDENTITY_FIELD, name, name_bytes))
        h->has_identity = !(h->bad_identity = !grpc_identity_read(value, value_bytes, h->identity));
}

/* Returns what is wrong with the head of a request, or NULL. */
static const char *fault_of_head(const struct grpc_stream *s, enum rpc_code *code)
{
    const struct grpc_head *h = &s->head;
    *code = RPC_RESOURCE_EXHAUSTED;
    if (h->bytes > GRPC_HEADER_BYTES)
        return "the header fields are too long";
    *code = RPC_UNIMPLEMENTED;
    if (!h->has_method)
        return h->has_service ? "no such method" : "no such service";
    if (h->is_compressed)
        return "messages may not be compressed";
    *code = RPC_INTERNAL;
    if (h->bad_timeout)
        return "grpc-timeout is malformed";
    *code = RPC_INVALID_ARGUMENT;
    if (h->bad_identity || (s->method.procedure->identified && !h->has_identity))
        return GRPC_IDENTITY_FIELD " is missing or malformed";
    return NULL;
}

/* A call without a deadline gets one: no client keeps a call for ever. */
static uint64_t time_of(const struct grpc_stream *s)
{
    if (s->head.has_timeout)
        return s->head.timeout_ns;
    return s->method.procedure->streaming ? RPC_DEADLINE_MAX_NS : RPC_DEADLINE_DEFAULT_NS;
}

void grpc_stream_head_ends(struct grpc_stream *s)
{
    struct strait_env *env = grpc_of_stream(s)->env;
    enum rpc_code code;
    if (s->head.bytes <= GRPC_HEADER_BYTES && !s->head.is_post) {
        refuse_http(s, "405");
        return;
    }
    if (s->head.bytes <= GRPC_HEADER_BYTES && !s->head.is_grpc) {
        refuse_http(s, "415");
        return;
    }
    const char *fault = fault_of_head(s, &code);
    if (fault) {
        if (!s->head.has_method)
            rpc_counters(grpc_of_stream(s)->rpc)->unknown++;
        refuse(s, code, fault);
        return;
    }
    s->deadline_ns = env->now(env) + time_of(s);
    env->timer_start(env, &s->deadline, s->deadline_ns);
    if (is_conversation(s))
        begin_stream(s);
}

/* ---- The body -------------------------------------------------------------------------------- */

/* A message is whole. */
static void take_message(struct grpc_stream *s)
{
    if (is_conversation(s)) {
        rpc_stream_message(s->job, grpc_bytes(&s->in.message), s->in.length);
        grpc_frame_next(&s->in);
        return;
    }
    s->message_taken = true;
}

/* Takes bytes until the stream is answered, or full. Returns how many. */
static size_t take(struct grpc_stream *s, const uint8_t *bytes, size_t length)
{
    size_t taken = 0;
    while (taken < length && !s->answered && !s->full) {
        if (s->message_taken) {
            refuse(s, RPC_UNIMPLEMENTED, "more than one message");
            break;
        }
        taken += grpc_frame_feed(&s->in, bytes + taken, length - taken);
        if (s->in.state == GRPC_FRAME_COMPRESSED)
            refuse(s, RPC_INTERNAL, "a message is compressed, and by no encoding");
        else if (s->in.state == GRPC_FRAME_LONG)
            refuse(s, RPC_RESOURCE_EXHAUSTED, "the message is too long");
        else if (s->in.state == GRPC_FRAME_NO_MEMORY || !count_memory(s))
            answer_no_memory(s);
        else if (s->in.state == GRPC_FRAME_WHOLE)
            take_message(s);
    }
    if (!s->answered)
        return taken;
    drop_message(s);
    return length;
}

void grpc_stream_data(struct grpc_stream *s, const uint8_t *bytes, size_t length)
{
    if (s->answered) {
        nghttp2_session_consume_connection(s->of->h2.session, length);
        return;
    }
    size_t taken = s->held.length == 0 ? take(s, bytes, length) : 0;
    give_window(s, taken);
    if (taken < length && !grpc_bytes_add(&s->held, bytes + taken, length - taken))
        answer_no_memory(s);
}

/* The client has sent all. */
static void end_request(struct grpc_stream *s)
{
    if (s->in.head_bytes > 0 && s->in.state != GRPC_FRAME_WHOLE)
        refuse(s, RPC_INTERNAL, "the message is cut off");
    else if (is_conversation(s))
        rpc_stream_finished(s->job);
    else if (!s->message_taken)
        refuse(s, RPC_UNIMPLEMENTED, "there is no message");
    else
        run(s);
}

void grpc_stream_ends(struct grpc_stream *s)
{
    if (s->answered)
        return;
    if (s->held.length > 0)
        s->held_end = true;
    else
        end_request(s);
}

/* Takes what was held. */
static void take_held(struct grpc_stream *s)
{
    struct grpc_bytes held = s->held;
    s->held = (struct grpc_bytes){0};
    size_t taken = take(s, grpc_bytes(&held), held.length);
    give_window(s, taken);
    if (taken < held.length &&
        !grpc_bytes_add(&s->held, grpc_bytes(&held) + taken, held.length - taken))
        answer_no_memory(s);
    grpc_bytes_free(&held);
    if (!s->answered && s->held.length == 0 && s->held_end)
        end_request(s);
}

bool grpc_stream_go_on(struct grpc_stream *s)
{
    if (s->answered)
        return false;
    if (s->failed) {
        answer_no_memory(s);
        return true;
    }
    if (!s->full || s->out.length - s->out_sent >= GRPC_OUTPUT_BYTES / 2)
        return false;
    s->full = false;
    rpc_stream_room(s->job);
    if (!s->answered && s->held.length > 0)
        take_held(s);
    return true;
}

/* ---- Its life -------------------------------------------------------------------------------- */

void grpc_stream_linger(struct grpc_stream *s)
{
    struct strait_env *env = grpc_of_stream(s)->env;
    env->timer_start(env, &s->deadline, env->now(env) + LINGER_NS);
}

void grpc_stream_stop(struct grpc_stream *s)
{
    if (s->answered || !s->method.procedure || !s->method.procedure->streaming)
        return;
    answer(s, RPC_UNAVAILABLE, "the server stops");
    drop_message(s);
}

struct grpc_stream *grpc_stream_new(struct grpc_session *g, int32_t id)
{
    struct grpc *grpc = grpc_of(g);
    struct grpc_stream *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->of = g;
    s->id = id;
    s->in.max = grpc->message_max;
    s->deadline.expired = deadline_expired;
    TAILQ_INSERT_TAIL(&g->streams, s, link);
    g->stream_count++;
    grpc->streams++;
    return s;
}

void grpc_stream_free(struct grpc_stream *s)
{
    struct grpc *grpc = grpc_of_stream(s);
    if (!s->answered && !s->job && s->method.procedure)
        rpc_counters(grpc->rpc)->requests_broken++;
    grpc->env->timer_stop(grpc->env, &s->deadline);
    if (s->job)
        rpc_cancel(s->job);
    if (s->held.length > 0)
        nghttp2_session_consume_connection(s->of->h2.session, s->held.length);
    grpc_bytes_free(&s->in.message);
    grpc_bytes_free(&s->held);
    grpc_bytes_free(&s->out);
    count_memory(s);
    TAILQ_REMOVE(&s->of->streams, s, link);
    s->of->stream_count--;
    grpc->streams--;
    free(s);
}
