/* SPDX-License-Identifier: MIT */
/*
 * A host of a world: a stack, the virtual twin of its environment, an application and a disk; its
 * lives follow each other with crashes between them. Private to stack/sim/.
 *
 * A host has its turn (host.c) when a packet has come, or when the earliest of all that it waits
 * for is due. It sends through its ports, which are links of whoever made them.
 */
#ifndef SIM_HOST_H
#define SIM_HOST_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/prng.h"
#include "base/timer.h"
#include "sim/timeline.h"
#include "sim/world.h"
#include "strait.h"

#define HOST_WORK_MAX       1024 /* that was accepted and is not done */
#define HOST_HELD_BYTES_MAX ((size_t)1 << 20)

/* A link end as a host has it. */
struct port {
    struct strait_link *link;
    struct in_addr address;
    int prefix_bits;
};

struct host_route {
    struct in_addr network;
    int prefix_bits;
    struct strait_link *link;
};

struct post {
    void (*function)(void *);
    void *argument;
};

struct posts {
    struct post *list;
    size_t count, capacity;
};

struct pending_work {
    uint64_t due_ns; /* when it is run, and then when it is done */
    bool has_run;
    struct strait_work *work;
};

/* A packet that came while the host was paused. */
struct held {
    STAILQ_ENTRY(held) next;
    struct strait_link *link;
    struct strait_offload offload;
    size_t length;
    uint8_t bytes[];
};

struct world_host {
    struct event turn; /* the next one */
    struct strait_env env;
    struct timeline *time;
    uint32_t index;
    char *name;
    uint64_t seed;
    struct strait_config config;
    struct world_app app;
    struct disk *disk;
    struct port *ports;
    size_t port_count;
    struct host_route *routes;
    size_t route_count;
    bool paused;
    STAILQ_HEAD(, held) held; /* in the order of arrival */
    size_t held_bytes;

    /* Of the present life. */
    uint64_t life;        /* counted from 1 */
    struct strait *stack; /* NULL: down */
    bool started;         /* the application */
    bool busy;            /* in the stack, or in a callback of the application */
    bool ending;          /* what it sends goes nowhere */
    uint64_t stack_ns;    /* the time that the stack knows */
    struct prng prng;
    struct timer_wheel timers;
    struct posts posts, posts_running; /* swapped, so that both arrays are used again */
    struct pending_work work[HOST_WORK_MAX];
    size_t work_count; /* sorted by time; equals, by submission */

    uint64_t active_ns; /* when it last had a turn, and how many at that instant */
    uint64_t active_turns;
};

/*
 * Makes a host and begins its first life; the application starts in its first turn. Name, app and
 * config are copied. Returns NULL with errno ENOMEM, or EINVAL for the configuration.
 */
struct world_host *host_new(struct timeline *, uint32_t index, const char *name, uint64_t seed,
                            const struct strait_config *, const struct world_app *);

/* Ends its life, but not as a crash does to the disk, and frees it. NULL is allowed. */
void host_free(struct world_host *);

/*
 * Gives the host a port, or a route through one, for this life and all that follow. Returns 0, or
 * -1 with errno ENOMEM or that of strait_attach and strait_route.
 */
int host_attach(struct world_host *, struct strait_link *, struct in_addr address, int prefix_bits);
int host_route(struct world_host *, struct in_addr network, int prefix_bits, struct strait_link *);

/* Begins a life of a host that is down. */
void host_start(struct world_host *);

/* Ends a life, of which nothing is seen outside any more. */
void host_end(struct world_host *);

/* What the environment has no call for. Returns 0, or -1 with the errno of disk.h. */
int host_file_truncate(struct world_host *, int file, uint64_t size);
int host_file_delete(struct world_host *, const char *path, bool synced);

/* A packet has come through a port of a host that is up and not paused: it has a turn now. */
void host_input(struct world_host *, struct strait_link *, const void *packet, size_t length,
                const struct strait_offload *);

/* Keeps a packet for the time after the pause; false if it is too much, or memory is short. */
bool host_hold(struct world_host *, struct strait_link *, const void *packet, size_t length,
               const struct strait_offload *);

/* Takes the first packet that was held, to be freed by the caller; NULL if there is none. */
struct held *host_unhold(struct world_host *);

/* Does nothing until it is resumed, and then has a turn. */
void host_pause(struct world_host *, bool paused);

/* Lets the stack know the time, so that socket calls can be made from outside of a turn. */
void host_tell_time(struct world_host *);

/* All that is due at this instant, if the host is up and not paused; schedules the next turn. */
void host_turn(struct world_host *);

#endif
