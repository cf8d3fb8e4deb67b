/* SPDX-License-Identifier: MIT */
/*
 * What the parts of one world share: the time, the events to come, and the record of what has
 * happened (a hash, and a line for each event if somebody listens). Private to stack/sim/.
 */
#ifndef SIM_TIMELINE_H
#define SIM_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/hash.h"

/* Something that happens at a time: embedded in who it happens to; zero it and set `happen`. */
struct event {
    uint64_t at_ns;
    uint64_t serial; /* of two at one time, the one that was scheduled first comes first */
    size_t place;    /* in the heap, counted from 1; 0: not scheduled */
    void (*happen)(struct event *);
};

struct world_host;

struct timeline {
    uint64_t now_ns;
    struct world_host *acting; /* whose application runs, or last ran; NULL: none has */
    struct event **heap;       /* heap[1] is next */
    size_t count;              /* events scheduled */
    size_t made;               /* events that may be: there is room for all of them */
    size_t capacity;
    uint64_t serial;

    uint64_t hash;
    uint64_t happened; /* events, turns and packets */
    uint64_t instant;  /* those of them that happened at now_ns */
    void (*log)(void *context, uint64_t now_ns, const char *line);
    void *log_context;
};

void timeline_init(struct timeline *, uint64_t now_ns, uint64_t seed);
void timeline_finish(struct timeline *);

/* Makes room for one more event, so that scheduling cannot fail; false when memory is short. */
bool timeline_make_room(struct timeline *);

/* Gives the room of one event back, which is not scheduled. */
void timeline_give_room(struct timeline *);

/*
 * (Re)schedules the event; a time that is past means now, STRAIT_NEVER takes it off. An event that
 * is scheduled for that time already keeps its place among its equals.
 */
void event_schedule(struct timeline *, struct event *, uint64_t at_ns);

/* The next event, or NULL. */
static inline struct event *timeline_first(const struct timeline *t)
{
    return t->count > 0 ? t->heap[1] : NULL;
}

/* Moves the time, which never goes back. */
void timeline_move(struct timeline *, uint64_t now_ns);

/* One thing more has happened at this instant. */
static inline void timeline_count(struct timeline *t)
{
    t->happened++;
    t->instant++;
}

/* What a note is about: the first word of its record. */
enum note {
    NOTE_START = 1,
    NOTE_CRASH,
    NOTE_PAUSE,
    NOTE_RESUME,
    NOTE_POST,
    NOTE_WORK,
    NOTE_RANDOM,
    NOTE_FILE_OPEN,
    NOTE_FILE_CLOSE,
    NOTE_FILE_READ,
    NOTE_FILE_WRITE,
    NOTE_FILE_SYNC,
    NOTE_SENT,
    NOTE_DELIVERED,
    NOTE_LOST,
    NOTE_CUT,
    NOTE_MENDED,
    NOTE_IMPAIRED,
    NOTE_SCENARIO,
    NOTE_FILE_TRUNCATE,
    NOTE_FILE_DELETE,
};

/* Puts what happens now, to the host or link of that index, into the hash. */
static inline void timeline_note(struct timeline *t, enum note note, uint32_t index, uint64_t word)
{
    t->hash = hash_word(t->hash, t->now_ns);
    t->hash = hash_word(t->hash, (uint64_t)index << 8 | note);
    t->hash = hash_word(t->hash, word);
}

static inline void timeline_note_bytes(struct timeline *t, const void *bytes, size_t length)
{
    t->hash = hash_bytes(t->hash, bytes, length);
}

/* Formats and logs a line, if somebody listens; costs one test otherwise. */
#define timeline_say(timeline, ...)                                                                \
    do {                                                                                           \
        if (__builtin_expect((timeline)->log != NULL, 0))                                          \
            timeline_log(timeline, __VA_ARGS__);                                                   \
    } while (0)

void timeline_log(struct timeline *, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
