/* SPDX-License-Identifier: MIT */
/* Forwarding (RFC 1812 5.2): between the network of lan.h and 192.0.2.0/24 behind a second link. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "lan.h"

#define FAR_HOST 0xc0000201 /* 192.0.2.1, the router's */

/* From 10.7.0.1 to 192.0.2.9: TTL 64, UDP, 4 bytes of payload. The sums are computed by hand. */
#define HEADER_64 "45 00 00 20 00 01 00 00 40 11 ae bb 0a 07 00 01 c0 00 02 09"
#define HEADER_63 "45 00 00 20 00 01 00 00 3f 11 af bb 0a 07 00 01 c0 00 02 09"
#define HEADER_1  "45 00 00 20 00 01 00 00 01 11 ed bb 0a 07 00 01 c0 00 02 09"
#define TEXT      " 03 e8 07 d0 00 0c 00 00 de ad be ef"

struct router {
    struct lan *lan;
    struct strait_link far;
};

static int setup_with(void **state, uint32_t far_mtu, uint32_t features, uint32_t far_features)
{
    struct router *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    r->lan = lan_new(9000, features);
    r->lan->core.config.forward = true;
    lan_link(r->lan, &r->far, far_mtu, far_features);
    assert_non_null(ip_attach(&r->lan->ip, &r->far, address_v4(FAR_HOST), 24));
    *state = r;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, 1500, 0, 0);
}

static int setup_offload_to_plain(void **state)
{
    return setup_with(state, 1500, STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4, 0);
}

static int setup_offload(void **state)
{
    return setup_with(state, 1500, STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4,
                      STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4);
}

static int teardown(void **state)
{
    struct router *r = *state;
    lan_free(r->lan);
    free(r);
    return 0;
}

static uint64_t counter_of(void **state, enum counter counter)
{
    const struct router *r = *state;
    return r->lan->core.counters[counter];
}

static void a_packet_goes_on_with_one_hop_less_rfc1812_5_2_1(void **state)
{
    struct router *r = *state;
    lan_input_hex(r->lan, HEADER_64 TEXT);
    lan_expect_hex(r->lan, HEADER_63 TEXT);
    assert_int_equal(counter_of(state, COUNTER_ip_forwarded), 1);
}

static void a_host_that_is_no_router_drops_it(void **state)
{
    struct router *r = *state;
    r->lan->core.config.forward = false;
    lan_input_hex(r->lan, HEADER_64 TEXT);
    lan_expect_nothing(r->lan);
    assert_int_equal(counter_of(state, COUNTER_ip_not_for_us), 1);
}

/* The answer to the packet: an ICMP error from 10.7.0.2 that quotes it as it came. */
static void expect_error(struct router *r, uint8_t type, uint8_t code, uint32_t word,
                         const uint8_t *packet, size_t quoted)
{
    const uint8_t *sent = r->lan->bytes;

    assert_int_equal(r->lan->sent, 1);
    assert_int_equal(r->lan->length, 28 + quoted);
    assert_int_equal(lan_sum(sent, 20), 0xffff);
    assert_int_equal(lan_sum(sent + 20, 8 + quoted), 0xffff);
    assert_int_equal(sent[9], IPPROTO_ICMP);
    assert_int_equal(load_be32(sent + 12), LAN_HOST);
    assert_int_equal(load_be32(sent + 16), LAN_PEER);
    assert_int_equal(sent[20], type);
    assert_int_equal(sent[21], code);
    assert_int_equal(load_be32(sent + 24), word);
    assert_memory_equal(sent + 28, packet, quoted);
    r->lan->sent = 0;
}

static void the_last_hop_is_answered_with_time_exceeded_rfc1812_5_3_1(void **state)
{
    struct router *r = *state;
    uint8_t packet[32];

    for (uint8_t ttl = 0; ttl <= 1; ttl++) {
        size_t length = lan_hex(packet, sizeof(packet), HEADER_1 TEXT);
        packet[8] = ttl;
        lan_mend(packet);
        lan_input(r->lan, packet, length, NULL);
        expect_error(r, 11, 0, 0, packet, length);
    }
    assert_int_equal(counter_of(state, COUNTER_ip_ttl_expired), 2);
    assert_int_equal(counter_of(state, COUNTER_icmp_errors_out), 2);
}

static void a_packet_without_a_route_is_net_unreachable_rfc1812_5_2_7_1(void **state)
{
    struct router *r = *state;
    uint8_t packet[32];
    size_t length = lan_hex(packet, sizeof(packet), HEADER_64 TEXT);

    r->lan->ip.route_count--; /* the default route, the shortest prefix */
    packet[16] = 11;          /* 11.0.2.9 */
    lan_mend(packet);
    lan_input(r->lan, packet, length, NULL);
    expect_error(r, 3, 0, 0, packet, length);
    assert_int_equal(counter_of(state, COUNTER_ip_no_route), 1);
}

static void what_is_link_local_stays_on_its_link_rfc3927_2_7(void **state)
{
    struct router *r = *state;
    uint8_t packet[32];
    const uint8_t link_local[] = {169, 254, 0, 9};

    for (size_t at = 12; at <= 16; at += 4) {
        size_t length = lan_hex(packet, sizeof(packet), HEADER_64 TEXT);
        memcpy(packet + at, link_local, 4);
        lan_mend(packet);
        lan_input(r->lan, packet, length, NULL);
    }
    lan_expect_nothing(r->lan);
    assert_int_equal(counter_of(state, COUNTER_ip_not_for_us), 2);
}

/* A packet of `length` bytes to the far network; `fragment` is the field of flags and offset. */
static void long_packet(uint8_t *packet, size_t length, uint16_t fragment)
{
    memset(packet, 0, length);
    lan_hex(packet, length, HEADER_64);
    for (size_t i = 20; i < length; i++)
        packet[i] = (uint8_t)(i * 7 + i / 256);
    store_be16(packet + 2, (uint16_t)length);
    store_be16(packet + 6, fragment);
    lan_mend(packet);
}

static void a_packet_with_df_longer_than_the_next_link_is_answered_rfc1191_4(void **state)
{
    struct router *r = *state;
    static uint8_t packet[1501];

    long_packet(packet, 1500, 0x4000);
    lan_input(r->lan, packet, 1500, NULL);
    assert_int_equal(r->lan->length, 1500);
    r->lan->sent = 0;
    long_packet(packet, 1501, 0x4000);
    lan_input(r->lan, packet, 1501, NULL);
    expect_error(r, 3, 4, 1500, packet, 548);
    assert_int_equal(counter_of(state, COUNTER_ip_too_big), 1);
    assert_int_equal(counter_of(state, COUNTER_ip_forwarded), 1);
}

static void a_later_fragment_is_never_answered_rfc1812_4_3_2_7(void **state)
{
    struct router *r = *state;
    static uint8_t packet[1501];

    long_packet(packet, 1501, 0x4001);
    lan_input(r->lan, packet, 1501, NULL);
    long_packet(packet, 100, 1);
    packet[8] = 1;
    lan_mend(packet);
    lan_input(r->lan, packet, 100, NULL);
    lan_expect_nothing(r->lan);
    assert_int_equal(counter_of(state, COUNTER_ip_too_big), 1);
    assert_int_equal(counter_of(state, COUNTER_ip_ttl_expired), 1);
}

static void a_packet_longer_than_the_next_link_goes_on_in_fragments_rfc791_3_2(void **state)
{
    struct router *r = *state;
    static uint8_t packet[1501];

    long_packet(packet, 1501, 0);
    lan_input(r->lan, packet, 1501, NULL);
    assert_int_equal(r->lan->sent, 2);
    assert_int_equal(r->lan->length, 21); /* the last: 1481 bytes of payload are 1480 and 1 */
    assert_int_equal(load_be16(r->lan->bytes + 2), 21);
    assert_int_equal(load_be16(r->lan->bytes + 4), 1); /* the identification */
    assert_int_equal(load_be16(r->lan->bytes + 6), 1480 / 8);
    assert_int_equal(r->lan->bytes[8], 63);
    assert_int_equal(lan_sum(r->lan->bytes, 20), 0xffff);
    assert_int_equal(r->lan->bytes[20], packet[1500]);
    assert_int_equal(counter_of(state, COUNTER_ip_forwarded), 1);
    assert_int_equal(counter_of(state, COUNTER_ip_fragmented), 1);
    assert_int_equal(counter_of(state, COUNTER_ip_fragments_out), 2);
    assert_int_equal(counter_of(state, COUNTER_link_packets_out), 2);
    assert_int_equal(counter_of(state, COUNTER_link_bytes_out), 1500 + 21);
}

/* Its last piece is not the last of the packet, and its offsets go on where it stood. */
static void a_fragment_is_cut_again_rfc791_3_2(void **state)
{
    struct router *r = *state;
    static uint8_t packet[20 + 1488];

    long_packet(packet, sizeof(packet), 0x2000 | 100);
    lan_input(r->lan, packet, sizeof(packet), NULL);
    assert_int_equal(r->lan->sent, 2);
    assert_int_equal(r->lan->length, 20 + 8);
    assert_int_equal(load_be16(r->lan->bytes + 6), 0x2000 | (100 + 1480 / 8));
    assert_memory_equal(r->lan->bytes + 20, packet + 20 + 1480, 8);
}

/* Reassembly is for the destination; a router passes fragments on as they are. */
static void a_fragment_goes_on_unread(void **state)
{
    struct router *r = *state;
    lan_input_hex(r->lan, "45 00 00 20 00 01 20 00 40 11 8e bb 0a 07 00 01 c0 00 02 09" TEXT);
    lan_expect_hex(r->lan, "45 00 00 20 00 01 20 00 3f 11 8f bb 0a 07 00 01 c0 00 02 09" TEXT);
}

static void broadcast_and_multicast_stay_rfc1812_5_3_4(void **state)
{
    struct router *r = *state;
    uint8_t packet[32];
    size_t length = lan_hex(packet, sizeof(packet), HEADER_64 TEXT);
    const uint8_t multicast[] = {224, 0, 0, 9}, limited[] = {255, 255, 255, 255};
    memcpy(packet + 16, multicast, 4);
    lan_mend(packet);
    lan_input(r->lan, packet, length, NULL);
    memcpy(packet + 16, limited, 4);
    lan_mend(packet);
    lan_input(r->lan, packet, length, NULL);
    lan_expect_nothing(r->lan);
    assert_int_equal(counter_of(state, COUNTER_ip_forwarded), 0);
}

/* The sum of the pseudo-header is in the field, as a sender with offload leaves it there. */
#define TEXT_PARTIAL " 03 e8 07 d0 00 0c cc 2e de ad be ef"
static const struct strait_offload partial = {
    .checksum = STRAIT_CHECKSUM_PARTIAL,
    .header_bytes = 28,
    .checksum_start = 20,
    .checksum_offset = 6,
};

static void a_partial_checksum_is_completed_for_a_plain_link(void **state)
{
    struct router *r = *state;
    uint8_t packet[32];
    size_t length = lan_hex(packet, sizeof(packet), HEADER_64 TEXT_PARTIAL);
    lan_input(r->lan, packet, length, &partial);
    /* 03e8 + 07d0 + 000c + cc2e + dead + beef = 2758e; 758e + 2 = 7590, complemented */
    lan_expect_hex(r->lan, HEADER_63 " 03 e8 07 d0 00 0c 8a 6f de ad be ef");
    assert_int_equal(r->lan->offload.checksum, STRAIT_CHECKSUM_COMPLETE);
}

static void a_udp_checksum_of_zero_is_completed_as_ffff_rfc768(void **state)
{
    struct router *r = *state;
    uint8_t packet[32];
    size_t length =
        lan_hex(packet, sizeof(packet), HEADER_64 " 03 e8 07 d0 00 0c cc 2e 69 1d be ef");
    lan_input(r->lan, packet, length, &partial);
    /* 03e8 + 07d0 + 000c + cc2e + 691d + beef = 1fffe; fffe + 1 = ffff, complemented 0 */
    lan_expect_hex(r->lan, HEADER_63 " 03 e8 07 d0 00 0c ff ff 69 1d be ef");
}

static void a_partial_checksum_is_left_to_a_link_that_completes_it(void **state)
{
    struct router *r = *state;
    uint8_t packet[32];
    size_t length = lan_hex(packet, sizeof(packet), HEADER_64 TEXT_PARTIAL);
    lan_input(r->lan, packet, length, &partial);
    lan_expect_hex(r->lan, HEADER_63 TEXT_PARTIAL);
    assert_int_equal(r->lan->offload.checksum, STRAIT_CHECKSUM_PARTIAL);
    assert_int_equal(r->lan->offload.checksum_start, 20);
    assert_int_equal(r->lan->offload.checksum_offset, 6);
}

static void a_checksum_field_behind_the_headers_is_a_lie(void **state)
{
    struct router *r = *state;
    uint8_t packet[400] = {0};
    lan_hex(packet, sizeof(packet), HEADER_64 TEXT_PARTIAL);
    packet[2] = 400 >> 8;
    packet[3] = 400 & 0xff;
    lan_mend(packet);
    struct strait_offload lie = partial;
    lie.checksum_offset = 370;
    lan_input(r->lan, packet, sizeof(packet), &lie);
    lan_expect_nothing(r->lan);
    assert_int_equal(counter_of(state, COUNTER_link_offload_wrong), 1);
}

/* A TCP super-packet of 4000 bytes in segments of `gso_size`. */
static void super_packet(struct router *r, uint16_t gso_size)
{
    static uint8_t packet[4040];
    memset(packet, 0, sizeof(packet));
    lan_hex(packet, sizeof(packet), "45 00 0f c8 00 01 40 00 40 06 00 00 0a 07 00 01 c0 00 02 09");
    packet[32] = 0x50; /* a TCP header of 20 bytes */
    lan_mend(packet);
    lan_input(r->lan, packet, sizeof(packet),
              &(struct strait_offload){.checksum = STRAIT_CHECKSUM_PARTIAL,
                                       .gso = STRAIT_GSO_TCP4,
                                       .gso_size = gso_size,
                                       .header_bytes = 40,
                                       .checksum_start = 20,
                                       .checksum_offset = 16});
}

static void a_super_packet_goes_on_whole_where_it_can_be_cut(void **state)
{
    struct router *r = *state;
    super_packet(r, 1000);
    assert_int_equal(r->lan->sent, 1);
    assert_int_equal(r->lan->length, 4040);
    assert_int_equal(r->lan->offload.gso_size, 1000);
    assert_int_equal(r->lan->bytes[8], 63);
}

static void a_super_packet_is_dropped_where_nobody_cuts_it(void **state)
{
    struct router *r = *state;
    super_packet(r, 1000);
    lan_expect_nothing(r->lan);
    assert_int_equal(counter_of(state, COUNTER_ip_too_big), 1);
}

/* Its sender is to make smaller segments: 1040 bytes are too long for the next hop. */
static void a_super_packet_of_segments_above_the_mtu_is_answered_rfc1191_4(void **state)
{
    struct router *r = *state;
    r->far.mtu = 1039;
    super_packet(r, 1000);
    assert_int_equal(r->lan->sent, 1);
    assert_int_equal(r->lan->bytes[20], 3);
    assert_int_equal(r->lan->bytes[21], 4);
    assert_int_equal(load_be32(r->lan->bytes + 24), 1039);
    assert_int_equal(counter_of(state, COUNTER_ip_too_big), 1);
}

/* What it is cut into is never longer than it is itself. */
static void a_super_packet_of_one_segment_has_its_own_length(void **state)
{
    struct router *r = *state;
    r->far.mtu = 4040;
    super_packet(r, 60000);
    assert_int_equal(r->lan->length, 4040);
    assert_int_equal(counter_of(state, COUNTER_ip_forwarded), 1);
}

int main(void)
{
#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_packet_goes_on_with_one_hop_less_rfc1812_5_2_1, setup),
        TEST(a_host_that_is_no_router_drops_it, setup),
        TEST(the_last_hop_is_answered_with_time_exceeded_rfc1812_5_3_1, setup),
        TEST(a_packet_without_a_route_is_net_unreachable_rfc1812_5_2_7_1, setup),
        TEST(what_is_link_local_stays_on_its_link_rfc3927_2_7, setup),
        TEST(a_packet_with_df_longer_than_the_next_link_is_answered_rfc1191_4, setup),
        TEST(a_later_fragment_is_never_answered_rfc1812_4_3_2_7, setup),
        TEST(a_packet_longer_than_the_next_link_goes_on_in_fragments_rfc791_3_2, setup),
        TEST(a_fragment_is_cut_again_rfc791_3_2, setup),
        TEST(a_fragment_goes_on_unread, setup),
        TEST(broadcast_and_multicast_stay_rfc1812_5_3_4, setup),
        TEST(a_partial_checksum_is_completed_for_a_plain_link, setup_offload_to_plain),
        TEST(a_udp_checksum_of_zero_is_completed_as_ffff_rfc768, setup_offload_to_plain),
        TEST(a_partial_checksum_is_left_to_a_link_that_completes_it, setup_offload),
        TEST(a_checksum_field_behind_the_headers_is_a_lie, setup_offload_to_plain),
        TEST(a_super_packet_goes_on_whole_where_it_can_be_cut, setup_offload),
        TEST(a_super_packet_is_dropped_where_nobody_cuts_it, setup_offload_to_plain),
        TEST(a_super_packet_of_segments_above_the_mtu_is_answered_rfc1191_4, setup_offload),
        TEST(a_super_packet_of_one_segment_has_its_own_length, setup_offload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
