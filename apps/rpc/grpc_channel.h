/* SPDX-License-Identifier: MIT */
/*
 * Private to the gRPC client: its connections (grpc_client.c), and what comes back on their streams
 * (grpc_reply.c).
 */
#ifndef APPS_RPC_GRPC_CHANNEL_H
#define APPS_RPC_GRPC_CHANNEL_H

#include <sys/queue.h>

#include "rpc/client.h"
#include "rpc/grpc.h"
#include "rpc/grpc_frame.h"
#include "rpc/h2.h"

#define GRPC_PATH_BYTES 256

struct connection;

TAILQ_HEAD(attempts, rpc_attempt);

struct rpc_attempt {
    TAILQ_ENTRY(rpc_attempt) link;
    struct attempts *list; /* it is in: its connection's, or one of the transport's */
    struct rpc_request request;
    struct transport *transport;
    struct connection *connection; /* NULL: it waits for one, or has ended */
    int32_t stream;
    const ProtobufCMessageDescriptor *input, *output;
    struct grpc_bytes body; /* the request */
    size_t sent;
    bool handed_over; /* all of it, to the connection */
    struct grpc_frame in;
    int http;
    bool has_status, has_message;
    bool refused; /* what has come is no answer; the status is ours */
    enum rpc_code code;
    uint32_t error; /* of the stream, once it has ended */
    char path[GRPC_PATH_BYTES];

    /* Of a call that is answered by any number of messages: what has come, and how much of it has
     * been read, for which the server has been given the window again. */
    TAILQ_ENTRY(rpc_attempt) heard_link;
    bool is_heard; /* it is in the transport's list `heard` */
    bool paused;   /* its caller takes no further message for now */
    struct grpc_bytes heard;
    size_t heard_read;
};

struct connection {
    TAILQ_ENTRY(connection) link;
    struct transport *transport;
    struct stream stream;
    struct h2 h2;
    struct attempts attempts;
    size_t unary; /* of these, those that are answered by one message, and so should be soon */
    struct strait_timer flush, alive;
    short events; /* what the stream is watched for */
    bool waking;  /* `flush` runs */
    bool connected, leaving;
    uint64_t alive_ns; /* when `alive` is due; 0: nothing is awaited */
    bool asked;        /* a ping of ours is not answered yet */
};

struct transport {
    struct stream_host host;
    struct sockaddr_in server;
    char authority[32]; /* the same in words */
    const struct rpc_messages *const *messages;
    size_t message_max;
    TAILQ_HEAD(, connection) connections;
    struct connection *current;      /* NULL: there is none to begin attempts on */
    struct attempts waiting;         /* for a connection */
    struct attempts finishing;       /* without a stream, but with messages that are to be told */
    struct attempts ended;           /* of which nobody has been told yet */
    TAILQ_HEAD(, rpc_attempt) heard; /* messages, which their callers take */
    struct rpc_attempt *telling;     /* a message; NULL once the attempt is no more */
    struct strait_timer reconnect, more;
    unsigned failures; /* in a row */
    int error;         /* why the last connection has broken, or was not made; 0: it stands */
    unsigned busy;     /* within callbacks */
    bool closing;
    nghttp2_option *options;
    nghttp2_session_callbacks *callbacks;
    uint8_t scratch[H2_SCRATCH_BYTES], input[H2_SCRATCH_BYTES];
};

/* ---- grpc_client.c ---- */

/* Something is to be sent: soon. */
void grpc_connection_wake(struct connection *);

/* Puts an attempt, which is in no list, into one; takes it out of it. */
void grpc_attempt_join(struct rpc_attempt *, struct attempts *);
void grpc_attempt_part(struct rpc_attempt *);

void grpc_attempt_free(struct rpc_attempt *);

/* ---- grpc_reply.c ---- */

/* Returns NULL when memory is short. */
nghttp2_session_callbacks *grpc_reply_callbacks(void);

/* Its stream is no more: it waits to be told. */
void grpc_reply_ends(struct rpc_attempt *, uint32_t error);

/* What is known of an attempt without a status: not executed, or unknown. */
enum rpc_outcome grpc_reply_missing(const struct rpc_attempt *);

/* Its caller takes messages again: from the next callback on. */
void grpc_reply_more(struct rpc_attempt *);

/* Tells callers of one thing that has come: a message, or an end. Returns whether there was one. In
 * what it tells, attempts may be abandoned, and the transport closed. */
bool grpc_reply_tell(struct transport *);

#endif
