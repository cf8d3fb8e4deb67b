/* SPDX-License-Identifier: MIT */
/*
 * Every statement tells in its last column whether the checksum of its row is right. Rows of the
 * coordinator below its mark, which are kept for people to look at, are passed over when the
 * machines are loaded.
 */
#include "kv/reader.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "kv/clients.h"
#include "kv/packing.h"
#include "kv/tables.h"

#define ROW_COLUMNS                                                                                \
    "id, coordinator, incarnation, sequence, kind, number, time_ms, participants, client, "        \
    "request, retired, epoch, operations"

#define SELECT_ROWS                                                                                \
    "SELECT " ROW_COLUMNS ", sum IS row_sum('journal', " ROW_COLUMNS ") FROM journal "

/* Where they stand. */
enum {
    ID,
    COORDINATOR,
    INCARNATION,
    SEQUENCE,
    KIND,
    NUMBER,
    TIME_MS,
    PARTICIPANTS,
    CLIENT,
    REQUEST,
    RETIRED,
    EPOCH,
    OPERATIONS,
    ROW_IS_RIGHT,
};

__attribute__((format(printf, 3, 4))) static bool fail(const struct kv_reader *r, char *error,
                                                       const char *format, ...)
{
    va_list arguments;
    int length = snprintf(error, STORE_MESSAGE_BYTES, "%.200s: ", r->path);

    va_start(arguments, format);
    vsnprintf(error + length, STORE_MESSAGE_BYTES - (size_t)length, format, arguments);
    va_end(arguments);
    return false;
}

static uint64_t number_at(sqlite3_stmt *s, int column)
{
    return (uint64_t)sqlite3_column_int64(s, column);
}

static bool is_right(sqlite3_stmt *s)
{
    return sqlite3_column_int(s, sqlite3_column_count(s) - 1) != 0;
}

/* ---- Opening ---- */

bool kv_reader_open(struct kv_reader *r, struct store *store, const char *path, uint32_t node,
                    char error[STORE_MESSAGE_BYTES])
{
    const struct {
        sqlite3_stmt **statement;
        const char *sql;
    } all[] = {
        {&r->get, "SELECT version, value, sum IS row_sum('value', key, version, value) "
                  "FROM value WHERE key = ?1"},
        {&r->once, "SELECT coordinator, incarnation, txn_sequence, results, "
                   "sum IS row_sum('once', client, sequence, coordinator, incarnation, "
                   "txn_sequence, results) FROM once WHERE client = ?1 AND sequence = ?2"},
        {&r->client, "SELECT retired, results, ended, sum IS row_sum('client', client, retired, "
                     "results, used_ms, ended) FROM client WHERE client = ?1"},
        {&r->highest, "SELECT ifnull(max(sequence), 0) FROM once WHERE client = ?1"},
        {&r->kept, "SELECT count(*) FROM once WHERE client = ?1 AND sequence >= ?2"},
        {&r->lease, "SELECT used_ms FROM client WHERE ended = 0 ORDER BY used_ms LIMIT 1"},
        {&r->txn,
         SELECT_ROWS "WHERE id >= ?1 AND id < ?2 AND incarnation = ?5 UNION ALL " SELECT_ROWS
                     "WHERE id >= ?3 AND id < ?4 AND incarnation = ?5 ORDER BY number"},
    };

    r->path = path;
    r->node = node;
    r->db = store_reader(store);
    kv_known_init(&r->known);
    if (!r->db)
        return fail(r, error, "no second connection");
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (sqlite3_prepare_v3(r->db, all[i].sql, -1, SQLITE_PREPARE_PERSISTENT, all[i].statement,
                               NULL) != SQLITE_OK)
            return fail(r, error, "%s", sqlite3_errmsg(r->db));
    }
    return true;
}

void kv_reader_free(struct kv_reader *r)
{
    kv_known_free(&r->known);
}

bool kv_reader_count(struct kv_reader *r, struct kv_counts *counts, char error[STORE_MESSAGE_BYTES])
{
    static const char sql[] = "SELECT keys, (SELECT ifnull(max(number), 0) FROM journal), "
                              "(SELECT count(*) FROM client WHERE ended = 0), "
                              "(SELECT count(*) FROM client WHERE ended = 1), "
                              "(SELECT ifnull(max(used_ms), 0) FROM client), "
                              "sum IS row_sum('total', keys) FROM total";
    sqlite3_stmt *s = NULL;

    if (sqlite3_prepare_v2(r->db, sql, -1, &s, NULL) != SQLITE_OK ||
        sqlite3_step(s) != SQLITE_ROW) {
        fail(r, error, "%s", sqlite3_errmsg(r->db));
        sqlite3_finalize(s);
        return false;
    }
    *counts = (struct kv_counts){.keys = sqlite3_column_int64(s, 0),
                                 .number = sqlite3_column_int64(s, 1),
                                 .live = sqlite3_column_int64(s, 2),
                                 .ended = sqlite3_column_int64(s, 3),
                                 .heard_ms = sqlite3_column_int64(s, 4)};
    bool right = is_right(s) || fail(r, error, "the row of total is damaged");
    sqlite3_finalize(s);
    return right;
}

/* ---- Values, and what clients have asked for ---- */

/* Of a row that could not be read by this step of its statement, which is not reset yet. */
static const char *why_unread(const struct kv_reader *r, sqlite3_stmt *s, int step)
{
    if (step != SQLITE_ROW)
        return sqlite3_errmsg(r->db);
    return is_right(s) ? "does not fit into memory" : "does not match its checksum";
}

/* Returns NULL if memory is short. */
static struct kv_blob *blob_at(sqlite3_stmt *s, int column)
{
    const void *bytes = sqlite3_column_blob(s, column);

    return kv_blob_new(bytes, (size_t)sqlite3_column_bytes(s, column));
}

static bool read_value(sqlite3_stmt *s, struct kv_result *result)
{
    if (!is_right(s))
        return false;
    result->version = number_at(s, 0);
    result->found = sqlite3_column_type(s, 1) != SQLITE_NULL;
    if (result->found)
        result->value = blob_at(s, 1);
    return !result->found || result->value;
}

static void value_damaged(struct kv_reader *r, const struct kv_blob *key, const char *why)
{
    char name[KV_DAMAGE_KEY_BYTES];

    kv_damage_key(key, name);
    kv_damage_found(
        &r->damage,
        "%.200s: the row of value with key \"%s\" %s: this node refuses to vote on it, "
        "and leaves reads of it to other replicas, until it is restored (see README.md, "
        "\"A damaged row\")",
        r->path, name, why);
}

bool kv_reader_get(struct kv_reader *r, const struct kv_blob *key, struct kv_result *result)
{
    *result = (struct kv_result){0};
    sqlite3_bind_blob64(r->get, 1, key->length > 0 ? (const void *)key->bytes : "", key->length,
                        SQLITE_STATIC);
    int step = sqlite3_step(r->get);
    bool read = step == SQLITE_ROW ? read_value(r->get, result) : step == SQLITE_DONE;
    if (!read)
        value_damaged(r, key, why_unread(r, r->get, step));
    sqlite3_reset(r->get);
    return read;
}

static enum kv_past read_once(sqlite3_stmt *s, struct kv_txid *txid, struct kv_results **results)
{
    if (!is_right(s))
        return KV_PAST_DAMAGED;
    *txid = (struct kv_txid){(uint32_t)number_at(s, 0), (uint32_t)number_at(s, 1), number_at(s, 2)};
    const void *bytes = sqlite3_column_blob(s, 3);
    *results = kv_unpack_results(bytes, (size_t)sqlite3_column_bytes(s, 3));
    return *results ? KV_PAST_COMMITTED : KV_PAST_DAMAGED;
}

/* Whether there is room for one more result, once this request has retired what it does. */
static bool has_room(struct kv_reader *r, const struct kv_request *request)
{
    sqlite3_bind_int64(r->kept, 1, (int64_t)request->client);
    sqlite3_bind_int64(r->kept, 2, (int64_t)request->retired);
    bool has =
        sqlite3_step(r->kept) == SQLITE_ROW && sqlite3_column_int64(r->kept, 0) < KV_ONCE_MAX;
    sqlite3_reset(r->kept);
    return has;
}

/* Knows the client, whose row is right, from now on. */
static void learn(struct kv_reader *r, const struct kv_request *request)
{
    struct kv_known_client client = {.client = request->client,
                                     .retired = number_at(r->client, 0),
                                     .results = sqlite3_column_int64(r->client, 1)};

    sqlite3_bind_int64(r->highest, 1, (int64_t)client.client);
    bool has = sqlite3_step(r->highest) == SQLITE_ROW;
    client.highest = has ? number_at(r->highest, 0) : 0;
    sqlite3_reset(r->highest);
    if (has)
        kv_known_put(&r->known, &client);
}

static enum kv_past read_client(struct kv_reader *r, const struct kv_request *request)
{
    sqlite3_stmt *s = r->client;

    if (!is_right(s))
        return KV_PAST_DAMAGED;
    if (sqlite3_column_int(s, 2) != 0 || request->sequence < number_at(s, 0))
        return KV_PAST_RETIRED;
    learn(r, request);
    if (number_at(s, 1) < KV_ONCE_MAX || has_room(r, request))
        return KV_PAST_NONE;
    r->full++;
    return KV_PAST_FULL;
}

/* Whether the next new client ends another's lease (clients.c). */
static bool is_lease_over(struct kv_reader *r, int64_t now_ms)
{
    bool is_over = sqlite3_step(r->lease) == SQLITE_ROW &&
                   kv_lease_is_over(sqlite3_column_int64(r->lease, 0), now_ms);
    sqlite3_reset(r->lease);
    return is_over;
}

static enum kv_past meet_client(struct kv_reader *r, int64_t now_ms)
{
    if (r->clients < r->clients_max || is_lease_over(r, now_ms))
        return KV_PAST_NONE;
    r->crowded++;
    return KV_PAST_FULL;
}

static void once_damaged(struct kv_reader *r, const struct kv_request *request, const char *why)
{
    kv_damage_found(&r->damage,
                    "%.200s: the row of once with client %" PRId64 " and sequence %" PRId64
                    " %s: this node refuses to vote on a repetition of that request (see "
                    "README.md, \"A damaged row\")",
                    r->path, (int64_t)request->client, (int64_t)request->sequence, why);
}

static void client_damaged(struct kv_reader *r, const struct kv_request *request, const char *why)
{
    kv_damage_found(&r->damage,
                    "%.200s: the row of client with client %" PRId64
                    " %s: this node refuses to vote on what that client asks for (see README.md, "
                    "\"A damaged row\")",
                    r->path, (int64_t)request->client, why);
}

/* The row of the request first: if it goes meanwhile, that of the client says that it was retired.
 */
static enum kv_past find_past(struct kv_reader *r, const struct kv_request *request, int64_t now_ms,
                              struct kv_txid *txid, struct kv_results **results)
{
    enum kv_past past = KV_PAST_NONE;

    sqlite3_bind_int64(r->once, 1, (int64_t)request->client);
    sqlite3_bind_int64(r->once, 2, (int64_t)request->sequence);
    int step = sqlite3_step(r->once);
    if (step != SQLITE_DONE)
        past = step == SQLITE_ROW ? read_once(r->once, txid, results) : KV_PAST_DAMAGED;
    if (past == KV_PAST_DAMAGED)
        once_damaged(r, request, why_unread(r, r->once, step));
    sqlite3_reset(r->once);
    if (step != SQLITE_DONE)
        return past;
    sqlite3_bind_int64(r->client, 1, (int64_t)request->client);
    step = sqlite3_step(r->client);
    if (step == SQLITE_DONE)
        past = meet_client(r, now_ms);
    else
        past = step == SQLITE_ROW ? read_client(r, request) : KV_PAST_DAMAGED;
    if (past == KV_PAST_DAMAGED)
        client_damaged(r, request, why_unread(r, r->client, step));
    sqlite3_reset(r->client);
    return past;
}

/* Whether it is known without a query that nothing is kept of the request, and that something may
 * be. */
static bool is_fresh(struct kv_reader *r, const struct kv_request *request)
{
    const struct kv_known_client *known = kv_known_find(&r->known, request->client);

    return known && request->sequence > known->highest && request->sequence >= known->retired &&
           known->results < KV_ONCE_MAX;
}

void kv_reader_note(struct kv_reader *r, const struct kv_request *request,
                    const struct kv_known_client *client)
{
    struct kv_known_client *known = kv_known_find(&r->known, request->client);

    if (!known)
        return;
    if (known->highest < request->sequence)
        known->highest = request->sequence;
    known->retired = client->retired;
    known->results = client->results;
}

enum kv_past kv_reader_past(struct kv_reader *r, const struct kv_request *request, int64_t now_ms,
                            struct kv_txid *txid, struct kv_results **results)
{
    if (is_fresh(r, request))
        return KV_PAST_NONE;
    return find_past(r, request, now_ms, txid, results);
}

/* ---- Rows of the journal ---- */

static bool is_kind(uint64_t kind)
{
    return (kind >= KV_COORDINATOR_PREPARE && kind <= KV_COORDINATOR_END) ||
           (kind >= KV_WORKER_PREPARE && kind <= KV_WORKER_ABORT);
}

static struct kv_txid txid_at(sqlite3_stmt *s)
{
    return (struct kv_txid){(uint32_t)number_at(s, COORDINATOR),
                            (uint32_t)number_at(s, INCARNATION), number_at(s, SEQUENCE)};
}

static struct kv_request *request_at(sqlite3_stmt *s)
{
    const void *bytes = sqlite3_column_blob(s, OPERATIONS);
    struct kv_request *request =
        kv_unpack_operations(bytes, (size_t)sqlite3_column_bytes(s, OPERATIONS));

    if (!request)
        return NULL;
    request->client = number_at(s, CLIENT);
    request->sequence = number_at(s, REQUEST);
    request->retired = number_at(s, RETIRED);
    request->epoch = number_at(s, EPOCH);
    request->participants = (kv_nodes)number_at(s, PARTICIPANTS);
    return request;
}

/* Reads a row, with a reference to its request. Returns false if it makes no sense. */
static bool read_row(const struct kv_reader *r, sqlite3_stmt *s, struct kv_row *row)
{
    uint64_t kind = number_at(s, KIND);

    *row = (struct kv_row){.kind = (enum kv_row_kind)kind,
                           .txid = txid_at(s),
                           .participants = (kv_nodes)number_at(s, PARTICIPANTS)};
    if (!is_kind(kind) || kv_node_bit(row->txid.coordinator) == 0)
        return false;
    if (!kv_row_is_worker(row->kind) && row->txid.coordinator != r->node)
        return false;
    if (row->kind != KV_COORDINATOR_PREPARE && row->kind != KV_WORKER_PREPARE)
        return true;
    row->request = request_at(s);
    if (row->request && kv_request_valid(row->request))
        return true;
    kv_request_release(row->request);
    return false;
}

static void row_damaged(struct kv_reader *r, sqlite3_stmt *s)
{
    struct kv_txid id = txid_at(s);

    kv_damage_found(&r->damage,
                    "%.200s: row %" PRIu64 " of journal, of transaction %" PRIu32 ".%" PRIu32
                    ".%" PRIu64 ", is damaged: this node can tell its life in part only, and will "
                    "not start again with it (see README.md, \"A damaged row\")",
                    r->path, number_at(s, NUMBER), id.coordinator, id.incarnation, id.sequence);
}

void kv_reader_visit(struct kv_reader *r, struct kv_txid id,
                     void (*visit)(void *context, const struct kv_journal_entry *), void *context)
{
    for (int machine = 0; machine < 2; machine++) {
        sqlite3_bind_int64(r->txn, 2 * machine + 1,
                           kv_row_id(machine == 1, id.coordinator, id.sequence, 0));
        sqlite3_bind_int64(r->txn, 2 * machine + 2,
                           kv_row_id(machine == 1, id.coordinator, id.sequence + 1, 0));
    }
    sqlite3_bind_int64(r->txn, 5, id.incarnation);
    while (sqlite3_step(r->txn) == SQLITE_ROW) {
        uint64_t kind = number_at(r->txn, KIND);
        if (!is_right(r->txn) || !is_kind(kind)) {
            row_damaged(r, r->txn);
            continue;
        }
        visit(context, &(struct kv_journal_entry){.kind = (enum kv_row_kind)kind,
                                                  .time_ms = sqlite3_column_int64(r->txn, TIME_MS),
                                                  .participants =
                                                      (kv_nodes)number_at(r->txn, PARTICIPANTS)});
    }
    sqlite3_reset(r->txn);
}

/* ---- Loading ---- */

struct loading {
    struct kv_reader *reader;
    struct coordinator *coordinator;
    struct worker *worker;
    struct kv_txid start, ended; /* of the coordinator; incarnation 0: there is none */
    bool started;                /* the coordinator has been given the START */
    char *error;
};

static bool refuse(const struct loading *l, const char *machine)
{
    return fail(l->reader, l->error, "the %s cannot hold what the journal does", machine);
}

static bool load_mark(struct loading *l, sqlite3_stmt *s)
{
    uint64_t kind = number_at(s, 0), coordinator = number_at(s, 1);
    struct kv_txid mark = {(uint32_t)coordinator, (uint32_t)number_at(s, 2), number_at(s, 3)};

    if (!is_right(s) || coordinator > KV_NODES_MAX || kv_node_bit(mark.coordinator) == 0)
        return fail(l->reader, l->error, "the row of mark with kind %" PRIu64 " is damaged", kind);
    if (kind == KV_COORDINATOR_START)
        l->start = mark;
    else if (kind == KV_COORDINATOR_END)
        l->ended = mark;
    if (kind != KV_WORKER_MARK)
        return true;
    return worker_load(l->worker, &(struct kv_row){.kind = KV_WORKER_MARK, .mark = mark}) ||
           refuse(l, "worker");
}

/* The incarnation that was the last one, and a sequence that it has not gone beyond. */
static bool load_start(struct loading *l)
{
    struct kv_row row = {.kind = KV_COORDINATOR_START, .txid = l->start};

    l->started = true;
    if (l->start.incarnation == 0)
        return true;
    if (row.txid.sequence < l->ended.sequence)
        row.txid.sequence = l->ended.sequence;
    return coordinator_load(l->coordinator, &row) || refuse(l, "coordinator");
}

static bool load_row(struct loading *l, const struct kv_row *row)
{
    if (kv_row_is_worker(row->kind))
        return worker_load(l->worker, row) || refuse(l, "worker");
    if (kv_txid_before(row->txid, l->ended))
        return true;
    if (!l->started && !kv_txid_before(row->txid, l->start) && !load_start(l))
        return false;
    return coordinator_load(l->coordinator, row) || refuse(l, "coordinator");
}

static bool read_and_load(struct loading *l, sqlite3_stmt *s)
{
    struct kv_row row;

    if (!is_right(s) || !read_row(l->reader, s, &row)) {
        struct kv_txid id = txid_at(s);
        return fail(l->reader, l->error,
                    "row %" PRIu64 " of journal, of transaction %" PRIu32 ".%" PRIu32 ".%" PRIu64
                    ", is damaged",
                    number_at(s, NUMBER), id.coordinator, id.incarnation, id.sequence);
    }
    bool loaded = load_row(l, &row);
    kv_request_release(row.request);
    return loaded;
}

/* Lets `load` take each row that the query brings. */
static bool for_each(struct loading *l, const char *sql,
                     bool (*load)(struct loading *, sqlite3_stmt *))
{
    sqlite3_stmt *s = NULL;
    bool loaded = true;
    int step = sqlite3_prepare_v2(l->reader->db, sql, -1, &s, NULL);

    while (loaded && s && (step = sqlite3_step(s)) == SQLITE_ROW)
        loaded = load(l, s);
    if (loaded && step != SQLITE_DONE)
        loaded = fail(l->reader, l->error, "%s", sqlite3_errmsg(l->reader->db));
    sqlite3_finalize(s);
    return loaded;
}

bool kv_reader_load(struct kv_reader *r, struct coordinator *coordinator, struct worker *worker,
                    char error[STORE_MESSAGE_BYTES])
{
    struct loading l = {.reader = r, .coordinator = coordinator, .worker = worker, .error = error};

    return for_each(&l,
                    "SELECT kind, coordinator, incarnation, sequence, "
                    "sum IS row_sum('mark', kind, coordinator, incarnation, sequence) FROM mark",
                    load_mark) &&
           for_each(&l, SELECT_ROWS "ORDER BY id", read_and_load) && (l.started || load_start(&l));
}
