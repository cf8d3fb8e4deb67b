/* SPDX-License-Identifier: MIT */
/*
 * The ceiling: what a program can do on this TUN if its TCP costs nothing. It plays just enough of
 * it: no timers, no congestion control, no reassembly, no checks. An echo needs no state, since
 * each answer follows from the segment at hand; bulk flows keep two sequence numbers.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/seq.h"
#include "cell.h"

#define IP_BYTES        20u
#define TCP_BYTES       20u
#define HEADER_BYTES    (IP_BYTES + TCP_BYTES)
#define SYN_BYTES       (HEADER_BYTES + 8u) /* with MSS and window scale */
#define PACKET_MAX      65535u
#define CHECKSUM_AT     16u
#define FIN             1u
#define SYN             2u
#define RST             4u
#define PSH             8u
#define ACK             16u
#define FLOWS_MAX       64
#define INITIAL_SEQ     1000u
#define WINDOW_SCALE    8
#define WINDOW_FIELD    16384u             /* 4 MB */
#define PLAIN_ACK_EVERY 16                 /* packets of 1500 bytes; more brings nothing */
#define BURST           16                 /* pieces between two looks at what has come */
#define FLUSH_MS        1                  /* an acknowledgement that is owed waits no longer */
#define STALL_NS        UINT64_C(20000000) /* without progress: something was lost */

/* What of an arrived segment matters. */
struct segment {
    uint32_t source, destination;
    uint16_t source_port, port;
    uint32_t seq, ack;
    uint8_t flags;
    uint16_t window;
    const uint8_t *options, *payload;
    uint32_t length;
};

/* A connection to the discarding or to the sending port. */
struct flow {
    struct segment peer; /* its addresses and ports, as they arrive; port 0: it has ended */
    uint32_t rcv_nxt;
    unsigned owed; /* packets that are not acknowledged yet */
    uint32_t snd_una, snd_nxt, snd_wnd;
    uint8_t snd_scale;
    uint64_t progress_ns;
};

struct raw {
    const struct cell *cell;
    struct device device;
    uint32_t mss;
    uint32_t piece_bytes; /* that a flow sends at once */
    uint64_t piece_sum;
    unsigned ack_every;
    struct flow flows[FLOWS_MAX];
    unsigned flow_count;
    uint8_t piece[PACKET_MAX];
    uint8_t packet[PACKET_MAX];
};

/* ---- Sending ----------------------------------------------------------------------------------
 */

/* What is sent in answer to `to`, whose direction is turned round. */
struct answer {
    const struct segment *to;
    uint32_t seq, ack;
    uint8_t flags;
    const uint8_t *payload;
    uint32_t length;
    uint64_t payload_sum; /* used without offload */
};

static uint32_t write_header(const struct raw *raw, uint8_t *h, const struct answer *a)
{
    uint32_t header_bytes = a->flags & SYN ? SYN_BYTES : HEADER_BYTES;
    uint8_t *tcp = h + IP_BYTES;
    memset(h, 0, SYN_BYTES);
    h[0] = 0x45;
    store_be16(h + 2, (uint16_t)(header_bytes + a->length));
    store_be16(h + 6, 0x4000); /* do not fragment */
    h[8] = 64;
    h[9] = IPPROTO_TCP;
    store_be32(h + 12, a->to->destination);
    store_be32(h + 16, a->to->source);
    store_be16(h + 10, (uint16_t)~checksum_fold(checksum_add(0, h, IP_BYTES)));

    store_be16(tcp, a->to->port);
    store_be16(tcp + 2, a->to->source_port);
    store_be32(tcp + 4, a->seq);
    store_be32(tcp + 8, a->ack);
    tcp[12] = (uint8_t)((header_bytes - IP_BYTES) / 4 << 4);
    tcp[13] = a->flags;
    store_be16(tcp + 14, WINDOW_FIELD);
    if (a->flags & SYN) {
        store_be32(tcp + 20, 2u << 24 | 4u << 16 | raw->mss);
        store_be32(tcp + 24, 1u << 24 | 3u << 16 | 3u << 8 | WINDOW_SCALE);
    }
    uint64_t sum = checksum_add(IPPROTO_TCP + header_bytes - IP_BYTES + a->length, h + 12, 8);
    if (raw->device.header) {
        store_be16(tcp + CHECKSUM_AT, checksum_fold(sum));
    } else {
        sum = checksum_add(sum, tcp, header_bytes - IP_BYTES) + a->payload_sum;
        store_be16(tcp + CHECKSUM_AT, (uint16_t)~checksum_fold(sum));
    }
    return header_bytes;
}

static void send_answer(const struct raw *raw, const struct answer *a)
{
    uint8_t header[SYN_BYTES];
    uint32_t header_bytes = write_header(raw, header, a);
    struct virtio_net_hdr offload = {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = IP_BYTES, .csum_offset = CHECKSUM_AT};
    if (a->length > raw->mss) {
        offload.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
        offload.gso_size = (uint16_t)raw->mss;
        offload.hdr_len = (uint16_t)header_bytes;
    }
    struct iovec parts[] = {{&offload, raw->device.header ? sizeof(offload) : 0},
                            {header, header_bytes},
                            {(void *)a->payload, a->length}};
    if (writev(raw->device.fd, parts, 3) < 0 && errno != ENOBUFS && errno != EAGAIN)
        fail("writing to the TUN");
}

static void acknowledge(const struct raw *raw, struct flow *f)
{
    send_answer(
        raw, &(struct answer){.to = &f->peer, .seq = f->snd_nxt, .ack = f->rcv_nxt, .flags = ACK});
    f->owed = 0;
}

static bool send_piece(const struct raw *raw, struct flow *f)
{
    if (f->peer.port != PORT_SOURCE || f->snd_nxt - f->snd_una + raw->piece_bytes > f->snd_wnd)
        return false;
    send_answer(raw, &(struct answer){.to = &f->peer,
                                      .seq = f->snd_nxt,
                                      .ack = f->rcv_nxt,
                                      .flags = ACK | PSH,
                                      .payload = raw->piece,
                                      .length = raw->piece_bytes,
                                      .payload_sum = raw->piece_sum});
    f->snd_nxt += raw->piece_bytes;
    return true;
}

/* Sends what the windows allow. Returns whether there is more to send. */
static bool blast(struct raw *raw)
{
    bool any = true;
    for (int i = 0; any && i < BURST; i++) {
        any = false;
        for (struct flow *f = raw->flows; f < raw->flows + raw->flow_count; f++)
            any = send_piece(raw, f) || any;
    }
    return any;
}

/* Nothing has come for a while: what is owed is told, and what was lost goes again. */
static void flush(struct raw *raw)
{
    uint64_t time_ns = now_ns();
    for (struct flow *f = raw->flows; f < raw->flows + raw->flow_count; f++) {
        if (f->owed > 0)
            acknowledge(raw, f);
        if (f->snd_nxt != f->snd_una && time_ns - f->progress_ns > STALL_NS) {
            f->snd_nxt = f->snd_una;
            f->progress_ns = time_ns;
        }
    }
}

/* ---- Receiving --------------------------------------------------------------------------------
 */

static bool parse(const uint8_t *packet, size_t length, struct segment *s)
{
    if (length < HEADER_BYTES || packet[0] != 0x45 || packet[9] != IPPROTO_TCP)
        return false;
    const uint8_t *tcp = packet + IP_BYTES;
    size_t header_bytes = IP_BYTES + (size_t)(tcp[12] >> 4) * 4;
    if (header_bytes < HEADER_BYTES || header_bytes > length)
        return false;
    *s = (struct segment){
        .source = load_be32(packet + 12),
        .destination = load_be32(packet + 16),
        .source_port = load_be16(tcp),
        .port = load_be16(tcp + 2),
        .seq = load_be32(tcp + 4),
        .ack = load_be32(tcp + 8),
        .flags = tcp[13],
        .window = load_be16(tcp + 14),
        .options = tcp + TCP_BYTES,
        .payload = packet + header_bytes,
        .length = (uint32_t)(length - header_bytes),
    };
    return true;
}

static struct flow *find_flow(struct raw *raw, const struct segment *s)
{
    for (struct flow *f = raw->flows; f < raw->flows + raw->flow_count; f++)
        if (f->peer.source_port == s->source_port && f->peer.port == s->port)
            return f;
    return NULL;
}

static uint8_t scale_of(const struct segment *s)
{
    const uint8_t *option = s->options;
    while (option < s->payload && *option != 0) {
        if (*option == 3)
            return option[2];
        option += *option == 1 || option[1] == 0 ? 1 : option[1];
    }
    return 0;
}

static void open_flow(struct raw *raw, const struct segment *s)
{
    struct flow *f = find_flow(raw, s);
    if (!f && raw->flow_count < FLOWS_MAX)
        f = &raw->flows[raw->flow_count++];
    if (!f)
        return;
    *f = (struct flow){
        .peer = *s,
        .rcv_nxt = s->seq + 1,
        .snd_una = INITIAL_SEQ + 1,
        .snd_nxt = INITIAL_SEQ + 1,
        .snd_scale = scale_of(s),
    };
}

static void take_syn(struct raw *raw, const struct segment *s)
{
    if (s->port == PORT_DISCARD || s->port == PORT_SOURCE)
        open_flow(raw, s);
    send_answer(
        raw,
        &(struct answer){
            .to = s, .seq = INITIAL_SEQ, .ack = s->seq + 1, .flags = SYN | ACK, .payload_sum = 0});
}

static void echo(const struct raw *raw, const struct segment *s)
{
    if (s->length == 0 && !(s->flags & FIN))
        return;
    send_answer(raw, &(struct answer){.to = s,
                                      .seq = s->ack,
                                      .ack = s->seq + s->length + (s->flags & FIN ? 1 : 0),
                                      .flags = (uint8_t)(ACK | PSH | (s->flags & FIN)),
                                      .payload = s->payload,
                                      .length = s->length,
                                      .payload_sum = raw->device.header
                                                         ? 0
                                                         : checksum_add(0, s->payload, s->length)});
}

static void take_flow(struct raw *raw, const struct segment *s)
{
    struct flow *f = find_flow(raw, s);
    if (!f)
        return;
    if (s->flags & (RST | FIN)) {
        *f = (struct flow){0};
        return;
    }
    f->snd_wnd = (uint32_t)s->window << f->snd_scale;
    if (seq_gt(s->ack, f->snd_una)) {
        f->snd_una = s->ack;
        if (seq_lt(f->snd_nxt, f->snd_una)) /* sent before it was taken for lost */
            f->snd_nxt = f->snd_una;
        f->progress_ns = now_ns();
    }
    if (s->length == 0)
        return;
    if (s->seq == f->rcv_nxt)
        f->rcv_nxt += s->length;
    if (++f->owed >= raw->ack_every || s->seq + s->length != f->rcv_nxt)
        acknowledge(raw, f);
}

/* Takes one packet, if there is one. */
static bool take(struct raw *raw)
{
    struct virtio_net_hdr offload;
    struct segment s;
    size_t before = raw->device.header ? sizeof(offload) : 0;
    struct iovec parts[] = {{&offload, before}, {raw->packet, sizeof(raw->packet)}};
    ssize_t n = readv(raw->device.fd, parts, 2);
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n < 0)
        fail("reading from the TUN");
    if (!parse(raw->packet, (size_t)n - before, &s))
        return true;
    if (s.flags & SYN)
        take_syn(raw, &s);
    else if (s.port == PORT_ECHO || s.port == PORT_CALL)
        echo(raw, &s);
    else
        take_flow(raw, &s);
    return true;
}

static bool anything_owed(const struct raw *raw)
{
    for (const struct flow *f = raw->flows; f < raw->flows + raw->flow_count; f++)
        if (f->owed > 0 || f->snd_nxt != f->snd_una)
            return true;
    return false;
}

static void serve(const struct cell *cell)
{
    struct raw *raw = get_memory(sizeof(*raw));
    memset(raw, 0, sizeof(*raw));
    raw->cell = cell;
    raw->device = cell_device(cell, "tun0", KERNEL_ADDRESS);
    raw->mss = cell->mtu - HEADER_BYTES;
    raw->piece_bytes = raw->mss;
    if (raw->device.header)
        raw->piece_bytes *= (PACKET_MAX - HEADER_BYTES) / raw->mss;
    raw->piece_sum = checksum_add(0, raw->piece, raw->piece_bytes);
    raw->ack_every = cell->plain && cell->mtu <= 1500 ? PLAIN_ACK_EVERY : 1;
    cell_ready();
    for (;;) {
        if (take(raw) || blast(raw))
            continue;
        struct pollfd p = {.fd = raw->device.fd, .events = POLLIN};
        if (!cell->spin && poll(&p, 1, anything_owed(raw) ? FLUSH_MS : -1) == 0)
            flush(raw);
    }
}

const struct subject subject_raw = {.name = "raw", .address = SUBJECT_ADDRESS, .serve = serve};
