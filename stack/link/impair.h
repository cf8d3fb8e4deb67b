/* SPDX-License-Identifier: MIT */
/*
 * What a bad path does to packets: delay, jitter, a rate with a bounded queue in front of it, loss
 * (random or in bursts), duplication, reordering, corruption. One `struct impair` is one direction
 * of a path. It has no clock and no thread: packets and the time go in, packets that are due come
 * out, and the time of the next one is told. The same code impairs the links of a simulated world
 * and, as a strait_link in front of another (impair_link_new), a real TUN.
 */
#ifndef LINK_IMPAIR_H
#define LINK_IMPAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/prng.h"
#include "strait.h"

/* A probability in parts of a million: 10000 is 1 %. */
typedef uint32_t impair_ppm;

/* All zero is a perfect path: everything comes out at once, in order. */
struct impair_config {
    uint64_t delay_ns;
    uint64_t jitter_ns;     /* evenly spread over delay +- jitter; does not reorder by itself */
    uint64_t rate_bps;      /* bits a second of IP packets; 0: no limit */
    size_t queue_bytes;     /* that wait for the rate; beyond, arrivals are dropped; 0: 256 KiB */
    size_t ecn_bytes;       /* above this much in the queue, ECT packets are marked CE; 0: never */
    impair_ppm loss;        /* of each packet */
    impair_ppm burst_enter; /* Gilbert-Elliott: from the good state to the bad, for each packet */
    impair_ppm burst_leave; /* and back */
    impair_ppm burst_loss;  /* of each packet in the bad state */
    impair_ppm duplicate;   /* the copy follows at once */
    impair_ppm reorder;     /* the packet overtakes: it comes without the delay */
    impair_ppm corrupt;     /* one bit anywhere is flipped; never where the checksum is not on
                               the wire (STRAIT_CHECKSUM_PARTIAL), since nobody could see it */
};

/*
 * Reads "delay=20ms,jitter=5ms,rate=100mbit,queue=64kb,ecn=30kb,loss=1%,burst=0.1%/20%/50%,
 * duplicate=1%,reorder=5%,corrupt=0.1%". Times take ns, us, ms, s; rates bit, kbit, mbit, gbit;
 * sizes b, kb, mb; burst is enter/leave/loss. Returns 0, or -1 with one line in `error` that says
 * what is wrong with which word.
 */
int impair_parse(const char *text, struct impair_config *, char *error, size_t error_bytes);

struct impair_counters {
    uint64_t packets, lost, queue_full, marked, duplicated, reordered, corrupted;
};

struct impair {
    struct impair_config config;
    struct prng prng;
    struct impair_counters counters;
    struct impair_packet **heap; /* by due time, then by order of arrival */
    size_t count, capacity;
    uint64_t serial;
    uint64_t free_at_ns;  /* when the rate has sent all that waits */
    uint64_t last_due_ns; /* so that jitter alone does not reorder */
    bool burst;           /* in the bad state */
};

/* `config` is copied; the prng is seeded with `seed`. */
void impair_init(struct impair *, const struct impair_config *config, uint64_t seed);

/* Changes the impairment from now on; packets on the way keep their time. */
void impair_configure(struct impair *, const struct impair_config *config);

/* Drops everything that is on the way. */
void impair_clear(struct impair *);

/*
 * A packet enters; it is copied. It may be lost, or come out later. Returns 0, or -1 with errno
 * ENOBUFS when it was dropped for want of memory.
 */
int impair_put(struct impair *, const struct iovec *parts, int count,
               const struct strait_offload *offload, uint64_t now_ns);

/* When the next packet is due; STRAIT_NEVER if none is on the way. */
uint64_t impair_next(const struct impair *);

/*
 * Hands over the first packet that is due at `now_ns`, borrowed for the call. Returns false if
 * there is none.
 */
bool impair_take(struct impair *, uint64_t now_ns,
                 void (*deliver)(void *context, const void *packet, size_t length,
                                 const struct strait_offload *offload),
                 void *context);

/*
 * A link that impairs another in both directions, each with its own state; both are timed by the
 * environment. The inner link is owned: closing this one closes it. Returns NULL with errno ENOMEM.
 */
struct strait_link *impair_link_new(struct strait_link *inner, struct strait_env *env,
                                    const struct impair_config *out, const struct impair_config *in,
                                    uint64_t seed);

/* Calls visit(context, "impair_out_lost", value) and so on. */
void impair_link_counters(const struct strait_link *,
                          void (*visit)(void *context, const char *name, uint64_t value),
                          void *context);

#endif
