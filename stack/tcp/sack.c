/* SPDX-License-Identifier: MIT */
/*
 * Selective acknowledgement (RFC 2018, RFC 2883): what we tell the peer of data that came out of
 * order or twice, and what the peer tells us. Both sides keep stream positions, so that old news
 * are told from new ones however far the sequence numbers have gone around.
 *
 * What the peer tells is advice, which it may take back (RFC 2018 8): it decides what is sent
 * again, and never frees what was sent.
 */
#include "tcp/connection.h"

#define LOST_AFTER 3u /* DupThresh, RFC 6675 2 */

static uint32_t lesser(uint32_t a, uint64_t b)
{
    return a < b ? a : (uint32_t)b;
}

/* ---- What we report ---- */

/* The sequence number of receive_position: the peer's FIN has one, but is no text. */
static uint32_t text_nxt(const struct connection *c)
{
    return c->rcv_nxt - receive_fin_taken(c);
}

static uint32_t arrived_seq(const struct connection *c, uint64_t position)
{
    return text_nxt(c) + (uint32_t)(position - c->receive_position);
}

/* Duplicates that adjoin are one, since a super-packet may come again as its segments. */
static void add_duplicate(struct connection *c, uint64_t start, uint64_t end)
{
    struct disorder *disorder = disorder_make(c);
    struct range *d = disorder ? &disorder->report.duplicate : NULL;

    if (!d) /* RFC 2883 1: it helps the peer, who does without it as well */
        return;
    if (start > d->end || end < d->start) {
        *d = (struct range){start, end};
        return;
    }
    d->start = start < d->start ? start : d->start;
    d->end = end > d->end ? end : d->end;
}

void sack_note_duplicate(const struct tcp *tcp, struct connection *c, const struct segment *s)
{
    if (!c->sack || !tcp->core->config.dsack || s->length == 0)
        return;
    int32_t ahead = seq_distance(text_nxt(c), s->seq);
    int64_t position = (int64_t)c->receive_position + ahead;
    if (position < 0)
        return; /* of what precedes the stream there is no text */
    uint64_t start = (uint64_t)position;
    uint64_t end = start + s->length;

    /* RFC 2883 4 (1): the first of two that one segment repeats */
    if (ahead < 0) {
        add_duplicate(c, start, end < c->receive_position ? end : c->receive_position);
        return;
    }
    const struct range *r = ranges_above(&c->disorder->out_of_order, start);
    if (r && r->start < end)
        add_duplicate(c, start > r->start ? start : r->start, end < r->end ? end : r->end);
}

void sack_note_arrival(struct connection *c, uint64_t position)
{
    const struct range *grown = ranges_above(&c->disorder->out_of_order, position);
    struct sack_report old = c->disorder->report, *report = &disorder_of(c)->report;

    report->recent[0] = position;
    report->recent_count = 1;
    for (int i = 0; i < old.recent_count && report->recent_count < TCP_SACK_BLOCKS_MAX; i++) {
        uint64_t other = old.recent[i];
        if (other >= c->receive_position && (other < grown->start || other >= grown->end))
            report->recent[report->recent_count++] = other;
    }
}

void sack_forget_arrivals(struct connection *c)
{
    disorder_of(c)->report = (struct sack_report){0};
}

static void put_block(const struct connection *c, const struct range *r, struct tcp_options *o)
{
    o->sack[o->sack_count++] = (struct sack_block){
        .left = arrived_seq(c, r->start),
        .right = arrived_seq(c, r->end),
    };
}

/* Adds the out-of-order data around a position, unless that is acknowledged by now, or there. */
static void put_around(const struct connection *c, uint64_t position, uint32_t most,
                       struct tcp_options *o)
{
    if (o->sack_count >= most || position < c->receive_position)
        return;
    const struct range *r = ranges_above(&c->disorder->out_of_order, position);
    for (int i = 1; i < o->sack_count; i++) /* the first may be a duplicate, and the same */
        if (o->sack[i].left == arrived_seq(c, r->start))
            return;
    put_block(c, r, o);
}

bool sack_report(struct tcp *tcp, struct connection *c, uint32_t length, struct tcp_options *o)
{
    struct disorder *d = disorder_of(c);
    struct range *duplicate = &d->report.duplicate;

    /* Options count against the MSS (RFC 9293 3.7.1), and beside timestamps three blocks fit. */
    uint32_t most = c->timestamps ? TCP_SACK_BLOCKS_MAX - 1 : TCP_SACK_BLOCKS_MAX;
    uint32_t taken = length + TCP_SACK_HEAD_BYTES;
    uint32_t fitting = c->mss > taken ? lesser(most, (c->mss - taken) / TCP_SACK_BLOCK_BYTES) : 0;

    if (length > 0 && fitting < most)
        return false;
    if (duplicate->end > 0 && fitting > 0) { /* RFC 2883 4: once, and before what it is part of */
        count(tcp->core, tcp_dsacks_out);
        put_block(c, duplicate, o);
        put_around(c, duplicate->start, fitting, o);
        *duplicate = (struct range){0};
    }
    /* RFC 2018 4: the latest first, then those that were reported before it. */
    for (int i = 0; i < d->report.recent_count; i++)
        put_around(c, d->report.recent[i], fitting, o);
    /* All of those may be in order by now, while something older is not. */
    if (o->sack_count == 0 && fitting > 0 && d->out_of_order.count > 0)
        put_block(c, &d->out_of_order.list[0], o);
    disorder_settle(c);
    return true;
}

/* ---- What the peer reports ---- */

/* A number that is not far from SND.UNA, as a position of `send`; the FIN stands at its end. */
static int64_t sent_position(const struct connection *c, uint32_t seq)
{
    return (int64_t)c->send.start + seq_distance(c->snd_una, seq);
}

/* RFC 2883 4: the first block is below the acknowledgement, or within the second. */
static bool is_duplicate_report(const struct connection *c, const struct segment *s)
{
    const struct sack_block *b = s->options.sack;

    if (seq_ge(b[0].left, b[0].right) || sent_position(c, b[0].left) < 0)
        return false;
    if (seq_le(b[0].right, s->ack))
        return seq_lt(b[0].left, s->ack);
    return s->options.sack_count > 1 && seq_ge(b[0].left, b[1].left) &&
           seq_le(b[0].right, b[1].right);
}

/* Takes a block that is no duplicate's. Returns whether it has something new. */
static bool take_block(struct tcp *tcp, struct connection *c, uint32_t ack,
                       const struct sack_block *b)
{
    uint32_t from = b->left - ack, to = b->right - ack; /* RFC 2018 3: in what is sent above ACK */

    if (from == 0 || from >= to || to > c->snd_nxt - ack) {
        count(tcp->core, tcp_sack_wrong);
        return false;
    }
    if (seq_le(b->left, c->snd_una)) /* of an old segment: acknowledged by now, or taken back */
        return false;
    uint64_t start = (uint64_t)sent_position(c, b->left);
    uint64_t end = start + (b->right - b->left);
    if (ranges_overlap(&c->disorder->sacked, start, end) == end - start)
        return false;
    struct disorder *d = disorder_make(c);
    if (!d || !ranges_add(&d->sacked, start, end, tcp->core->config.ranges_max)) {
        count(tcp->core, tcp_sack_limited);
        return false;
    }
    return true;
}

bool sack_take(struct tcp *tcp, struct connection *c, const struct segment *s)
{
    bool duplicate = is_duplicate_report(c, s), news = false;

    if (duplicate) {
        count(tcp->core, tcp_dsacks_in);
        c->duplicate_reports++;
    }
    for (int i = duplicate; i < s->options.sack_count; i++)
        news |= take_block(tcp, c, s->ack, &s->options.sack[i]);
    return news;
}

void sack_acknowledged(struct tcp *tcp, struct connection *c)
{
    struct ranges *r = &disorder_of(c)->sacked;

    if (c->snd_una == c->snd_nxt) {
        disorder_forget_sacked(c);
        return;
    }
    ranges_remove_below(r, c->send.start);
    /* An acknowledgement that ends where something is reported takes that back: RFC 2018 8. */
    if (r->count > 0 && r->list[0].start == c->send.start) {
        count(tcp->core, tcp_sack_reneged);
        ranges_clear(r);
    }
    disorder_settle(c);
}

/*
 * RFC 6675 4, IsLost: what is not SACKed below the range that is returned is lost, since three
 * ranges, or more bytes than two segments have, are SACKed from there on. NULL: nothing is.
 */
static const struct range *lost_below(const struct connection *c)
{
    const struct ranges *r = &c->disorder->sacked;
    uint64_t bytes = 0;

    for (uint32_t above = 1; above <= r->count; above++) {
        const struct range *lowest = &r->list[r->count - above];
        bytes += lowest->end - lowest->start;
        if (above == LOST_AFTER || bytes > (LOST_AFTER - 1) * (uint64_t)c->mss)
            return lowest;
    }
    return NULL;
}

bool sack_first_is_lost(const struct connection *c)
{
    return lost_below(c) != NULL;
}

uint32_t sack_left_path(const struct connection *c)
{
    const struct range *end = lost_below(c);
    uint64_t from = (uint64_t)sent_position(c, seq_max(c->high_rxt, c->snd_una));
    uint64_t left = ranges_overlap(&c->disorder->sacked, 0, UINT64_MAX);

    if (end && from < end->start)
        left += end->start - from - ranges_overlap(&c->disorder->sacked, from, end->start);
    return (uint32_t)left;
}

uint32_t sack_hole(const struct connection *c, uint32_t *seq)
{
    uint64_t start = (uint64_t)sent_position(c, *seq);
    const struct range *next = ranges_above(&c->disorder->sacked, start);

    if (next && next->start <= start) {
        *seq += (uint32_t)(next->end - start);
        start = next->end;
        next = ranges_above(&c->disorder->sacked, start);
    }
    return next ? (uint32_t)(next->start - start) : UINT32_MAX;
}

uint32_t sack_bytes_below(const struct connection *c, uint32_t seq)
{
    return (uint32_t)ranges_overlap(&c->disorder->sacked, 0, (uint64_t)sent_position(c, seq));
}

bool sack_next_lost(const struct connection *c, uint32_t from, uint32_t *seq, uint32_t *length)
{
    const struct range *end = lost_below(c);

    *seq = seq_max(from, c->snd_una);
    *length = sack_hole(c, seq);
    return end && (uint64_t)sent_position(c, *seq) < end->start;
}
