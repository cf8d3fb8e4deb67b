/* SPDX-License-Identifier: MIT */
/* The textbook's cases of two-phase commit, one after another; play.h says how they read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "play.h"

/* Key a is on both workers. Faults are as many as a test wants. */
#define TWO_WORKERS                                                                                \
    .coordinators = 2, .workers = 2, .crashes = 9, .coordinator_crashes = 9, .worker_crashes = 9,  \
    .losses = 1

static const struct scenario put = {
    TWO_WORKERS,
    .replicas = {3, 3},
    .requests = {{1, 0, 0, "a=1"}, {1, 0, 0, "a=2"}, {1, 0, 0, "a=3"}, {1, 0, 0, "a=4"}},
};

static const struct scenario rivals = {
    TWO_WORKERS,
    .replicas = {3, 3},
    .requests = {{1, 0, 0, "a=1"}, {2, 0, 0, "a=2"}},
};

/* Up to the VOTE-REQUESTs. */
static struct play *asked(const struct scenario *scenario)
{
    struct play *p = play(scenario);

    ask(p, 0);
    written(p, C(1));
    expect(p, KV_VOTE_REQUEST, 1, 1);
    expect(p, KV_VOTE_REQUEST, 1, 2);
    return p;
}

static void vote(struct play *p, uint32_t coordinator, uint32_t worker)
{
    deliver(p, KV_VOTE_REQUEST, coordinator, worker);
    written(p, W(worker));
    expect(p, KV_VOTE_COMMIT, worker, coordinator);
}

/* Up to the votes, which the coordinator has not heard. */
static struct play *voted(void)
{
    struct play *p = asked(&put);

    vote(p, 1, 1);
    vote(p, 1, 2);
    return p;
}

/* Up to the decision to commit, which the workers have not heard. */
static struct play *decided(void)
{
    struct play *p = voted();

    deliver(p, KV_VOTE_COMMIT, 1, 1);
    deliver(p, KV_VOTE_COMMIT, 2, 1);
    written(p, C(1));
    expect(p, KV_GLOBAL_COMMIT, 1, 1);
    expect(p, KV_GLOBAL_COMMIT, 1, 2);
    return p;
}

/* ---- No fault ---- */

static void all_commit(void **state)
{
    (void)state;
    struct play *p = play(&put);
    commit_all(p, 0, 1);
    assert_success(p, 0);
    assert_value(p, 1, 1, 0);
    assert_value(p, 2, 1, 0);
    assert_locks(p, 1, 0);
    assert_locks(p, 2, 0);
    finish(p);
    play_over(p);
}

static void one_aborts_and_nobody_commits(void **state)
{
    (void)state;
    static const struct scenario condition = {
        TWO_WORKERS, .requests = {{1, 0, 0, "a=1 b@5"}},
        .replicas = {3, 2}, /* b on worker 2 alone */
    };
    struct play *p = asked(&condition);
    vote(p, 1, 1);
    deliver(p, KV_VOTE_REQUEST, 1, 2);
    expect_vote_abort(p, 2, 1, KV_REASON_CONDITION);
    assert_locks(p, 2, 0);
    deliver(p, KV_VOTE_ABORT, 2, 1);
    assert_no_reply(p, 0); /* the decision is not durable */
    written(p, C(1));
    assert_failure(p, 0, KV_REASON_CONDITION);
    assert_int_equal(p->universe->reply.refusal.node, 2);
    assert_int_equal(p->universe->reply.refusal.operation, 1);
    expect(p, KV_GLOBAL_ABORT, 1, 1);
    expect(p, KV_GLOBAL_ABORT, 1, 2); /* END waits for it, too */
    finish(p);
    assert_value(p, 1, 0, 0);
    assert_value(p, 2, 0, 0);
    play_over(p);
}

static void success_is_told_before_all_acks_if_the_deadline_is_near(void **state)
{
    (void)state;
    struct play *p = decided();
    assert_no_reply(p, 0);
    deadline(p, C(1));
    assert_success(p, 0);
    expect(p, KV_GLOBAL_COMMIT, 1, 1);
    expect(p, KV_GLOBAL_COMMIT, 1, 2);
    assert_locks(p, 1, 1); /* so nobody reads the old value */
    finish(p);
    play_over(p);
}

/* ---- Time ---- */

static void a_vote_that_times_out_aborts(void **state)
{
    (void)state;
    struct play *p = asked(&put);
    vote(p, 1, 1);
    deliver(p, KV_VOTE_COMMIT, 1, 1);
    deadline(p, C(1));
    written(p, C(1));
    assert_failure(p, 0, KV_REASON_TIMEOUT);
    expect(p, KV_GLOBAL_ABORT, 1, 1);
    expect(p, KV_GLOBAL_ABORT, 1, 2);
    finish(p);
    assert_value(p, 1, 0, 0);
    assert_value(p, 2, 0, 0);
    play_over(p);
}

static void votes_that_are_missing_are_asked_for_again(void **state)
{
    (void)state;
    struct play *p = asked(&put);
    vote(p, 1, 1);
    deliver(p, KV_VOTE_COMMIT, 1, 1);
    timer(p, C(1));
    expect(p, KV_VOTE_REQUEST, 1, 2);
    finish(p);
    assert_success(p, 0);
    play_over(p);
}

static void a_late_vote_changes_no_decision(void **state)
{
    (void)state;
    struct play *p = voted();
    deliver(p, KV_VOTE_COMMIT, 1, 1);
    deadline(p, C(1));
    deliver(p, KV_VOTE_COMMIT, 2, 1);
    written(p, C(1));
    expect(p, KV_GLOBAL_ABORT, 1, 1);
    expect(p, KV_GLOBAL_ABORT, 1, 2);
    assert_failure(p, 0, KV_REASON_TIMEOUT);
    finish(p);
    play_over(p);
}

/* ---- A worker dies ---- */

static void a_worker_that_dies_before_its_vote_votes_when_it_is_asked_again(void **state)
{
    (void)state;
    struct play *p = asked(&put);
    vote(p, 1, 1);
    deliver(p, KV_VOTE_REQUEST, 1, 2);
    crash(p, W(2), 0); /* the PREPARE is lost */
    assert_phase(p, 2, 1, WORKER_FREE);
    assert_locks(p, 2, 0);
    timer(p, C(1));
    expect(p, KV_VOTE_REQUEST, 1, 1);
    expect(p, KV_VOTE_REQUEST, 1, 2);
    vote(p, 1, 2);
    finish(p);
    assert_success(p, 0);
    play_over(p);
}

static void a_worker_that_dies_after_its_vote_is_in_doubt_with_its_locks(void **state)
{
    (void)state;
    struct play *p = voted();
    crash(p, W(2), 0);
    assert_phase(p, 2, 1, WORKER_PREPARED);
    assert_locks(p, 2, 1);
    timer(p, W(2));
    expect(p, KV_INQUIRE_COORDINATOR, 2, 1);
    deliver(p, KV_INQUIRE_COORDINATOR, 2, 1);
    expect_answer(p, 1, 2, KV_PENDING);
    deliver(p, KV_VOTE_COMMIT, 1, 1);
    deliver(p, KV_VOTE_COMMIT, 2, 1);
    written(p, C(1));
    expect(p, KV_GLOBAL_COMMIT, 1, 1);
    expect(p, KV_GLOBAL_COMMIT, 1, 2);
    deliver(p, KV_INQUIRE_COORDINATOR, 2, 1);
    expect_answer(p, 1, 2, KV_COMMITTED);
    deliver(p, KV_ANSWER, 1, 2);
    written(p, W(2));
    expect(p, KV_ACK, 2, 1);
    assert_value(p, 2, 1, 0);
    finish(p);
    play_over(p);
}

static void a_worker_that_dies_after_the_decision_acknowledges_it_again(void **state)
{
    (void)state;
    struct play *p = decided();
    deliver(p, KV_GLOBAL_COMMIT, 1, 2);
    crash(p, W(2), 1); /* the COMMIT is durable, the ACK not sent */
    assert_phase(p, 2, 1, WORKER_COMMITTED);
    assert_locks(p, 2, 0);
    assert_value(p, 2, 1, 0);
    timer(p, C(1));
    expect(p, KV_GLOBAL_COMMIT, 1, 1);
    expect(p, KV_GLOBAL_COMMIT, 1, 2);
    deliver(p, KV_GLOBAL_COMMIT, 1, 2);
    expect(p, KV_ACK, 2, 1);
    assert_value(p, 2, 1, 0); /* not carried out twice */
    finish(p);
    play_over(p);
}

static void a_worker_that_lost_its_journal_stops_at_a_commit(void **state)
{
    (void)state;
    struct play *p = decided();
    lose_journal(p, W(1));
    deliver(p, KV_GLOBAL_COMMIT, 1, 1);
    assert_int_equal(p->world.state.seen.stopped, 1); /* and no ACK */
    play_over(p);
}

/* ---- The coordinator dies ---- */

static void workers_in_doubt_are_blocked_until_the_coordinator_returns(void **state)
{
    (void)state;
    struct play *p = voted();
    timer(p, W(1));
    expect(p, KV_INQUIRE_COORDINATOR, 1, 1); /* which is down, and stays silent */
    timer(p, W(1));
    expect(p, KV_INQUIRE_COORDINATOR, 1, 1);
    expect(p, KV_INQUIRE_PARTICIPANT, 1, 2);
    deliver(p, KV_INQUIRE_PARTICIPANT, 1, 2);
    expect_answer(p, 2, 1, KV_PENDING); /* it has voted, and does not know more */
    deliver(p, KV_ANSWER, 2, 1);
    assert_phase(p, 1, 1, WORKER_PREPARED);
    assert_locks(p, 1, 1);
    assert_locks(p, 2, 1);
    crash(p, C(1), 0);
    deliver(p, KV_VOTE_COMMIT, 1, 1);
    deliver(p, KV_VOTE_COMMIT, 2, 1); /* of an earlier incarnation: too late */
    written(p, C(1));                 /* START */
    written(p, C(1));                 /* ABORT */
    expect(p, KV_GLOBAL_ABORT, 1, 1);
    expect(p, KV_GLOBAL_ABORT, 1, 2);
    finish(p);
    assert_locks(p, 1, 0);
    assert_locks(p, 2, 0);
    assert_value(p, 1, 0, 0);
    play_over(p);
}

static void a_participant_that_has_not_voted_ends_the_doubt_with_a_tombstone(void **state)
{
    (void)state;
    struct play *p = asked(&put);
    vote(p, 1, 1);
    timer(p, W(1));
    expect(p, KV_INQUIRE_COORDINATOR, 1, 1);
    timer(p, W(1));
    expect(p, KV_INQUIRE_COORDINATOR, 1, 1);
    expect(p, KV_INQUIRE_PARTICIPANT, 1, 2);
    deliver(p, KV_INQUIRE_PARTICIPANT, 1, 2);
    expect_answer(p, 2, 1, KV_PENDING);
    written(p, W(2));
    expect(p, KV_ACK, 2, 1);
    deliver(p, KV_INQUIRE_PARTICIPANT, 1, 2);
    expect_answer(p, 2, 1, KV_ABORTED);
    deliver(p, KV_ANSWER, 2, 1);
    written(p, W(1));
    expect(p, KV_ACK, 1, 1);
    assert_locks(p, 1, 0);
    deliver(p, KV_VOTE_REQUEST, 1, 2); /* comes late, and is refused */
    expect_vote_abort(p, 2, 1, KV_REASON_ABORTED);
    finish(p);
    assert_failure(p, 0, KV_REASON_ABORTED);
    play_over(p);
}

static void a_participant_with_a_prepare_in_its_queue_promises_no_abort(void **state)
{
    (void)state;
    struct play *p = asked(&put);
    vote(p, 1, 1);
    deliver(p, KV_VOTE_REQUEST, 1, 2);
    timer(p, W(1));
    expect(p, KV_INQUIRE_COORDINATOR, 1, 1);
    timer(p, W(1));
    expect(p, KV_INQUIRE_COORDINATOR, 1, 1);
    expect(p, KV_INQUIRE_PARTICIPANT, 1, 2);
    deliver(p, KV_INQUIRE_PARTICIPANT, 1, 2);
    expect_answer(p, 2, 1, KV_PENDING);
    written(p, W(2));
    expect(p, KV_VOTE_COMMIT, 2, 1);
    finish(p);
    assert_success(p, 0);
    play_over(p);
}

static void a_coordinator_that_dies_after_its_decision_drives_it_to_the_end(void **state)
{
    (void)state;
    struct play *p = voted();
    deliver(p, KV_VOTE_COMMIT, 1, 1);
    deliver(p, KV_VOTE_COMMIT, 2, 1);
    crash(p, C(1), 1); /* the COMMIT is durable, nothing is told */
    expect(p, KV_GLOBAL_COMMIT, 1, 1);
    expect(p, KV_GLOBAL_COMMIT, 1, 2);
    finish(p);
    assert_value(p, 1, 1, 0);
    assert_value(p, 2, 1, 0);
    assert_no_reply(p, 0); /* its client is gone */
    play_over(p);
}

static void a_decision_that_is_not_durable_is_lost_with_the_coordinator(void **state)
{
    (void)state;
    struct play *p = voted();
    deliver(p, KV_VOTE_COMMIT, 1, 1);
    deliver(p, KV_VOTE_COMMIT, 2, 1);
    crash(p, C(1), 0);
    finish(p);
    assert_value(p, 1, 0, 0);
    assert_value(p, 2, 0, 0);
    play_over(p);
}

/* ---- Two coordinators ---- */

static void two_coordinators_that_write_one_key_may_both_fail(void **state)
{
    (void)state;
    struct play *p = asked(&rivals);
    ask(p, 1);
    written(p, C(2));
    expect(p, KV_VOTE_REQUEST, 2, 1);
    expect(p, KV_VOTE_REQUEST, 2, 2);
    vote(p, 1, 1);
    vote(p, 2, 2);
    deliver(p, KV_VOTE_REQUEST, 2, 1);
    expect_vote_abort(p, 1, 2, KV_REASON_LOCKED);
    deliver(p, KV_VOTE_REQUEST, 1, 2);
    expect_vote_abort(p, 2, 1, KV_REASON_LOCKED);
    deliver(p, KV_VOTE_ABORT, 1, 2);
    written(p, C(2));
    assert_failure(p, 1, KV_REASON_LOCKED);
    assert_int_equal(p->universe->reply.refusal.holder.coordinator, 1);
    expect(p, KV_GLOBAL_ABORT, 2, 1);
    expect(p, KV_GLOBAL_ABORT, 2, 2);
    deliver(p, KV_VOTE_ABORT, 2, 1);
    written(p, C(1));
    assert_failure(p, 0, KV_REASON_LOCKED);
    assert_int_equal(p->universe->reply.refusal.holder.coordinator, 2);
    expect(p, KV_GLOBAL_ABORT, 1, 1);
    expect(p, KV_GLOBAL_ABORT, 1, 2);
    finish(p);
    assert_value(p, 1, 0, 0); /* the key stays empty, everywhere */
    assert_value(p, 2, 0, 0);
    assert_locks(p, 1, 0);
    assert_locks(p, 2, 0);
    play_over(p);
}

static void of_two_coordinators_one_wins(void **state)
{
    (void)state;
    struct play *p = asked(&rivals);
    ask(p, 1);
    written(p, C(2));
    expect(p, KV_VOTE_REQUEST, 2, 1);
    expect(p, KV_VOTE_REQUEST, 2, 2);
    vote(p, 1, 1);
    vote(p, 1, 2);
    deliver(p, KV_VOTE_REQUEST, 2, 1);
    expect_vote_abort(p, 1, 2, KV_REASON_LOCKED);
    finish(p);
    assert_success(p, 0);
    assert_false(p->world.state.seen.requests[1].success);
    assert_value(p, 1, 1, 0);
    assert_value(p, 2, 1, 0);
    play_over(p);
}

/* ---- Messages that come twice, or late ---- */

/* Delivers a message of the straight course, and again: the second one changes nothing. */
static void deliver_twice(struct play *p, enum kv_message_kind kind, uint32_t from, uint32_t to)
{
    uint8_t once[ENCODED_MAX], twice[ENCODED_MAX];

    deliver(p, kind, from, to);
    for (uint32_t i = 0; i < MESSAGES_MAX / 64; i++)
        p->universe->said[i] = 0;
    size_t length = world_encode(&p->world, once);
    deliver(p, kind, from, to);
    for (uint32_t i = 0; i < MESSAGES_MAX / 64; i++)
        p->universe->said[i] = 0;
    assert_int_equal(world_encode(&p->world, twice), length);
    assert_memory_equal(once, twice, length);
}

static void forget_what_was_sent(struct play *p)
{
    for (uint32_t i = 0; i < MESSAGES_MAX / 64; i++)
        p->universe->said[i] = 0;
}

static void a_duplicate_of_every_message_changes_nothing(void **state)
{
    (void)state;
    struct play *p = asked(&put);
    for (uint32_t worker = 1; worker <= 2; worker++) {
        deliver_twice(p, KV_VOTE_REQUEST, 1, worker);
        written(p, W(worker));
        forget_what_was_sent(p);
        deliver_twice(p, KV_VOTE_REQUEST, 1, worker); /* the same vote once more */
        deliver_twice(p, KV_VOTE_COMMIT, worker, 1);
    }
    written(p, C(1));
    forget_what_was_sent(p);
    for (uint32_t worker = 1; worker <= 2; worker++) {
        deliver_twice(p, KV_VOTE_COMMIT, worker, 1);
        deliver_twice(p, KV_GLOBAL_COMMIT, 1, worker);
        written(p, W(worker));
        forget_what_was_sent(p);
        deliver_twice(p, KV_GLOBAL_COMMIT, 1, worker);
        deliver_twice(p, KV_VOTE_REQUEST, 1, worker);
    }
    deliver_twice(p, KV_ACK, 1, 1);
    deliver_twice(p, KV_ACK, 2, 1);
    assert_success(p, 0);
    deliver_twice(p, KV_MARK, 1, 1);
    assert_value(p, 1, 1, 0);
    finish(p);
    play_over(p);
}

static void a_late_vote_request_for_what_is_forgotten_is_refused(void **state)
{
    (void)state;
    struct play *p = play(&put);
    commit_all(p, 0, 1);
    deliver(p, KV_MARK, 1, 1);
    assert_phase(p, 1, 1, WORKER_FREE); /* it is below the mark */
    deliver(p, KV_VOTE_REQUEST, 1, 1);
    assert_phase(p, 1, 1, WORKER_FREE);
    assert_locks(p, 1, 0);
    crash(p, W(1), 1); /* the row of the mark */
    deliver(p, KV_VOTE_REQUEST, 1, 1);
    assert_phase(p, 1, 1, WORKER_FREE);
    deliver(p, KV_GLOBAL_COMMIT, 1, 1); /* and a decision acknowledged */
    expect(p, KV_ACK, 1, 1);
    assert_value(p, 1, 1, 0);
    finish(p);
    play_over(p);
}

static void a_late_vote_request_after_an_abort_is_refused(void **state)
{
    (void)state;
    struct play *p = asked(&put);
    deadline(p, C(1));
    written(p, C(1));
    expect(p, KV_GLOBAL_ABORT, 1, 1);
    expect(p, KV_GLOBAL_ABORT, 1, 2);
    deliver(p, KV_GLOBAL_ABORT, 1, 1);
    written(p, W(1));
    expect(p, KV_ACK, 1, 1);
    crash(p, W(1), 0);
    deliver(p, KV_VOTE_REQUEST, 1, 1);
    expect_vote_abort(p, 1, 1, KV_REASON_ABORTED);
    assert_locks(p, 1, 0);
    finish(p);
    play_over(p);
}

static void end_waits_for_every_ack(void **state)
{
    (void)state;
    struct play *p = decided();
    deliver(p, KV_GLOBAL_COMMIT, 1, 1);
    written(p, W(1));
    expect(p, KV_ACK, 1, 1);
    deliver(p, KV_ACK, 1, 1);
    deliver(p, KV_ACK, 1, 1);
    assert_no_reply(p, 0);
    assert_int_equal(coordinator_mark(world_coordinator(&p->world, 1)).sequence, 1);
    finish(p);
    assert_int_equal(coordinator_mark(world_coordinator(&p->world, 1)).sequence, 2);
    play_over(p);
}

/* ---- Reads, conditions, versions ---- */

static void a_read_of_a_locked_key_waits_until_it_is_resolved(void **state)
{
    (void)state;
    struct play *p = voted();
    world_read(&p->world, 1, 0);
    assert_int_equal(p->universe->read.count, 0);
    expect(p, KV_INQUIRE_COORDINATOR, 1, 1);
    world_read(&p->world, 1, 0); /* no room for another one that waits */
    assert_int_equal(p->universe->read.count, 1);
    assert_int_equal(p->universe->read.reason, KV_REASON_BUSY);
    world_read(&p->world, 1, 1); /* another key is free */
    assert_int_equal(p->universe->read.count, 2);
    assert_false(p->universe->read.result.found);
    deliver(p, KV_VOTE_COMMIT, 1, 1);
    deliver(p, KV_VOTE_COMMIT, 2, 1);
    written(p, C(1));
    expect(p, KV_GLOBAL_COMMIT, 1, 1);
    expect(p, KV_GLOBAL_COMMIT, 1, 2);
    deliver(p, KV_GLOBAL_COMMIT, 1, 1);
    assert_int_equal(p->universe->read.count, 2);
    written(p, W(1));
    expect(p, KV_ACK, 1, 1);
    assert_int_equal(p->universe->read.count, 3);
    assert_int_equal(p->universe->read.reason, KV_REASON_NONE);
    assert_true(p->universe->read.result.found);
    assert_int_equal(p->universe->read.result.version, 1);
    finish(p);
    play_over(p);
}

static void a_transaction_reads_under_its_lock(void **state)
{
    (void)state;
    static const struct scenario read = {
        TWO_WORKERS,
        .replicas = {3, 3},
        .requests = {{1, 0, 0, "a=7"}, {1, 0, 0, "a? b=2"}},
    };
    struct play *p = play(&read);
    commit_all(p, 0, 1);
    commit_all(p, 1, 1);
    assert_success(p, 1);
    assert_true(p->universe->reply.results[0].found);
    assert_int_equal(p->universe->reply.results[0].version, 1);
    assert_memory_equal(p->universe->reply.results[0].value->bytes, "7", 1);
    assert_int_equal(p->universe->reply.results[1].version, 1); /* of what it wrote */
    finish(p);
    play_over(p);
}

static void the_version_of_a_deleted_key_does_not_come_again(void **state)
{
    (void)state;
    static const struct scenario deletion = {
        TWO_WORKERS,
        .replicas = {3, 3},
        .requests = {{1, 0, 0, "a=1"}, {1, 0, 0, "a-"}, {1, 0, 0, "a@0 b=1"}, {1, 0, 0, "a=2"}},
    };
    struct play *p = play(&deletion);
    commit_all(p, 0, 1);
    commit_all(p, 1, 1);
    assert_true(p->universe->reply.results[0].found);
    world_read(&p->world, 2, 0);
    assert_false(p->universe->read.result.found);
    commit_all(p, 2, 1); /* to a condition it is a key that is not there */
    commit_all(p, 3, 1);
    assert_int_equal(p->universe->reply.results[0].version, 3);
    finish(p);
    play_over(p);
}

/* ---- Exactly once ---- */

static void a_retry_of_what_has_committed_is_answered_and_not_carried_out(void **state)
{
    (void)state;
    static const struct scenario retry = {
        TWO_WORKERS,
        .replicas = {3, 3},
        .requests = {{1, 7, 1, "a=1"}, {2, 7, 1, "a=1"}},
    };
    struct play *p = play(&retry);
    commit_all(p, 0, 1);
    ask(p, 1);
    written(p, C(2));
    expect(p, KV_VOTE_REQUEST, 2, 1);
    expect(p, KV_VOTE_REQUEST, 2, 2);
    deliver(p, KV_VOTE_REQUEST, 2, 1);
    expect_vote_abort(p, 1, 2, KV_REASON_ALREADY);
    deliver(p, KV_VOTE_ABORT, 1, 2);
    written(p, C(2));
    assert_success(p, 1);
    assert_int_equal(p->universe->reply.refusal.reason, KV_REASON_ALREADY);
    assert_int_equal(p->universe->reply.refusal.holder.coordinator, 1);
    assert_int_equal(p->universe->reply.results[0].version, 1); /* what it was told then */
    expect(p, KV_GLOBAL_ABORT, 2, 1);
    expect(p, KV_GLOBAL_ABORT, 2, 2);
    finish(p);
    assert_value(p, 1, 1, 0);
    assert_value(p, 2, 1, 0);
    play_over(p);
}

static void an_aborted_attempt_is_not_remembered(void **state)
{
    (void)state;
    static const struct scenario retry = {
        TWO_WORKERS,
        .replicas = {3, 3},
        .requests = {{1, 7, 1, "a=1"}, {2, 7, 1, "a=1"}},
    };
    struct play *p = asked(&retry);
    deadline(p, C(1));
    written(p, C(1));
    assert_failure(p, 0, KV_REASON_TIMEOUT);
    expect(p, KV_GLOBAL_ABORT, 1, 1);
    expect(p, KV_GLOBAL_ABORT, 1, 2);
    commit_all(p, 1, 2);
    assert_success(p, 1);
    finish(p);
    play_over(p);
}

/* ---- Limits ---- */

static void at_the_window_a_coordinator_refuses(void **state)
{
    (void)state;
    struct play *p = play(&put);
    for (uint32_t i = 0; i < 3; i++)
        ask(p, i);
    ask(p, 3);
    assert_failure(p, 3, KV_REASON_BUSY);
    assert_int_equal(p->universe->reply.refusal.node, 1);
    assert_int_equal(world_coordinator(&p->world, 1)->counters.refused_busy, 1);
    finish(p);
    play_over(p);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    static const struct scenario twice = {
        TWO_WORKERS,
        .replicas = {3, 3},
        .requests = {{1, 0, 0, "a=1 a=2"}},
    };
    struct play *p = play(&twice);
    ask(p, 0);
    assert_failure(p, 0, KV_REASON_INVALID);
    finish(p);
    play_over(p);
}

static void a_request_of_another_epoch_is_refused(void **state)
{
    (void)state;
    struct play *p = play(&put);
    p->universe->requests[0]->epoch = 2;
    ask(p, 0);
    written(p, C(1));
    expect(p, KV_VOTE_REQUEST, 1, 1);
    expect(p, KV_VOTE_REQUEST, 1, 2);
    deliver(p, KV_VOTE_REQUEST, 1, 1);
    expect_vote_abort(p, 1, 1, KV_REASON_EPOCH);
    finish(p);
    assert_failure(p, 0, KV_REASON_EPOCH);
    play_over(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_commit),
        cmocka_unit_test(one_aborts_and_nobody_commits),
        cmocka_unit_test(success_is_told_before_all_acks_if_the_deadline_is_near),
        cmocka_unit_test(a_vote_that_times_out_aborts),
        cmocka_unit_test(votes_that_are_missing_are_asked_for_again),
        cmocka_unit_test(a_late_vote_changes_no_decision),
        cmocka_unit_test(a_worker_that_dies_before_its_vote_votes_when_it_is_asked_again),
        cmocka_unit_test(a_worker_that_dies_after_its_vote_is_in_doubt_with_its_locks),
        cmocka_unit_test(a_worker_that_dies_after_the_decision_acknowledges_it_again),
        cmocka_unit_test(a_worker_that_lost_its_journal_stops_at_a_commit),
        cmocka_unit_test(workers_in_doubt_are_blocked_until_the_coordinator_returns),
        cmocka_unit_test(a_participant_that_has_not_voted_ends_the_doubt_with_a_tombstone),
        cmocka_unit_test(a_participant_with_a_prepare_in_its_queue_promises_no_abort),
        cmocka_unit_test(a_coordinator_that_dies_after_its_decision_drives_it_to_the_end),
        cmocka_unit_test(a_decision_that_is_not_durable_is_lost_with_the_coordinator),
        cmocka_unit_test(two_coordinators_that_write_one_key_may_both_fail),
        cmocka_unit_test(of_two_coordinators_one_wins),
        cmocka_unit_test(a_duplicate_of_every_message_changes_nothing),
        cmocka_unit_test(a_late_vote_request_for_what_is_forgotten_is_refused),
        cmocka_unit_test(a_late_vote_request_after_an_abort_is_refused),
        cmocka_unit_test(end_waits_for_every_ack),
        cmocka_unit_test(a_read_of_a_locked_key_waits_until_it_is_resolved),
        cmocka_unit_test(a_transaction_reads_under_its_lock),
        cmocka_unit_test(the_version_of_a_deleted_key_does_not_come_again),
        cmocka_unit_test(a_retry_of_what_has_committed_is_answered_and_not_carried_out),
        cmocka_unit_test(an_aborted_attempt_is_not_remembered),
        cmocka_unit_test(at_the_window_a_coordinator_refuses),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(a_request_of_another_epoch_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
