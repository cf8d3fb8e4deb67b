/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "lan.h"

/* A protocol for experiments (RFC 3692), and a packet of it from 10.7.0.1 to 10.7.0.2. */
#define PROTOCOL     253
#define PACKET       "45 00 00 1c 12 34 00 00 40 fd 53 a1 0a 07 00 01 0a 07 00 02 01 02 03 04 05 06 07 08"
#define PACKET_BYTES 28

struct fixture {
    struct lan *lan;
    unsigned received;
    struct ip_packet last;
    uint8_t payload[64];
    bool checksum_right;
};

static void record(void *self, const struct ip_packet *packet)
{
    struct fixture *f = self;
    f->received++;
    f->last = *packet;
    assert_true(packet->length <= sizeof(f->payload));
    memcpy(f->payload, packet->payload, packet->length);
    f->checksum_right = ip_checksum_right(packet);
}

static const struct ip_protocol recorder = {.input = record};

static int setup_with(void **state, uint32_t mtu, uint32_t features)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->lan = lan_new(mtu, features);
    ip_register(&f->lan->ip, PROTOCOL, &recorder, f);
    ip_register(&f->lan->ip, IPPROTO_TCP, &recorder, f);
    ip_register(&f->lan->ip, IPPROTO_UDP, &recorder, f);
    *state = f;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, 1500, 0);
}

static int setup_offload(void **state)
{
    return setup_with(state, 1500, STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4);
}

static int setup_jumbo(void **state)
{
    return setup_with(state, 65535, 0);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    lan_free(f->lan);
    free(f);
    return 0;
}

/* ---- In: what is wrong is dropped ------------------------------------------------------------ */

/* Lets PACKET arrive with one byte changed and the checksum mended. */
static void input_changed(struct fixture *f, size_t at, uint8_t value)
{
    uint8_t packet[PACKET_BYTES];
    lan_hex(packet, sizeof(packet), PACKET);
    packet[at] = value;
    lan_mend(packet);
    lan_input(f->lan, packet, sizeof(packet), NULL);
}

static void input_addresses(struct fixture *f, uint32_t source, uint32_t destination)
{
    uint8_t packet[PACKET_BYTES];
    lan_hex(packet, sizeof(packet), PACKET);
    store_be32(packet + 12, source);
    store_be32(packet + 16, destination);
    lan_mend(packet);
    lan_input(f->lan, packet, sizeof(packet), NULL);
}

/* Fails unless `count` packets have been dropped for one reason, and nothing else has happened. */
static void expect_dropped(struct fixture *f, enum counter why, uint64_t count)
{
    assert_int_equal(f->received, 0);
    lan_expect_nothing(f->lan);
    for (enum counter i = 0; i < COUNTER_COUNT; i++)
        assert_int_equal(f->lan->core.counters[i], i == why ? count : 0);
}

static void a_packet_is_parsed_and_handed_up(void **state)
{
    struct fixture *f = *state;
    static const uint8_t payload[] = {1, 2, 3, 4, 5, 6, 7, 8};

    lan_input_hex(f->lan, PACKET);
    assert_int_equal(f->received, 1);
    assert_ptr_equal(f->last.interface, f->lan->interface);
    assert_int_equal(address_to_v4(&f->last.source), LAN_PEER);
    assert_int_equal(address_to_v4(&f->last.destination), LAN_HOST);
    assert_int_equal(f->last.protocol, PROTOCOL);
    assert_int_equal(f->last.ttl, 64);
    assert_int_equal(f->last.tos, 0);
    assert_false(f->last.broadcast);
    assert_int_equal(f->last.header_bytes, 20);
    assert_int_equal(f->last.length, sizeof(payload));
    assert_ptr_equal(f->last.payload, f->last.header + 20);
    assert_memory_equal(f->payload, payload, sizeof(payload));
    lan_expect_nothing(f->lan);
}

static void a_packet_may_be_cut_anywhere(void **state)
{
    struct fixture *f = *state;
    uint8_t packet[PACKET_BYTES];
    lan_hex(packet, sizeof(packet), PACKET);

    for (size_t length = 1; length < sizeof(packet); length++)
        lan_input(f->lan, packet, length, NULL);
    assert_int_equal(f->received, 0);
    assert_int_equal(f->lan->core.counters[COUNTER_ip_header_short], 19);
    assert_int_equal(f->lan->core.counters[COUNTER_ip_total_length_wrong], 8);
}

static void a_header_below_five_words_is_dropped_rfc791_3_1(void **state)
{
    for (uint8_t words = 0; words < 5; words++)
        input_changed(*state, 0, 0x40 | words);
    expect_dropped(*state, COUNTER_ip_header_length_wrong, 5);
}

static void a_header_longer_than_the_packet_is_dropped(void **state)
{
    uint8_t packet[PACKET_BYTES];
    lan_hex(packet, sizeof(packet), PACKET);
    packet[0] = 0x48; /* 32 bytes of 28 */
    struct fixture *f = *state;
    lan_input(f->lan, packet, sizeof(packet), NULL);
    expect_dropped(f, COUNTER_ip_header_length_wrong, 1);
}

static void a_total_length_below_the_header_is_dropped(void **state)
{
    input_changed(*state, 3, 19);
    expect_dropped(*state, COUNTER_ip_total_length_wrong, 1);
}

static void a_total_length_beyond_the_packet_is_dropped(void **state)
{
    input_changed(*state, 3, PACKET_BYTES + 1);
    input_changed(*state, 2, 1);
    expect_dropped(*state, COUNTER_ip_total_length_wrong, 2);
}

static void bytes_behind_the_total_length_are_cut_off(void **state)
{
    struct fixture *f = *state;
    lan_input_hex(f->lan, PACKET " 00 00 00 00 00");
    assert_int_equal(f->received, 1);
    assert_int_equal(f->last.length, 8);
}

static void a_packet_without_payload_is_handed_up(void **state)
{
    struct fixture *f = *state;
    input_changed(f, 3, 20);
    assert_int_equal(f->received, 1);
    assert_int_equal(f->last.length, 0);
}

static void any_wrong_bit_of_the_header_is_found_by_its_checksum_rfc1122_3_2_1_2(void **state)
{
    struct fixture *f = *state;

    for (unsigned bit = 8; bit < 20 * 8; bit++) { /* from the second byte on */
        uint8_t packet[PACKET_BYTES];
        lan_hex(packet, sizeof(packet), PACKET);
        packet[bit / 8] ^= (uint8_t)(1u << bit % 8);
        lan_input(f->lan, packet, sizeof(packet), NULL);
    }
    expect_dropped(f, COUNTER_ip_checksum_wrong, 19 * 8);
}

static void a_source_that_is_no_single_host_is_dropped_rfc1122_3_2_1_3(void **state)
{
    static const uint32_t sources[] = {
        INADDR_ANY, INADDR_BROADCAST, INADDR_LOOPBACK, 0x00000001, /* 0.0.0.1 */
        0xe0000001,                                                /* 224.0.0.1 */
        0xf0000001,                                                /* 240.0.0.1 */
        0x0a0700ff,                                                /* 10.7.0.255 */
    };
    size_t count = sizeof(sources) / sizeof(sources[0]);
    for (size_t i = 0; i < count; i++)
        input_addresses(*state, sources[i], LAN_HOST);
    expect_dropped(*state, COUNTER_ip_source_refused, count);
}

static void a_packet_from_this_host_is_forged_and_dropped(void **state)
{
    input_addresses(*state, LAN_HOST, LAN_HOST);
    expect_dropped(*state, COUNTER_ip_source_refused, 1);
}

static void a_packet_for_somebody_else_is_dropped_rfc1122_3_2_1_3(void **state)
{
    input_addresses(*state, LAN_PEER, LAN_HOST + 1);
    input_addresses(*state, LAN_PEER, 0xe0000001); /* multicast: no group has been joined */
    input_addresses(*state, LAN_PEER, INADDR_LOOPBACK);
    input_addresses(*state, LAN_PEER, INADDR_ANY);
    expect_dropped(*state, COUNTER_ip_not_for_us, 4);
}

static void a_broadcast_is_handed_up_and_marked(void **state)
{
    struct fixture *f = *state;

    input_addresses(f, LAN_PEER, INADDR_BROADCAST);
    assert_int_equal(f->received, 1);
    assert_true(f->last.broadcast);
    input_addresses(f, LAN_PEER, 0x0a0700ff);
    assert_int_equal(f->received, 2);
    assert_true(f->last.broadcast);
}

static void dont_fragment_is_no_fragment(void **state)
{
    struct fixture *f = *state;
    input_changed(f, 6, 0x40);
    assert_int_equal(f->received, 1);
}

/* ---- In: options ----------------------------------------------------------------------------- */

/* Lets the packet arrive with eight bytes of options. */
static void input_options(struct fixture *f, const char *options)
{
    uint8_t packet[PACKET_BYTES + 8];
    lan_hex(packet, sizeof(packet), PACKET);
    memmove(packet + 28, packet + 20, 8);
    assert_int_equal(lan_hex(packet + 20, 8, options), 8);
    packet[0] = 0x47;
    packet[3] = sizeof(packet);
    lan_mend(packet);
    lan_input(f->lan, packet, sizeof(packet), NULL);
}

static void options_are_skipped_rfc1122_3_2_1_8(void **state)
{
    struct fixture *f = *state;

    /* NOP, record route with room for one address */
    lan_input_hex(f->lan, "47 00 00 24 12 34 00 00 40 fd 49 8e 0a 07 00 01 0a 07 00 02"
                          "01 07 07 04 00 00 00 00 01 02 03 04 05 06 07 08");
    assert_int_equal(f->received, 1);
    assert_int_equal(f->last.header_bytes, 28);
    assert_int_equal(f->last.length, 8);
    assert_int_equal(f->payload[0], 1);
    input_options(f, "94 04 00 00 00 83 03 83"); /* router alert; nothing counts behind the end */
    assert_int_equal(f->received, 2);
    input_options(f, "01 01 01 01 01 01 01 01");
    assert_int_equal(f->received, 3);
}

static void source_routes_are_refused_without_a_word_rfc7126_4(void **state)
{
    input_options(*state, "83 07 04 0a 07 00 02 00");
    input_options(*state, "01 89 07 04 0a 07 00 02");
    expect_dropped(*state, COUNTER_ip_source_routed, 2);
}

/* RFC 792: the error points at the first byte of the option. */
static void
options_that_lie_about_their_length_are_a_parameter_problem_rfc1122_3_2_2_5(void **state)
{
    static const struct {
        const char *options;
        uint8_t pointer;
    } lies[] = {
        {"07 00 00 00 00 00 00 00", 20}, /* an option that would never end */
        {"07 01 00 00 00 00 00 00", 20},
        {"01 07 08 00 00 00 00 00", 21}, /* one byte beyond the header */
        {"94 04 00 00 07 05 00 00", 24}, /* behind one that is right */
        {"01 01 01 01 01 01 01 07", 27}, /* no room for a length */
    };
    struct fixture *f = *state;

    for (unsigned i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        f->lan->sent = 0;
        input_options(f, lies[i].options);
        assert_int_equal(f->received, 0);
        assert_int_equal(f->lan->sent, 1);
        assert_int_equal(f->lan->bytes[20], 12); /* parameter problem */
        assert_int_equal(f->lan->bytes[21], 0);
        assert_int_equal(load_be32(f->lan->bytes + 24), (uint32_t)lies[i].pointer << 24);
        assert_int_equal(f->lan->bytes[28], 0x47); /* the packet */
        assert_int_equal(f->lan->core.counters[COUNTER_ip_options_wrong], i + 1);
    }
}

static void options_of_what_is_not_for_this_host_are_not_judged(void **state)
{
    struct fixture *f = *state;
    lan_input_hex(f->lan, "46 00 00 18 12 34 00 00 40 fd 4b a4 0a 07 00 01 0a 07 00 03"
                          "07 00 00 00");
    expect_dropped(f, COUNTER_ip_not_for_us, 1);
}

/* ---- In: the unknown protocol ---------------------------------------------------------------- */

static void an_unknown_protocol_is_answered_as_unreachable_rfc1122_3_2_2_1(void **state)
{
    struct fixture *f = *state;
    struct lan *lan = f->lan;

    input_changed(f, 9, 254);
    assert_int_equal(lan->core.counters[COUNTER_ip_protocol_unknown], 1);
    assert_int_equal(lan->sent, 1);
    assert_int_equal(lan->length, 20 + 8 + PACKET_BYTES);
    assert_int_equal(lan->bytes[9], IPPROTO_ICMP);
    assert_int_equal(lan->bytes[20], 3); /* destination unreachable */
    assert_int_equal(lan->bytes[21], 2); /* protocol unreachable */
}

/* The inner packet would be taken, and comes from a host that the gate would not have let in. */
static void ip_in_ip_is_not_opened(void **state)
{
    struct fixture *f = *state;
    struct lan *lan = f->lan;

    lan_input_hex(lan, "45 00 00 30 12 34 00 00 40 04 54 86 0a 07 00 01 0a 07 00 02"
                       "45 00 00 1c 12 34 00 00 40 fd de a7 7f 00 00 01 0a 07 00 02"
                       "01 02 03 04 05 06 07 08");
    assert_int_equal(f->received, 0);
    assert_int_equal(lan->core.counters[COUNTER_ip_protocol_unknown], 1);
    assert_int_equal(lan->sent, 1);
    assert_int_equal(lan->bytes[20], 3);
    assert_int_equal(lan->bytes[21], 2);
    assert_int_equal(load_be32(lan->bytes + 16), LAN_PEER);
}

/* ---- In: offload ----------------------------------------------------------------------------- */

static void input_offload(struct fixture *f, uint8_t protocol, struct strait_offload offload)
{
    uint8_t packet[PACKET_BYTES];
    lan_hex(packet, sizeof(packet), PACKET);
    packet[9] = protocol;
    lan_mend(packet);
    lan_input(f->lan, packet, sizeof(packet), &offload);
}

static void an_offload_that_cannot_be_true_is_dropped(void **state)
{
    static const struct {
        uint8_t protocol;
        struct strait_offload offload;
    } lies[] = {
        {IPPROTO_TCP, {.checksum = 3}},
        {IPPROTO_TCP, {.gso = 3, .gso_size = 8}},
        {IPPROTO_TCP, {.gso = STRAIT_GSO_NONE, .gso_size = 8}},
        {IPPROTO_TCP, {.gso = STRAIT_GSO_TCP4, .gso_size = 0}},
        {IPPROTO_UDP, {.gso = STRAIT_GSO_UDP4, .gso_size = 0}},
        {IPPROTO_UDP, {.gso = STRAIT_GSO_TCP4, .gso_size = 8}},
        {IPPROTO_TCP, {.gso = STRAIT_GSO_UDP4, .gso_size = 8}},
        {PROTOCOL, {.gso = STRAIT_GSO_TCP4, .gso_size = 8}},
        /* the checksum would stand in the IP header, or beyond the end */
        {IPPROTO_TCP, {.checksum = STRAIT_CHECKSUM_PARTIAL, .checksum_start = 19}},
        {IPPROTO_TCP,
         {.checksum = STRAIT_CHECKSUM_PARTIAL, .checksum_start = 20, .checksum_offset = 7}},
        {IPPROTO_TCP, {.checksum = STRAIT_CHECKSUM_PARTIAL, .checksum_start = 65535}},
        {IPPROTO_TCP,
         {.checksum = STRAIT_CHECKSUM_PARTIAL, .checksum_start = 20, .checksum_offset = 65535}},
    };
    size_t count = sizeof(lies) / sizeof(lies[0]);
    for (size_t i = 0; i < count; i++)
        input_offload(*state, lies[i].protocol, lies[i].offload);
    expect_dropped(*state, COUNTER_link_offload_wrong, count);
}

/* What a router would cut into segments of another length than it was told. */
static void a_super_packet_that_lies_about_its_headers_is_dropped(void **state)
{
    struct fixture *f = *state;
    uint8_t packet[20 + 20 + 24] = {0};
    struct strait_offload offload = {.checksum = STRAIT_CHECKSUM_VALID, .gso_size = 8};

    for (unsigned i = 0; i < 2; i++) {
        bool tcp = i == 0;
        uint16_t truth = tcp ? 40 : 28;
        lan_hex(packet, sizeof(packet),
                tcp ? "45 00 00 40 12 34 00 00 40 06 00 00 0a 07 00 01 0a 07 00 02"
                    : "45 00 00 40 12 34 00 00 40 11 00 00 0a 07 00 01 0a 07 00 02");
        lan_mend(packet);
        packet[32] = 5 << 4; /* the data offset */
        offload.gso = tcp ? STRAIT_GSO_TCP4 : STRAIT_GSO_UDP4;
        for (unsigned lie = 0; lie <= UINT16_MAX; lie++) {
            offload.header_bytes = (uint16_t)lie;
            if (lie != truth)
                lan_input(f->lan, packet, sizeof(packet), &offload);
        }
    }
    expect_dropped(f, COUNTER_link_offload_wrong, 2 * UINT16_MAX);
}

/* One that ends before its headers do. */
static void a_super_packet_without_its_headers_is_dropped(void **state)
{
    struct fixture *f = *state;
    uint8_t packet[20 + 59];
    struct strait_offload offload = {.checksum = STRAIT_CHECKSUM_VALID, .gso_size = 8};

    lan_hex(packet, sizeof(packet), PACKET);
    memset(packet + 20, 15 << 4, sizeof(packet) - 20); /* a data offset of 60 bytes */
    for (uint8_t length = 0; length < 60; length++) {
        bool tcp = length >= 8;
        packet[3] = (uint8_t)(20 + length);
        packet[9] = tcp ? IPPROTO_TCP : IPPROTO_UDP;
        lan_mend(packet);
        offload.gso = tcp ? STRAIT_GSO_TCP4 : STRAIT_GSO_UDP4;
        offload.header_bytes = tcp ? 20 + 60 : 20 + 8;
        lan_input(f->lan, packet, 20u + length, &offload);
    }
    expect_dropped(f, COUNTER_link_offload_wrong, 60);
}

/* A checksum is over the whole packet, and a super-packet is whole. */
static void an_offload_of_a_fragment_cannot_be_true(void **state)
{
    static const struct strait_offload lies[] = {
        {.checksum = STRAIT_CHECKSUM_PARTIAL, .checksum_start = 20, .checksum_offset = 6},
        {.gso = STRAIT_GSO_UDP4, .gso_size = 8},
    };
    struct fixture *f = *state;
    uint8_t packet[PACKET_BYTES];

    lan_hex(packet, sizeof(packet), PACKET);
    packet[9] = IPPROTO_UDP;
    for (size_t i = 0; i < 2; i++) {
        packet[6] = i == 0 ? 0x20 : 0; /* more fragments, or the last */
        packet[7] = i == 0 ? 0 : 1;
        lan_mend(packet);
        lan_input(f->lan, packet, sizeof(packet), &lies[i]);
    }
    expect_dropped(f, COUNTER_link_offload_wrong, 2);
}

static void a_checksum_that_the_link_vouches_for_is_right(void **state)
{
    struct fixture *f = *state;
    struct strait_offload valid = {.checksum = STRAIT_CHECKSUM_VALID};
    struct strait_offload partial = {
        .checksum = STRAIT_CHECKSUM_PARTIAL, .checksum_start = 20, .checksum_offset = 6};

    input_offload(f, IPPROTO_UDP, (struct strait_offload){0});
    assert_int_equal(f->received, 1);
    assert_false(f->checksum_right);
    input_offload(f, IPPROTO_UDP, valid);
    assert_int_equal(f->received, 2);
    assert_true(f->checksum_right);
    input_offload(f, IPPROTO_UDP, partial);
    assert_int_equal(f->received, 3);
    assert_true(f->checksum_right);
}

static void a_checksum_covers_the_pseudo_header_and_every_byte_rfc768(void **state)
{
    struct fixture *f = *state;
    uint8_t packet[64];
    size_t length = lan_hex(packet, sizeof(packet), LAN_DATAGRAM_IN); /* an odd length */

    lan_input(f->lan, packet, length, NULL);
    assert_true(f->checksum_right);
    for (size_t at = 20; at < length; at++) {
        packet[at] ^= 0x10;
        lan_input(f->lan, packet, length, NULL);
        assert_false(f->checksum_right);
        packet[at] ^= 0x10;
    }
    store_be32(packet + 12, LAN_PEER + 2); /* the source, of the pseudo-header */
    lan_mend(packet);
    lan_input(f->lan, packet, length, NULL);
    assert_false(f->checksum_right);
    assert_int_equal(f->received, 1 + (length - 20) + 1);
}

/* ---- Out ------------------------------------------------------------------------------------- */

/* A UDP datagram from port 7 to 40000, its payload in the parts. */
static void prepare(struct ip_outgoing *out, const struct iovec *parts, int count)
{
    outgoing_init(out, 8, 6, true);
    for (int i = 0; i < count; i++)
        outgoing_payload(out, parts[i].iov_base, parts[i].iov_len);
    store_be16(outgoing_transport(out), 7);
    store_be16(outgoing_transport(out) + 2, 40000);
    store_be16(outgoing_transport(out) + 4, (uint16_t)(8 + out->payload_bytes));
    store_be16(outgoing_transport(out) + 6, 0);
}

static struct route route_to_peer(struct fixture *f)
{
    struct address peer = address_v4(LAN_PEER);
    struct route route;
    assert_int_equal(ip_route_find(&f->lan->ip, NULL, &peer, &route), 0);
    return route;
}

static int send_parts(struct fixture *f, const struct iovec *parts, int count)
{
    struct ip_outgoing out;
    struct route route = route_to_peer(f);
    prepare(&out, parts, count);
    return ip_output(&f->lan->ip, &route, IPPROTO_UDP, &out);
}

static void a_packet_goes_out_whole_with_df_and_id_0_rfc6864_4(void **state)
{
    struct fixture *f = *state;
    char odd[] = "hel", rest[] = "lo";
    struct iovec parts[] = {{odd, 3}, {NULL, 0}, {rest, 2}};

    assert_int_equal(send_parts(f, parts, 3), 0);
    lan_expect_hex(f->lan, "45 00 00 21 00 00 40 00 40 11 26 bc 0a 07 00 02 0a 07 00 01"
                           "00 07 9c 40 00 0d 0b aa 68 65 6c 6c 6f");
    assert_int_equal(f->lan->offload.checksum, STRAIT_CHECKSUM_COMPLETE);
    assert_int_equal(f->lan->offload.gso, STRAIT_GSO_NONE);
    assert_int_equal(f->lan->offload.header_bytes, 28);
    assert_int_equal(f->lan->core.counters[COUNTER_link_packets_out], 1);
    assert_int_equal(f->lan->core.counters[COUNTER_link_bytes_out], 33);
}

static void the_route_tells_tos_and_ttl(void **state)
{
    struct fixture *f = *state;
    struct ip_outgoing out;
    struct route route = route_to_peer(f);

    route.tos = 0x10;
    route.ttl = 5;
    prepare(&out, NULL, 0);
    assert_int_equal(ip_output(&f->lan->ip, &route, IPPROTO_UDP, &out), 0);
    assert_int_equal(f->lan->bytes[1], 0x10);
    assert_int_equal(f->lan->bytes[8], 5);
    assert_int_equal(lan_sum(f->lan->bytes, 20), 0xffff);
}

static void a_udp_checksum_of_zero_goes_out_as_ffff_rfc768(void **state)
{
    struct fixture *f = *state;
    uint8_t payload[] = {0x4f, 0x82}; /* makes the sum 0xffff, and its complement 0 */
    struct iovec part = {payload, sizeof(payload)};

    assert_int_equal(send_parts(f, &part, 1), 0);
    assert_int_equal(load_be16(f->lan->bytes + 26), 0xffff);
}

static void a_link_that_can_is_left_the_checksum(void **state)
{
    struct fixture *f = *state;
    char hello[] = "hello";
    struct iovec part = {hello, 5};

    assert_int_equal(send_parts(f, &part, 1), 0);
    /* the pseudo-header 0a07 0002 0a07 0001 0011 000d: its sum, not complemented */
    assert_int_equal(load_be16(f->lan->bytes + 26), 0x142f);
    assert_int_equal(f->lan->offload.checksum, STRAIT_CHECKSUM_PARTIAL);
    assert_int_equal(f->lan->offload.checksum_start, 20);
    assert_int_equal(f->lan->offload.checksum_offset, 6);
    assert_int_equal(lan_sum(f->lan->bytes, 20), 0xffff);
}

static void without_a_checksum_field_nothing_is_written(void **state)
{
    struct fixture *f = *state;
    struct ip_outgoing out;
    struct route route = route_to_peer(f);

    outgoing_init(&out, 4, OUTGOING_NO_CHECKSUM, false);
    store_be32(outgoing_transport(&out), 0x01020304);
    assert_int_equal(ip_output(&f->lan->ip, &route, PROTOCOL, &out), 0);
    assert_int_equal(f->lan->length, 24);
    assert_int_equal(load_be32(f->lan->bytes + 20), 0x01020304);
    assert_int_equal(f->lan->offload.checksum, STRAIT_CHECKSUM_COMPLETE);
}

static void a_packet_above_the_mtu_that_may_not_be_fragmented_is_refused(void **state)
{
    struct fixture *f = *state;
    static uint8_t payload[1473];
    struct iovec part = {payload, 1472};

    assert_int_equal(send_parts(f, &part, 1), 0);
    assert_int_equal(f->lan->length, 1500);
    f->lan->sent = 0;
    part.iov_len = 1473;
    assert_int_equal(send_parts(f, &part, 1), -1);
    assert_int_equal(errno, EMSGSIZE);
    lan_expect_nothing(f->lan);
    assert_int_equal(f->lan->core.counters[COUNTER_ip_too_big], 1);
}

static void the_longest_packet_has_65535_bytes_rfc791_3_1(void **state)
{
    struct fixture *f = *state;
    static uint8_t payload[65508];
    struct iovec part = {payload, 65507};

    assert_int_equal(send_parts(f, &part, 1), 0);
    assert_int_equal(f->lan->length, 65535);
    assert_int_equal(load_be16(f->lan->bytes + 2), 65535);
    part.iov_len = 65508;
    assert_int_equal(send_parts(f, &part, 1), -1);
    assert_int_equal(errno, EMSGSIZE);
}

/* A TCP super-packet of `bytes` payload, to be cut every `gso_size`. */
static int send_super(struct fixture *f, size_t bytes, uint16_t gso_size)
{
    static uint8_t payload[65536];
    struct ip_outgoing out;
    struct route route = route_to_peer(f);

    outgoing_init(&out, 20, 16, true);
    memset(outgoing_transport(&out), 0, 20);
    outgoing_payload(&out, payload, bytes);
    out.gso_size = gso_size;
    return ip_output(&f->lan->ip, &route, IPPROTO_TCP, &out);
}

static void a_super_packet_goes_out_in_one_piece(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(send_super(f, 65495, 1460), 0);
    assert_int_equal(f->lan->length, 65535);
    assert_int_equal(load_be16(f->lan->bytes + 2), 65535);
    assert_int_equal(f->lan->offload.gso, STRAIT_GSO_TCP4);
    assert_int_equal(f->lan->offload.gso_size, 1460);
    assert_int_equal(f->lan->offload.header_bytes, 40);
    assert_int_equal(f->lan->offload.checksum, STRAIT_CHECKSUM_PARTIAL);
    assert_int_equal(f->lan->offload.checksum_start, 20);
    assert_int_equal(f->lan->offload.checksum_offset, 16);
    /* 0a07 + 0002 + 0a07 + 0001 + 0006 + ffeb = 1 1402, and the carry */
    assert_int_equal(load_be16(f->lan->bytes + 36), 0x1403);
}

static void a_super_packet_of_one_segment_is_an_ordinary_packet(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(send_super(f, 1460, 1460), 0);
    assert_int_equal(f->lan->offload.gso, STRAIT_GSO_NONE);
    assert_int_equal(f->lan->offload.gso_size, 0);
}

static void no_segment_of_a_super_packet_is_above_the_mtu(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(send_super(f, 4000, 1461), -1);
    assert_int_equal(errno, EMSGSIZE);
    assert_int_equal(send_super(f, 65496, 1460), -1);
    assert_int_equal(errno, EMSGSIZE);
    lan_expect_nothing(f->lan);
}

static void a_link_that_cannot_cut_is_given_no_super_packet(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(send_super(f, 2920, 1460), -1);
    assert_int_equal(errno, EMSGSIZE);
    lan_expect_nothing(f->lan);
}

static void a_failure_of_the_link_is_told_and_counted(void **state)
{
    struct fixture *f = *state;
    f->lan->fail_with = ENOBUFS;
    assert_int_equal(send_parts(f, NULL, 0), -1);
    assert_int_equal(errno, ENOBUFS);
    assert_int_equal(f->lan->core.counters[COUNTER_link_send_failed], 1);
    assert_int_equal(f->lan->core.counters[COUNTER_link_packets_out], 0);
}

#define TEST(name)      cmocka_unit_test_setup_teardown(name, setup, teardown)
#define WITH(how, name) cmocka_unit_test_setup_teardown(name, setup_##how, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_packet_is_parsed_and_handed_up),
        TEST(a_packet_may_be_cut_anywhere),
        TEST(a_header_below_five_words_is_dropped_rfc791_3_1),
        TEST(a_header_longer_than_the_packet_is_dropped),
        TEST(a_total_length_below_the_header_is_dropped),
        TEST(a_total_length_beyond_the_packet_is_dropped),
        TEST(bytes_behind_the_total_length_are_cut_off),
        TEST(a_packet_without_payload_is_handed_up),
        TEST(any_wrong_bit_of_the_header_is_found_by_its_checksum_rfc1122_3_2_1_2),
        TEST(a_source_that_is_no_single_host_is_dropped_rfc1122_3_2_1_3),
        TEST(a_packet_from_this_host_is_forged_and_dropped),
        TEST(a_packet_for_somebody_else_is_dropped_rfc1122_3_2_1_3),
        TEST(a_broadcast_is_handed_up_and_marked),
        TEST(dont_fragment_is_no_fragment),
        TEST(options_are_skipped_rfc1122_3_2_1_8),
        TEST(source_routes_are_refused_without_a_word_rfc7126_4),
        TEST(options_that_lie_about_their_length_are_a_parameter_problem_rfc1122_3_2_2_5),
        TEST(options_of_what_is_not_for_this_host_are_not_judged),
        TEST(an_unknown_protocol_is_answered_as_unreachable_rfc1122_3_2_2_1),
        TEST(ip_in_ip_is_not_opened),
        TEST(an_offload_that_cannot_be_true_is_dropped),
        TEST(a_super_packet_that_lies_about_its_headers_is_dropped),
        TEST(a_super_packet_without_its_headers_is_dropped),
        TEST(an_offload_of_a_fragment_cannot_be_true),
        TEST(a_checksum_that_the_link_vouches_for_is_right),
        TEST(a_checksum_covers_the_pseudo_header_and_every_byte_rfc768),
        TEST(a_packet_goes_out_whole_with_df_and_id_0_rfc6864_4),
        TEST(the_route_tells_tos_and_ttl),
        TEST(a_udp_checksum_of_zero_goes_out_as_ffff_rfc768),
        WITH(offload, a_link_that_can_is_left_the_checksum),
        TEST(without_a_checksum_field_nothing_is_written),
        TEST(a_packet_above_the_mtu_that_may_not_be_fragmented_is_refused),
        WITH(jumbo, the_longest_packet_has_65535_bytes_rfc791_3_1),
        WITH(offload, a_super_packet_goes_out_in_one_piece),
        WITH(offload, a_super_packet_of_one_segment_is_an_ordinary_packet),
        WITH(offload, no_segment_of_a_super_packet_is_above_the_mtu),
        TEST(a_link_that_cannot_cut_is_given_no_super_packet),
        TEST(a_failure_of_the_link_is_told_and_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
