/* SPDX-License-Identifier: MIT */
/* Sending and receiving on sockets: how much is moved, when a call waits, and every refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

#define BUFFER_BYTES 20000  /* of the sockets in tests that fill them */
#define MUCH         300000 /* far more than both buffers of a connection hold */

static void small_buffers(struct strait_config *config)
{
    config->send_buffer_bytes = BUFFER_BYTES;
    config->receive_buffer_bytes = BUFFER_BYTES;
}

/* The byte at a position of the test's stream. */
static char pattern(size_t position)
{
    return (char)(position * 2654435761u >> 13);
}

static char *pattern_new(size_t length)
{
    char *bytes = malloc(length);
    assert_non_null(bytes);
    for (size_t i = 0; i < length; i++)
        bytes[i] = pattern(i);
    return bytes;
}

/* A reader that takes what comes and compares it with the pattern. */
struct reader {
    struct strait *stack;
    size_t got;
};

static void read_and_compare(void *argument, int fd, short revents)
{
    struct reader *r = argument;
    char bytes[7000];
    ssize_t got = strait_recv(r->stack, fd, bytes, sizeof(bytes), 0);
    assert_true(revents & POLLIN);
    assert_true(got > 0);
    for (ssize_t i = 0; i < got; i++)
        assert_int_equal(bytes[i], pattern(r->got++));
}

/* A connection from a blocking client socket to a non-blocking one. */
static void blocking_client(struct wire *w, int *client, int *server)
{
    int listener = wire_listener(w);
    *client = wire_stream(w->left, 0);
    assert_int_equal(wire_connect(w, *client, WIRE_PORT), 0);
    wire_run(w);
    *server = strait_accept4(w->right, listener, NULL, NULL, SOCK_NONBLOCK);
    assert_true(*server >= 0);
}

/* ---- Streams ---- */

static void stream_without_connection_is_epipe_or_enotconn(void **state)
{
    struct wire *w = *state;
    char byte = 0;
    struct sockaddr_in to = pair_address(1, WIRE_PORT);
    int fds[] = {wire_stream(w->right, SOCK_NONBLOCK), wire_listener(w)};
    for (int i = 0; i < 2; i++) {
        assert_errno(strait_send(w->right, fds[i], &byte, 1, 0), EPIPE);
        assert_errno(strait_write(w->right, fds[i], &byte, 1), EPIPE);
        assert_errno(strait_recv(w->right, fds[i], &byte, 1, 0), ENOTCONN);
        assert_errno(strait_read(w->right, fds[i], &byte, 1), ENOTCONN);
        assert_errno(
            strait_sendto(w->right, fds[i], &byte, 1, 0, (struct sockaddr *)&to, sizeof(to)),
            EPIPE);
    }
}

static void unknown_flags_are_eopnotsupp(void **state)
{
    struct wire *w = *state;
    int client, server, udp = wire_datagram(w->left, 53, SOCK_NONBLOCK);
    char byte = 0;
    wire_established(w, wire_listener(w), &client, &server);
    static const int send_flags[] = {MSG_PEEK, MSG_EOR, MSG_ERRQUEUE};
    for (size_t i = 0; i < sizeof(send_flags) / sizeof(send_flags[0]); i++) {
        assert_errno(strait_send(w->left, client, &byte, 1, send_flags[i]), EOPNOTSUPP);
        assert_errno(strait_send(w->left, udp, &byte, 1, send_flags[i]), EOPNOTSUPP);
    }
    assert_errno(strait_send(w->left, udp, &byte, 1, MSG_MORE), EOPNOTSUPP);
    assert_errno(strait_send(w->left, udp, &byte, 1, MSG_OOB), EOPNOTSUPP);
    static const int receive_flags[] = {MSG_EOR, MSG_MORE};
    for (size_t i = 0; i < sizeof(receive_flags) / sizeof(receive_flags[0]); i++) {
        assert_errno(strait_recv(w->left, client, &byte, 1, receive_flags[i]), EOPNOTSUPP);
        assert_errno(strait_recv(w->left, udp, &byte, 1, receive_flags[i]), EOPNOTSUPP);
    }
    assert_errno(strait_recv(w->left, client, &byte, 1, MSG_OOB), EINVAL);
    assert_errno(strait_recv(w->left, udp, &byte, 1, MSG_OOB), EOPNOTSUPP);
}

static void nonblocking_send_takes_what_fits(void **state)
{
    (void)state;
    struct wire *w = wire_new(small_buffers);
    int client, server;
    char *bytes = pattern_new(MUCH);
    wire_established(w, wire_listener(w), &client, &server);
    ssize_t sent = strait_send(w->left, client, bytes, MUCH, MSG_NOSIGNAL);
    assert_in_range(sent, 1, BUFFER_BYTES);
    wire_run(w);
    assert_errno(strait_recv(w->left, client, bytes, 1, 0), EAGAIN);
    while (strait_send(w->left, client, bytes, MUCH, 0) > 0)
        wire_run(w);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(strait_send(w->left, client, bytes, 0, 0), 0);
    free(bytes);
    wire_free(w);
}

static void blocking_send_returns_when_all_is_taken(void **state)
{
    (void)state;
    struct wire *w = wire_new(small_buffers);
    int client, server;
    char *bytes = pattern_new(MUCH);
    blocking_client(w, &client, &server);
    struct reader reader = {.stack = w->right};
    assert_int_equal(strait_watch(w->right, server, POLLIN, read_and_compare, &reader), 0);
    assert_int_equal(strait_send(w->left, client, bytes, MUCH, 0), MUCH);
    wire_run(w);
    assert_int_equal(reader.got, MUCH);
    free(bytes);
    wire_free(w);
}

static void blocking_writev_goes_on_inside_any_part(void **state)
{
    (void)state;
    struct wire *w = wire_new(small_buffers);
    int client, server;
    char *bytes = pattern_new(MUCH);
    const size_t lengths[] = {0, 1, 0, 19999, 1, 70001, 3, 0, 150000, 0};
    struct iovec parts[11];
    size_t at = 0;
    for (int i = 0; i < 10; i++) {
        parts[i] = (struct iovec){bytes + at, lengths[i]};
        at += lengths[i];
    }
    parts[10] = (struct iovec){bytes + at, MUCH - at};
    blocking_client(w, &client, &server);
    struct reader reader = {.stack = w->right};
    assert_int_equal(strait_watch(w->right, server, POLLIN, read_and_compare, &reader), 0);
    assert_int_equal(strait_writev(w->left, client, parts, 11), MUCH);
    wire_run(w);
    assert_int_equal(reader.got, MUCH);
    free(bytes);
    wire_free(w);
}

static void blocking_send_that_is_cut_short_returns_the_part(void **state)
{
    (void)state;
    struct wire *w = wire_new(small_buffers);
    int client, server;
    char *bytes = pattern_new(MUCH);
    blocking_client(w, &client, &server);
    wire_interrupt(w, true);
    assert_in_range(strait_send(w->left, client, bytes, MUCH, 0), 1, BUFFER_BYTES);
    assert_errno(strait_send(w->left, client, bytes, MUCH, 0), EINTR);
    assert_errno(strait_send(w->left, client, bytes, MUCH, MSG_DONTWAIT), EAGAIN);
    pair_env(w->pair)->wait = NULL;
    assert_errno(strait_send(w->left, client, bytes, MUCH, 0), EAGAIN);
    free(bytes);
    wire_free(w);
}

/* Takes a little and resets the connection. */
static void read_and_reset(void *argument, int fd, short revents)
{
    struct wire *w = argument;
    char byte;
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    (void)revents;
    assert_int_equal(strait_recv(w->right, fd, &byte, 1, 0), 1);
    assert_int_equal(strait_setsockopt(w->right, fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    assert_int_equal(strait_close(w->right, fd), 0);
}

static void error_after_a_part_was_sent_is_told_by_the_next_call(void **state)
{
    (void)state;
    struct wire *w = wire_new(small_buffers);
    int client, server;
    char *bytes = pattern_new(MUCH);
    blocking_client(w, &client, &server);
    assert_int_equal(strait_watch(w->right, server, POLLIN, read_and_reset, w), 0);
    assert_in_range(strait_send(w->left, client, bytes, MUCH, 0), 1, MUCH - 1);
    assert_errno(strait_send(w->left, client, bytes, MUCH, 0), ECONNRESET);
    assert_errno(strait_send(w->left, client, bytes, MUCH, 0), EPIPE);
    free(bytes);
    wire_free(w);
}

struct closer {
    struct strait *stack;
    int fd;
};

static void close_it(void *argument, int fd, short revents)
{
    struct closer *c = argument;
    (void)revents;
    assert_int_equal(strait_close(c->stack, c->fd), 0);
    strait_watch(c->stack, fd, 0, NULL, NULL);
}

static void socket_closed_during_a_blocking_call_is_ebadf(void **state)
{
    struct wire *w = *state;
    int client, server;
    char byte;
    blocking_client(w, &client, &server);
    int other = wire_datagram(w->left, 0, SOCK_NONBLOCK); /* writable at once */
    struct closer closer = {.stack = w->left, .fd = client};
    assert_int_equal(strait_watch(w->left, other, POLLOUT, close_it, &closer), 0);
    assert_errno(strait_recv(w->left, client, &byte, 1, 0), EBADF);
}

static void blocking_recv_returns_what_is_there(void **state)
{
    struct wire *w = *state;
    int client, server;
    char bytes[100];
    blocking_client(w, &client, &server);
    assert_errno(strait_recv(w->left, client, bytes, sizeof(bytes), MSG_DONTWAIT), EAGAIN);
    assert_int_equal(strait_send(w->right, server, "three", 5, 0), 5);
    assert_int_equal(strait_recv(w->left, client, bytes, sizeof(bytes), 0), 5);
    assert_memory_equal(bytes, "three", 5);
    wire_interrupt(w, true);
    assert_errno(strait_recv(w->left, client, bytes, sizeof(bytes), 0), EINTR);
    wire_interrupt(w, false);
    assert_int_equal(strait_close(w->right, server), 0);
    assert_int_equal(strait_recv(w->left, client, bytes, sizeof(bytes), 0), 0);
}

static void peek_leaves_the_bytes(void **state)
{
    struct wire *w = *state;
    int client, server;
    char bytes[8] = {0};
    wire_established(w, wire_listener(w), &client, &server);
    assert_int_equal(strait_send(w->left, client, "abcdef", 6, 0), 6);
    wire_run(w);
    assert_int_equal(strait_recv(w->right, server, bytes, 3, MSG_PEEK), 3);
    assert_int_equal(strait_recv(w->right, server, bytes, 8, MSG_PEEK), 6);
    assert_memory_equal(bytes, "abcdef", 6);
    struct iovec parts[] = {{bytes, 2}, {NULL, 0}, {bytes + 4, 1}, {bytes + 6, 2}};
    assert_int_equal(strait_readv(w->right, server, parts, 4), 5);
    assert_memory_equal(bytes, "ab", 2);
    assert_memory_equal(bytes + 4, "c", 1);
    assert_memory_equal(bytes + 6, "de", 2);
    assert_int_equal(strait_read(w->right, server, bytes, 8), 1);
    assert_int_equal(bytes[0], 'f');
    assert_errno(strait_read(w->right, server, bytes, 8), EAGAIN);
}

static void name_is_ignored_on_a_connected_stream(void **state)
{
    struct wire *w = *state;
    int client, server;
    char bytes[8];
    struct sockaddr_in name = pair_address(0, 1);
    socklen_t length = sizeof(name);
    wire_established(w, wire_listener(w), &client, &server);
    assert_int_equal(strait_sendto(w->left, client, "x", 1, 0, (struct sockaddr *)&name, 3), 1);
    wire_run(w);
    assert_int_equal(
        strait_recvfrom(w->right, server, bytes, 8, 0, (struct sockaddr *)&name, &length), 1);
    assert_int_equal(length, 0);
}

static void moving_no_bytes_succeeds(void **state)
{
    struct wire *w = *state;
    int client, server;
    char byte;
    wire_established(w, wire_listener(w), &client, &server);
    assert_int_equal(strait_send(w->left, client, "", 0, 0), 0);
    assert_int_equal(strait_write(w->left, client, "", 0), 0);
    assert_int_equal(strait_writev(w->left, client, NULL, 0), 0);
    assert_int_equal(strait_read(w->right, server, &byte, 0), 0);
    assert_int_equal(strait_readv(w->right, server, NULL, 0), 0);
    assert_int_equal(strait_send(w->left, client, "x", 1, 0), 1);
    wire_run(w);
    assert_int_equal(strait_recv(w->right, server, &byte, 0, 0), 0);
    assert_int_equal(strait_recv(w->right, server, &byte, 1, 0), 1);
}

static void counts_and_lengths_out_of_range_are_refused(void **state)
{
    struct wire *w = *state;
    int client, server;
    static struct iovec many[1025];
    char byte = 0;
    wire_established(w, wire_listener(w), &client, &server);
    assert_errno(strait_writev(w->left, client, many, 1025), EINVAL);
    assert_errno(strait_readv(w->left, client, many, 1025), EINVAL);
    assert_errno(strait_writev(w->left, client, many, -1), EINVAL);
    assert_errno(strait_readv(w->left, client, many, -1), EINVAL);
    assert_int_equal(strait_writev(w->left, client, many, 1024), 0);
    struct msghdr message = {.msg_iov = many, .msg_iovlen = 1025};
    assert_errno(strait_sendmsg(w->left, client, &message, 0), EMSGSIZE);
    assert_errno(strait_recvmsg(w->left, client, &message, 0), EMSGSIZE);
    struct iovec huge[] = {{&byte, SSIZE_MAX}, {&byte, 1}};
    assert_errno(strait_writev(w->left, client, huge, 2), EINVAL);
    assert_errno(strait_readv(w->left, client, huge, 2), EINVAL);
    message = (struct msghdr){.msg_iov = huge, .msg_iovlen = 2};
    assert_errno(strait_sendmsg(w->left, client, &message, 0), EINVAL);
    assert_errno(strait_recvmsg(w->left, client, &message, 0), EINVAL);
    assert_errno(strait_send(w->left, client, &byte, SIZE_MAX, 0), EFAULT);
}

static void no_control_data_come_with_a_stream(void **state)
{
    struct wire *w = *state;
    int client, server;
    char byte = 'x', control[64];
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    wire_established(w, wire_listener(w), &client, &server);
    message.msg_controllen = 0;
    assert_int_equal(strait_sendmsg(w->left, client, &message, 0), 1);
    wire_run(w);
    message.msg_controllen = sizeof(control);
    message.msg_flags = -1;
    assert_int_equal(strait_recvmsg(w->right, server, &message, 0), 1);
    assert_int_equal(message.msg_controllen, 0);
    assert_int_equal(message.msg_flags, 0);
}

/* ---- Datagrams ---- */

static ssize_t send_to(struct wire *w, int fd, const void *bytes, size_t length, uint16_t port)
{
    struct sockaddr_in to = pair_address(1, port);
    return strait_sendto(w->left, fd, bytes, length, 0, (struct sockaddr *)&to, sizeof(to));
}

static void datagrams_keep_their_bounds_and_tell_their_sender(void **state)
{
    struct wire *w = *state;
    int from = wire_datagram(w->left, 1000, SOCK_NONBLOCK);
    int to = wire_datagram(w->right, 2000, SOCK_NONBLOCK);
    char bytes[100];
    struct sockaddr_in name;
    socklen_t length = sizeof(name);
    assert_errno(strait_recv(w->right, to, bytes, sizeof(bytes), 0), EAGAIN);
    assert_int_equal(send_to(w, from, "one", 3, 2000), 3);
    assert_int_equal(send_to(w, from, "", 0, 2000), 0);
    assert_int_equal(send_to(w, from, "three", 5, 2000), 5);
    wire_run(w);
    assert_int_equal(
        strait_recvfrom(w->right, to, bytes, sizeof(bytes), 0, (struct sockaddr *)&name, &length),
        3);
    assert_memory_equal(bytes, "one", 3);
    assert_int_equal(length, sizeof(name));
    assert_int_equal(name.sin_port, htons(1000));
    assert_int_equal(name.sin_addr.s_addr, htonl(0x0a000001));
    assert_int_equal(strait_read(w->right, to, bytes, 0), 0); /* takes none, as Linux */
    assert_int_equal(strait_recv(w->right, to, bytes, sizeof(bytes), 0), 0);
    assert_int_equal(strait_recv(w->right, to, bytes, sizeof(bytes), 0), 5);
    assert_errno(strait_recv(w->right, to, bytes, sizeof(bytes), 0), EAGAIN);
}

static void long_datagram_is_cut_and_says_so(void **state)
{
    struct wire *w = *state;
    int from = wire_datagram(w->left, 0, SOCK_NONBLOCK);
    int to = wire_datagram(w->right, 2000, SOCK_NONBLOCK);
    char bytes[4];
    struct sockaddr_in name;
    struct iovec part = {bytes, 3};
    struct msghdr message = {
        .msg_name = &name, .msg_namelen = sizeof(name), .msg_iov = &part, .msg_iovlen = 1};
    for (int i = 0; i < 3; i++)
        assert_int_equal(send_to(w, from, "abcdef", 6, 2000), 6);
    wire_run(w);
    assert_int_equal(strait_recv(w->right, to, bytes, 3, MSG_PEEK), 3);
    assert_int_equal(strait_recv(w->right, to, bytes, 3, MSG_PEEK | MSG_TRUNC), 6);
    assert_int_equal(strait_recv(w->right, to, bytes, 3, 0), 3);
    assert_memory_equal(bytes, "abc", 3);
    assert_int_equal(strait_recv(w->right, to, bytes, 3, MSG_TRUNC), 6);
    assert_int_equal(strait_recvmsg(w->right, to, &message, 0), 3);
    assert_int_equal(message.msg_flags, MSG_TRUNC);
    assert_int_equal(message.msg_namelen, sizeof(name));
    assert_int_equal(name.sin_addr.s_addr, htonl(0x0a000001));
    assert_errno(strait_recv(w->right, to, bytes, 3, 0), EAGAIN);
}

static void datagram_is_gathered_from_its_parts(void **state)
{
    struct wire *w = *state;
    int from = wire_datagram(w->left, 0, 0), to = wire_datagram(w->right, 2000, SOCK_NONBLOCK);
    struct sockaddr_in name = pair_address(1, 2000);
    char bytes[200], letters[] = "ab";
    struct iovec parts[60];
    for (int i = 0; i < 60; i++)
        parts[i] = (struct iovec){letters, 2};
    struct msghdr message = {
        .msg_name = &name, .msg_namelen = sizeof(name), .msg_iov = parts, .msg_iovlen = 60};
    assert_int_equal(strait_sendmsg(w->left, from, &message, 0), 120);
    wire_run(w);
    assert_int_equal(strait_recv(w->right, to, bytes, sizeof(bytes), 0), 120);
    for (int i = 0; i < 120; i++)
        assert_int_equal(bytes[i], letters[i % 2]);
}

static void datagram_needs_a_destination_that_makes_sense(void **state)
{
    struct wire *w = *state;
    int fd = wire_datagram(w->left, 0, 0);
    struct sockaddr_in name = pair_address(1, 2000);
    struct sockaddr *n = (struct sockaddr *)&name;
    static char big[70000];
    assert_errno(strait_send(w->left, fd, "x", 1, 0), EDESTADDRREQ);
    assert_errno(strait_write(w->left, fd, "", 0), EDESTADDRREQ);
    assert_errno(strait_sendto(w->left, fd, "x", 1, 0, n, 15), EINVAL);
    assert_errno(strait_sendto(w->left, fd, "x", 1, 0, n, 0), EINVAL);
    assert_errno(strait_sendto(w->left, fd, big, sizeof(big), 0, n, sizeof(name)), EMSGSIZE);
    assert_errno(send_to(w, fd, "x", 1, 0), EINVAL);
    name.sin_family = AF_INET6;
    assert_errno(strait_sendto(w->left, fd, "x", 1, 0, n, sizeof(name)), EAFNOSUPPORT);
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_BROADCAST);
    assert_errno(strait_sendto(w->left, fd, "x", 1, 0, n, sizeof(name)), EACCES);
}

static void connected_datagram_socket_hears_its_peer_alone(void **state)
{
    struct wire *w = *state;
    int client = wire_datagram(w->left, 1000, SOCK_NONBLOCK);
    int server = wire_datagram(w->right, 2000, SOCK_NONBLOCK);
    int stranger = wire_datagram(w->right, 3000, SOCK_NONBLOCK);
    struct sockaddr_in to = pair_address(0, 1000);
    char bytes[10];
    assert_int_equal(wire_connect(w, client, 2000), 0);
    assert_int_equal(strait_send(w->left, client, "hello", 5, 0), 5);
    wire_run(w);
    assert_int_equal(strait_recv(w->right, server, bytes, 10, 0), 5);
    assert_int_equal(
        strait_sendto(w->right, stranger, "no", 2, 0, (struct sockaddr *)&to, sizeof(to)), 2);
    assert_int_equal(
        strait_sendto(w->right, server, "yes", 3, 0, (struct sockaddr *)&to, sizeof(to)), 3);
    wire_run(w);
    assert_int_equal(strait_recv(w->left, client, bytes, 10, 0), 3);
    assert_errno(strait_recv(w->left, client, bytes, 10, 0), EAGAIN);
    assert_int_equal(send_to(w, client, "x", 1, 3000), 1);
    wire_run(w);
    assert_int_equal(strait_recv(w->right, stranger, bytes, 10, 0), 1);
}

static void unreachable_port_is_told_once_to_a_connected_socket(void **state)
{
    struct wire *w = *state;
    int fd = wire_datagram(w->left, 0, SOCK_NONBLOCK);
    char byte;
    assert_int_equal(wire_connect(w, fd, 9), 0);
    assert_int_equal(strait_send(w->left, fd, "x", 1, 0), 1);
    wire_run(w);
    assert_int_equal(wire_events(w->left, fd, 0), POLLERR);
    assert_errno(strait_recv(w->left, fd, &byte, 1, 0), ECONNREFUSED);
    assert_errno(strait_recv(w->left, fd, &byte, 1, 0), EAGAIN);
    assert_int_equal(strait_send(w->left, fd, "x", 1, 0), 1);
    wire_run(w);
    assert_errno(strait_send(w->left, fd, "x", 1, 0), ECONNREFUSED);
    assert_int_equal(strait_send(w->left, fd, "x", 1, 0), 1);
    wire_run(w);
    assert_int_equal(wire_option(w->left, fd, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
    assert_int_equal(wire_option(w->left, fd, SOL_SOCKET, SO_ERROR), 0);
    assert_int_equal(wire_events(w->left, fd, 0), 0);
}

static void blocking_datagram_receive_waits(void **state)
{
    struct wire *w = *state;
    int from = wire_datagram(w->left, 0, 0), to = wire_datagram(w->right, 2000, 0);
    char bytes[10];
    assert_int_equal(send_to(w, from, "late", 4, 2000), 4);
    assert_errno(strait_recv(w->right, to, bytes, 10, MSG_DONTWAIT), EAGAIN);
    assert_int_equal(strait_recv(w->right, to, bytes, 10, 0), 4);
    pair_env(w->pair)->wait = NULL;
    assert_errno(strait_recv(w->right, to, bytes, 10, 0), EAGAIN);
}

static void shut_datagram_socket_ends(void **state)
{
    struct wire *w = *state;
    int fd = wire_datagram(w->left, 0, 0);
    char byte;
    struct sockaddr_in name;
    socklen_t length = sizeof(name);
    assert_int_equal(wire_connect(w, fd, 9), 0);
    assert_int_equal(strait_shutdown(w->left, fd, SHUT_RD), 0);
    assert_int_equal(strait_recvfrom(w->left, fd, &byte, 1, 0, (struct sockaddr *)&name, &length),
                     0);
    assert_int_equal(length, 0);
    assert_int_equal(wire_events(w->left, fd, POLLIN), POLLIN);
    assert_int_equal(strait_shutdown(w->left, fd, SHUT_WR), 0);
    assert_errno(strait_send(w->left, fd, "x", 1, 0), EPIPE);
    assert_int_equal(wire_events(w->left, fd, 0), POLLHUP);
}

static void receive_buffer_bounds_the_queue_of_datagrams(void **state)
{
    struct wire *w = *state;
    int from = wire_datagram(w->left, 0, 0), to = wire_datagram(w->right, 2000, SOCK_NONBLOCK);
    char bytes[1400] = {0};
    int room = 8192, got = 0;
    assert_int_equal(strait_setsockopt(w->right, to, SOL_SOCKET, SO_RCVBUF, &room, 4), 0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(send_to(w, from, bytes, sizeof(bytes), 2000), sizeof(bytes));
    wire_run(w);
    while (strait_recv(w->right, to, bytes, sizeof(bytes), 0) > 0)
        got++;
    assert_in_range(got, 1, 8192 / 1400);
    assert_int_equal(pair_counter(w->pair, 1, "udp_queue_full"), 20 - got);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, wire_setup, wire_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(stream_without_connection_is_epipe_or_enotconn),
        TEST(unknown_flags_are_eopnotsupp),
        cmocka_unit_test(nonblocking_send_takes_what_fits),
        cmocka_unit_test(blocking_send_returns_when_all_is_taken),
        cmocka_unit_test(blocking_writev_goes_on_inside_any_part),
        cmocka_unit_test(blocking_send_that_is_cut_short_returns_the_part),
        cmocka_unit_test(error_after_a_part_was_sent_is_told_by_the_next_call),
        TEST(socket_closed_during_a_blocking_call_is_ebadf),
        TEST(blocking_recv_returns_what_is_there),
        TEST(peek_leaves_the_bytes),
        TEST(name_is_ignored_on_a_connected_stream),
        TEST(moving_no_bytes_succeeds),
        TEST(counts_and_lengths_out_of_range_are_refused),
        TEST(no_control_data_come_with_a_stream),
        TEST(datagrams_keep_their_bounds_and_tell_their_sender),
        TEST(long_datagram_is_cut_and_says_so),
        TEST(datagram_is_gathered_from_its_parts),
        TEST(datagram_needs_a_destination_that_makes_sense),
        TEST(connected_datagram_socket_hears_its_peer_alone),
        TEST(unreachable_port_is_told_once_to_a_connected_socket),
        TEST(blocking_datagram_receive_waits),
        TEST(shut_datagram_socket_ends),
        TEST(receive_buffer_bounds_the_queue_of_datagrams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
