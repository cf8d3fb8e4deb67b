/* SPDX-License-Identifier: MIT */
/*
 * What a stream world is made of: the network, the limits of its hosts, the connections that are
 * opened in it, and the faults that come over it. A scenario is plain numbers. It is drawn from a
 * seed, or read from the line of options that another one was printed as, so that a failure stays
 * reproducible when the drawing changes.
 *
 *        a (0) --- link 0 --- [router] --- link 1 --- ... --- b (1)
 *        c (2) --- link N -------'                 (only with a second pair: c at the first
 *        d (3) --- link N + 1 ---- [last router]    router, d at the last)
 */
#ifndef TESTS_SIM_SCENARIO_H
#define TESTS_SIM_SCENARIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCENARIO_HOSTS       4 /* end hosts */
#define SCENARIO_HOPS_MAX    4
#define SCENARIO_ROUTERS     (SCENARIO_HOPS_MAX - 1)
#define SCENARIO_LINKS       (SCENARIO_HOPS_MAX + 2)
#define SCENARIO_CONNECTIONS 24
#define SCENARIO_FAULTS      12
#define SCENARIO_LINE_BYTES  32768

/* The longest delay of a path that is still clean: far below the shortest timeout. */
#define SCENARIO_CLEAN_DELAY_US 40000

#define SCENARIO_KEEPALIVES 3 /* that are not answered, and the connection ends */

/* Every field is a number; 0 is left out of the line. X(name). */

/*
 * hops: links between a and b. second: whether c and d are there. tso: all links take super-packets
 * and leave checksums undone. heal_ms: when all faults end, from the start of the world. inner_mtu:
 * of the links between routers; 0 is the largest of the hosts'.
 */
#define SCENARIO_NET_FIELDS(X)                                                                     \
    X(seed_high) X(seed_low) X(hops) X(second) X(tso) X(heal_ms) X(inner_mtu)

/*
 * An end host; 0 is the stack's default. backlog 0: 128. accept_ms: between two accepts. no_sack,
 * no_timestamps, no_scaling: what it neither offers nor accepts. ecn: 1 and an enum strait_ecn.
 * no_cookies: it drops SYNs when its half-open records are full. cookies_always: it keeps no such
 * records. datagrams: how many it sends to the other host of its pair, of at most datagram_bytes,
 * with datagram_ms between them.
 */
#define SCENARIO_HOST_FIELDS(X)                                                                    \
    X(mtu)                                                                                         \
    X(send_bytes)                                                                                  \
    X(receive_bytes)                                                                               \
    X(memory_bytes)                                                                                \
    X(half_open_max)                                                                               \
    X(connections_max)                                                                             \
    X(time_wait_max)                                                                               \
    X(backlog)                                                                                     \
    X(accept_ms)                                                                                   \
    X(no_sack)                                                                                     \
    X(no_timestamps)                                                                               \
    X(no_scaling)                                                                                  \
    X(ecn) X(no_cookies) X(cookies_always) X(datagrams) X(datagram_bytes) X(datagram_ms)

/* One direction of a link: see link/impair.h. */
#define SCENARIO_PATH_FIELDS(X)                                                                    \
    X(delay_us)                                                                                    \
    X(jitter_us)                                                                                   \
    X(rate_kbit)                                                                                   \
    X(queue_bytes)                                                                                 \
    X(ecn_bytes)                                                                                   \
    X(loss_ppm)                                                                                    \
    X(burst_enter_ppm)                                                                             \
    X(burst_leave_ppm) X(burst_loss_ppm) X(duplicate_ppm) X(reorder_ppm) X(corrupt_ppm)

/*
 * at_ms: when it is opened. pair: 0 is a and b, 1 is c and d. from: which of the two opens it.
 * simultaneous: both connect. own: the one that opens it is both of its sides.
 */
#define SCENARIO_CONNECTION_FIELDS(X) X(at_ms) X(pair) X(from) X(simultaneous) X(own)

/*
 * One end of a connection. It writes `bytes` in pieces of write_bytes with write_ms between them,
 * reads in pieces of read_bytes with read_ms between them, for the first time after read_delay_ms,
 * and ends as `end` (enum scenario_end) says; where that is early, after end_bytes read and
 * written. more: an enum scenario_more. urgent: each piece is. keepalive_s: after so long a silence
 * it asks whether the peer is there, SCENARIO_KEEPALIVES times as far apart; 0: it does not.
 * user_timeout_ms: TCP_USER_TIMEOUT.
 */
#define SCENARIO_SIDE_FIELDS(X)                                                                    \
    X(bytes)                                                                                       \
    X(write_bytes)                                                                                 \
    X(write_ms)                                                                                    \
    X(read_bytes)                                                                                  \
    X(read_ms)                                                                                     \
    X(read_delay_ms)                                                                               \
    X(end)                                                                                         \
    X(end_bytes) X(nodelay) X(more) X(urgent) X(keepalive_s) X(user_timeout_ms)

/*
 * kind is an enum scenario_fault; it begins at at_ms and ends after for_ms, at the latest when all
 * heals. place is a link, a host (0 to 3), or a router (4 to 6). ways: 1, 2 or 3, the directions of
 * the link. choice: an enum scenario_forgery, or that of setting_change.
 */
#define SCENARIO_FAULT_FIELDS(X) X(kind) X(at_ms) X(for_ms) X(place) X(ways) X(choice)

#define SCENARIO_MEMBER(name) uint32_t name;

struct scenario_net {
    SCENARIO_NET_FIELDS(SCENARIO_MEMBER)
};

struct scenario_host {
    SCENARIO_HOST_FIELDS(SCENARIO_MEMBER)
};

struct scenario_path {
    SCENARIO_PATH_FIELDS(SCENARIO_MEMBER)
};

enum scenario_end {
    END_SHUTDOWN, /* shutdown(SHUT_WR) behind the last byte, close after the peer's end */
    END_LAST,     /* close after the peer's end: the other side has to begin */
    END_CLOSE,    /* close when all is written and all that the peer will write is read */
    END_ABANDON,  /* close early, whatever is not read or not written */
    END_RESET,    /* the same with SO_LINGER 0: a RST */
};

enum scenario_more {
    MORE_NONE,
    MORE_CORK, /* TCP_CORK is on all the time */
    MORE_FLAG, /* MSG_MORE with each piece */
};

struct scenario_side {
    SCENARIO_SIDE_FIELDS(SCENARIO_MEMBER)
};

struct scenario_connection {
    SCENARIO_CONNECTION_FIELDS(SCENARIO_MEMBER)
    struct scenario_side side[2]; /* 0 opens */
};

enum scenario_fault_kind {
    FAULT_CUT = 1,  /* a link, in one direction or both */
    FAULT_PAUSE,    /* a host or a router stands still */
    FAULT_CRASH,    /* it loses its memory, and starts again at the end */
    FAULT_IMPAIR,   /* a link does to packets what the fault's own path says */
    FAULT_UNLISTEN, /* a host closes its listener */
    FAULT_FORGE,    /* a stranger's packet comes in on link `place` (forger.h) */
    FAULT_SET,      /* a setting of end host `place` is another (setting.h) */
};

enum scenario_forgery {
    FORGE_ACK_AHEAD,       /* acknowledges what was never sent */
    FORGE_RESET_IN_WINDOW, /* a RST near the right number */
    FORGE_RESET_OUTSIDE,   /* a RST far from it */
    FORGE_SYN,             /* a SYN in the window */
    FORGE_OLD_TEXT,        /* other bytes in the place of what was taken long ago */
    FORGE_OLD_ACK,         /* acknowledges less than was acknowledged, with a shut window */
    FORGE_TEXT,            /* other bytes in the window, with a wrong acknowledgement */
    FORGE_DUPLICATES,      /* the last acknowledgement, a few times more */
    FORGE_SACK_AHEAD,      /* reports what was never sent */
    FORGE_SACK_REVERSED,   /* reports a block that ends before it starts */
    FORGE_SACK_OLD,        /* reports as duplicate what was acknowledged */
    FORGE_URGENT,          /* an urgent pointer far ahead */
    FORGE_ECHO,            /* says that a mark has come */
    FORGE_TOO_BIG,         /* ICMP: the last segment is too big for a link of 68 bytes */
    FORGE_TOO_BIG_UNTOLD,  /* for one of which nothing is told */
    FORGE_TOO_BIG_AHEAD,   /* a segment that was never sent is too big */
    FORGE_UNREACHABLE,     /* ICMP: the last segment has found no port */
    FORGE_COOKIE,          /* from another port, as if it answered a cookie */
    FORGE_STRANGER,        /* a SYN from another port */
    FORGERIES,
};

struct scenario_fault {
    SCENARIO_FAULT_FIELDS(SCENARIO_MEMBER)
    struct scenario_path path; /* of FAULT_IMPAIR */
};

struct scenario {
    struct scenario_net net;
    struct scenario_host hosts[SCENARIO_HOSTS];
    struct scenario_path paths[SCENARIO_LINKS][2];
    struct scenario_connection connections[SCENARIO_CONNECTIONS];
    struct scenario_fault faults[SCENARIO_FAULTS];
    uint32_t connection_count, fault_count;
};

/* Draws a scenario. The same seed gives the same scenario. */
void scenario_draw(struct scenario *, uint64_t seed);

/* Writes the scenario as one line without a newline; SCENARIO_LINE_BYTES suffice. */
void scenario_print(const struct scenario *, char *line, size_t bytes);

/* Reads such a line. Returns 0, or -1 with what is wrong in `error`. */
int scenario_parse(struct scenario *, const char *line, char *error, size_t error_bytes);

static inline uint64_t scenario_seed(const struct scenario *s)
{
    return (uint64_t)s->net.seed_high << 32 | s->net.seed_low;
}

static inline uint32_t scenario_host_count(const struct scenario *s)
{
    return s->net.second ? 4 : 2;
}

static inline uint32_t scenario_link_count(const struct scenario *s)
{
    return s->net.hops + (s->net.second ? 2 : 0);
}

/* The end host (0 to 3) that is side 0 or 1 of a connection. */
static inline uint32_t scenario_host_of(const struct scenario_connection *c, uint32_t side)
{
    return c->pair * 2 + (c->from ^ (c->own ? 0 : side));
}

/* The MTU of the link of an end host, and of the links between routers. */
uint32_t scenario_mtu(const struct scenario *, uint32_t host);
uint32_t scenario_inner_mtu(const struct scenario *);

/* Whether a path does nothing to packets but to carry them, and that soon. */
bool scenario_path_is_clean(const struct scenario_path *);

#endif
