/* SPDX-License-Identifier: MIT */
/*
 * How much an application may queue: 1 MiB, and what grows beyond that with the congestion window,
 * which here is 100 segments at first and doubles with each acknowledgement of all that is in
 * flight (RFC 5681 3.1).
 */
#include <poll.h>
#include <sys/socket.h>

#include "fixtures.h"

#define FIRST  (1u << 20)
#define FLIGHT 146000u /* 100 segments of 1460 bytes */
#define PLENTY (16u << 20)
#define OTHERS 5 /* that fill their buffers */

static void established_with_room(struct script *s)
{
    s->config.initial_window = 100;
    s->link.features = STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4;
    remake(s);
    established_with(s, .scale = 7);
}

/* The application queues as many bytes as it can. Returns how many. */
static size_t fill(struct script *s)
{
    size_t bytes = app_send_some(s, PLENTY);
    take_all(s);
    return bytes;
}

/* The stream's first bytes are acknowledged: all that is in flight. */
static void acknowledge(struct script *s, unsigned bytes)
{
    recv(s, ". 1:1(0) ack %u", 1 + bytes);
    take_all(s);
}

static void the_send_buffer_grows_to_twice_the_congestion_window(void **state)
{
    struct script *s = *state;
    established_with_room(s);
    assert_int_equal(fill(s), FIRST);
    acknowledge(s, FLIGHT); /* cwnd: 2 flights */
    assert_int_equal(fill(s), FLIGHT);
    acknowledge(s, 3 * FLIGHT); /* 4 */
    assert_int_equal(fill(s), 2 * FLIGHT + 8 * FLIGHT - FIRST);
    acknowledge(s, 7 * FLIGHT); /* 8 */
    assert_int_equal(fill(s), 4 * FLIGHT + 8 * FLIGHT);
}

static void the_send_buffer_grows_no_further_than_set(void **state)
{
    struct script *s = *state;
    s->config.send_buffer_bytes = 8 * FLIGHT + 1000;
    established_with_room(s);
    assert_int_equal(fill(s), FIRST);
    acknowledge(s, FLIGHT);
    acknowledge(s, 3 * FLIGHT);
    acknowledge(s, 7 * FLIGHT);
    assert_int_equal(fill(s), 15 * FLIGHT + 1000 - FIRST);
}

static void a_send_buffer_that_the_application_has_set_does_not_grow(void **state)
{
    struct script *s = *state;
    established_with_room(s);
    app_set(s, SOL_SOCKET, SO_SNDBUF, 4 * FLIGHT);
    assert_int_equal(fill(s), 4 * FLIGHT);
    acknowledge(s, FLIGHT);
    assert_int_equal(fill(s), FLIGHT);
    acknowledge(s, 3 * FLIGHT);
    assert_int_equal(fill(s), 2 * FLIGHT);
}

static void no_send_buffer_grows_while_half_of_the_memory_is_taken(void **state)
{
    struct script *s = *state;
    s->config.memory_max_bytes = 2 * OTHERS * FIRST;
    established_with_room(s);
    for (unsigned other = 1; other <= OTHERS; other++) {
        on(s, other);
        established_with(s, .scale = 7);
        assert_int_equal(fill(s), FIRST);
    }
    on(s, 0);
    assert_int_equal(fill(s), FIRST);
    acknowledge(s, FLIGHT);
    acknowledge(s, 3 * FLIGHT);
    assert_int_equal(fill(s), 3 * FLIGHT);
}

/* More than are told in one turn. */
static void all_who_wait_for_memory_are_told_when_it_is_back(void **state)
{
    struct script *s = *state;
    enum { WAITING = 30 };
    s->config.memory_max_bytes = 65536;
    s->link.features = STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4;
    remake(s);
    for (unsigned i = 0; i <= WAITING + 1; i++) {
        on(s, i);
        established(s);
    }
    on(s, WAITING);
    assert_int_equal(app_send_some(s, PLENTY), 40960); /* but three eighths */
    expect(s, ". 1:14601(14600) ack 1");
    on(s, WAITING + 1);
    assert_int_equal(app_send_some(s, PLENTY), 8192); /* but a quarter */
    take_all(s);
    for (unsigned i = 0; i < WAITING; i++) {
        on(s, i);
        assert_int_equal(app_send_some(s, 1), 0);
        app_events(s, 0);
    }
    on(s, WAITING);
    recv(s, ". 1:1(0) ack 14601"); /* of a block of 16384: nothing is back yet */
    take_all(s);
    on(s, 0);
    app_events(s, 0);
    on(s, WAITING);
    begin_batch(s);
    recv(s, ". 1:1(0) ack 40961");
    assert_int_equal(strait_advance(s->stack, s->now_ns), s->now_ns); /* more are left */
    end_batch(s);
    take_all(s);
    for (unsigned i = 0; i < WAITING; i++) {
        on(s, i);
        app_events(s, POLLOUT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_send_buffer_grows_to_twice_the_congestion_window),
        TEST(the_send_buffer_grows_no_further_than_set),
        TEST(a_send_buffer_that_the_application_has_set_does_not_grow),
        TEST(all_who_wait_for_memory_are_told_when_it_is_back),
        TEST(no_send_buffer_grows_while_half_of_the_memory_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
