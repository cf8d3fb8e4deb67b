/* SPDX-License-Identifier: MIT */
/*
 * How connections end: RFC 9293 3.6 (closing), 3.10.4 and 3.10.5 (CLOSE, ABORT), 3.10.7.4 (RST,
 * SYN, FIN in each state), RFC 5961 (challenge ACKs), RFC 1337 and RFC 6191 (TIME-WAIT).
 */
#define _GNU_SOURCE /* POLLRDHUP */
#include <poll.h>

#include "fixtures.h"

#define MSS 1460

/* ---- Strait closes first -------------------------------------------------------------------- */

static void active_close_passes_fin_wait_and_time_wait_rfc9293_3_6(void **state)
{
    struct script *s = *state;
    established(s);
    app_close(s);
    expect(s, "F. 1:1(0) ack 1");
    recv(s, ". 1:1(0) ack 2");
    recv(s, "F. 1:1(0) ack 2");
    expect(s, ". 2:2(0) ack 2");
    quiet(s, 59000);
    recv(s, ". 2:2(0) ack 2");
    expect_nothing(s);
    quiet(s, 2000);
    recv(s, ". 2:2(0) ack 2"); /* after 60 s nobody knows it */
    expect(s, "R 2:2(0)");
}

static void a_fin_that_acknowledges_ours_leads_to_time_wait_rfc9293_3_6(void **state)
{
    struct script *s = *state;
    fin_wait_1(s);
    recv(s, "F. 1:1(0) ack 2");
    expect(s, ". 2:2(0) ack 2");
    quiet(s, 10000);
    app_recv_end(s);
}

static void simultaneous_close_passes_closing_rfc9293_3_6(void **state)
{
    struct script *s = *state;
    fin_wait_1(s);
    recv(s, "F. 1:1(0) ack 1");
    expect(s, ". 2:2(0) ack 2");
    recv(s, ". 2:2(0) ack 2");
    quiet(s, 59000);
    recv(s, "F. 1:1(0) ack 2"); /* in TIME-WAIT, a FIN is acknowledged again */
    expect(s, ". 2:2(0) ack 2");
}

static void a_fin_and_the_ack_of_ours_in_one_batch_are_acknowledged_rfc9293_3_6(void **state)
{
    struct script *s = *state;
    fin_wait_1(s);
    begin_batch(s);
    recv(s, "F. 1:1(0) ack 1"); /* CLOSING */
    recv(s, ". 2:2(0) ack 2");  /* TIME-WAIT */
    end_batch(s);
    expect(s, ". 2:2(0) ack 2");
    quiet(s, 59000);
    recv(s, "F. 1:1(0) ack 2");
    expect(s, ". 2:2(0) ack 2");
}

static void data_is_sent_before_the_fin_rfc9293_3_10_4(void **state)
{
    struct script *s = *state;
    established(s);
    app_send(s, 12 * MSS);
    for (unsigned seq = 1; seq < 1 + 10 * MSS; seq += MSS)
        expect(s, ". %u:%u(1460) ack 1", seq, seq + MSS);
    app_close(s);
    expect_nothing(s);
    recv(s, ". 1:1(0) ack 14601");
    expect(s, ". 14601:16061(1460) ack 1");
    expect(s, "FP. 16061:17521(1460) ack 1");
    recv(s, ". 1:1(0) ack 17522");
    recv(s, "F. 1:1(0) ack 17522");
    expect(s, ". 17522:17522(0) ack 2");
}

static void data_still_arrives_after_shutdown_of_sending_rfc9293_3_6(void **state)
{
    struct script *s = *state;
    fin_wait_1(s);
    app_send_fails(s, EPIPE);
    recv(s, "P. 1:101(100) ack 1");
    app_recv(s, 100);
    expect_after(s, 40, ". 2:2(0) ack 101");
    recv(s, ". 101:101(0) ack 2");
    recv(s, "P. 101:201(100) ack 2");
    app_recv(s, 100);
    app_recv_fails(s, EAGAIN);
    recv(s, "FP. 201:301(100) ack 2");
    expect(s, ". 2:2(0) ack 302");
    app_recv(s, 100);
    app_recv_end(s);
    app_close(s);
    quiet(s, 1000);
}

static void a_fin_is_retransmitted_rfc6298_5(void **state)
{
    struct script *s = *state;
    fin_wait_1(s);
    expect_between(s, 200, 201, "F. 1:1(0) ack 1");
    expect_between(s, 400, 401, "F. 1:1(0) ack 1");
    recv(s, ". 1:1(0) ack 2");
    quiet(s, 10000);
}

static void a_fin_goes_again_with_the_data_before_it(void **state)
{
    struct script *s = *state;
    established(s);
    app_send(s, 100);
    expect(s, "P. 1:101(100) ack 1");
    app_shutdown(s, SHUT_WR);
    expect(s, "F. 101:101(0) ack 1");
    expect_between(s, 200, 201, "FP. 1:101(100) ack 1");
    recv(s, ". 1:1(0) ack 101");
    expect_between(s, 200, 500, "F. 101:101(0) ack 1");
    recv(s, ". 1:1(0) ack 102");
    quiet(s, 10000);
}

static void fin_wait_2_lasts_while_the_application_reads_rfc9293_3_6(void **state)
{
    struct script *s = *state;
    fin_wait_2(s);
    quiet(s, 600000);
    recv(s, "P. 1:11(10) ack 2");
    app_recv(s, 10);
    expect_after(s, 40, ". 2:2(0) ack 11");
}

/* ---- The remote closes first ---------------------------------------------------------------- */

static void passive_close_passes_close_wait_and_last_ack_rfc9293_3_6(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, "F. 1:1(0) ack 1");
    expect(s, ". 1:1(0) ack 2");
    app_events(s, POLLIN | POLLOUT | POLLRDHUP);
    app_recv_end(s);
    quiet(s, 600000);
    app_close(s);
    expect(s, "F. 1:1(0) ack 2");
    recv(s, ". 2:2(0) ack 2");
    quiet(s, 1000);
    recv(s, ". 2:2(0) ack 2"); /* it is gone at once */
    expect(s, "R 2:2(0)");
}

static void data_is_sent_in_close_wait_rfc9293_3_6(void **state)
{
    struct script *s = *state;
    close_wait(s);
    send_and_expect(s, 2000, MSS, 2);
    recv(s, ". 2:2(0) ack 2001");
    app_shutdown(s, SHUT_WR);
    expect(s, "F. 2001:2001(0) ack 2");
    app_events(s, POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
    recv(s, ". 2:2(0) ack 2002");
    quiet(s, 1000);
}

static void a_fin_brings_the_last_data_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, "FP. 1:101(100) ack 1");
    expect(s, ". 1:1(0) ack 102");
    app_recv(s, 100);
    app_recv_end(s);
}

static void data_after_a_fin_is_not_taken_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    close_wait(s);
    recv(s, "P. 2:12(10) ack 1");
    app_recv_end(s);
    recv(s, ". 1:11(10) ack 1"); /* in the place of the FIN */
    app_recv_end(s);
    quiet(s, 1000);
    assert_int_equal(counter(s, "tcp_text_ignored"), 2);
    send_and_expect(s, 10, MSS, 2);
}

static void a_fin_that_comes_again_is_acknowledged_again_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    close_wait(s);
    recv(s, "F. 1:1(0) ack 1");
    expect(s, ". 1:1(0) ack 2");
    app_shutdown(s, SHUT_WR);
    expect(s, "F. 1:1(0) ack 2");
    recv(s, "F. 1:1(0) ack 1");
    expect(s, ". 2:2(0) ack 2");
}

static void the_fin_of_last_ack_is_retransmitted_rfc6298_5(void **state)
{
    struct script *s = *state;
    last_ack(s);
    app_close(s);
    expect_between(s, 200, 201, "F. 1:1(0) ack 2");
    expect_between(s, 400, 401, "F. 1:1(0) ack 2");
    recv(s, ". 2:2(0) ack 2");
    quiet(s, 10000);
}

/* ---- Resets that Strait sends --------------------------------------------------------------- */

static void close_with_unread_data_resets_rfc2525_2_17(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, "P. 1:101(100) ack 1");
    app_recv(s, 99);
    app_close(s);
    expect(s, "R. 1:1(0) ack 101");
    recv(s, ". 101:101(0) ack 1");
    expect(s, "R 1:1(0)");
}

static void close_with_linger_0_resets_rfc9293_3_10_5(void **state)
{
    struct script *s = *state;
    established(s);
    send_and_expect(s, 100, MSS, 1);
    app_linger(s, 0);
    app_close(s);
    expect(s, "R. 101:101(0) ack 1");
    quiet(s, 10000);
}

static void once_both_have_closed_an_abort_says_nothing_rfc9293_3_10_5(void **state)
{
    struct script *s = *state;
    closing(s);
    app_linger(s, 0);
    app_close(s);
    quiet(s, 10000);
    recv(s, ". 2:2(0) ack 2"); /* the connection is gone */
    expect(s, "R 2:2(0)");
    remake(s);
    last_ack(s);
    app_linger(s, 0);
    app_close(s);
    quiet(s, 10000);
    remake(s);
    established(s);
    recv(s, "PF. 1:11(10) ack 1");
    expect(s, ". 1:1(0) ack 12");
    app_shutdown(s, SHUT_WR);
    expect(s, "F. 1:1(0) ack 12");
    app_close(s); /* with data that was not read */
    quiet(s, 10000);
}

static void an_abort_resets_while_the_own_fin_waits_rfc9293_3_10_5(void **state)
{
    struct script *s = *state;
    for (unsigned first = 0; first < 2; first++) { /* the peer: LAST-ACK; or Strait: CLOSING */
        remake(s);
        established_with(s, .window = 1000);
        app_send(s, 1100);
        expect(s, ". 1:1001(1000) ack 1"); /* our FIN stands behind what the window holds back */
        if (first)
            app_shutdown(s, SHUT_WR);
        recv(s, "F. 1:1(0) ack 1");
        expect(s, ". 1001:1001(0) ack 2");
        if (!first)
            app_shutdown(s, SHUT_WR);
        app_linger(s, 0);
        app_close(s);
        expect(s, "R. 1001:1001(0) ack 2");
        quiet(s, 10000);
    }
}

static void data_for_an_orphan_is_reset_rfc9293_3_10_4(void **state)
{
    struct script *s = *state;
    fin_wait_2(s);
    app_close(s);
    recv(s, "P. 1:11(10) ack 2");
    /* With or without ACK: acceptable to the peer at this sequence number. */
    expect(s, "R. 2:2(0) ack 1");
    assert_int_equal(counter(s, "tcp_data_after_close"), 1);
    recv(s, "F. 11:11(0) ack 2");
    expect(s, "R 2:2(0)");
}

/* ---- Resets that arrive, in each state ------------------------------------------------------ */

/* What the application learns from a RST, by the state it comes in: RFC 9293 3.10.7.4, second. */
static const struct {
    const char *name;
    void (*fixture)(struct script *, struct place);
    unsigned seq;
    int error;
} reset_states[] = {
    {"FIN-WAIT-1", fixture_fin_wait_1, 1, ECONNRESET},
    {"FIN-WAIT-2", fixture_fin_wait_2, 1, ECONNRESET},
    {"CLOSE-WAIT", fixture_close_wait, 2, EPIPE},
    {"CLOSING", fixture_closing, 2, ECONNRESET},
    {"LAST-ACK", fixture_last_ack, 2, ECONNRESET},
};
#define RESET_STATES (sizeof reset_states / sizeof reset_states[0])

static void a_reset_ends_the_connection_in_every_state_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    for (size_t i = 0; i < RESET_STATES; i++) {
        remake(s);
        step_begins(s, "%s", reset_states[i].name);
        reset_states[i].fixture(s, HERE);
        recv(s, "R %u:%u(0)", reset_states[i].seq, reset_states[i].seq);
        app_error(s, reset_states[i].error);
        quiet(s, 1000);
        recv(s, ". 2:2(0) ack 5");
        expect(s, "R 5:5(0)");
    }
}

static void a_reset_in_established_is_told_once_and_drops_what_waits_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    established(s);
    send_and_expect(s, 100, MSS, 1);
    recv(s, "R. 1:1(0) ack 1");
    app_events(s, POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR);
    app_recv_fails(s, ECONNRESET);
    app_recv_end(s);
    app_send_fails(s, EPIPE);
    quiet(s, 10000);
    app_close(s);
    quiet(s, 1000);
}

static void data_before_a_reset_may_still_be_read(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, "P. 1:11(10) ack 1");
    recv(s, "R 11:11(0)");
    app_recv(s, 10);
    app_recv_fails(s, ECONNRESET);
    app_recv_end(s);
}

static void only_a_reset_at_rcv_nxt_is_taken_rfc5961_3_2(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, "R 2:2(0)");
    expect(s, ". 1:1(0) ack 1"); /* in the window: a challenge */
    after(s, 2000);
    recv(s, "R 65535:65535(0)");
    expect(s, ". 1:1(0) ack 1");
    after(s, 2000);
    recv(s, "R 65536:65536(0)"); /* outside: silence */
    recv(s, "R 0:0(0)");
    quiet(s, 2000);
    assert_int_equal(counter(s, "tcp_challenge_acks"), 2);
    assert_int_equal(counter(s, "tcp_reset_in_window"), 2);
    app_recv_fails(s, EAGAIN);
    recv(s, "R 1:1(0)");
    app_recv_fails(s, ECONNRESET);
}

static void a_syn_in_a_synchronized_state_is_challenged_rfc5961_4_2(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, "S 1:1(0) <mss 1460>"); /* in the window */
    expect(s, ". 1:1(0) ack 1");
    after(s, 2000);
    recv(s, "S 5000000:5000000(0) <mss 1460>"); /* outside */
    expect(s, ". 1:1(0) ack 1");
    after(s, 2000);
    recv(s, "S. 0:0(0) ack 1 <mss 1460>"); /* the handshake's, again */
    expect(s, ". 1:1(0) ack 1");
    recv(s, "P. 1:11(10) ack 1");
    app_recv(s, 10);
    expect_after(s, 40, ". 1:1(0) ack 11");
}

static void challenge_acks_are_limited_for_each_connection_rfc5961_7(void **state)
{
    struct script *s = *state;
    established(s);
    on(s, 1);
    established(s);
    on(s, 0);
    recv(s, "R 2:2(0)");
    expect(s, ". 1:1(0) ack 1");
    for (unsigned i = 0; i < 10; i++)
        recv(s, "R 2:2(0)");
    for (unsigned i = 0; i < 10; i++)
        recv(s, "S 5000000:5000000(0) <mss 1460>");
    expect_nothing(s);
    assert_int_equal(counter(s, "tcp_challenge_acks_limited"), 20);
    on(s, 1);
    recv(s, "R 2:2(0)");
    expect(s, ". 1:1(0) ack 1");
    after(s, 2000);
    recv(s, "R 2:2(0)");
    expect(s, ". 1:1(0) ack 1");
}

static void an_ack_far_too_old_is_challenged_rfc5961_5_2(void **state)
{
    struct script *s = *state;
    established_with(s, .window = 1000);
    recv(s, "P. 1:11(10) ack 4294900001"); /* 67295 below SND.UNA: MAX.SND.WND is 1000 */
    expect(s, ". 1:1(0) ack 1");
    app_recv_fails(s, EAGAIN);
    recv(s, "P. 1:11(10) ack 4294966400"); /* within MAX.SND.WND */
    app_recv(s, 10);
}

/* ---- TIME-WAIT ------------------------------------------------------------------------------ */

static void time_wait_acknowledges_a_fin_again_and_starts_anew_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    time_wait(s);
    quiet(s, 50000);
    recv(s, "F. 1:1(0) ack 2");
    expect(s, ". 2:2(0) ack 2");
    quiet(s, 50000);
    recv(s, "F. 1:1(0) ack 2");
    expect(s, ". 2:2(0) ack 2");
    quiet(s, 61000);
    recv(s, "F. 1:1(0) ack 2");
    expect(s, "R 2:2(0)");
}

static void a_reset_does_not_end_time_wait_rfc1337_2(void **state)
{
    struct script *s = *state;
    time_wait(s);
    recv(s, "R 2:2(0)");
    recv(s, "R 5000:5000(0)");
    expect_nothing(s);
    recv(s, "F. 1:1(0) ack 2");
    expect(s, ". 2:2(0) ack 2");
}

static void old_data_in_time_wait_is_acknowledged_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    time_wait(s);
    recv(s, ". 0:1(1) ack 1");
    expect(s, ". 2:2(0) ack 2");
}

static void acks_in_time_wait_are_not_answered(void **state)
{
    struct script *s = *state;
    time_wait(s);
    for (unsigned i = 0; i < 5; i++)
        recv(s, ". 2:2(0) ack 2");
    expect_nothing(s);
}

static void answers_in_time_wait_have_a_pace_rfc5961_7(void **state)
{
    static const char *const wrong[] = {
        "S. 5000000:5000000(0) ack 9 <mss 1460>", /* as from a half-open record */
        ". 0:1(1) ack 1",
        ". 3:3(0) ack 2",
    };
    struct script *s = *state;
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        remake(s);
        time_wait(s);
        recv(s, "%s", wrong[i]);
        expect(s, ". 2:2(0) ack 2");
        for (unsigned again = 0; again < 10; again++)
            recv(s, "%s", wrong[i]);
        expect_nothing(s);
        assert_int_equal(counter(s, "tcp_challenge_acks_limited"), 10);
        recv(s, "F. 1:1(0) ack 2"); /* who has missed our last ACK need not wait */
        expect(s, ". 2:2(0) ack 2");
        after(s, 600);
        recv(s, "%s", wrong[i]);
        expect(s, ". 2:2(0) ack 2");
    }
}

static void a_syn_that_nobody_listens_for_does_not_end_time_wait_rfc9293_3_6_1(void **state)
{
    struct script *s = *state;
    time_wait(s);
    app_close_listener(s);
    recv(s, "S 100:100(0) <mss 1460>");
    expect(s, ". 2:2(0) ack 2");
    recv(s, "F. 1:1(0) ack 2");
    expect(s, ". 2:2(0) ack 2");
    assert_int_equal(counter(s, "tcp_time_wait_reused"), 0);
}

static void a_syn_that_finds_the_accept_queue_full_does_not_end_time_wait(void **state)
{
    struct script *s = *state;
    app_listen(s, 1);
    time_wait(s);
    on(s, 1);
    syn_received(s);
    recv(s, ". 1:1(0) ack 1"); /* waits, and the queue is full */
    on(s, 0);
    recv(s, "S 100:100(0) <mss 1460>");
    expect(s, ". 2:2(0) ack 2");
    on(s, 1);
    app_accept(s);
    on(s, 0);
    recv(s, "F. 1:1(0) ack 2");
    expect(s, ". 2:2(0) ack 2");
    next_connection(s, REMOTE_ISS + 100);
    recv(s, "S 0:0(0) <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
}

static void a_syn_at_the_limit_of_half_open_connections_does_not_end_time_wait(void **state)
{
    struct script *s = *state;
    s->config.half_open_max = 1;
    remake(s);
    time_wait(s);
    on(s, 1);
    syn_received(s);
    on(s, 0);
    recv(s, "S 100:100(0) <mss 1460>");
    expect(s, ". 2:2(0) ack 2");
    recv(s, "F. 1:1(0) ack 2");
    expect(s, ". 2:2(0) ack 2");
    assert_int_equal(counter(s, "tcp_time_wait_reused"), 0);
}

static void a_syn_with_a_larger_sequence_number_reopens_rfc9293_3_6_1(void **state)
{
    struct script *s = *state;
    time_wait(s);
    uint32_t old = s->flow->local_iss;
    next_connection(s, REMOTE_ISS + 3); /* the FIN was 1, RCV.NXT is 2 */
    recv(s, "S 0:0(0) <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
    /* RFC 9293 3.6.1: larger than any number that the old connection used. */
    assert_true((int32_t)(s->flow->local_iss - (old + 2)) > 0);
    recv(s, ". 1:1(0) ack 1");
    app_accept(s);
    assert_int_equal(counter(s, "tcp_time_wait_reused"), 1);
}

static void a_syn_with_an_old_sequence_number_does_not_reopen_rfc6191_2(void **state)
{
    struct script *s = *state;
    time_wait(s);
    recv(s, "S 1:1(0) <mss 1460>");
    expect(s, ". 2:2(0) ack 2");
    assert_int_equal(counter(s, "tcp_time_wait_reused"), 0);
}

/* A connection with timestamps in TIME-WAIT; the remote's last timestamp is REMOTE_TS. */
static void time_wait_with_timestamps(struct script *s)
{
    established_with(s, .timestamps = true);
    app_close(s);
    expect(s, "F. 1:1(0) ack 1");
    recv(s, "F. 1:1(0) ack 2");
    expect(s, ". 2:2(0) ack 2");
}

static void a_syn_with_a_larger_timestamp_reopens_rfc6191_2(void **state)
{
    struct script *s = *state;
    time_wait_with_timestamps(s);
    after(s, 1000);
    next_connection(s, REMOTE_ISS - 100000); /* its sequence number is no obstacle */
    recv(s, "S 0:0(0) <mss 1460,TS val %u ecr 0>", REMOTE_TS + 1);
    expect(s, "S. 0:0(0) ack 1 <mss 1460,TS val * ecr %u>", REMOTE_TS + 1);
}

static void a_syn_with_a_smaller_timestamp_does_not_reopen_rfc6191_2(void **state)
{
    struct script *s = *state;
    time_wait_with_timestamps(s);
    recv(s, "S 100:100(0) <mss 1460,TS val %u ecr 0>", REMOTE_TS - 1);
    expect(s, ". 2:2(0) ack 2");
}

static void a_syn_with_the_same_timestamp_goes_by_its_sequence_number_rfc6191_2(void **state)
{
    struct script *s = *state;
    time_wait_with_timestamps(s);
    recv(s, "S 1:1(0) <mss 1460,TS val %u ecr 0>", REMOTE_TS);
    expect(s, ". 2:2(0) ack 2");
    next_connection(s, REMOTE_ISS + 3);
    recv(s, "S 0:0(0) <mss 1460,TS val %u ecr 0>", REMOTE_TS);
    expect(s, "S. 0:0(0) ack 1 <mss 1460,TS val * ecr %u>", REMOTE_TS);
}

static void a_syn_without_a_timestamp_goes_by_its_sequence_number_rfc6191_2(void **state)
{
    struct script *s = *state;
    time_wait_with_timestamps(s);
    recv(s, "S 1:1(0) <mss 1460>");
    expect(s, ". 2:2(0) ack 2");
    next_connection(s, REMOTE_ISS + 3);
    recv(s, "S 0:0(0) <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
}

static void a_syn_that_brings_timestamps_where_there_were_none_reopens_rfc6191_2(void **state)
{
    struct script *s = *state;
    time_wait(s);
    next_connection(s, REMOTE_ISS - 100000);
    recv(s, "S 0:0(0) <mss 1460,TS val 5 ecr 0>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460,TS val * ecr 5>");
}

static void timestamps_that_are_switched_off_do_not_reopen_rfc6191_2(void **state)
{
    struct script *s = *state;
    s->config.timestamps = false;
    remake(s);
    time_wait(s);
    recv(s, "S 1:1(0) <mss 1460,TS val 5 ecr 0>");
    expect(s, ". 2:2(0) ack 2");
    assert_int_equal(counter(s, "tcp_time_wait_reused"), 0);
}

static void a_port_in_time_wait_is_not_drawn_rfc6056_3_3_3(void **state)
{
    struct script *s = *state;
    s->config.port_first = s->config.port_last = 50000;
    remake(s);
    established_active(s);
    app_close(s);
    expect(s, "F. 1:1(0) ack 1");
    recv(s, "F. 1:1(0) ack 2");
    expect(s, ". 2:2(0) ack 2");
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(REMOTE_PORT)};
    peer.sin_addr.s_addr = htonl(REMOTE_ADDRESS);
    int fd = strait_socket(s->stack, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(strait_connect(s->stack, fd, (struct sockaddr *)&peer, sizeof peer), -1);
    assert_int_equal(errno, EADDRNOTAVAIL);
    strait_close(s->stack, fd);
    quiet(s, 60100);
    next_connection(s, REMOTE_ISS);
    established_active(s);
}

static void time_wait_does_not_hinder_the_listener(void **state)
{
    struct script *s = *state;
    time_wait(s);
    on(s, 1);
    established(s);
}

static void time_wait_is_limited(void **state)
{
    struct script *s = *state;
    s->config.time_wait_max = 2;
    remake(s);
    for (unsigned i = 0; i < 3; i++) {
        on(s, i);
        time_wait(s);
        app_close(s);
    }
    assert_int_equal(counter(s, "tcp_time_wait_limited"), 1);
    on(s, 0);
    recv(s, "F. 1:1(0) ack 2");
    expect(s, ". 2:2(0) ack 2");
    on(s, 2); /* the last one has found no room */
    recv(s, "F. 1:1(0) ack 2");
    expect(s, "R 2:2(0)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(active_close_passes_fin_wait_and_time_wait_rfc9293_3_6),
        TEST(a_fin_that_acknowledges_ours_leads_to_time_wait_rfc9293_3_6),
        TEST(simultaneous_close_passes_closing_rfc9293_3_6),
        TEST(a_fin_and_the_ack_of_ours_in_one_batch_are_acknowledged_rfc9293_3_6),
        TEST(data_is_sent_before_the_fin_rfc9293_3_10_4),
        TEST(data_still_arrives_after_shutdown_of_sending_rfc9293_3_6),
        TEST(a_fin_is_retransmitted_rfc6298_5),
        TEST(a_fin_goes_again_with_the_data_before_it),
        TEST(fin_wait_2_lasts_while_the_application_reads_rfc9293_3_6),
        TEST(passive_close_passes_close_wait_and_last_ack_rfc9293_3_6),
        TEST(data_is_sent_in_close_wait_rfc9293_3_6),
        TEST(a_fin_brings_the_last_data_rfc9293_3_10_7_4),
        TEST(data_after_a_fin_is_not_taken_rfc9293_3_10_7_4),
        TEST(a_fin_that_comes_again_is_acknowledged_again_rfc9293_3_10_7_4),
        TEST(the_fin_of_last_ack_is_retransmitted_rfc6298_5),
        TEST(close_with_unread_data_resets_rfc2525_2_17),
        TEST(close_with_linger_0_resets_rfc9293_3_10_5),
        TEST(once_both_have_closed_an_abort_says_nothing_rfc9293_3_10_5),
        TEST(an_abort_resets_while_the_own_fin_waits_rfc9293_3_10_5),
        TEST(data_for_an_orphan_is_reset_rfc9293_3_10_4),
        TEST(a_reset_ends_the_connection_in_every_state_rfc9293_3_10_7_4),
        TEST(a_reset_in_established_is_told_once_and_drops_what_waits_rfc9293_3_10_7_4),
        TEST(data_before_a_reset_may_still_be_read),
        TEST(only_a_reset_at_rcv_nxt_is_taken_rfc5961_3_2),
        TEST(a_syn_in_a_synchronized_state_is_challenged_rfc5961_4_2),
        TEST(challenge_acks_are_limited_for_each_connection_rfc5961_7),
        TEST(an_ack_far_too_old_is_challenged_rfc5961_5_2),
        TEST(time_wait_acknowledges_a_fin_again_and_starts_anew_rfc9293_3_10_7_4),
        TEST(a_reset_does_not_end_time_wait_rfc1337_2),
        TEST(old_data_in_time_wait_is_acknowledged_rfc9293_3_10_7_4),
        TEST(acks_in_time_wait_are_not_answered),
        TEST(answers_in_time_wait_have_a_pace_rfc5961_7),
        TEST(a_syn_that_nobody_listens_for_does_not_end_time_wait_rfc9293_3_6_1),
        TEST(a_syn_that_finds_the_accept_queue_full_does_not_end_time_wait),
        TEST(a_syn_at_the_limit_of_half_open_connections_does_not_end_time_wait),
        TEST(a_syn_with_a_larger_sequence_number_reopens_rfc9293_3_6_1),
        TEST(a_syn_with_an_old_sequence_number_does_not_reopen_rfc6191_2),
        TEST(a_syn_with_a_larger_timestamp_reopens_rfc6191_2),
        TEST(a_syn_with_a_smaller_timestamp_does_not_reopen_rfc6191_2),
        TEST(a_syn_with_the_same_timestamp_goes_by_its_sequence_number_rfc6191_2),
        TEST(a_syn_without_a_timestamp_goes_by_its_sequence_number_rfc6191_2),
        TEST(a_syn_that_brings_timestamps_where_there_were_none_reopens_rfc6191_2),
        TEST(timestamps_that_are_switched_off_do_not_reopen_rfc6191_2),
        TEST(a_port_in_time_wait_is_not_drawn_rfc6056_3_3_3),
        TEST(time_wait_does_not_hinder_the_listener),
        TEST(time_wait_is_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
