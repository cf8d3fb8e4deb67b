/* SPDX-License-Identifier: MIT */
/* Three nodes of the store in a world: real stacks, gRPC, and SQLite over simulated disks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"
#include "kv/journal.h"
#include "kv/peers.h"

#define S  UINT64_C(1000000000)
#define MS UINT64_C(1000000)

static const struct cluster_operation put_one[] = {{KV_PUT, "k", "one", 0}, {0}};
static const struct cluster_operation put_two[] = {{KV_PUT, "k", "two", 0}, {0}};

static void what_is_put_at_a_node_is_got_at_each(void **state)
{
    struct cluster *c = cluster_new(1, 3, "");
    (void)state;
    for (uint32_t id = 1; id <= 3; id++) {
        char value[16];
        snprintf(value, sizeof(value), "v%u", (unsigned)id);
        struct cluster_answer a = cluster_put(c, id, "k", value);
        expect_committed(&a);
        assert_int_equal(a.txid.coordinator, id);
        assert_int_equal(a.results[0].version, id);
        for (uint32_t at = 1; at <= 3; at++)
            expect_to_read(c, at, "k", value);
    }
    cluster_free(c);
}

static void each_mode_of_coordination_passes_on_to_whom_it_names(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(2, 3, "coordinator fixed:2");
    for (uint32_t id = 1; id <= 3; id++) {
        struct cluster_answer a = cluster_put(c, id, "k", "v");
        expect_committed(&a);
        assert_int_equal(a.txid.coordinator, 2);
        assert_int_equal(a.results[0].version, id);
    }
    cluster_free(c);
    c = cluster_new(3, 3, "coordinator random");
    kv_nodes drawn = 0;
    for (int i = 0; i < 20; i++) {
        struct cluster_answer a = cluster_put(c, 1, "k", "v");
        expect_committed(&a);
        drawn |= kv_node_bit(a.txid.coordinator);
    }
    assert_int_equal(drawn, 7);
    cluster_free(c);
}

static void a_key_is_read_through_a_node_that_does_not_hold_it(void **state)
{
    struct cluster *c = cluster_new(4, 3, "replication 1");
    (void)state;
    for (int i = 0; i < 6; i++) {
        char key[16], value[16];
        snprintf(key, sizeof(key), "k%d", i);
        snprintf(value, sizeof(value), i == 0 ? "" : "v%d", i); /* an empty one is one, too */
        struct cluster_answer a = cluster_put(c, 1, key, value);
        expect_committed(&a);
        for (uint32_t at = 1; at <= 3; at++)
            expect_to_read(c, at, key, value);
    }
    for (uint32_t at = 1; at <= 3; at++) {
        struct cluster_answer none = cluster_get(c, at, "never");
        expect_committed(&none);
        assert_false(none.results[0].found);
        assert_int_equal(none.results[0].version, 0);
    }
    cluster_free(c);
}

static void a_transaction_reads_checks_writes_and_deletes_over_all_nodes(void **state)
{
    struct cluster *c = cluster_new(5, 3, "replication 2");
    struct cluster_answer a;
    (void)state;
    const struct cluster_operation first[] = {
        {KV_PUT, "a", "1", 0}, {KV_PUT, "b", "", 0}, {KV_CHECK, "c", NULL, 0}, {0}};
    assert_int_equal(cluster_begin(c, 1, first, 0, 0, &a), 0);
    cluster_await(c, &a);
    expect_committed(&a);
    const struct cluster_operation second[] = {{KV_GET, "a", NULL, 0},
                                               {KV_GET, "b", NULL, 0},
                                               {KV_DELETE, "a", NULL, 0},
                                               {KV_CHECK, "b", NULL, 1},
                                               {0}};
    assert_int_equal(cluster_begin(c, 2, second, 0, 0, &a), 0);
    cluster_await(c, &a);
    expect_committed(&a);
    assert_string_equal(a.results[0].value, "1");
    assert_true(a.results[1].found);
    assert_true(a.results[2].found);
    assert_int_equal(a.results[2].version, 2);
    const struct cluster_operation third[] = {{KV_PUT, "a", "3", 0}, {KV_CHECK, "b", NULL, 7}, {0}};
    assert_int_equal(cluster_begin(c, 3, third, 0, 0, &a), 0);
    cluster_await(c, &a);
    assert_int_equal(a.end, KV_REFUSED);
    assert_int_equal(a.refusal.reason, KV_REASON_CONDITION);
    assert_string_equal(a.key, "b");
    struct cluster_answer gone = cluster_get(c, 3, "a");
    expect_committed(&gone);
    assert_false(gone.results[0].found);
    assert_int_equal(gone.results[0].version, 2);
    cluster_free(c);
}

static void two_coordinators_of_one_key_leave_it_consistent(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct cluster *c = cluster_new(seed, 3, "");
        struct cluster_answer a, b;
        assert_int_equal(cluster_begin(c, 1, put_one, 0, 0, &a), 0);
        assert_int_equal(cluster_begin(c, 2, put_two, 0, 0, &b), 0);
        cluster_await(c, &a);
        cluster_await(c, &b);
        assert_true(a.told && b.told);
        assert_true(a.end == KV_COMMITTED_NOW || a.refusal.reason == KV_REASON_LOCKED);
        assert_true(b.end == KV_COMMITTED_NOW || b.refusal.reason == KV_REASON_LOCKED);
        if (b.end == KV_REFUSED) {
            assert_string_equal(b.key, "k");
            assert_int_equal(b.refusal.holder.coordinator, 1);
        }
        cluster_run(c, 5 * S);
        expect_alike(c, "k");
        struct cluster_answer last = cluster_get(c, 3, "k");
        assert_int_equal(last.results[0].version,
                         (a.end == KV_COMMITTED_NOW) + (b.end == KV_COMMITTED_NOW));
        cluster_free(c);
    }
}

static void a_retry_at_another_node_takes_effect_once(void **state)
{
    struct cluster *c = cluster_new(11, 3, "");
    struct cluster_answer first, again;
    (void)state;
    assert_int_equal(cluster_begin(c, 1, put_one, 7, 1, &first), 0);
    cluster_await(c, &first);
    expect_committed(&first);
    assert_int_equal(cluster_begin(c, 2, put_one, 7, 1, &again), 0);
    cluster_await(c, &again);
    expect_committed(&again);
    assert_int_equal(again.refusal.reason, KV_REASON_ALREADY);
    assert_true(kv_txid_equal(again.refusal.holder, first.txid));
    assert_true(again.results[0].known);
    assert_int_equal(again.results[0].version, 1);
    cluster_run(c, S);
    expect_alike(c, "k");
    cluster_free(c);
}

static void messages_of_a_foreign_cluster_are_refused(void **state)
{
    struct cluster *c = cluster_new(12, 3, "");
    struct kv_cluster foreign = c->file;
    (void)state;
    strcpy(foreign.name, "other");
    const struct kv_peers_config config = {
        .host = stream_host_strait(world_stack(c->router), world_env(c->router)),
        .cluster = &foreign,
        .id = 1};
    struct kv_peers *peers = kv_peers_new(&config);
    kv_peers_send(peers, &(struct kv_message){
                             .kind = KV_GLOBAL_COMMIT, .from = 1, .to = 2, .txid = {1, 9, 9}});
    kv_peers_flush(peers);
    cluster_run(c, S);
    assert_int_equal(cluster_counter(c, 2, "kv_node_foreign"), 1);
    assert_int_equal(c->nodes[1].stopped[0], '\0'); /* in its own cluster it would be fatal */
    assert_int_equal(kv_peers_reachable(peers), 0);
    kv_peers_free(peers);
    struct cluster_answer a = cluster_put(c, 1, "k", "v");
    expect_committed(&a);
    cluster_free(c);
}

static void a_node_with_another_file_of_the_cluster_is_refused(void **state)
{
    struct cluster *c = cluster_new(21, 3, "");
    struct cluster_answer a;
    char error[KV_CLUSTER_ERROR_BYTES];
    (void)state;
    cluster_crash(c, 3);
    const struct kv_cluster file = c->file;
    static const char other[] = "cluster test\nreplication 3\nvalue_bytes 7\nnode 1 10.0.1.2\n"
                                "node 2 10.0.2.2\nnode 3 10.0.3.2\n";
    struct kv_cluster parsed;
    assert_true(kv_cluster_parse(other, strlen(other), &parsed, error));
    c->file.digest = parsed.digest;
    cluster_restart(c, 3);
    cluster_run(c, 3 * S);
    a = cluster_put(c, 3, "k", "v");
    assert_int_equal(a.end, KV_REFUSED); /* the others do not vote */
    assert_true(cluster_counter(c, 1, "kv_node_other_file") > 0);
    assert_true(cluster_counter(c, 3, "kv_node_other_file") > 0);
    struct kv_status status;
    kv_node_status(c->nodes[0].node, &status);
    assert_int_equal(status.reachable, 3);
    cluster_crash(c, 3);
    c->file = file;
    cluster_restart(c, 3);
    cluster_run(c, 3 * S);
    a = cluster_put(c, 3, "k", "v");
    expect_committed(&a);
    cluster_free(c);
}

/* Its values would be looked for where they are not. */
static void data_that_was_placed_otherwise_is_refused(void **state)
{
    struct cluster *c = cluster_new(22, 3, "replication 2");
    (void)state;
    cluster_crash(c, 1);
    c->file.placement.replication = 3;
    cluster_restart(c, 1);
    assert_null(c->nodes[0].node);
    assert_non_null(strstr(c->nodes[0].error, "it belongs to cluster"));
    cluster_crash(c, 1);
    c->file.placement.replication = 2;
    cluster_restart(c, 1);
    assert_non_null(c->nodes[0].node);
    cluster_free(c);
}

static void a_node_whose_disk_fails_stops_and_says_why(void **state)
{
    struct cluster *c = cluster_new(13, 3, "");
    struct cluster_answer a;
    (void)state;
    disk_set_faults(world_disk(c->nodes[2].host), &(struct disk_faults){.sync_error = 1000000});
    a = cluster_put(c, 3, "k", "v");
    assert_true(a.told);
    assert_int_equal(a.end, KV_UNDECIDED);
    assert_non_null(strstr(c->nodes[2].stopped, "the journal has failed"));
    assert_int_equal(cluster_begin(c, 3, put_one, 0, 0, &a), ESHUTDOWN);
    assert_int_equal(cluster_begin_read(c, 3, "k", false, &a), ESHUTDOWN);
    struct kv_status status;
    kv_node_status(c->nodes[2].node, &status);
    assert_false(status.serving);

    cluster_crash(c, 3);
    disk_set_faults(world_disk(c->nodes[2].host), &(struct disk_faults){0});
    cluster_restart(c, 3);
    cluster_run(c, 10 * S);
    expect_alike(c, "k");
    a = cluster_put(c, 3, "k", "w");
    expect_committed(&a);
    cluster_free(c);
}

static void note_idle(void *context)
{
    bool *idle = context;
    assert_false(*idle);
    *idle = true;
}

static void a_node_that_drains_finishes_what_is_under_way(void **state)
{
    struct cluster *c = cluster_new(14, 3, "");
    struct cluster_answer a, late;
    bool idle = false;
    (void)state;
    assert_int_equal(cluster_begin(c, 1, put_one, 0, 0, &a), 0);
    kv_node_drain(c->nodes[0].node, world_now(c->world) + 10 * S, note_idle, &idle);
    assert_int_equal(cluster_begin(c, 1, put_two, 0, 0, &late), ESHUTDOWN);
    cluster_await(c, &a);
    expect_committed(&a);
    assert_false(idle);
    cluster_run(c, S);
    assert_true(idle);
    cluster_crash(c, 1);
    cluster_restart(c, 1);
    cluster_run(c, 3 * S);
    expect_alike(c, "k");
    expect_to_read(c, 1, "k", "one");
    cluster_free(c);
}

static void a_node_that_drains_does_not_wait_for_one_that_is_away(void **state)
{
    struct cluster *c = cluster_new(25, 3, "");
    bool idle = false;
    (void)state;
    cluster_crash(c, 3);
    cluster_run(c, 9 * S);
    kv_node_drain(c->nodes[0].node, world_now(c->world) + 10 * S, note_idle, &idle);
    cluster_run(c, 100 * MS);
    assert_true(idle);
    cluster_free(c);
}

struct reply {
    bool ended;
    struct kv_answer_read answer;
    const struct kv_cluster *cluster;
};

static void take_reply(void *context, struct rpc_reply reply, const uint8_t *result,
                       size_t result_bytes)
{
    struct reply *r = context;
    r->ended = true;
    assert_int_equal(reply.outcome, RPC_RESULT);
    assert_true(kv_wire_read_get_reply(r->cluster, result, result_bytes, &r->answer));
}

static void a_node_answers_no_read_of_a_key_that_it_does_not_hold(void **state)
{
    struct cluster *c = cluster_new(16, 3, "replication 2");
    struct kv_blob *key = kv_blob_new("k", 1);
    struct reply r = {.cluster = &c->file};
    (void)state;
    uint32_t other = kv_node_first(7 & ~kv_replicas(&c->file.placement, key));
    uint32_t from = other == 1 ? 2 : 1;
    struct kv_peers *peers = kv_peers_new(&(struct kv_peers_config){
        .host = stream_host_strait(world_stack(c->router), world_env(c->router)),
        .cluster = &c->file,
        .id = from});
    assert_non_null(kv_peers_forward(
        peers, other, &(struct kv_forward){.from = from, .key = key, .timeout_ms = 1000},
        world_now(c->world) + S, take_reply, &r));
    cluster_run(c, S);
    assert_true(r.ended);
    assert_false(r.answer.committed);
    assert_int_equal(r.answer.refusal.reason, KV_REASON_INVALID);
    kv_peers_free(peers);
    kv_blob_release(key);
    cluster_free(c);
}

#define MIB (1u << 20)

static void note_end(void *context, const struct kv_outcome *outcome)
{
    struct cluster_answer *a = context;
    a->told = true;
    a->end = outcome->end;
    a->refusal = outcome->refusal;
    a->took_ns = world_now(a->cluster->world) - a->began_ns;
}

/* Of `count` keys of a MiB each. */
static struct cluster_answer big(struct cluster *c, uint32_t id, enum kv_operation_kind kind,
                                 uint32_t first, uint32_t count)
{
    struct cluster_answer a = {.cluster = c, .began_ns = world_now(c->world)};
    struct kv_request *request = kv_request_new(count);
    uint8_t *value = calloc(1, MIB);
    for (uint32_t i = 0; i < count; i++) {
        char key[16];
        snprintf(key, sizeof(key), "big%u", (unsigned)(first + i));
        request->operations[i].kind = kind;
        request->operations[i].key = kv_blob_new(key, strlen(key));
        if (kind == KV_PUT)
            request->operations[i].value = kv_blob_new(value, MIB);
    }
    free(value);
    assert_non_null(kv_node_txn(c->nodes[id - 1].node, request,
                                world_now(c->world) + CLUSTER_DEADLINE_S * S, note_end, &a));
    kv_request_release(request);
    cluster_run(c, (CLUSTER_DEADLINE_S + 1) * S);
    assert_true(a.told);
    return a;
}

static void large_values_travel_and_what_is_longer_than_a_message_is_refused(void **state)
{
    struct cluster *c = cluster_new(17, 3, "coordinator fixed:1");
    struct cluster_answer a;
    (void)state;
    for (uint32_t i = 0; i < 6; i += 3) {
        a = big(c, 2, KV_PUT, i, 3);
        assert_int_equal(a.end, KV_COMMITTED_NOW);
    }
    a = big(c, 3, KV_GET, 0, 3);
    assert_int_equal(a.end, KV_COMMITTED_NOW);
    a = big(c, 3, KV_GET, 0, 6); /* 6 MiB of results do not fit into the 4.4 of a vote */
    assert_int_equal(a.end, KV_REFUSED);
    assert_int_equal(a.refusal.reason, KV_REASON_LARGE);
    assert_true(a.took_ns < S);
    cluster_free(c);
}

/* Each vote fits into a message, and the reply would not. */
static void what_is_longer_than_a_reply_is_refused(void **state)
{
    struct cluster *c = cluster_new(24, 3, "coordinator fixed:1\nreplication 1");
    struct cluster_answer a;
    (void)state;
    for (uint32_t i = 0; i < 6; i += 3) {
        a = big(c, 2, KV_PUT, i, 3);
        assert_int_equal(a.end, KV_COMMITTED_NOW);
    }
    for (uint32_t id = 1; id <= 2; id++) {
        a = big(c, id, KV_GET, 0, 6);
        assert_int_equal(a.end, KV_REFUSED);
        assert_int_equal(a.refusal.reason, KV_REASON_LARGE);
        assert_int_equal(a.refusal.node, 1);
    }
    assert_int_equal(cluster_counter(c, 1, "kv_refused_results"), 2);
    cluster_free(c);
}

struct views {
    uint32_t count;
    struct kv_txn_view list[8];
};

static void note_view(void *context, const struct kv_txn_view *view)
{
    struct views *v = context;
    assert_true(v->count < 8);
    v->list[v->count++] = *view;
}

/* ---- Damage ---- */

static bool get_damaged(void *context, const struct kv_blob *key, struct kv_result *result)
{
    (void)context, (void)key;
    *result = (struct kv_result){0};
    return false;
}

/* No row of a value matches its checksum any more. */
static void damage(struct cluster *c, uint32_t id)
{
    const struct kv_store *store = kv_journal_store(kv_node_journal(c->nodes[id - 1].node));
    ((struct kv_store *)(uintptr_t)store)->get = get_damaged;
}

static void a_read_of_a_damaged_row_is_answered_by_another_replica(void **state)
{
    struct cluster *c = cluster_new(26, 3, "");
    const struct cluster_operation get[] = {{KV_GET, "k", NULL, 0}, {0}};
    struct cluster_answer a = cluster_put(c, 1, "k", "v");
    (void)state;
    assert_int_equal(a.end, KV_COMMITTED_NOW);
    damage(c, 1);
    for (int stale = 0; stale < 2; stale++) {
        assert_int_equal(cluster_begin_read(c, 1, "k", stale, &a), 0);
        cluster_await(c, &a);
        assert_int_equal(a.end, KV_COMMITTED_NOW);
        assert_string_equal(a.results[0].value, "v");
        assert_true(a.took_ns < S);
    }
    assert_int_equal(cluster_counter(c, 1, "kv_ask_reads_passed_on"), 2);
    assert_int_equal(cluster_begin(c, 2, get, 0, 0, &a), 0); /* it does not vote */
    cluster_await(c, &a);
    assert_int_equal(a.end, KV_REFUSED);
    assert_int_equal(a.refusal.reason, KV_REASON_DAMAGED);
    assert_int_equal(a.refusal.node, 1);
    cluster_free(c);
}

static void a_row_that_is_damaged_everywhere_is_refused_as_such(void **state)
{
    struct cluster *c = cluster_new(27, 3, "");
    (void)state;
    cluster_put(c, 1, "k", "v");
    for (uint32_t id = 1; id <= 3; id++)
        damage(c, id);
    struct cluster_answer a = cluster_get(c, 1, "k");
    assert_int_equal(a.end, KV_REFUSED);
    assert_int_equal(a.refusal.reason, KV_REASON_DAMAGED);
    assert_string_equal(a.key, "k");
    assert_true(a.took_ns < S);
    cluster_free(c);
}

/* ---- What is shown ---- */

static void transactions_are_shown_in_their_order(void **state)
{
    struct cluster *c = cluster_new(18, 3, "");
    struct cluster_answer a, b, d;
    struct views views = {0};
    const struct cluster_operation one[] = {{KV_PUT, "1", "", 0}, {0}};
    const struct cluster_operation two[] = {{KV_PUT, "2", "", 0}, {0}};
    const struct cluster_operation three[] = {{KV_PUT, "3", "", 0}, {0}};
    (void)state;
    cluster_cut(c, 3, true, false); /* its votes are lost */
    assert_int_equal(cluster_begin(c, 2, three, 0, 0, &d), 0);
    assert_int_equal(cluster_begin(c, 1, one, 0, 0, &a), 0);
    assert_int_equal(cluster_begin(c, 1, two, 0, 0, &b), 0);
    cluster_run(c, S);
    kv_node_visit_txns(c->nodes[0].node, false, note_view, &views);
    assert_int_equal(views.count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(views.list[i].txid.coordinator, i < 2 ? 1 : 2);
        assert_int_equal(views.list[i].txid.sequence, i < 2 ? i + 1 : 1);
        assert_int_equal(views.list[i].coordinator != NULL, i < 2);
        assert_non_null(views.list[i].worker);
    }
    views.count = 0;
    kv_node_visit_txns(c->nodes[0].node, true, note_view, &views);
    assert_int_equal(views.count, 3);
    assert_int_equal(cluster_in_doubt(c, 1), 3);
    cluster_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_at_a_node_is_got_at_each),
        cmocka_unit_test(each_mode_of_coordination_passes_on_to_whom_it_names),
        cmocka_unit_test(a_key_is_read_through_a_node_that_does_not_hold_it),
        cmocka_unit_test(a_transaction_reads_checks_writes_and_deletes_over_all_nodes),
        cmocka_unit_test(two_coordinators_of_one_key_leave_it_consistent),
        cmocka_unit_test(a_retry_at_another_node_takes_effect_once),
        cmocka_unit_test(messages_of_a_foreign_cluster_are_refused),
        cmocka_unit_test(a_node_with_another_file_of_the_cluster_is_refused),
        cmocka_unit_test(data_that_was_placed_otherwise_is_refused),
        cmocka_unit_test(a_node_whose_disk_fails_stops_and_says_why),
        cmocka_unit_test(a_node_that_drains_finishes_what_is_under_way),
        cmocka_unit_test(a_node_that_drains_does_not_wait_for_one_that_is_away),
        cmocka_unit_test(a_node_answers_no_read_of_a_key_that_it_does_not_hold),
        cmocka_unit_test(large_values_travel_and_what_is_longer_than_a_message_is_refused),
        cmocka_unit_test(what_is_longer_than_a_reply_is_refused),
        cmocka_unit_test(a_read_of_a_damaged_row_is_answered_by_another_replica),
        cmocka_unit_test(a_row_that_is_damaged_everywhere_is_refused_as_such),
        cmocka_unit_test(transactions_are_shown_in_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
