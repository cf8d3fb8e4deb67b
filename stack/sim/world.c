/* SPDX-License-Identifier: MIT */
/*
 * A world is a timeline (timeline.h) with hosts (host.h) and links on it. Three kinds of things
 * happen: a host has a turn, a link delivers what is due, the scenario acts.
 *
 *     turn of a  --send-->  impair  ..delay..  delivery  --input-->  turn of b, same instant
 *
 * A host and a link each have one event, at the earliest of all that they wait for; what moves that
 * time moves the event. Packets that arrive at one instant are all put in before their host has its
 * turn, as on a device that is drained.
 *
 * The scenario may make socket calls of any host, in its events and between two runs: all stacks
 * are told the time before, and all hosts have a turn after it. A turn in which there is nothing to
 * do leaves no trace, so it makes no difference in how many steps a world is run.
 */
#include "sim/world.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/list.h"
#include "sim/host.h"
#include "sim/timeline.h"
#include "sim/vfs.h"

#define START_NS         UINT64_C(1000000000)
#define PACKET_BYTES_MAX 65535
#define INSTANT_MAX      1000000 /* events at one virtual time: more is no progress */
#define LINK_NAME_BYTES  64
#define DIRECTIONS       2

/* What the world's seed is used for. */
enum { SEED_SCENARIO = 1, SEED_HOST, SEED_LINK, SEED_VFS };

struct end {
    struct strait_link link; /* as its host sees it */
    struct world_link *of;
    int number; /* it sends in the direction of that number */
    struct world_host *host;
};

struct tap {
    void (*function)(void *context, uint64_t now_ns, int direction, enum world_sight,
                     const void *packet, size_t length, const struct strait_offload *);
    void *context;
};

struct world_link {
    struct event delivery; /* the next one */
    struct world *world;
    uint32_t index;
    char name[LINK_NAME_BYTES];
    struct end ends[DIRECTIONS];
    struct impair impair[DIRECTIONS];
    struct world_counters counters[DIRECTIONS];
    bool cut[DIRECTIONS];
    struct tap taps[WORLD_TAPS];
    int tap_count;

    uint64_t active_ns; /* when it last delivered, and how many packets at that instant */
    uint64_t active_packets;
};

struct scenario_event {
    struct event event;
    struct world *world;
    void (*act)(void *argument);
    void *argument;
};

struct world {
    struct timeline time;
    uint64_t seed;
    struct prng prng;
    struct vfs *vfs;
    struct world_host **hosts;
    size_t host_count;
    struct world_link **links;
    size_t link_count;
    bool running, stopped;
    uint8_t packet[PACKET_BYTES_MAX]; /* that is being sent, put together */
};

static uint64_t seed_for(const struct world *w, uint64_t purpose, uint64_t index)
{
    return hash_word(hash_word(hash_word(0, w->seed), purpose), index);
}

/* ---- Links: from one end to the other -------------------------------------------------------- */

/* Puts the packet into the hash, field by field, and shows it to the taps. */
static void see(struct world_link *l, int direction, enum world_sight sight, const void *packet,
                size_t length, const struct strait_offload *offload)
{
    struct timeline *time = &l->world->time;
    timeline_note(time, sight == WORLD_SENT ? NOTE_SENT : NOTE_DELIVERED, l->index,
                  (uint64_t)direction | (uint64_t)offload->checksum << 8 |
                      (uint64_t)offload->gso << 16 | (uint64_t)offload->ecn << 24 |
                      (uint64_t)offload->gso_size << 32 | (uint64_t)offload->header_bytes << 48);
    time->hash = hash_word(time->hash, (uint64_t)offload->checksum_start |
                                           (uint64_t)offload->checksum_offset << 16);
    timeline_note_bytes(time, packet, length);
    for (int i = 0; i < l->tap_count; i++)
        l->taps[i].function(l->taps[i].context, time->now_ns, direction, sight, packet, length,
                            offload);
}

/* Says what has become of a packet on its way. */
static void say(struct world_link *l, int direction, size_t length, const char *what)
{
    timeline_say(&l->world->time, "%s > %s %zu bytes%s", l->ends[direction].host->name,
                 l->ends[1 - direction].host->name, length, what);
}

/* The packet ends here. */
static void lose(struct world_link *l, int direction, size_t length, const char *why)
{
    timeline_note(&l->world->time, NOTE_LOST, l->index, (uint64_t)direction);
    say(l, direction, length, why);
}

/* The packet is taken by the host of an end. */
static void arrive(struct end *to, const void *packet, size_t length,
                   const struct strait_offload *offload)
{
    struct world_link *l = to->of;
    int direction = 1 - to->number;
    l->counters[direction].delivered++;
    see(l, direction, WORLD_DELIVERED, packet, length, offload);
    say(l, direction, length, " arrive");
    host_input(to->host, &to->link, packet, length, offload);
}

static void count_delivery(struct world_link *l)
{
    struct timeline *time = &l->world->time;
    timeline_count(time);
    if (l->active_ns != time->now_ns)
        l->active_packets = 0;
    l->active_ns = time->now_ns;
    l->active_packets++;
}

/* The packet has come to an end, whatever its host is doing. */
static void deliver(void *context, const void *packet, size_t length,
                    const struct strait_offload *offload)
{
    struct end *to = context;
    struct world_link *l = to->of;
    int direction = 1 - to->number;
    count_delivery(l);
    if (!to->host->stack) {
        l->counters[direction].host_down++;
        lose(l, direction, length, ", which is down");
    } else if (!to->host->paused) {
        arrive(to, packet, length, offload);
    } else if (!host_hold(to->host, &to->link, packet, length, offload)) {
        l->counters[direction].pause_full++;
        lose(l, direction, length, ", which is paused and holds no more");
    }
}

static void schedule_delivery(struct world_link *l)
{
    uint64_t there_ns = impair_next(&l->impair[0]), back_ns = impair_next(&l->impair[1]);
    event_schedule(&l->world->time, &l->delivery, there_ns < back_ns ? there_ns : back_ns);
}

static void delivery_happens(struct event *delivery)
{
    struct world_link *l = container_of(delivery, struct world_link, delivery);
    for (int direction = 0; direction < DIRECTIONS; direction++)
        while (impair_take(&l->impair[direction], l->world->time.now_ns, deliver,
                           &l->ends[1 - direction]))
            ;
    schedule_delivery(l);
}

/* Puts a packet onto the path. Returns 0, or -1 with ENOBUFS. */
static int put(struct world_link *l, int direction, size_t length,
               const struct strait_offload *offload)
{
    struct impair *impair = &l->impair[direction];
    struct world *w = l->world;
    size_t on_the_way = impair->count;
    struct iovec packet = {w->packet, length};
    int result = impair_put(impair, &packet, 1, offload, w->time.now_ns);
    say(l, direction, length, impair->count == on_the_way ? ", lost" : "");
    schedule_delivery(l);
    return result;
}

/* Whether a device of that MTU and those features could send it. */
static bool is_sendable(const struct strait_link *link, size_t length,
                        const struct strait_offload *offload)
{
    if (length > PACKET_BYTES_MAX)
        return false;
    if (offload->checksum == STRAIT_CHECKSUM_PARTIAL && !(link->features & STRAIT_LINK_CHECKSUM))
        return false;
    if (offload->gso == STRAIT_GSO_NONE)
        return length <= link->mtu;
    return offload->gso == STRAIT_GSO_TCP4 && (link->features & STRAIT_LINK_TSO4) &&
           (size_t)offload->header_bytes + offload->gso_size <= link->mtu;
}

static int end_send(struct strait_link *link, const struct iovec *parts, int count,
                    const struct strait_offload *offload)
{
    static const struct strait_offload ordinary = {0};
    struct end *from = container_of(link, struct end, link);
    struct world_link *l = from->of;
    int direction = from->number;
    size_t length = 0, at = 0;
    if (from->host->ending)
        return 0;
    if (!offload)
        offload = &ordinary;
    for (int i = 0; i < count; i++)
        length += parts[i].iov_len;
    if (!is_sendable(link, length, offload)) {
        errno = EMSGSIZE;
        return -1;
    }
    for (int i = 0; i < count; at += parts[i++].iov_len)
        memcpy(l->world->packet + at, parts[i].iov_base, parts[i].iov_len);
    l->counters[direction].sent++;
    see(l, direction, WORLD_SENT, l->world->packet, length, offload);
    if (l->cut[direction]) {
        l->counters[direction].cut++;
        lose(l, direction, length, ", cut");
        return 0;
    }
    return put(l, direction, length, offload);
}

int world_inject(struct world_link *l, int direction, const void *packet, size_t length)
{
    struct iovec part = {(void *)(uintptr_t)packet, length};
    return end_send(&l->ends[direction].link, &part, 1, NULL);
}

/* ---- Links: making and changing -------------------------------------------------------------- */

static void end_init(struct end *e, struct world_link *l, int number, struct world_host *host,
                     uint32_t mtu, uint32_t features)
{
    *e = (struct end){.of = l, .number = number, .host = host};
    e->link = (struct strait_link){
        .size = sizeof(e->link),
        .name = l->name,
        .mtu = mtu,
        .features = features,
        .fd = -1,
        .send = end_send,
    };
}

struct world_link *world_add_link(struct world *w, const struct world_end ends[2], int prefix_bits,
                                  uint32_t mtu, uint32_t features,
                                  const struct impair_config impair[2])
{
    struct world_link **links = realloc(w->links, (w->link_count + 1) * sizeof(*links));
    if (!links)
        return NULL;
    w->links = links;
    struct world_link *l = calloc(1, sizeof(*l));
    if (!l || !timeline_make_room(&w->time)) {
        free(l);
        errno = ENOMEM;
        return NULL;
    }
    l->delivery.happen = delivery_happens;
    l->world = w;
    l->index = (uint32_t)w->link_count;
    snprintf(l->name, sizeof(l->name), "%s-%s", ends[0].host->name, ends[1].host->name);
    for (int i = 0; i < DIRECTIONS; i++) {
        end_init(&l->ends[i], l, i, ends[i].host, mtu, features);
        impair_init(&l->impair[i], &impair[i],
                    seed_for(w, SEED_LINK, (uint64_t)l->index * DIRECTIONS + (uint64_t)i));
    }
    /* From here on the link stays, since a stack that has taken its end keeps it. */
    w->links[w->link_count++] = l;
    for (int i = 0; i < DIRECTIONS; i++)
        if (host_attach(ends[i].host, &l->ends[i].link, ends[i].address, prefix_bits))
            return NULL;
    return l;
}

int world_add_route(struct world_host *h, struct in_addr network, int prefix_bits,
                    struct world_link *l)
{
    struct end *end = &l->ends[l->ends[0].host == h ? 0 : 1];
    if (end->host != h) {
        errno = EINVAL;
        return -1;
    }
    return host_route(h, network, prefix_bits, &end->link);
}

void world_impair(struct world_link *l, int direction, const struct impair_config *config)
{
    impair_configure(&l->impair[direction], config);
    timeline_note(&l->world->time, NOTE_IMPAIRED, l->index, (uint64_t)direction);
    timeline_say(&l->world->time, "%s > %s is impaired in another way",
                 l->ends[direction].host->name, l->ends[1 - direction].host->name);
    schedule_delivery(l);
}

void world_cut(struct world_link *l, int direction, bool cut)
{
    if (cut == l->cut[direction])
        return;
    l->cut[direction] = cut;
    timeline_note(&l->world->time, cut ? NOTE_CUT : NOTE_MENDED, l->index, (uint64_t)direction);
    timeline_say(&l->world->time, "%s > %s is %s", l->ends[direction].host->name,
                 l->ends[1 - direction].host->name, cut ? "cut" : "mended");
    if (!cut)
        return;
    l->counters[direction].cut += l->impair[direction].count;
    impair_clear(&l->impair[direction]);
    schedule_delivery(l);
}

void world_tap(struct world_link *l,
               void (*tap)(void *context, uint64_t now_ns, int direction, enum world_sight,
                           const void *packet, size_t length, const struct strait_offload *),
               void *context)
{
    CHECK(l->tap_count < WORLD_TAPS);
    l->taps[l->tap_count++] = (struct tap){tap, context};
}

void world_counters(const struct world_link *l, int direction, struct world_counters *counters)
{
    *counters = l->counters[direction];
    counters->impair = l->impair[direction].counters;
}

/* ---- Hosts ----------------------------------------------------------------------------------- */

struct world_host *world_add_host(struct world *w, const char *name,
                                  const struct strait_config *config, const struct world_app *app)
{
    struct world_host **hosts = realloc(w->hosts, (w->host_count + 1) * sizeof(*hosts));
    if (!hosts)
        return NULL;
    w->hosts = hosts;
    uint32_t index = (uint32_t)w->host_count;
    struct world_host *h =
        host_new(&w->time, index, name, seed_for(w, SEED_HOST, index), config, app);
    if (h)
        w->hosts[w->host_count++] = h;
    return h;
}

struct strait *world_stack(struct world_host *h)
{
    return h->stack;
}

struct strait_env *world_env(struct world_host *h)
{
    return h->stack ? &h->env : NULL;
}

void world_act_as(struct world_host *h)
{
    h->time->acting = h;
}

struct disk *world_disk(struct world_host *h)
{
    return h->disk;
}

const char *world_host_name(const struct world_host *h)
{
    return h->name;
}

bool world_is_up(const struct world_host *h)
{
    return h->stack != NULL;
}

void world_pause(struct world_host *h, bool paused)
{
    host_pause(h, paused);
    if (h->paused)
        return;
    for (struct held *held; (held = host_unhold(h));) {
        arrive(container_of(held->link, struct end, link), held->bytes, held->length,
               &held->offload);
        free(held);
    }
}

void world_crash(struct world_host *h)
{
    if (!h->stack)
        return;
    timeline_note(h->time, NOTE_CRASH, h->index, 0);
    timeline_say(h->time, "%s crashes", h->name);
    for (struct held *held; (held = host_unhold(h)); free(held)) {
        struct end *end = container_of(held->link, struct end, link);
        end->of->counters[1 - end->number].host_down++;
    }
    disk_advance(h->disk, h->time->now_ns);
    disk_crash(h->disk);
    host_end(h);
}

void world_restart(struct world_host *h)
{
    host_start(h);
}

/* ---- The scenario ---------------------------------------------------------------------------- */

static void tell_time_to_all(struct world *w)
{
    for (size_t i = 0; i < w->host_count; i++)
        host_tell_time(w->hosts[i]);
}

static void turn_of_all(struct world *w)
{
    for (size_t i = 0; i < w->host_count; i++)
        host_turn(w->hosts[i]);
}

static void scenario_happens(struct event *event)
{
    struct scenario_event *e = container_of(event, struct scenario_event, event);
    struct world *w = e->world;
    timeline_count(&w->time);
    timeline_note(&w->time, NOTE_SCENARIO, 0, 0);
    tell_time_to_all(w);
    e->act(e->argument);
    turn_of_all(w);
    timeline_give_room(&w->time);
    free(e);
}

int world_at(struct world *w, uint64_t at_ns, void (*event)(void *argument), void *argument)
{
    struct scenario_event *e = calloc(1, sizeof(*e));
    if (!e || !timeline_make_room(&w->time)) {
        free(e);
        errno = ENOMEM;
        return -1;
    }
    e->event.happen = scenario_happens;
    e->world = w;
    e->act = event;
    e->argument = argument;
    event_schedule(&w->time, &e->event, at_ns);
    return 0;
}

/* ---- Running --------------------------------------------------------------------------------- */

/* Says who kept going while the time stood still. */
static void say_no_progress(struct world *w)
{
    for (size_t i = 0; i < w->host_count; i++) {
        const struct world_host *h = w->hosts[i];
        if (h->active_ns == w->time.now_ns)
            timeline_say(&w->time, "no progress: %s had %" PRIu64 " turns", h->name,
                         h->active_turns);
    }
    for (size_t i = 0; i < w->link_count; i++) {
        const struct world_link *l = w->links[i];
        if (l->active_ns == w->time.now_ns)
            timeline_say(&w->time, "no progress: %s delivered %" PRIu64 " packets", l->name,
                         l->active_packets);
    }
}

/* Lets the next event happen, if there is one up to a time. Returns whether there may be another.
 */
static bool step(struct world *w, uint64_t until_ns, enum world_end_reason *reason)
{
    struct event *e = timeline_first(&w->time);
    if (w->stopped) {
        *reason = WORLD_STOPPED;
        return false;
    }
    if (!e || e->at_ns > until_ns) {
        *reason = e ? WORLD_TIME : WORLD_IDLE;
        if (until_ns != STRAIT_NEVER)
            timeline_move(&w->time, until_ns);
        return false;
    }
    timeline_move(&w->time, e->at_ns);
    if (w->time.instant > INSTANT_MAX) {
        say_no_progress(w);
        *reason = WORLD_NO_PROGRESS;
        return false;
    }
    event_schedule(&w->time, e, STRAIT_NEVER);
    e->happen(e);
    return true;
}

enum world_end_reason world_run(struct world *w, uint64_t until_ns)
{
    enum world_end_reason reason = WORLD_TIME;
    CHECK(!w->running && until_ns >= w->time.now_ns);
    w->running = true;
    w->stopped = false;
    turn_of_all(w);
    while (step(w, until_ns, &reason))
        ;
    tell_time_to_all(w);
    w->running = false;
    return reason;
}

void world_stop(struct world *w)
{
    w->stopped = true;
}

/* ---- The world ------------------------------------------------------------------------------- */

struct world *world_new(uint64_t seed)
{
    struct world *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->seed = seed;
    w->vfs = vfs_new(&w->time, seed_for(w, SEED_VFS, 0));
    if (!w->vfs) {
        free(w);
        errno = ENOMEM;
        return NULL;
    }
    timeline_init(&w->time, START_NS, seed);
    prng_seed(&w->prng, seed_for(w, SEED_SCENARIO, 0));
    return w;
}

/* Frees what the scenario has scheduled and what will not happen any more. */
static void drop_scenario(struct world *w)
{
    for (size_t i = 1; i <= w->time.count; i++) {
        struct event *e = w->time.heap[i];
        if (e->happen == scenario_happens)
            free(container_of(e, struct scenario_event, event));
    }
    w->time.count = 0;
}

void world_free(struct world *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->host_count; i++)
        host_free(w->hosts[i]);
    drop_scenario(w);
    for (size_t i = 0; i < w->link_count; i++) {
        for (int direction = 0; direction < DIRECTIONS; direction++)
            impair_clear(&w->links[i]->impair[direction]);
        free(w->links[i]);
    }
    free(w->hosts);
    free(w->links);
    vfs_free(w->vfs);
    timeline_finish(&w->time);
    free(w);
}

uint64_t world_now(const struct world *w)
{
    return w->time.now_ns;
}

struct prng *world_prng(struct world *w)
{
    return &w->prng;
}

uint64_t world_hash(const struct world *w)
{
    return w->time.hash;
}

uint64_t world_events(const struct world *w)
{
    return w->time.happened;
}

void world_log(struct world *w, void (*log)(void *context, uint64_t now_ns, const char *line),
               void *context)
{
    w->time.log = log;
    w->time.log_context = context;
}
