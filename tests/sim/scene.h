/* SPDX-License-Identifier: MIT */
/*
 * A story told to the checkers by hand: one connection between two hosts, of which a test says what
 * each sends, hears, writes and reads. Whatever it says happens 1 ms after what it said before.
 */
#ifndef TESTS_SIM_SCENE_H
#define TESTS_SIM_SCENE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ranges.h"
#include "check.h"
#include "packet.h"
#include "scenario.h"

enum { A, B }; /* the hosts; a opens connection 0 */

#define WINDOW 1000u

struct scene {
    struct scenario scenario;
    struct check *check;
    uint64_t now_ns;
    bool sack;    /* both SYNs permit it */
    uint16_t mss; /* of both SYNs */
};

/* A packet; `seq` and `ack` count from the SYNs, which are at 0. */
struct said {
    uint8_t flags;
    uint32_t seq, ack, window;
    uint32_t length;        /* of the text */
    uint64_t shift;         /* how far the bytes are off from those that belong there */
    struct range blocks[2]; /* of SACK, as many as are not empty */
    uint8_t ecn;            /* the field of IP */
    uint16_t urgent;        /* the pointer */
};

/* An established connection, after SYNs with these flags, too. */
struct scene *scene_open(bool sack, uint8_t asks, uint8_t agrees);
void scene_free(struct scene *);

/* A plain one, one with SACK, one with ECN; for cmocka_unit_test_setup_teardown. */
int scene_setup(void **state);
int scene_setup_sack(void **state);
int scene_setup_ecn(void **state);
int scene_teardown(void **state);

/* ---- Packets ---- */

/* Writes the packet that `from` says into 4096 bytes; returns its length. */
size_t scene_make(struct scene *, uint8_t *packet, int from, const struct said *);

/* A host sends it, or it arrives there. */
void scene_see(struct scene *, int host, bool sent, int from, const struct said *);

/* It is sent, but does not arrive. */
void scene_sends(struct scene *, int from, uint8_t flags, uint32_t seq, uint32_t ack,
                 uint32_t window, uint32_t length);

/* It is sent and arrives. */
void scene_passes(struct scene *, int from, uint8_t flags, uint32_t seq, uint32_t ack,
                  uint32_t window, uint32_t length);

/* A router's error about the segment of A at `seq`, which comes to A. */
void scene_icmp_error(struct scene *, uint8_t type, uint8_t code, uint16_t mtu, uint32_t seq);

/* ---- Applications ---- */

/* What belongs at a position of the stream that `from` writes. */
const void *scene_content(struct scene *, int from, uint64_t position);

void scene_writes(struct scene *, int side, size_t length);
void scene_reads(struct scene *, int side, uint64_t position, size_t length);
void scene_ends(struct scene *, int side, enum check_ending);

/* ---- Stories ---- */

/* a has written 300 bytes, 100 of which have gone over, were acknowledged and read. */
void scene_send_a_hundred(struct scene *);

/* The same, and then the rest, and both ends are closed in order. */
void scene_close_both(struct scene *);

/* ---- What was found ---- */

void assert_clean(struct scene *);

/* What was planted is found, and nothing else. */
void assert_found(struct scene *, const char *what);

#endif
