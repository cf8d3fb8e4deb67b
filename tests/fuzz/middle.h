/* SPDX-License-Identifier: MIT */
/*
 * The hostile middle between two hosts: the script (the fuzzer's bytes) says of each packet that a
 * host sends what becomes of it, a byte each: a deed in the low four bits and its degree in the
 * high ones, and for some of them bytes that follow. When the script has ended the middle is
 * healed: everything passes.
 *
 * Deeds are of two kinds. Networks lose, repeat, reorder, delay, damage, cut and join packets, and
 * strangers send forgeries that are not exact: none of it may ever change what the applications
 * read. Forgeries that are exact (right checksum, right numbers) are the words of somebody who sits
 * on the path, whom TCP cannot refuse; they set `tainted`.
 */
#ifndef TESTS_FUZZ_MIDDLE_H
#define TESTS_FUZZ_MIDDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "rig.h"

enum deed {
    DEED_PASS,
    DEED_DROP,
    DEED_DUPLICATE,   /* the copy comes 4 ms a degree later */
    DEED_DELAY,       /* by 4 ms a degree */
    DEED_DELAY_LONG,  /* by 500 ms a degree */
    DEED_DAMAGE,      /* place (2): one bit, which no checksum overlooks */
    DEED_TRUNCATE,    /* length (2) */
    DEED_SPLIT,       /* place (1), times 8: two segments of it */
    DEED_MERGE,       /* waits for the next one and becomes one segment with it */
    DEED_REPLAY,      /* so does one of the last packets, which the degree chooses */
    DEED_STRIP,       /* a SYN loses its options */
    DEED_PAUSE,       /* the direction stands still for 250 ms a degree */
    DEED_FORGE,       /* the receiver gets a forgery, too; the degree chooses */
    DEED_FORGE_EXACT, /* an exact one */
    DEED_REWRITE,     /* place, bits: of the headers, and the checksums made right */
    DEED_MARK,        /* congestion experienced, if the packet can say so (RFC 3168 5) */
};

#define MIDDLE_WAITING 256
#define MIDDLE_KEPT    8

struct parcel; /* a packet on its way */

/* What has been seen of one host's segments. */
struct speaker {
    bool spoke;  /* it has sent a SYN: `first`, and `end` is behind all that it has sent */
    bool joined; /* it has sent a segment without SYN: for it, the connection is open */
    uint32_t first, end;
    uint32_t ack; /* the last that it sent */
};

struct middle {
    struct reader script;
    struct rig *hosts[2];
    struct speaker speakers[2];
    struct parcel *waiting[MIDDLE_WAITING];
    size_t waiting_count;
    uint64_t accepted; /* parcels so far: their order */
    struct parcel *kept[2][MIDDLE_KEPT];
    unsigned kept_next[2];
    uint64_t paused_until_ns[2];
    bool tainted;
};

/* The middle between two hosts, whose `sent` and `context` the caller leads to middle_take. */
void middle_init(struct middle *, struct rig *left, struct rig *right, struct reader script);

/* Frees what it holds. */
void middle_finish(struct middle *);

/* The host of this number (0 or 1) has sent a packet. */
void middle_take(struct middle *, int from, const uint8_t *packet, size_t length, uint64_t now_ns);

/* When the next packet arrives, or STRAIT_NEVER. */
uint64_t middle_next(const struct middle *);

/* Lets those arrive that are due. */
void middle_deliver(struct middle *, uint64_t now_ns);

#endif
