/* SPDX-License-Identifier: MIT */
/*
 * Private to the load of a cluster: kv_lane.c asks, and records what is asked and answered;
 * kv_load.c has what there is to ask for, and the clients.
 */
#ifndef TESTS_SIM_KV_LANE_H
#define TESTS_SIM_KV_LANE_H

#include "base/prng.h"
#include "kv/client.h"
#include "kv_load.h"
#include "kv_versions.h"

#define KV_LANES_MAX 3 /* of a client */
#define KV_PARTS_MAX 4 /* of a request */

/* An operation of a request. */
struct kv_part {
    enum kv_operation_kind kind;
    uint32_t key;
    struct kv_seen seen; /* CHECK: what is demanded; GET: what was read */
    uint64_t number;     /* PUT: what is written to a register, or appended to a list */
    uint32_t operation;  /* of the history */
    char name[8];
    uint8_t value[KV_VALUE_BYTES]; /* PUT */
    size_t length;
};

struct kv_lane;

/* What a lane does once it has its answer: the second half of what begins with a look. */
typedef void kv_lane_then(struct kv_lane *);

struct kv_lane {
    struct kv_lanes *client;
    uint32_t process; /* of the history */
    struct strait_timer pause;
    struct kv_client_call *call;
    uint32_t transaction; /* of the history */
    struct kv_part parts[KV_PARTS_MAX];
    uint32_t count;
    unsigned procedure;
    kv_lane_then *then;
    bool last;      /* it has to be answered */
    uint32_t asked; /* in KV_LOAD_LAST */
};

struct kv_lanes {
    struct kv_load *load;
    struct kv_load_client shown;
    struct strait_env *env;      /* of this life */
    struct kv_client *kv_client; /* NULL: down */
    size_t first;                /* the node that it prefers */
    uint32_t lane_count;
    struct kv_lane lanes[KV_LANES_MAX];
};

/* What is known of the writes of a key. */
struct kv_writes {
    uint64_t done, possible;
    bool versions[KV_VERSIONS_MAX]; /* those that were answered */
};

struct kv_load {
    struct cluster *cluster;
    struct prng *prng;
    enum kv_load_phase phase;
    struct sockaddr_in nodes[CLUSTER_NODES_MAX];
    struct kv_lanes clients[KV_LOAD_CLIENTS];
    uint32_t client_count;
    uint64_t next_number;
    struct kv_writes writes[KV_KEYS];
    struct kv_versions versions;
    struct history history;
    struct kv_load_totals totals;
    void (*violated)(void *context, const char *line);
    void *context;
};

uint64_t kv_lane_draw(struct kv_load *, uint64_t least, uint64_t most);
uint64_t kv_lane_now(const struct kv_load *);

/* Reads what a key had; NULL: nothing. */
void kv_lane_read_value(struct kv_load *, uint32_t key, const uint8_t *value, size_t length,
                        struct kv_seen *);

/* ---- Parts of a request that is not asked yet ---- */

struct kv_part *kv_lane_add(struct kv_lane *, enum kv_operation_kind, uint32_t key);
void kv_lane_put(struct kv_lane *, uint32_t key, uint64_t number);
void kv_lane_check(struct kv_lane *, uint32_t key, const struct kv_seen *);
void kv_lane_append(struct kv_lane *, uint32_t key, const struct kv_seen *, uint64_t number);

/* ---- Requests; once answered, the lane does what is `next`, or rests: NULL ---- */

/* Asks for the parts. */
void kv_lane_ask(struct kv_lane *, unsigned procedure, kv_lane_then *next);

void kv_lane_get(struct kv_lane *, uint32_t key, kv_lane_then *next);

/* A stale read, which is no part of the history. */
void kv_lane_get_stale(struct kv_lane *, uint32_t key);

/* For a while; then the timer `pause` expires. */
void kv_lane_rest(struct kv_lane *);

#endif
