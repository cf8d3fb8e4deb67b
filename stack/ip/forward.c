/* SPDX-License-Identifier: MIT */
/*
 * Forwarding (RFC 1812 5.2): a packet for somebody else goes on through the interface that the
 * routes name, with one hop less to live. Only the headers are copied, since they change; what
 * follows is sent from where it was received.
 */
#include "base/bytes.h"
#include "base/checksum.h"
#include "ip/ip.h"

#define TTL_AT             8
#define HEADER_CHECKSUM_AT 10

/* The largest packet that a link has to carry for this one: a super-packet is cut by the link. */
static size_t largest_piece(const struct ip_packet *packet, size_t total_bytes)
{
    const struct strait_offload *offload = packet->offload;

    return offload->gso ? (size_t)offload->header_bytes + offload->gso_size : total_bytes;
}

static bool link_can_carry(const struct strait_link *link, const struct ip_packet *packet,
                           size_t total_bytes)
{
    bool cuts = packet->offload->gso == STRAIT_GSO_TCP4 && link->features & STRAIT_LINK_TSO4;

    if (packet->offload->gso && !cuts)
        return false;
    return largest_piece(packet, total_bytes) <= link->mtu;
}

/* Decrements the TTL (RFC 791 3.2) and sums the header anew. */
static void rewrite_header(uint8_t *header, size_t header_bytes)
{
    header[TTL_AT]--;
    store_be16(header + HEADER_CHECKSUM_AT, 0);
    uint64_t sum = checksum_add(0, header, header_bytes);
    store_be16(header + HEADER_CHECKSUM_AT, (uint16_t)~checksum_fold(sum));
}

/*
 * Does what the sender left to a link, for a link that does not do it: the transport's checksum.
 * Returns false if that would stand outside of the headers.
 */
static bool complete_checksum(const struct iovec *parts, int count, struct strait_offload *offload)
{
    size_t at = (size_t)offload->checksum_start + offload->checksum_offset;

    if (at + 2 > parts[0].iov_len)
        return false;
    uint64_t sum = checksum_add_parts(0, parts, count, offload->checksum_start);
    store_be16((uint8_t *)parts[0].iov_base + at, (uint16_t)~checksum_fold(sum));
    offload->checksum = STRAIT_CHECKSUM_COMPLETE;
    return true;
}

void ip_forward(struct ip *ip, const struct ip_packet *packet)
{
    size_t total_bytes = packet->header_bytes + packet->length;
    struct strait_offload offload = *packet->offload;
    uint8_t headers[OUTGOING_NETWORK_ROOM + 2 * OUTGOING_TRANSPORT_MAX];
    struct route route;

    if (packet->ttl <= 1) {
        count(ip->core, ip_ttl_expired);
        return;
    }
    if (ip_route_find(ip, NULL, &packet->destination, &route) < 0)
        return;
    struct strait_link *link = route.interface->link;
    if (!link_can_carry(link, packet, total_bytes)) {
        count(ip->core, ip_too_big);
        return;
    }

    size_t copied = total_bytes < sizeof(headers) ? total_bytes : sizeof(headers);
    memcpy(headers, packet->header, copied);
    rewrite_header(headers, packet->header_bytes);
    struct iovec parts[] = {
        {.iov_base = headers, .iov_len = copied},
        {.iov_base = (void *)(packet->header + copied), .iov_len = total_bytes - copied},
    };
    int parts_used = total_bytes > copied ? 2 : 1;
    if (offload.checksum == STRAIT_CHECKSUM_VALID)
        offload.checksum = STRAIT_CHECKSUM_COMPLETE;
    bool completes = link->features & (STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4);
    if (offload.checksum == STRAIT_CHECKSUM_PARTIAL && !completes &&
        !complete_checksum(parts, parts_used, &offload)) {
        count(ip->core, link_offload_wrong);
        return;
    }

    if (link->send(link, parts, parts_used, &offload) < 0) {
        count(ip->core, link_send_failed);
        return;
    }
    count(ip->core, ip_forwarded);
    count(ip->core, link_packets_out);
    count_by(ip->core, link_bytes_out, total_bytes);
}
