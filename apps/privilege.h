/* SPDX-License-Identifier: MIT */
#ifndef APPS_PRIVILEGE_H
#define APPS_PRIVILEGE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Whom privilege_drop makes of root: for what has to belong to that user. False: there is nobody.
 */
bool privilege_user(uid_t *, gid_t *);

/*
 * Gives up root for good: goes on as the user who called sudo (SUDO_UID and SUDO_GID, if they are
 * set and not 0), so that this user's files stay readable, else as nobody. A process that is not
 * root keeps its user. Either is without capabilities then, and nothing that it executes gets more
 * again. Returns 0 with the user's name in `name`, or -1 with one line in `error`; then the process
 * must end.
 */
int privilege_drop(char *name, size_t name_bytes, char *error, size_t error_bytes);

#endif
