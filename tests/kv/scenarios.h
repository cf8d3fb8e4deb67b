/* SPDX-License-Identifier: MIT */
/* What is enumerated. */
#ifndef TESTS_KV_SCENARIOS_H
#define TESTS_KV_SCENARIOS_H

#include "world.h"

extern const struct scenario scenarios[]; /* up to one without a name */

#endif
