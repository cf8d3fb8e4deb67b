/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/prng.h"
#include "rpc/once.h"
#include "sim/world.h"

#define S           UINT64_C(1000000000)
#define APPLICATION 0x6f6e6365
#define LEASE_MS    1000
#define NOW_MS      INT64_C(1700000000000)

/* A counter, whose value after each step is the step's result. */
static const char *const schema[] = {ONCE_SCHEMA, "CREATE TABLE counter(value INTEGER)",
                                     "INSERT INTO counter VALUES(0)", NULL};

/* ---- A counter, and calls that let it step ---- */

struct counter {
    struct store *store;
    struct once *once;
    sqlite3_stmt *step;
};

static void counter_open(struct counter *c, struct strait_env *env, const char *path,
                         const struct once_config *config)
{
    char error[STORE_MESSAGE_BYTES] = "";
    const struct store_config store = {.path = path,
                                       .application = APPLICATION,
                                       .version = 1,
                                       .owner = "counter",
                                       .schema = schema};
    c->store = store_open(env, &store, error);
    assert_string_equal(error, "");
    c->once = once_new(c->store, config);
    assert_non_null(c->once);
    c->step = store_prepare(c->store, "UPDATE counter SET value = value + 1 RETURNING value");
    assert_non_null(c->step);
}

static void counter_close(struct counter *c)
{
    once_free(c->once);
    store_free(c->store);
}

static bool counter_step(struct counter *c, struct store *store, int64_t *value)
{
    if (store_step(store, c->step) != STORE_ROW)
        return false;
    *value = sqlite3_column_int64(c->step, 0);
    return store_step(store, c->step) == STORE_DONE;
}

static int64_t counter_value(struct counter *c)
{
    sqlite3_stmt *statement = store_prepare(c->store, "SELECT value FROM counter");
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

struct call {
    struct once_call once;
    struct counter *counter;
    int64_t result;
    bool refuse;
    int dones;
};

static bool call_effect(struct once_call *once, struct store *store)
{
    struct call *call = (struct call *)once;
    once->result_bytes = sizeof(call->result);
    return counter_step(call->counter, store, &call->result) && !call->refuse;
}

static void call_done(struct once_call *once)
{
    ((struct call *)once)->dones++;
}

static void call_init(struct call *call, struct counter *c, uint64_t client, uint64_t sequence,
                      uint64_t lowest, int64_t now_ms)
{
    *call = (struct call){
        .once = {.once = c->once,
                 .identity = {client, sequence, lowest},
                 .now_ms = now_ms,
                 .result = &call->result,
                 .result_room = sizeof(call->result),
                 .effect = call_effect,
                 .done = call_done},
        .counter = c,
    };
}

/* Calls, and returns the result; or minus the outcome if there is none. */
static int64_t ask_at(struct counter *c, int64_t now_ms, uint64_t client, uint64_t sequence,
                      uint64_t lowest)
{
    struct call call;
    call_init(&call, c, client, sequence, lowest, now_ms);
    enum once_outcome outcome = once_run(&call.once);
    bool has_result = outcome == ONCE_NEW || outcome == ONCE_KNOWN;
    if (has_result)
        assert_int_equal(call.once.result_bytes, sizeof(call.result));
    return has_result ? call.result : -(int64_t)outcome;
}

static int64_t ask(struct counter *c, uint64_t client, uint64_t sequence, uint64_t lowest)
{
    return ask_at(c, NOW_MS, client, sequence, lowest);
}

#define FORGOTTEN (-(int64_t)ONCE_FORGOTTEN)
#define BUSY      (-(int64_t)ONCE_BUSY)

/* ---- In a world ---- */

struct place {
    struct world *world;
    struct world_host *host;
    struct counter counter;
};

static const struct once_config small = {.results_max = 3, .clients_max = 4, .lease_ms = LEASE_MS};

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    p->world = world_new(1);
    p->host = world_add_host(p->world, "h", NULL, NULL);
    world_act_as(p->host);
    counter_open(&p->counter, world_env(p->host), "counter.db", &small);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    counter_close(&p->counter);
    world_free(p->world);
    free(p);
    return 0;
}

static void reopen(struct place *p)
{
    counter_close(&p->counter);
    counter_open(&p->counter, world_env(p->host), "counter.db", &small);
}

static void a_repetition_is_answered_with_the_first_result(void **state)
{
    struct place *p = *state;
    struct counter *c = &p->counter;
    assert_int_equal(ask(c, 7, 1, 1), 1);
    assert_int_equal(ask(c, 7, 2, 1), 2);
    assert_int_equal(ask(c, 7, 1, 1), 1);
    reopen(p);
    assert_int_equal(ask(c, 7, 2, 1), 2);
    assert_int_equal(ask(c, 7, 3, 1), 3);
    assert_int_equal(counter_value(c), 3);
    assert_int_equal(once_counters(c->once)->known, 1);
    assert_int_equal(once_counters(c->once)->fresh, 1);
}

static void clients_do_not_share_sequences(void **state)
{
    struct counter *c = &((struct place *)*state)->counter;
    assert_int_equal(ask(c, 7, 1, 1), 1);
    assert_int_equal(ask(c, 8, 1, 1), 2);
    assert_int_equal(ask(c, UINT64_MAX, 1, 1), 3);
    assert_int_equal(ask(c, 0, 1, 1), 4);
    assert_int_equal(ask(c, UINT64_MAX, 1, 1), 3);
    assert_int_equal(ask(c, 7, 1, 1), 1);
}

static void below_the_clients_mark_all_is_forgotten_and_the_mark_never_falls(void **state)
{
    struct place *p = *state;
    struct counter *c = &p->counter;
    assert_int_equal(ask(c, 7, 1, 1), 1);
    assert_int_equal(ask(c, 7, 2, 1), 2);
    assert_int_equal(ask(c, 7, 3, 3), 3);
    assert_int_equal(ask(c, 7, 2, 1), FORGOTTEN);
    assert_int_equal(ask(c, 7, 1, 1), FORGOTTEN);
    assert_int_equal(ask(c, 7, 3, 1), 3);
    /* Also by a call that is itself below. */
    assert_int_equal(ask(c, 7, 3, 4), FORGOTTEN);
    reopen(p);
    assert_int_equal(ask(c, 7, 3, 3), FORGOTTEN);
    assert_int_equal(ask(c, 7, 4, 4), 4);
    assert_int_equal(counter_value(c), 4);
}

static void a_client_with_too_many_results_has_to_raise_its_mark(void **state)
{
    struct counter *c = &((struct place *)*state)->counter;
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(ask(c, 7, i, 1), i);
    assert_int_equal(ask(c, 7, 4, 1), BUSY);
    assert_int_equal(ask(c, 7, 2, 1), 2);
    assert_int_equal(ask(c, 7, 4, 2), 4);
    assert_int_equal(ask(c, 7, 5, 2), BUSY);
    assert_int_equal(once_counters(c->once)->full, 2);
    assert_int_equal(counter_value(c), 4);
}

static void after_its_lease_a_client_is_told_that_all_is_forgotten(void **state)
{
    struct place *p = *state;
    struct counter *c = &p->counter;
    assert_int_equal(ask_at(c, NOW_MS, 7, 1, 1), 1);
    assert_int_equal(ask_at(c, NOW_MS + LEASE_MS, 7, 1, 1), 1);
    /* The repetition has renewed it. */
    assert_int_equal(ask_at(c, NOW_MS + 2 * LEASE_MS, 7, 1, 1), 1);
    assert_int_equal(ask_at(c, NOW_MS + 3 * LEASE_MS + 1, 7, 1, 1), FORGOTTEN);
    reopen(p);
    assert_int_equal(ask_at(c, NOW_MS, 7, 1, 1), FORGOTTEN); /* a clock that has jumped back */
    assert_int_equal(ask_at(c, NOW_MS + 3 * LEASE_MS + 2, 7, 2, 1), FORGOTTEN);
    assert_int_equal(ask_at(c, NOW_MS + 3 * LEASE_MS + 3, 8, 1, 1), 2);
    assert_int_equal(counter_value(c), 2);
}

static void leases_end_by_the_calls_of_others_too(void **state)
{
    struct counter *c = &((struct place *)*state)->counter;
    assert_int_equal(ask_at(c, NOW_MS, 7, 1, 1), 1);
    assert_int_equal(ask_at(c, NOW_MS, 8, 1, 1), 2);
    assert_int_equal(ask_at(c, NOW_MS + LEASE_MS + 1, 9, 1, 1), 3);
    assert_int_equal(once_counters(c->once)->ended, 2);
    assert_int_equal(ask_at(c, NOW_MS + LEASE_MS + 1, 7, 1, 1), FORGOTTEN);
    assert_int_equal(ask_at(c, NOW_MS + LEASE_MS + 1, 9, 1, 1), 3);
}

static void its_own_lease_ends_with_a_call_however_many_others_have_ended(void **state)
{
    struct counter *c = &((struct place *)*state)->counter;
    for (uint64_t client = 1; client <= 4; client++)
        assert_int_equal(ask(c, client, 1, 1), client);
    assert_int_equal(ask_at(c, NOW_MS + LEASE_MS + 1, 4, 1, 1), FORGOTTEN);
    assert_int_equal(once_counters(c->once)->ended, 3);
    assert_int_equal(counter_value(c), 4);
}

static void a_new_client_waits_for_room_until_a_lease_ends(void **state)
{
    struct counter *c = &((struct place *)*state)->counter;
    for (uint64_t client = 1; client <= 4; client++)
        assert_int_equal(ask(c, client, 1, 1), client);
    assert_int_equal(ask(c, 5, 1, 1), BUSY);
    assert_int_equal(once_counters(c->once)->crowded, 1);
    assert_int_equal(ask(c, 4, 2, 1), 5);
    assert_int_equal(ask_at(c, NOW_MS + LEASE_MS + 1, 5, 1, 1), 6);
    assert_int_equal(once_counters(c->once)->displaced, 1);
    assert_int_equal(ask_at(c, NOW_MS + LEASE_MS + 1, 6, 1, 1), 7);
    /* Who has said that it asks for nothing old is told so, though its name is gone. */
    assert_int_equal(ask_at(c, NOW_MS + LEASE_MS + 1, 1, 3, 2), FORGOTTEN);
    assert_int_equal(counter_value(c), 7);
}

static void identities_without_sense_do_nothing(void **state)
{
    struct counter *c = &((struct place *)*state)->counter;
    assert_int_equal(ask(c, 7, 0, 0), FORGOTTEN);
    assert_int_equal(ask(c, 7, UINT64_MAX, 1), FORGOTTEN);
    assert_int_equal(ask(c, 7, 1, UINT64_MAX), FORGOTTEN);
    assert_int_equal(ask(c, 7, INT64_MAX, 1), FORGOTTEN);
    assert_int_equal(ask(c, 7, 2, 3), FORGOTTEN);
    assert_int_equal(counter_value(c), 0);
    assert_int_equal(ask(c, 7, INT64_MAX - 1, 1), 1);
    assert_int_equal(ask(c, 7, INT64_MAX - 1, INT64_MAX - 1), 1);
}

static void what_has_refused_has_not_happened_and_may_be_tried_again(void **state)
{
    struct counter *c = &((struct place *)*state)->counter;
    struct call call;
    call_init(&call, c, 7, 1, 1, NOW_MS);
    call.refuse = true;
    assert_int_equal(once_run(&call.once), ONCE_REFUSED);
    assert_int_equal(counter_value(c), 0);
    assert_int_equal(ask(c, 7, 1, 1), 1);
}

static void a_repetition_that_comes_meanwhile_has_the_same_answer(void **state)
{
    struct place *p = *state;
    struct call calls[3];
    for (int i = 0; i < 3; i++) {
        call_init(&calls[i], &p->counter, 7, 1, 1, NOW_MS);
        assert_int_equal(once_submit(&calls[i].once), 0);
    }
    world_run(p->world, 2 * S);
    assert_int_equal(calls[0].once.outcome, ONCE_NEW);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(calls[i].dones, 1);
        assert_int_equal(calls[i].result, 1);
        assert_int_equal(calls[i].once.outcome, i > 0 ? ONCE_KNOWN : ONCE_NEW);
    }
}

static void when_the_store_fails_the_outcome_is_not_known(void **state)
{
    struct place *p = *state;
    struct call call;
    call_init(&call, &p->counter, 7, 1, 1, NOW_MS);
    disk_set_faults(world_disk(p->host), &(struct disk_faults){.sync_error = 1000000});
    assert_int_equal(once_submit(&call.once), 0);
    world_run(p->world, 2 * S);
    assert_int_equal(call.dones, 1);
    assert_int_equal(call.once.outcome, ONCE_FAILED);
    disk_set_faults(world_disk(p->host), &(struct disk_faults){0});
}

static void damaged_rows_are_noticed(void **state)
{
    struct place *p = *state;
    static const char *const damages[] = {"UPDATE once_result SET result = x'00'",
                                          "UPDATE once_client SET lowest = 0",
                                          "UPDATE once_total SET clients = 0"};
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        char path[] = {(char)('0' + i), 0};
        struct counter c;
        sqlite3 *db;
        counter_open(&c, world_env(p->host), path, NULL);
        assert_int_equal(ask(&c, 7, 1, 1), 1);
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, damages[i], NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
        /* The first two are read by a repetition, the third by a new client. */
        assert_int_equal(ask(&c, i < 2 ? 7 : 8, 1, 1), -(int64_t)ONCE_FAILED);
        assert_non_null(strstr(store_failure(c.store), "is damaged"));
        counter_close(&c);
    }
}

/* ---- kill -9 ---- */

#define STEPS 60

/* When the child, at a call of that sequence, kills itself. */
enum end { BY_PARENT, IN_EFFECT, BEFORE_ANSWER };

/* What the child tells. */
struct answer {
    uint64_t sequence;
    int64_t result;
};

struct child {
    struct counter counter;
    int64_t results[STEPS + 1]; /* 0: not known */
    int answers;                /* the pipe to the parent */
    enum end end;
    uint64_t end_sequence;
};

struct child_call {
    struct call call;
    struct child *child;
};

static bool child_effect(struct once_call *once, struct store *store)
{
    const struct child *c = ((struct child_call *)once)->child;
    bool happened = call_effect(once, store);
    if (c->end == IN_EFFECT && once->identity.sequence == c->end_sequence)
        raise(SIGKILL);
    return happened;
}

static void child_done(struct once_call *once)
{
    struct child_call *call = (struct child_call *)once;
    const struct answer answer = {once->identity.sequence, call->call.result};
    if (once->outcome != ONCE_NEW && once->outcome != ONCE_KNOWN)
        _exit(2);
    if (call->child->end == BEFORE_ANSWER && answer.sequence == call->child->end_sequence)
        raise(SIGKILL);
    if (write(call->child->answers, &answer, sizeof(answer)) != sizeof(answer))
        _exit(3);
}

/* The server and its client in one: asks for all that has no answer yet, five at a time. */
static void child_main(struct child *c, const char *path)
{
    struct strait_loop *loop = strait_loop_new();
    struct child_call *calls = calloc(STEPS + 1, sizeof(*calls));
    if (!loop || !calls)
        _exit(4);
    struct strait_env *env = strait_loop_env(loop);
    counter_open(&c->counter, env, path, NULL);
    int64_t now_ms = env->wall_clock(env) / 1000000;
    for (uint64_t sequence = 1; sequence <= STEPS; sequence++) {
        if (c->results[sequence])
            continue;
        calls[sequence].child = c;
        call_init(&calls[sequence].call, &c->counter, 7, sequence, 1, now_ms);
        calls[sequence].call.once.effect = child_effect;
        calls[sequence].call.once.done = child_done;
        if (once_submit(&calls[sequence].call.once))
            _exit(5);
        while (sequence % 5 == 0 && !store_is_idle(c->counter.store))
            strait_loop_turn(loop, STRAIT_NEVER);
    }
    strait_loop_free(loop);
    _exit(0);
}

/*
 * Runs a child until it ends or has given `answers_max` answers, which kills it; takes the answers.
 * Returns whether it has come to its end.
 */
static bool run_child(struct child *c, const char *path, int answers_max)
{
    int ends[2], status;
    struct answer answer;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        c->answers = ends[1];
        child_main(c, path);
    }
    close(ends[1]);
    while (read(ends[0], &answer, sizeof(answer)) == sizeof(answer)) {
        assert_in_range(answer.sequence, 1, STEPS);
        assert_int_equal(c->results[answer.sequence], 0);
        c->results[answer.sequence] = answer.result;
        if (c->end == BY_PARENT && --answers_max == 0)
            kill(pid, SIGKILL);
    }
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    return WIFEXITED(status);
}

/* Every step has happened once, and every answer is another one. */
static void assert_counted_once(struct child *c, const char *path)
{
    bool seen[STEPS + 1] = {false};
    for (int i = 1; i <= STEPS; i++) {
        assert_in_range(c->results[i], 1, STEPS);
        assert_false(seen[c->results[i]]);
        seen[c->results[i]] = true;
    }
    struct strait_loop *loop = strait_loop_new();
    counter_open(&c->counter, strait_loop_env(loop), path, NULL);
    assert_int_equal(counter_value(&c->counter), STEPS);
    counter_close(&c->counter);
    strait_loop_free(loop);
}

static void kill_9_at_any_time_lets_each_effect_happen_once(void **state)
{
    (void)state;
    char directory[] = "/tmp/strait-once-XXXXXX", path[64], command[64];
    struct prng prng;
    prng_seed(&prng, 1);
    assert_non_null(mkdtemp(directory));
    for (int round = 0; round < 5; round++) {
        struct child c = {0};
        int lives = 1;
        snprintf(path, sizeof(path), "%s/%d.db", directory, round);
        for (bool ended = false; !ended; lives++) {
            c.end = (enum end)prng_below(&prng, 3);
            c.end_sequence = 1 + prng_below(&prng, STEPS);
            ended = run_child(&c, path, 1 + (int)prng_below(&prng, STEPS / 4));
        }
        assert_counted_once(&c, path);
        assert_true(lives > 2);
    }
    snprintf(command, sizeof(command), "rm -r %s", directory);
    assert_int_equal(system(command), 0);
}

int main(void)
{
#define ONCE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        ONCE_TEST(a_repetition_is_answered_with_the_first_result),
        ONCE_TEST(clients_do_not_share_sequences),
        ONCE_TEST(below_the_clients_mark_all_is_forgotten_and_the_mark_never_falls),
        ONCE_TEST(a_client_with_too_many_results_has_to_raise_its_mark),
        ONCE_TEST(after_its_lease_a_client_is_told_that_all_is_forgotten),
        ONCE_TEST(leases_end_by_the_calls_of_others_too),
        ONCE_TEST(its_own_lease_ends_with_a_call_however_many_others_have_ended),
        ONCE_TEST(a_new_client_waits_for_room_until_a_lease_ends),
        ONCE_TEST(identities_without_sense_do_nothing),
        ONCE_TEST(what_has_refused_has_not_happened_and_may_be_tried_again),
        ONCE_TEST(a_repetition_that_comes_meanwhile_has_the_same_answer),
        ONCE_TEST(when_the_store_fails_the_outcome_is_not_known),
        ONCE_TEST(damaged_rows_are_noticed),
        cmocka_unit_test(kill_9_at_any_time_lets_each_effect_happen_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
