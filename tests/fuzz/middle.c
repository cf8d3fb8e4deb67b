/* SPDX-License-Identifier: MIT */
#include "middle.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/seq.h"
#include "packet.h"

#define TRANSIT_NS    RIG_MS
#define MERGE_WAIT_NS (20 * RIG_MS)
#define NEAR          7u /* beyond what the peer has sent: in the window, and never exact */
#define AHEAD         1000000u
#define FAR           0x80000000u
#define OLD_BYTES     100u
#define QUOTE_BYTES   28u
#define FORGERY_BYTES 128u

struct parcel {
    uint64_t due_ns, order;
    int to;
    bool mergeable;
    size_t length;
    uint8_t bytes[RIG_MTU];
};

/* ---- Parcels -------------------------------------------------------------------------------- */

static struct parcel *parcel_new(const uint8_t *packet, size_t length)
{
    struct parcel *p = malloc(sizeof(*p));

    CHECK(p != NULL && length <= sizeof(p->bytes));
    *p = (struct parcel){.length = length};
    memcpy(p->bytes, packet, length);
    return p;
}

/* Sends it on its way, to arrive after `delay_ns` on top of the transit. */
static void dispatch(struct middle *m, int to, struct parcel *p, uint64_t now_ns, uint64_t delay_ns)
{
    if (m->waiting_count == MIDDLE_WAITING) { /* lost, as in any full queue */
        free(p);
        return;
    }
    uint64_t from_ns = m->paused_until_ns[to] > now_ns ? m->paused_until_ns[to] : now_ns;
    p->due_ns = from_ns + TRANSIT_NS + delay_ns;
    p->order = m->accepted++;
    p->to = to;
    m->waiting[m->waiting_count++] = p;
}

static size_t first_due(const struct middle *m)
{
    size_t first = 0;

    for (size_t i = 1; i < m->waiting_count; i++) {
        const struct parcel *a = m->waiting[i], *b = m->waiting[first];
        if (a->due_ns < b->due_ns || (a->due_ns == b->due_ns && a->order < b->order))
            first = i;
    }
    return first;
}

/* Takes one out of those that wait. */
static struct parcel *take_out(struct middle *m, size_t index)
{
    struct parcel *p = m->waiting[index];

    m->waiting[index] = m->waiting[--m->waiting_count];
    m->waiting[m->waiting_count] = NULL;
    return p;
}

uint64_t middle_next(const struct middle *m)
{
    return m->waiting_count > 0 ? m->waiting[first_due(m)]->due_ns : STRAIT_NEVER;
}

void middle_deliver(struct middle *m, uint64_t now_ns)
{
    while (middle_next(m) <= now_ns) {
        struct parcel *p = take_out(m, first_due(m));
        rig_input(m->hosts[p->to], p->bytes, p->length, NULL, now_ns);
        free(p);
    }
}

/* ---- What is known -------------------------------------------------------------------------- */

static uint32_t payload_bytes(const struct packet_tcp *tcp, size_t length)
{
    return (uint32_t)(length - PACKET_IP_BYTES - tcp->header_bytes);
}

static void listen_to(struct speaker *s, const struct packet_tcp *tcp, size_t length)
{
    uint32_t end = tcp->seq + payload_bytes(tcp, length) + ((tcp->flags & PACKET_SYN) != 0) +
                   ((tcp->flags & PACKET_FIN) != 0);

    if (tcp->flags & PACKET_RST)
        return;
    if (!s->spoke)
        *s = (struct speaker){.spoke = true, .first = tcp->seq, .end = end};
    s->end = seq_max(s->end, end);
    s->joined = s->joined || !(tcp->flags & PACKET_SYN);
    if (tcp->flags & PACKET_ACK)
        s->ack = tcp->ack;
}

static void keep(struct middle *m, int from, const uint8_t *packet, size_t length)
{
    struct parcel **slot = &m->kept[from][m->kept_next[from]++ % MIDDLE_KEPT];

    free(*slot);
    *slot = parcel_new(packet, length);
}

/* ---- Deeds of a network --------------------------------------------------------------------- */

/* Cuts a segment in two. The first goes on by itself; *p becomes the rest. */
static void split(struct middle *m, int to, struct parcel *p, uint64_t now_ns)
{
    struct packet_tcp tcp = packet_tcp_read(p->bytes, p->length);
    size_t headers_bytes = PACKET_IP_BYTES + tcp.header_bytes;
    uint32_t at = read_u8(&m->script) * 8u;

    if (tcp.flags & (PACKET_SYN | PACKET_RST) || at == 0 || at >= payload_bytes(&tcp, p->length))
        return;
    struct parcel *head = parcel_new(p->bytes, headers_bytes + at);
    store_be16(head->bytes + 2, (uint16_t)head->length);
    head->bytes[PACKET_IP_BYTES + 13] &= (uint8_t) ~(PACKET_FIN | PACKET_PSH);
    packet_seal(head->bytes, head->length);
    dispatch(m, to, head, now_ns, 0);

    memmove(p->bytes + headers_bytes, p->bytes + headers_bytes + at,
            p->length - headers_bytes - at);
    p->length -= at;
    store_be16(p->bytes + 2, (uint16_t)p->length);
    store_be32(p->bytes + PACKET_IP_BYTES + 4, tcp.seq + at);
    packet_seal(p->bytes, p->length);
}

/* Whether `next` begins where `p` ends, and both are plain text. */
static bool continues(const struct parcel *p, const struct parcel *next)
{
    struct packet_tcp a = packet_tcp_read(p->bytes, p->length);
    struct packet_tcp b = packet_tcp_read(next->bytes, next->length);

    return !((a.flags | b.flags) & (uint8_t) ~(PACKET_ACK | PACKET_PSH)) &&
           a.header_bytes == b.header_bytes && a.source_port == b.source_port &&
           a.destination_port == b.destination_port &&
           b.seq == a.seq + payload_bytes(&a, p->length) && payload_bytes(&a, p->length) > 0 &&
           payload_bytes(&b, next->length) > 0 &&
           p->length + payload_bytes(&b, next->length) <= RIG_MTU;
}

/* Puts one that has waited in front of `next`, whose header is the newer one. */
static void merge(struct middle *m, int to, struct parcel *next)
{
    for (size_t i = 0; i < m->waiting_count; i++) {
        struct parcel *p = m->waiting[i];
        if (!p->mergeable || p->to != to || !continues(p, next))
            continue;
        struct packet_tcp tcp = packet_tcp_read(p->bytes, p->length);
        size_t headers_bytes = PACKET_IP_BYTES + tcp.header_bytes;
        size_t text_bytes = p->length - headers_bytes;
        memmove(next->bytes + p->length, next->bytes + headers_bytes, next->length - headers_bytes);
        memcpy(next->bytes + headers_bytes, p->bytes + headers_bytes, text_bytes);
        next->length += text_bytes;
        store_be16(next->bytes + 2, (uint16_t)next->length);
        store_be32(next->bytes + PACKET_IP_BYTES + 4, tcp.seq);
        packet_seal(next->bytes, next->length);
        free(take_out(m, i));
        return;
    }
}

static void strip(struct parcel *p)
{
    struct packet_tcp tcp = packet_tcp_read(p->bytes, p->length);

    if ((tcp.flags & (PACKET_SYN | PACKET_ACK)) != PACKET_SYN)
        return; /* later both sides rely on what they have agreed on */
    memset(p->bytes + PACKET_HEADERS_BYTES, 1, tcp.header_bytes - PACKET_TCP_BYTES);
    packet_seal(p->bytes, p->length);
}

static void mark(struct parcel *p)
{
    if ((p->bytes[1] & 3) == 0)
        return;
    p->bytes[1] |= 3;
    packet_seal(p->bytes, p->length);
}

static void replay(struct middle *m, int from, unsigned degree, uint64_t now_ns)
{
    const struct parcel *old = m->kept[from][degree % MIDDLE_KEPT];

    if (old != NULL)
        dispatch(m, 1 - from, parcel_new(old->bytes, old->length), now_ns, 0);
}

/* ---- Forgeries ------------------------------------------------------------------------------ */

/* As if `from` had sent it: the ports and options of the packet it did send, and these numbers. */
static struct parcel *forgery(const struct parcel *model, uint8_t flags, uint32_t seq, uint32_t ack,
                              uint32_t text_bytes)
{
    struct packet_tcp tcp = packet_tcp_read(model->bytes, model->length);
    size_t headers_bytes = PACKET_IP_BYTES + tcp.header_bytes;
    struct parcel *p = parcel_new(model->bytes, headers_bytes);

    p->length = headers_bytes + text_bytes;
    store_be16(p->bytes + 2, (uint16_t)p->length);
    tcp.flags = flags;
    tcp.seq = seq;
    tcp.ack = ack;
    packet_tcp_header(p->bytes, &tcp);
    packet_seal(p->bytes, p->length);
    return p;
}

/* An ICMP error to `to` about the last packet that it sent. */
static struct parcel *icmp_forgery(const struct middle *m, int to, uint8_t type, uint8_t code,
                                   uint16_t mtu)
{
    const struct parcel *quoted = m->kept[to][(m->kept_next[to] - 1) % MIDDLE_KEPT];
    uint8_t packet[FORGERY_BYTES];
    size_t length = PACKET_IP_BYTES + 8 + QUOTE_BYTES;

    packet_ip_header(packet, length, IPPROTO_ICMP, m->hosts[1 - to]->address,
                     m->hosts[to]->address);
    memset(packet + PACKET_IP_BYTES, 0, 8);
    packet[PACKET_IP_BYTES] = type;
    packet[PACKET_IP_BYTES + 1] = code;
    store_be16(packet + PACKET_IP_BYTES + 6, mtu);
    memcpy(packet + PACKET_IP_BYTES + 8, quoted->bytes, QUOTE_BYTES);
    packet_seal(packet, length);
    return parcel_new(packet, length);
}

/*
 * To the receiver of the packet `model`, for whom the connection is open: what a stranger can send
 * who knows everything but the exact number.
 */
static void forge(struct middle *m, int from, const struct parcel *model, unsigned degree,
                  uint64_t now_ns)
{
    const struct speaker *peer = &m->speakers[from], *target = &m->speakers[1 - from];
    struct parcel *p = NULL;

    if (!peer->spoke || !target->joined)
        return;
    switch (degree % 10) {
    case 0:
        p = forgery(model, PACKET_RST, peer->end + NEAR, 0, 0);
        break;
    case 1:
        p = forgery(model, PACKET_RST | PACKET_ACK, peer->end + FAR, target->end, 0);
        break;
    case 2:
        p = forgery(model, PACKET_SYN, peer->end + NEAR, 0, 0);
        break;
    case 3:
        p = forgery(model, PACKET_SYN | PACKET_ACK, peer->first, target->first + 1, 0);
        break;
    case 4:
        p = forgery(model, PACKET_ACK, peer->end, target->end + AHEAD, 0);
        break;
    case 5:
        p = forgery(model, PACKET_ACK, peer->first - 2 * OLD_BYTES, target->ack, OLD_BYTES);
        break;
    case 6:
        p = forgery(model, PACKET_ACK, peer->end + FAR, target->end, OLD_BYTES);
        break;
    case 7:
        p = icmp_forgery(m, 1 - from, 3, (uint8_t)(degree % 4), 0);
        break;
    case 8:
        p = icmp_forgery(m, 1 - from, 3, 4, 68);
        break;
    default:
        p = icmp_forgery(m, 1 - from, 3, 3, 0);
        break;
    }
    dispatch(m, 1 - from, p, now_ns, 0);
}

static void forge_exactly(struct middle *m, int from, const struct parcel *model, unsigned degree,
                          uint64_t now_ns)
{
    const struct speaker *peer = &m->speakers[from], *target = &m->speakers[1 - from];
    struct parcel *p = NULL;

    m->tainted = true;
    switch (degree % 4) {
    case 0:
        p = forgery(model, PACKET_RST, target->ack, 0, 0);
        break;
    case 1:
        p = forgery(model, PACKET_ACK, target->ack, target->end, OLD_BYTES);
        break;
    case 2:
        p = forgery(model, PACKET_ACK | PACKET_FIN, peer->end, target->end, 0);
        break;
    default:
        p = forgery(model, PACKET_SYN, peer->end, 0, 0);
        break;
    }
    dispatch(m, 1 - from, p, now_ns, 0);
}

static void rewrite(struct middle *m, struct parcel *p)
{
    struct packet_tcp tcp = packet_tcp_read(p->bytes, p->length);

    m->tainted = true;
    uint8_t at = read_u8(&m->script);
    p->bytes[at % (PACKET_IP_BYTES + tcp.header_bytes)] ^= read_u8(&m->script);
    packet_seal(p->bytes, p->length);
}

/* ---- The way of a packet -------------------------------------------------------------------- */

static void damage(struct middle *m, struct parcel *p, unsigned degree)
{
    p->bytes[read_be16(&m->script) % p->length] ^= (uint8_t)(1u << degree % 8);
}

static void act(struct middle *m, int from, struct parcel *p, uint64_t now_ns)
{
    uint8_t byte = read_u8(&m->script);
    unsigned degree = byte >> 4;
    uint64_t delay_ns = 0;
    size_t cut;

    switch ((enum deed)(byte & 15)) {
    case DEED_PASS:
        break;
    case DEED_DROP:
        free(p);
        return;
    case DEED_DUPLICATE:
        dispatch(m, 1 - from, parcel_new(p->bytes, p->length), now_ns, degree * 4 * RIG_MS);
        break;
    case DEED_DELAY:
        delay_ns = degree * 4 * RIG_MS;
        break;
    case DEED_DELAY_LONG:
        delay_ns = degree * 500 * RIG_MS;
        break;
    case DEED_DAMAGE:
        damage(m, p, degree);
        break;
    case DEED_TRUNCATE:
        cut = read_be16(&m->script);
        p->length = cut < p->length ? cut : p->length;
        break;
    case DEED_SPLIT:
        split(m, 1 - from, p, now_ns);
        break;
    case DEED_MERGE:
        p->mergeable = true;
        delay_ns = MERGE_WAIT_NS;
        break;
    case DEED_REPLAY:
        replay(m, from, degree, now_ns);
        break;
    case DEED_STRIP:
        strip(p);
        break;
    case DEED_PAUSE:
        m->paused_until_ns[1 - from] = now_ns + degree * 250 * RIG_MS;
        break;
    case DEED_FORGE:
        forge(m, from, p, degree, now_ns);
        break;
    case DEED_FORGE_EXACT:
        forge_exactly(m, from, p, degree, now_ns);
        break;
    case DEED_REWRITE:
        rewrite(m, p);
        break;
    case DEED_MARK:
        mark(p);
        break;
    }
    dispatch(m, 1 - from, p, now_ns, delay_ns);
}

void middle_take(struct middle *m, int from, const uint8_t *packet, size_t length, uint64_t now_ns)
{
    struct parcel *p = parcel_new(packet, length);

    if (!packet_is_tcp(packet, length)) {
        dispatch(m, 1 - from, p, now_ns, 0);
        return;
    }
    struct packet_tcp tcp = packet_tcp_read(packet, length);
    listen_to(&m->speakers[from], &tcp, length);
    keep(m, from, packet, length);
    merge(m, 1 - from, p);
    act(m, from, p, now_ns);
}

void middle_init(struct middle *m, struct rig *left, struct rig *right, struct reader script)
{
    *m = (struct middle){.script = script, .hosts = {left, right}};
}

void middle_finish(struct middle *m)
{
    for (size_t i = 0; i < m->waiting_count; i++)
        free(m->waiting[i]);
    for (int from = 0; from < 2; from++)
        for (int i = 0; i < MIDDLE_KEPT; i++)
            free(m->kept[from][i]);
}
