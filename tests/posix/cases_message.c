/* SPDX-License-Identifier: MIT */
/* Messages, names and lengths as no program should pass them, and some as one may. */
#include "posix.h"

#define NEGATIVE ((socklen_t)-1)

/* ---- Nowhere ---- */

static void messages_at_nowhere_are_efault(const struct posix *p)
{
    struct streams pairs[] = {streams(p, 0), datagrams(p, 0)};

    for (int i = 0; i < 2; i++) {
        expect_error(EFAULT, p->sendmsg(pairs[i].client, NULL, 0));
        expect_error(EFAULT, p->recvmsg(pairs[i].client, NULL, 0));
    }
    expect_error(EBADF, p->sendmsg(NO_SUCH_FD, NULL, 0));
    expect_error(EBADF, p->recvmsg(NO_SUCH_FD, NULL, 0));
}

static void parts_at_nowhere_are_efault(const struct posix *p)
{
    struct msghdr message = {.msg_iov = NULL, .msg_iovlen = 1};
    int fd = streams(p, 0).client;

    expect_error(EFAULT, p->sendmsg(fd, &message, 0));
    expect_error(EFAULT, p->recvmsg(fd, &message, 0));
    expect_error(EFAULT, p->writev(fd, NULL, 1));
    expect_error(EFAULT, p->readv(fd, NULL, 1));
    expect(0, p->writev(fd, NULL, 0));
    expect(0, p->readv(fd, NULL, 0));
}

static void the_senders_name_needs_its_length(const struct posix *p)
{
    struct streams pairs[] = {streams(p, 0), datagrams(p, 0)};
    struct sockaddr_in in;
    char byte;

    for (int i = 0; i < 2; i++) {
        expect(1, p->send(pairs[i].client, "x", 1, 0));
        expect_error(EFAULT,
                     p->recvfrom(pairs[i].server, &byte, 1, 0, (struct sockaddr *)&in, NULL));
    }
    expect_error(EBADF, p->recvfrom(NO_SUCH_FD, &byte, 1, 0, (struct sockaddr *)&in, NULL));
}

static void who_does_not_ask_for_the_sender_is_not_told(const struct posix *p)
{
    struct streams s = datagrams(p, 0);
    socklen_t length = 3;
    char byte;

    expect(1, p->send(s.client, "x", 1, 0));
    expect(1, p->recvfrom(s.server, &byte, 1, 0, NULL, &length));
    assert_int_equal(length, 3);
    expect(1, p->send(s.client, "x", 1, 0));
    expect(1, p->recvfrom(s.server, &byte, 1, 0, NULL, NULL));
}

/* ---- Lengths ---- */

static void buffers_that_no_memory_holds_are_efault(const struct posix *p)
{
    /* Not on the stack: it may lie so high that what the kernel cuts the length to goes beyond. */
    static char byte;
    int fd = streams(p, 0).client;

    expect_error(EFAULT, p->write(fd, &byte, SIZE_MAX));
    expect_error(EFAULT, p->read(fd, &byte, SIZE_MAX));
    expect_error(EAGAIN, p->recv(fd, &byte, SIZE_MAX, MSG_DONTWAIT));
}

static void more_parts_than_there_are_numbers_are_emsgsize(const struct posix *p)
{
    struct msghdr message = {.msg_iov = NULL, .msg_iovlen = SIZE_MAX};
    struct streams pairs[] = {streams(p, 0), datagrams(p, 0)};

    for (int i = 0; i < 2; i++) {
        expect_error(EMSGSIZE, p->sendmsg(pairs[i].client, &message, 0));
        expect_error(EMSGSIZE, p->recvmsg(pairs[i].client, &message, 0));
    }
}

static void names_of_a_negative_length_are_einval(const struct posix *p)
{
    struct streams pairs[] = {streams(p, 0), datagrams(p, 0)};
    struct sockaddr_in in = loopback(1);
    char byte;
    struct iovec part = {&byte, 1};
    struct msghdr message = {
        .msg_name = &in, .msg_namelen = NEGATIVE, .msg_iov = &part, .msg_iovlen = 1};

    for (int i = 0; i < 2; i++) {
        socklen_t length = NEGATIVE;
        int fd = pairs[i].client;
        expect_error(EINVAL, p->sendto(fd, "x", 1, 0, name_of(&in), NEGATIVE));
        expect_error(EINVAL, p->sendmsg(fd, &message, 0));
        expect(1, p->send(pairs[i].server, "x", 1, 0));
        expect_error(EINVAL, p->recvmsg(fd, &message, 0));
        expect(1, p->send(pairs[i].server, "x", 1, 0));
        expect_error(EINVAL, p->recvfrom(fd, &byte, 1, 0, (struct sockaddr *)&in, &length));
    }
}

static void names_that_are_too_long_are_einval_to_sendto(const struct posix *p)
{
    char name[256] = {0};
    const struct sockaddr *in = (const struct sockaddr *)name;

    expect_error(EINVAL, p->sendto(streams(p, 0).client, "x", 1, 0, in, 129));
    expect_error(EINVAL, p->sendto(tcp_socket(p, 0), "x", 1, MSG_NOSIGNAL, in, 129));
    expect_error(EINVAL, p->sendto(datagrams(p, 0).client, "x", 1, 0, in, 129));
}

static void names_that_are_too_long_are_cut_in_messages(const struct posix *p)
{
    struct streams s = datagrams(p, 0);
    struct sockaddr_in in = loopback(port_of(p, s.server));
    char name[256] = {0}, byte;
    struct iovec part = {"x", 1};
    struct msghdr message = {
        .msg_name = name, .msg_namelen = sizeof(name), .msg_iov = &part, .msg_iovlen = 1};

    memcpy(name, &in, sizeof(in));
    expect(1, p->sendmsg(s.client, &message, 0));
    expect(1, p->recv(s.server, &byte, 1, MSG_DONTWAIT));
}

static void names_of_no_length_are_none_in_messages(const struct posix *p)
{
    struct streams s = datagrams(p, 0);
    struct sockaddr_in in = loopback(1);
    struct iovec part = {"x", 1};
    struct msghdr message = {.msg_name = &in, .msg_iov = &part, .msg_iovlen = 1};
    char byte;

    expect(1, p->sendmsg(s.client, &message, 0));
    expect(1, p->recv(s.server, &byte, 1, MSG_DONTWAIT));
    expect_error(EINVAL, p->sendto(s.client, "x", 1, 0, name_of(&in), 0));
    expect_error(EDESTADDRREQ, p->sendmsg(udp_socket(p, 0), &message, 0));
}

/* ---- Flags ---- */

static void peek_and_trunc_count_without_taking(const struct posix *p)
{
    struct streams s = streams(p, 0), d = datagrams(p, 0);
    char bytes[8] = "-------";

    expect(6, p->send(s.client, "abcdef", 6, 0));
    expect(4, p->recv(s.server, bytes, 4, MSG_PEEK | MSG_TRUNC));
    expect(4, p->recv(s.server, NULL, 4, MSG_PEEK | MSG_TRUNC));
    assert_string_equal(bytes, "-------");
    expect(6, p->recv(s.server, bytes, 8, MSG_WAITALL | MSG_DONTWAIT));
    expect(6, p->send(d.client, "abcdef", 6, 0));
    expect(6, p->recv(d.server, bytes, 1, MSG_PEEK | MSG_TRUNC));
    expect(6, p->recv(d.server, bytes, 8, MSG_WAITALL));
}

static void descriptors_that_close_on_exec_can_be_asked_for(const struct posix *p)
{
    struct streams pairs[] = {streams(p, 0), datagrams(p, 0)};
    char byte;

    for (int i = 0; i < 2; i++) {
        expect(1, p->send(pairs[i].client, "x", 1, 0));
        expect(1, p->recv(pairs[i].server, &byte, 1, MSG_CMSG_CLOEXEC));
    }
}

static void the_error_queue_comes_before_out_of_band_data(const struct posix *p)
{
    char byte;

    expect_error(EAGAIN, p->recv(streams(p, 0).client, &byte, 1, MSG_OOB | MSG_ERRQUEUE));
}

static void routing_may_be_passed_by(const struct posix *p)
{
    struct streams s = streams(p, 0);

    expect(1, p->send(s.client, "x", 1, MSG_DONTROUTE));
    expect(1, p->send(s.client, "x", 1, MSG_EOR));
    expect(1, p->send(s.client, "x", 1, MSG_CONFIRM));
}

const struct posix_case message_cases[] = {
    CASE(messages_at_nowhere_are_efault),
    CASE(parts_at_nowhere_are_efault),
    CASE(the_senders_name_needs_its_length),
    CASE(who_does_not_ask_for_the_sender_is_not_told),
    CASE(buffers_that_no_memory_holds_are_efault),
    CASE(more_parts_than_there_are_numbers_are_emsgsize),
    CASE(names_of_a_negative_length_are_einval),
    CASE(names_that_are_too_long_are_einval_to_sendto),
    CASE(names_that_are_too_long_are_cut_in_messages),
    CASE(names_of_no_length_are_none_in_messages),
    CASE(peek_and_trunc_count_without_taking),
    CASE(descriptors_that_close_on_exec_can_be_asked_for),
    CASE(the_error_queue_comes_before_out_of_band_data),
    CASE_BUT(routing_may_be_passed_by,
             "MSG_DONTROUTE, MSG_EOR and MSG_CONFIRM have nothing here that they could change; "
             "EOPNOTSUPP rather than a flag without effect"),
    {NULL},
};
