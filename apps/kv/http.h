/* SPDX-License-Identifier: MIT */
/*
 * The store by HTTP, in the gates of a server (http/gate.h):
 *
 *     GET, HEAD /kv/KEY     the bare value, its version as ETag; ?stale=ok: what this node has
 *     PUT, DELETE /kv/KEY   the body is the value; If-Match: "N" and If-None-Match: * are heeded
 *     POST /txn             a transaction in JSON (document.h)
 *     GET /status           how the node is
 *     GET /txns             transactions that have not ended; ?in_doubt=1: that wait for an outcome
 *     GET /txns/TXID        the life of one
 *     GET /backup           a consistent database
 *
 * KEY is percent-encoded bytes. Strait-Client, Strait-Sequence and Strait-Lowest are the identity
 * by which a repetition of a write takes effect once.
 */
#ifndef KV_HTTP_H
#define KV_HTTP_H

#include "http/gate.h"
#include "kv/node.h"

#define KV_HTTP_GATES 5

struct kv_http;

/* `directory` is the node's, where a backup is made; what is left of an earlier one is removed.
 * Returns NULL when memory is short. */
struct kv_http *kv_http_new(struct kv_node *, struct strait_env *, const char *directory);

/* Gates for http_config, from 0 to KV_HTTP_GATES - 1, in this order, behind all others: the last
 * one refuses what is for none. */
const struct http_gate *kv_http_gate(const struct kv_http *, size_t number);

/* To be called when neither the HTTP server nor the node is any more. NULL is allowed. */
void kv_http_free(struct kv_http *);

#endif
