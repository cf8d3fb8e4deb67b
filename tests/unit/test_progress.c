/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "get/progress.h"

#define SECOND UINT64_C(1000000000)

static void expect(struct progress p, int columns, const char *expected)
{
    char line[256];
    progress_write(&p, columns, line, sizeof(line));
    assert_string_equal(line, expected);
}

static void share_bar_bytes_rate_and_time_left_are_shown(void **state)
{
    (void)state;
    /* A quarter of 40 MB in 2 s: 5 MB/s, 6 s are left. */
    expect((struct progress){.done = 10000000, .total = 40000000, .elapsed_ns = 2 * SECOND}, 54,
           " 25% [==>       ]   10.0 MB     5.0 MB/s     0:06");
    expect((struct progress){.done = 10000000, .total = 40000000, .elapsed_ns = 2 * SECOND}, 40,
           " 25%    10.0 MB     5.0 MB/s     0:06");
}

static void at_the_end_the_time_is_what_it_took(void **state)
{
    (void)state;
    expect((struct progress){.done = 999, .total = 999, .elapsed_ns = 75 * SECOND}, 54,
           "100% [==========]     999 B       13 B/s     1:15");
    expect((struct progress){.done = 0, .total = 0}, 54,
           "100% [==========]       0 B        0 B/s     0:00");
}

static void what_was_there_before_is_no_part_of_the_rate(void **state)
{
    (void)state;
    expect(
        (struct progress){.done = 3000, .resumed = 1000, .total = 4000, .elapsed_ns = 2 * SECOND},
        54, " 75% [=======>  ]    3.0 kB     1.0 kB/s     0:01");
}

static void without_a_total_there_is_no_share(void **state)
{
    (void)state;
    expect(
        (struct progress){.done = 999950, .total = PROGRESS_UNKNOWN, .elapsed_ns = 3661 * SECOND},
        80, "   1.0 MB      273 B/s  1:01:01");
    expect((struct progress){.done = 5, .total = 4, .elapsed_ns = SECOND}, 80,
           "      5 B        5 B/s     0:01");
}

static void while_nothing_comes_no_time_is_told(void **state)
{
    (void)state;
    expect((struct progress){.done = 0, .total = 10, .elapsed_ns = SECOND}, 40,
           "  0%        0 B        0 B/s     -:--");
}

static void no_line_is_wider_than_the_terminal(void **state)
{
    char line[256];
    (void)state;
    for (int columns = 48; columns < 200; columns++) {
        struct progress p = {
            .done = 1, .total = UINT64_C(999900000000000000), .elapsed_ns = 3600 * SECOND};
        progress_write(&p, columns, line, sizeof(line));
        assert_true(strlen(line) < (size_t)columns);
        p.done = p.total;
        progress_write(&p, columns, line, sizeof(line));
        assert_true(strlen(line) < (size_t)columns);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(share_bar_bytes_rate_and_time_left_are_shown),
        cmocka_unit_test(at_the_end_the_time_is_what_it_took),
        cmocka_unit_test(what_was_there_before_is_no_part_of_the_rate),
        cmocka_unit_test(without_a_total_there_is_no_share),
        cmocka_unit_test(while_nothing_comes_no_time_is_told),
        cmocka_unit_test(no_line_is_wider_than_the_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
