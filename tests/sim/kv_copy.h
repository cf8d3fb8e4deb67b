/* SPDX-License-Identifier: MIT */
/*
 * A backup that a node of a cluster's world makes while the clients go on. Once all is over it is
 * opened as a node would; the total of the accounts in it is right, however late its moment was.
 */
#ifndef TESTS_SIM_KV_COPY_H
#define TESTS_SIM_KV_COPY_H

#include <stdio.h>

#include "kv_load.h"

struct kv_copy;

/* It begins at a time, if the node is up then. What cannot be is told to `violated`. */
struct kv_copy *kv_copy_new(struct cluster *, uint32_t id, uint64_t at_ns,
                            void (*violated)(void *context, const char *line), void *context);
void kv_copy_free(struct kv_copy *);

/* A line on it. */
void kv_copy_tell(const struct kv_copy *, FILE *);

/* Opens it. Returns whether there was one that had all accounts. */
bool kv_copy_check(struct kv_copy *);

#endif
