/* SPDX-License-Identifier: MIT */
/* Segments go from 10.7.0.1 to 10.7.0.2; their bytes are written by hand, as the RFC draws them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "lan.h"
#include "tcp/segment.h"

/* Ports 50000 and 80, SEQ 0x01020304, ACK 0xa1b2c3d4; then offset and flags, window, checksum. */
#define NUMBERS "c350 0050 01020304 a1b2c3d4 "

#define OPTIONS_MAX 40 /* bytes; RFC 9293 3.1: the data offset is 15 words at most */

struct fixture {
    struct core core;
    struct strait_offload offload;
    struct ip_packet packet;
    struct segment segment; /* the last one parsed */
    uint8_t *bytes;         /* of the packet: exactly as long, so that a read beyond it is seen */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->packet = (struct ip_packet){
        .source = address_v4(LAN_PEER),
        .destination = address_v4(LAN_HOST),
        .protocol = IPPROTO_TCP,
        .offload = &f->offload,
    };
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    free(f->bytes);
    free(f);
    return 0;
}

/* Parses a copy of the bytes; the counters start at 0. */
static bool parse(struct fixture *f, const uint8_t *bytes, size_t length, uint8_t checksum)
{
    free(f->bytes);
    f->bytes = malloc(length > 0 ? length : 1);
    assert_non_null(f->bytes);
    memcpy(f->bytes, bytes, length);
    f->packet.payload = f->bytes;
    f->packet.length = length;
    f->offload.checksum = checksum;
    memset(f->core.counters, 0, sizeof(f->core.counters));
    memset(&f->segment, 0xa5, sizeof(f->segment)); /* every field is to be set */
    return segment_parse(&f->core, &f->packet, &f->segment);
}

/* Of what was counted, `counter` stood at `value`: takes it away, so that the rest can be seen. */
static void expect_counted(struct fixture *f, enum counter counter, uint64_t value)
{
    assert_int_equal(f->core.counters[counter], value);
    f->core.counters[counter] = 0;
}

static void expect_nothing_else_counted(struct fixture *f)
{
    for (int i = 0; i < COUNTER_COUNT; i++)
        assert_int_equal(f->core.counters[i], 0);
}

/* Fails unless the segment is taken; somebody below has verified the checksum. */
static void take_bytes(struct fixture *f, const uint8_t *bytes, size_t length, int wrong_options)
{
    assert_true(parse(f, bytes, length, STRAIT_CHECKSUM_VALID));
    expect_counted(f, COUNTER_tcp_segments_in, f->segment.pieces);
    expect_counted(f, COUNTER_tcp_option_wrong, (uint64_t)wrong_options);
    expect_nothing_else_counted(f);
}

static void take(struct fixture *f, const char *hex)
{
    uint8_t bytes[256];
    take_bytes(f, bytes, lan_hex(bytes, sizeof(bytes), hex), 0);
}

static void take_with_a_wrong_option(struct fixture *f, const char *hex)
{
    uint8_t bytes[256];
    take_bytes(f, bytes, lan_hex(bytes, sizeof(bytes), hex), 1);
}

/* Fails unless the segment is dropped for its header. */
static void refuse_bytes(struct fixture *f, const uint8_t *bytes, size_t length)
{
    assert_false(parse(f, bytes, length, STRAIT_CHECKSUM_VALID));
    expect_counted(f, COUNTER_tcp_header_wrong, 1);
    expect_nothing_else_counted(f);
}

static void refuse(struct fixture *f, const char *hex)
{
    uint8_t bytes[256];
    refuse_bytes(f, bytes, lan_hex(bytes, sizeof(bytes), hex));
}

static void expect_options(const struct fixture *f, const struct tcp_options *expected)
{
    const struct tcp_options *o = &f->segment.options;
    assert_int_equal(o->mss, expected->mss);
    assert_int_equal(o->has_scale, expected->has_scale);
    assert_int_equal(o->scale, expected->scale);
    assert_int_equal(o->has_timestamps, expected->has_timestamps);
    assert_int_equal(o->timestamp, expected->timestamp);
    assert_int_equal(o->echo, expected->echo);
}

/* ---- Parsing: the header ---- */

static void the_fields_stand_where_rfc9293_3_1_draws_them(void **state)
{
    struct fixture *f = *state;
    const struct segment *s = &f->segment;

    take(f, NUMBERS "5018 2001 0000 0000 68656c6c6f");
    assert_int_equal(s->source_port, 50000);
    assert_int_equal(s->destination_port, 80);
    assert_int_equal(s->seq, 0x01020304);
    assert_int_equal(s->ack, 0xa1b2c3d4);
    assert_int_equal(s->window, 0x2001);
    assert_int_equal(s->flags, TCP_PSH | TCP_ACK);
    assert_int_equal(s->length, 5);
    assert_memory_equal(s->payload, "hello", 5);
    assert_int_equal(s->pieces, 1);
    expect_options(f, &(struct tcp_options){0});
}

static void the_payload_is_borrowed_and_starts_behind_the_options(void **state)
{
    struct fixture *f = *state;

    take(f, NUMBERS "7010 2000 0000 0000 0101 0101 0101 0101 6869");
    assert_ptr_equal(f->segment.payload, f->bytes + 28);
    assert_int_equal(f->segment.length, 2);
    take(f, NUMBERS "7010 2000 0000 0000 0101 0101 0101 0101"); /* none */
    assert_int_equal(f->segment.length, 0);
}

static void all_combinations_of_flags_are_taken_as_they_are(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[TCP_HEADER_BYTES];
    lan_hex(bytes, sizeof(bytes), NUMBERS "5000 2000 0000 0000");

    for (uint8_t flags = 0; flags < 0x40; flags++) {
        bytes[13] = flags;
        take_bytes(f, bytes, sizeof(bytes), 0);
        assert_int_equal(f->segment.flags, flags);
    }
}

static void reserved_bits_are_ignored_and_those_of_ecn_are_flags_rfc9293_3_1(void **state)
{
    struct fixture *f = *state;

    take(f, NUMBERS "5fd0 2000 0000 0000"); /* all four reserved bits, CWR, ECE, ACK */
    assert_int_equal(f->segment.flags, TCP_CWR | TCP_ECE | TCP_ACK);
}

static void a_segment_shorter_than_a_header_is_dropped(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[TCP_HEADER_BYTES];
    lan_hex(bytes, sizeof(bytes), NUMBERS "5010 2000 0000 0000");

    for (size_t length = 0; length < sizeof(bytes); length++)
        refuse_bytes(f, bytes, length);
    take_bytes(f, bytes, sizeof(bytes), 0);
}

static void a_data_offset_below_five_words_is_dropped(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[64];
    size_t length = lan_hex(bytes, sizeof(bytes), NUMBERS "0010 2000 0000 0000 0101 0101");

    for (unsigned words = 0; words < 5; words++) {
        bytes[12] = (uint8_t)(words << 4);
        refuse_bytes(f, bytes, length);
    }
}

static void a_data_offset_beyond_the_segment_is_dropped(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[TCP_HEADER_BYTES + OPTIONS_MAX] = {0};
    lan_hex(bytes, sizeof(bytes), NUMBERS "5010 2000 0000 0000");

    for (unsigned words = 6; words <= 15; words++) {
        bytes[12] = (uint8_t)(words << 4);
        refuse_bytes(f, bytes, TCP_HEADER_BYTES);
        refuse_bytes(f, bytes, words * 4 - 1);
        take_bytes(f, bytes, words * 4, 0);
        assert_int_equal(f->segment.length, 0);
    }
}

static void port_zero_is_dropped(void **state)
{
    struct fixture *f = *state;

    refuse(f, "0000 0050 01020304 a1b2c3d4 5010 2000 0000 0000");
    refuse(f, "c350 0000 01020304 a1b2c3d4 5010 2000 0000 0000");
    take(f, "0001 0001 01020304 a1b2c3d4 5010 2000 0000 0000");
}

static void syn_and_fin_take_a_number_each_rfc9293_3_4(void **state)
{
    (void)state;
    struct segment s = {.length = 10, .flags = TCP_ACK | TCP_PSH | TCP_RST | TCP_URG};

    assert_int_equal(segment_span(&s), 10);
    s.flags = TCP_SYN;
    assert_int_equal(segment_span(&s), 11);
    s.flags = TCP_FIN | TCP_ACK;
    assert_int_equal(segment_span(&s), 11);
    s.flags = TCP_SYN | TCP_FIN;
    assert_int_equal(segment_span(&s), 12);
    s.length = 0;
    assert_int_equal(segment_span(&s), 2);
}

/* ---- Parsing: options ---- */

static void the_options_of_a_syn_of_linux_are_read(void **state)
{
    struct fixture *f = *state;

    /* MSS 1460; SACK permitted, not understood; timestamps; NOP; scale 7 */
    take(f, NUMBERS "a002 faf0 0000 0000 020405b4 0402 080a 11223344 55667788 01 030307");
    expect_options(f, &(struct tcp_options){
                          .mss = 1460,
                          .has_scale = true,
                          .scale = 7,
                          .has_timestamps = true,
                          .timestamp = 0x11223344,
                          .echo = 0x55667788,
                      });
    assert_int_equal(f->segment.length, 0);
}

static void options_may_start_on_any_byte_rfc9293_3_1(void **state)
{
    struct fixture *f = *state;

    take(f, NUMBERS "8002 2000 0000 0000 01 02040218 01 0303 00 01 01 01");
    expect_options(f, &(struct tcp_options){.mss = 536, .has_scale = true, .scale = 0});
}

static void timestamps_are_read_on_every_segment_rfc7323_3_2(void **state)
{
    struct fixture *f = *state;

    take(f, NUMBERS "8010 2000 0000 0000 0101 080a ffffffff 00000001 61");
    expect_options(f, &(struct tcp_options){
                          .has_timestamps = true,
                          .timestamp = UINT32_MAX,
                          .echo = 1,
                      });
    assert_memory_equal(f->segment.payload, "a", 1);
}

static void mss_and_scale_mean_nothing_without_syn_rfc9293_3_2_rfc7323_2_2(void **state)
{
    struct fixture *f = *state;

    take(f, NUMBERS "7010 2000 0000 0000 020405b4 01 030307");
    expect_options(f, &(struct tcp_options){0});
}

static void a_scale_above_14_is_14_rfc7323_2_3(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[24];
    lan_hex(bytes, sizeof(bytes), NUMBERS "6002 2000 0000 0000 030300 00");

    for (unsigned scale = 0; scale <= 255; scale++) {
        bytes[22] = (uint8_t)scale;
        take_bytes(f, bytes, sizeof(bytes), 0);
        assert_true(f->segment.options.has_scale);
        assert_int_equal(f->segment.options.scale, scale < 14 ? scale : 14);
    }
}

static void nothing_is_read_behind_the_end_of_the_options_rfc9293_3_2(void **state)
{
    struct fixture *f = *state;

    take(f, NUMBERS "7002 2000 0000 0000 00 01 01 01 020405b4");
    expect_options(f, &(struct tcp_options){0});
    take(f, NUMBERS "6002 2000 0000 0000 00 ff 00 ff"); /* what looks like a length is none */
}

static void an_option_does_not_reach_into_the_payload(void **state)
{
    struct fixture *f = *state;

    take_with_a_wrong_option(f, NUMBERS "6002 2000 0000 0000 01 01 01 02 0405b4");
    expect_options(f, &(struct tcp_options){0});
    assert_int_equal(f->segment.length, 3);
    take_with_a_wrong_option(f, NUMBERS "6002 2000 0000 0000 01 01 0204 05b4");
    expect_options(f, &(struct tcp_options){0});
    assert_int_equal(f->segment.length, 2);
}

static void a_wrong_length_ends_the_options_and_keeps_those_before_rfc9293_3_1_must_7(void **state)
{
    struct fixture *f = *state;
    static const char *const headers[] = {
        NUMBERS "7002 2000 0000 0000 020405b4 0800 0303", /* 0: would go on for ever */
        NUMBERS "7002 2000 0000 0000 020405b4 0801 0303", /* 1: less than itself */
        NUMBERS "7002 2000 0000 0000 020405b4 6305 0303", /* one byte too long, unknown */
        NUMBERS "7002 2000 0000 0000 020405b4 080a 0303", /* the right one, but cut off */
        NUMBERS "7002 2000 0000 0000 020405b4 63ff 0303",
        NUMBERS "7002 2000 0000 0000 020405b4 0101 0108", /* no room for a length */
    };
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        take_with_a_wrong_option(f, headers[i]);
        expect_options(f, &(struct tcp_options){.mss = 1460});
    }
}

/* What an option of this kind and size, with a body of bytes 1, has to give. */
static struct tcp_options expected_of(unsigned kind, unsigned size)
{
    struct tcp_options o = {0};
    if (kind == 2 && size == 4)
        o.mss = 0x0101;
    if (kind == 3 && size == 3) {
        o.has_scale = true;
        o.scale = 1;
    }
    if (kind == 8 && size == 10) {
        o.has_timestamps = true;
        o.timestamp = 0x01010101;
        o.echo = 0x01010101;
    }
    return o;
}

/* Whether the kind is one that is understood, and has another length. In a SYN, SACK is not. */
static bool is_of_a_wrong_size(unsigned kind, unsigned size)
{
    static const unsigned sizes[] = {[2] = 4, [3] = 3, [4] = 2, [8] = 10};
    return kind < sizeof(sizes) / sizeof(sizes[0]) && sizes[kind] && size != sizes[kind];
}

/* Each kind with each length: an unknown kind, or a wrong length that fits, is skipped (MUST-6). */
static void each_kind_with_each_length_is_read_skipped_or_wrong(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[TCP_HEADER_BYTES + OPTIONS_MAX];

    for (unsigned kind = 2; kind <= 255; kind++) {
        for (unsigned size = 0; size <= 255; size++) {
            memset(bytes, 1, sizeof(bytes)); /* NOP, behind the option */
            lan_hex(bytes, sizeof(bytes), NUMBERS "f002 2000 0000 0000");
            bytes[20] = (uint8_t)kind;
            bytes[21] = (uint8_t)size;
            bool fits = size >= 2 && size <= OPTIONS_MAX;
            take_bytes(f, bytes, sizeof(bytes), !fits || is_of_a_wrong_size(kind, size));
            struct tcp_options expected = expected_of(kind, size);
            expect_options(f, &expected);
        }
    }
}

/* 8n+2 bytes; what follows is read all the same. */
static void a_sack_option_is_whole_blocks_or_skipped_rfc2018_3(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[TCP_HEADER_BYTES + OPTIONS_MAX];

    for (unsigned size = 2; size <= OPTIONS_MAX - 10; size++) {
        memset(bytes, 1, sizeof(bytes));
        lan_hex(bytes, sizeof(bytes), NUMBERS "f010 2000 0000 0000");
        bytes[20] = 5;
        bytes[21] = (uint8_t)size;
        bytes[20 + size] = 8;
        bytes[21 + size] = 10;
        take_bytes(f, bytes, sizeof(bytes), size % 8 != 2);
        assert_int_equal(f->segment.options.sack_count, size % 8 == 2 ? size / 8 : 0);
        assert_true(f->segment.options.has_timestamps);
    }
}

/* ---- Parsing: the checksum ---- */

/*
 * The pseudo-header is 0a07 + 0001 + 0a07 + 0002 + 0006 + 0019 (25 bytes) = 1430. With c350 + 0050
 * + 0102 + 0304 + a1b2 + c3d4 + 5018 + 2000 + 6865 + 6c6c + 6f00 the sum is 3f545, folded f548,
 * whose complement is 0ab7.
 */
static const char hello[] = NUMBERS "5018 2000 0ab7 0000 68656c6c6f";

static void refuse_for_its_checksum(struct fixture *f, const uint8_t *bytes, size_t length)
{
    assert_false(parse(f, bytes, length, STRAIT_CHECKSUM_COMPLETE));
    expect_counted(f, COUNTER_tcp_checksum_wrong, 1);
    expect_nothing_else_counted(f);
}

static void a_right_checksum_is_taken_rfc9293_3_1(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[64];
    size_t length = lan_hex(bytes, sizeof(bytes), hello);

    assert_true(parse(f, bytes, length, STRAIT_CHECKSUM_COMPLETE));
    assert_memory_equal(f->segment.payload, "hello", 5);
    expect_counted(f, COUNTER_tcp_segments_in, 1);
    expect_nothing_else_counted(f);
}

static void each_wrong_bit_is_seen_by_the_checksum(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[64];
    size_t length = lan_hex(bytes, sizeof(bytes), hello);

    for (size_t bit = 0; bit < length * 8; bit++) {
        if (bit / 8 == 12)
            continue; /* the data offset may be found wrong first */
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        refuse_for_its_checksum(f, bytes, length);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    refuse_for_its_checksum(f, bytes, length - 1);
}

static void the_checksum_covers_addresses_and_protocol(void **state)
{
    struct fixture *f = *state;
    const struct ip_packet right = f->packet;
    uint8_t bytes[64];
    size_t length = lan_hex(bytes, sizeof(bytes), hello);

    f->packet.source = address_v4(LAN_PEER + 2);
    refuse_for_its_checksum(f, bytes, length);
    f->packet = right;
    f->packet.destination = address_v4(LAN_HOST ^ 0x01000000);
    refuse_for_its_checksum(f, bytes, length);
    f->packet = right;
    f->packet.protocol = IPPROTO_UDP;
    refuse_for_its_checksum(f, bytes, length);
}

static void a_checksum_that_somebody_below_vouches_for_is_not_looked_at(void **state)
{
    struct fixture *f = *state;
    static const uint8_t vouched[] = {STRAIT_CHECKSUM_VALID, STRAIT_CHECKSUM_PARTIAL};
    uint8_t bytes[64];
    size_t length = lan_hex(bytes, sizeof(bytes), hello);

    bytes[16] ^= 0xff;
    refuse_for_its_checksum(f, bytes, length);
    for (size_t i = 0; i < sizeof(vouched); i++) {
        assert_true(parse(f, bytes, length, vouched[i]));
        expect_counted(f, COUNTER_tcp_segments_in, 1);
        expect_nothing_else_counted(f);
    }
}

/* ---- Parsing: super-packets ---- */

static void a_super_packet_counts_as_the_segments_of_the_wire(void **state)
{
    struct fixture *f = *state;
    static const struct {
        uint16_t gso_size;
        size_t payload;
        uint32_t pieces;
    } table[] = {
        {0, 0, 1},         {0, 1448, 1},    {0, 60000, 1},     {1448, 0, 1},
        {1448, 1, 1},      {1448, 1448, 1}, {1448, 1449, 2},   {1448, 2896, 2},
        {1448, 2897, 3},   {1, 2, 2},       {1448, 65160, 45}, {536, 65000, 122}, /* 121.3 */
        {65535, 65000, 1},
    };
    static uint8_t bytes[TCP_HEADER_BYTES + 65160];
    lan_hex(bytes, sizeof(bytes), NUMBERS "5010 2000 0000 0000");

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        f->offload.gso = table[i].gso_size ? STRAIT_GSO_TCP4 : STRAIT_GSO_NONE;
        f->offload.gso_size = table[i].gso_size;
        take_bytes(f, bytes, TCP_HEADER_BYTES + table[i].payload, 0);
        assert_int_equal(f->segment.pieces, table[i].pieces);
        assert_int_equal(f->segment.length, table[i].payload);
    }
}

/* ---- Writing ---- */

/* Writes the segment over garbage, and compares: all of the header is set, and nothing behind it.
 */
static void expect_written(const struct segment *s, const char *hex)
{
    struct ip_outgoing out;
    uint8_t expected[OUTGOING_TRANSPORT_MAX];
    size_t length = lan_hex(expected, sizeof(expected), hex);
    memset(expected + length, 0xa5, sizeof(expected) - length);
    memset(&out, 0xa5, sizeof(out));

    segment_write(&out, s);
    assert_int_equal(out.header_bytes, length);
    assert_memory_equal(outgoing_transport(&out), expected, sizeof(expected));
    assert_int_equal(out.checksum_at, 16);
    assert_true(out.pseudo_header);
    assert_int_equal(out.gso_size, 0);
    assert_int_equal(out.payload_bytes, 0);
    assert_int_equal(out.count, 1);
}

/* All there is, which the tests below take as it is or cut down. */
static const struct segment everything = {
    .source_port = 50000,
    .destination_port = 80,
    .seq = 0x01020304,
    .ack = 0xa1b2c3d4,
    .window = 0xfaf0,
    .flags = TCP_SYN | TCP_ACK,
    .options =
        {
            .mss = 1460,
            .has_scale = true,
            .scale = 7,
            .has_timestamps = true,
            .timestamp = 0x11223344,
            .echo = 0x55667788,
        },
};

static void a_header_without_options_is_five_words_rfc9293_3_1(void **state)
{
    (void)state;
    struct segment s = everything;
    s.flags = TCP_ACK | TCP_PSH;
    s.options = (struct tcp_options){0};
    expect_written(&s, NUMBERS "5018 faf0 0000 0000");
    s.flags = 0x3f; /* a SYN without options, and all other flags */
    expect_written(&s, NUMBERS "503f faf0 0000 0000");
}

static void a_syn_carries_mss_timestamps_and_scale(void **state)
{
    (void)state;
    expect_written(&everything, NUMBERS "a012 faf0 0000 0000 020405b4 0101 080a 11223344 55667788 "
                                        "01 030307");
}

static void options_that_are_absent_take_no_room(void **state)
{
    (void)state;
    struct segment s = everything;

    s.options = (struct tcp_options){.mss = 65495};
    expect_written(&s, NUMBERS "6012 faf0 0000 0000 0204ffd7");
    s.options = (struct tcp_options){.has_scale = true, .scale = 0}; /* 0 is a scale */
    expect_written(&s, NUMBERS "6012 faf0 0000 0000 01 030300");
    s.options = (struct tcp_options){.mss = 536, .has_scale = true, .scale = 14};
    expect_written(&s, NUMBERS "7012 faf0 0000 0000 02040218 01 03030e");
    s.options = (struct tcp_options){.has_timestamps = true}; /* and so is 0 a time */
    expect_written(&s, NUMBERS "8012 faf0 0000 0000 0101 080a 00000000 00000000");
}

static void only_timestamps_are_written_without_syn_rfc9293_3_2_rfc7323_2_2(void **state)
{
    (void)state;
    struct segment s = everything;
    s.flags = TCP_ACK;
    expect_written(&s, NUMBERS "8010 faf0 0000 0000 0101 080a 11223344 55667788");
}

static void what_is_written_is_read_again(void **state)
{
    struct fixture *f = *state;

    for (unsigned which = 0; which < 8; which++) {
        struct segment s = everything;
        struct ip_outgoing out;
        s.options = (struct tcp_options){0};
        if (which & 1)
            s.options.mss = 1460;
        if (which & 2) {
            s.options.has_scale = true;
            s.options.scale = 14;
        }
        if (which & 4) {
            s.options.has_timestamps = true;
            s.options.timestamp = 1;
            s.options.echo = UINT32_MAX;
        }
        segment_write(&out, &s);
        take_bytes(f, outgoing_transport(&out), out.header_bytes, 0);
        assert_int_equal(f->segment.source_port, s.source_port);
        assert_int_equal(f->segment.destination_port, s.destination_port);
        assert_int_equal(f->segment.seq, s.seq);
        assert_int_equal(f->segment.ack, s.ack);
        assert_int_equal(f->segment.window, s.window);
        assert_int_equal(f->segment.flags, s.flags);
        assert_int_equal(f->segment.length, 0);
        expect_options(f, &s.options);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_fields_stand_where_rfc9293_3_1_draws_them),
        TEST(the_payload_is_borrowed_and_starts_behind_the_options),
        TEST(all_combinations_of_flags_are_taken_as_they_are),
        TEST(reserved_bits_are_ignored_and_those_of_ecn_are_flags_rfc9293_3_1),
        TEST(a_segment_shorter_than_a_header_is_dropped),
        TEST(a_data_offset_below_five_words_is_dropped),
        TEST(a_data_offset_beyond_the_segment_is_dropped),
        TEST(port_zero_is_dropped),
        TEST(syn_and_fin_take_a_number_each_rfc9293_3_4),

        TEST(the_options_of_a_syn_of_linux_are_read),
        TEST(options_may_start_on_any_byte_rfc9293_3_1),
        TEST(timestamps_are_read_on_every_segment_rfc7323_3_2),
        TEST(mss_and_scale_mean_nothing_without_syn_rfc9293_3_2_rfc7323_2_2),
        TEST(a_scale_above_14_is_14_rfc7323_2_3),
        TEST(nothing_is_read_behind_the_end_of_the_options_rfc9293_3_2),
        TEST(an_option_does_not_reach_into_the_payload),
        TEST(a_wrong_length_ends_the_options_and_keeps_those_before_rfc9293_3_1_must_7),
        TEST(each_kind_with_each_length_is_read_skipped_or_wrong),
        TEST(a_sack_option_is_whole_blocks_or_skipped_rfc2018_3),

        TEST(a_right_checksum_is_taken_rfc9293_3_1),
        TEST(each_wrong_bit_is_seen_by_the_checksum),
        TEST(the_checksum_covers_addresses_and_protocol),
        TEST(a_checksum_that_somebody_below_vouches_for_is_not_looked_at),

        TEST(a_super_packet_counts_as_the_segments_of_the_wire),

        TEST(a_header_without_options_is_five_words_rfc9293_3_1),
        TEST(a_syn_carries_mss_timestamps_and_scale),
        TEST(options_that_are_absent_take_no_room),
        TEST(only_timestamps_are_written_without_syn_rfc9293_3_2_rfc7323_2_2),
        TEST(what_is_written_is_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
