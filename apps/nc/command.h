/* SPDX-License-Identifier: MIT */
#ifndef NC_COMMAND_H
#define NC_COMMAND_H

/*
 * `strait nc`: stdin and stdout, joined with a connection or with datagrams. argv[0] is the
 * command. Returns the exit status: 0 when all is carried, 1 after a failure or a signal,
 * EXIT_USAGE for a wrong command line.
 */
int nc_main(int argc, char *argv[]);

#endif
