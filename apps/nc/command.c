/* SPDX-License-Identifier: MIT */
#include "nc/command.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "nc/relay.h"
#include "station.h"

#define SECOND_NS  UINT64_C(1000000000)
#define WAIT_MAX_S 1000000

/* For the last acknowledgements: when both sides have finished, and when only this one has. */
#define FINISH_NS (60 * SECOND_NS)
#define LEAVE_NS  (2 * SECOND_NS)

struct settings {
    bool listen;
    bool datagrams;
    uint64_t wait_ns;        /* 0: for ever */
    const char *name;        /* of the peer */
    struct sockaddr_in peer; /* with -l its address is 0.0.0.0, and the port is the own one */
};

struct nc {
    struct station station;
    const struct settings *settings;
    int fd;     /* the connected socket, or -1 */
    int result; /* 0, or -1 after a line */
    bool idle;  /* it has ended because nothing came */
    bool ended;
};

/* ---- The command line ---- */

static int take_option(void *settings, int option, const char *value, const struct report *report)
{
    struct settings *s = settings;
    switch (option) {
    case 'l':
        s->listen = true;
        return 0;
    case 'u':
        s->datagrams = true;
        return 0;
    default: /* 'w' */
        if (!options_seconds(value, WAIT_MAX_S, &s->wait_ns) || s->wait_ns == 0)
            return options_fail(report, "-w %s: must be a number of seconds above 0, up to %d",
                                value, WAIT_MAX_S);
        return 0;
    }
}

static int check_options(void *settings, const struct options *options, const struct report *report)
{
    struct settings *s = settings;
    long port;
    if (s->listen && options->operand_count != 1)
        return options_fail(report, "-l needs a port, and no more; say for example nc -l 7");
    if (!s->listen && options->operand_count != 2)
        return options_fail(report, "it needs a host and a port; say for example nc 10.7.0.1 7");
    const char *text = options->operands[options->operand_count - 1];
    if (!options_number(text, UINT16_MAX, &port) || port < 1)
        return options_fail(report, "%s: a port is a number from 1 to 65535", text);
    s->name = options->operands[0];
    s->peer.sin_family = AF_INET;
    s->peer.sin_port = htons((uint16_t)port);
    return 0;
}

static const struct command command = {
    .name = "nc",
    .help =
        "Usage: strait nc HOST PORT --addr ADDRESS/BITS [OPTION...]\n"
        "       strait nc -l PORT --addr ADDRESS/BITS [OPTION...]\n"
        "\n"
        "Sends what it reads from stdin, and writes to stdout what comes back. The end of stdin\n"
        "is passed on as a half-close, and ends it once the peer has finished too; with -l it\n"
        "ends with its one peer. Exit status: 0 when all is carried, 1 for trouble.\n"
        "\n"
        "  -l                 waits for a connection to the port\n"
        "  -u                 UDP; with -l the first datagram says who the peer is\n"
        "  -w SECONDS         gives up connecting, and ends when nothing comes or goes so long\n",
    .letters = "luw:",
    .operands_max = 2,
    .take = take_option,
    .check = check_options,
};

/* ---- Coming together ---- */

/* The time at which to give up. */
static uint64_t deadline_ns(const struct nc *n)
{
    struct strait_env *env = n->station.env;
    return n->settings->wait_ns > 0 ? env->now(env) + n->settings->wait_ns : STRAIT_NEVER;
}

/* Waits for the socket. Returns 0, or -1 after a line. */
static int await(struct nc *n, int fd, short events)
{
    int result = station_await(&n->station, fd, events, deadline_ns(n));
    if (result > 0)
        return 0;
    if (result == 0)
        say("%s", n->station.signals > 0 ? "interrupted" : strerror(ETIMEDOUT));
    return -1;
}

static int connect_failed(const struct nc *n, int number)
{
    return complain("%s port %u: %s", n->settings->name, ntohs(n->settings->peer.sin_port),
                    strerror(number));
}

static int connect_to_peer(struct nc *n)
{
    struct strait *stack = n->station.stack;
    const struct settings *s = n->settings;
    int number = 0;
    socklen_t length = sizeof(number);
    if (strait_connect(stack, n->fd, (const struct sockaddr *)&s->peer, sizeof(s->peer)) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return connect_failed(n, errno);
    if (await(n, n->fd, POLLOUT) < 0)
        return -1;
    strait_getsockopt(stack, n->fd, SOL_SOCKET, SO_ERROR, &number, &length);
    return number ? connect_failed(n, number) : 0;
}

/* Takes one connection: the listener makes room for it. */
static int accept_peer(struct nc *n)
{
    struct strait *stack = n->station.stack;
    int listener = n->fd;
    if (strait_listen(stack, listener, 1) < 0)
        return complain("cannot listen: %s", strerror(errno));
    do {
        if (await(n, listener, POLLIN) < 0)
            return -1;
        n->fd = strait_accept4(stack, listener, NULL, NULL, SOCK_NONBLOCK);
    } while (n->fd < 0 && errno == EAGAIN); /* it has gone again */
    int error = errno;
    strait_close(stack, listener);
    return n->fd < 0 ? complain("cannot accept: %s", strerror(error)) : 0;
}

/* The first datagram stays in its queue. */
static int learn_peer(struct nc *n)
{
    struct strait *stack = n->station.stack;
    struct sockaddr_in peer;
    socklen_t length = sizeof(peer);
    if (await(n, n->fd, POLLIN) < 0)
        return -1;
    if (strait_recvfrom(stack, n->fd, NULL, 0, MSG_PEEK, (struct sockaddr *)&peer, &length) < 0 ||
        strait_connect(stack, n->fd, (struct sockaddr *)&peer, sizeof(peer)) < 0)
        return complain("cannot answer: %s", strerror(errno));
    return 0;
}

static int meet_peer(struct nc *n)
{
    const struct settings *s = n->settings;
    struct strait *stack = n->station.stack;
    n->fd =
        strait_socket(stack, AF_INET, (s->datagrams ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK, 0);
    if (n->fd < 0)
        return complain("cannot make a socket: %s", strerror(errno));
    if (!s->listen)
        return connect_to_peer(n);
    if (strait_bind(stack, n->fd, (const struct sockaddr *)&s->peer, sizeof(s->peer)) < 0)
        return complain("port %u: %s", ntohs(s->peer.sin_port), strerror(errno));
    return s->datagrams ? learn_peer(n) : accept_peer(n);
}

/* ---- Carrying ---- */

static void ended(void *context, enum relay_end how, int number)
{
    static const char *const places[] = {
        [RELAY_SOCKET_ERROR] = "connection",
        [RELAY_INPUT_ERROR] = "stdin",
        [RELAY_OUTPUT_ERROR] = "stdout",
    };
    struct nc *n = context;
    n->ended = true;
    n->idle = how == RELAY_IDLE;
    if (how != RELAY_DONE && how != RELAY_IDLE)
        n->result = complain("%s: %s", places[how], strerror(number));
    strait_loop_stop(n->station.loop);
}

static int carry(struct nc *n)
{
    struct relay_config config = {
        .stack = n->station.stack,
        .env = n->station.env,
        .fd = n->fd,
        .input = STDIN_FILENO,
        .output = STDOUT_FILENO,
        .datagrams = n->settings->datagrams,
        .ends_with_peer = n->settings->listen,
        .idle_ns = n->settings->wait_ns,
        .ended = ended,
        .context = n,
    };
    struct relay *relay = relay_start(&config);
    if (!relay)
        return complain("%s", strerror(errno));
    if (station_run(&n->station) < 0)
        n->result = -1;
    else if (!n->ended)
        n->result = complain("interrupted");
    relay_free(relay);
    return n->result;
}

/* Closes in order. */
static int leave(struct nc *n)
{
    struct strait_env *env = n->station.env;
    bool done = n->result == 0 && !n->idle;
    strait_close(n->station.stack, n->fd);
    n->fd = -1;
    return station_finish(&n->station, env->now(env) + (done ? FINISH_NS : LEAVE_NS));
}

static int run(struct nc *n, const struct options *options)
{
    if (station_init(&n->station, options) < 0 || station_open(&n->station) < 0 ||
        station_confine(&n->station, NULL, NULL) < 0 || meet_peer(n) < 0)
        return -1;
    int result = carry(n);
    return leave(n) < 0 ? -1 : result;
}

int nc_main(int argc, char *argv[])
{
    struct settings settings = {0};
    struct nc n = {.settings = &settings, .fd = -1};
    struct options options;
    int status;
    if (!options_begin(&command, argc, argv, &options, &settings, &status))
        return status;
    if (!settings.listen && station_find(settings.name, &settings.peer.sin_addr) < 0)
        return 1;
    signal(SIGPIPE, SIG_IGN); /* the end of stdout's reader is an error of write */
    int result = run(&n, &options);
    station_free(&n.station);
    return result == 0 ? 0 : 1;
}
