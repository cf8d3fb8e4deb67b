/* SPDX-License-Identifier: MIT */
/*
 * SQLite in a world: a VFS whose files are those of the hosts' simulated disks (disk.h). As long as
 * it lives it is SQLite's default one, so that an application opens its databases as anywhere else;
 * a path belongs to the host that acts (timeline.h). Private to stack/sim/.
 *
 * The same world gives the same databases, bit for bit: SQLite's random numbers come from the seed,
 * its time is the virtual one, its locks and the shared memory of its write-ahead logs are in the
 * process's memory and end with the life of their host. SQLite keeps its generator for the whole
 * process, so a world whose applications use databases is to be the only one at its time.
 *
 * Temporary files are refused (PRAGMA temp_store=MEMORY), files are never mapped into memory, and a
 * handle that its host's crash has left behind fails in all that it does.
 */
#ifndef SIM_VFS_H
#define SIM_VFS_H

#include <stdint.h>

struct timeline;
struct vfs;

/* Becomes SQLite's default VFS. Returns NULL when memory is short. */
struct vfs *vfs_new(struct timeline *, uint64_t seed);

/* SQLite has the VFS from before again, and new random numbers. All databases are closed. */
void vfs_free(struct vfs *);

#endif
