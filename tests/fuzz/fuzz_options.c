/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as the options of a TCP segment, straight into its parser (tcp/segment.h): the one
 * place where a peer's lengths decide how far is read.
 *
 * The input is the byte of flags, the data offset byte, and then the options and the payload. The
 * segment is in memory of just its size, so that the sanitizer finds what reads beyond it.
 *
 * Promised: the parser refuses exactly the headers that cannot be; what it reads of the options is
 * what a plain walk over them finds (RFC 9293 3.1, 3.2; RFC 7323 2.2, 3.2; RFC 2018 2, 3); and what
 * segment_write makes of that is read back as the same.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "packet.h"
#include "rig.h"
#include "targets.h"
#include "tcp/segment.h"

#define OFFSET_AT 12
#define FLAGS_AT  13
#define KIND_END  0
#define KIND_NOP  1

/* The value of the last option of this kind and size among those that are well-formed, or NULL. */
static const uint8_t *find_option(const uint8_t *options, size_t length, uint8_t kind,
                                  size_t *value_bytes, size_t size)
{
    const uint8_t *found = NULL;

    for (size_t i = 0; i < length && options[i] != KIND_END;) {
        if (options[i] == KIND_NOP) {
            i++;
            continue;
        }
        if (i + 1 >= length || options[i + 1] < 2 || options[i + 1] > length - i)
            break;
        size_t bytes = options[i + 1];
        if (options[i] == kind && (size == 0 || bytes == size)) {
            found = options + i + 2;
            *value_bytes = bytes - 2;
        }
        i += bytes;
    }
    return found;
}

/* Compares what was parsed with what stands there. */
static void check_options(const struct segment *s, const uint8_t *options, size_t length)
{
    bool syn = s->flags & TCP_SYN;
    size_t bytes = 0;

    const uint8_t *mss = find_option(options, length, 2, &bytes, 4);
    CHECK(s->options.mss == (syn && mss ? load_be16(mss) : 0));

    const uint8_t *scale = find_option(options, length, 3, &bytes, 3);
    CHECK(s->options.has_scale == (syn && scale != NULL));
    if (s->options.has_scale)
        CHECK(s->options.scale == (scale[0] > TCP_SCALE_MAX ? TCP_SCALE_MAX : scale[0]));

    CHECK(s->options.sack_permitted == (syn && find_option(options, length, 4, &bytes, 2) != NULL));

    const uint8_t *stamps = find_option(options, length, 8, &bytes, 10);
    CHECK(s->options.has_timestamps == (stamps != NULL));
    if (stamps)
        CHECK(s->options.timestamp == load_be32(stamps) &&
              s->options.echo == load_be32(stamps + 4));

    CHECK(s->options.sack_count <= TCP_SACK_BLOCKS_MAX);
    CHECK(!syn || s->options.sack_count == 0);
    const uint8_t *sack = find_option(options, length, 5, &bytes, 0);
    if (sack && !syn && bytes > 0 && bytes % TCP_SACK_BLOCK_BYTES == 0) {
        CHECK(s->options.sack_count == bytes / TCP_SACK_BLOCK_BYTES);
        for (unsigned i = 0; i < s->options.sack_count; i++)
            CHECK(s->options.sack[i].left == load_be32(sack + 8u * i) &&
                  s->options.sack[i].right == load_be32(sack + 8u * i + 4));
    }
}

static bool parse(struct core *core, const uint8_t *bytes, size_t length, struct segment *s)
{
    static const struct strait_offload verified = {.checksum = STRAIT_CHECKSUM_VALID};
    const struct ip_packet packet = {
        .source = address_v4(RIG_PEER),
        .destination = address_v4(RIG_ADDRESS),
        .protocol = IPPROTO_TCP,
        .local = true,
        .payload = bytes,
        .length = length,
        .offload = &verified,
    };
    *s = (struct segment){0};
    return segment_parse(core, &packet, s);
}

static void check_same(const struct tcp_options *a, const struct tcp_options *b)
{
    CHECK(a->mss == b->mss);
    CHECK(a->has_scale == b->has_scale && a->scale == b->scale);
    CHECK(a->sack_permitted == b->sack_permitted);
    CHECK(a->has_timestamps == b->has_timestamps);
    CHECK(a->timestamp == b->timestamp && a->echo == b->echo);
    CHECK(a->sack_count == b->sack_count);
    for (unsigned i = 0; i < a->sack_count; i++)
        CHECK(a->sack[i].left == b->sack[i].left && a->sack[i].right == b->sack[i].right);
}

static void check_round_trip(struct core *core, const struct segment *s)
{
    struct ip_outgoing out;
    struct segment again;

    segment_write(&out, s);
    CHECK(out.header_bytes <= PACKET_TCP_BYTES + PACKET_OPTIONS_BYTES);
    uint8_t *exact = malloc(out.header_bytes);
    CHECK(exact != NULL);
    memcpy(exact, outgoing_transport(&out), out.header_bytes);
    CHECK(parse(core, exact, out.header_bytes, &again));
    CHECK(again.seq == s->seq && again.ack == s->ack && again.flags == s->flags);
    CHECK(again.window == s->window && again.urgent == s->urgent && again.length == 0);
    check_same(&again.options, &s->options);
    free(exact);
}

int fuzz_options(const uint8_t *bytes, size_t length)
{
    if (length < 2)
        return 0;
    size_t segment_bytes = PACKET_TCP_BYTES + length - 2;
    uint8_t *segment = malloc(segment_bytes);
    struct core *core = calloc(1, sizeof(*core));
    CHECK(segment != NULL && core != NULL);

    for (uint8_t i = 0; i < PACKET_TCP_BYTES; i++)
        segment[i] = i;
    segment[FLAGS_AT] = bytes[0];
    segment[OFFSET_AT] = bytes[1];
    memcpy(segment + PACKET_TCP_BYTES, bytes + 2, length - 2);

    size_t header_bytes = (bytes[1] >> 4) * 4u;
    struct segment s;
    bool parsed = parse(core, segment, segment_bytes, &s);
    CHECK(parsed == (header_bytes >= PACKET_TCP_BYTES && header_bytes <= segment_bytes));
    CHECK(parsed != (core->counters[COUNTER_tcp_header_wrong] == 1));
    if (parsed) {
        CHECK(s.payload == segment + header_bytes && s.length == segment_bytes - header_bytes);
        check_options(&s, segment + PACKET_TCP_BYTES, header_bytes - PACKET_TCP_BYTES);
        check_round_trip(core, &s);
    }
    free(core);
    free(segment);
    return 0;
}
