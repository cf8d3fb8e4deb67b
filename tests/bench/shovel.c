/* SPDX-License-Identifier: MIT */
/*
 * The kernel's own TCP at both ends, in two network namespaces that are joined by a TUN each and a
 * loop that copies from one to the other: what the devices cost if the TCP is the kernel's. The
 * loop has the subject's core to itself; the far server shares the near client's.
 */
#define _GNU_SOURCE /* affinity, unshare */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include "cell.h"

#define PACKET_MAX (65535 + 10) /* with its virtio-net header */
#define BATCH      64           /* packets of one direction before the other's turn */

/* Moves waiting packets. Returns whether there were any. */
static bool shovel(int from, int to, char *packet)
{
    for (int i = 0; i < BATCH; i++) {
        ssize_t n = read(from, packet, PACKET_MAX);
        if (n < 0 && errno == EAGAIN)
            return i > 0;
        if (n < 0)
            fail("reading from a TUN");
        /* A packet that a full queue refuses is lost, as on any path. */
        if (write(to, packet, (size_t)n) < 0 && errno != ENOBUFS && errno != EAGAIN)
            fail("writing to a TUN");
    }
    return true;
}

static void serve_far(const struct cell *cell)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cell->peer_core, &set);
    if (sched_setaffinity(0, sizeof(set), &set))
        fail("staying on core %d", cell->peer_core);
    die_with_parent();
    kernel_serve(cell, SUBJECT_ADDRESS);
}

static void serve(const struct cell *cell)
{
    char *packet = get_memory(PACKET_MAX);
    struct device near = cell_device(cell, "tun0", KERNEL_ADDRESS);
    if (unshare(CLONE_NEWNET))
        fail("a second network namespace");
    struct device far = cell_device(cell, "tun1", SUBJECT_ADDRESS);
    /* The addresses that connections come from are behind the near one. */
    if (system("ip route add default dev tun1") != 0)
        fail("a route back");
    pid_t server = fork();
    if (server < 0)
        fail("a process for the far server");
    if (server == 0)
        serve_far(cell);
    struct pollfd both[] = {{near.fd, POLLIN, 0}, {far.fd, POLLIN, 0}};
    for (;;) {
        bool any = shovel(near.fd, far.fd, packet);
        any = shovel(far.fd, near.fd, packet) || any;
        if (!any && !cell->spin)
            poll(both, 2, -1);
    }
}

const struct subject subject_shovel = {
    .name = "shovel", .address = SUBJECT_ADDRESS, .serve = serve};
