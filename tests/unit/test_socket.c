/* SPDX-License-Identifier: MIT */
/*
 * Making, naming, joining and ending sockets, and their options. The errno values are POSIX's;
 * where POSIX leaves a choice they are those that the same calls returned on Linux 6.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <netinet/tcp.h>
#include <string.h>

#include "wire.h"

#define UNUSED_PORT 9 /* nobody listens there */

static struct sockaddr_in address(uint32_t host, uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(host)};
}

static int bind_to(struct strait *stack, int fd, uint32_t host, uint16_t port)
{
    struct sockaddr_in name = address(host, port);
    return strait_bind(stack, fd, (struct sockaddr *)&name, sizeof(name));
}

static int connect_to(struct strait *stack, int fd, uint32_t host, uint16_t port)
{
    struct sockaddr_in name = address(host, port);
    return strait_connect(stack, fd, (struct sockaddr *)&name, sizeof(name));
}

static int disconnect(struct strait *stack, int fd)
{
    struct sockaddr name = {.sa_family = AF_UNSPEC};
    return strait_connect(stack, fd, &name, sizeof(name));
}

static struct sockaddr_in name_of(struct strait *stack, int fd)
{
    struct sockaddr_in name;
    socklen_t length = sizeof(name);
    assert_int_equal(strait_getsockname(stack, fd, (struct sockaddr *)&name, &length), 0);
    assert_int_equal(length, sizeof(name));
    assert_int_equal(name.sin_family, AF_INET);
    return name;
}

static int peer_of(struct strait *stack, int fd, struct sockaddr_in *name)
{
    socklen_t length = sizeof(*name);
    return strait_getpeername(stack, fd, (struct sockaddr *)name, &length);
}

static void set_int(struct strait *s, int fd, int level, int name, int value)
{
    assert_int_equal(strait_setsockopt(s, fd, level, name, &value, sizeof(value)), 0);
    assert_int_equal(wire_option(s, fd, level, name), value);
}

static void refuse_int(struct strait *s, int fd, int name, int value)
{
    assert_errno(strait_setsockopt(s, fd, IPPROTO_TCP, name, &value, sizeof(value)), EINVAL);
}

/* Sends 2 bytes and looks at them at the other end. */
static void assert_carries(struct wire *w, int client, int server)
{
    char bytes[8];
    assert_int_equal(strait_send(w->left, client, "hi", 2, 0), 2);
    wire_run(w);
    assert_int_equal(strait_recv(w->right, server, bytes, sizeof(bytes), 0), 2);
    assert_memory_equal(bytes, "hi", 2);
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
    struct sockaddr_in name = address(INADDR_ANY, 80);
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
        struct sockaddr_in name = name_of(w->left, fd);
        assert_int_equal(name.sin_port, 0);
        assert_int_equal(name.sin_addr.s_addr, htonl(INADDR_ANY));
        assert_int_equal(bind_to(w->left, fd, 0x0a000001, 80), 0);
        name = name_of(w->left, fd);
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
        assert_in_range(ntohs(name_of(w->left, fds[i]).sin_port), 32768, 60999);
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
    uint16_t port = ntohs(name_of(w->right, listener).sin_port);
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
        struct sockaddr_in local = name_of(w->left, clients[i]);
        assert_memory_equal(&peer, &local, sizeof(peer));
        assert_int_equal(peer_of(w->right, server, &other), 0);
        assert_memory_equal(&other, &local, sizeof(other));
        assert_int_equal(peer_of(w->left, clients[i], &other), 0);
        local = name_of(w->right, server);
        assert_memory_equal(&other, &local, sizeof(other));
        assert_int_equal(local.sin_port, htons(WIRE_PORT));
        assert_carries(w, clients[i], server);
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
    assert_carries(w, client, server);

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
    assert_carries(w, client, server);
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
    set_int(s, listener, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_int(s, listener, IPPROTO_IP, IP_TTL, 9);
    set_int(s, listener, IPPROTO_IP, IP_TOS, 0x20);
    set_int(s, listener, IPPROTO_TCP, TCP_KEEPIDLE, 11);
    set_int(s, listener, IPPROTO_TCP, TCP_KEEPINTVL, 12);
    set_int(s, listener, IPPROTO_TCP, TCP_KEEPCNT, 13);
    set_int(s, listener, IPPROTO_TCP, TCP_CORK, 1);
    set_int(s, listener, IPPROTO_TCP, TCP_USER_TIMEOUT, 14);
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
    assert_carries(w, client, server);
}

/* ---- connect ---- */

static void connect_refuses_bad_addresses(void **state)
{
    struct wire *w = *state;
    struct sockaddr_in name = pair_address(1, WIRE_PORT);
    int fd = wire_stream(w->left, SOCK_NONBLOCK), udp = wire_datagram(w->left, 0, 0);
    int fds[] = {fd, udp};
    for (int i = 0; i < 2; i++) {
        name.sin_family = AF_INET;
        assert_errno(strait_connect(w->left, fds[i], (struct sockaddr *)&name, 1), EINVAL);
        assert_errno(strait_connect(w->left, fds[i], (struct sockaddr *)&name, 15), EINVAL);
        name.sin_family = AF_INET6;
        assert_errno(strait_connect(w->left, fds[i], (struct sockaddr *)&name, sizeof(name)),
                     EAFNOSUPPORT);
        assert_errno(connect_to(w->left, fds[i], 0x0a000002, 0), EINVAL);
    }
    assert_errno(connect_to(w->left, fd, 0xe0000001, 80), ENETUNREACH); /* multicast */
    assert_errno(connect_to(w->left, fd, 0xffffffff, 80), ENETUNREACH);
    assert_int_equal(pair_packets(w->pair, 0), 0);
}

static void connect_without_a_route_is_enetunreach(void **state)
{
    (void)state;
    struct strait_config config;
    strait_config_init(&config);
    struct strait *alone = strait_new(&config, NULL);
    int fd = wire_stream(alone, SOCK_NONBLOCK), udp = wire_datagram(alone, 0, 0);
    assert_errno(connect_to(alone, fd, 0x0a000002, 80), ENETUNREACH);
    assert_errno(connect_to(alone, udp, 0x0a000002, 80), ENETUNREACH);
    strait_free(alone);
}

static void nonblocking_connect_tells_how_far_it_is(void **state)
{
    struct wire *w = *state;
    int listener = wire_listener(w), fd = wire_stream(w->left, SOCK_NONBLOCK);
    struct sockaddr_in peer;
    assert_errno(wire_connect(w, fd, WIRE_PORT), EINPROGRESS);
    assert_errno(wire_connect(w, fd, WIRE_PORT), EALREADY);
    assert_errno(peer_of(w->left, fd, &peer), ENOTCONN);
    assert_errno(strait_send(w->left, fd, "x", 1, 0), EAGAIN);
    assert_errno(strait_recv(w->left, fd, &peer, 1, 0), EAGAIN);
    assert_int_equal(wire_events(w->left, fd, POLLIN | POLLOUT), 0);
    assert_errno(strait_listen(w->left, fd, 1), EINVAL);
    assert_errno(wire_bind(w->left, fd, 80), EINVAL);
    wire_run(w);
    assert_int_equal(wire_events(w->left, fd, POLLIN | POLLOUT), POLLOUT);
    assert_int_equal(wire_option(w->left, fd, SOL_SOCKET, SO_ERROR), 0);
    assert_int_equal(wire_connect(w, fd, WIRE_PORT), 0);
    assert_errno(wire_connect(w, fd, WIRE_PORT), EISCONN);
    assert_int_equal(peer_of(w->left, fd, &peer), 0);
    assert_int_equal(peer.sin_port, htons(WIRE_PORT));
    assert_errno(strait_connect(w->right, listener, (struct sockaddr *)&peer, sizeof(peer)),
                 EISCONN);
}

static void refused_connect_is_told_once_and_can_be_tried_again(void **state)
{
    struct wire *w = *state;
    int fd = wire_stream(w->left, SOCK_NONBLOCK);
    struct sockaddr_in peer;
    assert_errno(wire_connect(w, fd, WIRE_PORT), EINPROGRESS);
    wire_run(w);
    assert_true(wire_events(w->left, fd, 0) & POLLERR);
    assert_true(wire_events(w->left, fd, 0) & POLLHUP);
    assert_errno(peer_of(w->left, fd, &peer), ENOTCONN);
    assert_errno(wire_connect(w, fd, WIRE_PORT), ECONNREFUSED);
    assert_int_equal(wire_events(w->left, fd, 0), POLLHUP);

    assert_errno(wire_connect(w, fd, WIRE_PORT), EINPROGRESS);
    wire_run(w);
    assert_int_equal(wire_option(w->left, fd, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
    assert_int_equal(wire_option(w->left, fd, SOL_SOCKET, SO_ERROR), 0);
    assert_errno(wire_connect(w, fd, WIRE_PORT), ECONNABORTED);

    wire_listener(w);
    assert_errno(wire_connect(w, fd, WIRE_PORT), EINPROGRESS);
    wire_run(w);
    assert_int_equal(wire_connect(w, fd, WIRE_PORT), 0);
}

static void blocking_connect_returns_connected_or_refused(void **state)
{
    struct wire *w = *state;
    wire_listener(w);
    int fd = wire_stream(w->left, 0);
    assert_errno(wire_connect(w, fd, UNUSED_PORT), ECONNREFUSED);
    assert_int_equal(wire_connect(w, fd, WIRE_PORT), 0);
    assert_errno(wire_connect(w, fd, WIRE_PORT), EISCONN);
}

static bool lose(void *context, int from, const uint8_t *packet, size_t length)
{
    (void)context, (void)from, (void)packet, (void)length;
    return false;
}

static void connect_to_silence_times_out(void **state)
{
    struct wire *w = *state;
    int fd = wire_stream(w->left, 0);
    pair_filter(w->pair, lose, NULL);
    assert_errno(wire_connect(w, fd, WIRE_PORT), ETIMEDOUT);
}

static void interrupted_connect_goes_on(void **state)
{
    struct wire *w = *state;
    wire_listener(w);
    int fd = wire_stream(w->left, 0);
    wire_interrupt(w, true);
    assert_errno(wire_connect(w, fd, WIRE_PORT), EINTR);
    assert_errno(wire_connect(w, fd, WIRE_PORT), EINTR);
    wire_interrupt(w, false);
    wire_run(w);
    assert_int_equal(wire_connect(w, fd, WIRE_PORT), 0);
    assert_errno(wire_connect(w, fd, WIRE_PORT), EISCONN);
}

static void blocking_connect_that_cannot_wait_does_not_begin(void **state)
{
    struct wire *w = *state;
    int fd = wire_stream(w->left, 0);
    pair_env(w->pair)->wait = NULL;
    assert_errno(wire_connect(w, fd, WIRE_PORT), EAGAIN);
    wire_run(w);
    assert_int_equal(pair_packets(w->pair, 0), 0);
    assert_int_equal(wire_bind(w->left, fd, 80), 0);
}

static void bound_port_is_where_a_connection_comes_from(void **state)
{
    struct wire *w = *state;
    int listener = wire_listener(w), fd = wire_stream(w->left, 0);
    struct sockaddr_in peer;
    assert_int_equal(wire_bind(w->left, fd, 777), 0);
    assert_int_equal(wire_connect(w, fd, WIRE_PORT), 0);
    wire_run(w);
    int server = strait_accept(w->right, listener, NULL, NULL);
    assert_int_equal(peer_of(w->right, server, &peer), 0);
    assert_int_equal(peer.sin_port, htons(777));
    assert_int_equal(peer.sin_addr.s_addr, htonl(0x0a000001));
    assert_int_equal(name_of(w->left, fd).sin_addr.s_addr, htonl(0x0a000001));
}

static void unspecified_address_resets_a_stream_and_frees_it_for_another(void **state)
{
    struct wire *w = *state;
    int listener = wire_listener(w), client, server;
    char byte;
    wire_established(w, listener, &client, &server);
    assert_int_equal(disconnect(w->left, client), 0);
    wire_run(w);
    assert_errno(strait_recv(w->right, server, &byte, 1, 0), ECONNRESET);
    assert_errno(strait_recv(w->left, client, &byte, 1, 0), ENOTCONN);
    assert_errno(wire_connect(w, client, WIRE_PORT), EINPROGRESS);
    wire_run(w);
    assert_int_equal(wire_connect(w, client, WIRE_PORT), 0);
}

static void datagram_socket_connects_and_disconnects(void **state)
{
    struct wire *w = *state;
    int fd = wire_datagram(w->left, 0, SOCK_NONBLOCK);
    struct sockaddr_in peer;
    assert_errno(peer_of(w->left, fd, &peer), ENOTCONN);
    assert_int_equal(wire_connect(w, fd, 53), 0);
    assert_int_equal(peer_of(w->left, fd, &peer), 0);
    assert_int_equal(peer.sin_addr.s_addr, htonl(0x0a000002));
    assert_int_equal(peer.sin_port, htons(53));
    struct sockaddr_in local = name_of(w->left, fd);
    assert_int_equal(local.sin_addr.s_addr, htonl(0x0a000001));
    assert_in_range(ntohs(local.sin_port), 32768, 60999);
    assert_int_equal(wire_connect(w, fd, 54), 0);
    assert_int_equal(disconnect(w->left, fd), 0);
    assert_errno(peer_of(w->left, fd, &peer), ENOTCONN);
    assert_errno(strait_send(w->left, fd, "x", 1, 0), EDESTADDRREQ);
    assert_int_equal(name_of(w->left, fd).sin_addr.s_addr, htonl(INADDR_ANY));
}

/* ---- shutdown, close ---- */

static void shutdown_needs_a_connection(void **state)
{
    struct wire *w = *state;
    int listener = wire_listener(w), client, server;
    int fresh = wire_stream(w->left, 0), udp = wire_datagram(w->left, 0, 0);
    assert_errno(strait_shutdown(w->left, fresh, SHUT_RDWR), ENOTCONN);
    assert_errno(strait_shutdown(w->left, udp, SHUT_RDWR), ENOTCONN);
    assert_errno(strait_shutdown(w->left, fresh, 3), EINVAL);
    assert_errno(strait_shutdown(w->left, fresh, -1), EINVAL);
    wire_established(w, listener, &client, &server);
    wire_reset(w, w->right, server);
    assert_errno(strait_shutdown(w->left, client, SHUT_WR), ENOTCONN);
    assert_errno(strait_shutdown(w->left, client, SHUT_RD), ENOTCONN);
    struct sockaddr_in peer;
    assert_errno(peer_of(w->left, client, &peer), ENOTCONN);
}

static void shutdown_while_connecting_gives_it_up(void **state)
{
    struct wire *w = *state;
    int fd = wire_stream(w->left, SOCK_NONBLOCK);
    assert_errno(wire_connect(w, fd, WIRE_PORT), EINPROGRESS);
    assert_int_equal(strait_shutdown(w->left, fd, SHUT_RDWR), 0);
    assert_errno(strait_shutdown(w->left, fd, SHUT_RDWR), ENOTCONN);
    wire_listener(w);
    assert_errno(wire_connect(w, fd, WIRE_PORT), EINPROGRESS);
    wire_run(w);
    assert_int_equal(wire_connect(w, fd, WIRE_PORT), 0);
}

static void half_closed_connection_still_carries_the_other_way(void **state)
{
    struct wire *w = *state;
    int listener = wire_listener(w), client, server;
    char byte;
    wire_established(w, listener, &client, &server);
    assert_int_equal(strait_shutdown(w->right, server, SHUT_WR), 0);
    assert_int_equal(strait_shutdown(w->right, server, SHUT_WR), 0);
    wire_run(w);
    assert_int_equal(strait_recv(w->left, client, &byte, 1, 0), 0);
    assert_errno(strait_send(w->right, server, "x", 1, 0), EPIPE);
    assert_errno(strait_send(w->right, server, "", 0, 0), EPIPE);
    assert_carries(w, client, server);
}

static void shutdown_for_reading_ends_the_stream(void **state)
{
    struct wire *w = *state;
    int listener = wire_listener(w), client, server;
    char byte;
    wire_established(w, listener, &client, &server);
    assert_int_equal(strait_shutdown(w->right, server, SHUT_RD), 0);
    assert_int_equal(strait_recv(w->right, server, &byte, 1, 0), 0);
    assert_true(wire_events(w->right, server, POLLIN) & POLLIN);
    assert_int_equal(strait_send(w->right, server, "x", 1, 0), 1);
}

static void close_ends_the_stream_in_order(void **state)
{
    struct wire *w = *state;
    int listener = wire_listener(w), client, server;
    char bytes[8];
    wire_established(w, listener, &client, &server);
    assert_int_equal(strait_send(w->left, client, "last", 4, 0), 4);
    assert_int_equal(strait_close(w->left, client), 0);
    wire_run(w);
    assert_int_equal(strait_recv(w->right, server, bytes, sizeof(bytes), 0), 4);
    assert_int_equal(strait_recv(w->right, server, bytes, sizeof(bytes), 0), 0);
    assert_int_equal(strait_close(w->right, server), 0);
    wire_run(w);
    assert_int_equal(pair_counter(w->pair, 0, "tcp_resets_out"), 0);
    assert_int_equal(pair_counter(w->pair, 1, "tcp_resets_out"), 0);
}

static void close_with_linger_0_resets(void **state)
{
    struct wire *w = *state;
    int listener = wire_listener(w), client, server;
    char byte;
    wire_established(w, listener, &client, &server);
    wire_reset(w, w->left, client);
    assert_true(wire_events(w->right, server, 0) & POLLERR);
    assert_errno(strait_recv(w->right, server, &byte, 1, 0), ECONNRESET);
    assert_int_equal(strait_recv(w->right, server, &byte, 1, 0), 0);
    assert_errno(strait_send(w->right, server, &byte, 1, 0), EPIPE);
}

static bool count_packet(void *context, int from, const uint8_t *packet, size_t length)
{
    (void)from, (void)packet, (void)length;
    ++*(int *)context;
    return true;
}

static void freed_stack_ends_every_kind_of_socket_without_a_word(void **state)
{
    (void)state;
    struct wire *w = wire_new(NULL);
    int listener = wire_listener(w), udp = wire_datagram(w->right, 53, 0), client, server;
    int connecting = wire_stream(w->left, SOCK_NONBLOCK);
    int waiting = wire_stream(w->left, SOCK_NONBLOCK);
    struct sockaddr_in to = pair_address(1, 53);
    assert_int_equal(wire_bind(w->left, wire_stream(w->left, 0), 80), 0);
    wire_established(w, listener, &client, &server);
    assert_int_equal(strait_send(w->left, client, "unread", 6, 0), 6);
    assert_errno(wire_connect(w, waiting, WIRE_PORT), EINPROGRESS);
    assert_int_equal(strait_sendto(w->left, wire_datagram(w->left, 0, 0), "x", 1, 0,
                                   (struct sockaddr *)&to, sizeof(to)),
                     1);
    wire_run(w);
    assert_int_equal(wire_events(w->right, udp, POLLIN), POLLIN);
    assert_int_equal(wire_events(w->right, server, POLLIN), POLLIN);
    assert_int_equal(wire_events(w->right, listener, POLLIN), POLLIN);
    assert_errno(wire_connect(w, connecting, WIRE_PORT), EINPROGRESS);

    int packets = 0;
    pair_filter(w->pair, count_packet, &packets);
    wire_free(w);
    assert_int_equal(packets, 0);
}

/* ---- Options ---- */

static void options_say_what_a_socket_is(void **state)
{
    struct wire *w = *state;
    int listener = wire_listener(w), udp = wire_datagram(w->right, 0, 0);
    struct strait *s = w->right;
    assert_int_equal(wire_option(s, listener, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
    assert_int_equal(wire_option(s, listener, SOL_SOCKET, SO_DOMAIN), AF_INET);
    assert_int_equal(wire_option(s, listener, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
    assert_int_equal(wire_option(s, listener, SOL_SOCKET, SO_ACCEPTCONN), 1);
    assert_int_equal(wire_option(s, listener, SOL_SOCKET, SO_ERROR), 0);
    assert_int_equal(wire_option(s, udp, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
    assert_int_equal(wire_option(s, udp, SOL_SOCKET, SO_PROTOCOL), IPPROTO_UDP);
    assert_int_equal(wire_option(s, udp, SOL_SOCKET, SO_ACCEPTCONN), 0);
    assert_int_equal(wire_option(s, wire_stream(s, 0), SOL_SOCKET, SO_ACCEPTCONN), 0);
}

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
    uint16_t id = ntohs(name_of(w->left, fd).sin_port);
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
    assert_int_equal(connect_to(w->left, fd, INADDR_LOOPBACK, 0), 0);
    assert_int_equal(strait_send(w->left, fd, message, sizeof(message), 0), 8);
    wire_run(w);
    assert_int_equal(strait_recv(w->left, fd, message, sizeof(message), 0), 8);
    assert_int_equal(message[0], 0);
}

static void flags_and_sizes_are_kept(void **state)
{
    struct wire *w = *state;
    struct strait *s = w->left;
    int fd = wire_stream(s, 0), on = 5, bytes = 100000, small = 1, huge = -1;
    assert_int_equal(wire_option(s, fd, IPPROTO_TCP, TCP_NODELAY), 0);
    assert_int_equal(wire_option(s, fd, SOL_SOCKET, SO_REUSEADDR), 0);
    assert_int_equal(wire_option(s, fd, SOL_SOCKET, SO_SNDBUF), 4 << 20);
    assert_int_equal(strait_setsockopt(s, fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
    assert_int_equal(strait_setsockopt(s, fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    assert_int_equal(strait_setsockopt(s, fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
    assert_int_equal(wire_option(s, fd, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(wire_option(s, fd, SOL_SOCKET, SO_REUSEADDR), 1);
    assert_int_equal(wire_option(s, fd, SOL_SOCKET, SO_SNDBUF), 100000);
    assert_int_equal(strait_setsockopt(s, fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(int)), 0);
    assert_int_equal(wire_option(s, fd, SOL_SOCKET, SO_RCVBUF), 2048);
    assert_int_equal(strait_setsockopt(s, fd, SOL_SOCKET, SO_RCVBUF, &huge, sizeof(int)), 0);
    assert_int_equal(wire_option(s, fd, SOL_SOCKET, SO_RCVBUF), 1 << 30);
}

static void keepalive_is_off_at_first_and_its_numbers_have_ranges(void **state)
{
    struct wire *w = *state;
    struct strait *s = w->left;
    int fd = wire_stream(s, 0);
    assert_int_equal(wire_option(s, fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    assert_int_equal(wire_option(s, fd, IPPROTO_TCP, TCP_KEEPIDLE), 7200);
    assert_int_equal(wire_option(s, fd, IPPROTO_TCP, TCP_KEEPINTVL), 75);
    assert_int_equal(wire_option(s, fd, IPPROTO_TCP, TCP_KEEPCNT), 9);
    static const struct {
        int name, limit;
    } numbers[] = {{TCP_KEEPIDLE, 32767}, {TCP_KEEPINTVL, 32767}, {TCP_KEEPCNT, 127}};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        refuse_int(s, fd, numbers[i].name, 0);
        refuse_int(s, fd, numbers[i].name, -1);
        refuse_int(s, fd, numbers[i].name, numbers[i].limit + 1);
        set_int(s, fd, IPPROTO_TCP, numbers[i].name, numbers[i].limit);
        set_int(s, fd, IPPROTO_TCP, numbers[i].name, 1);
    }
    set_int(s, fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_int(s, fd, SOL_SOCKET, SO_KEEPALIVE, 0);
    set_int(s, wire_datagram(s, 0, 0), SOL_SOCKET, SO_KEEPALIVE, 1); /* as Linux */
}

static void ttl_and_tos_are_kept_for_streams_and_datagrams(void **state)
{
    struct wire *w = *state;
    struct strait *s = w->left;
    int fds[] = {wire_stream(s, 0), wire_datagram(s, 0, 0)};
    static const int bad_ttls[] = {0, 256, -2};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(wire_option(s, fds[i], IPPROTO_IP, IP_TTL), 64);
        assert_int_equal(wire_option(s, fds[i], IPPROTO_IP, IP_TOS), 0);
        set_int(s, fds[i], IPPROTO_IP, IP_TTL, 255);
        set_int(s, fds[i], IPPROTO_IP, IP_TTL, 1);
        set_int(s, fds[i], IPPROTO_IP, IP_TOS, 0xb8);
        for (size_t j = 0; j < 3; j++)
            assert_errno(strait_setsockopt(s, fds[i], IPPROTO_IP, IP_TTL, &bad_ttls[j], 4), EINVAL);
        assert_int_equal(wire_option(s, fds[i], IPPROTO_IP, IP_TTL), 1);
        int standard = -1, everything = 0xff;
        assert_int_equal(strait_setsockopt(s, fds[i], IPPROTO_IP, IP_TTL, &standard, 4), 0);
        assert_int_equal(wire_option(s, fds[i], IPPROTO_IP, IP_TTL), 64);
        assert_int_equal(strait_setsockopt(s, fds[i], IPPROTO_IP, IP_TOS, &everything, 4), 0);
        assert_errno(strait_setsockopt(s, fds[i], IPPROTO_IP, 9999, &standard, 4), ENOPROTOOPT);
    }
    assert_int_equal(wire_option(s, fds[0], IPPROTO_IP, IP_TOS), 0xfc); /* ECN is TCP's */
    assert_int_equal(wire_option(s, fds[1], IPPROTO_IP, IP_TOS), 0xff);
}

static void cork_and_user_timeout_are_kept(void **state)
{
    struct wire *w = *state;
    struct strait *s = w->left;
    int fd = wire_stream(s, 0);
    assert_int_equal(wire_option(s, fd, IPPROTO_TCP, TCP_CORK), 0);
    assert_int_equal(wire_option(s, fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
    set_int(s, fd, IPPROTO_TCP, TCP_CORK, 1);
    set_int(s, fd, IPPROTO_TCP, TCP_CORK, 0);
    set_int(s, fd, IPPROTO_TCP, TCP_USER_TIMEOUT, INT_MAX);
    set_int(s, fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 0);
    refuse_int(s, fd, TCP_USER_TIMEOUT, -1);
}

static void linger_is_kept(void **state)
{
    struct wire *w = *state;
    int fd = wire_stream(w->left, 0);
    struct linger linger = {.l_onoff = 1, .l_linger = 2};
    socklen_t length = sizeof(linger);
    assert_errno(strait_setsockopt(w->left, fd, SOL_SOCKET, SO_LINGER, &linger, 4), EINVAL);
    linger.l_linger = 0;
    assert_int_equal(strait_setsockopt(w->left, fd, SOL_SOCKET, SO_LINGER, &linger, length), 0);
    linger = (struct linger){.l_onoff = 7, .l_linger = 7};
    assert_int_equal(strait_getsockopt(w->left, fd, SOL_SOCKET, SO_LINGER, &linger, &length), 0);
    assert_int_equal(linger.l_onoff, 1);
    assert_int_equal(linger.l_linger, 0);
    linger = (struct linger){.l_onoff = 0, .l_linger = 9};
    assert_int_equal(strait_setsockopt(w->left, fd, SOL_SOCKET, SO_LINGER, &linger, length), 0);
    assert_int_equal(strait_getsockopt(w->left, fd, SOL_SOCKET, SO_LINGER, &linger, &length), 0);
    assert_int_equal(linger.l_onoff, 0);
}

static void unknown_and_read_only_options_are_enoprotoopt(void **state)
{
    struct wire *w = *state;
    struct strait *s = w->left;
    int fd = wire_stream(s, 0), udp = wire_datagram(s, 0, 0), value = 1;
    socklen_t length = sizeof(value);
    static const int read_only[] = {SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ACCEPTCONN, SO_ERROR};
    for (size_t i = 0; i < sizeof(read_only) / sizeof(read_only[0]); i++)
        assert_errno(strait_setsockopt(s, fd, SOL_SOCKET, read_only[i], &value, 4), ENOPROTOOPT);
    assert_errno(strait_setsockopt(s, fd, IPPROTO_TCP, TCP_INFO, &value, 4), ENOPROTOOPT);
    assert_errno(strait_setsockopt(s, fd, IPPROTO_TCP, 9999, &value, 4), ENOPROTOOPT);
    assert_errno(strait_setsockopt(s, fd, 9999, TCP_NODELAY, &value, 4), ENOPROTOOPT);
    assert_errno(strait_setsockopt(s, udp, IPPROTO_TCP, TCP_NODELAY, &value, 4), ENOPROTOOPT);
    assert_errno(strait_setsockopt(s, udp, IPPROTO_TCP, TCP_CORK, &value, 4), ENOPROTOOPT);
    assert_errno(strait_setsockopt(s, udp, IPPROTO_TCP, TCP_KEEPIDLE, &value, 4), ENOPROTOOPT);
    assert_errno(strait_getsockopt(s, fd, SOL_SOCKET, 9999, &value, &length), ENOPROTOOPT);
    assert_errno(strait_getsockopt(s, fd, IPPROTO_TCP, 9999, &value, &length), ENOPROTOOPT);
    assert_errno(strait_getsockopt(s, fd, 9999, 1, &value, &length), EOPNOTSUPP);
    assert_errno(strait_getsockopt(s, udp, IPPROTO_TCP, TCP_NODELAY, &value, &length), EOPNOTSUPP);
}

static void short_values_are_refused_to_set_and_cut_to_get(void **state)
{
    struct wire *w = *state;
    int fd = wire_stream(w->left, 0), value = 0x77777777;
    assert_errno(strait_setsockopt(w->left, fd, SOL_SOCKET, SO_REUSEADDR, &value, 3), EINVAL);
    assert_errno(strait_setsockopt(w->left, fd, IPPROTO_TCP, TCP_NODELAY, &value, 2), EINVAL);
    socklen_t length = 2;
    assert_int_equal(strait_getsockopt(w->left, fd, SOL_SOCKET, SO_TYPE, &value, &length), 0);
    assert_int_equal(length, 2);
    int16_t halves[2];
    memcpy(halves, &value, sizeof(value));
    assert_int_equal(halves[0], SOCK_STREAM);
    assert_int_equal(halves[1], 0x7777);
}

static void tcp_info_tells_the_state(void **state)
{
    struct wire *w = *state;
    int listener = wire_listener(w), client, server, fresh = wire_stream(w->left, 0);
    struct tcp_info info = {0};
    socklen_t length = sizeof(info);
    assert_int_equal(strait_getsockopt(w->left, fresh, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    assert_int_equal(length, sizeof(info));
    assert_int_equal(info.tcpi_state, TCP_CLOSE);
    assert_int_equal(strait_getsockopt(w->right, listener, IPPROTO_TCP, TCP_INFO, &info, &length),
                     0);
    assert_int_equal(info.tcpi_state, TCP_LISTEN);
    wire_established(w, listener, &client, &server);
    assert_int_equal(strait_getsockopt(w->left, client, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    assert_int_equal(info.tcpi_state, TCP_ESTABLISHED);
    length = 1;
    unsigned char cut[2] = {0, 0xee};
    assert_int_equal(strait_getsockopt(w->left, client, IPPROTO_TCP, TCP_INFO, cut, &length), 0);
    assert_int_equal(length, 1);
    assert_int_equal(cut[0], TCP_ESTABLISHED);
    assert_int_equal(cut[1], 0xee);
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
        TEST(connect_refuses_bad_addresses),
        cmocka_unit_test(connect_without_a_route_is_enetunreach),
        TEST(nonblocking_connect_tells_how_far_it_is),
        TEST(refused_connect_is_told_once_and_can_be_tried_again),
        TEST(blocking_connect_returns_connected_or_refused),
        TEST(connect_to_silence_times_out),
        TEST(interrupted_connect_goes_on),
        TEST(blocking_connect_that_cannot_wait_does_not_begin),
        TEST(bound_port_is_where_a_connection_comes_from),
        TEST(unspecified_address_resets_a_stream_and_frees_it_for_another),
        TEST(datagram_socket_connects_and_disconnects),
        TEST(shutdown_needs_a_connection),
        TEST(shutdown_while_connecting_gives_it_up),
        TEST(half_closed_connection_still_carries_the_other_way),
        TEST(shutdown_for_reading_ends_the_stream),
        TEST(close_ends_the_stream_in_order),
        TEST(close_with_linger_0_resets),
        cmocka_unit_test(freed_stack_ends_every_kind_of_socket_without_a_word),
        TEST(options_say_what_a_socket_is),
        TEST(a_ping_socket_sends_echo_requests_and_gets_the_replies),
        TEST(a_host_pings_itself),
        TEST(flags_and_sizes_are_kept),
        TEST(keepalive_is_off_at_first_and_its_numbers_have_ranges),
        TEST(ttl_and_tos_are_kept_for_streams_and_datagrams),
        TEST(cork_and_user_timeout_are_kept),
        TEST(linger_is_kept),
        TEST(unknown_and_read_only_options_are_enoprotoopt),
        TEST(short_values_are_refused_to_set_and_cut_to_get),
        TEST(tcp_info_tells_the_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
