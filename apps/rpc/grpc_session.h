/* SPDX-License-Identifier: MIT */
/* Private to the gRPC server: its connections (grpc_server.c) and the calls on them (grpc_call.c).
 */
#ifndef APPS_RPC_GRPC_SESSION_H
#define APPS_RPC_GRPC_SESSION_H

#include "rpc/grpc.h"
#include "rpc/grpc_field.h"
#include "rpc/grpc_frame.h"
#include "rpc/h2.h"

#define GRPC_MESSAGES_MAX 16
#define GRPC_TEXT_BYTES   160 /* of what is said of an error */

/* The context of the server. */
struct grpc {
    struct rpc_dispatcher *rpc;
    struct strait_env *env;
    const struct rpc_messages *messages[GRPC_MESSAGES_MAX + 1];
    size_t message_max;
    size_t memory;                   /* that messages take, beyond what every stream has */
    size_t streams;                  /* of all sessions */
    struct service service;          /* its number of sessions is the server's own */
    TAILQ_HEAD(, grpc_session) idle; /* without a stream, the longest first */
    nghttp2_option *options;
    nghttp2_session_callbacks *callbacks;
    uint8_t scratch[H2_SCRATCH_BYTES]; /* written at once */
    uint8_t input[H2_SCRATCH_BYTES];   /* read at once */
};

/* What a peer may do so often a second, and so often at once. */
struct grpc_allowance {
    uint32_t left;
    uint64_t since_ns;
};

struct grpc_session {
    struct session session;
    struct h2 h2;
    TAILQ_ENTRY(grpc_session) link; /* among the idle */
    TAILQ_HEAD(, grpc_stream) streams;
    size_t stream_count;
    struct strait_timer flush; /* runs as soon as there is something to send */
    bool in_callback;          /* of nghttp2, or on the way to a flush: it comes anyway */
    bool is_idle;
    bool draining, drained; /* asked to end; no further stream will be taken */
    bool asked;             /* a ping of ours is not answered yet */
    bool flooded;
    struct grpc_allowance resets, frames;
    uint64_t pinged_ns; /* when the peer's last ping came; 0: never, or something was sent since */
    unsigned pings_early;
};

/* The head of a request, as it comes. */
struct grpc_head {
    size_t bytes;
    uint64_t timeout_ns;
    bool has_method, has_service, has_timeout, has_identity;
    bool is_post, is_grpc, is_compressed;
    bool bad_timeout, bad_identity;
    uint8_t identity[RPC_IDENTITY_BYTES];
};

struct grpc_stream {
    TAILQ_ENTRY(grpc_stream) link;
    struct grpc_session *of;
    int32_t id;
    struct rpc_method method;
    struct grpc_head head;
    uint64_t deadline_ns;
    struct strait_timer deadline; /* once it is answered, that of the rest of the request */
    struct rpc_job *job;          /* while it runs */
    struct grpc_frame in;
    bool message_taken;     /* the one of a call that has one */
    struct grpc_bytes held; /* what has come while there was no room for answers */
    bool held_end;          /* and behind it the end */
    struct grpc_bytes out;
    size_t out_sent;
    bool full;     /* its procedure waits for room */
    bool failed;   /* there was no memory for an answer */
    bool begun;    /* to answer: the head is submitted */
    bool answered; /* the rest is known: */
    enum rpc_code code;
    size_t text_bytes;
    char text[GRPC_TEXT_BYTES];
    size_t memory; /* that it counts for in grpc.memory */
};

static inline struct grpc *grpc_of(const struct grpc_session *g)
{
    return server_context(g->session.server);
}

/* ---- grpc_server.c ---- */

/* Something is to be sent: soon, if not anyway. */
void grpc_wake(struct grpc_session *);

/* ---- grpc_call.c: the callbacks of nghttp2 that concern streams ---- */

struct grpc_stream *grpc_stream_new(struct grpc_session *, int32_t id);
void grpc_stream_free(struct grpc_stream *);

void grpc_stream_field(struct grpc_stream *, const char *name, size_t name_bytes, const char *value,
                       size_t value_bytes);
void grpc_stream_head_ends(struct grpc_stream *);

/* Both may be called when the stream is answered already. */
void grpc_stream_data(struct grpc_stream *, const uint8_t *bytes, size_t length);
void grpc_stream_ends(struct grpc_stream *);

/* To be called when something has been sent: goes on with what waited for room, if there is some.
 * Returns whether it has. */
bool grpc_stream_go_on(struct grpc_stream *);

/* The answer has been sent, and its request is not whole. */
void grpc_stream_linger(struct grpc_stream *);

/* The server stops: a call that would never end by itself is ended. */
void grpc_stream_stop(struct grpc_stream *);

#endif
