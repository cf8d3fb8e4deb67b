/* SPDX-License-Identifier: MIT */
/*
 * Forwarding (RFC 1812 5.2): a packet for somebody else goes on through the interface that the
 * routes name, with one hop less to live. Only the headers are copied, since they change; what
 * follows is sent from where it was received. A packet that cannot go on is answered with an ICMP
 * error: so the kernel's traceroute sees each hop, and its TCP learns the MTU of the path.
 */
#include "base/bytes.h"
#include "base/checksum.h"
#include "ip/ip.h"
#include "ip/ipv4.h"

/* The largest packet that a link has to carry for this one: a super-packet is cut by the link. */
static size_t largest_piece(const struct ip_packet *packet, size_t total_bytes)
{
    size_t segment_bytes = (size_t)packet->offload->header_bytes + packet->offload->gso_size;

    return packet->offload->gso && segment_bytes < total_bytes ? segment_bytes : total_bytes;
}

/* Whether the link takes the packet, or its fragments, in the shape it has. */
static bool link_takes(const struct strait_link *link, const struct ip_packet *packet, bool fits)
{
    if (packet->offload->gso == STRAIT_GSO_NONE)
        return true;
    return fits && packet->offload->gso == STRAIT_GSO_TCP4 && link->features & STRAIT_LINK_TSO4;
}

/*
 * Does what the sender left to a link, for a link that does not do it: the transport's checksum.
 * Returns false if that would stand outside of the headers.
 */
static bool complete_checksum(const struct iovec *parts, int count, struct strait_offload *offload)
{
    uint8_t *headers = parts[0].iov_base;
    size_t at = (size_t)offload->checksum_start + offload->checksum_offset;

    if (at + 2 > parts[0].iov_len)
        return false;
    uint64_t sum = checksum_add_parts(0, parts, count, offload->checksum_start);
    store_be16(headers + at, ipv4_transport_checksum(headers[IPV4_PROTOCOL_AT], sum));
    offload->checksum = STRAIT_CHECKSUM_COMPLETE;
    return true;
}

/* Sends the packet through a link that takes it: whole if it fits, else in fragments. */
static void send_on(struct ip *ip, struct strait_link *link, const struct ip_packet *packet,
                    size_t total_bytes, bool fits)
{
    struct strait_offload offload = *packet->offload;
    uint8_t headers[OUTGOING_NETWORK_ROOM + 2 * OUTGOING_TRANSPORT_MAX];
    size_t copied = total_bytes < sizeof(headers) ? total_bytes : sizeof(headers);
    struct iovec parts[] = {
        {.iov_base = headers, .iov_len = copied},
        {.iov_base = (void *)(packet->header + copied), .iov_len = total_bytes - copied},
    };
    int parts_used = total_bytes > copied ? 2 : 1;

    memcpy(headers, packet->header, copied);
    headers[IPV4_TTL_AT]--; /* RFC 791 3.2 */
    ipv4_write_checksum(headers, packet->header_bytes);
    if (offload.checksum == STRAIT_CHECKSUM_VALID)
        offload.checksum = STRAIT_CHECKSUM_COMPLETE;
    bool completes = fits && link->features & (STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4);
    if (offload.checksum == STRAIT_CHECKSUM_PARTIAL && !completes &&
        !complete_checksum(parts, parts_used, &offload)) {
        count(ip->core, link_offload_wrong);
        return;
    }

    int sent;
    if (fits) {
        sent = ip_transmit(ip, link, parts, parts_used, total_bytes, &offload);
    } else {
        parts[0].iov_base = headers + packet->header_bytes;
        parts[0].iov_len -= packet->header_bytes;
        sent =
            ip_fragment(ip, link, link->mtu, headers, packet->header_bytes, parts, packet->length);
    }
    if (sent == 0)
        count(ip->core, ip_forwarded);
}

void ip_forward(struct ip *ip, const struct ip_packet *packet)
{
    size_t total_bytes = packet->header_bytes + packet->length;
    struct route route;

    if (packet->ttl <= 1) { /* RFC 1812 5.3.1 */
        count(ip->core, ip_ttl_expired);
        icmp_error(ip, packet, ICMP_TYPE_TIME_EXCEEDED, ICMP_CODE_IN_TRANSIT);
        return;
    }
    if (ip_route_find(ip, NULL, &packet->destination, &route) < 0) { /* RFC 1812 5.2.7.1 */
        icmp_error(ip, packet, ICMP_TYPE_UNREACHABLE, ICMP_CODE_NETWORK);
        return;
    }
    /* The MTU is that of the next hop, whatever the router knows about the path behind it. */
    struct strait_link *link = route.interface->link;
    bool fits = largest_piece(packet, total_bytes) <= link->mtu;
    if (!fits && (packet->fragment & IPV4_DONT_FRAGMENT)) { /* RFC 1191 4 */
        count(ip->core, ip_too_big);
        icmp_error_with(ip, packet, ICMP_TYPE_UNREACHABLE, ICMP_CODE_FRAGMENTATION_NEEDED,
                        link->mtu);
        return;
    }
    if (!link_takes(link, packet, fits)) {
        count(ip->core, ip_too_big);
        return;
    }
    send_on(ip, link, packet, total_bytes, fits);
}
