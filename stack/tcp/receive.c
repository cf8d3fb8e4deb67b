/* SPDX-License-Identifier: MIT */
/*
 * The receiving side of the data: text is copied once, to its place in the receive buffer, whether
 * it is in order or not; what is above rcv_nxt is kept as a list of ranges.
 */
#include "tcp/connection.h"

/*
 * How far rounding up to the window's scale may push the right edge past the buffer's limit. The
 * edge must not move left (RFC 9293 3.8.6, SHLD-14), and a window is a multiple of 2^scale; a peer
 * that sends byte by byte to a reader that sleeps uses this up, and then sees the edge move left by
 * less than that unit (RFC 7323 2.4).
 */
#define EDGE_SLACK_BYTES 65536

#define UNACKED_MAX 2u /* segments: RFC 5681 4.2 */

/* ---- The window ---- */

uint16_t receive_window_of_syn(uint32_t receive_limit_bytes)
{
    return (uint16_t)(receive_limit_bytes < UINT16_MAX ? receive_limit_bytes : UINT16_MAX);
}

/* The largest window that the field can say. */
static uint32_t window_max(const struct connection *c)
{
    return (uint32_t)UINT16_MAX << c->receive_scale;
}

/* What is left of the window that was advertised. */
static uint32_t window_promised(const struct connection *c)
{
    return c->rcv_edge - c->rcv_nxt;
}

/* The window that the buffer allows, and the field can say. */
static uint32_t window_allowed(const struct tcp *tcp, const struct connection *c)
{
    uint64_t unread = connection_readable(c);
    uint64_t room = c->receive_limit_bytes > unread ? c->receive_limit_bytes - unread : 0;
    uint64_t memory = pool_room(&tcp->core->pool, 0);

    room = room < memory ? room : memory;
    return room < window_max(c) ? (uint32_t)room : window_max(c);
}

/* By how much the right edge may move, if that is `least` or more; else 0. */
static uint32_t edge_growth(const struct tcp *tcp, const struct connection *c, uint32_t least)
{
    uint32_t promised = window_promised(c);

    if (promised + least > c->receive_limit_bytes) /* so it mostly is: the rest need not be known */
        return 0;
    uint32_t allowed = window_allowed(tcp, c);
    return allowed >= promised + least ? allowed - promised : 0;
}

static uint32_t lesser(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/*
 * RFC 9293 3.8.6.2.2: the edge moves by as many segments, or by half of the buffer (of which there
 * is no more than the field can say), or not at all; or by an eighth of the memory, lest a segment
 * that is larger than what is left shut it for ever.
 */
static uint32_t least_growth(const struct tcp *tcp, const struct connection *c, uint32_t segments)
{
    size_t share = tcp->core->pool.limit_bytes / 8;
    uint32_t buffer = lesser(c->receive_limit_bytes, window_max(c));
    uint32_t least = lesser(buffer / 2, segments * c->rcv_mss);

    return share < least ? (uint32_t)share : least;
}

/* If memory may be what keeps the window small, its return is to be told. */
static void starve_if_short(struct tcp *tcp, struct connection *c)
{
    if (pool_room(&tcp->core->pool, 0) < c->receive_limit_bytes)
        connection_starve(tcp, c);
}

uint16_t receive_window(struct tcp *tcp, struct connection *c)
{
    uint32_t promised = window_promised(c), window = promised;
    uint32_t growth = edge_growth(tcp, c, least_growth(tcp, c, 1));

    window += growth;
    if (growth == 0)
        starve_if_short(tcp, c);

    uint32_t unit = UINT32_C(1) << c->receive_scale;
    uint32_t field = lesser(window >> c->receive_scale, UINT16_MAX);
    if (field * unit < promised && field < UINT16_MAX &&
        connection_readable(c) + (field + 1) * unit <= c->receive_limit_bytes + EDGE_SLACK_BYTES)
        field++;
    if (field * unit > promised)
        c->rcv_edge = c->rcv_nxt + field * unit;
    return (uint16_t)field;
}

void receive_consumed(struct tcp *tcp, struct connection *c)
{
    if (!connection_is_open(c) || receive_fin_taken(c))
        return;
    /* What is left of the window keeps the peer busy: it need not hear of less than twice that. */
    uint32_t growth = edge_growth(tcp, c, window_promised(c));
    if (growth == 0 || growth < least_growth(tcp, c, 2)) {
        starve_if_short(tcp, c);
        return;
    }
    c->ack_due = ACK_NOW;
    output_queue(tcp, c);
}

/*
 * As Linux: twice what was read in a round trip, so that a sender whom the window holds back, and
 * who doubles what it sends each time, is not held back by it in the next; unless half of the
 * memory is taken. A user who does not read does not get more.
 */
void receive_grow(const struct tcp *tcp, struct connection *c, uint32_t read_bytes)
{
    const struct pool *pool = &tcp->core->pool;
    uint32_t most = tcp->core->config.receive_buffer_bytes;
    uint64_t wanted = (uint64_t)2 * read_bytes;

    if (wanted <= c->receive_limit_bytes || c->receive_limit_bytes >= most || c->receive_fixed)
        return;
    if (pool_room(pool, pool->limit_bytes / 2) > 0)
        c->receive_limit_bytes = wanted < most ? (uint32_t)wanted : most;
}

/* ---- The text ---- */

/* What of a segment is new and inside the window. */
struct text {
    const uint8_t *bytes;
    uint32_t length;
    uint64_t position;
    bool fin; /* right behind the bytes */
};

static struct text trim(struct tcp *tcp, const struct connection *c, const struct segment *s)
{
    struct text t = {.bytes = s->payload, .length = s->length, .fin = s->flags & TCP_FIN};
    int32_t offset = seq_distance(c->rcv_nxt, s->seq);

    if (offset < 0) {
        uint32_t known = lesser((uint32_t)-offset, t.length);
        count_by(tcp->core, tcp_duplicate_bytes, known);
        t.bytes += known;
        t.length -= known;
        offset = 0;
    }
    uint32_t window = window_promised(c);
    uint32_t room = window > (uint32_t)offset ? window - (uint32_t)offset : 0;
    t.position = c->receive_position + (uint32_t)offset;
    if (c->fin_seen && t.position + room > c->fin_position) /* nothing comes behind a FIN */
        room = t.position < c->fin_position ? (uint32_t)(c->fin_position - t.position) : 0;
    if (t.length > room) {
        t.length = room;
        t.fin = false;
    }
    return t;
}

/*
 * What out-of-order text leaves free: an eighth of the memory. And it holds no more than its share,
 * since it stays for as long as its sender is silent, and senders here would wait for it.
 */
static size_t spare_of_out_of_order(const struct tcp *tcp)
{
    const struct pool *pool = &tcp->core->pool;
    size_t eighth = pool->limit_bytes / 8;
    size_t share = pool->limit_bytes * tcp->core->config.out_of_order_share / 100;
    size_t own = share > tcp->out_of_order_bytes ? share - tcp->out_of_order_bytes : 0;
    size_t room = pool_room(pool, 0);

    return room > own + eighth ? room - own : eighth;
}

void receive_forget_out_of_order(struct tcp *tcp, struct connection *c)
{
    struct disorder *d = disorder_of(c);

    if (!d)
        return;
    ranges_clear(&d->out_of_order);
    tcp->out_of_order_bytes -= d->out_of_order_bytes;
    d->out_of_order_bytes = 0;
    disorder_settle(c);
}

/* Writes text in order, to which out-of-order data gives way. Returns what was taken. */
static uint32_t store_in_order(struct tcp *tcp, struct connection *c, const struct text *t)
{
    struct pool *pool = &tcp->core->pool;
    size_t taken = buffer_write(&c->receive, pool, 0, t->position, t->bytes, t->length);

    if (taken == t->length)
        return t->length;
    if (c->disorder->out_of_order.count > 0) {
        count(tcp->core, tcp_out_of_order_pruned);
        sack_forget_arrivals(c); /* RFC 2018 8 allows it: the sender keeps what is only SACKed */
        receive_forget_out_of_order(tcp, c);
        buffer_drop_above(&c->receive, pool, t->position + taken);
        taken += buffer_write(&c->receive, pool, 0, t->position + taken, t->bytes + taken,
                              t->length - taken);
    }
    if (taken < t->length)
        count(tcp->core, tcp_memory_short);
    return (uint32_t)taken;
}

/* Writes other text, as far as there is memory for it. Returns what was taken. */
static uint32_t store_out_of_order(struct tcp *tcp, struct connection *c, const struct text *t)
{
    size_t spare = spare_of_out_of_order(tcp);
    size_t before = buffer_memory(&c->receive);
    size_t taken =
        buffer_write(&c->receive, &tcp->core->pool, spare, t->position, t->bytes, t->length);
    size_t held = buffer_memory(&c->receive) - before;

    disorder_of(c)->out_of_order_bytes += held;
    tcp->out_of_order_bytes += held;
    if (taken < t->length)
        count(tcp->core, tcp_memory_short);
    return (uint32_t)taken;
}

/* Text in order reaches to `position`. Returns how far with what was waiting for it. */
static uint64_t join(struct tcp *tcp, struct connection *c, uint64_t position)
{
    struct ranges *waiting = &disorder_of(c)->out_of_order;

    ranges_remove_below(waiting, position); /* the text may have covered some */
    if (waiting->count > 0 && waiting->list[0].start == position) {
        position = waiting->list[0].end;
        ranges_remove_below(waiting, position);
    }
    if (waiting->count == 0)
        receive_forget_out_of_order(tcp, c);
    return position;
}

/* The text at rcv_nxt, and what it makes whole, becomes readable. */
static void advance(struct tcp *tcp, struct connection *c, uint64_t position)
{
    if (c->disorder != &disorder_none)
        position = join(tcp, c, position);
    c->rcv_nxt += (uint32_t)(position - c->receive_position);
    c->receive_position = position;
    c->duplicate_acks_owed = 0;
    if (c->receive_shut)
        buffer_drop_below(&c->receive, &tcp->core->pool, position);
    connection_wake(tcp, c);
}

static void take_in_order(struct tcp *tcp, struct connection *c, const struct text *t,
                          uint32_t pieces)
{
    bool hole = c->disorder->out_of_order.count > 0;
    uint32_t taken = store_in_order(tcp, c, t);

    if (taken > 0)
        advance(tcp, c, t->position + taken);
    uint32_t piece_bytes = pieces > 1 ? t->length / pieces : t->length;
    if (piece_bytes > c->rcv_mss)
        c->rcv_mss = (uint16_t)piece_bytes;
    c->rcv_unacked_pieces = (uint8_t)lesser(c->rcv_unacked_pieces + pieces, UNACKED_MAX);
    /* RFC 5681 4.2: every second segment, and at once while a hole is being filled. */
    if (hole || taken < t->length || c->rcv_unacked_pieces >= UNACKED_MAX || c->quick_ack)
        c->ack_due = ACK_NOW;
    else if (c->ack_due == ACK_NOT_DUE)
        c->ack_due = ACK_DELAYED;
}

/* Whether the text would stand alone among the out-of-order data, as one more range. */
static bool stands_alone(const struct connection *c, const struct text *t)
{
    const struct range *r = ranges_above(&c->disorder->out_of_order, t->position - 1);

    return !r || r->start > t->position + t->length;
}

static void take_out_of_order(struct tcp *tcp, struct connection *c, const struct text *t,
                              uint32_t pieces)
{
    /* RFC 5681 4.2: one for each segment, since the sender counts to three. */
    uint32_t owed = c->duplicate_acks_owed + pieces;
    c->duplicate_acks_owed = (uint8_t)lesser(owed, TCP_DUPLICATES_MAX);
    c->ack_due = ACK_NOW;
    count(tcp->core, tcp_out_of_order_segments);
    c->out_of_order_segments += pieces;
    uint32_t ranges_max = tcp->core->config.ranges_max;
    if (c->disorder->out_of_order.count >= ranges_max && stands_alone(c, t)) {
        count(tcp->core, tcp_out_of_order_limited);
        return;
    }
    struct disorder *d = disorder_make(c);
    if (!d) {
        count(tcp->core, tcp_memory_short);
        return;
    }
    uint32_t taken = store_out_of_order(tcp, c, t);
    if (taken == 0) {
        disorder_settle(c);
        return;
    }
    if (ranges_add(&d->out_of_order, t->position, t->position + taken, ranges_max))
        sack_note_arrival(c, t->position);
    else
        count(tcp->core, tcp_memory_short);
}

/* ---- The urgent pointer ---- */

/*
 * RFC 9293 3.10.7.4, sixth. It may lie beyond the text and beyond the window: a peer that may not
 * send says early that there is something urgent. It never goes back, as old segments want it to.
 */
void receive_urgent(struct tcp *tcp, struct connection *c, const struct segment *s)
{
    int64_t start = (int64_t)c->receive_position + seq_distance(c->rcv_nxt, s->seq);
    int64_t end = start + s->urgent;

    if (end <= (int64_t)c->urgent_end || end <= (int64_t)c->receive.start) {
        count(tcp->core, tcp_urgent_ignored);
        return;
    }
    count(tcp->core, tcp_urgent_in);
    c->urgent_end = (uint64_t)end;
    c->urgent_told = true;
    connection_wake(tcp, c);
}

/* ---- Text and FIN ---- */

/* RFC 9293 3.10.7.4, eighth: the FIN's turn has come. */
static void take_fin(struct tcp *tcp, struct connection *c)
{
    c->rcv_nxt++;
    if (seq_lt(c->rcv_edge, c->rcv_nxt))
        c->rcv_edge = c->rcv_nxt;
    c->ack_due = ACK_NOW;
    connection_wake(tcp, c);
    switch ((enum tcp_state)c->state) {
    case STATE_ESTABLISHED:
        connection_set_state(tcp, c, STATE_CLOSE_WAIT);
        break;
    case STATE_FIN_WAIT_1:
        connection_set_state(tcp, c, STATE_CLOSING);
        break;
    default: /* FIN-WAIT-2 ends in connection_input */
        break;
    }
}

void receive_text(struct tcp *tcp, struct connection *c, const struct segment *s)
{
    struct text t = trim(tcp, c, s);

    if (s->length > 0) {
        c->text_segments_in += s->pieces;
        c->heard_text_ms = core_ms(tcp->core);
    }
    if (s->seq != c->rcv_nxt || c->disorder->out_of_order.count > 0)
        sack_note_duplicate(tcp, c, s);
    if (t.fin && !c->fin_seen) {
        c->fin_seen = true;
        c->fin_position = t.position + t.length;
    }
    if (t.length < s->length || (s->flags & TCP_FIN)) /* known already, or beyond the window */
        c->ack_due = ACK_NOW;
    if (t.length > 0 && t.position == c->receive_position) {
        take_in_order(tcp, c, &t, s->pieces);
        rate_note_text(tcp, c, s);
    } else if (t.length > 0) {
        take_out_of_order(tcp, c, &t, s->pieces);
    }
    if (t.length > 0)
        trace(tcp, c, STRAIT_TRACE_RECEIVED, t.position, t.length);
    if (receive_fin_taken(c))
        take_fin(tcp, c);
}
