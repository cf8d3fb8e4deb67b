/* SPDX-License-Identifier: MIT */
#include "tcp/connection.h"

#include <errno.h>
#include <stdlib.h>

static uint32_t entry_hash(const void *context, const struct table_node *node)
{
    const struct tcp *tcp = context;

    return isn_tuple_hash(tcp->core, &container_of(node, const struct entry, node)->tuple);
}

bool tcp_init(struct tcp *tcp, struct core *core, struct ip *ip)
{
    tcp->core = core;
    tcp->ip = ip;
    ports_init(&tcp->ports);
    timer_wheel_init(&tcp->timers, core->now_ns, tcp);
    for (int i = 0; i < TCP_LISTENER_BUCKETS; i++)
        list_init(&tcp->listeners[i]);
    slab_init(&tcp->connection_slab, CONNECTION_BYTES);
    slab_init(&tcp->half_open_slab, sizeof(struct half_open));
    slab_init(&tcp->time_wait_slab, sizeof(struct time_wait));
    for (int i = 0; i <= RTT_BACKOFF_MAX; i++)
        list_init(&tcp->half_opens[i]);
    tcp->half_open_timer.expired = half_open_expired;
    list_init(&tcp->time_waits);
    tcp->time_wait_timer.expired = time_wait_expired;
    list_init(&tcp->output);
    list_init(&tcp->starved);
    list_init(&tcp->fed);
    if (!table_init(&tcp->entries, entry_hash, tcp))
        return false;
    if (holds_init(&tcp->holds))
        return true;
    table_finish(&tcp->entries);
    return false;
}

static void free_entry(void *context, struct table_node *node)
{
    struct tcp *tcp = context;
    struct entry *e = container_of(node, struct entry, node);

    switch ((enum entry_kind)e->kind) {
    case ENTRY_CONNECTION: {
        struct connection *c = container_of(e, struct connection, entry);
        c->owner = NULL;
        connection_fail(tcp, c, ECONNABORTED);
        break;
    }
    case ENTRY_HALF_OPEN:
        half_open_free(tcp, container_of(e, struct half_open, entry));
        break;
    case ENTRY_TIME_WAIT:
        time_wait_free(tcp, container_of(e, struct time_wait, entry));
        break;
    }
}

void tcp_silence(struct tcp *tcp)
{
    tcp->silent = true;
}

void tcp_finish(struct tcp *tcp)
{
    table_each(&tcp->entries, free_entry, tcp);
    table_finish(&tcp->entries);
    holds_finish(&tcp->holds);
    slab_finish(&tcp->connection_slab);
    slab_finish(&tcp->half_open_slab);
    slab_finish(&tcp->time_wait_slab);
}

/* ---- The table of tuples ---- */

static void expect_one(struct likely *l, struct entry *e)
{
    l->list[0] = e;
    l->at = 0;
    l->count = 1;
}

static void expect_none_of(struct likely *l, const struct entry *e)
{
    for (int i = 0; i < l->count; i++)
        if (l->list[i] == e)
            l->count = 0;
}

struct entry *entry_find(struct tcp *tcp, const struct tuple *tuple)
{
    struct table_node *n = table_chain(&tcp->entries, isn_tuple_hash(tcp->core, tuple));

    for (; n; n = n->next) {
        struct entry *e = container_of(n, struct entry, node);
        entry_ask_for(e); /* before it is known whether it is the one: the wait is for one line */
        if (tuple_equal(&e->tuple, tuple)) {
            expect_one(&tcp->likely, e);
            return e;
        }
    }
    return NULL;
}

/* What is half-open is its listener's, which has bound the port. */
static bool holds_port(enum entry_kind kind)
{
    return kind != ENTRY_HALF_OPEN;
}

bool entry_insert(struct tcp *tcp, struct entry *e, enum entry_kind kind, const struct tuple *tuple)
{
    e->sharing = 0;
    if (holds_port(kind) && !holds_add(&tcp->holds, &tuple->local, tuple->local_port, e->sharing))
        return false;
    e->kind = kind;
    e->tuple = *tuple;
    table_insert(&tcp->entries, &e->node);
    if (kind == ENTRY_CONNECTION) /* its first text, or the answer to its SYN */
        expect_one(&tcp->likely, e);
    return true;
}

void entry_remove(struct tcp *tcp, struct entry *e)
{
    expect_none_of(&tcp->likely, e);
    table_remove(&tcp->entries, &e->node);
    if (holds_port(e->kind))
        holds_remove(&tcp->holds, &e->tuple.local, e->tuple.local_port, e->sharing);
}

void entry_replace(struct tcp *tcp, struct entry *old, struct entry *e, enum entry_kind kind)
{
    CHECK(holds_port(old->kind) && holds_port(kind));
    expect_none_of(&tcp->likely, old);
    e->kind = kind;
    e->sharing = old->sharing;
    e->tuple = old->tuple;
    table_replace(&tcp->entries, &old->node, &e->node);
}

void entry_share(struct tcp *tcp, struct entry *e, uint8_t sharing)
{
    holds_change(&tcp->holds, &e->tuple.local, e->tuple.local_port, e->sharing, sharing);
    e->sharing = sharing & (HOLD_KINDS - 1);
}

bool tcp_port_is_held(const struct tcp *tcp, const struct binding *wants,
                      const struct address *address, uint16_t port)
{
    return holds_exclude(&tcp->holds, wants, address, port);
}

/* ---- Life of a connection ---- */

/* What a buffer may hold before it has grown. */
static uint32_t first_limit(uint32_t most_bytes)
{
    return most_bytes < TCP_BUFFER_FIRST ? most_bytes : TCP_BUFFER_FIRST;
}

struct connection *connection_new(struct tcp *tcp, const struct tuple *tuple,
                                  const struct route *route, enum tcp_state state)
{
    const struct strait_config *config = &tcp->core->config;

    if (tcp->connections >= config->connections_max) {
        count(tcp->core, tcp_connections_limited);
        errno = ENOBUFS;
        return NULL;
    }
    struct connection *c = slab_take(&tcp->connection_slab);
    if (!c)
        return NULL;
    if (!entry_insert(tcp, &c->entry, ENTRY_CONNECTION, tuple)) {
        slab_give(&tcp->connection_slab, c);
        errno = ENOMEM;
        return NULL;
    }
    c->interface = route->interface;
    c->path_mtu = route->mtu;
    c->network_header_bytes = route->header_bytes;
    c->ttl = route->ttl;
    c->tos = route->tos;
    c->may_be_cut = route->may_be_cut;
    c->state = state;
    c->disorder = &disorder_none;
    c->algorithm = congestion_algorithms[config->congestion];
    c->syn_retries = config->syn_retries;
    c->heard_ns = tcp->core->now_ns;
    c->sent_text_ms = c->heard_text_ms = core_ms(tcp->core);
    c->send_limit_bytes = first_limit(config->send_buffer_bytes);
    c->receive_limit_bytes = first_limit(config->receive_buffer_bytes);
    c->ts_offset = isn_timestamp_offset(tcp->core, tuple);
    list_init(&c->output_node);
    list_init(&c->starved_node);
    rtt_init(&c->rtt, config);
    timers_init(c);
    tcp->connections++;
    return c;
}

uint16_t connection_mss_offer(const struct interface *interface, uint8_t header_bytes,
                              uint16_t max_segment)
{
    uint32_t mss = interface->link->mtu - header_bytes - TCP_HEADER_BYTES;

    return max_segment > 0 && max_segment < mss ? max_segment : (uint16_t)mss;
}

/* The payload of a full segment, which the peer takes up to `offered` bytes, without options. */
static uint16_t fitting_mss(const struct connection *c, uint32_t offered)
{
    uint32_t fitting = (uint32_t)c->path_mtu - c->network_header_bytes - TCP_HEADER_BYTES;
    uint32_t mss = offered < fitting ? offered : fitting;

    /* RFC 6691, now RFC 9293 3.7.1: the MSS option counts payload without options. */
    return (uint16_t)(mss - (c->timestamps ? TCP_TIMESTAMPS_BYTES : 0));
}

void connection_fit_path(struct connection *c)
{
    uint16_t mss = fitting_mss(c, UINT16_MAX);

    if (mss < c->mss)
        c->congestion.mss = c->mss = mss;
}

uint8_t connection_scale_offer(uint32_t receive_limit_bytes)
{
    uint8_t scale = 0;

    while (scale < TCP_SCALE_MAX && (uint32_t)UINT16_MAX << scale < receive_limit_bytes)
        scale++;
    return scale;
}

void connection_negotiate(struct tcp *tcp, struct connection *c, const struct tcp_options *peer,
                          uint16_t window)
{
    c->scaling = c->scaling && peer->has_scale; /* RFC 7323 2.2: both or none */
    c->send_scale = c->scaling ? peer->scale : 0;
    if (!c->scaling)
        c->receive_scale = 0;
    c->timestamps = c->timestamps && peer->has_timestamps;
    c->sack = c->sack && peer->sack_permitted;

    uint32_t offered = peer->mss ? peer->mss : TCP_MSS_UNTOLD;
    if (offered < TCP_MSS_MIN)
        offered = TCP_MSS_MIN;
    if (c->max_segment > 0 && c->max_segment < offered)
        offered = c->max_segment;
    c->mss = fitting_mss(c, offered);
    c->rcv_mss = c->mss;

    c->snd_wnd = window; /* never scaled on a SYN: RFC 7323 2.2 */
    c->snd_wnd_max = c->snd_wnd;
    congestion_start(&c->congestion, c->algorithm, c->mss, tcp->core->config.initial_window);
}

void connection_set_state(struct tcp *tcp, struct connection *c, enum tcp_state state)
{
    static const char *const names[] = {
        "CLOSED",     "SYN-SENT",   "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1",
        "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING",      "LAST-ACK",    "TIME-WAIT",
    };
    log_to(tcp->core, STRAIT_LOG_TCP, "port %u to %u: %s -> %s", c->entry.tuple.local_port,
           c->entry.tuple.remote_port, names[c->state], names[state]);
    c->state = state;
    trace_changes(tcp, c);
}

void connection_starve(struct tcp *tcp, struct connection *c)
{
    size_t room = pool_room(&tcp->core->pool, 0);

    if (room < tcp->starved_room)
        tcp->starved_room = room;
    if (list_empty(&c->starved_node))
        list_append(&tcp->starved, &c->starved_node);
}

/* What has arrived in order may still be read by the owner; all else is over. */
static void release(struct tcp *tcp, struct connection *c)
{
    timers_stop(tcp, c);
    rate_stop(tcp, c);
    list_remove(&c->output_node);
    list_remove(&c->starved_node);
    buffer_clear(&c->send, &tcp->core->pool);
    receive_forget_out_of_order(tcp, c);
    disorder_free(c);
    if (c->queued || c->owner) {
        buffer_drop_above(&c->receive, &tcp->core->pool, c->receive_position);
        return;
    }
    buffer_clear(&c->receive, &tcp->core->pool);
    slab_give(&tcp->connection_slab, c);
}

/* Takes the connection out of the table, if it is still there. Its heir may be NULL. */
static void leave_table(struct tcp *tcp, struct connection *c, struct time_wait *heir)
{
    if (!connection_is_open(c))
        return;
    if (heir)
        time_wait_inherit(tcp, heir, &c->entry);
    else
        entry_remove(tcp, &c->entry);
    tcp->connections--;
    tcp->orphans -= c->orphan;
}

void connection_fail(struct tcp *tcp, struct connection *c, int error)
{
    leave_table(tcp, c, NULL);
    connection_set_state(tcp, c, STATE_CLOSED);
    c->error = (uint8_t)error;
    connection_wake(tcp, c);
    release(tcp, c);
}

void connection_abort(struct tcp *tcp, struct connection *c, int error)
{
    output_reset(tcp, c);
    connection_fail(tcp, c, error);
}

void connection_finish(struct tcp *tcp, struct connection *c)
{
    connection_fail(tcp, c, 0);
}

void connection_time_wait(struct tcp *tcp, struct connection *c)
{
    if (c->ack_due != ACK_NOT_DUE)
        output_ack(tcp, c); /* the record does not know what is due */

    bool limited = tcp->time_wait >= tcp->core->config.time_wait_max;
    struct time_wait *w = limited ? NULL : time_wait_new(tcp, c);

    if (!w)
        count(tcp->core, tcp_time_wait_limited);
    leave_table(tcp, c, w);
    connection_set_state(tcp, c, STATE_TIME_WAIT);
    connection_wake(tcp, c);
    release(tcp, c);
}
