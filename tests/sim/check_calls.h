/* SPDX-License-Identifier: MIT */
/*
 * What has to hold of calls and their effects, whatever has failed: each effect of a `once` call is
 * there exactly once if the client has its result, and at most once otherwise; each result is
 * right; what was not executed has no effect; every call ends, and no later than its deadline.
 * Knows nothing of how calls are carried: it is told what the callers have seen, and what the
 * server's disk shows in the end.
 */
#ifndef TESTS_SIM_CHECK_CALLS_H
#define TESTS_SIM_CHECK_CALLS_H

#include <stddef.h>
#include <stdint.h>

#include "rpc/client.h"

enum call_kind { CALL_ADD, CALL_SET, CALL_GET, CALL_ITH_PRIME, CALL_IS_COPRIME, CALL_KINDS };

enum call_fate {
    CALL_OPEN,
    CALL_ENDED,     /* with an outcome */
    CALL_CANCELLED, /* by its caller, who heard an outcome all the same, but no result */
    CALL_LOST,      /* with its caller, who crashed */
};

struct call_record {
    enum call_kind kind;
    uint32_t x, y;             /* arguments; x is the amount of an addition, above 0 */
    uint64_t client, sequence; /* of an addition */
    uint64_t began_ns, deadline_ns, ended_ns;
    enum call_fate fate;
    struct rpc_reply reply;
    uint32_t result;
};

/* An addition as the server has noted it. */
struct audit_row {
    uint64_t client, sequence;
    uint32_t amount, value;
};

/* Calls violated(context, line) for all that does not hold. Rows are in the order of the effects.
 */
void check_calls(const struct call_record *, size_t call_count, const struct audit_row *,
                 size_t row_count, uint32_t counter,
                 void (*violated)(void *context, const char *line), void *context);

#endif
