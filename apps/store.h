/* SPDX-License-Identifier: MIT */
/*
 * A durable store: an SQLite database of one owner, in plain tables that `sqlite3 FILE` shows while
 * the store is open. It is written in jobs; a job is atomic, durable when it is done, and alone:
 * jobs run one after the other, each on what the one before has left.
 *
 *     driving thread     submit a    submit b, c                 done a      done b, c
 *     executor                [ a, commit, sync ......... ][ b, c, commit, sync .. ]
 *
 * A job runs on the environment's executor, so that a sync stalls nothing else, and jobs that come
 * while a sync runs share the next one (group commit). The log is written ahead and synced by every
 * commit (WAL, synchronous=FULL): what a job was told to be kept survives kill -9 and power cuts.
 *
 * Failure is final. When a write or sync fails, nobody knows what is on the disk: the job is told
 * STORE_FAILED, so is every later one, and the owner stops. What is durable then the next start
 * finds out. The same holds for a row that is not what was written (store_damaged).
 *
 * The files are those of SQLite's default VFS: real ones on a real host, and the simulated disk's
 * in a world. Rows should carry a checksum, which SQL can compute:
 *
 *     INSERT INTO t VALUES(?1, ?2, row_sum('t', ?1, ?2))
 *     SELECT b, sum IS row_sum('t', a, b) FROM t WHERE a = ?1
 */
#ifndef APPS_STORE_H
#define APPS_STORE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "strait.h"

#define STORE_MESSAGE_BYTES 512
#define STORE_QUEUE_MAX     4096 /* jobs that wait for their batch */
#define STORE_BATCH_MAX     1024 /* jobs of one commit */

struct store;

struct store_config {
    const char *path;          /* of the database; its directory exists */
    uint32_t application;      /* tells this kind of store from others; not 0 */
    uint32_t version;          /* of the tables; not 0 */
    const char *owner;         /* whose store it is, such as a node's name */
    const char *const *schema; /* statements that make the tables of a new store; NULL ends them */
    int checkpoint_pages;      /* of the log, that are then moved into the database; 0: 10000 */

    /* Told once, on the driving thread, after the jobs: the store has failed. May be NULL. */
    void (*failed)(void *context, const char *message);
    void *context;
};

/*
 * Opens the store, or makes it if there is none; it blocks. The configuration is copied, but not
 * what it points to, which has to last. Returns NULL and one line that says why in `error`: the
 * disk, a store of somebody else or of another version, or a file that is no store; those are left
 * as they are.
 */
struct store *store_open(struct strait_env *, const struct store_config *,
                         char error[STORE_MESSAGE_BYTES]);

/*
 * Closes and frees the store; NULL is allowed. Jobs are not told, so call it when it is idle, or
 * when the environment has lost or finished its work: after strait_loop_free, and in the crash of a
 * simulated host. Not from a callback of the store.
 */
void store_free(struct store *);

/* Whether no job waits or runs. */
bool store_is_idle(const struct store *);

enum store_outcome {
    STORE_KEPT,   /* what the job has done is durable */
    STORE_UNDONE, /* as the job wished, nothing of it is left */
    STORE_FAILED, /* the store has; of this job all is durable, or nothing */
};

/* A piece of work in a transaction of its own; embed it, zero it, set both functions. */
struct store_job {
    STAILQ_ENTRY(store_job) link;
    bool wish; /* what `run` has returned */
    /*
     * Runs on another thread, and touches nothing but the store (store_step) and the job. Returns
     * whether to keep what it has done; if not, it is as if it had not run.
     */
    bool (*run)(struct store_job *, struct store *);
    /* Afterwards, on the driving thread; it may free the job. */
    void (*done)(struct store_job *, enum store_outcome);
};

/*
 * Takes the job, which belongs to the store until it is done. Returns 0, or -1 with EAGAIN when too
 * many wait, or EIO when the store has failed; then `done` is not called.
 */
int store_submit(struct store *, struct store_job *);

/*
 * Runs and commits the job here and now, for a thread that may block; `done` is not called. Nothing
 * else may use the store meanwhile.
 */
enum store_outcome store_run(struct store *, struct store_job *);

/* Why the store has failed, or NULL. */
const char *store_failure(const struct store *);

/*
 * A second connection, which only reads, for the driving thread: while jobs run it sees what the
 * commits before have left, and waits for none of them. It ends with the store, and so do its
 * statements. NULL: it cannot be had, or one is there already.
 */
sqlite3 *store_reader(struct store *);

/* Prepares a statement, to be kept; it ends with the store. NULL: the SQL is wrong, or no memory.
 */
sqlite3_stmt *store_prepare(struct store *, const char *sql);

enum store_step {
    STORE_ROW,     /* there is one; sqlite3_reset when no more are wanted */
    STORE_DONE,    /* the statement is reset */
    STORE_REFUSED, /* a constraint does not hold; the statement has done nothing, and is reset */
    STORE_BROKEN,  /* the store has failed: the job returns, whatever it returns */
};

/* Runs a prepared statement to its next row, in a job. */
enum store_step store_step(struct store *, sqlite3_stmt *);

/*
 * What row_sum computes, for who binds it: begins with STORE_SUM, goes on with the text that names
 * the table, and with the columns in their order.
 */
#define STORE_SUM UINT64_C(0xcbf29ce484222325)
uint64_t store_sum_text(uint64_t sum, const char *);
uint64_t store_sum_number(uint64_t sum, int64_t);
uint64_t store_sum_bytes(uint64_t sum, const void *, size_t length); /* of a blob */
uint64_t store_sum_null(uint64_t sum);

/* In a job that has found a row with a wrong checksum, or without sense: the store has failed. */
void store_damaged(struct store *, const char *what);

/* Written by jobs and their driving; read them when the store is idle or in a callback. */
struct store_counters {
    uint64_t jobs;    /* that are done */
    uint64_t undone;  /* of these, as they wished */
    uint64_t failed;  /* of these, with the store */
    uint64_t batches; /* commits of one job or more */
    uint64_t full;    /* jobs that were refused, since too many waited */
    uint64_t delayed; /* batches that had to wait, since the executor had too much to do */
};

const struct store_counters *store_counters(const struct store *);

#endif
