/* SPDX-License-Identifier: MIT */
/*
 * Looking ahead. Among very many connections the one that a segment is for is in no cache, and the
 * waits for memory take longer than all else that is done for it: for the chain of the table, for
 * the entry that the chain leads to, for the socket that the entry leads to. Where several segments
 * are known, each of these waits is one for all of them: every step is taken for each of them
 * before the next step is for any.
 *
 * What is found is kept for entry_find, which then need not compute a hash and walk the chain once
 * more. But nothing rests on it: a segment whose entry comes, goes or moves before it is taken in
 * costs its wait again.
 */
#include "base/bytes.h"
#include "tcp/connection.h"

/* So few stay in the nearest cache by themselves, and looking ahead costs more than it saves. */
#define FEW_ENTRIES 32

#define CHAIN_STEPS 5 /* the chain is hardly ever longer */

struct expected {
    uint32_t chain;
    struct table_node *node; /* of the chain; NULL: it has ended */
    struct entry *entry;     /* NULL: not found yet */
};

/* Who answers a batch of segments often does so in their order: then all is known already. */
static bool are_as_before(const struct likely *likely, const struct ip_glance *glances, int count)
{
    if (count > likely->count)
        return false;
    for (int i = 0; i < count; i++) {
        const struct ip_glance *g = &glances[i];
        if (!entry_takes(likely->list[i], &g->source, &g->destination, load_be16(g->payload),
                         load_be16(g->payload + 2)))
            return false;
    }
    return true;
}

static uint32_t hash_of(const struct tcp *tcp, const struct ip_glance *glance)
{
    struct tuple tuple = {
        .local = glance->destination,
        .remote = glance->source,
        .local_port = load_be16(glance->payload + 2),
        .remote_port = load_be16(glance->payload),
    };
    return isn_tuple_hash(tcp->core, &tuple);
}

static void find_chains(const struct tcp *tcp, const struct ip_glance *glances,
                        struct expected *all, int count)
{
    const struct table *t = &tcp->entries;
    for (int i = 0; i < count; i++) {
        all[i] = (struct expected){.chain = table_index(t, hash_of(tcp, &glances[i]))};
        __builtin_prefetch(&t->chains[all[i].chain]);
    }
    for (int i = 0; i < count; i++) {
        all[i].node = t->chains[all[i].chain];
        __builtin_prefetch(all[i].node);
    }
}

/* Whether a packet may be for the entry: as far as the entry's first bytes tell. The rest of it is
 * asked for only if it may, and not waited for. */
static bool may_take(const struct entry *e, const struct ip_glance *g)
{
    return load_be16(g->payload) == e->tuple.remote_port &&
           load_be16(g->payload + 2) == e->tuple.local_port &&
           address_equal(&g->source, &e->tuple.remote);
}

/* Takes one step along the chains: asks for the entries that are there, else for the next node. */
static void find_entries(const struct ip_glance *glances, struct expected *all, int count)
{
    for (int i = 0; i < count; i++) {
        struct expected *e = &all[i];
        if (!e->node || e->entry)
            continue;
        struct entry *entry = container_of(e->node, struct entry, node);
        if (may_take(entry, &glances[i])) {
            e->entry = entry;
            entry_ask_for(entry);
        } else {
            e->node = e->node->next;
            __builtin_prefetch(e->node);
        }
    }
}

/* Asks for the owners of what was found, and keeps it for entry_find. */
static void keep_entries(struct likely *likely, const struct expected *all, int count)
{
    likely->at = likely->count = 0;
    for (const struct expected *e = all; e < all + count; e++) {
        if (!e->entry)
            continue;
        likely->list[likely->count++] = e->entry;
        if (e->entry->kind == ENTRY_CONNECTION)
            __builtin_prefetch(container_of(e->entry, const struct connection, entry)->owner, 0,
                               SECOND_CACHE);
    }
}

void tcp_expect(struct tcp *tcp, const struct ip_glance *glances, int count)
{
    struct expected all[TCP_EXPECTED_MAX];

    CHECK(count <= TCP_EXPECTED_MAX);
    if (are_as_before(&tcp->likely, glances, count)) {
        tcp->likely.at = 0;
        return;
    }
    if (tcp->entries.count <= FEW_ENTRIES)
        return;
    find_chains(tcp, glances, all, count);
    for (int step = 0; step < CHAIN_STEPS; step++)
        find_entries(glances, all, count);
    keep_entries(&tcp->likely, all, count);
}
