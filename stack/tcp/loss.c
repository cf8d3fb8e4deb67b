/* SPDX-License-Identifier: MIT */
/*
 * Loss recovery: limited transmit (RFC 3042), fast retransmit and fast recovery, of NewReno (RFC
 * 6582) or with SACK (RFC 6675), and what a timeout does (RFC 5681 3.1, RFC 6298 5.4 to 5.7). After
 * a timeout everything from snd_una is sent again as the window opens, but for what the peer
 * reports from then on; so it is after a router has said that it was too big (RFC 1191 6.4).
 *
 * NewReno inflates cwnd by what has left the path. With SACK it is known what has, and cwnd is left
 * alone: `beyond_cwnd` is how much more than cwnd may lie between snd_una and snd_nxt, so that what
 * RFC 6675 calls the pipe is in_flight - beyond_cwnd. Limited transmit uses the same allowance.
 */
#include "tcp/connection.h"

#define DUPLICATE_ACKS   3u /* RFC 5681 3.2 */
#define LIMITED_TRANSMIT 2u /* RFC 3042 2, segments */

static uint32_t in_flight(const struct connection *c)
{
    return c->snd_nxt - c->snd_una;
}

static uint32_t lesser(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void partial_ack(struct connection *c, uint32_t bytes)
{
    struct congestion *cc = &c->congestion;

    /* RFC 6582 3.2, 3: the next hole is sent at once, unless that was done already ... */
    if (seq_ge(c->snd_una, c->high_rxt))
        c->resend_first = true;
    /* Without SACK only the first partial one restarts the timer; with it, RFC 6675 6. */
    c->timer_restart = c->sack || !c->partial_acked;
    c->partial_acked = true;
    if (c->sack)
        return;
    /* ... and the window deflated by what has left. */
    cc->cwnd = cc->cwnd > bytes + cc->mss ? cc->cwnd - bytes : cc->mss;
    if (bytes >= cc->mss)
        cc->cwnd += cc->mss;
}

static void leave_recovery(struct connection *c)
{
    struct congestion *cc = &c->congestion;
    uint32_t flight = in_flight(c) > cc->mss ? in_flight(c) : cc->mss;

    /* RFC 6582 3.2, 3 (1): no burst at the end */
    cc->cwnd = lesser(cc->ssthresh, flight + cc->mss);
    c->in_recovery = false;
}

void loss_acked(struct connection *c, uint32_t bytes, uint32_t flight)
{
    c->duplicate_acks = 0;
    c->beyond_cwnd = 0;
    c->timer_restart = true;
    if (c->in_recovery) {
        if (seq_ge(c->snd_una, c->recover))
            leave_recovery(c);
        else
            partial_ack(c, bytes);
        return;
    }
    if (c->after_timeout) {
        /* Much of this may have arrived before: RFC 3465 2.2 allows one segment here. */
        bytes = bytes < c->mss ? bytes : c->mss;
        c->after_timeout = seq_lt(c->snd_una, c->recover);
    }
    /* RFC 7661: a window that was not used says nothing about the path. */
    if (flight >= c->congestion.cwnd / 2 && !c->ecn_echoed)
        c->algorithm->acked(&c->congestion, bytes);
}

/* What is missing is taken for lost (RFC 5681 3.2, RFC 6675 5 (2)), and for the first time. */
static bool has_to_recover(const struct connection *c)
{
    if (c->duplicate_acks < DUPLICATE_ACKS && !(c->sack && sack_first_is_lost(c)))
        return false;
    /* RFC 6582 3.2, 2: not again for what the last recovery or timeout was about. An old duplicate
     * brings no new SACK information, so that with SACK the number itself will do (RFC 6675 5). */
    return c->sack ? seq_ge(c->snd_una, c->recover) : seq_gt(c->snd_una, c->recover);
}

static void enter_recovery(struct tcp *tcp, struct connection *c)
{
    struct congestion *cc = &c->congestion;

    count(tcp->core, tcp_fast_retransmits);
    /* RFC 5681 3.2 (2): what limited transmit has sent does not count. RFC 3168 6.1.2: the window
     * is reduced once, for the losses and the marks in it. */
    if (!ecn_has_reduced(c))
        c->algorithm->lost(cc, lesser(in_flight(c), cc->cwnd));
    ecn_window_reduced(c);
    c->recover = c->snd_nxt;
    c->in_recovery = true;
    c->partial_acked = false;
    c->resend_first = true;
    c->high_rxt = c->snd_una;
    cc->cwnd = cc->ssthresh + (c->sack ? 0 : DUPLICATE_ACKS * c->mss);
    c->beyond_cwnd = 0;
}

/*
 * RFC 6582 3.2, 3: a segment has left the path. No more than those that were outstanding can, lest
 * duplicates that somebody forges open the window (RFC 5681 3.2).
 */
static void inflate(struct connection *c)
{
    struct congestion *cc = &c->congestion;

    if (!c->sack && cc->cwnd < cc->ssthresh + (c->recover - c->snd_una))
        cc->cwnd += c->mss;
}

void loss_duplicate_ack(struct tcp *tcp, struct connection *c)
{
    count(tcp->core, tcp_duplicate_acks_in);
    if (c->duplicate_acks < UINT8_MAX)
        c->duplicate_acks++;
    if (c->in_recovery)
        inflate(c);
    else if (has_to_recover(c))
        enter_recovery(tcp, c);
    else if (!c->after_timeout) /* RFC 3042 2 */
        c->beyond_cwnd = lesser(c->duplicate_acks, LIMITED_TRANSMIT) * c->mss;
}

void loss_fill_holes(struct tcp *tcp, struct connection *c)
{
    uint32_t seq = c->snd_una, length;

    if (c->resend_first) {
        c->resend_first = false;
        length = sack_hole(c, &seq);
        c->high_rxt = seq + output_retransmit(tcp, c, seq, length);
    }
    if (!c->sack)
        return;
    c->beyond_cwnd = sack_left_path(c);
    /* RFC 6675 5 (C): while the pipe has room for a segment */
    while (c->congestion.cwnd + c->beyond_cwnd >= in_flight(c) + c->mss &&
           sack_next_lost(c, c->high_rxt, &seq, &length)) {
        c->high_rxt = seq + output_retransmit(tcp, c, seq, length);
        c->beyond_cwnd = sack_left_path(c);
    }
}

uint32_t loss_pass_over(struct connection *c)
{
    if (c->disorder->sacked.count == 0 || seq_ge(c->snd_resend, c->snd_nxt))
        return UINT32_MAX;
    uint32_t length = sack_hole(c, &c->snd_resend);
    c->beyond_cwnd = sack_bytes_below(c, c->snd_resend);
    return length;
}

/* Lets everything that is in flight be sent again, as far as the window lets it. */
static void send_again(struct tcp *tcp, struct connection *c)
{
    c->recover = c->snd_nxt;
    c->in_recovery = false;
    c->after_timeout = true;
    c->duplicate_acks = 0;
    c->beyond_cwnd = 0;
    c->snd_resend = c->snd_una;
    output_queue(tcp, c);
}

void loss_timeout(struct tcp *tcp, struct connection *c)
{
    if (c->retries == 1) /* RFC 5681 3.1: once for the same data */
        c->algorithm->lost(&c->congestion, in_flight(c));
    ecn_window_reduced(c);
    c->ecn_paused = false;
    c->congestion.cwnd = c->mss;
    disorder_forget_sacked(c); /* RFC 2018 8: the peer may have dropped it again */
    send_again(tcp, c);
}

void loss_too_big(struct tcp *tcp, struct connection *c)
{
    struct congestion *cc = &c->congestion;

    /* The path was too narrow, not too full: the window stays, but for what a recovery lent it. */
    if (c->in_recovery && cc->ssthresh < cc->cwnd)
        cc->cwnd = cc->ssthresh;
    c->timer_restart = true;
    send_again(tcp, c);
}
