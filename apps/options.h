/* SPDX-License-Identifier: MIT */
/* The command line of `strait serve`: parsed and checked before anything is done. */
#ifndef APPS_OPTIONS_H
#define APPS_OPTIONS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "link/impair.h"

struct options {
    const char *tun;     /* the device */
    struct in_addr addr; /* of the host that Strait is */
    int prefix_bits;     /* of the network that it shares with the peer */
    struct in_addr peer; /* the kernel's; 0: leave the device's address alone */
    uint32_t mtu;        /* bytes; 0: the device's own, 1500 if it is made */
    bool no_offload;
    bool impaired;               /* each packet, in both directions: */
    struct impair_config impair; /* this way */
    const char *capture;         /* a file to write; NULL: none */
    const char *filter;          /* of the capture; NULL: everything */
    const char *root;            /* the directory that HTTP serves; NULL: a built-in page */
    uint32_t log_categories;     /* STRAIT_LOG_* */
    bool help;                   /* only the help is wanted; nothing else has been checked */
};

/*
 * Parses the words after the command; argv[0] is the command itself, and the words may be put into
 * another order. Strings of `options` point into argv. Returns 0, or -1 with one line in `error`
 * that says what is wrong and how to mend it. Uses getopt_long, and so one thread at a time.
 */
int options_parse(int argc, char *argv[], struct options *, char *error, size_t error_bytes);

/* The text of `strait serve --help`. */
extern const char options_help[];

#endif
