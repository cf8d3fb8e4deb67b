/* SPDX-License-Identifier: MIT */
/*
 * What the nodes of the key-value store say to each other: two-phase commit (2PC).
 *
 *     Message         From, to                Durable before it is sent     Carries
 *     --------------  ----------------------  ----------------------------  ----------------------
 *     VOTE-REQUEST    coordinator, worker     PREPARE (txid, operations,    txid, operations, all
 *                                             participants), in the         participants, epoch,
 *                                             coordinator's journal         (client, sequence)
 *     VOTE-COMMIT     worker, coordinator     PREPARE, in the worker's      values read
 *                                             journal; locks are held
 *     VOTE-ABORT      worker, coordinator     nothing; after an inquiry     the reason
 *                                             was answered: a tombstone
 *     GLOBAL-COMMIT,  coordinator, workers    the decision, in the          txid
 *     GLOBAL-ABORT                            coordinator's journal
 *     ACK             worker, coordinator     decision, values and the      txid
 *                                             (client, sequence, outcome)
 *                                             row, in one transaction; the
 *                                             locks are released then
 *     INQUIRE         worker in doubt, to     nothing                       participants
 *                     coordinator or
 *                     participant
 *     ANSWER          to the worker in doubt  an ABORT tombstone, before a  committed, aborted,
 *                                             participant says "aborted"    pending, ended, unknown
 *     MARK            coordinator, workers    nothing                       the low-water mark
 *
 * A transaction is known by its txid = (coordinator, incarnation, sequence). The incarnation grows
 * durably at each start of the coordinator, so that no txid is used twice.
 *
 * What a coordinator sends of itself carries its low-water mark: each transaction below it has
 * ended, that is, every participant that was sent a VOTE-REQUEST has acknowledged the outcome. A
 * txid below the mark reads as "ended" or "unknown", never as "aborted"; only there a worker
 * forgets.
 *
 * Requests, values and results are reference-counted, immutable once shared, and passed by
 * reference: a message in memory copies nothing. A reference count is not atomic: whatever holds
 * references runs on the thread that drives the node.
 */
#ifndef KV_MESSAGES_H
#define KV_MESSAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Nodes are numbered from 1 to KV_NODES_MAX; bit (id - 1) of a set is node id. */
#define KV_NODES_MAX 32
typedef uint32_t kv_nodes;

#define KV_OPERATIONS_MAX 128 /* of one transaction */

static inline kv_nodes kv_node_bit(uint32_t id)
{
    return id >= 1 && id <= KV_NODES_MAX ? UINT32_C(1) << (id - 1) : 0;
}

/* The lowest node of a set that is not empty. */
static inline uint32_t kv_node_first(kv_nodes nodes)
{
    return (uint32_t)__builtin_ctz(nodes) + 1;
}

/* Takes the lowest node out of a set. Returns 0, which is no node, when there is none. */
static inline uint32_t kv_node_take(kv_nodes *nodes)
{
    uint32_t id = *nodes ? kv_node_first(*nodes) : 0;

    *nodes &= *nodes - 1;
    return id;
}

static inline uint32_t kv_node_count(kv_nodes nodes)
{
    uint32_t count = 0;

    for (; nodes; nodes &= nodes - 1)
        count++;
    return count;
}

struct kv_txid {
    uint32_t coordinator;
    uint32_t incarnation; /* of the coordinator, from 1 on; 0: no transaction */
    uint64_t sequence;
};

bool kv_txid_equal(struct kv_txid, struct kv_txid);

/* Whether a was begun before b. Both are of one coordinator. */
bool kv_txid_before(struct kv_txid a, struct kv_txid b);

/* ---- Keys, values, requests, results ---- */

/* The bytes of a key or a value. */
struct kv_blob {
    size_t references;
    size_t length;
    const uint8_t *bytes;
};

/* A copy of the bytes, with one reference. Returns NULL if memory is short. */
struct kv_blob *kv_blob_new(const void *bytes, size_t length);
struct kv_blob *kv_blob_hold(struct kv_blob *); /* NULL is allowed, here and below */
void kv_blob_release(struct kv_blob *);
bool kv_blob_equal(const struct kv_blob *, const struct kv_blob *);

enum kv_operation_kind {
    KV_PUT,
    KV_DELETE,
    KV_GET,   /* reads the value under the lock */
    KV_CHECK, /* the transaction commits only if the key has `version` */
};

struct kv_operation {
    enum kv_operation_kind kind;
    struct kv_blob *key;
    struct kv_blob *value; /* of a PUT, else NULL */
    uint64_t version;      /* of a CHECK: the version, 0 for a key that is not there */
    kv_nodes replicas;     /* of the key */
};

/* Whether it changes its key, and so needs the lock for itself. */
bool kv_operation_writes(const struct kv_operation *);

/*
 * What a client asks for, placed on its replicas. What a worker gets may hold the operations for
 * this worker alone; they stand in the same order.
 */
struct kv_request {
    size_t references;
    uint64_t client;       /* 0: the client does not ask for "exactly once" */
    uint64_t sequence;     /* of the client's requests; a retry has the same */
    uint64_t retired;      /* the client will never retry a sequence below this one */
    uint64_t epoch;        /* of the placement that gave the replicas */
    kv_nodes participants; /* the replicas of all operations */
    uint32_t count;
    struct kv_operation operations[];
};

/*
 * An empty request with room for `count` operations, all zero, and one reference. The caller fills
 * it before it shares it, and the request owns the references that it is given. Returns NULL if
 * memory is short or count exceeds KV_OPERATIONS_MAX.
 */
struct kv_request *kv_request_new(uint32_t count);
struct kv_request *kv_request_hold(struct kv_request *);
void kv_request_release(struct kv_request *);

/*
 * Whether a worker or a coordinator can work with it: operations and participants there are, each
 * operation has what its kind needs and replicas among the participants, no key is written twice,
 * and a client's sequence is below the highest that a column of SQLite holds, and that it has not
 * retired.
 */
bool kv_request_valid(const struct kv_request *);

/* What became of one operation. */
struct kv_result {
    bool found;            /* GET: there is a value; DELETE: there was one; PUT: true */
    uint64_t version;      /* of the key: read, or as it will be once the transaction commits */
    struct kv_blob *value; /* of a GET that found one, else NULL */
};

/* The results of the operations for one worker, in the order of the request. */
struct kv_results {
    size_t references;
    uint32_t count;
    struct kv_result list[];
};

/* As kv_request_new. */
struct kv_results *kv_results_new(uint32_t count);
struct kv_results *kv_results_hold(struct kv_results *);
void kv_results_release(struct kv_results *);

/* ---- Messages ---- */

enum kv_message_kind {
    KV_VOTE_REQUEST,
    KV_VOTE_COMMIT,
    KV_VOTE_ABORT,
    KV_GLOBAL_COMMIT,
    KV_GLOBAL_ABORT,
    KV_ACK,
    KV_INQUIRE_COORDINATOR,
    KV_INQUIRE_PARTICIPANT,
    KV_ANSWER,
    KV_MARK,
};

/* Why a transaction does not commit. */
enum kv_reason {
    KV_REASON_NONE,
    KV_REASON_LOCKED,    /* `holder` has a lock on a key */
    KV_REASON_CONDITION, /* a CHECK found another version */
    KV_REASON_ALREADY,   /* `holder` was the same request of the client, and has committed */
    KV_REASON_RETIRED,   /* the client has retired this sequence, or its lease has ended */
    KV_REASON_EPOCH,     /* the worker is in another epoch */
    KV_REASON_ABORTED,   /* the worker has an ABORT of this txid */
    KV_REASON_BUSY,      /* a limit of the node is reached */
    KV_REASON_DAMAGED,   /* a row of the worker does not match its checksum */
    KV_REASON_INVALID,   /* kv_request_valid says no */
    KV_REASON_TIMEOUT,   /* a vote did not come in time */
    KV_REASON_RESTARTED, /* the coordinator has restarted before it had decided */
    KV_REASON_LARGE,     /* what it reads is more than an answer may hold */
};

#define KV_REASON_MAX KV_REASON_LARGE

struct kv_refusal {
    enum kv_reason reason;
    uint32_t node;         /* who refused */
    uint32_t operation;    /* CONDITION, LOCKED, DAMAGED: which of those for this worker */
    struct kv_txid holder; /* LOCKED, ALREADY */
};

/* What an inquiry is told. */
enum kv_answer {
    KV_PENDING,   /* not decided, or not yet durable: ask again */
    KV_COMMITTED, /* these two are decisions */
    KV_ABORTED,
    KV_ENDED,   /* every participant has acknowledged the outcome: one in doubt has lost its own */
    KV_UNKNOWN, /* who was asked has nothing to tell */
};

struct kv_message {
    enum kv_message_kind kind;
    uint32_t from, to; /* nodes */
    struct kv_txid txid;
    struct kv_txid mark;        /* VOTE-REQUEST, GLOBAL-*, MARK */
    struct kv_request *request; /* VOTE-REQUEST */
    struct kv_results *results; /* VOTE-COMMIT; VOTE-ABORT with ALREADY: what it returned then */
    struct kv_refusal refusal;  /* VOTE-ABORT */
    kv_nodes participants;      /* INQUIRE_PARTICIPANT */
    enum kv_answer answer;      /* ANSWER */
    uint64_t said_ns; /* VOTE-REQUEST, not on the wire: how long ago it was said last; 0: never */
};

/* The words of this file, for people: "VOTE-REQUEST", "locked", "pending", "put". */
const char *kv_message_name(enum kv_message_kind);
const char *kv_reason_name(enum kv_reason);
const char *kv_answer_name(enum kv_answer);
const char *kv_operation_name(enum kv_operation_kind);

#endif
