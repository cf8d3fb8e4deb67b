/* SPDX-License-Identifier: MIT */
#include "rpc/h2.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- Output ---- */

static bool not_now(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* Keeps what was not taken: nghttp2 will not say it again. */
static enum h2_progress keep(struct h2 *h, const uint8_t *bytes, size_t length)
{
    h->rest = malloc(length);
    if (!h->rest)
        return H2_FAILED;
    memcpy(h->rest, bytes, length);
    h->rest_bytes = length;
    h->rest_sent = 0;
    return H2_PENDING;
}

static enum h2_progress send_rest(struct h2 *h, struct stream *stream)
{
    ssize_t n = stream_send(stream, h->rest + h->rest_sent, h->rest_bytes - h->rest_sent);
    if (n < 0)
        return not_now() ? H2_PENDING : H2_FAILED;
    h->rest_sent += (size_t)n;
    if (h->rest_sent < h->rest_bytes)
        return H2_PENDING;
    free(h->rest);
    h->rest = NULL;
    return H2_SENT;
}

static enum h2_progress send_now(struct h2 *h, struct stream *stream, const uint8_t *bytes,
                                 size_t length)
{
    ssize_t n = length > 0 ? stream_send(stream, bytes, length) : 0;
    if (n < 0 && !not_now())
        return H2_FAILED;
    size_t sent = n < 0 ? 0 : (size_t)n;
    return sent < length ? keep(h, bytes + sent, length - sent) : H2_SENT;
}

enum h2_progress h2_flush(struct h2 *h, struct stream *stream, uint8_t *scratch)
{
    enum h2_progress progress = h->rest ? send_rest(h, stream) : H2_SENT;
    while (progress == H2_SENT) {
        size_t gathered = 0;
        const uint8_t *frame;
        ssize_t n = 0;
        /* nghttp2 makes no frame longer than 16 KiB, nor asks for more than that of a body. */
        while (gathered <= H2_SCRATCH_BYTES / 2 &&
               (n = nghttp2_session_mem_send(h->session, &frame)) > 0) {
            memcpy(scratch + gathered, frame, (size_t)n);
            gathered += (size_t)n;
        }
        if (n < 0)
            return H2_FAILED;
        if (gathered == 0)
            return H2_SENT;
        progress = send_now(h, stream, scratch, gathered);
    }
    return progress;
}

void h2_free(struct h2 *h)
{
    free(h->rest);
    h->rest = NULL;
    nghttp2_session_del(h->session);
    h->session = NULL;
}

/* ---- How it begins ---- */

nghttp2_option *h2_options(void)
{
    nghttp2_option *options;
    if (nghttp2_option_new(&options) != 0)
        return NULL;
    nghttp2_option_set_no_auto_window_update(options, 1);
    nghttp2_option_set_no_closed_streams(options, 1);
    /* Its own limit goes by the machine's clock. */
    nghttp2_option_set_stream_reset_rate_limit(options, UINT64_MAX, UINT64_MAX);
    return options;
}

int h2_begin(nghttp2_session *session, uint32_t streams_max, uint32_t header_bytes_max)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams_max},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, header_bytes_max},
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}, /* a client's alone */
    };
    size_t count = sizeof(settings) / sizeof(settings[0]) - (streams_max > 0 ? 1 : 0);
    int error = nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, count);
    if (error != 0)
        return error;
    return nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0,
                                                 H2_CONNECTION_WINDOW);
}
