/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "caller.h"

#define SLICE_NS   (5 * PAIR_MS)
#define FIELDS_MAX 64

struct told *caller_told(struct caller *c, int32_t stream)
{
    size_t i = (size_t)(stream - 1) / 2;
    assert_true(stream > 0 && i < CALLER_STREAMS_MAX);
    return &c->told[i];
}

/* ---- What nghttp2 tells ---- */

static void copy(char *to, size_t room, const uint8_t *bytes, size_t length)
{
    size_t n = length < room - 1 ? length : room - 1;
    if (n > 0)
        memcpy(to, bytes, n);
    to[n] = '\0';
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_bytes, const uint8_t *value, size_t value_bytes, uint8_t flags,
                     void *user_data)
{
    (void)session, (void)flags, (void)name_bytes;
    struct told *t = caller_told(user_data, frame->hd.stream_id);
    if (strcmp((const char *)name, ":status") == 0)
        t->http = atoi((const char *)value);
    else if (strcmp((const char *)name, "grpc-status") == 0)
        t->status = atoi((const char *)value);
    else if (strcmp((const char *)name, "grpc-message") == 0)
        copy(t->text, sizeof(t->text), value, value_bytes);
    else if (strcmp((const char *)name, "grpc-accept-encoding") == 0)
        copy(t->accept_encoding, sizeof(t->accept_encoding), value, value_bytes);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                   size_t length, void *user_data)
{
    (void)flags;
    struct caller *c = user_data;
    struct told *t = caller_told(c, id);
    t->body = realloc(t->body, t->body_bytes + length);
    assert_non_null(t->body);
    memcpy(t->body + t->body_bytes, bytes, length);
    t->body_bytes += length;
    if (!c->lazy)
        nghttp2_session_consume(session, id, length);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *user_data)
{
    (void)session;
    struct told *t = caller_told(user_data, id);
    t->closed = true;
    t->error = error;
    return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    (void)session;
    struct caller *c = user_data;
    if (frame->hd.type != NGHTTP2_GOAWAY)
        return 0;
    c->goaways++;
    c->goaway_error = frame->goaway.error_code;
    c->goaway_last = frame->goaway.last_stream_id;
    copy(c->goaway_text, sizeof(c->goaway_text), frame->goaway.opaque_data,
         frame->goaway.opaque_data_len);
    return 0;
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *bytes, size_t length,
                         uint32_t *flags, nghttp2_data_source *source, void *user_data)
{
    (void)session, (void)id, (void)user_data;
    struct told *t = source->ptr;
    size_t n = t->saying_bytes < length ? t->saying_bytes : length;
    if (n > 0)
        memcpy(bytes, t->saying, n);
    t->saying += n;
    t->saying_bytes -= n;
    if (t->saying_bytes == 0 && t->ends)
        *flags = NGHTTP2_DATA_FLAG_EOF;
    else if (n == 0)
        return NGHTTP2_ERR_DEFERRED;
    return (ssize_t)n;
}

/* ---- The caller ---- */

struct caller *caller_new(struct pair *pair, uint16_t port)
{
    struct caller *c = calloc(1, sizeof(*c));
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *options;
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
    assert_non_null(c);
    for (size_t i = 0; i < CALLER_STREAMS_MAX; i++)
        c->told[i].status = -1;
    c->talker = talker_connect(pair, 0, port);
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_option_new(&options);
    nghttp2_option_set_no_auto_window_update(options, 1);
    nghttp2_option_set_peer_max_concurrent_streams(options, CALLER_STREAMS_MAX);
    assert_int_equal(nghttp2_session_client_new2(&c->session, callbacks, c, options), 0);
    nghttp2_option_del(options);
    nghttp2_session_callbacks_del(callbacks);
    assert_int_equal(nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, 1), 0);
    return c;
}

void caller_free(struct caller *c)
{
    talker_close(c->talker);
    nghttp2_session_del(c->session);
    for (size_t i = 0; i < CALLER_STREAMS_MAX; i++)
        free(c->told[i].body);
    free(c->out);
    free(c);
}

nghttp2_nv caller_field(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value),
                        NGHTTP2_NV_FLAG_NONE};
}

static bool is_same_name(const nghttp2_nv *a, const nghttp2_nv *b)
{
    return a->namelen == b->namelen && a->name && memcmp(a->name, b->name, b->namelen) == 0;
}

/* Puts a field in the place of one of the same name, or behind the others. */
static void put_field(nghttp2_nv *fields, size_t *count, nghttp2_nv field)
{
    size_t i = 0;
    while (i < *count && !is_same_name(&fields[i], &field))
        i++;
    assert_true(i < FIELDS_MAX);
    fields[i] = field;
    if (i == *count)
        (*count)++;
}

int32_t caller_ask(struct caller *c, const char *path, const void *body, size_t body_bytes,
                   bool ends, const nghttp2_nv *extra, size_t extra_count)
{
    nghttp2_nv fields[FIELDS_MAX];
    size_t count = 0;
    put_field(fields, &count, caller_field(":method", "POST"));
    put_field(fields, &count, caller_field(":scheme", "http"));
    put_field(fields, &count, caller_field(":authority", "10.0.0.2"));
    put_field(fields, &count, caller_field(":path", path));
    put_field(fields, &count, caller_field("content-type", "application/grpc"));
    put_field(fields, &count, caller_field("te", "trailers"));
    for (size_t i = 0; i < extra_count; i++)
        put_field(fields, &count, extra[i]);
    int32_t id = (int32_t)nghttp2_session_get_next_stream_id(c->session);
    struct told *t = caller_told(c, id);
    nghttp2_data_provider provider = {.source.ptr = t, .read_callback = read_body};
    *t = (struct told){.status = -1, .saying = body, .saying_bytes = body_bytes, .ends = ends};
    assert_int_equal(nghttp2_submit_request(c->session, NULL, fields, count,
                                            ends && body_bytes == 0 ? NULL : &provider, NULL),
                     id);
    return id;
}

void caller_say(struct caller *c, int32_t stream, const void *body, size_t body_bytes, bool ends)
{
    struct told *t = caller_told(c, stream);
    assert_int_equal(t->saying_bytes, 0);
    t->saying = body;
    t->saying_bytes = body_bytes;
    t->ends = ends;
    nghttp2_session_resume_data(c->session, stream);
}

/* What there is to send. Returns its length. */
static size_t gather(struct caller *c)
{
    size_t length = 0;
    const uint8_t *frame;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(c->session, &frame)) > 0) {
        c->out = realloc(c->out, length + (size_t)n);
        assert_non_null(c->out);
        memcpy(c->out + length, frame, (size_t)n);
        length += (size_t)n;
    }
    return length;
}

/* Takes what has arrived, and sends what there is to send. */
static void pump(struct caller *c)
{
    struct talker *t = c->talker;
    if (t->received_bytes > c->heard && nghttp2_session_want_read(c->session)) {
        ssize_t n = nghttp2_session_mem_recv(c->session, (const uint8_t *)t->received + c->heard,
                                             t->received_bytes - c->heard);
        assert_true(n >= 0);
    }
    c->heard = t->received_bytes;
    size_t length = gather(c);
    if (length == 0 || t->error != 0 || t->ended)
        return;
    talker_say(t, c->out, length);
    while (t->sending_bytes > 0 && t->error == 0 && !t->ended)
        pair_run(t->pair, SLICE_NS);
}

void caller_run(struct caller *c, uint64_t duration_ns)
{
    for (uint64_t t = 0; t < duration_ns; t += SLICE_NS) {
        pump(c);
        pair_run(c->talker->pair, SLICE_NS);
    }
    pump(c);
}

const struct told *caller_hear(struct caller *c, int32_t stream)
{
    struct told *t = caller_told(c, stream);
    for (int i = 0; i < 20000 && !t->closed; i++)
        caller_run(c, SLICE_NS);
    assert_true(t->closed);
    return t;
}
