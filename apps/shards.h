/* SPDX-License-Identifier: MIT */
/*
 * A host on several queues of its device: a station for each, with its own loop and stack, on a
 * thread and a processor of its own. They share nothing that changes but the rings by which they
 * hand packets over (host/mesh.h). With one queue it is a station, and no more.
 */
#ifndef APPS_SHARDS_H
#define APPS_SHARDS_H

#include <stdint.h>

#include "options.h"
#include "station.h"
#include "strait.h"

struct mesh;

/* One of them, as its callbacks know it. */
struct shard {
    struct shards *all;
    uint32_t number;
    struct station station;
};

struct shards {
    uint32_t count;
    struct mesh *mesh; /* NULL: there is one */
    struct shard shard[STRAIT_SHARDS_MAX];
};

/*
 * Makes the first station, which takes SIGINT and SIGTERM for all. Returns 0, or -1 after a line;
 * shards_free is due in both cases.
 */
int shards_init(struct shards *, const struct options *);

/*
 * Opens the device with `queues` queues, or with one where the kernel refuses more, gives up
 * privileges, and makes a stack for each: `count` says how many. Returns 0, or -1 after a line.
 */
int shards_open(struct shards *, uint32_t queues);

/*
 * Calls run(context, number) for each shard, the first on this thread, others on threads of their
 * own. If there are several, each has a processor as far as there are enough. A signal interrupts
 * all stations; so does a `run` that returns something else than 0. Returns 0 if all did, else -1,
 * after a line if a thread cannot be started.
 */
int shards_run(struct shards *, int (*run)(void *context, uint32_t number), void *context);

/*
 * Calls visit(context, name, value) for each counter: the sums over the shards and then, if there
 * are several, those of each, by names like "tcp_segments_in[1]". The shards do not run.
 */
void shards_counters(const struct shards *,
                     void (*visit)(void *context, const char *name, uint64_t value), void *context);

/* Releases whatever has been made. */
void shards_free(struct shards *);

#endif
