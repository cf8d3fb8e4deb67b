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

#define IMPAIR_TIME_MAX_NS  UINT64_C(3600000000000) /* of delay and jitter: an hour */
#define IMPAIR_RATE_MAX_BPS UINT64_C(1000000000000)
#define IMPAIR_BYTES_MAX    ((size_t)64 << 20) /* on the way in one direction; more is dropped */

/* All zero is a perfect path: everything comes out at once, in order. */
struct impair_config {
    uint64_t delay_ns;
    uint64_t jitter_ns;     /* evenly spread over delay +- jitter, but no delay is below 0; does
                               not reorder by itself */
    uint64_t rate_bps;      /* bits a second of IP packets; 0: no limit */
    size_t queue_bytes;     /* that wait for the rate; beyond, arrivals are dropped, except for one
                               that finds the queue empty; 0: 256 KiB */
    size_t ecn_bytes;       /* above this much in the queue, ECT packets are marked CE; 0: never */
    impair_ppm loss;        /* of each packet */
    impair_ppm burst_enter; /* Gilbert-Elliott: from the good state to the bad, for each packet */
    impair_ppm burst_leave; /* and back */
    impair_ppm burst_loss;  /* of each packet in the bad state */
    impair_ppm duplicate;   /* the copy, the same in all, follows at once */
    impair_ppm reorder;     /* the packet overtakes: it comes without the delay */
    impair_ppm corrupt;     /* one bit anywhere that is 0 becomes 1, so that the checksum shows it
                               even if the packet, or another fragment, was corrupted before; only
                               if STRAIT_CHECKSUM_COMPLETE: of others nobody would verify it */
};

/*
 * Reads "delay=20ms,jitter=5ms,rate=100mbit,queue=64kb,ecn=30kb,loss=1%,burst=0.1%/20%/50%,
 * duplicate=1%,reorder=5%,corrupt=0.1%". Times take ns, us, ms, s; rates bit, kbit, mbit, gbit (in
 * thousands); sizes b, kb, mb (in 1024s); burst is enter/leave/loss. Returns 0, or -1 with one line
 * in `error` that says what is wrong with which word; the configuration is then left as it was.
 */
int impair_parse(const char *text, struct impair_config *, char *error, size_t error_bytes);

/* A packet that did not come out counts in lost, queue_full or no_memory. */
#define IMPAIR_COUNTERS(X)                                                                         \
    X(packets) /* that entered */                                                                  \
    X(lost)                                                                                        \
    X(queue_full)                                                                                  \
    X(no_memory)                                                                                   \
    X(marked)                                                                                      \
    X(duplicated)                                                                                  \
    X(reordered)                                                                                   \
    X(corrupted)

struct impair_counters {
#define IMPAIR_DECLARE(name) uint64_t name;
    IMPAIR_COUNTERS(IMPAIR_DECLARE)
#undef IMPAIR_DECLARE
};

struct impair {
    struct impair_config config;
    struct prng prng;
    struct impair_counters counters;
    struct impair_packet **heap; /* by due time, then by order of arrival */
    size_t count, capacity;
    size_t bytes; /* of memory, that the packets on the way take */
    uint64_t serial;
    uint64_t free_at_ns;  /* when the rate has sent all that waits */
    uint64_t last_due_ns; /* so that jitter alone does not reorder */
    bool burst;           /* in the bad state */
};

/*
 * Begins with nothing on the way; impair_clear ends it. `config`, whose delay, jitter and rate are
 * at most the limits above, is copied; the prng is seeded with `seed`.
 */
void impair_init(struct impair *, const struct impair_config *config, uint64_t seed);

/*
 * Changes the impairment from now on. It is like another route: packets on the way keep their time,
 * and new ones, which find an empty queue, may overtake them.
 */
void impair_configure(struct impair *, const struct impair_config *config);

/* Drops everything that is on the way, and frees its memory. The counters stay. */
void impair_clear(struct impair *);

/*
 * A packet enters; it is copied. It may be lost, or come out later. `offload` may be NULL. `now_ns`
 * does not go back from call to call. Returns 0, or -1 with errno ENOBUFS when it was dropped for
 * want of memory.
 */
int impair_put(struct impair *, const struct iovec *parts, int count,
               const struct strait_offload *offload, uint64_t now_ns);

/* When the next packet is due; STRAIT_NEVER if none is on the way. */
uint64_t impair_next(const struct impair *);

/*
 * Hands over the first packet that is due at `now_ns`, borrowed for the call, which may put others
 * or clear. Returns false if there is none.
 */
bool impair_take(struct impair *, uint64_t now_ns,
                 void (*deliver)(void *context, const void *packet, size_t length,
                                 const struct strait_offload *offload),
                 void *context);

/*
 * A link that impairs another in both directions, each with its own state; both are timed by the
 * environment, which has to live longer. Packets that the inner link fails to send are lost; it
 * counts them. The inner link, which must not be attached to a stack, is owned from now on: closing
 * this one sends what is still on the way out and closes the inner one. Returns NULL with errno
 * ENOMEM; then `inner` is still the caller's.
 */
struct strait_link *impair_link_new(struct strait_link *inner, struct strait_env *env,
                                    const struct impair_config *out, const struct impair_config *in,
                                    uint64_t seed);

/* Calls visit(context, "impair_out_lost", value) and so on. */
void impair_link_counters(const struct strait_link *,
                          void (*visit)(void *context, const char *name, uint64_t value),
                          void *context);

#endif
