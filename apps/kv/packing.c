/* SPDX-License-Identifier: MIT */
#include "kv/packing.h"

#include <string.h>

#define COUNT_BYTES     4
#define OPERATION_BYTES 21 /* without key and value */
#define RESULT_BYTES    14 /* without the value */

/* ---- Writing ---- */

static uint8_t *put(uint8_t *at, uint64_t number, int bytes)
{
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
        *at++ = (uint8_t)(number >> shift);
    return at;
}

static uint8_t *put_blob(uint8_t *at, const struct kv_blob *blob)
{
    if (!blob || blob->length == 0)
        return at;
    memcpy(at, blob->bytes, blob->length);
    return at + blob->length;
}

static size_t length_of(const struct kv_blob *blob)
{
    return blob ? blob->length : 0;
}

size_t kv_packed_operations(const struct kv_request *request)
{
    size_t bytes = COUNT_BYTES;

    for (uint32_t i = 0; i < request->count; i++) {
        const struct kv_operation *o = &request->operations[i];
        bytes += OPERATION_BYTES + length_of(o->key) + length_of(o->value);
    }
    return bytes;
}

void kv_pack_operations(const struct kv_request *request, uint8_t *at)
{
    at = put(at, request->count, COUNT_BYTES);
    for (uint32_t i = 0; i < request->count; i++) {
        const struct kv_operation *o = &request->operations[i];
        at = put(at, o->kind, 1);
        at = put(at, o->replicas, 4);
        at = put(at, o->version, 8);
        at = put(at, length_of(o->key), 4);
        at = put(at, length_of(o->value), 4);
        at = put_blob(at, o->key);
        at = put_blob(at, o->value);
    }
}

size_t kv_packed_results(const struct kv_results *results)
{
    size_t bytes = COUNT_BYTES;

    for (uint32_t i = 0; i < results->count; i++)
        bytes += RESULT_BYTES + length_of(results->list[i].value);
    return bytes;
}

void kv_pack_results(const struct kv_results *results, uint8_t *at)
{
    at = put(at, results->count, COUNT_BYTES);
    for (uint32_t i = 0; i < results->count; i++) {
        const struct kv_result *r = &results->list[i];
        at = put(at, r->found, 1);
        at = put(at, r->version, 8);
        at = put(at, r->value != NULL, 1);
        at = put(at, length_of(r->value), 4);
        at = put_blob(at, r->value);
    }
}

/* ---- Reading ---- */

/* What is left to be read; `broken` once more was asked for, or memory was short. */
struct packed {
    const uint8_t *at;
    size_t left;
    bool broken;
};

static uint64_t take(struct packed *p, size_t bytes)
{
    uint64_t number = 0;

    if (p->left < bytes) {
        p->broken = true;
        return 0;
    }
    for (size_t i = 0; i < bytes; i++)
        number = number << 8 | p->at[i];
    p->at += bytes;
    p->left -= bytes;
    return number;
}

static struct kv_blob *take_blob(struct packed *p, size_t length)
{
    if (p->broken || p->left < length) {
        p->broken = true;
        return NULL;
    }
    struct kv_blob *blob = kv_blob_new(p->at, length);
    p->broken = !blob;
    p->at += length;
    p->left -= length;
    return blob;
}

/* A count of which each takes so many bytes at least. */
static uint32_t take_count(struct packed *p, size_t bytes)
{
    uint64_t count = take(p, COUNT_BYTES);

    if (count > KV_OPERATIONS_MAX || count * bytes > p->left)
        p->broken = true;
    return p->broken ? 0 : (uint32_t)count;
}

static bool is_whole(const struct packed *p)
{
    return !p->broken && p->left == 0;
}

static void take_operation(struct packed *p, struct kv_operation *o)
{
    uint64_t kind = take(p, 1);

    o->kind = (enum kv_operation_kind)kind;
    o->replicas = (kv_nodes)take(p, 4);
    o->version = take(p, 8);
    size_t key = (size_t)take(p, 4), value = (size_t)take(p, 4);
    o->key = take_blob(p, key);
    if (o->kind == KV_PUT)
        o->value = take_blob(p, value);
    else if (kind > KV_CHECK || value > 0)
        p->broken = true;
}

struct kv_request *kv_unpack_operations(const uint8_t *bytes, size_t length)
{
    struct packed p = {bytes, length, false};
    struct kv_request *request = kv_request_new(take_count(&p, OPERATION_BYTES));

    if (!request)
        return NULL;
    for (uint32_t i = 0; i < request->count && !p.broken; i++)
        take_operation(&p, &request->operations[i]);
    if (is_whole(&p))
        return request;
    kv_request_release(request);
    return NULL;
}

static void take_result(struct packed *p, struct kv_result *r)
{
    r->found = take(p, 1) != 0;
    r->version = take(p, 8);
    bool has_value = take(p, 1) != 0;
    size_t value = (size_t)take(p, 4);
    if (has_value)
        r->value = take_blob(p, value);
    else if (value > 0)
        p->broken = true;
}

struct kv_results *kv_unpack_results(const uint8_t *bytes, size_t length)
{
    struct packed p = {bytes, length, false};
    struct kv_results *results = kv_results_new(take_count(&p, RESULT_BYTES));

    if (!results)
        return NULL;
    for (uint32_t i = 0; i < results->count && !p.broken; i++)
        take_result(&p, &results->list[i]);
    if (is_whole(&p))
        return results;
    kv_results_release(results);
    return NULL;
}
