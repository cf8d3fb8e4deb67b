/* SPDX-License-Identifier: MIT */
/*
 * A node of the key-value store: a coordinator and a worker (pure machines), the journal that makes
 * them durable, and the connections to the other nodes. Everything runs on the thread that drives
 * the environment; the journal's syncs run on its executor.
 *
 *     client --> service, http --> kv_node_txn --> coordinator --> peers --> worker of each replica
 *                                                       |                        |
 *                                                    journal                  journal
 *
 * A node takes any request. Where another node is to coordinate it (the mode of the cluster) or to
 * answer a read (the asked one is no replica), it passes it on.
 */
#ifndef KV_NODE_H
#define KV_NODE_H

#include "kv/cluster.h"
#include "kv/journal.h"
#include "kv/machine.h"
#include "rpc/rpc.h"
#include "stream.h"

#define KV_NODE_PORT        7002         /* between nodes */
#define KV_DEADLINE_NS      (10 * RPC_S) /* of a request that names none */
#define KV_NODE_ERROR_BYTES 600

struct kv_node;

struct kv_node_config {
    struct stream_host host;          /* whose environment it uses */
    const struct kv_cluster *cluster; /* copied */
    uint32_t id;                      /* of the cluster's nodes */
    const char *directory;            /* for its files; exists; copied */
    uint64_t random;                  /* drawn for this life: for coordinators drawn at random */

    /* Told once, from a callback: the node does nothing any more, and says why. It is to be freed
     * later, not from there. */
    void (*stopped)(void *context, const char *why);
    /* As of the journal. The node goes on, but something is to be mended. May be NULL. */
    void (*warn)(void *context, const char *line);
    void *context;
};

/*
 * Opens the journal (it blocks), recovers, listens for the other nodes, and begins. Returns NULL
 * and one line in `error`.
 */
struct kv_node *kv_node_start(const struct kv_node_config *, char error[KV_NODE_ERROR_BYTES]);

/*
 * Ends it as a crash would: what is not durable is lost, callers hear nothing. To be called when
 * the journal is idle, or when the environment has lost its work (kv_journal_free), as in the
 * world's `crash`. NULL is allowed.
 */
void kv_node_free(struct kv_node *);

/* Takes no more requests, and calls `idle` once when the journal is and nothing is under way, or at
 * the deadline; then it is to be freed. */
void kv_node_drain(struct kv_node *, uint64_t deadline_ns, void (*idle)(void *context),
                   void *context);

/* ---- Requests ---- */

struct kv_ask; /* a request that is under way */

/* What became of an attempt. */
enum kv_end {
    KV_COMMITTED_NOW, /* or in an earlier attempt: refusal.reason ALREADY */
    KV_REFUSED,       /* nothing has happened, nor will: `refusal` */
    KV_UNREACHABLE,   /* whoever had to coordinate or to read could not be asked: nothing has
                         happened */
    KV_UNDECIDED,     /* it may have committed, or still may */
};

struct kv_outcome {
    enum kv_end end;
    struct kv_txid txid; /* of the attempt that ended so; incarnation 0: none */
    struct kv_refusal refusal;
    const struct kv_blob *key; /* of the refusal LOCKED, CONDITION or DAMAGED; or NULL */
    uint32_t node;             /* UNREACHABLE, UNDECIDED: who did not answer; 0: unknown */
    uint32_t count;            /* operations; of a read 1 */
    const struct kv_result *results[KV_OPERATIONS_MAX]; /* NULL where none is known */
};

/* Once, from a callback, never before the call below has returned. What it gets is borrowed. */
typedef void kv_told(void *context, const struct kv_outcome *);

/*
 * Begins a transaction; takes a reference of the request, which is not placed yet. The deadline is
 * a time. Returns NULL with errno, and then `told` is not called: EMSGSIZE (a limit of the cluster:
 * kv_node_limit says which), EINVAL (kv_request_valid says no), EAGAIN (too many requests), ENOMEM,
 * ESHUTDOWN (it drains, or has stopped).
 */
struct kv_ask *kv_node_txn(struct kv_node *, struct kv_request *, uint64_t deadline_ns, kv_told *,
                           void *context);

/* Begins a read of one key: linearizable, or `stale`, by what this node has, or the nearest
 * replica. Takes a reference of the key. Returns as above. */
struct kv_ask *kv_node_read(struct kv_node *, struct kv_blob *key, bool stale, uint64_t deadline_ns,
                            kv_told *, void *context);

/* Nobody waits for it any more; a transaction goes on. */
void kv_node_cancel(struct kv_ask *);

/* ---- To be looked at ---- */

const struct kv_cluster *kv_node_cluster(const struct kv_node *);
uint32_t kv_node_id(const struct kv_node *);

struct kv_status {
    uint32_t id, incarnation;
    bool serving;
    uint64_t keys, coordinating, in_doubt, locks;
    kv_nodes reachable; /* nodes that have answered lately; this one is always */
};

void kv_node_status(struct kv_node *, struct kv_status *);

/* Of a transaction that this node knows of, as coordinator, as worker, or both. */
struct kv_txn_view {
    struct kv_txid txid;
    const struct coordinator_txn *coordinator; /* or NULL */
    const struct worker_txn *worker;           /* or NULL */
};

/* In ascending order of coordinator and txid. */
void kv_node_visit_txns(struct kv_node *, bool in_doubt_only,
                        void (*visit)(void *context, const struct kv_txn_view *), void *context);

/* For kv_journal_visit, _backup and _counters. */
struct kv_journal *kv_node_journal(struct kv_node *);

/* Calls visit(context, "kv_commits", value) and so on, for everything that is counted. */
void kv_node_visit_counters(struct kv_node *,
                            void (*visit)(void *context, const char *name, uint64_t value),
                            void *context);

#endif
