/* SPDX-License-Identifier: MIT */
#include "cluster.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/prng.h"
#include "kv/service.h"
#include "rpc/grpc.h"

#define S  UINT64_C(1000000000)
#define MS UINT64_C(1000000)

/* ---- Nodes ---- */

static void stopped(void *context, const char *why)
{
    struct cluster_node *n = context;
    snprintf(n->stopped, sizeof(n->stopped), "%s", why);
}

static void serve(struct cluster_node *n, const struct stream_host *host)
{
    static const struct rpc_messages *const list[] = {&kv_messages, NULL};
    n->rpc = rpc_new(host->env);
    CHECK(n->rpc && kv_serve(n->rpc, n->node) == 0);
    n->server = grpc_start(
        host, n->rpc,
        &(struct grpc_config){.address = {.sin_family = AF_INET,
                                          .sin_port = htons(KV_PORT),
                                          .sin_addr = n->cluster->file.addresses[n->id - 1]},
                              .messages = list,
                              .message_max = kv_message_max(&n->cluster->file)});
    CHECK(n->server);
}

/* A time of day that is another one each second, from long ago to the far future. */
static int64_t wild_clock(struct strait_env *env)
{
    struct prng prng;
    prng_seed(&prng, env->now(env) / S);
    return (int64_t)prng_next(&prng);
}

static void start(void *app, struct strait *stack, struct strait_env *env)
{
    struct cluster_node *n = app;
    if (n->wild_clock)
        env->wall_clock = wild_clock;
    struct kv_node_config config = {
        .host = stream_host_strait(stack, env),
        .cluster = &n->cluster->file,
        .id = n->id,
        .directory = ".",
        .stopped = stopped,
        .context = n,
    };
    env->random(env, &config.random, sizeof(config.random));
    n->stopped[0] = n->error[0] = '\0';
    n->node = kv_node_start(&config, n->error);
    if (!n->node)
        return;
    n->error[0] = '\0';
    serve(n, &config.host);
}

static void crash(void *app)
{
    struct cluster_node *n = app;
    server_free(n->server);
    rpc_crash(n->rpc);
    kv_node_free(n->node);
    n->server = NULL;
    n->rpc = NULL;
    n->node = NULL;
}

/* ---- The world ---- */

/* 10.`second`.`third`.`fourth` */
static struct in_addr address(uint32_t second, uint32_t third, uint32_t fourth)
{
    return (struct in_addr){htonl(10u << 24 | second << 16 | third << 8 | fourth)};
}

static struct world_link *join(struct cluster *c, struct world_host *host, uint32_t second,
                               uint32_t third)
{
    const struct impair_config lan[2] = {{.delay_ns = MS / 5}, {.delay_ns = MS / 5}};
    const struct world_end ends[2] = {{host, address(second, third, 2)},
                                      {c->router, address(second, third, 1)}};
    struct world_link *link = world_add_link(c->world, ends, 24, 1500, 0, lan);
    CHECK(link);
    return link;
}

static void add_node(struct cluster *c, uint32_t id)
{
    struct cluster_node *n = &c->nodes[id - 1];
    char name[2] = {(char)('0' + id), '\0'};

    *n = (struct cluster_node){.cluster = c, .id = id};
    n->host = world_add_host(c->world, name, NULL, &(struct world_app){start, crash, n});
    CHECK(n->host);
    n->link = join(c, n->host, 8, id);
}

struct world_host *cluster_add_host(struct cluster *c, uint32_t n, const char *name,
                                    const struct world_app *app, struct world_link **link)
{
    struct world_host *host = world_add_host(c->world, name, NULL, app);
    CHECK(host);
    *link = join(c, host, 9, n);
    return host;
}

struct cluster *cluster_new(uint64_t seed, uint32_t count, const char *words)
{
    struct cluster *c = calloc(1, sizeof(*c));
    char text[512], error[KV_CLUSTER_ERROR_BYTES];
    int n = snprintf(text, sizeof(text), "cluster test\n%s\n", words);
    struct strait_config routes;

    for (uint32_t id = 1; id <= count; id++)
        n += snprintf(text + n, sizeof(text) - (size_t)n, "node %u 10.8.%u.2\n", (unsigned)id,
                      (unsigned)id);
    CHECK(c && kv_cluster_parse(text, strlen(text), &c->file, error));
    c->count = count;
    c->world = world_new(seed);
    strait_config_init(&routes);
    routes.forward = true;
    c->router = world_add_host(c->world, "router", &routes, NULL);
    CHECK(c->world && c->router);
    for (uint32_t id = 1; id <= count; id++)
        add_node(c, id);
    cluster_run(c, S / 2);
    return c;
}

void cluster_free(struct cluster *c)
{
    world_free(c->world);
    free(c);
}

void cluster_run(struct cluster *c, uint64_t ns)
{
    uint64_t until_ns = world_now(c->world) + ns;
    while (world_run(c->world, until_ns) == WORLD_STOPPED)
        continue;
}

void cluster_crash(struct cluster *c, uint32_t id)
{
    world_crash(c->nodes[id - 1].host);
}

void cluster_restart(struct cluster *c, uint32_t id)
{
    world_restart(c->nodes[id - 1].host);
    cluster_run(c, 0);
}

void cluster_cut(struct cluster *c, uint32_t id, bool from, bool to)
{
    world_cut(c->nodes[id - 1].link, 0, from);
    world_cut(c->nodes[id - 1].link, 1, to);
}

uint64_t cluster_in_doubt(struct cluster *c, uint32_t id)
{
    struct kv_status status;
    kv_node_status(c->nodes[id - 1].node, &status);
    return status.in_doubt;
}

struct sought {
    const char *name;
    uint64_t value;
    bool found;
};

static void find_counter(void *context, const char *name, uint64_t value)
{
    struct sought *s = context;
    if (strcmp(name, s->name) != 0)
        return;
    s->value = value;
    s->found = true;
}

uint64_t cluster_counter(struct cluster *c, uint32_t id, const char *name)
{
    struct sought s = {.name = name};
    kv_node_visit_counters(c->nodes[id - 1].node, find_counter, &s);
    CHECK(s.found);
    return s.value;
}

/* ---- Requests ---- */

static void copy_text(char text[32], const struct kv_blob *blob)
{
    size_t length = blob ? blob->length : 0;
    CHECK(length < 32);
    if (length > 0)
        memcpy(text, blob->bytes, length);
    text[length] = '\0';
}

static void told(void *context, const struct kv_outcome *outcome)
{
    struct cluster_answer *a = context;
    CHECK(!a->told && outcome->count <= 4);
    a->told = true;
    a->ask = NULL;
    a->end = outcome->end;
    a->txid = outcome->txid;
    a->refusal = outcome->refusal;
    copy_text(a->key, outcome->key);
    a->node = outcome->node;
    a->count = outcome->count;
    for (uint32_t i = 0; i < outcome->count; i++) {
        const struct kv_result *r = outcome->results[i];
        a->results[i].known = r != NULL;
        if (!r)
            continue;
        a->results[i].found = r->found;
        a->results[i].version = r->version;
        copy_text(a->results[i].value, r->value);
    }
    a->took_ns = world_now(a->cluster->world) - a->began_ns;
    world_stop(a->cluster->world);
}

static uint64_t deadline_of(struct cluster *c, struct cluster_answer *a)
{
    *a = (struct cluster_answer){.cluster = c, .began_ns = world_now(c->world)};
    return a->began_ns + CLUSTER_DEADLINE_S * S;
}

int cluster_begin(struct cluster *c, uint32_t id, const struct cluster_operation *list,
                  uint64_t client, uint64_t sequence, struct cluster_answer *a)
{
    uint32_t count = 0;
    while (list[count].key)
        count++;
    struct kv_request *request = kv_request_new(count);
    CHECK(request);
    request->client = client;
    request->sequence = sequence;
    for (uint32_t i = 0; i < count; i++) {
        struct kv_operation *o = &request->operations[i];
        o->kind = list[i].kind;
        o->version = list[i].version;
        o->key = kv_blob_new(list[i].key, strlen(list[i].key));
        if (list[i].value)
            o->value = kv_blob_new(list[i].value, strlen(list[i].value));
    }
    uint64_t deadline_ns = deadline_of(c, a);
    a->ask = kv_node_txn(c->nodes[id - 1].node, request, deadline_ns, told, a);
    int error = a->ask ? 0 : errno;
    kv_request_release(request);
    return error;
}

int cluster_begin_read(struct cluster *c, uint32_t id, const char *key, bool stale,
                       struct cluster_answer *a)
{
    uint64_t deadline_ns = deadline_of(c, a);
    struct kv_blob *blob = kv_blob_new(key, strlen(key));
    a->ask = kv_node_read(c->nodes[id - 1].node, blob, stale, deadline_ns, told, a);
    int error = a->ask ? 0 : errno;
    kv_blob_release(blob);
    return error;
}

void cluster_await(struct cluster *c, struct cluster_answer *a)
{
    uint64_t until_ns = a->began_ns + (CLUSTER_DEADLINE_S + 1) * S;
    while (!a->told && world_run(c->world, until_ns) == WORLD_STOPPED)
        continue;
}

struct cluster_answer cluster_put(struct cluster *c, uint32_t id, const char *key,
                                  const char *value)
{
    struct cluster_answer a;
    CHECK(cluster_begin(c, id, (struct cluster_operation[]){{KV_PUT, key, value, 0}, {0}}, 0, 0,
                        &a) == 0);
    cluster_await(c, &a);
    return a;
}

struct cluster_answer cluster_get(struct cluster *c, uint32_t id, const char *key)
{
    struct cluster_answer a;
    CHECK(cluster_begin_read(c, id, key, false, &a) == 0);
    cluster_await(c, &a);
    return a;
}
