/* SPDX-License-Identifier: MIT */
/* Calls that wait: for how long, for how much, and on close. */
#include "posix.h"

#include <sys/time.h>

#define TIME_MS 40 /* that a case lets pass at a time */

/* Real time may be late. */
#define expect_ms(least, start_ms) assert_in_range(p->now_ms() - (start_ms), (least)-1, 5000)

static int set_timeout(const struct posix *p, int fd, int name, long s, long us)
{
    struct timeval time = {.tv_sec = s, .tv_usec = us};

    return p->setsockopt(fd, SOL_SOCKET, name, &time, sizeof(time));
}

static struct timeval timeout_of(const struct posix *p, int fd, int name)
{
    struct timeval time = {-1, -1};
    socklen_t length = sizeof(time);

    expect(0, p->getsockopt(fd, SOL_SOCKET, name, &time, &length));
    assert_int_equal(length, sizeof(time));
    return time;
}

static int set_linger(const struct posix *p, int fd, int seconds)
{
    struct linger linger = {.l_onoff = 1, .l_linger = seconds};

    return p->setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

/* ---- SO_RCVTIMEO and SO_SNDTIMEO ---- */

static void timeouts_are_read_back(const struct posix *p)
{
    static const int names[] = {SO_RCVTIMEO, SO_SNDTIMEO};
    int fds[] = {tcp_socket(p, 0), udp_socket(p, 0)};

    for (int i = 0; i < 4; i++) {
        int fd = fds[i / 2], name = names[i % 2];
        struct timeval time = timeout_of(p, fd, name);
        assert_int_equal(time.tv_sec, 0);
        assert_int_equal(time.tv_usec, 0);
        expect(0, set_timeout(p, fd, name, 3, 500000));
        time = timeout_of(p, fd, name);
        assert_int_equal(time.tv_sec, 3);
        assert_int_equal(time.tv_usec, 500000);
        expect(0, set_timeout(p, fd, name, 0, 0));
        assert_int_equal(timeout_of(p, fd, name).tv_sec, 0);
    }
}

static void timeouts_have_microseconds_in_range(const struct posix *p)
{
    int fd = tcp_socket(p, 0);

    expect_error(EDOM, set_timeout(p, fd, SO_RCVTIMEO, 1, 1000000));
    expect_error(EDOM, set_timeout(p, fd, SO_SNDTIMEO, 1, -1));
}

static void timeouts_that_are_too_short_are_einval(const struct posix *p)
{
    int fd = tcp_socket(p, 0), number = 1;

    expect_error(EINVAL, p->setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &number, sizeof(number)));
}

static void a_negative_timeout_has_passed_already(const struct posix *p)
{
    struct streams s = streams(p, 0);
    char byte;

    expect(0, set_timeout(p, s.client, SO_RCVTIMEO, -1, 0));
    expect_error(EAGAIN, p->recv(s.client, &byte, 1, 0));
}

static void recv_gives_up_after_its_time(const struct posix *p)
{
    int fds[] = {streams(p, 0).client, datagrams(p, 0).client};
    char byte;

    for (int i = 0; i < 2; i++) {
        expect(0, set_timeout(p, fds[i], SO_RCVTIMEO, 0, TIME_MS * 1000));
        uint64_t start_ms = p->now_ms();
        expect_error(EAGAIN, p->recv(fds[i], &byte, 1, 0));
        expect_ms(TIME_MS, start_ms);
    }
}

static void accept_gives_up_after_its_time(const struct posix *p)
{
    uint16_t port;
    int fd = listening(p, &port);

    expect(0, set_timeout(p, fd, SO_RCVTIMEO, 0, TIME_MS * 1000));
    uint64_t start_ms = p->now_ms();
    expect_error(EAGAIN, p->accept(fd, NULL, NULL));
    expect_ms(TIME_MS, start_ms);
}

static void send_gives_up_after_its_time(const struct posix *p)
{
    struct streams s = streams(p, 0);

    expect(0, set_timeout(p, s.client, SO_SNDTIMEO, 0, TIME_MS * 1000));
    fill(p, s.client);
    uint64_t start_ms = p->now_ms();
    expect_error(EAGAIN, p->send(s.client, "x", 1, 0));
    expect_ms(TIME_MS, start_ms);
}

static void send_that_gives_up_tells_what_it_took(const struct posix *p)
{
    static char bytes[32 << 20];
    struct streams s = streams(p, 0);

    expect(0, set_timeout(p, s.client, SO_SNDTIMEO, 0, TIME_MS * 1000));
    assert_in_range(p->send(s.client, bytes, sizeof(bytes), 0), 1, sizeof(bytes) - 1);
}

/* A listener of which nobody accepts: the second connection gets no answer. */
static struct sockaddr_in busy(const struct posix *p)
{
    int listener = tcp_socket(p, 0);
    struct sockaddr_in in = loopback(bind_loopback(p, listener, 0));

    expect(0, p->listen(listener, 0));
    for (int i = 0; i < 2; i++) {
        int fd = tcp_socket(p, SOCK_NONBLOCK);
        p->connect(fd, name_of(&in), sizeof(in));
    }
    p->wait(1);
    return in;
}

static void connect_gives_up_after_its_time(const struct posix *p)
{
    struct sockaddr_in in = busy(p);
    int fd = tcp_socket(p, 0);

    expect(0, set_timeout(p, fd, SO_SNDTIMEO, 0, TIME_MS * 1000));
    uint64_t start_ms = p->now_ms();
    expect_error(EINPROGRESS, p->connect(fd, name_of(&in), sizeof(in)));
    expect_ms(TIME_MS, start_ms);
    expect_error(EALREADY, p->connect(fd, name_of(&in), sizeof(in)));
}

static void connect_again_without_blocking_is_ealready(const struct posix *p)
{
    struct sockaddr_in in = busy(p);
    int fd = tcp_socket(p, SOCK_NONBLOCK);

    expect_error(EINPROGRESS, p->connect(fd, name_of(&in), sizeof(in)));
    expect_error(EALREADY, p->connect(fd, name_of(&in), sizeof(in)));
    assert_int_equal(events(p, fd, POLLIN | POLLOUT), 0);
}

static void calls_while_connecting_would_block(const struct posix *p)
{
    struct sockaddr_in in = busy(p);
    int fd = tcp_socket(p, SOCK_NONBLOCK);
    socklen_t length = sizeof(in);
    char byte;

    expect_error(EINPROGRESS, p->connect(fd, name_of(&in), sizeof(in)));
    expect_error(EAGAIN, p->send(fd, "x", 1, 0));
    expect_error(EAGAIN, p->recv(fd, &byte, 1, 0));
    expect_error(ENOTCONN, p->getpeername(fd, (struct sockaddr *)&in, &length));
    expect_error(EINVAL, p->listen(fd, 1));
}

static void an_accepted_socket_inherits_its_timeouts(const struct posix *p)
{
    uint16_t port;
    int listener = listening(p, &port), client = tcp_socket(p, 0);
    struct sockaddr_in in = loopback(port);

    expect(0, set_timeout(p, listener, SO_RCVTIMEO, 2, 0));
    expect(0, p->connect(client, name_of(&in), sizeof(in)));
    assert_int_equal(timeout_of(p, p->accept(listener, NULL, NULL), SO_RCVTIMEO).tv_sec, 2);
}

/* ---- How much ---- */

static void waitall_waits_for_all(const struct posix *p)
{
    struct streams s = streams(p, 0);
    char bytes[4];

    expect(0, set_timeout(p, s.server, SO_RCVTIMEO, 0, TIME_MS * 1000));
    expect(2, p->send(s.client, "ab", 2, 0));
    uint64_t start_ms = p->now_ms();
    expect(2, p->recv(s.server, bytes, 4, MSG_WAITALL));
    expect_ms(TIME_MS, start_ms);
    expect(4, p->send(s.client, "cdef", 4, 0));
    expect(4, p->recv(s.server, bytes, 4, MSG_WAITALL));
    assert_memory_equal(bytes, "cdef", 4);
    expect_error(EAGAIN, p->recv(s.server, bytes, 4, MSG_WAITALL));
}

static void waitall_fills_all_parts(const struct posix *p)
{
    struct streams s = streams(p, 0);
    char a[3], b[2];
    struct iovec parts[] = {{a, 3}, {b, 2}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

    expect(0, set_timeout(p, s.server, SO_RCVTIMEO, 0, TIME_MS * 1000));
    expect(4, p->send(s.client, "abcd", 4, 0));
    expect(4, p->recvmsg(s.server, &message, MSG_WAITALL));
    assert_memory_equal(a, "abc", 3);
    assert_int_equal(b[0], 'd');
}

static void waitall_ends_at_the_peers_end(const struct posix *p)
{
    struct streams s = streams(p, 0);
    char bytes[4];

    expect(2, p->send(s.client, "ab", 2, 0));
    expect(0, p->shutdown(s.client, SHUT_WR));
    expect(2, p->recv(s.server, bytes, 4, MSG_WAITALL));
    expect(0, p->recv(s.server, bytes, 4, MSG_WAITALL));
}

static void waitall_does_not_block_where_nothing_does(const struct posix *p)
{
    struct streams s = streams(p, SOCK_NONBLOCK);
    char bytes[4];

    expect(2, p->send(s.client, "ab", 2, 0));
    expect(2, p->recv(s.server, bytes, 4, MSG_WAITALL));
}

static void waitall_peeks_until_all_is_there(const struct posix *p)
{
    struct streams s = streams(p, 0);
    char bytes[4];

    expect(0, set_timeout(p, s.server, SO_RCVTIMEO, 0, TIME_MS * 1000));
    expect(2, p->send(s.client, "ab", 2, 0));
    uint64_t start_ms = p->now_ms();
    expect(2, p->recv(s.server, bytes, 4, MSG_WAITALL | MSG_PEEK));
    expect_ms(TIME_MS, start_ms);
    expect(2, p->recv(s.server, bytes, 4, 0));
}

static void trunc_throws_away_what_it_counts(const struct posix *p)
{
    struct streams s = streams(p, 0);
    char bytes[4] = "----";

    expect(5, p->send(s.client, "abcde", 5, 0));
    expect(3, p->recv(s.server, bytes, 3, MSG_TRUNC));
    assert_memory_equal(bytes, "----", 4);
    expect(1, p->recv(s.server, NULL, 1, MSG_TRUNC));
    expect(1, p->recv(s.server, bytes, 4, 0));
    assert_int_equal(bytes[0], 'e');
}

static void the_low_water_mark_has_its_values(const struct posix *p)
{
    int fd = tcp_socket(p, 0);

    expect(1, option(p, fd, SOL_SOCKET, SO_RCVLOWAT));
    expect(0, set_option(p, fd, SOL_SOCKET, SO_RCVLOWAT, 0));
    expect(1, option(p, fd, SOL_SOCKET, SO_RCVLOWAT));
    expect(0, set_option(p, fd, SOL_SOCKET, SO_RCVLOWAT, 100));
    expect(100, option(p, fd, SOL_SOCKET, SO_RCVLOWAT));
    expect(1, option(p, fd, SOL_SOCKET, SO_SNDLOWAT));
    expect_error(ENOPROTOOPT, set_option(p, fd, SOL_SOCKET, SO_SNDLOWAT, 2));
}

static void below_the_low_water_mark_nothing_is_readable(const struct posix *p)
{
    struct streams s = streams(p, 0);
    char bytes[8];

    expect(0, set_option(p, s.server, SOL_SOCKET, SO_RCVLOWAT, 3));
    expect(0, set_timeout(p, s.server, SO_RCVTIMEO, 0, TIME_MS * 1000));
    expect(2, p->send(s.client, "ab", 2, 0));
    assert_int_equal(events(p, s.server, POLLIN), 0);
    uint64_t start_ms = p->now_ms();
    expect(2, p->recv(s.server, bytes, 8, 0));
    expect_ms(TIME_MS, start_ms);
    expect(2, p->send(s.client, "ab", 2, 0));
    expect(2, p->send(s.client, "cd", 2, 0));
    p->wait(100); /* Nagle may wait for a delayed acknowledgement */
    assert_int_equal(events(p, s.server, POLLIN), POLLIN);
    expect(1, p->recv(s.server, bytes, 1, 0));
    expect(3, p->recv(s.server, bytes, 8, 0));
    expect(1, p->send(s.client, "e", 1, 0));
    expect(0, p->shutdown(s.client, SHUT_WR));
    assert_int_equal(events(p, s.server, POLLIN), POLLIN);
}

/* ---- SO_LINGER ---- */

static void the_time_to_linger_is_read_back(const struct posix *p)
{
    struct linger linger = {0};
    socklen_t length = sizeof(linger);
    int fd = tcp_socket(p, 0);

    expect(0, set_linger(p, fd, 7));
    expect(0, p->getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length));
    assert_int_equal(linger.l_onoff, 1);
    assert_int_equal(linger.l_linger, 7);
}

static void close_that_lingers_ends_when_all_has_arrived(const struct posix *p)
{
    struct streams s = streams(p, 0);
    char byte;

    expect(0, set_linger(p, s.client, 30));
    expect(1, p->send(s.client, "x", 1, 0));
    uint64_t start_ms = p->now_ms();
    expect(0, p->close(s.client));
    assert_true(p->now_ms() - start_ms < 2000);
    expect(1, p->recv(s.server, &byte, 1, 0));
    expect(0, p->recv(s.server, &byte, 1, 0));
}

static void close_lingers_for_its_time_and_goes_on_in_the_background(const struct posix *p)
{
    static char bytes[65536];
    struct streams s = streams(p, 0);

    expect(0, set_linger(p, s.client, 1));
    fill(p, s.client);
    uint64_t start_ms = p->now_ms();
    expect(0, p->close(s.client));
    expect_ms(1000, start_ms);
    expect_error(EBADF, p->close(s.client));
    expect(0, set_timeout(p, s.server, SO_RCVTIMEO, 5, 0));
    ssize_t got;
    do {
        got = p->recv(s.server, bytes, sizeof(bytes), 0);
    } while (got > 0);
    expect(0, got); /* the end, in order */
}

static void close_lingers_even_where_nothing_blocks(const struct posix *p)
{
    struct streams s = streams(p, SOCK_NONBLOCK);

    expect(0, set_linger(p, s.server, 1));
    fill(p, s.server);
    uint64_t start_ms = p->now_ms();
    expect(0, p->close(s.server));
    expect_ms(1000, start_ms);
}

static void close_with_linger_and_unread_bytes_resets(const struct posix *p)
{
    struct streams s = streams(p, 0);
    char byte;

    expect(0, set_linger(p, s.server, 30));
    expect(1, p->send(s.client, "x", 1, 0));
    uint64_t start_ms = p->now_ms();
    expect(0, p->close(s.server));
    assert_true(p->now_ms() - start_ms < 2000);
    expect_error(ECONNRESET, p->recv(s.client, &byte, 1, 0));
}

const struct posix_case wait_cases[] = {
    CASE(timeouts_are_read_back),
    CASE(timeouts_have_microseconds_in_range),
    CASE(timeouts_that_are_too_short_are_einval),
    CASE(a_negative_timeout_has_passed_already),
    CASE(recv_gives_up_after_its_time),
    CASE(accept_gives_up_after_its_time),
    CASE(send_gives_up_after_its_time),
    CASE(send_that_gives_up_tells_what_it_took),
    CASE(connect_gives_up_after_its_time),
    CASE(connect_again_without_blocking_is_ealready),
    CASE(calls_while_connecting_would_block),
    CASE(an_accepted_socket_inherits_its_timeouts),
    CASE(waitall_waits_for_all),
    CASE(waitall_fills_all_parts),
    CASE(waitall_ends_at_the_peers_end),
    CASE(waitall_does_not_block_where_nothing_does),
    CASE(waitall_peeks_until_all_is_there),
    CASE(trunc_throws_away_what_it_counts),
    CASE(the_low_water_mark_has_its_values),
    CASE(below_the_low_water_mark_nothing_is_readable),
    CASE(the_time_to_linger_is_read_back),
    CASE(close_that_lingers_ends_when_all_has_arrived),
    CASE(close_lingers_for_its_time_and_goes_on_in_the_background),
    CASE(close_lingers_even_where_nothing_blocks),
    CASE(close_with_linger_and_unread_bytes_resets),
    {NULL},
};
