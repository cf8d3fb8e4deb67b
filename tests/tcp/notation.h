/* SPDX-License-Identifier: MIT */
/*
 * The notation of the scripts: one line for one packet, after packetdrill's.
 *
 *   FLAGS SEQ:END(LENGTH) [ack N] [win N] [urg N] [ect0 | ect1 | ce] [<OPTION,...>]
 *   udp [PORT > PORT] (LENGTH)
 *   icmp TYPE/CODE [(LENGTH)] [id N seq N]
 *
 * FLAGS are any of F S R P U E W (E is ECE, W is CWR) and `.` for ACK, or `-` for none; `ack` goes
 * with `.` and only with it. END is SEQ + LENGTH: SYN and FIN are not counted in. Options are
 *
 *   mss N, wscale N, sackOK, sack A:B C:D, TS val N ecr N, nop, eol,
 *   opt KIND HEX (any other option by kind and data), hex HEX (raw bytes, well-formed or not)
 *
 * `*` for a number (of ack, win, urg, an option) means any; so does leaving out win, the options,
 * the ports, id and seq, or the length of an ICMP message; `<*>` are any options, `<>` none. No urg
 * means 0, no word for the ECN field of IP (RFC 3168 5) that the packet is not capable of it. In a
 * list of options the order counts; nop and eol count only if the list names one.
 *
 * The words know nothing of connections: whose numbers are relative to what is for script.h to say.
 */
#ifndef TESTS_TCP_NOTATION_H
#define TESTS_TCP_NOTATION_H

#include <stdbool.h>
#include <stddef.h>

#include "packet.h"

/* The parts of a line, and in a mask: what two packets differ in, or what a pattern leaves open. */
enum field {
    FIELD_KIND, /* flags; udp; icmp with type and code */
    FIELD_PORTS,
    FIELD_RANGE, /* SEQ:END(LENGTH) or (LENGTH) */
    FIELD_ACK,   /* also: id and seq of ICMP */
    FIELD_WINDOW,
    FIELD_URGENT,
    FIELD_ECN,
    FIELD_OPTIONS,
    FIELDS
};
#define FIELD_BIT(field) (1u << (field))

#define FIELD_BYTES 256
#define LINE_BYTES  512

struct pattern {
    struct packet packet; /* payload is NULL: only its length is said */
    unsigned open;        /* FIELD_BITs that may have any value; 0 makes it a packet */
};

/*
 * Reads a line. Returns false, with what is wrong and where in `error`, if it is none.
 */
bool notation_parse(const char *line, struct pattern *, char *error, size_t error_bytes);

/* Returns a mask of the fields in which the packet is not as the pattern wants it: 0 if none. */
unsigned notation_compare(const struct pattern *, const struct packet *);

/* Writes the line. */
void notation_format(const struct pattern *, char line[LINE_BYTES]);

/*
 * Writes two lines, field below field, and a third that marks the fields of the mask:
 *
 *   expected: P. 1:101(100) ack 1 win *
 *     actual: P. 1:51(50)   ack 1 win 512
 *                ^^^^^^^^^^
 */
void notation_side_by_side(const struct pattern *expected, const struct packet *actual,
                           unsigned differing, char *text, size_t text_bytes);

#endif
