/* SPDX-License-Identifier: MIT */
#include "call_world.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/prng.h"
#include "check_calls.h"
#include "primes/stubs.h"
#include "rpc/classic.h"
#include "rpc/grpc.h"
#include "sim/world.h"

#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

#define CLIENTS_MAX 3
#define CALLS_MAX   96
#define LAST_MAX    (CLIENTS_MAX * CALL_KINDS)
#define ROWS_MAX    1024
#define FAULTS_MAX  24

#define TROUBLE_NS (20 * S) /* in which calls begin and faults strike */
/* From when on all is well: a connection that has lost its peer learns of it by a retransmission,
 * the next of which is at most twice as far away as the trouble was long. */
#define WELL_NS   (TROUBLE_NS + 40 * S)
#define FINISH_NS (WELL_NS + 15 * S) /* the longest deadline, and some more */
/* Until the last connection is gone: TIME-WAIT, and its retries; or the ping that finds out that
 * a client has crashed. */
#define REST_NS (200 * S)

struct client {
    struct call_world *world;
    struct world_host *host;
    struct world_link *link;
    struct rpc_channel *channel; /* NULL: down */
    bool grpc;                   /* else the classic wire */
};

/* What is to be called, and what became of it. */
struct planned {
    struct client *client;
    struct call_record *record;
    uint64_t cancel_after_ns; /* 0: never */
    uint64_t lasts_ns;        /* its deadline */
    struct rpc_call *call;    /* while it is open */
};

enum fault_kind { CRASH_SERVER, CRASH_CLIENT, CUT };

struct fault {
    struct call_world *world;
    enum fault_kind kind;
    struct client *client; /* for CRASH_CLIENT and CUT */
    int direction;
    uint64_t lasts_ns;
};

struct call_world {
    struct world *world;
    struct prng *prng;
    struct counter *counter;
    struct world_host *server;
    struct client clients[CLIENTS_MAX];
    size_t client_count;
    struct planned planned[CALLS_MAX + LAST_MAX];
    struct call_record records[CALLS_MAX + LAST_MAX];
    size_t call_count;
    size_t first_last; /* from this one on they are made after all is well, and succeed */
    struct fault faults[FAULTS_MAX];
    size_t fault_count;
    struct audit_row rows[ROWS_MAX];
    size_t row_count;
    bool healed;
    bool crash_comes; /* a crash of the server is on its way */
    struct fault in_call;
    uint32_t violations;
    FILE *told;
    struct call_world_totals totals;
};

static uint64_t draw(struct call_world *w, uint64_t least, uint64_t most)
{
    return least + prng_below(w->prng, most - least + 1);
}

static bool chance(struct call_world *w, unsigned percent)
{
    return prng_below(w->prng, 100) < percent;
}

static void violate(void *context, const char *line)
{
    struct call_world *w = context;
    w->violations++;
    fprintf(w->told, "  violated: %s\n", line);
}

/* ---- Faults ---------------------------------------------------------------------------------- */

static void fault_ends(void *argument)
{
    struct fault *f = argument;
    switch (f->kind) {
    case CRASH_SERVER:
        world_restart(f->world->server);
        break;
    case CRASH_CLIENT:
        world_restart(f->client->host);
        break;
    case CUT:
        world_cut(f->client->link, f->direction, false);
        break;
    }
}

static void fault_begins(void *argument)
{
    struct fault *f = argument;
    struct call_world *w = f->world;
    if (f->kind == CRASH_SERVER) {
        w->crash_comes = false;
        w->totals.server_crashes += world_is_up(w->server);
        world_crash(w->server);
    } else if (f->kind == CRASH_CLIENT) {
        w->totals.client_crashes += world_is_up(f->client->host);
        world_crash(f->client->host);
    } else {
        world_cut(f->client->link, f->direction, true);
    }
    CHECK(world_at(w->world, world_now(w->world) + f->lasts_ns, fault_ends, f) == 0);
}

static void plan_fault(struct call_world *w, enum fault_kind kind)
{
    struct fault *f = &w->faults[w->fault_count++];
    CHECK(w->fault_count <= FAULTS_MAX);
    *f = (struct fault){
        .world = w,
        .kind = kind,
        .client = &w->clients[draw(w, 0, w->client_count - 1)],
        .direction = (int)draw(w, 0, 1),
        .lasts_ns = draw(w, 1 * MS, kind == CUT ? 4 * S : 800 * MS),
    };
    CHECK(world_at(w->world, draw(w, S, TROUBLE_NS), fault_begins, f) == 0);
}

/*
 * An addition has passed a step: the server may crash while the next is under way. A commit takes
 * about 3 ms.
 */
static void step_passed(void *context, enum counter_step step)
{
    struct call_world *w = context;
    if (w->healed || w->crash_comes || !chance(w, 8))
        return;
    w->crash_comes = true;
    w->in_call =
        (struct fault){.world = w, .kind = CRASH_SERVER, .lasts_ns = draw(w, 1 * MS, 500 * MS)};
    uint64_t after_ns = step == COUNTER_ASKED ? draw(w, 0, 4 * MS) : draw(w, 0, MS / 10);
    CHECK(world_at(w->world, world_now(w->world) + after_ns, fault_begins, &w->in_call) == 0);
}

/* ---- Clients --------------------------------------------------------------------------------- */

static struct in_addr address_of(size_t client, unsigned host)
{
    return (struct in_addr){htonl(0x0a000000 + (uint32_t)client * 256 + host)};
}

static void client_start(void *app, struct strait *stack, struct strait_env *env)
{
    struct client *c = app;
    size_t index = (size_t)(c - c->world->clients);
    const struct rpc_channel_config config = {
        .host = stream_host_strait(stack, env),
        .server = {.sin_family = AF_INET,
                   .sin_port = htons(c->grpc ? GRPC_PORT : CLASSIC_PORT),
                   .sin_addr = address_of(index, 1)},
        .wire = c->grpc ? &rpc_grpc_wire : &rpc_classic_wire,
        .messages = counter_messages,
    };
    c->channel = rpc_channel_new(&config);
    CHECK(c->channel);
}

static void note_attempts(struct client *c)
{
    if (c->channel)
        c->world->totals.attempts += rpc_channel_counters(c->channel)->attempts;
}

static void client_crash(void *app)
{
    struct client *c = app;
    struct call_world *w = c->world;
    note_attempts(c);
    for (size_t i = 0; i < w->call_count; i++) {
        struct planned *p = &w->planned[i];
        if (p->client != c || !p->call)
            continue;
        p->record->fate = CALL_LOST;
        p->call = NULL;
    }
    rpc_channel_free(c->channel);
    c->channel = NULL;
}

static void call_ended(void *context, struct rpc_reply reply, const uint8_t *result)
{
    struct planned *p = context;
    struct call_world *w = p->client->world;
    struct call_record *r = p->record;
    if (r->fate != CALL_OPEN)
        violate(w, "a call ends twice");
    r->fate = CALL_ENDED;
    r->ended_ns = world_now(w->world);
    r->reply = reply;
    if ((reply.outcome == RPC_RESULT) != (result != NULL))
        violate(w, "a result is missing, or there is one with another outcome");
    if (result)
        r->result = rpc_get32(result);
    p->call = NULL;
}

static void cancel(void *argument)
{
    struct planned *p = argument;
    if (!p->call)
        return;
    p->record->fate = CALL_CANCELLED;
    p->record->reply.outcome = rpc_call_cancel(p->call);
    p->call = NULL;
}

static const struct rpc_procedure *marshal(const struct call_record *r, uint8_t *arguments)
{
    switch (r->kind) {
    case CALL_ADD:
        rpc_put32(arguments + RPC_IDENTITY_BYTES, r->x);
        return &counter_procedures[COUNTER_ADD];
    case CALL_SET:
        rpc_put32(arguments, r->x);
        return &counter_procedures[COUNTER_SET];
    case CALL_GET:
        return &counter_procedures[COUNTER_GET];
    case CALL_ITH_PRIME:
        rpc_put32(arguments, r->x);
        return &primes_procedures[PRIMES_ITH_PRIME];
    default:
        rpc_put32(arguments, r->x);
        rpc_put32(arguments + 4, r->y);
        return &primes_procedures[PRIMES_IS_COPRIME];
    }
}

static void make_call(void *argument)
{
    struct planned *p = argument;
    struct call_record *r = p->record;
    struct call_world *w = p->client->world;
    uint8_t arguments[RPC_BYTES_MAX] = {0};
    if (!p->client->channel) { /* it is down, and calls nobody */
        r->fate = CALL_LOST;
        return;
    }
    r->began_ns = world_now(w->world);
    r->deadline_ns = r->began_ns + p->lasts_ns;
    p->call = rpc_call_start(p->client->channel, marshal(r, arguments), arguments, r->deadline_ns,
                             call_ended, p);
    CHECK(p->call);
    struct rpc_identity identity = rpc_call_identity(p->call);
    r->client = identity.client;
    r->sequence = identity.sequence;
    if (p->cancel_after_ns > 0)
        CHECK(world_at(w->world, r->began_ns + p->cancel_after_ns, cancel, p) == 0);
}

/* Arguments for a call of this kind. */
static struct planned *plan(struct call_world *w, enum call_kind kind, struct client *client)
{
    size_t i = w->call_count++;
    struct call_record *r = &w->records[i];
    r->kind = kind;
    /* From 6542 on a prime is a long call. */
    r->x = (uint32_t)(kind == CALL_ITH_PRIME ? draw(w, 6500, 6600) : draw(w, 1, 100));
    r->y = (uint32_t)draw(w, 1, 100);
    w->planned[i] = (struct planned){.client = client, .record = r, .lasts_ns = 10 * S};
    return &w->planned[i];
}

static void plan_call(struct call_world *w)
{
    static const enum call_kind kinds[] = {CALL_ADD, CALL_ADD, CALL_ADD,       CALL_SET,
                                           CALL_GET, CALL_GET, CALL_ITH_PRIME, CALL_IS_COPRIME};
    enum call_kind kind = kinds[draw(w, 0, sizeof(kinds) / sizeof(kinds[0]) - 1)];
    struct planned *p = plan(w, kind, &w->clients[draw(w, 0, w->client_count - 1)]);
    p->cancel_after_ns = chance(w, 8) ? draw(w, 1, 300 * MS) : 0;
    if (kind == CALL_ITH_PRIME && chance(w, 20))
        p->record->x = 203280221; /* there is none: a close without a result */
    if (chance(w, 50))
        p->lasts_ns = draw(w, 20 * MS, 10 * S);
    CHECK(world_at(w->world, draw(w, S, TROUBLE_NS), make_call, p) == 0);
}

/* All is well: one of each kind by each client. */
static void plan_last_calls(struct call_world *w)
{
    w->first_last = w->call_count;
    for (size_t i = 0; i < w->client_count; i++)
        for (int kind = 0; kind < CALL_KINDS; kind++)
            CHECK(world_at(w->world, WELL_NS, make_call,
                           plan(w, (enum call_kind)kind, &w->clients[i])) == 0);
}

/* ---- The world ------------------------------------------------------------------------------- */

static struct impair_config draw_path(struct call_world *w)
{
    return (struct impair_config){
        .delay_ns = draw(w, MS / 10, 30 * MS),
        .jitter_ns = draw(w, 0, 5 * MS),
        .rate_bps = draw(w, 1000000, 100000000),
        .loss = chance(w, 60) ? (impair_ppm)draw(w, 0, 150000) : 0,
        .duplicate = chance(w, 30) ? (impair_ppm)draw(w, 0, 50000) : 0,
        .reorder = chance(w, 30) ? (impair_ppm)draw(w, 0, 100000) : 0,
        .corrupt = chance(w, 20) ? (impair_ppm)draw(w, 0, 20000) : 0,
    };
}

static void add_client(struct call_world *w)
{
    static const char *const names[CLIENTS_MAX] = {"a", "b", "c"};
    size_t i = w->client_count++;
    struct client *c = &w->clients[i];
    const struct world_app app = {client_start, client_crash, c};
    c->world = w;
    c->grpc = chance(w, 50);
    c->host = world_add_host(w->world, names[i], NULL, &app);
    CHECK(c->host);
    const struct world_end ends[2] = {{w->server, address_of(i, 1)}, {c->host, address_of(i, 2)}};
    const struct impair_config impair[2] = {draw_path(w), draw_path(w)};
    c->link = world_add_link(w->world, ends, 24, 1500, 0, impair);
    CHECK(c->link);
}

struct call_world *call_world_new(uint64_t seed, enum counter_fault fault)
{
    struct call_world *w = calloc(1, sizeof(*w));
    CHECK(w && (w->world = world_new(seed)));
    w->prng = world_prng(w->world);
    w->counter = counter_new(fault, step_passed, w);
    const struct world_app app = counter_app(w->counter);
    w->server = world_add_host(w->world, "s", NULL, &app);
    CHECK(w->server);
    const struct disk_faults faults = {.torn = chance(w, 70), .reordered = chance(w, 70)};
    disk_set_faults(world_disk(w->server), &faults);
    for (uint64_t n = draw(w, 1, CLIENTS_MAX); n > 0; n--)
        add_client(w);
    for (uint64_t n = draw(w, 8, CALLS_MAX); n > 0; n--)
        plan_call(w);
    for (uint64_t n = draw(w, 0, 4); n > 0; n--)
        plan_fault(w, CRASH_SERVER);
    for (uint64_t n = draw(w, 0, 2); n > 0; n--)
        plan_fault(w, CRASH_CLIENT);
    for (uint64_t n = draw(w, 0, 4); n > 0; n--)
        plan_fault(w, CUT);
    plan_last_calls(w);
    return w;
}

void call_world_free(struct call_world *w)
{
    world_free(w->world);
    counter_free(w->counter);
    free(w);
}

static void log_line(void *context, uint64_t now_ns, const char *line)
{
    (void)now_ns;
    fprintf(context, "%s\n", line);
}

void call_world_log(struct call_world *w, FILE *file)
{
    world_log(w->world, log_line, file);
}

static void heal(struct call_world *w)
{
    const struct impair_config mild = {.delay_ns = MS, .rate_bps = 1000000000};
    w->healed = true;
    world_restart(w->server);
    for (size_t i = 0; i < w->client_count; i++) {
        world_restart(w->clients[i].host);
        for (int direction = 0; direction < 2; direction++) {
            world_cut(w->clients[i].link, direction, false);
            world_impair(w->clients[i].link, direction, &mild);
        }
    }
}

static void take_row(void *context, uint64_t client, uint64_t sequence, uint32_t amount,
                     uint32_t value)
{
    struct call_world *w = context;
    CHECK(w->row_count < ROWS_MAX);
    w->rows[w->row_count++] = (struct audit_row){client, sequence, amount, value};
}

static void check_last_calls(struct call_world *w)
{
    for (size_t i = w->first_last; i < w->call_count; i++) {
        const struct call_record *r = &w->records[i];
        char line[128];
        if (r->fate == CALL_ENDED && r->reply.outcome == RPC_RESULT)
            continue;
        snprintf(line, sizeof(line), "call %zu has no result, though all is well: %s (%s)", i,
                 rpc_outcome_text(r->reply.outcome), rpc_code_text(r->reply.code));
        violate(w, line);
    }
}

/* A counter of the server that is still to be seen is of its last life. */
static void check_rest(struct call_world *w)
{
    if (counter_sessions(w->counter) > 0)
        violate(w, "the server still has sessions");
    if (strait_memory(world_stack(w->server)) > 0)
        violate(w, "the server still holds payload");
    for (size_t i = 0; i < w->client_count; i++) {
        struct strait *stack = world_stack(w->clients[i].host);
        if (strait_memory(stack) > 0 || strait_connections(stack) > 0)
            violate(w, "a client still has connections");
    }
}

static void sum_up(struct call_world *w)
{
    struct call_world_totals *t = &w->totals;
    for (size_t i = 0; i < w->call_count; i++) {
        const struct call_record *r = &w->records[i];
        bool ended = r->fate == CALL_ENDED;
        t->calls++;
        t->results += ended && r->reply.outcome == RPC_RESULT;
        t->unknown += ended && r->reply.outcome == RPC_UNKNOWN;
        t->not_executed += ended && r->reply.outcome == RPC_NOT_EXECUTED;
    }
    t->virtual_ns = world_now(w->world);
}

/* Connections that calls share do not end by themselves. */
static void close_channels(void *argument)
{
    struct call_world *w = argument;
    for (size_t i = 0; i < w->client_count; i++) {
        struct client *c = &w->clients[i];
        note_attempts(c);
        rpc_channel_free(c->channel);
        c->channel = NULL;
    }
}

uint32_t call_world_run(struct call_world *w, FILE *file)
{
    w->told = file;
    if (world_run(w->world, TROUBLE_NS + S) == WORLD_NO_PROGRESS)
        violate(w, "nothing goes on");
    heal(w);
    CHECK(world_at(w->world, FINISH_NS, close_channels, w) == 0);
    if (world_run(w->world, FINISH_NS) == WORLD_NO_PROGRESS ||
        world_run(w->world, FINISH_NS + REST_NS) == WORLD_NO_PROGRESS)
        violate(w, "nothing goes on in the end");
    check_rest(w);
    check_last_calls(w);
    uint32_t counter = counter_audit(w->server, take_row, w);
    check_calls(w->records, w->call_count, w->rows, w->row_count, counter, violate, w);
    sum_up(w);
    return w->violations;
}

uint64_t call_world_hash(const struct call_world *w)
{
    return world_hash(w->world);
}

void call_world_add(const struct call_world *w, struct call_world_totals *sum)
{
    sum->calls += w->totals.calls;
    sum->results += w->totals.results;
    sum->unknown += w->totals.unknown;
    sum->not_executed += w->totals.not_executed;
    sum->attempts += w->totals.attempts;
    sum->server_crashes += w->totals.server_crashes;
    sum->client_crashes += w->totals.client_crashes;
    sum->virtual_ns += w->totals.virtual_ns;
}
