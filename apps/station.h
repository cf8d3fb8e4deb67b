/* SPDX-License-Identifier: MIT */
/*
 * What every command of the program is: a host on a TUN device, as its options say, driven by a
 * loop, with signals as events. Errors are said on stderr, one line each, by the functions below.
 */
#ifndef APPS_STATION_H
#define APPS_STATION_H

#include <netinet/in.h>
#include <stdint.h>

#include "control/control.h"
#include "options.h"
#include "strait.h"
#include "stream.h"
#include "trace.h"

struct station {
    const struct options *options;
    struct strait_loop *loop;
    struct strait_env *env;
    struct strait_link *tun;
    struct strait_link *impair; /* around the TUN; NULL: none */
    struct strait_link *link;   /* the outermost, which owns the others: TUN, impairment, capture */
    struct strait *stack;
    struct trace *trace; /* NULL: none */
    struct control_socket control_socket;
    struct control *control; /* NULL: nobody can ask */
    uint32_t shard, shards;  /* which of how many, once it has started */
    int signal_fd;           /* -1: of another station */
    unsigned signals;        /* how many SIGINT and SIGTERM have come; each ends station_run */
    /* Told of each signal; NULL: nobody. */
    void (*interrupted)(void *interrupted_context);
    void *interrupted_context;
    char user[64]; /* whom it runs as, once it is open */
};

/* One line to stderr. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says what has failed; its value is the failed function's. */
#define complain(...) (say(__VA_ARGS__), -1)

/*
 * Finds the IPv4 address of a name, or of an address in digits, by the resolver of the machine:
 * there is none in the stack. To be called before station_open, with the rights that there are.
 * Returns 0, or -1 after a line.
 */
int station_find(const char *name, struct in_addr *);

/*
 * Makes the loop and takes over SIGINT and SIGTERM; `options` has to live as long as the station.
 * Returns 0, or -1 after a line; station_free is due in both cases.
 */
int station_init(struct station *, const struct options *);

/* The same for a station beside that one, which leaves the signals alone. */
int station_init_beside(struct station *, const struct options *);

/* Opens the device, gives up privileges, and puts a stack on it. Returns 0, or -1 after a line. */
int station_open(struct station *);

/*
 * station_init, and station_open if the options say what host it is; else `host` is where the
 * kernel's sockets are. Returns 0, or -1 after a line; station_free is due in both cases.
 */
int station_open_host(struct station *, const struct options *, struct stream_host *host);

/*
 * The same by steps, for a host of several shards. station_host writes what host the options ask
 * for, with a secret. station_open_device opens the device with a queue for each of host->shards
 * (the links; the first is that of the station, the others are the caller's), and gives up
 * privileges; it returns how many there are, 1 where there cannot be more, or -1 after a line.
 * station_start puts the stack on `link`; it returns 0, or -1 after a line.
 */
void station_host(struct station *, struct strait_config *host);
int station_open_device(struct station *, const struct strait_config *host,
                        struct strait_link **links);
int station_start(struct station *, const struct strait_config *host);

/*
 * Confines the program to what it needs from now on (see confine.h): nothing is opened any more but
 * files below `readable`, to be read, and below `writable`; each may be NULL. Returns 0, or -1
 * after a line.
 */
int station_confine(struct station *, const char *readable, const char *writable);

/* Calls visit(context, name, value) for each counter: of the stack, the impairment, the device. */
void station_counters(const struct station *,
                      void (*visit)(void *context, const char *name, uint64_t value),
                      void *context);

/* What a signal does. On the station's thread. */
void station_interrupt(struct station *);

/* Runs until strait_loop_stop or a signal. Returns 0, or -1 after a line. */
int station_run(struct station *);

/* One turn of the loop. Returns 0, or -1 after a line. */
int station_turn(struct station *, uint64_t deadline_ns);

/*
 * Turns until one of the events holds for a socket, until the deadline, or until a signal. Returns
 * 1 for an event, 0 without one, or -1 after a line.
 */
int station_await(struct station *, int fd, short events, uint64_t deadline_ns);

/*
 * Turns until all connections have come to their ends, until the deadline, or until a signal.
 * Returns 0, or -1 after a line.
 */
int station_finish(struct station *, uint64_t deadline_ns);

/* Lets the connections of a host end in order, a short time. Returns likewise. */
int station_leave(struct station *);

/* Releases whatever has been made. */
void station_free(struct station *);

#endif
