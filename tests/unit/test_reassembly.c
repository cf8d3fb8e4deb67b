/* SPDX-License-Identifier: MIT */
/* Reassembly (RFC 791 3.2, RFC 1122 3.3.2): fragments from 10.7.0.1 that are cut out of one pattern
 * arrive at the host of lan.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "lan.h"

#define PROTOCOL 253 /* for experiments (RFC 3692) */

struct fixture {
    struct lan *lan;
    unsigned received;
    struct ip_packet last;
    uint8_t whole[65535]; /* the last packet, from its IP header on */
    /* Of the fragments that are made */
    uint16_t id;
    uint32_t source;
    uint8_t protocol, tos;
};

static uint8_t pattern(size_t at)
{
    return (uint8_t)(at * 7 + at / 256);
}

static void record(void *self, const struct ip_packet *packet)
{
    struct fixture *f = self;
    f->received++;
    f->last = *packet;
    memcpy(f->whole, packet->header, packet->header_bytes + packet->length);
}

static const struct ip_protocol recorder = {.input = record};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->lan = lan_new(1500, 0);
    f->lan->core.config.fragments_max_bytes = 4 << 20;
    f->id = 0x1234;
    f->source = LAN_PEER;
    f->protocol = PROTOCOL;
    ip_register(&f->lan->ip, PROTOCOL, &recorder, f);
    ip_register(&f->lan->ip, IPPROTO_TCP, &recorder, f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    lan_free(f->lan);
    free(f);
    return 0;
}

static uint64_t counter(const struct fixture *f, enum counter which)
{
    return f->lan->core.counters[which];
}

/* Lets a fragment arrive with `options_bytes` of options, and the bytes of the pattern that are
 * its place. */
static void input(struct fixture *f, const char *options, size_t offset, size_t length, bool more)
{
    static uint8_t packet[65535 + 65536];
    size_t header_bytes = 20 + lan_hex(packet + 20, 40, options);

    lan_hex(packet, 20, "45 00 00 00 00 00 00 00 40 00 00 00 00 00 00 00 0a 07 00 02");
    packet[0] = (uint8_t)(0x40 | header_bytes / 4);
    packet[1] = f->tos;
    store_be16(packet + 2, (uint16_t)(header_bytes + length));
    store_be16(packet + 4, f->id);
    store_be16(packet + 6, (uint16_t)((more ? 0x2000 : 0) | offset / 8));
    packet[9] = f->protocol;
    store_be32(packet + 12, f->source);
    for (size_t i = 0; i < length; i++)
        packet[header_bytes + i] = pattern(offset + i);
    lan_mend(packet);
    lan_input(f->lan, packet, header_bytes + length, NULL);
}

static void first(struct fixture *f, size_t offset, size_t length)
{
    input(f, "", offset, length, true);
}

static void last(struct fixture *f, size_t offset, size_t length)
{
    input(f, "", offset, length, false);
}

/* Fails unless one packet of so many payload bytes was received since the last look. */
static void expect_whole(struct fixture *f, size_t length)
{
    size_t header_bytes = f->last.header_bytes;

    assert_int_equal(f->received, 1);
    assert_int_equal(f->last.length, length);
    assert_int_equal(load_be16(f->whole + 2), header_bytes + length);
    assert_int_equal(load_be16(f->whole + 6), 0);
    assert_int_equal(lan_sum(f->whole, header_bytes), 0xffff);
    assert_false(ip_is_fragment(&f->last));
    for (size_t i = 0; i < length; i++)
        assert_int_equal(f->whole[header_bytes + i], pattern(i));
    assert_int_equal(f->lan->ip.reassembly.bytes, 0);
    lan_expect_nothing(f->lan);
    f->received = 0;
}

/* Fails unless nothing was received or sent, and nothing is kept. */
static void expect_dropped(struct fixture *f, enum counter why, uint64_t times)
{
    assert_int_equal(f->received, 0);
    lan_expect_nothing(f->lan);
    assert_int_equal(counter(f, why), times);
    assert_int_equal(f->lan->ip.reassembly.bytes, 0);
}

/* ---- What fits ------------------------------------------------------------------------------- */

static void two_fragments_make_a_packet_rfc791_3_2(void **state)
{
    struct fixture *f = *state;

    first(f, 0, 1480);
    assert_int_equal(f->received, 0);
    last(f, 1480, 1);
    expect_whole(f, 1481);
    assert_int_equal(f->last.id, 0x1234);
    assert_int_equal(f->last.ttl, 64);
    assert_int_equal(address_to_v4(&f->last.source), LAN_PEER);
    assert_int_equal(f->last.offload->checksum, STRAIT_CHECKSUM_COMPLETE);
    assert_ptr_equal(f->last.interface, f->lan->interface);
    assert_int_equal(counter(f, COUNTER_ip_fragments_in), 2);
    assert_int_equal(counter(f, COUNTER_ip_reassembled), 1);
}

static void four_fragments_in_every_order_make_a_packet(void **state)
{
    static const size_t starts[] = {0, 8, 1000, 2000, 2005};
    struct fixture *f = *state;

    for (unsigned order = 0; order < 4 * 4 * 4 * 4; order++) {
        unsigned at[] = {order & 3, order >> 2 & 3, order >> 4 & 3, order >> 6};
        if ((1u << at[0] | 1u << at[1] | 1u << at[2] | 1u << at[3]) != 15)
            continue; /* no permutation */
        f->id++;
        for (int i = 0; i < 4; i++)
            input(f, "", starts[at[i]], starts[at[i] + 1] - starts[at[i]], at[i] != 3);
        expect_whole(f, 2005);
    }
    assert_int_equal(counter(f, COUNTER_ip_reassembled), 24);
}

/* RFC 791 3.2: source, destination, protocol and identification hold a packet together. */
static void fragments_of_other_packets_are_told_apart(void **state)
{
    struct fixture *f = *state;

    first(f, 0, 8);
    f->id++;
    last(f, 8, 1);
    f->id--;
    f->source++;
    f->source++;
    last(f, 8, 2);
    f->source = LAN_PEER;
    f->protocol = IPPROTO_UDP;
    last(f, 8, 3);
    assert_int_equal(f->received, 0);
    f->protocol = PROTOCOL;
    last(f, 8, 4);
    assert_int_equal(f->received, 1);
    assert_int_equal(f->last.length, 12);
}

static void the_longest_packet_is_made_of_the_shortest_fragments_of_a_link(void **state)
{
    struct fixture *f = *state;
    size_t at = 0;

    for (; at + 48 < 65515; at += 48)
        first(f, at, 48);
    last(f, at, 65515 - at);
    expect_whole(f, 65515);
}

static void the_longest_packet_is_made_in_reverse(void **state)
{
    struct fixture *f = *state;
    size_t at = 65515 / 48 * 48;

    last(f, at, 65515 - at);
    while (at > 0) {
        at -= 48;
        first(f, at, 48);
    }
    expect_whole(f, 65515);
}

/* The header of a packet is that of its first fragment, which alone may have all options. */
static void the_header_is_that_of_the_first_fragment_rfc791_3_2(void **state)
{
    struct fixture *f = *state;

    input(f, "94 04 00 00", 8, 8, false);
    input(f, "07 07 04 00 00 00 00 00", 0, 8, true);
    assert_int_equal(f->last.header_bytes, 28);
    expect_whole(f, 16);
}

static void a_duplicate_changes_nothing(void **state)
{
    struct fixture *f = *state;

    first(f, 0, 8);
    first(f, 0, 8);
    last(f, 16, 5);
    last(f, 16, 5);
    first(f, 0, 8);
    assert_int_equal(counter(f, COUNTER_ip_fragment_duplicate), 3);
    first(f, 8, 8);
    expect_whole(f, 21);
}

static void a_fragment_with_df_is_taken(void **state)
{
    struct fixture *f = *state;
    lan_input_hex(f->lan, "45 00 00 1c 12 34 60 00 40 fd f3 a0 0a 07 00 01 0a 07 00 02"
                          "00 07 0e 15 1c 23 2a 31");
    assert_int_equal(counter(f, COUNTER_ip_fragments_in), 1);
    last(f, 8, 1);
    expect_whole(f, 9);
}

/* The quote of an error is the packet as it was put together. */
static void an_error_about_a_packet_that_was_fragmented_quotes_it(void **state)
{
    struct fixture *f = *state;

    f->protocol = 254;
    first(f, 0, 8);
    last(f, 8, 1);
    assert_int_equal(f->lan->sent, 1);
    assert_int_equal(f->lan->length, 28 + 20 + 9);
    assert_int_equal(f->lan->bytes[20], 3);
    assert_int_equal(f->lan->bytes[21], 2);
    const uint8_t *quote = f->lan->bytes + 28;
    assert_int_equal(load_be16(quote + 2), 29);
    assert_int_equal(load_be16(quote + 4), 0x1234);
    assert_int_equal(load_be16(quote + 6), 0);
    assert_int_equal(lan_sum(quote, 20), 0xffff);
    for (size_t i = 0; i < 9; i++)
        assert_int_equal(quote[20 + i], pattern(i));
}

/* ---- What does not fit ----------------------------------------------------------------------- */

static void an_empty_fragment_is_refused(void **state)
{
    struct fixture *f = *state;
    first(f, 0, 0);
    first(f, 8, 0);
    last(f, 8, 0);
    expect_dropped(f, COUNTER_ip_fragment_wrong, 3);
}

static void a_length_of_no_whole_units_is_refused_but_at_the_end_rfc791_3_2(void **state)
{
    struct fixture *f = *state;
    for (size_t length = 1; length < 8; length++)
        first(f, 0, length);
    expect_dropped(f, COUNTER_ip_fragment_wrong, 7);
}

/* The ping of death: its end lies behind 65535 bytes. */
static void a_packet_above_65535_bytes_is_refused(void **state)
{
    struct fixture *f = *state;

    last(f, 65512, 4);
    last(f, 65528, 1480);
    first(f, 65528, 8);
    expect_dropped(f, COUNTER_ip_fragment_oversize, 3);
    /* Each fragment is in its bounds, but not behind the header of the first. */
    input(f, "01 01 01 01", 0, 32760, true);
    first(f, 32760, 32752);
    last(f, 65512, 3);
    expect_dropped(f, COUNTER_ip_fragment_oversize, 4);
}

static void a_tcp_header_must_not_be_split_rfc1858_3(void **state)
{
    struct fixture *f = *state;

    f->protocol = IPPROTO_TCP;
    first(f, 0, 8);
    first(f, 8, 8); /* RFC 3128: nor overwritten */
    last(f, 8, 100);
    expect_dropped(f, COUNTER_ip_fragment_tiny, 3);
    first(f, 0, 16);
    last(f, 16, 100);
    expect_whole(f, 116);
}

/* Teardrop: the second fragment ends within the first. */
static void teardrop_drops_the_packet_rfc5722(void **state)
{
    struct fixture *f = *state;
    first(f, 0, 40);
    last(f, 24, 4);
    expect_dropped(f, COUNTER_ip_fragment_overlap, 1);
}

static void any_overlap_drops_the_packet_rfc5722(void **state)
{
    static const struct {
        size_t offset, length;
    } overlaps[] = {
        {0, 16},  /* longer than the one in its place */
        {8, 8},   /* within */
        {0, 8},   /* its beginning */
        {56, 16}, /* into the next */
        {80, 8},  /* the end of the next */
        {48, 64}, /* over the next */
        {0, 160}, /* over all */
    };
    struct fixture *f = *state;

    for (unsigned i = 0; i < sizeof(overlaps) / sizeof(overlaps[0]); i++) {
        first(f, 0, overlaps[i].length == 16 && overlaps[i].offset == 0 ? 8 : 24);
        first(f, 64, 24);
        first(f, overlaps[i].offset, overlaps[i].length);
        expect_dropped(f, COUNTER_ip_fragment_overlap, i + 1);
        f->id++;
    }
}

static void a_second_end_drops_the_packet(void **state)
{
    struct fixture *f = *state;

    last(f, 16, 8);
    last(f, 24, 8); /* later */
    expect_dropped(f, COUNTER_ip_fragment_wrong, 1);
    last(f, 16, 8);
    last(f, 8, 8); /* earlier */
    expect_dropped(f, COUNTER_ip_fragment_wrong, 2);
}

static void nothing_lies_behind_the_end(void **state)
{
    struct fixture *f = *state;

    last(f, 16, 8);
    first(f, 24, 8);
    expect_dropped(f, COUNTER_ip_fragment_wrong, 1);
    first(f, 24, 8);
    last(f, 16, 8);
    expect_dropped(f, COUNTER_ip_fragment_wrong, 2);
}

static void a_dropped_packet_leaves_its_identification_free(void **state)
{
    struct fixture *f = *state;

    first(f, 0, 40);
    last(f, 24, 4);
    first(f, 0, 40);
    last(f, 40, 4);
    expect_whole(f, 44);
}

/* ---- ECN ------------------------------------------------------------------------------------- */

static void congestion_met_by_one_fragment_is_met_by_the_packet_rfc3168_5_3(void **state)
{
    /* the ECN fields of both fragments, and that of the packet; 255: it is dropped */
    static const uint8_t cases[][3] = {
        {0, 0, 0},   {1, 1, 1},   {2, 2, 2},   {3, 3, 3},   {1, 2, 1},   {2, 1, 2},
        {1, 3, 3},   {3, 1, 3},   {2, 3, 3},   {3, 2, 3},   {0, 1, 255}, {1, 0, 255},
        {0, 2, 255}, {2, 0, 255}, {0, 3, 255}, {3, 0, 255},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        f->tos = 0xb8 | cases[i][0];
        first(f, 0, 8);
        f->tos = 0xb8 | cases[i][1];
        last(f, 8, 8);
        if (cases[i][2] != 255) {
            assert_int_equal(f->last.tos, 0xb8 | cases[i][2]);
            expect_whole(f, 16);
        }
    }
    expect_dropped(f, COUNTER_ip_fragments_ecn_mixed, 6);
}

/* ---- Time ------------------------------------------------------------------------------------ */

static uint64_t advance(struct fixture *f, uint64_t duration_ns)
{
    core_set_now(&f->lan->core, f->lan->core.now_ns + duration_ns);
    return ip_advance(&f->lan->ip);
}

static void a_packet_is_waited_for_thirty_seconds_rfc1122_3_3_2(void **state)
{
    struct fixture *f = *state;
    uint64_t start_ns = f->lan->core.now_ns;

    assert_int_equal(advance(f, 0), STRAIT_NEVER);
    last(f, 16, 8);
    assert_int_equal(advance(f, 0), start_ns + 30 * NS_PER_S);
    assert_int_equal(advance(f, 20 * NS_PER_S), start_ns + 30 * NS_PER_S);
    first(f, 8, 8); /* does not begin the time anew */
    assert_int_equal(advance(f, 10 * NS_PER_S - 1), start_ns + 30 * NS_PER_S);
    assert_int_equal(counter(f, COUNTER_ip_reassembly_timed_out), 0);
    assert_int_equal(advance(f, 1), STRAIT_NEVER);
    expect_dropped(f, COUNTER_ip_reassembly_timed_out, 1); /* without the first: not a word */
    first(f, 0, 8);
    assert_int_equal(f->received, 0);
}

static void the_sender_is_told_if_the_first_fragment_had_come_rfc1122_3_3_2(void **state)
{
    struct fixture *f = *state;

    last(f, 24, 8);
    first(f, 0, 16);
    advance(f, 30 * NS_PER_S);
    assert_int_equal(f->lan->sent, 1);
    assert_int_equal(f->lan->length, 28 + 20 + 16);
    assert_int_equal(load_be32(f->lan->bytes + 12), LAN_HOST);
    assert_int_equal(load_be32(f->lan->bytes + 16), LAN_PEER);
    assert_int_equal(f->lan->bytes[20], 11); /* time exceeded */
    assert_int_equal(f->lan->bytes[21], 1);  /* in reassembly */
    assert_int_equal(load_be16(f->lan->bytes + 28 + 4), 0x1234);
    assert_int_equal(load_be16(f->lan->bytes + 28 + 6), 0x2000);
    f->lan->sent = 0;
    expect_dropped(f, COUNTER_ip_reassembly_timed_out, 1);
}

static void packets_time_out_one_after_the_other(void **state)
{
    struct fixture *f = *state;
    uint64_t start_ns = f->lan->core.now_ns;

    for (f->id = 0; f->id < 5; f->id++) {
        last(f, 16, 8);
        core_set_now(&f->lan->core, f->lan->core.now_ns + NS_PER_S);
    }
    for (uint64_t i = 0; i < 5; i++) {
        core_set_now(&f->lan->core, start_ns + (29 + i) * NS_PER_S);
        assert_int_equal(ip_advance(&f->lan->ip), start_ns + (30 + i) * NS_PER_S);
        assert_int_equal(counter(f, COUNTER_ip_reassembly_timed_out), i);
    }
}

/* ---- Bounds ---------------------------------------------------------------------------------- */

static void a_source_has_its_share_and_no_more(void **state)
{
    struct fixture *f = *state;
    size_t most = 0;

    last(f, 800, 8); /* of an honest source, the first of all */
    f->source = LAN_PEER + 2;
    for (unsigned i = 0; i < 100000; i++) {
        f->id = (uint16_t)i;
        first(f, 0, 1480);
        if (f->lan->ip.reassembly.bytes > most)
            most = f->lan->ip.reassembly.bytes;
    }
    assert_true(most < 1 << 20);
    assert_int_equal(counter(f, COUNTER_ip_reassembly_evicted), 100000 - 64);
    f->source = LAN_PEER;
    f->id = 0x1234;
    first(f, 0, 800);
    assert_int_equal(f->received, 1);
    assert_int_equal(f->last.length, 808);
}

static void endless_packets_of_a_source_stay_within_its_share(void **state)
{
    struct fixture *f = *state;
    size_t most = 0;

    for (f->id = 0; f->id < 50; f->id++) {
        for (size_t at = 8; at + 1480 < 65000; at += 1480) {
            first(f, at, 1480);
            if (f->lan->ip.reassembly.bytes > most)
                most = f->lan->ip.reassembly.bytes;
        }
    }
    assert_in_range(most, (1 << 20) - 70000, 1 << 20);
    assert_true(counter(f, COUNTER_ip_reassembly_evicted) > 30);
}

static void all_sources_together_stay_within_the_bound(void **state)
{
    struct fixture *f = *state;
    size_t most = 0;

    for (uint32_t i = 0; i < 100000; i++) {
        f->source = 0x0b000000 + i;
        first(f, 0, 800);
        if (f->lan->ip.reassembly.bytes > most)
            most = f->lan->ip.reassembly.bytes;
    }
    assert_in_range(most, (4 << 20) - 2000, 4 << 20);
    assert_true(counter(f, COUNTER_ip_reassembly_evicted) > 90000);
    f->source = LAN_PEER;
    first(f, 0, 8);
    last(f, 8, 8);
    assert_int_equal(f->received, 1);
    advance(f, 30 * NS_PER_S);
    assert_int_equal(f->lan->ip.reassembly.bytes, 0);
}

static void a_packet_has_2048_fragments_at_most(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < 2048; i++)
        first(f, 8 + i * 8, 8);
    assert_int_equal(counter(f, COUNTER_ip_fragments_in), 2048);
    first(f, 8 + 2048 * 8, 8);
    expect_dropped(f, COUNTER_ip_fragments_limited, 1);
}

static void without_memory_nothing_is_kept(void **state)
{
    struct fixture *f = *state;
    f->lan->core.config.fragments_max_bytes = 0;
    first(f, 0, 8);
    last(f, 8, 8);
    expect_dropped(f, COUNTER_ip_fragments_limited, 2);
}

/* What is left when the host ends is for lan_free to free, and for the sanitizer to find. */
static void a_host_may_end_while_fragments_wait(void **state)
{
    struct fixture *f = *state;
    for (f->id = 0; f->id < 10; f->id++)
        first(f, 8, 1480);
    assert_true(f->lan->ip.reassembly.bytes > 0);
    ip_finish(&f->lan->ip);
    assert_int_equal(f->lan->ip.reassembly.bytes, 0);
    assert_int_equal(advance(f, 0), STRAIT_NEVER);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(two_fragments_make_a_packet_rfc791_3_2),
        TEST(four_fragments_in_every_order_make_a_packet),
        TEST(fragments_of_other_packets_are_told_apart),
        TEST(the_longest_packet_is_made_of_the_shortest_fragments_of_a_link),
        TEST(the_longest_packet_is_made_in_reverse),
        TEST(the_header_is_that_of_the_first_fragment_rfc791_3_2),
        TEST(a_duplicate_changes_nothing),
        TEST(a_fragment_with_df_is_taken),
        TEST(an_error_about_a_packet_that_was_fragmented_quotes_it),
        TEST(an_empty_fragment_is_refused),
        TEST(a_length_of_no_whole_units_is_refused_but_at_the_end_rfc791_3_2),
        TEST(a_packet_above_65535_bytes_is_refused),
        TEST(a_tcp_header_must_not_be_split_rfc1858_3),
        TEST(teardrop_drops_the_packet_rfc5722),
        TEST(any_overlap_drops_the_packet_rfc5722),
        TEST(a_second_end_drops_the_packet),
        TEST(nothing_lies_behind_the_end),
        TEST(a_dropped_packet_leaves_its_identification_free),
        TEST(congestion_met_by_one_fragment_is_met_by_the_packet_rfc3168_5_3),
        TEST(a_packet_is_waited_for_thirty_seconds_rfc1122_3_3_2),
        TEST(the_sender_is_told_if_the_first_fragment_had_come_rfc1122_3_3_2),
        TEST(packets_time_out_one_after_the_other),
        TEST(a_source_has_its_share_and_no_more),
        TEST(endless_packets_of_a_source_stay_within_its_share),
        TEST(all_sources_together_stay_within_the_bound),
        TEST(a_packet_has_2048_fragments_at_most),
        TEST(without_memory_nothing_is_kept),
        TEST(a_host_may_end_while_fragments_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
