/* SPDX-License-Identifier: MIT */
#ifndef PING_COMMAND_H
#define PING_COMMAND_H

/*
 * `strait ping`, with the output of iputils' ping. argv[0] is the command. Returns the exit status:
 * 0 if there was a reply, 1 if there was none, 2 for a wrong command line or another failure.
 */
int ping_main(int argc, char *argv[]);

#endif
