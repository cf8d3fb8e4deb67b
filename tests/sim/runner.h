/* SPDX-License-Identifier: MIT */
/*
 * The main program of worlds of one kind: runs them, each from its seed, until a range of seeds or
 * a time is spent. A world that fails is told with its seed, what was violated, and the command
 * that replays it. The last line says how much was run; the exit status is 1 if a world failed, 2
 * for a wrong command line.
 */
#ifndef TESTS_SIM_RUNNER_H
#define TESTS_SIM_RUNNER_H

#include <stdint.h>
#include <stdio.h>

struct runner {
    /* Runs the world of a seed to its end, and counts it. Violations are told to standard output;
     * everything that happens to `log`, if that is not NULL. Returns how many violations there
     * were, and the hash of the world's history. */
    uint32_t (*run)(void *context, uint64_t seed, FILE *log, uint64_t *hash);
    /* Prints what the worlds have come to, in the middle of the last line. */
    void (*sum_up)(void *context);
    void *context;
};

int runner_main(int argc, char **argv, const struct runner *);

#endif
