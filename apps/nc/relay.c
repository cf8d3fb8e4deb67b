/* SPDX-License-Identifier: MIT */
#include "nc/relay.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "outlet.h"

#define FLOW_BYTES        65536
#define DATAGRAM_BYTES    1472 /* what an Ethernet carries in one packet */
#define DATAGRAMS_AT_ONCE 16   /* then others have their turn: UDP never says that it is full */

/* One way: what has been read and not written yet. */
struct flow {
    size_t from, to;
    bool ended; /* nothing more can be read */
    bool full;  /* what it is written to takes nothing now */
    uint8_t bytes[FLOW_BYTES];
};

struct relay {
    struct relay_config config;
    struct outlet outlet;
    struct strait_timer idle, turn; /* the second: up_pump goes on in the next turn */
    bool finished;                  /* the stream has been told of the end of the input */
    bool ended;
    int error;            /* of the socket, to be told once all that came before it is written */
    struct flow up, down; /* from the input to the socket, from the socket to the output */
};

static void end(struct relay *r, enum relay_end how, int number);

static bool is_empty(const struct flow *flow)
{
    return flow->from == flow->to;
}

static bool not_now(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* ---- What is watched ------------------------------------------------------------------------- */

static void socket_ready(void *argument, int fd, short revents);
static void input_ready(void *argument, int fd, short revents);

/*
 * While the output is full the socket is not watched for errors either: they would be reported
 * again and again, before what has arrived ahead of them is written.
 */
static void watch_socket(struct relay *r)
{
    int events = 0;
    if (!r->down.ended && !r->down.full)
        events |= POLLIN;
    if (r->up.full)
        events |= POLLOUT;
    bool nothing = events == 0 && r->down.full;
    strait_watch(r->config.stack, r->config.fd, (short)events, nothing ? NULL : socket_ready, r);
}

/* Looks whether the input has something, or its end; if not, it will be told. */
static bool input_is_ready(struct relay *r)
{
    struct strait_env *env = r->config.env;
    struct pollfd p = {.fd = r->config.input, .events = POLLIN};
    if (poll(&p, 1, 0) != 0)
        return true;
    if (env->watch(env, r->config.input, POLLIN, input_ready, r) < 0)
        end(r, RELAY_INPUT_ERROR, errno);
    return false;
}

static void active(struct relay *r)
{
    struct strait_env *env = r->config.env;
    if (r->config.idle_ns > 0 && !r->ended)
        env->timer_start(env, &r->idle, env->now(env) + r->config.idle_ns);
}

/* ---- The two ways ---------------------------------------------------------------------------- */

/* Ends when nothing is left to be carried. */
static void check_end(struct relay *r)
{
    bool up = r->up.ended && is_empty(&r->up);
    bool down = r->down.ended && is_empty(&r->down);
    if (down && (up || (r->config.ends_with_peer && is_empty(&r->up))))
        end(r, r->error ? RELAY_SOCKET_ERROR : RELAY_DONE, r->error);
}

/* Nothing more can be sent. What has arrived before is still to be written. */
static void fail_up(struct relay *r, int number)
{
    if (r->config.datagrams) {
        end(r, RELAY_SOCKET_ERROR, number);
        return;
    }
    r->config.env->watch(r->config.env, r->config.input, 0, NULL, NULL);
    r->up.ended = r->finished = true;
    r->up.full = false;
    r->up.from = r->up.to = 0;
    r->error = number;
}

/* The input has ended and all of it has been sent. */
static void finish_up(struct relay *r)
{
    if (!r->config.datagrams && !r->finished &&
        strait_shutdown(r->config.stack, r->config.fd, SHUT_WR) < 0)
        fail_up(r, errno);
    r->finished = true;
    check_end(r);
}

/* Reads more of the input. Returns whether there is something to send. */
static bool fill_up(struct relay *r)
{
    struct flow *up = &r->up;
    if (up->ended || !input_is_ready(r))
        return false;
    size_t room = r->config.datagrams ? DATAGRAM_BYTES : sizeof(up->bytes);
    ssize_t n = read(r->config.input, up->bytes, room);
    if (n < 0) {
        if (!not_now())
            end(r, RELAY_INPUT_ERROR, errno);
        return false;
    }
    up->ended = n == 0;
    up->from = 0;
    up->to = (size_t)n;
    return n > 0;
}

/* Returns whether the socket has taken something. */
static bool empty_up(struct relay *r)
{
    struct flow *up = &r->up;
    ssize_t n = strait_send(r->config.stack, r->config.fd, up->bytes + up->from, up->to - up->from,
                            MSG_NOSIGNAL);
    up->full = n < 0 && not_now();
    if (n < 0) {
        if (!up->full)
            fail_up(r, errno);
        return false;
    }
    up->from += (size_t)n;
    active(r);
    return true;
}

static void pump_up(struct relay *r)
{
    struct strait_env *env = r->config.env;
    for (int turns = 0; !r->ended; turns++) {
        if (r->config.datagrams && turns == DATAGRAMS_AT_ONCE) {
            env->timer_start(env, &r->turn, env->now(env));
            return;
        }
        if (is_empty(&r->up) && !fill_up(r))
            break;
        if (!empty_up(r))
            break;
    }
    if (r->ended)
        return;
    if (r->up.ended && is_empty(&r->up))
        finish_up(r);
    if (!r->ended)
        watch_socket(r);
}

/* Takes more from the socket. Returns whether there is something to write. */
static bool fill_down(struct relay *r)
{
    struct flow *down = &r->down;
    ssize_t n = strait_recv(r->config.stack, r->config.fd, down->bytes, sizeof(down->bytes), 0);
    if (n < 0) {
        if (!not_now())
            end(r, RELAY_SOCKET_ERROR, r->error ? r->error : errno);
        return false;
    }
    active(r);
    down->ended = n == 0 && !r->config.datagrams;
    down->from = 0;
    down->to = (size_t)n;
    return !down->ended;
}

static void empty_down(struct relay *r)
{
    struct flow *down = &r->down;
    ssize_t n = outlet_write(&r->outlet, down->bytes + down->from, down->to - down->from);
    if (n < 0) {
        end(r, RELAY_OUTPUT_ERROR, errno);
        return;
    }
    down->from += (size_t)n;
    down->full = !is_empty(down);
}

static void pump_down(struct relay *r)
{
    while (!r->ended && !r->down.ended) {
        if (is_empty(&r->down) && !fill_down(r))
            break;
        empty_down(r);
        if (r->down.full)
            break;
    }
    if (!r->ended)
        check_end(r);
    if (!r->ended)
        watch_socket(r);
}

/* ---- Events ---------------------------------------------------------------------------------- */

/* The connection has failed after the peer has finished: only SO_ERROR knows of it. */
static void take_failure(struct relay *r)
{
    int number = 0;
    socklen_t length = sizeof(number);
    strait_getsockopt(r->config.stack, r->config.fd, SOL_SOCKET, SO_ERROR, &number, &length);
    fail_up(r, number);
    check_end(r);
    if (!r->ended)
        watch_socket(r);
}

static void socket_ready(void *argument, int fd, short revents)
{
    struct relay *r = argument;
    (void)fd;
    if (r->down.ended && revents & (POLLERR | POLLHUP)) {
        take_failure(r);
        return;
    }
    if (revents & (POLLIN | POLLERR | POLLHUP) && !r->down.full)
        pump_down(r);
    if (revents & (POLLOUT | POLLERR | POLLHUP) && r->up.full && !r->ended)
        pump_up(r);
}

static void input_ready(void *argument, int fd, short revents)
{
    struct relay *r = argument;
    (void)revents;
    r->config.env->watch(r->config.env, fd, 0, NULL, NULL); /* pump_up asks again if it must */
    pump_up(r);
}

static void output_ready(void *argument)
{
    struct relay *r = argument;
    empty_down(r);
    if (!r->ended && !r->down.full)
        pump_down(r);
}

static struct relay *relay_of(struct strait_timer *timer, size_t offset)
{
    return (struct relay *)(void *)((char *)timer - offset);
}

static void idle_expired(void *owner, struct strait_timer *timer)
{
    (void)owner;
    end(relay_of(timer, offsetof(struct relay, idle)), RELAY_IDLE, 0);
}

static void turn_expired(void *owner, struct strait_timer *timer)
{
    (void)owner;
    pump_up(relay_of(timer, offsetof(struct relay, turn)));
}

/* ---- Begin and end --------------------------------------------------------------------------- */

/* Lets go of everything. */
static void stop(struct relay *r)
{
    struct strait_env *env = r->config.env;
    if (r->ended)
        return;
    r->ended = true;
    env->timer_stop(env, &r->idle);
    env->timer_stop(env, &r->turn);
    env->watch(env, r->config.input, 0, NULL, NULL);
    outlet_stop(&r->outlet);
    strait_watch(r->config.stack, r->config.fd, 0, NULL, NULL);
}

static void end(struct relay *r, enum relay_end how, int number)
{
    if (r->ended)
        return;
    stop(r);
    r->config.ended(r->config.context, how, number);
}

struct relay *relay_start(const struct relay_config *config)
{
    struct relay *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->config = *config;
    r->idle.expired = idle_expired;
    r->turn.expired = turn_expired;
    outlet_init(&r->outlet, config->env, config->output, output_ready, r);
    active(r);
    watch_socket(r);
    config->env->timer_start(config->env, &r->turn, config->env->now(config->env));
    return r;
}

void relay_free(struct relay *r)
{
    if (!r)
        return;
    stop(r);
    free(r);
}
