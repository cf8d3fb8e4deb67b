/* SPDX-License-Identifier: MIT */
/*
 * Two shards of the host 10.7.0.2, through nothing but strait.h. What one hands over is kept, and
 * given to the other where a test says so; what they send is counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/shard.h"
#include "lan.h"
#include "stack_counter.h"
#include "strait.h"

#define SHARDS      2
#define PACKET_MAX  8192
#define PORT_FIRST  40000
#define PORT_LAST   40009
#define NO_LISTENER 80

struct shard {
    struct strait *stack;
    struct strait_link link;
    unsigned sent;
    uint8_t last[PACKET_MAX]; /* of what was sent */
};

struct fixture {
    struct strait_config config; /* of shard 0 */
    struct shard_rule rule;
    struct shard shards[SHARDS];
    bool full;       /* nothing is taken */
    unsigned handed; /* how many packets were handed over; the last of them: */
    uint32_t to;
    uint8_t packet[PACKET_MAX];
    size_t length;
};

static int keep_sent(struct strait_link *link, const struct iovec *parts, int count,
                     const struct strait_offload *offload)
{
    struct shard *s = (struct shard *)((char *)link - offsetof(struct shard, link));
    size_t length = 0;
    (void)offload;
    for (int i = 0; i < count; i++) {
        memcpy(s->last + length, parts[i].iov_base, parts[i].iov_len);
        length += parts[i].iov_len;
    }
    s->sent++;
    return 0;
}

static bool keep_handed(void *context, uint32_t shard, const void *packet, size_t length,
                        const struct strait_offload *offload)
{
    struct fixture *f = context;
    (void)offload;
    assert_true(length <= sizeof(f->packet));
    if (f->full)
        return false;
    f->handed++;
    f->to = shard;
    memcpy(f->packet, packet, length);
    f->length = length;
    return true;
}

static void open_shard(struct fixture *f, uint16_t number)
{
    struct shard *s = &f->shards[number];
    struct strait_config config = f->config;
    config.shard = number;
    s->stack = strait_new(&config, NULL);
    assert_non_null(s->stack);
    s->link = (struct strait_link){
        .size = sizeof(s->link), .name = "test", .mtu = 1500, .fd = -1, .send = keep_sent};
    assert_int_equal(strait_attach(s->stack, &s->link, (struct in_addr){htonl(LAN_HOST)}, 24), 0);
    strait_advance(s->stack, 1);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    strait_config_init(&f->config);
    memset(f->config.secret, 0x5a, sizeof(f->config.secret));
    f->config.port_first = PORT_FIRST;
    f->config.port_last = PORT_LAST;
    f->config.shards = SHARDS;
    f->config.hand_over = keep_handed;
    f->config.hand_over_context = f;
    shard_rule_init(&f->rule, &f->config);
    for (uint16_t i = 0; i < SHARDS; i++)
        open_shard(f, i);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < SHARDS; i++)
        strait_free(f->shards[i].stack);
    free(f);
    return 0;
}

static uint64_t counter(struct fixture *f, uint32_t shard, const char *name)
{
    return stack_counter(f->shards[shard].stack, name);
}

static void input(struct fixture *f, uint32_t shard, const uint8_t *packet, size_t length)
{
    strait_input(f->shards[shard].stack, &f->shards[shard].link, packet, length, NULL, 1);
    strait_advance(f->shards[shard].stack, 1);
}

/* ---- Packets from 10.7.0.1 ------------------------------------------------------------------- */

#define HEADER 20

/* Writes the IPv4 header of a packet from the peer in front of `payload_bytes`. */
static size_t finish_packet(uint8_t *packet, uint8_t protocol, size_t payload_bytes)
{
    packet[0] = 0x45;
    store_be16(packet + 2, (uint16_t)(HEADER + payload_bytes));
    packet[8] = 64;
    packet[9] = protocol;
    store_be32(packet + 12, LAN_PEER);
    store_be32(packet + 16, LAN_HOST);
    lan_mend(packet);
    return HEADER + payload_bytes;
}

/* A SYN, its checksum vouched for by nobody: computed as RFC 9293 3.1 says. */
static size_t make_syn(uint8_t packet[64], uint16_t source_port, uint16_t port)
{
    uint8_t pseudo[12 + 20] = {0};
    memset(packet, 0, 64);
    uint8_t *tcp = packet + HEADER;
    store_be16(tcp, source_port);
    store_be16(tcp + 2, port);
    tcp[12] = 5 << 4;
    tcp[13] = 2; /* SYN */
    store_be32(pseudo, LAN_PEER);
    store_be32(pseudo + 4, LAN_HOST);
    pseudo[9] = IPPROTO_TCP;
    pseudo[11] = 20;
    memcpy(pseudo + 12, tcp, 20);
    store_be16(tcp + 16, (uint16_t)~lan_sum(pseudo, sizeof(pseudo)));
    return finish_packet(packet, IPPROTO_TCP, 20);
}

/* An ICMP message with so many bytes behind its first four. */
static size_t make_icmp(uint8_t *packet, uint8_t type, uint8_t code, size_t rest_bytes)
{
    packet[HEADER] = type;
    packet[HEADER + 1] = code;
    store_be16(packet + HEADER + 2, 0);
    store_be16(packet + HEADER + 2, (uint16_t)~lan_sum(packet + HEADER, 4 + rest_bytes));
    return finish_packet(packet, IPPROTO_ICMP, 4 + rest_bytes);
}

/* An ICMP error that quotes a packet of the host with these ports, the identifier of an echo being
 * the second. */
static size_t make_error(uint8_t packet[128], uint8_t protocol, uint16_t port, uint16_t peer_port)
{
    memset(packet, 0, 128);
    uint8_t *quote = packet + HEADER + 8;
    quote[0] = 0x45;
    store_be16(quote + 2, 100);
    quote[9] = protocol;
    store_be32(quote + 12, LAN_HOST);
    store_be32(quote + 16, LAN_PEER);
    store_be16(quote + HEADER, port);
    store_be16(quote + HEADER + 2, peer_port);
    if (protocol == IPPROTO_ICMP) {
        store_be16(quote + HEADER, 8 << 8);
        store_be16(quote + HEADER + 4, port);
    }
    return make_icmp(packet, 3, 3, 4 + HEADER + 8);
}

static uint32_t owner(const struct fixture *f, uint16_t port, uint16_t peer_port)
{
    return shard_of(&f->rule, shard_endpoint(LAN_HOST, port), shard_endpoint(LAN_PEER, peer_port));
}

/* A port of the peer whose packets to `port` belong to the shard. */
static uint16_t peer_port_of(const struct fixture *f, uint16_t port, uint32_t shard)
{
    uint16_t peer_port = 1024;
    while (owner(f, port, peer_port) != shard)
        peer_port++;
    return peer_port;
}

/* ---- What is handed over --------------------------------------------------------------------- */

static void what_belongs_to_another_shard_is_handed_over_whole_and_not_answered(void **state)
{
    struct fixture *f = *state;
    uint8_t packet[64];
    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        size_t length = make_syn(packet, peer_port_of(f, NO_LISTENER, !shard), NO_LISTENER);
        input(f, shard, packet, length);
        assert_int_equal(f->handed, shard + 1);
        assert_int_equal(f->to, !shard);
        assert_int_equal(f->length, length);
        assert_memory_equal(f->packet, packet, length);
        assert_int_equal(f->shards[shard].sent, 0);
        assert_int_equal(counter(f, shard, "shard_strays"), 1);
        assert_int_equal(counter(f, shard, "tcp_segments_in"), 0);
    }
}

static void what_was_handed_over_stays_and_is_answered(void **state)
{
    struct fixture *f = *state;
    uint8_t packet[64];
    size_t length = make_syn(packet, peer_port_of(f, NO_LISTENER, 1), NO_LISTENER);
    input(f, 0, packet, length);
    input(f, 1, f->packet, f->length);
    assert_int_equal(f->handed, 1);
    assert_int_equal(f->shards[1].sent, 1);
    assert_int_equal(f->shards[1].last[HEADER + 13] & 4, 4); /* RST */
    assert_int_equal(counter(f, 1, "shard_strays"), 0);
}

static void what_finds_no_room_on_the_way_is_dropped_and_counted(void **state)
{
    struct fixture *f = *state;
    uint8_t packet[64];
    f->full = true;
    input(f, 0, packet, make_syn(packet, peer_port_of(f, NO_LISTENER, 1), NO_LISTENER));
    assert_int_equal(f->shards[0].sent, 0);
    assert_int_equal(counter(f, 0, "shard_hand_over_failed"), 1);
    assert_int_equal(counter(f, 0, "shard_strays"), 0);
}

static void an_echo_request_is_answered_wherever_it_comes_rfc1122_3_2_2_6(void **state)
{
    struct fixture *f = *state;
    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        uint8_t packet[64] = {0};
        input(f, shard, packet, make_icmp(packet, 8, 0, 8));
        assert_int_equal(f->shards[shard].sent, 1);
    }
    assert_int_equal(f->handed, 0);
}

static void an_echo_reply_goes_to_the_shard_that_drew_the_identifier(void **state)
{
    struct fixture *f = *state;
    for (uint16_t id = PORT_FIRST; id < PORT_FIRST + 4; id++) {
        uint8_t packet[64] = {0};
        store_be16(packet + HEADER + 4, id);
        f->handed = 0;
        input(f, 0, packet, make_icmp(packet, 0, 0, 8));
        assert_int_equal(f->handed, (id - PORT_FIRST) % 2);
    }
    assert_int_equal(counter(f, 0, "shard_handed_over"), 2);
    assert_int_equal(counter(f, 0, "icmp_echo_reply_unmatched"), 2);
    assert_int_equal(counter(f, 0, "shard_strays"), 0);
}

/* Which of the two has got it is known by who counts it. */
static void an_icmp_error_goes_where_the_quoted_packet_was_sent(void **state)
{
    struct fixture *f = *state;
    static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP};
    uint8_t packet[128];
    for (size_t i = 0; i < sizeof(protocols); i++) {
        for (uint16_t port = PORT_FIRST; port < PORT_FIRST + 2; port++) {
            f->handed = 0;
            input(f, 0, packet, make_error(packet, protocols[i], port, 9));
            assert_int_equal(f->handed, port % 2);
        }
    }
    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        uint16_t peer_port = peer_port_of(f, NO_LISTENER, shard);
        f->handed = 0;
        input(f, 0, packet, make_error(packet, IPPROTO_TCP, NO_LISTENER, peer_port));
        assert_int_equal(f->handed, shard);
    }
    assert_int_equal(counter(f, 0, "shard_handed_over"), 4);
    assert_int_equal(counter(f, 0, "icmp_errors_in"), 4);
}

static void a_quote_that_cannot_be_read_is_refused_where_it_comes(void **state)
{
    struct fixture *f = *state;
    uint8_t packet[128];
    make_error(packet, IPPROTO_TCP, PORT_FIRST + 1, 9);
    size_t quote_bytes[] = {0, 12, 19, 20, 23};
    for (size_t i = 0; i < sizeof(quote_bytes) / sizeof(quote_bytes[0]); i++)
        input(f, 0, packet, make_icmp(packet, 3, 3, 4 + quote_bytes[i]));
    make_error(packet, IPPROTO_TCP, PORT_FIRST + 1, 9);
    packet[HEADER + 8] = 0x41; /* a header of 4 bytes */
    input(f, 0, packet, make_icmp(packet, 3, 3, 4 + HEADER + 8));
    input(f, 0, packet, make_error(packet, 47, PORT_FIRST + 1, 9));
    assert_int_equal(f->handed, 0);
    assert_int_equal(counter(f, 0, "icmp_quote_wrong"), 7);
}

/* The fragments come by their addresses; the whole is then known by its ports. */
static void a_packet_is_handed_over_once_its_fragments_are_together(void **state)
{
    struct fixture *f = *state;
    uint32_t meeting = owner(f, 0, 0);
    uint8_t first[64] = {0}, last[64] = {0};
    store_be16(first + HEADER, peer_port_of(f, NO_LISTENER, !meeting));
    store_be16(first + HEADER + 2, NO_LISTENER);
    store_be16(first + HEADER + 4, 24);
    store_be16(first + 6, 0x2000); /* more fragments */
    store_be16(last + 6, 1);       /* 8 bytes further on */
    input(f, meeting, last, finish_packet(last, IPPROTO_UDP, 16));
    assert_int_equal(f->handed, 0);
    input(f, meeting, first, finish_packet(first, IPPROTO_UDP, 8));
    assert_int_equal(f->handed, 1);
    assert_int_equal(f->length, HEADER + 24);
    assert_memory_equal(f->packet + HEADER, first + HEADER, 8);
    assert_int_equal(counter(f, meeting, "shard_handed_over"), 1);
    assert_int_equal(counter(f, meeting, "shard_strays"), 0);
    input(f, !meeting, f->packet, f->length);
    assert_int_equal(counter(f, !meeting, "udp_no_socket"), 1);
}

static void a_fragment_that_comes_elsewhere_is_a_stray(void **state)
{
    struct fixture *f = *state;
    uint32_t meeting = owner(f, 0, 0);
    uint8_t fragment[64] = {0};
    store_be16(fragment + 6, 0x2000);
    input(f, !meeting, fragment, finish_packet(fragment, IPPROTO_UDP, 8));
    assert_int_equal(f->to, meeting);
    assert_int_equal(counter(f, !meeting, "shard_strays"), 1);
}

/* ---- Ports and other numbers that are shared out --------------------------------------------- */

static int tcp_socket(struct strait *stack)
{
    int fd = strait_socket(stack, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    return fd;
}

static int connect_to(struct strait *stack, int fd, uint32_t address, uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(address)}};
    return strait_connect(stack, fd, (struct sockaddr *)&to, sizeof(to));
}

static int bind_to(struct strait *stack, int fd, uint16_t port)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};
    return strait_bind(stack, fd, (struct sockaddr *)&name, sizeof(name));
}

static uint16_t port_of(struct strait *stack, int fd)
{
    struct sockaddr_in name;
    socklen_t length = sizeof(name);
    assert_int_equal(strait_getsockname(stack, fd, (struct sockaddr *)&name, &length), 0);
    return ntohs(name.sin_port);
}

static void each_shard_draws_its_own_local_ports_until_they_are_used_up(void **state)
{
    struct fixture *f = *state;
    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        struct strait *stack = f->shards[shard].stack;
        for (int i = 0; i < 5; i++) {
            int fd = tcp_socket(stack);
            int datagrams = strait_socket(stack, AF_INET, SOCK_DGRAM, 0);
            assert_int_equal(connect_to(stack, fd, LAN_PEER, 9), -1);
            assert_int_equal(errno, EINPROGRESS);
            assert_int_equal(port_of(stack, fd) % 2, shard);
            assert_int_equal(bind_to(stack, datagrams, 0), 0);
            assert_int_equal(port_of(stack, datagrams) % 2, shard);
        }
        assert_int_equal(connect_to(stack, tcp_socket(stack), LAN_PEER, 9), -1);
        assert_int_equal(errno, EADDRNOTAVAIL);
        int more = strait_socket(stack, AF_INET, SOCK_DGRAM, 0);
        assert_int_equal(bind_to(stack, more, 0), -1);
        assert_int_equal(errno, EADDRINUSE);
    }
}

static void a_connection_whose_answers_would_come_elsewhere_is_refused(void **state)
{
    struct fixture *f = *state;
    struct strait *stack = f->shards[0].stack;
    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        int fd = tcp_socket(stack);
        assert_int_equal(bind_to(stack, fd, (uint16_t)(1000 + shard)), 0);
        uint16_t peer_port = peer_port_of(f, (uint16_t)(1000 + shard), shard);
        assert_int_equal(connect_to(stack, fd, LAN_PEER, peer_port), -1);
        assert_int_equal(errno, shard == 0 ? EINPROGRESS : EADDRNOTAVAIL);
    }
}

/* To itself the host sends nothing through a queue. */
static void a_host_reaches_itself_within_the_shard(void **state)
{
    struct fixture *f = *state;
    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        struct strait *stack = f->shards[shard].stack;
        for (uint16_t port = 1; port < 20; port++) {
            int listener = tcp_socket(stack), fd = tcp_socket(stack);
            assert_int_equal(bind_to(stack, listener, port), 0);
            assert_int_equal(strait_listen(stack, listener, 1), 0);
            assert_int_equal(bind_to(stack, fd, (uint16_t)(1000 + port)), 0);
            assert_int_equal(connect_to(stack, fd, LAN_HOST, port), -1);
            assert_int_equal(errno, EINPROGRESS);
            for (int i = 0; i < 4; i++)
                strait_advance(stack, 1);
            struct pollfd p = {.fd = fd, .events = POLLOUT};
            assert_int_equal(strait_poll(stack, &p, 1, 0), 1);
            assert_int_equal(p.revents, POLLOUT);
        }
    }
    assert_int_equal(f->handed, 0);
}

/* RFC 6864 4.3: fragments of two packets must not be put together. */
static void shards_draw_different_identifications_rfc6864_4_3(void **state)
{
    struct fixture *f = *state;
    uint8_t seen[65536] = {0};
    static const uint8_t datagram[2000];
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {htonl(LAN_PEER)}};
    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        struct strait *stack = f->shards[shard].stack;
        int fd = strait_socket(stack, AF_INET, SOCK_DGRAM, 0);
        for (int i = 0; i < 1000; i++) {
            assert_int_equal(strait_sendto(stack, fd, datagram, sizeof(datagram), 0,
                                           (struct sockaddr *)&to, sizeof(to)),
                             sizeof(datagram));
            uint16_t id = load_be16(f->shards[shard].last + 4);
            assert_int_equal(seen[id], 0);
            seen[id] = 1;
        }
    }
}

/* ---- Configuration --------------------------------------------------------------------------- */

static void local_ports_are_settled_where_there_are_several_shards(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(strait_set(f->shards[0].stack, "ip.local_ports", "1000-2000"), -1);
    assert_int_equal(errno, EPERM);
}

static bool is_refused(const struct strait_config *config)
{
    errno = 0;
    struct strait *stack = strait_new(config, NULL);
    strait_free(stack);
    return stack == NULL && errno == EINVAL;
}

static void a_configuration_that_cannot_be_shared_out_is_refused(void **state)
{
    struct fixture *f = *state;
    struct strait_config config = f->config;
    assert_false(is_refused(&config));
    config.shard = 2;
    assert_true(is_refused(&config));
    config.shard = 1;
    config.port_last = config.port_first;
    assert_true(is_refused(&config)); /* a port, and two shards */
    config = f->config;
    config.shards = 0;
    assert_true(is_refused(&config));
    config.port_last = 50000;
    config.shards = STRAIT_SHARDS_MAX;
    assert_false(is_refused(&config));
    config.shards = STRAIT_SHARDS_MAX + 1;
    assert_true(is_refused(&config));
    config = f->config;
    config.hand_over = NULL;
    assert_true(is_refused(&config));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_belongs_to_another_shard_is_handed_over_whole_and_not_answered),
        TEST(what_was_handed_over_stays_and_is_answered),
        TEST(what_finds_no_room_on_the_way_is_dropped_and_counted),
        TEST(an_echo_request_is_answered_wherever_it_comes_rfc1122_3_2_2_6),
        TEST(an_echo_reply_goes_to_the_shard_that_drew_the_identifier),
        TEST(an_icmp_error_goes_where_the_quoted_packet_was_sent),
        TEST(a_quote_that_cannot_be_read_is_refused_where_it_comes),
        TEST(a_packet_is_handed_over_once_its_fragments_are_together),
        TEST(a_fragment_that_comes_elsewhere_is_a_stray),
        TEST(each_shard_draws_its_own_local_ports_until_they_are_used_up),
        TEST(a_connection_whose_answers_would_come_elsewhere_is_refused),
        TEST(a_host_reaches_itself_within_the_shard),
        TEST(shards_draw_different_identifications_rfc6864_4_3),
        TEST(local_ports_are_settled_where_there_are_several_shards),
        TEST(a_configuration_that_cannot_be_shared_out_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
