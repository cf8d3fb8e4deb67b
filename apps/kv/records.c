/* SPDX-License-Identifier: MIT */
/*
 * The worker's block: itself, its records, the heads of the hash chains, the readers, the locks.
 * Records refer to each other by index + 1, so that 0 is none. Those of one coordinator are listed
 * from old to new, since the mark lets go of them in that order.
 */
#include "kv/records.h"

#include <stdlib.h>

static size_t round_up(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

static size_t chains_at(const struct worker_config *c)
{
    return sizeof(struct worker) + c->records_max * sizeof(struct worker_txn);
}

static size_t readers_at(const struct worker_config *c)
{
    return round_up(chains_at(c) + c->records_max * sizeof(uint32_t));
}

static size_t locks_at(const struct worker_config *c)
{
    return readers_at(c) + c->readers_max * sizeof(struct worker_reader);
}

static size_t bytes_of(const struct worker_config *c)
{
    return locks_at(c) + kv_locks_bytes(c->locks_max);
}

struct worker_reader *record_readers(const struct worker *w)
{
    return (struct worker_reader *)((char *)w + readers_at(&w->config));
}

struct kv_locks *record_locks(const struct worker *w)
{
    return (struct kv_locks *)((char *)w + locks_at(&w->config));
}

struct worker *worker_new(const struct worker_config *config)
{
    if (kv_node_bit(config->id) == 0 || config->records_max == 0 || config->locks_max == 0 ||
        config->readers_max == 0)
        return NULL;
    struct worker *w = calloc(1, bytes_of(config));
    if (!w)
        return NULL;
    w->config = *config;
    for (uint32_t i = config->records_max; i > 0; i--) {
        w->records[i - 1].next = w->free;
        w->free = i;
    }
    kv_locks_init(record_locks(w), config->locks_max);
    return w;
}

void worker_free(struct worker *w)
{
    for (uint32_t i = 0; w && i < w->config.records_max; i++)
        kv_request_release(w->records[i].request);
    for (uint32_t i = 0; w && i < w->config.readers_max; i++)
        kv_blob_release(record_readers(w)[i].key);
    free(w);
}

size_t worker_bytes(const struct worker *w)
{
    return bytes_of(&w->config);
}

static struct worker_txn *at(struct worker *w, uint32_t index)
{
    return index ? &w->records[index - 1] : NULL;
}

static uint32_t index_of(const struct worker *w, const struct worker_txn *t)
{
    return (uint32_t)(t - w->records) + 1;
}

/* ---- By txid ---- */

static uint32_t *chain_of(const struct worker *w, struct kv_txid id)
{
    uint32_t *chains = (uint32_t *)((char *)w + chains_at(&w->config));
    uint64_t hash = (id.sequence * KV_NODES_MAX + id.coordinator) * 31 + id.incarnation;

    return &chains[hash % w->config.records_max];
}

static uint32_t find_index(const struct worker *w, struct kv_txid id)
{
    uint32_t index = *chain_of(w, id);

    while (index && !kv_txid_equal(w->records[index - 1].id, id))
        index = w->records[index - 1].next;
    return index;
}

struct worker_txn *record_find(struct worker *w, struct kv_txid id)
{
    return at(w, find_index(w, id));
}

const struct worker_txn *worker_find(const struct worker *w, struct kv_txid id)
{
    uint32_t index = find_index(w, id);

    return index ? &w->records[index - 1] : NULL;
}

/* ---- By age ---- */

struct worker_txn *record_oldest(struct worker *w, uint32_t coordinator)
{
    return at(w, w->coordinators[coordinator - 1].oldest);
}

struct worker_txn *record_newer(struct worker *w, const struct worker_txn *t)
{
    return at(w, t->newer);
}

/* Puts the record behind all that are older: nearly always at the end. */
static void list(struct worker *w, struct worker_txn *t)
{
    struct worker_coordinator *c = &w->coordinators[t->id.coordinator - 1];
    struct worker_txn *before = at(w, c->newest);

    while (before && kv_txid_before(t->id, before->id))
        before = at(w, before->older);
    t->older = before ? index_of(w, before) : 0;
    t->newer = before ? before->newer : c->oldest;
    *(t->older ? &at(w, t->older)->newer : &c->oldest) = index_of(w, t);
    *(t->newer ? &at(w, t->newer)->older : &c->newest) = index_of(w, t);
}

static void unlist(struct worker *w, const struct worker_txn *t)
{
    struct worker_coordinator *c = &w->coordinators[t->id.coordinator - 1];

    *(t->older ? &at(w, t->older)->newer : &c->oldest) = t->newer;
    *(t->newer ? &at(w, t->newer)->older : &c->newest) = t->older;
}

/* ---- Adding and forgetting ---- */

struct worker_txn *record_add(struct worker *w, struct kv_txid id, enum worker_phase phase)
{
    uint32_t index = w->free, *chain = chain_of(w, id);
    struct worker_txn *t = at(w, index);

    if (!t) {
        w->counters.refused_records++;
        return NULL;
    }
    w->free = t->next;
    *t = (struct worker_txn){.phase = phase, .next = *chain, .id = id};
    *chain = index;
    list(w, t);
    return t;
}

void record_forget(struct worker *w, struct worker_txn *t)
{
    uint32_t index = index_of(w, t), *link = chain_of(w, t->id);

    while (*link != index)
        link = &at(w, *link)->next;
    *link = t->next;
    unlist(w, t);
    *t = (struct worker_txn){.next = w->free};
    w->free = index;
}
