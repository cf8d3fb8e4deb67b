/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "ip/ports.h"

#define FIRST 50000

struct fixture {
    struct core core;
    struct ports ports;
    struct address any, one, two;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->core.config.port_first = FIRST;
    f->core.config.port_last = FIRST + 999;
    f->core.config.shards = 1;
    prng_seed(&f->core.prng, 7);
    ports_init(&f->ports);
    f->any = address_v4(INADDR_ANY);
    f->one = address_v4(0x0a000001);
    f->two = address_v4(0x0a000002);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void a_port_is_claimed_once(void **state)
{
    struct fixture *f = *state;
    struct binding a = {0}, b = {0};

    assert_int_equal(ports_bind(&f->ports, &a, &f->one, 80), 0);
    assert_int_equal(a.port, 80);
    assert_true(address_equal(&a.address, &f->one));
    assert_int_equal(ports_bind(&f->ports, &b, &f->one, 80), -1);
    assert_int_equal(errno, EADDRINUSE);
    assert_int_equal(b.port, 0);
    assert_int_equal(ports_bind(&f->ports, &b, &f->one, 81), 0);
}

static void two_addresses_may_have_the_same_port(void **state)
{
    struct fixture *f = *state;
    struct binding a = {0}, b = {0};

    assert_int_equal(ports_bind(&f->ports, &a, &f->one, 80), 0);
    assert_false(ports_taken(&f->ports, &f->two, 80));
    assert_int_equal(ports_bind(&f->ports, &b, &f->two, 80), 0);
}

static void all_addresses_overlap_with_each(void **state)
{
    struct fixture *f = *state;
    struct binding a = {0}, b = {0};

    assert_int_equal(ports_bind(&f->ports, &a, &f->any, 80), 0);
    assert_true(ports_taken(&f->ports, &f->one, 80));
    assert_int_equal(ports_bind(&f->ports, &b, &f->one, 80), -1);
    ports_release(&a);
    assert_int_equal(ports_bind(&f->ports, &b, &f->one, 80), 0);
    assert_true(ports_taken(&f->ports, &f->any, 80));
    assert_int_equal(ports_bind(&f->ports, &a, &f->any, 80), -1);
}

static void ports_of_one_bucket_are_told_apart(void **state)
{
    struct fixture *f = *state;
    struct binding a = {0}, b = {0};

    assert_int_equal(ports_bind(&f->ports, &a, &f->any, 80), 0);
    assert_ptr_equal(ports_bucket(&f->ports, 80), ports_bucket(&f->ports, 80 + PORTS_BUCKETS));
    assert_false(ports_taken(&f->ports, &f->any, 80 + PORTS_BUCKETS));
    assert_int_equal(ports_bind(&f->ports, &b, &f->any, 80 + PORTS_BUCKETS), 0);
    ports_release(&a);
    assert_true(ports_taken(&f->ports, &f->any, 80 + PORTS_BUCKETS));
}

static void a_released_port_is_free_again(void **state)
{
    struct fixture *f = *state;
    struct binding a = {0};

    assert_int_equal(ports_bind(&f->ports, &a, &f->one, 80), 0);
    ports_release(&a);
    assert_int_equal(a.port, 0);
    assert_false(ports_taken(&f->ports, &f->any, 80));
    ports_release(&a); /* none: nothing happens */
    assert_int_equal(ports_bind(&f->ports, &a, &f->one, 80), 0);
}

/* Claims the whole range, and looks that each port of it is found, and none twice. */
static void exhaust(struct fixture *f, uint16_t range)
{
    static struct binding claims[1000];
    bool seen[1000] = {false};
    struct binding more = {0};

    f->core.config.port_last = (uint16_t)(FIRST + range - 1);
    for (int i = 0; i < range; i++) {
        claims[i] = (struct binding){0};
        assert_int_equal(ports_bind_any(&f->ports, &f->core, &claims[i], &f->any), 0);
        assert_in_range(claims[i].port, FIRST, FIRST + range - 1);
        assert_false(seen[claims[i].port - FIRST]);
        seen[claims[i].port - FIRST] = true;
    }
    assert_int_equal(ports_bind_any(&f->ports, &f->core, &more, &f->any), -1);
    assert_int_equal(errno, EADDRINUSE);
    assert_int_equal(more.port, 0);
    for (int i = 0; i < range; i++)
        ports_release(&claims[i]);
}

static void every_port_of_the_range_is_found_and_none_twice_rfc6056_3_3(void **state)
{
    exhaust(*state, 1);
    for (int i = 0; i < 20; i++)
        exhaust(*state, 20);
    exhaust(*state, 1000);
}

static void ports_are_not_drawn_in_order_rfc6056_3_3(void **state)
{
    struct fixture *f = *state;
    struct binding claims[100] = {0};
    int neighbours = 0;

    for (int i = 0; i < 100; i++) {
        assert_int_equal(ports_bind_any(&f->ports, &f->core, &claims[i], &f->any), 0);
        if (i > 0 && abs(claims[i].port - claims[i - 1].port) == 1)
            neighbours++;
    }
    assert_true(neighbours < 5);
}

static void the_secret_decides_what_is_drawn(void **state)
{
    struct fixture *f = *state;
    uint16_t drawn[2][8];

    for (int run = 0; run < 2; run++) {
        prng_seed(&f->core.prng, 7);
        f->core.config.secret[0] = (uint8_t)run;
        for (int i = 0; i < 8; i++) {
            struct binding b = {0};
            assert_int_equal(ports_bind_any(&f->ports, &f->core, &b, &f->any), 0);
            drawn[run][i] = b.port;
            ports_release(&b);
        }
    }
    assert_memory_not_equal(drawn[0], drawn[1], sizeof(drawn[0]));
}

static void claims_share_if_both_say_so(void **state)
{
    struct fixture *f = *state;
    struct binding a = {.reuse_address = true}, b = {.reuse_address = true},
                   c = {.reuse_port = true};
    assert_int_equal(ports_bind(&f->ports, &a, &f->any, 7), 0);
    assert_int_equal(ports_bind(&f->ports, &b, &f->any, 7), 0);
    assert_int_equal(ports_bind(&f->ports, &c, &f->any, 7), -1);
    assert_int_equal(errno, EADDRINUSE);
    assert_int_equal(ports_listen(&f->ports, &a), 0);
    assert_int_equal(ports_listen(&f->ports, &b), -1);
    assert_int_equal(errno, EADDRINUSE);
    assert_int_equal(ports_listen(&f->ports, &a), 0); /* it does not stand in its own way */
    ports_release(&a);
    assert_int_equal(ports_listen(&f->ports, &b), 0);
    ports_release(&b);
}

static void a_claim_moves_where_nobody_stands(void **state)
{
    struct fixture *f = *state;
    struct address one = address_v4(0x0a070001), other = address_v4(0x0a070002);
    struct binding a = {0}, b = {0};
    assert_int_equal(ports_bind(&f->ports, &a, &one, 7), 0);
    assert_int_equal(ports_bind(&f->ports, &b, &other, 7), 0);
    assert_int_equal(ports_move(&f->ports, &a, &other), -1);
    assert_int_equal(errno, EADDRINUSE);
    assert_int_equal(ports_move(&f->ports, &a, &f->any), -1);
    assert_true(address_equal(&a.address, &one));
    ports_release(&b);
    assert_int_equal(ports_move(&f->ports, &a, &other), 0);
    assert_true(address_equal(&a.address, &other));
    ports_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_port_is_claimed_once, setup, teardown),
        cmocka_unit_test_setup_teardown(two_addresses_may_have_the_same_port, setup, teardown),
        cmocka_unit_test_setup_teardown(all_addresses_overlap_with_each, setup, teardown),
        cmocka_unit_test_setup_teardown(ports_of_one_bucket_are_told_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(claims_share_if_both_say_so, setup, teardown),
        cmocka_unit_test_setup_teardown(a_claim_moves_where_nobody_stands, setup, teardown),
        cmocka_unit_test_setup_teardown(a_released_port_is_free_again, setup, teardown),
        cmocka_unit_test_setup_teardown(every_port_of_the_range_is_found_and_none_twice_rfc6056_3_3,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(ports_are_not_drawn_in_order_rfc6056_3_3, setup, teardown),
        cmocka_unit_test_setup_teardown(the_secret_decides_what_is_drawn, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
