/* SPDX-License-Identifier: MIT */
/* Sending and receiving datagrams. */
#include "posix.h"

#include <arpa/inet.h>

#define PAYLOAD_MAX 65507

static char big[PAYLOAD_MAX + 1];

static void sendto_without_a_destination_is_edestaddrreq(const struct posix *p)
{
    expect_error(EDESTADDRREQ, p->send(udp_socket(p, 0), "x", 1, 0));
}

static void sendto_a_short_name_is_einval(const struct posix *p)
{
    struct sockaddr_in in = loopback(9);

    expect_error(EINVAL, p->sendto(udp_socket(p, 0), "x", 1, 0, name_of(&in), sizeof(in) - 1));
}

static void sendto_another_family_is_eafnosupport(const struct posix *p)
{
    struct sockaddr_in in = loopback(9);

    in.sin_family = AF_UNIX;
    expect_error(EAFNOSUPPORT, p->sendto(udp_socket(p, 0), "x", 1, 0, name_of(&in), sizeof(in)));
}

static void sendto_port_zero_is_einval(const struct posix *p)
{
    struct sockaddr_in in = loopback(0);

    expect_error(EINVAL, p->sendto(udp_socket(p, 0), "x", 1, 0, name_of(&in), sizeof(in)));
}

static void sendto_an_address_without_a_route_is_enetunreach(const struct posix *p)
{
    struct sockaddr_in in = address(0xc0000201, 9);

    expect_error(ENETUNREACH, p->sendto(udp_socket(p, 0), "x", 1, 0, name_of(&in), sizeof(in)));
}

static void sendto_of_more_than_a_datagram_is_emsgsize(const struct posix *p)
{
    struct sockaddr_in in = loopback(9);

    expect_error(EMSGSIZE,
                 p->sendto(udp_socket(p, 0), big, sizeof(big), 0, name_of(&in), sizeof(in)));
}

static void sendto_a_datagram_out_of_band_is_eopnotsupp(const struct posix *p)
{
    struct streams s = datagrams(p, 0);

    expect_error(EOPNOTSUPP, p->send(s.client, "x", 1, MSG_OOB));
}

static void sendto_from_nowhere_is_efault(const struct posix *p)
{
    expect_error(EFAULT, p->send(datagrams(p, 0).client, NULL, 1, 0));
}

static void a_datagram_may_be_empty(const struct posix *p)
{
    struct streams s = datagrams(p, 0);
    char byte;

    expect(0, p->send(s.client, NULL, 0, 0));
    assert_int_equal(events(p, s.server, POLLIN), POLLIN);
    expect(0, p->recv(s.server, &byte, 1, 0));
    expect_error(EAGAIN, p->recv(s.server, &byte, 1, MSG_DONTWAIT));
}

static void the_largest_datagram_arrives(const struct posix *p)
{
    struct streams s = datagrams(p, 0);

    expect(PAYLOAD_MAX, p->send(s.client, big, PAYLOAD_MAX, 0));
    p->wait(1);
    expect(PAYLOAD_MAX, p->recv(s.server, big, sizeof(big), 0));
}

static void recvfrom_tells_the_sender(const struct posix *p)
{
    int a = udp_socket(p, 0), b = udp_socket(p, 0);
    struct sockaddr_in from, to = loopback(bind_loopback(p, b, 0));
    socklen_t length = sizeof(from);
    char bytes[4];

    expect(2, p->sendto(a, "ab", 2, 0, name_of(&to), sizeof(to)));
    expect(2, p->recvfrom(b, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &length));
    assert_int_equal(length, sizeof(from));
    assert_int_equal(ntohs(from.sin_port), port_of(p, a));
    assert_int_equal(from.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
}

static void a_datagram_that_does_not_fit_is_cut(const struct posix *p)
{
    struct streams s = datagrams(p, 0);
    char bytes[2];
    struct iovec part = {bytes, sizeof(bytes)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    expect(5, p->send(s.client, "abcde", 5, 0));
    expect(5, p->send(s.client, "abcde", 5, 0));
    expect(5, p->send(s.client, "abcde", 5, 0));
    expect(2, p->recv(s.server, bytes, 2, 0));
    expect(5, p->recv(s.server, bytes, 2, MSG_TRUNC));
    expect(2, p->recvmsg(s.server, &message, 0));
    assert_int_equal(message.msg_flags, MSG_TRUNC);
}

static void peek_leaves_the_datagram(const struct posix *p)
{
    struct streams s = datagrams(p, 0);
    char bytes[4];

    expect(2, p->send(s.client, "ab", 2, 0));
    expect(2, p->recv(s.server, bytes, 4, MSG_PEEK));
    expect(2, p->recv(s.server, NULL, 0, MSG_PEEK | MSG_TRUNC));
    expect(2, p->recv(s.server, bytes, 4, MSG_WAITALL));
    expect_error(EAGAIN, p->recv(s.server, bytes, 4, MSG_DONTWAIT));
}

static void a_connected_socket_hears_its_peer_alone(const struct posix *p)
{
    struct streams s = datagrams(p, 0);
    struct sockaddr_in to = loopback(port_of(p, s.server));
    char byte;

    expect(1, p->sendto(udp_socket(p, 0), "x", 1, 0, name_of(&to), sizeof(to)));
    expect_error(EAGAIN, p->recv(s.server, &byte, 1, MSG_DONTWAIT));
}

static void a_connected_socket_hears_of_a_closed_port(const struct posix *p)
{
    struct streams s = datagrams(p, 0);
    char byte;

    expect(0, p->close(s.server));
    expect(1, p->send(s.client, "x", 1, 0));
    p->wait(1);
    assert_int_equal(events(p, s.client, POLLIN | POLLOUT) & (POLLERR | POLLOUT),
                     POLLERR | POLLOUT);
    expect_error(ECONNREFUSED, p->recv(s.client, &byte, 1, 0));
    expect_error(EAGAIN, p->recv(s.client, &byte, 1, MSG_DONTWAIT));
    expect(1, p->send(s.client, "x", 1, 0));
    p->wait(1);
    expect_error(ECONNREFUSED, p->send(s.client, "x", 1, 0));
    expect(1, p->send(s.client, "x", 1, 0));
    p->wait(1);
    expect(ECONNREFUSED, option(p, s.client, SOL_SOCKET, SO_ERROR));
}

static void an_unconnected_socket_hears_of_no_closed_port(const struct posix *p)
{
    int fd = udp_socket(p, 0), gone = udp_socket(p, 0);
    struct sockaddr_in to = loopback(bind_loopback(p, gone, 0));

    expect(0, p->close(gone));
    expect(1, p->sendto(fd, "x", 1, 0, name_of(&to), sizeof(to)));
    p->wait(1);
    expect(0, option(p, fd, SOL_SOCKET, SO_ERROR));
}

static void a_connected_socket_may_send_to_others(const struct posix *p)
{
    struct streams s = datagrams(p, 0);
    int other = udp_socket(p, 0);
    struct sockaddr_in to = loopback(bind_loopback(p, other, 0));
    char byte;

    expect(1, p->sendto(s.client, "x", 1, 0, name_of(&to), sizeof(to)));
    expect(1, p->recv(other, &byte, 1, 0));
}

static void more_makes_one_datagram_of_two_sends(const struct posix *p)
{
    struct streams s = datagrams(p, 0);
    char bytes[4];

    expect(1, p->send(s.client, "a", 1, MSG_MORE));
    expect(1, p->send(s.client, "b", 1, 0));
    expect(2, p->recv(s.server, bytes, 4, 0));
}

const struct posix_case datagram_cases[] = {
    CASE(sendto_without_a_destination_is_edestaddrreq),
    CASE(sendto_a_short_name_is_einval),
    CASE(sendto_another_family_is_eafnosupport),
    CASE(sendto_port_zero_is_einval),
    CASE(sendto_an_address_without_a_route_is_enetunreach),
    CASE(sendto_of_more_than_a_datagram_is_emsgsize),
    CASE(sendto_a_datagram_out_of_band_is_eopnotsupp),
    CASE(sendto_from_nowhere_is_efault),
    CASE(a_datagram_may_be_empty),
    CASE(the_largest_datagram_arrives),
    CASE(recvfrom_tells_the_sender),
    CASE(a_datagram_that_does_not_fit_is_cut),
    CASE(peek_leaves_the_datagram),
    CASE(a_connected_socket_hears_its_peer_alone),
    CASE(a_connected_socket_hears_of_a_closed_port),
    CASE(an_unconnected_socket_hears_of_no_closed_port),
    CASE(a_connected_socket_may_send_to_others),
    CASE_BUT(more_makes_one_datagram_of_two_sends, "sendmsg gathers parts; EOPNOTSUPP"),
    {NULL},
};
