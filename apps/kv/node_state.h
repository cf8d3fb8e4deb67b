/* SPDX-License-Identifier: MIT */
/*
 * Private to the node: node.c drives its machines, asks.c keeps the requests that are under way,
 * node_service.c hears the other nodes, node_view.c shows what there is.
 */
#ifndef KV_NODE_STATE_H
#define KV_NODE_STATE_H

#include <sys/queue.h>

#include "kv/node.h"
#include "kv/peers.h"

/* ---- Requests ---- */

enum ask_kind { ASK_TXN, ASK_READ };

struct kv_ask {
    TAILQ_ENTRY(kv_ask) link; /* among those under way, or those that wait to be told */
    struct kv_node *node;
    enum ask_kind kind;
    struct kv_request *request; /* TXN */
    struct kv_blob *key;        /* READ */
    bool stale;                 /* READ */
    bool owed;                  /* a machine will reply to it: it stays until then */
    bool ended;
    bool over;                 /* whoever asked has been told */
    kv_nodes left;             /* READ: replicas that have not been asked */
    uint32_t at;               /* the node that `call` asks */
    struct kv_peer_call *call; /* or NULL */
    uint64_t deadline_ns;
    struct strait_timer deadline; /* or before: when a read goes on to other replicas */
    kv_told *told;                /* NULL: nobody waits any more */
    void *context;

    /* Once it has ended. */
    struct kv_outcome outcome; /* but for its results */
    struct kv_blob *outcome_key;
    struct kv_results *results; /* or NULL */
    bool known[KV_OPERATIONS_MAX];
};

TAILQ_HEAD(kv_asks, kv_ask);

#define KV_ASK_COUNTERS(X)                                                                         \
    X(transactions)                                                                                \
    X(reads)                                                                                       \
    X(reads_stale)                                                                                 \
    X(reads_passed_on)                                                                             \
    X(committed)                                                                                   \
    X(refused)                                                                                     \
    X(unreachable)                                                                                 \
    X(undecided)                                                                                   \
    X(rejected_size)                                                                               \
    X(rejected_invalid)                                                                            \
    X(rejected_busy)

struct kv_ask_counters {
#define KV_DECLARE(name) uint64_t name;
    KV_ASK_COUNTERS(KV_DECLARE)
#undef KV_DECLARE
};

/* As kv_node_txn and kv_node_read, but this node coordinates, or answers, itself. */
struct kv_ask *kv_asks_txn_here(struct kv_node *, struct kv_request *, uint64_t deadline_ns,
                                kv_told *, void *context);
struct kv_ask *kv_asks_read_here(struct kv_node *, struct kv_blob *key, bool stale,
                                 uint64_t deadline_ns, kv_told *, void *context);

/* What the machines reply. Nobody is told before kv_asks_tell. */
void kv_asks_replied(struct kv_node *, const struct kv_reply *);
void kv_asks_read_replied(struct kv_node *, const struct kv_action *);

/* Tells those who wait for what has ended. */
void kv_asks_tell(struct kv_node *);

/* The node has stopped: ends all, UNDECIDED or UNREACHABLE. */
void kv_asks_end_all(struct kv_node *);
void kv_asks_free_all(struct kv_node *);

/* ---- The node ---- */

/* Of a transaction, at one of the machines. */
struct txn_timer {
    struct strait_timer timer;
    struct kv_node *node;
    struct kv_txid txid;
};

/* Messages to itself. */
struct inbox {
    struct kv_message *messages;
    uint32_t count, room;
};

struct kv_node {
    struct kv_node_config config;
    struct kv_cluster cluster;
    char *directory;
    struct strait_env *env;
    uint32_t id;
    uint64_t random;

    struct kv_journal *journal;
    struct coordinator *coordinator;
    struct worker *worker;
    struct txn_timer *coordinator_timers; /* of sequence s at [s % window] */
    struct txn_timer *worker_timers;      /* of record i at [i] */
    uint32_t worker_timer_count;
    struct kv_peers *peers;
    struct kv_node_service *service;

    struct strait_timer turn; /* what has been put off is done, as soon as may be */
    bool awake;               /* the next turn is on its way */
    struct inbox inbox;
    struct kv_asks asks;  /* under way */
    struct kv_asks ended; /* and not told */
    uint32_t ask_count;
    size_t ask_bytes;
    struct kv_ask_counters counters;
    uint64_t messages_lost; /* to itself, for want of memory */

    bool failing; /* `why` is known; it stops with the next turn */
    bool stopped;
    char why[KV_NODE_ERROR_BYTES];

    void (*idle)(void *context); /* while it drains */
    void *idle_context;
    uint64_t drain_by_ns;
    bool draining;
};

/* Puts off to the next turn what has come up: telling, sending, messages to itself. */
void kv_node_wake(struct kv_node *);

/* The node stops with the next turn, for the first reason. */
__attribute__((format(printf, 2, 3))) void kv_node_fail(struct kv_node *, const char *format, ...);

/* Hands an event to a machine. Not within a step. */
void kv_node_step_coordinator(struct kv_node *, const struct kv_event *);
void kv_node_step_worker(struct kv_node *, const struct kv_event *);

/* Hands a message, which is for this node, to the machine that it is for. */
void kv_node_hear(struct kv_node *, const struct kv_message *);

/* The next random number of this life. */
uint64_t kv_node_draw(struct kv_node *);

#endif
