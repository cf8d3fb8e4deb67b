/* SPDX-License-Identifier: MIT */
/*
 * The endpoints of a host, in steps. TCP's table of tuples comes first, then the table of sockets,
 * for what is in no table of tuples: listeners, UDP and ping sockets. Both can be walked while they
 * change. The upper half of the cursor says in which, the lower half where.
 */
#include "stack.h"

#define IN_SOCKETS (UINT64_C(1) << 32)

/* How many places are looked at for each endpoint that may be visited: most may be empty. */
#define PLACES_FOR_ONE 16u

struct tour {
    void (*visit)(void *context, const struct strait_endpoint *);
    void *context;
    unsigned visited;
};

static void visit_one(void *context, const struct strait_endpoint *endpoint)
{
    struct tour *tour = context;
    tour->visited++;
    tour->visit(tour->context, endpoint);
}

static void show_datagrams(struct tour *tour, const struct udp_endpoint *e)
{
    const struct strait_endpoint endpoint = {
        .size = sizeof(endpoint),
        .kind = e->echo ? STRAIT_ENDPOINT_PING : STRAIT_ENDPOINT_UDP,
        .local = address_to_socket(&e->binding.address, e->binding.port),
        .remote = address_to_socket(&e->remote, e->remote_port),
        .receive_queue = (uint32_t)e->queued_bytes,
        .receive_limit_bytes = (uint32_t)e->queue_max_bytes,
        .receive_memory_bytes = (uint32_t)e->queued_bytes,
    };
    if (e->binding.port != 0)
        visit_one(tour, &endpoint);
}

static void show_listener(struct tour *tour, const struct listener *l)
{
    struct strait_endpoint endpoint = {.size = sizeof(endpoint)};
    tcp_inspect_listener(l, &endpoint);
    visit_one(tour, &endpoint);
}

/* One slot of the table of sockets. Returns false when there are no more. */
static bool inspect_socket(const struct sockets *sockets, uint32_t index, struct tour *tour)
{
    if (index >= sockets->slot_count)
        return false;
    const struct socket *s = slot_socket(sockets->slots[index]);
    if (s != NULL && s->kind == SOCKET_LISTENING)
        show_listener(tour, s->listener);
    else if (s != NULL && s->kind == SOCKET_DATAGRAM)
        show_datagrams(tour, s->endpoint);
    return true;
}

/* One place. Returns false when all has been seen. */
static bool inspect_place(struct strait *s, uint64_t *cursor, struct tour *tour)
{
    uint32_t at = (uint32_t)*cursor;
    if (*cursor >= IN_SOCKETS) {
        ++*cursor;
        return inspect_socket(&s->sockets, at, tour);
    }
    bool more = tcp_inspect(&s->tcp, &at, visit_one, tour);
    *cursor = more ? at : IN_SOCKETS;
    return true;
}

bool strait_inspect(struct strait *s, uint64_t *cursor, unsigned max,
                    void (*visit)(void *context, const struct strait_endpoint *), void *context)
{
    struct tour tour = {visit, context, 0};
    unsigned places = 0;
    while (tour.visited < max && places++ / PLACES_FOR_ONE < max)
        if (!inspect_place(s, cursor, &tour))
            return false;
    return true;
}
