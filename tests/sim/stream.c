/* SPDX-License-Identifier: MIT */
#include "stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/list.h"
#include "datagram.h"

#define NS_PER_MS       UINT64_C(1000000)
#define BACKLOG_DEFAULT 128

struct application;

/* One end of a connection. A side that waits for its pace is not watched. */
struct stream {
    struct application *application;
    uint32_t connection, side;
    const struct scenario_side *plan;
    uint64_t peer_bytes; /* that the other side will write, if nothing ends it */
    int fd;              /* -1: not open (yet, or any more) */
    bool opened, shut, eof;
    bool resting; /* from reading: read_timer runs */
    bool pausing; /* from writing */
    uint64_t written, read;
    struct strait_timer open_timer, read_timer, write_timer;
};

struct application {
    struct streams *streams;
    uint32_t host;
    struct strait *stack; /* NULL: the host is down */
    struct strait_env *env;
    int listener; /* -1: closed */
    bool accepting;
    struct strait_timer accept_timer;
};

struct streams {
    struct datagrams *datagrams; /* the other workload of the same hosts */
    const struct scenario *scenario;
    struct check *check;
    bool stopped;
    struct application applications[SCENARIO_HOSTS];
    struct stream sides[SCENARIO_CONNECTIONS][2];
    uint8_t bytes[CHECK_CONTENT_BYTES]; /* what is being read */
};

static uint64_t now(const struct application *a)
{
    return a->env->now(a->env);
}

static const struct scenario_connection *connection_of(const struct stream *s)
{
    return &s->application->streams->scenario->connections[s->connection];
}

/* ---- Ends ------------------------------------------------------------------------------------ */

static void close_socket(struct stream *s)
{
    struct application *a = s->application;

    a->env->timer_stop(a->env, &s->read_timer);
    a->env->timer_stop(a->env, &s->write_timer);
    CHECK(strait_close(a->stack, s->fd) == 0);
    s->fd = -1;
}

static void fail(struct stream *s, int error)
{
    struct application *a = s->application;

    check_error(a->streams->check, now(a), s->connection, s->side, error);
    if (s->fd >= 0)
        close_socket(s);
}

static void end(struct stream *s, enum check_ending ending)
{
    struct application *a = s->application;

    check_ended(a->streams->check, now(a), s->connection, s->side, ending);
    if (ending != CHECK_SHUT) {
        close_socket(s);
        return;
    }
    s->shut = true;
    if (strait_shutdown(a->stack, s->fd, SHUT_WR) != 0)
        fail(s, errno);
}

static void reset(struct stream *s)
{
    static const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    CHECK(strait_setsockopt(s->application->stack, s->fd, SOL_SOCKET, SO_LINGER, &at_once,
                            sizeof(at_once)) == 0);
    end(s, CHECK_ABANDONED);
}

/* Ends what is to be ended by what was read and written. Returns whether the socket is gone. */
static bool end_if_due(struct stream *s)
{
    bool all_written = s->written == s->plan->bytes;
    bool early = s->read + s->written >= s->plan->end_bytes || (all_written && s->eof);

    switch ((enum scenario_end)s->plan->end) {
    case END_SHUTDOWN:
        if (all_written && !s->shut)
            end(s, CHECK_SHUT);
        if (s->fd >= 0 && s->shut && s->eof)
            end(s, CHECK_CLOSED);
        break;
    case END_LAST:
        if (all_written && s->eof)
            end(s, CHECK_CLOSED);
        break;
    case END_CLOSE:
        if (all_written && (s->eof || s->read >= s->peer_bytes))
            end(s, CHECK_CLOSED);
        break;
    case END_ABANDON:
        if (early)
            end(s, CHECK_ABANDONED);
        break;
    case END_RESET:
        if (early)
            reset(s);
        break;
    }
    return s->fd < 0;
}

/* ---- Reading and writing --------------------------------------------------------------------- */

static void watch(struct stream *s);

static void rest(struct stream *s, uint32_t pause_ms)
{
    struct application *a = s->application;

    s->resting = true;
    a->env->timer_start(a->env, &s->read_timer, now(a) + pause_ms * NS_PER_MS);
}

/* A plan that names no size takes the largest. */
static size_t piece(uint32_t planned_bytes)
{
    return planned_bytes > 0 && planned_bytes < CHECK_CONTENT_BYTES ? planned_bytes
                                                                    : CHECK_CONTENT_BYTES;
}

static void write_some(struct stream *s)
{
    struct application *a = s->application;
    struct check *check = a->streams->check;
    uint64_t left = s->plan->bytes - s->written;
    size_t length = piece(s->plan->write_bytes);
    int flags = s->plan->more == MORE_FLAG ? MSG_MORE : 0;

    if (s->plan->urgent)
        flags |= MSG_OOB;
    length = left < length ? (size_t)left : length;
    ssize_t n = strait_send(
        a->stack, s->fd, check_content(check, s->connection, s->side, s->written), length, flags);
    if (n < 0) {
        if (errno != EAGAIN)
            fail(s, errno);
        return;
    }
    s->written += (uint64_t)n;
    check_wrote(check, now(a), s->connection, s->side, (size_t)n);
    if (s->plan->write_ms > 0) {
        s->pausing = true;
        a->env->timer_start(a->env, &s->write_timer, now(a) + s->plan->write_ms * NS_PER_MS);
    }
}

static void read_some(struct stream *s)
{
    struct application *a = s->application;
    struct check *check = a->streams->check;

    ssize_t n = strait_recv(a->stack, s->fd, a->streams->bytes, piece(s->plan->read_bytes), 0);
    if (n < 0) {
        if (errno != EAGAIN)
            fail(s, errno);
        return;
    }
    if (n == 0) {
        s->eof = true;
        check_eof(check, now(a), s->connection, s->side);
        return;
    }
    check_read(check, now(a), s->connection, s->side, a->streams->bytes, (size_t)n);
    s->read += (uint64_t)n;
    if (s->plan->read_ms > 0)
        rest(s, s->plan->read_ms);
}

static bool wants_to_write(const struct stream *s)
{
    return s->written < s->plan->bytes && !s->pausing;
}

static bool wants_to_read(const struct stream *s)
{
    return !s->eof && !s->resting;
}

static bool take_opening(struct stream *s)
{
    struct application *a = s->application;
    int error = 0;
    socklen_t length = sizeof(error);

    CHECK(strait_getsockopt(a->stack, s->fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0);
    if (error != 0) {
        fail(s, error);
        return false;
    }
    s->opened = true;
    check_opened(a->streams->check, now(a), s->connection, s->side);
    if (s->plan->read_delay_ms > 0)
        rest(s, s->plan->read_delay_ms);
    return true;
}

static void ready(void *argument, int fd, short revents)
{
    struct stream *s = argument;

    (void)fd, (void)revents;
    if (!s->opened && !take_opening(s))
        return;
    if (wants_to_write(s))
        write_some(s);
    if (s->fd >= 0 && wants_to_read(s))
        read_some(s);
    if (s->fd >= 0 && !end_if_due(s))
        watch(s);
}

/* Asks for what is wanted now; for nothing at all, since an end would be told again and again. */
static void watch(struct stream *s)
{
    int events = s->opened ? 0 : POLLOUT;
    if (s->opened && wants_to_write(s))
        events |= POLLOUT;
    if (s->opened && wants_to_read(s))
        events |= POLLIN;
    CHECK(strait_watch(s->application->stack, s->fd, (short)events, events ? ready : NULL, s) == 0);
}

static void read_timer_expired(void *owner, struct strait_timer *timer)
{
    struct stream *s = container_of(timer, struct stream, read_timer);

    (void)owner;
    s->resting = false;
    watch(s);
}

static void write_timer_expired(void *owner, struct strait_timer *timer)
{
    struct stream *s = container_of(timer, struct stream, write_timer);

    (void)owner;
    s->pausing = false;
    watch(s);
}

/* ---- Opening --------------------------------------------------------------------------------- */

struct in_addr streams_address(uint32_t host, uint32_t hops)
{
    static const uint32_t first_pair = 0x0a000000, second_pair = 0x0a010000;
    uint32_t network =
        host < 2 ? first_pair + (host == 1 ? hops - 1 : 0) * 256 : second_pair + (host - 2) * 256;

    return (struct in_addr){.s_addr = htonl(network + (host == 1 ? 2 : 1))};
}

static struct sockaddr_in address_of(const struct stream *s, uint32_t side)
{
    const struct scenario *scenario = s->application->streams->scenario;
    uint32_t host = scenario_host_of(connection_of(s), side);

    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(check_port(scenario, s->connection, side)),
        .sin_addr = streams_address(host, scenario->net.hops),
    };
}

static void set_option(const struct stream *s, int level, int name, uint32_t value)
{
    int number = (int)value;

    CHECK(strait_setsockopt(s->application->stack, s->fd, level, name, &number, sizeof(number)) ==
          0);
}

static void set_options(const struct stream *s)
{
    const struct scenario_side *plan = s->plan;

    set_option(s, IPPROTO_TCP, TCP_NODELAY, plan->nodelay != 0);
    set_option(s, IPPROTO_TCP, TCP_CORK, plan->more == MORE_CORK);
    set_option(s, IPPROTO_TCP, TCP_USER_TIMEOUT, plan->user_timeout_ms);
    if (plan->keepalive_s == 0)
        return;
    set_option(s, IPPROTO_TCP, TCP_KEEPIDLE, plan->keepalive_s);
    set_option(s, IPPROTO_TCP, TCP_KEEPINTVL, plan->keepalive_s);
    set_option(s, IPPROTO_TCP, TCP_KEEPCNT, SCENARIO_KEEPALIVES);
    set_option(s, SOL_SOCKET, SO_KEEPALIVE, 1);
}

static void open_connection(struct stream *s)
{
    struct application *a = s->application;
    struct sockaddr_in local = address_of(s, s->side), remote = address_of(s, 1 - s->side);

    check_started(a->streams->check, now(a), s->connection, s->side);
    s->fd = strait_socket(a->stack, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK(s->fd >= 0);
    set_options(s);
    CHECK(strait_bind(a->stack, s->fd, (struct sockaddr *)&local, sizeof(local)) == 0);
    if (strait_connect(a->stack, s->fd, (struct sockaddr *)&remote, sizeof(remote)) == 0 ||
        errno != EINPROGRESS) {
        fail(s, errno);
        return;
    }
    watch(s);
}

static void open_timer_expired(void *owner, struct strait_timer *timer)
{
    (void)owner;
    open_connection(container_of(timer, struct stream, open_timer));
}

/* The side whose peer has this address, if it may be accepted. */
static struct stream *expected(struct application *a, const struct sockaddr_in *from)
{
    const struct scenario *scenario = a->streams->scenario;

    for (uint32_t i = 0; i < scenario->connection_count; i++) {
        struct stream *s = &a->streams->sides[i][1];
        struct sockaddr_in peer = address_of(s, 0);
        if (s->application == a && !scenario->connections[i].simultaneous &&
            peer.sin_port == from->sin_port && peer.sin_addr.s_addr == from->sin_addr.s_addr)
            return s->opened ? NULL : s;
    }
    return NULL;
}

static void accept_one(struct application *a)
{
    struct sockaddr_in from;
    socklen_t length = sizeof(from);
    int fd =
        strait_accept4(a->stack, a->listener, (struct sockaddr *)&from, &length, SOCK_NONBLOCK);
    if (fd < 0) {
        CHECK(errno == EAGAIN);
        return;
    }
    struct stream *s = expected(a, &from);
    if (!s) {
        check_stranger(a->streams->check, now(a), a->host, ntohs(from.sin_port));
        strait_close(a->stack, fd);
        return;
    }
    s->fd = fd;
    set_options(s);
    if (take_opening(s) && !end_if_due(s))
        watch(s);
}

static void watch_listener(struct application *a);

static void listener_ready(void *argument, int fd, short revents)
{
    struct application *a = argument;
    uint32_t pause_ms = a->streams->scenario->hosts[a->host].accept_ms;

    (void)fd, (void)revents;
    accept_one(a);
    if (pause_ms == 0)
        return;
    a->env->timer_start(a->env, &a->accept_timer, now(a) + pause_ms * NS_PER_MS);
    CHECK(strait_watch(a->stack, a->listener, 0, NULL, NULL) == 0);
}

static void watch_listener(struct application *a)
{
    CHECK(strait_watch(a->stack, a->listener, POLLIN, listener_ready, a) == 0);
}

static void accept_timer_expired(void *owner, struct strait_timer *timer)
{
    (void)owner;
    watch_listener(container_of(timer, struct application, accept_timer));
}

static void listen_on(struct application *a)
{
    uint32_t backlog = a->streams->scenario->hosts[a->host].backlog;
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(CHECK_LISTEN_PORT)};
    int on = 1; /* connections of a listener that has closed may be left */

    a->listener = strait_socket(a->stack, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK(a->listener >= 0);
    CHECK(strait_setsockopt(a->stack, a->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0);
    CHECK(strait_bind(a->stack, a->listener, (struct sockaddr *)&any, sizeof(any)) == 0);
    CHECK(strait_listen(a->stack, a->listener, backlog ? (int)backlog : BACKLOG_DEFAULT) == 0);
    watch_listener(a);
}

static void listen_off(struct application *a)
{
    check_unlistened(a->streams->check, now(a), a->host);
    a->env->timer_stop(a->env, &a->accept_timer);
    CHECK(strait_close(a->stack, a->listener) == 0);
    a->listener = -1;
}

void streams_listen(struct streams *streams, uint32_t host, bool on)
{
    struct application *a = &streams->applications[host];

    if (!a->stack || streams->stopped || on == (a->listener >= 0))
        return;
    if (on)
        listen_on(a);
    else
        listen_off(a);
}

/* ---- The life of a host ---------------------------------------------------------------------- */

/* Whether this side opens: the first, or both. */
static bool is_opener(const struct stream *s)
{
    return s->side == 0 || connection_of(s)->simultaneous;
}

static void app_start(void *app, struct strait *stack, struct strait_env *env)
{
    static const uint64_t beginning_ns = 1000 * NS_PER_MS; /* of the world's time */
    struct application *a = app;
    struct streams *streams = a->streams;

    a->stack = stack;
    a->env = env;
    a->accept_timer = (struct strait_timer){.expired = accept_timer_expired};
    check_host_up(streams->check, now(a), a->host, stack);
    listen_on(a);
    datagrams_start(streams->datagrams, a->host, stack, env);
    for (uint32_t i = 0; i < streams->scenario->connection_count; i++) {
        for (uint32_t side = 0; side < 2; side++) {
            struct stream *s = &streams->sides[i][side];
            if (s->application != a || check_is_over(streams->check, i, side))
                continue;
            s->open_timer = (struct strait_timer){.expired = open_timer_expired};
            s->read_timer = (struct strait_timer){.expired = read_timer_expired};
            s->write_timer = (struct strait_timer){.expired = write_timer_expired};
            if (is_opener(s))
                env->timer_start(env, &s->open_timer,
                                 beginning_ns + connection_of(s)->at_ms * NS_PER_MS);
        }
    }
}

static void app_crash(void *app)
{
    struct application *a = app;

    a->stack = NULL;
    a->env = NULL;
    a->listener = -1;
    datagrams_crash(a->streams->datagrams, a->host);
    for (uint32_t i = 0; i < SCENARIO_CONNECTIONS; i++)
        for (int side = 0; side < 2; side++)
            if (a->streams->sides[i][side].application == a)
                a->streams->sides[i][side].fd = -1;
}

struct world_app streams_app(struct streams *streams, uint32_t host)
{
    return (struct world_app){
        .start = app_start, .crash = app_crash, .app = &streams->applications[host]};
}

struct streams *streams_new(const struct scenario *scenario, struct check *check)
{
    struct streams *streams = calloc(1, sizeof(*streams));

    CHECK(streams != NULL);
    streams->scenario = scenario;
    streams->check = check;
    streams->datagrams = datagrams_new(scenario, check);
    for (uint32_t i = 0; i < SCENARIO_HOSTS; i++)
        streams->applications[i] =
            (struct application){.streams = streams, .host = i, .listener = -1};
    for (uint32_t i = 0; i < scenario->connection_count; i++) {
        const struct scenario_connection *c = &scenario->connections[i];
        for (uint32_t side = 0; side < 2; side++)
            streams->sides[i][side] = (struct stream){
                .application = &streams->applications[scenario_host_of(c, side)],
                .connection = i,
                .side = side,
                .plan = &c->side[side],
                .peer_bytes = c->side[1 - side].bytes,
                .fd = -1,
            };
    }
    return streams;
}

void streams_free(struct streams *streams)
{
    datagrams_free(streams->datagrams);
    free(streams);
}

bool streams_are_over(const struct streams *streams)
{
    for (uint32_t i = 0; i < streams->scenario->connection_count; i++)
        for (uint32_t side = 0; side < 2; side++)
            if (!check_is_settled(streams->check, i, side))
                return false;
    return true;
}

void streams_stop(struct streams *streams)
{
    streams->stopped = true;
    for (uint32_t i = 0; i < streams->scenario->connection_count; i++)
        for (int side = 0; side < 2; side++)
            if (streams->sides[i][side].fd >= 0)
                reset(&streams->sides[i][side]);
    for (uint32_t i = 0; i < scenario_host_count(streams->scenario); i++)
        if (streams->applications[i].listener >= 0)
            listen_off(&streams->applications[i]);
    for (uint32_t i = 0; i < scenario_host_count(streams->scenario); i++)
        datagrams_stop(streams->datagrams, i);
}
