/* SPDX-License-Identifier: MIT */
/* The program under test, `strait serve`, as a child process. Its path is the variable STRAIT. It
 * runs without the variables of sudo, so it gives up its privileges for those of nobody. */
#ifndef INTEROP_PROGRAM_H
#define INTEROP_PROGRAM_H

#include <stdint.h>
#include <sys/types.h>

struct program;

/*
 * Options for a path that loses nothing, where nothing must be sent twice: a timeout that is longer
 * than a busy machine keeps a process waiting.
 */
#define PATIENT "--set", "tcp.rto_min=10s"

/* Setup and teardown for cmocka: *state is a program that does not run yet. */
int program_setup(void **state);
int program_teardown(void **state);

/*
 * Starts `strait serve` on tun0 with the addresses of kernel.h and further options, the last of
 * which is NULL, and waits until it is ready. Fails the test if it is not.
 */
void program_start(struct program *, ...) __attribute__((sentinel));

/* The same with nothing but `options`, which ends with NULL, as the user `uid` (0: root). */
void program_start_as(struct program *, uid_t uid, const char *const *options);

/*
 * Runs `strait` with arguments that it has to refuse, as the user `uid`. It has to end by itself
 * with the status, with nothing on stdout and one line on stderr that contains `expected`.
 */
void program_refuses(struct program *, uid_t uid, int status, const char *expected,
                     const char *const *arguments);

pid_t program_pid(const struct program *);

/* Ends it by a signal. It has to exit with status 0, and in order, or the test fails. */
void program_stop(struct program *, int signal_number);

/* Waits until it has ended by itself, which has to be with this exit status. */
void program_ends(struct program *, int expected);

/* A counter out of what it printed when it ended: programs print those that are not 0. */
uint64_t program_counter(const struct program *, const char *name);

/* What it has said on stderr. */
const char *program_errors(struct program *);

#endif
