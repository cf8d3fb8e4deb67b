/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tcp/cookie.h"

#define PERIOD_NS (64 * NS_PER_S) /* the granularity that is promised, by hand */
#define OPTIONS   0x3fu           /* the low bits of the timestamp */
#define ISN       0xfffffff0u     /* of the peer */

struct fixture {
    struct core core;
    struct tuple tuple;
    struct segment syn; /* with all options */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    for (size_t i = 0; i < sizeof(f->core.config.secret); i++)
        f->core.config.secret[i] = (uint8_t)(23 * i + 5);
    f->core.config.timestamps = true;
    core_set_now(&f->core, 10 * PERIOD_NS);
    f->tuple = (struct tuple){
        .local = address_v4(0x0a070002),
        .remote = address_v4(0x0a070001),
        .local_port = 80,
        .remote_port = 50000,
    };
    f->syn = (struct segment){.seq = ISN, .flags = TCP_SYN | TCP_ECE | TCP_CWR, .window = 1000};
    f->syn.options.mss = 1460;
    f->syn.options.has_scale = true;
    f->syn.options.scale = 7;
    f->syn.options.has_timestamps = true;
    f->syn.options.timestamp = 4711;
    f->syn.options.sack_permitted = true;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

/* The ACK that an honest peer answers with, if the SYN-ACK was sent now. */
static struct segment answer(const struct fixture *f, uint32_t clock)
{
    struct segment syn = f->syn;
    cookie_limit(&f->core, &syn);
    struct segment ack = {
        .seq = syn.seq + 1,
        .ack = cookie_iss(&f->core, &f->tuple, &syn) + 1,
        .flags = TCP_ACK,
    };
    ack.options.has_timestamps = syn.options.has_timestamps;
    ack.options.timestamp = syn.options.timestamp + 30;
    ack.options.echo = cookie_timestamp(clock, &syn);
    return ack;
}

static bool opens(const struct fixture *f, const struct segment *ack, struct segment *syn)
{
    return cookie_open(&f->core, &f->tuple, ack->seq - 1, ack, syn);
}

static void expect_refused(const struct fixture *f, const struct segment *ack)
{
    struct segment syn;
    assert_false(opens(f, ack, &syn));
}

/* ---- What comes back ------------------------------------------------------------------------ */

static void the_syn_comes_back_rfc4987_3_6(void **state)
{
    struct fixture *f = *state;
    struct segment syn, ack = answer(f, 123456789);

    assert_true(opens(f, &ack, &syn));
    assert_int_equal(syn.seq, ISN);
    assert_int_equal(syn.flags, TCP_SYN | TCP_ECE | TCP_CWR);
    assert_int_equal(syn.options.mss, 1460);
    assert_true(syn.options.has_timestamps);
    assert_int_equal(syn.options.timestamp, 4741);
    assert_true(syn.options.has_scale);
    assert_int_equal(syn.options.scale, 7);
    assert_true(syn.options.sack_permitted);
}

static void every_choice_of_options_comes_back(void **state)
{
    struct fixture *f = *state;
    for (unsigned scale = 0; scale <= TCP_SCALE_MAX + 1; scale++) {
        for (unsigned rest = 0; rest < 4; rest++) {
            f->syn.options.has_scale = scale <= TCP_SCALE_MAX;
            f->syn.options.scale = f->syn.options.has_scale ? (uint8_t)scale : 0;
            f->syn.options.sack_permitted = rest & 1;
            f->syn.flags = rest & 2 ? TCP_SYN | TCP_ECE | TCP_CWR : TCP_SYN;
            struct segment syn, ack = answer(f, scale * 977);
            assert_true(opens(f, &ack, &syn));
            assert_int_equal(syn.options.has_scale, f->syn.options.has_scale);
            assert_int_equal(syn.options.scale, f->syn.options.scale);
            assert_int_equal(syn.options.sack_permitted, f->syn.options.sack_permitted);
            assert_int_equal(syn.flags, f->syn.flags);
        }
    }
}

static void without_timestamps_the_options_stay_behind_rfc4987_3_6(void **state)
{
    struct fixture *f = *state;
    f->syn.options.has_timestamps = false;
    struct segment syn = f->syn, ack = answer(f, 0);

    cookie_limit(&f->core, &syn); /* so they are not offered */
    assert_false(syn.options.has_scale);
    assert_false(syn.options.sack_permitted);
    assert_int_equal(syn.flags, TCP_SYN);
    assert_true(opens(f, &ack, &syn));
    assert_false(syn.options.has_timestamps);
    assert_false(syn.options.has_scale);
    assert_false(syn.options.sack_permitted);
    assert_int_equal(syn.flags, TCP_SYN);
    assert_int_equal(syn.options.mss, 1460);
}

static void timestamps_that_are_switched_off_carry_nothing(void **state)
{
    struct fixture *f = *state;
    f->core.config.timestamps = false;
    struct segment syn = f->syn, ack = answer(f, 0);

    cookie_limit(&f->core, &syn);
    assert_false(syn.options.has_timestamps);
    assert_false(syn.options.has_scale);
    ack.options.has_timestamps = true; /* unasked for */
    assert_true(opens(f, &ack, &syn));
    assert_false(syn.options.has_timestamps);
}

static void one_bit_of_ecn_alone_asks_for_nothing_rfc3168_6_1_1(void **state)
{
    struct fixture *f = *state;
    f->syn.flags = TCP_SYN | TCP_ECE;
    struct segment syn, ack = answer(f, 0);

    assert_true(opens(f, &ack, &syn));
    assert_int_equal(syn.flags, TCP_SYN);
}

/* The offer, and what it may become: never more, and 536 if there is none (RFC 9293 3.7.1). */
static void the_mss_is_rounded_down(void **state)
{
    static const struct {
        uint16_t offer, kept;
    } cases[] = {
        {0, 536},     {1, 48},      {48, 48},     {255, 48},     {256, 256},    {535, 256},
        {536, 536},   {1220, 1220}, {1379, 1220}, {1452, 1452},  {1459, 1452},  {1460, 1460},
        {8959, 1460}, {8960, 8960}, {9000, 8960}, {65495, 8960}, {65535, 8960},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        f->syn.options.mss = cases[i].offer;
        struct segment syn, ack = answer(f, 0);
        assert_true(opens(f, &ack, &syn));
        assert_int_equal(syn.options.mss, cases[i].kept);
    }
}

/* ---- The timestamp -------------------------------------------------------------------------- */

static void the_timestamp_is_of_the_last_64_ms_and_never_of_the_future_rfc7323_4_1(void **state)
{
    struct fixture *f = *state;
    for (uint32_t bits = 0; bits <= OPTIONS; bits++) {
        f->syn.options.has_scale = (bits & 0xf) != 0xf;
        f->syn.options.scale = bits & 0xf;
        f->syn.options.sack_permitted = bits & 0x10;
        f->syn.flags = bits & 0x20 ? TCP_SYN | TCP_ECE | TCP_CWR : TCP_SYN;
        for (uint32_t clock = UINT32_MAX - 200; clock != 200; clock++) { /* across the wrap */
            uint32_t said = cookie_timestamp(clock, &f->syn);
            assert_in_range(clock - said, 0, OPTIONS);
            assert_int_equal(said & OPTIONS, bits);
        }
    }
}

static void the_timestamp_of_one_syn_never_runs_backward_rfc7323_4_1(void **state)
{
    struct fixture *f = *state;
    uint32_t last = cookie_timestamp(UINT32_MAX - 200, &f->syn);
    for (uint32_t clock = UINT32_MAX - 200; clock != 200; clock++) {
        uint32_t said = cookie_timestamp(clock, &f->syn);
        assert_true((int32_t)(said - last) >= 0);
        last = said;
    }
}

/* ---- What is refused ------------------------------------------------------------------------ */

static void a_cookie_is_good_for_one_period_and_refused_after_two(void **state)
{
    struct fixture *f = *state;
    for (unsigned age = 0; age < 64; age++) { /* seconds into the period when it is made */
        core_set_now(&f->core, 10 * PERIOD_NS + age * NS_PER_S);
        struct segment syn, ack = answer(f, 0);
        assert_true(opens(f, &ack, &syn));
        core_set_now(&f->core, f->core.now_ns + PERIOD_NS);
        assert_true(opens(f, &ack, &syn));
        core_set_now(&f->core, 12 * PERIOD_NS - 1);
        assert_true(opens(f, &ack, &syn));
        for (unsigned later = 12; later < 24; later++) {
            core_set_now(&f->core, later * PERIOD_NS);
            expect_refused(f, &ack);
        }
    }
}

static void a_cookie_of_a_time_to_come_is_refused(void **state)
{
    struct fixture *f = *state;
    struct segment ack = answer(f, 0);
    core_set_now(&f->core, f->core.now_ns - 1);
    expect_refused(f, &ack);
    core_set_now(&f->core, 0); /* there is no period before the first */
    expect_refused(f, &ack);
}

static void a_cookie_of_another_tuple_is_refused(void **state)
{
    struct fixture *f = *state;
    struct segment ack = answer(f, 0);
    uint8_t *bytes = (uint8_t *)&f->tuple;

    for (size_t bit = 0; bit < sizeof(f->tuple) * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        expect_refused(f, &ack);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void a_cookie_of_another_secret_is_refused(void **state)
{
    struct fixture *f = *state;
    struct segment ack = answer(f, 0);

    for (size_t bit = 0; bit < sizeof(f->core.config.secret) * 8; bit++) {
        f->core.config.secret[bit / 8] ^= (uint8_t)(1 << bit % 8);
        expect_refused(f, &ack);
        f->core.config.secret[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void each_bit_of_the_numbers_matters(void **state)
{
    struct fixture *f = *state;
    struct segment ack = answer(f, 0);

    for (unsigned bit = 0; bit < 32; bit++) {
        struct segment other = ack;
        other.ack = ((ack.ack - 1) ^ (UINT32_C(1) << bit)) + 1; /* the MSS and the period, too */
        expect_refused(f, &other);
        other = ack;
        other.seq ^= UINT32_C(1) << bit;
        expect_refused(f, &other);
    }
}

static void options_that_were_not_agreed_on_are_refused(void **state)
{
    struct fixture *f = *state;
    struct segment ack = answer(f, 123456789), other = ack, syn;

    for (unsigned bit = 0; bit < 6; bit++) {
        other.options.echo = ack.options.echo ^ (1u << bit);
        expect_refused(f, &other);
    }
    other.options.echo = ack.options.echo + 64; /* a later repetition of the SYN-ACK */
    assert_true(opens(f, &other, &syn));
    other.options.has_timestamps = false;
    expect_refused(f, &other);
    f->syn.options.has_timestamps = false;
    other = answer(f, 0);
    other.options.has_timestamps = true;
    expect_refused(f, &other);
}

/* A forger who sees nothing is right once in 2^28; 2^16 tries are right with odds of 1 to 4096. */
static void guesses_are_refused(void **state)
{
    struct fixture *f = *state;
    struct segment ack = answer(f, 0), syn;
    struct prng prng;
    unsigned right = 0;

    prng_seed(&prng, 1);
    for (unsigned i = 0; i < 1 << 16; i++) {
        struct segment guess = ack;
        guess.ack = (uint32_t)prng_next(&prng);
        right += opens(f, &guess, &syn);
    }
    assert_int_equal(right, 0);
}

/* All of one period: the hashes of 28 bits are as many as chance makes them, not fewer. */
static void cookies_of_many_peers_differ(void **state)
{
    struct fixture *f = *state;
    enum { PEERS = 1 << 12 };
    static uint32_t seen[PEERS];
    unsigned same = 0;

    for (uint32_t i = 0; i < PEERS; i++) {
        f->tuple.remote = address_v4(0x0b000000 + i);
        seen[i] = cookie_iss(&f->core, &f->tuple, &f->syn);
        for (uint32_t j = 0; j < i; j++)
            same += seen[j] == seen[i];
    }
    assert_in_range(same, 0, 2); /* 2^23 pairs, each alike with odds of 1 to 2^28 */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_syn_comes_back_rfc4987_3_6),
        TEST(every_choice_of_options_comes_back),
        TEST(without_timestamps_the_options_stay_behind_rfc4987_3_6),
        TEST(timestamps_that_are_switched_off_carry_nothing),
        TEST(one_bit_of_ecn_alone_asks_for_nothing_rfc3168_6_1_1),
        TEST(the_mss_is_rounded_down),
        TEST(the_timestamp_is_of_the_last_64_ms_and_never_of_the_future_rfc7323_4_1),
        TEST(the_timestamp_of_one_syn_never_runs_backward_rfc7323_4_1),
        TEST(a_cookie_is_good_for_one_period_and_refused_after_two),
        TEST(a_cookie_of_a_time_to_come_is_refused),
        TEST(a_cookie_of_another_tuple_is_refused),
        TEST(a_cookie_of_another_secret_is_refused),
        TEST(each_bit_of_the_numbers_matters),
        TEST(options_that_were_not_agreed_on_are_refused),
        TEST(guesses_are_refused),
        TEST(cookies_of_many_peers_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
