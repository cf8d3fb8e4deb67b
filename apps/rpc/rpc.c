/* SPDX-License-Identifier: MIT */
#include "rpc/rpc.h"

#include <arpa/inet.h>
#include <string.h>

const char *rpc_code_text(enum rpc_code code)
{
    switch (code) {
    case RPC_OK:
        return "OK";
    case RPC_CANCELLED:
        return "cancelled";
    case RPC_UNKNOWN_ERROR:
        return "unknown error";
    case RPC_INVALID_ARGUMENT:
        return "invalid argument";
    case RPC_DEADLINE_EXCEEDED:
        return "deadline exceeded";
    case RPC_NOT_FOUND:
        return "not found";
    case RPC_ALREADY_EXISTS:
        return "already exists";
    case RPC_PERMISSION_DENIED:
        return "permission denied";
    case RPC_RESOURCE_EXHAUSTED:
        return "resource exhausted";
    case RPC_FAILED_PRECONDITION:
        return "failed precondition";
    case RPC_ABORTED:
        return "aborted";
    case RPC_OUT_OF_RANGE:
        return "out of range";
    case RPC_UNIMPLEMENTED:
        return "unimplemented";
    case RPC_INTERNAL:
        return "internal error";
    case RPC_UNAVAILABLE:
        return "unavailable";
    case RPC_DATA_LOSS:
        return "data loss";
    case RPC_UNAUTHENTICATED:
        return "unauthenticated";
    }
    return "unknown code";
}

const char *rpc_outcome_text(enum rpc_outcome outcome)
{
    static const char *const texts[] = {
        [RPC_RESULT] = "result",
        [RPC_ERROR] = "error",
        [RPC_NOT_EXECUTED] = "not executed",
        [RPC_UNKNOWN] = "unknown",
    };
    return texts[outcome];
}

const char *rpc_class_text(enum rpc_class class)
{
    static const char *const texts[] = {
        [RPC_PURE] = "pure",
        [RPC_IDEMPOTENT] = "idempotent",
        [RPC_ONCE] = "once",
    };
    return texts[class];
}

bool rpc_is_repeatable(const struct rpc_procedure *procedure)
{
    return procedure->class != RPC_ONCE || procedure->identified;
}

const struct rpc_procedure *rpc_by_name(const struct rpc_procedure *table, size_t count,
                                        const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

void rpc_put32(uint8_t *bytes, uint32_t value)
{
    uint32_t word = htonl(value);
    memcpy(bytes, &word, sizeof(word));
}

uint32_t rpc_get32(const uint8_t *bytes)
{
    uint32_t word;
    memcpy(&word, bytes, sizeof(word));
    return ntohl(word);
}

void rpc_put64(uint8_t *bytes, uint64_t value)
{
    rpc_put32(bytes, (uint32_t)(value >> 32));
    rpc_put32(bytes + 4, (uint32_t)value);
}

uint64_t rpc_get64(const uint8_t *bytes)
{
    return (uint64_t)rpc_get32(bytes) << 32 | rpc_get32(bytes + 4);
}

void rpc_identity_marshal(const struct rpc_identity *identity, uint8_t bytes[RPC_IDENTITY_BYTES])
{
    rpc_put64(bytes, identity->client);
    rpc_put64(bytes + 8, identity->sequence);
    rpc_put64(bytes + 16, identity->lowest);
}

struct rpc_identity rpc_identity_unmarshal(const uint8_t bytes[RPC_IDENTITY_BYTES])
{
    return (struct rpc_identity){rpc_get64(bytes), rpc_get64(bytes + 8), rpc_get64(bytes + 16)};
}
