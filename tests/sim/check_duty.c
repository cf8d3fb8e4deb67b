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

void duty_sent(struct seen *seen, uint64_t start, uint64_t end)
{
    struct recovery *r = &seen->x->recovery;

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
        timeouts(check, seen) != r->timeouts)
        return;
    VIOLATED("does not send again from %" PRIu64 " in its recovery of what is below %" PRIu64,
             r->owed, r->end);
}

/* ---- Telling that a window is open again: RFC 9293 3.8.6.2.2 ---- */

static void check_window_told(struct check *check, struct seen *seen)
{
    const struct side *x = seen->x;
    const struct scenario_host *host = &check->scenario->hosts[host_of(check, seen)];
    uint64_t come = in_order(&x->arrived);

    if (!x->opened || x->closed || x->crashed || x->eof || x->fin_taken_ns > 0 ||
        host->receive_bytes == 0 || host->memory_bytes > 0 || x->read_ns == 0 ||
        x->read_ns == check->now_ns)
        return;
    if (x->promised > must_have(check, x) || come == 0)
        return;
    uint64_t unread = come - 1 - x->read;
    if (unread <= host->receive_bytes / 2)
        VIOLATED("has not told that its window is open again: %" PRIu64 " of %" PRIu32
                 " bytes are unread",
                 unread, host->receive_bytes);
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
