/* SPDX-License-Identifier: MIT */
/*
 * The client's side of calls on a wire of the test, in virtual time: outcomes, deadlines, attempts,
 * the pauses between them, and what a channel may spend on them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"
#include "rpc/client.h"
#include "rpc/retry.h"

#define ATTEMPTS_KEPT 64

/* A timer is late by less than a tick. */
#define TICK_NS UINT64_C(65536)

struct rpc_attempt {
    struct rpc_request request;
    struct fixture *fixture;
};

struct fixture {
    struct pair *pair;
    struct strait_env *env;
    struct rpc_channel *channel;
    bool refuse;                                 /* the wire cannot begin */
    bool reached;                                /* what is abandoned may have been executed */
    struct rpc_attempt *attempts[ATTEMPTS_KEPT]; /* NULL once ended */
    uint64_t begun_ns[ATTEMPTS_KEPT];
    struct rpc_identity identities[ATTEMPTS_KEPT];
    int begun, abandoned;
};

static struct fixture *the; /* of the test that runs */

static struct rpc_attempt *begin(const struct rpc_request *request)
{
    assert_true(the->begun < ATTEMPTS_KEPT);
    the->begun_ns[the->begun] = the->env->now(the->env);
    if (request->procedure->identified)
        the->identities[the->begun] = rpc_identity_unmarshal(request->arguments);
    the->begun++;
    errno = ENETUNREACH;
    if (the->refuse)
        return NULL;
    struct rpc_attempt *a = calloc(1, sizeof(*a));
    assert_non_null(a);
    a->request = *request;
    the->attempts[the->begun - 1] = a;
    return a;
}

static void forget(const struct rpc_attempt *a)
{
    for (int i = 0; i < the->begun; i++)
        if (the->attempts[i] == a)
            the->attempts[i] = NULL;
}

static enum rpc_outcome abandon(struct rpc_attempt *a)
{
    the->abandoned++;
    forget(a);
    free(a);
    return the->reached ? RPC_UNKNOWN : RPC_NOT_EXECUTED;
}

static const struct rpc_wire wire = {.begin = begin, .abandon = abandon};

static const struct rpc_procedure pure = {
    .id = 1, .name = "pure", .argument_bytes = 4, .result_bytes = 4, .class = RPC_PURE};
static const struct rpc_procedure idempotent = {
    .id = 2, .name = "idempotent", .argument_bytes = 4, .result_bytes = 4, .class = RPC_IDEMPOTENT};
static const struct rpc_procedure once = {
    .id = 3, .name = "once", .argument_bytes = 4, .result_bytes = 4, .class = RPC_ONCE};
static const struct rpc_procedure identified = {.id = 4,
                                                .name = "identified",
                                                .argument_bytes = RPC_IDENTITY_BYTES + 4,
                                                .result_bytes = 4,
                                                .class = RPC_ONCE,
                                                .identified = true};

/* What became of a call. */
struct ended {
    int times;
    struct rpc_reply reply;
    uint32_t result;
    uint64_t at_ns;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->pair = pair_new(&(struct pair_config){0});
    f->env = pair_env(f->pair);
    const struct rpc_channel_config config = {
        .host = stream_host_strait(pair_stack(f->pair, 0), f->env), .wire = &wire};
    f->channel = rpc_channel_new(&config);
    assert_non_null(f->channel);
    *state = the = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    rpc_channel_free(f->channel);
    for (int i = 0; i < f->begun; i++)
        assert_null(f->attempts[i]);
    pair_free(f->pair);
    free(f);
    return 0;
}

static void note(void *context, struct rpc_reply reply, const uint8_t *result)
{
    struct ended *e = context;
    e->times++;
    e->reply = reply;
    e->result = result ? rpc_get32(result) : 0;
    e->at_ns = the->env->now(the->env);
}

static struct rpc_call *start(const struct rpc_procedure *procedure, uint64_t in_ns,
                              struct ended *e)
{
    static const uint8_t arguments[RPC_BYTES_MAX];
    *e = (struct ended){0};
    uint64_t deadline_ns = in_ns ? the->env->now(the->env) + in_ns : 0;
    struct rpc_call *call =
        rpc_call_start(the->channel, procedure, arguments, deadline_ns, note, e);
    assert_non_null(call);
    pair_run(the->pair, PAIR_MS);
    return call;
}

/* Ends the last attempt. */
static void reply(enum rpc_outcome outcome, enum rpc_code code, uint32_t value)
{
    uint8_t result[4];
    struct rpc_attempt *a = the->attempts[the->begun - 1];
    assert_non_null(a);
    forget(a);
    rpc_put32(result, value);
    a->request.ended(a->request.owner, (struct rpc_reply){outcome, code},
                     outcome == RPC_RESULT ? result : NULL);
    free(a);
}

static void expect(const struct ended *e, enum rpc_outcome outcome, enum rpc_code code)
{
    assert_int_equal(e->times, 1);
    assert_int_equal(e->reply.outcome, outcome);
    assert_int_equal(e->reply.code, code);
}

/* ---- Outcomes ---- */

static void a_result_and_an_error_end_a_call(void **state)
{
    (void)state;
    struct ended e;
    start(&pure, 0, &e);
    assert_int_equal(e.times, 0);
    reply(RPC_RESULT, RPC_OK, 13);
    expect(&e, RPC_RESULT, RPC_OK);
    assert_int_equal(e.result, 13);
    start(&pure, 0, &e);
    reply(RPC_ERROR, RPC_OUT_OF_RANGE, 0);
    expect(&e, RPC_ERROR, RPC_OUT_OF_RANGE);
    assert_int_equal(the->begun, 2);
}

static void nothing_ends_before_the_start_has_returned(void **state)
{
    (void)state;
    static const uint8_t arguments[4];
    struct ended e = {0};
    the->refuse = true;
    assert_non_null(rpc_call_start(the->channel, &once, arguments, 0, note, &e));
    assert_int_equal(e.times, 0);
    pair_run(the->pair, PAIR_MS);
    expect(&e, RPC_NOT_EXECUTED, RPC_UNAVAILABLE);
}

/* ---- Retry ---- */

static void a_repeatable_call_has_at_most_5_attempts(void **state)
{
    (void)state;
    static const struct rpc_procedure *const repeatable[] = {&pure, &idempotent, &identified};
    for (size_t i = 0; i < 3; i++) {
        struct ended e;
        int before = the->begun;
        start(repeatable[i], 0, &e);
        for (int n = 1; n <= 5; n++) {
            assert_int_equal(the->begun, before + n);
            assert_int_equal(e.times, 0);
            reply(RPC_UNKNOWN, RPC_UNAVAILABLE, 0);
            pair_run(the->pair, PAIR_S);
        }
        expect(&e, RPC_UNKNOWN, RPC_UNAVAILABLE);
        assert_int_equal(the->begun, before + 5);
        pair_run(the->pair, 20 * PAIR_S); /* the budget recovers */
    }
}

static void once_without_identity_is_never_repeated(void **state)
{
    (void)state;
    struct ended e;
    start(&once, 0, &e);
    reply(RPC_UNKNOWN, RPC_UNAVAILABLE, 0);
    expect(&e, RPC_UNKNOWN, RPC_UNAVAILABLE);
    start(&once, 0, &e);
    reply(RPC_NOT_EXECUTED, RPC_UNAVAILABLE, 0);
    expect(&e, RPC_NOT_EXECUTED, RPC_UNAVAILABLE);
    pair_run(the->pair, 20 * PAIR_S);
    assert_int_equal(the->begun, 2);
}

static void one_attempt_that_may_have_been_executed_makes_all_unknown(void **state)
{
    (void)state;
    struct ended e;
    start(&pure, 0, &e);
    reply(RPC_UNKNOWN, RPC_UNAVAILABLE, 0);
    pair_run(the->pair, PAIR_S);
    the->refuse = true;
    reply(RPC_NOT_EXECUTED, RPC_UNAVAILABLE, 0);
    pair_run(the->pair, 10 * PAIR_S);
    expect(&e, RPC_UNKNOWN, RPC_UNAVAILABLE);
    assert_int_equal(the->begun, 5);
    start(&pure, 0, &e);
    pair_run(the->pair, 10 * PAIR_S);
    expect(&e, RPC_NOT_EXECUTED, RPC_UNAVAILABLE);
}

/* 50, 100, 200, 400 ms: from a half of that to all. */
static void the_pauses_double_and_are_drawn(void **state)
{
    (void)state;
    for (unsigned attempts = 1; attempts <= 10; attempts++) {
        uint64_t most_ns = 50 * PAIR_MS << (attempts - 1);
        if (most_ns > 2 * PAIR_S)
            most_ns = 2 * PAIR_S;
        assert_true(rpc_backoff(attempts, 0) == most_ns / 2);
        assert_in_range(rpc_backoff(attempts, UINT32_MAX), most_ns - 2, most_ns);
        assert_in_range(rpc_backoff(attempts, UINT32_MAX / 2), most_ns / 4 * 3 - 2,
                        most_ns / 4 * 3);
    }
    struct ended e;
    uint64_t ended_ns = 0;
    start(&pure, 0, &e);
    for (int n = 0; n < 5; n++) {
        if (n > 0)
            assert_in_range(the->begun_ns[n] - ended_ns, 25 * PAIR_MS << (n - 1),
                            (50 * PAIR_MS << (n - 1)) + TICK_NS);
        ended_ns = the->env->now(the->env);
        reply(RPC_NOT_EXECUTED, RPC_UNAVAILABLE, 0);
        pair_run(the->pair, PAIR_S);
    }
}

static void a_budget_of_10_is_spent_and_earned(void **state)
{
    (void)state;
    struct rpc_budget b;
    rpc_budget_init(&b, 5 * PAIR_S);
    for (int i = 0; i < 10; i++)
        assert_true(rpc_budget_take(&b, 5 * PAIR_S));
    assert_false(rpc_budget_take(&b, 5 * PAIR_S));
    for (int i = 0; i < 9; i++)
        rpc_budget_earn(&b);
    assert_false(rpc_budget_take(&b, 5 * PAIR_S));
    rpc_budget_earn(&b); /* the tenth answer pays for a retry */
    assert_true(rpc_budget_take(&b, 5 * PAIR_S));
    assert_false(rpc_budget_take(&b, 6 * PAIR_S - 1));
    assert_true(rpc_budget_take(&b, 6 * PAIR_S)); /* and so does a second */
    assert_false(rpc_budget_take(&b, 6 * PAIR_S));
    for (int i = 0; i < 10; i++)
        assert_true(rpc_budget_take(&b, 1000 * PAIR_S)); /* but no more than ten in all */
    assert_false(rpc_budget_take(&b, 1000 * PAIR_S));
}

static void a_channel_whose_budget_is_spent_does_not_try_again(void **state)
{
    (void)state;
    enum { CALLS = 5 };
    struct ended e[CALLS];
    the->refuse = true;
    for (int i = 0; i < CALLS; i++)
        start(&pure, 0, &e[i]);
    pair_run(the->pair, PAIR_S);
    for (int i = 0; i < CALLS; i++)
        expect(&e[i], RPC_NOT_EXECUTED, RPC_UNAVAILABLE);
    assert_in_range(the->begun, CALLS + 10, CALLS + 11);
    assert_true(rpc_channel_counters(the->channel)->retries_refused > 0);
}

/* ---- Deadlines ---- */

static void a_silent_wire_ends_at_the_deadline(void **state)
{
    (void)state;
    struct ended e;
    uint64_t began_ns = the->env->now(the->env);
    the->reached = true;
    start(&pure, 0, &e);
    pair_run(the->pair, 10 * PAIR_S);
    expect(&e, RPC_UNKNOWN, RPC_DEADLINE_EXCEEDED);
    assert_in_range(e.at_ns - began_ns, 10 * PAIR_S, 10 * PAIR_S + TICK_NS);
    assert_int_equal(the->abandoned, the->begun);
    assert_int_equal(rpc_channel_counters(the->channel)->deadlines, 1);
}

static void a_call_that_was_not_sent_by_its_deadline_is_not_executed(void **state)
{
    (void)state;
    struct ended e;
    start(&once, 2 * PAIR_S, &e);
    pair_run(the->pair, 1998 * PAIR_MS);
    assert_int_equal(e.times, 0);
    pair_run(the->pair, 2 * PAIR_MS);
    expect(&e, RPC_NOT_EXECUTED, RPC_DEADLINE_EXCEEDED);
    assert_int_equal(the->begun, 1); /* it had all the time */
}

/* Each has half of what is left: 5 s, then 2.5 s less the half of the pause ... */
static void an_attempt_has_half_of_the_time_that_is_left(void **state)
{
    (void)state;
    struct ended e;
    uint64_t began_ns = the->env->now(the->env);
    start(&pure, 0, &e);
    pair_run(the->pair, 10 * PAIR_S);
    assert_int_equal(the->begun, 5);
    assert_in_range(the->begun_ns[1] - began_ns, 5025 * PAIR_MS, 5050 * PAIR_MS + 2 * TICK_NS);
    assert_in_range(the->begun_ns[2] - began_ns, 7550 * PAIR_MS, 7630 * PAIR_MS);
    expect(&e, RPC_NOT_EXECUTED, RPC_DEADLINE_EXCEEDED);
}

static void a_pause_beyond_the_deadline_is_not_waited_for(void **state)
{
    (void)state;
    struct ended e;
    start(&pure, 20 * PAIR_MS, &e);
    reply(RPC_NOT_EXECUTED, RPC_UNAVAILABLE, 0);
    expect(&e, RPC_NOT_EXECUTED, RPC_UNAVAILABLE);
}

static void no_deadline_is_later_than_an_hour(void **state)
{
    (void)state;
    static const uint8_t arguments[4];
    struct ended e = {0};
    uint64_t began_ns = the->env->now(the->env);
    rpc_call_start(the->channel, &once, arguments, STRAIT_NEVER, note, &e);
    pair_run(the->pair, 3601 * PAIR_S);
    expect(&e, RPC_NOT_EXECUTED, RPC_DEADLINE_EXCEEDED);
    assert_in_range(e.at_ns - began_ns, 3600 * PAIR_S, 3600 * PAIR_S + TICK_NS);
}

/* ---- Identities ---- */

static void an_identity_stays_and_its_lowest_grows(void **state)
{
    (void)state;
    struct ended first, second, third;
    const struct rpc_identity *id = the->identities;
    start(&identified, 0, &first);
    reply(RPC_RESULT, RPC_OK, 1); /* now the server knows the client */
    start(&identified, 0, &second);
    struct rpc_call *call = start(&identified, 0, &third);
    assert_int_equal(rpc_call_identity(call).sequence, 3);
    assert_true(id[0].client == id[2].client && id[0].client != 0);
    assert_int_equal(id[0].sequence, 1);
    assert_int_equal(id[0].lowest, 1);
    assert_int_equal(id[1].sequence, 2);
    assert_int_equal(id[1].lowest, 2);
    assert_int_equal(id[2].sequence, 3);
    assert_int_equal(id[2].lowest, 2);
    reply(RPC_UNKNOWN, RPC_UNAVAILABLE, 0); /* the third */
    struct rpc_attempt *a = the->attempts[1];
    forget(a);
    a->request.ended(a->request.owner, (struct rpc_reply){RPC_ERROR, RPC_INTERNAL}, NULL);
    free(a);
    pair_run(the->pair, PAIR_S);
    assert_int_equal(the->begun, 4);
    assert_int_equal(id[3].sequence, 3);
    assert_int_equal(id[3].lowest, 3);
    reply(RPC_RESULT, RPC_OK, 1);
    expect(&third, RPC_RESULT, RPC_OK);
}

/* A server that has never heard of it would take it for one that it has forgotten. */
static void until_it_is_known_a_client_gives_nothing_up(void **state)
{
    (void)state;
    struct ended e;
    const struct rpc_identity *id = the->identities;
    start(&identified, PAIR_MS, &e); /* never gets through */
    pair_run(the->pair, PAIR_S);
    expect(&e, RPC_NOT_EXECUTED, RPC_DEADLINE_EXCEEDED);
    start(&identified, 0, &e);
    assert_int_equal(id[1].sequence, 2);
    assert_int_equal(id[1].lowest, 1);
    reply(RPC_RESULT, RPC_OK, 1);
    start(&identified, 0, &e);
    assert_int_equal(id[2].lowest, 3);
    reply(RPC_RESULT, RPC_OK, 1);
}

static void after_an_hour_of_rest_the_identity_is_new(void **state)
{
    (void)state;
    struct ended e;
    const struct rpc_identity *id = the->identities;
    start(&identified, 0, &e);
    reply(RPC_RESULT, RPC_OK, 1);
    pair_run(the->pair, 3599 * PAIR_S);
    start(&identified, 0, &e);
    reply(RPC_RESULT, RPC_OK, 1);
    assert_true(id[1].client == id[0].client);
    pair_run(the->pair, 3601 * PAIR_S);
    start(&identified, 0, &e);
    reply(RPC_RESULT, RPC_OK, 1);
    assert_true(id[2].client != id[0].client);
    assert_int_equal(id[2].sequence, 1);
    assert_int_equal(id[2].lowest, 1);
}

/* ---- The end ---- */

static void a_cancelled_call_is_abandoned_untold(void **state)
{
    (void)state;
    struct ended e;
    struct rpc_call *call = start(&pure, 0, &e);
    the->reached = true;
    assert_int_equal(rpc_call_cancel(call), RPC_UNKNOWN);
    assert_int_equal(the->abandoned, 1);
    call = start(&pure, 0, &e);
    reply(RPC_NOT_EXECUTED, RPC_UNAVAILABLE, 0);
    assert_int_equal(rpc_call_cancel(call), RPC_NOT_EXECUTED); /* in its pause */
    pair_run(the->pair, 20 * PAIR_S);
    assert_int_equal(e.times, 0);
    assert_int_equal(the->begun, 2);
}

static void calls_at_once_are_bounded(void **state)
{
    (void)state;
    static const uint8_t arguments[4];
    struct ended e = {0};
    for (int i = 0; i < RPC_CALLS_MAX; i++)
        assert_non_null(rpc_call_start(the->channel, &once, arguments, 0, note, &e));
    assert_null(rpc_call_start(the->channel, &once, arguments, 0, note, &e));
    assert_int_equal(errno, EAGAIN);
}

int main(void)
{
#define CALL_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CALL_TEST(a_result_and_an_error_end_a_call),
        CALL_TEST(nothing_ends_before_the_start_has_returned),
        CALL_TEST(a_repeatable_call_has_at_most_5_attempts),
        CALL_TEST(once_without_identity_is_never_repeated),
        CALL_TEST(one_attempt_that_may_have_been_executed_makes_all_unknown),
        CALL_TEST(the_pauses_double_and_are_drawn),
        CALL_TEST(a_budget_of_10_is_spent_and_earned),
        CALL_TEST(a_channel_whose_budget_is_spent_does_not_try_again),
        CALL_TEST(a_silent_wire_ends_at_the_deadline),
        CALL_TEST(a_call_that_was_not_sent_by_its_deadline_is_not_executed),
        CALL_TEST(an_attempt_has_half_of_the_time_that_is_left),
        CALL_TEST(a_pause_beyond_the_deadline_is_not_waited_for),
        CALL_TEST(no_deadline_is_later_than_an_hour),
        CALL_TEST(an_identity_stays_and_its_lowest_grows),
        CALL_TEST(until_it_is_known_a_client_gives_nothing_up),
        CALL_TEST(after_an_hour_of_rest_the_identity_is_new),
        CALL_TEST(a_cancelled_call_is_abandoned_untold),
        CALL_TEST(calls_at_once_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
