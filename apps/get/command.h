/* SPDX-License-Identifier: MIT */
#ifndef GET_COMMAND_H
#define GET_COMMAND_H

/*
 * `strait get`: a download to a file or to stdout. argv[0] is the command. Returns the exit status:
 * 0 when it is whole, 1 after a line that says what has failed, EXIT_USAGE for a wrong command
 * line.
 */
int get_main(int argc, char *argv[]);

#endif
