/* SPDX-License-Identifier: MIT */
#include "scenario.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/prng.h"
#include "setting.h"
#include "strait.h"

/* ---- The line of options --------------------------------------------------------------------- */

struct field {
    const char *name;
    size_t offset;
};

#define NET_FIELD(name)        {#name, offsetof(struct scenario_net, name)},
#define HOST_FIELD(name)       {#name, offsetof(struct scenario_host, name)},
#define PATH_FIELD(name)       {#name, offsetof(struct scenario_path, name)},
#define CONNECTION_FIELD(name) {#name, offsetof(struct scenario_connection, name)},
#define SIDE_FIELD(name)       {#name, offsetof(struct scenario_side, name)},
#define FAULT_FIELD(name)      {#name, offsetof(struct scenario_fault, name)},

static const struct field net_fields[] = {SCENARIO_NET_FIELDS(NET_FIELD){NULL, 0}};
static const struct field host_fields[] = {SCENARIO_HOST_FIELDS(HOST_FIELD){NULL, 0}};
static const struct field path_fields[] = {SCENARIO_PATH_FIELDS(PATH_FIELD){NULL, 0}};
static const struct field connection_fields[] = {
    SCENARIO_CONNECTION_FIELDS(CONNECTION_FIELD){NULL, 0}};
static const struct field side_fields[] = {SCENARIO_SIDE_FIELDS(SIDE_FIELD){NULL, 0}};
static const struct field fault_fields[] = {SCENARIO_FAULT_FIELDS(FAULT_FIELD){NULL, 0}};

struct line {
    char *at;
    size_t left;
};

__attribute__((format(printf, 2, 3))) static void put(struct line *line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(line->at, line->left, format, arguments);
    va_end(arguments);
    CHECK(n >= 0 && (size_t)n < line->left);
    line->at += n;
    line->left -= (size_t)n;
}

/* A section: "name(field=value,field=value) ". */
static void put_section(struct line *line, const char *name, const struct field *fields,
                        const void *of)
{
    const char *separator = "";
    put(line, "%s(", name);
    for (const struct field *f = fields; f->name; f++) {
        uint32_t value;
        memcpy(&value, (const char *)of + f->offset, sizeof(value));
        if (value == 0)
            continue;
        put(line, "%s%s=%" PRIu32, separator, f->name, value);
        separator = ",";
    }
    put(line, ") ");
}

void scenario_print(const struct scenario *s, char *line, size_t bytes)
{
    struct line to = {line, bytes};

    put_section(&to, "net", net_fields, &s->net);
    for (uint32_t i = 0; i < scenario_host_count(s); i++)
        put_section(&to, "host", host_fields, &s->hosts[i]);
    for (uint32_t i = 0; i < scenario_link_count(s); i++)
        for (int way = 0; way < 2; way++)
            put_section(&to, "path", path_fields, &s->paths[i][way]);
    for (uint32_t i = 0; i < s->connection_count; i++) {
        put_section(&to, "connection", connection_fields, &s->connections[i]);
        for (int side = 0; side < 2; side++)
            put_section(&to, "side", side_fields, &s->connections[i].side[side]);
    }
    for (uint32_t i = 0; i < s->fault_count; i++) {
        put_section(&to, "fault", fault_fields, &s->faults[i]);
        if (s->faults[i].kind == FAULT_IMPAIR)
            put_section(&to, "becomes", path_fields, &s->faults[i].path);
    }
    to.at[-1] = '\0';
}

/* Where the sections that are read go: the n-th of a name to the n-th of its kind. */
struct places {
    struct scenario *scenario;
    uint32_t hosts, paths, sides;
};

/* The struct that a section of this name fills, and its fields; NULL if there is no room for it. */
static void *section_place(struct places *p, const char *name, size_t length,
                           const struct field **fields)
{
    struct scenario *s = p->scenario;
#define IS(word) (length == strlen(word) && memcmp(name, word, length) == 0)
    if (IS("net"))
        return *fields = net_fields, &s->net;
    if (IS("host") && p->hosts < SCENARIO_HOSTS)
        return *fields = host_fields, &s->hosts[p->hosts++];
    if (IS("path") && p->paths < 2 * SCENARIO_LINKS) {
        p->paths++;
        return *fields = path_fields, &s->paths[(p->paths - 1) / 2][(p->paths - 1) % 2];
    }
    if (IS("connection") && s->connection_count < SCENARIO_CONNECTIONS) {
        p->sides = 0;
        return *fields = connection_fields, &s->connections[s->connection_count++];
    }
    if (IS("side") && s->connection_count > 0 && p->sides < 2)
        return *fields = side_fields, &s->connections[s->connection_count - 1].side[p->sides++];
    if (IS("fault") && s->fault_count < SCENARIO_FAULTS)
        return *fields = fault_fields, &s->faults[s->fault_count++];
    if (IS("becomes") && s->fault_count > 0)
        return *fields = path_fields, &s->faults[s->fault_count - 1].path;
#undef IS
    return NULL;
}

/* Reads "field=value,...)" into `into`. Returns where it ends, or NULL. */
static const char *read_fields(const char *at, const struct field *fields, void *into)
{
    while (*at != ')') {
        size_t length = strcspn(at, "=,)");
        const struct field *f = fields;
        while (f->name && (strlen(f->name) != length || memcmp(f->name, at, length) != 0))
            f++;
        if (!f->name || at[length] != '=')
            return NULL;
        char *end;
        unsigned long value = strtoul(at + length + 1, &end, 10);
        if (end == at + length + 1 || value > UINT32_MAX || (*end != ',' && *end != ')'))
            return NULL;
        uint32_t number = (uint32_t)value;
        memcpy((char *)into + f->offset, &number, sizeof(number));
        at = *end == ',' ? end + 1 : end;
    }
    return at + 1;
}

#define MTU_MIN 68 /* RFC 791: the least that every link carries */

static const char *unusable(const struct scenario *s)
{
    if (s->net.hops < 1 || s->net.hops > SCENARIO_HOPS_MAX)
        return "hops has to be 1 to 4";
    if (s->net.second && s->net.hops < 2)
        return "a second pair needs a router";
    for (uint32_t i = 0; i < scenario_host_count(s); i++)
        if (s->hosts[i].mtu < MTU_MIN || s->hosts[i].mtu > UINT16_MAX)
            return "each host needs an mtu, 68 to 65535";
    for (uint32_t i = 0; i < scenario_host_count(s); i++)
        if (s->hosts[i].datagrams > 64 || s->hosts[i].datagram_bytes > 19000)
            return "a host sends at most 64 datagrams of at most 19000 bytes";
    if (s->net.inner_mtu > 0 && (s->net.inner_mtu < MTU_MIN || s->net.inner_mtu > UINT16_MAX))
        return "inner_mtu has to be 68 to 65535";
    for (uint32_t i = 0; i < s->connection_count; i++)
        if (s->connections[i].pair > (s->net.second ? 1 : 0) || s->connections[i].from > 1)
            return "a connection is between hosts that do not exist";
    return NULL;
}

int scenario_parse(struct scenario *s, const char *line, char *error, size_t error_bytes)
{
    *s = (struct scenario){0};
    struct places places = {.scenario = s};

    for (const char *at = line + strspn(line, " "); *at; at += strspn(at, " ")) {
        const struct field *fields = NULL;
        size_t length = strcspn(at, "(");
        void *into = section_place(&places, at, length, &fields);
        const char *end =
            into && at[length] == '(' ? read_fields(at + length + 1, fields, into) : NULL;
        if (!end) {
            snprintf(error, error_bytes, "options: cannot read \"%.60s\"", at);
            return -1;
        }
        at = end;
    }
    const char *wrong = unusable(s);
    if (wrong) {
        snprintf(error, error_bytes, "options: %s", wrong);
        return -1;
    }
    return 0;
}

/* ---- Drawing --------------------------------------------------------------------------------- */

static uint32_t below(struct prng *r, uint32_t limit)
{
    return (uint32_t)prng_below(r, limit);
}

/* From `low` to `high`, both included. */
static uint32_t between(struct prng *r, uint32_t low, uint32_t high)
{
    return low + below(r, high - low + 1);
}

static bool chance(struct prng *r, uint32_t percent)
{
    return below(r, 100) < percent;
}

/*
 * From `low` (at least 1) to `high`, each power of two as likely as the next: without floating
 * point, which is not the same everywhere.
 */
static uint32_t between_orders(struct prng *r, uint32_t low, uint32_t high)
{
    uint32_t orders = 0;
    while ((uint64_t)low << orders < high)
        orders++;
    uint64_t bottom = (uint64_t)low << below(r, orders + 1);
    uint64_t drawn = bottom + prng_below(r, bottom);
    return drawn < high ? (uint32_t)drawn : high;
}

static void draw_path(struct prng *r, struct scenario_path *path, bool corruption)
{
    *path = (struct scenario_path){0};
    if (chance(r, 85))
        path->delay_us = between_orders(r, 10, 200000);
    if (chance(r, 40))
        path->jitter_us = below(r, path->delay_us + 1);
    if (chance(r, 60)) {
        path->rate_kbit = between_orders(r, 100, 1000000);
        path->queue_bytes = between_orders(r, 4096, 1 << 20);
        if (chance(r, 50))
            path->ecn_bytes = between_orders(r, 1, path->queue_bytes);
    }
    if (chance(r, 50))
        path->loss_ppm = between_orders(r, 100, 50000);
    if (chance(r, 15)) {
        path->burst_enter_ppm = between_orders(r, 100, 10000);
        path->burst_leave_ppm = between_orders(r, 50000, 500000);
        path->burst_loss_ppm = between(r, 200000, 1000000);
    }
    if (chance(r, 25))
        path->duplicate_ppm = between_orders(r, 100, 50000);
    if (chance(r, 25))
        path->reorder_ppm = between_orders(r, 100, 100000);
    if (corruption && chance(r, 25))
        path->corrupt_ppm = between_orders(r, 100, 20000);
}

static void draw_net(struct prng *r, struct scenario *s)
{
    static const uint32_t hops[] = {1, 1, 1, 2, 2, 3, 3, 4};
    static const uint32_t mtus[] = {576, 1280, 1500, 1500, 1500, 9000, 65535};
    static const uint32_t inner_mtus[] = {552, 576, 1006, 1280, 1492, 4352};

    s->net.hops = hops[below(r, 8)];
    s->net.second = s->net.hops > 1 && chance(r, 30);
    s->net.tso = chance(r, 35);
    s->net.heal_ms = between_orders(r, 4000, 120000);
    uint32_t mtu = mtus[below(r, 7)];
    for (uint32_t i = 0; i < scenario_host_count(s); i++)
        s->hosts[i].mtu = chance(r, 80) ? mtu : mtus[below(r, 7)];
    if (s->net.hops > 2 && chance(r, 50))
        s->net.inner_mtu = inner_mtus[below(r, 6)];
    bool mild = chance(r, 15);
    for (uint32_t i = 0; i < scenario_link_count(s) && !mild; i++)
        for (int way = 0; way < 2; way++)
            draw_path(r, &s->paths[i][way], !s->net.tso);
}

static void draw_host(struct prng *r, struct scenario_host *h)
{
    if (chance(r, 60))
        h->send_bytes = between_orders(r, 2048, 4 << 20);
    if (chance(r, 60))
        h->receive_bytes = between_orders(r, 2048, 4 << 20);
    if (chance(r, 25))
        h->memory_bytes = between_orders(r, 65536, 4 << 20);
    if (chance(r, 15))
        h->half_open_max = between(r, 1, 4);
    h->no_cookies = chance(r, 25);
    if (chance(r, 15)) {
        h->datagrams = between_orders(r, 1, 64);
        h->datagram_bytes = between_orders(r, 1, 19000);
        h->datagram_ms = between_orders(r, 1, 1000);
    }
    if (chance(r, 10))
        h->connections_max = between(r, 1, 8);
    if (chance(r, 10))
        h->time_wait_max = between(r, 1, 4);
    if (chance(r, 15))
        h->backlog = between(r, 1, 4);
    if (chance(r, 15))
        h->accept_ms = between_orders(r, 1, 2000);
    if (chance(r, 60))
        h->ecn = 1 + (chance(r, 75) ? STRAIT_ECN_REQUEST : STRAIT_ECN_OFF);
}

/*
 * Where memory makes a host refuse text that it had asked for, each refusal costs a timeout, and
 * without timestamps there may never be a measurement that ends the doubling (RFC 6298 5.5).
 */
static void draw_options(struct prng *r, struct scenario *s)
{
    bool memory_is_short = false;

    for (uint32_t i = 0; i < scenario_host_count(s); i++)
        memory_is_short |= s->hosts[i].memory_bytes > 0;
    for (uint32_t i = 0; i < scenario_host_count(s); i++) {
        s->hosts[i].no_sack = chance(r, 20);
        s->hosts[i].no_timestamps = !memory_is_short && chance(r, 20);
        s->hosts[i].no_scaling = chance(r, 20);
    }
}

static uint32_t lesser(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/*
 * Pieces such that there are not too many of them, and pauses that end within a minute or so; no
 * more than `buffer_bytes` go at once.
 */
static void draw_pace(struct prng *r, uint32_t total, uint32_t buffer_bytes, uint32_t *piece,
                      uint32_t *pause_ms)
{
    static const uint32_t pieces_max = 1000, pauses_ms_max = 40000;

    uint32_t smallest = total / pieces_max + 1;
    *piece = chance(r, 40) ? 65536 : between_orders(r, smallest, 65536);
    if (!chance(r, 50))
        return;
    uint64_t pauses = total / lesser(*piece, buffer_bytes / 4) + 1;
    *pause_ms = between_orders(r, 1, 5000);
    if (pauses * *pause_ms > pauses_ms_max)
        *pause_ms = (uint32_t)(pauses_ms_max / pauses);
}

/* The smallest of the buffers between a writer and a reader. */
static uint32_t buffer_between(const struct scenario_host *writer,
                               const struct scenario_host *reader)
{
    uint32_t smallest = 65536;

    if (writer->send_bytes > 0)
        smallest = lesser(smallest, writer->send_bytes);
    if (reader->receive_bytes > 0)
        smallest = lesser(smallest, reader->receive_bytes);
    return smallest;
}

static void draw_side(struct prng *r, const struct scenario *s, struct scenario_connection *c,
                      uint32_t i)
{
    struct scenario_side *side = &c->side[i];
    const struct scenario_host *own = &s->hosts[scenario_host_of(c, i)];
    const struct scenario_host *peer = &s->hosts[scenario_host_of(c, 1 - i)];

    draw_pace(r, side->bytes, buffer_between(own, peer), &side->write_bytes, &side->write_ms);
    draw_pace(r, c->side[1 - i].bytes, buffer_between(peer, own), &side->read_bytes,
              &side->read_ms);
    if (chance(r, 20))
        side->read_delay_ms = between_orders(r, 10, 20000);
    side->nodelay = chance(r, 30);
    side->urgent = chance(r, 5);
    /* A buffer that holds less than a segment would be sent from once in a while only. */
    if (own->send_bytes == 0 && chance(r, 15))
        side->more = chance(r, 50) ? MORE_CORK : MORE_FLAG;
    if (chance(r, 15))
        side->keepalive_s = between_orders(r, 1, 30);
    if (!c->own && chance(r, 7))
        side->user_timeout_ms = between_orders(r, 2000, 60000);
}

static uint32_t draw_early_end(struct prng *r, uint32_t total)
{
    return chance(r, 20) ? 0 : below(r, total + 1);
}

static void draw_connection(struct prng *r, const struct scenario *s, struct scenario_connection *c)
{
    static const uint32_t bytes_max = 2 << 20;

    c->at_ms = chance(r, 50) ? below(r, 100) : below(r, s->net.heal_ms);
    c->pair = s->net.second ? below(r, 2) : 0;
    c->from = below(r, 2);
    /* Where memory is short, what one side has written leaves the other no room to take it. */
    c->own = chance(r, 5) && s->hosts[c->pair * 2 + c->from].memory_bytes == 0;
    c->simultaneous = !c->own && chance(r, 8);
    bool both = chance(r, 50);
    uint32_t writer = below(r, 2);
    for (uint32_t i = 0; i < 2; i++)
        if ((both || i == writer) && chance(r, 95))
            c->side[i].bytes = between_orders(r, 1, bytes_max);
    uint32_t total = c->side[0].bytes + c->side[1].bytes;
    for (uint32_t i = 0; i < 2; i++) {
        struct scenario_side *side = &c->side[i];
        draw_side(r, s, c, i);
        uint32_t drawn = below(r, 100);
        side->end = drawn < 40   ? END_SHUTDOWN
                    : drawn < 80 ? END_CLOSE
                    : drawn < 90 ? END_LAST
                    : drawn < 95 ? END_ABANDON
                                 : END_RESET;
        if (side->end == END_ABANDON || side->end == END_RESET)
            side->end_bytes = draw_early_end(r, total);
    }
    if (c->side[0].end == END_LAST && c->side[1].end == END_LAST)
        c->side[writer].end = END_SHUTDOWN; /* one has to begin */
}

static void draw_fault(struct prng *r, const struct scenario *s, struct scenario_fault *f)
{
    uint32_t links = scenario_link_count(s), hosts = scenario_host_count(s);
    uint32_t drawn = below(r, 100);
    bool router = s->net.hops > 1 && chance(r, 30);
    uint32_t machine = router ? SCENARIO_HOSTS + below(r, s->net.hops - 1) : below(r, hosts);

    f->at_ms = below(r, s->net.heal_ms);
    f->for_ms = between_orders(r, 1, chance(r, 80) ? 4000 : 60000);
    if (drawn < 30) {
        f->kind = FAULT_CUT;
        f->place = below(r, links);
        f->ways = between(r, 1, 3);
    } else if (drawn < 50) {
        f->kind = FAULT_PAUSE;
        f->place = machine;
    } else if (drawn < 60) {
        f->kind = FAULT_CRASH;
        f->place = machine;
    } else if (drawn < 70) {
        f->kind = FAULT_IMPAIR;
        f->place = below(r, links);
        f->ways = between(r, 1, 3);
        draw_path(r, &f->path, !s->net.tso);
    } else if (drawn < 75) {
        f->kind = FAULT_UNLISTEN;
        f->place = below(r, hosts);
    } else {
        f->kind = FAULT_FORGE;
        f->place = below(r, hosts);
        f->choice = below(r, FORGERIES);
        f->at_ms = chance(r, 50) ? below(r, 2000) : f->at_ms;
    }
}

/* Last of all, so that what a seed has drawn before stays as it is. */
static void draw_cookies(struct prng *r, struct scenario *s)
{
    for (uint32_t i = 0; i < scenario_host_count(s); i++)
        s->hosts[i].cookies_always = chance(r, 15) && !s->hosts[i].no_cookies;
}

/* The operator turns what can be turned. */
static void draw_settings(struct prng *r, struct scenario *s)
{
    uint32_t count = s->fault_count + between(r, 1, 4);

    for (; s->fault_count < count; s->fault_count++)
        s->faults[s->fault_count] = (struct scenario_fault){
            .kind = FAULT_SET,
            .place = below(r, scenario_host_count(s)),
            .choice = below(r, setting_choices()),
            .at_ms = below(r, s->net.heal_ms),
            .for_ms = between_orders(r, 1, 60000),
        };
}

/* Nothing is lost, refused or broken off: no timer has a reason to expire. */
static void make_clean(struct prng *r, struct scenario *s)
{
    for (uint32_t i = 0; i < scenario_link_count(s); i++)
        for (int way = 0; way < 2; way++)
            s->paths[i][way] =
                (struct scenario_path){.delay_us = between_orders(r, 10, SCENARIO_CLEAN_DELAY_US)};
    for (uint32_t i = 0; i < scenario_host_count(s); i++) {
        struct scenario_host *h = &s->hosts[i];
        h->memory_bytes = h->half_open_max = h->connections_max = h->time_wait_max = 0;
        h->backlog = h->accept_ms = 0;
    }
    for (uint32_t i = 0; i < s->connection_count; i++)
        for (int side = 0; side < 2; side++)
            if (s->connections[i].side[side].end >= END_ABANDON)
                s->connections[i].side[side].end = END_SHUTDOWN;
    s->net.inner_mtu = 0;
    memset(s->faults, 0, sizeof(s->faults));
    s->fault_count = 0;
}

void scenario_draw(struct scenario *s, uint64_t seed)
{
    struct prng r;
    *s = (struct scenario){0};
    prng_seed(&r, seed);
    s->net.seed_high = (uint32_t)(seed >> 32);
    s->net.seed_low = (uint32_t)seed;

    draw_net(&r, s);
    for (uint32_t i = 0; i < scenario_host_count(s); i++)
        draw_host(&r, &s->hosts[i]);
    draw_options(&r, s);
    s->connection_count = between_orders(&r, 1, 20);
    for (uint32_t i = 0; i < s->connection_count; i++)
        draw_connection(&r, s, &s->connections[i]);
    s->fault_count = chance(&r, 60) ? between_orders(&r, 1, 8) : 0;
    for (uint32_t i = 0; i < s->fault_count; i++)
        draw_fault(&r, s, &s->faults[i]);
    if (chance(&r, 10))
        make_clean(&r, s);
    else if (chance(&r, 25))
        draw_settings(&r, s);
    draw_cookies(&r, s);
}

uint32_t scenario_mtu(const struct scenario *s, uint32_t host)
{
    uint32_t mtu = s->hosts[host].mtu;

    if (s->net.hops == 1 && s->hosts[1 - host].mtu < mtu)
        return s->hosts[1 - host].mtu;
    return mtu;
}

uint32_t scenario_inner_mtu(const struct scenario *s)
{
    uint32_t largest = 0;

    if (s->net.inner_mtu > 0)
        return s->net.inner_mtu;
    for (uint32_t i = 0; i < scenario_host_count(s); i++)
        largest = scenario_mtu(s, i) > largest ? scenario_mtu(s, i) : largest;
    return largest;
}

bool scenario_path_is_clean(const struct scenario_path *p)
{
    const struct scenario_path clean = {.delay_us = p->delay_us};

    return memcmp(p, &clean, sizeof(clean)) == 0 && p->delay_us <= SCENARIO_CLEAN_DELAY_US;
}
