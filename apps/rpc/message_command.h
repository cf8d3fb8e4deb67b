/* SPDX-License-Identifier: MIT */
/* What `strait rpc` does by gRPC: calls with arguments and results in JSON, the list of services.
 */
#ifndef APPS_RPC_MESSAGE_COMMAND_H
#define APPS_RPC_MESSAGE_COMMAND_H

#include "options.h"
#include "rpc/client.h"
#include "rpc/message.h"
#include "station.h"

/* A call as the command line has it. */
struct message_call {
    const char *name; /* "package.Service/Method"; NULL: there is none */
    struct rpc_method method;
    struct rpc_result request;    /* the message, to be freed */
    uint8_t words[RPC_BYTES_MAX]; /* the same, of a procedure of fixed size */
};

/* Reads the name of a method and its arguments. Returns 0, or what options_fail returns. */
int message_call_read(struct message_call *, const char *name, const char *json,
                      const struct report *);

void message_call_free(struct message_call *);

/* Makes the call and prints its result as JSON; that of a stream a line for each message, until it
 * ends or a signal comes. Returns 0, or -1 after a line. */
int message_call_make(struct station *, struct rpc_channel *, const struct message_call *,
                      uint64_t deadline_ns);

/* Says that a call of this name has no result, and why. Returns -1. */
int message_failed(const char *name, struct rpc_reply, const char *text);

/* Asks by reflection for the services of a server, and prints their names. Returns likewise. */
int message_list(struct station *, struct rpc_channel *, uint64_t deadline_ns);

#endif
