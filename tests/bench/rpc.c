/* SPDX-License-Identifier: MIT */
/*
 * Remote procedure calls on the classic wire, a connection for each, by the same client to the same
 * service: over the subject's sockets.
 */
#include <string.h>

#include "cell.h"
#include "primes/stubs.h"
#include "rpc/bench.h"
#include "rpc/classic.h"

#define ROUND_CALLS 200 /* between two looks at the clock; the first round warms up */

void rpc_serve(const struct stream_host *host)
{
    const struct classic_config at = {
        .address = {.sin_family = AF_INET, .sin_port = htons(CLASSIC_PORT)}};
    struct rpc_dispatcher *rpc = rpc_new(host->env);
    if (!rpc || primes_serve(rpc) || !classic_start(host, rpc, &at))
        fail("the procedures");
}

/* Makes a round of calls, each of which has to have the right result. Returns how long it took. */
static double seconds_of_round(const struct rpc_bench_config *config)
{
    struct rpc_bench_result result;
    if (rpc_bench(config, &result) || result.results != config->calls)
        fail("a call");
    return (double)result.took_ns / (double)NS_PER_S;
}

static void rpc_classic(const struct cell *cell)
{
    uint8_t argument[4], thirteen[4];
    double seconds = 0;
    uint32_t calls = 0;
    struct strait_loop *loop = strait_loop_new();
    if (!loop)
        fail("the loop");
    const struct rpc_channel_config to = {
        .host = stream_host_kernel(strait_loop_env(loop)),
        .server = address_of(cell->subject->address, CLASSIC_PORT),
        .wire = &rpc_classic_wire,
        .attempts_max = 1,
    };
    const struct rpc_bench_config round = {
        .channel = rpc_channel_new(&to),
        .procedure = &primes_procedures[PRIMES_ITH_PRIME],
        .arguments = argument,
        .expected = thirteen,
        .calls = ROUND_CALLS,
        .at_once = cell->connections,
    };
    if (!round.channel)
        fail("a channel");
    rpc_put32(argument, 5);
    rpc_put32(thirteen, 13);
    seconds_of_round(&round);
    for (; seconds < cell->seconds; calls += ROUND_CALLS)
        seconds += seconds_of_round(&round);
    figure("", "1/s", calls / seconds);
    rpc_channel_free(round.channel);
    strait_loop_free(loop);
}

const struct work rpc_works[] = {{"rpc_classic", rpc_classic, false}, {0}};
