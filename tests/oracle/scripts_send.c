/* SPDX-License-Identifier: MIT */
/*
 * Text that is sent: when, in what portions, and again (RFC 9293 3.7.4, 3.8.6, RFC 6298, RFC 5681,
 * RFC 6582, RFC 1191). The window of the peer is what the lines say; without SACK, so that what is
 * compared are the algorithms that both have.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "scripts.h"

#define MSS 1460

/* Opened with this window of the peer. */
static void established_with(struct trial *t, const char *options, unsigned window)
{
    app_listen(t, 8);
    peer(t, "S 0:0(0) win %u %s", window, options);
    peer(t, ". 1:1(0) ack 1 win %u", window);
    app_accept(t);
}

/* Sends what may become more than one segment; which of them has PSH does not count. */
static void send_segments(struct trial *t, size_t bytes)
{
    t->hides_push = true;
    app_send(t, bytes);
}

/* ---- Portions ---- */

static void text_goes_at_once(struct trial *t)
{
    app_send(t, 100);
    peer(t, ". 1:1(0) ack 101");
    app_send(t, 200);
    peer(t, ". 1:1(0) ack 301");
    rest(t, 300);
}

static void two_full_segments(struct trial *t)
{
    send_segments(t, 2 * MSS);
    peer(t, ". 1:1(0) ack 2921");
}

static void an_initial_window_of_ten_rfc6928(struct trial *t)
{
    send_segments(t, 12 * MSS);
    peer(t, ". 1:1(0) ack 2921");
}

static void nagle_holds_a_short_segment_rfc9293_3_7_4(struct trial *t)
{
    app_send(t, 100);
    app_send(t, 100);
    peer(t, ". 1:1(0) ack 101");
    peer(t, ". 1:1(0) ack 201");
}

static void nagle_as_minshall_has_it(struct trial *t)
{
    app_send(t, MSS);
    app_send(t, 100);
    app_send(t, 100);
    peer(t, ". 1:1(0) ack 1461");
    peer(t, ". 1:1(0) ack 1561");
}

static void nodelay_sends_short_segments(struct trial *t)
{
    app_set(t, IPPROTO_TCP, TCP_NODELAY, 1);
    app_send(t, 100);
    app_send(t, 100);
    app_send(t, 100);
}

static void nodelay_releases_what_nagle_holds(struct trial *t)
{
    app_send(t, 100);
    app_send(t, 100);
    app_set(t, IPPROTO_TCP, TCP_NODELAY, 1);
}

static void cork_holds_a_short_segment(struct trial *t)
{
    app_set(t, IPPROTO_TCP, TCP_CORK, 1);
    app_send(t, 100);
    app_send(t, MSS);
    app_set(t, IPPROTO_TCP, TCP_CORK, 0);
}

static void more_holds_a_short_segment(struct trial *t)
{
    app_send_more(t, 100);
    app_send(t, 100);
}

static void a_small_mss_of_the_peer(struct trial *t)
{
    established_with(t, "<mss 536>", 65535);
    send_segments(t, 1200);
}

static void timestamps_count_against_the_mss_rfc9293_3_7_1(struct trial *t)
{
    established_with(t, "<mss 536,nop,nop,TS val 1000 ecr 0>", 65535);
    send_segments(t, 1200);
}

/* ---- The window of the peer ---- */

static void a_window_is_filled(struct trial *t)
{
    established_with(t, "<mss 1460>", 2000);
    send_segments(t, 3000);
    peer(t, ". 1:1(0) ack 1461 win 2000");
    peer(t, ". 1:1(0) ack 2001 win 2000");
}

static void a_window_shrinks_in_a_repeated_ack_rfc9293_3_10_7_4(struct trial *t)
{
    peer(t, ". 1:1(0) ack 1 win 100");
    app_send(t, 1000);
}

static void a_window_opens_by_an_update(struct trial *t)
{
    peer(t, ". 1:1(0) ack 1 win 0");
    app_send(t, 1000);
    peer(t, ". 1:1(0) ack 1 win 5000");
    peer(t, ". 1:1(0) ack 1001 win 5000");
}

static void a_closed_window_is_probed_rfc9293_3_8_6_1(struct trial *t)
{
    peer(t, ". 1:1(0) ack 1 win 0");
    app_send(t, 1000);
    rest(t, 300);
    peer(t, ". 1:1(0) ack 1 win 0");
    peer(t, ". 1:1(0) ack 1 win 5000");
}

static void a_closed_window_stops_a_fin(struct trial *t)
{
    peer(t, ". 1:1(0) ack 1 win 0");
    app_shutdown(t, SHUT_WR);
    rest(t, 300);
    peer(t, ". 1:1(0) ack 1 win 5000");
}

static void a_window_closes_behind_text_in_flight(struct trial *t)
{
    app_send(t, 1000);
    peer(t, ". 1:1(0) ack 501 win 0");
    peer(t, ". 1:1(0) ack 1001 win 0");
    app_send(t, 100);
    peer(t, ". 1:1(0) ack 1001 win 5000");
}

static void a_small_window_is_not_filled_at_once_rfc9293_3_8_6_2_1(struct trial *t)
{
    app_send(t, 100);
    peer(t, ". 1:1(0) ack 101 win 100");
    send_segments(t, 1000);
    rest(t, 300);
    peer(t, ". 1:1(0) ack 201 win 5000");
}

static void a_window_in_an_old_segment_is_not_taken_rfc9293_3_10_7_4(struct trial *t)
{
    peer_then_rest(t, "P. 1:101(100) ack 1 win 0");
    peer(t, ". 1:1(0) ack 1 win 5000");
    app_send(t, 1000);
}

/* ---- Again, after a time: RFC 6298 ---- */

static void a_timeout_and_its_backoff_rfc6298_5(struct trial *t)
{
    app_send(t, 100);
    rest(t, 300);
    rest(t, 500);
    peer(t, ". 1:1(0) ack 101");
    rest(t, 300);
}

static void a_timeout_sends_one_segment_rfc5681_3_1(struct trial *t)
{
    send_segments(t, 4 * MSS);
    rest(t, 300);
    peer(t, ". 1:1(0) ack 1461");
    peer(t, ". 1:1(0) ack 4381");
    peer(t, ". 1:1(0) ack 5841");
}

static void an_ack_restarts_the_timer_rfc6298_5_3(struct trial *t)
{
    send_segments(t, 2 * MSS);
    rest(t, 150);
    peer(t, ". 1:1(0) ack 1461");
    rest(t, 150);
    rest(t, 150);
}

static void a_fin_times_out(struct trial *t)
{
    app_shutdown(t, SHUT_WR);
    rest(t, 300);
    peer(t, ". 1:1(0) ack 2");
    rest(t, 300);
}

/* ---- Again, after duplicate acknowledgements: RFC 5681 3.2, RFC 6582 ---- */

static void duplicates(struct trial *t, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        peer(t, ". 1:1(0) ack 1");
}

static void two_duplicate_acks_are_not_enough(struct trial *t)
{
    send_segments(t, 4 * MSS);
    duplicates(t, 2);
    peer(t, ". 1:1(0) ack 5841");
}

static void three_duplicate_acks_retransmit_rfc5681_3_2(struct trial *t)
{
    send_segments(t, 5 * MSS);
    duplicates(t, 3);
    peer(t, ". 1:1(0) ack 7301");
}

static void a_partial_ack_retransmits_the_next_rfc6582_3_2(struct trial *t)
{
    send_segments(t, 6 * MSS);
    duplicates(t, 3);
    peer(t, ". 1:1(0) ack 2921");
    peer(t, ". 1:1(0) ack 8761");
}

static void new_text_after_two_duplicate_acks_rfc3042(struct trial *t)
{
    send_segments(t, 12 * MSS);
    duplicates(t, 2);
}

static void acks_with_another_window_are_no_duplicates_rfc5681_2(struct trial *t)
{
    established_with(t, "<mss 1460>", 50000);
    send_segments(t, 4 * MSS);
    peer(t, ". 1:1(0) ack 1 win 51000");
    peer(t, ". 1:1(0) ack 1 win 52000");
    peer(t, ". 1:1(0) ack 1 win 53000");
    peer(t, ". 1:1(0) ack 5841");
}

static void acks_with_text_are_no_duplicates_rfc5681_2(struct trial *t)
{
    send_segments(t, 4 * MSS);
    peer_then_rest(t, "P. 1:101(100) ack 1");
    peer_then_rest(t, "P. 101:201(100) ack 1");
    peer_then_rest(t, "P. 201:301(100) ack 1");
}

/* ---- ICMP about text in flight: RFC 1191, RFC 5927 ---- */

static void a_packet_was_too_big_rfc1191(struct trial *t)
{
    send_segments(t, 2 * MSS);
    peer_icmp(t, 3, 4, 1000);
    rest(t, 300);
}

static void a_packet_was_too_big_below_the_floor(struct trial *t)
{
    send_segments(t, 2 * MSS);
    peer_icmp(t, 3, 4, 68);
}

static void icmp_port_unreachable_rfc5927_5_2(struct trial *t)
{
    app_send(t, 100);
    peer_icmp(t, 3, 3, 0);
    app_error(t);
    peer(t, ". 1:1(0) ack 101");
    app_send(t, 100);
}

static void icmp_host_unreachable(struct trial *t)
{
    app_send(t, 100);
    peer_icmp(t, 3, 1, 0);
    app_error(t);
    peer(t, ". 1:1(0) ack 101");
    app_send(t, 100);
}

/* ---- Keepalive: RFC 9293 3.8.4 ---- */

static void keepalive_asks_and_is_answered(struct trial *t)
{
    app_set(t, IPPROTO_TCP, TCP_KEEPIDLE, 1);
    app_set(t, SOL_SOCKET, SO_KEEPALIVE, 1);
    rest(t, 1100);
    peer(t, ". 1:1(0) ack 1");
    app_error(t);
}

static const struct script scripts[] = {
    SCRIPT_FROM(established, text_goes_at_once),
    SCRIPT_FROM(established, two_full_segments),
    SCRIPT_FROM(established, an_initial_window_of_ten_rfc6928),
    SCRIPT_FROM(established, nagle_holds_a_short_segment_rfc9293_3_7_4),
    SCRIPT_FROM(established, nagle_as_minshall_has_it),
    SCRIPT_FROM(established, nodelay_sends_short_segments),
    SCRIPT_FROM(established, nodelay_releases_what_nagle_holds),
    SCRIPT_FROM(established, cork_holds_a_short_segment),
    SCRIPT_FROM(established, more_holds_a_short_segment),
    SCRIPT(a_small_mss_of_the_peer),
    SCRIPT(timestamps_count_against_the_mss_rfc9293_3_7_1),
    SCRIPT(a_window_is_filled),
    SCRIPT_FROM(established, a_window_shrinks_in_a_repeated_ack_rfc9293_3_10_7_4),
    SCRIPT_FROM(established, a_window_opens_by_an_update),
    SCRIPT_FROM(established, a_closed_window_is_probed_rfc9293_3_8_6_1),
    SCRIPT_FROM(established, a_closed_window_stops_a_fin),
    SCRIPT_FROM(established, a_window_closes_behind_text_in_flight),
    SCRIPT_FROM(established, a_small_window_is_not_filled_at_once_rfc9293_3_8_6_2_1),
    SCRIPT_FROM(established, a_window_in_an_old_segment_is_not_taken_rfc9293_3_10_7_4),
    SCRIPT_FROM(established, a_timeout_and_its_backoff_rfc6298_5),
    SCRIPT_FROM(established, a_timeout_sends_one_segment_rfc5681_3_1),
    SCRIPT_FROM(established, an_ack_restarts_the_timer_rfc6298_5_3),
    SCRIPT_FROM(established, a_fin_times_out),
    SCRIPT_FROM(established, two_duplicate_acks_are_not_enough),
    SCRIPT_FROM(established, three_duplicate_acks_retransmit_rfc5681_3_2),
    SCRIPT_FROM(established, a_partial_ack_retransmits_the_next_rfc6582_3_2),
    SCRIPT_FROM(established, new_text_after_two_duplicate_acks_rfc3042),
    SCRIPT(acks_with_another_window_are_no_duplicates_rfc5681_2),
    SCRIPT_FROM(established, acks_with_text_are_no_duplicates_rfc5681_2),
    SCRIPT_FROM(established, a_packet_was_too_big_rfc1191),
    SCRIPT_FROM(established, a_packet_was_too_big_below_the_floor),
    SCRIPT_FROM(established, icmp_port_unreachable_rfc5927_5_2),
    SCRIPT_FROM(established, icmp_host_unreachable),
    SCRIPT_FROM(established, keepalive_asks_and_is_answered),
};

const struct chapter chapter_send = CHAPTER(scripts);
