/* SPDX-License-Identifier: MIT */
#include "packet.h"

#include <netinet/in.h>

#include "base/bytes.h"
#include "base/checksum.h"

#define IP_HEADER_BYTES  20 /* Strait sends no options */
#define TCP_HEADER_BYTES 20

enum option {
    OPTION_END,
    OPTION_NOP,
    OPTION_MSS,
    OPTION_SCALE,
    OPTION_SACK_PERMITTED,
    OPTION_SACK,
    OPTION_TIMESTAMPS = 8,
};

static uint64_t pseudo_header(const uint8_t *ip, size_t length)
{
    return checksum_add(0, ip + 12, 8) + IPPROTO_TCP + length;
}

/* PARTIAL: the field holds the sum of the pseudo-header alone. */
static bool checksum_is_right(const uint8_t *ip, size_t total, const struct strait_offload *offload)
{
    const uint8_t *tcp = ip + IP_HEADER_BYTES;
    uint64_t sum = pseudo_header(ip, total - IP_HEADER_BYTES);

    if (offload->checksum == STRAIT_CHECKSUM_PARTIAL)
        return load_be16(tcp + 16) == checksum_fold(sum) &&
               offload->checksum_start == IP_HEADER_BYTES && offload->checksum_offset == 16;
    return checksum_fold(checksum_add(sum, tcp, total - IP_HEADER_BYTES)) == 0xffff;
}

static void read_sacks(struct packet *p, struct reader blocks)
{
    while (blocks.left >= 8 && p->sack_count < PACKET_SACKS_MAX) {
        p->sack[p->sack_count].left = read_be32(&blocks);
        p->sack[p->sack_count].right = read_be32(&blocks);
        p->sack_count++;
    }
}

static void read_options(struct packet *p, struct reader options)
{
    p->scale = PACKET_SCALE_NONE;
    while (options.left > 0) {
        uint8_t kind = read_u8(&options);
        if (kind == OPTION_END)
            return;
        if (kind == OPTION_NOP)
            continue;
        uint8_t length = read_u8(&options);
        const uint8_t *value = length >= 2 ? read_bytes(&options, length - 2u) : NULL;
        if (!value)
            return;
        if (kind == OPTION_MSS && length == 4)
            p->mss = load_be16(value);
        else if (kind == OPTION_SCALE && length == 3)
            p->scale = value[0];
        else if (kind == OPTION_SACK_PERMITTED && length == 2)
            p->sack_permitted = true;
        else if (kind == OPTION_SACK)
            read_sacks(p, reader_over(value, length - 2u));
        else if (kind == OPTION_TIMESTAMPS && length == 10) {
            p->stamped = true;
            p->stamp = load_be32(value);
        }
    }
}

static void read_pieces(struct packet *p, const struct strait_offload *offload)
{
    p->pieces = 1;
    p->largest = p->length;
    if (offload->gso != STRAIT_GSO_TCP4 || offload->gso_size == 0)
        return;
    p->pieces = p->length > 0 ? (p->length + offload->gso_size - 1) / offload->gso_size : 1;
    p->largest = p->length < offload->gso_size ? p->length : offload->gso_size;
}

bool packet_read(struct packet *p, const void *bytes, size_t length,
                 const struct strait_offload *offload)
{
    static const struct strait_offload none = {0};
    const uint8_t *ip = bytes, *tcp = ip + IP_HEADER_BYTES;

    *p = (struct packet){0};
    if (length < PACKET_HEADERS_BYTES || ip[0] != 0x45 || ip[9] != IPPROTO_TCP)
        return false;
    offload = offload ? offload : &none;
    p->id = load_be16(ip + 4);
    p->ecn = ip[1] & 3;
    p->source = load_be32(ip + 12);
    p->destination = load_be32(ip + 16);
    p->source_port = load_be16(tcp);
    p->destination_port = load_be16(tcp + 2);
    p->seq = load_be32(tcp + 4);
    p->ack = load_be32(tcp + 8);
    p->flags = tcp[13];
    p->window = load_be16(tcp + 14);
    p->urgent = load_be16(tcp + 18);
    p->total = (uint32_t)length;

    size_t header_bytes = (size_t)(tcp[12] >> 4) * 4;
    if (header_bytes < TCP_HEADER_BYTES || IP_HEADER_BYTES + header_bytes > length ||
        load_be16(ip + 2) != length)
        return true;
    p->payload = tcp + header_bytes;
    p->length = (uint32_t)(length - IP_HEADER_BYTES - header_bytes);
    p->option_bytes = (uint32_t)header_bytes - TCP_HEADER_BYTES;
    read_options(p, reader_over(tcp + TCP_HEADER_BYTES, header_bytes - TCP_HEADER_BYTES));
    read_pieces(p, offload);
    p->whole = checksum_fold(checksum_add(0, ip, IP_HEADER_BYTES)) == 0xffff &&
               checksum_is_right(ip, length, offload);
    return true;
}

bool packet_is_forged(const void *bytes, size_t length)
{
    static const uint16_t dont_fragment = 0x4000; /* others need an identification of their own */
    const uint8_t *ip = bytes;

    return length >= IP_HEADER_BYTES && load_be16(ip + 4) == PACKET_FORGED &&
           load_be16(ip + 6) == dont_fragment;
}

void packet_seal(uint8_t *ip, size_t length)
{
    uint8_t *tcp = ip + IP_HEADER_BYTES;
    size_t segment = length - IP_HEADER_BYTES;

    store_be16(ip + 2, (uint16_t)length);
    store_be16(ip + 10, 0);
    store_be16(ip + 10, (uint16_t)~checksum_fold(checksum_add(0, ip, IP_HEADER_BYTES)));
    store_be16(tcp + 16, 0);
    uint64_t sum = checksum_add(pseudo_header(ip, segment), tcp, segment);
    store_be16(tcp + 16, (uint16_t)~checksum_fold(sum));
}
