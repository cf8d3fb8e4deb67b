/* SPDX-License-Identifier: MIT */
/* What the tests of a cluster expect, with cmocka: what does not hold ends the test. */
#ifndef TESTS_SIM_EXPECT_H
#define TESTS_SIM_EXPECT_H

#include "cluster.h"

void expect_committed(const struct cluster_answer *);

/* A linearizable read at a node. */
void expect_to_read(struct cluster *, uint32_t id, const char *key, const char *value);

/* Nothing is under way, no lock is held, and all nodes, which are the replicas, have the same. */
void expect_alike(struct cluster *, const char *key);

#endif
