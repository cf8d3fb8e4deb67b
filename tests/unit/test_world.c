/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/timer.h"
#include "echo/echo.h"
#include "sim/pcap.h"
#include "sim/world.h"

#define MS     UINT64_C(1000000)
#define S      UINT64_C(1000000000)
#define DELAY  UINT64_C(12345678)
#define NOISES 2000
#define IP_UDP 28 /* bytes of the headers */

static struct in_addr ip(const char *text)
{
    return (struct in_addr){.s_addr = inet_addr(text)};
}

static struct sockaddr_in at(const char *address, uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = ip(address)};
}

/* ---- A host that echoes, and one that is driven by the test ---- */

/* The services of a host; counts its lives and deaths. */
struct services {
    struct server *tcp;
    struct echo_udp *udp;
    int starts, crashes;
};

static void services_start(void *app, struct strait *stack, struct strait_env *env)
{
    struct services *s = app;
    s->tcp = echo_start(stack, env, 7);
    s->udp = echo_udp_start(stack, 7);
    assert_true(s->tcp && s->udp);
    s->starts++;
}

static void services_crash(void *app)
{
    struct services *s = app;
    server_free(s->tcp);
    echo_udp_stop(s->udp);
    s->crashes++;
}

/* What a tap has seen. */
struct sighting {
    uint64_t at_ns;
    int direction;
    enum world_sight sight;
    size_t length;
    uint8_t ttl;
    uint32_t sequence; /* if it is TCP */
};

struct sightings {
    struct sighting list[NOISES];
    int count;
};

static void look(void *context, uint64_t now_ns, int direction, enum world_sight sight,
                 const void *packet, size_t length, const struct strait_offload *offload)
{
    struct sightings *all = context;
    (void)offload;
    assert_true(length >= IP_UDP);
    if (all->count < NOISES)
        all->list[all->count] =
            (struct sighting){.at_ns = now_ns,
                              .direction = direction,
                              .sight = sight,
                              .length = length,
                              .ttl = ((const uint8_t *)packet)[8],
                              .sequence = load_be32((const uint8_t *)packet + 24)};
    all->count++;
}

static void assert_seen(const struct sightings *all, int i, uint64_t at_ns, int direction,
                        enum world_sight sight)
{
    assert_true(i < all->count);
    assert_int_equal(all->list[i].at_ns, at_ns);
    assert_int_equal(all->list[i].direction, direction);
    assert_int_equal(all->list[i].sight, sight);
}

/* Two hosts: the left one is driven by the test, the right one runs an application. */
struct duo {
    struct world *world;
    struct world_host *left, *right;
    struct world_link *link;
    struct services services;
    struct sightings seen;
};

static struct duo *duo_with(uint64_t seed, const struct impair_config *there,
                            const struct impair_config *back, const struct world_app *app,
                            uint32_t mtu)
{
    struct duo *d = calloc(1, sizeof(*d));
    assert_non_null(d);
    const struct world_app services = {services_start, services_crash, &d->services};
    d->world = world_new(seed);
    assert_non_null(d->world);
    d->left = world_add_host(d->world, "left", NULL, NULL);
    d->right = world_add_host(d->world, "right", NULL, app ? app : &services);
    assert_true(d->left && d->right);
    const struct world_end ends[] = {{d->left, ip("10.0.0.1")}, {d->right, ip("10.0.0.2")}};
    const struct impair_config impair[] = {*there, *back};
    d->link = world_add_link(d->world, ends, 24, mtu, 0, impair);
    assert_non_null(d->link);
    world_tap(d->link, look, &d->seen);
    return d;
}

static struct duo *duo_new(uint64_t seed)
{
    const struct impair_config there = {.delay_ns = DELAY}, back = {.delay_ns = 1};
    struct duo *d = duo_with(seed, &there, &back, NULL, 1500);
    assert_int_equal(world_run(d->world, 2 * S), WORLD_IDLE);
    return d;
}

static void duo_free(struct duo *d)
{
    world_free(d->world);
    free(d);
}

static void pass(struct duo *d, uint64_t ns)
{
    assert_in_range(world_run(d->world, world_now(d->world) + ns), WORLD_TIME, WORLD_IDLE);
}

static int udp_socket(struct world_host *host)
{
    int fd = strait_socket(world_stack(host), AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    return fd;
}

static void send_datagram(struct duo *d, int fd, size_t length)
{
    static const uint8_t zeros[65000];
    struct sockaddr_in to = at("10.0.0.2", 7);
    assert_int_equal(strait_sendto(world_stack(d->left), fd, zeros, length, 0,
                                   (struct sockaddr *)&to, sizeof(to)),
                     length);
}

static int tcp_connect(struct world_host *host, const char *address)
{
    struct sockaddr_in to = at(address, 7);
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

/* Sends bytes to an echo and expects them back, all within a minute. */
static void assert_echo(struct world *w, struct world_host *host, int fd, size_t length)
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

/* ---- Packets and time ---- */

static void a_packet_takes_the_delay_to_the_nanosecond(void **state)
{
    (void)state;
    struct duo *d = duo_new(1);
    uint64_t t = world_now(d->world);
    send_datagram(d, udp_socket(d->left), 100);
    pass(d, S);
    assert_int_equal(d->seen.count, 4);
    assert_seen(&d->seen, 0, t, 0, WORLD_SENT);
    assert_seen(&d->seen, 1, t + DELAY, 0, WORLD_DELIVERED);
    assert_seen(&d->seen, 2, t + DELAY, 1, WORLD_SENT);
    assert_seen(&d->seen, 3, t + DELAY + 1, 1, WORLD_DELIVERED);
    assert_int_equal(d->seen.list[3].length, 100 + IP_UDP);
    duo_free(d);
}

static void a_stream_comes_back_whole_through_a_bad_path(void **state)
{
    (void)state;
    const struct impair_config bad = {.delay_ns = 5 * MS,
                                      .jitter_ns = MS,
                                      .rate_bps = 20000000,
                                      .loss = 20000,
                                      .duplicate = 20000,
                                      .reorder = 20000,
                                      .corrupt = 20000};
    struct duo *d = duo_with(3, &bad, &bad, NULL, 1500);
    pass(d, MS);
    assert_echo(d->world, d->left, tcp_connect(d->left, "10.0.0.2"), 200000);
    for (int direction = 0; direction < 2; direction++) {
        struct world_counters c;
        world_counters(d->link, direction, &c);
        assert_true(c.impair.lost > 0 && c.impair.duplicated > 0 && c.impair.corrupted > 0);
        assert_int_equal(c.sent, c.impair.packets);
    }
    duo_free(d);
}

static void every_packet_is_accounted_for(void **state)
{
    (void)state;
    const struct impair_config bad = {
        .rate_bps = 1000000, .queue_bytes = 20000, .loss = 100000, .duplicate = 100000};
    struct duo *d = duo_with(4, &bad, &bad, NULL, 1500);
    pass(d, MS);
    int fd = udp_socket(d->left);
    for (int i = 0; i < 200; i++) {
        send_datagram(d, fd, 1000);
        pass(d, 6 * MS);
        world_cut(d->link, 0, i % 50 == 40);
    }
    pass(d, 10 * S);
    for (int direction = 0; direction < 2; direction++) {
        struct world_counters c;
        world_counters(d->link, direction, &c);
        assert_true(c.delivered > 0 && c.impair.lost > 0 && c.impair.duplicated > 0);
        assert_int_equal(c.sent + c.impair.duplicated,
                         c.delivered + c.cut + c.impair.lost + c.impair.queue_full);
    }
    duo_free(d);
}

static void a_link_takes_no_more_than_a_device_would(void **state)
{
    (void)state;
    const struct impair_config perfect = {0};
    struct duo *d = duo_with(1, &perfect, &perfect, NULL, 576);
    pass(d, MS);
    int fd = udp_socket(d->left);
    send_datagram(d, fd, 576 - IP_UDP);
    pass(d, MS);
    assert_int_equal(d->seen.count, 4);
    send_datagram(d, fd, 600); /* in two fragments, as its echo */
    pass(d, MS);
    assert_int_equal(d->seen.count, 4 + 8);
    for (int i = 0; i < d->seen.count; i++)
        assert_true(d->seen.list[i].length <= 576);
    duo_free(d);
}

static void super_packets_travel_whole_over_links_that_take_them(void **state)
{
    (void)state;
    struct services services = {0};
    const struct world_app app = {services_start, services_crash, &services};
    const struct impair_config impair[2] = {{.delay_ns = MS}, {.delay_ns = MS}};
    struct sightings *seen = calloc(1, sizeof(*seen));
    assert_non_null(seen);
    struct world *w = world_new(1);
    struct world_host *a = world_add_host(w, "a", NULL, NULL),
                      *b = world_add_host(w, "b", NULL, &app);
    const struct world_end ends[] = {{a, ip("10.0.0.1")}, {b, ip("10.0.0.2")}};
    struct world_link *link =
        world_add_link(w, ends, 24, 1500, STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4, impair);
    world_tap(link, look, seen);
    world_run(w, 2 * S);
    assert_echo(w, a, tcp_connect(a, "10.0.0.2"), 1000000);
    size_t longest = 0;
    for (int i = 0; i < seen->count && i < NOISES; i++)
        longest = seen->list[i].length > longest ? seen->list[i].length : longest;
    assert_true(longest > 9000);
    world_free(w);
    free(seen);
}

static void three_routers_forward_and_each_takes_one_of_the_ttl(void **state)
{
    (void)state;
    struct services services = {0};
    const struct world_app app = {services_start, services_crash, &services};
    const struct impair_config impair[2] = {{.delay_ns = MS}, {.delay_ns = MS}};
    static const char *const names[] = {"a", "r1", "r2", "r3", "b"};
    struct sightings *seen = calloc(1, sizeof(*seen));
    assert_non_null(seen);
    struct strait_config router;
    strait_config_init(&router);
    router.forward = true;
    struct world *w = world_new(1);
    struct world_host *hosts[5];
    struct world_link *links[4];
    for (int i = 0; i < 5; i++)
        hosts[i] = world_add_host(w, names[i], i % 4 ? &router : NULL, i == 4 ? &app : NULL);
    for (int i = 0; i < 4; i++) {
        char near[] = "10.0.0.1", far[] = "10.0.0.2";
        near[5] = far[5] = (char)('1' + i);
        const struct world_end ends[] = {{hosts[i], ip(near)}, {hosts[i + 1], ip(far)}};
        links[i] = world_add_link(w, ends, 24, 1500, 0, impair);
        assert_non_null(links[i]);
    }
    /* The first link, on the left, is the default; the way to b lies on the right. */
    for (int i = 1; i < 4; i++)
        assert_int_equal(world_add_route(hosts[i], ip("10.0.4.0"), 24, links[i]), 0);
    world_tap(links[3], look, seen);
    world_run(w, 2 * S);
    int fd = tcp_connect(hosts[0], "10.0.4.2");
    world_run(w, 3 * S);
    assert_int_equal(seen->list[0].ttl, 64 - 3);
    assert_int_equal(seen->list[0].at_ns, 2 * S + 3 * MS);

    /* Routes outlive a router. */
    world_crash(hosts[2]);
    world_restart(hosts[2]);
    assert_echo(w, hosts[0], fd, 10000);
    world_free(w);
    free(seen);
}

/* ---- Cuts ---- */

static void a_cut_loses_what_enters_and_what_is_on_the_way_in_one_direction(void **state)
{
    (void)state;
    struct duo *d = duo_new(1);
    struct world_counters c;
    int fd = udp_socket(d->left);
    send_datagram(d, fd, 10);
    pass(d, MS);
    world_cut(d->link, 0, true);
    send_datagram(d, fd, 10);
    pass(d, S);
    assert_int_equal(d->seen.count, 2);
    world_counters(d->link, 0, &c);
    assert_int_equal(c.sent, 2);
    assert_int_equal(c.cut, 2);

    world_cut(d->link, 0, false);
    world_cut(d->link, 1, true);
    send_datagram(d, fd, 10);
    pass(d, S);
    assert_int_equal(d->seen.count, 5);
    world_counters(d->link, 0, &c);
    assert_int_equal(c.delivered, 1);
    world_counters(d->link, 1, &c);
    assert_int_equal(c.cut, 1);

    world_cut(d->link, 1, false);
    send_datagram(d, fd, 10);
    pass(d, S);
    assert_int_equal(d->seen.count, 9);
    duo_free(d);
}

static void a_path_can_change_while_packets_are_on_it(void **state)
{
    (void)state;
    struct duo *d = duo_new(1);
    uint64_t t = world_now(d->world);
    int fd = udp_socket(d->left);
    send_datagram(d, fd, 10);
    pass(d, MS);
    world_impair(d->link, 0, &(struct impair_config){.delay_ns = 5});
    send_datagram(d, fd, 20);
    pass(d, S);
    assert_seen(&d->seen, 2, t + MS + 5, 0, WORLD_DELIVERED);
    assert_int_equal(d->seen.list[2].length, 20 + IP_UDP);
    duo_free(d);
}

/* ---- Pause, crash, restart ---- */

static void a_paused_host_takes_what_has_come_when_it_resumes(void **state)
{
    (void)state;
    struct duo *d = duo_new(1);
    int fd = udp_socket(d->left);
    world_pause(d->right, true);
    for (int i = 0; i < 3; i++)
        send_datagram(d, fd, 10);
    pass(d, 100 * MS);
    assert_int_equal(d->seen.count, 3);
    pass(d, S);
    uint64_t t = world_now(d->world);
    world_pause(d->right, false);
    pass(d, S);
    assert_int_equal(d->seen.count, 12);
    for (int i = 0; i < 3; i++) {
        assert_seen(&d->seen, 3 + i, t, 0, WORLD_DELIVERED);
        assert_seen(&d->seen, 6 + i, t, 1, WORLD_SENT);
    }
    duo_free(d);
}

static void a_paused_host_holds_a_mebibyte(void **state)
{
    (void)state;
    const struct impair_config perfect = {0};
    struct duo *d = duo_with(1, &perfect, &perfect, NULL, 65535);
    struct world_counters c;
    pass(d, MS);
    int fd = udp_socket(d->left);
    world_pause(d->right, true);
    for (int i = 0; i < 20; i++)
        send_datagram(d, fd, 65000);
    pass(d, S);
    /* 1048576 / 65028 = 16.1 */
    world_counters(d->link, 0, &c);
    assert_int_equal(c.pause_full, 4);
    world_crash(d->right);
    world_counters(d->link, 0, &c);
    assert_int_equal(c.host_down, 16);
    assert_int_equal(c.delivered, 0);
    duo_free(d);
}

static void a_crash_forgets_and_the_peer_is_reset_by_the_next_life(void **state)
{
    (void)state;
    struct duo *d = duo_new(1);
    struct strait *stack = world_stack(d->left);
    struct world_counters before, after;
    int fd = tcp_connect(d->left, "10.0.0.2"), datagrams = udp_socket(d->left);
    assert_echo(d->world, d->left, fd, 5000);
    assert_int_equal(d->services.starts, 1);

    int seen = d->seen.count;
    world_crash(d->right);
    assert_int_equal(d->seen.count, seen);
    assert_int_equal(d->services.crashes, 1);
    assert_false(world_is_up(d->right));
    assert_null(world_stack(d->right));
    assert_null(world_env(d->right));
    world_counters(d->link, 0, &before);
    send_datagram(d, datagrams, 10);
    pass(d, 100 * MS);
    world_counters(d->link, 0, &after);
    assert_int_equal(after.delivered, before.delivered);
    assert_true(after.host_down > before.host_down);

    world_restart(d->right);
    assert_true(world_is_up(d->right));
    pass(d, MS);
    assert_int_equal(d->services.starts, 2);
    assert_int_equal(strait_send(stack, fd, "x", 1, 0), 1);
    pass(d, S);
    char byte;
    assert_int_equal(strait_recv(stack, fd, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    assert_echo(d->world, d->left, tcp_connect(d->left, "10.0.0.2"), 5000);
    duo_free(d);
}

/* An application that keeps a journal: a line is added in each life, and synced in the first. */
struct journal {
    int lives;
    int64_t found[3];
    uint64_t drawn[3];
};

static void journal_start(void *app, struct strait *stack, struct strait_env *env)
{
    struct journal *j = app;
    (void)stack;
    int file = env->file_open(env, "journal", O_RDWR | O_CREAT);
    assert_true(file >= 0);
    j->found[j->lives] = env->file_size(env, file);
    env->random(env, &j->drawn[j->lives], sizeof(j->drawn[0]));
    assert_int_equal(env->file_write(env, file, "line\n", 5, 5 * (uint64_t)j->lives), 5);
    if (j->lives == 0)
        assert_int_equal(env->file_sync(env, file), 0);
    j->lives++;
}

static void the_disk_outlives_its_host_as_far_as_it_was_synced(void **state)
{
    (void)state;
    int lost = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct journal j = {0};
        struct world *w = world_new(seed);
        struct world_host *h =
            world_add_host(w, "h", NULL, &(struct world_app){.start = journal_start, .app = &j});
        for (int life = 0; life < 3; life++) {
            world_run(w, world_now(w) + S);
            world_crash(h);
            world_restart(h);
        }
        assert_int_equal(j.found[0], 0);
        assert_int_equal(j.found[1], 5);
        assert_true(j.found[2] == 5 || j.found[2] == 10);
        lost += j.found[2] == 5;
        assert_int_not_equal(j.drawn[0], j.drawn[1]);
        assert_int_not_equal(j.drawn[1], j.drawn[2]);
        world_free(w);
    }
    assert_in_range(lost, 3, 17);
}

/* ---- The environment ---- */

#define WORKS 3

struct task {
    struct strait_work work;
    struct chores *chores;
    uint64_t ran_ns, done_ns;
};

struct chores {
    struct strait *stack;
    struct strait_env *env;
    struct strait_timer timer;
    uint64_t expired_ns;
    int posts, crashes;
    struct task tasks[WORKS];
};

static void task_run(struct strait_work *work)
{
    struct task *t = (struct task *)work;
    t->ran_ns = t->chores->env->now(t->chores->env);
}

static void task_done(struct strait_work *work)
{
    struct task *t = (struct task *)work;
    t->done_ns = t->chores->env->now(t->chores->env);
}

static void chore_posted(void *argument)
{
    struct chores *c = argument;
    if (++c->posts < 3)
        strait_post(c->env, chore_posted, c);
}

static void chore_expired(void *owner, struct strait_timer *timer)
{
    struct chores *c = (struct chores *)((char *)timer - offsetof(struct chores, timer));
    assert_ptr_equal(owner, c->env);
    c->expired_ns = c->env->now(c->env);
}

static void chores_start(void *app, struct strait *stack, struct strait_env *env)
{
    struct chores *c = app;
    c->stack = stack;
    c->env = env;
    c->timer.expired = chore_expired;
    for (int i = 0; i < WORKS; i++) {
        c->tasks[i] = (struct task){.work = {.run = task_run, .done = task_done}, .chores = c};
        assert_int_equal(env->execute(env, &c->tasks[i].work), 0);
    }
    env->timer_start(env, &c->timer, env->now(env) + 50 * MS + 1);
    strait_post(env, chore_posted, c);
    errno = 0;
    assert_int_equal(env->watch(env, 0, POLLIN, NULL, NULL), -1);
    assert_int_equal(errno, ENOSYS);
    assert_null(env->wait);
}

static void chores_crash(void *app)
{
    struct chores *c = app;
    assert_false(timer_running(&c->timer));
    c->crashes++;
}

static void work_timers_and_posts_come_in_virtual_time(void **state)
{
    (void)state;
    struct chores c = {0};
    struct world *w = world_new(1);
    world_add_host(w, "h", NULL, &(struct world_app){chores_start, chores_crash, &c});
    assert_int_equal(world_run(w, STRAIT_NEVER), WORLD_IDLE);
    assert_int_equal(c.posts, 3);
    for (int i = 0; i < WORKS; i++) {
        assert_in_range(c.tasks[i].ran_ns, S + 1, S + 1020000);
        assert_in_range(c.tasks[i].done_ns, c.tasks[i].ran_ns, c.tasks[i].ran_ns + MS);
    }
    assert_in_range(c.expired_ns, S + 50 * MS + 1,
                    S + 50 * MS + 1 + (UINT64_C(1) << TIMER_TICK_SHIFT));
    assert_int_equal(world_now(w), c.expired_ns);
    world_free(w);
    assert_int_equal(c.crashes, 1);
}

static void a_crash_drops_work_timers_and_posts(void **state)
{
    (void)state;
    struct chores c = {0};
    struct world *w = world_new(1);
    struct world_host *h =
        world_add_host(w, "h", NULL, &(struct world_app){chores_start, chores_crash, &c});
    assert_int_equal(world_run(w, S + 1), WORLD_TIME);
    strait_post(c.env, chore_posted, &c);
    world_crash(h);
    assert_int_equal(world_run(w, 5 * S), WORLD_IDLE);
    assert_int_equal(c.expired_ns, 0);
    assert_int_equal(c.tasks[0].ran_ns, 0);
    assert_int_equal(c.posts, 3);
    world_restart(h);
    assert_int_equal(world_run(w, 9 * S), WORLD_IDLE);
    assert_true(c.expired_ns > 0 && c.tasks[0].ran_ns > 0);
    world_free(w);
}

static void what_falls_due_in_a_pause_happens_at_its_end(void **state)
{
    (void)state;
    struct chores c = {0};
    struct world *w = world_new(1);
    struct world_host *h =
        world_add_host(w, "h", NULL, &(struct world_app){chores_start, chores_crash, &c});
    world_run(w, S + 1);
    world_pause(h, true);
    assert_int_equal(world_run(w, 5 * S), WORLD_IDLE);
    assert_int_equal(c.expired_ns, 0);
    uint64_t t = world_now(w);
    world_pause(h, false);
    world_run(w, t + MS);
    assert_int_equal(c.tasks[0].ran_ns, t);
    assert_in_range(c.tasks[0].done_ns, t, t + MS);
    assert_int_equal(c.expired_ns, t);
    world_free(w);
}

/* Work that writes and syncs: each takes exactly 10 ms. */
struct writer {
    struct strait_work work;
    struct strait_env *env;
    uint64_t ran_ns, done_ns;
};

static void writer_run(struct strait_work *work)
{
    struct writer *t = (struct writer *)work;
    int file = t->env->file_open(t->env, "a", O_RDWR | O_CREAT);
    assert_int_equal(t->env->file_write(t->env, file, "x", 1, 0), 1);
    assert_int_equal(t->env->file_sync(t->env, file), 0);
    assert_int_equal(t->env->file_write(t->env, file, "y", 1, 1), 1);
    assert_int_equal(t->env->file_sync(t->env, file), 0);
    assert_int_equal(t->env->file_close(t->env, file), 0);
    t->ran_ns = t->env->now(t->env);
}

static void writer_done(struct strait_work *work)
{
    struct writer *t = (struct writer *)work;
    t->done_ns = t->env->now(t->env);
}

/* The content of "a" after a crash so long after the work was run; its size, or -1. */
static int64_t size_after_crash(struct writer *t, uint64_t after_ns)
{
    *t = (struct writer){.work = {.run = writer_run, .done = writer_done}};
    struct world *w = world_new(1);
    struct world_host *h = world_add_host(w, "h", NULL, NULL);
    disk_set_speed(world_disk(h), &(struct disk_speed){.sync_ns = 10 * MS});
    t->env = world_env(h);
    assert_int_equal(t->env->execute(t->env, &t->work), 0);
    while (t->ran_ns == 0)
        world_run(w, world_now(w) + 1000);
    world_run(w, t->ran_ns + after_ns);
    world_crash(h);
    world_run(w, 2 * S);
    world_restart(h);
    int file = disk_open(world_disk(h), "a", O_RDONLY);
    int64_t size = file < 0 ? -1 : disk_size(world_disk(h), file);
    world_free(w);
    return size;
}

static void work_is_done_when_the_disk_is_and_a_crash_leaves_what_was_complete(void **state)
{
    (void)state;
    struct writer t;
    /* A sync takes from 5 to 15 ms, and 30 both together at most. */
    assert_int_equal(size_after_crash(&t, 40 * MS), 2);
    assert_in_range(t.done_ns - t.ran_ns, 10 * MS, 30 * MS);
    uint64_t both_ns = t.done_ns - t.ran_ns;
    assert_int_equal(size_after_crash(&t, both_ns), 2);
    int sizes = 0;
    for (uint64_t after_ns = 5000; after_ns < both_ns; after_ns += MS / 4) {
        int64_t size = size_after_crash(&t, after_ns);
        assert_int_equal(t.done_ns, 0);
        assert_in_range(size + 1, after_ns >= 15 * MS ? 2 : 0, 3);
        sizes |= 1 << (size + 1);
    }
    assert_true(sizes & 4); /* the first sync was complete, the second write was lost */
}

static void too_much_work_is_refused(void **state)
{
    (void)state;
    static struct strait_work works[1025];
    struct world *w = world_new(1);
    struct strait_env *env = world_env(world_add_host(w, "h", NULL, NULL));
    for (int i = 0; i < 1024; i++)
        assert_int_equal(env->execute(env, &works[i]), 0);
    errno = 0;
    assert_int_equal(env->execute(env, &works[1024]), -1);
    assert_int_equal(errno, EAGAIN);
    world_free(w);
}

/* ---- The scenario ---- */

struct script {
    struct duo *duo;
    char said[8];
    size_t length;
    int fd;
};

static void say(struct script *s, char letter)
{
    assert_true(s->length + 1 < sizeof(s->said));
    s->said[s->length++] = letter;
}

static void say_a(void *argument)
{
    say(argument, 'a');
}

static void say_b(void *argument)
{
    say(argument, 'b');
}

static void say_and_stop(void *argument)
{
    struct script *s = argument;
    say(s, 's');
    world_stop(s->duo->world);
}

static void send_now(void *argument)
{
    struct script *s = argument;
    send_datagram(s->duo, s->fd, 10);
}

static void the_scenario_acts_in_order_of_time_and_then_of_scheduling(void **state)
{
    (void)state;
    struct duo *d = duo_new(1);
    struct script s = {.duo = d};
    uint64_t t = world_now(d->world);
    assert_int_equal(world_at(d->world, t + 20, say_a, &s), 0);
    assert_int_equal(world_at(d->world, t + 10, say_b, &s), 0);
    assert_int_equal(world_at(d->world, t + 10, say_a, &s), 0);
    assert_int_equal(world_at(d->world, 0, say_b, &s), 0);
    assert_int_equal(world_at(d->world, t + 15, say_and_stop, &s), 0);
    assert_int_equal(world_run(d->world, t + S), WORLD_STOPPED);
    assert_string_equal(s.said, "bbas");
    assert_int_equal(world_now(d->world), t + 15);
    assert_int_equal(world_run(d->world, t + 18), WORLD_TIME);
    assert_int_equal(world_now(d->world), t + 18);
    assert_int_equal(world_run(d->world, t + 20), WORLD_IDLE);
    assert_string_equal(s.said, "bbasa");
    /* What is left is freed with the world. */
    assert_int_equal(world_at(d->world, t + 30, say_a, &s), 0);
    duo_free(d);
}

static void socket_calls_of_the_scenario_take_effect_at_once(void **state)
{
    (void)state;
    struct duo *d = duo_new(1);
    struct script s = {.duo = d, .fd = udp_socket(d->left)};
    uint64_t t = world_now(d->world);
    assert_int_equal(world_at(d->world, t + 777, send_now, &s), 0);
    pass(d, S);
    assert_seen(&d->seen, 0, t + 777, 0, WORLD_SENT);
    assert_seen(&d->seen, 1, t + 777 + DELAY, 0, WORLD_DELIVERED);

    /* A connection, whose SYN is sent by the turn and not by the call. */
    t = world_now(d->world);
    tcp_connect(d->left, "10.0.0.2");
    assert_int_equal(d->seen.count, 4);
    pass(d, MS);
    assert_seen(&d->seen, 4, t, 0, WORLD_SENT);
    duo_free(d);
}

static void connect_now(void *argument)
{
    struct script *s = argument;
    tcp_connect(s->duo->left, "10.0.0.2");
}

struct caller {
    struct strait_timer timer;
    struct script script;
};

static void caller_expired(void *owner, struct strait_timer *timer)
{
    (void)owner;
    connect_now(&((struct caller *)(void *)timer)->script);
}

enum call { AT_ONCE, BETWEEN_RUNS, BY_SCENARIO, BY_TIMER };

/*
 * Initial sequence numbers grow by one every 4 us (RFC 9293 3.4.1): they tell at what time the
 * stack believes that it is called. The same seed gives the same ports and secrets.
 */
static uint32_t isn_of_a_call(enum call when)
{
    struct duo *d = duo_new(1);
    struct caller c = {.timer.expired = caller_expired, .script.duo = d};
    uint64_t due_ns = world_now(d->world) + 10 * S;
    struct strait_env *env = world_env(d->left);
    if (when == BY_SCENARIO)
        assert_int_equal(world_at(d->world, due_ns, connect_now, &c.script), 0);
    if (when == BY_TIMER)
        env->timer_start(env, &c.timer, due_ns);
    if (when == BETWEEN_RUNS)
        pass(d, 10 * S);
    if (when == AT_ONCE || when == BETWEEN_RUNS)
        connect_now(&c.script);
    pass(d, 11 * S);
    assert_true(d->seen.count > 0);
    uint32_t isn = d->seen.list[0].sequence;
    duo_free(d);
    return isn;
}

static void a_call_after_a_long_silence_is_made_at_its_own_time(void **state)
{
    (void)state;
    const uint32_t first = isn_of_a_call(AT_ONCE), ticks = 10 * 1000000 / 4;
    const uint32_t late = (uint32_t)((UINT64_C(1) << TIMER_TICK_SHIFT) / 4000 + 1);
    assert_int_equal(isn_of_a_call(BETWEEN_RUNS) - first, ticks);
    assert_int_equal(isn_of_a_call(BY_SCENARIO) - first, ticks);
    assert_in_range(isn_of_a_call(BY_TIMER) - first, ticks, ticks + late);
}

/* ---- Determinism ---- */

/* A world with all sorts of trouble, run in steps of so many ns; returns its hash. */
static uint64_t troubled(uint64_t seed, uint64_t step_ns, uint64_t *events)
{
    const struct impair_config bad = {.delay_ns = 3 * MS,
                                      .jitter_ns = 2 * MS,
                                      .rate_bps = 50000000,
                                      .loss = 20000,
                                      .duplicate = 20000,
                                      .reorder = 20000,
                                      .corrupt = 20000};
    struct duo *d = duo_with(seed, &bad, &bad, NULL, 1500);
    assert_int_equal(world_run(d->world, 2 * S), WORLD_IDLE);
    struct strait *stack = world_stack(d->left);
    int fd = tcp_connect(d->left, "10.0.0.2");
    uint8_t bytes[4096] = {1, 2, 3};
    for (int second = 2; second < 10; second++) {
        while (strait_send(stack, fd, bytes, sizeof(bytes), 0) > 0)
            ;
        while (strait_recv(stack, fd, bytes, sizeof(bytes), 0) > 0)
            ;
        if (second == 5)
            world_crash(d->right);
        if (second == 6)
            world_restart(d->right);
        for (int i = 1; i <= (int)(S / step_ns); i++)
            world_run(d->world, (uint64_t)second * S + (uint64_t)i * step_ns);
    }
    *events = world_events(d->world);
    uint64_t hash = world_hash(d->world);
    duo_free(d);
    return hash;
}

static void the_same_seed_gives_the_same_world_and_another_seed_another(void **state)
{
    (void)state;
    uint64_t first, second, other;
    uint64_t hash = troubled(7, S, &first);
    assert_int_equal(troubled(7, S, &second), hash);
    assert_int_equal(first, second);
    assert_true(first > 1000);
    assert_int_not_equal(troubled(8, S, &other), hash);
}

static void it_makes_no_difference_in_how_many_steps_a_world_is_run(void **state)
{
    (void)state;
    uint64_t events;
    uint64_t hash = troubled(9, S, &events);
    assert_int_equal(troubled(9, S / 1000, &events), hash);
}

static uint64_t hash_of_one_byte(uint8_t byte)
{
    struct duo *d = duo_new(1);
    struct sockaddr_in to = at("10.0.0.2", 7);
    int fd = udp_socket(d->left);
    assert_int_equal(
        strait_sendto(world_stack(d->left), fd, &byte, 1, 0, (struct sockaddr *)&to, sizeof(to)),
        1);
    pass(d, S);
    uint64_t hash = world_hash(d->world);
    duo_free(d);
    return hash;
}

static void one_bit_of_a_packet_is_another_world(void **state)
{
    (void)state;
    assert_int_equal(hash_of_one_byte(1), hash_of_one_byte(1));
    assert_int_not_equal(hash_of_one_byte(1), hash_of_one_byte(3));
}

/* ---- No progress ---- */

struct lines {
    char last[8][256];
    int count;
    bool times_agree;
};

static void take_line(void *context, uint64_t now_ns, const char *line)
{
    struct lines *l = context;
    unsigned long seconds, ns;
    l->times_agree = sscanf(line, "%lu.%9lu ", &seconds, &ns) == 2 && seconds * S + ns == now_ns;
    strncpy(l->last[l->count++ % 8], line, 255);
}

static bool said(const struct lines *l, const char *text)
{
    for (int i = 0; i < 8; i++)
        if (strstr(l->last[i], text))
            return true;
    return false;
}

static void post_again(void *argument)
{
    struct strait_env *env = argument;
    strait_post(env, post_again, env);
}

static void restless_start(void *app, struct strait *stack, struct strait_env *env)
{
    (void)app, (void)stack;
    strait_post(env, post_again, env);
}

static void a_host_that_never_rests_is_found(void **state)
{
    (void)state;
    struct lines lines = {0};
    struct world *w = world_new(1);
    world_log(w, take_line, &lines);
    world_add_host(w, "quiet", NULL, NULL);
    world_add_host(w, "restless", NULL, &(struct world_app){.start = restless_start});
    assert_int_equal(world_run(w, 2 * S), WORLD_NO_PROGRESS);
    assert_int_equal(world_now(w), S);
    assert_true(said(&lines, "no progress: restless had"));
    assert_true(said(&lines, "no progress: quiet had 1 turns") ||
                said(&lines, "no progress: quiet had 2 turns"));
    world_free(w);
}

/* Sends every datagram back to the peer's port 9, as fast as it comes. */
struct mirror {
    struct strait *stack;
    const char *peer;
};

static void mirror_ready(void *argument, int fd, short revents)
{
    struct mirror *m = argument;
    struct sockaddr_in to = at(m->peer, 9);
    char bytes[16];
    (void)revents;
    ssize_t n = strait_recv(m->stack, fd, bytes, sizeof(bytes), 0);
    if (n > 0)
        strait_sendto(m->stack, fd, bytes, (size_t)n, 0, (struct sockaddr *)&to, sizeof(to));
}

static void mirror_start(void *app, struct strait *stack, struct strait_env *env)
{
    struct mirror *m = app;
    struct sockaddr_in here = at("0.0.0.0", 9), to = at(m->peer, 9);
    int fd = strait_socket(stack, AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    (void)env;
    m->stack = stack;
    assert_int_equal(strait_bind(stack, fd, (struct sockaddr *)&here, sizeof(here)), 0);
    assert_int_equal(strait_watch(stack, fd, POLLIN, mirror_ready, m), 0);
    strait_sendto(stack, fd, "ball", 4, 0, (struct sockaddr *)&to, sizeof(to));
}

static void two_hosts_that_answer_each_other_without_delay_are_found(void **state)
{
    (void)state;
    struct lines lines = {0};
    struct mirror left = {.peer = "10.0.0.2"}, right = {.peer = "10.0.0.1"};
    const struct impair_config perfect[2] = {0};
    struct world *w = world_new(1);
    const struct world_end ends[] = {
        {world_add_host(w, "left", NULL, &(struct world_app){.start = mirror_start, .app = &left}),
         ip("10.0.0.1")},
        {world_add_host(w, "right", NULL,
                        &(struct world_app){.start = mirror_start, .app = &right}),
         ip("10.0.0.2")}};
    world_add_link(w, ends, 24, 1500, 0, perfect);
    world_log(w, take_line, &lines);
    assert_int_equal(world_run(w, 2 * S), WORLD_NO_PROGRESS);
    assert_true(said(&lines, "no progress: left-right delivered"));
    assert_true(lines.times_agree);
    world_free(w);
}

/* ---- Looking inside ---- */

static void the_log_tells_what_happens_to_whom(void **state)
{
    (void)state;
    struct lines lines = {0};
    struct duo *d = duo_new(1);
    world_log(d->world, take_line, &lines);
    send_datagram(d, udp_socket(d->left), 100);
    pass(d, 5 * MS);
    assert_string_equal(lines.last[0] + strcspn(lines.last[0], " "), " left > right 128 bytes");
    world_crash(d->right);
    assert_true(said(&lines, "right crashes"));
    pass(d, S);
    assert_true(said(&lines, "left > right 128 bytes, which is down"));
    assert_true(lines.times_agree);
    duo_free(d);
}

static void a_link_is_written_as_its_end_sees_it_with_virtual_times(void **state)
{
    (void)state;
    char path[] = "/tmp/strait-world-XXXXXX", error[PCAP_ERRBUF_SIZE + 200];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct duo *d = duo_new(1);
    struct world_pcap *p = world_pcap_open(d->link, 0, path, error, sizeof(error));
    assert_non_null(p);
    uint64_t t = world_now(d->world);
    send_datagram(d, udp_socket(d->left), 100);
    pass(d, S);
    assert_int_equal(world_pcap_close(p, error, sizeof(error)), 0);
    duo_free(d);

    const uint64_t times_ns[] = {t, t + DELAY + 1};
    pcap_t *file = pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO, error);
    assert_non_null(file);
    struct pcap_pkthdr *head;
    const u_char *bytes;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pcap_next_ex(file, &head, &bytes), 1);
        assert_int_equal((uint64_t)head->ts.tv_sec * S + (uint64_t)head->ts.tv_usec, times_ns[i]);
        assert_int_equal(head->len, 100 + IP_UDP);
        assert_int_equal(head->caplen, head->len);
        /* RFC 791: source at byte 12, destination at 16; the answer has them the other way round.
         */
        struct in_addr left = ip("10.0.0.1"), right = ip("10.0.0.2");
        assert_memory_equal(bytes + (i == 0 ? 12 : 16), &left, sizeof(left));
        assert_memory_equal(bytes + (i == 0 ? 16 : 12), &right, sizeof(right));
    }
    assert_int_equal(pcap_next_ex(file, &head, &bytes), PCAP_ERROR_BREAK);
    pcap_close(file);
    unlink(path);
}

static void a_file_that_cannot_be_written_is_told(void **state)
{
    (void)state;
    char error[PCAP_ERRBUF_SIZE + 200] = "";
    struct duo *d = duo_new(1);
    assert_null(world_pcap_open(d->link, 0, "/nonexistent/file", error, sizeof(error)));
    assert_non_null(strstr(error, "cannot write the capture"));
    duo_free(d);
}

/* ---- Refusals ---- */

static void what_a_stack_refuses_is_refused(void **state)
{
    (void)state;
    const struct impair_config perfect[2] = {0};
    struct strait_config config;
    strait_config_init(&config);
    config.connections_max = 0;
    struct world *w = world_new(1);
    errno = 0;
    assert_null(world_add_host(w, "wrong", &config, NULL));
    assert_int_equal(errno, EINVAL);
    struct world_host *a = world_add_host(w, "a", NULL, NULL),
                      *b = world_add_host(w, "b", NULL, NULL);
    const struct world_end ends[] = {{a, ip("10.0.0.1")}, {b, ip("0.0.0.0")}};
    errno = 0;
    assert_null(world_add_link(w, ends, 24, 1500, 0, perfect));
    assert_int_equal(errno, EINVAL);
    const struct world_end right[] = {{a, ip("10.0.1.1")}, {b, ip("10.0.1.2")}};
    struct world_link *link = world_add_link(w, right, 24, 1500, 0, perfect);
    assert_non_null(link);
    struct world_host *c = world_add_host(w, "c", NULL, NULL);
    errno = 0;
    assert_int_equal(world_add_route(c, ip("10.0.2.0"), 24, link), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(world_run(w, 2 * S), WORLD_IDLE);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packet_takes_the_delay_to_the_nanosecond),
        cmocka_unit_test(a_stream_comes_back_whole_through_a_bad_path),
        cmocka_unit_test(every_packet_is_accounted_for),
        cmocka_unit_test(a_link_takes_no_more_than_a_device_would),
        cmocka_unit_test(super_packets_travel_whole_over_links_that_take_them),
        cmocka_unit_test(three_routers_forward_and_each_takes_one_of_the_ttl),
        cmocka_unit_test(a_cut_loses_what_enters_and_what_is_on_the_way_in_one_direction),
        cmocka_unit_test(a_path_can_change_while_packets_are_on_it),
        cmocka_unit_test(a_paused_host_takes_what_has_come_when_it_resumes),
        cmocka_unit_test(a_paused_host_holds_a_mebibyte),
        cmocka_unit_test(a_crash_forgets_and_the_peer_is_reset_by_the_next_life),
        cmocka_unit_test(the_disk_outlives_its_host_as_far_as_it_was_synced),
        cmocka_unit_test(work_timers_and_posts_come_in_virtual_time),
        cmocka_unit_test(a_crash_drops_work_timers_and_posts),
        cmocka_unit_test(what_falls_due_in_a_pause_happens_at_its_end),
        cmocka_unit_test(work_is_done_when_the_disk_is_and_a_crash_leaves_what_was_complete),
        cmocka_unit_test(too_much_work_is_refused),
        cmocka_unit_test(the_scenario_acts_in_order_of_time_and_then_of_scheduling),
        cmocka_unit_test(socket_calls_of_the_scenario_take_effect_at_once),
        cmocka_unit_test(a_call_after_a_long_silence_is_made_at_its_own_time),
        cmocka_unit_test(the_same_seed_gives_the_same_world_and_another_seed_another),
        cmocka_unit_test(it_makes_no_difference_in_how_many_steps_a_world_is_run),
        cmocka_unit_test(one_bit_of_a_packet_is_another_world),
        cmocka_unit_test(a_host_that_never_rests_is_found),
        cmocka_unit_test(two_hosts_that_answer_each_other_without_delay_are_found),
        cmocka_unit_test(the_log_tells_what_happens_to_whom),
        cmocka_unit_test(a_link_is_written_as_its_end_sees_it_with_virtual_times),
        cmocka_unit_test(a_file_that_cannot_be_written_is_told),
        cmocka_unit_test(what_a_stack_refuses_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
