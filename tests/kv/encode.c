/* SPDX-License-Identifier: MIT */
/*
 * The canonical bytes of a world: two worlds with the same bytes behave the same for ever.
 *
 * Left out is what no machine looks at again: votes and results once there is a decision or an
 * answer, why a transaction is aborted (but for ALREADY, which changes the answer), counters, and
 * where in a table a record stands. References to requests and results are told by what they refer
 * to. Times are left out where they are the same in every world: all that depends on time is a move
 * of its own. Whether a worker has asked before decides only on whom it asks next; world_settle
 * lets it ask them all.
 */
#include <string.h>

#include "world.h"

struct writer {
    uint8_t *at;
};

static void put(struct writer *w, uint64_t value)
{
    *w->at++ = (uint8_t)value;
}

static void put_request(struct writer *w, const struct universe *u, const struct kv_request *r)
{
    uint8_t index = NONE;

    for (uint32_t i = 0; i < u->request_count; i++) {
        if (u->requests[i] == r)
            index = (uint8_t)i;
    }
    put(w, index);
}

static void put_results(struct writer *w, const struct universe *u, const struct kv_results *r)
{
    uint8_t index = NONE;

    for (uint32_t i = 0; i < u->result_count; i++) {
        if (u->results[i] == r)
            index = (uint8_t)i;
    }
    put(w, index);
}

/* What the answer to the client still needs. */
static void put_answer(struct writer *w, struct universe *u, const struct coordinator_txn *t)
{
    bool already = t->refusal.reason == KV_REASON_ALREADY;
    put(w, already ? txid_index(u, t->refusal.holder) : NONE);
    put(w, t->caller);
    for (uint32_t i = 0; i < u->scenario->workers; i++)
        put_results(w, u, t->results[i]);
}

static void put_coordinator(struct writer *w, struct universe *u, const struct coordinator *c)
{
    put(w, c->incarnation);
    put(w, c->first);
    put(w, c->next);
    for (uint64_t s = c->first; s < c->next; s++) {
        const struct coordinator_txn *t = &c->txns[s % c->config.window];
        put(w, t->phase);
        if (t->phase == COORDINATOR_ENDED || t->phase == COORDINATOR_FREE)
            continue;
        put(w, t->id.incarnation);
        put(w, t->participants);
        put(w, t->phase == COORDINATOR_VOTING ? t->voted : 0);
        put(w, t->acknowledged);
        put(w, t->requested);
        put(w, t->replied);
        put_request(w, u, t->request);
        if (!t->replied)
            put_answer(w, u, t);
    }
}

static void put_worker(struct writer *w, struct universe *u, const struct worker *worker)
{
    put(w, worker->stopped);
    for (uint32_t i = 0; i < u->scenario->coordinators; i++)
        put(w, txid_index(u, worker->coordinators[i].mark));
    for (uint32_t i = 0; i < u->txid_count; i++) {
        const struct worker_txn *t = worker_find(worker, u->txids[i]);
        if (!t)
            continue;
        put(w, i);
        put(w, t->phase);
        put_request(w, u, t->request);
        put(w, kv_locks_held_by(worker_locks(worker), t->id));
    }
    put(w, NONE);
    put(w, kv_locks_held(worker_locks(worker)));
}

static void put_queue(struct writer *w, const struct model_queue *q)
{
    put(w, q->length);
    memcpy(w->at, q->rows, q->length * sizeof(q->rows[0]));
    w->at += q->length * sizeof(q->rows[0]);
}

static void put_bytes(struct writer *w, const void *bytes, size_t length)
{
    memcpy(w->at, bytes, length);
    w->at += length;
}

/* What there is of each transaction and each request. */
static void put_history(struct writer *w, const struct universe *u, const struct history *seen)
{
    for (uint32_t t = 0; t < u->txid_count; t++) {
        if (seen->request[t] == NONE && !seen->aborted[t] && !seen->decided[t])
            continue;
        put(w, t);
        put(w, seen->request[t]);
        put(w, seen->voted[t]);
        put(w, seen->committed[t]);
        put(w, seen->aborted[t]);
        put(w, seen->decided[t]);
    }
    put(w, NONE);
    put(w, seen->lost);
    put(w, seen->stopped);
    put_bytes(w, seen->requests, u->request_count * sizeof(seen->requests[0]));
}

static void put_rows(struct writer *w, const struct universe *u, const uint8_t rows[TXIDS_MAX],
                     const uint8_t requests[TXIDS_MAX])
{
    for (uint32_t t = 0; t < u->txid_count; t++) {
        if (!rows[t])
            continue;
        put(w, t);
        put(w, rows[t]);
        put(w, requests[t]);
    }
    put(w, NONE);
}

static void put_coordinator_node(struct writer *w, struct world *world, uint32_t id)
{
    const struct state *s = &world->state;
    const struct coordinator_image *image = &s->coordinators[id - 1];

    put_coordinator(w, world->universe, world_coordinator(world, id));
    put_queue(w, &s->queues[id - 1]);
    put_bytes(w, &s->armed[id - 1], sizeof(s->armed[0]));
    put(w, image->incarnation);
    put(w, image->sequence);
    put_rows(w, world->universe, image->rows, image->request);
}

static void put_worker_node(struct writer *w, struct world *world, uint32_t id)
{
    const struct state *s = &world->state;
    const struct worker_image *image = &s->workers[id - 1];

    put_worker(w, world->universe, world_worker(world, id));
    put_queue(w, &s->queues[COORDINATORS_MAX + id - 1]);
    put_bytes(w, &s->armed[COORDINATORS_MAX + id - 1], sizeof(s->armed[0]));
    put_rows(w, world->universe, image->rows, image->request);
    put_bytes(w, image->mark, sizeof(image->mark));
    put_bytes(w, image->keys, sizeof(image->keys));
    put_bytes(w, image->past, sizeof(image->past));
}

size_t world_encode_machine(struct world *w, uint32_t machine, uint8_t bytes[ENCODED_MAX])
{
    struct writer writer = {bytes};

    put_history(&writer, w->universe, &w->state.seen);
    if (machine < COORDINATORS_MAX)
        put_coordinator_node(&writer, w, machine + 1);
    else
        put_worker_node(&writer, w, machine - COORDINATORS_MAX + 1);
    return (size_t)(writer.at - bytes);
}

size_t world_encode(struct world *w, uint8_t bytes[ENCODED_MAX])
{
    const struct universe *u = w->universe;
    const struct state *s = &w->state;
    struct writer writer = {bytes};

    put_bytes(&writer, s->sent, sizeof(s->sent));
    put(&writer, s->crashes);
    put(&writer, s->coordinator_crashes);
    put(&writer, s->worker_crashes);
    put(&writer, s->blackouts);
    put(&writer, s->losses);
    put_history(&writer, u, &s->seen);
    for (uint32_t i = 1; i <= u->scenario->coordinators; i++)
        put_coordinator_node(&writer, w, i);
    for (uint32_t i = 1; i <= u->scenario->workers; i++)
        put_worker_node(&writer, w, i);
    return (size_t)(writer.at - bytes);
}
