/* SPDX-License-Identifier: MIT */
/*
 * Half-open records: their SYN-ACKs, and their time. All whose SYN-ACK was sent equally often wait
 * for the same time, so that they stand in a list in the order in which they began, one list for
 * each number of retries, and one timer serves all. It runs out early if the record that it was
 * started for is gone.
 */
#include "tcp/connection.h"

static void add_timestamps(const struct tcp *tcp, const struct half_open *h, struct segment *s)
{
    if (!h->timestamps)
        return;
    s->options.has_timestamps = true;
    s->options.timestamp =
        timestamp_now(tcp->core, isn_timestamp_offset(tcp->core, &h->entry.tuple));
    s->options.echo = h->ts_recent;
}

bool half_open_syn_ack(const struct tcp *tcp, const struct half_open *h, struct segment *s,
                       struct route *route)
{
    const struct tuple *tuple = &h->entry.tuple;

    if (ip_route_find(tcp->ip, &tuple->local, &tuple->remote, route) < 0)
        return false;
    route_set_ip(route, &h->listener->ip);
    *s = (struct segment){
        .seq = h->iss,
        .ack = h->irs + 1,
        .flags = TCP_SYN | TCP_ACK,
        .window = h->receive_window,
    };
    if (h->ecn)
        s->flags |= TCP_ECE; /* RFC 3168 6.1.1 */
    s->options.mss =
        connection_mss_offer(route->interface, route->header_bytes, h->listener->max_segment);
    s->options.has_scale = h->scaling;
    s->options.scale = h->receive_scale;
    s->options.sack_permitted = h->sack;
    add_timestamps(tcp, h, s);
    return true;
}

void half_open_answer(struct tcp *tcp, const struct half_open *h)
{
    struct segment s;
    struct route route;

    if (half_open_syn_ack(tcp, h, &s, &route))
        output_along(tcp, &route, &h->entry.tuple, &s);
}

void half_open_challenge(struct tcp *tcp, struct half_open *h)
{
    unsigned scale = h->scaling ? h->receive_scale : 0;
    uint32_t round_up = (UINT32_C(1) << scale) - 1; /* the edge of the SYN-ACK must not move left */
    struct segment s = {
        .seq = h->iss + 1,
        .ack = h->irs + 1,
        .flags = TCP_ACK,
        .window = (uint16_t)((h->receive_window + round_up) >> scale),
    };

    if (!output_may_challenge(tcp->core, &h->entry))
        return;
    add_timestamps(tcp, h, &s);
    output_stateless(tcp, &h->entry.tuple, &h->listener->ip, &s);
}

/* ---- Time ---- */

static uint64_t left_ns(const struct tcp *tcp, const struct half_open *h)
{
    const struct strait_config *config = &tcp->core->config;
    uint64_t past_ns = (core_us(tcp->core) - h->sent_at_us) * NS_PER_US;
    struct rtt rtt;

    rtt_init(&rtt, config);
    uint64_t timeout_ns = rtt_timeout_ns(&rtt, config, h->retries);
    return past_ns < timeout_ns ? timeout_ns - past_ns : 0;
}

uint64_t half_open_due_ns(const struct tcp *tcp, const struct half_open *h)
{
    return tcp->core->now_ns + left_ns(tcp, h);
}

static void hasten(struct tcp *tcp, const struct half_open *h)
{
    uint64_t due_ns = half_open_due_ns(tcp, h);

    if (!timer_running(&tcp->half_open_timer) || due_ns < tcp->half_open_timer.deadline_ns)
        timer_start(&tcp->timers, &tcp->half_open_timer, due_ns);
}

/* The SYN-ACK was sent in its turn. */
static void wait(struct tcp *tcp, struct half_open *h)
{
    unsigned list = h->retries < RTT_BACKOFF_MAX ? h->retries : RTT_BACKOFF_MAX;

    h->sent_at_us = core_us(tcp->core);
    list_remove(&h->node);
    list_append(&tcp->half_opens[list], &h->node);
    hasten(tcp, h);
}

static uint8_t syn_ack_retries(const struct tcp *tcp, const struct listener *l)
{
    return l->syn_ack_retries > 0 ? l->syn_ack_retries : tcp->core->config.syn_ack_retries;
}

static void syn_ack_due(struct tcp *tcp, struct half_open *h)
{
    if (h->retries >= syn_ack_retries(tcp, h->listener)) {
        count(tcp->core, tcp_half_open_expired);
        half_open_free(tcp, h);
        return;
    }
    h->retries++;
    count(tcp->core, tcp_retransmitted_segments);
    half_open_answer(tcp, h);
    wait(tcp, h);
}

static void run_list(struct tcp *tcp, struct list *list)
{
    while (!list_empty(list)) {
        struct half_open *first = container_of(list->next, struct half_open, node);
        if (left_ns(tcp, first) > 0) {
            hasten(tcp, first);
            return;
        }
        syn_ack_due(tcp, first);
    }
}

void half_open_expired(void *owner, struct strait_timer *timer)
{
    struct tcp *tcp = owner;

    (void)timer;
    for (unsigned i = 0; i <= RTT_BACKOFF_MAX; i++)
        run_list(tcp, &tcp->half_opens[i]);
}

/* ---- Life ---- */

void half_open_begin(struct tcp *tcp, struct half_open *h, const struct tuple *tuple)
{
    entry_insert(tcp, &h->entry, ENTRY_HALF_OPEN, tuple);
    h->listener->half_open_count++;
    tcp->half_open++;
    list_init(&h->node);
    half_open_answer(tcp, h);
    wait(tcp, h);
}

void half_open_free(struct tcp *tcp, struct half_open *h)
{
    list_remove(&h->node);
    entry_remove(tcp, &h->entry);
    h->listener->half_open_count--;
    if (--tcp->half_open == 0)
        timer_stop(&tcp->timers, &tcp->half_open_timer);
    slab_give(&tcp->half_open_slab, h);
}
