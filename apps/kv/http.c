/* SPDX-License-Identifier: MIT */
#include "kv/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kv/download.h"
#include "kv/http_asked.h"
#include "kv/inspect.h"
#include "kv/service.h"
#include "kv/wire.h"

#define JSON_TYPE "application/json"

/* A document is longer than the keys and values in it: by its words, and by base64 (4 for 3) or
 * escapes. */
#define DOCUMENT_BYTES_MAX(bytes) (2 * (size_t)(bytes) + 65536)

/* ---- Answers ---- */

void kv_http_answer(struct http_exchange *x, unsigned status, char *json, const char *fields)
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

void *kv_http_refuse(struct http_exchange *x, unsigned status, const char *reason,
                     const char *message)
{
    kv_http_answer(x, status, kv_document_error("failed", reason, message, 0, (struct kv_txid){0}),
                   NULL);
    return NULL;
}

static void *refuse_path(struct http_exchange *x)
{
    return kv_http_refuse(x, 404, "path", "there is nothing of this name");
}

void *kv_http_refuse_method(struct http_exchange *x, const char *allowed)
{
    char fields[KV_HTTP_FIELDS_BYTES];
    snprintf(fields, sizeof(fields), "Allow: %s\r\n", allowed);
    kv_http_answer(x, 405,
                   kv_document_error("failed", "method", "the method is not allowed here", 0,
                                     (struct kv_txid){0}),
                   fields);
    return NULL;
}

void *kv_http_refuse_errno(struct kv_http *h, struct http_exchange *x,
                           const struct kv_request *request)
{
    char message[80];
    const char *limit =
        request && errno == EMSGSIZE ? kv_node_limit(kv_node_cluster(h->node), request) : NULL;
    switch (errno) {
    case EMSGSIZE:
        snprintf(message, sizeof(message), "it is above the cluster's limit %s",
                 limit ? limit : "key_bytes");
        return kv_http_refuse(x, 413, "large", message);
    case EINVAL:
        return kv_http_refuse(x, 400, "invalid", "the transaction makes no sense");
    case EAGAIN:
        return kv_http_refuse(x, 503, "busy", "the node has too many requests; try again");
    case ESHUTDOWN:
        return kv_http_refuse(x, 503, "stopping", "the node stops; ask another one");
    default:
        return kv_http_refuse(x, 503, "memory", "the node is short of memory; try again");
    }
}

void kv_http_asked_free(struct kv_http_asked *a)
{
    message_arena_free(&a->arena);
    free(a->read);
    free(a);
}

struct kv_http_asked *kv_http_asked_new(struct kv_http *h, struct http_exchange *x,
                                        const struct http_request *r)
{
    struct kv_http_asked *a = calloc(1, sizeof(*a));
    if (!a) {
        kv_http_answer(x, 503, NULL, NULL);
        return NULL;
    }
    a->of = h;
    a->exchange = x;
    a->method = r->method;
    message_arena_init(&a->arena);
    return a;
}

void *kv_http_refuse_asked(struct kv_http_asked *a, unsigned status, const char *reason,
                           const char *message)
{
    struct http_exchange *x = a->exchange;
    kv_http_asked_free(a);
    return kv_http_refuse(x, status, reason, message);
}

static unsigned status_of_reason(const struct kv_http_asked *a, enum kv_reason reason)
{
    switch (reason) {
    case KV_REASON_CONDITION:
        return a->conditional ? 412 : 409;
    case KV_REASON_LOCKED: /* a read has waited, and conflicts with nothing */
        return a->method == HTTP_GET || a->method == HTTP_HEAD ? 503 : 409;
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

void kv_http_answer_failure(struct kv_http_asked *a, const struct kv_outcome *o)
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
    kv_http_asked_free(a);
    kv_http_answer(x, status, json, NULL);
}

/* ---- Requests ---- */

struct kv_http_target kv_http_target_of(const struct http_request *r, size_t skipped)
{
    const char *path = r->text + skipped;
    size_t length = r->target_bytes - skipped;
    const char *mark = memchr(path, '?', length);
    struct kv_http_target t = {.path = path, .path_bytes = length, .query = path + length};
    if (mark) {
        t.path_bytes = (size_t)(mark - path);
        t.query = mark + 1;
        t.query_bytes = length - t.path_bytes - 1;
    }
    return t;
}

bool kv_http_is(const char *bytes, size_t length, const char *word)
{
    return length == strlen(word) && memcmp(bytes, word, length) == 0;
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

bool kv_http_read_identity(const struct http_request *r, Strait__KvIdentity *identity)
{
    strait__kv_identity__init(identity);
    return read_number(r, HTTP_CLIENT, &identity->client) &&
           read_number(r, HTTP_SEQUENCE, &identity->sequence) &&
           read_number(r, HTTP_LOWEST, &identity->lowest) &&
           (identity->client == 0) == (identity->sequence == 0) &&
           (identity->lowest <= identity->sequence);
}

void *kv_http_begin_txn(struct kv_http_asked *a, struct kv_request *request, kv_told *told)
{
    struct kv_http *h = a->of;
    uint64_t deadline_ns = h->env->now(h->env) + KV_DEADLINE_NS;
    a->ask = kv_node_txn(h->node, request, deadline_ns, told, a);
    if (!a->ask) {
        struct http_exchange *x = a->exchange;
        int error = errno;
        kv_http_asked_free(a);
        errno = error;
        kv_http_refuse_errno(h, x, request);
        a = NULL;
    }
    kv_request_release(request);
    return a;
}

/* ---- Transactions ---- */

static void told_txn(void *context, const struct kv_outcome *o)
{
    struct kv_http_asked *a = context;
    struct http_exchange *x = a->exchange;
    struct kv_bytes bytes = {0};
    if (o->end != KV_COMMITTED_NOW) {
        kv_http_answer_failure(a, o);
        return;
    }
    const Strait__KvTxnReply *reply = NULL;
    if (kv_wire_add_txn_reply(&bytes, o))
        reply = (Strait__KvTxnReply *)message_unpack(&a->arena, &strait__kv_txn_reply__descriptor,
                                                     bytes.bytes, bytes.length);
    char *json = reply ? kv_document_txn(a->txn, reply) : NULL;
    kv_bytes_free(&bytes);
    kv_http_asked_free(a);
    kv_http_answer(x, 200, json, NULL);
}

static void *ask_txn(struct kv_http *h, struct http_exchange *x, const struct http_request *r)
{
    char fault[KV_FAULT_BYTES];
    Strait__KvIdentity identity;
    enum kv_wire_fault sound;
    struct kv_http_asked *a = kv_http_asked_new(h, x, r);
    if (!a)
        return NULL;
    a->txn = kv_document_read(&a->arena, r->body ? r->body : "", r->body_bytes, fault);
    if (!a->txn && errno == ENOMEM)
        return kv_http_refuse_asked(a, 503, "memory", fault);
    if (!a->txn)
        return kv_http_refuse_asked(a, errno == EMSGSIZE ? 413 : 400, "transaction", fault);
    if (!kv_http_read_identity(r, &identity))
        return kv_http_refuse_asked(a, 400, "identity", "Strait-Client and its like make no sense");
    a->txn->identity = &identity;
    struct kv_request *request = kv_wire_request(a->txn, &sound);
    a->txn->identity = NULL;
    if (!request)
        return kv_http_refuse_asked(a, sound == KV_WIRE_NO_MEMORY ? 503 : 400, "transaction",
                                    "the transaction makes no sense");
    return kv_http_begin_txn(a, request, told_txn);
}

/* GET of something that is told in JSON, at once. */
static void *answer_text(struct http_exchange *x, const struct http_request *r, unsigned status,
                         char *json)
{
    if (r->method != HTTP_GET && r->method != HTTP_HEAD) {
        free(json);
        return kv_http_refuse_method(x, "GET, HEAD");
    }
    kv_http_answer(x, status, json, NULL);
    return NULL;
}

static void *ask_one(struct kv_http *h, struct http_exchange *x, const struct http_request *r,
                     const char *text, size_t length)
{
    struct kv_txid txid;
    bool known;
    if (!kv_txid_read(text, length, &txid))
        return kv_http_refuse(x, 400, "txid", "a transaction is COORDINATOR.INCARNATION.SEQUENCE");
    char *json = kv_inspect_txn(h->node, txid, &known);
    return answer_text(x, r, known ? 200 : 404, json);
}

static void *ask_txns(void *context, struct http_exchange *x, const struct http_request *r)
{
    struct kv_http *h = context;
    struct kv_http_target t = kv_http_target_of(r, 0);
    bool in_doubt = kv_http_is(t.query, t.query_bytes, "in_doubt=1");
    if (kv_http_is(t.path, t.path_bytes, "/txn"))
        return r->method == HTTP_POST ? ask_txn(h, x, r) : kv_http_refuse_method(x, "POST");
    if (kv_http_is(t.path, t.path_bytes, "/txns")) {
        if (t.query_bytes > 0 && !in_doubt)
            return kv_http_refuse(x, 400, "query", "all there may be asked is ?in_doubt=1");
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
    struct kv_http_target t = kv_http_target_of(r, 0);
    if (!kv_http_is(t.path, t.path_bytes, "/status"))
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
        kv_http_refuse(x, 500, "backup", "the copy cannot be read");
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
    struct kv_http_asked *a = h->backup_asked;
    struct http_exchange *x = a ? a->exchange : NULL;
    h->backup_asked = NULL;
    if (a)
        kv_http_asked_free(a);
    if (x && !error) {
        send_backup(h, x);
        return;
    }
    kv_download_remove(h->backup_path);
    h->backing_up = false;
    if (x)
        kv_http_refuse(x, 503, "backup", error);
}

static void *ask_backup(void *context, struct http_exchange *x, const struct http_request *r)
{
    struct kv_http *h = context;
    struct kv_http_target t = kv_http_target_of(r, 0);
    if (!kv_http_is(t.path, t.path_bytes, "/backup"))
        return refuse_path(x);
    if (r->method != HTTP_GET)
        return kv_http_refuse_method(x, "GET");
    if (h->backing_up)
        return kv_http_refuse(x, 503, "busy", "another backup is under way; try again");
    struct kv_http_asked *a = kv_http_asked_new(h, x, r);
    if (!a)
        return NULL;
    kv_download_remove(h->backup_path);
    if (kv_journal_backup(kv_node_journal(h->node), h->backup_path, backed_up, h) < 0) {
        kv_http_asked_free(a);
        return kv_http_refuse(x, 503, "backup", strerror(errno));
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

/* A body that there is no room for; what is no HTTP is answered by HTTP. */
static void refuse(void *context, struct http_exchange *x, const struct http_request *r)
{
    (void)context;
    if (r->status == HTTP_STATUS_PAYLOAD_TOO_LARGE)
        kv_http_refuse(x, r->status, "large", "the body is too long");
    else if (r->status == HTTP_STATUS_SERVICE_UNAVAILABLE)
        kv_http_refuse(x, r->status, "busy", "the node has too many requests; try again");
}

/* Nobody waits any more. */
static void cancel(void *asked)
{
    struct kv_http_asked *a = asked;
    if (a->ask)
        kv_node_cancel(a->ask);
    else
        a->of->backup_asked = NULL;
    kv_http_asked_free(a);
}

struct kv_http *kv_http_new(struct kv_node *node, struct strait_env *env, const char *directory)
{
    const struct kv_cluster *cluster = kv_node_cluster(node);
    const struct {
        const char *prefix;
        size_t body_max;
        void *(*ask)(void *, struct http_exchange *, const struct http_request *);
    } gates[KV_HTTP_GATES] = {
        {"/kv/", cluster->value_bytes, kv_http_ask_key},
        {"/txn", DOCUMENT_BYTES_MAX(cluster->transaction_bytes), ask_txns},
        {"/status", HTTP_BODY_BYTES_MAX, ask_status},
        {"/backup", HTTP_BODY_BYTES_MAX, ask_backup},
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
            .body_max = gates[i].body_max,
            .ask = gates[i].ask,
            .cancel = cancel,
            .refuse = refuse,
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
