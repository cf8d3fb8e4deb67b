/* SPDX-License-Identifier: MIT */
/*
 * Whoever is above a link to a device: the last packet that it has handed up, and its counters.
 */
#ifndef TESTS_UNIT_TAP_H
#define TESTS_UNIT_TAP_H

#include <stdint.h>

#include "host/tun.h"

struct seen {
    int packets;
    uint8_t packet[65536];
    size_t length;
    struct strait_offload offload;
    uint64_t now_ns;
};

/* Hands what comes to `seen`, from nothing on. */
void tap_listen(struct strait_link *, struct seen *);

/* A counter of the link; the test fails if there is none of that name. */
uint64_t tap_counter(const struct strait_link *, const char *name);

#endif
