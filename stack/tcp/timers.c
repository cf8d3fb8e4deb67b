/* SPDX-License-Identifier: MIT */
/*
 * A connection has two timers. `timer` serves one purpose at a time: retransmission while something
 * is in flight, the window probe while something waits and nothing is in flight, the end of an
 * orphan in FIN-WAIT-2. `ack_timer` is the delayed acknowledgement.
 */
#include <errno.h>

#include "tcp/connection.h"

static void retransmission_due(struct tcp *tcp, struct connection *c)
{
    bool opening = tcp_is_opening(c);
    unsigned limit = opening ? TCP_SYN_RETRIES : TCP_DATA_RETRIES;

    count(tcp->core, tcp_retransmission_timeouts);
    if (c->retries >= limit) {
        count(tcp->core, tcp_connections_timed_out);
        connection_fail(tcp, c, c->soft_error ? c->soft_error : ETIMEDOUT);
        return;
    }
    c->retries++;
    if (c->backoff < UINT8_MAX)
        c->backoff++;
    if (opening)
        output_syn(tcp, c);
    else
        loss_timeout(tcp, c);
}

static void probe_due(struct tcp *tcp, struct connection *c)
{
    if (c->retries >= TCP_DATA_RETRIES) { /* the peer answers no probe: RFC 9293 3.8.6.1 */
        count(tcp->core, tcp_connections_timed_out);
        connection_fail(tcp, c, c->soft_error ? c->soft_error : ETIMEDOUT);
        return;
    }
    c->retries++;
    if (c->backoff < UINT8_MAX)
        c->backoff++;
    output_probe(tcp, c);
}

static void timer_expired(void *owner, struct strait_timer *timer)
{
    struct tcp *tcp = owner;
    struct connection *c = container_of(timer, struct connection, timer);

    switch ((enum timer_purpose)c->timer_purpose) {
    case TIMER_NONE:
        break;
    case TIMER_RETRANSMIT:
        retransmission_due(tcp, c);
        break;
    case TIMER_PROBE:
        probe_due(tcp, c);
        break;
    case TIMER_FIN_WAIT:
        count(tcp->core, tcp_orphans_timed_out);
        connection_finish(tcp, c);
        break;
    }
}

static void ack_timer_expired(void *owner, struct strait_timer *timer)
{
    struct tcp *tcp = owner;
    struct connection *c = container_of(timer, struct connection, ack_timer);

    if (c->ack_due == ACK_NOT_DUE)
        return;
    count(tcp->core, tcp_delayed_acks);
    c->ack_due = ACK_NOW;
    output_queue(tcp, c);
}

void timers_init(struct connection *c)
{
    c->timer.expired = timer_expired;
    c->ack_timer.expired = ack_timer_expired;
}

void timers_stop(struct tcp *tcp, struct connection *c)
{
    timer_stop(&tcp->timers, &c->timer);
    timer_stop(&tcp->timers, &c->ack_timer);
    c->timer_purpose = TIMER_NONE;
}

/* Something waits to be sent, data or our FIN, that the peer has not got. */
static bool waits_to_send(const struct connection *c)
{
    bool fin_waits =
        c->state == STATE_FIN_WAIT_1 || c->state == STATE_CLOSING || c->state == STATE_LAST_ACK;
    return fin_waits || c->snd_resend != output_end_seq(c);
}

static enum timer_purpose purpose_now(const struct connection *c)
{
    if (c->snd_resend != c->snd_una)
        return TIMER_RETRANSMIT;
    if (c->state == STATE_FIN_WAIT_2)
        return c->owner ? TIMER_NONE : TIMER_FIN_WAIT;
    return waits_to_send(c) ? TIMER_PROBE : TIMER_NONE;
}

static uint64_t interval_ns(const struct connection *c, enum timer_purpose purpose)
{
    if (purpose == TIMER_FIN_WAIT)
        return TCP_FIN_WAIT_NS;
    uint64_t timeout_ns = rtt_timeout_ns(&c->rtt, c->backoff);
    if (purpose == TIMER_PROBE && timeout_ns > TCP_PROBE_MAX_NS)
        return TCP_PROBE_MAX_NS;
    return timeout_ns;
}

void timers_arm(struct tcp *tcp, struct connection *c)
{
    enum timer_purpose purpose = purpose_now(c);
    bool restart = c->timer_restart;

    c->timer_restart = false;
    if (purpose == c->timer_purpose && !restart &&
        (purpose == TIMER_NONE || timer_running(&c->timer)))
        return;
    if ((purpose == TIMER_PROBE) != (c->timer_purpose == TIMER_PROBE))
        c->backoff = 0; /* of probes that were answered, or of a loss before them */
    c->timer_purpose = purpose;
    if (purpose == TIMER_NONE)
        timer_stop(&tcp->timers, &c->timer);
    else
        timer_start(&tcp->timers, &c->timer, tcp->core->now_ns + interval_ns(c, purpose));
}

void timers_arm_ack(struct tcp *tcp, struct connection *c)
{
    if (c->ack_due == ACK_NOT_DUE)
        timer_stop(&tcp->timers, &c->ack_timer);
    else if (!timer_running(&c->ack_timer))
        timer_start(&tcp->timers, &c->ack_timer, tcp->core->now_ns + TCP_DELAYED_ACK_NS);
}
