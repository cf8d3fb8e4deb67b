/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kv/cache.h"
#include "kv/clients.h"
#include "kv/journal.h"
#include "kv/packing.h"
#include "kv/reader.h"
#include "sim/world.h"

#define MS     UINT64_C(1000000)
#define S      UINT64_C(1000000000)
#define ALWAYS 1000000 /* in a million */
#define NODE   2
#define SELF   2u /* its bit */
#define FILE_1 "d/node.db"

/* ---- A world with one host, its journal, and machines ---- */

struct place {
    struct world *world;
    struct world_host *host;
    struct strait_env *env;
    struct kv_journal_config config;
    struct kv_journal *journal;
    struct coordinator *coordinator;
    struct worker *worker;

    char told[400]; /* "PREPARE 1.1.1, ..." */
    int failures;
    char message[STORE_MESSAGE_BYTES];
    int backups;
    char backup_error[STORE_MESSAGE_BYTES];
};

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

static void make_machines(struct place *p)
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

static void open_journal(struct place *p)
{
    char error[STORE_MESSAGE_BYTES] = "";
    p->journal = kv_journal_open(p->env, &p->config, error);
    assert_string_equal(error, "");
    assert_non_null(p->journal);
}

static void load(struct place *p)
{
    char error[STORE_MESSAGE_BYTES] = "";
    make_machines(p);
    assert_true(kv_journal_load(p->journal, p->coordinator, p->worker, error));
    assert_string_equal(error, "");
}

/* Until nothing happens any more. */
static void settle(struct place *p)
{
    assert_int_equal(world_run(p->world, world_now(p->world) + S), WORLD_IDLE);
    assert_true(kv_journal_is_idle(p->journal));
}

/* The power is cut, and a new life has what is durable. */
static void crash(struct place *p)
{
    world_crash(p->host);
    kv_journal_free(p->journal);
    world_restart(p->host);
    open_journal(p);
    load(p);
}

static int setup(void **state)
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
                                           .context = p};
    open_journal(p);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    kv_journal_free(p->journal);
    coordinator_free(p->coordinator);
    worker_free(p->worker);
    world_free(p->world);
    free(p);
    return 0;
}

/* What a second connection is told, as somebody who looks with the `sqlite3` program. */
static const char *look(const char *path, const char *sql)
{
    static char answer[400];
    sqlite3 *db;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    int result = sqlite3_step(statement);
    const unsigned char *text = result == SQLITE_ROW ? sqlite3_column_text(statement, 0) : NULL;
    snprintf(answer, sizeof(answer), "%s", text ? (const char *)text : "none");
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return answer;
}

/* ---- Requests and rows ---- */

static struct kv_blob *blob(const char *text)
{
    struct kv_blob *b = kv_blob_new(text, strlen(text));
    assert_non_null(b);
    return b;
}

static struct kv_operation operation(enum kv_operation_kind kind, const char *key,
                                     const char *value)
{
    return (struct kv_operation){
        .kind = kind, .key = blob(key), .value = value ? blob(value) : NULL, .replicas = 7};
}

static struct kv_request *request_of(uint64_t client, uint64_t sequence, uint64_t retired,
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

static struct kv_results *results_of(bool found, uint64_t version)
{
    struct kv_results *r = kv_results_new(1);
    assert_non_null(r);
    r->list[0].found = found;
    r->list[0].version = version;
    return r;
}

static struct kv_txid txid(uint32_t coordinator, uint64_t sequence)
{
    return (struct kv_txid){coordinator, 1, sequence};
}

/* Takes over the references. */
static void write_row(struct place *p, struct kv_row row)
{
    assert_int_equal(kv_journal_write(p->journal, &row), 0);
    kv_request_release(row.request);
    kv_results_release(row.results);
}

static void put(struct place *p, uint64_t sequence, const char *key, const char *value,
                uint64_t version)
{
    write_row(p, (struct kv_row){.kind = KV_WORKER_COMMIT,
                                 .forced = true,
                                 .txid = txid(1, sequence),
                                 .request = request_of(
                                     0, 0, 0, operation(value ? KV_PUT : KV_DELETE, key, value)),
                                 .results = results_of(true, version)});
}

static void commit_as(struct place *p, uint64_t txn, uint64_t client, uint64_t sequence,
                      uint64_t retired)
{
    write_row(p, (struct kv_row){
                     .kind = KV_WORKER_COMMIT,
                     .forced = true,
                     .txid = txid(1, txn),
                     .request = request_of(client, sequence, retired, operation(KV_PUT, "k", "v")),
                     .results = results_of(true, txn)});
}

static void row(struct place *p, enum kv_row_kind kind, bool forced, struct kv_txid id,
                struct kv_txid mark)
{
    write_row(p, (struct kv_row){.kind = kind, .forced = forced, .txid = id, .mark = mark});
}

static void prepare(struct place *p, enum kv_row_kind kind, struct kv_txid id)
{
    write_row(p, (struct kv_row){.kind = kind,
                                 .forced = true,
                                 .txid = id,
                                 .participants = 7,
                                 .request = request_of(0, 0, 0, operation(KV_PUT, "k", "v"))});
}

static const struct kv_txid no_mark;

/* What the key is, as "value version", "- version" or "damaged". */
static const char *get(struct place *p, const char *key)
{
    static char answer[200];
    const struct kv_store *store = kv_journal_store(p->journal);
    struct kv_blob *k = blob(key);
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

static enum kv_past past_of(struct place *p, uint64_t client, uint64_t sequence, uint64_t retired)
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

static enum kv_past past(struct place *p, uint64_t client, uint64_t sequence)
{
    return past_of(p, client, sequence, 0);
}

/* ---- Packing ---- */

static void assert_same_request(const struct kv_request *a, const struct kv_request *b)
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

/* One operation of each kind, with an empty key and an empty value among them. */
static struct kv_request *all_kinds(void)
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

static struct kv_results *all_results(void)
{
    struct kv_results *r = kv_results_new(3);
    assert_non_null(r);
    r->list[0] = (struct kv_result){true, 3, blob("read")};
    r->list[1] = (struct kv_result){true, UINT64_MAX, blob("")};
    r->list[2] = (struct kv_result){false, 0, NULL};
    return r;
}

static void operations_are_packed_and_whatever_is_cut_off_is_refused(void **state)
{
    (void)state;
    struct kv_request *request = all_kinds();
    size_t length = kv_packed_operations(request);
    uint8_t *bytes = malloc(length + 1);
    assert_non_null(bytes);
    kv_pack_operations(request, bytes);
    /* 4 for the count, 21 for each of five; "", "first", "empty", "", "gone", "read", "checked" */
    assert_int_equal(length, 4 + 5 * 21 + 5 + 5 + 4 + 4 + 7);
    for (size_t cut = 0; cut < length; cut++) {
        uint8_t *exact = malloc(cut + 1); /* so that a sanitizer sees what is read beyond */
        memcpy(exact, bytes, cut);
        assert_null(kv_unpack_operations(exact, cut));
        free(exact);
    }
    bytes[length] = 0;
    assert_null(kv_unpack_operations(bytes, length + 1));
    struct kv_request *back = kv_unpack_operations(bytes, length);
    assert_non_null(back);
    assert_same_request(request, back);
    kv_request_release(back);
    bytes[4] = KV_CHECK + 1;
    assert_null(kv_unpack_operations(bytes, length));
    free(bytes);
    kv_request_release(request);
}

static void results_are_packed_and_whatever_is_cut_off_is_refused(void **state)
{
    (void)state;
    struct kv_results *results = all_results();
    size_t length = kv_packed_results(results);
    uint8_t *bytes = malloc(length);
    assert_non_null(bytes);
    assert_int_equal(length, 4 + 3 * 14 + 4);
    kv_pack_results(results, bytes);
    for (size_t cut = 0; cut < length; cut++)
        assert_null(kv_unpack_results(bytes, cut));
    struct kv_results *back = kv_unpack_results(bytes, length);
    assert_non_null(back);
    assert_int_equal(back->count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(back->list[i].found, results->list[i].found);
        assert_true(back->list[i].version == results->list[i].version);
        assert_int_equal(back->list[i].value != NULL, results->list[i].value != NULL);
    }
    assert_true(kv_blob_equal(back->list[0].value, results->list[0].value));
    assert_true(kv_blob_equal(back->list[1].value, results->list[1].value));
    kv_results_release(back);
    kv_results_release(results);
    free(bytes);
}

/* ---- Rows come back ---- */

static void a_workers_rows_come_back_with_every_field(void **state)
{
    struct place *p = *state;
    struct kv_request *request = kv_request_hold(all_kinds());
    write_row(
        p, (struct kv_row){
               .kind = KV_WORKER_PREPARE, .forced = true, .txid = {3, 7, 40}, .request = request});
    prepare(p, KV_WORKER_PREPARE, txid(1, 1));
    put(p, 1, "k", "v", 1);
    prepare(p, KV_WORKER_PREPARE, txid(1, 2));
    row(p, KV_WORKER_ABORT, true, txid(1, 2), no_mark);
    row(p, KV_WORKER_ABORT, true, txid(32, 5), no_mark);
    row(p, KV_WORKER_MARK, false, no_mark, (struct kv_txid){3, 7, 40});
    settle(p);
    crash(p);

    const struct worker_txn *t = worker_find(p->worker, (struct kv_txid){3, 7, 40});
    assert_non_null(t);
    assert_int_equal(t->phase, WORKER_PREPARED);
    assert_same_request(t->request, request);
    assert_true(t->request->client == UINT64_MAX);
    assert_int_equal(t->request->sequence, 12);
    assert_int_equal(t->request->retired, 11);
    assert_int_equal(t->request->epoch, 1);
    assert_int_equal(t->request->participants, 0x80000007);
    assert_int_equal(worker_find(p->worker, txid(1, 1))->phase, WORKER_COMMITTED);
    assert_int_equal(worker_find(p->worker, txid(1, 2))->phase, WORKER_ABORTED);
    assert_int_equal(worker_find(p->worker, txid(32, 5))->phase, WORKER_ABORTED);
    const struct kv_txid *mark = &p->worker->coordinators[2].mark;
    assert_true(kv_txid_equal(*mark, (struct kv_txid){3, 7, 40}));
    kv_request_release(request);
}

static void a_coordinators_rows_come_back(void **state)
{
    struct place *p = *state;
    row(p, KV_COORDINATOR_START, true, (struct kv_txid){NODE, 1, 1}, no_mark);
    for (uint64_t s = 1; s <= 4; s++)
        prepare(p, KV_COORDINATOR_PREPARE, txid(NODE, s));
    row(p, KV_COORDINATOR_ABORT, true, txid(NODE, 1), no_mark);
    row(p, KV_COORDINATOR_COMMIT, true, txid(NODE, 2), no_mark);
    row(p, KV_COORDINATOR_COMMIT, true, txid(NODE, 3), no_mark);
    row(p, KV_COORDINATOR_END, false, txid(NODE, 3), txid(NODE, 1));
    settle(p);
    crash(p);

    assert_int_equal(p->coordinator->incarnation, 1);
    assert_int_equal(p->coordinator->first, 1);
    assert_int_equal(p->coordinator->next, 5);
    static const enum coordinator_phase phases[] = {COORDINATOR_ABORTED, COORDINATOR_COMMITTED,
                                                    COORDINATOR_ENDED, COORDINATOR_PREPARING};
    for (uint64_t s = 1; s <= 4; s++) {
        const struct coordinator_txn *t = coordinator_find(p->coordinator, txid(NODE, s));
        assert_non_null(t);
        assert_int_equal(t->phase, phases[s - 1]);
        assert_int_equal(t->participants, 7);
    }
}

/* A new incarnation begins where the last one can have been, though all of its rows are below. */
static void after_the_last_end_the_sequence_goes_on(void **state)
{
    struct place *p = *state;
    row(p, KV_COORDINATOR_START, true, (struct kv_txid){NODE, 1, 1}, no_mark);
    for (uint64_t s = 1; s <= 3; s++) {
        prepare(p, KV_COORDINATOR_PREPARE, txid(NODE, s));
        row(p, KV_COORDINATOR_ABORT, true, txid(NODE, s), no_mark);
        row(p, KV_COORDINATOR_END, false, txid(NODE, s), txid(NODE, s + 1));
    }
    settle(p);
    crash(p);
    assert_int_equal(p->coordinator->incarnation, 1);
    assert_int_equal(p->coordinator->next, 4);
    assert_int_equal(p->coordinator->first, 4);

    row(p, KV_COORDINATOR_START, true, (struct kv_txid){NODE, 2, 4}, no_mark);
    prepare(p, KV_COORDINATOR_PREPARE, (struct kv_txid){NODE, 2, 4});
    settle(p);
    crash(p);
    assert_int_equal(p->coordinator->incarnation, 2);
    assert_int_equal(p->coordinator->next, 5);
    assert_non_null(coordinator_find(p->coordinator, (struct kv_txid){NODE, 2, 4}));
}

static void an_older_incarnation_that_has_not_ended_is_before_the_start(void **state)
{
    struct place *p = *state;
    row(p, KV_COORDINATOR_START, true, (struct kv_txid){NODE, 1, 1}, no_mark);
    prepare(p, KV_COORDINATOR_PREPARE, (struct kv_txid){NODE, 1, 1});
    row(p, KV_COORDINATOR_START, true, (struct kv_txid){NODE, 2, 2}, no_mark);
    prepare(p, KV_COORDINATOR_PREPARE, (struct kv_txid){NODE, 2, 2});
    settle(p);
    crash(p);
    assert_int_equal(p->coordinator->incarnation, 2);
    assert_int_equal(p->coordinator->first, 1);
    assert_int_equal(p->coordinator->next, 3);
}

/* ---- Marks ---- */

struct life {
    char text[200];
};

static void tell_life(void *context, const struct kv_journal_entry *entry)
{
    struct life *l = context;
    size_t length = strlen(l->text);
    assert_true(entry->time_ms > 0);
    snprintf(l->text + length, sizeof(l->text) - length, "%s%s%u ",
             kv_row_is_worker(entry->kind) ? "W-" : "", kv_row_name(entry->kind),
             entry->participants);
}

static const char *life_of(struct place *p, struct kv_txid id)
{
    static struct life life;
    life.text[0] = 0;
    kv_journal_visit(p->journal, id, tell_life, &life);
    return life.text;
}

static void a_mark_deletes_a_workers_rows_of_that_coordinator_below_it(void **state)
{
    struct place *p = *state;
    for (uint32_t c = 1; c <= 2; c++)
        for (uint64_t s = 1; s <= 3; s++)
            row(p, KV_WORKER_ABORT, true, txid(c, s), no_mark);
    row(p, KV_WORKER_ABORT, true, (struct kv_txid){1, 2, 4}, no_mark);
    row(p, KV_WORKER_MARK, false, no_mark, txid(1, 3));
    settle(p);
    assert_string_equal(look(FILE_1, "SELECT group_concat(coordinator || '.' || incarnation || "
                                     "'.' || sequence) FROM (SELECT * FROM journal ORDER BY id)"),
                        "1.1.3,1.2.4,2.1.1,2.1.2,2.1.3");
    row(p, KV_WORKER_MARK, false, no_mark, (struct kv_txid){1, 2, 4});
    settle(p);
    assert_string_equal(look(FILE_1, "SELECT group_concat(coordinator || '.' || incarnation || "
                                     "'.' || sequence) FROM (SELECT * FROM journal ORDER BY id)"),
                        "1.2.4,2.1.1,2.1.2,2.1.3");
}

static void of_what_has_ended_the_newest_are_kept_to_be_explained(void **state)
{
    struct place *p = *state;
    const uint64_t last = 1500;
    row(p, KV_COORDINATOR_START, true, (struct kv_txid){NODE, 1, 1}, no_mark);
    prepare(p, KV_WORKER_PREPARE, txid(NODE, last));
    for (uint64_t s = 1; s <= last; s++) {
        prepare(p, KV_COORDINATOR_PREPARE, txid(NODE, s));
        row(p, KV_COORDINATOR_COMMIT, true, txid(NODE, s), no_mark);
        row(p, KV_COORDINATOR_END, false, txid(NODE, s), txid(NODE, s + 1));
    }
    settle(p);
    /* The mark is 1501: what is below 501 has gone, so that 1000 are left. */
    assert_string_equal(look(FILE_1, "SELECT min(sequence) || ' ' || count(*) FROM journal "
                                     "WHERE kind < 16"),
                        "501 3000");
    assert_string_equal(life_of(p, txid(NODE, 500)), "");
    assert_string_equal(life_of(p, txid(NODE, 501)), "PREPARE7 COMMIT0 END0 ");
    assert_string_equal(life_of(p, txid(NODE, last)), "W-PREPARE7 PREPARE7 COMMIT0 END0 ");
    crash(p);
    assert_int_equal(p->coordinator->next - p->coordinator->first, 0);
    assert_int_equal(p->coordinator->next, last + 1);
}

/* ---- Values and clients ---- */

static void a_commit_carries_out_the_operations_for_this_node(void **state)
{
    struct place *p = *state;
    struct kv_request *request = kv_request_new(4);
    struct kv_results *results = kv_results_new(3);
    request->participants = 7;
    request->epoch = 1;
    request->operations[0] = operation(KV_PUT, "elsewhere", "x");
    request->operations[0].replicas = 7 & ~SELF;
    request->operations[1] = operation(KV_PUT, "a", "one");
    request->operations[2] = operation(KV_GET, "b", NULL);
    request->operations[3] = operation(KV_DELETE, "c", NULL);
    results->list[0] = (struct kv_result){true, 5, NULL};
    results->list[1] = (struct kv_result){true, 6, NULL};
    results->list[2] = (struct kv_result){false, 7, NULL};
    assert_string_equal(get(p, "a"), "- 0");
    write_row(p, (struct kv_row){.kind = KV_WORKER_COMMIT,
                                 .forced = true,
                                 .txid = txid(1, 1),
                                 .request = request,
                                 .results = results});
    settle(p);
    for (int life = 0; life < 2; life++) {
        assert_string_equal(get(p, "elsewhere"), "- 0");
        assert_string_equal(get(p, "a"), "one 5");
        assert_string_equal(get(p, "b"), "- 0");
        assert_string_equal(get(p, "c"), "- 7");
        assert_int_equal(kv_journal_keys(p->journal), 1);
        crash(p);
    }
}

static void a_value_that_was_read_before_is_read_anew_once_it_has_changed(void **state)
{
    struct place *p = *state;
    assert_string_equal(get(p, "a"), "- 0");
    assert_string_equal(get(p, "a"), "- 0");
    put(p, 1, "a", "one", 1);
    assert_string_equal(get(p, "a"), "- 0");
    settle(p);
    assert_string_equal(get(p, "a"), "one 1");
    assert_string_equal(get(p, "a"), "one 1");
    put(p, 2, "a", NULL, 2);
    settle(p);
    assert_string_equal(get(p, "a"), "- 2");
    struct kv_journal_counters c;
    kv_journal_counters(p->journal, &c);
    assert_int_equal(c.cache_hits, 5);
    assert_int_equal(c.cache_misses, 1); /* of those that were written nobody asks the tables */
}

static void nothing_is_known_of_a_value_that_became_too_large_to_be_kept(void **state)
{
    struct place *p = *state;
    char large[100], key[KV_CACHE_ENTRY_BYTES];
    memset(key, 'k', sizeof(key) - 1);
    key[sizeof(key) - 1] = '\0';
    memset(large, 'v', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    put(p, 1, key, "", 1);
    settle(p);
    assert_string_equal(get(p, key), " 1");
    put(p, 2, key, large, 2);
    settle(p);
    assert_int_equal(strlen(get(p, key)), strlen(large) + strlen(" 2"));
    put(p, 3, key, "", 3);
    settle(p);
    assert_string_equal(get(p, key), " 3");
}

/* So that what is kept for reading is bounded. */
static void many_keys_are_read_right_however_few_of_them_are_kept(void **state)
{
    struct place *p = *state;
    const uint64_t keys = 40000, more_than = KV_CACHE_SETS * KV_CACHE_WAYS;
    char key[20], value[40];
    assert_true(keys > more_than);
    for (uint64_t i = 1; i <= keys; i++) {
        snprintf(key, sizeof(key), "key%u", (unsigned)i);
        put(p, i, key, key, i);
    }
    settle(p);
    for (int round = 0; round < 2; round++) {
        for (uint64_t i = 1; i <= keys; i++) {
            snprintf(key, sizeof(key), "key%u", (unsigned)i);
            snprintf(value, sizeof(value), "%s %u", key, (unsigned)i);
            assert_string_equal(get(p, key), value);
        }
    }
}

static void keys_with_a_value_are_counted(void **state)
{
    struct place *p = *state;
    static const struct {
        const char *key, *value;
        uint64_t keys;
    } steps[] = {{"a", "1", 1},  {"b", "1", 2}, {"a", "2", 2}, {"a", NULL, 1}, {"a", NULL, 1},
                 {"c", NULL, 1}, {"a", "3", 2}, {"c", "1", 3}, {"", "x", 4}};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        put(p, i + 1, steps[i].key, steps[i].value, i + 1);
        settle(p);
        assert_int_equal(kv_journal_keys(p->journal), steps[i].keys);
        crash(p);
        assert_int_equal(kv_journal_keys(p->journal), steps[i].keys);
    }
    assert_string_equal(get(p, ""), "x 9");
    assert_string_equal(get(p, "a"), "3 7");
}

static void a_value_of_a_mebibyte_comes_back(void **state)
{
    struct place *p = *state;
    const size_t length = 1u << 20;
    uint8_t *bytes = malloc(length);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(i * 7 / 5);
    struct kv_blob *value = kv_blob_new(bytes, length), *key = blob("large");
    struct kv_operation o = {
        .kind = KV_PUT, .key = kv_blob_hold(key), .value = kv_blob_hold(value), .replicas = 7};
    write_row(p, (struct kv_row){.kind = KV_WORKER_COMMIT,
                                 .forced = true,
                                 .txid = txid(1, 1),
                                 .request = request_of(0, 0, 0, o),
                                 .results = results_of(true, 1)});
    settle(p);
    crash(p);
    struct kv_result r = {0};
    const struct kv_store *store = kv_journal_store(p->journal);
    assert_true(store->get(store->context, key, &r));
    assert_true(kv_blob_equal(r.value, value));
    kv_blob_release(r.value);
    kv_blob_release(value);
    kv_blob_release(key);
    free(bytes);
}

static struct kv_journal_counters counters(struct place *p)
{
    struct kv_journal_counters c;
    kv_journal_counters(p->journal, &c);
    return c;
}

static void what_a_client_has_got_is_remembered_until_it_retires_it(void **state)
{
    struct place *p = *state;
    const uint64_t client = UINT64_MAX;
    write_row(p, (struct kv_row){.kind = KV_WORKER_COMMIT,
                                 .forced = true,
                                 .txid = {3, 4, 5},
                                 .request = request_of(client, 1, 1, operation(KV_GET, "k", NULL)),
                                 .results = all_results()});
    commit_as(p, 2, client, 2, 1);
    commit_as(p, 3, 8, 1, 0);
    settle(p);
    crash(p);
    assert_int_equal(past(p, client, 2), KV_PAST_COMMITTED);
    assert_int_equal(past(p, client, 3), KV_PAST_NONE);
    assert_int_equal(past(p, client, 0), KV_PAST_RETIRED);
    assert_int_equal(past(p, 9, 1), KV_PAST_NONE);

    struct kv_txid id;
    struct kv_results *results = NULL;
    const struct kv_store *store = kv_journal_store(p->journal);
    const struct kv_request first = {.client = client, .sequence = 1};
    assert_int_equal(store->past(store->context, &first, &id, &results), KV_PAST_COMMITTED);
    assert_true(kv_txid_equal(id, (struct kv_txid){3, 4, 5}));
    assert_int_equal(results->count, 3);
    assert_int_equal(results->list[0].value->length, 4);
    kv_results_release(results);

    commit_as(p, 4, client, 3, 3);
    settle(p);
    crash(p);
    assert_int_equal(past(p, client, 1), KV_PAST_RETIRED);
    assert_int_equal(past(p, client, 2), KV_PAST_RETIRED);
    assert_int_equal(past(p, client, 3), KV_PAST_COMMITTED);
    assert_int_equal(past(p, 8, 1), KV_PAST_COMMITTED);
    assert_string_equal(look(FILE_1, "SELECT results FROM client WHERE client = -1"), "1");

    /* A later request with an earlier mark does not bring back what was retired. */
    commit_as(p, 5, client, 4, 2);
    settle(p);
    assert_int_equal(past(p, client, 2), KV_PAST_RETIRED);
}

static void a_client_that_retires_nothing_is_refused_in_the_end(void **state)
{
    struct place *p = *state;
    for (uint64_t s = 1; s <= KV_ONCE_MAX; s++) {
        assert_int_equal(past(p, 7, s), KV_PAST_NONE);
        commit_as(p, s, 7, s, 1);
    }
    settle(p);
    assert_int_equal(past(p, 7, KV_ONCE_MAX + 1), KV_PAST_FULL);
    assert_int_equal(counters(p).once_full, 1);
    assert_int_equal(past(p, 7, KV_ONCE_MAX), KV_PAST_COMMITTED);
    assert_int_equal(past(p, 8, 1), KV_PAST_NONE);
    assert_int_equal(past_of(p, 7, KV_ONCE_MAX + 1, 1), KV_PAST_FULL);

    /* The request that retires one is not refused for it. */
    assert_int_equal(past_of(p, 7, KV_ONCE_MAX + 1, 2), KV_PAST_NONE);
    commit_as(p, KV_ONCE_MAX + 1, 7, KV_ONCE_MAX + 1, 2);
    settle(p);
    assert_string_equal(look(FILE_1, "SELECT results FROM client"), "1024");
}

/* In one life, once the client is known: no crash comes between. */
static void a_known_client_is_told_what_the_tables_say(void **state)
{
    struct place *p = *state;
    commit_as(p, 2, 7, 1, 1);
    settle(p);
    for (uint64_t s = 2; s <= 4; s++)
        assert_int_equal(past(p, 7, s), KV_PAST_NONE);
    commit_as(p, 3, 7, 4, 1); /* before the one that was asked before */
    assert_int_equal(past(p, 7, 4), KV_PAST_NONE);
    settle(p);
    assert_int_equal(past(p, 7, 1), KV_PAST_COMMITTED);
    assert_int_equal(past(p, 7, 3), KV_PAST_NONE);
    assert_int_equal(past(p, 7, 4), KV_PAST_COMMITTED);
    assert_int_equal(past(p, 7, 5), KV_PAST_NONE);
    commit_as(p, 4, 7, 3, 3);
    settle(p);
    assert_int_equal(past(p, 7, 1), KV_PAST_RETIRED);
    assert_int_equal(past(p, 7, 2), KV_PAST_RETIRED);
    assert_int_equal(past(p, 7, 3), KV_PAST_COMMITTED);
    assert_int_equal(past(p, 7, 4), KV_PAST_COMMITTED);
    commit_as(p, 5, 7, 5, 9);
    settle(p);
    assert_int_equal(past(p, 7, 8), KV_PAST_RETIRED);
    assert_string_equal(look(FILE_1, "SELECT count(*) FROM once"), "0");
    assert_string_equal(look(FILE_1, "SELECT results || ' ' || retired FROM client"), "0 9");
}

static void a_known_client_that_retires_nothing_is_refused_in_the_end(void **state)
{
    struct place *p = *state;
    for (uint64_t s = 1; s <= KV_ONCE_MAX; s++) {
        assert_int_equal(past(p, 7, s), KV_PAST_NONE);
        commit_as(p, s, 7, s, 1);
        settle(p);
    }
    assert_int_equal(past(p, 7, KV_ONCE_MAX + 1), KV_PAST_FULL);
    assert_int_equal(past_of(p, 7, KV_ONCE_MAX + 1, 2), KV_PAST_NONE);
}

static void a_known_client_that_is_silent_for_a_lease_is_told_so(void **state)
{
    struct place *p = *state;
    const uint64_t lease_ns = ((uint64_t)KV_LEASE_MS + 1) * MS;
    kv_journal_free(p->journal);
    p->config.clients_max = 1;
    open_journal(p);
    for (uint64_t client = 1; client <= 3; client++) {
        commit_as(p, client, client, 1, 1); /* the lease of the client before ends */
        settle(p);
        assert_int_equal(past(p, client, 1), KV_PAST_COMMITTED);
        assert_int_equal(past(p, client, 2), KV_PAST_NONE);
        assert_int_equal(past(p, client, 3), KV_PAST_NONE);
        if (client > 1)
            assert_int_equal(past(p, client - 1, 3), KV_PAST_RETIRED);
        world_run(p->world, world_now(p->world) + lease_ns);
    }
    /* One that was under way when the lease ended leaves nothing behind but its name. */
    commit_as(p, 4, 2, 2, 1);
    settle(p);
    assert_int_equal(past(p, 2, 3), KV_PAST_RETIRED);
    assert_string_equal(look(FILE_1, "SELECT group_concat(client || ':' || ended, ' ') FROM "
                                     "(SELECT * FROM client ORDER BY client)"),
                        "2:1 3:0");
    assert_int_equal(p->failures, 0);
    crash(p);
    assert_int_equal(past(p, 2, 3), KV_PAST_RETIRED);
}

static void a_client_that_is_silent_for_a_lease_is_told_so(void **state)
{
    struct place *p = *state;
    const uint64_t half_ns = (uint64_t)KV_LEASE_MS / 2 * MS + S;
    kv_journal_free(p->journal);
    p->config.clients_max = 3;
    open_journal(p);
    for (uint64_t client = 1; client <= 3; client++)
        commit_as(p, client, client, 1, 1);
    settle(p);
    assert_int_equal(past(p, 4, 1), KV_PAST_FULL);
    assert_int_equal(counters(p).once_crowded, 1);
    world_run(p->world, world_now(p->world) + half_ns);
    commit_as(p, 4, 2, 2, 1); /* this one is heard again */
    settle(p);
    assert_int_equal(past(p, 4, 1), KV_PAST_FULL);
    world_run(p->world, world_now(p->world) + half_ns);
    assert_int_equal(past(p, 1, 1), KV_PAST_COMMITTED); /* there was room until now */
    assert_int_equal(past(p, 4, 1), KV_PAST_NONE);
    commit_as(p, 5, 4, 1, 1);
    settle(p);
    crash(p);
    assert_int_equal(past(p, 1, 1), KV_PAST_RETIRED);
    assert_int_equal(past(p, 1, 2), KV_PAST_RETIRED);
    assert_int_equal(past(p, 3, 1), KV_PAST_RETIRED);
    assert_int_equal(past(p, 2, 1), KV_PAST_COMMITTED);
    assert_int_equal(past(p, 4, 1), KV_PAST_COMMITTED);
    assert_string_equal(look(FILE_1, "SELECT count(*) FROM once"), "3");
    assert_int_equal(past(p, 5, 1), KV_PAST_NONE); /* two have a lease */
}

static int64_t a_year_on(struct strait_env *env)
{
    return (int64_t)env->now(env) + INT64_C(365) * 86400 * (int64_t)S;
}

/* Nor when the node was away. */
static void no_lease_ends_when_the_time_of_day_jumps(void **state)
{
    struct place *p = *state;
    kv_journal_free(p->journal);
    p->config.clients_max = 2;
    open_journal(p);
    commit_as(p, 1, 1, 1, 1);
    commit_as(p, 2, 2, 1, 1);
    settle(p);
    assert_int_equal(past(p, 3, 1), KV_PAST_FULL);
    p->env->wall_clock = a_year_on;
    assert_int_equal(past(p, 3, 1), KV_PAST_FULL);
    kv_journal_free(p->journal);
    world_run(p->world, world_now(p->world) + 2 * (uint64_t)KV_LEASE_MS * MS);
    open_journal(p);
    assert_int_equal(past(p, 3, 1), KV_PAST_FULL);
    assert_int_equal(past(p, 1, 1), KV_PAST_COMMITTED);
    world_run(p->world, world_now(p->world) + (uint64_t)KV_LEASE_MS * MS + S);
    assert_int_equal(past(p, 3, 1), KV_PAST_NONE);
}

static void names_of_clients_without_a_lease_are_bounded(void **state)
{
    struct place *p = *state;
    kv_journal_free(p->journal);
    p->config.clients_max = 2;
    open_journal(p);
    for (uint64_t client = 1; client <= 9; client++) {
        assert_int_equal(past(p, client, 1), KV_PAST_NONE);
        commit_as(p, client, client, 1, 1);
        settle(p);
        world_run(p->world, world_now(p->world) + ((uint64_t)KV_LEASE_MS + 1) * MS);
    }
    assert_int_equal(counters(p).once_ended, 8);
    assert_int_equal(counters(p).once_displaced, 6);
    assert_string_equal(look(FILE_1, "SELECT group_concat(client, ' ') FROM "
                                     "(SELECT client FROM client ORDER BY client)"),
                        "7 8 9");
    assert_string_equal(look(FILE_1, "SELECT group_concat(client, ' ') FROM once"), "9");
}

/* ---- Batches ---- */

static void rows_of_one_turn_share_a_sync_and_are_told_in_their_order(void **state)
{
    struct place *p = *state;
    row(p, KV_COORDINATOR_START, true, (struct kv_txid){NODE, 1, 1}, no_mark);
    prepare(p, KV_COORDINATOR_PREPARE, txid(NODE, 1));
    prepare(p, KV_WORKER_PREPARE, txid(NODE, 1));
    assert_string_equal(p->told, "");
    settle(p);
    assert_string_equal(p->told, "START 2.1.1, PREPARE 2.1.1, W-PREPARE 2.1.1");
    assert_int_equal(counters(p).batches, 1);
    assert_int_equal(counters(p).rows, 3);
}

static void a_row_that_is_not_forced_waits_for_one_that_is(void **state)
{
    struct place *p = *state;
    row(p, KV_WORKER_MARK, false, no_mark, txid(1, 3));
    world_run(p->world, world_now(p->world) + 5 * MS);
    assert_int_equal(counters(p).batches, 0);
    assert_false(kv_journal_is_idle(p->journal));
    row(p, KV_WORKER_ABORT, true, txid(1, 4), no_mark);
    settle(p);
    assert_int_equal(counters(p).batches, 1);
    assert_string_equal(p->told, "W-ABORT 1.1.4");
}

static void but_it_does_not_wait_for_ever_and_is_not_told(void **state)
{
    struct place *p = *state;
    row(p, KV_WORKER_MARK, false, no_mark, txid(1, 3));
    settle(p);
    assert_int_equal(counters(p).batches, 1);
    assert_string_equal(p->told, "");
    assert_string_equal(look(FILE_1, "SELECT kind || ' ' || sequence FROM mark"), "19 3");
}

static void marks_that_wait_take_the_place_of_one_each(void **state)
{
    struct place *p = *state;
    for (uint32_t i = 1; i <= 3 * KV_JOURNAL_QUEUE_MAX; i++)
        row(p, KV_WORKER_MARK, false, no_mark, txid(1 + i % 2 * 2, i));
    row(p, KV_WORKER_MARK, false, no_mark, txid(1, 5)); /* late */
    row(p, KV_WORKER_ABORT, true, txid(1, 4), no_mark); /* and below the mark, that goes with it */
    settle(p);
    assert_int_equal(counters(p).rows, 3);
    assert_string_equal(look(FILE_1, "SELECT group_concat(coordinator || ' ' || sequence, ', ') "
                                     "FROM mark"),
                        "1 196608, 3 196607");
    assert_string_equal(look(FILE_1, "SELECT count(*) FROM journal"), "0");
    crash(p);
}

static void too_many_rows_that_wait_are_refused_and_counted(void **state)
{
    struct place *p = *state;
    struct kv_row tombstone = {.kind = KV_WORKER_ABORT};
    for (uint64_t i = 1; i <= KV_JOURNAL_QUEUE_MAX; i++) {
        tombstone.txid = txid(1, i);
        assert_int_equal(kv_journal_write(p->journal, &tombstone), 0);
    }
    errno = 0;
    tombstone.txid = txid(1, KV_JOURNAL_QUEUE_MAX + 1);
    assert_int_equal(kv_journal_write(p->journal, &tombstone), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(counters(p).full, 1);
    settle(p);
    assert_int_equal(counters(p).rows, KV_JOURNAL_QUEUE_MAX);
}

/* ---- Failure ---- */

static void failure_is_told_once(struct place *p, const struct disk_faults *faults)
{
    row(p, KV_WORKER_ABORT, true, txid(1, 1), no_mark);
    settle(p);
    p->told[0] = 0;
    disk_set_faults(world_disk(p->host), faults);
    put(p, 2, "a", "x", 1);
    world_run(p->world, world_now(p->world) + 100 * MS / 1000); /* the batch has begun */
    row(p, KV_WORKER_ABORT, true, txid(1, 3), no_mark);
    settle(p);
    assert_int_equal(p->failures, 1);
    assert_non_null(strstr(p->message, FILE_1 ": "));
    assert_string_equal(kv_journal_failure(p->journal), p->message);
    assert_string_equal(p->told, "");
    errno = 0;
    assert_int_equal(kv_journal_write(p->journal, &(struct kv_row){.kind = KV_WORKER_ABORT,
                                                                   .forced = true,
                                                                   .txid = txid(1, 4)}),
                     -1);
    assert_int_equal(errno, EIO);
    disk_set_faults(world_disk(p->host), &(struct disk_faults){0});
    settle(p);
    assert_string_equal(p->told, "");
    assert_int_equal(p->failures, 1);
    crash(p);
    assert_non_null(worker_find(p->worker, txid(1, 1)));
    assert_null(worker_find(p->worker, txid(1, 3)));
}

static void a_failed_write_ends_it(void **state)
{
    failure_is_told_once(*state, &(struct disk_faults){.write_error = ALWAYS});
}

static void a_failed_sync_ends_it(void **state)
{
    failure_is_told_once(*state, &(struct disk_faults){.sync_error = ALWAYS});
}

static void a_full_disk_ends_it(void **state)
{
    failure_is_told_once(*state, &(struct disk_faults){.capacity_bytes = 1});
}

/* ---- Whose it is, and damage ---- */

static void assert_refused(struct place *p, const char *message)
{
    char error[STORE_MESSAGE_BYTES] = "";
    uint64_t hash = disk_hash(world_disk(p->host));
    assert_null(kv_journal_open(p->env, &p->config, error));
    assert_non_null(strstr(error, message));
    assert_ptr_equal(strstr(error, FILE_1), error);
    assert_true(hash == disk_hash(world_disk(p->host)));
}

static void the_directory_of_another_node_cluster_or_version_is_refused(void **state)
{
    struct place *p = *state;
    kv_journal_free(p->journal);
    p->journal = NULL;
    p->config.node = 3;
    assert_refused(p, "it belongs to cluster shop node 2, and not to cluster shop node 3");
    p->config.node = NODE;
    p->config.cluster = "bank";
    assert_refused(p, "it belongs to cluster shop node 2, and not to cluster bank node 2");
    p->config.cluster = "shop";
    look(FILE_1, "PRAGMA user_version=2");
    assert_refused(p, "this program knows version 1 of it, and it has 2");
    look(FILE_1, "PRAGMA user_version=1");
    open_journal(p);
}

static void damaged_rows_of_the_journal_are_found_when_it_is_loaded(void **state)
{
    struct place *p = *state;
    static const struct {
        const char *damage, *repair, *message;
    } all[] = {
        {"UPDATE journal SET time_ms = time_ms + 1 WHERE kind = 16",
         "UPDATE journal SET time_ms = time_ms - 1 WHERE kind = 16",
         "row 2 of journal, of transaction 1.1.2, is damaged"},
        {"UPDATE journal SET operations = CAST(x'00000000' || substr(operations, 5) AS BLOB) WHERE "
         "kind = 16",
         "UPDATE journal SET operations = CAST(x'00000001' || substr(operations, 5) AS BLOB) WHERE "
         "kind = 16",
         "row 2 of journal, of transaction 1.1.2, is damaged"},
        {"UPDATE journal SET incarnation = 9 WHERE kind = 18",
         "UPDATE journal SET incarnation = 1 WHERE kind = 18",
         "row 1 of journal, of transaction 1.9.1, is damaged"},
        {"UPDATE mark SET sequence = 2", "UPDATE mark SET sequence = 1",
         "the row of mark with kind 19 is damaged"},
    };
    row(p, KV_WORKER_ABORT, true, txid(1, 1), no_mark);
    prepare(p, KV_WORKER_PREPARE, txid(1, 2));
    row(p, KV_WORKER_MARK, false, no_mark, txid(1, 1));
    settle(p);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        char error[STORE_MESSAGE_BYTES] = "";
        look(FILE_1, all[i].damage);
        make_machines(p);
        assert_false(kv_journal_load(p->journal, p->coordinator, p->worker, error));
        assert_non_null(strstr(error, all[i].message));
        look(FILE_1, all[i].repair);
        load(p);
    }
}

static void a_journal_beyond_the_limits_of_a_machine_is_refused(void **state)
{
    struct place *p = *state;
    char error[STORE_MESSAGE_BYTES] = "";
    for (uint64_t s = 1; s <= 5001; s++)
        row(p, KV_WORKER_ABORT, true, txid(1, s), no_mark);
    settle(p);
    make_machines(p);
    assert_false(kv_journal_load(p->journal, p->coordinator, p->worker, error));
    assert_string_equal(error, FILE_1 ": the worker cannot hold what the journal does");
}

static void damaged_values_and_clients_are_found_when_they_are_read(void **state)
{
    struct place *p = *state;
    put(p, 1, "a", "sound", 1);
    put(p, 2, "b", "sound", 2);
    commit_as(p, 3, 7, 1, 1);
    commit_as(p, 4, 8, 1, 1);
    settle(p);
    crash(p); /* what this life has written it knows */
    look(FILE_1, "UPDATE value SET value = CAST('Sound' AS BLOB) WHERE key = x'61'");
    look(FILE_1, "UPDATE once SET txn_sequence = 9 WHERE client = 7");
    look(FILE_1, "UPDATE client SET retired = 0 WHERE client = 8");
    assert_string_equal(get(p, "a"), "damaged");
    assert_string_equal(get(p, "b"), "sound 2");
    assert_int_equal(past(p, 7, 1), KV_PAST_DAMAGED);
    assert_int_equal(past(p, 7, 2), KV_PAST_NONE);
    assert_int_equal(past(p, 8, 1), KV_PAST_COMMITTED);
    assert_int_equal(past(p, 8, 2), KV_PAST_DAMAGED);
    assert_int_equal(counters(p).damaged, 3);

    /* A new row of the client does not make its damaged one look sound. */
    commit_as(p, 5, 8, 2, 1);
    settle(p);
    assert_int_equal(p->failures, 1);
    assert_string_equal(p->message, FILE_1 ": a row of client is damaged");
}

static void a_damaged_total_is_found_at_the_start(void **state)
{
    struct place *p = *state;
    char error[STORE_MESSAGE_BYTES] = "";
    kv_journal_free(p->journal);
    look(FILE_1, "UPDATE total SET keys = 5");
    p->journal = kv_journal_open(p->env, &p->config, error);
    assert_null(p->journal);
    assert_string_equal(error, FILE_1 ": the row of total is damaged");
}

/* ---- Copies ---- */

static void backed_up(void *context, const char *error)
{
    struct place *p = context;
    p->backups++;
    snprintf(p->backup_error, sizeof(p->backup_error), "%s", error ? error : "");
}

static void a_copy_is_a_journal_of_what_was_durable(void **state)
{
    struct place *p = *state;
    put(p, 1, "a", "before", 1);
    settle(p);
    assert_int_equal(kv_journal_backup(p->journal, "e/node.db", backed_up, p), 0);
    assert_false(kv_journal_is_idle(p->journal));
    errno = 0;
    assert_int_equal(kv_journal_backup(p->journal, "f", backed_up, p), -1);
    assert_int_equal(errno, EBUSY);
    for (uint64_t i = 2; i < 20; i++)
        put(p, i, "b", "meanwhile", i);
    settle(p);
    assert_int_equal(p->backups, 1);
    assert_string_equal(p->backup_error, "");
    errno = 0;
    assert_int_equal(kv_journal_backup(p->journal, "e/node.db", backed_up, p), -1);
    assert_int_equal(errno, EEXIST);
    assert_string_equal(get(p, "b"), "meanwhile 19");

    kv_journal_free(p->journal);
    p->config.directory = "e";
    open_journal(p);
    assert_string_equal(get(p, "a"), "before 1");
    assert_string_equal(look("e/node.db", "PRAGMA integrity_check"), "ok");
}

/* Each is made of the one before. What of unsynced changes a crash leaves is drawn. */
static void copies_outlast_crashes(void **state)
{
    static const char *const directories[] = {"e", "f", "g", "h", "i", "j", "k", "l"};
    struct place *p = *state;
    put(p, 1, "a", "before", 1);
    settle(p);
    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
        char path[16];
        snprintf(path, sizeof(path), "%s/node.db", directories[i]);
        assert_int_equal(kv_journal_backup(p->journal, path, backed_up, p), 0);
        settle(p);
        assert_int_equal(p->backups, i + 1);
        assert_string_equal(p->backup_error, "");
        p->config.directory = directories[i];
        crash(p);
        assert_string_equal(get(p, "a"), "before 1");
    }
}

static void a_copy_that_fails_leaves_no_file_and_harms_nobody(void **state)
{
    struct place *p = *state;
    put(p, 1, "a", "before", 1);
    settle(p);
    disk_set_faults(world_disk(p->host), &(struct disk_faults){.capacity_bytes = 1});
    assert_int_equal(kv_journal_backup(p->journal, "f", backed_up, p), 0);
    settle(p);
    assert_int_equal(p->backups, 1);
    assert_string_equal(p->backup_error, "f: database or disk is full");
    disk_set_faults(world_disk(p->host), &(struct disk_faults){0});
    assert_int_equal(p->env->file_open(p->env, "f", 0), -1);
    put(p, 2, "a", "after", 2);
    settle(p);
    assert_string_equal(get(p, "a"), "after 2");
    assert_int_equal(p->failures, 0);
}

int main(void)
{
#define JOURNAL_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_are_packed_and_whatever_is_cut_off_is_refused),
        cmocka_unit_test(results_are_packed_and_whatever_is_cut_off_is_refused),
        JOURNAL_TEST(a_workers_rows_come_back_with_every_field),
        JOURNAL_TEST(a_coordinators_rows_come_back),
        JOURNAL_TEST(after_the_last_end_the_sequence_goes_on),
        JOURNAL_TEST(an_older_incarnation_that_has_not_ended_is_before_the_start),
        JOURNAL_TEST(a_mark_deletes_a_workers_rows_of_that_coordinator_below_it),
        JOURNAL_TEST(of_what_has_ended_the_newest_are_kept_to_be_explained),
        JOURNAL_TEST(a_commit_carries_out_the_operations_for_this_node),
        JOURNAL_TEST(a_value_that_was_read_before_is_read_anew_once_it_has_changed),
        JOURNAL_TEST(nothing_is_known_of_a_value_that_became_too_large_to_be_kept),
        JOURNAL_TEST(many_keys_are_read_right_however_few_of_them_are_kept),
        JOURNAL_TEST(keys_with_a_value_are_counted),
        JOURNAL_TEST(a_value_of_a_mebibyte_comes_back),
        JOURNAL_TEST(what_a_client_has_got_is_remembered_until_it_retires_it),
        JOURNAL_TEST(a_client_that_retires_nothing_is_refused_in_the_end),
        JOURNAL_TEST(a_known_client_is_told_what_the_tables_say),
        JOURNAL_TEST(a_known_client_that_retires_nothing_is_refused_in_the_end),
        JOURNAL_TEST(a_known_client_that_is_silent_for_a_lease_is_told_so),
        JOURNAL_TEST(a_client_that_is_silent_for_a_lease_is_told_so),
        JOURNAL_TEST(names_of_clients_without_a_lease_are_bounded),
        JOURNAL_TEST(no_lease_ends_when_the_time_of_day_jumps),
        JOURNAL_TEST(rows_of_one_turn_share_a_sync_and_are_told_in_their_order),
        JOURNAL_TEST(a_row_that_is_not_forced_waits_for_one_that_is),
        JOURNAL_TEST(but_it_does_not_wait_for_ever_and_is_not_told),
        JOURNAL_TEST(marks_that_wait_take_the_place_of_one_each),
        JOURNAL_TEST(too_many_rows_that_wait_are_refused_and_counted),
        JOURNAL_TEST(a_failed_write_ends_it),
        JOURNAL_TEST(a_failed_sync_ends_it),
        JOURNAL_TEST(a_full_disk_ends_it),
        JOURNAL_TEST(the_directory_of_another_node_cluster_or_version_is_refused),
        JOURNAL_TEST(damaged_rows_of_the_journal_are_found_when_it_is_loaded),
        JOURNAL_TEST(a_journal_beyond_the_limits_of_a_machine_is_refused),
        JOURNAL_TEST(damaged_values_and_clients_are_found_when_they_are_read),
        JOURNAL_TEST(a_damaged_total_is_found_at_the_start),
        JOURNAL_TEST(a_copy_is_a_journal_of_what_was_durable),
        JOURNAL_TEST(copies_outlast_crashes),
        JOURNAL_TEST(a_copy_that_fails_leaves_no_file_and_harms_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
