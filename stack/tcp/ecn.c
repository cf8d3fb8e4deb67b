/* SPDX-License-Identifier: MIT */
/*
 * Explicit congestion notification (RFC 3168 6.1). Routers mark packets of capable transports (ECT)
 * with CE where they would otherwise have to drop some. The receiver of a mark says ECE in all that
 * it sends until the sender says CWR; the sender, told of a mark, does what it does after a loss,
 * once for each window of data, but has nothing to send again.
 */
#include "tcp/connection.h"

/* ---- The receiver of data, 6.1.3 ---- */

void ecn_take_text(struct tcp *tcp, struct connection *c, const struct segment *s)
{
    if (s->flags & TCP_CWR)
        c->ecn_echo = false;
    if (s->ecn != IP_ECN_CE)
        return;
    count_by(tcp->core, tcp_ecn_marks_in, s->pieces);
    if (!c->ecn_echo)
        c->ack_due = ACK_NOW; /* the sooner the sender knows, the shorter is the queue */
    c->ecn_echo = true;
}

/* ---- The sender, 6.1.2 ---- */

void ecn_mark_text(struct connection *c, struct segment *s, uint32_t length)
{
    bool again = seq_lt(s->seq, c->snd_nxt);                       /* 6.1.5 */
    bool probe = seq_gt(s->seq + length, c->snd_una + c->snd_wnd); /* 6.1.6 */

    if (again || probe)
        return;
    s->ecn = IP_ECN_ECT0;
    if (c->ecn_cwr_due)
        s->flags |= TCP_CWR;
    c->ecn_cwr_due = false;
}

void ecn_window_reduced(struct connection *c)
{
    if (!c->ecn)
        return;
    c->ecn_cwr_due = true;
    c->ecn_reduced = true;
    c->ecn_reduced_at = c->snd_nxt;
}

bool ecn_has_reduced(const struct connection *c)
{
    return c->ecn_reduced && seq_lt(c->snd_una, c->ecn_reduced_at);
}

/*
 * As after a loss. What that leaves of a window that is small already may be all of it; then it
 * shrinks to one segment, and from there to one segment for each timeout.
 */
static void reduce(struct tcp *tcp, struct connection *c, uint32_t flight)
{
    struct congestion *cc = &c->congestion;

    count(tcp->core, tcp_ecn_reductions);
    c->algorithm->lost(cc, flight < cc->cwnd ? flight : cc->cwnd); /* RFC 5681 3.2 (2) */
    if (cc->cwnd <= c->mss)
        c->ecn_paused = true;
    cc->cwnd = cc->cwnd > cc->ssthresh ? cc->ssthresh : c->mss;
    ecn_window_reduced(c);
}

void ecn_take_ack(struct tcp *tcp, struct connection *c, const struct segment *s, uint32_t flight)
{
    /* Only what was sent since the last reduction tells more than that reduction has answered. */
    bool answered = c->ecn_reduced && seq_le(c->snd_una, c->ecn_reduced_at);

    c->ecn_reduced = answered;
    /* After a timeout the echo is of marks before it: the peer hears of CWR by new data only. */
    c->ecn_echoed = (s->flags & TCP_ECE) && !c->after_timeout;
    if (c->ecn_echoed && !answered)
        reduce(tcp, c, flight);
}
