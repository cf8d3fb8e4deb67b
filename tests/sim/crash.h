/* SPDX-License-Identifier: MIT */
/*
 * Crashes at each step of a disk: a scenario is run again and again, and its host crashes after
 * the first change of its disk, after the second, and so on.
 */
#ifndef TESTS_SIM_CRASH_H
#define TESTS_SIM_CRASH_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/world.h"

/*
 * Runs the world until so many changes of the host's disk, from now on, are complete. Returns
 * false if finished(context) is true before, or 100 ms pass without a change.
 */
bool crash_run_to(struct world *, struct world_host *, uint64_t changes,
                  bool (*finished)(void *context), void *context);

#endif
