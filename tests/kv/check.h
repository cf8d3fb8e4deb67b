/* SPDX-License-Identifier: MIT */
/* What must hold in every world, and of every action. A violation is put into universe->violation,
 * the first one stays. */
#ifndef TESTS_KV_CHECK_H
#define TESTS_KV_CHECK_H

#include "world.h"

void violated(struct universe *, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What a coordinator or a worker (its id) does, before it takes effect. */
void check_coordinator_send(struct world *, const struct kv_message *);
void check_worker_send(struct world *, const struct kv_message *);
void check_coordinator_journal(struct world *, const struct kv_row *);
void check_reply(struct world *, const struct kv_reply *);

/* The world as it is. */
void check_world(struct world *);

/* A world in which nothing is left to happen but faults. */
void check_end(struct world *);

#endif
