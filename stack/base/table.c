/* SPDX-License-Identifier: MIT */
#include "base/table.h"

#include <stdlib.h>

#include "base/check.h"

#define CHAINS_FIRST ((size_t)16)

bool table_init(struct table *t)
{
    *t = (struct table){.mask = CHAINS_FIRST - 1};
    t->chains = calloc(CHAINS_FIRST, sizeof(*t->chains));
    return t->chains != NULL;
}

void table_finish(struct table *t)
{
    free(t->chains);
    *t = (struct table){0};
}

/* One more bit of the hash decides: chain i keeps a part of its nodes, the rest go to i + chains.
 */
static void grow(struct table *t)
{
    size_t chains = (size_t)t->mask + 1;
    struct table_node **grown = realloc(t->chains, 2 * chains * sizeof(*grown));
    if (grown == NULL)
        return;
    t->chains = grown;
    t->mask = (uint32_t)(2 * chains - 1);

    for (size_t i = 0; i < chains; i++) {
        struct table_node **low = &grown[i], **high = &grown[i + chains];
        for (struct table_node *node = grown[i]; node != NULL; node = node->next) {
            struct table_node ***end = node->hash & chains ? &high : &low;
            **end = node;
            *end = &node->next;
        }
        *low = *high = NULL;
    }
}

void table_insert(struct table *t, struct table_node *node, uint32_t hash)
{
    if (t->count > t->mask)
        grow(t);
    struct table_node **chain = &t->chains[hash & t->mask];
    node->hash = hash;
    node->next = *chain;
    *chain = node;
    t->count++;
}

void table_remove(struct table *t, struct table_node *node)
{
    struct table_node **at = &t->chains[node->hash & t->mask];
    while (*at != node) {
        CHECK(*at != NULL);
        at = &(*at)->next;
    }
    *at = node->next;
    node->next = NULL;
    t->count--;
}

void table_each(struct table *t, void (*visit)(void *context, struct table_node *), void *context)
{
    for (size_t i = 0; i <= t->mask; i++) {
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
    *cursor = reversed(reversed(*cursor | ~t->mask) + 1);
    return *cursor != 0;
}
