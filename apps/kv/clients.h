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

#include "kv/known.h"
#include "store.h"

#define KV_CLIENTS_MAX 262144           /* that have a lease; as many without are known by name */
#define KV_LEASE_MS    INT64_C(3600000) /* an hour */

struct kv_clients {
    struct store *store;
    int64_t max;
    int64_t live, ended; /* rows: with a lease, and without */
    uint64_t leases_ended, displaced;
    sqlite3_stmt *get, *put, *change, *touch, *oldest, *drop_once, *end, *drop;
    struct kv_known known; /* what the table says, or the job will have written */
};

/* Prepares the statements; live and ended are what the table has. Returns whether it could. */
bool kv_clients_prepare(struct kv_clients *, struct store *, int64_t max, int64_t live,
                        int64_t ended);
void kv_clients_free(struct kv_clients *);

/* In a job, whose now_ms never goes back: gets the row of a client, which is made if there is none.
 * Returns false if the store has failed. */
bool kv_clients_meet(struct kv_clients *, uint64_t client, int64_t now_ms,
                     struct kv_known_client *row);

/* Afterwards: a request of the client has committed, with what it retires, and has left so many
 * rows more of `once`. The row is told as it is now. Returns as kv_clients_meet. */
bool kv_clients_note(struct kv_clients *, struct kv_known_client *row, uint64_t retired,
                     int64_t added, int64_t now_ms);

/* Whether a lease has ended that was used last at `used_ms`. */
static inline bool kv_lease_is_over(int64_t used_ms, int64_t now_ms)
{
    return now_ms - used_ms > KV_LEASE_MS;
}

#endif
