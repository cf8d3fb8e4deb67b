/* SPDX-License-Identifier: MIT */
/* The program's clients, `strait ping` and its like, on a TUN device between them and the kernel:
 * shell commands, whose program is the variable STRAIT. */
#ifndef INTEROP_CLIENT_H
#define INTEROP_CLIENT_H

#include "kernel.h"

/* A client on the device, to which its own options are added; without and with a bound on its time.
 */
#define PLAIN_CLIENT(name)                                                                         \
    "env -u SUDO_UID -u SUDO_GID \"$STRAIT\" " name " --tun " DEVICE " --addr " STRAIT_NETWORK     \
    " --peer " KERNEL_ADDRESS " "
#define CLIENT(name) "timeout 30 " PLAIN_CLIENT(name)

/* A listening or (SOCK_DGRAM) bound socket of the kernel on all its addresses; the client's device
 * need not be there yet. */
int client_peer(int type, uint16_t *port);

/* Connects to a port of the client, as soon as it listens. */
int client_connect(uint16_t port);

/* Runs a client that has to end with this status after one line that contains `expected`. */
void client_refuses(const char *name, int status, const char *expected, const char *arguments);

#endif
