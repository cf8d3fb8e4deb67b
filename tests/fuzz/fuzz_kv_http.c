/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as what a client says to the key-value store by HTTP: through the server and its gates,
 * and the JSON of transactions, up to a node, which is stood in for here.
 *
 * The input is a byte that says how the rest arrives (line.h), one that says how what is asked
 * ends, and the rest: the body of one POST /txn or, with LINE_BARE, whole requests.
 *
 * Promised: a transaction that reaches the node is one that it may be asked for; each request has
 * one answer, with the end that its length says, and the same one however its bytes arrive and the
 * answers are taken; what is answered to a transaction is JSON, whatever becomes of it, with the
 * version of all that it wrote or read; so is a key's version in its ETag; when the client has
 * ended nothing is left: no session, no request, no memory, no timer.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "http/http.h"
#include "http/request.h"
#include "kv/http.h"
#include "line.h"
#include "rpc/rpc.h"
#include "targets.h"

#define HEAD_BYTES   128
#define PIECES       8
#define REQUESTS_MAX 4096

/* Of the second byte, with a reason in the lower bits. */
#define SILENT      0x80 /* what is asked ends at its deadline */
#define END_SHIFT   4    /* an enum kv_end */
#define REASON_MASK 0x0f
#define REASONS     (KV_REASON_MAX + 1)
#define REFUSES     0x40 /* the node takes nothing, for an error in the lower bits */

struct kv_ask {
    struct strait_timer timer;
    struct kv_node *of;
    struct kv_request *request; /* or NULL: it is a read */
    struct kv_blob *key;        /* of the first operation */
    kv_told *told;
    void *context;
};

struct kv_node {
    struct line line;
    struct kv_cluster cluster;
    uint8_t manner;
    size_t asks;
    struct kv_request *first; /* of all transactions; or NULL */
    struct http_gate gates[KV_HTTP_GATES];
};

/* ---- The node ---- */

static void free_ask(struct kv_ask *ask)
{
    ask->of->asks--;
    kv_request_release(ask->request);
    kv_blob_release(ask->key);
    free(ask);
}

static struct kv_outcome outcome_of(const struct kv_ask *ask)
{
    const struct kv_node *node = ask->of;
    struct kv_outcome o = {
        .end = (enum kv_end)(node->manner >> END_SHIFT & 3),
        .txid = {1, 2, 3},
        .refusal = {.reason = (enum kv_reason)((node->manner & REASON_MASK) % REASONS),
                    .holder = {1, 4, 5}},
        .key = ask->key,
        .node = 2,
        .count = ask->request ? ask->request->count : 1,
    };
    if (o.end == KV_COMMITTED_NOW && o.refusal.reason != KV_REASON_ALREADY)
        o.refusal = (struct kv_refusal){0};
    if (o.end == KV_REFUSED && o.refusal.reason == KV_REASON_NONE)
        o.refusal.reason = KV_REASON_BUSY; /* there always is one */
    return o;
}

/* What was to be written is what is read. */
static void ask_ends(void *owner, struct strait_timer *timer)
{
    struct kv_ask *ask = (struct kv_ask *)(void *)timer;
    struct kv_outcome o = outcome_of(ask);
    struct kv_result results[KV_OPERATIONS_MAX];
    (void)owner;
    for (uint32_t i = 0; i < o.count; i++) {
        results[i] = (struct kv_result){true, i, ask->key};
        o.results[i] = i % PIECES == PIECES - 1 ? NULL : &results[i];
    }
    ask->told(ask->context, &o);
    free_ask(ask);
}

static struct kv_ask *begin(struct kv_node *node, struct kv_request *request, struct kv_blob *key,
                            uint64_t deadline_ns, kv_told *told, void *context)
{
    static const int errors[] = {EMSGSIZE, EAGAIN, ESHUTDOWN, ENOMEM};
    struct strait_env *env = &node->line.env;
    CHECK(deadline_ns > env->now(env) && key->length > 0);
    if (node->manner & REFUSES) {
        errno = errors[node->manner & 3];
        return NULL;
    }
    struct kv_ask *ask = calloc(1, sizeof(*ask));
    CHECK(ask);
    *ask = (struct kv_ask){.timer.expired = ask_ends,
                           .of = node,
                           .request = kv_request_hold(request),
                           .key = kv_blob_hold(key),
                           .told = told,
                           .context = context};
    node->asks++;
    env->timer_start(env, &ask->timer,
                     node->manner & SILENT ? deadline_ns : env->now(env) + RPC_MS);
    return ask;
}

struct kv_ask *__wrap_kv_node_txn(struct kv_node *, struct kv_request *, uint64_t, kv_told *,
                                  void *);
struct kv_ask *__wrap_kv_node_txn(struct kv_node *node, struct kv_request *request,
                                  uint64_t deadline_ns, kv_told *told, void *context)
{
    CHECK(request->count > 0 && request->count <= KV_OPERATIONS_MAX);
    for (uint32_t i = 0; i < request->count; i++)
        request->operations[i].replicas = kv_node_bit(1);
    request->participants = kv_node_bit(1);
    if (!node->first)
        node->first = kv_request_hold(request);
    if (kv_request_valid(request))
        return begin(node, request, request->operations[0].key, deadline_ns, told, context);
    errno = EINVAL;
    return NULL;
}

struct kv_ask *__wrap_kv_node_read(struct kv_node *, struct kv_blob *, bool, uint64_t, kv_told *,
                                   void *);
struct kv_ask *__wrap_kv_node_read(struct kv_node *node, struct kv_blob *key, bool stale,
                                   uint64_t deadline_ns, kv_told *told, void *context)
{
    (void)stale;
    return begin(node, NULL, key, deadline_ns, told, context);
}

void __wrap_kv_node_cancel(struct kv_ask *);
void __wrap_kv_node_cancel(struct kv_ask *ask)
{
    struct strait_env *env = &ask->of->line.env;
    env->timer_stop(env, &ask->timer);
    free_ask(ask);
}

const struct kv_cluster *__wrap_kv_node_cluster(const struct kv_node *);
const struct kv_cluster *__wrap_kv_node_cluster(const struct kv_node *node)
{
    return &node->cluster;
}

const char *__wrap_kv_node_limit(const struct kv_cluster *, const struct kv_request *);
const char *__wrap_kv_node_limit(const struct kv_cluster *cluster, const struct kv_request *request)
{
    CHECK(cluster && request->count > 0);
    return "value_bytes";
}

/* ---- What it shows, which no input reaches ---- */

void __wrap_kv_node_status(struct kv_node *, struct kv_status *);
void __wrap_kv_node_status(struct kv_node *node, struct kv_status *status)
{
    (void)node;
    *status = (struct kv_status){.id = 1};
}

void __wrap_kv_node_visit_txns(struct kv_node *, bool, void (*)(void *, const struct kv_txn_view *),
                               void *);
void __wrap_kv_node_visit_txns(struct kv_node *node, bool in_doubt_only,
                               void (*visit)(void *, const struct kv_txn_view *), void *context)
{
    (void)node, (void)in_doubt_only;
    visit(context, &(struct kv_txn_view){.txid = {1, 4, 7}});
}

struct kv_journal *__wrap_kv_node_journal(struct kv_node *);
struct kv_journal *__wrap_kv_node_journal(struct kv_node *node)
{
    (void)node;
    return NULL;
}

void __wrap_kv_journal_visit(struct kv_journal *, struct kv_txid,
                             void (*)(void *, const struct kv_journal_entry *), void *);
void __wrap_kv_journal_visit(struct kv_journal *journal, struct kv_txid txid,
                             void (*visit)(void *, const struct kv_journal_entry *), void *context)
{
    (void)journal, (void)txid;
    visit(context, &(struct kv_journal_entry){.kind = KV_COORDINATOR_PREPARE, .participants = 3});
}

int __wrap_kv_journal_backup(struct kv_journal *, const char *, void (*)(void *, const char *),
                             void *);
int __wrap_kv_journal_backup(struct kv_journal *journal, const char *path,
                             void (*done)(void *context, const char *error), void *context)
{
    (void)journal, (void)path, (void)done, (void)context;
    errno = EIO;
    return -1;
}

void __wrap_kv_node_visit_counters(struct kv_node *, void (*)(void *, const char *, uint64_t),
                                   void *);
void __wrap_kv_node_visit_counters(struct kv_node *node,
                                   void (*visit)(void *context, const char *name, uint64_t value),
                                   void *context)
{
    (void)node;
    visit(context, "kv_commits", 5);
}

/* ---- The answers ---- */

struct answer {
    int status;
    const char *head, *body;
    size_t head_bytes, body_bytes;
};

/* The value of a field in the head of an answer, to the end of its line; NULL if there is none. */
static const char *field(const struct answer *a, const char *name)
{
    const char *at = strstr(a->head, name);
    return at && at < a->head + a->head_bytes ? at + strlen(name) : NULL;
}

/* Takes an answer off the output. Returns what is behind it. */
static const char *take_answer(const char *at, const char *end, bool has_body, struct answer *a)
{
    static const char start[] = "HTTP/1.1 ";
    CHECK((size_t)(end - at) > sizeof(start) && memcmp(at, start, sizeof(start) - 1) == 0);
    const char *behind = strstr(at, "\r\n\r\n");
    CHECK(behind);
    *a = (struct answer){.status = atoi(at + sizeof(start) - 1),
                         .head = at,
                         .head_bytes = (size_t)(behind + 2 - at),
                         .body = behind + 4};
    const char *length = field(a, "\r\nContent-Length: ");
    CHECK(length || a->status == 100 || a->status == 304);
    if (length && has_body)
        a->body_bytes = strtoul(length, NULL, 10);
    CHECK(a->body_bytes <= (size_t)(end - a->body));
    return a->body + a->body_bytes;
}

/* The JSON of an answer, to be released; NULL if it has a key that this reader does not take. */
static json_t *read_json(const struct answer *a)
{
    json_error_t error;
    json_t *json =
        json_loadb(a->body, a->body_bytes, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
    CHECK(json_is_object(json) || json_error_code(&error) == json_error_null_byte_in_key);
    return json;
}

/* What was written or read has its version, which is the operation's number (ask_ends). */
static void check_results(const json_t *json, const struct kv_request *request)
{
    static const char *const sections[] = {
        [KV_PUT] = "put", [KV_DELETE] = "delete", [KV_GET] = "get"};
    for (uint32_t i = 0; i < request->count; i++) {
        const struct kv_operation *o = &request->operations[i];
        if (o->kind == KV_CHECK)
            continue;
        const json_t *result = json_object_getn(json_object_get(json, sections[o->kind]),
                                                (const char *)o->key->bytes, o->key->length);
        const json_t *version = json_object_get(result, "version");
        CHECK(json_is_object(result));
        if (i % PIECES == PIECES - 1)
            CHECK(!version);
        else
            CHECK(json_integer_value(version) == i && json_is_integer(version));
    }
}

static void check_txn(const struct answer *a, const struct kv_request *request)
{
    json_t *json = read_json(a);
    if (!json)
        return;
    CHECK((a->status == 200) == json_is_true(json_object_get(json, "committed")));
    if (a->status == 200 && request)
        check_results(json, request);
    json_decref(json);
}

/* A key that is there has its version in the ETag, and in the JSON of a write. */
static void check_key(const struct answer *a, const struct http_request *r)
{
    const char *etag = field(a, "\r\nETag: \"");
    if (a->status != 200 && a->status != 304)
        return;
    CHECK(etag);
    if (r->method != HTTP_PUT && r->method != HTTP_DELETE)
        return;
    json_t *json = read_json(a);
    const json_t *version = json_object_get(json, "version");
    CHECK(json_is_integer(version) && json_integer_value(version) == atoi(etag));
    json_decref(json);
}

static void check_answer(const struct kv_node *node, const struct answer *a,
                         const struct http_request *r, bool is_first)
{
    static const char txn[] = "/txn", key[] = "/kv/";
    if (r->status != 0) {
        CHECK((unsigned)a->status == r->status);
        return;
    }
    if (r->method == HTTP_POST && r->target_bytes == strlen(txn) &&
        memcmp(r->text, txn, strlen(txn)) == 0)
        check_txn(a, is_first ? node->first : NULL);
    else if (r->target_bytes > strlen(key) && memcmp(r->text, key, strlen(key)) == 0)
        check_key(a, r);
}

/* Every request that has arrived whole has its answer, and nothing else was said; `*continues`
 * tells whether one was to wait for 100 (Continue), which only those are told whose body is not
 * there. */
static void check_answers(const struct kv_node *node, const char *said, size_t length,
                          bool *continues)
{
    static struct http_request r;
    const struct line *l = &node->line;
    const char *at = (const char *)l->output, *end = at + l->output_bytes;
    size_t memory = 0;
    bool goes_on = true;
    *continues = false;
    for (int i = 0; i < REQUESTS_MAX && goes_on && length > 0; i++) {
        struct answer a;
        http_request_init(&r);
        r.gates = node->gates;
        r.gate_count = KV_HTTP_GATES;
        r.memory = &memory;
        size_t taken = http_request_feed(&r, said, length);
        goes_on = r.done && r.keep_alive;
        a.status = 0;
        if (r.done || (r.continues && at < end))
            at = take_answer(at, end, !r.head, &a);
        if (r.done && a.status == 100)
            at = take_answer(at, end, !r.head, &a);
        if (r.done)
            check_answer(node, &a, &r, i == 0);
        *continues |= r.continues;
        http_request_release(&r);
        said += taken;
        length -= taken;
    }
    CHECK(at == end);
}

/* ---- */

/* Leaves the answers in the line. */
static void converse(struct kv_node *node, const char *head, size_t head_bytes,
                     const uint8_t *bytes, size_t length, uint8_t how)
{
    struct http_config config = {.port = 80};
    line_open(&node->line, head, head_bytes, bytes, length, how);
    struct kv_http *gates = kv_http_new(node, &node->line.env, "/dev/null");
    CHECK(gates);
    for (size_t i = 0; i < KV_HTTP_GATES; i++) {
        config.gates[i] = kv_http_gate(gates, i);
        node->gates[i] = *config.gates[i];
    }
    struct server *server = http_start_at(&node->line.host, &config);
    CHECK(server);
    line_drive(&node->line);
    CHECK(line_at_rest(&node->line) && server_sessions(server) == 0 && node->asks == 0);
    server_free(server);
    kv_http_free(gates);
}

static void run(struct kv_node *node, const uint8_t *bytes, size_t length)
{
    char head[HEAD_BYTES];
    bool continues;
    size_t said = length - 2;
    int head_bytes = bytes[0] & LINE_BARE
                         ? 0
                         : snprintf(head, sizeof(head),
                                    "POST /txn HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                                    "Content-Length: %zu\r\n\r\n",
                                    said);
    char *all = malloc((size_t)head_bytes + said + 1);
    CHECK(all);
    memcpy(all, head, (size_t)head_bytes);
    memcpy(all + head_bytes, bytes + 2, said);
    node->manner = bytes[1];
    converse(node, head, (size_t)head_bytes, bytes + 2, said, bytes[0]);
    check_answers(node, all, (size_t)head_bytes + said, &continues);
    struct line split = node->line;
    converse(node, head, (size_t)head_bytes, (const uint8_t *)all + head_bytes, said,
             (bytes[0] & LINE_BARE) | LINE_PIECE_MASK);
    CHECK(continues || (split.output_bytes == node->line.output_bytes &&
                        memcmp(split.output, node->line.output, split.output_bytes) == 0));
    line_close(&split);
    line_close(&node->line);
    kv_request_release(node->first);
    free(all);
}

int fuzz_kv_http(const uint8_t *bytes, size_t length)
{
    static const char cluster[] = "cluster shop\nreplication 1\nnode 1 10.0.0.2\n";
    char error[KV_CLUSTER_ERROR_BYTES];
    struct kv_node *node = calloc(1, sizeof(*node));
    CHECK(node && kv_cluster_parse(cluster, strlen(cluster), &node->cluster, error));
    if (length >= 2)
        run(node, bytes, length);
    free(node);
    return 0;
}
