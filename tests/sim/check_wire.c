/* SPDX-License-Identifier: MIT */
/*
 * The checkers of what goes over the wire. Where TCP leaves a host a choice, as to whether it takes
 * a segment, two bounds are kept: what it may have taken, and what it cannot have refused.
 */
#include <inttypes.h>
#include <string.h>

#include "base/seq.h"
#include "check_state.h"
#include "packet.h"

#define TIME_WAIT_NS (60 * CHECK_NS_PER_S) /* 2 MSL; it may be over in the last second */
#define FIN_WAIT_NS  (60 * CHECK_NS_PER_S)
#define SILENCE_NS   (60 * CHECK_NS_PER_S) /* after it a host may have given up */

bool check_find(struct check *check, uint32_t host, bool sent, struct seen *seen)
{
    uint16_t local = sent ? seen->packet.source_port : seen->packet.destination_port;
    uint16_t remote = sent ? seen->packet.destination_port : seen->packet.source_port;

    for (uint32_t i = 0; i < check->scenario->connection_count; i++) {
        for (uint32_t side = 0; side < 2; side++) {
            if (check_host_of(check, i, side) != host ||
                check_port(check->scenario, i, side) != local ||
                check_port(check->scenario, i, 1 - side) != remote)
                continue;
            seen->connection = i;
            seen->side = side;
            seen->both = &check->connections[i];
            seen->x = &seen->both->side[side];
            seen->y = &seen->both->side[1 - side];
            return true;
        }
    }
    return false;
}

#define VIOLATED(...) check_violated(check, seen->connection, (int)seen->side, __VA_ARGS__)

/* ---- What a host sends ----------------------------------------------------------------------- */

static uint32_t mtu_of(const struct check *check, uint32_t host)
{
    return scenario_mtu(check->scenario, host);
}

/* The payload that a segment of this side may have, if it has no options. */
uint32_t check_mss(const struct check *check, const struct seen *seen)
{
    uint32_t mtu = mtu_of(check, check_host_of(check, seen->connection, seen->side));
    uint32_t limit = mtu - PACKET_HEADERS_BYTES;
    uint32_t offered = seen->y->mss > 0 ? seen->y->mss : 536; /* RFC 9293 3.7.1 */

    return offered < limit ? offered : limit;
}

static void check_size(struct check *check, const struct seen *seen)
{
    const struct packet *p = &seen->packet;
    uint32_t mtu = mtu_of(check, check_host_of(check, seen->connection, seen->side));

    if (!p->whole)
        VIOLATED("sends a packet whose lengths or checksums are wrong");
    /* RFC 9293 3.7.1: what the options take is missing to the text. */
    if (p->length > 0 && p->largest + p->option_bytes > check_mss(check, seen))
        VIOLATED("sends a segment of %" PRIu32 " bytes and %" PRIu32
                 " of options, more than the MSS of %" PRIu32,
                 p->largest, p->option_bytes, check_mss(check, seen));
    if (p->pieces == 1 && p->total > mtu)
        VIOLATED("sends a packet of %" PRIu32 " bytes on a link of %" PRIu32, p->total, mtu);
    path_sent(check, seen);
    if (p->pieces > 1 && !check->scenario->net.tso)
        VIOLATED("sends a super-packet on a link that takes none");
}

static void take_syn_sent(struct check *check, struct seen *seen)
{
    const struct packet *p = &seen->packet;
    struct side *x = seen->x;

    if (x->syn_sent && x->iss != p->seq) {
        seen->both->wire_over = true;
        return;
    }
    x->syns++;
    if (x->syn_sent)
        return;
    x->syn_sent = true;
    x->iss = p->seq;
    x->mss = p->mss;
    x->scaled = p->scale != PACKET_SCALE_NONE;
    x->scale = x->scaled ? p->scale : 0;
    x->stamped = p->stamped;
    x->sack = p->sack_permitted;
    x->sent_end = 1;
    x->syn_ns = x->progress_ns = x->waiting_ns = check->now_ns;
}

/*
 * Whether this side has to be in TIME-WAIT: it closed first, both directions are over, and less
 * than 2 MSL have passed.
 */
static bool has_to_wait(const struct check *check, const struct side *x, uint32_t host)
{
    if (x->fin_end == 0 || x->fin_taken_ns == 0 || x->fin_acked_ns == 0 ||
        x->fin_ns >= x->fin_taken_ns)
        return false;
    uint64_t entered_ns = x->fin_taken_ns > x->fin_acked_ns ? x->fin_taken_ns : x->fin_acked_ns;
    return check->now_ns < entered_ns + TIME_WAIT_NS - CHECK_NS_PER_S &&
           check_counter(check, host, "tcp_time_wait_limited") == 0;
}

/* Why a host sends a RST, or NULL if there is no reason. */
static const char *reset_reason(const struct check *check, const struct seen *seen)
{
    const struct side *x = seen->x, *y = seen->y;
    uint32_t host = check_host_of(check, seen->connection, seen->side);

    if (x->crashed)
        return "it has forgotten the connection";
    if (x->abandoned)
        return "it has closed early";
    if (x->error != 0 || x->reset_arrived || x->silence_ns >= SILENCE_NS ||
        check->now_ns - x->arrival_ns >= SILENCE_NS)
        return "its end has failed";
    if (x->patience_over)
        return "it has lost its patience";
    if (seen->both->wire_over)
        return "the connection has begun anew";
    if (!x->opened)
        return check_may_refuse(check, seen->connection, seen->side) ? "it takes no connection"
                                                                     : NULL;
    if (has_to_wait(check, x, host))
        return NULL;
    if (x->fin_end > 0 && x->acked >= x->fin_end && x->fin_taken_ns > 0)
        return "the connection is over";
    if (x->closed && y->sent_end > x->read + 2)
        return "more has come than it wants to read";
    if (x->closed && check->now_ns - x->closed_ns >= FIN_WAIT_NS)
        return "it has closed long ago";
    return NULL;
}

static void check_reset(struct check *check, struct seen *seen)
{
    const char *reason = reset_reason(check, seen);

    seen->x->reset_sent = true;
    if (reason)
        check_note(check, seen->connection, (int)seen->side, "resets: %s", reason);
    else
        VIOLATED("sends a RST without a reason");
}

/* The text and its place. `start` is the own position of the segment. */
static void check_text(struct check *check, const struct seen *seen, uint64_t start)
{
    const struct packet *p = &seen->packet;
    const struct side *x = seen->x;

    if (start == 0) {
        VIOLATED("sends text in the place of its SYN");
        return;
    }
    if (start - 1 + p->length > x->written)
        VIOLATED("sends up to byte %" PRIu64 ", but %" PRIu64 " were written",
                 start - 1 + p->length, x->written);
    else if (memcmp(p->payload, check_content(check, seen->connection, seen->side, start - 1),
                    p->length) != 0)
        VIOLATED("sends other bytes at %" PRIu64 " (%" PRIu32 " of them) than were written",
                 start - 1, p->length);
    if (start < x->acked_surely)
        VIOLATED("sends from %" PRIu64 " what was acknowledged up to %" PRIu64, start,
                 x->acked_surely);
}

static void check_fin(struct check *check, struct seen *seen, uint64_t end)
{
    struct side *x = seen->x;

    if (!x->shut && !x->closed)
        VIOLATED("sends a FIN, but nobody has closed");
    if (end != x->written + 2)
        VIOLATED("sends a FIN at %" PRIu64 ", but %" PRIu64 " were written", end - 2, x->written);
    if (x->fin_end == 0) {
        x->fin_end = end;
        x->fin_ns = check->now_ns;
    }
}

/* RFC 6928 2 (1), and what limited transmit adds to it. */
static uint64_t initial_window(const struct check *check, const struct seen *seen)
{
    static const uint64_t bytes = 14600, segments = 10;
    uint64_t mss = check_mss(check, seen) - (seen->packet.stamped ? PACKET_TIMESTAMPS_BYTES : 0);
    uint64_t least = 2 * mss > bytes ? 2 * mss : bytes;
    uint64_t limited = seen->x->duplicates < 2 ? seen->x->duplicates : 2; /* RFC 3042 2 */

    return (segments * mss < least ? segments * mss : least) + limited * mss;
}

/* What takes sequence space: where it is, and whether the peer's window lets it. */
static void check_span(struct check *check, struct seen *seen)
{
    const struct packet *p = &seen->packet;
    struct side *x = seen->x;
    uint64_t start = position_near(p->seq, x->iss, x->sent_end);
    uint64_t end = start + packet_span(p);

    duty_sent(check, seen, start, end);
    ecn_sent(check, seen, start, end);
    if (start > x->sent_end)
        VIOLATED("skips from %" PRIu64 " to %" PRIu64, x->sent_end, start);
    if (p->length > 0)
        check_text(check, seen, start);
    if (p->flags & PACKET_FIN)
        check_fin(check, seen, end);
    if (x->fin_end > 0 && end > x->fin_end)
        VIOLATED("sends beyond its FIN: %" PRIu64 " after %" PRIu64, end, x->fin_end);
    bool begins = x->acked <= 1 && !x->recovery.on && !x->recovery.over;
    if (p->length > 0 && begins && start - 1 + p->length > initial_window(check, seen))
        VIOLATED("sends %" PRIu64 " bytes before the first is acknowledged", start - 1 + p->length);
    bool probe = end == x->allowed + 1 && packet_span(p) == 1;
    if (packet_span(p) > 0 && !(p->flags & PACKET_SYN) && end > x->allowed && !probe)
        VIOLATED("sends up to %" PRIu64 ", beyond the right edge %" PRIu64, end, x->allowed);
    if (end > x->sent_end) {
        if (x->acked == x->sent_end)
            x->progress_ns = check->now_ns;
        x->sent_end = end;
    }
}

static void check_acknowledgement(struct check *check, struct seen *seen)
{
    struct side *x = seen->x;
    uint64_t may = in_order(&x->arrived);
    uint64_t must = must_have(check, x);
    uint64_t ack = position_near(seen->packet.ack, seen->y->iss, may);
    uint32_t host = check_host_of(check, seen->connection, seen->side);

    if (ack > may)
        VIOLATED("acknowledges %" PRIu64 ", but only %" PRIu64 " has arrived", ack, may);
    else if (ack < must && !check_was_short(check, host))
        VIOLATED("acknowledges %" PRIu64 ", though %" PRIu64 " has arrived", ack, must);
    if (seen->y->fin_end > 0 && ack >= seen->y->fin_end && x->fin_taken_ns == 0)
        x->fin_taken_ns = check->now_ns;
    sack_sent(check, seen, ack);
    x->ack_sent = ack;
    if (ack > 0 && ack <= may)
        ranges_add(&x->surely, 0, ack, CHECK_RANGES_MAX);
}

/* The right edge. Behind the peer's FIN a window means nothing. */
static void check_edge(struct check *check, struct seen *seen)
{
    const struct packet *p = &seen->packet;
    struct side *x = seen->x;

    if (x->fin_taken_ns > 0)
        return;
    bool scaled = x->scaled && seen->y->scaled && !(p->flags & PACKET_SYN);
    uint64_t ack = position_near(p->ack, seen->y->iss, in_order(&x->arrived));
    uint64_t unit = UINT64_C(1) << (scaled ? x->scale : 0);
    uint64_t edge = ack + p->window * unit;
    if (edge < x->promised && (p->flags & PACKET_SYN))
        return;                     /* a SYN that is sent again cannot say a scaled window */
    if (edge + unit <= x->promised) /* RFC 7323 2.4: within the unit it may */
        VIOLATED("moves its right edge from %" PRIu64 " back to %" PRIu64, x->promised, edge);
    else if (edge > x->promised)
        x->promised = edge;
}

static void packet_sent(struct check *check, struct seen *seen)
{
    const struct packet *p = &seen->packet;
    struct side *x = seen->x;

    if (p->flags & PACKET_RST) {
        check_reset(check, seen);
        return;
    }
    if (p->flags & PACKET_SYN)
        take_syn_sent(check, seen);
    if (seen->both->wire_over || !x->syn_sent)
        return;
    if (x->reset_surely && !x->crashed)
        VIOLATED("goes on after it was reset");
    if (x->has_to_reset)
        VIOLATED("goes on after it was closed with unread data");
    check_size(check, seen);
    check_span(check, seen);
    if ((p->flags & PACKET_ACK) && seen->y->syn_sent) {
        check_acknowledgement(check, seen);
        check_edge(check, seen);
    }
}

/* ---- What arrives at a host ------------------------------------------------------------------ */

/* Whether nothing allows the host to refuse the segment as old (RFC 7323 5.3, RFC 5961 5.2). */
static bool is_newest(const struct side *x, const struct packet *p, uint64_t ack)
{
    if (!(p->flags & PACKET_ACK) || ack < x->acked)
        return false;
    return !x->stamp_seen || !p->stamped || seq_ge(p->stamp, x->stamp_latest);
}

static void reset_delivered(const struct check *check, struct seen *seen)
{
    struct side *x = seen->x;
    uint32_t host = check_host_of(check, seen->connection, seen->side);
    uint64_t near = in_order(&x->surely);
    uint64_t position = position_near(seen->packet.seq, seen->y->iss, near);

    x->reset_arrived = true;
    bool exact = position == near && near == in_order(&x->arrived) && near > 0;
    bool over = x->fin_end > 0 && x->fin_taken_ns > 0; /* TIME-WAIT, RFC 1337 */
    if (x->opened && !x->closed && !over && !seen->both->wire_over && exact &&
        !check_was_short(check, host))
        x->reset_surely = true;
}

/* What a segment tells of the peer's side: its acknowledgement and window. */
static void take_window(struct check *check, struct seen *seen, uint64_t ack, bool surely)
{
    const struct packet *p = &seen->packet;
    struct side *x = seen->x;
    bool scaled = x->scaled && seen->y->scaled && !(p->flags & PACKET_SYN);
    uint64_t edge = ack + ((uint64_t)p->window << (scaled ? seen->y->scale : 0));

    if (edge > x->allowed)
        x->allowed = edge;
    if (ack == x->acked && (packet_span(p) == 0 || p->sack_count > 0)) {
        x->duplicates++;
    } else if (ack > x->acked) {
        x->acked = ack;
        x->acked_ns = check->now_ns;
        x->duplicates = 0;
        x->progress_ns = check->now_ns;
    }
    if (!surely)
        return;
    if (ack > x->acked_surely) {
        x->acked_surely = ack;
        if (ack == x->acked) /* it may have been taken when it first came */
            x->waiting_ns = x->acked_ns;
    }
    if (x->fin_end > 0 && ack >= x->fin_end && x->fin_acked_ns == 0)
        x->fin_acked_ns = check->now_ns;
}

static void take_span(struct check *check, struct seen *seen, uint64_t start, bool newest)
{
    const struct packet *p = &seen->packet;
    struct side *x = seen->x;
    uint64_t end = start + packet_span(p);

    if (check->now_ns > x->floor_ns) {
        x->floor = in_order(&x->surely);
        x->floor_ns = check->now_ns;
    }
    if (end == start)
        return;
    bool is_new = ranges_overlap(&x->arrived, start, end) == 0;
    sack_arrived(x, start, end);
    ranges_add(&x->arrived, start, end, CHECK_RANGES_MAX);

    /* Of the text, what lies in the window that was promised cannot be refused. */
    uint64_t text_end = start + p->length;
    text_end = text_end < x->promised ? text_end : x->promised;
    bool open = x->opened && !x->closed && !(p->flags & PACKET_SYN);
    bool surely = open && newest && text_end > start && text_end > in_order(&x->surely);
    ecn_delivered(check, seen, surely && is_new);
    if (surely)
        ranges_add(&x->surely, start, text_end, CHECK_RANGES_MAX);
}

static void packet_delivered(struct check *check, struct seen *seen)
{
    const struct packet *p = &seen->packet;
    struct side *x = seen->x;

    if (x->arrival_ns > 0 && check->now_ns - x->arrival_ns > x->silence_ns)
        x->silence_ns = check->now_ns - x->arrival_ns;
    x->arrival_ns = check->now_ns;
    if (p->flags & PACKET_RST) {
        reset_delivered(check, seen);
        return;
    }
    if (seen->both->wire_over || !seen->y->syn_sent)
        return;
    uint64_t known = in_order(&x->arrived);
    uint64_t start = position_near(p->seq, seen->y->iss, known);
    uint64_t ack = x->syn_sent ? position_near(p->ack, x->iss, x->acked) : 0;
    if ((p->flags & PACKET_SYN) && p->seq != seen->y->iss)
        return;
    bool newest = is_newest(x, p, ack);
    bool surely = newest && x->opened && start == known && known == in_order(&x->surely);
    duty_delivered(check, seen);
    if (surely)
        x->heard_ns = check->now_ns;
    if (p->flags & PACKET_ACK) {
        duty_acknowledged(check, seen, ack, surely);
        take_window(check, seen, ack, surely);
    }
    take_span(check, seen, start, newest);
    /* RFC 7323 4.3 (2): only from what covers the last acknowledgement. */
    if (p->stamped && start <= x->ack_sent &&
        (!x->stamp_seen || seq_gt(p->stamp, x->stamp_latest))) {
        x->stamp_seen = true;
        x->stamp_latest = p->stamp;
    }
}

/* The answer to a stranger, or to such an answer. */
static bool is_of_stranger(const struct packet *p)
{
    return p->source_port == PACKET_FORGED_PORT || p->destination_port == PACKET_FORGED_PORT;
}

/* What a stranger says twice has come twice, and his acknowledgements may count as duplicates. */
static void forged_delivered(struct check *check, uint32_t host, struct seen *seen)
{
    const struct packet *p = &seen->packet;

    if (!check_find(check, host, false, seen) || !seen->y->syn_sent)
        return;
    seen->x->duplicates += p->length == 0;
    if (p->length == 0)
        return;
    uint64_t start = position_near(p->seq, seen->y->iss, in_order(&seen->x->arrived));
    sack_arrived(seen->x, start, start + p->length);
}

/* ---- A packet -------------------------------------------------------------------------------- */

static void log_packet(struct check *check, const struct seen *seen, bool sent)
{
    const struct packet *p = &seen->packet;

    if (!check->log)
        return;
    static const char *const ecn[] = {"", " ect1", " ect0", " ce"};
    check_note(check, seen->connection, (int)seen->side,
               "%s %s%s%s%s%s%s seq %" PRIu32 "(%" PRIu32 ") ack %" PRIu32 " win %u%s%s",
               sent ? "sends" : "gets", p->flags & PACKET_SYN ? "S" : "",
               p->flags & PACKET_FIN ? "F" : "", p->flags & PACKET_RST ? "R" : "",
               p->flags & PACKET_ECE ? "E" : "", p->flags & PACKET_CWR ? "W" : "",
               p->flags & PACKET_ACK ? "." : "", p->seq - (sent ? seen->x->iss : seen->y->iss),
               p->length, p->ack - (sent ? seen->y->iss : seen->x->iss), p->window, ecn[p->ecn],
               p->whole ? "" : ", damaged");
}

void check_packet(struct check *check, uint64_t now_ns, uint32_t host, bool sent,
                  const void *packet, size_t length, const struct strait_offload *offload)
{
    struct host *h = &check->hosts[host];
    struct seen seen;

    check->now_ns = now_ns;
    bool is_tcp = packet_read(&seen.packet, packet, length, offload);
    bool forged = packet_is_forged(packet, length);
    if (sent && forged)
        return;
    h->packets_in += !sent;
    h->packets_out += sent;
    h->bytes_out += sent ? length : 0;
    h->segments_out += sent && is_tcp ? seen.packet.pieces : 0;
    if (!is_tcp) {
        if (sent) {
            path_error_sent(check, host, packet, length);
            datagram_fragment_sent(check, host, packet);
        } else {
            path_delivered(check, host, packet, length);
        }
        return;
    }
    if (forged) {
        forged_delivered(check, host, &seen);
        return;
    }
    if (!check_find(check, host, sent, &seen)) {
        if (sent && !check->corruption && !is_of_stranger(&seen.packet))
            check_violated(check, host, -1, "sends a packet from port %u to port %u",
                           seen.packet.source_port, seen.packet.destination_port);
        return;
    }
    log_packet(check, &seen, sent);
    if (sent && check->scenario->connections[seen.connection].own)
        check_violated(check, seen.connection, (int)seen.side, "uses a link to reach itself");
    seen.x->patience_over |= check_lost_patience(check, seen.connection, seen.side);
    if (sent)
        packet_sent(check, &seen);
    else if (seen.packet.whole)
        packet_delivered(check, &seen);
}
