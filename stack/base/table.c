/* SPDX-License-Identifier: MIT */
#include "base/table.h"

#include <stdlib.h>

#include "base/check.h"

#define CHAINS_FIRST 16u

bool table_init(struct table *t, uint32_t (*hash)(const void *context, const struct table_node *),
                const void *context)
{
    *t = (struct table){
        .mask = CHAINS_FIRST - 1,
        .chain_count = CHAINS_FIRST,
        .room = CHAINS_FIRST,
        .hash = hash,
        .context = context,
    };
    t->chains = calloc(CHAINS_FIRST, sizeof(*t->chains));
    return t->chains != NULL;
}

void table_finish(struct table *t)
{
    free(t->chains);
    *t = (struct table){0};
}

/* Makes room for a quarter more chains, if there is none for one more. The room is not touched: to
 * move a large array the C library moves its pages. */
static bool reserve(struct table *t)
{
    if (t->chain_count < t->room)
        return true;
    size_t room = (size_t)t->room + t->room / 4;
    struct table_node **chains =
        room <= UINT32_MAX ? realloc(t->chains, room * sizeof(*chains)) : NULL;
    if (chains == NULL)
        return false;
    t->chains = chains;
    t->room = (uint32_t)room;
    return true;
}

static uint32_t hash_of(const struct table *t, const struct table_node *node)
{
    return t->hash(t->context, node);
}

/* Adds a chain. One more bit of the hash decides in the chain that has no partner yet: it keeps a
 * part of its nodes, in their order, and the rest are the new one. */
static void grow(struct table *t)
{
    if (!reserve(t))
        return;
    uint32_t added = t->chain_count++;
    if (added > t->mask)
        t->mask = 2 * t->mask + 1;
    uint32_t parted = added & t->mask >> 1;
    struct table_node *node = t->chains[parted];
    struct table_node **low = &t->chains[parted], **high = &t->chains[added];

    for (; node != NULL; node = node->next) {
        struct table_node ***end = (hash_of(t, node) & t->mask) == added ? &high : &low;
        **end = node;
        *end = &node->next;
    }
    *low = *high = NULL;
}

void table_insert(struct table *t, struct table_node *node)
{
    if (t->count >= t->chain_count)
        grow(t);
    struct table_node **chain = &t->chains[table_index(t, hash_of(t, node))];
    node->next = *chain;
    *chain = node;
    t->count++;
}

/* What points at the node, which is in the table. */
static struct table_node **link_to(struct table *t, const struct table_node *node)
{
    struct table_node **at = &t->chains[table_index(t, hash_of(t, node))];
    while (*at != node) {
        CHECK(*at != NULL);
        at = &(*at)->next;
    }
    return at;
}

void table_remove(struct table *t, struct table_node *node)
{
    *link_to(t, node) = node->next;
    node->next = NULL;
    t->count--;
}

void table_replace(struct table *t, struct table_node *node, struct table_node *heir)
{
    *link_to(t, node) = heir;
    heir->next = node->next;
    node->next = NULL;
}

void table_each(struct table *t, void (*visit)(void *context, struct table_node *), void *context)
{
    for (uint32_t i = 0; i < t->chain_count; i++) {
        for (struct table_node *node = t->chains[i], *next; node != NULL; node = next) {
            next = node->next;
            visit(context, node);
        }
    }
}

static uint32_t reversed(uint32_t bits)
{
    uint32_t result = 0;
    for (int i = 0; i < 32; i++)
        result |= (bits >> i & 1) << (31 - i);
    return result;
}

/*
 * Chains are walked in the order of their numbers with the bits reversed. A chain that is parted
 * when the table grows becomes two neighbours in that order, so what lies behind stays behind.
 */
bool table_walk(const struct table *t, uint32_t *cursor,
                void (*visit)(void *context, struct table_node *), void *context)
{
    for (struct table_node *node = table_chain(t, *cursor); node != NULL; node = node->next)
        visit(context, node);
    uint32_t half = t->mask >> 1, partner = (*cursor & half) + half + 1;
    uint32_t deciding = partner < t->chain_count ? t->mask : half;
    *cursor = reversed(reversed(*cursor | ~deciding) + 1);
    return *cursor != 0;
}
