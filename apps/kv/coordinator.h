/* SPDX-License-Identifier: MIT */
/*
 * The coordinator of a node: takes the requests of clients through two-phase commit. A pure state
 * machine; machine.h says how it is driven, messages.h what is said.
 *
 * It is one block of memory without pointers into itself: a copy of its coordinator_bytes() is a
 * coordinator in the same state. (Such a copy holds no references of its own, and is not freed by
 * coordinator_free.) Its fields are for coordinator.c, and for those who show or check its state.
 */
#ifndef KV_COORDINATOR_H
#define KV_COORDINATOR_H

#include "kv/machine.h"

struct coordinator_config {
    uint32_t id;            /* of the node */
    kv_nodes members;       /* who is told the mark */
    uint32_t window;        /* how many transactions lie between the mark and the newest, at most */
    uint64_t vote_ns;       /* how long votes are waited for, unless the client's time ends first */
    uint64_t resend_ns;     /* after which an unanswered message is sent again; doubles ... */
    uint64_t resend_max_ns; /* ... up to here */
    uint64_t near_ns;       /* so long before its deadline the client is answered, or less */
    uint64_t results_bytes; /* of the values in one reply, at most; 0: any */
};

enum coordinator_phase {
    COORDINATOR_FREE,
    COORDINATOR_PREPARING,
    COORDINATOR_VOTING,
    COORDINATOR_COMMITTING,
    COORDINATOR_ABORTING,
    COORDINATOR_COMMITTED,
    COORDINATOR_ABORTED,
    COORDINATOR_ENDED,
};

struct coordinator_txn {
    enum coordinator_phase phase;
    struct kv_txid id;
    kv_nodes participants;
    kv_nodes voted; /* to commit */
    kv_nodes acknowledged;
    bool requested; /* participants have been sent a VOTE-REQUEST, or may have been */
    bool replied;   /* the client has its answer, or is gone */
    uint64_t caller;
    uint64_t vote_by_ns, reply_by_ns;
    uint64_t wait_ns; /* until the next time that messages are sent again */
    struct kv_refusal refusal;
    struct kv_request *request; /* NULL once it is of no use */
    struct kv_results *results[KV_NODES_MAX];
};

struct coordinator_counters {
    uint64_t requests, refused_invalid, refused_busy;
    uint64_t refused_results; /* longer than a reply */
    uint64_t commits, aborts, timeouts, ends;
    uint64_t resent;
    uint64_t ignored; /* messages that came late, twice, or make no sense */
};

struct coordinator {
    struct coordinator_config config;
    struct coordinator_counters counters;
    uint32_t incarnation;
    uint64_t first; /* sequences of [first, next) are in the table; all below have ended */
    uint64_t next;
    bool started;
    struct coordinator_txn txns[]; /* `window` of them; sequence s is in txns[s % window] */
};

/* Returns NULL if memory is short, or if id or window is 0 or the id too large. */
struct coordinator *coordinator_new(const struct coordinator_config *);
void coordinator_free(struct coordinator *); /* NULL is allowed */
size_t coordinator_bytes(const struct coordinator *);

/*
 * Takes a row of the journal back, before KV_EVENT_START; rows of other kinds than the
 * coordinator's are passed over. A transaction's rows come in the order in which they were written,
 * those of START and PREPARE in ascending order of txid. Returns false if the window is too small
 * for what the journal holds.
 */
bool coordinator_load(struct coordinator *, const struct kv_row *);

void coordinator_step(struct coordinator *, const struct kv_event *, uint64_t now_ns,
                      const struct kv_sink *);

/* All transactions below it have ended. */
struct kv_txid coordinator_mark(const struct coordinator *);

/* The transaction, or NULL if it is not in the table. */
const struct coordinator_txn *coordinator_find(const struct coordinator *, struct kv_txid);

/* "voting", "committed" ... */
const char *coordinator_phase_name(enum coordinator_phase);

#endif
