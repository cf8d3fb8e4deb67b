/* SPDX-License-Identifier: MIT */
/*
 * Memory: what the allocator has given out for so many connections, everything included (sockets,
 * tables, its own headers), divided by their number.
 */
#include <malloc.h>
#include <string.h>

#include "base/seq.h"
#include "cell.h"
#include "peer.h"

#define EXCHANGES 1000

static size_t memory_in_use(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void figure_of_each(size_t before, size_t count)
{
    figure("", "bytes", (double)(memory_in_use() - before) / (double)count);
}

/* Established, accepted and watched; a byte has gone each way and is acknowledged. */
static void memory_idle(const struct cell *cell)
{
    struct peer *peer = peer_new(cell->connections);
    size_t before = memory_in_use();
    for (size_t i = 0; i < peer->count; i++)
        peer_open(peer, i);
    peer_turn(peer, NS_PER_S);
    figure_of_each(before, peer->accepted_count);
    peer_free(peer);
}

/* A SYN has been answered. */
static void memory_half_open(const struct cell *cell)
{
    struct peer *peer = peer_new(cell->connections);
    size_t before = memory_in_use();
    for (size_t i = 0; i < peer->count; i++)
        peer_send(peer, i, PEER_SYN, 0);
    peer_turn(peer, 0);
    figure_of_each(before, peer->count);
    peer_free(peer);
}

/* The host has closed first, and waits. */
static void memory_time_wait(const struct cell *cell)
{
    struct peer *peer = peer_new(cell->connections);
    size_t before = memory_in_use();
    for (size_t i = 0; i < peer->count; i++) {
        peer_open(peer, i);
        strait_close(peer->stack, peer->accepted[i]);
        peer_turn(peer, 1000);
        peer_send(peer, i, PEER_FIN | PEER_ACK, 0);
        peer_turn(peer, 1000);
    }
    figure_of_each(before, peer->count);
    peer_free(peer);
}

/* Sends one full segment, if the window has room for it. Returns whether it was taken. */
static bool fill(struct peer *peer, size_t number)
{
    struct peer_connection *c = &peer->connections[number];
    uint32_t seq = c->seq;
    if (seq_gt(seq + PEER_MSS, c->edge))
        return false;
    size_t held = strait_memory(peer->stack);
    peer_send(peer, number, PEER_ACK, PEER_MSS);
    if (strait_memory(peer->stack) > held)
        return true;
    c->seq = seq;
    return false;
}

static void fill_all(struct peer *peer, size_t first)
{
    for (bool any = true; any;) {
        any = false;
        for (size_t i = first; i < peer->count; i++)
            any = fill(peer, i) || any;
        peer_turn(peer, 1000000);
    }
}

/* How many of the bytes that one connection sends come back at once, in percent. */
static double echoed(struct peer *peer, size_t number)
{
    unsigned answered = 0;
    for (int i = 0; i < EXCHANGES; i++) {
        uint32_t expected = peer->connections[number].ack + 1;
        peer_send(peer, number, PEER_ACK | PEER_PSH, 1);
        peer_turn(peer, 1000000);
        answered += peer->connections[number].ack == expected;
    }
    return 100.0 * answered / EXCHANGES;
}

/* All but the first connection have readers that sleep, and peers that send all the same. */
static void memory_stalled(const struct cell *cell)
{
    struct strait_config config;
    struct peer *peer = peer_new((size_t)cell->connections + 1);
    strait_config_init(&config);
    peer_open(peer, 0);
    peer->asleep = true;
    size_t before = memory_in_use();
    for (size_t i = 1; i < peer->count; i++)
        peer_open(peer, i);
    fill_all(peer, 1);
    figure_of_each(before, peer->count - 1);
    figure("_budget", "%",
           100.0 * (double)strait_memory(peer->stack) / (double)config.memory_max_bytes);
    figure("_others", "%", echoed(peer, 0));
    peer_free(peer);
}

const struct work memory_works[] = {
    {"memory_idle", memory_idle, true},
    {"memory_half_open", memory_half_open, true},
    {"memory_time_wait", memory_time_wait, true},
    {"memory_stalled", memory_stalled, true},
    {0},
};
