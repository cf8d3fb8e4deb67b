/* SPDX-License-Identifier: MIT */
/*
 * What the files of the socket options call of each other, one for each level. All functions that
 * return an int return 0, or -1 with errno.
 */
#ifndef SOCKET_OPTIONS_H
#define SOCKET_OPTIONS_H

#include <errno.h>
#include <stddef.h>

#include "socket/socket.h"

static inline int option_refuse(int error)
{
    errno = error;
    return -1;
}

/*
 * Gives the caller as much of the value as he has room for (POSIX: truncated silently). `*length`
 * becomes what he got. EFAULT if he has none.
 */
int option_give(void *to, socklen_t *length, const void *value, size_t bytes);
int option_give_int(void *to, socklen_t *length, int value);

/* Reads an option that is an int. EINVAL (too short) or EFAULT (NULL). */
int option_read_int(const void *value, socklen_t length, int *number);

/* Tells the binding of a socket, if there is one, its connection or its listener who shares the
 * port. */
void options_reuse_changed(struct sockets *, struct socket *);

/* ---- options_ip.c ---- */

int options_ip_get(struct sockets *, struct socket *, int name, void *value, socklen_t *length);
int options_ip_set(struct sockets *, struct socket *, int name, const void *value,
                   socklen_t length);

/* Tells the connection or listener of a stream, if there is one, what its packets are to be. */
void options_ip_changed(struct socket *);

/* ---- options_tcp.c ---- */

int options_tcp_get(const struct sockets *, const struct socket *, int name, void *value,
                    socklen_t *length);
int options_tcp_set(struct sockets *, struct socket *, int name, const void *value,
                    socklen_t length);

/* The settings of the keep-alive are others now, or it is on or off. */
void options_keepalive_changed(struct sockets *, struct socket *);

#endif
