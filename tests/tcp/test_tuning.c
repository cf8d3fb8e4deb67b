/* SPDX-License-Identifier: MIT */
/*
 * What the settings of TCP change while a host runs: each is set once connections could be there
 * already, and seen on the wire. Their ranges are the matter of tests/unit/test_settings.c.
 */
#include "fixtures.h"

#define SECOND 1000u

#define tune(s, name, value) script_tune(s, HERE, name, value)
static void script_tune(struct script *s, struct place place, const char *name, const char *value)
{
    script_step_begins(s, place, "set %s to %s", name, value);
    assert_int_equal(strait_set(s->stack, name, value), 0);
    script_step_ends(s, place);
}

/* ---- The handshake --------------------------------------------------------------------------- */

#define SYN_WITH_ALL "S 0:0(0) win 65535 <mss 1460,sackOK,TS val 1000 ecr 0,wscale 7>"

static void what_is_switched_off_is_not_agreed_to(void **state)
{
    struct script *s = *state;
    app_listen(s, 8);
    tune(s, "tcp.timestamps", "off");
    recv(s, SYN_WITH_ALL);
    expect(s, "S. 0:0(0) ack 1 <mss 1460,wscale 7,sackOK>");
    on(s, 1);
    tune(s, "tcp.window_scaling", "off");
    recv(s, SYN_WITH_ALL);
    expect(s, "S. 0:0(0) ack 1 <mss 1460,sackOK>");
    on(s, 2);
    tune(s, "tcp.sack", "off");
    recv(s, SYN_WITH_ALL);
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
}

static void what_is_switched_off_is_not_offered(void **state)
{
    struct script *s = *state;
    tune(s, "tcp.timestamps", "off");
    tune(s, "tcp.window_scaling", "off");
    tune(s, "tcp.sack", "off");
    app_connect(s);
    expect(s, "S 0:0(0) <mss 1460>");
}

static void ecn_is_asked_for_answered_or_neither(void **state)
{
    struct script *s = *state;
    tune(s, "tcp.ecn", "request");
    app_connect(s);
    expect(s, "SEW 0:0(0) <*>");
    on(s, 1);
    tune(s, "tcp.ecn", "answer");
    app_connect(s);
    expect(s, "S 0:0(0) <*>");
    on(s, 2);
    app_listen(s, 8);
    recv(s, "SEW 0:0(0) <mss 1460>");
    expect(s, "SE. 0:0(0) ack 1 <*>");
    on(s, 3);
    tune(s, "tcp.ecn", "off");
    recv(s, "SEW 0:0(0) <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <*>");
}

static void a_syn_is_sent_again_after_the_initial_timeout_rfc6298_2_1(void **state)
{
    struct script *s = *state;
    tune(s, "tcp.rto_initial", "300ms");
    app_connect(s);
    expect(s, "S 0:0(0) <*>");
    expect_after(s, 300, "S 0:0(0) <*>");
    expect_after(s, 600, "S 0:0(0) <*>");
}

static void a_syn_is_sent_again_as_often_as_set(void **state)
{
    struct script *s = *state;
    tune(s, "tcp.syn_retries", "1");
    app_connect(s);
    expect(s, "S 0:0(0) <*>");
    tune(s, "tcp.syn_retries", "9"); /* for those to come */
    expect_after(s, 1 * SECOND, "S 0:0(0) <*>");
    quiet(s, 2 * SECOND + 1);
    app_error(s, ETIMEDOUT);
}

static void a_syn_ack_is_sent_again_as_often_as_set(void **state)
{
    struct script *s = *state;
    syn_received(s);
    tune(s, "tcp.syn_ack_retries", "1");
    expect_after(s, 1 * SECOND, "S. 0:0(0) ack 1 <*>");
    quiet(s, 600 * SECOND);
    assert_int_equal(counter(s, "tcp_half_open_expired"), 1);
}

static void half_open_records_are_limited_and_cookies_may_be_off_rfc4987_3_6(void **state)
{
    struct script *s = *state;
    tune(s, "tcp.half_open", "1");
    tune(s, "tcp.syn_cookies", "off");
    syn_received(s);
    on(s, 1);
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    assert_int_equal(counter(s, "tcp_half_open_limited"), 1);
    tune(s, "tcp.half_open", "2");
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <*>");
}

/* Nothing is kept: the SYN-ACK is not sent again, and its ACK opens all the same. */
static void cookies_may_be_sent_always_rfc4987_3_6(void **state)
{
    struct script *s = *state;
    tune(s, "tcp.syn_cookies", "always");
    app_listen(s, 8);
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
    assert_int_equal(counter(s, "tcp_cookies_sent"), 1);
    quiet(s, 10 * SECOND);
    recv(s, ". 1:1(0) ack 1");
    assert_int_equal(counter(s, "tcp_cookies_accepted"), 1);
    app_accept(s);
}

static void a_backlog_is_as_long_as_set_at_most(void **state)
{
    struct script *s = *state;
    tune(s, "tcp.backlog", "1");
    syn_received(s);
    recv(s, ". 1:1(0) ack 1");
    on(s, 1);
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    assert_int_equal(counter(s, "tcp_accept_queue_full"), 1);
}

static void connections_are_limited(void **state)
{
    struct script *s = *state;
    established(s);
    tune(s, "tcp.connections", "1");
    on(s, 1);
    syn_received(s);
    recv(s, ". 1:1(0) ack 1");
    assert_int_equal(counter(s, "tcp_connections_limited"), 1);
    app_accept_none(s);
    tune(s, "tcp.connections", "2");
    recv(s, ". 1:1(0) ack 1");
    app_accept(s);
}

/* ---- A change in the middle of a handshake --------------------------------------------------- */

/* What the SYN-ACK has said of the window holds, or the peer would read the next one wrong. */
static void a_record_keeps_the_scale_that_it_has_offered_rfc7323_2_2(void **state)
{
    struct script *s = *state;
    app_listen(s, 8);
    recv(s, "S 0:0(0) win 65535 <mss 1460,wscale 7>");
    expect(s, "S. 0:0(0) ack 1 win 65535 <mss 1460,wscale 7>"); /* 65535 << 7 is 6 MiB at least */
    tune(s, "tcp.receive_buffer", "4KiB");
    tune(s, "tcp.window_scaling", "off");
    recv(s, "S 0:0(0) win 65535 <mss 1460,wscale 7>");
    expect(s, "S. 0:0(0) ack 1 win 65535 <mss 1460,wscale 7>");
    recv(s, "P. 1:101(100) ack 1");
    expect_after(s, 40, ". 1:1(0) ack 101 win 512"); /* 65535 - 100 in units of 128, rounded up */
}

static void a_cookie_is_no_longer_good_when_its_terms_have_changed(void **state)
{
    struct script *s = *state;
    static const char *const changes[][2] = {
        {"tcp.receive_buffer", "64KiB"},
        {"tcp.window_scaling", "off"},
        {"tcp.timestamps", "off"},
        {"tcp.sack", "off"},
        {"tcp.ecn", "off"},
    };
    tune(s, "tcp.syn_cookies", "always");
    app_listen(s, 8);
    for (unsigned i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        char before[STRAIT_SETTING_BYTES];
        assert_int_equal(strait_get(s->stack, changes[i][0], before, sizeof(before)), 0);
        on(s, i);
        recv(s, SYN_WITH_ALL);
        expect(s, "S. 0:0(0) ack 1 <*>");
        tune(s, changes[i][0], changes[i][1]);
        recv(s, ". 1:1(0) ack 1");
        assert_int_equal(counter(s, "tcp_cookies_wrong"), i + 1);
        tune(s, changes[i][0], before);
    }
}

/* ---- Sending --------------------------------------------------------------------------------- */

static void the_initial_window_has_as_many_segments_as_set_rfc6928_2(void **state)
{
    struct script *s = *state;
    established(s);
    tune(s, "tcp.initial_window", "3");
    on(s, 1);
    established(s);
    app_send(s, 20 * 1460);
    for (unsigned i = 0; i < 3; i++)
        expect(s, ". %u:%u(1460) ack 1", 1 + i * 1460, 1 + (i + 1) * 1460);
    on(s, 0); /* which was there before */
    app_send(s, 20 * 1460);
    for (unsigned i = 0; i < 10; i++)
        expect(s, ". %u:%u(1460) ack 1", 1 + i * 1460, 1 + (i + 1) * 1460);
}

/* From the next measurement on, which here is of no time at all. */
static void the_timeout_is_as_long_as_set_at_least_rfc6298_2_4(void **state)
{
    struct script *s = *state;
    established(s);
    tune(s, "tcp.rto_min", "700ms");
    send_and_expect(s, 100, 1460, 1);
    recv(s, ". 1:1(0) ack 101");
    send_and_expect(s, 100, 1460, 1);
    expect_after(s, 700, "P. 101:201(100) ack 1");
    expect_after(s, 1400, "P. 101:201(100) ack 1");
}

static void the_timeout_is_as_long_as_set_at_most_rfc6298_2_5(void **state)
{
    struct script *s = *state;
    established(s);
    tune(s, "tcp.rto_max", "1min");
    send_and_expect(s, 100, 1460, 1);
    for (unsigned wait = 200; wait < 60 * SECOND; wait *= 2)
        expect_between(s, wait, wait + 1, "P. 1:101(100) ack 1");
    expect_between(s, 60 * SECOND, 60 * SECOND + 1, "P. 1:101(100) ack 1");
}

static void data_is_sent_again_as_often_as_set_rfc9293_3_8_3(void **state)
{
    struct script *s = *state;
    established(s);
    tune(s, "tcp.retries", "2");
    send_and_expect(s, 100, 1460, 1);
    expect_after(s, 200, "P. 1:101(100) ack 1");
    expect_after(s, 400, "P. 1:101(100) ack 1");
    quiet(s, 801);
    app_send_fails(s, ETIMEDOUT);
}

static void a_send_buffer_takes_as_much_as_set(void **state)
{
    struct script *s = *state;
    tune(s, "tcp.send_buffer", "5000");
    established_with(s, .window = 1000);
    assert_int_equal(app_send_some(s, 20000), 5000);
    expect(s, ". 1:1001(1000) ack 1");
}

/* ---- Receiving ------------------------------------------------------------------------------- */

static void the_window_is_the_receive_buffer(void **state)
{
    struct script *s = *state;
    tune(s, "tcp.receive_buffer", "10000");
    app_listen(s, 8);
    recv(s, "S 0:0(0) win 65535 <mss 1460,wscale 7>");
    expect(s, "S. 0:0(0) ack 1 win 10000 <mss 1460,wscale 0>");
}

static void an_acknowledgement_is_delayed_as_long_as_set_rfc9293_3_8_6_3(void **state)
{
    struct script *s = *state;
    established(s);
    tune(s, "tcp.delayed_ack", "250ms");
    recv(s, "P. 1:101(100) ack 1");
    expect_after(s, 250, ". 1:1(0) ack 101");
}

static void duplicates_need_not_be_reported_rfc2883(void **state)
{
    struct script *s = *state;
    established_with(s, .sack = true);
    recv(s, ". 1:101(100) ack 1");
    tune(s, "tcp.dsack", "off");
    recv(s, ". 1:101(100) ack 1");
    expect(s, ". 1:1(0) ack 101 <>");
    tune(s, "tcp.dsack", "on");
    recv(s, ". 1:101(100) ack 1");
    expect(s, ". 1:1(0) ack 101 <sack 1:101>");
}

static void pieces_out_of_order_are_limited(void **state)
{
    struct script *s = *state;
    established(s);
    tune(s, "tcp.ranges", "1");
    recv(s, ". 101:201(100) ack 1");
    expect(s, ". 1:1(0) ack 1");
    recv(s, ". 301:401(100) ack 1"); /* one more */
    expect(s, ". 1:1(0) ack 1");
    assert_int_equal(counter(s, "tcp_out_of_order_limited"), 1);
    recv(s, ". 201:301(100) ack 1"); /* the same one, longer */
    expect(s, ". 1:1(0) ack 1");
    recv(s, ". 1:101(100) ack 1");
    expect(s, ". 1:1(0) ack 301");
}

/* A hundredth of 1 MiB holds some of these 30 KB, the half all of them. */
static void memory_out_of_order_is_limited_to_its_share(void **state)
{
    struct script *s = *state;
    s->config.memory_max_bytes = 1 << 20;
    remake(s);
    static const char *const shares[] = {"50%", "1%"};
    for (unsigned i = 0; i < 2; i++) {
        on(s, i);
        established(s);
        tune(s, "tcp.out_of_order_share", shares[i]);
        for (unsigned seq = 1461; seq < 20 * 1460; seq += 1460) {
            recv(s, ". %u:%u(1460) ack 1", seq, seq + 1460);
            expect(s, ". 1:1(0) ack 1");
        }
        assert_int_equal(counter(s, "tcp_memory_short") > 0, i == 1);
        recv(s, "R 1:1(0)");
    }
}

static void challenge_acks_have_the_pace_that_is_set_rfc5961_7(void **state)
{
    struct script *s = *state;
    established(s);
    tune(s, "tcp.challenge_ack_interval", "3s");
    recv(s, "R 2:2(0)");
    expect(s, ". 1:1(0) ack 1");
    quiet(s, 2999);
    recv(s, "R 2:2(0)");
    assert_int_equal(counter(s, "tcp_challenge_acks_limited"), 1);
    quiet(s, 2);
    recv(s, "R 2:2(0)");
    expect(s, ". 1:1(0) ack 1");
}

/* ---- Idle and closing ------------------------------------------------------------------------ */

static void keep_alives_have_the_times_that_are_set_rfc9293_3_8_4(void **state)
{
    struct script *s = *state;
    tune(s, "tcp.keepalive_idle", "20s");
    tune(s, "tcp.keepalive_interval", "3s");
    tune(s, "tcp.keepalive_probes", "2");
    established(s);
    app_set(s, SOL_SOCKET, SO_KEEPALIVE, 1);
    expect_after(s, 20 * SECOND, ". 0:0(0) ack 1");
    expect_after(s, 3 * SECOND, ". 0:0(0) ack 1");
    expect_after(s, 3 * SECOND, "R. 1:1(0) ack 1");
}

static void a_closed_connection_waits_for_a_fin_as_long_as_set(void **state)
{
    struct script *s = *state;
    fin_wait_2(s);
    tune(s, "tcp.fin_timeout", "5s");
    app_close(s);
    quiet(s, 4999);
    assert_int_equal(strait_connections(s->stack), 1);
    quiet(s, 2);
    assert_int_equal(strait_connections(s->stack), 0);
}

static void a_closed_connection_waits_for_an_ack_as_long_as_set(void **state)
{
    struct script *s = *state;
    established(s);
    tune(s, "tcp.orphan_timeout", "1s");
    app_close(s);
    expect(s, "F. 1:1(0) ack 1");
    expect_after(s, 200, "F. 1:1(0) ack 1");
    expect_after(s, 400, "F. 1:1(0) ack 1");
    quiet(s, 401);
    assert_int_equal(counter(s, "tcp_orphans_timed_out"), 1);
}

static void closed_connections_are_limited(void **state)
{
    struct script *s = *state;
    established(s);
    tune(s, "tcp.orphans", "0");
    app_close(s);
    expect(s, "R. 1:1(0) ack 1");
}

static void time_wait_lasts_as_long_as_set_rfc9293_3_6_1(void **state)
{
    struct script *s = *state;
    tune(s, "tcp.time_wait", "5s");
    time_wait(s);
    quiet(s, 4999);
    recv(s, "F. 1:1(0) ack 2"); /* which begins it anew */
    expect(s, ". 2:2(0) ack 2");
    quiet(s, 5001);
    recv(s, "F. 1:1(0) ack 2");
    expect(s, "R 2:2(0)");
}

static void records_of_time_wait_are_limited(void **state)
{
    struct script *s = *state;
    tune(s, "tcp.time_wait_records", "0");
    time_wait(s);
    assert_int_equal(counter(s, "tcp_time_wait_limited"), 1);
    recv(s, "F. 1:1(0) ack 2");
    expect(s, "R 2:2(0)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_switched_off_is_not_agreed_to),
        TEST(what_is_switched_off_is_not_offered),
        TEST(ecn_is_asked_for_answered_or_neither),
        TEST(a_syn_is_sent_again_after_the_initial_timeout_rfc6298_2_1),
        TEST(a_syn_is_sent_again_as_often_as_set),
        TEST(a_syn_ack_is_sent_again_as_often_as_set),
        TEST(half_open_records_are_limited_and_cookies_may_be_off_rfc4987_3_6),
        TEST(cookies_may_be_sent_always_rfc4987_3_6),
        TEST(a_backlog_is_as_long_as_set_at_most),
        TEST(connections_are_limited),
        TEST(a_record_keeps_the_scale_that_it_has_offered_rfc7323_2_2),
        TEST(a_cookie_is_no_longer_good_when_its_terms_have_changed),
        TEST(the_initial_window_has_as_many_segments_as_set_rfc6928_2),
        TEST(the_timeout_is_as_long_as_set_at_least_rfc6298_2_4),
        TEST(the_timeout_is_as_long_as_set_at_most_rfc6298_2_5),
        TEST(data_is_sent_again_as_often_as_set_rfc9293_3_8_3),
        TEST(a_send_buffer_takes_as_much_as_set),
        TEST(the_window_is_the_receive_buffer),
        TEST(an_acknowledgement_is_delayed_as_long_as_set_rfc9293_3_8_6_3),
        TEST(duplicates_need_not_be_reported_rfc2883),
        TEST(pieces_out_of_order_are_limited),
        TEST(memory_out_of_order_is_limited_to_its_share),
        TEST(challenge_acks_have_the_pace_that_is_set_rfc5961_7),
        TEST(keep_alives_have_the_times_that_are_set_rfc9293_3_8_4),
        TEST(a_closed_connection_waits_for_a_fin_as_long_as_set),
        TEST(a_closed_connection_waits_for_an_ack_as_long_as_set),
        TEST(closed_connections_are_limited),
        TEST(time_wait_lasts_as_long_as_set_rfc9293_3_6_1),
        TEST(records_of_time_wait_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
