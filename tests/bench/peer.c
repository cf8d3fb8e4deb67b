/* SPDX-License-Identifier: MIT */
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/list.h"
#include "cell.h"

#define HEADER_BYTES   40u
#define SYN_BYTES      (HEADER_BYTES + 12u)
#define SCALE          7
#define SUBJECT_NUMBER 0x0a070002u /* SUBJECT_ADDRESS */
#define PEER_FIRST     0x0a090001u /* of the addresses that the connections come from */
#define PORTS          50000u      /* of each address */
#define PORT_FIRST     1024u
#define TEXT_SEEN_MAX  4096

static struct peer *peer_of(struct strait_link *link)
{
    return container_of(link, struct peer, link);
}

/* ---- What the stack sends ---------------------------------------------------------------------
 */

static uint32_t total_length(const struct iovec *parts, int count)
{
    uint32_t length = 0;
    for (int i = 0; i < count; i++)
        length += (uint32_t)parts[i].iov_len;
    return length;
}

/* The headers stand in the first part. */
static int take(struct strait_link *link, const struct iovec *parts, int count,
                const struct strait_offload *offload)
{
    struct peer *peer = peer_of(link);
    const uint8_t *h = parts[0].iov_base, *tcp = h + 20;
    (void)offload;
    size_t number =
        (size_t)(load_be32(h + 16) - PEER_FIRST) * PORTS + load_be16(tcp + 2) - PORT_FIRST;
    if (h[9] != IPPROTO_TCP || number >= peer->count)
        return 0;
    struct peer_connection *c = &peer->connections[number];
    uint32_t length = total_length(parts, count) - 20 - (uint32_t)(tcp[12] >> 4) * 4;
    c->ack = load_be32(tcp + 4) + length + ((tcp[13] & (PEER_FIN | PEER_SYN)) ? 1 : 0);
    c->open = true;
    c->edge =
        load_be32(tcp + 8) + ((uint32_t)load_be16(tcp + 14) << (tcp[13] & PEER_SYN ? 0 : SCALE));
    return 0;
}

/* ---- What the peer sends ----------------------------------------------------------------------
 */

static void write_options(uint8_t *option)
{
    store_be32(option, 2u << 24 | 4u << 16 | PEER_MSS);
    store_be32(option + 4, 1u << 24 | 3u << 16 | 3u << 8 | SCALE);
    store_be32(option + 8, 1u << 24 | 1u << 16 | 4u << 8 | 2u); /* SACK permitted */
}

/* Writes a segment and its payload of zeros, over zeros. Returns the length of the packet. */
static size_t make_packet(struct peer *peer, size_t number, uint8_t flags, uint32_t length,
                          uint8_t *packet)
{
    struct peer_connection *c = &peer->connections[number];
    uint8_t *tcp = packet + 20;
    uint32_t header_bytes = flags & PEER_SYN ? SYN_BYTES : HEADER_BYTES;
    packet[0] = 0x45;
    packet[6] = 0x40;
    packet[8] = 64;
    packet[9] = IPPROTO_TCP;
    store_be16(packet + 2, (uint16_t)(header_bytes + length));
    store_be32(packet + 12, PEER_FIRST + (uint32_t)(number / PORTS));
    store_be32(packet + 16, SUBJECT_NUMBER);
    store_be16(packet + 10, (uint16_t)~checksum_fold(checksum_add(0, packet, 20)));
    store_be16(tcp, (uint16_t)(PORT_FIRST + number % PORTS));
    store_be16(tcp + 2, PORT_ECHO);
    store_be32(tcp + 4, c->seq);
    store_be32(tcp + 8, c->ack);
    tcp[12] = (uint8_t)((header_bytes - 20) / 4 << 4);
    tcp[13] = flags;
    store_be16(tcp + 14, UINT16_MAX);
    if (flags & PEER_SYN)
        write_options(tcp + 20);
    c->seq += length + ((flags & (PEER_FIN | PEER_SYN)) ? 1 : 0);
    return header_bytes + length;
}

static void give(struct peer *peer, const void *packet, size_t length)
{
    static const struct strait_offload verified = {.checksum = STRAIT_CHECKSUM_VALID};
    strait_input(peer->stack, &peer->link, packet, length, &verified, peer->now_ns);
}

void peer_send(struct peer *peer, size_t number, uint8_t flags, uint32_t length)
{
    uint8_t packet[HEADER_BYTES + PEER_MSS] = {0};
    give(peer, packet, make_packet(peer, number, flags, length, packet));
}

void peer_send_each(struct peer *peer, const uint32_t *numbers, size_t count, uint8_t flags,
                    uint32_t length)
{
    uint8_t packets[PEER_BATCH_MAX][PEER_SHORT_BYTES];
    struct iovec batch[PEER_BATCH_MAX];
    for (size_t i = 0; i < count; i++) {
        memset(packets[i], 0, sizeof(packets[i]));
        batch[i].iov_base = packets[i];
        batch[i].iov_len = make_packet(peer, numbers[i], flags, length, packets[i]);
    }
    if (count > 1)
        peer->link.expect(&peer->link, batch, (int)count);
    for (size_t i = 0; i < count; i++)
        give(peer, packets[i], batch[i].iov_len);
}

void peer_turn(struct peer *peer, uint64_t later_ns)
{
    peer->now_ns += later_ns;
    do
        strait_dispatch(peer->stack);
    while (strait_advance(peer->stack, peer->now_ns) <= peer->now_ns);
}

void peer_open(struct peer *peer, size_t number)
{
    struct peer_connection *c = &peer->connections[number];
    peer_send(peer, number, PEER_SYN, 0);
    peer_turn(peer, 1000);
    if (!c->open) {
        errno = ECONNREFUSED;
        fail("connection %zu", number);
    }
    peer_send(peer, number, PEER_ACK, 0);
    if (!peer->asleep)
        peer_send(peer, number, PEER_ACK | PEER_PSH, 1);
    peer_turn(peer, 1000);
    peer_send(peer, number, PEER_ACK, 0);
}

/* ---- The server -------------------------------------------------------------------------------
 */

static void echo(void *argument, int fd, short revents)
{
    struct peer *peer = argument;
    char text[TEXT_SEEN_MAX];
    (void)revents;
    ssize_t n = strait_recv(peer->stack, fd, text, sizeof(text), 0);
    if (n > 0)
        strait_send(peer->stack, fd, text, (size_t)n, 0);
}

static void accept_peers(void *argument, int listener, short revents)
{
    struct peer *peer = argument;
    int fd;
    (void)revents;
    while ((fd = strait_accept4(peer->stack, listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        peer->accepted[peer->accepted_count++] = fd;
        if (!peer->asleep && strait_watch(peer->stack, fd, POLLIN, echo, peer))
            fail("watching a socket");
    }
}

static void start_server(struct peer *peer)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(PORT_ECHO)};
    int fd = strait_socket(peer->stack, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || strait_bind(peer->stack, fd, (struct sockaddr *)&at, sizeof(at)) ||
        strait_listen(peer->stack, fd, (int)peer->count) ||
        strait_watch(peer->stack, fd, POLLIN, accept_peers, peer))
        fail("the server");
}

struct peer *peer_new(size_t count)
{
    struct strait_config config;
    struct peer *peer = get_memory(sizeof(*peer));
    *peer = (struct peer){
        .link = {.size = sizeof(struct strait_link),
                 .name = "peer",
                 .mtu = 1500,
                 .features = STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4,
                 .fd = -1,
                 .send = take},
        .connections = calloc(count, sizeof(struct peer_connection)),
        .count = count,
        .accepted = calloc(count, sizeof(int)),
        .now_ns = NS_PER_S,
    };
    strait_config_init(&config);
    config.half_open_max = config.time_wait_max = (uint32_t)count;
    peer->stack = strait_new(&config, NULL);
    if (!peer->connections || !peer->accepted || !peer->stack ||
        strait_attach(peer->stack, &peer->link, (struct in_addr){htonl(SUBJECT_NUMBER)}, 24))
        fail("the host");
    strait_advance(peer->stack, peer->now_ns);
    start_server(peer);
    return peer;
}

void peer_free(struct peer *peer)
{
    strait_free(peer->stack);
    free(peer->connections);
    free(peer->accepted);
    free(peer);
}
