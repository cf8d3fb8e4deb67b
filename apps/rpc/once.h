/* SPDX-License-Identifier: MIT */
/*
 * Effects that happen once, however often they are asked for: the result of each call is kept in
 * the same transaction as its effect, and a repetition is answered with it. So a crash between the
 * two cannot be: kill -9 after the effect and before the answer leaves the answer to be asked for
 * again.
 *
 * A call is known by its client, a number that the client has drawn at random and keeps, and a
 * sequence, counted from 1. With it the client says which of its sequences is the lowest that it
 * may still ask for: what is below, the server forgets. It also forgets all of a client that was
 * silent for a lease. Asked for what it has forgotten it says so, explicitly, and does nothing:
 * nobody knows then whether the effect has happened. It cannot tell so for a client whose very name
 * it has forgotten, among ONCE_CLIENTS_MAX newer ones, and that asks again for one of its first
 * calls (lowest is 1 still): a lease has to be much longer than clients try.
 *
 * The tables, in the store of the effect:
 *
 *     once_client   client, lowest, results (their number), used_ms, ended (the lease), sum
 *     once_result   client, sequence, result, sum
 *     once_total    clients (the rows of once_client), sum
 */
#ifndef APPS_RPC_ONCE_H
#define APPS_RPC_ONCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store.h"

#define ONCE_RESULTS_MAX 1024              /* of one client that are kept */
#define ONCE_CLIENTS_MAX 100000            /* that are known by name, with results or without */
#define ONCE_LEASE_MS    INT64_C(86400000) /* a day */

struct once;

struct once_identity {
    uint64_t client;
    uint64_t sequence;
    uint64_t lowest; /* sequence that the client may still ask for, this one included */
};

enum once_outcome {
    ONCE_NEW,       /* it has not been asked for before: the effect happens now */
    ONCE_KNOWN,     /* it has happened, with this result */
    ONCE_FORGOTTEN, /* it may have happened or not, and does not happen now */
    ONCE_BUSY,      /* it does not happen now: there is no room to remember it */
    ONCE_REFUSED,   /* the effect itself has refused; it has not happened */
    ONCE_FAILED,    /* the store has failed: it may have happened or not */
};

struct once_config {
    uint32_t results_max; /* 0: the default */
    uint32_t clients_max;
    int64_t lease_ms;
};

/* The statements that make the tables, for store_config.schema. */
#define ONCE_SCHEMA                                                                                \
    "CREATE TABLE once_client(client INTEGER PRIMARY KEY, lowest INTEGER NOT NULL, "               \
    "results INTEGER NOT NULL, used_ms INTEGER NOT NULL, ended INTEGER NOT NULL, "                 \
    "sum INTEGER NOT NULL)",                                                                       \
        "CREATE INDEX once_client_used ON once_client(ended, used_ms)",                            \
        "CREATE TABLE once_result(client INTEGER, sequence INTEGER, result BLOB NOT NULL, "        \
        "sum INTEGER NOT NULL, PRIMARY KEY(client, sequence)) WITHOUT ROWID",                      \
        "CREATE TABLE once_total(clients INTEGER NOT NULL, sum INTEGER NOT NULL)",                 \
        "INSERT INTO once_total VALUES(0, row_sum('once_total', 0))"

/*
 * Prepares the statements; the store outlives it. Configuration NULL: the defaults. Returns NULL
 * when memory is short, or the store lacks the tables.
 */
struct once *once_new(struct store *, const struct once_config *);
void once_free(struct once *);

/* ---- In a job of one's own, on its thread ---- */

/*
 * Asks what is to become of a call that came at `now_ms` (of the day, strait_env.wall_clock). If
 * ONCE_NEW, the job brings about the effect, and ends with once_finish or by being undone. If
 * ONCE_KNOWN, the result stands in the last two until the next call. Else there is nothing to do,
 * but the job is to be kept.
 */
enum once_outcome once_begin(struct once *, const struct once_identity *, int64_t now_ms,
                             const void **result, size_t *result_bytes);

/* Keeps the result of the call that has begun. False: the store has failed. */
bool once_finish(struct once *, const void *result, size_t result_bytes);

/* Written by jobs; read them when the store is idle or in a callback. */
struct once_counters {
    uint64_t fresh;     /* calls that were new */
    uint64_t known;     /* repetitions that were answered with the first result */
    uint64_t forgotten; /* calls that were answered so */
    uint64_t full;      /* calls of clients with too many results, ONCE_BUSY */
    uint64_t crowded;   /* calls of new clients where there were too many, ONCE_BUSY */
    uint64_t ended;     /* leases */
    uint64_t displaced; /* clients, ended before, whose names went for new ones */
};

const struct once_counters *once_counters(const struct once *);

/* ---- As a job ---- */

/* Embed it, zero it, set what is marked so. */
struct once_call {
    struct store_job job;          /* private */
    struct once *once;             /* set */
    struct once_identity identity; /* set */
    int64_t now_ms;                /* set: see once_begin */
    void *result;                  /* set: room for the result */
    size_t result_room;            /* set: bytes, enough for every result of the procedure */
    size_t result_bytes;           /* of ONCE_NEW and ONCE_KNOWN; the effect sets it */
    enum once_outcome outcome;

    /*
     * Set: brings about the effect, by store_step, as a job does, and writes the result. Returns
     * whether it has happened; if not, nothing is kept, and another attempt is a new one.
     */
    bool (*effect)(struct once_call *, struct store *);
    /* Set, for once_submit: the outcome is durable. As store_job.done. */
    void (*done)(struct once_call *);
};

/*
 * Submits the call to the store; a repetition that comes meanwhile is answered with it. Returns 0,
 * or -1 with errno as store_submit.
 */
int once_submit(struct once_call *);

/* The same here and now, for a thread that may block: see store_run. */
enum once_outcome once_run(struct once_call *);

#endif
