/* SPDX-License-Identifier: MIT */
/*
 * The locks of a worker: of each key either shared, by transactions that read or check it, or
 * exclusive, by one that writes it. Nobody waits for a lock: who does not get it, aborts.
 *
 * The table is one block of memory of a fixed size, without pointers into itself.
 */
#ifndef KV_LOCKS_H
#define KV_LOCKS_H

#include "kv/messages.h"

struct kv_locks;

/* The size of a table for `capacity` locks; one operation of a transaction takes one. */
size_t kv_locks_bytes(uint32_t capacity);

/* Makes a table of kv_locks_bytes(capacity) zeroed bytes, aligned as for malloc. */
void kv_locks_init(struct kv_locks *, uint32_t capacity);

/*
 * Takes the locks of all operations of the request that have one of `replicas`, or none of them.
 * Keys are borrowed until the release. Returns KV_REASON_NONE; KV_REASON_LOCKED, with who holds
 * which operation's key; or KV_REASON_BUSY if the table is full.
 */
enum kv_reason kv_locks_take(struct kv_locks *, const struct kv_request *, kv_nodes replicas,
                             struct kv_txid, struct kv_refusal *);

/* Releases what kv_locks_take has taken, given the same. */
void kv_locks_release(struct kv_locks *, const struct kv_request *, kv_nodes replicas,
                      struct kv_txid);

/* Who holds the key exclusively: incarnation 0 if nobody does. */
struct kv_txid kv_locks_writer(const struct kv_locks *, const struct kv_blob *key);

/* How many locks are held by the transaction; by all. */
uint32_t kv_locks_held_by(const struct kv_locks *, struct kv_txid);
uint32_t kv_locks_held(const struct kv_locks *);

#endif
