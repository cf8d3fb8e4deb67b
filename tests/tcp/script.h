/* SPDX-License-Identifier: MIT */
/*
 * Packet-level scripts: tests that read like a trace of a connection.
 *
 * Strait is the host 10.0.0.1, the script is its peer 10.0.0.2, and between them is a link in
 * memory. Time is virtual: it stands still but in at, after, quiet and expect_after, which go from
 * deadline to deadline of strait_advance, so that every packet has its true time of sending. Strait
 * is driven through strait.h alone.
 *
 *     static void acknowledges_every_second_segment_rfc9293_3_8_6_3(void **state)
 *     {
 *         struct script *s = *state;
 *         established(s);
 *         recv(s, ". 1:1461(1460) ack 1");        // a segment arrives at Strait
 *         recv(s, ". 1461:2921(1460) ack 1");     // ... having sent nothing before this one
 *         expect(s, ". 1:1(0) ack 2921");         // Strait has sent this next
 *         app_recv(s, 2920);                      // ... and nothing else before this step
 *     }
 *
 * The notation of a line stands in notation.h. Its numbers are relative: sequence numbers to the
 * ISS of their sender, which is 0, so that data begins at 1. Strait's ISS is learned from the first
 * SYN that it sends (and is 0 before that). Strait's timestamps are relative, too: `TS val N` is
 * Strait's clock in milliseconds since the start of the script, by its first timestamp. The
 * remote's timestamps are as written; the remote's own clock begins at REMOTE_TS and counts
 * milliseconds.
 *
 * Payload is not written down: each side's data is a fixed stream of bytes of which a segment has
 * the part that its sequence numbers say. The script makes it for recv and app_send and examines it
 * in expect and app_recv.
 *
 * After every step the script demands that all that Strait sent is expected before the next step,
 * and at the end of the test. Besides what a line says, each packet that Strait sends is examined:
 * addresses, lengths, checksums, TTL, options, offload, size within the MTU, payload. A timestamp
 * is in every segment but RST once it is agreed on (RFC 7323 3.2), and the right edge of the window
 * never moves left (RFC 9293 3.8.6) by more than scaling takes. A failure prints the place in the
 * test, the two packets, and the last packets of the trace.
 *
 * What arrives in a recv without a list of options carries a timestamp if one is agreed on, and the
 * window of `s->flow->remote_window` if the line has none.
 */
#ifndef TESTS_TCP_SCRIPT_H
#define TESTS_TCP_SCRIPT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "notation.h"
#include "packet.h"
#include "strait.h"

/* In host order. */
#define LOCAL_ADDRESS  0x0a000001u
#define REMOTE_ADDRESS 0x0a000002u

#define SCRIPT_FLOWS      32
#define SCRIPT_TRACE      20
#define LOCAL_PORT        80
#define REMOTE_PORT       40000 /* of flow 0; flow i has REMOTE_PORT + i */
#define REMOTE_ISS        1000000u
#define REMOTE_TS         1000u
#define START_NS          1000000000000u
#define MS                UINT64_C(1000000)
#define TIMER_TICK_NS     (UINT64_C(1) << 16) /* a timer fires up to this much late */
#define DEFAULT_WINDOW    65535
#define NO_WINDOW_SCALING (-1)

/* The place in a test from which a step is called. */
struct place {
    const char *file;
    int line;
};

/* One connection, or more than one in turn, between a local and a remote port. */
struct flow {
    uint16_t local_port; /* 0 until Strait's first SYN shows it */
    uint16_t remote_port;
    uint32_t local_iss, remote_iss;
    uint16_t remote_window; /* for lines without `win` */
    int fd;                 /* of the application, -1 if there is none */

    uint32_t app_sent, app_received; /* bytes */

    /* What the script has learned from the packets. */
    bool local_iss_known, local_ts_known;
    uint32_t local_ts;      /* Strait's timestamp at the start of the script */
    uint32_t local_ts_last; /* the last that Strait sent: what the remote echoes */
    bool local_ts_offered, remote_ts_offered;
    int local_scale, remote_scale; /* NO_WINDOW_SCALING if not offered */
    bool edge_known, remote_fin;
    uint32_t edge; /* the right edge of the window that Strait has offered, absolute */
};

struct sent; /* a packet of Strait that waits to be expected */

struct script {
    struct strait_config config; /* for remake */
    struct strait_link link;     /* mtu and features: for remake */
    struct strait *stack;
    uint64_t now_ns, next_ns;
    int listener;

    struct flow flows[SCRIPT_FLOWS];
    struct flow *flow; /* that the lines speak of */

    struct sent *first, **last; /* sent and not yet expected, in order */
    struct sent *matched;       /* what the last expect returned */
    bool batch;
    bool over; /* the test has failed: nothing more is demanded of it */
    struct place last_step;

    char trace[SCRIPT_TRACE][LINE_BYTES];
    unsigned traced;

    /* Ends the test; does not return. */
    void (*failed)(struct script *, struct place, const char *report);
};

/* (An array, since a struct literal would be taken for a variable that setjmp may lose.) */
#define HERE (*(const struct place[]){{__FILE__, __LINE__}})

/* ---- A test ---- */

/* Set up and torn down by cmocka: *state becomes a struct script. */
int script_setup(void **state);
int script_teardown(void **state);
#define TEST(function) cmocka_unit_test_setup_teardown(function, script_setup, script_teardown)

/* Makes the stack anew after a change of s->config, s->link.mtu or s->link.features. */
#define remake(s) script_remake(s, HERE)
void script_remake(struct script *, struct place);

/* Ends the test with a message, both lines and the trace. */
_Noreturn void script_fail(struct script *, struct place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- Packets in. A `format` is that of a line of the notation. ---- */

/* A packet arrives, and Strait's driver does a turn (unless in a batch). */
#define recv(s, ...) script_recv(s, HERE, __VA_ARGS__)
void script_recv(struct script *, struct place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same as a super-packet whose segments have `gso_size` bytes of payload, checksum partial. */
#define recv_super(s, gso_size, ...) script_recv_super(s, HERE, gso_size, __VA_ARGS__)
void script_recv_super(struct script *, struct place, uint16_t gso_size, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Makes the bytes of a packet, to be changed by hand and given to recv_raw. Returns the length. */
#define build(s, bytes, ...) script_build(s, HERE, bytes, __VA_ARGS__)
size_t script_build(struct script *, struct place, uint8_t bytes[PACKET_BYTES_MAX],
                    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Any bytes arrive. */
#define recv_raw(s, bytes, length) script_recv_raw(s, HERE, bytes, length)
void script_recv_raw(struct script *, struct place, const void *bytes, size_t length);

/*
 * An ICMP error about a packet that Strait sent, quoting its IP header and 8 bytes (RFC 792).
 * `sent` is what an expect returned.
 */
#define recv_icmp_error(s, type, code, sent) script_recv_icmp_error(s, HERE, type, code, sent)
void script_recv_icmp_error(struct script *, struct place, uint8_t type, uint8_t code,
                            const struct packet *sent);

/* Between the two, packets arrive without a turn of the driver: they are one batch of a link. */
#define begin_batch(s) script_begin_batch(s, HERE)
#define end_batch(s)   script_end_batch(s, HERE)
void script_begin_batch(struct script *, struct place);
void script_end_batch(struct script *, struct place);

/* ---- Packets out ---- */

/*
 * The next packet that Strait has sent is this one. Returns it, with absolute numbers, for a closer
 * look; it is valid until the next expect.
 */
#define expect(s, ...) script_expect(s, HERE, __VA_ARGS__)
const struct packet *script_expect(struct script *, struct place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Nothing is sent until `ms` from now, and then, within a timer's tick, this. */
#define expect_after(s, ms, ...) script_expect_between(s, HERE, ms, ms, __VA_ARGS__)
/* Nothing is sent until `from_ms` from now, and until `to_ms`, this. */
#define expect_between(s, from_ms, to_ms, ...)                                                     \
    script_expect_between(s, HERE, from_ms, to_ms, __VA_ARGS__)
const struct packet *script_expect_between(struct script *, struct place, uint64_t from_ms,
                                           uint64_t to_ms, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Takes all that was sent, whatever it is, if only each packet is well-formed. Returns how many. */
#define take_all(s) script_take_all(s, HERE)
unsigned script_take_all(struct script *, struct place);

/* All that was sent has been expected: what every step demands, said aloud. */
#define expect_nothing(s) script_expect_nothing(s, HERE)
void script_expect_nothing(struct script *, struct place);

/* The bytes of a packet that an expect returned: the whole, from the IP header. */
const uint8_t *script_bytes(const struct script *, const struct packet *, size_t *length);

/* ---- Time ---- */

/* Time passes: to `ms` after the script's start, or by `ms`. What is sent waits to be expected. */
#define at(s, ms)    script_at(s, HERE, ms)
#define after(s, ms) script_after(s, HERE, ms)
void script_at(struct script *, struct place, uint64_t ms);
void script_after(struct script *, struct place, uint64_t ms);

/* Time passes and nothing is sent. */
#define quiet(s, ms) script_quiet(s, HERE, ms)
void script_quiet(struct script *, struct place, uint64_t ms);

/* Milliseconds since the script's start; the remote's timestamp clock. */
uint64_t script_now_ms(const struct script *);
uint32_t script_remote_ts(const struct script *);

/* ---- Connections ---- */

/* The lines speak of flow `index` from now on. */
#define on(s, index) script_on(s, HERE, index)
void script_on(struct script *, struct place, unsigned index);

/* Another connection between the same ports begins: its ISS of the remote is given, Strait's is
 * learned again. */
#define next_connection(s, iss) script_next_connection(s, HERE, iss)
void script_next_connection(struct script *, struct place, uint32_t iss);

/* ---- The application: non-blocking calls, each followed by a turn of the driver ---- */

/* A listener at LOCAL_PORT. */
#define app_listen(s, backlog) script_app_listen(s, HERE, backlog)
void script_app_listen(struct script *, struct place, int backlog);

/* Takes a connection: the flow's from now on. */
#define app_accept(s) script_app_accept(s, HERE)
void script_app_accept(struct script *, struct place);

/* No connection waits to be taken. */
#define app_accept_none(s) script_app_accept_none(s, HERE)
void script_app_accept_none(struct script *, struct place);

/* Begins to connect to the flow's remote port; the local port is learned. */
#define app_connect(s) script_app_connect(s, HERE)
void script_app_connect(struct script *, struct place);

/* A UDP socket bound to a local port, as the flow's descriptor. */
#define app_bind_udp(s, port) script_app_bind_udp(s, HERE, port)
void script_app_bind_udp(struct script *, struct place, uint16_t port);

/* Connects it to the flow's remote port. */
#define app_connect_udp(s) script_app_connect_udp(s, HERE)
void script_app_connect_udp(struct script *, struct place);

/* Sends the stream's next bytes (a datagram: the first); all of them are taken. */
#define app_send(s, bytes) script_app_send(s, HERE, bytes)
void script_app_send(struct script *, struct place, size_t bytes);

/* The same with MSG_MORE. */
#define app_send_more(s, bytes) script_app_send_more(s, HERE, bytes)
void script_app_send_more(struct script *, struct place, size_t bytes);

/* The same with MSG_OOB. */
#define app_send_urgent(s, bytes) script_app_send_urgent(s, HERE, bytes)
void script_app_send_urgent(struct script *, struct place, size_t bytes);

/* Sends as many of `bytes` as are taken, and returns how many. */
#define app_send_some(s, bytes) script_app_send_some(s, HERE, bytes)
size_t script_app_send_some(struct script *, struct place, size_t bytes);

/* Receives exactly so many bytes in one call; they are the remote's next ones. */
#define app_recv(s, bytes) script_app_recv(s, HERE, bytes)
void script_app_recv(struct script *, struct place, size_t bytes);

/* Receiving yields the end of the stream; or fails with this errno (EAGAIN: nothing is there). */
#define app_recv_end(s)          script_app_recv_fails(s, HERE, 0)
#define app_recv_fails(s, error) script_app_recv_fails(s, HERE, error)
void script_app_recv_fails(struct script *, struct place, int expected);

/* Whether what comes next is at the mark of urgent data: strait_sockatmark. */
#define app_at_mark(s, expected) script_app_at_mark(s, HERE, expected)
void script_app_at_mark(struct script *, struct place, int expected);

/* Sending fails with this errno. */
#define app_send_fails(s, error) script_app_send_fails(s, HERE, error)
void script_app_send_fails(struct script *, struct place, int expected);

#define app_shutdown(s, how) script_app_shutdown(s, HERE, how)
void script_app_shutdown(struct script *, struct place, int how);

/* Closes the flow's descriptor; or the listener. */
#define app_close(s) script_app_close(s, HERE)
void script_app_close(struct script *, struct place);
#define app_close_listener(s) script_app_close_listener(s, HERE)
void script_app_close_listener(struct script *, struct place);

/* Sets an option of the flow's descriptor, or of the listener if the flow has none. */
#define app_set(s, level, name, value) script_app_set(s, HERE, level, name, value)
void script_app_set(struct script *, struct place, int level, int name, int value);

/* SO_LINGER with this time, 0 for a reset. */
#define app_linger(s, seconds) script_app_linger(s, HERE, seconds)
void script_app_linger(struct script *, struct place, int seconds);

/* SO_ERROR is this errno. */
#define app_error(s, error) script_app_error(s, HERE, error)
void script_app_error(struct script *, struct place, int expected);

/* These events, and no others, of POLLIN, POLLPRI, POLLOUT, POLLRDHUP, POLLHUP and POLLERR are
 * there. */
#define app_events(s, events) script_app_events(s, HERE, events)
void script_app_events(struct script *, struct place, short expected);

/*
 * For a call that has no step of its own: it stands between these two. The text is for the trace.
 */
#define step_begins(s, ...) script_step_begins(s, HERE, __VA_ARGS__)
#define step_ends(s)        script_step_ends(s, HERE)
void script_step_begins(struct script *, struct place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void script_step_ends(struct script *, struct place);

/* The value of a counter. */
#define counter(s, name) script_counter(s, HERE, name)
uint64_t script_counter(struct script *, struct place, const char *name);

#endif
