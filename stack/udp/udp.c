/* SPDX-License-Identifier: MIT */
/*
 * UDP (RFC 768, RFC 1122 4.1). A datagram goes out in the call that sends it; one that comes in is
 * copied into a block of the stack's memory and waits in the queue of its endpoint. That queue and
 * the memory are all that grows, and both are bounded: what exceeds them is dropped and counted, as
 * UDP may.
 *
 * Claims on ports may overlap if their owners agree (ip/ports.h); of those that fit a datagram, the
 * one that names most of its addresses and ports gets it.
 */
#include "udp/udp.h"

#include <errno.h>
#include <poll.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/siphash.h"
#include "udp/endpoint.h"
#include "udp/ping.h"

#define CHECKSUM_AT 6
#define LENGTH_MAX  65535 /* that the header can tell, itself included */

#define ECHO_PEER_PORT 1 /* stands for the port that the peer of an echo does not have */

_Static_assert(LENGTH_MAX - UDP_HEADER_BYTES <= POOL_LARGE_BYTES, "any payload fits a block");

static inline uint8_t *datagram_payload(struct datagram *d)
{
    return (uint8_t *)d + POOL_HEADER_BYTES;
}

void udp_init(struct udp *u, struct core *core, struct ip *ip)
{
    *u = (struct udp){.core = core, .ip = ip};
    ports_init(&u->ports);
    ports_init(&u->echo_ids);
}

/* ---- The queue of an endpoint --------------------------------------------------------------- */

void udp_enqueue(struct udp *u, struct udp_endpoint *e, const struct datagram *header,
                 const uint8_t *payload)
{
    static const struct {
        enum counter taken, queue_full, memory_short;
    } fates[] = {
        {COUNTER_udp_datagrams_in, COUNTER_udp_queue_full, COUNTER_udp_memory_short},
        {COUNTER_icmp_echo_replies_in, COUNTER_icmp_queue_full, COUNTER_icmp_memory_short},
    };
    uint64_t *counters = u->core->counters;
    enum pool_class kind = pool_class_for(header->length);
    size_t bytes = pool_class_bytes(kind);

    if (e->queued_bytes > 0 && e->queued_bytes + bytes > e->queue_max_bytes) {
        counters[fates[e->echo].queue_full]++;
        return;
    }
    struct datagram *d = pool_take(&u->core->pool, kind, 0);
    if (d == NULL) {
        counters[fates[e->echo].memory_short]++;
        return;
    }
    *d = *header;
    d->kind = (uint8_t)kind;
    memcpy(datagram_payload(d), payload, d->length);
    list_append(&e->queue, &d->node);
    e->queued_bytes += bytes;
    counters[fates[e->echo].taken]++;
    u->wake(u->wake_context, e->owner);
}

static void drop_oldest(struct udp *u, struct udp_endpoint *e)
{
    struct datagram *d = container_of(e->queue.next, struct datagram, node);
    list_remove(&d->node);
    e->queued_bytes -= pool_class_bytes(d->kind);
    pool_return(&u->core->pool, d->kind, d);
}

/* ---- In ------------------------------------------------------------------------------------- */

struct udp_arrival udp_arrival_of(const struct udp *u, const struct ip_packet *packet,
                                  uint16_t source_port)
{
    return (struct udp_arrival){
        .source = packet->source,
        .destination = packet->destination,
        .source_port = source_port,
        .ttl = packet->ttl,
        .tos = packet->tos,
        .interface = (uint8_t)ip_interface_number(u->ip, packet->interface),
    };
}

static bool is_peer(const struct udp_endpoint *e, const struct udp_flow *flow)
{
    return (e->echo || e->remote_port == flow->remote_port) &&
           address_equal(&e->remote, &flow->remote);
}

/* How well an endpoint fits what comes by the flow: 0 is not at all. */
static int fitness(const struct udp_endpoint *e, const struct udp_flow *flow)
{
    const struct binding *b = &e->binding;
    bool wildcard = address_is_any(&b->address);

    if (b->port != flow->local_port || !(wildcard || address_equal(&b->address, &flow->local)))
        return 0;
    if (e->remote_port == 0)
        return wildcard ? 1 : 2;
    return is_peer(e, flow) ? 3 : 0;
}

/* Whether both share what comes for their address and port: SO_REUSEPORT. */
static bool share(const struct udp_endpoint *a, const struct udp_endpoint *b)
{
    return a->binding.reuse_port && b->binding.reuse_port && a->binding.port == b->binding.port &&
           address_equal(&a->binding.address, &b->binding.address) && b->remote_port == 0;
}

/* One of those that share with `e`, by the hash of the flow. */
static struct udp_endpoint *choose(struct ports *ports, const uint8_t *secret,
                                   const struct udp_endpoint *e, const struct udp_flow *flow)
{
    struct list *bucket = ports_bucket(ports, flow->local_port);
    uint32_t hash = (uint32_t)siphash(secret, flow, sizeof(*flow)), members = 0;

    for (struct list *node = bucket->next; node != bucket; node = node->next)
        members += share(e, container_of(node, struct udp_endpoint, binding.node));
    CHECK(members > 0); /* `e` itself */
    uint32_t left = hash % members;
    for (struct list *node = bucket->next;; node = node->next) {
        struct udp_endpoint *other = container_of(node, struct udp_endpoint, binding.node);
        if (share(e, other) && left-- == 0)
            return other;
    }
}

/* The best, and of equals the one that was bound last, as in Linux. */
struct udp_endpoint *udp_find(struct udp *u, struct ports *ports, const struct udp_flow *flow)
{
    struct list *bucket = ports_bucket(ports, flow->local_port);
    struct udp_endpoint *best = NULL;
    int best_fitness = 1;

    for (struct list *node = bucket->next; node != bucket; node = node->next) {
        struct udp_endpoint *e = container_of(node, struct udp_endpoint, binding.node);
        int fits = fitness(e, flow);
        if (fits < best_fitness)
            continue;
        best = e;
        best_fitness = fits;
    }
    if (best != NULL && best->remote_port == 0 && best->binding.reuse_port)
        return choose(ports, u->core->config.secret, best, flow);
    return best;
}

/* Gives the payload to its endpoint: all of it, or in the pieces that a super-packet is made of. */
static void deliver(struct udp *u, const struct ip_packet *packet, const uint8_t *payload,
                    size_t length, uint16_t source_port, uint16_t destination_port)
{
    struct udp_flow flow = {packet->destination, packet->source, destination_port, source_port};
    struct udp_endpoint *e = udp_find(u, &u->ports, &flow);

    if (e == NULL) {
        count(u->core, udp_no_socket);
        log_to(u->core, STRAIT_LOG_UDP, "nobody receives at port %u", destination_port);
        icmp_error(u->ip, packet, ICMP_TYPE_UNREACHABLE, ICMP_CODE_PORT); /* RFC 1122 4.1.3.1 */
        return;
    }
    bool super = packet->offload->gso == STRAIT_GSO_UDP4;
    size_t piece = super ? packet->offload->gso_size : length;
    struct datagram header = {.arrival = udp_arrival_of(u, packet, source_port)};
    do {
        header.length = (uint32_t)(length < piece ? length : piece);
        udp_enqueue(u, e, &header, payload);
        payload += header.length;
        length -= header.length;
    } while (length > 0);
}

static void udp_input(void *self, const struct ip_packet *packet)
{
    struct udp *u = self;
    struct reader r = reader_over(packet->payload, packet->length);
    uint16_t source_port = read_be16(&r); /* 0: the sender wants no answer (RFC 768) */
    uint16_t destination_port = read_be16(&r);
    size_t length = read_be16(&r);
    uint16_t checksum = read_be16(&r);

    if (r.short_of || length < UDP_HEADER_BYTES || length > packet->length) {
        count(u->core, udp_length_wrong);
        return;
    }
    /* The checksum covers what the UDP header says, which may be less than what IP says. */
    struct ip_packet exact = *packet;
    exact.length = length;
    if (checksum != 0 && !ip_checksum_right(&exact)) { /* 0: not computed, RFC 1122 4.1.3.4 */
        count(u->core, udp_checksum_wrong);
        return;
    }
    if (destination_port == 0) {
        count(u->core, udp_port_zero);
        return;
    }
    deliver(u, packet, r.at, length - UDP_HEADER_BYTES, source_port, destination_port);
}

const struct ip_protocol udp_protocol = {.input = udp_input, .error = udp_error};

/* ---- Endpoints ------------------------------------------------------------------------------ */

void udp_open(struct udp *u, struct udp_endpoint *e, void *owner)
{
    *e = (struct udp_endpoint){
        .owner = owner,
        .queue_max_bytes = u->core->config.udp_receive_buffer_bytes,
        .ttl = u->core->config.ttl,
        .mtu_discover = IP_PMTUDISC_WANT,
    };
    e->binding.address = e->remote = address_v4(INADDR_ANY);
    list_init(&e->queue);
    list_init(&e->failures);
}

void udp_close(struct udp *u, struct udp_endpoint *e)
{
    while (!list_empty(&e->queue))
        drop_oldest(u, e);
    udp_keep_failures(u, e, false);
    ports_release(&e->binding);
}

static int fail(int number)
{
    errno = number;
    return -1;
}

/* Where the endpoint's port, or identifier, is claimed. */
static struct ports *ports_of(struct udp *u, const struct udp_endpoint *e)
{
    return e->echo ? &u->echo_ids : &u->ports;
}

int udp_bind(struct udp *u, struct udp_endpoint *e, const struct address *address, uint16_t port)
{
    if (e->binding.port != 0)
        return fail(EINVAL);
    if (!address_is_any(address) && !ip_is_own(u->ip, address))
        return fail(EADDRNOTAVAIL);
    if (port == 0)
        return ports_bind_any(ports_of(u, e), u->core, &e->binding, address);
    return ports_bind(ports_of(u, e), &e->binding, address, port);
}

static void disconnect(struct udp *u, struct udp_endpoint *e)
{
    struct address any = address_v4(INADDR_ANY);

    e->remote_port = 0;
    if (e->address_implied && ports_move(ports_of(u, e), &e->binding, &any) == 0)
        e->address_implied = false;
}

int udp_connect(struct udp *u, struct udp_endpoint *e, const struct address *remote, uint16_t port)
{
    struct route route;

    if (remote == NULL) {
        disconnect(u, e);
        return 0;
    }
    if (port == 0 && e->echo)
        port = ECHO_PEER_PORT;
    if (port == 0)
        return fail(EINVAL);
    if (ip_is_broadcast(u->ip, remote))
        return fail(EACCES);
    const struct address *source = e->address_implied ? NULL : &e->binding.address;
    if (ip_route_find(u->ip, source, remote, &route) < 0)
        return -1;

    bool chosen = !address_equal(&e->binding.address, &route.source);
    if (e->binding.port == 0) {
        if (udp_bind(u, e, &route.source, 0) < 0)
            return -1;
    } else if (chosen && ports_move(ports_of(u, e), &e->binding, &route.source) < 0) {
        return -1;
    }
    e->address_implied |= chosen;
    e->remote = *remote;
    e->remote_port = port;
    return 0;
}

short udp_events(const struct udp_endpoint *e)
{
    int events = POLLOUT;
    if (!list_empty(&e->queue))
        events |= POLLIN;
    if (e->error != 0 || !list_empty(&e->failures))
        events |= POLLERR;
    return (short)events;
}

/* ---- Sending and receiving ------------------------------------------------------------------ */

/* The pending error, which is told once. */
static int take_error(struct udp_endpoint *e)
{
    int error = e->error;
    e->error = 0;
    return error;
}

/* The length of the parts together, or more than any datagram's. */
static size_t parts_bytes(const struct iovec *parts, int count)
{
    size_t bytes = 0;
    for (int i = 0; i < count; i++) {
        if (parts[i].iov_len > LENGTH_MAX - bytes)
            return LENGTH_MAX;
        bytes += parts[i].iov_len;
    }
    return bytes;
}

/* Whether what ICMP has said of the path is passed over: ip(7), IP_MTU_DISCOVER. */
static bool ignores_path(const struct udp_endpoint *e)
{
    return e->mtu_discover >= IP_PMTUDISC_PROBE;
}

enum outgoing_length udp_too_long(const struct udp_endpoint *e)
{
    bool cut = e->mtu_discover < IP_PMTUDISC_DO || e->mtu_discover == IP_PMTUDISC_OMIT;

    return cut ? OUTGOING_CUT_HERE : OUTGOING_WHOLE;
}

/* Whether routers may cut it. */
static bool lets_others_cut(const struct udp *u, const struct udp_endpoint *e)
{
    if (e->mtu_discover == IP_PMTUDISC_WANT)
        return u->core->now_ns < e->cut_until_ns;
    return e->mtu_discover == IP_PMTUDISC_DONT || e->mtu_discover == IP_PMTUDISC_INTERFACE ||
           e->mtu_discover == IP_PMTUDISC_OMIT;
}

/* The way from the endpoint to `remote`, on `terms`. */
static int find_route(struct udp *u, const struct udp_endpoint *e, const struct address *remote,
                      const struct udp_terms *terms, struct route *route)
{
    static const struct udp_terms none = {.ttl = UDP_TERM_NONE, .tos = UDP_TERM_NONE};

    if (terms == NULL)
        terms = &none;
    bool from = terms != &none && !address_is_any(&terms->source);
    if (from && !ip_is_own(u->ip, &terms->source))
        return fail(ENETUNREACH);
    if (ip_route_find(u->ip, from ? &terms->source : &e->binding.address, remote, route) < 0)
        return -1;
    if (terms->interface != 0 && ip_route_through(u->ip, terms->interface, route) < 0)
        return -1;
    route->ttl = terms->ttl == UDP_TERM_NONE ? e->ttl : (uint8_t)terms->ttl;
    route->tos = terms->tos == UDP_TERM_NONE ? e->tos : (uint8_t)terms->tos;
    route->may_be_cut = lets_others_cut(u, e);
    if (ignores_path(e))
        route->mtu = (uint16_t)route->interface->link->mtu;
    return 0;
}

/* Sends a payload of at most OUTGOING_PARTS_MAX parts from `e`, which has a port. */
static int send_parts(struct udp *u, const struct udp_endpoint *e, const struct route *route,
                      uint16_t port, const struct iovec *parts, int count)
{
    struct ip_outgoing out;

    if (e->echo)
        return ping_send(u, e, route, parts, count);
    outgoing_init(&out, UDP_HEADER_BYTES, CHECKSUM_AT, true);
    out.too_long = udp_too_long(e);
    for (int i = 0; i < count; i++)
        outgoing_payload(&out, parts[i].iov_base, parts[i].iov_len);
    uint8_t *header = outgoing_transport(&out);
    store_be16(header, e->binding.port);
    store_be16(header + 2, port);
    store_be16(header + 4, (uint16_t)(UDP_HEADER_BYTES + out.payload_bytes));
    store_be16(header + CHECKSUM_AT, 0);
    if (ip_output(u->ip, route, IPPROTO_UDP, &out) < 0)
        return -1;
    count(u->core, udp_datagrams_out);
    return 0;
}

/* Sends a payload of more parts than a packet can have, copied into one. */
static int send_gathered(struct udp *u, const struct udp_endpoint *e, const struct route *route,
                         uint16_t port, const struct iovec *parts, int count)
{
    size_t bytes = parts_bytes(parts, count);
    enum pool_class kind = pool_class_for(bytes);
    uint8_t *block = pool_take(&u->core->pool, kind, 0);
    if (block == NULL)
        return fail(ENOBUFS);

    struct iovec whole = {.iov_base = block, .iov_len = bytes};
    for (int i = 0; i < count; i++) {
        if (parts[i].iov_len > 0) /* an empty part may have no address */
            memcpy(block, parts[i].iov_base, parts[i].iov_len);
        block += parts[i].iov_len;
    }
    int result = send_parts(u, e, route, port, &whole, 1);
    int error = errno;
    pool_return(&u->core->pool, kind, whole.iov_base);
    errno = error;
    return result;
}

/* Who wants to know hears by how much a datagram was too long. */
static void note_too_long(struct udp *u, struct udp_endpoint *e, const struct route *route,
                          uint16_t port)
{
    struct udp_failure failure = {
        .error = EMSGSIZE,
        .mtu = route->mtu,
        .remote = route->destination,
        .port = port,
    };
    udp_note_failure(u, e, &failure, NULL, 0);
}

int udp_send(struct udp *u, struct udp_endpoint *e, const struct iovec *parts, int count,
             const struct address *remote, uint16_t port, const struct udp_terms *terms)
{
    struct route route;

    if (e->error != 0)
        return fail(take_error(e));
    if (remote == NULL) {
        if (e->remote_port == 0)
            return fail(EDESTADDRREQ);
        remote = &e->remote;
        port = e->remote_port;
    }
    if (port == 0 && !e->echo)
        return fail(EINVAL);
    if (ip_is_broadcast(u->ip, remote))
        return fail(EACCES);
    if (parts_bytes(parts, count) > LENGTH_MAX - UDP_HEADER_BYTES)
        return fail(EMSGSIZE);
    if (find_route(u, e, remote, terms, &route) < 0)
        return -1;
    if (e->binding.port == 0 && udp_bind(u, e, &e->binding.address, 0) < 0)
        return -1;
    int result = count > OUTGOING_PARTS_MAX ? send_gathered(u, e, &route, port, parts, count)
                                            : send_parts(u, e, &route, port, parts, count);
    if (result < 0 && errno == EMSGSIZE) {
        note_too_long(u, e, &route, port);
        errno = EMSGSIZE;
    }
    return result;
}

void udp_scatter(const struct iovec *parts, int count, const uint8_t *bytes, size_t length)
{
    for (int i = 0; i < count && length > 0; i++) {
        size_t piece = parts[i].iov_len < length ? parts[i].iov_len : length;
        if (piece > 0) /* an empty part may have no address */
            memcpy(parts[i].iov_base, bytes, piece);
        bytes += piece;
        length -= piece;
    }
}

ssize_t udp_receive(struct udp *u, struct udp_endpoint *e, const struct iovec *parts, int count,
                    bool peek, struct udp_arrival *arrival)
{
    if (e->error != 0)
        return fail(take_error(e));
    if (list_empty(&e->queue))
        return fail(EAGAIN);

    struct datagram *d = container_of(e->queue.next, struct datagram, node);
    ssize_t length = (ssize_t)d->length;
    udp_scatter(parts, count, datagram_payload(d), d->length);
    if (arrival != NULL)
        *arrival = d->arrival;
    if (!peek)
        drop_oldest(u, e);
    return length;
}

size_t udp_next_length(const struct udp_endpoint *e)
{
    if (list_empty(&e->queue))
        return 0;
    return container_of(e->queue.next, const struct datagram, node)->length;
}

int udp_mtu(struct udp *u, const struct udp_endpoint *e)
{
    struct route route;

    if (e->remote_port == 0)
        return fail(ENOTCONN);
    return find_route(u, e, &e->remote, NULL, &route) < 0 ? -1 : route.mtu;
}
