/* SPDX-License-Identifier: MIT */
/*
 * What the checkers know; private to check.c (applications), check_wire.c (packets), check_sack.c
 * (selective acknowledgements), check_ecn.c (congestion notification), check_path.c (ICMP),
 * check_datagram.c and check_duty.c (what has to be done at once, or not too soon).
 */
#ifndef TESTS_SIM_CHECK_STATE_H
#define TESTS_SIM_CHECK_STATE_H

#include "base/ranges.h"
#include "base/seq.h"
#include "check.h"
#include "packet.h"

#define CHECK_TEXTS    8 /* violations whose text is kept */
#define CHECK_NS_PER_S UINT64_C(1000000000)

#define CHECK_RANGES_MAX 100000u

/* A prime, so that bytes which are off by a power of two, or a multiple, are others. */
#define CHECK_PERIOD 65521

/*
 * The first recovery from a loss of what a side sends. It begins with the third duplicate
 * acknowledgement, if nothing was sent again before, and is over when all is acknowledged that was
 * in flight then. Positions are its own.
 */
struct recovery {
    bool on, over;
    uint32_t duplicates; /* acknowledgements since the last that acknowledged more */
    uint16_t window;     /* as the last acknowledgement said it */
    uint64_t end;
    uint64_t resent; /* end of what was sent again in it */
    uint64_t owed;   /* it has to send this again, at owed_ns; 0: nothing */
    uint64_t owed_ns;
    uint64_t timeouts; /* of the host, before */
};

/* What a side has said of ECN in its SYNs, and has to say of marks. */
struct ecn {
    bool setup, other; /* it has sent a SYN or SYN-ACK for ECN; one that is not */
    bool marked;       /* a mark has come */
    bool owed;         /* and has to be echoed, at owed_ns and later */
    uint64_t owed_ns;
};

/*
 * One side of a connection. Positions on the wire count from the sender's SYN, which is at 0, so
 * byte n of the stream is at n + 1: "own" positions of what this side sends, "peer" positions of
 * what it receives.
 */
struct side {
    /* The application */
    bool started, opened, shut, eof, closed, abandoned, crashed;
    int error;
    uint64_t written, read; /* bytes of the stream */
    uint64_t read_ns;       /* when it last read */
    uint64_t closed_ns;
    uint64_t unsent_ns;  /* since when something that was written has not been sent */
    uint64_t urgent_end; /* own: behind the last urgent byte; 0: there is none */
    bool has_to_reset;   /* it has closed with unread data */

    /* What it has sent */
    bool syn_sent, scaled, stamped, sack, reset_sent;
    uint32_t iss, syns; /* syns: how many were sent */
    uint8_t scale;
    uint16_t mss;
    uint64_t syn_ns;       /* when the first SYN was sent */
    uint64_t sent_end;     /* own: end of the furthest byte sent */
    uint64_t fin_end;      /* own: behind the FIN; 0 if none was sent */
    uint64_t fin_ns;       /* when it was first sent */
    uint64_t promised;     /* peer: the furthest right edge it has sent */
    uint64_t ack_sent;     /* peer: the last acknowledgement */
    uint64_t fin_taken_ns; /* when it first acknowledged the peer's FIN; 0: not yet */

    /* What has arrived */
    bool reset_arrived, reset_surely;
    uint64_t allowed;      /* own: the furthest right edge */
    uint64_t acked;        /* own: the furthest acknowledgement */
    uint64_t acked_ns;     /* when it first came */
    uint64_t acked_surely; /* own: by a segment that it cannot have refused */
    struct ranges arrived; /* peer: all that it may have taken */
    struct ranges surely;  /* peer: all that it cannot have refused */
    struct ranges twice;   /* peer: what has come more than once */
    struct ranges sacked;  /* own: what it was told that the peer has */
    uint32_t duplicates;   /* acknowledgements that acknowledge `acked` once more */
    uint64_t floor;        /* peer: what was surely in order before the instant `floor_ns` */
    uint64_t floor_ns;
    bool stamp_seen;
    uint32_t stamp_latest; /* of what TS.Recent may be taken from */
    uint64_t arrival_ns;   /* of the last packet */
    uint64_t silence_ns;   /* the longest time between two */
    uint64_t progress_ns;  /* when a flight began or was last acknowledged further */
    uint64_t fin_acked_ns;
    uint64_t heard_ns;   /* when something came that it cannot have refused */
    uint64_t waiting_ns; /* since when the peer has taken nothing of what it was to take */
    bool patience_over;  /* its user's time for the peer may have passed */
    uint64_t probe_ns;   /* when it last sent a keep-alive */
    uint32_t path_mtu;   /* as it was told by ICMP; 0: it was not */
    uint64_t path_told_ns;

    struct recovery recovery;
    struct ecn ecn;
};

struct connection {
    struct side side[2];
    bool wire_over; /* it has begun anew: its old numbers say nothing any more */
};

struct host {
    struct strait *stack; /* NULL: it is down */
    bool has_crashed, has_unlistened;
    bool error_arrived; /* an ICMP error */
    bool path_told;     /* one that may be believed, of the MTU of a path */
    uint64_t errors_ns; /* since when `errors` ICMP errors were sent, for a second */
    uint32_t errors;
    uint64_t datagrams_sent, datagrams_got; /* a bit for each number */
    uint16_t ids[CHECK_DATAGRAMS];          /* of those sent in fragments, in this life */
    uint32_t id_count;
    uint64_t segments_out, packets_out, bytes_out, packets_in; /* of this life, on the wire */
};

struct check {
    const struct scenario *scenario;
    uint64_t now_ns;
    FILE *log;
    struct connection connections[SCENARIO_CONNECTIONS];
    struct host hosts[SCENARIO_HOSTS];
    bool corruption; /* somewhere in the scenario */
    uint32_t violations;
    char *texts[CHECK_TEXTS];
    uint8_t content[CHECK_PERIOD + CHECK_CONTENT_BYTES];
};

/* Keeps a violation: of a host if `side` is negative and `connection` the host's number. */
void check_violated(struct check *, uint32_t connection, int side, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Tells the log. */
void check_note(struct check *, uint32_t connection, int side, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The host of a side. */
static inline uint32_t check_host_of(const struct check *check, uint32_t connection, uint32_t side)
{
    return scenario_host_of(&check->scenario->connections[connection], side);
}

/* Whether memory, or a limit on ranges, may have made the host refuse data that it should take. */
bool check_was_short(const struct check *, uint32_t host);

/* Whether a limit or a fault explains that connections were not accepted on this host. */
bool check_may_refuse(const struct check *, uint32_t connection, uint32_t side);

/* Whether the user has set a time that may be over: TCP_USER_TIMEOUT, or keep-alives. */
bool check_lost_patience(const struct check *, uint32_t connection, uint32_t side);

/* The position of a number, counted from `start`, near a position that is known. */
static inline uint64_t position_near(uint32_t number, uint32_t start, uint64_t near)
{
    int64_t position = (int64_t)near + seq_distance(start + (uint32_t)near, number);

    return position > 0 ? (uint64_t)position : 0;
}

/* How far everything has come from position 0 on. */
static inline uint64_t in_order(const struct ranges *ranges)
{
    return ranges->count > 0 && ranges->list[0].start == 0 ? ranges->list[0].end : 0;
}

/* What the host must have taken: not what has come at this instant, which it may not know yet. */
static inline uint64_t must_have(const struct check *check, const struct side *x)
{
    return check->now_ns > x->floor_ns ? in_order(&x->surely) : x->floor;
}

/* ---- check_wire.c ---- */

/* One packet, and whose it is. */
struct seen {
    struct packet packet;
    uint32_t connection, side; /* the host at which it is seen, as this side */
    struct connection *both;
    struct side *x, *y; /* that side, and its peer */
};

/* The payload that a segment of the side may have, if it has no options. */
uint32_t check_mss(const struct check *, const struct seen *);

/* Finds the connection of a packet, or of one that has its ports, which the host sends or gets. */
bool check_find(struct check *, uint32_t host, bool sent, struct seen *);

/* ---- check_duty.c ---- */

/* An acknowledgement has come, of everything below `ack`; `surely` if it cannot be refused. */
void duty_acknowledged(struct check *, struct seen *, uint64_t ack, bool surely);

/* The side sends [start, end). */
void duty_sent(struct check *, struct seen *, uint64_t start, uint64_t end);

/* A packet has come. */
void duty_delivered(struct check *, struct seen *);

/* ---- check_sack.c ---- */

/* The side has sent an acknowledgement of everything below `ack`. */
void sack_sent(struct check *, const struct seen *, uint64_t ack);

/* [start, end) has arrived at the side, where it may have arrived before. */
void sack_arrived(struct side *, uint64_t start, uint64_t end);

/* An acknowledgement has come, of everything below `ack`. Returns whether its blocks say more than
 * was known. */
bool sack_delivered(struct seen *, uint64_t ack);

/* Whether both sides have agreed on SACK. */
static inline bool sack_is_agreed(const struct seen *seen)
{
    return seen->x->sack && seen->y->sack;
}

/* The application closes early. */
void duty_abandoned(struct check *, uint32_t connection, uint32_t side);

/* ---- check_ecn.c ---- */

/* The side sends [start, end), before that is taken down. */
void ecn_sent(struct check *, struct seen *, uint64_t start, uint64_t end);

/* A segment has come; `surely` if it brings new text that the side cannot refuse. */
void ecn_delivered(const struct check *, struct seen *, bool surely);

/* ---- check_path.c ---- */

/* A packet that is not of TCP has come to a host, or is sent by it. */
void path_delivered(struct check *, uint32_t host, const void *packet, size_t length);
void path_error_sent(struct check *, uint32_t host, const void *packet, size_t length);

/* The side sends a segment. */
void path_sent(struct check *, const struct seen *);

/* Everything is over. */
void path_at_rest(struct check *, uint32_t host);

/* ---- check_datagram.c ---- */

/* A packet that is not of TCP, with a whole header. */
void datagram_fragment_sent(struct check *, uint32_t host, const uint8_t *ip);

/* Everything is over, and nothing can have been lost. */
void datagrams_at_rest(struct check *, uint32_t host);

#endif
