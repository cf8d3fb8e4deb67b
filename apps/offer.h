/* SPDX-License-Identifier: MIT */
/*
 * What a program offers to remote callers: its procedures, and about them health and reflection, on
 * the wires that are started.
 */
#ifndef APPS_OFFER_H
#define APPS_OFFER_H

#include "rpc/connect.h"
#include "rpc/dispatch.h"
#include "rpc/health.h"
#include "rpc/message.h"
#include "server.h"

/* What strait serve offers, as far as it has messages; ends with NULL. */
extern const struct rpc_messages *const offer_messages[];

struct offer {
    struct rpc_dispatcher *rpc;
    const struct rpc_messages *const *messages;
    size_t message_max; /* of gRPC, in bytes; 0: RPC_MESSAGE_MAX */
    struct health *health;
    struct connect *connect;       /* for an HTTP server, which ends before offer_free */
    struct server *classic, *grpc; /* NULL: not started */
};

/*
 * Registers health and reflection, for the services of a list that ends with NULL; of these the
 * others are to be registered by the caller. Returns 0, or -1 with errno; offer_free is to be
 * called anyway.
 */
int offer_open(struct offer *, struct strait_env *, const struct rpc_messages *const *messages);

/* The same for offer_messages, with the procedures of primes. */
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
