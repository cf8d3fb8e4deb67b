/* SPDX-License-Identifier: MIT */
/*
 * The file of --trace: a line for each record of strait_trace, its fields parted by tabs. The first
 * line tells the format, the second names the columns. A value that is not known yet is "-".
 */
#ifndef APPS_TRACE_H
#define APPS_TRACE_H

#include "strait.h"

struct trace;

/* Makes the file. Returns NULL with errno. `failed` is told once if it cannot be written on. */
struct trace *trace_open(const char *path, void (*failed)(int error));

/* Writes what the stack tells from now on, at the latest after a second. */
void trace_start(struct trace *, struct strait *, struct strait_env *);

/* Writes the rest and closes the file. The stack is gone, or is traced no more; the environment is
 * there still. NULL is allowed. */
void trace_close(struct trace *);

#endif
