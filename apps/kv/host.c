/* SPDX-License-Identifier: MIT */
#include "kv/host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/http.h"
#include "kv/cluster.h"
#include "kv/http.h"
#include "kv/node.h"
#include "kv/service.h"
#include "offer.h"
#include "rpc/reflection.h"
#include "station.h"

#define HTTP_PORT          80
#define STOP_NS            (5 * RPC_S) /* for what is under way to end */
#define CLUSTER_FILE_BYTES 65536

/* What its own options say. */
struct settings {
    long id;
    const char *cluster_file;
    const char *directory;
    struct kv_cluster cluster;
};

/* The node as a program. */
struct host {
    const struct settings *settings;
    int lock; /* the directory, which is locked while it is open; -1: not yet */
    struct station station;
    struct stream_host streams;
    struct kv_node *node;
    struct kv_http *gates;
    struct server *http;
    struct offer offer;
    bool stopped; /* by itself: a disk has failed, or it must not go on */
    bool idle;    /* nothing is under way any more */
};

/* ---- The command line ---- */

enum { OPT_ID = OPTION_WITHOUT_LETTER, OPT_CLUSTER, OPT_DATA };

static int take_option(void *settings, int option, const char *value, const struct report *report)
{
    struct settings *s = settings;
    if (option == OPT_CLUSTER)
        s->cluster_file = value;
    else if (option == OPT_DATA)
        s->directory = value;
    else if (!options_number(value, KV_NODES_MAX, &s->id) || s->id < 1)
        return options_fail(report, "--id %s: must be a number from 1 to %d", value, KV_NODES_MAX);
    return 0;
}

static int read_cluster(struct settings *s, const struct report *report)
{
    char text[CLUSTER_FILE_BYTES], error[KV_CLUSTER_ERROR_BYTES];
    FILE *file = fopen(s->cluster_file, "re");
    size_t length = file ? fread(text, 1, sizeof(text), file) : 0;
    int failed = !file || ferror(file) ? errno : 0;
    if (file)
        fclose(file);
    if (failed)
        return options_fail(report, "--cluster %s: %s", s->cluster_file, strerror(failed));
    if (length == sizeof(text))
        return options_fail(report, "--cluster %s: it is longer than such a file can be",
                            s->cluster_file);
    if (!kv_cluster_parse(text, length, &s->cluster, error))
        return options_fail(report, "--cluster %s: %s", s->cluster_file, error);
    return 0;
}

/* The options and the cluster's file have to say the same. */
static int check_member(const struct settings *s, const struct options *o,
                        const struct report *report)
{
    char right[INET_ADDRSTRLEN], wrong[INET_ADDRSTRLEN];
    uint32_t id = (uint32_t)s->id;
    if (!(s->cluster.placement.members & kv_node_bit(id)))
        return options_fail(report, "--id %u: %s has no such node", id, s->cluster_file);
    const struct in_addr *address = &s->cluster.addresses[id - 1];
    if (address->s_addr == o->addr.s_addr)
        return 0;
    inet_ntop(AF_INET, address, right, sizeof(right));
    inet_ntop(AF_INET, &o->addr, wrong, sizeof(wrong));
    return options_fail(report, "--addr %s: by %s the address of node %u is %s", wrong,
                        s->cluster_file, id, right);
}

static int check_directory(const struct settings *s, const struct report *report)
{
    struct stat status;
    if (stat(s->directory, &status) < 0)
        return options_fail(report, "--data %s: %s; make the directory first", s->directory,
                            strerror(errno));
    if (!S_ISDIR(status.st_mode))
        return options_fail(report, "--data %s: it is no directory", s->directory);
    return 0;
}

static int check_options(void *settings, const struct options *o, const struct report *report)
{
    struct settings *s = settings;
    if (s->id == 0)
        return options_fail(report, "--id is missing; which node of the cluster is it?");
    if (!s->cluster_file)
        return options_fail(report, "--cluster is missing; name the cluster's file");
    if (!s->directory)
        return options_fail(report, "--data is missing; name the node's directory");
    if (read_cluster(s, report) < 0 || check_member(s, o, report) < 0)
        return -1;
    return check_directory(s, report);
}

static const struct command command = {
    .name = "kv node",
    .help =
        "Usage: strait kv node --id N --cluster FILE --data DIR --addr ADDRESS/BITS [OPTION...]\n"
        "\n"
        "Is a node of a replicated key-value store on a TUN device, until SIGINT or SIGTERM.\n"
        "Clients ask by HTTP (80) and gRPC (7001), other nodes on port 7002.\n"
        "\n"
        "  --id N             which node of the cluster it is\n"
        "  --cluster FILE     the nodes and what they agree on, the same file for all:\n"
        "                       cluster NAME, replication R, coordinator asked|fixed:ID|random,\n"
        "                       and a line \"node ID ADDRESS\" for each\n"
        "  --data DIR         the directory of its database, which belongs to it alone\n",
    .controlled = true,
    .letters = "",
    .options = {{"id", required_argument, NULL, OPT_ID},
                {"cluster", required_argument, NULL, OPT_CLUSTER},
                {"data", required_argument, NULL, OPT_DATA}},
    .take = take_option,
    .check = check_options,
};

/* ---- Start ---- */

static const struct rpc_messages *const services[] = {
    &kv_messages, &health_messages, &reflection_v1_messages, &reflection_v1alpha_messages, NULL,
};

/* The node has ended by itself. */
static void node_stopped(void *context, const char *why)
{
    struct host *h = context;
    say("the node stops: %s", why);
    h->stopped = true;
    strait_loop_stop(h->station.loop);
}

static void node_warns(void *context, const char *line)
{
    (void)context;
    say("%s", line);
}

/* Whether the user that it has become can work there. */
static int check_rights(const struct host *h)
{
    const char *directory = h->settings->directory;
    if (faccessat(AT_FDCWD, directory, R_OK | W_OK | X_OK, AT_EACCESS) == 0)
        return 0;
    return complain("--data %s: %s cannot write there: %s; give it the directory (chown)",
                    directory, h->station.user, strerror(errno));
}

/* Two nodes on one database would each take the other's votes for their own. The lock goes with the
 * process, however that ends. */
static int lock_directory(struct host *h)
{
    const char *directory = h->settings->directory;
    h->lock = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (h->lock >= 0 && flock(h->lock, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (h->lock >= 0 && errno == EWOULDBLOCK)
        return complain("--data %s: a node runs there already", directory);
    return complain("--data %s: %s", directory, strerror(errno));
}

static int start_node(struct host *h)
{
    char error[KV_NODE_ERROR_BYTES];
    struct kv_node_config config = {
        .host = h->streams,
        .cluster = &h->settings->cluster,
        .id = (uint32_t)h->settings->id,
        .directory = h->settings->directory,
        .stopped = node_stopped,
        .warn = node_warns,
        .context = h,
    };
    h->station.env->random(h->station.env, &config.random, sizeof(config.random));
    h->node = kv_node_start(&config, error);
    return h->node ? 0 : complain("%s", error);
}

static int start_http(struct host *h)
{
    struct http_config config = {.port = HTTP_PORT};
    h->gates = kv_http_new(h->node, h->station.env, h->settings->directory);
    if (!h->gates)
        return complain("%s", strerror(ENOMEM));
    config.gates[0] = connect_gate(h->offer.connect);
    for (size_t i = 0; i < KV_HTTP_GATES; i++)
        config.gates[i + 1] = kv_http_gate(h->gates, i);
    h->http = http_start(h->station.stack, h->station.env, &config);
    if (!h->http)
        return complain("cannot serve HTTP on TCP port %d: %s", HTTP_PORT, strerror(errno));
    return 0;
}

static int start_services(struct host *h)
{
    if (offer_open(&h->offer, h->station.env, services) < 0 || kv_serve(h->offer.rpc, h->node) < 0)
        return complain("cannot serve procedures: %s", strerror(errno));
    h->offer.message_max = kv_message_max(&h->settings->cluster);
    if (offer_grpc(&h->offer, &h->streams, KV_PORT) < 0)
        return complain("cannot serve gRPC on TCP port %d: %s", KV_PORT, strerror(errno));
    return start_http(h);
}

static int start(struct host *h, const struct options *options)
{
    unsigned char seed;
    if (station_init(&h->station, options) < 0 || station_open(&h->station) < 0)
        return -1;
    h->streams = stream_host_strait(h->station.stack, h->station.env);
    say("running as %s", h->station.user);
    if (check_rights(h) < 0 || lock_directory(h) < 0)
        return -1;
    /* SQLite takes its seed from a file that is out of reach later; and its threads, which are
     * confined like the one that starts them, come with the node. */
    sqlite3_randomness(sizeof(seed), &seed);
    if (station_confine(&h->station, NULL, h->settings->directory) < 0)
        return -1;
    return start_node(h) < 0 ? -1 : start_services(h);
}

/* ---- Run and stop ---- */

static void say_ready(const struct host *h)
{
    char address[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &h->station.options->addr, address, sizeof(address));
    printf("strait: node %ld of %s is ready on %s, %s\n", h->settings->id,
           h->settings->cluster.name, h->station.link->name, address);
    fflush(stdout);
}

static void became_idle(void *context)
{
    struct host *h = context;
    h->idle = true;
}

/* Nothing is under way, and whoever has asked has got the answer. */
static bool has_ended(const struct host *h)
{
    return h->idle && server_sessions(h->http) == 0 && server_sessions(h->offer.grpc) == 0;
}

/* Lets what is under way end: as far as the time and a second signal let it. */
static int drain(struct host *h)
{
    struct station *s = &h->station;
    uint64_t deadline_ns = s->env->now(s->env) + STOP_NS;
    unsigned signals = s->signals;
    server_stop(h->http);
    offer_stop(&h->offer);
    kv_node_drain(h->node, deadline_ns, became_idle, h);
    while (!has_ended(h) && !h->stopped && s->signals == signals &&
           s->env->now(s->env) < deadline_ns)
        if (station_turn(s, deadline_ns) < 0)
            return -1;
    return 0;
}

/* Ends everything at once, in the order in which one stands on the other. */
static void close_all(struct host *h)
{
    server_free(h->http);
    offer_free(&h->offer);
    kv_node_free(h->node);
    kv_http_free(h->gates);
    h->http = NULL;
    h->node = NULL;
    h->gates = NULL;
}

static void print_counter(void *context, const char *name, uint64_t value)
{
    (void)context;
    if (value > 0)
        printf("%s %" PRIu64 "\n", name, value);
}

static int run(struct host *h)
{
    say_ready(h);
    if (station_run(&h->station) < 0)
        return -1;
    if (!h->stopped && drain(h) < 0)
        return -1;
    kv_node_visit_counters(h->node, print_counter, NULL);
    rpc_visit_counters(h->offer.rpc, print_counter, NULL);
    station_counters(&h->station, print_counter, NULL);
    fflush(stdout);
    return h->stopped ? -1 : 0;
}

int kv_host_main(int argc, char *argv[])
{
    struct options options;
    struct settings settings = {0};
    struct host h = {.settings = &settings, .lock = -1};
    int status;
    if (!options_begin(&command, argc, argv, &options, &settings, &status))
        return status;
    int result = start(&h, &options);
    if (result == 0)
        result = run(&h);
    close_all(&h);
    if (h.station.stack && result == 0)
        result = station_leave(&h.station);
    station_free(&h.station);
    if (h.lock >= 0)
        close(h.lock);
    return result == 0 ? 0 : 1;
}
