/* SPDX-License-Identifier: MIT */
#include "history.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

#define ROOM_MIN 64

/* More is cut off where transactions are told. */
#define TOLD_OPERATIONS_MAX 12
#define TOLD_ELEMENTS_MAX   16

void history_free(struct history *h)
{
    free(h->transactions);
    free(h->operations);
    free(h->elements);
    *h = (struct history){0};
}

/* ---- Recording ---- */

/* Makes room for `count` more items. Returns where they are now. */
static void *grown(void *items, size_t item_bytes, uint32_t used, uint32_t count, uint32_t *room,
                   uint32_t limit)
{
    CHECK(used <= limit && count <= limit - used);
    if (used + count <= *room)
        return items;
    while (used + count > *room)
        *room = *room ? 2 * *room : ROOM_MIN;
    items = realloc(items, *room * item_bytes);
    CHECK(items);
    return items;
}

uint32_t history_begin(struct history *h, uint32_t client, uint64_t now_ns)
{
    h->transactions = grown(h->transactions, sizeof(h->transactions[0]), h->transaction_count, 1,
                            &h->transaction_room, HISTORY_TRANSACTIONS_MAX);
    h->transactions[h->transaction_count] = (struct history_transaction){
        .client = client,
        .first = h->operation_count,
        .begun = h->event_count++,
        .ended = UINT64_MAX,
        .begun_ns = now_ns,
    };
    return h->transaction_count++;
}

uint32_t history_add(struct history *h, enum history_kind kind, uint32_t key, uint64_t value)
{
    CHECK(h->transaction_count > 0 && key < HISTORY_KEYS_MAX);
    h->operations = grown(h->operations, sizeof(h->operations[0]), h->operation_count, 1,
                          &h->operation_room, HISTORY_OPERATIONS_MAX);
    h->operations[h->operation_count] = (struct history_operation){
        .kind = kind,
        .transaction = h->transaction_count - 1,
        .key = key,
        .value = value,
    };
    h->transactions[h->transaction_count - 1].count++;
    if (key >= h->key_count)
        h->key_count = key + 1;
    return h->operation_count++;
}

static struct history_operation *open_operation(struct history *h, uint32_t operation)
{
    CHECK(operation < h->operation_count);
    struct history_operation *o = &h->operations[operation];
    CHECK(h->transactions[o->transaction].outcome == HISTORY_OPEN);
    return o;
}

void history_read(struct history *h, uint32_t operation, uint64_t value)
{
    struct history_operation *o = open_operation(h, operation);

    CHECK(o->kind == HISTORY_READ);
    o->value = value;
}

void history_found(struct history *h, uint32_t operation, bool found)
{
    struct history_operation *o = open_operation(h, operation);

    CHECK(o->kind == HISTORY_DELETE);
    o->value = found ? HISTORY_FOUND : HISTORY_MISSED;
}

void history_list(struct history *h, uint32_t operation, const uint64_t *elements, uint32_t count)
{
    struct history_operation *o = open_operation(h, operation);

    CHECK(o->kind == HISTORY_LIST);
    h->elements = grown(h->elements, sizeof(h->elements[0]), h->element_count, count,
                        &h->element_room, HISTORY_ELEMENTS_MAX);
    o->first = h->element_count;
    o->count = count;
    for (uint32_t i = 0; i < count; i++)
        h->elements[h->element_count++] = elements[i];
}

void history_end(struct history *h, uint32_t transaction, enum history_outcome outcome,
                 uint64_t now_ns)
{
    CHECK(transaction < h->transaction_count && outcome != HISTORY_OPEN);
    struct history_transaction *t = &h->transactions[transaction];
    CHECK(t->outcome == HISTORY_OPEN);
    t->outcome = outcome;
    t->ended = h->event_count++;
    t->ended_ns = now_ns;
}

void history_refuse(struct history *h, uint32_t operation, uint64_t now_ns)
{
    struct history_operation *o = open_operation(h, operation);
    const struct history_transaction *t = &h->transactions[o->transaction];

    CHECK(o->kind == HISTORY_IF || o->kind == HISTORY_UNLESS);
    for (uint32_t i = t->first; i < t->first + t->count; i++)
        if (i != operation)
            h->operations[i].kind = HISTORY_NOTHING;
    /* To be told that a condition does not hold is to have seen that its opposite does. */
    o->kind = o->kind == HISTORY_IF ? HISTORY_UNLESS : HISTORY_IF;
    history_end(h, o->transaction, HISTORY_OK, now_ns);
}

/* ---- Reading ---- */

struct history_index history_by_key(const struct history *h)
{
    struct history_index index = {
        .first = calloc((size_t)h->key_count + 2, sizeof(index.first[0])),
        .operations = calloc((size_t)h->operation_count + 1, sizeof(index.operations[0])),
    };

    CHECK(index.first && index.operations);
    /* Counted two places ahead: filling moves first[key + 1] from the key's start to its end. */
    for (uint32_t i = 0; i < h->operation_count; i++)
        index.first[h->operations[i].key + 2]++;
    for (uint32_t key = 2; key <= h->key_count; key++)
        index.first[key] += index.first[key - 1];
    for (uint32_t i = 0; i < h->operation_count; i++)
        index.operations[index.first[h->operations[i].key + 1]++] = i;
    return index;
}

void history_index_free(struct history_index *index)
{
    free(index->first);
    free(index->operations);
    *index = (struct history_index){0};
}

/* ---- Telling ---- */

void history_say(struct history_text *text, const char *format, ...)
{
    size_t room = sizeof(text->text) - text->length;
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(text->text + text->length, room, format, arguments);
    va_end(arguments);
    CHECK(length >= 0);
    text->length += (size_t)length < room ? (size_t)length : room - 1;
}

static void tell_list(struct history_text *text, const struct history *h,
                      const struct history_operation *o)
{
    uint32_t skipped = o->count > TOLD_ELEMENTS_MAX ? o->count - TOLD_ELEMENTS_MAX : 0;

    history_say(text, "list k%u = [%s", o->key, skipped ? "..." : "");
    for (uint32_t i = skipped; i < o->count; i++)
        history_say(text, "%s%" PRIu64, i ? " " : "", h->elements[o->first + i]);
    history_say(text, "]");
}

static void tell_operation(struct history_text *text, const struct history *h,
                           const struct history_operation *o)
{
    static const char *const found[] = {"", " (found)", " (not found)"};
    bool known = h->transactions[o->transaction].outcome == HISTORY_OK;

    switch (o->kind) {
    case HISTORY_NOTHING:
        history_say(text, "(refused)");
        return;
    case HISTORY_READ:
        if (known)
            history_say(text, "read k%u = %" PRIu64, o->key, o->value);
        else
            history_say(text, "read k%u", o->key);
        return;
    case HISTORY_WRITE:
        history_say(text, "write k%u = %" PRIu64, o->key, o->value);
        return;
    case HISTORY_DELETE:
        history_say(text, "delete k%u%s", o->key, found[o->value]);
        return;
    case HISTORY_IF:
        history_say(text, "if k%u is %" PRIu64, o->key, o->value);
        return;
    case HISTORY_UNLESS:
        history_say(text, "if k%u is not %" PRIu64, o->key, o->value);
        return;
    case HISTORY_APPEND:
        history_say(text, "append k%u + %" PRIu64, o->key, o->value);
        return;
    case HISTORY_LIST:
        if (known)
            tell_list(text, h, o);
        else
            history_say(text, "list k%u", o->key);
        return;
    }
}

void history_tell(struct history_text *text, const struct history *h, uint32_t transaction)
{
    const struct history_transaction *t = &h->transactions[transaction];

    history_say(text, "T%u (client %u, %.3f ", transaction, t->client, (double)t->begun_ns / 1e6);
    if (t->outcome == HISTORY_OPEN)
        history_say(text, "ms on, outcome unknown): ");
    else
        history_say(text, "to %.3f ms%s): ", (double)t->ended_ns / 1e6,
                    t->outcome == HISTORY_FAILED ? ", failed" : "");
    for (uint32_t i = 0; i < t->count && i < TOLD_OPERATIONS_MAX; i++) {
        history_say(text, "%s", i ? ", " : "");
        tell_operation(text, h, &h->operations[t->first + i]);
    }
    history_say(text, "%s\n", t->count > TOLD_OPERATIONS_MAX ? ", ..." : "");
}
