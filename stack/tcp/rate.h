/* SPDX-License-Identifier: MIT */
/*
 * What a connection finds out about its path besides the round-trip time, for TCP_INFO: how fast
 * data is delivered, for how long there was any on its way, and the round-trip time of who only
 * receives, by which its buffer grows. Estimates are made once a round trip; a segment costs a
 * comparison at most.
 */
#ifndef TCP_RATE_H
#define TCP_RATE_H

#include <stdbool.h>
#include <stdint.h>

struct connection;
struct segment;
struct tcp;

/* All zero at first. */
struct rate {
    /* The segment that is being timed (rtt_seq), when it was sent. */
    uint32_t delivered;       /* bytes that the peer was known to have, the low bits */
    uint32_t delivered_us;    /* when that was learned */
    uint32_t sending_us;      /* from the segment delivered last to this one: what the user takes */
    uint32_t timed_before_us; /* when the one timed before was sent, if that was acknowledged */
    bool timed_before;        /* it was */
    bool idle;                /* the user had no more to send, and the window room for it */

    bool limited;                     /* the rate is the user's rather than the path's */
    uint32_t sample_bytes, sample_us; /* delivered, in what time; 0: not known yet */

    uint64_t busy_ns;       /* with something sent or queued that is not acknowledged */
    uint64_t busy_since_ns; /* since then more; 0: nothing is outstanding */
};

/* A round trip of the text that arrives, once connection.round_known. All zero at first. */
struct round {
    uint32_t rtt_us; /* the shortest, or their mean; 0: not known yet */
    uint32_t start;  /* by the timestamps' clock; without them, in microseconds */
    uint32_t read;   /* the position up to which the user had read then, the low bits */
};

/* A segment that ends at `end` begins to be timed. */
void rate_start(const struct tcp *, struct connection *, uint32_t end);

/* `ack`, which is about to become SND.UNA, acknowledges the timed segment. */
void rate_sample(const struct tcp *, struct connection *, uint32_t ack);

/* How fast text was delivered; 0: not known yet. */
uint64_t rate_bytes_per_s(const struct connection *);

/* All that was queued is acknowledged. */
void rate_stop(const struct tcp *, struct connection *);

/* How long something was outstanding, up to now. */
uint64_t rate_busy_ns(const struct tcp *, const struct connection *);

/* Text in order has been taken. Once a round trip the receive buffer may grow by that. */
void rate_note_text(const struct tcp *, struct connection *, const struct segment *);

#endif
