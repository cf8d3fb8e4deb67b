/* SPDX-License-Identifier: MIT */
/*
 * A counter whose host crashes at each change of its disk, and a client that asks for each step
 * until it has an answer, in this life or the next. It asks twice each time, and all of a life at
 * once, so that repetitions meet the first attempt in every state.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "crash.h"
#include "rpc/once.h"

#define S      UINT64_C(1000000000)
#define MS_NS  1000000
#define CLIENT 7
#define STEPS  4
#define SEEDS  5

static const char *const schema[] = {ONCE_SCHEMA, "CREATE TABLE counter(value INTEGER)",
                                     "INSERT INTO counter VALUES(0)", NULL};

enum server {
    SOUND,
    FORGETFUL, /* it does the effect and remembers nothing */
    HASTY,     /* it answers when the effect has happened, and not when that is durable */
};

struct app {
    enum server server;
    struct strait_env *env;
    struct store *store;
    struct once *once;
    sqlite3_stmt *step;

    struct call {
        struct once_call once;
        struct app *app;
        int64_t result;
    } calls[2 * STEPS];

    /* The client, which outlives the server. */
    int64_t answers[STEPS + 1]; /* 0: none yet */
    int wrong;                  /* answers that differ from the first, or say neither */
};

static int64_t step(struct app *a, struct store *s)
{
    if (store_step(s, a->step) != STORE_ROW)
        return 0;
    int64_t value = sqlite3_column_int64(a->step, 0);
    return store_step(s, a->step) == STORE_DONE ? value : 0;
}

static bool call_effect(struct once_call *once, struct store *s)
{
    struct call *call = (struct call *)once;
    call->result = step(call->app, s);
    once->result_bytes = sizeof(call->result);
    if (call->app->server == HASTY)
        call->app->answers[once->identity.sequence] = call->result;
    return call->result > 0;
}

static void call_done(struct once_call *once)
{
    struct call *call = (struct call *)once;
    int64_t *answer = &call->app->answers[once->identity.sequence];
    bool has_result = once->outcome == ONCE_NEW || once->outcome == ONCE_KNOWN;
    call->app->wrong += !has_result || (*answer && *answer != call->result);
    if (has_result && !*answer)
        *answer = call->result;
}

static bool forgetful_run(struct store_job *job, struct store *s)
{
    return call_effect((struct once_call *)job, s);
}

static void forgetful_done(struct store_job *job, enum store_outcome outcome)
{
    struct once_call *once = (struct once_call *)job;
    once->outcome = outcome == STORE_KEPT ? ONCE_NEW : ONCE_FAILED;
    call_done(once);
}

static void ask(struct app *a, struct call *call, uint64_t sequence, uint64_t lowest)
{
    *call = (struct call){
        .once = {.once = a->once,
                 .identity = {CLIENT, sequence, lowest},
                 .now_ms = a->env->wall_clock(a->env) / MS_NS,
                 .result = &call->result,
                 .result_room = sizeof(call->result),
                 .effect = call_effect,
                 .done = call_done},
        .app = a,
    };
    if (a->server != FORGETFUL) {
        assert_int_equal(once_submit(&call->once), 0);
        return;
    }
    call->once.job.run = forgetful_run;
    call->once.job.done = forgetful_done;
    assert_int_equal(store_submit(a->store, &call->once.job), 0);
}

static void app_start(void *app, struct strait *stack, struct strait_env *env)
{
    struct app *a = app;
    char error[STORE_MESSAGE_BYTES] = "";
    const struct store_config config = {.path = "counter.db",
                                        .application = 1,
                                        .version = 1,
                                        .owner = "counter",
                                        .schema = schema,
                                        .checkpoint_pages = 8};
    (void)stack;
    a->env = env;
    a->store = store_open(env, &config, error);
    assert_string_equal(error, "");
    a->once = once_new(a->store, NULL);
    a->step = store_prepare(a->store, "UPDATE counter SET value = value + 1 RETURNING value");
    assert_true(a->once && a->step);

    uint64_t lowest = 1;
    while (lowest <= STEPS && a->answers[lowest])
        lowest++;
    int repetitions = a->server == SOUND ? 2 : 1;
    for (uint64_t sequence = lowest; sequence <= STEPS; sequence++)
        for (int i = 0; i < repetitions && !a->answers[sequence]; i++)
            ask(a, &a->calls[2 * (sequence - 1) + (uint64_t)i], sequence, lowest);
}

static void app_crash(void *app)
{
    struct app *a = app;
    once_free(a->once);
    store_free(a->store);
    a->store = NULL;
}

static bool app_finished(void *app)
{
    const struct app *a = app;
    for (int i = 1; i <= STEPS; i++)
        if (!a->answers[i])
            return false;
    return store_is_idle(a->store);
}

static int64_t counter_value(struct app *a)
{
    sqlite3_stmt *statement = store_prepare(a->store, "SELECT value FROM counter");
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

struct findings {
    int scenarios;
    int wrong;      /* answers */
    int unanswered; /* steps */
    int miscounted; /* scenarios in which the counter is not the number of steps */
    int shared;     /* answers that another step has got, too */
};

static void find(struct app *a, struct findings *sum)
{
    sum->scenarios++;
    sum->wrong += a->wrong;
    sum->miscounted += counter_value(a) != STEPS;
    for (int i = 1; i <= STEPS; i++) {
        sum->unanswered += a->answers[i] == 0;
        for (int j = 1; j < i; j++)
            sum->shared += a->answers[i] && a->answers[i] == a->answers[j];
    }
}

/* As in test_store.c: two crashes, and then a life that comes to an end. */
static bool crash_at(uint64_t seed, enum server server, const struct disk_faults *faults,
                     uint64_t first, uint64_t second, struct findings *sum)
{
    struct app app = {.server = server};
    struct world *w = world_new(seed);
    struct world_host *h =
        world_add_host(w, "h", NULL, &(struct world_app){app_start, app_crash, &app});
    disk_set_faults(world_disk(h), faults);
    world_run(w, world_now(w)); /* the application has started, and its store is there */
    bool finished = !crash_run_to(w, h, first, app_finished, &app);
    world_crash(h);
    world_restart(h);
    world_run(w, world_now(w));
    crash_run_to(w, h, second, app_finished, &app);
    world_crash(h);
    world_restart(h);
    world_run(w, world_now(w) + S);
    find(&app, sum);
    world_free(w);
    return finished;
}

static struct findings crash_everywhere(enum server server, const struct disk_faults *faults)
{
    struct findings sum = {0};
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        for (uint64_t first = 1; !crash_at(seed, server, faults, first, first * 5 % 23, &sum);)
            first++;
    print_message("%d scenarios: %d wrong, %d unanswered, %d miscounted, %d shared\n",
                  sum.scenarios, sum.wrong, sum.unanswered, sum.miscounted, sum.shared);
    return sum;
}

static void assert_once(const struct disk_faults *faults)
{
    struct findings sum = crash_everywhere(SOUND, faults);
    assert_true(sum.scenarios > 12 * SEEDS);
    assert_int_equal(sum.wrong + sum.unanswered + sum.miscounted + sum.shared, 0);
}

static void a_crash_at_any_change_lets_each_effect_happen_once(void **state)
{
    (void)state;
    assert_once(&(struct disk_faults){0});
}

static void also_if_unsynced_writes_are_torn_and_reordered(void **state)
{
    (void)state;
    assert_once(&(struct disk_faults){.torn = true, .reordered = true});
}

/* Crash after completion, before the answer: the effect has happened, and happens again. */
static void a_server_that_remembers_nothing_counts_twice(void **state)
{
    (void)state;
    struct findings sum = crash_everywhere(FORGETFUL, &(struct disk_faults){0});
    assert_true(sum.miscounted > 0);
    assert_int_equal(sum.unanswered, 0);
}

/* The answer before the commit: the client is content, and a crash takes the effect away. */
static void a_server_that_answers_before_the_commit_loses_effects(void **state)
{
    (void)state;
    struct findings sum = crash_everywhere(HASTY, &(struct disk_faults){0});
    assert_true(sum.miscounted > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_at_any_change_lets_each_effect_happen_once),
        cmocka_unit_test(also_if_unsynced_writes_are_torn_and_reordered),
        cmocka_unit_test(a_server_that_remembers_nothing_counts_twice),
        cmocka_unit_test(a_server_that_answers_before_the_commit_loses_effects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
