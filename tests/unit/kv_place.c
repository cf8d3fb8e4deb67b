/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kv_place.h"

static void durable(void *context, enum kv_row_kind kind, struct kv_txid id)
{
    struct place *p = context;
    size_t length = strlen(p->told);
    snprintf(p->told + length, sizeof(p->told) - length, "%s%s%s %u.%u.%u", length ? ", " : "",
             kv_row_is_worker(kind) ? "W-" : "", kv_row_name(kind), id.coordinator, id.incarnation,
             (unsigned)id.sequence);
}

static void failed(void *context, const char *message)
{
    struct place *p = context;
    p->failures++;
    snprintf(p->message, sizeof(p->message), "%s", message);
}

static void warn(void *context, const char *line)
{
    struct place *p = context;
    p->warnings++;
    snprintf(p->warned, sizeof(p->warned), "%s", line);
}

void place_machines(struct place *p)
{
    const struct coordinator_config coordinator = {
        .id = NODE, .members = 7, .window = 2000, .vote_ns = S, .resend_ns = S, .resend_max_ns = S};
    const struct worker_config worker = {.id = NODE,
                                         .epoch = 1,
                                         .records_max = 5000,
                                         .locks_max = 100,
                                         .readers_max = 10,
                                         .inquire_ns = S,
                                         .inquire_max_ns = S};
    coordinator_free(p->coordinator);
    worker_free(p->worker);
    p->coordinator = coordinator_new(&coordinator);
    p->worker = worker_new(&worker);
    assert_true(p->coordinator && p->worker);
}

void place_open(struct place *p)
{
    char error[STORE_MESSAGE_BYTES] = "";
    p->journal = kv_journal_open(p->env, &p->config, error);
    assert_string_equal(error, "");
    assert_non_null(p->journal);
}

void place_load(struct place *p)
{
    char error[STORE_MESSAGE_BYTES] = "";
    place_machines(p);
    assert_true(kv_journal_load(p->journal, p->coordinator, p->worker, error));
    assert_string_equal(error, "");
}

void place_settle(struct place *p)
{
    assert_int_equal(world_run(p->world, world_now(p->world) + S), WORLD_IDLE);
    assert_true(kv_journal_is_idle(p->journal));
}

void place_crash(struct place *p)
{
    world_crash(p->host);
    kv_journal_free(p->journal);
    world_restart(p->host);
    place_open(p);
    place_load(p);
}

int place_setup(void **state)
{
    struct place *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    p->world = world_new(1);
    p->host = world_add_host(p->world, "h", NULL, NULL);
    p->env = world_env(p->host);
    world_act_as(p->host);
    p->config = (struct kv_journal_config){.directory = "d",
                                           .cluster = "shop",
                                           .node = NODE,
                                           .durable = durable,
                                           .failed = failed,
                                           .warn = warn,
                                           .context = p};
    place_open(p);
    *state = p;
    return 0;
}

int place_teardown(void **state)
{
    struct place *p = *state;
    kv_journal_free(p->journal);
    coordinator_free(p->coordinator);
    worker_free(p->worker);
    world_free(p->world);
    free(p);
    return 0;
}

/* ---- Requests and results ---- */

struct kv_blob *blob_of(const char *text)
{
    struct kv_blob *b = kv_blob_new(text, strlen(text));
    assert_non_null(b);
    return b;
}

struct kv_operation operation(enum kv_operation_kind kind, const char *key, const char *value)
{
    return (struct kv_operation){
        .kind = kind, .key = blob_of(key), .value = value ? blob_of(value) : NULL, .replicas = 7};
}

struct kv_request *request_of(uint64_t client, uint64_t sequence, uint64_t retired,
                              struct kv_operation only)
{
    struct kv_request *r = kv_request_new(1);
    assert_non_null(r);
    r->client = client;
    r->sequence = sequence;
    r->retired = retired;
    r->epoch = 1;
    r->participants = 7;
    r->operations[0] = only;
    return r;
}

struct kv_results *results_of(bool found, uint64_t version)
{
    struct kv_results *r = kv_results_new(1);
    assert_non_null(r);
    r->list[0].found = found;
    r->list[0].version = version;
    return r;
}

/* ---- Rows ---- */

void place_write(struct place *p, struct kv_row row)
{
    assert_int_equal(kv_journal_write(p->journal, &row), 0);
    kv_request_release(row.request);
    kv_results_release(row.results);
}

void place_put(struct place *p, uint64_t sequence, const char *key, const char *value,
               uint64_t version)
{
    place_write(p, (struct kv_row){.kind = KV_WORKER_COMMIT,
                                   .forced = true,
                                   .txid = txid(1, sequence),
                                   .request = request_of(
                                       0, 0, 0, operation(value ? KV_PUT : KV_DELETE, key, value)),
                                   .results = results_of(true, version)});
}

void place_commit(struct place *p, uint64_t txn, uint64_t client, uint64_t sequence,
                  uint64_t retired)
{
    place_write(p, (struct kv_row){.kind = KV_WORKER_COMMIT,
                                   .forced = true,
                                   .txid = txid(1, txn),
                                   .request = request_of(client, sequence, retired,
                                                         operation(KV_PUT, "k", "v")),
                                   .results = results_of(true, txn)});
}

void place_row(struct place *p, enum kv_row_kind kind, bool forced, struct kv_txid id,
               struct kv_txid mark)
{
    place_write(p, (struct kv_row){.kind = kind, .forced = forced, .txid = id, .mark = mark});
}

void place_prepare(struct place *p, enum kv_row_kind kind, struct kv_txid id)
{
    place_write(p, (struct kv_row){.kind = kind,
                                   .forced = true,
                                   .txid = id,
                                   .participants = 7,
                                   .request = request_of(0, 0, 0, operation(KV_PUT, "k", "v"))});
}

/* ---- What the tables say ---- */

const char *place_get(struct place *p, const char *key)
{
    static char answer[200];
    const struct kv_store *store = kv_journal_store(p->journal);
    struct kv_blob *k = blob_of(key);
    struct kv_result r = {0};
    bool read = store->get(store->context, k, &r);
    kv_blob_release(k);
    if (!read)
        return "damaged";
    assert_int_equal(r.found, r.value != NULL);
    snprintf(answer, sizeof(answer), "%.*s %u", r.value ? (int)r.value->length : 1,
             r.value ? (const char *)r.value->bytes : "-", (unsigned)r.version);
    kv_blob_release(r.value);
    return answer;
}

enum kv_past place_past_of(struct place *p, uint64_t client, uint64_t sequence, uint64_t retired)
{
    const struct kv_request request = {.client = client, .sequence = sequence, .retired = retired};
    const struct kv_store *store = kv_journal_store(p->journal);
    struct kv_txid id;
    struct kv_results *results = NULL;
    enum kv_past found = store->past(store->context, &request, &id, &results);
    assert_int_equal(found == KV_PAST_COMMITTED, results != NULL);
    kv_results_release(results);
    return found;
}

enum kv_past place_past(struct place *p, uint64_t client, uint64_t sequence)
{
    return place_past_of(p, client, sequence, 0);
}

struct kv_journal_counters place_counters(struct place *p)
{
    struct kv_journal_counters c;
    kv_journal_counters(p->journal, &c);
    return c;
}

void assert_same_request(const struct kv_request *a, const struct kv_request *b)
{
    assert_int_equal(a->count, b->count);
    for (uint32_t i = 0; i < a->count; i++) {
        const struct kv_operation *x = &a->operations[i], *y = &b->operations[i];
        assert_int_equal(x->kind, y->kind);
        assert_true(kv_blob_equal(x->key, y->key));
        assert_int_equal(x->value != NULL, y->value != NULL);
        assert_true(!x->value || kv_blob_equal(x->value, y->value));
        assert_true(x->version == y->version);
        assert_int_equal(x->replicas, y->replicas);
    }
}

struct kv_request *all_kinds(void)
{
    struct kv_request *r = kv_request_new(5);
    assert_non_null(r);
    r->client = UINT64_MAX;
    r->sequence = 12;
    r->retired = 11;
    r->epoch = 1;
    r->participants = 0x80000007;
    r->operations[0] = operation(KV_PUT, "", "first");
    r->operations[1] = operation(KV_PUT, "empty", "");
    r->operations[2] = operation(KV_DELETE, "gone", NULL);
    r->operations[3] = operation(KV_GET, "read", NULL);
    r->operations[4] = operation(KV_CHECK, "checked", NULL);
    r->operations[4].version = UINT64_MAX - 1;
    r->operations[3].replicas = 0x80000001;
    return r;
}

struct kv_results *all_results(void)
{
    struct kv_results *r = kv_results_new(3);
    assert_non_null(r);
    r->list[0] = (struct kv_result){true, 3, blob_of("read")};
    r->list[1] = (struct kv_result){true, UINT64_MAX, blob_of("")};
    r->list[2] = (struct kv_result){false, 0, NULL};
    return r;
}
