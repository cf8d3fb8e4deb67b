/* SPDX-License-Identifier: MIT */
/* Binding, connecting and sending. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/bytes.h"
#include "udp_lan.h"

/* ---- Bind and connect ------------------------------------------------------------------------ */

static void an_endpoint_is_bound_once_and_to_what_the_host_has(void **state)
{
    struct udp_lan *f = *state;

    assert_int_equal(udp_bind(&f->udp, &f->endpoint, &f->peer, 7), -1);
    assert_int_equal(errno, EADDRNOTAVAIL);
    assert_int_equal(udp_bind(&f->udp, &f->endpoint, &f->host, 7), 0);
    assert_int_equal(udp_bind(&f->udp, &f->endpoint, &f->host, 8), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(f->endpoint.binding.port, 7);
}

static void a_port_belongs_to_one_endpoint(void **state)
{
    struct udp_lan *f = *state;
    struct udp_endpoint second;

    udp_open(&f->udp, &second, f);
    udp_lan_bind(f, 7);
    assert_int_equal(udp_bind(&f->udp, &second, &f->host, 7), -1);
    assert_int_equal(errno, EADDRINUSE);
    udp_close(&f->udp, &second);
}

static void port_0_is_any_port_of_the_range(void **state)
{
    struct udp_lan *f = *state;
    udp_lan_bind(f, 0);
    assert_in_range(f->endpoint.binding.port, 40000, 40099);
}

static void a_connected_endpoint_has_the_address_of_its_route(void **state)
{
    struct udp_lan *f = *state;

    udp_lan_bind(f, 7);
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
    struct udp_lan *f = *state;

    assert_int_equal(udp_bind(&f->udp, &f->endpoint, &f->host, 7), 0);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &f->peer, PEER_PORT), 0);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, NULL, 0), 0);
    assert_true(address_equal(&f->endpoint.binding.address, &f->host));
}

static void connect_follows_the_route_to_another_interface(void **state)
{
    struct udp_lan *f = *state;
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
    struct udp_lan *f = *state;
    struct strait_link link;
    struct udp_endpoint second;
    struct address address = address_v4(0xc0a80102), there = address_v4(0xc0a80101);
    lan_link(f->lan, &link, 1500, 0);
    assert_non_null(ip_attach(&f->lan->ip, &link, address, 24));

    udp_lan_bind(f, 7);
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
    struct udp_lan *f = *state;
    struct address all = address_v4(INADDR_BROADCAST), group = address_v4(0xe0000001);

    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &f->peer, 0), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &all, 7), -1);
    assert_int_equal(errno, EACCES);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &group, 7), -1);
    assert_int_equal(errno, ENETUNREACH);
    assert_int_equal(f->endpoint.binding.port, 0);
    assert_int_equal(udp_lan_send(f, "x", &f->peer, 0), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(udp_lan_send(f, "x", &all, 7), -1);
    assert_int_equal(errno, EACCES);
    lan_expect_nothing(f->lan);
}

/* ---- Out ------------------------------------------------------------------------------------- */

static void a_datagram_is_sent_rfc768(void **state)
{
    struct udp_lan *f = *state;

    udp_lan_bind(f, 7);
    assert_int_equal(udp_lan_send(f, "hello", &f->peer, PEER_PORT), 0);
    lan_expect_hex(f->lan, LAN_DATAGRAM_OUT);
    assert_int_equal(udp_lan_counter(f, COUNTER_udp_datagrams_out), 1);
}

static void a_connected_endpoint_sends_to_its_peer(void **state)
{
    struct udp_lan *f = *state;

    assert_int_equal(udp_lan_send(f, "hello", NULL, 0), -1);
    assert_int_equal(errno, EDESTADDRREQ);
    udp_lan_bind(f, 7);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &f->peer, PEER_PORT), 0);
    assert_int_equal(udp_lan_send(f, "hello", NULL, 0), 0);
    lan_expect_hex(f->lan, LAN_DATAGRAM_OUT);
}

static void the_first_datagram_binds_a_port(void **state)
{
    struct udp_lan *f = *state;

    assert_int_equal(udp_lan_send(f, "", &f->peer, PEER_PORT), 0);
    assert_in_range(f->endpoint.binding.port, 40000, 40099);
    assert_true(address_is_any(&f->endpoint.binding.address));
    assert_int_equal(f->lan->length, 28);
    assert_int_equal(load_be16(f->lan->bytes + 20), f->endpoint.binding.port);
}

static void parts_are_sent_as_one_datagram_however_many_they_are(void **state)
{
    struct udp_lan *f = *state;
    struct iovec parts[100];
    char letters[100];
    static const int counts[] = {1, 23, 24, 25, 100};

    udp_lan_bind(f, 7);
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
    struct udp_lan *f = *state;
    static char bytes[1473];
    struct iovec part = {bytes, 1472};

    udp_lan_bind(f, 7);
    assert_int_equal(udp_send(&f->udp, &f->endpoint, &part, 1, &f->peer, PEER_PORT, NULL), 0);
    assert_int_equal(f->lan->sent, 1);
    assert_int_equal(f->lan->length, 1500);
    part.iov_len = 1473;
    assert_int_equal(udp_send(&f->udp, &f->endpoint, &part, 1, &f->peer, PEER_PORT, NULL), 0);
    assert_int_equal(f->lan->sent, 3);
    assert_int_equal(f->lan->length, 21);
    assert_int_equal(udp_lan_counter(f, COUNTER_udp_datagrams_out), 2);
}

static void a_datagram_above_what_any_packet_holds_is_refused(void **state)
{
    struct udp_lan *f = *state;
    static char bytes[65536];
    struct iovec part = {bytes, 65507}, more[] = {{bytes, 65000}, {bytes, SIZE_MAX - 64000}};

    udp_lan_bind(f, 7);
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
    struct udp_lan *f = *state;
    f->lan->fail_with = ENOBUFS;
    assert_int_equal(udp_lan_send(f, "hello", &f->peer, PEER_PORT), -1);
    assert_int_equal(errno, ENOBUFS);
    assert_int_equal(udp_lan_counter(f, COUNTER_udp_datagrams_out), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, udp_lan_setup, udp_lan_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
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
