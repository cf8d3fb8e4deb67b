/* SPDX-License-Identifier: MIT */
#include "tcp/isn.h"

#include "base/siphash.h"

#define ISN_TICK_NS 4000 /* RFC 9293 3.4.1: one tick each 4 microseconds */

/* Keeps the uses of the one secret apart. */
enum purpose { PURPOSE_ISN, PURPOSE_TIMESTAMP, PURPOSE_PORT, PURPOSE_TABLE };

static uint64_t hash(const struct core *core, const struct tuple *t, uint16_t local_port,
                     enum purpose purpose)
{
    uint8_t bytes[sizeof(t->local) + sizeof(t->remote) + 5];

    memcpy(bytes, &t->local, sizeof(t->local));
    memcpy(bytes + 16, &t->remote, sizeof(t->remote));
    store_be16(bytes + 32, local_port);
    store_be16(bytes + 34, t->remote_port);
    bytes[36] = (uint8_t)purpose;
    return siphash(core->config.secret, bytes, sizeof(bytes));
}

uint32_t isn_choose(const struct core *core, const struct tuple *t)
{
    return (uint32_t)(core->now_ns / ISN_TICK_NS + hash(core, t, t->local_port, PURPOSE_ISN));
}

uint32_t isn_timestamp_offset(const struct core *core, const struct tuple *t)
{
    return (uint32_t)hash(core, t, t->local_port, PURPOSE_TIMESTAMP);
}

uint32_t isn_port_offset(const struct core *core, const struct tuple *t)
{
    return (uint32_t)hash(core, t, 0, PURPOSE_PORT);
}

uint32_t isn_tuple_hash(const struct core *core, const struct tuple *t)
{
    return (uint32_t)hash(core, t, t->local_port, PURPOSE_TABLE);
}
