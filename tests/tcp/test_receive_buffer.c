/* SPDX-License-Identifier: MIT */
/*
 * How much may wait for an application: 1 MiB, and what grows beyond that with what it reads in a
 * round trip, which here takes 10 ms. The window is told with it (RFC 9293 3.8.6).
 */
#include <sys/socket.h>

#include "fixtures.h"

#define FIRST (1u << 20)
#define MSS   1448u         /* timestamps taken off */
#define PIECE (40 * MSS)    /* that arrives together */
#define LOAD  (15 * PIECE)  /* that arrives in a round trip: 868800 */
#define UNIT  (1u << SCALE) /* of the window */
#define SCALE 7             /* 65535 << 7 is 6 MiB at least */

/* The peer sends so many bytes in pieces, which are acknowledged. */
static void arrive(struct script *s, unsigned *next, unsigned bytes)
{
    for (unsigned end = *next + bytes; *next < end; *next += PIECE) {
        recv_super(s, MSS, ". %u:%u(%u) ack 1", *next, *next + PIECE, PIECE);
        take_all(s);
    }
}

/* A round trip later than the last time: the peer sends, and the application reads, a load. */
static void pass(struct script *s, unsigned *next)
{
    quiet(s, 9);
    arrive(s, next, PIECE);
    quiet(s, 1); /* so that the round begins before the load is acknowledged */
    arrive(s, next, LOAD - PIECE);
    app_recv(s, LOAD);
    take_all(s);
}

/* The window that the acknowledgement of two more segments tells, which are not read. */
static unsigned window_told(struct script *s, unsigned *next)
{
    *next += 2 * MSS;
    recv_super(s, MSS, ". %u:%u(%u) ack 1", *next - 2 * MSS, *next, 2 * MSS);
    return (unsigned)expect(s, ". 1:1(0) ack %u <*>", *next)->window * UNIT;
}

/* So much room is left in the buffer. */
#define assert_window(s, next, room)                                                               \
    assert_in_range(window_told(s, next), (room)-2 * MSS - (UNIT - 1), (room)-2 * MSS + (UNIT - 1))

static void the_receive_buffer_grows_to_twice_what_is_read_in_a_round_trip(void **state)
{
    struct script *s = *state;
    unsigned next = 1;
    established_with(s, .timestamps = true, .scale = SCALE);
    pass(s, &next);
    assert_window(s, &next, FIRST);
    app_recv(s, 2 * MSS);
    pass(s, &next); /* its first piece ends the round of the load before, and the two segments */
    assert_window(s, &next, 2 * (LOAD + 2 * MSS));
}

static void the_receive_buffer_grows_no_further_than_set(void **state)
{
    struct script *s = *state;
    unsigned next = 1;
    s->config.receive_buffer_bytes = LOAD + LOAD / 2;
    remake(s);
    established_with(s, .timestamps = true, .scale = SCALE);
    pass(s, &next);
    pass(s, &next);
    recv_super(s, MSS, ". %u:%u(%u) ack 1", next, next + 2 * MSS, 2 * MSS);
    /* 65535 << 5 is enough for that. */
    unsigned told = (unsigned)expect(s, ". 1:1(0) ack %u <*>", next + 2 * MSS)->window << 5;
    assert_in_range(told, LOAD + LOAD / 2 - 2 * MSS, LOAD + LOAD / 2 - 2 * MSS + 31);
}

static void a_receive_buffer_that_the_application_has_set_does_not_grow(void **state)
{
    struct script *s = *state;
    unsigned next = 1;
    established_with(s, .timestamps = true, .scale = SCALE);
    app_set(s, SOL_SOCKET, SO_RCVBUF, FIRST);
    take_all(s);
    pass(s, &next);
    pass(s, &next);
    assert_window(s, &next, FIRST);
}

/* Round trips go by, but nothing is read in them. */
static void who_does_not_read_gets_no_larger_buffer(void **state)
{
    struct script *s = *state;
    unsigned next = 1;
    established_with(s, .timestamps = true, .scale = SCALE);
    arrive(s, &next, PIECE);
    quiet(s, 10);
    arrive(s, &next, LOAD - PIECE);
    quiet(s, 10);
    arrive(s, &next, PIECE);
    quiet(s, 10);
    /* Each of the acknowledgements may have rounded up, lest the edge moves left. */
    unsigned room = FIRST - LOAD - PIECE - 2 * MSS;
    assert_in_range(window_told(s, &next), room, room + 17 * UNIT);
}

static void no_receive_buffer_grows_while_half_of_the_memory_is_taken(void **state)
{
    struct script *s = *state;
    unsigned next = 1, other = 1;
    s->config.memory_max_bytes = 3 * FIRST;
    remake(s);
    on(s, 1);
    established_with(s, .timestamps = true, .scale = SCALE);
    arrive(s, &other, LOAD);
    on(s, 2);
    established_with(s, .timestamps = true, .scale = SCALE);
    other = 1;
    arrive(s, &other, LOAD);
    on(s, 0);
    established_with(s, .timestamps = true, .scale = SCALE);
    pass(s, &next);
    pass(s, &next);
    assert_window(s, &next, FIRST);
}

/* The fastest is taken for a round trip, and what was read in a slower one for as much less. */
static void without_timestamps_a_round_ends_with_what_the_window_did_not_allow(void **state)
{
    struct script *s = *state;
    unsigned next = 1;
    established_with(s, .scale = SCALE);
    pass(s, &next);
    assert_window(s, &next, FIRST);
    app_recv(s, 2 * MSS);
    pass(s, &next); /* in the middle of it a window's worth has come, in 11 ms; a load was read */
    assert_window(s, &next, 2 * (LOAD + 2 * MSS));
    app_recv(s, 2 * MSS);
    quiet(s, 30);
    pass(s, &next);
    pass(s, &next); /* another, in 49 ms: twice the load, but not in 11 */
    assert_window(s, &next, 2 * (LOAD + 2 * MSS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_receive_buffer_grows_to_twice_what_is_read_in_a_round_trip),
        TEST(the_receive_buffer_grows_no_further_than_set),
        TEST(a_receive_buffer_that_the_application_has_set_does_not_grow),
        TEST(who_does_not_read_gets_no_larger_buffer),
        TEST(no_receive_buffer_grows_while_half_of_the_memory_is_taken),
        TEST(without_timestamps_a_round_ends_with_what_the_window_did_not_allow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
