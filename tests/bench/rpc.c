/* SPDX-License-Identifier: MIT */
/*
 * Remote procedure calls by the same client to the same service, over the subject's sockets: on the
 * classic wire, a connection for each; by gRPC, so many streams on each connection.
 */
#include <stdlib.h>
#include <string.h>

#include "cell.h"
#include "offer.h"
#include "primes/stubs.h"
#include "rpc/bench.h"
#include "rpc/classic.h"
#include "rpc/grpc.h"

#define ROUND_S      0.1 /* of warming up, which tells how many calls there are to measure */
#define ROUND_CALLS  500 /* that the first round makes */
#define CHANNELS_MAX 16

void rpc_serve(const struct stream_host *host)
{
    struct offer *offer = get_memory(sizeof(*offer));
    if (offer_init(offer, host->env) || offer_classic(offer, host, CLASSIC_PORT) ||
        offer_grpc(offer, host, GRPC_PORT))
        fail("the procedures");
}

/* Makes calls, each of which has to have the right result. */
static struct rpc_bench_result make_calls(struct rpc_bench_config *config, double calls)
{
    struct rpc_bench_result result;
    config->calls = calls < RPC_BENCH_CALLS_MAX ? (uint32_t)calls : RPC_BENCH_CALLS_MAX;
    if (rpc_bench(config, &result) || result.results != config->calls)
        fail("a call");
    return result;
}

static double rate_of(const struct rpc_bench_result *result)
{
    return result->results * (double)NS_PER_S / (double)result->took_ns;
}

/* How fast the calls are is found out by ever more of them. */
static void measure(struct rpc_bench_config *config, double seconds)
{
    struct rpc_bench_result r = make_calls(config, ROUND_CALLS);
    for (int round = 0; round < 2; round++)
        r = make_calls(config, rate_of(&r) * ROUND_S + config->at_once);
    r = make_calls(config, rate_of(&r) * seconds + config->at_once);
    figure("", "1/s", rate_of(&r));
    figure("_p50", "us", (double)r.median_ns / 1e3);
    figure("_p99", "us", (double)r.slow_ns / 1e3);
}

static void call_prime(const struct cell *cell, const struct rpc_wire *wire, uint16_t port,
                       unsigned channel_count, unsigned at_once)
{
    uint8_t argument[4], thirteen[4];
    struct rpc_channel *channels[CHANNELS_MAX];
    struct strait_loop *loop = strait_loop_new();
    if (!loop || channel_count > CHANNELS_MAX)
        fail("the loop, or channels");
    const struct rpc_channel_config to = {
        .host = stream_host_kernel(strait_loop_env(loop)),
        .server = address_of(cell->subject->address, port),
        .wire = wire,
        .attempts_max = 1,
        .messages = offer_messages,
    };
    for (unsigned i = 0; i < channel_count; i++)
        if (!(channels[i] = rpc_channel_new(&to)))
            fail("a channel");
    struct rpc_bench_config calls = {
        .channels = channels,
        .channel_count = channel_count,
        .procedure = &primes_procedures[PRIMES_ITH_PRIME],
        .arguments = argument,
        .expected = thirteen,
        .at_once = at_once,
    };
    rpc_put32(argument, 5);
    rpc_put32(thirteen, 13);
    measure(&calls, cell->seconds);
    for (unsigned i = 0; i < channel_count; i++)
        rpc_channel_free(channels[i]);
    strait_loop_free(loop);
}

static void rpc_classic(const struct cell *cell)
{
    call_prime(cell, &rpc_classic_wire, CLASSIC_PORT, 1, cell->connections);
}

static void grpc_unary(const struct cell *cell)
{
    call_prime(cell, &rpc_grpc_wire, GRPC_PORT, cell->connections,
               cell->connections * cell->streams);
}

const struct work rpc_works[] = {
    {"rpc_classic", rpc_classic, false}, {"grpc_unary", grpc_unary, false}, {0}};
