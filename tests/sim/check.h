/* SPDX-License-Identifier: MIT */
/*
 * The checkers of stream worlds, apart from the workload. They hear two stories about each
 * connection, that of the applications at its ends (check_opened, check_read ...) and that of the
 * wire next to each end host (check_packet), and hold one against the other and both against TCP's
 * rules. What is wrong is kept as text.
 *
 * Of the applications: every byte arrives once and in order, or the connection ends in an error
 * that something explains; the end of the stream stands behind the last byte; after healing
 * everything finishes, and nothing is left.
 *
 * Of the wire, for what each host sends: checksums, sizes and numbers are right; the bytes are the
 * stream's; nothing goes beyond the furthest right edge that has arrived (the one byte of a probe
 * excepted) nor behind a FIN; its own right edge never moves left; it acknowledges what has arrived
 * and nothing else; it does not send again what was acknowledged; it resets only with a reason, and
 * is silent after it was reset.
 */
#ifndef TESTS_SIM_CHECK_H
#define TESTS_SIM_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "scenario.h"
#include "strait.h"

struct check;

/* Times are the world's. The scenario is borrowed. */
struct check *check_new(const struct scenario *);
void check_free(struct check *);

/* The initial sequence number of a side. Returns false if it has sent no SYN. */
bool check_iss(const struct check *, uint32_t connection, uint32_t side, uint32_t *iss);

/* What has happened is told to `file` from now on, line by line. */
void check_log(struct check *, FILE *file);

/* What is wrong: the number of violations, and the text of the first ones. */
uint32_t check_violations(const struct check *);
const char *check_violation(const struct check *, uint32_t number);

/* ---- The content ---- */

#define CHECK_CONTENT_BYTES 65536

/*
 * The bytes that a side of a connection sends from `position` on; CHECK_CONTENT_BYTES of them are
 * there.
 */
const uint8_t *check_content(const struct check *, uint32_t connection, uint32_t side,
                             uint64_t position);

/* The ports of a connection: of the side that opens, and of the other. */
#define CHECK_LISTEN_PORT 5000
uint16_t check_port(const struct scenario *, uint32_t connection, uint32_t side);

/* ---- The applications' story ---- */

enum check_ending {
    CHECK_SHUT,     /* shutdown(SHUT_WR) */
    CHECK_CLOSED,   /* close, with all read that was to be read */
    CHECK_ABANDONED /* close early */
};

void check_started(struct check *, uint64_t now_ns, uint32_t connection, uint32_t side);
void check_opened(struct check *, uint64_t now_ns, uint32_t connection, uint32_t side);
void check_wrote(struct check *, uint64_t now_ns, uint32_t connection, uint32_t side,
                 size_t length);
void check_read(struct check *, uint64_t now_ns, uint32_t connection, uint32_t side,
                const void *bytes, size_t length);
void check_eof(struct check *, uint64_t now_ns, uint32_t connection, uint32_t side);
/* A call on the socket has failed with this errno; the socket is then closed. */
void check_error(struct check *, uint64_t now_ns, uint32_t connection, uint32_t side, int error);
void check_ended(struct check *, uint64_t now_ns, uint32_t connection, uint32_t side,
                 enum check_ending);
/* A connection was accepted that nobody has opened, or that was accepted already. */
void check_stranger(struct check *, uint64_t now_ns, uint32_t host, uint16_t port);
void check_unlistened(struct check *, uint64_t now_ns, uint32_t host);

/* Whether this side has come to its end, well or not. */
bool check_is_over(const struct check *, uint32_t connection, uint32_t side);

/* Whether nothing more is to be expected of it: it is over, or never begins. */
bool check_is_settled(const struct check *, uint32_t connection, uint32_t side);

/* Whether it is open for its application. */
bool check_is_open(const struct check *, uint32_t connection, uint32_t side);

/* ---- Datagrams ---- */

#define CHECK_DATAGRAMS    64 /* that a host sends at most */
#define CHECK_DATAGRAM_MAX 20000

/* Fills in the datagram of that number, which the host is about to send. Returns its length. */
size_t check_datagram_make(struct check *, uint32_t host, uint32_t number, uint8_t *bytes);

/* The host has got a datagram. */
void check_datagram(struct check *, uint64_t now_ns, uint32_t host, const uint8_t *bytes,
                    size_t length);

/* ---- The hosts' story ---- */

/* A host has started; its stack is read while it lives. */
void check_host_up(struct check *, uint64_t now_ns, uint32_t host, struct strait *);
/* It is about to lose its memory: its counters are held against the wire. */
void check_host_down(struct check *, uint64_t now_ns, uint32_t host);

/* ---- The wire's story ---- */

/* A packet on the link of an end host, which has `sent` it, or to which it has been delivered. */
void check_packet(struct check *, uint64_t now_ns, uint32_t host, bool sent, const void *packet,
                  size_t length, const struct strait_offload *);

/* ---- Verdicts ---- */

/* Some time after healing: every connection has finished or failed. */
void check_finished(struct check *, uint64_t now_ns);

/* After all applications have closed and TIME-WAIT is over: nothing is left, counters add up. */
void check_at_rest(struct check *, uint64_t now_ns);

/* Two facts that the runner has found out: no time passes any more; a link has lost count. */
void check_livelock(struct check *, uint64_t now_ns);
void check_link(struct check *, uint32_t link, uint64_t packets_in, uint64_t packets_out);

/* The value of a counter of the living stack of a host. */
uint64_t check_counter(const struct check *, uint32_t host, const char *name);

#endif
