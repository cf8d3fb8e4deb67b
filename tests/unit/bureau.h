/* SPDX-License-Identifier: MIT */
/*
 * A gRPC server on host 1 of a pair, with what the program offers and a service of the tests:
 * "strait.Primes" in another table, whose IthPrime adds (once, identified) and whose IsCoprime
 * streams; see bureau.c.
 */
#ifndef TESTS_UNIT_BUREAU_H
#define TESTS_UNIT_BUREAU_H

#include "caller.h"
#include "offer.h"
#include "rpc/grpc.h"

#define BUREAU_PORT 7001

/* A message with its head, as a string literal. */
#define ITH_PRIME   "/strait.Primes/IthPrime"
#define IS_COPRIME  "/strait.Primes/IsCoprime"
#define ITH_PRIME_5 "\0\0\0\0\2\x08\5"           /* 13 */
#define LONG_PRIME  "\0\0\0\0\4\x08\xbf\x84\x3d" /* the millionth, which runs on the executor */

struct bureau {
    struct pair *pair;
    struct offer offer;
    struct server *server;
    struct grpc_config config;
    /* Of the streaming procedure. */
    size_t sent, to_send; /* messages */
    size_t piece_bytes;   /* of each; 1000 at first */
    int cancelled;
};

/* The methods of the service of the tests; for clients. */
extern const struct rpc_messages *const bureau_messages[];

/* Serves what the program offers, or (`own`) the service of the tests. */
struct bureau *bureau_new(bool own, const struct grpc_config *);

/* The same on a pair that is made like this. */
struct bureau *bureau_new_on(const struct pair_config *, bool own, const struct grpc_config *);

/* Nothing is left of the sessions, or the test fails. */
void bureau_free(struct bureau *);

/* Ends the server at once, and begins it again. */
void bureau_crash(struct bureau *);
void bureau_start(struct bureau *);

const struct rpc_counters *bureau_counters(struct bureau *);

/* Whether somebody else is served. */
void bureau_expect_service(struct bureau *);

/* The stream was answered by this body, and OK; or by this status and text, and nothing else. */
void bureau_expect(const struct told *, const void *body, size_t body_bytes);
void bureau_expect_status(const struct told *, int status, const char *text);

#endif
