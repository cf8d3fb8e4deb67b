/* SPDX-License-Identifier: MIT */
/* poll: which events hold when. */
#define _GNU_SOURCE /* POLLRDHUP */
#include "posix.h"

#define ALL (POLLIN | POLLPRI | POLLOUT | POLLRDHUP)

static void poll_of_no_descriptor_is_pollnval(const struct posix *p)
{
    assert_int_equal(events(p, NO_SUCH_FD, ALL), POLLNVAL);
}

static void poll_of_a_negative_descriptor_is_silent(const struct posix *p)
{
    struct pollfd one = {.fd = -1, .events = ALL, .revents = 77};

    expect(0, p->poll(&one, 1, 0));
    assert_int_equal(one.revents, 0);
}

static void poll_of_a_new_stream_says_it_is_over(const struct posix *p)
{
    assert_int_equal(events(p, tcp_socket(p, 0), ALL), POLLOUT | POLLHUP);
    assert_int_equal(events(p, tcp_socket(p, 0), 0), POLLHUP);
}

static void poll_of_a_new_datagram_socket_is_writable(const struct posix *p)
{
    assert_int_equal(events(p, udp_socket(p, 0), ALL), POLLOUT);
}

static void poll_of_a_listener_tells_of_connections(const struct posix *p)
{
    uint16_t port;
    int fd = listening(p, &port);
    struct sockaddr_in in = loopback(port);

    assert_int_equal(events(p, fd, ALL), 0);
    expect(0, p->connect(tcp_socket(p, 0), name_of(&in), sizeof(in)));
    assert_int_equal(events(p, fd, ALL), POLLIN);
}

static void poll_of_a_stream_tells_of_data_and_room(const struct posix *p)
{
    struct streams s = streams(p, 0);

    assert_int_equal(events(p, s.server, ALL), POLLOUT);
    expect(1, p->send(s.client, "x", 1, 0));
    assert_int_equal(events(p, s.server, ALL), POLLIN | POLLOUT);
}

static void poll_tells_of_the_peers_end(const struct posix *p)
{
    struct streams s = streams(p, 0);

    expect(0, p->shutdown(s.client, SHUT_WR));
    assert_int_equal(events(p, s.server, ALL), POLLIN | POLLOUT | POLLRDHUP);
    expect(0, p->shutdown(s.server, SHUT_WR));
    assert_int_equal(events(p, s.server, ALL), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
}

static void poll_tells_of_a_reset(const struct posix *p)
{
    struct streams s = streams(p, 0);
    struct linger linger = {.l_onoff = 1};

    expect(0, p->setsockopt(s.server, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
    expect(0, p->close(s.server));
    assert_int_equal(events(p, s.client, ALL), POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR);
}

static void poll_of_our_own_shutdown_for_reading_is_readable(const struct posix *p)
{
    struct streams s = streams(p, 0);

    expect(0, p->shutdown(s.client, SHUT_RD));
    assert_int_equal(events(p, s.client, ALL), POLLIN | POLLOUT | POLLRDHUP);
}

static void poll_knows_the_other_names_of_its_events(const struct posix *p)
{
    struct streams s = streams(p, 0);

    expect(1, p->send(s.client, "x", 1, 0));
    assert_int_equal(events(p, s.server, POLLRDNORM | POLLWRNORM), POLLRDNORM | POLLWRNORM);
}

static void poll_waits_until_its_time_is_over(const struct posix *p)
{
    struct streams s = streams(p, 0);
    struct pollfd one = {.fd = s.server, .events = POLLIN};
    uint64_t start_ms = p->now_ms();

    expect(0, p->poll(&one, 1, 30));
    assert_in_range(p->now_ms() - start_ms, 29, 2000);
}

static void poll_counts_those_that_have_events(const struct posix *p)
{
    struct streams s = streams(p, 0);
    struct pollfd fds[] = {
        {.fd = s.client, .events = POLLIN},
        {.fd = s.server, .events = POLLOUT},
        {.fd = NO_SUCH_FD, .events = POLLIN},
    };

    expect(2, p->poll(fds, 3, -1));
    expect(0, p->poll(NULL, 0, 0));
}

static void poll_of_nowhere_is_efault(const struct posix *p)
{
    expect_error(EFAULT, p->poll(NULL, 1, 0));
}

static void poll_of_more_than_can_be_open_is_einval(const struct posix *p)
{
    expect_error(EINVAL, p->poll(NULL, (nfds_t)-1, 0));
}

const struct posix_case poll_cases[] = {
    CASE(poll_of_no_descriptor_is_pollnval),
    CASE(poll_of_a_negative_descriptor_is_silent),
    CASE(poll_of_a_new_stream_says_it_is_over),
    CASE(poll_of_a_new_datagram_socket_is_writable),
    CASE(poll_of_a_listener_tells_of_connections),
    CASE(poll_of_a_stream_tells_of_data_and_room),
    CASE(poll_tells_of_the_peers_end),
    CASE(poll_tells_of_a_reset),
    CASE(poll_of_our_own_shutdown_for_reading_is_readable),
    CASE(poll_knows_the_other_names_of_its_events),
    CASE(poll_waits_until_its_time_is_over),
    CASE(poll_counts_those_that_have_events),
    CASE(poll_of_nowhere_is_efault),
    CASE(poll_of_more_than_can_be_open_is_einval),
    {NULL},
};
