/* SPDX-License-Identifier: MIT */
/*
 * What the clients of a cluster ask for, each on a host of its own, and the history of it:
 *
 *     registers   get, put, delete, change (a put on condition of what was seen), transactions
 *                 that read one and write another, and stale reads (kv_versions.h)
 *     accounts    transfers from one to another, and looks at all of them
 *     lists       appends to what was seen, reading another list with it
 *
 * A client has several lanes, each of which asks for one thing after the other.
 */
#ifndef TESTS_SIM_KV_LOAD_H
#define TESTS_SIM_KV_LOAD_H

#include "../history/history.h"
#include "cluster.h"
#include "kv_value.h"

#define KV_LOAD_CLIENTS 3
#define KV_LOAD_TOTAL   (KV_ACCOUNTS * 100) /* of all accounts */

struct kv_load;

/* Adds the clients' hosts; they do nothing yet. What cannot be is told to `violated`. */
struct kv_load *kv_load_new(struct cluster *, uint32_t clients,
                            void (*violated)(void *context, const char *line), void *context);
void kv_load_free(struct kv_load *);

enum kv_load_phase {
    KV_LOAD_SET_UP, /* the accounts get their money */
    KV_LOAD_WORK,   /* lanes do whatever they draw, until ... */
    KV_LOAD_REST,   /* ... what they have begun is the last */
    KV_LOAD_LAST,   /* each lane asks once more, and has to be answered */
};

void kv_load_go_on(struct kv_load *, enum kv_load_phase);

/* Whether no lane waits for an answer. */
bool kv_load_is_idle(const struct kv_load *);

struct kv_load_client {
    struct world_host *host;
    struct world_link *link; /* direction 0 leads to the router */
};

struct kv_load_client kv_load_client(const struct kv_load *, uint32_t i);

/* What was asked for, and what of it was heard. */
struct history *kv_load_history(struct kv_load *);

/* Records what a table has of a key once nobody asks any more, as if a client had read it; `value`
 * NULL: there is none. */
void kv_load_record_table(struct kv_load *, uint32_t key, const void *value, size_t length);

/* The least and the most writes of a key that have taken effect. */
void kv_load_writes(const struct kv_load *, uint32_t key, uint64_t *least, uint64_t *most);

struct kv_load_totals {
    uint64_t requests, done, failed, unknown, lost;
    uint64_t retries, stale; /* reads that were answered */
};

void kv_load_add(const struct kv_load *, struct kv_load_totals *);

#endif
