/* SPDX-License-Identifier: MIT */
/* Options of the level IPPROTO_TCP. */
#include "posix.h"

#include <linux/tcp.h>

#define ESTABLISHED 1 /* Linux's numbers of the states */
#define CLOSED      7
#define CLOSE_WAIT  8
#define LISTENING   10

static struct tcp_info info(const struct posix *p, int fd)
{
    struct tcp_info value = {0};
    socklen_t length = sizeof(value);

    expect(0, p->getsockopt(fd, IPPROTO_TCP, TCP_INFO, &value, &length));
    assert_int_equal(length, sizeof(value));
    return value;
}

/* ---- TCP_MAXSEG ---- */

static void maxseg_has_its_limits(const struct posix *p)
{
    int fd = tcp_socket(p, 0);

    expect(536, option(p, fd, IPPROTO_TCP, TCP_MAXSEG));
    expect_error(EINVAL, set_option(p, fd, IPPROTO_TCP, TCP_MAXSEG, 87));
    expect_error(EINVAL, set_option(p, fd, IPPROTO_TCP, TCP_MAXSEG, 32768));
    expect_error(EINVAL, set_option(p, fd, IPPROTO_TCP, TCP_MAXSEG, -1));
    expect(0, set_option(p, fd, IPPROTO_TCP, TCP_MAXSEG, 88));
    expect(88, option(p, fd, IPPROTO_TCP, TCP_MAXSEG));
    expect(0, set_option(p, fd, IPPROTO_TCP, TCP_MAXSEG, 0));
    expect(536, option(p, fd, IPPROTO_TCP, TCP_MAXSEG));
}

/* With timestamps, 12 bytes of each segment are theirs. */
static void maxseg_limits_both_directions(const struct posix *p)
{
    for (int by_server = 0; by_server < 2; by_server++) {
        uint16_t port;
        int listener = listening(p, &port), client = tcp_socket(p, 0);
        struct sockaddr_in in = loopback(port);
        expect(0, set_option(p, by_server ? listener : client, IPPROTO_TCP, TCP_MAXSEG, 1000));
        expect(0, p->connect(client, name_of(&in), sizeof(in)));
        int server = p->accept(listener, NULL, NULL);
        expect(988, option(p, client, IPPROTO_TCP, TCP_MAXSEG));
        expect(988, option(p, server, IPPROTO_TCP, TCP_MAXSEG));
    }
}

/* ---- Others ---- */

static void quickack_can_be_turned_off_and_on(const struct posix *p)
{
    int fd = tcp_socket(p, 0);

    expect(1, option(p, fd, IPPROTO_TCP, TCP_QUICKACK));
    expect(0, set_option(p, fd, IPPROTO_TCP, TCP_QUICKACK, 0));
    expect(0, option(p, fd, IPPROTO_TCP, TCP_QUICKACK));
    expect(0, set_option(p, fd, IPPROTO_TCP, TCP_QUICKACK, 1));
    expect(1, option(p, fd, IPPROTO_TCP, TCP_QUICKACK));
}

static void the_retries_of_a_syn_have_their_limits(const struct posix *p)
{
    int fd = tcp_socket(p, 0);

    expect_error(EINVAL, set_option(p, fd, IPPROTO_TCP, TCP_SYNCNT, 0));
    expect_error(EINVAL, set_option(p, fd, IPPROTO_TCP, TCP_SYNCNT, 128));
    expect(0, set_option(p, fd, IPPROTO_TCP, TCP_SYNCNT, 127));
    expect(127, option(p, fd, IPPROTO_TCP, TCP_SYNCNT));
}

static void the_unsent_low_water_mark_is_read_back(const struct posix *p)
{
    int fd = tcp_socket(p, 0);

    expect(0, option(p, fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT));
    expect(0, set_option(p, fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 4096));
    expect(4096, option(p, fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT));
    expect(0, set_option(p, fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, -1));
    expect(-1, option(p, fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT));
}

static void what_was_never_sent_is_limited(const struct posix *p)
{
    static char bytes[1 << 20];
    struct streams s = streams(p, 0);
    ssize_t got;

    expect(0, set_option(p, s.client, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384));
    while (p->send(s.client, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
        p->wait(1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(events(p, s.client, POLLOUT), 0);
    assert_in_range(info(p, s.client).tcpi_notsent_bytes, 8192, 262144);
    p->wait(100);
    do {
        got = p->recv(s.server, bytes, sizeof(bytes), MSG_DONTWAIT);
        p->wait(50); /* for updates of the window */
    } while (got > 0);
    assert_int_equal(events(p, s.client, POLLOUT), POLLOUT);
}

static void congestion_control_has_a_name(const struct posix *p)
{
    char name[32] = {0};
    socklen_t length = sizeof(name);
    int fd = tcp_socket(p, 0);

    expect(0, p->setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
    expect(0, p->getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length));
    assert_int_equal(length, 16);
    assert_string_equal(name, "reno");
    length = 2;
    memset(name, '-', sizeof(name));
    expect(0, p->getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length));
    assert_int_equal(length, 2);
    assert_memory_equal(name, "re-", 3);
}

static void congestion_control_that_is_not_there_is_enoent(const struct posix *p)
{
    int fd = tcp_socket(p, 0);

    expect_error(ENOENT, p->setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nonesuch", 8));
    expect_error(ENOENT,
                 p->setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "renorenorenorenoreno", 20));
    expect_error(EINVAL, p->setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 0));
    expect_error(EFAULT, p->setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, NULL, 4));
}

/* ---- TCP_INFO ---- */

static void info_tells_the_state(const struct posix *p)
{
    uint16_t port;
    struct streams s = streams(p, 0);

    expect(CLOSED, info(p, tcp_socket(p, 0)).tcpi_state);
    expect(LISTENING, info(p, listening(p, &port)).tcpi_state);
    expect(ESTABLISHED, info(p, s.client).tcpi_state);
    expect(0, p->shutdown(s.server, SHUT_WR));
    expect(CLOSE_WAIT, info(p, s.client).tcpi_state);
}

static void info_of_a_listener_tells_how_many_wait(const struct posix *p)
{
    uint16_t port;
    int fd = listening(p, &port);
    struct sockaddr_in in = loopback(port);

    expect(0, info(p, fd).tcpi_unacked);
    expect(0, p->connect(tcp_socket(p, 0), name_of(&in), sizeof(in)));
    expect(1, info(p, fd).tcpi_unacked);
    expect(8, info(p, fd).tcpi_sacked);
}

static void info_counts_what_has_passed(const struct posix *p)
{
    static char bytes[10000];
    struct streams s = streams(p, 0);

    expect(10000, p->send(s.client, bytes, 10000, 0));
    p->wait(100);
    expect(10000, p->recv(s.server, bytes, 10000, MSG_WAITALL));
    struct tcp_info client = info(p, s.client), server = info(p, s.server);
    assert_in_range(client.tcpi_bytes_acked, 10000, 10001); /* Linux counts the SYN */
    assert_int_equal(client.tcpi_bytes_sent, 10000);
    assert_int_equal(client.tcpi_bytes_retrans, 0);
    assert_int_equal(client.tcpi_bytes_received, 0);
    assert_int_equal(client.tcpi_notsent_bytes, 0);
    assert_int_equal(client.tcpi_unacked, 0);
    assert_int_equal(client.tcpi_total_retrans, 0);
    assert_int_equal(client.tcpi_data_segs_in, 0);
    assert_in_range(client.tcpi_data_segs_out, 1, 20);
    assert_int_equal(client.tcpi_segs_out, client.tcpi_data_segs_out + 2); /* SYN and ACK */
    assert_int_equal(server.tcpi_bytes_received, 10000);
    assert_int_equal(server.tcpi_data_segs_in, client.tcpi_data_segs_out);
    assert_int_equal(server.tcpi_data_segs_out, 0);
    assert_in_range(server.tcpi_segs_in, server.tcpi_data_segs_in, client.tcpi_segs_out);
    assert_in_range(client.tcpi_snd_wnd, 10000, 100000000);
    assert_in_range(client.tcpi_min_rtt, 0, client.tcpi_rtt + client.tcpi_rttvar + 1000);
    assert_in_range(client.tcpi_last_data_sent, 90, 5000);
    assert_in_range(server.tcpi_last_data_recv, 90, 5000);
}

static void info_tells_what_waits(const struct posix *p)
{
    struct streams s = streams(p, 0);

    fill(p, s.client);
    assert_in_range(info(p, s.client).tcpi_notsent_bytes, 1, 100000000);
    assert_in_range(info(p, s.client).tcpi_bytes_acked, 1, 100000000);
}

static void info_is_cut_to_the_room_there_is(const struct posix *p)
{
    char byte[2] = {0, 77};
    socklen_t length = 1;

    expect(0, p->getsockopt(streams(p, 0).client, IPPROTO_TCP, TCP_INFO, byte, &length));
    assert_int_equal(length, 1);
    assert_int_equal(byte[0], ESTABLISHED);
    assert_int_equal(byte[1], 77);
    expect_error(ENOPROTOOPT, set_option(p, tcp_socket(p, 0), IPPROTO_TCP, TCP_INFO, 1));
}

const struct posix_case tcp_cases[] = {
    CASE(maxseg_has_its_limits),
    CASE(maxseg_limits_both_directions),
    CASE(quickack_can_be_turned_off_and_on),
    CASE(the_retries_of_a_syn_have_their_limits),
    CASE(the_unsent_low_water_mark_is_read_back),
    CASE(what_was_never_sent_is_limited),
    CASE(congestion_control_has_a_name),
    CASE(congestion_control_that_is_not_there_is_enoent),
    CASE(info_tells_the_state),
    CASE(info_of_a_listener_tells_how_many_wait),
    CASE(info_counts_what_has_passed),
    CASE(info_tells_what_waits),
    CASE(info_is_cut_to_the_room_there_is),
    {NULL},
};
