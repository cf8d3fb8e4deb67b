/* SPDX-License-Identifier: MIT */
/*
 * A call world, from its seed to the verdict: clients that call a server (counter.h) over bad
 * paths, while hosts crash, the server mostly in the midst of a call; then everything heals, and
 * what the callers have heard is compared with what the server's disk shows (check_calls.h).
 */
#ifndef TESTS_SIM_CALL_WORLD_H
#define TESTS_SIM_CALL_WORLD_H

#include <stdint.h>
#include <stdio.h>

#include "counter.h"

struct call_world;

/* Draws and makes the world. */
struct call_world *call_world_new(uint64_t seed, enum counter_fault);
void call_world_free(struct call_world *);

/* Everything that happens is told to `file`. */
void call_world_log(struct call_world *, FILE *file);

/* Runs it to its end. Violations are told to `file`; returns how many there were. */
uint32_t call_world_run(struct call_world *, FILE *file);

uint64_t call_world_hash(const struct call_world *);

/* What came of it, so that a test can see that worlds are not empty. */
struct call_world_totals {
    uint64_t calls, results, unknown, not_executed;
    uint64_t attempts;
    uint64_t server_crashes, client_crashes;
    uint64_t virtual_ns;
};

/* Adds those of this world. */
void call_world_add(const struct call_world *, struct call_world_totals *);

#endif
