/* SPDX-License-Identifier: MIT */
/*
 * What comes back on the streams of a gRPC client. Callbacks of nghttp2 only note what has come,
 * and which streams have ended; callers hear of it when nghttp2 has returned:
 *
 *     DATA --> heard --> in, until it is a message --> the caller
 *
 * The one message of a unary call goes right into `in`, and is told with the end. Those of a stream
 * are told one by one, as long as their caller takes them; the server is given the window again for
 * what has been read from `heard`, which thus is bounded by the window of a stream. The end is told
 * behind the last message.
 */
#include <stdlib.h>
#include <string.h>

#include "rpc/grpc_channel.h"
#include "rpc/grpc_field.h"

static bool is_stream(const struct rpc_attempt *a)
{
    return a->request.message != NULL;
}

static size_t unread(const struct rpc_attempt *a)
{
    return a->heard.length - a->heard_read;
}

/* ---- How attempts end ------------------------------------------------------------------------ */

void grpc_reply_ends(struct rpc_attempt *a, uint32_t error)
{
    struct transport *t = a->transport;
    /* The others of the connection do not have to wait until this one is read. */
    if (a->connection)
        nghttp2_session_consume_connection(a->connection->h2.session, unread(a));
    grpc_attempt_part(a);
    a->connection = NULL;
    a->error = error;
    grpc_attempt_join(a, unread(a) > 0 ? &t->finishing : &t->ended);
}

enum rpc_outcome grpc_reply_missing(const struct rpc_attempt *a)
{
    return a->handed_over && a->error != NGHTTP2_REFUSED_STREAM ? RPC_UNKNOWN : RPC_NOT_EXECUTED;
}

/* Codes by which a server says that it could not, this time; others it would say again. */
static bool is_passing(enum rpc_code code)
{
    return code == RPC_UNAVAILABLE || code == RPC_RESOURCE_EXHAUSTED ||
           code == RPC_DEADLINE_EXCEEDED || code == RPC_CANCELLED;
}

/* A status of OK stands behind just one message; of a stream, behind whole ones. */
static bool is_complete(const struct rpc_attempt *a)
{
    return a->http == 200 && (is_stream(a) ? a->in.head_bytes == 0 : a->has_message);
}

static struct rpc_reply reply_of(const struct rpc_attempt *a)
{
    if (a->has_status && a->code == RPC_OK)
        return is_complete(a) ? (struct rpc_reply){RPC_RESULT, RPC_OK}
                              : (struct rpc_reply){RPC_ERROR, RPC_INTERNAL};
    if (a->has_status)
        return (struct rpc_reply){is_passing(a->code) && !a->refused ? RPC_UNKNOWN : RPC_ERROR,
                                  a->code};
    if (a->http != 0 && a->http != 200)
        return (struct rpc_reply){RPC_ERROR, grpc_code_of_http((unsigned)a->http)};
    return (struct rpc_reply){grpc_reply_missing(a), RPC_UNAVAILABLE};
}

static void tell_end(struct rpc_attempt *a)
{
    struct rpc_reply reply = reply_of(a);
    const uint8_t *result = NULL;
    uint8_t words[RPC_BYTES_MAX];
    if (reply.outcome == RPC_RESULT && !is_stream(a)) {
        result = grpc_bytes(&a->in.message);
        a->request.detail->result_bytes = a->in.length;
        if (a->request.procedure->result_bytes != RPC_ANY_SIZE) {
            bool is_message = message_to_words(a->output, result, a->in.length, words);
            result = is_message ? words : NULL;
            if (!is_message)
                reply = (struct rpc_reply){RPC_ERROR, RPC_INTERNAL};
        }
    }
    if (!a->has_status && a->transport->error != 0)
        rpc_detail_unconnected(a->request.detail, a->transport->error);
    a->request.ended(a->request.owner, reply, result);
    grpc_attempt_free(a);
}

/* An answer that cannot be taken: the server is told to stop. */
static void refuse(struct rpc_attempt *a, enum rpc_code code)
{
    a->refused = true;
    a->has_status = true;
    a->has_message = false;
    a->code = code;
    if (!a->connection)
        return;
    nghttp2_submit_rst_stream(a->connection->h2.session, NGHTTP2_FLAG_NONE, a->stream,
                              NGHTTP2_CANCEL);
    grpc_connection_wake(a->connection);
}

/* ---- Messages of a stream -------------------------------------------------------------------- */

static void note_heard(struct rpc_attempt *a)
{
    if (a->is_heard || a->paused || unread(a) == 0)
        return;
    a->is_heard = true;
    TAILQ_INSERT_TAIL(&a->transport->heard, a, heard_link);
}

/* So much has been read: the server may send as much again. */
static void read_heard(struct rpc_attempt *a, size_t bytes)
{
    a->heard_read += bytes;
    if (a->connection && bytes > 0) {
        nghttp2_session_consume(a->connection->h2.session, a->stream, bytes);
        grpc_connection_wake(a->connection);
    }
    if (unread(a) > 0)
        return;
    grpc_bytes_free(&a->heard);
    a->heard_read = 0;
}

/* Notes what has come, behind what is not read yet, moved to the front once that is worth it. */
static bool add_heard(struct rpc_attempt *a, const uint8_t *bytes, size_t length)
{
    if (a->heard_read > unread(a)) {
        grpc_bytes_drop(&a->heard, a->heard_read);
        a->heard_read = 0;
    }
    if (!grpc_bytes_add(&a->heard, bytes, length))
        return false;
    note_heard(a);
    return true;
}

/* Tells a message that is whole. Returns whether the attempt is still there. */
static bool tell_message(struct rpc_attempt *a)
{
    struct transport *t = a->transport;
    const struct rpc_request *r = &a->request;
    t->telling = a;
    bool more = r->message(r->owner, grpc_bytes(&a->in.message), a->in.length);
    if (!t->telling)
        return false;
    t->telling = NULL;
    a->paused = !more;
    grpc_frame_next(&a->in);
    return true;
}

/* Reads one message, or what there is of it. */
static void read_message(struct rpc_attempt *a)
{
    size_t before = a->heard_read;
    a->is_heard = false;
    TAILQ_REMOVE(&a->transport->heard, a, heard_link);
    read_heard(a, grpc_frame_feed(&a->in, grpc_bytes(&a->heard) + before, unread(a)));
    if (a->in.state == GRPC_FRAME_LONG || a->in.state == GRPC_FRAME_NO_MEMORY)
        refuse(a, RPC_RESOURCE_EXHAUSTED);
    else if (a->in.state == GRPC_FRAME_COMPRESSED)
        refuse(a, RPC_INTERNAL);
    else if (a->in.state == GRPC_FRAME_WHOLE && !tell_message(a))
        return;
    if (a->refused)
        read_heard(a, unread(a));
    note_heard(a);
    if (a->list == &a->transport->finishing && unread(a) == 0) {
        grpc_attempt_part(a);
        grpc_attempt_join(a, &a->transport->ended);
    }
}

void grpc_reply_more(struct rpc_attempt *a)
{
    struct strait_env *env = a->transport->host.env;
    a->paused = false;
    note_heard(a);
    if (a->is_heard)
        env->timer_start(env, &a->transport->more, env->now(env));
}

bool grpc_reply_tell(struct transport *t)
{
    struct rpc_attempt *a = TAILQ_FIRST(&t->heard);
    if (a) {
        read_message(a);
        return true;
    }
    a = TAILQ_FIRST(&t->ended);
    if (!a)
        return false;
    grpc_attempt_part(a);
    tell_end(a);
    return true;
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

/* "Responses": the status ends the stream, whether trailers or the only fields there are. */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_bytes, const uint8_t *value, size_t value_bytes, uint8_t flags,
                     void *user_data)
{
    (void)flags, (void)user_data;
    struct rpc_attempt *a = attempt_of(session, frame->hd.stream_id);
    if (!a || a->refused)
        return 0;
    struct rpc_detail *detail = a->request.detail;
    bool is_last = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (is(":status", name, name_bytes)) {
        a->http = atoi((const char *)value);
    } else if (is_last && is("grpc-status", name, name_bytes)) {
        a->has_status = true;
        a->code = grpc_status_read((const char *)value, value_bytes);
    } else if (is_last && is("grpc-message", name, name_bytes)) {
        size_t n = grpc_message_decode((const char *)value, value_bytes, detail->text,
                                       sizeof(detail->text) - 1);
        detail->text[n] = '\0';
    }
    return 0;
}

/* The message of a unary call. */
static void take_message(struct rpc_attempt *a, const uint8_t *bytes, size_t length)
{
    size_t taken = grpc_frame_feed(&a->in, bytes, length);
    a->has_message = a->in.state == GRPC_FRAME_WHOLE;
    if (a->in.state == GRPC_FRAME_LONG || a->in.state == GRPC_FRAME_NO_MEMORY)
        refuse(a, RPC_RESOURCE_EXHAUSTED);
    else if (taken < length || a->in.state == GRPC_FRAME_COMPRESSED)
        refuse(a, RPC_INTERNAL);
}

/* What stands below another status of HTTP is no message. */
static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                         size_t length, void *user_data)
{
    (void)flags, (void)user_data;
    struct rpc_attempt *a = attempt_of(session, id);
    bool is_awaited = a && !a->refused && a->http == 200;
    if (is_awaited && is_stream(a) && add_heard(a, bytes, length))
        return 0;
    nghttp2_session_consume(session, id, length);
    if (is_awaited && is_stream(a))
        refuse(a, RPC_RESOURCE_EXHAUSTED);
    else if (is_awaited)
        take_message(a, bytes, length);
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
        grpc_reply_ends(a, error);
    return 0;
}

nghttp2_session_callbacks *grpc_reply_callbacks(void)
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
