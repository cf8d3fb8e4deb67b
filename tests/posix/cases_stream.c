/* SPDX-License-Identifier: MIT */
/* Sending and receiving on streams. */
#include "posix.h"

static void send_on_no_descriptor_is_ebadf(const struct posix *p)
{
    struct msghdr message = {.msg_iovlen = 0};

    expect_error(EBADF, p->send(NO_SUCH_FD, "x", 1, 0));
    expect_error(EBADF, p->sendmsg(NO_SUCH_FD, &message, 0));
    expect_error(EBADF, p->write(NO_SUCH_FD, "x", 1));
    expect_error(EBADF, p->writev(NO_SUCH_FD, NULL, 0));
}

static void recv_on_no_descriptor_is_ebadf(const struct posix *p)
{
    struct msghdr message = {.msg_iovlen = 0};
    char byte;

    expect_error(EBADF, p->recv(NO_SUCH_FD, &byte, 1, 0));
    expect_error(EBADF, p->recvmsg(NO_SUCH_FD, &message, 0));
    expect_error(EBADF, p->read(NO_SUCH_FD, &byte, 1));
    expect_error(EBADF, p->readv(NO_SUCH_FD, NULL, 0));
}

static void send_without_a_connection_is_epipe(const struct posix *p)
{
    uint16_t port;

    expect_error(EPIPE, p->send(tcp_socket(p, 0), "x", 1, MSG_NOSIGNAL));
    expect_error(EPIPE, p->send(listening(p, &port), "x", 1, MSG_NOSIGNAL));
}

static void recv_without_a_connection_is_enotconn(const struct posix *p)
{
    uint16_t port;
    char byte;

    expect_error(ENOTCONN, p->recv(tcp_socket(p, 0), &byte, 1, 0));
    expect_error(ENOTCONN, p->recv(listening(p, &port), &byte, 1, 0));
}

static void send_from_nowhere_is_efault(const struct posix *p)
{
    expect_error(EFAULT, p->send(streams(p, 0).client, NULL, 1, 0));
}

static void recv_to_nowhere_is_efault(const struct posix *p)
{
    struct streams s = streams(p, 0);

    expect(1, p->send(s.client, "x", 1, 0));
    expect_error(EFAULT, p->recv(s.server, NULL, 1, 0));
}

static void recv_of_nothing_without_blocking_is_eagain(const struct posix *p)
{
    struct streams s = streams(p, SOCK_NONBLOCK);
    char byte;

    expect_error(EAGAIN, p->recv(s.server, &byte, 1, 0));
    expect_error(EAGAIN, p->recv(s.client, &byte, 1, MSG_DONTWAIT));
    expect_error(EAGAIN, p->recv(s.client, &byte, 1, MSG_DONTWAIT | MSG_PEEK));
}

static void recv_of_no_bytes_is_nothing(const struct posix *p)
{
    struct streams s = streams(p, 0);

    expect(1, p->send(s.client, "x", 1, 0));
    expect(0, p->recv(s.server, NULL, 0, 0));
    expect(0, p->send(s.client, NULL, 0, 0));
}

static void send_to_a_full_peer_without_blocking_is_eagain(const struct posix *p)
{
    struct streams s = streams(p, SOCK_NONBLOCK);
    static char bytes[65536];
    int rounds = 0;

    while (p->send(s.server, bytes, sizeof(bytes), 0) > 0)
        assert_true(++rounds < 10000);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(events(p, s.server, POLLOUT), 0);
    expect_error(EAGAIN, p->send(s.server, bytes, 1, MSG_DONTWAIT));
}

static void peek_leaves_what_it_reads(const struct posix *p)
{
    struct streams s = streams(p, 0);
    char bytes[8];

    expect(3, p->send(s.client, "abc", 3, 0));
    expect(2, p->recv(s.server, bytes, 2, MSG_PEEK));
    expect(3, p->recv(s.server, bytes, sizeof(bytes), 0));
    assert_memory_equal(bytes, "abc", 3);
}

static void recvmsg_of_a_stream_has_no_name_and_no_flags(const struct posix *p)
{
    struct streams s = streams(p, 0);
    char bytes[8], control[64];
    struct sockaddr_in in;
    struct iovec part = {.iov_base = bytes, .iov_len = sizeof(bytes)};
    struct msghdr message = {
        .msg_name = &in,
        .msg_namelen = sizeof(in),
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof(control),
        .msg_flags = MSG_OOB,
    };

    expect(3, p->send(s.client, "abc", 3, 0));
    expect(3, p->recvmsg(s.server, &message, 0));
    assert_int_equal(message.msg_namelen, 0);
    assert_int_equal(message.msg_controllen, 0);
    assert_int_equal(message.msg_flags, 0);
}

static void parts_are_gathered_and_scattered(const struct posix *p)
{
    struct streams s = streams(p, 0);
    char a[2], b[3];
    struct iovec out[] = {{"ab", 2}, {NULL, 0}, {"cde", 3}};
    struct iovec in[] = {{a, 2}, {NULL, 0}, {b, 3}};

    expect(5, p->writev(s.client, out, 3));
    expect(5, p->readv(s.server, in, 3));
    assert_memory_equal(a, "ab", 2);
    assert_memory_equal(b, "cde", 3);
}

static void too_many_parts_are_einval_or_emsgsize(const struct posix *p)
{
    static struct iovec parts[1025];
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 1025};
    struct streams s = streams(p, 0);

    expect_error(EINVAL, p->writev(s.client, parts, 1025));
    expect_error(EINVAL, p->readv(s.client, parts, 1025));
    expect_error(EINVAL, p->writev(s.client, parts, -1));
    expect_error(EMSGSIZE, p->sendmsg(s.client, &message, 0));
    expect_error(EMSGSIZE, p->recvmsg(s.client, &message, 0));
}

static void parts_that_nobody_can_count_are_einval(const struct posix *p)
{
    char byte;
    struct iovec part = {&byte, SIZE_MAX};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    struct streams s = streams(p, 0);

    expect_error(EINVAL, p->writev(s.client, &part, 1));
    expect_error(EINVAL, p->readv(s.client, &part, 1));
    expect_error(EINVAL, p->sendmsg(s.client, &message, 0));
    expect_error(EINVAL, p->recvmsg(s.client, &message, 0));
}

static void recv_after_the_peers_close_is_zero(const struct posix *p)
{
    struct streams s = streams(p, 0);
    char byte;

    expect(0, p->close(s.client));
    expect(0, p->recv(s.server, &byte, 1, 0));
    expect(0, p->recv(s.server, &byte, 1, 0));
}

static void send_to_a_closed_peer_is_first_taken_and_then_epipe(const struct posix *p)
{
    struct streams s = streams(p, 0);

    expect(0, p->close(s.client));
    expect(1, p->send(s.server, "x", 1, MSG_NOSIGNAL));
    p->wait(1);
    expect_error(EPIPE, p->send(s.server, "x", 1, MSG_NOSIGNAL));
}

static void close_with_unread_bytes_resets_the_peer(const struct posix *p)
{
    struct streams s = streams(p, 0);
    char byte;

    expect(1, p->send(s.client, "x", 1, 0));
    expect(0, p->close(s.server));
    expect_error(ECONNRESET, p->recv(s.client, &byte, 1, 0));
    expect(0, p->recv(s.client, &byte, 1, 0));
}

static void a_reset_is_told_once_and_then_epipe(const struct posix *p)
{
    struct streams s = streams(p, 0);
    struct linger linger = {.l_onoff = 1};

    expect(0, p->setsockopt(s.server, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
    expect(0, p->close(s.server));
    expect_error(ECONNRESET, p->send(s.client, "x", 1, MSG_NOSIGNAL));
    expect_error(EPIPE, p->send(s.client, "x", 1, MSG_NOSIGNAL));
}

static void more_holds_back_what_is_sent(const struct posix *p)
{
    struct streams s = streams(p, 0);
    char bytes[8];

    expect(1, p->send(s.client, "a", 1, MSG_MORE));
    expect_error(EAGAIN, p->recv(s.server, bytes, 1, MSG_DONTWAIT));
    expect(1, p->send(s.client, "b", 1, 0));
    expect(2, p->recv(s.server, bytes, sizeof(bytes), 0));
}

static void out_of_band_data_is_in_line_and_marked(const struct posix *p)
{
    struct streams s = streams(p, 0);
    char bytes[8];
    int on = 1;

    expect(0, p->setsockopt(s.server, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)));
    expect(2, p->send(s.client, "ab", 2, 0));
    expect(1, p->send(s.client, "!", 1, MSG_OOB));
    p->wait(1);
    assert_int_equal(events(p, s.server, POLLIN | POLLPRI), POLLIN | POLLPRI);
    expect_error(EINVAL, p->recv(s.server, bytes, 1, MSG_OOB));
    expect(0, p->sockatmark(s.server));
    expect(2, p->recv(s.server, bytes, sizeof(bytes), 0));
    expect(1, p->sockatmark(s.server));
    expect(1, p->recv(s.server, bytes, sizeof(bytes), 0));
    expect(0, p->sockatmark(s.server));
}

static void sockatmark_of_no_stream_is_an_error(const struct posix *p)
{
    expect_error(EBADF, p->sockatmark(NO_SUCH_FD));
    expect_error(ENOTTY, p->sockatmark(udp_socket(p, 0)));
}

static void sendto_on_a_stream_ignores_the_name(const struct posix *p)
{
    struct streams s = streams(p, 0);
    struct sockaddr_in in = loopback(1);

    expect(1, p->sendto(s.client, "x", 1, 0, name_of(&in), sizeof(in)));
}

const struct posix_case stream_cases[] = {
    CASE(send_on_no_descriptor_is_ebadf),
    CASE(recv_on_no_descriptor_is_ebadf),
    CASE(send_without_a_connection_is_epipe),
    CASE(recv_without_a_connection_is_enotconn),
    CASE(send_from_nowhere_is_efault),
    CASE(recv_to_nowhere_is_efault),
    CASE(recv_of_nothing_without_blocking_is_eagain),
    CASE(recv_of_no_bytes_is_nothing),
    CASE(send_to_a_full_peer_without_blocking_is_eagain),
    CASE(peek_leaves_what_it_reads),
    CASE(recvmsg_of_a_stream_has_no_name_and_no_flags),
    CASE(parts_are_gathered_and_scattered),
    CASE(too_many_parts_are_einval_or_emsgsize),
    CASE(parts_that_nobody_can_count_are_einval),
    CASE(recv_after_the_peers_close_is_zero),
    CASE(send_to_a_closed_peer_is_first_taken_and_then_epipe),
    CASE(close_with_unread_bytes_resets_the_peer),
    CASE(a_reset_is_told_once_and_then_epipe),
    CASE(more_holds_back_what_is_sent),
    CASE(out_of_band_data_is_in_line_and_marked),
    CASE(sockatmark_of_no_stream_is_an_error),
    CASE(sendto_on_a_stream_ignores_the_name),
    {NULL},
};
