/* SPDX-License-Identifier: MIT */
/*
 * Fragmentation (RFC 791 3.2): a packet that is longer than an MTU goes out in pieces, cut from its
 * parts where they lie; and the identification that holds the pieces together.
 */
#include "base/check.h"
#include "base/siphash.h"
#include "ip/ip.h"
#include "ip/ipv4.h"

/* ---- Identification ------------------------------------------------------------------------- */

#define ROUNDS 4 /* Luby, Rackoff 1988: enough that the permutation cannot be told from chance */

/* A permutation of the 16-bit numbers for each flow, which only the secret tells: a Feistel
 * network. */
static uint16_t permute(const uint8_t secret[16], uint64_t flow, uint16_t number)
{
    uint8_t left = (uint8_t)(number >> 8), right = (uint8_t)number;

    for (uint8_t round = 0; round < ROUNDS; round++) {
        uint8_t input[sizeof(flow) + 2];
        memcpy(input, &flow, sizeof(flow));
        input[sizeof(flow)] = round;
        input[sizeof(flow) + 1] = right;
        uint8_t mixed = left ^ (uint8_t)siphash(secret, input, sizeof(input));
        left = right;
        right = mixed;
    }
    return (uint16_t)(left << 8 | right);
}

/*
 * RFC 6864 4.3, RFC 7739 5: flows that share a sequence skip each other's numbers, which the
 * permutation hides from all but those who hold the secret. Shards take turns.
 */
uint16_t ip_next_id(struct ip *ip, const struct route *route, uint8_t protocol)
{
    const struct strait_config *config = &ip->core->config;
    const uint8_t *secret = config->secret;
    uint8_t names[2 * sizeof(struct address) + 1];

    memcpy(names, &route->source, sizeof(struct address));
    memcpy(names + sizeof(struct address), &route->destination, sizeof(struct address));
    names[sizeof(names) - 1] = protocol;
    uint64_t flow = siphash(secret, names, sizeof(names));
    unsigned turn = ip->ids[flow % IP_ID_SEQUENCES]++;
    return permute(secret, flow, (uint16_t)(turn * config->shards + config->shard));
}

/* ---- Cutting -------------------------------------------------------------------------------- */

/* A place in a payload. */
struct cursor {
    const struct iovec *part;
    size_t offset; /* in the part */
};

/* Takes the next `bytes`, which are there, in slices of the parts. Returns how many slices. */
static int take_slices(struct cursor *at, size_t bytes, struct iovec *slices)
{
    int count = 0;

    while (bytes > 0) {
        size_t left = at->part->iov_len - at->offset;
        size_t length = left < bytes ? left : bytes;
        if (length > 0)
            slices[count++] = (struct iovec){.iov_base = (uint8_t *)at->part->iov_base + at->offset,
                                             .iov_len = length};
        at->offset += length;
        bytes -= length;
        if (at->offset == at->part->iov_len) {
            at->part++;
            at->offset = 0;
        }
    }
    return count;
}

/*
 * Turns the header of a packet into that of its fragments behind the first, which keep the options
 * with the copied flag alone (RFC 791 3.1). The options have passed ipv4_input. Returns its length.
 */
static size_t keep_copied_options(uint8_t *header, size_t header_bytes)
{
    struct reader r = reader_over(header + IPV4_HEADER_BYTES, header_bytes - IPV4_HEADER_BYTES);
    size_t kept = IPV4_HEADER_BYTES;

    while (r.left > 0) {
        const uint8_t *option = r.at;
        uint8_t kind = read_u8(&r);
        if (kind == IPV4_OPTION_END)
            break;
        if (kind == IPV4_OPTION_NOP)
            continue;
        size_t length = read_u8(&r);
        read_bytes(&r, length - 2);
        CHECK(!r.short_of);
        if (kind & IPV4_OPTION_COPIED) {
            memmove(header + kept, option, length);
            kept += length;
        }
    }
    while (kept % 4 != 0)
        header[kept++] = IPV4_OPTION_END;
    header[0] = (uint8_t)(4 << 4 | kept / 4);
    return kept;
}

int ip_fragment(struct ip *ip, struct strait_link *link, size_t mtu, const uint8_t *whole_header,
                size_t header_bytes, const struct iovec *payload, size_t payload_bytes)
{
    static const struct strait_offload ordinary = {0};
    uint8_t header[IPV4_HEADER_MAX_BYTES];
    struct iovec parts[1 + 1 + OUTGOING_PARTS_MAX];
    struct cursor at = {.part = payload};
    unsigned field = load_be16(whole_header + IPV4_FRAGMENT_AT);
    unsigned more_behind = field & IPV4_MORE_FRAGMENTS; /* a fragment that is cut again */
    unsigned offset = field & IPV4_OFFSET_MASK;

    memcpy(header, whole_header, header_bytes);
    while (payload_bytes > 0) {
        size_t bytes = payload_bytes;
        unsigned more = more_behind;
        if (bytes > mtu - header_bytes) {
            bytes = (mtu - header_bytes) / IPV4_OFFSET_UNIT * IPV4_OFFSET_UNIT;
            more = IPV4_MORE_FRAGMENTS;
        }
        store_be16(header + IPV4_TOTAL_LENGTH_AT, (uint16_t)(header_bytes + bytes));
        store_be16(header + IPV4_FRAGMENT_AT, (uint16_t)(more | offset));
        ipv4_write_checksum(header, header_bytes);
        parts[0] = (struct iovec){.iov_base = header, .iov_len = header_bytes};
        int slices = take_slices(&at, bytes, parts + 1);
        if (ip_transmit(ip, link, parts, 1 + slices, header_bytes + bytes, &ordinary) < 0)
            return -1;
        count(ip->core, ip_fragments_out);
        payload_bytes -= bytes;
        offset += (unsigned)(bytes / IPV4_OFFSET_UNIT);
        header_bytes = keep_copied_options(header, header_bytes);
    }
    count(ip->core, ip_fragmented);
    return 0;
}
