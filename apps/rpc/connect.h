/* SPDX-License-Identifier: MIT */
/*
 * The JSON wire: unary calls of the Connect protocol over HTTP/1.1, below /rpc/ beside an HTTP
 * server's files. `POST /rpc/strait.Primes/IthPrime` with {"i":5} is answered by {"prime":13}, or
 * by
 * {"code":"out_of_range",...} with the status that the protocol has for the code. The deadline
 * travels as connect-timeout-ms, the identity of a `once` call as strait-once-bin.
 */
#ifndef APPS_RPC_CONNECT_H
#define APPS_RPC_CONNECT_H

#include "http/gate.h"
#include "rpc/dispatch.h"
#include "rpc/message.h"

#define CONNECT_PREFIX "/rpc/"

struct connect;

/*
 * Makes the gate for http_config. The list (ends with NULL) is borrowed; both wires end before the
 * dispatcher. Returns NULL when memory is short.
 */
struct connect *connect_new(struct rpc_dispatcher *, struct strait_env *,
                            const struct rpc_messages *const *list);
const struct http_gate *connect_gate(const struct connect *);

/* To be called when the HTTP server is no more. NULL is allowed. */
void connect_free(struct connect *);

#endif
