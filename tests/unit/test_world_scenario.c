/* SPDX-License-Identifier: MIT */
/* What a scenario does to a simulated world, and that the same one is the same world. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/timer.h"
#include "duo.h"

#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

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
    duo_send_datagram(s->duo, s->fd, 10);
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
    struct script s = {.duo = d, .fd = duo_udp_socket(d->left)};
    uint64_t t = world_now(d->world);
    assert_int_equal(world_at(d->world, t + 777, send_now, &s), 0);
    duo_pass(d, S);
    sightings_assert(&d->seen, 0, t + 777, 0, WORLD_SENT);
    sightings_assert(&d->seen, 1, t + 777 + DUO_DELAY_NS, 0, WORLD_DELIVERED);

    /* A connection, whose SYN is sent by the turn and not by the call. */
    t = world_now(d->world);
    duo_tcp_connect(d->left, "10.0.0.2");
    assert_int_equal(d->seen.count, 4);
    duo_pass(d, MS);
    sightings_assert(&d->seen, 4, t, 0, WORLD_SENT);
    duo_free(d);
}

static void connect_now(void *argument)
{
    struct script *s = argument;
    duo_tcp_connect(s->duo->left, "10.0.0.2");
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
        duo_pass(d, 10 * S);
    if (when == AT_ONCE || when == BETWEEN_RUNS)
        connect_now(&c.script);
    duo_pass(d, 11 * S);
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
    int fd = duo_tcp_connect(d->left, "10.0.0.2");
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
    struct sockaddr_in to = duo_at("10.0.0.2", 7);
    int fd = duo_udp_socket(d->left);
    assert_int_equal(
        strait_sendto(world_stack(d->left), fd, &byte, 1, 0, (struct sockaddr *)&to, sizeof(to)),
        1);
    duo_pass(d, S);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_scenario_acts_in_order_of_time_and_then_of_scheduling),
        cmocka_unit_test(socket_calls_of_the_scenario_take_effect_at_once),
        cmocka_unit_test(a_call_after_a_long_silence_is_made_at_its_own_time),
        cmocka_unit_test(the_same_seed_gives_the_same_world_and_another_seed_another),
        cmocka_unit_test(it_makes_no_difference_in_how_many_steps_a_world_is_run),
        cmocka_unit_test(one_bit_of_a_packet_is_another_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
