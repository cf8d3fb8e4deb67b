/* SPDX-License-Identifier: MIT */
/*
 * The client's side of calls, free of any wire: deadlines, outcomes, retry, and the identities of
 * `once` procedures. A wire carries one attempt at a time for a call.
 */
#ifndef APPS_RPC_CLIENT_H
#define APPS_RPC_CLIENT_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "rpc/rpc.h"
#include "stream.h"

#define RPC_CALLS_MAX  4096 /* of a channel, at a time */
#define RPC_TEXT_BYTES 160  /* of what a server says of an error, with the NUL */

/* A channel that has made no identified call for so long takes a new identity with the next one,
 * much sooner than servers forget it. */
#define RPC_IDENTITY_REST_NS (3600 * RPC_S)

struct rpc_reply {
    enum rpc_outcome outcome;
    enum rpc_code code; /* why; RPC_OK for a result */
};

/* ---- Wires ---- */

struct rpc_attempt;
struct rpc_messages; /* rpc/message.h */

/* What a wire says beside the reply. */
struct rpc_detail {
    size_t result_bytes;
    char text[RPC_TEXT_BYTES]; /* as the server has said it; or why there is no connection; or "" */
};

/* Says why there is no connection. */
void rpc_detail_unconnected(struct rpc_detail *, int error);

/* What a wire is to carry; borrowed for as long as the attempt lasts. */
struct rpc_request {
    const struct stream_host *host;
    const struct sockaddr_in *server;
    const struct rpc_procedure *procedure;
    const uint8_t *arguments;
    size_t argument_bytes;
    uint64_t deadline_ns;
    void *transport;           /* of the channel, if the wire has opened one */
    struct rpc_detail *detail; /* to be filled in before `ended` is called */
    /* Takes a message of an answer that has any number of them, borrowed. Returns whether the next
     * one may be told, or else it waits for `more`. NULL: the answer is one message. */
    bool (*message)(void *owner, const uint8_t *bytes, size_t length);
    /* How it ended, not before `begin` has returned; `result`, borrowed, if it is one. */
    void (*ended)(void *owner, struct rpc_reply, const uint8_t *result);
    void *owner;
};

struct rpc_channel_config;

struct rpc_wire {
    /* What attempts of a channel share, from its beginning to its end. Returns NULL when memory is
     * short. Both are NULL where there is nothing. */
    void *(*open)(const struct rpc_channel_config *);
    void (*close)(void *transport);
    /* See rpc_channel_progress. NULL where nothing is shared. */
    uint64_t (*progress)(void *transport);
    /* Returns NULL with errno if nothing has been sent, nor will be. */
    struct rpc_attempt *(*begin)(const struct rpc_request *);
    /* Its messages are wanted again. NULL of a wire that has no such answers. */
    void (*more)(struct rpc_attempt *);
    /* Ends an attempt that has not ended, and tells the server if it can: not executed, or unknown.
     */
    enum rpc_outcome (*abandon)(struct rpc_attempt *);
};

/* A connection for each attempt; a connection for all. The second is to be given messages. */
extern const struct rpc_wire rpc_classic_wire, rpc_grpc_wire;

/* ---- Channels ---- */

struct rpc_channel;

struct rpc_channel_config {
    struct stream_host host;
    struct sockaddr_in server;
    const struct rpc_wire *wire;
    unsigned attempts_max;                      /* 0: RPC_ATTEMPTS_MAX; 1: no retry */
    const struct rpc_messages *const *messages; /* of the procedures; ends with NULL */
    size_t message_max; /* bytes of a result on a wire of messages; 0: RPC_MESSAGE_MAX */
};

/* To one server. Returns NULL when memory is short. */
struct rpc_channel *rpc_channel_new(const struct rpc_channel_config *);

/* Ends the calls that are left, untold, and frees it. NULL is allowed. */
void rpc_channel_free(struct rpc_channel *);

struct strait_env *rpc_channel_env(const struct rpc_channel *);

/* A number that is another one once bytes have been acknowledged by the server, or have come from
 * it: as long as it changes, the server is there, however long its answers take. On a wire with a
 * connection for all attempts; else 0. */
uint64_t rpc_channel_progress(const struct rpc_channel *);

#define RPC_CHANNEL_COUNTERS(X)                                                                    \
    X(calls)                                                                                       \
    X(attempts)                                                                                    \
    X(retries_refused) /* by the budget */                                                         \
    X(deadlines)       /* that passed */

struct rpc_channel_counters {
#define RPC_DECLARE(name) uint64_t name;
    RPC_CHANNEL_COUNTERS(RPC_DECLARE)
#undef RPC_DECLARE
};

const struct rpc_channel_counters *rpc_channel_counters(const struct rpc_channel *);

/* ---- Calls ---- */

struct rpc_call;

typedef void rpc_ended(void *context, struct rpc_reply, const uint8_t *result);

/*
 * Begins a call; `ended` is called once, from a callback of the environment, with the result,
 * borrowed, if there is one. `arguments` are copied; the identity of an identified procedure, at
 * their beginning, is written by the channel. The deadline is a time; 0 is that of
 * RPC_DEADLINE_DEFAULT_NS from now, and RPC_DEADLINE_MAX_NS is the latest. Returns NULL with errno:
 * ENOMEM, EAGAIN (RPC_CALLS_MAX), and then `ended` is not called.
 */
struct rpc_call *rpc_call_start(struct rpc_channel *, const struct rpc_procedure *,
                                const uint8_t *arguments, uint64_t deadline_ns, rpc_ended *ended,
                                void *context);

typedef void rpc_message_ended(void *context, struct rpc_reply, const uint8_t *result,
                               const struct rpc_detail *);

/* The same, and more is told; on a wire of messages arguments and results may be of any size
 * (RPC_ANY_SIZE). */
struct rpc_call *rpc_message_start(struct rpc_channel *, const struct rpc_procedure *,
                                   const uint8_t *arguments, size_t argument_bytes,
                                   uint64_t deadline_ns, rpc_message_ended *ended, void *context);

/*
 * A call that is answered by any number of messages. Returns whether the next one may be told, or
 * else none is told until rpc_call_more, and the server is held up meanwhile; the end is told if no
 * message stands before it. The call may be cancelled in it, and the channel freed.
 */
typedef bool rpc_message_told(void *context, const uint8_t *bytes, size_t length);

/*
 * Begins one, as rpc_message_start does: `told` is called for each message, then `ended`, with
 * RPC_RESULT but no result if the server has said all. It is begun again only as long as it has
 * told nothing. A deadline of 0 is the latest.
 */
struct rpc_call *rpc_stream_start(struct rpc_channel *, const struct rpc_procedure *,
                                  const uint8_t *arguments, size_t argument_bytes,
                                  uint64_t deadline_ns, rpc_message_told *told,
                                  rpc_message_ended *ended, void *context);

/* Takes messages again, in callbacks of the environment. */
void rpc_call_more(struct rpc_call *);

/* Ends it untold: not executed, or unknown. */
enum rpc_outcome rpc_call_cancel(struct rpc_call *);

/* Its identity, of which `lowest` is left 0; all 0 if its procedure has none. */
struct rpc_identity rpc_call_identity(const struct rpc_call *);

/*
 * The same, but blocks until there is an outcome: drives the environment, which has to have a
 * `wait`; so not in its callbacks. `result` is written if there is one.
 */
struct rpc_reply call_rpc(struct rpc_channel *, const struct rpc_procedure *,
                          const uint8_t *arguments, uint8_t *result);

#endif
