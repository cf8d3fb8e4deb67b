/* SPDX-License-Identifier: MIT */
/*
 * model [--states N] [SCENARIO...]
 *
 * Enumerates the worlds of the scenarios, all of them if none is named, up to N worlds of each.
 * Prints what was counted. The exit status is 1 if something was violated, 2 for a wrong command
 * line.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "explore.h"
#include "scenarios.h"

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool is_named(const struct scenario *s, int count, char **names)
{
    bool named = count == 0;

    for (int i = 0; i < count; i++)
        named |= strcmp(names[i], s->name) == 0;
    return named;
}

int main(int argc, char **argv)
{
    uint64_t states_max = 0, states = 0;
    double begin = seconds();
    int first = 1;

    if (argc > 2 && strcmp(argv[1], "--states") == 0) {
        states_max = strtoull(argv[2], NULL, 10);
        first = 3;
    }
    for (int i = first; i < argc; i++) {
        bool known = false;
        for (const struct scenario *s = scenarios; s->name; s++)
            known |= strcmp(argv[i], s->name) == 0;
        if (!known) {
            fprintf(stderr, "model: there is no scenario \"%s\"\n", argv[i]);
            return 2;
        }
    }
    printf("%-14s %10s %11s %8s %6s %6s\n", "scenario", "states", "moves", "ends", "depth", "s");
    for (const struct scenario *s = scenarios; s->name; s++) {
        if (!is_named(s, argc - first, argv + first))
            continue;
        double start = seconds();
        struct explored e = explore(s, states_max);
        printf("%-14s %10" PRIu64 " %11" PRIu64 " %8" PRIu64 " %6" PRIu32 " %6.1f  %s%s\n", s->name,
               e.states, e.moves, e.ends, e.depth, seconds() - start, s->title,
               e.complete || e.violation[0] ? "" : " (not all)");
        fflush(stdout);
        states += e.states;
        if (e.violation[0] != '\0') {
            printf("FAILED: scenario %s, after %" PRIu64 " states\n", s->name, states);
            return 1;
        }
    }
    printf("%" PRIu64 " states in %.1f s\n", states, seconds() - begin);
    return 0;
}
