/* SPDX-License-Identifier: MIT */
/*
 * What goes wrong in a cluster's world, drawn from its seed: hosts crash (at any time, at a change
 * of their disk, or as a transaction comes into one of its phases, which is at each kind of journal
 * write and message), drain, are stopped and started again, pause, are cut off, one way or both;
 * paths lose, delay, reorder and duplicate; disks are slow, full, or fail.
 */
#ifndef TESTS_SIM_KV_FAULTS_H
#define TESTS_SIM_KV_FAULTS_H

#include <stdio.h>

#include "kv_load.h"

struct kv_faults;

/* Draws them, for the time from now on; they strike by themselves. */
struct kv_faults *kv_faults_new(struct cluster *, struct kv_load *, uint32_t clients,
                                uint64_t lasts_ns);
void kv_faults_free(struct kv_faults *);

/* A line for each. */
void kv_faults_tell(const struct kv_faults *, FILE *);

/* Ends them all, for ever: hosts are up, paths good, disks sound. */
void kv_faults_heal(struct kv_faults *);

/* Whether a node may have stopped, or not have started, since its disk failed. */
bool kv_faults_excuse(const struct kv_faults *, uint32_t id);

/* Of a transaction: those of its coordinator, from PREPARING to ABORTED, and those of its workers,
 * from PREPARING to ABORTED. */
#define KV_FAULTS_PHASES 12

struct kv_faults_totals {
    uint64_t crashes, stops, cuts, pauses;
    uint64_t drains, drained;            /* begun, and ended by a stop */
    uint64_t in_phase[KV_FAULTS_PHASES]; /* crashes that waited for this one */
};

void kv_faults_add(const struct kv_faults *, struct kv_faults_totals *);

#endif
