/* SPDX-License-Identifier: MIT */
/* Idle connections and keep-alives: RFC 9293 3.8.4. */
#define _GNU_SOURCE /* POLLRDHUP */
#include <netinet/tcp.h>
#include <poll.h>

#include "fixtures.h"

#define SECOND 1000u
#define HOUR   3600000u

/* Probes after 10 s, 5 s apart, and 3 of them without an answer are the end. */
static void keep_alive(struct script *s)
{
    app_set(s, IPPROTO_TCP, TCP_KEEPIDLE, 10);
    app_set(s, IPPROTO_TCP, TCP_KEEPINTVL, 5);
    app_set(s, IPPROTO_TCP, TCP_KEEPCNT, 3);
    app_set(s, SOL_SOCKET, SO_KEEPALIVE, 1);
}

/* ---- Whether and when ----------------------------------------------------------------------- */

static void an_idle_connection_is_left_alone_by_default_rfc9293_3_8_4(void **state)
{
    struct script *s = *state;
    established(s);
    app_set(s, IPPROTO_TCP, TCP_KEEPIDLE, 1); /* when, but not that */
    quiet(s, 24 * HOUR);
}

static void the_default_is_two_hours_and_75_s_and_9_probes_rfc9293_3_8_4(void **state)
{
    struct script *s = *state;
    established(s);
    app_set(s, SOL_SOCKET, SO_KEEPALIVE, 1);
    expect_after(s, 2 * HOUR, ". 0:0(0) ack 1");
    for (unsigned i = 1; i < 9; i++)
        expect_after(s, 75 * SECOND, ". 0:0(0) ack 1");
    expect_after(s, 75 * SECOND, "R. 1:1(0) ack 1");
    app_recv_fails(s, ETIMEDOUT);
}

static void a_probe_repeats_the_number_before_snd_nxt_without_data_rfc9293_3_8_4(void **state)
{
    struct script *s = *state;
    established_with(s, .timestamps = true);
    keep_alive(s);
    send_and_expect(s, 100, 1448, 1);
    recv(s, ". 1:1(0) ack 101");
    expect_after(s, 10 * SECOND, ". 100:100(0) ack 1 <nop,nop,TS val 10000 ecr *>");
    assert_int_equal(counter(s, "tcp_keepalive_probes"), 1);
}

static void the_interval_is_configurable_for_each_connection_rfc9293_3_8_4(void **state)
{
    struct script *s = *state;
    on(s, 1);
    established(s);
    app_set(s, SOL_SOCKET, SO_KEEPALIVE, 1);
    app_set(s, IPPROTO_TCP, TCP_KEEPIDLE, 60); /* after it was switched on */
    on(s, 0);
    established(s);
    keep_alive(s);
    expect_after(s, 10 * SECOND, ". 0:0(0) ack 1");
    app_set(s, SOL_SOCKET, SO_KEEPALIVE, 0);
    on(s, 1);
    expect_after(s, 50 * SECOND, ". 0:0(0) ack 1");
}

static void whatever_arrives_puts_the_probe_off_rfc9293_3_8_4(void **state)
{
    struct script *s = *state;
    established(s);
    keep_alive(s);
    quiet(s, 9 * SECOND);
    recv(s, ". 1:1(0) ack 1");
    quiet(s, 9 * SECOND);
    recv(s, "P. 1:101(100) ack 1");
    expect_after(s, 40, ". 1:1(0) ack 101");
    expect_after(s, 10 * SECOND - 40, ". 0:0(0) ack 101");
}

static void a_segment_that_is_not_acceptable_puts_nothing_off(void **state)
{
    struct script *s = *state;
    established(s);
    keep_alive(s);
    quiet(s, 9 * SECOND);
    recv(s, "P. 900000:900010(10) ack 1"); /* anybody could have sent it */
    expect(s, ". 1:1(0) ack 1");
    expect_after(s, 1 * SECOND, ". 0:0(0) ack 1");
}

static void nothing_is_probed_while_data_is_outstanding_rfc9293_3_8_4(void **state)
{
    struct script *s = *state;
    established(s);
    keep_alive(s);
    send_and_expect(s, 100, 1460, 1);
    unsigned wait = 200;
    for (unsigned i = 0; i < 8; i++, wait *= 2) /* till 51 s */
        expect_between(s, wait, wait + 1, "P. 1:101(100) ack 1");
    assert_int_equal(counter(s, "tcp_keepalive_probes"), 0);
    recv(s, ". 1:1(0) ack 101");
    expect_after(s, 10 * SECOND, ". 100:100(0) ack 1");
}

static void nothing_is_probed_but_the_window_while_data_waits_rfc9293_3_8_4(void **state)
{
    struct script *s = *state;
    established_with(s, .window = 1460);
    keep_alive(s);
    app_send(s, 1500);
    expect(s, ". 1:1461(1460) ack 1");
    recv(s, ". 1:1(0) ack 1461 win 0");
    unsigned wait = 200;
    for (unsigned i = 0; i < 8; i++, wait *= 2)
        expect_between(s, wait, wait + 1, ". 1461:1462(1) ack 1");
    assert_int_equal(counter(s, "tcp_keepalive_probes"), 0);
}

static void it_can_be_switched_at_any_time_rfc9293_3_8_4(void **state)
{
    struct script *s = *state;
    established(s);
    keep_alive(s);
    quiet(s, 9 * SECOND);
    app_set(s, SOL_SOCKET, SO_KEEPALIVE, 0);
    quiet(s, 1 * HOUR);
    app_set(s, SOL_SOCKET, SO_KEEPALIVE, 1); /* nothing was heard for longer than 10 s */
    expect(s, ". 0:0(0) ack 1");
    recv(s, ". 1:1(0) ack 1");
    app_set(s, IPPROTO_TCP, TCP_KEEPIDLE, 20);
    expect_after(s, 20 * SECOND, ". 0:0(0) ack 1");
}

static void an_accepted_connection_has_it_from_its_listener(void **state)
{
    struct script *s = *state;
    app_listen(s, 8);
    keep_alive(s);
    established(s);
    expect_after(s, 10 * SECOND, ". 0:0(0) ack 1");
}

/* ---- The states ----------------------------------------------------------------------------- */

static void a_half_closed_connection_is_probed_rfc9293_3_8_4(void **state)
{
    struct script *s = *state;
    close_wait(s);
    keep_alive(s);
    expect_after(s, 10 * SECOND, ". 0:0(0) ack 2");
    recv(s, ". 2:2(0) ack 1");
    app_close(s);
    expect(s, "F. 1:1(0) ack 2");
    recv(s, ". 2:2(0) ack 2");
    quiet(s, 1 * HOUR);
}

static void fin_wait_2_with_an_owner_is_probed_and_an_orphan_is_not_rfc9293_3_8_4(void **state)
{
    struct script *s = *state;
    fin_wait_2(s);
    keep_alive(s);
    expect_after(s, 10 * SECOND, ". 1:1(0) ack 1");
    recv(s, ". 1:1(0) ack 2");
    app_close(s);
    quiet(s, 1 * HOUR);
    assert_int_equal(counter(s, "tcp_orphans_timed_out"), 1);
}

static void it_does_not_disturb_the_handshake(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    keep_alive(s);
    expect_between(s, 1000, 1001, "S 0:0(0) <*>");
    recv(s, "S. 0:0(0) ack 1 win 65535 <mss 1460>");
    expect(s, ". 1:1(0) ack 1");
    expect_after(s, 10 * SECOND, ". 0:0(0) ack 1");
}

/* ---- Answers -------------------------------------------------------------------------------- */

static void an_answer_begins_the_idle_time_anew_rfc9293_3_8_4(void **state)
{
    struct script *s = *state;
    established(s);
    keep_alive(s);
    for (unsigned i = 0; i < 20; i++) {
        expect_after(s, 10 * SECOND, ". 0:0(0) ack 1");
        recv(s, ". 1:1(0) ack 1");
    }
    app_events(s, POLLOUT);
}

static void one_probe_without_an_answer_ends_nothing_rfc9293_3_8_4(void **state)
{
    struct script *s = *state;
    established(s);
    keep_alive(s);
    expect_after(s, 10 * SECOND, ". 0:0(0) ack 1");
    expect_after(s, 5 * SECOND, ". 0:0(0) ack 1");
    expect_after(s, 5 * SECOND, ". 0:0(0) ack 1");
    recv(s, ". 1:1(0) ack 1");
    expect_after(s, 10 * SECOND, ". 0:0(0) ack 1"); /* and the count begins anew */
    expect_after(s, 5 * SECOND, ". 0:0(0) ack 1");
    expect_after(s, 5 * SECOND, ". 0:0(0) ack 1");
    app_events(s, POLLOUT);
}

static void the_last_probe_without_an_answer_resets_and_is_etimedout(void **state)
{
    struct script *s = *state;
    established(s);
    keep_alive(s);
    expect_after(s, 10 * SECOND, ". 0:0(0) ack 1");
    expect_after(s, 5 * SECOND, ". 0:0(0) ack 1");
    expect_after(s, 5 * SECOND, ". 0:0(0) ack 1");
    expect_after(s, 5 * SECOND, "R. 1:1(0) ack 1");
    app_events(s, POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR);
    app_error(s, ETIMEDOUT);
    app_recv_end(s);
    assert_int_equal(counter(s, "tcp_connections_timed_out"), 1);
    quiet(s, 1 * HOUR);
}

static void a_peer_that_has_restarted_answers_with_a_reset(void **state)
{
    struct script *s = *state;
    established(s);
    keep_alive(s);
    expect_after(s, 10 * SECOND, ". 0:0(0) ack 1");
    recv(s, "R 1:1(0)");
    app_recv_fails(s, ECONNRESET);
    quiet(s, 1 * HOUR);
}

static void probes_do_not_count_as_retransmissions_of_what_is_sent_then(void **state)
{
    struct script *s = *state;
    established(s);
    keep_alive(s);
    expect_after(s, 10 * SECOND, ". 0:0(0) ack 1");
    expect_after(s, 5 * SECOND, ". 0:0(0) ack 1");
    app_send(s, 20 * 1460); /* the first timeout still halves the window: RFC 5681 3.1 */
    for (unsigned seq = 1; seq < 14601; seq += 1460)
        expect(s, ". %u:%u(1460) ack 1", seq, seq + 1460);
    unsigned wait = 200;
    for (unsigned i = 0; i < 15; i++) {
        expect_between(s, wait, wait + 1, ". 1:1461(1460) ack 1");
        wait = wait * 2 < 120000 ? wait * 2 : 120000;
    }
    quiet(s, wait + 1);
    app_send_fails(s, ETIMEDOUT);
}

static void a_user_timeout_takes_the_place_of_the_count(void **state)
{
    struct script *s = *state;
    established(s);
    keep_alive(s);
    app_set(s, IPPROTO_TCP, TCP_USER_TIMEOUT, 28 * SECOND);
    expect_after(s, 10 * SECOND, ". 0:0(0) ack 1");
    for (unsigned i = 0; i < 3; i++)
        expect_after(s, 5 * SECOND, ". 0:0(0) ack 1");
    expect_after(s, 5 * SECOND, "R. 1:1(0) ack 1"); /* at 30 s */
    app_recv_fails(s, ETIMEDOUT);
}

static void a_user_timeout_below_the_idle_time_still_asks_once(void **state)
{
    struct script *s = *state;
    established(s);
    keep_alive(s);
    app_set(s, IPPROTO_TCP, TCP_USER_TIMEOUT, 1 * SECOND);
    expect_after(s, 10 * SECOND, ". 0:0(0) ack 1");
    expect_after(s, 5 * SECOND, "R. 1:1(0) ack 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_idle_connection_is_left_alone_by_default_rfc9293_3_8_4),
        TEST(the_default_is_two_hours_and_75_s_and_9_probes_rfc9293_3_8_4),
        TEST(a_probe_repeats_the_number_before_snd_nxt_without_data_rfc9293_3_8_4),
        TEST(the_interval_is_configurable_for_each_connection_rfc9293_3_8_4),
        TEST(whatever_arrives_puts_the_probe_off_rfc9293_3_8_4),
        TEST(a_segment_that_is_not_acceptable_puts_nothing_off),
        TEST(nothing_is_probed_while_data_is_outstanding_rfc9293_3_8_4),
        TEST(nothing_is_probed_but_the_window_while_data_waits_rfc9293_3_8_4),
        TEST(it_can_be_switched_at_any_time_rfc9293_3_8_4),
        TEST(an_accepted_connection_has_it_from_its_listener),
        TEST(a_half_closed_connection_is_probed_rfc9293_3_8_4),
        TEST(fin_wait_2_with_an_owner_is_probed_and_an_orphan_is_not_rfc9293_3_8_4),
        TEST(it_does_not_disturb_the_handshake),
        TEST(an_answer_begins_the_idle_time_anew_rfc9293_3_8_4),
        TEST(one_probe_without_an_answer_ends_nothing_rfc9293_3_8_4),
        TEST(the_last_probe_without_an_answer_resets_and_is_etimedout),
        TEST(a_peer_that_has_restarted_answers_with_a_reset),
        TEST(probes_do_not_count_as_retransmissions_of_what_is_sent_then),
        TEST(a_user_timeout_takes_the_place_of_the_count),
        TEST(a_user_timeout_below_the_idle_time_still_asks_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
