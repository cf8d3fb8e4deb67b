/* SPDX-License-Identifier: MIT */
/*
 * A second, smaller workload beside the streams: hosts that send datagrams to the other host of
 * their pair, at a pace, most of them larger than a link carries. What is in a datagram follows
 * from its number, so that whoever gets it can judge it (check_datagram).
 */
#ifndef TESTS_SIM_DATAGRAM_H
#define TESTS_SIM_DATAGRAM_H

#include "check.h"
#include "scenario.h"

struct datagrams;

/* Scenario and checkers are borrowed. */
struct datagrams *datagrams_new(const struct scenario *, struct check *);
void datagrams_free(struct datagrams *);

/* A host has started; is about to close everything; has lost its memory. */
void datagrams_start(struct datagrams *, uint32_t host, struct strait *, struct strait_env *);
void datagrams_stop(struct datagrams *, uint32_t host);
void datagrams_crash(struct datagrams *, uint32_t host);

#endif
