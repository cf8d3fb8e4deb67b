/* SPDX-License-Identifier: MIT */
/*
 * The host as its driver sees it. A driver's turn is
 *
 *     strait_input     for each packet that has arrived: up through ip to tcp or udp, which keep
 *                      what is to be said; sockets are marked as ready
 *     strait_dispatch  runs the callbacks of ready sockets (socket/poll.c), which make socket calls
 *     strait_advance   takes in what the host has sent to itself, runs the timers that are due, and
 *                      sends: so an acknowledgement answers the whole batch, and carries what the
 *                      callbacks have written
 *
 * and between two turns it sleeps until a packet comes or the deadline that strait_advance told.
 * Time enters here and nowhere else.
 */
#include "stack.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/siphash.h"
#include "settings.h"
#include "udp/ping.h"

/* ---- Configuration -------------------------------------------------------------------------- */

/* Each shard has a port of the local range at least. */
static bool shards_are_valid(const struct strait_config *config)
{
    return config->shard < config->shards && config->shards <= STRAIT_SHARDS_MAX &&
           config->port_last - config->port_first + 1 >= config->shards &&
           (config->shards == 1 || config->hand_over != NULL);
}

static bool config_is_valid(const struct strait_config *config)
{
    return settings_are_valid(config) && shards_are_valid(config) && config->descriptor_base >= 0 &&
           config->sockets_max <= (uint32_t)(INT_MAX - config->descriptor_base);
}

/*
 * Reads the caller's configuration, which may be of an older or newer library: fields that he does
 * not know have their default, fields that are not known here are not looked at.
 */
static bool config_read(struct strait_config *config, const struct strait_config *given)
{
    strait_config_init(config);
    if (given->size < sizeof(given->size))
        return false;
    memcpy(config, given, given->size < sizeof(*config) ? given->size : sizeof(*config));
    config->size = sizeof(*config);
    return config_is_valid(config);
}

/* ---- Making and ending ---------------------------------------------------------------------- */

static void core_init(struct core *core)
{
    static const char label[] = "strait: choices";

    pool_init(&core->pool, core->config.memory_max_bytes);
    /* Shards have the secret in common, and are to choose differently. */
    prng_seed(&core->prng, siphash(core->config.secret, label, sizeof(label)) + core->config.shard);
}

struct strait *strait_new(const struct strait_config *config, struct strait_env *env)
{
    struct strait_config read;
    if (!config_read(&read, config)) {
        errno = EINVAL;
        return NULL;
    }
    struct strait *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;

    s->core.config = read;
    s->env = env;
    core_init(&s->core);
    ip_init(&s->ip, &s->core);
    udp_init(&s->udp, &s->core, &s->ip);
    if (!tcp_init(&s->tcp, &s->core, &s->ip)) {
        errno = ENOMEM;
        goto no_tcp;
    }
    if (!sockets_init(&s->sockets, &s->core, &s->udp, &s->tcp, env))
        goto no_sockets;

    ip_register(&s->ip, IPPROTO_UDP, &udp_protocol, &s->udp);
    ip_register_echo(&s->ip, &ping_protocol, &s->udp);
    ip_register(&s->ip, IPPROTO_TCP, &tcp_protocol, &s->tcp);
    s->udp.wake = s->tcp.wake = sockets_wake;
    s->udp.wake_context = s->tcp.wake_context = &s->sockets;
    return s;

no_sockets:
    tcp_finish(&s->tcp);
no_tcp:
    pool_finish(&s->core.pool);
    free(s);
    return NULL;
}

/* What a link's packets come to when its stack has gone. */
static void receive_nothing(struct strait_link *link, const void *packet, size_t length,
                            const struct strait_offload *offload, uint64_t now_ns)
{
    (void)link, (void)packet, (void)length, (void)offload, (void)now_ns;
}

static void detach(struct strait_link *link)
{
    link->receive = receive_nothing;
    if (link->size >= sizeof(*link))
        link->expect = NULL;
}

void strait_free(struct strait *s)
{
    if (s == NULL)
        return;
    for (int i = 0; i < s->ip.interface_count; i++)
        detach(s->ip.interfaces[i].link);
    tcp_silence(&s->tcp);
    sockets_finish(&s->sockets);
    tcp_finish(&s->tcp);
    ip_finish(&s->ip);
    pool_finish(&s->core.pool);
    sockets_release(&s->sockets);
    free(s);
}

/* ---- Links and routes ----------------------------------------------------------------------- */

/* Time never goes back, whatever the driver says. */
static void set_now(struct core *core, uint64_t now_ns)
{
    if (now_ns > core->now_ns)
        core_set_now(core, now_ns);
}

static inline void input(struct strait *s, struct strait_link *link, const void *packet,
                         size_t length, const struct strait_offload *offload, uint64_t now_ns)
{
    static const struct strait_offload ordinary = {0};

    set_now(&s->core, now_ns);
    struct interface *interface = ip_interface(&s->ip, link);
    if (interface == NULL) {
        count(&s->core, link_unknown);
        return;
    }
    count(&s->core, link_packets_in);
    count_by(&s->core, link_bytes_in, length);
    log_to(&s->core, STRAIT_LOG_LINK, "%s: %zu bytes in", link->name, length);

    unsigned version = length > 0 ? *(const uint8_t *)packet >> 4 : 0;
    if (version != 4) {
        count(&s->core, ip_version_unknown);
        return;
    }
    ipv4_input(&s->ip, interface, packet, length, offload != NULL ? offload : &ordinary);
}

static void receive(struct strait_link *link, const void *packet, size_t length,
                    const struct strait_offload *offload, uint64_t now_ns)
{
    input(link->upper, link, packet, length, offload, now_ns);
}

static void expect(struct strait_link *link, const struct iovec *packets, int count)
{
    struct strait *s = link->upper;
    struct ip_glance glances[TCP_EXPECTED_MAX];
    int seen = 0;
    for (int i = 0; i < count && seen < TCP_EXPECTED_MAX; i++)
        seen += ipv4_glance(packets[i].iov_base, packets[i].iov_len, IPPROTO_TCP, TCP_GLANCE_BYTES,
                            &glances[seen]);
    tcp_expect(&s->tcp, glances, seen);
}

int strait_attach(struct strait *s, struct strait_link *link, struct in_addr address,
                  int prefix_bits)
{
    if (!ip_attach(&s->ip, link, address_from_in(address), prefix_bits))
        return -1;
    link->upper = s;
    link->receive = receive;
    if (link->size >= sizeof(*link))
        link->expect = expect;
    return 0;
}

int strait_route(struct strait *s, struct in_addr network, int prefix_bits,
                 struct strait_link *link)
{
    struct interface *interface = ip_interface(&s->ip, link);
    if (interface == NULL) {
        errno = EINVAL;
        return -1;
    }
    return ip_route_add(&s->ip, address_from_in(network), prefix_bits, interface);
}

/* ---- A driver's turn ------------------------------------------------------------------------ */

void strait_input(struct strait *s, struct strait_link *link, const void *packet, size_t length,
                  const struct strait_offload *offload, uint64_t now_ns)
{
    input(s, link, packet, length, offload, now_ns);
}

uint64_t strait_advance(struct strait *s, uint64_t now_ns)
{
    set_now(&s->core, now_ns);
    bool looped = loopback_waits(&s->ip); /* taken in now: a blocking call may wait for it */
    uint64_t ip_deadline_ns = ip_advance(&s->ip);
    uint64_t tcp_deadline_ns = tcp_advance(&s->tcp);
    if (sockets_pending(&s->sockets) || looped || loopback_waits(&s->ip))
        return now_ns;
    return ip_deadline_ns < tcp_deadline_ns ? ip_deadline_ns : tcp_deadline_ns;
}

/* ---- Counters ------------------------------------------------------------------------------- */

void strait_counters(const struct strait *s,
                     void (*visit)(void *context, const char *name, uint64_t value), void *context)
{
    for (enum counter i = 0; i < COUNTER_COUNT; i++)
        visit(context, counter_name(i), s->core.counters[i]);
}

void strait_trace(struct strait *s, void (*told)(void *context, const struct strait_trace *),
                  void *context)
{
    s->core.trace = told;
    s->core.trace_context = context;
}

uint32_t strait_connections(const struct strait *s)
{
    return s->tcp.connections;
}

size_t strait_memory(const struct strait *s)
{
    return s->core.pool.used_bytes;
}
