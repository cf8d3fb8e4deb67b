/* SPDX-License-Identifier: MIT */
/*
 * Whom the journal keeps results for ("exactly once"), as jobs of its store know them: the rows of
 * `client` (journal.h). Who is silent for a lease loses its results, and its row says from then on
 * that nothing is known of what it asks for. Such rows go, the oldest first, when there are too
 * many; so a lease has to be much longer than clients try.
 *
 * Leases are counted in the time that the node has run, in all its lives: clients are not to blame
 * for a node that was away, nor for a time of day that jumps.
 */
#ifndef KV_CLIENTS_H
#define KV_CLIENTS_H

#include "kv/messages.h"
#include "store.h"

#define KV_CLIENTS_MAX 262144           /* that have a lease; as many without are known by name */
#define KV_LEASE_MS    INT64_C(3600000) /* an hour */

struct kv_clients {
    struct store *store;
    int64_t max;
    int64_t live, ended; /* rows: with a lease, and without */
    uint64_t leases_ended, displaced;
    sqlite3_stmt *change, *touch, *put, *oldest, *drop_once, *end, *drop;
};

/* Prepares the statements; live and ended are what the table has. Returns whether it could. */
bool kv_clients_prepare(struct kv_clients *, struct store *, int64_t max, int64_t live,
                        int64_t ended);

/* In a job: the request of a client has committed, and has left so many rows more of `once`.
 * Returns false if the store has failed. now_ms never goes back. */
bool kv_clients_note(struct kv_clients *, const struct kv_request *, int64_t added, int64_t now_ms);

/* Whether a lease has ended that was used last at `used_ms`. */
static inline bool kv_lease_is_over(int64_t used_ms, int64_t now_ms)
{
    return now_ms - used_ms > KV_LEASE_MS;
}

#endif
