/* SPDX-License-Identifier: MIT */
/*
 * A store whose host crashes at each change of its disk: in the making of the tables, in commits,
 * in checkpoints, and in the recovery from a crash before. Each job puts one row into two tables; a
 * row is many pages long, so that the log of one commit has many writes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "crash.h"
#include "store.h"

#define S         UINT64_C(1000000000)
#define JOBS      12
#define SEEDS     4
#define ROW_BYTES 9000

static const char *const schema[] = {
    "CREATE TABLE a(k INTEGER PRIMARY KEY, text BLOB, sum INTEGER)",
    "CREATE TABLE b(k INTEGER PRIMARY KEY, text BLOB, sum INTEGER)", NULL};

struct app {
    struct strait_env *env;
    struct strait_work opening; /* so that it takes time */
    struct store *store;
    char error[STORE_MESSAGE_BYTES];
    sqlite3_stmt *put_a, *put_b;
    struct row {
        struct store_job job;
        struct app *app;
        int k;
    } rows[JOBS];

    int found;           /* rows, when this life began; see count_rows */
    int submitted, kept; /* of all lives */
};

static bool put(struct store *s, sqlite3_stmt *statement, int k)
{
    sqlite3_bind_int(statement, 1, k);
    sqlite3_bind_int(statement, 2, ROW_BYTES);
    return store_step(s, statement) == STORE_DONE;
}

static bool row_run(struct store_job *job, struct store *s)
{
    const struct row *r = (struct row *)job;
    return put(s, r->app->put_a, r->k) && put(s, r->app->put_b, r->k);
}

static void row_submit(struct app *a, int k)
{
    if (k >= JOBS)
        return;
    a->submitted = k + 1;
    assert_int_equal(store_submit(a->store, &a->rows[k].job), 0);
}

static void row_done(struct store_job *job, enum store_outcome outcome)
{
    struct row *r = (struct row *)job;
    if (outcome != STORE_KEPT)
        return;
    r->app->kept = r->k + 1;
    row_submit(r->app, r->k + 1);
}

static void opening_run(struct strait_work *work)
{
    struct app *a = (struct app *)((char *)work - offsetof(struct app, opening));
    const struct store_config config = {.path = "node.db",
                                        .application = 1,
                                        .version = 1,
                                        .owner = "node",
                                        .schema = schema,
                                        .checkpoint_pages = 10};
    a->store = store_open(a->env, &config, a->error);
}

#define TORN (-1)

/* How many rows there are, if they are whole, the same in both tables, and none is left out. */
static int count_rows(struct app *a)
{
    static const char sql[] =
        "SELECT count(*), coalesce(max(k) + 1, 0), total(sum IS row_sum('a', k, text)),"
        "(SELECT group_concat(k || sum) FROM a) IS (SELECT group_concat(k || sum) FROM b), "
        "(SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok') FROM a";
    sqlite3_stmt *statement = store_prepare(a->store, sql);
    bool is_whole = statement && sqlite3_step(statement) == SQLITE_ROW;
    int count = is_whole ? sqlite3_column_int(statement, 0) : TORN;
    for (int column = 1; is_whole && column < 3; column++)
        is_whole = sqlite3_column_int(statement, column) == count;
    for (int column = 3; is_whole && column < 5; column++)
        is_whole = sqlite3_column_int(statement, column) == 1;
    sqlite3_finalize(statement);
    return is_whole ? count : TORN;
}

static void opening_done(struct strait_work *work)
{
    struct app *a = (struct app *)((char *)work - offsetof(struct app, opening));
    if (!a->store)
        return;
    static const char put_a[] = "INSERT INTO a SELECT ?1, zeroblob(?2), "
                                "row_sum('a', ?1, zeroblob(?2))";
    static const char put_b[] = "INSERT INTO b SELECT k, text, sum FROM a WHERE k = ?1 AND ?2";
    a->put_a = store_prepare(a->store, put_a);
    a->put_b = store_prepare(a->store, put_b);
    for (int k = 0; k < JOBS; k++)
        a->rows[k] = (struct row){.job = {.run = row_run, .done = row_done}, .app = a, .k = k};
    a->found = a->put_a && a->put_b ? count_rows(a) : TORN;
    if (a->found != TORN)
        row_submit(a, a->found);
}

static void app_start(void *app, struct strait *stack, struct strait_env *env)
{
    struct app *a = app;
    (void)stack;
    a->env = env;
    a->opening = (struct strait_work){.run = opening_run, .done = opening_done};
    assert_int_equal(env->execute(env, &a->opening), 0);
}

static void app_crash(void *app)
{
    struct app *a = app;
    store_free(a->store);
    a->store = NULL;
}

static bool app_finished(void *app)
{
    return ((struct app *)app)->kept == JOBS;
}

/* What the last life has found, in how many scenarios. */
struct findings {
    int scenarios;
    int unopened; /* there is no store, or a damaged one */
    int torn;
    int lost;     /* rows that were told to be kept */
    int invented; /* rows that nobody has put */
    int stuck;    /* a store that does not go on */
};

static void find(struct app *a, int submitted, int kept, struct findings *sum)
{
    sum->scenarios++;
    if (!a->store) {
        sum->unopened++;
        return;
    }
    sum->torn += a->found == TORN;
    sum->lost += a->found != TORN && a->found < kept;
    sum->invented += a->found > submitted;
    sum->stuck += count_rows(a) != JOBS;
}

/*
 * Lets the host crash after some changes, and again after some more in its second life, and adds
 * what its third finds. Returns whether the work was finished before the first crash.
 */
static bool crash_at(uint64_t seed, const struct disk_faults *faults, uint64_t first,
                     uint64_t second, struct findings *sum)
{
    struct app app = {0};
    struct world *w = world_new(seed);
    struct world_host *h =
        world_add_host(w, "h", NULL, &(struct world_app){app_start, app_crash, &app});
    disk_set_faults(world_disk(h), faults);
    bool finished = !crash_run_to(w, h, first, app_finished, &app);
    world_crash(h);
    world_restart(h);
    crash_run_to(w, h, second, app_finished, &app);
    world_crash(h);
    int submitted = app.submitted, kept = app.kept;
    world_restart(h);
    world_run(w, world_now(w) + S);
    find(&app, submitted, kept, sum);
    world_free(w);
    return finished;
}

static struct findings crash_everywhere(const struct disk_faults *faults)
{
    struct findings sum = {0};
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        for (uint64_t first = 1; !crash_at(seed, faults, first, first * 7 % 31, &sum);)
            first++;
    return sum;
}

static void assert_sound(const struct disk_faults *faults)
{
    struct findings sum = crash_everywhere(faults);
    print_message("%d crashes\n", sum.scenarios);
    assert_true(sum.scenarios > 100 * SEEDS);
    assert_int_equal(sum.unopened, 0);
    assert_int_equal(sum.torn, 0);
    assert_int_equal(sum.lost, 0);
    assert_int_equal(sum.invented, 0);
    assert_int_equal(sum.stuck, 0);
}

static void a_crash_at_any_change_keeps_what_was_told_and_tears_nothing(void **state)
{
    (void)state;
    assert_sound(&(struct disk_faults){0});
}

static void also_if_unsynced_writes_are_torn(void **state)
{
    (void)state;
    assert_sound(&(struct disk_faults){.torn = true});
}

static void also_if_unsynced_writes_are_torn_and_reordered(void **state)
{
    (void)state;
    assert_sound(&(struct disk_faults){.torn = true, .reordered = true});
}

/* The test of the test: without syncs the same crashes lose what was told, and tear the rest. */
static void a_disk_that_lies_about_its_syncs_is_caught(void **state)
{
    (void)state;
    struct findings sum =
        crash_everywhere(&(struct disk_faults){.sync_lies = true, .torn = true, .reordered = true});
    print_message("%d crashes: %d unopened, %d torn, %d lost\n", sum.scenarios, sum.unopened,
                  sum.torn, sum.lost);
    assert_true(sum.lost > 0);
    assert_true(sum.unopened + sum.torn > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_at_any_change_keeps_what_was_told_and_tears_nothing),
        cmocka_unit_test(also_if_unsynced_writes_are_torn),
        cmocka_unit_test(also_if_unsynced_writes_are_torn_and_reordered),
        cmocka_unit_test(a_disk_that_lies_about_its_syncs_is_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
