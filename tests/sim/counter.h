/* SPDX-License-Identifier: MIT */
/*
 * A server for worlds: a counter that is kept in a store, the prime procedures beside it, and the
 * classic wire and gRPC. A life opens the store with whatever the crash before has left.
 */
#ifndef TESTS_SIM_COUNTER_H
#define TESTS_SIM_COUNTER_H

#include <stdbool.h>
#include <stdint.h>

#include "rpc/dispatch.h"
#include "rpc/message.h"
#include "sim/world.h"

#define COUNTER_FILE "counter.db" /* tables counter and audit: a row for each addition */

enum { COUNTER_ADD, COUNTER_SET, COUNTER_GET, COUNTER_PROCEDURES };

/*
 * add(identity, amount): the counter after it (once); set(x): x, of another register (idempotent);
 * get(): the counter (pure).
 */
extern const struct rpc_procedure counter_procedures[COUNTER_PROCEDURES];

/* The same by gRPC, with the primes; ends with NULL. */
extern const struct rpc_messages *const counter_messages[];

/* What can be wrong with it, to show what it is good for. */
enum counter_fault {
    COUNTER_SOUND,
    COUNTER_WITHOUT_ROW,  /* the result is not kept with the effect: a repetition counts again */
    COUNTER_EARLY_ANSWER, /* an addition is answered before it is durable */
};

/* The steps of an addition. */
enum counter_step {
    COUNTER_ASKED,    /* the request is there, nothing has run */
    COUNTER_KEPT,     /* the effect is durable, nothing is answered */
    COUNTER_ANSWERED, /* the answer has been handed to the stack */
};

struct counter;

/* `passed`, which may be NULL, is told when an addition passes a step. */
struct counter *counter_new(enum counter_fault, void (*passed)(void *context, enum counter_step),
                            void *context);
void counter_free(struct counter *);
struct world_app counter_app(struct counter *);

/* Of the present life. */
size_t counter_sessions(const struct counter *);
const struct rpc_counters *counter_counters(const struct counter *);

/* What is on the disk of the host: calls row(context, client, sequence, amount, value) for each
 * addition in its order, and returns the counter. */
uint32_t counter_audit(struct world_host *,
                       void (*row)(void *context, uint64_t client, uint64_t sequence,
                                   uint32_t amount, uint32_t value),
                       void *context);

#endif
