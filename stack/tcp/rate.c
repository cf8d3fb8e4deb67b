/* SPDX-License-Identifier: MIT */
/*
 * The rate of delivery as draft-cheng-iccrg-delivery-rate-estimation has it: what is delivered from
 * the sending of a segment to its acknowledgement, over the time that took or, if that is longer,
 * the time in which it was sent. The segment is the one whose round-trip time is measured.
 *
 * The receiver's round-trip time is, as in Linux, that from a timestamp to the text that echoes it;
 * or the shortest time until text comes that the window did not allow yet at its beginning.
 */
#include "tcp/rate.h"

#include "tcp/connection.h"

#define RTT_MAX_US 120000000u /* what takes longer is no round trip */

/* ---- Delivery ---- */

/* Bytes that the peer has, if it has all up to the position. */
static uint32_t delivered(const struct connection *c, uint64_t position)
{
    const struct ranges *sacked = &c->disorder->sacked;
    uint64_t above = sacked->count > 0 ? ranges_overlap(sacked, position, UINT64_MAX) : 0;

    return (uint32_t)(position + above);
}

void rate_start(const struct tcp *tcp, struct connection *c, uint32_t end)
{
    struct rate *r = &c->rate;
    uint32_t now_us = core_us(tcp->core);
    bool first = c->snd_nxt == c->snd_una; /* nothing is outstanding yet */

    r->delivered = delivered(c, c->send.start);
    r->delivered_us = first ? now_us : (uint32_t)(c->waiting_since_ns / NS_PER_US);
    r->sending_us = first || !r->timed_before ? 0 : now_us - r->timed_before_us;
    r->timed_before = false;
    r->idle = seq_ge(end, output_end_seq(c)) && end - c->snd_una < c->congestion.cwnd;
    if (r->busy_since_ns == 0 && c->send.end > c->send.start)
        r->busy_since_ns = tcp->core->now_ns;
}

void rate_sample(const struct tcp *tcp, struct connection *c, uint32_t ack)
{
    struct rate *r = &c->rate;
    uint64_t position = c->send.start + (ack - c->snd_una);
    uint32_t elapsed_us = core_us(tcp->core) - r->delivered_us;

    r->timed_before = true;
    r->timed_before_us = c->rtt_started_us;
    if (elapsed_us < r->sending_us)
        elapsed_us = r->sending_us;
    if (position > c->send.end) /* a FIN, or the SYN, is no byte of it */
        position = c->send.end;
    uint32_t bytes = delivered(c, position) - r->delivered;
    if (bytes == 0 || elapsed_us == 0)
        return;
    bool slower = (uint64_t)bytes * r->sample_us < (uint64_t)r->sample_bytes * elapsed_us;
    if (r->idle && slower) /* the path is known to carry more */
        return;
    r->sample_bytes = bytes;
    r->sample_us = elapsed_us;
    r->limited = r->idle;
}

uint64_t rate_bytes_per_s(const struct connection *c)
{
    const struct rate *r = &c->rate;

    return r->sample_us > 0 ? r->sample_bytes * UINT64_C(1000000) / r->sample_us : 0;
}

void rate_stop(const struct tcp *tcp, struct connection *c)
{
    c->rate.busy_ns = rate_busy_ns(tcp, c);
    c->rate.busy_since_ns = 0;
}

uint64_t rate_busy_ns(const struct tcp *tcp, const struct connection *c)
{
    const struct rate *r = &c->rate;

    return r->busy_ns + (r->busy_since_ns > 0 ? tcp->core->now_ns - r->busy_since_ns : 0);
}

/* ---- The receiver's round trip ---- */

/*
 * Whether the text was sent after the peer had heard of the round's beginning: it echoes a later
 * timestamp, or the window did not allow it then. Timestamps tell milliseconds apart: who gets a
 * whole window within one has it counted with the next, and a buffer rather too large than too
 * small.
 */
static bool ends_round(const struct connection *c, const struct segment *s)
{
    const struct round *r = &c->round;

    if (c->timestamps)
        return seq_gt(s->options.echo, r->start);
    return (uint32_t)c->receive_position - r->read > c->receive_limit_bytes;
}

/* Returns whether the text tells the time since what it echoes. */
static bool take_echo(struct round *r, const struct segment *s, uint32_t now)
{
    uint32_t elapsed_ms = now - s->options.echo;

    if (elapsed_ms >= RTT_MAX_US / 1000)
        return false;
    uint32_t sample_us = elapsed_ms > 0 ? elapsed_ms * 1000 : 1000;
    if (r->rtt_us == 0)
        r->rtt_us = sample_us;
    else
        r->rtt_us = (uint32_t)(((uint64_t)r->rtt_us * 7 + sample_us) / 8);
    return true;
}

/* A window's worth took so long. Returns how much of what was read came in a round trip. */
static uint32_t take_window(struct round *r, uint32_t elapsed_us, uint32_t read_bytes)
{
    if (elapsed_us == 0 || elapsed_us >= RTT_MAX_US)
        return 0;
    if (r->rtt_us == 0 || elapsed_us < r->rtt_us)
        r->rtt_us = elapsed_us;
    return (uint32_t)((uint64_t)read_bytes * r->rtt_us / elapsed_us);
}

void rate_note_text(const struct tcp *tcp, struct connection *c, const struct segment *s)
{
    struct round *r = &c->round;

    if (c->timestamps && s->length < c->rcv_mss)
        return; /* a short one may have waited for its user: its echo tells nothing */
    if (c->round_known && !ends_round(c, s))
        return;
    uint32_t now = c->timestamps ? timestamp_now(tcp->core, c->ts_offset) : core_us(tcp->core);
    uint32_t read_bytes = (uint32_t)c->receive.start - r->read;
    if (c->timestamps && !take_echo(r, s, now))
        return;
    if (c->round_known && !c->timestamps)
        read_bytes = take_window(r, now - r->start, read_bytes);
    if (c->round_known)
        receive_grow(tcp, c, read_bytes);
    c->round_known = true;
    r->start = now;
    r->read = (uint32_t)c->receive.start;
}
