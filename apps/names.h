/* SPDX-License-Identifier: MIT */
/* What users call the things that a stack tells by number. */
#ifndef APPS_NAMES_H
#define APPS_NAMES_H

#include <netinet/in.h>
#include <stdbool.h>

/* "ESTAB" and so on, as ss has them, for Linux's number of a state; "UNCONN" for others. */
const char *state_name(unsigned state);

/* Whether state_name ever says that, in capitals or not. */
bool state_is_known(const char *name);

/* Room for "255.255.255.255:65535". */
#define NAME_BYTES (INET_ADDRSTRLEN + 6)

/* Writes "10.7.0.2:80". Returns `text`. */
const char *socket_name(const struct sockaddr_in *, char text[NAME_BYTES]);

#endif
