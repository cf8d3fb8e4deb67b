/* SPDX-License-Identifier: MIT */
/* A copy of a database that goes on being written, made on the environment's executor. */
#ifndef KV_BACKUP_H
#define KV_BACKUP_H

#include <limits.h>

#include "store.h"

struct kv_backup {
    struct strait_work work;
    const char *from; /* outlives it */
    char path[PATH_MAX];
    char error[STORE_MESSAGE_BYTES]; /* empty: none */
    bool running;
    void (*done)(void *context, const char *error); /* on the driving thread */
    void *context;
};

/*
 * Begins to copy the database `from` to a new file. Returns 0, or -1 with errno: EBUSY (one runs
 * already), ENAMETOOLONG, EEXIST and what else a file cannot be made for, EAGAIN (the executor).
 */
int kv_backup_start(struct kv_backup *, struct strait_env *, const char *from, const char *path,
                    void (*done)(void *context, const char *error), void *context);

#endif
