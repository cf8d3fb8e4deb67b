/* SPDX-License-Identifier: MIT */
/*
 * Fragments of a few datagrams in any order, overlapping, repeated, too long, too late, and a model
 * of what reassembly has to make of them, as plain as can be: a list of what has come.
 *
 * The input is the UDP length of each of the DATAGRAMS datagrams (2 bytes each), and then steps
 * until it ends. A step is a byte: the datagram (its IP identification) in the low two bits, more
 * fragments, the variant of the content, and whether instead of all that time passes; the high
 * three bits are added to the length. There follow, if it is a fragment, its offset (2 bytes, times
 * 8) and its length (1 byte, times 8, or from 128 on times 512), else the time (1 byte, times
 * 250 ms).
 *
 * Two variants of a datagram differ in every byte behind the UDP header, so whatever is delivered
 * tells of which fragments it was made.
 *
 * The rules: RFC 791 3.2, RFC 1122 3.3.2 (with Linux's 30 seconds), and RFC 5722's for overlaps: a
 * repetition of the same range is ignored, any other overlap drops the datagram, and so does an end
 * that is none. The datagram is delivered at the moment at which it is whole, and never otherwise.
 * The sender is told of a datagram that came too late by at most one ICMP error, and only if its
 * first fragment had come.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "packet.h"
#include "rig.h"
#include "targets.h"

#define DATAGRAMS     4
#define FRAGMENTS_MAX 1000 /* steps, too */
#define OFFSET_UNIT   8u
#define OFFSET_MASK   0x1fff
#define MORE          0x2000
#define TIMEOUT_NS    (30 * RIG_S)
#define UDP_BYTES     8u
#define UDP_PORT      53
#define PEER_PORT     4000
#define PACKET_MAX    65535u
#define VARIANTS      2
#define CONTENT_BYTES (2 * PACKET_MAX + DATAGRAMS + 8) /* offset and length may both be large */
#define MEMORY_BYTES  (4u << 20) /* more than all of it may need: nothing is dropped for lack */

enum step {
    STEP_DATAGRAM = 3,
    STEP_MORE = 4,
    STEP_VARIANT = 8,
    STEP_WAIT = 16,
};

struct fragment {
    uint32_t start, end;
    unsigned variant;
};

/* What has come of a datagram. */
struct model {
    uint16_t udp_length;
    uint32_t count, end; /* end: of the last fragment, 0 before it has come */
    uint64_t began_ns;
    struct fragment fragments[FRAGMENTS_MAX];
};

struct test {
    struct rig rig;
    uint64_t now_ns;
    int socket;
    uint64_t errors_due; /* ICMP errors that may be sent */
    struct model models[DATAGRAMS];
    uint8_t packet[PACKET_MAX], received[PACKET_MAX];
    uint8_t contents[VARIANTS][CONTENT_BYTES];
};

/* Made once, since the bytes are many and the inputs short. */
static void make_contents(struct test *t)
{
    if (t->contents[0][1] != 0)
        return;
    for (uint32_t i = 0; i < CONTENT_BYTES; i++) {
        t->contents[0][i] = (uint8_t)(i * 5 + (i >> 8) * 3);
        t->contents[1][i] = (uint8_t)~t->contents[0][i];
    }
}

/* The content from `position` on, as far as that is within a datagram. */
static const uint8_t *content(const struct test *t, unsigned id, unsigned variant,
                              uint32_t position)
{
    return t->contents[variant] + id + position;
}

/* ---- The model ------------------------------------------------------------------------------ */

static bool is_known(const struct model *m, const struct fragment *f)
{
    for (uint32_t i = 0; i < m->count; i++)
        if (m->fragments[i].start == f->start && m->fragments[i].end == f->end)
            return true;
    return false;
}

/* Whether the fragment cannot be of one datagram with what has come. */
static bool contradicts(const struct model *m, const struct fragment *f, bool more)
{
    for (uint32_t i = 0; i < m->count; i++) {
        const struct fragment *old = &m->fragments[i];
        if (old->start < f->end && f->start < old->end)
            return true;
        if (!more && old->start >= f->end)
            return true;
    }
    return m->end != 0 && (!more || f->end > m->end);
}

/* Returns whether the datagram is whole with this fragment. */
static bool model_take(struct test *t, struct model *m, const struct fragment *f, bool more)
{
    uint32_t length = f->end - f->start, sum = length;

    if (length == 0 || (more && length % OFFSET_UNIT != 0) || PACKET_IP_BYTES + f->end > PACKET_MAX)
        return false;
    if (m->count == 0)
        m->began_ns = t->now_ns;
    if (is_known(m, f))
        return false;
    if (contradicts(m, f, more)) {
        m->count = m->end = 0;
        return false;
    }
    for (uint32_t i = 0; i < m->count; i++)
        sum += m->fragments[i].end - m->fragments[i].start;
    m->fragments[m->count++] = *f;
    m->end = more ? m->end : f->end;
    return sum == m->end;
}

static void model_wait(struct test *t)
{
    for (int i = 0; i < DATAGRAMS; i++) {
        struct model *m = &t->models[i];
        if (m->count == 0 || t->now_ns < m->began_ns + TIMEOUT_NS)
            continue;
        for (uint32_t j = 0; j < m->count; j++)
            t->errors_due += m->fragments[j].start == 0;
        m->count = m->end = 0;
    }
}

/* ---- The host ------------------------------------------------------------------------------- */

static ssize_t receive(struct test *t)
{
    return strait_recv(t->rig.stack, t->socket, t->received, sizeof(t->received), 0);
}

/* The whole of the model's fragments has come: the socket has the datagram, and no other. */
static void check_delivered(struct test *t, unsigned id, struct model *m)
{
    if (m->udp_length >= UDP_BYTES && m->udp_length <= m->end) {
        CHECK(receive(t) == (ssize_t)(m->udp_length - UDP_BYTES));
        for (uint32_t i = 0; i < m->count; i++) {
            const struct fragment *f = &m->fragments[i];
            uint32_t start = f->start > UDP_BYTES ? f->start : UDP_BYTES;
            uint32_t end = f->end < m->udp_length ? f->end : m->udp_length;
            if (start < end)
                CHECK(memcmp(t->received + start - UDP_BYTES, content(t, id, f->variant, start),
                             end - start) == 0);
        }
    }
    m->count = m->end = 0;
}

static void send_fragment(struct test *t, unsigned id, const struct fragment *f, bool more)
{
    size_t length = PACKET_IP_BYTES + f->end - f->start;
    uint8_t udp[UDP_BYTES] = {PEER_PORT >> 8, PEER_PORT & 255, UDP_PORT >> 8, UDP_PORT & 255};

    store_be16(udp + 4, t->models[id].udp_length); /* the checksum is 0: there is none */
    packet_ip_header(t->packet, length, IPPROTO_UDP, RIG_PEER, RIG_ADDRESS);
    store_be16(t->packet + 4, (uint16_t)(id + 1));
    store_be16(t->packet + 6, (uint16_t)((more ? MORE : 0) | f->start / OFFSET_UNIT));
    memcpy(t->packet + PACKET_IP_BYTES, content(t, id, f->variant, f->start), f->end - f->start);
    for (uint32_t at = f->start; at < f->end && at < UDP_BYTES; at++)
        t->packet[PACKET_IP_BYTES + at - f->start] = udp[at];
    packet_seal_header(t->packet, length);
    rig_input(&t->rig, t->packet, length, NULL, t->now_ns);
    rig_turn(&t->rig, t->now_ns);
}

static void take_fragment(struct test *t, uint8_t step, struct reader *r)
{
    unsigned id = step & STEP_DATAGRAM;
    bool more = step & STEP_MORE;
    struct model *m = &t->models[id];
    struct fragment f = {.start = (read_be16(r) & OFFSET_MASK) * OFFSET_UNIT,
                         .variant = (step & STEP_VARIANT) != 0};
    uint32_t units = read_u8(r);
    uint32_t length = (units < 128 ? units * 8 : (units - 127) * 512) + (step >> 5);

    f.end =
        f.start + (length < PACKET_MAX - PACKET_IP_BYTES ? length : PACKET_MAX - PACKET_IP_BYTES);
    send_fragment(t, id, &f, more);
    if (f.start == 0 && !more) { /* a datagram in one piece */
        struct model whole = {
            .udp_length = m->udp_length, .count = 1, .end = f.end, .fragments = {f}};
        check_delivered(t, id, &whole);
    } else if (model_take(t, m, &f, more)) {
        check_delivered(t, id, m);
    }
    CHECK(receive(t) < 0 && errno == EAGAIN);
}

int fuzz_reassembly(const uint8_t *bytes, size_t length)
{
    static struct test test;
    struct test *t = &test;
    struct sockaddr_in any = rig_sockaddr(INADDR_ANY, UDP_PORT);
    struct strait_config config;
    struct reader r = reader_over(bytes, length);

    make_contents(t);
    rig_configure(&config);
    config.fragments_max_bytes = MEMORY_BYTES;
    rig_open(&t->rig, 0, &config, 0);
    t->now_ns = RIG_START;
    t->errors_due = 0;
    t->socket = strait_socket(t->rig.stack, AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    CHECK(strait_bind(t->rig.stack, t->socket, (struct sockaddr *)&any, sizeof(any)) == 0);
    for (int i = 0; i < DATAGRAMS; i++) {
        t->models[i].count = t->models[i].end = 0;
        t->models[i].udp_length = read_be16(&r);
    }
    for (int i = 0; i < FRAGMENTS_MAX && r.left > 0; i++) {
        uint8_t step = read_u8(&r);
        if (step & STEP_WAIT) {
            rig_pass(&t->rig, &t->now_ns, read_u8(&r) * 250 * RIG_MS);
            model_wait(t);
        } else {
            take_fragment(t, step, &r);
        }
        CHECK(t->rig.packets_out <= t->errors_due);
    }
    CHECK(strait_close(t->rig.stack, t->socket) == 0);
    rig_rest(&t->rig, &t->now_ns);
    return 0;
}
