/* SPDX-License-Identifier: MIT */
#include "kv/clients.h"

#include "kv/bound.h"

#define PRECISION_MS (KV_LEASE_MS / 16) /* to which it is known when a client was heard last */

static bool damaged(struct kv_clients *c)
{
    store_damaged(c->store, "client");
    return false;
}

static bool change(struct kv_clients *c, sqlite3_stmt *statement)
{
    enum store_step step = store_step(c->store, statement);

    return step == STORE_DONE || (step == STORE_REFUSED && damaged(c));
}

static bool change_client(struct kv_clients *c, sqlite3_stmt *statement, int64_t client)
{
    sqlite3_bind_int64(statement, 1, client);
    return change(c, statement);
}

/* ---- Leases ---- */

/* Of those whose lease has ended or not, the one that was silent for longest: STORE_ROW, STORE_DONE
 * if there is none, or STORE_BROKEN. */
static enum store_step oldest(struct kv_clients *c, bool ended, int64_t *client, int64_t *used_ms)
{
    sqlite3_bind_int(c->oldest, 1, ended);
    enum store_step step = store_step(c->store, c->oldest);
    if (step != STORE_ROW)
        return step;
    *client = sqlite3_column_int64(c->oldest, 0);
    *used_ms = sqlite3_column_int64(c->oldest, 1);
    bool is_right = sqlite3_column_int(c->oldest, 2) != 0;
    sqlite3_reset(c->oldest);
    return is_right || damaged(c) ? STORE_ROW : STORE_BROKEN;
}

static bool displace(struct kv_clients *c)
{
    int64_t client, used_ms;

    if (oldest(c, true, &client, &used_ms) != STORE_ROW)
        return false;
    c->ended--;
    c->displaced++;
    kv_known_forget(&c->known, (uint64_t)client);
    return change_client(c, c->drop_once, client) && change_client(c, c->drop, client);
}

static bool end_lease(struct kv_clients *c, int64_t client)
{
    c->live--;
    c->ended++;
    c->leases_ended++;
    kv_known_forget(&c->known, (uint64_t)client);
    if (!change_client(c, c->drop_once, client) || !change_client(c, c->end, client))
        return false;
    return c->ended <= c->max || displace(c);
}

/* With each new client: more leases end than begin, if they are over. False: the store has failed.
 */
static bool sweep(struct kv_clients *c, int64_t now_ms)
{
    int64_t client, used_ms;

    for (int turn = 0; turn < 2; turn++) {
        enum store_step step = oldest(c, false, &client, &used_ms);
        if (step == STORE_BROKEN)
            return false;
        if (step == STORE_ROW && kv_lease_is_over(used_ms, now_ms) && !end_lease(c, client))
            return false;
    }
    return true;
}

/* ---- Rows ---- */

/* All of a row's columns. */
static bool write_row(struct kv_clients *c, sqlite3_stmt *statement,
                      const struct kv_known_client *row)
{
    struct kv_bound b = kv_bind_row(statement, "client");

    kv_bind_number(&b, row->client);
    kv_bind_number(&b, row->retired);
    kv_bind_number(&b, (uint64_t)row->results);
    kv_bind_number(&b, (uint64_t)row->used_ms);
    kv_bind_number(&b, row->ended);
    kv_bind_sum(&b);
    if (!change(c, statement))
        return false;
    return sqlite3_changes64(sqlite3_db_handle(statement)) == 1 || damaged(c);
}

/* As `oldest`. */
static enum store_step read_row(struct kv_clients *c, struct kv_known_client *row)
{
    sqlite3_bind_int64(c->get, 1, (int64_t)row->client);
    enum store_step step = store_step(c->store, c->get);
    if (step != STORE_ROW)
        return step;
    row->retired = (uint64_t)sqlite3_column_int64(c->get, 0);
    row->results = sqlite3_column_int64(c->get, 1);
    row->used_ms = sqlite3_column_int64(c->get, 2);
    row->ended = sqlite3_column_int(c->get, 3) != 0;
    bool is_right = sqlite3_column_int(c->get, 4) != 0;
    sqlite3_reset(c->get);
    return is_right || damaged(c) ? STORE_ROW : STORE_BROKEN;
}

bool kv_clients_meet(struct kv_clients *c, uint64_t client, int64_t now_ms,
                     struct kv_known_client *row)
{
    const struct kv_known_client *known = kv_known_find(&c->known, client);

    *row = known ? *known : (struct kv_known_client){.client = client, .used_ms = now_ms};
    if (known)
        return true;
    enum store_step step = read_row(c, row);
    if (step != STORE_DONE)
        return step == STORE_ROW;
    c->live++;
    return write_row(c, c->put, row) && sweep(c, now_ms);
}

bool kv_clients_note(struct kv_clients *c, struct kv_known_client *row, uint64_t retired,
                     int64_t added, int64_t now_ms)
{
    bool touched = now_ms - row->used_ms > PRECISION_MS;

    if (row->retired < retired)
        row->retired = retired;
    row->results += added;
    if (touched)
        row->used_ms = now_ms;
    kv_known_put(&c->known, row);
    return write_row(c, touched ? c->touch : c->change, row);
}

/* ---- Opening ---- */

#define COLUMNS "client, retired, results, used_ms, ended"

bool kv_clients_prepare(struct kv_clients *c, struct store *store, int64_t max, int64_t live,
                        int64_t ended)
{
    const struct {
        sqlite3_stmt **statement;
        const char *sql;
    } all[] = {
        {&c->get, "SELECT retired, results, used_ms, ended, sum IS row_sum('client', " COLUMNS ") "
                  "FROM client WHERE client = ?1"},
        {&c->put, "INSERT INTO client VALUES(?1, ?2, ?3, ?4, ?5, ?6)"},
        /* The index, which has used_ms, is left alone. */
        {&c->change, "UPDATE client SET retired = ?2, results = ?3, sum = ?6 "
                     "WHERE client = ?1 AND used_ms = ?4 AND ended = ?5"},
        {&c->touch, "UPDATE client SET retired = ?2, results = ?3, used_ms = ?4, sum = ?6 "
                    "WHERE client = ?1 AND ended = ?5"},
        {&c->oldest, "SELECT client, used_ms, sum IS row_sum('client', " COLUMNS ") "
                     "FROM client WHERE ended = ?1 ORDER BY used_ms LIMIT 1"},
        {&c->drop_once, "DELETE FROM once WHERE client = ?1"},
        {&c->end, "UPDATE client SET results = 0, ended = 1, "
                  "sum = row_sum('client', client, retired, 0, used_ms, 1) WHERE client = ?1"},
        {&c->drop, "DELETE FROM client WHERE client = ?1"},
    };

    c->store = store;
    c->max = max;
    c->live = live;
    c->ended = ended;
    kv_known_init(&c->known);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        *all[i].statement = store_prepare(store, all[i].sql);
        if (!*all[i].statement)
            return false;
    }
    return true;
}

void kv_clients_free(struct kv_clients *c)
{
    kv_known_free(&c->known);
}
