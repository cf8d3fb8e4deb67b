/* SPDX-License-Identifier: MIT */
/*
 * TIME-WAIT (RFC 9293 3.6.1) in records of their own: what is left of a connection is two numbers
 * and a timestamp. All wait for the same time, so that they stand in a list in the order in which
 * they began, and one timer serves all. It runs out early if the first has begun anew or is gone.
 */
#include "tcp/connection.h"

static uint64_t left_ns(const struct tcp *tcp, const struct time_wait *w)
{
    uint64_t duration_us = tcp->core->config.time_wait_ms * UINT64_C(1000);
    uint32_t past_us = (core_us(tcp->core) - w->since_us) & TIME_WAIT_CLOCK;

    return past_us < duration_us ? (duration_us - past_us) * NS_PER_US : 0;
}

uint64_t time_wait_end_ns(const struct tcp *tcp, const struct time_wait *w)
{
    return tcp->core->now_ns + left_ns(tcp, w);
}

/* Starts the timer for the first, if it does not run, or too late since the duration has become
 * shorter. */
static void arm(struct tcp *tcp)
{
    const struct time_wait *first = container_of(tcp->time_waits.next, struct time_wait, node);

    if (list_empty(&tcp->time_waits))
        return;
    uint64_t end_ns = time_wait_end_ns(tcp, first);
    if (!timer_running(&tcp->time_wait_timer) || end_ns < tcp->time_wait_timer.deadline_ns)
        timer_start(&tcp->timers, &tcp->time_wait_timer, end_ns);
}

void time_wait_expired(void *owner, struct strait_timer *timer)
{
    struct tcp *tcp = owner;

    (void)timer;
    while (!list_empty(&tcp->time_waits)) {
        struct time_wait *w = container_of(tcp->time_waits.next, struct time_wait, node);
        if (left_ns(tcp, w) > 0)
            break;
        time_wait_free(tcp, w);
    }
    arm(tcp);
}

struct time_wait *time_wait_new(struct tcp *tcp, const struct connection *c)
{
    struct time_wait *w = slab_take(&tcp->time_wait_slab);
    if (!w)
        return NULL;
    w->snd_nxt = c->snd_nxt;
    w->rcv_nxt = c->rcv_nxt;
    w->timestamps = c->timestamps;
    w->ts_recent = c->ts_recent;
    list_init(&w->node);
    return w;
}

/* Its time begins, or begins anew. */
static void begin(struct tcp *tcp, struct time_wait *w)
{
    w->since_us = core_us(tcp->core) & TIME_WAIT_CLOCK;
    list_remove(&w->node);
    list_append(&tcp->time_waits, &w->node);
    arm(tcp);
}

void time_wait_inherit(struct tcp *tcp, struct time_wait *w, struct entry *connection)
{
    entry_replace(tcp, connection, &w->entry, ENTRY_TIME_WAIT);
    tcp->time_wait++;
    begin(tcp, w);
}

void time_wait_free(struct tcp *tcp, struct time_wait *w)
{
    list_remove(&w->node);
    if (list_empty(&tcp->time_waits))
        timer_stop(&tcp->timers, &tcp->time_wait_timer);
    entry_remove(tcp, &w->entry);
    tcp->time_wait--;
    slab_give(&tcp->time_wait_slab, w);
}

static void acknowledge(struct tcp *tcp, struct time_wait *w)
{
    struct segment ack = {.seq = w->snd_nxt, .ack = w->rcv_nxt, .flags = TCP_ACK};

    if (w->timestamps) {
        ack.options.has_timestamps = true;
        ack.options.timestamp =
            timestamp_now(tcp->core, isn_timestamp_offset(tcp->core, &w->entry.tuple));
        ack.options.echo = w->ts_recent;
    }
    output_stateless(tcp, &w->entry.tuple, NULL, &ack);
}

/* RFC 6191 2: a SYN that cannot be a late duplicate of the old connection. */
static bool opens_anew(const struct tcp *tcp, const struct time_wait *w, const struct segment *s)
{
    bool timestamps = s->options.has_timestamps && tcp->core->config.timestamps;

    if (timestamps && !w->timestamps)
        return true;
    if (timestamps && s->options.timestamp != w->ts_recent)
        return seq_gt(s->options.timestamp, w->ts_recent);
    return seq_gt(s->seq, w->rcv_nxt);
}

bool time_wait_input(struct tcp *tcp, struct time_wait *w, const struct segment *s, bool may_open,
                     uint32_t *iss_above)
{
    if (s->flags & TCP_RST) { /* RFC 1337: a RST must not cut TIME-WAIT short */
        count(tcp->core, tcp_resets_in);
        return false;
    }
    bool asks = (s->flags & (TCP_SYN | TCP_ACK | TCP_FIN)) == TCP_SYN;
    if (may_open && asks && opens_anew(tcp, w, s)) {
        count(tcp->core, tcp_time_wait_reused);
        *iss_above = w->snd_nxt + TCP_REOPEN_GAP;
        time_wait_free(tcp, w);
        return true;
    }
    bool last_again = (s->flags & TCP_FIN) && s->seq + segment_span(s) == w->rcv_nxt;
    if (last_again) { /* RFC 9293 3.10.7.4: the peer has missed our last ACK */
        begin(tcp, w);
        acknowledge(tcp, w);
        return false;
    }
    /* What takes no sequence space is not answered: two sides in TIME-WAIT must not loop. */
    bool wrong = segment_span(s) > 0 || seq_gt(s->seq, w->rcv_nxt);
    if (wrong && output_may_challenge(tcp->core, &w->entry))
        acknowledge(tcp, w);
    return false;
}
