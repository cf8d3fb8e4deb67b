/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "lan.h"
#include "udp/udp.h"

#define PEER_PORT 40000

/* A datagram from 10.7.0.1 port 40000 to port 7, "hello", and one that goes the other way. */
#define DATAGRAM_IN                                                                                \
    "45 00 00 21 12 34 00 00 40 11 54 88 0a 07 00 01 0a 07 00 02"                                  \
    "9c 40 00 07 00 0d 0b aa 68 65 6c 6c 6f"
#define DATAGRAM_OUT                                                                               \
    "45 00 00 21 00 00 40 00 40 11 26 bc 0a 07 00 02 0a 07 00 01"                                  \
    "00 07 9c 40 00 0d 0b aa 68 65 6c 6c 6f"

struct fixture {
    struct lan *lan;
    struct udp udp;
    struct udp_endpoint endpoint; /* open; its owner is the fixture */
    unsigned woken;
    struct address any, host, peer, other;
};

static void wake(void *context, void *owner)
{
    struct fixture *f = context;
    assert_ptr_equal(owner, f);
    f->woken++;
}

static int setup_with(void **state, uint32_t mtu)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->lan = lan_new(mtu, 0);
    udp_init(&f->udp, &f->lan->core, &f->lan->ip);
    ip_register(&f->lan->ip, IPPROTO_UDP, &udp_protocol, &f->udp);
    f->udp.wake = wake;
    f->udp.wake_context = f;
    udp_open(&f->udp, &f->endpoint, f);
    f->any = address_v4(INADDR_ANY);
    f->host = address_v4(LAN_HOST);
    f->peer = address_v4(LAN_PEER);
    f->other = address_v4(LAN_PEER + 8);
    *state = f;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, 1500);
}

static int setup_jumbo(void **state)
{
    return setup_with(state, 65535);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    udp_close(&f->udp, &f->endpoint);
    assert_int_equal(f->lan->core.pool.used_bytes, 0);
    lan_free(f->lan);
    free(f);
    return 0;
}

static uint64_t counter(struct fixture *f, enum counter which)
{
    return f->lan->core.counters[which];
}

static void bind_port(struct fixture *f, uint16_t port)
{
    assert_int_equal(udp_bind(&f->udp, &f->endpoint, &f->any, port), 0);
}

/* Writes a datagram of `length` zeros from `source`, its UDP checksum zero (not computed). */
static size_t write_datagram(uint8_t *packet, uint32_t source, uint16_t source_port,
                             uint16_t destination_port, size_t length)
{
    lan_hex(packet, 20, "45 00 00 00 12 34 00 00 40 11 00 00 0a 07 00 01 0a 07 00 02");
    store_be16(packet + 2, (uint16_t)(28 + length));
    store_be32(packet + 12, source);
    lan_mend(packet);
    store_be16(packet + 20, source_port);
    store_be16(packet + 22, destination_port);
    store_be16(packet + 24, (uint16_t)(8 + length));
    memset(packet + 26, 0, 2 + length);
    return 28 + length;
}

/* Lets such a datagram arrive. */
static void input(struct fixture *f, uint32_t source, uint16_t source_port, uint16_t port,
                  size_t length)
{
    static uint8_t packet[65535];
    size_t bytes = write_datagram(packet, source, source_port, port, length);
    lan_input(f->lan, packet, bytes, NULL);
}

/* Takes a datagram into a buffer of 64 bytes. */
static ssize_t receive(struct fixture *f, char *bytes)
{
    struct iovec part = {bytes, 64};
    return udp_receive(&f->udp, &f->endpoint, &part, 1, false, NULL);
}

static void expect_empty(struct fixture *f)
{
    char bytes[64];
    assert_int_equal(receive(f, bytes), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(f->endpoint.queued_bytes, 0);
}

static int send_to(struct fixture *f, const char *text, const struct address *to, uint16_t port)
{
    struct iovec part = {(void *)(uintptr_t)text, strlen(text)};
    return udp_send(&f->udp, &f->endpoint, &part, 1, to, port, NULL);
}

/* ---- In -------------------------------------------------------------------------------------- */

static void a_datagram_is_received_with_its_sender(void **state)
{
    struct fixture *f = *state;
    char bytes[64];
    struct iovec part = {bytes, sizeof(bytes)};
    struct udp_arrival arrival;

    bind_port(f, 7);
    assert_int_equal(udp_events(&f->endpoint), POLLOUT);
    lan_input_hex(f->lan, DATAGRAM_IN);
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
    assert_int_equal(counter(f, COUNTER_udp_datagrams_in), 1);
    assert_int_equal(udp_events(&f->endpoint), POLLOUT);
    expect_empty(f);
    lan_expect_nothing(f->lan);
}

static void a_peek_leaves_the_datagram(void **state)
{
    struct fixture *f = *state;
    char bytes[64] = {0};
    struct iovec part = {bytes, sizeof(bytes)};

    bind_port(f, 7);
    lan_input_hex(f->lan, DATAGRAM_IN);
    assert_int_equal(udp_receive(&f->udp, &f->endpoint, &part, 1, true, NULL), 5);
    assert_string_equal(bytes, "hello");
    assert_int_equal(receive(f, bytes), 5);
    expect_empty(f);
}

static void a_datagram_is_spread_over_parts_and_cut_at_their_end(void **state)
{
    struct fixture *f = *state;
    char first[2], second[2];
    struct iovec parts[] = {{first, 2}, {NULL, 0}, {second, 2}};

    bind_port(f, 7);
    lan_input_hex(f->lan, DATAGRAM_IN);
    assert_int_equal(udp_receive(&f->udp, &f->endpoint, parts, 3, false, NULL), 5);
    assert_memory_equal(first, "he", 2);
    assert_memory_equal(second, "ll", 2);
    expect_empty(f);
}

static void an_empty_datagram_is_received(void **state)
{
    struct fixture *f = *state;
    char bytes[64];

    bind_port(f, 7);
    input(f, LAN_PEER, PEER_PORT, 7, 0);
    assert_int_equal(receive(f, bytes), 0);
    expect_empty(f);
}

static void datagrams_are_received_in_order(void **state)
{
    struct fixture *f = *state;
    char bytes[64];

    bind_port(f, 7);
    for (size_t length = 1; length < 10; length++)
        input(f, LAN_PEER, PEER_PORT, 7, length);
    for (ssize_t length = 1; length < 10; length++)
        assert_int_equal(receive(f, bytes), length);
    expect_empty(f);
}

static void a_wrong_checksum_is_dropped_rfc1122_4_1_3_4(void **state)
{
    struct fixture *f = *state;
    uint8_t packet[64];
    size_t length = lan_hex(packet, sizeof(packet), DATAGRAM_IN);

    bind_port(f, 7);
    packet[length - 1] ^= 1;
    lan_input(f->lan, packet, length, NULL);
    expect_empty(f);
    assert_int_equal(counter(f, COUNTER_udp_checksum_wrong), 1);
    lan_expect_nothing(f->lan);
}

static void a_datagram_without_checksum_is_received_rfc768(void **state)
{
    struct fixture *f = *state;
    uint8_t packet[64];
    char bytes[64];
    size_t length = lan_hex(packet, sizeof(packet), DATAGRAM_IN);

    bind_port(f, 7);
    store_be16(packet + 26, 0);
    lan_input(f->lan, packet, length, NULL);
    assert_int_equal(receive(f, bytes), 5);
    assert_memory_equal(bytes, "hello", 5);
}

static void a_length_that_lies_is_dropped(void **state)
{
    struct fixture *f = *state;
    uint8_t packet[64];
    size_t length = lan_hex(packet, sizeof(packet), DATAGRAM_IN);

    bind_port(f, 7);
    store_be16(packet + 26, 0);
    for (uint8_t lie = 0; lie < 8; lie++) {
        packet[25] = lie;
        lan_input(f->lan, packet, length, NULL);
    }
    packet[25] = 14; /* of 13 */
    lan_input(f->lan, packet, length, NULL);
    packet[24] = 0xff;
    lan_input(f->lan, packet, length, NULL);
    expect_empty(f);
    assert_int_equal(counter(f, COUNTER_udp_length_wrong), 10);
    lan_expect_nothing(f->lan);
}

static void a_header_cut_short_is_dropped(void **state)
{
    struct fixture *f = *state;
    uint8_t packet[64];
    lan_hex(packet, sizeof(packet), DATAGRAM_IN);

    bind_port(f, 7);
    for (uint8_t length = 20; length < 28; length++) {
        packet[3] = length;
        lan_mend(packet);
        lan_input(f->lan, packet, length, NULL);
    }
    expect_empty(f);
    assert_int_equal(counter(f, COUNTER_udp_length_wrong), 8);
}

/* RFC 768: the length counts header and data; what IP carries beyond is not the datagram's. */
static void bytes_beyond_the_length_are_no_data_and_not_summed(void **state)
{
    struct fixture *f = *state;
    char bytes[64];

    bind_port(f, 7);
    /* total length 37, header checksum less by 4; the UDP datagram as it was */
    lan_input_hex(f->lan, "45 00 00 25 12 34 00 00 40 11 54 84 0a 07 00 01 0a 07 00 02"
                          "9c 40 00 07 00 0d 0b aa 68 65 6c 6c 6f de ad be ef");
    assert_int_equal(receive(f, bytes), 5);
    assert_memory_equal(bytes, "hello", 5);
}

static void nothing_is_sent_to_port_0(void **state)
{
    struct fixture *f = *state;
    input(f, LAN_PEER, PEER_PORT, 0, 5);
    assert_int_equal(counter(f, COUNTER_udp_port_zero), 1);
    lan_expect_nothing(f->lan);
}

static void a_sender_that_wants_no_answer_has_port_0_rfc768(void **state)
{
    struct fixture *f = *state;
    char bytes[64];
    struct iovec part = {bytes, sizeof(bytes)};
    struct udp_arrival arrival = {.source_port = 1};

    bind_port(f, 7);
    input(f, LAN_PEER, 0, 7, 5);
    assert_int_equal(udp_receive(&f->udp, &f->endpoint, &part, 1, false, &arrival), 5);
    assert_int_equal(arrival.source_port, 0);
}

static void a_port_that_nobody_has_is_unreachable_rfc1122_4_1_3_1(void **state)
{
    struct fixture *f = *state;

    lan_input_hex(f->lan, DATAGRAM_IN);
    lan_expect_hex(f->lan, "45 00 00 3d 00 00 40 00 40 01 26 b0 0a 07 00 02 0a 07 00 01"
                           "03 03 11 2c 00 00 00 00" DATAGRAM_IN);
    assert_int_equal(counter(f, COUNTER_udp_no_socket), 1);
}

static void a_broadcast_that_nobody_receives_is_not_answered(void **state)
{
    struct fixture *f = *state;
    uint8_t packet[64];
    size_t length = write_datagram(packet, LAN_PEER, PEER_PORT, 7, 5);

    store_be32(packet + 16, INADDR_BROADCAST);
    lan_mend(packet);
    lan_input(f->lan, packet, length, NULL);
    assert_int_equal(counter(f, COUNTER_udp_no_socket), 1);
    lan_expect_nothing(f->lan);
}

static void a_broadcast_reaches_an_endpoint_without_address_only(void **state)
{
    struct fixture *f = *state;
    uint8_t packet[64];
    char bytes[64];
    size_t length = write_datagram(packet, LAN_PEER, PEER_PORT, 7, 5);
    store_be32(packet + 16, 0x0a0700ff);
    lan_mend(packet);

    assert_int_equal(udp_bind(&f->udp, &f->endpoint, &f->host, 7), 0);
    lan_input(f->lan, packet, length, NULL);
    expect_empty(f);
    ports_release(&f->endpoint.binding);
    bind_port(f, 7);
    lan_input(f->lan, packet, length, NULL);
    assert_int_equal(receive(f, bytes), 5);
}

static void a_connected_endpoint_hears_its_peer_alone(void **state)
{
    struct fixture *f = *state;
    char bytes[64];

    bind_port(f, 7);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &f->peer, PEER_PORT), 0);
    input(f, LAN_PEER, PEER_PORT + 1, 7, 1);
    input(f, LAN_PEER + 8, PEER_PORT, 7, 2);
    expect_empty(f);
    assert_int_equal(counter(f, COUNTER_udp_no_socket), 2);
    assert_int_equal(counter(f, COUNTER_icmp_errors_out), 2);
    input(f, LAN_PEER, PEER_PORT, 7, 3);
    assert_int_equal(receive(f, bytes), 3);
}

static void endpoints_of_one_port_are_told_apart_by_address(void **state)
{
    struct fixture *f = *state;
    struct strait_link link;
    struct udp_endpoint second;
    struct address address = address_v4(0xc0a80102);
    char bytes[64];
    lan_link(f->lan, &link, 1500, 0);
    assert_non_null(ip_attach(&f->lan->ip, &link, address, 24));

    udp_open(&f->udp, &second, f);
    assert_int_equal(udp_bind(&f->udp, &f->endpoint, &f->host, 7), 0);
    assert_int_equal(udp_bind(&f->udp, &second, &address, 7), 0);
    input(f, LAN_PEER, PEER_PORT, 7, 5);
    assert_true(list_empty(&second.queue));
    assert_int_equal(receive(f, bytes), 5);
    udp_close(&f->udp, &second);
}

/* ---- In: limits ------------------------------------------------------------------------------ */

static void a_full_queue_drops_and_takes_again_once_it_is_read(void **state)
{
    struct fixture *f = *state;
    char bytes[64];

    bind_port(f, 7);
    f->endpoint.queue_max_bytes = 3 * POOL_SMALL_BYTES;
    for (size_t length = 1; length <= 5; length++)
        input(f, LAN_PEER, PEER_PORT, 7, length);
    assert_int_equal(counter(f, COUNTER_udp_queue_full), 2);
    assert_int_equal(counter(f, COUNTER_udp_datagrams_in), 3);
    assert_int_equal(receive(f, bytes), 1);
    input(f, LAN_PEER, PEER_PORT, 7, 6);
    assert_int_equal(receive(f, bytes), 2);
    assert_int_equal(receive(f, bytes), 3);
    assert_int_equal(receive(f, bytes), 6);
    expect_empty(f);
}

static void a_small_queue_holds_one_datagram(void **state)
{
    struct fixture *f = *state;
    char bytes[64];

    bind_port(f, 7);
    f->endpoint.queue_max_bytes = 1;
    input(f, LAN_PEER, PEER_PORT, 7, 1400);
    input(f, LAN_PEER, PEER_PORT, 7, 1);
    assert_int_equal(counter(f, COUNTER_udp_queue_full), 1);
    assert_int_equal(receive(f, bytes), 1400);
    expect_empty(f);
}

static void without_memory_a_datagram_is_dropped(void **state)
{
    struct fixture *f = *state;
    char bytes[64];

    bind_port(f, 7);
    f->lan->core.pool.limit_bytes = POOL_SMALL_BYTES;
    input(f, LAN_PEER, PEER_PORT, 7, 1);
    input(f, LAN_PEER, PEER_PORT, 7, 2);
    assert_int_equal(counter(f, COUNTER_udp_memory_short), 1);
    assert_int_equal(receive(f, bytes), 1);
    input(f, LAN_PEER, PEER_PORT, 7, 3);
    assert_int_equal(receive(f, bytes), 3);
}

static void the_longest_datagram_is_received_whole(void **state)
{
    struct fixture *f = *state;
    static uint8_t packet[65535], got[65535];
    struct iovec part = {got, sizeof(got)};

    bind_port(f, 7);
    size_t length = write_datagram(packet, LAN_PEER, PEER_PORT, 7, 65507);
    for (size_t i = 28; i < length; i++)
        packet[i] = (uint8_t)(i * 31 + i / 256);
    lan_input(f->lan, packet, length, NULL);
    assert_int_equal(udp_receive(&f->udp, &f->endpoint, &part, 1, false, NULL), 65507);
    assert_memory_equal(got, packet + 28, 65507);
}

static void a_closed_endpoint_returns_all_memory_and_its_port(void **state)
{
    struct fixture *f = *state;

    bind_port(f, 7);
    input(f, LAN_PEER, PEER_PORT, 7, 1);
    input(f, LAN_PEER, PEER_PORT, 7, 5000);
    assert_true(f->lan->core.pool.used_bytes > 0);
    udp_close(&f->udp, &f->endpoint);
    assert_int_equal(f->lan->core.pool.used_bytes, 0);
    assert_false(ports_taken(&f->udp.ports, &f->any, 7));
}

/* ---- In: super-packets ----------------------------------------------------------------------- */

static void a_super_packet_is_received_as_its_datagrams(void **state)
{
    struct fixture *f = *state;
    uint8_t packet[64];
    char bytes[64];
    struct strait_offload offload = {.checksum = STRAIT_CHECKSUM_PARTIAL,
                                     .gso = STRAIT_GSO_UDP4,
                                     .gso_size = 4,
                                     .header_bytes = 28,
                                     .checksum_start = 20,
                                     .checksum_offset = 6};

    bind_port(f, 7);
    size_t length = write_datagram(packet, LAN_PEER, PEER_PORT, 7, 10);
    static const uint8_t data[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    memcpy(packet + 28, data, sizeof(data));
    store_be16(packet + 26, 0x1234); /* unfinished: the link vouches for it */
    lan_input(f->lan, packet, length, &offload);
    assert_int_equal(receive(f, bytes), 4);
    assert_memory_equal(bytes, data, 4);
    assert_int_equal(receive(f, bytes), 4);
    assert_memory_equal(bytes, data + 4, 4);
    assert_int_equal(receive(f, bytes), 2);
    assert_memory_equal(bytes, data + 8, 2);
    expect_empty(f);
    assert_int_equal(counter(f, COUNTER_udp_datagrams_in), 3);
}

/* The queue ends what a lie about their size begins, and is as good as before when it is read. */
static void a_super_packet_of_tiny_datagrams_is_bounded_by_the_queue(void **state)
{
    struct fixture *f = *state;
    static uint8_t packet[65535];
    char bytes[64];
    struct strait_offload offload = {.checksum = STRAIT_CHECKSUM_VALID,
                                     .gso = STRAIT_GSO_UDP4,
                                     .gso_size = 1,
                                     .header_bytes = 28};

    bind_port(f, 7);
    f->endpoint.queue_max_bytes = 10 * POOL_SMALL_BYTES;
    size_t length = write_datagram(packet, LAN_PEER, PEER_PORT, 7, 65507);
    lan_input(f->lan, packet, length, &offload);
    assert_int_equal(counter(f, COUNTER_udp_datagrams_in), 10);
    assert_int_equal(counter(f, COUNTER_udp_queue_full), 65507 - 10);
    for (int i = 0; i < 10; i++)
        assert_int_equal(receive(f, bytes), 1);
    expect_empty(f);
}

/* The checksum is one for them all: none of the datagrams is received. */
static void a_super_packet_with_a_wrong_checksum_is_dropped_whole(void **state)
{
    struct fixture *f = *state;
    uint8_t packet[64];
    struct strait_offload offload = {.gso = STRAIT_GSO_UDP4, .gso_size = 4, .header_bytes = 28};

    bind_port(f, 7);
    size_t length = write_datagram(packet, LAN_PEER, PEER_PORT, 7, 10);
    store_be16(packet + 26, 0x1234);
    lan_input(f->lan, packet, length, &offload);
    assert_int_equal(counter(f, COUNTER_udp_checksum_wrong), 1);
    expect_empty(f);
}

static void a_super_packet_for_nobody_is_answered_once(void **state)
{
    struct fixture *f = *state;
    uint8_t packet[64];
    struct strait_offload offload = {.checksum = STRAIT_CHECKSUM_VALID,
                                     .gso = STRAIT_GSO_UDP4,
                                     .gso_size = 4,
                                     .header_bytes = 28};

    size_t length = write_datagram(packet, LAN_PEER, PEER_PORT, 7, 10);
    lan_input(f->lan, packet, length, &offload);
    assert_int_equal(f->lan->sent, 1);
}

/* ---- ICMP errors ----------------------------------------------------------------------------- */

/* Lets an ICMP error arrive about a datagram from `port` to the peer's `peer_port`. */
static void input_error(struct fixture *f, uint8_t type, uint8_t code, uint16_t port,
                        uint16_t peer_port)
{
    uint8_t packet[20 + 8 + 33];
    lan_hex(packet, sizeof(packet),
            "45 00 00 3d 12 34 00 00 40 01 54 7c 0a 07 00 01 0a 07 00 02"
            "00 00 00 00 00 00 00 00" DATAGRAM_OUT);
    packet[20] = type;
    packet[21] = code;
    store_be16(packet + 48, port);
    store_be16(packet + 50, peer_port);
    store_be16(packet + 22, (uint16_t)~lan_sum(packet + 20, sizeof(packet) - 20));
    lan_input(f->lan, packet, sizeof(packet), NULL);
}

static void port_unreachable_is_told_once_to_a_connected_endpoint_rfc1122_4_1_3_3(void **state)
{
    struct fixture *f = *state;
    char bytes[64];

    bind_port(f, 7);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &f->peer, PEER_PORT), 0);
    input_error(f, 3, 3, 7, PEER_PORT);
    assert_int_equal(f->woken, 1);
    assert_int_equal(udp_events(&f->endpoint), POLLOUT | POLLERR);
    assert_int_equal(receive(f, bytes), -1);
    assert_int_equal(errno, ECONNREFUSED);
    assert_int_equal(udp_events(&f->endpoint), POLLOUT);
    expect_empty(f);

    input_error(f, 3, 3, 7, PEER_PORT);
    assert_int_equal(send_to(f, "hello", NULL, 0), -1);
    assert_int_equal(errno, ECONNREFUSED);
    lan_expect_nothing(f->lan);
    assert_int_equal(send_to(f, "hello", NULL, 0), 0);
}

static void an_error_does_not_hide_a_datagram(void **state)
{
    struct fixture *f = *state;
    char bytes[64];

    bind_port(f, 7);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &f->peer, PEER_PORT), 0);
    input(f, LAN_PEER, PEER_PORT, 7, 5);
    input_error(f, 3, 3, 7, PEER_PORT);
    assert_int_equal(receive(f, bytes), -1);
    assert_int_equal(errno, ECONNREFUSED);
    assert_int_equal(receive(f, bytes), 5);
}

static void an_error_about_another_datagram_is_not_told(void **state)
{
    struct fixture *f = *state;

    bind_port(f, 7);
    input_error(f, 3, 3, 7, PEER_PORT); /* not connected */
    assert_int_equal(f->endpoint.error, 0);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &f->peer, PEER_PORT), 0);
    input_error(f, 3, 3, 7, PEER_PORT + 1);
    input_error(f, 3, 3, 8, PEER_PORT);
    assert_int_equal(f->endpoint.error, 0);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &f->other, PEER_PORT), 0);
    input_error(f, 3, 3, 7, PEER_PORT);
    assert_int_equal(f->endpoint.error, 0);
    assert_int_equal(f->woken, 0);
}

static void only_hard_errors_are_told_rfc1122_3_2_2_1(void **state)
{
    static const struct {
        uint8_t type, code;
        int error;
    } errors[] = {
        {3, 0, 0},
        {3, 1, 0},
        {3, 2, ENOPROTOOPT},
        {3, 3, ECONNREFUSED},
        {3, 5, 0},
        {3, 6, ENETUNREACH},
        {3, 7, EHOSTDOWN},
        {3, 8, ENONET},
        {3, 9, ENETUNREACH},
        {3, 10, EHOSTUNREACH},
        {3, 11, 0},
        {3, 12, 0},
        {3, 13, EHOSTUNREACH},
        {3, 14, EHOSTUNREACH},
        {3, 15, EHOSTUNREACH},
        {3, 16, 0},
        {11, 0, 0},
        {11, 1, 0},
        {12, 0, EPROTO},
    };
    struct fixture *f = *state;

    bind_port(f, 7);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &f->peer, PEER_PORT), 0);
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        f->endpoint.error = 0;
        input_error(f, errors[i].type, errors[i].code, 7, PEER_PORT);
        assert_int_equal(f->endpoint.error, errors[i].error);
    }
}

static void who_keeps_failures_is_told_of_all_of_them(void **state)
{
    struct fixture *f = *state;
    struct udp_failure failure;
    char bytes[64];
    struct iovec part = {bytes, sizeof(bytes)};

    bind_port(f, 7); /* and not connected */
    udp_keep_failures(&f->udp, &f->endpoint, true);
    input_error(f, 3, 1, 7, PEER_PORT);
    assert_int_equal(f->endpoint.error, EHOSTUNREACH);
    assert_int_equal(udp_take_failure(&f->udp, &f->endpoint, &part, 1, &failure), 5);
    assert_memory_equal(bytes, "hello", 5);
    assert_int_equal(failure.error, EHOSTUNREACH);
    assert_int_equal(failure.type, 3);
    assert_int_equal(failure.code, 1);
    assert_int_equal(failure.port, PEER_PORT);
    assert_true(address_equal(&failure.remote, &f->peer));
    assert_true(address_equal(&failure.teller, &f->peer));
    assert_int_equal(f->endpoint.error, 0);
    input_error(f, 3, 3, 8, PEER_PORT); /* of another port */
    assert_int_equal(f->endpoint.error, 0);
}

/* A router says that a datagram of 1028 bytes was too big for a link of `mtu`. */
static void input_too_big(struct fixture *f, uint16_t mtu, uint16_t port, uint16_t peer_port)
{
    uint8_t packet[20 + 8 + 33];
    lan_hex(packet, sizeof(packet),
            "45 00 00 3d 12 34 00 00 40 01 54 7c 0a 07 00 01 0a 07 00 02"
            "03 04 00 00 00 00 00 00" DATAGRAM_OUT);
    store_be16(packet + 26, mtu);
    store_be16(packet + 30, 1028);
    store_be16(packet + 48, port);
    store_be16(packet + 50, peer_port);
    store_be16(packet + 22, (uint16_t)~lan_sum(packet + 20, sizeof(packet) - 20));
    lan_input(f->lan, packet, sizeof(packet), NULL);
}

static uint16_t mtu_to_peer(struct fixture *f)
{
    struct route route;
    assert_int_equal(ip_route_find(&f->lan->ip, NULL, &f->peer, &route), 0);
    return route.mtu;
}

static void a_datagram_that_was_too_big_is_told_and_the_path_narrowed_rfc1191_6_5(void **state)
{
    struct fixture *f = *state;

    bind_port(f, 7);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &f->peer, PEER_PORT), 0);
    input_too_big(f, 600, 7, PEER_PORT);
    assert_int_equal(mtu_to_peer(f), 600);
    assert_int_equal(f->endpoint.error, EMSGSIZE);
    assert_int_equal(f->woken, 1);
    f->endpoint.error = 0;
    input_too_big(f, 600, 7, PEER_PORT); /* about another one that was under way */
    assert_int_equal(f->endpoint.error, 0);
    assert_int_equal(f->woken, 1);
    assert_int_equal(f->lan->core.counters[COUNTER_ip_path_refused], 1);
}

static void too_big_is_believed_of_nobody_elses_datagram_rfc5927_4(void **state)
{
    struct fixture *f = *state;

    bind_port(f, 7);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &f->peer, PEER_PORT), 0);
    input_too_big(f, 600, 8, PEER_PORT);
    input_too_big(f, 600, 7, PEER_PORT + 1);
    assert_int_equal(mtu_to_peer(f), 1500);
    assert_int_equal(f->endpoint.error, 0);
    assert_int_equal(f->lan->core.counters[COUNTER_icmp_quote_unmatched], 2);
}

/* The field of flags and offset of a packet of `bytes` that goes to the peer. */
static uint16_t flags_of_sent(struct fixture *f, size_t bytes)
{
    static char zeros[1500];
    struct iovec part = {zeros, bytes - 28};

    assert_int_equal(udp_send(&f->udp, &f->endpoint, &part, 1, &f->peer, PEER_PORT, NULL), 0);
    assert_int_equal(f->lan->length, bytes);
    return load_be16(f->lan->bytes + 6);
}

/* Else all that an unconnected socket sends there would be lost for ever. */
static void too_big_lets_routers_cut_what_an_unconnected_endpoint_sends(void **state)
{
    struct fixture *f = *state;

    bind_port(f, 7);
    assert_int_equal(flags_of_sent(f, 1028), 0x4000);
    input_too_big(f, 600, 8, PEER_PORT); /* nobody's port */
    assert_int_equal(flags_of_sent(f, 1028), 0x4000);
    input_too_big(f, 600, 7, PEER_PORT);
    assert_int_equal(flags_of_sent(f, 1028), 0);
    uint16_t id = load_be16(f->lan->bytes + 4);
    assert_int_equal(flags_of_sent(f, 1028), 0);
    assert_int_not_equal(load_be16(f->lan->bytes + 4), id);
    assert_int_equal(flags_of_sent(f, 552), 0x4000); /* that fits any path */
    assert_int_equal(counter(f, COUNTER_udp_cutting_allowed), 1);

    f->lan->core.now_ns += 600 * NS_PER_S - 1;
    assert_int_equal(flags_of_sent(f, 1028), 0);
    f->lan->core.now_ns += 1;
    assert_int_equal(flags_of_sent(f, 1028), 0x4000);
}

/* Whoever guesses a port must not make the host cut its datagrams, or the segments of a stream. */
static void too_big_about_an_unconnected_endpoint_narrows_no_path_rfc5927_7(void **state)
{
    struct fixture *f = *state;

    bind_port(f, 7);
    input_too_big(f, 600, 7, PEER_PORT);
    assert_int_equal(mtu_to_peer(f), 1500);
    assert_int_equal(f->endpoint.error, 0);
    assert_int_equal(f->woken, 0);
    assert_int_equal(counter(f, COUNTER_ip_path_lowered), 0);
    lan_expect_nothing(f->lan);
}

/* ---- Bind and connect ------------------------------------------------------------------------ */

static void an_endpoint_is_bound_once_and_to_what_the_host_has(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(udp_bind(&f->udp, &f->endpoint, &f->peer, 7), -1);
    assert_int_equal(errno, EADDRNOTAVAIL);
    assert_int_equal(udp_bind(&f->udp, &f->endpoint, &f->host, 7), 0);
    assert_int_equal(udp_bind(&f->udp, &f->endpoint, &f->host, 8), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(f->endpoint.binding.port, 7);
}

static void a_port_belongs_to_one_endpoint(void **state)
{
    struct fixture *f = *state;
    struct udp_endpoint second;

    udp_open(&f->udp, &second, f);
    bind_port(f, 7);
    assert_int_equal(udp_bind(&f->udp, &second, &f->host, 7), -1);
    assert_int_equal(errno, EADDRINUSE);
    udp_close(&f->udp, &second);
}

static void port_0_is_any_port_of_the_range(void **state)
{
    struct fixture *f = *state;
    bind_port(f, 0);
    assert_in_range(f->endpoint.binding.port, 40000, 40099);
}

static void a_connected_endpoint_has_the_address_of_its_route(void **state)
{
    struct fixture *f = *state;

    bind_port(f, 7);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &f->peer, PEER_PORT), 0);
    assert_true(address_equal(&f->endpoint.binding.address, &f->host));
    assert_int_equal(f->endpoint.binding.port, 7);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &f->other, PEER_PORT), 0);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, NULL, 0), 0);
    assert_true(address_is_any(&f->endpoint.binding.address));
    assert_int_equal(f->endpoint.binding.port, 7);
    assert_int_equal(f->endpoint.remote_port, 0);
}

static void an_address_that_was_bound_stays(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(udp_bind(&f->udp, &f->endpoint, &f->host, 7), 0);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &f->peer, PEER_PORT), 0);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, NULL, 0), 0);
    assert_true(address_equal(&f->endpoint.binding.address, &f->host));
}

static void connect_follows_the_route_to_another_interface(void **state)
{
    struct fixture *f = *state;
    struct strait_link link;
    struct address address = address_v4(0xc0a80102), there = address_v4(0xc0a80101);
    lan_link(f->lan, &link, 1500, 0);
    assert_non_null(ip_attach(&f->lan->ip, &link, address, 24));

    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &f->peer, PEER_PORT), 0);
    uint16_t port = f->endpoint.binding.port;
    assert_in_range(port, 40000, 40099);
    assert_true(address_equal(&f->endpoint.binding.address, &f->host));
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &there, PEER_PORT), 0);
    assert_true(address_equal(&f->endpoint.binding.address, &address));
    assert_int_equal(f->endpoint.binding.port, port);
}

static void a_port_claimed_beside_a_connected_endpoint_keeps_it_narrow(void **state)
{
    struct fixture *f = *state;
    struct strait_link link;
    struct udp_endpoint second;
    struct address address = address_v4(0xc0a80102), there = address_v4(0xc0a80101);
    lan_link(f->lan, &link, 1500, 0);
    assert_non_null(ip_attach(&f->lan->ip, &link, address, 24));

    bind_port(f, 7);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &f->peer, PEER_PORT), 0);
    udp_open(&f->udp, &second, f);
    assert_int_equal(udp_bind(&f->udp, &second, &address, 7), 0);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &there, PEER_PORT), -1);
    assert_int_equal(errno, EADDRINUSE);
    assert_true(address_equal(&f->endpoint.remote, &f->peer));
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, NULL, 0), 0);
    assert_true(address_equal(&f->endpoint.binding.address, &f->host));
    udp_close(&f->udp, &second);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, NULL, 0), 0);
    assert_true(address_is_any(&f->endpoint.binding.address));
}

static void peers_that_cannot_be_are_refused(void **state)
{
    struct fixture *f = *state;
    struct address all = address_v4(INADDR_BROADCAST), group = address_v4(0xe0000001);

    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &f->peer, 0), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &all, 7), -1);
    assert_int_equal(errno, EACCES);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &group, 7), -1);
    assert_int_equal(errno, ENETUNREACH);
    assert_int_equal(f->endpoint.binding.port, 0);
    assert_int_equal(send_to(f, "x", &f->peer, 0), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(send_to(f, "x", &all, 7), -1);
    assert_int_equal(errno, EACCES);
    lan_expect_nothing(f->lan);
}

/* ---- Out ------------------------------------------------------------------------------------- */

static void a_datagram_is_sent_rfc768(void **state)
{
    struct fixture *f = *state;

    bind_port(f, 7);
    assert_int_equal(send_to(f, "hello", &f->peer, PEER_PORT), 0);
    lan_expect_hex(f->lan, DATAGRAM_OUT);
    assert_int_equal(counter(f, COUNTER_udp_datagrams_out), 1);
}

static void a_connected_endpoint_sends_to_its_peer(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(send_to(f, "hello", NULL, 0), -1);
    assert_int_equal(errno, EDESTADDRREQ);
    bind_port(f, 7);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &f->peer, PEER_PORT), 0);
    assert_int_equal(send_to(f, "hello", NULL, 0), 0);
    lan_expect_hex(f->lan, DATAGRAM_OUT);
}

static void the_first_datagram_binds_a_port(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(send_to(f, "", &f->peer, PEER_PORT), 0);
    assert_in_range(f->endpoint.binding.port, 40000, 40099);
    assert_true(address_is_any(&f->endpoint.binding.address));
    assert_int_equal(f->lan->length, 28);
    assert_int_equal(load_be16(f->lan->bytes + 20), f->endpoint.binding.port);
}

static void parts_are_sent_as_one_datagram_however_many_they_are(void **state)
{
    struct fixture *f = *state;
    struct iovec parts[100];
    char letters[100];
    static const int counts[] = {1, 23, 24, 25, 100};

    bind_port(f, 7);
    for (int i = 0; i < 100; i++) {
        letters[i] = (char)('a' + i % 26);
        parts[i] = (struct iovec){&letters[i], 1};
    }
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        size_t length = (size_t)counts[i];
        f->lan->sent = 0;
        assert_int_equal(
            udp_send(&f->udp, &f->endpoint, parts, counts[i], &f->peer, PEER_PORT, NULL), 0);
        assert_int_equal(f->lan->sent, 1);
        assert_int_equal(f->lan->length, 28 + length);
        assert_memory_equal(f->lan->bytes + 28, letters, length);
    }
    assert_int_equal(f->lan->core.pool.used_bytes, 0);
    parts[50] = (struct iovec){NULL, 0};
    f->lan->core.pool.limit_bytes = 0;
    assert_int_equal(udp_send(&f->udp, &f->endpoint, parts, 100, &f->peer, PEER_PORT, NULL), -1);
    assert_int_equal(errno, ENOBUFS);
    f->lan->core.pool.limit_bytes = POOL_SMALL_BYTES;
    assert_int_equal(udp_send(&f->udp, &f->endpoint, parts, 100, &f->peer, PEER_PORT, NULL), 0);
    assert_int_equal(f->lan->length, 28 + 99);
}

static void a_datagram_above_the_mtu_is_sent_in_fragments(void **state)
{
    struct fixture *f = *state;
    static char bytes[1473];
    struct iovec part = {bytes, 1472};

    bind_port(f, 7);
    assert_int_equal(udp_send(&f->udp, &f->endpoint, &part, 1, &f->peer, PEER_PORT, NULL), 0);
    assert_int_equal(f->lan->sent, 1);
    assert_int_equal(f->lan->length, 1500);
    part.iov_len = 1473;
    assert_int_equal(udp_send(&f->udp, &f->endpoint, &part, 1, &f->peer, PEER_PORT, NULL), 0);
    assert_int_equal(f->lan->sent, 3);
    assert_int_equal(f->lan->length, 21);
    assert_int_equal(counter(f, COUNTER_udp_datagrams_out), 2);
}

static void a_datagram_above_what_any_packet_holds_is_refused(void **state)
{
    struct fixture *f = *state;
    static char bytes[65536];
    struct iovec part = {bytes, 65507}, more[] = {{bytes, 65000}, {bytes, SIZE_MAX - 64000}};

    bind_port(f, 7);
    assert_int_equal(udp_send(&f->udp, &f->endpoint, &part, 1, &f->peer, PEER_PORT, NULL), 0);
    f->lan->sent = 0;
    part.iov_len = 65508; /* with both headers, one more than an IP packet has */
    assert_int_equal(udp_send(&f->udp, &f->endpoint, &part, 1, &f->peer, PEER_PORT, NULL), -1);
    assert_int_equal(errno, EMSGSIZE);
    part.iov_len = 65528; /* one more than UDP can tell */
    assert_int_equal(udp_send(&f->udp, &f->endpoint, &part, 1, &f->peer, PEER_PORT, NULL), -1);
    assert_int_equal(errno, EMSGSIZE);
    assert_int_equal(udp_send(&f->udp, &f->endpoint, more, 2, &f->peer, PEER_PORT, NULL), -1);
    assert_int_equal(errno, EMSGSIZE);
    lan_expect_nothing(f->lan);
}

static void a_link_that_fails_tells_the_sender(void **state)
{
    struct fixture *f = *state;
    f->lan->fail_with = ENOBUFS;
    assert_int_equal(send_to(f, "hello", &f->peer, PEER_PORT), -1);
    assert_int_equal(errno, ENOBUFS);
    assert_int_equal(counter(f, COUNTER_udp_datagrams_out), 0);
}

#define TEST(name)      cmocka_unit_test_setup_teardown(name, setup, teardown)
#define WITH(how, name) cmocka_unit_test_setup_teardown(name, setup_##how, teardown)

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
        TEST(port_unreachable_is_told_once_to_a_connected_endpoint_rfc1122_4_1_3_3),
        TEST(an_error_does_not_hide_a_datagram),
        TEST(an_error_about_another_datagram_is_not_told),
        TEST(only_hard_errors_are_told_rfc1122_3_2_2_1),
        TEST(who_keeps_failures_is_told_of_all_of_them),
        TEST(a_datagram_that_was_too_big_is_told_and_the_path_narrowed_rfc1191_6_5),
        TEST(too_big_is_believed_of_nobody_elses_datagram_rfc5927_4),
        TEST(too_big_lets_routers_cut_what_an_unconnected_endpoint_sends),
        TEST(too_big_about_an_unconnected_endpoint_narrows_no_path_rfc5927_7),
        TEST(an_endpoint_is_bound_once_and_to_what_the_host_has),
        TEST(a_port_belongs_to_one_endpoint),
        TEST(port_0_is_any_port_of_the_range),
        TEST(a_connected_endpoint_has_the_address_of_its_route),
        TEST(an_address_that_was_bound_stays),
        TEST(connect_follows_the_route_to_another_interface),
        TEST(a_port_claimed_beside_a_connected_endpoint_keeps_it_narrow),
        TEST(peers_that_cannot_be_are_refused),
        TEST(a_datagram_is_sent_rfc768),
        TEST(a_connected_endpoint_sends_to_its_peer),
        TEST(the_first_datagram_binds_a_port),
        TEST(parts_are_sent_as_one_datagram_however_many_they_are),
        TEST(a_datagram_above_the_mtu_is_sent_in_fragments),
        TEST(a_datagram_above_what_any_packet_holds_is_refused),
        TEST(a_link_that_fails_tells_the_sender),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
