/* SPDX-License-Identifier: MIT */
#include "kv_load.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/prng.h"
#include "kv/client.h"
#include "kv_versions.h"

#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

#define LANES_MAX 3        /* of a client */
#define PARTS_MAX 4        /* of a request */
#define LAST_NS   (20 * S) /* the deadline of what has to be answered */

/* An operation of a request. */
struct part {
    enum kv_operation_kind kind;
    uint32_t key;
    struct kv_seen seen; /* CHECK: what is demanded; GET: what was read */
    uint64_t number;     /* PUT: what is written to a register, or appended to a list */
    uint32_t operation;  /* of the history */
    char name[8];
    uint8_t value[KV_VALUE_BYTES]; /* PUT */
    size_t length;
};

struct lane;

/* What a lane does once it has its answer: the second half of what begins with a look. */
typedef void then(struct lane *);

struct lane {
    struct client *client;
    uint32_t process; /* of the history */
    struct strait_timer pause;
    struct kv_client_call *call;
    uint32_t transaction; /* of the history */
    struct part parts[PARTS_MAX];
    uint32_t count;
    unsigned procedure;
    then *then;
    bool last;      /* it has to be answered */
    uint32_t asked; /* in KV_LOAD_LAST */
};

struct client {
    struct kv_load *load;
    struct kv_load_client shown;
    struct strait_env *env;      /* of this life */
    struct kv_client *kv_client; /* NULL: down */
    size_t first;                /* the node that it prefers */
    uint32_t lane_count;
    struct lane lanes[LANES_MAX];
};

/* What is known of the writes of a key. */
struct writes {
    uint64_t done, possible;
    bool versions[KV_VERSIONS_MAX]; /* those that were answered */
};

struct kv_load {
    struct cluster *cluster;
    struct prng *prng;
    enum kv_load_phase phase;
    struct sockaddr_in nodes[CLUSTER_NODES_MAX];
    struct client clients[KV_LOAD_CLIENTS];
    uint32_t client_count;
    uint64_t next_number;
    struct writes writes[KV_KEYS];
    struct kv_versions versions;
    struct history history;
    struct kv_load_totals totals;
    void (*violated)(void *context, const char *line);
    void *context;
};

static uint64_t draw(struct kv_load *l, uint64_t least, uint64_t most)
{
    return least + prng_below(l->prng, most - least + 1);
}

static uint64_t now_of(const struct kv_load *l)
{
    return world_now(l->cluster->world);
}

/* Reads what a key had; NULL: nothing. */
static void read_value(struct kv_load *l, uint32_t key, const uint8_t *value, size_t length,
                       struct kv_seen *seen)
{
    char line[80], name[8];
    if (kv_value_read(key, value, length, seen))
        return;
    kv_value_key(key, name);
    snprintf(line, sizeof(line), "%s has a value that nobody has written: %zu bytes", name, length);
    l->violated(l->context, line);
}

/* ---- Parts ---- */

static struct part *add_part(struct lane *lane, enum kv_operation_kind kind, uint32_t key)
{
    struct part *p = &lane->parts[lane->count++];
    CHECK(lane->count <= PARTS_MAX);
    p->kind = kind;
    p->key = key;
    p->length = 0;
    kv_value_key(key, p->name);
    return p;
}

static void add_put(struct lane *lane, uint32_t key, uint64_t number)
{
    struct part *p = add_part(lane, KV_PUT, key);
    p->number = number;
    p->length = kv_value_write(lane->client->load->prng, number, p->value);
}

static void add_check(struct lane *lane, uint32_t key, const struct kv_seen *seen)
{
    add_part(lane, KV_CHECK, key)->seen = *seen;
}

static void add_append(struct lane *lane, uint32_t key, const struct kv_seen *seen, uint64_t number)
{
    struct part *p = add_part(lane, KV_PUT, key);
    p->number = number;
    p->length = kv_value_append(seen, number, p->value);
}

static void record_part(struct history *h, struct part *p)
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

static bool writes(const struct part *p)
{
    return p->kind == KV_PUT || p->kind == KV_DELETE;
}

/* ---- Answers ---- */

/* The result of a part; NULL: the reply does not tell it. */
static const Strait__KvResult *result_of(const struct lane *lane, const ProtobufCMessage *message,
                                         uint32_t i, Strait__KvResult *room)
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
static void note_version(struct kv_load *l, const struct part *p, uint64_t version)
{
    struct writes *w = &l->writes[p->key];
    char line[80];
    CHECK(version < KV_VERSIONS_MAX);
    if (w->versions[version]) {
        snprintf(line, sizeof(line), "two writes of %s have made version %llu", p->name,
                 (unsigned long long)version);
        l->violated(l->context, line);
    }
    w->versions[version] = true;
}

static void note_value(struct kv_load *l, const struct part *p, uint64_t version, uint64_t number)
{
    char line[120];
    if (p->key >= KV_REGISTERS || kv_versions_note(&l->versions, p->key, version, number))
        return;
    snprintf(line, sizeof(line), "%s never had the value %llu in version %llu", p->name,
             (unsigned long long)number, (unsigned long long)version);
    l->violated(l->context, line);
}

static void note_failure(struct kv_load *l, const struct part *p)
{
    char line[120];
    if (p->key >= KV_REGISTERS || p->kind != KV_PUT || kv_versions_fail(&l->versions, p->number))
        return;
    snprintf(line, sizeof(line), "%s had the value %llu, whose write has failed", p->name,
             (unsigned long long)p->number);
    l->violated(l->context, line);
}

static void take_result(struct kv_load *l, struct part *p, const Strait__KvResult *r)
{
    struct history *h = &l->history;
    if (p->kind == KV_GET) {
        static const uint8_t empty[1];
        const uint8_t *value = r->value.data ? r->value.data : empty;
        read_value(l, p->key, r->found ? value : NULL, r->value.len, &p->seen);
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
static bool take_results(struct lane *lane, const ProtobufCMessage *message)
{
    struct kv_load *l = lane->client->load;
    Strait__KvResult room;
    bool complete = true;
    for (uint32_t i = 0; i < lane->count; i++)
        complete = complete && result_of(lane, message, i, &room);
    for (uint32_t i = 0; i < lane->count; i++) {
        struct part *p = &lane->parts[i];
        l->writes[p->key].done += writes(p);
        if (complete)
            take_result(l, p, result_of(lane, message, i, &room));
    }
    if (complete)
        history_end(&l->history, lane->transaction, HISTORY_OK, now_of(l));
    return complete;
}

/* Nothing of it has happened, nor will: what is known if the only condition did not hold? */
static void take_failure(struct lane *lane, const char *text)
{
    struct kv_load *l = lane->client->load;
    const struct part *first = &lane->parts[0];
    bool one_check = first->kind == KV_CHECK && !kv_value_is_list(first->key) &&
                     (lane->count == 1 || lane->parts[1].kind != KV_CHECK);
    for (uint32_t i = 0; i < lane->count; i++) {
        l->writes[lane->parts[i].key].possible -= writes(&lane->parts[i]);
        note_failure(l, &lane->parts[i]);
    }
    if (one_check && strncmp(text, "condition", 9) == 0)
        history_refuse(&l->history, first->operation, now_of(l));
    else
        history_end(&l->history, lane->transaction, HISTORY_FAILED, now_of(l));
}

static void rest(struct lane *);

static void count_end(struct lane *lane, const struct kv_client_reply *reply)
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
    struct lane *lane = context;
    struct kv_load *l = lane->client->load;
    then *next = NULL;
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
        rest(lane);
}

/* ---- Requests ---- */

static void fill(Strait__KvOperation *o, struct part *p)
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

static struct kv_client_call *call(struct lane *lane, uint64_t deadline_ns)
{
    struct kv_client *c = lane->client->kv_client;
    Strait__KvOperation operations[PARTS_MAX], *list[PARTS_MAX];
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

/* Asks for the parts. */
static void ask(struct lane *lane, unsigned procedure, then *next)
{
    struct kv_load *l = lane->client->load;
    uint64_t now_ns = now_of(l);
    uint64_t time_ns = lane->last      ? LAST_NS
                       : draw(l, 0, 2) ? draw(l, 2 * S, 8 * S)
                                       : draw(l, MS, S);
    lane->procedure = procedure;
    lane->then = next;
    lane->transaction = history_begin(&l->history, lane->process, now_ns);
    l->totals.requests++;
    for (uint32_t i = 0; i < lane->count; i++) {
        struct part *p = &lane->parts[i];
        record_part(&l->history, p);
        l->writes[p->key].possible += writes(p);
    }
    lane->call = call(lane, now_ns + time_ns);
    CHECK(lane->call);
}

static void get(struct lane *lane, uint32_t key, then *next)
{
    add_part(lane, KV_GET, key);
    ask(lane, KV_RPC_GET, next);
}

/* ---- Stale reads, which are no part of the history ---- */

static void answered_stale(void *context, const struct kv_client_reply *reply)
{
    struct lane *lane = context;
    struct kv_load *l = lane->client->load;
    struct part *p = &lane->parts[0];
    Strait__KvResult room;
    count_end(lane, reply);
    if (reply->end == KV_CLIENT_DONE) {
        const Strait__KvResult *r = result_of(lane, reply->message, 0, &room);
        read_value(l, p->key, r->found ? r->value.data : NULL, r->value.len, &p->seen);
        note_value(l, p, r->version, p->seen.number);
        l->totals.stale++;
    }
    rest(lane);
}

static void get_stale(struct lane *lane, uint32_t key)
{
    struct kv_load *l = lane->client->load;
    const struct part *p = add_part(lane, KV_GET, key);
    Strait__KvGetRequest get = STRAIT__KV_GET_REQUEST__INIT;
    get.key = (ProtobufCBinaryData){strlen(p->name), (uint8_t *)(uintptr_t)p->name};
    get.stale = true;
    lane->procedure = KV_RPC_GET;
    l->totals.requests++;
    lane->call = kv_client_call(lane->client->kv_client, KV_RPC_GET, &get.base,
                                now_of(l) + draw(l, MS, 2 * S), answered_stale, lane);
    CHECK(lane->call);
}

/* ---- What there is to do ---- */

static uint32_t any_register(struct kv_load *l)
{
    return (uint32_t)draw(l, 0, KV_REGISTERS - 1);
}

/* Two different keys of `count` from `first` on. */
static void draw_two(struct kv_load *l, uint32_t first, uint32_t count, uint32_t two[2])
{
    two[0] = (uint32_t)draw(l, 0, count - 1);
    two[1] = (two[0] + (uint32_t)draw(l, 1, count - 1)) % count;
    two[0] += first;
    two[1] += first;
}

static void put_register(struct lane *lane)
{
    struct kv_load *l = lane->client->load;
    add_put(lane, any_register(l), l->next_number++);
    ask(lane, KV_RPC_PUT, NULL);
}

static void get_register(struct lane *lane)
{
    get(lane, any_register(lane->client->load), NULL);
}

static void get_register_stale(struct lane *lane)
{
    get_stale(lane, any_register(lane->client->load));
}

static void delete_register(struct lane *lane)
{
    add_part(lane, KV_DELETE, any_register(lane->client->load));
    ask(lane, KV_RPC_DELETE, NULL);
}

static void change_seen(struct lane *lane)
{
    struct kv_load *l = lane->client->load;
    struct part look = lane->parts[0];
    add_check(lane, look.key, &look.seen);
    if (draw(l, 0, 3) == 0)
        add_part(lane, KV_DELETE, look.key);
    else
        add_put(lane, look.key, l->next_number++);
    ask(lane, KV_RPC_TXN, NULL);
}

static void change_register(struct lane *lane)
{
    get(lane, any_register(lane->client->load), change_seen);
}

/* Reads one register, and writes two others at once. */
static void mix_registers(struct lane *lane)
{
    struct kv_load *l = lane->client->load;
    uint32_t first = any_register(l);
    add_part(lane, KV_GET, first);
    add_put(lane, (first + 1) % KV_REGISTERS, l->next_number++);
    add_put(lane, (first + 2) % KV_REGISTERS, l->next_number++);
    ask(lane, KV_RPC_TXN, NULL);
}

static void look_at_bank(struct lane *lane)
{
    for (uint32_t i = 0; i < KV_ACCOUNTS; i++)
        add_part(lane, KV_GET, KV_FIRST_ACCOUNT + i);
    ask(lane, KV_RPC_TXN, NULL);
}

static void transfer_seen(struct lane *lane)
{
    struct part from = lane->parts[0], to = lane->parts[1];
    if (from.seen.number <= 1) {
        rest(lane);
        return;
    }
    uint64_t amount = draw(lane->client->load, 1, from.seen.number - 1); /* 0 is no value */
    add_check(lane, from.key, &from.seen);
    add_check(lane, to.key, &to.seen);
    add_put(lane, from.key, from.seen.number - amount);
    add_put(lane, to.key, to.seen.number + amount);
    ask(lane, KV_RPC_TXN, NULL);
}

static void transfer(struct lane *lane)
{
    uint32_t two[2];
    draw_two(lane->client->load, KV_FIRST_ACCOUNT, KV_ACCOUNTS, two);
    add_part(lane, KV_GET, two[0]);
    add_part(lane, KV_GET, two[1]);
    ask(lane, KV_RPC_TXN, transfer_seen);
}

static void append_seen(struct lane *lane)
{
    struct kv_load *l = lane->client->load;
    struct part look = lane->parts[0];
    uint32_t other = lane->parts[1].key;
    if (look.seen.count == KV_VALUE_ELEMENTS_MAX) {
        rest(lane);
        return;
    }
    add_check(lane, look.key, &look.seen);
    add_part(lane, KV_GET, other);
    add_append(lane, look.key, &look.seen, l->next_number++);
    ask(lane, KV_RPC_TXN, NULL);
}

static void append(struct lane *lane)
{
    uint32_t two[2];
    draw_two(lane->client->load, KV_FIRST_LIST, KV_LISTS, two);
    add_part(lane, KV_GET, two[0]);
    add_part(lane, KV_GET, two[1]);
    ask(lane, KV_RPC_TXN, append_seen);
}

static void set_up(struct lane *lane)
{
    for (uint32_t i = 0; i < KV_ACCOUNTS; i++)
        add_put(lane, KV_FIRST_ACCOUNT + i, KV_LOAD_TOTAL / KV_ACCOUNTS);
    ask(lane, KV_RPC_TXN, NULL);
}

/* ---- Lanes ---- */

static void go(struct lane *lane)
{
    static then *const work[] = {
        get_register,    get_register, get_register,       put_register,      put_register,
        get_register,    get_register, delete_register,    mix_registers,     change_register,
        change_register, look_at_bank, transfer,           transfer,          append,
        append,          append,       get_register_stale, get_register_stale};
    static then *const last[] = {put_register, look_at_bank, get_register};
    struct kv_load *l = lane->client->load;
    lane->count = 0;
    lane->last = l->phase == KV_LOAD_SET_UP || l->phase == KV_LOAD_LAST;
    if (l->phase == KV_LOAD_SET_UP)
        set_up(lane);
    else if (l->phase == KV_LOAD_WORK)
        work[draw(l, 0, sizeof(work) / sizeof(work[0]) - 1)](lane);
    else if (l->phase == KV_LOAD_LAST && lane->asked < sizeof(last) / sizeof(last[0]))
        last[lane->asked++](lane);
}

static void pause_over(void *owner, struct strait_timer *timer)
{
    (void)owner;
    go((struct lane *)(void *)((char *)timer - offsetof(struct lane, pause)));
}

/* For a while; then it goes on, if there is something to do in this phase. */
static void rest(struct lane *lane)
{
    struct client *c = lane->client;
    uint64_t pause_ns = draw(c->load, 0, 9) ? draw(c->load, MS, 60 * MS) : draw(c->load, 0, S);
    lane->count = 0;
    c->env->timer_start(c->env, &lane->pause, now_of(c->load) + pause_ns);
}

void kv_load_go_on(struct kv_load *l, enum kv_load_phase phase)
{
    l->phase = phase;
    if (phase == KV_LOAD_SET_UP) {
        CHECK(l->clients[0].kv_client);
        go(&l->clients[0].lanes[0]);
        return;
    }
    for (uint32_t i = 0; phase != KV_LOAD_REST && i < l->client_count; i++) {
        struct client *c = &l->clients[i];
        for (uint32_t k = 0; c->kv_client && k < c->lane_count; k++)
            if (!c->lanes[k].call)
                rest(&c->lanes[k]);
    }
}

bool kv_load_is_idle(const struct kv_load *l)
{
    for (uint32_t i = 0; i < l->client_count; i++)
        for (uint32_t k = 0; k < l->clients[i].lane_count; k++)
            if (l->clients[i].lanes[k].call)
                return false;
    return true;
}

/* ---- Clients ---- */

static void start(void *app, struct strait *stack, struct strait_env *env)
{
    struct client *c = app;
    struct kv_load *l = c->load;
    c->env = env;
    c->kv_client = kv_client_new(&(struct kv_client_config){.host = stream_host_strait(stack, env),
                                                            .nodes = l->nodes,
                                                            .node_count = l->cluster->count,
                                                            .first = c->first});
    CHECK(c->kv_client);
    for (uint32_t k = 0; k < c->lane_count; k++) {
        c->lanes[k].pause = (struct strait_timer){.expired = pause_over};
        if (l->phase == KV_LOAD_WORK)
            rest(&c->lanes[k]);
    }
}

/* What it has asked for remains open. */
static void crash(void *app)
{
    struct client *c = app;
    for (uint32_t k = 0; k < c->lane_count; k++) {
        c->load->totals.lost += c->lanes[k].call != NULL;
        c->lanes[k].call = NULL;
    }
    kv_client_free(c->kv_client);
    c->kv_client = NULL;
}

static void add_client(struct kv_load *l)
{
    static const char *const names[KV_LOAD_CLIENTS] = {"a", "b", "c"};
    uint32_t i = l->client_count++;
    struct client *c = &l->clients[i];
    c->load = l;
    c->first = draw(l, 0, l->cluster->count - 1);
    c->lane_count = (uint32_t)draw(l, 1, LANES_MAX);
    for (uint32_t k = 0; k < c->lane_count; k++) {
        c->lanes[k].client = c;
        c->lanes[k].process = i * LANES_MAX + k;
    }
    c->shown.host = cluster_add_host(l->cluster, i + 1, names[i],
                                     &(struct world_app){start, crash, c}, &c->shown.link);
}

struct kv_load *kv_load_new(struct cluster *cluster, uint32_t clients,
                            void (*violated)(void *context, const char *line), void *context)
{
    struct kv_load *l = calloc(1, sizeof(*l));
    CHECK(l && clients <= KV_LOAD_CLIENTS);
    l->cluster = cluster;
    l->prng = world_prng(cluster->world);
    l->phase = KV_LOAD_REST;
    l->next_number = 1000;
    l->violated = violated;
    l->context = context;
    for (uint32_t i = 0; i < cluster->count; i++)
        l->nodes[i] = (struct sockaddr_in){.sin_family = AF_INET,
                                           .sin_port = htons(KV_PORT),
                                           .sin_addr = cluster->file.addresses[i]};
    while (l->client_count < clients)
        add_client(l);
    return l;
}

void kv_load_free(struct kv_load *l)
{
    history_free(&l->history);
    free(l);
}

/* ---- What there is to see ---- */

struct kv_load_client kv_load_client(const struct kv_load *l, uint32_t i)
{
    return l->clients[i].shown;
}

struct history *kv_load_history(struct kv_load *l)
{
    return &l->history;
}

void kv_load_record_table(struct kv_load *l, uint32_t key, const void *value, size_t length)
{
    struct kv_seen seen;
    struct history *h = &l->history;
    read_value(l, key, value, length, &seen);
    uint32_t transaction = history_begin(h, KV_LOAD_CLIENTS * LANES_MAX, now_of(l));
    uint32_t operation =
        history_add(h, kv_value_is_list(key) ? HISTORY_LIST : HISTORY_READ, key, 0);
    if (kv_value_is_list(key))
        history_list(h, operation, seen.elements, seen.count);
    else
        history_read(h, operation, seen.number);
    history_end(h, transaction, HISTORY_OK, now_of(l));
}

void kv_load_writes(const struct kv_load *l, uint32_t key, uint64_t *least, uint64_t *most)
{
    *least = l->writes[key].done;
    *most = l->writes[key].possible;
}

void kv_load_add(const struct kv_load *l, struct kv_load_totals *sum)
{
    sum->requests += l->totals.requests;
    sum->done += l->totals.done;
    sum->failed += l->totals.failed;
    sum->unknown += l->totals.unknown;
    sum->lost += l->totals.lost;
    sum->retries += l->totals.retries;
    sum->stale += l->totals.stale;
}
