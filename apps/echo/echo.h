/* SPDX-License-Identifier: MIT */
/*
 * The small services that test a network: Echo (RFC 862) over TCP and UDP, Discard (RFC 863) and
 * Character Generator (RFC 864) over TCP. At most 1024 connections each; further ones wait in the
 * listener's backlog.
 */
#ifndef APPS_ECHO_ECHO_H
#define APPS_ECHO_ECHO_H

#include <stdint.h>

#include "server.h"

/*
 * Each starts a service on a TCP port; to be ended with server_stop and server_free. Return NULL
 * with errno (see server_start).
 */

/*
 * Sends back what arrives. It reads no further while the peer does not take what it has been sent,
 * and closes after the last byte when the peer has finished.
 */
struct server *echo_start(struct strait *, struct strait_env *, uint16_t port);

/* Throws away what arrives, sends nothing, and closes when the peer has finished. */
struct server *discard_start(struct strait *, struct strait_env *, uint16_t port);

/*
 * Sends the rotating pattern of printing characters in lines of 72 for as long as the peer takes
 * it, and throws away what arrives. A peer that has only finished its own side still gets it.
 */
struct server *chargen_start(struct strait *, struct strait_env *, uint16_t port);

struct echo_udp;

/*
 * Sends each datagram back to where it came from, except those that come from the port of another
 * service that answers anything, with which it would talk for ever. Returns NULL with errno.
 */
struct echo_udp *echo_udp_start(struct strait *, uint16_t port);

/* Ends it. NULL is allowed. */
void echo_udp_stop(struct echo_udp *);

#endif
