/* SPDX-License-Identifier: MIT */
#include "kv/command.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kv/asking.h"
#include "kv/bench.h"
#include "kv/client.h"
#include "kv/document.h"
#include "kv/host.h"

#define TIMEOUT_MAX_S 3600
#define NODES_BYTES   1024

/* ---- Command lines ---- */

enum {
    OPT_NODE = OPTION_WITHOUT_LETTER,
    OPT_TIMEOUT,
    OPT_STALE,
    OPT_IN_DOUBT,
    OPT_CLIENTS,
    OPT_SECONDS,
    OPT_VALUE,
    OPT_READ,
};

static int take_number(long *number, const char *name, const char *value, long max,
                       const struct report *report)
{
    if (options_number(value, max, number) && *number >= 1)
        return 0;
    return options_fail(report, "--%s %s: must be a number from 1 to %ld", name, value, max);
}

static int take_option(void *settings, int option, const char *value, const struct report *report)
{
    struct kv_settings *s = settings;
    switch (option) {
    case OPT_NODE:
        s->nodes = value;
        return 0;
    case OPT_TIMEOUT:
        if (!options_seconds(value, TIMEOUT_MAX_S, &s->timeout_ns) || s->timeout_ns == 0)
            return options_fail(report,
                                "--timeout %s: must be a number of seconds above 0, up to %d",
                                value, TIMEOUT_MAX_S);
        return 0;
    case OPT_STALE:
        s->stale = true;
        return 0;
    case OPT_IN_DOUBT:
        s->in_doubt = true;
        return 0;
    case OPT_READ:
        s->read = true;
        return 0;
    case OPT_CLIENTS:
        return take_number(&s->clients, "clients", value, KV_BENCH_CLIENTS_MAX, report);
    case OPT_SECONDS:
        return take_number(&s->seconds, "seconds", value, KV_BENCH_SECONDS_MAX, report);
    default: /* OPT_VALUE */
        return take_number(&s->value_bytes, "value", value, KV_VALUE_BYTES_MAX, report);
    }
}

static int check_nodes(const struct kv_settings *s, const struct report *report)
{
    if (!s->nodes || *s->nodes == '\0')
        return options_fail(report, "which node? say --node HOST[,HOST...], or set STRAIT_NODES");
    return 0;
}

static int check_none(void *settings, const struct options *o, const struct report *report)
{
    (void)o;
    return check_nodes(settings, report);
}

static int check_key(void *settings, const struct options *o, const struct report *report)
{
    if (o->operand_count < 1)
        return options_fail(report, "it needs a key");
    if (o->operands[0][0] == '\0')
        return options_fail(report, "a key has one byte at least");
    return check_nodes(settings, report);
}

static int check_put(void *settings, const struct options *o, const struct report *report)
{
    if (o->operand_count < 2)
        return options_fail(report, "it needs a key and a value; - is stdin");
    return check_key(settings, o, report);
}

static int check_txn(void *settings, const struct options *o, const struct report *report)
{
    if (o->operand_count < 1)
        return options_fail(report, "it needs a transaction, such as '{\"put\":{\"a\":\"1\"}}'");
    return check_nodes(settings, report);
}

static int check_file(void *settings, const struct options *o, const struct report *report)
{
    if (o->operand_count < 1 || o->operands[0][0] == '\0')
        return options_fail(report, "it needs the name of a new file");
    return check_nodes(settings, report);
}

static int check_txid(void *settings, const struct options *o, const struct report *report)
{
    struct kv_txid txid;
    if (o->operand_count < 1)
        return options_fail(report, "it needs a transaction, such as 1.1.4");
    const char *text = o->operands[0];
    if (!kv_txid_read(text, strlen(text), &txid))
        return options_fail(report, "\"%s\": a transaction is COORDINATOR.INCARNATION.SEQUENCE",
                            text);
    return check_nodes(settings, report);
}

/* ---- Calls ---- */

static int status_of(enum kv_client_end end)
{
    static const int statuses[] = {
        [KV_CLIENT_DONE] = EXIT_SUCCESS,
        [KV_CLIENT_FAILED] = EXIT_FAILURE,
        [KV_CLIENT_UNKNOWN] = EXIT_UNKNOWN,
    };
    return statuses[end];
}

/* Ends a call that has no reply. */
static void end_failed(struct kv_asking *a, const struct kv_client_reply *reply)
{
    say("%s: %s", reply->end == KV_CLIENT_FAILED ? "failed" : "outcome unknown", reply->text);
    a->status = status_of(reply->end);
    strait_loop_stop(a->station.loop);
}

/* Calls one procedure; `told` ends it. Returns the exit status. */
static int make_call(struct kv_asking *a, unsigned procedure, ProtobufCMessage *message,
                     kv_client_told *told)
{
    const struct kv_client_config config = {
        .host = a->host,
        .nodes = a->nodes,
        .node_count = a->node_count,
        .message_max = KV_MESSAGE_BYTES_MAX,
    };
    struct kv_client *client = kv_client_new(&config);
    uint64_t deadline_ns = a->station.env->now(a->station.env) + a->settings->timeout_ns;
    int status = EXIT_FAILURE;
    if (client && kv_client_call(client, procedure, message, deadline_ns, told, a))
        status = kv_asking_wait(a);
    else
        say("%s", strerror(errno));
    kv_client_free(client);
    return status;
}

/* ---- get, put, del ---- */

static void told_get(void *context, const struct kv_client_reply *reply)
{
    struct kv_asking *a = context;
    if (reply->end != KV_CLIENT_DONE) {
        end_failed(a, reply);
        return;
    }
    const Strait__KvGetReply *get = (const Strait__KvGetReply *)reply->message;
    a->status = get->found ? EXIT_SUCCESS : EXIT_FAILURE;
    if (get->found) {
        fwrite(get->value.data, 1, get->value.len, stdout);
        if (isatty(STDOUT_FILENO))
            putchar('\n');
    } else {
        say("there is no such key");
    }
    strait_loop_stop(a->station.loop);
}

static ProtobufCBinaryData bytes_of(char *word)
{
    return (ProtobufCBinaryData){strlen(word), (uint8_t *)word};
}

static int run_get(struct kv_asking *a)
{
    Strait__KvGetRequest get = STRAIT__KV_GET_REQUEST__INIT;
    get.key = bytes_of(a->operands[0]);
    get.stale = a->settings->stale;
    return make_call(a, KV_RPC_GET, &get.base, told_get);
}

static void told_write(void *context, const struct kv_client_reply *reply)
{
    struct kv_asking *a = context;
    if (reply->end != KV_CLIENT_DONE) {
        end_failed(a, reply);
        return;
    }
    const Strait__KvWriteReply *write = (const Strait__KvWriteReply *)reply->message;
    if (write->version != 0) /* an earlier attempt's may not be known */
        printf("version %" PRIu64 "\n", write->version);
    a->status = EXIT_SUCCESS;
    strait_loop_stop(a->station.loop);
}

/* Reads stdin to its end. Returns 0, or -1 after a line. */
static int read_stdin(ProtobufCBinaryData *value)
{
    const size_t room = KV_VALUE_BYTES_MAX + 1;
    value->data = malloc(room);
    value->len = value->data ? fread(value->data, 1, room, stdin) : 0;
    if (!value->data || ferror(stdin))
        return complain("stdin: %s", strerror(errno));
    if (value->len == room)
        return complain("stdin: a value has %u bytes at most", KV_VALUE_BYTES_MAX);
    return 0;
}

static int run_put(struct kv_asking *a)
{
    Strait__KvPutRequest put = STRAIT__KV_PUT_REQUEST__INIT;
    bool from_stdin = strcmp(a->operands[1], "-") == 0;
    int status = EXIT_FAILURE;
    put.key = bytes_of(a->operands[0]);
    if (!from_stdin)
        put.value = bytes_of(a->operands[1]);
    if (!from_stdin || read_stdin(&put.value) == 0)
        status = make_call(a, KV_RPC_PUT, &put.base, told_write);
    if (from_stdin)
        free(put.value.data);
    return status;
}

static void told_delete(void *context, const struct kv_client_reply *reply)
{
    struct kv_asking *a = context;
    told_write(a, reply);
    const Strait__KvWriteReply *write = (const Strait__KvWriteReply *)reply->message;
    if (reply->end != KV_CLIENT_DONE || write->found || write->version == 0)
        return;
    say("there was no such key");
    a->status = EXIT_FAILURE;
}

static int run_delete(struct kv_asking *a)
{
    Strait__KvDeleteRequest delete = STRAIT__KV_DELETE_REQUEST__INIT;
    delete.key = bytes_of(a->operands[0]);
    return make_call(a, KV_RPC_DELETE, &delete.base, told_delete);
}

/* ---- txn ---- */

/* A transaction, and who asks for it. */
struct transaction {
    struct kv_asking asking; /* the first member: what is told of it is told of the whole */
    const Strait__KvTxnRequest *request;
};

static void told_txn(void *context, const struct kv_client_reply *reply)
{
    struct transaction *t = context;
    if (reply->end != KV_CLIENT_DONE) {
        end_failed(&t->asking, reply);
        return;
    }
    char *json = kv_document_txn(t->request, (const Strait__KvTxnReply *)reply->message);
    if (json)
        puts(json);
    free(json);
    t->asking.status = json ? EXIT_SUCCESS : EXIT_UNKNOWN;
    strait_loop_stop(t->asking.station.loop);
}

static int run_txn(struct kv_asking *a)
{
    char fault[KV_FAULT_BYTES];
    struct message_arena arena;
    message_arena_init(&arena);
    struct transaction *t = (struct transaction *)(void *)a;
    Strait__KvTxnRequest *request =
        kv_document_read(&arena, a->operands[0], strlen(a->operands[0]), fault);
    int status = EXIT_USAGE;
    t->request = request;
    if (request)
        status = make_call(a, KV_RPC_TXN, &request->base, told_txn);
    else
        say("%s", fault);
    message_arena_free(&arena);
    return status;
}

/* ---- bench ---- */

static int run_bench(struct kv_asking *a)
{
    const struct kv_settings *s = a->settings;
    const struct kv_bench_config config = {
        .host = a->host,
        .nodes = a->nodes,
        .node_count = a->node_count,
        .clients = (uint32_t)s->clients,
        .duration_ns = (uint64_t)s->seconds * RPC_S,
        .value_bytes = (uint32_t)s->value_bytes,
        .read = s->read,
        .interrupts = &a->station.signals,
    };
    struct kv_bench_result r;
    if (kv_bench(&config, &r) < 0) {
        say("%s%s%s", strerror(errno), r.failure[0] != '\0' ? ": " : "", r.failure);
        return EXIT_FAILURE;
    }
    printf("%.0f %s/s; half of them took up to %.3f ms, 99%% up to %.3f ms, the slowest %.3f ms\n",
           (double)r.done * 1e9 / (double)r.took_ns, s->read ? "reads" : "transactions",
           (double)r.median_ns / 1e6, (double)r.slow_ns / 1e6, (double)r.slowest_ns / 1e6);
    if (r.retries > 0)
        printf("%" PRIu64 " further attempts\n", r.retries);
    if (r.failed + r.unknown == 0)
        return EXIT_SUCCESS;
    say("%" PRIu64 " failed, of %" PRIu64 " the outcome is unknown; one: %s", r.failed, r.unknown,
        r.failure);
    return r.unknown > 0 ? EXIT_UNKNOWN : EXIT_FAILURE;
}

/* ---- The commands ---- */

#define NODE_OPTION                                                                                \
    {                                                                                              \
        "node", required_argument, NULL, OPT_NODE                                                  \
    }
#define TIMEOUT_OPTION                                                                             \
    {                                                                                              \
        "timeout", required_argument, NULL, OPT_TIMEOUT                                            \
    }

#define NODE_HELP                                                                                  \
    "  --node HOST[,HOST...]\n"                                                                    \
    "                     nodes to ask, the next one if one fails (default: STRAIT_NODES)\n"
#define TIMEOUT_HELP                                                                               \
    "  --timeout SECONDS  how long to try (default: 10)\n"                                         \
    "\n"                                                                                           \
    "Exit status: 0 done, 1 failed or absent (nothing has happened), 2 wrong command line,\n"      \
    "3 unknown (it may have happened, or still may).\n"

/* What the commands have in common. */
#define ASKING .letters = "", .host_optional = true, .take = take_option

static const struct asker {
    struct command command;
    int (*run)(struct kv_asking *);
} askers[] = {
    {{.name = "kv get",
      .help = "Usage: strait kv get KEY [OPTION...]\n\nPrints the value of a key.\n\n"
              "  --stale            what the asked node has, at once\n" NODE_HELP TIMEOUT_HELP,
      .options = {NODE_OPTION, TIMEOUT_OPTION, {"stale", no_argument, NULL, OPT_STALE}},
      .operands_max = 1,
      .check = check_key,
      ASKING},
     run_get},
    {{.name = "kv put",
      .help =
          "Usage: strait kv put KEY VALUE|- [OPTION...]\n\n"
          "Gives a key a value, or what stdin has; prints its version.\n\n" NODE_HELP TIMEOUT_HELP,
      .options = {NODE_OPTION, TIMEOUT_OPTION},
      .operands_max = 2,
      .check = check_put,
      ASKING},
     run_put},
    {{.name = "kv del",
      .help =
          "Usage: strait kv del KEY [OPTION...]\n\nTakes a key away.\n\n" NODE_HELP TIMEOUT_HELP,
      .options = {NODE_OPTION, TIMEOUT_OPTION},
      .operands_max = 1,
      .check = check_key,
      ASKING},
     run_delete},
    {{.name = "kv txn",
      .help = "Usage: strait kv txn JSON [OPTION...]\n\n"
              "Carries out a transaction, or nothing of it:\n"
              "{\"put\":{\"a\":\"1\"},\"delete\":[\"c\"],\"get\":[\"d\"],\"if\":{\"a\":"
              "{\"version\":3}}}\n\n" NODE_HELP TIMEOUT_HELP,
      .options = {NODE_OPTION, TIMEOUT_OPTION},
      .operands_max = 1,
      .check = check_txn,
      ASKING},
     run_txn},
    {{.name = "kv status",
      .help = "Usage: strait kv status [OPTION...]\n\nShows a node and its cluster.\n\n" NODE_HELP,
      .options = {NODE_OPTION},
      .check = check_none,
      ASKING},
     kv_look_status},
    {{.name = "kv txns",
      .help = "Usage: strait kv txns [--in-doubt] [OPTION...]\n\n"
              "Lists the transactions of a node that have not ended.\n\n"
              "  --in-doubt         those that wait for their outcome there\n" NODE_HELP,
      .options = {NODE_OPTION, {"in-doubt", no_argument, NULL, OPT_IN_DOUBT}},
      .check = check_none,
      ASKING},
     kv_look_txns},
    {{.name = "kv explain",
      .help = "Usage: strait kv explain TXID [OPTION...]\n\n"
              "Tells the life of a transaction, as each of the nodes knows it.\n\n" NODE_HELP,
      .options = {NODE_OPTION},
      .operands_max = 1,
      .check = check_txid,
      ASKING},
     kv_look_explain},
    {{.name = "kv backup",
      .help = "Usage: strait kv backup FILE [OPTION...]\n\n"
              "Writes a consistent copy of a node's database to a new file.\n\n" NODE_HELP,
      .options = {NODE_OPTION},
      .operands_max = 1,
      .check = check_file,
      ASKING},
     kv_look_backup},
    {{.name = "kv bench",
      .help = "Usage: strait kv bench [OPTION...]\n\n"
              "Writes again and again, and prints how many transactions a second there were and "
              "how\nlong they took.\n\n"
              "  --clients N        at once, each with its own keys (default: 16)\n"
              "  --seconds S        (default: 5)\n"
              "  --value BYTES      of each value (default: 100)\n"
              "  --read             reads what was written before\n" NODE_HELP,
      .options = {NODE_OPTION,
                  {"clients", required_argument, NULL, OPT_CLIENTS},
                  {"seconds", required_argument, NULL, OPT_SECONDS},
                  {"value", required_argument, NULL, OPT_VALUE},
                  {"read", no_argument, NULL, OPT_READ}},
      .check = check_none,
      ASKING},
     run_bench},
};

#define ASKERS (sizeof(askers) / sizeof(askers[0]))

/* Finds the nodes that are named, with their gRPC port. Returns 0, or -1 after a line. */
static int find_nodes(struct kv_asking *a)
{
    char names[NODES_BYTES], *rest = NULL;
    if (snprintf(names, sizeof(names), "%s", a->settings->nodes) >= (int)sizeof(names))
        return complain("--node: so many names are too many");
    for (char *name = strtok_r(names, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
        if (a->node_count == KV_NODES_MAX)
            return complain("--node: a cluster has %d nodes at most", KV_NODES_MAX);
        if (strchr(name, ':'))
            return complain("--node %s: nodes are named without a port: it is %d", name, KV_PORT);
        struct sockaddr_in *node = &a->nodes[a->node_count++];
        *node = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(KV_PORT)};
        if (station_find(name, &node->sin_addr) < 0)
            return -1;
    }
    return a->node_count > 0 ? 0 : complain("--node names no node");
}

static int run_asker(const struct asker *asker, int argc, char *argv[])
{
    struct options options;
    struct kv_settings settings = {
        .nodes = getenv("STRAIT_NODES"),
        .timeout_ns = KV_DEADLINE_NS,
        .clients = 16,
        .seconds = 5,
        .value_bytes = 100,
    };
    struct transaction t = {.asking = {.settings = &settings}};
    struct kv_asking *a = &t.asking;
    int status;
    if (!options_begin(&asker->command, argc, argv, &options, &settings, &status))
        return status;
    a->operands = options.operands;
    status = EXIT_FAILURE;
    if (find_nodes(a) < 0)
        return EXIT_USAGE;
    if (station_open_host(&a->station, &options, &a->host) == 0) {
        status = asker->run(a);
        station_leave(&a->station);
    }
    station_free(&a->station);
    return status;
}

static void print_help(void)
{
    puts("Usage: strait kv COMMAND [OPTION...]\n"
         "\n"
         "  node      is a node of a cluster, on a TUN device\n"
         "  get, put, del, txn\n"
         "            read and write, at whichever node\n"
         "  status, txns, explain\n"
         "            show a node, its transactions, the life of one\n"
         "  backup    copies a node's database\n"
         "  bench     measures\n"
         "\n"
         "strait kv COMMAND --help says more.");
}

int kv_main(int argc, char *argv[])
{
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "node") == 0)
        return kv_host_main(argc - 1, argv + 1);
    for (size_t i = 0; i < ASKERS; i++)
        if (strcmp(name, askers[i].command.name + strlen("kv ")) == 0)
            return run_asker(&askers[i], argc - 1, argv + 1);
    if (strcmp(name, "--help") == 0) {
        print_help();
        return EXIT_SUCCESS;
    }
    if (argc > 1)
        say("unknown command \"kv %s\"; see strait kv --help", name);
    else
        say("a command is missing; see strait kv --help");
    return EXIT_USAGE;
}
