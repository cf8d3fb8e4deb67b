/* SPDX-License-Identifier: MIT */
#include "standin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kv_ask {
    struct strait_timer timer;
    struct standin *of;
    struct kv_outcome outcome;
    struct kv_blob *key;
    kv_told *told;
    void *context;
};

static struct standin *of_node(const struct kv_node *node)
{
    return (struct standin *)(uintptr_t)node;
}

struct kv_node *standin_new(struct standin *s, struct strait_env *env)
{
    static const char cluster[] = "cluster shop\nreplication 2\nnode 1 10.0.0.2\nnode 2 10.0.0.3\n"
                                  "key_bytes 16\nvalue_bytes 1000\ntransaction_keys 8\n"
                                  "transaction_bytes 4000\n";
    char error[KV_CLUSTER_ERROR_BYTES];
    *s = (struct standin){.env = env};
    assert_true(kv_cluster_parse(cluster, strlen(cluster), &s->cluster, error));
    return (struct kv_node *)(void *)s;
}

void standin_free(struct standin *s)
{
    assert_int_equal(s->asks, 0);
    kv_request_release(s->request);
}

/* ---- Asks ---- */

static void end(void *owner, struct strait_timer *timer)
{
    struct kv_ask *ask = (struct kv_ask *)(void *)timer;
    (void)owner;
    ask->of->asks--;
    ask->told(ask->context, &ask->outcome);
    kv_blob_release(ask->key);
    free(ask);
}

static struct kv_ask *begin(struct standin *s, uint32_t count, struct kv_blob *key,
                            uint64_t deadline_ns, kv_told *told, void *context)
{
    s->deadline_ns = deadline_ns;
    if (s->refuse) {
        errno = s->refuse;
        return NULL;
    }
    struct kv_ask *ask = calloc(1, sizeof(*ask));
    assert_non_null(ask);
    ask->of = s;
    ask->outcome = s->outcome;
    if (s->change_after > 0 && --s->change_after == 0)
        s->outcome = s->then;
    ask->outcome.count = count;
    for (uint32_t i = 0; i < count && i < 4; i++)
        ask->outcome.results[i] = s->unknown[i] ? NULL : &s->results[i];
    ask->key = kv_blob_hold(key);
    if (ask->outcome.refusal.reason == KV_REASON_LOCKED ||
        ask->outcome.refusal.reason == KV_REASON_CONDITION)
        ask->outcome.key = ask->key;
    ask->told = told;
    ask->context = context;
    ask->timer.expired = end;
    s->asks++;
    if (!s->silent)
        s->env->timer_start(s->env, &ask->timer, s->env->now(s->env) + STANDIN_DELAY_NS);
    return ask;
}

struct kv_ask *__wrap_kv_node_txn(struct kv_node *, struct kv_request *, uint64_t, kv_told *,
                                  void *);
struct kv_ask *__wrap_kv_node_txn(struct kv_node *node, struct kv_request *request,
                                  uint64_t deadline_ns, kv_told *told, void *context)
{
    struct standin *s = of_node(node);
    s->txns++;
    kv_request_release(s->request);
    s->request = kv_request_hold(request);
    return begin(s, request->count, request->operations[0].key, deadline_ns, told, context);
}

struct kv_ask *__wrap_kv_node_read(struct kv_node *, struct kv_blob *, bool, uint64_t, kv_told *,
                                   void *);
struct kv_ask *__wrap_kv_node_read(struct kv_node *node, struct kv_blob *key, bool stale,
                                   uint64_t deadline_ns, kv_told *told, void *context)
{
    struct standin *s = of_node(node);
    s->reads++;
    s->stale = stale;
    assert_true(key->length < sizeof(s->key));
    snprintf(s->key, sizeof(s->key), "%.*s", (int)key->length, (const char *)key->bytes);
    return begin(s, 1, key, deadline_ns, told, context);
}

void __wrap_kv_node_cancel(struct kv_ask *);
void __wrap_kv_node_cancel(struct kv_ask *ask)
{
    ask->of->cancelled++;
    ask->of->asks--;
    ask->of->env->timer_stop(ask->of->env, &ask->timer);
    kv_blob_release(ask->key);
    free(ask);
}

/* ---- What it shows ---- */

const struct kv_cluster *__wrap_kv_node_cluster(const struct kv_node *);
const struct kv_cluster *__wrap_kv_node_cluster(const struct kv_node *node)
{
    return &of_node(node)->cluster;
}

const char *__wrap_kv_node_limit(const struct kv_cluster *, const struct kv_request *);
const char *__wrap_kv_node_limit(const struct kv_cluster *cluster, const struct kv_request *request)
{
    (void)cluster, (void)request;
    return "value_bytes";
}

void __wrap_kv_node_status(struct kv_node *, struct kv_status *);
void __wrap_kv_node_status(struct kv_node *node, struct kv_status *status)
{
    (void)node;
    *status = (struct kv_status){
        .id = 1, .incarnation = 4, .serving = true, .keys = 12, .locks = 2, .reachable = 1};
}

void __wrap_kv_node_visit_txns(struct kv_node *, bool, void (*)(void *, const struct kv_txn_view *),
                               void *);
void __wrap_kv_node_visit_txns(struct kv_node *node, bool in_doubt_only,
                               void (*visit)(void *, const struct kv_txn_view *), void *context)
{
    struct standin *s = of_node(node);
    struct kv_txn_view view = {.txid = {1, 4, 7}, .worker = &s->worker};
    if (!in_doubt_only)
        view.coordinator = &s->coordinator;
    visit(context, &view);
}

struct kv_journal *__wrap_kv_node_journal(struct kv_node *);
struct kv_journal *__wrap_kv_node_journal(struct kv_node *node)
{
    return (struct kv_journal *)(void *)node;
}

void __wrap_kv_journal_visit(struct kv_journal *, struct kv_txid,
                             void (*)(void *, const struct kv_journal_entry *), void *);
void __wrap_kv_journal_visit(struct kv_journal *journal, struct kv_txid txid,
                             void (*visit)(void *, const struct kv_journal_entry *), void *context)
{
    (void)journal;
    if (txid.sequence == 7)
        visit(context, &(struct kv_journal_entry){
                           .kind = KV_COORDINATOR_PREPARE, .time_ms = 1000, .participants = 3});
}

int __wrap_kv_journal_backup(struct kv_journal *, const char *, void (*)(void *, const char *),
                             void *);
int __wrap_kv_journal_backup(struct kv_journal *journal, const char *path,
                             void (*done)(void *context, const char *error), void *context)
{
    struct standin *s = of_node((const struct kv_node *)(const void *)journal);
    FILE *file = fopen(path, "wx");
    assert_non_null(file);
    for (int i = 0; i < 40000; i++)
        fprintf(file, "%07d\n", i);
    fclose(file);
    s->backup_done = done;
    s->backup_context = context;
    return 0;
}

void __wrap_kv_node_visit_counters(struct kv_node *, void (*)(void *, const char *, uint64_t),
                                   void *);
void __wrap_kv_node_visit_counters(struct kv_node *node,
                                   void (*visit)(void *context, const char *name, uint64_t value),
                                   void *context)
{
    (void)node;
    visit(context, "kv_commits", 5);
    visit(context, "kv_aborts", 2);
}
