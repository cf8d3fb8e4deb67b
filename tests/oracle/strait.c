/* SPDX-License-Identifier: MIT */
/* Strait as a subject: a link in memory, and time that goes from deadline to deadline. */
#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "strait.h"
#include "subject.h"

#define START_NS  UINT64_C(1000000000000)
#define NS_PER_MS UINT64_C(1000000)

struct host {
    struct subject subject;
    struct strait_link link;
    struct strait *stack;
    uint64_t now_ns;
};

static struct host *host_of(const struct subject *s)
{
    return (struct host *)s;
}

static struct strait *stack_of(const struct subject *s)
{
    return host_of(s)->stack;
}

/* ---- The network ---- */

static int link_send(struct strait_link *link, const struct iovec *parts, int count,
                     const struct strait_offload *offload)
{
    (void)offload; /* the link has no abilities */
    struct host *h = (struct host *)((char *)link - offsetof(struct host, link));
    uint8_t packet[SUBJECT_MTU];
    size_t length = 0;
    for (int i = 0; i < count; i++) {
        CHECK(length + parts[i].iov_len <= sizeof packet);
        memcpy(packet + length, parts[i].iov_base, parts[i].iov_len);
        length += parts[i].iov_len;
    }
    h->subject.sent(h->subject.context, packet, length);
    return 0;
}

static void host_inject(struct subject *s, const void *packet, size_t length)
{
    struct host *h = host_of(s);
    strait_input(h->stack, &h->link, packet, length, NULL, h->now_ns);
}

static void host_run(struct subject *s, unsigned ms)
{
    struct host *h = host_of(s);
    uint64_t until_ns = h->now_ns + ms * NS_PER_MS, next_ns;
    while ((next_ns = strait_advance(h->stack, h->now_ns)) <= until_ns)
        h->now_ns = next_ns;
    h->now_ns = until_ns;
}

static bool host_in_time(const struct subject *s)
{
    (void)s;
    return true;
}

/* ---- The sockets ---- */

static int host_socket(struct subject *s)
{
    return strait_socket(stack_of(s), AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
}

static int host_bind(struct subject *s, int fd, const struct sockaddr *address, socklen_t length)
{
    return strait_bind(stack_of(s), fd, address, length);
}

static int host_listen(struct subject *s, int fd, int backlog)
{
    return strait_listen(stack_of(s), fd, backlog);
}

static int host_accept(struct subject *s, int fd)
{
    return strait_accept4(stack_of(s), fd, NULL, NULL, SOCK_NONBLOCK);
}

static int host_connect(struct subject *s, int fd, const struct sockaddr *to, socklen_t length)
{
    return strait_connect(stack_of(s), fd, to, length);
}

static ssize_t host_send(struct subject *s, int fd, const void *bytes, size_t length, int flags)
{
    return strait_send(stack_of(s), fd, bytes, length, flags);
}

static ssize_t host_recv(struct subject *s, int fd, void *bytes, size_t length, int flags)
{
    return strait_recv(stack_of(s), fd, bytes, length, flags);
}

static int host_shutdown(struct subject *s, int fd, int how)
{
    return strait_shutdown(stack_of(s), fd, how);
}

static int host_close(struct subject *s, int fd)
{
    return strait_close(stack_of(s), fd);
}

static int host_getsockopt(struct subject *s, int fd, int level, int name, void *value,
                           socklen_t *length)
{
    return strait_getsockopt(stack_of(s), fd, level, name, value, length);
}

static int host_setsockopt(struct subject *s, int fd, int level, int name, const void *value,
                           socklen_t length)
{
    return strait_setsockopt(stack_of(s), fd, level, name, value, length);
}

static short host_events(struct subject *s, int fd, short wanted)
{
    struct pollfd descriptor = {.fd = fd, .events = wanted};
    strait_poll(stack_of(s), &descriptor, 1, 0);
    return descriptor.revents;
}

/* ---- Beginning and end ---- */

static void host_renew(struct subject *s)
{
    struct host *h = host_of(s);
    strait_free(h->stack);

    const struct in_addr address = {htonl(SUBJECT_ADDRESS)};
    struct strait_config config;
    strait_config_init(&config);
    memcpy(config.secret, "of the oracle...", sizeof config.secret);
    h->stack = strait_new(&config, NULL);
    CHECK(h->stack);
    h->link = (struct strait_link){.size = sizeof h->link, .name = "oracle", .mtu = SUBJECT_MTU};
    h->link.fd = -1;
    h->link.send = link_send;
    CHECK(strait_attach(h->stack, &h->link, address, SUBJECT_PREFIX) == 0);
    h->now_ns = START_NS;
    strait_advance(h->stack, h->now_ns);
}

static void host_free(struct subject *s)
{
    strait_free(stack_of(s));
    free(s);
}

struct subject *subject_strait(void)
{
    struct host *h = calloc(1, sizeof *h);
    CHECK(h);
    h->subject = (struct subject){
        .renew = host_renew,
        .inject = host_inject,
        .run = host_run,
        .in_time = host_in_time,
        .socket = host_socket,
        .bind = host_bind,
        .listen = host_listen,
        .accept = host_accept,
        .connect = host_connect,
        .send = host_send,
        .recv = host_recv,
        .shutdown = host_shutdown,
        .close = host_close,
        .getsockopt = host_getsockopt,
        .setsockopt = host_setsockopt,
        .events = host_events,
        .free = host_free,
    };
    return &h->subject;
}
