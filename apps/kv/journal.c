/* SPDX-License-Identifier: MIT */
/*
 * Rows wait in a queue. A batch of them is one job of the store, and one runs at a time. If enough
 * wait when it is done, the next is submitted before what was in it is told, so that the disk is
 * kept busy.
 *
 *     driving thread   turn: rows a, b    rows c, d ...       done: submit c, d ...; tell a, b
 *     executor                        [ a, b, sync ......... ][ c, d ..., sync ...
 *
 * Otherwise a forced row starts one at the end of the turn, by a timer that is due at once: what
 * else comes in this turn, such as the rows that follow from those that are told, shares the sync.
 * With few rows in a batch a sync costs more than the time in which the disk has none. Rows that
 * are not forced wait for one that is, or for IDLE_NS. Marks do not stand in the queue: their
 * number is not bounded by what the machines have under way, so the highest of each coordinator
 * goes with whoever is last.
 *
 * While a job runs, `batch`, `tables` and `keys` belong to the executor's thread. References are
 * counted on the driving thread alone: the other one reads what a row refers to.
 */
#include "kv/journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "kv/backup.h"
#include "kv/cache.h"
#include "kv/reader.h"
#include "kv/tables.h"

#define APPLICATION     0x73746b76 /* "stkv" */
#define PATH_BYTES      4096
#define OWNER_BYTES     256
#define BATCH_ROWS_MAX  1024
#define BATCH_BYTES_MAX (16u << 20) /* of keys and values, but for the last row of a batch */
#define ENOUGH_ROWS     32          /* forced ones that share a sync well */
#define IDLE_ROWS_MAX   256         /* that wait although none is forced */
#define IDLE_NS         UINT64_C(10000000)
#define MS_NS           1000000

enum plan { NOTHING, LATER, NOW };

struct kv_journal {
    struct strait_env *env;
    struct kv_journal_config config;
    char path[PATH_BYTES], owner[OWNER_BYTES];
    struct store *store;
    struct kv_reader reader;
    struct kv_cache cache;
    struct kv_store view;
    int64_t number; /* of the last row */
    uint64_t keys;  /* as of the rows that have been told */
    uint64_t opened_ns;
    int64_t heard_ms; /* how long the node had run before, as far as leases need it */

    struct kv_queue queued;
    struct kv_queued *marks[KV_NODES_MAX]; /* of coordinator id at [id - 1]; counted with those */
    size_t queued_count, forced_count;
    enum plan plan; /* what the timer waits for */
    struct strait_timer timer;

    struct store_job job;
    bool running;
    struct kv_queue batch;
    struct kv_tables tables;

    bool failed;
    struct kv_journal_counters counters;
    struct kv_backup backup;
};

/* ---- Rows that wait ---- */

static struct kv_queued *queued_new(const struct kv_row *row)
{
    struct kv_queued *q = malloc(sizeof(*q));

    if (!q)
        return NULL;
    *q = (struct kv_queued){.row = *row};
    kv_request_hold(q->row.request);
    kv_results_hold(q->row.results);
    return q;
}

static void queued_free(struct kv_queued *q)
{
    kv_request_release(q->row.request);
    kv_results_release(q->row.results);
    free(q);
}

static void drop(struct kv_queue *queue)
{
    struct kv_queued *q;

    while ((q = STAILQ_FIRST(queue))) {
        STAILQ_REMOVE_HEAD(queue, link);
        queued_free(q);
    }
}

static size_t bytes_of(const struct kv_row *row)
{
    const struct kv_request *request = row->request;
    size_t bytes = 0;

    for (uint32_t i = 0; request && i < request->count; i++) {
        const struct kv_operation *o = &request->operations[i];
        bytes += o->key->length + (o->value ? o->value->length : 0);
    }
    return bytes;
}

/* Moves the first rows of the queue into the batch. */
static void fill_batch(struct kv_journal *j)
{
    struct kv_queued *q;
    size_t rows = 0, bytes = 0;

    while ((q = STAILQ_FIRST(&j->queued)) && rows < BATCH_ROWS_MAX && bytes < BATCH_BYTES_MAX) {
        STAILQ_REMOVE_HEAD(&j->queued, link);
        STAILQ_INSERT_TAIL(&j->batch, q, link);
        j->queued_count--;
        j->forced_count -= q->row.forced;
        rows++;
        bytes += bytes_of(&q->row);
    }
    for (uint32_t i = 0; STAILQ_EMPTY(&j->queued) && i < KV_NODES_MAX; i++) {
        if (!j->marks[i])
            continue;
        STAILQ_INSERT_TAIL(&j->batch, j->marks[i], link);
        j->marks[i] = NULL;
        j->queued_count--;
    }
}

static void drop_all(struct kv_journal *j)
{
    for (uint32_t i = 0; i < KV_NODES_MAX; i++) {
        if (j->marks[i])
            queued_free(j->marks[i]);
        j->marks[i] = NULL;
    }
    drop(&j->queued);
    j->queued_count = j->forced_count = 0;
}

/* Whether a mark of the same coordinator waits, which stands for this one, too. */
static bool raise_mark(struct kv_journal *j, const struct kv_row *row)
{
    struct kv_queued *q = row->kind == KV_WORKER_MARK ? j->marks[row->mark.coordinator - 1] : NULL;

    if (q && kv_txid_before(q->row.mark, row->mark))
        q->row.mark = row->mark;
    return q != NULL;
}

static void enqueue(struct kv_journal *j, struct kv_queued *q)
{
    if (q->row.kind == KV_WORKER_MARK)
        j->marks[q->row.mark.coordinator - 1] = q;
    else
        STAILQ_INSERT_TAIL(&j->queued, q, link);
    j->queued_count++;
    j->forced_count += q->row.forced;
}

/* ---- Batches, one after the other ---- */

static void fail(struct kv_journal *j)
{
    if (j->failed)
        return;
    j->failed = true;
    drop_all(j);
    j->config.failed(j->config.context, kv_journal_failure(j));
}

static void start_batch(struct kv_journal *j)
{
    j->plan = NOTHING;
    j->env->timer_stop(j->env, &j->timer);
    fill_batch(j);
    j->running = store_submit(j->store, &j->job) == 0;
    if (!j->running)
        fail(j);
}

/* Starts the timer that starts a batch. */
static void plan(struct kv_journal *j)
{
    if (j->running || j->queued_count == 0)
        return;
    enum plan next = j->forced_count > 0 || j->queued_count >= IDLE_ROWS_MAX ? NOW : LATER;
    if (j->plan >= next)
        return;
    j->plan = next;
    uint64_t now_ns = j->env->now(j->env);
    j->env->timer_start(j->env, &j->timer, next == NOW ? STRAIT_AT_ONCE : now_ns + IDLE_NS);
}

static void timer_expired(void *owner, struct strait_timer *timer)
{
    (void)owner;
    start_batch((struct kv_journal *)(void *)((char *)timer - offsetof(struct kv_journal, timer)));
}

static struct kv_journal *journal_of(struct store_job *job)
{
    return (struct kv_journal *)(void *)((char *)job - offsetof(struct kv_journal, job));
}

static bool batch_run(struct store_job *job, struct store *store)
{
    struct kv_journal *j = journal_of(job);

    (void)store;
    return kv_tables_write(&j->tables, &j->batch);
}

static void note_values(struct kv_journal *j, const struct kv_row *row)
{
    const struct kv_request *request = row->request;
    uint32_t position = 0;

    for (uint32_t i = 0; i < request->count; i++) {
        const struct kv_operation *o = &request->operations[i];
        if (!(o->replicas & kv_node_bit(j->config.node)))
            continue;
        const struct kv_result *r = &row->results->list[position++];
        if (kv_operation_writes(o))
            kv_cache_put(&j->cache, o->key,
                         &(struct kv_result){o->kind == KV_PUT, r->version, o->value});
    }
}

/* Before anything is told: whoever hears that it is durable reads what is so now. */
static void note_commits(struct kv_journal *j, const struct kv_queue *rows)
{
    const struct kv_queued *q;

    STAILQ_FOREACH(q, rows, link) {
        if (q->row.kind != KV_WORKER_COMMIT)
            continue;
        note_values(j, &q->row);
        if (q->row.request->client != 0)
            kv_reader_note(&j->reader, q->row.request, &q->client);
    }
}

static void tell(struct kv_journal *j, struct kv_queue *rows)
{
    struct kv_queued *q;

    while ((q = STAILQ_FIRST(rows))) {
        STAILQ_REMOVE_HEAD(rows, link);
        j->counters.rows++;
        if (q->row.forced)
            j->config.durable(j->config.context, q->row.kind, q->row.txid);
        queued_free(q);
    }
}

/* What the job has left of the clients. */
static void note_clients(struct kv_journal *j)
{
    j->reader.clients = j->tables.clients.live;
    if (j->counters.once_ended != j->tables.clients.leases_ended)
        kv_known_forget_all(&j->reader.known); /* some of them have no lease any more */
    j->counters.once_ended = j->tables.clients.leases_ended;
    j->counters.once_displaced = j->tables.clients.displaced;
}

static void batch_done(struct store_job *job, enum store_outcome outcome)
{
    struct kv_journal *j = journal_of(job);
    struct kv_queue rows = STAILQ_HEAD_INITIALIZER(rows);

    STAILQ_CONCAT(&rows, &j->batch);
    j->running = false;
    if (outcome != STORE_KEPT) {
        drop(&rows);
        fail(j);
        return;
    }
    j->keys = (uint64_t)j->tables.keys;
    j->counters.batches++;
    note_commits(j, &rows);
    note_clients(j);
    if (j->forced_count >= ENOUGH_ROWS)
        start_batch(j);
    tell(j, &rows);
    plan(j);
}

/* How long the node has run, in this life and those before. */
static int64_t lease_ms(const struct kv_journal *j)
{
    return j->heard_ms + (int64_t)(j->env->now(j->env) - j->opened_ns) / MS_NS;
}

int kv_journal_write(struct kv_journal *j, const struct kv_row *row)
{
    if (j->failed) {
        errno = EIO;
        return -1;
    }
    if (row->txid.sequence > KV_JOURNAL_SEQUENCE_MAX ||
        row->mark.sequence > KV_JOURNAL_SEQUENCE_MAX) {
        errno = EINVAL;
        return -1;
    }
    if (raise_mark(j, row))
        return 0;
    if (j->queued_count == j->config.queue_max) {
        j->counters.full++;
        errno = EAGAIN;
        return -1;
    }
    struct kv_queued *q = queued_new(row);
    if (!q) {
        errno = ENOMEM;
        return -1;
    }
    q->number = ++j->number;
    q->time_ms = j->env->wall_clock(j->env) / MS_NS;
    q->lease_ms = lease_ms(j);
    enqueue(j, q);
    plan(j);
    return 0;
}

/* ---- Reading ---- */

static bool view_get(void *context, const struct kv_blob *key, struct kv_result *result)
{
    struct kv_journal *j = context;

    if (kv_cache_get(&j->cache, key, result))
        return true;
    if (!kv_reader_get(&j->reader, key, result))
        return false;
    kv_cache_put(&j->cache, key, result);
    return true;
}

static enum kv_past view_past(void *context, const struct kv_request *request, struct kv_txid *txid,
                              struct kv_results **results)
{
    struct kv_journal *j = context;

    return kv_reader_past(&j->reader, request, lease_ms(j), txid, results);
}

const struct kv_store *kv_journal_store(struct kv_journal *j)
{
    return &j->view;
}

bool kv_journal_load(struct kv_journal *j, struct coordinator *coordinator, struct worker *worker,
                     char error[STORE_MESSAGE_BYTES])
{
    return kv_reader_load(&j->reader, coordinator, worker, error);
}

void kv_journal_visit(struct kv_journal *j, struct kv_txid id,
                      void (*visit)(void *context, const struct kv_journal_entry *), void *context)
{
    kv_reader_visit(&j->reader, id, visit, context);
}

uint64_t kv_journal_keys(struct kv_journal *j)
{
    return j->keys;
}

int kv_journal_backup(struct kv_journal *j, const char *path,
                      void (*done)(void *context, const char *error), void *context)
{
    if (kv_backup_start(&j->backup, j->env, j->path, path, done, context))
        return -1;
    j->counters.backups++;
    return 0;
}

bool kv_journal_is_idle(const struct kv_journal *j)
{
    return !j->running && j->queued_count == 0 && !j->backup.running;
}

const char *kv_journal_failure(const struct kv_journal *j)
{
    if (!j->failed)
        return NULL;
    return store_failure(j->store) ? store_failure(j->store) : "the journal is out of memory";
}

void kv_journal_counters(const struct kv_journal *j, struct kv_journal_counters *counters)
{
    *counters = j->counters;
    counters->damaged = j->reader.damage.found;
    counters->once_full = j->reader.full;
    counters->once_crowded = j->reader.crowded;
    counters->cache_hits = j->cache.hits;
    counters->cache_misses = j->cache.misses;
}

/* ---- Opening ---- */

static bool open_tables(struct kv_journal *j, char error[STORE_MESSAGE_BYTES])
{
    const struct store_config config = {.path = j->path,
                                        .application = APPLICATION,
                                        .version = KV_TABLES_VERSION,
                                        .owner = j->owner,
                                        .schema = kv_tables_schema,
                                        .checkpoint_pages = j->config.checkpoint_pages};
    struct kv_counts counts;

    j->store = store_open(j->env, &config, error);
    if (!j->store || !kv_reader_open(&j->reader, j->store, j->path, j->config.node, error) ||
        !kv_reader_count(&j->reader, &counts, error))
        return false;
    j->keys = (uint64_t)counts.keys;
    j->number = counts.number;
    j->heard_ms = counts.heard_ms;
    j->opened_ns = j->env->now(j->env);
    j->reader.clients = counts.live;
    j->reader.clients_max = j->config.clients_max;
    if (kv_tables_prepare(&j->tables, j->store, j->config.node, counts.keys) &&
        kv_clients_prepare(&j->tables.clients, j->store, j->config.clients_max, counts.live,
                           counts.ended))
        return true;
    snprintf(error, STORE_MESSAGE_BYTES, "%.200s: it lacks a table, or memory is short", j->path);
    return false;
}

struct kv_journal *kv_journal_open(struct strait_env *env, const struct kv_journal_config *config,
                                   char error[STORE_MESSAGE_BYTES])
{
    struct kv_journal *j = calloc(1, sizeof(*j));

    if (!j) {
        snprintf(error, STORE_MESSAGE_BYTES, "%.200s: no memory", config->directory);
        return NULL;
    }
    j->env = env;
    j->config = *config;
    j->config.directory = j->config.cluster = NULL; /* they need not last */
    if (j->config.queue_max == 0)
        j->config.queue_max = KV_JOURNAL_QUEUE_MAX;
    if (j->config.clients_max == 0)
        j->config.clients_max = KV_CLIENTS_MAX;
    STAILQ_INIT(&j->queued);
    STAILQ_INIT(&j->batch);
    kv_cache_init(&j->cache);
    j->timer.expired = timer_expired;
    j->job.run = batch_run;
    j->job.done = batch_done;
    j->reader.damage = (struct kv_damage){.warn = config->warn, .context = config->context};
    j->view = (struct kv_store){.get = view_get, .past = view_past, .context = j};
    int length = snprintf(j->path, sizeof(j->path), "%s/" KV_JOURNAL_FILE, config->directory);
    snprintf(j->owner, sizeof(j->owner), "cluster %s node %u", config->cluster, config->node);
    if (length >= (int)sizeof(j->path))
        snprintf(error, STORE_MESSAGE_BYTES, "%.200s...: the name is too long", config->directory);
    else if (open_tables(j, error))
        return j;
    kv_journal_free(j);
    return NULL;
}

void kv_journal_free(struct kv_journal *j)
{
    if (!j)
        return;
    store_free(j->store);
    kv_cache_free(&j->cache);
    kv_reader_free(&j->reader);
    kv_tables_free(&j->tables);
    drop(&j->batch);
    drop_all(j);
    free(j);
}
