/* SPDX-License-Identifier: MIT */
/*
 * Scripts' beginnings: each brings flow 0 (or the chosen flow) into a state of RFC 9293 3.3.2, with
 * the packets that lead there sent, answered and expected. The remote's ISS is flow->remote_iss.
 */
#ifndef TESTS_TCP_FIXTURES_H
#define TESTS_TCP_FIXTURES_H

#include "script.h"

/* What the remote offers in its SYN. All zero: MSS 1460, window 65535, no other option. */
struct terms {
    uint16_t mss;
    uint16_t window; /* of its SYN, and of its later segments as flow->remote_window */
    int scale;       /* window scaling by this shift, if not 0 */
    bool timestamps;
    bool sack;
};

/* From a socket that listens: the remote has sent its SYN, or has opened; nothing was received. */
#define syn_received(s) fixture_syn_received(s, HERE, (struct terms){0})
#define established(s)  fixture_established(s, HERE, (struct terms){0})
#define established_with(s, ...)                                                                   \
    fixture_established(s, HERE, (struct terms){__VA_ARGS__}) /* .timestamps = true, ... */
void fixture_syn_received(struct script *, struct place, struct terms);
void fixture_established(struct script *, struct place, struct terms);

/* From connect: Strait has sent its SYN, or the remote has answered it with its terms. */
#define syn_sent(s)           fixture_syn_sent(s, HERE)
#define established_active(s) fixture_established_active(s, HERE, (struct terms){0})
#define established_active_with(s, ...)                                                            \
    fixture_established_active(s, HERE, (struct terms){__VA_ARGS__})
void fixture_syn_sent(struct script *, struct place);
void fixture_established_active(struct script *, struct place, struct terms);

/* From established(s): Strait's application has shut down its sending side first. */
#define fin_wait_1(s) fixture_fin_wait_1(s, HERE)
#define fin_wait_2(s) fixture_fin_wait_2(s, HERE)
#define closing(s)    fixture_closing(s, HERE)
#define time_wait(s)  fixture_time_wait(s, HERE)
void fixture_fin_wait_1(struct script *, struct place);
void fixture_fin_wait_2(struct script *, struct place);
void fixture_closing(struct script *, struct place);
void fixture_time_wait(struct script *, struct place);

/* From established(s): the remote has closed first. */
#define close_wait(s) fixture_close_wait(s, HERE)
#define last_ack(s)   fixture_last_ack(s, HERE)
void fixture_close_wait(struct script *, struct place);
void fixture_last_ack(struct script *, struct place);

/*
 * Strait's application sends and Strait sends it at once, in full segments of `mss` bytes and the
 * rest, each acknowledging `ack`; the last has PSH.
 */
#define send_and_expect(s, bytes, mss, ack) fixture_send_and_expect(s, HERE, bytes, mss, ack)
void fixture_send_and_expect(struct script *, struct place, uint32_t bytes, uint32_t mss,
                             uint32_t ack);

#endif
