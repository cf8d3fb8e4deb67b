/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "lan.h"

static int setup(void **state)
{
    *state = lan_new(1500, 0);
    return 0;
}

static int teardown(void **state)
{
    lan_free(*state);
    return 0;
}

/* A second interface, 192.168.1.2/16. */
static struct interface *second(struct lan *lan, struct strait_link *link)
{
    lan_link(lan, link, 9000, 0);
    struct interface *interface = ip_attach(&lan->ip, link, address_v4(0xc0a80102), 16);
    assert_non_null(interface);
    return interface;
}

/* The interface that leads to a destination, or NULL. */
static struct interface *towards(struct lan *lan, uint32_t destination)
{
    struct address address = address_v4(destination);
    struct route route;
    if (ip_route_find(&lan->ip, NULL, &address, &route) < 0) {
        assert_int_equal(errno, ENETUNREACH);
        return NULL;
    }
    assert_true(address_equal(&route.destination, &address));
    return route.interface;
}

static void a_route_can_be_led_through_another_interface(void **state)
{
    struct lan *lan = *state;
    struct strait_link link;
    struct interface *other = second(lan, &link);
    struct address peer = address_v4(LAN_PEER), own = address_v4(LAN_HOST);
    struct route route;

    assert_int_equal(ip_interface_number(&lan->ip, &lan->ip.loopback.interface), 1);
    assert_int_equal(ip_interface_number(&lan->ip, lan->interface), 2);
    assert_int_equal(ip_interface_number(&lan->ip, other), 3);
    assert_int_equal(ip_route_find(&lan->ip, NULL, &peer, &route), 0);
    assert_int_equal(ip_route_through(&lan->ip, 3, &route), 0);
    assert_ptr_equal(route.interface, other);
    assert_true(address_equal(&route.source, &other->address));
    assert_int_equal(route.mtu, 9000);
    assert_int_equal(ip_route_through(&lan->ip, 4, &route), -1);
    assert_int_equal(errno, ENODEV);
    assert_int_equal(ip_route_find(&lan->ip, NULL, &own, &route), 0);
    assert_int_equal(ip_route_through(&lan->ip, 3, &route), 0); /* what stays inside stays */
    assert_ptr_equal(route.interface, &lan->ip.loopback.interface);
}

static int attach(struct lan *lan, uint32_t mtu, uint32_t address, int prefix_bits)
{
    struct strait_link link;
    lan_link(lan, &link, mtu, 0);
    if (ip_attach(&lan->ip, &link, address_v4(address), prefix_bits) != NULL)
        return 0;
    return errno;
}

static void a_route_tells_what_a_packet_needs(void **state)
{
    struct lan *lan = *state;
    struct address peer = address_v4(LAN_PEER), host = address_v4(LAN_HOST);
    struct route route;

    assert_int_equal(ip_route_find(&lan->ip, NULL, &peer, &route), 0);
    assert_ptr_equal(route.interface, lan->interface);
    assert_true(address_equal(&route.source, &host));
    assert_int_equal(route.mtu, 1500);
    assert_int_equal(route.header_bytes, 20);
    assert_int_equal(route.ttl, 64);
    assert_int_equal(route.tos, 0);
}

static void the_first_interface_is_the_default(void **state)
{
    struct lan *lan = *state;
    struct strait_link link;

    assert_ptr_equal(towards(lan, 0x08080808), lan->interface);
    second(lan, &link);
    assert_ptr_equal(towards(lan, 0x08080808), lan->interface);
}

static void each_network_is_reached_through_its_own_interface(void **state)
{
    struct lan *lan = *state;
    struct strait_link link;
    struct interface *other = second(lan, &link);

    assert_ptr_equal(towards(lan, 0xc0a8fe01), other);
    assert_ptr_equal(towards(lan, 0xc0a90001), lan->interface); /* 192.169.0.1: the default */
    assert_ptr_equal(towards(lan, LAN_PEER), lan->interface);
}

static void the_longest_prefix_wins_in_whatever_order_it_came(void **state)
{
    struct lan *lan = *state;
    struct strait_link link;
    struct interface *other = second(lan, &link);

    assert_int_equal(ip_route_add(&lan->ip, address_v4(0x14010203), 32, other), 0);
    assert_int_equal(ip_route_add(&lan->ip, address_v4(0x14000000), 8, other), 0);
    assert_int_equal(ip_route_add(&lan->ip, address_v4(0x14010000), 16, lan->interface), 0);
    assert_ptr_equal(towards(lan, 0x14ff0001), other);
    assert_ptr_equal(towards(lan, 0x14010204), lan->interface);
    assert_ptr_equal(towards(lan, 0x14010203), other);
}

static void a_route_can_be_led_elsewhere(void **state)
{
    struct lan *lan = *state;
    struct strait_link link;
    struct interface *other = second(lan, &link);

    assert_int_equal(ip_route_add(&lan->ip, address_v4(INADDR_ANY), 0, other), 0);
    assert_ptr_equal(towards(lan, 0x08080808), other);
    assert_ptr_equal(towards(lan, LAN_PEER), lan->interface);
}

static void without_a_route_the_network_is_unreachable(void **state)
{
    struct lan *lan = *state;
    struct address far = address_v4(0x08080808);
    struct route route;

    lan->ip.route_count = 1; /* the default route, the shortest, is the last */
    assert_int_equal(ip_route_find(&lan->ip, NULL, &far, &route), -1);
    assert_int_equal(errno, ENETUNREACH);
    assert_int_equal(lan->core.counters[COUNTER_ip_no_route], 1);
    assert_ptr_equal(towards(lan, LAN_PEER), lan->interface);
}

static void there_is_no_way_to_what_is_not_one_host(void **state)
{
    struct lan *lan = *state;

    assert_null(towards(lan, INADDR_ANY));
    assert_null(towards(lan, INADDR_BROADCAST));
    assert_null(towards(lan, 0xe0000001)); /* 224.0.0.1 */
    assert_null(towards(lan, 0xf0000001)); /* 240.0.0.1 */
    assert_null(towards(lan, 0x0a0700ff)); /* 10.7.0.255 */
}

/* Finds a route from `source` (0: any) to `destination`. Returns its source, or 0 with errno. */
static uint32_t source_of(struct lan *lan, uint32_t source, uint32_t destination)
{
    struct address from = address_v4(source), to = address_v4(destination);
    struct route route;

    if (ip_route_find(&lan->ip, &from, &to, &route) < 0)
        return 0;
    bool inside = route.interface == &lan->ip.loopback.interface;
    assert_int_equal(inside, destination != LAN_PEER);
    assert_int_equal(route.mtu, inside ? 65535 : 1500);
    return address_to_v4(&route.source);
}

static void the_host_reaches_itself_through_its_loopback(void **state)
{
    struct lan *lan = *state;

    assert_int_equal(source_of(lan, 0, LAN_HOST), LAN_HOST);
    assert_int_equal(source_of(lan, 0, INADDR_LOOPBACK), INADDR_LOOPBACK);
    assert_int_equal(source_of(lan, 0, INADDR_LOOPBACK + 5), INADDR_LOOPBACK);
    assert_int_equal(source_of(lan, INADDR_LOOPBACK + 5, INADDR_LOOPBACK), INADDR_LOOPBACK + 5);
    assert_int_equal(source_of(lan, LAN_HOST, INADDR_LOOPBACK), LAN_HOST);
    assert_int_equal(source_of(lan, INADDR_LOOPBACK, LAN_HOST), INADDR_LOOPBACK);
}

static void a_loopback_source_stays_in_the_host_rfc1122_3_2_1_3(void **state)
{
    struct lan *lan = *state;

    assert_int_equal(source_of(lan, INADDR_LOOPBACK, LAN_PEER), 0);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(source_of(lan, 0, LAN_PEER), LAN_HOST);
}

static void a_source_must_be_an_address_of_the_host(void **state)
{
    struct lan *lan = *state;
    struct strait_link link;
    second(lan, &link);
    struct address peer = address_v4(LAN_PEER), mine = address_v4(0xc0a80102);
    struct address foreign = address_v4(0xc0a80103), any = address_v4(INADDR_ANY);
    struct route route;

    assert_int_equal(ip_route_find(&lan->ip, &foreign, &peer, &route), -1);
    assert_int_equal(errno, EADDRNOTAVAIL);
    assert_int_equal(ip_route_find(&lan->ip, &mine, &peer, &route), 0);
    assert_true(address_equal(&route.source, &mine));
    assert_ptr_equal(route.interface, lan->interface);
    assert_int_equal(ip_route_find(&lan->ip, &any, &peer, &route), 0);
    assert_int_equal(address_to_v4(&route.source), LAN_HOST);
}

static void bad_routes_are_refused(void **state)
{
    struct lan *lan = *state;
    struct address network = address_v4(0x14010000);

    assert_int_equal(ip_route_add(&lan->ip, network, -1, lan->interface), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(ip_route_add(&lan->ip, network, 33, lan->interface), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(ip_route_add(&lan->ip, network, 15, lan->interface),
                     -1); /* 20.1/15 has a bit more */
    assert_int_equal(errno, EINVAL);
    assert_int_equal(ip_route_add(&lan->ip, network, 0, lan->interface), -1);
    assert_int_equal(errno, EINVAL);
}

static void the_table_of_routes_has_an_end(void **state)
{
    struct lan *lan = *state;
    int added = lan->ip.route_count;

    for (uint32_t i = 0; added < IP_ROUTES_MAX; i++, added++)
        assert_int_equal(ip_route_add(&lan->ip, address_v4(0x14000000 + i), 32, lan->interface), 0);
    assert_int_equal(ip_route_add(&lan->ip, address_v4(0x15000000), 32, lan->interface), -1);
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(attach(lan, 1500, 0x16000001, 24), ENOSPC);
    assert_int_equal(lan->ip.interface_count, 1);
}

static void the_table_of_interfaces_has_an_end(void **state)
{
    struct lan *lan = *state;
    struct strait_link links[IP_INTERFACES_MAX];

    for (uint32_t i = 1; i < IP_INTERFACES_MAX; i++) {
        lan_link(lan, &links[i], 1500, 0);
        assert_non_null(ip_attach(&lan->ip, &links[i], address_v4(0x14000001 + (i << 8)), 24));
    }
    assert_int_equal(attach(lan, 1500, 0x16000001, 24), ENOSPC);
}

static void unusable_addresses_and_links_are_refused(void **state)
{
    struct lan *lan = *state;

    assert_int_equal(attach(lan, 67, 0x14000001, 24), EINVAL); /* RFC 791 3.2 */
    assert_int_equal(attach(lan, 65536, 0x14000001, 24), EINVAL);
    assert_int_equal(attach(lan, 1500, 0x14000001, -1), EINVAL);
    assert_int_equal(attach(lan, 1500, 0x14000001, 33), EINVAL);
    assert_int_equal(attach(lan, 1500, INADDR_ANY, 24), EINVAL);
    assert_int_equal(attach(lan, 1500, INADDR_LOOPBACK, 8), EINVAL);
    assert_int_equal(attach(lan, 1500, 0xe0000001, 24), EINVAL);
    assert_int_equal(attach(lan, 1500, 0x140000ff, 24), EINVAL);
    assert_int_equal(attach(lan, 1500, LAN_HOST, 24), EINVAL);
    assert_null(ip_attach(&lan->ip, &lan->link, address_v4(0x14000001), 24));
    assert_int_equal(errno, EINVAL);
    assert_int_equal(lan->ip.interface_count, 1);
    assert_int_equal(lan->ip.route_count, 2);
}

static void a_network_of_two_has_no_broadcast_address_rfc3021(void **state)
{
    struct lan *lan = *state;
    struct strait_link link;
    struct address last = address_v4(0x14000001);

    lan_link(lan, &link, 68, 0);
    assert_non_null(ip_attach(&lan->ip, &link, last, 31));
    assert_true(ip_is_local(&lan->ip, &last));
    assert_false(ip_is_broadcast(&lan->ip, &last));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_route_tells_what_a_packet_needs, setup, teardown),
        cmocka_unit_test_setup_teardown(a_route_can_be_led_through_another_interface, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_first_interface_is_the_default, setup, teardown),
        cmocka_unit_test_setup_teardown(each_network_is_reached_through_its_own_interface, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_longest_prefix_wins_in_whatever_order_it_came, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_route_can_be_led_elsewhere, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_route_the_network_is_unreachable, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(there_is_no_way_to_what_is_not_one_host, setup, teardown),
        cmocka_unit_test_setup_teardown(the_host_reaches_itself_through_its_loopback, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_loopback_source_stays_in_the_host_rfc1122_3_2_1_3, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_source_must_be_an_address_of_the_host, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_routes_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(the_table_of_routes_has_an_end, setup, teardown),
        cmocka_unit_test_setup_teardown(the_table_of_interfaces_has_an_end, setup, teardown),
        cmocka_unit_test_setup_teardown(unusable_addresses_and_links_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_network_of_two_has_no_broadcast_address_rfc3021, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
