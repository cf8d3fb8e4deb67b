/* SPDX-License-Identifier: MIT */
/*
 * Without --addr these commands use the sockets of the machine's kernel, which needs no privilege;
 * with it they are a host on a TUN device, as the other commands are.
 */
#include "rpc/command.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "offer.h"
#include "primes/stubs.h"
#include "privilege.h"
#include "rpc/bench.h"
#include "rpc/classic.h"
#include "rpc/grpc.h"
#include "rpc/message_command.h"
#include "station.h"

#define ERROR_BYTES 512
#define WORD        4 /* bytes; the arguments and results of these procedures are words */
#define WORDS_MAX   (RPC_BYTES_MAX / WORD)
#define WAIT_MAX_S  3600

struct settings {
    long port, grpc_port; /* to serve on */
    long calls, at_once;
    uint64_t wait_ns; /* 0: the default */
    const char *target;
    struct sockaddr_in server;
    bool grpc;   /* else the classic wire */
    bool follow; /* how the health changes */
    const struct rpc_procedure *procedure;
    uint8_t arguments[RPC_BYTES_MAX];
    struct message_call message; /* by gRPC */
};

/* ---- Command lines ---- */

static int take_port(long *port, int option, const char *value, const struct report *report)
{
    if (options_number(value, UINT16_MAX, port) && *port >= 1)
        return 0;
    return options_fail(report, "-%c %s: a port is a number from 1 to 65535", option, value);
}

static int take_option(void *settings, int option, const char *value, const struct report *report)
{
    struct settings *s = settings;
    switch (option) {
    case 'p':
        return take_port(&s->port, option, value, report);
    case 'g':
        return take_port(&s->grpc_port, option, value, report);
    case 'n':
        if (!options_number(value, RPC_BENCH_CALLS_MAX, &s->calls) || s->calls < 1)
            return options_fail(report, "-n %s: must be a number from 1 to %d", value,
                                RPC_BENCH_CALLS_MAX);
        return 0;
    case 'c':
        if (!options_number(value, RPC_CALLS_MAX, &s->at_once) || s->at_once < 1)
            return options_fail(report, "-c %s: must be a number from 1 to %d", value,
                                RPC_CALLS_MAX);
        return 0;
    case 'f':
        s->follow = true;
        return 0;
    default: /* 'w' */
        if (!options_seconds(value, WAIT_MAX_S, &s->wait_ns) || s->wait_ns == 0)
            return options_fail(report, "-w %s: must be a number of seconds above 0, up to %d",
                                value, WAIT_MAX_S);
        return 0;
    }
}

static int read_arguments(struct settings *s, char **words, int count, const struct report *report)
{
    const struct rpc_procedure *p = s->procedure;
    if ((size_t)count * WORD != p->argument_bytes)
        return options_fail(report, "%s takes %zu argument%s", p->name, p->argument_bytes / WORD,
                            p->argument_bytes == WORD ? "" : "s");
    for (int i = 0; i < count; i++) {
        long word;
        if (!options_number(words[i], UINT32_MAX, &word))
            return options_fail(report, "%s: an argument is a number from 0 to %" PRIu32, words[i],
                                UINT32_MAX);
        rpc_put32(s->arguments + i * WORD, (uint32_t)word);
    }
    return 0;
}

/* "HOST" or "HOST:PORT"; the host's name ends up in the word itself. */
static int read_target(struct settings *s, char *word, const struct report *report)
{
    long port = s->grpc ? GRPC_PORT : CLASSIC_PORT;
    char *colon = strchr(word, ':');
    if (colon && (!options_number(colon + 1, UINT16_MAX, &port) || port < 1))
        return options_fail(report, "%s: a port is a number from 1 to 65535", word);
    if (colon)
        *colon = '\0';
    s->target = word;
    s->server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return 0;
}

/* "package.Service/Method" and its arguments in JSON. */
static int check_message_call(struct settings *s, const struct options *o,
                              const struct report *report)
{
    s->grpc = true;
    if (o->operand_count > 3)
        return options_fail(report, "a method takes one argument, an object in JSON");
    const char *json = o->operand_count == 3 ? o->operands[2] : "{}";
    if (message_call_read(&s->message, o->operands[1], json, report) < 0)
        return -1;
    s->procedure = s->message.method.procedure;
    memcpy(s->arguments, s->message.words, sizeof(s->arguments));
    return read_target(s, o->operands[0], report);
}

static int check_call(void *settings, const struct options *o, const struct report *report)
{
    struct settings *s = settings;
    if (o->operand_count < 2)
        return options_fail(report, "it needs a host and a procedure; say for example "
                                    "10.7.0.2:7000 ith_prime 5");
    if (strchr(o->operands[1], '/'))
        return check_message_call(s, o, report);
    s->procedure = rpc_by_name(primes_procedures, PRIMES_PROCEDURES, o->operands[1]);
    if (!s->procedure)
        return options_fail(report, "there is no procedure \"%s\"; see strait rpc list",
                            o->operands[1]);
    if (read_target(s, o->operands[0], report) < 0)
        return -1;
    return read_arguments(s, o->operands + 2, o->operand_count - 2, report);
}

static int check_bench(void *settings, const struct options *o, const struct report *report)
{
    struct settings *s = settings;
    if (check_call(s, o, report) < 0)
        return -1;
    if (s->procedure->argument_bytes == RPC_ANY_SIZE)
        return options_fail(report, "%s cannot be measured, ith_prime and is_coprime can",
                            o->operands[1]);
    return 0;
}

static int check_list(void *settings, const struct options *o, const struct report *report)
{
    struct settings *s = settings;
    s->grpc = true;
    if (o->operand_count != 1)
        return options_fail(report, "it needs a host");
    return read_target(s, o->operands[0], report);
}

static int check_health(void *settings, const struct options *o, const struct report *report)
{
    struct settings *s = settings;
    char json[300];
    s->grpc = true;
    if (o->operand_count < 1)
        return options_fail(report, "it needs a host");
    int n = snprintf(json, sizeof(json), "{\"service\":\"%s\"}",
                     o->operand_count == 2 ? o->operands[1] : "");
    if ((size_t)n >= sizeof(json))
        return options_fail(report, "%s: a name is not so long", o->operands[1]);
    const char *method = s->follow ? "grpc.health.v1.Health/Watch" : "grpc.health.v1.Health/Check";
    if (message_call_read(&s->message, method, json, report) < 0)
        return -1;
    return read_target(s, o->operands[0], report);
}

/* ---- What the commands share ---- */

static struct rpc_channel *open_channel(const struct settings *s, const struct stream_host *host)
{
    const struct rpc_channel_config config = {
        .host = *host,
        .server = s->server,
        .wire = s->grpc ? &rpc_grpc_wire : &rpc_classic_wire,
        .messages = offer_messages,
    };
    struct rpc_channel *channel = rpc_channel_new(&config);
    if (!channel)
        say("%s", strerror(errno));
    return channel;
}

/* ---- serve ---- */

static const struct command serve_command = {
    .name = "rpc serve",
    .help = "Usage: strait rpc serve [-p PORT] [-g PORT] [OPTION...]\n"
            "\n"
            "Offers the procedures that strait rpc list shows, until SIGINT or SIGTERM: on the\n"
            "machine's own sockets, or with --addr as a host on a TUN device.\n"
            "\n"
            "  -p PORT            the TCP port of the classic wire (default: 7000)\n"
            "  -g PORT            that of gRPC (default: 7001)\n",
    .letters = "p:g:",
    .host_optional = true,
    .controlled = true,
    .take = take_option,
};

/* Nothing but the device is needed from here on; sockets of the kernel are made as long as it runs.
 */
static int give_up_the_rest(struct station *station)
{
    char error[ERROR_BYTES];
    if (station->stack)
        return station_confine(station, NULL, NULL);
    if (privilege_drop(station->user, sizeof(station->user), error, sizeof(error)) < 0)
        return complain("%s", error);
    return 0;
}

static void print_counter(void *context, const char *name, uint64_t value)
{
    (void)context;
    if (value > 0)
        printf("%s %" PRIu64 "\n", name, value);
}

static int start_wires(struct offer *offer, const struct settings *s,
                       const struct stream_host *host)
{
    if (offer_classic(offer, host, (uint16_t)s->port) < 0)
        return complain("cannot serve on TCP port %ld: %s", s->port, strerror(errno));
    if (offer_grpc(offer, host, (uint16_t)s->grpc_port) < 0)
        return complain("cannot serve gRPC on TCP port %ld: %s", s->grpc_port, strerror(errno));
    return 0;
}

static int serve(struct station *station, const struct settings *s, struct offer *offer,
                 const struct stream_host *host)
{
    int result = start_wires(offer, s, host);
    if (result == 0)
        result = give_up_the_rest(station);
    if (result == 0) {
        printf("strait: serving procedures on TCP port %ld, and by gRPC on %ld\n", s->port,
               s->grpc_port);
        fflush(stdout);
        result = station_run(station);
    }
    if (result == 0) {
        offer_stop(offer);
        result = station_leave(station);
    }
    offer_close(offer);
    if (result == 0)
        rpc_visit_counters(offer->rpc, print_counter, NULL);
    return result;
}

static int run_serve(const struct options *options, const struct settings *s)
{
    struct station station;
    struct stream_host host;
    struct offer offer = {0};
    int result = station_open_host(&station, options, &host);
    if (result == 0 && offer_init(&offer, station.env) < 0)
        result = complain("%s", strerror(errno));
    if (result == 0)
        result = serve(&station, s, &offer, &host);
    offer_free(&offer);
    station_free(&station);
    return result;
}

/* ---- call ---- */

static const struct command call_command = {
    .name = "rpc call",
    .help =
        "Usage: strait rpc call HOST[:PORT] PROCEDURE ARGUMENT... [OPTION...]\n"
        "       strait rpc call HOST[:PORT] PACKAGE.SERVICE/METHOD [JSON] [OPTION...]\n"
        "\n"
        "Calls a procedure and prints its result: on the classic wire, or by gRPC with\n"
        "arguments and result in JSON, of a stream a line for each message; over the machine's\n"
        "own sockets, or with --addr as a host on a TUN device. Exit status: 0 with a result, 1\n"
        "without.\n"
        "\n"
        "  -w SECONDS         the deadline (default: 10; of a stream an hour)\n",
    .letters = "w:",
    .host_optional = true,
    .operands_max = 2 + WORDS_MAX,
    .take = take_option,
    .check = check_call,
};

struct single {
    struct station *station;
    const struct rpc_procedure *procedure;
    bool ended;
    int result;
};

static void single_ended(void *context, struct rpc_reply reply, const uint8_t *result,
                         const struct rpc_detail *detail)
{
    struct single *single = context;
    const struct rpc_procedure *p = single->procedure;
    single->ended = true;
    if (!result)
        single->result = message_failed(p->name, reply, detail->text);
    for (size_t i = 0; result && i < p->result_bytes; i += WORD)
        printf("%s%" PRIu32 "%s", i > 0 ? " " : "", rpc_get32(result + i),
               i + WORD == p->result_bytes ? "\n" : "");
    strait_loop_stop(single->station->loop);
}

static uint64_t deadline_of(const struct station *station, const struct settings *s)
{
    return s->wait_ns ? station->env->now(station->env) + s->wait_ns : 0;
}

static int make_call(struct station *station, const struct settings *s, struct rpc_channel *channel)
{
    struct single single = {.station = station, .procedure = s->procedure};
    uint64_t deadline_ns = deadline_of(station, s);
    if (s->grpc)
        return message_call_make(station, channel, &s->message, deadline_ns);
    if (!rpc_message_start(channel, s->procedure, s->arguments, s->procedure->argument_bytes,
                           deadline_ns, single_ended, &single))
        return complain("%s", strerror(errno));
    if (station_run(station) < 0)
        return -1;
    return single.ended ? single.result : complain("interrupted");
}

/* ---- bench ---- */

static const struct command bench_command = {
    .name = "rpc bench",
    .help = "Usage: strait rpc bench HOST[:PORT] PROCEDURE ARGUMENT... [OPTION...]\n"
            "       strait rpc bench HOST[:PORT] PACKAGE.SERVICE/METHOD JSON [OPTION...]\n"
            "\n"
            "Calls a procedure again and again, on the classic wire with a connection for each\n"
            "call, by gRPC on one for all, and prints how many calls a second there were and how\n"
            "long they took.\n"
            "\n"
            "  -n CALLS           in all (default: 10000)\n"
            "  -c CALLS           at once (default: 16)\n",
    .letters = "n:c:",
    .host_optional = true,
    .operands_max = 2 + WORDS_MAX,
    .take = take_option,
    .check = check_bench,
};

static int make_calls(struct station *station, const struct settings *s,
                      struct rpc_channel *channel)
{
    (void)station;
    const struct rpc_bench_config config = {
        .channels = &channel,
        .channel_count = 1,
        .procedure = s->procedure,
        .arguments = s->arguments,
        .calls = (uint32_t)s->calls,
        .at_once = (uint32_t)s->at_once,
    };
    struct rpc_bench_result r;
    if (rpc_bench(&config, &r) < 0)
        return complain("%s", strerror(errno));
    if (r.results < config.calls)
        say("%" PRIu32 " calls had no result; one: %s (%s)", config.calls - r.results,
            rpc_outcome_text(r.failure.outcome), rpc_code_text(r.failure.code));
    printf("%.0f calls/s; half of them took up to %.3f ms, 99%% up to %.3f ms, the slowest %.3f "
           "ms\n",
           r.results * 1e9 / (double)r.took_ns, (double)r.median_ns / 1e6, (double)r.slow_ns / 1e6,
           (double)r.slowest_ns / 1e6);
    return r.results == config.calls ? 0 : -1;
}

/* ---- list and health ---- */

static const struct command list_command = {
    .name = "rpc list",
    .help = "Usage: strait rpc list [HOST[:PORT] [OPTION...]]\n"
            "\n"
            "Shows the procedures that Strait offers; or the services of a gRPC server, by\n"
            "reflection.\n"
            "\n"
            "  -w SECONDS         the deadline (default: 10)\n",
    .letters = "w:",
    .host_optional = true,
    .operands_max = 1,
    .take = take_option,
    .check = check_list,
};

static int list_services(struct station *station, const struct settings *s,
                         struct rpc_channel *channel)
{
    return message_list(station, channel, deadline_of(station, s));
}

static const struct command health_command = {
    .name = "rpc health",
    .help = "Usage: strait rpc health HOST[:PORT] [SERVICE] [OPTION...]\n"
            "\n"
            "Asks a gRPC server how it is, or one of its services.\n"
            "\n"
            "  -f                 goes on, and tells each change, until SIGINT or SIGTERM\n"
            "  -w SECONDS         the deadline (default: 10; with -f an hour)\n",
    .letters = "fw:",
    .host_optional = true,
    .operands_max = 2,
    .take = take_option,
    .check = check_health,
};

static int list(void)
{
    printf("%-12s %4s  %-10s %9s %7s\n", "procedure", "id", "class", "arguments", "result");
    for (size_t i = 0; i < PRIMES_PROCEDURES; i++) {
        const struct rpc_procedure *p = &primes_procedures[i];
        printf("%-12s %4" PRIu32 "  %-10s %7zu B %5zu B\n", p->name, p->id,
               rpc_class_text(p->class), p->argument_bytes, p->result_bytes);
    }
    return 0;
}

/* ---- The command ---- */

static int run_client(const struct options *options, struct settings *s,
                      int (*use)(struct station *, const struct settings *, struct rpc_channel *))
{
    struct station station;
    struct stream_host host;
    if (station_find(s->target, &s->server.sin_addr) < 0)
        return -1;
    int result = station_open_host(&station, options, &host);
    struct rpc_channel *channel = result == 0 ? open_channel(s, &host) : NULL;
    result = channel ? use(&station, s, channel) : -1;
    rpc_channel_free(channel);
    if (result == 0)
        result = station_leave(&station);
    station_free(&station);
    return result;
}

static void print_help(FILE *to)
{
    fputs(
        "Usage: strait rpc serve|call|list|health|bench ...\n"
        "\n"
        "Remote procedure calls, on the classic wire and by gRPC. strait rpc COMMAND --help says\n"
        "more.\n"
        "\n"
        "  serve      offers the procedures\n"
        "  call       calls one and prints its result\n"
        "  list       shows them, or the services of a gRPC server\n"
        "  health     asks a gRPC server how it is\n"
        "  bench      measures calls a second\n",
        to);
}

/* The commands that are clients. */
static const struct {
    const char *name;
    const struct command *command;
    int (*use)(struct station *, const struct settings *, struct rpc_channel *);
} clients[] = {
    {"call", &call_command, make_call},
    {"bench", &bench_command, make_calls},
    {"list", &list_command, list_services},
    {"health", &health_command, make_call},
};

#define CLIENTS (sizeof(clients) / sizeof(clients[0]))

int rpc_main(int argc, char *argv[])
{
    const char *name = argc > 1 ? argv[1] : "";
    struct settings s = {
        .port = CLASSIC_PORT, .grpc_port = GRPC_PORT, .calls = 10000, .at_once = 16};
    struct options options;
    int status;
    if (strcmp(name, "list") == 0 && argc == 2)
        return list();
    if (strcmp(name, "--help") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(name, "serve") == 0) {
        if (!options_begin(&serve_command, argc - 1, argv + 1, &options, &s, &status))
            return status;
        return run_serve(&options, &s) == 0 ? 0 : 1;
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        if (strcmp(name, clients[i].name) != 0)
            continue;
        if (options_begin(clients[i].command, argc - 1, argv + 1, &options, &s, &status))
            status = run_client(&options, &s, clients[i].use) == 0 ? 0 : 1;
        message_call_free(&s.message);
        return status;
    }
    say("rpc is followed by serve, call, list, health or bench; see strait rpc --help");
    return EXIT_USAGE;
}
