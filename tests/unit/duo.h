/* SPDX-License-Identifier: MIT */
/*
 * Two hosts of a simulated world: the left one, 10.0.0.1, is driven by the test, the right one,
 * 10.0.0.2, runs an application. A tap notes what happens on the link between them.
 */
#ifndef TESTS_UNIT_DUO_H
#define TESTS_UNIT_DUO_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/world.h"

#define DUO_DELAY_NS      UINT64_C(12345678) /* from left to right in a duo_new */
#define DUO_HEADERS_BYTES 28                 /* IP and UDP */

#define SIGHTINGS_MAX 2000

struct in_addr duo_ip(const char *text);
struct sockaddr_in duo_at(const char *address, uint16_t port);

/* The services of a host, echoes on port 7; counts its lives and deaths. */
struct services {
    struct server *tcp;
    struct echo_udp *udp;
    int starts, crashes;
};

/* A world_app with such services. */
void services_start(void *app, struct strait *, struct strait_env *);
void services_crash(void *app);

/* What a tap has seen. */
struct sighting {
    uint64_t at_ns;
    int direction;
    enum world_sight sight;
    size_t length;
    uint8_t ttl;
    uint32_t sequence; /* if it is TCP */
};

struct sightings {
    struct sighting list[SIGHTINGS_MAX];
    int count;
};

/* A tap for world_tap, with sightings. */
void sightings_look(void *context, uint64_t now_ns, int direction, enum world_sight,
                    const void *packet, size_t length, const struct strait_offload *);

/* Number `i` is this one. */
void sightings_assert(const struct sightings *, int i, uint64_t at_ns, int direction,
                      enum world_sight);

struct duo {
    struct world *world;
    struct world_host *left, *right;
    struct world_link *link;
    struct services services;
    struct sightings seen;
};

/* Makes it, with these two directions of the link; `app` NULL: the right host echoes. */
struct duo *duo_with(uint64_t seed, const struct impair_config *there,
                     const struct impair_config *back, const struct world_app *app, uint32_t mtu);

/* A duo that echoes, 2 s old and at rest; the way there takes DUO_DELAY_NS, that back 1 ns. */
struct duo *duo_new(uint64_t seed);

void duo_free(struct duo *);

/* Lets so much time pass. */
void duo_pass(struct duo *, uint64_t ns);

/* Non-blocking sockets of a host; the second one connects to port 7 of an address. */
int duo_udp_socket(struct world_host *);
int duo_tcp_connect(struct world_host *, const char *address);

/* Sends so many bytes to the echo on the right. */
void duo_send_datagram(struct duo *, int fd, size_t length);

/* Sends bytes to an echo and expects them back, all within a minute. */
void duo_assert_echo(struct world *, struct world_host *, int fd, size_t length);

#endif
