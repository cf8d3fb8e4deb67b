/* SPDX-License-Identifier: MIT */
/*
 * When a call is tried again: after a time that doubles and is drawn, so that clients whom one
 * failure has hit do not come back together; and out of a budget of their channel, so that retries
 * are a small part of what a server in trouble has to bear.
 */
#ifndef APPS_RPC_RETRY_H
#define APPS_RPC_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#define RPC_ATTEMPTS_MAX 5

/* After the first attempt, the second ...: a half to the whole of these. */
#define RPC_BACKOFF_NS     UINT64_C(50000000)
#define RPC_BACKOFF_MAX_NS UINT64_C(2000000000)

/* How long to wait after so many attempts (1 or more); `random` is 32 bits evenly drawn. */
uint64_t rpc_backoff(unsigned attempts, uint32_t random);

/* In thousandths of a token. */
#define RPC_BUDGET_MAX    10000u /* and what a channel begins with */
#define RPC_BUDGET_RETRY  1000u
#define RPC_BUDGET_ANSWER 100u  /* earned by a call that was answered: a tenth of a retry */
#define RPC_BUDGET_SECOND 1000u /* earned by time, so that nothing is shut out for ever */

/* A token bucket. */
struct rpc_budget {
    uint32_t tokens;
    uint64_t since_ns; /* time up to here has been earned for */
};

void rpc_budget_init(struct rpc_budget *, uint64_t now_ns);
void rpc_budget_earn(struct rpc_budget *);

/* Takes what a retry costs; false if there is not so much. */
bool rpc_budget_take(struct rpc_budget *, uint64_t now_ns);

#endif
