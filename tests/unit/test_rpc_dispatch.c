/* SPDX-License-Identifier: MIT */
/* Where and whether calls run: at once, on the executor, after others, or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/dispatch.h"

#define ACCEPTED_MAX 16
#define CALLS_MAX    16

/* An environment whose work runs when the test says so. */
struct bench {
    struct strait_env env;
    uint64_t now_ns;
    struct strait_work *accepted[ACCEPTED_MAX];
    size_t accepted_count, accepted_max;
    struct rpc_dispatcher *rpc;
    struct rpc_job *begun; /* the last deferred one */
    uint64_t begun_deadline_ns;
    bool answers_late; /* what is cancelled */
    int ran;           /* runs of procedures */
    int cancelled;     /* streams */
    int released;      /* contexts */
};

/* What a call was answered. */
struct answer {
    int times;
    enum rpc_code code;
    uint32_t result;
};

static struct bench *bench_of(struct strait_env *env)
{
    return (struct bench *)(void *)((char *)env - offsetof(struct bench, env));
}

static uint64_t env_now(struct strait_env *env)
{
    return bench_of(env)->now_ns;
}

static int env_execute(struct strait_env *env, struct strait_work *work)
{
    struct bench *b = bench_of(env);
    errno = EAGAIN;
    if (b->accepted_count == b->accepted_max)
        return -1;
    b->accepted[b->accepted_count++] = work;
    return 0;
}

/* Lets the work run that was accepted first. */
static void work(struct bench *b)
{
    assert_true(b->accepted_count > 0);
    struct strait_work *first = b->accepted[0];
    memmove(b->accepted, b->accepted + 1, --b->accepted_count * sizeof(b->accepted[0]));
    first->run(first);
    first->done(first);
}

/* Returns the number that it was given; 13 is an error. */
static enum rpc_code same(void *context, const uint8_t *arguments, uint8_t *result)
{
    struct bench *b = context;
    b->ran++;
    if (rpc_get32(arguments) == 13)
        return RPC_OUT_OF_RANGE;
    memcpy(result, arguments, 4);
    return RPC_OK;
}

static bool always(void *context, const uint8_t *arguments)
{
    (void)context, (void)arguments;
    return true;
}

/* Is answered at once if the number is even, else when the test says so. */
static void begin(void *context, struct rpc_job *job, const uint8_t *arguments)
{
    struct bench *b = context;
    b->ran++;
    if (rpc_get32(arguments) % 2 == 0)
        rpc_answer(job, RPC_OK, arguments);
    else
        b->begun = job;
}

/* Gives the message back; one of no bytes is an error that has something to say. */
static enum rpc_code repeat(void *context, const uint8_t *arguments, size_t argument_bytes,
                            struct rpc_result *result)
{
    ((struct bench *)context)->ran++;
    if (argument_bytes == 0) {
        result->text = "nothing";
        return RPC_INVALID_ARGUMENT;
    }
    result->bytes = malloc(argument_bytes);
    assert_non_null(result->bytes);
    memcpy(result->bytes, arguments, argument_bytes);
    result->length = argument_bytes;
    return RPC_OK;
}

/* Sends each message back, and ends with its client. */
static void echo_message(void *context, struct rpc_job *job, const uint8_t *bytes, size_t length)
{
    (void)context;
    rpc_send(job, bytes, length);
}

static void echo_finished(void *context, struct rpc_job *job)
{
    (void)context;
    rpc_end(job, RPC_ABORTED, "over");
}

static void echo_room(void *context, struct rpc_job *job)
{
    (void)context;
    rpc_send(job, (const uint8_t *)"room", 4);
}

static void echo_cancelled(void *context, struct rpc_job *job)
{
    (void)job;
    ((struct bench *)context)->cancelled++;
}

static const struct rpc_streaming echoing = {.message = echo_message,
                                             .finished = echo_finished,
                                             .room = echo_room,
                                             .cancelled = echo_cancelled};

/* Gives an empty message back at once, others when the test says so; notes when time is over. */
static void begin_message(void *context, struct rpc_job *job, const uint8_t *arguments,
                          size_t argument_bytes)
{
    struct bench *b = context;
    struct rpc_result result = {.text = "early"};
    (void)arguments;
    b->ran++;
    assert_null(*rpc_job_state(job));
    *rpc_job_state(job) = b;
    b->begun_deadline_ns = rpc_job_deadline(job);
    if (argument_bytes == 0)
        rpc_answer_message(job, RPC_ABORTED, &result);
    else
        b->begun = job;
}

static void message_cancelled(void *context, struct rpc_job *job)
{
    struct bench *b = context;
    assert_ptr_equal(*rpc_job_state(job), b);
    b->cancelled++;
    if (!b->answers_late)
        rpc_answer_message(job, RPC_CANCELLED, &(struct rpc_result){0});
}

enum { QUICK = 1, LONG, DEFERRED, MESSAGES = 3, LONG_MESSAGES, STREAMING, WAITING, PROCEDURES };

static const struct rpc_procedure procedures[] = {
    {.id = QUICK, .name = "quick", .argument_bytes = 4, .result_bytes = 4, .run = same},
    {.id = LONG,
     .name = "long",
     .argument_bytes = 4,
     .result_bytes = 4,
     .run = same,
     .is_long = always},
    {.id = DEFERRED, .name = "deferred", .argument_bytes = 4, .result_bytes = 4, .begin = begin},
    [MESSAGES] = {.name = "messages",
                  .argument_bytes = RPC_ANY_SIZE,
                  .result_bytes = RPC_ANY_SIZE,
                  .handle = repeat},
    [LONG_MESSAGES] = {.name = "long messages",
                       .argument_bytes = RPC_ANY_SIZE,
                       .result_bytes = RPC_ANY_SIZE,
                       .handle = repeat,
                       .handle_is_long = true},
    [STREAMING] = {.name = "streaming",
                   .argument_bytes = RPC_ANY_SIZE,
                   .result_bytes = RPC_ANY_SIZE,
                   .streaming = &echoing},
    [WAITING] = {.name = "waiting",
                 .argument_bytes = RPC_ANY_SIZE,
                 .result_bytes = RPC_ANY_SIZE,
                 .begin_message = begin_message,
                 .cancelled = message_cancelled},
};

static void released(void *context)
{
    ((struct bench *)context)->released++;
}

static struct bench *bench_new(unsigned parallel_max, unsigned queue_max)
{
    struct bench *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    b->env = (struct strait_env){.size = sizeof(b->env), .now = env_now, .execute = env_execute};
    b->now_ns = 1000 * RPC_S;
    b->accepted_max = ACCEPTED_MAX;
    b->rpc = rpc_new(&b->env);
    const struct rpc_service service = {
        .name = "same",
        .procedures = procedures,
        .count = PROCEDURES,
        .context = b,
        .release = released,
        .parallel_max = parallel_max,
        .queue_max = queue_max,
    };
    assert_int_equal(rpc_register(b->rpc, &service), 0);
    return b;
}

static void bench_free(struct bench *b)
{
    if (b->rpc)
        rpc_free(b->rpc);
    assert_int_equal(b->released, 1);
    assert_int_equal(b->accepted_count, 0);
    free(b);
}

static void answered(void *owner, enum rpc_code code, const uint8_t *result, size_t result_bytes)
{
    struct answer *a = owner;
    a->times++;
    a->code = code;
    assert_int_equal(result_bytes, code == RPC_OK ? 4 : 0);
    a->result = result ? rpc_get32(result) : 0;
}

static struct rpc_job *call(struct bench *b, uint32_t id, uint32_t argument, uint64_t in_ns,
                            struct answer *a)
{
    uint8_t bytes[4];
    rpc_put32(bytes, argument);
    *a = (struct answer){0};
    return call_server_stub(b->rpc, id, bytes, b->now_ns + in_ns, answered, a);
}

static void expect(const struct answer *a, enum rpc_code code, uint32_t result)
{
    assert_int_equal(a->times, 1);
    assert_int_equal(a->code, code);
    assert_int_equal(a->result, result);
}

static void a_quick_call_is_answered_at_once(void **state)
{
    (void)state;
    struct bench *b = bench_new(0, 0);
    struct answer a;
    assert_null(call(b, QUICK, 7, RPC_S, &a));
    expect(&a, RPC_OK, 7);
    assert_null(call(b, QUICK, 13, RPC_S, &a));
    expect(&a, RPC_OUT_OF_RANGE, 0);
    assert_null(call(b, 99, 7, RPC_S, &a));
    expect(&a, RPC_UNIMPLEMENTED, 0);
    assert_int_equal(b->accepted_count, 0);
    const struct rpc_counters *c = rpc_counters(b->rpc);
    assert_int_equal(c->calls, 3);
    assert_int_equal(c->results, 1);
    assert_int_equal(c->errors, 1);
    assert_int_equal(c->unknown, 1);
    bench_free(b);
}

static void what_has_expired_does_not_run(void **state)
{
    (void)state;
    struct bench *b = bench_new(1, 0);
    struct answer a, first, second;
    assert_null(call(b, QUICK, 7, 0, &a));
    expect(&a, RPC_DEADLINE_EXCEEDED, 0);
    assert_non_null(call(b, LONG, 1, 10 * RPC_S, &first));
    assert_non_null(call(b, LONG, 2, RPC_S, &second));
    b->now_ns += RPC_S; /* its deadline, while it waits for its turn */
    work(b);
    expect(&first, RPC_OK, 1);
    expect(&second, RPC_DEADLINE_EXCEEDED, 0);
    assert_int_equal(b->ran, 1);
    assert_int_equal(rpc_counters(b->rpc)->expired, 2);
    bench_free(b);
}

static void long_calls_run_a_few_at_a_time_in_order(void **state)
{
    (void)state;
    struct bench *b = bench_new(2, 0);
    struct answer a[4], quick;
    for (uint32_t i = 0; i < 4; i++)
        assert_non_null(call(b, LONG, i, 10 * RPC_S, &a[i]));
    assert_int_equal(b->accepted_count, 2);
    assert_null(call(b, QUICK, 7, RPC_S, &quick)); /* does not wait for them */
    expect(&quick, RPC_OK, 7);
    work(b);
    expect(&a[0], RPC_OK, 0);
    assert_int_equal(b->accepted_count, 2);
    for (int i = 0; i < 3; i++)
        work(b);
    for (uint32_t i = 0; i < 4; i++)
        expect(&a[i], RPC_OK, i);
    bench_free(b);
}

static void beyond_the_queue_calls_are_shed_at_once(void **state)
{
    (void)state;
    struct bench *b = bench_new(1, 2);
    struct answer a[4];
    for (uint32_t i = 0; i < 3; i++)
        assert_non_null(call(b, LONG, i, 10 * RPC_S, &a[i]));
    assert_null(call(b, LONG, 3, 10 * RPC_S, &a[3]));
    expect(&a[3], RPC_RESOURCE_EXHAUSTED, 0);
    work(b); /* now there is room again */
    assert_non_null(call(b, LONG, 3, 10 * RPC_S, &a[3]));
    for (int i = 0; i < 3; i++)
        work(b);
    expect(&a[3], RPC_OK, 3);
    assert_int_equal(rpc_counters(b->rpc)->shed, 1);
    bench_free(b);
}

/* A run takes 4 s: behind one that runs and one that waits, 5 s are too little and 10 s enough. */
static void a_call_that_would_come_too_late_is_shed_early(void **state)
{
    (void)state;
    struct bench *b = bench_new(1, 0);
    struct answer a[4];
    call(b, LONG, 0, 10 * RPC_S, &a[0]);
    b->now_ns += 4 * RPC_S;
    work(b);
    assert_non_null(call(b, LONG, 1, 2 * RPC_S, &a[1])); /* nothing runs: it may */
    assert_non_null(call(b, LONG, 2, 5 * RPC_S, &a[2]));
    assert_null(call(b, LONG, 3, 5 * RPC_S, &a[3]));
    expect(&a[3], RPC_RESOURCE_EXHAUSTED, 0);
    assert_non_null(call(b, LONG, 3, 10 * RPC_S, &a[3]));
    for (int i = 0; i < 3; i++)
        work(b);
    expect(&a[3], RPC_OK, 3);
    bench_free(b);
}

static void an_executor_without_room_sheds_too(void **state)
{
    (void)state;
    struct bench *b = bench_new(2, 0);
    struct answer a;
    b->accepted_max = 0;
    assert_null(call(b, LONG, 1, RPC_S, &a));
    expect(&a, RPC_RESOURCE_EXHAUSTED, 0);
    bench_free(b);
}

static void a_cancelled_call_that_waits_does_not_run(void **state)
{
    (void)state;
    struct bench *b = bench_new(1, 0);
    struct answer a[3];
    struct rpc_job *jobs[3];
    for (uint32_t i = 0; i < 3; i++)
        jobs[i] = call(b, LONG, i, 10 * RPC_S, &a[i]);
    rpc_cancel(jobs[0]); /* it runs: that is not to be stopped, but nobody hears of it */
    rpc_cancel(jobs[1]);
    work(b);
    work(b);
    assert_int_equal(b->ran, 2);
    assert_int_equal(a[0].times, 0);
    assert_int_equal(a[1].times, 0);
    expect(&a[2], RPC_OK, 2);
    assert_int_equal(rpc_counters(b->rpc)->cancelled, 2);
    assert_int_equal(rpc_counters(b->rpc)->unheard, 1);
    bench_free(b);
}

static void a_procedure_may_answer_now_or_later(void **state)
{
    (void)state;
    struct bench *b = bench_new(1, 0);
    struct answer a[3];
    assert_null(call(b, DEFERRED, 2, RPC_S, &a[0]));
    expect(&a[0], RPC_OK, 2);
    assert_non_null(call(b, DEFERRED, 3, RPC_S, &a[0]));
    for (uint32_t i = 1; i < 3; i++)
        assert_non_null(call(b, DEFERRED, 2 * i, RPC_S, &a[i])); /* behind it */
    assert_int_equal(a[0].times, 0);
    rpc_answer(b->begun, RPC_OK, (const uint8_t *)"\0\0\0\7");
    expect(&a[0], RPC_OK, 7);
    expect(&a[1], RPC_OK, 2);
    expect(&a[2], RPC_OK, 4);
    struct rpc_job *job = call(b, DEFERRED, 5, RPC_S, &a[0]);
    rpc_cancel(job);
    rpc_answer(b->begun, RPC_INTERNAL, NULL);
    assert_int_equal(a[0].times, 0);
    bench_free(b);
}

static void the_end_waits_for_what_runs(void **state)
{
    (void)state;
    struct bench *b = bench_new(1, 0);
    struct answer a[2];
    call(b, LONG, 0, 10 * RPC_S, &a[0]);
    call(b, LONG, 1, 10 * RPC_S, &a[1]);
    rpc_free(b->rpc);
    b->rpc = NULL;
    assert_int_equal(b->released, 0);
    work(b);
    assert_int_equal(a[0].times, 0);
    assert_int_equal(b->ran, 1);
    bench_free(b);
}

static void a_crash_does_not_wait(void **state)
{
    (void)state;
    struct bench *b = bench_new(1, 0);
    struct answer a[2];
    call(b, LONG, 0, 10 * RPC_S, &a[0]);
    call(b, LONG, 1, 10 * RPC_S, &a[1]);
    b->accepted_count = 0;
    rpc_crash(b->rpc);
    b->rpc = NULL;
    bench_free(b);
}

/* ---- Messages ---- */

/* What a call of a procedure of messages was answered. */
struct heard {
    int messages, ends;
    enum rpc_code code;
    char text[16];
    size_t length;
    bool full;
};

static void note(struct heard *h, const uint8_t *bytes, size_t length)
{
    assert_true(length < sizeof(h->text));
    h->length = length;
    if (length > 0)
        memcpy(h->text, bytes, length);
    h->text[length] = '\0';
}

static void heard_end(void *owner, enum rpc_code code, const uint8_t *result, size_t length)
{
    struct heard *h = owner;
    h->ends++;
    h->code = code;
    note(h, result, length);
}

static bool heard_message(void *owner, const uint8_t *bytes, size_t length)
{
    struct heard *h = owner;
    h->messages++;
    note(h, bytes, length);
    return !h->full;
}

static struct rpc_job *run(struct bench *b, int procedure, const char *text, struct heard *h)
{
    *h = (struct heard){0};
    return rpc_run(b->rpc, &procedures[procedure], (const uint8_t *)text, strlen(text),
                   b->now_ns + RPC_S, heard_end, h);
}

static void messages_of_any_size_are_answered(void **state)
{
    (void)state;
    struct bench *b = bench_new(1, 0);
    struct heard h;
    assert_null(run(b, MESSAGES, "any size", &h));
    assert_int_equal(h.code, RPC_OK);
    assert_string_equal(h.text, "any size");
    assert_null(run(b, MESSAGES, "", &h));
    assert_int_equal(h.code, RPC_INVALID_ARGUMENT);
    assert_string_equal(h.text, "nothing");
    bench_free(b);
}

static void long_calls_of_messages_run_on_the_executor(void **state)
{
    (void)state;
    struct bench *b = bench_new(1, 0);
    struct heard h, cancelled;
    assert_non_null(run(b, LONG_MESSAGES, "later", &h));
    struct rpc_job *job = run(b, LONG_MESSAGES, "never", &cancelled);
    assert_int_equal(b->ran, 0);
    rpc_cancel(job);
    work(b);
    assert_string_equal(h.text, "later");
    assert_int_equal(cancelled.ends, 0);
    assert_int_equal(b->ran, 1);
    bench_free(b);
}

static void a_stream_carries_messages_both_ways_until_it_ends(void **state)
{
    (void)state;
    static const struct rpc_reader reader = {.message = heard_message, .ended = heard_end};
    struct bench *b = bench_new(1, 0);
    struct heard h = {0};
    struct rpc_job *job = rpc_stream(b->rpc, &procedures[STREAMING], &reader, &h);
    assert_non_null(job);
    rpc_stream_message(job, (const uint8_t *)"one", 3);
    assert_string_equal(h.text, "one");
    rpc_stream_room(job);
    assert_string_equal(h.text, "room");
    assert_int_equal(h.messages, 2);
    rpc_stream_finished(job);
    assert_int_equal(h.ends, 1);
    assert_int_equal(h.code, RPC_ABORTED);
    assert_string_equal(h.text, "over");
    assert_int_equal(b->cancelled, 0);
    bench_free(b);
}

static void a_stream_that_is_left_is_told(void **state)
{
    (void)state;
    static const struct rpc_reader reader = {.message = heard_message, .ended = heard_end};
    struct bench *b = bench_new(1, 0);
    struct heard h = {0};
    rpc_cancel(rpc_stream(b->rpc, &procedures[STREAMING], &reader, &h));
    assert_int_equal(b->cancelled, 1);
    rpc_stream(b->rpc, &procedures[STREAMING], &reader, &h); /* the end of the dispatcher is its */
    rpc_free(b->rpc);
    b->rpc = NULL;
    assert_int_equal(b->cancelled, 2);
    assert_int_equal(h.ends, 0);
    bench_free(b);
}

static void streams_have_a_bound(void **state)
{
    (void)state;
    static const struct rpc_reader reader = {.message = heard_message, .ended = heard_end};
    struct bench *b = bench_new(1, 0);
    struct heard h = {0};
    for (int i = 0; i < RPC_STREAMS_MAX; i++)
        assert_non_null(rpc_stream(b->rpc, &procedures[STREAMING], &reader, &h));
    assert_null(rpc_stream(b->rpc, &procedures[STREAMING], &reader, &h));
    assert_int_equal(rpc_counters(b->rpc)->shed, 1);
    bench_free(b);
}

static void a_procedure_of_messages_may_answer_now_or_later(void **state)
{
    (void)state;
    struct bench *b = bench_new(2, 0);
    struct heard h;
    assert_null(run(b, WAITING, "", &h));
    assert_int_equal(h.ends, 1);
    assert_int_equal(h.code, RPC_ABORTED);
    assert_string_equal(h.text, "early");
    struct rpc_job *job = run(b, WAITING, "later", &h);
    assert_non_null(job);
    assert_ptr_equal(job, b->begun);
    assert_true(b->begun_deadline_ns == b->now_ns + RPC_S);
    assert_int_equal(h.ends, 0);
    struct rpc_result result = {.bytes = (uint8_t *)strdup("done"), .length = 4};
    assert_non_null(result.bytes);
    rpc_answer_message(job, RPC_OK, &result);
    assert_int_equal(h.ends, 1);
    assert_int_equal(h.code, RPC_OK);
    assert_string_equal(h.text, "done");
    assert_int_equal(b->accepted_count, 0);
    bench_free(b);
}

/* Whoever waits for others has to be told: the others are asked in vain. */
static void a_procedure_that_waits_is_told_when_nobody_else_does(void **state)
{
    (void)state;
    struct bench *b = bench_new(1, 0);
    struct heard first, second;
    struct rpc_job *job = run(b, WAITING, "one", &first);
    assert_non_null(run(b, WAITING, "two", &second));
    assert_int_equal(b->ran, 1);
    rpc_cancel(job); /* it answers, so that the next one has its turn */
    assert_int_equal(b->cancelled, 1);
    assert_int_equal(b->ran, 2);
    assert_int_equal(rpc_counters(b->rpc)->unheard, 1);
    b->answers_late = true;
    job = b->begun;
    rpc_cancel(job);
    assert_int_equal(b->cancelled, 2);
    rpc_answer_message(job, RPC_CANCELLED, &(struct rpc_result){0});
    assert_int_equal(first.ends + second.ends, 0);
    bench_free(b);
}

static void the_end_and_a_crash_tell_procedures_that_wait(void **state)
{
    (void)state;
    for (int crash = 0; crash < 2; crash++) {
        struct bench *b = bench_new(2, 0);
        struct heard first, second;
        assert_non_null(run(b, WAITING, "one", &first));
        assert_non_null(run(b, WAITING, "two", &second));
        if (crash)
            rpc_crash(b->rpc);
        else
            rpc_free(b->rpc);
        b->rpc = NULL;
        assert_int_equal(b->cancelled, 2);
        assert_int_equal(first.ends + second.ends, 0);
        bench_free(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quick_call_is_answered_at_once),
        cmocka_unit_test(what_has_expired_does_not_run),
        cmocka_unit_test(long_calls_run_a_few_at_a_time_in_order),
        cmocka_unit_test(beyond_the_queue_calls_are_shed_at_once),
        cmocka_unit_test(a_call_that_would_come_too_late_is_shed_early),
        cmocka_unit_test(an_executor_without_room_sheds_too),
        cmocka_unit_test(a_cancelled_call_that_waits_does_not_run),
        cmocka_unit_test(a_procedure_may_answer_now_or_later),
        cmocka_unit_test(the_end_waits_for_what_runs),
        cmocka_unit_test(a_crash_does_not_wait),
        cmocka_unit_test(messages_of_any_size_are_answered),
        cmocka_unit_test(long_calls_of_messages_run_on_the_executor),
        cmocka_unit_test(a_stream_carries_messages_both_ways_until_it_ends),
        cmocka_unit_test(a_stream_that_is_left_is_told),
        cmocka_unit_test(streams_have_a_bound),
        cmocka_unit_test(a_procedure_of_messages_may_answer_now_or_later),
        cmocka_unit_test(a_procedure_that_waits_is_told_when_nobody_else_does),
        cmocka_unit_test(the_end_and_a_crash_tell_procedures_that_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
