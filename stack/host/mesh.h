/* SPDX-License-Identifier: MIT */
/*
 * Packets from each shard of a host to each other one: a ring for each pair, and for each shard a
 * bell that is rung only when it may be asleep.
 */
#ifndef HOST_MESH_H
#define HOST_MESH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "strait.h"

struct mesh;

/* Makes the rings and bells of 1 to STRAIT_SHARDS_MAX shards. Returns NULL with errno. */
struct mesh *mesh_new(uint32_t shards);

/* No shard is at it any more. NULL is allowed. */
void mesh_free(struct mesh *);

/*
 * On the thread of `from`: copies a packet for `to`. Returns false if it finds no room, which is
 * 256 KiB for each pair.
 */
bool mesh_put(struct mesh *, uint32_t from, uint32_t to, const void *packet, size_t length,
              const struct strait_offload *);

/* A descriptor that is readable when there is something for the shard, which calls mesh_take. */
int mesh_bell(const struct mesh *, uint32_t shard);

/*
 * On the thread of `shard`: gives it what waits, a bounded number of packets at once; what is left
 * goes on ringing the bell.
 */
void mesh_take(struct mesh *, uint32_t shard,
               void (*take)(void *context, const void *packet, size_t length,
                            const struct strait_offload *),
               void *context);

#endif
