/* SPDX-License-Identifier: MIT */
/*
 * What a connection finds out about its path besides the round-trip time, for TCP_INFO: how fast
 * data is delivered, for how long there was any on its way, and the round-trip time of who only
 * receives. Estimates are made once a round trip; a segment costs a comparison at most.
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
    uint64_t delivered;       /* bytes that the peer was known to have */
    uint64_t delivered_ns;    /* when that was learned */
    uint64_t sending_ns;      /* from the segment delivered last to this one: what the user takes */
    uint64_t timed_before_ns; /* when the one timed before was sent, if that was acknowledged */
    bool idle;                /* the user had no more to send, and the window room for it */

    uint64_t bytes_per_s; /* delivered; 0: not known yet */
    bool limited;         /* it is the user's rate rather than the path's */

    uint64_t busy_ns;       /* with something sent or queued that is not acknowledged */
    uint64_t busy_since_ns; /* since then more; 0: nothing is outstanding */

    uint32_t received_rtt_us; /* 0: not known yet */
    uint32_t received_echo;   /* with timestamps: the last that was looked at */
    uint32_t window_end;      /* without: the right edge of the window as it was told */
    uint64_t window_ns;       /* at this time; 0: no text has come yet */
};

/* A segment that ends at `end` begins to be timed. */
void rate_start(const struct tcp *, struct connection *, uint32_t end);

/* `ack`, which is about to become SND.UNA, acknowledges the timed segment. */
void rate_sample(const struct tcp *, struct connection *, uint32_t ack);

/* All that was queued is acknowledged. */
void rate_stop(const struct tcp *, struct connection *);

/* How long something was outstanding, up to now. */
uint64_t rate_busy_ns(const struct tcp *, const struct connection *);

/* Text in order has been taken. */
void rate_note_text(const struct tcp *, struct connection *, const struct segment *);

#endif
