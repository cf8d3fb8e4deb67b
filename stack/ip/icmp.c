/* SPDX-License-Identifier: MIT */
/*
 * ICMP for IPv4 (RFC 792, RFC 1122 3.2.2): answers echo requests, hands up the replies to those of
 * this host, tells transports of errors about their packets, and makes errors. It keeps no state
 * but the buckets that limit the errors made, and an answer is sent from within the request's
 * arrival, its payload by reference.
 */
#include <errno.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/siphash.h"
#include "ip/ip.h"

#define ICMP_HEADER_BYTES 8
#define ICMP_CHECKSUM_AT  2

/* Of an error, with its IP header (RFC 1812 4.3.2.3). */
#define ERROR_MAX_BYTES 576

/*
 * Begins a message, its second word to be written by the caller. Routers may cut it: there is
 * nobody to be told that it was too big. Returns its header.
 */
static uint8_t *begin_message(struct ip_outgoing *out, uint8_t type, uint8_t code)
{
    outgoing_init(out, ICMP_HEADER_BYTES, ICMP_CHECKSUM_AT, false);
    out->too_long = OUTGOING_CUT_ANYWHERE;
    uint8_t *header = outgoing_transport(out);
    header[0] = type;
    header[1] = code;
    store_be16(header + ICMP_CHECKSUM_AT, 0);
    return header;
}

/* ---- Echo ----------------------------------------------------------------------------------- */

/* RFC 1122 3.2.2.6: the reply goes from the address that was asked, with all the data. */
static void answer_echo(struct ip *ip, const struct ip_packet *packet)
{
    struct ip_outgoing out;
    struct route route;

    if (ip_route_find(ip, &packet->destination, &packet->source, &route) < 0)
        return;
    route.tos = packet->tos & 0xfc; /* as asked, but ICMP is no ECN transport (RFC 3168 5) */

    uint8_t *header = begin_message(&out, ICMP_TYPE_ECHO_REPLY, 0);
    memcpy(header + 4, packet->payload + 4, 4); /* identifier and sequence number */
    outgoing_payload(&out, packet->payload + ICMP_HEADER_BYTES, packet->length - ICMP_HEADER_BYTES);
    if (ip_output(ip, &route, IPPROTO_ICMP, &out) == 0)
        count(ip->core, icmp_echo_answered);
}

static void take_reply(struct ip *ip, const struct ip_packet *packet)
{
    if (ip->echo == NULL) {
        count(ip->core, icmp_echo_reply_unmatched);
        return;
    }
    ip->echo->input(ip->echo_self, packet);
}

/* ---- Errors about our packets --------------------------------------------------------------- */

/*
 * Reads the quoted packet, of which the header and 8 bytes more are there at least (RFC 792), and
 * finds the transport that can have sent it: a whole packet from an address of this host. Nobody
 * but the host can know of a packet that it has sent to itself.
 */
static const struct ip_protocol *read_quote(const struct ip *ip, const struct interface *interface,
                                            struct reader r, struct ip_error *error,
                                            uint8_t *number)
{
    uint8_t version_length = read_u8(&r);
    read_u8(&r); /* TOS */
    error->packet_bytes = read_be16(&r);
    read_be16(&r); /* identification */
    unsigned fragment = read_be16(&r);
    read_u8(&r); /* TTL */
    *number = read_u8(&r);
    read_be16(&r); /* checksum: gateways change the header and need not mend it */
    error->local = address_v4(read_be32(&r));
    error->remote = address_v4(read_be32(&r));

    size_t header_bytes = (version_length & 15u) * 4u;
    if (version_length >> 4 != 4 || header_bytes < IPV4_HEADER_BYTES)
        return NULL;
    read_bytes(&r, header_bytes - IPV4_HEADER_BYTES);
    error->quote_bytes = r.left;
    error->quote = read_bytes(&r, 8);
    if (r.short_of || (fragment & 0x1fff) != 0 || error->packet_bytes < header_bytes + 8)
        return NULL;
    bool inside = interface == &ip->loopback.interface;
    if (!ip_is_own(ip, &error->local) || ip_is_own(ip, &error->remote) != inside)
        return NULL;
    return ip->protocols[*number];
}

static void take_error(struct ip *ip, const struct ip_packet *packet)
{
    struct reader r = reader_over(packet->payload, packet->length);
    struct ip_error error = {.teller = packet->source};
    error.type = read_u8(&r);
    error.code = read_u8(&r);
    read_bytes(&r, 4); /* the checksum, and what no error uses */
    uint16_t mtu = read_be16(&r);
    if (ip_error_is_too_big(&error))
        error.mtu = mtu; /* RFC 1191 4 */

    uint8_t number;
    const struct ip_protocol *protocol = read_quote(ip, packet->interface, r, &error, &number);
    if (protocol == NULL) {
        count(ip->core, icmp_quote_wrong);
        return;
    }
    count(ip->core, icmp_errors_in);
    log_to(ip->core, STRAIT_LOG_ICMP, "type %u, code %u about protocol %u to " ADDRESS_FORMAT,
           error.type, error.code, number, ADDRESS_BYTES(&error.remote));
    if (protocol->error != NULL)
        protocol->error(ip->protocol_self[number], &error);
}

int icmp_errno(const struct ip_error *error, bool *hard)
{
    static const struct {
        int number;
        bool hard;
    } unreachable[] = {
        [ICMP_CODE_NETWORK] = {ENETUNREACH, false},
        [ICMP_CODE_HOST] = {EHOSTUNREACH, false},
        [ICMP_CODE_PROTOCOL] = {ENOPROTOOPT, true},
        [ICMP_CODE_PORT] = {ECONNREFUSED, true},
        [ICMP_CODE_FRAGMENTATION_NEEDED] = {EMSGSIZE, false},
        [ICMP_CODE_SOURCE_ROUTE_FAILED] = {EOPNOTSUPP, false},
        [ICMP_CODE_NETWORK_UNKNOWN] = {ENETUNREACH, true},
        [ICMP_CODE_HOST_UNKNOWN] = {EHOSTDOWN, true},
        [ICMP_CODE_SOURCE_ISOLATED] = {ENONET, true},
        [ICMP_CODE_NETWORK_PROHIBITED] = {ENETUNREACH, true},
        [ICMP_CODE_HOST_PROHIBITED] = {EHOSTUNREACH, true},
        [ICMP_CODE_NETWORK_TOS] = {ENETUNREACH, false},
        [ICMP_CODE_HOST_TOS] = {EHOSTUNREACH, false},
        [ICMP_CODE_PROHIBITED] = {EHOSTUNREACH, true},
        [ICMP_CODE_PRECEDENCE_VIOLATION] = {EHOSTUNREACH, true},
        [ICMP_CODE_PRECEDENCE_CUTOFF] = {EHOSTUNREACH, true},
    };

    *hard = false;
    switch (error->type) {
    case ICMP_TYPE_UNREACHABLE:
        if (error->code >= sizeof(unreachable) / sizeof(unreachable[0]))
            return 0;
        *hard = unreachable[error->code].hard;
        return unreachable[error->code].number;
    case ICMP_TYPE_TIME_EXCEEDED:
        return EHOSTUNREACH;
    case ICMP_TYPE_PARAMETER_PROBLEM:
        *hard = true;
        return EPROTO;
    default:
        return 0;
    }
}

/* About an ICMP message. */
static void echo_error(void *self, const struct ip_error *error)
{
    struct ip *ip = self;

    if (ip->echo == NULL) {
        count(ip->core, icmp_quote_unmatched);
        return;
    }
    ip->echo->error(ip->echo_self, error);
}

/* ---- In ------------------------------------------------------------------------------------- */

static void icmp_input(void *self, const struct ip_packet *packet)
{
    struct ip *ip = self;

    if (packet->length < ICMP_HEADER_BYTES) {
        count(ip->core, icmp_short);
        return;
    }
    if (checksum_fold(checksum_add(0, packet->payload, packet->length)) != 0xffff) {
        count(ip->core, icmp_checksum_wrong);
        return;
    }
    if (packet->broadcast) { /* RFC 1122 3.2.2.6: or one request makes a whole network answer */
        count(ip->core, icmp_broadcast_ignored);
        return;
    }
    switch (packet->payload[0]) {
    case ICMP_TYPE_ECHO:
        answer_echo(ip, packet);
        break;
    case ICMP_TYPE_ECHO_REPLY:
        take_reply(ip, packet);
        break;
    case ICMP_TYPE_UNREACHABLE:
    case ICMP_TYPE_TIME_EXCEEDED:
    case ICMP_TYPE_PARAMETER_PROBLEM:
        take_error(ip, packet);
        break;
    default: /* of no use to a host: RFC 6633 (source quench), RFC 6918 (the old queries) */
        count(ip->core, icmp_type_ignored);
        break;
    }
}

void icmp_init(struct ip *ip)
{
    static const struct ip_protocol icmp_protocol = {.input = icmp_input, .error = echo_error};

    ip->icmp_all.tokens = ip->core->config.icmp_errors_burst;
    for (int i = 0; i < ICMP_PEERS; i++)
        ip->icmp_peers[i].tokens = ip->core->config.icmp_peer_errors_burst;
    ip_register(ip, IPPROTO_ICMP, &icmp_protocol, ip);
}

/* ---- Errors made ---------------------------------------------------------------------------- */

static bool is_icmp_error(const struct ip_packet *packet)
{
    if (packet->protocol != IPPROTO_ICMP)
        return false;
    if (packet->length == 0)
        return true; /* what it was cannot be told */
    switch (packet->payload[0]) {
    case ICMP_TYPE_UNREACHABLE:
    case ICMP_TYPE_SOURCE_QUENCH:
    case ICMP_TYPE_REDIRECT:
    case ICMP_TYPE_TIME_EXCEEDED:
    case ICMP_TYPE_PARAMETER_PROBLEM:
        return true;
    default:
        return false;
    }
}

/* Fills in what the time has earned. */
static void fill(struct icmp_bucket *bucket, uint64_t now_ns, uint32_t burst, uint32_t per_second)
{
    uint64_t token_ns = NS_PER_S / per_second;
    uint64_t earned = (now_ns - bucket->filled_at_ns) / token_ns;

    if (bucket->tokens >= burst || earned >= burst - bucket->tokens) {
        bucket->tokens = burst;
        bucket->filled_at_ns = now_ns;
    } else {
        bucket->tokens += (uint32_t)earned;
        bucket->filled_at_ns += earned * token_ns;
    }
}

/*
 * Whether an error may be sent to a peer. Each group of peers has a bucket, so that one who asks
 * for many errors does not use up those of others; and all have one. An error costs one token in
 * the mean, but none, one or two at random: or what a stranger is left with would tell him how many
 * errors others were sent, and which ports they found (Man et al., SAD DNS, 2020).
 */
static bool may_send(struct ip *ip, const struct address *peer)
{
    const struct strait_config *config = &ip->core->config;
    uint64_t now_ns = ip->core->now_ns;
    uint64_t hash = siphash(config->secret, peer, sizeof(*peer));
    struct icmp_bucket *buckets[] = {&ip->icmp_peers[hash % ICMP_PEERS], &ip->icmp_all};

    fill(buckets[0], now_ns, config->icmp_peer_errors_burst, config->icmp_peer_errors_per_second);
    fill(buckets[1], now_ns, config->icmp_errors_burst, config->icmp_errors_per_second);
    if (buckets[0]->tokens == 0 || buckets[1]->tokens == 0)
        return false;
    for (int i = 0; i < 2; i++) {
        uint32_t cost = (uint32_t)prng_below(&ip->core->prng, 3);
        buckets[i]->tokens -= cost < buckets[i]->tokens ? cost : buckets[i]->tokens;
    }
    return true;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

void icmp_error_with(struct ip *ip, const struct ip_packet *packet, uint8_t type, uint8_t code,
                     uint32_t word)
{
    struct ip_outgoing out;
    struct route route;

    /* RFC 1122 3.2.2; that the source is a single host, ipv4_input has seen to. */
    if (packet->broadcast || ip_fragment_offset(packet) > 0 || is_icmp_error(packet))
        return;
    /* As a host from the address that was asked; as a router from that of the interface that the
     * error leaves by (RFC 1812 4.3.2.4). */
    const struct address *source = packet->local ? &packet->destination : NULL;
    if (ip_route_find(ip, source, &packet->source, &route) < 0)
        return;
    if (!may_send(ip, &packet->source)) {
        count(ip->core, icmp_errors_limited);
        return;
    }

    uint8_t *header = begin_message(&out, type, code);
    store_be32(header + 4, word);
    size_t room = smaller(ERROR_MAX_BYTES, route.mtu) - route.header_bytes - ICMP_HEADER_BYTES;
    outgoing_payload(&out, packet->header, smaller(room, packet->header_bytes + packet->length));
    if (ip_output(ip, &route, IPPROTO_ICMP, &out) == 0)
        count(ip->core, icmp_errors_out);
}

void icmp_error(struct ip *ip, const struct ip_packet *packet, uint8_t type, uint8_t code)
{
    icmp_error_with(ip, packet, type, code, 0);
}
