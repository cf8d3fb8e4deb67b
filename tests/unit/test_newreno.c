/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tcp/congestion.h"

#define MSS      1460
#define SEGMENTS 10 /* of the initial window, RFC 6928 */

static const struct congestion_algorithm *const reno = &congestion_newreno;

/* As after a loss long ago: a window of `segments` segments in congestion avoidance. */
static struct congestion avoiding(uint32_t segments)
{
    struct congestion c;
    congestion_start(&c, reno, MSS, SEGMENTS);
    c.cwnd = segments * MSS;
    c.ssthresh = c.cwnd;
    return c;
}

/* Acknowledges `bytes` in pieces of `piece`. */
static void acknowledge(struct congestion *c, uint32_t bytes, uint32_t piece)
{
    for (uint32_t left = bytes; left > 0; left -= left < piece ? left : piece)
        reno->acked(c, left < piece ? left : piece);
}

static void the_algorithm_has_linux_name(void **state)
{
    (void)state;
    assert_string_equal(reno->name, "reno");
}

/* IW = min(10 MSS, max(2 MSS, 14600)). */
static void the_initial_window_by_mss_rfc6928_2(void **state)
{
    (void)state;
    static const struct {
        uint32_t mss, window;
    } table[] = {
        {64, 640},     {536, 5360},   {1220, 12200},  {1448, 14480},   {1460, 14600},
        {1461, 14600}, {2920, 14600}, {7299, 14600},  {7300, 14600},   {7301, 14602},
        {8948, 17896}, {8960, 17920}, {32768, 65536}, {65495, 130990},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct congestion c;
        congestion_start(&c, reno, table[i].mss, SEGMENTS);
        assert_int_equal(c.mss, table[i].mss);
        assert_int_equal(c.cwnd, table[i].window);
    }
}

/* As high as the largest window that can be advertised: 65535 << 14. */
static void slow_start_is_not_limited_at_first_rfc5681_3_1(void **state)
{
    (void)state;
    struct congestion c;
    congestion_start(&c, reno, MSS, SEGMENTS);
    assert_true(c.ssthresh >= UINT32_C(65535) << 14);
}

static void slow_start_doubles_the_window_each_round_rfc5681_3_1(void **state)
{
    (void)state;
    static const uint32_t pieces[] = {MSS, 2 * MSS, 10 * MSS};
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        struct congestion c;
        congestion_start(&c, reno, MSS, SEGMENTS);
        for (uint32_t round = 1; round <= 10; round++) {
            acknowledge(&c, c.cwnd, pieces[i]);
            assert_int_equal(c.cwnd, UINT32_C(14600) << round);
        }
    }
}

static void slow_start_counts_bytes_and_not_acknowledgements_rfc3465_2_2(void **state)
{
    (void)state;
    struct congestion c;
    congestion_start(&c, reno, MSS, SEGMENTS);
    acknowledge(&c, MSS, 1); /* a peer that divides its acknowledgements gains nothing */
    assert_int_equal(c.cwnd, 14600 + MSS);
}

/* With offload, one acknowledgement comes for a whole super-packet. */
static void one_acknowledgement_of_a_whole_window_doubles_it(void **state)
{
    (void)state;
    struct congestion c;
    congestion_start(&c, reno, MSS, SEGMENTS);
    reno->acked(&c, 14600);
    assert_int_equal(c.cwnd, 29200);
    reno->acked(&c, 29200);
    assert_int_equal(c.cwnd, 58400);
}

static void slow_start_ends_at_ssthresh_rfc5681_3_1(void **state)
{
    (void)state;
    struct congestion c;
    congestion_start(&c, reno, MSS, SEGMENTS);
    c.ssthresh = 14600 + 2 * MSS + 700;
    acknowledge(&c, 2 * MSS, MSS);
    assert_int_equal(c.cwnd, 14600 + 2 * MSS);
    reno->acked(&c, MSS); /* 700 bytes of it are for slow start, 760 for what follows */
    assert_int_equal(c.cwnd, c.ssthresh);
    reno->acked(&c, c.cwnd - 760 - 1);
    assert_int_equal(c.cwnd, c.ssthresh);
    reno->acked(&c, 1);
    assert_int_equal(c.cwnd, c.ssthresh + MSS);
}

static void avoidance_grows_by_one_segment_for_each_window_rfc5681_3_1(void **state)
{
    (void)state;
    static const uint32_t pieces[] = {1, 100, MSS - 1, MSS, 2 * MSS, 20 * MSS, UINT32_MAX};
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        struct congestion c = avoiding(20);
        for (uint32_t round = 0; round < 10; round++) {
            uint32_t window = (20 + round) * MSS;
            acknowledge(&c, window - 1, pieces[i]);
            assert_int_equal(c.cwnd, window);
            acknowledge(&c, 1, 1);
            assert_int_equal(c.cwnd, window + MSS);
        }
    }
}

/* What is acknowledged beyond a window counts for the next one: 3 windows of 20 in steps of 7. */
static void avoidance_loses_no_bytes_between_windows_rfc3465_2_1(void **state)
{
    (void)state;
    struct congestion c = avoiding(20);
    acknowledge(&c, (20 + 21 + 22) * MSS, 7 * MSS);
    assert_int_equal(c.cwnd, 23 * MSS);
}

static void a_loss_halves_what_is_in_flight_rfc5681_3_1_equation_4(void **state)
{
    (void)state;
    static const struct {
        uint32_t flight, ssthresh;
    } table[] = {
        {0, 2 * MSS},
        {1, 2 * MSS},
        {MSS, 2 * MSS},
        {4 * MSS - 1, 2 * MSS},
        {4 * MSS, 2 * MSS},
        {5 * MSS, 3650}, /* 7300 / 2 */
        {20 * MSS, 10 * MSS},
        {UINT32_C(1) << 30, UINT32_C(1) << 29},
        {UINT32_MAX, UINT32_C(0x7fffffff)},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct congestion c;
        congestion_start(&c, reno, MSS, SEGMENTS);
        reno->lost(&c, table[i].flight);
        assert_int_equal(c.ssthresh, table[i].ssthresh);
        assert_int_equal(c.cwnd, 14600); /* the window is for recovery to set */
    }
}

/* FlightSize, and not cwnd: a window that was not used is no measure of the path (RFC 5681 3.1). */
static void ssthresh_does_not_follow_the_window(void **state)
{
    (void)state;
    struct congestion c = avoiding(100);
    reno->lost(&c, 10 * MSS);
    assert_int_equal(c.ssthresh, 5 * MSS);
}

static void after_a_loss_a_whole_window_has_to_be_acknowledged_before_growth(void **state)
{
    (void)state;
    struct congestion c = avoiding(20);
    reno->acked(&c, 20 * MSS - 1);
    reno->lost(&c, 20 * MSS);
    c.cwnd = c.ssthresh;
    reno->acked(&c, 10 * MSS - 1);
    assert_int_equal(c.cwnd, 10 * MSS);
    reno->acked(&c, 1);
    assert_int_equal(c.cwnd, 11 * MSS);
}

/* As after a timeout (RFC 5681 3.1): one segment, doubled up to half of what was in flight. */
static void slow_start_after_a_timeout_goes_up_to_ssthresh(void **state)
{
    (void)state;
    static const uint32_t segments[] = {2, 4, 8, 10, 11, 12};
    struct congestion c = avoiding(20);
    reno->lost(&c, 20 * MSS);
    c.cwnd = MSS;
    for (size_t round = 0; round < sizeof(segments) / sizeof(segments[0]); round++) {
        /* Slow start takes 2 of the fourth round's 8 segments; the 6 others count for the fifth. */
        acknowledge(&c, round == 4 ? c.cwnd - 6 * MSS : c.cwnd, MSS);
        assert_int_equal(c.cwnd, segments[round] * MSS);
    }
}

/* Positions are compared modulo 2^32, so a window must stay far below 2^31. */
static void the_window_does_not_overflow_in_slow_start(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {536, 1460, 65495};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct congestion c;
        congestion_start(&c, reno, sizes[i], SEGMENTS);
        for (int round = 0; round < 100; round++) {
            uint32_t before = c.cwnd;
            reno->acked(&c, before);
            assert_in_range(c.cwnd, before, UINT32_C(0x7fffffff) - 65535);
        }
        assert_true(c.cwnd >= UINT32_C(65535) << 14); /* the largest that a peer can offer */
    }
}

static void the_window_does_not_overflow_in_avoidance(void **state)
{
    (void)state;
    struct congestion c;
    congestion_start(&c, reno, 65495, SEGMENTS);
    c.cwnd = (UINT32_C(1) << 30) - 65495 * 10;
    c.ssthresh = c.cwnd;
    for (int round = 0; round < 40000; round++) {
        uint32_t before = c.cwnd;
        reno->acked(&c, before);
        assert_in_range(c.cwnd, before, UINT32_C(0x7fffffff) - 65535);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_algorithm_has_linux_name),
        cmocka_unit_test(the_initial_window_by_mss_rfc6928_2),
        cmocka_unit_test(slow_start_is_not_limited_at_first_rfc5681_3_1),
        cmocka_unit_test(slow_start_doubles_the_window_each_round_rfc5681_3_1),
        cmocka_unit_test(slow_start_counts_bytes_and_not_acknowledgements_rfc3465_2_2),
        cmocka_unit_test(one_acknowledgement_of_a_whole_window_doubles_it),
        cmocka_unit_test(slow_start_ends_at_ssthresh_rfc5681_3_1),
        cmocka_unit_test(avoidance_grows_by_one_segment_for_each_window_rfc5681_3_1),
        cmocka_unit_test(avoidance_loses_no_bytes_between_windows_rfc3465_2_1),
        cmocka_unit_test(a_loss_halves_what_is_in_flight_rfc5681_3_1_equation_4),
        cmocka_unit_test(ssthresh_does_not_follow_the_window),
        cmocka_unit_test(after_a_loss_a_whole_window_has_to_be_acknowledged_before_growth),
        cmocka_unit_test(slow_start_after_a_timeout_goes_up_to_ssthresh),
        cmocka_unit_test(the_window_does_not_overflow_in_slow_start),
        cmocka_unit_test(the_window_does_not_overflow_in_avoidance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
