/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tcp/isn.h"

#define START_NS (1000 * NS_PER_S)

typedef uint32_t choose(const struct core *, const struct tuple *);

/* The functions that hash the whole tuple. */
static choose *const of_the_tuple[] = {isn_choose, isn_timestamp_offset, isn_tuple_hash};
#define OF_THE_TUPLE (sizeof(of_the_tuple) / sizeof(of_the_tuple[0]))

struct fixture {
    struct core core;
    struct tuple tuple;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    for (size_t i = 0; i < sizeof(f->core.config.secret); i++)
        f->core.config.secret[i] = (uint8_t)(17 * i + 3);
    core_set_now(&f->core, START_NS);
    f->tuple = (struct tuple){
        .local = address_v4(0x0a070002),
        .remote = address_v4(0x0a070001),
        .local_port = 80,
        .remote_port = 50000,
    };
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static unsigned bits_set(uint32_t value)
{
    return (unsigned)__builtin_popcount(value);
}

/*
 * Turns each bit of [bytes, bytes + length), which is a part of the fixture, and fails unless the
 * chosen number changes each time, in half of its bits on average, as that of a hash does.
 */
static void each_bit_matters(struct fixture *f, choose *function, void *bytes, size_t length)
{
    uint32_t before = function(&f->core, &f->tuple);
    unsigned changed = 0;

    for (size_t bit = 0; bit < length * 8; bit++) {
        uint8_t *byte = (uint8_t *)bytes + bit / 8;
        *byte ^= (uint8_t)(1 << bit % 8);
        uint32_t difference = function(&f->core, &f->tuple) ^ before;
        *byte ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(difference, 0);
        changed += bits_set(difference);
    }
    /* 32 bits change 16 +- 2.8 each; of 16 numbers and more that is no more than 3 off. */
    assert_in_range(changed, 13 * length * 8, 19 * length * 8);
}

static void the_isn_ticks_every_4_microseconds_rfc9293_3_4_1(void **state)
{
    struct fixture *f = *state;
    uint32_t first = isn_choose(&f->core, &f->tuple);

    core_set_now(&f->core, START_NS + 3999);
    assert_int_equal(isn_choose(&f->core, &f->tuple), first);
    core_set_now(&f->core, START_NS + 4000);
    assert_int_equal(isn_choose(&f->core, &f->tuple), first + 1);
    core_set_now(&f->core, START_NS + NS_PER_S);
    assert_int_equal(isn_choose(&f->core, &f->tuple), first + 250000);
}

/* 2^32 ticks of 4 us are 17179.869184 s, about 4.77 hours. */
static void the_clock_of_the_isn_cycles_in_4_77_hours_rfc9293_3_4_1(void **state)
{
    struct fixture *f = *state;
    uint32_t first = isn_choose(&f->core, &f->tuple);

    core_set_now(&f->core, START_NS + UINT64_C(8589934592000)); /* half of it */
    assert_int_equal(isn_choose(&f->core, &f->tuple), first + 0x80000000);
    core_set_now(&f->core, START_NS + UINT64_C(17179869184000));
    assert_int_equal(isn_choose(&f->core, &f->tuple), first);
}

static void the_clock_moves_nothing_but_the_isn(void **state)
{
    struct fixture *f = *state;
    static choose *const timeless[] = {isn_timestamp_offset, isn_port_offset, isn_tuple_hash};

    for (size_t i = 0; i < sizeof(timeless) / sizeof(timeless[0]); i++) {
        core_set_now(&f->core, START_NS);
        uint32_t before = timeless[i](&f->core, &f->tuple);
        core_set_now(&f->core, START_NS + 12345 * NS_PER_S);
        assert_int_equal(timeless[i](&f->core, &f->tuple), before);
    }
}

static void each_bit_of_each_member_of_the_tuple_matters_rfc9293_3_4_1(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < OF_THE_TUPLE; i++) {
        each_bit_matters(f, of_the_tuple[i], &f->tuple.local, sizeof(f->tuple.local));
        each_bit_matters(f, of_the_tuple[i], &f->tuple.remote, sizeof(f->tuple.remote));
        each_bit_matters(f, of_the_tuple[i], &f->tuple.local_port, sizeof(f->tuple.local_port));
        each_bit_matters(f, of_the_tuple[i], &f->tuple.remote_port, sizeof(f->tuple.remote_port));
    }
}

static void each_bit_of_the_secret_matters(void **state)
{
    struct fixture *f = *state;
    uint8_t *secret = f->core.config.secret;

    for (size_t i = 0; i < OF_THE_TUPLE; i++)
        each_bit_matters(f, of_the_tuple[i], secret, sizeof(f->core.config.secret));
    each_bit_matters(f, isn_port_offset, secret, sizeof(f->core.config.secret));
}

static void the_two_ends_of_a_connection_differ(void **state)
{
    struct fixture *f = *state;
    struct tuple other = {
        .local = f->tuple.remote,
        .remote = f->tuple.local,
        .local_port = f->tuple.remote_port,
        .remote_port = f->tuple.local_port,
    };

    for (size_t i = 0; i < OF_THE_TUPLE; i++)
        assert_int_not_equal(of_the_tuple[i](&f->core, &f->tuple),
                             of_the_tuple[i](&f->core, &other));
}

static void the_port_offset_ignores_the_local_port_rfc6056_3_3_3(void **state)
{
    struct fixture *f = *state;
    uint32_t first = isn_port_offset(&f->core, &f->tuple);

    for (uint32_t port = 0; port <= UINT16_MAX; port++) {
        f->tuple.local_port = (uint16_t)port;
        assert_int_equal(isn_port_offset(&f->core, &f->tuple), first);
    }
}

static void the_port_offset_differs_by_destination_rfc6056_3_3_3(void **state)
{
    struct fixture *f = *state;

    each_bit_matters(f, isn_port_offset, &f->tuple.local, sizeof(f->tuple.local));
    each_bit_matters(f, isn_port_offset, &f->tuple.remote, sizeof(f->tuple.remote));
    each_bit_matters(f, isn_port_offset, &f->tuple.remote_port, sizeof(f->tuple.remote_port));
}

/* A timestamp on the wire must not give away a sequence number, nor a port offset a slot. */
static void no_use_of_the_secret_tells_about_another(void **state)
{
    struct fixture *f = *state;
    core_set_now(&f->core, 0); /* the clock adds nothing to the hash */
    f->tuple.local_port = 0;
    uint32_t numbers[] = {
        isn_choose(&f->core, &f->tuple),
        isn_timestamp_offset(&f->core, &f->tuple),
        isn_port_offset(&f->core, &f->tuple),
        isn_tuple_hash(&f->core, &f->tuple),
    };

    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < i; j++)
            assert_in_range(bits_set(numbers[i] ^ numbers[j]), 5, 27);
}

static void shards_with_one_secret_choose_alike(void **state)
{
    struct fixture *f = *state;
    struct fixture *shard;
    setup((void **)&shard);
    prng_seed(&shard->core.prng, 99); /* what else differs between them does not matter */
    shard->core.config.sockets_max = 7;

    for (size_t i = 0; i < OF_THE_TUPLE; i++)
        assert_int_equal(of_the_tuple[i](&f->core, &f->tuple),
                         of_the_tuple[i](&shard->core, &f->tuple));
    assert_int_equal(isn_port_offset(&f->core, &f->tuple),
                     isn_port_offset(&shard->core, &f->tuple));
    free(shard);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_isn_ticks_every_4_microseconds_rfc9293_3_4_1),
        TEST(the_clock_of_the_isn_cycles_in_4_77_hours_rfc9293_3_4_1),
        TEST(the_clock_moves_nothing_but_the_isn),
        TEST(each_bit_of_each_member_of_the_tuple_matters_rfc9293_3_4_1),
        TEST(each_bit_of_the_secret_matters),
        TEST(the_two_ends_of_a_connection_differ),
        TEST(the_port_offset_ignores_the_local_port_rfc6056_3_3_3),
        TEST(the_port_offset_differs_by_destination_rfc6056_3_3_3),
        TEST(no_use_of_the_secret_tells_about_another),
        TEST(shards_with_one_secret_choose_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
