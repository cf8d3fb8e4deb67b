/* SPDX-License-Identifier: MIT */
/* Where a running program is spoken to: a UNIX socket, in the file system for its owner alone. */
#ifndef APPS_CONTROL_SOCKET_H
#define APPS_CONTROL_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/un.h>

#define CONTROL_PATH_MAX sizeof(((struct sockaddr_un *)0)->sun_path)

struct control_socket {
    int fd;        /* listens, non-blocking; -1: there is none */
    int directory; /* that the file stands in; the file is removed through it */
    char name[CONTROL_PATH_MAX];
};

/*
 * Where the socket of a device is if nobody says otherwise: /run/strait/DEVICE/control for root
 * (`of_root`), else below XDG_RUNTIME_DIR, without which there is none. Returns false then, or if
 * the name is too long.
 */
bool control_default_path(const char *device, bool of_root, char path[CONTROL_PATH_MAX]);

/*
 * Opens the socket. One that a program has left behind is replaced; one that still answers is left
 * alone. It belongs to the user that privilege_drop will make of root. `make_directories` is for
 * the default path: the directory is made, and given to that user, so that he can remove the file.
 * Returns 0, or -1 with one line in `error`.
 */
int control_socket_open(struct control_socket *, const char *path, bool make_directories,
                        char *error, size_t error_bytes);

/* Closes it and removes the file, as far as the rights reach. */
void control_socket_close(struct control_socket *);

/* Connects to a socket at that path. Returns a blocking descriptor, or -1 with errno. */
int control_connect(const char *path);

#endif
