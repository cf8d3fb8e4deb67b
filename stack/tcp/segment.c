/* SPDX-License-Identifier: MIT */
#include "tcp/segment.h"

#include "base/bytes.h"

enum option_kind {
    OPTION_END = 0,
    OPTION_NOP = 1,
    OPTION_MSS = 2,
    OPTION_SCALE = 3,
    OPTION_SACK_PERMITTED = 4,
    OPTION_SACK = 5,
    OPTION_TIMESTAMPS = 8,
};

#define MSS_BYTES            4
#define SCALE_BYTES          3
#define SACK_PERMITTED_BYTES 2
#define TIMESTAMPS_BYTES     10

/* RFC 2018 3: pairs of edges; what they mean is for the sender of the data to check. */
static bool parse_sack(struct reader *body, struct tcp_options *options)
{
    size_t blocks = body->left / TCP_SACK_BLOCK_BYTES;

    if (body->left % TCP_SACK_BLOCK_BYTES != 0 || blocks > TCP_SACK_BLOCKS_MAX)
        return false;
    for (size_t i = 0; i < blocks; i++) {
        options->sack[i].left = read_be32(body);
        options->sack[i].right = read_be32(body);
    }
    options->sack_count = (uint8_t)blocks;
    return true;
}

static void parse_scale(struct reader *body, struct tcp_options *options)
{
    uint8_t scale = read_u8(body);

    options->scale = scale > TCP_SCALE_MAX ? TCP_SCALE_MAX : scale; /* RFC 7323 2.3 */
    options->has_scale = true;
}

static void parse_timestamps(struct reader *body, struct tcp_options *options)
{
    options->timestamp = read_be32(body);
    options->echo = read_be32(body);
    options->has_timestamps = true;
}

/* Returns false, and takes nothing, if the size is not one of this kind. */
static bool parse_option(uint8_t kind, uint8_t size, struct reader *body, uint8_t flags,
                         struct tcp_options *options)
{
    bool syn = flags & TCP_SYN; /* some have a meaning there alone, SACK everywhere else */
    bool right = true;

    switch (kind) {
    case OPTION_MSS:
        right = size == MSS_BYTES;
        if (right && syn)
            options->mss = read_be16(body);
        break;
    case OPTION_SCALE:
        right = size == SCALE_BYTES;
        if (right && syn)
            parse_scale(body, options);
        break;
    case OPTION_SACK_PERMITTED:
        right = size == SACK_PERMITTED_BYTES;
        if (right && syn)
            options->sack_permitted = true;
        break;
    case OPTION_SACK:
        if (!syn)
            right = parse_sack(body, options);
        break;
    case OPTION_TIMESTAMPS:
        right = size == TIMESTAMPS_BYTES;
        if (right)
            parse_timestamps(body, options);
        break;
    default:
        break;
    }
    return right;
}

/* Whether they are nothing but timestamps, in the layout that RFC 7323 appendix A recommends: so it
 * is in nearly all segments. */
static bool are_timestamps_alone(const struct reader *r)
{
    return r->left == TCP_TIMESTAMPS_BYTES &&
           load_be32(r->at) ==
               (OPTION_NOP << 24 | OPTION_NOP << 16 | OPTION_TIMESTAMPS << 8 | TIMESTAMPS_BYTES);
}

/*
 * Returns false if an option's length is wrong (RFC 9293 3.1, MUST-7). One that is not of its kind
 * is passed over; one that cannot be is the last to be read.
 */
static bool parse_options(struct reader r, uint8_t flags, struct tcp_options *options)
{
    bool right = true;

    if (are_timestamps_alone(&r)) {
        read_be32(&r);
        parse_timestamps(&r, options);
        return true;
    }
    while (r.left > 0) {
        uint8_t kind = read_u8(&r);
        if (kind == OPTION_END)
            return right;
        if (kind == OPTION_NOP)
            continue;
        uint8_t size = read_u8(&r);
        if (r.short_of || size < 2 || (size_t)(size - 2) > r.left)
            return false;
        struct reader body = reader_over(r.at, (size_t)(size - 2));
        if (!parse_option(kind, size, &body, flags, options))
            right = false;
        read_bytes(&r, (size_t)(size - 2));
    }
    return right;
}

bool segment_parse(struct core *core, const struct ip_packet *packet, struct segment *s)
{
    const uint8_t *p = packet->payload;
    size_t header_bytes = packet->length < TCP_HEADER_BYTES ? 0 : (size_t)(p[12] >> 4) * 4;

    if (header_bytes < TCP_HEADER_BYTES || header_bytes > packet->length || load_be16(p) == 0 ||
        load_be16(p + 2) == 0) {
        count(core, tcp_header_wrong);
        return false;
    }
    if (!ip_checksum_right(packet)) {
        count(core, tcp_checksum_wrong);
        return false;
    }
    s->source_port = load_be16(p);
    s->destination_port = load_be16(p + 2);
    s->seq = load_be32(p + 4);
    s->ack = load_be32(p + 8);
    s->flags = p[13];
    s->window = load_be16(p + 14);
    s->urgent = load_be16(p + 18);
    s->ecn = packet->tos & IP_ECN_MASK;

    s->options = (struct tcp_options){0};
    struct reader options = reader_over(p + TCP_HEADER_BYTES, header_bytes - TCP_HEADER_BYTES);
    if (!parse_options(options, s->flags, &s->options))
        count(core, tcp_option_wrong);

    s->payload = packet->payload + header_bytes;
    s->length = (uint32_t)(packet->length - header_bytes);
    uint16_t gso_size = packet->offload->gso_size;
    s->pieces = gso_size && s->length > gso_size ? (s->length + gso_size - 1) / gso_size : 1;
    count_by(core, tcp_segments_in, s->pieces);
    return true;
}

size_t segment_header_bytes(uint8_t flags, const struct tcp_options *options)
{
    size_t bytes = TCP_HEADER_BYTES;

    if (options->has_timestamps)
        bytes += TCP_TIMESTAMPS_BYTES;
    if (flags & TCP_SYN) {
        bytes += options->mss ? MSS_BYTES : 0;
        bytes += options->has_scale ? SCALE_BYTES + 1 : 0;
        bytes += options->sack_permitted ? SACK_PERMITTED_BYTES + 2 : 0;
    } else if (options->sack_count > 0) {
        bytes += TCP_SACK_HEAD_BYTES + (size_t)options->sack_count * TCP_SACK_BLOCK_BYTES;
    }
    return bytes;
}

static void write_sack(uint8_t *p, const struct tcp_options *options)
{
    p[0] = OPTION_NOP;
    p[1] = OPTION_NOP;
    p[2] = OPTION_SACK;
    p[3] = (uint8_t)(2 + options->sack_count * TCP_SACK_BLOCK_BYTES);
    p += TCP_SACK_HEAD_BYTES;
    for (int i = 0; i < options->sack_count; i++, p += TCP_SACK_BLOCK_BYTES) {
        store_be32(p, options->sack[i].left);
        store_be32(p + 4, options->sack[i].right);
    }
}

/* Every option is padded in front to a multiple of four bytes, as RFC 7323 appendix A advises. */
static void write_options(uint8_t *p, uint8_t flags, const struct tcp_options *options)
{
    if ((flags & TCP_SYN) && options->mss) {
        p[0] = OPTION_MSS;
        p[1] = MSS_BYTES;
        store_be16(p + 2, options->mss);
        p += MSS_BYTES;
    }
    if (options->has_timestamps) {
        p[0] = OPTION_NOP;
        p[1] = OPTION_NOP;
        p[2] = OPTION_TIMESTAMPS;
        p[3] = TIMESTAMPS_BYTES;
        store_be32(p + 4, options->timestamp);
        store_be32(p + 8, options->echo);
        p += TCP_TIMESTAMPS_BYTES;
    }
    if ((flags & TCP_SYN) && options->has_scale) {
        p[0] = OPTION_NOP;
        p[1] = OPTION_SCALE;
        p[2] = SCALE_BYTES;
        p[3] = options->scale;
        p += SCALE_BYTES + 1;
    }
    if ((flags & TCP_SYN) && options->sack_permitted) {
        p[0] = OPTION_NOP;
        p[1] = OPTION_NOP;
        p[2] = OPTION_SACK_PERMITTED;
        p[3] = SACK_PERMITTED_BYTES;
    }
    if (!(flags & TCP_SYN) && options->sack_count > 0)
        write_sack(p, options);
}

void segment_write(struct ip_outgoing *out, const struct segment *s)
{
    size_t header_bytes = segment_header_bytes(s->flags, &s->options);

    outgoing_init(out, header_bytes, TCP_CHECKSUM_AT, true);
    out->ecn = s->ecn;
    uint8_t *p = outgoing_transport(out);
    store_be16(p, s->source_port);
    store_be16(p + 2, s->destination_port);
    store_be32(p + 4, s->seq);
    store_be32(p + 8, s->ack);
    p[12] = (uint8_t)(header_bytes / 4 << 4);
    p[13] = s->flags;
    store_be16(p + 14, s->window);
    store_be16(p + TCP_CHECKSUM_AT, 0);
    store_be16(p + 18, s->urgent);
    write_options(p + TCP_HEADER_BYTES, s->flags, &s->options);
}
