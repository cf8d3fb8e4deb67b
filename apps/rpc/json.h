/* SPDX-License-Identifier: MIT */
/*
 * Messages of protobuf as JSON, by its own mapping ("ProtoJSON"): names in lowerCamelCase or as in
 * the .proto file, numbers of 64 bits as strings, bytes in base64, enums by name; what is not there
 * has its default, which is not written. Maps are lists of entries, and the well-known types are
 * like all others.
 */
#ifndef APPS_RPC_JSON_H
#define APPS_RPC_JSON_H

#include <stddef.h>

#include "rpc/message.h"

#define JSON_FAULT_BYTES 128

/*
 * Reads a message, in the arena. Returns NULL if the text is no JSON, or not of this message, and
 * in `fault` what is wrong with it, in UTF-8.
 */
ProtobufCMessage *json_to_message(struct message_arena *, const ProtobufCMessageDescriptor *,
                                  const char *text, size_t length, char fault[JSON_FAULT_BYTES]);

/* Returns the text, to be freed; NULL if it has strings that are no UTF-8, or memory is short. */
char *json_from_message(const ProtobufCMessage *);

/* Makes the tables of objects unpredictable; once in a program that reads what others write. */
void json_seed(size_t random);

/* {"code":"not_found","message":"..."}, to be freed: an error, as the Connect protocol says it. */
char *json_error(const char *code, const char *text, size_t text_bytes);

#endif
