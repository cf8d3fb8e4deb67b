/* SPDX-License-Identifier: MIT */
/* The notation and the scripts themselves: what they read, what they notice, what they print. */
#include "script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

/* ---- The notation --------------------------------------------------------------------------- */

/* Lines that mean what they say: written again, with what they leave open, they are as in `full`.
 */
static const struct {
    const char *line, *full;
} good_lines[] = {
    {"S 0:0(0)", "S 0:0(0) win * <*>"},
    {"S. 0:0(0) ack 1 win 65535 <mss 1460,nop,wscale 7>",
     "S. 0:0(0) ack 1 win 65535 <mss 1460,nop,wscale 7>"},
    {". 1:1461(1460) ack * win * <*>", ". 1:1461(1460) ack * win * <*>"},
    {".P 1:2(1) ack 7", "P. 1:2(1) ack 7 win * <*>"},
    {"WEUPRSF. 9:9(0) ack 1 urg 4 <>", "FSRPUEW. 9:9(0) ack 1 win * urg 4 <>"},
    {"U. 9:9(0) ack 1 urg *", "U. 9:9(0) ack 1 win * urg * <*>"},
    {". 9:10(1) ack 1 urg 4 ect0 <>", ". 9:10(1) ack 1 win * urg 4 ect0 <>"},
    {". 9:10(1) ack 1 ect1", ". 9:10(1) ack 1 win * ect1 <*>"},
    {". 9:10(1) ack 1 win 5 ce", ". 9:10(1) ack 1 win 5 ce <*>"},
    {"- 5:6(1) win 0", "- 5:6(1) win 0 <*>"},
    {"  R   7:7( 0 )  ", "R 7:7(0) win * <*>"},
    {". 4294967295:4(5) ack 0", ". 4294967295:4(5) ack 0 win * <*>"},
    {". 1:1(0) ack 1 <TS val 5 ecr *, eol>", ". 1:1(0) ack 1 win * <TS val 5 ecr *,eol>"},
    {". 1:1(0) ack 1 <nop, nop, sack 1:2 5:* 7:8>",
     ". 1:1(0) ack 1 win * <nop,nop,sack 1:2 5:* 7:8>"},
    {"S 0:0(0) <mss *,sackOK,opt 254 0aff,opt 99 ,hex 0203>",
     "S 0:0(0) win * <mss *,sackOK,opt 254 0aff,opt 99 ,hex 0203>"},
    {"udp (12)", "udp (12)"},
    {"udp 5000>7(0)", "udp 5000 > 7 (0)"},
    {"icmp 3/3", "icmp 3/3"},
    {"icmp 8/0 (56) id 7 seq 65535", "icmp 8/0 (56) id 7 seq 65535"},
};

static void a_line_is_read_and_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good_lines / sizeof good_lines[0]; i++) {
        struct pattern p;
        char error[LINE_BYTES], text[LINE_BYTES];
        if (!notation_parse(good_lines[i].line, &p, error, sizeof error))
            fail_msg("`%s`: %s", good_lines[i].line, error);
        notation_format(&p, text);
        assert_string_equal(text, good_lines[i].full);
    }
}

static const struct {
    const char *line, *error;
} bad_lines[] = {
    {"", "flags are missing"},
    {"X 0:0(0)", "column 1: `X` is no flag"},
    {"SS 0:0(0)", "`S` stands twice"},
    {"S 0:1(0)", "0 + 0 is not 1"},
    {"S 0-1(1)", "`:` is missing"},
    {"S 0:0", "`(` is missing"},
    {". 1:1(0)", "`.` demands `ack`"},
    {"S 0:0(0) ack 1", "`ack` demands `.`"},
    {". 1:1(0) ack", "a number is missing"},
    {". 1:1(0) ack 4294967296", "above 4294967295"},
    {". 1:1(0) ack 1 win 65536", "above 65535"},
    {". 1:65537(65536) ack 1", "above 65535"},
    {". 1:1(0) ack 1 <mss 1460", "`>` is missing"},
    {". 1:1(0) ack 1 <maximum 1460>", "no option has this name"},
    {". 1:1(0) ack 1 <mss 65536>", "above 65535"},
    {". 1:1(0) ack 1 <TS val 1>", "`ecr` is missing"},
    {". 1:1(0) ack 1 <sack 1>", "`:` is missing"},
    {". 1:1(0) ack 1 <sack 1:2 3:4 5:6 7:8 9:10>", "more than four SACK blocks"},
    {". 1:1(0) ack 1 <hex 012>", "half a byte"},
    {". 1:1(0) ack 1 win 5 ack 1", "more than a packet"},
    {"udp", "`(` is missing"},
    {"udp 1 > (5)", "a number is missing"},
    {"icmp 256/0", "above 255"},
    {"icmp 8/0 id 1", "`seq` is missing"},
    {"icmp 8/0 (5) junk", "more than a packet"},
};

static void what_is_no_line_is_refused_with_a_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_lines / sizeof bad_lines[0]; i++) {
        struct pattern p;
        char error[LINE_BYTES];
        if (notation_parse(bad_lines[i].line, &p, error, sizeof error))
            fail_msg("`%s` is taken for a line", bad_lines[i].line);
        if (!strstr(error, bad_lines[i].error))
            fail_msg("`%s`: %s", bad_lines[i].line, error);
    }
}

/* Which field, if any, of a packet is not as the pattern wants it. */
static const struct {
    const char *pattern, *packet;
    unsigned differing;
} pairs[] = {
    {". 1:1(0) ack 1", ". 1:1(0) ack 1 win 9 <mss 4>", 0},
    {". 1:1(0) ack 1", "P. 1:1(0) ack 1 win 9 <>", FIELD_BIT(FIELD_KIND)},
    {". 1:1(0) ack 1", ". 2:2(0) ack 1 win 9 <>", FIELD_BIT(FIELD_RANGE)},
    {". 1:3(2) ack 1", ". 1:2(1) ack 1 win 9 <>", FIELD_BIT(FIELD_RANGE)},
    {". 1:1(0) ack 1", ". 1:1(0) ack 2 win 9 <>", FIELD_BIT(FIELD_ACK)},
    {". 1:1(0) ack *", ". 1:1(0) ack 2 win 9 <>", 0},
    {". 1:1(0) ack 1 win 8", ". 1:1(0) ack 1 win 9 <>", FIELD_BIT(FIELD_WINDOW)},
    {". 1:1(0) ack 1 win *", ". 1:1(0) ack 1 win 9 <>", 0},
    {"U. 1:1(0) ack 1", "U. 1:1(0) ack 1 win 9 urg 1 <>", FIELD_BIT(FIELD_URGENT)},
    {". 1:2(1) ack 1", ". 1:2(1) ack 1 ect0", FIELD_BIT(FIELD_ECN)},
    {"U. 1:1(0) ack 1 urg *", "U. 1:1(0) ack 1 win 9 urg 1 <>", 0},
    {"S 0:0(0) <>", "S 0:0(0) win 9 <mss 4>", FIELD_BIT(FIELD_OPTIONS)},
    {"S 0:0(0) <mss 4>", "S 0:0(0) win 9 <>", FIELD_BIT(FIELD_OPTIONS)},
    {"S 0:0(0) <mss 4>", "S 0:0(0) win 9 <mss 5>", FIELD_BIT(FIELD_OPTIONS)},
    {"S 0:0(0) <mss *>", "S 0:0(0) win 9 <mss 5>", 0},
    {"S 0:0(0) <mss 4,wscale 1>", "S 0:0(0) win 9 <mss 4,nop,wscale 1,eol>", 0},
    {"S 0:0(0) <mss 4,wscale 1>", "S 0:0(0) win 9 <wscale 1,mss 4>", FIELD_BIT(FIELD_OPTIONS)},
    {"S 0:0(0) <mss 4,wscale 1,nop>", "S 0:0(0) win 9 <mss 4,nop,wscale 1>",
     FIELD_BIT(FIELD_OPTIONS)},
    {"S 0:0(0) <TS val * ecr 0>", "S 0:0(0) win 9 <TS val 3 ecr 0>", 0},
    {"S 0:0(0) <TS val * ecr 0>", "S 0:0(0) win 9 <TS val 3 ecr 1>", FIELD_BIT(FIELD_OPTIONS)},
    {". 1:1(0) ack 1 <sack 1:2>", ". 1:1(0) ack 1 win 9 <sack 1:2 4:5>", FIELD_BIT(FIELD_OPTIONS)},
    {". 1:1(0) ack 1 <opt 9 aa>", ". 1:1(0) ack 1 win 9 <opt 9 ab>", FIELD_BIT(FIELD_OPTIONS)},
    {"udp (5)", ". 1:6(5) ack 1 win 1 <>", FIELD_BIT(FIELD_KIND)},
    {"udp (5)", "udp 1 > 2 (5)", 0},
    {"udp (5)", "udp 1 > 2 (6)", FIELD_BIT(FIELD_RANGE)},
    {"udp 1 > 3 (5)", "udp 1 > 2 (5)", FIELD_BIT(FIELD_PORTS)},
    {"icmp 3/3", "icmp 3/3 (28) id 0 seq 0", 0},
    {"icmp 3/3", "icmp 3/1 (28) id 0 seq 0", FIELD_BIT(FIELD_KIND)},
    {"icmp 0/0 (56) id 7 seq 2", "icmp 0/0 (56) id 7 seq 1", FIELD_BIT(FIELD_ACK)},
    {"icmp 0/0 (56) id 7 seq 2", "icmp 0/0 (55) id 7 seq 2", FIELD_BIT(FIELD_RANGE)},
};

static void a_packet_differs_from_a_pattern_in_what_the_pattern_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct pattern pattern, packet;
        char error[LINE_BYTES];
        assert_true(notation_parse(pairs[i].pattern, &pattern, error, sizeof error));
        assert_true(notation_parse(pairs[i].packet, &packet, error, sizeof error));
        unsigned differing = notation_compare(&pattern, &packet.packet);
        if (differing != pairs[i].differing)
            fail_msg("`%s` and `%s` differ in %02x", pairs[i].pattern, pairs[i].packet, differing);
    }
}

static void two_packets_are_printed_field_below_field(void **state)
{
    (void)state;
    struct pattern expected, actual;
    char text[LINE_BYTES * 4];
    assert_true(notation_parse("P. 1:101(100) ack 1", &expected, text, sizeof text));
    assert_true(notation_parse(". 1:51(50) ack 1 win 512 <nop>", &actual, text, sizeof text));
    notation_side_by_side(&expected, &actual.packet, FIELD_BIT(FIELD_KIND) | FIELD_BIT(FIELD_RANGE),
                          text, sizeof text);
    assert_string_equal(text, "  expected: P. 1:101(100) ack 1 win *   <*>\n"
                              "    actual: .  1:51(50)   ack 1 win 512 <nop>\n"
                              "            ^^ ^^^^^^^^^^\n");
}

/* ---- Packets -------------------------------------------------------------------------------- */

/* The header of RFC 1071's literature example: its checksum is 0xb861. */
static void checksums_are_those_of_rfc1071(void **state)
{
    (void)state;
    uint8_t bytes[115] = {0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
                          0x00, 0x00, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};
    packet_fix_checksums(bytes, sizeof bytes);
    assert_int_equal(load_be16(bytes + 10), 0xb861);
}

static size_t sample_packet(uint8_t bytes[PACKET_BYTES_MAX])
{
    struct packet p = {.protocol = IPPROTO_TCP, .ttl = 64, .flags = TCP_SYN | TCP_ACK};
    p.source = 0x0a000001;
    p.destination = 0x0a000002;
    p.source_port = 80;
    p.destination_port = 40000;
    p.seq = 0xfffffffe;
    p.ack = 17;
    p.window = 1000;
    p.options = 2;
    p.option[0] = (struct option){.kind = OPTION_MSS, .values = 1, .value = {1460}};
    p.option[1] = (struct option){.kind = OPTION_TS, .values = 2, .value = {5, 6}};
    p.payload = (const uint8_t *)"data!";
    p.payload_bytes = 5;
    return packet_build(&p, bytes, PACKET_BYTES_MAX);
}

static void a_packet_is_built_and_parsed(void **state)
{
    (void)state;
    static uint8_t bytes[PACKET_BYTES_MAX];
    size_t length = sample_packet(bytes);
    assert_int_equal(length, 20 + 20 + 16 + 5);
    struct packet p;
    packet_parse(&p, bytes, length, &(struct strait_offload){0});
    assert_string_equal(p.problem, "");
    assert_int_equal(p.flags, TCP_SYN | TCP_ACK);
    assert_int_equal(p.seq, 0xfffffffe);
    assert_int_equal(p.ack, 17);
    assert_int_equal(p.window, 1000);
    assert_int_equal(p.options, 4);
    assert_int_equal(p.option[1].kind, OPTION_TS);
    assert_int_equal(p.option[1].value[1], 6);
    assert_int_equal(p.option[2].kind, OPTION_EOL);
    assert_int_equal(p.payload_bytes, 5);
    assert_memory_equal(p.payload, "data!", 5);
}

/* What is wrong with the sample once the byte at `at` is another; checksums fixed, or not. */
static const struct {
    size_t at;
    uint8_t byte;
    bool fixed;
    const char *problem;
} faults[] = {
    {0, 0x46, true, "begins with 0x46"},
    {3, 0, true, "total length"},
    {6, 0x20, true, "a fragment"},
    {8, 0, true, "TTL 0"},
    {9, 99, true, "protocol 99"},
    {10, 0, false, "IP header checksum"},
    {32, 0x40, true, "claims 16"},
    {32, 0xf0, true, "claims 60"},
    {32, 0x91, true, "reserved bits"},
    {39, 1, true, "urgent pointer"},
    {41, 3, true, "option 2 has the length 3"},
    {45, 9, true, "option 8 has the length 9"},
    {60, 0, false, "transport checksum"},
};

static void what_is_wrong_with_a_packet_is_found(void **state)
{
    (void)state;
    static uint8_t bytes[PACKET_BYTES_MAX];
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        size_t length = sample_packet(bytes);
        bytes[faults[i].at] = faults[i].byte;
        if (faults[i].fixed)
            packet_fix_checksums(bytes, length);
        struct packet p;
        packet_parse(&p, bytes, length, &(struct strait_offload){0});
        if (!strstr(p.problem, faults[i].problem))
            fail_msg("byte %zu: `%s`", faults[i].at, p.problem);
    }
}

static void a_packet_cut_off_anywhere_is_wrong(void **state)
{
    (void)state;
    static uint8_t bytes[PACKET_BYTES_MAX];
    size_t whole = sample_packet(bytes);
    for (size_t length = 0; length < whole; length++) {
        uint8_t *exact = malloc(length + 1); /* the sanitizer sees a read behind its end */
        assert_non_null(exact);
        memcpy(exact, bytes, length);
        struct packet p;
        packet_parse(&p, exact, length, &(struct strait_offload){0});
        assert_true(p.problem[0]);
        free(exact);
    }
}

static void a_partial_checksum_is_the_pseudo_header_s(void **state)
{
    (void)state;
    static uint8_t bytes[PACKET_BYTES_MAX];
    size_t length = sample_packet(bytes);
    struct strait_offload offload = {0};
    packet_make_partial(bytes, length, &offload);
    assert_int_equal(offload.checksum_start, 20);
    assert_int_equal(offload.checksum_offset, 16);
    assert_int_equal(offload.header_bytes, 56);
    /* 0a00 + 0001 + 0a00 + 0002 + 6 + 41 */
    assert_int_equal(load_be16(bytes + 36), 0x1432);
    struct packet p;
    packet_parse(&p, bytes, length, &offload);
    assert_string_equal(p.problem, "");
    bytes[36] ^= 1;
    packet_parse(&p, bytes, length, &offload);
    assert_non_null(strstr(p.problem, "partial checksum"));
}

static void the_streams_differ_from_each_other_and_from_their_shifts(void **state)
{
    (void)state;
    uint8_t remote[256];
    stream_fill(STREAM_REMOTE, 1000, remote, sizeof remote);
    assert_int_equal(stream_check(STREAM_REMOTE, 1000, remote, sizeof remote), sizeof remote);
    remote[200] ^= 1;
    assert_int_equal(stream_check(STREAM_REMOTE, 1000, remote, sizeof remote), 200);
    assert_true(stream_check(STREAM_STRAIT, 1000, remote, sizeof remote) < 16);
    for (uint32_t shift = 1; shift <= 4096; shift++)
        assert_true(stream_check(STREAM_REMOTE, 1000 + shift, remote, sizeof remote) < 16);
}

/* ---- Failures of a script ------------------------------------------------------------------- */

static struct {
    jmp_buf jump;
    char report[LINE_BYTES * 30];
} caught;

static void catch (struct script *s, struct place place, const char *report)
{
    (void)s;
    (void)place;
    snprintf(caught.report, sizeof caught.report, "%s", report);
    longjmp(caught.jump, 1);
}

/* The step has to fail, with this text in its report. */
#define assert_fails(s, step, text)                                                                \
    do {                                                                                           \
        (s)->failed = catch;                                                                       \
        if (setjmp(caught.jump) == 0) {                                                            \
            step;                                                                                  \
            fail_msg("this passes: %s", #step);                                                    \
        }                                                                                          \
        if (!strstr(caught.report, text))                                                          \
            fail_msg("the report of `%s` is without `%s`:\n%s", #step, text, caught.report);       \
    } while (0)

/* A packet of Strait, played by the test: it goes straight to the link. */
static void strait_sends(struct script *s, const char *line)
{
    struct pattern p;
    char error[LINE_BYTES];
    static uint8_t bytes[PACKET_BYTES_MAX], payload[PACKET_BYTES_MAX];
    assert_true(notation_parse(line, &p, error, sizeof error));
    p.packet.ttl = 64;
    p.packet.source = LOCAL_ADDRESS;
    p.packet.destination = REMOTE_ADDRESS;
    if (p.open & FIELD_BIT(FIELD_PORTS)) {
        p.packet.source_port = s->flow->local_port;
        p.packet.destination_port = s->flow->remote_port;
    }
    stream_fill(STREAM_STRAIT, p.packet.seq - 1, payload, p.packet.payload_bytes);
    p.packet.payload = payload;
    p.packet.seq += s->flow->local_iss;
    p.packet.ack += s->flow->remote_iss;
    struct iovec part = {bytes, packet_build(&p.packet, bytes, sizeof bytes)};
    assert_true(part.iov_len > 0);
    assert_int_equal(s->link.send(&s->link, &part, 1, &(struct strait_offload){0}), 0);
}

static void a_packet_that_is_as_expected_passes(void **state)
{
    struct script *s = *state;
    strait_sends(s, ". 1:101(100) ack 1 win 9");
    const struct packet *p = expect(s, ". 1:101(100) ack 1 win 9 <>");
    assert_int_equal(p->ack, REMOTE_ISS + 1);
    assert_int_equal(p->time_ns, START_NS);
    size_t length = 0;
    assert_int_equal(script_bytes(s, p, &length)[0], 0x45);
    assert_int_equal(length, 140);
    expect_nothing(s);
}

static void another_packet_fails_with_both_lines_the_time_and_the_place(void **state)
{
    struct script *s = *state;
    after(s, 1500);
    strait_sends(s, ". 1:101(100) ack 1 win 9");
    assert_fails(s, expect(s, ". 1:51(50) ack 1"),
                 "  expected: . 1:51(50)   ack 1 win * <*>\n"
                 "    actual: . 1:101(100) ack 1 win 9 <>\n"
                 "              ^^^^^^^^^^\n");
    assert_non_null(strstr(caught.report, "test_script.c:"));
    assert_non_null(strstr(caught.report, ": at 1.500000 s: "));
    assert_non_null(strstr(caught.report, "      1.500000 > . 1:101(100) ack 1 win 9 <>\n"));
}

static void too_few_and_too_many_packets_fail(void **state)
{
    struct script *s = *state;
    assert_fails(s, expect(s, ". 1:1(0) ack 1"), "Strait has sent nothing more");
    strait_sends(s, ". 1:1(0) ack 1");
    assert_fails(s, expect_nothing(s), "what nothing expects\n    actual: ");
    assert_fails(s, after(s, 1), "what nothing expects");
    assert_fails(s, at(s, 1), "what nothing expects");
    assert_fails(s, recv(s, "R 1:1(0)"), "what nothing expects");
    assert_fails(s, recv_raw(s, "", 0), "what nothing expects");
    assert_fails(s, app_listen(s, 1), "what nothing expects");
    assert_fails(s, begin_batch(s), "what nothing expects");
    assert_fails(s, next_connection(s, 1), "what nothing expects");
    assert_fails(s, expect_after(s, 10, ". 1:1(0) ack 1"), "what nothing expects");
    expect(s, ". 1:1(0) ack 1");
}

static void a_packet_of_another_flow_is_another_packet(void **state)
{
    struct script *s = *state;
    on(s, 1);
    strait_sends(s, ". 1:1(0) ack 1 win 9");
    on(s, 0);
    assert_fails(s, expect(s, ". 1:1(0) ack 1"), "80 > 40001");
}

static void a_wrong_packet_fails_though_its_line_is_right(void **state)
{
    struct script *s = *state;
    static uint8_t bytes[PACKET_BYTES_MAX];
    size_t length = sample_packet(bytes);
    struct iovec part = {bytes, length};
    struct strait_offload offload = {0};
    s->link.send(&s->link, &part, 1, &offload);
    assert_fails(s, expect(s, "S. 0:5(5) ack 4293967313"), "byte 0 of the payload");
    bytes[59] ^= 1;
    s->link.send(&s->link, &part, 1, &offload);
    assert_fails(s, expect(s, "S. 0:5(5) ack 4293967313"), "the transport checksum is wrong");
    bytes[59] ^= 1;
    packet_make_partial(bytes, length, &offload);
    s->link.send(&s->link, &part, 1, &offload);
    assert_fails(s, expect(s, "S. 0:5(5) ack 4293967313"), "without checksum offload");
}

static void a_window_whose_right_edge_moves_left_fails(void **state)
{
    struct script *s = *state;
    strait_sends(s, ". 1:1(0) ack 1 win 1000");
    expect(s, ". 1:1(0) ack 1");
    strait_sends(s, ". 1:1(0) ack 501 win 500");
    expect(s, ". 1:1(0) ack 501");
    strait_sends(s, ". 1:1(0) ack 601 win 399");
    assert_fails(s, expect(s, ". 1:1(0) ack 601"), "moves left by 1");
}

static void a_missing_timestamp_fails_once_both_sides_offered_it_rfc7323_3_2(void **state)
{
    struct script *s = *state;
    strait_sends(s, "S. 0:0(0) ack 1 win 9 <TS val 1 ecr 0>");
    expect(s, "S. 0:0(0) ack 1");
    strait_sends(s, ". 1:1(0) ack 1 win 9");
    expect(s, ". 1:1(0) ack 1");
    s->flow->remote_ts_offered = true;
    strait_sends(s, ". 1:1(0) ack 1 win 9");
    assert_fails(s, expect(s, ". 1:1(0) ack 1"), "no timestamp");
}

static void numbers_are_relative_to_what_was_learned(void **state)
{
    struct script *s = *state;
    s->flow->local_iss = 77; /* for strait_sends; the SYN shows it */
    after(s, 20);
    strait_sends(s, "S. 0:0(0) ack 1 win 9 <mss 1460,TS val 123456 ecr 0>");
    const struct packet *p = expect(s, "S. 0:0(0) ack 1 <mss 1460,TS val 20 ecr 0>");
    assert_int_equal(p->seq, 77);
    after(s, 5);
    strait_sends(s, ". 1:1(0) ack 5 win 9 <TS val 123461 ecr 9>");
    expect(s, ". 1:1(0) ack 5 <TS val 25 ecr 9>");
    s->flow->remote_ts_offered = true;

    /* From the remote: the ack, the echo and the SACK blocks are Strait's numbers. */
    static uint8_t bytes[PACKET_BYTES_MAX];
    struct packet arrives;
    size_t length = build(s, bytes, ". 5:6(1) ack 3 <TS val 8 ecr 25,sack 1:2>");
    packet_parse(&arrives, bytes, length, &(struct strait_offload){0});
    assert_int_equal(arrives.seq, REMOTE_ISS + 5);
    assert_int_equal(arrives.ack, 80);
    assert_int_equal(arrives.window, DEFAULT_WINDOW);
    assert_int_equal(arrives.option[0].value[0], 8);
    assert_int_equal(arrives.option[0].value[1], 123461);
    assert_int_equal(arrives.option[1].value[0], 78);
    assert_int_equal(stream_check(STREAM_REMOTE, 4, arrives.payload, 1), 1);

    /* Without a list: the remote's clock, and the last timestamp of Strait. */
    length = build(s, bytes, ". 5:5(0) ack 3");
    packet_parse(&arrives, bytes, length, &(struct strait_offload){0});
    assert_int_equal(arrives.option[2].value[0], REMOTE_TS + 25);
    assert_int_equal(arrives.option[2].value[1], 123461);
}

static void what_is_no_line_fails_in_a_script(void **state)
{
    struct script *s = *state;
    assert_fails(s, recv(s, "S 0:1(0)"), "no line of the notation: S 0:1(0)\n  column");
    assert_fails(s, recv(s, ". 1:1(0) ack *"), "leaves nothing open");
    assert_fails(s, expect(s, "%s", "Q"), "no line of the notation: Q");
    assert_fails(s, counter(s, "tcp_nonsense"), "no counter tcp_nonsense");
    assert_fails(s, on(s, SCRIPT_FLOWS), "no flow");
}

static void the_trace_keeps_the_last_packets(void **state)
{
    struct script *s = *state;
    for (unsigned i = 1; i <= SCRIPT_TRACE + 5; i++) {
        after(s, 1);
        recv(s, "R %u:%u(0)", i, i);
    }
    assert_fails(s, expect(s, "R 0:0(0)"), "0.006000 < R 6:6(0) win 65535 <>\n");
    assert_non_null(strstr(caught.report, "0.025000 < R 25:25(0) win 65535 <>\n"));
    assert_null(strstr(caught.report, "R 5:5(0)"));
}

static void time_that_is_over_fails(void **state)
{
    struct script *s = *state;
    at(s, 10);
    assert_int_equal(script_now_ms(s), 10);
    assert_fails(s, at(s, 9), "9 ms are over");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_read_and_written),
        cmocka_unit_test(what_is_no_line_is_refused_with_a_reason),
        cmocka_unit_test(a_packet_differs_from_a_pattern_in_what_the_pattern_says),
        cmocka_unit_test(two_packets_are_printed_field_below_field),
        cmocka_unit_test(checksums_are_those_of_rfc1071),
        cmocka_unit_test(a_packet_is_built_and_parsed),
        cmocka_unit_test(what_is_wrong_with_a_packet_is_found),
        cmocka_unit_test(a_packet_cut_off_anywhere_is_wrong),
        cmocka_unit_test(a_partial_checksum_is_the_pseudo_header_s),
        cmocka_unit_test(the_streams_differ_from_each_other_and_from_their_shifts),
        TEST(a_packet_that_is_as_expected_passes),
        TEST(another_packet_fails_with_both_lines_the_time_and_the_place),
        TEST(too_few_and_too_many_packets_fail),
        TEST(a_packet_of_another_flow_is_another_packet),
        TEST(a_wrong_packet_fails_though_its_line_is_right),
        TEST(a_window_whose_right_edge_moves_left_fails),
        TEST(a_missing_timestamp_fails_once_both_sides_offered_it_rfc7323_3_2),
        TEST(numbers_are_relative_to_what_was_learned),
        TEST(what_is_no_line_fails_in_a_script),
        TEST(the_trace_keeps_the_last_packets),
        TEST(time_that_is_over_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
