/* SPDX-License-Identifier: MIT */
/*
 * The tables of the journal (journal.h shows them) as they are read: on the driving thread, by a
 * connection of its own, while jobs write.
 */
#ifndef KV_READER_H
#define KV_READER_H

#include "kv/coordinator.h"
#include "kv/damage.h"
#include "kv/journal.h"
#include "kv/known.h"
#include "kv/worker.h"
#include "store.h"

#define KV_ONCE_MAX 1024 /* results of one client that are kept; then it has to retire some */

struct kv_reader {
    const char *path; /* for messages */
    uint32_t node;
    sqlite3 *db;
    sqlite3_stmt *get, *once, *client, *highest, *kept, *lease, *txn;
    struct kv_known known;        /* clients that have a lease, as of the rows that were told */
    int64_t clients, clients_max; /* that have a lease, and may have one; kept by the journal */
    struct kv_damage damage;      /* rows that were read and did not match their checksum */
    uint64_t full;                /* requests of clients that had to retire some */
    uint64_t crowded;             /* and of new clients, while there were too many */
};

/* Returns false and one line in `error`. The path has to last. */
bool kv_reader_open(struct kv_reader *, struct store *, const char *path, uint32_t node,
                    char error[STORE_MESSAGE_BYTES]);
void kv_reader_free(struct kv_reader *);

/* What the tables say before anything is written. */
struct kv_counts {
    int64_t keys;
    int64_t number;      /* of the last row */
    int64_t live, ended; /* clients: with a lease, and without */
    int64_t heard_ms;    /* when the last of them was heard */
};
bool kv_reader_count(struct kv_reader *, struct kv_counts *, char error[STORE_MESSAGE_BYTES]);

/* As kv_journal_load. */
bool kv_reader_load(struct kv_reader *, struct coordinator *, struct worker *,
                    char error[STORE_MESSAGE_BYTES]);

/* As in struct kv_store. */
bool kv_reader_get(struct kv_reader *, const struct kv_blob *key, struct kv_result *);
enum kv_past kv_reader_past(struct kv_reader *, const struct kv_request *, int64_t now_ms,
                            struct kv_txid *, struct kv_results **);

/* Before a commit is told: its request, and what the row of its client says since. */
void kv_reader_note(struct kv_reader *, const struct kv_request *, const struct kv_known_client *);

/* As kv_journal_visit. */
void kv_reader_visit(struct kv_reader *, struct kv_txid,
                     void (*visit)(void *context, const struct kv_journal_entry *), void *context);

#endif
