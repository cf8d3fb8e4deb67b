/* SPDX-License-Identifier: MIT */
#include "tcp/isn.h"

#include "base/siphash.h"

#define ISN_TICK_NS 4000 /* RFC 9293 3.4.1: one tick each 4 microseconds */

/* Keeps the uses of the one secret apart. */
enum purpose { PURPOSE_ISN, PURPOSE_TIMESTAMP, PURPOSE_PORT, PURPOSE_TABLE, PURPOSE_COOKIE };

#define TUPLE_BYTES  37 /* with the purpose */
#define COOKIE_BYTES (TUPLE_BYTES + 20)

static void store_tuple(uint8_t bytes[TUPLE_BYTES], const struct tuple *t, uint16_t local_port,
                        enum purpose purpose)
{
    memcpy(bytes, &t->local, sizeof(t->local));
    memcpy(bytes + 16, &t->remote, sizeof(t->remote));
    store_be16(bytes + 32, local_port);
    store_be16(bytes + 34, t->remote_port);
    bytes[36] = (uint8_t)purpose;
}

/*
 * A tuple of IPv4 in two words: what all IPv4-mapped addresses have in common tells no two of them
 * apart. Those of IPv6 are longer, so that none of them is taken for one of IPv4.
 */
struct words {
    uint64_t addresses, rest;
};

static bool fits_words(const struct tuple *t)
{
    return address_is_v4(&t->local) && address_is_v4(&t->remote);
}

static struct words words_of(const struct tuple *t, uint16_t local_port, enum purpose purpose)
{
    return (struct words){
        .addresses = (uint64_t)address_to_v4(&t->local) << 32 | address_to_v4(&t->remote),
        .rest = (uint64_t)local_port << 48 | (uint64_t)t->remote_port << 32 | purpose,
    };
}

static uint64_t hash(const struct core *core, const struct tuple *t, uint16_t local_port,
                     enum purpose purpose)
{
    if (fits_words(t)) {
        struct words w = words_of(t, local_port, purpose);
        return siphash_of_words(core->config.secret, w.addresses, w.rest);
    }
    uint8_t bytes[TUPLE_BYTES];
    store_tuple(bytes, t, local_port, purpose);
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

uint32_t isn_cookie_hash(const struct core *core, const struct tuple *t, uint32_t irs,
                         uint64_t period, uint64_t terms)
{
    uint8_t bytes[COOKIE_BYTES];

    store_tuple(bytes, t, t->local_port, PURPOSE_COOKIE);
    store_be32(bytes + TUPLE_BYTES, irs);
    store_be32(bytes + TUPLE_BYTES + 4, (uint32_t)(period >> 32));
    store_be32(bytes + TUPLE_BYTES + 8, (uint32_t)period);
    store_be32(bytes + TUPLE_BYTES + 12, (uint32_t)(terms >> 32));
    store_be32(bytes + TUPLE_BYTES + 16, (uint32_t)terms);
    return (uint32_t)siphash(core->config.secret, bytes, sizeof(bytes));
}

/* Every packet may have to wait for it. */
uint32_t isn_tuple_hash(const struct core *core, const struct tuple *t)
{
    if (fits_words(t)) {
        struct words w = words_of(t, t->local_port, PURPOSE_TABLE);
        return (uint32_t)siphash_1_3_of_words(core->config.secret, w.addresses, w.rest);
    }
    uint8_t bytes[TUPLE_BYTES];
    store_tuple(bytes, t, t->local_port, PURPOSE_TABLE);
    return (uint32_t)siphash_1_3(core->config.secret, bytes, TUPLE_BYTES);
}
