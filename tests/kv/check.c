/* SPDX-License-Identifier: MIT */
#include "check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void violated(struct universe *u, const char *format, ...)
{
    va_list arguments;

    if (u->violation[0] != '\0')
        return;
    va_start(arguments, format);
    vsnprintf(u->violation, sizeof(u->violation), format, arguments);
    va_end(arguments);
}

/* The request that an attempt is about: known from its VOTE-REQUESTs. */
static const struct kv_request *request_of(struct world *w, uint32_t t)
{
    uint8_t request = w->state.seen.request[t];

    return request == NONE ? NULL : w->universe->requests[request];
}

static uint8_t request_number(const struct universe *u, const struct kv_request *request)
{
    for (uint32_t i = 0; i < u->request_count; i++) {
        if (u->requests[i] == request)
            return (uint8_t)i;
    }
    return NONE;
}

/* ---- Actions of coordinators ---- */

/* Each message only after what must be durable before it. */
void check_coordinator_send(struct world *w, const struct kv_message *m)
{
    struct universe *u = w->universe;
    struct history *seen = &w->state.seen;
    const struct coordinator_image *image;
    uint8_t t, request;

    if (m->kind == KV_MARK)
        return;
    t = txid_index(u, m->txid);
    image = &w->state.coordinators[m->from - 1];
    if (m->kind == KV_VOTE_REQUEST) {
        request = request_number(u, m->request);
        if (seen->request[t] != NONE && seen->request[t] != request)
            violated(u, "a txid is used for two requests");
        seen->request[t] = request;
        if (!(image->rows[t] & ROW_PREPARE))
            violated(u, "a VOTE-REQUEST is sent before the PREPARE is durable");
    }
    if ((m->kind == KV_GLOBAL_COMMIT || (m->kind == KV_ANSWER && m->answer == KV_COMMITTED)) &&
        !(seen->decided[t] & ROW_COMMIT))
        violated(u, "a commit is told before it is durable");
    if ((m->kind == KV_GLOBAL_ABORT || (m->kind == KV_ANSWER && m->answer == KV_ABORTED)) &&
        !(seen->decided[t] & ROW_ABORT))
        violated(u, "an abort is told before it is durable");
}

/* A decision is made once, with the votes, and in the incarnation that has asked for them. */
void check_coordinator_journal(struct world *w, const struct kv_row *row)
{
    struct universe *u = w->universe;
    const struct kv_request *request;
    uint8_t t;

    if (row->kind == KV_COORDINATOR_START || row->kind == KV_COORDINATOR_PREPARE)
        return;
    t = txid_index(u, row->txid);
    request = request_of(w, t);
    if (row->kind == KV_COORDINATOR_COMMIT) {
        if (!request || w->state.seen.voted[t] != request->participants)
            violated(u, "a commit is decided without the votes");
        if (world_coordinator(w, row->txid.coordinator)->incarnation != row->txid.incarnation)
            violated(u, "a commit is decided for an earlier incarnation");
    }
    if (row->kind == KV_COORDINATOR_END && request &&
        (w->state.seen.committed[t] | w->state.seen.aborted[t]) != request->participants)
        violated(u, "END before the last ACK");
}

/* ---- Actions of workers ---- */

void check_worker_send(struct world *w, const struct kv_message *m)
{
    struct universe *u = w->universe;
    struct history *seen = &w->state.seen;
    const struct worker_image *image = &w->state.workers[m->from - 1];
    const struct worker *machine = world_worker(w, m->from);
    kv_nodes self = kv_node_bit(m->from);
    uint8_t t = txid_index(u, m->txid);

    switch (m->kind) {
    case KV_VOTE_COMMIT:
        if (!(image->rows[t] & ROW_PREPARE))
            violated(u, "a vote is sent before the PREPARE is durable");
        if (image->rows[t] & ROW_ABORT)
            violated(u, "a vote to commit after an abort");
        seen->voted[t] |= (uint8_t)self;
        break;
    case KV_ACK:
        if (!((seen->committed[t] | seen->aborted[t]) & self) &&
            !kv_txid_before(m->txid, machine->coordinators[m->txid.coordinator - 1].mark))
            violated(u, "an ACK of what is not durable");
        break;
    case KV_ANSWER:
        if (m->answer == KV_ABORTED && !(image->rows[t] & ROW_ABORT))
            violated(u, "an abort is promised before it is durable");
        if (m->answer == KV_COMMITTED && !(image->rows[t] & ROW_COMMIT))
            violated(u, "a participant tells of a commit before it is durable");
        break;
    default:
        break;
    }
}

/* ---- Answers to clients ---- */

void check_reply(struct world *w, const struct kv_reply *reply)
{
    struct universe *u = w->universe;
    struct history *seen = &w->state.seen;
    bool already = reply->refusal.reason == KV_REASON_ALREADY;
    uint8_t t = txid_index(u, already ? reply->refusal.holder : reply->txid);

    u->reply.success = reply->success;
    u->reply.refusal = reply->refusal;
    if (seen->requests[reply->caller].replied)
        violated(u, "a client is answered twice");
    seen->requests[reply->caller].replied = 1;
    seen->requests[reply->caller].success = reply->success;
    seen->requests[reply->caller].already = already;
    seen->requests[reply->caller].txid = t;
    if (t == NONE)
        return;
    if (reply->success && !(seen->decided[t] & ROW_COMMIT))
        violated(u, "a client is told of success before the decision is durable");
    if (!reply->success && !(seen->decided[t] & ROW_ABORT))
        violated(u, "a client is told of failure before the decision is durable");
    for (uint32_t i = 0; reply->success && i < reply->request->count; i++) {
        const struct kv_result *r = kv_reply_result(reply, i);
        if (r) {
            u->reply.results[i] = *r;
            seen->requests[reply->caller].versions[i] = (uint8_t)r->version;
        } else if (!already)
            violated(u, "a success lacks a result");
    }
}

/* ---- The world as it is ---- */

static bool is_below_mark(struct world *w, uint32_t t, uint32_t worker)
{
    struct universe *u = w->universe;
    uint8_t mark = w->state.workers[worker - 1].mark[u->txids[t].coordinator - 1];

    return mark != NONE && kv_txid_before(u->txids[t], u->txids[mark]);
}

static void check_decision(struct world *w, uint32_t t)
{
    struct universe *u = w->universe;
    const struct history *seen = &w->state.seen;

    if (seen->decided[t] == (ROW_COMMIT | ROW_ABORT))
        violated(u, "a decision is changed");
    if (seen->committed[t] && seen->aborted[t])
        violated(u, "one worker commits what another aborts");
    if (seen->committed[t] && !(seen->decided[t] & ROW_COMMIT))
        violated(u, "a worker commits what is not decided");
    if (seen->aborted[t] && (seen->decided[t] & ROW_COMMIT))
        violated(u, "a worker aborts what is committed");
}

/*
 * A vote is a promise: until the outcome is durable it stands in the journal, and the machine holds
 * the locks; after it, no lock is left.
 */
static void check_vote(struct world *w, uint32_t t, uint32_t worker)
{
    struct universe *u = w->universe;
    const struct kv_request *request = request_of(w, t);
    const struct worker_image *image = &w->state.workers[worker - 1];
    struct worker *machine = world_worker(w, worker);
    uint8_t self = (uint8_t)kv_node_bit(worker);
    uint32_t held = kv_locks_held_by(worker_locks(machine), u->txids[t]), due = 0;

    if (w->state.seen.lost & self)
        return;
    for (uint32_t i = 0; request && i < request->count; i++)
        due += (request->operations[i].replicas & self) != 0;
    if ((w->state.seen.committed[t] | w->state.seen.aborted[t]) & self) {
        if (held > 0)
            violated(u, "a lock is held after the outcome");
    } else if (w->state.seen.voted[t] & self) {
        if (!(image->rows[t] & ROW_PREPARE))
            violated(u, "a vote is forgotten");
        if (held != due)
            violated(u, "the locks of a vote are not held");
    }
    if (((w->state.seen.committed[t] | w->state.seen.aborted[t]) & self) && image->rows[t] == 0 &&
        !is_below_mark(w, t, worker))
        violated(u, "an outcome above the mark is forgotten");
    const struct worker_txn *known = worker_find(machine, u->txids[t]);
    if (held > 0 && (!known || known->phase < WORKER_PREPARING || known->phase > WORKER_ABORTING))
        violated(u, "a lock is held by nobody");
    if (is_below_mark(w, t, worker) && request &&
        (w->state.seen.committed[t] | w->state.seen.aborted[t]) != request->participants)
        violated(u, "the mark is ahead of an ACK");
}

/* A request of a client takes effect in one attempt at most. */
static void check_once(struct world *w)
{
    struct universe *u = w->universe;

    for (uint32_t a = 0; a < u->txid_count; a++) {
        const struct kv_request *one = request_of(w, a);
        for (uint32_t b = 0; one && one->client && w->state.seen.committed[a] && b < a; b++) {
            const struct kv_request *other = request_of(w, b);
            if (other && w->state.seen.committed[b] && one->client == other->client &&
                one->sequence == other->sequence)
                violated(u, "a request has taken effect twice");
        }
    }
}

/*
 * Two replicas that would answer a read now give the same, so that whoever reads after another
 * reads nothing older.
 */
static void check_reads(struct world *w, uint32_t key)
{
    struct universe *u = w->universe;
    int version = -1;

    for (uint32_t i = 1; i <= u->scenario->workers; i++) {
        if (!(u->scenario->replicas[key] & kv_node_bit(i)) ||
            (w->state.seen.lost & kv_node_bit(i)) ||
            !worker_readable(world_worker(w, i), u->keys[key]))
            continue;
        uint8_t here = w->state.workers[i - 1].keys[key].version;
        if (version >= 0 && version != here)
            violated(u, "two replicas answer a read differently");
        version = here;
        for (uint32_t r = 0; r < u->request_count; r++) {
            for (uint32_t o = 0; o < u->requests[r]->count; o++) {
                if (w->state.seen.requests[r].success && !w->state.seen.requests[r].already &&
                    u->requests[r]->operations[o].key == u->keys[key] &&
                    w->state.seen.requests[r].versions[o] > here)
                    violated(u, "a read after a success finds an older value");
            }
        }
    }
}

/* Whether what one request was told shows that it came before the other. */
static bool came_before(struct world *w, uint32_t one, uint32_t other)
{
    struct universe *u = w->universe;

    for (uint32_t i = 0; i < u->requests[one]->count; i++) {
        const struct kv_operation *a = &u->requests[one]->operations[i];
        uint8_t version = w->state.seen.requests[one].versions[i];
        for (uint32_t k = 0; k < u->requests[other]->count; k++) {
            const struct kv_operation *b = &u->requests[other]->operations[k];
            if (a->key == b->key && (kv_operation_writes(a) || kv_operation_writes(b)) &&
                version < w->state.seen.requests[other].versions[k])
                return true;
        }
    }
    return false;
}

/* Successes can be put into an order that explains what they were told: no two before each other.
 */
static void check_serializable(struct world *w)
{
    for (uint32_t a = 0; a < w->universe->request_count; a++) {
        for (uint32_t b = 0; b < a; b++) {
            if (w->state.seen.requests[a].success && w->state.seen.requests[b].success &&
                !w->state.seen.requests[a].already && !w->state.seen.requests[b].already &&
                came_before(w, a, b) && came_before(w, b, a))
                violated(w->universe, "two transactions have both come before the other");
        }
    }
}

void check_world(struct world *w)
{
    const struct scenario *s = w->universe->scenario;

    for (uint32_t t = 0; t < w->universe->txid_count; t++) {
        if (w->state.seen.lost == 0)
            check_decision(w, t);
        for (uint32_t i = 1; i <= s->workers; i++)
            check_vote(w, t, i);
    }
    check_once(w);
    for (uint32_t k = 0; k < KEYS_MAX; k++)
        check_reads(w, k);
    check_serializable(w);
}

/* ---- The end ---- */

static void check_worker_end(struct world *w, uint32_t id)
{
    struct universe *u = w->universe;

    for (uint32_t t = 0; t < u->txid_count; t++) {
        const struct worker_txn *known = worker_find(world_worker(w, id), u->txids[t]);
        if (known && known->phase != WORKER_COMMITTED && known->phase != WORKER_ABORTED)
            violated(u, "a worker is left %s", worker_phase_name(known->phase));
    }
    if (kv_locks_held(worker_locks(world_worker(w, id))) > 0)
        violated(u, "a lock is left");
}

void check_end(struct world *w)
{
    struct universe *u = w->universe;

    u->violation[0] = '\0';
    if (w->state.seen.stopped)
        return;
    for (uint32_t i = 1; i <= u->scenario->coordinators; i++) {
        const struct coordinator *c = world_coordinator(w, i);
        if (c->first < c->next)
            violated(u, "a transaction is left %s",
                     coordinator_phase_name(c->txns[c->first % c->config.window].phase));
    }
    for (uint32_t i = 1; i <= u->scenario->workers; i++)
        check_worker_end(w, i);
    for (uint32_t r = 0; r < u->request_count; r++) {
        if (!w->state.seen.requests[r].submitted)
            violated(u, "a request was never made");
    }
}
