/* SPDX-License-Identifier: MIT */
/* Control data: what comes with a datagram, what one is sent with, and why one has failed. */
#include "posix.h"

#include <arpa/inet.h>
#include <linux/errqueue.h>

#define LO_NUMBER 1 /* of the loopback interface */
#define FOREIGN   0xc0000201u

/* A message of one byte with one piece of control data. */
static struct msghdr *to_send(struct message *m, int level, int type, const void *data, size_t size)
{
    to_receive(m);
    m->header.msg_name = NULL;
    m->header.msg_namelen = 0;
    m->part.iov_len = 1;
    m->header.msg_controllen = CMSG_SPACE(size);
    m->first = (struct cmsghdr){.cmsg_level = level, .cmsg_type = type, .cmsg_len = CMSG_LEN(size)};
    memcpy(CMSG_DATA(&m->first), data, size);
    return &m->header;
}

/* The piece of this type, which is there and has this size. */
static const void *piece(struct message *m, int type, size_t size)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m->header); c; c = CMSG_NXTHDR(&m->header, c)) {
        if (c->cmsg_level != IPPROTO_IP || c->cmsg_type != type)
            continue;
        assert_int_equal(c->cmsg_len, CMSG_LEN(size));
        return CMSG_DATA(c);
    }
    fail_msg("no control data of type %d", type);
    return NULL;
}

/* ---- What comes with a datagram ---- */

static void nothing_comes_unasked(const struct posix *p)
{
    struct streams s = datagrams(p, 0);
    struct message m;

    expect(1, p->send(s.client, "x", 1, 0));
    expect(1, p->recvmsg(s.server, to_receive(&m), 0));
    assert_int_equal(m.header.msg_controllen, 0);
    assert_int_equal(m.header.msg_flags, 0);
    assert_int_equal(m.header.msg_namelen, sizeof(m.name));
}

static void pktinfo_tells_where_a_datagram_was_sent_to(const struct posix *p)
{
    int from = udp_socket(p, 0), to = udp_socket(p, 0);
    struct sockaddr_in any = address(INADDR_ANY, 0);
    struct message m;

    expect(0, p->bind(to, name_of(&any), sizeof(any)));
    expect(0, set_option(p, to, IPPROTO_IP, IP_PKTINFO, 1));
    expect(1, option(p, to, IPPROTO_IP, IP_PKTINFO));
    struct sockaddr_in there = address(INADDR_LOOPBACK + 6, port_of(p, to));
    expect(1, p->sendto(from, "x", 1, 0, name_of(&there), sizeof(there)));
    expect(1, p->recvmsg(to, to_receive(&m), 0));
    const struct in_pktinfo *info = piece(&m, IP_PKTINFO, sizeof(*info));
    assert_int_equal(info->ipi_ifindex, LO_NUMBER);
    assert_int_equal(ntohl(info->ipi_addr.s_addr), INADDR_LOOPBACK + 6);
    assert_int_equal(ntohl(info->ipi_spec_dst.s_addr), INADDR_LOOPBACK + 6);
}

static void ttl_and_tos_come_as_they_were_sent(const struct posix *p)
{
    struct streams s = datagrams(p, 0);
    struct message m;

    expect(0, set_option(p, s.client, IPPROTO_IP, IP_TTL, 7));
    expect(0, set_option(p, s.client, IPPROTO_IP, IP_TOS, 0xb8));
    expect(0, set_option(p, s.server, IPPROTO_IP, IP_RECVTTL, 1));
    expect(0, set_option(p, s.server, IPPROTO_IP, IP_RECVTOS, 1));
    expect(1, p->send(s.client, "x", 1, 0));
    expect(1, p->recvmsg(s.server, to_receive(&m), 0));
    assert_int_equal(*(const int *)piece(&m, IP_TTL, sizeof(int)), 7);
    assert_int_equal(*(const uint8_t *)piece(&m, IP_TOS, 1), 0xb8);
    assert_int_equal(m.header.msg_controllen, CMSG_SPACE(sizeof(int)) + CMSG_SPACE(1));
}

static void what_a_socket_wants_can_be_turned_off(const struct posix *p)
{
    static const int names[] = {IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, IP_RECVERR};
    int udp = udp_socket(p, 0), tcp = tcp_socket(p, 0);

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        expect(0, option(p, udp, IPPROTO_IP, names[i]));
        expect(0, set_option(p, udp, IPPROTO_IP, names[i], 5));
        expect(1, option(p, udp, IPPROTO_IP, names[i]));
        expect(0, set_option(p, udp, IPPROTO_IP, names[i], 0));
        expect(0, option(p, udp, IPPROTO_IP, names[i]));
        expect(0, set_option(p, tcp, IPPROTO_IP, names[i], 1));
        expect(1, option(p, tcp, IPPROTO_IP, names[i]));
    }
}

static void control_data_that_does_not_fit_is_cut(const struct posix *p)
{
    static const struct {
        size_t room, used;
    } rooms[] = {{0, 0}, {8, 0}, {sizeof(struct cmsghdr), sizeof(struct cmsghdr)}, {18, 18}};
    struct streams s = datagrams(p, 0);
    struct message m;

    expect(0, set_option(p, s.server, IPPROTO_IP, IP_RECVTTL, 1));
    for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
        expect(1, p->send(s.client, "x", 1, 0));
        to_receive(&m)->msg_controllen = rooms[i].room;
        expect(1, p->recvmsg(s.server, &m.header, 0));
        assert_int_equal(m.header.msg_flags, MSG_CTRUNC);
        assert_int_equal(m.header.msg_controllen, rooms[i].used);
    }
}

static void a_last_piece_needs_no_padding(const struct posix *p)
{
    struct streams s = datagrams(p, 0);
    struct message m;

    expect(0, set_option(p, s.server, IPPROTO_IP, IP_RECVTTL, 1));
    expect(1, p->send(s.client, "x", 1, 0));
    to_receive(&m)->msg_controllen = CMSG_LEN(sizeof(int));
    expect(1, p->recvmsg(s.server, &m.header, 0));
    assert_int_equal(m.header.msg_flags, 0);
    assert_int_equal(m.header.msg_controllen, CMSG_LEN(sizeof(int)));
}

/* ---- What a datagram is sent with ---- */

static void pktinfo_chooses_the_source(const struct posix *p)
{
    struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl(INADDR_LOOPBACK + 8)};
    int from = udp_socket(p, 0), to = udp_socket(p, 0);
    struct sockaddr_in there = loopback(bind_loopback(p, to, 0));
    struct message m;

    to_send(&m, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    m.header.msg_name = &there;
    m.header.msg_namelen = sizeof(there);
    expect(1, p->sendmsg(from, &m.header, 0));
    expect(1, p->recvmsg(to, to_receive(&m), 0));
    assert_int_equal(ntohl(m.name.sin_addr.s_addr), INADDR_LOOPBACK + 8);
}

static void pktinfo_of_a_foreign_source_is_enetunreach(const struct posix *p)
{
    struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl(FOREIGN)};
    struct message m;

    to_send(&m, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    expect_error(ENETUNREACH, p->sendmsg(datagrams(p, 0).client, &m.header, 0));
}

static void pktinfo_of_no_interface_is_enodev(const struct posix *p)
{
    struct in_pktinfo info = {.ipi_ifindex = 99};
    struct message m;

    to_send(&m, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    expect_error(ENODEV, p->sendmsg(datagrams(p, 0).client, &m.header, 0));
    info.ipi_ifindex = LO_NUMBER;
    to_send(&m, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    expect(1, p->sendmsg(datagrams(p, 0).client, &m.header, 0));
}

static void ttl_and_tos_can_be_of_one_datagram(const struct posix *p)
{
    struct streams s = datagrams(p, 0);
    struct message m;
    int ttl = 9, tos = 0x20;

    expect(0, set_option(p, s.server, IPPROTO_IP, IP_RECVTTL, 1));
    expect(0, set_option(p, s.server, IPPROTO_IP, IP_RECVTOS, 1));
    expect(1, p->sendmsg(s.client, to_send(&m, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl)), 0));
    expect(1, p->sendmsg(s.client, to_send(&m, IPPROTO_IP, IP_TOS, &tos, sizeof(tos)), 0));
    expect(1, p->recvmsg(s.server, to_receive(&m), 0));
    assert_int_equal(*(const int *)piece(&m, IP_TTL, sizeof(int)), 9);
    assert_int_equal(*(const uint8_t *)piece(&m, IP_TOS, 1), 0);
    expect(1, p->recvmsg(s.server, to_receive(&m), 0));
    assert_int_equal(*(const int *)piece(&m, IP_TTL, sizeof(int)), 64);
    assert_int_equal(*(const uint8_t *)piece(&m, IP_TOS, 1), 0x20);
}

static void control_data_out_of_range_is_einval(const struct posix *p)
{
    static const struct {
        int type, value;
        size_t size;
    } wrong[] = {
        {IP_TTL, 0, 4},   {IP_TTL, 256, 4}, {IP_TTL, -1, 4},    {IP_TTL, 5, 1},
        {IP_TOS, 256, 4}, {IP_TOS, -1, 4},  {IP_PKTINFO, 0, 4}, {9999, 0, 4},
    };
    int fd = datagrams(p, 0).client;
    struct message m;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        expect_error(
            EINVAL,
            p->sendmsg(fd, to_send(&m, IPPROTO_IP, wrong[i].type, &wrong[i].value, wrong[i].size),
                       0));
}

static void control_data_of_other_levels_is_einval_or_passed_over(const struct posix *p)
{
    int fd = datagrams(p, 0).client, number = 1;
    struct message m;

    expect_error(EINVAL, p->sendmsg(fd, to_send(&m, SOL_SOCKET, 9999, &number, 4), 0));
    expect_error(EINVAL, p->sendmsg(fd, to_send(&m, IPPROTO_UDP, 9999, &number, 4), 0));
    expect(1, p->sendmsg(fd, to_send(&m, 9999, 1, &number, 4), 0));
}

static void malformed_control_data_is_einval(const struct posix *p)
{
    int fds[] = {datagrams(p, 0).client, streams(p, 0).client};
    int number = 1;
    struct message m;

    for (int i = 0; i < 2; i++) {
        to_send(&m, IPPROTO_IP, IP_TTL, &number, sizeof(number));
        m.first.cmsg_len = sizeof(struct cmsghdr) - 1;
        expect_error(EINVAL, p->sendmsg(fds[i], &m.header, 0));
        m.first.cmsg_len = 1000;
        expect_error(EINVAL, p->sendmsg(fds[i], &m.header, 0));
    }
}

static void control_data_on_a_stream_has_no_effect(const struct posix *p)
{
    int ttl = 9;
    struct message m;
    int fd = streams(p, 0).client;

    expect(1, p->sendmsg(fd, to_send(&m, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl)), 0));
    expect_error(EINVAL, p->sendmsg(fd, to_send(&m, SOL_SOCKET, 9999, &ttl, sizeof(ttl)), 0));
}

static void control_data_at_nowhere_is_efault(const struct posix *p)
{
    struct message m;
    int ttl = 9;

    to_send(&m, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
    m.header.msg_control = NULL;
    expect_error(EFAULT, p->sendmsg(datagrams(p, 0).client, &m.header, 0));
}

/* ---- Why a datagram has failed ---- */

static void the_error_queue_is_empty_at_first(const struct posix *p)
{
    struct message m;

    expect_error(EAGAIN, p->recvmsg(udp_socket(p, 0), to_receive(&m), MSG_ERRQUEUE));
    expect_error(EAGAIN, p->recvmsg(streams(p, 0).client, to_receive(&m), MSG_ERRQUEUE));
}

/* Sends "hello" to a port that nobody has, from a socket with IP_RECVERR. Returns the port. */
static uint16_t fail_to_send(const struct posix *p, int fd)
{
    int gone = udp_socket(p, 0);
    struct sockaddr_in there = loopback(bind_loopback(p, gone, 0));

    expect(0, p->close(gone));
    expect(0, set_option(p, fd, IPPROTO_IP, IP_RECVERR, 1));
    expect(5, p->sendto(fd, "hello", 5, 0, name_of(&there), sizeof(there)));
    p->wait(1);
    return ntohs(there.sin_port);
}

static void the_error_queue_tells_what_has_happened(const struct posix *p)
{
    int fd = udp_socket(p, 0);
    uint16_t port = fail_to_send(p, fd);
    struct message m;

    assert_int_equal(events(p, fd, POLLIN) & POLLERR, POLLERR);
    expect(5, p->recvmsg(fd, to_receive(&m), MSG_ERRQUEUE));
    assert_memory_equal(m.bytes, "hello", 5);
    assert_int_equal(m.header.msg_flags, MSG_ERRQUEUE);
    assert_int_equal(m.name.sin_family, AF_INET);
    assert_int_equal(ntohs(m.name.sin_port), port);
    assert_int_equal(ntohl(m.name.sin_addr.s_addr), INADDR_LOOPBACK);
    const struct sock_extended_err *error =
        piece(&m, IP_RECVERR, sizeof(*error) + sizeof(struct sockaddr_in));
    assert_int_equal(error->ee_errno, ECONNREFUSED);
    assert_int_equal(error->ee_origin, SO_EE_ORIGIN_ICMP);
    assert_int_equal(error->ee_type, 3);
    assert_int_equal(error->ee_code, 3);
    assert_int_equal(error->ee_info, 0);
    const struct sockaddr_in *offender = (const void *)SO_EE_OFFENDER(error);
    assert_int_equal(offender->sin_family, AF_INET);
    assert_int_equal(ntohl(offender->sin_addr.s_addr), INADDR_LOOPBACK);
    expect_error(EAGAIN, p->recvmsg(fd, to_receive(&m), MSG_ERRQUEUE));
    expect(0, option(p, fd, SOL_SOCKET, SO_ERROR));
}

static void an_error_that_is_kept_is_told_by_calls_too(const struct posix *p)
{
    int fd = udp_socket(p, 0);
    struct message m;

    fail_to_send(p, fd);
    expect_error(ECONNREFUSED, p->recv(fd, m.bytes, 1, MSG_DONTWAIT));
    expect_error(EAGAIN, p->recv(fd, m.bytes, 1, MSG_DONTWAIT));
    expect(5, p->recvmsg(fd, to_receive(&m), MSG_ERRQUEUE));
}

static void errors_are_told_in_their_order(const struct posix *p)
{
    int fd = udp_socket(p, 0);
    uint16_t first = fail_to_send(p, fd);
    struct message m;

    expect(ECONNREFUSED, option(p, fd, SOL_SOCKET, SO_ERROR));
    fail_to_send(p, fd);
    expect(5, p->recvmsg(fd, to_receive(&m), MSG_ERRQUEUE));
    assert_int_equal(ntohs(m.name.sin_port), first);
    expect(ECONNREFUSED, option(p, fd, SOL_SOCKET, SO_ERROR));
    expect(5, p->recvmsg(fd, to_receive(&m), MSG_ERRQUEUE));
    assert_int_not_equal(ntohs(m.name.sin_port), first);
}

static void an_error_that_does_not_fit_is_cut(const struct posix *p)
{
    int fd = udp_socket(p, 0);
    struct message m;

    fail_to_send(p, fd);
    to_receive(&m);
    m.part.iov_len = 2;
    m.header.msg_controllen = 0;
    expect(2, p->recvmsg(fd, &m.header, MSG_ERRQUEUE));
    assert_int_equal(m.header.msg_flags, MSG_ERRQUEUE | MSG_TRUNC | MSG_CTRUNC);
}

static void errors_that_are_not_wanted_any_more_are_dropped(const struct posix *p)
{
    int fd = udp_socket(p, 0);
    struct message m;

    fail_to_send(p, fd);
    expect(0, set_option(p, fd, IPPROTO_IP, IP_RECVERR, 0));
    expect_error(EAGAIN, p->recvmsg(fd, to_receive(&m), MSG_ERRQUEUE));
}

/* ---- The MTU ---- */

static void the_mtu_is_that_of_the_way_to_the_peer(const struct posix *p)
{
    int value;
    socklen_t length = sizeof(value);

    expect_error(ENOTCONN, p->getsockopt(udp_socket(p, 0), IPPROTO_IP, IP_MTU, &value, &length));
    expect_error(ENOTCONN, p->getsockopt(tcp_socket(p, 0), IPPROTO_IP, IP_MTU, &value, &length));
    assert_in_range(option(p, datagrams(p, 0).client, IPPROTO_IP, IP_MTU), 65535, 65536);
    assert_in_range(option(p, streams(p, 0).client, IPPROTO_IP, IP_MTU), 65535, 65536);
    expect_error(ENOPROTOOPT, set_option(p, udp_socket(p, 0), IPPROTO_IP, IP_MTU, 1500));
}

static void mtu_discovery_has_its_values(const struct posix *p)
{
    int udp = udp_socket(p, 0), tcp = tcp_socket(p, 0);

    expect(IP_PMTUDISC_WANT, option(p, udp, IPPROTO_IP, IP_MTU_DISCOVER));
    expect(IP_PMTUDISC_WANT, option(p, tcp, IPPROTO_IP, IP_MTU_DISCOVER));
    expect_error(EINVAL, set_option(p, udp, IPPROTO_IP, IP_MTU_DISCOVER, -1));
    expect_error(EINVAL, set_option(p, udp, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT + 1));
    for (int i = IP_PMTUDISC_DONT; i <= IP_PMTUDISC_OMIT; i++) {
        expect(0, set_option(p, udp, IPPROTO_IP, IP_MTU_DISCOVER, i));
        expect(i, option(p, udp, IPPROTO_IP, IP_MTU_DISCOVER));
    }
    for (int i = IP_PMTUDISC_DONT; i <= IP_PMTUDISC_DO; i++)
        expect(0, set_option(p, tcp, IPPROTO_IP, IP_MTU_DISCOVER, i));
}

static void a_stream_takes_the_other_values_of_mtu_discovery(const struct posix *p)
{
    expect(0, set_option(p, tcp_socket(p, 0), IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE));
}

const struct posix_case control_cases[] = {
    CASE(nothing_comes_unasked),
    CASE(pktinfo_tells_where_a_datagram_was_sent_to),
    CASE(ttl_and_tos_come_as_they_were_sent),
    CASE(what_a_socket_wants_can_be_turned_off),
    CASE(control_data_that_does_not_fit_is_cut),
    CASE(a_last_piece_needs_no_padding),
    CASE(pktinfo_chooses_the_source),
    CASE(pktinfo_of_a_foreign_source_is_enetunreach),
    CASE(pktinfo_of_no_interface_is_enodev),
    CASE(ttl_and_tos_can_be_of_one_datagram),
    CASE(control_data_out_of_range_is_einval),
    CASE(control_data_of_other_levels_is_einval_or_passed_over),
    CASE(malformed_control_data_is_einval),
    CASE(control_data_on_a_stream_has_no_effect),
    CASE(control_data_at_nowhere_is_efault),
    CASE(the_error_queue_is_empty_at_first),
    CASE(the_error_queue_tells_what_has_happened),
    CASE(an_error_that_is_kept_is_told_by_calls_too),
    CASE(errors_are_told_in_their_order),
    CASE(an_error_that_does_not_fit_is_cut),
    CASE(errors_that_are_not_wanted_any_more_are_dropped),
    CASE(the_mtu_is_that_of_the_way_to_the_peer),
    CASE(mtu_discovery_has_its_values),
    CASE_BUT(
        a_stream_takes_the_other_values_of_mtu_discovery,
        "a stream has no probes of its own to make; EINVAL rather than a value without effect"),
    {NULL},
};
