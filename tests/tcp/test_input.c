/* SPDX-License-Identifier: MIT */
/*
 * What comes in beside well-formed TCP: ICMP (RFC 792), lying IPv4 headers (RFC 791, RFC 1122 3.2),
 * lying TCP headers, UDP (RFC 768, RFC 1122 4.1). Whatever is dropped is counted.
 */
#include <poll.h>
#include <string.h>

#include "base/bytes.h"
#include "fixtures.h"

/* ---- ICMP echo ------------------------------------------------------------------------------ */

static void an_echo_request_is_answered_rfc1122_3_2_2_6(void **state)
{
    struct script *s = *state;
    recv(s, "icmp 8/0 (56) id 77 seq 1");
    const struct packet *p = expect(s, "icmp 0/0 (56) id 77 seq 1");
    assert_int_equal(stream_check(STREAM_REMOTE, 0, p->payload, 56), 56);
    assert_int_equal(counter(s, "icmp_echo_answered"), 1);
}

static void echo_of_every_size_up_to_the_mtu_is_answered_rfc1122_3_2_2_6(void **state)
{
    struct script *s = *state;
    for (unsigned size = 0; size <= 1472; size++) {
        recv(s, "icmp 8/0 (%u) id 1 seq %u", size, size);
        const struct packet *p = expect(s, "icmp 0/0 (%u) id 1 seq %u", size, size);
        assert_int_equal(stream_check(STREAM_REMOTE, 0, p->payload, size), size);
    }
}

static void an_echo_reply_and_unknown_types_are_ignored_rfc1122_3_2_2(void **state)
{
    struct script *s = *state;
    recv(s, "icmp 0/0 (56) id 77 seq 1");
    recv(s, "icmp 99/0 (56) id 77 seq 1");
    recv(s, "icmp 13/0 (12) id 77 seq 1");
    expect_nothing(s);
    assert_true(counter(s, "icmp_type_ignored") >= 2);
}

static void a_wrong_icmp_checksum_is_dropped(void **state)
{
    struct script *s = *state;
    static uint8_t bytes[PACKET_BYTES_MAX];
    size_t length = build(s, bytes, "icmp 8/0 (57) id 77 seq 1");
    bytes[length - 1] ^= 1;
    recv_raw(s, bytes, length);
    expect_nothing(s);
    assert_int_equal(counter(s, "icmp_checksum_wrong"), 1);
}

static void icmp_that_is_cut_off_is_dropped(void **state)
{
    struct script *s = *state;
    static uint8_t bytes[PACKET_BYTES_MAX];
    build(s, bytes, "icmp 8/0 (0) id 77 seq 1");
    for (size_t length = 20; length < 28; length++) {
        store_be16(bytes + 2, (uint16_t)length);
        packet_fix_checksums(bytes, length);
        recv_raw(s, bytes, length);
        expect_nothing(s);
    }
    assert_int_equal(counter(s, "icmp_short") + counter(s, "icmp_checksum_wrong"), 8);
}

/* ---- IPv4 headers --------------------------------------------------------------------------- */

/* What a change of a ping's header leads to: one counter goes up, and nothing is sent. */
static const struct {
    const char *what;
    size_t at;
    uint8_t byte;
    bool fixed; /* the checksums are right again */
    const char *counter;
} header_faults[] = {
    {"version 6", 0, 0x65, true, "ip_version_unknown"},
    {"version 0", 0, 0x05, true, "ip_version_unknown"},
    {"IHL 4", 0, 0x44, true, "ip_header_length_wrong"},
    {"IHL 0", 0, 0x40, true, "ip_header_length_wrong"},
    {"a total length of 19", 3, 19, true, "ip_total_length_wrong"},
    {"a total length above the packet", 2, 1, true, "ip_total_length_wrong"},
    {"a wrong header checksum", 10, 0xee, false, "ip_checksum_wrong"},
    {"another host's", 19, 9, true, "ip_not_for_us"},
    {"from nowhere", 12, 0, true, "ip_source_refused"},
    {"from loopback", 12, 127, true, "ip_source_refused"},
    {"from a multicast group", 12, 224, true, "ip_source_refused"},
    {"from the broadcast address", 15, 255, true, "ip_source_refused"},
    {"from ourselves", 15, 1, true, "ip_source_refused"},
};

static void a_lying_ip_header_is_dropped_and_counted_rfc1122_3_2_1(void **state)
{
    struct script *s = *state;
    static uint8_t bytes[PACKET_BYTES_MAX];
    for (size_t i = 0; i < sizeof header_faults / sizeof header_faults[0]; i++) {
        size_t length = build(s, bytes, "icmp 8/0 (56) id 77 seq 1");
        bytes[header_faults[i].at] = header_faults[i].byte;
        if (header_faults[i].fixed)
            packet_fix_checksums(bytes, length);
        uint64_t before = counter(s, header_faults[i].counter);
        recv_raw(s, bytes, length);
        if (counter(s, header_faults[i].counter) != before + 1)
            fail_msg("%s: %s is not counted", header_faults[i].what, header_faults[i].counter);
        expect_nothing(s);
    }
}

static void an_ihl_beyond_the_packet_is_dropped(void **state)
{
    struct script *s = *state;
    static uint8_t bytes[PACKET_BYTES_MAX];
    build(s, bytes, "icmp 8/0 (0) id 77 seq 1");
    bytes[0] = 0x4f; /* 60 bytes of header in a packet of 28 */
    recv_raw(s, bytes, 28);
    expect_nothing(s);
    assert_int_equal(counter(s, "ip_header_length_wrong"), 1);
}

static void a_packet_shorter_than_a_header_is_dropped(void **state)
{
    struct script *s = *state;
    static uint8_t bytes[PACKET_BYTES_MAX];
    build(s, bytes, "icmp 8/0 (0) id 77 seq 1");
    for (size_t length = 1; length < 20; length++)
        recv_raw(s, bytes, length);
    recv_raw(s, bytes, 0);
    expect_nothing(s);
    assert_int_equal(counter(s, "ip_header_short") + counter(s, "ip_version_unknown"), 20);
}

static void what_stands_behind_the_total_length_is_not_of_the_packet(void **state)
{
    struct script *s = *state;
    static uint8_t bytes[PACKET_BYTES_MAX];
    size_t length = build(s, bytes, "icmp 8/0 (10) id 77 seq 1");
    memset(bytes + length, 0xee, 8); /* as the padding of an Ethernet frame */
    recv_raw(s, bytes, length + 8);
    expect(s, "icmp 0/0 (10) id 77 seq 1");
    established(s);
    length = build(s, bytes, "P. 1:11(10) ack 1");
    recv_raw(s, bytes, length + 8);
    app_recv(s, 10);
    expect_after(s, 40, ". 1:1(0) ack 11");
}

static void any_ttl_will_do_at_the_destination_rfc1122_3_2_1_7(void **state)
{
    struct script *s = *state;
    static uint8_t bytes[PACKET_BYTES_MAX];
    static const uint8_t ttls[] = {0, 1, 255};
    for (size_t i = 0; i < sizeof ttls; i++) {
        size_t length = build(s, bytes, "icmp 8/0 (10) id 77 seq 1");
        bytes[8] = ttls[i];
        packet_fix_checksums(bytes, length);
        recv_raw(s, bytes, length);
        const struct packet *p = expect(s, "icmp 0/0 (10) id 77 seq 1");
        assert_int_equal(p->ttl, 64);
    }
}

/* Puts 12 bytes of options behind the IP header of a packet and makes all of it right. */
static size_t with_ip_options(uint8_t *bytes, size_t length, const uint8_t options[12])
{
    memmove(bytes + 32, bytes + 20, length - 20);
    memcpy(bytes + 20, options, 12);
    bytes[0] = 0x48;
    store_be16(bytes + 2, (uint16_t)(length + 12));
    packet_fix_checksums(bytes, length + 12);
    return length + 12;
}

static void ip_options_are_skipped_rfc1122_3_2_1_8(void **state)
{
    static const uint8_t options[12] = {1, 7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0};
    struct script *s = *state;
    static uint8_t bytes[PACKET_BYTES_MAX];
    size_t length = build(s, bytes, "icmp 8/0 (56) id 77 seq 1");
    recv_raw(s, bytes, with_ip_options(bytes, length, options));
    expect(s, "icmp 0/0 (56) id 77 seq 1");
    established(s);
    length = build(s, bytes, "P. 1:11(10) ack 1");
    recv_raw(s, bytes, with_ip_options(bytes, length, options));
    app_recv(s, 10);
    expect_after(s, 40, ". 1:1(0) ack 11");
}

static void source_routes_are_dropped_rfc7126_4_3_4_4(void **state)
{
    static const uint8_t options[][12] = {{131, 7, 4, 10, 0, 0, 9, 0}, {137, 7, 4, 10, 0, 0, 9, 0}};
    struct script *s = *state;
    static uint8_t bytes[PACKET_BYTES_MAX];
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        size_t length = build(s, bytes, "icmp 8/0 (56) id 77 seq 1");
        recv_raw(s, bytes, with_ip_options(bytes, length, options[i]));
        expect_nothing(s);
    }
    assert_int_equal(counter(s, "ip_source_routed"), 2);
}

static void broken_ip_options_are_a_parameter_problem_rfc1122_3_2_2_5(void **state)
{
    static const struct {
        uint8_t options[12];
        uint8_t pointer;
    } cases[] = {
        {{7, 0}, 20},
        {{7, 1}, 20},
        {{7, 13}, 20},
        {{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 7}, 31},
    };
    struct script *s = *state;
    static uint8_t bytes[PACKET_BYTES_MAX];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t length = build(s, bytes, "icmp 8/0 (56) id 77 seq 1");
        length = with_ip_options(bytes, length, cases[i].options);
        recv_raw(s, bytes, length);
        const struct packet *p = expect(s, "icmp 12/0 (96)");
        assert_memory_equal(p->payload, bytes, length);
        assert_int_equal(p->payload[-4], cases[i].pointer);
        assert_int_equal(counter(s, "ip_options_wrong"), i + 1);
    }
}

static void an_unknown_protocol_is_unreachable_rfc1122_3_2_2_1(void **state)
{
    struct script *s = *state;
    static uint8_t bytes[PACKET_BYTES_MAX];
    size_t length = build(s, bytes, "udp (20)");
    bytes[9] = 253;
    packet_fix_checksums(bytes, length);
    recv_raw(s, bytes, length);
    const struct packet *p = expect(s, "icmp 3/2 (48)");
    assert_memory_equal(p->payload, bytes, 48);
    assert_int_equal(counter(s, "ip_protocol_unknown"), 1);
}

/* ---- TCP headers ---------------------------------------------------------------------------- */

static void a_wrong_tcp_checksum_is_dropped_and_counted_rfc9293_3_1(void **state)
{
    struct script *s = *state;
    static uint8_t bytes[PACKET_BYTES_MAX];
    established(s);
    for (size_t at = 20; at < 50; at++) { /* each byte of the segment is covered */
        size_t length = build(s, bytes, "P. 1:11(10) ack 1");
        bytes[at] ^= 0x10;
        uint64_t before = counter(s, "tcp_checksum_wrong") + counter(s, "tcp_header_wrong");
        recv_raw(s, bytes, length);
        expect_nothing(s);
        assert_int_equal(counter(s, "tcp_checksum_wrong") + counter(s, "tcp_header_wrong"),
                         before + 1);
    }
    app_recv_fails(s, EAGAIN);
    recv(s, "P. 1:11(10) ack 1");
    app_recv(s, 10);
    expect_after(s, 40, ". 1:1(0) ack 11");
}

static void a_lying_data_offset_is_dropped_and_counted_rfc9293_3_1(void **state)
{
    struct script *s = *state;
    static uint8_t bytes[PACKET_BYTES_MAX];
    established(s);
    for (unsigned words = 0; words < 16; words++) {
        if (words >= 5 && words <= 7) /* up to the end of the segment's 30 bytes */
            continue;
        size_t length = build(s, bytes, "P. 1:11(10) ack 1");
        bytes[32] = (uint8_t)(words << 4);
        packet_fix_checksums(bytes, length);
        uint64_t before = counter(s, "tcp_header_wrong");
        recv_raw(s, bytes, length);
        expect_nothing(s);
        assert_int_equal(counter(s, "tcp_header_wrong"), before + 1);
    }
    app_recv_fails(s, EAGAIN);
}

static void a_tcp_header_that_is_cut_off_is_dropped(void **state)
{
    struct script *s = *state;
    static uint8_t bytes[PACKET_BYTES_MAX];
    app_listen(s, 8);
    build(s, bytes, "S 0:0(0) <>");
    for (size_t length = 20; length < 40; length++) {
        store_be16(bytes + 2, (uint16_t)length);
        packet_fix_checksums(bytes, length);
        recv_raw(s, bytes, length);
        expect_nothing(s);
    }
    assert_int_equal(counter(s, "tcp_header_wrong"), 20);
}

static void tcp_ports_of_zero_are_refused(void **state)
{
    struct script *s = *state;
    static uint8_t bytes[PACKET_BYTES_MAX];
    app_listen(s, 8);
    for (size_t at = 20; at < 24; at += 2) {
        size_t length = build(s, bytes, "S 0:0(0) <>");
        store_be16(bytes + at, 0);
        packet_fix_checksums(bytes, length);
        recv_raw(s, bytes, length);
        expect_nothing(s);
    }
    assert_int_equal(counter(s, "tcp_header_wrong"), 2);
}

static void a_syn_to_a_broadcast_address_is_dropped_rfc9293_3_9_2_3(void **state)
{
    struct script *s = *state;
    static uint8_t bytes[PACKET_BYTES_MAX];
    app_listen(s, 8);
    size_t length = build(s, bytes, "S 0:0(0) <>");
    bytes[19] = 255;
    packet_fix_checksums(bytes, length);
    recv_raw(s, bytes, length);
    expect_nothing(s);
    assert_int_equal(counter(s, "tcp_address_refused"), 1);
}

static void a_verified_checksum_is_not_verified_again(void **state)
{
    struct script *s = *state;
    established(s);
    recv_super(s, 1460, "P. 1:11(10) ack 1"); /* partial: the field holds the pseudo-header's sum */
    app_recv(s, 10);
    expect_between(s, 0, 40, ". 1:1(0) ack 11");
}

/* ---- UDP ------------------------------------------------------------------------------------ */

static void a_datagram_is_delivered_whole_rfc768(void **state)
{
    struct script *s = *state;
    app_bind_udp(s, 7);
    recv(s, "udp (100)");
    recv(s, "udp (0)");
    recv(s, "udp 9 > 7 (1472)");
    app_events(s, POLLIN | POLLOUT);
    app_recv(s, 100);
    app_recv(s, 0);
    app_recv(s, 1472);
    app_recv_fails(s, EAGAIN);
}

static void a_datagram_is_sent_rfc768(void **state)
{
    struct script *s = *state;
    app_bind_udp(s, 7);
    app_connect_udp(s);
    app_send(s, 100);
    expect(s, "udp 7 > 40000 (100)");
    app_send(s, 0);
    expect(s, "udp 7 > 40000 (0)");
    app_send(s, 1472);
    expect(s, "udp 7 > 40000 (1472)");
    step_begins(s, "send too much");
    static uint8_t data[65508];
    assert_int_equal(strait_send(s->stack, s->flow->fd, data, sizeof data, 0), -1);
    assert_int_equal(errno, EMSGSIZE);
    step_ends(s);
}

static void a_connected_socket_hears_its_peer_only(void **state)
{
    struct script *s = *state;
    app_bind_udp(s, 7);
    app_connect_udp(s);
    recv(s, "udp 9 > 7 (10)");
    expect(s, "icmp 3/3");
    app_recv_fails(s, EAGAIN);
    recv(s, "udp (20)");
    app_recv(s, 20);
}

static void a_wrong_udp_checksum_is_dropped_and_counted_rfc1122_4_1_3_4(void **state)
{
    struct script *s = *state;
    static uint8_t bytes[PACKET_BYTES_MAX];
    app_bind_udp(s, 7);
    size_t length = build(s, bytes, "udp (101)");
    bytes[length - 1] ^= 1;
    recv_raw(s, bytes, length);
    app_recv_fails(s, EAGAIN);
    assert_int_equal(counter(s, "udp_checksum_wrong"), 1);
}

static void no_udp_checksum_is_accepted_rfc1122_4_1_3_4(void **state)
{
    struct script *s = *state;
    static uint8_t bytes[PACKET_BYTES_MAX];
    app_bind_udp(s, 7);
    size_t length = build(s, bytes, "udp (101)");
    store_be16(bytes + 26, 0);
    recv_raw(s, bytes, length);
    app_recv(s, 101);
}

static void a_lying_udp_length_is_dropped_and_counted_rfc768(void **state)
{
    static const uint16_t lengths[] = {0, 7, 109, 65535};
    struct script *s = *state;
    static uint8_t bytes[PACKET_BYTES_MAX];
    app_bind_udp(s, 7);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        size_t length = build(s, bytes, "udp (100)");
        store_be16(bytes + 24, lengths[i]);
        packet_fix_checksums(bytes, length);
        recv_raw(s, bytes, length);
    }
    assert_int_equal(counter(s, "udp_length_wrong"), 4);
    size_t length = build(s, bytes, "udp (0)");
    store_be16(bytes + 2, (uint16_t)(length - 1)); /* seven bytes of UDP header */
    packet_fix_checksums(bytes, length - 1);
    recv_raw(s, bytes, length - 1);
    assert_int_equal(counter(s, "udp_length_wrong"), 5);
    app_recv_fails(s, EAGAIN);
}

static void a_udp_length_below_that_of_ip_cuts_the_datagram_rfc768(void **state)
{
    struct script *s = *state;
    static uint8_t bytes[PACKET_BYTES_MAX];
    app_bind_udp(s, 7);
    size_t length = build(s, bytes, "udp (60)");
    uint16_t checksum = load_be16(bytes + 26);
    memset(bytes + length, 0xee, 40); /* of the IP packet, but not of the datagram */
    store_be16(bytes + 2, (uint16_t)(length + 40));
    packet_fix_checksums(bytes, length + 40);
    store_be16(bytes + 26, checksum);
    recv_raw(s, bytes, length + 40);
    app_recv(s, 60);
}

static void a_closed_port_is_unreachable_rfc1122_4_1_3_1(void **state)
{
    struct script *s = *state;
    static uint8_t bytes[PACKET_BYTES_MAX];
    size_t length = build(s, bytes, "udp 9 > 7777 (100)");
    recv_raw(s, bytes, length);
    const struct packet *p = expect(s, "icmp 3/3 (128)"); /* RFC 1812 4.3.2.3: as much as fits */
    assert_memory_equal(p->payload, bytes, 128);
    assert_int_equal(load_be16(p->payload - 4), 0); /* unused: zero */
    recv(s, "udp 9 > 7777 (1000)");
    expect(s, "icmp 3/3 (548)"); /* 576 bytes in all */
    assert_int_equal(counter(s, "udp_no_socket"), 2);
}

static void unreachables_are_rate_limited_rfc1812_4_3_2_8(void **state)
{
    struct script *s = *state;
    begin_batch(s);
    for (unsigned i = 0; i < 1000; i++)
        recv(s, "udp 9 > 7777 (10)");
    end_batch(s);
    unsigned sent = 0;
    while (s->first) {
        expect(s, "icmp 3/3");
        sent++;
    }
    assert_in_range(sent, 1, 100);
    assert_int_equal(counter(s, "icmp_errors_out"), sent);
    assert_int_equal(counter(s, "icmp_errors_limited"), 1000 - sent);
    after(s, 2000);
    recv(s, "udp 9 > 7777 (10)");
    expect(s, "icmp 3/3");
}

static void nothing_is_unreachable_for_broadcasts_rfc1122_3_2_2(void **state)
{
    struct script *s = *state;
    static uint8_t bytes[PACKET_BYTES_MAX];
    size_t length = build(s, bytes, "udp 9 > 7777 (100)");
    bytes[19] = 255;
    packet_fix_checksums(bytes, length);
    recv_raw(s, bytes, length);
    expect_nothing(s);
}

static void an_icmp_error_is_never_answered_rfc1122_3_2_2(void **state)
{
    struct script *s = *state;
    recv(s, "udp 9 > 7777 (100)");
    const struct packet *p = expect(s, "icmp 3/3");
    recv_icmp_error(s, 3, 3, p);
    recv_icmp_error(s, 11, 0, p);
    expect_nothing(s);
}

static void port_unreachable_refuses_a_connected_socket_rfc1122_4_1_3_3(void **state)
{
    struct script *s = *state;
    app_bind_udp(s, 7);
    app_connect_udp(s);
    app_send(s, 10);
    const struct packet *sent = expect(s, "udp (10)");
    recv_icmp_error(s, 3, 3, sent);
    app_events(s, POLLOUT | POLLERR);
    app_recv_fails(s, ECONNREFUSED);
    app_recv_fails(s, EAGAIN);
    app_send(s, 10);
    sent = expect(s, "udp (10)");
    recv_icmp_error(s, 3, 3, sent);
    app_send_fails(s, ECONNREFUSED);
    app_send(s, 10);
    expect(s, "udp (10)");
}

static void an_icmp_error_about_another_packet_is_ignored_rfc5927_4(void **state)
{
    struct script *s = *state;
    app_bind_udp(s, 7);
    app_connect_udp(s);
    app_send(s, 10);
    const struct packet *sent = expect(s, "udp (10)");
    size_t quoted = 0;
    uint8_t forged[28 + 28] = {0};
    struct packet error = {.protocol = IPPROTO_ICMP, .ttl = 64, .type = 3, .code = 3};
    error.source = REMOTE_ADDRESS;
    error.destination = LOCAL_ADDRESS;
    error.payload_bytes = 28;
    for (size_t at = 9; at < 24; at++) { /* protocol, addresses, ports; not the checksum */
        if (at == 10 || at == 11)
            continue;
        uint8_t quote[28];
        memcpy(quote, script_bytes(s, sent, &quoted), sizeof quote);
        quote[at] ^= 4;
        error.payload = quote;
        recv_raw(s, forged, packet_build(&error, forged, sizeof forged));
    }
    app_recv_fails(s, EAGAIN);
    app_error(s, 0);
}

static void a_cut_off_quote_is_ignored(void **state)
{
    struct script *s = *state;
    app_bind_udp(s, 7);
    app_connect_udp(s);
    app_send(s, 10);
    const struct packet *sent = expect(s, "udp (10)");
    struct packet error = {.protocol = IPPROTO_ICMP, .ttl = 64, .type = 3, .code = 3};
    error.source = REMOTE_ADDRESS;
    error.destination = LOCAL_ADDRESS;
    error.payload = script_bytes(s, sent, &error.payload_bytes);
    uint8_t bytes[128];
    for (error.payload_bytes = 0; error.payload_bytes < 28; error.payload_bytes++)
        recv_raw(s, bytes, packet_build(&error, bytes, sizeof bytes));
    app_error(s, 0);
    assert_int_equal(counter(s, "icmp_quote_wrong"), 28);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_echo_request_is_answered_rfc1122_3_2_2_6),
        TEST(echo_of_every_size_up_to_the_mtu_is_answered_rfc1122_3_2_2_6),
        TEST(an_echo_reply_and_unknown_types_are_ignored_rfc1122_3_2_2),
        TEST(a_wrong_icmp_checksum_is_dropped),
        TEST(icmp_that_is_cut_off_is_dropped),
        TEST(a_lying_ip_header_is_dropped_and_counted_rfc1122_3_2_1),
        TEST(an_ihl_beyond_the_packet_is_dropped),
        TEST(a_packet_shorter_than_a_header_is_dropped),
        TEST(what_stands_behind_the_total_length_is_not_of_the_packet),
        TEST(any_ttl_will_do_at_the_destination_rfc1122_3_2_1_7),
        TEST(ip_options_are_skipped_rfc1122_3_2_1_8),
        TEST(source_routes_are_dropped_rfc7126_4_3_4_4),
        TEST(broken_ip_options_are_a_parameter_problem_rfc1122_3_2_2_5),
        TEST(an_unknown_protocol_is_unreachable_rfc1122_3_2_2_1),
        TEST(a_wrong_tcp_checksum_is_dropped_and_counted_rfc9293_3_1),
        TEST(a_lying_data_offset_is_dropped_and_counted_rfc9293_3_1),
        TEST(a_tcp_header_that_is_cut_off_is_dropped),
        TEST(tcp_ports_of_zero_are_refused),
        TEST(a_syn_to_a_broadcast_address_is_dropped_rfc9293_3_9_2_3),
        TEST(a_verified_checksum_is_not_verified_again),
        TEST(a_datagram_is_delivered_whole_rfc768),
        TEST(a_datagram_is_sent_rfc768),
        TEST(a_connected_socket_hears_its_peer_only),
        TEST(a_wrong_udp_checksum_is_dropped_and_counted_rfc1122_4_1_3_4),
        TEST(no_udp_checksum_is_accepted_rfc1122_4_1_3_4),
        TEST(a_lying_udp_length_is_dropped_and_counted_rfc768),
        TEST(a_udp_length_below_that_of_ip_cuts_the_datagram_rfc768),
        TEST(a_closed_port_is_unreachable_rfc1122_4_1_3_1),
        TEST(unreachables_are_rate_limited_rfc1812_4_3_2_8),
        TEST(nothing_is_unreachable_for_broadcasts_rfc1122_3_2_2),
        TEST(an_icmp_error_is_never_answered_rfc1122_3_2_2),
        TEST(port_unreachable_refuses_a_connected_socket_rfc1122_4_1_3_3),
        TEST(an_icmp_error_about_another_packet_is_ignored_rfc5927_4),
        TEST(a_cut_off_quote_is_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
