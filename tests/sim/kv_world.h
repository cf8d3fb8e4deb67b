/* SPDX-License-Identifier: MIT */
/*
 * A world of the key-value store, from its seed to the verdict: a cluster and its clients
 * (kv_load.h) go through faults (kv_faults.h); then everything heals, the clients ask once more,
 * and it is checked that
 *
 *     - a stale read has what was current once
 *     - each key is linearizable, lists are strictly serializable, the bank's total never changes
 *     - the replicas of a key agree, nobody else has it, and each write took effect once
 *     - no lock is left, and no transaction
 *     - whoever asks after the healing is answered
 *     - no node has stopped whose disk was sound
 *     - a backup of a node has the bank's total
 */
#ifndef TESTS_SIM_KV_WORLD_H
#define TESTS_SIM_KV_WORLD_H

#include "kv_faults.h"

struct kv_world;

/* Draws and makes the world. */
struct kv_world *kv_world_new(uint64_t seed);
void kv_world_free(struct kv_world *);

/* Everything that happens is told to `file`. */
void kv_world_log(struct kv_world *, FILE *file);

/* Runs it to its end. Violations are told to `file`, after what was drawn; returns how many there
 * were. */
uint32_t kv_world_run(struct kv_world *, FILE *file);

uint64_t kv_world_hash(const struct kv_world *);

/* What came of it, so that a test can see that worlds are not empty. */
struct kv_world_totals {
    uint64_t virtual_ns;
    uint64_t too_large; /* histories that a checker could not judge */
    uint64_t backups;   /* that had all accounts */
    struct kv_load_totals load;
    struct kv_faults_totals faults;
};

/* Adds those of this world. */
void kv_world_add(const struct kv_world *, struct kv_world_totals *);

#endif
