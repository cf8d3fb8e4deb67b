/* SPDX-License-Identifier: MIT */
#include "rpc/bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct bench;

/* One after another, a caller makes its calls. */
struct caller {
    struct bench *bench;
    struct rpc_channel *channel;
    struct rpc_call *call; /* NULL: none */
    uint64_t began_ns;
};

struct bench {
    const struct rpc_bench_config *config;
    struct rpc_bench_result *result;
    struct strait_env *env;
    uint32_t begun, ended;
    int error;          /* a call could not be begun */
    uint64_t *times_ns; /* of results */
    struct caller *callers;
};

static void next_call(struct caller *caller);

static void call_ended(void *context, struct rpc_reply reply, const uint8_t *result)
{
    struct caller *caller = context;
    struct bench *b = caller->bench;
    const struct rpc_bench_config *c = b->config;
    caller->call = NULL;
    b->ended++;
    if (result && (!c->expected || memcmp(result, c->expected, c->procedure->result_bytes) == 0))
        b->times_ns[b->result->results++] = b->env->now(b->env) - caller->began_ns;
    else
        b->result->failure = reply;
    next_call(caller);
}

static void next_call(struct caller *caller)
{
    struct bench *b = caller->bench;
    const struct rpc_bench_config *c = b->config;
    if (b->begun == c->calls || b->error)
        return;
    caller->began_ns = b->env->now(b->env);
    caller->call =
        rpc_call_start(caller->channel, c->procedure, c->arguments, 0, call_ended, caller);
    if (caller->call)
        b->begun++;
    else
        b->error = errno;
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
    struct rpc_bench_result *r = b->result;
    size_t count = r->results;
    if (count == 0)
        return;
    qsort(b->times_ns, count, sizeof(*b->times_ns), compare);
    r->median_ns = b->times_ns[(count - 1) / 2];
    r->slow_ns = b->times_ns[(count - 1) * 99 / 100];
    r->slowest_ns = b->times_ns[count - 1];
}

/* Returns 0 or an errno. */
static int run(struct bench *b)
{
    const struct rpc_bench_config *c = b->config;
    uint64_t began_ns = b->env->now(b->env);
    for (uint32_t i = 0; i < c->at_once; i++) {
        b->callers[i].bench = b;
        b->callers[i].channel = c->channels[i % c->channel_count];
        next_call(&b->callers[i]);
    }
    while (b->ended < b->begun)
        if (b->env->wait(b->env, STRAIT_NEVER) < 0 && errno != EINTR) {
            b->error = errno;
            break;
        }
    b->result->took_ns = b->env->now(b->env) - began_ns;
    for (uint32_t i = 0; i < c->at_once; i++)
        if (b->callers[i].call)
            rpc_call_cancel(b->callers[i].call);
    sum_up(b);
    return b->error;
}

int rpc_bench(const struct rpc_bench_config *config, struct rpc_bench_result *result)
{
    struct bench b = {
        .config = config, .result = result, .env = rpc_channel_env(config->channels[0])};
    *result = (struct rpc_bench_result){0};
    errno = EINVAL;
    if (config->calls == 0 || config->calls > RPC_BENCH_CALLS_MAX || config->at_once == 0 ||
        config->at_once > RPC_CALLS_MAX * config->channel_count || !b.env->wait)
        return -1;
    b.times_ns = calloc(config->calls, sizeof(*b.times_ns));
    b.callers = calloc(config->at_once, sizeof(*b.callers));
    int error = b.times_ns && b.callers ? run(&b) : ENOMEM;
    free(b.times_ns);
    free(b.callers);
    errno = error;
    return error ? -1 : 0;
}
