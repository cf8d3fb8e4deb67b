/* SPDX-License-Identifier: MIT */
#include "datagram.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/list.h"
#include "stream.h"

#define NS_PER_MS     UINT64_C(1000000)
#define DATAGRAM_PORT 7000

struct station {
    struct datagrams *datagrams;
    uint32_t host;
    struct strait *stack; /* NULL: the host is down, or has stopped */
    struct strait_env *env;
    int fd;
    uint32_t sent;
    struct strait_timer timer;
};

struct datagrams {
    const struct scenario *scenario;
    struct check *check;
    struct station stations[SCENARIO_HOSTS];
    uint8_t bytes[CHECK_DATAGRAM_MAX + 1]; /* that is sent, or was received */
};

static const struct scenario_host *plan_of(const struct station *s)
{
    return &s->datagrams->scenario->hosts[s->host];
}

static struct sockaddr_in address_of(const struct datagrams *d, uint32_t host)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(DATAGRAM_PORT),
                                .sin_addr = streams_address(host, d->scenario->net.hops)};
}

/* ---- In ---- */

static void ready(void *argument, int fd, short revents)
{
    struct station *s = argument;
    struct datagrams *d = s->datagrams;

    (void)revents;
    ssize_t n = strait_recv(s->stack, fd, d->bytes, sizeof(d->bytes), MSG_TRUNC);
    if (n < 0) {
        CHECK(errno == EAGAIN);
        return;
    }
    check_datagram(d->check, s->env->now(s->env), s->host, d->bytes, (size_t)n);
}

/* ---- Out ---- */

static void wait_for_next(struct station *s)
{
    if (s->sent < plan_of(s)->datagrams)
        s->env->timer_start(s->env, &s->timer,
                            s->env->now(s->env) + (plan_of(s)->datagram_ms + 1) * NS_PER_MS);
}

static void send_next(void *owner, struct strait_timer *timer)
{
    struct station *s = container_of(timer, struct station, timer);
    struct datagrams *d = s->datagrams;
    struct sockaddr_in to = address_of(d, s->host ^ 1u);

    (void)owner;
    size_t length = check_datagram_make(d->check, s->host, s->sent++, d->bytes);
    CHECK(strait_sendto(s->stack, s->fd, d->bytes, length, 0, (struct sockaddr *)&to, sizeof(to)) ==
          (ssize_t)length);
    wait_for_next(s);
}

/* ---- The life of a host ---- */

void datagrams_start(struct datagrams *d, uint32_t host, struct strait *stack,
                     struct strait_env *env)
{
    struct station *s = &d->stations[host];
    struct sockaddr_in own = address_of(d, host);

    s->stack = stack;
    s->env = env;
    s->timer = (struct strait_timer){.expired = send_next};
    s->fd = strait_socket(stack, AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    CHECK(s->fd >= 0);
    CHECK(strait_bind(stack, s->fd, (struct sockaddr *)&own, sizeof(own)) == 0);
    CHECK(strait_watch(stack, s->fd, POLLIN, ready, s) == 0);
    wait_for_next(s);
}

void datagrams_stop(struct datagrams *d, uint32_t host)
{
    struct station *s = &d->stations[host];

    if (!s->stack)
        return;
    s->env->timer_stop(s->env, &s->timer);
    CHECK(strait_close(s->stack, s->fd) == 0);
    s->stack = NULL;
}

void datagrams_crash(struct datagrams *d, uint32_t host)
{
    d->stations[host].stack = NULL;
}

struct datagrams *datagrams_new(const struct scenario *scenario, struct check *check)
{
    struct datagrams *d = calloc(1, sizeof(*d));

    CHECK(d != NULL);
    d->scenario = scenario;
    d->check = check;
    for (uint32_t i = 0; i < SCENARIO_HOSTS; i++)
        d->stations[i] = (struct station){.datagrams = d, .host = i};
    return d;
}

void datagrams_free(struct datagrams *d)
{
    free(d);
}
