/* SPDX-License-Identifier: MIT */
/*
 * gRPC's standard server reflection, grpc.reflection.v1 and v1alpha: tells which services there are
 * and describes them, out of what `protoc --descriptor_set_out --include_imports` has written.
 */
#ifndef APPS_RPC_REFLECTION_H
#define APPS_RPC_REFLECTION_H

#include <stddef.h>
#include <stdint.h>

#include "rpc/dispatch.h"
#include "rpc/message.h"

/* The descriptor set of all .proto files in apps/. */
extern const uint8_t rpc_descriptors[];
extern const size_t rpc_descriptors_bytes;

/* One for each version. */
extern const struct rpc_messages reflection_v1_messages, reflection_v1alpha_messages;

/*
 * Registers both versions. The list of services (ends with NULL) and the descriptor set are
 * borrowed. Returns 0, or -1 with errno: ENOMEM, EINVAL (no descriptor set), or of rpc_register.
 */
int reflection_serve(struct rpc_dispatcher *, const struct rpc_messages *const *list,
                     const uint8_t *descriptors, size_t descriptor_bytes);

#endif
