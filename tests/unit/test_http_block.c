/* SPDX-License-Identifier: MIT */
/* Files that the HTTP server lends to the stack: blocks of memory, and who holds them how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "http/block.h"
#include "web.h"

/* ---- Blocks ---- */

static void blocks_have_a_bound_that_what_is_released_makes_room_in(void **state)
{
    (void)state;
    struct block_store *store = block_store_new(2 * BLOCK_BYTES);
    struct block *first = block_new(store, BLOCK_BYTES);
    struct block *small = block_new(store, 1000);
    assert_non_null(first);
    assert_non_null(small);
    assert_null(block_new(store, BLOCK_BYTES));
    block_release(small);
    struct block *second = block_new(store, BLOCK_BYTES);
    assert_non_null(second);
    assert_null(block_new(store, 1));
    block_release(first);
    block_release(second);
    struct block *whole = block_new(store, 2 * BLOCK_BYTES);
    assert_non_null(whole);
    block_release(whole);
    block_store_release(store);
}

static void a_block_goes_with_its_last_reference(void **state)
{
    (void)state;
    struct block_store *store = block_store_new(BLOCK_BYTES);
    struct block *b = block_new(store, BLOCK_BYTES);
    assert_ptr_equal(block_hold(b), b);
    block_release(b);
    assert_null(block_new(store, BLOCK_BYTES));
    block_release(b);
    b = block_new(store, BLOCK_BYTES);
    assert_non_null(b);
    block_store_release(store);
    /* It is nobody's but the peer's now. */
    memset(b->bytes, 1, BLOCK_BYTES);
    block_release(b);
}

/* ---- Loans ---- */

#define REQUEST(path) "GET " path " HTTP/1.1\r\n" WEB_CLOSE

/* Asks for a file of which nothing is taken for now. */
static void ask_deaf(struct web *w, struct talker *client, const char *request)
{
    talker_be_deaf(client, true);
    talker_say(client, request, strlen(request));
    pair_run(w->pair, 500 * PAIR_MS);
}

/* Hears the rest of an answer, whose body is the start of web_bulk. */
static void expect_bulk(struct talker *client, size_t length)
{
    talker_be_deaf(client, false);
    talker_hear_end(client);
    assert_int_equal(client->error, 0);
    const char *body = web_body(client);
    assert_int_equal(client->received + client->received_bytes - body, length);
    assert_memory_equal(body, web_bulk, length);
}

static bool lose_answers(void *context, int from, const uint8_t *packet, size_t length)
{
    (void)context, (void)packet, (void)length;
    return from == 0;
}

/* Asks for the first bytes of web_bulk; returns the memory that the stack takes for them. */
static size_t memory_of_answer(struct web *w, const char *request, size_t length)
{
    struct talker *client = talker_connect(w->pair, 0, 80);
    pair_run(w->pair, PAIR_S);
    pair_filter(w->pair, lose_answers, NULL);
    talker_say(client, request, strlen(request));
    pair_run(w->pair, 100 * PAIR_MS);
    size_t memory = strait_memory(pair_stack(w->pair, 1));
    pair_filter(w->pair, NULL, NULL);
    expect_bulk(client, length);
    talker_close(client);
    return memory;
}

/* What the stack holds in memory is the head; what it was lent is not its own. */
static void a_file_is_not_copied_into_the_stack(void **state)
{
    (void)state;
    struct web *w = web_new("/srv");
    pair_file(w->pair, "/srv/page", web_bulk, 200000);
    pair_file(w->pair, "/srv/short", web_bulk, 16383); /* a copy costs less */
    pair_run(w->pair, 10 * PAIR_S);                    /* it is kept from the first request on */
    assert_in_range(memory_of_answer(w, REQUEST("/bulk"), WEB_BULK_BYTES), 1, 4096);
    assert_in_range(memory_of_answer(w, REQUEST("/page"), 200000), 1, 4096);
    assert_in_range(memory_of_answer(w, REQUEST("/page"), 200000), 1, 4096);
    assert_in_range(memory_of_answer(w, REQUEST("/short"), 16383), 16384, 1 << 17);
    web_free(w);
}

/* 64 MiB of files are on their way at most, and each connection takes one of them. */
static void when_all_memory_is_lent_files_are_copied(void **state)
{
    (void)state;
    enum { CLIENTS = 80 };
    struct talker *clients[CLIENTS];
    struct web *w = web_new("/srv");
    struct strait *server = pair_stack(w->pair, 1);
    size_t first = SIZE_MAX;
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = talker_connect(w->pair, 0, 80);
        ask_deaf(w, clients[i], REQUEST("/bulk"));
        if (i == CLIENTS / 4)
            first = strait_memory(server);
    }
    assert_in_range(first, 0, (size_t)CLIENTS * 2048);
    assert_in_range(strait_memory(server), 1 << 20, 64 << 20);
    expect_bulk(clients[CLIENTS - 1], WEB_BULK_BYTES);
    expect_bulk(clients[CLIENTS - 2], WEB_BULK_BYTES);
    expect_bulk(clients[0], WEB_BULK_BYTES);
    for (int i = 0; i < CLIENTS; i++)
        talker_close(clients[i]);
    web_free(w);
}

/* ---- Ends ---- */

/* RFC 9112 8: a body that is shorter than its Content-Length is known to be incomplete. */
static void a_file_that_changes_on_the_way_ends_in_a_reset_rfc9112_8(void **state)
{
    (void)state;
    struct web *w = web_new("/srv");
    ask_deaf(w, w->client, REQUEST("/bulk"));
    pair_file(w->pair, "/srv/bulk", web_bulk, WEB_BULK_BYTES); /* written to a second later */
    web_expect_reset(w);
}

/* As a log is: what was promised is still there. */
static void a_file_that_grows_on_the_way_arrives_as_it_was(void **state)
{
    (void)state;
    struct web *w = web_new("/srv");
    char *longer = malloc(WEB_BULK_BYTES + 1);
    assert_non_null(longer);
    memcpy(longer, web_bulk, WEB_BULK_BYTES);
    longer[WEB_BULK_BYTES] = '+';
    ask_deaf(w, w->client, REQUEST("/bulk"));
    pair_file(w->pair, "/srv/bulk", longer, WEB_BULK_BYTES + 1);
    expect_bulk(w->client, WEB_BULK_BYTES);
    free(longer);
    web_free(w);
}

/* What was in memory when it was asked for is sent to its end. */
static void a_small_file_that_changes_on_the_way_arrives_as_it_was(void **state)
{
    (void)state;
    struct web *w = web_new("/srv");
    pair_file(w->pair, "/srv/page", web_bulk, 200000);
    ask_deaf(w, w->client, REQUEST("/page"));
    pair_file(w->pair, "/srv/page", "new", 3);
    struct talker *other = talker_connect(w->pair, 0, 80);
    static const char request[] = REQUEST("/page");
    talker_say(other, request, strlen(request));
    talker_hear_end(other);
    assert_string_equal(web_body(other), "new");
    expect_bulk(w->client, 200000);
    talker_close(other);
    web_free(w);
}

/* The sanitizer sees a block that does not come back, or comes back twice. */
static void what_is_lent_outlives_a_reset_and_the_server(void **state)
{
    (void)state;
    struct linger now = {.l_onoff = 1};
    struct web *w = web_new("/srv");
    ask_deaf(w, w->client, REQUEST("/bulk"));
    strait_setsockopt(pair_stack(w->pair, 0), w->client->fd, SOL_SOCKET, SO_LINGER, &now,
                      sizeof(now));
    talker_close(w->client);
    pair_run(w->pair, PAIR_S);
    assert_int_equal(server_sessions(w->server), 0);
    w->client = talker_connect(w->pair, 0, 80);
    ask_deaf(w, w->client, REQUEST("/bulk"));
    assert_int_equal(server_sessions(w->server), 1);
    web_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_have_a_bound_that_what_is_released_makes_room_in),
        cmocka_unit_test(a_block_goes_with_its_last_reference),
        cmocka_unit_test(a_file_is_not_copied_into_the_stack),
        cmocka_unit_test(when_all_memory_is_lent_files_are_copied),
        cmocka_unit_test(a_file_that_changes_on_the_way_ends_in_a_reset_rfc9112_8),
        cmocka_unit_test(a_file_that_grows_on_the_way_arrives_as_it_was),
        cmocka_unit_test(a_small_file_that_changes_on_the_way_arrives_as_it_was),
        cmocka_unit_test(what_is_lent_outlives_a_reset_and_the_server),
    };
    return cmocka_run_group_tests(tests, web_fill_bulk, NULL);
}
