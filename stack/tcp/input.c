/* SPDX-License-Identifier: MIT */
/*
 * TCP, from the packet to the state it changes. A segment is parsed once (segment.c) and looked up
 * by its tuple; what follows is RFC 9293 3.10.7 clause by clause. Nothing is sent from here but
 * answers that belong to no connection and challenge ACKs: a connection that has something to say
 * is queued, and tcp_advance sends once for the whole batch (output.c).
 *
 *                              +---------+
 *                 passive OPEN | CLOSED  | active OPEN, SYN
 *                +-------------+---------+--------------+
 *                v                                      v
 *           +---------+                            +----------+
 *           | LISTEN  |            SYN, SYN+ACK    | SYN-SENT |
 *           +---------+          +-----------------+----------+
 *  SYN, SYN+ACK  |               v                      |
 *                |        +--------------+              | SYN+ACK, ACK
 *     half-open  +------->| SYN-RECEIVED |              |
 *       record            +--------------+              |
 *                                | ACK                  v
 *                                |               +-------------+
 *                                +-------------->| ESTABLISHED |
 *                                                +-------------+
 *                              CLOSE, FIN  |          | FIN, ACK
 *                    +---------------------+          +---------------+
 *                    v                                                v
 *             +------------+     FIN, ACK      +---------+      +------------+
 *             | FIN-WAIT-1 |------------------>| CLOSING |      | CLOSE-WAIT |
 *             +------------+                   +---------+      +------------+
 *                    | ACK of FIN                   |                 | CLOSE, FIN
 *                    v                              | ACK of FIN      v
 *             +------------+     FIN, ACK      +-----------+    +----------+
 *             | FIN-WAIT-2 |------------------>| TIME-WAIT |    | LAST-ACK |
 *             +------------+                   +-----------+    +----------+
 *                                                record, 2 MSL        | ACK of FIN
 *                                                   v                 v
 *                                                 CLOSED           CLOSED
 *
 * LISTEN is a struct listener. SYN-RECEIVED is a half-open record, or a connection after a
 * simultaneous open. TIME-WAIT is a record. All other states are of a struct connection.
 */
#include <errno.h>

#include "tcp/connection.h"

/* ---- Acceptability, RFC 9293 3.10.7.4, first ---- */

bool sequence_is_inside(const struct segment *s, uint32_t rcv_nxt, uint32_t window)
{
    uint32_t span = segment_span(s);
    uint32_t last = s->seq + span - 1;

    if (window == 0)
        return false;
    bool starts_inside = seq_ge(s->seq, rcv_nxt) && seq_lt(s->seq, rcv_nxt + window);
    if (span == 0) /* a peer that has filled the window stands at the edge with its bare ACK */
        return starts_inside || (s->seq == rcv_nxt + window && !(s->flags & TCP_RST));
    /* One that begins before the window and ends behind it is longer: what is half the number space
     * away only looks so. */
    bool covers = span > window && seq_lt(s->seq, rcv_nxt) && seq_ge(last, rcv_nxt + window);
    return starts_inside || (seq_ge(last, rcv_nxt) && seq_lt(last, rcv_nxt + window)) || covers;
}

bool timestamp_is_old(const struct segment *s, uint32_t ts_recent)
{
    return s->options.has_timestamps && seq_lt(s->options.timestamp, ts_recent);
}

/* Whether the peer's clock may have gone around since (RFC 7323 5.5). */
static bool timestamp_is_aged(const struct connection *c, uint32_t now_ms)
{
    return now_ms - c->ts_recent_at_ms >= TCP_PAWS_IDLE_NS / NS_PER_MS;
}

static bool paws_refuses(const struct connection *c, const struct segment *s, uint32_t now_ms)
{
    if (!c->timestamps || (s->flags & TCP_RST) || !timestamp_is_old(s, c->ts_recent))
        return false;
    return !timestamp_is_aged(c, now_ms);
}

/*
 * RFC 7323 3.2: who has agreed to timestamps sends them, so this is an old duplicate of a
 * connection without, or a guess that would get around PAWS. Some hosts leave it out of their first
 * ACK; a SYN is of a peer that has started anew.
 */
static bool lacks_timestamp(const struct connection *c, const struct segment *s)
{
    return c->timestamps && !s->options.has_timestamps && !(s->flags & (TCP_SYN | TCP_RST)) &&
           c->state != STATE_SYN_RECEIVED;
}

/* RFC 7323 4.3 (2): only from a segment that covers what was acknowledged last. */
static void note_timestamp(struct connection *c, const struct segment *s, uint32_t now_ms)
{
    if (!c->timestamps || !s->options.has_timestamps || seq_gt(s->seq, c->rcv_acked))
        return;
    if (timestamp_is_old(s, c->ts_recent) && !timestamp_is_aged(c, now_ms))
        return;
    c->ts_recent = s->options.timestamp;
    c->ts_recent_at_ms = now_ms;
}

/*
 * An unacceptable segment is answered: with text or a FIN as often as it comes, since a peer that
 * sends again waits for it; any other at the pace of RFC 5961 7.
 */
static void answer_unacceptable(struct tcp *tcp, struct connection *c, const struct segment *s)
{
    if (s->flags & TCP_RST)
        return;
    if (segment_span(s) == 0 || (s->flags & TCP_SYN)) {
        output_challenge_ack(tcp, c);
        return;
    }
    sack_note_duplicate(tcp, c, s);
    c->ack_due = ACK_NOW;
    output_queue(tcp, c);
}

static void reset_received(struct tcp *tcp, struct connection *c, const struct segment *s)
{
    count(tcp->core, tcp_resets_in);
    if (s->seq != c->rcv_nxt) { /* RFC 5961 3.2, RFC 9293 3.10.7.4 second */
        count(tcp->core, tcp_reset_in_window);
        output_challenge_ack(tcp, c);
        return;
    }
    bool refused = c->state == STATE_SYN_RECEIVED;
    connection_fail(tcp, c,
                    refused                        ? ECONNREFUSED
                    : c->state == STATE_CLOSE_WAIT ? EPIPE
                                                   : ECONNRESET);
}

/* First to fifth clauses. Returns false if the segment goes no further; `c` may then be gone. */
static bool acceptable(struct tcp *tcp, struct connection *c, const struct segment *s)
{
    if (lacks_timestamp(c, s)) {
        count(tcp->core, tcp_timestamp_missing);
        return false;
    }
    if (paws_refuses(c, s, core_ms(tcp->core))) {
        count(tcp->core, tcp_timestamp_old);
        answer_unacceptable(tcp, c, s);
        return false;
    }
    if (!sequence_acceptable(s, c->rcv_nxt, c->rcv_edge - c->rcv_nxt)) {
        count(tcp->core, tcp_sequence_unacceptable);
        answer_unacceptable(tcp, c, s);
        return false;
    }
    if (s->flags & TCP_RST) {
        reset_received(tcp, c, s);
        return false;
    }
    if (s->flags & TCP_SYN) { /* RFC 5961 4.2 */
        count(tcp->core, tcp_syn_in_window);
        output_challenge_ack(tcp, c);
        return false;
    }
    if (!(s->flags & TCP_ACK)) {
        count(tcp->core, tcp_ack_missing);
        return false;
    }
    return true;
}

/* ---- The acknowledgement, fifth ---- */

static void sample(struct tcp *tcp, struct connection *c, uint32_t sample_us)
{
    rtt_sample(&c->rtt, &tcp->core->config, sample_us);
    c->backoff = 0; /* RFC 6298 5 and 3: only a measurement ends the backed-off timeout */
}

static void measure(struct tcp *tcp, struct connection *c, const struct segment *s)
{
    if (c->rtt_timing && seq_ge(s->ack, c->rtt_seq)) {
        sample(tcp, c, core_us(tcp->core) - c->rtt_started_us);
        rate_sample(tcp, c, s->ack);
        c->rtt_timing = false;
    } else if (c->retries > 0 && c->timestamps && s->options.has_timestamps) {
        /* RFC 7323 4.1: tells which transmission was acknowledged, if only to the millisecond */
        uint32_t elapsed_ms = timestamp_now(tcp->core, c->ts_offset) - s->options.echo;
        if (elapsed_ms < tcp->core->config.rto_max_us / 1000)
            sample(tcp, c, elapsed_ms * 1000);
    }
}

/* Our FIN was acknowledged. Returns false if the connection has left for TIME-WAIT or CLOSED. */
static bool fin_acknowledged(struct tcp *tcp, struct connection *c)
{
    switch ((enum tcp_state)c->state) {
    case STATE_FIN_WAIT_1:
        connection_set_state(tcp, c, STATE_FIN_WAIT_2);
        return true;
    case STATE_CLOSING:
        connection_time_wait(tcp, c);
        return false;
    case STATE_LAST_ACK:
        connection_finish(tcp, c);
        return false;
    default:
        return true;
    }
}

/*
 * As Linux: twice the congestion window, so that the user has a window's worth of time to fill the
 * buffer again while the other one is on its way; unless half of the memory is taken.
 */
static void grow_send_buffer(const struct tcp *tcp, struct connection *c)
{
    const struct pool *pool = &tcp->core->pool;
    uint32_t most = tcp->core->config.send_buffer_bytes;
    uint32_t wanted = 2 * c->congestion.cwnd;

    if (wanted <= c->send_limit_bytes || c->send_limit_bytes >= most || c->send_fixed)
        return;
    if (pool_room(pool, pool->limit_bytes / 2) > 0)
        c->send_limit_bytes = wanted < most ? wanted : most;
}

/* SND.UNA < SEG.ACK =< SND.NXT. Returns as fin_acknowledged. */
static bool take_new_ack(struct tcp *tcp, struct connection *c, const struct segment *s)
{
    bool was_writable = connection_writable(c);
    uint32_t flight = c->snd_nxt - c->snd_una;
    uint32_t acked = s->ack - c->snd_una;
    uint64_t queued = c->send.end - c->send.start;
    uint32_t bytes = acked < queued ? acked : (uint32_t)queued;

    measure(tcp, c, s);
    buffer_drop_below(&c->send, &tcp->core->pool, c->send.start + bytes);
    if (bytes > 0 && bytes == queued)
        rate_stop(tcp, c);
    c->snd_una = s->ack;
    if (seq_lt(c->snd_resend, c->snd_una))
        c->snd_resend = c->snd_una;
    /* Marks that lie behind are drawn along: left alone, they would lie ahead after 2^31 bytes. */
    c->snd_small_end = seq_max(c->snd_small_end, c->snd_una);
    if (!c->in_recovery && !c->after_timeout)
        c->recover = seq_max(c->recover, c->snd_una - 1);
    if (c->urgent && seq_ge(c->snd_una, c->snd_up))
        c->urgent = false;
    c->retries = 0;
    if (c->timer_purpose == TIMER_PROBE) /* what it sends arrives: RFC 9293 3.8.6.2.1, SHLD-29 */
        c->backoff = 0;
    c->soft_error = 0;
    c->waiting_since_ns = tcp->core->now_ns;
    if (c->disorder->sacked.count > 0)
        sack_acknowledged(tcp, c);
    if (c->ecn)
        ecn_take_ack(tcp, c, s, flight);
    loss_acked(c, bytes, flight);
    grow_send_buffer(tcp, c);
    trace(tcp, c, STRAIT_TRACE_ACKED, c->send.start, 0);
    if (!was_writable && connection_writable(c))
        connection_wake(tcp, c);
    return acked > bytes ? fin_acknowledged(tcp, c) : true;
}

/*
 * What counts as a duplicate acknowledgement: RFC 5681 2, and with SACK only what tells of data
 * that has arrived (RFC 6675 2), which a stranger's or a repeated one does not.
 */
static bool is_duplicate_ack(struct tcp *tcp, struct connection *c, const struct segment *s)
{
    if (c->sack)
        return s->options.sack_count > 0 && sack_take(tcp, c, s);
    bool in_flight = c->snd_resend != c->snd_una; /* a window probe alone is not */

    return in_flight && s->ack == c->snd_una && segment_span(s) == 0 &&
           (uint32_t)s->window << c->send_scale == c->snd_wnd;
}

/*
 * The window counts from the number that is acknowledged with it. So a segment that acknowledges
 * more is always newer, even one with an old sequence number (the peer sends it again).
 */
static void take_window(struct connection *c, const struct segment *s)
{
    bool newer = seq_lt(c->snd_wl1, s->seq) || (c->snd_wl1 == s->seq && seq_le(c->snd_wl2, s->ack));
    if (seq_lt(s->ack, c->snd_una) || (s->ack == c->snd_una && !newer))
        return;
    c->snd_wnd = (uint32_t)s->window << c->send_scale;
    c->snd_wl1 = s->seq;
    c->snd_wl2 = s->ack;
    if (c->snd_wnd > c->snd_wnd_max)
        c->snd_wnd_max = c->snd_wnd;
}

/* Returns false if the segment goes no further; `c` may then be gone. */
static bool take_ack(struct tcp *tcp, struct connection *c, const struct segment *s)
{
    /* RFC 5961 5.2: neither of what was never sent, nor older than the largest window */
    if (seq_gt(s->ack, c->snd_nxt) || seq_lt(s->ack, c->snd_una - c->snd_wnd_max)) {
        count(tcp->core, tcp_ack_unacceptable);
        output_challenge_ack(tcp, c);
        return false;
    }
    c->heard_ns = tcp->core->now_ns;
    note_timestamp(c, s, core_ms(tcp->core)); /* a guess would shut the peer out by PAWS */
    if (c->timer_purpose != TIMER_RETRANSMIT && seq_ge(s->ack, c->snd_una))
        c->retries = 0; /* the peer lives, and its window may stay shut for as long as it likes */
    bool duplicate = is_duplicate_ack(tcp, c, s);
    take_window(c, s);
    if (seq_gt(s->ack, c->snd_una) && !take_new_ack(tcp, c, s))
        return false;
    if (duplicate) /* with SACK also one that acknowledges more: RFC 6675 5 */
        loss_duplicate_ack(tcp, c);
    trace_changes(tcp, c);
    return true;
}

/* ---- Urgent pointer, text and FIN, sixth to eighth ---- */

/* Returns false if the connection has ended by it. */
static inline bool take_text(struct tcp *tcp, struct connection *c, const struct segment *s)
{
    bool wanted = c->state == STATE_ESTABLISHED || c->state == STATE_FIN_WAIT_1 ||
                  c->state == STATE_FIN_WAIT_2;

    if (!wanted) { /* the peer's FIN has come: nothing stands behind it */
        count(tcp->core, tcp_text_ignored);
        return true;
    }
    if (s->flags & TCP_URG) /* MUST-66: even where the window is shut */
        receive_urgent(tcp, c, s);
    if (segment_span(s) == 0)
        return true;
    if (c->orphan && s->length > 0 && seq_gt(s->seq + s->length, c->rcv_nxt)) {
        count(tcp->core, tcp_data_after_close); /* RFC 9293 3.6.1, SHLD-3 */
        connection_abort(tcp, c, ECONNRESET);
        return false;
    }
    if (c->ecn && s->length > 0)
        ecn_take_text(tcp, c, s);
    receive_text(tcp, c, s);
    if (c->state == STATE_FIN_WAIT_2 && receive_fin_taken(c)) {
        connection_time_wait(tcp, c);
        return false;
    }
    return true;
}

/* Whether there is something for take_text. */
static bool brings_text(const struct segment *s)
{
    return s->length > 0 || (s->flags & (TCP_FIN | TCP_URG));
}

/* ---- Opening ---- */

static void established(struct tcp *tcp, struct connection *c, const struct segment *s)
{
    count(tcp->core, tcp_connections_opened);
    connection_set_state(tcp, c, c->fin_queued ? STATE_FIN_WAIT_1 : STATE_ESTABLISHED);
    c->heard_ns = tcp->core->now_ns;
    c->snd_una = s->ack;
    c->snd_resend = s->ack;
    c->snd_wnd = (uint32_t)s->window << (s->flags & TCP_SYN ? 0 : c->send_scale);
    c->snd_wnd_max = c->snd_wnd > c->snd_wnd_max ? c->snd_wnd : c->snd_wnd_max;
    c->snd_wl1 = s->seq;
    c->snd_wl2 = s->ack;
    c->snd_small_end = s->ack;
    measure(tcp, c, s);
    if (c->retries > 0) {            /* the network may have dropped the SYN */
        c->congestion.cwnd = c->mss; /* RFC 5681 3.1 */
        rtt_syn_lost(&c->rtt);
    }
    c->rtt_timing = false;
    c->retries = 0;
    c->soft_error = 0;
    c->backoff = 0;
    c->timer_restart = true;
    connection_wake(tcp, c);
}

/* What a SYN from the peer settles, in SYN-SENT. */
static void take_syn(struct tcp *tcp, struct connection *c, const struct segment *s)
{
    c->irs = s->seq;
    c->rcv_nxt = s->seq + 1;
    c->rcv_edge = c->rcv_nxt + receive_window_of_syn(c->receive_limit_bytes);
    c->rcv_acked = c->rcv_nxt;
    c->ts_recent = s->options.timestamp;
    c->ts_recent_at_ms = core_ms(tcp->core);
    connection_negotiate(tcp, c, &s->options, s->window);
}

/* The peer's SYN has come with the ACK of ours. */
static void established_by_syn_ack(struct tcp *tcp, struct connection *c, const struct segment *s)
{
    struct segment rest = *s; /* what follows the SYN: on at the sixth step */

    established(tcp, c, s);
    rest.seq++;
    rest.flags &= (uint8_t)~TCP_SYN;
    if (rest.urgent > 0)
        rest.urgent--;
    if (!brings_text(&rest) || take_text(tcp, c, &rest))
        output_queue(tcp, c);
}

/* RFC 9293 3.10.7.3 */
static void syn_sent_input(struct tcp *tcp, struct connection *c, const struct segment *s)
{
    bool has_ack = s->flags & TCP_ACK;

    if (has_ack && (seq_le(s->ack, c->iss) || seq_gt(s->ack, c->snd_nxt))) {
        count(tcp->core, tcp_ack_unacceptable);
        output_reset_reply(tcp, &c->entry.tuple, s);
        return;
    }
    if (s->flags & TCP_RST) {
        count(tcp->core, tcp_resets_in);
        if (has_ack) {
            count(tcp->core, tcp_connections_refused);
            connection_fail(tcp, c, ECONNREFUSED);
        }
        return;
    }
    if (!(s->flags & TCP_SYN)) {
        count(tcp->core, tcp_syn_missing);
        return;
    }
    take_syn(tcp, c, s);
    c->ecn = c->ecn && has_ack && ecn_is_agreed(s->flags);
    c->ecn_capable = c->ecn && c->retries < TCP_ECN_SYNS; /* RFC 3168 6.1.1: all SYNs asked */
    if (!has_ack) {                                       /* simultaneous open, RFC 9293 3.5 */
        connection_set_state(tcp, c, STATE_SYN_RECEIVED);
        output_syn(tcp, c);
        return;
    }
    c->ack_due = ACK_NOW;
    established_by_syn_ack(tcp, c, s);
}

/* The ACK of our SYN, in SYN-RECEIVED. Returns false if the segment goes no further. */
static bool syn_received_ack(struct tcp *tcp, struct connection *c, const struct segment *s)
{
    if (s->ack != c->iss + 1) {
        count(tcp->core, tcp_ack_unacceptable);
        output_reset_reply(tcp, &c->entry.tuple, s);
        return false;
    }
    established(tcp, c, s);
    return true;
}

/* ---- A segment for a connection ---- */

void connection_input(struct tcp *tcp, struct connection *c, const struct segment *s)
{
    if (s->length > 0)
        __builtin_prefetch(c->owner); /* which will be told of the text */
    c->segments_in += s->pieces;
    if (c->state == STATE_SYN_SENT) {
        syn_sent_input(tcp, c, s);
        return;
    }
    uint8_t kind = s->flags & (TCP_SYN | TCP_ACK | TCP_RST);
    if (c->state == STATE_SYN_RECEIVED && s->seq == c->irs && kind == (TCP_SYN | TCP_ACK) &&
        s->ack == c->iss + 1) {
        established_by_syn_ack(tcp, c, s); /* simultaneous open: the peer repeats its SYN */
        return;
    }
    if (!acceptable(tcp, c, s))
        return;
    if (c->state == STATE_SYN_RECEIVED && !syn_received_ack(tcp, c, s))
        return;
    if (!take_ack(tcp, c, s))
        return;
    if (!brings_text(s) || take_text(tcp, c, s))
        output_queue(tcp, c);
}

/* ---- From IP ---- */

/* A segment that is for a record, a listener, nobody, or a connection that it was not likely for;
 * `e` is what it was likely for, or NULL. By itself, lest every segment make the tuple. */
static __attribute__((noinline)) void input_of_tuple(struct tcp *tcp,
                                                     const struct ip_packet *packet,
                                                     const struct segment *s, struct entry *e)
{
    struct tuple tuple = {
        .local = packet->destination,
        .remote = packet->source,
        .local_port = s->destination_port,
        .remote_port = s->source_port,
    };
    if (!e)
        e = entry_find(tcp, &tuple);
    if (e && e->kind == ENTRY_CONNECTION) {
        connection_input(tcp, container_of(e, struct connection, entry), s);
        return;
    }
    if (e && e->kind == ENTRY_HALF_OPEN) {
        half_open_input(tcp, container_of(e, struct half_open, entry), s);
        return;
    }
    struct listener *l = listener_find(tcp, &tuple);
    uint32_t iss_above;
    if (e && !time_wait_input(tcp, container_of(e, struct time_wait, entry), s,
                              l && listener_has_room(tcp, l), &iss_above))
        return;
    if (l) {
        listener_input(tcp, l, &tuple, s, e ? &iss_above : NULL);
    } else {
        count(tcp->core, tcp_no_connection);
        output_reset_reply(tcp, &tuple, s);
    }
}

static void tcp_input(void *self, const struct ip_packet *packet)
{
    struct tcp *tcp = self;
    struct segment s;

    if (packet->broadcast) { /* RFC 9293 3.9.2.3, MUST-57 */
        count(tcp->core, tcp_address_refused);
        return;
    }
    if (!segment_parse(tcp->core, packet, &s))
        return;
    struct entry *e = entry_likely(tcp, packet, &s);
    if (e && e->kind == ENTRY_CONNECTION)
        connection_input(tcp, container_of(e, struct connection, entry), &s);
    else
        input_of_tuple(tcp, packet, &s, e);
}

const struct ip_protocol tcp_protocol = {.input = tcp_input, .error = tcp_error};
