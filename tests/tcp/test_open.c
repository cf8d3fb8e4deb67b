/* SPDX-License-Identifier: MIT */
/* How connections begin: RFC 9293 3.5 (handshake), 3.10.7.1 to 3.10.7.3, RFC 7323 (options). */
#include <poll.h>

#include "fixtures.h"

/* ---- LISTEN --------------------------------------------------------------------------------- */

static void a_syn_is_answered_and_the_ack_establishes_rfc9293_3_5(void **state)
{
    struct script *s = *state;
    app_listen(s, 8);
    app_accept_none(s);
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
    app_accept_none(s);
    recv(s, ". 1:1(0) ack 1");
    app_accept(s);
    app_events(s, POLLOUT);
    assert_int_equal(counter(s, "tcp_connections_accepted"), 1);
}

static void initial_sequence_numbers_differ_by_connection_and_by_time_rfc9293_3_4_1(void **state)
{
    struct script *s = *state;
    established(s);
    on(s, 1);
    established(s);
    assert_int_not_equal(s->flows[0].local_iss, s->flows[1].local_iss);
    /* The same ports again: ISN = M + F(tuple, secret), and M counts every 4 us. */
    on(s, 2);
    syn_received(s);
    uint32_t first = s->flow->local_iss;
    recv(s, "R 1:1(0)");
    after(s, 1000);
    next_connection(s, REMOTE_ISS);
    syn_received(s);
    uint32_t ticks = s->flow->local_iss - first;
    assert_in_range(ticks, 249000, 251000);
}

static void the_acknowledgement_may_bring_data_and_fin(void **state)
{
    struct script *s = *state;
    syn_received(s);
    recv(s, "FP. 1:11(10) ack 1");
    expect(s, ". 1:1(0) ack 12");
    app_accept(s);
    app_recv(s, 10);
    app_recv_end(s);
}

static void data_on_a_syn_is_left_to_be_sent_again(void **state)
{
    struct script *s = *state;
    app_listen(s, 8);
    recv(s, "S 0:10(10) <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <*>");
    recv(s, "P. 1:11(10) ack 1");
    app_accept(s);
    app_recv(s, 10);
    expect_after(s, 40, ". 1:1(0) ack 11");
}

static void a_listener_ignores_rst_rfc9293_3_10_7_2(void **state)
{
    struct script *s = *state;
    app_listen(s, 8);
    recv(s, "R 0:0(0)");
    recv(s, "R. 0:0(0) ack 1");
    established(s);
}

static void a_listener_resets_an_ack_rfc9293_3_10_7_2(void **state)
{
    struct script *s = *state;
    app_listen(s, 8);
    recv(s, ". 5:5(0) ack 77");
    expect(s, "R 77:77(0)");
    recv(s, "S. 5:5(0) ack 78");
    expect(s, "R 78:78(0)");
}

static void a_listener_drops_what_has_neither_syn_nor_ack_nor_rst_rfc9293_3_10_7_2(void **state)
{
    struct script *s = *state;
    app_listen(s, 8);
    recv(s, "F 0:0(0)");
    recv(s, "- 0:10(10)");
    quiet(s, 1000);
}

static void a_full_accept_queue_drops_syns_until_there_is_room(void **state)
{
    struct script *s = *state;
    app_listen(s, 2);
    for (unsigned i = 0; i < 2; i++) {
        on(s, i);
        syn_received(s);
        recv(s, ". 1:1(0) ack 1");
    }
    on(s, 2);
    recv(s, "S 0:0(0) <mss 1460>");
    quiet(s, 1000);
    assert_int_equal(counter(s, "tcp_accept_queue_full"), 1);
    on(s, 0);
    app_accept(s);
    on(s, 2);
    recv(s, "S 0:0(0) <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <*>");
    recv(s, ". 1:1(0) ack 1");
    on(s, 1);
    app_accept(s);
    on(s, 2);
    app_accept(s);
}

static void an_ack_that_finds_the_accept_queue_full_is_dropped_and_comes_again(void **state)
{
    struct script *s = *state;
    app_listen(s, 1);
    syn_received(s);
    on(s, 1);
    syn_received(s);
    on(s, 0);
    recv(s, ". 1:1(0) ack 1");
    on(s, 1);
    recv(s, ". 1:1(0) ack 1");
    assert_int_equal(counter(s, "tcp_accept_queue_full"), 1);
    on(s, 0);
    app_accept(s);
    on(s, 1);
    expect_after(s, 1000, "S. 0:0(0) ack 1 <*>");
    recv(s, ". 1:1(0) ack 1");
    app_accept(s);
}

static void half_open_connections_are_limited(void **state)
{
    struct script *s = *state;
    s->config.half_open_max = 2;
    s->config.syn_cookies = false;
    remake(s);
    syn_received(s);
    on(s, 1);
    syn_received(s);
    on(s, 2);
    recv(s, "S 0:0(0) <mss 1460>");
    expect_nothing(s);
    assert_int_equal(counter(s, "tcp_half_open_limited"), 1);
    on(s, 0);
    recv(s, "R 1:1(0)");
    on(s, 2);
    recv(s, "S 0:0(0) <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <*>");
}

static void closing_a_listener_resets_what_nobody_accepted(void **state)
{
    struct script *s = *state;
    syn_received(s);
    recv(s, ". 1:1(0) ack 1");
    app_close_listener(s);
    expect(s, "R. 1:1(0) ack 1");
    recv(s, ". 1:1(0) ack 1");
    expect(s, "R 1:1(0)");
}

static void closing_a_listener_forgets_half_open_connections(void **state)
{
    struct script *s = *state;
    syn_received(s);
    app_close_listener(s);
    recv(s, ". 1:1(0) ack 1");
    expect(s, "R 1:1(0)");
    quiet(s, 10000);
}

/* ---- SYN-RECEIVED --------------------------------------------------------------------------- */

static void a_syn_ack_is_sent_again_with_backoff_and_forgotten_rfc6298_5_5(void **state)
{
    struct script *s = *state;
    syn_received(s);
    for (unsigned wait = 1000; wait <= 16000; wait *= 2)
        expect_after(s, wait, "S. 0:0(0) ack 1 <*>");
    quiet(s, 33000);
    assert_int_equal(counter(s, "tcp_half_open_expired"), 1);
    recv(s, ". 1:1(0) ack 1");
    expect(s, "R 1:1(0)");
}

static void a_syn_that_comes_again_is_answered_again(void **state)
{
    struct script *s = *state;
    syn_received(s);
    after(s, 300);
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <*>");
    recv(s, ". 1:1(0) ack 1");
    app_accept(s);
}

static void a_wrong_ack_in_syn_received_is_reset_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    syn_received(s);
    recv(s, ". 1:1(0) ack 2");
    expect(s, "R 2:2(0)");
    recv(s, ". 1:1(0) ack 0");
    expect(s, "R 0:0(0)");
    app_accept_none(s);
    recv(s, ". 1:1(0) ack 1");
    app_accept(s);
}

static void a_rst_in_syn_received_ends_it_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    syn_received(s);
    recv(s, "R 1:1(0)");
    quiet(s, 2000);
    recv(s, ". 1:1(0) ack 1");
    expect(s, "R 1:1(0)");
    app_accept_none(s);
}

static void a_rst_beside_the_sequence_does_not_end_syn_received_rfc5961_3_2(void **state)
{
    struct script *s = *state;
    syn_received(s);
    recv(s, "R 0:0(0)");
    expect_nothing(s);
    recv(s, ". 1:1(0) ack 1");
    app_accept(s);
}

static void an_ack_outside_the_window_does_not_establish_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    syn_received(s);
    recv(s, ". 5000001:5000001(0) ack 1");
    expect(s, ". 1:1(0) ack 1 <>"); /* from SND.NXT, as in every other state */
    app_accept_none(s);
    recv(s, ". 1:1(0) ack 1");
    app_accept(s);
}

static void a_syn_in_the_window_of_syn_received_is_challenged_rfc5961_4_2(void **state)
{
    struct script *s = *state;
    syn_received(s);
    recv(s, "S 100:100(0) <mss 1460>"); /* the client has started anew, with a number near by */
    expect(s, ". 1:1(0) ack 1 <>");
    assert_int_equal(counter(s, "tcp_syn_in_window"), 1);
    recv(s, "R 1:1(0)"); /* its answer, and the way is free */
    next_connection(s, REMOTE_ISS + 100);
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
    recv(s, ". 1:1(0) ack 1");
    app_accept(s);
}

static void a_rst_in_the_window_of_syn_received_is_challenged_rfc5961_3_2(void **state)
{
    struct script *s = *state;
    syn_received(s);
    recv(s, "R 2:2(0)");
    expect(s, ". 1:1(0) ack 1 <>");
    assert_int_equal(counter(s, "tcp_reset_in_window"), 1);
    recv(s, ". 1:1(0) ack 1");
    app_accept(s);
}

static void a_challenge_in_syn_received_carries_the_timestamp_rfc7323_3_2(void **state)
{
    struct script *s = *state;
    app_listen(s, 8);
    recv(s, "S 0:0(0) <mss 1460,TS val 700 ecr 0>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460,TS val * ecr 700>");
    recv(s, "R 2:2(0) <>");
    expect(s, ". 1:1(0) ack 1 <TS val 0 ecr 700>");
}

static void answers_in_syn_received_have_a_pace_rfc5961_7(void **state)
{
    static const char *const wrong[] = {
        ". 5000001:5000001(0) ack 7", /* as from a TIME-WAIT */
        "P. 5000001:5000011(10) ack 1", "F. 0:0(0) ack 1", "S 5000000:5000000(0) <mss 1460>",
        "S 100:100(0) <mss 1460>",      "R 2:2(0)",
    };
    struct script *s = *state;
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        remake(s);
        syn_received(s);
        recv(s, "%s", wrong[i]);
        expect(s, ". 1:1(0) ack 1");
        for (unsigned again = 0; again < 10; again++)
            recv(s, "%s", wrong[i]);
        expect_nothing(s);
        assert_int_equal(counter(s, "tcp_challenge_acks"), 1);
        assert_int_equal(counter(s, "tcp_challenge_acks_limited"), 10);
        recv(s, "S 0:0(0) <mss 1460>"); /* who has missed our SYN need not wait */
        expect(s, "S. 0:0(0) ack 1 <*>");
        after(s, 600);
        recv(s, "%s", wrong[i]);
        expect(s, ". 1:1(0) ack 1");
        recv(s, ". 1:1(0) ack 1");
        app_accept(s);
    }
}

static void at_the_limit_of_connections_a_handshake_can_still_be_completed_later(void **state)
{
    struct script *s = *state;
    s->config.connections_max = 1;
    remake(s);
    established(s);
    on(s, 1);
    syn_received(s);
    recv(s, ". 1:1(0) ack 1");
    expect_nothing(s);
    app_accept_none(s);
    assert_int_equal(counter(s, "tcp_connections_limited"), 1);
    on(s, 0);
    recv(s, "R 1:1(0)");
    on(s, 1);
    recv(s, "P. 1:11(10) ack 1"); /* the remote believes itself in ESTABLISHED */
    app_accept(s);
    app_recv(s, 10);
    expect_after(s, 40, ". 1:1(0) ack 11");
}

static void only_the_last_of_several_handshakes_lost_matters(void **state)
{
    struct script *s = *state;
    syn_received(s);
    expect_after(s, 1000, "S. 0:0(0) ack 1 <*>");
    expect_after(s, 2000, "S. 0:0(0) ack 1 <*>");
    recv(s, ". 1:1(0) ack 1");
    quiet(s, 20000);
    app_accept(s);
}

/* ---- CLOSED --------------------------------------------------------------------------------- */

static void a_syn_to_a_closed_port_is_reset_rfc9293_3_10_7_1(void **state)
{
    struct script *s = *state;
    recv(s, "S 0:0(0) <mss 1460>");
    expect(s, "R. 0:0(0) ack 1 win 0 <>");
    recv(s, "S 0:10(10)");
    expect(s, "R. 0:0(0) ack 11 win 0 <>");
    recv(s, "SF 0:10(10)");
    expect(s, "R. 0:0(0) ack 12 win 0 <>");
    assert_int_equal(counter(s, "tcp_no_connection"), 3);
}

static void an_ack_to_a_closed_port_is_reset_with_its_number_rfc9293_3_10_7_1(void **state)
{
    struct script *s = *state;
    recv(s, ". 1:11(10) ack 77");
    expect(s, "R 77:77(0) win 0 <>");
    recv(s, "F. 1:1(0) ack 78");
    expect(s, "R 78:78(0) win 0 <>");
}

static void a_segment_without_ack_to_a_closed_port_is_reset_rfc9293_3_10_7_1(void **state)
{
    struct script *s = *state;
    recv(s, "F 0:10(10)");
    expect(s, "R. 0:0(0) ack 11");
    recv(s, "- 5:5(0)");
    expect(s, "R. 0:0(0) ack 5");
}

static void a_rst_to_a_closed_port_is_ignored_rfc9293_3_10_7_1(void **state)
{
    struct script *s = *state;
    recv(s, "R 0:0(0)");
    recv(s, "R. 0:0(0) ack 1");
    recv(s, "SR. 0:0(0) ack 1");
    expect_nothing(s);
}

/* ---- SYN-SENT ------------------------------------------------------------------------------- */

static void connect_sends_a_syn_and_the_syn_ack_establishes_rfc9293_3_5(void **state)
{
    struct script *s = *state;
    app_connect(s);
    expect(s, "S 0:0(0) win 65535 <mss 1460,TS val * ecr 0,wscale *,sackOK>");
    app_events(s, 0);
    recv(s, "S. 0:0(0) ack 1 win 65535 <mss 1460>");
    expect(s, ". 1:1(0) ack 1 <>");
    app_events(s, POLLOUT);
    app_error(s, 0);
    quiet(s, 10000);
}

static void
a_syn_is_sent_again_with_backoff_until_the_connection_times_out_rfc6298_5_5(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    for (unsigned wait = 1000; wait <= 64000; wait *= 2)
        expect_after(s, wait, "S 0:0(0) <mss 1460,TS val * ecr 0,wscale *,sackOK>");
    quiet(s, 119900); /* 247 s in all, more than the three minutes of RFC 9293 3.8.3 (MUST-23) */
    app_events(s, 0);
    quiet(s, 200);
    app_error(s, ETIMEDOUT);
}

static void a_reset_refuses_rfc9293_3_10_7_3(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    recv(s, "R. 0:0(0) ack 1");
    app_error(s, ECONNREFUSED);
    assert_int_equal(counter(s, "tcp_connections_refused"), 1);
    quiet(s, 10000);
}

static void a_reset_that_does_not_acknowledge_the_syn_is_ignored_rfc9293_3_10_7_3(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    recv(s, "R 0:0(0)");
    recv(s, "R. 0:0(0) ack 2");
    recv(s, "R. 0:0(0) ack 0");
    recv(s, "S. 0:0(0) ack 1 <mss 1460>");
    expect(s, ". 1:1(0) ack 1");
}

static void a_wrong_ack_in_syn_sent_is_reset_rfc9293_3_10_7_3(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    recv(s, ". 0:0(0) ack 9");
    expect(s, "R 9:9(0)");
    recv(s, "S. 0:0(0) ack 0");
    expect(s, "R 0:0(0)");
    recv(s, "S. 0:0(0) ack 1 <mss 1460>");
    expect(s, ". 1:1(0) ack 1");
}

static void an_ack_without_syn_is_dropped_in_syn_sent_rfc9293_3_10_7_3(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    recv(s, ". 0:0(0) ack 1");
    recv(s, "F. 0:10(10) ack 1");
    expect_nothing(s);
    assert_int_equal(counter(s, "tcp_syn_missing"), 2);
    recv(s, "S. 0:0(0) ack 1 <mss 1460>");
    expect(s, ". 1:1(0) ack 1");
}

static void an_answer_to_a_syn_that_waits_to_be_sent_is_reset_rfc9293_3_10_7_3(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    uint32_t iss = s->flow->local_iss;
    uint16_t port = s->flow->local_port;
    remake(s);
    begin_batch(s);
    app_connect(s); /* at the same time, so with the same numbers */
    s->flow->local_iss = iss;
    s->flow->local_port = port;
    recv(s, "S. 0:0(0) ack 1 <mss 1460>");
    end_batch(s);
    expect(s, "R 1:1(0)");
    expect(s, "S 0:0(0) <*>");
}

static void data_on_a_syn_ack_is_taken_rfc9293_3_10_7_3(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    recv(s, "S. 0:10(10) ack 1 <mss 1460>");
    expect(s, ". 1:1(0) ack 11");
    app_recv(s, 10);
}

static void close_in_syn_sent_ends_it_without_a_word_rfc9293_3_10_4(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    app_close(s);
    quiet(s, 10000);
    recv(s, "S. 0:0(0) ack 1");
    expect(s, "R 1:1(0)");
}

static void port_unreachable_refuses_rfc9293_3_9_2_2(void **state)
{
    struct script *s = *state;
    app_connect(s);
    const struct packet *syn = expect(s, "S 0:0(0)");
    recv_icmp_error(s, 3, 3, syn);
    app_error(s, ECONNREFUSED);
    quiet(s, 10000);
}

static void host_unreachable_is_a_soft_error_rfc9293_3_9_2_2(void **state)
{
    struct script *s = *state;
    app_connect(s);
    const struct packet *syn = expect(s, "S 0:0(0)");
    recv_icmp_error(s, 3, 1, syn);
    expect_after(s, 1000, "S 0:0(0)");
    recv(s, "S. 0:0(0) ack 1 <mss 1460>");
    expect(s, ". 1:1(0) ack 1");
}

/* ---- Simultaneous open ---------------------------------------------------------------------- */

static void simultaneous_open_completes_by_syn_acks_rfc9293_3_5(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
    app_events(s, 0);
    recv(s, "S. 0:0(0) ack 1 win 65535 <mss 1460>");
    expect_nothing(s); /* each side has acknowledged the other's SYN */
    app_events(s, POLLOUT);
    send_and_expect(s, 100, 1460, 1);
}

static void simultaneous_open_completes_by_an_ack_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
    recv(s, "P. 1:11(10) ack 1");
    app_recv(s, 10);
    expect_after(s, 40, ". 1:1(0) ack 11");
}

static void simultaneous_open_sends_its_syn_ack_again(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    after(s, 500);
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
    expect_between(s, 500, 1000, "S. 0:0(0) ack 1 <mss 1460>");
    recv(s, ". 1:1(0) ack 1");
    app_events(s, POLLOUT);
}

static void simultaneous_open_leaves_no_timer_of_the_syn_rfc6298_5_2(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
    recv(s, "S. 0:0(0) ack 1 win 65535 <mss 1460>");
    quiet(s, 10000);
    assert_int_equal(counter(s, "tcp_retransmission_timeouts"), 0);
    app_send(s, 20 * 1460);
    for (unsigned seq = 1; seq < 14601; seq += 1460) /* the initial window is untouched */
        expect(s, ". %u:%u(1460) ack 1", seq, seq + 1460);
}

static void a_fin_queued_in_simultaneous_open_goes_when_it_completes_rfc9293_3_10_4(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
    app_close(s);
    expect_nothing(s);
    recv(s, "S. 0:0(0) ack 1 win 65535 <mss 1460>");
    expect(s, "F. 1:1(0) ack 1");
    recv(s, ". 1:1(0) ack 2");
    quiet(s, 1000);
}

static void the_syn_ack_of_a_simultaneous_open_may_bring_data_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
    recv(s, "S. 0:10(10) ack 1 win 65535 <mss 1460>");
    app_recv(s, 10);
    expect_after(s, 40, ". 1:1(0) ack 11");
}

static void data_on_the_syn_ack_of_a_simultaneous_open_resets_an_orphan_rfc9293_3_6_1(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
    app_close(s);
    recv(s, "S. 0:10(10) ack 1 win 65535 <mss 1460>"); /* nobody will read it: SHLD-3 */
    expect(s, "R. 1:1(0) ack 1");
    assert_int_equal(counter(s, "tcp_data_after_close"), 1);
}

static void a_challenge_in_simultaneous_open_stands_behind_the_syn_rfc9293_a_2(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    recv(s, "S 0:0(0) win 0 <mss 1460>"); /* a closed window begins behind the SYN, too */
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
    recv(s, ". 5000001:5000001(0) ack 1");
    expect(s, ". 1:1(0) ack 1");
}

static void a_rst_after_simultaneous_open_refuses_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
    recv(s, "R 1:1(0)");
    app_error(s, ECONNREFUSED);
}

/* ---- Options -------------------------------------------------------------------------------- */

static void a_listener_offers_only_what_it_was_offered_rfc7323_2_2_and_3_2(void **state)
{
    struct script *s = *state;
    app_listen(s, 8);
    recv(s, "S 0:0(0) <>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
    on(s, 1);
    recv(s, "S 0:0(0) <mss 1000,nop,wscale 3>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460,wscale *>");
    on(s, 2);
    recv(s, "S 0:0(0) <TS val 55 ecr 0>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460,TS val * ecr 55>");
    on(s, 3);
    recv(s, "S 0:0(0) <wscale 0,TS val 55 ecr 0,mss 1000>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460,TS val * ecr 55,wscale *>");
}

static void windows_are_scaled_only_if_both_offered_rfc7323_2_2(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, ". 1:1461(1460) ack 1");
    expect_after(s, 40, ". 1:1(0) ack 1461 win 65535");
    on(s, 1);
    established_with(s, .scale = 7);
    recv(s, ". 1:1461(1460) ack 1");
    const struct packet *ack = expect_after(s, 40, ". 1:1(0) ack 1461");
    assert_in_range((uint32_t)ack->window << s->flow->local_scale, 1000000, 1048576);
}

static void the_window_of_a_syn_ack_is_not_scaled_rfc7323_2_2(void **state)
{
    struct script *s = *state;
    app_listen(s, 8);
    recv(s, "S 0:0(0) win 65535 <mss 1460,wscale 7>");
    expect(s, "S. 0:0(0) ack 1 win 65535 <mss 1460,wscale *>");
}

static void the_window_of_a_syn_is_not_scaled_by_the_receiver_rfc7323_2_2(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    recv(s, "S. 0:0(0) ack 1 win 2920 <mss 1460,wscale 7>");
    expect(s, ". 1:1(0) ack 1");
    app_send(s, 14600);
    expect(s, ". 1:1461(1460) ack 1");
    expect(s, ". 1461:2921(1460) ack 1");
    recv(s, ". 1:1(0) ack 2921 win 40"); /* 5120 bytes */
    expect(s, ". 2921:4381(1460) ack 1");
    expect(s, ". 4381:5841(1460) ack 1");
    expect(s, ". 5841:7301(1460) ack 1");
    expect_nothing(s);
}

static void a_shift_above_14_is_taken_for_14_rfc7323_2_3(void **state)
{
    struct script *s = *state;
    app_listen(s, 8);
    recv(s, "S 0:0(0) win 65535 <mss 1460,wscale 15>");
    expect(s, "S. 0:0(0) ack 1 <*>");
    recv(s, ". 1:1(0) ack 1 win 1");
    app_accept(s);
    app_send(s, 40 * 1460);
    for (unsigned seq = 1; seq < 14601; seq += 1460) /* the initial window */
        expect(s, ". %u:%u(1460) ack 1", seq, seq + 1460);
    recv(s, ". 1:1(0) ack 14601 win 1"); /* 16384 bytes, of which eleven segments */
    for (unsigned seq = 14601; seq < 30661; seq += 1460)
        expect(s, ". %u:%u(1460) ack 1", seq, seq + 1460);
    expect_nothing(s);
}

static void timestamps_are_echoed_rfc7323_3_2(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    recv(s, "S. 0:0(0) ack 1 <mss 1460,TS val 700 ecr 0>");
    expect(s, ". 1:1(0) ack 1 <TS val 0 ecr 700>");
    after(s, 25);
    recv(s, ". 1:1461(1460) ack 1 <TS val 725 ecr 0>");
    recv(s, ". 1461:2921(1460) ack 1 <TS val 726 ecr 0>");
    /* Of the segments since the last ACK, the first: the echo includes the delay (4.3). */
    expect(s, ". 1:1(0) ack 2921 <TS val 25 ecr 725>");
}

static void a_final_ack_without_a_timestamp_is_tolerated(void **state)
{
    struct script *s = *state;
    app_listen(s, 8);
    recv(s, "S 0:0(0) <mss 1460,TS val 5 ecr 0>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460,TS val * ecr 5>");
    recv(s, ". 1:1(0) ack 1 <>");
    app_accept(s);
}

static void unknown_options_are_skipped_rfc9293_3_1(void **state)
{
    struct script *s = *state;
    app_listen(s, 8);
    recv(s, "S 0:0(0) <opt 254 aabbccdd,nop,opt 99 ,sackOK,mss 1000>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460,sackOK>");
    recv(s, ". 1:1(0) ack 1");
    app_accept(s);
    send_and_expect(s, 1500, 1000, 1);
}

static void nothing_is_read_behind_the_end_of_options_rfc9293_3_2(void **state)
{
    struct script *s = *state;
    app_listen(s, 8);
    recv(s, "S 0:0(0) <mss 1000,eol,nop,wscale 7>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
}

static void options_of_impossible_length_do_no_harm_rfc9293_3_1(void **state)
{
    static const char *const options[] = {
        "hex 0200",                 /* a length of 0 */
        "hex 0201",                 /* of 1 */
        "hex 02",                   /* no length, by padding 0 */
        "hex 01010102",             /* no length, at the very end */
        "hex 020405",               /* its end is padding */
        "hex 01010204",             /* its data would stand behind the header */
        "hex 080a0000",             /* likewise */
        "hex 03ff0000",             /* far behind */
        "hex 0304070001010101",     /* a scale of two bytes */
        "hex 0808000000050000",     /* a timestamp of six bytes */
        "hex 020301010101",         /* an MSS of one byte */
        "hex 0206000005b40000",     /* and of four */
        "hex 05fe0000000000000000", /* SACK blocks without end */
    };
    struct script *s = *state;
    app_listen(s, 64);
    for (unsigned i = 0; i < sizeof options / sizeof options[0]; i++) {
        on(s, i);
        recv(s, "S 0:0(0) <%s>", options[i]);
        expect(s, "S. 0:0(0) ack 1 <mss 1460>");
        recv(s, ". 1:1(0) ack 1 <%s>", options[i]);
        app_accept(s);
    }
    assert_true(counter(s, "tcp_option_wrong") > 0);
}

/* ---- Maximum segment size ------------------------------------------------------------------- */

static void without_the_option_the_mss_is_536_rfc9293_3_7_1(void **state)
{
    struct script *s = *state;
    app_listen(s, 8);
    recv(s, "S 0:0(0) <>");
    expect(s, "S. 0:0(0) ack 1 <*>");
    recv(s, ". 1:1(0) ack 1");
    app_accept(s);
    send_and_expect(s, 1200, 536, 1);
}

static void a_tiny_mss_has_a_floor(void **state)
{
    struct script *s = *state;
    for (unsigned offer = 1; offer <= 48; offer++) {
        remake(s);
        app_listen(s, 8);
        recv(s, "S 0:0(0) <mss %u>", offer);
        expect(s, "S. 0:0(0) ack 1 <*>");
        recv(s, ". 1:1(0) ack 1");
        app_accept(s);
        send_and_expect(s, 400, 48, 1);
        recv(s, "R 1:1(0)");
    }
}

static void the_mss_follows_the_mtu_rfc9293_3_7_1(void **state)
{
    static const struct {
        uint32_t mtu, mss;
    } links[] = {{576, 536}, {1280, 1240}, {9000, 8960}, {65535, 65495}};
    struct script *s = *state;
    for (unsigned i = 0; i < sizeof links / sizeof links[0]; i++) {
        s->link.mtu = links[i].mtu;
        remake(s);
        app_listen(s, 8);
        recv(s, "S 0:0(0) <mss 65495>");
        expect(s, "S. 0:0(0) ack 1 <mss %u>", links[i].mss);
        on(s, 1);
        app_connect(s);
        expect(s, "S 0:0(0) <mss %u,TS val * ecr 0,wscale *,sackOK>", links[i].mss);
        recv(s, "R. 0:0(0) ack 1");
    }
}

static void a_segment_is_no_longer_than_the_own_mtu_allows_rfc9293_3_7_1(void **state)
{
    struct script *s = *state;
    established_with(s, .mss = 9000);
    send_and_expect(s, 3000, 1460, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_syn_is_answered_and_the_ack_establishes_rfc9293_3_5),
        TEST(initial_sequence_numbers_differ_by_connection_and_by_time_rfc9293_3_4_1),
        TEST(the_acknowledgement_may_bring_data_and_fin),
        TEST(data_on_a_syn_is_left_to_be_sent_again),
        TEST(a_listener_ignores_rst_rfc9293_3_10_7_2),
        TEST(a_listener_resets_an_ack_rfc9293_3_10_7_2),
        TEST(a_listener_drops_what_has_neither_syn_nor_ack_nor_rst_rfc9293_3_10_7_2),
        TEST(a_full_accept_queue_drops_syns_until_there_is_room),
        TEST(an_ack_that_finds_the_accept_queue_full_is_dropped_and_comes_again),
        TEST(half_open_connections_are_limited),
        TEST(closing_a_listener_resets_what_nobody_accepted),
        TEST(closing_a_listener_forgets_half_open_connections),
        TEST(a_syn_ack_is_sent_again_with_backoff_and_forgotten_rfc6298_5_5),
        TEST(a_syn_that_comes_again_is_answered_again),
        TEST(a_wrong_ack_in_syn_received_is_reset_rfc9293_3_10_7_4),
        TEST(a_rst_in_syn_received_ends_it_rfc9293_3_10_7_4),
        TEST(a_rst_beside_the_sequence_does_not_end_syn_received_rfc5961_3_2),
        TEST(an_ack_outside_the_window_does_not_establish_rfc9293_3_10_7_4),
        TEST(a_syn_in_the_window_of_syn_received_is_challenged_rfc5961_4_2),
        TEST(a_rst_in_the_window_of_syn_received_is_challenged_rfc5961_3_2),
        TEST(a_challenge_in_syn_received_carries_the_timestamp_rfc7323_3_2),
        TEST(answers_in_syn_received_have_a_pace_rfc5961_7),
        TEST(at_the_limit_of_connections_a_handshake_can_still_be_completed_later),
        TEST(only_the_last_of_several_handshakes_lost_matters),
        TEST(a_syn_to_a_closed_port_is_reset_rfc9293_3_10_7_1),
        TEST(an_ack_to_a_closed_port_is_reset_with_its_number_rfc9293_3_10_7_1),
        TEST(a_segment_without_ack_to_a_closed_port_is_reset_rfc9293_3_10_7_1),
        TEST(a_rst_to_a_closed_port_is_ignored_rfc9293_3_10_7_1),
        TEST(connect_sends_a_syn_and_the_syn_ack_establishes_rfc9293_3_5),
        TEST(a_syn_is_sent_again_with_backoff_until_the_connection_times_out_rfc6298_5_5),
        TEST(a_reset_refuses_rfc9293_3_10_7_3),
        TEST(a_reset_that_does_not_acknowledge_the_syn_is_ignored_rfc9293_3_10_7_3),
        TEST(a_wrong_ack_in_syn_sent_is_reset_rfc9293_3_10_7_3),
        TEST(an_ack_without_syn_is_dropped_in_syn_sent_rfc9293_3_10_7_3),
        TEST(an_answer_to_a_syn_that_waits_to_be_sent_is_reset_rfc9293_3_10_7_3),
        TEST(data_on_a_syn_ack_is_taken_rfc9293_3_10_7_3),
        TEST(close_in_syn_sent_ends_it_without_a_word_rfc9293_3_10_4),
        TEST(port_unreachable_refuses_rfc9293_3_9_2_2),
        TEST(host_unreachable_is_a_soft_error_rfc9293_3_9_2_2),
        TEST(simultaneous_open_completes_by_syn_acks_rfc9293_3_5),
        TEST(simultaneous_open_completes_by_an_ack_rfc9293_3_10_7_4),
        TEST(simultaneous_open_sends_its_syn_ack_again),
        TEST(simultaneous_open_leaves_no_timer_of_the_syn_rfc6298_5_2),
        TEST(a_fin_queued_in_simultaneous_open_goes_when_it_completes_rfc9293_3_10_4),
        TEST(the_syn_ack_of_a_simultaneous_open_may_bring_data_rfc9293_3_10_7_4),
        TEST(data_on_the_syn_ack_of_a_simultaneous_open_resets_an_orphan_rfc9293_3_6_1),
        TEST(a_challenge_in_simultaneous_open_stands_behind_the_syn_rfc9293_a_2),
        TEST(a_rst_after_simultaneous_open_refuses_rfc9293_3_10_7_4),
        TEST(a_listener_offers_only_what_it_was_offered_rfc7323_2_2_and_3_2),
        TEST(windows_are_scaled_only_if_both_offered_rfc7323_2_2),
        TEST(the_window_of_a_syn_ack_is_not_scaled_rfc7323_2_2),
        TEST(the_window_of_a_syn_is_not_scaled_by_the_receiver_rfc7323_2_2),
        TEST(a_shift_above_14_is_taken_for_14_rfc7323_2_3),
        TEST(timestamps_are_echoed_rfc7323_3_2),
        TEST(a_final_ack_without_a_timestamp_is_tolerated),
        TEST(unknown_options_are_skipped_rfc9293_3_1),
        TEST(nothing_is_read_behind_the_end_of_options_rfc9293_3_2),
        TEST(options_of_impossible_length_do_no_harm_rfc9293_3_1),
        TEST(without_the_option_the_mss_is_536_rfc9293_3_7_1),
        TEST(a_tiny_mss_has_a_floor),
        TEST(the_mss_follows_the_mtu_rfc9293_3_7_1),
        TEST(a_segment_is_no_longer_than_the_own_mtu_allows_rfc9293_3_7_1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
