/* SPDX-License-Identifier: MIT */
#include "counter.h"

#include <netinet/in.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/check.h"
#include "primes/stubs.h"
#include "rpc/classic.h"
#include "rpc/grpc.h"
#include "rpc/once.h"
#include "sim/counter.pb-c.h"
#include "store.h"

#define APPLICATION  0x636f756e
#define PARALLEL_MAX 64 /* jobs share commits */
#define WORD         4

struct counter {
    enum counter_fault fault;
    void (*passed)(void *context, enum counter_step);
    void *context;

    /* Of the present life. */
    struct strait_env *env; /* NULL: down */
    struct store *store;
    struct once *once;
    struct rpc_dispatcher *rpc;
    struct server *server, *grpc;
    sqlite3_stmt *add, *note, *set, *get;
    LIST_HEAD(, deed) deeds;
};

/* A call under way. */
struct deed {
    union {
        struct once_call call; /* of an addition */
        struct store_job job;  /* of the others */
    };
    LIST_ENTRY(deed) link;
    struct counter *counter;
    struct rpc_job *answers; /* NULL: it has been answered */
    const struct rpc_procedure *procedure;
    uint32_t amount;
    uint8_t result[WORD];
};

static const char *const schema[] = {
    ONCE_SCHEMA,
    "CREATE TABLE counter(id INTEGER PRIMARY KEY, value INTEGER NOT NULL)",
    "CREATE TABLE audit(id INTEGER PRIMARY KEY, client INTEGER, sequence INTEGER, amount INTEGER, "
    "value INTEGER)",
    "INSERT INTO counter VALUES(0, 0), (1, 0)",
    NULL,
};

static void pass(struct counter *c, enum counter_step step)
{
    if (c->passed)
        c->passed(c->context, step);
}

/* ---- On the store's thread ---- */

/* Runs a statement that yields one number. */
static bool number_of(struct store *store, sqlite3_stmt *statement, uint32_t *number)
{
    if (store_step(store, statement) != STORE_ROW)
        return false;
    *number = (uint32_t)sqlite3_column_int64(statement, 0);
    return store_step(store, statement) == STORE_DONE;
}

static bool add(struct deed *d, struct store *store)
{
    struct counter *c = d->counter;
    uint32_t value;
    sqlite3_bind_int64(c->add, 1, d->amount);
    if (!number_of(store, c->add, &value))
        return false;
    sqlite3_bind_int64(c->note, 1, (int64_t)d->call.identity.client);
    sqlite3_bind_int64(c->note, 2, (int64_t)d->call.identity.sequence);
    sqlite3_bind_int64(c->note, 3, d->amount);
    sqlite3_bind_int64(c->note, 4, value);
    rpc_put32(d->result, value);
    return store_step(store, c->note) == STORE_DONE;
}

static bool effect_run(struct once_call *call, struct store *store)
{
    struct deed *d = (struct deed *)(void *)call;
    call->result_bytes = WORD;
    return add(d, store);
}

/* An addition without the row. */
static bool bare_run(struct store_job *job, struct store *store)
{
    return add((struct deed *)(void *)job, store);
}

static bool other_run(struct store_job *job, struct store *store)
{
    struct deed *d = (struct deed *)(void *)job;
    struct counter *c = d->counter;
    uint32_t value;
    bool sets = d->procedure == &counter_procedures[COUNTER_SET];
    if (sets)
        sqlite3_bind_int64(c->set, 1, d->amount);
    if (!number_of(store, sets ? c->set : c->get, &value))
        return false;
    rpc_put32(d->result, value);
    return true;
}

/* ---- Answers ---- */

static void deed_done(struct deed *d, enum rpc_code code)
{
    struct counter *c = d->counter;
    bool addition = d->procedure == &counter_procedures[COUNTER_ADD];
    if (addition && code == RPC_OK)
        pass(c, COUNTER_KEPT);
    if (d->answers)
        rpc_answer(d->answers, code, d->result);
    if (addition && code == RPC_OK)
        pass(c, COUNTER_ANSWERED);
    LIST_REMOVE(d, link);
    free(d);
}

static void call_done(struct once_call *call)
{
    static const enum rpc_code codes[] = {
        [ONCE_NEW] = RPC_OK,
        [ONCE_KNOWN] = RPC_OK,
        [ONCE_FORGOTTEN] = RPC_FAILED_PRECONDITION,
        [ONCE_BUSY] = RPC_RESOURCE_EXHAUSTED,
        [ONCE_REFUSED] = RPC_INTERNAL,
        [ONCE_FAILED] = RPC_INTERNAL,
    };
    deed_done((struct deed *)(void *)call, codes[call->outcome]);
}

static void job_done(struct store_job *job, enum store_outcome outcome)
{
    deed_done((struct deed *)(void *)job, outcome == STORE_KEPT ? RPC_OK : RPC_INTERNAL);
}

/* ---- Procedures ---- */

static struct deed *deed_new(struct counter *c, struct rpc_job *job,
                             const struct rpc_procedure *procedure, const uint8_t *amount)
{
    struct deed *d = calloc(1, sizeof(*d));
    CHECK(d);
    d->counter = c;
    d->answers = job;
    d->procedure = procedure;
    d->amount = amount ? rpc_get32(amount) : 0;
    LIST_INSERT_HEAD(&c->deeds, d, link);
    return d;
}

static void submit(struct deed *d, bool (*run)(struct store_job *, struct store *))
{
    d->job.run = run;
    d->job.done = job_done;
    if (store_submit(d->counter->store, &d->job) < 0)
        deed_done(d, RPC_RESOURCE_EXHAUSTED);
}

/* What the counter will be, if nothing goes wrong: the answer that comes too early. */
static void answer_early(struct deed *d)
{
    uint32_t value = 0;
    struct counter *c = d->counter;
    if (sqlite3_step(c->get) == SQLITE_ROW)
        value = (uint32_t)sqlite3_column_int64(c->get, 0);
    sqlite3_reset(c->get);
    rpc_put32(d->result, value + d->amount);
    rpc_answer(d->answers, RPC_OK, d->result);
    d->answers = NULL;
    pass(c, COUNTER_ANSWERED);
}

static void add_sstub(void *context, struct rpc_job *job, const uint8_t *arguments)
{
    struct counter *c = context;
    const struct rpc_identity identity = rpc_identity_unmarshal(arguments);
    struct deed *d =
        deed_new(c, job, &counter_procedures[COUNTER_ADD], arguments + RPC_IDENTITY_BYTES);
    d->call.once = c->once;
    d->call.identity = (struct once_identity){identity.client, identity.sequence, identity.lowest};
    d->call.now_ms = c->env->wall_clock(c->env) / 1000000;
    d->call.result = d->result;
    d->call.result_room = WORD;
    d->call.effect = effect_run;
    d->call.done = call_done;
    pass(c, COUNTER_ASKED);
    if (c->fault == COUNTER_EARLY_ANSWER)
        answer_early(d);
    if (c->fault == COUNTER_WITHOUT_ROW)
        submit(d, bare_run);
    else if (once_submit(&d->call) < 0)
        deed_done(d, RPC_RESOURCE_EXHAUSTED);
}

static void set_sstub(void *context, struct rpc_job *job, const uint8_t *arguments)
{
    submit(deed_new(context, job, &counter_procedures[COUNTER_SET], arguments), other_run);
}

static void get_sstub(void *context, struct rpc_job *job, const uint8_t *arguments)
{
    (void)arguments;
    submit(deed_new(context, job, &counter_procedures[COUNTER_GET], NULL), other_run);
}

const struct rpc_procedure counter_procedures[COUNTER_PROCEDURES] = {
    [COUNTER_ADD] = {.id = 10,
                     .name = "add",
                     .argument_bytes = RPC_IDENTITY_BYTES + WORD,
                     .result_bytes = WORD,
                     .class = RPC_ONCE,
                     .identified = true,
                     .begin = add_sstub},
    [COUNTER_SET] = {.id = 11,
                     .name = "set",
                     .argument_bytes = WORD,
                     .result_bytes = WORD,
                     .class = RPC_IDEMPOTENT,
                     .begin = set_sstub},
    [COUNTER_GET] =
        {.id = 12, .name = "get", .result_bytes = WORD, .class = RPC_PURE, .begin = get_sstub},
};

static const struct rpc_messages messages = {&counter__counter__descriptor, counter_procedures};

const struct rpc_messages *const counter_messages[] = {&messages, &primes_messages, NULL};

/* ---- Lives ---- */

static void open_store(struct counter *c)
{
    const struct store_config config = {.path = COUNTER_FILE,
                                        .application = APPLICATION,
                                        .version = 1,
                                        .owner = "counter",
                                        .schema = schema};
    char error[STORE_MESSAGE_BYTES];
    c->store = store_open(c->env, &config, error);
    CHECK(c->store);
    c->once = once_new(c->store, NULL);
    c->add = store_prepare(c->store, "UPDATE counter SET value = value + ?1 WHERE id = 0 "
                                     "RETURNING value");
    c->note = store_prepare(c->store, "INSERT INTO audit(client, sequence, amount, value) "
                                      "VALUES(?1, ?2, ?3, ?4)");
    c->set = store_prepare(c->store, "UPDATE counter SET value = ?1 WHERE id = 1 RETURNING value");
    c->get = store_prepare(c->store, "SELECT value FROM counter WHERE id = 0");
    CHECK(c->once && c->add && c->note && c->set && c->get);
}

static void start(void *app, struct strait *stack, struct strait_env *env)
{
    struct counter *c = app;
    const struct stream_host host = stream_host_strait(stack, env);
    const struct classic_config config = {
        .address = {.sin_family = AF_INET, .sin_port = htons(CLASSIC_PORT)}};
    const struct rpc_service service = {.name = "counter",
                                        .procedures = counter_procedures,
                                        .count = COUNTER_PROCEDURES,
                                        .context = c,
                                        .parallel_max = PARALLEL_MAX};
    c->env = env;
    LIST_INIT(&c->deeds);
    open_store(c);
    c->rpc = rpc_new(env);
    CHECK(c->rpc && rpc_register(c->rpc, &service) == 0 && primes_serve(c->rpc) == 0);
    const struct grpc_config grpc_config = {
        .address = {.sin_family = AF_INET, .sin_port = htons(GRPC_PORT)},
        .messages = counter_messages};
    c->server = classic_start(&host, c->rpc, &config);
    c->grpc = grpc_start(&host, c->rpc, &grpc_config);
    CHECK(c->server && c->grpc);
}

static void crash(void *app)
{
    struct counter *c = app;
    server_free(c->server);
    server_free(c->grpc);
    rpc_crash(c->rpc);
    for (struct deed *d; (d = LIST_FIRST(&c->deeds));) {
        LIST_REMOVE(d, link);
        free(d);
    }
    once_free(c->once);
    store_free(c->store);
    c->env = NULL;
}

struct counter *counter_new(enum counter_fault fault,
                            void (*passed)(void *context, enum counter_step), void *context)
{
    struct counter *c = calloc(1, sizeof(*c));
    CHECK(c);
    c->fault = fault;
    c->passed = passed;
    c->context = context;
    return c;
}

void counter_free(struct counter *c)
{
    free(c);
}

struct world_app counter_app(struct counter *c)
{
    return (struct world_app){.start = start, .crash = crash, .app = c};
}

size_t counter_sessions(const struct counter *c)
{
    return c->env ? server_sessions(c->server) + server_sessions(c->grpc) : 0;
}

const struct rpc_counters *counter_counters(const struct counter *c)
{
    return rpc_counters(c->rpc);
}

/* ---- From outside ---- */

uint32_t counter_audit(struct world_host *host,
                       void (*row)(void *context, uint64_t client, uint64_t sequence,
                                   uint32_t amount, uint32_t value),
                       void *context)
{
    sqlite3 *db;
    sqlite3_stmt *s;
    world_act_as(host);
    CHECK(sqlite3_open_v2(COUNTER_FILE, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
    CHECK(sqlite3_prepare_v2(db, "SELECT client, sequence, amount, value FROM audit ORDER BY id",
                             -1, &s, NULL) == SQLITE_OK);
    while (sqlite3_step(s) == SQLITE_ROW)
        row(context, (uint64_t)sqlite3_column_int64(s, 0), (uint64_t)sqlite3_column_int64(s, 1),
            (uint32_t)sqlite3_column_int64(s, 2), (uint32_t)sqlite3_column_int64(s, 3));
    sqlite3_finalize(s);
    CHECK(sqlite3_prepare_v2(db, "SELECT value FROM counter WHERE id = 0", -1, &s, NULL) ==
          SQLITE_OK);
    CHECK(sqlite3_step(s) == SQLITE_ROW);
    uint32_t value = (uint32_t)sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return value;
}
