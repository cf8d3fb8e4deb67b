/* SPDX-License-Identifier: MIT */
/* Datagram sockets that speak ICMP echo: icmp(7). */
#include "posix.h"

#include <sys/ioctl.h>

#define REQUEST "\x08\0\0\0\0\0\0\x07strait"
#define BYTES   14

static int ping_socket(const struct posix *p)
{
    int fd = p->socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);

    assert_true(fd >= 0);
    return fd;
}

static void ask(const struct posix *p, int fd)
{
    struct sockaddr_in to = loopback(0);

    expect(BYTES, p->sendto(fd, REQUEST, BYTES, 0, name_of(&to), sizeof(to)));
}

/* What comes with a reply, if the socket wants this. */
static const void *asked_for(const struct posix *p, int fd, struct message *m, int name, int type,
                             size_t size)
{
    expect(0, set_option(p, fd, IPPROTO_IP, name, 1));
    ask(p, fd);
    expect(BYTES, p->recvmsg(fd, to_receive(m), 0));
    expect(0, set_option(p, fd, IPPROTO_IP, name, 0));
    assert_int_equal(m->first.cmsg_level, IPPROTO_IP);
    assert_int_equal(m->first.cmsg_type, type);
    assert_int_equal(m->first.cmsg_len, CMSG_LEN(size));
    return CMSG_DATA(&m->first);
}

static void a_reply_comes_whole_and_from_no_port(const struct posix *p)
{
    int fd = ping_socket(p);
    struct message m;

    expect(IPPROTO_ICMP, option(p, fd, SOL_SOCKET, SO_PROTOCOL));
    ask(p, fd);
    expect(BYTES, p->recvmsg(fd, to_receive(&m), 0));
    assert_int_equal(m.bytes[0], 0); /* echo reply */
    assert_int_equal(m.bytes[4] << 8 | m.bytes[5], port_of(p, fd));
    assert_memory_equal(m.bytes + 6, "\0\x07strait", 8);
    assert_int_equal(ntohl(m.name.sin_addr.s_addr), INADDR_LOOPBACK);
    assert_int_equal(m.name.sin_port, 0);
    assert_int_equal(m.header.msg_controllen, 0);
}

static void ttl_tos_and_address_come_with_a_reply(const struct posix *p)
{
    int fd = ping_socket(p);
    struct message m;

    assert_int_equal(*(const int *)asked_for(p, fd, &m, IP_RECVTTL, IP_TTL, sizeof(int)), 64);
    expect(0, set_option(p, fd, IPPROTO_IP, IP_TOS, 0xb8)); /* a reply has that of the request */
    assert_int_equal(*(const uint8_t *)asked_for(p, fd, &m, IP_RECVTOS, IP_TOS, 1), 0xb8);
    const struct in_pktinfo *info = asked_for(p, fd, &m, IP_PKTINFO, IP_PKTINFO, sizeof(*info));
    assert_int_equal(ntohl(info->ipi_addr.s_addr), INADDR_LOOPBACK);
}

static void a_request_takes_control_data(const struct posix *p)
{
    int fd = ping_socket(p), tos = 0xb8, none = 0;
    struct sockaddr_in to = loopback(0);
    struct message m;

    expect(0, set_option(p, fd, IPPROTO_IP, IP_RECVTOS, 1));
    to_receive(&m);
    m.name = to;
    memcpy(m.bytes, REQUEST, BYTES);
    m.part.iov_len = BYTES;
    m.header.msg_controllen = CMSG_SPACE(sizeof(tos));
    m.first = (struct cmsghdr){
        .cmsg_level = IPPROTO_IP, .cmsg_type = IP_TOS, .cmsg_len = CMSG_LEN(sizeof(tos))};
    memcpy(CMSG_DATA(&m.first), &tos, sizeof(tos));
    expect(BYTES, p->sendmsg(fd, &m.header, 0));
    m.first.cmsg_type = IP_TTL;
    memcpy(CMSG_DATA(&m.first), &none, sizeof(none));
    expect_error(EINVAL, p->sendmsg(fd, &m.header, 0));
    expect(BYTES, p->recvmsg(fd, to_receive(&m), 0));
    assert_int_equal(*CMSG_DATA(&m.first), 0xb8);
}

static void failures_can_be_kept_and_there_are_none_at_first(const struct posix *p)
{
    int fd = ping_socket(p);
    struct message m;

    expect(0, option(p, fd, IPPROTO_IP, IP_RECVERR));
    expect(0, set_option(p, fd, IPPROTO_IP, IP_RECVERR, 1));
    expect(1, option(p, fd, IPPROTO_IP, IP_RECVERR));
    expect_error(EAGAIN, p->recvmsg(fd, to_receive(&m), MSG_ERRQUEUE));
}

static void an_identifier_is_no_port(const struct posix *p)
{
    int fd = ping_socket(p), datagrams = udp_socket(p, 0);

    bind_loopback(p, datagrams, bind_loopback(p, fd, 0));
}

static void an_identifier_is_shared_unless_that_is_turned_off(const struct posix *p)
{
    int first = ping_socket(p), second = ping_socket(p), alone = ping_socket(p);
    struct sockaddr_in in = loopback(bind_loopback(p, first, 0));
    struct message m;

    expect(1, option(p, first, SOL_SOCKET, SO_REUSEADDR));
    expect(0, p->bind(second, name_of(&in), sizeof(in)));
    ask(p, first);
    expect(BYTES, p->recvmsg(second, to_receive(&m), MSG_DONTWAIT)); /* which was bound last */
    expect_error(EAGAIN, p->recvmsg(first, to_receive(&m), MSG_DONTWAIT));
    expect(0, set_option(p, alone, SOL_SOCKET, SO_REUSEADDR, 0));
    expect_error(EADDRINUSE, p->bind(alone, name_of(&in), sizeof(in)));
}

static void what_is_no_request_is_einval(const struct posix *p)
{
    int fd = ping_socket(p);
    struct sockaddr_in to = loopback(0);

    expect_error(EINVAL, p->sendto(fd, "\0\0\0\0\0\0\0\0", 8, 0, name_of(&to), sizeof(to)));
    expect_error(EINVAL, p->sendto(fd, REQUEST, 7, 0, name_of(&to), sizeof(to)));
    expect_error(EDESTADDRREQ, p->send(fd, REQUEST, BYTES, 0));
    expect_error(EOPNOTSUPP, p->sendto(fd, REQUEST, BYTES, MSG_OOB, name_of(&to), sizeof(to)));
}

static void there_is_nothing_to_ask_by_ioctl(const struct posix *p)
{
    int fd = ping_socket(p), value = 0;

    expect_error(ENOTTY, p->ioctl(fd, FIONREAD, &value));
    expect_error(ENOTTY, p->ioctl(fd, TIOCOUTQ, &value));
}

const struct posix_case ping_cases[] = {
    CASE(a_reply_comes_whole_and_from_no_port),
    CASE(ttl_tos_and_address_come_with_a_reply),
    CASE(a_request_takes_control_data),
    CASE(failures_can_be_kept_and_there_are_none_at_first),
    CASE(an_identifier_is_no_port),
    CASE(an_identifier_is_shared_unless_that_is_turned_off),
    CASE(what_is_no_request_is_einval),
    CASE(there_is_nothing_to_ask_by_ioctl),
    {NULL},
};
