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
 * the stack and environment of that life; `crash` runs when that life is over: it frees what
 * `start` made. It may do so by calls into the stack and environment, such as strait_close, but
 * nothing of that leaves the host; timers, posts and work are gone, and files are what the crash
 * has left.
 */
struct world_app {
    void (*start)(void *app, struct strait *, struct strait_env *);
    void (*crash)(void *app);
    void *app;
};

/*
 * Returns NULL with errno ENOMEM when memory is short; so do all functions below that make
 * something. Everything belongs to the world.
 */
struct world *world_new(uint64_t seed);

/* Frees the world with all that is in it; `crash` of the applications that run is called. */
void world_free(struct world *);

/* The virtual time, nanoseconds. It starts at 1 s, so that no time is 0. */
uint64_t world_now(const struct world *);

/* Numbers for the scenario: a stream of their own, so that what the hosts draw does not shift it.
 */
struct prng *world_prng(struct world *);

/*
 * A host that is up; its application starts with the next event. `config` is copied, the secret of
 * each life drawn from the seed; NULL takes the defaults. The app is copied; NULL for a host
 * without one (a router). Returns NULL also with EINVAL, for a configuration that strait_new
 * refuses.
 */
struct world_host *world_add_host(struct world *, const char *name, const struct strait_config *,
                                  const struct world_app *);

/*
 * The stack and environment of the present life; NULL while the host is down. Socket calls may be
 * made by the host's own callbacks, by events of the scenario, and between two runs; whatever they
 * bring happens at the same instant. Files are on world_disk, timers as exact as timer.h says. Work
 * is run, and then done, a random while after it was accepted: at most 2.02 ms, but longer if it
 * keeps the disk busy, not always in order, and never if the host crashes before. What it has done
 * to files takes its time: a crash before it is done leaves what was on the disk by then.
 */
struct strait *world_stack(struct world_host *);
struct strait_env *world_env(struct world_host *);
struct disk *world_disk(struct world_host *);
const char *world_host_name(const struct world_host *);

/*
 * SQLite: while there is a world, databases are files of its hosts (vfs.h): of the host whose
 * callbacks run, or ran last. For a scenario that looks into one, this makes it another.
 */
void world_act_as(struct world_host *);

/* One end of a link, with the address of the host there. */
struct world_end {
    struct world_host *host;
    struct in_addr address;
};

/*
 * A link between two hosts, both addresses in one network of `prefix_bits`. `features` are
 * STRAIT_LINK_*; packets travel as they are sent, super-packets whole. `impair` is for each
 * direction: [0] from ends[0] to ends[1]. A host's first link is its default route. Returns NULL
 * also with the errno of strait_attach.
 */
struct world_link *world_add_link(struct world *, const struct world_end ends[2], int prefix_bits,
                                  uint32_t mtu, uint32_t features,
                                  const struct impair_config impair[2]);

/*
 * A route of a host to a network through a link of its own; kept over restarts. Returns 0, or -1
 * with ENOMEM or the errno of strait_route.
 */
int world_add_route(struct world_host *, struct in_addr network, int prefix_bits,
                    struct world_link *);

/* Changes what a direction (0 or 1) of a link does to packets. */
void world_impair(struct world_link *, int direction, const struct impair_config *);

/* Cuts a direction: packets that enter are lost, those on the way too; or mends it. */
void world_cut(struct world_link *, int direction, bool cut);

/*
 * What has become of the packets of one direction. Those sent, and those that impair has
 * duplicated, are delivered, or counted in one of the others (impair's lost, queue_full and
 * no_memory included), or still on the way, or held by a paused host.
 */
struct world_counters {
    uint64_t sent, delivered;
    uint64_t cut;        /* lost by world_cut */
    uint64_t host_down;  /* came to a host that was down, or were held when it crashed */
    uint64_t pause_full; /* came to a paused host that held too much already */
    struct impair_counters impair;
};

void world_counters(const struct world_link *, int direction, struct world_counters *);

/*
 * Puts an ordinary packet onto a link as if the host where `direction` begins had sent it: for a
 * scenario that forges. Returns 0, or -1 with the errno of a link's send.
 */
int world_inject(struct world_link *, int direction, const void *packet, size_t length);

/* What is seen of a packet on a link. */
enum world_sight {
    WORLD_SENT,      /* it leaves its host */
    WORLD_DELIVERED, /* the other takes it; if that was paused, when it resumes */
};

/*
 * Calls tap(context, ...) for each packet of the link; at most WORLD_TAPS of one link. `direction`
 * is as in world_add_link. A tap only looks: it calls neither stacks nor the world.
 */
#define WORLD_TAPS 4
void world_tap(struct world_link *,
               void (*tap)(void *context, uint64_t now_ns, int direction, enum world_sight,
                           const void *packet, size_t length, const struct strait_offload *),
               void *context);

/*
 * Faults of hosts, for the scenario: a callback of a host may not inflict them on itself (world_at
 * does it at the same instant).
 */

/*
 * Pauses a host: its clock goes on, it does nothing; what arrives waits (up to 1 MiB) and is taken
 * when the host resumes. A crash ends a pause; a host that is down does not pause.
 */
void world_pause(struct world_host *, bool paused);

/* The host loses its memory at once, and of its disk what was not synced (disk.h); it stays down.
 */
void world_crash(struct world_host *);

/*
 * A host that is down starts anew, with the disk that it has; its application starts with the next
 * event.
 */
void world_restart(struct world_host *);
bool world_is_up(const struct world_host *);

/*
 * Runs event(argument) at a time, or at once if that is past; of the scenario and not of a host.
 * Returns 0, or -1 with ENOMEM.
 */
int world_at(struct world *, uint64_t at_ns, void (*event)(void *argument), void *argument);

enum world_end_reason {
    WORLD_TIME,       /* the time was reached */
    WORLD_IDLE,       /* the same, and nothing is left to happen */
    WORLD_STOPPED,    /* world_stop was called */
    WORLD_NO_PROGRESS /* a million events at one virtual time; the log says whose */
};

/*
 * Runs until a time that is not past, the events of that instant included; STRAIT_NEVER is until
 * nothing is left to happen, and then the time is that of the last event. It makes no difference in
 * how many steps a world is run.
 */
enum world_end_reason world_run(struct world *, uint64_t until_ns);

/* Ends world_run after the present event. */
void world_stop(struct world *);

/* Of everything that has happened: times, packets, files, starts and crashes. */
uint64_t world_hash(const struct world *);

/* How much has happened: turns of hosts, packets that came to an end, events of the scenario. */
uint64_t world_events(const struct world *);

/* Told about each event if set: "1.000020000 a > b 1500 bytes". For replays with logging. */
void world_log(struct world *, void (*log)(void *context, uint64_t now_ns, const char *line),
               void *context);

#endif
