/* SPDX-License-Identifier: MIT */
/*
 * Packets that have come to the wrong one of several instances of this host (base/shard.h). Who
 * chooses the queue of a packet looks at its own header alone: so an ICMP error comes by the
 * address of its teller, but belongs where the quoted packet was sent; and fragments come by their
 * addresses until the ports are seen again on the whole packet. These are handed over in the course
 * of things. Anything else that comes to the wrong place is a stray.
 */
#include "base/bytes.h"
#include "base/shard.h"
#include "ip/ip.h"

#define ICMP_HEADER_BYTES 8
#define ICMP_ID_AT        4

static uint64_t endpoint(const struct address *address, uint16_t port)
{
    return shard_endpoint(address_to_v4(address), port);
}

/* The shard that has sent the packet which an ICMP error quotes. What cannot be read stays here. */
static uint32_t quoted_owner(const struct ip *ip, const struct ip_packet *packet)
{
    uint32_t here = ip->core->config.shard;
    struct reader r = reader_over(packet->payload, packet->length);
    read_bytes(&r, ICMP_HEADER_BYTES);
    size_t header_bytes = (read_u8(&r) & 15u) * 4u;
    read_bytes(&r, 8);
    uint8_t protocol = read_u8(&r);
    read_be16(&r); /* checksum */
    uint32_t local = read_be32(&r), remote = read_be32(&r);

    if (header_bytes < IPV4_HEADER_BYTES)
        return here;
    read_bytes(&r, header_bytes - IPV4_HEADER_BYTES);
    uint16_t local_port = read_be16(&r), remote_port = read_be16(&r);
    if (protocol == IPPROTO_ICMP) { /* an echo request of ours */
        local_port = read_be16(&r);
        remote_port = 0;
    } else if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP) {
        return here;
    }
    if (r.short_of)
        return here;
    return shard_of(&ip->shard_rule, shard_endpoint(local, local_port),
                    shard_endpoint(remote, remote_port));
}

/* Identifiers of echo requests are drawn as ports are. Requests are answered wherever they come. */
static uint32_t icmp_owner(const struct ip *ip, const struct ip_packet *packet)
{
    if (packet->length < ICMP_HEADER_BYTES)
        return ip->core->config.shard;
    switch (packet->payload[0]) {
    case ICMP_TYPE_ECHO_REPLY:
        return shard_of(&ip->shard_rule,
                        endpoint(&packet->destination, load_be16(packet->payload + ICMP_ID_AT)),
                        endpoint(&packet->source, 0));
    case ICMP_TYPE_UNREACHABLE:
    case ICMP_TYPE_TIME_EXCEEDED:
    case ICMP_TYPE_PARAMETER_PROBLEM:
        return quoted_owner(ip, packet);
    default:
        return ip->core->config.shard;
    }
}

static uint32_t owner(const struct ip *ip, const struct ip_packet *packet)
{
    uint16_t local_port = 0, remote_port = 0;

    if (packet->interface == &ip->loopback.interface)
        return ip->core->config.shard;
    if (!ip_is_fragment(packet)) {
        if (packet->protocol == IPPROTO_ICMP)
            return icmp_owner(ip, packet);
        if (packet->protocol != IPPROTO_TCP && packet->protocol != IPPROTO_UDP)
            return ip->core->config.shard;
        if (packet->length < 2 * sizeof(uint16_t))
            return ip->core->config.shard; /* to be refused */
        remote_port = load_be16(packet->payload);
        local_port = load_be16(packet->payload + sizeof(uint16_t));
    }
    return shard_of(&ip->shard_rule, endpoint(&packet->destination, local_port),
                    endpoint(&packet->source, remote_port));
}

bool ip_hand_over(struct ip *ip, const struct ip_packet *packet, bool reassembled)
{
    const struct strait_config *config = &ip->core->config;
    uint32_t shard = owner(ip, packet);

    if (shard == config->shard)
        return false;
    if (!config->hand_over(config->hand_over_context, shard, packet->header,
                           packet->header_bytes + packet->length, packet->offload))
        count(ip->core, shard_hand_over_failed);
    else if (reassembled || packet->protocol == IPPROTO_ICMP)
        count(ip->core, shard_handed_over);
    else
        count(ip->core, shard_strays);
    return true;
}

bool ip_answers_come_here(const struct ip *ip, const struct route *route, uint16_t local_port,
                          uint16_t remote_port)
{
    const struct strait_config *config = &ip->core->config;

    return config->shards == 1 || route->interface == &ip->loopback.interface ||
           shard_of(&ip->shard_rule, endpoint(&route->source, local_port),
                    endpoint(&route->destination, remote_port)) == config->shard;
}
