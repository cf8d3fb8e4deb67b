/* SPDX-License-Identifier: MIT */
/*
 * What Strait reports by selective acknowledgement: data out of order (RFC 2018 4), and duplicates
 * (RFC 2883 4). At the end stands what costs the most.
 */
#include <time.h>

#include "flight.h"

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

/* Four later ones have pushed it out of the reports; it is still there when they are in order. */
static void an_old_block_is_reported_when_no_later_one_is_left_rfc2018_4(void **state)
{
    struct script *s = *state;
    established_sack(s);
    recv(s, ". 901:911(10) ack 1");
    expect(s, ". 1:1(0) ack 1 <sack 901:911>");
    for (unsigned i = 0; i < 4; i++) {
        recv(s, ". %u:%u(10) ack 1", 101 + 100 * i, 111 + 100 * i);
        expect(s, ". 1:1(0) ack 1");
    }
    recv(s, ". 1:101(100) ack 1");
    expect(s, ". 1:1(0) ack 111 <sack 401:411 301:311 201:211>");
    recv(s, ". 111:201(90) ack 1");
    expect(s, ". 1:1(0) ack 211 <sack 401:411 301:311>");
    recv(s, ". 211:301(90) ack 1");
    expect(s, ". 1:1(0) ack 311 <sack 401:411>");
    recv(s, ". 311:401(90) ack 1");
    expect(s, ". 1:1(0) ack 411 <sack 901:911>");
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

/* ---- Hostile letters ------------------------------------------------------------------------ */

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_out_of_order_segment_is_reported_rfc2018_4),
        TEST(nothing_is_reported_to_who_does_not_ask_rfc2018_2),
        TEST(nothing_is_reported_where_sack_is_switched_off),
        TEST(the_latest_block_comes_first_rfc2018_4),
        TEST(four_blocks_are_reported_rfc2018_3),
        TEST(an_old_block_is_reported_when_no_later_one_is_left_rfc2018_4),
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
        TEST(a_hundred_thousand_tiny_segments_cost_the_same_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
