/* SPDX-License-Identifier: MIT */
#include "rpc/retry.h"

#define NS_PER_TOKEN (UINT64_C(1000000000) / RPC_BUDGET_SECOND)

uint64_t rpc_backoff(unsigned attempts, uint32_t random)
{
    uint64_t most_ns = RPC_BACKOFF_NS;
    while (--attempts > 0 && most_ns < RPC_BACKOFF_MAX_NS)
        most_ns *= 2;
    if (most_ns > RPC_BACKOFF_MAX_NS)
        most_ns = RPC_BACKOFF_MAX_NS;
    uint64_t half_ns = most_ns / 2;
    return half_ns + (half_ns * random >> 32);
}

void rpc_budget_init(struct rpc_budget *b, uint64_t now_ns)
{
    *b = (struct rpc_budget){RPC_BUDGET_MAX, now_ns};
}

static void add(struct rpc_budget *b, uint64_t tokens)
{
    uint64_t room = RPC_BUDGET_MAX - b->tokens;
    b->tokens += (uint32_t)(tokens < room ? tokens : room);
}

void rpc_budget_earn(struct rpc_budget *b)
{
    add(b, RPC_BUDGET_ANSWER);
}

bool rpc_budget_take(struct rpc_budget *b, uint64_t now_ns)
{
    uint64_t earned = (now_ns - b->since_ns) / NS_PER_TOKEN;
    b->since_ns += earned * NS_PER_TOKEN;
    add(b, earned);
    if (b->tokens < RPC_BUDGET_RETRY)
        return false;
    b->tokens -= RPC_BUDGET_RETRY;
    return true;
}
