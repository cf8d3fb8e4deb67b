/* SPDX-License-Identifier: MIT */
/*
 * Data that is sent: RFC 9293 3.7.4 (Nagle), 3.8.6 (windows, silly windows, probes), RFC 6928 and
 * RFC 5681 (congestion window), offload.
 */
#include <netinet/tcp.h>
#include <poll.h>

#include "fixtures.h"

#define MSS 1460

/* Full segments follow each other, from `seq` up to `end`. */
static void expect_segments(struct script *s, unsigned seq, unsigned end)
{
    for (; seq < end; seq += MSS)
        expect(s, ". %u:%u(1460) ack 1", seq, seq + MSS);
}

/* Strait has sent nothing but this many segments of the initial window, and has more to send. */
static void send_initial_window(struct script *s)
{
    app_send(s, 100 * MSS);
    expect_segments(s, 1, 1 + 10 * MSS);
    expect_nothing(s);
}

/* ---- Segments ------------------------------------------------------------------------------- */

static void the_last_segment_has_psh_rfc9293_3_9_1_2(void **state)
{
    struct script *s = *state;
    established(s);
    app_send(s, 3000);
    expect(s, ". 1:1461(1460) ack 1");
    expect(s, ". 1461:2921(1460) ack 1");
    expect(s, "P. 2921:3001(80) ack 1");
}

static void options_count_against_the_mss_rfc9293_3_7_1(void **state)
{
    struct script *s = *state;
    established_with(s, .mss = 1000, .timestamps = true);
    app_send(s, 2000);
    expect(s, ". 1:989(988) ack 1");
    expect(s, ". 989:1977(988) ack 1");
    expect(s, "P. 1977:2001(24) ack 1");
}

static void writes_are_joined_into_segments(void **state)
{
    struct script *s = *state;
    established(s);
    app_send(s, 10); /* goes at once, and the rest waits for its ACK */
    expect(s, "P. 1:11(10) ack 1");
    for (unsigned i = 0; i < 5; i++)
        app_send(s, 100);
    expect_nothing(s);
    recv(s, ". 1:1(0) ack 11");
    expect(s, "P. 11:511(500) ack 1");
}

static void both_directions_at_once(void **state)
{
    struct script *s = *state;
    established(s);
    for (unsigned i = 0; i < 10; i++) {
        recv(s, "P. %u:%u(100) ack %u", 1 + i * 100, 101 + i * 100, 1 + i * 200);
        app_recv(s, 100);
        app_send(s, 200);
        expect(s, "P. %u:%u(200) ack %u", 1 + i * 200, 201 + i * 200, 101 + i * 100);
    }
}

static void an_ack_of_unsent_data_is_answered_and_dropped_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    established(s);
    send_and_expect(s, 100, MSS, 1);
    recv(s, "P. 1:11(10) ack 102");
    expect(s, ". 101:101(0) ack 1");
    app_recv_fails(s, EAGAIN);
    recv(s, ". 1:1(0) ack 101");
    quiet(s, 1000);
}

static void a_send_buffer_that_is_full_takes_no_more_and_then_does(void **state)
{
    struct script *s = *state;
    s->config.send_buffer_bytes = 20000;
    remake(s);
    established(s);
    size_t taken = app_send_some(s, 100000);
    assert_in_range(taken, 20000, 20000);
    expect_segments(s, 1, 1 + 10 * MSS);
    app_events(s, 0);
    assert_int_equal(app_send_some(s, 1), 0);
    recv(s, ". 1:1(0) ack 14601");
    expect_segments(s, 14601, 14601 + 3 * MSS);
    expect(s, "P. 18981:20001(1020) ack 1");
    app_events(s, POLLOUT);
    assert_true(app_send_some(s, 5) == 5);
    recv(s, ". 1:1(0) ack 20001");
    expect(s, "P. 20001:20006(5) ack 1");
}

static void a_sender_without_memory_may_go_on_when_a_small_block_is_free(void **state)
{
    struct script *s = *state;
    s->config.memory_max_bytes = 65536;
    s->link.features = STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4;
    remake(s);
    on(s, 1);
    established(s);
    on(s, 0);
    established(s);
    app_send(s, 2048); /* one small block */
    expect(s, "P. 1:2049(2048) ack 1");
    on(s, 1); /* and all others that a sender of much may have */
    assert_in_range(app_send_some(s, 100000), 2048, 65536 - 2048);
    expect(s, ". 1:14601(14600) ack 1");
    on(s, 0); /* and of little */
    assert_int_equal(app_send_some(s, 100000), 8192);
    expect(s, ". 2049:9349(7300) ack 1");
    assert_int_equal(app_send_some(s, 1), 0);
    app_events(s, 0);
    assert_true(counter(s, "tcp_memory_short") > 0);
    recv(s, ". 1:1(0) ack 2049");
    expect(s, "P. 9349:10241(892) ack 1");
    app_events(s, POLLOUT);
    assert_int_equal(app_send_some(s, 2049), 2048);
    expect(s, ". 10241:11701(1460) ack 1");
}

/* Of 64 KiB, what is sent may take three quarters, but only five eighths if its sender has much. */
static void a_sender_with_much_leaves_memory_to_those_with_little(void **state)
{
    struct script *s = *state;
    s->config.memory_max_bytes = 65536;
    s->link.features = STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4;
    remake(s);
    established(s);
    assert_int_equal(app_send_some(s, 100000), 5 * 8192);
    expect(s, ". 1:14601(14600) ack 1");
    assert_int_equal(app_send_some(s, 1), 0);
    on(s, 1);
    established(s);
    app_send(s, 2048);
    expect(s, "P. 1:2049(2048) ack 1");
    assert_int_equal(app_send_some(s, 100000), 8192 - 2048);
    expect(s, ". 2049:7889(5840) ack 1");
}

/* ---- Nagle's algorithm: RFC 9293 3.7.4 ------------------------------------------------------ */

static void a_small_segment_waits_while_a_small_one_is_unacknowledged_rfc9293_3_7_4(void **state)
{
    struct script *s = *state;
    established(s);
    app_send(s, 100);
    expect(s, "P. 1:101(100) ack 1");
    app_send(s, 2000); /* a full segment goes, its rest waits */
    expect(s, ". 101:1561(1460) ack 1");
    recv(s, ". 1:1(0) ack 101");
    expect(s, "P. 1561:2101(540) ack 1");
}

static void a_small_segment_behind_full_ones_does_not_wait_by_minshall(void **state)
{
    struct script *s = *state;
    established(s);
    app_send(s, 2 * MSS);
    expect(s, ". 1:1461(1460) ack 1");
    expect(s, "P. 1461:2921(1460) ack 1");
    app_send(s, 100);
    expect(s, "P. 2921:3021(100) ack 1");
    app_send(s, 100);
    expect_nothing(s);
    recv(s, ". 1:1(0) ack 2921"); /* not yet the small one */
    expect_nothing(s);
    recv(s, ". 1:1(0) ack 3021");
    expect(s, "P. 3021:3121(100) ack 1");
}

static void nodelay_sends_at_once_rfc9293_3_7_4(void **state)
{
    struct script *s = *state;
    established(s);
    app_send(s, 10);
    expect(s, "P. 1:11(10) ack 1");
    app_send(s, 10);
    expect_nothing(s);
    app_set(s, IPPROTO_TCP, TCP_NODELAY, 1);
    expect(s, "P. 11:21(10) ack 1");
    app_send(s, 10);
    expect(s, "P. 21:31(10) ack 1");
    app_set(s, IPPROTO_TCP, TCP_NODELAY, 0);
    app_send(s, 10);
    expect_nothing(s);
}

static void a_fin_takes_the_waiting_rest_along(void **state)
{
    struct script *s = *state;
    established(s);
    app_send(s, 10);
    expect(s, "P. 1:11(10) ack 1");
    app_send(s, 10);
    expect_nothing(s);
    app_shutdown(s, SHUT_WR);
    expect(s, "FP. 11:21(10) ack 1");
}

static void nodelay_says_nothing_after_a_reset(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, "P. 1:11(10) ack 1"); /* its ACK is due */
    recv(s, "R 11:11(0)");
    app_set(s, IPPROTO_TCP, TCP_NODELAY, 1);
    quiet(s, 10000);
    app_recv(s, 10);
    app_recv_fails(s, ECONNRESET);
}

static void an_inherited_nodelay_says_nothing_after_a_reset(void **state)
{
    struct script *s = *state;
    app_listen(s, 8);
    app_set(s, IPPROTO_TCP, TCP_NODELAY, 1);
    syn_received(s);
    recv(s, "P. 1:11(10) ack 1");
    recv(s, "R 11:11(0)"); /* before anybody has accepted it */
    app_accept(s);
    quiet(s, 10000);
    app_recv(s, 10);
    app_recv_fails(s, ECONNRESET);
}

/* ---- The peer's window: RFC 9293 3.8.6 ------------------------------------------------------ */

static void no_more_is_sent_than_the_window_takes_rfc9293_3_8_6(void **state)
{
    struct script *s = *state;
    established_with(s, .window = 4 * MSS);
    app_send(s, 20 * MSS);
    expect_segments(s, 1, 1 + 4 * MSS);
    recv(s, ". 1:1(0) ack 2921 win 2920"); /* the right edge has not moved */
    expect_nothing(s);
    recv(s, ". 1:1(0) ack 2921 win 4380"); /* now by one segment */
    expect_segments(s, 5841, 5841 + MSS);
    expect_nothing(s);
}

static void an_old_segment_does_not_change_the_window_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    established_with(s, .window = 4 * MSS);
    app_send(s, 20 * MSS);
    expect_segments(s, 1, 1 + 4 * MSS);
    recv(s, "P. 11:21(10) ack 1461 win 4380"); /* out of order, and it opens nothing */
    expect(s, ". 5841:5841(0) ack 1");
    recv(s, "P. 1:11(10) ack 1461 win 8760"); /* sent before it: SEG.SEQ is below SND.WL1 */
    expect(s, ". 5841:5841(0) ack 21");
}

static void a_segment_that_acknowledges_more_brings_its_window_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    established_with(s, .window = 4 * MSS);
    app_send(s, 20 * MSS);
    expect_segments(s, 1, 1 + 4 * MSS);
    recv(s, "P. 11:21(10) ack 1 win 5840");
    expect(s, ". 5841:5841(0) ack 1");
    /* What was lost comes again, with the newest ACK: the right edge is where it was. */
    recv(s, "P. 1:11(10) ack 2921 win 2920");
    expect(s, ". 5841:5841(0) ack 21");
    expect_nothing(s);
    recv(s, ". 21:21(0) ack 2921 win 4380");
    expect(s, ". 5841:7301(1460) ack 21");
}

static void a_window_that_closes_in_a_retransmission_is_closed_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    established_with(s, .window = 4 * MSS);
    app_send(s, 20 * MSS);
    expect_segments(s, 1, 1 + 4 * MSS);
    recv(s, "P. 11:21(10) ack 1 win 5840");
    expect(s, ". 5841:5841(0) ack 1");
    recv(s, "P. 1:11(10) ack 5841 win 0");
    expect(s, ". 5841:5841(0) ack 21");
    expect_between(s, 200, 201, ". 5841:5842(1) ack 21"); /* a probe */
}

static void an_ack_below_snd_una_changes_no_window_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    established_with(s, .window = 4 * MSS);
    app_send(s, 20 * MSS);
    expect_segments(s, 1, 1 + 4 * MSS);
    recv(s, ". 1:1(0) ack 2921 win 2920");
    /* New data, but its ACK was overtaken: 1461 + 4380 is the same edge, 2921 + 4380 is not. */
    recv(s, "P. 11:21(10) ack 1461 win 4380");
    expect(s, ". 5841:5841(0) ack 1");
    expect_nothing(s);
    recv(s, ". 1:11(10) ack 2921 win 4380");
    expect(s, ". 5841:7301(1460) ack 21");
}

/* The timer that overrides the rule against silly windows is no probe of a closed one. */
static void a_small_window_is_used_at_each_timeout_without_backoff_rfc9293_3_8_6_2_1(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, ". 1:1(0) ack 1 win 1000");
    app_send(s, 10000);
    for (unsigned i = 0; i < 8; i++) { /* the peer has memory for half, so that nothing is timed */
        expect_after(s, 200, ". %u:%u(1000) ack 1", 1 + i * 500, 1001 + i * 500);
        recv(s, ". 1:1(0) ack %u win 1000", 501 + i * 500);
    }
}

static void a_window_that_shrinks_is_survived_rfc9293_3_8_6(void **state)
{
    struct script *s = *state;
    established_with(s, .window = 6 * MSS);
    app_send(s, 8 * MSS);
    expect_segments(s, 1, 1 + 6 * MSS);
    recv(s, ". 1:1(0) ack 1461 win 1460"); /* takes back four segments */
    expect_nothing(s);
    recv(s, ". 1:1(0) ack 8761 win 8760"); /* but had taken them */
    expect(s, ". 8761:10221(1460) ack 1");
    expect(s, "P. 10221:11681(1460) ack 1");
}

static void no_silly_segments_are_sent_rfc9293_3_8_6_2_1(void **state)
{
    struct script *s = *state;
    established_with(s, .window = 2 * MSS + 80);
    app_send(s, 20 * MSS);
    expect_segments(s, 1, 1 + 2 * MSS); /* and not the 80 bytes for which there is room */
    expect_nothing(s);
    recv(s, ". 1:1(0) ack 2921 win 3000");
    expect_segments(s, 2921, 2921 + 2 * MSS);
    expect_nothing(s);
}

static void half_of_the_largest_window_is_worth_a_segment_rfc9293_3_8_6_2_1(void **state)
{
    struct script *s = *state;
    established_with(s, .window = 1000);
    app_send(s, 3000);
    expect(s, ". 1:1001(1000) ack 1");
    recv(s, ". 1:1(0) ack 1001 win 499");
    expect_nothing(s);
    recv(s, ". 1:1(0) ack 1001 win 500");
    expect(s, ". 1001:1501(500) ack 1");
}

/* ---- Zero windows: RFC 9293 3.8.6.1 --------------------------------------------------------- */

static void a_closed_window_is_probed_with_backoff_for_ever_rfc9293_3_8_6_1(void **state)
{
    struct script *s = *state;
    established_with(s, .window = MSS);
    app_send(s, 5000);
    expect(s, ". 1:1461(1460) ack 1");
    recv(s, ". 1:1(0) ack 1461 win 0");
    /* No RTT was measurable: the RTO has its minimum, 200 ms. */
    unsigned wait = 200;
    for (unsigned i = 0; i < 20; i++) {
        expect_between(s, wait, wait + 1, ". 1461:1462(1) ack 1");
        recv(s, ". 1:1(0) ack 1461 win 0");
        wait = wait * 2 < 60000 ? wait * 2 : 60000;
    }
    assert_int_equal(counter(s, "tcp_window_probes"), 20);
    recv(s, ". 1:1(0) ack 1461 win 65535");
    expect(s, ". 1461:2921(1460) ack 1");
    expect(s, ". 2921:4381(1460) ack 1");
    expect(s, "P. 4381:5001(620) ack 1");
}

static void a_probe_that_is_taken_counts_rfc9293_3_8_6_1(void **state)
{
    struct script *s = *state;
    established_with(s, .window = MSS);
    app_send(s, 5000);
    expect(s, ". 1:1461(1460) ack 1");
    recv(s, ". 1:1(0) ack 1461 win 0");
    expect_between(s, 200, 201, ". 1461:1462(1) ack 1");
    recv(s, ". 1:1(0) ack 1462 win 65535");
    expect(s, ". 1462:2922(1460) ack 1");
    expect(s, ". 2922:4382(1460) ack 1");
    expect(s, "P. 4382:5001(619) ack 1");
    recv(s, ". 1:1(0) ack 5001");
    quiet(s, 1000);
}

/* The window of the remote is closed, and the first probe has gone out beyond it. */
static void probe_a_closed_window(struct script *s)
{
    established_with(s, .window = MSS);
    app_send(s, 5000);
    expect(s, ". 1:1461(1460) ack 1");
    recv(s, ". 1:1(0) ack 1461 win 0");
    expect_between(s, 200, 201, ". 1461:1462(1) ack 1");
}

static void an_ack_stays_inside_the_closed_window_that_is_probed_rfc9293_a_2(void **state)
{
    struct script *s = *state;
    probe_a_closed_window(s);
    recv(s, ". 1:1461(1460) ack 1461 win 0");
    recv(s, ". 1461:2921(1460) ack 1461 win 0");
    expect(s, ". 1461:1461(0) ack 2921"); /* at 1462 the remote would refuse it */
    app_recv(s, 2920);
    recv(s, ". 2921:2931(10) ack 1461 win 0");
    expect_after(s, 40, ". 1461:1461(0) ack 2931");
}

static void a_reset_stays_inside_the_closed_window_that_is_probed_rfc9293_a_2(void **state)
{
    struct script *s = *state;
    probe_a_closed_window(s);
    app_linger(s, 0);
    app_close(s);
    expect(s, "R. 1461:1461(0) ack 1");
}

static void an_ack_stays_inside_a_window_that_has_shrunk_rfc9293_a_2(void **state)
{
    struct script *s = *state;
    established_with(s, .window = 6 * MSS);
    app_send(s, 6 * MSS);
    for (unsigned seq = 1; seq < 1 + 5 * MSS; seq += MSS)
        expect(s, ". %u:%u(1460) ack 1", seq, seq + MSS);
    expect(s, "P. 7301:8761(1460) ack 1");
    recv(s, ". 1:1(0) ack 1461 win 1460");
    recv(s, "P. 1:11(10) ack 1461 win 1460");
    app_recv(s, 10);
    expect_after(s, 40, ". 2921:2921(0) ack 11");
}

static void a_probe_does_not_stand_for_the_ack_that_is_due_rfc9293_a_2(void **state)
{
    struct script *s = *state;
    established_with(s, .window = MSS);
    app_send(s, 5000);
    expect(s, ". 1:1461(1460) ack 1");
    recv(s, ". 1:1(0) ack 1461 win 0");
    after(s, 190);
    recv(s, "P. 1:11(10) ack 1461 win 0");
    expect_between(s, 10, 11, ". 1461:1462(1) ack 11"); /* the remote drops it as it stands */
    expect(s, ". 1461:1461(0) ack 11");
    quiet(s, 100);
}

static void probes_that_nobody_answers_end_the_connection_rfc9293_3_8_3(void **state)
{
    struct script *s = *state;
    established_with(s, .window = MSS);
    app_send(s, 5000);
    expect(s, ". 1:1461(1460) ack 1");
    recv(s, ". 1:1(0) ack 1461 win 0");
    unsigned wait = 200;
    for (unsigned i = 0; i < 15; i++) {
        expect_between(s, wait, wait + 1, ". 1461:1462(1) ack 1");
        wait = wait * 2 < 60000 ? wait * 2 : 60000;
    }
    quiet(s, wait + 1);
    app_send_fails(s, ETIMEDOUT);
}

static void an_old_ack_is_no_answer_to_a_probe_rfc9293_3_8_6_1(void **state)
{
    struct script *s = *state;
    established_with(s, .window = MSS);
    app_send(s, 5000);
    expect(s, ". 1:1461(1460) ack 1");
    recv(s, ". 1:1(0) ack 1461 win 0");
    unsigned wait = 200;
    for (unsigned i = 0; i < 15; i++) {
        expect_between(s, wait, wait + 1, ". 1461:1462(1) ack 1");
        recv(s, ". 1:1(0) ack 1 win 1460"); /* a late one, or a forged one */
        wait = wait * 2 < 60000 ? wait * 2 : 60000;
    }
    quiet(s, wait + 1);
    app_send_fails(s, ETIMEDOUT);
}

static void a_window_closed_from_the_start_is_probed_rfc9293_3_8_6_1(void **state)
{
    struct script *s = *state;
    app_listen(s, 8);
    recv(s, "S 0:0(0) win 0 <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
    recv(s, ". 1:1(0) ack 1 win 0");
    app_accept(s);
    app_send(s, 100);
    expect_between(s, 200, 201, ". 1:2(1) ack 1");
    recv(s, ". 1:1(0) ack 1 win 1000");
    expect(s, "P. 1:101(100) ack 1");
}

static void a_window_too_small_for_a_segment_is_used_in_the_end_rfc9293_3_8_6_2_1(void **state)
{
    struct script *s = *state;
    established_with(s, .window = 2 * MSS);
    app_send(s, 5000);
    expect_segments(s, 1, 1 + 2 * MSS);
    recv(s, ". 1:1(0) ack 2921 win 100");
    /* The override timeout: as much as the window takes. */
    expect_between(s, 100, 1000, ". 2921:3021(100) ack 1");
    recv(s, ". 1:1(0) ack 3021 win 2920");
    expect(s, ". 3021:4481(1460) ack 1");
    expect(s, "P. 4481:5001(520) ack 1");
}

static void a_peer_that_never_had_more_gets_a_byte_for_each_ack_rfc9293_3_8_6_2_1(void **state)
{
    struct script *s = *state;
    established_with(s, .window = 1);
    app_send(s, 1000);
    for (unsigned i = 1; i <= 100; i++) {
        expect(s, ". %u:%u(1) ack 1", i, i + 1);
        recv(s, ". 1:1(0) ack %u", i);
        recv(s, ". 1:1(0) ack %u", i + 1);
    }
    expect(s, ". 101:102(1) ack 1");
}

static void a_fin_is_sent_through_a_closed_window_in_the_end(void **state)
{
    struct script *s = *state;
    established_with(s, .window = 100);
    app_send(s, 100);
    expect(s, "P. 1:101(100) ack 1");
    recv(s, ". 1:1(0) ack 101 win 0");
    app_shutdown(s, SHUT_WR);
    /* It takes sequence space but no buffer: at once or as the probe. */
    expect_between(s, 0, 201, "F. 101:101(0) ack 1");
    recv(s, ". 1:1(0) ack 102 win 0");
    quiet(s, 10000);
}

/* ---- The congestion window ------------------------------------------------------------------ */

static void the_initial_window_is_ten_segments_rfc6928_2(void **state)
{
    struct script *s = *state;
    established(s);
    send_initial_window(s);
}

static void the_initial_window_of_large_segments_is_14600_bytes_or_two_rfc6928_2(void **state)
{
    struct script *s = *state;
    s->link.mtu = 9000;
    remake(s);
    established_with(s, .mss = 8960);
    app_send(s, 60000);
    expect(s, ". 1:8961(8960) ack 1");
    expect(s, ". 8961:17921(8960) ack 1");
    expect_nothing(s);
}

static void slow_start_grows_by_the_bytes_acknowledged_rfc5681_3_1(void **state)
{
    struct script *s = *state;
    established(s);
    send_initial_window(s);
    recv(s, ". 1:1(0) ack %u", 1 + 2 * MSS); /* two left the path, and two more are allowed */
    expect_segments(s, 1 + 10 * MSS, 1 + 14 * MSS);
    expect_nothing(s);
    recv(s, ". 1:1(0) ack %u", 1 + 3 * MSS);
    expect_segments(s, 1 + 14 * MSS, 1 + 16 * MSS);
    expect_nothing(s);
    recv(s, ". 1:1(0) ack %u", 1 + 16 * MSS);
    expect_segments(s, 1 + 16 * MSS, 1 + 42 * MSS);
    expect_nothing(s);
}

static void ack_division_gains_nothing_rfc5681_3_1(void **state)
{
    struct script *s = *state;
    established(s);
    send_initial_window(s);
    for (unsigned i = 1; i < 10; i++) { /* 9 of 10 parts of one segment's ACK */
        recv(s, ". 1:1(0) ack %u", 1 + i * 146);
        if (i == 5) /* half an MSS has left, half an MSS is gained: room for one segment */
            expect_segments(s, 14601, 14601 + MSS);
        else
            expect_nothing(s);
    }
}

/* ---- Offload -------------------------------------------------------------------------------- */

static void tso_sends_super_packets_within_the_windows(void **state)
{
    struct script *s = *state;
    s->link.features = STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4;
    remake(s);
    established(s);
    app_send(s, 100 * MSS);
    const struct packet *p = expect(s, ". 1:14601(14600) ack 1");
    assert_int_equal(p->offload.gso, STRAIT_GSO_TCP4);
    assert_int_equal(p->offload.gso_size, MSS);
    assert_int_equal(p->offload.checksum, STRAIT_CHECKSUM_PARTIAL);
    assert_int_equal(p->offload.header_bytes, 40);
    recv(s, ". 1:1(0) ack 14601 win 4500");
    p = expect(s, ". 14601:18981(4380) ack 1");
    assert_int_equal(p->offload.gso_size, MSS);
}

static void options_count_against_the_segments_of_a_super_packet(void **state)
{
    struct script *s = *state;
    s->link.features = STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4;
    remake(s);
    established_with(s, .timestamps = true);
    app_send(s, 3000);
    const struct packet *p = expect(s, "P. 1:3001(3000) ack 1");
    assert_int_equal(p->offload.gso_size, 1448);
    assert_int_equal(p->offload.header_bytes, 52);
}

static void a_packet_of_one_segment_is_no_super_packet(void **state)
{
    struct script *s = *state;
    s->link.features = STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4;
    remake(s);
    established(s);
    app_send(s, MSS);
    const struct packet *p = expect(s, "P. 1:1461(1460) ack 1");
    assert_int_equal(p->offload.gso, STRAIT_GSO_NONE);
    assert_int_equal(p->offload.gso_size, 0);
    assert_int_equal(p->offload.checksum, STRAIT_CHECKSUM_PARTIAL);
}

static void a_super_packet_is_no_longer_than_an_ip_packet(void **state)
{
    struct script *s = *state;
    s->link.features = STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4;
    remake(s);
    established_with(s, .scale = 7);
    app_send(s, 400 * MSS);
    expect(s, ". 1:14601(14600) ack 1");
    recv(s, ". 1:1(0) ack 14601");
    expect(s, ". 14601:43801(29200) ack 1");
    recv(s, ". 1:1(0) ack 43801");
    expect(s, ". 43801:102201(58400) ack 1");
    recv(s, ". 1:1(0) ack 102201"); /* 80 segments, of which 44 fit into 65535 - 40 bytes */
    expect(s, ". 102201:166441(64240) ack 1");
    expect(s, ". 166441:219001(52560) ack 1");
}

static void options_count_against_the_length_of_an_ip_packet(void **state)
{
    struct script *s = *state;
    s->link.features = STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4;
    remake(s);
    established_with(s, .mss = 1122, .scale = 7, .timestamps = true); /* 1110 bytes a segment */
    app_send(s, 200 * 1110);
    expect(s, ". 1:11101(11100) ack 1");
    recv(s, ". 1:1(0) ack 11101");
    expect(s, ". 11101:33301(22200) ack 1");
    recv(s, ". 1:1(0) ack 33301");
    expect(s, ". 33301:77701(44400) ack 1");
    recv(s, ". 1:1(0) ack 77701"); /* 59 segments are 65490 bytes, with 52 of headers too many */
    expect(s, ". 77701:142081(64380) ack 1");
    expect(s, ". 142081:166501(24420) ack 1");
}

static void checksum_offload_alone_leaves_segments_as_they_are(void **state)
{
    struct script *s = *state;
    s->link.features = STRAIT_LINK_CHECKSUM;
    remake(s);
    established(s);
    app_send(s, 3000);
    const struct packet *p = expect(s, ". 1:1461(1460) ack 1");
    assert_int_equal(p->offload.checksum, STRAIT_CHECKSUM_PARTIAL);
    assert_int_equal(p->offload.gso, STRAIT_GSO_NONE);
    expect(s, ". 1461:2921(1460) ack 1");
    expect(s, "P. 2921:3001(80) ack 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_last_segment_has_psh_rfc9293_3_9_1_2),
        TEST(options_count_against_the_mss_rfc9293_3_7_1),
        TEST(writes_are_joined_into_segments),
        TEST(both_directions_at_once),
        TEST(an_ack_of_unsent_data_is_answered_and_dropped_rfc9293_3_10_7_4),
        TEST(a_send_buffer_that_is_full_takes_no_more_and_then_does),
        TEST(a_sender_with_much_leaves_memory_to_those_with_little),
        TEST(a_sender_without_memory_may_go_on_when_a_small_block_is_free),
        TEST(a_small_segment_waits_while_a_small_one_is_unacknowledged_rfc9293_3_7_4),
        TEST(a_small_segment_behind_full_ones_does_not_wait_by_minshall),
        TEST(nodelay_sends_at_once_rfc9293_3_7_4),
        TEST(nodelay_says_nothing_after_a_reset),
        TEST(an_inherited_nodelay_says_nothing_after_a_reset),
        TEST(a_fin_takes_the_waiting_rest_along),
        TEST(no_more_is_sent_than_the_window_takes_rfc9293_3_8_6),
        TEST(an_old_segment_does_not_change_the_window_rfc9293_3_10_7_4),
        TEST(a_segment_that_acknowledges_more_brings_its_window_rfc9293_3_10_7_4),
        TEST(a_window_that_closes_in_a_retransmission_is_closed_rfc9293_3_10_7_4),
        TEST(an_ack_below_snd_una_changes_no_window_rfc9293_3_10_7_4),
        TEST(a_small_window_is_used_at_each_timeout_without_backoff_rfc9293_3_8_6_2_1),
        TEST(a_window_that_shrinks_is_survived_rfc9293_3_8_6),
        TEST(no_silly_segments_are_sent_rfc9293_3_8_6_2_1),
        TEST(half_of_the_largest_window_is_worth_a_segment_rfc9293_3_8_6_2_1),
        TEST(a_closed_window_is_probed_with_backoff_for_ever_rfc9293_3_8_6_1),
        TEST(a_probe_that_is_taken_counts_rfc9293_3_8_6_1),
        TEST(an_ack_stays_inside_the_closed_window_that_is_probed_rfc9293_a_2),
        TEST(a_reset_stays_inside_the_closed_window_that_is_probed_rfc9293_a_2),
        TEST(an_ack_stays_inside_a_window_that_has_shrunk_rfc9293_a_2),
        TEST(a_probe_does_not_stand_for_the_ack_that_is_due_rfc9293_a_2),
        TEST(probes_that_nobody_answers_end_the_connection_rfc9293_3_8_3),
        TEST(an_old_ack_is_no_answer_to_a_probe_rfc9293_3_8_6_1),
        TEST(a_window_closed_from_the_start_is_probed_rfc9293_3_8_6_1),
        TEST(a_window_too_small_for_a_segment_is_used_in_the_end_rfc9293_3_8_6_2_1),
        TEST(a_peer_that_never_had_more_gets_a_byte_for_each_ack_rfc9293_3_8_6_2_1),
        TEST(a_fin_is_sent_through_a_closed_window_in_the_end),
        TEST(the_initial_window_is_ten_segments_rfc6928_2),
        TEST(the_initial_window_of_large_segments_is_14600_bytes_or_two_rfc6928_2),
        TEST(slow_start_grows_by_the_bytes_acknowledged_rfc5681_3_1),
        TEST(ack_division_gains_nothing_rfc5681_3_1),
        TEST(tso_sends_super_packets_within_the_windows),
        TEST(options_count_against_the_segments_of_a_super_packet),
        TEST(a_packet_of_one_segment_is_no_super_packet),
        TEST(a_super_packet_is_no_longer_than_an_ip_packet),
        TEST(options_count_against_the_length_of_an_ip_packet),
        TEST(checksum_offload_alone_leaves_segments_as_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
