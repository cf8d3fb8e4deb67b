/* SPDX-License-Identifier: MIT */
/* A host that talks to itself, through nothing but strait.h: nothing of it is seen on its link. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "stack_counter.h"
#include "wire.h"

#define OWN_ADDRESS 0x0a000001u
#define PORT        1000
#define PIECE       100000
#define TURNS_MAX   100000 /* a host that does not come to rest has a bug */

struct host {
    struct strait_env env; /* the first, as its functions take it for the host; can but wait */
    struct strait *stack;
    struct strait_link link;
    uint64_t now_ns;
    unsigned seen; /* packets on the link */
};

static int see_packet(struct strait_link *link, const struct iovec *parts, int count,
                      const struct strait_offload *offload)
{
    struct host *h = (struct host *)((char *)link - offsetof(struct host, link));
    (void)parts, (void)count, (void)offload;
    h->seen++;
    return 0;
}

/* Turns of the driver, until nothing is left to do at this time. */
static void rest(struct host *h)
{
    for (int turns = 0; turns < TURNS_MAX; turns++) {
        strait_dispatch(h->stack);
        if (strait_advance(h->stack, h->now_ns) > h->now_ns)
            return;
    }
    fail_msg("the host does not come to rest");
}

/* A wait of a blocking call is one turn of the driver; one for anything else would last for ever.
 */
static int wait_one_turn(struct strait_env *env, uint64_t deadline_ns)
{
    struct host *h = (struct host *)env;
    (void)deadline_ns;
    assert_true(strait_advance(h->stack, h->now_ns) == h->now_ns);
    return 0;
}

static int setup(void **state)
{
    struct host *h = calloc(1, sizeof(*h));
    struct strait_config config;
    assert_non_null(h);
    strait_config_init(&config);
    config.receive_buffer_bytes = 8 << 20;
    h->env = (struct strait_env){.size = sizeof(h->env), .wait = wait_one_turn};
    h->stack = strait_new(&config, &h->env);
    assert_non_null(h->stack);
    h->now_ns = 1000 * PAIR_S;
    h->link = (struct strait_link){
        .size = sizeof(h->link), .name = "test", .mtu = 1500, .fd = -1, .send = see_packet};
    struct in_addr own = {htonl(OWN_ADDRESS)};
    assert_int_equal(strait_attach(h->stack, &h->link, own, 24), 0);
    rest(h);
    *state = h;
    return 0;
}

static int teardown(void **state)
{
    struct host *h = *state;
    assert_int_equal(h->seen, 0);
    strait_free(h->stack);
    free(h);
    return 0;
}

static struct sockaddr_in name(uint32_t address, uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(address)}};
}

/* A socket bound to an address and port, if that is not 0. */
static int make(struct host *h, int type, uint32_t address, uint16_t port)
{
    struct sockaddr_in at = name(address, port);
    int fd = strait_socket(h->stack, AF_INET, type | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    if (port != 0)
        assert_int_equal(strait_bind(h->stack, fd, (struct sockaddr *)&at, sizeof(at)), 0);
    return fd;
}

static int begin(struct host *h, int fd, uint32_t address, uint16_t port)
{
    struct sockaddr_in to = name(address, port);
    return strait_connect(h->stack, fd, (struct sockaddr *)&to, sizeof(to));
}

/* A connection from `client`, which is made, to the listener's. Returns the other end. */
static int open_connection(struct host *h, int listener, int client, uint32_t address)
{
    assert_errno(begin(h, client, address, PORT), EINPROGRESS);
    rest(h);
    assert_int_equal(begin(h, client, address, PORT), 0);
    int server = strait_accept4(h->stack, listener, NULL, NULL, SOCK_NONBLOCK);
    assert_true(server >= 0);
    return server;
}

static int make_listener(struct host *h)
{
    int fd = make(h, SOCK_STREAM, INADDR_ANY, PORT);
    assert_int_equal(strait_listen(h->stack, fd, 4), 0);
    return fd;
}

/* The address that a socket has, or that its peer has. */
static uint32_t address_of(struct host *h, int fd, bool peer)
{
    struct sockaddr_in at;
    socklen_t length = sizeof(at);
    int result = peer ? strait_getpeername(h->stack, fd, (struct sockaddr *)&at, &length)
                      : strait_getsockname(h->stack, fd, (struct sockaddr *)&at, &length);
    assert_int_equal(result, 0);
    return ntohl(at.sin_addr.s_addr);
}

static uint64_t counter(struct host *h, const char *name)
{
    return stack_counter(h->stack, name);
}

/* Byte n of all streams here. */
static uint8_t byte_at(size_t n)
{
    return (uint8_t)(n * 7 + n / 251);
}

/* Moves so many bytes from one socket to the other. */
static void move_bytes(struct host *h, int from, int to, size_t total)
{
    uint8_t *bytes = malloc(PIECE);
    assert_non_null(bytes);
    for (size_t sent = 0, received = 0; received < total;) {
        size_t piece = total - sent < PIECE ? total - sent : PIECE;
        for (size_t i = 0; i < piece; i++)
            bytes[i] = byte_at(sent + i);
        ssize_t n = piece > 0 ? strait_send(h->stack, from, bytes, piece, 0) : 0;
        sent += n > 0 ? (size_t)n : 0;
        rest(h);
        while ((n = strait_recv(h->stack, to, bytes, PIECE, 0)) > 0)
            for (ssize_t i = 0; i < n; i++)
                assert_int_equal(bytes[i], byte_at(received++));
        assert_int_equal(errno, EAGAIN);
        h->now_ns += PAIR_MS;
    }
    free(bytes);
}

/* One turn, of which a link sees the end: it takes in no more than the queue holds. */
static void turn(struct host *h)
{
    uint64_t packets = counter(h, "link_packets_in"), bytes = counter(h, "link_bytes_in");

    strait_dispatch(h->stack);
    uint64_t next_ns = strait_advance(h->stack, h->now_ns);
    assert_in_range(counter(h, "link_packets_in") - packets, 0, 1024);
    assert_in_range(counter(h, "link_bytes_in") - bytes, 0, 4 << 20);
    h->now_ns = next_ns == STRAIT_NEVER ? h->now_ns : next_ns;
}

static void expect_end(struct host *h, int fd)
{
    char byte;
    rest(h);
    assert_int_equal(strait_recv(h->stack, fd, &byte, 1, 0), 0);
}

/* ---- Streams --------------------------------------------------------------------------------- */

static void check_stream_to(struct host *h, uint32_t address)
{
    int listener = make_listener(h), client = make(h, SOCK_STREAM, 0, 0);
    int server = open_connection(h, listener, client, address);

    assert_int_equal(address_of(h, client, false), address);
    assert_int_equal(address_of(h, server, false), address);
    assert_int_equal(address_of(h, server, true), address);
    move_bytes(h, client, server, 3000000);
    move_bytes(h, server, client, 3000000);
    assert_int_equal(strait_close(h->stack, client), 0);
    expect_end(h, server);
    assert_int_equal(strait_close(h->stack, server), 0);
    rest(h);
    assert_int_equal(strait_close(h->stack, listener), 0);
    assert_int_equal(strait_connections(h->stack), 0);
    assert_int_equal(strait_memory(h->stack), 0);
    assert_int_equal(counter(h, "tcp_retransmitted_segments"), 0);
}

static void a_stream_reaches_127_0_0_1(void **state)
{
    check_stream_to(*state, INADDR_LOOPBACK);
}

static void a_stream_reaches_the_hosts_own_address(void **state)
{
    check_stream_to(*state, OWN_ADDRESS);
}

static void a_bound_loopback_address_is_the_source(void **state)
{
    struct host *h = *state;
    int listener = make_listener(h);
    int client = make(h, SOCK_STREAM, INADDR_LOOPBACK + 4, 2000);
    int server = open_connection(h, listener, client, INADDR_LOOPBACK + 8);

    assert_int_equal(address_of(h, server, true), INADDR_LOOPBACK + 4);
    assert_int_equal(address_of(h, server, false), INADDR_LOOPBACK + 8);
}

static void a_bound_loopback_address_reaches_no_other_host_rfc1122_3_2_1_3(void **state)
{
    struct host *h = *state;
    int stream = make(h, SOCK_STREAM, INADDR_LOOPBACK, 2000);
    int datagram = make(h, SOCK_DGRAM, INADDR_LOOPBACK, 2000);

    assert_errno(begin(h, stream, OWN_ADDRESS + 1, PORT), EINVAL);
    assert_errno(begin(h, datagram, OWN_ADDRESS + 1, PORT), EINVAL);
}

static void a_super_packet_stays_whole(void **state)
{
    struct host *h = *state;
    int listener = make_listener(h), client = make(h, SOCK_STREAM, 0, 0);
    int server = open_connection(h, listener, client, INADDR_LOOPBACK);
    static uint8_t bytes[130000];

    move_bytes(h, client, server, 300000); /* opens the windows */
    uint64_t before = counter(h, "link_packets_in");
    assert_int_equal(strait_send(h->stack, client, bytes, sizeof(bytes), 0), sizeof(bytes));
    rest(h);
    assert_int_equal(strait_recv(h->stack, server, bytes, sizeof(bytes), 0), sizeof(bytes));
    assert_in_range(counter(h, "link_packets_in") - before, 2, 8); /* with what acknowledges */
    assert_int_equal(counter(h, "tcp_retransmitted_segments"), 0);
}

/* Sends what the socket takes of `total` bytes, of which `sent` have gone. Returns how many have.
 */
static size_t send_more(struct host *h, int fd, size_t sent, size_t total)
{
    static const uint8_t bytes[PIECE];

    while (sent < total) {
        size_t left = total - sent;
        ssize_t n = strait_send(h->stack, fd, bytes, left < PIECE ? left : PIECE, 0);
        if (n <= 0)
            break;
        sent += (size_t)n;
    }
    return sent;
}

/* Their windows together are larger than the queue: what it drops is sent again. */
static void ten_busy_streams_end_and_leave_links_their_turn(void **state)
{
    enum { STREAMS = 10, TOTAL = 10000000 };
    struct host *h = *state;
    static uint8_t bytes[PIECE];
    int listener = make_listener(h), client[STREAMS], server[STREAMS];
    size_t sent[STREAMS] = {0}, received = 0;

    for (int i = 0; i < STREAMS; i++) {
        client[i] = make(h, SOCK_STREAM, 0, 0);
        server[i] = open_connection(h, listener, client[i], INADDR_LOOPBACK);
    }
    for (int turns = 0; received < (size_t)STREAMS * TOTAL; turns++) {
        assert_true(turns < TURNS_MAX);
        for (int i = 0; i < STREAMS; i++) {
            sent[i] = send_more(h, client[i], sent[i], TOTAL);
            ssize_t n;
            while ((n = strait_recv(h->stack, server[i], bytes, PIECE, 0)) > 0)
                received += (size_t)n;
        }
        turn(h);
    }
    assert_true(counter(h, "ip_loopback_full") > 0);
    for (int i = 0; i < STREAMS; i++) {
        assert_int_equal(strait_close(h->stack, client[i]), 0);
        expect_end(h, server[i]);
    }
}

static void a_closed_port_refuses_a_stream(void **state)
{
    struct host *h = *state;
    int fd = make(h, SOCK_STREAM, 0, 0);

    assert_errno(begin(h, fd, INADDR_LOOPBACK, PORT), EINPROGRESS);
    rest(h);
    assert_errno(begin(h, fd, INADDR_LOOPBACK, PORT), ECONNREFUSED);
}

/* A socket that connects to its own port meets itself: RFC 9293 3.5, figure 7, with one side. */
static void a_socket_connects_to_itself_rfc9293_3_5(void **state)
{
    struct host *h = *state;
    int fd = make(h, SOCK_STREAM, INADDR_LOOPBACK, 2000);

    assert_errno(begin(h, fd, INADDR_LOOPBACK, 2000), EINPROGRESS);
    rest(h);
    assert_int_equal(begin(h, fd, INADDR_LOOPBACK, 2000), 0);
    move_bytes(h, fd, fd, 300000);
    assert_int_equal(strait_shutdown(h->stack, fd, SHUT_WR), 0);
    expect_end(h, fd);
    assert_int_equal(strait_close(h->stack, fd), 0);
    rest(h);
    assert_int_equal(strait_connections(h->stack), 0);
}

static void a_blocking_call_waits_for_its_own_host(void **state)
{
    struct host *h = *state;
    struct sockaddr_in to = name(INADDR_LOOPBACK, PORT);
    int listener = make_listener(h), client = strait_socket(h->stack, AF_INET, SOCK_STREAM, 0);

    assert_int_equal(strait_connect(h->stack, client, (struct sockaddr *)&to, sizeof(to)), 0);
    rest(h);
    assert_true(strait_accept(h->stack, listener, NULL, NULL) >= 0);
}

static void a_host_without_links_has_its_loopback(void **state)
{
    (void)state;
    struct strait_config config;
    struct host h = {.now_ns = PAIR_S};

    strait_config_init(&config);
    h.stack = strait_new(&config, NULL);
    rest(&h);
    int listener = make_listener(&h), client = make(&h, SOCK_STREAM, 0, 0);
    int server = open_connection(&h, listener, client, INADDR_LOOPBACK);
    move_bytes(&h, client, server, 1000);
    strait_free(h.stack);
}

/* ---- Datagrams ------------------------------------------------------------------------------- */

static ssize_t send_to(struct host *h, int fd, uint32_t address, uint16_t port, size_t length)
{
    static const uint8_t bytes[65507];
    struct sockaddr_in to = name(address, port);
    return strait_sendto(h->stack, fd, bytes, length, 0, (struct sockaddr *)&to, sizeof(to));
}

static void a_datagram_of_any_size_arrives_whole(void **state)
{
    static const uint32_t addresses[] = {INADDR_LOOPBACK, INADDR_LOOPBACK + 1, OWN_ADDRESS};
    static const size_t lengths[] = {0, 1, 1473, 65507};
    struct host *h = *state;
    static uint8_t bytes[65536];
    int fd = make(h, SOCK_DGRAM, INADDR_ANY, PORT);

    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < 4; j++) {
            assert_int_equal(send_to(h, fd, addresses[i], PORT, lengths[j]), lengths[j]);
            rest(h);
            struct sockaddr_in from;
            socklen_t size = sizeof(from);
            assert_int_equal(strait_recvfrom(h->stack, fd, bytes, sizeof(bytes), 0,
                                             (struct sockaddr *)&from, &size),
                             lengths[j]);
            assert_int_equal(ntohs(from.sin_port), PORT);
            assert_int_equal(ntohl(from.sin_addr.s_addr), i == 1 ? INADDR_LOOPBACK : addresses[i]);
        }
    }
}

static void a_closed_port_refuses_a_connected_datagram_socket(void **state)
{
    struct host *h = *state;
    int fd = make(h, SOCK_DGRAM, 0, 0);

    assert_int_equal(begin(h, fd, INADDR_LOOPBACK, PORT), 0);
    assert_int_equal(strait_send(h->stack, fd, "x", 1, 0), 1);
    rest(h);
    assert_errno(strait_send(h->stack, fd, "x", 1, 0), ECONNREFUSED);
    assert_int_equal(counter(h, "icmp_errors_in"), 1);
}

/* ---- The queue ------------------------------------------------------------------------------- */

static void nothing_arrives_within_the_call_that_sends(void **state)
{
    struct host *h = *state;
    int fd = make(h, SOCK_DGRAM, INADDR_ANY, PORT);
    char byte;

    assert_int_equal(send_to(h, fd, INADDR_LOOPBACK, PORT, 1), 1);
    assert_errno(strait_recv(h->stack, fd, &byte, 1, 0), EAGAIN);
    strait_advance(h->stack, h->now_ns);
    assert_int_equal(strait_recv(h->stack, fd, &byte, 1, 0), 1);
}

static void advance_is_due_at_once_while_a_packet_waits(void **state)
{
    struct host *h = *state;
    int fd = make(h, SOCK_STREAM, 0, 0);

    assert_errno(begin(h, fd, INADDR_LOOPBACK, PORT), EINPROGRESS);
    assert_true(strait_advance(h->stack, h->now_ns) == h->now_ns); /* it has sent its SYN */
}

/* Sends `count` datagrams at once. Returns how many of them arrive. */
static uint64_t flood(struct host *h, unsigned count, size_t length)
{
    int fd = make(h, SOCK_DGRAM, INADDR_ANY, PORT);
    uint64_t before = counter(h, "udp_datagrams_in") + counter(h, "udp_queue_full");

    for (unsigned i = 0; i < count; i++)
        assert_int_equal(send_to(h, fd, INADDR_LOOPBACK, PORT, length), length);
    rest(h);
    assert_int_equal(strait_close(h->stack, fd), 0);
    return counter(h, "udp_datagrams_in") + counter(h, "udp_queue_full") - before;
}

static void the_queue_has_an_end_and_room_again(void **state)
{
    struct host *h = *state;

    assert_int_equal(flood(h, 2000, 10), 1024);
    assert_int_equal(counter(h, "ip_loopback_full"), 2000 - 1024);
    /* 4 MiB hold 69 packets of 60028 bytes. */
    assert_int_equal(flood(h, 100, 60000), 69);
    assert_int_equal(counter(h, "ip_loopback_full"), 2000 - 1024 + 100 - 69);
    assert_int_equal(flood(h, 1, 10), 1);
}

static void what_waits_is_freed_with_the_host(void **state)
{
    struct host *h = *state;
    int fd = make(h, SOCK_DGRAM, INADDR_ANY, PORT);
    assert_int_equal(send_to(h, fd, INADDR_LOOPBACK, PORT, 1000), 1000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_stream_reaches_127_0_0_1),
        TEST(a_stream_reaches_the_hosts_own_address),
        TEST(a_bound_loopback_address_is_the_source),
        TEST(a_bound_loopback_address_reaches_no_other_host_rfc1122_3_2_1_3),
        TEST(a_super_packet_stays_whole),
        TEST(ten_busy_streams_end_and_leave_links_their_turn),
        TEST(a_closed_port_refuses_a_stream),
        TEST(a_socket_connects_to_itself_rfc9293_3_5),
        TEST(a_blocking_call_waits_for_its_own_host),
        cmocka_unit_test(a_host_without_links_has_its_loopback),
        TEST(a_datagram_of_any_size_arrives_whole),
        TEST(a_closed_port_refuses_a_connected_datagram_socket),
        TEST(nothing_arrives_within_the_call_that_sends),
        TEST(advance_is_due_at_once_while_a_packet_waits),
        TEST(the_queue_has_an_end_and_room_again),
        TEST(what_waits_is_freed_with_the_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
