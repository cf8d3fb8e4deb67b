/* SPDX-License-Identifier: MIT */
/* What the programs that measure other stores share: clock, times, command line, the last word. */
#ifndef TESTS_STORES_MEASURE_H
#define TESTS_STORES_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NS_PER_S    UINT64_C(1000000000)
#define VALUE_BYTES 100
#define CLIENT_KEYS 64 /* of each client, as in `strait kv bench` (kv/bench.h) */
#define KEY_BYTES   32
#define CLIENTS_MAX 1024

struct measure {
    bool read; /* else it writes */
    uint32_t clients;
    double seconds;
    double group;          /* transactions of one commit */
    const char *directory; /* for files */
    const char *server;    /* IPv4 address */
    bool one_connection;   /* for all clients */
};

/* Reads "write|read [--clients N] [--seconds S] ..."; ends the program if it is none. */
void measure_read(struct measure *, int argc, char *argv[]);

uint64_t now_ns(void);

/* Writes the name of a client's key, whose number counts on; returns its length. */
size_t key_of(char key[KEY_BYTES], uint32_t client, uint32_t number);

/* How long things took. */
struct times {
    uint32_t *list_us10; /* in tenths of a microsecond */
    size_t count, room;
};

void times_add(struct times *, uint64_t took_ns);
void times_join(struct times *, const struct times *);
void times_free(struct times *);

/* Prints what happened in a second, and the median and the 99th percentile of how long it took. */
void print_figures(double per_second, struct times *);

/* Ends the process with a line that says what has failed. */
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
