/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/media.h"
#include "http/request.h"

static struct http_request request;

/* Feeds bytes in pieces of `piece` until the request is done; returns how many were taken. */
static size_t feed(const char *bytes, size_t length, size_t piece)
{
    size_t taken = 0;
    http_request_init(&request);
    while (!request.done && taken < length) {
        size_t offered = length - taken < piece ? length - taken : piece;
        size_t n = http_request_feed(&request, bytes + taken, offered);
        assert_true(n <= offered);
        assert_true(n > 0 || request.done);
        taken += n;
    }
    return taken;
}

/* The status of a request, which is the same however its bytes arrive. */
static unsigned status_of(const char *text)
{
    feed(text, strlen(text), strlen(text));
    assert_true(request.done);
    unsigned status = request.status;
    bool keep_alive = request.keep_alive;
    feed(text, strlen(text), 1);
    assert_true(request.done);
    assert_int_equal(request.status, status);
    assert_int_equal(request.keep_alive, keep_alive);
    return status;
}

static void a_get_is_understood_byte_by_byte(void **state)
{
    (void)state;
    assert_int_equal(status_of("GET /a?b=c HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n"), 0);
    assert_int_equal(request.target_bytes, 6);
    assert_memory_equal(request.text, "/a?b=c", 6);
    assert_false(request.head);
    assert_true(request.keep_alive);
    assert_false(request.version_1_0);
    assert_int_equal(status_of("HEAD / HTTP/1.1\r\nhost:\r\n\r\n"), 0);
    assert_true(request.head);
}

static void an_incomplete_request_is_not_done(void **state)
{
    (void)state;
    static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\n\r";
    assert_int_equal(feed(text, strlen(text), 5), strlen(text));
    assert_false(request.done);
}

static void a_pipelined_request_is_left_alone(void **state)
{
    (void)state;
    static const char first[] = "GET /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
    static const char both[] = "GET /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
                               "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n";
    for (size_t piece = 1; piece < sizeof(both); piece++) {
        size_t taken = feed(both, strlen(both), piece);
        assert_int_equal(taken, strlen(first));
        assert_int_equal(request.status, 0);
        feed(both + taken, strlen(both) - taken, piece);
        assert_true(request.done);
        assert_memory_equal(request.text, "/2", 2);
    }
}

static void a_chunked_body_is_skipped_to_its_end(void **state)
{
    (void)state;
    static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "4\r\nWiki\r\n5;a=b\r\npedia\r\n0\r\nTrailer: x\r\n\r\nGET";
    assert_int_equal(feed(text, strlen(text), strlen(text)), strlen(text) - 3);
    assert_true(request.done);
    assert_int_equal(request.status, 0);
    assert_true(request.keep_alive);
}

static void persistence_follows_version_and_connection_field_rfc9112_9_3(void **state)
{
    (void)state;
    assert_int_equal(status_of("GET / HTTP/1.0\r\n\r\n"), 0);
    assert_false(request.keep_alive);
    assert_true(request.version_1_0);
    assert_int_equal(status_of("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), 0);
    assert_true(request.keep_alive);
    assert_int_equal(status_of("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), 0);
    assert_false(request.keep_alive);
}

static void http_1_1_needs_exactly_one_host_rfc9112_3_2(void **state)
{
    (void)state;
    assert_int_equal(status_of("GET / HTTP/1.1\r\n\r\n"), 400);
    assert_int_equal(status_of("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400);
    assert_int_equal(status_of("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"), 400);
    assert_int_equal(status_of("GET / HTTP/1.1\r\nHostess: a\r\n\r\n"), 400);
    assert_int_equal(status_of("GET / HTTP/1.1\r\nX-Host-Name: a\r\nHOST: a\r\n\r\n"), 0);
}

static void a_host_is_a_host_and_a_port_rfc9112_3_2(void **state)
{
    (void)state;
    assert_int_equal(status_of("GET / HTTP/1.1\r\nHost: [::1]:80 \r\n\r\n"), 0);
    assert_int_equal(status_of("GET / HTTP/1.1\r\nHost: a-b.c%20:8\r\n\r\n"), 0);
    assert_int_equal(status_of("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400);
    assert_int_equal(status_of("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400);
    assert_int_equal(status_of("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"), 400);
    assert_int_equal(status_of("GET / HTTP/1.0\r\nHost: \xe4\r\n\r\n"), 400);
}

/* The values of all lines of a field, each behind a bar. */
static void expect_values(enum http_field_name name, const char *expected)
{
    size_t index = 0, length;
    for (const char *v; (v = http_request_field(&request, name, &index, &length));) {
        assert_int_equal(*expected++, '|');
        assert_memory_equal(v, expected, length);
        expected += length;
    }
    assert_string_equal(expected, "");
}

static void the_fields_that_matter_are_kept(void **state)
{
    (void)state;
    static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\nIF-NONE-MATCH: \"a\" \t\r\n"
                               "Range-Unit: b\r\nRange:\r\nIf-None-Match:\t\"c\", \"d\"\r\n"
                               "User-Agent: e f\r\nTransfer-Encoding: Chunked\r\n\r\n"
                               "0\r\nReferer: late\r\n\r\n";
    for (size_t piece = 1; piece < sizeof(text); piece++) {
        feed(text, strlen(text), piece);
        assert_true(request.done);
        assert_int_equal(request.status, 0);
        expect_values(HTTP_HOST, "|x");
        expect_values(HTTP_IF_NONE_MATCH, "|\"a\"|\"c\", \"d\"");
        expect_values(HTTP_RANGE, "|");
        expect_values(HTTP_USER_AGENT, "|e f");
        expect_values(HTTP_REFERER, ""); /* RFC 9110 6.5.1: it stands behind the body */
        expect_values(HTTP_IF_RANGE, "");
    }
}

static void more_lines_of_fields_than_are_kept_are_too_many(void **state)
{
    (void)state;
#define FIVE "If-Match: *\r\nRange: a\r\nIf-Match: b\r\nReferer:\r\nUser-Agent: c\r\n"
    static const char fifteen[] = FIVE FIVE FIVE;
    char text[1024];
    snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n", fifteen);
    assert_int_equal(status_of(text), 0);
    snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: x\r\n%sIf-Match:\r\n\r\n", fifteen);
    assert_int_equal(status_of(text), 431);
}

/* RFC 9110 7.8: a server may ignore an upgrade; the connection goes on with HTTP/1.1. */
static void an_upgrade_is_not_taken_up(void **state)
{
    (void)state;
    static const char text[] =
        "GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\nGET";
    assert_int_equal(feed(text, strlen(text), strlen(text)), strlen(text) - 3);
    assert_true(request.done);
    assert_int_equal(request.status, 0);
    assert_true(request.keep_alive);
}

static void other_versions_are_not_supported(void **state)
{
    (void)state;
    assert_int_equal(status_of("GET / HTTP/2.0\r\nHost: x\r\n\r\n"), 505);
    assert_int_equal(status_of("GET /\r\n\r\n"), 505);
    assert_int_equal(status_of("GET / HTTP/x\r\n\r\n"), 400);
}

static void a_known_method_is_not_allowed_and_an_unknown_one_not_implemented(void **state)
{
    (void)state;
    assert_int_equal(status_of("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"), 405);
    assert_true(request.keep_alive);
    assert_int_equal(status_of("DELETE /a HTTP/1.1\r\nHost: x\r\n\r\n"), 405);
    assert_int_equal(status_of("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"), 405);
    assert_int_equal(status_of("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"), 405);
    assert_false(request.keep_alive);
    assert_int_equal(status_of("BREW / HTTP/1.1\r\nHost: x\r\n\r\n"), 501);
    assert_int_equal(status_of("get / HTTP/1.1\r\nHost: x\r\n\r\n"), 501);
    assert_int_equal(status_of("\x16\x03\x01 hello\r\n"), 400);
}

static void what_is_not_http_is_refused(void **state)
{
    (void)state;
    assert_int_equal(status_of("GET / HTTP/1.1\r\nHost x\r\n\r\n"), 400);
    assert_int_equal(status_of("GET / HTTP/1.1\r\nHost: x\r\n b c\x01: d\r\n\x01\r\n\r\n"), 400);
    assert_int_equal(status_of("GET / HTTP/1.1\r\nHost : x\r\n\r\n"), 400);
    assert_int_equal(status_of("GET /a b HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
}

/* RFC 9112 6.3, 11.2: two opinions about a length are an attack on somebody. */
static void ambiguous_lengths_are_refused(void **state)
{
    (void)state;
    static const char *const fields[] = {
        "Content-Length: 1\r\nContent-Length: 2",
        "Content-Length: -1",
        "Content-Length: 1x",
        "Content-Length: 99999999999999999999999",
        "Content-Length: 1\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 0",
    };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", fields[i]);
        assert_int_equal(status_of(text), 400);
        assert_false(request.keep_alive);
    }
}

static void a_transfer_coding_other_than_chunked_is_not_implemented_rfc9112_6_1(void **state)
{
    (void)state;
    assert_int_equal(
        status_of("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), 501);
    assert_false(request.keep_alive);
    assert_int_equal(status_of("GET / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"),
                     400);
    assert_false(request.keep_alive);
}

static void a_body_beyond_the_bound_is_too_large(void **state)
{
    (void)state;
    assert_int_equal(status_of("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n"), 413);
    assert_false(request.keep_alive);
    static const char head[] = "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "20000\r\n";
    size_t head_bytes = sizeof(head) - 1, length = head_bytes + 0x20000;
    char *text = malloc(length);
    assert_non_null(text);
    memcpy(text, head, head_bytes);
    memset(text + head_bytes, 'a', 0x20000);
    feed(text, length, 1000);
    assert_true(request.done);
    assert_int_equal(request.status, 413);
    assert_false(request.keep_alive);
    free(text);
}

static void a_body_that_waits_to_be_asked_for_is_not_asked_for_rfc9110_10_1_1(void **state)
{
    (void)state;
    static const char text[] = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
                               "Expect: 100-continue\r\n\r\n";
    assert_int_equal(status_of(text), 405);
    assert_false(request.keep_alive);
    static const char get[] = "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
                              "Expect: 100-continue\r\n\r\n";
    assert_int_equal(status_of(get), 0);
    assert_false(request.keep_alive);
}

/* Feeds `before`, then `count` times '0', then `after`. */
static unsigned status_of_long(const char *before, size_t count, const char *after, size_t piece)
{
    size_t length = strlen(before) + count + strlen(after);
    char *text = malloc(length + 1);
    assert_non_null(text);
    snprintf(text, length + 1, "%s%0*d%s", before, (int)count, 0, after);
    feed(text, length, piece);
    free(text);
    assert_true(request.done);
    return request.status;
}

static void a_head_beyond_8192_bytes_is_too_large(void **state)
{
    (void)state;
    static const char before[] = "GET / HTTP/1.1\r\nHost: x\r\nA: ", after[] = "\r\n\r\n";
    size_t room = 8192 - strlen(before) - strlen(after);
    for (size_t piece = 1; piece <= 65536; piece *= 16) {
        assert_int_equal(status_of_long(before, room, after, piece), 0);
        assert_int_equal(status_of_long(before, room + 1, after, piece), 431);
    }
}

static void a_target_of_8000_bytes_is_taken_and_no_more_rfc9112_3(void **state)
{
    (void)state;
    static const char after[] = " HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_int_equal(status_of_long("GET /", 7999, after, 65536), 0);
    assert_int_equal(request.target_bytes, 8000);
    assert_int_equal(status_of_long("GET /", 8000, after, 65536), 414);
    assert_int_equal(status_of_long("GET /", 100000, after, 65536), 414);
    assert_int_equal(status_of_long("GET /", 8000, after, 1), 414);
}

/*
 * One line too many, and a character that no value may have, in one line: the parser hands over
 * the part of the value in front of it only if it arrived in a piece of its own.
 */
static void what_is_wrong_with_a_head_does_not_depend_on_its_pieces(void **state)
{
    (void)state;
    char text[1024];
    snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: x\r\n%sRange: a\x01\r\n\r\n",
             FIVE FIVE FIVE);
    assert_int_equal(status_of(text), 400);
    for (size_t piece = 1; piece <= 65536; piece *= 16)
        assert_int_equal(status_of_long("GET /", 8000, "\x7f HTTP/1.1\r\n\r\n", piece), 400);
}

/* The path of a target: the status, with the path in `path`. */
static unsigned path_of(const char *target, char path[64])
{
    const char *raw;
    size_t raw_bytes;
    http_request_init(&request);
    request.target_bytes = strlen(target);
    memcpy(request.text, target, request.target_bytes);
    return http_request_path(&request, &raw, &raw_bytes, path, 64);
}

static void expect_path(const char *target, const char *expected)
{
    char path[64];
    assert_int_equal(path_of(target, path), 0);
    assert_string_equal(path, expected);
}

static void a_path_is_decoded(void **state)
{
    (void)state;
    expect_path("/", "/");
    expect_path("/a/b.txt?x=%00#y", "/a/b.txt");
    expect_path("/a%20b%2Fc%c3%A4", "/a b/c\xc3\xa4");
    expect_path("/..a/b../...", "/..a/b../...");
    expect_path("http://host:80/a/", "/a/");
    expect_path("http://host", "/");
}

static void a_path_that_is_none_is_refused(void **state)
{
    (void)state;
    char path[64];
    assert_int_equal(path_of("/%", path), 400);
    assert_int_equal(path_of("/%4", path), 400);
    assert_int_equal(path_of("/%4g", path), 400);
    assert_int_equal(path_of("/a%00b", path), 400);
    assert_int_equal(path_of("*", path), 400);
    assert_int_equal(
        path_of("/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", path), 414);
}

static void a_path_does_not_climb(void **state)
{
    (void)state;
    char path[64];
    assert_int_equal(path_of("/..", path), 403);
    assert_int_equal(path_of("/../etc/passwd", path), 403);
    assert_int_equal(path_of("/a/../b", path), 403);
    assert_int_equal(path_of("/a/%2e%2E/b", path), 403);
    assert_int_equal(path_of("/a%2f..%2fb", path), 403);
    assert_int_equal(path_of("//..", path), 403);
    assert_int_equal(path_of("http://host/..", path), 403);
}

static void the_media_type_comes_from_the_suffix(void **state)
{
    (void)state;
    assert_string_equal(http_media_type("/a/index.html"), "text/html; charset=utf-8");
    assert_string_equal(http_media_type("/A.PNG"), "image/png");
    assert_string_equal(http_media_type("/a.html/b"), "application/octet-stream");
    assert_string_equal(http_media_type("/a.tar.gz"), "application/gzip");
    assert_string_equal(http_media_type("/a."), "application/octet-stream");
    assert_string_equal(http_media_type("/html"), "application/octet-stream");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_get_is_understood_byte_by_byte),
        cmocka_unit_test(an_incomplete_request_is_not_done),
        cmocka_unit_test(a_pipelined_request_is_left_alone),
        cmocka_unit_test(a_chunked_body_is_skipped_to_its_end),
        cmocka_unit_test(persistence_follows_version_and_connection_field_rfc9112_9_3),
        cmocka_unit_test(http_1_1_needs_exactly_one_host_rfc9112_3_2),
        cmocka_unit_test(a_host_is_a_host_and_a_port_rfc9112_3_2),
        cmocka_unit_test(the_fields_that_matter_are_kept),
        cmocka_unit_test(more_lines_of_fields_than_are_kept_are_too_many),
        cmocka_unit_test(an_upgrade_is_not_taken_up),
        cmocka_unit_test(other_versions_are_not_supported),
        cmocka_unit_test(a_known_method_is_not_allowed_and_an_unknown_one_not_implemented),
        cmocka_unit_test(what_is_not_http_is_refused),
        cmocka_unit_test(ambiguous_lengths_are_refused),
        cmocka_unit_test(a_transfer_coding_other_than_chunked_is_not_implemented_rfc9112_6_1),
        cmocka_unit_test(a_body_beyond_the_bound_is_too_large),
        cmocka_unit_test(a_body_that_waits_to_be_asked_for_is_not_asked_for_rfc9110_10_1_1),
        cmocka_unit_test(a_head_beyond_8192_bytes_is_too_large),
        cmocka_unit_test(a_target_of_8000_bytes_is_taken_and_no_more_rfc9112_3),
        cmocka_unit_test(what_is_wrong_with_a_head_does_not_depend_on_its_pieces),
        cmocka_unit_test(a_path_is_decoded),
        cmocka_unit_test(a_path_that_is_none_is_refused),
        cmocka_unit_test(a_path_does_not_climb),
        cmocka_unit_test(the_media_type_comes_from_the_suffix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
