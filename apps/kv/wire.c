/* SPDX-License-Identifier: MIT */
/*
 * Two halves: what is packed, from structs on the stack that refer to what they are given; and what
 * is read, into an arena first, from where keys and values are copied into blobs of their own.
 *
 * A delivery is packed message by message, each of them behind the others as a field of KvDelivery:
 * so nothing has to be kept until it is sent but the bytes themselves.
 */
#include "kv/wire.h"

#include <stdlib.h>
#include <string.h>

#include "rpc/message.h"

#define ROOM_MIN          512
#define FIELD_LENGTH      2 /* wire type of bytes and messages */
#define FIELD_MESSAGES    4 /* of KvDelivery */
#define LENGTH_BYTES_MAX  5
#define BITS_PER_BYTE_SET 7

/* ---- Bytes ---- */

void kv_bytes_free(struct kv_bytes *b)
{
    free(b->bytes);
    *b = (struct kv_bytes){0};
}

/* Room for so many more. Returns where, or NULL. */
static uint8_t *reserve(struct kv_bytes *b, size_t length)
{
    if (b->bytes && length <= b->room - b->length)
        return b->bytes + b->length;
    size_t room = b->room > ROOM_MIN ? b->room : ROOM_MIN;
    while (length > room - b->length)
        room *= 2;
    uint8_t *bytes = realloc(b->bytes, room);
    if (!bytes)
        return NULL;
    b->bytes = bytes;
    b->room = room;
    return b->bytes + b->length;
}

static bool add(struct kv_bytes *b, const ProtobufCMessage *message)
{
    uint8_t *at = reserve(b, protobuf_c_message_get_packed_size(message));
    if (at)
        b->length += protobuf_c_message_pack(message, at);
    return at != NULL;
}

/* Adds a message as a field of another one. */
static bool add_field(struct kv_bytes *b, unsigned number, const ProtobufCMessage *message)
{
    size_t length = protobuf_c_message_get_packed_size(message);
    uint8_t *at = reserve(b, 1 + LENGTH_BYTES_MAX + length);
    if (!at)
        return false;
    *at++ = (uint8_t)(number << 3 | FIELD_LENGTH);
    for (size_t rest = length;; rest >>= BITS_PER_BYTE_SET) {
        *at++ = (uint8_t)((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
        if (rest <= 0x7f)
            break;
    }
    b->length = (size_t)(at - b->bytes) + protobuf_c_message_pack(message, at);
    return true;
}

static ProtobufCBinaryData data_of(const struct kv_blob *blob)
{
    if (!blob)
        return (ProtobufCBinaryData){0, NULL};
    return (ProtobufCBinaryData){blob->length, (uint8_t *)(uintptr_t)blob->bytes};
}

static struct kv_blob *blob_of(ProtobufCBinaryData data)
{
    return kv_blob_new(data.data, data.len);
}

/* ---- Parts, packed ---- */

static void pack_txid(Strait__KvTxid *p, struct kv_txid id)
{
    strait__kv_txid__init(p);
    p->coordinator = id.coordinator;
    p->incarnation = id.incarnation;
    p->sequence = id.sequence;
}

/* What the operations, or results, of a message are packed from. */
struct parts {
    Strait__KvIdentity identity;
    union {
        struct {
            Strait__KvOperation operations[KV_OPERATIONS_MAX];
            Strait__KvOperation *operation_list[KV_OPERATIONS_MAX];
        };
        struct {
            Strait__KvResult results[KV_OPERATIONS_MAX];
            Strait__KvResult *result_list[KV_OPERATIONS_MAX];
        };
    };
};

static Strait__KvIdentity *pack_identity(struct parts *parts, const struct kv_request *request)
{
    strait__kv_identity__init(&parts->identity);
    parts->identity.client = request->client;
    parts->identity.sequence = request->sequence;
    parts->identity.lowest = request->retired;
    return &parts->identity;
}

static void pack_operation(Strait__KvOperation *p, const struct kv_operation *o)
{
    strait__kv_operation__init(p);
    p->kind = (Strait__KvOperation__Kind)o->kind;
    p->key = data_of(o->key);
    p->value = data_of(o->value);
    p->version = o->version;
    p->replicas = o->replicas;
}

/* The operations that have one of `replicas`; 0: all. Returns how many. */
static size_t pack_operations(struct parts *parts, const struct kv_request *request,
                              kv_nodes replicas)
{
    size_t count = 0;
    for (uint32_t i = 0; i < request->count; i++) {
        const struct kv_operation *o = &request->operations[i];
        if (replicas != 0 && !(o->replicas & replicas))
            continue;
        pack_operation(&parts->operations[count], o);
        parts->operation_list[count] = &parts->operations[count];
        count++;
    }
    return count;
}

static void pack_result(struct parts *parts, size_t i, const struct kv_result *r)
{
    Strait__KvResult *p = &parts->results[i];
    strait__kv_result__init(p);
    parts->result_list[i] = p;
    p->unknown = !r;
    if (!r)
        return;
    p->found = r->found;
    p->version = r->version;
    p->value = data_of(r->value);
}

/* ---- Deliveries, packed ---- */

bool kv_wire_begin(struct kv_bytes *b, const struct kv_cluster *cluster, uint32_t from, uint32_t to)
{
    Strait__KvDelivery d = STRAIT__KV_DELIVERY__INIT;
    d.cluster = (char *)(uintptr_t)cluster->name;
    d.from = from;
    d.to = to;
    d.digest = cluster->digest;
    return add(b, &d.base);
}

bool kv_wire_add(struct kv_bytes *b, const struct kv_message *m)
{
    Strait__KvMessage p = STRAIT__KV_MESSAGE__INIT;
    Strait__KvTxid txid, mark, holder;
    Strait__KvRequest request = STRAIT__KV_REQUEST__INIT;
    Strait__KvMessageRefusal refusal = STRAIT__KV_MESSAGE_REFUSAL__INIT;
    struct parts parts;

    p.kind = m->kind;
    p.participants = m->participants;
    p.answer = m->answer;
    if (m->txid.incarnation != 0) {
        pack_txid(&txid, m->txid);
        p.txid = &txid;
    }
    if (m->mark.incarnation != 0) {
        pack_txid(&mark, m->mark);
        p.mark = &mark;
    }
    if (m->request) {
        request.identity = m->request->client != 0 ? pack_identity(&parts, m->request) : NULL;
        request.epoch = m->request->epoch;
        request.participants = m->request->participants;
        request.n_operations = pack_operations(&parts, m->request, kv_node_bit(m->to));
        request.operations = parts.operation_list;
        p.request = &request;
    }
    if (m->results) {
        for (uint32_t i = 0; i < m->results->count; i++)
            pack_result(&parts, i, &m->results->list[i]);
        p.has_results = true;
        p.n_results = m->results->count;
        p.results = parts.result_list;
    }
    if (m->refusal.reason != KV_REASON_NONE) {
        pack_txid(&holder, m->refusal.holder);
        refusal.reason = m->refusal.reason;
        refusal.node = m->refusal.node;
        refusal.operation = m->refusal.operation;
        refusal.holder = m->refusal.holder.incarnation != 0 ? &holder : NULL;
        p.refusal = &refusal;
    }
    return add_field(b, FIELD_MESSAGES, &p.base);
}

/* ---- Parts, read ---- */

static bool is_member(const struct kv_cluster *cluster, uint32_t node)
{
    return (cluster->placement.members & kv_node_bit(node)) != 0;
}

static bool are_members(const struct kv_cluster *cluster, kv_nodes nodes)
{
    return (nodes & ~cluster->placement.members) == 0;
}

/* None is one, with incarnation 0. */
static bool read_txid(const struct kv_cluster *cluster, const Strait__KvTxid *p, struct kv_txid *id)
{
    *id = (struct kv_txid){0};
    if (!p)
        return true;
    *id = (struct kv_txid){p->coordinator, p->incarnation, p->sequence};
    return p->incarnation != 0 && p->sequence <= KV_JOURNAL_SEQUENCE_MAX &&
           is_member(cluster, p->coordinator);
}

static void read_identity(struct kv_request *request, const Strait__KvIdentity *p)
{
    if (!p)
        return;
    request->client = p->client;
    request->sequence = p->sequence;
    request->retired = p->lowest;
}

/* Fills a new request, all of whose operations are empty. */
static enum kv_wire_fault read_operations(struct kv_request *request,
                                          Strait__KvOperation *const *list)
{
    for (uint32_t i = 0; i < request->count; i++) {
        const Strait__KvOperation *p = list[i];
        struct kv_operation *o = &request->operations[i];
        if ((unsigned)p->kind > KV_CHECK)
            return KV_WIRE_MALFORMED;
        o->kind = (enum kv_operation_kind)p->kind;
        o->version = p->version;
        o->replicas = p->replicas;
        o->key = blob_of(p->key);
        if (o->kind == KV_PUT)
            o->value = blob_of(p->value);
        if (!o->key || (o->kind == KV_PUT && !o->value))
            return KV_WIRE_NO_MEMORY;
    }
    return KV_WIRE_SOUND;
}

static struct kv_request *request_of(size_t count, Strait__KvOperation *const *list,
                                     enum kv_wire_fault *fault)
{
    *fault = KV_WIRE_MALFORMED;
    if (count == 0 || count > KV_OPERATIONS_MAX)
        return NULL;
    struct kv_request *request = kv_request_new((uint32_t)count);
    *fault = request ? read_operations(request, list) : KV_WIRE_NO_MEMORY;
    if (*fault == KV_WIRE_SOUND)
        return request;
    kv_request_release(request);
    return NULL;
}

static bool read_request(const struct kv_cluster *cluster, const Strait__KvRequest *p,
                         struct kv_message *m)
{
    enum kv_wire_fault fault;
    if (!p)
        return m->kind != KV_VOTE_REQUEST;
    m->request = request_of(p->n_operations, p->operations, &fault);
    if (!m->request)
        return false;
    read_identity(m->request, p->identity);
    m->request->epoch = p->epoch;
    m->request->participants = p->participants;
    return are_members(cluster, p->participants) && kv_request_valid(m->request) &&
           !kv_node_limit(cluster, m->request);
}

/* An empty value does not travel: it is none. */
static struct kv_results *read_results(const struct kv_cluster *cluster,
                                       Strait__KvResult *const *list, size_t count, bool *known)
{
    struct kv_results *results =
        count <= KV_OPERATIONS_MAX ? kv_results_new((uint32_t)count) : NULL;

    for (uint32_t i = 0; results && i < count; i++) {
        const Strait__KvResult *p = list[i];
        struct kv_result *r = &results->list[i];
        r->found = p->found;
        r->version = p->version;
        if (known)
            known[i] = !p->unknown;
        if (p->value.len == 0)
            continue;
        r->value = p->value.len <= cluster->value_bytes ? blob_of(p->value) : NULL;
        if (r->value)
            continue;
        kv_results_release(results);
        results = NULL;
    }
    return results;
}

static bool read_refusal(const struct kv_cluster *cluster, const Strait__KvMessageRefusal *p,
                         struct kv_refusal *r)
{
    if (!p)
        return true;
    r->reason = (enum kv_reason)p->reason;
    r->node = p->node;
    r->operation = p->operation;
    return p->reason <= KV_REASON_MAX && is_member(cluster, p->node) &&
           p->operation < KV_OPERATIONS_MAX && read_txid(cluster, p->holder, &r->holder);
}

/* ---- Deliveries, read ---- */

/* Whether it speaks of what it may: of a transaction of its sender, or of its receiver, or any. */
static bool is_in_place(const struct kv_message *m)
{
    switch (m->kind) {
    case KV_MARK:
        return m->mark.incarnation != 0;
    case KV_VOTE_REQUEST:
    case KV_GLOBAL_COMMIT:
    case KV_GLOBAL_ABORT:
        return m->txid.incarnation != 0 && m->txid.coordinator == m->from;
    case KV_VOTE_COMMIT:
        return m->results && m->txid.incarnation != 0 && m->txid.coordinator == m->to;
    case KV_VOTE_ABORT:
        return m->refusal.reason != KV_REASON_NONE && m->txid.incarnation != 0 &&
               m->txid.coordinator == m->to;
    case KV_ACK:
    case KV_INQUIRE_COORDINATOR:
        return m->txid.incarnation != 0 && m->txid.coordinator == m->to;
    default:
        return m->txid.incarnation != 0;
    }
}

/* Fills in what a message says; `from` and `to` are set. */
static bool read_message(const struct kv_cluster *cluster, const Strait__KvMessage *p,
                         struct kv_message *m)
{
    if (p->kind > KV_MARK || p->answer > KV_UNKNOWN || !are_members(cluster, p->participants))
        return false;
    m->kind = (enum kv_message_kind)p->kind;
    m->participants = p->participants;
    m->answer = (enum kv_answer)p->answer;
    if (!read_txid(cluster, p->txid, &m->txid) || !read_txid(cluster, p->mark, &m->mark))
        return false;
    if (m->mark.incarnation != 0 && m->mark.coordinator != m->from)
        return false;
    if (!read_request(cluster, p->request, m) || !read_refusal(cluster, p->refusal, &m->refusal))
        return false;
    if (p->has_results) {
        m->results = read_results(cluster, p->results, p->n_results, NULL);
        if (!m->results)
            return false;
    }
    return is_in_place(m);
}

static enum kv_wire_fault check_sender(const struct kv_cluster *cluster, uint32_t self,
                                       const char *name, uint64_t digest, uint32_t from,
                                       uint32_t to)
{
    if (strcmp(name, cluster->name) != 0)
        return KV_WIRE_FOREIGN;
    if (digest != cluster->digest)
        return KV_WIRE_OTHER_FILE;
    return is_member(cluster, from) && from != self && to == self ? KV_WIRE_SOUND : KV_WIRE_FOREIGN;
}

enum kv_wire_fault kv_wire_read(const struct kv_cluster *cluster, uint32_t self,
                                const uint8_t *bytes, size_t length,
                                void (*take)(void *context, const struct kv_message *),
                                void *context, uint64_t *refused)
{
    struct message_arena arena;
    enum kv_wire_fault fault = KV_WIRE_MALFORMED;

    message_arena_init(&arena);
    const Strait__KvDelivery *d = (const Strait__KvDelivery *)(const void *)message_unpack(
        &arena, &strait__kv_delivery__descriptor, bytes, length);
    if (d)
        fault = check_sender(cluster, self, d->cluster, d->digest, d->from, d->to);
    for (size_t i = 0; fault == KV_WIRE_SOUND && i < d->n_messages; i++) {
        struct kv_message m = {.from = d->from, .to = self};
        if (read_message(cluster, d->messages[i], &m))
            take(context, &m);
        else
            ++*refused;
        kv_request_release(m.request);
        kv_results_release(m.results);
    }
    message_arena_free(&arena);
    return fault;
}

/* ---- Requests that are passed on ---- */

struct kv_request *kv_wire_request(const Strait__KvTxnRequest *p, enum kv_wire_fault *fault)
{
    struct kv_request *request = request_of(p->n_operations, p->operations, fault);
    if (request)
        read_identity(request, p->identity);
    return request;
}

bool kv_wire_add_forward(struct kv_bytes *b, const struct kv_cluster *cluster, uint32_t to,
                         const struct kv_forward *f)
{
    Strait__KvForward p = STRAIT__KV_FORWARD__INIT;
    Strait__KvTxnRequest txn = STRAIT__KV_TXN_REQUEST__INIT;
    Strait__KvGetRequest get = STRAIT__KV_GET_REQUEST__INIT;
    struct parts parts;

    p.cluster = (char *)(uintptr_t)cluster->name;
    p.from = f->from;
    p.to = to;
    p.digest = cluster->digest;
    p.timeout_ms = f->timeout_ms;
    if (f->request) {
        txn.identity = pack_identity(&parts, f->request);
        txn.n_operations = pack_operations(&parts, f->request, 0);
        txn.operations = parts.operation_list;
        p.txn = &txn;
    } else {
        get.key = data_of(f->key);
        get.stale = f->stale;
        p.get = &get;
    }
    return add(b, &p.base);
}

enum kv_wire_fault kv_wire_read_forward(const struct kv_cluster *cluster, uint32_t self,
                                        const uint8_t *bytes, size_t length, struct kv_forward *f)
{
    struct message_arena arena;
    enum kv_wire_fault fault = KV_WIRE_MALFORMED;

    *f = (struct kv_forward){0};
    message_arena_init(&arena);
    const Strait__KvForward *p = (const Strait__KvForward *)(const void *)message_unpack(
        &arena, &strait__kv_forward__descriptor, bytes, length);
    if (p)
        fault = check_sender(cluster, self, p->cluster, p->digest, p->from, p->to);
    if (fault == KV_WIRE_SOUND && p->txn) {
        f->request = kv_wire_request(p->txn, &fault);
    } else if (fault == KV_WIRE_SOUND && p->get) {
        f->key = blob_of(p->get->key);
        f->stale = p->get->stale;
        fault = f->key ? KV_WIRE_SOUND : KV_WIRE_NO_MEMORY;
    } else if (fault == KV_WIRE_SOUND) {
        fault = KV_WIRE_MALFORMED;
    }
    if (fault == KV_WIRE_SOUND) {
        f->from = p->from;
        f->timeout_ms = p->timeout_ms;
    }
    message_arena_free(&arena);
    return fault;
}

/* ---- Their answers ---- */

static Strait__KvRefusal *pack_refusal(Strait__KvRefusal *p, Strait__KvTxid *holder,
                                       const struct kv_outcome *outcome)
{
    const struct kv_refusal *r = &outcome->refusal;
    if (r->reason == KV_REASON_NONE)
        return NULL;
    strait__kv_refusal__init(p);
    p->reason = (Strait__KvRefusal__Reason)r->reason;
    p->node = r->node;
    p->key = data_of(outcome->key);
    pack_txid(holder, r->holder);
    p->holder = r->holder.incarnation != 0 ? holder : NULL;
    return p;
}

bool kv_wire_add_txn_reply(struct kv_bytes *b, const struct kv_outcome *outcome)
{
    Strait__KvTxnReply p = STRAIT__KV_TXN_REPLY__INIT;
    Strait__KvRefusal refusal;
    Strait__KvTxid txid, holder;
    struct parts parts;

    pack_txid(&txid, outcome->txid);
    p.txid = outcome->txid.incarnation != 0 ? &txid : NULL;
    p.committed = outcome->end == KV_COMMITTED_NOW;
    p.refusal = pack_refusal(&refusal, &holder, outcome);
    if (p.committed) {
        for (uint32_t i = 0; i < outcome->count; i++)
            pack_result(&parts, i, outcome->results[i]);
        p.n_results = outcome->count;
        p.results = parts.result_list;
    }
    return add(b, &p.base);
}

bool kv_wire_add_get_reply(struct kv_bytes *b, const struct kv_outcome *outcome)
{
    Strait__KvGetReply p = STRAIT__KV_GET_REPLY__INIT;
    Strait__KvRefusal refusal;
    Strait__KvTxid holder;

    p.refusal = pack_refusal(&refusal, &holder, outcome);
    if (!p.refusal) {
        p.found = outcome->results[0]->found;
        p.version = outcome->results[0]->version;
        p.value = data_of(outcome->results[0]->value);
    }
    return add(b, &p.base);
}

/* Returns whether it is one; with no memory for the key, it is told without. */
static bool read_whole_refusal(const struct kv_cluster *cluster, const Strait__KvRefusal *p,
                               struct kv_answer_read *a)
{
    if (!p)
        return true;
    if ((unsigned)p->reason > KV_REASON_MAX || p->key.len > cluster->key_bytes ||
        (p->node != 0 && !is_member(cluster, p->node)) ||
        !read_txid(cluster, p->holder, &a->refusal.holder))
        return false;
    a->refusal.reason = (enum kv_reason)p->reason;
    a->refusal.node = p->node;
    a->key = p->key.len > 0 ? blob_of(p->key) : NULL;
    return true;
}

static bool read_txn_answer(const struct kv_cluster *cluster, const Strait__KvTxnReply *p,
                            uint32_t count, struct kv_answer_read *a)
{
    a->committed = p->committed;
    if (!read_txid(cluster, p->txid, &a->txid) ||
        p->committed != (p->n_results == count && count > 0))
        return false;
    if (!p->committed && (!p->refusal || p->refusal->reason == 0))
        return false;
    if (p->committed) {
        a->results = read_results(cluster, p->results, p->n_results, a->known);
        if (!a->results)
            return false;
    }
    return read_whole_refusal(cluster, p->refusal, a);
}

static bool read_get_answer(const struct kv_cluster *cluster, const Strait__KvGetReply *p,
                            struct kv_answer_read *a)
{
    Strait__KvResult result = STRAIT__KV_RESULT__INIT;
    a->committed = !p->refusal || p->refusal->reason == 0;
    if (!a->committed)
        return read_whole_refusal(cluster, p->refusal, a);
    result.found = p->found;
    result.version = p->version;
    result.value = p->value;
    a->results = read_results(cluster, (Strait__KvResult *[]){&result}, 1, a->known);
    return a->results != NULL;
}

static bool end_reading(struct message_arena *arena, bool is_sound, struct kv_answer_read *a)
{
    message_arena_free(arena);
    if (is_sound)
        return true;
    kv_results_release(a->results);
    kv_blob_release(a->key);
    return false;
}

bool kv_wire_read_txn_reply(const struct kv_cluster *cluster, const uint8_t *bytes, size_t length,
                            uint32_t count, struct kv_answer_read *a)
{
    struct message_arena arena;

    *a = (struct kv_answer_read){0};
    message_arena_init(&arena);
    const ProtobufCMessage *p =
        message_unpack(&arena, &strait__kv_txn_reply__descriptor, bytes, length);
    bool is_sound = p && read_txn_answer(cluster, (const void *)p, count, a);
    return end_reading(&arena, is_sound, a);
}

bool kv_wire_read_get_reply(const struct kv_cluster *cluster, const uint8_t *bytes, size_t length,
                            struct kv_answer_read *a)
{
    struct message_arena arena;

    *a = (struct kv_answer_read){0};
    message_arena_init(&arena);
    const ProtobufCMessage *p =
        message_unpack(&arena, &strait__kv_get_reply__descriptor, bytes, length);
    bool is_sound = p && read_get_answer(cluster, (const void *)p, a);
    return end_reading(&arena, is_sound, a);
}
