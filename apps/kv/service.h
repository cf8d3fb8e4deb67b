/* SPDX-License-Identifier: MIT */
/*
 * The gRPC service strait.Kv of a node (kv.proto), by whatever wire the dispatcher is asked. What
 * becomes of an attempt is told so:
 *
 *     committed, refused      OK, with the refusal in the reply
 *     not begun: unreachable  OK, likewise; nothing has happened
 *     undecided               DEADLINE_EXCEEDED: it may have committed, or still may
 *     no sense, above a limit INVALID_ARGUMENT
 *     too much to do, or the node drains: RESOURCE_EXHAUSTED; nothing has happened
 */
#ifndef KV_SERVICE_H
#define KV_SERVICE_H

#include "kv/kv.pb-c.h"
#include "kv/node.h"
#include "rpc/dispatch.h"
#include "rpc/message.h"

#define KV_PORT 7001 /* of the service, by gRPC */

/* Transactions and reads under way, of one node. */
#define KV_ASKS_MAX 8192

enum { KV_RPC_GET, KV_RPC_PUT, KV_RPC_DELETE, KV_RPC_TXN, KV_RPC_STATUS, KV_RPC_PROCEDURES };

extern const struct rpc_messages kv_messages;

/*
 * Registers the service. The dispatcher has to end (rpc_free, rpc_crash) before the node does.
 * Returns 0, or -1 with errno of rpc_register.
 */
int kv_serve(struct rpc_dispatcher *, struct kv_node *);

/* Around the keys and values of a message: tags, lengths, identities, a refusal, a frame. */
#define KV_MESSAGE_OVERHEAD_BYTES 65536

/* The largest message that a cluster's limits let a client send, or be answered by; and the largest
 * of all clusters. */
size_t kv_message_max(const struct kv_cluster *);
#define KV_MESSAGE_BYTES_MAX (KV_TRANSACTION_BYTES_MAX + KV_MESSAGE_OVERHEAD_BYTES)

#define KV_MODE_BYTES 24

/* The mode of coordination, as the cluster's file has it: "fixed:2". Returns `text`. */
const char *kv_mode_write(const struct kv_cluster *, char text[KV_MODE_BYTES]);

/* How a node is, as a message in the arena; NULL if memory is short. */
Strait__KvStatusReply *kv_status_message(struct kv_node *, struct message_arena *);

/* Fills in what an outcome says of a refusal, out of parts that the caller keeps. Returns NULL, or
 * the refusal: of an outcome that is UNREACHABLE, too. */
struct kv_refusal_parts {
    Strait__KvRefusal refusal;
    Strait__KvTxid holder;
};
Strait__KvRefusal *kv_refusal_message(const struct kv_outcome *, struct kv_refusal_parts *);

#endif
