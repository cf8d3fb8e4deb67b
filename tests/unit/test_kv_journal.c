/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kv_place.h"
#include "look.h"
#include "wal_vfs.h"

#define ALWAYS 1000000 /* in a million */

/* ---- Rows come back ---- */

static void a_workers_rows_come_back_with_every_field(void **state)
{
    struct place *p = *state;
    struct kv_request *request = kv_request_hold(all_kinds());
    place_write(
        p, (struct kv_row){
               .kind = KV_WORKER_PREPARE, .forced = true, .txid = {3, 7, 40}, .request = request});
    place_prepare(p, KV_WORKER_PREPARE, txid(1, 1));
    place_put(p, 1, "k", "v", 1);
    place_prepare(p, KV_WORKER_PREPARE, txid(1, 2));
    place_row(p, KV_WORKER_ABORT, true, txid(1, 2), no_mark);
    place_row(p, KV_WORKER_ABORT, true, txid(32, 5), no_mark);
    place_row(p, KV_WORKER_MARK, false, no_mark, (struct kv_txid){3, 7, 40});
    place_settle(p);
    place_crash(p);

    const struct worker_txn *t = worker_find(p->worker, (struct kv_txid){3, 7, 40});
    assert_non_null(t);
    assert_int_equal(t->phase, WORKER_PREPARED);
    assert_same_request(t->request, request);
    assert_true(t->request->client == UINT64_MAX);
    assert_int_equal(t->request->sequence, 12);
    assert_int_equal(t->request->retired, 11);
    assert_int_equal(t->request->epoch, 1);
    assert_int_equal(t->request->participants, 0x80000007);
    assert_int_equal(worker_find(p->worker, txid(1, 1))->phase, WORKER_COMMITTED);
    assert_int_equal(worker_find(p->worker, txid(1, 2))->phase, WORKER_ABORTED);
    assert_int_equal(worker_find(p->worker, txid(32, 5))->phase, WORKER_ABORTED);
    const struct kv_txid *mark = &p->worker->coordinators[2].mark;
    assert_true(kv_txid_equal(*mark, (struct kv_txid){3, 7, 40}));
    kv_request_release(request);
}

static void a_coordinators_rows_come_back(void **state)
{
    struct place *p = *state;
    place_row(p, KV_COORDINATOR_START, true, (struct kv_txid){NODE, 1, 1}, no_mark);
    for (uint64_t s = 1; s <= 4; s++)
        place_prepare(p, KV_COORDINATOR_PREPARE, txid(NODE, s));
    place_row(p, KV_COORDINATOR_ABORT, true, txid(NODE, 1), no_mark);
    place_row(p, KV_COORDINATOR_COMMIT, true, txid(NODE, 2), no_mark);
    place_row(p, KV_COORDINATOR_COMMIT, true, txid(NODE, 3), no_mark);
    place_row(p, KV_COORDINATOR_END, false, txid(NODE, 3), txid(NODE, 1));
    place_settle(p);
    place_crash(p);

    assert_int_equal(p->coordinator->incarnation, 1);
    assert_int_equal(p->coordinator->first, 1);
    assert_int_equal(p->coordinator->next, 5);
    static const enum coordinator_phase phases[] = {COORDINATOR_ABORTED, COORDINATOR_COMMITTED,
                                                    COORDINATOR_ENDED, COORDINATOR_PREPARING};
    for (uint64_t s = 1; s <= 4; s++) {
        const struct coordinator_txn *t = coordinator_find(p->coordinator, txid(NODE, s));
        assert_non_null(t);
        assert_int_equal(t->phase, phases[s - 1]);
        assert_int_equal(t->participants, 7);
    }
}

/* A new incarnation begins where the last one can have been, though all of its rows are below. */
static void after_the_last_end_the_sequence_goes_on(void **state)
{
    struct place *p = *state;
    place_row(p, KV_COORDINATOR_START, true, (struct kv_txid){NODE, 1, 1}, no_mark);
    for (uint64_t s = 1; s <= 3; s++) {
        place_prepare(p, KV_COORDINATOR_PREPARE, txid(NODE, s));
        place_row(p, KV_COORDINATOR_ABORT, true, txid(NODE, s), no_mark);
        place_row(p, KV_COORDINATOR_END, false, txid(NODE, s), txid(NODE, s + 1));
    }
    place_settle(p);
    place_crash(p);
    assert_int_equal(p->coordinator->incarnation, 1);
    assert_int_equal(p->coordinator->next, 4);
    assert_int_equal(p->coordinator->first, 4);

    place_row(p, KV_COORDINATOR_START, true, (struct kv_txid){NODE, 2, 4}, no_mark);
    place_prepare(p, KV_COORDINATOR_PREPARE, (struct kv_txid){NODE, 2, 4});
    place_settle(p);
    place_crash(p);
    assert_int_equal(p->coordinator->incarnation, 2);
    assert_int_equal(p->coordinator->next, 5);
    assert_non_null(coordinator_find(p->coordinator, (struct kv_txid){NODE, 2, 4}));
}

static void an_older_incarnation_that_has_not_ended_is_before_the_start(void **state)
{
    struct place *p = *state;
    place_row(p, KV_COORDINATOR_START, true, (struct kv_txid){NODE, 1, 1}, no_mark);
    place_prepare(p, KV_COORDINATOR_PREPARE, (struct kv_txid){NODE, 1, 1});
    place_row(p, KV_COORDINATOR_START, true, (struct kv_txid){NODE, 2, 2}, no_mark);
    place_prepare(p, KV_COORDINATOR_PREPARE, (struct kv_txid){NODE, 2, 2});
    place_settle(p);
    place_crash(p);
    assert_int_equal(p->coordinator->incarnation, 2);
    assert_int_equal(p->coordinator->first, 1);
    assert_int_equal(p->coordinator->next, 3);
}

/* ---- Marks ---- */

struct life {
    char text[200];
};

static void tell_life(void *context, const struct kv_journal_entry *entry)
{
    struct life *l = context;
    size_t length = strlen(l->text);
    assert_true(entry->time_ms > 0);
    snprintf(l->text + length, sizeof(l->text) - length, "%s%s%u ",
             kv_row_is_worker(entry->kind) ? "W-" : "", kv_row_name(entry->kind),
             entry->participants);
}

static const char *life_of(struct place *p, struct kv_txid id)
{
    static struct life life;
    life.text[0] = 0;
    kv_journal_visit(p->journal, id, tell_life, &life);
    return life.text;
}

static void a_mark_deletes_a_workers_rows_of_that_coordinator_below_it(void **state)
{
    struct place *p = *state;
    for (uint32_t c = 1; c <= 2; c++)
        for (uint64_t s = 1; s <= 3; s++)
            place_row(p, KV_WORKER_ABORT, true, txid(c, s), no_mark);
    place_row(p, KV_WORKER_ABORT, true, (struct kv_txid){1, 2, 4}, no_mark);
    place_row(p, KV_WORKER_MARK, false, no_mark, txid(1, 3));
    place_settle(p);
    assert_string_equal(look(FILE_1, "SELECT group_concat(coordinator || '.' || incarnation || "
                                     "'.' || sequence) FROM (SELECT * FROM journal ORDER BY id)"),
                        "1.1.3,1.2.4,2.1.1,2.1.2,2.1.3");
    place_row(p, KV_WORKER_MARK, false, no_mark, (struct kv_txid){1, 2, 4});
    place_settle(p);
    assert_string_equal(look(FILE_1, "SELECT group_concat(coordinator || '.' || incarnation || "
                                     "'.' || sequence) FROM (SELECT * FROM journal ORDER BY id)"),
                        "1.2.4,2.1.1,2.1.2,2.1.3");
}

static void of_what_has_ended_the_newest_are_kept_to_be_explained(void **state)
{
    struct place *p = *state;
    const uint64_t last = 1500;
    place_row(p, KV_COORDINATOR_START, true, (struct kv_txid){NODE, 1, 1}, no_mark);
    place_prepare(p, KV_WORKER_PREPARE, txid(NODE, last));
    for (uint64_t s = 1; s <= last; s++) {
        place_prepare(p, KV_COORDINATOR_PREPARE, txid(NODE, s));
        place_row(p, KV_COORDINATOR_COMMIT, true, txid(NODE, s), no_mark);
        place_row(p, KV_COORDINATOR_END, false, txid(NODE, s), txid(NODE, s + 1));
    }
    place_settle(p);
    /* The mark is 1501: what is below 501 has gone, so that 1000 are left. */
    assert_string_equal(look(FILE_1, "SELECT min(sequence) || ' ' || count(*) FROM journal "
                                     "WHERE kind < 16"),
                        "501 3000");
    assert_string_equal(life_of(p, txid(NODE, 500)), "");
    assert_string_equal(life_of(p, txid(NODE, 501)), "PREPARE7 COMMIT0 END0 ");
    assert_string_equal(life_of(p, txid(NODE, last)), "W-PREPARE7 PREPARE7 COMMIT0 END0 ");
    place_crash(p);
    assert_int_equal(p->coordinator->next - p->coordinator->first, 0);
    assert_int_equal(p->coordinator->next, last + 1);
}

/* ---- Batches ---- */

static void rows_of_one_turn_share_a_sync_and_are_told_in_their_order(void **state)
{
    struct place *p = *state;
    place_row(p, KV_COORDINATOR_START, true, (struct kv_txid){NODE, 1, 1}, no_mark);
    place_prepare(p, KV_COORDINATOR_PREPARE, txid(NODE, 1));
    place_prepare(p, KV_WORKER_PREPARE, txid(NODE, 1));
    assert_string_equal(p->told, "");
    place_settle(p);
    assert_string_equal(p->told, "START 2.1.1, PREPARE 2.1.1, W-PREPARE 2.1.1");
    assert_int_equal(place_counters(p).batches, 1);
    assert_int_equal(place_counters(p).rows, 3);
}

static void a_row_that_is_not_forced_waits_for_one_that_is(void **state)
{
    struct place *p = *state;
    place_row(p, KV_WORKER_MARK, false, no_mark, txid(1, 3));
    world_run(p->world, world_now(p->world) + 5 * MS);
    assert_int_equal(place_counters(p).batches, 0);
    assert_false(kv_journal_is_idle(p->journal));
    place_row(p, KV_WORKER_ABORT, true, txid(1, 4), no_mark);
    place_settle(p);
    assert_int_equal(place_counters(p).batches, 1);
    assert_string_equal(p->told, "W-ABORT 1.1.4");
}

static void but_it_does_not_wait_for_ever_and_is_not_told(void **state)
{
    struct place *p = *state;
    place_row(p, KV_WORKER_MARK, false, no_mark, txid(1, 3));
    place_settle(p);
    assert_int_equal(place_counters(p).batches, 1);
    assert_string_equal(p->told, "");
    assert_string_equal(look(FILE_1, "SELECT kind || ' ' || sequence FROM mark"), "19 3");
}

static void marks_that_wait_take_the_place_of_one_each(void **state)
{
    struct place *p = *state;
    for (uint32_t i = 1; i <= 3 * KV_JOURNAL_QUEUE_MAX; i++)
        place_row(p, KV_WORKER_MARK, false, no_mark, txid(1 + i % 2 * 2, i));
    place_row(p, KV_WORKER_MARK, false, no_mark, txid(1, 5)); /* late */
    place_row(p, KV_WORKER_ABORT, true, txid(1, 4),
              no_mark); /* and below the mark, that goes with it */
    place_settle(p);
    assert_int_equal(place_counters(p).rows, 3);
    assert_string_equal(look(FILE_1, "SELECT group_concat(coordinator || ' ' || sequence, ', ') "
                                     "FROM mark"),
                        "1 196608, 3 196607");
    assert_string_equal(look(FILE_1, "SELECT count(*) FROM journal"), "0");
    place_crash(p);
}

static void too_many_rows_that_wait_are_refused_and_counted(void **state)
{
    struct place *p = *state;
    struct kv_row tombstone = {.kind = KV_WORKER_ABORT};
    for (uint64_t i = 1; i <= KV_JOURNAL_QUEUE_MAX; i++) {
        tombstone.txid = txid(1, i);
        assert_int_equal(kv_journal_write(p->journal, &tombstone), 0);
    }
    errno = 0;
    tombstone.txid = txid(1, KV_JOURNAL_QUEUE_MAX + 1);
    assert_int_equal(kv_journal_write(p->journal, &tombstone), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(place_counters(p).full, 1);
    place_settle(p);
    assert_int_equal(place_counters(p).rows, KV_JOURNAL_QUEUE_MAX);
}

/* ---- Failure ---- */

static void failure_is_told_once(struct place *p, const struct disk_faults *faults)
{
    place_row(p, KV_WORKER_ABORT, true, txid(1, 1), no_mark);
    place_settle(p);
    p->told[0] = 0;
    disk_set_faults(world_disk(p->host), faults);
    char value[WAL_VFS_GROWTH + 1]; /* more than the log has room for */
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = 0;
    place_put(p, 2, "a", value, 1);
    world_run(p->world, world_now(p->world) + 100 * MS / 1000); /* the batch has begun */
    place_row(p, KV_WORKER_ABORT, true, txid(1, 3), no_mark);
    place_settle(p);
    assert_int_equal(p->failures, 1);
    assert_non_null(strstr(p->message, FILE_1 ": "));
    assert_string_equal(kv_journal_failure(p->journal), p->message);
    assert_string_equal(p->told, "");
    errno = 0;
    assert_int_equal(kv_journal_write(p->journal, &(struct kv_row){.kind = KV_WORKER_ABORT,
                                                                   .forced = true,
                                                                   .txid = txid(1, 4)}),
                     -1);
    assert_int_equal(errno, EIO);
    disk_set_faults(world_disk(p->host), &(struct disk_faults){0});
    place_settle(p);
    assert_string_equal(p->told, "");
    assert_int_equal(p->failures, 1);
    place_crash(p);
    assert_non_null(worker_find(p->worker, txid(1, 1)));
    assert_null(worker_find(p->worker, txid(1, 3)));
}

static void a_failed_write_ends_it(void **state)
{
    failure_is_told_once(*state, &(struct disk_faults){.write_error = ALWAYS});
}

static void a_failed_sync_ends_it(void **state)
{
    failure_is_told_once(*state, &(struct disk_faults){.sync_error = ALWAYS});
}

static void a_full_disk_ends_it(void **state)
{
    failure_is_told_once(*state, &(struct disk_faults){.capacity_bytes = 1});
}

/* ---- Whose it is, and damage ---- */

static void assert_refused(struct place *p, const char *message)
{
    char error[STORE_MESSAGE_BYTES] = "";
    uint64_t hash = disk_hash(world_disk(p->host));
    assert_null(kv_journal_open(p->env, &p->config, error));
    assert_non_null(strstr(error, message));
    assert_ptr_equal(strstr(error, FILE_1), error);
    assert_true(hash == disk_hash(world_disk(p->host)));
}

static void the_directory_of_another_node_cluster_or_version_is_refused(void **state)
{
    struct place *p = *state;
    kv_journal_free(p->journal);
    p->journal = NULL;
    p->config.node = 3;
    assert_refused(p, "it belongs to cluster shop node 2, and not to cluster shop node 3");
    p->config.node = NODE;
    p->config.cluster = "bank";
    assert_refused(p, "it belongs to cluster shop node 2, and not to cluster bank node 2");
    p->config.cluster = "shop";
    look(FILE_1, "PRAGMA user_version=2");
    assert_refused(p, "this program knows version 1 of it, and it has 2");
    look(FILE_1, "PRAGMA user_version=1");
    place_open(p);
}

static void damaged_rows_of_the_journal_are_found_when_it_is_loaded(void **state)
{
    struct place *p = *state;
    static const struct {
        const char *damage, *repair, *message;
    } all[] = {
        {"UPDATE journal SET time_ms = time_ms + 1 WHERE kind = 16",
         "UPDATE journal SET time_ms = time_ms - 1 WHERE kind = 16",
         "row 2 of journal, of transaction 1.1.2, is damaged"},
        {"UPDATE journal SET operations = CAST(x'00000000' || substr(operations, 5) AS BLOB) WHERE "
         "kind = 16",
         "UPDATE journal SET operations = CAST(x'00000001' || substr(operations, 5) AS BLOB) WHERE "
         "kind = 16",
         "row 2 of journal, of transaction 1.1.2, is damaged"},
        {"UPDATE journal SET incarnation = 9 WHERE kind = 18",
         "UPDATE journal SET incarnation = 1 WHERE kind = 18",
         "row 1 of journal, of transaction 1.9.1, is damaged"},
        {"UPDATE mark SET sequence = 2", "UPDATE mark SET sequence = 1",
         "the row of mark with kind 19 is damaged"},
    };
    place_row(p, KV_WORKER_ABORT, true, txid(1, 1), no_mark);
    place_prepare(p, KV_WORKER_PREPARE, txid(1, 2));
    place_row(p, KV_WORKER_MARK, false, no_mark, txid(1, 1));
    place_settle(p);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        char error[STORE_MESSAGE_BYTES] = "";
        look(FILE_1, all[i].damage);
        place_machines(p);
        assert_false(kv_journal_load(p->journal, p->coordinator, p->worker, error));
        assert_non_null(strstr(error, all[i].message));
        look(FILE_1, all[i].repair);
        place_load(p);
    }
}

static void a_journal_beyond_the_limits_of_a_machine_is_refused(void **state)
{
    struct place *p = *state;
    char error[STORE_MESSAGE_BYTES] = "";
    for (uint64_t s = 1; s <= 5001; s++)
        place_row(p, KV_WORKER_ABORT, true, txid(1, s), no_mark);
    place_settle(p);
    place_machines(p);
    assert_false(kv_journal_load(p->journal, p->coordinator, p->worker, error));
    assert_string_equal(error, FILE_1 ": the worker cannot hold what the journal does");
}

static void damaged_values_and_clients_are_found_when_they_are_read(void **state)
{
    struct place *p = *state;
    place_put(p, 1, "a", "sound", 1);
    place_put(p, 2, "b", "sound", 2);
    place_commit(p, 3, 7, 1, 1);
    place_commit(p, 4, 8, 1, 1);
    place_settle(p);
    place_crash(p); /* what this life has written it knows */
    look(FILE_1, "UPDATE value SET value = CAST('Sound' AS BLOB) WHERE key = x'61'");
    look(FILE_1, "UPDATE once SET txn_sequence = 9 WHERE client = 7");
    look(FILE_1, "UPDATE client SET retired = 0 WHERE client = 8");
    assert_string_equal(place_get(p, "a"), "damaged");
    assert_string_equal(place_get(p, "b"), "sound 2");
    assert_int_equal(place_past(p, 7, 1), KV_PAST_DAMAGED);
    assert_int_equal(place_past(p, 7, 2), KV_PAST_NONE);
    assert_int_equal(place_past(p, 8, 1), KV_PAST_COMMITTED);
    assert_int_equal(place_past(p, 8, 2), KV_PAST_DAMAGED);
    assert_int_equal(place_counters(p).damaged, 3);
    assert_int_equal(p->warnings, 3);

    /* A new row of the client does not make its damaged one look sound. */
    place_commit(p, 5, 8, 2, 1);
    place_settle(p);
    assert_int_equal(p->failures, 1);
    assert_string_equal(p->message, FILE_1 ": a row of client is damaged");
}

static void expect_warning(struct place *p, int warnings, const char *beginning)
{
    if (strncmp(p->warned, beginning, strlen(beginning)) != 0)
        fail_msg("told: %s", p->warned);
    assert_int_equal(p->warnings, warnings);
}

static void a_damaged_row_is_told_once_by_its_table_and_key(void **state)
{
    struct place *p = *state;
    place_put(p, 1, "a b", "sound", 1);
    place_prepare(p, KV_WORKER_PREPARE, txid(1, 2));
    place_commit(p, 3, 7, 1, 1);
    place_settle(p);
    place_crash(p);
    look(FILE_1, "UPDATE value SET version = 2 WHERE value = CAST('sound' AS BLOB)");
    look(FILE_1, "UPDATE once SET txn_sequence = 9");
    look(FILE_1, "UPDATE client SET retired = 0");
    look(FILE_1, "UPDATE journal SET time_ms = 1 WHERE kind = 16");
    for (int time = 0; time < 3; time++)
        assert_string_equal(place_get(p, "a b"), "damaged");
    expect_warning(p, 1,
                   FILE_1 ": the row of value with key \"a%20b\" does not match its checksum: this "
                          "node refuses to vote on it, and leaves reads of it to other replicas");
    for (int time = 0; time < 3; time++)
        assert_int_equal(place_past(p, 7, 1), KV_PAST_DAMAGED);
    expect_warning(p, 2,
                   FILE_1 ": the row of once with client 7 and sequence 1 does not match its "
                          "checksum: this node refuses to vote on a repetition of that request");
    for (uint64_t sequence = 2; sequence < 5; sequence++)
        assert_int_equal(place_past(p, 7, sequence), KV_PAST_DAMAGED);
    expect_warning(p, 3,
                   FILE_1 ": the row of client with client 7 does not match its checksum: this "
                          "node refuses to vote on what that client asks for");
    for (int time = 0; time < 3; time++)
        assert_string_equal(life_of(p, txid(1, 2)), "");
    expect_warning(p, 4,
                   FILE_1 ": row 2 of journal, of transaction 1.1.2, is damaged: this node can "
                          "tell its life in part only, and will not start again with it");
    assert_int_equal(place_counters(p).damaged, 12);
}

static void a_damaged_total_is_found_at_the_start(void **state)
{
    struct place *p = *state;
    char error[STORE_MESSAGE_BYTES] = "";
    kv_journal_free(p->journal);
    look(FILE_1, "UPDATE total SET keys = 5");
    p->journal = kv_journal_open(p->env, &p->config, error);
    assert_null(p->journal);
    assert_string_equal(error, FILE_1 ": the row of total is damaged");
}

/* ---- Copies ---- */

static void backed_up(void *context, const char *error)
{
    struct place *p = context;
    p->backups++;
    snprintf(p->backup_error, sizeof(p->backup_error), "%s", error ? error : "");
}

static void a_copy_is_a_journal_of_what_was_durable(void **state)
{
    struct place *p = *state;
    place_put(p, 1, "a", "before", 1);
    place_settle(p);
    assert_int_equal(kv_journal_backup(p->journal, "e/node.db", backed_up, p), 0);
    assert_false(kv_journal_is_idle(p->journal));
    errno = 0;
    assert_int_equal(kv_journal_backup(p->journal, "f", backed_up, p), -1);
    assert_int_equal(errno, EBUSY);
    for (uint64_t i = 2; i < 20; i++)
        place_put(p, i, "b", "meanwhile", i);
    place_settle(p);
    assert_int_equal(p->backups, 1);
    assert_string_equal(p->backup_error, "");
    errno = 0;
    assert_int_equal(kv_journal_backup(p->journal, "e/node.db", backed_up, p), -1);
    assert_int_equal(errno, EEXIST);
    assert_string_equal(place_get(p, "b"), "meanwhile 19");

    kv_journal_free(p->journal);
    p->config.directory = "e";
    place_open(p);
    assert_string_equal(place_get(p, "a"), "before 1");
    assert_string_equal(look("e/node.db", "PRAGMA integrity_check"), "ok");
}

/* Each is made of the one before. What of unsynced changes a crash leaves is drawn. */
static void copies_outlast_crashes(void **state)
{
    static const char *const directories[] = {"e", "f", "g", "h", "i", "j", "k", "l"};
    struct place *p = *state;
    place_put(p, 1, "a", "before", 1);
    place_settle(p);
    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
        char path[16];
        snprintf(path, sizeof(path), "%s/node.db", directories[i]);
        assert_int_equal(kv_journal_backup(p->journal, path, backed_up, p), 0);
        place_settle(p);
        assert_int_equal(p->backups, i + 1);
        assert_string_equal(p->backup_error, "");
        p->config.directory = directories[i];
        place_crash(p);
        assert_string_equal(place_get(p, "a"), "before 1");
    }
}

static void a_copy_that_fails_leaves_no_file_and_harms_nobody(void **state)
{
    struct place *p = *state;
    place_put(p, 1, "a", "before", 1);
    place_settle(p);
    disk_set_faults(world_disk(p->host), &(struct disk_faults){.capacity_bytes = 1});
    assert_int_equal(kv_journal_backup(p->journal, "f", backed_up, p), 0);
    place_settle(p);
    assert_int_equal(p->backups, 1);
    assert_string_equal(p->backup_error, "f: database or disk is full");
    disk_set_faults(world_disk(p->host), &(struct disk_faults){0});
    assert_int_equal(p->env->file_open(p->env, "f", 0), -1);
    place_put(p, 2, "a", "after", 2);
    place_settle(p);
    assert_string_equal(place_get(p, "a"), "after 2");
    assert_int_equal(p->failures, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_workers_rows_come_back_with_every_field),
        TEST(a_coordinators_rows_come_back),
        TEST(after_the_last_end_the_sequence_goes_on),
        TEST(an_older_incarnation_that_has_not_ended_is_before_the_start),
        TEST(a_mark_deletes_a_workers_rows_of_that_coordinator_below_it),
        TEST(of_what_has_ended_the_newest_are_kept_to_be_explained),
        TEST(rows_of_one_turn_share_a_sync_and_are_told_in_their_order),
        TEST(a_row_that_is_not_forced_waits_for_one_that_is),
        TEST(but_it_does_not_wait_for_ever_and_is_not_told),
        TEST(marks_that_wait_take_the_place_of_one_each),
        TEST(too_many_rows_that_wait_are_refused_and_counted),
        TEST(a_failed_write_ends_it),
        TEST(a_failed_sync_ends_it),
        TEST(a_full_disk_ends_it),
        TEST(the_directory_of_another_node_cluster_or_version_is_refused),
        TEST(damaged_rows_of_the_journal_are_found_when_it_is_loaded),
        TEST(a_journal_beyond_the_limits_of_a_machine_is_refused),
        TEST(damaged_values_and_clients_are_found_when_they_are_read),
        TEST(a_damaged_row_is_told_once_by_its_table_and_key),
        TEST(a_damaged_total_is_found_at_the_start),
        TEST(a_copy_is_a_journal_of_what_was_durable),
        TEST(copies_outlast_crashes),
        TEST(a_copy_that_fails_leaves_no_file_and_harms_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
