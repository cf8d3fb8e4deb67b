/* SPDX-License-Identifier: MIT */
/* Connections of the HTTP server: requests in a row, ends, time and limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "web.h"

#define SESSIONS_MAX 1024

static const char get_bulk[] = "GET /bulk HTTP/1.1\r\nHost: x\r\n\r\n";

static void say(struct talker *client, const char *text)
{
    talker_say(client, text, strlen(text));
}

/* Begins a response of which the peer takes nothing for now. */
static struct web *stuck(void)
{
    struct web *w = web_new("/srv");
    talker_be_deaf(w->client, true);
    say(w->client, get_bulk);
    pair_run(w->pair, PAIR_S);
    return w;
}

/* ---- Requests in a row ---- */

/* How often a text stands in what was received, NULs or not. */
static int occurrences(const struct talker *client, const char *text)
{
    int count = 0;
    size_t length = strlen(text);
    for (size_t i = 0; i + length <= client->received_bytes; i++)
        count += memcmp(client->received + i, text, length) == 0;
    return count;
}

static void requests_on_one_connection_are_answered_in_order(void **state)
{
    (void)state;
    struct web *w = web_new("/srv");
    say(w->client, "GET /bulk HTTP/1.1\r\nHost: x\r\n\r\n"
                   "HEAD /bulk HTTP/1.1\r\nHost: x\r\n\r\n"
                   "GET /empty HTTP/1.1\r\nHost: x\r\n\r\n"
                   "GET /a%20b HTTP/1.1\r\nHost: x\r\n\r\n");
    talker_hear(w->client, WEB_BULK_BYTES);
    pair_run(w->pair, PAIR_S);
    assert_memory_equal(web_body(w->client), web_bulk, WEB_BULK_BYTES);
    const char *rest = web_body(w->client) + WEB_BULK_BYTES;
    const char *of_head = strstr(rest, "\r\nContent-Length: 3000000\r\n");
    const char *of_empty = strstr(rest, "\r\nContent-Length: 0\r\n");
    const char *of_blank = strstr(rest, "\r\nContent-Length: 5\r\n");
    assert_memory_equal(rest, "HTTP/1.1 200", 12);
    assert_true(of_head && of_head < of_empty && of_empty < of_blank);
    assert_string_equal(strstr(of_blank, "\r\n\r\n"), "\r\n\r\nblank");
    assert_int_equal(occurrences(w->client, "HTTP/1.1 200 OK\r\n"), 4);
    assert_false(w->client->ended);
    assert_int_equal(server_sessions(w->server), 1);
    web_free(w);
}

static void many_pipelined_requests_are_all_answered(void **state)
{
    (void)state;
    enum { MANY = 3000 };
    static const char request[] = "GET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n";
    size_t length = MANY * strlen(request);
    char *requests = calloc(length + sizeof(request), 1);
    assert_non_null(requests);
    for (size_t i = 0; i < MANY; i++)
        memcpy(requests + i * strlen(request), request, sizeof(request));
    struct web *w = web_new("/srv");
    talker_say(w->client, requests, length);
    talker_finish(w->client);
    talker_hear_end(w->client);
    assert_int_equal(w->client->error, 0);
    assert_int_equal(occurrences(w->client, "\r\n\r\nhello"), MANY);
    web_free(w);
    free(requests);
}

static void a_request_split_anywhere_is_answered_once(void **state)
{
    (void)state;
    static const char requests[] = "GET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n"
                                   "GET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n";
    for (size_t split = 1; split < strlen(requests); split += 7) {
        struct web *w = web_new("/srv");
        talker_say(w->client, requests, split);
        pair_run(w->pair, PAIR_S);
        talker_say(w->client, requests + split, strlen(requests) - split);
        pair_run(w->pair, PAIR_S);
        assert_int_equal(occurrences(w->client, "\r\n\r\nhello"), 2);
        assert_int_equal(occurrences(w->client, "HTTP/1.1"), 2);
        web_free(w);
    }
}

static void http_1_0_is_told_that_the_connection_stays(void **state)
{
    (void)state;
    struct web *w = web_new("/srv");
    say(w->client, "GET /hello.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    talker_hear(w->client, 100);
    assert_non_null(strstr(w->client->received, "\r\nConnection: keep-alive\r\n"));
    pair_run(w->pair, PAIR_S);
    assert_false(w->client->ended);
    web_free(w);
}

/* ---- Ends ---- */

static void a_peer_that_has_finished_still_gets_its_answer(void **state)
{
    (void)state;
    struct web *w = web_new("/srv");
    say(w->client, get_bulk);
    talker_finish(w->client);
    talker_hear_end(w->client);
    assert_int_equal(w->client->error, 0);
    assert_memory_equal(web_body(w->client), web_bulk, WEB_BULK_BYTES);
    assert_int_equal(server_sessions(w->server), 0);
    web_free(w);
}

/* RFC 9112 9.6: closing at once would reset the connection, and the answer could be lost by it. */
static void an_early_answer_reaches_a_peer_that_is_still_sending(void **state)
{
    (void)state;
    struct web *w = web_new("/srv");
    static char request[1000000] = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n";
    talker_say(w->client, request, sizeof(request));
    talker_hear_end(w->client);
    assert_int_equal(w->client->error, 0);
    assert_memory_equal(w->client->received, "HTTP/1.1 405", 12);
    web_free(w);
}

static void a_file_that_shrinks_on_the_way_ends_in_a_reset(void **state)
{
    (void)state;
    struct web *w = stuck();
    pair_file(w->pair, "/srv/bulk", web_bulk, WEB_BULK_BYTES - 1);
    web_expect_reset(w);
}

static void a_stopped_server_still_ends_the_response_under_way(void **state)
{
    (void)state;
    struct web *w = stuck();
    struct talker *quiet = talker_connect(w->pair, 0, 80);
    pair_run(w->pair, PAIR_S);
    server_stop(w->server);
    talker_hear_end(quiet);
    assert_true(quiet->ended);
    talker_be_deaf(w->client, false);
    talker_hear_end(w->client);
    assert_true(w->client->ended);
    assert_memory_equal(web_body(w->client), web_bulk, WEB_BULK_BYTES);
    talker_close(quiet);
    web_free(w);
}

/* What was sent of it counts, not what was promised. */
static void the_log_tells_of_a_response_that_was_cut_off(void **state)
{
    (void)state;
    unsigned long bytes = 0;
    struct web *w = stuck();
    assert_string_equal(w->log, "");
    pair_run(w->pair, 70 * PAIR_S);
    const char *status = strstr(w->log, "\" 200 ");
    assert_non_null(status);
    assert_int_equal(sscanf(status, "\" 200 %lu ", &bytes), 1);
    assert_in_range(bytes, 1000, WEB_BULK_BYTES - 1);
    web_free(w);
}

/* ---- Time ---- */

static void a_quiet_connection_is_ended_after_60_seconds(void **state)
{
    (void)state;
    struct web *w = web_new("/srv");
    pair_run(w->pair, 59900 * PAIR_MS);
    assert_false(w->client->ended);
    pair_run(w->pair, 200 * PAIR_MS);
    assert_true(w->client->ended);
    assert_int_equal(w->client->received_bytes, 0);
    web_free(w);
}

/* Says a character each second until the server has ended the connection; returns the seconds. */
static unsigned trickle(struct web *w, const char *text)
{
    unsigned seconds = 0;
    while (!w->client->ended && text[seconds] != '\0') {
        talker_say(w->client, text + seconds, 1);
        pair_run(w->pair, PAIR_S);
        seconds++;
    }
    return seconds;
}

static void a_head_that_trickles_has_10_seconds_rfc9110_15_5_9(void **state)
{
    (void)state;
    struct web *w = web_new("/srv");
    pair_run(w->pair, 30 * PAIR_S);
    assert_in_range(trickle(w, "GET / HTTP/1.1\r\nHost: xxxxxxxxxxxxxxxxxxxx"), 10, 11);
    assert_memory_equal(w->client->received, "HTTP/1.1 408 Request Timeout\r\n", 30);
    assert_non_null(strstr(w->client->received, "\r\nConnection: close\r\n"));
    assert_non_null(strstr(w->log, "] \"GET /\" 408 20 "));
    web_free(w);
}

static void a_body_that_trickles_has_60_seconds(void **state)
{
    (void)state;
    struct web *w = web_new("/srv");
    say(w->client, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n");
    pair_run(w->pair, 10 * PAIR_S);
    assert_in_range(trickle(w, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
                    50, 51);
    assert_memory_equal(w->client->received, "HTTP/1.1 408", 12);
    web_free(w);
}

static void a_peer_that_stops_reading_is_cut_off_after_60_seconds(void **state)
{
    (void)state;
    struct web *w = stuck();
    pair_run(w->pair, 58 * PAIR_S);
    assert_int_equal(server_sessions(w->server), 1);
    pair_run(w->pair, 3 * PAIR_S);
    assert_int_equal(server_sessions(w->server), 0);
    talker_be_deaf(w->client, false);
    talker_hear_end(w->client);
    assert_int_not_equal(w->client->error, 0);
    web_free(w);
}

/* ---- Limits ---- */

/* Connects clients until there are SESSIONS_MAX sessions, that of web_new included. */
static void fill(struct web *w, struct talker **clients)
{
    for (size_t i = 1; i < SESSIONS_MAX; i++) {
        clients[i] = talker_connect(w->pair, 0, 80);
        pair_run(w->pair, 10 * PAIR_MS);
    }
    assert_int_equal(server_sessions(w->server), SESSIONS_MAX);
}

static void beyond_the_limit_the_one_that_has_waited_longest_makes_room_rfc9112_9_5(void **state)
{
    (void)state;
    static struct talker *clients[SESSIONS_MAX];
    struct web *w = web_new("/srv");
    fill(w, clients);
    /* Of the two oldest the first is used again. */
    say(w->client, "GET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n");
    pair_run(w->pair, PAIR_S);
    clients[0] = talker_connect(w->pair, 0, 80);
    pair_run(w->pair, PAIR_S);
    assert_int_equal(server_sessions(w->server), SESSIONS_MAX);
    assert_false(w->client->ended);
    assert_true(clients[1]->ended);
    assert_false(clients[2]->ended);
    say(clients[0], "GET /hello.txt HTTP/1.1\r\n" WEB_CLOSE);
    talker_hear_end(clients[0]);
    assert_memory_equal(clients[0]->received, "HTTP/1.1 200", 12);
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        talker_close(clients[i]);
    web_free(w);
}

/* What keeps all others out of servers that let a slow head have its time: "slowloris". */
static void if_no_one_waits_the_request_that_is_incomplete_longest_makes_room(void **state)
{
    (void)state;
    static struct talker *clients[SESSIONS_MAX];
    struct web *w = web_new("/srv");
    fill(w, clients);
    for (size_t i = 1; i < SESSIONS_MAX; i++)
        say(clients[i], "G");
    pair_run(w->pair, PAIR_S);
    say(w->client, "G");
    pair_run(w->pair, PAIR_S);
    clients[0] = talker_connect(w->pair, 0, 80);
    say(clients[0], "GET /hello.txt HTTP/1.1\r\n" WEB_CLOSE);
    talker_hear_end(clients[0]);
    assert_memory_equal(clients[0]->received, "HTTP/1.1 200", 12);
    pair_run(w->pair, PAIR_S);
    assert_true(clients[1]->ended || clients[1]->error != 0);
    assert_false(clients[2]->ended);
    say(w->client, "ET /hello.txt HTTP/1.1\r\n" WEB_CLOSE);
    talker_hear_end(w->client);
    assert_memory_equal(w->client->received, "HTTP/1.1 200", 12);
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        talker_close(clients[i]);
    web_free(w);
}

static void whoever_finds_no_room_waits_for_it(void **state)
{
    (void)state;
    static struct talker *clients[SESSIONS_MAX];
    struct web *w = web_new("/srv");
    /* It is the server that is to be short of something, not the host of the clients. */
    assert_int_equal(strait_set(pair_stack(w->pair, 0), "tcp.receive_buffer", "8KiB"), 0);
    fill(w, clients);
    talker_be_deaf(w->client, true);
    say(w->client, get_bulk);
    for (size_t i = 1; i < SESSIONS_MAX; i++) {
        talker_be_deaf(clients[i], true);
        say(clients[i], get_bulk);
    }
    pair_run(w->pair, PAIR_S);
    clients[0] = talker_connect(w->pair, 0, 80);
    say(clients[0], "GET /hello.txt HTTP/1.1\r\n" WEB_CLOSE);
    pair_run(w->pair, PAIR_S);
    assert_int_equal(clients[0]->received_bytes, 0);
    talker_close(clients[1]);
    talker_hear_end(clients[0]);
    assert_memory_equal(clients[0]->received, "HTTP/1.1 200", 12);
    clients[1] = clients[0];
    for (size_t i = 1; i < SESSIONS_MAX; i++)
        talker_close(clients[i]);
    web_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_on_one_connection_are_answered_in_order),
        cmocka_unit_test(many_pipelined_requests_are_all_answered),
        cmocka_unit_test(a_request_split_anywhere_is_answered_once),
        cmocka_unit_test(http_1_0_is_told_that_the_connection_stays),
        cmocka_unit_test(a_peer_that_has_finished_still_gets_its_answer),
        cmocka_unit_test(an_early_answer_reaches_a_peer_that_is_still_sending),
        cmocka_unit_test(a_file_that_shrinks_on_the_way_ends_in_a_reset),
        cmocka_unit_test(a_stopped_server_still_ends_the_response_under_way),
        cmocka_unit_test(the_log_tells_of_a_response_that_was_cut_off),
        cmocka_unit_test(a_quiet_connection_is_ended_after_60_seconds),
        cmocka_unit_test(a_head_that_trickles_has_10_seconds_rfc9110_15_5_9),
        cmocka_unit_test(a_body_that_trickles_has_60_seconds),
        cmocka_unit_test(a_peer_that_stops_reading_is_cut_off_after_60_seconds),
        cmocka_unit_test(beyond_the_limit_the_one_that_has_waited_longest_makes_room_rfc9112_9_5),
        cmocka_unit_test(if_no_one_waits_the_request_that_is_incomplete_longest_makes_room),
        cmocka_unit_test(whoever_finds_no_room_waits_for_it),
    };
    return cmocka_run_group_tests(tests, web_fill_bulk, NULL);
}
