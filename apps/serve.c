/* SPDX-License-Identifier: MIT */
#include "serve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "echo/echo.h"
#include "http/http.h"
#include "offer.h"
#include "rpc/classic.h"
#include "rpc/grpc.h"
#include "shards.h"
#include "station.h"

#define STOP_NS (2 * UINT64_C(1000000000)) /* for connections to end in order */

enum { SERVERS = 4 };

/* What its own options say. */
struct settings {
    const char *root;       /* the directory that HTTP serves; NULL: a built-in page */
    const char *access_log; /* a file that lines are added to; "-": stdout; NULL: none */
    long queues;
};

/* What one shard of the host serves. */
struct services {
    struct serve *serve;
    struct station *station;
    struct server *servers[SERVERS];
    struct echo_udp *echo_udp;
    struct offer offer;
    bool log_failed; /* the access log cannot be written any more */
};

struct serve {
    struct shards shards;
    const struct settings *settings;
    struct services services[STRAIT_SHARDS_MAX];
    int access_log; /* -1: none */
};

/* ---- The command line ---- */

enum { OPT_ROOT = OPTION_WITHOUT_LETTER, OPT_ACCESS_LOG, OPT_QUEUES };

static int take_option(void *settings, int option, const char *value, const struct report *report)
{
    struct settings *s = settings;
    if (option == OPT_ROOT)
        s->root = value;
    else if (option == OPT_ACCESS_LOG)
        s->access_log = value;
    else if (!options_number(value, STRAIT_SHARDS_MAX, &s->queues) || s->queues < 1)
        return options_fail(report, "--queues %s: must be a number from 1 to %d", value,
                            STRAIT_SHARDS_MAX);
    return 0;
}

/* One path and one file would have to be shared by threads that share nothing. */
static int check_options(void *settings, const struct options *o, const struct report *report)
{
    const struct settings *s = settings;
    if (s->queues == 1)
        return 0;
    if (o->impaired)
        return options_fail(report, "--impair is a single path: leave --queues out");
    if (o->capture)
        return options_fail(report,
                            "--capture sees a single queue: leave --queues out, or let "
                            "tcpdump -i %s capture",
                            o->tun);
    if (o->trace)
        return options_fail(report, "--trace follows a single queue: leave --queues out");
    if (o->control && strcmp(o->control, "none") != 0)
        return options_fail(report, "--control tells of a single queue: leave --queues out");
    if (o->config.port_last - o->config.port_first + 1 < s->queues)
        return options_fail(report, "--queues %ld: each needs a port of ip.local_ports at least",
                            s->queues);
    return 0;
}

static const struct command command = {
    .name = "serve",
    .help =
        "Usage: strait serve --addr ADDRESS/BITS [OPTION...]\n"
        "\n"
        "Is a host on a TUN device, until SIGINT or SIGTERM. Services: echo (TCP and UDP port 7),\n"
        "discard (9), chargen (19), HTTP (80), remote procedures (7000; by gRPC 7001, in JSON\n"
        "below /rpc/ of HTTP). On the way out it prints its counters.\n"
        "\n"
        "  --root DIR         the directory that HTTP serves (default: one built-in page)\n"
        "  --access-log FILE  a line for each HTTP request, in the \"combined\" format; - is "
        "stdout\n"
        "  --queues N         serves N queues of the device, each by a thread on a processor of "
        "its\n"
        "                     own (default: 1); the limits of --set hold for each\n",
    .controlled = true,
    .letters = "",
    .options = {{"root", required_argument, NULL, OPT_ROOT},
                {"access-log", required_argument, NULL, OPT_ACCESS_LOG},
                {"queues", required_argument, NULL, OPT_QUEUES}},
    .take = take_option,
    .check = check_options,
};

/* ---- Start ---- */

/* Whether --root is a directory that `user` can read. */
static int check_root(struct serve *s, const char *user)
{
    struct strait_env *env = s->shards.shard[0].station.env;
    const char *root = s->settings->root;
    if (!root)
        return 0;
    int directory = env->file_open(env, root, O_RDONLY | O_DIRECTORY);
    if (directory >= 0) {
        env->file_close(env, directory);
        return 0;
    }
    if (errno == EACCES)
        return complain("--root %s: %s cannot read it; choose another directory or give the right",
                        root, user);
    return complain("--root %s: %s; name a directory that exists", root, strerror(errno));
}

/* Opened as root, like the capture. Each line is there at once, for `tail -f`. */
static int open_access_log(struct serve *s)
{
    const char *name = s->settings->access_log;
    if (!name)
        return 0;
    s->access_log = strcmp(name, "-") == 0
                        ? STDOUT_FILENO
                        : open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (s->access_log < 0)
        return complain("--access-log %s: %s; name a file that can be written", name,
                        strerror(errno));
    return 0;
}

/* A line is one call, which appends as a whole: all shards write to the same file. */
static void write_access_log(void *context, const char *line, size_t length)
{
    struct services *s = context;
    while (length > 0 && !s->log_failed) {
        ssize_t n = write(s->serve->access_log, line, length);
        if (n < 0 && errno != EINTR) {
            say("the access log ends here: %s", strerror(errno));
            s->log_failed = true;
        } else if (n > 0) {
            line += n;
            length -= (size_t)n;
        }
    }
}

static struct server *start_http(struct services *s)
{
    const struct http_config config = {
        .port = 80,
        .root = s->serve->settings->root,
        .gates = {connect_gate(s->offer.connect)},
        .log = s->serve->access_log >= 0 ? write_access_log : NULL,
        .log_context = s,
    };
    return http_start(s->station->stack, s->station->env, &config);
}

static int start_offer(struct services *s)
{
    const struct stream_host host = stream_host_strait(s->station->stack, s->station->env);
    if (offer_classic(&s->offer, &host, CLASSIC_PORT) < 0)
        return complain("cannot serve procedures on TCP port %d: %s", CLASSIC_PORT,
                        strerror(errno));
    if (offer_grpc(&s->offer, &host, GRPC_PORT) < 0)
        return complain("cannot serve gRPC on TCP port %d: %s", GRPC_PORT, strerror(errno));
    return 0;
}

static int start_services(struct services *s)
{
    struct strait *stack = s->station->stack;
    struct strait_env *env = s->station->env;

    if (offer_init(&s->offer, env) < 0)
        return complain("cannot serve procedures: %s", strerror(errno));
    if (!(s->servers[0] = echo_start(stack, env, 7)))
        return complain("cannot serve echo on TCP port 7: %s", strerror(errno));
    if (!(s->servers[1] = discard_start(stack, env, 9)))
        return complain("cannot serve discard on TCP port 9: %s", strerror(errno));
    if (!(s->servers[2] = chargen_start(stack, env, 19)))
        return complain("cannot serve chargen on TCP port 19: %s", strerror(errno));
    if (!(s->servers[3] = start_http(s)))
        return complain("cannot serve HTTP on TCP port 80: %s", strerror(errno));
    if (start_offer(s) < 0)
        return -1;
    if (!(s->echo_udp = echo_udp_start(stack, 7)))
        return complain("cannot serve echo on UDP port 7: %s", strerror(errno));
    return 0;
}

static int start_all_services(struct serve *s)
{
    for (uint32_t i = 0; i < s->shards.count; i++) {
        s->services[i].serve = s;
        s->services[i].station = &s->shards.shard[i].station;
        if (start_services(&s->services[i]) < 0)
            return -1;
    }
    return 0;
}

/* Ends them at once: connections that are left are reset. */
static void free_services(struct services *s)
{
    for (size_t i = 0; i < SERVERS; i++) {
        server_free(s->servers[i]);
        s->servers[i] = NULL;
    }
    offer_close(&s->offer);
    echo_udp_stop(s->echo_udp);
    s->echo_udp = NULL;
}

static int start(struct serve *s, const struct options *options)
{
    const char *user = s->shards.shard[0].station.user;
    /* Looked at twice: a wrong name should not leave a device behind. */
    if (shards_init(&s->shards, options) < 0 || check_root(s, "this user") < 0 ||
        open_access_log(s) < 0 || shards_open(&s->shards, (uint32_t)s->settings->queues) < 0)
        return -1;
    say("running as %s", user);
    if (s->shards.count > 1)
        say("%u queues, and no control socket, which tells of a single one", s->shards.count);
    if (check_root(s, user) < 0 || start_all_services(s) < 0)
        return -1;
    return station_confine(&s->shards.shard[0].station, s->settings->root, NULL);
}

/* ---- Run and stop ---- */

static void say_ready(const struct station *s)
{
    char address[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &s->options->addr, address, sizeof(address));
    printf("strait: ready on %s, %s\n", s->link->name, address);
    fflush(stdout);
}

/* Ends the services in order, as far as the peers and a second signal let it. */
static int stop(struct services *s)
{
    struct strait_env *env = s->station->env;
    for (size_t i = 0; i < SERVERS; i++)
        server_stop(s->servers[i]);
    offer_stop(&s->offer);
    if (station_finish(s->station, env->now(env) + STOP_NS) < 0)
        return -1;
    free_services(s);
    return station_turn(s->station, 0); /* lets the last segments leave */
}

/* What each shard does on its thread. */
static int run(void *context, uint32_t number)
{
    struct serve *s = context;
    if (station_run(&s->shards.shard[number].station) < 0)
        return -1;
    return stop(&s->services[number]);
}

static void print_counter(void *context, const char *name, uint64_t value)
{
    (void)context;
    if (value > 0)
        printf("%s %" PRIu64 "\n", name, value);
}

static void print_counters(const struct serve *s)
{
    struct rpc_counters sum = {0};
    for (uint32_t i = 0; i < s->shards.count; i++) {
        const struct rpc_counters *c = rpc_counters(s->services[i].offer.rpc);
#define ADD(name) sum.name += c->name;
        RPC_COUNTERS(ADD)
#undef ADD
    }
#define PRINT(name) print_counter(NULL, "rpc_" #name, sum.name);
    RPC_COUNTERS(PRINT)
#undef PRINT
    shards_counters(&s->shards, print_counter, NULL);
}

int serve_main(int argc, char *argv[])
{
    struct options options;
    struct settings settings = {.queues = 1};
    struct serve s = {.settings = &settings, .access_log = -1};
    int status;
    if (!options_begin(&command, argc, argv, &options, &settings, &status))
        return status;
    int result = start(&s, &options);
    if (result == 0) {
        say_ready(&s.shards.shard[0].station);
        result = shards_run(&s.shards, run, &s);
    }
    if (result == 0)
        print_counters(&s);
    fflush(stdout);
    for (uint32_t i = 0; i < s.shards.count; i++) {
        free_services(&s.services[i]);
        offer_free(&s.services[i].offer);
    }
    if (s.access_log > STDOUT_FILENO)
        close(s.access_log);
    shards_free(&s.shards);
    return result == 0 ? 0 : 1;
}
