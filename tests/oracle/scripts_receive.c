/* SPDX-License-Identifier: MIT */
/*
 * Text that arrives: in order and not, twice, outside the window, urgent, with old timestamps (RFC
 * 9293 3.10.7.4, RFC 5681 4.2, RFC 2018, RFC 7323 5).
 */
#include <sys/socket.h>

#include "scripts.h"

#define OFFER_TIMESTAMPS "<mss 1460,nop,nop,TS val 1000 ecr 0>"
#define OFFER_SACK       "<mss 1460,nop,nop,sackOK>"

static void established_with(struct trial *t, const char *options)
{
    app_listen(t, 8);
    peer(t, "S 0:0(0) %s", options);
    peer(t, ". 1:1(0) ack 1");
    app_accept(t);
}

static void with_timestamps(struct trial *t)
{
    established_with(t, OFFER_TIMESTAMPS);
}

static void with_sack(struct trial *t)
{
    established_with(t, OFFER_SACK);
}

/* ---- In order ---- */

static void text_in_order(struct trial *t)
{
    peer_then_rest(t, "P. 1:101(100) ack 1");
    peer_then_rest(t, "P. 101:201(100) ack 1");
    app_recv(t, 150);
    app_recv(t, 150);
    app_recv(t, 150);
}

static void two_full_segments_rfc9293_3_8_6_3(struct trial *t)
{
    peer(t, ". 1:1461(1460) ack 1");
    peer(t, ". 1461:2921(1460) ack 1");
    rest(t, REST_MS);
}

static void text_is_acknowledged_by_text(struct trial *t)
{
    peer_then_rest(t, "P. 1:101(100) ack 1");
    app_recv(t, 100);
    app_send(t, 100);
    peer(t, "P. 101:201(100) ack 101");
    app_send(t, 100);
    rest(t, REST_MS);
}

static void unknown_flags_and_options_are_passed_over(struct trial *t)
{
    peer_then_rest(t, "PEW. 1:101(100) ack 1 <opt 254 0102>");
    app_recv(t, 1000);
    peer_then_rest(t, "P. 101:201(100) ack 1 <hex fe00>");
    app_recv(t, 1000);
}

/* ---- Out of order ---- */

static void a_hole_is_filled_rfc5681_4_2(struct trial *t)
{
    peer(t, "P. 101:201(100) ack 1");
    peer(t, "P. 201:301(100) ack 1");
    app_recv(t, 1000);
    peer(t, "P. 1:101(100) ack 1");
    app_recv(t, 1000);
}

static void two_holes_are_filled(struct trial *t)
{
    peer(t, "P. 101:201(100) ack 1");
    peer(t, "P. 301:401(100) ack 1");
    peer(t, "P. 1:101(100) ack 1");
    peer(t, "P. 201:301(100) ack 1");
    app_recv(t, 1000);
}

static void a_hole_is_filled_in_part(struct trial *t)
{
    peer(t, "P. 101:201(100) ack 1");
    peer(t, "P. 1:51(50) ack 1");
    peer(t, "P. 51:101(50) ack 1");
    app_recv(t, 1000);
}

static void one_byte_out_of_order(struct trial *t)
{
    peer(t, "P. 2:3(1) ack 1");
    peer(t, "P. 1:2(1) ack 1");
    app_recv(t, 1000);
}

static void a_fin_out_of_order(struct trial *t)
{
    peer(t, "F. 101:101(0) ack 1");
    app_recv(t, 1000);
    peer(t, "P. 1:101(100) ack 1");
    app_recv(t, 1000);
    app_recv(t, 1000);
}

static void text_with_fin_out_of_order(struct trial *t)
{
    peer(t, "FP. 101:201(100) ack 1");
    peer(t, "P. 1:101(100) ack 1");
    app_recv(t, 1000);
    app_recv(t, 1000);
}

static void text_behind_a_fin_that_waits(struct trial *t)
{
    peer(t, "F. 101:101(0) ack 1");
    peer(t, "P. 102:202(100) ack 1");
    peer(t, "P. 1:101(100) ack 1");
    app_recv(t, 1000);
    app_recv(t, 1000);
}

/* ---- Again, and overlapping ---- */

static void a_duplicate(struct trial *t)
{
    peer_then_rest(t, "P. 1:101(100) ack 1");
    peer(t, "P. 1:101(100) ack 1");
    app_recv(t, 1000);
}

static void an_overlap_with_new_text(struct trial *t)
{
    peer_then_rest(t, "P. 1:101(100) ack 1");
    peer_then_rest(t, "P. 51:151(100) ack 1");
    app_recv(t, 1000);
}

static void an_overlap_with_text_that_waits(struct trial *t)
{
    peer(t, "P. 101:201(100) ack 1");
    peer(t, "P. 1:151(150) ack 1");
    app_recv(t, 1000);
}

static void a_segment_around_text_that_waits(struct trial *t)
{
    peer(t, "P. 101:201(100) ack 1");
    peer(t, "P. 1:301(300) ack 1");
    app_recv(t, 1000);
}

static void a_duplicate_out_of_order(struct trial *t)
{
    peer(t, "P. 101:201(100) ack 1");
    peer(t, "P. 101:201(100) ack 1");
    peer(t, "P. 1:101(100) ack 1");
    app_recv(t, 1000);
}

static void a_duplicate_with_a_new_fin(struct trial *t)
{
    peer_then_rest(t, "P. 1:101(100) ack 1");
    peer_then_rest(t, "FP. 1:101(100) ack 1");
    app_recv(t, 1000);
    app_recv(t, 1000);
}

/* ---- SACK: RFC 2018 4, RFC 2883 4 ---- */

static void a_hole_is_reported_rfc2018_4(struct trial *t)
{
    peer(t, "P. 101:201(100) ack 1");
    peer(t, "P. 201:301(100) ack 1");
    peer(t, "P. 1:101(100) ack 1");
    app_recv(t, 1000);
}

static void many_holes_are_reported_latest_first_rfc2018_4(struct trial *t)
{
    peer(t, "P. 101:201(100) ack 1");
    peer(t, "P. 501:601(100) ack 1");
    peer(t, "P. 301:401(100) ack 1");
    peer(t, "P. 701:801(100) ack 1");
    peer(t, "P. 901:1001(100) ack 1");
}

static void a_duplicate_is_reported_rfc2883_4_1(struct trial *t)
{
    peer_then_rest(t, "P. 1:101(100) ack 1");
    peer(t, "P. 1:101(100) ack 1");
}

static void a_duplicate_above_a_hole_is_reported_rfc2883_4_1(struct trial *t)
{
    peer(t, "P. 101:201(100) ack 1");
    peer(t, "P. 101:201(100) ack 1");
}

/* ---- The window's edges ---- */

static void a_keepalive_without_text_rfc9293_3_8_4(struct trial *t)
{
    peer_then_rest(t, "P. 1:101(100) ack 1");
    peer(t, ". 100:100(0) ack 1");
}

static void a_keepalive_with_one_byte_rfc9293_3_8_4(struct trial *t)
{
    peer_then_rest(t, "P. 1:101(100) ack 1");
    peer(t, ". 100:101(1) ack 1");
}

static void a_second_segment_out_of_the_window_rfc5961_7(struct trial *t)
{
    peer(t, ". 200000:200000(0) ack 1");
    peer(t, ". 200000:200000(0) ack 1");
    peer(t, "P. 200000:200100(100) ack 1");
    rest(t, 600);
    peer(t, ". 200000:200000(0) ack 1");
}

static void a_second_challenge_rfc5961_7(struct trial *t)
{
    peer(t, "R 101:101(0)");
    peer(t, "R 101:101(0)");
    rest(t, 600);
    peer(t, "R 101:101(0)");
}

static void one_challenge_after_another_cause_rfc5961_7(struct trial *t)
{
    peer(t, "R 101:101(0)");
    peer(t, "S 101:101(0)");
    peer(t, ". 1:1(0) ack 5000");
}

static void text_with_an_old_ack(struct trial *t)
{
    app_send(t, 100);
    peer(t, ". 1:1(0) ack 101");
    peer_then_rest(t, "P. 1:101(100) ack 51");
    app_recv(t, 1000);
}

static void text_with_an_ack_of_what_was_never_sent(struct trial *t)
{
    peer_then_rest(t, "P. 1:101(100) ack 5000");
    app_recv(t, 1000);
}

static void text_with_syn(struct trial *t)
{
    peer_then_rest(t, "SP. 1:101(100) ack 1");
    app_recv(t, 1000);
}

static void text_with_rst(struct trial *t)
{
    peer(t, "RP. 1:101(100) ack 1");
    app_recv(t, 1000);
    app_recv(t, 1000);
}

static void text_before_the_fin_and_behind_it(struct trial *t)
{
    peer_then_rest(t, "FP. 1:101(100) ack 1");
    peer(t, "P. 102:202(100) ack 1");
    app_recv(t, 1000);
    app_recv(t, 1000);
}

static void text_is_read_after_a_rst(struct trial *t)
{
    peer_then_rest(t, "P. 1:101(100) ack 1");
    peer(t, "R 101:101(0)");
    app_events(t);
    app_recv(t, 1000);
    app_recv(t, 1000);
}

static void shut_for_receiving(struct trial *t)
{
    app_shutdown(t, SHUT_RD);
    app_recv(t, 1000);
    peer_then_rest(t, "P. 1:101(100) ack 1");
    app_recv(t, 1000);
    app_recv(t, 1000);
}

/* ---- Urgent: RFC 9293 3.8.5 ---- */

static void urgent_text(struct trial *t)
{
    peer_then_rest(t, "PU. 1:101(100) ack 1 urg 50");
    app_recv(t, 1000);
    app_recv(t, 1000);
}

static void urgent_text_inline(struct trial *t)
{
    app_set(t, SOL_SOCKET, SO_OOBINLINE, 1);
    peer_then_rest(t, "PU. 1:101(100) ack 1 urg 50");
    app_recv(t, 1000);
    app_recv(t, 1000);
}

static void urgent_pointer_past_the_segment(struct trial *t)
{
    peer_then_rest(t, "PU. 1:101(100) ack 1 urg 300");
    app_recv(t, 1000);
    peer_then_rest(t, "P. 101:401(300) ack 1");
    app_recv(t, 1000);
    app_recv(t, 1000);
}

static void urgent_pointer_without_text(struct trial *t)
{
    peer(t, "U. 1:1(0) ack 1 urg 50");
    peer_then_rest(t, "P. 1:101(100) ack 1");
    app_recv(t, 1000);
    app_recv(t, 1000);
}

static void urgent_pointer_without_the_flag(struct trial *t)
{
    peer_then_rest(t, "P. 1:101(100) ack 1 urg 50");
    app_recv(t, 1000);
}

/* ---- Timestamps: RFC 7323 ---- */

static void an_old_timestamp_rfc7323_5_3(struct trial *t)
{
    peer_then_rest(t, "P. 1:101(100) ack 1 <nop,nop,TS val 5000 ecr 0>");
    peer_then_rest(t, "P. 101:201(100) ack 1 <nop,nop,TS val 1000 ecr 0>");
    app_recv(t, 1000);
    peer_then_rest(t, "P. 101:201(100) ack 1 <nop,nop,TS val 5000 ecr 0>");
    app_recv(t, 1000);
}

static void an_old_timestamp_on_a_rst_rfc7323_5_2(struct trial *t)
{
    peer_then_rest(t, "P. 1:101(100) ack 1 <nop,nop,TS val 5000 ecr 0>");
    peer(t, "R 101:101(0) <nop,nop,TS val 1000 ecr 0>");
    app_recv(t, 1000);
    app_recv(t, 1000);
}

static void an_old_timestamp_on_an_ack(struct trial *t)
{
    peer_then_rest(t, "P. 1:101(100) ack 1 <nop,nop,TS val 5000 ecr 0>");
    app_send(t, 100);
    peer(t, ". 101:101(0) ack 101 <nop,nop,TS val 1000 ecr 0>");
    app_send(t, 100);
}

static void a_segment_without_timestamp_rfc7323_3_2(struct trial *t)
{
    peer_then_rest(t, "P. 1:101(100) ack 1 <>");
    app_recv(t, 1000);
}

static void a_rst_without_timestamp_rfc7323_3_2(struct trial *t)
{
    peer(t, "R 1:1(0) <>");
    app_recv(t, 1000);
}

static void timestamps_that_were_not_agreed_on(struct trial *t)
{
    peer_then_rest(t, "P. 1:101(100) ack 1 <nop,nop,TS val 1000 ecr 0>");
    app_recv(t, 1000);
}

static const struct script scripts[] = {
    SCRIPT_FROM(established, text_in_order),
    SCRIPT_FROM(established, two_full_segments_rfc9293_3_8_6_3),
    SCRIPT_FROM(established, text_is_acknowledged_by_text),
    SCRIPT_FROM(established, unknown_flags_and_options_are_passed_over),
    SCRIPT_FROM(established, a_hole_is_filled_rfc5681_4_2),
    SCRIPT_FROM(established, two_holes_are_filled),
    SCRIPT_FROM(established, a_hole_is_filled_in_part),
    SCRIPT_FROM(established, one_byte_out_of_order),
    SCRIPT_FROM(established, a_fin_out_of_order),
    SCRIPT_FROM(established, text_with_fin_out_of_order),
    SCRIPT_FROM(established, text_behind_a_fin_that_waits),
    SCRIPT_FROM(established, a_duplicate),
    SCRIPT_FROM(established, an_overlap_with_new_text),
    SCRIPT_FROM(established, an_overlap_with_text_that_waits),
    SCRIPT_FROM(established, a_segment_around_text_that_waits),
    SCRIPT_FROM(established, a_duplicate_out_of_order),
    SCRIPT_FROM(established, a_duplicate_with_a_new_fin),
    SCRIPT_FROM(with_sack, a_hole_is_reported_rfc2018_4),
    SCRIPT_FROM(with_sack, many_holes_are_reported_latest_first_rfc2018_4),
    SCRIPT_FROM(with_sack, a_duplicate_is_reported_rfc2883_4_1),
    SCRIPT_FROM(with_sack, a_duplicate_above_a_hole_is_reported_rfc2883_4_1),
    SCRIPT_FROM(established, a_keepalive_without_text_rfc9293_3_8_4),
    SCRIPT_FROM(established, a_keepalive_with_one_byte_rfc9293_3_8_4),
    SCRIPT_FROM(established, a_second_segment_out_of_the_window_rfc5961_7),
    SCRIPT_FROM(established, a_second_challenge_rfc5961_7),
    SCRIPT_FROM(established, one_challenge_after_another_cause_rfc5961_7),
    SCRIPT_FROM(established, text_with_an_old_ack),
    SCRIPT_FROM(established, text_with_an_ack_of_what_was_never_sent),
    SCRIPT_FROM(established, text_with_syn),
    SCRIPT_FROM(established, text_with_rst),
    SCRIPT_FROM(established, text_before_the_fin_and_behind_it),
    SCRIPT_FROM(established, text_is_read_after_a_rst),
    SCRIPT_FROM(established, shut_for_receiving),
    SCRIPT_FROM(established, urgent_text),
    SCRIPT_FROM(established, urgent_text_inline),
    SCRIPT_FROM(established, urgent_pointer_past_the_segment),
    SCRIPT_FROM(established, urgent_pointer_without_text),
    SCRIPT_FROM(established, urgent_pointer_without_the_flag),
    SCRIPT_FROM(with_timestamps, an_old_timestamp_rfc7323_5_3),
    SCRIPT_FROM(with_timestamps, an_old_timestamp_on_a_rst_rfc7323_5_2),
    SCRIPT_FROM(with_timestamps, an_old_timestamp_on_an_ack),
    SCRIPT_FROM(with_timestamps, a_segment_without_timestamp_rfc7323_3_2),
    SCRIPT_FROM(with_timestamps, a_rst_without_timestamp_rfc7323_3_2),
    SCRIPT_FROM(established, timestamps_that_were_not_agreed_on),
};

const struct chapter chapter_receive = CHAPTER(scripts);
