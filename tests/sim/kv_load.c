/* SPDX-License-Identifier: MIT */
#include "kv_load.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "base/check.h"
#include "kv_lane.h"

/* ---- What there is to do ---- */

static uint32_t any_register(struct kv_load *l)
{
    return (uint32_t)kv_lane_draw(l, 0, KV_REGISTERS - 1);
}

/* Two different keys of `count` from `first` on. */
static void draw_two(struct kv_load *l, uint32_t first, uint32_t count, uint32_t two[2])
{
    two[0] = (uint32_t)kv_lane_draw(l, 0, count - 1);
    two[1] = (two[0] + (uint32_t)kv_lane_draw(l, 1, count - 1)) % count;
    two[0] += first;
    two[1] += first;
}

static void put_register(struct kv_lane *lane)
{
    struct kv_load *l = lane->client->load;
    kv_lane_put(lane, any_register(l), l->next_number++);
    kv_lane_ask(lane, KV_RPC_PUT, NULL);
}

static void get_register(struct kv_lane *lane)
{
    kv_lane_get(lane, any_register(lane->client->load), NULL);
}

static void get_register_stale(struct kv_lane *lane)
{
    kv_lane_get_stale(lane, any_register(lane->client->load));
}

static void delete_register(struct kv_lane *lane)
{
    kv_lane_add(lane, KV_DELETE, any_register(lane->client->load));
    kv_lane_ask(lane, KV_RPC_DELETE, NULL);
}

static void change_seen(struct kv_lane *lane)
{
    struct kv_load *l = lane->client->load;
    struct kv_part look = lane->parts[0];
    kv_lane_check(lane, look.key, &look.seen);
    if (kv_lane_draw(l, 0, 3) == 0)
        kv_lane_add(lane, KV_DELETE, look.key);
    else
        kv_lane_put(lane, look.key, l->next_number++);
    kv_lane_ask(lane, KV_RPC_TXN, NULL);
}

static void change_register(struct kv_lane *lane)
{
    kv_lane_get(lane, any_register(lane->client->load), change_seen);
}

/* Reads one register, and writes two others at once. */
static void mix_registers(struct kv_lane *lane)
{
    struct kv_load *l = lane->client->load;
    uint32_t first = any_register(l);
    kv_lane_add(lane, KV_GET, first);
    kv_lane_put(lane, (first + 1) % KV_REGISTERS, l->next_number++);
    kv_lane_put(lane, (first + 2) % KV_REGISTERS, l->next_number++);
    kv_lane_ask(lane, KV_RPC_TXN, NULL);
}

static void look_at_bank(struct kv_lane *lane)
{
    for (uint32_t i = 0; i < KV_ACCOUNTS; i++)
        kv_lane_add(lane, KV_GET, KV_FIRST_ACCOUNT + i);
    kv_lane_ask(lane, KV_RPC_TXN, NULL);
}

static void transfer_seen(struct kv_lane *lane)
{
    struct kv_part from = lane->parts[0], to = lane->parts[1];
    if (from.seen.number <= 1) {
        kv_lane_rest(lane);
        return;
    }
    uint64_t amount = kv_lane_draw(lane->client->load, 1, from.seen.number - 1); /* 0 is no value */
    kv_lane_check(lane, from.key, &from.seen);
    kv_lane_check(lane, to.key, &to.seen);
    kv_lane_put(lane, from.key, from.seen.number - amount);
    kv_lane_put(lane, to.key, to.seen.number + amount);
    kv_lane_ask(lane, KV_RPC_TXN, NULL);
}

static void transfer(struct kv_lane *lane)
{
    uint32_t two[2];
    draw_two(lane->client->load, KV_FIRST_ACCOUNT, KV_ACCOUNTS, two);
    kv_lane_add(lane, KV_GET, two[0]);
    kv_lane_add(lane, KV_GET, two[1]);
    kv_lane_ask(lane, KV_RPC_TXN, transfer_seen);
}

static void append_seen(struct kv_lane *lane)
{
    struct kv_load *l = lane->client->load;
    struct kv_part look = lane->parts[0];
    uint32_t other = lane->parts[1].key;
    if (look.seen.count == KV_VALUE_ELEMENTS_MAX) {
        kv_lane_rest(lane);
        return;
    }
    kv_lane_check(lane, look.key, &look.seen);
    kv_lane_add(lane, KV_GET, other);
    kv_lane_append(lane, look.key, &look.seen, l->next_number++);
    kv_lane_ask(lane, KV_RPC_TXN, NULL);
}

static void append(struct kv_lane *lane)
{
    uint32_t two[2];
    draw_two(lane->client->load, KV_FIRST_LIST, KV_LISTS, two);
    kv_lane_add(lane, KV_GET, two[0]);
    kv_lane_add(lane, KV_GET, two[1]);
    kv_lane_ask(lane, KV_RPC_TXN, append_seen);
}

static void set_up(struct kv_lane *lane)
{
    for (uint32_t i = 0; i < KV_ACCOUNTS; i++)
        kv_lane_put(lane, KV_FIRST_ACCOUNT + i, KV_LOAD_TOTAL / KV_ACCOUNTS);
    kv_lane_ask(lane, KV_RPC_TXN, NULL);
}

/* ---- Lanes ---- */

static void go(struct kv_lane *lane)
{
    static kv_lane_then *const work[] = {
        get_register,    get_register, get_register,       put_register,      put_register,
        get_register,    get_register, delete_register,    mix_registers,     change_register,
        change_register, look_at_bank, transfer,           transfer,          append,
        append,          append,       get_register_stale, get_register_stale};
    static kv_lane_then *const last[] = {put_register, look_at_bank, get_register};
    struct kv_load *l = lane->client->load;
    lane->count = 0;
    lane->last = l->phase == KV_LOAD_SET_UP || l->phase == KV_LOAD_LAST;
    if (l->phase == KV_LOAD_SET_UP)
        set_up(lane);
    else if (l->phase == KV_LOAD_WORK)
        work[kv_lane_draw(l, 0, sizeof(work) / sizeof(work[0]) - 1)](lane);
    else if (l->phase == KV_LOAD_LAST && lane->asked < sizeof(last) / sizeof(last[0]))
        last[lane->asked++](lane);
}

static void pause_over(void *owner, struct strait_timer *timer)
{
    (void)owner;
    go((struct kv_lane *)(void *)((char *)timer - offsetof(struct kv_lane, pause)));
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
        struct kv_lanes *c = &l->clients[i];
        for (uint32_t k = 0; c->kv_client && k < c->lane_count; k++)
            if (!c->lanes[k].call)
                kv_lane_rest(&c->lanes[k]);
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
    struct kv_lanes *c = app;
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
            kv_lane_rest(&c->lanes[k]);
    }
}

/* What it has asked for remains open. */
static void crash(void *app)
{
    struct kv_lanes *c = app;
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
    struct kv_lanes *c = &l->clients[i];
    c->load = l;
    c->first = kv_lane_draw(l, 0, l->cluster->count - 1);
    c->lane_count = (uint32_t)kv_lane_draw(l, 1, KV_LANES_MAX);
    for (uint32_t k = 0; k < c->lane_count; k++) {
        c->lanes[k].client = c;
        c->lanes[k].process = i * KV_LANES_MAX + k;
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
    kv_lane_read_value(l, key, value, length, &seen);
    uint32_t transaction = history_begin(h, KV_LOAD_CLIENTS * KV_LANES_MAX, kv_lane_now(l));
    uint32_t operation =
        history_add(h, kv_value_is_list(key) ? HISTORY_LIST : HISTORY_READ, key, 0);
    if (kv_value_is_list(key))
        history_list(h, operation, seen.elements, seen.count);
    else
        history_read(h, operation, seen.number);
    history_end(h, transaction, HISTORY_OK, kv_lane_now(l));
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
