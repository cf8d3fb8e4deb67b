/* SPDX-License-Identifier: MIT */
/*
 * One cell of the table: a work, done by a subject, with the kernel's TCP at the other end. The
 * subject serves in a process of its own, on a core of its own if there is one to be had; the
 * kernel's side calls it, measures, and ends it. Works that need no kernel run a stack in the
 * process itself.
 *
 * A subject is a set of services on ports, the same for all, so that every work is the same client
 * to everyone.
 */
#ifndef TESTS_BENCH_CELL_H
#define TESTS_BENCH_CELL_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "host/device.h"

struct stream_host;

#define PORT_ECHO    7  /* sends back what arrives */
#define PORT_CALL    8  /* the same for connections that come one after the other */
#define PORT_DISCARD 9  /* takes what arrives */
#define PORT_BORROW  10 /* the same, without a copy; only Strait has it */
#define PORT_COPY    11 /* sends as fast as it can, and copies; only Strait has it */
#define PORT_SOURCE  19 /* sends as fast as it can */
#define PORT_HTTP    80 /* answers each request with a small page */

#define SUBJECT_ADDRESS "10.7.0.2" /* of whoever stands behind a TUN */
#define KERNEL_ADDRESS  "10.7.0.1"
#define PREFIX_BITS     24

/* As `strait serve` sets it: a whole window of packets of 1500 bytes, several times. */
#define QUEUE_PACKETS 8192

#define PIECE_BYTES ((size_t)256 * 1024) /* of one call of send or recv in bulk */
#define NS_PER_S    UINT64_C(1000000000)

struct cell {
    const struct subject *subject;
    uint32_t mtu;
    bool plain;           /* the TUN has no virtio-net header and no offload */
    bool spin;            /* both sides poll, and never sleep */
    unsigned connections; /* or flows, or whatever the work counts */
    unsigned streams;     /* on each of them, where a connection carries several */
    unsigned queues;      /* of Strait's TUN; with several the scheduler places both sides */
    double seconds;       /* that it is measured for, after a short warming up */
    int subject_core, peer_core;
    pid_t served_by; /* the subject's process, in that of the kernel's side */
};

struct subject {
    const char *name;
    const char *address; /* where its services are */
    /* Serves until it is killed; calls cell_ready once it does. */
    void (*serve)(const struct cell *);
    bool (*built)(void); /* whether it has been; NULL: for sure */
};

extern const struct subject subject_grpcio, subject_kernel, subject_lwip, subject_raw,
    subject_shovel, subject_strait;

struct work {
    const char *name;
    /* Measures, and prints figures. */
    void (*measure)(const struct cell *);
    bool alone; /* a stack in this process does it, and nobody has to serve */
};

/* The works of a file end with one that has no name. */
extern const struct work bulk_works[], latency_works[], http_works[], memory_works[],
    packet_works[], rpc_works[];

/* ---- For subjects ---- */

/* The descriptor on which a byte says that the services are there. */
#define READY_FD 3

/* Tells the kernel's side that the services are there. */
void cell_ready(void);

/* Opens a TUN as the cell asks for it, with the kernel's `address` on it; a failure ends all. */
struct device cell_device(const struct cell *, const char *name, const char *address);

/* Whoever calls it dies with its parent. */
void die_with_parent(void);

/* Waits until the descriptor is readable, or for so long; in a cell that spins not at all. */
void cell_wait(const struct cell *, int fd, int timeout_ms);

/* Serves all ports with the kernel's own sockets until it is killed. */
void kernel_serve(const struct cell *, const char *address);

/* Strait on the queues of the cell, more than one: serves bulk until it is killed. */
void serve_queues(const struct cell *) __attribute__((noreturn));

/* Serves procedures on the ports of the classic wire and of gRPC, as far as the host's loop is
 * driven. */
void rpc_serve(const struct stream_host *);

/* ---- For works ---- */

/* Prints one figure: its name is the work's with the suffix behind. */
void figure(const char *suffix, const char *unit, double value);

/* Sorts the times and prints their median ("") and 99th percentile ("_p99"), in microseconds. */
void figure_times(uint32_t *times_ns, size_t count);

/* ---- For all ---- */

uint64_t now_ns(void);

/* Ends the process with a line that says what has failed, and errno. */
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* malloc that does not fail. */
void *get_memory(size_t bytes);

/* A stream socket with CUBIC and without Nagle's algorithm, whose calls end after 10 seconds. */
int kernel_socket(void);

struct sockaddr_in address_of(const char *address, uint16_t port);

/* A kernel's socket connected to a port of the subject. */
int call_subject(const struct cell *, uint16_t port);

#endif
