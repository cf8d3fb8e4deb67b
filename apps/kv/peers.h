/* SPDX-License-Identifier: MIT */
/*
 * The way to the other nodes: connections that are made when there is something to say, and made
 * again when they have broken. Messages of two-phase commit travel in deliveries, as many in one as
 * have arisen meanwhile; what is under way to a peer of which nothing is heard any more is lost,
 * and who has sent its messages sends them again. Requests that are passed on have a connection of
 * their own, so that however many wait for their answers, messages do not wait for them.
 */
#ifndef KV_PEERS_H
#define KV_PEERS_H

#include "kv/wire.h"
#include "rpc/client.h"

struct kv_peers;

struct kv_peers_config {
    struct stream_host host;
    const struct kv_cluster *cluster; /* borrowed */
    uint32_t id;
};

/* Returns NULL when memory is short. */
struct kv_peers *kv_peers_new(const struct kv_peers_config *);

/* Ends everything, untold. NULL is allowed. */
void kv_peers_free(struct kv_peers *);

/* ---- Messages ---- */

/* Packs the message for its receiver, another node; it leaves with the next flush. It may be lost.
 */
void kv_peers_send(struct kv_peers *, const struct kv_message *);
void kv_peers_flush(struct kv_peers *);

/* Whether no message and no request waits or is under way. */
bool kv_peers_are_idle(const struct kv_peers *);

/* The others that have answered their last delivery. */
kv_nodes kv_peers_reachable(const struct kv_peers *);

/* ---- Requests ---- */

struct kv_peer_call;

/* As rpc_message_ended: later than the beginning, and once. */
typedef void kv_peer_ended(void *context, struct rpc_reply, const uint8_t *result,
                           size_t result_bytes);

/*
 * Passes a request on: a transaction to be coordinated, or a read. Returns NULL with errno, and
 * then `ended` is not called: ENOMEM, or EAGAIN when too many are under way.
 */
struct kv_peer_call *kv_peers_forward(struct kv_peers *, uint32_t to, const struct kv_forward *,
                                      uint64_t deadline_ns, kv_peer_ended *, void *context);

/* Ends it untold. Returns RPC_NOT_EXECUTED or RPC_UNKNOWN. */
enum rpc_outcome kv_peers_cancel(struct kv_peer_call *);

/* ---- Counters ---- */

#define KV_PEERS_COUNTERS(X)                                                                       \
    X(messages)                                                                                    \
    X(messages_spared) /* said again while they still waited, or were under way */                 \
    X(deliveries)                                                                                  \
    X(deliveries_lost)  /* without an answer */                                                    \
    X(messages_dropped) /* too much waited for their receiver, or one was too long */              \
    X(reconnections)    /* since nothing was heard for too long */                                 \
    X(forwards)

struct kv_peers_counters {
#define KV_DECLARE(name) uint64_t name;
    KV_PEERS_COUNTERS(KV_DECLARE)
#undef KV_DECLARE
};

const struct kv_peers_counters *kv_peers_counters(const struct kv_peers *);

#endif
