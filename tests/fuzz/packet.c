/* SPDX-License-Identifier: MIT */
#include "packet.h"

#include <netinet/in.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"

#define FRAGMENT_MASK  0x3fff /* the bit of more fragments, and the offset */
#define ICMP_BYTES     8
#define UDP_BYTES      8
#define TCP_SUM_AT     16
#define UDP_SUM_AT     6
#define ICMP_SUM_AT    2
#define DONT_FRAGMENT  0x4000
#define FOREVER        64 /* TTL */
#define IP_CHECKSUM_AT 10

static uint32_t sum_add(uint32_t sum, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i + 1 < length; i += 2)
        sum += load_be16(bytes + i);
    if (length % 2 != 0)
        sum += (uint32_t)bytes[length - 1] << 8;
    return sum;
}

static uint16_t sum_fold(uint32_t sum)
{
    while (sum > UINT16_MAX)
        sum = (sum & UINT16_MAX) + (sum >> 16);
    return (uint16_t)sum;
}

/* ---- Where things stand --------------------------------------------------------------------- */

/* A transport's header that lies in the packet, and the sum that covers it. */
struct transport {
    uint8_t protocol;
    size_t at, length;      /* of header and payload, in the packet */
    size_t sum_at;          /* in the packet */
    uint32_t pseudo_header; /* 0 where there is none */
};

/* Returns false if there is no whole header of a known transport, or the packet is a fragment. */
static bool find_transport(const uint8_t *packet, size_t length, struct transport *t)
{
    if (length < PACKET_IP_BYTES)
        return false;
    size_t header_bytes = (packet[0] & 15u) * 4u, total = load_be16(packet + 2);
    if (header_bytes < PACKET_IP_BYTES || total < header_bytes || total > length ||
        (load_be16(packet + 6) & FRAGMENT_MASK) != 0)
        return false;

    *t = (struct transport){
        .protocol = packet[9], .at = header_bytes, .length = total - header_bytes};
    t->pseudo_header = sum_add(t->protocol + (uint32_t)t->length, packet + 12, 8);
    switch (t->protocol) {
    case IPPROTO_TCP:
        t->sum_at = t->at + TCP_SUM_AT;
        return t->length >= PACKET_TCP_BYTES;
    case IPPROTO_UDP:
        t->sum_at = t->at + UDP_SUM_AT;
        return t->length >= UDP_BYTES;
    case IPPROTO_ICMP:
        t->sum_at = t->at + ICMP_SUM_AT;
        t->pseudo_header = 0;
        return t->length >= ICMP_BYTES;
    default:
        return false;
    }
}

bool packet_is_tcp(const uint8_t *packet, size_t length)
{
    struct transport t;

    if (!find_transport(packet, length, &t) || t.protocol != IPPROTO_TCP || t.at != PACKET_IP_BYTES)
        return false;
    size_t header_bytes = (packet[t.at + 12] >> 4) * 4u;
    return header_bytes >= PACKET_TCP_BYTES && header_bytes <= t.length;
}

/* ---- Made ----------------------------------------------------------------------------------- */

void packet_ip_header(uint8_t *packet, size_t length, uint8_t protocol, uint32_t source,
                      uint32_t destination)
{
    memset(packet, 0, PACKET_IP_BYTES);
    packet[0] = 4 << 4 | PACKET_IP_BYTES / 4;
    store_be16(packet + 2, (uint16_t)length);
    packet[8] = FOREVER;
    packet[9] = protocol;
    store_be32(packet + 12, source);
    store_be32(packet + 16, destination);
}

void packet_tcp_header(uint8_t *packet, const struct packet_tcp *tcp)
{
    uint8_t *p = packet + PACKET_IP_BYTES;

    store_be16(p, tcp->source_port);
    store_be16(p + 2, tcp->destination_port);
    store_be32(p + 4, tcp->seq);
    store_be32(p + 8, tcp->ack);
    p[12] = (uint8_t)(tcp->header_bytes / 4 << 4);
    p[13] = tcp->flags;
    store_be16(p + 14, tcp->window);
    store_be16(p + TCP_SUM_AT, 0);
    store_be16(p + 18, tcp->urgent);
}

struct packet_tcp packet_tcp_read(const uint8_t *packet, size_t length)
{
    const uint8_t *p = packet + PACKET_IP_BYTES;

    CHECK(packet_is_tcp(packet, length));
    return (struct packet_tcp){
        .source_port = load_be16(p),
        .destination_port = load_be16(p + 2),
        .seq = load_be32(p + 4),
        .ack = load_be32(p + 8),
        .flags = p[13],
        .window = load_be16(p + 14),
        .urgent = load_be16(p + 18),
        .header_bytes = (p[12] >> 4) * 4u,
    };
}

void packet_seal_header(uint8_t *packet, size_t length)
{
    size_t header_bytes = length > 0 ? (packet[0] & 15u) * 4u : 0;

    if (header_bytes < PACKET_IP_BYTES || header_bytes > length)
        return;
    store_be16(packet + IP_CHECKSUM_AT, 0);
    store_be16(packet + IP_CHECKSUM_AT, (uint16_t)~sum_fold(sum_add(0, packet, header_bytes)));
}

void packet_seal(uint8_t *packet, size_t length)
{
    struct transport t;

    packet_seal_header(packet, length);
    if (!find_transport(packet, length, &t))
        return;
    store_be16(packet + t.sum_at, 0);
    uint16_t sum = (uint16_t)~sum_fold(sum_add(t.pseudo_header, packet + t.at, t.length));
    store_be16(packet + t.sum_at, sum == 0 && t.protocol == IPPROTO_UDP ? UINT16_MAX : sum);
}

void packet_seal_partial(uint8_t *packet, size_t length, struct strait_offload *offload)
{
    struct transport t;

    packet_seal_header(packet, length);
    if (!find_transport(packet, length, &t))
        return;
    store_be16(packet + t.sum_at, sum_fold(t.pseudo_header));
    offload->checksum = STRAIT_CHECKSUM_PARTIAL;
    offload->checksum_start = (uint16_t)t.at;
    offload->checksum_offset = (uint16_t)(t.sum_at - t.at);
}

/* ---- Examined ------------------------------------------------------------------------------- */

static void check_partial(const uint8_t *packet, const struct transport *t, uint32_t features,
                          const struct strait_offload *offload)
{
    CHECK(features & (STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4));
    CHECK(offload->checksum_start == t->at);
    CHECK((size_t)offload->checksum_start + offload->checksum_offset == t->sum_at);
    CHECK(load_be16(packet + t->sum_at) == sum_fold(t->pseudo_header));
}

/* What a host says itself; in what it forwards, the transport is not its concern. */
static void check_transport(const uint8_t *packet, size_t length, uint32_t features,
                            const struct strait_offload *offload)
{
    struct transport t;

    CHECK(find_transport(packet, length, &t));
    if (offload->checksum == STRAIT_CHECKSUM_PARTIAL)
        check_partial(packet, &t, features, offload);
    else if (t.protocol != IPPROTO_UDP || load_be16(packet + t.sum_at) != 0)
        CHECK(sum_fold(sum_add(t.pseudo_header, packet + t.at, t.length)) == UINT16_MAX);
    if (t.protocol == IPPROTO_TCP)
        CHECK(packet_is_tcp(packet, length));
}

void packet_check(const uint8_t *packet, size_t length, uint32_t source, uint32_t mtu,
                  uint32_t features, const struct strait_offload *offload)
{
    CHECK(length >= PACKET_IP_BYTES && length <= UINT16_MAX && packet[0] >> 4 == 4);
    size_t header_bytes = (packet[0] & 15u) * 4u;
    CHECK(header_bytes >= PACKET_IP_BYTES && header_bytes <= length);
    CHECK(load_be16(packet + 2) == length);
    CHECK(sum_fold(sum_add(0, packet, header_bytes)) == UINT16_MAX);
    CHECK(packet[8] > 0);
    if (offload->gso == STRAIT_GSO_NONE) {
        CHECK(length <= mtu);
    } else {
        CHECK(offload->gso == STRAIT_GSO_TCP4 && features & STRAIT_LINK_TSO4);
        CHECK(offload->gso_size > 0);
        CHECK(length <= mtu || (uint32_t)offload->header_bytes + offload->gso_size <= mtu);
    }
    if ((load_be16(packet + 6) & FRAGMENT_MASK) == 0 && load_be32(packet + 12) == source)
        check_transport(packet, length, features, offload);
}
