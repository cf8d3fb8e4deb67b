/* SPDX-License-Identifier: MIT */
#include "tcp/holds.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/list.h"

/* An address and port that are held. */
struct hold {
    struct table_node node;
    struct address address;
    uint16_t port;
    uint32_t holders[HOLD_KINDS]; /* by what they share */
};

/* The host's own numbers spread by themselves. */
static uint32_t hash_of(const void *context, const struct table_node *node)
{
    (void)context;
    return container_of(node, const struct hold, node)->port;
}

bool holds_init(struct holds *h)
{
    return table_init(&h->table, hash_of, NULL);
}

void holds_finish(struct holds *h)
{
    CHECK(h->table.count == 0);
    table_finish(&h->table);
}

static struct hold *find(const struct holds *h, const struct address *address, uint16_t port)
{
    for (struct table_node *n = table_chain(&h->table, port); n; n = n->next) {
        struct hold *hold = container_of(n, struct hold, node);
        if (hold->port == port && address_equal(&hold->address, address))
            return hold;
    }
    return NULL;
}

bool holds_add(struct holds *h, const struct address *address, uint16_t port, uint8_t sharing)
{
    struct hold *hold = find(h, address, port);

    if (!hold) {
        hold = calloc(1, sizeof(*hold));
        if (!hold)
            return false;
        hold->address = *address;
        hold->port = port;
        table_insert(&h->table, &hold->node);
    }
    hold->holders[sharing]++;
    return true;
}

static bool is_held(const struct hold *hold)
{
    for (unsigned kind = 0; kind < HOLD_KINDS; kind++)
        if (hold->holders[kind] > 0)
            return true;
    return false;
}

void holds_remove(struct holds *h, const struct address *address, uint16_t port, uint8_t sharing)
{
    struct hold *hold = find(h, address, port);

    CHECK(hold && hold->holders[sharing] > 0);
    hold->holders[sharing]--;
    if (is_held(hold))
        return;
    table_remove(&h->table, &hold->node);
    free(hold);
}

void holds_change(struct holds *h, const struct address *address, uint16_t port, uint8_t from,
                  uint8_t to)
{
    struct hold *hold = find(h, address, port);

    CHECK(hold && hold->holders[from] > 0);
    hold->holders[from]--;
    hold->holders[to]++;
}

bool holds_exclude(const struct holds *h, const struct binding *wants,
                   const struct address *address, uint16_t port)
{
    uint8_t sharing = holds_sharing(wants);

    for (struct table_node *n = table_chain(&h->table, port); n; n = n->next) {
        const struct hold *hold = container_of(n, const struct hold, node);
        if (hold->port != port ||
            !(address_is_any(address) || address_equal(address, &hold->address)))
            continue;
        for (uint8_t kind = 0; kind < HOLD_KINDS; kind++)
            if (hold->holders[kind] > 0 && !(kind & sharing))
                return true;
    }
    return false;
}
