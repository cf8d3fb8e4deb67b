/* SPDX-License-Identifier: MIT */
/*
 * To which of several instances of one host a packet belongs: a rule that all of them follow, and
 * so does the kernel when it chooses the queue of a packet (host/steer.h).
 *
 * A port of the local range belongs to a shard by itself, whoever the peer is: the range is split
 * into residue classes. A socket that is given such a port does not know its peers yet, so neither
 * can its shard depend on them. To other ports, those of listeners, the peers come by a hash of
 * both endpoints, which is the same in both directions. What has no ports (fragments, other
 * protocols) goes by the addresses: its ports count as 0.
 *
 * The hash is Multilinear (Lemire, Kaser: Strongly universal string hashing is fast, 2014) of two
 * numbers of 48 bits with keys of 64: of the sum the upper 17 bits, of which 16 are used, are
 * strongly universal, so that strangers who do not know the keys cannot choose whom they burden.
 * It is linear, though: some keys would put the ports that a client uses one after the other all
 * into the same half. So the 16 bits are mixed, one to one, which leaves them as universal.
 */
#ifndef BASE_SHARD_H
#define BASE_SHARD_H

#include <stdint.h>

#include "strait.h"

/* Mixing v, twice: v ^= v >> SHIFT, and v = v * MULTIPLIER modulo 2^16, which is odd. */
#define SHARD_MIX_SHIFT        7
#define SHARD_MIX_MULTIPLIER_1 0x9e3b
#define SHARD_MIX_MULTIPLIER_2 0xc2b3

struct shard_rule {
    uint64_t keys[3];
    uint32_t shards;
    uint16_t port_first, port_last; /* the local range */
};

/* The rule by the secret, the local ports and the number of shards of a configuration. */
void shard_rule_init(struct shard_rule *, const struct strait_config *);

/* One end of a packet: an IPv4 address in host order and a port, or 0. */
static inline uint64_t shard_endpoint(uint32_t address, uint16_t port)
{
    return (uint64_t)address << 16 | port;
}

/* The shard of what goes between two ends, in either direction, if neither port were local. */
uint32_t shard_by_hash(const struct shard_rule *, uint64_t one, uint64_t other);

/* The shard of what the host receives at `local` from `remote`. */
uint32_t shard_of(const struct shard_rule *, uint64_t local, uint64_t remote);

/* How many ports of the local range belong to the configuration's shard, and the one at `index`. */
uint32_t shard_ports(const struct strait_config *);
uint16_t shard_port(const struct strait_config *, uint32_t index);

#endif
