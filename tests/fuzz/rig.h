/* SPDX-License-Identifier: MIT */
/*
 * One stack as the fuzz targets drive it: a link in memory, virtual time, and the promises that
 * hold whatever arrives:
 *
 *   - what it sends is well-formed: lengths, header and transport checksums, size within the MTU;
 *   - a deadline lies in the future, or is now while callbacks wait; and a few turns at one instant
 *     come to an end;
 *   - when all sockets are closed, it comes to rest: no deadline, no connection, no memory in use;
 *   - its counters of the link say what the link has seen.
 *
 * What does not hold ends the program (base/check.h).
 */
#ifndef TESTS_FUZZ_RIG_H
#define TESTS_FUZZ_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "strait.h"

#define RIG_ADDRESS 0x0a000001u /* of host 0, host order; that of host 1 follows */
#define RIG_PEER    0x0a000002u
#define RIG_MTU     1500
#define RIG_MSS     1460u
#define RIG_MS      UINT64_C(1000000) /* in nanoseconds */
#define RIG_S       UINT64_C(1000000000)
#define RIG_START   (1000 * RIG_S) /* not 0, which a stack might take for "never" */

struct rig {
    struct strait_link link;
    struct strait *stack;
    uint32_t address; /* host order */
    uint64_t packets_in, bytes_in, packets_out, bytes_out;

    /* Told of each packet that is sent, whole; may be NULL. The packet is borrowed. */
    void (*sent)(struct rig *, const uint8_t *packet, size_t length, const struct strait_offload *);
    void *context; /* of whoever set `sent` */
};

/* Small limits, so that an input of a few hundred bytes can meet them. */
void rig_configure(struct strait_config *);

/* Makes host `number` (0 or 1) with links of these features (STRAIT_LINK_*). */
void rig_open(struct rig *, int number, const struct strait_config *, uint32_t features);

/* A packet arrives, from memory of just its size: what reads beyond it is found. */
void rig_input(struct rig *, const void *packet, size_t length, const struct strait_offload *,
               uint64_t now_ns);

/* Lets it do all that is due now. Returns the next deadline. */
uint64_t rig_turn(struct rig *, uint64_t now_ns);

/* Lets time pass by this much, from deadline to deadline; adds it to *now_ns. */
void rig_pass(struct rig *, uint64_t *now_ns, uint64_t duration_ns);

/*
 * All sockets are closed and nothing arrives any more: lets time pass until the stack is at rest,
 * and frees it.
 */
void rig_rest(struct rig *, uint64_t *now_ns);

/* Frees it at once, in whatever state; its link's counters are examined. */
void rig_close(struct rig *);

/* An address of IPv4 for the socket calls; both in host order. */
struct sockaddr_in rig_sockaddr(uint32_t address, uint16_t port);

#endif
