/* SPDX-License-Identifier: MIT */
/* The HTTP server, on a pair of stacks in virtual time, with files in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"
#include "http/http.h"
#include "pair.h"
#include "talker.h"

#define BULK 3000000 /* several pieces, and more than all the buffers between the two ends */

static char bulk[BULK];

static int fill_bulk(void **state)
{
    (void)state;
    struct prng prng;
    prng_seed(&prng, 1);
    for (size_t i = 0; i < BULK; i++)
        bulk[i] = (char)prng_next(&prng);
    return 0;
}

struct fixture {
    struct pair *pair;
    struct server *server;
    struct talker *client;
};

static struct fixture serve_root(const char *root)
{
    struct fixture f = {.pair = pair_new(&(struct pair_config){0})};
    pair_file(f.pair, "/srv", NULL, 0);
    pair_file(f.pair, "/srv/index.html", "<p>index", 8);
    pair_file(f.pair, "/srv/hello.txt", "hello", 5);
    pair_file(f.pair, "/srv/a b", "blank", 5);
    pair_file(f.pair, "/srv/empty", "", 0);
    pair_file(f.pair, "/srv/bulk", bulk, BULK);
    pair_file(f.pair, "/srv/sub", NULL, 0);
    pair_file(f.pair, "/srv/sub/index.html", "<p>sub", 6);
    pair_file(f.pair, "/srv/bare", NULL, 0);
    pair_file(f.pair, "/secret", "secret", 6);
    f.server = http_start(pair_stack(f.pair, 1), pair_env(f.pair), 80, root);
    assert_non_null(f.server);
    f.client = talker_connect(f.pair, 0, 80);
    return f;
}

static struct fixture serve(void)
{
    return serve_root("/srv");
}

static void fixture_free(struct fixture *f)
{
    talker_close(f->client);
    server_free(f->server);
    assert_int_equal(pair_open_files(f->pair), 0);
    pair_free(f->pair);
}

/* The whole response to a request after which the server closes. */
static const char *answer_to(struct fixture *f, const char *request)
{
    talker_say(f->client, request, strlen(request));
    talker_hear_end(f->client);
    assert_int_equal(f->client->error, 0);
    return f->client->received;
}

/* One connection, one request, one response, compared as a whole. */
static void expect_answer(const char *root, const char *request, const char *expected)
{
    struct fixture f = serve_root(root);
    assert_string_equal(answer_to(&f, request), expected);
    fixture_free(&f);
}

/* The same, but only the first line and one line more are looked at. */
static void expect_lines(const char *request, const char *status_line, const char *line)
{
    struct fixture f = serve();
    const char *answer = answer_to(&f, request);
    if (strncmp(answer, status_line, strlen(status_line)) != 0 || !strstr(answer, line))
        fail_msg("%s\nwas answered by\n%s\nand not by\n%s ... %s", request, answer, status_line,
                 line);
    fixture_free(&f);
}

#define CLOSE "Host: x\r\nConnection: close\r\n\r\n"

static void a_file_is_served(void **state)
{
    (void)state;
    expect_answer("/srv", "GET /hello.txt HTTP/1.1\r\n" CLOSE,
                  "HTTP/1.1 200 OK\r\nServer: Strait\r\n"
                  "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n"
                  "Connection: close\r\n\r\nhello");
    expect_answer("/srv", "GET /empty HTTP/1.1\r\n" CLOSE,
                  "HTTP/1.1 200 OK\r\nServer: Strait\r\n"
                  "Content-Type: application/octet-stream\r\nContent-Length: 0\r\n"
                  "Connection: close\r\n\r\n");
    expect_lines("GET /a%20b?c=d HTTP/1.1\r\n" CLOSE, "HTTP/1.1 200 OK\r\n", "\r\n\r\nblank");
}

static void head_is_get_without_the_body_rfc9110_9_3_2(void **state)
{
    (void)state;
    expect_answer("/srv", "HEAD /hello.txt HTTP/1.1\r\n" CLOSE,
                  "HTTP/1.1 200 OK\r\nServer: Strait\r\n"
                  "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n"
                  "Connection: close\r\n\r\n");
    expect_answer("/srv", "HEAD /none HTTP/1.1\r\n" CLOSE,
                  "HTTP/1.1 404 Not Found\r\nServer: Strait\r\n"
                  "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 14\r\n"
                  "Connection: close\r\n\r\n");
}

static void a_directory_is_its_index(void **state)
{
    (void)state;
    expect_lines("GET / HTTP/1.1\r\n" CLOSE, "HTTP/1.1 200", "\r\n\r\n<p>index");
    expect_lines("GET /sub/ HTTP/1.1\r\n" CLOSE, "HTTP/1.1 200", "\r\n\r\n<p>sub");
    expect_lines("GET /bare/ HTTP/1.1\r\n" CLOSE, "HTTP/1.1 404", "");
}

static void a_directory_without_its_slash_has_moved(void **state)
{
    (void)state;
    expect_lines("GET /sub HTTP/1.1\r\n" CLOSE, "HTTP/1.1 301", "\r\nLocation: /sub/\r\n");
    expect_lines("GET http://x/%73ub?q HTTP/1.1\r\n" CLOSE, "HTTP/1.1 301",
                 "\r\nLocation: /%73ub/\r\n");
}

/* RFC 3986 4.2: "//sub/" would be the host "sub". */
static void a_redirection_stays_on_this_host(void **state)
{
    (void)state;
    struct fixture f = serve();
    pair_file(f.pair, "/srv//sub", NULL, 0);
    assert_non_null(
        strstr(answer_to(&f, "GET //sub HTTP/1.1\r\n" CLOSE), "\r\nLocation: /sub/\r\n"));
    fixture_free(&f);
}

static void what_is_wrong_has_its_status(void **state)
{
    (void)state;
    expect_lines("GET /none HTTP/1.1\r\n" CLOSE, "HTTP/1.1 404 Not Found\r\n",
                 "\r\n\r\n404 Not Found\n");
    expect_lines("GET /hello.txt/x HTTP/1.1\r\n" CLOSE, "HTTP/1.1 404", "");
    expect_lines("GET /../secret HTTP/1.1\r\n" CLOSE, "HTTP/1.1 403", "");
    expect_lines("GET /%2e%2e/secret HTTP/1.1\r\n" CLOSE, "HTTP/1.1 403", "");
    expect_lines("GET /%00 HTTP/1.1\r\n" CLOSE, "HTTP/1.1 400", "");
    expect_lines("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400", "\r\nConnection: close\r\n");
    expect_lines("DELETE / HTTP/1.1\r\n" CLOSE, "HTTP/1.1 405", "\r\nAllow: GET, HEAD\r\n");
    expect_lines("BREW / HTTP/1.1\r\n" CLOSE, "HTTP/1.1 501", "");
    expect_lines("GET / HTTP/2.0\r\n" CLOSE, "HTTP/1.1 505", "");
}

static void without_a_root_there_is_one_page(void **state)
{
    (void)state;
    struct fixture f = serve_root(NULL);
    const char *answer = answer_to(&f, "GET / HTTP/1.1\r\n" CLOSE);
    const char *body = strstr(answer, "\r\n\r\n");
    size_t length = 0;
    assert_non_null(strstr(answer, "\r\nContent-Type: text/html"));
    assert_int_equal(sscanf(strstr(answer, "Content-Length: "), "Content-Length: %zu", &length), 1);
    assert_int_equal(strlen(body + 4), length);
    fixture_free(&f);
    f = serve_root(NULL);
    assert_memory_equal(answer_to(&f, "GET /hello.txt HTTP/1.1\r\n" CLOSE), "HTTP/1.1 404", 12);
    fixture_free(&f);
}

/* The start of the body behind the first head received, whose NULs all come later. */
static const char *body_of(const struct talker *client)
{
    const char *end = strstr(client->received, "\r\n\r\n");
    assert_non_null(end);
    return end + 4;
}

static void a_large_file_is_served_whole(void **state)
{
    (void)state;
    struct fixture f = serve();
    static const char request[] = "GET /bulk HTTP/1.1\r\n" CLOSE;
    talker_say(f.client, request, strlen(request));
    talker_hear_end(f.client);
    const char *body = body_of(f.client);
    assert_int_equal(f.client->received + f.client->received_bytes - body, BULK);
    assert_memory_equal(body, bulk, BULK);
    fixture_free(&f);
}

static void requests_on_one_connection_are_answered_in_order(void **state)
{
    (void)state;
    struct fixture f = serve();
    static const char head[] = "HTTP/1.1 200 OK\r\nServer: Strait\r\n"
                               "Content-Type: application/octet-stream\r\n";
    static const char requests[] = "GET /bulk HTTP/1.1\r\nHost: x\r\n\r\n"
                                   "HEAD /bulk HTTP/1.1\r\nHost: x\r\n\r\n"
                                   "GET /empty HTTP/1.1\r\nHost: x\r\n\r\n"
                                   "GET /a%20b HTTP/1.1\r\nHost: x\r\n\r\n";
    static const char rest[] = "HTTP/1.1 200 OK\r\nServer: Strait\r\n"
                               "Content-Type: application/octet-stream\r\n"
                               "Content-Length: 3000000\r\n\r\n"
                               "HTTP/1.1 200 OK\r\nServer: Strait\r\n"
                               "Content-Type: application/octet-stream\r\n"
                               "Content-Length: 0\r\n\r\n"
                               "HTTP/1.1 200 OK\r\nServer: Strait\r\n"
                               "Content-Type: application/octet-stream\r\n"
                               "Content-Length: 5\r\n\r\nblank";
    talker_say(f.client, requests, strlen(requests));
    size_t first = strlen(head) + strlen("Content-Length: 3000000\r\n\r\n") + BULK;
    talker_hear(f.client, first + strlen(rest));
    assert_memory_equal(body_of(f.client), bulk, BULK);
    assert_int_equal(f.client->received_bytes, first + strlen(rest));
    assert_memory_equal(f.client->received + first, rest, strlen(rest));
    assert_false(f.client->ended);
    assert_int_equal(server_sessions(f.server), 1);
    fixture_free(&f);
}

static void http_1_0_is_told_that_the_connection_stays(void **state)
{
    (void)state;
    struct fixture f = serve();
    static const char request[] = "GET /hello.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    talker_say(f.client, request, strlen(request));
    talker_hear(f.client, 100);
    assert_non_null(strstr(f.client->received, "\r\nConnection: keep-alive\r\n"));
    pair_run(f.pair, PAIR_S);
    assert_false(f.client->ended);
    fixture_free(&f);
}

static void a_peer_that_has_finished_still_gets_its_answer(void **state)
{
    (void)state;
    struct fixture f = serve();
    static const char request[] = "GET /bulk HTTP/1.1\r\nHost: x\r\n\r\n";
    talker_say(f.client, request, strlen(request));
    talker_finish(f.client);
    talker_hear_end(f.client);
    assert_int_equal(f.client->error, 0);
    assert_memory_equal(body_of(f.client), bulk, BULK);
    assert_int_equal(server_sessions(f.server), 0);
    fixture_free(&f);
}

/* RFC 9112 9.6: closing at once would reset the connection, and the answer could be lost by it. */
static void an_early_answer_reaches_a_peer_that_is_still_sending(void **state)
{
    (void)state;
    struct fixture f = serve();
    static char request[1000000] = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n";
    talker_say(f.client, request, sizeof(request));
    talker_hear_end(f.client);
    assert_int_equal(f.client->error, 0);
    assert_memory_equal(f.client->received, "HTTP/1.1 405", 12);
    fixture_free(&f);
}

static void a_file_that_shrinks_on_the_way_ends_in_a_reset(void **state)
{
    (void)state;
    struct fixture f = serve();
    static const char request[] = "GET /bulk HTTP/1.1\r\nHost: x\r\n\r\n";
    talker_be_deaf(f.client, true);
    talker_say(f.client, request, strlen(request));
    pair_run(f.pair, PAIR_S);
    pair_file(f.pair, "/srv/bulk", bulk, BULK - 1);
    talker_be_deaf(f.client, false);
    talker_hear_end(f.client);
    assert_int_not_equal(f.client->error, 0);
    assert_false(f.client->ended);
    assert_int_equal(server_sessions(f.server), 0);
    fixture_free(&f);
}

static void a_quiet_connection_is_ended_after_30_seconds(void **state)
{
    (void)state;
    struct fixture f = serve();
    pair_run(f.pair, 29900 * PAIR_MS);
    assert_false(f.client->ended);
    pair_run(f.pair, 200 * PAIR_MS);
    assert_true(f.client->ended);
    assert_int_equal(f.client->received_bytes, 0);
    fixture_free(&f);
}

static void a_request_that_trickles_is_given_30_seconds_in_all(void **state)
{
    (void)state;
    struct fixture f = serve();
    static const char request[] = "GET / HTTP/1.1\r\nHost: xxxxxxxxxxxxxxxxxxxx";
    for (size_t i = 0; i < 31; i++) {
        assert_false(f.client->ended);
        talker_say(f.client, request + i, 1);
        pair_run(f.pair, PAIR_S);
    }
    assert_true(f.client->ended);
    fixture_free(&f);
}

static void a_peer_that_stops_reading_is_cut_off_after_30_seconds(void **state)
{
    (void)state;
    struct fixture f = serve();
    static const char request[] = "GET /bulk HTTP/1.1\r\nHost: x\r\n\r\n";
    talker_be_deaf(f.client, true);
    talker_say(f.client, request, strlen(request));
    pair_run(f.pair, 29 * PAIR_S);
    assert_int_equal(server_sessions(f.server), 1);
    pair_run(f.pair, 3 * PAIR_S);
    assert_int_equal(server_sessions(f.server), 0);
    talker_be_deaf(f.client, false);
    talker_hear_end(f.client);
    assert_int_not_equal(f.client->error, 0);
    fixture_free(&f);
}

static void a_stopped_server_still_ends_the_response_under_way(void **state)
{
    (void)state;
    struct fixture f = serve();
    struct talker *quiet = talker_connect(f.pair, 0, 80);
    static const char request[] = "GET /bulk HTTP/1.1\r\nHost: x\r\n\r\n";
    talker_be_deaf(f.client, true);
    talker_say(f.client, request, strlen(request));
    pair_run(f.pair, PAIR_S);
    server_stop(f.server);
    talker_hear_end(quiet);
    assert_true(quiet->ended);
    talker_be_deaf(f.client, false);
    talker_hear_end(f.client);
    assert_true(f.client->ended);
    assert_memory_equal(body_of(f.client), bulk, BULK);
    talker_close(quiet);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_served),
        cmocka_unit_test(head_is_get_without_the_body_rfc9110_9_3_2),
        cmocka_unit_test(a_directory_is_its_index),
        cmocka_unit_test(a_directory_without_its_slash_has_moved),
        cmocka_unit_test(a_redirection_stays_on_this_host),
        cmocka_unit_test(what_is_wrong_has_its_status),
        cmocka_unit_test(without_a_root_there_is_one_page),
        cmocka_unit_test(a_large_file_is_served_whole),
        cmocka_unit_test(requests_on_one_connection_are_answered_in_order),
        cmocka_unit_test(http_1_0_is_told_that_the_connection_stays),
        cmocka_unit_test(a_peer_that_has_finished_still_gets_its_answer),
        cmocka_unit_test(an_early_answer_reaches_a_peer_that_is_still_sending),
        cmocka_unit_test(a_file_that_shrinks_on_the_way_ends_in_a_reset),
        cmocka_unit_test(a_quiet_connection_is_ended_after_30_seconds),
        cmocka_unit_test(a_request_that_trickles_is_given_30_seconds_in_all),
        cmocka_unit_test(a_peer_that_stops_reading_is_cut_off_after_30_seconds),
        cmocka_unit_test(a_stopped_server_still_ends_the_response_under_way),
    };
    return cmocka_run_group_tests(tests, fill_bulk, NULL);
}
