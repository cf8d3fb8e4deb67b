/* SPDX-License-Identifier: MIT */
/*
 * Selective acknowledgement, both ways: what Strait reports (RFC 2018 4, RFC 2883 4), what it makes
 * of the peer's reports (RFC 2018 5, RFC 6675), and limited transmit (RFC 3042). At the end stand
 * those who lie, or send what costs the most.
 */
#include <time.h>

#include "fixtures.h"

#define MSS    1460
#define SEG(n) (1 + (n)*MSS) /* the sequence number at which the n-th segment begins, from 0 */

#define established_sack(s) established_with(s, .sack = true)

/* Ten full segments are sent: all of the initial window. The last has PSH. */
static void send_ten(struct script *s)
{
    send_and_expect(s, 10 * MSS, MSS, 1);
}

static void expect_segments(struct script *s, unsigned first, unsigned last)
{
    for (unsigned i = first; i < last; i++)
        expect(s, ". %u:%u(1460) ack 1", SEG(i), SEG(i + 1));
    expect_nothing(s);
}

/* The remote acknowledges `ack` and reports the segments first to last - 1. */
static void recv_sacked(struct script *s, unsigned ack, unsigned first, unsigned last)
{
    recv(s, ". 1:1(0) ack %u <sack %u:%u>", ack, SEG(first), SEG(last));
}

static int swallow(struct strait_link *link, const struct iovec *parts, int count,
                   const struct strait_offload *offload)
{
    (void)link;
    (void)parts;
    (void)count;
    (void)offload;
    return 0;
}

/* ---- What is reported: RFC 2018 4 ----------------------------------------------------------- */

static void an_out_of_order_segment_is_reported_rfc2018_4(void **state)
{
    struct script *s = *state;
    established_sack(s);
    recv(s, ". 101:201(100) ack 1");
    expect(s, ". 1:1(0) ack 1 <nop,nop,sack 101:201>");
    recv(s, ". 1:101(100) ack 1");
    expect(s, ". 1:1(0) ack 201 <>");
}

static void nothing_is_reported_to_who_does_not_ask_rfc2018_2(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, ". 101:201(100) ack 1");
    expect(s, ". 1:1(0) ack 1 <>");
    recv(s, ". 101:201(100) ack 1");
    expect(s, ". 1:1(0) ack 1 <>");
}

static void nothing_is_reported_where_sack_is_switched_off(void **state)
{
    struct script *s = *state;
    s->config.sack = false;
    remake(s);
    app_listen(s, 1);
    recv(s, "S 0:0(0) <mss 1460,sackOK>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
    recv(s, ". 1:1(0) ack 1");
    recv(s, ". 101:201(100) ack 1");
    expect(s, ". 1:1(0) ack 1 <>");
}

static void the_latest_block_comes_first_rfc2018_4(void **state)
{
    struct script *s = *state;
    established_sack(s);
    recv(s, ". 101:201(100) ack 1");
    expect(s, ". 1:1(0) ack 1 <sack 101:201>");
    recv(s, ". 501:601(100) ack 1");
    expect(s, ". 1:1(0) ack 1 <sack 501:601 101:201>");
    recv(s, ". 301:401(100) ack 1");
    expect(s, ". 1:1(0) ack 1 <sack 301:401 501:601 101:201>");
    recv(s, ". 601:701(100) ack 1"); /* the whole range that it is in */
    expect(s, ". 1:1(0) ack 1 <sack 501:701 301:401 101:201>");
    recv(s, ". 201:301(100) ack 1"); /* two become one */
    expect(s, ". 1:1(0) ack 1 <sack 101:401 501:701>");
}

static void four_blocks_are_reported_rfc2018_3(void **state)
{
    struct script *s = *state;
    established_sack(s);
    for (unsigned i = 0; i < 4; i++) {
        recv(s, ". %u:%u(10) ack 1", 101 + 100 * i, 111 + 100 * i);
        expect(s, ". 1:1(0) ack 1");
    }
    recv(s, ". 501:511(10) ack 1");
    expect(s, ". 1:1(0) ack 1 <sack 501:511 401:411 301:311 201:211>");
}

static void three_blocks_are_reported_beside_timestamps_rfc2018_3(void **state)
{
    struct script *s = *state;
    established_with(s, .sack = true, .timestamps = true);
    for (unsigned i = 0; i < 3; i++) {
        recv(s, ". %u:%u(10) ack 1", 101 + 100 * i, 111 + 100 * i);
        expect(s, ". 1:1(0) ack 1");
    }
    recv(s, ". 401:411(10) ack 1");
    expect(s, ". 1:1(0) ack 1 <TS val * ecr *,sack 401:411 301:311 201:211>");
}

static void blocks_take_the_place_that_the_smallest_mtu_leaves_rfc9293_3_7_1(void **state)
{
    struct script *s = *state;
    s->link.mtu = 68; /* 28 bytes for options and text: three blocks fill them */
    remake(s);
    established_sack(s);
    for (unsigned i = 0; i < 3; i++) {
        recv(s, ". %u:%u(10) ack 1", 101 + 100 * i, 111 + 100 * i);
        expect(s, ". 1:1(0) ack 1");
    }
    recv(s, ". 401:411(10) ack 1");
    expect(s, ". 1:1(0) ack 1 <sack 401:411 301:311 201:211>");
}

static void what_is_acknowledged_is_not_reported_rfc2018_4(void **state)
{
    struct script *s = *state;
    established_sack(s);
    recv(s, ". 101:201(100) ack 1");
    expect(s, ". 1:1(0) ack 1 <sack 101:201>");
    recv(s, ". 301:401(100) ack 1");
    expect(s, ". 1:1(0) ack 1 <sack 301:401 101:201>");
    recv(s, ". 1:101(100) ack 1");
    expect(s, ". 1:1(0) ack 201 <sack 301:401>");
    recv(s, ". 201:301(100) ack 1");
    expect(s, ". 1:1(0) ack 401 <>");
    recv(s, ". 501:601(100) ack 1"); /* nothing of what was reported is left */
    expect(s, ". 1:1(0) ack 401 <sack 501:601>");
}

static void each_acknowledgement_of_a_batch_has_the_blocks_rfc2018_4(void **state)
{
    struct script *s = *state;
    established_sack(s);
    begin_batch(s);
    recv(s, ". 101:201(100) ack 1");
    recv(s, ". 301:401(100) ack 1");
    recv(s, ". 201:251(50) ack 1");
    end_batch(s);
    for (unsigned i = 0; i < 3; i++)
        expect(s, ". 1:1(0) ack 1 <sack 101:251 301:401>");
}

static void blocks_span_the_wrap_rfc9293_3_4(void **state)
{
    struct script *s = *state;
    next_connection(s, 0xfffffff0u); /* the wrap is at 16 */
    established_sack(s);
    recv(s, ". 11:21(10) ack 1");
    expect(s, ". 1:1(0) ack 1 <sack 11:21>");
    recv(s, ". 31:41(10) ack 1");
    expect(s, ". 1:1(0) ack 1 <sack 31:41 11:21>");
}

static void what_is_beyond_the_window_is_not_reported_rfc2018_4(void **state)
{
    struct script *s = *state;
    established_sack(s);
    recv(s, ". 65436:65636(200) ack 1"); /* the right edge is at 65536 */
    expect(s, ". 1:1(0) ack 1 <sack 65436:65536>");
    recv(s, ". 65536:65636(100) ack 1");
    expect(s, ". 1:1(0) ack 1 <sack 65436:65536>");
}

static void what_was_dropped_for_memory_is_not_reported_again_rfc2018_8(void **state)
{
    struct script *s = *state;
    s->config.memory_max_bytes = 65536;
    remake(s);
    on(s, 1);
    established(s);
    recv_super(s, MSS, ". 1:8193(8192) ack 1"); /* it keeps a block of 16384 */
    expect(s, ". 1:1(0) ack 8193");
    on(s, 0);
    established_sack(s);
    for (unsigned i = 16; i < 32; i++) { /* a byte for each block of 2048: half of the memory */
        recv(s, ". %u:%u(1) ack 1", 1 + i * 2048, 2 + i * 2048);
        expect(s, ". 1:1(0) ack 1");
    }
    recv(s, ". 20481:20482(1) ack 1"); /* too many: it is not reported either */
    expect(s, ". 1:1(0) ack 1 <sack 63489:63490 61441:61442 59393:59394 57345:57346>");
    recv_super(s, MSS, ". 1:24577(24576) ack 1"); /* needs what they hold */
    expect(s, ". 1:1(0) ack 24577 <>");
    assert_int_equal(counter(s, "tcp_out_of_order_pruned"), 1);
    recv(s, ". 30001:30101(100) ack 1");
    expect(s, ". 1:1(0) ack 24577 <sack 30001:30101>");
}

static void a_full_segment_leaves_the_blocks_to_an_acknowledgement_rfc9293_3_7_1(void **state)
{
    struct script *s = *state;
    established_sack(s);
    recv(s, ". 101:201(100) ack 1");
    expect(s, ". 1:1(0) ack 1 <sack 101:201>");
    app_send(s, MSS); /* all was told already */
    expect(s, "P. 1:1461(1460) ack 1 <>");
    recv(s, ". 301:401(100) ack 1461");
    expect(s, ". 1461:1461(0) ack 1 <sack 301:401 101:201>");
    app_send(s, MSS - 36); /* four blocks take 36 bytes */
    expect(s, "P. 1461:2885(1424) ack 1 <sack 301:401 101:201>");
    recv(s, ". 201:211(10) ack 2885");
    expect(s, ". 2885:2885(0) ack 1 <sack 101:211 301:401>");
    app_send(s, MSS - 35);
    expect(s, "P. 2885:4310(1425) ack 1 <>");
}

static void what_data_cannot_carry_is_told_beside_it_rfc2018_4(void **state)
{
    struct script *s = *state;
    established_sack(s);
    recv(s, ". 101:201(100) ack 1");
    expect(s, ". 1:1(0) ack 1 <sack 101:201>");
    app_send(s, 11 * MSS);
    for (unsigned i = 0; i < 10; i++)
        expect(s, ". %u:%u(1460) ack 1 <>", SEG(i), SEG(i + 1));
    recv(s, ". 1:51(50) ack %u", SEG(1)); /* lets a segment go, and is to be acknowledged at once */
    expect(s, "P. %u:%u(1460) ack 51 <>", SEG(10), SEG(11));
    expect(s, ". %u:%u(0) ack 51 <sack 101:201>", SEG(11), SEG(11));
}

static void a_super_packet_has_no_blocks_rfc9293_3_7_1(void **state)
{
    struct script *s = *state;
    s->link.features = STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4;
    remake(s);
    established_sack(s);
    recv(s, ". 101:201(100) ack 1");
    expect(s, ". 1:1(0) ack 1 <sack 101:201>");
    app_send(s, 3 * MSS);
    expect(s, "P. 1:4381(4380) ack 1 <>");
}

/* ---- Duplicates: RFC 2883 4 ----------------------------------------------------------------- */

static void a_duplicate_is_reported_once_rfc2883_4_1_1(void **state)
{
    struct script *s = *state;
    established_sack(s);
    recv(s, ". 1:101(100) ack 1");
    recv(s, ". 1:101(100) ack 1");
    expect(s, ". 1:1(0) ack 101 <sack 1:101>");
    recv(s, ". 201:301(100) ack 1");
    expect(s, ". 1:1(0) ack 101 <sack 201:301>");
    assert_int_equal(counter(s, "tcp_dsacks_out"), 1);
}

static void a_duplicate_is_reported_before_the_other_blocks_rfc2883_4_1_2(void **state)
{
    struct script *s = *state;
    established_sack(s);
    recv(s, ". 1:101(100) ack 1");
    recv(s, ". 201:301(100) ack 1");
    expect(s, ". 1:1(0) ack 101 <sack 201:301>");
    recv(s, ". 1:101(100) ack 1");
    expect(s, ". 1:1(0) ack 101 <sack 1:101 201:301>");
}

static void an_out_of_order_duplicate_comes_before_what_it_is_in_rfc2883_4_1_3(void **state)
{
    struct script *s = *state;
    established_sack(s);
    recv(s, ". 101:201(100) ack 1");
    expect(s, ". 1:1(0) ack 1 <sack 101:201>");
    recv(s, ". 301:401(100) ack 1");
    expect(s, ". 1:1(0) ack 1 <sack 301:401 101:201>");
    recv(s, ". 101:201(100) ack 1"); /* all of the block */
    expect(s, ". 1:1(0) ack 1 <sack 101:201 101:201 301:401>");
    recv(s, ". 201:251(50) ack 1");
    expect(s, ". 1:1(0) ack 1 <sack 101:251 301:401>");
    recv(s, ". 201:251(50) ack 1"); /* a part of it */
    expect(s, ". 1:1(0) ack 1 <sack 201:251 101:251 301:401>");
}

static void of_a_segment_the_part_that_repeats_is_reported_rfc2883_4_2_1(void **state)
{
    struct script *s = *state;
    established_sack(s);
    recv(s, ". 101:201(100) ack 1");
    expect(s, ". 1:1(0) ack 1 <sack 101:201>");
    recv(s, ". 1:301(300) ack 1"); /* in order: the middle of it was here */
    expect(s, ". 1:1(0) ack 301 <sack 101:201>");
    recv(s, ". 251:351(100) ack 1"); /* the front of it was */
    expect(s, ". 1:1(0) ack 351 <sack 251:301>");
    recv(s, ". 401:501(100) ack 1");
    expect(s, ". 1:1(0) ack 351 <sack 401:501>");
    recv(s, ". 451:551(100) ack 1"); /* out of order */
    expect(s, ". 1:1(0) ack 351 <sack 451:501 401:551>");
}

static void of_two_parts_that_repeat_the_first_is_reported_rfc2883_4_2_3(void **state)
{
    struct script *s = *state;
    established_sack(s);
    recv(s, ". 101:201(100) ack 1");
    expect(s, ". 1:1(0) ack 1 <sack 101:201>");
    recv(s, ". 301:401(100) ack 1");
    expect(s, ". 1:1(0) ack 1 <sack 301:401 101:201>");
    recv(s, ". 51:451(400) ack 1");
    expect(s, ". 1:1(0) ack 1 <sack 101:201 51:451>");
}

static void segments_that_repeat_a_super_packet_are_one_duplicate(void **state)
{
    struct script *s = *state;
    established_sack(s);
    recv_super(s, MSS, ". 1:2921(2920) ack 1");
    expect(s, ". 1:1(0) ack 2921 <>");
    begin_batch(s);
    recv(s, ". 1:1461(1460) ack 1");
    recv(s, ". 1461:2921(1460) ack 1");
    end_batch(s);
    expect(s, ". 1:1(0) ack 2921 <sack 1:2921>");
}

static void a_duplicate_behind_the_fin_is_told_by_its_own_numbers(void **state)
{
    struct script *s = *state;
    established_sack(s);
    recv(s, "F. 1:101(100) ack 1");
    expect(s, ". 1:1(0) ack 102 <>");
    recv(s, ". 1:101(100) ack 1");
    expect(s, ". 1:1(0) ack 102 <sack 1:101>");
}

static void what_precedes_the_stream_is_no_duplicate_rfc2883_4(void **state)
{
    struct script *s = *state;
    established_sack(s);
    recv(s, ". 0:1(1) ack 1"); /* in the place of the SYN, as keepalives may be */
    expect(s, ". 1:1(0) ack 1 <>");
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
        "2921:1461",   /* reversed */
        "1461:1461",   /* empty */
        "1:1461",      /* what the acknowledgement lacks */
        "0:1461",      /* below SND.UNA, and above */
        "13141:14602", /* above SND.NXT */
        "14601:16061", /* what was never sent */
        "1461:2147485000",
        "1461:2147498250", /* half the number space above SND.NXT */
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

static double cpu_seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

/*
 * Each second byte of the window, from its far end, again and again: the ranges that are kept are
 * full after 256 of them. The factor is generous, since the machine has other work; a list that
 * grew with each segment would miss it by far.
 */
static void a_hundred_thousand_tiny_segments_cost_the_same_each(void **state)
{
    enum { SEGMENTS = 100000, LOT = 10000, KEPT = 256 };
    struct script *s = *state;
    s->config.memory_max_bytes = 1 << 20;
    remake(s);
    established_sack(s);
    int (*const examined)(struct strait_link *, const struct iovec *, int,
                          const struct strait_offload *) = s->link.send;
    s->link.send = swallow;
    double first = 0, last = 0, began = cpu_seconds();
    for (unsigned i = 0; i < SEGMENTS; i++) {
        unsigned seq = 65535 - i % 32000 * 2;
        recv(s, ". %u:%u(1) ack 1", seq, seq + 1);
        if (i + 1 == 2 * LOT)
            first = cpu_seconds() - began;
        if (i + 1 == SEGMENTS - 2 * LOT)
            began = cpu_seconds();
    }
    last = cpu_seconds() - began;
    assert_true(last < 3 * first);
    assert_int_equal(counter(s, "tcp_out_of_order_segments"), SEGMENTS);
    /* Each of the four rounds brings those that are kept again. */
    assert_int_equal(counter(s, "tcp_out_of_order_limited"), SEGMENTS - 4 * KEPT);
    recv(s, ". 65023:65025(2) ack 1"); /* where the list is full, what joins two is taken */
    assert_int_equal(counter(s, "tcp_out_of_order_limited"), SEGMENTS - 4 * KEPT);

    s->link.send = examined; /* and the connection goes on as if nothing had been */
    for (unsigned i = 0; i < 44; i++) {
        recv(s, ". %u:%u(1460) ack 1", SEG(i), SEG(i + 1));
        expect(s, ". 1:1(0) ack %u", SEG(i + 1));
    }
    app_recv(s, 44 * MSS);
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
        TEST(an_out_of_order_segment_is_reported_rfc2018_4),
        TEST(nothing_is_reported_to_who_does_not_ask_rfc2018_2),
        TEST(nothing_is_reported_where_sack_is_switched_off),
        TEST(the_latest_block_comes_first_rfc2018_4),
        TEST(four_blocks_are_reported_rfc2018_3),
        TEST(three_blocks_are_reported_beside_timestamps_rfc2018_3),
        TEST(blocks_take_the_place_that_the_smallest_mtu_leaves_rfc9293_3_7_1),
        TEST(what_is_acknowledged_is_not_reported_rfc2018_4),
        TEST(each_acknowledgement_of_a_batch_has_the_blocks_rfc2018_4),
        TEST(blocks_span_the_wrap_rfc9293_3_4),
        TEST(what_is_beyond_the_window_is_not_reported_rfc2018_4),
        TEST(what_was_dropped_for_memory_is_not_reported_again_rfc2018_8),
        TEST(a_full_segment_leaves_the_blocks_to_an_acknowledgement_rfc9293_3_7_1),
        TEST(what_data_cannot_carry_is_told_beside_it_rfc2018_4),
        TEST(a_super_packet_has_no_blocks_rfc9293_3_7_1),
        TEST(a_duplicate_is_reported_once_rfc2883_4_1_1),
        TEST(a_duplicate_is_reported_before_the_other_blocks_rfc2883_4_1_2),
        TEST(an_out_of_order_duplicate_comes_before_what_it_is_in_rfc2883_4_1_3),
        TEST(of_a_segment_the_part_that_repeats_is_reported_rfc2883_4_2_1),
        TEST(of_two_parts_that_repeat_the_first_is_reported_rfc2883_4_2_3),
        TEST(segments_that_repeat_a_super_packet_are_one_duplicate),
        TEST(a_duplicate_behind_the_fin_is_told_by_its_own_numbers),
        TEST(what_precedes_the_stream_is_no_duplicate_rfc2883_4),
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
        TEST(a_hundred_thousand_tiny_segments_cost_the_same_each),
        TEST(reports_that_split_everything_are_bounded_rfc2018_5),
        TEST(holes_of_one_byte_are_sent_again_once_each_rfc6675_5),
        TEST(optimistic_acknowledgements_open_no_window_rfc5961_5_2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
