/* SPDX-License-Identifier: MIT */
/*
 * The stubs of the two procedures, and with them the way of a call on the classic wire, six steps:
 *
 *     1. ith_prime_cstub     marshals the arguments                   primes/stubs.c
 *        call_rpc            sends the id and them, waits             rpc/client.c
 *     2. receive_rpc         reads the id                             rpc/classic_server.c
 *     3. get_sizes           says how many bytes of arguments follow  rpc/dispatch.c
 *     4. call_server_stub    finds the server stub, when and where    rpc/dispatch.c
 *     5. ith_prime_sstub     unmarshals, calls, marshals the result   primes/stubs.c
 *     6. ith_prime_cstub     unmarshals the result
 *
 * The caller of the client stub need not know that the procedure is elsewhere, but for the outcome:
 * a call that goes elsewhere can fail in ways in which one at home cannot.
 */
#ifndef APPS_PRIMES_STUBS_H
#define APPS_PRIMES_STUBS_H

#include "rpc/client.h"
#include "rpc/dispatch.h"
#include "rpc/message.h"

enum { PRIMES_ITH_PRIME, PRIMES_IS_COPRIME, PRIMES_PROCEDURES };

/* For client and server. */
extern const struct rpc_procedure primes_procedures[PRIMES_PROCEDURES];

/* The same by their names and messages of primes.proto. */
extern const struct rpc_messages primes_messages;

/* Registers the procedures. Returns 0, or -1 with errno (ENOMEM, and those of rpc_register). */
int primes_serve(struct rpc_dispatcher *);

/* Block, by driving the channel's environment, until there is an outcome. */
struct rpc_reply ith_prime_cstub(struct rpc_channel *, uint32_t i, uint32_t *prime);
struct rpc_reply is_coprime_cstub(struct rpc_channel *, uint32_t x, uint32_t y, uint32_t *coprime);

#endif
