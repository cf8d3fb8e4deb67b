/* SPDX-License-Identifier: MIT */
/*
 * Private to the loop: loop.c has its turn and its environment, loop_sources.c what it waits for.
 */
#ifndef STRAIT_LOOP_STATE_H
#define STRAIT_LOOP_STATE_H

#include <stdatomic.h>
#include <time.h>

#include "base/list.h"
#include "base/timer.h"
#include "host/executor.h"
#include "host/posts.h"
#include "strait.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

/*
 * To poll a link costs less than to have it in an epoll set, whose callback runs for each of its
 * packets; but it costs for each link, at each wait.
 */
#define LINKS_BESIDE_MAX 8

/* A stack that the loop drives. */
struct driven {
    struct list node;
    struct strait *stack;
    unsigned links; /* of the stack that are in the loop; 0: freed at the end of the turn */
    bool fed;       /* was given packets in this turn */
};

/* What an event is of: a link (`link` and `driven` are set) or a foreign descriptor. */
struct source {
    struct list node; /* on `links` or `ended`, if any */
    int fd;           /* -1: not waited for */
    bool beside;      /* the epoll set, which it is not in: a link that is polled */
    bool ended;
    int error; /* errno of a link that is gone */
    struct strait_link *link;
    struct driven *driven;
    short events;
    void (*ready)(void *argument, int fd, short revents);
    void *argument;
};

struct strait_loop {
    struct strait_env env;
    int epoll;
    int wake;      /* an eventfd: posts, finished work, and stop */
    int timer;     /* a timerfd, which ends a wait */
    bool embedded; /* somebody else waits, for the epoll set alone */
    bool turning;
    bool running;          /* in strait_loop_run: another turn follows each */
    uint64_t busy_poll_ns; /* for which links are polled before the loop sleeps */
    struct source *lively; /* the link that has brought packets last; NULL: unknown */
    unsigned unasked;      /* waits since the epoll set was asked last */
    atomic_bool stopped;
    uint64_t now_ns;       /* of the turn */
    uint64_t settled_ns;   /* the same of the last one that has ended */
    uint64_t next_ns;      /* the earliest deadline of stacks and timers */
    uint64_t timer_set_ns; /* when the timerfd expires, or has */

    struct timer_wheel timers;
    struct list stacks;      /* struct driven */
    struct list links;       /* struct source */
    unsigned links_beside;   /* of them, so many are */
    unsigned failed;         /* of the links: those that are gone */
    struct source **watches; /* by descriptor; NULL where there is none */
    size_t watches_capacity;
    struct list ended; /* sources to free at the end of the turn */

    struct posts posts;
    struct executor executor;
};

static inline struct strait_loop *loop_of(struct strait_env *env)
{
    return container_of(env, struct strait_loop, env);
}

static inline uint64_t clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static inline uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Of a link or a foreign descriptor comes no event any more. */
void loop_source_mute(struct strait_loop *, struct source *);

/* Puts all links into the epoll set, for whoever waits for that alone. Returns 0, or -1 with errno.
 */
int loop_links_join(struct strait_loop *);

/* As `watch` of the environment (strait.h). */
int loop_watch(struct strait_env *, int fd, short events,
               void (*ready)(void *argument, int fd, short revents), void *argument);

/* The same of a descriptor that is not watched, and of events. */
int loop_watch_add(struct strait_loop *, int fd, short events,
                   void (*ready)(void *argument, int fd, short revents), void *argument);

/* Frees what has ended, unless a turn still holds events for it. */
void loop_reap(struct strait_loop *);

/* Frees all structs of a list, whose node is their first member. */
void loop_free_list(struct list *);

#endif
