/* SPDX-License-Identifier: MIT */
/*
 * A cluster of the key-value store in a world: each node is a host on a link of its own to a
 * router, as nodes behind TUNs are, and serves clients by gRPC. A test asks a node and runs the
 * world until it has answered; or it adds hosts whose clients ask.
 */
#ifndef TESTS_SIM_CLUSTER_H
#define TESTS_SIM_CLUSTER_H

#include "kv/node.h"
#include "rpc/dispatch.h"
#include "server.h"
#include "sim/world.h"

#define CLUSTER_NODES_MAX  8
#define CLUSTER_DEADLINE_S 5 /* of requests */

struct cluster;

struct cluster_node {
    struct cluster *cluster;
    uint32_t id;
    struct world_host *host;
    struct world_link *link;           /* direction 0 leads to the router */
    bool wild_clock;                   /* its time of day jumps, from the next life on */
    struct kv_node *node;              /* NULL: it is down, or has not started */
    struct rpc_dispatcher *rpc;        /* as long as there is a node, as is ... */
    struct server *server;             /* ... what serves the clients */
    char error[KV_NODE_ERROR_BYTES];   /* why it has not started */
    char stopped[KV_NODE_ERROR_BYTES]; /* why it has stopped */
};

struct cluster {
    struct world *world;
    struct world_host *router;
    struct kv_cluster file;
    uint32_t count;
    struct cluster_node nodes[CLUSTER_NODES_MAX]; /* node id at [id - 1] */
};

/* Nodes 1 to count; `words` are further lines of the cluster's file. They have started. */
struct cluster *cluster_new(uint64_t seed, uint32_t count, const char *words);
void cluster_free(struct cluster *);

void cluster_run(struct cluster *, uint64_t ns);
void cluster_crash(struct cluster *, uint32_t id);
void cluster_restart(struct cluster *, uint32_t id);

/* Cuts a node off, or mends it: the way from it, the way to it. */
void cluster_cut(struct cluster *, uint32_t id, bool from, bool to);

/* How many transactions are prepared at a node, and wait for their outcome. */
uint64_t cluster_in_doubt(struct cluster *, uint32_t id);

/* A counter of a node, which exists. */
uint64_t cluster_counter(struct cluster *, uint32_t id, const char *name);

/* A host behind the router, for clients: number `n` from 1 on, at 10.9.n.2. Its link's direction 0
 * leads to the router. */
struct world_host *cluster_add_host(struct cluster *, uint32_t n, const char *name,
                                    const struct world_app *, struct world_link **);

/* What became of a request. Texts are strings; "" where there is no value. */
struct cluster_answer {
    bool told; /* else the rest is all zero */
    enum kv_end end;
    struct kv_txid txid;
    struct kv_refusal refusal;
    char key[32]; /* of the refusal */
    uint32_t node, count;
    struct {
        bool known, found;
        uint64_t version;
        char value[32];
    } results[4];
    uint64_t took_ns;
    struct kv_ask *ask; /* until it is told */
    struct cluster *cluster;
    uint64_t began_ns;
};

/* An operation of a request: the value of a PUT is text. */
struct cluster_operation {
    enum kv_operation_kind kind;
    const char *key, *value;
    uint64_t version;
};

/* Begin at a node; errno where nothing has begun is in the result, else 0. The list of operations
 * ends with a key that is NULL. */
int cluster_begin(struct cluster *, uint32_t id, const struct cluster_operation *, uint64_t client,
                  uint64_t sequence, struct cluster_answer *);
int cluster_begin_read(struct cluster *, uint32_t id, const char *key, bool stale,
                       struct cluster_answer *);

/* Runs until it has been told, at most for the deadline and a second. */
void cluster_await(struct cluster *, struct cluster_answer *);

/* The same at once. */
struct cluster_answer cluster_put(struct cluster *, uint32_t id, const char *key,
                                  const char *value);
struct cluster_answer cluster_get(struct cluster *, uint32_t id, const char *key);

#endif
