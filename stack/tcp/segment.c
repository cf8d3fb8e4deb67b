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

/* The first word of an option that ends with whole words, behind its padding. */
#define PADDED_OPTION(kind, bytes)                                                                 \
    ((uint32_t)OPTION_NOP << 24 | (uint32_t)OPTION_NOP << 16 | (uint32_t)(kind) << 8 |             \
     (uint32_t)(bytes))

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

/* `body` is of the size that they have. */
static void take_timestamps(const uint8_t *body, struct tcp_options *options)
{
    options->timestamp = load_be32(body);
    options->echo = load_be32(body + 4);
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
            take_timestamps(body->at, options);
        break;
    default:
        break;
    }
    return right;
}

/*
 * Returns false if an option's length is wrong (RFC 9293 3.1, MUST-7). One that is not of its kind
 * is passed over; one that cannot be is the last to be read. Hardly a segment needs it: it stands
 * by itself, lest all save the registers that it uses.
 */
static __attribute__((noinline)) bool parse_list(const uint8_t *list, size_t length, uint8_t flags,
                                                 struct tcp_options *options)
{
    struct reader r = reader_over(list, length);
    bool right = true;

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

/* Whether they are nothing but timestamps, in the layout that RFC 7323 appendix A recommends: so it
 * is in nearly all segments. */
static bool are_timestamps_alone(const uint8_t *list, size_t length)
{
    return length == TCP_TIMESTAMPS_BYTES &&
           load_be32(list) == PADDED_OPTION(OPTION_TIMESTAMPS, TIMESTAMPS_BYTES);
}

/* Returns as parse_list. */
static inline bool parse_options(const uint8_t *list, size_t length, struct segment *s)
{
    s->options = (struct tcp_options){0};
    if (length == 0)
        return true;
    if (!are_timestamps_alone(list, length))
        return parse_list(list, length, s->flags, &s->options);
    take_timestamps(list + TCP_TIMESTAMPS_BYTES - TIMESTAMPS_BYTES + 2, &s->options);
    return true;
}

/* How many segments the link has put together. */
static uint32_t pieces_of(uint32_t length, uint16_t gso_size)
{
    return gso_size > 0 && length > gso_size ? (length + gso_size - 1) / gso_size : 1;
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
    s->payload = p + header_bytes;
    s->length = (uint32_t)(packet->length - header_bytes);
    s->pieces = pieces_of(s->length, packet->offload->gso_size);
    if (!parse_options(p + TCP_HEADER_BYTES, header_bytes - TCP_HEADER_BYTES, s))
        count(core, tcp_option_wrong);
    count_by(core, tcp_segments_in, s->pieces);
    return true;
}

static uint8_t *write_word(uint8_t *p, uint32_t word)
{
    store_be32(p, word);
    return p + sizeof(word);
}

static uint8_t *write_sack(uint8_t *p, const struct tcp_options *options)
{
    p = write_word(p, PADDED_OPTION(OPTION_SACK, 2 + options->sack_count * TCP_SACK_BLOCK_BYTES));
    for (int i = 0; i < options->sack_count; i++) {
        p = write_word(p, options->sack[i].left);
        p = write_word(p, options->sack[i].right);
    }
    return p;
}

/* Every option is padded in front to a multiple of four bytes, as RFC 7323 appendix A advises.
 * Returns where they end. */
static uint8_t *write_options(uint8_t *p, uint8_t flags, const struct tcp_options *options)
{
    bool syn = flags & TCP_SYN;

    if (syn && options->mss)
        p = write_word(p, OPTION_MSS << 24 | MSS_BYTES << 16 | options->mss);
    if (options->has_timestamps) {
        p = write_word(p, PADDED_OPTION(OPTION_TIMESTAMPS, TIMESTAMPS_BYTES));
        p = write_word(p, options->timestamp);
        p = write_word(p, options->echo);
    }
    if (syn && options->has_scale)
        p = write_word(p,
                       OPTION_NOP << 24 | OPTION_SCALE << 16 | SCALE_BYTES << 8 | options->scale);
    if (syn && options->sack_permitted)
        p = write_word(p, PADDED_OPTION(OPTION_SACK_PERMITTED, SACK_PERMITTED_BYTES));
    if (!syn && options->sack_count > 0)
        p = write_sack(p, options);
    return p;
}

void segment_write(struct ip_outgoing *out, const struct segment *s)
{
    uint8_t *p = outgoing_transport(out);
    size_t header_bytes = (size_t)(write_options(p + TCP_HEADER_BYTES, s->flags, &s->options) - p);

    outgoing_init(out, header_bytes, TCP_CHECKSUM_AT, true);
    out->ecn = s->ecn;
    /* By words of 32 bits (RFC 9293 3.1); that of the checksum has nothing but the pointer yet. */
    p = write_word(p, (uint32_t)s->source_port << 16 | s->destination_port);
    p = write_word(p, s->seq);
    p = write_word(p, s->ack);
    p = write_word(p, (uint32_t)header_bytes / 4 << 28 | (uint32_t)s->flags << 16 | s->window);
    write_word(p, s->urgent);
}
