/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/seq.h"

static void order_within_half_the_space(void **state)
{
    (void)state;
    assert_true(seq_lt(1, 2));
    assert_false(seq_lt(2, 2));
    assert_false(seq_lt(3, 2));
    assert_true(seq_le(2, 2));
    assert_false(seq_le(3, 2));
    assert_true(seq_gt(3, 2));
    assert_false(seq_gt(2, 2));
    assert_true(seq_ge(2, 2));
    assert_false(seq_ge(1, 2));
}

/* RFC 9293 3.4: all arithmetic is modulo 2^32. */
static void order_across_the_wrap_rfc9293_3_4(void **state)
{
    (void)state;
    assert_true(seq_lt(0xffffffff, 0));
    assert_true(seq_le(0xffffff00, 0x7f));
    assert_true(seq_gt(5, 0xfffffffe));
    assert_true(seq_ge(0, 0x80000001));
    assert_true(seq_lt(0x80000001, 0));
    assert_true(seq_lt(7, 7 + 0x7fffffffu));
    assert_true(seq_gt(7, 7 + 0x80000001u));
}

static void distance_is_signed_and_wraps(void **state)
{
    (void)state;
    assert_int_equal(seq_distance(10, 15), 5);
    assert_int_equal(seq_distance(15, 10), -5);
    assert_int_equal(seq_distance(0xfffffff0, 0x10), 32);
    assert_int_equal(seq_distance(0x10, 0xfffffff0), -32);
    assert_int_equal(seq_distance(3, 3), 0);
}

static void maximum_and_minimum_across_the_wrap(void **state)
{
    (void)state;
    assert_int_equal(seq_max(0xfffffff0, 3), 3);
    assert_int_equal(seq_max(3, 0xfffffff0), 3);
    assert_int_equal(seq_min(0xfffffff0, 3), 0xfffffff0);
    assert_int_equal(seq_min(3, 0xfffffff0), 0xfffffff0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_within_half_the_space),
        cmocka_unit_test(order_across_the_wrap_rfc9293_3_4),
        cmocka_unit_test(distance_is_signed_and_wraps),
        cmocka_unit_test(maximum_and_minimum_across_the_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
