/* SPDX-License-Identifier: MIT */
#include "wire.h"

#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct wire *wire_new(void (*configure)(struct strait_config *))
{
    struct wire *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->pair = pair_new(&(struct pair_config){.configure = configure});
    w->left = pair_stack(w->pair, 0);
    w->right = pair_stack(w->pair, 1);
    w->wait = pair_env(w->pair)->wait;
    return w;
}

void wire_free(struct wire *w)
{
    pair_free(w->pair);
    free(w);
}

int wire_setup(void **state)
{
    *state = wire_new(NULL);
    return 0;
}

int wire_teardown(void **state)
{
    wire_free(*state);
    return 0;
}

void wire_run(struct wire *w)
{
    pair_run(w->pair, 20 * PAIR_MS);
}

struct sockaddr_in wire_address(uint32_t host, uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(host)};
}

int wire_stream(struct strait *stack, int flags)
{
    int fd = strait_socket(stack, AF_INET, SOCK_STREAM | flags, 0);
    assert_true(fd >= 0);
    return fd;
}

int wire_bind(struct strait *stack, int fd, uint16_t port)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
    return strait_bind(stack, fd, (struct sockaddr *)&any, sizeof(any));
}

int wire_datagram(struct strait *stack, uint16_t port, int flags)
{
    int fd = strait_socket(stack, AF_INET, SOCK_DGRAM | flags, 0);
    assert_true(fd >= 0);
    if (port != 0)
        assert_int_equal(wire_bind(stack, fd, port), 0);
    return fd;
}

int wire_listener(struct wire *w)
{
    int fd = wire_stream(w->right, SOCK_NONBLOCK), on = 1;
    assert_int_equal(strait_setsockopt(w->right, fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    assert_int_equal(wire_bind(w->right, fd, WIRE_PORT), 0);
    assert_int_equal(strait_listen(w->right, fd, 16), 0);
    return fd;
}

int wire_connect(struct wire *w, int fd, uint16_t port)
{
    struct sockaddr_in server = pair_address(1, port);
    return strait_connect(w->left, fd, (struct sockaddr *)&server, sizeof(server));
}

int wire_connect_to(struct strait *stack, int fd, uint32_t host, uint16_t port)
{
    struct sockaddr_in name = wire_address(host, port);
    return strait_connect(stack, fd, (struct sockaddr *)&name, sizeof(name));
}

struct sockaddr_in wire_name(struct strait *stack, int fd)
{
    struct sockaddr_in name;
    socklen_t length = sizeof(name);
    assert_int_equal(strait_getsockname(stack, fd, (struct sockaddr *)&name, &length), 0);
    assert_int_equal(length, sizeof(name));
    assert_int_equal(name.sin_family, AF_INET);
    return name;
}

int wire_peer(struct strait *stack, int fd, struct sockaddr_in *name)
{
    socklen_t length = sizeof(*name);
    return strait_getpeername(stack, fd, (struct sockaddr *)name, &length);
}

void wire_established(struct wire *w, int listener, int *client, int *server)
{
    *client = wire_stream(w->left, SOCK_NONBLOCK);
    assert_errno(wire_connect(w, *client, WIRE_PORT), EINPROGRESS);
    wire_run(w);
    assert_int_equal(wire_connect(w, *client, WIRE_PORT), 0);
    *server = strait_accept4(w->right, listener, NULL, NULL, SOCK_NONBLOCK);
    assert_true(*server >= 0);
}

void wire_assert_carries(struct wire *w, int client, int server)
{
    char bytes[8];
    assert_int_equal(strait_send(w->left, client, "hi", 2, 0), 2);
    wire_run(w);
    assert_int_equal(strait_recv(w->right, server, bytes, sizeof(bytes), 0), 2);
    assert_memory_equal(bytes, "hi", 2);
}

void wire_reset(struct wire *w, struct strait *stack, int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(strait_setsockopt(stack, fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    assert_int_equal(strait_close(stack, fd), 0);
    wire_run(w);
}

short wire_events(struct strait *stack, int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    int ready = strait_poll(stack, &p, 1, 0);
    assert_int_equal(ready, p.revents != 0);
    return p.revents;
}

int wire_option(struct strait *stack, int fd, int level, int name)
{
    int value = -1;
    socklen_t length = sizeof(value);
    assert_int_equal(strait_getsockopt(stack, fd, level, name, &value, &length), 0);
    assert_int_equal(length, sizeof(value));
    return value;
}

void wire_set_option(struct strait *stack, int fd, int level, int name, int value)
{
    assert_int_equal(strait_setsockopt(stack, fd, level, name, &value, sizeof(value)), 0);
    assert_int_equal(wire_option(stack, fd, level, name), value);
}

static int interrupted(struct strait_env *env, uint64_t deadline_ns)
{
    (void)env;
    (void)deadline_ns;
    errno = EINTR;
    return -1;
}

void wire_interrupt(struct wire *w, bool on)
{
    pair_env(w->pair)->wait = on ? interrupted : w->wait;
}
