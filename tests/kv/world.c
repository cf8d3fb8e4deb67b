/* SPDX-License-Identifier: MIT */
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "check.h"
#include "parts.h"
#include "strait.h"

bool is_coordinator(uint32_t machine)
{
    return machine < COORDINATORS_MAX;
}

bool exists(const struct world *w, uint32_t machine)
{
    const struct scenario *s = w->universe->scenario;

    return machine < COORDINATORS_MAX ? machine < s->coordinators
                                      : machine - COORDINATORS_MAX < s->workers;
}

uint32_t id_of(uint32_t machine)
{
    return is_coordinator(machine) ? machine + 1 : machine - COORDINATORS_MAX + 1;
}

struct coordinator *world_coordinator(struct world *w, uint32_t id)
{
    return (struct coordinator *)w->coordinators[id - 1];
}

struct worker *world_worker(struct world *w, uint32_t id)
{
    return (struct worker *)w->workers[id - 1];
}

bool is_under_way(const struct world *w, uint32_t index)
{
    return (w->state.sent[index / 64] | w->universe->idle[index / 64]) &
           (UINT64_C(1) << (index % 64));
}

/* ---- Actions ---- */

struct actor {
    struct world *world;
    uint32_t machine;
};

static void say(const struct actor *a, const struct kv_action *action)
{
    const char *who = is_coordinator(a->machine) ? "coordinator" : "worker";
    const struct kv_txid *about = NULL;

    if (action->kind == KV_JOURNAL)
        about = action->row->kind == KV_WORKER_MARK ? &action->row->mark : &action->row->txid;
    printf("        %s %" PRIu32 ": ", who, id_of(a->machine));
    if (action->kind == KV_SEND)
        printf("sends %s to %" PRIu32 " (%s, %s)\n", kv_message_name(action->message->kind),
               action->message->to, kv_reason_name(action->message->refusal.reason),
               kv_answer_name(action->message->answer));
    else if (action->kind == KV_JOURNAL)
        printf("journals %s of %u.%u.%u\n", kv_row_name(action->row->kind), about->coordinator,
               about->incarnation, (unsigned)about->sequence);
    else if (action->kind == KV_REPLY)
        printf("answers %s\n", action->reply->success ? "SUCCESS" : "FAIL");
    else if (action->kind == KV_STOP)
        printf("stops: %s\n", kv_stop_name(action->stop));
    else
        printf("sets a timer\n");
}

/*
 * Words that bind nobody: that there is nothing to tell, and a refusal to vote, which says no more
 * than a vote that never comes. Once one of them was sent in any world, it is under way in all of
 * them. That is more than can happen, and so it hides nothing; and worlds do not differ by it.
 */
static bool is_idle_word(const struct kv_message *m)
{
    if (m->kind == KV_VOTE_ABORT)
        return m->refusal.reason != KV_REASON_ALREADY;
    return m->kind == KV_ANSWER && (m->answer == KV_PENDING || m->answer == KV_UNKNOWN);
}

static void take_send(struct actor *a, const struct kv_message *message)
{
    struct world *w = a->world;
    uint32_t index = message_index(w->universe, message);
    const struct kv_message *m = &w->universe->messages[index];

    if (is_coordinator(a->machine))
        check_coordinator_send(w, m);
    else
        check_worker_send(w, m);
    w->universe->said[index / 64] |= UINT64_C(1) << (index % 64);
    if (is_idle_word(m)) {
        w->universe->idle[index / 64] |= UINT64_C(1) << (index % 64);
        return;
    }
    w->state.sent[index / 64] |= UINT64_C(1) << (index % 64);
    w->universe->sent_now[index / 64] |= UINT64_C(1) << (index % 64);
}

static void take_row(struct actor *a, const struct kv_row *row)
{
    struct universe *u = a->world->universe;
    struct model_queue *q = &a->world->state.queues[a->machine];

    if (is_coordinator(a->machine))
        check_coordinator_journal(a->world, row);
    CHECK(q->length < QUEUE_MAX);
    q->rows[q->length++] = (struct model_row){
        .kind = (uint8_t)row->kind,
        .forced = row->forced,
        .txid = txid_index(u, row->txid),
        .mark = txid_index(u, row->mark),
        .request = request_index(u, row->request),
        .results = results_index(u, row->results),
    };
}

static void take_stop(struct actor *a, enum kv_stop why)
{
    struct world *w = a->world;
    uint8_t self = (uint8_t)kv_node_bit(id_of(a->machine));

    w->state.seen.stopped |= self;
    if (!(w->state.seen.lost & self))
        violated(w->universe, "a node stops: %s", kv_stop_name(why));
}

static void take_timer(struct actor *a, const struct kv_action *action)
{
    uint8_t t = txid_index(a->world->universe, action->txid);
    uint16_t *armed = &a->world->state.armed[a->machine];

    CHECK(t < TXIDS_MAX);
    *armed &= (uint16_t) ~(1U << t);
    if (action->at_ns != STRAIT_NEVER)
        *armed |= (uint16_t)(1U << t);
}

static void take_read(struct universe *u, const struct kv_action *action)
{
    u->read.count++;
    u->read.reason = action->reason;
    u->read.result = action->result ? *action->result : (struct kv_result){0};
}

static void take(void *context, const struct kv_action *action)
{
    struct actor *a = context;

    if (a->world->universe->log && action->kind != KV_TIMER)
        say(a, action);
    switch (action->kind) {
    case KV_SEND:
        take_send(a, action->message);
        break;
    case KV_JOURNAL:
        take_row(a, action->row);
        break;
    case KV_TIMER:
        take_timer(a, action);
        break;
    case KV_REPLY:
        check_reply(a->world, action->reply);
        break;
    case KV_READ_REPLY:
        take_read(a->world->universe, action);
        break;
    case KV_STOP:
        take_stop(a, action->stop);
        break;
    }
}

static void step(struct world *w, uint32_t machine, const struct kv_event *event, uint64_t now_ns)
{
    struct actor actor = {w, machine};
    struct kv_sink sink = {take, &actor};
    uint32_t id = id_of(machine);

    if (is_coordinator(machine)) {
        coordinator_step(world_coordinator(w, id), event, now_ns, &sink);
        return;
    }
    struct view view = {w->universe, &w->state.workers[id - 1]};
    struct kv_store store = {view_get, view_past, &view};
    worker_step(world_worker(w, id), event, now_ns, &store, &sink);
}

static void sync_journal(struct world *w, uint32_t machine, uint64_t now_ns)
{
    struct model_queue *q = &w->state.queues[machine];
    uint32_t count = rows_to_sync(q);
    struct model_row row = q->rows[count - 1];

    make_durable(w, machine, count);
    step(w, machine,
         &(struct kv_event){
             .kind = KV_EVENT_DURABLE, .row = row.kind, .txid = txid_at(w->universe, row.txid)},
         now_ns);
}

/* ---- Starts and crashes ---- */

static void start(struct world *w, uint32_t machine)
{
    struct universe *u = w->universe;
    uint32_t id = id_of(machine);

    w->state.armed[machine] = 0;
    if (is_coordinator(machine)) {
        memcpy(w->coordinators[id - 1], u->empty_coordinators[id - 1],
               coordinator_bytes(u->empty_coordinators[id - 1]));
        load_coordinator(w, id);
    } else {
        memcpy(w->workers[id - 1], u->empty_workers[id - 1],
               worker_bytes(u->empty_workers[id - 1]));
        load_worker(w, id);
    }
    step(w, machine, &(struct kv_event){.kind = KV_EVENT_START}, EARLY_NS);
}

static void clear_queue(struct world *w, uint32_t machine)
{
    memset(&w->state.queues[machine], 0, sizeof(w->state.queues[machine]));
}

static void crash(struct world *w, uint32_t machine, uint32_t durable)
{
    make_durable(w, machine, durable);
    clear_queue(w, machine);
    w->state.crashes--;
    if (is_coordinator(machine))
        w->state.coordinator_crashes--;
    else
        w->state.worker_crashes--;
    start(w, machine);
}

static void lose(struct world *w, uint32_t machine)
{
    clear_queue(w, machine);
    empty_worker_image(&w->state.workers[id_of(machine) - 1]);
    w->state.seen.lost |= (uint8_t)kv_node_bit(id_of(machine));
    w->state.losses--;
    start(w, machine);
}

void world_init(struct world *w, struct universe *u)
{
    const struct scenario *s = u->scenario;

    memset(w, 0, sizeof(*w));
    w->universe = u;
    memset(w->state.seen.request, NONE, sizeof(w->state.seen.request));
    for (uint32_t i = 0; i < REQUESTS_MAX; i++)
        w->state.seen.requests[i].txid = NONE;
    for (uint32_t i = 0; i < COORDINATORS_MAX; i++)
        memset(w->state.coordinators[i].request, NONE, TXIDS_MAX);
    for (uint32_t i = 0; i < WORKERS_MAX; i++)
        empty_worker_image(&w->state.workers[i]);
    w->state.crashes = s->crashes;
    w->state.coordinator_crashes = s->coordinator_crashes;
    w->state.worker_crashes = s->worker_crashes;
    w->state.blackouts = s->blackouts;
    w->state.losses = s->losses;
    for (uint32_t i = 0; i < s->coordinators; i++) {
        start(w, i);
        sync_journal(w, i, EARLY_NS);
    }
    for (uint32_t i = 0; i < s->workers; i++)
        start(w, COORDINATORS_MAX + i);
}

/* ---- Moves ---- */

uint32_t move_machine(const struct universe *u, struct move m)
{
    switch (m.kind) {
    case MOVE_DELIVER:
        return receiver(&u->messages[m.argument]);
    case MOVE_SUBMIT:
        return u->scenario->requests[m.argument].coordinator - 1;
    case MOVE_BLACKOUT:
        return MACHINES_MAX;
    default:
        return m.machine;
    }
}

static void deliver(struct world *w, uint32_t index)
{
    const struct kv_message *m = &w->universe->messages[index];

    step(w, receiver(m), &(struct kv_event){.kind = KV_EVENT_MESSAGE, .message = m}, EARLY_NS);
}

static void submit(struct world *w, uint32_t request)
{
    w->state.seen.requests[request].submitted = 1;
    step(w, w->universe->scenario->requests[request].coordinator - 1,
         &(struct kv_event){.kind = KV_EVENT_REQUEST,
                            .request = w->universe->requests[request],
                            .caller = request,
                            .deadline_ns = DEADLINE_NS},
         EARLY_NS);
}

static void time_out(struct world *w, struct move m)
{
    w->state.armed[m.machine] &= (uint16_t) ~(1U << m.argument);
    step(w, m.machine,
         &(struct kv_event){.kind = KV_EVENT_TIMEOUT, .txid = w->universe->txids[m.argument]},
         m.late ? LATE_NS : EARLY_NS);
}

void world_read(struct world *w, uint32_t worker, uint32_t key)
{
    step(w, COORDINATORS_MAX + worker - 1,
         &(struct kv_event){.kind = KV_EVENT_READ, .key = w->universe->keys[key]}, EARLY_NS);
}

void world_move(struct world *w, struct move m)
{
    w->universe->violation[0] = '\0';
    switch (m.kind) {
    case MOVE_DELIVER:
        deliver(w, m.argument);
        break;
    case MOVE_SUBMIT:
        submit(w, m.argument);
        break;
    case MOVE_SYNC:
        sync_journal(w, m.machine, m.late ? LATE_NS : EARLY_NS);
        break;
    case MOVE_TIMEOUT:
        time_out(w, m);
        break;
    case MOVE_CRASH:
        crash(w, m.machine, m.argument);
        break;
    case MOVE_LOSE:
        lose(w, m.machine);
        break;
    default:
        memset(w->state.sent, 0, sizeof(w->state.sent));
        w->state.blackouts--;
        break;
    }
}

static void copy_machine(struct world *to, const struct world *from, uint32_t machine)
{
    uint32_t i = id_of(machine) - 1;

    if (is_coordinator(machine))
        memcpy(to->coordinators[i], from->coordinators[i], COORDINATOR_BYTES);
    else
        memcpy(to->workers[i], from->workers[i], WORKER_BYTES);
}

void world_undo(struct world *w, struct move move, const struct world *before)
{
    uint32_t machine = move_machine(w->universe, move);

    w->state = before->state;
    if (machine < MACHINES_MAX)
        copy_machine(w, before, machine);
}

struct list {
    struct move *moves;
    uint32_t count;
};

static void add(struct list *l, enum move_kind kind, uint32_t machine, uint32_t argument, bool late)
{
    CHECK(l->count < MOVES_MAX);
    l->moves[l->count++] = (struct move){(uint8_t)kind, (uint8_t)machine, (uint8_t)argument, late};
}

/* The window is empty: whatever the coordinator has begun has ended. */
static bool is_idle(struct world *w)
{
    for (uint32_t i = 1; i <= w->universe->scenario->coordinators; i++) {
        if (world_coordinator(w, i)->first < world_coordinator(w, i)->next)
            return false;
    }
    return true;
}

static void add_submits(struct world *w, struct list *l)
{
    for (uint32_t i = 0; i < w->universe->request_count; i++) {
        if (w->state.seen.requests[i].submitted)
            continue;
        if (w->universe->scenario->in_order && !is_idle(w))
            return;
        add(l, MOVE_SUBMIT, 0, i, false);
        if (w->universe->scenario->in_order)
            return;
    }
}

static void add_timeouts(struct world *w, struct list *l, uint32_t machine)
{
    uint16_t armed = w->state.armed[machine];

    if (!is_coordinator(machine) && w->universe->scenario->no_inquiries)
        return;
    for (uint32_t t = 0; t < w->universe->txid_count; t++) {
        if (!(armed & (1U << t)))
            continue;
        add(l, MOVE_TIMEOUT, machine, t, false);
        if (is_coordinator(machine))
            add(l, MOVE_TIMEOUT, machine, t, true);
    }
}

static bool may_crash(const struct world *w, uint32_t machine)
{
    kv_nodes only = w->universe->scenario->may_restart;

    if (w->state.crashes == 0)
        return false;
    if (is_coordinator(machine))
        return w->state.coordinator_crashes > 0;
    return w->state.worker_crashes > 0 && (only == 0 || (only & kv_node_bit(id_of(machine))));
}

static void add_of_machine(struct world *w, struct list *l, uint32_t machine)
{
    const struct model_queue *q = &w->state.queues[machine];
    uint32_t rows = rows_to_sync(q);

    if (rows > 0) {
        add(l, MOVE_SYNC, machine, 0, false);
        if (q->rows[rows - 1].kind == KV_COORDINATOR_PREPARE)
            add(l, MOVE_SYNC, machine, 0, true);
    }
    add_timeouts(w, l, machine);
    for (uint32_t durable = 0; may_crash(w, machine) && durable <= q->length; durable++)
        add(l, MOVE_CRASH, machine, durable, false);
    if (w->state.losses > 0 && machine == COORDINATORS_MAX)
        add(l, MOVE_LOSE, machine, 0, false);
}

uint32_t world_moves(struct world *w, struct move moves[MOVES_MAX])
{
    struct list l = {moves, 0};
    const struct scenario *s = w->universe->scenario;

    for (uint32_t i = 0; i < s->coordinators; i++)
        add_of_machine(w, &l, i);
    for (uint32_t i = 0; i < s->workers; i++)
        add_of_machine(w, &l, COORDINATORS_MAX + i);
    for (uint32_t i = 0; i < w->universe->message_count; i++) {
        if (is_under_way(w, i))
            add(&l, MOVE_DELIVER, 0, i, false);
    }
    add_submits(w, &l);
    if (w->state.blackouts > 0)
        add(&l, MOVE_BLACKOUT, 0, 0, false);
    return l.count;
}

bool move_is_regular(struct move m)
{
    return m.kind != MOVE_CRASH && m.kind != MOVE_LOSE && m.kind != MOVE_BLACKOUT;
}

const char *move_text(const struct universe *u, struct move m, char *text, size_t bytes)
{
    const char *who = is_coordinator(m.machine) ? "coordinator" : "worker";
    const struct kv_message *message = &u->messages[m.argument];
    const struct kv_txid *t = &u->txids[m.argument % TXIDS_MAX];
    const struct kv_txid *about = message->kind == KV_MARK ? &message->mark : &message->txid;
    uint32_t id = id_of(m.machine);

    switch (m.kind) {
    case MOVE_DELIVER:
        snprintf(text, bytes, "%s of %u.%u.%u, %u to %u, is delivered (%s, %s)",
                 kv_message_name(message->kind), about->coordinator, about->incarnation,
                 (unsigned)about->sequence, message->from, message->to,
                 kv_reason_name(message->refusal.reason), kv_answer_name(message->answer));
        break;
    case MOVE_SUBMIT:
        snprintf(text, bytes, "coordinator %u is asked for \"%s\"",
                 u->scenario->requests[m.argument].coordinator,
                 u->scenario->requests[m.argument].text);
        break;
    case MOVE_SYNC:
        snprintf(text, bytes, "%s %u: the journal is synced%s", who, id,
                 m.late ? ", too late" : "");
        break;
    case MOVE_TIMEOUT:
        snprintf(text, bytes, "%s %u: the timer of %u.%u.%u runs out%s", who, id, t->coordinator,
                 t->incarnation, (unsigned)t->sequence, m.late ? ", the deadline is near" : "");
        break;
    case MOVE_CRASH:
        snprintf(text, bytes, "%s %u: crashes with %u queued rows durable, and restarts", who, id,
                 m.argument);
        break;
    case MOVE_LOSE:
        snprintf(text, bytes, "%s %u: crashes, its journal is lost, and restarts", who, id);
        break;
    default:
        snprintf(text, bytes, "all messages under way are lost");
        break;
    }
    return text;
}
