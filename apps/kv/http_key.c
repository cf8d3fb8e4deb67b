/* SPDX-License-Identifier: MIT */
/* GET, HEAD, PUT and DELETE of /kv/KEY: one key, whose version is its entity tag. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/condition.h"
#include "kv/http_asked.h"

/* ---- Answers ---- */

static void write_etag(uint64_t version, char fields[KV_HTTP_FIELDS_BYTES])
{
    snprintf(fields, KV_HTTP_FIELDS_BYTES, "ETag: \"%" PRIu64 "\"\r\n", version);
}

static void answer_absent(struct http_exchange *x, uint64_t version)
{
    json_t *json = json_object();
    json_object_set_new(json, "found", json_false());
    json_object_set_new(json, "version", json_integer((json_int_t)version));
    kv_http_answer(x, 404, kv_json_text(json), NULL);
}

/* What the conditions of a GET, if it has any, come to: 200, 304 or 412. */
static unsigned condition_of(const struct http_request *r, uint64_t version)
{
    char etag[32];
    snprintf(etag, sizeof(etag), "\"%" PRIu64 "\"", version);
    const struct http_version v = {.etag = etag, .modified = HTTP_NO_DATE};
    unsigned status = r ? http_condition(r, &v) : 0;
    return status != 0 ? status : 200;
}

static void answer_value(struct http_exchange *x, const struct kv_result *result)
{
    char fields[KV_HTTP_FIELDS_BYTES];
    size_t length = result->value ? result->value->length : 0;
    char *body = malloc(length + 1);
    write_etag(result->version, fields);
    if (body && length > 0)
        memcpy(body, result->value->bytes, length);
    http_exchange_answer(x, &(struct http_reply){.status = 200,
                                                 .type = "application/octet-stream",
                                                 .body = body,
                                                 .length = length,
                                                 .fields = fields});
}

static void told_read(void *context, const struct kv_outcome *o)
{
    struct kv_http_asked *a = context;
    struct http_exchange *x = a->exchange;
    const struct kv_result *result = o->results[0];
    char fields[KV_HTTP_FIELDS_BYTES];
    if (o->end != KV_COMMITTED_NOW || !result) {
        kv_http_answer_failure(a, o);
        return;
    }
    unsigned status = result->found ? condition_of(a->read, result->version) : 404;
    kv_http_asked_free(a);
    write_etag(result->version, fields);
    if (status == 404)
        answer_absent(x, result->version);
    else if (status == 304)
        http_exchange_answer(x, &(struct http_reply){.status = status, .fields = fields});
    else if (status == 412)
        kv_http_refuse(x, status, "condition",
                       "the key does not have the version that was demanded");
    else
        answer_value(x, result);
}

static void told_write(void *context, const struct kv_outcome *o)
{
    struct kv_http_asked *a = context;
    struct http_exchange *x = a->exchange;
    char fields[KV_HTTP_FIELDS_BYTES], txid[KV_TXID_BYTES];
    if (o->end != KV_COMMITTED_NOW) {
        kv_http_answer_failure(a, o);
        return;
    }
    /* A condition stands in front of the write. */
    const struct kv_result *result = o->results[o->count - 1];
    bool deleted_nothing = a->method == HTTP_DELETE && result && !result->found;
    bool already = o->refusal.reason == KV_REASON_ALREADY;
    struct kv_txid id = already ? o->refusal.holder : o->txid;
    json_t *json = json_object();
    kv_http_asked_free(a);
    if (result) {
        json_object_set_new(json, "version", json_integer((json_int_t)result->version));
        write_etag(result->version, fields);
    }
    if (already)
        json_object_set_new(json, "already", json_true());
    if (deleted_nothing)
        json_object_set_new(json, "found", json_false());
    if (id.incarnation != 0)
        json_object_set_new(json, "txid", json_string(kv_txid_write(id, txid)));
    kv_http_answer(x, deleted_nothing ? 404 : 200, kv_json_text(json),
                   result && !deleted_nothing ? fields : NULL);
}

/* ---- Requests ---- */

static int hex(char c)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at ? (int)((at - digits) % 16) : -1;
}

/* Undoes percent-encoding (RFC 3986 2.1). Returns NULL with errno: EINVAL (it is none, or empty),
 * ENOMEM. */
static struct kv_blob *read_key(const struct kv_http_target *t)
{
    uint8_t key[HTTP_TARGET_BYTES_MAX];
    size_t length = 0;
    for (size_t i = 0; i < t->path_bytes; i++) {
        uint8_t c = (uint8_t)t->path[i];
        if (c == '%') {
            int high = i + 2 < t->path_bytes ? hex(t->path[i + 1]) : -1;
            int low = i + 2 < t->path_bytes ? hex(t->path[i + 2]) : -1;
            if (high < 0 || low < 0) {
                errno = EINVAL;
                return NULL;
            }
            c = (uint8_t)(high << 4 | low);
            i += 2;
        }
        key[length++] = c;
    }
    errno = length > 0 ? ENOMEM : EINVAL;
    return length > 0 ? kv_blob_new(key, length) : NULL;
}

/*
 * Reads one entity tag, which is to match (RFC 9110 13.1.1: by strong comparison). Returns 0, 400
 * (it is no such tag), or 412 (it is, but none that a value ever has).
 */
static unsigned read_tag(const char *tag, size_t length, uint64_t *version)
{
    bool weak = length > 2 && memcmp(tag, "W/", 2) == 0;
    size_t at = weak ? 3 : 1, last = length - 1; /* behind the first quote, and the second */
    if (length <= at || tag[at - 1] != '"' || memchr(tag + at, '"', length - at) != tag + last)
        return 400;
    if (weak || at == last || tag[at] == '0')
        return 412;
    for (; at < last; at++) {
        unsigned digit = (unsigned)(tag[at] - '0');
        if (digit > 9 || *version > (UINT64_MAX - digit) / 10)
            return 412;
        *version = 10 * *version + digit;
    }
    return 0;
}

/* Reads the condition of a write: If-Match with one version, or If-None-Match with "*", which is
 * version 0. Returns 0 (`*present` tells whether there is one) or the status to answer. */
static unsigned read_condition(const struct http_request *r, uint64_t *version, bool *present)
{
    size_t at_match = 0, at_none = 0, length, none_length, more;
    const char *match = http_request_field(r, HTTP_IF_MATCH, &at_match, &length);
    const char *none = http_request_field(r, HTTP_IF_NONE_MATCH, &at_none, &none_length);
    *present = match || none;
    *version = 0;
    if (!*present)
        return 0;
    if ((match && none) || http_request_field(r, HTTP_IF_MATCH, &at_match, &more) ||
        http_request_field(r, HTTP_IF_NONE_MATCH, &at_none, &more))
        return 400;
    if (match)
        return read_tag(match, length, version);
    return kv_http_is(none, none_length, "*") ? 0 : 400;
}

/* The request of a PUT or DELETE, without what it says of its client; NULL if memory is short. */
static struct kv_request *write_request(const struct http_request *r, struct kv_blob *key,
                                        bool conditional, uint64_t version)
{
    struct kv_request *request = kv_request_new(conditional ? 2 : 1);
    if (!request)
        return NULL;
    struct kv_operation *o = request->operations;
    if (conditional)
        *o++ =
            (struct kv_operation){.kind = KV_CHECK, .key = kv_blob_hold(key), .version = version};
    o->kind = r->method == HTTP_PUT ? KV_PUT : KV_DELETE;
    o->key = kv_blob_hold(key);
    if (o->kind == KV_PUT && !(o->value = kv_blob_new(r->body, r->body_bytes))) {
        kv_request_release(request);
        return NULL;
    }
    return request;
}

static void *ask_write(struct kv_http *h, struct http_exchange *x, const struct http_request *r,
                       struct kv_blob *key)
{
    Strait__KvIdentity identity;
    uint64_t version;
    bool conditional;
    unsigned status = read_condition(r, &version, &conditional);
    if (status == 412)
        return kv_http_refuse(x, 412, "condition", "no key ever has this tag");
    if (status != 0)
        return kv_http_refuse(x, 400, "condition",
                              "a write knows If-Match: \"VERSION\" and If-None-Match: *");
    if (!kv_http_read_identity(r, &identity))
        return kv_http_refuse(
            x, 400, "identity",
            "Strait-Client and Strait-Sequence are numbers above 0, Strait-Lowest is at "
            "most the sequence");
    struct kv_http_asked *a = kv_http_asked_new(h, x, r);
    if (!a)
        return NULL;
    struct kv_request *request = write_request(r, key, conditional, version);
    if (!request) {
        kv_http_asked_free(a);
        kv_http_answer(x, 503, NULL, NULL);
        return NULL;
    }
    request->client = identity.client;
    request->sequence = identity.sequence;
    request->retired = identity.lowest;
    a->conditional = conditional;
    return kv_http_begin_txn(a, request, told_write);
}

static bool has_conditions(const struct http_request *r)
{
    size_t match = 0, none_match = 0, length;
    return http_request_field(r, HTTP_IF_MATCH, &match, &length) ||
           http_request_field(r, HTTP_IF_NONE_MATCH, &none_match, &length);
}

static void *ask_read(struct kv_http *h, struct http_exchange *x, const struct http_request *r,
                      struct kv_blob *key, bool stale)
{
    struct kv_http_asked *a = kv_http_asked_new(h, x, r);
    uint64_t deadline_ns = h->env->now(h->env) + KV_DEADLINE_NS;
    if (!a)
        return NULL;
    if (has_conditions(r)) {
        a->read = malloc(sizeof(*a->read));
        if (!a->read)
            return kv_http_refuse_asked(a, 503, "memory", "the node is short of memory; try again");
        *a->read = *r; /* its fields are parts of its text */
    }
    a->ask = kv_node_read(h->node, key, stale, deadline_ns, told_read, a);
    if (a->ask)
        return a;
    int error = errno;
    kv_http_asked_free(a);
    errno = error;
    return kv_http_refuse_errno(h, x, NULL);
}

void *kv_http_ask_key(void *context, struct http_exchange *x, const struct http_request *r)
{
    struct kv_http *h = context;
    struct kv_http_target t = kv_http_target_of(r, strlen("/kv/"));
    bool reads = r->method == HTTP_GET || r->method == HTTP_HEAD;
    bool stale = reads && kv_http_is(t.query, t.query_bytes, "stale=ok");
    if (!reads && r->method != HTTP_PUT && r->method != HTTP_DELETE)
        return kv_http_refuse_method(x, "GET, HEAD, PUT, DELETE");
    if (t.query_bytes > 0 && !stale)
        return kv_http_refuse(x, 400, "query", "all there may be asked is ?stale=ok, of a GET");
    struct kv_blob *key = read_key(&t);
    if (!key && errno == EINVAL)
        return kv_http_refuse(x, 400, "key", "the key is empty, or its percent-encoding is wrong");
    if (!key)
        return kv_http_refuse_errno(h, x, NULL);
    void *asked = reads ? ask_read(h, x, r, key, stale) : ask_write(h, x, r, key);
    kv_blob_release(key);
    return asked;
}
