/* SPDX-License-Identifier: MIT */
/* Nodes of the store in a world where hosts crash and pause, links are cut, and disks tear. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/prng.h"
#include "expect.h"

#define S  UINT64_C(1000000000)
#define MS UINT64_C(1000000)

static const struct cluster_operation put_one[] = {{KV_PUT, "k", "one", 0}, {0}};

struct ended {
    bool told;
    enum kv_end how;
};

static void note_end(void *context, const struct kv_outcome *outcome)
{
    *(struct ended *)context = (struct ended){true, outcome->end};
}

/* ---- Crashes ---- */

/* A write of node 1 until a worker has voted, and nobody has been told. */
static void begin_until_in_doubt(struct cluster *c, uint32_t worker, struct cluster_answer *a)
{
    assert_int_equal(cluster_begin(c, 1, put_one, 0, 0, a), 0);
    for (int i = 0; i < 10000 && cluster_in_doubt(c, worker) == 0; i++)
        cluster_run(c, MS / 20);
    assert_int_equal(cluster_in_doubt(c, worker), 1);
    assert_false(a->told);
}

static void a_worker_that_crashes_in_doubt_learns_the_outcome_when_it_is_back(void **state)
{
    struct cluster *c = cluster_new(6, 3, "");
    struct cluster_answer a, stale;
    (void)state;
    begin_until_in_doubt(c, 3, &a);
    cluster_crash(c, 3);
    cluster_await(c, &a);
    assert_true(a.told);
    cluster_run(c, S);
    cluster_restart(c, 3);
    assert_int_equal(cluster_in_doubt(c, 3), 1); /* with its lock, before it serves */
    assert_int_equal(cluster_begin_read(c, 3, "k", true, &stale), 0);
    cluster_await(c, &stale);
    assert_false(stale.results[0].found);
    struct cluster_answer read = cluster_get(c, 3, "k");
    expect_committed(&read);
    assert_int_equal(read.results[0].found, a.end == KV_COMMITTED_NOW);
    cluster_run(c, 10 * S);
    expect_alike(c, "k");
    cluster_free(c);
}

static void a_lock_of_a_crashed_coordinator_blocks_reads_until_it_is_resolved(void **state)
{
    struct cluster *c = cluster_new(7, 3, "");
    struct cluster_answer write, read;
    (void)state;
    begin_until_in_doubt(c, 2, &write);
    cluster_crash(c, 1);
    assert_int_equal(cluster_begin_read(c, 2, "k", false, &read), 0);
    cluster_await(c, &read); /* nobody may decide: the deadline comes */
    assert_int_equal(read.end, KV_REFUSED);
    assert_int_equal(read.refusal.reason, KV_REASON_LOCKED);
    assert_int_equal(read.refusal.holder.coordinator, 1);
    assert_string_equal(read.key, "k");
    assert_in_range(read.took_ns, CLUSTER_DEADLINE_S * S, CLUSTER_DEADLINE_S * S + MS);

    assert_int_equal(cluster_begin_read(c, 2, "k", false, &read), 0);
    cluster_run(c, S);
    assert_false(read.told);
    cluster_restart(c, 1);
    cluster_await(c, &read);
    expect_committed(&read);
    assert_false(read.results[0].found); /* it had not decided, and aborts */
    cluster_run(c, 10 * S);
    expect_alike(c, "k");
    cluster_free(c);
}

/* Node 2 is in doubt of node 1's transaction, of which node 3 has not heard. */
static void a_read_that_is_locked_here_is_answered_by_another_replica(void **state)
{
    struct cluster *c = cluster_new(23, 3, "replication 2");
    struct cluster_answer write, read;
    struct cluster_operation put[] = {{KV_PUT, "", "one", 0}, {0}};
    static const char *const keys[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
    (void)state;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct kv_blob key = {0, 1, (const uint8_t *)keys[i]};
        if (kv_replicas(&c->file.placement, &key) == (kv_node_bit(2) | kv_node_bit(3)))
            put[0].key = keys[i];
    }
    assert_true(put[0].key[0] != '\0');
    cluster_cut(c, 3, true, true);
    assert_int_equal(cluster_begin(c, 1, put, 0, 0, &write), 0);
    for (int i = 0; i < 10000 && cluster_in_doubt(c, 2) == 0; i++)
        cluster_run(c, MS / 20);
    assert_int_equal(cluster_in_doubt(c, 2), 1);
    cluster_crash(c, 1);
    cluster_cut(c, 3, false, false);
    assert_int_equal(cluster_begin_read(c, 2, put[0].key, false, &read), 0);
    cluster_await(c, &read);
    expect_committed(&read);
    assert_false(read.results[0].found);
    assert_true(read.took_ns < 300 * MS);
    assert_int_equal(cluster_in_doubt(c, 2), 1);
    cluster_free(c);
}

static void a_request_with_a_short_deadline_commits_if_there_is_time(void **state)
{
    struct cluster *c = cluster_new(26, 3, "");
    struct kv_request *request = kv_request_new(1);
    struct ended ended = {0};
    (void)state;
    cluster_run(c, S);
    request->operations[0] = (struct kv_operation){
        .kind = KV_PUT, .key = kv_blob_new("k", 1), .value = kv_blob_new("v", 1)};
    assert_non_null(
        kv_node_txn(c->nodes[0].node, request, world_now(c->world) + 150 * MS, note_end, &ended));
    kv_request_release(request);
    cluster_run(c, S);
    assert_true(ended.told);
    assert_int_equal(ended.how, KV_COMMITTED_NOW);
    cluster_free(c);
}

static void whoever_has_passed_on_a_request_does_not_know_what_a_crash_has_made_of_it(void **state)
{
    struct cluster *c = cluster_new(8, 3, "coordinator fixed:1");
    struct cluster_answer a;
    (void)state;
    assert_int_equal(cluster_begin(c, 2, put_one, 0, 0, &a), 0);
    for (int i = 0; i < 10000 && cluster_in_doubt(c, 2) == 0; i++)
        cluster_run(c, MS / 20);
    cluster_crash(c, 1);
    cluster_await(c, &a);
    assert_true(a.told);
    assert_int_equal(a.end, KV_UNDECIDED);
    assert_int_equal(a.node, 1);
    cluster_restart(c, 1);
    cluster_run(c, 10 * S);
    expect_alike(c, "k");
    cluster_free(c);
}

/* ---- Partitions ---- */

static void a_partition_is_told_in_time(void **state)
{
    struct cluster *c = cluster_new(9, 3, "coordinator fixed:1\nreplication 1");
    struct cluster_answer a;
    (void)state;
    uint32_t holder = kv_node_first(
        kv_replicas(&c->file.placement, &(struct kv_blob){0, 1, (const uint8_t *)"k"}));
    uint32_t other = holder == 3 ? 2 : 3;
    if (holder == 1)
        fail_msg("another key, please");

    cluster_cut(c, holder, true, true);
    a = cluster_put(c, other, "k", "v"); /* its only replica does not vote */
    assert_true(a.told);
    assert_int_equal(a.end, KV_REFUSED);
    assert_int_equal(a.refusal.reason, KV_REASON_TIMEOUT);
    assert_int_equal(a.refusal.node, holder);
    a = cluster_get(c, other, "k");
    assert_true(a.told);
    assert_int_equal(a.end, KV_UNREACHABLE);
    assert_int_equal(a.node, holder);
    a = cluster_put(c, holder, "k", "v"); /* and who is cut off does not reach its coordinator */
    assert_true(a.told);
    assert_true(a.end == KV_UNREACHABLE || a.end == KV_UNDECIDED);
    assert_int_equal(a.node, 1);
    assert_true(a.took_ns <= CLUSTER_DEADLINE_S * S + MS);

    struct kv_status status;
    kv_node_status(c->nodes[0].node, &status);
    assert_int_equal(status.reachable, 7 & ~kv_node_bit(holder));
    cluster_cut(c, holder, false, false);
    cluster_run(c, 5 * S);
    kv_node_status(c->nodes[0].node, &status);
    assert_int_equal(status.reachable, 7);
    a = cluster_put(c, holder, "k", "w");
    expect_committed(&a);
    expect_to_read(c, other, "k", "w");
    cluster_free(c);
}

static void a_way_that_is_cut_in_one_direction_is_as_bad_and_heals_as_well(void **state)
{
    (void)state;
    for (int from = 0; from <= 1; from++) {
        struct cluster *c = cluster_new(10, 3, "");
        cluster_cut(c, 3, from, !from);
        struct cluster_answer a = cluster_put(c, 1, "k", "v");
        assert_true(a.told);
        assert_int_equal(a.end, KV_REFUSED);
        assert_int_equal(a.refusal.reason, KV_REASON_TIMEOUT);
        cluster_cut(c, 3, false, false);
        cluster_run(c, 10 * S);
        expect_alike(c, "k");
        a = cluster_put(c, 1, "k", "v");
        expect_committed(&a);
        cluster_free(c);
    }
}

static void a_read_goes_to_another_replica_when_one_is_silent(void **state)
{
    struct cluster *c = cluster_new(15, 3, "replication 2");
    (void)state;
    struct cluster_answer a = cluster_put(c, 1, "k", "v");
    expect_committed(&a);
    kv_nodes replicas =
        kv_replicas(&c->file.placement, &(struct kv_blob){0, 1, (const uint8_t *)"k"});
    uint32_t reader = kv_node_first(7 & ~replicas), first = kv_node_take(&replicas);
    for (uint32_t silent = first; silent != 0; silent = kv_node_take(&replicas)) {
        cluster_cut(c, silent, true, true);
        for (int i = 0; i < 4; i++) /* whichever is drawn */
            expect_to_read(c, reader, "k", "v");
        cluster_cut(c, silent, false, false);
        cluster_run(c, 5 * S);
    }
    cluster_free(c);
}

/* ---- Slow links ---- */

#define LARGE_BYTES 300000
#define LARGE_COUNT 4

struct large {
    struct kv_request *request;
    struct ended end;
};

/* Begins writes of large values, of a key each, at node 1. */
static void begin_large(struct cluster *c, struct large large[LARGE_COUNT])
{
    static const uint8_t bytes[LARGE_BYTES];
    for (int i = 0; i < LARGE_COUNT; i++) {
        char key = (char)('a' + i);
        large[i] = (struct large){.request = kv_request_new(1)};
        large[i].request->operations[0].kind = KV_PUT;
        large[i].request->operations[0].key = kv_blob_new(&key, 1);
        large[i].request->operations[0].value = kv_blob_new(bytes, sizeof(bytes));
        assert_non_null(kv_node_txn(c->nodes[0].node, large[i].request, world_now(c->world) + 9 * S,
                                    note_end, &large[i].end));
        kv_request_release(large[i].request);
    }
}

/* Eight copies of 300 KB take 2.4 seconds at a megabyte a second, each delivery almost as long. */
static void what_waits_long_for_a_slow_link_is_neither_lost_nor_said_again(void **state)
{
    const struct impair_config slow = {.delay_ns = MS, .rate_bps = 8000000};
    struct cluster *c = cluster_new(31, 3, "");
    struct large large[LARGE_COUNT];
    (void)state;
    world_impair(c->nodes[0].link, 0, &slow);
    begin_large(c, large);
    cluster_run(c, 23 * S / 10);
    for (int i = 0; i < LARGE_COUNT; i++)
        assert_false(large[i].end.told);
    cluster_run(c, 7 * S / 10);
    for (int i = 0; i < LARGE_COUNT; i++) {
        assert_true(large[i].end.told);
        assert_int_equal(large[i].end.how, KV_COMMITTED_NOW);
    }
    assert_int_equal(cluster_counter(c, 1, "kv_peer_deliveries_lost"), 0);
    assert_int_equal(cluster_counter(c, 1, "kv_peer_reconnections"), 0);
    assert_true(cluster_counter(c, 1, "kv_peer_messages_spared") > 0);
    cluster_free(c);
}

/* With little under way, and amid much. */
static void a_node_that_is_gone_is_noticed_in_less_than_three_seconds(void **state)
{
    const struct impair_config slow = {.delay_ns = MS, .rate_bps = 8000000};
    (void)state;
    for (int amid_much = 0; amid_much <= 1; amid_much++) {
        struct cluster *c = cluster_new(32, 3, "");
        struct large large[LARGE_COUNT];
        struct cluster_answer a;
        struct kv_status status;
        cluster_run(c, 3 * S);
        world_impair(c->nodes[0].link, 0, &slow);
        if (amid_much)
            begin_large(c, large);
        else
            assert_int_equal(cluster_begin(c, 1, put_one, 0, 0, &a), 0);
        cluster_run(c, amid_much ? S : 0);
        cluster_cut(c, 3, true, true);
        cluster_run(c, 19 * S / 10);
        kv_node_status(c->nodes[0].node, &status);
        assert_int_equal(status.reachable, 7);
        cluster_run(c, S);
        kv_node_status(c->nodes[0].node, &status);
        assert_int_equal(status.reachable, 3);
        assert_int_equal(cluster_counter(c, 1, "kv_peer_reconnections"), 1);
        cluster_free(c);
    }
}

/* ---- Trouble ---- */

#define WRITERS    6
#define TROUBLE_NS (20 * S)
#define STEP_NS    (300 * MS)

/* Writes to a key of its own, one write after the other. */
struct writer {
    char key[8];
    struct cluster_answer answer;
    uint32_t at; /* who has been asked; 0: nobody is */
    int asked;
    uint64_t acknowledged; /* how many */
};

static void let_write(struct cluster *c, struct writer *w)
{
    char value[16];
    if (w->at != 0 && w->answer.told) {
        w->at = 0;
        w->acknowledged += w->answer.end == KV_COMMITTED_NOW;
    }
    uint32_t id = (uint32_t)prng_below(world_prng(c->world), c->count) + 1;
    if (w->at != 0 || !c->nodes[id - 1].node)
        return;
    snprintf(value, sizeof(value), "%d", ++w->asked);
    const struct cluster_operation list[] = {
        {KV_PUT, w->key, value, 0}, {KV_GET, "shared", NULL, 0}, {0}};
    if (cluster_begin(c, id, list, 0, 0, &w->answer) == 0)
        w->at = id;
}

/* Who asks a node that crashes hears no more of it. */
static void forget_answers(struct writer *writers, uint32_t id)
{
    for (int i = 0; i < WRITERS; i++) {
        if (writers[i].at == id && !writers[i].answer.told)
            writers[i].at = 0;
    }
}

static void make_trouble(struct cluster *c, struct writer *writers)
{
    struct prng *prng = world_prng(c->world);
    uint32_t id = (uint32_t)prng_below(prng, c->count) + 1;
    switch (prng_below(prng, 6)) {
    case 0:
        if (!world_is_up(c->nodes[id - 1].host))
            break;
        cluster_crash(c, id);
        forget_answers(writers, id);
        break;
    case 1:
        cluster_cut(c, id, prng_below(prng, 2) == 0, prng_below(prng, 2) == 0);
        break;
    case 2:
        world_pause(c->nodes[id - 1].host, true);
        break;
    default:
        world_pause(c->nodes[id - 1].host, false);
        if (!world_is_up(c->nodes[id - 1].host))
            cluster_restart(c, id);
        break;
    }
}

static void heal(struct cluster *c)
{
    for (uint32_t id = 1; id <= c->count; id++) {
        cluster_cut(c, id, false, false);
        world_pause(c->nodes[id - 1].host, false);
        if (!world_is_up(c->nodes[id - 1].host))
            cluster_restart(c, id);
    }
    cluster_run(c, 30 * S);
}

static void what_was_acknowledged_survives_crashes_cuts_and_pauses(void **state)
{
    const struct disk_faults faults = {.torn = true, .reordered = true};
    uint64_t acknowledged = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct cluster *c = cluster_new(seed, 3, seed % 2 ? "coordinator random" : "");
        struct writer writers[WRITERS] = {0};
        for (uint32_t i = 0; i < 3; i++)
            disk_set_faults(world_disk(c->nodes[i].host), &faults);
        for (int i = 0; i < WRITERS; i++)
            snprintf(writers[i].key, sizeof(writers[i].key), "k%c", 'a' + i);
        for (uint64_t ns = 0; ns < TROUBLE_NS; ns += STEP_NS) {
            make_trouble(c, writers);
            for (uint64_t part = 0; part < STEP_NS; part += STEP_NS / 30) {
                for (int i = 0; i < WRITERS; i++)
                    let_write(c, &writers[i]);
                cluster_run(c, STEP_NS / 30);
            }
        }
        heal(c);
        for (uint32_t id = 1; id <= 3; id++)
            assert_string_equal(c->nodes[id - 1].stopped, "");
        for (int i = 0; i < WRITERS; i++) {
            struct cluster_answer a = cluster_get(c, 1, writers[i].key);
            expect_committed(&a);
            expect_alike(c, writers[i].key);
            acknowledged += writers[i].acknowledged;
            if (a.results[0].version < writers[i].acknowledged)
                fail_msg("seed %d: a write is lost", (int)seed);
            a = cluster_put(c, 2, writers[i].key, "last");
            expect_committed(&a); /* all is well again */
            cluster_run(c, S);
            expect_to_read(c, 3, writers[i].key, "last");
        }
        cluster_free(c);
    }
    assert_true(acknowledged > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_that_crashes_in_doubt_learns_the_outcome_when_it_is_back),
        cmocka_unit_test(a_lock_of_a_crashed_coordinator_blocks_reads_until_it_is_resolved),
        cmocka_unit_test(a_read_that_is_locked_here_is_answered_by_another_replica),
        cmocka_unit_test(a_request_with_a_short_deadline_commits_if_there_is_time),
        cmocka_unit_test(whoever_has_passed_on_a_request_does_not_know_what_a_crash_has_made_of_it),
        cmocka_unit_test(a_partition_is_told_in_time),
        cmocka_unit_test(a_way_that_is_cut_in_one_direction_is_as_bad_and_heals_as_well),
        cmocka_unit_test(a_read_goes_to_another_replica_when_one_is_silent),
        cmocka_unit_test(what_waits_long_for_a_slow_link_is_neither_lost_nor_said_again),
        cmocka_unit_test(a_node_that_is_gone_is_noticed_in_less_than_three_seconds),
        cmocka_unit_test(what_was_acknowledged_survives_crashes_cuts_and_pauses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
