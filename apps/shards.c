/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* sched_setaffinity */
#include "shards.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "host/mesh.h"

#define COUNTER_NAME_SIZE 64

/* ---- Opening ---- */

int shards_init(struct shards *s, const struct options *options)
{
    *s = (struct shards){.count = 1};
    for (uint32_t i = 0; i < STRAIT_SHARDS_MAX; i++) {
        s->shard[i].all = s;
        s->shard[i].number = i;
    }
    return station_init(&s->shard[0].station, options);
}

static bool hand_over(void *context, uint32_t to, const void *packet, size_t length,
                      const struct strait_offload *offload)
{
    const struct shard *shard = context;
    return mesh_put(shard->all->mesh, shard->number, to, packet, length, offload);
}

static void take_over(void *context, const void *packet, size_t length,
                      const struct strait_offload *offload)
{
    const struct station *s = context;
    strait_input(s->stack, s->link, packet, length, offload, s->env->now(s->env));
}

static void bell_rings(void *argument, int fd, short revents)
{
    struct shard *shard = argument;
    (void)fd, (void)revents;
    mesh_take(shard->all->mesh, shard->number, take_over, &shard->station);
}

/* Makes the stations of further shards, each with its link, which is its own from here on. */
static int make_stations(struct shards *s, struct strait_link **links)
{
    int result = 0;
    for (uint32_t i = 1; i < s->count; i++) {
        struct station *station = &s->shard[i].station;
        if (station_init_beside(station, s->shard[0].station.options) < 0)
            result = -1;
        station->tun = station->link = links[i];
    }
    return result;
}

static int make_mesh(struct shards *s)
{
    if (s->count == 1)
        return 0;
    s->mesh = mesh_new(s->count);
    if (!s->mesh)
        return complain("cannot join %u queues: %s", s->count, strerror(errno));
    for (uint32_t i = 0; i < s->count; i++) {
        struct strait_env *env = s->shard[i].station.env;
        if (env->watch(env, mesh_bell(s->mesh, i), POLLIN, bell_rings, &s->shard[i]) < 0)
            return complain("cannot watch over queue %u: %s", i, strerror(errno));
    }
    return 0;
}

int shards_open(struct shards *s, uint32_t queues)
{
    struct strait_link *links[STRAIT_SHARDS_MAX];
    struct strait_config host;
    station_host(&s->shard[0].station, &host);
    host.shards = (uint16_t)queues;
    int opened = station_open_device(&s->shard[0].station, &host, links);
    if (opened < 0)
        return -1;
    s->count = (uint32_t)opened;
    host.shards = (uint16_t)opened;
    host.hand_over = hand_over;
    if (make_stations(s, links) < 0 || make_mesh(s) < 0)
        return -1;
    for (uint32_t i = 0; i < s->count; i++) {
        host.shard = (uint16_t)i;
        host.hand_over_context = &s->shard[i];
        if (station_start(&s->shard[i].station, &host) < 0)
            return -1;
    }
    return 0;
}

/* ---- Running ---- */

struct runner {
    struct shard *shard;
    const cpu_set_t *processors; /* that the program may use */
    int (*run)(void *context, uint32_t number);
    void *context;
    int result;
};

static void interrupt_station(void *station)
{
    station_interrupt(station);
}

/* Interrupts all other stations, from whatever thread drives this one. */
static void interrupt_others(void *shard)
{
    const struct shard *self = shard;
    for (uint32_t i = 0; i < self->all->count; i++) {
        struct station *other = &self->all->shard[i].station;
        if (i != self->number)
            strait_post(other->env, interrupt_station, other);
    }
}

/* Keeps the calling thread on the processor number `index` of those there are, round and round. */
static void stay_on_processor(uint32_t index, const cpu_set_t *processors)
{
    cpu_set_t one;
    int count = CPU_COUNT(processors);
    if (count < 2)
        return;
    int left = (int)(index % (uint32_t)count);
    size_t cpu = 0;
    while (!CPU_ISSET(cpu, processors) || left-- > 0)
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (sched_setaffinity(0, sizeof(one), &one) < 0)
        say("queue %u may run on any processor: %s", index, strerror(errno));
}

static void *run_shard(void *argument)
{
    struct runner *r = argument;
    if (r->shard->all->count > 1)
        stay_on_processor(r->shard->number, r->processors);
    r->result = r->run(r->context, r->shard->number);
    if (r->result != 0)
        interrupt_others(r->shard);
    return NULL;
}

/* Starts the threads of all but the first. Returns how many shards run then, the first included. */
static uint32_t start_threads(struct shards *s, struct runner *runners, pthread_t *threads)
{
    uint32_t i = 1;
    for (; i < s->count; i++) {
        int error = pthread_create(&threads[i], NULL, run_shard, &runners[i]);
        if (error) {
            say("cannot start a thread for queue %u: %s", i, strerror(error));
            break;
        }
    }
    return i;
}

int shards_run(struct shards *s, int (*run)(void *context, uint32_t number), void *context)
{
    struct runner runners[STRAIT_SHARDS_MAX];
    pthread_t threads[STRAIT_SHARDS_MAX];
    cpu_set_t processors;
    CPU_ZERO(&processors);
    sched_getaffinity(0, sizeof(processors), &processors); /* fails where there are too many */
    s->shard[0].station.interrupted = interrupt_others;
    s->shard[0].station.interrupted_context = &s->shard[0];
    for (uint32_t i = 0; i < s->count; i++)
        runners[i] = (struct runner){&s->shard[i], &processors, run, context, -1};

    uint32_t running = start_threads(s, runners, threads);
    int result = -1;
    if (running == s->count) {
        run_shard(&runners[0]);
        result = runners[0].result;
    } else {
        interrupt_others(&s->shard[0]);
    }
    for (uint32_t i = 1; i < running; i++) {
        pthread_join(threads[i], NULL);
        if (runners[i].result != 0)
            result = -1;
    }
    return result == 0 ? 0 : -1;
}

/* ---- Counters ---- */

/* What is told to whoever visits the counters. */
struct telling {
    const struct shards *shards;
    uint32_t shard;
    void (*visit)(void *context, const char *name, uint64_t value);
    void *context;
};

struct sum {
    const char *name;
    uint64_t value;
};

static void add_to_sum(void *context, const char *name, uint64_t value)
{
    struct sum *sum = context;
    if (strcmp(name, sum->name) == 0)
        sum->value += value;
}

/* With a counter of the first shard. */
static void visit_sum(void *context, const char *name, uint64_t value)
{
    const struct telling *t = context;
    struct sum sum = {name, value};
    for (uint32_t i = 1; i < t->shards->count; i++)
        station_counters(&t->shards->shard[i].station, add_to_sum, &sum);
    t->visit(t->context, name, sum.value);
}

static void visit_indexed(void *context, const char *name, uint64_t value)
{
    const struct telling *t = context;
    char indexed[COUNTER_NAME_SIZE];
    snprintf(indexed, sizeof(indexed), "%s[%u]", name, t->shard);
    t->visit(t->context, indexed, value);
}

void shards_counters(const struct shards *s,
                     void (*visit)(void *context, const char *name, uint64_t value), void *context)
{
    struct telling telling = {.shards = s, .visit = visit, .context = context};
    station_counters(&s->shard[0].station, visit_sum, &telling);
    if (s->count == 1)
        return;
    for (telling.shard = 0; telling.shard < s->count; telling.shard++)
        station_counters(&s->shard[telling.shard].station, visit_indexed, &telling);
}

void shards_free(struct shards *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        station_free(&s->shard[i].station);
    mesh_free(s->mesh);
}
