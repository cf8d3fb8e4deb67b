/* SPDX-License-Identifier: MIT */
/*
 * A client's row lives longer than its results. When its lease ends, the results go and the row
 * says so, that whatever the client asks for from then on is forgotten; it goes when room is needed
 * for a new client, the oldest first.
 *
 * A new client is one whose name is not known and that may still ask for its first call. Any other
 * that is not known was, and is forgotten.
 */
#include "rpc/once.h"

#include <stdlib.h>
#include <string.h>

#define SEQUENCE_MAX   ((uint64_t)INT64_MAX) /* that a column holds: no client counts so far */
#define SWEEP_MAX      2                     /* leases that end with one call */
#define USED_PRECISION 16                    /* a lease is known to a part of it */

/* A row of once_client. */
struct client {
    int64_t id; /* any 64 bits: the sign means nothing */
    int64_t lowest, results, used_ms;
    bool ended;
    bool is_new; /* there is no row yet */
};

struct once {
    struct store *store;
    struct once_config config;
    struct once_counters counters;
    sqlite3_stmt *get_client, *put_client, *drop_client, *oldest_client;
    sqlite3_stmt *get_result, *put_result, *drop_results;
    sqlite3_stmt *get_total, *put_total;
    void *known; /* the result that once_begin has found */
    size_t known_room;

    /* The call that has begun. */
    struct client client;
    int64_t sequence;
};

/* ---- Rows ------------------------------------------------------------------------------------ */

/* Steps to the only row, whose last column says whether its sum is right. */
static enum store_step get_row(struct once *o, sqlite3_stmt *statement, const char *table)
{
    enum store_step step = store_step(o->store, statement);
    if (step != STORE_ROW || sqlite3_column_int(statement, sqlite3_column_count(statement) - 1))
        return step;
    store_damaged(o->store, table);
    sqlite3_reset(statement);
    return STORE_BROKEN;
}

/* What no constraint can refuse, unless the tables contradict each other. */
static bool change(struct once *o, sqlite3_stmt *statement)
{
    enum store_step step = store_step(o->store, statement);
    if (step == STORE_REFUSED)
        store_damaged(o->store, "once_result");
    return step == STORE_DONE;
}

/* Reads the row of a client: STORE_ROW, STORE_DONE if there is none, or STORE_BROKEN. */
static enum store_step get_client(struct once *o, int64_t id, struct client *c)
{
    sqlite3_stmt *row = o->get_client;
    sqlite3_bind_int64(row, 1, id);
    enum store_step step = get_row(o, row, "once_client");
    if (step != STORE_ROW)
        return step;
    *c = (struct client){
        .id = id,
        .lowest = sqlite3_column_int64(row, 0),
        .results = sqlite3_column_int64(row, 1),
        .used_ms = sqlite3_column_int64(row, 2),
        .ended = sqlite3_column_int(row, 3),
    };
    sqlite3_reset(row);
    return STORE_ROW;
}

static bool put_client(struct once *o, const struct client *c)
{
    sqlite3_bind_int64(o->put_client, 1, c->id);
    sqlite3_bind_int64(o->put_client, 2, c->lowest);
    sqlite3_bind_int64(o->put_client, 3, c->results);
    sqlite3_bind_int64(o->put_client, 4, c->used_ms);
    sqlite3_bind_int(o->put_client, 5, c->ended);
    return change(o, o->put_client);
}

/* The client that was silent for longest, of those whose lease has ended or not; as get_client. */
static enum store_step oldest_client(struct once *o, bool ended, struct client *c)
{
    sqlite3_bind_int(o->oldest_client, 1, ended);
    enum store_step step = store_step(o->store, o->oldest_client);
    if (step != STORE_ROW)
        return step;
    int64_t id = sqlite3_column_int64(o->oldest_client, 0);
    sqlite3_reset(o->oldest_client);
    return get_client(o, id, c);
}

static bool get_total(struct once *o, int64_t *clients)
{
    enum store_step step = get_row(o, o->get_total, "once_total");
    if (step != STORE_ROW) {
        store_damaged(o->store, "once_total");
        return false;
    }
    *clients = sqlite3_column_int64(o->get_total, 0);
    sqlite3_reset(o->get_total);
    return true;
}

static bool put_total(struct once *o, int64_t clients)
{
    sqlite3_bind_int64(o->put_total, 1, clients);
    return change(o, o->put_total);
}

/* Forgets the results of a client below a sequence. */
static bool drop_results(struct once *o, struct client *c, int64_t below)
{
    if (c->results == 0)
        return true;
    sqlite3_bind_int64(o->drop_results, 1, c->id);
    sqlite3_bind_int64(o->drop_results, 2, below);
    if (!change(o, o->drop_results))
        return false;
    c->results -= sqlite3_changes(sqlite3_db_handle(o->drop_results));
    return true;
}

/* ---- Leases and room ------------------------------------------------------------------------- */

static bool is_over(const struct once *o, const struct client *c, int64_t now_ms)
{
    return now_ms - c->used_ms > o->config.lease_ms;
}

static bool end_lease(struct once *o, struct client *c)
{
    c->ended = true;
    o->counters.ended++;
    return drop_results(o, c, INT64_MAX) && put_client(o, c);
}

/* Ends some of the leases that are over. False: the store has failed. */
static bool sweep(struct once *o, int64_t now_ms)
{
    struct client c;
    for (int i = 0; i < SWEEP_MAX; i++) {
        enum store_step step = oldest_client(o, false, &c);
        if (step == STORE_DONE || (step == STORE_ROW && !is_over(o, &c, now_ms)))
            return true;
        if (step != STORE_ROW || !end_lease(o, &c))
            return false;
    }
    return true;
}

/* Whether there is room for one client more, if need be in place of one whose lease has ended. */
static enum once_outcome make_room(struct once *o)
{
    struct client oldest;
    int64_t clients;
    if (!get_total(o, &clients))
        return ONCE_FAILED;
    if (clients < o->config.clients_max)
        return ONCE_NEW;
    enum store_step step = oldest_client(o, true, &oldest);
    if (step == STORE_DONE) {
        o->counters.crowded++;
        return ONCE_BUSY;
    }
    if (step != STORE_ROW)
        return ONCE_FAILED;
    sqlite3_bind_int64(o->drop_client, 1, oldest.id);
    if (!change(o, o->drop_client) || !put_total(o, clients - 1))
        return ONCE_FAILED;
    o->counters.displaced++;
    return ONCE_NEW;
}

/* ---- A call ---------------------------------------------------------------------------------- */

/* The client's row, or a new one: ONCE_NEW if the call is to be looked up. */
static enum once_outcome find_client(struct once *o, const struct once_identity *identity,
                                     int64_t now_ms, struct client *c)
{
    int64_t id = (int64_t)identity->client;
    enum store_step step = get_client(o, id, c);
    if (step == STORE_ROW) {
        if (!c->ended && is_over(o, c, now_ms) && !end_lease(o, c))
            return ONCE_FAILED;
        return c->ended ? ONCE_FORGOTTEN : ONCE_NEW;
    }
    if (step != STORE_DONE)
        return ONCE_FAILED;
    if (identity->lowest > 1 || identity->sequence < 1)
        return ONCE_FORGOTTEN;
    *c = (struct client){.id = id, .lowest = 1, .used_ms = now_ms, .is_new = true};
    return make_room(o);
}

/* Keeps a copy of the result that the statement has found; false when memory is short. */
static bool keep_known(struct once *o, size_t bytes)
{
    if (bytes > o->known_room) {
        void *room = realloc(o->known, bytes);
        if (!room)
            return false;
        o->known = room;
        o->known_room = bytes;
    }
    if (bytes > 0)
        memcpy(o->known, sqlite3_column_blob(o->get_result, 0), bytes);
    return true;
}

/* What is known of a sequence that is not below the client's mark. */
static enum once_outcome find_result(struct once *o, const struct client *c, int64_t sequence,
                                     const void **result, size_t *result_bytes)
{
    sqlite3_bind_int64(o->get_result, 1, c->id);
    sqlite3_bind_int64(o->get_result, 2, sequence);
    enum store_step step = get_row(o, o->get_result, "once_result");
    if (step == STORE_ROW) {
        *result_bytes = (size_t)sqlite3_column_bytes(o->get_result, 0);
        bool kept = keep_known(o, *result_bytes);
        *result = o->known;
        sqlite3_reset(o->get_result);
        return kept ? ONCE_KNOWN : ONCE_BUSY;
    }
    if (step != STORE_DONE)
        return ONCE_FAILED;
    if (c->results < o->config.results_max)
        return ONCE_NEW;
    o->counters.full++;
    return ONCE_BUSY;
}

/* Takes the client's word for what it does not ask for any more, and that it lives. */
static bool refresh_client(struct once *o, struct client *c, int64_t lowest, int64_t now_ms)
{
    bool is_raised = lowest > c->lowest;
    bool is_stale = now_ms - c->used_ms > o->config.lease_ms / USED_PRECISION;
    if (is_raised)
        c->lowest = lowest;
    if (is_raised && !drop_results(o, c, lowest))
        return false;
    if (is_stale)
        c->used_ms = now_ms;
    return c->is_new || !(is_raised || is_stale) || put_client(o, c);
}

static enum once_outcome find_call(struct once *o, const struct once_identity *identity,
                                   int64_t now_ms, const void **result, size_t *result_bytes)
{
    struct client *c = &o->client;
    if (identity->sequence >= SEQUENCE_MAX || identity->lowest >= SEQUENCE_MAX)
        return ONCE_FORGOTTEN;
    o->sequence = (int64_t)identity->sequence;
    if (!sweep(o, now_ms))
        return ONCE_FAILED;
    enum once_outcome outcome = find_client(o, identity, now_ms, c);
    if (outcome != ONCE_NEW)
        return outcome;
    if (!refresh_client(o, c, (int64_t)identity->lowest, now_ms))
        return ONCE_FAILED;
    if (o->sequence < c->lowest)
        return ONCE_FORGOTTEN;
    return find_result(o, c, o->sequence, result, result_bytes);
}

enum once_outcome once_begin(struct once *o, const struct once_identity *identity, int64_t now_ms,
                             const void **result, size_t *result_bytes)
{
    enum once_outcome outcome = find_call(o, identity, now_ms, result, result_bytes);
    o->counters.fresh += outcome == ONCE_NEW;
    o->counters.known += outcome == ONCE_KNOWN;
    o->counters.forgotten += outcome == ONCE_FORGOTTEN;
    return outcome;
}

bool once_finish(struct once *o, const void *result, size_t result_bytes)
{
    struct client *c = &o->client;
    int64_t clients;
    c->results++;
    if (c->is_new && (!get_total(o, &clients) || !put_total(o, clients + 1)))
        return false;
    sqlite3_bind_int64(o->put_result, 1, c->id);
    sqlite3_bind_int64(o->put_result, 2, o->sequence);
    sqlite3_bind_blob64(o->put_result, 3, result_bytes > 0 ? result : "", result_bytes,
                        SQLITE_STATIC);
    bool kept = change(o, o->put_result) && put_client(o, c);
    sqlite3_clear_bindings(o->put_result); /* the result is the caller's */
    return kept;
}

const struct once_counters *once_counters(const struct once *o)
{
    return &o->counters;
}

/* ---- As a job -------------------------------------------------------------------------------- */

static struct once_call *call_of(struct store_job *job)
{
    return (struct once_call *)(void *)((char *)job - offsetof(struct once_call, job));
}

/* Takes over the result of the first call. */
static void answer_known(struct once_call *call, struct store *store, const void *result,
                         size_t result_bytes)
{
    if (result_bytes > call->result_room) {
        store_damaged(store, "once_result, with a result too long for its procedure,");
        return;
    }
    if (result_bytes > 0)
        memcpy(call->result, result, result_bytes);
    call->result_bytes = result_bytes;
}

static bool call_run(struct store_job *job, struct store *store)
{
    struct once_call *call = call_of(job);
    const void *result = NULL;
    size_t result_bytes = 0;
    call->outcome = once_begin(call->once, &call->identity, call->now_ms, &result, &result_bytes);
    if (call->outcome == ONCE_KNOWN)
        answer_known(call, store, result, result_bytes);
    if (call->outcome != ONCE_NEW)
        return true;
    if (!call->effect(call, store)) {
        call->outcome = ONCE_REFUSED;
        return false;
    }
    return once_finish(call->once, call->result, call->result_bytes);
}

static void call_done(struct store_job *job, enum store_outcome outcome)
{
    struct once_call *call = call_of(job);
    if (outcome == STORE_FAILED)
        call->outcome = ONCE_FAILED;
    call->done(call);
}

int once_submit(struct once_call *call)
{
    call->job.run = call_run;
    call->job.done = call_done;
    return store_submit(call->once->store, &call->job);
}

enum once_outcome once_run(struct once_call *call)
{
    call->job.run = call_run;
    if (store_run(call->once->store, &call->job) == STORE_FAILED)
        call->outcome = ONCE_FAILED;
    return call->outcome;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static bool prepare(struct once *o)
{
    const struct {
        sqlite3_stmt **statement;
        const char *sql;
    } all[] = {
        {&o->get_client, "SELECT lowest, results, used_ms, ended, "
                         "sum IS row_sum('once_client', client, lowest, results, used_ms, ended) "
                         "FROM once_client WHERE client = ?1"},
        {&o->put_client, "REPLACE INTO once_client VALUES(?1, ?2, ?3, ?4, ?5, "
                         "row_sum('once_client', ?1, ?2, ?3, ?4, ?5))"},
        {&o->drop_client, "DELETE FROM once_client WHERE client = ?1"},
        {&o->oldest_client,
         "SELECT client FROM once_client WHERE ended = ?1 ORDER BY used_ms LIMIT 1"},
        {&o->get_result, "SELECT result, sum IS row_sum('once_result', client, sequence, result) "
                         "FROM once_result WHERE client = ?1 AND sequence = ?2"},
        {&o->put_result,
         "INSERT INTO once_result VALUES(?1, ?2, ?3, row_sum('once_result', ?1, ?2, ?3))"},
        {&o->drop_results, "DELETE FROM once_result WHERE client = ?1 AND sequence < ?2"},
        {&o->get_total, "SELECT clients, sum IS row_sum('once_total', clients) FROM once_total"},
        {&o->put_total, "UPDATE once_total SET clients = ?1, sum = row_sum('once_total', ?1)"},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        *all[i].statement = store_prepare(o->store, all[i].sql);
        if (!*all[i].statement)
            return false;
    }
    return true;
}

struct once *once_new(struct store *store, const struct once_config *config)
{
    struct once *o = calloc(1, sizeof(*o));
    if (!o)
        return NULL;
    o->store = store;
    if (config)
        o->config = *config;
    if (o->config.results_max == 0)
        o->config.results_max = ONCE_RESULTS_MAX;
    if (o->config.clients_max == 0)
        o->config.clients_max = ONCE_CLIENTS_MAX;
    if (o->config.lease_ms == 0)
        o->config.lease_ms = ONCE_LEASE_MS;
    if (prepare(o))
        return o;
    free(o);
    return NULL;
}

void once_free(struct once *o)
{
    if (!o)
        return;
    free(o->known);
    free(o);
}
