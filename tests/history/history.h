/* SPDX-License-Identifier: MIT */
/*
 * A recorded history: what the clients of a key-value store asked for, when, and what they were
 * told. The checkers (linear.h, serial.h, bank.h) read it; a workload writes it:
 *
 *     t = history_begin(h, client, now_ns);
 *     a = history_add(h, HISTORY_READ, key, 0);
 *     b = history_add(h, HISTORY_WRITE, other, value);
 *     ...                                            other transactions begin and end
 *     history_read(h, a, what_was_read);
 *     history_end(h, t, HISTORY_OK, now_ns);         or HISTORY_FAILED, or history_refuse
 *
 * A single get or put is a transaction of one operation. A transaction that is never ended is one
 * of unknown outcome: it may take effect at any time after its beginning, or never.
 *
 * What was first and what second is told by the order of the calls, not by the times, of which many
 * are equal in a simulated world; times are for people.
 *
 * Keys and clients are numbers that the workload gives; keys count from 0. A key is a register
 * (READ, WRITE, DELETE, IF, UNLESS) or a list (APPEND, LIST), never both.
 */
#ifndef TESTS_HISTORY_HISTORY_H
#define TESTS_HISTORY_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HISTORY_KEYS_MAX         (UINT32_C(1) << 20)
#define HISTORY_TRANSACTIONS_MAX (UINT32_C(1) << 20)
#define HISTORY_OPERATIONS_MAX   (UINT32_C(1) << 22)
#define HISTORY_ELEMENTS_MAX     (UINT32_C(1) << 26)

#define HISTORY_NONE 0 /* the value of a register that is not there */

/* The operations of a transaction take effect in their order, all at once. */
enum history_kind {
    HISTORY_NOTHING, /* what has become of the rest of a refused transaction */
    HISTORY_READ,    /* value: what was read */
    HISTORY_WRITE,   /* value: what was written */
    HISTORY_DELETE,  /* value: HISTORY_FOUND, HISTORY_MISSED, or 0 if the client was not told */
    HISTORY_IF,      /* a condition: the register has this value, or nothing is done */
    HISTORY_UNLESS,  /* the same: it has another one */
    HISTORY_APPEND,  /* value: the element, appended to this list once in the history */
    HISTORY_LIST,    /* reads a list: its elements are in history->elements */
};

enum { HISTORY_FOUND = 1, HISTORY_MISSED };

enum history_outcome {
    HISTORY_OPEN,   /* unknown */
    HISTORY_OK,     /* it has taken effect between its beginning and its end */
    HISTORY_FAILED, /* it never takes effect */
};

struct history_operation {
    enum history_kind kind;
    uint32_t transaction;
    uint32_t key;
    uint32_t first, count; /* LIST: of history->elements */
    uint64_t value;
};

struct history_transaction {
    uint32_t client;
    enum history_outcome outcome;
    uint32_t first, count;       /* of history->operations */
    uint64_t begun, ended;       /* places among all beginnings and ends; OPEN: ended is never */
    uint64_t begun_ns, ended_ns; /* virtual time */
};

/* All zero is an empty history. To be read by all, written by the functions below. */
struct history {
    struct history_transaction *transactions; /* in the order of their beginnings */
    struct history_operation *operations;
    uint64_t *elements;
    uint32_t transaction_count, transaction_room;
    uint32_t operation_count, operation_room;
    uint32_t element_count, element_room;
    uint32_t key_count; /* all keys are below */
    uint64_t event_count;
};

void history_free(struct history *);

/* ---- Recording ---- */

/* Returns the number of the transaction, to which operations are added before another begins. */
uint32_t history_begin(struct history *, uint32_t client, uint64_t now_ns);

/* Returns the number of the operation. The value of what is read is 0 here. */
uint32_t history_add(struct history *, enum history_kind, uint32_t key, uint64_t value);

/* What an operation of a transaction was answered, before this is ended. */
void history_read(struct history *, uint32_t operation, uint64_t value);
void history_found(struct history *, uint32_t operation, bool found); /* of a DELETE */
void history_list(struct history *, uint32_t operation, const uint64_t *elements, uint32_t count);

/* The outcome is OK or FAILED. */
void history_end(struct history *, uint32_t transaction, enum history_outcome, uint64_t now_ns);

/* The transaction was refused since its operation, an IF or an UNLESS, did not hold. */
void history_refuse(struct history *, uint32_t operation, uint64_t now_ns);

/* ---- Reading ---- */

/* The operations on each key: operations[first[key]] up to before operations[first[key + 1]], in
 * the order of the history. */
struct history_index {
    uint32_t *first;
    uint32_t *operations;
};

struct history_index history_by_key(const struct history *);
void history_index_free(struct history_index *);

/* ---- Telling ---- */

enum history_answer {
    HISTORY_YES,
    HISTORY_NO,
    HISTORY_TOO_LARGE, /* a limit of the checker is reached: neither yes nor no */
};

/* What a checker has to say for its answer; what does not fit is cut off. */
struct history_text {
    size_t length;
    char text[6000];
};

void history_say(struct history_text *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A line for a transaction: "T7 (client 2, 1.500 to 2.250 ms): read k1 = 4, write k2 = 5". */
void history_tell(struct history_text *, const struct history *, uint32_t transaction);

#endif
