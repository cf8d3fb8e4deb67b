/* SPDX-License-Identifier: MIT */
/*
 * Plays a world by hand, for tests that show one case. Every move is followed by all that must hold
 * (check.h), and before the next one every message that it has sent must have been expected.
 */
#ifndef TESTS_KV_PLAY_H
#define TESTS_KV_PLAY_H

#include "world.h"

struct play {
    struct universe *universe;
    struct world world;
};

/* Machines. */
#define C(id) ((uint32_t)(id)-1)
#define W(id) (COORDINATORS_MAX + (uint32_t)(id)-1)

struct play *play(const struct scenario *);

/* Nothing else was sent; frees it. */
void play_over(struct play *);

/* Moves. */
void ask(struct play *, uint32_t request);
void written(struct play *, uint32_t machine);              /* to the first forced row */
void crash(struct play *, uint32_t machine, uint32_t rows); /* of the queue are durable */
void lose_journal(struct play *, uint32_t worker);          /* and restart */
void deliver(struct play *, enum kv_message_kind, uint32_t from, uint32_t to);
void timer(struct play *, uint32_t machine);    /* the one that is armed, early */
void deadline(struct play *, uint32_t machine); /* the same, late */

/* The last move has sent it. */
void expect(struct play *, enum kv_message_kind, uint32_t from, uint32_t to);
void expect_vote_abort(struct play *, uint32_t from, uint32_t to, enum kv_reason);
void expect_answer(struct play *, uint32_t from, uint32_t to, enum kv_answer);

/* The outcome of the request, which was told by the last move or before. */
void assert_success(struct play *, uint32_t request);
void assert_failure(struct play *, uint32_t request, enum kv_reason);
void assert_no_reply(struct play *, uint32_t request);

/* What a worker has of key a: `version` 0 if nothing; the value is that of a request. */
void assert_value(struct play *, uint32_t worker, uint8_t version, uint8_t request);
void assert_locks(struct play *, uint32_t worker, uint32_t count);
void assert_phase(struct play *, uint32_t worker, uint32_t coordinator, enum worker_phase);

/* Everything that is left happens, in some order without faults; then all must have ended. */
void finish(struct play *);

/* A put of key a goes through from the coordinator to both workers, without anything unusual. */
void commit_all(struct play *, uint32_t request, uint32_t coordinator);

#endif
