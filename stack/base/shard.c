/* SPDX-License-Identifier: MIT */
#include "base/shard.h"

#include "base/siphash.h"

void shard_rule_init(struct shard_rule *rule, const struct strait_config *config)
{
    static const char labels[3][16] = {"strait: shard 0", "strait: shard 1", "strait: shard 2"};

    for (int i = 0; i < 3; i++)
        rule->keys[i] = siphash(config->secret, labels[i], sizeof(labels[i]));
    rule->shards = config->shards;
    rule->port_first = config->port_first;
    rule->port_last = config->port_last;
}

static uint32_t mix(uint32_t v)
{
    v ^= v >> SHARD_MIX_SHIFT;
    v = v * SHARD_MIX_MULTIPLIER_1 & UINT16_MAX;
    v ^= v >> SHARD_MIX_SHIFT;
    v = v * SHARD_MIX_MULTIPLIER_2 & UINT16_MAX;
    return v;
}

uint32_t shard_by_hash(const struct shard_rule *rule, uint64_t one, uint64_t other)
{
    uint64_t low = one < other ? one : other;
    uint64_t high = one < other ? other : one;
    uint64_t sum = rule->keys[0] + rule->keys[1] * low + rule->keys[2] * high;

    return (uint32_t)((uint64_t)mix((uint32_t)(sum >> 48)) * rule->shards >> 16);
}

uint32_t shard_of(const struct shard_rule *rule, uint64_t local, uint64_t remote)
{
    uint16_t port = (uint16_t)local;

    if (port < rule->port_first || port > rule->port_last)
        return shard_by_hash(rule, local, remote);
    return (uint32_t)(port - rule->port_first) % rule->shards;
}

uint32_t shard_ports(const struct strait_config *config)
{
    uint32_t range = (uint32_t)config->port_last - config->port_first + 1;

    return (range - config->shard + config->shards - 1) / config->shards;
}

uint16_t shard_port(const struct strait_config *config, uint32_t index)
{
    return (uint16_t)(config->port_first + index * config->shards + config->shard);
}
