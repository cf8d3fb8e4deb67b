/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as what a client says to the gRPC server: through nghttp2 and its callbacks, the
 * framing of messages and protobuf, up to primes, health and reflection; on a stream that is
 * nothing but the input.
 *
 * The input is a byte that says in which pieces the rest arrives, how much of the answer is taken
 * at once, and whether an HTTP/2 client's first words stand in front of it; and the rest.
 *
 * Promised: what the server says is whole frames, and not much more than it was told; when the
 * client has ended nothing is left: no session, no stream, no memory, no timer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "offer.h"
#include "rpc/grpc.h"
#include "targets.h"

#define TIMERS_MAX  4096
#define TURNS_MAX   1000
#define OUTPUT_MAX  (1u << 20)
#define FRAME_MAX   (16384 + 9)
#define WHOLE_FIRST 0x80
#define SLOW_READER 0x40
#define PIECE_MASK  0x3f

static const char first_words[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";

/* The world of one input. */
struct bench {
    struct strait_env env;
    struct stream_host host;
    struct strait_timer *timers[TIMERS_MAX];
    uint64_t deadlines_ns[TIMERS_MAX];
    size_t timer_count;
    uint64_t now_ns;
    const uint8_t *input;
    size_t left, piece, room;
    bool accepted, open, slow;
    stream_ready *ready[2]; /* of the listener and the connection */
    void *argument[2];
    short events;
    uint8_t *output;
    size_t output_bytes;
};

/* ---- The environment ---- */

static struct bench *bench_of(struct strait_env *env)
{
    return (struct bench *)(void *)env;
}

static uint64_t now(struct strait_env *env)
{
    return bench_of(env)->now_ns;
}

static void random_bytes(struct strait_env *env, void *bytes, size_t length)
{
    (void)env;
    memset(bytes, 7, length);
}

static void timer_stop(struct strait_env *env, struct strait_timer *timer)
{
    struct bench *b = bench_of(env);
    for (size_t i = 0; i < b->timer_count; i++) {
        if (b->timers[i] != timer)
            continue;
        b->timer_count--;
        b->timers[i] = b->timers[b->timer_count];
        b->deadlines_ns[i] = b->deadlines_ns[b->timer_count];
        return;
    }
}

static void timer_start(struct strait_env *env, struct strait_timer *timer, uint64_t deadline_ns)
{
    struct bench *b = bench_of(env);
    timer_stop(env, timer);
    CHECK(b->timer_count < TIMERS_MAX);
    b->timers[b->timer_count] = timer;
    b->deadlines_ns[b->timer_count++] = deadline_ns;
}

static int execute(struct strait_env *env, struct strait_work *work)
{
    (void)env, (void)work;
    errno = EAGAIN;
    return -1;
}

/* Lets the earliest timer expire, if it is due by then. */
static bool expire(struct bench *b, uint64_t until_ns)
{
    size_t first = 0;
    for (size_t i = 1; i < b->timer_count; i++)
        if (b->deadlines_ns[i] < b->deadlines_ns[first])
            first = i;
    if (b->timer_count == 0 || b->deadlines_ns[first] > until_ns)
        return false;
    struct strait_timer *timer = b->timers[first];
    if (b->deadlines_ns[first] > b->now_ns)
        b->now_ns = b->deadlines_ns[first];
    timer_stop(&b->env, timer);
    timer->expired(&b->env, timer);
    return true;
}

/* ---- The stream ---- */

static struct bench *bench_of_stream(const struct stream *s)
{
    return bench_of(s->host->env);
}

static int fake_listen(struct stream *s, const struct sockaddr_in *address, int backlog)
{
    (void)address, (void)backlog;
    s->fd = 0;
    return 0;
}

static int fake_accept(struct stream *listener, struct stream *s)
{
    struct bench *b = bench_of_stream(listener);
    errno = EAGAIN;
    if (b->accepted)
        return -1;
    b->accepted = b->open = true;
    s->fd = 1;
    return 0;
}

static ssize_t fake_recv(struct stream *s, void *bytes, size_t length, int flags)
{
    struct bench *b = bench_of_stream(s);
    (void)flags;
    size_t n = b->left < b->piece ? b->left : b->piece;
    n = n < length ? n : length;
    if (n > 0)
        memcpy(bytes, b->input, n);
    b->input += n;
    b->left -= n;
    return (ssize_t)n;
}

static ssize_t fake_send(struct stream *s, const void *bytes, size_t length)
{
    struct bench *b = bench_of_stream(s);
    size_t n = length < b->room ? length : b->room;
    errno = EAGAIN;
    if (n == 0)
        return -1;
    CHECK(b->output_bytes + n <= OUTPUT_MAX);
    memcpy(b->output + b->output_bytes, bytes, n);
    b->output_bytes += n;
    if (b->slow)
        b->room -= n;
    return (ssize_t)n;
}

static int fake_watch(struct stream *s, short events, stream_ready *ready, void *argument)
{
    struct bench *b = bench_of_stream(s);
    b->ready[s->fd] = ready;
    b->argument[s->fd] = argument;
    if (s->fd == 1)
        b->events = events;
    return 0;
}

static int fake_finish(struct stream *s)
{
    (void)s;
    return 0;
}

static void fake_close(struct stream *s)
{
    struct bench *b = bench_of_stream(s);
    if (s->fd == 1)
        b->open = false;
    b->ready[s->fd] = NULL;
}

static const struct stream_kind fake = {
    .listen = fake_listen,
    .accept = fake_accept,
    .recv = fake_recv,
    .send = fake_send,
    .watch = fake_watch,
    .finish = fake_finish,
    .close = fake_close,
    .reset = fake_close,
};

/* ---- */

/* Lets the connection go on until its client has ended. */
static void drive(struct bench *b)
{
    b->ready[0](b->argument[0], 0, POLLIN);
    for (int turn = 0; turn < TURNS_MAX && b->open; turn++) {
        b->room = b->slow ? 100 : OUTPUT_MAX;
        short events = b->events & (POLLIN | POLLOUT);
        while (expire(b, b->now_ns))
            ;
        if (b->open && events)
            b->ready[1](b->argument[1], 1, events);
    }
    while (b->open && expire(b, STRAIT_NEVER))
        ;
}

static void check_output(const struct bench *b, size_t input_bytes)
{
    size_t at = 0;
    while (at + 9 <= b->output_bytes) {
        const uint8_t *head = b->output + at;
        size_t length = 9 + ((size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2]);
        CHECK(length <= FRAME_MAX);
        at += length;
    }
    /* The longest answer for its question is what reflection says of a file. */
    CHECK(b->output_bytes <= 1000 + input_bytes * 400);
}

static void run(const uint8_t *input, size_t length, uint8_t how)
{
    struct bench b = {.env = {.size = sizeof(b.env),
                              .now = now,
                              .random = random_bytes,
                              .timer_start = timer_start,
                              .timer_stop = timer_stop,
                              .execute = execute},
                      .now_ns = 1,
                      .input = input,
                      .left = length,
                      .piece = (size_t)(how & PIECE_MASK) * 8 + 1,
                      .slow = how & SLOW_READER};
    struct offer offer;
    b.host = (struct stream_host){&fake, NULL, &b.env};
    b.output = malloc(OUTPUT_MAX);
    CHECK(b.output && offer_init(&offer, &b.env) == 0);
    CHECK(offer_grpc(&offer, &b.host, GRPC_PORT) == 0);
    drive(&b);
    CHECK(!b.open && server_sessions(offer.grpc) == 0 && b.timer_count == 0);
    check_output(&b, length);
    offer_free(&offer);
    free(b.output);
}

int fuzz_grpc(const uint8_t *bytes, size_t length)
{
    if (length < 1)
        return 0;
    if (bytes[0] & WHOLE_FIRST) {
        run(bytes + 1, length - 1, bytes[0]);
        return 0;
    }
    size_t words = sizeof(first_words) - 1;
    uint8_t *input = malloc(words + length);
    CHECK(input);
    memcpy(input, first_words, words);
    memcpy(input + words, bytes + 1, length - 1);
    run(input, words + length - 1, bytes[0]);
    free(input);
    return 0;
}
