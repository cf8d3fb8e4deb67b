/* SPDX-License-Identifier: MIT */
/*
 * Packets into every TCP state. The input is a small program: what the application does, how time
 * passes, and what four peers send. Packets are written relative to the true numbers of their
 * connection, so that states deep in the diagram of tcp/input.c are a few bytes away, and each can
 * then be met with what is slightly or wholly wrong.
 *
 * The input is a byte of enum setting, and then operations until it ends. The first byte of an
 * operation has its number (enum operation) in the low four bits, the flow in the next two, and a
 * choice in the highest two. Flows 0 and 1 are peers that connect to port 80; flows 2 and 3 are
 * those that the host connects to. Bytes that are missing at the end are zero.
 *
 * The bytes of a peer's stream are the low bytes of their own sequence numbers, those of the
 * application's stream follow from their position. So whatever is accepted, in whatever pieces, the
 * application has to read consecutive bytes, and Strait has to send each byte at its place; unless
 * a packet with a right checksum said otherwise (OP_DAMAGE). The rest of what is promised stands in
 * rig.h.
 *
 * test_corpus.c shows by states_reached that the corpus has a way into every state.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/seq.h"
#include "packet.h"
#include "rig.h"
#include "targets.h"

enum setting {
    SETTING_NO_TIMESTAMPS = 1,
    SETTING_NO_SCALING = 2,
    SETTING_NO_SACK = 4,
    SETTING_ECN = 8,
    SETTING_NO_COOKIES = 16,
    SETTING_OFFLOAD = 32,
    SETTING_TIGHT_MEMORY = 64,
    SETTING_TIGHT_TABLES = 128,
};

enum operation {
    OP_EXACT,   /* flags, length: the peer's next segment, nothing wrong with it */
    OP_SEGMENT, /* see read_segment: relative to the right numbers */
    OP_LISTEN,  /* backlog is the choice and 1 */
    OP_CONNECT, /* flows 2 and 3 */
    OP_ACCEPT,
    OP_SEND,     /* length / 64 */
    OP_RECEIVE,  /* length / 64; choice 1 peeks */
    OP_SHUTDOWN, /* how is the choice */
    OP_CLOSE,
    OP_OPTION,    /* which, value */
    OP_WAIT,      /* milliseconds, times 16 for each choice */
    OP_WAIT_LONG, /* seconds, times 16 for each choice */
    OP_ICMP,      /* type, code, MTU (2): about the last packet of the flow */
    OP_BATCH,     /* from here on the driver does no turn after a packet; again: it does */
    OP_UNLISTEN,
    OP_DAMAGE, /* place, bits: of the headers of the next packet; choice 0: after the checksum */
};

#define LISTEN_PORT    80
#define FLOWS          4
#define PASSIVE_FLOWS  2 /* the first ones */
#define PEER_PORT      40000
#define PEER_ISS       0xfffffe00u /* wraps soon */
#define ISS_STEP       0x00100000u /* from one connection of a flow to the next */
#define OPERATIONS_MAX 2000
#define PIECES         64
#define QUOTE_BYTES    60
#define PACKET_MAX     65535

/* A peer's view of its connection. */
struct flow {
    uint16_t local_port, peer_port;
    int fd;        /* of the application, -1 if there is none */
    uint32_t sent; /* by the application, bytes */
    bool reading;  /* it has read, and the next byte is `next_byte` */
    uint8_t next_byte;
    uint32_t peer_iss, peer_nxt;
    uint32_t iss, nxt; /* Strait's: its last SYN, and behind all that it has sent */
    bool stamped;      /* Strait's last segment had a timestamp: `stamp` */
    uint32_t stamp;
    uint8_t quote[QUOTE_BYTES]; /* the beginning of Strait's last packet */
    size_t quote_bytes;
};

struct states {
    struct rig rig;
    uint64_t now_ns;
    struct flow flows[FLOWS];
    int listener;
    bool batch;
    bool tainted; /* a damaged header had a right checksum: streams may differ */
    bool damages, damages_sealed;
    uint8_t damage_at, damage_bits;
    uint32_t reached;
    uint8_t packet[PACKET_MAX];
};

static uint8_t application_byte(uint32_t position)
{
    return (uint8_t)(position ^ position >> 8);
}

/* ---- What Strait sends ---------------------------------------------------------------------- */

static void note_stamp(struct flow *f, const uint8_t *options, size_t length)
{
    f->stamped = false;
    for (size_t i = 0; i + 10 <= length;) { /* Strait writes NOPs in front */
        if (options[i] == 8) {
            f->stamped = true;
            f->stamp = load_be32(options + i + 2);
            return;
        }
        i += options[i] == 1 ? 1u : options[i + 1];
    }
}

static void check_stream(const struct states *s, const struct flow *f, uint32_t seq,
                         const uint8_t *payload, size_t length)
{
    if (s->tainted)
        return;
    for (size_t i = 0; i < length; i++)
        CHECK(payload[i] == application_byte(seq - f->iss - 1 + (uint32_t)i));
}

static void note_segment(struct states *s, struct flow *f, const struct packet_tcp *tcp,
                         const uint8_t *packet, size_t length)
{
    const uint8_t *payload = packet + PACKET_IP_BYTES + tcp->header_bytes;
    size_t payload_bytes = length - PACKET_IP_BYTES - tcp->header_bytes;

    f->quote_bytes = length < QUOTE_BYTES ? length : QUOTE_BYTES;
    memcpy(f->quote, packet, f->quote_bytes);
    if (tcp->flags & PACKET_RST)
        return;
    if (tcp->flags & PACKET_SYN) {
        f->iss = tcp->seq;
        f->nxt = tcp->seq + 1;
        if (f < s->flows + PASSIVE_FLOWS)
            s->reached |= 1u << STATES_HALF_OPEN;
    } else {
        uint32_t end = tcp->seq + (uint32_t)payload_bytes + ((tcp->flags & PACKET_FIN) != 0);
        f->nxt = seq_max(f->nxt, end);
    }
    check_stream(s, f, tcp->seq, payload, payload_bytes);
    note_stamp(f, packet + PACKET_HEADERS_BYTES, tcp->header_bytes - PACKET_TCP_BYTES);
}

static void sent(struct rig *rig, const uint8_t *packet, size_t length,
                 const struct strait_offload *offload)
{
    struct states *s = rig->context;

    (void)offload;
    if (!packet_is_tcp(packet, length))
        return;
    struct packet_tcp tcp = packet_tcp_read(packet, length);
    for (int i = 0; i < FLOWS; i++) {
        struct flow *f = &s->flows[i];
        if (tcp.destination_port != f->peer_port)
            continue;
        if (i >= PASSIVE_FLOWS && (tcp.flags & PACKET_SYN))
            f->local_port = tcp.source_port;
        if (tcp.source_port == f->local_port)
            note_segment(s, f, &tcp, packet, length);
    }
}

/* ---- What the peers send -------------------------------------------------------------------- */

static void deliver(struct states *s, size_t length, const struct strait_offload *offload)
{
    if (s->damages && !s->damages_sealed)
        packet_seal(s->packet, length);
    if (s->damages) {
        s->packet[s->damage_at % length] ^= s->damage_bits;
        s->tainted = s->tainted || s->damages_sealed;
    }
    if (!s->damages || s->damages_sealed)
        packet_seal(s->packet, length);
    s->damages = false;
    rig_input(&s->rig, s->packet, length, offload, s->now_ns);
}

struct written {
    uint8_t bytes[PACKET_OPTIONS_BYTES];
    uint32_t length; /* a multiple of 4 */
};

static void write_stamp(struct states *s, const struct flow *f, struct written *options)
{
    uint8_t *p = options->bytes + options->length;

    p[0] = p[1] = 1;
    p[2] = 8;
    p[3] = 10;
    store_be32(p + 4, (uint32_t)(s->now_ns / RIG_MS));
    store_be32(p + 8, f->stamp);
    options->length += 12;
}

/* What a modern peer has in its segments; in a SYN all that there is. */
static void write_usual(struct states *s, const struct flow *f, uint8_t flags,
                        struct written *options)
{
    static const uint8_t syn[] = {2, 4, RIG_MSS >> 8, RIG_MSS & 255, 1, 3, 3, 2, 1, 1, 4, 2};

    if (flags & PACKET_SYN) {
        memcpy(options->bytes, syn, sizeof(syn));
        options->length = sizeof(syn);
    }
    if (flags & PACKET_SYN || f->stamped)
        write_stamp(s, f, options);
}

static void send_segment(struct states *s, struct flow *f, struct packet_tcp *tcp,
                         const struct written *options, size_t payload_bytes)
{
    struct strait_offload offload = {0};
    uint32_t first = tcp->seq + ((tcp->flags & PACKET_SYN) != 0);

    tcp->source_port = f->peer_port;
    tcp->destination_port = f->local_port;
    tcp->header_bytes = PACKET_TCP_BYTES + options->length;
    size_t headers_bytes = PACKET_IP_BYTES + tcp->header_bytes;
    size_t length = headers_bytes + payload_bytes;
    packet_ip_header(s->packet, length, IPPROTO_TCP, RIG_PEER, RIG_ADDRESS);
    packet_tcp_header(s->packet, tcp);
    memcpy(s->packet + PACKET_HEADERS_BYTES, options->bytes, options->length);
    for (size_t i = 0; i < payload_bytes; i++)
        s->packet[headers_bytes + i] = (uint8_t)(first + i);
    if (payload_bytes > RIG_MSS) {
        offload.gso = STRAIT_GSO_TCP4;
        offload.gso_size = RIG_MSS;
        offload.header_bytes = (uint16_t)headers_bytes;
    }
    deliver(s, length, &offload);
}

/* Up to 199 as it stands, then larger ones, at last super-packets. */
static size_t read_length(struct reader *r)
{
    uint8_t b = read_u8(r);

    if (b < 200)
        return b;
    return b < 250 ? RIG_MSS - (249u - b) * 25u : (b - 249u) * 8192u;
}

/* A SYN begins a new connection with choice 1, or is that of the old one. */
static void send_exact(struct states *s, struct flow *f, unsigned choice, struct reader *r)
{
    struct packet_tcp tcp = {.flags = read_u8(r), .window = UINT16_MAX, .ack = f->nxt};
    size_t payload_bytes = read_length(r);
    struct written options = {.length = 0};

    if (tcp.flags & PACKET_SYN) {
        f->peer_iss += choice == 1 ? ISS_STEP : 0;
        f->peer_nxt = f->peer_iss;
    }
    tcp.seq = f->peer_nxt;
    f->peer_nxt +=
        (uint32_t)payload_bytes + ((tcp.flags & PACKET_SYN) != 0) + ((tcp.flags & PACKET_FIN) != 0);
    write_usual(s, f, tcp.flags, &options);
    send_segment(s, f, &tcp, &options, payload_bytes);
}

/* A distance: near in steps of one, further off in powers of two, to both sides. */
static uint32_t read_distance(struct reader *r)
{
    uint8_t b = read_u8(r);
    uint32_t size = b & 127u;

    size = size < 64 ? size : UINT32_C(1) << (size - 64) / 2;
    return b & 128 ? 0 - size : size;
}

static void read_sack(const struct flow *f, struct reader *r, struct written *options)
{
    uint8_t blocks = read_u8(r) % 4 + 1;
    uint8_t *p = options->bytes;

    p[0] = p[1] = 1;
    p[2] = 5;
    p[3] = (uint8_t)(2 + 8 * blocks);
    options->length = 4 + 8u * blocks;
    for (p += 4; blocks > 0; blocks--, p += 8) {
        store_be32(p, f->nxt - read_distance(r));
        store_be32(p + 4, f->nxt - read_distance(r));
    }
}

static void read_options(struct states *s, const struct flow *f, unsigned kind, uint8_t flags,
                         struct reader *r, struct written *options)
{
    switch (kind) {
    case 0:
        write_usual(s, f, flags, options);
        break;
    case 1:
        break;
    case 2:
        read_sack(f, r, options);
        break;
    default: /* any bytes */
        options->length = read_u8(r) % (PACKET_OPTIONS_BYTES / 4 + 1) * 4u;
        for (uint32_t i = 0; i < options->length; i++)
            options->bytes[i] = read_u8(r);
        break;
    }
}

/*
 * A byte of choices (kind of options; which number SEQ is near: the next, or the first; ACK: all,
 * or the first; whether the urgent pointer is the length), flags, distances of SEQ and ACK,
 * window / 256, length, options.
 */
static void read_segment(struct states *s, struct flow *f, struct reader *r)
{
    uint8_t choices = read_u8(r);
    struct packet_tcp tcp = {.flags = read_u8(r)};
    struct written options = {.length = 0};

    tcp.seq = (choices & 4 ? f->peer_iss : f->peer_nxt) + read_distance(r);
    tcp.ack = (choices & 8 ? f->iss : f->nxt) + read_distance(r);
    tcp.window = (uint16_t)(read_u8(r) << 8);
    size_t payload_bytes = read_length(r);
    tcp.urgent = choices & 16 ? (uint16_t)payload_bytes : read_u8(r);
    read_options(s, f, choices & 3, tcp.flags, r, &options);
    send_segment(s, f, &tcp, &options, payload_bytes);
}

static void send_icmp(struct states *s, const struct flow *f, struct reader *r)
{
    uint8_t *icmp = s->packet + PACKET_IP_BYTES;
    size_t length = PACKET_IP_BYTES + 8 + f->quote_bytes;

    packet_ip_header(s->packet, length, IPPROTO_ICMP, RIG_PEER, RIG_ADDRESS);
    memset(icmp, 0, 8);
    icmp[0] = read_u8(r);
    icmp[1] = read_u8(r);
    store_be16(icmp + 6, read_be16(r));
    memcpy(icmp + 8, f->quote, f->quote_bytes);
    deliver(s, length, NULL);
}

/* ---- The application ------------------------------------------------------------------------ */

static void close_flow(struct states *s, struct flow *f)
{
    if (f->fd >= 0)
        CHECK(strait_close(s->rig.stack, f->fd) == 0);
    f->fd = -1;
}

static void take_flow(struct states *s, struct flow *f, int fd)
{
    close_flow(s, f);
    f->fd = fd;
    f->sent = 0;
    f->reading = false;
}

static void app_listen(struct states *s, unsigned choice)
{
    struct sockaddr_in any = rig_sockaddr(INADDR_ANY, LISTEN_PORT);
    int on = 1; /* connections of the listener before this one may be left */

    if (s->listener < 0) {
        s->listener = strait_socket(s->rig.stack, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        CHECK(s->listener >= 0);
        CHECK(strait_setsockopt(s->rig.stack, s->listener, SOL_SOCKET, SO_REUSEADDR, &on,
                                sizeof(on)) == 0);
        CHECK(strait_bind(s->rig.stack, s->listener, (struct sockaddr *)&any, sizeof(any)) == 0);
    }
    CHECK(strait_listen(s->rig.stack, s->listener, (int)choice + 1) == 0);
    s->reached |= 1u << TCP_LISTEN;
}

static void app_unlisten(struct states *s)
{
    if (s->listener >= 0)
        CHECK(strait_close(s->rig.stack, s->listener) == 0);
    s->listener = -1;
}

static void app_connect(struct states *s, struct flow *f)
{
    struct sockaddr_in peer = rig_sockaddr(RIG_PEER, f->peer_port);

    if (f < s->flows + PASSIVE_FLOWS)
        return;
    int fd = strait_socket(s->rig.stack, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK(fd >= 0);
    take_flow(s, f, fd);
    f->local_port = 0; /* that of the next SYN */
    (void)strait_connect(s->rig.stack, fd, (struct sockaddr *)&peer, sizeof(peer));
}

static void app_accept(struct states *s)
{
    struct sockaddr_in peer;
    socklen_t peer_bytes = sizeof(peer);

    if (s->listener < 0)
        return;
    int fd = strait_accept4(s->rig.stack, s->listener, (struct sockaddr *)&peer, &peer_bytes,
                            SOCK_NONBLOCK);
    if (fd < 0)
        return;
    for (int i = 0; i < PASSIVE_FLOWS; i++) {
        if (ntohs(peer.sin_port) == s->flows[i].peer_port) {
            take_flow(s, &s->flows[i], fd);
            return;
        }
    }
    CHECK(s->tainted); /* a damaged header made another port */
    CHECK(strait_close(s->rig.stack, fd) == 0);
}

static void app_send(struct states *s, struct flow *f, struct reader *r)
{
    uint8_t bytes[255 * PIECES];
    size_t length = read_u8(r) * (size_t)PIECES;

    for (size_t i = 0; i < length; i++)
        bytes[i] = application_byte(f->sent + (uint32_t)i);
    ssize_t taken = strait_send(s->rig.stack, f->fd, bytes, length, 0);
    if (taken > 0)
        f->sent += (uint32_t)taken;
}

static void app_receive(struct states *s, struct flow *f, unsigned choice, struct reader *r)
{
    uint8_t bytes[255 * PIECES];
    bool peek = choice == 1;
    ssize_t given =
        strait_recv(s->rig.stack, f->fd, bytes, read_u8(r) * (size_t)PIECES, peek ? MSG_PEEK : 0);
    if (given <= 0)
        return;
    uint8_t expected = f->reading ? f->next_byte : bytes[0];
    for (ssize_t i = 0; i < given && !s->tainted; i++)
        CHECK(bytes[i] == (uint8_t)(expected + i));
    if (peek)
        return;
    f->reading = true;
    f->next_byte = (uint8_t)(bytes[given - 1] + 1);
}

static void app_option(struct states *s, struct flow *f, struct reader *r)
{
    static const struct {
        int level, name;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY},      {SOL_SOCKET, SO_SNDBUF},      {SOL_SOCKET, SO_RCVBUF},
        {SOL_SOCKET, SO_LINGER},         {IPPROTO_TCP, TCP_CORK},      {SOL_SOCKET, SO_KEEPALIVE},
        {IPPROTO_TCP, TCP_KEEPIDLE},     {IPPROTO_TCP, TCP_KEEPINTVL}, {IPPROTO_TCP, TCP_KEEPCNT},
        {IPPROTO_TCP, TCP_USER_TIMEOUT}, {SOL_SOCKET, SO_OOBINLINE},   {SOL_SOCKET, SO_ERROR},
    };
    unsigned which = read_u8(r) % (sizeof(options) / sizeof(options[0]));
    int value = read_u8(r);

    if (options[which].name == SO_SNDBUF || options[which].name == SO_RCVBUF)
        value *= PIECES;
    if (options[which].level == SOL_SOCKET && options[which].name == SO_LINGER) {
        struct linger linger = {.l_onoff = value & 1, .l_linger = 0};
        (void)strait_setsockopt(s->rig.stack, f->fd, SOL_SOCKET, SO_LINGER, &linger,
                                sizeof(linger));
        return;
    }
    (void)strait_setsockopt(s->rig.stack, f->fd, options[which].level, options[which].name, &value,
                            sizeof(value));
}

/* ---- The program ---------------------------------------------------------------------------- */

static void note_states(struct states *s)
{
    for (int i = 0; i < FLOWS; i++) {
        struct tcp_info info;
        socklen_t bytes = sizeof(info);
        if (s->flows[i].fd >= 0 && strait_getsockopt(s->rig.stack, s->flows[i].fd, IPPROTO_TCP,
                                                     TCP_INFO, &info, &bytes) == 0)
            s->reached |= 1u << info.tcpi_state;
    }
}

static void operate(struct states *s, struct reader *r)
{
    uint8_t byte = read_u8(r);
    struct flow *f = &s->flows[byte >> 4 & 3];
    unsigned choice = byte >> 6;

    switch ((enum operation)(byte & 15)) {
    case OP_EXACT:
        send_exact(s, f, choice, r);
        break;
    case OP_SEGMENT:
        read_segment(s, f, r);
        break;
    case OP_LISTEN:
        app_listen(s, choice);
        break;
    case OP_CONNECT:
        app_connect(s, f);
        break;
    case OP_ACCEPT:
        app_accept(s);
        break;
    case OP_SEND:
        app_send(s, f, r);
        break;
    case OP_RECEIVE:
        app_receive(s, f, choice, r);
        break;
    case OP_SHUTDOWN:
        (void)strait_shutdown(s->rig.stack, f->fd, (int)choice % 3);
        break;
    case OP_CLOSE:
        close_flow(s, f);
        break;
    case OP_OPTION:
        app_option(s, f, r);
        break;
    case OP_WAIT:
        rig_pass(&s->rig, &s->now_ns, ((uint64_t)read_u8(r) << 4 * choice) * RIG_MS);
        break;
    case OP_WAIT_LONG:
        rig_pass(&s->rig, &s->now_ns, ((uint64_t)read_u8(r) << 4 * choice) * RIG_S);
        break;
    case OP_ICMP:
        send_icmp(s, f, r);
        break;
    case OP_BATCH:
        s->batch = !s->batch;
        break;
    case OP_UNLISTEN:
        app_unlisten(s);
        break;
    case OP_DAMAGE:
        s->damages = true;
        s->damages_sealed = choice != 0;
        s->damage_at = read_u8(r);
        s->damage_bits = read_u8(r);
        break;
    }
    if (!s->batch)
        rig_turn(&s->rig, s->now_ns);
    note_states(s);
}

static void begin(struct states *s, uint8_t setting)
{
    struct strait_config config;

    rig_configure(&config);
    config.timestamps = !(setting & SETTING_NO_TIMESTAMPS);
    config.window_scaling = !(setting & SETTING_NO_SCALING);
    config.sack = !(setting & SETTING_NO_SACK);
    config.ecn = setting & SETTING_ECN ? STRAIT_ECN_REQUEST : STRAIT_ECN_ANSWER;
    config.syn_cookies = !(setting & SETTING_NO_COOKIES);
    if (setting & SETTING_TIGHT_MEMORY)
        config.memory_max_bytes /= 4;
    if (setting & SETTING_TIGHT_TABLES) {
        config.half_open_max = config.time_wait_max = config.orphans_max = 1;
        config.connections_max = 2;
    }

    memset(s, 0, sizeof(*s));
    s->now_ns = RIG_START;
    s->listener = -1;
    rig_open(&s->rig, 0, &config,
             setting & SETTING_OFFLOAD ? STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4 : 0);
    s->rig.sent = sent;
    s->rig.context = s;
    for (int i = 0; i < FLOWS; i++) {
        struct flow *f = &s->flows[i];
        f->peer_port = (uint16_t)(PEER_PORT + i);
        f->local_port = i < PASSIVE_FLOWS ? LISTEN_PORT : 0;
        f->fd = -1;
        f->peer_iss = f->peer_nxt = PEER_ISS;
    }
}

uint32_t states_reached(const uint8_t *bytes, size_t length)
{
    static struct states states;
    struct states *s = &states;
    struct reader r = reader_over(bytes, length);

    begin(s, read_u8(&r));
    for (int i = 0; i < OPERATIONS_MAX && r.left > 0; i++)
        operate(s, &r);
    for (int i = 0; i < FLOWS; i++)
        close_flow(s, &s->flows[i]);
    app_unlisten(s);
    rig_rest(&s->rig, &s->now_ns);
    return s->reached;
}

int fuzz_states(const uint8_t *bytes, size_t length)
{
    states_reached(bytes, length);
    return 0;
}
