/* SPDX-License-Identifier: MIT */
#include "duo.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "echo/echo.h"

#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

struct in_addr duo_ip(const char *text)
{
    return (struct in_addr){.s_addr = inet_addr(text)};
}

struct sockaddr_in duo_at(const char *address, uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = duo_ip(address)};
}

void services_start(void *app, struct strait *stack, struct strait_env *env)
{
    struct services *s = app;
    s->tcp = echo_start(stack, env, 7);
    s->udp = echo_udp_start(stack, 7);
    assert_true(s->tcp && s->udp);
    s->starts++;
}

void services_crash(void *app)
{
    struct services *s = app;
    server_free(s->tcp);
    echo_udp_stop(s->udp);
    s->crashes++;
}

void sightings_look(void *context, uint64_t now_ns, int direction, enum world_sight sight,
                    const void *packet, size_t length, const struct strait_offload *offload)
{
    struct sightings *all = context;
    (void)offload;
    assert_true(length >= DUO_HEADERS_BYTES);
    if (all->count < SIGHTINGS_MAX)
        all->list[all->count] =
            (struct sighting){.at_ns = now_ns,
                              .direction = direction,
                              .sight = sight,
                              .length = length,
                              .ttl = ((const uint8_t *)packet)[8],
                              .sequence = load_be32((const uint8_t *)packet + 24)};
    all->count++;
}

void sightings_assert(const struct sightings *all, int i, uint64_t at_ns, int direction,
                      enum world_sight sight)
{
    assert_true(i < all->count);
    assert_int_equal(all->list[i].at_ns, at_ns);
    assert_int_equal(all->list[i].direction, direction);
    assert_int_equal(all->list[i].sight, sight);
}

struct duo *duo_with(uint64_t seed, const struct impair_config *there,
                     const struct impair_config *back, const struct world_app *app, uint32_t mtu)
{
    struct duo *d = calloc(1, sizeof(*d));
    assert_non_null(d);
    const struct world_app services = {services_start, services_crash, &d->services};
    d->world = world_new(seed);
    assert_non_null(d->world);
    d->left = world_add_host(d->world, "left", NULL, NULL);
    d->right = world_add_host(d->world, "right", NULL, app ? app : &services);
    assert_true(d->left && d->right);
    const struct world_end ends[] = {{d->left, duo_ip("10.0.0.1")}, {d->right, duo_ip("10.0.0.2")}};
    const struct impair_config impair[] = {*there, *back};
    d->link = world_add_link(d->world, ends, 24, mtu, 0, impair);
    assert_non_null(d->link);
    world_tap(d->link, sightings_look, &d->seen);
    return d;
}

struct duo *duo_new(uint64_t seed)
{
    const struct impair_config there = {.delay_ns = DUO_DELAY_NS}, back = {.delay_ns = 1};
    struct duo *d = duo_with(seed, &there, &back, NULL, 1500);
    assert_int_equal(world_run(d->world, 2 * S), WORLD_IDLE);
    return d;
}

void duo_free(struct duo *d)
{
    world_free(d->world);
    free(d);
}

void duo_pass(struct duo *d, uint64_t ns)
{
    assert_in_range(world_run(d->world, world_now(d->world) + ns), WORLD_TIME, WORLD_IDLE);
}

int duo_udp_socket(struct world_host *host)
{
    int fd = strait_socket(world_stack(host), AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    return fd;
}

void duo_send_datagram(struct duo *d, int fd, size_t length)
{
    static const uint8_t zeros[65000];
    struct sockaddr_in to = duo_at("10.0.0.2", 7);
    assert_int_equal(strait_sendto(world_stack(d->left), fd, zeros, length, 0,
                                   (struct sockaddr *)&to, sizeof(to)),
                     length);
}

int duo_tcp_connect(struct world_host *host, const char *address)
{
    struct sockaddr_in to = duo_at(address, 7);
    struct strait *stack = world_stack(host);
    int fd = strait_socket(stack, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(strait_connect(stack, fd, (struct sockaddr *)&to, sizeof(to)), -1);
    assert_int_equal(errno, EINPROGRESS);
    return fd;
}

static uint8_t nth_byte(size_t i)
{
    return (uint8_t)(i * 31 + i / 251);
}

void duo_assert_echo(struct world *w, struct world_host *host, int fd, size_t length)
{
    struct strait *stack = world_stack(host);
    uint64_t end_ns = world_now(w) + 60 * S;
    size_t sent = 0, got = 0;
    while (got < length && world_now(w) < end_ns) {
        uint8_t bytes[4096];
        size_t n = length - sent < sizeof(bytes) ? length - sent : sizeof(bytes);
        for (size_t i = 0; i < n; i++)
            bytes[i] = nth_byte(sent + i);
        ssize_t put = n > 0 ? strait_send(stack, fd, bytes, n, 0) : 0;
        sent += put > 0 ? (size_t)put : 0;
        ssize_t taken = strait_recv(stack, fd, bytes, sizeof(bytes), 0);
        for (ssize_t i = 0; i < taken; i++)
            assert_int_equal(bytes[i], nth_byte(got + (size_t)i));
        got += taken > 0 ? (size_t)taken : 0;
        if (put <= 0 && taken <= 0)
            world_run(w, world_now(w) + MS);
    }
    assert_int_equal(got, length);
}
