/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as packets, into a host that listens: the door that every stranger may knock at.
 *
 * The input is a byte of enum setting, and then packets until it ends, each of
 *
 *     control      1 byte, enum control
 *     delay        2 bytes, milliseconds before it arrives, if CONTROL_LATER
 *     offload      8 bytes, what stands beside it, true or not, if CONTROL_OFFLOAD
 *     length       1 byte
 *     the packet   so many bytes, or those that are left
 *     padding      2 bytes, how many zeros follow, if CONTROL_PADDED
 *
 * CONTROL_SEAL makes the checksums right, which luck would hardly find; all else is as it stands.
 *
 * The host listens at TCP port 80 and takes what comes, and has a UDP socket at port 53 that is
 * never read. Besides what rig.h promises of every stack, strangers gain nothing by it: as long as
 * there is no connection, an answer is hardly longer than its question, and is repeated a few
 * times at most.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "packet.h"
#include "rig.h"
#include "targets.h"

enum setting {
    SETTING_OFFLOAD = 1,
    SETTING_FORWARD = 2,
    SETTING_NO_COOKIES = 4,
    SETTING_CONNECT = 8, /* a connection to the peer is being opened */
};

enum control {
    CONTROL_SEAL = 1,
    CONTROL_LATER = 2,
    CONTROL_OFFLOAD = 4,
    CONTROL_PADDED = 8,
    CONTROL_BATCH = 16, /* no turn of the driver follows */
};

#define TCP_PORT       80
#define UDP_PORT       53
#define PEER_PORT      5000
#define ACCEPTED_MAX   8
#define PACKET_MAX     65535
#define TRANSMISSIONS  6  /* of a SYN-ACK to a peer that does not answer */
#define ANSWER_LONGER  44 /* than what it answers: by options, or by the header of an ICMP error */
#define FRAGMENT_BYTES 1000 /* at least, of each that a packet beyond the MTU is cut into */

struct door {
    struct rig rig;
    uint64_t now_ns;
    int listener, datagrams, client;
    int accepted[ACCEPTED_MAX];
    int accepted_count;
    bool acquainted; /* there has been a connection */
    uint8_t packet[PACKET_MAX];
};

/* ---- The host's application ----------------------------------------------------------------- */

static int open_socket(struct door *d, int type)
{
    int fd = strait_socket(d->rig.stack, AF_INET, type | SOCK_NONBLOCK, 0);

    CHECK(fd >= 0);
    return fd;
}

static void open_host(struct door *d, uint8_t setting)
{
    struct sockaddr_in tcp = rig_sockaddr(INADDR_ANY, TCP_PORT);
    struct sockaddr_in udp = rig_sockaddr(INADDR_ANY, UDP_PORT);
    struct sockaddr_in peer = rig_sockaddr(RIG_PEER, PEER_PORT);
    struct strait_config config;

    rig_configure(&config);
    config.forward = setting & SETTING_FORWARD;
    config.syn_cookies = !(setting & SETTING_NO_COOKIES);
    rig_open(&d->rig, 0, &config,
             setting & SETTING_OFFLOAD ? STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4 : 0);
    d->listener = open_socket(d, SOCK_STREAM);
    CHECK(strait_bind(d->rig.stack, d->listener, (struct sockaddr *)&tcp, sizeof(tcp)) == 0);
    CHECK(strait_listen(d->rig.stack, d->listener, 2) == 0);
    d->datagrams = open_socket(d, SOCK_DGRAM);
    CHECK(strait_bind(d->rig.stack, d->datagrams, (struct sockaddr *)&udp, sizeof(udp)) == 0);
    d->client = -1;
    if (setting & SETTING_CONNECT) {
        d->client = open_socket(d, SOCK_STREAM);
        (void)strait_connect(d->rig.stack, d->client, (struct sockaddr *)&peer, sizeof(peer));
        rig_turn(&d->rig, d->now_ns);
    }
}

/* Takes connections, and what they bring. */
static void serve(struct door *d)
{
    uint8_t bytes[2048];

    if (d->accepted_count < ACCEPTED_MAX) {
        int fd = strait_accept4(d->rig.stack, d->listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd >= 0)
            d->accepted[d->accepted_count++] = fd;
    }
    for (int i = 0; i < d->accepted_count; i++)
        (void)strait_recv(d->rig.stack, d->accepted[i], bytes, sizeof(bytes), 0);
}

static void close_all(struct door *d)
{
    for (int i = 0; i < d->accepted_count; i++)
        CHECK(strait_close(d->rig.stack, d->accepted[i]) == 0);
    if (d->client >= 0)
        CHECK(strait_close(d->rig.stack, d->client) == 0);
    CHECK(strait_close(d->rig.stack, d->listener) == 0);
    CHECK(strait_close(d->rig.stack, d->datagrams) == 0);
}

/* ---- The network ---------------------------------------------------------------------------- */

/* What a host may say to strangers who have sent this much. */
static uint64_t answer_packets(const struct rig *rig)
{
    return rig->packets_in + rig->bytes_in / FRAGMENT_BYTES;
}

static uint64_t answer_bytes(const struct rig *rig)
{
    return rig->bytes_in + ANSWER_LONGER * answer_packets(rig);
}

static void check_gain(struct door *d)
{
    const struct rig *rig = &d->rig;

    d->acquainted = d->acquainted || strait_connections(rig->stack) > 0;
    if (d->acquainted)
        return;
    CHECK(rig->packets_out <= TRANSMISSIONS * answer_packets(rig));
    CHECK(rig->bytes_out <= TRANSMISSIONS * answer_bytes(rig));
}

static struct strait_offload read_offload(struct reader *r)
{
    struct strait_offload offload = {
        .checksum = read_u8(r),
        .gso = read_u8(r),
        .gso_size = read_be16(r),
        .header_bytes = read_u8(r),
        .checksum_start = read_u8(r),
    };
    uint16_t last = read_be16(r);
    offload.checksum_offset = last >> 1;
    offload.ecn = last & 1;
    return offload;
}

static void receive(struct door *d, struct reader *r)
{
    uint8_t control = read_u8(r);
    struct strait_offload offload = {0};

    if (control & CONTROL_LATER)
        rig_pass(&d->rig, &d->now_ns, read_be16(r) * RIG_MS);
    if (control & CONTROL_OFFLOAD)
        offload = read_offload(r);

    size_t length = read_u8(r);
    length = length < r->left ? length : r->left;
    if (length > 0)
        memcpy(d->packet, read_bytes(r, length), length);
    if (control & CONTROL_PADDED) {
        size_t padding = read_be16(r);
        padding = padding < PACKET_MAX - length ? padding : PACKET_MAX - length;
        memset(d->packet + length, 0, padding);
        length += padding;
    }
    if (control & CONTROL_SEAL)
        packet_seal(d->packet, length);

    uint64_t bytes_out = d->rig.bytes_out;
    rig_input(&d->rig, d->packet, length, control & CONTROL_OFFLOAD ? &offload : NULL, d->now_ns);
    if (!(control & CONTROL_BATCH)) {
        rig_turn(&d->rig, d->now_ns);
        serve(d);
        rig_turn(&d->rig, d->now_ns);
    }
    check_gain(d);
    if (!d->acquainted) /* at once, too */
        CHECK(d->rig.bytes_out - bytes_out <= answer_bytes(&d->rig));
}

int fuzz_packet(const uint8_t *bytes, size_t length)
{
    static struct door door;
    struct reader r = reader_over(bytes, length);

    memset(&door, 0, sizeof(door));
    door.now_ns = RIG_START;
    open_host(&door, read_u8(&r));
    while (r.left > 0)
        receive(&door, &r);
    close_all(&door);
    rig_rest(&door.rig, &door.now_ns);
    return 0;
}
