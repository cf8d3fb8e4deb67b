/* SPDX-License-Identifier: MIT */
/* What the HTTP server answers; how long its sessions live is for test_http_session.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "web.h"

#define CLOSE WEB_CLOSE
#define DATE  "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n" /* and so are all files */

/* hello.txt is the third file of the pair, of five bytes; then come nanoseconds since 1970. */
#define HELLO_TAG "\"3-5-ae1b981bc490a00\""

/* What is said of hello.txt. */
#define HELLO_FIELDS                                                                               \
    "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nETag: " HELLO_TAG                             \
    "\r\nAccept-Ranges: bytes\r\n"

/* One connection, one request, one response, compared as a whole. */
static void expect_answer(const char *root, const char *request, const char *expected)
{
    struct web *w = web_new(root);
    assert_string_equal(web_answer(w, request), expected);
    web_free(w);
}

/* ---- Files and directories ---- */

static void a_file_is_served(void **state)
{
    (void)state;
    expect_answer("/srv", "GET /hello.txt HTTP/1.1\r\n" CLOSE,
                  "HTTP/1.1 200 OK\r\nServer: Strait\r\n" DATE
                  "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n" HELLO_FIELDS
                  "Connection: close\r\n\r\nhello");
    web_expect("GET /empty HTTP/1.1\r\n" CLOSE, "HTTP/1.1 200 OK\r\n", "\r\nContent-Length: 0\r\n");
    web_expect("GET /a%20b?c=d HTTP/1.1\r\n" CLOSE, "HTTP/1.1 200 OK\r\n", "\r\n\r\nblank");
}

static void head_is_get_without_the_body_rfc9110_9_3_2(void **state)
{
    (void)state;
    expect_answer("/srv", "HEAD /hello.txt HTTP/1.1\r\n" CLOSE,
                  "HTTP/1.1 200 OK\r\nServer: Strait\r\n" DATE
                  "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n" HELLO_FIELDS
                  "Connection: close\r\n\r\n");
    expect_answer("/srv", "HEAD /none HTTP/1.1\r\n" CLOSE,
                  "HTTP/1.1 404 Not Found\r\nServer: Strait\r\n" DATE
                  "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 14\r\n"
                  "Connection: close\r\n\r\n");
}

static void a_large_file_is_served_whole(void **state)
{
    (void)state;
    struct web *w = web_new("/srv");
    web_answer(w, "GET /bulk HTTP/1.1\r\n" CLOSE);
    const char *body = web_body(w->client);
    assert_int_equal(w->client->received + w->client->received_bytes - body, WEB_BULK_BYTES);
    assert_memory_equal(body, web_bulk, WEB_BULK_BYTES);
    web_free(w);
}

static void a_directory_is_its_index(void **state)
{
    (void)state;
    web_expect("GET / HTTP/1.1\r\n" CLOSE, "HTTP/1.1 200", "\r\n\r\n<p>index");
    web_expect("GET /sub/ HTTP/1.1\r\n" CLOSE, "HTTP/1.1 200", "\r\n\r\n<p>sub");
    web_expect("GET //sub/ HTTP/1.1\r\n" CLOSE, "HTTP/1.1 200", "\r\n\r\n<p>sub");
}

static void a_directory_without_its_slash_has_moved(void **state)
{
    (void)state;
    web_expect("GET /sub HTTP/1.1\r\n" CLOSE, "HTTP/1.1 301", "\r\nLocation: /sub/\r\n");
    web_expect("GET http://x/%73ub?q HTTP/1.1\r\n" CLOSE, "HTTP/1.1 301",
               "\r\nLocation: /%73ub/\r\n");
}

/* RFC 3986 4.2: "//sub/" would be the host "sub". */
static void a_redirection_stays_on_this_host(void **state)
{
    (void)state;
    web_expect("GET //sub HTTP/1.1\r\n" CLOSE, "HTTP/1.1 301", "\r\nLocation: /sub/\r\n");
}

static void a_directory_without_index_is_listed(void **state)
{
    (void)state;
    struct web *w = web_new("/srv");
    pair_file(w->pair, "/srv/bare/zebra", "", 0);
    pair_file(w->pair, "/srv/bare/.hidden", "", 0);
    pair_file(w->pair, "/srv/bare/dir", NULL, 0);
    pair_file(w->pair, "/srv/bare/dir/below", "", 0);
    pair_file(w->pair, "/srv/bare/a:<\"&'\xc3\xa4>%", "", 0);
    static const char page[] =
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
        "<title>Index of /bare/</title>\n<h1>Index of /bare/</h1>\n<ul>\n"
        "<li><a href=\"../\">../</a>\n"
        "<li><a href=\"./a%3A%3C%22%26%27%C3%A4%3E%25\">a:&lt;&quot;&amp;'\xc3\xa4&gt;%</a>\n"
        "<li><a href=\"./dir/\">dir/</a>\n<li><a href=\"./zebra\">zebra</a>\n"
        "</ul>\n</html>\n";
    const char *answer = web_answer(w, "GET /bare/ HTTP/1.1\r\n" CLOSE);
    char length[32];
    snprintf(length, sizeof(length), "\r\nContent-Length: %zu\r\n", strlen(page));
    assert_memory_equal(answer, "HTTP/1.1 200", 12);
    assert_non_null(strstr(answer, "\r\nContent-Type: text/html; charset=utf-8\r\n"));
    assert_non_null(strstr(answer, length));
    assert_string_equal(web_body(w->client), page);
    web_free(w);
}

static void the_name_of_a_listed_directory_is_escaped(void **state)
{
    (void)state;
    struct web *w = web_new("/srv");
    pair_file(w->pair, "/srv/<script>", NULL, 0);
    assert_non_null(strstr(web_answer(w, "GET /%3Cscript%3E/ HTTP/1.1\r\n" CLOSE),
                           "<h1>Index of /&lt;script&gt;/</h1>"));
    assert_null(strstr(w->client->received, "<script>"));
    web_free(w);
}

static void what_is_wrong_has_its_status(void **state)
{
    (void)state;
    web_expect("GET /none HTTP/1.1\r\n" CLOSE, "HTTP/1.1 404 Not Found\r\n",
               "\r\n\r\n404 Not Found\n");
    web_expect("GET /none/ HTTP/1.1\r\n" CLOSE, "HTTP/1.1 404", "");
    web_expect("GET /hello.txt/x HTTP/1.1\r\n" CLOSE, "HTTP/1.1 404", "");
    web_expect("GET /../secret HTTP/1.1\r\n" CLOSE, "HTTP/1.1 403", "");
    web_expect("GET /%2e%2e/secret HTTP/1.1\r\n" CLOSE, "HTTP/1.1 403", "");
    web_expect("GET /%00 HTTP/1.1\r\n" CLOSE, "HTTP/1.1 400", "");
    web_expect("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400", "\r\nConnection: close\r\n");
    web_expect("DELETE / HTTP/1.1\r\n" CLOSE, "HTTP/1.1 405", "\r\nAllow: GET, HEAD\r\n");
    web_expect("BREW / HTTP/1.1\r\n" CLOSE, "HTTP/1.1 501", "");
    web_expect("GET / HTTP/2.0\r\n" CLOSE, "HTTP/1.1 505", "");
}

static void without_a_root_there_is_one_page(void **state)
{
    (void)state;
    struct web *w = web_new(NULL);
    const char *answer = web_answer(w, "GET / HTTP/1.1\r\n" CLOSE);
    const char *body = strstr(answer, "\r\n\r\n");
    size_t length = 0;
    assert_non_null(strstr(answer, "\r\nContent-Type: text/html"));
    assert_int_equal(sscanf(strstr(answer, "Content-Length: "), "Content-Length: %zu", &length), 1);
    assert_int_equal(strlen(body + 4), length);
    web_free(w);
    w = web_new(NULL);
    assert_memory_equal(web_answer(w, "GET /hello.txt HTTP/1.1\r\n" CLOSE), "HTTP/1.1 404", 12);
    web_free(w);
}

static void a_root_that_is_not_there_is_said(void **state)
{
    (void)state;
    struct pair *pair = pair_new(&(struct pair_config){0});
    const struct http_config config = {.port = 80, .root = "/none"};
    errno = 0;
    assert_null(http_start(pair_stack(pair, 1), pair_env(pair), &config));
    assert_int_equal(errno, ENOENT);
    pair_free(pair);
}

/* ---- Conditions and ranges ---- */

static void what_has_not_changed_is_not_sent_again_rfc9110_15_4_5(void **state)
{
    (void)state;
    expect_answer("/srv", "GET /hello.txt HTTP/1.1\r\nIf-None-Match: " HELLO_TAG "\r\n" CLOSE,
                  "HTTP/1.1 304 Not Modified\r\nServer: Strait\r\n" DATE HELLO_FIELDS
                  "Connection: close\r\n\r\n");
    web_expect("GET /hello.txt HTTP/1.1\r\nIf-None-Match: \"other\"\r\n" CLOSE, "HTTP/1.1 200",
               "\r\n\r\nhello");
    web_expect(
        "GET /hello.txt HTTP/1.1\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n" CLOSE,
        "HTTP/1.1 304", "");
    web_expect("GET /hello.txt HTTP/1.1\r\nIf-Match: \"other\"\r\n" CLOSE, "HTTP/1.1 412",
               "\r\n\r\n412 Precondition Failed\n");
}

static void conditions_concern_what_is_there_rfc9110_13_2_1(void **state)
{
    (void)state;
    web_expect("GET /none HTTP/1.1\r\nIf-None-Match: *\r\n" CLOSE, "HTTP/1.1 404", "");
    web_expect("GET /sub HTTP/1.1\r\nIf-Match: \"other\"\r\n" CLOSE, "HTTP/1.1 301", "");
}

static void a_part_is_sent_rfc9110_15_3_7(void **state)
{
    (void)state;
    expect_answer("/srv", "GET /hello.txt HTTP/1.1\r\nRange: bytes=1-3\r\n" CLOSE,
                  "HTTP/1.1 206 Partial Content\r\nServer: Strait\r\n" DATE
                  "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\n" HELLO_FIELDS
                  "Content-Range: bytes 1-3/5\r\nConnection: close\r\n\r\nell");
    struct web *w = web_new("/srv");
    web_answer(w, "GET /bulk HTTP/1.1\r\nRange: bytes=1000001-2000000\r\n" CLOSE);
    assert_non_null(
        strstr(w->client->received, "\r\nContent-Range: bytes 1000001-2000000/3000000\r\n"));
    const char *body = web_body(w->client);
    assert_int_equal(w->client->received + w->client->received_bytes - body, 1000000);
    assert_memory_equal(body, web_bulk + 1000001, 1000000);
    web_free(w);
}

static void a_part_that_is_not_there_is_told_the_size_rfc9110_15_5_17(void **state)
{
    (void)state;
    web_expect("GET /hello.txt HTTP/1.1\r\nRange: bytes=5-\r\n" CLOSE,
               "HTTP/1.1 416 Range Not Satisfiable\r\n", "\r\nContent-Range: bytes */5\r\n");
    web_expect("GET /empty HTTP/1.1\r\nRange: bytes=0-\r\n" CLOSE, "HTTP/1.1 416",
               "\r\nContent-Range: bytes */0\r\n");
}

/* ---- Files that stay open ---- */

/* Asks for /hello.txt on the connection, which stays, and expects a body of five bytes. */
static void expect_hello(struct web *w, const char *body)
{
    static const char request[] = "GET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n";
    size_t before = w->client->received_bytes;
    talker_say(w->client, request, strlen(request));
    talker_hear(w->client, before + 1);
    pair_run(w->pair, 100 * PAIR_MS);
    assert_memory_equal(w->client->received + before, "HTTP/1.1 200", 12);
    assert_memory_equal(w->client->received + w->client->received_bytes - 5, body, 5);
}

static void a_file_that_is_asked_for_again_stays_open(void **state)
{
    (void)state;
    struct web *w = web_new("/srv");
    pair_run(w->pair, 3 * PAIR_S);
    for (int i = 0; i < 10; i++)
        expect_hello(w, "hello");
    assert_int_equal(pair_opened(w->pair), 1);
    web_free(w);
}

static void a_change_of_a_file_shows_at_once(void **state)
{
    (void)state;
    struct web *w = web_new("/srv");
    pair_run(w->pair, 3 * PAIR_S);
    expect_hello(w, "hello");
    pair_file(w->pair, "/srv/hello.txt", "HELLO", 5);
    expect_hello(w, "HELLO");
    web_free(w);
}

/* The file's times do not tell of a second change within their resolution. */
static void a_file_that_has_just_changed_is_read_each_time(void **state)
{
    (void)state;
    struct web *w = web_new("/srv");
    expect_hello(w, "hello");
    expect_hello(w, "hello");
    assert_int_equal(pair_opened(w->pair), 2);
    web_free(w);
}

static void only_so_many_files_stay_open(void **state)
{
    (void)state;
    static char paths[140][32];
    struct web *w = web_new("/srv");
    for (size_t i = 0; i < 140; i++) {
        snprintf(paths[i], sizeof(paths[i]), "/srv/bare/%zu", i);
        pair_file(w->pair, paths[i], "", 0);
    }
    pair_run(w->pair, 3 * PAIR_S);
    for (size_t i = 0; i < 280; i++) {
        char request[64];
        size_t before = w->client->received_bytes;
        snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n",
                 paths[i % 140] + 4);
        talker_say(w->client, request, strlen(request));
        talker_hear(w->client, before + 1);
    }
    assert_int_equal(pair_open_files(w->pair), 128 + 1); /* and the root */
    web_free(w);
}

/* ---- The access log ---- */

static void expect_log(const char *request, const char *line)
{
    struct web *w = web_new("/srv");
    web_answer(w, request);
    assert_string_equal(w->log, line);
    web_free(w);
}

#define PEER "10.0.0.1 - - [06/Nov/1994:08:49:37 +0000] "

static void the_log_tells_of_each_answer(void **state)
{
    (void)state;
    expect_log("GET /hello.txt?a HTTP/1.1\r\nReferer: http://a/\r\nUser-Agent: b c\r\n" CLOSE,
               PEER "\"GET /hello.txt?a HTTP/1.1\" 200 5 \"http://a/\" \"b c\"\n");
    expect_log("HEAD /hello.txt HTTP/1.0\r\n\r\n",
               PEER "\"HEAD /hello.txt HTTP/1.0\" 200 0 \"-\" \"-\"\n");
    expect_log("GET /hello.txt HTTP/1.1\r\nRange: bytes=-2\r\n" CLOSE,
               PEER "\"GET /hello.txt HTTP/1.1\" 206 2 \"-\" \"-\"\n");
    expect_log("GET /bulk HTTP/1.1\r\n" CLOSE,
               PEER "\"GET /bulk HTTP/1.1\" 200 3000000 \"-\" \"-\"\n");
    expect_log("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /none HTTP/1.1\r\n" CLOSE,
               PEER "\"GET / HTTP/1.1\" 200 8 \"-\" \"-\"\n" PEER
                    "\"GET /none HTTP/1.1\" 404 14 \"-\" \"-\"\n");
}

static void nobody_forges_a_line_of_the_log(void **state)
{
    (void)state;
    expect_log("GET /\"\\ HTTP/1.1\r\nUser-Agent: a\"\\\t\xe4z\r\n" CLOSE,
               PEER "\"GET /\\x22\\x5C HTTP/1.1\" 404 14 \"-\" \"a\\x22\\x5C\\x09\\xE4z\"\n");
    expect_log("\x16\x03\x01\r\n\r\n", PEER "\"-\" 400 16 \"-\" \"-\"\n");
}

/* 8000 bytes of which each takes four in the log. */
static void a_line_of_the_log_has_an_end(void **state)
{
    (void)state;
    char request[8192] = "GET /";
    memset(request + 5, '"', 7900);
    snprintf(request + 7905, sizeof(request) - 7905, " HTTP/1.1\r\n" CLOSE);
    struct web *w = web_new("/srv");
    web_answer(w, request);
    assert_in_range(strlen(w->log), 2000, 2600);
    assert_non_null(strstr(w->log, "\\x22 HTTP/1.1\" 4"));
    web_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_served),
        cmocka_unit_test(head_is_get_without_the_body_rfc9110_9_3_2),
        cmocka_unit_test(a_large_file_is_served_whole),
        cmocka_unit_test(a_directory_is_its_index),
        cmocka_unit_test(a_directory_without_its_slash_has_moved),
        cmocka_unit_test(a_redirection_stays_on_this_host),
        cmocka_unit_test(a_directory_without_index_is_listed),
        cmocka_unit_test(the_name_of_a_listed_directory_is_escaped),
        cmocka_unit_test(what_is_wrong_has_its_status),
        cmocka_unit_test(without_a_root_there_is_one_page),
        cmocka_unit_test(a_root_that_is_not_there_is_said),
        cmocka_unit_test(what_has_not_changed_is_not_sent_again_rfc9110_15_4_5),
        cmocka_unit_test(conditions_concern_what_is_there_rfc9110_13_2_1),
        cmocka_unit_test(a_part_is_sent_rfc9110_15_3_7),
        cmocka_unit_test(a_part_that_is_not_there_is_told_the_size_rfc9110_15_5_17),
        cmocka_unit_test(a_file_that_is_asked_for_again_stays_open),
        cmocka_unit_test(a_change_of_a_file_shows_at_once),
        cmocka_unit_test(a_file_that_has_just_changed_is_read_each_time),
        cmocka_unit_test(only_so_many_files_stay_open),
        cmocka_unit_test(the_log_tells_of_each_answer),
        cmocka_unit_test(nobody_forges_a_line_of_the_log),
        cmocka_unit_test(a_line_of_the_log_has_an_end),
    };
    return cmocka_run_group_tests(tests, web_fill_bulk, NULL);
}
