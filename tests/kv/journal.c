/* SPDX-License-Identifier: MIT */
/* The journals: what is durable, what of it a worker reads, and what a machine is given back. */
#include <string.h>

#include "check.h"
#include "parts.h"

/* ---- The journals ---- */

/* Whether a, which may be NONE, is below b. */
static bool is_below(const struct universe *u, uint32_t a, uint32_t b)
{
    return a != NONE && b != NONE && u->txids[a].coordinator == u->txids[b].coordinator &&
           kv_txid_before(u->txids[a], u->txids[b]);
}

static uint8_t row_bit(uint8_t kind)
{
    switch (kind) {
    case KV_COORDINATOR_PREPARE:
    case KV_WORKER_PREPARE:
        return ROW_PREPARE;
    case KV_COORDINATOR_COMMIT:
    case KV_WORKER_COMMIT:
        return ROW_COMMIT;
    case KV_COORDINATOR_ABORT:
    case KV_WORKER_ABORT:
        return ROW_ABORT;
    case KV_COORDINATOR_END:
        return ROW_END;
    default:
        return 0;
    }
}

static void delete_below(const struct universe *u, uint8_t mark, uint8_t rows[TXIDS_MAX],
                         uint8_t requests[TXIDS_MAX])
{
    for (uint32_t t = 0; t < u->txid_count; t++) {
        if (!is_below(u, t, mark))
            continue;
        rows[t] = 0;
        requests[t] = NONE;
    }
}

static void make_coordinator_row_durable(struct world *w, uint32_t id, const struct model_row *row)
{
    struct universe *u = w->universe;
    struct coordinator_image *image = &w->state.coordinators[id - 1];

    if (row->kind == KV_COORDINATOR_START) {
        image->incarnation = (uint8_t)u->txids[row->txid].incarnation;
        image->sequence = (uint8_t)u->txids[row->txid].sequence;
        return;
    }
    image->rows[row->txid] |= row_bit(row->kind);
    if (row->kind == KV_COORDINATOR_PREPARE)
        image->request[row->txid] = row->request;
    else if (row->kind == KV_COORDINATOR_END)
        delete_below(u, row->mark, image->rows, image->request);
    else
        w->state.seen.decided[row->txid] |= row_bit(row->kind);
}

/* The one transaction of the database in which a commit is carried out. */
static void carry_out(struct world *w, uint32_t id, const struct model_row *row)
{
    struct universe *u = w->universe;
    struct worker_image *image = &w->state.workers[id - 1];
    const struct kv_request *request = u->requests[row->request];
    uint32_t position = 0;

    for (uint32_t i = 0; i < request->count; i++) {
        const struct kv_operation *o = &request->operations[i];
        if (!(o->replicas & kv_node_bit(id)))
            continue;
        const struct kv_result *r = &u->results[row->results]->list[position++];
        uint32_t k = o->key->bytes[0] - 'a';
        if (!kv_operation_writes(o))
            continue;
        image->keys[k].found = o->kind == KV_PUT;
        image->keys[k].version = (uint8_t)r->version;
        image->keys[k].value = row->request;
    }
    if (request->client == 0)
        return;
    uint8_t past = past_index(u, request->client, request->sequence);
    image->past[past].txid = row->txid;
    image->past[past].results = row->results;
}

static void make_worker_row_durable(struct world *w, uint32_t id, const struct model_row *row)
{
    struct universe *u = w->universe;
    struct worker_image *image = &w->state.workers[id - 1];
    uint8_t self = (uint8_t)kv_node_bit(id);

    if (row->kind == KV_WORKER_MARK) {
        image->mark[u->txids[row->mark].coordinator - 1] = row->mark;
        delete_below(u, row->mark, image->rows, image->request);
        return;
    }
    image->rows[row->txid] |= row_bit(row->kind);
    if (row->kind == KV_WORKER_PREPARE)
        image->request[row->txid] = row->request;
    if (row->kind == KV_WORKER_COMMIT) {
        carry_out(w, id, row);
        w->state.seen.committed[row->txid] |= self;
    }
    if (row->kind == KV_WORKER_ABORT)
        w->state.seen.aborted[row->txid] |= self;
}

void make_durable(struct world *w, uint32_t machine, uint32_t count)
{
    struct model_queue *q = &w->state.queues[machine];

    for (uint32_t i = 0; i < count; i++) {
        if (is_coordinator(machine))
            make_coordinator_row_durable(w, id_of(machine), &q->rows[i]);
        else
            make_worker_row_durable(w, id_of(machine), &q->rows[i]);
    }
    q->length = (uint8_t)(q->length - count);
    memmove(q->rows, &q->rows[count], q->length * sizeof(q->rows[0]));
    memset(&q->rows[q->length], 0, count * sizeof(q->rows[0]));
}

uint32_t rows_to_sync(const struct model_queue *q)
{
    for (uint32_t i = 0; i < q->length; i++) {
        if (q->rows[i].forced)
            return i + 1;
    }
    return 0;
}

/* ---- What a worker reads ---- */

bool view_get(void *view, const struct kv_blob *key, struct kv_result *result)
{
    const struct view *v = view;
    uint32_t k = key->bytes[0] - 'a';

    *result =
        (struct kv_result){.found = v->image->keys[k].found, .version = v->image->keys[k].version};
    if (!result->found)
        return true;
    const struct kv_request *writer = v->universe->requests[v->image->keys[k].value];
    for (uint32_t i = 0; i < writer->count; i++) {
        if (writer->operations[i].key == v->universe->keys[k] && writer->operations[i].value)
            result->value = kv_blob_hold(writer->operations[i].value);
    }
    return true;
}

enum kv_past view_past(void *view, const struct kv_request *request, struct kv_txid *txid,
                       struct kv_results **results)
{
    const struct view *v = view;
    uint8_t index = past_index(v->universe, request->client, request->sequence);

    if (v->image->past[index].txid == NONE)
        return KV_PAST_NONE;
    *txid = txid_at(v->universe, v->image->past[index].txid);
    *results = kv_results_hold(v->universe->results[v->image->past[index].results]);
    return KV_PAST_COMMITTED;
}

/* ---- Loading ---- */

/* The rows of a transaction, in the order in which they were written. */
static void load_rows(struct world *w, uint32_t machine, uint32_t t, const uint8_t *kinds,
                      uint8_t rows, uint8_t request)
{
    struct universe *u = w->universe;
    struct kv_row row = {.txid = u->txids[t],
                         .request = request == NONE ? NULL : u->requests[request]};

    row.participants = row.request ? row.request->participants : 0;
    for (uint32_t i = 0; kinds[i]; i++) {
        row.kind = kinds[i];
        if (!(rows & row_bit(kinds[i])))
            continue;
        bool loaded = is_coordinator(machine)
                          ? coordinator_load(world_coordinator(w, id_of(machine)), &row)
                          : worker_load(world_worker(w, id_of(machine)), &row);
        if (!loaded)
            violated(u, "the journal cannot be loaded again");
    }
}

/* The transactions of which there are rows, in ascending order of txid. */
static uint32_t in_order(const struct universe *u, const uint8_t rows[TXIDS_MAX],
                         uint8_t order[TXIDS_MAX])
{
    uint32_t count = 0;

    for (uint32_t t = 0; t < u->txid_count; t++) {
        if (!rows[t])
            continue;
        uint32_t at = count++;
        for (; at > 0 && kv_txid_before(u->txids[t], u->txids[order[at - 1]]); at--)
            order[at] = order[at - 1];
        order[at] = (uint8_t)t;
    }
    return count;
}

void load_coordinator(struct world *w, uint32_t id)
{
    static const uint8_t kinds[] = {KV_COORDINATOR_PREPARE, KV_COORDINATOR_COMMIT,
                                    KV_COORDINATOR_ABORT, KV_COORDINATOR_END, 0};
    const struct coordinator_image *image = &w->state.coordinators[id - 1];
    const struct kv_row first = {.kind = KV_COORDINATOR_START,
                                 .txid = {id, image->incarnation, image->sequence}};
    uint8_t order[TXIDS_MAX];
    uint32_t count = in_order(w->universe, image->rows, order);
    bool started = image->incarnation == 0;

    for (uint32_t i = 0; i <= count; i++) {
        struct kv_txid next = i < count ? w->universe->txids[order[i]] : (struct kv_txid){0};
        if (!started &&
            (i == count || kv_txid_before(first.txid, next) || kv_txid_equal(first.txid, next))) {
            coordinator_load(world_coordinator(w, id), &first);
            started = true;
        }
        if (i < count)
            load_rows(w, id - 1, order[i], kinds, image->rows[order[i]], image->request[order[i]]);
    }
}

void load_worker(struct world *w, uint32_t id)
{
    static const uint8_t kinds[] = {KV_WORKER_PREPARE, KV_WORKER_COMMIT, KV_WORKER_ABORT, 0};
    const struct worker_image *image = &w->state.workers[id - 1];

    for (uint32_t c = 0; c < COORDINATORS_MAX; c++) {
        if (image->mark[c] != NONE)
            worker_load(world_worker(w, id),
                        &(struct kv_row){.kind = KV_WORKER_MARK,
                                         .mark = w->universe->txids[image->mark[c]]});
    }
    for (uint32_t t = 0; t < w->universe->txid_count; t++) {
        if (image->rows[t])
            load_rows(w, COORDINATORS_MAX + id - 1, t, kinds, image->rows[t], image->request[t]);
    }
}

void empty_worker_image(struct worker_image *image)
{
    memset(image, 0, sizeof(*image));
    memset(image->request, NONE, sizeof(image->request));
    memset(image->mark, NONE, sizeof(image->mark));
    memset(image->past, NONE, sizeof(image->past));
}
