/* SPDX-License-Identifier: MIT */
/* gRPC's standard health service, grpc.health.v1.Health: Check and Watch. */
#ifndef APPS_RPC_HEALTH_H
#define APPS_RPC_HEALTH_H

#include <stdbool.h>

#include "rpc/dispatch.h"
#include "rpc/message.h"

enum { HEALTH_CHECK, HEALTH_WATCH, HEALTH_PROCEDURES };

extern const struct rpc_messages health_messages;

struct health;

/*
 * Registers the service, which then is the dispatcher's, and says of every service of the list
 * (ends with NULL, borrowed) that it serves. Returns NULL with errno: ENOMEM, or of rpc_register.
 */
struct health *health_serve(struct rpc_dispatcher *, const struct rpc_messages *const *list);

/* Changes what is said, and tells those who watch: of the server and all of its services. */
void health_set(struct health *, bool serving);

#endif
