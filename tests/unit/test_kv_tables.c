/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kv/cache.h"
#include "kv/clients.h"
#include "kv/reader.h"
#include "kv_place.h"
#include "look.h"

/* ---- Values ---- */

static void a_commit_carries_out_the_operations_for_this_node(void **state)
{
    struct place *p = *state;
    struct kv_request *request = kv_request_new(4);
    struct kv_results *results = kv_results_new(3);
    request->participants = 7;
    request->epoch = 1;
    request->operations[0] = operation(KV_PUT, "elsewhere", "x");
    request->operations[0].replicas = 7 & ~SELF;
    request->operations[1] = operation(KV_PUT, "a", "one");
    request->operations[2] = operation(KV_GET, "b", NULL);
    request->operations[3] = operation(KV_DELETE, "c", NULL);
    results->list[0] = (struct kv_result){true, 5, NULL};
    results->list[1] = (struct kv_result){true, 6, NULL};
    results->list[2] = (struct kv_result){false, 7, NULL};
    assert_string_equal(place_get(p, "a"), "- 0");
    place_write(p, (struct kv_row){.kind = KV_WORKER_COMMIT,
                                   .forced = true,
                                   .txid = txid(1, 1),
                                   .request = request,
                                   .results = results});
    place_settle(p);
    for (int life = 0; life < 2; life++) {
        assert_string_equal(place_get(p, "elsewhere"), "- 0");
        assert_string_equal(place_get(p, "a"), "one 5");
        assert_string_equal(place_get(p, "b"), "- 0");
        assert_string_equal(place_get(p, "c"), "- 7");
        assert_int_equal(kv_journal_keys(p->journal), 1);
        place_crash(p);
    }
}

static void a_value_that_was_read_before_is_read_anew_once_it_has_changed(void **state)
{
    struct place *p = *state;
    assert_string_equal(place_get(p, "a"), "- 0");
    assert_string_equal(place_get(p, "a"), "- 0");
    place_put(p, 1, "a", "one", 1);
    assert_string_equal(place_get(p, "a"), "- 0");
    place_settle(p);
    assert_string_equal(place_get(p, "a"), "one 1");
    assert_string_equal(place_get(p, "a"), "one 1");
    place_put(p, 2, "a", NULL, 2);
    place_settle(p);
    assert_string_equal(place_get(p, "a"), "- 2");
    struct kv_journal_counters c;
    kv_journal_counters(p->journal, &c);
    assert_int_equal(c.cache_hits, 5);
    assert_int_equal(c.cache_misses, 1); /* of those that were written nobody asks the tables */
}

static void nothing_is_known_of_a_value_that_became_too_large_to_be_kept(void **state)
{
    struct place *p = *state;
    char large[100], key[KV_CACHE_ENTRY_BYTES];
    memset(key, 'k', sizeof(key) - 1);
    key[sizeof(key) - 1] = '\0';
    memset(large, 'v', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    place_put(p, 1, key, "", 1);
    place_settle(p);
    assert_string_equal(place_get(p, key), " 1");
    place_put(p, 2, key, large, 2);
    place_settle(p);
    assert_int_equal(strlen(place_get(p, key)), strlen(large) + strlen(" 2"));
    place_put(p, 3, key, "", 3);
    place_settle(p);
    assert_string_equal(place_get(p, key), " 3");
}

/* So that what is kept for reading is bounded. */
static void many_keys_are_read_right_however_few_of_them_are_kept(void **state)
{
    struct place *p = *state;
    const uint64_t keys = 40000, more_than = KV_CACHE_SETS * KV_CACHE_WAYS;
    char key[20], value[40];
    assert_true(keys > more_than);
    for (uint64_t i = 1; i <= keys; i++) {
        snprintf(key, sizeof(key), "key%u", (unsigned)i);
        place_put(p, i, key, key, i);
    }
    place_settle(p);
    for (int round = 0; round < 2; round++) {
        for (uint64_t i = 1; i <= keys; i++) {
            snprintf(key, sizeof(key), "key%u", (unsigned)i);
            snprintf(value, sizeof(value), "%s %u", key, (unsigned)i);
            assert_string_equal(place_get(p, key), value);
        }
    }
}

static void keys_with_a_value_are_counted(void **state)
{
    struct place *p = *state;
    static const struct {
        const char *key, *value;
        uint64_t keys;
    } steps[] = {{"a", "1", 1},  {"b", "1", 2}, {"a", "2", 2}, {"a", NULL, 1}, {"a", NULL, 1},
                 {"c", NULL, 1}, {"a", "3", 2}, {"c", "1", 3}, {"", "x", 4}};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        place_put(p, i + 1, steps[i].key, steps[i].value, i + 1);
        place_settle(p);
        assert_int_equal(kv_journal_keys(p->journal), steps[i].keys);
        place_crash(p);
        assert_int_equal(kv_journal_keys(p->journal), steps[i].keys);
    }
    assert_string_equal(place_get(p, ""), "x 9");
    assert_string_equal(place_get(p, "a"), "3 7");
}

static void a_value_of_a_mebibyte_comes_back(void **state)
{
    struct place *p = *state;
    const size_t length = 1u << 20;
    uint8_t *bytes = malloc(length);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(i * 7 / 5);
    struct kv_blob *value = kv_blob_new(bytes, length), *key = blob_of("large");
    struct kv_operation o = {
        .kind = KV_PUT, .key = kv_blob_hold(key), .value = kv_blob_hold(value), .replicas = 7};
    place_write(p, (struct kv_row){.kind = KV_WORKER_COMMIT,
                                   .forced = true,
                                   .txid = txid(1, 1),
                                   .request = request_of(0, 0, 0, o),
                                   .results = results_of(true, 1)});
    place_settle(p);
    place_crash(p);
    struct kv_result r = {0};
    const struct kv_store *store = kv_journal_store(p->journal);
    assert_true(store->get(store->context, key, &r));
    assert_true(kv_blob_equal(r.value, value));
    kv_blob_release(r.value);
    kv_blob_release(value);
    kv_blob_release(key);
    free(bytes);
}

/* ---- Clients ---- */

static void what_a_client_has_got_is_remembered_until_it_retires_it(void **state)
{
    struct place *p = *state;
    const uint64_t client = UINT64_MAX;
    place_write(p,
                (struct kv_row){.kind = KV_WORKER_COMMIT,
                                .forced = true,
                                .txid = {3, 4, 5},
                                .request = request_of(client, 1, 1, operation(KV_GET, "k", NULL)),
                                .results = all_results()});
    place_commit(p, 2, client, 2, 1);
    place_commit(p, 3, 8, 1, 0);
    place_settle(p);
    place_crash(p);
    assert_int_equal(place_past(p, client, 2), KV_PAST_COMMITTED);
    assert_int_equal(place_past(p, client, 3), KV_PAST_NONE);
    assert_int_equal(place_past(p, client, 0), KV_PAST_RETIRED);
    assert_int_equal(place_past(p, 9, 1), KV_PAST_NONE);

    struct kv_txid id;
    struct kv_results *results = NULL;
    const struct kv_store *store = kv_journal_store(p->journal);
    const struct kv_request first = {.client = client, .sequence = 1};
    assert_int_equal(store->past(store->context, &first, &id, &results), KV_PAST_COMMITTED);
    assert_true(kv_txid_equal(id, (struct kv_txid){3, 4, 5}));
    assert_int_equal(results->count, 3);
    assert_int_equal(results->list[0].value->length, 4);
    kv_results_release(results);

    place_commit(p, 4, client, 3, 3);
    place_settle(p);
    place_crash(p);
    assert_int_equal(place_past(p, client, 1), KV_PAST_RETIRED);
    assert_int_equal(place_past(p, client, 2), KV_PAST_RETIRED);
    assert_int_equal(place_past(p, client, 3), KV_PAST_COMMITTED);
    assert_int_equal(place_past(p, 8, 1), KV_PAST_COMMITTED);
    assert_string_equal(look(FILE_1, "SELECT results FROM client WHERE client = -1"), "1");

    /* A later request with an earlier mark does not bring back what was retired. */
    place_commit(p, 5, client, 4, 2);
    place_settle(p);
    assert_int_equal(place_past(p, client, 2), KV_PAST_RETIRED);
}

/* As many as are kept, none of which it retires; with a commit for each, the client is known then.
 */
static void make_many_requests(struct place *p, bool commit_each)
{
    for (uint64_t s = 1; s <= KV_ONCE_MAX; s++) {
        assert_int_equal(place_past(p, 7, s), KV_PAST_NONE);
        place_commit(p, s, 7, s, 1);
        if (commit_each)
            place_settle(p);
    }
    place_settle(p);
}

static void a_client_that_retires_nothing_is_refused_in_the_end(void **state)
{
    struct place *p = *state;
    make_many_requests(p, false);
    assert_int_equal(place_past(p, 7, KV_ONCE_MAX + 1), KV_PAST_FULL);
    assert_int_equal(place_counters(p).once_full, 1);
    assert_int_equal(place_past(p, 7, KV_ONCE_MAX), KV_PAST_COMMITTED);
    assert_int_equal(place_past(p, 8, 1), KV_PAST_NONE);
    assert_int_equal(place_past_of(p, 7, KV_ONCE_MAX + 1, 1), KV_PAST_FULL);

    /* The request that retires one is not refused for it. */
    assert_int_equal(place_past_of(p, 7, KV_ONCE_MAX + 1, 2), KV_PAST_NONE);
    place_commit(p, KV_ONCE_MAX + 1, 7, KV_ONCE_MAX + 1, 2);
    place_settle(p);
    assert_string_equal(look(FILE_1, "SELECT results FROM client"), "1024");
}

/* In one life, once the client is known: no crash comes between. */
static void a_known_client_is_told_what_the_tables_say(void **state)
{
    struct place *p = *state;
    place_commit(p, 2, 7, 1, 1);
    place_settle(p);
    for (uint64_t s = 2; s <= 4; s++)
        assert_int_equal(place_past(p, 7, s), KV_PAST_NONE);
    place_commit(p, 3, 7, 4, 1); /* before the one that was asked before */
    assert_int_equal(place_past(p, 7, 4), KV_PAST_NONE);
    place_settle(p);
    assert_int_equal(place_past(p, 7, 1), KV_PAST_COMMITTED);
    assert_int_equal(place_past(p, 7, 3), KV_PAST_NONE);
    assert_int_equal(place_past(p, 7, 4), KV_PAST_COMMITTED);
    assert_int_equal(place_past(p, 7, 5), KV_PAST_NONE);
    place_commit(p, 4, 7, 3, 3);
    place_settle(p);
    assert_int_equal(place_past(p, 7, 1), KV_PAST_RETIRED);
    assert_int_equal(place_past(p, 7, 2), KV_PAST_RETIRED);
    assert_int_equal(place_past(p, 7, 3), KV_PAST_COMMITTED);
    assert_int_equal(place_past(p, 7, 4), KV_PAST_COMMITTED);
    place_commit(p, 5, 7, 5, 9);
    place_settle(p);
    assert_int_equal(place_past(p, 7, 8), KV_PAST_RETIRED);
    assert_string_equal(look(FILE_1, "SELECT count(*) FROM once"), "0");
    assert_string_equal(look(FILE_1, "SELECT results || ' ' || retired FROM client"), "0 9");
}

static void a_known_client_that_retires_nothing_is_refused_in_the_end(void **state)
{
    struct place *p = *state;
    make_many_requests(p, true);
    assert_int_equal(place_past(p, 7, KV_ONCE_MAX + 1), KV_PAST_FULL);
    assert_int_equal(place_past_of(p, 7, KV_ONCE_MAX + 1, 2), KV_PAST_NONE);
}

static void a_known_client_that_is_silent_for_a_lease_is_told_so(void **state)
{
    struct place *p = *state;
    const uint64_t lease_ns = ((uint64_t)KV_LEASE_MS + 1) * MS;
    kv_journal_free(p->journal);
    p->config.clients_max = 1;
    place_open(p);
    for (uint64_t client = 1; client <= 3; client++) {
        place_commit(p, client, client, 1, 1); /* the lease of the client before ends */
        place_settle(p);
        assert_int_equal(place_past(p, client, 1), KV_PAST_COMMITTED);
        assert_int_equal(place_past(p, client, 2), KV_PAST_NONE);
        assert_int_equal(place_past(p, client, 3), KV_PAST_NONE);
        if (client > 1)
            assert_int_equal(place_past(p, client - 1, 3), KV_PAST_RETIRED);
        world_run(p->world, world_now(p->world) + lease_ns);
    }
    /* One that was under way when the lease ended leaves nothing behind but its name. */
    place_commit(p, 4, 2, 2, 1);
    place_settle(p);
    assert_int_equal(place_past(p, 2, 3), KV_PAST_RETIRED);
    assert_string_equal(look(FILE_1, "SELECT group_concat(client || ':' || ended, ' ') FROM "
                                     "(SELECT * FROM client ORDER BY client)"),
                        "2:1 3:0");
    assert_int_equal(p->failures, 0);
    place_crash(p);
    assert_int_equal(place_past(p, 2, 3), KV_PAST_RETIRED);
}

static void a_client_that_is_silent_for_a_lease_is_told_so(void **state)
{
    struct place *p = *state;
    const uint64_t half_ns = (uint64_t)KV_LEASE_MS / 2 * MS + S;
    kv_journal_free(p->journal);
    p->config.clients_max = 3;
    place_open(p);
    for (uint64_t client = 1; client <= 3; client++)
        place_commit(p, client, client, 1, 1);
    place_settle(p);
    assert_int_equal(place_past(p, 4, 1), KV_PAST_FULL);
    assert_int_equal(place_counters(p).once_crowded, 1);
    world_run(p->world, world_now(p->world) + half_ns);
    place_commit(p, 4, 2, 2, 1); /* this one is heard again */
    place_settle(p);
    assert_int_equal(place_past(p, 4, 1), KV_PAST_FULL);
    world_run(p->world, world_now(p->world) + half_ns);
    assert_int_equal(place_past(p, 1, 1), KV_PAST_COMMITTED); /* there was room until now */
    assert_int_equal(place_past(p, 4, 1), KV_PAST_NONE);
    place_commit(p, 5, 4, 1, 1);
    place_settle(p);
    place_crash(p);
    assert_int_equal(place_past(p, 1, 1), KV_PAST_RETIRED);
    assert_int_equal(place_past(p, 1, 2), KV_PAST_RETIRED);
    assert_int_equal(place_past(p, 3, 1), KV_PAST_RETIRED);
    assert_int_equal(place_past(p, 2, 1), KV_PAST_COMMITTED);
    assert_int_equal(place_past(p, 4, 1), KV_PAST_COMMITTED);
    assert_string_equal(look(FILE_1, "SELECT count(*) FROM once"), "3");
    assert_int_equal(place_past(p, 5, 1), KV_PAST_NONE); /* two have a lease */
}

static int64_t a_year_on(struct strait_env *env)
{
    return (int64_t)env->now(env) + INT64_C(365) * 86400 * (int64_t)S;
}

/* Nor when the node was away. */
static void no_lease_ends_when_the_time_of_day_jumps(void **state)
{
    struct place *p = *state;
    kv_journal_free(p->journal);
    p->config.clients_max = 2;
    place_open(p);
    place_commit(p, 1, 1, 1, 1);
    place_commit(p, 2, 2, 1, 1);
    place_settle(p);
    assert_int_equal(place_past(p, 3, 1), KV_PAST_FULL);
    p->env->wall_clock = a_year_on;
    assert_int_equal(place_past(p, 3, 1), KV_PAST_FULL);
    kv_journal_free(p->journal);
    world_run(p->world, world_now(p->world) + 2 * (uint64_t)KV_LEASE_MS * MS);
    place_open(p);
    assert_int_equal(place_past(p, 3, 1), KV_PAST_FULL);
    assert_int_equal(place_past(p, 1, 1), KV_PAST_COMMITTED);
    world_run(p->world, world_now(p->world) + (uint64_t)KV_LEASE_MS * MS + S);
    assert_int_equal(place_past(p, 3, 1), KV_PAST_NONE);
}

static void names_of_clients_without_a_lease_are_bounded(void **state)
{
    struct place *p = *state;
    kv_journal_free(p->journal);
    p->config.clients_max = 2;
    place_open(p);
    for (uint64_t client = 1; client <= 9; client++) {
        assert_int_equal(place_past(p, client, 1), KV_PAST_NONE);
        place_commit(p, client, client, 1, 1);
        place_settle(p);
        world_run(p->world, world_now(p->world) + ((uint64_t)KV_LEASE_MS + 1) * MS);
    }
    assert_int_equal(place_counters(p).once_ended, 8);
    assert_int_equal(place_counters(p).once_displaced, 6);
    assert_string_equal(look(FILE_1, "SELECT group_concat(client, ' ') FROM "
                                     "(SELECT client FROM client ORDER BY client)"),
                        "7 8 9");
    assert_string_equal(look(FILE_1, "SELECT group_concat(client, ' ') FROM once"), "9");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_commit_carries_out_the_operations_for_this_node),
        TEST(a_value_that_was_read_before_is_read_anew_once_it_has_changed),
        TEST(nothing_is_known_of_a_value_that_became_too_large_to_be_kept),
        TEST(many_keys_are_read_right_however_few_of_them_are_kept),
        TEST(keys_with_a_value_are_counted),
        TEST(a_value_of_a_mebibyte_comes_back),
        TEST(what_a_client_has_got_is_remembered_until_it_retires_it),
        TEST(a_client_that_retires_nothing_is_refused_in_the_end),
        TEST(a_known_client_is_told_what_the_tables_say),
        TEST(a_known_client_that_retires_nothing_is_refused_in_the_end),
        TEST(a_known_client_that_is_silent_for_a_lease_is_told_so),
        TEST(a_client_that_is_silent_for_a_lease_is_told_so),
        TEST(names_of_clients_without_a_lease_are_bounded),
        TEST(no_lease_ends_when_the_time_of_day_jumps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
