/* SPDX-License-Identifier: MIT */
/* Runs worlds of the key-value store (kv_world.h, runner.h). */
#include <inttypes.h>

#include "kv_world.h"
#include "runner.h"

static uint32_t run(void *context, uint64_t seed, FILE *log, uint64_t *hash)
{
    struct kv_world *w = kv_world_new(seed);
    if (log)
        kv_world_log(w, log);
    uint32_t violations = kv_world_run(w, stdout);
    *hash = kv_world_hash(w);
    kv_world_add(w, context);
    kv_world_free(w);
    return violations;
}

static void sum_up(void *context)
{
    const struct kv_world_totals *t = context;
    printf("%" PRIu64 " virtual minutes, %" PRIu64 " requests (%" PRIu64 " done, %" PRIu64
           " failed, %" PRIu64 " unknown, %" PRIu64 " lost with their clients), %" PRIu64
           " stale reads, %" PRIu64 " retries, %" PRIu64 " crashes of nodes, %" PRIu64
           " drained, %" PRIu64 " backups, %" PRIu64 " stopped, %" PRIu64 " histories too large",
           t->virtual_ns / UINT64_C(60000000000), t->load.requests, t->load.done, t->load.failed,
           t->load.unknown, t->load.lost, t->load.stale, t->load.retries, t->faults.crashes,
           t->faults.drained, t->backups, t->faults.stops, t->too_large);
}

int main(int argc, char **argv)
{
    struct kv_world_totals totals = {0};
    return runner_main(argc, argv, &(struct runner){run, sum_up, &totals});
}
