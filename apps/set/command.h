/* SPDX-License-Identifier: MIT */
#ifndef APPS_SET_COMMAND_H
#define APPS_SET_COMMAND_H

/*
 * `strait set`: reads or changes settings of a running strait. argv[0] is the command. Returns the
 * exit status: 0, 1 after a line that says what failed, or EXIT_USAGE.
 */
int set_main(int argc, char *argv[]);

#endif
