/* SPDX-License-Identifier: MIT */
/* The memory of a worker: its records of transactions, those who wait to read, and the locks. */
#ifndef KV_RECORDS_H
#define KV_RECORDS_H

#include "kv/worker.h"

/* The record of a transaction, or NULL. */
struct worker_txn *record_find(struct worker *, struct kv_txid);

/* A new record, or NULL (counted) at the limit. */
struct worker_txn *record_add(struct worker *, struct kv_txid, enum worker_phase);

/* Takes the record, which holds no request, out of the table. */
void record_forget(struct worker *, struct worker_txn *);

/* Of one coordinator's transactions the first that was begun, or NULL; and the one after another.
 */
struct worker_txn *record_oldest(struct worker *, uint32_t coordinator);
struct worker_txn *record_newer(struct worker *, const struct worker_txn *);

/* config.readers_max of them. */
struct worker_reader *record_readers(const struct worker *);

struct kv_locks *record_locks(const struct worker *);

#endif
