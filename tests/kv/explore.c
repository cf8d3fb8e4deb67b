/* SPDX-License-Identifier: MIT */
#include "explore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "check.h"

#define DEPTH_MAX 1024

/* What is known of a world. */
enum { ON_THE_WAY = 1, EXPLORED = 2 };

static uint64_t hash_world(struct world *w)
{
    uint8_t bytes[ENCODED_MAX];
    size_t length = world_encode(w, bytes);

    return map_hash(bytes, length, 0);
}

/* ---- The way ---- */

/* A world, and which of its moves have been made. */
struct frame {
    struct world world;
    uint64_t hash;
    struct move moves[MOVES_MAX];
    uint32_t count, next;
    bool goes_on; /* a regular move has changed it */
};

struct search {
    struct universe *universe;
    struct map known;
    struct world here; /* that of the last frame, but for the move that is being made */
    struct frame *frames[DEPTH_MAX];
    uint32_t depth;
    struct explored result;
};

/* Goes on to the world that is here. */
static void enter(struct search *s, uint64_t hash)
{
    CHECK(s->depth < DEPTH_MAX);
    if (!s->frames[s->depth])
        s->frames[s->depth] = malloc(sizeof(struct frame));
    struct frame *f = s->frames[s->depth++];
    CHECK(f);
    f->world = s->here;
    f->hash = hash;
    f->next = 0;
    f->goes_on = false;
    f->count = world_loud_moves(&s->here, f->moves);
    s->result.states++;
    if (s->depth > s->result.depth)
        s->result.depth = s->depth;
    map_set(&s->known, hash, ON_THE_WAY);
}

/* All moves that have led here, with what the machines did. */
static void tell_the_way(struct search *s)
{
    struct world w;
    char text[200];

    s->universe->log = true;
    world_init(&w, s->universe);
    printf("  violated: %s\n", s->result.violation);
    for (uint32_t i = 0; i < s->depth; i++) {
        struct frame *f = s->frames[i];
        if (f->next == 0)
            break;
        printf("    %2u. %s\n", i + 1,
               move_text(s->universe, f->moves[f->next - 1], text, sizeof(text)));
        world_move(&w, f->moves[f->next - 1]);
        world_settle(&w);
    }
}

/* Copies what the last move, or the end, has violated. */
static bool fails(struct search *s)
{
    if (s->universe->violation[0] == '\0')
        return false;
    memcpy(s->result.violation, s->universe->violation, sizeof(s->result.violation));
    return true;
}

static bool make_move(struct search *s, struct frame *f)
{
    struct move move = f->moves[f->next++];

    world_move(&s->here, move);
    if (fails(s))
        return false;
    world_settle(&s->here);
    uint64_t hash = hash_world(&s->here);
    uint32_t found = hash == f->hash ? EXPLORED : map_get(&s->known, hash);
    if (hash != f->hash) {
        s->result.moves++;
        f->goes_on |= move_is_regular(move);
    }
    if (found == ON_THE_WAY)
        violated(s->universe, "the same world comes again: it may go round for ever");
    else if (!found)
        check_world(&s->here);
    if (fails(s))
        return false;
    if (found)
        world_undo(&s->here, move, &f->world);
    else
        enter(s, hash);
    return true;
}

static bool leave(struct search *s, struct frame *f)
{
    if (!f->goes_on) {
        s->result.ends++;
        check_end(&f->world);
        if (fails(s))
            return false;
    }
    map_set(&s->known, f->hash, EXPLORED);
    if (--s->depth > 0)
        s->here = s->frames[s->depth - 1]->world;
    return true;
}

struct explored explore(const struct scenario *scenario, uint64_t states_max)
{
    struct search *s = calloc(1, sizeof(*s));

    CHECK(s);
    s->universe = universe_new(scenario);
    world_init(&s->here, s->universe);
    world_settle(&s->here);
    enter(s, hash_world(&s->here));
    bool sound = true;
    while (sound && s->depth > 0 && (states_max == 0 || s->result.states < states_max)) {
        struct frame *f = s->frames[s->depth - 1];
        sound = f->next < f->count ? make_move(s, f) : leave(s, f);
    }
    s->result.complete = sound && s->depth == 0;
    if (!sound)
        tell_the_way(s);
    struct explored result = s->result;
    for (uint32_t i = 0; i < DEPTH_MAX; i++)
        free(s->frames[i]);
    map_free(&s->known);
    universe_free(s->universe);
    free(s);
    return result;
}
