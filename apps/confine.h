/* SPDX-License-Identifier: MIT */
#ifndef APPS_CONFINE_H
#define APPS_CONFINE_H

#include <stddef.h>

/*
 * Confines the process, for good, to what a running server does: it goes on using what is open,
 * reads files below `readable` (a directory; NULL: none), and starts threads, which are confined
 * alike. It runs no program, makes no socket, touches no other process and no other file. What it
 * tries beyond that fails with EPERM, or EACCES for a file.
 *
 * To be called once all is open and privileges are gone (no_new_privs is needed), while there is
 * one thread. Returns 0, with a line in `notice` if the kernel can do but a part of it, else an
 * empty one; or -1 with a line in `error`, and then the process must end.
 */
int confine(const char *readable, char *notice, size_t notice_bytes, char *error,
            size_t error_bytes);

#endif
