/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a message of protobuf, and as JSON of one (rpc/message.h, rpc/json.h).
 *
 * The input is a byte that says which message and which form, and the rest.
 *
 * Promised: reading ends within its bounds; a message that was read as JSON is written as JSON that
 * is read as the same message; one of protobuf, if it can be written as JSON, too.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "primes/primes.pb-c.h"
#include "rpc/described.pb-c.h"
#include "rpc/health.pb-c.h"
#include "rpc/json.h"
#include "rpc/reflection_v1.pb-c.h"
#include "targets.h"

#define AS_JSON   0x80
#define KIND_MASK 0x7f

static const ProtobufCMessageDescriptor *const kinds[] = {
    &strait__is_coprime_request__descriptor,
    &strait__described__type__descriptor,
    &grpc__health__v1__health_check_response__descriptor,
    &grpc__reflection__v1__server_reflection_response__descriptor,
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* What is written is read as what writes the same. */
static void check_text(const ProtobufCMessageDescriptor *d, const char *text)
{
    struct message_arena arena;
    char fault[JSON_FAULT_BYTES];
    message_arena_init(&arena);
    ProtobufCMessage *message = json_to_message(&arena, d, text, strlen(text), fault);
    CHECK(message);
    char *again = json_from_message(message);
    CHECK(again && strcmp(again, text) == 0);
    free(again);
    message_arena_free(&arena);
}

int fuzz_message(const uint8_t *bytes, size_t length)
{
    struct message_arena arena;
    char fault[JSON_FAULT_BYTES];
    if (length < 1)
        return 0;
    const ProtobufCMessageDescriptor *d = kinds[(bytes[0] & KIND_MASK) % KINDS];
    message_arena_init(&arena);
    ProtobufCMessage *message =
        bytes[0] & AS_JSON ? json_to_message(&arena, d, (const char *)bytes + 1, length - 1, fault)
                           : message_unpack(&arena, d, bytes + 1, length - 1);
    char *text = message ? json_from_message(message) : NULL;
    CHECK(text || !message || !(bytes[0] & AS_JSON));
    if (text)
        check_text(d, text);
    free(text);
    message_arena_free(&arena);
    return 0;
}
