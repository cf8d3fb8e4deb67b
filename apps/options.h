/* SPDX-License-Identifier: MIT */
/*
 * The command lines of `strait serve` and its like, which are a host on a TUN device: parsed and
 * checked before anything is done. The options that say what host it is all commands share; what
 * else there is, a command tells by a table.
 */
#ifndef APPS_OPTIONS_H
#define APPS_OPTIONS_H

#include <getopt.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "link/impair.h"
#include "strait.h"

struct options {
    bool host;           /* something is said about the host that it is, or asks */
    const char *tun;     /* the device */
    struct in_addr addr; /* of the host that Strait is */
    int prefix_bits;     /* of the network that it shares with the peer */
    struct in_addr peer; /* the kernel's; 0: leave the device's address alone */
    uint32_t mtu;        /* bytes; 0: the device's own, 1500 if it is made */
    bool no_offload;
    uint64_t busy_poll_ns;       /* how long the loop polls the device before it sleeps */
    bool impaired;               /* each packet, in both directions: */
    struct impair_config impair; /* this way */
    const char *capture;         /* a file to write; NULL: none */
    const char *filter;          /* of the capture; NULL: everything */
    const char *trace;           /* a file to write; NULL: none */
    bool controlled;             /* the command has a control socket by default */
    const char *control;         /* its path, "none", or NULL: as the command has it */
    uint32_t log_categories;     /* STRAIT_LOG_* */
    struct strait_config config; /* the defaults, and what --set has set; no secret, no log */
    char **operands;             /* the words that are no options */
    int operand_count;
    bool help; /* only the help is wanted; nothing else has been checked */
};

/* The exit status of a wrong command line. */
#define EXIT_USAGE 2

/* Where one line goes that says what is wrong. */
struct report {
    char *error;
    size_t error_bytes;
};

/* Writes the line. Returns -1. */
int options_fail(const struct report *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Reads a decimal number without sign or space; returns false if it is none or above `max`. */
bool options_number(const char *text, long max, long *value);

/* Reads seconds, "1" or "0.25", likewise. */
bool options_seconds(const char *text, long max, uint64_t *ns);

#define COMMAND_OPTIONS_MAX 8
#define COMMAND_LETTERS_MAX 24 /* characters of `letters` */

/* Above this are the values of a command's options that have no letter. */
#define OPTION_WITHOUT_LETTER 1000

/* What a command takes beside the options of all. Its own options change its settings. */
struct command {
    const char *name; /* "serve" */
    const char *help; /* usage, purpose and its own options, for --help */
    bool asks; /* it is no host but asks one: of the common options it has --tun and --control */
    bool controlled;                            /* it has a control socket by default */
    const char *letters;                        /* as for getopt; "" if there are none */
    struct option options[COMMAND_OPTIONS_MAX]; /* as for getopt_long */
    int operands_max;
    bool host_optional; /* without --addr it is no host, but uses the machine's own sockets */
    /* One of its options was found. Returns 0, or what options_fail returns. */
    int (*take)(void *settings, int option, const char *value, const struct report *);
    /* All have been found, each in order. Returns as above. NULL if there is nothing to check. */
    int (*check)(void *settings, const struct options *, const struct report *);
};

/*
 * Parses the words after the command; argv[0] is the command itself, and the words may be put into
 * another order. Strings of `options` point into argv. Returns 0, or -1 with one line in `error`
 * that says what is wrong and how to mend it. Uses getopt_long, and so one thread at a time.
 */
int options_parse(const struct command *, int argc, char *argv[], struct options *, void *settings,
                  char *error, size_t error_bytes);

/*
 * The same for the program: says itself what is wrong, or prints the help. Returns whether the
 * command is to be carried out; if not, `*status` is the exit status.
 */
bool options_begin(const struct command *, int argc, char *argv[], struct options *, void *settings,
                   int *status);

#endif
