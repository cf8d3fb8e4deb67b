/* SPDX-License-Identifier: MIT */
/* The control data of sendmsg and recvmsg: cmsg(3), ip(7). */
#ifndef SOCKET_CONTROL_H
#define SOCKET_CONTROL_H

#include "socket/socket.h"

/*
 * Reads what a datagram is to be sent with: IP_PKTINFO, IP_TTL, IP_TOS. Returns 0, or -1 with errno
 * EINVAL (malformed, or not known) or EFAULT.
 */
int control_read(const struct msghdr *, struct udp_terms *);

/* Checks what comes with a send on a stream, none of which has a meaning there. As above. */
int control_check(const struct msghdr *);

/* Room for control data, and how much of it is used. */
struct control {
    struct msghdr *message; /* gets MSG_CTRUNC if the room is too small */
    size_t used;
};

/* Writes what the socket wants to know of a datagram that has arrived. */
void control_write_arrival(struct control *, const struct socket *, const struct ip *,
                           const struct udp_arrival *);

/* Writes why a datagram has failed: IP_RECVERR. */
void control_write_failure(struct control *, const struct udp_failure *);

#endif
