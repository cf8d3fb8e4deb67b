/* SPDX-License-Identifier: MIT */
/*
 * What packets cost in the stack when so many connections are open: a segment of one byte, of a
 * connection picked at random, is taken in, echoed by the application, answered, and the answer
 * acknowledged. So each time the connection is cold if they do not all fit into the caches; on a
 * device the system calls would hide that. A host with many connections has packets of several at
 * hand at once, as a link that drains them reads them: of PEER_BATCH_MAX, or of all if there are
 * fewer; the work `packet_cost_alone` has one exchange under way at a time.
 */
#include <time.h>

#include "cell.h"
#include "peer.h"

#define ROUND     64   /* exchanges between two looks at the clock */
#define PACKETS   3    /* of an exchange */
#define PACKET_NS 1000 /* of the stack's time, from one packet of a connection to the next */

/* A generator of numbers for picking, cheap beside a packet. */
static uint32_t pick(uint64_t *state, size_t count)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((*state >> 32) * count >> 32);
}

/* Picks the connections of the next exchanges, each of its own part of them: they are different.
 */
static void pick_batch(struct peer *peer, uint64_t *state, uint32_t *numbers, size_t count)
{
    size_t part = peer->count / count;
    for (size_t i = 0; i < count; i++) {
        numbers[i] = (uint32_t)(i * part) + pick(state, part);
        __builtin_prefetch(&peer->connections[numbers[i]], 1); /* its memory is not measured */
    }
}

static void exchange(struct peer *peer, const uint32_t *numbers, size_t count)
{
    peer_send_each(peer, numbers, count, PEER_ACK | PEER_PSH, 1);
    peer_turn(peer, PACKET_NS * count);
    peer_send_each(peer, numbers, count, PEER_ACK, 0);
    peer_turn(peer, PACKET_NS * count);
}

/* Processor time: nothing is waited for, and what else runs on the machine is not a packet's cost.
 */
static uint64_t spent_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void measure(const struct cell *cell, size_t batch)
{
    struct peer *peer = peer_new(cell->connections);
    uint64_t state = 1, packets = 0;
    uint32_t numbers[2][PEER_BATCH_MAX];
    for (size_t i = 0; i < peer->count; i++)
        peer_open(peer, i);
    pick_batch(peer, &state, numbers[0], batch);
    uint64_t start_ns = spent_ns(), time_ns = start_ns;
    uint64_t end_ns = start_ns + (uint64_t)(cell->seconds * 1e9);
    int which = 0;
    for (; time_ns < end_ns; time_ns = spent_ns()) {
        for (size_t done = 0; done < ROUND; done += batch, which = !which) {
            pick_batch(peer, &state, numbers[!which], batch);
            exchange(peer, numbers[which], batch);
            packets += batch * PACKETS;
        }
    }
    figure("", "ns", (double)(time_ns - start_ns) / (double)packets);
    peer_free(peer);
}

static void packet_cost(const struct cell *cell)
{
    measure(cell, cell->connections < PEER_BATCH_MAX ? cell->connections : PEER_BATCH_MAX);
}

static void packet_cost_alone(const struct cell *cell)
{
    measure(cell, 1);
}

const struct work packet_works[] = {
    {"packet_cost", packet_cost, true}, {"packet_cost_alone", packet_cost_alone, true}, {0}};
