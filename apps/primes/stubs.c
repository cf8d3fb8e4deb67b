/* SPDX-License-Identifier: MIT */
#include "primes/stubs.h"

#include <errno.h>

#include "primes/primes.h"
#include "primes/primes.pb-c.h"

#define WORD 4 /* bytes */

/* ---- The server's ---- */

static enum rpc_code ith_prime_sstub(void *context, const uint8_t *arguments, uint8_t *result)
{
    uint32_t prime;
    if (!ith_prime(context, rpc_get32(arguments), &prime))
        return RPC_OUT_OF_RANGE;
    rpc_put32(result, prime);
    return RPC_OK;
}

static bool ith_prime_is_long(void *context, const uint8_t *arguments)
{
    return !primes_knows(context, rpc_get32(arguments));
}

static enum rpc_code is_coprime_sstub(void *context, const uint8_t *arguments, uint8_t *result)
{
    (void)context;
    rpc_put32(result, is_coprime(rpc_get32(arguments), rpc_get32(arguments + WORD)));
    return RPC_OK;
}

const struct rpc_procedure primes_procedures[PRIMES_PROCEDURES] = {
    [PRIMES_ITH_PRIME] = {.id = 0,
                          .name = "ith_prime",
                          .argument_bytes = WORD,
                          .result_bytes = WORD,
                          .class = RPC_PURE,
                          .run = ith_prime_sstub,
                          .is_long = ith_prime_is_long},
    [PRIMES_IS_COPRIME] = {.id = 1,
                           .name = "is_coprime",
                           .argument_bytes = 2 * WORD,
                           .result_bytes = WORD,
                           .class = RPC_PURE,
                           .run = is_coprime_sstub},
};

const struct rpc_messages primes_messages = {&strait__primes__descriptor, primes_procedures};

static void release(void *context)
{
    primes_free(context);
}

int primes_serve(struct rpc_dispatcher *rpc)
{
    struct primes *primes = primes_new();
    if (!primes) {
        errno = ENOMEM;
        return -1;
    }
    const struct rpc_service service = {
        .name = "primes",
        .procedures = primes_procedures,
        .count = PRIMES_PROCEDURES,
        .context = primes,
        .release = release,
    };
    if (rpc_register(rpc, &service) == 0)
        return 0;
    primes_free(primes);
    return -1;
}

/* ---- The client's ---- */

struct rpc_reply ith_prime_cstub(struct rpc_channel *channel, uint32_t i, uint32_t *prime)
{
    uint8_t arguments[WORD], result[WORD] = {0};
    rpc_put32(arguments, i);
    struct rpc_reply reply =
        call_rpc(channel, &primes_procedures[PRIMES_ITH_PRIME], arguments, result);
    *prime = rpc_get32(result);
    return reply;
}

struct rpc_reply is_coprime_cstub(struct rpc_channel *channel, uint32_t x, uint32_t y,
                                  uint32_t *coprime)
{
    uint8_t arguments[2 * WORD], result[WORD] = {0};
    rpc_put32(arguments, x);
    rpc_put32(arguments + WORD, y);
    struct rpc_reply reply =
        call_rpc(channel, &primes_procedures[PRIMES_IS_COPRIME], arguments, result);
    *coprime = rpc_get32(result);
    return reply;
}
