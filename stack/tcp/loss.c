/* SPDX-License-Identifier: MIT */
/*
 * Loss recovery: fast retransmit and fast recovery of NewReno (RFC 6582), and what a timeout does
 * (RFC 5681 3.1, RFC 6298 5.4 to 5.7). After a timeout everything from snd_una is sent again as the
 * window opens, unless acknowledgements show that it has arrived; so it is after a router has said
 * that it was too big (RFC 1191 6.4).
 */
#include "tcp/connection.h"

#define DUPLICATE_ACKS 3 /* RFC 5681 3.2 */

static uint32_t in_flight(const struct connection *c)
{
    return c->snd_nxt - c->snd_una;
}

static void partial_ack(struct tcp *tcp, struct connection *c, uint32_t bytes)
{
    struct congestion *cc = &c->congestion;

    /* RFC 6582 3.2, 3: the next hole is sent at once, and the window deflated by what has left. */
    output_retransmit_first(tcp, c);
    cc->cwnd = cc->cwnd > bytes + cc->mss ? cc->cwnd - bytes : cc->mss;
    if (bytes >= cc->mss)
        cc->cwnd += cc->mss;
    c->timer_restart = !c->partial_acked; /* only the first partial one restarts the timer */
    c->partial_acked = true;
}

static void leave_recovery(struct connection *c)
{
    struct congestion *cc = &c->congestion;
    uint32_t flight = in_flight(c) > cc->mss ? in_flight(c) : cc->mss;

    /* RFC 6582 3.2, 3 (1): no burst at the end */
    cc->cwnd = cc->ssthresh < flight + cc->mss ? cc->ssthresh : flight + cc->mss;
    c->in_recovery = false;
}

void loss_acked(struct tcp *tcp, struct connection *c, uint32_t bytes, uint32_t flight)
{
    c->duplicate_acks = 0;
    c->timer_restart = true;
    if (c->in_recovery) {
        if (seq_ge(c->snd_una, c->recover))
            leave_recovery(c);
        else
            partial_ack(tcp, c, bytes);
        return;
    }
    if (c->after_timeout) {
        /* Much of this may have arrived before: RFC 3465 2.2 allows one segment here. */
        bytes = bytes < c->mss ? bytes : c->mss;
        c->after_timeout = seq_lt(c->snd_una, c->recover);
    }
    /* RFC 7661: a window that was not used says nothing about the path. */
    if (flight >= c->congestion.cwnd / 2)
        c->algorithm->acked(&c->congestion, bytes);
}

void loss_duplicate_ack(struct tcp *tcp, struct connection *c)
{
    count(tcp->core, tcp_duplicate_acks_in);
    if (c->duplicate_acks < UINT8_MAX)
        c->duplicate_acks++;
    if (c->in_recovery) {
        c->congestion.cwnd += c->mss; /* RFC 6582 3.2, 3: a segment has left the path */
        return;
    }
    /* RFC 6582 3.2, 2: not again for what the last recovery or timeout was about */
    if (c->duplicate_acks != DUPLICATE_ACKS || !seq_gt(c->snd_una, c->recover))
        return;

    count(tcp->core, tcp_fast_retransmits);
    c->algorithm->lost(&c->congestion, in_flight(c));
    c->recover = c->snd_nxt;
    c->in_recovery = true;
    c->partial_acked = false;
    c->congestion.cwnd = c->congestion.ssthresh + DUPLICATE_ACKS * c->mss;
    output_retransmit_first(tcp, c);
}

/* Lets everything that is in flight be sent again, as far as the window lets it. */
static void send_again(struct tcp *tcp, struct connection *c)
{
    c->recover = c->snd_nxt;
    c->in_recovery = false;
    c->after_timeout = true;
    c->duplicate_acks = 0;
    c->snd_resend = c->snd_una;
    output_queue(tcp, c);
}

void loss_timeout(struct tcp *tcp, struct connection *c)
{
    if (c->retries == 1) /* RFC 5681 3.1: once for the same data */
        c->algorithm->lost(&c->congestion, in_flight(c));
    c->congestion.cwnd = c->mss;
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
