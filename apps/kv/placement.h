/* SPDX-License-Identifier: MIT */
/*
 * Which nodes hold a key, and which node coordinates a request.
 *
 * Keys are placed by rendezvous hashing (Thaler, Ravishankar: Using Name-Based Mappings to Increase
 * Hit Rates, 1998): every node computes the same replicas from the same members, and a member that
 * comes or goes moves only the keys that it gains or had.
 */
#ifndef KV_PLACEMENT_H
#define KV_PLACEMENT_H

#include "kv/messages.h"

struct kv_placement {
    uint64_t epoch;       /* grows with each change of the members */
    kv_nodes members;     /* at least one */
    uint32_t replication; /* the number of replicas of each key; more than members: all of them */
};

/* The replicas of a key. */
kv_nodes kv_replicas(const struct kv_placement *, const struct kv_blob *key);

/* Fills in epoch, participants and replicas of a request that nobody else holds yet. */
void kv_place(const struct kv_placement *, struct kv_request *);

enum kv_coordinator_mode { KV_COORDINATOR_ASKED, KV_COORDINATOR_FIXED, KV_COORDINATOR_RANDOM };

struct kv_coordinator_choice {
    enum kv_coordinator_mode mode;
    uint32_t node; /* of KV_COORDINATOR_FIXED */
};

/* Reads "asked", "fixed:ID" or "random". Returns false for anything else. */
bool kv_coordinator_parse(const char *text, struct kv_coordinator_choice *);

/* The coordinator of a request that `asked` has got. `random` is drawn anew for each request. */
uint32_t kv_coordinator(const struct kv_coordinator_choice *, kv_nodes members, uint32_t asked,
                        uint64_t random);

#endif
