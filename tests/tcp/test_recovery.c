/* SPDX-License-Identifier: MIT */
/*
 * What Strait makes of the peer's selective acknowledgements: recovery (RFC 6675), what a timeout
 * leaves of them (RFC 2018 8), and limited transmit (RFC 3042). At the end stand those who lie.
 */
#include "flight.h"

/* The remote acknowledges `ack` and reports the segments first to last - 1. */
static void recv_sacked(struct script *s, unsigned ack, unsigned first, unsigned last)
{
    recv(s, ". 1:1(0) ack %u <sack %u:%u>", ack, SEG(first), SEG(last));
}

/* ---- What the peer reports: RFC 2018 5, RFC 6675 -------------------------------------------- */

static void an_acknowledgement_without_news_is_no_duplicate_rfc6675_2(void **state)
{
    struct script *s = *state;
    established_sack(s);
    send_ten(s);
    for (unsigned i = 0; i < 10; i++)
        recv(s, ". 1:1(0) ack 1");
    for (unsigned i = 0; i < 10; i++)
        recv_sacked(s, 1, 1, 2);
    expect_nothing(s);
    assert_int_equal(counter(s, "tcp_duplicate_acks_in"), 1);
}

static void three_acknowledgements_with_news_start_recovery_rfc6675_5(void **state)
{
    struct script *s = *state;
    established_sack(s);
    send_ten(s);
    recv(s, ". 1:1(0) ack 1 <sack 1461:1561>"); /* together less than two segments */
    recv(s, ". 1:1(0) ack 1 <sack 1461:1661>");
    expect_nothing(s);
    recv(s, ". 1:1(0) ack 1 <sack 1461:1761>");
    expect(s, ". 1:1461(1460) ack 1");
    assert_int_equal(counter(s, "tcp_fast_retransmits"), 1);
}

static void more_than_two_segments_reported_at_once_start_recovery_rfc6675_4(void **state)
{
    struct script *s = *state;
    established_sack(s);
    send_ten(s);
    recv_sacked(s, 1, 1, 3);
    expect_nothing(s);
    recv(s, ". 1:1(0) ack 1 <sack %u:%u>", SEG(1), SEG(3) + 1);
    expect(s, ". 1:1461(1460) ack 1");
}

static void three_blocks_start_recovery_rfc6675_4(void **state)
{
    struct script *s = *state;
    established_sack(s);
    send_ten(s);
    recv(s, ". 1:1(0) ack 1 <sack 1461:1471 1481:1491>");
    expect_nothing(s);
    recv(s, ". 1:1(0) ack 1 <sack 1501:1511 1461:1471 1481:1491>");
    expect(s, ". 1:1461(1460) ack 1");
}

static void news_count_beside_data_and_windows_rfc6675_2(void **state)
{
    struct script *s = *state;
    established_sack(s);
    send_ten(s);
    recv(s, ". 1:101(100) ack 1 win 60000 <sack 1461:1471>");
    recv(s, ". 101:201(100) ack 1 win 50000 <sack 1461:1481>");
    expect(s, ". %u:%u(0) ack 201", SEG(10), SEG(10));
    recv(s, ". 201:301(100) ack 1 win 40000 <sack 1461:1491>");
    expect(s, ". 1:1461(1460) ack 301");
}

static void all_that_is_lost_is_sent_again_at_once_rfc6675_5_c(void **state)
{
    struct script *s = *state;
    established_sack(s);
    send_ten(s);
    /* 0, 2 and 4 are missing; cwnd becomes 5, and the pipe 1 after the first. */
    recv(s, ". 1:1(0) ack 1 <sack %u:%u %u:%u %u:%u>", SEG(5), SEG(10), SEG(3), SEG(4), SEG(1),
         SEG(2));
    expect(s, ". %u:%u(1460) ack 1", SEG(0), SEG(1));
    expect(s, ". %u:%u(1460) ack 1", SEG(2), SEG(3));
    expect(s, ". %u:%u(1460) ack 1", SEG(4), SEG(5));
    /* What was sent again is not sent a third time for a partial acknowledgement. */
    recv(s, ". 1:1(0) ack %u <sack %u:%u %u:%u>", SEG(2), SEG(5), SEG(10), SEG(3), SEG(4));
    expect_nothing(s);
    recv(s, ". 1:1(0) ack %u", SEG(10));
    quiet(s, 1000);
    assert_int_equal(counter(s, "tcp_retransmitted_segments"), 3);
    assert_int_equal(counter(s, "tcp_retransmission_timeouts"), 0);
}

static void recovery_keeps_the_pipe_within_half_the_window_rfc6675_5(void **state)
{
    struct script *s = *state;
    established_sack(s);
    send_ten(s);
    app_send(s, 10 * MSS);
    recv_sacked(s, 1, 1, 2); /* limited transmit */
    expect(s, ". %u:%u(1460) ack 1", SEG(10), SEG(11));
    recv_sacked(s, 1, 1, 3);
    expect(s, ". %u:%u(1460) ack 1", SEG(11), SEG(12));
    /* ssthresh is half of ten, not of twelve. Of twelve, 3 are SACKed and 1 goes again: 9. */
    recv_sacked(s, 1, 1, 4);
    expect(s, ". %u:%u(1460) ack 1", SEG(0), SEG(1));
    expect_nothing(s);
    recv_sacked(s, 1, 1, 7); /* 6 */
    expect_nothing(s);
    recv_sacked(s, 1, 1, 8); /* 5: full */
    expect_nothing(s);
    recv_sacked(s, 1, 1, 9);
    expect(s, ". %u:%u(1460) ack 1", SEG(12), SEG(13));
}

static void a_partial_acknowledgement_sends_the_next_hole_rfc6582_3_2(void **state)
{
    struct script *s = *state;
    established_sack(s);
    send_ten(s);
    recv_sacked(s, 1, 1, 4);
    expect(s, ". %u:%u(1460) ack 1", SEG(0), SEG(1));
    recv(s, ". 1:1(0) ack %u", SEG(4)); /* nothing is known of what follows */
    expect(s, ". %u:%u(1460) ack 1", SEG(4), SEG(5));
    recv(s, ". 1:1(0) ack %u", SEG(10));
    quiet(s, 1000);
}

static void each_partial_acknowledgement_restarts_the_timer_rfc6675_6(void **state)
{
    struct script *s = *state;
    established_sack(s);
    send_ten(s);
    recv(s, ". 1:1(0) ack 1 <sack %u:%u %u:%u %u:%u>", SEG(7), SEG(10), SEG(3), SEG(6), SEG(1),
         SEG(2));
    expect(s, ". %u:%u(1460) ack 1", SEG(0), SEG(1));
    expect(s, ". %u:%u(1460) ack 1", SEG(2), SEG(3));
    expect(s, ". %u:%u(1460) ack 1", SEG(6), SEG(7));
    after(s, 150); /* the RTO is 200 ms */
    recv(s, ". 1:1(0) ack %u <sack %u:%u %u:%u>", SEG(2), SEG(7), SEG(10), SEG(3), SEG(6));
    after(s, 150);
    recv(s, ". 1:1(0) ack %u <sack %u:%u>", SEG(6), SEG(7), SEG(10));
    after(s, 150);
    recv(s, ". 1:1(0) ack %u", SEG(10));
    quiet(s, 1000);
    assert_int_equal(counter(s, "tcp_retransmission_timeouts"), 0);
}

static void a_hole_is_sent_without_what_is_behind_it_rfc6675_4(void **state)
{
    struct script *s = *state;
    established_sack(s);
    send_ten(s);
    recv(s, ". 1:1(0) ack 1 <sack 101:%u>", SEG(10));
    expect(s, ". 1:101(100) ack 1");
}

static void a_loss_right_behind_a_recovery_is_repaired_rfc6675_5(void **state)
{
    struct script *s = *state;
    established_sack(s);
    send_ten(s);
    recv_sacked(s, 1, 1, 10);
    expect(s, ". %u:%u(1460) ack 1", SEG(0), SEG(1));
    app_send(s, 5 * MSS); /* the pipe has one, and cwnd is five */
    expect_segments(s, 10, 14);
    recv_sacked(s, SEG(10), 11, 14); /* all of the last window, and the next one is lost */
    expect(s, ". %u:%u(1460) ack 1", SEG(10), SEG(11));
    expect(s, "P. %u:%u(1460) ack 1", SEG(14), SEG(15));
    assert_int_equal(counter(s, "tcp_fast_retransmits"), 2);
}

static void a_window_that_closes_does_not_hinder_a_recovery_rfc9293_3_8_6(void **state)
{
    struct script *s = *state;
    established_sack(s);
    send_ten(s);
    app_send(s, MSS);
    recv(s, ". 1:1(0) ack 1 win 0 <sack %u:%u>", SEG(1), SEG(10));
    expect(s, ". %u:%u(1460) ack 1", SEG(0), SEG(1)); /* old data: MAY-7; and nothing new */
    recv(s, ". 1:1(0) ack %u win 0", SEG(10));
    expect_between(s, 200, 201, ". %u:%u(1) ack 1", SEG(10), SEG(10) + 1);
    recv(s, ". 1:1(0) ack %u", SEG(10));
    expect(s, "P. %u:%u(1460) ack 1", SEG(10), SEG(11));
}

static void a_lost_fin_is_sent_again_in_a_recovery_rfc6582_3_2(void **state)
{
    struct script *s = *state;
    established_sack(s);
    send_ten(s);
    app_shutdown(s, SHUT_WR);
    expect(s, "F. %u:%u(0) ack 1", SEG(10), SEG(10));
    recv_sacked(s, 1, 1, 10);
    expect(s, ". %u:%u(1460) ack 1", SEG(0), SEG(1));
    recv(s, ". 1:1(0) ack %u", SEG(10));
    expect(s, "F. %u:%u(0) ack 1", SEG(10), SEG(10));
    recv(s, ". 1:1(0) ack %u", SEG(10) + 1);
    quiet(s, 1000);
}

static void a_reported_fin_is_not_sent_again_in_a_recovery_rfc6675_4(void **state)
{
    struct script *s = *state;
    established_sack(s);
    send_ten(s);
    app_shutdown(s, SHUT_WR);
    expect(s, "F. %u:%u(0) ack 1", SEG(10), SEG(10));
    recv(s, ". 1:1(0) ack 1 <sack %u:%u %u:%u>", SEG(9), SEG(10) + 1, SEG(1), SEG(8));
    expect(s, ". %u:%u(1460) ack 1", SEG(0), SEG(1));
    recv(s, ". 1:1(0) ack %u <sack %u:%u>", SEG(8), SEG(9), SEG(10) + 1);
    expect(s, ". %u:%u(1460) ack 1", SEG(8), SEG(9));
    recv(s, ". 1:1(0) ack %u", SEG(10) + 1);
    quiet(s, 1000);
}

static void a_timeout_forgets_what_was_reported_rfc2018_5(void **state)
{
    struct script *s = *state;
    established_sack(s);
    send_ten(s);
    recv_sacked(s, 1, 1, 3);
    expect_between(s, 200, 201, ". 1:1461(1460) ack 1");
    recv(s, ". 1:1(0) ack %u", SEG(1)); /* the peer has dropped what it had reported */
    expect_segments(s, 1, 3);
    recv(s, ". 1:1(0) ack %u", SEG(3));
    expect_segments(s, 3, 6);
    recv(s, ". 1:1(0) ack %u", SEG(6));
    expect(s, ". %u:%u(1460) ack 1", SEG(6), SEG(7));
    expect(s, ". %u:%u(1460) ack 1", SEG(7), SEG(8));
    expect(s, ". %u:%u(1460) ack 1", SEG(8), SEG(9));
    expect(s, "P. %u:%u(1460) ack 1", SEG(9), SEG(10));
    recv(s, ". 1:1(0) ack %u", SEG(10));
    quiet(s, 1000);
}

static void what_is_reported_after_a_timeout_is_passed_over_rfc2018_5(void **state)
{
    struct script *s = *state;
    established_sack(s);
    send_ten(s);
    app_send(s, 10 * MSS);
    expect_between(s, 200, 201, ". 1:1461(1460) ack 1");
    recv(s, ". 1:1(0) ack 1 <sack %u:%u %u:%u>", SEG(5), SEG(10), SEG(2), SEG(3));
    expect_nothing(s); /* 1, 3 and 4 are missing, and one may be on the path */
    recv(s, ". 1:1(0) ack %u <sack %u:%u %u:%u>", SEG(1), SEG(5), SEG(10), SEG(2), SEG(3));
    expect(s, ". %u:%u(1460) ack 1", SEG(1), SEG(2)); /* cwnd is two */
    expect(s, ". %u:%u(1460) ack 1", SEG(3), SEG(4));
    expect_nothing(s);
    recv(s, ". 1:1(0) ack %u <sack %u:%u>", SEG(3), SEG(5), SEG(10)); /* three */
    expect(s, ". %u:%u(1460) ack 1", SEG(4), SEG(5));
    expect(s, ". %u:%u(1460) ack 1", SEG(10), SEG(11));
    expect_nothing(s);
    recv(s, ". 1:1(0) ack %u", SEG(11));
    expect_segments(s, 11, 15);
}

static void a_short_hole_is_filled_alone_after_a_timeout_rfc2018_5(void **state)
{
    struct script *s = *state;
    established_sack(s);
    send_ten(s);
    expect_between(s, 200, 201, ". 1:1461(1460) ack 1");
    recv(s, ". 1:1(0) ack %u <sack %u:%u>", SEG(1), SEG(1) + 100, SEG(9));
    expect(s, ". %u:%u(100) ack 1", SEG(1), SEG(1) + 100);
    expect(s, "P. %u:%u(1460) ack 1", SEG(9), SEG(10));
    recv(s, ". 1:1(0) ack %u", SEG(10));
    quiet(s, 1000);
}

static void a_peer_that_takes_back_what_it_reported_after_a_timeout_gets_it_rfc2018_8(void **state)
{
    struct script *s = *state;
    established_sack(s);
    send_ten(s);
    expect_between(s, 200, 201, ". 1:1461(1460) ack 1");
    recv(s, ". 1:1(0) ack %u <sack %u:%u>", SEG(1), SEG(2), SEG(10));
    expect(s, ". %u:%u(1460) ack 1", SEG(1), SEG(2));
    recv(s, ". 1:1(0) ack %u", SEG(2)); /* all the rest is gone */
    assert_int_equal(counter(s, "tcp_sack_reneged"), 1);
    expect_between(s, 400, 401, ". %u:%u(1460) ack 1", SEG(2), SEG(3));
    recv(s, ". 1:1(0) ack %u", SEG(3));
    expect_segments(s, 3, 5);
    recv(s, ". 1:1(0) ack %u", SEG(10));
    quiet(s, 1000);
}

static void a_fin_is_repeated_after_a_timeout_unless_it_is_reported_rfc2018_5(void **state)
{
    struct script *s = *state;
    established_sack(s);
    send_ten(s);
    app_shutdown(s, SHUT_WR);
    expect(s, "F. %u:%u(0) ack 1", SEG(10), SEG(10));
    expect_between(s, 200, 201, ". 1:1461(1460) ack 1");
    recv(s, ". 1:1(0) ack %u <sack %u:%u>", SEG(1), SEG(2), SEG(10) + 1);
    expect(s, ". %u:%u(1460) ack 1", SEG(1), SEG(2));
    expect_between(s, 400, 401, ". %u:%u(1460) ack 1", SEG(1), SEG(2)); /* lost */
    recv(s, ". 1:1(0) ack %u <sack %u:%u>", SEG(2), SEG(3), SEG(10));
    expect(s, ". %u:%u(1460) ack 1", SEG(2), SEG(3));
    expect(s, "F. %u:%u(0) ack 1", SEG(10), SEG(10));
    recv(s, ". 1:1(0) ack %u", SEG(10) + 1);
    quiet(s, 1000);
}

static void what_is_reported_stays_until_it_is_acknowledged_rfc2018_8(void **state)
{
    struct script *s = *state;
    established_sack(s);
    send_ten(s);
    recv_sacked(s, 1, 1, 10);
    expect(s, ". 1:1461(1460) ack 1");
    app_send(s, MSS);
    expect(s, "P. %u:%u(1460) ack 1", SEG(10), SEG(11));
    recv(s, ". 1:1(0) ack %u", SEG(1)); /* it has dropped all the rest */
    expect(s, ". %u:%u(1460) ack 1", SEG(1), SEG(2));
    assert_int_equal(counter(s, "tcp_sack_reneged"), 1);
    expect_between(s, 200, 201, ". %u:%u(1460) ack 1", SEG(1), SEG(2));
    recv(s, ". 1:1(0) ack %u", SEG(2));
    expect_segments(s, 2, 4);
    recv(s, ". 1:1(0) ack %u", SEG(11));
    quiet(s, 1000);
}

static void a_duplicate_report_is_no_news_rfc2883_4(void **state)
{
    struct script *s = *state;
    established_sack(s);
    send_ten(s);
    recv(s, ". 1:1(0) ack %u", SEG(2));
    recv(s, ". 1:1(0) ack %u <sack 1:1461>", SEG(2)); /* below the acknowledgement */
    recv(s, ". 1:1(0) ack %u <sack 1461:2921>", SEG(2));
    recv(s, ". 1:1(0) ack %u <sack 1:2921>", SEG(2));
    expect_nothing(s);
    assert_int_equal(counter(s, "tcp_dsacks_in"), 3);
    recv_sacked(s, SEG(2), 4, 5);
    for (unsigned i = 0; i < 3; i++) /* within the second block */
        recv(s, ". 1:1(0) ack %u <sack %u:%u %u:%u>", SEG(2), SEG(4), SEG(5), SEG(4), SEG(5));
    expect_nothing(s);
    assert_int_equal(counter(s, "tcp_dsacks_in"), 6);
    assert_int_equal(counter(s, "tcp_sack_wrong"), 0);
    assert_int_equal(counter(s, "tcp_duplicate_acks_in"), 1);
}

static void what_an_old_acknowledgement_reports_is_no_error_rfc2018_5(void **state)
{
    struct script *s = *state;
    established_sack(s);
    send_ten(s);
    recv(s, ". 1:1(0) ack %u", SEG(5));
    recv_sacked(s, SEG(1), 2, 5); /* late */
    recv_sacked(s, SEG(1), 2, 6); /* later it had not even the first of the rest any more */
    assert_int_equal(counter(s, "tcp_duplicate_acks_in"), 0);
    recv_sacked(s, SEG(1), 6, 7); /* while of this nothing is known */
    assert_int_equal(counter(s, "tcp_duplicate_acks_in"), 1);
    expect_nothing(s);
    assert_int_equal(counter(s, "tcp_sack_wrong"), 0);
}

/* A connection whose tenth segment from now ends 7300 bytes behind the wrap of Strait's numbers. */
static void established_before_the_wrap(struct script *s)
{
    established_sack(s);
    uint32_t ticks = UINT32_MAX - 7300 - s->flow->local_iss; /* of 4 us: RFC 9293 3.4.1 */
    remake(s);
    after(s, ticks * UINT64_C(4) / 1000);
    established_sack(s);
    assert_true(s->flow->local_iss > s->flow->local_iss + SEG(6));
    assert_true(s->flow->local_iss < s->flow->local_iss + SEG(4));
}

static void losses_across_the_wrap_are_repaired_rfc9293_3_4(void **state)
{
    struct script *s = *state;
    established_before_the_wrap(s);
    send_ten(s);
    recv(s, ". 1:1(0) ack 1 <sack %u:%u %u:%u %u:%u>", SEG(6), SEG(10), SEG(1), SEG(4), SEG(5),
         SEG(5) + 10);
    expect(s, ". %u:%u(1460) ack 1", SEG(0), SEG(1));
    expect(s, ". %u:%u(1460) ack 1", SEG(4), SEG(5));
    expect(s, ". %u:%u(1450) ack 1", SEG(5) + 10, SEG(6));
    recv(s, ". 1:1(0) ack %u <sack %u:%u>", SEG(5) + 10, SEG(6), SEG(10));
    recv(s, ". 1:1(0) ack %u", SEG(10));
    assert_int_equal(counter(s, "tcp_sack_wrong"), 0);
    quiet(s, 1000);
}

static void a_timeout_across_the_wrap_is_repaired_rfc9293_3_4(void **state)
{
    struct script *s = *state;
    established_before_the_wrap(s);
    send_ten(s);
    expect_between(s, 200, 201, ". 1:1461(1460) ack 1");
    recv(s, ". 1:1(0) ack %u <sack %u:%u>", SEG(4), SEG(6), SEG(9));
    expect_segments(s, 4, 6);
    recv(s, ". 1:1(0) ack %u", SEG(9));
    expect(s, "P. %u:%u(1460) ack 1", SEG(9), SEG(10));
    recv(s, ". 1:1(0) ack %u", SEG(10));
    quiet(s, 1000);
}

/* ---- Limited transmit: RFC 3042 ------------------------------------------------------------- */

static void two_duplicates_let_a_new_segment_go_each_rfc3042_2(void **state)
{
    struct script *s = *state;
    established(s);
    send_ten(s);
    app_send(s, 10 * MSS);
    expect_nothing(s);
    recv(s, ". 1:1(0) ack 1");
    expect_segments(s, 10, 11);
    recv(s, ". 1:1(0) ack 1");
    expect_segments(s, 11, 12);
    recv(s, ". 1:1(0) ack 1"); /* cwnd: half of ten, and three */
    expect_segments(s, 0, 1);
    for (unsigned i = 9; i <= 12; i++)
        recv(s, ". 1:1(0) ack 1");
    expect_nothing(s);
    recv(s, ". 1:1(0) ack 1"); /* 13 */
    expect_segments(s, 12, 13);
}

static void limited_transmit_leaves_the_window_as_it_was_rfc3042_2(void **state)
{
    struct script *s = *state;
    established(s);
    send_ten(s);
    app_send(s, 10 * MSS);
    recv(s, ". 1:1(0) ack 1");
    expect_segments(s, 10, 11);
    recv(s, ". 1:1(0) ack 1");
    expect_segments(s, 11, 12);
    recv(s, ". 1:1(0) ack %u", SEG(1)); /* cwnd: 11, and as many in flight */
    expect_nothing(s);
    recv(s, ". 1:1(0) ack %u", SEG(2));
    expect_segments(s, 12, 14);
}

static void limited_transmit_obeys_the_peers_window_rfc3042_2(void **state)
{
    struct script *s = *state;
    established_with(s, .window = 10 * MSS);
    send_ten(s);
    app_send(s, 10 * MSS);
    recv(s, ". 1:1(0) ack 1");
    recv(s, ". 1:1(0) ack 1");
    expect_nothing(s);
}

static void with_sack_limited_transmit_needs_news_rfc3042_2(void **state)
{
    struct script *s = *state;
    established_sack(s);
    send_ten(s);
    app_send(s, 10 * MSS);
    recv(s, ". 1:1(0) ack 1");
    expect_nothing(s);
    recv(s, ". 1:1(0) ack 1 <sack 1461:1561>");
    expect_segments(s, 10, 11);
    recv(s, ". 1:1(0) ack 1 <sack 1461:1561>");
    expect_nothing(s);
}

static void after_a_timeout_there_is_no_limited_transmit_rfc3042_2(void **state)
{
    struct script *s = *state;
    established(s);
    send_ten(s);
    app_send(s, 10 * MSS);
    expect_between(s, 200, 201, ". 1:1461(1460) ack 1");
    for (unsigned i = 0; i < 3; i++) /* of what was sent before it */
        recv(s, ". 1:1(0) ack 1");
    expect_nothing(s);
}

/* ---- Hostile letters ------------------------------------------------------------------------ */

static void blocks_that_cannot_be_are_counted_and_ignored_rfc2018_5(void **state)
{
    static const char *const blocks[] = {
        "2921:1461",                           /* reversed */
        "1461:1461",                           /* empty */
        "1:1461",                              /* what the acknowledgement lacks */
        "0:1461",                              /* below SND.UNA, and above */
        "13141:14602",                         /* above SND.NXT */
        "14601:16061",                         /* what was never sent */
        "1461:2147485000", "14602:2147498249", /* half the number space above SND.NXT */
    };
    struct script *s = *state;
    established_sack(s);
    send_ten(s);
    for (unsigned i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        for (unsigned j = 0; j < 3; j++)
            recv(s, ". 1:1(0) ack 1 <sack %s>", blocks[i]);
        assert_int_equal(counter(s, "tcp_sack_wrong"), 3 * (i + 1));
    }
    expect_nothing(s);
    assert_int_equal(counter(s, "tcp_duplicate_acks_in"), 0);
    recv(s, ". 1:1(0) ack 1 <sack 2921:1461 %u:%u>", SEG(5), SEG(10)); /* what is right counts */
    expect_segments(s, 0, 5);
}

static void a_duplicate_of_what_was_never_sent_is_wrong_rfc2883_4(void **state)
{
    struct script *s = *state;
    established_sack(s);
    send_ten(s);
    recv(s, ". 1:1(0) ack %u <sack 0:1461>", SEG(1)); /* the SYN is no text */
    assert_int_equal(counter(s, "tcp_dsacks_in"), 0);
    assert_int_equal(counter(s, "tcp_sack_wrong"), 1);
}

static void a_flood_of_duplicate_reports_moves_nothing_rfc2883_4(void **state)
{
    struct script *s = *state;
    established_sack(s);
    send_ten(s);
    app_send(s, 10 * MSS);
    recv(s, ". 1:1(0) ack %u", SEG(1));
    expect_segments(s, 10, 12);
    for (unsigned i = 0; i < 10000; i++)
        recv(s, ". 1:1(0) ack %u <sack 1:%u>", SEG(1), 2 + i % MSS);
    expect_nothing(s);
    assert_int_equal(counter(s, "tcp_dsacks_in"), 10000);
    assert_int_equal(counter(s, "tcp_duplicate_acks_in"), 0);
}

static void reports_that_split_everything_are_bounded_rfc2018_5(void **state)
{
    enum { KEPT = 256 };
    struct script *s = *state;
    established_sack(s);
    send_ten(s);
    for (unsigned i = 0; i < 4 * KEPT; i++) {
        recv(s, ". 1:1(0) ack 1 <sack %u:%u>", 100 + 2 * i, 101 + 2 * i);
        if (i == 2) /* that is a loss; the rest of the pipe is as full as it was */
            expect(s, ". 1:100(99) ack 1");
    }
    assert_int_equal(counter(s, "tcp_sack_limited"), 3 * KEPT);
    expect_between(s, 200, 201, ". 1:1461(1460) ack 1"); /* whole segments again */
    recv(s, ". 1:1(0) ack %u", SEG(10));
    quiet(s, 1000);
}

static void holes_of_one_byte_are_sent_again_once_each_rfc6675_5(void **state)
{
    enum { PART = 57, PARTS = 14600 / PART };
    struct script *s = *state;
    established_sack(s);
    send_ten(s);
    int (*const examined)(struct strait_link *, const struct iovec *, int,
                          const struct strait_offload *) = s->link.send;
    s->link.send = swallow;
    for (unsigned round = 0; round < 10; round++)
        for (unsigned i = 0; i < PARTS; i++)
            recv(s, ". 1:1(0) ack 1 <sack %u:%u>", 2 + i * PART, 1 + (i + 1) * PART);
    /* Above the last two holes too little is reported (IsLost). */
    assert_int_equal(counter(s, "tcp_retransmitted_segments"), PARTS - 2);
    s->link.send = examined;
    expect_between(s, 200, 201, ". 1:1461(1460) ack 1");
    recv(s, ". 1:1(0) ack %u", SEG(10));
    quiet(s, 1000);
}

static void optimistic_acknowledgements_open_no_window_rfc5961_5_2(void **state)
{
    struct script *s = *state;
    established_sack(s);
    send_ten(s);
    app_send(s, 10 * MSS);
    recv(s, ". 1:1(0) ack %u", SEG(10) + 1);
    expect(s, ". %u:%u(0) ack 1", SEG(10), SEG(10)); /* a challenge */
    recv(s, ". 1:1(0) ack %u <sack %u:%u>", SEG(12), SEG(13), SEG(14));
    expect_nothing(s);
    assert_int_equal(counter(s, "tcp_ack_unacceptable"), 2);
    assert_int_equal(counter(s, "tcp_duplicate_acks_in"), 0);
    recv(s, ". 1:1(0) ack %u", SEG(1)); /* the window has not grown by them: it is 11 */
    expect_segments(s, 10, 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_acknowledgement_without_news_is_no_duplicate_rfc6675_2),
        TEST(three_acknowledgements_with_news_start_recovery_rfc6675_5),
        TEST(more_than_two_segments_reported_at_once_start_recovery_rfc6675_4),
        TEST(three_blocks_start_recovery_rfc6675_4),
        TEST(news_count_beside_data_and_windows_rfc6675_2),
        TEST(all_that_is_lost_is_sent_again_at_once_rfc6675_5_c),
        TEST(recovery_keeps_the_pipe_within_half_the_window_rfc6675_5),
        TEST(a_partial_acknowledgement_sends_the_next_hole_rfc6582_3_2),
        TEST(each_partial_acknowledgement_restarts_the_timer_rfc6675_6),
        TEST(a_hole_is_sent_without_what_is_behind_it_rfc6675_4),
        TEST(a_loss_right_behind_a_recovery_is_repaired_rfc6675_5),
        TEST(a_window_that_closes_does_not_hinder_a_recovery_rfc9293_3_8_6),
        TEST(a_lost_fin_is_sent_again_in_a_recovery_rfc6582_3_2),
        TEST(a_reported_fin_is_not_sent_again_in_a_recovery_rfc6675_4),
        TEST(a_timeout_forgets_what_was_reported_rfc2018_5),
        TEST(what_is_reported_after_a_timeout_is_passed_over_rfc2018_5),
        TEST(a_short_hole_is_filled_alone_after_a_timeout_rfc2018_5),
        TEST(a_peer_that_takes_back_what_it_reported_after_a_timeout_gets_it_rfc2018_8),
        TEST(a_fin_is_repeated_after_a_timeout_unless_it_is_reported_rfc2018_5),
        TEST(what_is_reported_stays_until_it_is_acknowledged_rfc2018_8),
        TEST(a_duplicate_report_is_no_news_rfc2883_4),
        TEST(what_an_old_acknowledgement_reports_is_no_error_rfc2018_5),
        TEST(losses_across_the_wrap_are_repaired_rfc9293_3_4),
        TEST(a_timeout_across_the_wrap_is_repaired_rfc9293_3_4),
        TEST(two_duplicates_let_a_new_segment_go_each_rfc3042_2),
        TEST(limited_transmit_leaves_the_window_as_it_was_rfc3042_2),
        TEST(limited_transmit_obeys_the_peers_window_rfc3042_2),
        TEST(with_sack_limited_transmit_needs_news_rfc3042_2),
        TEST(after_a_timeout_there_is_no_limited_transmit_rfc3042_2),
        TEST(blocks_that_cannot_be_are_counted_and_ignored_rfc2018_5),
        TEST(a_duplicate_of_what_was_never_sent_is_wrong_rfc2883_4),
        TEST(a_flood_of_duplicate_reports_moves_nothing_rfc2883_4),
        TEST(reports_that_split_everything_are_bounded_rfc2018_5),
        TEST(holes_of_one_byte_are_sent_again_once_each_rfc6675_5),
        TEST(optimistic_acknowledgements_open_no_window_rfc5961_5_2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
