/* SPDX-License-Identifier: MIT */
/*
 * The options of sockets. The errno values are POSIX's; where POSIX leaves a choice they are those
 * that the same calls returned on Linux 6.
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

static void refuse_int(struct strait *s, int fd, int name, int value)
{
    assert_errno(strait_setsockopt(s, fd, IPPROTO_TCP, name, &value, sizeof(value)), EINVAL);
}

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

static void flags_and_sizes_are_kept(void **state)
{
    struct wire *w = *state;
    struct strait *s = w->left;
    int fd = wire_stream(s, 0), on = 5, bytes = 100000, small = 1, huge = -1;
    assert_int_equal(wire_option(s, fd, IPPROTO_TCP, TCP_NODELAY), 0);
    assert_int_equal(wire_option(s, fd, SOL_SOCKET, SO_REUSEADDR), 0);
    assert_int_equal(wire_option(s, fd, SOL_SOCKET, SO_SNDBUF), 16 << 20);
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
        wire_set_option(s, fd, IPPROTO_TCP, numbers[i].name, numbers[i].limit);
        wire_set_option(s, fd, IPPROTO_TCP, numbers[i].name, 1);
    }
    wire_set_option(s, fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    wire_set_option(s, fd, SOL_SOCKET, SO_KEEPALIVE, 0);
    wire_set_option(s, wire_datagram(s, 0, 0), SOL_SOCKET, SO_KEEPALIVE, 1); /* as Linux */
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
        wire_set_option(s, fds[i], IPPROTO_IP, IP_TTL, 255);
        wire_set_option(s, fds[i], IPPROTO_IP, IP_TTL, 1);
        wire_set_option(s, fds[i], IPPROTO_IP, IP_TOS, 0xb8);
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
    wire_set_option(s, fd, IPPROTO_TCP, TCP_CORK, 1);
    wire_set_option(s, fd, IPPROTO_TCP, TCP_CORK, 0);
    wire_set_option(s, fd, IPPROTO_TCP, TCP_USER_TIMEOUT, INT_MAX);
    wire_set_option(s, fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 0);
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
        TEST(options_say_what_a_socket_is),
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
