/* SPDX-License-Identifier: MIT */
/*
 * The enumeration: every world that any order of moves leads to, each visited once.
 *
 * A depth-first search. Worlds are told apart by a 64-bit hash of their canonical bytes: that two
 * of ten million share one, so that one of them is not looked into, has a probability of 3 in a
 * million.
 *
 * That everything ends follows from two things that are checked: no world follows upon itself, so
 * that the regular moves (move_is_regular) that change a world come to an end; and in each world
 * where they have come to an end, no transaction, no doubt and no lock is left. So from every
 * world, whatever has happened before, everything ends if messages flow again, in any order.
 */
#ifndef TESTS_KV_EXPLORE_H
#define TESTS_KV_EXPLORE_H

#include "world.h"

struct explored {
    uint64_t states;
    uint64_t moves; /* that change a world */
    uint64_t ends;  /* worlds in which nothing is left to do */
    uint32_t depth; /* of the longest way */
    bool complete;  /* false: it was ended by a violation or a limit */
    char violation[256];
};

/*
 * Explores a scenario up to a violation, or to `states_max` worlds (0: all). A violation is told
 * with all the moves that lead to it, on stdout.
 */
struct explored explore(const struct scenario *, uint64_t states_max);

#endif
