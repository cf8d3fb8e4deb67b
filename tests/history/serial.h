/* SPDX-License-Identifier: MIT */
/*
 * Serializability of the transactions on the lists of a history: there is an order of all that have
 * taken effect in which each, run alone, reads what it has read. Strict serializability: one in
 * which, besides, none stands before one that had ended when it began.
 *
 * Since each element is appended to its list only once, a list that is read tells which versions of
 * it there were and who made them (Kingsbury, Alvaro: Elle, 2020). What must stand before what
 * makes a graph, whose cycles are the anomalies of Adya (Weak Consistency, 1999).
 *
 * One that failed must not be read; one of unknown outcome has taken effect if it was.
 */
#ifndef TESTS_HISTORY_SERIAL_H
#define TESTS_HISTORY_SERIAL_H

#include "history.h"

/* The worst first, in the order in which they are looked for. */
enum serial_anomaly {
    SERIAL_NONE,
    SERIAL_INTERNAL,  /* a transaction contradicts what it has itself read or appended before */
    SERIAL_GARBAGE,   /* an element was read that nobody appended */
    SERIAL_DUPLICATE, /* an element was read twice in one list */
    SERIAL_G1A,       /* aborted read: an element of a transaction that failed */
    SERIAL_ORDER,     /* two reads, or a read and one transaction's appends, differ in the order */
    SERIAL_G1B,      /* intermediate read: the reader saw an append before the transaction's last */
    SERIAL_G0,       /* a cycle of writes: ww */
    SERIAL_G1C,      /* circular information flow: ww and wr */
    SERIAL_G_SINGLE, /* one rw, and else ww and wr: lost update, fractured read */
    SERIAL_G2,       /* several rw: write skew */
};

struct serial_result {
    enum history_answer answer;
    enum serial_anomaly anomaly; /* NO: the first that was found */
    bool realtime;               /* its cycle needs what ended before the other began */
    struct history_text why;     /* the transactions, and the edges of the cycle */
};

void serial_check(const struct history *, bool strict, struct serial_result *);

/* "G1a", "G-single". */
const char *serial_anomaly_name(enum serial_anomaly);

#endif
