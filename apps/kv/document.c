/* SPDX-License-Identifier: MIT */
#include "kv/document.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/base64.h"

#define MEMBER_BYTES 64

/* ---- Transactions' names ---- */

const char *kv_txid_write(struct kv_txid txid, char text[KV_TXID_BYTES])
{
    snprintf(text, KV_TXID_BYTES, "%" PRIu32 ".%" PRIu32 ".%" PRIu64, txid.coordinator,
             txid.incarnation, txid.sequence);
    return text;
}

/* Takes a number of digits alone off the text, up to `max`. */
static bool take_number(const char **at, const char *end, uint64_t max, uint64_t *value)
{
    const char *begin = *at;
    for (*value = 0; *at < end && isdigit((unsigned char)**at); ++*at) {
        uint64_t digit = (uint64_t)(**at - '0');
        if (*value > (max - digit) / 10)
            return false;
        *value = *value * 10 + digit;
    }
    return *at > begin;
}

bool kv_txid_read(const char *text, size_t length, struct kv_txid *txid)
{
    const char *at = text, *end = text + length;
    uint64_t coordinator, incarnation;
    if (!take_number(&at, end, KV_NODES_MAX, &coordinator) || at == end || *at++ != '.' ||
        !take_number(&at, end, UINT32_MAX, &incarnation) || at == end || *at++ != '.' ||
        !take_number(&at, end, UINT64_MAX, &txid->sequence) || at != end)
        return false;
    txid->coordinator = (uint32_t)coordinator;
    txid->incarnation = (uint32_t)incarnation;
    return coordinator > 0 && incarnation > 0;
}

/* ---- Reading ---- */

struct reading {
    struct message_arena *arena;
    Strait__KvTxnRequest *request;
    char *fault;
};

static bool fail(struct reading *r, int error, const char *where, const char *what)
{
    /* What is cut may be no UTF-8 any more. */
    snprintf(r->fault, KV_FAULT_BYTES, "\"%s\": %.100s", strlen(where) < 40 ? where : "...", what);
    errno = error;
    return false;
}

static void *allocate(struct reading *r, size_t size)
{
    return r->arena->allocator.alloc(r->arena, size);
}

static bool copy(struct reading *r, ProtobufCBinaryData *to, const char *bytes, size_t length)
{
    to->data = allocate(r, length + 1);
    if (!to->data)
        return fail(r, ENOMEM, "value", "there is no memory for it");
    memcpy(to->data, bytes, length);
    to->len = length;
    return true;
}

/* Adds an operation on the key. Returns NULL if there cannot be one. */
static Strait__KvOperation *add(struct reading *r, const char *section,
                                Strait__KvOperation__Kind kind, const char *key, size_t length)
{
    Strait__KvTxnRequest *request = r->request;
    Strait__KvOperation *o = NULL;
    if (length == 0)
        fail(r, EINVAL, section, "a key is empty");
    else if (request->n_operations == KV_OPERATIONS_MAX)
        fail(r, EMSGSIZE, section, "there are too many keys");
    else if (!(o = allocate(r, sizeof(*o))))
        fail(r, ENOMEM, section, "there is no memory for it");
    if (!o)
        return NULL;
    strait__kv_operation__init(o);
    o->kind = kind;
    if (!copy(r, &o->key, key, length))
        return NULL;
    request->operations[request->n_operations++] = o;
    return o;
}

/* A list of keys. */
static bool read_keys(struct reading *r, const char *section, const json_t *list,
                      Strait__KvOperation__Kind kind)
{
    size_t i;
    json_t *key;
    if (!json_is_array(list))
        return fail(r, EINVAL, section, "is no list of keys");
    json_array_foreach(list, i, key)
    {
        if (!json_is_string(key))
            return fail(r, EINVAL, section, "a key is no string");
        if (!add(r, section, kind, json_string_value(key), json_string_length(key)))
            return false;
    }
    return true;
}

static bool read_delete(struct reading *r, const char *section, json_t *list)
{
    return read_keys(r, section, list, STRAIT__KV_OPERATION__KIND__DELETE);
}

static bool read_get(struct reading *r, const char *section, json_t *list)
{
    return read_keys(r, section, list, STRAIT__KV_OPERATION__KIND__GET);
}

/* The only member of an object, if it has this name. */
static json_t *only_member(const json_t *object, const char *name)
{
    return json_object_size(object) == 1 ? json_object_get(object, name) : NULL;
}

/* A string, or {"value_base64": "..."}. */
static bool read_value(struct reading *r, const char *key, const json_t *json,
                       ProtobufCBinaryData *value)
{
    const json_t *coded = only_member(json, "value_base64");
    if (json_is_string(json))
        return copy(r, value, json_string_value(json), json_string_length(json));
    if (!json_is_string(coded))
        return fail(r, EINVAL, key, "its value is no string, nor {\"value_base64\": ...}");
    size_t length = json_string_length(coded);
    value->data = allocate(r, BASE64_BYTES_MAX(length));
    if (!value->data)
        return fail(r, ENOMEM, key, "there is no memory for its value");
    return base64_read(json_string_value(coded), length, value->data, &value->len) ||
           fail(r, EINVAL, key, "its value is no base64");
}

static bool read_put(struct reading *r, const char *section, json_t *values)
{
    const char *key;
    json_t *value;
    if (!json_is_object(values))
        return fail(r, EINVAL, section, "is no object of keys and values");
    json_object_foreach(values, key, value)
    {
        Strait__KvOperation *o = add(r, section, STRAIT__KV_OPERATION__KIND__PUT, key, strlen(key));
        if (!o || !read_value(r, key, value, &o->value))
            return false;
    }
    return true;
}

static bool read_if(struct reading *r, const char *section, json_t *conditions)
{
    const char *key;
    json_t *condition;
    if (!json_is_object(conditions))
        return fail(r, EINVAL, section, "is no object of keys and conditions");
    json_object_foreach(conditions, key, condition)
    {
        const json_t *version = only_member(condition, "version");
        if (!json_is_integer(version) || json_integer_value(version) < 0)
            return fail(r, EINVAL, key, "its condition is not {\"version\": NUMBER}");
        Strait__KvOperation *o =
            add(r, section, STRAIT__KV_OPERATION__KIND__CHECK, key, strlen(key));
        if (!o)
            return false;
        o->version = (uint64_t)json_integer_value(version);
    }
    return true;
}

static const struct {
    const char *name;
    bool (*read)(struct reading *, const char *section, json_t *);
} sections[] = {{"if", read_if}, {"put", read_put}, {"delete", read_delete}, {"get", read_get}};

#define SECTIONS (sizeof(sections) / sizeof(sections[0]))

static bool read_sections(struct reading *r, json_t *json)
{
    size_t known = 0;
    for (size_t i = 0; i < SECTIONS; i++) {
        json_t *section = json_object_get(json, sections[i].name);
        known += section != NULL;
        if (section && !sections[i].read(r, sections[i].name, section))
            return false;
    }
    if (known < json_object_size(json))
        return fail(r, EINVAL, "transaction", "has members that are not if, put, delete or get");
    return r->request->n_operations > 0 || fail(r, EINVAL, "transaction", "asks for nothing");
}

Strait__KvTxnRequest *kv_document_read(struct message_arena *arena, const char *text, size_t length,
                                       char fault[KV_FAULT_BYTES])
{
    json_error_t error;
    struct reading r = {.arena = arena, .fault = fault};
    json_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    bool sound = false;
    r.request = allocate(&r, sizeof(*r.request));
    if (r.request) {
        strait__kv_txn_request__init(r.request);
        r.request->operations = allocate(&r, KV_OPERATIONS_MAX * sizeof(*r.request->operations));
    }
    if (!r.request || !r.request->operations)
        fail(&r, ENOMEM, "transaction", "there is no memory for it");
    else if (!json)
        fail(&r, EINVAL, "transaction", error.text);
    else if (!json_is_object(json))
        fail(&r, EINVAL, "transaction", "is no object");
    else
        sound = read_sections(&r, json);
    int saved = errno;
    json_decref(json);
    errno = saved;
    return sound ? r.request : NULL;
}

/* ---- Writing ---- */

int kv_json_set_bytes(json_t *json, const char *name, const void *bytes, size_t length)
{
    char member[MEMBER_BYTES];
    json_t *value = json_stringn(length > 0 ? bytes : "", length);
    if (value)
        return json_object_set_new(json, name, value);
    char *text = malloc(BASE64_TEXT_BYTES(length) + 1);
    if (!text)
        return -1;
    base64_write(bytes, length, text);
    snprintf(member, sizeof(member), "%s_base64", name);
    int result = json_object_set_new(json, member, json_stringn(text, BASE64_TEXT_BYTES(length)));
    free(text);
    return result;
}

char *kv_json_text(json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    return text;
}

static void set_txid(json_t *json, const char *name, struct kv_txid txid)
{
    char text[KV_TXID_BYTES];
    if (txid.incarnation != 0)
        json_object_set_new(json, name, json_string(kv_txid_write(txid, text)));
}

static struct kv_txid txid_of(const Strait__KvTxid *txid)
{
    if (!txid)
        return (struct kv_txid){0};
    return (struct kv_txid){txid->coordinator, txid->incarnation, txid->sequence};
}

/* What became of one operation; NULL of one that tells nothing. */
static json_t *write_result(const Strait__KvOperation *o, const Strait__KvResult *r)
{
    json_t *json = json_object();
    bool writes = o->kind == STRAIT__KV_OPERATION__KIND__PUT;
    if (!json || r->unknown)
        return json;
    json_object_set_new(json, "version", json_integer((json_int_t)r->version));
    if (!writes)
        json_object_set_new(json, "found", json_boolean(r->found));
    if (o->kind == STRAIT__KV_OPERATION__KIND__GET && r->found &&
        kv_json_set_bytes(json, "value", r->value.data, r->value.len) < 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* Adds the result to the object of its kind. Returns 0, or -1 if memory is short. */
static int add_result(json_t *json, const Strait__KvOperation *o, const Strait__KvResult *r)
{
    static const char *const names[] = {"put", "delete", "get"};
    if (o->kind == STRAIT__KV_OPERATION__KIND__CHECK)
        return 0;
    const char *name = names[o->kind];
    json_t *section = json_object_get(json, name);
    if (!section) {
        section = json_object();
        if (json_object_set_new(json, name, section) < 0)
            return -1;
    }
    return json_object_setn_new(section, (const char *)o->key.data, o->key.len, write_result(o, r));
}

static char *write_refusal(const Strait__KvRefusal *, struct kv_txid);

char *kv_document_txn(const Strait__KvTxnRequest *request, const Strait__KvTxnReply *reply)
{
    const Strait__KvRefusal *refusal = reply->refusal;
    Strait__KvRefusal none = STRAIT__KV_REFUSAL__INIT;
    if (!reply->committed)
        return write_refusal(refusal ? refusal : &none, txid_of(reply->txid));
    json_t *json = json_object();
    json_object_set_new(json, "committed", json_true());
    set_txid(json, "txid", txid_of(reply->txid));
    if (refusal && refusal->reason == STRAIT__KV_REFUSAL__REASON__ALREADY) {
        json_object_set_new(json, "already", json_true());
        set_txid(json, "txid", txid_of(refusal->holder));
    }
    for (size_t i = 0; i < request->n_operations && i < reply->n_results; i++)
        if (add_result(json, request->operations[i], reply->results[i]) < 0) {
            json_decref(json);
            return NULL;
        }
    return kv_json_text(json);
}

#define REASON(name) [STRAIT__KV_REFUSAL__REASON__##name]

const char *kv_reason_word(int reason)
{
    static const char *const words[] = {
        REASON(NONE) = "none",           REASON(LOCKED) = "locked",
        REASON(CONDITION) = "condition", REASON(ALREADY) = "already",
        REASON(RETIRED) = "retired",     REASON(EPOCH) = "epoch",
        REASON(ABORTED) = "aborted",     REASON(BUSY) = "busy",
        REASON(DAMAGED) = "damaged",     REASON(INVALID) = "invalid",
        REASON(TIMEOUT) = "timeout",     REASON(RESTARTED) = "restarted",
        REASON(LARGE) = "large",         REASON(UNREACHABLE) = "unreachable",
    };
    return (size_t)reason < sizeof(words) / sizeof(words[0]) ? words[reason] : "unknown";
}

const char *kv_reason_sentence(int reason)
{
    switch (reason) {
    case STRAIT__KV_REFUSAL__REASON__LOCKED:
        return "another transaction has a lock on the key; try again";
    case STRAIT__KV_REFUSAL__REASON__CONDITION:
        return "the key does not have the version that was demanded";
    case STRAIT__KV_REFUSAL__REASON__RETIRED:
        return "the client has said that it will not ask for this sequence any more";
    case STRAIT__KV_REFUSAL__REASON__BUSY:
        return "a limit of the node is reached; try again";
    case STRAIT__KV_REFUSAL__REASON__DAMAGED:
        return "a row of the node does not match its checksum";
    case STRAIT__KV_REFUSAL__REASON__INVALID:
        return "the transaction makes no sense, such as one that writes a key twice";
    case STRAIT__KV_REFUSAL__REASON__TIMEOUT:
        return "the node has not voted in time";
    case STRAIT__KV_REFUSAL__REASON__RESTARTED:
        return "the coordinator has restarted before it had decided";
    case STRAIT__KV_REFUSAL__REASON__LARGE:
        return "what it reads is more than an answer may hold; read less at once";
    case STRAIT__KV_REFUSAL__REASON__UNREACHABLE:
        return "the node that has to be asked cannot be reached";
    default:
        return "the attempt has ended without an effect; try again";
    }
}

static char *write_refusal(const Strait__KvRefusal *r, struct kv_txid txid)
{
    json_t *json = json_object();
    json_object_set_new(json, "committed", json_false());
    json_object_set_new(json, "outcome", json_string("failed"));
    json_object_set_new(json, "reason", json_string(kv_reason_word((int)r->reason)));
    set_txid(json, "txid", txid);
    if (r->key.len > 0)
        kv_json_set_bytes(json, "key", r->key.data, r->key.len);
    set_txid(json, "holder", txid_of(r->holder));
    if (r->node != 0)
        json_object_set_new(json, "node", json_integer((json_int_t)r->node));
    json_object_set_new(json, "message", json_string(kv_reason_sentence((int)r->reason)));
    return kv_json_text(json);
}

char *kv_document_refusal(const Strait__KvRefusal *refusal)
{
    return write_refusal(refusal, (struct kv_txid){0});
}

char *kv_document_error(const char *outcome, const char *reason, const char *message, uint32_t node,
                        struct kv_txid txid)
{
    json_t *json = json_object();
    json_object_set_new(json, "outcome", json_string(outcome));
    json_object_set_new(json, "reason", json_string(reason));
    if (node != 0)
        json_object_set_new(json, "node", json_integer((json_int_t)node));
    set_txid(json, "txid", txid);
    json_t *words = json_string(message);
    json_object_set_new(json, "message", words ? words : json_string(reason));
    return kv_json_text(json);
}
