/* SPDX-License-Identifier: MIT */
/*
 * What the nodes of a cluster have to agree on: a file that each of them is given, the same.
 *
 *     # three nodes, three copies of each key
 *     cluster shop
 *     replication 3
 *     coordinator asked          # or fixed:ID, or random
 *     node 1 10.8.1.2
 *     node 2 10.8.2.2
 *     node 3 10.8.3.2
 *     key_bytes 1024             # limits, with their defaults
 *     value_bytes 1048576
 *     transaction_keys 128
 *     transaction_bytes 4128768
 */
#ifndef KV_CLUSTER_H
#define KV_CLUSTER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "kv/placement.h"

#define KV_CLUSTER_NAME_BYTES  64 /* with the NUL */
#define KV_CLUSTER_ERROR_BYTES 200

/* Upper bounds of the limits that a cluster's file may set. */
#define KV_KEY_BYTES_MAX         (64u << 10)
#define KV_VALUE_BYTES_MAX       (16u << 20)
#define KV_TRANSACTION_BYTES_MAX (32u << 20)

struct kv_cluster {
    char name[KV_CLUSTER_NAME_BYTES];
    struct kv_placement placement; /* epoch 1 */
    struct kv_coordinator_choice coordinator;
    struct in_addr addresses[KV_NODES_MAX]; /* of node id at [id - 1] */
    uint32_t key_bytes, value_bytes;        /* at most */
    uint32_t transaction_keys;              /* at most KV_OPERATIONS_MAX */
    uint32_t transaction_bytes; /* keys and values of one request together; values it reads */
    uint64_t digest;            /* of all that the file says: nodes compare theirs */
};

/*
 * Reads the text of the file. Returns false and what is wrong in `error`, with its line: a word
 * that is unknown or given twice, an id that is out of range or taken, an address that is none or
 * taken, no name, no nodes, R of 0 or above the number of nodes, a fixed coordinator that is no
 * node.
 */
bool kv_cluster_parse(const char *text, size_t length, struct kv_cluster *,
                      char error[KV_CLUSTER_ERROR_BYTES]);

/* Which limit of the cluster a request is above ("key_bytes"), or NULL. */
const char *kv_node_limit(const struct kv_cluster *, const struct kv_request *);

#endif
