/* SPDX-License-Identifier: MIT */
/* The local ports of connections (RFC 6056 3.3.3), by the TCP layer on a link in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "lan.h"
#include "tcp/isn.h"
#include "tcp/tcp.h"

#define FIRST 50000
#define PORTS 100

struct fixture {
    struct lan *lan;
    struct tcp tcp;
    struct address peer;
};

static void wake_nobody(void *context, void *owner)
{
    (void)context, (void)owner;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->lan = lan_new(1500, 0);
    f->lan->core.config.port_first = FIRST;
    f->lan->core.config.port_last = FIRST + PORTS - 1;
    f->lan->core.config.connections_max = 10 * PORTS;
    f->lan->core.config.secret[0] = 1;
    f->peer = address_v4(LAN_PEER);
    assert_true(tcp_init(&f->tcp, &f->lan->core, &f->lan->ip));
    f->tcp.wake = wake_nobody;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    tcp_silence(&f->tcp);
    tcp_finish(&f->tcp);
    lan_free(f->lan);
    free(f);
    return 0;
}

/* The port of a connection that is begun now, which lasts; -1 with errno. */
static int connect_to(struct fixture *f, uint16_t port)
{
    struct connection *c = tcp_connect(&f->tcp, NULL, &f->peer, port, f);
    if (c == NULL)
        return -1;
    int drawn = tcp_names(c).local_port;
    assert_in_range(drawn, FIRST, FIRST + PORTS - 1);
    return drawn;
}

static void connect_all(struct fixture *f, uint16_t port, int drawn[PORTS])
{
    bool taken[PORTS] = {false};

    for (int i = 0; i < PORTS; i++) {
        drawn[i] = connect_to(f, port);
        assert_true(drawn[i] >= 0);
        assert_false(taken[drawn[i] - FIRST]);
        taken[drawn[i] - FIRST] = true;
    }
}

static void all_ports_are_drawn_and_none_twice_rfc6056_3_3_3(void **state)
{
    struct fixture *f = *state;
    int drawn[PORTS];

    connect_all(f, 80, drawn);
    assert_int_equal(connect_to(f, 80), -1);
    assert_int_equal(errno, EADDRNOTAVAIL);
}

static void each_destination_has_all_the_ports_rfc6056_3_3_3(void **state)
{
    struct fixture *f = *state;
    int drawn[PORTS];

    connect_all(f, 80, drawn);
    connect_all(f, 81, drawn);
    f->peer = address_v4(LAN_PEER + 7);
    connect_all(f, 80, drawn);
}

static void a_bound_port_is_not_drawn_rfc6056_3_3_3(void **state)
{
    struct fixture *f = *state;
    struct binding bound = {0};
    struct address any = address_v4(INADDR_ANY);

    assert_int_equal(ports_bind(&f->tcp.ports, &bound, &any, FIRST + 42), 0);
    for (int i = 0; i < PORTS - 1; i++)
        assert_int_not_equal(connect_to(f, 80), FIRST + 42);
    assert_int_equal(connect_to(f, 80), -1);
    assert_int_equal(errno, EADDRNOTAVAIL);
    ports_release(&bound);
}

/*
 * The sum of the hash and the count of all draws passes 2^32, or the count alone does. 2^32 is 96
 * more than a multiple of PORTS: a search that starts over there misses the last four.
 */
static void the_last_free_port_is_found_whatever_the_count_rfc6056_3_3_3(void **state)
{
    struct fixture *f = *state;
    struct tuple tuple = {.local = address_v4(LAN_HOST), .remote = f->peer, .remote_port = 80};
    uint32_t wraps_at[] = {0, -isn_port_offset(&f->lan->core, &tuple)};
    struct connection *last = NULL;

    for (int i = 0; i < PORTS; i++) {
        struct connection *c = tcp_connect(&f->tcp, NULL, &f->peer, 80, f);
        assert_non_null(c);
        if (tcp_names(c).local_port == FIRST + PORTS - 1)
            last = c;
    }
    for (unsigned wrap = 0; wrap < 2; wrap++) {
        for (uint32_t before = 0; before < PORTS; before++) {
            tcp_close(&f->tcp, last, false);
            f->tcp.ports_drawn = wraps_at[wrap] - before;
            last = tcp_connect(&f->tcp, NULL, &f->peer, 80, f);
            assert_non_null(last);
            assert_int_equal(tcp_names(last).local_port, FIRST + PORTS - 1);
        }
    }
}

/* Where a secret and a destination begin; the count of draws is 0. */
static int first_port(uint8_t secret, uint16_t port)
{
    struct fixture *f = NULL;
    setup((void **)&f);
    f->lan->core.config.secret[0] = secret;
    int drawn = connect_to(f, port);
    teardown((void **)&f);
    return drawn;
}

/* Of 40 draws out of 100 ports by chance, about 33 differ. */
static void ports_cannot_be_told_without_the_secret_rfc6056_3_3_3(void **state)
{
    bool by_secret[PORTS] = {false}, by_destination[PORTS] = {false};
    int secrets = 0, destinations = 0;

    (void)state;
    for (int i = 0; i < 40; i++) {
        int drawn = first_port((uint8_t)i, 80) - FIRST;
        secrets += !by_secret[drawn];
        by_secret[drawn] = true;
        drawn = first_port(1, (uint16_t)(80 + i)) - FIRST;
        destinations += !by_destination[drawn];
        by_destination[drawn] = true;
    }
    assert_in_range(secrets, 25, 40);
    assert_in_range(destinations, 25, 40);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(all_ports_are_drawn_and_none_twice_rfc6056_3_3_3),
        TEST(each_destination_has_all_the_ports_rfc6056_3_3_3),
        TEST(a_bound_port_is_not_drawn_rfc6056_3_3_3),
        TEST(the_last_free_port_is_found_whatever_the_count_rfc6056_3_3_3),
        cmocka_unit_test(ports_cannot_be_told_without_the_secret_rfc6056_3_3_3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
