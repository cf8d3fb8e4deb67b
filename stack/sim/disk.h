/* SPDX-License-Identifier: MIT */
/*
 * A disk in memory, as a crash leaves it: what was written and not synced may be lost, whole or in
 * part, and in another order than it was written. A file's size and its name are data like any
 * other: a file that was created and never synced may be gone, one that was deleted may be back.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/prng.h"

#define DISK_SECTOR_BYTES 512 /* written whole or not at all */

/* How the disk misbehaves. */
struct disk_faults {
    bool torn;               /* at a crash, of an unsynced write only some sectors may be there */
    bool reordered;          /* and a later write may be there without an earlier one */
    uint32_t read_error;     /* EIO of a read, in parts of a million */
    uint32_t write_error;    /* EIO of a write */
    uint32_t sync_error;     /* EIO of a sync: what was to be synced is then lost at a crash */
    bool sync_lies;          /* a sync says that it has, and has not */
    uint64_t capacity_bytes; /* ENOSPC beyond; 0: no limit */
};

/* How long a change takes, on average: each from half of that to half more. */
struct disk_speed {
    uint64_t access_ns; /* of a file or its name; by default 5 us */
    uint64_t sync_ns;   /* 500 us */
};

struct disk;

/* Returns NULL when memory is short. */
struct disk *disk_new(uint64_t seed);
void disk_free(struct disk *);
void disk_set_faults(struct disk *, const struct disk_faults *);
void disk_set_speed(struct disk *, const struct disk_speed *);

/* The calls of strait_env, with its flags and errno values. A handle is not used again. */
int disk_open(struct disk *, const char *path, int flags);
int disk_close(struct disk *, int file);
ssize_t disk_read(struct disk *, int file, void *bytes, size_t length, uint64_t offset);
ssize_t disk_write(struct disk *, int file, const void *bytes, size_t length, uint64_t offset);
int64_t disk_size(struct disk *, int file);
int disk_sync(struct disk *, int file);

/* As ftruncate: makes the file shorter, or longer with zeros. */
int disk_truncate(struct disk *, int file, uint64_t size);

/*
 * Deletes the file; if `synced`, the name's going is durable as after a sync of its directory.
 * Returns 0, or -1 with ENOENT, EIO, or EBUSY while it is open.
 */
int disk_delete(struct disk *, const char *path, bool synced);

/*
 * Time. The disk is told it, and it never goes back; from the start it is 0. What is done between
 * disk_begin and disk_end, as by a thread that blocks, is seen at once, but takes time: one change
 * after the other is complete, and a crash undoes those that are not. What is done outside of the
 * two takes no time.
 */
void disk_advance(struct disk *, uint64_t now_ns);
void disk_begin(struct disk *);

/* Returns when the last change is complete: now, if there was none. */
uint64_t disk_end(struct disk *);

/* When the next change is complete; UINT64_MAX if all are. */
uint64_t disk_next(const struct disk *);

/* The power is cut: all handles are closed, and of what is not synced a part that may be is kept.
 */
void disk_crash(struct disk *);

/* A hash of everything that would survive if the disk were synced now. */
uint64_t disk_hash(const struct disk *);

#endif
