/* SPDX-License-Identifier: MIT */
/*
 * Remote procedure calls: the words that servers, clients and wires share.
 *
 * A procedure has an id, a name, the sizes of its arguments and result in bytes as its wire carries
 * them, and a class that says what a repetition does; retry follows from the class.
 *
 * What can become of a call:
 *
 *     a result          the procedure has run, for this call once or (pure, idempotent) repeatedly
 *     an error          the procedure, or its server, has said no, and would do so again
 *     not executed      it has not run, and will not: repeating it is safe
 *     unknown           it may have run, may still run, or never: the connection broke, or time did
 */
#ifndef APPS_RPC_RPC_H
#define APPS_RPC_RPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RPC_BYTES_MAX   256        /* of the arguments, and of a result, whose size is fixed */
#define RPC_MESSAGE_MAX (4u << 20) /* of those whose size is not, by wires that carry messages */
#define RPC_ANY_SIZE    SIZE_MAX   /* in place of a size: it is not fixed */

#define RPC_MS UINT64_C(1000000) /* in nanoseconds */
#define RPC_S  UINT64_C(1000000000)

#define RPC_DEADLINE_DEFAULT_NS (10 * RPC_S) /* from the beginning of a call */
#define RPC_DEADLINE_MAX_NS     (3600 * RPC_S)

enum rpc_class {
    RPC_PURE,       /* no effect: it may run any number of times */
    RPC_IDEMPOTENT, /* the effect of running twice is that of running once */
    RPC_ONCE,       /* it must not take effect twice */
};

enum rpc_outcome { RPC_RESULT, RPC_ERROR, RPC_NOT_EXECUTED, RPC_UNKNOWN };

/* Why; with the numbers that gRPC gives to its status codes of these names. */
enum rpc_code {
    RPC_OK = 0,
    RPC_CANCELLED = 1,
    RPC_UNKNOWN_ERROR = 2, /* a server has said a code that is none of these */
    RPC_INVALID_ARGUMENT = 3,
    RPC_DEADLINE_EXCEEDED = 4,
    RPC_NOT_FOUND = 5,
    RPC_ALREADY_EXISTS = 6,
    RPC_PERMISSION_DENIED = 7,
    RPC_RESOURCE_EXHAUSTED = 8,  /* the server has too much to do, or a message is too long */
    RPC_FAILED_PRECONDITION = 9, /* of `once`: what became of the first attempt is forgotten */
    RPC_ABORTED = 10,
    RPC_OUT_OF_RANGE = 11,
    RPC_UNIMPLEMENTED = 12, /* no such procedure */
    RPC_INTERNAL = 13,
    RPC_UNAVAILABLE = 14, /* the server cannot be reached, or the connection broke */
    RPC_DATA_LOSS = 15,
    RPC_UNAUTHENTICATED = 16,
};

/* In words, for messages: "out of range". */
const char *rpc_code_text(enum rpc_code);
const char *rpc_outcome_text(enum rpc_outcome);
const char *rpc_class_text(enum rpc_class);

struct rpc_job;

/* What a procedure of messages answers. */
struct rpc_result {
    uint8_t *bytes; /* of malloc, and freed by whoever has called the procedure; NULL: none */
    size_t length;
    const char *text; /* with an error, what there is to say of it, in UTF-8; static, or NULL */
};

/*
 * A procedure that answers by any number of messages, each as it comes (dispatch.h: rpc_send), and
 * ends by rpc_end. All run on the driving thread. After rpc_end, or `cancelled`, the job is no
 * more.
 */
struct rpc_streaming {
    /* A message of the client; the first begins the call. `bytes` are borrowed. */
    void (*message)(void *context, struct rpc_job *, const uint8_t *bytes, size_t length);
    /* The client has sent all its messages. NULL: it sends just one, which `message` has got. */
    void (*finished)(void *context, struct rpc_job *);
    /* There is room again, after rpc_send has said that there was none. May be NULL. */
    void (*room)(void *context, struct rpc_job *);
    /* The call has ended without an answer: the client has gone away, or time is over. */
    void (*cancelled)(void *context, struct rpc_job *);
};

struct rpc_procedure {
    uint32_t id;
    const char *name;
    /* At most RPC_BYTES_MAX, a result has at least one, which tells it from none. Or both are
     * RPC_ANY_SIZE: the classic wire does not carry it, and the id has no meaning. */
    size_t argument_bytes, result_bytes;
    enum rpc_class class;
    /* The arguments begin with struct rpc_identity, by which the server knows a repetition. */
    bool identified;

    /* ---- of the server; a client needs no more than the above ---- */

    /*
     * The server stub: unmarshals, runs, marshals the result. RPC_OK says that there is one. It
     * runs on the driving thread, and must not block; or, if `is_long`, on another one, where it
     * touches nothing but its context and what else it may share.
     */
    enum rpc_code (*run)(void *context, const uint8_t *arguments, uint8_t *result);
    /* Whether these arguments may take long. NULL: no. */
    bool (*is_long)(void *context, const uint8_t *arguments);
    /*
     * In place of `run`, for what waits for others: begins on the driving thread, and has
     * rpc_answer called there once, before it returns or later. `arguments` are the job's, until
     * then.
     */
    void (*begin)(void *context, struct rpc_job *, const uint8_t *arguments);

    /* ---- the same for RPC_ANY_SIZE: one of these ---- */

    /* As `run`; what it has allocated for the result is taken over with any code. */
    enum rpc_code (*handle)(void *context, const uint8_t *arguments, size_t argument_bytes,
                            struct rpc_result *result);
    bool handle_is_long; /* on another thread, always */
    /* In place of `handle`, for what waits for others: begins on the driving thread, and has
     * rpc_answer_message called there once, before it returns or later. */
    void (*begin_message)(void *context, struct rpc_job *, const uint8_t *arguments,
                          size_t argument_bytes);
    /* Of `begin_message`: nobody waits any more. The answer, which is due all the same, may be
     * given from here; where it is not, the job goes on. May be NULL. */
    void (*cancelled)(void *context, struct rpc_job *);
    const struct rpc_streaming *streaming;
};

/* Whether a client may repeat a call whose outcome is not known. */
bool rpc_is_repeatable(const struct rpc_procedure *);

/* Finds a procedure in a table by its name; NULL if there is none. */
const struct rpc_procedure *rpc_by_name(const struct rpc_procedure *, size_t count,
                                        const char *name);

/*
 * Who asks for what, of a `once` procedure: the same in each attempt. The client promises that it
 * asks for nothing below `lowest` any more, so the server may forget what became of it.
 */
struct rpc_identity {
    uint64_t client;   /* drawn at random */
    uint64_t sequence; /* counted from 1 */
    uint64_t lowest;   /* outstanding sequence of this client, this one included */
};

#define RPC_IDENTITY_BYTES 24 /* three numbers in network byte order */

void rpc_identity_marshal(const struct rpc_identity *, uint8_t bytes[RPC_IDENTITY_BYTES]);
struct rpc_identity rpc_identity_unmarshal(const uint8_t bytes[RPC_IDENTITY_BYTES]);

/* Words of 32 bits and numbers of 64, in network byte order (htonl). */
void rpc_put32(uint8_t *bytes, uint32_t value);
uint32_t rpc_get32(const uint8_t *bytes);
void rpc_put64(uint8_t *bytes, uint64_t value);
uint64_t rpc_get64(const uint8_t *bytes);

#endif
