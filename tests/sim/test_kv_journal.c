/* SPDX-License-Identifier: MIT */
/*
 * A journal whose host crashes at each change of its disk. It writes the rows of a script, a few at
 * a time, and each life goes on where the one before has left off. What a life finds in the tables
 * is compared with what the first n rows of the script make of them: it has to be that of some n,
 * not below what was told to be durable.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash.h"
#include "kv/journal.h"

#define S           UINT64_C(1000000000)
#define NODE        1
#define CLIENT      7
#define STEPS       4
#define STEP_ROWS   6
#define ROWS        (1 + STEPS * STEP_ROWS)
#define AHEAD       5 /* rows that are written before the first of them is durable */
#define VALUE_BYTES 5000
#define SEEDS       2
#define STATE_BYTES 1000

/* ---- The script: a START, then one transaction after the other, through both machines ---- */

static const enum kv_row_kind kinds[STEP_ROWS] = {KV_COORDINATOR_PREPARE, KV_WORKER_PREPARE,
                                                  KV_COORDINATOR_COMMIT,  KV_WORKER_COMMIT,
                                                  KV_COORDINATOR_END,     KV_WORKER_MARK};

static enum kv_row_kind kind_of(int i)
{
    return i == 0 ? KV_COORDINATOR_START : kinds[(i - 1) % STEP_ROWS];
}

/* The transaction, from 1 on. */
static uint64_t step_of(int i)
{
    return i == 0 ? 1 : (uint64_t)(i - 1) / STEP_ROWS + 1;
}

static bool is_forced(int i)
{
    return kind_of(i) != KV_COORDINATOR_END && kind_of(i) != KV_WORKER_MARK;
}

static struct kv_operation put_key(const char *key, uint64_t step)
{
    uint8_t value[VALUE_BYTES];
    memset(value, (int)step, sizeof(value));
    return (struct kv_operation){.kind = KV_PUT,
                                 .key = kv_blob_new(key, strlen(key)),
                                 .value = kv_blob_new(value, sizeof(value)),
                                 .replicas = NODE};
}

static struct kv_request *request_of(uint64_t step)
{
    struct kv_request *r = kv_request_new(2);
    assert_non_null(r);
    r->client = CLIENT;
    r->sequence = step;
    r->retired = step - 1;
    r->epoch = 1;
    r->participants = NODE;
    r->operations[0] = put_key("a", step);
    r->operations[1] = put_key(step % 2 ? "b" : "c", step);
    return r;
}

static struct kv_results *results_of(uint64_t step)
{
    struct kv_results *r = kv_results_new(2);
    assert_non_null(r);
    for (int i = 0; i < 2; i++)
        r->list[i] = (struct kv_result){.found = true, .version = step};
    return r;
}

/* ---- What the first n rows leave ---- */

__attribute__((format(printf, 2, 3))) static void add(char *state, const char *format, ...)
{
    size_t length = strlen(state);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(state + length, STATE_BYTES - length, format, arguments);
    va_end(arguments);
}

static bool has(int n, enum kv_row_kind kind, int step)
{
    for (int i = 0; i < n; i++)
        if (kind_of(i) == kind && step_of(i) == (uint64_t)step)
            return true;
    return false;
}

/* The last transaction that has got so far; 0: none. */
static int last(int n, enum kv_row_kind kind)
{
    int step = STEPS;
    while (step > 0 && !has(n, kind, step))
        step--;
    return step;
}

static void expect(int n, char state[STATE_BYTES])
{
    int committed = last(n, KV_WORKER_COMMIT), ended = last(n, KV_COORDINATOR_END);
    int marked = last(n, KV_WORKER_MARK);
    state[0] = 0;
    for (int step = 1; step <= STEPS; step++)
        for (int kind = KV_COORDINATOR_PREPARE; kind <= KV_COORDINATOR_END; kind++)
            if (has(n, (enum kv_row_kind)kind, step))
                add(state, "C%d/%d ", step, kind);
    for (int step = marked + 1; step <= STEPS; step++)
        for (int kind = KV_WORKER_PREPARE; kind <= KV_WORKER_ABORT; kind++)
            if (has(n, (enum kv_row_kind)kind, step))
                add(state, "W%d/%d ", step, kind);
    if (n > 0)
        add(state, "mark1=1 ");
    if (ended > 0)
        add(state, "mark5=%d ", ended + 1);
    if (marked > 0)
        add(state, "mark19=%d ", marked + 1);
    int odd = committed - (committed % 2 == 0), even = committed - committed % 2;
    if (committed > 0)
        add(state, "a=%d ", committed);
    if (odd > 0)
        add(state, "b=%d ", odd);
    if (even > 0)
        add(state, "c=%d ", even);
    /* Each retires what is below the one before. */
    for (int step = committed > 1 ? committed - 1 : 1; step <= committed; step++)
        add(state, "once%d ", step);
    if (committed > 0)
        add(state, "client=%d/%d ", committed - 1, committed > 1 ? 2 : 1);
    add(state, "keys=%d ", (committed > 0) + (odd > 0) + (even > 0));
}

/* ---- What is there ---- */

static const char look_sql[] =
    "SELECT iif(kind < 16, 'C', 'W') || sequence || '/' || kind FROM "
    "(SELECT * FROM journal ORDER BY kind >= 16, sequence, kind) "
    "UNION ALL SELECT 'mark' || kind || '=' || sequence FROM (SELECT * FROM mark ORDER BY 1) "
    "UNION ALL SELECT CAST(key AS TEXT) || '=' || iif(hex(substr(value, 5000)) = '0' || version, "
    "version, 'torn') FROM (SELECT * FROM value ORDER BY 1) "
    "UNION ALL SELECT 'once' || sequence FROM (SELECT * FROM once ORDER BY 2) "
    "UNION ALL SELECT 'client=' || retired || '/' || results FROM client "
    "UNION ALL SELECT 'keys=' || keys FROM total";

static void look(char state[STATE_BYTES])
{
    sqlite3 *db;
    sqlite3_stmt *s;
    state[0] = 0;
    assert_int_equal(sqlite3_open("d/" KV_JOURNAL_FILE, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, look_sql, -1, &s, NULL), SQLITE_OK);
    while (sqlite3_step(s) == SQLITE_ROW)
        add(state, "%s ", (const char *)sqlite3_column_text(s, 0));
    sqlite3_finalize(s);
    sqlite3_close(db);
}

/* How many rows of the script have left what is there; TORN: no number has. */
#define TORN (-1)

static int find_prefix(void)
{
    char there[STATE_BYTES], expected[STATE_BYTES];
    look(there);
    for (int n = ROWS; n >= 0; n--) {
        expect(n, expected);
        if (strcmp(there, expected) == 0)
            return n;
    }
    return TORN;
}

/* ---- The application ---- */

struct app {
    struct kv_journal *journal;
    int next;  /* row to be written */
    int found; /* rows, when this life began */
    bool refused;
    int submitted, told; /* of all lives */
};

static void write_next(struct app *a)
{
    int i = a->next++;
    struct kv_row row = {.kind = kind_of(i),
                         .forced = is_forced(i),
                         .txid = {NODE, 1, step_of(i)},
                         .mark = {NODE, 1, step_of(i) + 1},
                         .participants = NODE};
    if (row.kind != KV_COORDINATOR_START)
        row.request = request_of(step_of(i));
    if (row.kind == KV_WORKER_COMMIT)
        row.results = results_of(step_of(i));
    assert_int_equal(kv_journal_write(a->journal, &row), 0);
    kv_request_release(row.request);
    kv_results_release(row.results);
    if (a->submitted < a->next)
        a->submitted = a->next;
}

static void write_ahead(struct app *a, int durable)
{
    while (a->next < ROWS && a->next < durable + AHEAD)
        write_next(a);
}

static void durable(void *context, enum kv_row_kind kind, struct kv_txid id)
{
    struct app *a = context;
    int i = 0;
    while (kind_of(i) != kind || step_of(i) != id.sequence)
        i++;
    if (a->told < i + 1)
        a->told = i + 1;
    write_ahead(a, i + 1);
}

static void failed(void *context, const char *message)
{
    (void)context;
    fail_msg("%s", message);
}

/* Whether machines take the rows. */
static bool load(struct app *a)
{
    const struct coordinator_config coordinator = {
        .id = NODE, .members = 1, .window = 100, .vote_ns = S, .resend_ns = S, .resend_max_ns = S};
    const struct worker_config worker = {.id = NODE,
                                         .epoch = 1,
                                         .records_max = 100,
                                         .locks_max = 100,
                                         .readers_max = 10,
                                         .inquire_ns = S,
                                         .inquire_max_ns = S};
    struct coordinator *c = coordinator_new(&coordinator);
    struct worker *w = worker_new(&worker);
    char error[STORE_MESSAGE_BYTES];
    bool loaded = kv_journal_load(a->journal, c, w, error);
    coordinator_free(c);
    worker_free(w);
    return loaded;
}

static void app_start(void *app, struct strait *stack, struct strait_env *env)
{
    struct app *a = app;
    const struct kv_journal_config config = {.directory = "d",
                                             .cluster = "crash",
                                             .node = NODE,
                                             .checkpoint_pages = 8,
                                             .durable = durable,
                                             .failed = failed,
                                             .context = a};
    char error[STORE_MESSAGE_BYTES];
    (void)stack;
    a->journal = kv_journal_open(env, &config, error);
    a->refused = !a->journal || !load(a);
    if (a->refused)
        return;
    a->found = find_prefix();
    a->next = a->found;
    if (a->found != TORN)
        write_ahead(a, a->found);
}

static void app_crash(void *app)
{
    struct app *a = app;
    kv_journal_free(a->journal);
    a->journal = NULL;
}

static bool app_finished(void *app)
{
    const struct app *a = app;
    return a->next == ROWS && kv_journal_is_idle(a->journal);
}

/* ---- Crashes ---- */

/* What the last life has found, in how many scenarios. */
struct findings {
    int scenarios;
    int refused; /* it cannot be opened or loaded */
    int torn;
    int lost;     /* rows that were told to be durable */
    int invented; /* rows that nobody has written */
    int stuck;    /* a journal that does not go on */
};

static void find(const struct app *a, int submitted, int told, struct findings *sum)
{
    sum->scenarios++;
    if (a->refused) {
        sum->refused++;
        return;
    }
    sum->torn += a->found == TORN;
    sum->lost += a->found != TORN && a->found < told;
    sum->invented += a->found > submitted;
    sum->stuck += find_prefix() != ROWS;
}

/* As in test_store.c: two crashes, and then a life that comes to an end. */
static bool crash_at(uint64_t seed, const struct disk_faults *faults, uint64_t first,
                     uint64_t second, struct findings *sum)
{
    struct app app = {0};
    struct world *w = world_new(seed);
    struct world_host *h =
        world_add_host(w, "h", NULL, &(struct world_app){app_start, app_crash, &app});
    disk_set_faults(world_disk(h), faults);
    world_run(w, world_now(w)); /* the application has started, and its tables are there */
    bool finished = !crash_run_to(w, h, first, app_finished, &app);
    world_crash(h);
    world_restart(h);
    world_run(w, world_now(w));
    if (!app.refused)
        crash_run_to(w, h, second, app_finished, &app);
    world_crash(h);
    int submitted = app.submitted, told = app.told;
    world_restart(h);
    world_run(w, world_now(w) + S);
    find(&app, submitted, told, sum);
    world_free(w);
    return finished;
}

static struct findings crash_everywhere(const struct disk_faults *faults)
{
    struct findings sum = {0};
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        for (uint64_t first = 1; !crash_at(seed, faults, first, first * 7 % 31, &sum);)
            first++;
    print_message("%d scenarios: %d refused, %d torn, %d lost, %d invented, %d stuck\n",
                  sum.scenarios, sum.refused, sum.torn, sum.lost, sum.invented, sum.stuck);
    return sum;
}

static void assert_sound(const struct disk_faults *faults)
{
    struct findings sum = crash_everywhere(faults);
    assert_true(sum.scenarios > 50 * SEEDS);
    assert_int_equal(sum.refused + sum.torn + sum.lost + sum.invented + sum.stuck, 0);
}

static void a_crash_at_any_change_leaves_the_first_rows_and_all_that_were_told(void **state)
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

/* The test of the test. */
static void a_disk_that_lies_about_its_syncs_is_caught(void **state)
{
    (void)state;
    struct findings sum =
        crash_everywhere(&(struct disk_faults){.sync_lies = true, .torn = true, .reordered = true});
    assert_true(sum.lost > 0);
    assert_true(sum.refused + sum.torn > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_at_any_change_leaves_the_first_rows_and_all_that_were_told),
        cmocka_unit_test(also_if_unsynced_writes_are_torn),
        cmocka_unit_test(also_if_unsynced_writes_are_torn_and_reordered),
        cmocka_unit_test(a_disk_that_lies_about_its_syncs_is_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
