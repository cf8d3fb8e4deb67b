/* SPDX-License-Identifier: MIT */
/*
 * One stream world, from its scenario to the verdict: a time under faults, then everything heals
 * and has to finish, then everything closes and nothing may be left.
 */
#ifndef TESTS_SIM_RUN_H
#define TESTS_SIM_RUN_H

#include <stdio.h>

#include "check.h"
#include "scenario.h"
#include "sim/world.h"

struct run;

/* Makes the world. The scenario is borrowed. */
struct run *run_new(const struct scenario *);
void run_free(struct run *);

/* Everything that happens is told to `file`. */
void run_log(struct run *, FILE *file);

/*
 * Writes what each end host sends and gets to PREFIX-a.pcap, PREFIX-b.pcap and so on. Returns 0, or
 * -1 with one line in `error`.
 */
int run_pcap(struct run *, const char *prefix, char *error, size_t error_bytes);

/* Runs the world to its end. */
void run_all(struct run *);

/*
 * Lets the world of a scenario begin later, such that the sequence numbers of one of its
 * connections pass 2^32 amid the data: initial sequence numbers grow with time (RFC 9293 3.4.1).
 * Returns by how much, nanoseconds; 0 if there is no such data.
 */
uint64_t run_wrap(struct scenario *);

struct world *run_world(struct run *);
struct check *run_check(struct run *);

#endif
