/* SPDX-License-Identifier: MIT */
#include "bank.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"

/*
 * What the transaction has seen in all accounts. Returns false if it has not looked into each.
 * `look` keeps for each account who has looked into it last, as transaction + 1.
 */
static bool sum(const struct history *h, uint32_t transaction, uint32_t first, uint32_t count,
                uint32_t *look, uint64_t *seen)
{
    const struct history_transaction *t = &h->transactions[transaction];
    uint32_t accounts = 0;

    *seen = 0;
    for (uint32_t i = t->first; i < t->first + t->count; i++) {
        const struct history_operation *o = &h->operations[i];
        uint32_t account = o->key - first;
        if (o->kind != HISTORY_READ || account >= count || look[account] == transaction + 1)
            continue;
        look[account] = transaction + 1;
        *seen += o->value;
        accounts++;
    }
    return accounts == count;
}

void bank_check(const struct history *h, uint32_t first, uint32_t count, uint64_t total,
                struct bank_result *result)
{
    uint32_t *look = calloc((size_t)count + 1, sizeof(look[0]));
    uint64_t seen;

    CHECK(look);
    *result = (struct bank_result){.answer = HISTORY_YES};
    for (uint32_t i = 0; i < h->transaction_count && result->answer == HISTORY_YES; i++) {
        if (h->transactions[i].outcome != HISTORY_OK || !sum(h, i, first, count, look, &seen))
            continue;
        result->looks++;
        if (seen == total)
            continue;
        result->answer = HISTORY_NO;
        result->transaction = i;
        result->seen = seen;
        history_say(&result->why,
                    "the accounts hold %" PRIu64 ", not %" PRIu64 ", as seen by\n    ", seen,
                    total);
        history_tell(&result->why, h, i);
    }
    free(look);
}
