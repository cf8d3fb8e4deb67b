/* SPDX-License-Identifier: MIT */
/*
 * A client of HTTP/2 on a pair of stacks, on nghttp2 and nothing of ours: asks as it is told, right
 * or wrong, and notes what each stream is answered.
 */
#ifndef TESTS_UNIT_CALLER_H
#define TESTS_UNIT_CALLER_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "talker.h"

#define CALLER_STREAMS_MAX 1200

/* What a stream was answered. */
struct told {
    int http;   /* the status; 0: none */
    int status; /* grpc-status; -1: none */
    char text[256];
    char accept_encoding[32];
    uint8_t *body;
    size_t body_bytes;
    bool closed;
    uint32_t error; /* of RST_STREAM, when it is closed */
    /* What is still to be said. */
    const uint8_t *saying;
    size_t saying_bytes;
    bool ends;
};

struct caller {
    struct talker *talker;
    nghttp2_session *session;
    size_t heard; /* of talker->received */
    uint8_t *out; /* what is being sent */
    struct told told[CALLER_STREAMS_MAX];
    bool lazy; /* gives no window back */
    int goaways;
    uint32_t goaway_error;
    int32_t goaway_last;
    char goaway_text[64];
};

/* Connects from host 0 to a port of host 1. */
struct caller *caller_new(struct pair *, uint16_t port);
void caller_free(struct caller *);

/*
 * Asks by POST for "/path", with a body that is borrowed; `ends` says whether the stream ends
 * behind it. `extra` are further fields, or replace those of the same name; NULL: none. Returns the
 * stream.
 */
int32_t caller_ask(struct caller *, const char *path, const void *body, size_t body_bytes,
                   bool ends, const nghttp2_nv *extra, size_t extra_count);

/* Says more of a body that has not ended. */
void caller_say(struct caller *, int32_t stream, const void *body, size_t body_bytes, bool ends);

/* Sends what is to be sent, and lets so much time pass, in which it goes on. */
void caller_run(struct caller *, uint64_t duration_ns);

/* Until the stream is closed; fails the test if it never is. */
const struct told *caller_hear(struct caller *, int32_t stream);
struct told *caller_told(struct caller *, int32_t stream);

/* A field, for `extra`. */
nghttp2_nv caller_field(const char *name, const char *value);

#endif
