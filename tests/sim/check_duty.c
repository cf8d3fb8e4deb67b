/* SPDX-License-Identifier: MIT */
/*
 * The checkers of what a host has to do at once. That it is done at all shows in the end; here it
 * is seen that it does not wait for a timeout, which would do it in a slower way.
 */
#include <inttypes.h>

#include "check_state.h"

#define VIOLATED(...) check_violated(check, seen->connection, (int)seen->side, __VA_ARGS__)

static uint32_t host_of(const struct check *check, const struct seen *seen)
{
    return check_host_of(check, seen->connection, seen->side);
}

/* ---- Sending again without a timeout: RFC 5681 3.2, RFC 6582 3.2 ---- */

#define DUPLICATES 3

static uint64_t timeouts(const struct check *check, const struct seen *seen)
{
    return check_counter(check, host_of(check, seen), "tcp_retransmission_timeouts");
}

static void owe(struct check *check, struct recovery *r, uint64_t position)
{
    r->owed = position;
    r->owed_ns = check->now_ns;
}

/* More was acknowledged. In recovery, what is still missing is lost too. */
static void take_progress(struct check *check, struct seen *seen, uint64_t ack)
{
    struct recovery *r = &seen->x->recovery;

    r->duplicates = 0;
    if (!r->on)
        return;
    r->over = ack >= r->end || timeouts(check, seen) != r->timeouts;
    if (!r->over && ack >= r->resent)
        owe(check, r, ack);
}

static void take_duplicate(struct check *check, struct seen *seen, uint64_t ack)
{
    const struct side *x = seen->x;
    struct recovery *r = &seen->x->recovery;
    uint32_t segment_bytes = scenario_mtu(check->scenario, host_of(check, seen));

    /* Less than a segment may be a window probe, which is not in flight. */
    if (r->on || x->sent_end - ack <= segment_bytes || ++r->duplicates != DUPLICATES)
        return;
    r->on = true;
    r->end = x->sent_end;
    r->timeouts = timeouts(check, seen);
    owe(check, r, ack);
}

/* RFC 5681 2, or RFC 6675 2. */
static bool is_duplicate(const struct seen *seen, uint64_t ack, bool news)
{
    const struct packet *p = &seen->packet;

    if (sack_is_agreed(seen))
        return news;
    return ack == seen->x->acked && packet_span(p) == 0 && p->window == seen->x->recovery.window;
}

void duty_acknowledged(struct check *check, struct seen *seen, uint64_t ack, bool surely)
{
    struct recovery *r = &seen->x->recovery;
    bool news = sack_delivered(seen, ack);

    if (r->over || !seen->x->opened)
        return;
    if (!surely) /* the host may see another story than this one */
        r->over = true;
    else if (ack > seen->x->acked)
        take_progress(check, seen, ack);
    if (!r->over && is_duplicate(seen, ack, news))
        take_duplicate(check, seen, ack);
    r->window = seen->packet.window;
}

/* ---- Holding what is short, while the application says that more comes: TCP_CORK, MSG_MORE ----
 */

#define CORK_NS (CHECK_NS_PER_S / 5)

/* Whether a cookie, or what the host was told of a path, may have made its segments smaller. */
static bool segments_are_smaller(const struct check *check, const struct seen *seen)
{
    return check_counter(check, host_of(check, seen), "tcp_cookies_accepted") > 0 ||
           check_counter(check, host_of(check, seen), "ip_path_lowered") > 0;
}

static void check_cork(struct check *check, struct seen *seen, uint64_t start, uint64_t end)
{
    const struct scenario_side *plan =
        &check->scenario->connections[seen->connection].side[seen->side];
    const struct packet *p = &seen->packet;
    const struct side *x = seen->x;

    if (plan->more == MORE_NONE || plan->urgent || p->length == 0 || start < x->sent_end ||
        x->shut || x->closed || p->pieces > 1 || end >= x->allowed || end != x->written + 1)
        return;
    bool is_short = p->length + p->option_bytes < check_mss(check, seen);
    if (is_short && !segments_are_smaller(check, seen) && check->now_ns - x->unsent_ns < CORK_NS)
        VIOLATED("sends %" PRIu32 " bytes alone, though it was told that more comes", p->length);
}

/* ---- Keep-alives: RFC 9293 3.8.4 ---- */

/* A segment below what was acknowledged, which the peer has to answer. */
static void check_keepalive(struct check *check, struct seen *seen, uint64_t start)
{
    uint64_t interval_ns =
        CHECK_NS_PER_S *
        check->scenario->connections[seen->connection].side[seen->side].keepalive_s;
    struct side *x = seen->x;

    if (packet_span(&seen->packet) > 0 || start >= x->acked_surely ||
        check->now_ns == x->acked_ns) /* what has come at this instant it may not know yet */
        return;
    if (interval_ns == 0)
        VIOLATED("sends a keep-alive, for which nobody has asked");
    else if (x->sent_end > x->acked)
        VIOLATED("sends a keep-alive while %" PRIu64 " bytes are in flight",
                 x->sent_end - x->acked);
    else if (check->now_ns - x->probe_ns < interval_ns)
        VIOLATED("sends keep-alives faster than every %" PRIu64 " s", interval_ns / CHECK_NS_PER_S);
    x->probe_ns = check->now_ns;
}

/* ---- Urgent data: RFC 9293 3.8.5 ---- */

static void check_urgent(struct check *check, struct seen *seen, uint64_t start)
{
    const struct packet *p = &seen->packet;
    const struct side *x = seen->x;
    uint64_t pointer = start + p->urgent;

    if (p->flags & PACKET_SYN)
        return;
    if (!(p->flags & PACKET_URG)) {
        if (start < x->urgent_end && x->acked < x->urgent_end && start >= x->acked)
            VIOLATED("does not say that bytes up to %" PRIu64 " are urgent", x->urgent_end);
        return;
    }
    if (p->pieces > 1)
        VIOLATED("sends a super-packet with an urgent pointer");
    if (pointer != x->urgent_end && !(p->urgent == UINT16_MAX && pointer < x->urgent_end))
        VIOLATED("says that bytes up to %" PRIu64 " are urgent, which are those up to %" PRIu64,
                 pointer, x->urgent_end);
}

/* ---- What is sent ---- */

void duty_sent(struct check *check, struct seen *seen, uint64_t start, uint64_t end)
{
    struct recovery *r = &seen->x->recovery;

    check_cork(check, seen, start, end);
    check_keepalive(check, seen, start);
    check_urgent(check, seen, start);

    if (end == start || (seen->packet.flags & PACKET_SYN))
        return;
    if (start <= r->owed && end > r->owed)
        r->owed = 0;
    else if (!r->on && start < seen->x->sent_end) /* after a timeout, or a probe */
        r->over = true;
    if (start < seen->x->sent_end && end > r->resent)
        r->resent = end;
}

static void check_recovery(struct check *check, struct seen *seen)
{
    const struct side *x = seen->x;
    struct recovery *r = &seen->x->recovery;

    if (r->over || r->owed == 0 || check->now_ns == r->owed_ns)
        return;
    r->over = true;
    if (x->crashed || x->reset_sent || x->reset_arrived || x->error != 0 ||
        timeouts(check, seen) != r->timeouts ||
        check_counter(check, host_of(check, seen), "tcp_sack_limited") > 0)
        return;
    VIOLATED("does not send again from %" PRIu64 " in its recovery of what is below %" PRIu64,
             r->owed, r->end);
}

/* ---- Telling that a window is open again: RFC 9293 3.8.6.2.2 ---- */

#define BUFFER_FIRST (1u << 20) /* what a receive buffer may hold before it has grown */

static void check_window_told(struct check *check, struct seen *seen)
{
    const struct side *x = seen->x;
    const struct scenario_host *host = &check->scenario->hosts[host_of(check, seen)];
    bool may_have_ended = x->error != 0 || x->reset_arrived || x->patience_over;
    uint64_t come = in_order(&x->arrived);

    if (!x->opened || x->closed || x->crashed || x->eof || x->fin_taken_ns > 0 || may_have_ended ||
        host->receive_bytes == 0 || host->memory_bytes > 0 || x->read_ns == 0 ||
        x->read_ns == check->now_ns || x->read_ns <= x->floor_ns) /* or more has come since */
        return;
    if (x->promised > must_have(check, x) || come == 0)
        return;
    uint64_t unread = come - 1 - x->read;
    uint32_t buffer = host->receive_bytes < BUFFER_FIRST ? host->receive_bytes : BUFFER_FIRST;
    if (unread <= buffer / 2)
        VIOLATED("has not told that its window is open again: %" PRIu64 " of %" PRIu32
                 " bytes are unread",
                 unread, buffer);
}

/* ---- Telling that data was not read: RFC 2525 2.17 ---- */

void duty_abandoned(struct check *check, uint32_t connection, uint32_t side)
{
    struct side *x = &check->connections[connection].side[side];
    const struct side *y = &check->connections[connection].side[1 - side];
    uint64_t text_end = must_have(check, x);

    text_end = text_end < y->written + 1 ? text_end : y->written + 1;
    bool over = x->fin_end > 0 && x->fin_taken_ns > 0;
    if (over || check_was_short(check, check_host_of(check, connection, side)))
        return;
    x->has_to_reset = text_end > x->read + 1;
}

void duty_delivered(struct check *check, struct seen *seen)
{
    check_recovery(check, seen);
    check_window_told(check, seen);
}
