/* SPDX-License-Identifier: MIT */
/*
 * TIME-WAIT (RFC 9293 3.6.1) in records of their own: what is left of a connection is two numbers,
 * a timestamp and a timer.
 */
#include <stdlib.h>

#include "tcp/connection.h"

static void expired(void *owner, struct strait_timer *timer)
{
    time_wait_free(owner, container_of(timer, struct time_wait, timer));
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
    w->timer.expired = expired;
    return w;
}

static void start_timer(struct tcp *tcp, struct time_wait *w)
{
    uint64_t duration_ns = tcp->core->config.time_wait_ms * NS_PER_MS;

    timer_start(&tcp->timers, &w->timer, tcp->core->now_ns + duration_ns);
}

void time_wait_inherit(struct tcp *tcp, struct time_wait *w, struct entry *connection)
{
    entry_replace(tcp, connection, &w->entry, ENTRY_TIME_WAIT);
    tcp->time_wait++;
    start_timer(tcp, w);
}

void time_wait_free(struct tcp *tcp, struct time_wait *w)
{
    timer_stop(&tcp->timers, &w->timer);
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
        start_timer(tcp, w);
        acknowledge(tcp, w);
        return false;
    }
    /* What takes no sequence space is not answered: two sides in TIME-WAIT must not loop. */
    bool wrong = segment_span(s) > 0 || seq_gt(s->seq, w->rcv_nxt);
    if (wrong && output_may_challenge(tcp->core, &w->challenged_ms))
        acknowledge(tcp, w);
    return false;
}
