/* SPDX-License-Identifier: MIT */
/*
 * TCP as the layers beside and above see it: the user calls of RFC 9293 3.9.1 on connections and
 * listeners. TCP owns both; a socket is a handle that stands in `owner` and is told of changes
 * through one hook. What a connection is made of stands in connection.h, private to this folder.
 */
#ifndef TCP_TCP_H
#define TCP_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/list.h"
#include "base/slab.h"
#include "base/table.h"
#include "base/timer.h"
#include "ip/ip.h"
#include "ip/ports.h"
#include "tcp/holds.h"
#include "tcp/rtt.h"
#include "tcp/spent.h"

struct connection;
struct entry;
struct listener;

#define TCP_LISTENER_BUCKETS 64
#define TCP_SEGMENT_UNTOLD   536 /* RFC 9293 3.7.1, MUST-15 */

/* The entries of the table that the next segments are likely for, in their order. */
#define TCP_EXPECTED_MAX 16
struct likely {
    struct entry *list[TCP_EXPECTED_MAX]; /* from `at` to `count` */
    uint8_t at, count;
};

struct tcp {
    struct core *core;
    struct ip *ip;
    struct ports ports;   /* bound sockets and listeners */
    struct holds holds;   /* ports of connections and those in TIME-WAIT */
    struct table entries; /* connections, half-open ones and those in TIME-WAIT, by tuple */
    struct likely likely;
    struct slab connection_slab, half_open_slab, time_wait_slab;
    struct timer_wheel timers;                   /* its owner is this struct */
    struct list listeners[TCP_LISTENER_BUCKETS]; /* by port */
    struct list output;                          /* connections that may have something to send */
    struct list starved;                         /* connections that wait for memory */
    struct list fed;                             /* those whose turn it is to be told of some */
    size_t starved_room;                         /* the least of it since all have been told */
    struct list half_opens[RTT_BACKOFF_MAX + 1]; /* by retries, in the order of their turn */
    struct strait_timer half_open_timer;         /* for the first of all, or earlier */
    struct list time_waits;                      /* in the order in which they end */
    struct strait_timer time_wait_timer;         /* for the first of them, or earlier */
    uint32_t connections, half_open, time_wait;  /* how many there are */
    uint32_t orphans;                            /* of the connections */
    size_t out_of_order_bytes;                   /* of memory, of all connections */
    bool silent;                                 /* the stack is being freed */
    uint32_t ports_drawn;                        /* local ports drawn so far (RFC 6056 3.3.3) */
    /* Tells the owner of a connection or listener that its events may have changed; only sets bits
     * and queues. */
    void (*wake)(void *context, void *owner);
    void *wake_context;
    struct spent_cookies spent;
};

/* Makes the layer; `core` and `ip` outlive it. Returns false when memory is short. */
bool tcp_init(struct tcp *, struct core *, struct ip *);

/* From now on nothing is sent. */
void tcp_silence(struct tcp *);

/* Frees every connection without a word on the wire; listeners and owners are gone. */
void tcp_finish(struct tcp *);

/* Registered with IP by the stack; `self` is the struct tcp. */
extern const struct ip_protocol tcp_protocol;

/*
 * Fetches what segments will need that are expected soon into the caches, all at once: of the
 * payloads the ports, TCP_GLANCE_BYTES, are there. It changes nothing but what is likely.
 */
#define TCP_GLANCE_BYTES 4
void tcp_expect(struct tcp *, const struct ip_glance *, int count);

/* Runs the timers that are due and sends what may be sent. Returns the next deadline. */
uint64_t tcp_advance(struct tcp *);

/* What the packets of a connection are from now on, and what is told of those that are lost. */
struct tcp_ip_settings {
    uint8_t ttl, tos;    /* RFC 9293 3.9.2, 3.9.1.9; the Diffserv field only */
    bool may_be_cut;     /* DF is not set */
    bool tells_failures; /* what ICMP says is an error at once, not when it comes to a timeout */
};

/* ---- Listening (RFC 9293 3.9.1.1, passive OPEN) ---- */

/*
 * Listens on the address and port that `binding` has claimed. `backlog` is how many connections may
 * wait to be accepted, at least 1, and how many may be half-open, at least TCP_HALF_OPEN_MIN.
 * Returns NULL with errno ENOMEM.
 */
struct listener *tcp_listen(struct tcp *, const struct binding *binding, int backlog, void *owner);

void tcp_listener_set_backlog(struct listener *, int backlog);

/* What is known only when a connection opens, as tcp_set_opening has it; syn_retries are those of
 * the SYN-ACK (0: the host's). */
void tcp_listener_set_opening(struct listener *, uint16_t max_segment, uint8_t syn_retries);

/* What the packets of its connections are, from the SYN-ACK on. */
void tcp_listener_set_ip(struct listener *, const struct tcp_ip_settings *);

/* With whom it and its connections share the port: as the binding says. With SO_REUSEPORT, others
 * of the same address get a part of the connections. */
void tcp_listener_set_reuse(struct listener *, const struct binding *);

/*
 * Whether a connection, or what is left of one in TIME-WAIT, holds the port of an address against a
 * socket that wants to bind to it, by the rule of ports_bind.
 */
bool tcp_port_is_held(const struct tcp *, const struct binding *wants, const struct address *,
                      uint16_t port);

/* Ends the listener; connections that nobody accepted are reset. */
void tcp_listener_close(struct tcp *, struct listener *);

/* Takes the oldest established connection and gives it an owner; NULL if none waits. */
struct connection *tcp_accept(struct tcp *, struct listener *, void *owner);

/* POLLIN when a connection waits. */
short tcp_listener_events(const struct listener *);

/* ---- Connections ---- */

/*
 * Active OPEN. `local` is the bound address and port, or NULL for any. Returns a connection in
 * SYN-SENT, or NULL with errno EADDRNOTAVAIL (no free port, or the pair exists),
 * ENOBUFS (too many connections), ENOMEM, or that of ip_route_find.
 */
struct connection *tcp_connect(struct tcp *, const struct binding *local,
                               const struct address *remote, uint16_t remote_port, void *owner);

/* SEND. `more` holds a short segment back as a cork does, until the next call (MSG_MORE). Returns
 * the bytes taken, or -1 with errno: EAGAIN (no room now), EPIPE (closed for sending), or the
 * connection's pending error. */
ssize_t tcp_send(struct tcp *, struct connection *, const struct iovec *parts, int count,
                 bool more);

/* The same for one part, which is taken as a whole if there is some room, or not at all. Returns 0,
 * or -1. */
int tcp_send_whole(struct tcp *, struct connection *, const struct iovec *part);

/*
 * SEND without a copy: takes all of the bytes or none of them, whenever there is some room.
 * `release(argument)` is called when they are not needed any more, from whatever call that happens
 * in. Returns 0, or -1 with errno as tcp_send (and then release is not called).
 */
int tcp_send_reference(struct tcp *, struct connection *, const void *bytes, size_t length,
                       void (*release)(void *argument), void *argument);

/* What tcp_send took last is urgent (RFC 9293 3.8.5): the urgent pointer stands behind it. */
void tcp_mark_urgent(struct tcp *, struct connection *);

/* RECEIVE. Returns the bytes given (0: the peer has closed), or -1 with errno: EAGAIN or the
 * pending error. With `peek` they stay; a part without an address gets none. What stands in front
 * of the last urgent byte and what begins with it are given by two calls. */
ssize_t tcp_receive(struct tcp *, struct connection *, const struct iovec *parts, int count,
                    bool peek);

/*
 * RECEIVE without a copy, in two steps: shows what the next tcp_receive would give, in at most
 * `max` parts, which stay as they are until something is received or thrown away; and takes the
 * first `bytes` of it. tcp_borrow returns the number of parts, 0 for the end, or -1 with errno as
 * tcp_receive; tcp_consume returns 0, or -1 with EINVAL if there is not so much.
 */
int tcp_borrow(struct connection *, struct iovec *parts, int max);
int tcp_consume(struct tcp *, struct connection *, size_t bytes);

/* Whether the next byte to be read is the last urgent one. */
bool tcp_is_at_mark(const struct connection *);

/* CLOSE for sending: FIN after what is queued. Returns 0, or -1 with errno ENOTCONN. */
int tcp_shutdown_send(struct tcp *, struct connection *);

/* Stops receiving: what arrives from now on is acknowledged and thrown away, and a read returns 0.
 */
void tcp_shutdown_receive(struct tcp *, struct connection *);

/*
 * The owner goes. The connection closes in order, or with a RST if data was not read (RFC
 * 2525 2.17), if `reset` is set (ABORT, RFC 9293 3.9.1.6), or if there are orphans_max orphans. The
 * pointer is not to be used again.
 */
void tcp_close(struct tcp *, struct connection *, bool reset);

/*
 * The same in two steps, for an owner who waits for the end: after the first nothing may be asked
 * but tcp_is_leaving (whether there is still something to be acknowledged), and after the second
 * the pointer is not to be used again.
 */
void tcp_leave(struct tcp *, struct connection *, bool reset);
bool tcp_is_leaving(const struct connection *);
void tcp_let_go(struct tcp *, struct connection *);

/* POLLIN, POLLPRI, POLLOUT, POLLRDHUP, POLLHUP, POLLERR as they stand; those that are not `wanted`
 * may be left out. */
int tcp_events(const struct connection *, int wanted);

/* Whether the three-way handshake is still under way. */
bool tcp_is_opening(const struct connection *);

/* Whether the connection has ended: in order, by an error or a RST, or before it opened. */
bool tcp_is_closed(const struct connection *);

/* The pending error (an errno), which is cleared by this; 0 if none. */
int tcp_take_error(struct connection *);

/* What an ICMP error says may hinder a connection that lives (RFC 9293 3.9.1.8), as an errno, told
 * once; 0 if nothing, or if the peer has taken something since. */
int tcp_take_soft_error(struct connection *);

struct tcp_names {
    struct address local, remote;
    uint16_t local_port, remote_port;
};
struct tcp_names tcp_names(const struct connection *);

/* Nagle's algorithm (RFC 9293 3.7.4) off or on. What is queued at that moment goes, even corked. */
void tcp_set_nodelay(struct tcp *, struct connection *, bool on);

/* Whether a segment short of an MSS waits, for 200 ms at most once nothing is in flight. */
void tcp_set_cork(struct tcp *, struct connection *, bool on);

void tcp_set_ip(struct connection *, const struct tcp_ip_settings *);

/* The MTU of the path to the peer. */
int tcp_mtu(const struct connection *);

/* When an idle connection is probed, and how often (RFC 9293 3.8.4). */
struct tcp_keepalive {
    bool on;
    uint8_t count;       /* probes without an answer that end the connection */
    uint16_t idle_s;     /* without a segment from the peer, before the first probe */
    uint16_t interval_s; /* between probes */
};
void tcp_set_keepalive(struct tcp *, struct connection *, const struct tcp_keepalive *);

/*
 * How long the peer may leave what was sent unacknowledged, or its window shut, before the
 * connection ends with ETIMEDOUT (RFC 9293 3.8.3, R2). 0: as long as the retries last.
 */
void tcp_set_user_timeout(struct tcp *, struct connection *, uint32_t timeout_ms);

/* What only opening a connection knows: the largest segment that is offered and sent (0: as the
 * path has it), and how often the SYN is sent again (0: as configured). */
void tcp_set_opening(struct connection *, uint16_t max_segment, uint8_t syn_retries);

/* Whether what has arrived is acknowledged at once (RFC 9293 3.8.6.3 lets it wait). */
void tcp_set_quick_ack(struct tcp *, struct connection *, bool on);

/* No more is taken to be sent, and POLLOUT does not hold, while so much waits that was never sent.
 * 0: only the buffer decides. */
void tcp_set_unsent_low(struct tcp *, struct connection *, uint32_t bytes);

/* Payload bytes of a full segment. */
uint32_t tcp_mss(const struct connection *);

/* The name of the congestion control, as in TCP_CONGESTION. */
const char *tcp_congestion_default(void);

/* Bytes that were queued and that the peer has not acknowledged (a FIN counts as one), and those of
 * them that were never sent; bytes that wait to be read. */
uint32_t tcp_unacknowledged(const struct connection *);
uint32_t tcp_unsent(const struct connection *);
uint32_t tcp_readable(const struct connection *);

/* Who else may bind to the connection's port, now and in TIME-WAIT: as the binding says. */
void tcp_set_reuse(struct tcp *, struct connection *, const struct binding *);

/* POLLIN holds from so many bytes on, or when the window is full. */
void tcp_set_receive_low(struct connection *, uint32_t bytes);

/*
 * Buffer limits in bytes, which stay from then on; a receive buffer never shrinks below what was
 * advertised.
 */
void tcp_set_send_buffer(struct tcp *, struct connection *, uint32_t bytes);
void tcp_set_receive_buffer(struct tcp *, struct connection *, uint32_t bytes);

struct tcp_info;
/* Fills linux/tcp.h's struct tcp_info as far as its fields have a meaning here. */
void tcp_get_info(const struct tcp *, const struct connection *, struct tcp_info *);

/* The same of what is no connection: a listener, or NULL for a closed stream. */
void tcp_get_no_info(const struct listener *, struct tcp_info *);

/* Shows what stands in a part of the table, from *cursor on; for strait_inspect, whose `visit` this
 * is. Returns false when all has been shown. */
bool tcp_inspect(struct tcp *, uint32_t *cursor,
                 void (*visit)(void *context, const struct strait_endpoint *), void *context);

/* Tells of a listener what strait_inspect shows. */
void tcp_inspect_listener(const struct listener *, struct strait_endpoint *);

#endif
