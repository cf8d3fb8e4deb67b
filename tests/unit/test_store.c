/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "look.h"
#include "sim/world.h"
#include "store.h"
#include "wal_vfs.h"

#define MS          UINT64_C(1000000)
#define S           UINT64_C(1000000000)
#define APPLICATION 0x73746f72
#define ALWAYS      1000000 /* in a million */

static const char *const schema[] = {
    "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT NOT NULL, sum INTEGER NOT NULL)", NULL};

/* ---- A world with one host, and its store ---- */

struct place {
    struct world *world;
    struct world_host *host;
    struct strait_env *env;
    struct store_config config;
    struct store *store;
    sqlite3_stmt *insert;
    int failures;
    char message[STORE_MESSAGE_BYTES];
};

static void store_failed(void *context, const char *message)
{
    struct place *p = context;
    p->failures++;
    snprintf(p->message, sizeof(p->message), "%s", message);
}

/* Opens the store of the place, which has to succeed. */
static void open_store(struct place *p)
{
    char error[STORE_MESSAGE_BYTES] = "";
    p->store = store_open(p->env, &p->config, error);
    assert_string_equal(error, "");
    assert_non_null(p->store);
    p->insert = store_prepare(p->store, "INSERT INTO t VALUES(?1, ?2, row_sum('t', ?1, ?2))");
    assert_non_null(p->insert);
}

static void reopen_store(struct place *p)
{
    store_free(p->store);
    open_store(p);
}

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    p->world = world_new(1);
    p->host = world_add_host(p->world, "h", NULL, NULL);
    p->env = world_env(p->host);
    world_act_as(p->host);
    p->config = (struct store_config){.path = "node.db",
                                      .application = APPLICATION,
                                      .version = 3,
                                      .owner = "node 1",
                                      .schema = schema,
                                      .failed = store_failed,
                                      .context = p};
    open_store(p);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    store_free(p->store);
    world_free(p->world);
    free(p);
    return 0;
}

/* ---- Jobs that insert a row ---- */

struct row {
    struct store_job job;
    struct place *place;
    int64_t a;
    const char *b;
    bool undo;
    enum store_step step;
    int dones;
    enum store_outcome outcome;
};

static bool row_run(struct store_job *job, struct store *store)
{
    struct row *r = (struct row *)job;
    sqlite3_bind_int64(r->place->insert, 1, r->a);
    sqlite3_bind_text(r->place->insert, 2, r->b, -1, SQLITE_STATIC);
    r->step = store_step(store, r->place->insert);
    return r->step == STORE_DONE && !r->undo;
}

static void row_done(struct store_job *job, enum store_outcome outcome)
{
    struct row *r = (struct row *)job;
    r->dones++;
    r->outcome = outcome;
}

static struct row row(struct place *p, int64_t a, const char *b)
{
    return (struct row){.job = {.run = row_run, .done = row_done}, .place = p, .a = a, .b = b};
}

static void submit(struct place *p, struct row *r)
{
    assert_int_equal(store_submit(p->store, &r->job), 0);
}

/* Until nothing happens any more. */
static void settle(struct place *p)
{
    assert_int_equal(world_run(p->world, world_now(p->world) + S), WORLD_IDLE);
    assert_true(store_is_idle(p->store));
}

/* ---- Jobs and batches ---- */

static void what_is_kept_survives_and_can_be_looked_at_meanwhile(void **state)
{
    struct place *p = *state;
    struct row one = row(p, 1, "one");
    submit(p, &one);
    assert_int_equal(one.dones, 0);
    settle(p);
    assert_int_equal(one.dones, 1);
    assert_int_equal(one.outcome, STORE_KEPT);
    assert_string_equal(look("node.db", "SELECT a || b FROM t"), "1one");
    assert_string_equal(look("node.db", "PRAGMA journal_mode"), "wal");

    world_crash(p->host);
    store_free(p->store);
    world_restart(p->host);
    open_store(p);
    assert_string_equal(look("node.db", "SELECT a || b FROM t"), "1one");
}

static void jobs_that_come_while_a_sync_runs_share_the_next_one(void **state)
{
    struct place *p = *state;
    struct row rows[11];
    rows[0] = row(p, 0, "first");
    submit(p, &rows[0]);
    for (int i = 1; i <= 10; i++) {
        rows[i] = row(p, i, "more");
        submit(p, &rows[i]);
    }
    settle(p);
    for (int i = 0; i <= 10; i++)
        assert_int_equal(rows[i].outcome, STORE_KEPT);
    assert_int_equal(store_counters(p->store)->batches, 2);
    assert_int_equal(store_counters(p->store)->jobs, 11);
}

static void a_job_is_undone_alone(void **state)
{
    struct place *p = *state;
    struct row rows[4] = {row(p, 0, "batch of its own"), row(p, 1, "kept"), row(p, 2, "undone"),
                          row(p, 3, "kept")};
    rows[2].undo = true;
    for (int i = 0; i < 4; i++)
        submit(p, &rows[i]);
    settle(p);
    assert_int_equal(rows[1].outcome, STORE_KEPT);
    assert_int_equal(rows[2].outcome, STORE_UNDONE);
    assert_int_equal(rows[3].outcome, STORE_KEPT);
    assert_string_equal(look("node.db", "SELECT group_concat(a) FROM t"), "0,1,3");
    assert_int_equal(store_counters(p->store)->batches, 2);
    assert_int_equal(store_counters(p->store)->undone, 1);
}

static void so_is_a_job_that_is_the_whole_batch(void **state)
{
    struct place *p = *state;
    struct row undone = row(p, 1, "undone"), kept = row(p, 2, "kept");
    undone.undo = true;
    submit(p, &undone);
    settle(p);
    assert_int_equal(undone.outcome, STORE_UNDONE);
    assert_string_equal(look("node.db", "SELECT group_concat(a) FROM t"), "none");
    submit(p, &kept);
    settle(p);
    assert_int_equal(kept.outcome, STORE_KEPT);
    assert_string_equal(look("node.db", "SELECT group_concat(a) FROM t"), "2");
    assert_null(store_failure(p->store));
}

static void a_constraint_refuses_a_statement_and_breaks_nothing(void **state)
{
    struct place *p = *state;
    struct row one = row(p, 1, "one"), again = row(p, 1, "again"), two = row(p, 2, "two");
    submit(p, &one);
    submit(p, &again);
    submit(p, &two);
    settle(p);
    assert_int_equal(again.step, STORE_REFUSED);
    assert_int_equal(again.outcome, STORE_UNDONE);
    assert_int_equal(two.outcome, STORE_KEPT);
    assert_null(store_failure(p->store));
}

static void a_thread_that_may_block_runs_a_job_at_once(void **state)
{
    struct place *p = *state;
    struct row one = row(p, 1, "one"), two = row(p, 2, "two");
    two.undo = true;
    assert_int_equal(store_run(p->store, &one.job), STORE_KEPT);
    assert_int_equal(store_run(p->store, &two.job), STORE_UNDONE);
    assert_int_equal(one.dones + two.dones, 0);
    assert_string_equal(look("node.db", "SELECT group_concat(a) FROM t"), "1");
}

/* ---- Limits ---- */

static void too_many_jobs_are_refused_and_counted(void **state)
{
    struct place *p = *state;
    struct row *rows = calloc(STORE_QUEUE_MAX + 2, sizeof(*rows));
    assert_non_null(rows);
    /* The first is in a batch at once; so many others wait. */
    for (int i = 0; i <= STORE_QUEUE_MAX; i++) {
        rows[i] = row(p, i, "x");
        submit(p, &rows[i]);
    }
    errno = 0;
    rows[STORE_QUEUE_MAX + 1] = row(p, -1, "too much");
    assert_int_equal(store_submit(p->store, &rows[STORE_QUEUE_MAX + 1].job), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(store_counters(p->store)->full, 1);
    settle(p);
    assert_int_equal(store_counters(p->store)->jobs, STORE_QUEUE_MAX + 1);
    assert_int_equal(store_counters(p->store)->batches, 1 + STORE_QUEUE_MAX / STORE_BATCH_MAX);
    assert_int_equal(rows[STORE_QUEUE_MAX + 1].dones, 0);
    free(rows);
}

static void idle_run(struct strait_work *work)
{
    (void)work;
}

static void a_batch_waits_for_an_executor_that_has_too_much_to_do(void **state)
{
    struct place *p = *state;
    struct strait_work *works = calloc(2000, sizeof(*works));
    assert_non_null(works);
    int taken = 0;
    do {
        works[taken] = (struct strait_work){.run = idle_run, .done = idle_run};
    } while (p->env->execute(p->env, &works[taken]) == 0 && ++taken < 2000);
    assert_true(taken < 2000);
    struct row one = row(p, 1, "one"), two = row(p, 2, "two");
    submit(p, &one);
    submit(p, &two);
    settle(p);
    assert_int_equal(one.outcome, STORE_KEPT);
    assert_int_equal(two.outcome, STORE_KEPT);
    assert_true(store_counters(p->store)->delayed >= 1);
    free(works);
}

/* ---- Failure is final ---- */

static void failure_ends_it_all(struct place *p, const struct disk_faults *faults)
{
    struct row one = row(p, 1, "one"), two = row(p, 2, "two"), late = row(p, 3, "late");
    struct row large = row(p, 4, NULL);
    char text[WAL_VFS_GROWTH + 1]; /* more than the log has room for */
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = 0;
    large.b = text;
    disk_set_faults(world_disk(p->host), faults);
    submit(p, &large);
    submit(p, &one);
    submit(p, &two);
    settle(p);
    disk_set_faults(world_disk(p->host), &(struct disk_faults){0});
    assert_int_equal(large.outcome, STORE_FAILED);
    assert_int_equal(one.outcome, STORE_FAILED);
    assert_int_equal(two.outcome, STORE_FAILED);
    assert_int_equal(large.dones + one.dones + two.dones, 3);
    assert_int_equal(p->failures, 1);
    assert_non_null(strstr(p->message, "node.db: "));
    assert_string_equal(store_failure(p->store), p->message);
    errno = 0;
    assert_int_equal(store_submit(p->store, &late.job), -1);
    assert_int_equal(errno, EIO);
    assert_int_equal(store_run(p->store, &late.job), STORE_FAILED);
    assert_int_equal(store_counters(p->store)->failed, 3);

    reopen_store(p);
    assert_string_equal(look("node.db", "PRAGMA integrity_check"), "ok");
    assert_string_equal(look("node.db", "SELECT count(*) FROM t WHERE a = 2"), "0");
}

static void a_failed_sync_is_final(void **state)
{
    failure_ends_it_all(*state, &(struct disk_faults){.sync_error = ALWAYS});
}

static void a_failed_write_is_final(void **state)
{
    failure_ends_it_all(*state, &(struct disk_faults){.write_error = ALWAYS});
}

static void a_full_disk_is_final(void **state)
{
    failure_ends_it_all(*state, &(struct disk_faults){.capacity_bytes = 1});
}

static bool damage_run(struct store_job *job, struct store *store)
{
    (void)job;
    sqlite3_stmt *get = store_prepare(store, "SELECT sum IS row_sum('t', a, b) FROM t");
    assert_int_equal(store_step(store, get), STORE_ROW);
    if (!sqlite3_column_int(get, 0))
        store_damaged(store, "t");
    sqlite3_reset(get);
    return true;
}

static void a_damaged_row_is_noticed_by_its_sum_and_final(void **state)
{
    struct place *p = *state;
    struct row one = row(p, 1, "one");
    struct store_job check = {.run = damage_run};
    assert_int_equal(store_run(p->store, &one.job), STORE_KEPT);
    assert_int_equal(store_run(p->store, &check), STORE_KEPT);
    look("node.db", "UPDATE t SET b = 'onf'");
    assert_int_equal(store_run(p->store, &check), STORE_FAILED);
    assert_string_equal(store_failure(p->store), "node.db: a row of t is damaged");
}

/* ---- Whose it is ---- */

/* The store cannot be opened as the place is configured now, and is not changed by that. */
static void assert_refused(struct place *p, const char *message)
{
    char error[STORE_MESSAGE_BYTES] = "";
    uint64_t hash = disk_hash(world_disk(p->host));
    assert_null(store_open(p->env, &p->config, error));
    assert_non_null(strstr(error, message));
    assert_ptr_equal(strstr(error, p->config.path), error);
    assert_true(hash == disk_hash(world_disk(p->host)));
}

static void a_store_of_another_owner_version_or_program_is_refused(void **state)
{
    struct place *p = *state;
    const struct store_config right = p->config;
    store_free(p->store);
    p->config.owner = "node 2";
    assert_refused(p, "it belongs to node 1, and not to node 2");
    p->config = right;
    p->config.version = 2;
    assert_refused(p, "this program knows version 2 of it, and it has 3");
    p->config = right;
    p->config.application++;
    assert_refused(p, "it is no store of this program");
    p->config = right;
    open_store(p);
}

static void what_is_no_store_is_refused(void **state)
{
    struct place *p = *state;
    struct disk *disk = world_disk(p->host);
    store_free(p->store);
    int file = disk_open(disk, "text", O_RDWR | O_CREAT);
    char text[2000];
    memset(text, 'x', sizeof(text));
    assert_int_equal(disk_write(disk, file, text, sizeof(text), 0), sizeof(text));
    disk_close(disk, file);
    p->config.path = "text";
    assert_refused(p, "it is no database");

    sqlite3 *db;
    assert_int_equal(sqlite3_open("other.db", &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE theirs(x)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    p->config.path = "other.db";
    assert_refused(p, "it is no store of this program");

    p->config.path = "node.db";
    look("node.db", "UPDATE store SET owner = 'node 7'");
    assert_refused(p, "the row of its owner is damaged");
    look("node.db", "UPDATE store SET owner = 'node 1'");
    open_store(p);
}

static void truncate_to(struct place *p, const char *path, uint64_t size)
{
    int file = disk_open(world_disk(p->host), path, O_RDWR);
    assert_true(file >= 0);
    assert_int_equal(disk_truncate(world_disk(p->host), file, size), 0);
    disk_close(world_disk(p->host), file);
}

static void a_store_that_is_cut_short_is_refused(void **state)
{
    struct place *p = *state;
    store_free(p->store);
    p->store = NULL;
    truncate_to(p, "node.db", 4096);
    assert_refused(p, "it is a database that is damaged, or cut short");
    truncate_to(p, "node.db", 50);
    assert_refused(p, "it is a database that is damaged, or cut short");
}

static void the_name_of_an_owner_may_be_anything(void **state)
{
    struct place *p = *state;
    store_free(p->store);
    p->config.path = "quoted.db";
    p->config.owner = "O'Brien; DROP TABLE t; --";
    open_store(p);
    reopen_store(p);
}

/* ---- Checksums ---- */

static void sums_tell_rows_apart(void **state)
{
    struct place *p = *state;
    static const char *const rows[] = {"",         "NULL", "''",       "x''",     "0",   "'0'",
                                       "0.0",      "1",    "-1",       "256",     "'a'", "'b'",
                                       "'a', 'b'", "'ab'", "'', 'ab'", "'ab', ''"};
    const size_t count = sizeof(rows) / sizeof(rows[0]);
    int64_t sums[sizeof(rows) / sizeof(rows[0])];
    for (size_t i = 0; i < count; i++) {
        char sql[64];
        snprintf(sql, sizeof(sql), "SELECT row_sum(%s)", rows[i]);
        sqlite3_stmt *statement = store_prepare(p->store, sql);
        assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
        sums[i] = sqlite3_column_int64(statement, 0);
        sqlite3_finalize(statement);
        for (size_t j = 0; j < i; j++)
            assert_true(sums[i] != sums[j]);
    }
    assert_true((uint64_t)sums[0] == STORE_SUM);
}

static void a_sum_is_the_same_in_sql_and_in_c(void **state)
{
    struct place *p = *state;
    static const char sql[] = "SELECT row_sum('t', -7, NULL, x'00112233445566778899', x'')";
    sqlite3_stmt *statement = store_prepare(p->store, sql);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    uint64_t sum = store_sum_number(store_sum_text(STORE_SUM, "t"), -7);
    sum = store_sum_bytes(store_sum_null(sum), "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99", 10);
    sum = store_sum_bytes(sum, "", 0);
    assert_true((uint64_t)sqlite3_column_int64(statement, 0) == sum);
    sqlite3_finalize(statement);
}

static void a_changed_bit_of_a_row_changes_its_sum(void **state)
{
    uint8_t bytes[19] = {0};
    (void)state;
    uint64_t sum = store_sum_bytes(STORE_SUM, bytes, sizeof(bytes));
    for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(store_sum_bytes(STORE_SUM, bytes, sizeof(bytes)) != sum);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* ---- On real files ---- */

static void the_same_store_stands_on_real_files_and_threads(void **state)
{
    (void)state;
    char directory[] = "/tmp/strait-store-XXXXXX", path[64], command[64];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/node.db", directory);
    struct place p = {.config = {.path = path,
                                 .application = APPLICATION,
                                 .version = 1,
                                 .owner = "me",
                                 .schema = schema}};
    struct strait_loop *loop = strait_loop_new();
    assert_non_null(loop);
    p.env = strait_loop_env(loop);
    open_store(&p);
    struct row rows[100];
    for (int i = 0; i < 100; i++) {
        rows[i] = row(&p, i, "x");
        submit(&p, &rows[i]);
    }
    while (!store_is_idle(p.store))
        strait_loop_turn(loop, STRAIT_NEVER);
    for (int i = 0; i < 100; i++)
        assert_int_equal(rows[i].outcome, STORE_KEPT);
    assert_string_equal(look(path, "SELECT count(*) FROM t"), "100");

    /* The loop finishes what it has taken, and so the store is at rest. */
    struct row last = row(&p, 100, "last");
    submit(&p, &last);
    strait_loop_free(loop);
    assert_int_equal(last.outcome, STORE_KEPT);
    store_free(p.store);
    snprintf(command, sizeof(command), "rm -r %s", directory);
    assert_int_equal(system(command), 0);
}

int main(void)
{
#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORE_TEST(what_is_kept_survives_and_can_be_looked_at_meanwhile),
        STORE_TEST(jobs_that_come_while_a_sync_runs_share_the_next_one),
        STORE_TEST(a_job_is_undone_alone),
        STORE_TEST(so_is_a_job_that_is_the_whole_batch),
        STORE_TEST(a_constraint_refuses_a_statement_and_breaks_nothing),
        STORE_TEST(a_thread_that_may_block_runs_a_job_at_once),
        STORE_TEST(too_many_jobs_are_refused_and_counted),
        STORE_TEST(a_batch_waits_for_an_executor_that_has_too_much_to_do),
        STORE_TEST(a_failed_sync_is_final),
        STORE_TEST(a_failed_write_is_final),
        STORE_TEST(a_full_disk_is_final),
        STORE_TEST(a_damaged_row_is_noticed_by_its_sum_and_final),
        STORE_TEST(a_store_of_another_owner_version_or_program_is_refused),
        STORE_TEST(what_is_no_store_is_refused),
        STORE_TEST(a_store_that_is_cut_short_is_refused),
        STORE_TEST(the_name_of_an_owner_may_be_anything),
        STORE_TEST(sums_tell_rows_apart),
        STORE_TEST(a_sum_is_the_same_in_sql_and_in_c),
        cmocka_unit_test(a_changed_bit_of_a_row_changes_its_sum),
        cmocka_unit_test(the_same_store_stands_on_real_files_and_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
