/* SPDX-License-Identifier: MIT */
/* How long a peer that takes nothing is waited for: RFC 9293 3.8.3, RFC 5482. */
#define _GNU_SOURCE /* POLLRDHUP */
#include <netinet/tcp.h>
#include <poll.h>

#include "fixtures.h"

#define SECOND   1000u
#define RTO_MAX  120000u
#define GONE     (POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR)
#define HAS_SENT POLLOUT

/* The one segment in flight goes again at each timeout, from 200 ms on, while there is time. */
static unsigned expect_retransmissions(struct script *s, unsigned until_ms, const char *line)
{
    unsigned now = 0, wait = 200;
    while (now + wait < until_ms) {
        expect_between(s, wait, wait + 1, "%s", line);
        now += wait;
        wait = wait * 2 < RTO_MAX ? wait * 2 : RTO_MAX;
    }
    return now;
}

/* ---- Data ----------------------------------------------------------------------------------- */

static void without_a_user_timeout_data_is_sent_again_15_times_rfc9293_3_8_3(void **state)
{
    struct script *s = *state;
    established(s);
    send_and_expect(s, 100, 1460, 1);
    unsigned now = expect_retransmissions(s, 924 * SECOND, "P. 1:101(100) ack 1");
    assert_true(now > 100 * SECOND); /* SHLD-11 */
    app_events(s, HAS_SENT);
    quiet(s, 121 * SECOND);
    app_events(s, GONE);
    app_send_fails(s, ETIMEDOUT);
    assert_int_equal(counter(s, "tcp_retransmitted_segments"), 15);
    assert_int_equal(counter(s, "tcp_connections_timed_out"), 1);
}

static void the_user_timeout_ends_the_wait_for_an_ack_rfc9293_3_8_3(void **state)
{
    struct script *s = *state;
    established(s);
    app_set(s, IPPROTO_TCP, TCP_USER_TIMEOUT, 5000);
    send_and_expect(s, 100, 1460, 1);
    expect_retransmissions(s, 5000, "P. 1:101(100) ack 1"); /* the next would be at 6.2 s */
    at(s, 4999);
    app_events(s, HAS_SENT);
    at(s, 5001);
    app_events(s, GONE);
    app_send_fails(s, ETIMEDOUT);
    assert_int_equal(counter(s, "tcp_retransmission_timeouts"), 4); /* that at 6.2 s has not been */
    quiet(s, 600 * SECOND);
}

static void a_long_user_timeout_outlasts_the_retries_rfc9293_3_8_3(void **state)
{
    struct script *s = *state;
    established(s);
    app_set(s, IPPROTO_TCP, TCP_USER_TIMEOUT, 40000 * SECOND);
    send_and_expect(s, 100, 1460, 1);
    expect_retransmissions(s, 40000 * SECOND, "P. 1:101(100) ack 1"); /* more than 300 */
    at(s, 39999 * SECOND);
    app_events(s, HAS_SENT);
    at(s, 40001 * SECOND);
    app_send_fails(s, ETIMEDOUT);
}

/* In a recovery, where only the first partial acknowledgement restarts the timer (RFC 6582 3.2). */
static void partial_progress_begins_the_user_timeout_anew_rfc5482_3_1(void **state)
{
    struct script *s = *state;
    established(s);
    app_set(s, IPPROTO_TCP, TCP_USER_TIMEOUT, 150);
    send_and_expect(s, 6 * 1460, 1460, 1);
    for (int i = 0; i < 3; i++)
        recv(s, ". 1:1(0) ack 1");
    expect(s, ". 1:1461(1460) ack 1");
    at(s, 50);
    recv(s, ". 1:1(0) ack 1461");
    expect(s, ". 1461:2921(1460) ack 1");
    at(s, 140);
    recv(s, ". 1:1(0) ack 2921");
    expect(s, ". 2921:4381(1460) ack 1");
    at(s, 249); /* 150 ms after the first, but not after the second */
    app_events(s, HAS_SENT);
    expect_between(s, 1, 2, ". 2921:4381(1460) ack 1"); /* as due since the first */
    quiet(s, 42);
    app_send_fails(s, ETIMEDOUT);
}

static void progress_begins_the_user_timeout_anew_rfc5482_3_1(void **state)
{
    struct script *s = *state;
    established(s);
    app_set(s, IPPROTO_TCP, TCP_USER_TIMEOUT, 300);
    app_send(s, 3 * 1460);
    expect(s, ". 1:1461(1460) ack 1");
    expect(s, ". 1461:2921(1460) ack 1");
    expect(s, "P. 2921:4381(1460) ack 1");
    at(s, 190);
    recv(s, ". 1:1(0) ack 1461");
    at(s, 380);
    recv(s, ". 1:1(0) ack 1461");                         /* takes nothing */
    expect_between(s, 33, 34, ". 1461:2921(1460) ack 1"); /* the RTO by an RTT of 190 ms */
    at(s, 489);
    app_events(s, HAS_SENT);
    at(s, 491);
    app_send_fails(s, ETIMEDOUT);
}

static void an_idle_time_does_not_count(void **state)
{
    struct script *s = *state;
    established(s);
    app_set(s, IPPROTO_TCP, TCP_USER_TIMEOUT, 5000);
    send_and_expect(s, 100, 1460, 1);
    recv(s, ". 1:1(0) ack 101");
    quiet(s, 60 * SECOND);
    send_and_expect(s, 100, 1460, 1);
    expect_retransmissions(s, 5000, "P. 101:201(100) ack 1");
    at(s, 65001);
    app_send_fails(s, ETIMEDOUT);
}

static void the_user_timeout_can_be_set_while_data_waits(void **state)
{
    struct script *s = *state;
    established(s);
    send_and_expect(s, 100, 1460, 1);
    expect_retransmissions(s, 30 * SECOND, "P. 1:101(100) ack 1"); /* next: 51 s */
    at(s, 30 * SECOND);
    app_set(s, IPPROTO_TCP, TCP_USER_TIMEOUT, 40 * SECOND);
    at(s, 39999);
    app_events(s, HAS_SENT);
    at(s, 40001);
    app_send_fails(s, ETIMEDOUT);
}

static void one_that_has_passed_already_ends_the_connection_at_once(void **state)
{
    struct script *s = *state;
    established(s);
    send_and_expect(s, 100, 1460, 1);
    expect_retransmissions(s, 30 * SECOND, "P. 1:101(100) ack 1");
    at(s, 30 * SECOND);
    app_set(s, IPPROTO_TCP, TCP_USER_TIMEOUT, 10 * SECOND);
    app_send_fails(s, ETIMEDOUT);
}

static void an_accepted_connection_has_the_user_timeout_of_its_listener(void **state)
{
    struct script *s = *state;
    app_listen(s, 8);
    app_set(s, IPPROTO_TCP, TCP_USER_TIMEOUT, 100);
    established(s);
    send_and_expect(s, 100, 1460, 1);
    at(s, 101);
    app_send_fails(s, ETIMEDOUT);
}

/* ---- A closed window ------------------------------------------------------------------------ */

static void a_window_shut_for_the_user_timeout_ends_the_connection_rfc9293_3_8_3(void **state)
{
    struct script *s = *state;
    established_with(s, .window = 1460);
    app_set(s, IPPROTO_TCP, TCP_USER_TIMEOUT, 5000);
    app_send(s, 2000);
    expect(s, ". 1:1461(1460) ack 1");
    recv(s, ". 1:1(0) ack 1461 win 0");
    for (unsigned i = 0, wait = 200; i < 4; i++, wait *= 2) { /* the next would be at 6.2 s */
        expect_between(s, wait, wait + 1, ". 1461:1462(1) ack 1");
        recv(s, ". 1:1(0) ack 1461 win 0");
    }
    at(s, 4999);
    app_events(s, POLLOUT);
    at(s, 5001);
    expect(s, "R. 1461:1461(0) ack 1"); /* the peer lives, and is told: RFC 2525 2.17 */
    app_send_fails(s, ETIMEDOUT);
}

static void opening_the_window_without_taking_anything_is_no_progress(void **state)
{
    struct script *s = *state;
    established_with(s, .window = 1460);
    app_set(s, IPPROTO_TCP, TCP_USER_TIMEOUT, 500);
    app_send(s, 2000);
    expect(s, ". 1:1461(1460) ack 1");
    recv(s, ". 1:1(0) ack 1461 win 0");
    at(s, 190);
    recv(s, ". 1:1(0) ack 1461 win 1460");
    expect(s, "P. 1461:2001(540) ack 1");
    expect_between(s, 200, 201, "P. 1461:2001(540) ack 1");
    at(s, 499);
    app_events(s, POLLOUT);
    at(s, 501);
    app_send_fails(s, ETIMEDOUT);
}

/* ---- SYNs ----------------------------------------------------------------------------------- */

static void the_user_timeout_holds_for_a_syn_as_well_rfc9293_3_8_3(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    app_set(s, IPPROTO_TCP, TCP_USER_TIMEOUT, 2500);
    expect_between(s, 1000, 1001, "S 0:0(0) <*>");
    at(s, 2499);
    app_error(s, 0);
    at(s, 2501);
    app_error(s, ETIMEDOUT);
    quiet(s, 600 * SECOND);
}

static void a_long_user_timeout_does_not_outlast_the_syns(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    app_set(s, IPPROTO_TCP, TCP_USER_TIMEOUT, 3600 * SECOND);
    for (unsigned i = 0, wait = 1000; i < 7; i++, wait *= 2)
        expect_between(s, wait, wait + 1, "S 0:0(0) <*>");
    quiet(s, 121 * SECOND);
    app_error(s, ETIMEDOUT);
}

/* ---- The timer ------------------------------------------------------------------------------ */

/* Who sleeps between two packets of a lively connection need not set a timer of the kernel that is
 * nearer than its tick. */
static void an_acknowledgement_moves_a_timer_before_it_is_near(void **state)
{
    struct script *s = *state;
    established(s);
    app_set(s, IPPROTO_TCP, TCP_NODELAY, 1);
    send_and_expect(s, 100, 1460, 1);
    for (unsigned acked = 101; acked <= 10000; acked += 100) { /* something is always in flight */
        send_and_expect(s, 100, 1460, 1);
        after(s, 3);
        recv(s, ". 1:1(0) ack %u", acked);
        after(s, 0);
        assert_true(s->next_ns >= s->now_ns + 10 * UINT64_C(1000000));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_a_user_timeout_data_is_sent_again_15_times_rfc9293_3_8_3),
        TEST(the_user_timeout_ends_the_wait_for_an_ack_rfc9293_3_8_3),
        TEST(a_long_user_timeout_outlasts_the_retries_rfc9293_3_8_3),
        TEST(partial_progress_begins_the_user_timeout_anew_rfc5482_3_1),
        TEST(progress_begins_the_user_timeout_anew_rfc5482_3_1),
        TEST(an_idle_time_does_not_count),
        TEST(the_user_timeout_can_be_set_while_data_waits),
        TEST(one_that_has_passed_already_ends_the_connection_at_once),
        TEST(an_accepted_connection_has_the_user_timeout_of_its_listener),
        TEST(a_window_shut_for_the_user_timeout_ends_the_connection_rfc9293_3_8_3),
        TEST(opening_the_window_without_taking_anything_is_no_progress),
        TEST(the_user_timeout_holds_for_a_syn_as_well_rfc9293_3_8_3),
        TEST(a_long_user_timeout_does_not_outlast_the_syns),
        TEST(an_acknowledgement_moves_a_timer_before_it_is_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
