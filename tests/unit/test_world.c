/* SPDX-License-Identifier: MIT */
/* What happens to packets and to hosts in a simulated world. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "duo.h"

#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

/* ---- Packets and time ---- */

static void a_packet_takes_the_delay_to_the_nanosecond(void **state)
{
    (void)state;
    struct duo *d = duo_new(1);
    uint64_t t = world_now(d->world);
    duo_send_datagram(d, duo_udp_socket(d->left), 100);
    duo_pass(d, S);
    assert_int_equal(d->seen.count, 4);
    sightings_assert(&d->seen, 0, t, 0, WORLD_SENT);
    sightings_assert(&d->seen, 1, t + DUO_DELAY_NS, 0, WORLD_DELIVERED);
    sightings_assert(&d->seen, 2, t + DUO_DELAY_NS, 1, WORLD_SENT);
    sightings_assert(&d->seen, 3, t + DUO_DELAY_NS + 1, 1, WORLD_DELIVERED);
    assert_int_equal(d->seen.list[3].length, 100 + DUO_HEADERS_BYTES);
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
    duo_pass(d, MS);
    duo_assert_echo(d->world, d->left, duo_tcp_connect(d->left, "10.0.0.2"), 200000);
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
    duo_pass(d, MS);
    int fd = duo_udp_socket(d->left);
    for (int i = 0; i < 200; i++) {
        duo_send_datagram(d, fd, 1000);
        duo_pass(d, 6 * MS);
        world_cut(d->link, 0, i % 50 == 40);
    }
    duo_pass(d, 10 * S);
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
    duo_pass(d, MS);
    int fd = duo_udp_socket(d->left);
    duo_send_datagram(d, fd, 576 - DUO_HEADERS_BYTES);
    duo_pass(d, MS);
    assert_int_equal(d->seen.count, 4);
    duo_send_datagram(d, fd, 600); /* in two fragments, as its echo */
    duo_pass(d, MS);
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
    const struct world_end ends[] = {{a, duo_ip("10.0.0.1")}, {b, duo_ip("10.0.0.2")}};
    struct world_link *link =
        world_add_link(w, ends, 24, 1500, STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4, impair);
    world_tap(link, sightings_look, seen);
    world_run(w, 2 * S);
    duo_assert_echo(w, a, duo_tcp_connect(a, "10.0.0.2"), 1000000);
    size_t longest = 0;
    for (int i = 0; i < seen->count && i < SIGHTINGS_MAX; i++)
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
        const struct world_end ends[] = {{hosts[i], duo_ip(near)}, {hosts[i + 1], duo_ip(far)}};
        links[i] = world_add_link(w, ends, 24, 1500, 0, impair);
        assert_non_null(links[i]);
    }
    /* The first link, on the left, is the default; the way to b lies on the right. */
    for (int i = 1; i < 4; i++)
        assert_int_equal(world_add_route(hosts[i], duo_ip("10.0.4.0"), 24, links[i]), 0);
    world_tap(links[3], sightings_look, seen);
    world_run(w, 2 * S);
    int fd = duo_tcp_connect(hosts[0], "10.0.4.2");
    world_run(w, 3 * S);
    assert_int_equal(seen->list[0].ttl, 64 - 3);
    assert_int_equal(seen->list[0].at_ns, 2 * S + 3 * MS);

    /* Routes outlive a router. */
    world_crash(hosts[2]);
    world_restart(hosts[2]);
    duo_assert_echo(w, hosts[0], fd, 10000);
    world_free(w);
    free(seen);
}

/* ---- Cuts ---- */

static void a_cut_loses_what_enters_and_what_is_on_the_way_in_one_direction(void **state)
{
    (void)state;
    struct duo *d = duo_new(1);
    struct world_counters c;
    int fd = duo_udp_socket(d->left);
    duo_send_datagram(d, fd, 10);
    duo_pass(d, MS);
    world_cut(d->link, 0, true);
    duo_send_datagram(d, fd, 10);
    duo_pass(d, S);
    assert_int_equal(d->seen.count, 2);
    world_counters(d->link, 0, &c);
    assert_int_equal(c.sent, 2);
    assert_int_equal(c.cut, 2);

    world_cut(d->link, 0, false);
    world_cut(d->link, 1, true);
    duo_send_datagram(d, fd, 10);
    duo_pass(d, S);
    assert_int_equal(d->seen.count, 5);
    world_counters(d->link, 0, &c);
    assert_int_equal(c.delivered, 1);
    world_counters(d->link, 1, &c);
    assert_int_equal(c.cut, 1);

    world_cut(d->link, 1, false);
    duo_send_datagram(d, fd, 10);
    duo_pass(d, S);
    assert_int_equal(d->seen.count, 9);
    duo_free(d);
}

static void a_path_can_change_while_packets_are_on_it(void **state)
{
    (void)state;
    struct duo *d = duo_new(1);
    uint64_t t = world_now(d->world);
    int fd = duo_udp_socket(d->left);
    duo_send_datagram(d, fd, 10);
    duo_pass(d, MS);
    world_impair(d->link, 0, &(struct impair_config){.delay_ns = 5});
    duo_send_datagram(d, fd, 20);
    duo_pass(d, S);
    sightings_assert(&d->seen, 2, t + MS + 5, 0, WORLD_DELIVERED);
    assert_int_equal(d->seen.list[2].length, 20 + DUO_HEADERS_BYTES);
    duo_free(d);
}

/* ---- Pause, crash, restart ---- */

static void a_paused_host_takes_what_has_come_when_it_resumes(void **state)
{
    (void)state;
    struct duo *d = duo_new(1);
    int fd = duo_udp_socket(d->left);
    world_pause(d->right, true);
    for (int i = 0; i < 3; i++)
        duo_send_datagram(d, fd, 10);
    duo_pass(d, 100 * MS);
    assert_int_equal(d->seen.count, 3);
    duo_pass(d, S);
    uint64_t t = world_now(d->world);
    world_pause(d->right, false);
    duo_pass(d, S);
    assert_int_equal(d->seen.count, 12);
    for (int i = 0; i < 3; i++) {
        sightings_assert(&d->seen, 3 + i, t, 0, WORLD_DELIVERED);
        sightings_assert(&d->seen, 6 + i, t, 1, WORLD_SENT);
    }
    duo_free(d);
}

static void a_paused_host_holds_a_mebibyte(void **state)
{
    (void)state;
    const struct impair_config perfect = {0};
    struct duo *d = duo_with(1, &perfect, &perfect, NULL, 65535);
    struct world_counters c;
    duo_pass(d, MS);
    int fd = duo_udp_socket(d->left);
    world_pause(d->right, true);
    for (int i = 0; i < 20; i++)
        duo_send_datagram(d, fd, 65000);
    duo_pass(d, S);
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
    int fd = duo_tcp_connect(d->left, "10.0.0.2"), datagrams = duo_udp_socket(d->left);
    duo_assert_echo(d->world, d->left, fd, 5000);
    assert_int_equal(d->services.starts, 1);

    int seen = d->seen.count;
    world_crash(d->right);
    assert_int_equal(d->seen.count, seen);
    assert_int_equal(d->services.crashes, 1);
    assert_false(world_is_up(d->right));
    assert_null(world_stack(d->right));
    assert_null(world_env(d->right));
    world_counters(d->link, 0, &before);
    duo_send_datagram(d, datagrams, 10);
    duo_pass(d, 100 * MS);
    world_counters(d->link, 0, &after);
    assert_int_equal(after.delivered, before.delivered);
    assert_true(after.host_down > before.host_down);

    world_restart(d->right);
    assert_true(world_is_up(d->right));
    duo_pass(d, MS);
    assert_int_equal(d->services.starts, 2);
    assert_int_equal(strait_send(stack, fd, "x", 1, 0), 1);
    duo_pass(d, S);
    char byte;
    assert_int_equal(strait_recv(stack, fd, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    duo_assert_echo(d->world, d->left, duo_tcp_connect(d->left, "10.0.0.2"), 5000);
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
    const struct world_end ends[] = {{a, duo_ip("10.0.0.1")}, {b, duo_ip("0.0.0.0")}};
    errno = 0;
    assert_null(world_add_link(w, ends, 24, 1500, 0, perfect));
    assert_int_equal(errno, EINVAL);
    const struct world_end right[] = {{a, duo_ip("10.0.1.1")}, {b, duo_ip("10.0.1.2")}};
    struct world_link *link = world_add_link(w, right, 24, 1500, 0, perfect);
    assert_non_null(link);
    struct world_host *c = world_add_host(w, "c", NULL, NULL);
    errno = 0;
    assert_int_equal(world_add_route(c, duo_ip("10.0.2.0"), 24, link), -1);
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
        cmocka_unit_test(what_a_stack_refuses_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
