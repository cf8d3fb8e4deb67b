/* SPDX-License-Identifier: MIT */
#include "rpc/message.h"

#include <stdlib.h>
#include <string.h>

#define WORD        4 /* bytes */
#define BLOCK_BYTES ((size_t)65536)
#define ALIGNMENT   16

/* ---- Names ---- */

static bool is_name(const char *name, const char *bytes, size_t length)
{
    return strncmp(name, bytes, length) == 0 && name[length] == '\0';
}

static bool find_in(const struct rpc_messages *m, const char *name, size_t length,
                    struct rpc_method *method)
{
    for (unsigned i = 0; i < m->service->n_methods; i++) {
        const ProtobufCMethodDescriptor *d = &m->service->methods[i];
        if (!is_name(d->name, name, length))
            continue;
        *method = (struct rpc_method){&m->procedures[i], d->input, d->output};
        return true;
    }
    return false;
}

bool rpc_find_method(const struct rpc_messages *const *list, const char *path, size_t length,
                     struct rpc_method *method, bool *service)
{
    const char *slash = memchr(path, '/', length);
    *service = false;
    if (!slash)
        return false;
    size_t of_service = (size_t)(slash - path);
    for (; *list; list++)
        if (is_name((*list)->service->name, path, of_service)) {
            *service = true;
            return find_in(*list, slash + 1, length - of_service - 1, method);
        }
    return false;
}

/* ---- Memory ---- */

struct message_block {
    struct message_block *next;
    size_t room, used;
    _Alignas(ALIGNMENT) uint8_t bytes[];
};

static void *allocate(void *data, size_t size)
{
    struct message_arena *arena = data;
    if (size > MESSAGE_UNPACKED_MAX)
        return NULL;
    size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (size <= sizeof(arena->bytes) - arena->used) {
        arena->used += size;
        return arena->bytes + arena->used - size;
    }
    struct message_block *block = arena->blocks;
    if (!block || size > block->room - block->used) {
        size_t room = size > BLOCK_BYTES ? size : BLOCK_BYTES;
        if (room > MESSAGE_UNPACKED_MAX - arena->total)
            return NULL;
        block = malloc(sizeof(*block) + room);
        if (!block)
            return NULL;
        arena->total += room;
        *block = (struct message_block){.next = arena->blocks, .room = room};
        arena->blocks = block;
    }
    block->used += size;
    return block->bytes + block->used - size;
}

/* All is freed at once. */
static void release(void *data, void *pointer)
{
    (void)data;
    (void)pointer;
}

void message_arena_init(struct message_arena *arena)
{
    arena->allocator = (ProtobufCAllocator){allocate, release, arena};
    arena->blocks = NULL;
    arena->used = arena->total = 0;
}

void message_arena_free(struct message_arena *arena)
{
    for (struct message_block *block; (block = arena->blocks);) {
        arena->blocks = block->next;
        free(block);
    }
    arena->used = arena->total = 0;
}

/* ---- Reading ---- */

enum wire_type { VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5 };

#define VARINT_BYTES_MAX 10

/* Returns how many bytes it has, or 0 if it is none. */
static size_t read_varint(const uint8_t *bytes, size_t length, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < length && i < VARINT_BYTES_MAX; i++) {
        *value |= (uint64_t)(bytes[i] & 0x7f) << (7 * i);
        if (!(bytes[i] & 0x80))
            return i + 1;
    }
    return 0;
}

static bool is_shallow(const ProtobufCMessageDescriptor *, const uint8_t *bytes, size_t length,
                       int depth);

/* Whether a field of a known length is no message, or one that is shallow. */
static bool field_is_shallow(const ProtobufCMessageDescriptor *d, uint64_t number,
                             const uint8_t *bytes, size_t length, int depth)
{
    const ProtobufCFieldDescriptor *field =
        number <= UINT32_MAX ? protobuf_c_message_descriptor_get_field(d, (unsigned)number) : NULL;
    return !field || field->type != PROTOBUF_C_TYPE_MESSAGE ||
           is_shallow(field->descriptor, bytes, length, depth + 1);
}

/*
 * Whether a message is not nested too deep: protobuf-c calls itself for each message in a message,
 * however many there are. What else may be wrong with it, protobuf-c finds.
 */
static bool is_shallow(const ProtobufCMessageDescriptor *d, const uint8_t *bytes, size_t length,
                       int depth)
{
    if (depth > MESSAGE_DEPTH_MAX)
        return false;
    for (size_t at = 0; at < length;) {
        uint64_t key, size;
        size_t n = read_varint(bytes + at, length - at, &key);
        if (n == 0)
            return false;
        at += n;
        n = read_varint(bytes + at, length - at, &size);
        switch (key & 7) {
        case VARINT:
            if (n == 0)
                return false;
            size = n;
            break;
        case FIXED64:
            size = 8;
            break;
        case FIXED32:
            size = 4;
            break;
        case LENGTH:
            at += n;
            if (n == 0 || size > length - at ||
                !field_is_shallow(d, key >> 3, bytes + at, (size_t)size, depth))
                return false;
            break;
        default:
            return false;
        }
        if (size > length - at)
            return false;
        at += (size_t)size;
    }
    return true;
}

static bool has_messages(const ProtobufCMessageDescriptor *d)
{
    for (unsigned i = 0; i < d->n_fields; i++)
        if (d->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
            return true;
    return false;
}

ProtobufCMessage *message_unpack(struct message_arena *arena, const ProtobufCMessageDescriptor *d,
                                 const uint8_t *bytes, size_t length)
{
    if (has_messages(d) && !is_shallow(d, bytes, length, 1))
        return NULL;
    return protobuf_c_message_unpack(d, &arena->allocator, length, bytes);
}

enum rpc_code message_answer(const ProtobufCMessage *message, struct rpc_result *result)
{
    size_t length = protobuf_c_message_get_packed_size(message);
    result->bytes = malloc(length > 0 ? length : 1);
    if (!result->bytes)
        return RPC_RESOURCE_EXHAUSTED;
    result->length = protobuf_c_message_pack(message, result->bytes);
    return RPC_OK;
}

/* ---- Words ---- */

bool message_is_words(const ProtobufCMessageDescriptor *d, size_t word_bytes)
{
    for (unsigned i = 0; i < d->n_fields; i++)
        if (d->fields[i].type != PROTOBUF_C_TYPE_UINT32 ||
            d->fields[i].label != PROTOBUF_C_LABEL_NONE)
            return false;
    return d->n_fields * (size_t)WORD == word_bytes;
}

static uint32_t *word_of(ProtobufCMessage *message, unsigned i)
{
    return (uint32_t *)(void *)((char *)message + message->descriptor->fields[i].offset);
}

bool message_to_words(const ProtobufCMessageDescriptor *d, const uint8_t *bytes, size_t length,
                      uint8_t *words)
{
    struct message_arena arena;
    message_arena_init(&arena);
    ProtobufCMessage *message = message_unpack(&arena, d, bytes, length);
    for (unsigned i = 0; message && i < d->n_fields; i++)
        rpc_put32(words + i * (size_t)WORD, *word_of(message, i));
    message_arena_free(&arena);
    return message != NULL;
}

size_t message_from_words(const ProtobufCMessageDescriptor *d, const uint8_t *words, uint8_t *bytes)
{
    struct message_arena arena;
    message_arena_init(&arena);
    ProtobufCMessage *message = allocate(&arena, d->sizeof_message);
    size_t length = 0;
    if (message) {
        protobuf_c_message_init(d, message);
        for (unsigned i = 0; i < d->n_fields; i++)
            *word_of(message, i) = rpc_get32(words + i * (size_t)WORD);
        length = protobuf_c_message_pack(message, bytes);
    }
    message_arena_free(&arena);
    return length;
}
