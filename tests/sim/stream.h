/* SPDX-License-Identifier: MIT */
/*
 * The workload of stream worlds: on each end host an application that listens, opens its
 * connections when the scenario says so, writes and reads known bytes at the scenario's pace, and
 * ends as the scenario says. It tells the checkers what it has seen and judges nothing itself.
 */
#ifndef TESTS_SIM_STREAM_H
#define TESTS_SIM_STREAM_H

#include "check.h"
#include "scenario.h"
#include "sim/world.h"

struct streams;

/* Scenario and checkers are borrowed. `now` tells the time to the checkers: the world's. */
struct streams *streams_new(const struct scenario *, struct check *);
void streams_free(struct streams *);

/* The application of end host 0 to 3, for world_add_host. */
struct world_app streams_app(struct streams *, uint32_t host);

/* The listener of a host closes, or opens again, if the host is up. */
void streams_listen(struct streams *, uint32_t host, bool on);

/* Whether every connection has come to an end, or waits for a peer that has gone. */
bool streams_are_over(const struct streams *);

/* Resets what is still open, and closes the listeners: nothing is opened any more. */
void streams_stop(struct streams *);

/* The address of an end host. */
struct in_addr streams_address(uint32_t host, uint32_t hops);

#endif
