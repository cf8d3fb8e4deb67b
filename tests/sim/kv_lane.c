/* SPDX-License-Identifier: MIT */
#include "kv_lane.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

#define MS      UINT64_C(1000000)
#define S       UINT64_C(1000000000)
#define LAST_NS (20 * S) /* the deadline of what has to be answered */

uint64_t kv_lane_draw(struct kv_load *l, uint64_t least, uint64_t most)
{
    return least + prng_below(l->prng, most - least + 1);
}

uint64_t kv_lane_now(const struct kv_load *l)
{
    return world_now(l->cluster->world);
}

void kv_lane_read_value(struct kv_load *l, uint32_t key, const uint8_t *value, size_t length,
                        struct kv_seen *seen)
{
    char line[80], name[8];
    if (kv_value_read(key, value, length, seen))
        return;
    kv_value_key(key, name);
    snprintf(line, sizeof(line), "%s has a value that nobody has written: %zu bytes", name, length);
    l->violated(l->context, line);
}

void kv_lane_rest(struct kv_lane *lane)
{
    struct kv_lanes *c = lane->client;
    uint64_t pause_ns = kv_lane_draw(c->load, 0, 9) ? kv_lane_draw(c->load, MS, 60 * MS)
                                                    : kv_lane_draw(c->load, 0, S);
    lane->count = 0;
    c->env->timer_start(c->env, &lane->pause, kv_lane_now(c->load) + pause_ns);
}

/* ---- Parts ---- */

struct kv_part *kv_lane_add(struct kv_lane *lane, enum kv_operation_kind kind, uint32_t key)
{
    struct kv_part *p = &lane->parts[lane->count++];
    CHECK(lane->count <= KV_PARTS_MAX);
    p->kind = kind;
    p->key = key;
    p->length = 0;
    kv_value_key(key, p->name);
    return p;
}

void kv_lane_put(struct kv_lane *lane, uint32_t key, uint64_t number)
{
    struct kv_part *p = kv_lane_add(lane, KV_PUT, key);
    p->number = number;
    p->length = kv_value_write(lane->client->load->prng, number, p->value);
}

void kv_lane_check(struct kv_lane *lane, uint32_t key, const struct kv_seen *seen)
{
    kv_lane_add(lane, KV_CHECK, key)->seen = *seen;
}

void kv_lane_append(struct kv_lane *lane, uint32_t key, const struct kv_seen *seen, uint64_t number)
{
    struct kv_part *p = kv_lane_add(lane, KV_PUT, key);
    p->number = number;
    p->length = kv_value_append(seen, number, p->value);
}

static void record_part(struct history *h, struct kv_part *p)
{
    bool list = kv_value_is_list(p->key);
    switch (p->kind) {
    case KV_GET:
        p->operation = history_add(h, list ? HISTORY_LIST : HISTORY_READ, p->key, 0);
        break;
    case KV_CHECK:
        p->operation = list ? history_add(h, HISTORY_LIST, p->key, 0)
                            : history_add(h, HISTORY_IF, p->key, p->seen.number);
        break;
    case KV_PUT:
        p->operation = history_add(h, list ? HISTORY_APPEND : HISTORY_WRITE, p->key, p->number);
        break;
    case KV_DELETE:
        p->operation = history_add(h, HISTORY_DELETE, p->key, 0);
        break;
    }
}

static bool writes(const struct kv_part *p)
{
    return p->kind == KV_PUT || p->kind == KV_DELETE;
}

/* ---- Answers ---- */

/* The result of a part; NULL: the reply does not tell it. */
static const Strait__KvResult *result_of(const struct kv_lane *lane,
                                         const ProtobufCMessage *message, uint32_t i,
                                         Strait__KvResult *room)
{
    strait__kv_result__init(room);
    if (lane->procedure == KV_RPC_GET) {
        const Strait__KvGetReply *r = (const Strait__KvGetReply *)message;
        room->found = r->found;
        room->version = r->version;
        room->value = r->value;
        return room;
    }
    if (lane->procedure == KV_RPC_TXN) {
        const Strait__KvTxnReply *r = (const Strait__KvTxnReply *)message;
        return i < r->n_results && !r->results[i]->unknown ? r->results[i] : NULL;
    }
    const Strait__KvWriteReply *r = (const Strait__KvWriteReply *)message;
    room->found = r->found;
    room->version = r->version;
    return r->version != 0 ? room : NULL;
}

/* Each write of a key gives it the next version, so no two of them are told the same. */
static void note_version(struct kv_load *l, const struct kv_part *p, uint64_t version)
{
    struct kv_writes *w = &l->writes[p->key];
    char line[80];
    CHECK(version < KV_VERSIONS_MAX);
    if (w->versions[version]) {
        snprintf(line, sizeof(line), "two writes of %s have made version %llu", p->name,
                 (unsigned long long)version);
        l->violated(l->context, line);
    }
    w->versions[version] = true;
}

static void note_value(struct kv_load *l, const struct kv_part *p, uint64_t version,
                       uint64_t number)
{
    char line[120];
    if (p->key >= KV_REGISTERS || kv_versions_note(&l->versions, p->key, version, number))
        return;
    snprintf(line, sizeof(line), "%s never had the value %llu in version %llu", p->name,
             (unsigned long long)number, (unsigned long long)version);
    l->violated(l->context, line);
}

static void note_failure(struct kv_load *l, const struct kv_part *p)
{
    char line[120];
    if (p->key >= KV_REGISTERS || p->kind != KV_PUT || kv_versions_fail(&l->versions, p->number))
        return;
    snprintf(line, sizeof(line), "%s had the value %llu, whose write has failed", p->name,
             (unsigned long long)p->number);
    l->violated(l->context, line);
}

static void take_result(struct kv_load *l, struct kv_part *p, const Strait__KvResult *r)
{
    struct history *h = &l->history;
    if (p->kind == KV_GET) {
        static const uint8_t empty[1];
        const uint8_t *value = r->value.data ? r->value.data : empty;
        kv_lane_read_value(l, p->key, r->found ? value : NULL, r->value.len, &p->seen);
        p->seen.version = r->version;
        note_value(l, p, r->version, p->seen.number);
    }
    if (p->kind == KV_DELETE)
        history_found(h, p->operation, r->found);
    else if (p->kind != KV_PUT && kv_value_is_list(p->key))
        history_list(h, p->operation, p->seen.elements, p->seen.count);
    else if (p->kind == KV_GET)
        history_read(h, p->operation, p->seen.number);
    if (!writes(p))
        return;
    note_version(l, p, r->version);
    note_value(l, p, r->version, p->kind == KV_PUT ? p->number : 0);
}

/* Returns whether all was told: if not, the history leaves it open. */
static bool take_results(struct kv_lane *lane, const ProtobufCMessage *message)
{
    struct kv_load *l = lane->client->load;
    Strait__KvResult room;
    bool complete = true;
    for (uint32_t i = 0; i < lane->count; i++)
        complete = complete && result_of(lane, message, i, &room);
    for (uint32_t i = 0; i < lane->count; i++) {
        struct kv_part *p = &lane->parts[i];
        l->writes[p->key].done += writes(p);
        if (complete)
            take_result(l, p, result_of(lane, message, i, &room));
    }
    if (complete)
        history_end(&l->history, lane->transaction, HISTORY_OK, kv_lane_now(l));
    return complete;
}

/* Nothing of it has happened, nor will: what is known if the only condition did not hold? */
static void take_failure(struct kv_lane *lane, const char *text)
{
    struct kv_load *l = lane->client->load;
    const struct kv_part *first = &lane->parts[0];
    bool one_check = first->kind == KV_CHECK && !kv_value_is_list(first->key) &&
                     (lane->count == 1 || lane->parts[1].kind != KV_CHECK);
    for (uint32_t i = 0; i < lane->count; i++) {
        l->writes[lane->parts[i].key].possible -= writes(&lane->parts[i]);
        note_failure(l, &lane->parts[i]);
    }
    if (one_check && strncmp(text, "condition", 9) == 0)
        history_refuse(&l->history, first->operation, kv_lane_now(l));
    else
        history_end(&l->history, lane->transaction, HISTORY_FAILED, kv_lane_now(l));
}

static void count_end(struct kv_lane *lane, const struct kv_client_reply *reply)
{
    struct kv_load_totals *t = &lane->client->load->totals;
    lane->call = NULL;
    t->retries += reply->attempts - 1;
    t->done += reply->end == KV_CLIENT_DONE;
    t->failed += reply->end == KV_CLIENT_FAILED;
    t->unknown += reply->end == KV_CLIENT_UNKNOWN;
}

static void answered(void *context, const struct kv_client_reply *reply)
{
    struct kv_lane *lane = context;
    struct kv_load *l = lane->client->load;
    kv_lane_then *next = NULL;
    char line[400];
    count_end(lane, reply);
    if (reply->end == KV_CLIENT_DONE && take_results(lane, reply->message))
        next = lane->then;
    else if (reply->end == KV_CLIENT_FAILED)
        take_failure(lane, reply->text);
    if (lane->last && reply->end != KV_CLIENT_DONE) {
        snprintf(line, sizeof(line), "T%u is not done, though all is well: %s",
                 (unsigned)lane->transaction, reply->text);
        l->violated(l->context, line);
    }
    lane->then = NULL;
    lane->count = 0;
    if (next)
        next(lane);
    else
        kv_lane_rest(lane);
}

/* ---- Requests ---- */

static void fill(Strait__KvOperation *o, struct kv_part *p)
{
    static const Strait__KvOperation__Kind kinds[] = {
        [KV_PUT] = STRAIT__KV_OPERATION__KIND__PUT,
        [KV_DELETE] = STRAIT__KV_OPERATION__KIND__DELETE,
        [KV_GET] = STRAIT__KV_OPERATION__KIND__GET,
        [KV_CHECK] = STRAIT__KV_OPERATION__KIND__CHECK,
    };
    strait__kv_operation__init(o);
    o->kind = kinds[p->kind];
    o->key = (ProtobufCBinaryData){strlen(p->name), (uint8_t *)p->name};
    o->value = (ProtobufCBinaryData){p->length, p->value};
    if (p->kind == KV_CHECK)
        o->version = p->seen.found ? p->seen.version : 0;
}

static struct kv_client_call *call(struct kv_lane *lane, uint64_t deadline_ns)
{
    struct kv_client *c = lane->client->kv_client;
    Strait__KvOperation operations[KV_PARTS_MAX], *list[KV_PARTS_MAX];
    for (uint32_t i = 0; i < lane->count; i++) {
        fill(&operations[i], &lane->parts[i]);
        list[i] = &operations[i];
    }
    Strait__KvGetRequest get = STRAIT__KV_GET_REQUEST__INIT;
    Strait__KvPutRequest put = STRAIT__KV_PUT_REQUEST__INIT;
    Strait__KvDeleteRequest delete = STRAIT__KV_DELETE_REQUEST__INIT;
    Strait__KvTxnRequest txn = STRAIT__KV_TXN_REQUEST__INIT;
    get.key = put.key = delete.key = operations[0].key;
    put.value = operations[0].value;
    txn.n_operations = lane->count;
    txn.operations = list;
    ProtobufCMessage *const messages[] = {[KV_RPC_GET] = &get.base,
                                          [KV_RPC_PUT] = &put.base,
                                          [KV_RPC_DELETE] = &delete.base,
                                          [KV_RPC_TXN] = &txn.base};
    return kv_client_call(c, lane->procedure, messages[lane->procedure], deadline_ns, answered,
                          lane);
}

void kv_lane_ask(struct kv_lane *lane, unsigned procedure, kv_lane_then *next)
{
    struct kv_load *l = lane->client->load;
    uint64_t now_ns = kv_lane_now(l);
    uint64_t time_ns = lane->last              ? LAST_NS
                       : kv_lane_draw(l, 0, 2) ? kv_lane_draw(l, 2 * S, 8 * S)
                                               : kv_lane_draw(l, MS, S);
    lane->procedure = procedure;
    lane->then = next;
    lane->transaction = history_begin(&l->history, lane->process, now_ns);
    l->totals.requests++;
    for (uint32_t i = 0; i < lane->count; i++) {
        struct kv_part *p = &lane->parts[i];
        record_part(&l->history, p);
        l->writes[p->key].possible += writes(p);
    }
    lane->call = call(lane, now_ns + time_ns);
    CHECK(lane->call);
}

void kv_lane_get(struct kv_lane *lane, uint32_t key, kv_lane_then *next)
{
    kv_lane_add(lane, KV_GET, key);
    kv_lane_ask(lane, KV_RPC_GET, next);
}

/* ---- Stale reads, which are no part of the history ---- */

static void answered_stale(void *context, const struct kv_client_reply *reply)
{
    struct kv_lane *lane = context;
    struct kv_load *l = lane->client->load;
    struct kv_part *p = &lane->parts[0];
    Strait__KvResult room;
    count_end(lane, reply);
    if (reply->end == KV_CLIENT_DONE) {
        const Strait__KvResult *r = result_of(lane, reply->message, 0, &room);
        kv_lane_read_value(l, p->key, r->found ? r->value.data : NULL, r->value.len, &p->seen);
        note_value(l, p, r->version, p->seen.number);
        l->totals.stale++;
    }
    kv_lane_rest(lane);
}

void kv_lane_get_stale(struct kv_lane *lane, uint32_t key)
{
    struct kv_load *l = lane->client->load;
    const struct kv_part *p = kv_lane_add(lane, KV_GET, key);
    Strait__KvGetRequest get = STRAIT__KV_GET_REQUEST__INIT;
    get.key = (ProtobufCBinaryData){strlen(p->name), (uint8_t *)(uintptr_t)p->name};
    get.stale = true;
    lane->procedure = KV_RPC_GET;
    l->totals.requests++;
    lane->call = kv_client_call(lane->client->kv_client, KV_RPC_GET, &get.base,
                                kv_lane_now(l) + kv_lane_draw(l, MS, 2 * S), answered_stale, lane);
    CHECK(lane->call);
}
