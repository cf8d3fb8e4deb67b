/* SPDX-License-Identifier: MIT */
/*
 * How connections end: RFC 9293 3.6, RFC 2525 2.17 (close with unread data), RFC 1337 and RFC 6191
 * (TIME-WAIT).
 */
#include <sys/socket.h>

#include "scripts.h"

static void the_application_closes_first(struct trial *t)
{
    app_close(t);
    peer(t, ". 1:1(0) ack 2");
    peer(t, "F. 1:1(0) ack 2");
    peer(t, ". 2:2(0) ack 2");
}

static void the_peer_closes_first(struct trial *t)
{
    peer_then_rest(t, "F. 1:1(0) ack 1");
    app_events(t);
    app_recv(t, 100);
    app_close(t);
    peer(t, ". 2:2(0) ack 2");
    peer(t, ". 2:2(0) ack 2");
}

static void both_close_at_once(struct trial *t)
{
    app_close(t);
    peer(t, "F. 1:1(0) ack 1");
    peer(t, ". 2:2(0) ack 2");
    peer(t, ". 2:2(0) ack 2");
}

static void a_fin_that_acknowledges_ours(struct trial *t)
{
    app_close(t);
    peer(t, "F. 1:1(0) ack 2");
    peer(t, ". 2:2(0) ack 2");
}

static void half_closed_by_the_application(struct trial *t)
{
    app_shutdown(t, SHUT_WR);
    app_send(t, 100);
    peer_then_rest(t, "P. 1:101(100) ack 2");
    app_recv(t, 1000);
    app_events(t);
    peer(t, "F. 101:101(0) ack 2");
    app_recv(t, 1000);
    app_events(t);
}

static void half_closed_by_the_peer(struct trial *t)
{
    peer_then_rest(t, "F. 1:1(0) ack 1");
    app_send(t, 100);
    peer(t, ". 2:2(0) ack 101");
    app_events(t);
    app_shutdown(t, SHUT_WR);
    app_events(t);
    peer(t, ". 2:2(0) ack 102");
    app_events(t);
}

static void text_goes_before_the_fin(struct trial *t)
{
    app_send(t, 100);
    app_send(t, 100);
    app_close(t);
    peer(t, ". 1:1(0) ack 202");
}

static void shutdown_is_called_twice(struct trial *t)
{
    app_shutdown(t, SHUT_WR);
    app_shutdown(t, SHUT_WR);
    peer(t, ". 1:1(0) ack 2");
    app_shutdown(t, SHUT_RDWR);
}

static void close_with_unread_text_rfc2525_2_17(struct trial *t)
{
    peer_then_rest(t, "P. 1:101(100) ack 1");
    app_close(t);
    peer(t, ". 101:101(0) ack 1");
}

static void close_with_unread_text_and_fin(struct trial *t)
{
    peer_then_rest(t, "FP. 1:101(100) ack 1");
    app_close(t);
    peer(t, ". 102:102(0) ack 1");
}

static void close_with_linger_0(struct trial *t)
{
    app_linger(t, 0);
    app_close(t);
    peer(t, ". 1:1(0) ack 1");
}

static void close_with_linger_0_and_text_in_flight(struct trial *t)
{
    app_send(t, 100);
    app_linger(t, 0);
    app_close(t);
    peer(t, ". 1:1(0) ack 101");
}

static void text_after_close_rfc9293_3_6_1(struct trial *t)
{
    app_close(t);
    peer(t, ". 1:1(0) ack 2");
    peer(t, "P. 1:101(100) ack 2");
    peer(t, "P. 1:101(100) ack 2");
}

static void calls_after_a_rst(struct trial *t)
{
    peer(t, "R 1:1(0)");
    app_events(t);
    app_send(t, 100);
    app_send(t, 100);
    app_recv(t, 100);
    app_shutdown(t, SHUT_WR);
}

static void calls_after_a_rst_in_close_wait(struct trial *t)
{
    peer_then_rest(t, "F. 1:1(0) ack 1");
    peer(t, "R 2:2(0)");
    app_recv(t, 100);
    app_send(t, 100);
    app_send(t, 100);
}

static void a_rst_answers_the_fin(struct trial *t)
{
    app_close(t);
    peer(t, "R 1:1(0)");
    peer(t, ". 1:1(0) ack 2");
}

static void calls_before_there_is_a_connection(struct trial *t)
{
    app_socket(t);
    app_send(t, 100);
    app_recv(t, 100);
    app_shutdown(t, SHUT_WR);
    app_events(t);
    app_error(t);
}

static void connect_is_called_on_a_connection(struct trial *t)
{
    app_connect(t);
}

/* ---- TIME-WAIT ---- */

static void the_last_fin_again(struct trial *t)
{
    peer(t, "F. 1:1(0) ack 2");
    peer(t, "F. 1:1(0) ack 2");
}

static void an_old_duplicate(struct trial *t)
{
    peer(t, "P. 1:101(100) ack 2");
    rest(t, 600);
    peer(t, ". 1:1(0) ack 1");
}

static void a_syn_above_rfc9293_3_6_1(struct trial *t)
{
    next_connection(t, 100000);
    peer(t, "S 0:0(0) <mss 1460>");
    peer(t, ". 1:1(0) ack 1");
    app_accept(t);
}

static void a_syn_below_rfc9293_3_6_1(struct trial *t)
{
    peer(t, "S 4294867296:4294867296(0) <mss 1460>");
}

static void time_wait_with_timestamps(struct trial *t)
{
    app_listen(t, 8);
    peer(t, "S 0:0(0) <mss 1460,nop,nop,TS val 1000 ecr 0>");
    peer(t, ". 1:1(0) ack 1");
    app_accept(t);
    app_close(t);
    peer(t, "F. 1:1(0) ack 2");
}

static void a_newer_timestamp_opens_anew_rfc6191_2(struct trial *t)
{
    rest(t, 1100); /* the kernel wants a second to lie between them */
    next_connection(t, -100000u);
    peer(t, "S 0:0(0) <mss 1460,nop,nop,TS val 9000 ecr 0>");
    peer(t, ". 1:1(0) ack 1 <nop,nop,TS val 9000 ecr 0>");
    app_accept(t);
}

static void an_older_timestamp_does_not_open_rfc6191_2(struct trial *t)
{
    peer(t, "S 100000:100000(0) <mss 1460,nop,nop,TS val 500 ecr 0>");
}

static void an_old_timestamp_of_text(struct trial *t)
{
    peer(t, "P. 2:102(100) ack 2 <nop,nop,TS val 500 ecr 0>");
}

static const struct script scripts[] = {
    SCRIPT_FROM(established, the_application_closes_first),
    SCRIPT_FROM(established, the_peer_closes_first),
    SCRIPT_FROM(established, both_close_at_once),
    SCRIPT_FROM(established, a_fin_that_acknowledges_ours),
    SCRIPT_FROM(established, half_closed_by_the_application),
    SCRIPT_FROM(established, half_closed_by_the_peer),
    SCRIPT_FROM(established, text_goes_before_the_fin),
    SCRIPT_FROM(established, shutdown_is_called_twice),
    SCRIPT_FROM(established, close_with_unread_text_rfc2525_2_17),
    SCRIPT_FROM(established, close_with_unread_text_and_fin),
    SCRIPT_FROM(established, close_with_linger_0),
    SCRIPT_FROM(established, close_with_linger_0_and_text_in_flight),
    SCRIPT_FROM(established, text_after_close_rfc9293_3_6_1),
    SCRIPT_FROM(established, calls_after_a_rst),
    SCRIPT_FROM(established, calls_after_a_rst_in_close_wait),
    SCRIPT_FROM(established, a_rst_answers_the_fin),
    SCRIPT(calls_before_there_is_a_connection),
    SCRIPT_FROM(established, connect_is_called_on_a_connection),
    SCRIPT_FROM(time_wait, the_last_fin_again),
    SCRIPT_FROM(time_wait, an_old_duplicate),
    SCRIPT_FROM(time_wait, a_syn_above_rfc9293_3_6_1),
    SCRIPT_FROM(time_wait, a_syn_below_rfc9293_3_6_1),
    SCRIPT_FROM(time_wait_with_timestamps, a_newer_timestamp_opens_anew_rfc6191_2),
    SCRIPT_FROM(time_wait_with_timestamps, an_older_timestamp_does_not_open_rfc6191_2),
    SCRIPT_FROM(time_wait_with_timestamps, an_old_timestamp_of_text),
};

const struct chapter chapter_close = CHAPTER(scripts);
