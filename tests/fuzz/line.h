/* SPDX-License-Identifier: MIT */
/*
 * The world of one input that is what a peer says on a stream: an environment in virtual time, and
 * streams that are nothing but the input. A server on it is given one connection; a client as many
 * as it makes, up to a limit, and whichever of them reads has the next bytes.
 *
 * The byte `how` of an input says in which pieces the rest arrives, how much of the output is taken
 * at once, and whether the words with which a peer begins stand in front of it.
 */
#ifndef TESTS_FUZZ_LINE_H
#define TESTS_FUZZ_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stream.h"

#define LINE_TIMERS_MAX 4096
#define LINE_ENDS_MAX   8
#define LINE_OUTPUT_MAX (1u << 20) /* of a server's connection: more ends the program */
#define LINE_BARE       0x80       /* nothing stands in front of the input */
#define LINE_SLOW       0x40       /* the output is taken by 100 bytes a turn */
#define LINE_PIECE_MASK 0x3f

/* A listener, which is the first, or a connection. */
struct line_end {
    stream_ready *ready;
    void *argument;
    short events;
    bool open;
    size_t words_left; /* of those in front */
};

struct line {
    struct strait_env env;
    struct stream_host host;
    struct strait_timer *timers[LINE_TIMERS_MAX];
    uint64_t deadlines_ns[LINE_TIMERS_MAX];
    size_t timer_count;
    uint64_t now_ns;
    const char *words; /* in front of what is read from a connection */
    size_t words_bytes;
    const uint8_t *input;
    size_t left, piece, room;
    bool accepted, slow;
    struct line_end ends[LINE_ENDS_MAX];
    uint8_t *output; /* of all connections; in the end with a NUL behind it */
    size_t output_bytes;
};

/* The words and the input are borrowed. */
void line_open(struct line *, const char *words, size_t words_bytes, const uint8_t *input,
               size_t length, uint8_t how);

/* Goes on until no connection is left and no timer runs; at the end of the input, a connection
 * ends. */
void line_drive(struct line *);

/* Whether nothing is left of what used it, but perhaps a listener. */
bool line_at_rest(const struct line *);

void line_close(struct line *);

#endif
