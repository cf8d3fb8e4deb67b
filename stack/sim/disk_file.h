/* SPDX-License-Identifier: MIT */
/*
 * What a disk is made of; and a file of it: what reads see, what is durable, and what was done in
 * between. Private to disk.c and disk_file.c.
 */
#ifndef SIM_DISK_FILE_H
#define SIM_DISK_FILE_H

#include <sys/queue.h>

#include "sim/content.h"
#include "sim/disk.h"

#define DISK_HANDLES_MAX 1024

enum operation_kind { CREATE, DELETE, TRUNCATE, WRITE, SYNC };

/* What has been done to a file and not been synced. */
struct operation {
    STAILQ_ENTRY(operation) link;
    enum operation_kind kind;
    bool lost;       /* by a sync that failed */
    uint64_t at_ns;  /* when it is complete */
    uint64_t offset; /* of a write; of a truncation, the size */
    size_t length;
    uint8_t bytes[];
};

struct file {
    TAILQ_ENTRY(file) link;
    char *path;
    struct content seen, durable; /* with room in both for all that was written */
    STAILQ_HEAD(, operation) unsynced;
    size_t unsynced_bytes;
    uint64_t last_ns; /* the stamp of the last operation */
};

struct handle {
    int number;
    struct file *file; /* NULL: a directory */
    bool writable;
};

struct disk {
    struct prng prng;
    struct disk_faults faults;
    TAILQ_HEAD(, file) files; /* in the order in which they were created */
    uint64_t used_bytes;      /* the sizes of all files together */

    struct disk_speed speed;
    struct prng pace; /* apart from the luck, which does not depend on the speed */
    uint64_t now_ns;
    uint64_t busy_ns; /* when all that was begun is complete */
    uint64_t sync_ns; /* when the next sync that stands in a list is */
    bool working;     /* what is done takes time */

    struct handle handles[DISK_HANDLES_MAX];
    size_t handle_count;
    int last_number;
};

/* A file whose name is not there yet, among those of the disk; NULL when memory is short. */
struct file *disk_file_new(struct disk *, const char *path);

/* Frees what is not among them any more. */
void disk_file_free(struct file *);

/* Performs an operation without bytes, or a write. Returns 0, or -1 with ENOMEM. */
int disk_file_change(struct disk *, struct file *, enum operation_kind, uint64_t offset);
int disk_file_write(struct disk *, struct file *, const void *bytes, size_t length,
                    uint64_t offset);

/* Makes all that was done to the file durable, in its time. Returns 0, or -1 with ENOMEM. */
int disk_file_make_durable(struct disk *, struct file *);

/* What no sync has in hand is lost; but not the name, which is its directory's. */
void disk_file_lose_unsynced(struct file *);

/* Makes durable what stands before and in the syncs that are complete. */
void disk_file_settle(struct disk *, struct file *);

/* Leaves of the file what a crash at this time does; `durable.exists` says whether it is gone. */
void disk_file_crash(struct disk *, struct file *);

/* A hash of the file as it would be if it were synced now and the power were cut. */
uint64_t disk_file_hash(const struct file *);

#endif
