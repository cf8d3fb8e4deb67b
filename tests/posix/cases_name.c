/* SPDX-License-Identifier: MIT */
/* socket, bind, listen, accept, getsockname, getpeername, close. */
#include "posix.h"

#include <arpa/inet.h>

#define FOREIGN 0xc0000201u /* 192.0.2.1, of nobody here */

/* ---- socket ---- */

static void socket_of_an_unknown_family_is_eafnosupport(const struct posix *p)
{
    expect_error(EAFNOSUPPORT, p->socket(99, SOCK_STREAM, 0));
}

static void socket_of_an_unknown_type_is_einval(const struct posix *p)
{
    expect_error(EINVAL, p->socket(AF_INET, 15, 0));
}

static void socket_with_unknown_flags_is_einval(const struct posix *p)
{
    expect_error(EINVAL, p->socket(AF_INET, SOCK_STREAM | 0x10, 0));
}

static void socket_of_a_type_without_protocol_is_esocktnosupport(const struct posix *p)
{
    expect_error(ESOCKTNOSUPPORT, p->socket(AF_INET, SOCK_RDM, 0));
}

static void socket_of_a_protocol_of_another_type_is_eprotonosupport(const struct posix *p)
{
    expect_error(EPROTONOSUPPORT, p->socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    expect_error(EPROTONOSUPPORT, p->socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
}

static void socket_of_a_negative_protocol_is_einval(const struct posix *p)
{
    expect_error(EINVAL, p->socket(AF_INET, SOCK_STREAM, -1));
}

static void socket_takes_the_protocol_by_its_number(const struct posix *p)
{
    assert_true(p->socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) >= 0);
    assert_true(p->socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP) >= 0);
}

/* ---- bind ---- */

static void bind_of_no_descriptor_is_ebadf(const struct posix *p)
{
    struct sockaddr_in in = loopback(0);

    expect_error(EBADF, p->bind(NO_SUCH_FD, name_of(&in), sizeof(in)));
    expect_error(EBADF, p->bind(-1, name_of(&in), sizeof(in)));
}

static void bind_to_a_short_name_is_einval(const struct posix *p)
{
    struct sockaddr_in in = loopback(0);

    expect_error(EINVAL, p->bind(tcp_socket(p, 0), name_of(&in), sizeof(in) - 9));
    expect_error(EINVAL, p->bind(udp_socket(p, 0), name_of(&in), 0));
}

static void bind_to_a_name_that_is_too_long_is_einval(const struct posix *p)
{
    struct sockaddr_storage in[2] = {{.ss_family = AF_INET}};

    expect_error(EINVAL, p->bind(tcp_socket(p, 0), (struct sockaddr *)in, sizeof(in[0]) + 1));
}

static void bind_to_nowhere_is_efault(const struct posix *p)
{
    expect_error(EFAULT, p->bind(tcp_socket(p, 0), NULL, sizeof(struct sockaddr_in)));
}

static void bind_to_another_family_is_eafnosupport(const struct posix *p)
{
    struct sockaddr_in in = loopback(0);

    in.sin_family = AF_UNIX;
    expect_error(EAFNOSUPPORT, p->bind(tcp_socket(p, 0), name_of(&in), sizeof(in)));
    in.sin_family = AF_INET6;
    expect_error(EAFNOSUPPORT, p->bind(udp_socket(p, 0), name_of(&in), sizeof(in)));
}

/* As old programs do. */
static void bind_to_the_unspecified_family_is_to_any_address(const struct posix *p)
{
    struct sockaddr_in in = address(INADDR_ANY, 0);
    int fd = tcp_socket(p, 0);

    in.sin_family = AF_UNSPEC;
    expect(0, p->bind(fd, name_of(&in), sizeof(in)));
    assert_int_not_equal(port_of(p, fd), 0);
}

static void bind_to_an_address_of_the_unspecified_family_is_eafnosupport(const struct posix *p)
{
    struct sockaddr_in in = loopback(0);

    in.sin_family = AF_UNSPEC;
    expect_error(EAFNOSUPPORT, p->bind(tcp_socket(p, 0), name_of(&in), sizeof(in)));
}

static void bind_to_a_foreign_address_is_eaddrnotavail(const struct posix *p)
{
    struct sockaddr_in in = address(FOREIGN, 0);

    expect_error(EADDRNOTAVAIL, p->bind(tcp_socket(p, 0), name_of(&in), sizeof(in)));
    expect_error(EADDRNOTAVAIL, p->bind(udp_socket(p, 0), name_of(&in), sizeof(in)));
}

static void bind_for_a_second_time_is_einval(const struct posix *p)
{
    struct sockaddr_in in = loopback(0);
    int tcp = tcp_socket(p, 0), udp = udp_socket(p, 0);

    bind_loopback(p, tcp, 0);
    bind_loopback(p, udp, 0);
    expect_error(EINVAL, p->bind(tcp, name_of(&in), sizeof(in)));
    expect_error(EINVAL, p->bind(udp, name_of(&in), sizeof(in)));
}

static void bind_of_a_connected_stream_is_einval(const struct posix *p)
{
    struct sockaddr_in in = loopback(0);
    struct streams s = streams(p, 0);

    expect_error(EINVAL, p->bind(s.client, name_of(&in), sizeof(in)));
    expect_error(EINVAL, p->bind(s.server, name_of(&in), sizeof(in)));
}

static void bind_to_a_taken_port_is_eaddrinuse(const struct posix *p)
{
    int first = tcp_socket(p, 0), other = udp_socket(p, 0);
    struct sockaddr_in in = loopback(bind_loopback(p, first, 0));

    expect_error(EADDRINUSE, p->bind(tcp_socket(p, 0), name_of(&in), sizeof(in)));
    in = loopback(bind_loopback(p, other, 0));
    expect_error(EADDRINUSE, p->bind(udp_socket(p, 0), name_of(&in), sizeof(in)));
}

static void bind_to_any_address_meets_a_bound_one(const struct posix *p)
{
    struct sockaddr_in in = address(INADDR_ANY, bind_loopback(p, tcp_socket(p, 0), 0));

    expect_error(EADDRINUSE, p->bind(tcp_socket(p, 0), name_of(&in), sizeof(in)));
}

static void bind_to_two_addresses_shares_the_port(const struct posix *p)
{
    struct sockaddr_in in = address(INADDR_LOOPBACK + 1, bind_loopback(p, tcp_socket(p, 0), 0));

    expect(0, p->bind(tcp_socket(p, 0), name_of(&in), sizeof(in)));
}

static void bind_knows_tcp_and_udp_apart(const struct posix *p)
{
    bind_loopback(p, udp_socket(p, 0), bind_loopback(p, tcp_socket(p, 0), 0));
}

static void close_gives_the_port_back(const struct posix *p)
{
    int fd = tcp_socket(p, 0);
    uint16_t port = bind_loopback(p, fd, 0);

    expect(0, p->close(fd));
    bind_loopback(p, tcp_socket(p, 0), port);
}

/* ---- listen and accept ---- */

static void listen_of_no_descriptor_is_ebadf(const struct posix *p)
{
    expect_error(EBADF, p->listen(NO_SUCH_FD, 1));
}

static void listen_of_a_datagram_socket_is_eopnotsupp(const struct posix *p)
{
    expect_error(EOPNOTSUPP, p->listen(udp_socket(p, 0), 1));
}

static void listen_of_a_connected_stream_is_einval(const struct posix *p)
{
    expect_error(EINVAL, p->listen(streams(p, 0).client, 1));
}

static void listen_without_bind_takes_any_port(const struct posix *p)
{
    int fd = tcp_socket(p, 0);

    expect(0, p->listen(fd, 1));
    assert_int_not_equal(port_of(p, fd), 0);
}

static void listen_again_changes_the_backlog(const struct posix *p)
{
    uint16_t port;
    int fd = listening(p, &port);

    expect(0, p->listen(fd, 0));
    expect(0, p->listen(fd, -1));
    expect(0, p->listen(fd, INT32_MAX));
}

static void accept_of_no_descriptor_is_ebadf(const struct posix *p)
{
    expect_error(EBADF, p->accept(NO_SUCH_FD, NULL, NULL));
}

static void accept_without_listen_is_einval(const struct posix *p)
{
    expect_error(EINVAL, p->accept(tcp_socket(p, 0), NULL, NULL));
    expect_error(EINVAL, p->accept(streams(p, 0).client, NULL, NULL));
}

static void accept_of_a_datagram_socket_is_eopnotsupp(const struct posix *p)
{
    expect_error(EOPNOTSUPP, p->accept(udp_socket(p, 0), NULL, NULL));
}

static void accept_with_unknown_flags_is_einval(const struct posix *p)
{
    uint16_t port;

    expect_error(EINVAL, p->accept4(listening(p, &port), NULL, NULL, 1));
}

static void accept_of_nothing_without_blocking_is_eagain(const struct posix *p)
{
    int fd = tcp_socket(p, SOCK_NONBLOCK);

    expect(0, p->listen(fd, 1));
    expect_error(EAGAIN, p->accept(fd, NULL, NULL));
}

static void accept_tells_who_has_connected(const struct posix *p)
{
    uint16_t port;
    int listener = listening(p, &port), client = tcp_socket(p, 0);
    struct sockaddr_in in = loopback(port), who;
    socklen_t length = sizeof(who);

    expect(0, p->connect(client, name_of(&in), sizeof(in)));
    assert_true(p->accept(listener, (struct sockaddr *)&who, &length) >= 0);
    assert_int_equal(length, sizeof(who));
    assert_int_equal(who.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    assert_int_equal(ntohs(who.sin_port), port_of(p, client));
}

static void accept_cuts_the_name_short_and_tells_its_length(const struct posix *p)
{
    uint16_t port;
    int listener = listening(p, &port), client = tcp_socket(p, 0);
    struct sockaddr_in in = loopback(port), who = {.sin_port = 7};
    socklen_t length = 2;

    expect(0, p->connect(client, name_of(&in), sizeof(in)));
    assert_true(p->accept(listener, (struct sockaddr *)&who, &length) >= 0);
    assert_int_equal(length, sizeof(who));
    assert_int_equal(who.sin_family, AF_INET);
    assert_int_equal(who.sin_port, 7);
}

static void accept_makes_a_socket_that_does_not_block_if_asked(const struct posix *p)
{
    int listener = tcp_socket(p, SOCK_NONBLOCK), client = tcp_socket(p, 0);
    struct sockaddr_in in = loopback(bind_loopback(p, listener, 0));
    char byte;

    expect(0, p->listen(listener, 1));
    expect(0, p->connect(client, name_of(&in), sizeof(in)));
    int server = p->accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    expect_error(EAGAIN, p->recv(server, &byte, 1, 0));
}

/* ---- Names ---- */

static void getsockname_of_no_descriptor_is_ebadf(const struct posix *p)
{
    struct sockaddr_in in;
    socklen_t length = sizeof(in);

    expect_error(EBADF, p->getsockname(NO_SUCH_FD, (struct sockaddr *)&in, &length));
    expect_error(EBADF, p->getpeername(NO_SUCH_FD, (struct sockaddr *)&in, &length));
}

static void getsockname_to_nowhere_is_efault(const struct posix *p)
{
    struct sockaddr_in in;
    socklen_t length = sizeof(in);
    int fd = tcp_socket(p, 0);

    expect_error(EFAULT, p->getsockname(fd, NULL, &length));
    expect_error(EFAULT, p->getsockname(fd, (struct sockaddr *)&in, NULL));
}

static void getsockname_of_a_negative_length_is_einval(const struct posix *p)
{
    struct sockaddr_in in;
    socklen_t length = (socklen_t)-1;

    expect_error(EINVAL, p->getsockname(tcp_socket(p, 0), (struct sockaddr *)&in, &length));
    expect_error(EINVAL, p->getpeername(streams(p, 0).client, (struct sockaddr *)&in, &length));
}

static void getsockname_of_a_new_socket_is_nobody(const struct posix *p)
{
    struct sockaddr_in in;
    socklen_t length = sizeof(in);

    expect(0, p->getsockname(tcp_socket(p, 0), (struct sockaddr *)&in, &length));
    assert_int_equal(length, sizeof(in));
    assert_int_equal(in.sin_family, AF_INET);
    assert_int_equal(in.sin_addr.s_addr, 0);
    assert_int_equal(in.sin_port, 0);
}

static void getsockname_of_a_connected_socket_is_the_way_to_its_peer(const struct posix *p)
{
    struct sockaddr_in in;
    socklen_t length = sizeof(in);

    expect(0, p->getsockname(streams(p, 0).client, (struct sockaddr *)&in, &length));
    assert_int_equal(in.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
}

static void getpeername_without_a_peer_is_enotconn(const struct posix *p)
{
    struct sockaddr_in in;
    socklen_t length = sizeof(in);
    uint16_t port;

    expect_error(ENOTCONN, p->getpeername(tcp_socket(p, 0), (struct sockaddr *)&in, &length));
    expect_error(ENOTCONN, p->getpeername(udp_socket(p, 0), (struct sockaddr *)&in, &length));
    expect_error(ENOTCONN, p->getpeername(listening(p, &port), (struct sockaddr *)&in, &length));
}

static void getpeername_is_the_other_ones_getsockname(const struct posix *p)
{
    struct streams s = streams(p, 0);
    struct sockaddr_in in;
    socklen_t length = sizeof(in);

    expect(0, p->getpeername(s.client, (struct sockaddr *)&in, &length));
    assert_int_equal(ntohs(in.sin_port), port_of(p, s.server));
}

/* ---- close ---- */

static void close_of_no_descriptor_is_ebadf(const struct posix *p)
{
    int fd = tcp_socket(p, 0);

    expect_error(EBADF, p->close(NO_SUCH_FD));
    expect(0, p->close(fd));
    expect_error(EBADF, p->close(fd));
}

static void close_of_a_listener_resets_those_that_wait(const struct posix *p)
{
    uint16_t port;
    int listener = listening(p, &port), client = tcp_socket(p, 0);
    struct sockaddr_in in = loopback(port);
    char byte;

    expect(0, p->connect(client, name_of(&in), sizeof(in)));
    expect(0, p->close(listener));
    expect_error(ECONNRESET, p->recv(client, &byte, 1, 0));
}

/* ---- What stands first ---- */

static void the_descriptor_is_looked_at_first(const struct posix *p)
{
    struct sockaddr_in in;
    socklen_t length = (socklen_t)-1;

    expect_error(EBADF, p->accept4(NO_SUCH_FD, NULL, NULL, 1));
    expect_error(EBADF, p->accept(NO_SUCH_FD, (struct sockaddr *)&in, NULL));
    expect_error(EBADF, p->bind(NO_SUCH_FD, NULL, length));
    expect_error(EBADF, p->getsockname(NO_SUCH_FD, NULL, NULL));
    expect_error(EBADF, p->getpeername(NO_SUCH_FD, NULL, NULL));
    expect_error(EBADF, p->shutdown(NO_SUCH_FD, 9));
}

static void a_name_is_wanted_only_where_there_is_one(const struct posix *p)
{
    struct sockaddr_in in;
    socklen_t length = (socklen_t)-1;
    int fd = tcp_socket(p, 0), connected = streams(p, 0).client;

    expect_error(EINVAL, p->accept(fd, (struct sockaddr *)&in, NULL));
    expect_error(ENOTCONN, p->getpeername(fd, NULL, NULL));
    expect_error(ENOTCONN, p->getpeername(fd, (struct sockaddr *)&in, &length));
    expect_error(EFAULT, p->getpeername(connected, NULL, NULL));
    expect_error(EINVAL, p->getpeername(connected, (struct sockaddr *)&in, &length));
}

static void accept_to_nowhere_is_efault(const struct posix *p)
{
    uint16_t port;
    int listener = listening(p, &port);
    struct sockaddr_in in = loopback(port);
    socklen_t length = (socklen_t)-1;

    expect(0, p->connect(tcp_socket(p, 0), name_of(&in), sizeof(in)));
    expect_error(EFAULT, p->accept(listener, (struct sockaddr *)&in, NULL));
    in = loopback(port);
    expect(0, p->connect(tcp_socket(p, 0), name_of(&in), sizeof(in)));
    expect_error(EINVAL, p->accept(listener, (struct sockaddr *)&in, &length));
}

static void listen_with_a_negative_backlog_takes_as_many_as_it_can(const struct posix *p)
{
    int fd = tcp_socket(p, 0);
    struct sockaddr_in in = loopback(bind_loopback(p, fd, 0));

    expect(0, p->listen(fd, -1));
    for (int i = 0; i < 100; i++)
        expect(0, p->connect(tcp_socket(p, 0), name_of(&in), sizeof(in)));
}

static void a_connection_that_has_ended_has_no_peer(const struct posix *p)
{
    struct streams s = streams(p, 0);
    struct sockaddr_in in;
    socklen_t length = sizeof(in);

    expect(0, p->shutdown(s.client, SHUT_WR));
    expect(0, p->getpeername(s.client, (struct sockaddr *)&in, &length));
    expect(0, p->close(s.server));
    p->wait(1);
    expect_error(ENOTCONN, p->getpeername(s.client, (struct sockaddr *)&in, &length));
    expect_error(ENOTCONN, p->shutdown(s.client, SHUT_RDWR));
    expect_error(EISCONN, p->connect(s.client, name_of(&in), sizeof(in)));
}

static void socket_knows_how_large_a_protocol_can_be(const struct posix *p)
{
    expect_error(EPROTONOSUPPORT, p->socket(AF_INET, SOCK_STREAM, 256));
    expect_error(EINVAL, p->socket(AF_INET, SOCK_STREAM, IPPROTO_MAX));
    expect_error(EINVAL, p->socket(AF_INET, SOCK_STREAM, INT32_MAX));
}

static void descriptors_out_of_all_range_are_ebadf(const struct posix *p)
{
    expect_error(EBADF, p->close(-1));
    expect_error(EBADF, p->close(INT32_MIN));
    expect_error(EBADF, p->close(INT32_MAX));
}

static void bind_to_a_group_receives_what_is_sent_to_it(const struct posix *p)
{
    struct sockaddr_in group = address(0xe0000001, 0), everybody = address(INADDR_BROADCAST, 0);

    expect(0, p->bind(udp_socket(p, 0), name_of(&group), sizeof(group)));
    expect(0, p->bind(udp_socket(p, 0), name_of(&everybody), sizeof(everybody)));
}

const struct posix_case name_cases[] = {
    CASE(socket_of_an_unknown_family_is_eafnosupport),
    CASE(socket_of_an_unknown_type_is_einval),
    CASE(socket_with_unknown_flags_is_einval),
    CASE(socket_of_a_type_without_protocol_is_esocktnosupport),
    CASE(socket_of_a_protocol_of_another_type_is_eprotonosupport),
    CASE(socket_of_a_negative_protocol_is_einval),
    CASE(socket_takes_the_protocol_by_its_number),
    CASE(bind_of_no_descriptor_is_ebadf),
    CASE(bind_to_a_short_name_is_einval),
    CASE(bind_to_a_name_that_is_too_long_is_einval),
    CASE(bind_to_nowhere_is_efault),
    CASE(bind_to_another_family_is_eafnosupport),
    CASE(bind_to_the_unspecified_family_is_to_any_address),
    CASE(bind_to_an_address_of_the_unspecified_family_is_eafnosupport),
    CASE(bind_to_a_foreign_address_is_eaddrnotavail),
    CASE(bind_for_a_second_time_is_einval),
    CASE(bind_of_a_connected_stream_is_einval),
    CASE(bind_to_a_taken_port_is_eaddrinuse),
    CASE(bind_to_any_address_meets_a_bound_one),
    CASE(bind_to_two_addresses_shares_the_port),
    CASE(bind_knows_tcp_and_udp_apart),
    CASE(close_gives_the_port_back),
    CASE(listen_of_no_descriptor_is_ebadf),
    CASE(listen_of_a_datagram_socket_is_eopnotsupp),
    CASE(listen_of_a_connected_stream_is_einval),
    CASE(listen_without_bind_takes_any_port),
    CASE(listen_again_changes_the_backlog),
    CASE(accept_of_no_descriptor_is_ebadf),
    CASE(accept_without_listen_is_einval),
    CASE(accept_of_a_datagram_socket_is_eopnotsupp),
    CASE(accept_with_unknown_flags_is_einval),
    CASE(accept_of_nothing_without_blocking_is_eagain),
    CASE(accept_tells_who_has_connected),
    CASE(accept_cuts_the_name_short_and_tells_its_length),
    CASE(accept_makes_a_socket_that_does_not_block_if_asked),
    CASE(getsockname_of_no_descriptor_is_ebadf),
    CASE(getsockname_to_nowhere_is_efault),
    CASE(getsockname_of_a_negative_length_is_einval),
    CASE(getsockname_of_a_new_socket_is_nobody),
    CASE(getsockname_of_a_connected_socket_is_the_way_to_its_peer),
    CASE(getpeername_without_a_peer_is_enotconn),
    CASE(getpeername_is_the_other_ones_getsockname),
    CASE(close_of_no_descriptor_is_ebadf),
    CASE(close_of_a_listener_resets_those_that_wait),
    CASE(the_descriptor_is_looked_at_first),
    CASE(a_name_is_wanted_only_where_there_is_one),
    CASE(accept_to_nowhere_is_efault),
    CASE(listen_with_a_negative_backlog_takes_as_many_as_it_can),
    CASE(a_connection_that_has_ended_has_no_peer),
    CASE(socket_knows_how_large_a_protocol_can_be),
    CASE(descriptors_out_of_all_range_are_ebadf),
    CASE_BUT(bind_to_a_group_receives_what_is_sent_to_it,
             "nothing is received that was sent to groups or everybody: EADDRNOTAVAIL"),
    {NULL},
};
