/* SPDX-License-Identifier: MIT */
#include "kv/http.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/condition.h"
#include "kv/document.h"
#include "kv/download.h"
#include "kv/inspect.h"
#include "kv/service.h"
#include "kv/wire.h"

#define JSON_TYPE "application/json"

/* A document is longer than the keys and values in it: by its words, and by base64 (4 for 3) or
 * escapes. */
#define DOCUMENT_BYTES_MAX(bytes) (2 * (size_t)(bytes) + 65536)

#define FIELDS_BYTES HTTP_REPLY_FIELDS_BYTES
#define PATH_BYTES   4096

struct kv_http {
    struct kv_node *node;
    struct strait_env *env;
    struct http_gate gates[KV_HTTP_GATES];
    char backup_path[PATH_BYTES];
    bool backing_up;            /* one at a time: they share a file's name */
    struct asked *backup_asked; /* who waits for it; NULL: nobody */
};

/* A request under way. */
struct asked {
    struct kv_http *of;
    struct http_exchange *exchange;
    struct kv_ask *ask; /* NULL: it is a backup */
    unsigned method;
    bool conditional;          /* a write with If-Match or If-None-Match */
    struct http_request *read; /* of a GET with conditions; or NULL */
    Strait__KvTxnRequest *txn; /* of POST /txn, in the arena */
    struct message_arena arena;
};

/* ---- Answers ---- */

static void answer(struct http_exchange *x, unsigned status, char *json, const char *fields)
{
    const struct http_reply reply = {
        .status = status,
        .type = JSON_TYPE,
        .body = json,
        .length = json ? strlen(json) : 0,
        .fields = fields,
    };
    http_exchange_answer(x, &reply);
}

/* What is wrong with a request. Returns NULL, as `ask` of a gate. */
static void *refuse(struct http_exchange *x, unsigned status, const char *reason,
                    const char *message)
{
    answer(x, status, kv_document_error("failed", reason, message, 0, (struct kv_txid){0}), NULL);
    return NULL;
}

static void *refuse_path(struct http_exchange *x)
{
    return refuse(x, 404, "path", "there is nothing of this name");
}

static void *refuse_method(struct http_exchange *x, const char *allowed)
{
    char fields[FIELDS_BYTES];
    snprintf(fields, sizeof(fields), "Allow: %s\r\n", allowed);
    answer(x, 405,
           kv_document_error("failed", "method", "the method is not allowed here", 0,
                             (struct kv_txid){0}),
           fields);
    return NULL;
}

/* Answers what the node has not taken, by the errno that it has left. Returns NULL. */
static void *refuse_errno(struct kv_http *h, struct http_exchange *x,
                          const struct kv_request *request)
{
    char message[80];
    const char *limit =
        request && errno == EMSGSIZE ? kv_node_limit(kv_node_cluster(h->node), request) : NULL;
    switch (errno) {
    case EMSGSIZE:
        snprintf(message, sizeof(message), "it is above the cluster's limit %s",
                 limit ? limit : "key_bytes");
        return refuse(x, 413, "large", message);
    case EINVAL:
        return refuse(x, 400, "invalid", "the transaction makes no sense");
    case EAGAIN:
        return refuse(x, 503, "busy", "the node has too many requests; try again");
    case ESHUTDOWN:
        return refuse(x, 503, "stopping", "the node stops; ask another one");
    default:
        return refuse(x, 503, "memory", "the node is short of memory; try again");
    }
}

static void free_asked(struct asked *a)
{
    message_arena_free(&a->arena);
    free(a->read);
    free(a);
}

static struct asked *new_asked(struct kv_http *h, struct http_exchange *x,
                               const struct http_request *r)
{
    struct asked *a = calloc(1, sizeof(*a));
    if (!a) {
        answer(x, 503, NULL, NULL);
        return NULL;
    }
    a->of = h;
    a->exchange = x;
    a->method = r->method;
    message_arena_init(&a->arena);
    return a;
}

/* Ends what has not begun. Returns NULL. */
static void *refuse_asked(struct asked *a, unsigned status, const char *reason, const char *message)
{
    struct http_exchange *x = a->exchange;
    free_asked(a);
    return refuse(x, status, reason, message);
}

static unsigned status_of_reason(const struct asked *a, enum kv_reason reason)
{
    switch (reason) {
    case KV_REASON_CONDITION:
        return a->conditional ? 412 : 409;
    case KV_REASON_LOCKED:
    case KV_REASON_RETIRED:
        return 409;
    case KV_REASON_INVALID:
        return 400;
    case KV_REASON_LARGE:
        return 413;
    default:
        return 503;
    }
}

/* Answers what has not committed. */
static void answer_failure(struct asked *a, const struct kv_outcome *o)
{
    struct http_exchange *x = a->exchange;
    struct kv_refusal_parts parts;
    unsigned status = o->end == KV_REFUSED ? status_of_reason(a, o->refusal.reason) : 503;
    char *json;
    if (o->end == KV_UNDECIDED) {
        json = kv_document_error("unknown", "undecided",
                                 "a node has not answered in time; it may have committed, or may "
                                 "still",
                                 o->node, o->txid);
    } else {
        const Strait__KvRefusal *refusal = kv_refusal_message(o, &parts);
        json = refusal ? kv_document_refusal(refusal) : NULL;
    }
    free_asked(a);
    answer(x, status, json, NULL);
}

/* ---- One key ---- */

static void write_etag(uint64_t version, char fields[FIELDS_BYTES])
{
    snprintf(fields, FIELDS_BYTES, "ETag: \"%" PRIu64 "\"\r\n", version);
}

static void answer_absent(struct http_exchange *x, uint64_t version)
{
    json_t *json = json_object();
    json_object_set_new(json, "found", json_false());
    json_object_set_new(json, "version", json_integer((json_int_t)version));
    answer(x, 404, kv_json_text(json), NULL);
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
    char fields[FIELDS_BYTES];
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
    struct asked *a = context;
    struct http_exchange *x = a->exchange;
    const struct kv_result *result = o->results[0];
    char fields[FIELDS_BYTES];
    if (o->end != KV_COMMITTED_NOW || !result) {
        answer_failure(a, o);
        return;
    }
    unsigned status = result->found ? condition_of(a->read, result->version) : 404;
    free_asked(a);
    write_etag(result->version, fields);
    if (status == 404)
        answer_absent(x, result->version);
    else if (status == 304)
        http_exchange_answer(x, &(struct http_reply){.status = status, .fields = fields});
    else if (status == 412)
        refuse(x, status, "condition", "the key does not have the version that was demanded");
    else
        answer_value(x, result);
}

static void told_write(void *context, const struct kv_outcome *o)
{
    struct asked *a = context;
    struct http_exchange *x = a->exchange;
    char fields[FIELDS_BYTES], txid[KV_TXID_BYTES];
    if (o->end != KV_COMMITTED_NOW) {
        answer_failure(a, o);
        return;
    }
    /* A condition stands in front of the write. */
    const struct kv_result *result = o->results[o->count - 1];
    bool deleted_nothing = a->method == HTTP_DELETE && result && !result->found;
    bool already = o->refusal.reason == KV_REASON_ALREADY;
    struct kv_txid id = already ? o->refusal.holder : o->txid;
    json_t *json = json_object();
    free_asked(a);
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
    answer(x, deleted_nothing ? 404 : 200, kv_json_text(json),
           result && !deleted_nothing ? fields : NULL);
}

/* ---- Requests ---- */

/* The target of a request, behind the gate's prefix. */
struct target {
    const char *path, *query; /* without '?'; not ended by NUL */
    size_t path_bytes, query_bytes;
};

static struct target target_of(const struct http_request *r, size_t skipped)
{
    const char *path = r->text + skipped;
    size_t length = r->target_bytes - skipped;
    const char *mark = memchr(path, '?', length);
    struct target t = {.path = path, .path_bytes = length, .query = path + length};
    if (mark) {
        t.path_bytes = (size_t)(mark - path);
        t.query = mark + 1;
        t.query_bytes = length - t.path_bytes - 1;
    }
    return t;
}

static bool is(const char *bytes, size_t length, const char *word)
{
    return length == strlen(word) && memcmp(bytes, word, length) == 0;
}

static int hex(char c)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at ? (int)((at - digits) % 16) : -1;
}

/* Undoes percent-encoding (RFC 3986 2.1). Returns NULL with errno: EINVAL (it is none, or empty),
 * ENOMEM. */
static struct kv_blob *read_key(const struct target *t)
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

/* Reads a field that is a number. Returns false if it is none; one that is not there is 0. */
static bool read_number(const struct http_request *r, enum http_field_name name, uint64_t *number)
{
    size_t index = 0, length, more;
    const char *text = http_request_field(r, name, &index, &length);
    *number = 0;
    if (!text)
        return true;
    if (length == 0 || http_request_field(r, name, &index, &more))
        return false;
    for (size_t i = 0; i < length; i++) {
        unsigned digit = (unsigned)(text[i] - '0');
        if (digit > 9 || *number > (UINT64_MAX - digit) / 10)
            return false;
        *number = 10 * *number + digit;
    }
    return true;
}

/* Who asks. Returns false if what is said of it makes no sense. */
static bool read_identity(const struct http_request *r, Strait__KvIdentity *identity)
{
    strait__kv_identity__init(identity);
    return read_number(r, HTTP_CLIENT, &identity->client) &&
           read_number(r, HTTP_SEQUENCE, &identity->sequence) &&
           read_number(r, HTTP_LOWEST, &identity->lowest) &&
           (identity->client == 0) == (identity->sequence == 0) &&
           (identity->lowest <= identity->sequence);
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
    return is(none, none_length, "*") ? 0 : 400;
}

/* Lets the node begin a transaction, whose reference this takes. Returns what the gate returns. */
static void *begin_txn(struct asked *a, struct kv_request *request, kv_told *told)
{
    struct kv_http *h = a->of;
    uint64_t deadline_ns = h->env->now(h->env) + KV_DEADLINE_NS;
    a->ask = kv_node_txn(h->node, request, deadline_ns, told, a);
    if (!a->ask) {
        struct http_exchange *x = a->exchange;
        int error = errno;
        free_asked(a);
        errno = error;
        refuse_errno(h, x, request);
        a = NULL;
    }
    kv_request_release(request);
    return a;
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
        return refuse(x, 412, "condition", "no key ever has this tag");
    if (status != 0)
        return refuse(x, 400, "condition",
                      "a write knows If-Match: \"VERSION\" and If-None-Match: *");
    if (!read_identity(r, &identity))
        return refuse(x, 400, "identity",
                      "Strait-Client and Strait-Sequence are numbers above 0, Strait-Lowest is at "
                      "most the sequence");
    struct asked *a = new_asked(h, x, r);
    if (!a)
        return NULL;
    struct kv_request *request = write_request(r, key, conditional, version);
    if (!request) {
        free_asked(a);
        answer(x, 503, NULL, NULL);
        return NULL;
    }
    request->client = identity.client;
    request->sequence = identity.sequence;
    request->retired = identity.lowest;
    a->conditional = conditional;
    return begin_txn(a, request, told_write);
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
    struct asked *a = new_asked(h, x, r);
    uint64_t deadline_ns = h->env->now(h->env) + KV_DEADLINE_NS;
    if (!a)
        return NULL;
    if (has_conditions(r)) {
        a->read = malloc(sizeof(*a->read));
        if (!a->read)
            return refuse_asked(a, 503, "memory", "the node is short of memory; try again");
        *a->read = *r; /* its fields are parts of its text */
    }
    a->ask = kv_node_read(h->node, key, stale, deadline_ns, told_read, a);
    if (a->ask)
        return a;
    int error = errno;
    free_asked(a);
    errno = error;
    return refuse_errno(h, x, NULL);
}

static void *ask_key(void *context, struct http_exchange *x, const struct http_request *r)
{
    struct kv_http *h = context;
    struct target t = target_of(r, strlen("/kv/"));
    bool reads = r->method == HTTP_GET || r->method == HTTP_HEAD;
    bool stale = reads && is(t.query, t.query_bytes, "stale=ok");
    if (!reads && r->method != HTTP_PUT && r->method != HTTP_DELETE)
        return refuse_method(x, "GET, HEAD, PUT, DELETE");
    if (t.query_bytes > 0 && !stale)
        return refuse(x, 400, "query", "all there may be asked is ?stale=ok, of a GET");
    struct kv_blob *key = read_key(&t);
    if (!key && errno == EINVAL)
        return refuse(x, 400, "key", "the key is empty, or its percent-encoding is wrong");
    if (!key)
        return refuse_errno(h, x, NULL);
    void *asked = reads ? ask_read(h, x, r, key, stale) : ask_write(h, x, r, key);
    kv_blob_release(key);
    return asked;
}

/* ---- Transactions ---- */

static void told_txn(void *context, const struct kv_outcome *o)
{
    struct asked *a = context;
    struct http_exchange *x = a->exchange;
    struct kv_bytes bytes = {0};
    if (o->end != KV_COMMITTED_NOW) {
        answer_failure(a, o);
        return;
    }
    const Strait__KvTxnReply *reply = NULL;
    if (kv_wire_add_txn_reply(&bytes, o))
        reply = (Strait__KvTxnReply *)message_unpack(&a->arena, &strait__kv_txn_reply__descriptor,
                                                     bytes.bytes, bytes.length);
    char *json = reply ? kv_document_txn(a->txn, reply) : NULL;
    kv_bytes_free(&bytes);
    free_asked(a);
    answer(x, 200, json, NULL);
}

static void *ask_txn(struct kv_http *h, struct http_exchange *x, const struct http_request *r)
{
    char fault[KV_FAULT_BYTES];
    Strait__KvIdentity identity;
    enum kv_wire_fault sound;
    struct asked *a = new_asked(h, x, r);
    if (!a)
        return NULL;
    a->txn = kv_document_read(&a->arena, r->body ? r->body : "", r->body_bytes, fault);
    if (!a->txn && errno == ENOMEM)
        return refuse_asked(a, 503, "memory", fault);
    if (!a->txn)
        return refuse_asked(a, errno == EMSGSIZE ? 413 : 400, "transaction", fault);
    if (!read_identity(r, &identity))
        return refuse_asked(a, 400, "identity", "Strait-Client and its like make no sense");
    a->txn->identity = &identity;
    struct kv_request *request = kv_wire_request(a->txn, &sound);
    a->txn->identity = NULL;
    if (!request)
        return refuse_asked(a, sound == KV_WIRE_NO_MEMORY ? 503 : 400, "transaction",
                            "the transaction makes no sense");
    return begin_txn(a, request, told_txn);
}

/* GET of something that is told in JSON, at once. */
static void *answer_text(struct http_exchange *x, const struct http_request *r, unsigned status,
                         char *json)
{
    if (r->method != HTTP_GET && r->method != HTTP_HEAD) {
        free(json);
        return refuse_method(x, "GET, HEAD");
    }
    answer(x, status, json, NULL);
    return NULL;
}

static void *ask_one(struct kv_http *h, struct http_exchange *x, const struct http_request *r,
                     const char *text, size_t length)
{
    struct kv_txid txid;
    bool known;
    if (!kv_txid_read(text, length, &txid))
        return refuse(x, 400, "txid", "a transaction is COORDINATOR.INCARNATION.SEQUENCE");
    char *json = kv_inspect_txn(h->node, txid, &known);
    return answer_text(x, r, known ? 200 : 404, json);
}

static void *ask_txns(void *context, struct http_exchange *x, const struct http_request *r)
{
    struct kv_http *h = context;
    struct target t = target_of(r, 0);
    bool in_doubt = is(t.query, t.query_bytes, "in_doubt=1");
    if (is(t.path, t.path_bytes, "/txn"))
        return r->method == HTTP_POST ? ask_txn(h, x, r) : refuse_method(x, "POST");
    if (is(t.path, t.path_bytes, "/txns")) {
        if (t.query_bytes > 0 && !in_doubt)
            return refuse(x, 400, "query", "all there may be asked is ?in_doubt=1");
        return answer_text(x, r, 200, kv_inspect_txns(h->node, in_doubt));
    }
    const size_t skipped = strlen("/txns/");
    if (t.path_bytes > skipped && memcmp(t.path, "/txns/", skipped) == 0)
        return ask_one(h, x, r, t.path + skipped, t.path_bytes - skipped);
    return refuse_path(x);
}

static void *ask_status(void *context, struct http_exchange *x, const struct http_request *r)
{
    struct kv_http *h = context;
    struct target t = target_of(r, 0);
    if (!is(t.path, t.path_bytes, "/status"))
        return refuse_path(x);
    return answer_text(x, r, 200, kv_inspect_status(h->node));
}

/* ---- Backups ---- */

static void backup_released(void *context)
{
    struct kv_http *h = context;
    h->backing_up = false;
}

static void send_backup(struct kv_http *h, struct http_exchange *x)
{
    uint64_t length;
    struct http_source *source = kv_download_open(h->backup_path, &length, backup_released, h);
    if (!source) {
        h->backing_up = false;
        refuse(x, 500, "backup", "the copy cannot be read");
        return;
    }
    http_exchange_answer(
        x, &(struct http_reply){
               .status = 200,
               .type = "application/vnd.sqlite3",
               .source = source,
               .length = length,
               .fields = "Content-Disposition: attachment; filename=\"" KV_JOURNAL_FILE "\"\r\n"});
}

static void backed_up(void *context, const char *error)
{
    struct kv_http *h = context;
    struct asked *a = h->backup_asked;
    struct http_exchange *x = a ? a->exchange : NULL;
    h->backup_asked = NULL;
    if (a)
        free_asked(a);
    if (x && !error) {
        send_backup(h, x);
        return;
    }
    kv_download_remove(h->backup_path);
    h->backing_up = false;
    if (x)
        refuse(x, 503, "backup", error);
}

static void *ask_backup(void *context, struct http_exchange *x, const struct http_request *r)
{
    struct kv_http *h = context;
    struct target t = target_of(r, 0);
    if (!is(t.path, t.path_bytes, "/backup"))
        return refuse_path(x);
    if (r->method != HTTP_GET)
        return refuse_method(x, "GET");
    if (h->backing_up)
        return refuse(x, 503, "busy", "another backup is under way; try again");
    struct asked *a = new_asked(h, x, r);
    if (!a)
        return NULL;
    kv_download_remove(h->backup_path);
    if (kv_journal_backup(kv_node_journal(h->node), h->backup_path, backed_up, h) < 0) {
        free_asked(a);
        return refuse(x, 503, "backup", strerror(errno));
    }
    h->backing_up = true;
    h->backup_asked = a;
    return a;
}

/* ---- The gates ---- */

static void *ask_nothing(void *context, struct http_exchange *x, const struct http_request *r)
{
    (void)context, (void)r;
    return refuse_path(x);
}

/* Nobody waits any more. */
static void cancel(void *asked)
{
    struct asked *a = asked;
    if (a->ask)
        kv_node_cancel(a->ask);
    else
        a->of->backup_asked = NULL;
    free_asked(a);
}

struct kv_http *kv_http_new(struct kv_node *node, struct strait_env *env, const char *directory)
{
    const struct kv_cluster *cluster = kv_node_cluster(node);
    const struct {
        const char *prefix;
        size_t body_max;
        void *(*ask)(void *, struct http_exchange *, const struct http_request *);
    } gates[KV_HTTP_GATES] = {
        {"/kv/", cluster->value_bytes, ask_key},
        {"/txn", DOCUMENT_BYTES_MAX(cluster->transaction_bytes), ask_txns},
        {"/status", 0, ask_status},
        {"/backup", 0, ask_backup},
        {"/", HTTP_BODY_BYTES_MAX, ask_nothing},
    };
    struct kv_http *h = calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    h->node = node;
    h->env = env;
    snprintf(h->backup_path, sizeof(h->backup_path), "%s/backup.db", directory);
    kv_download_remove(h->backup_path);
    for (size_t i = 0; i < KV_HTTP_GATES; i++)
        h->gates[i] = (struct http_gate){
            .prefix = gates[i].prefix,
            .methods = HTTP_ALL_METHODS,
            .body_max = gates[i].body_max,
            .ask = gates[i].ask,
            .cancel = cancel,
            .context = h,
        };
    return h;
}

const struct http_gate *kv_http_gate(const struct kv_http *h, size_t number)
{
    return &h->gates[number];
}

void kv_http_free(struct kv_http *h)
{
    free(h);
}
