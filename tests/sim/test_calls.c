/* SPDX-License-Identifier: MIT */
/*
 * The ways in which a call fails, one by one, in a world of one client and one server; crashes at
 * each step of a call; and the checker of call worlds held against what it has to find.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "call_world.h"
#include "check_calls.h"
#include "counter.h"
#include "crash.h"
#include "rpc/classic.h"
#include "rpc/client.h"
#include "sim/world.h"

#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

#define AMOUNT    7
#define TO_CLIENT 0 /* directions of the link */
#define TO_SERVER 1

static const struct in_addr server_address = {0x0100000a}, client_address = {0x0200000a};

struct duo {
    struct world *world;
    struct counter *counter;
    struct world_host *server, *client;
    struct world_link *link;
    struct rpc_channel *channel;

    /* What is to happen when an addition passes a step for the first time. */
    enum counter_step step;
    void (*then)(struct duo *);
    uint64_t after_ns;

    bool ended;
    struct rpc_reply reply;
    uint32_t result;
    uint64_t ended_ns;
    unsigned rows;      /* additions on the server's disk in the end */
    uint32_t row_value; /* of the last */
};

static void then_happens(void *argument)
{
    struct duo *d = argument;
    void (*then)(struct duo *) = d->then;
    d->then = NULL;
    then(d);
}

/* From a callback of the server, which cannot crash itself: at the same instant. */
static void passed(void *context, enum counter_step step)
{
    struct duo *d = context;
    if (d->then && step == d->step)
        assert_int_equal(world_at(d->world, world_now(d->world) + d->after_ns, then_happens, d), 0);
}

static struct duo *duo_new(uint64_t seed, enum counter_fault fault)
{
    struct duo *d = calloc(1, sizeof(*d));
    assert_non_null(d);
    d->world = world_new(seed);
    d->counter = counter_new(fault, passed, d);
    const struct world_app app = counter_app(d->counter);
    d->server = world_add_host(d->world, "s", NULL, &app);
    d->client = world_add_host(d->world, "c", NULL, NULL);
    const struct world_end ends[2] = {{d->server, server_address}, {d->client, client_address}};
    const struct impair_config path[2] = {{.delay_ns = MS}, {.delay_ns = MS}};
    d->link = world_add_link(d->world, ends, 24, 1500, 0, path);
    assert_non_null(d->link);
    world_run(d->world, world_now(d->world) + 100 * MS);
    const struct rpc_channel_config config = {
        .host = stream_host_strait(world_stack(d->client), world_env(d->client)),
        .server = {.sin_family = AF_INET,
                   .sin_port = htons(CLASSIC_PORT),
                   .sin_addr = server_address},
        .wire = &rpc_classic_wire,
    };
    d->channel = rpc_channel_new(&config);
    assert_non_null(d->channel);
    return d;
}

static void duo_free(struct duo *d)
{
    rpc_channel_free(d->channel);
    world_free(d->world);
    counter_free(d->counter);
    free(d);
}

static void ended(void *context, struct rpc_reply reply, const uint8_t *result)
{
    struct duo *d = context;
    assert_false(d->ended);
    d->ended = true;
    d->reply = reply;
    d->result = result ? rpc_get32(result) : 0;
    d->ended_ns = world_now(d->world);
}

static void start_call(struct duo *d, unsigned procedure)
{
    uint8_t arguments[RPC_IDENTITY_BYTES + 4] = {0};
    bool identified = counter_procedures[procedure].identified;
    rpc_put32(arguments + (identified ? RPC_IDENTITY_BYTES : 0), AMOUNT);
    assert_non_null(
        rpc_call_start(d->channel, &counter_procedures[procedure], arguments, 0, ended, d));
}

static void note_row(void *context, uint64_t client, uint64_t sequence, uint32_t amount,
                     uint32_t value)
{
    struct duo *d = context;
    (void)client;
    assert_int_equal(sequence, 1);
    assert_int_equal(amount, AMOUNT);
    d->rows++;
    d->row_value = value;
}

/* Lets the call come to its end. */
static void finish(struct duo *d)
{
    world_run(d->world, world_now(d->world) + 11 * S);
    assert_true(d->ended);
    uint32_t counter = counter_audit(d->server, note_row, d);
    assert_int_equal(counter, d->rows * AMOUNT);
}

static void expect(const struct duo *d, enum rpc_outcome outcome, uint32_t result, unsigned rows)
{
    assert_int_equal(d->reply.outcome, outcome);
    assert_int_equal(d->result, result);
    assert_int_equal(d->rows, rows);
}

static uint64_t attempts(const struct duo *d)
{
    return rpc_channel_counters(d->channel)->attempts;
}

/* ---- What strikes ---- */

static void restart(void *argument)
{
    struct duo *d = argument;
    world_restart(d->server);
    world_cut(d->link, TO_CLIENT, false);
}

static void crash(struct duo *d)
{
    world_crash(d->server);
    assert_int_equal(world_at(d->world, world_now(d->world) + 200 * MS, restart, d), 0);
}

/* No answer comes through any more; and a little later, when the effect is durable, the end. */
static void silence_and_crash(struct duo *d)
{
    world_cut(d->link, TO_CLIENT, true);
    d->step = COUNTER_KEPT;
    d->after_ns = 0;
    d->then = crash;
}

static void mend(void *argument)
{
    struct duo *d = argument;
    world_cut(d->link, TO_SERVER, false);
}

/* ---- Transport failure ---- */

static void what_does_not_arrive_is_asked_for_again(void **state)
{
    (void)state;
    struct duo *d = duo_new(1, COUNTER_SOUND);
    world_cut(d->link, TO_SERVER, true);
    assert_int_equal(world_at(d->world, world_now(d->world) + 6 * S, mend, d), 0);
    start_call(d, COUNTER_ADD);
    finish(d);
    expect(d, RPC_RESULT, AMOUNT, 1);
    assert_true(attempts(d) > 1);
    duo_free(d);
}

static void what_never_arrives_is_not_executed_and_ends_in_time(void **state)
{
    (void)state;
    struct duo *d = duo_new(1, COUNTER_SOUND);
    uint64_t began_ns = world_now(d->world);
    world_cut(d->link, TO_SERVER, true);
    start_call(d, COUNTER_ADD);
    finish(d);
    expect(d, RPC_NOT_EXECUTED, 0, 0);
    assert_int_equal(d->reply.code, RPC_DEADLINE_EXCEEDED);
    assert_in_range(d->ended_ns - began_ns, 10 * S, 10 * S + 65536);
    duo_free(d);
}

/* ---- Crash before completion ---- */

static void a_crash_before_it_has_run_is_survived(void **state)
{
    (void)state;
    struct duo *d = duo_new(1, COUNTER_SOUND);
    d->step = COUNTER_ASKED;
    d->then = crash;
    start_call(d, COUNTER_ADD);
    finish(d);
    expect(d, RPC_RESULT, AMOUNT, 1);
    assert_true(attempts(d) > 1);
    duo_free(d);
}

/* ---- Crash after completion, before the answer ---- */

static struct duo *crash_after_completion(enum counter_fault fault)
{
    struct duo *d = duo_new(1, fault);
    d->step = COUNTER_ASKED;
    d->then = silence_and_crash;
    start_call(d, COUNTER_ADD);
    finish(d);
    assert_null(d->then);
    assert_true(attempts(d) > 1);
    return d;
}

static void a_crash_before_the_answer_leaves_the_first_answer(void **state)
{
    (void)state;
    struct duo *d = crash_after_completion(COUNTER_SOUND);
    expect(d, RPC_RESULT, AMOUNT, 1);
    duo_free(d);
}

static void without_the_row_a_crash_before_the_answer_counts_twice(void **state)
{
    (void)state;
    struct duo *d = crash_after_completion(COUNTER_WITHOUT_ROW);
    expect(d, RPC_RESULT, 2 * AMOUNT, 2);
    duo_free(d);
}

static void an_idempotent_call_repeats_harmlessly(void **state)
{
    (void)state;
    struct duo *d = duo_new(1, COUNTER_SOUND);
    world_cut(d->link, TO_CLIENT, false);
    start_call(d, COUNTER_SET);
    /* The request is there after 3 ms, and its effect a few later. */
    world_run(d->world, world_now(d->world) + 3500000);
    world_cut(d->link, TO_CLIENT, true);
    world_run(d->world, world_now(d->world) + 20 * MS);
    assert_int_equal(counter_counters(d->counter)->results, 1);
    crash(d);
    finish(d);
    expect(d, RPC_RESULT, AMOUNT, 0);
    assert_true(attempts(d) > 1);
    assert_int_equal(counter_counters(d->counter)->results, 1); /* in the life after, again */
    duo_free(d);
}

/* ---- The answer before the commit ---- */

/* The client has its answer, and has acknowledged it; the effect is lost, and nobody knows. */
static void an_answer_before_the_commit_can_be_a_lie(void **state)
{
    (void)state;
    struct duo *d = duo_new(1, COUNTER_EARLY_ANSWER);
    d->step = COUNTER_ANSWERED;
    d->then = crash;
    start_call(d, COUNTER_ADD);
    finish(d);
    expect(d, RPC_RESULT, AMOUNT, 0);
    assert_int_equal(attempts(d), 1);
    duo_free(d);
}

/*
 * The two generals: a server that waited for the client's word before it commits would not know
 * whether the client knows that it has committed. Whichever message is the last, when it is lost
 * one side acts on what the other does not know: here the answer is, after the commit.
 */
static void the_last_message_may_be_lost_whichever_it_is(void **state)
{
    (void)state;
    struct duo *d = duo_new(1, COUNTER_SOUND);
    start_call(d, COUNTER_ADD);
    world_run(d->world, world_now(d->world) + 3500000);
    world_cut(d->link, TO_CLIENT, true);
    finish(d);
    expect(d, RPC_UNKNOWN, 0, 1); /* it has happened, and the client cannot know */
    duo_free(d);
}

/* ---- Crashes at every step ---- */

/* A call takes about 10 ms; a crash at each tenth of a millisecond of it. */
static void once_is_once_with_a_crash_at_any_time(void **state)
{
    (void)state;
    for (uint64_t after_ns = 0; after_ns < 15 * MS; after_ns += MS / 10) {
        struct duo *d = duo_new(1 + after_ns, COUNTER_SOUND);
        start_call(d, COUNTER_ADD);
        world_run(d->world, world_now(d->world) + after_ns);
        crash(d);
        finish(d);
        expect(d, RPC_RESULT, AMOUNT, 1);
        assert_int_equal(d->row_value, AMOUNT);
        duo_free(d);
    }
}

static bool has_ended(void *context)
{
    return ((struct duo *)context)->ended;
}

static void once_is_once_with_a_crash_at_each_change_of_the_disk(void **state)
{
    (void)state;
    uint64_t changes = 1;
    for (bool more = true; more; changes++) {
        struct duo *d = duo_new(changes, COUNTER_SOUND);
        const struct disk_faults torn = {.torn = true, .reordered = true};
        disk_set_faults(world_disk(d->server), &torn);
        start_call(d, COUNTER_ADD);
        more = crash_run_to(d->world, d->server, changes, has_ended, d);
        if (more)
            crash(d);
        finish(d);
        expect(d, RPC_RESULT, AMOUNT, 1);
        duo_free(d);
    }
    assert_true(changes > 3); /* the write of the log and its sync, at least */
}

/* ---- Worlds ---- */

static void worlds_hold_and_the_same_seed_is_the_same_world(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        uint64_t hashes[2];
        for (int i = 0; i < 2; i++) {
            struct call_world *w = call_world_new(seed, COUNTER_SOUND);
            assert_int_equal(call_world_run(w, stdout), 0);
            hashes[i] = call_world_hash(w);
            call_world_free(w);
        }
        assert_true(hashes[0] == hashes[1]);
    }
}

/* Some worlds find a server that is not sound. */
static void worlds_find(enum counter_fault fault)
{
    char *told = NULL;
    size_t told_bytes = 0;
    FILE *file = open_memstream(&told, &told_bytes);
    uint32_t violations = 0;
    assert_non_null(file);
    for (uint64_t seed = 1; seed <= 50 && violations == 0; seed++) {
        struct call_world *w = call_world_new(seed, fault);
        violations = call_world_run(w, file);
        call_world_free(w);
    }
    fclose(file);
    free(told);
    assert_true(violations > 0);
}

static void worlds_find_a_missing_row(void **state)
{
    (void)state;
    worlds_find(COUNTER_WITHOUT_ROW);
}

static void worlds_find_an_answer_before_the_commit(void **state)
{
    (void)state;
    worlds_find(COUNTER_EARLY_ANSWER);
}

/* ---- The checker ---- */

static void count_line(void *context, const char *line)
{
    const char **expected = context;
    if (!*expected || !strstr(line, *expected))
        fail_msg("\"%s\" instead of \"%s\"", line, *expected ? *expected : "nothing");
    *expected = NULL;
}

/* Holds the checker against one call and one effect; it has to say just this, or nothing. */
static void expect_verdict(const char *expected, struct call_record call, struct audit_row row,
                           size_t rows, uint32_t counter)
{
    const struct audit_row twice[2] = {row, {row.client, row.sequence, row.amount, 2 * row.value}};
    check_calls(&call, 1, twice, rows, counter, count_line, &expected);
    if (expected)
        fail_msg("not found: %s", expected);
}

static void the_checker_finds_each_violation(void **state)
{
    (void)state;
    const struct call_record add = {.kind = CALL_ADD,
                                    .x = 5,
                                    .client = 9,
                                    .sequence = 1,
                                    .began_ns = S,
                                    .deadline_ns = 2 * S,
                                    .ended_ns = 2 * S,
                                    .fate = CALL_ENDED,
                                    .reply = {RPC_RESULT, RPC_OK},
                                    .result = 5};
    const struct audit_row row = {9, 1, 5, 5};
    struct call_record c = add;
    struct audit_row r = row;
    expect_verdict(NULL, add, row, 1, 5);
    expect_verdict("took effect 2 times", add, row, 2, 10);
    expect_verdict("took no effect", add, row, 0, 0);
    expect_verdict("the counter is 6", add, row, 1, 6);
    c.ended_ns = 2 * S + 65537;
    expect_verdict("after its deadline", c, row, 1, 5);
    c.ended_ns = 2 * S + 65536;
    expect_verdict(NULL, c, row, 1, 5);
    c = add;
    c.fate = CALL_OPEN;
    expect_verdict("has not ended", c, row, 1, 5);
    c.fate = CALL_LOST;
    expect_verdict(NULL, c, row, 1, 5);
    expect_verdict(NULL, c, row, 0, 0);
    c = add;
    c.result = 6;
    expect_verdict("has the result 6, its effect was 5", c, row, 1, 5);
    c = add;
    c.reply.outcome = RPC_NOT_EXECUTED;
    expect_verdict("though it was not executed", c, row, 1, 5);
    expect_verdict(NULL, c, row, 0, 0);
    c.reply.outcome = RPC_UNKNOWN;
    expect_verdict(NULL, c, row, 0, 0);
    expect_verdict(NULL, c, row, 1, 5);
    expect_verdict("took effect 2 times", c, row, 2, 10);
    r.value = 6;
    expect_verdict("has made 6 of 0", c, r, 1, 5);
    c = add;
    c.x = 4;
    expect_verdict("added 5", c, row, 1, 5);
    c = (struct call_record){.kind = CALL_ITH_PRIME,
                             .x = 5,
                             .fate = CALL_ENDED,
                             .reply = {RPC_RESULT, RPC_OK},
                             .result = 13};
    expect_verdict(NULL, c, row, 0, 0);
    c.result = 11;
    expect_verdict("has the result 11 and not 13", c, row, 0, 0);
    c.x = 203280221;
    expect_verdict("though there is none", c, row, 0, 0);
    c.x = 5;
    c.kind = CALL_IS_COPRIME;
    c.y = 10;
    c.result = 1;
    expect_verdict("and not 0", c, row, 0, 0);
    c.y = 11;
    expect_verdict(NULL, c, row, 0, 0);
    c.kind = CALL_SET;
    expect_verdict("has the result 1 and not 5", c, row, 0, 0);
    c.kind = CALL_GET;
    expect_verdict("has the result 1, and not from 0 to 0", c, row, 0, 0);
    c.result = 0;
    expect_verdict(NULL, c, row, 0, 0);
    expect_verdict("nobody has asked for", c, row, 1, 5);
}

/* A get sees what was answered before it began, and nothing that was asked for after its end. */
static void the_checker_bounds_what_a_get_sees(void **state)
{
    (void)state;
    const char *expected;
    struct call_record calls[2] = {
        {.kind = CALL_ADD,
         .x = 5,
         .client = 9,
         .sequence = 1,
         .began_ns = 1,
         .deadline_ns = 9,
         .ended_ns = 3,
         .fate = CALL_ENDED,
         .reply = {RPC_RESULT, RPC_OK},
         .result = 5},
        {.kind = CALL_GET,
         .began_ns = 4,
         .deadline_ns = 9,
         .ended_ns = 5,
         .fate = CALL_ENDED,
         .reply = {RPC_RESULT, RPC_OK},
         .result = 0},
    };
    const struct audit_row row = {9, 1, 5, 5};
    expected = "has the result 0, and not from 5 to 5";
    check_calls(calls, 2, &row, 1, 5, count_line, &expected);
    assert_null(expected);
    calls[1].began_ns = 2; /* beside it: both may be */
    check_calls(calls, 2, &row, 1, 5, count_line, &expected);
    calls[1].result = 5;
    check_calls(calls, 2, &row, 1, 5, count_line, &expected);
    calls[0].began_ns = 6;
    calls[0].ended_ns = 7;
    expected = "has the result 5, and not from 0 to 0";
    check_calls(calls, 2, &row, 1, 5, count_line, &expected);
    assert_null(expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_arrive_is_asked_for_again),
        cmocka_unit_test(what_never_arrives_is_not_executed_and_ends_in_time),
        cmocka_unit_test(a_crash_before_it_has_run_is_survived),
        cmocka_unit_test(a_crash_before_the_answer_leaves_the_first_answer),
        cmocka_unit_test(without_the_row_a_crash_before_the_answer_counts_twice),
        cmocka_unit_test(an_idempotent_call_repeats_harmlessly),
        cmocka_unit_test(an_answer_before_the_commit_can_be_a_lie),
        cmocka_unit_test(the_last_message_may_be_lost_whichever_it_is),
        cmocka_unit_test(once_is_once_with_a_crash_at_any_time),
        cmocka_unit_test(once_is_once_with_a_crash_at_each_change_of_the_disk),
        cmocka_unit_test(worlds_hold_and_the_same_seed_is_the_same_world),
        cmocka_unit_test(worlds_find_a_missing_row),
        cmocka_unit_test(worlds_find_an_answer_before_the_commit),
        cmocka_unit_test(the_checker_finds_each_violation),
        cmocka_unit_test(the_checker_bounds_what_a_get_sees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
