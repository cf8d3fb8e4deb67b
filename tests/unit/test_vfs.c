/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/world.h"

#define S UINT64_C(1000000000)

static sqlite3 *open_database(const char *path)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    return db;
}

static int run(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* The first column of the first row, or "none"; valid until the next call. */
static const char *ask(sqlite3 *db, const char *sql)
{
    static char answer[256];
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    int result = sqlite3_step(statement);
    const unsigned char *text = result == SQLITE_ROW ? sqlite3_column_text(statement, 0) : NULL;
    snprintf(answer, sizeof(answer), "%s", text ? (const char *)text : "none");
    sqlite3_finalize(statement);
    return answer;
}

#define assert_ok(call) assert_int_equal(call, SQLITE_OK)

static sqlite3 *open_wal(const char *path)
{
    sqlite3 *db = open_database(path);
    assert_string_equal(ask(db, "PRAGMA journal_mode=WAL"), "wal");
    assert_ok(run(db, "PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY"));
    return db;
}

/* ---- A world with one host ---- */

struct place {
    struct world *world;
    struct world_host *host;
};

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    p->world = world_new(1);
    p->host = world_add_host(p->world, "h", NULL, NULL);
    world_act_as(p->host);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    world_free(p->world);
    free(p);
    return 0;
}

/* ---- Files ---- */

static void a_database_is_kept_on_the_disk_of_the_host_that_acts(void **state)
{
    struct place *p = *state;
    struct world_host *other = world_add_host(p->world, "other", NULL, NULL);
    sqlite3 *db = open_database("a.db");
    assert_ok(run(db, "CREATE TABLE t(x); INSERT INTO t VALUES('here')"));
    assert_ok(sqlite3_close(db));

    world_act_as(other);
    db = open_database("a.db");
    assert_string_equal(ask(db, "SELECT count(*) FROM sqlite_master"), "0");
    assert_ok(run(db, "CREATE TABLE t(x); INSERT INTO t VALUES('there')"));
    assert_ok(sqlite3_close(db));

    world_act_as(p->host);
    db = open_database("a.db");
    assert_string_equal(ask(db, "SELECT x FROM t"), "here");
    assert_string_equal(ask(db, "PRAGMA integrity_check"), "ok");
    assert_ok(sqlite3_close(db));
    assert_int_equal(disk_open(world_disk(p->host), "a.db-journal", 0), -1);
}

static void what_is_not_there_or_temporary_is_not_opened(void **state)
{
    (void)state;
    sqlite3 *db;
    assert_int_equal(sqlite3_open_v2("a.db", &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_CANTOPEN);
    assert_ok(sqlite3_close(db));
    db = open_database("");
    assert_int_not_equal(run(db, "PRAGMA temp_store=FILE; PRAGMA cache_size=1;"
                                 "CREATE TABLE t(x); WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL "
                                 "SELECT i + 1 FROM n WHERE i < 1000) "
                                 "INSERT INTO t SELECT randomblob(1000) FROM n"),
                         SQLITE_OK);
    assert_ok(sqlite3_close(db));
}

static void a_large_transaction_and_vacuum_pass_through_journal_and_log(void **state)
{
    (void)state;
    static const char *const modes[] = {"DELETE", "TRUNCATE", "PERSIST", "WAL"};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        char sql[64];
        sqlite3 *db = open_database(modes[i]);
        snprintf(sql, sizeof(sql), "PRAGMA temp_store=MEMORY; PRAGMA journal_mode=%s", modes[i]);
        assert_ok(run(db, sql));
        assert_ok(run(db, "PRAGMA cache_size=20; CREATE TABLE t(x);"
                          "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n "
                          "WHERE i < 5000) INSERT INTO t SELECT randomblob(2000) FROM n"));
        assert_ok(run(db, "BEGIN; DELETE FROM t WHERE rowid % 2; ROLLBACK"));
        assert_ok(run(db, "DELETE FROM t WHERE rowid % 5; VACUUM"));
        assert_string_equal(ask(db, "SELECT count(*) FROM t"), "1000");
        assert_string_equal(ask(db, "PRAGMA integrity_check"), "ok");
        assert_ok(sqlite3_close(db));
    }
}

/* ---- Locks ---- */

static void writers_exclude_each_other_and_readers_see_the_last_commit(void **state)
{
    (void)state;
    sqlite3 *a = open_wal("a.db"), *b = open_database("a.db");
    assert_ok(run(a, "CREATE TABLE t(x); BEGIN IMMEDIATE; INSERT INTO t VALUES(1)"));
    assert_string_equal(ask(b, "SELECT count(*) FROM t"), "0");
    assert_int_equal(run(b, "BEGIN IMMEDIATE"), SQLITE_BUSY);
    assert_ok(run(a, "COMMIT"));
    assert_string_equal(ask(b, "SELECT count(*) FROM t"), "1");
    assert_ok(run(b, "BEGIN; SELECT * FROM t"));
    assert_ok(run(a, "INSERT INTO t VALUES(2)"));
    assert_string_equal(ask(b, "SELECT count(*) FROM t"), "1");
    assert_string_equal(ask(a, "PRAGMA wal_checkpoint(TRUNCATE)"), "1"); /* busy: b reads */
    assert_ok(run(b, "COMMIT"));
    assert_string_equal(ask(b, "SELECT count(*) FROM t"), "2");
    assert_string_equal(ask(a, "PRAGMA wal_checkpoint(TRUNCATE)"), "0");
    assert_ok(sqlite3_close(a));
    assert_string_equal(ask(b, "SELECT count(*) FROM t"), "2");
    assert_ok(sqlite3_close(b));
}

static void without_a_log_a_reader_keeps_the_writer_from_committing(void **state)
{
    (void)state;
    sqlite3 *a = open_database("a.db"), *b = open_database("a.db");
    assert_ok(run(a, "CREATE TABLE t(x); INSERT INTO t VALUES(1)"));
    assert_ok(run(b, "BEGIN"));
    assert_string_equal(ask(b, "SELECT count(*) FROM t"), "1");
    assert_ok(run(a, "BEGIN; INSERT INTO t VALUES(2)"));
    assert_int_equal(run(a, "COMMIT"), SQLITE_BUSY);
    assert_int_equal(run(b, "INSERT INTO t VALUES(3)"), SQLITE_BUSY);
    sqlite3 *c = open_database("a.db");
    assert_int_equal(run(c, "SELECT * FROM t"), SQLITE_BUSY); /* a waits: no new readers */
    assert_ok(run(b, "COMMIT"));
    assert_ok(run(a, "COMMIT"));
    assert_string_equal(ask(c, "SELECT count(*) FROM t"), "2");
    assert_ok(sqlite3_close(a) | sqlite3_close(b) | sqlite3_close(c));
}

/* ---- Crashes ---- */

static void a_crash_keeps_commits_and_loses_the_transaction_that_was_open(void **state)
{
    struct place *p = *state;
    disk_set_faults(world_disk(p->host), &(struct disk_faults){.torn = true, .reordered = true});
    for (int life = 0; life < 30; life++) {
        char expected[16];
        snprintf(expected, sizeof(expected), "%d", life);
        sqlite3 *db = open_wal("a.db");
        assert_ok(run(db, "CREATE TABLE IF NOT EXISTS t(x)"));
        assert_string_equal(ask(db, "SELECT count(*) FROM t"), expected);
        assert_string_equal(ask(db, "PRAGMA integrity_check"), "ok");
        assert_ok(run(db, "INSERT INTO t VALUES(randomblob(5000))"));
        assert_ok(run(db, "PRAGMA cache_size=2; BEGIN;"
                          "INSERT INTO t VALUES(randomblob(90000)), (1), (2)"));
        world_crash(p->host);
        /* What the dead host still wants of its files is refused, and does no harm. */
        assert_int_not_equal(run(db, "COMMIT"), SQLITE_OK);
        assert_ok(sqlite3_close(db));
        world_restart(p->host);
    }
}

static void a_connection_of_an_old_life_writes_nothing_into_the_new_one(void **state)
{
    struct place *p = *state;
    sqlite3 *old = open_wal("a.db");
    assert_ok(run(old, "CREATE TABLE t(x); INSERT INTO t VALUES(1)"));
    world_crash(p->host);
    world_restart(p->host);
    sqlite3 *db = open_wal("a.db");
    assert_ok(run(db, "INSERT INTO t VALUES(2)"));
    assert_int_not_equal(run(old, "INSERT INTO t VALUES(3)"), SQLITE_OK);
    assert_ok(sqlite3_close(old));
    assert_string_equal(ask(db, "SELECT group_concat(x) FROM t"), "1,2");
    assert_ok(sqlite3_close(db));
}

/* ---- Faults ---- */

static void a_full_disk_and_failing_writes_and_syncs_are_told(void **state)
{
    struct place *p = *state;
    struct disk *disk = world_disk(p->host);
    sqlite3 *db = open_wal("a.db");
    assert_ok(run(db, "CREATE TABLE t(x)"));
    disk_set_faults(disk, &(struct disk_faults){.capacity_bytes = 60000});
    assert_int_equal(run(db, "INSERT INTO t VALUES(randomblob(90000))"), SQLITE_FULL);
    disk_set_faults(disk, &(struct disk_faults){.write_error = 1000000});
    assert_int_equal(run(db, "INSERT INTO t VALUES(1)"), SQLITE_IOERR);
    assert_int_equal(sqlite3_extended_errcode(db), SQLITE_IOERR_WRITE);
    disk_set_faults(disk, &(struct disk_faults){.sync_error = 1000000});
    assert_int_equal(run(db, "INSERT INTO t VALUES(1)"), SQLITE_IOERR);
    assert_int_equal(sqlite3_extended_errcode(db), SQLITE_IOERR_FSYNC);
    disk_set_faults(disk, &(struct disk_faults){.read_error = 1000000});
    sqlite3 *other;
    assert_int_equal(sqlite3_open("a.db", &other), SQLITE_IOERR);
    disk_set_faults(disk, &(struct disk_faults){0});
    assert_ok(sqlite3_close(other));
    assert_ok(sqlite3_close(db));
}

/* ---- Determinism, and nothing that leaks ---- */

static uint64_t busy_world(uint64_t seed, char random[33])
{
    struct world *w = world_new(seed);
    struct world_host *h = world_add_host(w, "h", NULL, NULL);
    disk_set_faults(world_disk(h), &(struct disk_faults){.torn = true, .reordered = true});
    for (int life = 0; life < 3; life++) {
        world_act_as(h);
        sqlite3 *db = open_wal("a.db");
        assert_ok(run(db, "CREATE TABLE IF NOT EXISTS t(x, y);"
                          "INSERT INTO t VALUES(randomblob(3000), julianday('now'))"));
        snprintf(random, 33, "%s", ask(db, "SELECT hex(randomblob(16))"));
        world_run(w, world_now(w) + S);
        world_crash(h);
        assert_ok(sqlite3_close(db));
        world_restart(h);
    }
    uint64_t hash = world_hash(w) ^ disk_hash(world_disk(h));
    world_free(w);
    return hash;
}

static void the_same_seed_gives_the_same_databases_bit_for_bit(void **state)
{
    (void)state;
    char first[33], second[33], other[33];
    uint64_t hash = busy_world(7, first);
    sqlite3_randomness(1, other); /* which the next world does not notice */
    assert_true(hash == busy_world(7, second));
    assert_string_equal(first, second);
    assert_true(hash != busy_world(8, other));
    assert_string_not_equal(first, other);
}

static void time_is_the_worlds(void **state)
{
    struct place *p = *state;
    sqlite3 *db = open_database("a.db");
    world_run(p->world, 86400 * S + S / 2);
    assert_string_equal(ask(db, "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')"),
                        "1970-01-02 00:00:00.500");
    assert_ok(sqlite3_close(db));
}

static void after_the_world_sqlite_is_as_it_was_before(void **state)
{
    (void)state;
    const sqlite3_vfs *before = sqlite3_vfs_find(NULL);
    struct world *w = world_new(1);
    assert_string_equal(sqlite3_vfs_find(NULL)->zName, "strait-world");
    sqlite3 *db;
    /* Nobody acts: there is no disk to look for it. */
    assert_int_equal(sqlite3_open("a.db", &db), SQLITE_CANTOPEN);
    assert_ok(sqlite3_close(db));
    world_free(w);
    assert_ptr_equal(sqlite3_vfs_find(NULL), before);
    assert_null(sqlite3_vfs_find("strait-world"));
}

int main(void)
{
#define VFS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        VFS_TEST(a_database_is_kept_on_the_disk_of_the_host_that_acts),
        VFS_TEST(what_is_not_there_or_temporary_is_not_opened),
        VFS_TEST(a_large_transaction_and_vacuum_pass_through_journal_and_log),
        VFS_TEST(writers_exclude_each_other_and_readers_see_the_last_commit),
        VFS_TEST(without_a_log_a_reader_keeps_the_writer_from_committing),
        VFS_TEST(a_crash_keeps_commits_and_loses_the_transaction_that_was_open),
        VFS_TEST(a_connection_of_an_old_life_writes_nothing_into_the_new_one),
        VFS_TEST(a_full_disk_and_failing_writes_and_syncs_are_told),
        cmocka_unit_test(the_same_seed_gives_the_same_databases_bit_for_bit),
        VFS_TEST(time_is_the_worlds),
        cmocka_unit_test(after_the_world_sqlite_is_as_it_was_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
