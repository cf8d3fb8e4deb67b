/* SPDX-License-Identifier: MIT */
/*
 * Listening: a SYN makes a half-open record, which is all that a stranger can make this host hold;
 * the acknowledgement of our SYN turns the record into a connection that waits to be accepted. How
 * often, and when, the record's SYN-ACK is sent stands in halfopen.c.
 *
 * Records are limited, for the host and for each listener, and stay until they are acknowledged,
 * reset or over: a flood of SYNs pushes nobody out. At the limit a SYN is answered by a cookie
 * (cookie.c), and the ACK that brings it back makes the record as the SYN would have, for as long
 * as it takes to open the connection. A full accept queue is the program's own limit: no cookie
 * goes around it, SYNs and ACKs are dropped and come again.
 */
#include <errno.h>
#include <stdlib.h>

#include "tcp/connection.h"
#include "tcp/cookie.h"

static struct list *bucket(struct tcp *tcp, uint16_t port)
{
    return &tcp->listeners[port % TCP_LISTENER_BUCKETS];
}

/* The best listener: of the very address, or else of all. */
static struct listener *best_match(struct list *head, const struct tuple *tuple)
{
    struct listener *wildcard = NULL;

    for (struct list *n = head->next; n != head; n = n->next) {
        struct listener *l = container_of(n, struct listener, node);
        if (l->port != tuple->local_port)
            continue;
        if (address_equal(&l->address, &tuple->local))
            return l;
        if (!wildcard && address_is_any(&l->address))
            wildcard = l;
    }
    return wildcard;
}

/* Whether others of its address get a part of the connections. */
static bool shares(const struct listener *l)
{
    return l->sharing & HOLD_REUSE_PORT;
}

/* The `skip`th after `from` of those that share with it; NULL, and less to skip, at the end. */
static struct listener *share_after(struct list *head, struct listener *from, uint32_t *skip)
{
    for (struct list *n = &from->node; n != head; n = n->next) {
        struct listener *l = container_of(n, struct listener, node);
        if (!shares(l) || l->port != from->port || !address_equal(&l->address, &from->address))
            continue;
        if (*skip == 0)
            return l;
        (*skip)--;
    }
    return NULL;
}

struct listener *listener_find(struct tcp *tcp, const struct tuple *tuple)
{
    struct list *head = bucket(tcp, tuple->local_port);
    struct listener *first = best_match(head, tuple);

    if (!first || !shares(first))
        return first;
    uint32_t left = UINT32_MAX;
    share_after(head, first, &left);
    CHECK(left < UINT32_MAX);
    uint32_t chosen = isn_tuple_hash(tcp->core, tuple) % (UINT32_MAX - left);
    return share_after(head, first, &chosen);
}

struct listener *tcp_listen(struct tcp *tcp, const struct binding *binding, int backlog,
                            void *owner)
{
    struct listener *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    l->address = binding->address;
    l->port = binding->port;
    l->owner = owner;
    l->sharing = holds_sharing(binding);
    l->ip.ttl = tcp->core->config.ttl;
    tcp_listener_set_backlog(l, backlog);
    list_append(bucket(tcp, l->port), &l->node);
    return l;
}

void tcp_listener_set_backlog(struct listener *l, int backlog)
{
    l->backlog = backlog > 0 ? (uint32_t)backlog : 1;
}

void tcp_listener_set_opening(struct listener *l, uint16_t max_segment, uint8_t syn_retries)
{
    l->max_segment = max_segment;
    l->syn_ack_retries = syn_retries;
}

void tcp_listener_set_ip(struct listener *l, const struct tcp_ip_settings *settings)
{
    l->ip = *settings;
}

void tcp_listener_set_reuse(struct listener *l, const struct binding *binding)
{
    l->sharing = holds_sharing(binding);
}

/* Puts a connection at the end of the accept queue. */
static void join_queue(struct listener *l, struct connection *c)
{
    if (l->accept_first)
        l->accept_last->behind = c;
    else
        l->accept_first = c;
    l->accept_last = c;
    l->waiting++;
    c->queued = true;
    c->behind = NULL;
}

/* Takes the first connection out, which has no owner then. */
static struct connection *leave_queue(struct listener *l)
{
    struct connection *c = l->accept_first;

    l->accept_first = c->behind;
    l->waiting--;
    c->queued = false;
    c->owner = NULL;
    return c;
}

struct records {
    struct tcp *tcp;
    const struct listener *of;
};

static void free_if_of(void *context, struct table_node *node)
{
    const struct records *records = context;
    struct entry *e = container_of(node, struct entry, node);
    struct half_open *h = container_of(e, struct half_open, entry);

    if (e->kind == ENTRY_HALF_OPEN && h->listener == records->of)
        half_open_free(records->tcp, h);
}

/* No list of its records is kept, since a listener ends once. */
void tcp_listener_close(struct tcp *tcp, struct listener *l)
{
    struct records of = {tcp, l};

    if (l->half_open_count > 0)
        table_each(&tcp->entries, free_if_of, &of);
    while (l->accept_first)
        connection_abort(tcp, leave_queue(l), ECONNABORTED);
    list_remove(&l->node);
    free(l);
}

struct connection *tcp_accept(struct tcp *tcp, struct listener *l, void *owner)
{
    if (!l->accept_first)
        return NULL;
    struct connection *c = leave_queue(l);
    c->owner = owner;
    count(tcp->core, tcp_connections_accepted);
    return c;
}

short tcp_listener_events(const struct listener *l)
{
    return l->waiting > 0 ? POLLIN : 0;
}

static bool queue_is_full(const struct listener *l)
{
    return l->waiting >= l->backlog;
}

/* ---- Half-open records ---- */

/* One listener under a flood leaves the others their records. */
static bool record_is_free(const struct tcp *tcp, const struct listener *l)
{
    uint32_t share = l->backlog > TCP_HALF_OPEN_MIN ? l->backlog : TCP_HALF_OPEN_MIN;

    return l->half_open_count < share && tcp->half_open < tcp->core->config.half_open_max;
}

bool listener_has_room(const struct tcp *tcp, const struct listener *l)
{
    return !queue_is_full(l) && record_is_free(tcp, l);
}

/* What both sides want, of a SYN that has come to this listener. */
static void read_syn(const struct tcp *tcp, struct listener *l, const struct tuple *tuple,
                     const struct segment *syn, struct half_open *h)
{
    const struct strait_config *config = &tcp->core->config;

    h->listener = l;
    h->entry.tuple = *tuple;
    h->irs = syn->seq;
    h->mss = syn->options.mss;
    h->scaling = config->window_scaling && syn->options.has_scale;
    h->send_scale = syn->options.scale;
    h->timestamps = config->timestamps && syn->options.has_timestamps;
    h->sack = config->sack && syn->options.sack_permitted;
    h->ecn = config->ecn != STRAIT_ECN_OFF && ecn_is_asked(syn->flags);
    h->ts_recent = syn->options.timestamp;
    h->window = syn->window;
    h->receive_window = receive_window_of_syn(config->receive_buffer_bytes);
    h->receive_scale = connection_scale_offer(config->receive_buffer_bytes);
}

/* The connection that the record stands for, in SYN-RECEIVED still and to be accepted; or NULL. */
static struct connection *promote(struct tcp *tcp, const struct half_open *h)
{
    struct listener *l = h->listener;
    const struct tuple *tuple = &h->entry.tuple;
    struct route route;

    if (queue_is_full(l)) { /* the peer sends again, and there may be room then */
        count(tcp->core, tcp_accept_queue_full);
        return NULL;
    }
    if (ip_route_find(tcp->ip, &tuple->local, &tuple->remote, &route) < 0)
        return NULL;
    struct connection *c = connection_new(tcp, tuple, &route, STATE_SYN_RECEIVED);
    if (!c)
        return NULL;
    tcp_set_ip(c, &l->ip);

    struct tcp_options peer = {
        .mss = h->mss,
        .scale = h->send_scale,
        .has_scale = h->scaling,
        .has_timestamps = h->timestamps,
        .sack_permitted = h->sack,
    };
    entry_share(tcp, &c->entry, l->sharing);
    c->max_segment = l->max_segment;
    c->scaling = c->timestamps = c->sack = true; /* the record has what both sides want */
    c->receive_scale = h->receive_scale;
    connection_negotiate(tcp, c, &peer, h->window);
    c->ecn = c->ecn_capable = h->ecn;
    c->iss = h->iss;
    c->snd_una = c->recover = h->iss;
    c->snd_nxt = c->snd_resend = h->iss + 1;
    c->irs = h->irs;
    c->rcv_nxt = c->rcv_acked = h->irs + 1;
    c->rcv_edge = c->rcv_nxt + h->receive_window;
    c->ts_recent = h->ts_recent;
    c->ts_recent_at_ms = core_ms(tcp->core);
    join_queue(l, c);
    tcp->wake(tcp->wake_context, l->owner);
    return c;
}

/* ---- Without a record: cookies, RFC 4987 3.6 ---- */

static void send_cookie(struct tcp *tcp, struct listener *l, const struct tuple *tuple,
                        const struct segment *s)
{
    struct core *core = tcp->core;
    struct segment syn = *s, syn_ack;
    struct route route;
    struct half_open h = {0};

    cookie_limit(core, &syn);
    read_syn(tcp, l, tuple, &syn, &h);
    h.iss = cookie_iss(core, tuple, &syn);
    if (spent_has(&tcp->spent, h.iss, h.irs)) { /* the SYN is a duplicate of what has opened */
        count(core, tcp_cookies_spent);
        return;
    }
    if (!half_open_syn_ack(tcp, &h, &syn_ack, &route))
        return;
    syn_ack.options.timestamp = cookie_timestamp(syn_ack.options.timestamp, &syn);
    l->cookies_until_ns = core->now_ns + COOKIE_LIFETIME_NS;
    count(core, tcp_cookies_sent);
    output_along(tcp, &route, tuple, &syn_ack);
}

/* Costs no hash where no cookie was sent of late: a flood of ACKs is answered as anywhere. */
static bool may_bring_cookie(const struct tcp *tcp, const struct listener *l,
                             const struct segment *s)
{
    return tcp->core->now_ns < l->cookies_until_ns &&
           (s->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_ACK;
}

/* The connection of a SYN that an ACK has brought back; or NULL, as from promote. */
static struct connection *open_by_cookie(struct tcp *tcp, struct listener *l,
                                         const struct tuple *tuple, const struct segment *syn,
                                         const struct segment *ack)
{
    struct half_open h = {.iss = ack->ack - 1};

    read_syn(tcp, l, tuple, syn, &h);
    struct connection *c = promote(tcp, &h);
    if (!c)
        return NULL;
    spent_add(&tcp->spent, h.iss, h.irs);
    count(tcp->core, tcp_cookies_accepted);
    return c;
}

/*
 * An ACK for a listener that has sent cookies. One that brings none is not reset: it may have
 * overtaken the first segment of its connection, or that is lost, and is sent again. One whose
 * cookie is spent is of a connection that has ended: RFC 9293 3.10.7.2, second.
 */
static void take_cookie(struct tcp *tcp, struct listener *l, const struct tuple *tuple,
                        const struct segment *ack)
{
    struct segment syn;

    if (!cookie_open(tcp->core, tuple, ack->seq - 1, ack, &syn)) {
        count(tcp->core, tcp_cookies_wrong);
        return;
    }
    if (spent_has(&tcp->spent, ack->ack - 1, syn.seq)) {
        count(tcp->core, tcp_cookies_spent);
        output_reset_reply(tcp, tuple, ack);
        return;
    }
    struct connection *c = open_by_cookie(tcp, l, tuple, &syn, ack);
    if (c)
        connection_input(tcp, c, ack);
}

/* ---- LISTEN ---- */

/* RFC 9293 3.10.7.2, third */
static void take_syn(struct tcp *tcp, struct listener *l, const struct tuple *tuple,
                     const struct segment *s, const uint32_t *iss_above)
{
    if (queue_is_full(l)) {
        count(tcp->core, tcp_accept_queue_full);
        return;
    }
    uint8_t cookies = iss_above ? STRAIT_SYN_COOKIES_OFF : tcp->core->config.syn_cookies;
    bool wanted = cookies != STRAIT_SYN_COOKIES_ALWAYS;
    struct half_open *h = wanted && record_is_free(tcp, l) ? slab_take(&tcp->half_open_slab) : NULL;
    if (!h && cookies != STRAIT_SYN_COOKIES_OFF) {
        send_cookie(tcp, l, tuple, s);
        return;
    }
    if (!h) {
        count(tcp->core, tcp_half_open_limited);
        return;
    }
    read_syn(tcp, l, tuple, s, h);
    h->iss = isn_choose(tcp->core, tuple);
    if (iss_above && seq_le(h->iss, *iss_above)) /* RFC 9293 3.6.1, MAY-2 (1) */
        h->iss = *iss_above + 1;
    half_open_begin(tcp, h, tuple);
}

void listener_input(struct tcp *tcp, struct listener *l, const struct tuple *tuple,
                    const struct segment *s, const uint32_t *iss_above)
{
    if (s->flags & TCP_RST)
        return;
    if (may_bring_cookie(tcp, l, s)) {
        take_cookie(tcp, l, tuple, s);
        return;
    }
    if (s->flags & TCP_ACK) {
        count(tcp->core, tcp_no_connection);
        output_reset_reply(tcp, tuple, s);
        return;
    }
    /* SYN with FIN is no request that a host makes; neither of them is half of one. */
    if ((s->flags & (TCP_SYN | TCP_FIN)) != TCP_SYN) {
        count(tcp->core, tcp_syn_dropped);
        return;
    }
    take_syn(tcp, l, tuple, s, iss_above);
}

/* ---- SYN-RECEIVED ---- */

/* RFC 9293 3.10.7.4 for SYN-RECEIVED, first to fourth. Returns false if the segment goes no
 * further; the record may then be gone. */
static bool acceptable(struct tcp *tcp, struct half_open *h, const struct segment *s)
{
    uint32_t rcv_nxt = h->irs + 1;

    if ((s->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN && s->seq == h->irs) {
        h->ecn = h->ecn && ecn_is_asked(s->flags); /* RFC 3168 6.1.1: all of its SYNs ask */
        half_open_answer(tcp, h);                  /* the peer has missed it */
        count(tcp->core, tcp_retransmitted_segments);
        return false;
    }
    if ((h->timestamps && !(s->flags & TCP_RST) && timestamp_is_old(s, h->ts_recent)) ||
        !sequence_acceptable(s, rcv_nxt, h->receive_window)) {
        count(tcp->core, tcp_sequence_unacceptable);
        if (!(s->flags & TCP_RST))
            half_open_challenge(tcp, h);
        return false;
    }
    if (s->flags & TCP_RST) {
        count(tcp->core, tcp_resets_in);
        if (s->seq == rcv_nxt) {
            half_open_free(tcp, h); /* back to LISTEN */
        } else {
            count(tcp->core, tcp_reset_in_window);
            half_open_challenge(tcp, h);
        }
        return false;
    }
    if (s->flags & TCP_SYN) {
        count(tcp->core, tcp_syn_in_window);
        half_open_challenge(tcp, h);
        return false;
    }
    if (!(s->flags & TCP_ACK)) {
        count(tcp->core, tcp_ack_missing);
        return false;
    }
    return true;
}

/*
 * The fifth: the ACK of our SYN. It may be that of a cookie, if there was no room for the peer's
 * first SYN and this record was made of a second.
 */
static struct connection *acknowledged(struct tcp *tcp, const struct half_open *h,
                                       const struct segment *s)
{
    const struct tuple *tuple = &h->entry.tuple;
    struct segment syn;

    if (s->ack == h->iss + 1) {
        struct connection *c = promote(tcp, h);
        if (!c)
            return NULL;
        c->retries = h->retries;
        c->rtt_timing = h->retries == 0;
        c->rtt_seq = h->iss + 1;
        c->rtt_started_us = h->sent_at_us;
        return c;
    }
    if (may_bring_cookie(tcp, h->listener, s) && cookie_open(tcp->core, tuple, h->irs, s, &syn) &&
        !spent_has(&tcp->spent, s->ack - 1, h->irs)) {
        if (h->timestamps) /* what overtook the first text may be younger */
            syn.options.timestamp = h->ts_recent;
        return open_by_cookie(tcp, h->listener, tuple, &syn, s);
    }
    count(tcp->core, tcp_ack_unacceptable);
    output_reset_reply(tcp, tuple, s);
    return NULL;
}

void half_open_input(struct tcp *tcp, struct half_open *h, const struct segment *s)
{
    if (!acceptable(tcp, h, s))
        return;
    struct connection *c = acknowledged(tcp, h, s);
    if (!c)
        return; /* the record stays, and with it the chance that there is room later */
    half_open_free(tcp, h);
    connection_input(tcp, c, s);
}
