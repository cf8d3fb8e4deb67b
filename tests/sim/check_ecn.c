/* SPDX-License-Identifier: MIT */
/* The checkers of explicit congestion notification: RFC 3168 6.1. */
#include <inttypes.h>

#include "check_state.h"

#define VIOLATED(...) check_violated(check, seen->connection, (int)seen->side, __VA_ARGS__)

#define BITS (PACKET_ECE | PACKET_CWR)

/* 6.1.1: both of ECE and CWR in a SYN, ECE alone in a SYN-ACK. */
static bool is_setup(const struct packet *p)
{
    return (p->flags & BITS) == (p->flags & PACKET_ACK ? PACKET_ECE : BITS);
}

static void check_syn(struct check *check, struct seen *seen)
{
    const struct packet *p = &seen->packet;
    uint32_t config =
        check->scenario->hosts[check_host_of(check, seen->connection, seen->side)].ecn;
    bool answers = p->flags & PACKET_ACK;
    bool off = config == 1 + STRAIT_ECN_OFF, asks = config == 1 + STRAIT_ECN_REQUEST;

    if ((p->flags & BITS) && !is_setup(p))
        VIOLATED("sends a SYN with one of ECE and CWR, or a SYN-ACK with CWR");
    if (is_setup(p) && (answers ? off : !asks))
        VIOLATED("sends a SYN for ECN, which it was not to");
    if (is_setup(p) && answers && !seen->y->ecn.setup)
        VIOLATED("agrees to ECN, for which nobody has asked");
    seen->x->ecn.setup |= is_setup(p);
    seen->x->ecn.other |= !is_setup(p);
}

/* 6.1.4 to 6.1.6: only new text that the window has room for may be marked. */
static void check_capable(struct check *check, struct seen *seen, uint64_t start, uint64_t end)
{
    const struct side *x = seen->x;

    if (!x->ecn.setup || !seen->y->ecn.setup || x->ecn.other)
        VIOLATED("sends ECT or CWR without an agreement");
    if (seen->packet.length == 0)
        VIOLATED("sends ECT or CWR without text");
    if (start < x->sent_end)
        VIOLATED("sends from %" PRIu64 " again with ECT or CWR", start);
    if (end > x->allowed)
        VIOLATED("probes a window with ECT or CWR");
}

/*
 * 6.1.3: in all that is sent between a mark and CWR, and not without a mark. Behind the peer's FIN
 * there is nothing that it could hold back.
 */
static void check_echo(struct check *check, struct seen *seen)
{
    const struct side *x = seen->x;
    bool echoes = seen->packet.flags & PACKET_ECE;

    if (echoes && !x->ecn.marked)
        VIOLATED("sends ECE, but no mark has come");
    bool owed = x->ecn.owed && check->now_ns > x->ecn.owed_ns;
    if (!echoes && owed && x->fin_taken_ns == 0 && !x->crashed)
        VIOLATED("does not say that a mark has come");
}

void ecn_sent(struct check *check, struct seen *seen, uint64_t start, uint64_t end)
{
    const struct packet *p = &seen->packet;

    if (p->flags & PACKET_SYN) {
        check_syn(check, seen);
        if (p->ecn != 0)
            VIOLATED("sends a SYN with ECT");
        return;
    }
    if (p->ecn != 0 || (p->flags & PACKET_CWR))
        check_capable(check, seen, start, end);
    check_echo(check, seen);
}

void ecn_delivered(const struct check *check, struct seen *seen, bool surely)
{
    const struct packet *p = &seen->packet;
    struct side *x = seen->x;

    if (p->flags & PACKET_SYN)
        return;
    if (p->flags & PACKET_CWR)
        x->ecn.owed = false;
    if (p->ecn != PACKET_CE)
        return;
    x->ecn.marked = true;
    if (!surely || x->ecn.owed || !x->ecn.setup || !seen->y->ecn.setup || seen->y->ecn.other)
        return;
    x->ecn.owed = true;
    x->ecn.owed_ns = check->now_ns;
}
