/* SPDX-License-Identifier: MIT */
#include "play.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "check.h"

struct play *play(const struct scenario *scenario)
{
    struct play *p = calloc(1, sizeof(*p));

    assert_non_null(p);
    p->universe = universe_new(scenario);
    world_init(&p->world, p->universe);
    return p;
}

static void nothing_else_was_sent(struct play *p)
{
    for (uint32_t i = 0; i < p->universe->message_count; i++) {
        const struct kv_message *m = &p->universe->messages[i];
        if (p->universe->said[i / 64] & (UINT64_C(1) << (i % 64)))
            fail_msg("%s from %u to %u was sent", kv_message_name(m->kind), m->from, m->to);
    }
}

void play_over(struct play *p)
{
    nothing_else_was_sent(p);
    universe_free(p->universe);
    free(p);
}

static void holds(struct play *p)
{
    if (p->universe->violation[0] == '\0')
        check_world(&p->world);
    if (p->universe->violation[0] != '\0')
        fail_msg("violated: %s", p->universe->violation);
}

static void make(struct play *p, enum move_kind kind, uint32_t machine, uint32_t argument,
                 bool late)
{
    nothing_else_was_sent(p);
    world_move(&p->world, (struct move){(uint8_t)kind, (uint8_t)machine, (uint8_t)argument, late});
    holds(p);
}

void ask(struct play *p, uint32_t request)
{
    make(p, MOVE_SUBMIT, 0, request, false);
}

void written(struct play *p, uint32_t machine)
{
    assert_true(p->world.state.queues[machine].length > 0);
    make(p, MOVE_SYNC, machine, 0, false);
}

void crash(struct play *p, uint32_t machine, uint32_t rows)
{
    make(p, MOVE_CRASH, machine, rows, false);
}

void lose_journal(struct play *p, uint32_t worker)
{
    make(p, MOVE_LOSE, worker, 0, false);
}

static bool is_in(const uint64_t set[MESSAGES_MAX / 64], uint32_t index)
{
    return set[index / 64] & (UINT64_C(1) << (index % 64));
}

/* The newest message of a set that is like this one. */
static uint32_t find(struct play *p, const uint64_t set[MESSAGES_MAX / 64],
                     const struct kv_message *like)
{
    struct universe *u = p->universe;

    for (uint32_t i = u->message_count; i > 0; i--) {
        const struct kv_message *m = &u->messages[i - 1];
        if (is_in(set, i - 1) && m->kind == like->kind && m->from == like->from &&
            m->to == like->to && m->refusal.reason == like->refusal.reason &&
            m->answer == like->answer)
            return i - 1;
    }
    fail_msg("no %s (%s, %s) from %u to %u", kv_message_name(like->kind),
             kv_reason_name(like->refusal.reason), kv_answer_name(like->answer), like->from,
             like->to);
    return 0;
}

void deliver(struct play *p, enum kv_message_kind kind, uint32_t from, uint32_t to)
{
    struct universe *u = p->universe;

    for (uint32_t i = u->message_count; i > 0; i--) {
        const struct kv_message *m = &u->messages[i - 1];
        if ((!is_in(p->world.state.sent, i - 1) && !is_in(u->idle, i - 1)) || m->kind != kind ||
            m->from != from || m->to != to)
            continue;
        make(p, MOVE_DELIVER, 0, i - 1, false);
        return;
    }
    fail_msg("no %s from %u to %u is under way", kv_message_name(kind), from, to);
}

static uint32_t armed_timer(struct play *p, uint32_t machine)
{
    uint16_t armed = p->world.state.armed[machine];

    assert_true(armed != 0 && (armed & (armed - 1)) == 0);
    return (uint32_t)__builtin_ctz(armed);
}

void timer(struct play *p, uint32_t machine)
{
    make(p, MOVE_TIMEOUT, machine, armed_timer(p, machine), false);
}

void deadline(struct play *p, uint32_t machine)
{
    make(p, MOVE_TIMEOUT, machine, armed_timer(p, machine), true);
}

/* ---- What was sent ---- */

static void expect_like(struct play *p, struct kv_message like)
{
    uint32_t index = find(p, p->universe->said, &like);

    p->universe->said[index / 64] &= ~(UINT64_C(1) << (index % 64));
}

void expect(struct play *p, enum kv_message_kind kind, uint32_t from, uint32_t to)
{
    expect_like(p, (struct kv_message){.kind = kind, .from = from, .to = to});
}

void expect_vote_abort(struct play *p, uint32_t from, uint32_t to, enum kv_reason reason)
{
    expect_like(p, (struct kv_message){
                       .kind = KV_VOTE_ABORT, .from = from, .to = to, .refusal.reason = reason});
}

void expect_answer(struct play *p, uint32_t from, uint32_t to, enum kv_answer answer)
{
    expect_like(p,
                (struct kv_message){.kind = KV_ANSWER, .from = from, .to = to, .answer = answer});
}

/* ---- What there is ---- */

void assert_success(struct play *p, uint32_t request)
{
    assert_true(p->world.state.seen.requests[request].replied);
    assert_true(p->world.state.seen.requests[request].success);
}

void assert_failure(struct play *p, uint32_t request, enum kv_reason reason)
{
    assert_true(p->world.state.seen.requests[request].replied);
    assert_false(p->world.state.seen.requests[request].success);
    assert_string_equal(kv_reason_name(p->universe->reply.refusal.reason), kv_reason_name(reason));
}

void assert_no_reply(struct play *p, uint32_t request)
{
    assert_false(p->world.state.seen.requests[request].replied);
}

void assert_value(struct play *p, uint32_t worker, uint8_t version, uint8_t request)
{
    const struct worker_image *image = &p->world.state.workers[worker - 1];

    assert_int_equal(image->keys[0].version, version);
    assert_int_equal(image->keys[0].found, version > 0);
    if (version > 0)
        assert_int_equal(image->keys[0].value, request);
}

void assert_locks(struct play *p, uint32_t worker, uint32_t count)
{
    assert_int_equal(kv_locks_held(worker_locks(world_worker(&p->world, worker))), count);
}

void assert_phase(struct play *p, uint32_t worker, uint32_t coordinator, enum worker_phase phase)
{
    const struct worker_txn *t =
        worker_find(world_worker(&p->world, worker), (struct kv_txid){coordinator, 1, 1});

    assert_string_equal(worker_phase_name(t ? t->phase : WORKER_FREE), worker_phase_name(phase));
}

/* ---- Many moves at once ---- */

/* A move of the ordinary course of things; one that a deadline brings about if there is no other.
 */
static bool choose(struct play *p, struct move *chosen)
{
    struct move moves[MOVES_MAX];
    uint32_t count;

    world_settle(&p->world);
    count = world_loud_moves(&p->world, moves);
    for (int late = 0; late <= 1; late++) {
        for (uint32_t i = 0; i < count; i++) {
            *chosen = moves[i];
            if (move_is_regular(moves[i]) && moves[i].kind != MOVE_SUBMIT && moves[i].late == late)
                return true;
        }
    }
    return false;
}

void finish(struct play *p)
{
    struct move move;

    while (choose(p, &move)) {
        world_move(&p->world, move);
        holds(p);
    }
    memset(p->universe->said, 0, sizeof(p->universe->said));
    for (uint32_t i = 0; i < p->universe->request_count; i++)
        p->world.state.seen.requests[i].submitted = 1; /* those that the test does without */
    check_end(&p->world);
    holds(p);
}

void commit_all(struct play *p, uint32_t request, uint32_t coordinator)
{
    ask(p, request);
    written(p, C(coordinator));
    for (uint32_t worker = 1; worker <= 2; worker++)
        expect(p, KV_VOTE_REQUEST, coordinator, worker);
    for (uint32_t worker = 1; worker <= 2; worker++) {
        deliver(p, KV_VOTE_REQUEST, coordinator, worker);
        written(p, W(worker));
        expect(p, KV_VOTE_COMMIT, worker, coordinator);
        deliver(p, KV_VOTE_COMMIT, worker, coordinator);
    }
    written(p, C(coordinator));
    for (uint32_t worker = 1; worker <= 2; worker++)
        expect(p, KV_GLOBAL_COMMIT, coordinator, worker);
    for (uint32_t worker = 1; worker <= 2; worker++) {
        deliver(p, KV_GLOBAL_COMMIT, coordinator, worker);
        written(p, W(worker));
        expect(p, KV_ACK, worker, coordinator);
        deliver(p, KV_ACK, worker, coordinator);
    }
    expect(p, KV_MARK, coordinator, 1);
    expect(p, KV_MARK, coordinator, 2);
}
