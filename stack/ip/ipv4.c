/* SPDX-License-Identifier: MIT */
/*
 * IPv4 (RFC 791, RFC 1122 3.2), in both directions.
 *
 *     strait_input -> ipv4_input -> tcp_input, udp_input or icmp_input, by the protocol's number
 *     tcp, udp, icmp -> ip_output -> link->send
 *
 * A packet that comes in passes one gate: its header is checked and read into a struct ip_packet,
 * and that is examined for all that is wrong with it; behind the gate nobody looks at an IP header
 * again. It answers with the counter that names the reason for a refusal. Refused packets are
 * dropped without a word, but for an unknown protocol and for options that cannot be read. A
 * fragment waits in reassembly.c until its packet is whole, which then passes the gate in its turn.
 *
 * A packet that goes out gets its header right in front of the transport's, and goes to the link in
 * the same call: nothing is allocated, nothing is queued, the payload is read once at most (by the
 * checksum, if the link does not compute it). It is atomic in the sense of RFC 6864, whole and with
 * DF set, unless its sender lets fragment.c cut it where it exceeds the MTU, or routers as well. A
 * super-packet counts as one here; the link cuts it.
 *
 * What is kept is bounded: fragments by the configuration, the tables by ip.h. The one timer is
 * that of fragments.
 */
#include <errno.h>
#include <netinet/in.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "ip/ip.h"
#include "ip/ipv4.h"

/* Of the transports, as much as a super-packet needs. */
#define UDP_HEADER_BYTES   8
#define TCP_HEADER_MIN     20
#define TCP_DATA_OFFSET_AT 12

void ip_init(struct ip *ip, struct core *core)
{
    *ip = (struct ip){.core = core};
    loopback_init(ip);
    paths_init(&ip->paths, core);
    reassembly_init(&ip->reassembly);
    icmp_init(ip);
    shard_rule_init(&ip->shard_rule, &core->config);
}

void ip_finish(struct ip *ip)
{
    loopback_finish(ip);
    reassembly_finish(ip);
}

uint64_t ip_advance(struct ip *ip)
{
    if (loopback_waits(ip))
        loopback_deliver(ip);
    return reassembly_waits(&ip->reassembly) ? reassembly_advance(ip) : STRAIT_NEVER;
}

void ip_register(struct ip *ip, uint8_t number, const struct ip_protocol *protocol, void *self)
{
    ip->protocols[number] = protocol;
    ip->protocol_self[number] = self;
}

void ip_register_echo(struct ip *ip, const struct ip_protocol *protocol, void *self)
{
    ip->echo = protocol;
    ip->echo_self = self;
}

/*
 * The sum of the pseudo-header (RFC 9293 3.1, RFC 768). Whole 32-bit words may be added, since
 * 2^16 and 1 are the same to the checksum (RFC 1071 2(C)).
 */
static uint64_t pseudo_header_sum(const struct address *source, const struct address *destination,
                                  uint8_t protocol, size_t length)
{
    return (uint64_t)address_to_v4(source) + address_to_v4(destination) + protocol + length;
}

/* ---- In ------------------------------------------------------------------------------------- */

/* What the checks below return: the counter of a refusal, or this. */
#define ACCEPTED COUNTER_COUNT

/*
 * Options are skipped (RFC 1122 3.2.1.8), but for source routes: a host that takes them lets a
 * stranger choose the way of the answers, so they are refused, and without a word (RFC 7126 4.3,
 * 4.4). Record Route and Timestamp are not continued, neither by a router nor in an echo reply as
 * RFC 1122 3.2.2.6 would have it: they tell strangers about the network, and RFC 7126 4.5 and 4.7
 * let them come to nothing. `*at` becomes the place in the header where an option is wrong.
 */
static enum counter examine_options(const struct ip_packet *packet, size_t *at)
{
    struct reader r =
        reader_over(packet->header + IPV4_HEADER_BYTES, packet->header_bytes - IPV4_HEADER_BYTES);
    while (r.left > 0) {
        *at = packet->header_bytes - r.left;
        uint8_t kind = read_u8(&r);
        if (kind == IPV4_OPTION_END)
            break;
        if (kind == IPV4_OPTION_NOP)
            continue;
        if (kind == IPV4_OPTION_LOOSE_SOURCE_ROUTE || kind == IPV4_OPTION_STRICT_SOURCE_ROUTE)
            return COUNTER_ip_source_routed;
        uint8_t length = read_u8(&r);
        if (length < 2 || !read_bytes(&r, length - 2u))
            return COUNTER_ip_options_wrong;
    }
    return ACCEPTED;
}

/* RFC 1812 5.3.7; RFC 3927 2.7: what is link-local stays on its link. */
static bool goes_on(const struct ip *ip, const struct ip_packet *packet)
{
    return ip->core->config.forward && address_is_unicast(&packet->destination) &&
           !address_is_link_local(&packet->source) && !address_is_link_local(&packet->destination);
}

/*
 * A source is one host (RFC 1122 3.2.1.3) and not this one: nothing that was sent from here comes
 * back, so such a packet is forged (LAND). The destination is this host, or everyone near.
 */
static enum counter examine_addresses(const struct ip *ip, struct ip_packet *packet)
{
    if (packet->interface == &ip->loopback.interface) { /* this host has sent it, to itself */
        packet->local = true;
        return ACCEPTED;
    }
    if (!address_is_unicast(&packet->source) || ip_is_near(ip, &packet->source))
        return COUNTER_ip_source_refused;
    if (address_equal(&packet->destination, &packet->interface->address)) { /* so it mostly is */
        packet->local = true;
        return ACCEPTED;
    }
    packet->broadcast = ip_is_broadcast(ip, &packet->destination);
    packet->local = packet->broadcast || ip_is_local(ip, &packet->destination);
    return packet->local || goes_on(ip, packet) ? ACCEPTED : COUNTER_ip_not_for_us;
}

/* What a super-packet repeats in front of each segment (RFC 768, RFC 9293 3.1); 0 if the packet
 * ends before that does. */
static size_t repeated_bytes(const struct ip_packet *packet)
{
    size_t bytes = UDP_HEADER_BYTES;

    if (packet->protocol == IPPROTO_TCP) {
        if (packet->length < TCP_HEADER_MIN)
            return 0;
        bytes = (packet->payload[TCP_DATA_OFFSET_AT] >> 4) * 4u;
    }
    return bytes <= packet->length ? packet->header_bytes + bytes : 0;
}

/* A router tells the length of the segments from it, and a receiver their number. */
static bool is_super_packet_of(uint8_t protocol, const struct strait_offload *offload,
                               const struct ip_packet *packet)
{
    return packet->protocol == protocol && offload->gso_size > 0 &&
           offload->header_bytes == repeated_bytes(packet);
}

/* Whether what stands beside the packet can be true of it (virtio 1.2, 5.1.6.4.1). */
static bool offload_is_credible(const struct strait_offload *offload,
                                const struct ip_packet *packet)
{
    if (offload->checksum > STRAIT_CHECKSUM_PARTIAL)
        return false;
    if (ip_is_fragment(packet)) /* a checksum is over all of them, and what is cut is whole */
        return offload->checksum != STRAIT_CHECKSUM_PARTIAL && offload->gso == STRAIT_GSO_NONE;
    if (offload->checksum == STRAIT_CHECKSUM_PARTIAL) {
        size_t sum_end = (size_t)offload->checksum_start + offload->checksum_offset + 2;
        if (offload->checksum_start < packet->header_bytes ||
            sum_end > packet->header_bytes + packet->length)
            return false;
    }
    switch (offload->gso) {
    case STRAIT_GSO_NONE:
        return offload->gso_size == 0;
    case STRAIT_GSO_TCP4:
        return is_super_packet_of(IPPROTO_TCP, offload, packet);
    case STRAIT_GSO_UDP4:
        return is_super_packet_of(IPPROTO_UDP, offload, packet);
    default:
        return false;
    }
}

/* Whether the header, which may be anything, is whole and right. */
static enum counter examine_header(const uint8_t *bytes, size_t length)
{
    if (length < IPV4_HEADER_BYTES)
        return COUNTER_ip_header_short;
    size_t header_bytes = ipv4_header_bytes(bytes);
    if (header_bytes < IPV4_HEADER_BYTES || header_bytes > length)
        return COUNTER_ip_header_length_wrong;
    if (ipv4_header_sum(bytes, header_bytes) != 0xffff)
        return COUNTER_ip_checksum_wrong;
    size_t total_bytes = load_be16(bytes + IPV4_TOTAL_LENGTH_AT);
    if (total_bytes < header_bytes || total_bytes > length)
        return COUNTER_ip_total_length_wrong;
    return ACCEPTED;
}

/* Reads the header, which is right. What lies behind the total length is padding of the link. */
static inline struct ip_packet packet_of(struct interface *interface, const uint8_t *bytes,
                                         const struct strait_offload *offload)
{
    size_t header_bytes = ipv4_header_bytes(bytes);

    return (struct ip_packet){
        .interface = interface,
        .source = address_v4(load_be32(bytes + IPV4_SOURCE_AT)),
        .destination = address_v4(load_be32(bytes + IPV4_DESTINATION_AT)),
        .protocol = bytes[IPV4_PROTOCOL_AT],
        .ttl = bytes[IPV4_TTL_AT],
        .tos = bytes[IPV4_TOS_AT],
        .fragment = load_be16(bytes + IPV4_FRAGMENT_AT),
        .id = load_be16(bytes + IPV4_ID_AT), /* of use to fragments only (RFC 6864 4.1) */
        .header = bytes,
        .header_bytes = header_bytes,
        .payload = bytes + header_bytes,
        .length = load_be16(bytes + IPV4_TOTAL_LENGTH_AT) - header_bytes,
        .offload = offload,
    };
}

/* What stands in the header, and beside the packet. */
static enum counter examine(const struct ip *ip, struct ip_packet *packet, size_t *option_at)
{
    enum counter refusal = examine_addresses(ip, packet);

    if (refusal == ACCEPTED && !offload_is_credible(packet->offload, packet))
        refusal = COUNTER_link_offload_wrong;
    if (refusal == ACCEPTED && packet->header_bytes > IPV4_HEADER_BYTES)
        refusal = examine_options(packet, option_at);
    return refusal;
}

static void note_refusal(const struct ip *ip, size_t length, enum counter refusal)
{
    ip->core->counters[refusal]++;
    log_to(ip->core, STRAIT_LOG_IP, "%zu bytes refused: %s", length, counter_name(refusal));
}

/* `reassembled`: here, out of fragments. */
static void input(struct ip *ip, struct interface *interface, const void *packet, size_t length,
                  const struct strait_offload *offload, bool reassembled)
{
    enum counter refusal = examine_header(packet, length);
    if (refusal != ACCEPTED) {
        note_refusal(ip, length, refusal);
        return;
    }
    struct ip_packet in = packet_of(interface, packet, offload);
    size_t option_at = 0;
    refusal = examine(ip, &in, &option_at);
    if (refusal != ACCEPTED) {
        note_refusal(ip, length, refusal);
        if (refusal == COUNTER_ip_options_wrong) /* RFC 1122 3.2.2.5 */
            icmp_error_with(ip, &in, ICMP_TYPE_PARAMETER_PROBLEM, 0, (uint32_t)option_at << 24);
        return;
    }
    log_to(ip->core, STRAIT_LOG_IP,
           ADDRESS_FORMAT " > " ADDRESS_FORMAT ": protocol %u, %zu bytes in",
           ADDRESS_BYTES(&in.source), ADDRESS_BYTES(&in.destination), in.protocol, in.length);

    if (!in.local) {
        ip_forward(ip, &in);
        return;
    }
    if (ip->shard_rule.shards > 1 && ip_hand_over(ip, &in, reassembled))
        return;
    if (ip_is_fragment(&in)) {
        reassembly_input(ip, &in);
        return;
    }
    const struct ip_protocol *protocol = ip->protocols[in.protocol];
    if (protocol == NULL) {
        count(ip->core, ip_protocol_unknown);
        icmp_error(ip, &in, ICMP_TYPE_UNREACHABLE, ICMP_CODE_PROTOCOL); /* RFC 1122 3.2.2.1 */
        return;
    }
    protocol->input(ip->protocol_self[in.protocol], &in);
}

void ipv4_input(struct ip *ip, struct interface *interface, const void *packet, size_t length,
                const struct strait_offload *offload)
{
    input(ip, interface, packet, length, offload, false);
}

void ipv4_input_reassembled(struct ip *ip, struct interface *interface, const void *packet,
                            size_t length)
{
    static const struct strait_offload ordinary = {0};

    input(ip, interface, packet, length, &ordinary, true);
}

/* A header with options is so rare that it is not looked behind. */
bool ipv4_glance(const void *packet, size_t length, uint8_t protocol, size_t least_bytes,
                 struct ip_glance *glance)
{
    const uint8_t *header = packet;
    if (length < IPV4_HEADER_BYTES + least_bytes || header[0] != (4 << 4 | IPV4_HEADER_BYTES / 4) ||
        header[IPV4_PROTOCOL_AT] != protocol ||
        (load_be16(header + IPV4_FRAGMENT_AT) & (IPV4_MORE_FRAGMENTS | IPV4_OFFSET_MASK)))
        return false;
    glance->source = address_v4(load_be32(header + IPV4_SOURCE_AT));
    glance->destination = address_v4(load_be32(header + IPV4_DESTINATION_AT));
    glance->payload = header + IPV4_HEADER_BYTES;
    return true;
}

bool ip_checksum_adds_up(const struct ip_packet *packet)
{
    uint64_t sum =
        pseudo_header_sum(&packet->source, &packet->destination, packet->protocol, packet->length);
    return checksum_fold(checksum_add(sum, packet->payload, packet->length)) == 0xffff;
}

/* ---- Out ------------------------------------------------------------------------------------ */

/*
 * The header by its words of 32 bits (RFC 791 3.1), which are summed as they are written: who would
 * read them back at once had to wait for the stores. `fragment` is the field of flags and offset.
 */
static inline void write_header(uint8_t header[IPV4_HEADER_BYTES], const struct route *route,
                                uint8_t protocol, uint8_t ecn, size_t total_bytes, uint16_t id,
                                uint16_t fragment)
{
    uint32_t tos = route->tos | ecn;
    uint32_t length_word =
        4u << 28 | IPV4_HEADER_BYTES / 4u << 24 | tos << 16 | (uint16_t)total_bytes;
    uint32_t fragment_word = (uint32_t)id << 16 | fragment;
    uint32_t protocol_word = (uint32_t)route->ttl << 24 | (uint32_t)protocol << 16;
    uint32_t source = address_to_v4(&route->source);
    uint32_t destination = address_to_v4(&route->destination);
    uint64_t sum = (uint64_t)length_word + fragment_word + protocol_word + source + destination;

    store_be32(header, length_word);
    store_be32(header + IPV4_ID_AT, fragment_word);
    store_be32(header + IPV4_TTL_AT, protocol_word | (uint16_t)~checksum_fold(sum));
    store_be32(header + IPV4_SOURCE_AT, source);
    store_be32(header + IPV4_DESTINATION_AT, destination);
}

static uint64_t outgoing_pseudo_sum(const struct route *route, uint8_t protocol,
                                    const struct ip_outgoing *out)
{
    if (!out->pseudo_header)
        return 0;
    return pseudo_header_sum(&route->source, &route->destination, protocol,
                             out->header_bytes + out->payload_bytes);
}

/* Computes the transport's checksum over the parts, of which the first ends with its header. */
static void compute_checksum(const struct route *route, uint8_t protocol, struct ip_outgoing *out)
{
    uint64_t sum = outgoing_pseudo_sum(route, protocol, out);
    size_t skipped = out->parts[0].iov_len - out->header_bytes;
    sum = checksum_add_parts(sum, out->parts, out->count, skipped);
    store_be16(outgoing_transport(out) + out->checksum_at, ipv4_transport_checksum(protocol, sum));
}

/* Finishes the transport's checksum, or leaves it to a link that is able to. */
static void write_checksum(const struct route *route, uint8_t protocol, struct ip_outgoing *out,
                           struct strait_offload *offload)
{
    uint32_t able = STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4;
    if (!out->pseudo_header || !(route->interface->link->features & able)) {
        compute_checksum(route, protocol, out);
        return;
    }
    uint64_t sum = outgoing_pseudo_sum(route, protocol, out);
    store_be16(outgoing_transport(out) + out->checksum_at, checksum_fold(sum));
    offload->checksum = STRAIT_CHECKSUM_PARTIAL;
    offload->checksum_start = IPV4_HEADER_BYTES;
    offload->checksum_offset = (uint16_t)out->checksum_at;
}

static inline void log_outgoing(const struct ip *ip, const struct route *route, uint8_t protocol,
                                const struct ip_outgoing *out)
{
    log_to(ip->core, STRAIT_LOG_IP,
           ADDRESS_FORMAT " > " ADDRESS_FORMAT ": protocol %u, %zu bytes out",
           ADDRESS_BYTES(&route->source), ADDRESS_BYTES(&route->destination), protocol,
           out->header_bytes + out->payload_bytes);
}

int ip_transmit(struct ip *ip, struct strait_link *link, const struct iovec *parts, int count,
                size_t bytes, const struct strait_offload *offload)
{
    if (link->send(link, parts, count, offload) < 0) {
        count(ip->core, link_send_failed);
        return -1;
    }
    count(ip->core, link_packets_out);
    count_by(ip->core, link_bytes_out, bytes);
    return 0;
}

/* Sends a packet in fragments: the checksum is over all of them, so no link can compute it. */
static int output_fragments(struct ip *ip, const struct route *route, uint8_t protocol,
                            struct ip_outgoing *out)
{
    uint8_t header[IPV4_HEADER_BYTES];
    size_t payload_bytes = out->header_bytes + out->payload_bytes;

    out->parts[0] =
        (struct iovec){.iov_base = outgoing_transport(out), .iov_len = out->header_bytes};
    write_header(header, route, protocol, out->ecn, IPV4_HEADER_BYTES + payload_bytes,
                 ip_next_id(ip, route, protocol), 0);
    if (out->checksum_at != OUTGOING_NO_CHECKSUM)
        compute_checksum(route, protocol, out);
    log_outgoing(ip, route, protocol, out);
    return ip_fragment(ip, route->interface->link, route->mtu, header, sizeof(header), out->parts,
                       payload_bytes);
}

/* Whether the link has to make more than one packet of it. */
static bool is_super_packet(const struct ip_outgoing *out)
{
    return out->gso_size > 0 && out->payload_bytes > out->gso_size;
}

/* Whether a packet goes to its link as it is. No MTU is above the largest packet. */
static bool fits(const struct route *route, const struct ip_outgoing *out, size_t total_bytes)
{
    if (!is_super_packet(out))
        return total_bytes <= route->mtu;
    return IPV4_HEADER_BYTES + out->header_bytes + out->gso_size <= route->mtu &&
           total_bytes <= IPV4_PACKET_MAX_BYTES &&
           (route->interface->link->features & STRAIT_LINK_TSO4);
}

/* Fragments are made of a packet that may be cut, and that is one: not of a super-packet. */
static int output_too_long(struct ip *ip, const struct route *route, uint8_t protocol,
                           struct ip_outgoing *out, size_t total_bytes)
{
    if (out->too_long != OUTGOING_WHOLE && !is_super_packet(out) &&
        total_bytes <= IPV4_PACKET_MAX_BYTES)
        return output_fragments(ip, route, protocol, out);
    count(ip->core, ip_too_big);
    errno = EMSGSIZE;
    return -1;
}

int ip_output(struct ip *ip, const struct route *route, uint8_t protocol, struct ip_outgoing *out)
{
    size_t headers_bytes = IPV4_HEADER_BYTES + out->header_bytes;
    size_t total_bytes = headers_bytes + out->payload_bytes;

    if (!fits(route, out, total_bytes))
        return output_too_long(ip, route, protocol, out, total_bytes);

    struct strait_offload offload = {.header_bytes = (uint16_t)headers_bytes};
    if (is_super_packet(out)) {
        offload.gso = STRAIT_GSO_TCP4;
        offload.gso_size = out->gso_size;
    }
    uint8_t *header = outgoing_transport(out) - IPV4_HEADER_BYTES;
    out->parts[0] = (struct iovec){.iov_base = header, .iov_len = headers_bytes};
    bool may_be_cut = route->may_be_cut || out->too_long == OUTGOING_CUT_ANYWHERE;
    bool atomic = !may_be_cut || total_bytes <= PATH_MTU_MIN;
    uint16_t id = atomic ? 0 : ip_next_id(ip, route, protocol); /* RFC 6864 4 */
    write_header(header, route, protocol, out->ecn, total_bytes, id,
                 atomic ? IPV4_DONT_FRAGMENT : 0);
    if (out->checksum_at != OUTGOING_NO_CHECKSUM)
        write_checksum(route, protocol, out, &offload);
    log_outgoing(ip, route, protocol, out);
    return ip_transmit(ip, route->interface->link, out->parts, out->count, total_bytes, &offload);
}
