/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tcp/spent.h"

static void what_is_added_is_there_and_nothing_else(void **state)
{
    struct spent_cookies spent = {0};

    (void)state;
    spent_add(&spent, 0x12345678, 7);
    spent_add(&spent, 0xff345678, 8);
    assert_true(spent_has(&spent, 0x12345678, 7));
    assert_true(spent_has(&spent, 0xff345678, 8));
    assert_false(spent_has(&spent, 0x12345678, 8));
    assert_false(spent_has(&spent, 0x12345670, 7));
    assert_false(spent_has(&spent, 0xfe345678, 8));
}

static void of_too_many_in_one_place_the_oldest_are_forgotten(void **state)
{
    struct spent_cookies spent = {0};

    (void)state;
    for (uint32_t i = 1; i <= SPENT_WAYS + 2; i++)
        spent_add(&spent, 0xab000000 + i, i);
    for (uint32_t i = 1; i <= SPENT_WAYS + 2; i++)
        assert_int_equal(spent_has(&spent, 0xab000000 + i, i), i > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_added_is_there_and_nothing_else),
        cmocka_unit_test(of_too_many_in_one_place_the_oldest_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
