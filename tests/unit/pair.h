/* SPDX-License-Identifier: MIT */
/*
 * Two stacks joined by an in-memory link, driven in virtual time through nothing but strait.h: no
 * descriptor, no clock, no file of the machine. Everything happens in an order that the test alone
 * decides. The environment serves both stacks.
 */
#ifndef TESTS_UNIT_PAIR_H
#define TESTS_UNIT_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "strait.h"

#define PAIR_MS UINT64_C(1000000) /* in nanoseconds */
#define PAIR_S  UINT64_C(1000000000)

/* The time of day at first, in seconds since 1970: Sun, 06 Nov 1994 08:49:37 GMT. */
#define PAIR_WALL_S UINT64_C(784111777)

/* How a pair is made; all zero is a good choice. */
struct pair_config {
    uint32_t mtu;      /* 0: 1500 */
    uint32_t features; /* STRAIT_LINK_* of both links */
    uint64_t delay_ns; /* of each direction; 0: 1 ms */
    /* Changes the configuration of both stacks; may be NULL. */
    void (*configure)(struct strait_config *);
};

struct pair;

/* Makes both hosts: number 0 is 10.0.0.1, number 1 is 10.0.0.2. A failure fails the test. */
struct pair *pair_new(const struct pair_config *);

void pair_free(struct pair *);

struct strait *pair_stack(struct pair *, int host);
struct strait_env *pair_env(struct pair *);

/* The address of one of the hosts, for connect and sendto. */
struct sockaddr_in pair_address(int host, uint16_t port);

/* Lets the world go on for so much virtual time. */
void pair_run(struct pair *, uint64_t duration_ns);

/*
 * Lets the world go on until reached(context), or fails the test when a minute of virtual time has
 * passed. The condition is asked between events.
 */
void pair_until(struct pair *, bool (*reached)(void *context), void *context);

/*
 * Asks about each packet as it is sent by `from`: false loses it. One function at a time; NULL ends
 * it. The packet is borrowed for the call.
 */
void pair_filter(struct pair *,
                 bool (*pass)(void *context, int from, const uint8_t *packet, size_t length),
                 void *context);

/* Packets that `host` has sent so far, lost ones too. */
uint64_t pair_packets(const struct pair *, int host);

/* The value of a stack's counter; an unknown name fails the test. */
uint64_t pair_counter(struct pair *, int host, const char *name);

/*
 * Puts a file into the environment, in place of one of the same path; it has changed just now.
 * `bytes` and `path` are borrowed until the pair is freed. With NULL the path is a directory.
 */
void pair_file(struct pair *, const char *path, const void *bytes, size_t length);

/* How long work of the environment takes: it is run, and done, so long after it was accepted (1
 * ms).
 */
void pair_work_takes(struct pair *, uint64_t duration_ns);

/* How often something was opened below a directory. */
uint64_t pair_opened(const struct pair *);

/* Files and directories that are open now. */
size_t pair_open_files(const struct pair *);

#endif
