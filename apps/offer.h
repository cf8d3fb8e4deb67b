/* SPDX-License-Identifier: MIT */
/*
 * What the program offers to remote callers: the procedures of primes, and about them health and
 * reflection, on the wires that are started.
 */
#ifndef APPS_OFFER_H
#define APPS_OFFER_H

#include "rpc/connect.h"
#include "rpc/dispatch.h"
#include "rpc/health.h"
#include "rpc/message.h"
#include "server.h"

/* All services that have messages; ends with NULL. */
extern const struct rpc_messages *const offer_messages[];

struct offer {
    struct rpc_dispatcher *rpc;
    struct health *health;
    struct connect *connect;       /* for an HTTP server, which ends before offer_free */
    struct server *classic, *grpc; /* NULL: not started */
};

/* Registers the procedures. Returns 0, or -1 with errno; offer_free is to be called anyway. */
int offer_init(struct offer *, struct strait_env *);

/* Start a wire on a port of every address. Return 0, or -1 with errno (see server_start). */
int offer_classic(struct offer *, const struct stream_host *, uint16_t port);
int offer_grpc(struct offer *, const struct stream_host *, uint16_t port);

/* Says that it will not serve, and lets the wires end in order: see server_stop. */
void offer_stop(struct offer *);

/* Ends the wires at once; offer_free does so too, and ends the procedures. */
void offer_close(struct offer *);
void offer_free(struct offer *);

#endif
