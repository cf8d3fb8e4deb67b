/* SPDX-License-Identifier: MIT */
/*
 * A trial: one script is played against one subject, and what it does is written down, step by
 * step, so that the trials of two subjects can be laid side by side. A script says what happens to
 * the subject, never what it ought to do:
 *
 *     static void reset_at_the_next_byte(struct trial *t)
 *     {
 *         established(t);
 *         peer(t, "R 1:1(0)");       // a segment arrives from the peer
 *         app_recv(t, 100);          // the application receives
 *     }
 *
 * Each step is a line of the trial, with its outcome: the result of the call, then the packets that
 * the subject has sent until the next step.
 *
 *     peer: R 1:1(0)                 (nothing)
 *     app: recv 100                  ECONNRESET
 *
 * Lines to and from the subject are in the notation of tests/tcp/notation.h. Sequence numbers are
 * relative to the ISS of their sender; the subject's is learned from its SYN and is 0 before that.
 * What the subject sends is normalised to what an RFC can judge: addresses, ports, IP-ID, TTL and
 * windows are left out, and of the options of a SYN and of timestamps the values. Payload is a
 * fixed stream of bytes on either side, as in tests/tcp; where it is not, the line says so.
 *
 * A packet of the peer without a list of options carries a timestamp if both SYNs had one; its echo
 * is always the last timestamp of the subject. Without `win` its window is 65535.
 */
#ifndef TESTS_ORACLE_TRIAL_H
#define TESTS_ORACLE_TRIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "subject.h"

#define TRIAL_STEPS  80
#define TRIAL_FLOWS  8
#define WHAT_BYTES   160
#define RESULT_BYTES 1400

#define STEP_MS 5  /* what a step takes: less than any timer of TCP */
#define REST_MS 60 /* longer than a delayed acknowledgement */

struct step {
    char what[WHAT_BYTES];
    char outcome[RESULT_BYTES];
};

/* A connection, or more than one in turn, between the subject's port and a port of the peer. */
struct flow {
    uint16_t peer_port;
    uint32_t peer_iss, iss;
    bool iss_known;
    bool ts_sent, ts_offered; /* by the subject, by the peer: in the SYN */
    uint32_t ts_last;         /* of the subject */
    uint32_t next;            /* relative: what the peer sends next, as the state left it */
    uint32_t end;             /* relative: behind all that the subject has sent */
    uint32_t sent, received;  /* bytes, by the application */
    int fd;                   /* -1 if there is none */
};

struct trial {
    struct subject *subject;
    uint32_t peer_address;
    uint16_t port; /* of the subject */
    int listener;  /* -1 if there is none */
    unsigned now_ms;
    bool hides_push; /* packets are written without PSH */

    struct flow flows[TRIAL_FLOWS];
    struct flow *flow;     /* that the steps speak of */
    uint8_t last_sent[64]; /* the beginning of the subject's last segment */
    size_t last_sent_bytes;

    struct step steps[TRIAL_STEPS];
    size_t step_count;
};

struct script {
    const char *name;
    void (*state)(struct trial *); /* first, if it is not NULL */
    void (*run)(struct trial *);
};

/*
 * Plays the script, with a peer and at a port of the subject that no trial of another number has:
 * what a host remembers of one does not disturb the next. The caller frees the trial.
 */
struct trial *trial_run(const struct script *, struct subject *, unsigned number);

/* ---- The peer ---- */

/* A packet arrives; STEP_MS pass, or REST_MS. */
void peer(struct trial *, const char *format, ...) __attribute__((format(printf, 2, 3)));
void peer_then_rest(struct trial *, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* An ICMP error about the last segment of the subject; `mtu` is that of RFC 1191, or 0. */
void peer_icmp(struct trial *, uint8_t type, uint8_t code, uint16_t mtu);

/* Time passes. */
void rest(struct trial *, unsigned ms);

/* The steps speak of this connection from now on; 0 at the beginning. */
void on_flow(struct trial *, unsigned index);

/* Between the same ports another connection begins: the peer's ISS is moved up by `above`. */
void next_connection(struct trial *, uint32_t above);

/* ---- The application ---- */

void app_listen(struct trial *, int backlog);
void app_accept(struct trial *);
void app_socket(struct trial *); /* and binds it to the subject's port */
void app_connect(struct trial *);
void app_send(struct trial *, size_t bytes);
void app_send_more(struct trial *, size_t bytes); /* MSG_MORE */
void app_recv(struct trial *, size_t bytes);
void app_shutdown(struct trial *, int how);
void app_close(struct trial *);
void app_close_listener(struct trial *);
void app_linger(struct trial *, int seconds);
void app_error(struct trial *);  /* SO_ERROR */
void app_events(struct trial *); /* of poll */

/* Sets an option that is an int; `name` is for the trial. */
#define app_set(t, level, option, value) trial_set(t, level, option, #option, value)
void trial_set(struct trial *, int level, int option, const char *name, int value);

/* ---- States of RFC 9293 3.3.2, each from the one before it ---- */

void syn_sent(struct trial *);
void syn_received(struct trial *);
void established(struct trial *);
void fin_wait_1(struct trial *);
void fin_wait_2(struct trial *);
void closing(struct trial *);
void time_wait(struct trial *);
void close_wait(struct trial *);
void last_ack(struct trial *);

/* What the peer sends next, and what it has received: the subject's SND.NXT. */
uint32_t peer_next(const struct trial *);
uint32_t peer_acks(const struct trial *);

#endif
