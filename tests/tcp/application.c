/* SPDX-License-Identifier: MIT */
/* The application's side of the scripts: every step is one call of a socket function. */
#define _GNU_SOURCE /* POLLRDHUP */
#include "script.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#undef recv

static struct sockaddr_in remote_address(const struct script *s)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(s->flow->remote_port),
                                .sin_addr = {htonl(REMOTE_ADDRESS)}};
}

/* Ends a step: ends the test if the call has not done what it should. */
static void app_demand(struct script *s, struct place place, bool good, const char *what)
{
    if (!good)
        script_fail(s, place, "%s: %s", what, strerror(errno));
    script_step_ends(s, place);
}

static int new_socket(struct script *s, struct place place, int type, uint16_t port)
{
    int fd = strait_socket(s->stack, AF_INET, type | SOCK_NONBLOCK, 0);
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (fd < 0)
        script_fail(s, place, "socket: %s", strerror(errno));
    if (port && strait_bind(s->stack, fd, (struct sockaddr *)&local, sizeof local) != 0)
        script_fail(s, place, "bind to %u: %s", port, strerror(errno));
    return fd;
}

void script_app_listen(struct script *s, struct place place, int backlog)
{
    script_step_begins(s, place, "listen, backlog %d", backlog);
    s->listener = new_socket(s, place, SOCK_STREAM, LOCAL_PORT);
    app_demand(s, place, strait_listen(s->stack, s->listener, backlog) == 0, "listen");
}

void script_app_accept(struct script *s, struct place place)
{
    script_step_begins(s, place, "accept");
    struct sockaddr_in peer = {0};
    socklen_t length = sizeof peer;
    int fd =
        strait_accept4(s->stack, s->listener, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK);
    app_demand(s, place, fd >= 0, "accept");
    if (ntohl(peer.sin_addr.s_addr) != REMOTE_ADDRESS ||
        ntohs(peer.sin_port) != s->flow->remote_port)
        script_fail(s, place, "accept: from port %u, not %u", ntohs(peer.sin_port),
                    s->flow->remote_port);
    s->flow->fd = fd;
}

void script_app_accept_none(struct script *s, struct place place)
{
    script_step_begins(s, place, "accept, in vain");
    int fd = strait_accept4(s->stack, s->listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd >= 0)
        script_fail(s, place, "accept: there is a connection");
    app_demand(s, place, errno == EAGAIN, "accept");
}

void script_app_connect(struct script *s, struct place place)
{
    script_step_begins(s, place, "connect");
    struct sockaddr_in peer = remote_address(s);
    s->flow->fd = new_socket(s, place, SOCK_STREAM, 0);
    s->flow->local_port = 0;
    int result = strait_connect(s->stack, s->flow->fd, (struct sockaddr *)&peer, sizeof peer);
    app_demand(s, place, result == -1 && errno == EINPROGRESS, "connect");
}

void script_app_bind_udp(struct script *s, struct place place, uint16_t port)
{
    script_step_begins(s, place, "UDP socket at port %u", port);
    s->flow->fd = new_socket(s, place, SOCK_DGRAM, port);
    s->flow->local_port = port;
    script_step_ends(s, place);
}

void script_app_connect_udp(struct script *s, struct place place)
{
    script_step_begins(s, place, "connect");
    struct sockaddr_in peer = remote_address(s);
    int result = strait_connect(s->stack, s->flow->fd, (struct sockaddr *)&peer, sizeof peer);
    app_demand(s, place, result == 0, "connect");
}

/* Whether the flow's descriptor is a datagram socket, whose every datagram begins the stream. */
static bool is_udp(const struct script *s)
{
    int type = 0;
    socklen_t length = sizeof type;
    strait_getsockopt(s->stack, s->flow->fd, SOL_SOCKET, SO_TYPE, &type, &length);
    return type == SOCK_DGRAM;
}

static ssize_t send_stream(struct script *s, struct place place, size_t bytes, int flags)
{
    uint8_t *data = malloc(bytes ? bytes : 1);
    if (!data)
        script_fail(s, place, "no memory");
    stream_fill(STREAM_STRAIT, is_udp(s) ? 0 : s->flow->app_sent, data, bytes);
    ssize_t taken = strait_send(s->stack, s->flow->fd, data, bytes, flags);
    int error = errno;
    free(data);
    errno = error;
    if (taken > 0)
        s->flow->app_sent += (uint32_t)taken;
    return taken;
}

static void send_all(struct script *s, struct place place, size_t bytes, int flags)
{
    ssize_t taken = send_stream(s, place, bytes, flags);
    if (taken >= 0 && (size_t)taken != bytes)
        script_fail(s, place, "send: %zd bytes of %zu were taken", taken, bytes);
    app_demand(s, place, taken >= 0, "send");
}

void script_app_send(struct script *s, struct place place, size_t bytes)
{
    script_step_begins(s, place, "send %zu", bytes);
    send_all(s, place, bytes, 0);
}

void script_app_send_more(struct script *s, struct place place, size_t bytes)
{
    script_step_begins(s, place, "send %zu, more to come", bytes);
    send_all(s, place, bytes, MSG_MORE);
}

void script_app_send_urgent(struct script *s, struct place place, size_t bytes)
{
    script_step_begins(s, place, "send %zu, urgent", bytes);
    send_all(s, place, bytes, MSG_OOB);
}

size_t script_app_send_some(struct script *s, struct place place, size_t bytes)
{
    script_step_begins(s, place, "send some of %zu", bytes);
    ssize_t taken = send_stream(s, place, bytes, 0);
    app_demand(s, place, taken >= 0 || errno == EAGAIN, "send");
    return taken < 0 ? 0 : (size_t)taken;
}

void script_app_recv(struct script *s, struct place place, size_t bytes)
{
    script_step_begins(s, place, "recv %zu", bytes);
    uint8_t *data = malloc(bytes + 1);
    if (!data)
        script_fail(s, place, "no memory");
    /* A datagram is to be no longer than expected; of a stream, the rest is for the next call. */
    bool udp = is_udp(s);
    ssize_t got = strait_recv(s->stack, s->flow->fd, data, bytes + udp, 0);
    int error = errno;
    size_t good =
        got > 0 ? stream_check(STREAM_REMOTE, udp ? 0 : s->flow->app_received, data, (size_t)got)
                : 0;
    free(data);
    errno = error;
    if (got < 0)
        script_fail(s, place, "recv: %s", strerror(error));
    if ((size_t)got != bytes)
        script_fail(s, place, "recv: %zd bytes, not %zu", got, bytes);
    if (good != bytes)
        script_fail(s, place, "recv: byte %u of the stream is wrong",
                    s->flow->app_received + (uint32_t)good);
    s->flow->app_received += (uint32_t)bytes;
    script_step_ends(s, place);
}

void script_app_recv_fails(struct script *s, struct place place, int expected)
{
    script_step_begins(s, place, "recv, which yields %s",
                       expected ? strerror(expected) : "the end");
    uint8_t byte;
    ssize_t got = strait_recv(s->stack, s->flow->fd, &byte, 1, 0);
    if (got > 0)
        script_fail(s, place, "recv: there is data");
    int error = got < 0 ? errno : 0;
    if (error != expected)
        script_fail(s, place, "recv: %s", error ? strerror(error) : "the end of the stream");
    script_step_ends(s, place);
}

void script_app_at_mark(struct script *s, struct place place, int expected)
{
    script_step_begins(s, place, "sockatmark");
    int is = strait_sockatmark(s->stack, s->flow->fd);
    if (is != expected)
        script_fail(s, place, "sockatmark: %d, not %d", is, expected);
    script_step_ends(s, place);
}

void script_app_send_fails(struct script *s, struct place place, int expected)
{
    script_step_begins(s, place, "send, which yields %s", strerror(expected));
    ssize_t taken = strait_send(s->stack, s->flow->fd, "x", 1, 0);
    if (taken >= 0)
        script_fail(s, place, "send: it is taken");
    app_demand(s, place, errno == expected, "send");
}

void script_app_shutdown(struct script *s, struct place place, int how)
{
    script_step_begins(s, place, "shutdown %d", how);
    app_demand(s, place, strait_shutdown(s->stack, s->flow->fd, how) == 0, "shutdown");
}

void script_app_close(struct script *s, struct place place)
{
    script_step_begins(s, place, "close");
    int fd = s->flow->fd;
    s->flow->fd = -1;
    app_demand(s, place, strait_close(s->stack, fd) == 0, "close");
}

void script_app_close_listener(struct script *s, struct place place)
{
    script_step_begins(s, place, "close the listener");
    app_demand(s, place, strait_close(s->stack, s->listener) == 0, "close");
    s->listener = -1;
}

void script_app_set(struct script *s, struct place place, int level, int name, int value)
{
    script_step_begins(s, place, "setsockopt %d, %d: %d", level, name, value);
    int fd = s->flow->fd >= 0 ? s->flow->fd : s->listener;
    int result = strait_setsockopt(s->stack, fd, level, name, &value, sizeof value);
    app_demand(s, place, result == 0, "setsockopt");
}

void script_app_linger(struct script *s, struct place place, int seconds)
{
    script_step_begins(s, place, "linger %d", seconds);
    struct linger linger = {.l_onoff = 1, .l_linger = seconds};
    int result =
        strait_setsockopt(s->stack, s->flow->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    app_demand(s, place, result == 0, "setsockopt");
}

void script_app_error(struct script *s, struct place place, int expected)
{
    script_step_begins(s, place, "SO_ERROR");
    int error = 0;
    socklen_t length = sizeof error;
    int result = strait_getsockopt(s->stack, s->flow->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    app_demand(s, place, result == 0, "getsockopt");
    if (error != expected)
        script_fail(s, place, "SO_ERROR is %d (%s), not %d (%s)", error, strerror(error), expected,
                    strerror(expected));
}

void script_app_events(struct script *s, struct place place, short expected)
{
    struct pollfd poll = {.fd = s->flow->fd, .events = POLLIN | POLLPRI | POLLOUT | POLLRDHUP};
    script_step_begins(s, place, "poll");
    int count = strait_poll(s->stack, &poll, 1, 0);
    app_demand(s, place, count >= 0, "poll");
    if (poll.revents != expected)
        script_fail(s, place, "the events are 0x%x, not 0x%x", (unsigned)poll.revents,
                    (unsigned)expected);
}
