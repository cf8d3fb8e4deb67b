/* SPDX-License-Identifier: MIT */
/*
 * The checkers of selective acknowledgement (RFC 2018, RFC 2883): what a host says that it has, it
 * has; it says it whenever something is missing; and it says of nothing that it came twice that has
 * not.
 */
#include <inttypes.h>

#include "check_state.h"

#define VIOLATED(...) check_violated(check, seen->connection, (int)seen->side, __VA_ARGS__)

static bool has_all(const struct ranges *r, uint64_t start, uint64_t end)
{
    return ranges_overlap(r, start, end) == end - start;
}

static struct range block(const struct seen *seen, uint32_t i, uint32_t iss, uint64_t ack)
{
    return (struct range){
        position_near(seen->packet.sack[i].left, iss, ack),
        position_near(seen->packet.sack[i].right, iss, ack),
    };
}

/* ---- What a host reports ---- */

/* RFC 2883 4: below the acknowledgement, or within the second block. */
static bool is_duplicate(const struct seen *seen, struct range first, uint64_t ack)
{
    if (first.end <= ack)
        return true;
    if (seen->packet.sack_count < 2)
        return false;
    struct range second = block(seen, 1, seen->y->iss, ack);
    return first.start >= second.start && first.end <= second.end;
}

static void check_block(struct check *check, const struct seen *seen, uint32_t i, uint64_t ack)
{
    struct range b = block(seen, i, seen->y->iss, ack);

    if (b.start >= b.end)
        VIOLATED("reports a block that ends before it starts, at %" PRIu64, b.start);
    else if (i == 0 && is_duplicate(seen, b, ack)) {
        if (!has_all(&seen->x->twice, b.start, b.end))
            VIOLATED("reports as duplicate %" PRIu64 " to %" PRIu64 ", which came once", b.start,
                     b.end);
    } else if (b.start <= ack)
        VIOLATED("reports %" PRIu64 " to %" PRIu64 ", not above its acknowledgement %" PRIu64,
                 b.start, b.end, ack);
    else if (!has_all(&seen->x->arrived, b.start, b.end))
        VIOLATED("reports %" PRIu64 " to %" PRIu64 ", which has not arrived", b.start, b.end);
}

/* No two blocks touch, unless the first is that of a duplicate. */
static void check_apart(struct check *check, const struct seen *seen, uint64_t ack)
{
    const uint32_t n = seen->packet.sack_count;
    uint32_t from = n > 0 && is_duplicate(seen, block(seen, 0, seen->y->iss, ack), ack);

    for (uint32_t i = from; i < n; i++) {
        for (uint32_t j = i + 1; j < n; j++) {
            struct range a = block(seen, i, seen->y->iss, ack);
            struct range b = block(seen, j, seen->y->iss, ack);
            if (a.start <= b.end && b.start <= a.end)
                VIOLATED("reports two blocks that touch, at %" PRIu64 " and %" PRIu64, a.start,
                         b.start);
        }
    }
}

/* RFC 2018 4: while something is missing, each acknowledgement says what is there. */
static void check_told(struct check *check, const struct seen *seen, uint64_t ack)
{
    const struct side *x = seen->x;
    uint32_t host = check_host_of(check, seen->connection, seen->side);

    if (check->now_ns <= x->floor_ns || seen->packet.length > 0 || check_was_short(check, host))
        return;
    const struct range *beyond = ranges_above(&x->surely, ack);
    if (beyond && beyond->start > ack && !x->closed)
        VIOLATED("acknowledges %" PRIu64 ", and reports nothing of what has come from %" PRIu64
                 " on",
                 ack, beyond->start);
}

void sack_sent(struct check *check, const struct seen *seen, uint64_t ack)
{
    const struct packet *p = &seen->packet;

    if (p->flags & PACKET_SYN)
        return;
    if (!sack_is_agreed(seen)) {
        if (p->sack_count > 0)
            VIOLATED("reports blocks without an agreement on it");
        return;
    }
    for (uint32_t i = 0; i < p->sack_count; i++)
        check_block(check, seen, i, ack);
    check_apart(check, seen, ack);
    if (p->sack_count == 0)
        check_told(check, seen, ack);
}

void sack_arrived(struct side *x, uint64_t start, uint64_t end)
{
    const struct range *r = ranges_above(&x->arrived, start);

    for (; r && r < x->arrived.list + x->arrived.count && r->start < end; r++)
        ranges_add(&x->twice, r->start > start ? r->start : start, r->end < end ? r->end : end,
                   CHECK_RANGES_MAX);
}

/* ---- What a host is told ---- */

bool sack_delivered(struct seen *seen, uint64_t ack)
{
    struct side *x = seen->x;
    bool news = false;

    if (!sack_is_agreed(seen))
        return false;
    for (uint32_t i = 0; i < seen->packet.sack_count; i++) {
        struct range b = block(seen, i, x->iss, ack);
        if (b.start <= ack || b.start >= b.end || has_all(&x->sacked, b.start, b.end))
            continue;
        ranges_add(&x->sacked, b.start, b.end, CHECK_RANGES_MAX);
        news = true;
    }
    return news;
}
