/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>

#include "tcp/rtt.h"

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)
#define US_PER_MS UINT32_C(1000)

static struct strait_config defaults(void)
{
    struct strait_config config;
    strait_config_init(&config);
    return config;
}

static struct rtt fresh(const struct strait_config *config)
{
    struct rtt r;
    rtt_init(&r, config);
    return r;
}

static void the_first_timeout_is_one_second_rfc6298_2_1(void **state)
{
    (void)state;
    const struct strait_config config = defaults();
    struct rtt r = fresh(&config);
    assert_int_equal(r.srtt_us, 0);
    assert_int_equal(rtt_timeout_ns(&r, &config, 0), 1 * NS_PER_S);
}

/* All values divide without remainder, so that no way of rounding is presumed. */
static void samples_are_smoothed_rfc6298_2_2_and_2_3(void **state)
{
    (void)state;
    const struct strait_config config = defaults();
    static const struct {
        uint32_t sample_us, rttvar_us, srtt_us, rto_us;
    } table[] = {
        /* The first: SRTT = R, RTTVAR = R/2, RTO = SRTT + 4 RTTVAR. */
        {512000, 256000, 512000, 1536000},
        /* RTTVAR = 3/4 RTTVAR + 1/4 |SRTT - R| with the old SRTT; SRTT = 7/8 SRTT + 1/8 R. */
        {512000, 192000, 512000, 1280000},
        {1024000, 272000, 576000, 1664000}, /* (576 + 512) / 4, (3584 + 1024) / 8 */
        {64000, 332000, 512000, 1840000},   /* (816 + 512) / 4, (4032 + 64) / 8 */
        {512000, 249000, 512000, 1508000},  /* 996 / 4 */
        {508000, 187750, 511500, 1262500},  /* (747 + 4) / 4, (3584 + 508) / 8 */
    };
    struct rtt r = fresh(&config);

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        rtt_sample(&r, &config, table[i].sample_us);
        assert_int_equal(r.rttvar_us, table[i].rttvar_us);
        assert_int_equal(r.srtt_us, table[i].srtt_us);
        assert_int_equal(r.rto_us, table[i].rto_us);
        assert_int_equal(rtt_timeout_ns(&r, &config, 0), table[i].rto_us * NS_PER_US);
    }
}

/* Linux's rule: RTO = SRTT + max(200 ms, 4 RTTVAR), not max(200 ms, SRTT + 4 RTTVAR). */
static void the_minimum_stands_for_the_variance(void **state)
{
    (void)state;
    const struct strait_config config = defaults();
    static const struct {
        uint32_t sample_us;
        uint64_t rto_us;
    } table[] = {
        {40, 200040},     /* a neighbour */
        {1000, 201000},   /* 4 RTTVAR is 2 ms */
        {99000, 299000},  /* 198 ms */
        {100000, 300000}, /* 200 ms: both are the same */
        {101000, 303000}, /* 202 ms */
        {400000, 1200000},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct rtt r = fresh(&config);
        rtt_sample(&r, &config, table[i].sample_us);
        assert_int_equal(rtt_timeout_ns(&r, &config, 0), table[i].rto_us * NS_PER_US);
    }
}

static void a_steady_path_comes_down_to_its_time_and_the_minimum(void **state)
{
    (void)state;
    const struct strait_config config = defaults();
    struct rtt r = fresh(&config);
    uint64_t before_ns = UINT64_MAX;

    for (int i = 0; i < 100; i++) {
        rtt_sample(&r, &config, 512 * US_PER_MS);
        assert_int_equal(r.srtt_us, 512000);
        assert_true(rtt_timeout_ns(&r, &config, 0) <= before_ns);
        before_ns = rtt_timeout_ns(&r, &config, 0);
    }
    assert_int_equal(before_ns, 712 * NS_PER_MS);
}

/* 1/8 of the way with each sample: after 16 of them, (7/8)^16 = 0.118 of it is left. */
static void a_path_that_has_become_longer_is_learned(void **state)
{
    (void)state;
    const struct strait_config config = defaults();
    struct rtt r = fresh(&config);

    rtt_sample(&r, &config, 100 * US_PER_MS);
    for (int i = 0; i < 16; i++)
        rtt_sample(&r, &config, 1100 * US_PER_MS);
    assert_in_range(r.srtt_us, 981900, 982000); /* 1100 - 1000 * 0.118063, and rounding */
}

static void a_sample_below_a_microsecond_is_a_sample(void **state)
{
    (void)state;
    const struct strait_config config = defaults();
    struct rtt r = fresh(&config);

    for (int i = 0; i < 50; i++) {
        rtt_sample(&r, &config, 0);
        assert_true(r.srtt_us > 0);
    }
    assert_in_range(r.rto_us, 200000, 200001);
    rtt_sample(&r, &config, 80 * US_PER_MS);
    assert_in_range(r.srtt_us, 10000, 10001); /* an eighth: the earlier ones count */
}

static void the_timeout_is_bounded_rfc6298_2_5(void **state)
{
    (void)state;
    const struct strait_config config = defaults();
    assert_true(config.rto_max_us >= 60000000);
    static const uint32_t samples_us[] = {
        41000000, /* 41 + 4 * 20.5 is above 120 s already */
        120000000,
        UINT32_MAX,
    };
    for (size_t i = 0; i < sizeof(samples_us) / sizeof(samples_us[0]); i++) {
        struct rtt r = fresh(&config);
        for (int times = 0; times < 20; times++) {
            rtt_sample(&r, &config, samples_us[i]);
            if (times == 0)
                assert_int_equal(r.rto_us, 120000000);
            assert_in_range(rtt_timeout_ns(&r, &config, 0), 41 * NS_PER_S, 120 * NS_PER_S);
        }
        rtt_sample(&r, &config, 0); /* and from the top down again: |SRTT - R| is large */
        assert_in_range(rtt_timeout_ns(&r, &config, 0), 41 * NS_PER_S, 120 * NS_PER_S);
    }
}

static void each_expiry_doubles_the_timeout_up_to_the_bound_rfc6298_5_5(void **state)
{
    (void)state;
    const struct strait_config config = defaults();
    static const uint64_t seconds[] = {1, 2, 4, 8, 16, 32, 64, 120, 120, 120};
    struct rtt r = fresh(&config);

    for (unsigned backoff = 0; backoff < sizeof(seconds) / sizeof(seconds[0]); backoff++)
        assert_int_equal(rtt_timeout_ns(&r, &config, backoff), seconds[backoff] * NS_PER_S);

    rtt_sample(&r, &config, 1 * US_PER_MS);
    assert_int_equal(rtt_timeout_ns(&r, &config, 1), 402 * NS_PER_MS);
    assert_int_equal(rtt_timeout_ns(&r, &config, 9), 201 * 512 * NS_PER_MS); /* 102.9 s */
    assert_int_equal(rtt_timeout_ns(&r, &config, 10), 120 * NS_PER_S);
}

static void no_number_of_expiries_is_too_many(void **state)
{
    (void)state;
    const struct strait_config config = defaults();
    static const unsigned backoffs[] = {15, 16, 17, 31, 32, 33, 63, 64, 65, 255, UINT_MAX};
    struct rtt r = fresh(&config);

    rtt_sample(&r, &config, 62144);
    assert_int_equal(r.rto_us, 1 << 18); /* 32 bits would have nothing left of it, doubled often */
    for (size_t i = 0; i < sizeof(backoffs) / sizeof(backoffs[0]); i++)
        assert_int_equal(rtt_timeout_ns(&r, &config, backoffs[i]), 120 * NS_PER_S);
}

static void asking_for_the_timeout_changes_nothing(void **state)
{
    (void)state;
    const struct strait_config config = defaults();
    struct rtt r = fresh(&config);

    rtt_timeout_ns(&r, &config, 7);
    assert_int_equal(rtt_timeout_ns(&r, &config, 0), 1 * NS_PER_S);
}

static void a_lost_syn_makes_the_timeout_three_seconds_rfc6298_5_7(void **state)
{
    (void)state;
    const struct strait_config config = defaults();
    struct rtt r = fresh(&config);

    rtt_syn_lost(&r);
    assert_int_equal(rtt_timeout_ns(&r, &config, 0), 3 * NS_PER_S);
    assert_int_equal(rtt_timeout_ns(&r, &config, 1), 6 * NS_PER_S);
    rtt_sample(&r, &config, 512 * US_PER_MS); /* the first one */
    assert_int_equal(r.srtt_us, 512000);
    assert_int_equal(rtt_timeout_ns(&r, &config, 0), 1536 * NS_PER_MS);
}

static void a_lost_syn_says_nothing_where_a_timestamp_gave_a_sample(void **state)
{
    (void)state;
    const struct strait_config config = defaults();
    struct rtt r = fresh(&config);

    rtt_sample(&r, &config, 512 * US_PER_MS);
    rtt_syn_lost(&r);
    assert_int_equal(rtt_timeout_ns(&r, &config, 0), 1536 * NS_PER_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_timeout_is_one_second_rfc6298_2_1),
        cmocka_unit_test(samples_are_smoothed_rfc6298_2_2_and_2_3),
        cmocka_unit_test(the_minimum_stands_for_the_variance),
        cmocka_unit_test(a_steady_path_comes_down_to_its_time_and_the_minimum),
        cmocka_unit_test(a_path_that_has_become_longer_is_learned),
        cmocka_unit_test(a_sample_below_a_microsecond_is_a_sample),
        cmocka_unit_test(the_timeout_is_bounded_rfc6298_2_5),
        cmocka_unit_test(each_expiry_doubles_the_timeout_up_to_the_bound_rfc6298_5_5),
        cmocka_unit_test(no_number_of_expiries_is_too_many),
        cmocka_unit_test(asking_for_the_timeout_changes_nothing),
        cmocka_unit_test(a_lost_syn_makes_the_timeout_three_seconds_rfc6298_5_7),
        cmocka_unit_test(a_lost_syn_says_nothing_where_a_timestamp_gave_a_sample),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
