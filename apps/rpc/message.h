/* SPDX-License-Identifier: MIT */
/*
 * Procedures whose arguments and results are messages of protobuf: by which names they are called,
 * how a message is read within bounds, and how the words of a procedure of fixed size stand in one.
 */
#ifndef APPS_RPC_MESSAGE_H
#define APPS_RPC_MESSAGE_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rpc/rpc.h"

/* ---- Names ---- */

/*
 * The messages of a table of procedures: procedure i is method i of the service, in the order of
 * the .proto file. A procedure of fixed size takes the fields of its message, in the order of their
 * numbers, each a uint32, as its words (behind the identity, if it has one); so is its result.
 */
struct rpc_messages {
    const ProtobufCServiceDescriptor *service;
    const struct rpc_procedure *procedures;
};

struct rpc_method {
    const struct rpc_procedure *procedure;
    const ProtobufCMessageDescriptor *input, *output;
};

/*
 * Finds "package.Service/Method" in a list that ends with NULL. Returns whether there is one, or
 * else in `*service` whether there is the service at least.
 */
bool rpc_find_method(const struct rpc_messages *const *list, const char *path, size_t length,
                     struct rpc_method *, bool *service);

/* ---- Messages ---- */

#define MESSAGE_DEPTH_MAX    100         /* of messages in messages, as protobuf has it */
#define MESSAGE_UNPACKED_MAX (64u << 20) /* bytes of memory that a message may need */
#define MESSAGE_ARENA_BYTES  1024        /* what most need: no allocation at all */

struct message_block;

/* Where the parts of a message are. All zero is an empty one. */
struct message_arena {
    ProtobufCAllocator allocator;
    struct message_block *blocks;
    size_t used, total;
    _Alignas(16) uint8_t bytes[MESSAGE_ARENA_BYTES];
};

/* Makes ready for messages; its `allocator` may be used for others. */
void message_arena_init(struct message_arena *);

/* Reads a message. Returns NULL if it is none, is too deep, or needs too much memory. */
ProtobufCMessage *message_unpack(struct message_arena *, const ProtobufCMessageDescriptor *,
                                 const uint8_t *bytes, size_t length);

/* Frees all that has been allocated there. */
void message_arena_free(struct message_arena *);

/* For `handle` of a procedure: writes the result. Returns RPC_OK, or RPC_RESOURCE_EXHAUSTED. */
enum rpc_code message_answer(const ProtobufCMessage *, struct rpc_result *);

/* ---- Words ---- */

#define MESSAGE_WORD_BYTES_MAX (2 * 6) /* of a message, for each of its words (4 bytes) */

/* The most bytes of a message whose words have so many. */
#define MESSAGE_OF_WORDS_MAX (RPC_BYTES_MAX / 4 * MESSAGE_WORD_BYTES_MAX)

/* Whether a message has just so many words: fields that are uint32. */
bool message_is_words(const ProtobufCMessageDescriptor *, size_t word_bytes);

/* Reads the words of a message. Returns whether it is one. */
bool message_to_words(const ProtobufCMessageDescriptor *, const uint8_t *bytes, size_t length,
                      uint8_t *words);

/* Writes words as a message, of at most MESSAGE_OF_WORDS_MAX bytes. Returns its length. */
size_t message_from_words(const ProtobufCMessageDescriptor *, const uint8_t *words, uint8_t *bytes);

#endif
