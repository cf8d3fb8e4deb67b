/* SPDX-License-Identifier: MIT */
/*
 * Each list has a version order: that of the longest read. Every other read must be a prefix of it,
 * and what was appended but never read comes behind, in an order that nobody knows. From that come
 * the edges, each from what must stand first to what must stand behind it:
 *
 *     ww  has made a version, and the other one the next
 *     wr  has made the version that the other one has read
 *     rw  has read a version, and the other one has made the next
 *     rt  had ended when the other one began
 *
 * A transaction's own appends are taken off the end of what it reads, to get at the version.
 */
#include "serial.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "graph.h"

#define NOBODY UINT32_MAX

enum { WW = 1, WR = 2, RW = 4, RT = 8 };

struct check {
    const struct history *history;
    struct history_index index;
    struct serial_result *result;

    uint32_t *appends; /* by list and element, a hash table of operations + 1; 0: nothing here */
    uint32_t appends_size;

    uint32_t *place;   /* of an APPEND: its place in the version order + 1, or 0: never read */
    uint32_t *longest; /* of a list: the LIST that has read most, or NOBODY */
    uint32_t *order;   /* the APPENDs of all lists, in version order ... */
    uint32_t *first;   /* ... of a list: from here on */
    bool *effective;   /* of a transaction: it has taken effect */
    uint32_t *unread;  /* of the list at hand: its APPENDs that were never read */
    uint32_t unread_count;
    struct graph graph;
};

static const char *const names[] = {
    [SERIAL_NONE] = "none",       [SERIAL_INTERNAL] = "internal",
    [SERIAL_GARBAGE] = "garbage", [SERIAL_DUPLICATE] = "duplicate",
    [SERIAL_G1A] = "G1a",         [SERIAL_ORDER] = "incompatible order",
    [SERIAL_G1B] = "G1b",         [SERIAL_G0] = "G0",
    [SERIAL_G1C] = "G1c",         [SERIAL_G_SINGLE] = "G-single",
    [SERIAL_G2] = "G2",
};

const char *serial_anomaly_name(enum serial_anomaly anomaly)
{
    return names[anomaly];
}

static void *zeros(size_t count, size_t bytes)
{
    void *list = calloc(count + 1, bytes);

    CHECK(list);
    return list;
}

static const struct history_operation *operation(const struct check *c, uint32_t i)
{
    return &c->history->operations[i];
}

static const struct history_transaction *transaction_of(const struct check *c, uint32_t i)
{
    return &c->history->transactions[operation(c, i)->transaction];
}

static const uint64_t *elements(const struct check *c, uint32_t list)
{
    return c->history->elements + operation(c, list)->first;
}

/* A LIST of which is known what it has read. */
static bool is_read(const struct check *c, uint32_t i)
{
    return operation(c, i)->kind == HISTORY_LIST && transaction_of(c, i)->outcome == HISTORY_OK;
}

static bool is_append(const struct check *c, uint32_t i, uint32_t list)
{
    return operation(c, i)->kind == HISTORY_APPEND && operation(c, i)->key == list;
}

/* The same transaction's APPEND to the same list before, or NOBODY. */
static uint32_t append_before(const struct check *c, uint32_t i)
{
    uint32_t first = transaction_of(c, i)->first;
    uint32_t list = operation(c, i)->key;

    while (i-- > first)
        if (is_append(c, i, list))
            return i;
    return NOBODY;
}

static uint32_t append_behind(const struct check *c, uint32_t i)
{
    const struct history_transaction *t = transaction_of(c, i);
    uint32_t list = operation(c, i)->key;

    while (++i < t->first + t->count)
        if (is_append(c, i, list))
            return i;
    return NOBODY;
}

/* The length of the version that a LIST has read: without the transaction's own. */
static uint32_t version_read(const struct check *c, uint32_t i)
{
    uint32_t length = operation(c, i)->count;

    for (uint32_t own = append_before(c, i); own != NOBODY; own = append_before(c, own))
        length--;
    return length;
}

/* Says the anomaly, what it is about, and the transaction. */
static void found(struct check *c, enum serial_anomaly anomaly, uint32_t i, const char *what,
                  uint64_t element)
{
    struct history_text *why = &c->result->why;

    c->result->answer = HISTORY_NO;
    c->result->anomaly = anomaly;
    history_say(why, "%s: k%u, %" PRIu64 ": %s\n    ", names[anomaly], operation(c, i)->key,
                element, what);
    history_tell(why, c->history, operation(c, i)->transaction);
}

static bool sound(const struct check *c)
{
    return c->result->answer == HISTORY_YES;
}

/* The other one that it is about. */
static void and_this(struct check *c, uint32_t i)
{
    history_say(&c->result->why, "    ");
    history_tell(&c->result->why, c->history, operation(c, i)->transaction);
}

/* ---- Who appended what ---- */

static uint32_t *append_place(const struct check *c, uint32_t list, uint64_t element)
{
    uint64_t hash = (element ^ (uint64_t)list << 40) * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t i = (uint32_t)(hash >> 32) & (c->appends_size - 1);

    for (; c->appends[i]; i = (i + 1) & (c->appends_size - 1)) {
        const struct history_operation *o = operation(c, c->appends[i] - 1);
        if (o->key == list && o->value == element)
            break;
    }
    return &c->appends[i];
}

/* Returns NOBODY if nobody did. */
static uint32_t appended_by(const struct check *c, uint32_t list, uint64_t element)
{
    return *append_place(c, list, element) - 1;
}

static void learn_appends(struct check *c)
{
    const struct history *h = c->history;

    c->appends_size = 2;
    while (c->appends_size < 2 * h->operation_count)
        c->appends_size *= 2;
    c->appends = zeros(c->appends_size, sizeof(c->appends[0]));
    for (uint32_t i = 0; i < h->operation_count; i++) {
        if (h->operations[i].kind != HISTORY_APPEND)
            continue;
        uint32_t *place = append_place(c, h->operations[i].key, h->operations[i].value);
        CHECK(*place == 0); /* the workload appends each element once */
        *place = i + 1;
    }
}

/* ---- What a transaction knows of itself ---- */

/*
 * A list ends with what the transaction has appended to it; before that stands what it has read of
 * the list earlier.
 */
static bool agrees_with_itself(const struct check *c, uint32_t i)
{
    const struct history_operation *o = operation(c, i);
    const uint64_t *list = elements(c, i);
    uint32_t length = o->count;

    for (uint32_t j = i; j-- > transaction_of(c, i)->first;) {
        const struct history_operation *earlier = operation(c, j);
        if (earlier->key != o->key)
            continue;
        if (earlier->kind == HISTORY_LIST && length == 0)
            return earlier->count == 0;
        if (earlier->kind == HISTORY_LIST)
            return earlier->count == length &&
                   memcmp(list, elements(c, j), length * sizeof(list[0])) == 0;
        if (earlier->kind == HISTORY_APPEND && (length == 0 || list[--length] != earlier->value))
            return false;
    }
    return true;
}

static void check_within_transactions(struct check *c)
{
    for (uint32_t i = 0; i < c->history->operation_count && sound(c); i++)
        if (is_read(c, i) && !agrees_with_itself(c, i))
            found(c, SERIAL_INTERNAL, i, "not what the transaction itself has read or appended",
                  operation(c, i)->count ? elements(c, i)[operation(c, i)->count - 1] : 0);
}

/* ---- Version orders ---- */

/* What can be wrong with one element that was read, wherever it stands. */
static bool check_element(struct check *c, uint32_t reader, uint64_t element)
{
    uint32_t append = appended_by(c, operation(c, reader)->key, element);

    if (append == NOBODY) {
        found(c, SERIAL_GARBAGE, reader, "nobody appended it", element);
        return false;
    }
    if (transaction_of(c, append)->outcome == HISTORY_FAILED) {
        found(c, SERIAL_G1A, reader, "it was read, and its transaction failed", element);
        and_this(c, append);
        return false;
    }
    return true;
}

/* Makes the longest read of the list its version order. */
static void learn_order(struct check *c, uint32_t list)
{
    uint32_t longest = NOBODY;

    for (uint32_t i = c->index.first[list]; i < c->index.first[list + 1]; i++) {
        uint32_t o = c->index.operations[i];
        if (is_read(c, o) &&
            (longest == NOBODY || operation(c, o)->count > operation(c, longest)->count))
            longest = o;
    }
    c->longest[list] = longest;
    c->first[list + 1] = c->first[list];
    if (longest == NOBODY)
        return;
    for (uint32_t i = 0; i < operation(c, longest)->count; i++) {
        uint64_t element = elements(c, longest)[i];
        if (!check_element(c, longest, element))
            return;
        uint32_t append = appended_by(c, list, element);
        if (c->place[append]) {
            found(c, SERIAL_DUPLICATE, longest, "it stands in the list twice", element);
            return;
        }
        uint32_t before = append_before(c, append);
        if (before != NOBODY && !c->place[before]) {
            found(c, SERIAL_ORDER, longest, "what its transaction appended before is not before it",
                  element);
            and_this(c, append);
            return;
        }
        c->order[c->first[list + 1]++] = append;
        c->place[append] = i + 1;
        c->effective[operation(c, append)->transaction] = true;
    }
}

static void learn_orders(struct check *c)
{
    for (uint32_t list = 0; list < c->history->key_count && sound(c); list++)
        learn_order(c, list);
}

/* A read that is no prefix of the version order. */
static void explain_difference(struct check *c, uint32_t i)
{
    uint32_t longest = c->longest[operation(c, i)->key];
    uint32_t same = 0;

    for (uint32_t j = 0; j < operation(c, i)->count; j++)
        if (!check_element(c, i, elements(c, i)[j]))
            return;
    while (elements(c, i)[same] == elements(c, longest)[same])
        same++;
    found(c, SERIAL_ORDER, i, "another read has something else in its place", elements(c, i)[same]);
    and_this(c, longest);
}

static void check_read(struct check *c, uint32_t i)
{
    const struct history_operation *o = operation(c, i);
    uint32_t version = version_read(c, i);

    if (memcmp(elements(c, i), elements(c, c->longest[o->key]), o->count * sizeof(uint64_t)) != 0) {
        explain_difference(c, i);
        return;
    }
    for (uint32_t own = append_behind(c, i); own != NOBODY; own = append_behind(c, own)) {
        if (c->place[own] && c->place[own] <= version) {
            found(c, SERIAL_INTERNAL, i, "it was read before the transaction itself appended it",
                  operation(c, own)->value);
            return;
        }
    }
    if (version == 0)
        return;
    uint32_t last = c->order[c->first[o->key] + version - 1];
    if (append_behind(c, last) != NOBODY) {
        found(c, SERIAL_G1B, i, "it was read without what its transaction appended next",
              operation(c, last)->value);
        and_this(c, last);
    }
}

static void check_reads(struct check *c)
{
    for (uint32_t i = 0; i < c->history->operation_count && sound(c); i++)
        if (is_read(c, i) && operation(c, i)->count > 0)
            check_read(c, i);
}

/* ---- Edges ---- */

static void add_edge(struct check *c, uint32_t kind, uint32_t from, uint32_t to, uint32_t append)
{
    graph_add(&c->graph, (struct edge){.from = operation(c, from)->transaction,
                                       .to = operation(c, to)->transaction,
                                       .kind = kind,
                                       .note = append});
}

static void add_edges_to_unread(struct check *c, uint32_t kind, uint32_t from)
{
    for (uint32_t i = 0; i < c->unread_count; i++)
        add_edge(c, kind, from, c->unread[i], c->unread[i]);
}

static void add_edges_of_read(struct check *c, uint32_t i)
{
    uint32_t list = operation(c, i)->key;
    uint32_t next = c->first[list] + version_read(c, i);

    if (next > c->first[list])
        add_edge(c, WR, c->order[next - 1], i, c->order[next - 1]);
    if (next < c->first[list + 1])
        add_edge(c, RW, i, c->order[next], c->order[next]);
    else
        add_edges_to_unread(c, RW, i);
}

static void add_edges_of_list(struct check *c, uint32_t list)
{
    const uint32_t *operations = c->index.operations;
    uint32_t from = c->index.first[list], to = c->index.first[list + 1];

    c->unread_count = 0;
    for (uint32_t i = from; i < to; i++)
        if (operation(c, operations[i])->kind == HISTORY_APPEND && !c->place[operations[i]] &&
            c->effective[operation(c, operations[i])->transaction])
            c->unread[c->unread_count++] = operations[i];
    for (uint32_t i = c->first[list] + 1; i < c->first[list + 1]; i++)
        add_edge(c, WW, c->order[i - 1], c->order[i], c->order[i]);
    if (c->first[list + 1] > c->first[list])
        add_edges_to_unread(c, WW, c->order[c->first[list + 1] - 1]);
    for (uint32_t i = from; i < to; i++)
        if (is_read(c, operations[i]))
            add_edges_of_read(c, operations[i]);
}

/* The transactions that begin and end at each event: 2 * number, + 1 for an end. */
static uint32_t *events(const struct history *h)
{
    uint32_t *list = zeros(h->event_count, sizeof(list[0]));

    for (uint32_t i = 0; i < h->transaction_count; i++) {
        list[h->transactions[i].begun] = 2 * i;
        if (h->transactions[i].outcome != HISTORY_OPEN)
            list[h->transactions[i].ended] = 2 * i + 1;
    }
    return list;
}

/*
 * Of all that have ended, only those need an edge to one that begins now that have not ended before
 * the beginning of another one that has ended: these are the frontier, at most as many as there
 * were clients at once.
 */
static void add_edges_of_time(struct check *c)
{
    const struct history_transaction *transactions = c->history->transactions;
    uint32_t *event = events(c->history);
    uint32_t *frontier = zeros(c->history->transaction_count, sizeof(frontier[0]));
    uint32_t count = 0;

    for (uint64_t i = 0; i < c->history->event_count; i++) {
        uint32_t now = event[i] / 2;
        uint32_t kept = 0;
        if (event[i] % 2 == 0) {
            for (uint32_t j = 0; j < count; j++)
                graph_add(&c->graph, (struct edge){.from = frontier[j], .to = now, .kind = RT});
            continue;
        }
        for (uint32_t j = 0; j < count; j++)
            if (transactions[frontier[j]].ended > transactions[now].begun)
                frontier[kept++] = frontier[j];
        frontier[kept++] = now;
        count = kept;
    }
    free(event);
    free(frontier);
}

static void add_edges(struct check *c, bool strict)
{
    /* First those that are few: they stay in if the graph becomes too large. */
    if (strict)
        add_edges_of_time(c);
    for (uint32_t list = 0; list < c->history->key_count; list++)
        add_edges_of_list(c, list);
    graph_seal(&c->graph);
}

/* ---- Cycles ---- */

static void tell_edge(struct check *c, const struct edge *e)
{
    static const struct {
        const char *name, *what;
    } edges[] = {
        [WW] = {"ww", "has appended next to"},
        [WR] = {"wr", "has read the append to"},
        [RW] = {"rw", "has appended what the first did not read of"},
    };
    struct history_text *why = &c->result->why;
    const struct history_operation *o = operation(c, e->note);

    if (e->kind == RT)
        history_say(why, "    T%u -rt-> T%u, which began later than the first ended\n", e->from,
                    e->to);
    else
        history_say(why, "    T%u -%s-> T%u, which %s k%u: %" PRIu64 "\n", e->from,
                    edges[e->kind].name, e->to, edges[e->kind].what, o->key, o->value);
}

/*
 * The edges of the cycle from one on that is not of time, since there is one; what leads in time
 * over others becomes one edge. Returns how many they are.
 */
static uint32_t straighten(const struct graph *g, const uint32_t *path, uint32_t count,
                           struct edge *cycle)
{
    uint32_t start = 0, length = 0;

    while (g->edges[path[start]].kind == RT)
        start++;
    for (uint32_t i = 0; i < count; i++) {
        const struct edge *e = &g->edges[path[(start + i) % count]];
        if (e->kind == RT && cycle[length - 1].kind == RT)
            cycle[length - 1].to = e->to;
        else
            cycle[length++] = *e;
    }
    return length;
}

static void tell_cycle(struct check *c, const uint32_t *path, uint32_t count)
{
    struct history_text *why = &c->result->why;
    struct edge *cycle = zeros(count, sizeof(cycle[0]));
    uint32_t length = straighten(&c->graph, path, count, cycle);

    history_say(why, "%s%s: a cycle of %u transactions\n", names[c->result->anomaly],
                c->result->realtime ? "-realtime" : "", length);
    for (uint32_t i = 0; i < length; i++)
        tell_edge(c, &cycle[i]);
    for (uint32_t i = 0; i < length; i++)
        history_tell(why, c->history, cycle[i].from);
    free(cycle);
}

/* The worst cycle of dependencies, or of those and of edges of time. */
static bool find_cycle(struct check *c, bool realtime, uint32_t *path)
{
    const struct graph *g = &c->graph;
    uint32_t kinds = WW | (realtime ? RT : 0);
    enum serial_anomaly anomaly = SERIAL_G0;
    uint32_t count = graph_cycle(g, kinds, path);

    if (count == 0) {
        anomaly = SERIAL_G1C;
        count = graph_cycle(g, kinds | WR, path);
    }
    if (count == 0) {
        anomaly = SERIAL_G_SINGLE;
        count = graph_cycle_with_one(g, RW, kinds | WR, path);
    }
    if (count == 0) {
        anomaly = SERIAL_G2;
        count = graph_cycle(g, kinds | WR | RW, path);
    }
    if (count == 0)
        return false;
    c->result->answer = HISTORY_NO;
    c->result->anomaly = anomaly;
    c->result->realtime = realtime;
    tell_cycle(c, path, count);
    return true;
}

static void check_cycles(struct check *c, bool strict)
{
    uint32_t *path = zeros(c->graph.nodes, sizeof(path[0]));

    add_edges(c, strict);
    if (graph_components(&c->graph, WW | WR | RW | RT, path) < c->graph.nodes) {
        if (!find_cycle(c, false, path))
            find_cycle(c, true, path);
    } else if (c->graph.too_large) {
        c->result->answer = HISTORY_TOO_LARGE;
        history_say(&c->result->why, "more than %u dependencies\n", GRAPH_EDGES_MAX);
    }
    free(path);
}

/* ---- All of it ---- */

static void check_new(struct check *c, const struct history *h, struct serial_result *result)
{
    *result = (struct serial_result){.answer = HISTORY_YES};
    *c = (struct check){.history = h, .result = result, .index = history_by_key(h)};
    c->place = zeros(h->operation_count, sizeof(c->place[0]));
    c->longest = zeros(h->key_count, sizeof(c->longest[0]));
    c->order = zeros(h->operation_count, sizeof(c->order[0]));
    c->first = zeros(h->key_count, sizeof(c->first[0]));
    c->effective = zeros(h->transaction_count, sizeof(c->effective[0]));
    c->unread = zeros(h->operation_count, sizeof(c->unread[0]));
    for (uint32_t i = 0; i < h->transaction_count; i++)
        c->effective[i] = h->transactions[i].outcome == HISTORY_OK;
    graph_new(&c->graph, h->transaction_count);
    learn_appends(c);
}

static void check_free(struct check *c)
{
    history_index_free(&c->index);
    free(c->appends);
    free(c->place);
    free(c->longest);
    free(c->order);
    free(c->first);
    free(c->effective);
    free(c->unread);
    graph_free(&c->graph);
}

void serial_check(const struct history *h, bool strict, struct serial_result *result)
{
    struct check c;

    check_new(&c, h, result);
    check_within_transactions(&c);
    if (sound(&c))
        learn_orders(&c);
    if (sound(&c))
        check_reads(&c);
    if (sound(&c))
        check_cycles(&c, strict);
    check_free(&c);
}
