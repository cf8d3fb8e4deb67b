/* SPDX-License-Identifier: MIT */
#include "kv_faults.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/prng.h"

#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

#define FAULTS_MAX   24
#define WATCH_NS     (20000)    /* how often it is looked for the moment to crash */
#define WATCH_MAX_NS (2 * S)    /* and for how long */
#define DRAIN_NS     (3 * S)    /* a node that drains has so long */
#define SUPERVISE_NS (200 * MS) /* how often it is looked for nodes that have stopped */

enum kind {
    CRASH,
    CRASH_AT_CHANGE, /* of the disk */
    CRASH_AT_PHASE,  /* of a transaction */
    DRAIN,
    PAUSE,
    CUT,
    PATH,
    DISK_SLOW,
    DISK_FAILS,
    CLIENT_CRASH,
    CLIENT_CUT,
};

static const char *const names[] = {
    [CRASH] = "crash",
    [CRASH_AT_CHANGE] = "crash at a change of the disk",
    [CRASH_AT_PHASE] = "crash in a phase",
    [DRAIN] = "drain",
    [PAUSE] = "pause",
    [CUT] = "cut",
    [PATH] = "bad path",
    [DISK_SLOW] = "slow disk",
    [DISK_FAILS] = "failing disk",
    [CLIENT_CRASH] = "client crashes",
    [CLIENT_CUT] = "client cut off",
};

struct fault {
    struct kv_faults *all;
    enum kind kind;
    bool everyone;   /* a crash: of all nodes at once */
    uint32_t id;     /* of a node, or the number of a client */
    uint32_t choice; /* ways of a cut, the change, the phase, the way that a disk fails */
    uint64_t at_ns, lasts_ns;
    uint64_t after_ns; /* CRASH_AT_*: so long after what it waits for */
    uint64_t until_ns; /* it waits no longer */
    uint32_t changes;  /* CRASH_AT_CHANGE: that have been waited for */
    struct impair_config path;
};

struct kv_faults {
    struct cluster *cluster;
    struct kv_load *load;
    struct prng *prng;
    uint32_t clients, count;
    struct fault list[FAULTS_MAX];
    struct disk_faults disks[CLUSTER_NODES_MAX]; /* how they are when they do not fail */
    struct disk_speed speeds[CLUSTER_NODES_MAX]; /* and how fast */
    bool excused[CLUSTER_NODES_MAX];
    bool healed;
    struct kv_faults_totals totals;
};

static uint64_t draw(struct kv_faults *f, uint64_t least, uint64_t most)
{
    return least + prng_below(f->prng, most - least + 1);
}

static bool chance(struct kv_faults *f, unsigned percent)
{
    return prng_below(f->prng, 100) < percent;
}

static void at(struct kv_faults *f, uint64_t at_ns, void (*event)(void *), void *argument)
{
    CHECK(world_at(f->cluster->world, at_ns, event, argument) == 0);
}

static uint64_t now_of(const struct kv_faults *f)
{
    return world_now(f->cluster->world);
}

static struct cluster_node *node_of(const struct fault *f)
{
    return &f->all->cluster->nodes[f->id - 1];
}

/* ---- Crashes ---- */

static void crash_node(struct kv_faults *f, struct cluster_node *n)
{
    f->totals.crashes += world_is_up(n->host);
    world_crash(n->host);
}

static void end(void *argument);

static void crash_now(void *argument)
{
    struct fault *f = argument;
    struct kv_faults *all = f->all;
    if (all->healed)
        return;
    for (uint32_t i = 0; i < all->cluster->count; i++)
        if (f->everyone || i + 1 == f->id)
            crash_node(all, &all->cluster->nodes[i]);
    at(all, now_of(all) + f->lasts_ns, end, f);
}

/* ---- Drains ---- */

/* It is stopped, and started again after a while, or at once if all is to be well. */
static void drained(void *argument)
{
    struct fault *f = argument;
    struct kv_faults *all = f->all;
    all->totals.drained++;
    world_crash(node_of(f)->host);
    at(all, now_of(all) + (all->healed ? 0 : f->lasts_ns), end, f);
}

/* The node is not freed within its own call. */
static void is_idle(void *context)
{
    struct fault *f = context;
    at(f->all, now_of(f->all), drained, f);
}

/* What SIGTERM does. */
static void drain(struct fault *f)
{
    struct cluster_node *n = node_of(f);
    if (!n->node || n->stopped[0] != '\0')
        return;
    f->all->totals.drains++;
    server_stop(n->server);
    kv_node_drain(n->node, now_of(f->all) + DRAIN_NS, is_idle, f);
}

/* ---- Crashes at a change of the disk ---- */

static void watch_changes(void *argument)
{
    struct fault *f = argument;
    struct disk *disk = world_disk(node_of(f)->host);
    uint64_t now_ns = now_of(f->all);
    if (f->all->healed || !world_is_up(node_of(f)->host) || now_ns > f->until_ns)
        return;
    disk_advance(disk, now_ns);
    uint64_t next_ns = disk_next(disk);
    if (next_ns == UINT64_MAX)
        at(f->all, now_ns + WATCH_NS, watch_changes, f);
    else if (f->changes++ < f->choice)
        at(f->all, next_ns, watch_changes, f);
    else
        at(f->all, f->after_ns % 2 ? next_ns : next_ns - 1, crash_now, f);
}

/* ---- In a phase of a transaction: the coordinator's first, then the worker's ---- */

#define OF_COORDINATOR (COORDINATOR_ABORTED - COORDINATOR_PREPARING + 1)

struct looked {
    uint32_t phase;
    bool found;
};

static void look_at_txn(void *context, const struct kv_txn_view *v)
{
    struct looked *looked = context;
    uint32_t phase = looked->phase;
    if (phase < OF_COORDINATOR)
        looked->found |= v->coordinator && v->coordinator->phase == COORDINATOR_PREPARING + phase;
    else
        looked->found |= v->worker && v->worker->phase == WORKER_PREPARING + phase - OF_COORDINATOR;
}

static void watch_phases(void *argument)
{
    struct fault *f = argument;
    struct cluster_node *n = node_of(f);
    struct looked looked = {.phase = f->choice};
    uint64_t now_ns = now_of(f->all);
    if (f->all->healed || !n->node || now_ns > f->until_ns)
        return;
    kv_node_visit_txns(n->node, false, look_at_txn, &looked);
    if (!looked.found) {
        at(f->all, now_ns + WATCH_NS, watch_phases, f);
        return;
    }
    f->all->totals.in_phase[f->choice]++;
    at(f->all, now_ns + f->after_ns, crash_now, f);
}

/* ---- Beginnings and ends ---- */

static void cut(const struct fault *f, struct world_link *link, bool is_cut)
{
    for (int way = 0; way < 2; way++)
        if (f->choice & 1u << way)
            world_cut(link, way, is_cut);
}

static void break_disk(struct fault *f)
{
    struct disk_faults faults = f->all->disks[f->id - 1];
    f->all->excused[f->id - 1] = true;
    if (f->choice == 0)
        faults.write_error = 200000;
    else if (f->choice == 1)
        faults.sync_error = 200000;
    else if (f->choice == 2)
        faults.capacity_bytes = 32768;
    else
        faults.read_error = 200000;
    disk_set_faults(world_disk(node_of(f)->host), &faults);
}

static const struct impair_config lan = {.delay_ns = MS / 5};

static struct disk_speed slower(uint32_t times)
{
    return (struct disk_speed){.access_ns = 5000ULL * times, .sync_ns = 500000ULL * times};
}

static void end(void *argument)
{
    struct fault *f = argument;
    struct kv_faults *all = f->all;
    switch (f->kind) {
    case CRASH:
    case CRASH_AT_CHANGE:
    case CRASH_AT_PHASE:
    case DRAIN:
        for (uint32_t i = 0; i < all->cluster->count; i++)
            if (f->everyone || i + 1 == f->id)
                world_restart(all->cluster->nodes[i].host);
        break;
    case PAUSE:
        world_pause(node_of(f)->host, false);
        break;
    case CUT:
        cut(f, node_of(f)->link, false);
        break;
    case PATH:
        for (int way = 0; way < 2; way++)
            world_impair(node_of(f)->link, way, &lan);
        break;
    case DISK_SLOW:
        disk_set_speed(world_disk(node_of(f)->host), &all->speeds[f->id - 1]);
        break;
    case DISK_FAILS:
        disk_set_faults(world_disk(node_of(f)->host), &all->disks[f->id - 1]);
        break;
    case CLIENT_CRASH:
        world_restart(kv_load_client(all->load, f->id).host);
        break;
    case CLIENT_CUT:
        cut(f, kv_load_client(all->load, f->id).link, false);
        break;
    }
}

static void strike(void *argument)
{
    struct fault *f = argument;
    struct disk_speed speed;
    struct kv_faults *all = f->all;
    f->until_ns = now_of(all) + WATCH_MAX_NS;
    switch (f->kind) {
    case CRASH:
        crash_now(f);
        return;
    case CRASH_AT_CHANGE:
        watch_changes(f);
        return;
    case CRASH_AT_PHASE:
        watch_phases(f);
        return;
    case DRAIN:
        drain(f);
        return;
    case PAUSE:
        all->totals.pauses++;
        world_pause(node_of(f)->host, true);
        break;
    case CUT:
        all->totals.cuts++;
        cut(f, node_of(f)->link, true);
        break;
    case PATH:
        for (int way = 0; way < 2; way++)
            if (f->choice & 1u << way)
                world_impair(node_of(f)->link, way, &f->path);
        break;
    case DISK_SLOW:
        speed = slower(f->choice);
        disk_set_speed(world_disk(node_of(f)->host), &speed);
        break;
    case DISK_FAILS:
        break_disk(f);
        break;
    case CLIENT_CRASH:
        world_crash(kv_load_client(all->load, f->id).host);
        break;
    case CLIENT_CUT:
        cut(f, kv_load_client(all->load, f->id).link, true);
        break;
    }
    at(all, now_of(all) + f->lasts_ns, end, f);
}

/* A node that has stopped is started again, as a supervisor of services does. */
static void supervise(void *argument)
{
    struct kv_faults *f = argument;
    if (f->healed)
        return;
    for (uint32_t i = 0; i < f->cluster->count; i++) {
        struct cluster_node *n = &f->cluster->nodes[i];
        if (!world_is_up(n->host) || (n->node && n->stopped[0] == '\0') || !f->excused[i])
            continue;
        f->totals.stops++;
        world_crash(n->host);
        world_restart(n->host);
    }
    at(f, now_of(f) + SUPERVISE_NS, supervise, f);
}

/* ---- Drawing ---- */

static struct impair_config draw_path(struct kv_faults *f)
{
    return (struct impair_config){
        .delay_ns = draw(f, MS / 10, 50 * MS),
        .jitter_ns = draw(f, 0, 5 * MS),
        .rate_bps = chance(f, 50) ? draw(f, 500000, 20000000) : 0,
        .loss = chance(f, 70) ? (impair_ppm)draw(f, 0, 250000) : 0,
        .duplicate = chance(f, 30) ? (impair_ppm)draw(f, 0, 100000) : 0,
        .reorder = chance(f, 40) ? (impair_ppm)draw(f, 0, 200000) : 0,
        .corrupt = chance(f, 20) ? (impair_ppm)draw(f, 0, 20000) : 0,
    };
}

/* How many choices there are, and the first of them. */
static uint32_t draw_choice(struct kv_faults *f, enum kind kind)
{
    switch (kind) {
    case CRASH_AT_CHANGE:
        return (uint32_t)draw(f, 0, 12);
    case CRASH_AT_PHASE:
        return (uint32_t)draw(f, 0, KV_FAULTS_PHASES - 1);
    case DISK_SLOW:
        return (uint32_t)draw(f, 2, 100);
    case DISK_FAILS:
        return (uint32_t)draw(f, 0, 3);
    default:
        return (uint32_t)draw(f, 1, 3);
    }
}

static void add(struct kv_faults *f, uint64_t lasts_ns)
{
    static const enum kind kinds[] = {
        CRASH,
        CRASH_AT_CHANGE,
        CRASH_AT_CHANGE,
        CRASH_AT_PHASE,
        CRASH_AT_PHASE,
        CRASH_AT_PHASE,
        CRASH_AT_PHASE,
        CRASH_AT_PHASE,
        CRASH_AT_PHASE,

        DRAIN,
        DRAIN,
        PAUSE,
        CUT,
        CUT,
        PATH,
        PATH,
        DISK_SLOW,
        DISK_FAILS,
        CLIENT_CRASH,
        CLIENT_CUT,
    };
    enum kind kind = kinds[draw(f, 0, sizeof(kinds) / sizeof(kinds[0]) - 1)];
    bool of_client = kind == CLIENT_CRASH || kind == CLIENT_CUT;
    struct fault *one = &f->list[f->count++];
    *one = (struct fault){
        .all = f,
        .kind = kind,
        .everyone = chance(f, 30) && kind <= CRASH_AT_PHASE,
        .id = (uint32_t)(of_client ? draw(f, 0, f->clients - 1) : draw(f, 1, f->cluster->count)),
        .choice = draw_choice(f, kind),
        .at_ns = now_of(f) + draw(f, 0, lasts_ns),
        .lasts_ns = chance(f, 50) ? draw(f, MS, 200 * MS) : draw(f, 200 * MS, 4 * S),
        .after_ns = chance(f, 50) ? 0 : draw(f, 0, MS),
        .path = draw_path(f),
    };
    at(f, one->at_ns, strike, one);
}

struct kv_faults *kv_faults_new(struct cluster *cluster, struct kv_load *load, uint32_t clients,
                                uint64_t lasts_ns)
{
    struct kv_faults *f = calloc(1, sizeof(*f));
    CHECK(f);
    f->cluster = cluster;
    f->load = load;
    f->prng = world_prng(cluster->world);
    f->clients = clients;
    for (uint32_t i = 0; i < cluster->count; i++) {
        f->disks[i] = (struct disk_faults){.torn = chance(f, 70), .reordered = chance(f, 70)};
        disk_set_faults(world_disk(cluster->nodes[i].host), &f->disks[i]);
        f->speeds[i] = slower(chance(f, 40) ? (uint32_t)draw(f, 2, 40) : 1);
        disk_set_speed(world_disk(cluster->nodes[i].host), &f->speeds[i]);
        cluster->nodes[i].wild_clock = chance(f, 30);
    }
    for (uint64_t n = draw(f, 0, 16); n > 0; n--)
        add(f, lasts_ns);
    supervise(f);
    return f;
}

void kv_faults_free(struct kv_faults *f)
{
    free(f);
}

void kv_faults_tell(const struct kv_faults *f, FILE *file)
{
    for (uint32_t i = 0; i < f->count; i++) {
        const struct fault *one = &f->list[i];
        fprintf(file, "  %.6f s, for %.6f s: %s%s, at %" PRIu32 ", choice %" PRIu32 "\n",
                (double)one->at_ns / 1e9, (double)one->lasts_ns / 1e9, names[one->kind],
                one->everyone ? " of all" : "", one->id, one->choice);
    }
}

void kv_faults_heal(struct kv_faults *f)
{
    const struct disk_speed usual = slower(1);
    f->healed = true;
    for (uint32_t i = 0; i < f->cluster->count; i++) {
        struct cluster_node *n = &f->cluster->nodes[i];
        disk_set_faults(world_disk(n->host), &f->disks[i]);
        disk_set_speed(world_disk(n->host), &usual);
        world_pause(n->host, false);
        for (int way = 0; way < 2; way++) {
            world_cut(n->link, way, false);
            world_impair(n->link, way, &lan);
        }
        if (f->excused[i] && world_is_up(n->host) && (!n->node || n->stopped[0] != '\0'))
            world_crash(n->host);
        world_restart(n->host);
    }
    for (uint32_t i = 0; i < f->clients; i++) {
        struct kv_load_client c = kv_load_client(f->load, i);
        world_cut(c.link, 0, false);
        world_cut(c.link, 1, false);
        world_restart(c.host);
    }
}

bool kv_faults_excuse(const struct kv_faults *f, uint32_t id)
{
    return f->excused[id - 1];
}

void kv_faults_add(const struct kv_faults *f, struct kv_faults_totals *sum)
{
    sum->crashes += f->totals.crashes;
    sum->drains += f->totals.drains;
    sum->drained += f->totals.drained;
    sum->stops += f->totals.stops;
    sum->cuts += f->totals.cuts;
    sum->pauses += f->totals.pauses;
    for (uint32_t i = 0; i < KV_FAULTS_PHASES; i++)
        sum->in_phase[i] += f->totals.in_phase[i];
}
