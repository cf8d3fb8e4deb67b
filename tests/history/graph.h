/* SPDX-License-Identifier: MIT */
/* A directed graph with edges of several kinds, and the cycles of the edges of some of them. */
#ifndef TESTS_HISTORY_GRAPH_H
#define TESTS_HISTORY_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRAPH_EDGES_MAX (UINT32_C(1) << 21)

struct edge {
    uint32_t from, to; /* nodes */
    uint32_t kind;     /* one bit */
    uint32_t note;     /* whatever the caller wants to know of it */
};

struct graph {
    uint32_t nodes;
    struct edge *edges;
    uint32_t edge_count, edge_room;
    bool too_large;  /* edges were left out */
    uint32_t *first; /* sealed: edges first[node] to before first[node + 1] leave the node */
};

void graph_new(struct graph *, uint32_t nodes);
void graph_free(struct graph *);

/* An edge from a node to itself is not taken. */
void graph_add(struct graph *, struct edge);

/* After the last edge, before all that follows. */
void graph_seal(struct graph *);

/*
 * The strongly connected components of the graph of the edges of these kinds (Tarjan 1972). Gives
 * each node the number of its own; an edge leads into the same component, or one with a lower
 * number. Returns how many there are.
 */
uint32_t graph_components(const struct graph *, uint32_t kinds, uint32_t *component);

/*
 * A short cycle of edges of these kinds: the shortest one through some nodes of the smallest
 * component that has one. Writes the numbers of its edges to `path`, which has room for one for
 * each node. Returns their count, 0 if there is no cycle.
 */
uint32_t graph_cycle(const struct graph *, uint32_t kinds, uint32_t *path);

/*
 * A short cycle of one edge of the kind `once` and else edges of `kinds`, which has no cycle of its
 * own. Gives up, with 0, after some work. `path` is as above.
 */
uint32_t graph_cycle_with_one(const struct graph *, uint32_t once, uint32_t kinds, uint32_t *path);

#endif
