/* SPDX-License-Identifier: MIT */
/* Measures how many transactions a second a cluster carries, and how long they take. */
#ifndef KV_BENCH_H
#define KV_BENCH_H

#include "kv/client.h"

#define KV_BENCH_CLIENTS_MAX 1024
#define KV_BENCH_SECONDS_MAX 3600
#define KV_BENCH_KEYS        64 /* of each client, its own */

struct kv_bench_config {
    struct stream_host host; /* whose environment has a `wait`, and is driven */
    const struct sockaddr_in *nodes;
    size_t node_count;
    uint32_t clients; /* each with connections of its own, and one call at a time */
    uint64_t duration_ns;
    uint32_t value_bytes;
    bool read; /* reads, of what was written before the measurement */
    /* A number that grows, such as of signals: the first ends the measurement early, when the calls
     * under way have; the second at once. NULL: none. */
    const unsigned *interrupts;
};

struct kv_bench_result {
    uint64_t took_ns;
    uint64_t done, failed, unknown;
    uint64_t retries;                        /* attempts beyond the first */
    uint64_t median_ns, slow_ns, slowest_ns; /* of those done: 50 %, 99 % and all took no longer */
    char failure[KV_CLIENT_TEXT_BYTES];      /* of one that was not done */
};

/*
 * Returns 0, or -1 with errno: ENOMEM, EINVAL (a number that is 0 or too large), EIO (what is to be
 * read cannot be written, see `failure`), ECANCELED (interrupted), or of the wait.
 */
int kv_bench(const struct kv_bench_config *, struct kv_bench_result *);

#endif
