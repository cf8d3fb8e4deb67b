/* SPDX-License-Identifier: MIT */
#include "kv/fetch.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "get/response.h"

#define REQUEST_BYTES 512
#define PIECE_BYTES   65536

struct kv_fetch {
    struct kv_fetch_config config;
    struct strait_env *env;
    struct stream stream;
    struct strait_timer silence;
    struct response response;
    bool refused; /* a part of the body was not taken */
    char request[REQUEST_BYTES];
    size_t length, sent;
};

static void close_stream(struct kv_fetch *f)
{
    if (f->stream.fd < 0)
        return;
    f->env->timer_stop(f->env, &f->silence);
    stream_watch(&f->stream, 0, NULL, NULL);
    stream_close(&f->stream);
}

static void end(struct kv_fetch *f, const char *error)
{
    close_stream(f);
    f->config.ended(f->config.context, f->response.status, error);
}

static void take_body(void *context, const char *bytes, size_t length)
{
    struct kv_fetch *f = context;
    if (!f->refused && !f->config.body(f->config.context, f->response.status, bytes, length))
        f->refused = true;
}

static void await(struct kv_fetch *f, short events);

static void send_request(struct kv_fetch *f)
{
    int error = stream_error(&f->stream);
    ssize_t n = error ? -1 : stream_send(&f->stream, f->request + f->sent, f->length - f->sent);
    if (n < 0 && (error || errno != EAGAIN)) {
        end(f, strerror(error ? error : errno));
        return;
    }
    f->sent += n > 0 ? (size_t)n : 0;
    if (f->sent == f->length)
        await(f, POLLIN);
}

/* Takes bytes of the response. Returns whether more are to come; if not, it has ended. */
static bool feed(struct kv_fetch *f, const char *bytes, size_t length)
{
    struct response *r = &f->response;
    for (size_t taken = 0; taken < length && !r->done && !r->error && !f->refused;)
        taken += response_feed(r, bytes + taken, length - taken);
    if (!r->done && !r->error && !f->refused)
        return true;
    end(f, f->refused ? "it cannot be written" : r->error);
    return false;
}

static void receive(struct kv_fetch *f)
{
    char piece[PIECE_BYTES];
    ssize_t n = stream_recv(&f->stream, piece, sizeof(piece), 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n > 0) {
        if (feed(f, piece, (size_t)n))
            await(f, POLLIN);
        return;
    }
    int error = n < 0 ? errno : 0;
    response_close(&f->response);
    if (error)
        end(f, strerror(error));
    else
        end(f, f->response.done ? NULL : "the answer is cut off");
}

static void ready(void *argument, int fd, short revents)
{
    struct kv_fetch *f = argument;
    (void)fd, (void)revents;
    if (f->sent < f->length)
        send_request(f);
    else
        receive(f);
}

static void silent(void *owner, struct strait_timer *timer)
{
    (void)owner;
    end((struct kv_fetch *)(void *)((char *)timer - offsetof(struct kv_fetch, silence)),
        "it does not answer");
}

/* Watches the stream; the silence begins anew. */
static void await(struct kv_fetch *f, short events)
{
    f->env->timer_start(f->env, &f->silence, f->env->now(f->env) + KV_FETCH_SILENCE_NS);
    stream_watch(&f->stream, events, ready, f);
}

struct kv_fetch *kv_fetch_start(const struct kv_fetch_config *config)
{
    struct kv_fetch *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    f->config = *config;
    f->env = config->host.env;
    f->silence.expired = silent;
    response_init(&f->response, take_body, f);
    f->length = (size_t)snprintf(f->request, sizeof(f->request),
                                 "GET %s HTTP/1.1\r\nHost: strait\r\nConnection: close\r\n\r\n",
                                 config->target);
    errno = ENAMETOOLONG;
    if (f->length >= sizeof(f->request) ||
        stream_connect(&f->stream, &f->config.host, &config->server) < 0) {
        int error = errno;
        free(f);
        errno = error;
        return NULL;
    }
    await(f, POLLOUT);
    return f;
}

void kv_fetch_free(struct kv_fetch *f)
{
    if (!f)
        return;
    close_stream(f);
    free(f);
}
