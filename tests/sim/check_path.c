/* SPDX-License-Identifier: MIT */
/*
 * The checkers of what is said by ICMP (RFC 792): a host that was told the MTU of a path keeps to
 * it (RFC 1191 6.3), believes nobody who quotes what is not in flight (RFC 5927 4.1), and sends
 * errors about nothing that must have none (RFC 1122 3.2.2).
 */
#include <inttypes.h>
#include <netinet/in.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "check_state.h"

#define IP_HEADER_BYTES   20 /* Strait sends no options */
#define ICMP_HEADER_BYTES 8
#define QUOTE_BYTES       8 /* of the transport, at least */

#define MTU_LEAST    552 /* a path of less is not believed in */
#define MTU_KEPT_NS  (300 * CHECK_NS_PER_S)
#define ERRORS_MAX_S 400 /* in a second: a burst of 200 that cost nothing with luck, and 100 */

enum { UNREACHABLE = 3, FRAGMENTATION_NEEDED = 4, TIME_EXCEEDED = 11, PARAMETER_PROBLEM = 12 };

/* An ICMP error, and the IP packet that it quotes. */
struct error {
    uint8_t type, code;
    uint16_t mtu;
    const uint8_t *quote; /* with QUOTE_BYTES behind its header */
};

static bool is_error_type(uint8_t type)
{
    return type == UNREACHABLE || type == TIME_EXCEEDED || type == PARAMETER_PROBLEM;
}

/* Returns false if it is something else, or damaged. */
static bool read_error(const uint8_t *ip, size_t length, struct error *error)
{
    const uint8_t *icmp = ip + IP_HEADER_BYTES;

    if (length < 2 * IP_HEADER_BYTES + ICMP_HEADER_BYTES + QUOTE_BYTES || ip[0] != 0x45 ||
        ip[9] != IPPROTO_ICMP || !is_error_type(icmp[0]) || load_be16(ip + 2) != length)
        return false;
    *error = (struct error){icmp[0], icmp[1], load_be16(icmp + 6), icmp + ICMP_HEADER_BYTES};
    return checksum_fold(checksum_add(0, ip, IP_HEADER_BYTES)) == 0xffff &&
           checksum_fold(checksum_add(0, icmp, length - IP_HEADER_BYTES)) == 0xffff;
}

/* ---- What a host is told ---- */

/* Whether the quoted segment is in flight for sure; `may` if it may be, too. */
static bool is_in_flight(const struct seen *seen, uint32_t seq, bool may)
{
    const struct side *x = seen->x;
    uint64_t position = position_near(seq, x->iss, x->sent_end);

    return position < x->sent_end && position >= (may ? x->acked_surely : x->acked);
}

void path_delivered(struct check *check, uint32_t host, const void *packet, size_t length)
{
    struct error error;
    struct seen seen;

    if (!read_error(packet, length, &error))
        return;
    check->hosts[host].error_arrived |= error.type != PARAMETER_PROBLEM;
    const uint8_t *tcp = error.quote + IP_HEADER_BYTES;
    if (error.type != UNREACHABLE || error.code != FRAGMENTATION_NEEDED)
        return;
    check->hosts[host].path_told |= error.quote[9] == IPPROTO_UDP;
    if (error.quote[9] != IPPROTO_TCP)
        return;
    seen.packet =
        (struct packet){.source_port = load_be16(tcp), .destination_port = load_be16(tcp + 2)};
    if (!check_find(check, host, true, &seen))
        return;
    check->hosts[host].path_told |= seen.both->wire_over; /* of its new numbers nothing is known */
    if (!seen.x->syn_sent || seen.both->wire_over)
        return;
    uint32_t seq = load_be32(tcp + 4), size = load_be16(error.quote + 2);
    uint32_t mtu = error.mtu > MTU_LEAST ? error.mtu : MTU_LEAST;
    check_note(check, seen.connection, (int)seen.side, "is told that its path carries %u",
               error.mtu);
    check->hosts[host].path_told |= is_in_flight(&seen, seq, true);
    seen.x->recovery.over = true; /* what was too big goes again at once */
    uint32_t now = seen.x->path_mtu > 0 ? seen.x->path_mtu : scenario_mtu(check->scenario, host);
    if (!is_in_flight(&seen, seq, false) || !seen.x->opened || error.mtu == 0 ||
        mtu >= (size < now ? size : now)) /* RFC 5927 7.2: it would have passed */
        return;
    if (seen.x->path_mtu == 0 || mtu < seen.x->path_mtu)
        seen.x->path_mtu = mtu;
    seen.x->path_told_ns = check->now_ns;
}

/* ---- What a host sends ---- */

void path_sent(struct check *check, const struct seen *seen)
{
    const struct packet *p = &seen->packet;
    const struct side *x = seen->x;
    uint32_t bytes = PACKET_HEADERS_BYTES + p->option_bytes + p->largest;

    if (x->path_mtu == 0 || bytes <= x->path_mtu || check->now_ns <= x->path_told_ns ||
        check->now_ns - x->path_told_ns >= MTU_KEPT_NS)
        return;
    check_violated(check, seen->connection, (int)seen->side,
                   "sends a packet of %" PRIu32 " bytes on a path of which it was told %" PRIu32,
                   bytes, x->path_mtu);
}

/* RFC 1122 3.2.2: not about errors, and not about fragments behind the first. */
void path_error_sent(struct check *check, uint32_t host, const void *packet, size_t length)
{
    struct host *h = &check->hosts[host];
    struct error error;

    if (!read_error(packet, length, &error))
        return;
    const uint8_t *quote = error.quote;
    if (quote[9] == IPPROTO_ICMP && is_error_type(quote[IP_HEADER_BYTES]))
        check_violated(check, host, -1, "sends an ICMP error about an ICMP error");
    if (load_be16(quote + 6) & 0x1fff)
        check_violated(check, host, -1, "sends an ICMP error about a fragment behind the first");
    if (quote[19] == 0xff)
        check_violated(check, host, -1, "sends an ICMP error about a broadcast");
    if (check->now_ns - h->errors_ns >= CHECK_NS_PER_S) {
        h->errors_ns = check->now_ns;
        h->errors = 0;
    }
    if (++h->errors > ERRORS_MAX_S)
        check_violated(check, host, -1, "sends more than %d ICMP errors in a second", ERRORS_MAX_S);
}

/* ---- In the end ---- */

void path_at_rest(struct check *check, uint32_t host)
{
    if (!check->hosts[host].path_told && check_counter(check, host, "ip_path_lowered") > 0)
        check_violated(check, host, -1, "believes that a path is narrow, as nobody could know");
}
