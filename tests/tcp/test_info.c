/* SPDX-License-Identifier: MIT */
/* TCP_INFO: what a connection finds out about its path, and how long it was busy. */
#include <linux/tcp.h>

#include "fixtures.h"

#define MSS 1460u

static struct tcp_info info(struct script *s)
{
    struct tcp_info all;
    socklen_t length = sizeof(all);

    assert_int_equal(strait_getsockopt(s->stack, s->flow->fd, IPPROTO_TCP, TCP_INFO, &all, &length),
                     0);
    return all;
}

/* Strait sends and has all of it acknowledged after `ms`. */
static void deliver(struct script *s, uint32_t bytes, uint64_t ms)
{
    send_and_expect(s, bytes, MSS, 1);
    quiet(s, ms);
    recv(s, ". 1:1(0) ack %u", 1 + s->flow->app_sent);
}

/* ---- Delivery rate ---- */

static void what_a_round_trip_delivers_is_the_rate(void **state)
{
    struct script *s = *state;
    established(s);
    assert_int_equal(info(s).tcpi_delivery_rate, 0);
    deliver(s, 10 * MSS, 100);
    assert_int_equal(info(s).tcpi_delivery_rate, 146000); /* 14600 bytes in a tenth of a second */
    assert_int_equal(info(s).tcpi_delivery_rate_app_limited, 0);
    deliver(s, 15 * MSS, 50);
    assert_int_equal(info(s).tcpi_delivery_rate, 438000); /* 21900 in a twentieth */
}

static void a_user_with_little_to_send_does_not_make_the_path_slow(void **state)
{
    struct script *s = *state;
    established(s);
    deliver(s, 100, 100);
    assert_int_equal(info(s).tcpi_delivery_rate, 1000); /* it is all that is known */
    assert_int_equal(info(s).tcpi_delivery_rate_app_limited, 1);
    deliver(s, 10 * MSS, 100);
    assert_int_equal(info(s).tcpi_delivery_rate, 146000);
    assert_int_equal(info(s).tcpi_delivery_rate_app_limited, 0);
    quiet(s, 1000);
    deliver(s, 100, 100);
    assert_int_equal(info(s).tcpi_delivery_rate, 146000);
    assert_int_equal(info(s).tcpi_delivery_rate_app_limited, 0);
}

/*
 * The first four segments are acknowledged at 100 ms, the rest at 110, when the acknowledgement of
 * the first new one comes, too. What was sent in 100 ms cannot have been delivered in 10.
 */
static void acknowledgements_that_come_late_and_together_make_no_rate(void **state)
{
    struct script *s = *state;
    established(s);
    app_send(s, 24 * MSS);
    for (unsigned i = 0; i < 10; i++)
        expect(s, ". %u:%u(1460) ack 1", 1 + i * MSS, 1 + (i + 1) * MSS);
    quiet(s, 100);
    recv(s, ". 1:1(0) ack %u", 1 + 4 * MSS);
    assert_int_equal(info(s).tcpi_delivery_rate, 58400); /* 5840 bytes in a tenth */
    for (unsigned i = 10; i < 18; i++)                   /* slow start: twice as many */
        expect(s, ". %u:%u(1460) ack 1", 1 + i * MSS, 1 + (i + 1) * MSS);
    quiet(s, 10);
    recv(s, ". 1:1(0) ack %u", 1 + 15 * MSS);
    assert_int_equal(info(s).tcpi_delivery_rate, 160600); /* 11 segments, sent in 100 ms */
    for (unsigned i = 18; i < 23; i++)
        expect(s, ". %u:%u(1460) ack 1", 1 + i * MSS, 1 + (i + 1) * MSS);
    expect(s, "P. %u:%u(1460) ack 1", 1 + 23 * MSS, 1 + 24 * MSS);
}

static void what_is_sacked_is_delivered(void **state)
{
    struct script *s = *state;
    established_with(s, .sack = true);
    send_and_expect(s, 10 * MSS, MSS, 1);
    quiet(s, 100);
    recv(s, ". 1:1(0) ack 1 <sack %u:%u>", 1 + 8 * MSS, 1 + 9 * MSS);
    recv(s, ". 1:1(0) ack %u <sack %u:%u>", 1 + MSS, 1 + 8 * MSS, 1 + 9 * MSS);
    assert_int_equal(info(s).tcpi_delivery_rate, 29200); /* two segments in a tenth */
}

/* ---- Busy time ---- */

static void time_with_something_outstanding_is_busy(void **state)
{
    struct script *s = *state;
    established(s);
    quiet(s, 500);
    assert_int_equal(info(s).tcpi_busy_time, 0);
    send_and_expect(s, 2 * MSS, MSS, 1);
    quiet(s, 100);
    assert_int_equal(info(s).tcpi_busy_time, 100000);
    recv(s, ". 1:1(0) ack %u", 1 + MSS);
    quiet(s, 50);
    recv(s, ". 1:1(0) ack %u", 1 + 2 * MSS);
    quiet(s, 1000);
    assert_int_equal(info(s).tcpi_busy_time, 150000);
    deliver(s, 10, 30);
    assert_int_equal(info(s).tcpi_busy_time, 180000);
}

static void a_connection_that_has_ended_is_not_busy(void **state)
{
    struct script *s = *state;
    established(s);
    send_and_expect(s, 10, MSS, 1);
    quiet(s, 100);
    recv(s, "R 1:1(0)");
    quiet(s, 1000);
    assert_int_equal(info(s).tcpi_busy_time, 100000);
}

/* ---- The round-trip time of who receives ---- */

static void text_that_echoes_a_timestamp_tells_the_round_trip(void **state)
{
    struct script *s = *state;
    established_with(s, .timestamps = true);
    assert_int_equal(info(s).tcpi_rcv_rtt, 0);
    quiet(s, 80);
    recv(s, ". 1:1449(1448) ack 1 <TS val 2000 ecr 0>");
    assert_int_equal(info(s).tcpi_rcv_rtt, 80000);
    quiet(s, 8);
    recv(s, ". 1449:2897(1448) ack 1 <TS val 2000 ecr 0>"); /* the same echo says nothing new */
    expect(s, ". 1:1(0) ack 2897 <*>");
    assert_int_equal(info(s).tcpi_rcv_rtt, 80000);
    quiet(s, 152);
    recv(s, ". 2897:4345(1448) ack 1 <TS val 2100 ecr 88>");
    assert_int_equal(info(s).tcpi_rcv_rtt, 89000);          /* (7 * 80 + 152) / 8 */
    recv(s, "P. 4345:4355(10) ack 1 <TS val 2100 ecr 20>"); /* may have waited for its user */
    expect(s, ". 1:1(0) ack 4355 <*>");
    assert_int_equal(info(s).tcpi_rcv_rtt, 89000);
}

/* Two segments come, from number `first` on, and are read; the window is four segments again. */
static void take_pair(struct script *s, unsigned first)
{
    unsigned end = 1 + (first + 1) * MSS;

    begin_batch(s);
    recv(s, ". %u:%u(1460) ack 1", end - 2 * MSS, end - MSS);
    recv(s, ". %u:%u(1460) ack 1", end - MSS, end);
    end_batch(s);
    expect(s, ". 1:1(0) ack %u win %u", end, 2 * MSS);
    app_recv(s, 2 * MSS);
    expect(s, ". 1:1(0) ack %u win %u", end, 4 * MSS);
}

/* What lies beyond the window of some moment was sent after an acknowledgement from then on. */
static void without_timestamps_it_is_the_fastest_window(void **state)
{
    struct script *s = *state;
    s->config.receive_buffer_bytes = 4 * MSS;
    remake(s);
    established(s);
    take_pair(s, 1); /* at number 1 the window ends with 4 */
    quiet(s, 60);
    take_pair(s, 3);
    assert_int_equal(info(s).tcpi_rcv_rtt, 0);
    take_pair(s, 5); /* at 5, with 8 */
    assert_int_equal(info(s).tcpi_rcv_rtt, 60000);
    quiet(s, 30);
    take_pair(s, 7);
    assert_int_equal(info(s).tcpi_rcv_rtt, 60000);
    take_pair(s, 9); /* at 9, with 12 */
    assert_int_equal(info(s).tcpi_rcv_rtt, 30000);
    quiet(s, 50);
    take_pair(s, 11);
    take_pair(s, 13);
    assert_int_equal(info(s).tcpi_rcv_rtt, 30000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_a_round_trip_delivers_is_the_rate),
        TEST(a_user_with_little_to_send_does_not_make_the_path_slow),
        TEST(acknowledgements_that_come_late_and_together_make_no_rate),
        TEST(what_is_sacked_is_delivered),
        TEST(time_with_something_outstanding_is_busy),
        TEST(a_connection_that_has_ended_is_not_busy),
        TEST(text_that_echoes_a_timestamp_tells_the_round_trip),
        TEST(without_timestamps_it_is_the_fastest_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
