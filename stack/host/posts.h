/* SPDX-License-Identifier: MIT */
/* Calls that any thread may ask for, and that the driving thread makes, in the order of asking. */
#ifndef HOST_POSTS_H
#define HOST_POSTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct post {
    void (*function)(void *);
    void *argument;
};

struct post_list {
    struct post *posts;
    size_t count, capacity;
};

struct posts {
    pthread_mutex_t lock; /* guards `waiting` */
    struct post_list waiting;
    struct post_list running; /* swapped with `waiting`, so that both arrays are used again */
};

void posts_init(struct posts *);

/* Frees the memory. What still waits is not called. */
void posts_finish(struct posts *);

/*
 * Adds a call. It cannot be refused, so the memory for it (16 bytes) has to be there. Returns
 * whether it is the first: the driving thread does not know yet that there are some.
 */
bool posts_add(struct posts *, void (*function)(void *), void *argument);

/* Makes the calls that wait, but for those that they add. */
void posts_run(struct posts *);

#endif
