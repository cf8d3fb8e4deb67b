/* SPDX-License-Identifier: MIT */
/*
 * What all layers of one stack share: the time, the configuration, counters, the log, payload
 * memory and pseudo-random numbers. Each layer's own struct points at it.
 */
#ifndef BASE_CORE_H
#define BASE_CORE_H

#include <stdint.h>

#include "base/counters.h"
#include "base/pool.h"
#include "base/prng.h"
#include "strait.h"

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

struct core {
    uint64_t now_ns; /* of the last strait_input or strait_advance; see core_set_now */
    uint32_t now_ms, now_us;
    struct strait_config config;
    struct pool pool;
    struct prng prng; /* seeded from the secret; for choices, not for secrets */
    uint64_t counters[COUNTER_COUNT];
    void (*trace)(void *trace_context, const struct strait_trace *); /* NULL: nobody listens */
    void *trace_context;
};

/* Sets the time, in all the units that it is asked for in: far more often than it is set. */
static inline void core_set_now(struct core *core, uint64_t now_ns)
{
    core->now_ns = now_ns;
    core->now_ms = (uint32_t)(now_ns / NS_PER_MS);
    core->now_us = (uint32_t)(now_ns / NS_PER_US);
}

/* The time in 32 bits, for differences below 49 days, and below 71 minutes. */
static inline uint32_t core_ms(const struct core *core)
{
    return core->now_ms;
}

static inline uint32_t core_us(const struct core *core)
{
    return core->now_us;
}

/* Counts one (or `amount`) in the counter of that name. */
#define count(core, name)            ((core)->counters[COUNTER_##name]++)
#define count_by(core, name, amount) ((core)->counters[COUNTER_##name] += (amount))

/* Formats and logs a message, if its category is wanted; costs one test otherwise. */
#define log_to(core, category, ...)                                                                \
    do {                                                                                           \
        if (__builtin_expect(((core)->config.log_categories & (category)) != 0, 0))                \
            core_log(core, category, __VA_ARGS__);                                                 \
    } while (0)

void core_log(struct core *, uint32_t category, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
