/* SPDX-License-Identifier: MIT */
/*
 * What connections cost in memory when there are very many, by what the allocator has given out:
 * tables, sockets and the allocator's own headers included. The host is 10.0.0.1 and echoes at port
 * 7; all that connect come from 11.0.0.0/8, and are played here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <malloc.h>
#include <poll.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/list.h"
#include "socket/socket.h"
#include "strait.h"
#include "tcp/connection.h"

#define MANY      100000
#define HALF_OPEN 4096  /* the largest backlog */
#define STALLED   10000 /* with so many readers that sleep */

#define HOST    0x0a000001u
#define PEERS   0x0b000000u /* one connection from each address */
#define PORT    7
#define MSS     1460u
#define HEADERS 40u

/* The most that each may take, its part of the tables and slabs included. */
#define IDLE_MAX       640
#define HALF_OPEN_MAX  128
#define TIME_WAIT_MAX  96
#define ANSWERS_WANTED 100

/* A sanitizer has an allocator of its own, which mallinfo2 does not know. */
#if defined(__SANITIZE_ADDRESS__)
#define HEAP_IS_KNOWN false
#else
#define HEAP_IS_KNOWN true
#endif

/* The other end of a connection. */
struct peer {
    uint32_t seq, ack; /* what it sends and expects next */
    uint32_t edge;     /* of the window that it was offered */
    int fd;            /* the host's socket */
};

struct host {
    struct strait *stack;
    struct strait_link link;
    uint64_t now_ns;
    struct peer *peers;
    uint32_t count, accepted;
    bool asleep; /* who is accepted from now on is not read */
};

static size_t heap(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

/* ---- The wire ---- */

static int take(struct strait_link *link, const struct iovec *parts, int count,
                const struct strait_offload *offload)
{
    struct host *h = container_of(link, struct host, link);
    const uint8_t *ip = parts[0].iov_base, *tcp = ip + 20;
    struct peer *p = &h->peers[load_be32(ip + 16) - PEERS];
    size_t length = 0;

    (void)offload;
    for (int i = 0; i < count; i++)
        length += parts[i].iov_len;
    length -= 20 + (size_t)(tcp[12] >> 4) * 4;
    p->ack = load_be32(tcp + 4) + (uint32_t)length + ((tcp[13] & (TCP_SYN | TCP_FIN)) ? 1 : 0);
    p->edge = load_be32(tcp + 8) + load_be16(tcp + 14); /* nobody offers a scale */
    return 0;
}

/* A segment from a peer, with so many bytes of text. */
static void give(struct host *h, uint32_t number, uint8_t flags, uint32_t length)
{
    static const struct strait_offload verified = {.checksum = STRAIT_CHECKSUM_VALID};
    struct peer *p = &h->peers[number];
    uint8_t packet[HEADERS + MSS] = {[0] = 0x45, [6] = 0x40, [8] = 64, [9] = IPPROTO_TCP};
    uint8_t *tcp = packet + 20;

    store_be16(packet + 2, (uint16_t)(HEADERS + length));
    store_be32(packet + 12, PEERS + number);
    store_be32(packet + 16, HOST);
    store_be16(packet + 10, (uint16_t)~checksum_fold(checksum_add(0, packet, 20)));
    store_be16(tcp, 40000);
    store_be16(tcp + 2, PORT);
    store_be32(tcp + 4, p->seq);
    store_be32(tcp + 8, p->ack);
    tcp[12] = 5 << 4;
    tcp[13] = flags;
    store_be16(tcp + 14, UINT16_MAX);
    p->seq += length + ((flags & (TCP_SYN | TCP_FIN)) ? 1 : 0);
    strait_input(h->stack, &h->link, packet, HEADERS + length, &verified, h->now_ns);
}

/* Lets the host do what there is to do, a moment later. */
static void turn(struct host *h)
{
    h->now_ns += 10 * NS_PER_US;
    do
        strait_dispatch(h->stack);
    while (strait_advance(h->stack, h->now_ns) <= h->now_ns);
}

/* ---- The server ---- */

static void echo(void *argument, int fd, short revents)
{
    struct host *h = argument;
    char text[64];
    ssize_t n = strait_recv(h->stack, fd, text, sizeof(text), 0);

    (void)revents;
    if (n > 0)
        assert_int_equal(strait_send(h->stack, fd, text, (size_t)n, 0), n);
}

static void accept_peers(void *argument, int listener, short revents)
{
    struct host *h = argument;
    int fd;

    (void)revents;
    while ((fd = strait_accept4(h->stack, listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        h->peers[h->accepted++].fd = fd;
        if (!h->asleep)
            assert_int_equal(strait_watch(h->stack, fd, POLLIN, echo, h), 0);
    }
}

static struct host *host_new(uint32_t count)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    struct strait_config config;
    struct host *h = calloc(1, sizeof(*h));
    assert_non_null(h);
    strait_config_init(&config);
    h->peers = calloc(count, sizeof(*h->peers));
    h->count = count;
    h->now_ns = NS_PER_S;
    h->stack = strait_new(&config, NULL);
    assert_non_null(h->peers);
    assert_non_null(h->stack);
    h->link = (struct strait_link){.size = sizeof(h->link),
                                   .name = "peers",
                                   .mtu = 1500,
                                   .features = STRAIT_LINK_CHECKSUM,
                                   .fd = -1,
                                   .send = take};
    assert_int_equal(strait_attach(h->stack, &h->link, (struct in_addr){htonl(HOST)}, 24), 0);
    strait_advance(h->stack, h->now_ns);
    int fd = strait_socket(h->stack, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(strait_bind(h->stack, fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(strait_listen(h->stack, fd, HALF_OPEN), 0);
    assert_int_equal(strait_watch(h->stack, fd, POLLIN, accept_peers, h), 0);
    return h;
}

static void host_free(struct host *h)
{
    strait_free(h->stack);
    free(h->peers);
    free(h);
}

/* A byte there and back, acknowledged. */
static void exchange(struct host *h, uint32_t number)
{
    uint32_t expected = h->peers[number].ack + 1;

    give(h, number, TCP_ACK | TCP_PSH, 1);
    turn(h);
    assert_int_equal(h->peers[number].ack, expected);
    give(h, number, TCP_ACK, 0);
}

static void open_one(struct host *h, uint32_t number)
{
    give(h, number, TCP_SYN, 0);
    give(h, number, TCP_ACK, 0);
    turn(h);
    assert_int_equal(h->accepted, number + 1);
}

static void assert_each_takes(size_t most, size_t before, uint32_t count)
{
    size_t each = (heap() - before + count - 1) / count;

    if (!HEAP_IS_KNOWN)
        return;
    print_message("%zu bytes each\n", each);
    assert_in_range(each, 1, most);
}

/* ---- Tests ---- */

/* The sizes themselves: a field that is added has to be worth its place. */
static void records_are_as_small_as_they_are(void **state)
{
    (void)state;
    assert_true(sizeof(struct connection) <= 544);
    assert_true(sizeof(struct socket) <= 64);
    assert_true(sizeof(struct half_open) <= 104);
    assert_true(sizeof(struct time_wait) <= 80);
}

static void an_idle_connection_that_has_carried_data_takes_640_bytes(void **state)
{
    (void)state;
    struct host *h = host_new(MANY);
    size_t before = heap();
    for (uint32_t i = 0; i < MANY; i++) {
        open_one(h, i);
        exchange(h, i);
    }
    assert_int_equal(strait_connections(h->stack), MANY);
    assert_int_equal(strait_memory(h->stack), 0);
    assert_each_takes(IDLE_MAX, before, MANY);
    host_free(h);
}

static void a_half_open_record_takes_128_bytes(void **state)
{
    (void)state;
    struct host *h = host_new(HALF_OPEN);
    size_t before = heap();
    for (uint32_t i = 0; i < HALF_OPEN; i++)
        give(h, i, TCP_SYN, 0);
    turn(h);
    assert_each_takes(HALF_OPEN_MAX, before, HALF_OPEN);
    host_free(h);
}

static void a_record_of_time_wait_takes_96_bytes(void **state)
{
    (void)state;
    struct host *h = host_new(MANY / 2);
    size_t before = heap();
    for (uint32_t i = 0; i < h->count; i++) {
        open_one(h, i);
        exchange(h, i);
        strait_close(h->stack, h->peers[i].fd);
        turn(h);
        give(h, i, TCP_FIN | TCP_ACK, 0);
        turn(h);
    }
    assert_int_equal(strait_connections(h->stack), 0);
    assert_each_takes(TIME_WAIT_MAX, before, MANY / 2);
    host_free(h);
}

/* Sends full segments on all of them, as long as one takes any. */
static void fill(struct host *h, uint32_t first)
{
    bool any = true;

    while (any) {
        any = false;
        for (uint32_t i = first; i < h->count; i++) {
            struct peer *p = &h->peers[i];
            if ((int32_t)(p->edge - p->seq) < (int32_t)MSS)
                continue;
            uint32_t seq = p->seq;
            size_t held = strait_memory(h->stack);
            give(h, i, TCP_ACK, MSS);
            if (strait_memory(h->stack) > held)
                any = true;
            else
                p->seq = seq; /* there was no room, so it comes again */
        }
        turn(h);
    }
}

static void readers_that_sleep_stay_within_the_budget_and_hold_up_nobody(void **state)
{
    (void)state;
    struct strait_config config;
    struct host *h = host_new(1 + STALLED);
    strait_config_init(&config);
    open_one(h, 0);
    h->asleep = true;
    for (uint32_t i = 1; i < h->count; i++)
        open_one(h, i);
    fill(h, 1);
    assert_in_range(strait_memory(h->stack), config.memory_max_bytes / 2, config.memory_max_bytes);
    for (int i = 0; i < ANSWERS_WANTED; i++)
        exchange(h, 0);
    host_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_as_small_as_they_are),
        cmocka_unit_test(an_idle_connection_that_has_carried_data_takes_640_bytes),
        cmocka_unit_test(a_half_open_record_takes_128_bytes),
        cmocka_unit_test(a_record_of_time_wait_takes_96_bytes),
        cmocka_unit_test(readers_that_sleep_stay_within_the_budget_and_hold_up_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
