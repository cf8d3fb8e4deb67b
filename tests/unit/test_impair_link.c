/* SPDX-License-Identifier: MIT */
/* An impairment in front of a link, in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/timer.h"
#include "link/impair.h"

#define MS    UINT64_C(1000000)
#define TICK  (UINT64_C(1) << TIMER_TICK_SHIFT)
#define START (1000 * TICK)

/* What one side was given. */
struct side {
    int packets;
    char last[16];
    uint64_t at_ns; /* the time, or for what is received the time that it was given with */
};

struct fixture {
    struct strait_env env;
    struct timer_wheel timers;
    uint64_t now_ns;
    struct strait_link inner;
    struct side sent, received;
    int waiting; /* packets that the inner link gives at its next drain; below 0: it is gone */
    bool closed;
    struct strait_link *link;
};

static struct fixture *fixture_of_env(struct strait_env *env)
{
    return container_of(env, struct fixture, env);
}

static uint64_t env_now(struct strait_env *env)
{
    return fixture_of_env(env)->now_ns;
}

static void env_timer_start(struct strait_env *env, struct strait_timer *timer,
                            uint64_t deadline_ns)
{
    timer_start(&fixture_of_env(env)->timers, timer, deadline_ns);
}

static void env_timer_stop(struct strait_env *env, struct strait_timer *timer)
{
    timer_stop(&fixture_of_env(env)->timers, timer);
}

static void note(struct side *side, const void *packet, size_t length, uint64_t at_ns)
{
    assert_in_range(length, 1, sizeof(side->last) - 1);
    memcpy(side->last, packet, length);
    side->last[length] = '\0';
    side->packets++;
    side->at_ns = at_ns;
}

static int inner_send(struct strait_link *inner, const struct iovec *parts, int count,
                      const struct strait_offload *offload)
{
    struct fixture *f = container_of(inner, struct fixture, inner);
    assert_int_equal(count, 1);
    assert_int_equal(offload->checksum, STRAIT_CHECKSUM_PARTIAL);
    note(&f->sent, parts[0].iov_base, parts[0].iov_len, f->now_ns);
    errno = ENOBUFS;
    return -1;
}

static int inner_drain(struct strait_link *inner, uint64_t now_ns, size_t budget_bytes)
{
    struct fixture *f = container_of(inner, struct fixture, inner);
    const struct strait_offload offload = {.checksum = STRAIT_CHECKSUM_VALID};
    assert_int_equal(budget_bytes, 4096);
    if (f->waiting < 0) {
        errno = ENODEV;
        return -1;
    }
    int packets = f->waiting;
    for (; f->waiting > 0; f->waiting--)
        inner->receive(inner, "question", 8, &offload, now_ns);
    return packets;
}

static void inner_close(struct strait_link *inner)
{
    container_of(inner, struct fixture, inner)->closed = true;
}

static void receive(struct strait_link *link, const void *packet, size_t length,
                    const struct strait_offload *offload, uint64_t now_ns)
{
    struct fixture *f = link->upper;
    assert_int_equal(offload->checksum, STRAIT_CHECKSUM_VALID);
    note(&f->received, packet, length, now_ns);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->env = (struct strait_env){.size = sizeof(struct strait_env),
                                 .now = env_now,
                                 .timer_start = env_timer_start,
                                 .timer_stop = env_timer_stop};
    f->now_ns = START;
    timer_wheel_init(&f->timers, f->now_ns, &f->env);
    f->inner = (struct strait_link){.size = sizeof(struct strait_link),
                                    .name = "inner",
                                    .mtu = 1400,
                                    .features = STRAIT_LINK_CHECKSUM,
                                    .fd = 42,
                                    .send = inner_send,
                                    .drain = inner_drain,
                                    .close = inner_close};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (!f->closed)
        f->link->close(f->link);
    assert_true(timer_wheel_next(&f->timers) == STRAIT_NEVER);
    free(f);
    return 0;
}

static void wrap(struct fixture *f, struct impair_config out, struct impair_config in)
{
    f->link = impair_link_new(&f->inner, &f->env, &out, &in, 1);
    assert_non_null(f->link);
    f->link->receive = receive;
    f->link->upper = f;
}

static void send_text(struct fixture *f, const char *text)
{
    const struct strait_offload offload = {.checksum = STRAIT_CHECKSUM_PARTIAL};
    const struct iovec part = {(void *)(uintptr_t)text, strlen(text)};
    assert_int_equal(f->link->send(f->link, &part, 1, &offload), 0);
}

/* Lets packets arrive from below; returns what the drain says. */
static int drain(struct fixture *f, int packets)
{
    f->waiting = packets;
    return f->link->drain(f->link, f->now_ns, 4096);
}

static void advance_to(struct fixture *f, uint64_t now_ns)
{
    f->now_ns = now_ns;
    timer_wheel_advance(&f->timers, now_ns);
}

static void the_wrapping_link_looks_like_the_inner_one(void **state)
{
    struct fixture *f = *state;
    wrap(f, (struct impair_config){0}, (struct impair_config){0});
    assert_string_equal(f->link->name, "inner");
    assert_int_equal(f->link->mtu, 1400);
    assert_int_equal(f->link->features, STRAIT_LINK_CHECKSUM);
    assert_int_equal(f->link->fd, 42);
}

static void a_link_without_drain_is_wrapped_by_one_without(void **state)
{
    struct fixture *f = *state;
    f->inner.drain = NULL;
    wrap(f, (struct impair_config){0}, (struct impair_config){0});
    assert_null(f->link->drain);
}

static void what_is_due_at_once_passes_at_once(void **state)
{
    struct fixture *f = *state;
    wrap(f, (struct impair_config){0}, (struct impair_config){0});
    send_text(f, "answer");
    assert_int_equal(f->sent.packets, 1);
    assert_string_equal(f->sent.last, "answer");
    assert_int_equal(drain(f, 2), 2);
    assert_int_equal(f->received.packets, 2);
    assert_string_equal(f->received.last, "question");
    assert_int_equal(f->received.at_ns, START);
    assert_true(timer_wheel_next(&f->timers) == STRAIT_NEVER);
}

static void each_direction_has_its_own_delay(void **state)
{
    struct fixture *f = *state;
    wrap(f, (struct impair_config){.delay_ns = 30 * TICK},
         (struct impair_config){.delay_ns = 20 * TICK});
    send_text(f, "answer");
    drain(f, 1);
    advance_to(f, START + 19 * TICK);
    assert_int_equal(f->received.packets, 0);
    advance_to(f, START + 20 * TICK);
    assert_int_equal(f->received.packets, 1);
    assert_int_equal(f->received.at_ns, START + 20 * TICK);
    advance_to(f, START + 29 * TICK);
    assert_int_equal(f->sent.packets, 0);
    advance_to(f, START + 30 * TICK);
    assert_int_equal(f->sent.packets, 1);
    assert_string_equal(f->sent.last, "answer");
}

/* The timer is set for the first, and has to be set anew for each that comes before it. */
static void the_timer_stands_on_what_is_due_first(void **state)
{
    struct fixture *f = *state;
    wrap(f, (struct impair_config){.delay_ns = 50 * TICK},
         (struct impair_config){.delay_ns = 10 * TICK});
    send_text(f, "1");
    drain(f, 1);
    advance_to(f, START + 10 * TICK);
    assert_int_equal(f->received.packets, 1);
    send_text(f, "2");
    advance_to(f, START + 50 * TICK);
    assert_string_equal(f->sent.last, "1");
    advance_to(f, START + 60 * TICK);
    assert_string_equal(f->sent.last, "2");
    assert_true(timer_wheel_next(&f->timers) == STRAIT_NEVER);
}

/* Or the driver would believe that the stack had been given the time. */
static void a_drain_counts_the_packets_that_it_hands_upward(void **state)
{
    struct fixture *f = *state;
    wrap(f, (struct impair_config){0}, (struct impair_config){.delay_ns = 10 * TICK});
    assert_int_equal(drain(f, 3), 0);
    advance_to(f, START + 10 * TICK);
    assert_int_equal(f->received.packets, 3);
    assert_int_equal(drain(f, 1), 0);
    f->now_ns += 10 * TICK; /* what waits is due, and its timer has not expired yet */
    assert_int_equal(drain(f, 1), 1);
    assert_int_equal(f->received.packets, 4);
}

static void an_inner_link_that_is_gone_is_told(void **state)
{
    struct fixture *f = *state;
    wrap(f, (struct impair_config){0}, (struct impair_config){0});
    errno = 0;
    assert_int_equal(drain(f, -1), -1);
    assert_int_equal(errno, ENODEV);
}

static void close_sends_what_is_on_the_way_out_and_closes_the_inner_link(void **state)
{
    struct fixture *f = *state;
    wrap(f, (struct impair_config){.delay_ns = 10 * MS}, (struct impair_config){.delay_ns = MS});
    send_text(f, "1");
    send_text(f, "2");
    drain(f, 1);
    f->link->close(f->link);
    assert_int_equal(f->sent.packets, 2);
    assert_string_equal(f->sent.last, "2");
    assert_int_equal(f->received.packets, 0);
    assert_true(f->closed);
}

static void the_directions_are_drawn_from_different_numbers(void **state)
{
    struct fixture *f = *state;
    const struct impair_config half = {.loss = 500000};
    int alike = 0;
    wrap(f, half, half);
    for (int i = 0; i < 1000; i++) {
        int before = f->sent.packets;
        send_text(f, "x");
        alike += drain(f, 1) == f->sent.packets - before;
    }
    assert_in_range(alike, 500 - 64, 500 + 64); /* four deviations of sqrt(250) */
}

struct look {
    const char *name;
    uint64_t value;
    int names;
};

static void look_at(void *context, const char *name, uint64_t value)
{
    struct look *look = context;
    look->names++;
    if (strcmp(name, look->name) == 0)
        look->value = value;
}

static uint64_t counter(struct fixture *f, const char *name)
{
    struct look look = {.name = name, .value = UINT64_MAX};
    impair_link_counters(f->link, look_at, &look);
    assert_int_equal(look.names, 16);
    return look.value;
}

static void counters_are_told_for_each_direction(void **state)
{
    struct fixture *f = *state;
    wrap(f, (struct impair_config){.loss = 1000000}, (struct impair_config){.duplicate = 1000000});
    send_text(f, "1");
    send_text(f, "2");
    drain(f, 3);
    assert_int_equal(counter(f, "impair_out_packets"), 2);
    assert_int_equal(counter(f, "impair_out_lost"), 2);
    assert_int_equal(counter(f, "impair_out_duplicated"), 0);
    assert_int_equal(counter(f, "impair_in_packets"), 3);
    assert_int_equal(counter(f, "impair_in_lost"), 0);
    assert_int_equal(counter(f, "impair_in_duplicated"), 3);
    assert_int_equal(f->received.packets, 6);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_wrapping_link_looks_like_the_inner_one),
        TEST(a_link_without_drain_is_wrapped_by_one_without),
        TEST(what_is_due_at_once_passes_at_once),
        TEST(each_direction_has_its_own_delay),
        TEST(the_timer_stands_on_what_is_due_first),
        TEST(a_drain_counts_the_packets_that_it_hands_upward),
        TEST(an_inner_link_that_is_gone_is_told),
        TEST(close_sends_what_is_on_the_way_out_and_closes_the_inner_link),
        TEST(the_directions_are_drawn_from_different_numbers),
        TEST(counters_are_told_for_each_direction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
