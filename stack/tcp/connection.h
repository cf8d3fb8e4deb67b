/* SPDX-License-Identifier: MIT */
/*
 * What a connection is made of, and what the files of this folder call of each other. Nobody
 * outside stack/tcp includes this.
 *
 * Three kinds of entries live in the table of tuples: a connection (the transmission control block
 * of RFC 9293 3.3.1), a half-open record (a SYN that a listener has answered) and a TIME-WAIT
 * record. The records are small since a peer can cause many of them.
 */
#ifndef TCP_CONNECTION_H
#define TCP_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/ranges.h"
#include "base/seq.h"
#include "base/table.h"
#include "base/timer.h"
#include "tcp/congestion.h"
#include "tcp/isn.h"
#include "tcp/rate.h"
#include "tcp/rtt.h"
#include "tcp/segment.h"
#include "tcp/tcp.h"

#define TCP_MSS_UNTOLD       ((uint32_t)TCP_SEGMENT_UNTOLD)
#define TCP_MSS_MIN          48u /* a smaller offer is an attack on the sender */
#define TCP_HALF_OPEN_MIN    8u  /* half-open records of a listener, however small its backlog */
#define TCP_ECN_SYNS         2 /* SYNs that ask for ECN, before one that does not: RFC 3168 6.1.1.1 */
#define TCP_PROBE_MAX_NS     (60 * NS_PER_S)
#define TCP_TIMER_NEAR_NS    (10 * NS_PER_MS)        /* a tick of the slowest kernels */
#define TCP_CORK_NS          (200 * NS_PER_MS)       /* for which a short segment is held */
#define TCP_DUPLICATES_MAX   8                       /* duplicate ACKs of one batch */
#define TCP_PAWS_IDLE_NS     (24 * 86400 * NS_PER_S) /* RFC 7323 5.5 */
#define TCP_SUPER_PACKET_MAX 65535u

#define LINE_BYTES ((size_t)64) /* of a cache */

#define TCP_BUFFER_FIRST (1u << 20) /* what either buffer may hold before it has grown */

/* How far a reopened connection's numbers start above those of the one before it. */
#define TCP_REOPEN_GAP 65535u

enum entry_kind { ENTRY_CONNECTION, ENTRY_HALF_OPEN, ENTRY_TIME_WAIT };

struct entry {
    struct table_node node;
    struct tuple tuple;
    uint32_t kind : 2;           /* enum entry_kind */
    uint32_t sharing : 2;        /* HOLD_*: who else may bind to the local port */
    uint32_t challenged_ms : 28; /* when the last challenge ACK was sent; 0: none yet */
};
#define CHALLENGE_CLOCK ((UINT32_C(1) << 28) - 1) /* three days */
_Static_assert(sizeof(struct entry) <= 48, "nothing is lost to padding");

enum tcp_state {
    STATE_CLOSED,
    STATE_SYN_SENT,
    STATE_SYN_RECEIVED, /* after a simultaneous open; other half-open ones are records */
    STATE_ESTABLISHED,
    STATE_FIN_WAIT_1,
    STATE_FIN_WAIT_2,
    STATE_CLOSE_WAIT,
    STATE_CLOSING,
    STATE_LAST_ACK,
    STATE_TIME_WAIT, /* only the record lives on; the connection is kept for its owner to read */
};

/* What due_ns is for; these exclude one another. */
enum timer_purpose {
    TIMER_NONE,
    TIMER_RETRANSMIT,
    TIMER_PROBE,
    TIMER_CORK,
    TIMER_FIN_WAIT,
    TIMER_KEEPALIVE,
};

enum ack_due { ACK_NOT_DUE, ACK_DELAYED, ACK_NOW };

/* What the next SACK option says besides how far the data is in order; stream positions. */
struct sack_report {
    uint64_t recent[TCP_SACK_BLOCKS_MAX]; /* one in each range that grew last, the latest first */
    uint8_t recent_count;
    struct range duplicate; /* has arrived twice and was not reported; empty: nothing has */
};

/* What a connection has only while data is missing, here or there, or has come twice. */
struct disorder {
    struct ranges out_of_order; /* what has arrived above receive_position */
    size_t out_of_order_bytes;  /* of memory that was taken for it */
    struct ranges sacked;       /* the peer has it, above snd_una; positions of `send` */
    struct sack_report report;
};

/*
 * The transmission control block. It stands in the order of its use: in front what a segment that
 * arrives needs, then what one that is sent needs, and last what few segments or connections have
 * to do with. Each group is a cache line of 64 bytes (a block may begin in the middle of one). A
 * byte that comes, is echoed and acknowledged needs all but the last group and a half; a lookup
 * asks for them (entry_ask_for). An idle connection needs no memory besides; what most hardly ever
 * need is made when they do (struct disorder).
 */
struct connection {
    struct entry entry;
    union {
        void *owner;               /* the socket; NULL: closed by it */
        struct connection *behind; /* with `queued`: who is accepted next, or NULL */
    };
    uint32_t heard_text_ms, segments_in; /* for TCP_INFO */

    /* Of every segment that arrives */
    uint8_t state;         /* enum tcp_state */
    uint8_t timer_purpose; /* enum timer_purpose */
    uint8_t ack_due;       /* enum ack_due */
    uint8_t retries;       /* timeouts since the peer was last heard on what they were for */
    uint8_t backoff;       /* of timeouts, exponent */
    uint8_t duplicate_acks;
    uint8_t duplicate_acks_owed; /* for out-of-order segments of this batch */
    uint8_t rcv_unacked_pieces;  /* segments with data since the last acknowledgement: 2, or more */
    bool scaling : 1;            /* window scaling is in use (or offered, in SYN-SENT) */
    bool timestamps : 1;         /* timestamps are in use (or offered, in SYN-SENT) */
    bool sack : 1;               /* so are selective acknowledgements */
    bool may_be_cut : 1;         /* packets, by routers: DF is not set */
    bool queued : 1;             /* in an accept queue, which it leaves from the front only */
    bool nodelay : 1;
    bool corked : 1;         /* TCP_CORK: a short segment waits for what comes behind it */
    bool more : 1;           /* MSG_MORE: so it does until the next send */
    bool push : 1;           /* what is queued goes now all the same */
    bool orphan : 1;         /* its owner has closed it; counted in tcp->orphans */
    bool fin_queued : 1;     /* nothing more will be sent by the user */
    bool fin_seen : 1;       /* the peer's FIN stands at fin_position */
    bool receive_shut : 1;   /* the user wants no more data */
    bool in_recovery : 1;    /* fast recovery, RFC 6582 */
    bool after_timeout : 1;  /* sending again from snd_una, up to `recover`: after a timeout, or
                                because it was too big for the path */
    bool rtt_timing : 1;     /* rtt_seq is being timed */
    bool timer_restart : 1;  /* new data was acknowledged: RFC 6298 5.3 */
    bool send_starved : 1;   /* the user met the memory limit: no POLLOUT */
    bool send_fixed : 1;     /* SO_SNDBUF: send_limit_bytes does not grow */
    bool resend_first : 1;   /* in recovery: what follows snd_una goes again at the next turn */
    bool partial_acked : 1;  /* the first partial acknowledgement of this recovery has come */
    bool quick_ack : 1;      /* TCP_QUICKACK: text is acknowledged at once */
    bool tells_failures : 1; /* IP_RECVERR: ICMP errors are told at once */
    bool urgent_told : 1;    /* by the peer: urgent_end is set */
    bool urgent : 1;         /* snd_up is ahead of what was acknowledged */
    bool ecn : 1;            /* both sides understand ECN (in SYN-SENT: it is asked for) */
    bool ecn_capable : 1;    /* and what is sent may say so: ECT */
    bool ecn_echo : 1;       /* CE has come, and no CWR since: ECE in all segments */
    bool ecn_echoed : 1;     /* the acknowledgement at hand has ECE: cwnd does not grow */
    bool ecn_reduced : 1;    /* cwnd was reduced at ecn_reduced_at, which is not acknowledged yet */
    bool ecn_cwr_due : 1;    /* CWR belongs on the next new text */
    bool ecn_paused : 1;     /* new text waits for the timer: RFC 3168 6.1.2 */
    bool unsent_limited : 1; /* by unsent_low */
    bool keeps_alive : 1;    /* SO_KEEPALIVE */
    bool round_known : 1;    /* the round of text that arrives has begun (rate.c) */
    uint8_t send_scale, receive_scale; /* RFC 7323 2: shifts of the peer's and of our window */
    uint8_t error;                     /* errno to be reported once */
    uint8_t soft_error; /* errno that explains a timeout, unless progress or the user comes first */
    uint8_t syn_retries; /* how often the SYN is sent again */
    uint16_t rcv_mss;    /* payload of the largest segment seen, an estimate of the peer's MSS */
    uint32_t rcv_nxt;    /* receive sequence space (RFC 9293 3.3.1, figure 4) */
    uint32_t rcv_edge;   /* the right edge of the window that was advertised */
    uint32_t rcv_acked;  /* rcv_nxt when it was last acknowledged (Last.ACK.sent) */
    uint32_t ts_recent;  /* RFC 7323 4.3 */
    uint32_t ts_recent_at_ms;
    uint32_t text_segments_in; /* for TCP_INFO */
    uint32_t send_limit_bytes;
    uint64_t heard_ns;               /* when an acceptable segment came last */
    const struct disorder *disorder; /* to be read; disorder_none while there is none */

    /* Of text that arrives. Stream positions: 0 is the first byte of data in either direction. */
    struct buffer receive;     /* from what the user reads next */
    uint64_t receive_position; /* of rcv_nxt: everything below is in order */
    uint64_t ack_due_ns;       /* the delayed acknowledgement; STRAIT_NEVER: none is */
    uint32_t receive_limit_bytes;
    uint32_t receive_low; /* SO_RCVLOWAT; 0: any byte is worth a read */
    struct round round;   /* of the text that arrives */
    uint32_t ts_offset;   /* of our timestamp clock */

    /* Send sequence space (RFC 9293 3.3.1, figure 3), and its place among those that have something
     * to send */
    uint32_t snd_una, snd_nxt, snd_wnd, snd_wl1, snd_wl2;
    uint32_t snd_wnd_max; /* the largest window that the peer has offered */
    struct buffer send;   /* from snd_una (or the first byte) to the last byte queued */
    struct list output_node;

    /* What it waits for (timers.c), and what segments are made of */
    struct strait_timer timer; /* for due_ns, ack_due_ns or the end of the patience, or earlier */
    uint64_t due_ns;           /* what timer_purpose says; STRAIT_NEVER: nothing is */
    uint64_t waiting_since_ns; /* for the peer to take something: RETRANSMIT and PROBE */
    uint32_t snd_resend;       /* the next to send: snd_nxt, or below it while sending again */
    uint32_t snd_small_end;    /* end of the last segment that was short of an MSS (Minshall) */
    uint16_t path_mtu;
    uint16_t mss; /* payload bytes of a full segment, options taken off */
    uint8_t network_header_bytes;
    uint8_t ttl, tos;

    /* How fast text is sent, and where to */
    struct congestion congestion;
    const struct congestion_algorithm *algorithm;
    uint32_t recover;     /* RFC 6582 3.2 */
    uint32_t beyond_cwnd; /* bytes that may be outstanding besides cwnd (loss.c) */
    struct rtt rtt;
    uint32_t rtt_seq; /* acknowledged when the timed segment is */
    uint32_t rtt_started_us;
    struct interface *interface; /* of the route to the peer, whose ends are those of the tuple */

    /* How fast it arrives */
    struct rate rate;
    uint32_t sent_text_ms, segments_out, text_segments_out; /* for TCP_INFO */
    uint32_t user_timeout_ms; /* RFC 5482 3.1, the local one; 0: the retries decide */

    /* Opening, losses, attacks, urgent data, the end */
    struct list starved_node;
    uint32_t iss, irs;
    uint32_t high_rxt;       /* in recovery: all that is lost below was sent again (RFC 6675 2) */
    uint32_t ecn_reduced_at; /* snd_nxt then */
    uint32_t traced;         /* fingerprint of the values that the trace has told last */
    uint32_t snd_up;         /* behind the last urgent byte */
    uint64_t urgent_end;     /* behind the last byte that the peer has called urgent */
    uint64_t fin_position;

    /* What the user has set, and for TCP_INFO what has gone wrong */
    uint32_t unsent_low;  /* TCP_NOTSENT_LOWAT */
    uint16_t max_segment; /* 0: as the path has it */
    bool receive_fixed;   /* SO_RCVBUF: receive_limit_bytes does not grow */
    struct tcp_keepalive keepalive;
    uint32_t retransmitted; /* segments, in all */
    uint32_t out_of_order_segments, duplicate_reports;
    uint64_t retransmitted_bytes;
};
_Static_assert(offsetof(struct connection, state) == 64, "each group is a line of the cache");

/* What a block takes, so that it begins where a line does or in the middle of one. */
#define CONNECTION_BYTES                                                                           \
    ((sizeof(struct connection) + LINE_BYTES / 2 - 1) / (LINE_BYTES / 2) * (LINE_BYTES / 2))
_Static_assert(CONNECTION_BYTES <= 544, "100,000 idle connections take 62 MB");

struct half_open {
    struct entry entry;
    struct listener *listener;
    struct list node; /* of tcp.half_opens */
    uint32_t iss, irs;
    uint32_t ts_recent;
    uint16_t mss; /* the peer's offer */
    uint16_t window;
    uint16_t receive_window; /* our offer, and its scale */
    uint8_t receive_scale;
    uint8_t retries;
    uint8_t send_scale;
    bool scaling : 1;
    bool timestamps : 1;
    bool sack : 1;
    bool ecn : 1;
    uint32_t sent_at_us; /* the SYN-ACK, first or by the timer */
};

struct time_wait {
    struct entry entry;
    struct list node; /* of tcp.time_waits */
    uint32_t snd_nxt, rcv_nxt;
    uint32_t ts_recent;
    uint32_t timestamps : 1;
    uint32_t since_us : 31; /* its time has begun */
};
#define TIME_WAIT_CLOCK ((UINT32_C(1) << 31) - 1) /* 35 minutes; the longest time is ten */

/* A peer can make this host hold very many of both. */
_Static_assert(sizeof(struct half_open) <= 104, "the record of a SYN");
_Static_assert(sizeof(struct time_wait) <= 80, "the record of a connection that has ended");

struct listener {
    struct list node;
    struct address address;
    uint16_t port;
    uint16_t max_segment;    /* that its connections offer and send; 0: as the path has it */
    uint8_t syn_ack_retries; /* 0: the host's */
    uint8_t sharing;         /* HOLD_*: with whom it shares its address and port */
    void *owner;
    uint32_t backlog;
    uint32_t waiting;                              /* to be accepted */
    struct connection *accept_first, *accept_last; /* of those, NULL if there are none */
    uint32_t half_open_count;
    struct tcp_ip_settings ip; /* of its connections */
    uint64_t cookies_until_ns; /* before that, an ACK may bring one back that was sent here */
};

/*
 * Memory is shared in steps, so that each can be let go before the next is missed: what is sent
 * leaves three eighths of it to others, or a quarter if its connection holds little yet; what
 * arrives out of order leaves an eighth, what arrives in order nothing. A host whose senders held
 * all of it could take nothing from its peers, and one with many peers that do not read could
 * answer no other.
 */
#define MODEST_BYTES POOL_MEDIUM_BYTES

static inline size_t spare_of_much(const struct pool *pool)
{
    return pool->limit_bytes / 8 * 3;
}

static inline size_t spare_of_little(const struct pool *pool)
{
    return pool->limit_bytes / 4;
}

/* ---- connection.c: making, finding, ending ---- */

/*
 * Among very many connections none of this is in a cache. All that a segment needs of an entry, if
 * it is a connection, is asked for at once, but for its front, which tells what it is. It comes as
 * far as the second cache, which waits for many more lines at a time than the first: so those of a
 * batch are there in half the time.
 */
#define SECOND_CACHE 2 /* the locality that __builtin_prefetch is told */
static inline void entry_ask_for(const struct entry *e)
{
    const size_t last = offsetof(struct connection, user_timeout_ms);
    for (size_t at = LINE_BYTES; at < last; at += LINE_BYTES)
        __builtin_prefetch((const char *)e + at, 0, SECOND_CACHE);
    __builtin_prefetch((const char *)e + last, 0, SECOND_CACHE);
}

/* Whether a packet with such addresses and ports is for the entry. */
static inline bool entry_takes(const struct entry *e, const struct address *source,
                               const struct address *destination, uint16_t source_port,
                               uint16_t destination_port)
{
    return source_port == e->tuple.remote_port && destination_port == e->tuple.local_port &&
           address_equal(source, &e->tuple.remote) && address_equal(destination, &e->tuple.local);
}

/* The entry that a segment was likely for, or NULL if it is for another. */
static inline struct entry *entry_likely(struct tcp *tcp, const struct ip_packet *packet,
                                         const struct segment *s)
{
    struct likely *l = &tcp->likely;

    if (l->at >= l->count)
        return NULL;
    struct entry *e = l->list[l->at];
    if (!entry_takes(e, &packet->source, &packet->destination, s->source_port, s->destination_port))
        return NULL;
    if (l->at + 1 < l->count) /* segments come in trains: the last one stays likely */
        l->at++;
    return e;
}

/* The entry of a tuple, or NULL. It is likely that of the next segment, too. */
struct entry *entry_find(struct tcp *, const struct tuple *);

/* Puts the entry of a tuple into the table; all but half-open ones hold the local port from now on.
 * The next segment is likely for a connection that comes. Returns false when memory is short, which
 * it never is for a half-open one. */
bool entry_insert(struct tcp *, struct entry *, enum entry_kind, const struct tuple *);
void entry_remove(struct tcp *, struct entry *);

/* Puts an entry in the place of another that holds the port, and is to hold it as that one has. */
void entry_replace(struct tcp *, struct entry *old, struct entry *, enum entry_kind);

/* Others may bind to the local port of an entry that holds it: HOLD_*. */
void entry_share(struct tcp *, struct entry *, uint8_t sharing);

/*
 * A connection in the table, in `state`, its sequence numbers, options and congestion window still
 * to be set. NULL with errno ENOBUFS (limit) or ENOMEM.
 */
struct connection *connection_new(struct tcp *, const struct tuple *, const struct route *,
                                  enum tcp_state state);

/* The route to the peer, as it was found or has become. */
static inline struct route connection_route(const struct connection *c)
{
    return (struct route){
        .interface = c->interface,
        .source = c->entry.tuple.local,
        .destination = c->entry.tuple.remote,
        .mtu = c->path_mtu,
        .header_bytes = c->network_header_bytes,
        .ttl = c->ttl,
        .tos = c->tos,
        .may_be_cut = c->may_be_cut,
    };
}

/* Makes the packets of a route what the user wants them to be. */
static inline void route_set_ip(struct route *route, const struct tcp_ip_settings *settings)
{
    route->ttl = settings->ttl;
    route->tos = settings->tos;
    route->may_be_cut = settings->may_be_cut;
}

/* What the peer's SYN settles for the connection: scales, timestamps, MSS, the first window. */
void connection_negotiate(struct tcp *, struct connection *, const struct tcp_options *,
                          uint16_t window);

/* The MSS that is offered to a peer (RFC 9293 3.7.1): what the link can bring behind a header of
 * the network, or the user wants (0: as much). */
uint16_t connection_mss_offer(const struct interface *, uint8_t header_bytes, uint16_t max_segment);

/* Makes segments as small as the MTU of the route demands. */
void connection_fit_path(struct connection *);

/* The window scale that is offered for a receive buffer (RFC 7323 2.3). */
uint8_t connection_scale_offer(uint32_t receive_limit_bytes);

void connection_set_state(struct tcp *, struct connection *, enum tcp_state);

/* Ends the connection with an errno for its owner; frees it if nobody holds it. */
void connection_fail(struct tcp *, struct connection *, int error);

/* The same, telling the peer with a RST. */
void connection_abort(struct tcp *, struct connection *, int error);

/* The connection is over in order: frees it if nobody holds it. */
void connection_finish(struct tcp *, struct connection *);

/* The connection is in TIME-WAIT: a record takes its place in the table (RFC 9293 3.6.1). */
void connection_time_wait(struct tcp *, struct connection *);

/* Puts it on the list of those who are told when memory has come back. */
void connection_starve(struct tcp *, struct connection *);

/* Tells the owner that its events may have changed. */
static inline void connection_wake(const struct tcp *tcp, const struct connection *c)
{
    if (!c->queued && c->owner)
        tcp->wake(tcp->wake_context, c->owner);
}

/* Whether it stands in the table, and segments still reach it. */
static inline bool connection_is_open(const struct connection *c)
{
    return c->state != STATE_CLOSED && c->state != STATE_TIME_WAIT;
}

/* Bytes that wait to be read. */
static inline uint64_t connection_readable(const struct connection *c)
{
    return c->receive_position - c->receive.start;
}

/* Whether the user may queue more (Linux's rule: a third of the buffer is free). */
static inline bool connection_writable(const struct connection *c)
{
    return c->send.end - c->send.start <= c->send_limit_bytes / 3 * 2 &&
           (!c->unsent_limited || tcp_unsent(c) < c->unsent_low);
}

/* Our timestamp clock: milliseconds. */
static inline uint32_t timestamp_now(const struct core *core, uint32_t offset)
{
    return core_ms(core) + offset;
}

/* ---- input.c ---- */

/* A segment for a connection in any state (RFC 9293 3.10.7.3 and 3.10.7.4); it may be freed. */
void connection_input(struct tcp *, struct connection *, const struct segment *);

/* What the clauses on acceptability say of a segment, for connections and for records. */
bool sequence_is_inside(const struct segment *, uint32_t rcv_nxt, uint32_t window);

/* What is next is acceptable even where the window is shut: its text is trimmed off later, so that
 * the ACK, RST or FIN still counts. */
static inline bool sequence_acceptable(const struct segment *s, uint32_t rcv_nxt, uint32_t window)
{
    return s->seq == rcv_nxt || sequence_is_inside(s, rcv_nxt, window);
}

/* Whether the timestamp is older than the last one (PAWS, RFC 7323 5.3). */
bool timestamp_is_old(const struct segment *, uint32_t ts_recent);

/* ---- receive.c ---- */

/* Puts the segment's text into the buffer at its place, and takes a FIN whose turn has come. */
void receive_text(struct tcp *, struct connection *, const struct segment *);

/* Takes the urgent pointer of a segment with URG, and tells the user if it leads further. */
void receive_urgent(struct tcp *, struct connection *, const struct segment *);

/* Drops the books on out-of-order data, but not the data: it goes with the buffer. */
void receive_forget_out_of_order(struct tcp *, struct connection *);

/* Whether all up to the peer's FIN has come. */
static inline bool receive_fin_taken(const struct connection *c)
{
    return c->fin_seen && c->receive_position >= c->fin_position;
}

/* The window field of the next segment (not a SYN); moves rcv_edge, never to the left. */
uint16_t receive_window(struct tcp *, struct connection *);

/* The window field of a SYN, which is not scaled (RFC 7323 2.2). */
uint16_t receive_window_of_syn(uint32_t receive_limit_bytes);

/* The user has read: asks for a window update if that is worth a segment (RFC 9293 3.8.6.2.2). */
void receive_consumed(struct tcp *, struct connection *);

/* The user has read so many bytes in a round trip: the buffer may grow, and so the window. */
void receive_grow(const struct tcp *, struct connection *, uint32_t read_bytes);

/* ---- output.c ---- */

/* Puts the connection on the list of those that tcp_advance looks at. */
void output_queue(struct tcp *, struct connection *);

/*
 * Sends what may be sent now, at most about OUTPUT_QUANTUM bytes, and an acknowledgement if one is
 * due and nothing else carried it. Returns true when there is more to send.
 */
bool output_run(struct tcp *, struct connection *);

/* Sends the SYN, or the SYN-ACK in SYN-RECEIVED, for the first time or again. */
void output_syn(struct tcp *, struct connection *);

/* Sends an acknowledgement without text. */
void output_ack(struct tcp *, struct connection *);

/*
 * Sends again from `seq`, which was sent before: a segment, of `most` bytes at most, whatever the
 * windows say. Returns the sequence space that went out.
 */
uint32_t output_retransmit(struct tcp *, struct connection *, uint32_t seq, uint32_t most);

/* The zero-window probe (RFC 9293 3.8.6.1). */
void output_probe(struct tcp *, struct connection *);

/* The keep-alive probe (RFC 9293 3.8.4). */
void output_keepalive(struct tcp *, struct connection *);

/* Whether what waits is held by TCP_CORK or MSG_MORE, and by nothing else. */
bool output_is_corked(const struct connection *);

/*
 * Whether a segment that is wrong may be answered now: each connection and record has a pace of its
 * own (RFC 5961 7), or two that disagree would answer each other for ever.
 */
bool output_may_challenge(struct core *, struct entry *);

/* An acknowledgement that tells a peer what is wrong with its segment, at that pace. */
void output_challenge_ack(struct tcp *, struct connection *);

/* A RST for this connection. */
void output_reset(struct tcp *, struct connection *);

/* The sequence number of send.start. */
static inline uint32_t output_first_seq(const struct connection *c)
{
    bool opening = c->state == STATE_SYN_SENT || c->state == STATE_SYN_RECEIVED;

    return opening ? c->iss + 1 : c->snd_una;
}

/* The number after the last byte that the user has queued: that of our FIN. */
static inline uint32_t output_end_seq(const struct connection *c)
{
    return output_first_seq(c) + (uint32_t)(c->send.end - c->send.start);
}

/* Sends a segment without payload that belongs to no connection; its ports are the tuple's. */
void output_along(struct tcp *, const struct route *, const struct tuple *, struct segment *);

/* The same on a route that is found first, and is the host's own choice if the settings are NULL.
 */
void output_stateless(struct tcp *, const struct tuple *, const struct tcp_ip_settings *,
                      struct segment *);

/* The RST that answers a segment for which there is no connection (RFC 9293 3.10.7.1). */
void output_reset_reply(struct tcp *, const struct tuple *, const struct segment *);

/* ---- loss.c ---- */

/* New data was acknowledged: `bytes` of them, with `flight` outstanding before. */
void loss_acked(struct connection *, uint32_t bytes, uint32_t flight);

/* A duplicate acknowledgement (RFC 5681 2; with SACK, RFC 6675 2). */
void loss_duplicate_ack(struct tcp *, struct connection *);

/*
 * In a recovery: sends again what follows SND.UNA, if that is due, and with SACK what else is lost,
 * as far as the congestion window allows.
 */
void loss_fill_holes(struct tcp *, struct connection *);

/*
 * After a timeout: takes snd_resend over what the peer has reported since, and accounts for that.
 * Returns how many bytes from there on it has not reported, UINT32_MAX if there is no limit.
 */
uint32_t loss_pass_over(struct connection *);

/* The retransmission timer has expired on data. */
void loss_timeout(struct tcp *, struct connection *);

/* What is in flight was too big for the path; the MSS fits it now. */
void loss_too_big(struct tcp *, struct connection *);

/* ---- icmp.c ---- */

/* An ICMP error about a segment of ours; `self` is the struct tcp. A connection may be freed. */
void tcp_error(void *self, const struct ip_error *);

/* ---- disorder.c ---- */

/* In order: everything is empty. */
extern const struct disorder disorder_none;

/* To be written; NULL if there is none. */
struct disorder *disorder_of(struct connection *);

/* The same, made if there is none; NULL when memory is short. */
struct disorder *disorder_make(struct connection *);

/* Frees it if everything in it is empty. */
void disorder_settle(struct connection *);

/* Forgets what the peer has reported. */
void disorder_forget_sacked(struct connection *);

/* Frees it; there is no out-of-order data any more. */
void disorder_free(struct connection *);

/* ---- sack.c: what we report ---- */

/* A segment has come, and is not stored yet: what of its text was here before is to be reported. */
void sack_note_duplicate(const struct tcp *, struct connection *, const struct segment *);

/* The text at `position` has joined the out-of-order data. */
void sack_note_arrival(struct connection *, uint64_t position);

/* The out-of-order data was dropped: it must not be reported again. */
void sack_forget_arrivals(struct connection *);

/* Whether there is something to report: out-of-order data or a duplicate. */
static inline bool sack_is_due(const struct connection *c)
{
    const struct disorder *d = c->disorder;

    return c->sack && (d->out_of_order.count > 0 || d->report.duplicate.end > 0);
}

/*
 * Puts the blocks that are due into the options of a segment with `length` bytes of text. Returns
 * false if it has no room for them, so that they still have to be sent.
 */
bool sack_report(struct tcp *, struct connection *, uint32_t length, struct tcp_options *);

/* ---- sack.c: what the peer reports ---- */

/* Takes the blocks of an acknowledgement. Returns whether they tell of more bytes than before. */
bool sack_take(struct tcp *, struct connection *, const struct segment *);

/* SND.UNA has moved: forgets what lies below it, and everything if the peer has taken some back. */
void sack_acknowledged(struct tcp *, struct connection *);

/* Whether what follows SND.UNA is to be taken for lost (RFC 6675 4, IsLost). */
bool sack_first_is_lost(const struct connection *);

/* Bytes above SND.UNA that are not on the path any more: SACKed, or lost and not sent again. */
uint32_t sack_left_path(const struct connection *);

/*
 * The first that is lost at or above `from` (RFC 6675 4, NextSeg (1)): its number and its length,
 * which may be that of many segments. Returns false if nothing is.
 */
bool sack_next_lost(const struct connection *, uint32_t from, uint32_t *seq, uint32_t *length);

/*
 * Moves *seq, at or above SND.UNA, to the end of the block that it stands in, if it does. Returns
 * the bytes from there to the next block, UINT32_MAX if none follows.
 */
uint32_t sack_hole(const struct connection *, uint32_t *seq);

/* Bytes that are SACKed below `seq`. */
uint32_t sack_bytes_below(const struct connection *, uint32_t seq);

/* ---- ecn.c ---- */

/* Whether a SYN asks for ECN; whether a SYN-ACK agrees, which one that reflects both bits does not
 * (RFC 3168 6.1.1). */
static inline bool ecn_is_asked(uint8_t flags)
{
    return (flags & (TCP_ECE | TCP_CWR)) == (TCP_ECE | TCP_CWR);
}

static inline bool ecn_is_agreed(uint8_t flags)
{
    return (flags & (TCP_ECE | TCP_CWR)) == TCP_ECE;
}

/* A segment with text in the window has come, on a connection with ECN. */
void ecn_take_text(struct tcp *, struct connection *, const struct segment *);

/* Gives text that is sent for the first time, and that the window has room for, ECT and the CWR
 * that is due. */
void ecn_mark_text(struct connection *, struct segment *, uint32_t length);

/* New data was acknowledged on a connection with ECN, with `flight` outstanding before. */
void ecn_take_ack(struct tcp *, struct connection *, const struct segment *, uint32_t flight);

/* The congestion window was reduced, for whatever reason: the peer will be told. */
void ecn_window_reduced(struct connection *);

/* Whether the window was reduced, for a mark, since what is lost now was sent. */
bool ecn_has_reduced(const struct connection *);

/* ---- info.c ---- */

/* Linux's number of the state (include/net/tcp_states.h). */
uint8_t tcp_linux_state(enum tcp_state);

/* ---- trace.c ---- */

void trace_tell(struct tcp *, struct connection *, enum strait_trace_event, uint64_t position,
                uint32_t length);
void trace_tell_changes(struct tcp *, struct connection *);

/* Something has happened that a trace shows. Costs one test where nobody listens. */
static inline void trace(struct tcp *tcp, struct connection *c, enum strait_trace_event event,
                         uint64_t position, uint32_t length)
{
    if (__builtin_expect(tcp->core->trace != NULL, 0))
        trace_tell(tcp, c, event, position, length);
}

/* The values may have changed. */
static inline void trace_changes(struct tcp *tcp, struct connection *c)
{
    if (__builtin_expect(tcp->core->trace != NULL, 0))
        trace_tell_changes(tcp, c);
}

/* ---- timers.c ---- */

/* Settles what the connection now waits for, and until when. */
void timers_arm(struct tcp *, struct connection *);

/* The patience with the peer has become shorter. */
void timers_hasten(struct tcp *, struct connection *);

/* Starts the delayed acknowledgement if it is due and not running, stops it if not due. */
void timers_arm_ack(struct tcp *, struct connection *);

void timers_stop(struct tcp *, struct connection *);

/* When what timer_purpose says is due, or the patience with the peer ends. */
uint64_t timers_due_ns(const struct tcp *, const struct connection *);

/* A new connection waits for nothing. */
void timers_init(struct connection *);

/* What timer_purpose says is to be settled anew. */
void timers_forget(struct connection *);

/* ---- listen.c ---- */

/* The listener for the local address and port of a tuple, or NULL: of those that share one, by the
 * hash of the tuple. */
struct listener *listener_find(struct tcp *, const struct tuple *);

/* Whether a SYN would be taken now, and get a record. */
bool listener_has_room(const struct tcp *, const struct listener *);

/* A segment for a listener (RFC 9293 3.10.7.2). A new ISS exceeds *iss_above, if that is not NULL.
 */
void listener_input(struct tcp *, struct listener *, const struct tuple *, const struct segment *,
                    const uint32_t *iss_above);

void half_open_input(struct tcp *, struct half_open *, const struct segment *);

/* ---- halfopen.c ---- */

/* Fills in the SYN-ACK of a record, and its route. Returns false if there is no way to the peer. */
bool half_open_syn_ack(const struct tcp *, const struct half_open *, struct segment *,
                       struct route *);

/* Sends it; to the peer that has missed it, between two turns of the timer. */
void half_open_answer(struct tcp *, const struct half_open *);

/*
 * The ACK that answers what is not acceptable (RFC 9293 3.10.7.4, first), and the challenge of RFC
 * 5961 3.2 and 4.2: who really lost the connection answers it with a RST.
 */
void half_open_challenge(struct tcp *, struct half_open *);

/* Puts a record that says all of its SYN into the table, and sends the SYN-ACK: again and again,
 * until the record is freed. */
void half_open_begin(struct tcp *, struct half_open *, const struct tuple *);
void half_open_free(struct tcp *, struct half_open *);

/* When the SYN-ACK is sent again, or the record ends. */
uint64_t half_open_due_ns(const struct tcp *, const struct half_open *);

/* What tcp.half_open_timer does. */
void half_open_expired(void *owner, struct strait_timer *);

/* ---- timewait.c ---- */

/* A record of what a connection's number spaces look like; NULL when memory is short. */
struct time_wait *time_wait_new(struct tcp *, const struct connection *);

/* Puts it into the table, in the place of its connection, and starts its time of 2 MSL. */
void time_wait_inherit(struct tcp *, struct time_wait *, struct entry *connection);

/*
 * A segment for a record. Returns true if it is a SYN that opens a new connection on the tuple (RFC
 * 6191), for which there is a listener if `may_open`; the record is then gone, and *iss_above is
 * what the new ISS has to exceed.
 */
bool time_wait_input(struct tcp *, struct time_wait *, const struct segment *, bool may_open,
                     uint32_t *iss_above);
void time_wait_free(struct tcp *, struct time_wait *);

/* When its time is over. */
uint64_t time_wait_end_ns(const struct tcp *, const struct time_wait *);

/* What tcp.time_wait_timer does. */
void time_wait_expired(void *owner, struct strait_timer *);

#endif
