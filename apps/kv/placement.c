/* SPDX-License-Identifier: MIT */
#include "kv/placement.h"

#include <stdlib.h>
#include <string.h>

/* FNV-1a of the key: the same on every machine, and for ever, since values lie where it says. */
static uint64_t hash_key(const struct kv_blob *key)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < key->length; i++)
        hash = (hash ^ key->bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* The finalizer of SplitMix64 (Steele, Lea, Flood, 2014): each bit depends on all others. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t score(uint64_t key_hash, uint32_t node)
{
    return mix(key_hash ^ mix(node * UINT64_C(0x9e3779b97f4a7c15)));
}

kv_nodes kv_replicas(const struct kv_placement *placement, const struct kv_blob *key)
{
    uint64_t hash = hash_key(key);
    kv_nodes left = placement->members, chosen = 0;

    for (uint32_t n = 0; n < placement->replication && left; n++) {
        uint32_t best = kv_node_first(left);
        kv_nodes rest = left;
        for (uint32_t node; (node = kv_node_take(&rest)) != 0;) {
            if (score(hash, node) > score(hash, best))
                best = node;
        }
        chosen |= kv_node_bit(best);
        left &= ~kv_node_bit(best);
    }
    return chosen;
}

void kv_place(const struct kv_placement *placement, struct kv_request *request)
{
    request->epoch = placement->epoch;
    request->participants = 0;
    for (uint32_t i = 0; i < request->count; i++) {
        struct kv_operation *o = &request->operations[i];
        o->replicas = kv_replicas(placement, o->key);
        request->participants |= o->replicas;
    }
}

/* ---- The coordinator of a request ---- */

bool kv_coordinator_parse(const char *text, struct kv_coordinator_choice *choice)
{
    static const char fixed[] = "fixed:";

    *choice = (struct kv_coordinator_choice){.mode = KV_COORDINATOR_ASKED};
    if (strcmp(text, "asked") == 0)
        return true;
    if (strcmp(text, "random") == 0) {
        choice->mode = KV_COORDINATOR_RANDOM;
        return true;
    }
    if (strncmp(text, fixed, strlen(fixed)) != 0)
        return false;
    const char *digits = text + strlen(fixed);
    size_t length = strspn(digits, "0123456789");
    if (length == 0 || length > 2 || digits[length] != '\0')
        return false;
    choice->mode = KV_COORDINATOR_FIXED;
    choice->node = (uint32_t)strtoul(digits, NULL, 10);
    return kv_node_bit(choice->node) != 0;
}

uint32_t kv_coordinator(const struct kv_coordinator_choice *choice, kv_nodes members,
                        uint32_t asked, uint64_t random)
{
    if (choice->mode == KV_COORDINATOR_FIXED)
        return choice->node;
    if (choice->mode == KV_COORDINATOR_ASKED || members == 0)
        return asked;
    uint64_t count = 0;
    for (kv_nodes rest = members; rest; rest &= rest - 1)
        count++;
    for (uint64_t skip = random % count; skip > 0; skip--)
        members &= members - 1;
    return kv_node_first(members);
}
