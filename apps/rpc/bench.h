/* SPDX-License-Identifier: MIT */
/* Measures how many calls a second channels carry, and how long they take. */
#ifndef APPS_RPC_BENCH_H
#define APPS_RPC_BENCH_H

#include <stdint.h>

#include "rpc/client.h"

#define RPC_BENCH_CALLS_MAX 10000000

struct rpc_bench_config {
    struct rpc_channel *const *channels; /* of one environment, which has a `wait` and is driven */
    size_t channel_count;                /* callers take them in turn */
    const struct rpc_procedure *procedure;
    const uint8_t *arguments;
    const uint8_t *expected; /* what each result has to be; NULL: any */
    uint32_t calls;          /* in all, at most RPC_BENCH_CALLS_MAX */
    uint32_t at_once;        /* at most RPC_CALLS_MAX for each channel */
};

struct rpc_bench_result {
    uint64_t took_ns;
    uint32_t results;                        /* calls that had one, and the expected one */
    uint64_t median_ns, slow_ns, slowest_ns; /* of these: 50 %, 99 % and all took no longer */
    struct rpc_reply failure;                /* of a call that had none, if there is one */
};

/* Returns 0, or -1 with errno: ENOMEM, EINVAL (a number that is 0 or too large), or of the wait. */
int rpc_bench(const struct rpc_bench_config *, struct rpc_bench_result *);

#endif
