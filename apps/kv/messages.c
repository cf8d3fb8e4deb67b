/* SPDX-License-Identifier: MIT */
#include "kv/messages.h"

#include <stdlib.h>
#include <string.h>

bool kv_txid_equal(struct kv_txid a, struct kv_txid b)
{
    return a.coordinator == b.coordinator && a.incarnation == b.incarnation &&
           a.sequence == b.sequence;
}

bool kv_txid_before(struct kv_txid a, struct kv_txid b)
{
    if (a.incarnation != b.incarnation)
        return a.incarnation < b.incarnation;
    return a.sequence < b.sequence;
}

/* ---- Keys and values ---- */

struct kv_blob *kv_blob_new(const void *bytes, size_t length)
{
    struct kv_blob *blob = malloc(sizeof(*blob) + length);
    if (!blob)
        return NULL;
    uint8_t *copy = (uint8_t *)(blob + 1);
    if (length > 0)
        memcpy(copy, bytes, length);
    *blob = (struct kv_blob){.references = 1, .length = length, .bytes = copy};
    return blob;
}

struct kv_blob *kv_blob_hold(struct kv_blob *blob)
{
    if (blob)
        blob->references++;
    return blob;
}

void kv_blob_release(struct kv_blob *blob)
{
    if (blob && --blob->references == 0)
        free(blob);
}

bool kv_blob_equal(const struct kv_blob *a, const struct kv_blob *b)
{
    return a == b || (a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0);
}

/* ---- Requests ---- */

bool kv_operation_writes(const struct kv_operation *operation)
{
    return operation->kind == KV_PUT || operation->kind == KV_DELETE;
}

struct kv_request *kv_request_new(uint32_t count)
{
    if (count > KV_OPERATIONS_MAX)
        return NULL;
    struct kv_request *request =
        calloc(1, sizeof(*request) + count * sizeof(request->operations[0]));
    if (!request)
        return NULL;
    request->references = 1;
    request->count = count;
    return request;
}

struct kv_request *kv_request_hold(struct kv_request *request)
{
    if (request)
        request->references++;
    return request;
}

void kv_request_release(struct kv_request *request)
{
    if (!request || --request->references > 0)
        return;
    for (uint32_t i = 0; i < request->count; i++) {
        kv_blob_release(request->operations[i].key);
        kv_blob_release(request->operations[i].value);
    }
    free(request);
}

/* Whether an operation before this one writes the same key. */
static bool written_before(const struct kv_request *request, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++) {
        if (kv_operation_writes(&request->operations[i]) &&
            kv_blob_equal(request->operations[i].key, request->operations[index].key))
            return true;
    }
    return false;
}

bool kv_request_valid(const struct kv_request *request)
{
    if (request->count == 0 || request->count > KV_OPERATIONS_MAX || request->participants == 0)
        return false;
    if (request->client != 0 &&
        (request->sequence < request->retired || request->sequence >= INT64_MAX))
        return false;
    for (uint32_t i = 0; i < request->count; i++) {
        const struct kv_operation *o = &request->operations[i];
        if (!o->key || (o->kind == KV_PUT) != (o->value != NULL))
            return false;
        if (o->replicas == 0 || (o->replicas & ~request->participants) != 0)
            return false;
        if (kv_operation_writes(o) && written_before(request, i))
            return false;
    }
    return true;
}

/* ---- Results ---- */

struct kv_results *kv_results_new(uint32_t count)
{
    if (count > KV_OPERATIONS_MAX)
        return NULL;
    struct kv_results *results = calloc(1, sizeof(*results) + count * sizeof(results->list[0]));
    if (!results)
        return NULL;
    results->references = 1;
    results->count = count;
    return results;
}

struct kv_results *kv_results_hold(struct kv_results *results)
{
    if (results)
        results->references++;
    return results;
}

void kv_results_release(struct kv_results *results)
{
    if (!results || --results->references > 0)
        return;
    for (uint32_t i = 0; i < results->count; i++)
        kv_blob_release(results->list[i].value);
    free(results);
}

/* ---- Names ---- */

const char *kv_message_name(enum kv_message_kind kind)
{
    static const char *const names[] = {
        [KV_VOTE_REQUEST] = "VOTE-REQUEST",
        [KV_VOTE_COMMIT] = "VOTE-COMMIT",
        [KV_VOTE_ABORT] = "VOTE-ABORT",
        [KV_GLOBAL_COMMIT] = "GLOBAL-COMMIT",
        [KV_GLOBAL_ABORT] = "GLOBAL-ABORT",
        [KV_ACK] = "ACK",
        [KV_INQUIRE_COORDINATOR] = "INQUIRE",
        [KV_INQUIRE_PARTICIPANT] = "INQUIRE of a participant",
        [KV_ANSWER] = "ANSWER",
        [KV_MARK] = "MARK",
    };
    return names[kind];
}

const char *kv_reason_name(enum kv_reason reason)
{
    static const char *const names[] = {
        [KV_REASON_NONE] = "none",           [KV_REASON_LOCKED] = "locked",
        [KV_REASON_CONDITION] = "condition", [KV_REASON_ALREADY] = "already committed",
        [KV_REASON_RETIRED] = "retired",     [KV_REASON_EPOCH] = "another epoch",
        [KV_REASON_ABORTED] = "aborted",     [KV_REASON_BUSY] = "busy",
        [KV_REASON_DAMAGED] = "damaged row", [KV_REASON_INVALID] = "invalid",
        [KV_REASON_TIMEOUT] = "timeout",     [KV_REASON_RESTARTED] = "coordinator restarted",
        [KV_REASON_LARGE] = "too large",
    };
    return names[reason];
}

const char *kv_answer_name(enum kv_answer answer)
{
    static const char *const names[] = {
        [KV_PENDING] = "pending", [KV_COMMITTED] = "committed", [KV_ABORTED] = "aborted",
        [KV_ENDED] = "ended",     [KV_UNKNOWN] = "unknown",
    };
    return names[answer];
}

const char *kv_operation_name(enum kv_operation_kind kind)
{
    static const char *const names[] = {
        [KV_PUT] = "put",
        [KV_DELETE] = "delete",
        [KV_GET] = "get",
        [KV_CHECK] = "check",
    };
    return names[kind];
}
