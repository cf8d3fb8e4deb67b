/* SPDX-License-Identifier: MIT */
/*
 * Joining and ending connections. The errno values are POSIX's; where POSIX leaves a choice they
 * are those that the same calls returned on Linux 6.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire.h"

#define UNUSED_PORT 9 /* nobody listens there */

static int disconnect(struct strait *stack, int fd)
{
    struct sockaddr name = {.sa_family = AF_UNSPEC};
    return strait_connect(stack, fd, &name, sizeof(name));
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
        assert_errno(wire_connect_to(w->left, fds[i], 0x0a000002, 0), EINVAL);
    }
    assert_errno(wire_connect_to(w->left, fd, 0xe0000001, 80), ENETUNREACH); /* multicast */
    assert_errno(wire_connect_to(w->left, fd, 0xffffffff, 80), ENETUNREACH);
    assert_int_equal(pair_packets(w->pair, 0), 0);
}

static void connect_without_a_route_is_enetunreach(void **state)
{
    (void)state;
    struct strait_config config;
    strait_config_init(&config);
    struct strait *alone = strait_new(&config, NULL);
    int fd = wire_stream(alone, SOCK_NONBLOCK), udp = wire_datagram(alone, 0, 0);
    assert_errno(wire_connect_to(alone, fd, 0x0a000002, 80), ENETUNREACH);
    assert_errno(wire_connect_to(alone, udp, 0x0a000002, 80), ENETUNREACH);
    strait_free(alone);
}

static void nonblocking_connect_tells_how_far_it_is(void **state)
{
    struct wire *w = *state;
    int listener = wire_listener(w), fd = wire_stream(w->left, SOCK_NONBLOCK);
    struct sockaddr_in peer;
    assert_errno(wire_connect(w, fd, WIRE_PORT), EINPROGRESS);
    assert_errno(wire_connect(w, fd, WIRE_PORT), EALREADY);
    assert_errno(wire_peer(w->left, fd, &peer), ENOTCONN);
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
    assert_int_equal(wire_peer(w->left, fd, &peer), 0);
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
    assert_errno(wire_peer(w->left, fd, &peer), ENOTCONN);
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
    assert_int_equal(wire_peer(w->right, server, &peer), 0);
    assert_int_equal(peer.sin_port, htons(777));
    assert_int_equal(peer.sin_addr.s_addr, htonl(0x0a000001));
    assert_int_equal(wire_name(w->left, fd).sin_addr.s_addr, htonl(0x0a000001));
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
    assert_errno(wire_peer(w->left, fd, &peer), ENOTCONN);
    assert_int_equal(wire_connect(w, fd, 53), 0);
    assert_int_equal(wire_peer(w->left, fd, &peer), 0);
    assert_int_equal(peer.sin_addr.s_addr, htonl(0x0a000002));
    assert_int_equal(peer.sin_port, htons(53));
    struct sockaddr_in local = wire_name(w->left, fd);
    assert_int_equal(local.sin_addr.s_addr, htonl(0x0a000001));
    assert_in_range(ntohs(local.sin_port), 32768, 60999);
    assert_int_equal(wire_connect(w, fd, 54), 0);
    assert_int_equal(disconnect(w->left, fd), 0);
    assert_errno(wire_peer(w->left, fd, &peer), ENOTCONN);
    assert_errno(strait_send(w->left, fd, "x", 1, 0), EDESTADDRREQ);
    assert_int_equal(wire_name(w->left, fd).sin_addr.s_addr, htonl(INADDR_ANY));
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
    assert_errno(wire_peer(w->left, client, &peer), ENOTCONN);
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
    wire_assert_carries(w, client, server);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, wire_setup, wire_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
