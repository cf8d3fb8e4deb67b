/* SPDX-License-Identifier: MIT */
/* Asks a running program on its control socket; the protocol stands in control/control.h. */
#ifndef APPS_CONTROL_ASK_H
#define APPS_CONTROL_ASK_H

#include <jansson.h>
#include <stddef.h>

#include "options.h"

/*
 * Asks the program that the options --control and --tun name, and calls take(context, object) for
 * each object of its answer, which is borrowed for the call. Returns 0, or -1 with one line in
 * `error`.
 */
int control_ask(const struct options *, const char *request,
                void (*take)(void *context, json_t *object), void *context, char *error,
                size_t error_bytes);

#endif
