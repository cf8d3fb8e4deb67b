/* SPDX-License-Identifier: MIT */
/*
 * A connection waits for two things at most, each with a time: `ack_due_ns` is that of the delayed
 * acknowledgement, and `due_ns` serves one purpose at a time, by what the connection waits for:
 *
 *   something is in flight                       retransmission
 *   something waits, the cork alone holds it     the end of the cork
 *   something waits, the window is too small     the window probe
 *   nothing but the peer's FIN, for an orphan    the end of the connection
 *   nothing                                      the keep-alive, if there is to be one
 *
 * One timer serves both. It is left alone when its time has moved back, as with each
 * acknowledgement in a stream, until it is near: then it is started for what comes first, or if it
 * runs out finds nothing due and is started then. One that is near is moved since who sleeps
 * between two packets would set a timer of the kernel each time, which is cheap only if others come
 * before it.
 *
 * Two things end the wait for a peer that takes nothing (RFC 9293 3.8.3, R2): a time, if the user
 * has set one or the connection is an orphan, and otherwise a number of retries. As in Linux no RST
 * tells a peer that is given up because it cannot be reached; one that might hear it is told.
 */
#include <errno.h>

#include "tcp/connection.h"

/* ---- Giving up ---- */

static bool waits_for_peer(enum timer_purpose purpose)
{
    return purpose == TIMER_RETRANSMIT || purpose == TIMER_PROBE;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t user_timeout_ns(const struct connection *c)
{
    return c->user_timeout_ms * NS_PER_MS;
}

/* When the peer has had its time to take something; STRAIT_NEVER if the retries decide. */
static inline uint64_t patience_end_ns(const struct tcp *tcp, const struct connection *c)
{
    if (c->user_timeout_ms == 0 && !c->orphan)
        return STRAIT_NEVER;
    uint64_t patience_ns = user_timeout_ns(c);
    uint64_t orphan_ns = tcp->core->config.orphan_timeout_ms * NS_PER_MS;

    if (c->ecn_paused && c->timer_purpose == TIMER_PROBE)
        return STRAIT_NEVER; /* it is the host that waits: the peer has nothing to take */
    /* Nobody can end an orphan, and a window that stays shut must not hold its memory for ever. */
    if (c->orphan && (patience_ns == 0 || patience_ns > orphan_ns))
        patience_ns = orphan_ns;
    return c->waiting_since_ns + patience_ns;
}

static bool patience_is_over(const struct tcp *tcp, const struct connection *c)
{
    uint64_t end_ns = patience_end_ns(tcp, c);

    if (tcp->core->now_ns >= end_ns)
        return true;
    if (tcp_is_opening(c))
        return c->retries >= c->syn_retries;
    return end_ns == STRAIT_NEVER && c->retries >= tcp->core->config.data_retries;
}

static void give_up(struct tcp *tcp, struct connection *c, bool tell_peer)
{
    int error = c->soft_error ? c->soft_error : ETIMEDOUT;

    if (c->orphan)
        count(tcp->core, tcp_orphans_timed_out);
    else
        count(tcp->core, tcp_connections_timed_out);
    if (tell_peer)
        connection_abort(tcp, c, error);
    else
        connection_fail(tcp, c, error);
}

static void note_retry(struct connection *c)
{
    if (c->retries < UINT8_MAX)
        c->retries++;
}

static void back_off(struct connection *c)
{
    if (c->backoff < UINT8_MAX)
        c->backoff++;
}

/* ---- The timer ---- */

uint64_t timers_due_ns(const struct tcp *tcp, const struct connection *c)
{
    bool limited = c->due_ns != STRAIT_NEVER && waits_for_peer(c->timer_purpose);

    return limited ? earlier(c->due_ns, patience_end_ns(tcp, c)) : c->due_ns;
}

static void schedule(struct tcp *tcp, struct connection *c)
{
    uint64_t first_ns = earlier(timers_due_ns(tcp, c), c->ack_due_ns);

    if (first_ns == STRAIT_NEVER)
        timer_stop(&tcp->timers, &c->timer);
    else if (!timer_running(&c->timer) || first_ns < c->timer.deadline_ns ||
             c->timer.deadline_ns < tcp->core->now_ns + TCP_TIMER_NEAR_NS)
        timer_start(&tcp->timers, &c->timer, first_ns);
}

/* ---- What is waited for ---- */

static void retransmission_due(struct tcp *tcp, struct connection *c)
{
    if (patience_is_over(tcp, c)) {
        give_up(tcp, c, false);
        return;
    }
    count(tcp->core, tcp_retransmission_timeouts);
    note_retry(c);
    back_off(c);
    if (tcp_is_opening(c)) {
        output_syn(tcp, c);
        return;
    }
    loss_timeout(tcp, c);
    if (c->snd_wnd == 0) /* the window has shrunk over what is in flight: RFC 9293 3.8.6, MUST-35 */
        output_probe(tcp, c);
}

static void probe_due(struct tcp *tcp, struct connection *c)
{
    if (c->ecn_paused) { /* RFC 3168 6.1.2: the timer lets one segment go */
        c->ecn_paused = false;
        c->waiting_since_ns = tcp->core->now_ns;
        output_queue(tcp, c);
        return;
    }
    if (patience_is_over(tcp, c)) {
        /* RFC 2525 2.17: a peer that answers probes must learn that there is more to come. */
        give_up(tcp, c, c->retries == 0);
        return;
    }
    note_retry(c);
    back_off(c);
    output_probe(tcp, c);
}

static void cork_due(struct tcp *tcp, struct connection *c)
{
    c->push = true;
    output_queue(tcp, c);
}

/* RFC 9293 3.8.4. As in Linux, a user timeout takes the place of the number of probes. */
static void keepalive_due(struct tcp *tcp, struct connection *c)
{
    const struct tcp_keepalive *k = &c->keepalive;
    uint64_t idle_ns = tcp->core->now_ns - c->heard_ns;
    uint64_t user_ns = user_timeout_ns(c);

    if (idle_ns < k->idle_s * NS_PER_S) { /* something has come since the timer was started */
        timers_arm(tcp, c);
        return;
    }
    if (user_ns > 0 ? c->retries > 0 && idle_ns >= user_ns : c->retries >= k->count) {
        give_up(tcp, c, true);
        return;
    }
    note_retry(c);
    output_keepalive(tcp, c);
}

/* `c` may be gone afterwards. Who is not has something to send, or waits anew. */
static void purpose_due(struct tcp *tcp, struct connection *c)
{
    c->due_ns = STRAIT_NEVER;
    switch ((enum timer_purpose)c->timer_purpose) {
    case TIMER_NONE:
        break;
    case TIMER_RETRANSMIT:
        retransmission_due(tcp, c);
        break;
    case TIMER_PROBE:
        probe_due(tcp, c);
        break;
    case TIMER_CORK:
        cork_due(tcp, c);
        break;
    case TIMER_FIN_WAIT:
        count(tcp->core, tcp_orphans_timed_out);
        connection_finish(tcp, c);
        break;
    case TIMER_KEEPALIVE:
        keepalive_due(tcp, c);
        break;
    }
}

static void ack_due(struct tcp *tcp, struct connection *c)
{
    c->ack_due_ns = STRAIT_NEVER;
    if (c->ack_due == ACK_NOT_DUE)
        return;
    count(tcp->core, tcp_delayed_acks);
    c->ack_due = ACK_NOW;
    output_queue(tcp, c);
}

static void timer_expired(void *owner, struct strait_timer *timer)
{
    struct tcp *tcp = owner;
    struct connection *c = container_of(timer, struct connection, timer);

    if (tcp->core->now_ns >= c->ack_due_ns)
        ack_due(tcp, c);
    if (tcp->core->now_ns >= timers_due_ns(tcp, c))
        purpose_due(tcp, c);
    else
        schedule(tcp, c);
}

void timers_init(struct connection *c)
{
    c->timer.expired = timer_expired;
    c->due_ns = c->ack_due_ns = STRAIT_NEVER;
}

void timers_stop(struct tcp *tcp, struct connection *c)
{
    timer_stop(&tcp->timers, &c->timer);
    c->due_ns = c->ack_due_ns = STRAIT_NEVER;
    c->timer_purpose = TIMER_NONE;
}

void timers_forget(struct connection *c)
{
    c->due_ns = STRAIT_NEVER;
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
    if (waits_to_send(c))
        return output_is_corked(c) ? TIMER_CORK : TIMER_PROBE;
    if (c->orphan && c->state == STATE_FIN_WAIT_2)
        return TIMER_FIN_WAIT;
    return c->keeps_alive ? TIMER_KEEPALIVE : TIMER_NONE;
}

static uint64_t probe_interval_ns(const struct tcp *tcp, const struct connection *c)
{
    uint64_t timeout_ns = rtt_timeout_ns(&c->rtt, &tcp->core->config, c->backoff);

    return timeout_ns < TCP_PROBE_MAX_NS ? timeout_ns : TCP_PROBE_MAX_NS;
}

static uint64_t keepalive_deadline_ns(const struct connection *c, uint64_t now_ns)
{
    const struct tcp_keepalive *k = &c->keepalive;

    return c->retries > 0 ? now_ns + k->interval_s * NS_PER_S : c->heard_ns + k->idle_s * NS_PER_S;
}

static uint64_t deadline_ns(const struct tcp *tcp, const struct connection *c,
                            enum timer_purpose purpose)
{
    uint64_t now_ns = tcp->core->now_ns;

    switch (purpose) {
    case TIMER_NONE:
        break;
    case TIMER_RETRANSMIT:
        return now_ns + rtt_timeout_ns(&c->rtt, &tcp->core->config, c->backoff);
    case TIMER_PROBE:
        return now_ns + probe_interval_ns(tcp, c);
    case TIMER_CORK:
        return now_ns + TCP_CORK_NS;
    case TIMER_FIN_WAIT:
        return now_ns + tcp->core->config.fin_timeout_ms * NS_PER_MS;
    case TIMER_KEEPALIVE:
        return keepalive_deadline_ns(c, now_ns);
    }
    return STRAIT_NEVER;
}

void timers_arm(struct tcp *tcp, struct connection *c)
{
    enum timer_purpose purpose = purpose_now(c), before = c->timer_purpose;
    uint64_t now_ns = tcp->core->now_ns;
    bool restart = c->timer_restart;

    c->timer_restart = false;
    if (purpose == before && !restart && (purpose == TIMER_NONE || c->due_ns != STRAIT_NEVER))
        return;
    if (purpose != before && (purpose == TIMER_PROBE || before == TIMER_PROBE))
        c->backoff = 0; /* of probes that were answered, or of a loss before them */
    if (purpose != before && (purpose == TIMER_KEEPALIVE || before == TIMER_KEEPALIVE))
        c->retries = 0; /* each counts its own */
    if (waits_for_peer(purpose) && (restart || !waits_for_peer(before)))
        c->waiting_since_ns = now_ns;
    c->timer_purpose = purpose;
    c->due_ns = deadline_ns(tcp, c, purpose);
    schedule(tcp, c);
}

void timers_hasten(struct tcp *tcp, struct connection *c)
{
    schedule(tcp, c);
}

void timers_arm_ack(struct tcp *tcp, struct connection *c)
{
    uint64_t delay_ns = tcp->core->config.delayed_ack_ms * NS_PER_MS;
    bool due = c->ack_due != ACK_NOT_DUE;

    if (due == (c->ack_due_ns != STRAIT_NEVER))
        return;
    c->ack_due_ns = due ? tcp->core->now_ns + delay_ns : STRAIT_NEVER;
    schedule(tcp, c);
}
