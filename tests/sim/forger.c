/* SPDX-License-Identifier: MIT */
#include "forger.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/checksum.h"
#include "base/seq.h"
#include "packet.h"

#define HEADERS_MAX   100 /* with what a forgery adds */
#define QUOTE_BYTES   28  /* of an IP packet, in an ICMP error */
#define DUPLICATES    5
#define OLD_BYTES     100u /* of an old text */
#define AHEAD_BYTES   1000000u
#define NEAR_BYTES    1000u /* so that what the peer sends meanwhile does not make it right */
#define OUTSIDE_BYTES (UINT32_C(1) << 31)

/* What is known of what comes to one side of a connection. */
struct target {
    uint8_t headers[HEADERS_MAX]; /* of the last packet */
    size_t headers_bytes;         /* 0: none has come */
    bool has_peer;
    uint32_t peer_end; /* behind the furthest number that the peer has sent */
    bool has_own;
    uint8_t own[QUOTE_BYTES]; /* of the last text that the side has sent */
};

struct forger {
    const struct scenario *scenario;
    const struct check *check;
    struct target targets[SCENARIO_CONNECTIONS][2];
};

struct forger *forger_new(const struct scenario *scenario, const struct check *check)
{
    struct forger *f = calloc(1, sizeof(*f));

    CHECK(f != NULL);
    f->scenario = scenario;
    f->check = check;
    return f;
}

void forger_free(struct forger *f)
{
    free(f);
}

static void remember(struct target *t, const struct packet *p, const uint8_t *bytes)
{
    size_t headers_bytes = (size_t)(p->payload - bytes);

    if (p->flags & (PACKET_RST | PACKET_SYN | PACKET_FIN) ||
        headers_bytes > PACKET_HEADERS_BYTES + 40)
        return;
    memcpy(t->headers, bytes, headers_bytes);
    t->headers_bytes = headers_bytes;
}

/* What the side sends may be quoted to it. */
static void remember_own(struct target *t, const struct packet *p, const uint8_t *bytes)
{
    if (p->length == 0 || p->flags & PACKET_SYN)
        return;
    memcpy(t->own, bytes, sizeof(t->own));
    t->has_own = true;
}

static void note_sent(struct target *t, const struct packet *p)
{
    uint32_t end = p->seq + packet_span(p);

    if (p->flags & PACKET_RST)
        return;
    t->peer_end = t->has_peer ? seq_max(t->peer_end, end) : end;
    t->has_peer = true;
}

void forger_see(struct forger *f, uint32_t host, bool sent, const void *bytes, size_t length,
                const struct strait_offload *offload)
{
    struct packet p;

    if (!packet_read(&p, bytes, length, offload) || !p.whole || packet_is_forged(bytes, length))
        return;
    uint16_t local = sent ? p.source_port : p.destination_port;
    uint16_t remote = sent ? p.destination_port : p.source_port;
    for (uint32_t i = 0; i < f->scenario->connection_count; i++) {
        for (uint32_t side = 0; side < 2; side++) {
            if (scenario_host_of(&f->scenario->connections[i], side) != host ||
                check_port(f->scenario, i, side) != local ||
                check_port(f->scenario, i, 1 - side) != remote)
                continue;
            if (sent) {
                remember_own(&f->targets[i][side], &p, bytes);
                note_sent(&f->targets[i][1 - side], &p);
            } else {
                remember(&f->targets[i][side], &p, bytes);
            }
        }
    }
}

/* ---- Segments -------------------------------------------------------------------------------- */

struct forged {
    uint8_t bytes[HEADERS_MAX + OLD_BYTES];
    size_t length;
};

static void put_on(struct world_link *link, int direction, struct forged *f)
{
    store_be16(f->bytes + 4, PACKET_FORGED);
    packet_seal(f->bytes, f->length);
    world_inject(link, direction, f->bytes, f->length);
}

static void put_text(struct forged *f)
{
    memset(f->bytes + f->length, 0, OLD_BYTES);
    f->length += OLD_BYTES;
}

/* In the place of all options but timestamps, which come first where there are any. */
static void put_sack(struct forged *f, uint32_t left, uint32_t right)
{
    static const uint8_t timestamps[] = {1, 1, 8, 10}, sack[] = {1, 1, 5, 10};
    uint8_t *tcp = f->bytes + 20, *at = tcp + 20;

    if (f->length >= 52 && memcmp(at, timestamps, sizeof(timestamps)) == 0)
        at += PACKET_TIMESTAMPS_BYTES;
    memcpy(at, sack, sizeof(sack));
    store_be32(at + 4, left);
    store_be32(at + 8, right);
    at += 12;
    tcp[12] = (uint8_t)((at - tcp) / 4 << 4);
    f->length = (size_t)(at - f->bytes);
}

static void forge_segment(const struct target *t, struct world_link *link, int direction,
                          enum scenario_forgery forgery)
{
    struct forged f = {.length = t->headers_bytes};
    uint8_t *tcp = f.bytes + 20;
    uint32_t seq = t->peer_end, ack = load_be32(t->headers + 28);
    uint16_t window = load_be16(t->headers + 34), urgent = 0;
    uint8_t flags = PACKET_ACK;
    int times = 1;

    memcpy(f.bytes, t->headers, f.length);
    switch (forgery) {
    case FORGE_ACK_AHEAD:
        ack += AHEAD_BYTES;
        break;
    case FORGE_RESET_IN_WINDOW:
        seq += NEAR_BYTES;
        flags = PACKET_RST;
        break;
    case FORGE_RESET_OUTSIDE:
        seq += OUTSIDE_BYTES;
        flags = PACKET_RST;
        break;
    case FORGE_SYN:
        flags = PACKET_SYN;
        break;
    case FORGE_OLD_TEXT:
        seq -= AHEAD_BYTES;
        put_text(&f);
        break;
    case FORGE_OLD_ACK:
        ack--;
        window = 0;
        break;
    case FORGE_TEXT:
        ack += AHEAD_BYTES;
        put_text(&f);
        break;
    case FORGE_DUPLICATES:
        times = DUPLICATES;
        break;
    case FORGE_SACK_AHEAD:
        put_sack(&f, ack + AHEAD_BYTES, ack + AHEAD_BYTES + NEAR_BYTES);
        break;
    case FORGE_SACK_REVERSED:
        put_sack(&f, ack + NEAR_BYTES, ack + 1);
        break;
    case FORGE_SACK_OLD:
        put_sack(&f, ack - NEAR_BYTES, ack);
        times = DUPLICATES;
        break;
    case FORGE_URGENT:
        flags |= PACKET_URG;
        urgent = NEAR_BYTES;
        break;
    case FORGE_ECHO:
        flags |= PACKET_ECE;
        break;
    default:
        return;
    }
    store_be32(tcp + 4, seq);
    store_be32(tcp + 8, ack);
    tcp[13] = flags;
    store_be16(tcp + 14, window);
    store_be16(tcp + 18, urgent);
    for (; times > 0; times--)
        put_on(link, direction, &f);
}

/* From a port where nobody is, to the listener. */
static void forge_opening(const struct target *t, struct world_link *link, int direction,
                          enum scenario_forgery forgery)
{
    struct forged f = {.length = PACKET_HEADERS_BYTES};
    uint8_t *tcp = f.bytes + 20;

    memcpy(f.bytes, t->headers, f.length);
    store_be16(tcp, PACKET_FORGED_PORT);
    store_be16(tcp + 2, CHECK_LISTEN_PORT);
    store_be32(tcp + 4, t->peer_end);
    tcp[12] = 5 << 4;
    tcp[13] = forgery == FORGE_STRANGER ? PACKET_SYN : PACKET_ACK;
    put_on(link, direction, &f);
}

/* ---- ICMP ------------------------------------------------------------------------------------ */

static void forge_error(const struct target *t, struct world_link *link, int direction,
                        enum scenario_forgery forgery)
{
    enum { PORT = 3, FRAGMENTATION_NEEDED = 4, UNREACHABLE = 3 };
    uint8_t packet[20 + 8 + QUOTE_BYTES], *icmp = packet + 20, *quote = icmp + 8;

    if (!t->has_own)
        return;
    memcpy(packet, t->headers, 20); /* from the peer's address */
    packet[1] = 0;
    packet[9] = IPPROTO_ICMP;
    store_be16(packet + 2, sizeof(packet));
    store_be16(packet + 4, PACKET_FORGED);
    store_be16(packet + 10, 0);
    store_be16(packet + 10, (uint16_t)~checksum_fold(checksum_add(0, packet, 20)));

    memset(icmp, 0, 8);
    icmp[0] = UNREACHABLE;
    icmp[1] = forgery == FORGE_UNREACHABLE ? PORT : FRAGMENTATION_NEEDED;
    memcpy(quote, t->own, QUOTE_BYTES);
    if (forgery == FORGE_TOO_BIG || forgery == FORGE_TOO_BIG_AHEAD)
        store_be16(icmp + 6, 68);
    if (forgery == FORGE_TOO_BIG_AHEAD)
        store_be32(quote + 24, load_be32(quote + 24) + AHEAD_BYTES * 16);
    store_be16(icmp + 2, (uint16_t)~checksum_fold(checksum_add(0, icmp, 8 + QUOTE_BYTES)));
    world_inject(link, direction, packet, sizeof(packet));
}

static void forge(const struct target *t, struct world_link *link, int direction,
                  enum scenario_forgery forgery)
{
    switch (forgery) {
    case FORGE_TOO_BIG:
    case FORGE_TOO_BIG_UNTOLD:
    case FORGE_TOO_BIG_AHEAD:
    case FORGE_UNREACHABLE:
        forge_error(t, link, direction, forgery);
        break;
    case FORGE_COOKIE:
    case FORGE_STRANGER:
        forge_opening(t, link, direction, forgery);
        break;
    default:
        forge_segment(t, link, direction, forgery);
        break;
    }
}

void forger_act(struct forger *f, uint32_t host, struct world_link *link, int direction,
                enum scenario_forgery forgery)
{
    for (uint32_t i = 0; i < f->scenario->connection_count; i++)
        for (uint32_t side = 0; side < 2; side++)
            if (scenario_host_of(&f->scenario->connections[i], side) == host &&
                check_is_open(f->check, i, side) && f->targets[i][side].headers_bytes > 0)
                forge(&f->targets[i][side], link, direction, forgery);
}
