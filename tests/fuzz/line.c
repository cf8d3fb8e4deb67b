/* SPDX-License-Identifier: MIT */
#include "line.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define TURNS_MAX  1000 /* in which an input is read */
#define EXPIRY_MAX 10000
#define SLOW_ROOM  100

/* ---- The environment ---- */

static struct line *line_of(struct strait_env *env)
{
    return (struct line *)(void *)env;
}

static uint64_t now(struct strait_env *env)
{
    return line_of(env)->now_ns;
}

static int64_t wall_clock(struct strait_env *env)
{
    return (int64_t)line_of(env)->now_ns;
}

static void random_bytes(struct strait_env *env, void *bytes, size_t length)
{
    (void)env;
    memset(bytes, 7, length);
}

static void timer_stop(struct strait_env *env, struct strait_timer *timer)
{
    struct line *l = line_of(env);
    for (size_t i = 0; i < l->timer_count; i++) {
        if (l->timers[i] != timer)
            continue;
        l->timer_count--;
        memmove(l->timers + i, l->timers + i + 1, (l->timer_count - i) * sizeof(l->timers[0]));
        memmove(l->deadlines_ns + i, l->deadlines_ns + i + 1,
                (l->timer_count - i) * sizeof(l->deadlines_ns[0]));
        return;
    }
}

static void timer_start(struct strait_env *env, struct strait_timer *timer, uint64_t deadline_ns)
{
    struct line *l = line_of(env);
    timer_stop(env, timer);
    CHECK(l->timer_count < LINE_TIMERS_MAX);
    l->timers[l->timer_count] = timer;
    l->deadlines_ns[l->timer_count++] = deadline_ns;
}

static int execute(struct strait_env *env, struct strait_work *work)
{
    (void)env, (void)work;
    errno = EAGAIN;
    return -1;
}

/* Lets the earliest timer expire, the one started first of those, if it is due by then. */
static bool expire(struct line *l, uint64_t until_ns)
{
    size_t first = 0;
    for (size_t i = 1; i < l->timer_count; i++)
        if (l->deadlines_ns[i] < l->deadlines_ns[first])
            first = i;
    if (l->timer_count == 0 || l->deadlines_ns[first] > until_ns)
        return false;
    struct strait_timer *timer = l->timers[first];
    if (l->deadlines_ns[first] > l->now_ns)
        l->now_ns = l->deadlines_ns[first];
    timer_stop(&l->env, timer);
    timer->expired(&l->env, timer);
    return true;
}

/* ---- Streams ---- */

static struct line *line_of_stream(const struct stream *s)
{
    return line_of(s->host->env);
}

static struct line_end *end_of(const struct stream *s)
{
    return &line_of_stream(s)->ends[s->fd];
}

static int fake_listen(struct stream *s, const struct sockaddr_in *address, int backlog)
{
    (void)address, (void)backlog;
    s->fd = 0;
    return 0;
}

/* Returns 0, or -1 if there are too many. */
static int begin_connection(struct stream *s)
{
    struct line *l = line_of_stream(s);
    for (int i = 1; i < LINE_ENDS_MAX; i++) {
        if (l->ends[i].open)
            continue;
        l->ends[i] = (struct line_end){.open = true, .words_left = l->words_bytes};
        s->fd = i;
        return 0;
    }
    return -1;
}

static int fake_accept(struct stream *listener, struct stream *s)
{
    struct line *l = line_of_stream(listener);
    errno = EAGAIN;
    if (l->accepted)
        return -1;
    l->accepted = true;
    return begin_connection(s);
}

static int fake_connect(struct stream *s, const struct sockaddr_in *address)
{
    (void)address;
    errno = EADDRNOTAVAIL;
    return begin_connection(s);
}

static int fake_error(struct stream *s)
{
    (void)s;
    return 0;
}

static int fake_peer(struct stream *s, struct sockaddr_in *peer)
{
    (void)s;
    *peer = (struct sockaddr_in){.sin_family = AF_INET};
    return 0;
}

static size_t read_words(struct line *l, struct line_end *end, void *bytes, size_t length,
                         int flags)
{
    size_t n = end->words_left < length ? end->words_left : length;
    memcpy(bytes, l->words + (l->words_bytes - end->words_left), n);
    if (!(flags & MSG_PEEK))
        end->words_left -= n;
    return n;
}

static ssize_t fake_recv(struct stream *s, void *bytes, size_t length, int flags)
{
    struct line *l = line_of_stream(s);
    size_t n = l->left < l->piece ? l->left : l->piece;
    n = n < length ? n : length;
    if (end_of(s)->words_left > 0)
        return (ssize_t)read_words(l, end_of(s), bytes, length, flags);
    if (n > 0)
        memcpy(bytes, l->input, n);
    if (flags & MSG_PEEK)
        return (ssize_t)n;
    l->input += n;
    l->left -= n;
    return (ssize_t)n;
}

static ssize_t fake_send(struct stream *s, const void *bytes, size_t length)
{
    struct line *l = line_of_stream(s);
    size_t n = length < l->room ? length : l->room;
    errno = EAGAIN;
    if (n == 0)
        return -1;
    CHECK(l->output_bytes + n <= LINE_OUTPUT_MAX);
    memcpy(l->output + l->output_bytes, bytes, n);
    l->output_bytes += n;
    if (l->slow)
        l->room -= n;
    return (ssize_t)n;
}

static ssize_t fake_sendv(struct stream *s, const struct iovec *parts, int count)
{
    ssize_t sent = 0;
    for (int i = 0; i < count; i++) {
        if (parts[i].iov_len == 0)
            continue;
        ssize_t n = fake_send(s, parts[i].iov_base, parts[i].iov_len);
        if (n < 0)
            return sent > 0 ? sent : -1;
        sent += n;
        if ((size_t)n < parts[i].iov_len)
            break;
    }
    return sent;
}

static int fake_watch(struct stream *s, short events, stream_ready *ready, void *argument)
{
    struct line_end *end = end_of(s);
    end->ready = ready;
    end->argument = argument;
    end->events = events;
    return 0;
}

static int fake_finish(struct stream *s)
{
    (void)s;
    return 0;
}

static void fake_close(struct stream *s)
{
    *end_of(s) = (struct line_end){0};
}

static const struct stream_kind fake = {
    .listen = fake_listen,
    .accept = fake_accept,
    .connect = fake_connect,
    .error = fake_error,
    .peer = fake_peer,
    .recv = fake_recv,
    .send = fake_send,
    .sendv = fake_sendv,
    .watch = fake_watch,
    .finish = fake_finish,
    .close = fake_close,
    .reset = fake_close,
};

/* ---- Its life ---- */

void line_open(struct line *l, const char *words, size_t words_bytes, const uint8_t *input,
               size_t length, uint8_t how)
{
    *l = (struct line){.env = {.size = sizeof(l->env),
                               .now = now,
                               .random = random_bytes,
                               .timer_start = timer_start,
                               .timer_stop = timer_stop,
                               .execute = execute,
                               .wall_clock = wall_clock},
                       .now_ns = 1,
                       .words = words,
                       .words_bytes = how & LINE_BARE ? 0 : words_bytes,
                       .input = input,
                       .left = length,
                       .piece = (size_t)(how & LINE_PIECE_MASK) * 8 + 1,
                       .slow = how & LINE_SLOW,
                       .output = malloc(LINE_OUTPUT_MAX + 1)};
    l->host = (struct stream_host){&fake, NULL, &l->env};
    CHECK(l->output);
}

static bool is_connected(const struct line *l)
{
    for (int i = 1; i < LINE_ENDS_MAX; i++)
        if (l->ends[i].open)
            return true;
    return false;
}

/* Tells each connection of what it waits for. */
static void turn(struct line *l)
{
    l->room = l->slow ? SLOW_ROOM : LINE_OUTPUT_MAX;
    while (expire(l, l->now_ns))
        ;
    for (int i = 1; i < LINE_ENDS_MAX; i++) {
        const struct line_end *end = &l->ends[i];
        short events = end->events & (POLLIN | POLLOUT);
        if (end->ready && events)
            end->ready(end->argument, i, events);
    }
}

void line_drive(struct line *l)
{
    if (l->ends[0].ready)
        l->ends[0].ready(l->ends[0].argument, 0, POLLIN);
    int expired = 0;
    do {
        for (int i = 0; i < TURNS_MAX && is_connected(l); i++)
            turn(l);
        CHECK(++expired < EXPIRY_MAX);
    } while (expire(l, STRAIT_NEVER));
    l->output[l->output_bytes] = '\0';
}

bool line_at_rest(const struct line *l)
{
    return !is_connected(l) && l->timer_count == 0;
}

void line_close(struct line *l)
{
    free(l->output);
}
