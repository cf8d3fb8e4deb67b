/* SPDX-License-Identifier: MIT */
#ifndef APPS_STAT_COMMAND_H
#define APPS_STAT_COMMAND_H

/*
 * `strait stat`: shows the endpoints or the counters of a running strait, once or again and again
 * until SIGINT or SIGTERM. argv[0] is the command. Returns the exit status: 0, 1 after a line that
 * says what failed, or EXIT_USAGE.
 */
int stat_main(int argc, char *argv[]);

#endif
