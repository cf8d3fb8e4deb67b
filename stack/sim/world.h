/* SPDX-License-Identifier: MIT */
/*
 * A world: hosts, each a whole stack with its applications and environment, and links between them,
 * in one process, in virtual time, from one seed. Time jumps from event to event; two events of one
 * nanosecond happen in the order in which they were scheduled. Nothing in it reads a clock, starts
 * a thread, or depends on an address of memory: the same seed and the same program give the same
 * world, bit for bit, which world_hash shows.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "link/impair.h"
#include "sim/disk.h"
#include "strait.h"

struct world;
struct world_host;
struct world_link;

/*
 * An application of a host. `start` runs when the host starts, and again after each restart, with
 * the stack and environment of that life; `crash` runs when the host has lost its memory: it frees
 * what `start` made and makes no call into the stack or environment, which are gone.
 */
struct world_app {
    void (*start)(void *app, struct strait *, struct strait_env *);
    void (*crash)(void *app);
    void *app;
};

/* Returns NULL when memory is short; so do all functions below that make something. */
struct world *world_new(uint64_t seed);

/* Frees the world with all that is in it; `crash` of the applications that live is called. */
void world_free(struct world *);

/* The virtual time, nanoseconds. It starts at 1 s, so that no time is 0. */
uint64_t world_now(const struct world *);

/* Numbers for the scenario: a stream of their own, so that what the hosts draw does not shift it.
 */
struct prng *world_prng(struct world *);

/*
 * A host that is up from the next event on. `config` is copied, its secret drawn from the seed;
 * NULL takes the defaults. The app is copied; NULL for a host without one (a router).
 */
struct world_host *world_add_host(struct world *, const char *name, const struct strait_config *,
                                  const struct world_app *);

/* The stack and environment of the present life; NULL while the host is down. */
struct strait *world_stack(struct world_host *);
struct strait_env *world_env(struct world_host *);
struct disk *world_disk(struct world_host *);
const char *world_host_name(const struct world_host *);

/* One end of a link. */
struct world_end {
    struct world_host *host;
    struct in_addr address;
};

/*
 * A link between two hosts, both addresses in one network of `prefix_bits`. `features` are
 * STRAIT_LINK_*; packets travel as they are sent, super-packets whole. `impair` is for each
 * direction: [0] from ends[0] to ends[1].
 */
struct world_link *world_add_link(struct world *, const struct world_end ends[2], int prefix_bits,
                                  uint32_t mtu, uint32_t features,
                                  const struct impair_config impair[2]);

/* A route of a host to a network through a link of its own; kept over restarts. */
int world_add_route(struct world_host *, struct in_addr network, int prefix_bits,
                    struct world_link *);

/* Changes what a direction (0 or 1) of a link does to packets. */
void world_impair(struct world_link *, int direction, const struct impair_config *);

/* Cuts a direction: packets that enter are lost, those on the way too; or mends it. */
void world_cut(struct world_link *, int direction, bool cut);

/* What is seen of a packet on a link. */
enum world_sight {
    WORLD_SENT,      /* it leaves its host */
    WORLD_DELIVERED, /* it arrives at the other */
};

/*
 * Calls tap(context, ...) for each packet of the link; at most WORLD_TAPS of one link. `direction`
 * is as in world_add_link.
 */
#define WORLD_TAPS 4
void world_tap(struct world_link *,
               void (*tap)(void *context, uint64_t now_ns, int direction, enum world_sight,
                           const void *packet, size_t length, const struct strait_offload *),
               void *context);

/* Pauses a host: its clock goes on, it does nothing; what arrives waits (up to 1 MiB). */
void world_pause(struct world_host *, bool paused);

/* The host loses its memory at once, and of its disk what was not synced (disk.h); it stays down.
 */
void world_crash(struct world_host *);

/* A host that is down starts anew, with the disk that it has. */
void world_restart(struct world_host *);
bool world_is_up(const struct world_host *);

/* Runs event(argument) at a time, of the scenario and not of a host. */
int world_at(struct world *, uint64_t at_ns, void (*event)(void *argument), void *argument);

enum world_end_reason {
    WORLD_TIME,       /* the time was reached */
    WORLD_IDLE,       /* nothing is left to happen */
    WORLD_STOPPED,    /* world_stop was called */
    WORLD_NO_PROGRESS /* too many events at one virtual time */
};

/* Runs until a time. */
enum world_end_reason world_run(struct world *, uint64_t until_ns);

/* Ends world_run after the present event. */
void world_stop(struct world *);

/* Of everything that has happened: times, packets, files, starts and crashes. */
uint64_t world_hash(const struct world *);
uint64_t world_events(const struct world *);

/* Told about each event if set: "1.000020000 a > b 1500 bytes". For replays with logging. */
void world_log(struct world *, void (*log)(void *context, uint64_t now_ns, const char *line),
               void *context);

#endif
