/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "kv/damage.h"

struct told {
    int lines;
    char last[100];
};

static void note(void *context, const char *line)
{
    struct told *t = context;
    t->lines++;
    snprintf(t->last, sizeof(t->last), "%s", line);
}

static void each_row_is_told_once_and_counted_always(void **state)
{
    struct told told = {0};
    struct kv_damage d = {.warn = note, .context = &told};
    (void)state;
    for (int time = 0; time < 3; time++) {
        kv_damage_found(&d, "row %d", 1);
        kv_damage_found(&d, "row %d", 2);
    }
    assert_int_equal(told.lines, 2);
    assert_string_equal(told.last, "row 2");
    assert_int_equal(d.found, 6);
}

static void many_rows_are_told_in_a_bounded_number_of_lines(void **state)
{
    struct told told = {0};
    struct kv_damage d = {.warn = note, .context = &told};
    (void)state;
    for (int row = 1; row < KV_DAMAGE_TOLD_MAX; row++)
        kv_damage_found(&d, "row %d", row);
    assert_string_equal(told.last, "row 63");
    for (int row = KV_DAMAGE_TOLD_MAX; row < 1000; row++)
        kv_damage_found(&d, "row %d", row);
    assert_int_equal(told.lines, KV_DAMAGE_TOLD_MAX);
    assert_string_equal(told.last, "more rows are damaged, which are only counted from now on "
                                   "(kv_journal_damaged)");
    assert_int_equal(d.found, 999);
}

static void where_nobody_listens_it_is_counted(void **state)
{
    struct kv_damage d = {0};
    (void)state;
    kv_damage_found(&d, "row");
    assert_int_equal(d.found, 1);
}

static void expect_key(const char *bytes, size_t length, const char *expected)
{
    char text[KV_DAMAGE_KEY_BYTES];
    struct kv_blob *key = kv_blob_new(bytes, length);
    assert_non_null(key);
    kv_damage_key(key, text);
    kv_blob_release(key);
    assert_string_equal(text, expected);
}

static void a_key_is_one_line_whatever_its_bytes_rfc3986_2_1(void **state)
{
    (void)state;
    expect_key("", 0, "");
    expect_key("cart/a-b._~9", 12, "cart/a-b._~9");
    expect_key("a b\n\"%\0\xff", 8, "a%20b%0A%22%25%00%FF");
}

static void of_a_long_key_its_beginning_is_told(void **state)
{
    char bytes[1024], expected[KV_DAMAGE_KEY_BYTES] = "";
    (void)state;
    memset(bytes, 'k', sizeof(bytes));
    memset(expected, 'k', 122);
    memcpy(expected + 122, "...", sizeof("..."));
    expect_key(bytes, 1024, expected);
    memset(bytes, 1, sizeof(bytes));
    for (size_t i = 0; i < 41; i++)
        snprintf(expected + 3 * i, sizeof(expected) - 3 * i, "%%01...");
    expect_key(bytes, 1024, expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_is_told_once_and_counted_always),
        cmocka_unit_test(many_rows_are_told_in_a_bounded_number_of_lines),
        cmocka_unit_test(where_nobody_listens_it_is_counted),
        cmocka_unit_test(a_key_is_one_line_whatever_its_bytes_rfc3986_2_1),
        cmocka_unit_test(of_a_long_key_its_beginning_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
