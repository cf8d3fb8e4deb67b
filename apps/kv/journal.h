/* SPDX-License-Identifier: MIT */
/*
 * The durable side of a node: the journal of both machines, the values and the rows of "exactly
 * once", in one SQLite database (store.h). Rows are durable in the order in which they were handed
 * over; those that come in one turn, or while a sync runs, share the next one.
 *
 * The tables, which `sqlite3 node.db` shows while the node runs. Each row has a checksum `sum`.
 *
 *     journal   id (tables.h), coordinator, incarnation, sequence (the transaction), kind (enum
 *               kv_row_kind), number (in the order of writing), time_ms (since 1970); and of a
 *               PREPARE: participants, client, request (its sequence), retired, epoch, operations
 *               (packing.h)
 *     mark      kind, coordinator, incarnation, sequence: 1 (START) the incarnation of this node's
 *               coordinator, and a sequence that none before it has reached; 5 (END) all of its
 *               transactions below have ended; 19 (MARK) so have those of another coordinator
 *     value     key, version, value (NULL: it was deleted; the version remains)
 *     once      client, sequence, and of the transaction that has committed it: coordinator,
 *               incarnation, txn_sequence, results (packing.h)
 *     client    client, retired (what is below it will not be asked for again), results (how many
 *               rows of `once` it has), used_ms (when it was heard last, see clients.h), ended
 *               (1: its lease has, clients.h)
 *     total     keys (how many have a value)
 *     store     owner: whose data it is, cluster and node (store.h)
 *
 * The rows of a worker go with the mark. Of those of the coordinator the last 1000 transactions
 * below the mark are kept, to be explained.
 */
#ifndef KV_JOURNAL_H
#define KV_JOURNAL_H

#include "kv/coordinator.h"
#include "kv/worker.h"
#include "store.h"

#define KV_JOURNAL_FILE      "node.db" /* in the node's directory */
#define KV_JOURNAL_QUEUE_MAX 65536     /* rows that wait, unless the configuration says */

/* A transaction's sequence: beyond what one node begins in a lifetime. */
#define KV_JOURNAL_SEQUENCE_MAX ((UINT64_C(1) << 53) - 2)

struct kv_journal;

struct kv_journal_config {
    const char *directory; /* exists */
    const char *cluster;   /* whose, and which node's data it is: another's is refused; copied */
    uint32_t node;
    int checkpoint_pages; /* as in struct store_config */
    size_t queue_max;     /* rows that wait; 0: the default */
    int64_t clients_max;  /* that have a lease; 0: KV_CLIENTS_MAX */

    /* A forced row, and all before it, is durable. On the driving thread. */
    void (*durable)(void *context, enum kv_row_kind, struct kv_txid);
    /* Told once: nothing becomes durable any more, the node has to stop. */
    void (*failed)(void *context, const char *message);
    /* A line for the operator, of a row that is damaged: once for each, and of not too many. From
     * within what reads; it calls nothing of the journal. May be NULL. */
    void (*warn)(void *context, const char *line);
    void *context;
};

/*
 * Opens the journal of a directory, or makes it; it blocks. Returns NULL and one line in `error`:
 * the disk, data of another node or cluster or of another version, rows that are damaged.
 */
struct kv_journal *kv_journal_open(struct strait_env *, const struct kv_journal_config *,
                                   char error[STORE_MESSAGE_BYTES]);

/*
 * As store_free: when it is idle, or when the environment has lost its work and its timers. NULL is
 * allowed.
 */
void kv_journal_free(struct kv_journal *);

/*
 * Gives the durable rows to both machines of a new life, before anything is written. Returns false
 * and one line in `error`: a row that is damaged or makes no sense, or a machine that refuses it.
 */
bool kv_journal_load(struct kv_journal *, struct coordinator *, struct worker *,
                     char error[STORE_MESSAGE_BYTES]);

/*
 * Takes a row, of which it keeps what it needs by reference. One that is not forced waits for the
 * next that is, but not for long. Of the marks of one coordinator that wait the highest is written,
 * behind all that was handed over with them. Returns 0, or -1 with EAGAIN (queue_max wait), EINVAL
 * (a sequence beyond KV_JOURNAL_SEQUENCE_MAX), ENOMEM or EIO (failed): the node then has to stop,
 * since a machine counts on its rows.
 */
int kv_journal_write(struct kv_journal *, const struct kv_row *);

/* What the worker reads, as of the rows that are durable; lives as long as the journal. */
const struct kv_store *kv_journal_store(struct kv_journal *);

/* Whether no row waits or is being written, and no copy made. */
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
 * Writes a consistent copy of the database to a new file, on the executor, while the node goes on;
 * one at a time. `done` is told on the driving thread: NULL, or why there is none. Returns -1 with
 * errno when it cannot begin: EBUSY (one is being made), EEXIST (that file), EAGAIN, and so on.
 */
int kv_journal_backup(struct kv_journal *, const char *path,
                      void (*done)(void *context, const char *error), void *context);

/* Why it has failed, or NULL. */
const char *kv_journal_failure(const struct kv_journal *);

struct kv_journal_counters {
    uint64_t rows;                     /* that are durable */
    uint64_t batches;                  /* commits, each with one sync */
    uint64_t full;                     /* rows that were refused, since too many waited */
    uint64_t damaged;                  /* rows that were read and did not match their checksum */
    uint64_t backups;                  /* copies that were begun */
    uint64_t once_full;                /* requests refused: their clients had to retire some */
    uint64_t once_crowded;             /* and since there were too many clients */
    uint64_t once_ended;               /* leases */
    uint64_t once_displaced;           /* names of clients that were forgotten */
    uint64_t cache_hits, cache_misses; /* values that were read */
};

void kv_journal_counters(const struct kv_journal *, struct kv_journal_counters *);

#endif
