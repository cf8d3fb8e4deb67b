/* SPDX-License-Identifier: MIT */
/*
 * The pinger: sends ICMP echo requests at an interval, takes the replies, and tells of them in the
 * words of iputils' ping. It runs on socket callbacks and timers of any environment.
 */
#ifndef PING_PING_H
#define PING_PING_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "strait.h"

#define PING_DATA_MAX 65507 /* bytes behind the header, in the longest packet there is */

struct ping_config {
    const char *name;  /* of the host, as it was asked for */
    struct in_addr to; /* its address */
    uint32_t count;    /* how many requests; 0: until ping_free */
    uint64_t interval_ns;
    uint64_t wait_ns;  /* for the first reply, after the last request; see ping_start */
    size_t data_bytes; /* at most PING_DATA_MAX */
    uint8_t ttl;       /* of the requests; 0: the stack's */

    void (*line)(void *context, const char *line);  /* what there is to say, without '\n' */
    void (*error)(void *context, int errno_number); /* a request could not be sent */
    void (*ended)(void *context);                   /* `count` requests are done with */
    void *context;
};

struct ping;

/*
 * Begins with the first request. It ends when all are answered, or some time after the last one: if
 * anything was answered before, twice the longest round trip, and an interval at least. The
 * configuration is copied; `name` has to stay. Returns NULL with errno: ENOMEM, or what
 * strait_socket and strait_connect say.
 */
struct ping *ping_start(struct strait *, struct strait_env *, const struct ping_config *);

/* Says the statistics: what was sent and received until now, in two or three lines. */
void ping_summary(const struct ping *);

/* Whether there was any reply. */
bool ping_heard(const struct ping *);

/* NULL is allowed. */
void ping_free(struct ping *);

#endif
