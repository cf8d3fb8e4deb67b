/* SPDX-License-Identifier: MIT */
/*
 * One batch runs at a time. While it does, the database, `batch`, `broken` and `failure` belong to
 * the executor's thread, and everything else to the driving one; the executor hands them over.
 *
 * A batch is one transaction, and each of its jobs a savepoint in it, so that a job can be undone
 * alone; one that is the whole batch needs none, which spares SQLite a copy of each page it
 * changes. SQLite undoes the whole transaction by itself after some errors; since every error is
 * the last one, that is never asked for.
 */
#include "store.h"

#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wal_vfs.h"

#define BUSY_TIMEOUT_MS  5000 /* somebody looks into the database with a lock */
#define RETRY_NS         UINT64_C(1000000)
#define CHECKPOINT_PAGES 10000
#define SQL_BYTES        512
#define SUM_FACTOR       UINT64_C(0x9e3779b97f4a7c15)

STAILQ_HEAD(store_jobs, store_job);

struct store {
    struct strait_env *env;
    struct store_config config;
    struct wal_vfs *vfs; /* of `db`, the only one that writes */
    sqlite3 *db, *reader;
    sqlite3_stmt *begin, *commit, *savepoint, *undo, *release;
    bool broken; /* as the thread that runs the batch knows */
    char failure[STORE_MESSAGE_BYTES];
    struct store_jobs batch; /* that runs, or waits for the executor */

    struct store_jobs queued;
    size_t queued_count;
    struct strait_work work;
    struct strait_timer retry;
    bool running; /* the work is with the executor */
    bool failed;  /* and the owner has been told */
    struct store_counters counters;
};

/* ---- Failure --------------------------------------------------------------------------------- */

/* Remembers the first failure, which is the one that is told. Returns false. */
__attribute__((format(printf, 2, 3))) static bool fail(struct store *s, const char *format, ...)
{
    va_list arguments;
    if (s->broken)
        return false;
    s->broken = true;
    int length = snprintf(s->failure, sizeof(s->failure), "%.200s: ", s->config.path);
    va_start(arguments, format);
    vsnprintf(s->failure + length, sizeof(s->failure) - (size_t)length, format, arguments);
    va_end(arguments);
    return false;
}

void store_damaged(struct store *s, const char *what)
{
    fail(s, "a row of %s is damaged", what);
}

const char *store_failure(const struct store *s)
{
    return s->broken ? s->failure : NULL;
}

/* Of what SQLite has refused; what it says of a file that is no database of its own is for those
 * who know its source. */
static bool fail_by_sqlite(struct store *s)
{
    int number = s->db ? sqlite3_system_errno(s->db) : 0;
    switch (s->db ? sqlite3_errcode(s->db) : SQLITE_NOMEM) {
    case SQLITE_NOMEM:
        return fail(s, "no memory");
    case SQLITE_NOTADB:
        return fail(s, "it is no database");
    case SQLITE_CORRUPT:
        return fail(s, "it is a database that is damaged, or cut short");
    case SQLITE_CANTOPEN:
        return fail(s, "it, or its log (-wal, -shm), cannot be opened: %s",
                    number ? strerror(number) : sqlite3_errmsg(s->db));
    default:
        return fail(s, "%s", sqlite3_errmsg(s->db));
    }
}

/* ---- Statements ------------------------------------------------------------------------------ */

sqlite3_stmt *store_prepare(struct store *s, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);
    return statement;
}

enum store_step store_step(struct store *s, sqlite3_stmt *statement)
{
    if (s->broken)
        return STORE_BROKEN;
    int result = sqlite3_step(statement);
    if (result == SQLITE_ROW)
        return STORE_ROW;
    bool refused = (result & 0xff) == SQLITE_CONSTRAINT;
    if (result != SQLITE_DONE && !refused)
        fail(s, "%s: %s", sqlite3_errmsg(s->db), sqlite3_sql(statement));
    sqlite3_reset(statement);
    if (s->broken)
        return STORE_BROKEN;
    return refused ? STORE_REFUSED : STORE_DONE;
}

static bool run_sql(struct store *s, const char *sql)
{
    if (sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return true;
    return fail_by_sqlite(s);
}

/* ---- The checksum of a row ------------------------------------------------------------------- */

/*
 * Each step maps sums one to one, whatever the word: rows that differ in one word differ in their
 * sums. Of each value there are its type, and its length and bytes, so that no two rows are one
 * string.
 */
static uint64_t add_word(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * SUM_FACTOR;
    return sum ^ sum >> 32;
}

static uint64_t add_bytes(uint64_t sum, int type, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    sum = add_word(add_word(sum, (uint64_t)type), length);
    for (; length > 0; at += 8) {
        size_t taken = length < 8 ? length : 8;
        uint64_t word = 0;
        memcpy(&word, at, taken);
        sum = add_word(sum, le64toh(word));
        length -= taken;
    }
    return sum;
}

uint64_t store_sum_text(uint64_t sum, const char *text)
{
    return add_bytes(sum, SQLITE_TEXT, text, strlen(text));
}

uint64_t store_sum_bytes(uint64_t sum, const void *bytes, size_t length)
{
    return add_bytes(sum, SQLITE_BLOB, bytes, length);
}

uint64_t store_sum_number(uint64_t sum, int64_t number)
{
    return add_word(add_word(sum, SQLITE_INTEGER), (uint64_t)number);
}

uint64_t store_sum_null(uint64_t sum)
{
    return add_word(sum, SQLITE_NULL);
}

static uint64_t add_value(uint64_t sum, sqlite3_value *value)
{
    int type = sqlite3_value_type(value);
    if (type == SQLITE_NULL)
        return store_sum_null(sum);
    if (type == SQLITE_INTEGER)
        return store_sum_number(sum, sqlite3_value_int64(value));
    const void *bytes = sqlite3_value_blob(value);
    return add_bytes(sum, type, bytes, (size_t)sqlite3_value_bytes(value));
}

static void row_sum(sqlite3_context *context, int count, sqlite3_value **values)
{
    uint64_t sum = STORE_SUM;
    for (int i = 0; i < count; i++)
        sum = add_value(sum, values[i]);
    sqlite3_result_int64(context, (sqlite3_int64)sum);
}

/* ---- A batch, on the executor's thread ------------------------------------------------------- */

static bool step_once(struct store *s, sqlite3_stmt *statement)
{
    return store_step(s, statement) == STORE_DONE;
}

static bool run_job(struct store *s, struct store_job *job)
{
    if (!step_once(s, s->savepoint))
        return false;
    job->wish = job->run(job, s);
    if (!job->wish && !step_once(s, s->undo))
        return false;
    return step_once(s, s->release);
}

/* Runs the jobs. Returns whether there is something to commit. */
static bool run_jobs(struct store *s, struct store_jobs *jobs)
{
    struct store_job *job = STAILQ_FIRST(jobs);
    if (!STAILQ_NEXT(job, link)) {
        job->wish = job->run(job, s);
        return job->wish;
    }
    STAILQ_FOREACH(job, jobs, link) {
        if (!run_job(s, job))
            return false;
    }
    return true;
}

/* Runs the jobs and commits; whether that has failed stands in `broken`. */
static void run_batch(struct store *s, struct store_jobs *jobs)
{
    if (!step_once(s, s->begin))
        return;
    bool kept = run_jobs(s, jobs) && !s->broken && step_once(s, s->commit);
    if (!kept && !sqlite3_get_autocommit(s->db))
        run_sql(s, "ROLLBACK"); /* so that readers are not locked out */
}

static struct store *store_of(struct strait_work *work)
{
    return (struct store *)(void *)((char *)work - offsetof(struct store, work));
}

static void work_run(struct strait_work *work)
{
    struct store *s = store_of(work);
    run_batch(s, &s->batch);
}

static enum store_outcome outcome_of(const struct store_job *job, bool failed)
{
    if (failed)
        return STORE_FAILED;
    return job->wish ? STORE_KEPT : STORE_UNDONE;
}

enum store_outcome store_run(struct store *s, struct store_job *job)
{
    struct store_jobs jobs = STAILQ_HEAD_INITIALIZER(jobs);
    STAILQ_INSERT_TAIL(&jobs, job, link);
    run_batch(s, &jobs);
    return outcome_of(job, s->broken);
}

/* ---- Batches, one after the other ------------------------------------------------------------ */

static void fill_batch(struct store *s)
{
    for (int i = 0; i < STORE_BATCH_MAX && !STAILQ_EMPTY(&s->queued); i++) {
        struct store_job *job = STAILQ_FIRST(&s->queued);
        STAILQ_REMOVE_HEAD(&s->queued, link);
        STAILQ_INSERT_TAIL(&s->batch, job, link);
        s->queued_count--;
    }
}

/* Gives the executor the next batch, if it has none of ours. */
static void start_batch(struct store *s)
{
    if (s->running)
        return;
    if (STAILQ_EMPTY(&s->batch))
        fill_batch(s);
    if (STAILQ_EMPTY(&s->batch))
        return;
    s->running = s->env->execute(s->env, &s->work) == 0;
    if (s->running)
        return;
    s->counters.delayed++;
    s->env->timer_start(s->env, &s->retry, s->env->now(s->env) + RETRY_NS);
}

static void retry_expired(void *owner, struct strait_timer *timer)
{
    (void)owner;
    start_batch((struct store *)(void *)((char *)timer - offsetof(struct store, retry)));
}

/* The next batch starts before the jobs of this one are told, so that the disk is kept busy. */
static void work_done(struct strait_work *work)
{
    struct store *s = store_of(work);
    struct store_jobs jobs = STAILQ_HEAD_INITIALIZER(jobs);
    struct store_job *job;
    bool failed = s->broken, news = failed && !s->failed;
    STAILQ_CONCAT(&jobs, &s->batch);
    s->running = false;
    s->failed = failed;
    s->counters.batches++;
    start_batch(s);
    while ((job = STAILQ_FIRST(&jobs))) {
        STAILQ_REMOVE_HEAD(&jobs, link);
        enum store_outcome outcome = outcome_of(job, failed);
        s->counters.jobs++;
        s->counters.undone += outcome == STORE_UNDONE;
        s->counters.failed += outcome == STORE_FAILED;
        job->done(job, outcome);
    }
    if (news && s->config.failed)
        s->config.failed(s->config.context, s->failure);
}

int store_submit(struct store *s, struct store_job *job)
{
    if (s->failed) {
        errno = EIO;
        return -1;
    }
    if (s->queued_count == STORE_QUEUE_MAX) {
        s->counters.full++;
        errno = EAGAIN;
        return -1;
    }
    STAILQ_INSERT_TAIL(&s->queued, job, link);
    s->queued_count++;
    start_batch(s);
    return 0;
}

bool store_is_idle(const struct store *s)
{
    return STAILQ_EMPTY(&s->batch) && STAILQ_EMPTY(&s->queued);
}

const struct store_counters *store_counters(const struct store *s)
{
    return &s->counters;
}

/* ---- Opening --------------------------------------------------------------------------------- */

/* The number, or the text if there is room for it, that a query brings in its only row. */
static bool ask(struct store *s, const char *sql, int64_t *number, char *text, size_t text_bytes)
{
    sqlite3_stmt *statement = store_prepare(s, sql);
    bool answered = statement && sqlite3_step(statement) == SQLITE_ROW;
    if (!answered)
        fail_by_sqlite(s);
    if (answered && number)
        *number = sqlite3_column_int64(statement, 0);
    const unsigned char *column = answered && text ? sqlite3_column_text(statement, 0) : NULL;
    if (column)
        snprintf(text, text_bytes, "%s", (const char *)column);
    sqlite3_finalize(statement);
    return answered;
}

/* Opens a connection that knows row_sum. */
static bool open_connection(const struct store *s, int flags, const char *vfs, sqlite3 **db)
{
    int properties = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;
    flags |= SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(s->config.path, db, flags, vfs) != SQLITE_OK)
        return false;
    sqlite3_busy_timeout(*db, BUSY_TIMEOUT_MS);
    return sqlite3_create_function(*db, "row_sum", -1, properties, NULL, row_sum, NULL, NULL) ==
           SQLITE_OK;
}

sqlite3 *store_reader(struct store *s)
{
    static const char settings[] = "PRAGMA query_only=1; PRAGMA temp_store=MEMORY;"
                                   "PRAGMA mmap_size=0; PRAGMA cache_size=-16384";
    if (s->reader)
        return NULL;
    if (open_connection(s, 0, NULL, &s->reader) &&
        sqlite3_exec(s->reader, settings, NULL, NULL, NULL) == SQLITE_OK)
        return s->reader;
    sqlite3_close(s->reader);
    s->reader = NULL;
    return NULL;
}

/* How the connection of the jobs is to be used; before it has read anything. What is deleted is not
 * wiped, as some builds of SQLite do unless they are told. */
static bool connect_to(struct store *s)
{
    s->vfs = wal_vfs_new();
    if (!s->vfs)
        return fail(s, "no memory");
    if (!open_connection(s, SQLITE_OPEN_CREATE, wal_vfs_name(s->vfs), &s->db))
        return fail_by_sqlite(s);
    if (sqlite3_db_readonly(s->db, "main") == 1)
        return fail(s, "it may be read, but not be written");
    return run_sql(s, "PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0; PRAGMA cache_size=-65536;"
                      "PRAGMA synchronous=FULL; PRAGMA secure_delete=OFF");
}

/* Makes the tables of a database that has none, in one transaction. */
static bool make_tables(struct store *s)
{
    if (!run_sql(s, "BEGIN IMMEDIATE; CREATE TABLE store(owner TEXT NOT NULL, sum INTEGER)"))
        return false;
    for (const char *const *statement = s->config.schema; *statement; statement++)
        if (!run_sql(s, *statement))
            return false;
    char *sql =
        sqlite3_mprintf("INSERT INTO store VALUES(%Q, row_sum('store', %Q));"
                        "PRAGMA application_id=%u; PRAGMA user_version=%u; COMMIT",
                        s->config.owner, s->config.owner, s->config.application, s->config.version);
    bool made = sql ? run_sql(s, sql) : fail(s, "no memory");
    sqlite3_free(sql);
    return made;
}

static bool check_owner(struct store *s)
{
    char owner[STORE_MESSAGE_BYTES / 2] = "";
    int64_t right = 0;
    if (!ask(s, "SELECT owner FROM store", NULL, owner, sizeof(owner)) ||
        !ask(s, "SELECT sum IS row_sum('store', owner) FROM store", &right, NULL, 0))
        return false;
    if (!right)
        return fail(s, "the row of its owner is damaged");
    if (strcmp(owner, s->config.owner) != 0)
        return fail(s, "it belongs to %s, and not to %s", owner, s->config.owner);
    return true;
}

/* Whose the database is, and of what kind; one without anything is made into a store. */
static bool check_tables(struct store *s)
{
    int64_t application, version, objects;
    if (!ask(s, "PRAGMA application_id", &application, NULL, 0) ||
        !ask(s, "PRAGMA user_version", &version, NULL, 0) ||
        !ask(s, "SELECT count(*) FROM sqlite_master", &objects, NULL, 0))
        return false;
    bool is_new = application == 0 && version == 0 && objects == 0;
    if (!is_new && application != (int32_t)s->config.application)
        return fail(s, "it is no store of this program");
    if (!is_new && version != (int32_t)s->config.version)
        return fail(s, "this program knows version %u of it, and it has %lld", s->config.version,
                    (long long)version);
    if (!is_new && !check_owner(s))
        return false;
    char mode[16] = "none", sql[SQL_BYTES];
    if (!ask(s, "PRAGMA journal_mode=WAL", NULL, mode, sizeof(mode)))
        return false;
    if (strcmp(mode, "wal") != 0)
        return fail(s, "it cannot have a write-ahead log, but has journal mode %s", mode);
    int pages = s->config.checkpoint_pages ? s->config.checkpoint_pages : CHECKPOINT_PAGES;
    snprintf(sql, sizeof(sql), "PRAGMA wal_autocheckpoint=%d", pages);
    return run_sql(s, sql) && (!is_new || make_tables(s));
}

static bool prepare_batches(struct store *s)
{
    s->begin = store_prepare(s, "BEGIN IMMEDIATE");
    s->commit = store_prepare(s, "COMMIT");
    s->savepoint = store_prepare(s, "SAVEPOINT job");
    s->undo = store_prepare(s, "ROLLBACK TO job");
    s->release = store_prepare(s, "RELEASE job");
    if (s->begin && s->commit && s->savepoint && s->undo && s->release)
        return true;
    return fail_by_sqlite(s);
}

struct store *store_open(struct strait_env *env, const struct store_config *config,
                         char error[STORE_MESSAGE_BYTES])
{
    struct store *s = calloc(1, sizeof(*s));
    if (!s) {
        snprintf(error, STORE_MESSAGE_BYTES, "%s: no memory", config->path);
        return NULL;
    }
    s->env = env;
    s->config = *config;
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* a lock at each malloc; refused once it is open */
    STAILQ_INIT(&s->batch);
    STAILQ_INIT(&s->queued);
    s->work.run = work_run;
    s->work.done = work_done;
    s->retry.expired = retry_expired;
    if (connect_to(s) && check_tables(s) && prepare_batches(s))
        return s;
    snprintf(error, STORE_MESSAGE_BYTES, "%s", s->failure);
    store_free(s);
    return NULL;
}

static void disconnect(sqlite3 *db)
{
    for (sqlite3_stmt *statement; db && (statement = sqlite3_next_stmt(db, NULL));)
        sqlite3_finalize(statement);
    sqlite3_close(db);
}

/* Who writes goes last: the last one moves the log into the database. */
void store_free(struct store *s)
{
    if (!s)
        return;
    disconnect(s->reader);
    disconnect(s->db);
    wal_vfs_free(s->vfs);
    free(s);
}
