/* SPDX-License-Identifier: MIT */
/* What ICMP says about datagrams that were sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>

#include "base/bytes.h"
#include "udp_lan.h"

/* Lets an ICMP error arrive about a datagram from `port` to the peer's `peer_port`. */
static void input_error(struct udp_lan *f, uint8_t type, uint8_t code, uint16_t port,
                        uint16_t peer_port)
{
    uint8_t packet[20 + 8 + 33];
    lan_hex(packet, sizeof(packet),
            "45 00 00 3d 12 34 00 00 40 01 54 7c 0a 07 00 01 0a 07 00 02"
            "00 00 00 00 00 00 00 00" LAN_DATAGRAM_OUT);
    packet[20] = type;
    packet[21] = code;
    store_be16(packet + 48, port);
    store_be16(packet + 50, peer_port);
    store_be16(packet + 22, (uint16_t)~lan_sum(packet + 20, sizeof(packet) - 20));
    lan_input(f->lan, packet, sizeof(packet), NULL);
}

static void port_unreachable_is_told_once_to_a_connected_endpoint_rfc1122_4_1_3_3(void **state)
{
    struct udp_lan *f = *state;
    char bytes[64];

    udp_lan_bind(f, 7);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &f->peer, PEER_PORT), 0);
    input_error(f, 3, 3, 7, PEER_PORT);
    assert_int_equal(f->woken, 1);
    assert_int_equal(udp_events(&f->endpoint), POLLOUT | POLLERR);
    assert_int_equal(udp_lan_receive(f, bytes), -1);
    assert_int_equal(errno, ECONNREFUSED);
    assert_int_equal(udp_events(&f->endpoint), POLLOUT);
    udp_lan_expect_empty(f);

    input_error(f, 3, 3, 7, PEER_PORT);
    assert_int_equal(udp_lan_send(f, "hello", NULL, 0), -1);
    assert_int_equal(errno, ECONNREFUSED);
    lan_expect_nothing(f->lan);
    assert_int_equal(udp_lan_send(f, "hello", NULL, 0), 0);
}

static void an_error_does_not_hide_a_datagram(void **state)
{
    struct udp_lan *f = *state;
    char bytes[64];

    udp_lan_bind(f, 7);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &f->peer, PEER_PORT), 0);
    udp_lan_input(f, LAN_PEER, PEER_PORT, 7, 5);
    input_error(f, 3, 3, 7, PEER_PORT);
    assert_int_equal(udp_lan_receive(f, bytes), -1);
    assert_int_equal(errno, ECONNREFUSED);
    assert_int_equal(udp_lan_receive(f, bytes), 5);
}

static void an_error_about_another_datagram_is_not_told(void **state)
{
    struct udp_lan *f = *state;

    udp_lan_bind(f, 7);
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
    struct udp_lan *f = *state;

    udp_lan_bind(f, 7);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &f->peer, PEER_PORT), 0);
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        f->endpoint.error = 0;
        input_error(f, errors[i].type, errors[i].code, 7, PEER_PORT);
        assert_int_equal(f->endpoint.error, errors[i].error);
    }
}

static void who_keeps_failures_is_told_of_all_of_them(void **state)
{
    struct udp_lan *f = *state;
    struct udp_failure failure;
    char bytes[64];
    struct iovec part = {bytes, sizeof(bytes)};

    udp_lan_bind(f, 7); /* and not connected */
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
static void input_too_big(struct udp_lan *f, uint16_t mtu, uint16_t port, uint16_t peer_port)
{
    uint8_t packet[20 + 8 + 33];
    lan_hex(packet, sizeof(packet),
            "45 00 00 3d 12 34 00 00 40 01 54 7c 0a 07 00 01 0a 07 00 02"
            "03 04 00 00 00 00 00 00" LAN_DATAGRAM_OUT);
    store_be16(packet + 26, mtu);
    store_be16(packet + 30, 1028);
    store_be16(packet + 48, port);
    store_be16(packet + 50, peer_port);
    store_be16(packet + 22, (uint16_t)~lan_sum(packet + 20, sizeof(packet) - 20));
    lan_input(f->lan, packet, sizeof(packet), NULL);
}

static uint16_t mtu_to_peer(struct udp_lan *f)
{
    struct route route;
    assert_int_equal(ip_route_find(&f->lan->ip, NULL, &f->peer, &route), 0);
    return route.mtu;
}

static void a_datagram_that_was_too_big_is_told_and_the_path_narrowed_rfc1191_6_5(void **state)
{
    struct udp_lan *f = *state;

    udp_lan_bind(f, 7);
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
    struct udp_lan *f = *state;

    udp_lan_bind(f, 7);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &f->peer, PEER_PORT), 0);
    input_too_big(f, 600, 8, PEER_PORT);
    input_too_big(f, 600, 7, PEER_PORT + 1);
    assert_int_equal(mtu_to_peer(f), 1500);
    assert_int_equal(f->endpoint.error, 0);
    assert_int_equal(f->lan->core.counters[COUNTER_icmp_quote_unmatched], 2);
}

/* The field of flags and offset of a packet of `bytes` that goes to the peer. */
static uint16_t flags_of_sent(struct udp_lan *f, size_t bytes)
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
    struct udp_lan *f = *state;

    udp_lan_bind(f, 7);
    assert_int_equal(flags_of_sent(f, 1028), 0x4000);
    input_too_big(f, 600, 8, PEER_PORT); /* nobody's port */
    assert_int_equal(flags_of_sent(f, 1028), 0x4000);
    input_too_big(f, 600, 7, PEER_PORT);
    assert_int_equal(flags_of_sent(f, 1028), 0);
    uint16_t id = load_be16(f->lan->bytes + 4);
    assert_int_equal(flags_of_sent(f, 1028), 0);
    assert_int_not_equal(load_be16(f->lan->bytes + 4), id);
    assert_int_equal(flags_of_sent(f, 552), 0x4000); /* that fits any path */
    assert_int_equal(udp_lan_counter(f, COUNTER_udp_cutting_allowed), 1);

    core_set_now(&f->lan->core, f->lan->core.now_ns + 600 * NS_PER_S - 1);
    assert_int_equal(flags_of_sent(f, 1028), 0);
    core_set_now(&f->lan->core, f->lan->core.now_ns + 1);
    assert_int_equal(flags_of_sent(f, 1028), 0x4000);
}

/* Whoever guesses a port must not make the host cut its datagrams, or the segments of a stream. */
static void too_big_about_an_unconnected_endpoint_narrows_no_path_rfc5927_7(void **state)
{
    struct udp_lan *f = *state;

    udp_lan_bind(f, 7);
    input_too_big(f, 600, 7, PEER_PORT);
    assert_int_equal(mtu_to_peer(f), 1500);
    assert_int_equal(f->endpoint.error, 0);
    assert_int_equal(f->woken, 0);
    assert_int_equal(udp_lan_counter(f, COUNTER_ip_path_lowered), 0);
    lan_expect_nothing(f->lan);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, udp_lan_setup, udp_lan_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(port_unreachable_is_told_once_to_a_connected_endpoint_rfc1122_4_1_3_3),
        TEST(an_error_does_not_hide_a_datagram),
        TEST(an_error_about_another_datagram_is_not_told),
        TEST(only_hard_errors_are_told_rfc1122_3_2_2_1),
        TEST(who_keeps_failures_is_told_of_all_of_them),
        TEST(a_datagram_that_was_too_big_is_told_and_the_path_narrowed_rfc1191_6_5),
        TEST(too_big_is_believed_of_nobody_elses_datagram_rfc5927_4),
        TEST(too_big_lets_routers_cut_what_an_unconnected_endpoint_sends),
        TEST(too_big_about_an_unconnected_endpoint_narrows_no_path_rfc5927_7),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
