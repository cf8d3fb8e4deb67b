/* SPDX-License-Identifier: MIT */
/*
 * The search of Wing and Gong (Testing and verifying concurrent objects, 1993) with the memory of
 * Lowe (Testing for linearizability, 2017): depth first through the configurations, which are the
 * set of operations that have been placed in the order, and the value that they leave. One that was
 * met before is not entered again. What can be placed next is what began before the first end among
 * those that are not placed.
 *
 * Two things keep the search small, and lose no order:
 *
 * - What only reads, and may be placed now, is placed now, without another choice: in any order
 *   that goes on from here it can be moved to the front.
 *
 * - An operation of unknown outcome is placed only right before one that needs it, that is, that
 *   would not be possible without it. In any order it can be moved back, as long as its successor
 *   is possible without it, too: until one comes that needs it; or one that writes, or the end
 *   comes, where it has no effect left and can be taken out. So one whose value nobody asks for
 *   is left out from the start.
 *
 * A search that fails has met every configuration there is. The latest of the ends at which it was
 * stuck is therefore the end of the shortest prefix of the history that has no order.
 */
#include "linear.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"

#define NOBODY UINT32_MAX

/* Of a dead end that is told. */
#define TAIL_MAX    8
#define WAITING_MAX 16

#define SEEN_SIZE_MIN 1024

/* What a transaction does to the key: `count` of the key's operations, in their order. */
struct operation {
    uint32_t transaction;
    const uint32_t *parts; /* of history->operations */
    uint32_t count;
    bool writes;
    bool open;
    uint64_t begun, ended;
};

struct state {
    uint64_t value;
    bool owes;       /* what was placed last is open: the next one must need it ... */
    uint64_t before; /* ... as it is not possible with the value before */
};

/*
 * A configuration in 127 bits. That two of them share theirs is as good as impossible: with the
 * most that are kept, a chance of one in 2^86.
 */
struct fingerprint {
    uint64_t high, low;
};

struct seen {
    struct fingerprint *list; /* both 0: nothing here */
    uint64_t size;            /* a power of two */
    uint64_t count;
};

/* Walks over the operations that may be placed next: those that have ended, then those open. */
struct cursor {
    uint32_t at;
    uint64_t bound; /* the first end among those walked over */
};

/* What to go back to. */
struct choice {
    uint32_t placed;
    struct state state;
    struct cursor cursor;
};

/* Where the search went furthest and was stuck. */
struct dead_end {
    uint64_t bound; /* the first end among what was not placed ... */
    uint32_t stuck; /* ... and whose it is */
    uint32_t placed;
    uint64_t value;          /* of the key, there */
    uint32_t tail[TAIL_MAX]; /* of those placed, the last of them last */
    uint32_t tail_count;
    uint32_t waiting[WAITING_MAX]; /* what has ended, began before the bound, and is not placed */
    uint32_t waiting_count;
};

struct search {
    const struct history *history;

    /* Those that have ended, in the order of their beginnings, then those open, likewise. */
    struct operation *operations;
    uint32_t ended_count, count;

    /* Two rings of what is not placed, each with its head behind the operations. */
    uint32_t *next, *previous;
    uint32_t ended_head, open_head;

    uint32_t *order; /* what is placed */
    uint32_t placed;
    uint32_t left; /* of those that have ended, not placed */
    struct state state;
    struct fingerprint set; /* of what is placed */

    struct choice *choices;
    uint32_t depth;
    struct seen seen;
    uint64_t steps;
    struct dead_end furthest;
};

/* ---- The register ---- */

/* What the operation makes of a value. Returns false if it is not possible there. */
static bool step(const struct search *s, const struct operation *o, uint64_t value, uint64_t *after)
{
    for (uint32_t i = 0; i < o->count; i++) {
        const struct history_operation *part = &s->history->operations[o->parts[i]];
        switch (part->kind) {
        case HISTORY_READ:
            if (!o->open && value != part->value)
                return false;
            break;
        case HISTORY_IF:
            if (value != part->value)
                return false;
            break;
        case HISTORY_UNLESS:
            if (value == part->value)
                return false;
            break;
        case HISTORY_WRITE:
            value = part->value;
            break;
        case HISTORY_DELETE:
            if (part->value == (value == HISTORY_NONE ? HISTORY_FOUND : HISTORY_MISSED))
                return false;
            value = HISTORY_NONE;
            break;
        case HISTORY_NOTHING:
        case HISTORY_APPEND:
        case HISTORY_LIST:
            break;
        }
    }
    *after = value;
    return true;
}

/* Whether the operation may stand next in the order, and the state behind it. */
static bool possible(const struct search *s, uint32_t operation, struct state *after)
{
    const struct operation *o = &s->operations[operation];
    uint64_t without;

    *after = (struct state){.owes = o->open, .before = o->open ? s->state.value : 0};
    if (!step(s, o, s->state.value, &after->value))
        return false;
    return !s->state.owes || !step(s, o, s->state.before, &without);
}

/* ---- What was seen ---- */

/* The finisher of splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* The fingerprint of a set is the sum, without carry, of those of its members. */
static void toggle(struct fingerprint *set, uint32_t member)
{
    set->high ^= mix(2 * (uint64_t)member + 1);
    set->low ^= mix(2 * (uint64_t)member + 2);
}

static struct fingerprint fingerprint(const struct search *s)
{
    uint64_t value = mix(s->state.value ^ UINT64_C(0x9e3779b97f4a7c15));
    uint64_t owed = s->state.owes ? mix(~s->state.before) : 0;

    return (struct fingerprint){
        .high = mix(s->set.high ^ mix(value + owed)),
        .low = mix(s->set.low + mix(value ^ (owed + 1))) | 1,
    };
}

static struct fingerprint *place_of(const struct seen *seen, struct fingerprint f)
{
    uint64_t i = f.high & (seen->size - 1);

    while (seen->list[i].low && (seen->list[i].low != f.low || seen->list[i].high != f.high))
        i = (i + 1) & (seen->size - 1);
    return &seen->list[i];
}

static void grow(struct seen *seen)
{
    struct seen old = *seen;

    seen->size = old.size ? 2 * old.size : SEEN_SIZE_MIN;
    seen->list = calloc(seen->size, sizeof(seen->list[0]));
    CHECK(seen->list);
    for (uint64_t i = 0; i < old.size; i++)
        if (old.list[i].low)
            *place_of(seen, old.list[i]) = old.list[i];
    free(old.list);
}

/* Returns false if it was there before. */
static bool add(struct seen *seen, struct fingerprint f)
{
    if (4 * (seen->count + 1) > 3 * seen->size)
        grow(seen);
    struct fingerprint *place = place_of(seen, f);
    if (place->low)
        return false;
    *place = f;
    seen->count++;
    return true;
}

/* ---- The search ---- */

static struct cursor start(const struct search *s)
{
    return (struct cursor){.at = s->ended_head, .bound = UINT64_MAX};
}

/* Returns NOBODY when there is no more; the bound is then that of all that have ended. */
static uint32_t advance(struct search *s, struct cursor *c)
{
    s->steps++;
    if (c->at < s->ended_count || c->at == s->ended_head) {
        uint32_t i = s->next[c->at];
        /* What stands behind this one ends later than it begins, and begins later than this. */
        if (i != s->ended_head && s->operations[i].begun < c->bound) {
            if (s->operations[i].ended < c->bound)
                c->bound = s->operations[i].ended;
            return c->at = i;
        }
        c->at = s->open_head;
    }
    uint32_t i = s->next[c->at];
    if (i == s->open_head || s->operations[i].begun > c->bound)
        return NOBODY;
    return c->at = i;
}

static void place(struct search *s, uint32_t operation, const struct state *after)
{
    s->next[s->previous[operation]] = s->next[operation];
    s->previous[s->next[operation]] = s->previous[operation];
    s->left -= !s->operations[operation].open;
    toggle(&s->set, operation);
    s->order[s->placed++] = operation;
    s->state = *after;
}

/* In the opposite order of placing, so that each finds its neighbours as they were. */
static void displace(struct search *s)
{
    uint32_t operation = s->order[--s->placed];

    s->next[s->previous[operation]] = operation;
    s->previous[s->next[operation]] = operation;
    s->left += !s->operations[operation].open;
    toggle(&s->set, operation);
}

/* Places what only reads. */
static void place_reads(struct search *s)
{
    struct cursor c = start(s);
    struct state after;

    for (uint32_t i; (i = advance(s, &c)) < s->ended_count;) {
        if (s->operations[i].writes || !possible(s, i, &after))
            continue;
        place(s, i, &after);
        c = start(s);
    }
}

/* Returns the cursor as it stood when the last choice was made. */
static struct cursor go_back(struct search *s)
{
    const struct choice *last = &s->choices[--s->depth];

    while (s->placed > last->placed)
        displace(s);
    s->state = last->state;
    return last->cursor;
}

/* Places the operation where the cursor stands, and starts anew, if that leads to something new. */
static void choose(struct search *s, struct cursor *c)
{
    struct state after;

    if (!possible(s, c->at, &after))
        return;
    s->choices[s->depth++] = (struct choice){.placed = s->placed, .state = s->state, .cursor = *c};
    place(s, c->at, &after);
    place_reads(s);
    *c = add(&s->seen, fingerprint(s)) ? start(s) : go_back(s);
}

static void note_dead_end(struct search *s, uint64_t bound)
{
    struct dead_end *d = &s->furthest;

    /* One that owes goes no further than the configuration that it comes from, which is next. */
    if (bound <= d->bound || s->state.owes)
        return;
    *d = (struct dead_end){.bound = bound, .placed = s->placed, .value = s->state.value};
    d->tail_count = s->placed < TAIL_MAX ? s->placed : TAIL_MAX;
    for (uint32_t i = 0; i < d->tail_count; i++)
        d->tail[i] = s->order[s->placed - d->tail_count + i];
    struct cursor c = start(s);
    for (uint32_t i; (i = advance(s, &c)) < s->ended_count;) {
        if (s->operations[i].ended == bound)
            d->stuck = i;
        if (d->waiting_count < WAITING_MAX)
            d->waiting[d->waiting_count++] = i;
    }
}

static enum history_answer search(struct search *s)
{
    place_reads(s);
    struct cursor c = start(s);
    while (s->left > 0) {
        if (s->steps > LINEAR_STEPS_MAX || s->seen.count > LINEAR_CONFIGURATIONS_MAX)
            return HISTORY_TOO_LARGE;
        if (advance(s, &c) != NOBODY) {
            choose(s, &c);
            continue;
        }
        note_dead_end(s, c.bound);
        if (s->depth == 0)
            return HISTORY_NO;
        c = go_back(s);
    }
    return HISTORY_YES;
}

/* ---- One key ---- */

static bool is_register(enum history_kind kind)
{
    return kind != HISTORY_NOTHING && kind != HISTORY_APPEND && kind != HISTORY_LIST;
}

/* The operation of the transaction that the first of these parts belongs to. */
static struct operation operation_of(const struct history *h, const uint32_t *parts, uint32_t count)
{
    uint32_t transaction = h->operations[parts[0]].transaction;
    const struct history_transaction *t = &h->transactions[transaction];
    struct operation o = {
        .transaction = transaction,
        .parts = parts,
        .open = t->outcome == HISTORY_OPEN,
        .begun = t->begun,
        .ended = t->ended,
    };

    while (o.count < count && h->operations[parts[o.count]].transaction == transaction) {
        enum history_kind kind = h->operations[parts[o.count++]].kind;
        o.writes |= kind == HISTORY_WRITE || kind == HISTORY_DELETE;
    }
    return o;
}

/* Whether there is something to explain, or that may explain something. */
static bool counts(const struct history *h, const struct operation *o)
{
    if (h->transactions[o->transaction].outcome == HISTORY_FAILED || (o->open && !o->writes))
        return false;
    for (uint32_t i = 0; i < o->count; i++)
        if (is_register(h->operations[o->parts[i]].kind))
            return true;
    return false;
}

static void link_ring(struct search *s, uint32_t head, uint32_t from, uint32_t to)
{
    uint32_t last = head;

    for (uint32_t i = from; i < to; i++) {
        s->next[last] = i;
        s->previous[i] = last;
        last = i;
    }
    s->next[last] = head;
    s->previous[head] = last;
}

/* The values that others ask for. */
struct wanted {
    struct seen values;
    bool others; /* some ask that it be another value, or any, or none */
};

/* Exact, since mix() gives no two numbers the same. */
static struct fingerprint exactly(uint64_t value)
{
    return (struct fingerprint){.high = mix(value), .low = 1};
}

static struct wanted what_is_wanted(const struct history *h, const uint32_t *parts, uint32_t count)
{
    struct wanted w = {0};

    grow(&w.values);
    for (uint32_t i = 0; i < count; i++) {
        const struct history_operation *part = &h->operations[parts[i]];
        if (part->kind == HISTORY_READ || part->kind == HISTORY_IF)
            add(&w.values, exactly(part->value));
        w.others |= part->kind == HISTORY_UNLESS || (part->kind == HISTORY_DELETE && part->value);
    }
    return w;
}

/* Whether what the operation leaves may be needed by another one, as an open one must be. */
static bool is_wanted(const struct history *h, const struct operation *o, const struct wanted *w)
{
    uint64_t value = HISTORY_NONE;

    for (uint32_t i = 0; i < o->count; i++)
        if (h->operations[o->parts[i]].kind == HISTORY_WRITE)
            value = h->operations[o->parts[i]].value;
        else if (h->operations[o->parts[i]].kind == HISTORY_DELETE)
            value = HISTORY_NONE;
    return w->others || place_of(&w->values, exactly(value))->low;
}

/* Those that are open, or those that have ended, of the transactions with these parts. */
static void gather(struct search *s, const uint32_t *parts, uint32_t count, bool open)
{
    struct wanted w = what_is_wanted(s->history, parts, count);

    for (uint32_t i = 0; i < count;) {
        struct operation o = operation_of(s->history, parts + i, count - i);
        i += o.count;
        if (o.open == open && counts(s->history, &o) && (!open || is_wanted(s->history, &o, &w)))
            s->operations[s->count++] = o;
    }
    free(w.values.list);
}

static void search_new(struct search *s, const struct history *h, const uint32_t *parts,
                       uint32_t count)
{
    *s = (struct search){.history = h};
    s->operations = calloc(count, sizeof(s->operations[0]));
    CHECK(s->operations);
    gather(s, parts, count, false);
    s->ended_count = s->left = s->count;
    gather(s, parts, count, true);

    s->ended_head = s->count;
    s->open_head = s->count + 1;
    s->next = calloc(s->count + 2, sizeof(s->next[0]));
    s->previous = calloc(s->count + 2, sizeof(s->previous[0]));
    s->order = calloc(s->count + 1, sizeof(s->order[0]));
    s->choices = calloc(s->count + 1, sizeof(s->choices[0]));
    CHECK(s->next && s->previous && s->order && s->choices);
    link_ring(s, s->ended_head, 0, s->ended_count);
    link_ring(s, s->open_head, s->ended_count, s->count);
}

static void search_free(struct search *s)
{
    free(s->operations);
    free(s->next);
    free(s->previous);
    free(s->order);
    free(s->choices);
    free(s->seen.list);
}

static void tell_operations(struct history_text *why, const struct search *s, const uint32_t *list,
                            uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        history_say(why, "    ");
        history_tell(why, s->history, s->operations[list[i]].transaction);
    }
}

static void tell_dead_end(const struct search *s, struct linear_result *r)
{
    const struct dead_end *d = &s->furthest;
    struct history_text *why = &r->why;

    r->transaction = s->operations[d->stuck].transaction;
    history_say(why, "k%u is not linearizable: no order explains it up to the end of\n    ",
                r->key);
    history_tell(why, s->history, r->transaction);
    history_say(why, "The order that goes furthest places %u transactions", d->placed);
    history_say(why, "%s\n", d->tail_count == 0 ? "." : d->placed > TAIL_MAX ? ", at last" : ":");
    tell_operations(why, s, d->tail, d->tail_count);
    history_say(why, "The key is then %" PRIu64 ", and none of these can follow:\n", d->value);
    tell_operations(why, s, d->waiting, d->waiting_count);
}

static void check_key(const struct history *h, const uint32_t *parts, uint32_t count,
                      struct linear_result *r)
{
    struct search s;

    search_new(&s, h, parts, count);
    r->answer = search(&s);
    r->steps = s.steps;
    if (r->answer == HISTORY_NO)
        tell_dead_end(&s, r);
    if (r->answer == HISTORY_TOO_LARGE)
        history_say(&r->why, "k%u is too large: %u transactions, %" PRIu64 " configurations seen\n",
                    r->key, s.count, s.seen.count);
    search_free(&s);
}

void linear_check(const struct history *h, struct linear_result *result)
{
    struct history_index index = history_by_key(h);

    *result = (struct linear_result){.answer = HISTORY_YES};
    for (uint32_t key = 0; key < h->key_count && result->answer != HISTORY_NO; key++) {
        uint32_t first = index.first[key];
        struct linear_result r = {.key = key};
        if (index.first[key + 1] == first)
            continue;
        check_key(h, index.operations + first, index.first[key + 1] - first, &r);
        r.steps += result->steps;
        if (r.answer == HISTORY_NO || (r.answer != HISTORY_YES && result->answer == HISTORY_YES))
            *result = r;
        result->steps = r.steps;
    }
    history_index_free(&index);
}
