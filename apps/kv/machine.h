/* SPDX-License-Identifier: MIT */
/*
 * What goes into and comes out of a machine of the store: coordinator.h and worker.h. A machine has
 * no socket, no file and no clock. It is driven by
 *
 *     step(machine, event, now, sink)
 *
 * and hands its actions to the sink in order, during the call; the sink must not step a machine.
 * What an action refers to is borrowed for the duration of the sink's call.
 *
 * The journal is one queue: rows become durable in the order in which they were handed over, those
 * of both machines of a node alike, so that several may share one sync. A crash keeps a prefix of
 * the queue. Of a forced row the machine waits for the completion, KV_EVENT_DURABLE; a row that is
 * not forced may wait until another one needs a sync, and its completion is not told. A write that
 * fails ends the node.
 *
 * After a crash a new machine is given the rows that are durable (coordinator_load, worker_load),
 * then KV_EVENT_START.
 */
#ifndef KV_MACHINE_H
#define KV_MACHINE_H

#include "kv/messages.h"

/* ---- The journal ---- */

/* The numbers are those on the disk. */
enum kv_row_kind {
    /* txid: the incarnation that starts, and a sequence that none before it has reached. */
    KV_COORDINATOR_START = 1,
    /* txid, request, participants. */
    KV_COORDINATOR_PREPARE = 2,
    /* txid: the decision. */
    KV_COORDINATOR_COMMIT = 3,
    KV_COORDINATOR_ABORT = 4,
    /* txid, mark: every participant has acknowledged. Rows of this coordinator's transactions
     * below the mark are not loaded again, and may be deleted. */
    KV_COORDINATOR_END = 5,

    /* txid, request. */
    KV_WORKER_PREPARE = 16,
    /* txid, request, results: in one transaction of the database the operations for this worker
     * are carried out, each written key getting the version in its result; if the request has a
     * client, (client, sequence, txid, results) is kept, and what it has retired is let go. A
     * client that gives two requests the same sequence has no right to both. */
    KV_WORKER_COMMIT = 17,
    /* txid: the transaction is aborted here, or will be: a tombstone. */
    KV_WORKER_ABORT = 18,
    /* mark: of mark.coordinator. In one transaction with it the worker's rows of that
     * coordinator's transactions below it are deleted. */
    KV_WORKER_MARK = 19,
};

struct kv_row {
    enum kv_row_kind kind;
    bool forced;
    struct kv_txid txid;
    struct kv_txid mark;
    kv_nodes participants;
    struct kv_request *request;
    struct kv_results *results;
};

const char *kv_row_name(enum kv_row_kind);

/* Whose it is: the worker's, or the coordinator's. */
static inline bool kv_row_is_worker(enum kv_row_kind kind)
{
    return kind >= KV_WORKER_PREPARE;
}

/* ---- Events ---- */

enum kv_event_kind {
    KV_EVENT_START,       /* both: everything durable has been loaded */
    KV_EVENT_MESSAGE,     /* both: `message`, which is for this node and this machine */
    KV_EVENT_DURABLE,     /* both: the forced row (`row`, `txid`), and all before it */
    KV_EVENT_TIMEOUT,     /* both: the timer of `txid` */
    KV_EVENT_REQUEST,     /* coordinator: `request` of `caller`, to be answered by deadline_ns */
    KV_EVENT_READ,        /* worker: `caller` reads `key`, of which this node is a replica */
    KV_EVENT_READ_CANCEL, /* worker: `caller` does not wait any longer */
};

struct kv_event {
    enum kv_event_kind kind;
    const struct kv_message *message;
    enum kv_row_kind row;
    struct kv_txid txid;
    struct kv_request *request;
    struct kv_blob *key;
    uint64_t caller; /* whatever tells the node whom to answer */
    uint64_t deadline_ns;
};

/* ---- Actions ---- */

enum kv_action_kind {
    KV_SEND,       /* `message`; it may be lost, come late, twice, or out of order */
    KV_JOURNAL,    /* `row` */
    KV_TIMER,      /* (re)starts the timer of `txid` for at_ns; STRAIT_NEVER stops it */
    KV_REPLY,      /* coordinator: `reply` */
    KV_READ_REPLY, /* worker: to `caller`: `result`, or why not: `reason` BUSY or DAMAGED */
    KV_STOP,       /* worker: `stop`; it takes no event any more, the node must be rebuilt */
};

/* How one attempt of a client's request ended. */
struct kv_reply {
    uint64_t caller;
    struct kv_txid txid;       /* of the attempt; incarnation 0: it was not begun */
    bool success;              /* it has committed, now or (ALREADY) in an earlier attempt */
    struct kv_refusal refusal; /* why it has failed; ALREADY with success */
    const struct kv_request *request;
    /* results[id - 1] is what node id has told, or NULL; see kv_reply_result. */
    struct kv_results *const *results;
};

/*
 * The result of operation `index` of the request; NULL if no replica has told it (only of a request
 * that has failed or was ALREADY).
 */
const struct kv_result *kv_reply_result(const struct kv_reply *, uint32_t index);

/* Why a node that goes on would do harm. */
enum kv_stop {
    KV_STOP_COMMIT_UNKNOWN,   /* told to commit what it has no record of: its journal has lost it */
    KV_STOP_PREPARED_ENDED,   /* in doubt about what has ended: its journal has lost the outcome */
    KV_STOP_CONTRADICTION,    /* told to commit what it has aborted, or the reverse */
    KV_STOP_JOURNAL_REFUTED,  /* transactions in doubt exclude each other, or exceed locks_max */
    KV_STOP_STORE_UNREADABLE, /* a row that a vote or a commit needs cannot be read any more */
};

const char *kv_stop_name(enum kv_stop);

struct kv_action {
    enum kv_action_kind kind;
    const struct kv_message *message;
    const struct kv_row *row;
    struct kv_txid txid;
    uint64_t at_ns;
    const struct kv_reply *reply;
    uint64_t caller;
    const struct kv_result *result;
    enum kv_reason reason;
    enum kv_stop stop;
};

struct kv_sink {
    void (*take)(void *context, const struct kv_action *);
    void *context;
};

/* ---- What a worker reads ---- */

enum kv_past {
    KV_PAST_NONE,
    KV_PAST_COMMITTED,
    KV_PAST_RETIRED, /* nothing any more: the client has retired it, or its lease has ended */
    KV_PAST_FULL,    /* nothing, and nothing more is kept: the client has to retire some, or
                        another client's lease to end */
    KV_PAST_DAMAGED,
};

/*
 * The values as of the rows that are durable. Of a key under a lock they do not change, so that
 * reading again gives the same.
 */
struct kv_store {
    /*
     * Reads a key: `found`, `version` (0 if it was never written; that of a deletion remains) and
     * the value, a reference for the caller. Returns false if the row is damaged.
     */
    bool (*get)(void *context, const struct kv_blob *key, struct kv_result *);

    /* What is known of a request that has a client; if COMMITTED, the txid, and a reference to its
     * results. */
    enum kv_past (*past)(void *context, const struct kv_request *, struct kv_txid *,
                         struct kv_results **);
    void *context;
};

/* ---- For the machines ---- */

static inline void kv_send(const struct kv_sink *sink, const struct kv_message *message)
{
    sink->take(sink->context, &(struct kv_action){.kind = KV_SEND, .message = message});
}

static inline void kv_journal(const struct kv_sink *sink, const struct kv_row *row)
{
    sink->take(sink->context, &(struct kv_action){.kind = KV_JOURNAL, .row = row});
}

static inline void kv_timer(const struct kv_sink *sink, struct kv_txid txid, uint64_t at_ns)
{
    sink->take(sink->context, &(struct kv_action){.kind = KV_TIMER, .txid = txid, .at_ns = at_ns});
}

#endif
