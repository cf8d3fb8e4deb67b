/* SPDX-License-Identifier: MIT */
#include "kv/bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALL_NS   (10 * RPC_S)
#define KEY_BYTES 32
#define TIMES_MIN ((size_t)65536)

struct bench;

/* One after another, a customer makes its calls. */
struct customer {
    struct bench *bench;
    struct kv_client *client;
    uint32_t number, calls;
    bool filled; /* there is what it reads */
    bool waits;
    uint64_t began_ns;
};

struct bench {
    const struct kv_bench_config *config;
    struct kv_bench_result *result;
    struct strait_env *env;
    struct customer *customers;
    uint8_t *value;
    uint64_t begin_ns, end_ns; /* of the measurement */
    uint32_t waiting;          /* customers with a call */
    int error;
    uint64_t *times_ns; /* of calls that were done */
    size_t time_room;
};

/* ---- Times ---- */

static void note_time(struct bench *b, uint64_t took_ns)
{
    if (b->result->done == b->time_room) {
        size_t room = b->time_room ? 2 * b->time_room : TIMES_MIN;
        uint64_t *times_ns = realloc(b->times_ns, room * sizeof(*times_ns));
        if (!times_ns) {
            b->error = ENOMEM;
            return;
        }
        b->times_ns = times_ns;
        b->time_room = room;
    }
    b->times_ns[b->result->done++] = took_ns;
}

static int compare(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return (x > y) - (x < y);
}

static void sum_up(struct bench *b)
{
    struct kv_bench_result *r = b->result;
    size_t count = r->done;
    if (!b->times_ns) /* nothing was done */
        return;
    qsort(b->times_ns, count, sizeof(*b->times_ns), compare);
    r->median_ns = b->times_ns[(count - 1) / 2];
    r->slow_ns = b->times_ns[(count - 1) * 99 / 100];
    r->slowest_ns = b->times_ns[count - 1];
}

/* ---- Calls ---- */

static void next_call(struct customer *);

static void told(void *context, const struct kv_client_reply *reply)
{
    struct customer *c = context;
    struct bench *b = c->bench;
    struct kv_bench_result *r = b->result;
    uint64_t now_ns = b->env->now(b->env);
    c->waits = false;
    b->waiting--;
    if (reply->end != KV_CLIENT_DONE)
        snprintf(r->failure, sizeof(r->failure), "%s", reply->text);
    if (b->begin_ns > 0) {
        r->retries += reply->attempts - 1;
        if (reply->end == KV_CLIENT_DONE)
            note_time(b, now_ns - c->began_ns);
        else if (reply->end == KV_CLIENT_FAILED)
            r->failed++;
        else
            r->unknown++;
    } else if (reply->end != KV_CLIENT_DONE) {
        b->error = EIO;
    }
    next_call(c);
}

/* Returns whether there is a call. */
static bool call(struct customer *c)
{
    struct bench *b = c->bench;
    Strait__KvPutRequest put = STRAIT__KV_PUT_REQUEST__INIT;
    Strait__KvGetRequest get = STRAIT__KV_GET_REQUEST__INIT;
    char key[KEY_BYTES];
    int n = snprintf(key, sizeof(key), "bench/%u/%u", c->number, c->calls++ % KV_BENCH_KEYS);
    bool reads = b->config->read && c->filled;
    uint64_t deadline_ns = b->env->now(b->env) + CALL_NS;
    put.key = get.key = (ProtobufCBinaryData){(size_t)n, (uint8_t *)key};
    put.value = (ProtobufCBinaryData){b->config->value_bytes, b->value};
    return kv_client_call(c->client, reads ? KV_RPC_GET : KV_RPC_PUT, reads ? &get.base : &put.base,
                          deadline_ns, told, c) != NULL;
}

/* Whoever reads has written all of its keys before the measurement. */
static bool is_ready(struct customer *c)
{
    if (!c->bench->config->read || c->filled)
        return true;
    c->filled = c->calls == KV_BENCH_KEYS;
    return c->filled;
}

static void next_call(struct customer *c)
{
    struct bench *b = c->bench;
    if (b->error || (is_ready(c) && b->begin_ns == 0))
        return;
    if (b->begin_ns > 0 && b->env->now(b->env) >= b->end_ns)
        return;
    c->began_ns = b->env->now(b->env);
    c->waits = call(c);
    b->waiting += c->waits;
    if (!c->waits)
        b->error = errno;
}

/* ---- The measurement ---- */

static void heed_interrupts(struct bench *b)
{
    unsigned interrupts = b->config->interrupts ? *b->config->interrupts : 0;
    if (interrupts > 0)
        b->end_ns = 0;
    if (interrupts > 1 || (interrupts > 0 && b->begin_ns == 0))
        b->error = ECANCELED;
}

/* Lets all customers go on until none waits. */
static void run(struct bench *b)
{
    for (uint32_t i = 0; i < b->config->clients && !b->error; i++)
        next_call(&b->customers[i]);
    while (b->waiting > 0 && !b->error) {
        if (b->env->wait(b->env, STRAIT_NEVER) < 0 && errno != EINTR)
            b->error = errno;
        heed_interrupts(b);
    }
}

static int open_clients(struct bench *b)
{
    const struct kv_bench_config *config = b->config;
    for (uint32_t i = 0; i < config->clients; i++) {
        const struct kv_client_config client = {
            .host = config->host,
            .nodes = config->nodes,
            .node_count = config->node_count,
            .first = i % config->node_count,
            .message_max = KV_MESSAGE_BYTES_MAX,
        };
        b->customers[i] = (struct customer){.bench = b, .number = i};
        b->customers[i].client = kv_client_new(&client);
        if (!b->customers[i].client)
            return -1;
    }
    return 0;
}

static int measure(struct bench *b)
{
    if (open_clients(b) < 0)
        return ENOMEM;
    memset(b->value, 'v', b->config->value_bytes);
    if (b->config->read)
        run(b);
    b->begin_ns = b->env->now(b->env);
    b->end_ns = b->begin_ns + b->config->duration_ns;
    if (!b->error)
        run(b);
    b->result->took_ns = b->env->now(b->env) - b->begin_ns;
    sum_up(b);
    return b->error;
}

int kv_bench(const struct kv_bench_config *config, struct kv_bench_result *result)
{
    struct bench b = {.config = config, .result = result, .env = config->host.env};
    *result = (struct kv_bench_result){0};
    errno = EINVAL;
    if (config->clients == 0 || config->clients > KV_BENCH_CLIENTS_MAX || config->node_count == 0 ||
        config->duration_ns == 0 || config->value_bytes > KV_VALUE_BYTES_MAX || !b.env->wait)
        return -1;
    b.customers = calloc(config->clients, sizeof(*b.customers));
    b.value = malloc(config->value_bytes + (size_t)1);
    int error = b.customers && b.value ? measure(&b) : ENOMEM;
    for (uint32_t i = 0; b.customers && i < config->clients; i++)
        kv_client_free(b.customers[i].client);
    free(b.customers);
    free(b.value);
    free(b.times_ns);
    errno = error;
    return error ? -1 : 0;
}
