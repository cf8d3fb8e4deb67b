/* SPDX-License-Identifier: MIT */
/*
 * The gRPC wire: HTTP/2 in clear text with prior knowledge (RFC 9113), and on it "gRPC over HTTP2".
 * A connection carries many calls at a time, each a stream:
 *
 *     client                                              server
 *     :path /strait.Primes/IthPrime, grpc-timeout ...  -->
 *     a message, the end of the stream                 -->
 *              <-- :status 200
 *              <-- messages: one, or those of a streaming procedure
 *              <-- grpc-status, grpc-message, the end of the stream
 *
 * Procedures are those of the dispatcher, by the names and messages of rpc/message.h. A fault of a
 * call ends that call alone, with a status; one of the protocol ends the connection, as RFC 9113
 * says; too much of what costs a peer nothing (resets, settings, pings) ends it as well.
 */
#ifndef APPS_RPC_GRPC_H
#define APPS_RPC_GRPC_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "rpc/dispatch.h"
#include "rpc/message.h"
#include "server.h"
#include "stream.h"

#define GRPC_PORT 7001

#define GRPC_CONNECTION_STREAMS 1000         /* of one connection, at a time */
#define GRPC_HEADER_BYTES       8192         /* of a request's fields, as RFC 9113 6.5.2 counts */
#define GRPC_OUTPUT_BYTES       (64u << 10)  /* of a stream, beyond which its procedure waits */
#define GRPC_MEMORY             (256u << 20) /* for messages on their way, of a server */

/* A connection without anything heard for this time is asked by a ping, and ended if it does not
 * answer. */
#define GRPC_KEEPALIVE_NS        (120 * RPC_S)
#define GRPC_KEEPALIVE_ANSWER_NS (20 * RPC_S)

/* A client that pings more often than this, without anything having been sent to it in between, is
 * told to be calm, at the third time. */
#define GRPC_PING_MIN_NS (10 * RPC_S)

struct grpc_config {
    struct sockaddr_in address;                 /* 0.0.0.0 for all */
    const struct rpc_messages *const *messages; /* of registered procedures; ends with NULL */
    size_t message_max;                         /* bytes; 0: RPC_MESSAGE_MAX */
    size_t sessions_max; /* 0: 1024; then the one that has had no call for the longest
                            time makes room */
};

/*
 * Answers calls until server_free, which has to come before rpc_free. The configuration and its
 * list are copied, what the list points to is borrowed. When it is stopped, it refuses new calls in
 * a way that tells clients that they were not executed, and ends those of streaming procedures; the
 * others it answers. Returns NULL with errno: see server_start.
 */
struct server *grpc_start(const struct stream_host *, struct rpc_dispatcher *,
                          const struct grpc_config *);

#endif
