/* SPDX-License-Identifier: MIT */
/*
 * Strait as a library: a stack embedded in the test drives a TUN on the thread of the test, and the
 * kernel's sockets at the other end are on a second thread.
 */
#ifndef INTEROP_EMBEDDED_H
#define INTEROP_EMBEDDED_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel.h"
#include "strait.h"

#define SEED_UP   11 /* of what Strait sends */
#define SEED_DOWN 12 /* of what the kernel sends */
#define RUN_MS    (4 * WAIT_MS)

/*
 * The kernel's side: a thread that accepts `connections`, or makes them to `to_port`, and moves
 * bytes on them, or does what `act` does with the first.
 */
struct peer {
    size_t connections;            /* 0: one */
    uint16_t to_port;              /* of Strait; 0: listens */
    uint64_t up_bytes, down_bytes; /* of each connection, as Strait sees it */
    int (*act)(int fd);            /* returns 0 if all was as it should be */

    /* What has come of it, after peer_join. */
    uint32_t retransmissions;
    uint8_t options; /* TCPI_OPT_* of the last connection */

    int listener;
    uint16_t port;
    int result;
    char error[200];
    pthread_t thread;
    bool started;
};

struct embedded {
    struct strait_config config; /* as it will be at the start; the secret is drawn then */
    struct peer peer;            /* outlives a test that fails while the thread runs */
    struct strait_loop *loop;
    struct strait_link *link;
    struct strait *stack;
};

/* For cmocka: *state is a struct embedded with the default configuration that does not run yet. */
int embedded_setup(void **state);
int embedded_teardown(void **state);

/* Opens the device, without offload if `plain`; `mtu` of 0 is the default. */
void embedded_start(struct embedded *, bool plain, uint32_t mtu);

/* Ends the host, so that it can be started again with another configuration. */
void embedded_stop(struct embedded *);

/* Lets the host live for a while without touching its sockets. */
void embedded_drive(struct embedded *, uint64_t ms);

uint64_t embedded_counter(const struct embedded *, const char *name);

/* A Strait socket that is connected to a port of the kernel. */
int embedded_connect(struct embedded *, uint16_t port);

/* Starts the kernel's side; the device has to be there. Returns the port to connect to, if it
 * listens. */
uint16_t peer_start(struct embedded *, struct peer);

/* Waits for the kernel's side, which has to be content; Strait sends what it still has to. */
void peer_join(struct embedded *);

#endif
