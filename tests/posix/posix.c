/* SPDX-License-Identifier: MIT */
#include "posix.h"

#include <arpa/inet.h>

struct sockaddr_in address(uint32_t host, uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(host)}};
}

struct sockaddr_in loopback(uint16_t port)
{
    return address(INADDR_LOOPBACK, port);
}

int tcp_socket(const struct posix *p, int flags)
{
    int fd = p->socket(AF_INET, SOCK_STREAM | flags, 0);
    assert_true(fd >= 0);
    return fd;
}

int udp_socket(const struct posix *p, int flags)
{
    int fd = p->socket(AF_INET, SOCK_DGRAM | flags, 0);
    assert_true(fd >= 0);
    return fd;
}

uint16_t port_of(const struct posix *p, int fd)
{
    struct sockaddr_in in;
    socklen_t length = sizeof(in);

    expect(0, p->getsockname(fd, (struct sockaddr *)&in, &length));
    assert_int_equal(length, sizeof(in));
    return ntohs(in.sin_port);
}

uint16_t bind_loopback(const struct posix *p, int fd, uint16_t port)
{
    struct sockaddr_in in = loopback(port);

    expect(0, p->bind(fd, name_of(&in), sizeof(in)));
    return port_of(p, fd);
}

int listening(const struct posix *p, uint16_t *port)
{
    int fd = tcp_socket(p, 0);

    *port = bind_loopback(p, fd, 0);
    expect(0, p->listen(fd, 8));
    return fd;
}

struct streams streams(const struct posix *p, int flags)
{
    uint16_t port;
    int listener = listening(p, &port);
    struct sockaddr_in in = loopback(port);
    struct streams s = {.client = tcp_socket(p, 0)};

    expect(0, p->connect(s.client, name_of(&in), sizeof(in)));
    s.server = p->accept4(listener, NULL, NULL, flags);
    assert_true(s.server >= 0);
    expect(0, p->close(listener));
    return s;
}

int fill(const struct posix *p, int fd)
{
    static char bytes[65536];
    int all = 0, before;

    do {
        before = all;
        for (ssize_t sent; (sent = p->send(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0;)
            all += (int)sent;
        assert_int_equal(errno, EAGAIN);
        assert_true(all < 256 << 20);
        p->wait(50);
    } while (all > before);
    return all;
}

struct streams datagrams(const struct posix *p, int flags)
{
    struct streams s = {.client = udp_socket(p, flags), .server = udp_socket(p, flags)};
    struct sockaddr_in client = loopback(bind_loopback(p, s.client, 0));
    struct sockaddr_in server = loopback(bind_loopback(p, s.server, 0));

    expect(0, p->connect(s.client, name_of(&server), sizeof(server)));
    expect(0, p->connect(s.server, name_of(&client), sizeof(client)));
    return s;
}

int option(const struct posix *p, int fd, int level, int name)
{
    int value = -1;
    socklen_t length = sizeof(value);

    expect(0, p->getsockopt(fd, level, name, &value, &length));
    assert_int_equal(length, sizeof(value));
    return value;
}

int set_option(const struct posix *p, int fd, int level, int name, int value)
{
    return p->setsockopt(fd, level, name, &value, sizeof(value));
}

short events(const struct posix *p, int fd, short wanted)
{
    struct pollfd one = {.fd = fd, .events = wanted};

    p->poll(&one, 1, 0);
    return one.revents;
}

struct msghdr *to_receive(struct message *m)
{
    memset(m, 0, sizeof(*m));
    m->part = (struct iovec){.iov_base = m->bytes, .iov_len = sizeof(m->bytes)};
    m->header = (struct msghdr){
        .msg_name = &m->name,
        .msg_namelen = sizeof(m->name),
        .msg_iov = &m->part,
        .msg_iovlen = 1,
        .msg_control = m->control,
        .msg_controllen = sizeof(m->control),
    };
    return &m->header;
}
