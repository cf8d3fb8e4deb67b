/* SPDX-License-Identifier: MIT */
/*
 * The durable side of a node: the journal of both machines, the values and the rows of "exactly
 * once", in one SQLite database (store.h). Rows are durable in the order in which they were
 * handed over; those that come while a sync runs share the next one.
 *
 * The tables, which `sqlite3 node.db` shows while the node runs (each row has a checksum `sum`):
 *
 *     journal   number, kind, coordinator, incarnation, sequence, time_ms, and what the kind
 * carries value     key, version, value (NULL: deleted; the version remains) once      client,
 * sequence, coordinator, incarnation, txn_sequence, results client    client, retired mark
 * coordinator, incarnation, sequence
 */
#ifndef KV_JOURNAL_H
#define KV_JOURNAL_H

#include "kv/coordinator.h"
#include "kv/worker.h"
#include "store.h"

#define KV_JOURNAL_FILE "node.db" /* in the node's directory */

struct kv_journal;

struct kv_journal_config {
    const char *directory; /* exists */
    const char *cluster;   /* whose, and which node's data it is: another's is refused */
    uint32_t node;

    /* A forced row, and all before it, is durable. On the driving thread. */
    void (*durable)(void *context, enum kv_row_kind, struct kv_txid);
    /* Told once: nothing becomes durable any more, the node has to stop. */
    void (*failed)(void *context, const char *message);
    void *context;
};

/*
 * Opens the journal of a directory, or makes it; it blocks. Returns NULL and one line in `error`:
 * the disk, data of another node or cluster or of another version, rows that are damaged.
 */
struct kv_journal *kv_journal_open(struct strait_env *, const struct kv_journal_config *,
                                   char error[STORE_MESSAGE_BYTES]);
void kv_journal_free(struct kv_journal *); /* as store_free; NULL is allowed */

/*
 * Gives the durable rows to both machines of a new life, before anything is written. Returns false
 * and one line in `error`: a row that is damaged or makes no sense, or a machine that refuses it.
 */
bool kv_journal_load(struct kv_journal *, struct coordinator *, struct worker *,
                     char error[STORE_MESSAGE_BYTES]);

/*
 * Takes a row, of which it keeps what it needs by reference. Returns 0, or -1 with EAGAIN (too many
 * wait) or EIO (failed): the node then has to stop, since a machine counts on its rows.
 */
int kv_journal_write(struct kv_journal *, const struct kv_row *);

/* What the worker reads, as of the rows that are durable; lives as long as the journal. */
const struct kv_store *kv_journal_store(struct kv_journal *);

/* Whether no row waits or is being written. */
bool kv_journal_is_idle(const struct kv_journal *);

/* How many keys have a value. */
uint64_t kv_journal_keys(struct kv_journal *);

/* What the journal still has of a transaction, in the order of writing: a line of its life each. */
struct kv_journal_entry {
    enum kv_row_kind kind;
    int64_t time_ms; /* since 1970 */
    kv_nodes participants;
};
void kv_journal_visit(struct kv_journal *, struct kv_txid,
                      void (*visit)(void *context, const struct kv_journal_entry *), void *context);

/*
 * Writes a consistent copy of the database to a new file, on the executor, while the node goes on.
 * `done` is told on the driving thread: NULL, or why there is none. Returns -1 with errno when it
 * cannot begin.
 */
int kv_journal_backup(struct kv_journal *, const char *path,
                      void (*done)(void *context, const char *error), void *context);

const struct store_counters *kv_journal_counters(const struct kv_journal *);

#endif
