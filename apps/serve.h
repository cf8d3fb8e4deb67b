/* SPDX-License-Identifier: MIT */
#ifndef APPS_SERVE_H
#define APPS_SERVE_H

/*
 * `strait serve`: is a host on a TUN device until SIGINT or SIGTERM, then ends its connections in
 * order, for 2 seconds at most or until a second signal. Prints one line to stdout when it is
 * ready and the counters at the end, and all else to stderr. argv[0] is the command. Returns the
 * exit status: 0, 1 after a line that says what failed, or EXIT_USAGE.
 */
int serve_main(int argc, char *argv[]);

#endif
