/* SPDX-License-Identifier: MIT */
/* Dates, conditions and ranges of HTTP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "http/condition.h"
#include "http/date.h"

#define EXAMPLE 784111777 /* Sun, 06 Nov 1994 08:49:37 GMT (RFC 9110 5.6.7) */

/* ---- Dates ---- */

static void expect_date(int64_t seconds, const char *expected)
{
    char text[HTTP_DATE_BYTES];
    http_date_format(seconds, text);
    assert_string_equal(text, expected);
}

static void a_date_is_written_as_in_rfc9110_5_6_7(void **state)
{
    (void)state;
    char text[HTTP_DATE_BYTES];
    expect_date(EXAMPLE, "Sun, 06 Nov 1994 08:49:37 GMT");
    expect_date(0, "Thu, 01 Jan 1970 00:00:00 GMT");
    expect_date(-1, "Thu, 01 Jan 1970 00:00:00 GMT");
    expect_date(INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT");
    http_date_format_log(EXAMPLE, text);
    assert_string_equal(text, "06/Nov/1994:08:49:37 +0000");
}

/* The C library as the second opinion: a day in a fortnight for 8,000 years, and back. */
static void every_date_is_that_of_the_c_library(void **state)
{
    (void)state;
    char text[HTTP_DATE_BYTES], expected[HTTP_DATE_BYTES];
    for (int64_t seconds = 45296; seconds < INT64_C(253402300799); seconds += 86400 * 13 + 86399) {
        time_t t = seconds;
        struct tm tm;
        int64_t back;
        assert_non_null(gmtime_r(&t, &tm));
        strftime(expected, sizeof(expected), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        http_date_format(seconds, text);
        assert_string_equal(text, expected);
        assert_true(http_date_parse(text, strlen(text), 0, &back));
        assert_int_equal(back, seconds);
    }
}

static int64_t parsed(const char *text, int64_t now)
{
    int64_t seconds;
    return http_date_parse(text, strlen(text), now, &seconds) ? seconds : -1;
}

static void all_three_forms_of_a_date_are_read_rfc9110_5_6_7(void **state)
{
    (void)state;
    assert_int_equal(parsed("Sun, 06 Nov 1994 08:49:37 GMT", 0), EXAMPLE);
    assert_int_equal(parsed("Sunday, 06-Nov-94 08:49:37 GMT", EXAMPLE), EXAMPLE);
    assert_int_equal(parsed("Sun Nov  6 08:49:37 1994", 0), EXAMPLE);
    assert_int_equal(parsed("Thu, 29 Feb 2024 12:00:00 GMT", 0), 1709208000);
}

static void a_year_of_two_digits_is_at_most_50_ahead_rfc9110_5_6_7(void **state)
{
    (void)state;
    int64_t in_2026 = 1767225600;
    assert_int_equal(parsed("Monday, 01-Jan-76 00:00:00 GMT", in_2026), 3345062400);  /* 2076 */
    assert_int_equal(parsed("Saturday, 01-Jan-77 00:00:00 GMT", in_2026), 220924800); /* 1977 */
}

static void what_is_no_date_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "Sun",
        "0",
        "Su, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 19x4 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(parsed(texts[i], 0), -1);
}

/* ---- Conditions ---- */

static struct http_request request;

/* What the server has: it changed at the example's time, an hour ago. */
static struct http_version version = {"\"v1\"", EXAMPLE, EXAMPLE + 3600};

static void ask(const char *method, const char *fields)
{
    char text[1024];
    int n = snprintf(text, sizeof(text), "%s / HTTP/1.1\r\nHost: x\r\n%s\r\n", method, fields);
    http_request_init(&request);
    assert_int_equal(http_request_feed(&request, text, (size_t)n), n);
    assert_true(request.done);
    assert_int_equal(request.status, 0);
}

static unsigned condition(const char *fields)
{
    ask("HEAD", fields);
    unsigned of_head = http_condition(&request, &version);
    ask("GET", fields);
    assert_int_equal(http_condition(&request, &version), of_head);
    return of_head;
}

#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT\r\n"
#define AT     "Sun, 06 Nov 1994 08:49:37 GMT\r\n"

static void a_request_without_conditions_goes_on(void **state)
{
    (void)state;
    assert_int_equal(condition(""), 0);
}

static void none_match_compares_weakly_rfc9110_13_1_2(void **state)
{
    (void)state;
    assert_int_equal(condition("If-None-Match: \"v1\"\r\n"), 304);
    assert_int_equal(condition("If-None-Match: W/\"v1\"\r\n"), 304);
    assert_int_equal(condition("If-None-Match: *\r\n"), 304);
    assert_int_equal(condition("If-None-Match: \"v0\",, W/\"a,b\" ,\"v1\"\r\n"), 304);
    assert_int_equal(condition("If-None-Match: \"v0\"\r\nIf-None-Match: \"v1\"\r\n"), 304);
    assert_int_equal(condition("If-None-Match: \"v0\"\r\n"), 0);
    assert_int_equal(condition("If-None-Match: v1\r\n"), 0);
    assert_int_equal(condition("If-None-Match: \"v1\r\n"), 0);
    assert_int_equal(condition("If-None-Match: W/\r\n"), 0);
    assert_int_equal(condition("If-None-Match:\r\n"), 0);
}

static void match_compares_strongly_rfc9110_13_1_1(void **state)
{
    (void)state;
    assert_int_equal(condition("If-Match: \"v1\"\r\n"), 0);
    assert_int_equal(condition("If-Match: *\r\n"), 0);
    assert_int_equal(condition("If-Match: \"v0\", \"v1\"\r\n"), 0);
    assert_int_equal(condition("If-Match: W/\"v1\"\r\n"), 412);
    assert_int_equal(condition("If-Match: \"v0\"\r\n"), 412);
}

static void dates_are_compared_rfc9110_13_1_3_and_4(void **state)
{
    (void)state;
    assert_int_equal(condition("If-Modified-Since: " AT), 304);
    assert_int_equal(condition("If-Modified-Since: " BEFORE), 0);
    assert_int_equal(condition("If-Modified-Since: yesterday\r\n"), 0);
    assert_int_equal(condition("If-Modified-Since: " AT "If-Modified-Since: " AT), 0);
    assert_int_equal(condition("If-Unmodified-Since: " AT), 0);
    assert_int_equal(condition("If-Unmodified-Since: " BEFORE), 412);
    assert_int_equal(condition("If-Unmodified-Since: tomorrow\r\n"), 0);
}

static void conditions_are_taken_in_order_rfc9110_13_2_2(void **state)
{
    (void)state;
    assert_int_equal(condition("If-None-Match: \"v0\"\r\nIf-Modified-Since: " AT), 0);
    assert_int_equal(condition("If-None-Match: \"v1\"\r\nIf-Modified-Since: " BEFORE), 304);
    assert_int_equal(condition("If-Match: \"v1\"\r\nIf-Unmodified-Since: " BEFORE), 0);
    assert_int_equal(condition("If-None-Match: \"v1\"\r\nIf-Match: \"v0\"\r\n"), 412);
    assert_int_equal(condition("If-None-Match: \"v1\"\r\nIf-Match: \"v1\"\r\n"), 304);
    assert_int_equal(condition("If-Unmodified-Since: " AT "If-Modified-Since: " AT), 304);
}

/* ---- Ranges ---- */

/* The part of `size` bytes that is asked for, as "first-last", "whole" or "none". */
static const char *part(const char *fields, uint64_t size)
{
    static char text[64];
    uint64_t first, last;
    ask("GET", fields);
    switch (http_range(&request, &version, size, &first, &last)) {
    case HTTP_WHOLE:
        return "whole";
    case HTTP_UNSATISFIABLE:
        return "none";
    case HTTP_PART:
        break;
    }
    snprintf(text, sizeof(text), "%llu-%llu", (unsigned long long)first, (unsigned long long)last);
    return text;
}

static void a_range_is_taken_rfc9110_14_1_2(void **state)
{
    (void)state;
    assert_string_equal(part("", 10000), "whole");
    assert_string_equal(part("Range: bytes=0-499\r\n", 10000), "0-499");
    assert_string_equal(part("Range: bytes=500-999\r\n", 10000), "500-999");
    assert_string_equal(part("Range: bytes=-500\r\n", 10000), "9500-9999");
    assert_string_equal(part("Range: bytes=9500-\r\n", 10000), "9500-9999");
    assert_string_equal(part("Range: BYTES=0-0\r\n", 10000), "0-0");
    assert_string_equal(part("Range: bytes=9999-10000\r\n", 10000), "9999-9999");
    assert_string_equal(part("Range: bytes=-10001\r\n", 10000), "0-9999");
    assert_string_equal(part("Range: bytes=1-99999999999999999999999\r\n", 10000), "1-9999");
}

static void a_range_behind_the_end_cannot_be_satisfied_rfc9110_14_1_2(void **state)
{
    (void)state;
    assert_string_equal(part("Range: bytes=10000-\r\n", 10000), "none");
    assert_string_equal(part("Range: bytes=99999999999999999999999-\r\n", 10000), "none");
    assert_string_equal(part("Range: bytes=-0\r\n", 10000), "none");
    assert_string_equal(part("Range: bytes=0-\r\n", 0), "none");
    assert_string_equal(part("Range: bytes=-1\r\n", 0), "whole");
}

static void a_range_that_is_not_understood_is_ignored_rfc9110_14_2(void **state)
{
    (void)state;
    static const char *const values[] = {
        "bytes",      "bytes=",     "bytes=-",     "bytes=5-4", "bytes=0-1,3-4", "lines=0-1",
        "bytes=0-1x", "bytes =0-1", "bytes=0x0-1", "bytes=a-b", "bytes=--1",     "",
    };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char field[64];
        snprintf(field, sizeof(field), "Range: %s\r\n", values[i]);
        assert_string_equal(part(field, 10000), "whole");
    }
    assert_string_equal(part("Range: bytes=0-1\r\nRange: bytes=0-1\r\n", 10000), "whole");
}

static void a_range_is_of_get_alone_rfc9110_14_2(void **state)
{
    (void)state;
    uint64_t first, last;
    ask("HEAD", "Range: bytes=0-1\r\n");
    assert_int_equal(http_range(&request, &version, 10000, &first, &last), HTTP_WHOLE);
}

static void a_range_of_another_version_is_ignored_rfc9110_13_1_5(void **state)
{
    (void)state;
    assert_string_equal(part("Range: bytes=0-1\r\nIf-Range: \"v1\"\r\n", 9), "0-1");
    assert_string_equal(part("Range: bytes=0-1\r\nIf-Range: \"v0\"\r\n", 9), "whole");
    assert_string_equal(part("Range: bytes=0-1\r\nIf-Range: W/\"v1\"\r\n", 9), "whole");
    assert_string_equal(part("Range: bytes=0-1\r\nIf-Range: \"v1\", \"v2\"\r\n", 9), "whole");
    assert_string_equal(part("Range: bytes=0-1\r\nIf-Range: " AT, 9), "0-1");
    assert_string_equal(part("Range: bytes=0-1\r\nIf-Range: " BEFORE, 9), "whole");
    assert_string_equal(part("Range: bytes=9-\r\nIf-Range: \"v0\"\r\n", 9), "whole");
    /* In the second of the change another change could follow. */
    version.now = EXAMPLE;
    assert_string_equal(part("Range: bytes=0-1\r\nIf-Range: " AT, 9), "whole");
    version.now = EXAMPLE + 3600;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_date_is_written_as_in_rfc9110_5_6_7),
        cmocka_unit_test(every_date_is_that_of_the_c_library),
        cmocka_unit_test(all_three_forms_of_a_date_are_read_rfc9110_5_6_7),
        cmocka_unit_test(a_year_of_two_digits_is_at_most_50_ahead_rfc9110_5_6_7),
        cmocka_unit_test(what_is_no_date_is_refused),
        cmocka_unit_test(a_request_without_conditions_goes_on),
        cmocka_unit_test(none_match_compares_weakly_rfc9110_13_1_2),
        cmocka_unit_test(match_compares_strongly_rfc9110_13_1_1),
        cmocka_unit_test(dates_are_compared_rfc9110_13_1_3_and_4),
        cmocka_unit_test(conditions_are_taken_in_order_rfc9110_13_2_2),
        cmocka_unit_test(a_range_is_taken_rfc9110_14_1_2),
        cmocka_unit_test(a_range_behind_the_end_cannot_be_satisfied_rfc9110_14_1_2),
        cmocka_unit_test(a_range_that_is_not_understood_is_ignored_rfc9110_14_2),
        cmocka_unit_test(a_range_is_of_get_alone_rfc9110_14_2),
        cmocka_unit_test(a_range_of_another_version_is_ignored_rfc9110_13_1_5),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
