/* SPDX-License-Identifier: MIT */
/* What there is to be seen of a node: its state, its transactions, its counters. */
#include "kv/coordinator.h"
#include "kv/node_service.h"
#include "kv/node_state.h"
#include "kv/records.h"
#include "kv/worker.h"

const struct kv_cluster *kv_node_cluster(const struct kv_node *node)
{
    return &node->cluster;
}

uint32_t kv_node_id(const struct kv_node *node)
{
    return node->id;
}

struct kv_journal *kv_node_journal(struct kv_node *node)
{
    return node->journal;
}

/* ---- Transactions ---- */

/* What is left to be shown, of one coordinator's transactions, in ascending order. */
struct walk {
    const struct coordinator *coordinator; /* NULL: another node's */
    uint64_t sequence;
    struct worker *worker;
    struct worker_txn *record;
};

/* The next of the coordinator's own that has not ended, or NULL. */
static const struct coordinator_txn *coordinated(struct walk *w)
{
    const struct coordinator *c = w->coordinator;
    for (; c && w->sequence < c->next; w->sequence++) {
        const struct coordinator_txn *t = &c->txns[w->sequence % c->config.window];
        if (t->phase != COORDINATOR_FREE && t->phase != COORDINATOR_ENDED)
            return t;
    }
    return NULL;
}

static bool take_next(struct walk *w, struct kv_txn_view *view)
{
    const struct coordinator_txn *c = coordinated(w);
    const struct worker_txn *r = w->record;

    if (!c && !r)
        return false;
    bool takes_c = c && (!r || !kv_txid_before(r->id, c->id));
    bool takes_r = r && (!c || !kv_txid_before(c->id, r->id));
    view->txid = takes_c ? c->id : r->id;
    view->coordinator = takes_c ? c : NULL;
    view->worker = takes_r ? r : NULL;
    w->sequence += takes_c;
    if (takes_r)
        w->record = record_newer(w->worker, w->record);
    return true;
}

void kv_node_visit_txns(struct kv_node *node, bool in_doubt_only,
                        void (*visit)(void *context, const struct kv_txn_view *), void *context)
{
    for (uint32_t id = 1; id <= KV_NODES_MAX; id++) {
        struct walk w = {.coordinator = id == node->id ? node->coordinator : NULL,
                         .sequence = node->coordinator->first,
                         .worker = node->worker,
                         .record = record_oldest(node->worker, id)};
        struct kv_txn_view view;
        while (take_next(&w, &view)) {
            bool in_doubt = view.worker && view.worker->phase == WORKER_PREPARED;
            if (in_doubt || !in_doubt_only)
                visit(context, &view);
        }
    }
}

/* ---- Status ---- */

static void count_view(void *context, const struct kv_txn_view *view)
{
    struct kv_status *status = context;
    status->coordinating += view->coordinator != NULL;
    status->in_doubt += view->worker && view->worker->phase == WORKER_PREPARED;
}

void kv_node_status(struct kv_node *node, struct kv_status *status)
{
    *status = (struct kv_status){
        .id = node->id,
        .incarnation = node->coordinator->incarnation,
        .serving = !node->failing && !node->draining,
        .keys = kv_journal_keys(node->journal),
        .locks = kv_locks_held(worker_locks(node->worker)),
        .reachable = kv_node_bit(node->id) | (node->peers ? kv_peers_reachable(node->peers) : 0),
    };
    kv_node_visit_txns(node, false, count_view, status);
}

/* ---- Counters ---- */

struct counted {
    const char *name;
    size_t offset;
};

#define COUNTED(type, prefix, field)                                                               \
    {                                                                                              \
        "kv_" prefix #field, offsetof(struct type, field)                                          \
    }
#define OF_COORDINATOR(field) COUNTED(coordinator_counters, "", field)
#define OF_WORKER(field)      COUNTED(worker_counters, "worker_", field)
#define OF_JOURNAL(field)     COUNTED(kv_journal_counters, "journal_", field)
#define OF_ASKS(field)        COUNTED(kv_ask_counters, "ask_", field),
#define OF_PEERS(field)       COUNTED(kv_peers_counters, "peer_", field),
#define OF_SERVICE(field)     COUNTED(kv_node_service_counters, "node_", field),

static const struct counted of_coordinator[] = {
    OF_COORDINATOR(requests),
    OF_COORDINATOR(refused_invalid),
    OF_COORDINATOR(refused_busy),
    OF_COORDINATOR(refused_results),
    OF_COORDINATOR(commits),
    OF_COORDINATOR(aborts),
    OF_COORDINATOR(timeouts),
    OF_COORDINATOR(ends),
    OF_COORDINATOR(resent),
    OF_COORDINATOR(ignored),
    {NULL, 0},
};

static const struct counted of_worker[] = {
    OF_WORKER(votes_commit),  OF_WORKER(votes_abort),
    OF_WORKER(commits),       OF_WORKER(aborts),
    OF_WORKER(tombstones),    OF_WORKER(inquiries),
    OF_WORKER(reads),         OF_WORKER(reads_waited),
    OF_WORKER(forgotten),     OF_WORKER(refused_records),
    OF_WORKER(refused_locks), OF_WORKER(refused_readers),
    OF_WORKER(ignored),       {NULL, 0},
};

static const struct counted of_journal[] = {
    OF_JOURNAL(rows),           OF_JOURNAL(batches),
    OF_JOURNAL(full),           OF_JOURNAL(damaged),
    OF_JOURNAL(backups),        OF_JOURNAL(once_full),
    OF_JOURNAL(once_crowded),   OF_JOURNAL(once_ended),
    OF_JOURNAL(once_displaced), {NULL, 0},
};

static const struct counted of_asks[] = {KV_ASK_COUNTERS(OF_ASKS){NULL, 0}};
static const struct counted of_peers[] = {KV_PEERS_COUNTERS(OF_PEERS){NULL, 0}};
static const struct counted of_service[] = {KV_NODE_SERVICE_COUNTERS(OF_SERVICE){NULL, 0}};

/* A part of the node that is not there, since it has stopped, has no counters. */
static void visit_part(const struct counted *list, const void *counters,
                       void (*visit)(void *context, const char *name, uint64_t value),
                       void *context)
{
    for (; counters && list->name; list++)
        visit(context, list->name,
              *(const uint64_t *)(const void *)((const char *)counters + list->offset));
}

void kv_node_visit_counters(struct kv_node *node,
                            void (*visit)(void *context, const char *name, uint64_t value),
                            void *context)
{
    struct kv_journal_counters journal;
    kv_journal_counters(node->journal, &journal);
    visit_part(of_coordinator, &node->coordinator->counters, visit, context);
    visit_part(of_worker, &node->worker->counters, visit, context);
    visit_part(of_asks, &node->counters, visit, context);
    visit_part(of_peers, node->peers ? kv_peers_counters(node->peers) : NULL, visit, context);
    visit_part(of_service, node->service ? kv_node_service_counters(node->service) : NULL, visit,
               context);
    visit_part(of_journal, &journal, visit, context);
    visit(context, "kv_messages_lost", node->messages_lost);
}
