/* SPDX-License-Identifier: MIT */
/*
 * What packets cost in the stack when so many connections are open: a segment of one byte, of a
 * connection picked at random, is taken in, echoed by the application, answered, and the answer
 * acknowledged. So each time the connection is cold if they do not all fit into the caches; on a
 * device the system calls would hide that.
 */
#include "cell.h"
#include "peer.h"

#define ROUND   64 /* exchanges between two looks at the clock */
#define PACKETS 3  /* of an exchange */

/* A generator of numbers for picking, cheap beside a packet. */
static uint32_t pick(uint64_t *state, size_t count)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((*state >> 32) * count >> 32);
}

static void packet_cost(const struct cell *cell)
{
    struct peer *peer = peer_new(cell->connections);
    uint64_t state = 1, packets = 0;
    for (size_t i = 0; i < peer->count; i++)
        peer_open(peer, i);
    uint64_t start_ns = now_ns(), time_ns = start_ns;
    uint64_t end_ns = start_ns + (uint64_t)(cell->seconds * 1e9);
    uint32_t next = 0;
    for (; time_ns < end_ns; time_ns = now_ns()) {
        for (int i = 0; i < ROUND; i++) {
            uint32_t number = next;
            next = pick(&state, peer->count);
            __builtin_prefetch(&peer->connections[next], 1); /* the peer's memory is not measured */
            peer_send(peer, number, PEER_ACK | PEER_PSH, 1);
            peer_turn(peer, 1000);
            peer_send(peer, number, PEER_ACK, 0);
            peer_turn(peer, 1000);
        }
        packets += (uint64_t)ROUND * PACKETS;
    }
    figure("", "ns", (double)(time_ns - start_ns) / (double)packets);
    peer_free(peer);
}

const struct work packet_works[] = {{"packet_cost", packet_cost, true}, {0}};
