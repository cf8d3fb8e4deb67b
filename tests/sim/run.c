/* SPDX-License-Identifier: MIT */
#include "run.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "forger.h"
#include "setting.h"
#include "sim/pcap.h"
#include "stream.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

/* How long after healing everything has to finish: two of the longest timeouts, and the paces. */
#define FINISH_NS (600 * NS_PER_S)
#define STEP_NS   (5 * NS_PER_S)
/* How long after the last close everything is gone: the longest timeout, and TIME-WAIT. */
#define REST_NS (300 * NS_PER_S)

/* What becomes of a path with which something is wrong. */
static const struct impair_config mild = {
    .delay_ns = NS_PER_MS, .rate_bps = 1000000000, .queue_bytes = 64 << 20};

/* One end of an end host's link. */
struct probe {
    struct run *run;
    uint32_t host;
    struct world_link *link;
    int direction; /* in which the host sends */
};

/* Begins and ends at its time. */
struct trouble {
    struct run *run;
    const struct scenario_fault *fault;
    bool on;
    char setting[STRAIT_SETTING_BYTES]; /* of FAULT_SET: what it was */
};

struct run {
    const struct scenario *scenario;
    struct world *world;
    struct check *check;
    struct streams *streams;
    struct forger *forger;
    struct world_host *hosts[SCENARIO_HOSTS];
    struct world_host *routers[SCENARIO_ROUTERS];
    struct world_link *links[SCENARIO_LINKS];
    struct probe probes[SCENARIO_HOSTS];
    struct trouble troubles[SCENARIO_FAULTS];
    struct world_pcap *pcaps[SCENARIO_HOSTS];
    bool stuck; /* a livelock at one instant */
};

/* ---- The network ----------------------------------------------------------------------------- */

static struct impair_config impair_of(const struct scenario_path *p)
{
    return (struct impair_config){
        .delay_ns = p->delay_us * UINT64_C(1000),
        .jitter_ns = p->jitter_us * UINT64_C(1000),
        .rate_bps = p->rate_kbit * UINT64_C(1000),
        .queue_bytes = p->queue_bytes,
        .ecn_bytes = p->ecn_bytes,
        .loss = p->loss_ppm,
        .burst_enter = p->burst_enter_ppm,
        .burst_leave = p->burst_leave_ppm,
        .burst_loss = p->burst_loss_ppm,
        .duplicate = p->duplicate_ppm,
        .reorder = p->reorder_ppm,
        .corrupt = p->corrupt_ppm,
    };
}

static uint8_t cookies_of(const struct scenario_host *h)
{
    if (h->no_cookies)
        return STRAIT_SYN_COOKIES_OFF;
    return h->cookies_always ? STRAIT_SYN_COOKIES_ALWAYS : STRAIT_SYN_COOKIES_FULL;
}

static void add_hosts(struct run *run)
{
    static const char *const names[SCENARIO_HOSTS] = {"a", "b", "c", "d"};
    static const char *const router_names[SCENARIO_ROUTERS] = {"r0", "r1", "r2"};
    const struct scenario *s = run->scenario;
    struct strait_config config;

    CHECK(s->net.hops >= 1 && s->net.hops <= SCENARIO_HOPS_MAX);
    for (uint32_t i = 0; i < scenario_host_count(s); i++) {
        const struct scenario_host *h = &s->hosts[i];
        struct world_app app = streams_app(run->streams, i);
        strait_config_init(&config);
        if (h->send_bytes > 0)
            config.send_buffer_bytes = h->send_bytes;
        if (h->receive_bytes > 0)
            config.receive_buffer_bytes = h->receive_bytes;
        if (h->memory_bytes > 0)
            config.memory_max_bytes = h->memory_bytes;
        if (h->half_open_max > 0)
            config.half_open_max = h->half_open_max;
        if (h->connections_max > 0)
            config.connections_max = h->connections_max;
        if (h->time_wait_max > 0)
            config.time_wait_max = h->time_wait_max;
        config.sack = !h->no_sack;
        config.timestamps = !h->no_timestamps;
        config.window_scaling = !h->no_scaling;
        config.syn_cookies = cookies_of(h);
        if (h->ecn > 0)
            config.ecn = (uint8_t)(h->ecn - 1);
        run->hosts[i] = world_add_host(run->world, names[i], &config, &app);
        CHECK(run->hosts[i] != NULL);
    }
    strait_config_init(&config);
    config.forward = true;
    for (uint32_t i = 0; i + 1 < s->net.hops; i++) {
        run->routers[i] = world_add_host(run->world, router_names[i], &config, NULL);
        CHECK(run->routers[i] != NULL);
    }
}

/* 10.0.i.0 is the chain's link i, 10.1.0.0 and 10.1.1.0 are those of c and d. */
static struct in_addr network_of(uint32_t link, uint32_t hops)
{
    uint32_t network = link < hops ? 0x0a000000 + link * 256 : 0x0a010000 + (link - hops) * 256;

    return (struct in_addr){.s_addr = htonl(network)};
}

static struct world_link *add_link(struct run *run, uint32_t index, struct world_host *left,
                                   struct world_host *right, uint32_t mtu)
{
    const struct scenario *s = run->scenario;
    uint32_t network = ntohl(network_of(index, s->net.hops).s_addr);
    const struct world_end ends[2] = {
        {left, {htonl(network + 1)}},
        {right, {htonl(network + 2)}},
    };
    const struct impair_config impair[2] = {
        impair_of(&s->paths[index][0]),
        impair_of(&s->paths[index][1]),
    };
    uint32_t features = s->net.tso ? STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4 : 0;

    run->links[index] = world_add_link(run->world, ends, 24, mtu, features, impair);
    CHECK(run->links[index] != NULL);
    return run->links[index];
}

static void add_links(struct run *run)
{
    const struct scenario *s = run->scenario;
    uint32_t hops = s->net.hops, inner = scenario_inner_mtu(s);

    for (uint32_t i = 0; i < hops; i++) {
        struct world_host *left = i == 0 ? run->hosts[0] : run->routers[i - 1];
        struct world_host *right = i == hops - 1 ? run->hosts[1] : run->routers[i];
        uint32_t mtu = i == 0 ? scenario_mtu(s, 0) : i == hops - 1 ? scenario_mtu(s, 1) : inner;
        add_link(run, i, left, right, mtu);
    }
    run->probes[0] = (struct probe){run, 0, run->links[0], 0};
    run->probes[1] = (struct probe){run, 1, run->links[hops - 1], 1};
    for (uint32_t i = 2; i < scenario_host_count(s); i++) {
        struct world_host *router = run->routers[i == 2 ? 0 : hops - 2];
        struct world_link *link =
            add_link(run, hops + i - 2, run->hosts[i], router, scenario_mtu(s, i));
        run->probes[i] = (struct probe){run, i, link, 0};
    }
}

/* Each router knows the way to each network: to the left, to the right, or its own. */
static void add_routes(struct run *run)
{
    const struct scenario *s = run->scenario;
    uint32_t hops = s->net.hops;

    for (uint32_t r = 0; r + 1 < hops; r++) {
        for (uint32_t link = 0; link < scenario_link_count(s); link++) {
            bool is_of_c = link == hops, is_of_d = link == hops + 1;
            uint32_t left_of = is_of_c ? 0 : is_of_d ? hops - 2 : link;
            bool own = link < hops ? link == r || link == r + 1 : left_of == r;
            if (own)
                continue;
            bool leftward = left_of < r;
            CHECK(world_add_route(run->routers[r], network_of(link, hops), 24,
                                  run->links[leftward ? r : r + 1]) == 0);
        }
    }
}

/* ---- What is seen ---------------------------------------------------------------------------- */

static void tap(void *context, uint64_t now_ns, int direction, enum world_sight sight,
                const void *packet, size_t length, const struct strait_offload *offload)
{
    struct probe *probe = context;
    bool sent = direction == probe->direction && sight == WORLD_SENT;
    bool delivered = direction != probe->direction && sight == WORLD_DELIVERED;

    if (!sent && !delivered)
        return;
    check_packet(probe->run->check, now_ns, probe->host, sent, packet, length, offload);
    forger_see(probe->run->forger, probe->host, sent, packet, length, offload);
}

static void log_line(void *context, uint64_t now_ns, const char *line)
{
    (void)now_ns;
    fprintf(context, "%s\n", line);
}

void run_log(struct run *run, FILE *file)
{
    check_log(run->check, file);
    world_log(run->world, log_line, file);
}

int run_pcap(struct run *run, const char *prefix, char *error, size_t error_bytes)
{
    for (uint32_t i = 0; i < scenario_host_count(run->scenario); i++) {
        struct probe *probe = &run->probes[i];
        char file[4096];
        snprintf(file, sizeof(file), "%s-%c.pcap", prefix, 'a' + (int)i);
        run->pcaps[i] = world_pcap_open(probe->link, probe->direction, file, error, error_bytes);
        if (!run->pcaps[i])
            return -1;
    }
    return 0;
}

/* ---- Faults ---------------------------------------------------------------------------------- */

static struct world_host *machine_of(const struct run *run, uint32_t place)
{
    if (place < SCENARIO_HOSTS)
        return run->hosts[place];
    return place - SCENARIO_HOSTS < SCENARIO_ROUTERS ? run->routers[place - SCENARIO_HOSTS] : NULL;
}

static void crash(struct run *run, uint32_t place, bool on)
{
    struct world_host *machine = machine_of(run, place);

    if (!machine || on != world_is_up(machine))
        return;
    if (!on) {
        world_restart(machine);
        return;
    }
    if (place < SCENARIO_HOSTS)
        check_host_down(run->check, world_now(run->world), place);
    world_crash(machine);
}

static void change_link(struct run *run, const struct scenario_fault *f, bool on)
{
    if (f->place >= scenario_link_count(run->scenario))
        return;
    for (int way = 0; way < 2; way++) {
        struct impair_config config = impair_of(&run->scenario->paths[f->place][way]);
        if (!(f->ways & 1u << way))
            continue;
        if (f->kind == FAULT_CUT) {
            world_cut(run->links[f->place], way, on);
            continue;
        }
        if (on)
            config = impair_of(&f->path);
        world_impair(run->links[f->place], way, &config);
    }
}

static void change_setting(struct run *run, const struct trouble *t)
{
    struct world_host *machine = machine_of(run, t->fault->place);

    if (!machine || !world_is_up(machine))
        return;
    if (t->on)
        setting_change(world_stack(machine), t->fault->choice);
    else
        setting_restore(world_stack(machine), t->fault->choice, t->setting);
}

static void apply(const struct trouble *t)
{
    struct run *run = t->run;
    const struct scenario_fault *f = t->fault;
    bool on = t->on;

    switch ((enum scenario_fault_kind)f->kind) {
    case FAULT_CUT:
    case FAULT_IMPAIR:
        change_link(run, f, on);
        break;
    case FAULT_PAUSE:
        if (machine_of(run, f->place))
            world_pause(machine_of(run, f->place), on);
        break;
    case FAULT_CRASH:
        crash(run, f->place, on);
        break;
    case FAULT_UNLISTEN:
        if (f->place < scenario_host_count(run->scenario))
            streams_listen(run->streams, f->place, !on);
        break;
    case FAULT_SET:
        change_setting(run, t);
        break;
    case FAULT_FORGE:
        if (on && f->place < scenario_host_count(run->scenario)) {
            struct probe *probe = &run->probes[f->place];
            forger_act(run->forger, f->place, probe->link, 1 - probe->direction, f->choice);
        }
        break;
    }
}

static void trouble_turns(void *argument)
{
    struct trouble *t = argument;

    t->on = !t->on;
    apply(t);
}

static void add_troubles(struct run *run)
{
    const struct scenario *s = run->scenario;
    uint64_t begin_ns = world_now(run->world);

    for (uint32_t i = 0; i < s->fault_count; i++) {
        const struct scenario_fault *f = &s->faults[i];
        uint64_t from_ms = f->at_ms < s->net.heal_ms ? f->at_ms : s->net.heal_ms;
        uint64_t until_ms = from_ms + f->for_ms;
        until_ms = until_ms < s->net.heal_ms ? until_ms : s->net.heal_ms;
        run->troubles[i] = (struct trouble){.run = run, .fault = f};
        if (f->kind == FAULT_SET && machine_of(run, f->place))
            setting_save(world_stack(machine_of(run, f->place)), f->choice,
                         run->troubles[i].setting);
        CHECK(world_at(run->world, begin_ns + from_ms * NS_PER_MS, trouble_turns,
                       &run->troubles[i]) == 0);
        CHECK(world_at(run->world, begin_ns + until_ms * NS_PER_MS, trouble_turns,
                       &run->troubles[i]) == 0);
    }
}

/* Faults that overlap may have left something: now everything is well. */
static void heal(struct run *run)
{
    const struct scenario *s = run->scenario;

    for (uint32_t i = 0; i < scenario_link_count(s); i++) {
        for (int way = 0; way < 2; way++) {
            const struct scenario_path *path = &s->paths[i][way];
            world_cut(run->links[i], way, false);
            if (!scenario_path_is_clean(path))
                world_impair(run->links[i], way, &mild);
        }
    }
    for (uint32_t i = 0; i < SCENARIO_HOSTS + SCENARIO_ROUTERS; i++) {
        if (!machine_of(run, i))
            continue;
        world_pause(machine_of(run, i), false);
        crash(run, i, false);
    }
    for (uint32_t i = 0; i < s->fault_count; i++) {
        struct trouble *t = &run->troubles[i];
        t->on = false;
        if (t->fault->kind == FAULT_SET)
            change_setting(run, t);
    }
    for (uint32_t i = 0; i < scenario_host_count(s); i++)
        streams_listen(run->streams, i, true);
}

/* ---- The life of a world --------------------------------------------------------------------- */

struct run *run_new(const struct scenario *scenario)
{
    struct run *run = calloc(1, sizeof(*run));

    CHECK(run != NULL);
    run->scenario = scenario;
    run->world = world_new(scenario_seed(scenario));
    CHECK(run->world != NULL);
    run->check = check_new(scenario);
    run->streams = streams_new(scenario, run->check);
    run->forger = forger_new(scenario, run->check);
    add_hosts(run);
    add_links(run);
    add_routes(run);
    for (uint32_t i = 0; i < scenario_host_count(scenario); i++)
        world_tap(run->probes[i].link, tap, &run->probes[i]);
    add_troubles(run);
    return run;
}

void run_free(struct run *run)
{
    for (uint32_t i = 0; i < SCENARIO_HOSTS; i++) {
        char error[200];
        if (world_pcap_close(run->pcaps[i], error, sizeof(error)) != 0)
            fprintf(stderr, "%s\n", error);
    }
    world_free(run->world);
    streams_free(run->streams);
    forger_free(run->forger);
    check_free(run->check);
    free(run);
}

/* Lets the world go on. A livelock ends it. */
static void go_on(struct run *run, uint64_t until_ns)
{
    if (run->stuck || world_run(run->world, until_ns) != WORLD_NO_PROGRESS)
        return;
    run->stuck = true;
    check_livelock(run->check, world_now(run->world));
}

/* What has come onto a link has left it, one way or another. */
static void check_links(struct run *run)
{
    for (uint32_t i = 0; i < scenario_link_count(run->scenario); i++) {
        for (int way = 0; way < 2; way++) {
            struct world_counters c;
            world_counters(run->links[i], way, &c);
            uint64_t in = c.sent + c.impair.duplicated;
            uint64_t out = c.delivered + c.cut + c.host_down + c.pause_full + c.impair.lost +
                           c.impair.queue_full + c.impair.no_memory;
            if (in != out)
                check_link(run->check, i, in, out);
        }
    }
}

static void run_until_healed(struct run *run)
{
    go_on(run, world_now(run->world) + run->scenario->net.heal_ms * NS_PER_MS);
    heal(run);
}

static void run_to_end(struct run *run)
{
    uint64_t until_ns = world_now(run->world), limit_ns = until_ns + FINISH_NS;

    while (!run->stuck && until_ns < limit_ns && !streams_are_over(run->streams))
        go_on(run, until_ns += STEP_NS);
    if (!run->stuck)
        check_finished(run->check, world_now(run->world));
    streams_stop(run->streams);
    go_on(run, until_ns + REST_NS);
    if (run->stuck)
        return;
    check_at_rest(run->check, world_now(run->world));
    check_links(run);
}

void run_all(struct run *run)
{
    run_until_healed(run);
    run_to_end(run);
}

static void delay_all(struct scenario *s, uint32_t by_ms)
{
    s->net.heal_ms += by_ms;
    for (uint32_t i = 0; i < s->connection_count; i++)
        s->connections[i].at_ms += by_ms;
    for (uint32_t i = 0; i < s->fault_count; i++)
        s->faults[i].at_ms += by_ms;
}

uint64_t run_wrap(struct scenario *s)
{
    static const uint32_t numbers_per_ms = 250;
    uint32_t connection = s->net.seed_low / 2 % s->connection_count, side = s->net.seed_low % 2;
    uint32_t bytes = s->connections[connection].side[side].bytes, iss;

    struct run *run = run_new(s);
    run_until_healed(run);
    bool known = check_iss(run->check, connection, side, &iss);
    run_free(run);
    if (!known || bytes == 0)
        return 0;
    uint32_t later_ms = (0 - bytes / 2 - iss) / numbers_per_ms;
    delay_all(s, later_ms);
    return later_ms * NS_PER_MS;
}

struct world *run_world(struct run *run)
{
    return run->world;
}

struct check *run_check(struct run *run)
{
    return run->check;
}
