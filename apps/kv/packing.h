/* SPDX-License-Identifier: MIT */
/*
 * Operations and results as they stand in a column of the journal; numbers in network byte order:
 *
 *     operations   count (4 bytes), and of each: kind (1), replicas (4), version (8), length of the
 *                  key (4), length of the value (4), key, value
 *     results      count (4), and of each: found (1), version (8), whether it has a value (1),
 *                  length of the value (4), value
 */
#ifndef KV_PACKING_H
#define KV_PACKING_H

#include "kv/messages.h"

/* How many bytes they take. */
size_t kv_packed_operations(const struct kv_request *);
size_t kv_packed_results(const struct kv_results *);

/* Writes so many bytes. */
void kv_pack_operations(const struct kv_request *, uint8_t *);
void kv_pack_results(const struct kv_results *, uint8_t *);

/* Return new ones; NULL if the bytes make no sense, or memory is short. */
struct kv_request *kv_unpack_operations(const uint8_t *, size_t length);
struct kv_results *kv_unpack_results(const uint8_t *, size_t length);

#endif
