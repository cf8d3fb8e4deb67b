/* SPDX-License-Identifier: MIT */
/*
 * The server's side of calls, free of any wire: finds the procedure, runs it here or on the
 * environment's executor, drops what has expired, sheds what there is no time for, and answers.
 * A wire (rpc/classic) reads requests, hands them in, and writes what comes back.
 */
#ifndef APPS_RPC_DISPATCH_H
#define APPS_RPC_DISPATCH_H

#include <stddef.h>
#include <stdint.h>

#include "rpc/rpc.h"
#include "strait.h"

#define RPC_SERVICES_MAX 16
#define RPC_PARALLEL     2    /* of one service's calls that do not end at once */
#define RPC_QUEUE        64   /* of one service's calls that wait for their turn */
#define RPC_STREAMS_MAX  4096 /* calls of streaming procedures of one service, at a time */

struct rpc_dispatcher;

/* Procedures that share a context. */
struct rpc_service {
    const char *name;
    const struct rpc_procedure *procedures; /* borrowed */
    size_t count;
    void *context;
    void (*release)(void *context); /* when nothing runs any more; may be NULL */
    unsigned parallel_max;          /* 0: RPC_PARALLEL; 1 where its calls must not overlap */
    unsigned queue_max;             /* 0: RPC_QUEUE */
};

#define RPC_COUNTERS(X)                                                                            \
    X(calls)              /* requests that were whole */                                           \
    X(results)            /* sent, or handed to the wire to be sent */                             \
    X(errors)             /* said by a procedure */                                                \
    X(unknown)            /* procedures */                                                         \
    X(expired)            /* before they ran */                                                    \
    X(shed)               /* the queue was full, or too long for the deadline */                   \
    X(cancelled)          /* by clients that went away, before the answer */                       \
    X(unheard)            /* of these, those that ran all the same */                              \
    X(requests_cut_off)   /* not whole in time */                                                  \
    X(requests_broken)    /* ended, or failed, before they were whole */                           \
    X(sessions_displaced) /* without a whole request, by newer ones */                             \
    X(streams)            /* calls, of streaming procedures */                                     \
    X(messages)           /* that streaming procedures have sent */                                \
    X(requests_refused)   /* for what is wrong with their heads or messages */                     \
    X(streams_refused)    /* of HTTP/2, where there were too many */                               \
    X(memory_short)       /* calls that ended since messages needed too much memory */             \
    X(floods)             /* connections that were ended for resets, pings and the like */         \
    X(silent)             /* connections that did not answer a ping */                             \
    X(protocol_errors)    /* connections that ended by one of their peer */

struct rpc_counters {
#define RPC_DECLARE(name) uint64_t name;
    RPC_COUNTERS(RPC_DECLARE)
#undef RPC_DECLARE
};

/* Returns NULL when memory is short. */
struct rpc_dispatcher *rpc_new(struct strait_env *);

/*
 * Adds a service; it is copied. Returns 0, or -1 with EEXIST (an id that is taken), EINVAL (a size
 * above RPC_BYTES_MAX that is not RPC_ANY_SIZE, no result, or an identity that does not fit) or
 * ENOSPC. The context is released later in all cases but these.
 */
int rpc_register(struct rpc_dispatcher *, const struct rpc_service *);

/*
 * Frees it. Calls that wait are forgotten; those that run are answered first, though nobody hears
 * of it, and until then contexts stay. NULL is allowed.
 */
void rpc_free(struct rpc_dispatcher *);

/* The same where nothing that runs will be answered any more: in the crash of a simulated host. */
void rpc_crash(struct rpc_dispatcher *);

/*
 * Gives the sizes of a procedure's arguments and result. Returns whether there is the procedure.
 * The third of the six steps of a call (primes/stubs.h).
 */
bool get_sizes(const struct rpc_dispatcher *, uint32_t id, size_t *argument_bytes,
               size_t *result_bytes);

/* `result` is that of the procedure if the code is RPC_OK, and borrowed; else what there is to say
 * of the error, in UTF-8, or NULL. */
typedef void rpc_answered(void *owner, enum rpc_code, const uint8_t *result, size_t result_bytes);

/*
 * Runs a procedure on arguments of the right size, borrowed for the call, unless the deadline
 * passes before. `answered` is called once: before this returns, which then is NULL; or later,
 * unless the job that this returns is cancelled before. The fourth of the six steps.
 */
struct rpc_job *call_server_stub(struct rpc_dispatcher *, uint32_t id, const uint8_t *arguments,
                                 uint64_t deadline_ns, rpc_answered *answered, void *owner);

/* The same for a procedure that is at hand, of a registered table, which is not a streaming one. */
struct rpc_job *rpc_run(struct rpc_dispatcher *, const struct rpc_procedure *,
                        const uint8_t *arguments, size_t argument_bytes, uint64_t deadline_ns,
                        rpc_answered *answered, void *owner);

/* Nobody waits for the answer any more: the call does not run if it has not begun to. A streaming
 * procedure is told. */
void rpc_cancel(struct rpc_job *);

/* For `begin` of a procedure: the answer. `result`, if the code is RPC_OK, is copied. */
void rpc_answer(struct rpc_job *, enum rpc_code, const uint8_t *result);

/* The same for `begin_message`. What there is to say of an error is copied. */
void rpc_answer_message(struct rpc_job *, enum rpc_code, const struct rpc_result *);

/* A place where the procedure keeps what it needs for the call, NULL at first: of `begin_message`,
 * and of a stream. */
void **rpc_job_state(struct rpc_job *);

/* When nobody will wait for the answer any more; not of a stream. */
uint64_t rpc_job_deadline(const struct rpc_job *);

/* ---- Calls of streaming procedures ---- */

/* Where its messages go. */
struct rpc_reader {
    /* Takes a message, borrowed. Returns whether there is room for another one. */
    bool (*message)(void *owner, const uint8_t *bytes, size_t length);
    rpc_answered *ended; /* with RPC_OK there is no result: it has been sent in messages */
};

/*
 * Begins a call of a procedure of a registered table; it runs once it is told of a message. Returns
 * NULL, and `ended` is not called, where RPC_STREAMS_MAX are under way or memory is short. The wire
 * keeps the deadline, and cancels the call then.
 */
struct rpc_job *rpc_stream(struct rpc_dispatcher *, const struct rpc_procedure *,
                           const struct rpc_reader *, void *owner);

/* What the client does. In each of them the call may end, and the job with it. */
void rpc_stream_message(struct rpc_job *, const uint8_t *bytes, size_t length);
void rpc_stream_finished(struct rpc_job *);
void rpc_stream_room(struct rpc_job *);

/* For the procedure: sends a message, borrowed. Returns whether there is room for another one: if
 * not, `room` tells when. */
bool rpc_send(struct rpc_job *, const uint8_t *bytes, size_t length);

/* For the procedure: ends the call. `text` is what there is to say of an error, static, or NULL. */
void rpc_end(struct rpc_job *, enum rpc_code, const char *text);

/* ---- Counters ---- */

struct rpc_counters *rpc_counters(struct rpc_dispatcher *);

/* Calls visit(context, "rpc_calls", value) and so on. */
void rpc_visit_counters(const struct rpc_dispatcher *,
                        void (*visit)(void *context, const char *name, uint64_t value),
                        void *context);

#endif
