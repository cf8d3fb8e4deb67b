/* SPDX-License-Identifier: MIT */
/*
 * A transaction at a worker. Each arrow is an event; [row] is handed to the journal, and the next
 * state is entered when it is durable.
 *
 *                 VOTE-REQUEST, and locks, conditions and the client's past allow it
 *                          | [PREPARE]; the locks are taken
 *                          v
 *                      PREPARING ------------------------------.
 *                          | durable: VOTE-COMMIT              |
 *                          v                                   |
 *     restart, in doubt > PREPARED ----------------------------|
 *                          |                                   | GLOBAL-ABORT, or
 *       GLOBAL-COMMIT, or  |                                   | an ANSWER "aborted"
 *       ANSWER "committed" | [COMMIT, with the values   [ABORT]|
 *                          |  and the client's row]            |
 *                          v                                   v       GLOBAL-ABORT, or an INQUIRE
 *                     COMMITTING                           ABORTING <- of a participant, and no
 *                          | durable: the locks are            |       record: a tombstone [ABORT]
 *                          | released, ACK                     | durable: the same
 *                          v                                   v
 *                      COMMITTED                            ABORTED
 *                          |                                   |
 *                          '-----> forgotten [MARK], <---------'
 *                                  below the mark
 *
 * A worker that votes ABORT keeps no record: a VOTE-REQUEST that comes again may be voted on anew,
 * and GLOBAL-ABORT then leaves a tombstone, so that one that comes late is refused.
 *
 * In doubt (PREPARED) a worker never decides alone. It inquires of the coordinator, and from the
 * second time on of the other participants. One of those that has no record of the transaction, and
 * so has not voted, may promise never to: it makes a tombstone durable, and says "aborted" when it
 * is asked again. One that has handed a PREPARE to its journal has promised the opposite; one that
 * is no participant, or below the mark, has nothing to promise.
 *
 * Some messages cannot come unless a journal has lost what was durable. Then the worker stops: to
 * go on would spread the loss.
 */
#include "kv/worker.h"

#include "kv/records.h"
#include "strait.h"

/* What a step works with. */
struct step {
    struct worker *w;
    uint64_t now_ns;
    const struct kv_store *store;
    const struct kv_sink *sink;
};

/* ---- Sending ---- */

static kv_nodes self(const struct worker *w)
{
    return kv_node_bit(w->config.id);
}

static void tell(const struct step *s, uint32_t to, struct kv_message message)
{
    message.from = s->w->config.id;
    message.to = to;
    kv_send(s->sink, &message);
}

static void acknowledge(const struct step *s, struct kv_txid id)
{
    tell(s, id.coordinator, (struct kv_message){.kind = KV_ACK, .txid = id});
}

static void stop(const struct step *s, struct kv_txid id, enum kv_stop why)
{
    s->w->stopped = true;
    s->sink->take(s->sink->context, &(struct kv_action){.kind = KV_STOP, .txid = id, .stop = why});
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- Marks ---- */

static bool is_below_mark(const struct worker *w, struct kv_txid id)
{
    return kv_txid_before(id, w->coordinators[id.coordinator - 1].mark);
}

static bool is_settled(const struct worker_txn *t)
{
    return t->phase == WORKER_COMMITTED || t->phase == WORKER_ABORTED;
}

/* A promise to commit below the mark: the outcome, which has been acknowledged, is lost. */
static const struct worker_txn *left_behind(struct worker *w, struct kv_txid mark)
{
    struct worker_txn *t = record_oldest(w, mark.coordinator);

    while (t && kv_txid_before(t->id, mark)) {
        if (!is_settled(t) && t->phase != WORKER_ABORTING)
            return t;
        t = record_newer(w, t);
    }
    return NULL;
}

/*
 * Forgets what is below a new mark, in one row with the mark. That all of it has ended is true
 * whether or not it is durable here, so what is forgotten may be refused at once. A tombstone that
 * is on its way to the disk goes once it has got there (settle): its row is before that of the
 * mark.
 */
static void learn_mark(const struct step *s, struct kv_txid mark)
{
    struct worker *w = s->w;
    struct kv_txid *known = &w->coordinators[mark.coordinator - 1].mark;

    if (!kv_txid_before(*known, mark))
        return;
    const struct worker_txn *left = left_behind(w, mark);
    if (left) {
        stop(s, left->id, KV_STOP_PREPARED_ENDED);
        return;
    }
    *known = mark;
    kv_journal(s->sink, &(struct kv_row){.kind = KV_WORKER_MARK, .mark = mark});
    struct worker_txn *next, *t = record_oldest(w, mark.coordinator);
    for (; t && kv_txid_before(t->id, mark); t = next) {
        next = record_newer(w, t);
        if (!is_settled(t))
            continue;
        record_forget(w, t);
        w->counters.forgotten++;
    }
}

/* ---- Votes ---- */

static void vote_abort(const struct step *s, const struct kv_message *m, struct kv_refusal refusal,
                       struct kv_results *results)
{
    s->w->counters.votes_abort++;
    refusal.node = s->w->config.id;
    tell(s, m->from,
         (struct kv_message){
             .kind = KV_VOTE_ABORT, .txid = m->txid, .refusal = refusal, .results = results});
}

/* Reads what an operation asks for, and tells what comes of it if the transaction commits. */
static bool evaluate(const struct step *s, const struct kv_operation *o, struct kv_result *r)
{
    if (!s->store->get(s->store->context, o->key, r))
        return false;
    if (o->kind != KV_GET) {
        kv_blob_release(r->value);
        r->value = NULL;
    }
    if (kv_operation_writes(o))
        r->version++;
    if (o->kind == KV_PUT)
        r->found = true;
    return true;
}

/*
 * The results of the operations for this worker, read under their locks: the same whenever this is
 * called before the decision. Returns NULL if memory is short or a row is damaged.
 */
static struct kv_results *evaluate_all(const struct step *s, const struct kv_request *request)
{
    struct kv_results *results = kv_results_new(request->count);
    if (!results)
        return NULL;
    results->count = 0;
    for (uint32_t i = 0; i < request->count; i++) {
        const struct kv_operation *o = &request->operations[i];
        if (!(o->replicas & self(s->w)))
            continue;
        if (!evaluate(s, o, &results->list[results->count])) {
            kv_results_release(results);
            return NULL;
        }
        results->count++;
    }
    return results;
}

static void vote_commit(const struct step *s, const struct worker_txn *t)
{
    struct kv_results *results = evaluate_all(s, t->request);

    if (!results) {
        stop(s, t->id, KV_STOP_STORE_UNREADABLE);
        return;
    }
    s->w->counters.votes_commit++;
    tell(s, t->id.coordinator,
         (struct kv_message){.kind = KV_VOTE_COMMIT, .txid = t->id, .results = results});
    kv_results_release(results);
}

/* Whether the rows are sound and the conditions hold, for the operations of this worker. */
static enum kv_reason check(const struct step *s, const struct kv_request *request,
                            uint32_t *operation)
{
    *operation = 0;
    for (uint32_t i = 0; i < request->count; i++) {
        const struct kv_operation *o = &request->operations[i];
        struct kv_result r = {0};
        if (!(o->replicas & self(s->w)))
            continue;
        if (!evaluate(s, o, &r))
            return KV_REASON_DAMAGED;
        kv_blob_release(r.value);
        if (o->kind == KV_CHECK && o->version != (r.found ? r.version : 0))
            return KV_REASON_CONDITION;
        (*operation)++;
    }
    return KV_REASON_NONE;
}

/* Whether the client's request has committed here before, which is the answer to its retry. */
static enum kv_reason look_back(const struct step *s, const struct kv_request *request,
                                struct kv_txid *before, struct kv_results **results)
{
    if (request->client == 0)
        return KV_REASON_NONE;
    switch (s->store->past(s->store->context, request, before, results)) {
    case KV_PAST_COMMITTED:
        return KV_REASON_ALREADY;
    case KV_PAST_RETIRED:
        return KV_REASON_RETIRED;
    case KV_PAST_FULL:
        return KV_REASON_BUSY;
    case KV_PAST_DAMAGED:
        return KV_REASON_DAMAGED;
    default:
        return KV_REASON_NONE;
    }
}

/* Takes the locks and checks everything that stands against a vote to commit. */
static struct kv_refusal judge(const struct step *s, const struct kv_message *m,
                               struct kv_results **results)
{
    const struct kv_request *request = m->request;
    struct kv_refusal r = {0};

    if (!kv_request_valid(request) || !(request->participants & self(s->w))) {
        r.reason = KV_REASON_INVALID;
        return r;
    }
    if (request->epoch != s->w->config.epoch) {
        r.reason = KV_REASON_EPOCH;
        return r;
    }
    r.reason = look_back(s, request, &r.holder, results);
    if (r.reason != KV_REASON_NONE)
        return r;
    r.reason = kv_locks_take(record_locks(s->w), request, self(s->w), m->txid, &r);
    if (r.reason != KV_REASON_NONE) {
        s->w->counters.refused_locks += r.reason == KV_REASON_BUSY;
        return r;
    }
    r.reason = check(s, request, &r.operation);
    if (r.reason != KV_REASON_NONE)
        kv_locks_release(record_locks(s->w), request, self(s->w), m->txid);
    return r;
}

static void prepare(const struct step *s, const struct kv_message *m)
{
    struct kv_results *results = NULL;
    struct kv_refusal refusal = judge(s, m, &results);
    struct worker_txn *t = NULL;

    if (refusal.reason == KV_REASON_NONE) {
        t = record_add(s->w, m->txid, WORKER_PREPARING);
        if (!t) {
            kv_locks_release(record_locks(s->w), m->request, self(s->w), m->txid);
            refusal.reason = KV_REASON_BUSY;
        }
    }
    if (!t) {
        vote_abort(s, m, refusal, results);
        kv_results_release(results);
        return;
    }
    t->request = kv_request_hold(m->request);
    kv_journal(s->sink, &(struct kv_row){.kind = KV_WORKER_PREPARE,
                                         .forced = true,
                                         .txid = t->id,
                                         .request = t->request});
}

static void vote_requested(const struct step *s, const struct kv_message *m)
{
    const struct worker_txn *t = record_find(s->w, m->txid);

    if (is_below_mark(s->w, m->txid)) {
        s->w->counters.ignored++; /* it has ended: nobody waits for this vote */
        return;
    }
    if (!t) {
        prepare(s, m);
        return;
    }
    switch (t->phase) {
    case WORKER_PREPARED:
        vote_commit(s, t);
        break;
    case WORKER_ABORTING: /* the tombstone is still on its way to the disk */
        break;
    case WORKER_ABORTED:
        vote_abort(s, m, (struct kv_refusal){.reason = KV_REASON_ABORTED}, NULL);
        break;
    default:
        s->w->counters.ignored++;
        break;
    }
}

/* ---- Outcomes ---- */

static void wait_in_doubt(const struct step *s, struct worker_txn *t, uint64_t wait_ns)
{
    t->wait_ns = wait_ns;
    kv_timer(s->sink, t->id, s->now_ns + wait_ns);
}

static void prepared(const struct step *s, struct worker_txn *t)
{
    t->phase = WORKER_PREPARED;
    wait_in_doubt(s, t, s->w->config.inquire_ns);
    vote_commit(s, t);
}

static void commit(const struct step *s, struct worker_txn *t)
{
    struct kv_results *results = evaluate_all(s, t->request);

    if (!results) {
        stop(s, t->id, KV_STOP_STORE_UNREADABLE);
        return;
    }
    t->phase = WORKER_COMMITTING;
    kv_timer(s->sink, t->id, STRAIT_NEVER);
    kv_journal(s->sink, &(struct kv_row){.kind = KV_WORKER_COMMIT,
                                         .forced = true,
                                         .txid = t->id,
                                         .request = t->request,
                                         .results = results});
    kv_results_release(results);
}

static void abort_txn(const struct step *s, struct worker_txn *t)
{
    t->phase = WORKER_ABORTING;
    kv_timer(s->sink, t->id, STRAIT_NEVER);
    kv_journal(s->sink, &(struct kv_row){.kind = KV_WORKER_ABORT, .forced = true, .txid = t->id});
}

/* Never to vote for this transaction. */
static void make_tombstone(const struct step *s, struct kv_txid id)
{
    struct worker_txn *t = record_add(s->w, id, WORKER_ABORTING);

    if (!t)
        return;
    s->w->counters.tombstones++;
    abort_txn(s, t);
}

/* What is decided of a transaction that this worker has a record of. */
static void learn_outcome(const struct step *s, struct worker_txn *t, bool committed)
{
    switch (t->phase) {
    case WORKER_PREPARED:
        if (committed)
            commit(s, t);
        else
            abort_txn(s, t);
        return;
    case WORKER_PREPARING: /* nobody can have committed without this vote */
        if (committed)
            stop(s, t->id, KV_STOP_CONTRADICTION);
        else
            abort_txn(s, t);
        return;
    default:
        if (committed != (t->phase == WORKER_COMMITTING || t->phase == WORKER_COMMITTED))
            stop(s, t->id, KV_STOP_CONTRADICTION);
        else if (is_settled(t))
            acknowledge(s, t->id);
        return;
    }
}

static void decision_heard(const struct step *s, const struct kv_message *m)
{
    struct worker_txn *t = record_find(s->w, m->txid);
    bool committed = m->kind == KV_GLOBAL_COMMIT;

    if (is_below_mark(s->w, m->txid))
        acknowledge(s, m->txid);
    else if (t)
        learn_outcome(s, t, committed);
    else if (committed)
        stop(s, m->txid, KV_STOP_COMMIT_UNKNOWN);
    else
        make_tombstone(s, m->txid);
}

/* ---- Reads ---- */

const struct kv_locks *worker_locks(const struct worker *w)
{
    return record_locks(w);
}

bool worker_readable(const struct worker *w, const struct kv_blob *key)
{
    return kv_locks_writer(record_locks(w), key).incarnation == 0;
}

static void read_reply(const struct step *s, uint64_t caller, const struct kv_blob *key)
{
    struct kv_result result = {0};
    struct kv_action action = {.kind = KV_READ_REPLY, .caller = caller, .result = &result};

    if (!s->store->get(s->store->context, key, &result))
        action.reason = KV_REASON_DAMAGED;
    s->sink->take(s->sink->context, &action);
    kv_blob_release(result.value);
}

static void leave(struct worker *w, struct worker_reader *r)
{
    kv_blob_release(r->key);
    *r = (struct worker_reader){0};
    w->waiting--;
}

/* Those who wait for a key that is not locked any more. */
static void answer_readers(const struct step *s)
{
    for (uint32_t i = 0; s->w->waiting > 0 && i < s->w->config.readers_max; i++) {
        struct worker_reader *r = &record_readers(s->w)[i];
        if (!r->key || !worker_readable(s->w, r->key))
            continue;
        read_reply(s, r->caller, r->key);
        leave(s->w, r);
    }
}

static void inquire(const struct step *s, const struct worker_txn *t)
{
    s->w->counters.inquiries++;
    tell(s, t->id.coordinator, (struct kv_message){.kind = KV_INQUIRE_COORDINATOR, .txid = t->id});
}

/* A read never overtakes a transaction that may have committed: it is resolved first. */
static void read_requested(const struct step *s, const struct kv_event *e)
{
    struct worker *w = s->w;

    w->counters.reads++;
    if (worker_readable(w, e->key)) {
        read_reply(s, e->caller, e->key);
        return;
    }
    for (uint32_t i = 0; i < w->config.readers_max; i++) {
        struct worker_reader *r = &record_readers(w)[i];
        if (r->key)
            continue;
        *r = (struct worker_reader){.caller = e->caller, .key = kv_blob_hold(e->key)};
        w->waiting++;
        w->counters.reads_waited++;
        const struct worker_txn *t = worker_find(w, kv_locks_writer(record_locks(w), e->key));
        if (t && t->phase == WORKER_PREPARED)
            inquire(s, t);
        return;
    }
    w->counters.refused_readers++;
    s->sink->take(
        s->sink->context,
        &(struct kv_action){.kind = KV_READ_REPLY, .caller = e->caller, .reason = KV_REASON_BUSY});
}

static void read_cancelled(struct worker *w, uint64_t caller)
{
    for (uint32_t i = 0; i < w->config.readers_max; i++) {
        struct worker_reader *r = &record_readers(w)[i];
        if (!r->key || r->caller != caller)
            continue;
        leave(w, r);
    }
}

/* ---- In doubt, and those who are asked ---- */

static void timed_out(const struct step *s, struct worker_txn *t)
{
    if (t->phase != WORKER_PREPARED)
        return;
    inquire(s, t);
    kv_nodes others = t->asked ? t->request->participants & ~self(s->w) : 0;
    for (uint32_t node; (node = kv_node_take(&others)) != 0;) {
        tell(s, node,
             (struct kv_message){.kind = KV_INQUIRE_PARTICIPANT,
                                 .txid = t->id,
                                 .participants = t->request->participants});
    }
    t->asked = true;
    wait_in_doubt(s, t, earlier(2 * t->wait_ns, s->w->config.inquire_max_ns));
}

static enum kv_answer answer_of(const struct step *s, const struct kv_message *m)
{
    const struct worker_txn *t = record_find(s->w, m->txid);

    if (is_below_mark(s->w, m->txid) || !(m->participants & self(s->w)))
        return KV_UNKNOWN;
    if (!t) {
        make_tombstone(s, m->txid);
        return KV_PENDING;
    }
    if (t->phase == WORKER_COMMITTED)
        return KV_COMMITTED;
    return t->phase == WORKER_ABORTED ? KV_ABORTED : KV_PENDING;
}

static void inquired(const struct step *s, const struct kv_message *m)
{
    enum kv_answer answer = answer_of(s, m);
    tell(s, m->from, (struct kv_message){.kind = KV_ANSWER, .txid = m->txid, .answer = answer});
}

static void answered(const struct step *s, const struct kv_message *m)
{
    struct worker_txn *t = record_find(s->w, m->txid);

    if (!t || t->phase != WORKER_PREPARED)
        s->w->counters.ignored++;
    else if (m->answer == KV_ENDED)
        stop(s, t->id, KV_STOP_PREPARED_ENDED);
    else if (m->answer == KV_COMMITTED || m->answer == KV_ABORTED)
        learn_outcome(s, t, m->answer == KV_COMMITTED);
}

/* ---- Events ---- */

static void settle(const struct step *s, struct worker_txn *t, bool committed)
{
    t->phase = committed ? WORKER_COMMITTED : WORKER_ABORTED;
    if (committed)
        s->w->counters.commits++;
    else
        s->w->counters.aborts++;
    if (t->request) {
        kv_locks_release(record_locks(s->w), t->request, self(s->w), t->id);
        kv_request_release(t->request);
        t->request = NULL;
    }
    acknowledge(s, t->id);
    if (is_below_mark(s->w, t->id))
        record_forget(s->w, t);
    answer_readers(s);
}

static void durable(const struct step *s, struct worker_txn *t, enum kv_row_kind row)
{
    if (row == KV_WORKER_PREPARE && t->phase == WORKER_PREPARING)
        prepared(s, t);
    else if (row == KV_WORKER_COMMIT || row == KV_WORKER_ABORT)
        settle(s, t, row == KV_WORKER_COMMIT);
}

static void heard(const struct step *s, const struct kv_message *m)
{
    if (m->mark.incarnation != 0 && kv_node_bit(m->mark.coordinator) != 0)
        learn_mark(s, m->mark);
    if (s->w->stopped || m->kind == KV_MARK)
        return;
    if (kv_node_bit(m->txid.coordinator) == 0) {
        s->w->counters.ignored++;
        return;
    }
    switch (m->kind) {
    case KV_VOTE_REQUEST:
        vote_requested(s, m);
        break;
    case KV_GLOBAL_COMMIT:
    case KV_GLOBAL_ABORT:
        decision_heard(s, m);
        break;
    case KV_INQUIRE_PARTICIPANT:
        inquired(s, m);
        break;
    case KV_ANSWER:
        answered(s, m);
        break;
    default:
        s->w->counters.ignored++;
        break;
    }
}

/* ---- Restart ---- */

static bool load_prepare(struct worker *w, const struct kv_row *row)
{
    struct worker_txn *t =
        record_find(w, row->txid) ? NULL : record_add(w, row->txid, WORKER_PREPARED);

    if (!t)
        return false;
    t->request = kv_request_hold(row->request);
    return true;
}

static bool load_outcome(struct worker *w, const struct kv_row *row)
{
    struct worker_txn *t = record_find(w, row->txid);

    if (!t)
        t = record_add(w, row->txid, WORKER_FREE);
    if (!t)
        return false;
    t->phase = row->kind == KV_WORKER_COMMIT ? WORKER_COMMITTED : WORKER_ABORTED;
    kv_request_release(t->request);
    t->request = NULL;
    return true;
}

bool worker_load(struct worker *w, const struct kv_row *row)
{
    switch (row->kind) {
    case KV_WORKER_PREPARE:
        return load_prepare(w, row);
    case KV_WORKER_COMMIT:
    case KV_WORKER_ABORT:
        return load_outcome(w, row);
    case KV_WORKER_MARK:
        w->coordinators[row->mark.coordinator - 1].mark = row->mark;
        return true;
    default:
        return true;
    }
}

/* Who is in doubt has its locks again, before anything else may ask for them. */
static void start(const struct step *s)
{
    struct worker *w = s->w;
    struct kv_refusal refusal;

    for (uint32_t i = 0; i < w->config.records_max; i++) {
        struct worker_txn *t = &w->records[i];
        if (t->phase != WORKER_PREPARED)
            continue;
        if (kv_locks_take(record_locks(w), t->request, self(w), t->id, &refusal) !=
            KV_REASON_NONE) {
            stop(s, t->id, KV_STOP_JOURNAL_REFUTED);
            return;
        }
        wait_in_doubt(s, t, w->config.inquire_ns);
    }
}

void worker_step(struct worker *w, const struct kv_event *e, uint64_t now_ns,
                 const struct kv_store *store, const struct kv_sink *sink)
{
    struct step s = {w, now_ns, store, sink};
    struct worker_txn *t = w->stopped ? NULL : record_find(w, e->txid);

    if (w->stopped)
        return;
    switch (e->kind) {
    case KV_EVENT_START:
        start(&s);
        break;
    case KV_EVENT_MESSAGE:
        heard(&s, e->message);
        break;
    case KV_EVENT_DURABLE:
        if (t)
            durable(&s, t, e->row);
        break;
    case KV_EVENT_TIMEOUT:
        if (t)
            timed_out(&s, t);
        break;
    case KV_EVENT_READ:
        read_requested(&s, e);
        break;
    case KV_EVENT_READ_CANCEL:
        read_cancelled(w, e->caller);
        break;
    default:
        break;
    }
}

const char *worker_phase_name(enum worker_phase phase)
{
    static const char *const names[] = {
        [WORKER_FREE] = "free",         [WORKER_PREPARING] = "preparing",
        [WORKER_PREPARED] = "prepared", [WORKER_COMMITTING] = "committing",
        [WORKER_ABORTING] = "aborting", [WORKER_COMMITTED] = "committed",
        [WORKER_ABORTED] = "aborted",
    };
    return names[phase];
}
