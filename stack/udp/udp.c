/* SPDX-License-Identifier: MIT */
/*
 * UDP (RFC 768, RFC 1122 4.1). A datagram goes out in the call that sends it; one that comes in is
 * copied into a block of the stack's memory and waits in the queue of its endpoint. That queue and
 * the memory are all that grows, and both are bounded: what exceeds them is dropped and counted, as
 * UDP may.
 *
 * Claims on ports never overlap (ip/ports.h), so at most one endpoint fits an address and port.
 */
#include "udp/udp.h"

#include <errno.h>
#include <poll.h>

#include "base/bytes.h"
#include "base/check.h"
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

struct udp_endpoint *udp_endpoint_at(struct ports *ports, const struct address *local,
                                     uint16_t port)
{
    struct list *bucket = ports_bucket(ports, port);

    for (struct list *node = bucket->next; node != bucket; node = node->next) {
        struct binding *b = container_of(node, struct binding, node);
        if (b->port == port && (address_is_any(&b->address) || address_equal(&b->address, local)))
            return container_of(b, struct udp_endpoint, binding);
    }
    return NULL;
}

static bool is_peer(const struct udp_endpoint *e, const struct address *remote, uint16_t port)
{
    return e->remote_port == port && address_equal(&e->remote, remote);
}

/* Gives the payload to its endpoint: all of it, or in the pieces that a super-packet is made of. */
static void deliver(struct udp *u, const struct ip_packet *packet, const uint8_t *payload,
                    size_t length, uint16_t source_port, uint16_t destination_port)
{
    struct udp_endpoint *e = udp_endpoint_at(&u->ports, &packet->destination, destination_port);

    if (e == NULL || (e->remote_port != 0 && !is_peer(e, &packet->source, source_port))) {
        count(u->core, udp_no_socket);
        log_to(u->core, STRAIT_LOG_UDP, "nobody receives at port %u", destination_port);
        icmp_error(u->ip, packet, ICMP_TYPE_UNREACHABLE, ICMP_CODE_PORT); /* RFC 1122 4.1.3.1 */
        return;
    }
    bool super = packet->offload->gso == STRAIT_GSO_UDP4;
    size_t piece = super ? packet->offload->gso_size : length;
    struct datagram header = {.source = packet->source, .source_port = source_port};
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

/* A datagram of the endpoint was too big. Returns whether the path carries less than was known. */
static bool too_big(struct udp *u, const struct ip_error *error)
{
    struct route route;

    return ip_route_find(u->ip, &error->local, &error->remote, &route) == 0 &&
           ip_path_too_big(u->ip, &route, error);
}

/*
 * A datagram of an endpoint without a peer was too big, or a stranger says so. To believe that the
 * path is narrow would let him make the host cut all that it sends there; but without DF what comes
 * next gets through, if it is.
 */
static void let_routers_cut(struct udp *u, struct udp_endpoint *e)
{
    e->cut_until_ns = u->core->now_ns + PATH_LIFETIME_NS;
    count(u->core, udp_cutting_allowed);
}

/*
 * RFC 1122 4.1.3.3: the application hears of it, if it has said whom it talks to. Then a stranger
 * has to know both ports; of a socket that is not connected nobody remembers to whom it has sent,
 * and any message about its port would be believed. As in Linux, errors that may pass are not told,
 * and that a datagram was too big is.
 */
void udp_tell_error(struct udp *u, struct udp_endpoint *e, const struct ip_error *error)
{
    bool tell;

    if (e != NULL && e->remote_port == 0 && ip_error_is_too_big(error)) {
        let_routers_cut(u, e);
        return;
    }
    if (e == NULL || e->remote_port == 0) {
        count(u->core, icmp_quote_unmatched);
        return;
    }
    int number = icmp_errno(error, &tell);
    if (ip_error_is_too_big(error))
        tell = too_big(u, error);
    if (!tell)
        return;
    e->error = number;
    u->wake(u->wake_context, e->owner);
}

static void udp_error(void *self, const struct ip_error *error)
{
    struct udp *u = self;
    struct reader r = reader_over(error->quote, error->quote_bytes);
    uint16_t local_port = read_be16(&r);
    uint16_t remote_port = read_be16(&r);
    struct udp_endpoint *e = udp_endpoint_at(&u->ports, &error->local, local_port);
    bool stranger = e != NULL && e->remote_port != 0 && !is_peer(e, &error->remote, remote_port);

    udp_tell_error(u, stranger ? NULL : e, error);
}

const struct ip_protocol udp_protocol = {.input = udp_input, .error = udp_error};

/* ---- Endpoints ------------------------------------------------------------------------------ */

void udp_open(struct udp *u, struct udp_endpoint *e, void *owner)
{
    *e = (struct udp_endpoint){
        .owner = owner,
        .queue_max_bytes = u->core->config.receive_buffer_bytes,
        .ttl = IP_DEFAULT_TTL,
    };
    e->binding.address = e->remote = address_v4(INADDR_ANY);
    list_init(&e->queue);
}

void udp_close(struct udp *u, struct udp_endpoint *e)
{
    while (!list_empty(&e->queue))
        drop_oldest(u, e);
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

/* Claims the endpoint's port on another address instead; if that is taken, all stays as it is. */
static int move(struct udp *u, struct udp_endpoint *e, struct address address)
{
    struct address old = e->binding.address;
    uint16_t port = e->binding.port;

    ports_release(&e->binding);
    if (ports_bind(ports_of(u, e), &e->binding, &address, port) == 0)
        return 0;
    int restored = ports_bind(ports_of(u, e), &e->binding, &old, port);
    CHECK(restored == 0);
    return fail(EADDRINUSE);
}

static void disconnect(struct udp *u, struct udp_endpoint *e)
{
    e->remote_port = 0;
    if (e->address_implied && move(u, e, address_v4(INADDR_ANY)) == 0)
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
    } else if (chosen && move(u, e, route.source) < 0) {
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
    if (e->error != 0)
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

enum outgoing_length udp_too_long(const struct udp *u, const struct udp_endpoint *e)
{
    return u->core->now_ns < e->cut_until_ns ? OUTGOING_CUT_ANYWHERE : OUTGOING_CUT_HERE;
}

/* Sends a payload of at most OUTGOING_PARTS_MAX parts from `e`, which has a port. */
static int send_parts(struct udp *u, const struct udp_endpoint *e, const struct route *route,
                      uint16_t port, const struct iovec *parts, int count)
{
    struct ip_outgoing out;

    if (e->echo)
        return ping_send(u, e, route, parts, count);
    outgoing_init(&out, UDP_HEADER_BYTES, CHECKSUM_AT, true);
    out.too_long = udp_too_long(u, e);
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

int udp_send(struct udp *u, struct udp_endpoint *e, const struct iovec *parts, int count,
             const struct address *remote, uint16_t port)
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
    if (ip_route_find(u->ip, &e->binding.address, remote, &route) < 0)
        return -1;
    if (e->binding.port == 0 && udp_bind(u, e, &e->binding.address, 0) < 0)
        return -1;
    route.ttl = e->ttl;
    route.tos = e->tos;
    if (count > OUTGOING_PARTS_MAX)
        return send_gathered(u, e, &route, port, parts, count);
    return send_parts(u, e, &route, port, parts, count);
}

ssize_t udp_receive(struct udp *u, struct udp_endpoint *e, const struct iovec *parts, int count,
                    bool peek, struct address *remote, uint16_t *port)
{
    if (e->error != 0)
        return fail(take_error(e));
    if (list_empty(&e->queue))
        return fail(EAGAIN);

    struct datagram *d = container_of(e->queue.next, struct datagram, node);
    ssize_t length = (ssize_t)d->length;
    size_t copied = 0;
    for (int i = 0; i < count && copied < d->length; i++) {
        size_t left = d->length - copied;
        size_t piece = parts[i].iov_len < left ? parts[i].iov_len : left;
        if (piece > 0) /* an empty part may have no address */
            memcpy(parts[i].iov_base, datagram_payload(d) + copied, piece);
        copied += piece;
    }
    if (remote != NULL)
        *remote = d->source;
    if (port != NULL)
        *port = d->source_port;
    if (!peek)
        drop_oldest(u, e);
    return length;
}
