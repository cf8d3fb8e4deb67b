/* SPDX-License-Identifier: MIT */
/* Runs call worlds (call_world.h, runner.h). */
#include <inttypes.h>

#include "call_world.h"
#include "runner.h"

static uint32_t run(void *context, uint64_t seed, FILE *log, uint64_t *hash)
{
    struct call_world *w = call_world_new(seed, COUNTER_SOUND);
    if (log)
        call_world_log(w, log);
    uint32_t violations = call_world_run(w, stdout);
    *hash = call_world_hash(w);
    call_world_add(w, context);
    call_world_free(w);
    return violations;
}

static void sum_up(void *context)
{
    const struct call_world_totals *t = context;
    printf("%" PRIu64 " virtual hours, %" PRIu64 " calls (%" PRIu64 " results, %" PRIu64
           " unknown, %" PRIu64 " not executed) in %" PRIu64 " attempts, %" PRIu64
           " crashes of servers",
           t->virtual_ns / UINT64_C(3600000000000), t->calls, t->results, t->unknown,
           t->not_executed, t->attempts, t->server_crashes);
}

int main(int argc, char **argv)
{
    struct call_world_totals totals = {0};
    return runner_main(argc, argv, &(struct runner){run, sum_up, &totals});
}
