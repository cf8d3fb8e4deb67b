/* SPDX-License-Identifier: MIT */
/* getsockopt and setsockopt. */
#include "posix.h"

#include <netinet/tcp.h>

static void options_of_no_descriptor_are_ebadf(const struct posix *p)
{
    int value = 1;
    socklen_t length = sizeof(value);

    expect_error(EBADF, p->getsockopt(NO_SUCH_FD, SOL_SOCKET, SO_TYPE, &value, &length));
    expect_error(EBADF, set_option(p, NO_SUCH_FD, SOL_SOCKET, SO_REUSEADDR, 1));
}

static void options_of_an_unknown_level_are_refused(const struct posix *p)
{
    int value = 1;
    socklen_t length = sizeof(value);
    int tcp = tcp_socket(p, 0), udp = udp_socket(p, 0);

    expect_error(EOPNOTSUPP, p->getsockopt(tcp, 999, 1, &value, &length));
    expect_error(ENOPROTOOPT, set_option(p, tcp, 999, 1, 1));
    expect_error(EOPNOTSUPP, p->getsockopt(udp, IPPROTO_TCP, TCP_NODELAY, &value, &length));
    expect_error(ENOPROTOOPT, set_option(p, udp, IPPROTO_TCP, TCP_NODELAY, 1));
}

static void options_of_an_unknown_name_are_enoprotoopt(const struct posix *p)
{
    int value = 1;
    socklen_t length = sizeof(value);
    int fd = tcp_socket(p, 0);

    expect_error(ENOPROTOOPT, p->getsockopt(fd, SOL_SOCKET, 9999, &value, &length));
    expect_error(ENOPROTOOPT, set_option(p, fd, SOL_SOCKET, 9999, 1));
    expect_error(ENOPROTOOPT, p->getsockopt(fd, IPPROTO_IP, 9999, &value, &length));
    expect_error(ENOPROTOOPT, set_option(p, fd, IPPROTO_IP, 9999, 1));
    expect_error(ENOPROTOOPT, p->getsockopt(fd, IPPROTO_TCP, 9999, &value, &length));
    expect_error(ENOPROTOOPT, set_option(p, fd, IPPROTO_TCP, 9999, 1));
}

static void options_at_nowhere_are_efault(const struct posix *p)
{
    int value;
    socklen_t length = sizeof(value);
    int fd = tcp_socket(p, 0);

    expect_error(EFAULT, p->setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, NULL, sizeof(value)));
    expect_error(EFAULT, p->getsockopt(fd, SOL_SOCKET, SO_TYPE, NULL, &length));
    expect_error(EFAULT, p->getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, NULL));
}

static void options_that_are_too_short_are_einval(const struct posix *p)
{
    int value = 1;
    int fd = tcp_socket(p, 0);

    expect_error(EINVAL, p->setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, 3));
    expect_error(EINVAL, p->setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, 3));
    expect_error(EINVAL, p->setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, 4));
}

static void options_of_a_negative_length_are_einval(const struct posix *p)
{
    int value = 1;
    socklen_t length = (socklen_t)-1;
    int fd = tcp_socket(p, 0);

    expect_error(EINVAL, p->getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &length));
    expect_error(EINVAL, p->setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, (socklen_t)-1));
}

static void options_are_cut_to_the_room_there_is(const struct posix *p)
{
    char value[8] = {9, 9, 9, 9, 9, 9, 9, 9};
    socklen_t length = 2;

    expect(0, p->getsockopt(tcp_socket(p, 0), SOL_SOCKET, SO_TYPE, value, &length));
    assert_int_equal(length, 2);
    assert_memory_equal(value, ((char[]){SOCK_STREAM, 0, 9, 9}), 4);
    length = sizeof(value);
    expect(0, p->getsockopt(tcp_socket(p, 0), SOL_SOCKET, SO_TYPE, value, &length));
    assert_int_equal(length, 4);
}

static void what_can_only_be_read_is_enoprotoopt_to_set(const struct posix *p)
{
    int fd = tcp_socket(p, 0);
    static const int names[] = {SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ACCEPTCONN, SO_ERROR};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        expect_error(ENOPROTOOPT, set_option(p, fd, SOL_SOCKET, names[i], 1));
}

static void a_socket_tells_what_it_is(const struct posix *p)
{
    uint16_t port;
    int tcp = listening(p, &port), udp = udp_socket(p, 0);

    expect(SOCK_STREAM, option(p, tcp, SOL_SOCKET, SO_TYPE));
    expect(SOCK_DGRAM, option(p, udp, SOL_SOCKET, SO_TYPE));
    expect(AF_INET, option(p, tcp, SOL_SOCKET, SO_DOMAIN));
    expect(IPPROTO_TCP, option(p, tcp, SOL_SOCKET, SO_PROTOCOL));
    expect(IPPROTO_UDP, option(p, udp, SOL_SOCKET, SO_PROTOCOL));
    expect(1, option(p, tcp, SOL_SOCKET, SO_ACCEPTCONN));
    expect(0, option(p, tcp_socket(p, 0), SOL_SOCKET, SO_ACCEPTCONN));
}

static void switches_are_off_and_can_be_turned_on(const struct posix *p)
{
    static const struct {
        int level, name;
    } switches[] = {
        {SOL_SOCKET, SO_REUSEADDR},
        {SOL_SOCKET, SO_KEEPALIVE},
        {IPPROTO_TCP, TCP_NODELAY},
        {IPPROTO_TCP, TCP_CORK},
    };
    int fd = tcp_socket(p, 0);

    for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++) {
        expect(0, option(p, fd, switches[i].level, switches[i].name));
        expect(0, set_option(p, fd, switches[i].level, switches[i].name, 7));
        expect(1, option(p, fd, switches[i].level, switches[i].name));
        expect(0, set_option(p, fd, switches[i].level, switches[i].name, 0));
        expect(0, option(p, fd, switches[i].level, switches[i].name));
    }
}

static void the_keepalive_has_its_limits(const struct posix *p)
{
    static const struct {
        int name, most;
    } limits[] = {{TCP_KEEPIDLE, 32767}, {TCP_KEEPINTVL, 32767}, {TCP_KEEPCNT, 127}};
    int fd = tcp_socket(p, 0);

    expect(7200, option(p, fd, IPPROTO_TCP, TCP_KEEPIDLE));
    expect(75, option(p, fd, IPPROTO_TCP, TCP_KEEPINTVL));
    expect(9, option(p, fd, IPPROTO_TCP, TCP_KEEPCNT));
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        expect_error(EINVAL, set_option(p, fd, IPPROTO_TCP, limits[i].name, 0));
        expect_error(EINVAL, set_option(p, fd, IPPROTO_TCP, limits[i].name, limits[i].most + 1));
        expect(0, set_option(p, fd, IPPROTO_TCP, limits[i].name, limits[i].most));
        expect(limits[i].most, option(p, fd, IPPROTO_TCP, limits[i].name));
    }
}

static void the_user_timeout_is_not_negative(const struct posix *p)
{
    int fd = tcp_socket(p, 0);

    expect(0, option(p, fd, IPPROTO_TCP, TCP_USER_TIMEOUT));
    expect_error(EINVAL, set_option(p, fd, IPPROTO_TCP, TCP_USER_TIMEOUT, -1));
    expect(0, set_option(p, fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 1500));
    expect(1500, option(p, fd, IPPROTO_TCP, TCP_USER_TIMEOUT));
}

static void the_ttl_has_its_limits(const struct posix *p)
{
    int fd = tcp_socket(p, 0), udp = udp_socket(p, 0);

    expect(64, option(p, fd, IPPROTO_IP, IP_TTL));
    expect_error(EINVAL, set_option(p, fd, IPPROTO_IP, IP_TTL, 0));
    expect_error(EINVAL, set_option(p, fd, IPPROTO_IP, IP_TTL, 256));
    expect_error(EINVAL, set_option(p, udp, IPPROTO_IP, IP_TTL, -2));
    expect(0, set_option(p, udp, IPPROTO_IP, IP_TTL, 255));
    expect(255, option(p, udp, IPPROTO_IP, IP_TTL));
    expect(0, set_option(p, udp, IPPROTO_IP, IP_TTL, -1));
    expect(64, option(p, udp, IPPROTO_IP, IP_TTL));
}

static void the_tos_of_a_stream_leaves_ecn_alone(const struct posix *p)
{
    int fd = tcp_socket(p, 0), udp = udp_socket(p, 0);

    expect(0, set_option(p, fd, IPPROTO_IP, IP_TOS, 0xbb));
    expect(0xb8, option(p, fd, IPPROTO_IP, IP_TOS));
    expect(0, set_option(p, udp, IPPROTO_IP, IP_TOS, 0xbb));
    expect(0xbb, option(p, udp, IPPROTO_IP, IP_TOS));
}

static void options_of_ip_may_be_a_byte(const struct posix *p)
{
    unsigned char value = 0x10;
    int fd = udp_socket(p, 0);

    expect(0, p->setsockopt(fd, IPPROTO_IP, IP_TOS, &value, 1));
    expect(0x10, option(p, fd, IPPROTO_IP, IP_TOS));
    socklen_t length = 1;
    value = 0;
    expect(0, p->getsockopt(fd, IPPROTO_IP, IP_TOS, &value, &length));
    assert_int_equal(length, 1);
    assert_int_equal(value, 0x10);
}

static void an_accepted_socket_inherits_its_settings(const struct posix *p)
{
    uint16_t port;
    int listener = listening(p, &port), client = tcp_socket(p, 0);
    struct sockaddr_in in = loopback(port);

    expect(0, set_option(p, listener, SOL_SOCKET, SO_KEEPALIVE, 1));
    expect(0, set_option(p, listener, IPPROTO_TCP, TCP_KEEPIDLE, 77));
    expect(0, set_option(p, listener, IPPROTO_TCP, TCP_NODELAY, 1));
    expect(0, set_option(p, listener, IPPROTO_IP, IP_TTL, 33));
    expect(0, p->connect(client, name_of(&in), sizeof(in)));
    int fd = p->accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    expect(1, option(p, fd, SOL_SOCKET, SO_KEEPALIVE));
    expect(77, option(p, fd, IPPROTO_TCP, TCP_KEEPIDLE));
    expect(1, option(p, fd, IPPROTO_TCP, TCP_NODELAY));
    expect(33, option(p, fd, IPPROTO_IP, IP_TTL));
    expect(0, option(p, fd, SOL_SOCKET, SO_ACCEPTCONN));
}

static void the_linger_is_read_back(const struct posix *p)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    socklen_t length = sizeof(linger);
    int fd = tcp_socket(p, 0);

    expect(0, p->setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
    expect(0, p->getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length));
    assert_int_equal(length, sizeof(linger));
    assert_int_equal(linger.l_onoff, 1);
    assert_int_equal(linger.l_linger, 0);
}

static void the_sizes_of_buffers_are_doubled(const struct posix *p)
{
    int fd = tcp_socket(p, 0);

    expect(0, set_option(p, fd, SOL_SOCKET, SO_RCVBUF, 10000));
    expect(20000, option(p, fd, SOL_SOCKET, SO_RCVBUF));
    expect(0, set_option(p, fd, SOL_SOCKET, SO_SNDBUF, 10000));
    expect(20000, option(p, fd, SOL_SOCKET, SO_SNDBUF));
}

static void the_sizes_of_buffers_have_their_limits(const struct posix *p)
{
    int fd = tcp_socket(p, 0);

    expect(0, set_option(p, fd, SOL_SOCKET, SO_RCVBUF, 0));
    assert_in_range(option(p, fd, SOL_SOCKET, SO_RCVBUF), 1, 10000);
    expect(0, set_option(p, fd, SOL_SOCKET, SO_SNDBUF, 0));
    assert_in_range(option(p, fd, SOL_SOCKET, SO_SNDBUF), 1, 10000);
    expect(0, set_option(p, fd, SOL_SOCKET, SO_SNDBUF, INT32_MAX));
    assert_in_range(option(p, fd, SOL_SOCKET, SO_SNDBUF), 100000, INT32_MAX);
}

static void broadcasts_are_off(const struct posix *p)
{
    expect(0, option(p, udp_socket(p, 0), SOL_SOCKET, SO_BROADCAST));
    expect(0, set_option(p, udp_socket(p, 0), SOL_SOCKET, SO_BROADCAST, 0));
}

static void broadcasts_can_be_turned_on(const struct posix *p)
{
    expect(0, set_option(p, udp_socket(p, 0), SOL_SOCKET, SO_BROADCAST, 1));
}

static void urgent_data_is_out_of_line_at_first(const struct posix *p)
{
    expect(0, option(p, tcp_socket(p, 0), SOL_SOCKET, SO_OOBINLINE));
}

static void the_retries_of_a_syn_are_6(const struct posix *p)
{
    expect(6, option(p, tcp_socket(p, 0), IPPROTO_TCP, TCP_SYNCNT));
}

static void a_level_is_looked_at_first(const struct posix *p)
{
    int value = 1;
    socklen_t length = (socklen_t)-1;
    int tcp = tcp_socket(p, 0), udp = udp_socket(p, 0);

    expect_error(EOPNOTSUPP, p->getsockopt(tcp, 999, 1, &value, NULL));
    expect_error(EOPNOTSUPP, p->getsockopt(tcp, 999, 1, &value, &length));
    expect_error(EOPNOTSUPP, p->getsockopt(tcp, IPPROTO_UDP, 1, &value, &length));
    length = sizeof(value);
    expect_error(ENOPROTOOPT, p->getsockopt(udp, IPPROTO_UDP, 9999, &value, &length));
    expect_error(ENOPROTOOPT, set_option(p, udp, IPPROTO_UDP, 9999, 1));
}

/* Each option that the level has, in each length that no value has. */
static void options_of_odd_lengths_are_refused_or_cut(const struct posix *p)
{
    static const struct {
        int level, name;
    } numbers[] = {
        {SOL_SOCKET, SO_REUSEPORT},   {SOL_SOCKET, SO_RCVBUF},
        {SOL_SOCKET, SO_RCVLOWAT},    {SOL_SOCKET, SO_KEEPALIVE},
        {IPPROTO_TCP, TCP_CORK},      {IPPROTO_TCP, TCP_MAXSEG},
        {IPPROTO_TCP, TCP_KEEPIDLE},  {IPPROTO_TCP, TCP_SYNCNT},
        {IPPROTO_TCP, TCP_QUICKACK},  {IPPROTO_TCP, TCP_USER_TIMEOUT},
        {IPPROTO_TCP, TCP_NODELAY},   {IPPROTO_TCP, TCP_KEEPCNT},
        {IPPROTO_TCP, TCP_KEEPINTVL}, {IPPROTO_TCP, TCP_NOTSENT_LOWAT},
    };
    int fd = tcp_socket(p, 0), value = 0;

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        int level = numbers[i].level, name = numbers[i].name;
        for (socklen_t length = 0; length < sizeof(value); length++) {
            socklen_t room = length;
            expect_error(EINVAL, p->setsockopt(fd, level, name, &value, length));
            expect(0, p->getsockopt(fd, level, name, &value, &room));
            assert_int_equal(room, length);
        }
        expect_error(EFAULT, p->setsockopt(fd, level, name, NULL, sizeof(value)));
    }
}

static void a_congestion_control_needs_a_name(const struct posix *p)
{
    int fd = tcp_socket(p, 0);

    expect_error(EINVAL, p->setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 0));
    expect_error(EFAULT, p->setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, NULL, 4));
    expect(0, p->setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
}

const struct posix_case option_cases[] = {
    CASE(options_of_no_descriptor_are_ebadf),
    CASE(options_of_an_unknown_level_are_refused),
    CASE(options_of_an_unknown_name_are_enoprotoopt),
    CASE(options_at_nowhere_are_efault),
    CASE(options_that_are_too_short_are_einval),
    CASE(options_of_a_negative_length_are_einval),
    CASE(options_are_cut_to_the_room_there_is),
    CASE(what_can_only_be_read_is_enoprotoopt_to_set),
    CASE(a_socket_tells_what_it_is),
    CASE(switches_are_off_and_can_be_turned_on),
    CASE(the_keepalive_has_its_limits),
    CASE(the_user_timeout_is_not_negative),
    CASE(the_ttl_has_its_limits),
    CASE(the_tos_of_a_stream_leaves_ecn_alone),
    CASE(options_of_ip_may_be_a_byte),
    CASE(an_accepted_socket_inherits_its_settings),
    CASE(the_linger_is_read_back),
    CASE(the_sizes_of_buffers_have_their_limits),
    CASE_BUT(the_sizes_of_buffers_are_doubled,
             "the kernel doubles for its bookkeeping, of which there is none here to be paid"),
    CASE(broadcasts_are_off),
    CASE_BUT(broadcasts_can_be_turned_on,
             "nothing is sent to everybody; EOPNOTSUPP rather than a setting without effect"),
    CASE_BUT(urgent_data_is_out_of_line_at_first, "it stays in line, as RFC 6093 4 wants it"),
    CASE_BUT(the_retries_of_a_syn_are_6, "7 make the three minutes of RFC 9293 3.8.3, MUST-23"),
    CASE(a_level_is_looked_at_first),
    CASE(options_of_odd_lengths_are_refused_or_cut),
    CASE(a_congestion_control_needs_a_name),
    {NULL},
};
