/* SPDX-License-Identifier: MIT */
/*
 * What nodes say to each other, as bytes: the messages of kv.proto. What comes in is checked here
 * once, against the cluster and its limits: behind this door numbers are members, words and sizes
 * that exist. Messages of a foreign cluster go no further, nor those of a node whose file says
 * something else: it would look for keys where they are not.
 */
#ifndef KV_WIRE_H
#define KV_WIRE_H

#include "kv/cluster.h"
#include "kv/kv.pb-c.h"
#include "kv/node.h"

/* Bytes that grow; all zero is none. */
struct kv_bytes {
    uint8_t *bytes;
    size_t length, room;
};

/* Frees them; they are none then. */
void kv_bytes_free(struct kv_bytes *);

enum kv_wire_fault {
    KV_WIRE_SOUND,
    KV_WIRE_MALFORMED,  /* no message of this kind, or above a limit of the cluster */
    KV_WIRE_FOREIGN,    /* of another cluster, of no member of this one, or for another node */
    KV_WIRE_OTHER_FILE, /* of a member that has another file of this cluster */
    KV_WIRE_NO_MEMORY,
};

/* ---- Deliveries ---- */

/*
 * Begins a delivery in bytes that are none; messages are added to it. Of a VOTE-REQUEST the
 * operations for its receiver travel alone. Return whether there was memory; if not, nothing is
 * added.
 */
bool kv_wire_begin(struct kv_bytes *, const struct kv_cluster *, uint32_t from, uint32_t to);
bool kv_wire_add(struct kv_bytes *, const struct kv_message *);

/*
 * Hands the messages of a delivery to `take` in their order, borrowed. One that makes no sense is
 * left out and counted in `*refused`; if the delivery as a whole makes none, `take` is not called.
 */
enum kv_wire_fault kv_wire_read(const struct kv_cluster *, uint32_t self, const uint8_t *bytes,
                                size_t length,
                                void (*take)(void *context, const struct kv_message *),
                                void *context, uint64_t *refused);

/* ---- Requests that are passed on ---- */

struct kv_forward {
    uint32_t from;
    struct kv_request *request; /* not placed; of a transaction, or NULL */
    struct kv_blob *key;        /* of a read, or NULL */
    bool stale;
    uint32_t timeout_ms;
};

/* Appends a KvForward. Returns whether there was memory. */
bool kv_wire_add_forward(struct kv_bytes *, const struct kv_cluster *, uint32_t to,
                         const struct kv_forward *);

/* The references it makes, of a request or of a key, are the caller's. */
enum kv_wire_fault kv_wire_read_forward(const struct kv_cluster *, uint32_t self,
                                        const uint8_t *bytes, size_t length, struct kv_forward *);

/*
 * A request of KvTxnRequest, that is not placed. Returns NULL and why: MALFORMED (no operations or
 * more than KV_OPERATIONS_MAX, a kind that is none) or NO_MEMORY.
 */
struct kv_request *kv_wire_request(const Strait__KvTxnRequest *, enum kv_wire_fault *);

/* ---- Their answers ---- */

/* Appends a KvTxnReply of COMMITTED_NOW or REFUSED; a KvGetReply of the one result or refusal. */
bool kv_wire_add_txn_reply(struct kv_bytes *, const struct kv_outcome *);
bool kv_wire_add_get_reply(struct kv_bytes *, const struct kv_outcome *);

/* What they say, owned by the reader. An empty value is none: whoever has asked knows better. */
struct kv_answer_read {
    bool committed; /* a read: there is a result */
    struct kv_txid txid;
    struct kv_refusal refusal;
    struct kv_blob *key;        /* of the refusal, or NULL */
    struct kv_results *results; /* as many as were asked for, or NULL */
    bool known[KV_OPERATIONS_MAX];
};

/* Reads an answer to a request of `count` operations. Returns false if it is none: then there is
 * nothing to be freed. */
bool kv_wire_read_txn_reply(const struct kv_cluster *, const uint8_t *bytes, size_t length,
                            uint32_t count, struct kv_answer_read *);
bool kv_wire_read_get_reply(const struct kv_cluster *, const uint8_t *bytes, size_t length,
                            struct kv_answer_read *);

#endif
