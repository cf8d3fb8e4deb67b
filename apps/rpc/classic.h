/* SPDX-License-Identifier: MIT */
/*
 * The classic wire. A connection carries one call:
 *
 *     client                                        server
 *     procedure's id, 4 bytes  ------------------->
 *     all bytes of all arguments ----------------->  as many as the id demands
 *              <-----------------------------------  the result, and the end of the stream
 *
 * All words are of 32 bits in network byte order. What is no result (an unknown id, an error of the
 * procedure, too much to do) is the end of the stream without one; so is a crash. The identity of a
 * `once` procedure is the first of its arguments.
 */
#ifndef APPS_RPC_CLASSIC_H
#define APPS_RPC_CLASSIC_H

#include "rpc/dispatch.h"
#include "server.h"
#include "stream.h"

#define CLASSIC_PORT     7000
#define CLASSIC_ID_BYTES 4

/* ---- A request as it is read ---- */

enum classic_state {
    CLASSIC_PARTIAL, /* more has to come */
    CLASSIC_WHOLE,
    CLASSIC_NO_PROCEDURE,
};

struct classic_request {
    enum classic_state state;
    uint32_t id;
    size_t argument_bytes, result_bytes; /* once the id is there */
    size_t taken;                        /* of what follows */
    uint8_t bytes[CLASSIC_ID_BYTES + RPC_BYTES_MAX];
};

/*
 * Takes what belongs to the request of the next bytes, in however many pieces they come; all zero
 * is a request of which nothing has come. Returns how many it has taken: fewer than were given once
 * it is not partial any more.
 */
size_t classic_feed(struct classic_request *, const struct rpc_dispatcher *, const uint8_t *bytes,
                    size_t length);

/* The arguments of a whole request. */
const uint8_t *classic_arguments(const struct classic_request *);

/* ---- The server ---- */

struct classic_config {
    struct sockaddr_in address; /* 0.0.0.0 for all */
    uint64_t request_ns;        /* for a request to become whole; 0: 10 s */
    size_t sessions_max;        /* 0: 1024; then the one that has waited longest makes room */
};

/*
 * Answers calls until server_free, which has to come before rpc_free. Trailing bytes are thrown
 * away. A call is cancelled when its client resets the connection, or at its deadline, 10 s after
 * it has become whole. Returns NULL with errno (see server_start).
 */
struct server *classic_start(const struct stream_host *, struct rpc_dispatcher *,
                             const struct classic_config *);

#endif
