/* SPDX-License-Identifier: MIT */
/*
 * What is sent, and when. Everything that changes what a connection may send puts it on a list;
 * tcp_advance goes through the list once a batch, so that data, acknowledgements and window updates
 * of one batch share segments. A segment here may be a super-packet of many MSS, which the link
 * cuts.
 */
#include "tcp/connection.h"

/* Bytes that one connection sends before the others on the list have their turn. */
#define OUTPUT_QUANTUM (256u * 1024)

/* Connections that are told in one turn that memory has come back. */
#define FED_MAX 8

void output_queue(struct tcp *tcp, struct connection *c)
{
    if (!list_empty(&c->output_node))
        return;
    CHECK(connection_is_open(c));
    list_append(&tcp->output, &c->output_node);
}

/* ---- Segments ---- */

/* RFC 9293 3.8.5: all segments in front of the urgent pointer carry it, or lead towards it. */
static void tell_urgent(const struct connection *c, struct segment *s)
{
    int32_t ahead = seq_distance(s->seq, c->snd_up);

    if (ahead <= 0)
        return;
    s->flags |= TCP_URG;
    s->urgent = ahead < UINT16_MAX ? (uint16_t)ahead : UINT16_MAX;
}

/*
 * The fields that all segments of a connection share, one with `length` bytes of text to come;
 * settles that what was received is acked. In line: its callers know most of the flags.
 */
__attribute__((always_inline)) static inline void next_segment(struct tcp *tcp,
                                                               struct connection *c, uint32_t seq,
                                                               uint32_t length, uint8_t flags,
                                                               struct segment *s)
{
    s->source_port = c->entry.tuple.local_port;
    s->destination_port = c->entry.tuple.remote_port;
    s->seq = seq;
    s->ack = flags & TCP_ACK ? c->rcv_nxt : 0;
    s->flags = flags;
    s->urgent = 0;
    s->ecn = IP_ECN_NOT_ECT;
    s->options = (struct tcp_options){0};
    if (flags & TCP_SYN)
        s->window = receive_window_of_syn(c->receive_limit_bytes);
    else
        s->window = receive_window(tcp, c);
    if (c->timestamps) {
        s->options.has_timestamps = true;
        s->options.timestamp = timestamp_now(tcp->core, c->ts_offset);
        s->options.echo = c->ts_recent;
    }
    if (c->ecn_echo && !(flags & TCP_RST))
        s->flags |= TCP_ECE; /* RFC 3168 6.1.3 */
    if (c->urgent && !(flags & TCP_RST))
        tell_urgent(c, s);
    if (!sack_is_due(c) || (flags & (TCP_SYN | TCP_RST)) ||
        sack_report(tcp, c, length, &s->options))
        c->ack_due = ACK_NOT_DUE;
    c->rcv_unacked_pieces = 0;
    c->rcv_acked = c->rcv_nxt;
}

static void send_packet(struct tcp *tcp, const struct route *route, struct ip_outgoing *out,
                        uint32_t pieces)
{
    if (tcp->silent)
        return;
    count_by(tcp->core, tcp_segments_out, pieces);
    ip_output(tcp->ip, route, IPPROTO_TCP, out);
}

/* Keeps the books on a transmission of [seq, seq + length), and of the FIN behind it. */
static inline void note_sent(struct tcp *tcp, struct connection *c, uint32_t seq, uint32_t length,
                             bool fin, uint32_t pieces)
{
    uint32_t end = seq + length + fin;

    if (seq_lt(seq, c->snd_nxt)) {
        count_by(tcp->core, tcp_retransmitted_segments, pieces);
        c->retransmitted += pieces;
        c->retransmitted_bytes += length;
        c->rtt_timing = false; /* Karn: RFC 6298 3 */
    } else if (!c->rtt_timing) {
        rate_start(tcp, c, end);
        c->rtt_timing = true;
        c->rtt_seq = end;
        c->rtt_started_us = core_us(tcp->core);
    }
    c->snd_nxt = seq_max(c->snd_nxt, end);
    c->segments_out += pieces;
    if (length > 0) {
        c->text_segments_out += pieces;
        c->sent_text_ms = core_ms(tcp->core);
    }
}

/*
 * Sends queued bytes [seq, seq + length) as one segment or super-packet, with a FIN behind them if
 * `fin`. Returns the sequence space that went out: less if the bytes lie in too many pieces.
 */
static uint32_t send_data(struct tcp *tcp, struct connection *c, uint32_t seq, uint32_t length,
                          bool fin)
{
    struct ip_outgoing out;
    struct segment s;
    uint64_t position = c->send.start + (seq - output_first_seq(c));
    size_t covered;
    int parts =
        buffer_view(&c->send, position, length, out.parts + 1, OUTGOING_PARTS_MAX, &covered);

    if (covered < length) {
        fin = false;
        length = (uint32_t)(covered > c->mss ? covered - covered % c->mss : covered);
        parts =
            buffer_view(&c->send, position, length, out.parts + 1, OUTGOING_PARTS_MAX, &covered);
    }
    uint8_t flags = fin ? TCP_ACK | TCP_FIN : TCP_ACK;
    if (length > 0 && position + length == c->send.end) /* RFC 9293 3.9.1.2: nothing more waits */
        flags |= TCP_PSH;
    next_segment(tcp, c, seq, length, flags, &s);
    if (c->ecn_capable && length > 0)
        ecn_mark_text(c, &s, length);
    segment_write(&out, &s);
    out.count += parts;
    out.payload_bytes = length;
    uint32_t pieces = 1;
    if (length > c->mss) {
        pieces = (length + c->mss - 1) / c->mss;
        out.gso_size = c->mss;
    }
    bool again = seq_lt(seq, c->snd_nxt);
    note_sent(tcp, c, seq, length, fin, pieces);
    trace(tcp, c, again ? STRAIT_TRACE_RESENT : STRAIT_TRACE_SENT, position, length + fin);
    struct route route = connection_route(c);
    send_packet(tcp, &route, &out, pieces);
    return length + fin;
}

static void send_control(struct tcp *tcp, struct connection *c, const struct segment *s)
{
    struct ip_outgoing out;
    struct route route = connection_route(c);

    if (!(s->flags & TCP_SYN)) /* which note_sent has counted */
        c->segments_out++;
    segment_write(&out, s);
    send_packet(tcp, &route, &out, 1);
}

void output_syn(struct tcp *tcp, struct connection *c)
{
    uint8_t flags = c->state == STATE_SYN_SENT ? TCP_SYN : TCP_SYN | TCP_ACK;
    if (c->ecn && c->retries < TCP_ECN_SYNS)
        flags |= TCP_ECE | TCP_CWR;
    struct segment s;
    next_segment(tcp, c, c->iss, 0, flags, &s);

    s.options.mss = connection_mss_offer(c->interface, c->network_header_bytes, c->max_segment);
    s.options.has_scale = c->scaling;
    s.options.scale = c->receive_scale;
    s.options.sack_permitted = c->sack;
    c->snd_nxt = c->iss;
    note_sent(tcp, c, c->iss, 0, true, 1);
    c->snd_resend = c->snd_nxt;
    if (c->retries > 0) { /* note_sent saw snd_nxt at the SYN: this one is a repetition */
        count(tcp->core, tcp_retransmitted_segments);
        c->retransmitted++;
        c->rtt_timing = false;
    }
    send_control(tcp, c, &s);
    timers_arm(tcp, c);
    trace_changes(tcp, c);
}

/*
 * The number of a segment without text. It is SND.NXT, unless a probe has gone out beyond a closed
 * window: there the peer would refuse it, and with it what it acknowledges.
 */
static uint32_t bare_seq(const struct connection *c)
{
    return seq_min(c->snd_nxt, output_first_seq(c) + c->snd_wnd);
}

/* Sends a segment without text and without options of its own. */
static void send_bare(struct tcp *tcp, struct connection *c, uint32_t seq, uint8_t flags)
{
    struct segment s;

    next_segment(tcp, c, seq, 0, flags, &s);
    send_control(tcp, c, &s);
}

void output_ack(struct tcp *tcp, struct connection *c)
{
    send_bare(tcp, c, bare_seq(c), TCP_ACK);
}

bool output_may_challenge(struct core *core, struct entry *e)
{
    uint32_t now_ms = core_ms(core) & CHALLENGE_CLOCK;
    uint32_t past_ms = (now_ms - e->challenged_ms) & CHALLENGE_CLOCK;

    if (e->challenged_ms > 0 && past_ms < core->config.challenge_ack_ms) {
        count(core, tcp_challenge_acks_limited);
        return false;
    }
    e->challenged_ms = now_ms > 0 ? now_ms & CHALLENGE_CLOCK : 1;
    count(core, tcp_challenge_acks);
    return true;
}

void output_challenge_ack(struct tcp *tcp, struct connection *c)
{
    if (output_may_challenge(tcp->core, &c->entry))
        output_ack(tcp, c);
}

void output_reset(struct tcp *tcp, struct connection *c)
{
    bool both_closed = c->state == STATE_CLOSING || c->state == STATE_LAST_ACK;
    bool fin_sent = seq_gt(c->snd_nxt, output_end_seq(c));

    /* RFC 9293 3.10.5: there is nobody to tell, or nothing that both FINs have not told. */
    if (!connection_is_open(c) || c->state == STATE_SYN_SENT || (both_closed && fin_sent))
        return;
    count(tcp->core, tcp_resets_out);
    send_bare(tcp, c, bare_seq(c), TCP_RST | TCP_ACK);
}

void output_along(struct tcp *tcp, const struct route *route, const struct tuple *tuple,
                  struct segment *s)
{
    struct ip_outgoing out;

    s->source_port = tuple->local_port;
    s->destination_port = tuple->remote_port;
    segment_write(&out, s);
    send_packet(tcp, route, &out, 1);
}

void output_stateless(struct tcp *tcp, const struct tuple *tuple,
                      const struct tcp_ip_settings *settings, struct segment *s)
{
    struct route route;

    if (ip_route_find(tcp->ip, &tuple->local, &tuple->remote, &route) < 0)
        return;
    if (settings)
        route_set_ip(&route, settings);
    output_along(tcp, &route, tuple, s);
}

void output_reset_reply(struct tcp *tcp, const struct tuple *tuple, const struct segment *s)
{
    struct segment reset = {.flags = TCP_RST};

    if (s->flags & TCP_RST)
        return;
    if (s->flags & TCP_ACK) {
        reset.seq = s->ack;
    } else {
        reset.ack = s->seq + segment_span(s);
        reset.flags |= TCP_ACK;
    }
    count(tcp->core, tcp_resets_out);
    output_stateless(tcp, tuple, NULL, &reset);
}

/* ---- What may be sent ---- */

struct plan {
    uint32_t length;
    bool fin;
};

/*
 * Whether the next segment has to go alone: who cuts a super-packet copies the urgent pointer,
 * which counts from each segment's own number, and CWR is for one segment (RFC 3168 6.1.2).
 */
static bool goes_alone(const struct connection *c)
{
    return c->urgent || (c->ecn_cwr_due && c->snd_resend == c->snd_nxt);
}

/* What `length` bytes of text have behind the last full segment. Most are less than one, and need
 * no division, the dearest of all instructions here. */
static uint32_t tail_bytes(const struct connection *c, uint32_t length)
{
    if (length < c->mss)
        return length;
    CHECK(c->mss > 0);
    return length % c->mss;
}

/* The most payload that goes out at once: a super-packet where the link cuts them. */
static uint32_t largest_payload(const struct connection *c)
{
    uint32_t header_bytes =
        c->network_header_bytes + TCP_HEADER_BYTES + (c->timestamps ? TCP_TIMESTAMPS_BYTES : 0u);
    uint32_t payload = TCP_SUPER_PACKET_MAX - header_bytes;

    if (!(c->interface->link->features & STRAIT_LINK_TSO4) || payload < c->mss || goes_alone(c))
        return c->mss;
    return payload - payload % c->mss;
}

/* What of the peer's window is left at snd_resend. */
static uint32_t usable(const struct connection *c, uint32_t window)
{
    int32_t left = seq_distance(c->snd_resend, c->snd_una + window);

    return left > 0 ? (uint32_t)left : 0;
}

/* Whether a segment short of an MSS that ends the queue may go now. */
static bool tail_may_go(const struct connection *c)
{
    if (c->push || c->fin_queued || c->urgent || seq_lt(c->snd_resend, c->snd_nxt))
        return true;
    if (c->corked || c->more)
        return false;
    if (c->nodelay)
        return true;
    /* Nagle, RFC 9293 3.7.4, as Minshall has it: only an unacknowledged short segment holds it. */
    return seq_le(c->snd_small_end, c->snd_una);
}

/* How much of what waits may be sent as a segment now: the rules against silly windows. */
static uint32_t data_to_send(const struct connection *c, uint32_t waiting)
{
    CHECK(c->mss > 0); /* settled by the handshake */
    uint32_t congestion_window = c->congestion.cwnd + c->beyond_cwnd;
    uint32_t length = usable(c, c->snd_wnd < congestion_window ? c->snd_wnd : congestion_window);
    uint32_t largest = waiting <= c->mss ? c->mss : largest_payload(c);

    if (c->ecn_paused)
        return 0;
    length = length < largest ? length : largest;
    if (length >= waiting) {
        length = waiting;
        uint32_t tail = tail_bytes(c, length);
        return tail == 0 || tail_may_go(c) ? length : length - tail;
    }
    if (length >= c->mss)
        return length - length % c->mss;
    /* RFC 9293 3.8.6.2.1 (3): at least half of the largest window there was. */
    return length >= c->snd_wnd_max / 2 ? length : 0;
}

bool output_is_corked(const struct connection *c)
{
    uint32_t waiting = output_end_seq(c) - c->snd_resend;

    return (c->corked || c->more) && !c->ecn_paused && waiting < c->mss && !tail_may_go(c) &&
           waiting <= usable(c, c->snd_wnd);
}

static bool sends_data(const struct connection *c)
{
    const unsigned states = 1u << STATE_ESTABLISHED | 1u << STATE_CLOSE_WAIT |
                            1u << STATE_FIN_WAIT_1 | 1u << STATE_CLOSING | 1u << STATE_LAST_ACK;
    return states >> c->state & 1;
}

/* Decides on the next segment. Returns false if nothing is to be sent now. */
static bool next_to_send(struct connection *c, struct plan *plan)
{
    uint32_t most = c->after_timeout ? loss_pass_over(c) : UINT32_MAX;
    uint32_t end = output_end_seq(c);
    uint32_t waiting = seq_lt(c->snd_resend, end) ? end - c->snd_resend : 0;

    if (waiting == 0 && !c->fin_queued)
        return false;
    waiting = waiting < most ? waiting : most;
    plan->length = waiting ? data_to_send(c, waiting) : 0;
    plan->fin = c->fin_queued && c->snd_resend + plan->length == end &&
                usable(c, c->snd_wnd) > plan->length;
    return plan->length > 0 || plan->fin;
}

/* Sends of the queue what may be sent now. Returns true if that is more than OUTPUT_QUANTUM. */
static bool send_queued(struct tcp *tcp, struct connection *c)
{
    struct plan plan;
    uint32_t sent = 0;
    bool more;

    if (!sends_data(c))
        return false;
    while ((more = next_to_send(c, &plan)) && sent < OUTPUT_QUANTUM) {
        uint32_t span = send_data(tcp, c, c->snd_resend, plan.length, plan.fin);
        c->snd_resend += span;
        if (tail_bytes(c, span) > 0)
            c->snd_small_end = seq_max(c->snd_small_end, c->snd_resend);
        sent += span;
    }
    if (sent > 0 && c->unsent_limited)
        connection_wake(tcp, c); /* less waits that was never sent */
    return more;
}

bool output_run(struct tcp *tcp, struct connection *c)
{
    if (c->state == STATE_SYN_SENT) {
        if (c->snd_nxt == c->iss)
            output_syn(tcp, c);
        return false;
    }
    if (c->in_recovery)
        loss_fill_holes(tcp, c);
    bool more = send_queued(tcp, c);
    if (!more) /* it holds for what was queued, however many turns that takes */
        c->push = false;
    /* What carried data counts as no duplicate (RFC 5681 2), so those that are owed go bare. */
    for (; c->duplicate_acks_owed > 0; c->duplicate_acks_owed--)
        output_ack(tcp, c);
    if (c->ack_due == ACK_NOW)
        output_ack(tcp, c);
    timers_arm(tcp, c);
    timers_arm_ack(tcp, c);
    trace_changes(tcp, c);
    return more;
}

uint32_t output_retransmit(struct tcp *tcp, struct connection *c, uint32_t seq, uint32_t most)
{
    uint32_t length = seq_min(output_end_seq(c), c->snd_nxt) - seq; /* of the text that was sent */

    length = length < c->mss ? length : c->mss;
    length = length < most ? length : most;
    bool fin = seq + length == output_end_seq(c) &&
               seq_gt(c->snd_nxt, seq + length); /* our FIN was sent */
    return send_data(tcp, c, seq, length, fin);
}

void output_probe(struct tcp *tcp, struct connection *c)
{
    uint32_t waiting = output_end_seq(c) - c->snd_una;
    uint32_t open = usable(c, c->snd_wnd);
    bool owed = c->ack_due != ACK_NOT_DUE;

    count(tcp->core, tcp_window_probes);
    if (waiting == 0) {
        send_data(tcp, c, c->snd_una, 0, c->fin_queued);
    } else {
        /* A window too small to use of free will is used now: RFC 9293 3.8.6.2.1 (4). */
        uint32_t length = open > c->mss ? c->mss : open ? open : 1;
        send_data(tcp, c, c->snd_una, length < waiting ? length : waiting, false);
    }
    if (owed) /* beyond a closed window the peer takes no acknowledgement from the probe */
        c->ack_due = ACK_NOW;
    /* snd_resend stays: what the probe carried goes again with the rest when the window opens. */
    output_queue(tcp, c);
}

void output_keepalive(struct tcp *tcp, struct connection *c)
{
    bool owed = c->ack_due != ACK_NOT_DUE;

    count(tcp->core, tcp_keepalive_probes);
    /* SHLD-12: no text. The number lies below the peer's window, which it has to answer. */
    send_bare(tcp, c, c->snd_una - 1, TCP_ACK);
    if (owed) /* the peer takes no acknowledgement from a segment outside its window */
        c->ack_due = ACK_NOW;
    output_queue(tcp, c);
}

/* Whether there is memory for more of what the connection's user sends. */
static bool may_take_memory(const struct pool *pool, const struct connection *c)
{
    bool little = buffer_memory(&c->send) < MODEST_BYTES;
    size_t spare = little ? spare_of_little(pool) : spare_of_much(pool);
    return pool_room(pool, spare) >= POOL_SMALL_BYTES;
}

/* Tells a connection of the memory that there is. It goes on waiting if that is not enough. */
static void feed(struct tcp *tcp, struct connection *c)
{
    list_remove(&c->starved_node);
    receive_consumed(tcp, c);
    if (c->send_starved && may_take_memory(&tcp->core->pool, c)) {
        c->send_starved = false;
        connection_wake(tcp, c);
    } else if (c->send_starved) {
        connection_starve(tcp, c);
    }
}

/*
 * Memory has come back: those who met the limit may write again, and open their windows. All are
 * told once when there is a block more than when the last began to wait, a few in each turn.
 * Returns whether some are left whose turn has come.
 */
static bool feed_starved(struct tcp *tcp)
{
    if (list_empty(&tcp->fed)) {
        if (list_empty(&tcp->starved))
            return false;
        size_t room = pool_room(&tcp->core->pool, 0);
        if (room < tcp->starved_room)
            tcp->starved_room = room;
        if (room - tcp->starved_room < POOL_SMALL_BYTES)
            return false;
        list_take(&tcp->fed, &tcp->starved);
        tcp->starved_room = room;
    }
    for (int i = 0; i < FED_MAX && !list_empty(&tcp->fed); i++) {
        if (pool_room(&tcp->core->pool, 0) < POOL_SMALL_BYTES)
            return false;
        feed(tcp, container_of(tcp->fed.next, struct connection, starved_node));
    }
    return !list_empty(&tcp->fed);
}

/* Those with more to send than their turn allows come again behind all that wait. */
static void output_all(struct tcp *tcp)
{
    while (!list_empty(&tcp->output)) {
        struct connection *c = container_of(tcp->output.next, struct connection, output_node);
        list_remove(&c->output_node);
        if (output_run(tcp, c))
            output_queue(tcp, c);
    }
}

uint64_t tcp_advance(struct tcp *tcp)
{
    timer_wheel_advance(&tcp->timers, tcp->core->now_ns);
    bool hungry = feed_starved(tcp);
    output_all(tcp);
    return hungry ? tcp->core->now_ns : timer_wheel_next(&tcp->timers);
}
