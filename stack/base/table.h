/* SPDX-License-Identifier: MIT */
/*
 * A hash table of embedded nodes that grows as it fills, by one chain at a time (linear hashing,
 * Litwin 1980), so that no insertion pays for all those before it. The caller hashes (with siphash,
 * keyed, when a peer chooses the key) and compares; the table only keeps chains. A node's hash is
 * not kept: it is asked for when the node comes or goes, or its chain is parted.
 */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_node {
    struct table_node *next;
};

struct table {
    struct table_node **chains;
    uint32_t mask;        /* the least 2^n - 1 that is not below the last chain's number */
    uint32_t chain_count; /* above mask / 2 */
    uint32_t count;       /* of nodes */
    uint32_t room;        /* for so many chains there is memory */
    uint32_t (*hash)(const void *context, const struct table_node *);
    const void *context;
};

/* Makes an empty table, of nodes whose hash is hash(context, node) as long as they are in it;
 * returns false when memory is short. */
bool table_init(struct table *, uint32_t (*hash)(const void *context, const struct table_node *),
                const void *context);

/* Frees the table, not the nodes. */
void table_finish(struct table *);

/* Puts the node in. The table has as many chains as nodes, unless memory is short. */
void table_insert(struct table *, struct table_node *);

/* Takes the node, which is in the table, out. */
void table_remove(struct table *, struct table_node *);

/* Puts a node of the same hash in the place of one that is in the table. */
void table_replace(struct table *, struct table_node *, struct table_node *heir);

/* The number of the chain that `hash` falls in: half as many bits decide where the next has not
 * been parted yet. */
static inline uint32_t table_index(const struct table *t, uint32_t hash)
{
    uint32_t index = hash & t->mask;

    return index < t->chain_count ? index : index & t->mask >> 1;
}

/* The first node of the chain that `hash` falls in; go on by `next`, and compare the key. */
static inline struct table_node *table_chain(const struct table *t, uint32_t hash)
{
    return t->chains[table_index(t, hash)];
}

/* Calls visit(context, node) for every node; visit may remove that node. */
void table_each(struct table *, void (*visit)(void *context, struct table_node *), void *context);

/*
 * A walk in steps: calls visit(context, node) for each node of one chain, and moves *cursor on to
 * the next; it is 0 at first. Returns false after the last chain. Nodes may come and go, and the
 * table may grow, between the steps: a node that is there all the time is visited exactly once.
 */
bool table_walk(const struct table *, uint32_t *cursor,
                void (*visit)(void *context, struct table_node *), void *context);

#endif
