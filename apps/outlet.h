/* SPDX-License-Identifier: MIT */
/*
 * A descriptor of the machine that bytes are written to as its reader takes them, without holding
 * up the loop. It may be a file, a terminal, a pipe or a socket, and is shared with other
 * processes: so it is not made non-blocking, but written to only when there is room.
 */
#ifndef APPS_OUTLET_H
#define APPS_OUTLET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "strait.h"

struct outlet {
    struct strait_env *env;
    int fd;
    size_t piece_bytes; /* what may be written when there is room */
    bool waits;         /* for room */
    void (*ready)(void *argument);
    void *argument;
};

/* `ready` is called once there is room, after a write that was cut short. */
void outlet_init(struct outlet *, struct strait_env *, int fd, void (*ready)(void *argument),
                 void *argument);

/* Writes what there is room for. Returns how much, 0 included, or -1 with errno. */
ssize_t outlet_write(struct outlet *, const void *bytes, size_t length);

/* Ends a wait for room; the descriptor stays open. */
void outlet_stop(struct outlet *);

#endif
