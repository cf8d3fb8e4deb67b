/* SPDX-License-Identifier: MIT */
#include "tcp/spent.h"

#include <string.h>

#define SET_SHIFT 24 /* the highest bits of an ISS are of its hash */

_Static_assert(SPENT_SETS == UINT32_MAX / (UINT32_C(1) << SET_SHIFT) + 1, "a set for each value");

void spent_add(struct spent_cookies *spent, uint32_t iss, uint32_t irs)
{
    struct spent_cookie *set = spent->sets[iss >> SET_SHIFT];

    memmove(set + 1, set, (SPENT_WAYS - 1) * sizeof(*set));
    set[0] = (struct spent_cookie){iss, irs};
}

bool spent_has(const struct spent_cookies *spent, uint32_t iss, uint32_t irs)
{
    const struct spent_cookie *set = spent->sets[iss >> SET_SHIFT];

    for (uint32_t i = 0; i < SPENT_WAYS; i++)
        if (set[i].iss == iss && set[i].irs == irs)
            return true;
    return false;
}
