/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/check.h"
#include "parts.h"

/* What the map of the quiet moves says of a loud one; others: the number of what is sent, + 2. */
#define LOUD 1

static uint64_t local_hash(struct world *w, uint32_t machine)
{
    uint8_t bytes[ENCODED_MAX];
    size_t length = world_encode_machine(w, machine, bytes);

    return map_hash(bytes, length, machine);
}

static uint32_t sending_index(struct universe *u, const uint64_t sent[MESSAGES_MAX / 64])
{
    for (uint32_t i = 0; i < u->sending_count; i++) {
        if (memcmp(u->sendings[i], sent, sizeof(u->sendings[i])) == 0)
            return i;
    }
    CHECK(u->sending_count < SENDINGS_MAX);
    memcpy(u->sendings[u->sending_count], sent, sizeof(u->sendings[0]));
    return u->sending_count++;
}

/*
 * Makes the move, and takes it back. A timer runs out twice: a worker in doubt asks more of them
 * the second time.
 */
static uint32_t try_move(struct world *w, struct move move, uint64_t local)
{
    struct universe *u = w->universe;
    struct world before = *w;
    uint32_t machine = move_machine(u, move), verdict = LOUD;
    bool log = u->log;

    u->log = false;
    memset(u->sent_now, 0, sizeof(u->sent_now));
    world_move(w, move);
    if (move.kind == MOVE_TIMEOUT && (w->state.armed[machine] & (1U << move.argument)))
        world_move(w, move);
    if (u->violation[0] == '\0' && local_hash(w, machine) == local)
        verdict = sending_index(u, u->sent_now) + 2;
    world_undo(w, move, &before);
    u->violation[0] = '\0';
    u->log = log;
    return verdict;
}

static uint32_t judge(struct world *w, struct move move, uint64_t local)
{
    uint64_t key = map_hash((const uint8_t *)&move, sizeof(move), local);
    uint32_t verdict = map_get(&w->universe->quiet, key);

    if (verdict == 0) {
        verdict = try_move(w, move, local);
        map_set(&w->universe->quiet, key, verdict);
    }
    return verdict;
}

static void unite(const struct universe *u, uint64_t sent[MESSAGES_MAX / 64], uint32_t verdict)
{
    for (uint32_t i = 0; verdict != LOUD && i < MESSAGES_MAX / 64; i++)
        sent[i] |= u->sendings[verdict - 2][i];
}

static uint32_t send_again(struct world *w, uint32_t sending)
{
    uint32_t machines = 0;

    for (uint32_t i = 0; i < MESSAGES_MAX / 64; i++) {
        uint64_t fresh = w->universe->sendings[sending][i] & ~w->state.sent[i];
        w->state.sent[i] |= fresh;
        for (; fresh; fresh &= fresh - 1)
            machines |=
                1U << receiver(&w->universe->messages[64 * i + (uint32_t)__builtin_ctzll(fresh)]);
    }
    return machines;
}

/* Everything that the quiet moves of a machine send, as the number of a sending. */
static uint32_t sent_quietly(struct world *w, uint32_t machine, uint64_t local,
                             const uint64_t under_way[MESSAGES_MAX / 64])
{
    uint16_t armed = w->state.armed[machine];
    uint64_t sent[MESSAGES_MAX / 64] = {0};

    if (!is_coordinator(machine) && w->universe->scenario->no_inquiries)
        armed = 0;
    for (uint32_t t = 0; armed >> t; t++) {
        struct move move = {MOVE_TIMEOUT, (uint8_t)machine, (uint8_t)t, false};
        if (armed & (1U << t))
            unite(w->universe, sent, judge(w, move, local));
    }
    for (uint32_t i = 0; i < MESSAGES_MAX; i++) {
        struct move move = {MOVE_DELIVER, 0, (uint8_t)i, false};
        if (under_way[i / 64] & (UINT64_C(1) << (i % 64)))
            unite(w->universe, sent, judge(w, move, local));
    }
    return sending_index(w->universe, sent);
}

/* Returns the machines that can get a message which they could not get before. */
static uint32_t settle_machine(struct world *w, uint32_t machine)
{
    struct universe *u = w->universe;
    uint64_t under_way[MESSAGES_MAX / 64];
    uint64_t local = local_hash(w, machine);

    for (uint32_t i = 0; i < MESSAGES_MAX / 64; i++)
        under_way[i] = (w->state.sent[i] | u->idle[i]) & u->addressed[machine][i];
    uint64_t key = map_hash((const uint8_t *)under_way, sizeof(under_way), local);
    uint32_t sending = map_get(&u->settled, key);
    if (sending == 0) {
        sending = sent_quietly(w, machine, local, under_way) + 1;
        map_set(&u->settled, key, sending);
    }
    return send_again(w, sending - 1);
}

/* Where nothing crashes any more, nobody can tell whether a row that is not forced is durable. */
static void write_unforced(struct world *w, uint32_t machine)
{
    const struct model_queue *q = &w->state.queues[machine];
    uint32_t count = 0;

    if (w->state.crashes > 0 || w->state.losses > 0)
        return;
    while (count < q->length && !q->rows[count].forced)
        count++;
    make_durable(w, machine, count);
}

void world_settle(struct world *w)
{
    uint32_t unsettled = 0;

    for (uint32_t i = 0; i < MACHINES_MAX; i++) {
        if (!exists(w, i))
            continue;
        write_unforced(w, i);
        unsettled |= 1U << i;
    }
    while (unsettled) {
        uint32_t next = (uint32_t)__builtin_ctz(unsettled);
        unsettled &= ~(1U << next);
        unsettled |= settle_machine(w, next);
    }
}

uint32_t world_loud_moves(struct world *w, struct move moves[MOVES_MAX])
{
    uint32_t count = world_moves(w, moves), loud = 0;
    uint64_t local[MACHINES_MAX];

    for (uint32_t i = 0; i < MACHINES_MAX; i++)
        local[i] = exists(w, i) ? local_hash(w, i) : 0;
    for (uint32_t i = 0; i < count; i++) {
        bool may_be_quiet =
            moves[i].kind == MOVE_DELIVER || (moves[i].kind == MOVE_TIMEOUT && !moves[i].late);
        if (!may_be_quiet || judge(w, moves[i], local[move_machine(w->universe, moves[i])]) == LOUD)
            moves[loud++] = moves[i];
    }
    return loud;
}
