/* SPDX-License-Identifier: MIT */
#include "packet.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"

#define IP_HEADER_BYTES   20
#define TCP_HEADER_BYTES  20
#define UDP_HEADER_BYTES  8
#define ICMP_HEADER_BYTES 8
#define TCP_OPTION_BYTES  40

void packet_problem(struct packet *p, const char *format, ...)
{
    if (p->problem[0])
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(p->problem, sizeof p->problem, format, arguments);
    va_end(arguments);
}

/* ---- Checksums ----------------------------------------------------------------------------- */

static uint64_t sum_words(uint64_t sum, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i + 1 < length; i += 2)
        sum += load_be16(bytes + i);
    if (length % 2)
        sum += (uint64_t)bytes[length - 1] << 8;
    return sum;
}

static uint16_t fold(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/* The pseudo-header of RFC 9293 3.1 and RFC 768, of a packet whose addresses stand in `ip`. */
static uint64_t sum_pseudo(const uint8_t *ip, size_t transport_bytes)
{
    return sum_words(0, ip + 12, 8) + ip[9] + transport_bytes;
}

/* Where the checksum stands in the transport's header. */
static size_t checksum_place(uint8_t protocol)
{
    switch (protocol) {
    case IPPROTO_TCP:
        return 16;
    case IPPROTO_UDP:
        return 6;
    default:
        return 2;
    }
}

static uint64_t sum_transport(const uint8_t *bytes, size_t length, size_t header)
{
    uint64_t pseudo = bytes[9] == IPPROTO_ICMP ? 0 : sum_pseudo(bytes, length - header);
    return sum_words(pseudo, bytes + header, length - header);
}

void packet_fix_checksums(uint8_t *bytes, size_t length)
{
    size_t header = (size_t)(bytes[0] & 15) * 4;
    if (header < IP_HEADER_BYTES || header > length)
        header = IP_HEADER_BYTES;
    store_be16(bytes + 10, 0);
    store_be16(bytes + 10, (uint16_t)~fold(sum_words(0, bytes, header)));

    size_t place = header + checksum_place(bytes[9]);
    if (place + 2 > length)
        return;
    store_be16(bytes + place, 0);
    uint16_t sum = (uint16_t)~fold(sum_transport(bytes, length, header));
    /* A computed zero is sent as all ones: zero means that there is none (RFC 768). */
    store_be16(bytes + place, bytes[9] == IPPROTO_UDP && sum == 0 ? 0xffff : sum);
}

void packet_make_partial(uint8_t *bytes, size_t length, struct strait_offload *offload)
{
    size_t header = (size_t)(bytes[0] & 15) * 4;
    store_be16(bytes + header + 16, fold(sum_pseudo(bytes, length - header)));
    offload->checksum = STRAIT_CHECKSUM_PARTIAL;
    offload->checksum_start = (uint16_t)header;
    offload->checksum_offset = 16;
    offload->header_bytes = (uint16_t)(header + (size_t)(bytes[header + 12] >> 4) * 4);
}

/* ---- Bytes into a packet ------------------------------------------------------------------- */

static void examine_checksum(struct packet *p, const uint8_t *bytes, size_t length, size_t header)
{
    size_t place = checksum_place(p->protocol);
    uint16_t stored = load_be16(bytes + header + place);
    switch (p->offload.checksum) {
    case STRAIT_CHECKSUM_COMPLETE:
        if (p->protocol == IPPROTO_UDP && stored == 0)
            packet_problem(p, "the UDP checksum is left out (RFC 1122 4.1.3.4)");
        if (fold(sum_transport(bytes, length, header)) != 0xffff)
            packet_problem(p, "the transport checksum is wrong");
        break;
    case STRAIT_CHECKSUM_PARTIAL:
        if (stored != fold(sum_pseudo(bytes, length - header)))
            packet_problem(p, "the partial checksum is not the pseudo-header's sum");
        if (p->offload.checksum_start != header || p->offload.checksum_offset != place)
            packet_problem(p, "checksum_start %u, checksum_offset %u are wrong",
                           p->offload.checksum_start, p->offload.checksum_offset);
        break;
    default:
        packet_problem(p, "checksum state %u has no meaning in a sent packet", p->offload.checksum);
    }
}

/* The length that the whole option must have, or 0 if any will do. */
static size_t option_length(unsigned kind)
{
    switch (kind) {
    case OPTION_MSS:
        return 4;
    case OPTION_WSCALE:
        return 3;
    case OPTION_SACK_OK:
        return 2;
    case OPTION_TS:
        return 10;
    default:
        return 0;
    }
}

/* Fills in an option of more than one byte from its data. */
static void parse_option(struct packet *p, struct option *o, struct reader *data)
{
    switch (o->kind) {
    case OPTION_MSS:
        o->values = 1;
        o->value[0] = read_be16(data);
        return;
    case OPTION_WSCALE:
        o->values = 1;
        o->value[0] = read_u8(data);
        return;
    case OPTION_TS:
        o->values = 2;
        break;
    case OPTION_SACK:
        o->values = (unsigned)data->left / 4;
        if (data->left == 0 || data->left % 8 || o->values > 8)
            packet_problem(p, "a SACK option of %zu bytes", data->left + 2);
        break;
    default:
        while (data->left && o->bytes < sizeof o->byte)
            o->byte[o->bytes++] = read_u8(data);
        return;
    }
    for (unsigned i = 0; i < o->values && i < 8; i++)
        o->value[i] = read_be32(data);
}

static void parse_options(struct packet *p, struct reader options)
{
    while (options.left) {
        struct option *o = &p->option[p->options++];
        *o = (struct option){.kind = read_u8(&options)};
        if (o->kind == OPTION_EOL || o->kind == OPTION_NOP)
            continue;
        size_t length = read_u8(&options);
        size_t demanded = option_length(o->kind);
        if (length < 2 || length - 2 > options.left || (demanded && length != demanded)) {
            packet_problem(p, "option %u has the length %zu", o->kind, length);
            return;
        }
        struct reader data = reader_over(read_bytes(&options, length - 2), length - 2);
        parse_option(p, o, &data);
    }
}

static void parse_tcp(struct packet *p, struct reader *r)
{
    size_t left = r->left;
    p->source_port = read_be16(r);
    p->destination_port = read_be16(r);
    p->seq = read_be32(r);
    p->ack = read_be32(r);
    unsigned offset_and_reserved = read_u8(r);
    p->flags = read_u8(r);
    p->window = read_be16(r);
    read_be16(r);
    p->urgent = read_be16(r);

    size_t header = (size_t)(offset_and_reserved >> 4) * 4;
    if (header < TCP_HEADER_BYTES || header > left) {
        packet_problem(p, "the TCP header claims %zu of %zu bytes", header, left);
        return;
    }
    if (offset_and_reserved & 15)
        packet_problem(p, "reserved bits are set (RFC 9293 3.1)");
    if (!(p->flags & TCP_URG) && p->urgent)
        packet_problem(p, "an urgent pointer without URG");
    size_t options = header - TCP_HEADER_BYTES;
    parse_options(p, reader_over(read_bytes(r, options), options));
    p->payload = r->at;
    p->payload_bytes = r->left;
}

static void parse_udp(struct packet *p, struct reader *r)
{
    size_t left = r->left;
    p->source_port = read_be16(r);
    p->destination_port = read_be16(r);
    if (read_be16(r) != left)
        packet_problem(p, "the UDP length is not that of the packet");
    read_be16(r);
    p->payload = r->at;
    p->payload_bytes = r->left;
}

static void parse_icmp(struct packet *p, struct reader *r)
{
    p->type = read_u8(r);
    p->code = read_u8(r);
    read_be16(r);
    p->id = read_be16(r);
    p->sequence = read_be16(r);
    p->payload = r->at;
    p->payload_bytes = r->left;
}

/* The IPv4 header as a sender that neither uses options nor makes fragments writes it. */
static void parse_ip(struct packet *p, struct reader *r)
{
    const uint8_t *header = r->at;
    size_t length = r->left;
    if (read_u8(r) != 0x45)
        packet_problem(p, "the packet begins with 0x%02x, not with 0x45", header[0]);
    p->tos = read_u8(r);
    if (read_be16(r) != length)
        packet_problem(p, "the IP total length is not that of the packet, %zu", length);
    p->ip_id = read_be16(r);
    uint16_t fragment = read_be16(r);
    p->dont_fragment = fragment & 0x4000;
    if (fragment & ~0x4000)
        packet_problem(p, "a fragment: 0x%04x", fragment);
    p->ttl = read_u8(r);
    if (p->ttl == 0)
        packet_problem(p, "TTL 0");
    p->protocol = read_u8(r);
    if (fold(sum_words(0, header, IP_HEADER_BYTES)) != 0xffff)
        packet_problem(p, "the IP header checksum is wrong");
    read_be16(r);
    p->source = read_be32(r);
    p->destination = read_be32(r);
}

void packet_parse(struct packet *p, const uint8_t *bytes, size_t length,
                  const struct strait_offload *offload)
{
    *p = (struct packet){.offload = *offload};
    if (length < IP_HEADER_BYTES) {
        packet_problem(p, "%zu bytes are no IP packet", length);
        return;
    }
    struct reader r = reader_over(bytes, length);
    parse_ip(p, &r);
    switch (p->protocol) {
    case IPPROTO_TCP:
        parse_tcp(p, &r);
        break;
    case IPPROTO_UDP:
        parse_udp(p, &r);
        break;
    case IPPROTO_ICMP:
        parse_icmp(p, &r);
        break;
    default:
        packet_problem(p, "protocol %u", p->protocol);
        return;
    }
    if (r.short_of)
        packet_problem(p, "the transport header is cut off");
    else
        examine_checksum(p, bytes, length, IP_HEADER_BYTES);
}

/* ---- A packet into bytes ------------------------------------------------------------------- */

/* Writes the data of an option; returns how many bytes there are. */
static size_t build_option_data(const struct option *o, uint8_t *at)
{
    switch (o->kind) {
    case OPTION_MSS:
        store_be16(at, (uint16_t)o->value[0]);
        return 2;
    case OPTION_WSCALE:
        at[0] = (uint8_t)o->value[0];
        return 1;
    case OPTION_TS:
    case OPTION_SACK:
        for (unsigned i = 0; i < o->values; i++)
            store_be32(at + (size_t)i * 4, o->value[i]);
        return (size_t)o->values * 4;
    default:
        memcpy(at, o->byte, o->bytes);
        return o->bytes;
    }
}

/* Writes an option; returns how many bytes it takes. */
static size_t build_option(const struct option *o, uint8_t *at)
{
    if (o->kind == OPTION_HEX) {
        memcpy(at, o->byte, o->bytes);
        return o->bytes;
    }
    at[0] = (uint8_t)o->kind;
    if (o->kind == OPTION_EOL || o->kind == OPTION_NOP)
        return 1;
    size_t length = 2 + build_option_data(o, at + 2);
    at[1] = (uint8_t)length;
    return length;
}

/* Writes all options and pads them; returns their length, or SIZE_MAX if they do not fit. */
static size_t build_options(const struct packet *p, uint8_t *bytes)
{
    uint8_t all[PACKET_OPTIONS_MAX * 42];
    size_t length = 0;
    for (unsigned i = 0; i < p->options; i++)
        length += build_option(&p->option[i], all + length);
    while (length % 4)
        all[length++] = OPTION_EOL;
    if (length > TCP_OPTION_BYTES)
        return SIZE_MAX;
    memcpy(bytes, all, length);
    return length;
}

/* Each writes its header at `at` and returns its length. */

static size_t build_tcp(const struct packet *p, uint8_t *at)
{
    size_t options = build_options(p, at + TCP_HEADER_BYTES);
    if (options == SIZE_MAX)
        return 0;
    store_be16(at, p->source_port);
    store_be16(at + 2, p->destination_port);
    store_be32(at + 4, p->seq);
    store_be32(at + 8, p->ack);
    at[12] = (uint8_t)((TCP_HEADER_BYTES + options) / 4 << 4);
    at[13] = (uint8_t)p->flags;
    store_be16(at + 14, p->window);
    store_be16(at + 18, p->urgent);
    return TCP_HEADER_BYTES + options;
}

static size_t build_udp(const struct packet *p, uint8_t *at)
{
    store_be16(at, p->source_port);
    store_be16(at + 2, p->destination_port);
    store_be16(at + 4, (uint16_t)(UDP_HEADER_BYTES + p->payload_bytes));
    return UDP_HEADER_BYTES;
}

static size_t build_icmp(const struct packet *p, uint8_t *at)
{
    at[0] = p->type;
    at[1] = p->code;
    store_be16(at + 4, p->id);
    store_be16(at + 6, p->sequence);
    return ICMP_HEADER_BYTES;
}

size_t packet_build(const struct packet *p, uint8_t *bytes, size_t capacity)
{
    uint8_t header[IP_HEADER_BYTES + TCP_HEADER_BYTES + TCP_OPTION_BYTES] = {0};
    uint8_t *transport = header + IP_HEADER_BYTES;
    size_t transport_bytes = p->protocol == IPPROTO_TCP   ? build_tcp(p, transport)
                             : p->protocol == IPPROTO_UDP ? build_udp(p, transport)
                                                          : build_icmp(p, transport);
    size_t headers = IP_HEADER_BYTES + transport_bytes;
    size_t length = headers + p->payload_bytes;
    if (transport_bytes == 0 || length > capacity || length > PACKET_BYTES_MAX)
        return 0;

    header[0] = 0x45;
    header[1] = p->tos;
    store_be16(header + 2, (uint16_t)length);
    store_be16(header + 4, p->ip_id);
    store_be16(header + 6, p->dont_fragment ? 0x4000 : 0);
    header[8] = p->ttl;
    header[9] = p->protocol;
    store_be32(header + 12, p->source);
    store_be32(header + 16, p->destination);
    memcpy(bytes, header, headers);
    if (p->payload_bytes)
        memcpy(bytes + headers, p->payload, p->payload_bytes);
    packet_fix_checksums(bytes, length);
    return length;
}

/* ---- The streams --------------------------------------------------------------------------- */

/* The finalizer of splitmix64: no shift of a stream looks like the stream. */
uint8_t stream_byte(enum stream stream, uint32_t position)
{
    uint64_t z = (uint64_t)position + ((uint64_t)stream << 40) + 1;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (uint8_t)(z ^ z >> 31);
}

void stream_fill(enum stream stream, uint32_t position, uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = stream_byte(stream, position + (uint32_t)i);
}

size_t stream_check(enum stream stream, uint32_t position, const uint8_t *bytes, size_t length)
{
    size_t i = 0;
    while (i < length && bytes[i] == stream_byte(stream, position + (uint32_t)i))
        i++;
    return i;
}
