/* SPDX-License-Identifier: MIT */
/*
 * A transaction at its coordinator. Each arrow is an event; [row] is handed to the journal, and
 * the next state is entered when it is durable.
 *
 *                      request of a client
 *                               | [PREPARE]
 *                               v
 *                           PREPARING
 *                               | durable: VOTE-REQUEST to every participant
 *                               v
 *                            VOTING --------------------------.
 *                               |                             | a VOTE-ABORT, or a vote
 *             every participant | [COMMIT]            [ABORT] | is missing at the deadline, or
 *              has voted COMMIT v                             v results are too long for a reply
 *                          COMMITTING                     ABORTING <--- restart, undecided
 *                               | durable: GLOBAL-COMMIT      | durable: GLOBAL-ABORT, and
 *                               v                             v          the client's answer
 *         restart, decided > COMMITTED                     ABORTED < restart, decided
 *                               |                             |
 *                               | every participant that was  |
 *                               | sent a VOTE-REQUEST has     |
 *                               | sent an ACK                 |
 *                               '-----------> ENDED <---------'
 *                                             [END]
 *
 * From COMMITTING and ABORTING no way leads but forward: a decision is final when it is handed to
 * the journal, and is spoken of, to anybody, when it is durable. A client hears of success when
 * everybody has acknowledged, or when its deadline is near: a participant that has not acknowledged
 * holds the lock, so that nobody reads the old value. A client hears of failure when the abort is
 * durable.
 *
 * A transaction of an earlier incarnation that is not decided is aborted, though its votes may be
 * on their way.
 *
 * Whoever has ended stays in the table until all before it have, so that its sequence is taken: the
 * mark is the oldest that has not ended. A transaction that cannot end, because a participant is
 * away, therefore lets `window` others begin, and then the node refuses.
 */
#include "kv/coordinator.h"

#include <stdlib.h>

#include "strait.h"

/* What a step works with. */
struct step {
    struct coordinator *c;
    uint64_t now_ns;
    const struct kv_sink *sink;
};

/* ---- The table ---- */

static struct coordinator_txn *slot(struct coordinator *c, uint64_t sequence)
{
    return &c->txns[sequence % c->config.window];
}

static struct coordinator_txn *find(struct coordinator *c, struct kv_txid id)
{
    struct coordinator_txn *t = slot(c, id.sequence);

    return t->phase != COORDINATOR_FREE && kv_txid_equal(t->id, id) ? t : NULL;
}

const struct coordinator_txn *coordinator_find(const struct coordinator *c, struct kv_txid id)
{
    const struct coordinator_txn *t = &c->txns[id.sequence % c->config.window];

    return t->phase != COORDINATOR_FREE && kv_txid_equal(t->id, id) ? t : NULL;
}

struct kv_txid coordinator_mark(const struct coordinator *c)
{
    if (c->first < c->next)
        return c->txns[c->first % c->config.window].id;
    return (struct kv_txid){c->config.id, c->incarnation, c->next};
}

/* The oldest that has not ended becomes the first. */
static void advance(struct coordinator *c)
{
    while (c->first < c->next) {
        struct coordinator_txn *t = slot(c, c->first);
        if (t->phase != COORDINATOR_FREE && t->phase != COORDINATOR_ENDED)
            return;
        *t = (struct coordinator_txn){.phase = COORDINATOR_FREE};
        c->first++;
    }
}

static void forget_request(struct coordinator_txn *t)
{
    kv_request_release(t->request);
    t->request = NULL;
    for (size_t i = 0; i < KV_NODES_MAX; i++) {
        kv_results_release(t->results[i]);
        t->results[i] = NULL;
    }
}

struct coordinator *coordinator_new(const struct coordinator_config *config)
{
    if (config->window == 0 || kv_node_bit(config->id) == 0)
        return NULL;
    struct coordinator *c = calloc(1, sizeof(*c) + config->window * sizeof(struct coordinator_txn));
    if (!c)
        return NULL;
    c->config = *config;
    c->first = c->next = 1;
    return c;
}

void coordinator_free(struct coordinator *c)
{
    for (uint32_t i = 0; c && i < c->config.window; i++)
        forget_request(&c->txns[i]);
    free(c);
}

size_t coordinator_bytes(const struct coordinator *c)
{
    return sizeof(*c) + c->config.window * sizeof(c->txns[0]);
}

/* ---- Sending ---- */

static void tell(const struct step *s, uint32_t to, struct kv_message message)
{
    message.from = s->c->config.id;
    message.to = to;
    if (message.kind != KV_ANSWER)
        message.mark = coordinator_mark(s->c);
    kv_send(s->sink, &message);
}

/* Says what there is to say in this phase to those that have not answered it; `said_ns` after it
 * was said to them before, or 0. */
static void speak(const struct step *s, const struct coordinator_txn *t, uint64_t said_ns)
{
    struct kv_message message = {.txid = t->id};
    kv_nodes to = t->participants & ~t->acknowledged;

    if (t->phase == COORDINATOR_VOTING) {
        message.kind = KV_VOTE_REQUEST;
        message.request = t->request;
        message.said_ns = said_ns;
        to = t->participants & ~t->voted;
    } else {
        message.kind = t->phase == COORDINATOR_COMMITTED ? KV_GLOBAL_COMMIT : KV_GLOBAL_ABORT;
    }
    for (uint32_t node; (node = kv_node_take(&to)) != 0;)
        tell(s, node, message);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Starts the timer for the next time that something is sent again, or the deadline before it. */
static void wait_more(const struct step *s, struct coordinator_txn *t)
{
    uint64_t at = s->now_ns + t->wait_ns;

    if (t->phase == COORDINATOR_VOTING)
        at = earlier(at, t->vote_by_ns);
    else if (!t->replied)
        at = earlier(at, t->reply_by_ns);
    kv_timer(s->sink, t->id, at);
}

static void speak_and_wait(const struct step *s, struct coordinator_txn *t)
{
    t->wait_ns = s->c->config.resend_ns;
    speak(s, t, 0);
    wait_more(s, t);
}

static void reply(const struct step *s, struct coordinator_txn *t, bool success)
{
    if (t->replied)
        return;
    t->replied = true;
    struct kv_reply r = {.caller = t->caller,
                         .txid = t->id,
                         .success = success,
                         .refusal = t->refusal,
                         .request = t->request,
                         .results = t->results};
    s->sink->take(s->sink->context, &(struct kv_action){.kind = KV_REPLY, .reply = &r});
    forget_request(t);
}

/* ---- From the request to the decision ---- */

static void refuse(const struct step *s, const struct kv_event *e, enum kv_reason reason)
{
    struct kv_results *none[KV_NODES_MAX] = {NULL};
    struct kv_reply r = {.caller = e->caller,
                         .refusal = {.reason = reason, .node = s->c->config.id},
                         .request = e->request,
                         .results = none};
    s->sink->take(s->sink->context, &(struct kv_action){.kind = KV_REPLY, .reply = &r});
}

/* A little before the deadline; of a short time three quarters are left for the votes. */
static uint64_t answer_by(const struct step *s, uint64_t deadline_ns)
{
    uint64_t left_ns = deadline_ns > s->now_ns ? deadline_ns - s->now_ns : 0;

    return s->now_ns + left_ns - earlier(s->c->config.near_ns, left_ns / 4);
}

static void begin(const struct step *s, const struct kv_event *e)
{
    struct coordinator *c = s->c;

    c->counters.requests++;
    if (!kv_request_valid(e->request)) {
        c->counters.refused_invalid++;
        refuse(s, e, KV_REASON_INVALID);
        return;
    }
    if (!c->started || c->next - c->first >= c->config.window) {
        c->counters.refused_busy++;
        refuse(s, e, KV_REASON_BUSY);
        return;
    }
    uint64_t sequence = c->next++, reply_by = answer_by(s, e->deadline_ns);
    struct coordinator_txn *t = slot(c, sequence);
    *t = (struct coordinator_txn){
        .phase = COORDINATOR_PREPARING,
        .id = {c->config.id, c->incarnation, sequence},
        .participants = e->request->participants,
        .caller = e->caller,
        .vote_by_ns = earlier(s->now_ns + c->config.vote_ns, reply_by),
        .reply_by_ns = reply_by,
        .request = kv_request_hold(e->request),
    };
    kv_journal(s->sink, &(struct kv_row){.kind = KV_COORDINATOR_PREPARE,
                                         .forced = true,
                                         .txid = t->id,
                                         .participants = t->participants,
                                         .request = t->request});
}

/* Of a vote that is missing it is the voter; or this node, if its journal took all the time. */
static uint32_t who_failed(const struct coordinator_txn *t, enum kv_reason reason)
{
    kv_nodes missing = t->participants & ~t->voted;
    return reason == KV_REASON_TIMEOUT && t->requested ? kv_node_first(missing) : t->id.coordinator;
}

/* What is decided here stays decided: nothing but the journal leads on from these phases. */
static void decide(const struct step *s, struct coordinator_txn *t, bool commit,
                   enum kv_reason reason)
{
    struct kv_row row = {.forced = true, .txid = t->id};

    if (commit) {
        t->phase = COORDINATOR_COMMITTING;
        row.kind = KV_COORDINATOR_COMMIT;
        s->c->counters.commits++;
    } else {
        t->phase = COORDINATOR_ABORTING;
        row.kind = KV_COORDINATOR_ABORT;
        s->c->counters.aborts++;
        if (t->refusal.reason == KV_REASON_NONE)
            t->refusal = (struct kv_refusal){.reason = reason, .node = who_failed(t, reason)};
    }
    kv_timer(s->sink, t->id, STRAIT_NEVER);
    kv_journal(s->sink, &row);
}

static void prepared(const struct step *s, struct coordinator_txn *t)
{
    t->phase = COORDINATOR_VOTING;
    if (s->now_ns >= t->vote_by_ns) {
        s->c->counters.timeouts++;
        decide(s, t, false, KV_REASON_TIMEOUT);
        return;
    }
    t->requested = true;
    speak_and_wait(s, t);
}

static uint64_t bytes_of(const struct kv_result *result)
{
    return result && result->value ? result->value->length : 0;
}

/* Whether the client could not be told what has been read. Votes of several replicas say the same,
 * so that they are seldom counted one by one. */
static bool are_too_long(const struct coordinator *c, const struct coordinator_txn *t)
{
    const struct kv_reply r = {.request = t->request, .results = t->results};
    uint64_t max = c->config.results_bytes, all = 0, once = 0;

    for (uint32_t i = 0; i < KV_NODES_MAX; i++)
        for (uint32_t j = 0; t->results[i] && j < t->results[i]->count; j++)
            all += bytes_of(&t->results[i]->list[j]);
    if (max == 0 || all <= max)
        return false;
    for (uint32_t i = 0; i < t->request->count; i++)
        once += bytes_of(kv_reply_result(&r, i));
    return once > max;
}

/* Everybody has voted to commit. What cannot be answered must not have happened. */
static void choose(const struct step *s, struct coordinator_txn *t)
{
    bool too_long = are_too_long(s->c, t);

    s->c->counters.refused_results += too_long;
    decide(s, t, !too_long, too_long ? KV_REASON_LARGE : KV_REASON_NONE);
}

static void voted_commit(const struct step *s, struct coordinator_txn *t,
                         const struct kv_message *m)
{
    kv_nodes voter = kv_node_bit(m->from) & t->participants;

    if (t->phase != COORDINATOR_VOTING || voter == 0 || (t->voted & voter)) {
        s->c->counters.ignored++;
        return;
    }
    t->voted |= voter;
    t->results[m->from - 1] = kv_results_hold(m->results);
    if (t->voted == t->participants)
        choose(s, t);
}

static void voted_abort(const struct step *s, struct coordinator_txn *t, const struct kv_message *m)
{
    if (t->phase != COORDINATOR_VOTING || !(kv_node_bit(m->from) & t->participants)) {
        s->c->counters.ignored++;
        return;
    }
    t->refusal = m->refusal;
    t->refusal.node = m->from;
    kv_results_release(t->results[m->from - 1]);
    t->results[m->from - 1] = kv_results_hold(m->results);
    decide(s, t, false, m->refusal.reason);
}

/* ---- From the decision to the end ---- */

static void end(const struct step *s, struct coordinator_txn *t)
{
    struct coordinator *c = s->c;
    struct kv_row row = {.kind = KV_COORDINATOR_END, .txid = t->id};

    forget_request(t);
    kv_timer(s->sink, t->id, STRAIT_NEVER);
    t->phase = COORDINATOR_ENDED;
    c->counters.ends++;
    advance(c);
    row.mark = coordinator_mark(c);
    kv_journal(s->sink, &row);
    if (c->first < c->next)
        return; /* the next message tells the mark */
    kv_nodes members = c->config.members;
    for (uint32_t node; (node = kv_node_take(&members)) != 0;)
        tell(s, node, (struct kv_message){.kind = KV_MARK});
}

static void decided(const struct step *s, struct coordinator_txn *t, bool commit)
{
    t->phase = commit ? COORDINATOR_COMMITTED : COORDINATOR_ABORTED;
    if (!commit)
        reply(s, t, t->refusal.reason == KV_REASON_ALREADY);
    if (t->requested)
        speak_and_wait(s, t);
    else
        end(s, t);
}

static bool is_decided(const struct coordinator_txn *t)
{
    return t->phase == COORDINATOR_COMMITTED || t->phase == COORDINATOR_ABORTED;
}

static void acknowledged(const struct step *s, struct coordinator_txn *t, uint32_t from)
{
    if (!is_decided(t)) {
        s->c->counters.ignored++;
        return;
    }
    t->acknowledged |= kv_node_bit(from) & t->participants;
    if (t->acknowledged != t->participants)
        return;
    reply(s, t, t->phase == COORDINATOR_COMMITTED);
    end(s, t);
}

static void timed_out(const struct step *s, struct coordinator_txn *t)
{
    if (t->phase == COORDINATOR_VOTING && s->now_ns >= t->vote_by_ns) {
        s->c->counters.timeouts++;
        decide(s, t, false, KV_REASON_TIMEOUT);
        return;
    }
    if (t->phase != COORDINATOR_VOTING && !is_decided(t))
        return;
    if (t->phase == COORDINATOR_COMMITTED && s->now_ns >= t->reply_by_ns)
        reply(s, t, true);
    s->c->counters.resent++;
    uint64_t said_ns = t->wait_ns;
    t->wait_ns = earlier(2 * t->wait_ns, s->c->config.resend_max_ns);
    speak(s, t, said_ns);
    wait_more(s, t);
}

/* A txid that is not in the table has ended, or was never spoken of. */
static enum kv_answer answer_of(const struct coordinator *c, struct kv_txid id)
{
    const struct coordinator_txn *t = coordinator_find(c, id);

    if (!t)
        return kv_txid_before(id, coordinator_mark(c)) ? KV_ENDED : KV_UNKNOWN;
    switch (t->phase) {
    case COORDINATOR_COMMITTED:
        return KV_COMMITTED;
    case COORDINATOR_ABORTED:
        return KV_ABORTED;
    case COORDINATOR_ENDED:
        return KV_ENDED;
    default:
        return KV_PENDING;
    }
}

static void heard(const struct step *s, const struct kv_message *m)
{
    struct coordinator_txn *t = find(s->c, m->txid);

    if (m->kind == KV_INQUIRE_COORDINATOR) {
        tell(s, m->from,
             (struct kv_message){
                 .kind = KV_ANSWER, .txid = m->txid, .answer = answer_of(s->c, m->txid)});
        return;
    }
    if (t && m->kind == KV_VOTE_COMMIT)
        voted_commit(s, t, m);
    else if (t && m->kind == KV_VOTE_ABORT)
        voted_abort(s, t, m);
    else if (t && m->kind == KV_ACK)
        acknowledged(s, t, m->from);
    else
        s->c->counters.ignored++;
}

static void durable(const struct step *s, struct coordinator_txn *t, enum kv_row_kind row)
{
    if (row == KV_COORDINATOR_PREPARE && t->phase == COORDINATOR_PREPARING)
        prepared(s, t);
    else if (row == KV_COORDINATOR_COMMIT || row == KV_COORDINATOR_ABORT)
        decided(s, t, row == KV_COORDINATOR_COMMIT);
}

/* ---- Restart ---- */

/* A row of what the table need not hold, since all that is below has ended. */
static bool is_past(const struct coordinator *c, const struct kv_row *row)
{
    return row->txid.sequence < c->first;
}

static bool load_prepare(struct coordinator *c, const struct kv_row *row)
{
    if (c->first == c->next)
        c->first = row->txid.sequence;
    if (row->txid.sequence - c->first >= c->config.window)
        return false;
    *slot(c, row->txid.sequence) = (struct coordinator_txn){
        .phase = COORDINATOR_PREPARING,
        .id = row->txid,
        .participants = row->participants,
        .requested = true,
        .replied = true,
    };
    c->next = row->txid.sequence + 1;
    if (c->incarnation < row->txid.incarnation)
        c->incarnation = row->txid.incarnation;
    return true;
}

bool coordinator_load(struct coordinator *c, const struct kv_row *row)
{
    struct coordinator_txn *t = find(c, row->txid);

    switch (row->kind) {
    case KV_COORDINATOR_START:
        c->incarnation = row->txid.incarnation;
        if (c->first == c->next)
            c->first = row->txid.sequence;
        if (c->next < row->txid.sequence)
            c->next = row->txid.sequence;
        return c->next - c->first <= c->config.window;
    case KV_COORDINATOR_PREPARE:
        return is_past(c, row) || load_prepare(c, row);
    case KV_COORDINATOR_COMMIT:
    case KV_COORDINATOR_ABORT:
        if (t)
            t->phase =
                row->kind == KV_COORDINATOR_COMMIT ? COORDINATOR_COMMITTED : COORDINATOR_ABORTED;
        return true;
    case KV_COORDINATOR_END:
        if (t)
            t->phase = COORDINATOR_ENDED;
        advance(c);
        return true;
    default:
        return true;
    }
}

static void start(const struct step *s)
{
    struct coordinator *c = s->c;

    advance(c);
    c->incarnation++;
    c->started = true;
    kv_journal(s->sink, &(struct kv_row){.kind = KV_COORDINATOR_START,
                                         .forced = true,
                                         .txid = {c->config.id, c->incarnation, c->next}});
    for (uint64_t sequence = c->first; sequence < c->next; sequence++) {
        struct coordinator_txn *t = slot(c, sequence);
        if (t->phase == COORDINATOR_PREPARING)
            decide(s, t, false, KV_REASON_RESTARTED);
        else if (is_decided(t))
            speak_and_wait(s, t);
    }
}

void coordinator_step(struct coordinator *c, const struct kv_event *e, uint64_t now_ns,
                      const struct kv_sink *sink)
{
    struct step s = {c, now_ns, sink};
    struct coordinator_txn *t = find(c, e->txid);

    switch (e->kind) {
    case KV_EVENT_START:
        start(&s);
        break;
    case KV_EVENT_REQUEST:
        begin(&s, e);
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
    default:
        break;
    }
}

const char *coordinator_phase_name(enum coordinator_phase phase)
{
    static const char *const names[] = {
        [COORDINATOR_FREE] = "free",         [COORDINATOR_PREPARING] = "preparing",
        [COORDINATOR_VOTING] = "voting",     [COORDINATOR_COMMITTING] = "committing",
        [COORDINATOR_ABORTING] = "aborting", [COORDINATOR_COMMITTED] = "committed",
        [COORDINATOR_ABORTED] = "aborted",   [COORDINATOR_ENDED] = "ended",
    };
    return names[phase];
}
