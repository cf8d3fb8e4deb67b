/* SPDX-License-Identifier: MIT */
/*
 * The worker of a node: holds replicas of keys, votes on transactions and carries them out. A pure
 * state machine; machine.h says how it is driven, messages.h what is said.
 *
 * It is one block of memory without pointers into itself: a copy of its worker_bytes() is a worker
 * in the same state. (Such a copy holds no references of its own, and is not freed by worker_free.)
 * Its fields are for worker.c, and for those who show or check its state.
 */
#ifndef KV_WORKER_H
#define KV_WORKER_H

#include "kv/locks.h"
#include "kv/machine.h"

struct worker_config {
    uint32_t id;             /* of the node */
    uint64_t epoch;          /* in which it votes */
    uint32_t records_max;    /* transactions it knows of: every coordinator's window, in all */
    uint32_t locks_max;      /* keys that are locked at a time */
    uint32_t readers_max;    /* reads that wait for a lock at a time */
    uint64_t inquire_ns;     /* after which one in doubt asks, and asks again; doubles ... */
    uint64_t inquire_max_ns; /* ... up to here */
};

enum worker_phase {
    WORKER_FREE,
    WORKER_PREPARING,
    WORKER_PREPARED, /* in doubt */
    WORKER_COMMITTING,
    WORKER_ABORTING,
    WORKER_COMMITTED,
    WORKER_ABORTED,
};

struct worker_txn {
    enum worker_phase phase;
    uint32_t next;         /* index + 1 of the one behind it in its chain, or among the free ones */
    uint32_t older, newer; /* likewise, of the same coordinator */
    struct kv_txid id;
    bool asked; /* the coordinator has been asked: from now on the participants are, too */
    uint64_t wait_ns;
    struct kv_request *request; /* while it holds locks, else NULL */
};

/* What is known of a coordinator. */
struct worker_coordinator {
    struct kv_txid mark;     /* the highest that it has told */
    uint32_t oldest, newest; /* index + 1 of records of its transactions; 0: none */
};

/* A read that waits for a lock. */
struct worker_reader {
    uint64_t caller;
    struct kv_blob *key; /* NULL: free */
};

struct worker_counters {
    uint64_t votes_commit, votes_abort, commits, aborts, tombstones;
    uint64_t inquiries, reads, reads_waited, forgotten;
    uint64_t refused_records, refused_locks, refused_readers; /* a table is full */
    uint64_t ignored; /* messages that came late, twice, or make no sense */
};

struct worker {
    struct worker_config config;
    struct worker_counters counters;
    bool stopped;
    uint32_t waiting;                                     /* reads */
    struct worker_coordinator coordinators[KV_NODES_MAX]; /* of node id at [id - 1] */
    uint32_t free;                                        /* index + 1 of a free record */
    struct worker_txn records[];                          /* and more: see records.c */
};

/* Returns NULL if memory is short, if a limit is 0 or the id out of range. */
struct worker *worker_new(const struct worker_config *);
void worker_free(struct worker *); /* NULL is allowed */
size_t worker_bytes(const struct worker *);

/*
 * Takes a row of the journal back, before KV_EVENT_START; rows of other kinds than the worker's are
 * passed over. A transaction's rows come in the order in which they were written. Returns false if
 * there are more transactions than config.records_max, or two PREPAREs of one.
 */
bool worker_load(struct worker *, const struct kv_row *);

/* After a KV_STOP it does nothing any more. */
void worker_step(struct worker *, const struct kv_event *, uint64_t now_ns, const struct kv_store *,
                 const struct kv_sink *);

/* The transaction, or NULL if nothing is known of it. */
const struct worker_txn *worker_find(const struct worker *, struct kv_txid);

const struct kv_locks *worker_locks(const struct worker *);

/* Whether a read of the key would be answered at once. */
bool worker_readable(const struct worker *, const struct kv_blob *key);

/* "prepared", "committed" ... */
const char *worker_phase_name(enum worker_phase);

#endif
