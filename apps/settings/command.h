/* SPDX-License-Identifier: MIT */
/* The settings of a host on the command line: --set NAME=VALUE, and `strait settings`. */
#ifndef APPS_SETTINGS_COMMAND_H
#define APPS_SETTINGS_COMMAND_H

#include "options.h"
#include "strait.h"

/* Takes NAME=VALUE into a configuration. Returns 0, or what options_fail returns. */
int settings_take(const char *text, struct strait_config *, const struct report *);

/* Writes one line on why a value was not taken, or a name not known, by strait_set or strait_get
 * with that errno. `value` is NULL if none was given. */
void settings_explain(const char *name, const char *value, int error, char *text,
                      size_t text_bytes);

/* `strait settings`: lists what there is; with --markdown as a table for README.md. */
int settings_main(int argc, char *argv[]);

#endif
