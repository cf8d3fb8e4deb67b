/* SPDX-License-Identifier: MIT */
/* Who may have a port beside whom: SO_REUSEADDR, SO_REUSEPORT and TIME-WAIT. */
#include "posix.h"

#include <arpa/inet.h>

#define SOCKETS 4
#define ROUNDS  64

static void reuse(const struct posix *p, int fd, int name)
{
    expect(0, set_option(p, fd, SOL_SOCKET, name, 1));
}

static int bind_to(const struct posix *p, int fd, uint32_t host, uint16_t port)
{
    struct sockaddr_in in = address(host, port);

    return p->bind(fd, name_of(&in), sizeof(in));
}

/* A socket with an option on, if that is not 0. */
static int socket_with(const struct posix *p, int type, int name)
{
    int fd = p->socket(AF_INET, type, 0);

    assert_true(fd >= 0);
    if (name)
        reuse(p, fd, name);
    return fd;
}

/* Binds a second socket to the port of a first. Returns 0 or the errno. */
static int second(const struct posix *p, int type, int first_option, int second_option,
                  uint32_t second_host)
{
    int first = socket_with(p, type, first_option);
    int fd = socket_with(p, type, second_option);

    return bind_to(p, fd, second_host, bind_loopback(p, first, 0)) == 0 ? 0 : errno;
}

static void reuse_is_off_and_read_back(const struct posix *p)
{
    static const int names[] = {SO_REUSEADDR, SO_REUSEPORT};
    int fds[] = {tcp_socket(p, 0), udp_socket(p, 0)};

    for (int i = 0; i < 4; i++) {
        expect(0, option(p, fds[i / 2], SOL_SOCKET, names[i % 2]));
        expect(0, set_option(p, fds[i / 2], SOL_SOCKET, names[i % 2], 4));
        expect(1, option(p, fds[i / 2], SOL_SOCKET, names[i % 2]));
    }
}

static void both_have_to_say_it(const struct posix *p)
{
    static const struct {
        int first, second, result;
    } pairs[] = {
        {0, 0, EADDRINUSE},
        {SO_REUSEADDR, 0, EADDRINUSE},
        {0, SO_REUSEADDR, EADDRINUSE},
        {SO_REUSEADDR, SO_REUSEADDR, 0},
        {SO_REUSEPORT, 0, EADDRINUSE},
        {0, SO_REUSEPORT, EADDRINUSE},
        {SO_REUSEPORT, SO_REUSEPORT, 0},
        {SO_REUSEPORT, SO_REUSEADDR, EADDRINUSE},
        {SO_REUSEADDR, SO_REUSEPORT, EADDRINUSE},
    };

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        expect(pairs[i].result,
               second(p, SOCK_STREAM, pairs[i].first, pairs[i].second, INADDR_LOOPBACK));
        expect(pairs[i].result,
               second(p, SOCK_STREAM, pairs[i].first, pairs[i].second, INADDR_ANY));
        expect(pairs[i].result,
               second(p, SOCK_DGRAM, pairs[i].first, pairs[i].second, INADDR_LOOPBACK));
        expect(pairs[i].result, second(p, SOCK_DGRAM, pairs[i].first, pairs[i].second, INADDR_ANY));
    }
}

static void a_listener_shares_with_no_reuseaddr(const struct posix *p)
{
    int listener = socket_with(p, SOCK_STREAM, SO_REUSEADDR);
    int fd = socket_with(p, SOCK_STREAM, SO_REUSEADDR);
    uint16_t port = bind_loopback(p, listener, 0);

    expect(0, p->listen(listener, 1));
    expect_error(EADDRINUSE, bind_to(p, fd, INADDR_LOOPBACK, port));
    expect_error(EADDRINUSE, bind_to(p, fd, INADDR_ANY, port));
    expect(0, bind_to(p, fd, INADDR_LOOPBACK + 1, port));
}

static void of_two_that_share_by_reuseaddr_one_may_listen(const struct posix *p)
{
    int first = socket_with(p, SOCK_STREAM, SO_REUSEADDR);
    int other = socket_with(p, SOCK_STREAM, SO_REUSEADDR);

    bind_loopback(p, other, bind_loopback(p, first, 0));
    expect(0, p->listen(first, 1));
    expect_error(EADDRINUSE, p->listen(other, 1));
    expect(0, p->close(first));
    expect(0, p->listen(other, 1));
}

static void listeners_share_by_reuseport(const struct posix *p)
{
    int first = socket_with(p, SOCK_STREAM, SO_REUSEPORT);
    int other = socket_with(p, SOCK_STREAM, SO_REUSEPORT);

    bind_loopback(p, other, bind_loopback(p, first, 0));
    expect(0, p->listen(first, 1));
    expect(0, p->listen(other, 1));
    expect_error(EADDRINUSE, bind_to(p, tcp_socket(p, 0), INADDR_LOOPBACK, port_of(p, first)));
}

static void a_port_that_somebody_gives_up_is_free(const struct posix *p)
{
    int listener = tcp_socket(p, 0);
    uint16_t port = bind_loopback(p, listener, 0);

    expect(0, p->listen(listener, 1));
    expect(0, p->close(listener));
    bind_loopback(p, tcp_socket(p, 0), port);
}

static void connections_are_spread_over_listeners(const struct posix *p)
{
    int fds[SOCKETS], total = 0;
    uint16_t port = 0;

    for (int i = 0; i < SOCKETS; i++) {
        fds[i] = socket_with(p, SOCK_STREAM | SOCK_NONBLOCK, SO_REUSEPORT);
        port = bind_loopback(p, fds[i], port);
        expect(0, p->listen(fds[i], ROUNDS));
    }
    struct sockaddr_in in = loopback(port);
    for (int i = 0; i < ROUNDS; i++)
        expect(0, p->connect(tcp_socket(p, 0), name_of(&in), sizeof(in)));
    for (int i = 0; i < SOCKETS; i++) {
        int count = 0;
        while (p->accept(fds[i], NULL, NULL) >= 0)
            count++;
        assert_in_range(count, 1, ROUNDS / 2);
        total += count;
    }
    expect(ROUNDS, total);
}

static void datagrams_are_spread_by_where_they_come_from(const struct posix *p)
{
    int fds[SOCKETS], seen = 0;
    uint16_t port = 0;
    char byte;

    for (int i = 0; i < SOCKETS; i++) {
        fds[i] = socket_with(p, SOCK_DGRAM | SOCK_NONBLOCK, SO_REUSEPORT);
        port = bind_loopback(p, fds[i], port);
    }
    struct sockaddr_in in = loopback(port);
    for (int i = 0; i < ROUNDS; i++) {
        int from = udp_socket(p, 0);
        for (int n = 0; n < 3; n++) /* all of one flow go to one of them */
            expect(1, p->sendto(from, "x", 1, 0, name_of(&in), sizeof(in)));
        for (int n = 0; n < SOCKETS; n++) {
            if (p->recv(fds[n], &byte, 1, 0) < 0)
                continue;
            seen |= 1 << n;
            expect(1, p->recv(fds[n], &byte, 1, 0));
            expect(1, p->recv(fds[n], &byte, 1, 0));
        }
        expect(0, p->close(from));
    }
    expect((1 << SOCKETS) - 1, seen);
}

static void of_datagram_sockets_that_reuse_an_address_the_last_receives(const struct posix *p)
{
    int first = socket_with(p, SOCK_DGRAM | SOCK_NONBLOCK, SO_REUSEADDR);
    int last = socket_with(p, SOCK_DGRAM | SOCK_NONBLOCK, SO_REUSEADDR);
    uint16_t port = bind_loopback(p, last, bind_loopback(p, first, 0));
    struct sockaddr_in in = loopback(port);
    char byte;

    expect(1, p->sendto(udp_socket(p, 0), "x", 1, 0, name_of(&in), sizeof(in)));
    expect_error(EAGAIN, p->recv(first, &byte, 1, 0));
    expect(1, p->recv(last, &byte, 1, 0));
}

static void the_socket_that_names_most_receives(const struct posix *p)
{
    int any = socket_with(p, SOCK_DGRAM | SOCK_NONBLOCK, SO_REUSEADDR);
    int one = socket_with(p, SOCK_DGRAM | SOCK_NONBLOCK, SO_REUSEADDR);
    int connected = socket_with(p, SOCK_DGRAM | SOCK_NONBLOCK, SO_REUSEADDR);
    int peer = udp_socket(p, 0);
    struct sockaddr_in from = loopback(bind_loopback(p, peer, 0));
    uint16_t port = bind_loopback(p, connected, 0);
    struct sockaddr_in to = loopback(port), elsewhere = address(INADDR_LOOPBACK + 1, port);
    char byte;

    expect(0, p->connect(connected, name_of(&from), sizeof(from)));
    bind_loopback(p, one, port);
    expect(0, bind_to(p, any, INADDR_ANY, port));
    expect(1, p->sendto(peer, "x", 1, 0, name_of(&to), sizeof(to)));
    expect(1, p->recv(connected, &byte, 1, 0));
    expect(1, p->sendto(udp_socket(p, 0), "x", 1, 0, name_of(&to), sizeof(to)));
    expect(1, p->recv(one, &byte, 1, 0));
    expect(1, p->sendto(peer, "x", 1, 0, name_of(&elsewhere), sizeof(elsewhere)));
    expect(1, p->recv(any, &byte, 1, 0));
}

/* ---- What connections leave behind ---- */

/* A server that has closed first, and so is in TIME-WAIT; its listener is gone. */
static uint16_t served(const struct posix *p, int option_name)
{
    int listener = socket_with(p, SOCK_STREAM, option_name), client = tcp_socket(p, 0);
    struct sockaddr_in in = loopback(bind_loopback(p, listener, 0));

    expect(0, p->listen(listener, 1));
    expect(0, p->connect(client, name_of(&in), sizeof(in)));
    int server = p->accept(listener, NULL, NULL);
    expect(0, p->close(server));
    expect(0, p->close(client));
    expect(0, p->close(listener));
    p->wait(1);
    return ntohs(in.sin_port);
}

static void time_wait_holds_a_port(const struct posix *p)
{
    expect_error(EADDRINUSE, bind_to(p, tcp_socket(p, 0), INADDR_LOOPBACK, served(p, 0)));
    expect_error(EADDRINUSE, bind_to(p, socket_with(p, SOCK_STREAM, SO_REUSEADDR), INADDR_LOOPBACK,
                                     served(p, 0)));
    expect_error(EADDRINUSE, bind_to(p, tcp_socket(p, 0), INADDR_ANY, served(p, SO_REUSEADDR)));
}

static void time_wait_gives_way_if_both_say_so(const struct posix *p)
{
    static const int names[] = {SO_REUSEADDR, SO_REUSEPORT};

    for (int i = 0; i < 2; i++) {
        uint16_t port = served(p, names[i]);
        int fd = socket_with(p, SOCK_STREAM, names[i]);
        expect(0, bind_to(p, fd, INADDR_LOOPBACK, port));
        expect(0, p->listen(fd, 1));
    }
}

static void a_connection_holds_its_port(const struct posix *p)
{
    struct streams s = streams(p, 0);

    expect_error(EADDRINUSE, bind_to(p, tcp_socket(p, 0), INADDR_LOOPBACK, port_of(p, s.server)));
    expect_error(EADDRINUSE, bind_to(p, socket_with(p, SOCK_STREAM, SO_REUSEADDR), INADDR_LOOPBACK,
                                     port_of(p, s.client)));
    reuse(p, s.server, SO_REUSEADDR);
    expect(0, bind_to(p, socket_with(p, SOCK_STREAM, SO_REUSEADDR), INADDR_LOOPBACK,
                      port_of(p, s.server)));
}

static void what_waits_to_be_accepted_shares_as_its_listener_does(const struct posix *p)
{
    int listener = socket_with(p, SOCK_STREAM, SO_REUSEPORT), client = tcp_socket(p, 0);
    struct sockaddr_in in = loopback(bind_loopback(p, listener, 0));

    expect(0, p->listen(listener, 1));
    expect(0, p->connect(client, name_of(&in), sizeof(in)));
    p->wait(1);
    expect(0, bind_to(p, socket_with(p, SOCK_STREAM, SO_REUSEPORT), INADDR_LOOPBACK,
                      ntohs(in.sin_port)));
}

static void connect_to_a_pair_that_exists_is_eaddrnotavail(const struct posix *p)
{
    uint16_t port;
    int on = 1, first = tcp_socket(p, 0), second = tcp_socket(p, 0);

    listening(p, &port);
    struct sockaddr_in in = loopback(port);
    expect(0, p->setsockopt(first, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
    expect(0, p->setsockopt(second, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
    bind_loopback(p, second, bind_loopback(p, first, 0));
    expect(0, p->connect(first, name_of(&in), sizeof(in)));
    expect_error(EADDRNOTAVAIL, p->connect(second, name_of(&in), sizeof(in)));
}

const struct posix_case reuse_cases[] = {
    CASE(reuse_is_off_and_read_back),
    CASE(both_have_to_say_it),
    CASE(a_listener_shares_with_no_reuseaddr),
    CASE(of_two_that_share_by_reuseaddr_one_may_listen),
    CASE(listeners_share_by_reuseport),
    CASE(a_port_that_somebody_gives_up_is_free),
    CASE(connections_are_spread_over_listeners),
    CASE(datagrams_are_spread_by_where_they_come_from),
    CASE(of_datagram_sockets_that_reuse_an_address_the_last_receives),
    CASE(the_socket_that_names_most_receives),
    CASE(time_wait_holds_a_port),
    CASE(time_wait_gives_way_if_both_say_so),
    CASE(a_connection_holds_its_port),
    CASE(what_waits_to_be_accepted_shares_as_its_listener_does),
    CASE(connect_to_a_pair_that_exists_is_eaddrnotavail),
    {NULL},
};
