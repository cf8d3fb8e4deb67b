/* SPDX-License-Identifier: MIT */
/* The cache of path MTUs, and which messages about them are believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lan.h"

#define FAR    0x14000001u /* 20.0.0.1 */
#define MINUTE (60 * NS_PER_S)

static int setup(void **state)
{
    *state = lan_new(1500, 0);
    return 0;
}

static int setup_super(void **state)
{
    *state = lan_new(1500, STRAIT_LINK_TSO4);
    return 0;
}

static int teardown(void **state)
{
    lan_free(*state);
    return 0;
}

static struct route route_to(struct lan *lan, uint32_t destination)
{
    struct address to = address_v4(destination);
    struct route route;
    assert_int_equal(ip_route_find(&lan->ip, NULL, &to, &route), 0);
    return route;
}

/* A message about a packet of so many bytes on a route. Returns the route's MTU afterwards. */
static unsigned too_big(struct lan *lan, struct route *route, uint16_t mtu, uint16_t packet_bytes)
{
    struct ip_error error = {.mtu = mtu, .packet_bytes = packet_bytes};
    unsigned before = route->mtu;
    bool lowered = ip_path_too_big(&lan->ip, route, &error);
    assert_int_equal(lowered, route->mtu < before);
    return route->mtu;
}

static unsigned mtu_to(struct lan *lan, uint32_t destination)
{
    return route_to(lan, destination).mtu;
}

static void learn(struct lan *lan, uint32_t destination, uint16_t mtu)
{
    struct route route = route_to(lan, destination);
    assert_int_equal(too_big(lan, &route, mtu, 1500), mtu);
}

static uint64_t counter(struct lan *lan, enum counter which)
{
    return lan->core.counters[which];
}

static void a_path_is_narrowed_for_its_destination_alone_rfc1191_3(void **state)
{
    struct lan *lan = *state;

    learn(lan, FAR, 1400);
    assert_int_equal(mtu_to(lan, FAR), 1400);
    assert_int_equal(mtu_to(lan, FAR + 1), 1500);
    learn(lan, FAR + 1, 576);
    assert_int_equal(mtu_to(lan, FAR), 1400);
    assert_int_equal(mtu_to(lan, FAR + 1), 576);
    assert_int_equal(counter(lan, COUNTER_ip_path_lowered), 2);
}

static void a_path_is_never_widened_by_a_message_rfc1191_6_4(void **state)
{
    struct lan *lan = *state;
    struct route old = route_to(lan, FAR), route = old;

    assert_int_equal(too_big(lan, &route, 1000, 1500), 1000);
    assert_int_equal(too_big(lan, &route, 1000, 1500), 1000);
    assert_int_equal(too_big(lan, &route, 1200, 1500), 1000);
    assert_int_equal(too_big(lan, &route, 1500, 1500), 1000);
    assert_int_equal(too_big(lan, &route, 65535, 65535), 1000);
    assert_int_equal(counter(lan, COUNTER_ip_path_refused), 4);
    /* One who has not heard yet, and is told less than is known, learns all. */
    assert_int_equal(too_big(lan, &old, 1200, 1500), 1000);
    assert_int_equal(mtu_to(lan, FAR), 1000);
}

static void a_packet_that_would_have_passed_is_no_reason_rfc5927_7_2(void **state)
{
    struct lan *lan = *state;
    struct route route = route_to(lan, FAR);

    assert_int_equal(too_big(lan, &route, 1000, 1000), 1500);
    assert_int_equal(too_big(lan, &route, 1000, 60), 1500);
    assert_int_equal(too_big(lan, &route, 0, 60), 1500);
    assert_int_equal(too_big(lan, &route, 1000, 1001), 1000);
    assert_int_equal(counter(lan, COUNTER_ip_path_refused), 3);
}

static void below_the_floor_it_is_the_floor(void **state)
{
    static const uint16_t mtus[] = {1, 67, 68, 296, 551, 552};
    struct lan *lan = *state;

    for (uint32_t i = 0; i < sizeof(mtus) / sizeof(mtus[0]); i++) {
        struct route route = route_to(lan, FAR + i);
        assert_int_equal(too_big(lan, &route, mtus[i], 1500), 552);
        assert_int_equal(mtu_to(lan, FAR + i), 552);
    }
}

/* RFC 1191 7.1, table 7-1. */
static void a_router_that_tells_no_mtu_means_the_next_plateau_rfc1191_7_1(void **state)
{
    static const struct {
        uint16_t packet_bytes, mtu;
    } cases[] =
        {
            {65535, 32000}, {32001, 32000}, {32000, 17914}, {17914, 8166},
            {9000, 8166},   {8166, 4352},   {4352, 2002},   {2002, 1492},
            {1500, 1492},   {1492, 1006},   {1006, 552}, /* the table says 508, which is below the
                                                            floor */
            {553, 552},     {28, 552},
        };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(path_mtu_meant(0, cases[i].packet_bytes), cases[i].mtu);
}

static void the_plateau_is_that_below_a_segment_of_a_super_packet(void **state)
{
    struct lan *lan = *state;
    struct route route = route_to(lan, FAR);

    assert_int_equal(too_big(lan, &route, 0, 64000), 1492);
    assert_int_equal(too_big(lan, &route, 0, 64000), 1006);
}

static void it_is_forgotten_after_ten_minutes_rfc1191_6_3(void **state)
{
    struct lan *lan = *state;

    learn(lan, FAR, 1000);
    core_set_now(&lan->core, lan->core.now_ns + 10 * MINUTE - 1);
    assert_int_equal(mtu_to(lan, FAR), 1000);
    core_set_now(&lan->core, lan->core.now_ns + 1);
    assert_int_equal(mtu_to(lan, FAR), 1500);
    learn(lan, FAR, 1200); /* what had expired does not count */
    assert_int_equal(mtu_to(lan, FAR), 1200);
}

static void how_long_it_is_known_can_be_set_rfc1191_6_3(void **state)
{
    struct lan *lan = *state;

    lan->core.config.path_mtu_timeout_ms = 5 * 60000;
    learn(lan, FAR, 1000);
    core_set_now(&lan->core, lan->core.now_ns + 5 * MINUTE - 1);
    assert_int_equal(mtu_to(lan, FAR), 1000);
    core_set_now(&lan->core, lan->core.now_ns + 1);
    assert_int_equal(mtu_to(lan, FAR), 1500);
}

static void hearing_it_again_renews_it_rfc1191_6_3(void **state)
{
    struct lan *lan = *state;
    struct route first = route_to(lan, FAR), second = first, third = first;

    too_big(lan, &first, 1000, 1500);
    core_set_now(&lan->core, lan->core.now_ns + 9 * MINUTE);
    too_big(lan, &second, 1000, 1500);
    too_big(lan, &third, 1100, 1500); /* this says nothing of whether 1000 still holds */
    core_set_now(&lan->core, lan->core.now_ns + 9 * MINUTE);
    assert_int_equal(mtu_to(lan, FAR), 1000);
    core_set_now(&lan->core, lan->core.now_ns + MINUTE);
    assert_int_equal(mtu_to(lan, FAR), 1500);
}

static void the_least_recently_used_goes_first(void **state)
{
    struct lan *lan = *state;

    for (uint32_t i = 0; i < PATHS_MAX; i++)
        learn(lan, FAR + i, 1000);
    assert_int_equal(counter(lan, COUNTER_ip_path_forgotten), 0);
    assert_int_equal(mtu_to(lan, FAR), 1000); /* used: the second one is the oldest now */
    learn(lan, FAR + PATHS_MAX, 1000);
    assert_int_equal(counter(lan, COUNTER_ip_path_forgotten), 1);
    assert_int_equal(mtu_to(lan, FAR), 1000);
    assert_int_equal(mtu_to(lan, FAR + 1), 1500);
    for (uint32_t i = 2; i <= PATHS_MAX; i++)
        assert_int_equal(mtu_to(lan, FAR + i), 1000);
}

static void a_million_destinations_take_no_more_room(void **state)
{
    struct lan *lan = *state;
    uint32_t total = 1000000;

    for (uint32_t i = 0; i < total; i++)
        learn(lan, FAR + i, 1000);
    assert_int_equal(lan->ip.paths.count, PATHS_MAX);
    assert_int_equal(counter(lan, COUNTER_ip_path_forgotten), total - PATHS_MAX);
    for (uint32_t i = total - PATHS_MAX; i < total; i++)
        assert_int_equal(mtu_to(lan, FAR + i), 1000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_path_is_narrowed_for_its_destination_alone_rfc1191_3),
        TEST(a_path_is_never_widened_by_a_message_rfc1191_6_4),
        TEST(a_packet_that_would_have_passed_is_no_reason_rfc5927_7_2),
        TEST(below_the_floor_it_is_the_floor),
        TEST(a_router_that_tells_no_mtu_means_the_next_plateau_rfc1191_7_1),
        cmocka_unit_test_setup_teardown(the_plateau_is_that_below_a_segment_of_a_super_packet,
                                        setup_super, teardown),
        TEST(it_is_forgotten_after_ten_minutes_rfc1191_6_3),
        TEST(how_long_it_is_known_can_be_set_rfc1191_6_3),
        TEST(hearing_it_again_renews_it_rfc1191_6_3),
        TEST(the_least_recently_used_goes_first),
        TEST(a_million_destinations_take_no_more_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
