/* SPDX-License-Identifier: MIT */
/*
 * Making, naming and listening with sockets. The errno values are POSIX's; where POSIX leaves a
 * choice they are those that the same calls returned on Linux 6.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <netinet/tcp.h>

#include "wire.h"

static int bind_to(struct strait *stack, int fd, uint32_t host, uint16_t port)
{
    struct sockaddr_in name = wire_address(host, port);
    return strait_bind(stack, fd, (struct sockaddr *)&name, sizeof(name));
}

/* ---- Descriptors ---- */

static void socket_refuses_what_it_does_not_know(void **state)
{
    struct wire *w = *state;
    static const struct {
        int domain, type, protocol, error;
    } refused[] = {
        {AF_INET6, SOCK_STREAM, 0, EAFNOSUPPORT},
        {AF_UNIX, SOCK_DGRAM, 0, EAFNOSUPPORT},
        {AF_INET, SOCK_SEQPACKET, 0, ESOCKTNOSUPPORT},
        {AF_INET, SOCK_RAW, 0, ESOCKTNOSUPPORT},
        {AF_INET, 0, 0, ESOCKTNOSUPPORT},
        {AF_INET, 12, 0, EINVAL},
        {AF_INET, SOCK_STREAM | 0x100000, 0, EINVAL},
        {AF_INET, SOCK_STREAM, -1, EINVAL},
        {AF_INET, SOCK_DGRAM, 300, EINVAL},
        {AF_INET, SOCK_STREAM, IPPROTO_UDP, EPROTONOSUPPORT},
        {AF_INET, SOCK_DGRAM, IPPROTO_TCP, EPROTONOSUPPORT},
        {AF_INET, SOCK_STREAM, IPPROTO_ICMP, EPROTONOSUPPORT},
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        assert_errno(
            strait_socket(w->left, refused[i].domain, refused[i].type, refused[i].protocol),
            refused[i].error);
    assert_true(strait_socket(w->left, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP) >= 0);
    assert_true(strait_socket(w->left, AF_INET, SOCK_DGRAM, IPPROTO_UDP) >= 0);
}

static void every_call_refuses_a_stale_descriptor(void **state)
{
    struct wire *w = *state;
    struct strait *s = w->left;
    char byte = 0;
    int value = 0;
    struct sockaddr_in name = pair_address(1, WIRE_PORT);
    struct sockaddr *n = (struct sockaddr *)&name;
    socklen_t length = sizeof(name);
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    const int stale = wire_stream(s, SOCK_NONBLOCK);
    assert_int_equal(strait_close(s, stale), 0);
    const int bad[] = {stale, -1, 0, 3, INT_MAX, stale + 1};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int fd = bad[i];
        assert_errno(strait_bind(s, fd, n, length), EBADF);
        assert_errno(strait_listen(s, fd, 1), EBADF);
        assert_errno(strait_accept(s, fd, NULL, NULL), EBADF);
        assert_errno(strait_connect(s, fd, n, length), EBADF);
        assert_errno(strait_shutdown(s, fd, SHUT_RDWR), EBADF);
        assert_errno(strait_close(s, fd), EBADF);
        assert_errno(strait_getsockname(s, fd, n, &length), EBADF);
        assert_errno(strait_getpeername(s, fd, n, &length), EBADF);
        assert_errno(strait_getsockopt(s, fd, SOL_SOCKET, SO_TYPE, &value, &length), EBADF);
        assert_errno(strait_setsockopt(s, fd, SOL_SOCKET, SO_REUSEADDR, &value, 4), EBADF);
        assert_errno(strait_send(s, fd, &byte, 1, 0), EBADF);
        assert_errno(strait_recv(s, fd, &byte, 1, 0), EBADF);
        assert_errno(strait_sendto(s, fd, &byte, 1, 0, n, length), EBADF);
        assert_errno(strait_recvfrom(s, fd, &byte, 1, 0, n, &length), EBADF);
        assert_errno(strait_sendmsg(s, fd, &message, 0), EBADF);
        assert_errno(strait_recvmsg(s, fd, &message, 0), EBADF);
        assert_errno(strait_read(s, fd, &byte, 1), EBADF);
        assert_errno(strait_read(s, fd, &byte, 0), EBADF);
        assert_errno(strait_write(s, fd, &byte, 1), EBADF);
        assert_errno(strait_readv(s, fd, &part, 1), EBADF);
        assert_errno(strait_writev(s, fd, &part, 1), EBADF);
        assert_errno(strait_watch(s, fd, 0, NULL, NULL), EBADF);
    }
}

/* 4 sockets and 2^31 - base = 12 numbers: each slot has 3 generations. */
static void few_numbers(struct strait_config *config)
{
    config->sockets_max = 4;
    config->descriptor_base = INT_MAX - 11;
}

static void number_comes_back_only_when_all_others_were_used(void **state)
{
    (void)state;
    struct wire *w = wire_new(few_numbers);
    bool used[12] = {false};
    for (int i = 0; i < 12; i++) {
        int fd = wire_stream(w->left, 0);
        assert_in_range(fd, INT_MAX - 11, INT_MAX);
        assert_false(used[fd - (INT_MAX - 11)]);
        used[fd - (INT_MAX - 11)] = true;
        assert_int_equal(strait_close(w->left, fd), 0);
        assert_errno(strait_close(w->left, fd), EBADF);
    }
    wire_free(w);
}

static void limit_of_sockets_is_emfile_and_ends_with_a_close(void **state)
{
    (void)state;
    struct wire *w = wire_new(few_numbers);
    int fds[4];
    for (int i = 0; i < 4; i++)
        fds[i] = wire_datagram(w->left, 0, 0);
    assert_errno(strait_socket(w->left, AF_INET, SOCK_STREAM, 0), EMFILE);
    assert_int_equal(pair_counter(w->pair, 0, "socket_limited"), 1);
    assert_int_equal(strait_close(w->left, fds[2]), 0);
    assert_int_not_equal(wire_stream(w->left, 0), fds[2]); /* the same slot */
    assert_errno(strait_close(w->left, fds[2]), EBADF);
    assert_errno(strait_socket(w->left, AF_INET, SOCK_STREAM, 0), EMFILE);
    wire_free(w);
}

static void table_grows_past_its_first_size(void **state)
{
    struct wire *w = *state;
    enum { COUNT = 3000 };
    static int fds[COUNT];
    for (int i = 0; i < COUNT; i++)
        fds[i] = wire_stream(w->left, 0);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(wire_option(w->left, fds[i], SOL_SOCKET, SO_TYPE), SOCK_STREAM);
        assert_int_equal(strait_close(w->left, fds[i]), 0);
    }
    for (int i = 0; i < COUNT; i++)
        assert_errno(strait_close(w->left, fds[i]), EBADF);
}

/* ---- bind ---- */

static void bind_refuses_bad_addresses(void **state)
{
    struct wire *w = *state;
    struct sockaddr_in name = wire_address(INADDR_ANY, 80);
    int fds[] = {wire_stream(w->left, 0), wire_datagram(w->left, 0, 0)};
    for (int i = 0; i < 2; i++) {
        name.sin_family = AF_INET;
        assert_errno(strait_bind(w->left, fds[i], (struct sockaddr *)&name, 15), EINVAL);
        assert_errno(strait_bind(w->left, fds[i], (struct sockaddr *)&name, 200), EINVAL);
        name.sin_family = AF_INET6;
        assert_errno(strait_bind(w->left, fds[i], (struct sockaddr *)&name, sizeof(name)),
                     EAFNOSUPPORT);
        assert_errno(bind_to(w->left, fds[i], 0x0a000002, 80), EADDRNOTAVAIL);
    }
}

static void bound_address_and_port_are_the_sockets_name(void **state)
{
    struct wire *w = *state;
    int types[] = {SOCK_STREAM, SOCK_DGRAM};
    for (int i = 0; i < 2; i++) {
        int fd = strait_socket(w->left, AF_INET, types[i], 0);
        struct sockaddr_in name = wire_name(w->left, fd);
        assert_int_equal(name.sin_port, 0);
        assert_int_equal(name.sin_addr.s_addr, htonl(INADDR_ANY));
        assert_int_equal(bind_to(w->left, fd, 0x0a000001, 80), 0);
        name = wire_name(w->left, fd);
        assert_int_equal(name.sin_port, htons(80));
        assert_int_equal(name.sin_addr.s_addr, htonl(0x0a000001));
        assert_errno(bind_to(w->left, fd, 0x0a000001, 81), EINVAL);
    }
}

static void port_is_taken_once_for_each_protocol_and_given_back(void **state)
{
    struct wire *w = *state;
    int first = wire_stream(w->left, 0), second = wire_stream(w->left, 0);
    assert_int_equal(wire_bind(w->left, first, 80), 0);
    assert_errno(wire_bind(w->left, second, 80), EADDRINUSE);
    assert_errno(bind_to(w->left, second, 0x0a000001, 80), EADDRINUSE);
    int datagram = wire_datagram(w->left, 80, 0);
    assert_errno(wire_bind(w->left, wire_datagram(w->left, 0, 0), 80), EADDRINUSE);
    assert_int_equal(strait_close(w->left, first), 0);
    assert_int_equal(wire_bind(w->left, second, 80), 0);
    assert_int_equal(strait_close(w->left, datagram), 0);
    wire_datagram(w->left, 80, 0);
}

static void bind_to_port_0_takes_one_of_the_range(void **state)
{
    struct wire *w = *state;
    int fds[] = {wire_stream(w->left, 0), wire_datagram(w->left, 0, 0)};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wire_bind(w->left, fds[i], 0), 0);
        assert_in_range(ntohs(wire_name(w->left, fds[i]).sin_port), 32768, 60999);
    }
}

static void name_is_cut_to_the_room_and_its_length_is_told(void **state)
{
    struct wire *w = *state;
    int fd = wire_stream(w->left, 0);
    assert_int_equal(wire_bind(w->left, fd, 0x1234), 0);
    unsigned char room[8] = {0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee};
    socklen_t length = 4;
    assert_int_equal(strait_getsockname(w->left, fd, (struct sockaddr *)room, &length), 0);
    assert_int_equal(length, sizeof(struct sockaddr_in));
    assert_int_equal(room[2], 0x12);
    assert_int_equal(room[3], 0x34);
    assert_int_equal(room[4], 0xee);
}

/* ---- listen, accept ---- */

static void listen_is_for_streams_without_connection(void **state)
{
    struct wire *w = *state;
    int listener = wire_listener(w), client, server;
    assert_errno(strait_listen(w->left, wire_datagram(w->left, 0, 0), 1), EOPNOTSUPP);
    wire_established(w, listener, &client, &server);
    assert_errno(strait_listen(w->left, client, 1), EINVAL);
    assert_errno(strait_listen(w->right, server, 1), EINVAL);
    assert_int_equal(strait_listen(w->right, listener, -5), 0);
    assert_int_equal(strait_listen(w->right, listener, INT_MAX), 0);
}

static void listen_without_bind_takes_a_port(void **state)
{
    struct wire *w = *state;
    int listener = wire_stream(w->right, SOCK_NONBLOCK), client = wire_stream(w->left, 0);
    assert_int_equal(strait_listen(w->right, listener, 1), 0);
    uint16_t port = ntohs(wire_name(w->right, listener).sin_port);
    assert_in_range(port, 32768, 60999);
    assert_int_equal(wire_connect(w, client, port), 0);
}

static void accept_refuses_what_does_not_listen(void **state)
{
    struct wire *w = *state;
    int listener = wire_listener(w), client, server;
    assert_errno(strait_accept(w->right, listener, NULL, NULL), EAGAIN);
    assert_errno(strait_accept4(w->right, listener, NULL, NULL, 0x40000000), EINVAL);
    assert_errno(strait_accept(w->left, wire_stream(w->left, 0), NULL, NULL), EINVAL);
    assert_errno(strait_accept(w->left, wire_datagram(w->left, 0, 0), NULL, NULL), EOPNOTSUPP);
    wire_established(w, listener, &client, &server);
    assert_errno(strait_accept(w->right, server, NULL, NULL), EINVAL);
}

static void accept_gives_connections_in_order_with_their_peers(void **state)
{
    struct wire *w = *state;
    int listener = wire_listener(w), clients[3];
    for (int i = 0; i < 3; i++) {
        clients[i] = wire_stream(w->left, 0);
        assert_int_equal(wire_connect(w, clients[i], WIRE_PORT), 0);
        wire_run(w);
    }
    for (int i = 0; i < 3; i++) {
        struct sockaddr_in peer, other;
        socklen_t length = sizeof(peer);
        int server = strait_accept4(w->right, listener, (struct sockaddr *)&peer, &length,
                                    SOCK_NONBLOCK | SOCK_CLOEXEC);
        assert_true(server >= 0);
        assert_int_equal(length, sizeof(peer));
        struct sockaddr_in local = wire_name(w->left, clients[i]);
        assert_memory_equal(&peer, &local, sizeof(peer));
        assert_int_equal(wire_peer(w->right, server, &other), 0);
        assert_memory_equal(&other, &local, sizeof(other));
        assert_int_equal(wire_peer(w->left, clients[i], &other), 0);
        local = wire_name(w->right, server);
        assert_memory_equal(&other, &local, sizeof(other));
        assert_int_equal(local.sin_port, htons(WIRE_PORT));
        wire_assert_carries(w, clients[i], server);
    }
    assert_errno(strait_accept(w->right, listener, NULL, NULL), EAGAIN);
}

static void blocking_accept_waits_for_a_connection(void **state)
{
    struct wire *w = *state;
    int listener = wire_stream(w->right, 0), client = wire_stream(w->left, SOCK_NONBLOCK);
    assert_int_equal(wire_bind(w->right, listener, WIRE_PORT), 0);
    assert_int_equal(strait_listen(w->right, listener, 1), 0);
    assert_errno(wire_connect(w, client, WIRE_PORT), EINPROGRESS);
    int server = strait_accept4(w->right, listener, NULL, NULL, SOCK_NONBLOCK);
    assert_true(server >= 0);
    wire_assert_carries(w, client, server);

    wire_interrupt(w, true);
    assert_errno(strait_accept(w->right, listener, NULL, NULL), EINTR);
    pair_env(w->pair)->wait = NULL;
    assert_errno(strait_accept(w->right, listener, NULL, NULL), EAGAIN);
}

static void accept_without_a_free_descriptor_leaves_the_connection_waiting(void **state)
{
    (void)state;
    struct wire *w = wire_new(few_numbers);
    int listener = wire_listener(w), client = wire_stream(w->left, SOCK_NONBLOCK), others[3];
    for (int i = 0; i < 3; i++)
        others[i] = wire_stream(w->right, 0);
    assert_errno(wire_connect(w, client, WIRE_PORT), EINPROGRESS);
    wire_run(w);
    assert_errno(strait_accept(w->right, listener, NULL, NULL), EMFILE);
    assert_int_equal(strait_close(w->right, others[1]), 0);
    int server = strait_accept4(w->right, listener, NULL, NULL, SOCK_NONBLOCK);
    assert_true(server >= 0);
    wire_assert_carries(w, client, server);
    wire_free(w);
}

static void accepted_socket_inherits_the_settings_of_its_listener(void **state)
{
    struct wire *w = *state;
    int listener = wire_listener(w), client, server, on = 1, bytes = 20000;
    struct linger linger = {.l_onoff = 1};
    struct strait *s = w->right;
    assert_int_equal(strait_setsockopt(s, listener, IPPROTO_TCP, TCP_NODELAY, &on, 4), 0);
    assert_int_equal(strait_setsockopt(s, listener, SOL_SOCKET, SO_SNDBUF, &bytes, 4), 0);
    assert_int_equal(strait_setsockopt(s, listener, SOL_SOCKET, SO_RCVBUF, &bytes, 4), 0);
    assert_int_equal(strait_setsockopt(s, listener, SOL_SOCKET, SO_REUSEADDR, &on, 4), 0);
    assert_int_equal(strait_setsockopt(s, listener, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)),
                     0);
    wire_set_option(s, listener, SOL_SOCKET, SO_KEEPALIVE, 1);
    wire_set_option(s, listener, IPPROTO_IP, IP_TTL, 9);
    wire_set_option(s, listener, IPPROTO_IP, IP_TOS, 0x20);
    wire_set_option(s, listener, IPPROTO_TCP, TCP_KEEPIDLE, 11);
    wire_set_option(s, listener, IPPROTO_TCP, TCP_KEEPINTVL, 12);
    wire_set_option(s, listener, IPPROTO_TCP, TCP_KEEPCNT, 13);
    wire_set_option(s, listener, IPPROTO_TCP, TCP_CORK, 1);
    wire_set_option(s, listener, IPPROTO_TCP, TCP_USER_TIMEOUT, 14);
    wire_established(w, listener, &client, &server);
    assert_int_equal(wire_option(s, server, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(wire_option(s, server, IPPROTO_IP, IP_TTL), 9);
    assert_int_equal(wire_option(s, server, IPPROTO_IP, IP_TOS), 0x20);
    assert_int_equal(wire_option(s, server, IPPROTO_TCP, TCP_KEEPIDLE), 11);
    assert_int_equal(wire_option(s, server, IPPROTO_TCP, TCP_KEEPINTVL), 12);
    assert_int_equal(wire_option(s, server, IPPROTO_TCP, TCP_KEEPCNT), 13);
    assert_int_equal(wire_option(s, server, IPPROTO_TCP, TCP_CORK), 1);
    assert_int_equal(wire_option(s, server, IPPROTO_TCP, TCP_USER_TIMEOUT), 14);
    assert_int_equal(wire_option(s, server, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(wire_option(s, server, SOL_SOCKET, SO_SNDBUF), 20000);
    assert_int_equal(wire_option(s, server, SOL_SOCKET, SO_RCVBUF), 20000);
    assert_int_equal(wire_option(s, server, SOL_SOCKET, SO_REUSEADDR), 1);
    assert_int_equal(wire_option(s, server, SOL_SOCKET, SO_ACCEPTCONN), 0);

    /* The limit is the connection's too: a send takes no more. */
    static const char much[200000];
    assert_in_range(strait_send(s, server, much, sizeof(much), 0), 1, 20000);
    assert_int_equal(strait_close(s, server), 0);
    wire_run(w);
    char bytes_read[16];
    assert_errno(strait_recv(w->left, client, bytes_read, sizeof(bytes_read), 0), ECONNRESET);
}

static void listener_can_be_shut_down_and_listen_again(void **state)
{
    struct wire *w = *state;
    int listener = wire_listener(w), client = wire_stream(w->left, 0);
    assert_int_equal(strait_shutdown(w->right, listener, SHUT_WR), 0);
    assert_errno(strait_accept(w->right, listener, NULL, NULL), EAGAIN);
    assert_int_equal(strait_shutdown(w->right, listener, SHUT_RD), 0);
    assert_errno(strait_accept(w->right, listener, NULL, NULL), EINVAL);
    assert_errno(wire_connect(w, client, WIRE_PORT), ECONNREFUSED);
    assert_int_equal(strait_listen(w->right, listener, 1), 0);
    assert_int_equal(wire_connect(w, client, WIRE_PORT), 0);
}

static void port_of_a_closed_listener_is_free_while_its_connections_live(void **state)
{
    struct wire *w = *state;
    int listener = wire_listener(w), client, server;
    wire_established(w, listener, &client, &server);
    assert_int_equal(strait_close(w->right, listener), 0);
    wire_listener(w);
    wire_assert_carries(w, client, server);
}

/* ---- Ping sockets ---- */

/* The identifier stands in the message and is the local port, as in Linux's ping sockets. */
static void a_ping_socket_sends_echo_requests_and_gets_the_replies(void **state)
{
    struct wire *w = *state;
    uint8_t request[12] = {8, 0, 0, 0, 0, 0, 0, 7, 'd', 'a', 't', 'a'}, reply[64];
    struct sockaddr_in peer = pair_address(1, 0), from;
    socklen_t length = sizeof(from);
    int fd = strait_socket(w->left, AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, IPPROTO_ICMP);
    assert_int_equal(wire_option(w->left, fd, SOL_SOCKET, SO_PROTOCOL), IPPROTO_ICMP);
    assert_int_equal(wire_option(w->left, fd, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);

    assert_int_equal(strait_sendto(w->left, fd, request, sizeof(request), 0,
                                   (struct sockaddr *)&peer, sizeof(peer)),
                     sizeof(request));
    uint16_t id = ntohs(wire_name(w->left, fd).sin_port);
    assert_true(id != 0);
    wire_run(w);
    assert_int_equal(
        strait_recvfrom(w->left, fd, reply, sizeof(reply), 0, (struct sockaddr *)&from, &length),
        sizeof(request));
    assert_int_equal(reply[0], 0);
    assert_int_equal(reply[4] << 8 | reply[5], id);
    assert_memory_equal(reply + 6, request + 6, 6);
    assert_int_equal(from.sin_addr.s_addr, peer.sin_addr.s_addr);
    assert_int_equal(from.sin_port, 0);
}

static void a_host_pings_itself(void **state)
{
    struct wire *w = *state;
    uint8_t message[8] = {8};
    int fd = strait_socket(w->left, AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, IPPROTO_ICMP);
    assert_int_equal(wire_connect_to(w->left, fd, INADDR_LOOPBACK, 0), 0);
    assert_int_equal(strait_send(w->left, fd, message, sizeof(message), 0), 8);
    wire_run(w);
    assert_int_equal(strait_recv(w->left, fd, message, sizeof(message), 0), 8);
    assert_int_equal(message[0], 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, wire_setup, wire_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(socket_refuses_what_it_does_not_know),
        TEST(every_call_refuses_a_stale_descriptor),
        cmocka_unit_test(number_comes_back_only_when_all_others_were_used),
        cmocka_unit_test(limit_of_sockets_is_emfile_and_ends_with_a_close),
        TEST(table_grows_past_its_first_size),
        TEST(bind_refuses_bad_addresses),
        TEST(bound_address_and_port_are_the_sockets_name),
        TEST(port_is_taken_once_for_each_protocol_and_given_back),
        TEST(bind_to_port_0_takes_one_of_the_range),
        TEST(name_is_cut_to_the_room_and_its_length_is_told),
        TEST(listen_is_for_streams_without_connection),
        TEST(listen_without_bind_takes_a_port),
        TEST(accept_refuses_what_does_not_listen),
        TEST(accept_gives_connections_in_order_with_their_peers),
        TEST(blocking_accept_waits_for_a_connection),
        cmocka_unit_test(accept_without_a_free_descriptor_leaves_the_connection_waiting),
        TEST(accepted_socket_inherits_the_settings_of_its_listener),
        TEST(listener_can_be_shut_down_and_listen_again),
        TEST(port_of_a_closed_listener_is_free_while_its_connections_live),
        TEST(a_ping_socket_sends_echo_requests_and_gets_the_replies),
        TEST(a_host_pings_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
