/* SPDX-License-Identifier: MIT */
/*
 * One job writes all rows that wait. So what only the last of them leaves is written once: each
 * coordinator's mark, with the deletion of what is below it, and the number of keys.
 */
#include "kv/tables.h"

#include <stdlib.h>
#include <string.h>

#include "kv/bound.h"
#include "kv/packing.h"

#define ROOM_KEPT_BYTES (64u << 10)
#define ROW_COLUMNS     13 /* of the journal, but for the sum */

const char *const kv_tables_schema[] = {
    "CREATE TABLE journal(id INTEGER PRIMARY KEY, coordinator INTEGER NOT NULL, "
    "incarnation INTEGER NOT NULL, sequence INTEGER NOT NULL, kind INTEGER NOT NULL, "
    "number INTEGER NOT NULL, time_ms INTEGER NOT NULL, participants INTEGER, client INTEGER, "
    "request INTEGER, retired INTEGER, epoch INTEGER, operations BLOB, sum INTEGER NOT NULL)",
    "CREATE TABLE mark(kind INTEGER, coordinator INTEGER, incarnation INTEGER NOT NULL, "
    "sequence INTEGER NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY(kind, coordinator)) "
    "WITHOUT ROWID",
    "CREATE TABLE value(key BLOB PRIMARY KEY, version INTEGER NOT NULL, value BLOB, "
    "sum INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE once(client INTEGER, sequence INTEGER, coordinator INTEGER NOT NULL, "
    "incarnation INTEGER NOT NULL, txn_sequence INTEGER NOT NULL, results BLOB NOT NULL, "
    "sum INTEGER NOT NULL, PRIMARY KEY(client, sequence)) WITHOUT ROWID",
    "CREATE TABLE client(client INTEGER PRIMARY KEY, retired INTEGER NOT NULL, "
    "results INTEGER NOT NULL, used_ms INTEGER NOT NULL, ended INTEGER NOT NULL, "
    "sum INTEGER NOT NULL)",
    "CREATE INDEX client_used ON client(ended, used_ms)",
    "CREATE TABLE total(keys INTEGER NOT NULL, sum INTEGER NOT NULL)",
    "INSERT INTO total VALUES(0, row_sum('total', 0))",
    NULL,
};

/* ---- Statements ---- */

static bool change(struct kv_tables *t, sqlite3_stmt *statement, const char *table)
{
    enum store_step step = store_step(t->store, statement);

    if (step == STORE_REFUSED)
        store_damaged(t->store, table); /* the tables contradict the machines */
    return step == STORE_DONE;
}

static int64_t changed(sqlite3_stmt *statement)
{
    return sqlite3_changes64(sqlite3_db_handle(statement));
}

/* Room for a column of so many bytes; NULL, and the job fails, if memory is short. */
static uint8_t *room_for(struct kv_tables *t, size_t bytes)
{
    if (bytes <= t->room_bytes)
        return t->room;
    free(t->room);
    t->room = malloc(bytes);
    t->room_bytes = t->room ? bytes : 0;
    return t->room;
}

/* ---- Rows of the journal ---- */

/* What a row has only if it prepares. */
static bool bind_request(struct kv_tables *t, struct kv_bound *b, const struct kv_request *request)
{
    size_t bytes = kv_packed_operations(request);
    uint8_t *room = room_for(t, bytes);

    if (!room)
        return false;
    kv_pack_operations(request, room);
    kv_bind_number(b, request->client);
    kv_bind_number(b, request->sequence);
    kv_bind_number(b, request->retired);
    kv_bind_number(b, request->epoch);
    kv_bind_bytes(b, room, bytes);
    return true;
}

static bool put_row(struct kv_tables *t, const struct kv_queued *q)
{
    const struct kv_row *row = &q->row;
    struct kv_bound b = kv_bind_row(t->put_row, "journal");

    kv_bind_number(&b, (uint64_t)kv_row_id(kv_row_is_worker(row->kind), row->txid.coordinator,
                                           row->txid.sequence, row->kind));
    kv_bind_number(&b, row->txid.coordinator);
    kv_bind_number(&b, row->txid.incarnation);
    kv_bind_number(&b, row->txid.sequence);
    kv_bind_number(&b, row->kind);
    kv_bind_number(&b, (uint64_t)q->number);
    kv_bind_number(&b, (uint64_t)q->time_ms);
    if (row->kind == KV_COORDINATOR_PREPARE || row->kind == KV_WORKER_PREPARE) {
        bool coordinates = row->kind == KV_COORDINATOR_PREPARE;
        kv_bind_number(&b, coordinates ? row->participants : row->request->participants);
        if (!bind_request(t, &b, row->request))
            return false;
    } else {
        while (b.column < ROW_COLUMNS)
            kv_bind_null(&b);
    }
    kv_bind_sum(&b);
    return change(t, t->put_row, "journal");
}

static bool put_mark(struct kv_tables *t, enum kv_row_kind kind, struct kv_txid mark)
{
    struct kv_bound b = kv_bind_row(t->put_mark, "mark");

    kv_bind_number(&b, kind);
    kv_bind_number(&b, mark.coordinator);
    kv_bind_number(&b, mark.incarnation);
    kv_bind_number(&b, mark.sequence);
    kv_bind_sum(&b);
    return change(t, t->put_mark, "mark");
}

static void raise(struct kv_txid *mark, struct kv_txid to)
{
    if (kv_txid_before(*mark, to))
        *mark = to;
}

/* Deletes the rows of a coordinator's transactions below the sequence. */
static bool drop_rows(struct kv_tables *t, bool is_worker, uint32_t coordinator, uint64_t below)
{
    sqlite3_bind_int64(t->drop_rows, 1, kv_row_id(is_worker, coordinator, 0, 0));
    sqlite3_bind_int64(t->drop_rows, 2, kv_row_id(is_worker, coordinator, below, 0));
    return change(t, t->drop_rows, "journal");
}

static bool apply_worker_mark(struct kv_tables *t, struct kv_txid mark)
{
    return put_mark(t, KV_WORKER_MARK, mark) && drop_rows(t, true, mark.coordinator, mark.sequence);
}

static bool apply_coordinator_mark(struct kv_tables *t, struct kv_txid mark)
{
    uint64_t below = mark.sequence > KV_ENDED_KEPT ? mark.sequence - KV_ENDED_KEPT : 0;

    return put_mark(t, KV_COORDINATOR_END, mark) && drop_rows(t, false, mark.coordinator, below);
}

/* ---- What a commit carries out ---- */

static bool put_entry(struct kv_tables *t, sqlite3_stmt *statement, const struct kv_operation *o,
                      const struct kv_result *r)
{
    struct kv_bound b = kv_bind_row(statement, "value");

    kv_bind_blob(&b, o->key);
    kv_bind_number(&b, r->version);
    kv_bind_blob(&b, o->value);
    kv_bind_sum(&b);
    return change(t, statement, "value");
}

/* A key that gets its first version has no row; others have one, with a value or without. */
static bool write_value(struct kv_tables *t, const struct kv_operation *o,
                        const struct kv_result *r)
{
    bool had_value = false;

    if (r->version > 1) {
        if (!put_entry(t, t->change_value, o, r))
            return false;
        had_value = changed(t->change_value) > 0;
    }
    t->keys += (o->kind == KV_PUT) - had_value;
    return had_value || put_entry(t, r->version > 1 ? t->put_value : t->new_value, o, r);
}

static bool write_values(struct kv_tables *t, const struct kv_row *row)
{
    const struct kv_request *request = row->request;
    uint32_t position = 0;

    for (uint32_t i = 0; i < request->count; i++) {
        const struct kv_operation *o = &request->operations[i];
        if (!(o->replicas & kv_node_bit(t->node)))
            continue;
        const struct kv_result *r = &row->results->list[position++];
        if (kv_operation_writes(o) && !write_value(t, o, r))
            return false;
    }
    return true;
}

static bool put_once(struct kv_tables *t, const struct kv_row *row)
{
    size_t bytes = kv_packed_results(row->results);
    uint8_t *room = room_for(t, bytes);
    struct kv_bound b = kv_bind_row(t->put_once, "once");

    if (!room)
        return false;
    kv_pack_results(row->results, room);
    kv_bind_number(&b, row->request->client);
    kv_bind_number(&b, row->request->sequence);
    kv_bind_number(&b, row->txid.coordinator);
    kv_bind_number(&b, row->txid.incarnation);
    kv_bind_number(&b, row->txid.sequence);
    kv_bind_bytes(&b, room, bytes);
    kv_bind_sum(&b);
    return change(t, t->put_once, "once");
}

/* Lets go of what the client retires beyond what it has; `gone` rows. */
static bool retire(struct kv_tables *t, const struct kv_request *request,
                   const struct kv_known_client *client, int64_t *gone)
{
    *gone = 0;
    if (request->retired <= client->retired)
        return true;
    sqlite3_bind_int64(t->drop_once, 1, (int64_t)request->client);
    sqlite3_bind_int64(t->drop_once, 2, (int64_t)request->retired);
    if (!change(t, t->drop_once, "once"))
        return false;
    *gone = changed(t->drop_once);
    return true;
}

/* Keeps the outcome for a retry, and lets go of what the client has retired. */
static bool remember(struct kv_tables *t, struct kv_queued *q)
{
    const struct kv_request *request = q->row.request;
    int64_t gone;

    if (!kv_clients_meet(&t->clients, request->client, q->lease_ms, &q->client) ||
        !put_once(t, &q->row))
        return false;
    int64_t added = changed(t->put_once);
    return retire(t, request, &q->client, &gone) &&
           kv_clients_note(&t->clients, &q->client, request->retired, added - gone, q->lease_ms);
}

/* ---- A job ---- */

static bool write_row(struct kv_tables *t, struct kv_queued *q)
{
    const struct kv_row *row = &q->row;

    switch (row->kind) {
    case KV_COORDINATOR_START:
        return put_mark(t, row->kind, row->txid);
    case KV_WORKER_MARK:
        raise(&t->worker_marks[row->mark.coordinator - 1], row->mark);
        return true;
    case KV_COORDINATOR_END:
        raise(&t->coordinator_mark, row->mark);
        return put_row(t, q);
    case KV_WORKER_COMMIT:
        return write_values(t, row) && (row->request->client == 0 || remember(t, q)) &&
               put_row(t, q);
    default:
        return put_row(t, q);
    }
}

static bool put_keys(struct kv_tables *t)
{
    struct kv_bound b = kv_bind_row(t->put_keys, "total");

    kv_bind_number(&b, (uint64_t)t->keys);
    kv_bind_sum(&b);
    return t->keys == t->keys_before || change(t, t->put_keys, "total");
}

/* Writes what only the last row leaves. */
static bool finish(struct kv_tables *t)
{
    for (uint32_t i = 0; i < KV_NODES_MAX; i++)
        if (t->worker_marks[i].incarnation != 0 && !apply_worker_mark(t, t->worker_marks[i]))
            return false;
    if (t->coordinator_mark.incarnation != 0 && !apply_coordinator_mark(t, t->coordinator_mark))
        return false;
    return put_keys(t);
}

bool kv_tables_write(struct kv_tables *t, struct kv_queue *rows)
{
    struct kv_queued *q;

    memset(t->worker_marks, 0, sizeof(t->worker_marks));
    t->coordinator_mark = (struct kv_txid){0};
    t->keys_before = t->keys;
    STAILQ_FOREACH(q, rows, link) {
        if (!write_row(t, q))
            return false;
    }
    if (t->room_bytes > ROOM_KEPT_BYTES) {
        free(t->room);
        t->room = NULL;
        t->room_bytes = 0;
    }
    return finish(t);
}

/* ---- Opening ---- */

bool kv_tables_prepare(struct kv_tables *t, struct store *store, uint32_t node, int64_t keys)
{
    const struct {
        sqlite3_stmt **statement;
        const char *sql;
    } all[] = {
        {&t->put_row, "INSERT INTO journal VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, "
                      "?12, ?13, ?14)"},
        {&t->put_mark, "REPLACE INTO mark VALUES(?1, ?2, ?3, ?4, ?5)"},
        {&t->drop_rows, "DELETE FROM journal WHERE id >= ?1 AND id < ?2"},
        {&t->change_value, "UPDATE value SET version = ?2, value = ?3, sum = ?4 "
                           "WHERE key = ?1 AND value IS NOT NULL"},
        {&t->put_value, "REPLACE INTO value VALUES(?1, ?2, ?3, ?4)"},
        {&t->new_value, "INSERT INTO value VALUES(?1, ?2, ?3, ?4)"},
        {&t->put_keys, "UPDATE total SET keys = ?1, sum = ?2"},
        {&t->put_once, "INSERT OR IGNORE INTO once VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)"},
        {&t->drop_once, "DELETE FROM once WHERE client = ?1 AND sequence < ?2"},
    };

    t->store = store;
    t->node = node;
    t->keys = keys;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        *all[i].statement = store_prepare(store, all[i].sql);
        if (!*all[i].statement)
            return false;
    }
    return true;
}

void kv_tables_free(struct kv_tables *t)
{
    kv_clients_free(&t->clients);
    free(t->room);
}
