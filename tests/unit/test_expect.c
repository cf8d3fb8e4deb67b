/* SPDX-License-Identifier: MIT */
/*
 * What a link tells the stack of ahead (strait_link.expect), with so many connections that the
 * stack looks for them: a hint, of anything at all, changes nothing. The host is 10.0.0.1; whom it
 * connects to is played here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "strait.h"

#define HOST        0x0a000001u
#define PEER        0x0a000002u
#define PORT        80
#define CONNECTIONS 5000
#define BATCH       16
#define HEADERS     40
#define SYN         0x02
#define RST         0x04
#define ACK         0x10

/* A SYN that the host has sent. */
struct opened {
    uint16_t port;
    uint32_t seq;
};

struct fixture {
    struct strait *stack;
    struct strait_link link;
    uint64_t now_ns;
    int fds[CONNECTIONS];
    struct opened opened[CONNECTIONS];
    int sent; /* packets of the host */
};

static int note_syn(struct strait_link *link, const struct iovec *parts, int count,
                    const struct strait_offload *offload)
{
    struct fixture *f = (struct fixture *)((char *)link - offsetof(struct fixture, link));
    const uint8_t *tcp = (const uint8_t *)parts[0].iov_base + 20;
    (void)count, (void)offload;
    if (tcp[13] == SYN && f->sent < CONNECTIONS)
        f->opened[f->sent] = (struct opened){load_be16(tcp), load_be32(tcp + 4)};
    f->sent++;
    return 0;
}

static void connect_many(struct fixture *f)
{
    const struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(PEER)};
    for (int i = 0; i < CONNECTIONS; i++) {
        f->fds[i] = strait_socket(f->stack, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        assert_true(f->fds[i] >= 0);
        assert_int_equal(
            strait_connect(f->stack, f->fds[i], (const struct sockaddr *)&at, sizeof(at)), -1);
    }
    strait_advance(f->stack, f->now_ns);
    assert_int_equal(f->sent, CONNECTIONS);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct strait_config config;
    assert_non_null(f);
    f->now_ns = 1000000000;
    f->link = (struct strait_link){
        .size = sizeof(f->link), .name = "test", .mtu = 1500, .fd = -1, .send = note_syn};
    strait_config_init(&config);
    f->stack = strait_new(&config, NULL);
    assert_non_null(f->stack);
    assert_int_equal(strait_attach(f->stack, &f->link, (struct in_addr){htonl(HOST)}, 24), 0);
    strait_advance(f->stack, f->now_ns);
    connect_many(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    strait_free(f->stack);
    assert_null(f->link.expect);
    free(f);
    return 0;
}

/* The answer to the SYN of that number, in memory of just its size. */
static struct iovec answer(const struct fixture *f, int number, uint8_t flags)
{
    uint8_t *packet = calloc(1, HEADERS), *tcp = packet + 20;
    assert_non_null(packet);
    packet[0] = 0x45;
    store_be16(packet + 2, HEADERS);
    packet[8] = 64;
    packet[9] = IPPROTO_TCP;
    store_be32(packet + 12, PEER);
    store_be32(packet + 16, HOST);
    store_be16(packet + 10, (uint16_t)~checksum_fold(checksum_add(0, packet, 20)));
    store_be16(tcp, PORT);
    store_be16(tcp + 2, f->opened[number].port);
    store_be32(tcp + 4, 1000);
    store_be32(tcp + 8, f->opened[number].seq + 1);
    tcp[12] = 5 << 4;
    tcp[13] = flags;
    store_be16(tcp + 14, 60000);
    return (struct iovec){packet, HEADERS};
}

static void input(struct fixture *f, const struct iovec *packet)
{
    static const struct strait_offload verified = {.checksum = STRAIT_CHECKSUM_VALID};
    strait_input(f->stack, &f->link, packet->iov_base, packet->iov_len, &verified, f->now_ns);
}

static void add_up(void *context, const char *name, uint64_t value)
{
    (void)name;
    *(uint64_t *)context += value;
}

/* The sum of all counters, none of which ever falls. */
static uint64_t counted(const struct fixture *f)
{
    uint64_t sum = 0;
    strait_counters(f->stack, add_up, &sum);
    return sum;
}

/* Tells the stack of packets, after which all must be as before. */
static void expect_in_vain(struct fixture *f, const struct iovec *packets, int count)
{
    uint64_t before = counted(f);
    int sent = f->sent;
    f->link.expect(&f->link, packets, count);
    strait_dispatch(f->stack);
    strait_advance(f->stack, f->now_ns);
    assert_int_equal(counted(f), before);
    assert_int_equal(f->sent, sent);
    assert_int_equal(strait_connections(f->stack), CONNECTIONS);
}

static void assert_ready(struct fixture *f, int number, short events)
{
    struct pollfd p = {.fd = f->fds[number], .events = POLLOUT};
    strait_poll(f->stack, &p, 1, 0);
    assert_int_equal(p.revents & (POLLOUT | POLLERR), events);
}

static void what_is_told_of_ahead_is_taken_in_as_if_it_were_not(void **state)
{
    struct fixture *f = *state;
    struct iovec packets[BATCH];
    for (int i = 0; i < BATCH; i++)
        packets[i] = answer(f, i * 300, SYN | ACK);
    expect_in_vain(f, packets, BATCH);
    assert_ready(f, 0, 0);
    for (int i = 0; i < BATCH; i++) {
        input(f, &packets[i]);
        assert_ready(f, i * 300, POLLOUT);
        free(packets[i].iov_base);
    }
}

static void what_comes_in_another_order_than_told_is_taken_in(void **state)
{
    struct fixture *f = *state;
    struct iovec packets[BATCH];
    for (int i = 0; i < BATCH; i++)
        packets[i] = answer(f, i * 300, SYN | ACK);
    expect_in_vain(f, packets, BATCH);
    for (int i = BATCH - 1; i >= 0; i--) {
        input(f, &packets[i]);
        assert_ready(f, i * 300, POLLOUT);
        free(packets[i].iov_base);
    }
}

/* A batch of the connections of the one before, in their order, is not looked for again. */
static void what_comes_of_the_same_connections_again_is_taken_in(void **state)
{
    struct fixture *f = *state;
    struct iovec packets[BATCH];
    for (int i = 0; i < BATCH; i++)
        packets[i] = answer(f, i * 300, SYN | ACK);
    expect_in_vain(f, packets, BATCH);
    for (int i = 0; i < BATCH; i++) {
        input(f, &packets[i]);
        free(packets[i].iov_base);
        packets[i] = answer(f, i * 300, RST | ACK);
        store_be32((uint8_t *)packets[i].iov_base + 24, 1001); /* the next number */
    }
    strait_advance(f->stack, f->now_ns);
    expect_in_vain(f, packets, BATCH);
    for (int i = 0; i < BATCH; i++) {
        assert_ready(f, i * 300, POLLOUT);
        input(f, &packets[i]);
        assert_ready(f, i * 300, POLLOUT | POLLERR);
        free(packets[i].iov_base);
    }
}

static void a_batch_that_begins_as_the_one_before_is_taken_in(void **state)
{
    struct fixture *f = *state;
    struct iovec packets[BATCH];
    for (int i = 0; i < BATCH; i++)
        packets[i] = answer(f, i, SYN | ACK);
    expect_in_vain(f, packets, BATCH);
    for (int i = BATCH / 2; i < BATCH; i++) {
        free(packets[i].iov_base);
        packets[i] = answer(f, i * 300, SYN | ACK);
    }
    expect_in_vain(f, packets, BATCH);
    for (int i = 0; i < BATCH; i++) {
        input(f, &packets[i]);
        assert_ready(f, i < BATCH / 2 ? i : i * 300, POLLOUT);
        free(packets[i].iov_base);
    }
    assert_ready(f, BATCH - 1, 0);
}

static void more_packets_than_are_looked_for_are_no_harm(void **state)
{
    struct fixture *f = *state;
    struct iovec packets[3 * BATCH];
    for (int i = 0; i < 3 * BATCH; i++)
        packets[i] = answer(f, i, SYN | ACK);
    expect_in_vain(f, packets, 3 * BATCH);
    for (int i = 0; i < 3 * BATCH; i++)
        free(packets[i].iov_base);
    expect_in_vain(f, NULL, 0);
}

/* A sanitizer sees what is read behind the end. */
static void a_packet_cut_anywhere_is_not_read_behind_its_end(void **state)
{
    struct fixture *f = *state;
    struct iovec whole = answer(f, 0, SYN | ACK);
    for (size_t length = 0; length < HEADERS; length++) {
        /* NOLINTNEXTLINE(clang-analyzer-optin.portability.UnixAPI): none at all is a length, too */
        struct iovec cut = {malloc(length), length};
        memcpy(cut.iov_base, whole.iov_base, length);
        expect_in_vain(f, &cut, 1);
        free(cut.iov_base);
    }
    free(whole.iov_base);
}

static void what_is_not_a_segment_is_told_of_in_vain(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
    } lies[] = {
        {0, 0x46},  /* options */
        {0, 0x65},  /* version 6 */
        {0, 0x4f},  /* a header longer than the packet */
        {6, 0x20},  /* more fragments */
        {7, 0x01},  /* the second of them */
        {9, 17},    /* UDP */
        {12, 0xff}, /* from nowhere */
        {16, 0x7f}, /* to somebody else */
        {22, 0xff}, /* to a port where nobody is */
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct iovec packet = answer(f, 0, SYN | ACK);
        ((uint8_t *)packet.iov_base)[lies[i].at] = lies[i].value;
        expect_in_vain(f, &packet, 1);
        free(packet.iov_base);
    }
}

static void find_refused(void *context, const char *name, uint64_t value)
{
    if (strcmp(name, "tcp_no_connection") == 0)
        *(uint64_t *)context = value;
}

static void a_connection_that_ends_after_it_was_looked_for_is_not_missed(void **state)
{
    struct fixture *f = *state;
    struct iovec packets[] = {answer(f, 7, RST | ACK), answer(f, 7, SYN | ACK),
                              answer(f, 8, SYN | ACK)};
    expect_in_vain(f, packets, 3);
    for (int i = 0; i < 3; i++) {
        input(f, &packets[i]);
        free(packets[i].iov_base);
    }
    uint64_t refused = 0;
    strait_counters(f->stack, find_refused, &refused);
    assert_int_equal(refused, 1); /* the segment that came behind the RST */
    assert_int_equal(strait_connections(f->stack), CONNECTIONS - 1);
    assert_ready(f, 7, POLLOUT | POLLERR);
    assert_ready(f, 8, POLLOUT);
}

static void a_link_that_does_not_know_of_it_is_not_written_to(void **state)
{
    struct fixture *f = *state;
    struct strait_link old = {.size = offsetof(struct strait_link, expect),
                              .name = "old",
                              .mtu = 1500,
                              .fd = -1,
                              .send = note_syn};
    assert_int_equal(strait_attach(f->stack, &old, (struct in_addr){htonl(HOST + 256)}, 24), 0);
    assert_null(old.expect);
    strait_free(f->stack);
    f->stack = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(what_is_told_of_ahead_is_taken_in_as_if_it_were_not),
        TEST(what_comes_in_another_order_than_told_is_taken_in),
        TEST(what_comes_of_the_same_connections_again_is_taken_in),
        TEST(a_batch_that_begins_as_the_one_before_is_taken_in),
        TEST(more_packets_than_are_looked_for_are_no_harm),
        TEST(a_packet_cut_anywhere_is_not_read_behind_its_end),
        TEST(what_is_not_a_segment_is_told_of_in_vain),
        TEST(a_connection_that_ends_after_it_was_looked_for_is_not_missed),
        TEST(a_link_that_does_not_know_of_it_is_not_written_to),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
