/* SPDX-License-Identifier: MIT */
#include "base/counters.h"

#include "base/check.h"

const char *counter_name(enum counter counter)
{
    static const char *const names[COUNTER_COUNT] = {
#define COUNTER_NAME(name) #name,
        COUNTERS(COUNTER_NAME)
#undef COUNTER_NAME
    };
    CHECK(counter < COUNTER_COUNT);
    return names[counter];
}
