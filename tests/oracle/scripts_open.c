/* SPDX-License-Identifier: MIT */
/*
 * How connections begin, and what those get who talk to nobody: CLOSED and LISTEN, SYN-SENT and the
 * options of a SYN (RFC 9293 3.5, 3.10.7.1 to 3.10.7.3, RFC 7323, RFC 2018, RFC 3168).
 */
#include <sys/socket.h>

#include "scripts.h"

/* ---- A closed port: RFC 9293 3.10.7.1 ---- */

static void closed_port_and_syn(struct trial *t)
{
    peer(t, "S 0:0(0) <mss 1460>");
}

static void closed_port_and_syn_with_text(struct trial *t)
{
    peer(t, "S 0:100(100) <mss 1460>");
}

static void closed_port_and_ack(struct trial *t)
{
    peer(t, ". 1:1(0) ack 5000");
}

static void closed_port_and_syn_ack(struct trial *t)
{
    peer(t, "S. 0:0(0) ack 5000 <mss 1460>");
}

static void closed_port_and_text(struct trial *t)
{
    peer(t, "P. 1:101(100) ack 5000");
}

static void closed_port_and_text_without_ack(struct trial *t)
{
    peer(t, "P 1:101(100)");
}

static void closed_port_and_fin(struct trial *t)
{
    peer(t, "F 1:1(0)");
}

static void closed_port_and_fin_ack(struct trial *t)
{
    peer(t, "F. 1:1(0) ack 5000");
}

static void closed_port_and_syn_fin(struct trial *t)
{
    peer(t, "SF 0:0(0)");
}

static void closed_port_and_rst(struct trial *t)
{
    peer(t, "R 1:1(0)");
    peer(t, "R. 1:1(0) ack 5000");
    peer(t, "SR 1:1(0)");
}

static void closed_port_and_no_flags(struct trial *t)
{
    peer(t, "- 1:1(0)");
}

static void closed_port_and_all_flags_but_rst(struct trial *t)
{
    peer(t, "FSPU. 1:1(0) ack 5000 urg 1");
}

/* ---- LISTEN: 3.10.7.2 ---- */

static void listener_and_rst(struct trial *t)
{
    app_listen(t, 8);
    peer(t, "R 1:1(0)");
    peer(t, "R. 1:1(0) ack 5000");
    peer(t, "SR 1:1(0)");
}

static void listener_and_ack(struct trial *t)
{
    app_listen(t, 8);
    peer(t, ". 1:1(0) ack 5000");
}

static void listener_and_syn_ack(struct trial *t)
{
    app_listen(t, 8);
    peer(t, "S. 0:0(0) ack 5000 <mss 1460>");
}

static void listener_and_no_flags(struct trial *t)
{
    app_listen(t, 8);
    peer(t, "- 1:1(0)");
}

static void listener_and_fin(struct trial *t)
{
    app_listen(t, 8);
    peer(t, "F 1:1(0)");
}

static void listener_and_text_without_syn(struct trial *t)
{
    app_listen(t, 8);
    peer(t, "PU 1:101(100) urg 5");
}

static void listener_and_syn_fin(struct trial *t)
{
    app_listen(t, 8);
    peer(t, "SF 0:0(0) <mss 1460>");
}

static void listener_and_all_flags(struct trial *t)
{
    app_listen(t, 8);
    peer(t, "FSRPU. 0:0(0) ack 5000 urg 1");
}

static void listener_is_closed_with_a_connection_half_open(struct trial *t)
{
    syn_received(t);
    app_close_listener(t);
    peer(t, ". 1:1(0) ack 1");
}

static void listener_is_closed_with_a_connection_to_accept(struct trial *t)
{
    syn_received(t);
    peer(t, ". 1:1(0) ack 1");
    app_close_listener(t);
    peer(t, ". 1:1(0) ack 1");
}

/* ---- The options of a SYN ---- */

static void answers_syn(struct trial *t, const char *options)
{
    t->hides_push = true;
    app_listen(t, 8);
    peer(t, "S 0:0(0) %s", options);
    peer(t, ". 1:1(0) ack 1");
    app_accept(t);
    peer_then_rest(t, "P. 1:101(100) ack 1");
    app_recv(t, 1000);
    app_send(t, 100);
}

static void syn_without_options(struct trial *t)
{
    answers_syn(t, "<>");
}

static void syn_with_every_option(struct trial *t)
{
    answers_syn(t, "<mss 1460,sackOK,TS val 1000 ecr 0,nop,wscale 7>");
}

static void syn_with_timestamps(struct trial *t)
{
    answers_syn(t, "<mss 1460,nop,nop,TS val 1000 ecr 0>");
}

static void syn_with_window_scale(struct trial *t)
{
    answers_syn(t, "<mss 1460,nop,wscale 7>");
}

static void syn_with_window_scale_over_14_rfc7323_2_3(struct trial *t)
{
    answers_syn(t, "<mss 1460,nop,wscale 15>");
}

static void syn_with_sack_permitted(struct trial *t)
{
    answers_syn(t, "<mss 1460,nop,nop,sackOK>");
}

static void syn_with_an_unknown_option(struct trial *t)
{
    answers_syn(t, "<mss 1460,opt 254 0102030405060708>");
}

static void syn_with_an_option_of_length_0(struct trial *t)
{
    answers_syn(t, "<mss 1460,hex fe00>");
}

static void syn_with_an_option_of_length_1(struct trial *t)
{
    answers_syn(t, "<mss 1460,hex fe01>");
}

static void syn_with_an_option_past_the_end(struct trial *t)
{
    answers_syn(t, "<mss 1460,hex fe28>");
}

static void syn_with_an_mss_of_wrong_length(struct trial *t)
{
    answers_syn(t, "<hex 0203010000>");
}

static void syn_with_options_behind_the_end_of_the_list(struct trial *t)
{
    answers_syn(t, "<mss 1460,eol,nop,sackOK>");
}

static void syn_with_mss_0(struct trial *t)
{
    answers_syn(t, "<mss 0>");
}

static void syn_with_mss_1(struct trial *t)
{
    answers_syn(t, "<mss 1>");
}

static void syn_with_mss_64(struct trial *t)
{
    answers_syn(t, "<mss 64>");
}

static void syn_with_the_largest_mss(struct trial *t)
{
    answers_syn(t, "<mss 65535>");
}

static void syn_with_ecn_setup_rfc3168_6_1_1(struct trial *t)
{
    app_listen(t, 8);
    peer(t, "SEW 0:0(0) <mss 1460>");
    peer(t, ". 1:1(0) ack 1");
    app_accept(t);
    app_send(t, 100);
}

static void syn_with_half_an_ecn_setup(struct trial *t)
{
    app_listen(t, 8);
    peer(t, "SE 0:0(0) <mss 1460>");
}

/* ---- The passive side ---- */

static void syn_with_text_rfc9293_3_10_7_2(struct trial *t)
{
    app_listen(t, 8);
    peer(t, "S 0:100(100) <mss 1460>");
    peer(t, ". 101:101(0) ack 1");
    app_accept(t);
    app_recv(t, 1000);
    peer_then_rest(t, "P. 1:101(100) ack 1");
    app_recv(t, 1000);
}

static void handshake_ack_with_text(struct trial *t)
{
    syn_received(t);
    peer_then_rest(t, "P. 1:101(100) ack 1");
    app_accept(t);
    app_recv(t, 1000);
}

static void handshake_ack_with_fin(struct trial *t)
{
    syn_received(t);
    peer_then_rest(t, "F. 1:1(0) ack 1");
    app_accept(t);
    app_recv(t, 1000);
}

static void handshake_ack_of_a_wrong_number(struct trial *t)
{
    syn_received(t);
    peer(t, ". 1:1(0) ack 2");
    peer(t, ". 1:1(0) ack 0");
    peer(t, ". 1:1(0) ack 1");
    app_accept(t);
}

static void another_syn_in_syn_received(struct trial *t)
{
    syn_received(t);
    peer(t, "S 4294967196:4294967196(0) <mss 1460>");
    peer(t, ". 1:1(0) ack 1");
    app_accept(t);
}

static void syn_ack_is_repeated_after_a_second_rfc6298_2(struct trial *t)
{
    syn_received(t);
    rest(t, 1200);
    peer(t, ". 1:1(0) ack 1");
    app_accept(t);
}

static void accept_queue_of_one(struct trial *t)
{
    app_listen(t, 1);
    for (unsigned i = 0; i < 4; i++) {
        on_flow(t, i);
        peer(t, "S 0:0(0) <mss 1460>");
        peer(t, ". 1:1(0) ack 1");
    }
    on_flow(t, 0);
    app_accept(t);
    on_flow(t, 3);
    peer(t, "S 0:0(0) <mss 1460>");
}

/* ---- SYN-SENT: 3.10.7.3 ---- */

/* What became of the call, and whether the connection is there. */
static void look(struct trial *t)
{
    app_events(t);
    app_error(t);
    peer(t, ". 1:1(0) ack 1");
}

static void connects(struct trial *t)
{
    peer(t, "S. 0:0(0) ack 1 <mss 1460>");
    look(t);
    app_send(t, 100);
}

static void connects_with_every_option(struct trial *t)
{
    peer(t, "S. 0:0(0) ack 1 <mss 1460,sackOK,TS val 1000 ecr 0,nop,wscale 7>");
    look(t);
    app_send(t, 100);
}

static void connects_and_text_comes_with_the_syn_ack(struct trial *t)
{
    peer_then_rest(t, "S. 0:100(100) ack 1 <mss 1460>");
    app_recv(t, 1000);
    look(t);
}

static void connects_and_a_fin_comes_with_the_syn_ack(struct trial *t)
{
    peer_then_rest(t, "SF. 0:0(0) ack 1 <mss 1460>");
    app_recv(t, 1000);
    look(t);
}

static void refused_by_rst_with_ack(struct trial *t)
{
    peer(t, "R. 0:0(0) ack 1");
    look(t);
}

static void rst_without_ack(struct trial *t)
{
    peer(t, "R 0:0(0)");
    look(t);
}

static void rst_with_a_wrong_ack(struct trial *t)
{
    peer_then_rest(t, "R. 0:0(0) ack 2");
    look(t);
}

static void syn_ack_of_a_wrong_number(struct trial *t)
{
    peer_then_rest(t, "S. 0:0(0) ack 2 <mss 1460>");
    peer_then_rest(t, "S. 0:0(0) ack 0 <mss 1460>");
    peer(t, "S. 0:0(0) ack 1 <mss 1460>");
}

static void syn_ack_with_rst(struct trial *t)
{
    peer(t, "SR. 0:0(0) ack 1");
    look(t);
}

static void ack_of_the_syn_alone(struct trial *t)
{
    peer(t, ". 0:0(0) ack 1");
    look(t);
}

static void ack_of_a_wrong_number(struct trial *t)
{
    peer_then_rest(t, ". 0:0(0) ack 2");
    look(t);
}

static void fin_or_text_without_syn(struct trial *t)
{
    peer(t, "F 0:0(0)");
    peer(t, "P 0:100(100)");
    peer(t, "- 0:0(0)");
}

static void simultaneous_open_rfc9293_3_5(struct trial *t)
{
    peer(t, "S 0:0(0) <mss 1460>");
    peer(t, "S. 0:0(0) ack 1 <mss 1460>");
    look(t);
    app_send(t, 100);
}

static void simultaneous_open_completed_by_an_ack(struct trial *t)
{
    peer(t, "S 0:0(0) <mss 1460>");
    peer(t, ". 1:1(0) ack 1");
    look(t);
}

static void simultaneous_open_and_rst(struct trial *t)
{
    peer(t, "S 0:0(0) <mss 1460>");
    peer(t, "R 1:1(0)");
    look(t);
}

static void simultaneous_open_and_rst_elsewhere_in_the_window(struct trial *t)
{
    peer(t, "S 0:0(0) <mss 1460>");
    peer(t, "R 101:101(0)");
    look(t);
}

static void syn_is_repeated_after_a_second_rfc6298_2(struct trial *t)
{
    rest(t, 1200);
    peer(t, "S. 0:0(0) ack 1 <mss 1460>");
    look(t);
}

static void send_and_recv_are_called(struct trial *t)
{
    app_send(t, 100);
    app_recv(t, 100);
    app_connect(t);
    peer(t, "S. 0:0(0) ack 1 <mss 1460>");
}

static void close_is_called(struct trial *t)
{
    app_close(t);
    peer(t, "S. 0:0(0) ack 1 <mss 1460>");
}

static void shutdown_is_called(struct trial *t)
{
    app_shutdown(t, SHUT_WR);
    peer(t, "S. 0:0(0) ack 1 <mss 1460>");
}

/* ---- ICMP in SYN-SENT: RFC 9293 3.9.2.2, RFC 5927 ---- */

static void icmp_network_unreachable(struct trial *t)
{
    peer_icmp(t, 3, 0, 0);
    look(t);
}

static void icmp_host_unreachable(struct trial *t)
{
    peer_icmp(t, 3, 1, 0);
    look(t);
}

static void icmp_protocol_unreachable(struct trial *t)
{
    peer_icmp(t, 3, 2, 0);
    look(t);
}

static void icmp_port_unreachable(struct trial *t)
{
    peer_icmp(t, 3, 3, 0);
    look(t);
}

static void icmp_source_route_failed(struct trial *t)
{
    peer_icmp(t, 3, 5, 0);
    look(t);
}

static void icmp_administratively_prohibited(struct trial *t)
{
    peer_icmp(t, 3, 13, 0);
    look(t);
}

static void icmp_time_exceeded(struct trial *t)
{
    peer_icmp(t, 11, 0, 0);
    look(t);
}

static void icmp_parameter_problem(struct trial *t)
{
    peer_icmp(t, 12, 0, 0);
    look(t);
}

static void icmp_source_quench(struct trial *t)
{
    peer_icmp(t, 4, 0, 0);
    look(t);
}

static const struct script scripts[] = {
    SCRIPT(closed_port_and_syn),
    SCRIPT(closed_port_and_syn_with_text),
    SCRIPT(closed_port_and_ack),
    SCRIPT(closed_port_and_syn_ack),
    SCRIPT(closed_port_and_text),
    SCRIPT(closed_port_and_text_without_ack),
    SCRIPT(closed_port_and_fin),
    SCRIPT(closed_port_and_fin_ack),
    SCRIPT(closed_port_and_syn_fin),
    SCRIPT(closed_port_and_rst),
    SCRIPT(closed_port_and_no_flags),
    SCRIPT(closed_port_and_all_flags_but_rst),
    SCRIPT(listener_and_rst),
    SCRIPT(listener_and_ack),
    SCRIPT(listener_and_syn_ack),
    SCRIPT(listener_and_no_flags),
    SCRIPT(listener_and_fin),
    SCRIPT(listener_and_text_without_syn),
    SCRIPT(listener_and_syn_fin),
    SCRIPT(listener_and_all_flags),
    SCRIPT(listener_is_closed_with_a_connection_half_open),
    SCRIPT(listener_is_closed_with_a_connection_to_accept),
    SCRIPT(syn_without_options),
    SCRIPT(syn_with_every_option),
    SCRIPT(syn_with_timestamps),
    SCRIPT(syn_with_window_scale),
    SCRIPT(syn_with_window_scale_over_14_rfc7323_2_3),
    SCRIPT(syn_with_sack_permitted),
    SCRIPT(syn_with_an_unknown_option),
    SCRIPT(syn_with_an_option_of_length_0),
    SCRIPT(syn_with_an_option_of_length_1),
    SCRIPT(syn_with_an_option_past_the_end),
    SCRIPT(syn_with_an_mss_of_wrong_length),
    SCRIPT(syn_with_options_behind_the_end_of_the_list),
    SCRIPT(syn_with_mss_0),
    SCRIPT(syn_with_mss_1),
    SCRIPT(syn_with_mss_64),
    SCRIPT(syn_with_the_largest_mss),
    SCRIPT(syn_with_ecn_setup_rfc3168_6_1_1),
    SCRIPT(syn_with_half_an_ecn_setup),
    SCRIPT(syn_with_text_rfc9293_3_10_7_2),
    SCRIPT(handshake_ack_with_text),
    SCRIPT(handshake_ack_with_fin),
    SCRIPT(handshake_ack_of_a_wrong_number),
    SCRIPT(another_syn_in_syn_received),
    SCRIPT(syn_ack_is_repeated_after_a_second_rfc6298_2),
    SCRIPT(accept_queue_of_one),
    SCRIPT_IN(syn_sent, connects),
    SCRIPT_IN(syn_sent, connects_with_every_option),
    SCRIPT_IN(syn_sent, connects_and_text_comes_with_the_syn_ack),
    SCRIPT_IN(syn_sent, connects_and_a_fin_comes_with_the_syn_ack),
    SCRIPT_IN(syn_sent, refused_by_rst_with_ack),
    SCRIPT_IN(syn_sent, rst_without_ack),
    SCRIPT_IN(syn_sent, rst_with_a_wrong_ack),
    SCRIPT_IN(syn_sent, syn_ack_of_a_wrong_number),
    SCRIPT_IN(syn_sent, syn_ack_with_rst),
    SCRIPT_IN(syn_sent, ack_of_the_syn_alone),
    SCRIPT_IN(syn_sent, ack_of_a_wrong_number),
    SCRIPT_IN(syn_sent, fin_or_text_without_syn),
    SCRIPT_IN(syn_sent, simultaneous_open_rfc9293_3_5),
    SCRIPT_IN(syn_sent, simultaneous_open_completed_by_an_ack),
    SCRIPT_IN(syn_sent, simultaneous_open_and_rst),
    SCRIPT_IN(syn_sent, simultaneous_open_and_rst_elsewhere_in_the_window),
    SCRIPT_IN(syn_sent, syn_is_repeated_after_a_second_rfc6298_2),
    SCRIPT_IN(syn_sent, send_and_recv_are_called),
    SCRIPT_IN(syn_sent, close_is_called),
    SCRIPT_IN(syn_sent, shutdown_is_called),
    SCRIPT_IN(syn_sent, icmp_network_unreachable),
    SCRIPT_IN(syn_sent, icmp_host_unreachable),
    SCRIPT_IN(syn_sent, icmp_protocol_unreachable),
    SCRIPT_IN(syn_sent, icmp_port_unreachable),
    SCRIPT_IN(syn_sent, icmp_source_route_failed),
    SCRIPT_IN(syn_sent, icmp_administratively_prohibited),
    SCRIPT_IN(syn_sent, icmp_time_exceeded),
    SCRIPT_IN(syn_sent, icmp_parameter_problem),
    SCRIPT_IN(syn_sent, icmp_source_quench),
};

const struct chapter chapter_open = CHAPTER(scripts);
