/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "get/response.h"

static struct response response;
static char text[8192]; /* of the body */

static void take_body(void *context, const char *bytes, size_t length)
{
    size_t there = strlen(text);
    assert_ptr_equal(context, &response);
    assert_true(there + length < sizeof(text));
    memcpy(text + there, bytes, length);
    text[there + length] = '\0';
}

/* Feeds an answer in pieces of so many bytes, and then the end of the connection. */
static void feed(const char *answer, size_t piece)
{
    size_t length = strlen(answer);
    memset(text, 0, sizeof(text));
    response_init(&response, take_body, &response);
    for (size_t at = 0; at < length && !response.done && !response.error;) {
        bool head_done = response.head_done;
        size_t given = length - at < piece ? length - at : piece;
        size_t taken = response_feed(&response, answer + at, given);
        at += taken;
        /* What is not taken: the head was to be looked at, or it is over. */
        if (taken < given)
            assert_true(response.head_done != head_done || response.done || response.error);
    }
    response_close(&response);
}

#define WHOLE 100000

static void expect_body(const char *answer, const char *body)
{
    static const size_t pieces[] = {WHOLE, 7, 1};
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        feed(answer, pieces[i]);
        if (response.error)
            fail_msg("%s: %s", answer, response.error);
        assert_true(response.done);
        assert_int_equal(response.status, 200);
        assert_string_equal(text, body);
    }
}

static void expect_error(const char *answer, const char *error)
{
    static const size_t pieces[] = {WHOLE, 1};
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        feed(answer, pieces[i]);
        if (!response.error || !strstr(response.error, error))
            fail_msg("%s: %s", answer, response.error ? response.error : "taken");
        assert_false(response.done);
    }
}

static void a_body_ends_in_three_ways_rfc9112_6_3(void **state)
{
    (void)state;
    expect_body("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more", "hello");
    assert_int_equal(response.length, 5);
    expect_body("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "");
    expect_body("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                "2\r\nhe\r\n3;ext=1\r\nllo\r\n0\r\nTrailer: x\r\n\r\n",
                "hello");
    assert_true(response.length == RESPONSE_UNKNOWN);
    expect_body("HTTP/1.1 200 OK\r\n\r\nhello", "hello");
    expect_body("HTTP/1.0 200 OK\r\n\r\nhello", "hello");
}

static void informational_responses_are_passed_over_rfc9110_15_2(void **state)
{
    (void)state;
    expect_body("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLocation: /no\r\n\r\n"
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
                "hi");
    assert_string_equal(response.reason, "OK");
    assert_string_equal(response.location, "");
}

static void what_is_cut_short_or_damaged_is_an_error(void **state)
{
    (void)state;
    expect_error("", "without an answer");
    expect_error("HTTP/1.1 200 OK\r\nContent-", "without an answer");
    expect_error("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", "before the body");
    expect_error("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
                 "before the body");
    expect_error("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "damaged");
    expect_error("SSH-2.0-OpenSSH_9.2\r\n", "no HTTP");
    expect_error("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
                 "no HTTP");
    expect_error("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                 "no HTTP");
    expect_error("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
                 "changed the protocol");
}

static void the_head_can_be_looked_at_before_the_body(void **state)
{
    static const char answer[] = "HTTP/1.1 302 Found elsewhere\r\nlocation:  /there \r\n"
                                 "Content-Length: 2\r\n\r\nhi";
    (void)state;
    memset(text, 0, sizeof(text));
    response_init(&response, take_body, &response);
    size_t taken = response_feed(&response, answer, strlen(answer));
    assert_true(response.head_done);
    assert_false(response.done);
    assert_int_equal(response.status, 302);
    assert_string_equal(response.reason, "Found elsewhere");
    assert_string_equal(response.location, "/there");
    assert_string_equal(text, "");
    response_feed(&response, answer + taken, strlen(answer) - taken);
    assert_true(response.done);
    assert_string_equal(text, "hi");
}

static void a_field_that_is_too_long_is_empty(void **state)
{
    char answer[RESPONSE_FIELD_BYTES + 200];
    (void)state;
    for (int over = 0; over <= 1; over++) {
        snprintf(answer, sizeof(answer),
                 "HTTP/1.1 200 OK\r\nLocation: %0*d\r\nX: y\r\nContent-Length: 0\r\n\r\n",
                 RESPONSE_FIELD_BYTES - 1 + over, 0);
        feed(answer, WHOLE);
        assert_int_equal(strlen(response.location), over ? 0 : RESPONSE_FIELD_BYTES - 1);
    }
    snprintf(answer, sizeof(answer), "HTTP/1.1 404 %0100d\r\nContent-Length: 0\r\n\r\n", 0);
    feed(answer, 1);
    assert_int_equal(strlen(response.reason), sizeof(response.reason) - 1);
}

static void content_range_is_read_rfc9110_14_4(void **state)
{
    static const struct {
        const char *field;
        uint64_t first, last, total;
    } cases[] = {
        {"bytes 100-199/1000", 100, 199, 1000},
        {"bytes 0-0/1", 0, 0, 1},
        {"Bytes 5-9/*", 5, 9, RESPONSE_UNKNOWN},
        {"bytes */1000", RESPONSE_UNKNOWN, RESPONSE_UNKNOWN, 1000},
        {"bytes 200-199/1000", RESPONSE_UNKNOWN, RESPONSE_UNKNOWN, RESPONSE_UNKNOWN},
        {"bytes 100-/1000", RESPONSE_UNKNOWN, RESPONSE_UNKNOWN, RESPONSE_UNKNOWN},
        {"bytes -5/1000", RESPONSE_UNKNOWN, RESPONSE_UNKNOWN, RESPONSE_UNKNOWN},
        {"bytes 1-2/3x", RESPONSE_UNKNOWN, RESPONSE_UNKNOWN, RESPONSE_UNKNOWN},
        {"lines 1-2/3", RESPONSE_UNKNOWN, RESPONSE_UNKNOWN, RESPONSE_UNKNOWN},
        {"bytes 9223372036854775808-9223372036854775809/*", RESPONSE_UNKNOWN, RESPONSE_UNKNOWN,
         RESPONSE_UNKNOWN},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char answer[256];
        snprintf(answer, sizeof(answer),
                 "HTTP/1.1 206 Part\r\nContent-Range: %s\r\nContent-Length: 0\r\n\r\n",
                 cases[i].field);
        feed(answer, WHOLE);
        assert_true(response.range_first == cases[i].first);
        assert_true(response.range_last == cases[i].last);
        assert_true(response.range_total == cases[i].total);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_ends_in_three_ways_rfc9112_6_3),
        cmocka_unit_test(informational_responses_are_passed_over_rfc9110_15_2),
        cmocka_unit_test(what_is_cut_short_or_damaged_is_an_error),
        cmocka_unit_test(the_head_can_be_looked_at_before_the_body),
        cmocka_unit_test(a_field_that_is_too_long_is_empty),
        cmocka_unit_test(content_range_is_read_rfc9110_14_4),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
