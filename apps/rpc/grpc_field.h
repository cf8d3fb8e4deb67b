/* SPDX-License-Identifier: MIT */
/* Values of gRPC's header fields: "gRPC over HTTP2", its section on requests and responses. */
#ifndef APPS_RPC_GRPC_FIELD_H
#define APPS_RPC_GRPC_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rpc/rpc.h"

/* grpc-timeout: at most 8 digits and a unit. Reading fails if it is not that; what is longer than
 * RPC_DEADLINE_MAX_NS is cut to it. */
#define GRPC_TIMEOUT_BYTES 9
bool grpc_timeout_read(const char *text, size_t length, uint64_t *ns);
size_t grpc_timeout_write(uint64_t ns, char text[GRPC_TIMEOUT_BYTES + 1]);

/* grpc-message: percent-encoded UTF-8, in which nothing is invalid. Both write at most `room`
 * bytes, whole characters of the encoding, and return how many. */
size_t grpc_message_encode(const char *text, size_t length, char *encoded, size_t room);
size_t grpc_message_decode(const char *encoded, size_t length, char *text, size_t room);

/* grpc-status: a number; one that is not known is RPC_UNKNOWN_ERROR. */
enum rpc_code grpc_status_read(const char *text, size_t length);
const char *grpc_status_text(enum rpc_code);

/*
 * The identity of a `once` call travels as the metadata strait-once-bin: its 24 bytes in base64,
 * padded or not, as all binary metadata.
 */
#define GRPC_IDENTITY_FIELD      "strait-once-bin"
#define GRPC_IDENTITY_TEXT_BYTES (RPC_IDENTITY_BYTES / 3 * 4)
bool grpc_identity_read(const char *text, size_t length, uint8_t identity[RPC_IDENTITY_BYTES]);
void grpc_identity_write(const uint8_t identity[RPC_IDENTITY_BYTES],
                         char text[GRPC_IDENTITY_TEXT_BYTES]);

/* What a gRPC client makes of an HTTP status without grpc-status. */
enum rpc_code grpc_code_of_http(unsigned status);

#endif
