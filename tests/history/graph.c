/* SPDX-License-Identifier: MIT */
#include "graph.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define NOBODY UINT32_MAX

#define EDGES_MIN 256

/* Of so many cycles the shortest one is given. */
#define ASKED_MAX 64

/* The edges looked at in a search for cycles with one edge of a kind. */
#define STEPS_MAX (UINT64_C(1) << 25)

static uint32_t *numbers(uint32_t count, uint32_t value)
{
    uint32_t *list = calloc((size_t)count + 1, sizeof(list[0]));

    CHECK(list);
    for (uint32_t i = 0; value && i <= count; i++)
        list[i] = value;
    return list;
}

void graph_new(struct graph *g, uint32_t nodes)
{
    *g = (struct graph){.nodes = nodes};
}

void graph_free(struct graph *g)
{
    free(g->edges);
    free(g->first);
    *g = (struct graph){0};
}

void graph_add(struct graph *g, struct edge e)
{
    CHECK(e.from < g->nodes && e.to < g->nodes);
    if (e.from == e.to)
        return;
    if (g->edge_count == GRAPH_EDGES_MAX) {
        g->too_large = true;
        return;
    }
    if (g->edge_count == g->edge_room) {
        g->edge_room = g->edge_room ? 2 * g->edge_room : EDGES_MIN;
        g->edges = realloc(g->edges, g->edge_room * sizeof(g->edges[0]));
        CHECK(g->edges);
    }
    g->edges[g->edge_count++] = e;
}

/* A counting sort by the node that is left. */
void graph_seal(struct graph *g)
{
    struct edge *sorted = calloc((size_t)g->edge_count + 1, sizeof(sorted[0]));

    CHECK(sorted);
    g->first = numbers(g->nodes + 1, 0);
    for (uint32_t i = 0; i < g->edge_count; i++)
        g->first[g->edges[i].from + 2]++;
    for (uint32_t node = 2; node <= g->nodes; node++)
        g->first[node] += g->first[node - 1];
    for (uint32_t i = 0; i < g->edge_count; i++)
        sorted[g->first[g->edges[i].from + 1]++] = g->edges[i];
    free(g->edges);
    g->edges = sorted;
}

/* ---- Components ---- */

/* Tarjan's algorithm; what would be its recursion is a path of nodes, and where each stands. */
struct tarjan {
    const struct graph *graph;
    uint32_t kinds;
    uint32_t *component;
    uint32_t components;
    uint32_t *number; /* in the order of discovery, from 1 on; 0: not discovered */
    uint32_t *lowest; /* number that is reached from here */
    uint32_t discovered;
    uint32_t *edge;  /* of the node, to be looked at next */
    uint32_t *path;  /* from the root to where the search is */
    uint32_t *stack; /* discovered, and not yet in a component */
    uint32_t depth, height;
};

static void discover(struct tarjan *t, uint32_t node)
{
    t->number[node] = t->lowest[node] = ++t->discovered;
    t->edge[node] = t->graph->first[node];
    t->path[t->depth++] = node;
    t->stack[t->height++] = node;
}

static void lower(struct tarjan *t, uint32_t node, uint32_t number)
{
    if (number < t->lowest[node])
        t->lowest[node] = number;
}

/* All edges of the node that the path ends with have been looked at. */
static void leave(struct tarjan *t)
{
    uint32_t node = t->path[--t->depth];

    if (t->depth > 0)
        lower(t, t->path[t->depth - 1], t->lowest[node]);
    if (t->lowest[node] < t->number[node])
        return;
    for (uint32_t member = NOBODY; member != node;) {
        member = t->stack[--t->height];
        t->component[member] = t->components;
    }
    t->components++;
}

static void search_from(struct tarjan *t, uint32_t root)
{
    discover(t, root);
    while (t->depth > 0) {
        uint32_t node = t->path[t->depth - 1];
        if (t->edge[node] == t->graph->first[node + 1]) {
            leave(t);
            continue;
        }
        const struct edge *e = &t->graph->edges[t->edge[node]++];
        if (!(e->kind & t->kinds))
            continue;
        if (t->number[e->to] == 0)
            discover(t, e->to);
        else if (t->component[e->to] == NOBODY)
            lower(t, node, t->number[e->to]);
    }
}

uint32_t graph_components(const struct graph *g, uint32_t kinds, uint32_t *component)
{
    struct tarjan t = {
        .graph = g,
        .kinds = kinds,
        .component = component,
        .number = numbers(g->nodes, 0),
        .lowest = numbers(g->nodes, 0),
        .edge = numbers(g->nodes, 0),
        .path = numbers(g->nodes, 0),
        .stack = numbers(g->nodes, 0),
    };

    for (uint32_t node = 0; node < g->nodes; node++)
        component[node] = NOBODY;
    for (uint32_t node = 0; node < g->nodes; node++)
        if (t.number[node] == 0)
            search_from(&t, node);
    free(t.number);
    free(t.lowest);
    free(t.edge);
    free(t.path);
    free(t.stack);
    return t.components;
}

/* ---- Paths and cycles ---- */

/* A search breadth first, to be used again and again. */
struct search {
    const struct graph *graph;
    uint32_t kinds;
    const uint32_t *component;
    uint32_t floor, ceiling; /* the components that are entered */
    uint32_t *queue;
    uint32_t *by; /* the edge by which a node was reached, or NOBODY */
    uint64_t steps;
};

static struct search search_new(const struct graph *g, uint32_t kinds, const uint32_t *component)
{
    return (struct search){
        .graph = g,
        .kinds = kinds,
        .component = component,
        .queue = numbers(g->nodes, 0),
        .by = numbers(g->nodes, NOBODY),
    };
}

static void search_free(struct search *s)
{
    free(s->queue);
    free(s->by);
}

/* The edges by which `to` was reached, from the first on. */
static uint32_t trace(const struct search *s, uint32_t from, uint32_t to, uint32_t *path)
{
    const struct edge *edges = s->graph->edges;
    uint32_t count = 0;

    for (uint32_t node = to; count == 0 || node != from; node = edges[s->by[node]].from)
        count++;
    uint32_t i = count;
    for (uint32_t node = to; i > 0; node = edges[s->by[node]].from)
        path[--i] = s->by[node];
    return count;
}

static uint32_t search_path(struct search *s, uint32_t from, uint32_t to, uint32_t *path)
{
    const struct graph *g = s->graph;
    uint32_t head = 0, tail = 0, count = 0;

    s->queue[tail++] = from;
    while (head < tail && s->by[to] == NOBODY) {
        uint32_t node = s->queue[head++];
        for (uint32_t i = g->first[node]; i < g->first[node + 1]; i++) {
            const struct edge *e = &g->edges[i];
            s->steps++;
            if (!(e->kind & s->kinds) || s->by[e->to] != NOBODY || s->component[e->to] < s->floor ||
                s->component[e->to] > s->ceiling)
                continue;
            s->by[e->to] = i;
            if (e->to != from)
                s->queue[tail++] = e->to;
        }
    }
    if (s->by[to] != NOBODY)
        count = trace(s, from, to, path);
    s->by[from] = NOBODY;
    while (tail > 0)
        s->by[s->queue[--tail]] = NOBODY;
    return count;
}

/* The smallest component of more than one node, or NOBODY. */
static uint32_t smallest(const struct graph *g, const uint32_t *component, uint32_t components)
{
    uint32_t *sizes = numbers(components, 0);
    uint32_t best = NOBODY;

    for (uint32_t node = 0; node < g->nodes; node++)
        sizes[component[node]]++;
    for (uint32_t i = 0; i < components; i++)
        if (sizes[i] > 1 && (best == NOBODY || sizes[i] < sizes[best]))
            best = i;
    free(sizes);
    return best;
}

static void keep_shorter(uint32_t *path, uint32_t *count, const uint32_t *other,
                         uint32_t other_count)
{
    if (*count > 0 && other_count >= *count)
        return;
    *count = other_count;
    memcpy(path, other, other_count * sizeof(path[0]));
}

uint32_t graph_cycle(const struct graph *g, uint32_t kinds, uint32_t *path)
{
    uint32_t *component = numbers(g->nodes, 0);
    uint32_t *candidate = numbers(g->nodes, 0);
    uint32_t components = graph_components(g, kinds, component);
    struct search s = search_new(g, kinds, component);
    uint32_t asked = 0, best = 0;

    s.floor = s.ceiling = smallest(g, component, components);
    for (uint32_t node = 0; s.floor != NOBODY && node < g->nodes && asked < ASKED_MAX; node++) {
        if (component[node] != s.floor)
            continue;
        asked++;
        keep_shorter(path, &best, candidate, search_path(&s, node, node, candidate));
    }
    search_free(&s);
    free(component);
    free(candidate);
    return best;
}

uint32_t graph_cycle_with_one(const struct graph *g, uint32_t once, uint32_t kinds, uint32_t *path)
{
    uint32_t *component = numbers(g->nodes, 0);
    uint32_t *candidate = numbers(g->nodes, 0);
    struct search s = search_new(g, kinds, component);
    uint32_t found = 0, best = 0;

    /* Each node is a component, and their numbers are an order against the edges. */
    graph_components(g, kinds, component);
    for (uint32_t i = 0; i < g->edge_count && found < ASKED_MAX && s.steps < STEPS_MAX; i++) {
        const struct edge *e = &g->edges[i];
        if (!(e->kind & once) || component[e->to] < component[e->from])
            continue;
        s.floor = component[e->from];
        s.ceiling = component[e->to];
        uint32_t count = search_path(&s, e->to, e->from, candidate + 1);
        candidate[0] = i;
        found += count > 0;
        if (count > 0)
            keep_shorter(path, &best, candidate, count + 1);
    }
    search_free(&s);
    free(component);
    free(candidate);
    return best;
}
