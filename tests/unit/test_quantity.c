/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/quantity.h"

struct example {
    const char *text;
    uint64_t value;
};

static void expect_both_ways(const struct quantity_unit *units, const struct example *examples)
{
    for (const struct example *e = examples; e->text; e++) {
        char text[32];
        uint64_t value = ~e->value;
        assert_true(quantity_read(e->text, units, &value));
        assert_int_equal(value, e->value);
        quantity_write(e->value, units, text, sizeof(text));
        assert_string_equal(text, e->text);
    }
}

static void times_are_counted_in_microseconds(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"1us", 1},          {"999us", 999},
        {"1ms", 1000},       {"1001us", 1001},
        {"200ms", 200000},   {"1s", 1000000},
        {"1500ms", 1500000}, {"75s", 75000000},
        {"1min", 60000000},  {"59min", UINT64_C(3540000000)},
        {"2h", 7200000000u}, {"24h", UINT64_C(86400000000)},
        {NULL, 0},
    };
    expect_both_ways(quantity_times, examples);
}

static void bytes_have_powers_of_1024(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"0", 0},
        {"1", 1},
        {"1000", 1000},
        {"1023", 1023},
        {"1KiB", 1024},
        {"1025", 1025},
        {"64KiB", 65536},
        {"1MiB", 1048576},
        {"1536KiB", 1572864},
        {"1GiB", 1073741824},
        {"1TiB", 1099511627776},
        {NULL, 0},
    };
    expect_both_ways(quantity_bytes, examples);
}

static void shares_and_counts_have_one_unit(void **state)
{
    (void)state;
    static const struct example shares[] = {{"0%", 0}, {"50%", 50}, {"100%", 100}, {NULL, 0}};
    static const struct example counts[] = {{"0", 0}, {"7", 7}, {"65536", 65536}, {NULL, 0}};
    expect_both_ways(quantity_shares, shares);
    expect_both_ways(quantity_counts, counts);
}

static void any_unit_and_leading_zeros_are_read(void **state)
{
    (void)state;
    uint64_t value;
    assert_true(quantity_read("0120s", quantity_times, &value));
    assert_int_equal(value, 120000000);
    assert_true(quantity_read("0h", quantity_times, &value));
    assert_int_equal(value, 0);
    assert_true(quantity_read("2048KiB", quantity_bytes, &value));
    assert_int_equal(value, 2097152);
}

static void what_is_too_large_is_the_largest_number(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "18446744073709551615", /* 2^64 - 1 itself */
        "18446744073709551616", /* and one more */
        "99999999999999999999999999999999999999999",
        "16777216TiB", /* 2^24 * 2^40 */
        "99999999999999999999TiB",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        uint64_t value = 0;
        assert_true(quantity_read(texts[i], quantity_bytes, &value));
        assert_true(value == UINT64_MAX);
    }
}

static void anything_else_is_no_quantity(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",  "s", "-1s", "+1s", " 1s",  "1s ",   "1 s",   "1.5s", "1,5s",
        "1", "0", "1S",  "1m",  "1sec", "1s1ms", "0x10s", "1KiB", "ms200",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        uint64_t value = 42;
        assert_false(quantity_read(texts[i], quantity_times, &value));
        assert_int_equal(value, 42);
    }
}

static void what_does_not_fit_is_cut_and_its_length_told(void **state)
{
    (void)state;
    char text[4];
    assert_int_equal(quantity_write(200000, quantity_times, text, sizeof(text)), 5);
    assert_string_equal(text, "200");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_counted_in_microseconds),
        cmocka_unit_test(bytes_have_powers_of_1024),
        cmocka_unit_test(shares_and_counts_have_one_unit),
        cmocka_unit_test(any_unit_and_leading_zeros_are_read),
        cmocka_unit_test(what_is_too_large_is_the_largest_number),
        cmocka_unit_test(anything_else_is_no_quantity),
        cmocka_unit_test(what_does_not_fit_is_cut_and_its_length_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
