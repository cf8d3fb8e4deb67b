/* SPDX-License-Identifier: MIT */
/*
 * What a node knows, in JSON, for people and scripts. Keys stand percent-encoded, as in the path
 * /kv/KEY. Each returns a text to be freed, or NULL when memory is short.
 */
#ifndef KV_INSPECT_H
#define KV_INSPECT_H

#include "kv/node.h"

/* Transactions, and bytes of their keys, beyond which "more" is true. */
#define KV_INSPECT_TXNS_MAX  1000
#define KV_INSPECT_KEY_BYTES (4u << 20)

/* {"cluster": ..., "id": ..., "nodes": [...], "counters": {...}} */
char *kv_inspect_status(struct kv_node *);

/*
 * {"txns": [{"txid": ..., "coordinator": {"phase": ..., "participants": [...], "voted": [...],
 * "acknowledged": [...]}, "worker": {"phase": ...}, "keys": [...]}], "more": false}
 */
char *kv_inspect_txns(struct kv_node *, bool in_doubt_only);

/* One of these, with "journal": [{"machine": ..., "row": ..., "time_ms": ..., "participants":
 * [...]}]; all it says of a transaction that is not known is its name. */
char *kv_inspect_txn(struct kv_node *, struct kv_txid, bool *known);

#endif
