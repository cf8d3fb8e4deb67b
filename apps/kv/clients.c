/* SPDX-License-Identifier: MIT */
#include "kv/clients.h"

#define PRECISION_MS (KV_LEASE_MS / 16) /* to which it is known when a client was heard last */

static bool change(struct kv_clients *c, sqlite3_stmt *statement)
{
    enum store_step step = store_step(c->store, statement);

    if (step == STORE_REFUSED)
        store_damaged(c->store, "client"); /* it is there, and its sum is wrong */
    return step == STORE_DONE;
}

static bool change_client(struct kv_clients *c, sqlite3_stmt *statement, int64_t client)
{
    sqlite3_bind_int64(statement, 1, client);
    return change(c, statement);
}

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
    if (is_right)
        return STORE_ROW;
    store_damaged(c->store, "client");
    return STORE_BROKEN;
}

static bool displace(struct kv_clients *c)
{
    int64_t client, used_ms;

    if (oldest(c, true, &client, &used_ms) != STORE_ROW)
        return false;
    c->ended--;
    c->displaced++;
    return change_client(c, c->drop_once, client) && change_client(c, c->drop, client);
}

static bool end_lease(struct kv_clients *c, int64_t client)
{
    c->live--;
    c->ended++;
    c->leases_ended++;
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

static void bind_request(sqlite3_stmt *statement, const struct kv_request *request, int64_t added)
{
    sqlite3_bind_int64(statement, 1, (int64_t)request->client);
    sqlite3_bind_int64(statement, 2, (int64_t)request->retired);
    sqlite3_bind_int64(statement, 3, added);
}

bool kv_clients_note(struct kv_clients *c, const struct kv_request *request, int64_t added,
                     int64_t now_ms)
{
    bind_request(c->change, request, added);
    if (!change(c, c->change))
        return false;
    if (sqlite3_changes64(sqlite3_db_handle(c->change)) > 0) {
        sqlite3_bind_int64(c->touch, 2, now_ms);
        return change_client(c, c->touch, (int64_t)request->client);
    }
    bind_request(c->put, request, added);
    sqlite3_bind_int64(c->put, 4, now_ms);
    if (!change(c, c->put))
        return false;
    c->live++;
    return sweep(c, now_ms);
}

#define COLUMNS "client, retired, results, used_ms, ended"

bool kv_clients_prepare(struct kv_clients *c, struct store *store, int64_t max, int64_t live,
                        int64_t ended)
{
    const struct {
        sqlite3_stmt **statement;
        const char *sql;
    } all[] = {
        {&c->change, "UPDATE client SET retired = max(retired, ?2), results = results + ?3, "
                     "sum = row_sum('client', client, max(retired, ?2), results + ?3, used_ms, "
                     "ended) WHERE client = ?1 AND sum IS row_sum('client', " COLUMNS ")"},
        {&c->touch, "UPDATE client SET used_ms = ?2, "
                    "sum = row_sum('client', client, retired, results, ?2, ended) "
                    "WHERE client = ?1 AND ?2 - used_ms > ?3"},
        {&c->put, "INSERT INTO client VALUES(?1, ?2, ?3, ?4, 0, "
                  "row_sum('client', ?1, ?2, ?3, ?4, 0))"},
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
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        *all[i].statement = store_prepare(store, all[i].sql);
        if (!*all[i].statement)
            return false;
    }
    sqlite3_bind_int64(c->touch, 3, PRECISION_MS);
    return true;
}
