/* SPDX-License-Identifier: MIT */
/* ioctl and fcntl. */
#include "posix.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

/* What a request tells. */
static int ask(const struct posix *p, int fd, unsigned long request)
{
    int value = -1;

    expect(0, p->ioctl(fd, request, &value));
    return value;
}

static void requests_to_no_descriptor_are_ebadf(const struct posix *p)
{
    int value = 0;

    expect_error(EBADF, p->ioctl(NO_SUCH_FD, FIONREAD, &value));
    expect_error(EBADF, p->fcntl(NO_SUCH_FD, F_GETFL, 0));
}

static void requests_that_nobody_knows_are_enotty(const struct posix *p)
{
    int value = 0;

    expect_error(ENOTTY, p->ioctl(tcp_socket(p, 0), TIOCGWINSZ, &value));
    expect_error(ENOTTY, p->ioctl(udp_socket(p, 0), TIOCGWINSZ, &value));
    expect_error(ENOTTY, p->ioctl(udp_socket(p, 0), SIOCATMARK, &value));
    expect_error(ENOTTY, p->ioctl(udp_socket(p, 0), SIOCOUTQNSD, &value));
}

static void requests_to_nowhere_are_efault(const struct posix *p)
{
    expect_error(EFAULT, p->ioctl(streams(p, 0).client, FIONREAD, NULL));
    expect_error(EFAULT, p->ioctl(tcp_socket(p, 0), FIONBIO, NULL));
}

static void a_listener_has_no_queue_of_bytes(const struct posix *p)
{
    uint16_t port;
    int fd = listening(p, &port), value = 0;

    expect_error(EINVAL, p->ioctl(fd, SIOCINQ, &value));
    expect_error(EINVAL, p->ioctl(fd, SIOCOUTQ, &value));
    expect_error(EINVAL, p->ioctl(fd, SIOCOUTQNSD, &value));
}

static void a_new_stream_has_empty_queues(const struct posix *p)
{
    int fd = tcp_socket(p, 0);

    expect(0, ask(p, fd, SIOCINQ));
    expect(0, ask(p, fd, SIOCOUTQ));
    expect(0, ask(p, fd, SIOCOUTQNSD));
}

static void the_input_queue_is_what_can_be_read(const struct posix *p)
{
    struct streams s = streams(p, 0);
    char bytes[2];

    expect(5, p->send(s.client, "abcde", 5, 0));
    expect(5, ask(p, s.server, SIOCINQ));
    expect(2, p->recv(s.server, bytes, 2, 0));
    expect(3, ask(p, s.server, FIONREAD));
    expect(0, p->shutdown(s.client, SHUT_WR));
    expect(3, ask(p, s.server, FIONREAD)); /* without the end */
}

static void the_output_queue_is_what_is_not_acknowledged(const struct posix *p)
{
    struct streams s = streams(p, 0);

    expect(0, ask(p, s.client, SIOCOUTQ));
    int queued = fill(p, s.client);
    int waiting = ask(p, s.client, SIOCOUTQ), taken = ask(p, s.server, SIOCINQ);
    assert_in_range(waiting, 1, queued);
    assert_int_equal(waiting + taken, queued);
    assert_in_range(ask(p, s.client, SIOCOUTQNSD), 1, waiting);
}

static void the_input_queue_of_datagrams_is_the_next_one(const struct posix *p)
{
    struct streams s = datagrams(p, 0);

    expect(0, ask(p, s.server, SIOCINQ));
    expect(5, p->send(s.client, "abcde", 5, 0));
    expect(2, p->send(s.client, "ab", 2, 0));
    expect(5, ask(p, s.server, FIONREAD));
    expect(0, ask(p, s.client, SIOCOUTQ));
}

static void the_mark_can_be_asked_for(const struct posix *p)
{
    struct streams s = streams(p, 0);
    char bytes[4];
    int on = 1;

    expect(0, p->setsockopt(s.server, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)));
    expect(0, ask(p, tcp_socket(p, 0), SIOCATMARK));
    expect(1, p->send(s.client, "a", 1, 0));
    expect(1, p->send(s.client, "!", 1, MSG_OOB));
    p->wait(1);
    expect(0, ask(p, s.server, SIOCATMARK));
    expect(1, p->recv(s.server, bytes, 4, 0));
    expect(1, ask(p, s.server, SIOCATMARK));
}

static void blocking_is_turned_on_and_off_by_both(const struct posix *p)
{
    int fd = streams(p, 0).client, on = 1, off = 0;
    char byte;

    expect(O_RDWR, p->fcntl(fd, F_GETFL, 0));
    expect(0, p->ioctl(fd, FIONBIO, &on));
    expect(O_RDWR | O_NONBLOCK, p->fcntl(fd, F_GETFL, 0));
    expect_error(EAGAIN, p->recv(fd, &byte, 1, 0));
    expect(0, p->ioctl(fd, FIONBIO, &off));
    expect(O_RDWR, p->fcntl(fd, F_GETFL, 0));
    expect(0, p->fcntl(fd, F_SETFL, O_NONBLOCK));
    expect_error(EAGAIN, p->recv(fd, &byte, 1, 0));
    expect(0, p->fcntl(fd, F_SETFL, 0));
    expect(O_RDWR, p->fcntl(fd, F_GETFL, 0));
    expect(O_RDWR | O_NONBLOCK, p->fcntl(tcp_socket(p, SOCK_NONBLOCK), F_GETFL, 0));
}

static void commands_that_nobody_knows_are_einval(const struct posix *p)
{
    expect_error(EINVAL, p->fcntl(tcp_socket(p, 0), 9999, 0));
}

static void asynchronous_signals_can_be_asked_for(const struct posix *p)
{
    expect(0, p->fcntl(tcp_socket(p, 0), F_SETFL, O_ASYNC));
}

const struct posix_case ioctl_cases[] = {
    CASE(requests_to_no_descriptor_are_ebadf),
    CASE(requests_that_nobody_knows_are_enotty),
    CASE(requests_to_nowhere_are_efault),
    CASE(a_listener_has_no_queue_of_bytes),
    CASE(a_new_stream_has_empty_queues),
    CASE(the_input_queue_is_what_can_be_read),
    CASE(the_output_queue_is_what_is_not_acknowledged),
    CASE(the_input_queue_of_datagrams_is_the_next_one),
    CASE(the_mark_can_be_asked_for),
    CASE(blocking_is_turned_on_and_off_by_both),
    CASE(commands_that_nobody_knows_are_einval),
    CASE_BUT(asynchronous_signals_can_be_asked_for,
             "a library raises no signals; EINVAL rather than a flag without effect"),
    {NULL},
};
