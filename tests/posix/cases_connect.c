/* SPDX-License-Identifier: MIT */
/* connect and shutdown. */
#include "posix.h"

#include <arpa/inet.h>

/* ---- connect ---- */

/* A port of 127.0.0.1 at which nobody listens. */
static struct sockaddr_in nobody(const struct posix *p)
{
    int fd = tcp_socket(p, 0);
    struct sockaddr_in in = loopback(bind_loopback(p, fd, 0));

    expect(0, p->close(fd));
    return in;
}

static void connect_of_no_descriptor_is_ebadf(const struct posix *p)
{
    struct sockaddr_in in = loopback(1);

    expect_error(EBADF, p->connect(NO_SUCH_FD, name_of(&in), sizeof(in)));
}

static void connect_to_a_short_name_is_einval(const struct posix *p)
{
    struct sockaddr_in in = loopback(1);

    expect_error(EINVAL, p->connect(tcp_socket(p, 0), name_of(&in), sizeof(in) - 1));
    expect_error(EINVAL, p->connect(udp_socket(p, 0), name_of(&in), sizeof(in) - 1));
    expect_error(EINVAL, p->connect(tcp_socket(p, 0), name_of(&in), 1));
}

static void connect_to_nowhere_is_efault(const struct posix *p)
{
    expect_error(EFAULT, p->connect(tcp_socket(p, 0), NULL, sizeof(struct sockaddr_in)));
}

static void connect_to_another_family_is_eafnosupport(const struct posix *p)
{
    struct sockaddr_in in = loopback(1);

    in.sin_family = AF_UNIX;
    expect_error(EAFNOSUPPORT, p->connect(tcp_socket(p, 0), name_of(&in), sizeof(in)));
    expect_error(EAFNOSUPPORT, p->connect(udp_socket(p, 0), name_of(&in), sizeof(in)));
}

static void connect_to_a_port_without_listener_is_econnrefused(const struct posix *p)
{
    struct sockaddr_in in = nobody(p);

    expect_error(ECONNREFUSED, p->connect(tcp_socket(p, 0), name_of(&in), sizeof(in)));
}

static void connect_may_be_tried_again(const struct posix *p)
{
    struct sockaddr_in in = nobody(p);
    int fd = tcp_socket(p, 0);
    uint16_t port;

    expect_error(ECONNREFUSED, p->connect(fd, name_of(&in), sizeof(in)));
    listening(p, &port);
    in = loopback(port);
    expect(0, p->connect(fd, name_of(&in), sizeof(in)));
}

static void connect_without_blocking_is_einprogress(const struct posix *p)
{
    uint16_t port;
    int fd = tcp_socket(p, SOCK_NONBLOCK);

    listening(p, &port);
    struct sockaddr_in in = loopback(port);
    expect_error(EINPROGRESS, p->connect(fd, name_of(&in), sizeof(in)));
    p->wait(1);
    assert_int_equal(events(p, fd, POLLOUT), POLLOUT);
    expect(0, option(p, fd, SOL_SOCKET, SO_ERROR));
    expect(0, p->connect(fd, name_of(&in), sizeof(in)));
}

static void connect_without_blocking_tells_its_error_by_so_error(const struct posix *p)
{
    int fd = tcp_socket(p, SOCK_NONBLOCK);
    struct sockaddr_in in = nobody(p);

    expect_error(EINPROGRESS, p->connect(fd, name_of(&in), sizeof(in)));
    p->wait(1);
    assert_int_equal(events(p, fd, POLLIN | POLLOUT), POLLIN | POLLOUT | POLLERR | POLLHUP);
    expect(ECONNREFUSED, option(p, fd, SOL_SOCKET, SO_ERROR));
    expect(0, option(p, fd, SOL_SOCKET, SO_ERROR));
}

static void connect_of_a_connected_stream_is_eisconn(const struct posix *p)
{
    struct streams s = streams(p, 0);
    struct sockaddr_in in = loopback(1);

    expect_error(EISCONN, p->connect(s.client, name_of(&in), sizeof(in)));
    expect_error(EISCONN, p->connect(s.server, name_of(&in), sizeof(in)));
}

static void connect_of_a_listener_is_eisconn(const struct posix *p)
{
    uint16_t port;
    int fd = listening(p, &port);
    struct sockaddr_in in = loopback(port);

    expect_error(EISCONN, p->connect(fd, name_of(&in), sizeof(in)));
}

static void connect_of_a_stream_to_a_multicast_group_is_enetunreach(const struct posix *p)
{
    struct sockaddr_in in = address(0xe0000001, 1);

    expect_error(ENETUNREACH, p->connect(tcp_socket(p, 0), name_of(&in), sizeof(in)));
}

static void connect_without_a_route_is_enetunreach(const struct posix *p)
{
    struct sockaddr_in in = address(0xc0000201, 1);

    expect_error(ENETUNREACH, p->connect(tcp_socket(p, 0), name_of(&in), sizeof(in)));
    expect_error(ENETUNREACH, p->connect(udp_socket(p, 0), name_of(&in), sizeof(in)));
}

static void connect_to_the_unspecified_family_ends_a_connection(const struct posix *p)
{
    struct streams s = streams(p, 0);
    struct sockaddr_in none = {.sin_family = AF_UNSPEC};
    socklen_t length = sizeof(none);
    char byte;

    expect(0, p->connect(s.client, name_of(&none), sizeof(none)));
    expect_error(ENOTCONN, p->getpeername(s.client, (struct sockaddr *)&none, &length));
    expect_error(ECONNRESET, p->recv(s.server, &byte, 1, 0));
}

static void connect_of_a_datagram_socket_chooses_a_name(const struct posix *p)
{
    int fd = udp_socket(p, 0);
    struct sockaddr_in in = loopback(9);
    socklen_t length = sizeof(in);

    expect(0, p->connect(fd, name_of(&in), sizeof(in)));
    expect(0, p->getsockname(fd, (struct sockaddr *)&in, &length));
    assert_int_equal(in.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    assert_int_not_equal(in.sin_port, 0);
}

static void connect_of_a_datagram_socket_to_nobody_frees_it(const struct posix *p)
{
    struct streams s = datagrams(p, 0);
    struct sockaddr_in none = {.sin_family = AF_UNSPEC};

    expect(0, p->connect(s.client, name_of(&none), sizeof(none)));
    expect_error(EDESTADDRREQ, p->send(s.client, "x", 1, 0));
}

static void connect_of_a_datagram_socket_to_a_broadcast_address_is_eacces(const struct posix *p)
{
    struct sockaddr_in in = address(INADDR_BROADCAST, 9);

    int result = p->connect(udp_socket(p, 0), name_of(&in), sizeof(in));
    assert_int_equal(result, -1);
    assert_true(errno == EACCES || errno == ENETUNREACH);
}

/* ---- shutdown ---- */

static void shutdown_of_no_descriptor_is_ebadf(const struct posix *p)
{
    expect_error(EBADF, p->shutdown(NO_SUCH_FD, SHUT_RD));
}

static void shutdown_of_an_unknown_kind_is_einval(const struct posix *p)
{
    expect_error(EINVAL, p->shutdown(streams(p, 0).client, 3));
    expect_error(EINVAL, p->shutdown(streams(p, 0).client, -1));
}

static void shutdown_without_a_connection_is_enotconn(const struct posix *p)
{
    expect_error(ENOTCONN, p->shutdown(tcp_socket(p, 0), SHUT_RD));
    expect_error(ENOTCONN, p->shutdown(tcp_socket(p, 0), SHUT_WR));
    expect_error(ENOTCONN, p->shutdown(udp_socket(p, 0), SHUT_RDWR));
}

static void shutdown_for_writing_is_the_end_for_the_peer(const struct posix *p)
{
    struct streams s = streams(p, 0);
    char bytes[8];

    expect(2, p->send(s.client, "ab", 2, 0));
    expect(0, p->shutdown(s.client, SHUT_WR));
    expect(2, p->recv(s.server, bytes, sizeof(bytes), 0));
    expect(0, p->recv(s.server, bytes, sizeof(bytes), 0));
    expect(1, p->send(s.server, "c", 1, 0));
    expect(1, p->recv(s.client, bytes, sizeof(bytes), 0));
}

static void shutdown_for_writing_makes_send_epipe(const struct posix *p)
{
    struct streams s = streams(p, 0);

    expect(0, p->shutdown(s.client, SHUT_WR));
    expect_error(EPIPE, p->send(s.client, "x", 1, MSG_NOSIGNAL));
    expect(0, p->shutdown(s.client, SHUT_WR));
}

static void shutdown_for_reading_ends_reads_at_once(const struct posix *p)
{
    struct streams s = streams(p, 0);
    char byte;

    expect(0, p->shutdown(s.client, SHUT_RD));
    expect(0, p->recv(s.client, &byte, 1, 0));
    expect(1, p->send(s.client, "x", 1, 0));
}

static void shutdown_of_a_listener_for_reading_ends_it(const struct posix *p)
{
    uint16_t port;
    int fd = listening(p, &port);
    struct sockaddr_in in = loopback(port);

    expect(0, p->shutdown(fd, SHUT_RD));
    expect_error(EINVAL, p->accept(fd, NULL, NULL));
    expect_error(ECONNREFUSED, p->connect(tcp_socket(p, 0), name_of(&in), sizeof(in)));
}

static void shutdown_of_a_connected_datagram_socket_ends_its_sending(const struct posix *p)
{
    struct streams s = datagrams(p, 0);

    expect(0, p->shutdown(s.client, SHUT_WR));
    expect_error(EPIPE, p->send(s.client, "x", 1, MSG_NOSIGNAL));
    expect(0, p->shutdown(s.client, SHUT_RD));
    char byte;
    expect(0, p->recv(s.client, &byte, 1, 0));
}

static void shutdown_after_a_reset_is_enotconn(const struct posix *p)
{
    struct streams s = streams(p, 0);
    struct linger linger = {.l_onoff = 1};

    expect(0, p->setsockopt(s.server, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
    expect(0, p->close(s.server));
    expect_error(ENOTCONN, p->shutdown(s.client, SHUT_RDWR));
}

static void who_ends_his_connection_is_told_of_a_reset(const struct posix *p)
{
    struct streams s = streams(p, 0);
    struct sockaddr_in none = {.sin_family = AF_UNSPEC};
    char byte;

    expect(0, p->connect(s.client, name_of(&none), sizeof(none)));
    expect_error(ECONNRESET, p->recv(s.client, &byte, 1, 0));
}

/* ---- Destinations ---- */

static void connect_to_nobodys_address_is_to_this_host(const struct posix *p)
{
    uint16_t port;
    listening(p, &port);
    struct sockaddr_in in = address(INADDR_ANY, port);
    socklen_t length = sizeof(in);
    int fd = tcp_socket(p, 0);

    expect(0, p->connect(fd, name_of(&in), sizeof(in)));
    expect(0, p->getpeername(fd, (struct sockaddr *)&in, &length));
    assert_int_equal(ntohl(in.sin_addr.s_addr), INADDR_LOOPBACK);
}

static void connect_to_nobodys_address_is_to_the_one_that_is_bound(const struct posix *p)
{
    int server = udp_socket(p, 0), fd = udp_socket(p, 0);
    struct sockaddr_in in = address(0x7f000002, 0);
    socklen_t length = sizeof(in);

    expect(0, p->bind(server, name_of(&in), sizeof(in)));
    expect(0, p->bind(fd, name_of(&in), sizeof(in)));
    in = address(INADDR_ANY, port_of(p, server));
    expect(1, p->sendto(fd, "x", 1, 0, name_of(&in), sizeof(in)));
    expect(0, p->connect(fd, name_of(&in), sizeof(in)));
    expect(0, p->getpeername(fd, (struct sockaddr *)&in, &length));
    assert_int_equal(ntohl(in.sin_addr.s_addr), 0x7f000002);
}

static void sendto_nobodys_address_is_to_this_host(const struct posix *p)
{
    int server = udp_socket(p, SOCK_NONBLOCK);
    struct sockaddr_in in = address(INADDR_ANY, bind_loopback(p, server, 0));
    char byte;

    expect(1, p->sendto(udp_socket(p, 0), "x", 1, 0, name_of(&in), sizeof(in)));
    expect(1, p->recv(server, &byte, 1, 0));
}

static void sendto_the_unspecified_family_is_to_the_address(const struct posix *p)
{
    int server = udp_socket(p, SOCK_NONBLOCK);
    struct sockaddr_in in = loopback(bind_loopback(p, server, 0));
    char byte;

    in.sin_family = AF_UNSPEC;
    expect(1, p->sendto(udp_socket(p, 0), "x", 1, 0, name_of(&in), sizeof(in)));
    expect(1, p->recv(server, &byte, 1, 0));
    expect_error(EINVAL, p->sendto(udp_socket(p, 0), "x", 1, 0, name_of(&in), sizeof(in) - 1));
}

static void connect_to_the_unspecified_family_has_a_length(const struct posix *p)
{
    char name[256] = {0};
    const struct sockaddr *none = (const struct sockaddr *)name;
    int fds[] = {tcp_socket(p, 0), udp_socket(p, 0)};

    for (int i = 0; i < 2; i++) {
        expect_error(EINVAL, p->connect(fds[i], none, 0));
        expect_error(EINVAL, p->connect(fds[i], none, 1));
        expect_error(EINVAL, p->connect(fds[i], none, 129));
        expect_error(EINVAL, p->connect(fds[i], none, (socklen_t)-1));
        expect(0, p->connect(fds[i], none, 2));
    }
}

static void connect_to_the_unspecified_family_ends_a_listener(const struct posix *p)
{
    uint16_t port;
    int fd = listening(p, &port);
    struct sockaddr_in none = {.sin_family = AF_UNSPEC};

    expect(0, p->connect(fd, name_of(&none), sizeof(none)));
    expect(0, option(p, fd, SOL_SOCKET, SO_ACCEPTCONN));
}

static void connect_of_a_datagram_socket_to_port_zero_is_taken(const struct posix *p)
{
    struct sockaddr_in in = loopback(0);

    expect(0, p->connect(udp_socket(p, 0), name_of(&in), sizeof(in)));
}

static void connect_of_a_stream_to_port_zero_is_econnrefused(const struct posix *p)
{
    struct sockaddr_in in = loopback(0);

    expect_error(ECONNREFUSED, p->connect(tcp_socket(p, 0), name_of(&in), sizeof(in)));
}

static void shutdown_of_a_datagram_socket_without_a_peer_is_done_all_the_same(const struct posix *p)
{
    struct sockaddr_in in = loopback(1);
    int fd = udp_socket(p, 0);
    char byte;

    expect_error(ENOTCONN, p->shutdown(fd, SHUT_RDWR));
    expect_error(EPIPE, p->sendto(fd, "x", 1, MSG_NOSIGNAL, name_of(&in), sizeof(in)));
    expect(0, p->recv(fd, &byte, 1, 0));
}

const struct posix_case connect_cases[] = {
    CASE(connect_of_no_descriptor_is_ebadf),
    CASE(connect_to_a_short_name_is_einval),
    CASE(connect_to_nowhere_is_efault),
    CASE(connect_to_another_family_is_eafnosupport),
    CASE(connect_to_a_port_without_listener_is_econnrefused),
    CASE(connect_may_be_tried_again),
    CASE(connect_without_blocking_is_einprogress),
    CASE(connect_without_blocking_tells_its_error_by_so_error),
    CASE(connect_of_a_connected_stream_is_eisconn),
    CASE(connect_of_a_listener_is_eisconn),
    CASE(connect_of_a_stream_to_a_multicast_group_is_enetunreach),
    CASE(connect_without_a_route_is_enetunreach),
    CASE(connect_to_the_unspecified_family_ends_a_connection),
    CASE_BUT(who_ends_his_connection_is_told_of_a_reset,
             "he has ended it himself, and knows: ENOTCONN, as POSIX has it"),
    CASE(connect_of_a_datagram_socket_chooses_a_name),
    CASE(connect_of_a_datagram_socket_to_nobody_frees_it),
    CASE(connect_of_a_datagram_socket_to_a_broadcast_address_is_eacces),
    CASE(shutdown_of_no_descriptor_is_ebadf),
    CASE(shutdown_of_an_unknown_kind_is_einval),
    CASE(shutdown_without_a_connection_is_enotconn),
    CASE(shutdown_for_writing_is_the_end_for_the_peer),
    CASE(shutdown_for_writing_makes_send_epipe),
    CASE(shutdown_for_reading_ends_reads_at_once),
    CASE(shutdown_of_a_listener_for_reading_ends_it),
    CASE(shutdown_of_a_connected_datagram_socket_ends_its_sending),
    CASE(shutdown_after_a_reset_is_enotconn),
    CASE(connect_to_nobodys_address_is_to_this_host),
    CASE(connect_to_nobodys_address_is_to_the_one_that_is_bound),
    CASE(sendto_nobodys_address_is_to_this_host),
    CASE(sendto_the_unspecified_family_is_to_the_address),
    CASE(connect_to_the_unspecified_family_has_a_length),
    CASE(connect_to_the_unspecified_family_ends_a_listener),
    CASE(shutdown_of_a_datagram_socket_without_a_peer_is_done_all_the_same),
    CASE_BUT(connect_of_a_datagram_socket_to_port_zero_is_taken,
             "port 0 is nobody's (RFC 6335 6); EINVAL, as sendto says it"),
    CASE_BUT(connect_of_a_stream_to_port_zero_is_econnrefused,
             "port 0 is nobody's (RFC 6335 6); EINVAL without asking the peer"),
    {NULL},
};
