/* SPDX-License-Identifier: MIT */
/*
 * ECN (RFC 3168) end to end: two stacks with a bottleneck between them that marks before it drops.
 * A round trip takes 20 ms at 20 Mbit/s, so 50 kB are on the way when nothing waits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>

#include "echo/echo.h"
#include "sim/world.h"

#define S           UINT64_C(1000000000)
#define MS          UINT64_C(1000000)
#define RATE_BPS    UINT64_C(20000000)
#define DELAY_NS    (10 * MS)
#define QUEUE_BYTES 200000
#define MARK_BYTES  30000
#define RUN_NS      (20 * S)

struct path {
    struct world *world;
    struct world_host *sender, *receiver;
    struct world_link *link;
    struct server *server;
    int fd;
};

static void start(void *app, struct strait *stack, struct strait_env *env)
{
    struct path *p = app;
    p->server = discard_start(stack, env, 9);
    assert_non_null(p->server);
}

static void crash(void *app)
{
    server_free(((struct path *)app)->server);
}

/* Keeps the send buffer full. */
static void fill(void *argument, int fd, short revents)
{
    static const uint8_t zeros[65536];
    struct path *p = argument;
    (void)revents;
    while (strait_send(world_stack(p->sender), fd, zeros, sizeof(zeros), 0) > 0)
        ;
}

static void path_open(struct path *p, enum strait_ecn ecn)
{
    struct strait_config config;
    strait_config_init(&config);
    config.ecn = (uint8_t)ecn;
    const struct world_app app = {start, crash, p};
    p->world = world_new(1);
    assert_non_null(p->world);
    p->sender = world_add_host(p->world, "sender", &config, NULL);
    p->receiver = world_add_host(p->world, "receiver", &config, &app);
    assert_true(p->sender && p->receiver);
    const struct world_end ends[] = {{p->sender, {inet_addr("10.0.0.1")}},
                                     {p->receiver, {inet_addr("10.0.0.2")}}};
    const struct impair_config impair[] = {{.delay_ns = DELAY_NS,
                                            .rate_bps = RATE_BPS,
                                            .queue_bytes = QUEUE_BYTES,
                                            .ecn_bytes = MARK_BYTES},
                                           {.delay_ns = DELAY_NS}};
    p->link = world_add_link(p->world, ends, 24, 1500, 0, impair);
    assert_non_null(p->link);
    world_run(p->world, world_now(p->world) + S); /* the server starts */

    struct strait *stack = world_stack(p->sender);
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(9), .sin_addr = ends[1].address};
    p->fd = strait_socket(stack, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(strait_connect(stack, p->fd, (const struct sockaddr *)&to, sizeof(to)), -1);
    assert_int_equal(errno, EINPROGRESS);
    assert_int_equal(strait_watch(stack, p->fd, POLLOUT, fill, p), 0);
}

static void path_close(struct path *p)
{
    world_free(p->world);
}

static struct tcp_info info(const struct path *p)
{
    struct tcp_info info;
    socklen_t length = sizeof(info);
    assert_int_equal(
        strait_getsockopt(world_stack(p->sender), p->fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    return info;
}

static void marks_hold_a_transfer_back_without_a_loss_rfc3168_6_1(void **state)
{
    (void)state;
    struct path p = {0};
    uint32_t rtt_us_max = 0;
    path_open(&p, STRAIT_ECN_REQUEST);
    uint64_t end_ns = world_now(p.world) + RUN_NS;
    world_run(p.world, world_now(p.world) + 2 * S); /* slow start is over */
    while (world_now(p.world) < end_ns) {
        world_run(p.world, world_now(p.world) + 10 * MS);
        uint32_t rtt_us = info(&p).tcpi_rtt;
        rtt_us_max = rtt_us > rtt_us_max ? rtt_us : rtt_us_max;
    }

    struct world_counters there;
    world_counters(p.link, 0, &there);
    assert_int_equal(there.impair.queue_full, 0);
    assert_int_equal(info(&p).tcpi_total_retrans, 0);
    assert_true(there.impair.marked > 0);
    /* The queue stays near the mark: 12 ms of waiting, and what one more round trip adds. */
    assert_in_range(rtt_us_max, 20000, 36000);
    /* A window that is halved at 80 kB leaves 40 kB on the way at the least: four fifths. */
    uint64_t full_bytes = RATE_BPS / 8 * (RUN_NS / S);
    assert_true(there.delivered * 1500 > full_bytes * 85 / 100);
    path_close(&p);
}

static void without_ecn_the_same_queue_fills_and_drops(void **state)
{
    (void)state;
    struct path p = {0};
    path_open(&p, STRAIT_ECN_OFF);
    world_run(p.world, world_now(p.world) + RUN_NS);

    struct world_counters there;
    world_counters(p.link, 0, &there);
    assert_true(there.impair.queue_full > 0);
    assert_int_equal(there.impair.marked, 0);
    path_close(&p);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_hold_a_transfer_back_without_a_loss_rfc3168_6_1),
        cmocka_unit_test(without_ecn_the_same_queue_fills_and_drops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
