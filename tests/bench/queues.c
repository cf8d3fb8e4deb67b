/* SPDX-License-Identifier: MIT */
/*
 * Strait on several queues, as `strait serve --queues` is: a shard for each, on a thread and a core
 * of its own, with the services that bulk needs.
 */
#include <stdlib.h>

#include "cell.h"
#include "echo/echo.h"
#include "shards.h"

static int run(void *context, uint32_t number)
{
    struct shards *shards = context;
    return station_run(&shards->shard[number].station);
}

static void start_services(const struct station *station)
{
    if (!discard_start(station->stack, station->env, PORT_DISCARD) ||
        !chargen_start(station->stack, station->env, PORT_SOURCE))
        fail("the services");
}

void serve_queues(const struct cell *cell)
{
    struct options options = {
        .tun = "tun0",
        .addr = address_of(SUBJECT_ADDRESS, 0).sin_addr,
        .prefix_bits = PREFIX_BITS,
        .peer = address_of(KERNEL_ADDRESS, 0).sin_addr,
        .mtu = cell->mtu,
        .no_offload = cell->plain,
    };
    struct shards shards;
    strait_config_init(&options.config);
    if (shards_init(&shards, &options) < 0 || shards_open(&shards, cell->queues) < 0 ||
        shards.count != cell->queues)
        fail("%u queues", cell->queues);
    die_with_parent(); /* which the change of the user has undone */
    for (uint32_t i = 0; i < shards.count; i++)
        start_services(&shards.shard[i].station);
    cell_ready();
    shards_run(&shards, run, &shards);
    fail("tun0");
}
