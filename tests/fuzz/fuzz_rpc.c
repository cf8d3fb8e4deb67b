/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as what a client says to the classic RPC server: through the reader of requests
 * (rpc/classic.h), and on to the procedures.
 *
 * The input is a byte that says in which pieces the rest arrives, and the rest.
 *
 * Promised: a request means what the bytes say by themselves, however they arrive; no more are
 * taken than belong to it; a whole one is answered at once, and its result is that of its
 * arguments.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "rpc/classic.h"
#include "targets.h"

/* Gives the arguments back, over and over. */
static enum rpc_code repeat(const uint8_t *arguments, size_t argument_bytes, uint8_t *result,
                            size_t result_bytes)
{
    for (size_t i = 0; i < result_bytes; i++)
        result[i] = argument_bytes > 0 ? arguments[i % argument_bytes] : 0;
    return RPC_OK;
}

#define REPEATS(name, arguments, results)                                                          \
    static enum rpc_code name(void *context, const uint8_t *argument, uint8_t *result)             \
    {                                                                                              \
        (void)context;                                                                             \
        return repeat(argument, arguments, result, results);                                       \
    }

REPEATS(one_word, 4, 4)
REPEATS(two_words, 8, 4)
REPEATS(no_argument, 0, 1)
REPEATS(everything, RPC_BYTES_MAX, RPC_BYTES_MAX)

static const struct rpc_procedure procedures[] = {
    {.id = 0, .name = "one", .argument_bytes = 4, .result_bytes = 4, .run = one_word},
    {.id = 1, .name = "two", .argument_bytes = 8, .result_bytes = 4, .run = two_words},
    {.id = 0x100, .name = "none", .argument_bytes = 0, .result_bytes = 1, .run = no_argument},
    {.id = UINT32_MAX,
     .name = "all",
     .argument_bytes = RPC_BYTES_MAX,
     .result_bytes = RPC_BYTES_MAX,
     .run = everything},
};

static uint64_t now(struct strait_env *env)
{
    (void)env;
    return 1;
}

static struct rpc_dispatcher *make_dispatcher(struct strait_env *env)
{
    const struct rpc_service service = {.name = "repeat",
                                        .procedures = procedures,
                                        .count = sizeof(procedures) / sizeof(*procedures)};
    struct rpc_dispatcher *rpc = rpc_new(env);
    CHECK(rpc && rpc_register(rpc, &service) == 0);
    return rpc;
}

/* The procedure that the first four bytes name, read here by themselves. */
static const struct rpc_procedure *named(const uint8_t *bytes)
{
    for (size_t i = 0; i < sizeof(procedures) / sizeof(*procedures); i++) {
        uint32_t id = procedures[i].id;
        const uint8_t wire[] = {(uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8),
                                (uint8_t)id};
        if (memcmp(bytes, wire, 4) == 0)
            return &procedures[i];
    }
    return NULL;
}

/* What came of a request. */
struct answer {
    unsigned times;
    const struct rpc_procedure *procedure;
    const uint8_t *arguments;
};

static void answered(void *owner, enum rpc_code code, const uint8_t *result, size_t result_bytes)
{
    struct answer *a = owner;
    uint8_t expected[RPC_BYTES_MAX];
    a->times++;
    CHECK(code == RPC_OK && result_bytes == a->procedure->result_bytes);
    repeat(a->arguments, a->procedure->argument_bytes, expected, result_bytes);
    CHECK(memcmp(result, expected, result_bytes) == 0);
}

/* Reads in pieces, of memory of just their size. Returns how many bytes were taken. */
static size_t feed(struct classic_request *r, const struct rpc_dispatcher *rpc,
                   const uint8_t *bytes, size_t length, size_t piece)
{
    size_t taken = 0;
    while (taken < length) {
        size_t offered = length - taken < piece ? length - taken : piece;
        uint8_t *exact = malloc(offered);
        CHECK(exact);
        memcpy(exact, bytes + taken, offered);
        size_t n = classic_feed(r, rpc, exact, offered);
        free(exact);
        taken += n;
        CHECK(n <= offered);
        if (n < offered)
            break;
    }
    return taken;
}

static void check(struct rpc_dispatcher *rpc, const uint8_t *bytes, size_t length, size_t piece)
{
    struct classic_request r = {0};
    size_t taken = feed(&r, rpc, bytes, length, piece);
    if (length < CLASSIC_ID_BYTES) {
        CHECK(r.state == CLASSIC_PARTIAL && taken == length);
        return;
    }
    struct answer a = {.procedure = named(bytes), .arguments = bytes + CLASSIC_ID_BYTES};
    if (!a.procedure) {
        CHECK(r.state == CLASSIC_NO_PROCEDURE && taken == CLASSIC_ID_BYTES);
        return;
    }
    size_t size = CLASSIC_ID_BYTES + a.procedure->argument_bytes;
    CHECK(taken == (length < size ? length : size));
    CHECK(r.state == (length < size ? CLASSIC_PARTIAL : CLASSIC_WHOLE));
    if (r.state == CLASSIC_PARTIAL)
        return;
    CHECK(!call_server_stub(rpc, r.id, classic_arguments(&r), 2, answered, &a));
    CHECK(a.times == 1);
}

int fuzz_rpc(const uint8_t *bytes, size_t length)
{
    struct strait_env env = {.size = sizeof(env), .now = now};
    if (length < 1)
        return 0;
    struct rpc_dispatcher *rpc = make_dispatcher(&env);
    check(rpc, bytes + 1, length - 1, length);
    check(rpc, bytes + 1, length - 1, (size_t)bytes[0] + 1);
    rpc_free(rpc);
    return 0;
}
