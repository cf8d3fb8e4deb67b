/* SPDX-License-Identifier: MIT */
/*
 * The service by which nodes speak to each other (KvNode of kv.proto): its procedures, which
 * clients name (peers.h), and its server, which checks what comes and hands it to the node.
 */
#ifndef KV_NODE_SERVICE_H
#define KV_NODE_SERVICE_H

#include "kv/node_state.h"
#include "rpc/message.h"

/* Messages of one delivery, of which the last may be long. */
#define KV_NODE_PARCEL_BYTES (256u << 10)

/* The most bytes of a call's message, or of its answer. */
size_t kv_node_message_max(const struct kv_cluster *);

enum { KV_NODE_DELIVER, KV_NODE_COORDINATE, KV_NODE_READ, KV_NODE_PROCEDURES };

extern const struct rpc_procedure kv_node_procedures[KV_NODE_PROCEDURES];
extern const struct rpc_messages kv_node_messages;

#define KV_NODE_SERVICE_COUNTERS(X)                                                                \
    X(messages_heard)                                                                              \
    X(messages_refused)   /* that make no sense */                                                 \
    X(deliveries_refused) /* and requests: malformed as a whole */                                 \
    X(foreign)            /* of another cluster, or for another node */                            \
    X(other_file)         /* of a node whose file of the cluster says something else */

struct kv_node_service_counters {
#define KV_DECLARE(name) uint64_t name;
    KV_NODE_SERVICE_COUNTERS(KV_DECLARE)
#undef KV_DECLARE
};

struct kv_node_service;

/* Answers on KV_NODE_PORT of the node's address. Returns NULL with errno, as grpc_start. */
struct kv_node_service *kv_node_service_start(struct kv_node *);

/* NULL is allowed. Requests that are under way are cancelled. */
void kv_node_service_free(struct kv_node_service *);

const struct kv_node_service_counters *kv_node_service_counters(const struct kv_node_service *);

#endif
