/* SPDX-License-Identifier: MIT */
/*
 * The disk's limit: what three nodes of the key-value store write, or read, by a bare SQLite loop
 * in each of three processes at once: the same tables, rows and settings, so many transactions in a
 * commit, and nothing else; no network, no checksums, no waiting for each other.
 *
 *     of each transaction   a worker's PREPARE and COMMIT in the journal, the value, the outcome
 *                           for a retry and what the client has retired
 *     of every third        its coordinator's PREPARE, COMMIT and END
 *
 * What a mark lets a node forget is deleted in the same commit.
 */
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kv/messages.h"
#include "kv/packing.h"
#include "kv/tables.h"
#include "measure.h"

#define NODES       3
#define ROWS_OF_ONE 3 /* rows of the journal of a transaction, of a third of which it has all */
#define SETTINGS                                                                                   \
    "PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0; PRAGMA cache_size=-65536;"                      \
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=10000;"           \
    "PRAGMA secure_delete=OFF"
#define OPERATIONS_BYTES 256
#define RESULTS_BYTES    64

struct bare {
    const struct measure *measure;
    uint32_t node;
    sqlite3 *db;
    sqlite3_stmt *begin, *commit, *row, *value, *once, *retire, *client, *new_client, *drop, *mark,
        *get;
    uint8_t operations[OPERATIONS_BYTES], results[RESULTS_BYTES];
    int operations_bytes, results_bytes;
    uint64_t sequence; /* of the newest transaction */
    int64_t number;    /* of the newest row */
    struct times times;
};

/* What a process tells of itself. */
struct told {
    double per_second;
    size_t count; /* of the times that follow */
};

/* ---- The database ---- */

static void check(struct bare *b, bool good)
{
    if (!good)
        fail("disk: %s", sqlite3_errmsg(b->db));
}

static void step(struct bare *b, sqlite3_stmt *statement, int expected)
{
    check(b, sqlite3_step(statement) == expected);
    sqlite3_reset(statement);
}

static sqlite3_stmt *prepare(struct bare *b, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    check(b, sqlite3_prepare_v3(b->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) ==
                 SQLITE_OK);
    return statement;
}

static void open_database(struct bare *b)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%u.db", b->measure->directory, b->node);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    check(b, sqlite3_open_v2(path, &b->db,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                             NULL) == SQLITE_OK);
    check(b, sqlite3_exec(b->db, SETTINGS, NULL, NULL, NULL) == SQLITE_OK);
    for (const char *const *sql = kv_tables_schema; *sql; sql++)
        if (strncmp(*sql, "CREATE", strlen("CREATE")) == 0)
            check(b, sqlite3_exec(b->db, *sql, NULL, NULL, NULL) == SQLITE_OK);
    b->begin = prepare(b, "BEGIN IMMEDIATE");
    b->commit = prepare(b, "COMMIT");
    b->row = prepare(b, "INSERT INTO journal VALUES(?1,?2,1,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)");
    b->value = prepare(b, "REPLACE INTO value VALUES(?1, ?2, ?3, ?4)");
    b->once = prepare(b, "INSERT INTO once VALUES(?1, ?2, ?3, 1, ?2, ?4, ?5)");
    b->retire = prepare(b, "DELETE FROM once WHERE client = ?1 AND sequence < ?2");
    b->client =
        prepare(b, "UPDATE client SET retired = ?2, results = 1, sum = ?3 WHERE client = ?1");
    b->new_client = prepare(b, "INSERT INTO client VALUES(?1, ?2, 1, 0, 0, ?3)");
    b->drop = prepare(b, "DELETE FROM journal WHERE id >= ?1 AND id < ?2");
    b->mark = prepare(b, "REPLACE INTO mark VALUES(?1, ?2, 1, ?3, ?4)");
    b->get = prepare(b, "SELECT version, value, sum FROM value WHERE key = ?1");
}

/* ---- Rows ---- */

/* As long as a node's. */
static void pack_columns(struct bare *b)
{
    struct kv_request *request = kv_request_new(1);
    struct kv_results *results = kv_results_new(1);
    static const char value[VALUE_BYTES];
    char key[KEY_BYTES];
    if (!request || !results)
        fail("disk: no memory");
    request->operations[0] = (struct kv_operation){
        .kind = KV_PUT,
        .key = kv_blob_new(key, key_of(key, 0, 0)),
        .value = kv_blob_new(value, sizeof(value)),
    };
    b->operations_bytes = (int)kv_packed_operations(request);
    b->results_bytes = (int)kv_packed_results(results);
    kv_pack_operations(request, b->operations);
    kv_pack_results(results, b->results);
    kv_request_release(request);
    kv_results_release(results);
}

/* A number as long as a checksum, or as the name of a client. */
static int64_t long_number(uint64_t n)
{
    return (int64_t)((n + 1) * UINT64_C(0x9e3779b97f4a7c15));
}

static int64_t client_of(const struct bare *b, uint64_t sequence)
{
    return long_number(sequence % b->measure->clients);
}

static void put_row(struct bare *b, uint64_t sequence, enum kv_row_kind kind)
{
    uint32_t coordinator = kv_row_is_worker(kind) ? (uint32_t)(sequence % NODES) + 1 : b->node;
    sqlite3_bind_int64(b->row, 1, kv_row_id(kv_row_is_worker(kind), coordinator, sequence, kind));
    sqlite3_bind_int64(b->row, 2, coordinator);
    sqlite3_bind_int64(b->row, 3, (int64_t)sequence);
    sqlite3_bind_int64(b->row, 4, kind);
    sqlite3_bind_int64(b->row, 5, ++b->number);
    sqlite3_bind_int64(b->row, 6, INT64_C(1700000000000) + b->number);
    if (kind == KV_WORKER_PREPARE || kind == KV_COORDINATOR_PREPARE) {
        sqlite3_bind_int64(b->row, 7, (1 << NODES) - 1);
        sqlite3_bind_int64(b->row, 8, client_of(b, sequence));
        sqlite3_bind_int64(b->row, 9, (int64_t)sequence);
        sqlite3_bind_int64(b->row, 10, (int64_t)sequence);
        sqlite3_bind_int64(b->row, 11, 1);
        sqlite3_bind_blob(b->row, 12, b->operations, b->operations_bytes, SQLITE_STATIC);
    }
    sqlite3_bind_int64(b->row, 13, long_number((uint64_t)b->number));
    step(b, b->row, SQLITE_DONE);
    sqlite3_clear_bindings(b->row);
}

static void put_value(struct bare *b, uint32_t client, uint32_t number, int64_t version)
{
    static const char value[VALUE_BYTES];
    char key[KEY_BYTES];
    sqlite3_bind_blob(b->value, 1, key, (int)key_of(key, client, number), SQLITE_STATIC);
    sqlite3_bind_int64(b->value, 2, version);
    sqlite3_bind_blob(b->value, 3, value, sizeof(value), SQLITE_STATIC);
    sqlite3_bind_int64(b->value, 4, long_number((uint64_t)version));
    step(b, b->value, SQLITE_DONE);
}

static void put_client(struct bare *b, sqlite3_stmt *statement, int64_t client, uint64_t sequence)
{
    sqlite3_bind_int64(statement, 1, client);
    sqlite3_bind_int64(statement, 2, (int64_t)sequence);
    sqlite3_bind_int64(statement, 3, long_number(sequence));
    step(b, statement, SQLITE_DONE);
}

static void remember(struct bare *b, uint64_t sequence)
{
    int64_t client = client_of(b, sequence), request = (int64_t)sequence;
    sqlite3_bind_int64(b->once, 1, client);
    sqlite3_bind_int64(b->once, 2, request);
    sqlite3_bind_int64(b->once, 3, (int64_t)(sequence % NODES) + 1);
    sqlite3_bind_blob(b->once, 4, b->results, b->results_bytes, SQLITE_STATIC);
    sqlite3_bind_int64(b->once, 5, long_number(sequence));
    step(b, b->once, SQLITE_DONE);
    sqlite3_bind_int64(b->retire, 1, client);
    sqlite3_bind_int64(b->retire, 2, request);
    step(b, b->retire, SQLITE_DONE);
    put_client(b, b->client, client, sequence);
    if (sqlite3_changes(b->db) == 0)
        put_client(b, b->new_client, client, sequence);
}

static void put_mark(struct bare *b, enum kv_row_kind kind, uint32_t coordinator, uint64_t below)
{
    bool is_worker = kind == KV_WORKER_MARK;
    uint64_t kept = is_worker ? 0 : KV_ENDED_KEPT;
    sqlite3_bind_int64(b->mark, 1, kind);
    sqlite3_bind_int64(b->mark, 2, coordinator);
    sqlite3_bind_int64(b->mark, 3, (int64_t)below);
    sqlite3_bind_int64(b->mark, 4, long_number(below));
    step(b, b->mark, SQLITE_DONE);
    sqlite3_bind_int64(b->drop, 1, kv_row_id(is_worker, coordinator, 0, 0));
    sqlite3_bind_int64(b->drop, 2,
                       kv_row_id(is_worker, coordinator, below > kept ? below - kept : 0, 0));
    step(b, b->drop, SQLITE_DONE);
}

/* ---- Writing ---- */

/* Does the next of what a transaction needs, in the order of its life. Returns how many rows of the
 * journal that were. */
static int next_rows(struct bare *b, unsigned *stage)
{
    bool coordinates = b->sequence % NODES + 1 == b->node;
    switch ((*stage)++) {
    case 0:
        b->sequence++;
        if (b->sequence % NODES + 1 == b->node)
            put_row(b, b->sequence, KV_COORDINATOR_PREPARE);
        return b->sequence % NODES + 1 == b->node;
    case 1:
        put_row(b, b->sequence, KV_WORKER_PREPARE);
        return 1;
    case 2:
        if (coordinates)
            put_row(b, b->sequence, KV_COORDINATOR_COMMIT);
        return coordinates;
    case 3:
        put_value(b, (uint32_t)(b->sequence % b->measure->clients),
                  (uint32_t)(b->sequence / b->measure->clients), (int64_t)b->sequence);
        remember(b, b->sequence);
        put_row(b, b->sequence, KV_WORKER_COMMIT);
        return 1;
    default:
        if (coordinates)
            put_row(b, b->sequence, KV_COORDINATOR_END);
        *stage = 0;
        return coordinates;
    }
}

static void put_marks(struct bare *b)
{
    for (uint32_t coordinator = 1; coordinator <= NODES; coordinator++)
        put_mark(b, KV_WORKER_MARK, coordinator, b->sequence);
    put_mark(b, KV_COORDINATOR_END, b->node, b->sequence);
}

static double write_on(struct bare *b)
{
    uint64_t begin_ns = now_ns(), now = begin_ns;
    uint64_t end_ns = begin_ns + (uint64_t)(b->measure->seconds * 1e9), first = b->sequence;
    double due = 0; /* rows of the journal that stand out */
    unsigned stage = 0;
    while (now < end_ns) {
        step(b, b->begin, SQLITE_DONE);
        for (due += b->measure->group * ROWS_OF_ONE; due >= 1;)
            due -= next_rows(b, &stage);
        put_marks(b);
        step(b, b->commit, SQLITE_DONE);
        uint64_t done = now_ns();
        times_add(&b->times, done - now);
        now = done;
    }
    return (double)(b->sequence - first) * 1e9 / (double)(now - begin_ns);
}

/* ---- Reading ---- */

static void fill(struct bare *b)
{
    step(b, b->begin, SQLITE_DONE);
    for (uint32_t client = 0; client < b->measure->clients; client++)
        for (uint32_t number = 0; number < CLIENT_KEYS; number++)
            put_value(b, client, number, 1);
    step(b, b->commit, SQLITE_DONE);
}

static double read_on(struct bare *b)
{
    uint32_t done = 0;
    fill(b);
    uint64_t begin_ns = now_ns(), now = begin_ns;
    uint64_t end_ns = begin_ns + (uint64_t)(b->measure->seconds * 1e9);
    while (now < end_ns) {
        char key[KEY_BYTES];
        size_t length = key_of(key, done % b->measure->clients, done / b->measure->clients);
        sqlite3_bind_blob(b->get, 1, key, (int)length, SQLITE_STATIC);
        check(b, sqlite3_step(b->get) == SQLITE_ROW);
        check(b, sqlite3_column_bytes(b->get, 1) == VALUE_BYTES);
        sqlite3_reset(b->get);
        uint64_t then = now;
        now = now_ns();
        times_add(&b->times, now - then);
        done++;
    }
    return done * 1e9 / (double)(now - begin_ns);
}

/* ---- Processes ---- */

static void put(int fd, const void *bytes, size_t length)
{
    for (const char *at = bytes; length > 0;) {
        ssize_t n = write(fd, at, length);
        if (n <= 0)
            fail("disk: a pipe");
        at += n;
        length -= (size_t)n;
    }
}

static void take(int fd, void *bytes, size_t length)
{
    for (char *at = bytes; length > 0;) {
        ssize_t n = read(fd, at, length);
        if (n <= 0)
            fail("disk: a process has ended early");
        at += n;
        length -= (size_t)n;
    }
}

/* Is the process of a node; tells what it has measured. */
static void be_node(const struct measure *m, uint32_t node, int fd)
{
    struct bare b = {.measure = m, .node = node};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    open_database(&b);
    pack_columns(&b);
    double per_second = m->read ? read_on(&b) : write_on(&b);
    const struct told told = {per_second, b.times.count};
    put(fd, &told, sizeof(told));
    put(fd, b.times.list_us10, b.times.count * sizeof(*b.times.list_us10));
    exit(EXIT_SUCCESS);
}

static int start_node(const struct measure *m, uint32_t node)
{
    int ends[2];
    if (pipe(ends) < 0)
        fail("disk: a pipe");
    pid_t process = fork();
    if (process < 0)
        fail("disk: no process");
    if (process == 0)
        be_node(m, node, ends[1]);
    close(ends[1]);
    return ends[0];
}

/* Adds what a node tells to the times; returns its rate. */
static double hear_node(int fd, struct times *times)
{
    struct told told;
    take(fd, &told, sizeof(told));
    struct times more = {.count = told.count};
    more.list_us10 = malloc(told.count * sizeof(*more.list_us10) + 1);
    if (!more.list_us10)
        fail("disk: no memory");
    take(fd, more.list_us10, told.count * sizeof(*more.list_us10));
    times_join(times, &more);
    times_free(&more);
    close(fd);
    return told.per_second;
}

int main(int argc, char *argv[])
{
    struct measure measure;
    struct times times = {0};
    int fds[NODES];
    double sum = 0;
    measure_read(&measure, argc, argv);
    for (uint32_t i = 0; i < NODES; i++)
        fds[i] = start_node(&measure, i + 1);
    for (uint32_t i = 0; i < NODES; i++)
        sum += hear_node(fds[i], &times);
    while (wait(NULL) > 0)
        continue;
    /* Each transaction is written by all, and read by one. */
    print_figures(measure.read ? sum : sum / NODES, &times);
    times_free(&times);
    return 0;
}
