/* SPDX-License-Identifier: MIT */
#ifndef APPS_CONFINE_H
#define APPS_CONFINE_H

#include <stddef.h>

/* What a running command still needs. */
struct confine_needs {
    const char *readable;  /* a directory below which files are read; NULL: none */
    const char *writable;  /* one below which a database lives; NULL: none */
    int control_fd;        /* a listening UNIX socket; -1: none */
    int control_directory; /* that its file stands in */
};

/*
 * Confines the process, for good, to what a running command does: it goes on using what is open,
 * reads files below `readable`, makes, writes and removes files below `writable`, takes connections
 * of the control socket and answers them, removes files in its directory, and starts threads, which
 * are confined alike. It runs no program, makes no socket, touches no other process and no other
 * file. What it tries beyond that fails with EPERM, or EACCES for a file.
 *
 * To be called once all is open and privileges are gone (no_new_privs is needed), while there is
 * one thread. Returns 0, with a line in `notice` if the kernel can do but a part of it, else an
 * empty one; or -1 with a line in `error`, and then the process must end.
 */
int confine(const struct confine_needs *, char *notice, size_t notice_bytes, char *error,
            size_t error_bytes);

#endif
