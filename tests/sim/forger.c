/* SPDX-License-Identifier: MIT */
#include "forger.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/seq.h"
#include "packet.h"

#define HEADERS_MAX   80
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

    if (p->flags & (PACKET_RST | PACKET_SYN | PACKET_FIN) || headers_bytes > HEADERS_MAX)
        return;
    memcpy(t->headers, bytes, headers_bytes);
    t->headers_bytes = headers_bytes;
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

    if (!packet_read(&p, bytes, length, offload) || !p.whole || p.id == PACKET_FORGED)
        return;
    uint16_t local = sent ? p.source_port : p.destination_port;
    uint16_t remote = sent ? p.destination_port : p.source_port;
    for (uint32_t i = 0; i < f->scenario->connection_count; i++) {
        for (uint32_t side = 0; side < 2; side++) {
            if (scenario_host_of(&f->scenario->connections[i], side) != host ||
                check_port(f->scenario, i, side) != local ||
                check_port(f->scenario, i, 1 - side) != remote)
                continue;
            if (sent)
                note_sent(&f->targets[i][1 - side], &p);
            else
                remember(&f->targets[i][side], &p, bytes);
        }
    }
}

static void forge(const struct target *t, struct world_link *link, int direction,
                  enum scenario_forgery forgery)
{
    uint8_t packet[HEADERS_MAX + OLD_BYTES];
    uint8_t *tcp = packet + 20;
    uint32_t seq = t->peer_end, ack = load_be32(t->headers + 28);
    uint16_t window = load_be16(t->headers + 34);
    uint8_t flags = PACKET_ACK;
    size_t length = t->headers_bytes;

    memcpy(packet, t->headers, length);
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
        memset(packet + length, 0, OLD_BYTES);
        length += OLD_BYTES;
        break;
    case FORGE_OLD_ACK:
        ack--;
        window = 0;
        break;
    case FORGERIES:
        return;
    }
    store_be16(packet + 4, PACKET_FORGED);
    store_be32(tcp + 4, seq);
    store_be32(tcp + 8, ack);
    tcp[13] = flags;
    store_be16(tcp + 14, window);
    packet_seal(packet, length);
    world_inject(link, direction, packet, length);
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
