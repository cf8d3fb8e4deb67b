/* SPDX-License-Identifier: MIT */
/* Datagrams that arrive: which are received, by whom, and how many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <string.h>

#include "base/bytes.h"
#include "udp_lan.h"

/* ---- In -------------------------------------------------------------------------------------- */

static void a_datagram_is_received_with_its_sender(void **state)
{
    struct udp_lan *f = *state;
    char bytes[64];
    struct iovec part = {bytes, sizeof(bytes)};
    struct udp_arrival arrival;

    udp_lan_bind(f, 7);
    assert_int_equal(udp_events(&f->endpoint), POLLOUT);
    lan_input_hex(f->lan, LAN_DATAGRAM_IN);
    assert_int_equal(f->woken, 1);
    assert_int_equal(udp_events(&f->endpoint), POLLIN | POLLOUT);
    assert_int_equal(udp_receive(&f->udp, &f->endpoint, &part, 1, false, &arrival), 5);
    assert_memory_equal(bytes, "hello", 5);
    assert_true(address_equal(&arrival.source, &f->peer));
    assert_true(address_equal(&arrival.destination, &f->host));
    assert_int_equal(arrival.source_port, PEER_PORT);
    assert_int_equal(arrival.ttl, 64);
    assert_int_equal(arrival.tos, 0);
    assert_int_equal(arrival.interface, 2);
    assert_int_equal(udp_lan_counter(f, COUNTER_udp_datagrams_in), 1);
    assert_int_equal(udp_events(&f->endpoint), POLLOUT);
    udp_lan_expect_empty(f);
    lan_expect_nothing(f->lan);
}

static void a_peek_leaves_the_datagram(void **state)
{
    struct udp_lan *f = *state;
    char bytes[64] = {0};
    struct iovec part = {bytes, sizeof(bytes)};

    udp_lan_bind(f, 7);
    lan_input_hex(f->lan, LAN_DATAGRAM_IN);
    assert_int_equal(udp_receive(&f->udp, &f->endpoint, &part, 1, true, NULL), 5);
    assert_string_equal(bytes, "hello");
    assert_int_equal(udp_lan_receive(f, bytes), 5);
    udp_lan_expect_empty(f);
}

static void a_datagram_is_spread_over_parts_and_cut_at_their_end(void **state)
{
    struct udp_lan *f = *state;
    char first[2], second[2];
    struct iovec parts[] = {{first, 2}, {NULL, 0}, {second, 2}};

    udp_lan_bind(f, 7);
    lan_input_hex(f->lan, LAN_DATAGRAM_IN);
    assert_int_equal(udp_receive(&f->udp, &f->endpoint, parts, 3, false, NULL), 5);
    assert_memory_equal(first, "he", 2);
    assert_memory_equal(second, "ll", 2);
    udp_lan_expect_empty(f);
}

static void an_empty_datagram_is_received(void **state)
{
    struct udp_lan *f = *state;
    char bytes[64];

    udp_lan_bind(f, 7);
    udp_lan_input(f, LAN_PEER, PEER_PORT, 7, 0);
    assert_int_equal(udp_lan_receive(f, bytes), 0);
    udp_lan_expect_empty(f);
}

static void datagrams_are_received_in_order(void **state)
{
    struct udp_lan *f = *state;
    char bytes[64];

    udp_lan_bind(f, 7);
    for (size_t length = 1; length < 10; length++)
        udp_lan_input(f, LAN_PEER, PEER_PORT, 7, length);
    for (ssize_t length = 1; length < 10; length++)
        assert_int_equal(udp_lan_receive(f, bytes), length);
    udp_lan_expect_empty(f);
}

static void a_wrong_checksum_is_dropped_rfc1122_4_1_3_4(void **state)
{
    struct udp_lan *f = *state;
    uint8_t packet[64];
    size_t length = lan_hex(packet, sizeof(packet), LAN_DATAGRAM_IN);

    udp_lan_bind(f, 7);
    packet[length - 1] ^= 1;
    lan_input(f->lan, packet, length, NULL);
    udp_lan_expect_empty(f);
    assert_int_equal(udp_lan_counter(f, COUNTER_udp_checksum_wrong), 1);
    lan_expect_nothing(f->lan);
}

static void a_datagram_without_checksum_is_received_rfc768(void **state)
{
    struct udp_lan *f = *state;
    uint8_t packet[64];
    char bytes[64];
    size_t length = lan_hex(packet, sizeof(packet), LAN_DATAGRAM_IN);

    udp_lan_bind(f, 7);
    store_be16(packet + 26, 0);
    lan_input(f->lan, packet, length, NULL);
    assert_int_equal(udp_lan_receive(f, bytes), 5);
    assert_memory_equal(bytes, "hello", 5);
}

static void a_length_that_lies_is_dropped(void **state)
{
    struct udp_lan *f = *state;
    uint8_t packet[64];
    size_t length = lan_hex(packet, sizeof(packet), LAN_DATAGRAM_IN);

    udp_lan_bind(f, 7);
    store_be16(packet + 26, 0);
    for (uint8_t lie = 0; lie < 8; lie++) {
        packet[25] = lie;
        lan_input(f->lan, packet, length, NULL);
    }
    packet[25] = 14; /* of 13 */
    lan_input(f->lan, packet, length, NULL);
    packet[24] = 0xff;
    lan_input(f->lan, packet, length, NULL);
    udp_lan_expect_empty(f);
    assert_int_equal(udp_lan_counter(f, COUNTER_udp_length_wrong), 10);
    lan_expect_nothing(f->lan);
}

static void a_header_cut_short_is_dropped(void **state)
{
    struct udp_lan *f = *state;
    uint8_t packet[64];
    lan_hex(packet, sizeof(packet), LAN_DATAGRAM_IN);

    udp_lan_bind(f, 7);
    for (uint8_t length = 20; length < 28; length++) {
        packet[3] = length;
        lan_mend(packet);
        lan_input(f->lan, packet, length, NULL);
    }
    udp_lan_expect_empty(f);
    assert_int_equal(udp_lan_counter(f, COUNTER_udp_length_wrong), 8);
}

/* RFC 768: the length counts header and data; what IP carries beyond is not the datagram's. */
static void bytes_beyond_the_length_are_no_data_and_not_summed(void **state)
{
    struct udp_lan *f = *state;
    char bytes[64];

    udp_lan_bind(f, 7);
    /* total length 37, header checksum less by 4; the UDP datagram as it was */
    lan_input_hex(f->lan, "45 00 00 25 12 34 00 00 40 11 54 84 0a 07 00 01 0a 07 00 02"
                          "9c 40 00 07 00 0d 0b aa 68 65 6c 6c 6f de ad be ef");
    assert_int_equal(udp_lan_receive(f, bytes), 5);
    assert_memory_equal(bytes, "hello", 5);
}

static void nothing_is_sent_to_port_0(void **state)
{
    struct udp_lan *f = *state;
    udp_lan_input(f, LAN_PEER, PEER_PORT, 0, 5);
    assert_int_equal(udp_lan_counter(f, COUNTER_udp_port_zero), 1);
    lan_expect_nothing(f->lan);
}

static void a_sender_that_wants_no_answer_has_port_0_rfc768(void **state)
{
    struct udp_lan *f = *state;
    char bytes[64];
    struct iovec part = {bytes, sizeof(bytes)};
    struct udp_arrival arrival = {.source_port = 1};

    udp_lan_bind(f, 7);
    udp_lan_input(f, LAN_PEER, 0, 7, 5);
    assert_int_equal(udp_receive(&f->udp, &f->endpoint, &part, 1, false, &arrival), 5);
    assert_int_equal(arrival.source_port, 0);
}

static void a_port_that_nobody_has_is_unreachable_rfc1122_4_1_3_1(void **state)
{
    struct udp_lan *f = *state;

    lan_input_hex(f->lan, LAN_DATAGRAM_IN);
    lan_expect_hex(f->lan, "45 00 00 3d 00 00 40 00 40 01 26 b0 0a 07 00 02 0a 07 00 01"
                           "03 03 11 2c 00 00 00 00" LAN_DATAGRAM_IN);
    assert_int_equal(udp_lan_counter(f, COUNTER_udp_no_socket), 1);
}

static void a_broadcast_that_nobody_receives_is_not_answered(void **state)
{
    struct udp_lan *f = *state;
    uint8_t packet[64];
    size_t length = udp_lan_write(packet, LAN_PEER, PEER_PORT, 7, 5);

    store_be32(packet + 16, INADDR_BROADCAST);
    lan_mend(packet);
    lan_input(f->lan, packet, length, NULL);
    assert_int_equal(udp_lan_counter(f, COUNTER_udp_no_socket), 1);
    lan_expect_nothing(f->lan);
}

static void a_broadcast_reaches_an_endpoint_without_address_only(void **state)
{
    struct udp_lan *f = *state;
    uint8_t packet[64];
    char bytes[64];
    size_t length = udp_lan_write(packet, LAN_PEER, PEER_PORT, 7, 5);
    store_be32(packet + 16, 0x0a0700ff);
    lan_mend(packet);

    assert_int_equal(udp_bind(&f->udp, &f->endpoint, &f->host, 7), 0);
    lan_input(f->lan, packet, length, NULL);
    udp_lan_expect_empty(f);
    ports_release(&f->endpoint.binding);
    udp_lan_bind(f, 7);
    lan_input(f->lan, packet, length, NULL);
    assert_int_equal(udp_lan_receive(f, bytes), 5);
}

static void a_connected_endpoint_hears_its_peer_alone(void **state)
{
    struct udp_lan *f = *state;
    char bytes[64];

    udp_lan_bind(f, 7);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &f->peer, PEER_PORT), 0);
    udp_lan_input(f, LAN_PEER, PEER_PORT + 1, 7, 1);
    udp_lan_input(f, LAN_PEER + 8, PEER_PORT, 7, 2);
    udp_lan_expect_empty(f);
    assert_int_equal(udp_lan_counter(f, COUNTER_udp_no_socket), 2);
    assert_int_equal(udp_lan_counter(f, COUNTER_icmp_errors_out), 2);
    udp_lan_input(f, LAN_PEER, PEER_PORT, 7, 3);
    assert_int_equal(udp_lan_receive(f, bytes), 3);
}

static void endpoints_of_one_port_are_told_apart_by_address(void **state)
{
    struct udp_lan *f = *state;
    struct strait_link link;
    struct udp_endpoint second;
    struct address address = address_v4(0xc0a80102);
    char bytes[64];
    lan_link(f->lan, &link, 1500, 0);
    assert_non_null(ip_attach(&f->lan->ip, &link, address, 24));

    udp_open(&f->udp, &second, f);
    assert_int_equal(udp_bind(&f->udp, &f->endpoint, &f->host, 7), 0);
    assert_int_equal(udp_bind(&f->udp, &second, &address, 7), 0);
    udp_lan_input(f, LAN_PEER, PEER_PORT, 7, 5);
    assert_true(list_empty(&second.queue));
    assert_int_equal(udp_lan_receive(f, bytes), 5);
    udp_close(&f->udp, &second);
}

/* ---- In: limits ------------------------------------------------------------------------------ */

static void a_full_queue_drops_and_takes_again_once_it_is_read(void **state)
{
    struct udp_lan *f = *state;
    char bytes[64];

    udp_lan_bind(f, 7);
    f->endpoint.queue_max_bytes = 3 * POOL_SMALL_BYTES;
    for (size_t length = 1; length <= 5; length++)
        udp_lan_input(f, LAN_PEER, PEER_PORT, 7, length);
    assert_int_equal(udp_lan_counter(f, COUNTER_udp_queue_full), 2);
    assert_int_equal(udp_lan_counter(f, COUNTER_udp_datagrams_in), 3);
    assert_int_equal(udp_lan_receive(f, bytes), 1);
    udp_lan_input(f, LAN_PEER, PEER_PORT, 7, 6);
    assert_int_equal(udp_lan_receive(f, bytes), 2);
    assert_int_equal(udp_lan_receive(f, bytes), 3);
    assert_int_equal(udp_lan_receive(f, bytes), 6);
    udp_lan_expect_empty(f);
}

static void a_small_queue_holds_one_datagram(void **state)
{
    struct udp_lan *f = *state;
    char bytes[64];

    udp_lan_bind(f, 7);
    f->endpoint.queue_max_bytes = 1;
    udp_lan_input(f, LAN_PEER, PEER_PORT, 7, 1400);
    udp_lan_input(f, LAN_PEER, PEER_PORT, 7, 1);
    assert_int_equal(udp_lan_counter(f, COUNTER_udp_queue_full), 1);
    assert_int_equal(udp_lan_receive(f, bytes), 1400);
    udp_lan_expect_empty(f);
}

static void without_memory_a_datagram_is_dropped(void **state)
{
    struct udp_lan *f = *state;
    char bytes[64];

    udp_lan_bind(f, 7);
    f->lan->core.pool.limit_bytes = POOL_SMALL_BYTES;
    udp_lan_input(f, LAN_PEER, PEER_PORT, 7, 1);
    udp_lan_input(f, LAN_PEER, PEER_PORT, 7, 2);
    assert_int_equal(udp_lan_counter(f, COUNTER_udp_memory_short), 1);
    assert_int_equal(udp_lan_receive(f, bytes), 1);
    udp_lan_input(f, LAN_PEER, PEER_PORT, 7, 3);
    assert_int_equal(udp_lan_receive(f, bytes), 3);
}

static void the_longest_datagram_is_received_whole(void **state)
{
    struct udp_lan *f = *state;
    static uint8_t packet[65535], got[65535];
    struct iovec part = {got, sizeof(got)};

    udp_lan_bind(f, 7);
    size_t length = udp_lan_write(packet, LAN_PEER, PEER_PORT, 7, 65507);
    for (size_t i = 28; i < length; i++)
        packet[i] = (uint8_t)(i * 31 + i / 256);
    lan_input(f->lan, packet, length, NULL);
    assert_int_equal(udp_receive(&f->udp, &f->endpoint, &part, 1, false, NULL), 65507);
    assert_memory_equal(got, packet + 28, 65507);
}

static void a_closed_endpoint_returns_all_memory_and_its_port(void **state)
{
    struct udp_lan *f = *state;

    udp_lan_bind(f, 7);
    udp_lan_input(f, LAN_PEER, PEER_PORT, 7, 1);
    udp_lan_input(f, LAN_PEER, PEER_PORT, 7, 5000);
    assert_true(f->lan->core.pool.used_bytes > 0);
    udp_close(&f->udp, &f->endpoint);
    assert_int_equal(f->lan->core.pool.used_bytes, 0);
    assert_false(ports_taken(&f->udp.ports, &f->any, 7));
}

/* ---- In: super-packets ----------------------------------------------------------------------- */

static void a_super_packet_is_received_as_its_datagrams(void **state)
{
    struct udp_lan *f = *state;
    uint8_t packet[64];
    char bytes[64];
    struct strait_offload offload = {.checksum = STRAIT_CHECKSUM_PARTIAL,
                                     .gso = STRAIT_GSO_UDP4,
                                     .gso_size = 4,
                                     .header_bytes = 28,
                                     .checksum_start = 20,
                                     .checksum_offset = 6};

    udp_lan_bind(f, 7);
    size_t length = udp_lan_write(packet, LAN_PEER, PEER_PORT, 7, 10);
    static const uint8_t data[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    memcpy(packet + 28, data, sizeof(data));
    store_be16(packet + 26, 0x1234); /* unfinished: the link vouches for it */
    lan_input(f->lan, packet, length, &offload);
    assert_int_equal(udp_lan_receive(f, bytes), 4);
    assert_memory_equal(bytes, data, 4);
    assert_int_equal(udp_lan_receive(f, bytes), 4);
    assert_memory_equal(bytes, data + 4, 4);
    assert_int_equal(udp_lan_receive(f, bytes), 2);
    assert_memory_equal(bytes, data + 8, 2);
    udp_lan_expect_empty(f);
    assert_int_equal(udp_lan_counter(f, COUNTER_udp_datagrams_in), 3);
}

/* The queue ends what a lie about their size begins, and is as good as before when it is read. */
static void a_super_packet_of_tiny_datagrams_is_bounded_by_the_queue(void **state)
{
    struct udp_lan *f = *state;
    static uint8_t packet[65535];
    char bytes[64];
    struct strait_offload offload = {.checksum = STRAIT_CHECKSUM_VALID,
                                     .gso = STRAIT_GSO_UDP4,
                                     .gso_size = 1,
                                     .header_bytes = 28};

    udp_lan_bind(f, 7);
    f->endpoint.queue_max_bytes = 10 * POOL_SMALL_BYTES;
    size_t length = udp_lan_write(packet, LAN_PEER, PEER_PORT, 7, 65507);
    lan_input(f->lan, packet, length, &offload);
    assert_int_equal(udp_lan_counter(f, COUNTER_udp_datagrams_in), 10);
    assert_int_equal(udp_lan_counter(f, COUNTER_udp_queue_full), 65507 - 10);
    for (int i = 0; i < 10; i++)
        assert_int_equal(udp_lan_receive(f, bytes), 1);
    udp_lan_expect_empty(f);
}

/* The checksum is one for them all: none of the datagrams is received. */
static void a_super_packet_with_a_wrong_checksum_is_dropped_whole(void **state)
{
    struct udp_lan *f = *state;
    uint8_t packet[64];
    struct strait_offload offload = {.gso = STRAIT_GSO_UDP4, .gso_size = 4, .header_bytes = 28};

    udp_lan_bind(f, 7);
    size_t length = udp_lan_write(packet, LAN_PEER, PEER_PORT, 7, 10);
    store_be16(packet + 26, 0x1234);
    lan_input(f->lan, packet, length, &offload);
    assert_int_equal(udp_lan_counter(f, COUNTER_udp_checksum_wrong), 1);
    udp_lan_expect_empty(f);
}

static void a_super_packet_for_nobody_is_answered_once(void **state)
{
    struct udp_lan *f = *state;
    uint8_t packet[64];
    struct strait_offload offload = {.checksum = STRAIT_CHECKSUM_VALID,
                                     .gso = STRAIT_GSO_UDP4,
                                     .gso_size = 4,
                                     .header_bytes = 28};

    size_t length = udp_lan_write(packet, LAN_PEER, PEER_PORT, 7, 10);
    lan_input(f->lan, packet, length, &offload);
    assert_int_equal(f->lan->sent, 1);
}

#define TEST(name)      cmocka_unit_test_setup_teardown(name, udp_lan_setup, udp_lan_teardown)
#define WITH(how, name) cmocka_unit_test_setup_teardown(name, udp_lan_setup_##how, udp_lan_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_datagram_is_received_with_its_sender),
        TEST(a_peek_leaves_the_datagram),
        TEST(a_datagram_is_spread_over_parts_and_cut_at_their_end),
        TEST(an_empty_datagram_is_received),
        TEST(datagrams_are_received_in_order),
        TEST(a_wrong_checksum_is_dropped_rfc1122_4_1_3_4),
        TEST(a_datagram_without_checksum_is_received_rfc768),
        TEST(a_length_that_lies_is_dropped),
        TEST(a_header_cut_short_is_dropped),
        TEST(bytes_beyond_the_length_are_no_data_and_not_summed),
        TEST(nothing_is_sent_to_port_0),
        TEST(a_sender_that_wants_no_answer_has_port_0_rfc768),
        TEST(a_port_that_nobody_has_is_unreachable_rfc1122_4_1_3_1),
        TEST(a_broadcast_that_nobody_receives_is_not_answered),
        TEST(a_broadcast_reaches_an_endpoint_without_address_only),
        TEST(a_connected_endpoint_hears_its_peer_alone),
        TEST(endpoints_of_one_port_are_told_apart_by_address),
        TEST(a_full_queue_drops_and_takes_again_once_it_is_read),
        TEST(a_small_queue_holds_one_datagram),
        TEST(without_memory_a_datagram_is_dropped),
        WITH(jumbo, the_longest_datagram_is_received_whole),
        TEST(a_closed_endpoint_returns_all_memory_and_its_port),
        TEST(a_super_packet_is_received_as_its_datagrams),
        TEST(a_super_packet_of_tiny_datagrams_is_bounded_by_the_queue),
        TEST(a_super_packet_with_a_wrong_checksum_is_dropped_whole),
        TEST(a_super_packet_for_nobody_is_answered_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
