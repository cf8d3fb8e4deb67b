/* SPDX-License-Identifier: MIT */
/*
 * Loss: the retransmission timer (RFC 6298), fast retransmit (RFC 5681 3.2) and NewReno (RFC 6582).
 *
 * The minimum RTO is 200 ms and stands, as in Linux, in the place of 4 * RTTVAR: with an RTT of 100
 * ms from the handshake, SRTT is 100 ms, RTTVAR 50 ms and the RTO 300 ms.
 */
#include <stdlib.h>

#include "flight.h"

/* Passive open with this round trip. */
static void established_rtt(struct script *s, unsigned rtt_ms)
{
    syn_received(s);
    after(s, rtt_ms);
    recv(s, ". 1:1(0) ack 1");
    app_accept(s);
}

/* ---- The retransmission timer: RFC 6298 ----------------------------------------------------- */

static void the_rto_follows_the_rtt_rfc6298_2(void **state)
{
    static const struct {
        unsigned rtt_ms, rto_ms;
    } cases[] = {
        {0, 200},    /* the minimum */
        {100, 300},  /* 100 + the minimum, which 4 * 50 equals */
        {400, 1200}, /* 400 + 4 * 200 */
        {900, 2700}, /* 900 + 4 * 450 */
    };
    struct script *s = *state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        remake(s);
        established_rtt(s, cases[i].rtt_ms);
        send_and_expect(s, 100, MSS, 1);
        expect_between(s, cases[i].rto_ms, cases[i].rto_ms + 1, "P. 1:101(100) ack 1");
    }
}

static void later_samples_are_smoothed_rfc6298_2_3(void **state)
{
    struct script *s = *state;
    established_rtt(s, 400);
    send_and_expect(s, 100, MSS, 1);
    after(s, 800);
    recv(s, ". 1:1(0) ack 101");
    /* RTTVAR = 3/4 * 200 + 1/4 * |400 - 800| = 250; SRTT = 7/8 * 400 + 1/8 * 800 = 450. */
    send_and_expect(s, 100, MSS, 1);
    expect_between(s, 1450, 1451, "P. 101:201(100) ack 1");
}

static void the_rto_doubles_and_the_connection_ends_rfc6298_5_5(void **state)
{
    struct script *s = *state;
    established_rtt(s, 100);
    send_and_expect(s, 100, MSS, 1);
    unsigned wait = 300;
    for (unsigned i = 0; i < 15; i++) {
        expect_between(s, wait, wait + 1, "P. 1:101(100) ack 1");
        wait = wait * 2 < 120000 ? wait * 2 : 120000;
    }
    quiet(s, wait + 1);
    app_recv_fails(s, ETIMEDOUT);
    assert_int_equal(counter(s, "tcp_connections_timed_out"), 1);
    recv(s, ". 1:1(0) ack 101");
    expect(s, "R 101:101(0)");
}

static void an_ack_of_new_data_restarts_the_timer_rfc6298_5_3(void **state)
{
    struct script *s = *state;
    established_rtt(s, 100);
    send_and_expect(s, 3 * MSS, MSS, 1);
    after(s, 100);
    recv(s, ". 1:1(0) ack %u", SEG(1));
    /* RTTVAR falls to 37.5 ms and the minimum of 200 ms stands: 100 + 200 from now. */
    expect_between(s, 300, 301, ". 1461:2921(1460) ack 1");
}

static void an_ack_of_everything_stops_the_timer_rfc6298_5_2(void **state)
{
    struct script *s = *state;
    established_rtt(s, 100);
    send_and_expect(s, 3 * MSS, MSS, 1);
    after(s, 100);
    recv(s, ". 1:1(0) ack %u", SEG(3));
    quiet(s, 10000);
}

static void a_duplicate_ack_does_not_restart_the_timer_rfc6298_5_3(void **state)
{
    struct script *s = *state;
    established_rtt(s, 100);
    send_and_expect(s, 3 * MSS, MSS, 1);
    after(s, 150);
    recv(s, ". 1:1(0) ack 1");
    expect_between(s, 150, 151, ". 1:1461(1460) ack 1");
}

static void a_retransmitted_segment_is_not_timed_by_karn_rfc6298_3(void **state)
{
    struct script *s = *state;
    established_rtt(s, 100);
    send_and_expect(s, 100, MSS, 1);
    expect_between(s, 300, 301, "P. 1:101(100) ack 1");
    after(s, 10);
    recv(s, ". 1:1(0) ack 101");
    /* Neither 310 nor 10 ms is a sample: the RTO stays doubled until there is one (5.5). */
    send_and_expect(s, 100, MSS, 1);
    after(s, 100);
    recv(s, ". 1:1(0) ack 201");
    /* 100 ms is: RTTVAR 37.5, SRTT 100. */
    send_and_expect(s, 100, MSS, 1);
    expect_between(s, 300, 301, "P. 201:301(100) ack 1");
}

static void the_doubled_rto_stays_until_a_sample_rfc6298_5_5(void **state)
{
    struct script *s = *state;
    established_rtt(s, 100);
    send_and_expect(s, 100, MSS, 1);
    expect_between(s, 300, 301, "P. 1:101(100) ack 1");
    recv(s, ". 1:1(0) ack 101");
    send_and_expect(s, 100, MSS, 1);
    expect_between(s, 600, 601, "P. 101:201(100) ack 1");
}

static void a_timestamp_times_a_retransmission_rfc7323_4(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    after(s, 100);
    recv(s, "S. 0:0(0) ack 1 <mss 1460,TS val 5 ecr 0>");
    expect(s, ". 1:1(0) ack 1");
    send_and_expect(s, 100, MSS, 1);
    expect_between(s, 300, 302, "P. 1:101(100) ack 1 <TS val * ecr 5>");
    after(s, 100);
    recv(s, ". 1:1(0) ack 101 <TS val 6 ecr %u>", s->flow->local_ts_last - s->flow->local_ts);
    /* The echo is that of the retransmission: a sample of 100 ms, and the RTO is 300 ms again. */
    send_and_expect(s, 100, MSS, 1);
    expect_between(s, 295, 305, "P. 101:201(100) ack 1");
}

static void the_rto_is_3_s_if_the_syn_was_lost_rfc6298_5_7(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    expect_after(s, 1000, "S 0:0(0)");
    recv(s, "S. 0:0(0) ack 1 <mss 1460>");
    expect(s, ". 1:1(0) ack 1");
    send_and_expect(s, 100, MSS, 1);
    expect_between(s, 3000, 3001, "P. 1:101(100) ack 1");
}

static void the_rto_stays_at_its_maximum_rfc6298_2_5(void **state)
{
    struct script *s = *state;
    established_rtt(s, 100);
    unsigned wait = 300;
    for (unsigned i = 0; i < 300; i++) { /* each is lost once, so that there is never a sample */
        send_and_expect(s, 10, MSS, 1);
        expect_between(s, wait, wait + 1, "P. %u:%u(10) ack 1", 1 + 10 * i, 11 + 10 * i);
        recv(s, ". 1:1(0) ack %u", 11 + 10 * i);
        wait = wait * 2 < 120000 ? wait * 2 : 120000;
    }
}

static void after_a_timeout_one_segment_is_sent_rfc5681_3_1(void **state)
{
    struct script *s = *state;
    established_rtt(s, 100);
    send_ten(s);
    expect_between(s, 300, 301, ". 1:1461(1460) ack 1");
    expect_nothing(s); /* the window is one segment */
    recv(s, ". 1:1(0) ack %u", SEG(1));
    expect(s, ". 1461:2921(1460) ack 1"); /* slow start: two */
    expect(s, ". 2921:4381(1460) ack 1");
    expect_nothing(s);
    recv(s, ". 1:1(0) ack %u", SEG(3));
    for (unsigned i = 3; i < 6; i++) /* and by one for each ACK: RFC 3465 2.3 */
        expect(s, ". %u:%u(1460) ack 1", SEG(i), SEG(i + 1));
    expect_nothing(s);
    assert_int_equal(counter(s, "tcp_retransmission_timeouts"), 1);
    assert_int_equal(counter(s, "tcp_retransmitted_segments"), 6);
}

static void after_a_timeout_an_ack_of_everything_ends_the_repetition(void **state)
{
    struct script *s = *state;
    established_rtt(s, 100);
    send_ten(s);
    expect_between(s, 300, 301, ". 1:1461(1460) ack 1");
    recv(s, ". 1:1(0) ack %u", SEG(10)); /* only the first was missing */
    quiet(s, 1000);
    send_and_expect(s, 100, MSS, 1);
}

static void after_a_timeout_the_threshold_is_half_the_flight_rfc5681_3_1(void **state)
{
    struct script *s = *state;
    established_rtt(s, 100);
    app_send(s, 100 * MSS);
    expect_segments(s, 0, 10);
    expect_between(s, 300, 301, ". 1:1461(1460) ack 1");
    recv(s, ". 1:1(0) ack %u", SEG(10)); /* the window: 2 */
    expect_segments(s, 10, 12);
    recv(s, ". 1:1(0) ack %u", SEG(12)); /* 4 */
    expect_segments(s, 12, 16);
    /* Half of ten: slow start ends at 5, and from there it takes five segments for another one. */
    recv(s, ". 1:1(0) ack %u", SEG(13)); /* 5 */
    expect_segments(s, 16, 18);
    for (unsigned i = 14; i < 18; i++) {
        recv(s, ". 1:1(0) ack %u", SEG(i));
        expect_segments(s, i + 4, i + 5);
    }
    recv(s, ". 1:1(0) ack %u", SEG(18)); /* 6 */
    expect_segments(s, 22, 24);
    for (unsigned i = 19; i < 24; i++) {
        recv(s, ". 1:1(0) ack %u", SEG(i));
        expect_segments(s, i + 5, i + 6);
    }
    recv(s, ". 1:1(0) ack %u", SEG(24)); /* 7: one for each window, RFC 5681 3.1 */
    expect_segments(s, 29, 31);
}

/* ---- Fast retransmit: RFC 5681 3.2 ---------------------------------------------------------- */

static void fast_retransmit_after_three_dupacks_rfc5681_3_2(void **state)
{
    struct script *s = *state;
    established_rtt(s, 100);
    send_ten(s);
    after(s, 100);
    recv(s, ". 1:1(0) ack 1");
    recv(s, ". 1:1(0) ack 1");
    expect_nothing(s);
    recv(s, ". 1:1(0) ack 1");
    expect(s, ". 1:1461(1460) ack 1");
    recv(s, ". 1:1(0) ack 1"); /* a fourth one sends nothing again */
    expect_nothing(s);
    assert_int_equal(counter(s, "tcp_fast_retransmits"), 1);
    recv(s, ". 1:1(0) ack %u", SEG(10));
    quiet(s, 1000);
}

static void what_is_no_duplicate_ack_does_not_count_rfc5681_2(void **state)
{
    struct script *s = *state;
    established_rtt(s, 100);
    send_ten(s);
    recv(s, ". 1:1(0) ack 1");
    recv(s, ". 1:1(0) ack 1");
    recv(s, ". 1:1(0) ack 1 win 65000"); /* a new window */
    recv(s, ". 1:1(0) ack 1 win 64000");
    recv(s, ". 1:1(0) ack 1 win 65535");
    expect_nothing(s);
    recv(s, "P. 1:11(10) ack 1"); /* data */
    recv(s, "P. 11:21(10) ack 1");
    expect(s, ". %u:%u(0) ack 21", SEG(10), SEG(10));
}

static void without_data_in_flight_there_are_no_duplicate_acks_rfc5681_2(void **state)
{
    struct script *s = *state;
    established_rtt(s, 100);
    for (unsigned i = 0; i < 5; i++)
        recv(s, ". 1:1(0) ack 1");
    send_ten(s);
    assert_int_equal(counter(s, "tcp_duplicate_acks_in"), 0);
    recv(s, ". 1:1(0) ack 1");
    recv(s, ". 1:1(0) ack 1");
    expect_nothing(s);
}

static void an_ack_of_new_data_counts_duplicates_anew(void **state)
{
    struct script *s = *state;
    established_rtt(s, 100);
    send_ten(s);
    recv(s, ". 1:1(0) ack 1");
    recv(s, ". 1:1(0) ack 1");
    recv(s, ". 1:1(0) ack %u", SEG(1));
    recv(s, ". 1:1(0) ack %u", SEG(1));
    recv(s, ". 1:1(0) ack %u", SEG(1));
    expect_nothing(s);
    recv(s, ". 1:1(0) ack %u", SEG(1));
    expect(s, ". 1461:2921(1460) ack 1");
}

static void further_dupacks_let_new_data_go_rfc5681_3_2(void **state)
{
    struct script *s = *state;
    established_rtt(s, 100);
    send_ten(s);
    for (unsigned i = 0; i < 3; i++)
        recv(s, ". 1:1(0) ack 1");
    expect(s, ". 1:1461(1460) ack 1");
    app_send(s, 10 * MSS);
    expect_nothing(s); /* ssthresh 5 + 3: below the ten in flight */
    recv(s, ". 1:1(0) ack 1");
    recv(s, ". 1:1(0) ack 1");
    expect_nothing(s);
    recv(s, ". 1:1(0) ack 1"); /* 5 + 6 */
    expect(s, ". %u:%u(1460) ack 1", SEG(10), SEG(11));
    recv(s, ". 1:1(0) ack 1");
    expect(s, ". %u:%u(1460) ack 1", SEG(11), SEG(12));
}

static void fast_retransmit_stays_within_the_window_rfc9293_3_8_6(void **state)
{
    struct script *s = *state;
    established_with(s, .window = 1000);
    app_send(s, 3000);
    expect(s, ". 1:1001(1000) ack 1");
    for (unsigned i = 0; i < 3; i++)
        recv(s, ". 1:1(0) ack 1");
    expect(s, ". 1:1001(1000) ack 1");
}

static void fast_retransmit_sends_only_what_was_sent_rfc5681_3_2(void **state)
{
    struct script *s = *state;
    established(s);
    app_send(s, 10);
    expect(s, "P. 1:11(10) ack 1");
    app_send(s, 10); /* Nagle holds it */
    for (unsigned i = 0; i < 3; i++)
        recv(s, ". 1:1(0) ack 1");
    expect(s, ". 1:11(10) ack 1");
    recv(s, ". 1:1(0) ack 11");
    expect(s, "P. 11:21(10) ack 1");
}

static void fast_retransmit_sends_a_fin_only_if_it_was_sent_rfc5681_3_2(void **state)
{
    struct script *s = *state;
    established_with(s, .window = 1000);
    app_send(s, 1000);
    expect(s, "P. 1:1001(1000) ack 1");
    app_shutdown(s, SHUT_WR); /* no room for the FIN */
    expect_nothing(s);
    for (unsigned i = 0; i < 3; i++)
        recv(s, ". 1:1(0) ack 1");
    expect(s, "P. 1:1001(1000) ack 1");
    recv(s, ". 1:1(0) ack 1001");
    expect(s, "F. 1001:1001(0) ack 1");
}

static void fast_retransmit_takes_the_fin_along_rfc5681_3_2(void **state)
{
    struct script *s = *state;
    established(s);
    send_and_expect(s, 1000, MSS, 1);
    app_shutdown(s, SHUT_WR);
    expect(s, "F. 1001:1001(0) ack 1");
    for (unsigned i = 0; i < 3; i++)
        recv(s, ". 1:1(0) ack 1");
    expect(s, "FP. 1:1001(1000) ack 1");
    recv(s, ". 1:1(0) ack 1002");
    quiet(s, 1000);
}

static void a_lost_retransmission_is_sent_again_by_the_timer(void **state)
{
    struct script *s = *state;
    established_rtt(s, 100);
    send_ten(s);
    after(s, 100);
    for (unsigned i = 0; i < 3; i++)
        recv(s, ". 1:1(0) ack 1");
    expect(s, ". 1:1461(1460) ack 1");
    expect_between(s, 200, 301, ". 1:1461(1460) ack 1");
    recv(s, ". 1:1(0) ack %u", SEG(10));
    quiet(s, 1000);
}

/* ---- NewReno: RFC 6582 ---------------------------------------------------------------------- */

static void a_partial_ack_retransmits_the_next_hole_rfc6582_3_2(void **state)
{
    struct script *s = *state;
    established_rtt(s, 100);
    send_ten(s);
    after(s, 100);
    for (unsigned i = 0; i < 3; i++) /* 0, 3 and 7 are lost */
        recv(s, ". 1:1(0) ack 1");
    expect(s, ". 1:1461(1460) ack 1");
    after(s, 100);
    recv(s, ". 1:1(0) ack %u", SEG(3));
    expect(s, ". %u:%u(1460) ack 1", SEG(3), SEG(4));
    after(s, 100);
    recv(s, ". 1:1(0) ack %u", SEG(7));
    expect(s, ". %u:%u(1460) ack 1", SEG(7), SEG(8));
    after(s, 100);
    recv(s, ". 1:1(0) ack %u", SEG(10));
    quiet(s, 1000);
    assert_int_equal(counter(s, "tcp_retransmission_timeouts"), 0);
    assert_int_equal(counter(s, "tcp_retransmitted_segments"), 3);
}

static void a_full_ack_ends_recovery_with_half_the_window_rfc6582_3_2(void **state)
{
    struct script *s = *state;
    established_rtt(s, 100);
    send_ten(s);
    for (unsigned i = 0; i < 3; i++)
        recv(s, ". 1:1(0) ack 1");
    expect(s, ". 1:1461(1460) ack 1");
    recv(s, ". 1:1(0) ack %u", SEG(10));
    /* min(ssthresh, max(flight, SMSS) + SMSS) with nothing in flight: two segments, and from there
     * slow start to five. */
    app_send(s, 40 * MSS);
    expect(s, ". %u:%u(1460) ack 1", SEG(10), SEG(11));
    expect(s, ". %u:%u(1460) ack 1", SEG(11), SEG(12));
    expect_nothing(s);
}

static void dupacks_below_recover_do_not_start_recovery_again_rfc6582_3_2(void **state)
{
    struct script *s = *state;
    established_rtt(s, 100);
    send_ten(s);
    expect_between(s, 300, 301, ". 1:1461(1460) ack 1");
    recv(s, ". 1:1(0) ack %u", SEG(1));
    expect(s, ". 1461:2921(1460) ack 1");
    expect(s, ". 2921:4381(1460) ack 1");
    for (unsigned i = 0; i < 3; i++) /* of what was sent twice */
        recv(s, ". 1:1(0) ack %u", SEG(1));
    expect_nothing(s);
    assert_int_equal(counter(s, "tcp_fast_retransmits"), 0);
}

static void parts_of_an_acknowledgement_repeat_nothing_twice_rfc6582_3_2(void **state)
{
    struct script *s = *state;
    established_rtt(s, 100);
    send_ten(s);
    for (unsigned i = 0; i < 3; i++)
        recv(s, ". 1:1(0) ack 1");
    expect(s, ". 1:1461(1460) ack 1");
    for (unsigned i = 2; i <= MSS; i++) /* ACK division: each is a partial acknowledgement */
        recv(s, ". 1:1(0) ack %u", i);
    expect_nothing(s);
    recv(s, ". 1:1(0) ack %u", SEG(1));
    expect(s, ". %u:%u(1460) ack 1", SEG(1), SEG(2));
    recv(s, ". 1:1(0) ack %u", SEG(10));
    quiet(s, 1000);
}

static void forged_duplicates_let_no_more_out_than_was_outstanding_rfc5681_3_2(void **state)
{
    struct script *s = *state;
    established(s);
    send_ten(s);
    app_send(s, 30 * MSS);
    for (unsigned i = 10; i < 12; i++) { /* limited transmit */
        recv(s, ". 1:1(0) ack 1");
        expect_segments(s, i, i + 1);
    }
    recv(s, ". 1:1(0) ack 1");
    expect_segments(s, 0, 1);
    /* Twelve are outstanding, ssthresh is five: the inflation ends at 17. */
    for (unsigned i = 4; i < 1000; i++) {
        recv(s, ". 1:1(0) ack 1");
        if (i >= 8 && i <= 12) /* 5 + 8 = 13, and so on */
            expect_segments(s, i + 4, i + 5);
    }
    expect_nothing(s);
    recv(s, ". 1:1(0) ack %u", SEG(12)); /* the window is ssthresh, and as many are in flight */
    expect_nothing(s);
    recv(s, ". 1:1(0) ack %u", SEG(13));
    expect_segments(s, 17, 18);
}

static void what_a_batch_acknowledges_in_the_end_is_not_sent_again(void **state)
{
    struct script *s = *state;
    established_rtt(s, 100);
    send_ten(s);
    begin_batch(s);
    for (unsigned i = 0; i < 3; i++)
        recv(s, ". 1:1(0) ack 1");
    recv(s, ". 1:1(0) ack %u", SEG(2)); /* the first had only been late */
    end_batch(s);
    expect(s, ". %u:%u(1460) ack 1", SEG(2), SEG(3));
    recv(s, ". 1:1(0) ack %u", SEG(10));
    quiet(s, 1000);
}

/* ---- Numbers that are far apart: RFC 9293 3.4 ----------------------------------------------- */

/*
 * More than 2^31 bytes are sent and acknowledged, all in full segments and without a loss. Each
 * round fits into the congestion window that the one before has left. The packets are not examined:
 * this would take most of a minute.
 */
static void send_half_of_the_sequence_space(struct script *s)
{
    const size_t most = 700 * MSS;
    uint8_t *data = calloc(1, most);
    assert_non_null(data);
    s->link.features = STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4;
    remake(s);
    established_with(s, .scale = 7);
    struct strait_link examined = s->link;
    s->link.send = swallow;
    for (size_t bytes = 10 * MSS; s->flow->app_sent <= UINT32_C(1) << 31;) {
        step_begins(s, "send %zu", bytes);
        assert_int_equal(strait_send(s->stack, s->flow->fd, data, bytes, 0), bytes);
        step_ends(s);
        s->flow->app_sent += (uint32_t)bytes;
        recv(s, ". 1:1(0) ack %u", 1 + s->flow->app_sent);
        bytes = 2 * bytes < most ? 2 * bytes : most;
    }
    s->link.send = examined.send;
    free(data);
    assert_int_equal(counter(s, "tcp_retransmitted_segments"), 0);
}

static void after_half_of_the_sequence_space_a_loss_is_still_repaired_fast_rfc6582_3_2(void **state)
{
    struct script *s = *state;
    send_half_of_the_sequence_space(s);
    unsigned seq = 1 + s->flow->app_sent;
    app_send(s, 10 * MSS);
    expect(s, "P. %u:%u(14600) ack 1", seq, seq + 10 * MSS);
    for (unsigned i = 0; i < 3; i++)
        recv(s, ". 1:1(0) ack %u", seq);
    expect(s, ". %u:%u(1460) ack 1", seq, seq + MSS);
    assert_int_equal(counter(s, "tcp_fast_retransmits"), 1);
    recv(s, ". 1:1(0) ack %u", seq + 10 * MSS);
    quiet(s, 1000);
    assert_int_equal(counter(s, "tcp_retransmission_timeouts"), 0);
}

static void after_half_of_the_sequence_space_nagle_holds_nothing_back_rfc9293_3_7_4(void **state)
{
    struct script *s = *state;
    send_half_of_the_sequence_space(s);
    unsigned seq = 1 + s->flow->app_sent;
    app_send(s, 100); /* nothing is unacknowledged */
    expect(s, "P. %u:%u(100) ack 1", seq, seq + 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_rto_follows_the_rtt_rfc6298_2),
        TEST(later_samples_are_smoothed_rfc6298_2_3),
        TEST(the_rto_doubles_and_the_connection_ends_rfc6298_5_5),
        TEST(an_ack_of_new_data_restarts_the_timer_rfc6298_5_3),
        TEST(an_ack_of_everything_stops_the_timer_rfc6298_5_2),
        TEST(a_duplicate_ack_does_not_restart_the_timer_rfc6298_5_3),
        TEST(a_retransmitted_segment_is_not_timed_by_karn_rfc6298_3),
        TEST(the_doubled_rto_stays_until_a_sample_rfc6298_5_5),
        TEST(the_rto_stays_at_its_maximum_rfc6298_2_5),
        TEST(a_timestamp_times_a_retransmission_rfc7323_4),
        TEST(the_rto_is_3_s_if_the_syn_was_lost_rfc6298_5_7),
        TEST(after_a_timeout_one_segment_is_sent_rfc5681_3_1),
        TEST(after_a_timeout_an_ack_of_everything_ends_the_repetition),
        TEST(after_a_timeout_the_threshold_is_half_the_flight_rfc5681_3_1),
        TEST(fast_retransmit_after_three_dupacks_rfc5681_3_2),
        TEST(what_is_no_duplicate_ack_does_not_count_rfc5681_2),
        TEST(without_data_in_flight_there_are_no_duplicate_acks_rfc5681_2),
        TEST(an_ack_of_new_data_counts_duplicates_anew),
        TEST(further_dupacks_let_new_data_go_rfc5681_3_2),
        TEST(fast_retransmit_stays_within_the_window_rfc9293_3_8_6),
        TEST(fast_retransmit_sends_only_what_was_sent_rfc5681_3_2),
        TEST(fast_retransmit_sends_a_fin_only_if_it_was_sent_rfc5681_3_2),
        TEST(fast_retransmit_takes_the_fin_along_rfc5681_3_2),
        TEST(a_lost_retransmission_is_sent_again_by_the_timer),
        TEST(a_partial_ack_retransmits_the_next_hole_rfc6582_3_2),
        TEST(a_full_ack_ends_recovery_with_half_the_window_rfc6582_3_2),
        TEST(dupacks_below_recover_do_not_start_recovery_again_rfc6582_3_2),
        TEST(parts_of_an_acknowledgement_repeat_nothing_twice_rfc6582_3_2),
        TEST(forged_duplicates_let_no_more_out_than_was_outstanding_rfc5681_3_2),
        TEST(what_a_batch_acknowledges_in_the_end_is_not_sent_again),
        TEST(after_half_of_the_sequence_space_a_loss_is_still_repaired_fast_rfc6582_3_2),
        TEST(after_half_of_the_sequence_space_nagle_holds_nothing_back_rfc9293_3_7_4),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
