/* SPDX-License-Identifier: MIT */
/* Explicit congestion notification, RFC 3168 6.1. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "fixtures.h"

#define MSS 1460u

/* ---- What the tests share -------------------------------------------------------------------- */

/* The remote has asked for ECN, and Strait has agreed. */
static void opened_with_ecn(struct script *s)
{
    app_listen(s, 8);
    recv(s, "SEW 0:0(0) <mss 1460>");
    expect(s, "SE. 0:0(0) ack 1 <*>");
    recv(s, ". 1:1(0) ack 1");
    app_accept(s);
}

static void asks_on_connect(struct script *s)
{
    s->config.ecn = STRAIT_ECN_REQUEST;
    remake(s);
}

static struct tcp_info info(struct script *s)
{
    struct tcp_info info;
    socklen_t length = sizeof info;
    assert_int_equal(
        strait_getsockopt(s->stack, s->flow->fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    return info;
}

/* Full segments from `seq` to `end`, capable of ECN. */
static void expect_capable(struct script *s, uint32_t seq, uint32_t end)
{
    for (; seq < end; seq += MSS)
        expect(s, ". %u:%u(1460) ack 1 ect0", seq, seq + MSS);
}

/* ---- Negotiation, 6.1.1 ---------------------------------------------------------------------- */

static void a_syn_that_asks_is_agreed_to_rfc3168_6_1_1(void **state)
{
    struct script *s = *state;
    opened_with_ecn(s);
    assert_true(info(s).tcpi_options & TCPI_OPT_ECN);
    recv(s, "P. 1:11(10) ack 1 ect0");
    expect_after(s, 40, ". 1:1(0) ack 11");
    app_send(s, 100);
    expect(s, "P. 1:101(100) ack 11 ect0");
}

static void a_syn_that_does_not_ask_is_not_agreed_to_rfc3168_6_1_1(void **state)
{
    struct script *s = *state;
    static const char *const flags[] = {"S", "SE", "SW"};
    app_listen(s, 8);
    for (unsigned i = 0; i < 3; i++) {
        on(s, i);
        recv(s, "%s 0:0(0) <mss 1460>", flags[i]);
        expect(s, "S. 0:0(0) ack 1 <*>");
        recv(s, ". 1:1(0) ack 1");
        app_accept(s);
        app_send(s, 100);
        expect(s, "P. 1:101(100) ack 1");
    }
}

static void ecn_that_is_off_is_not_agreed_to(void **state)
{
    struct script *s = *state;
    s->config.ecn = STRAIT_ECN_OFF;
    remake(s);
    app_listen(s, 8);
    recv(s, "SEW 0:0(0) <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <*>");
    recv(s, ". 1:1(0) ack 1");
    app_accept(s);
    recv(s, "P. 1:11(10) ack 1 ce");
    expect_after(s, 40, ". 1:1(0) ack 11");
}

static void a_syn_ack_is_repeated_with_ece(void **state)
{
    struct script *s = *state;
    app_listen(s, 8);
    recv(s, "SEW 0:0(0) <mss 1460>");
    expect(s, "SE. 0:0(0) ack 1 <*>");
    recv(s, "SEW 0:0(0) <mss 1460>");
    expect(s, "SE. 0:0(0) ack 1 <*>");
    expect_after(s, 1000, "SE. 0:0(0) ack 1 <*>");
}

static void a_syn_that_comes_again_without_asking_ends_it_rfc3168_6_1_1(void **state)
{
    struct script *s = *state;
    app_listen(s, 8);
    recv(s, "SEW 0:0(0) <mss 1460>");
    expect(s, "SE. 0:0(0) ack 1 <*>");
    recv(s, "S 0:0(0) <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <*>");
    recv(s, ". 1:1(0) ack 1");
    app_accept(s);
    app_send(s, 100);
    expect(s, "P. 1:101(100) ack 1");
}

static void a_cookie_brings_ecn_back_with_timestamps_rfc4987_3_6(void **state)
{
    struct script *s = *state;
    s->config.half_open_max = 1;
    remake(s);
    on(s, 2);
    syn_received(s); /* the one record there may be */
    for (unsigned i = 0; i < 2; i++) {
        bool timestamps = i == 0;
        on(s, i);
        recv(s, "SEW 0:0(0) <mss 1460%s>", timestamps ? ",nop,nop,TS val 1000 ecr 0" : "");
        expect(s, "%s 0:0(0) ack 1 <*>", timestamps ? "SE." : "S.");
        recv(s, ". 1:1(0) ack 1");
        app_accept(s);
        app_send(s, 100);
        expect(s, "P. 1:101(100) ack 1%s", timestamps ? " ect0" : "");
        recv(s, ". 1:1(0) ack 101");
    }
    assert_int_equal(counter(s, "tcp_cookies_accepted"), 2);
}

static void connect_asks_only_if_it_is_told_to(void **state)
{
    struct script *s = *state;
    app_connect(s);
    expect(s, "S 0:0(0) <*>");
}

static void connect_asks_and_the_answer_turns_it_on_rfc3168_6_1_1(void **state)
{
    struct script *s = *state;
    asks_on_connect(s);
    app_connect(s);
    expect(s, "SEW 0:0(0) <*>");
    recv(s, "SE. 0:0(0) ack 1 <mss 1460>");
    expect(s, ". 1:1(0) ack 1");
    app_send(s, 100);
    expect(s, "P. 1:101(100) ack 1 ect0");
}

static void an_answer_that_does_not_agree_turns_it_off_rfc3168_6_1_1(void **state)
{
    struct script *s = *state;
    /* The second reflects what it does not understand. */
    static const char *const flags[] = {"S.", "SEW.", "SW."};
    asks_on_connect(s);
    for (unsigned i = 0; i < 3; i++) {
        on(s, i);
        app_connect(s);
        expect(s, "SEW 0:0(0) <*>");
        recv(s, "%s 0:0(0) ack 1 <mss 1460>", flags[i]);
        expect(s, ". 1:1(0) ack 1");
        app_send(s, 100);
        expect(s, "P. 1:101(100) ack 1");
        recv(s, "P. 1:11(10) ack 101 ce");
        expect_after(s, 40, ". 101:101(0) ack 11");
    }
}

static void a_syn_that_nobody_answers_stops_asking_rfc3168_6_1_1_1(void **state)
{
    struct script *s = *state;
    asks_on_connect(s);
    app_connect(s);
    expect(s, "SEW 0:0(0) <*>");
    expect_after(s, 1000, "SEW 0:0(0) <*>");
    expect_after(s, 2000, "S 0:0(0) <*>");
    expect_after(s, 4000, "S 0:0(0) <*>");
}

/* Its SYN without the bits forbids ECT, but the peer that saw the first may send it. */
static void an_answer_to_a_syn_that_asked_after_one_that_did_not_rfc3168_6_1_1(void **state)
{
    struct script *s = *state;
    asks_on_connect(s);
    app_connect(s);
    expect(s, "SEW 0:0(0) <*>");
    expect_after(s, 1000, "SEW 0:0(0) <*>");
    expect_after(s, 2000, "S 0:0(0) <*>");
    recv(s, "SE. 0:0(0) ack 1 <mss 1460>");
    expect(s, ". 1:1(0) ack 1");
    app_send(s, 100);
    expect(s, "P. 1:101(100) ack 1");
    recv(s, "P. 1:11(10) ack 101 ce");
    expect(s, "E. 101:101(0) ack 11");
}

static void simultaneous_open_is_without_ecn(void **state)
{
    struct script *s = *state;
    asks_on_connect(s);
    app_connect(s);
    expect(s, "SEW 0:0(0) <*>");
    recv(s, "SEW 0:0(0) <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <*>");
    recv(s, ". 1:1(0) ack 1");
    app_send(s, 100);
    expect(s, "P. 1:101(100) ack 1");
}

/* ---- The receiver of marks, 6.1.3 ------------------------------------------------------------ */

static void a_mark_is_echoed_until_cwr_rfc3168_6_1_3(void **state)
{
    struct script *s = *state;
    opened_with_ecn(s);
    recv(s, "P. 1:11(10) ack 1 ce");
    expect(s, "E. 1:1(0) ack 11");
    recv(s, "P. 11:21(10) ack 1 ect0");
    expect_after(s, 40, "E. 1:1(0) ack 21");
    app_send(s, 100);
    expect(s, "PE. 1:101(100) ack 21 ect0");
    recv(s, "PW. 21:31(10) ack 101 ect0");
    expect_after(s, 40, ". 101:101(0) ack 31");
    assert_int_equal(counter(s, "tcp_ecn_marks_in"), 1);
}

static void a_mark_on_the_segment_with_cwr_is_new_rfc3168_6_1_3(void **state)
{
    struct script *s = *state;
    opened_with_ecn(s);
    recv(s, "P. 1:11(10) ack 1 ce");
    expect(s, "E. 1:1(0) ack 11");
    recv(s, "PW. 11:21(10) ack 1 ce");
    expect(s, "E. 1:1(0) ack 21");
}

static void a_mark_on_a_super_packet_counts(void **state)
{
    struct script *s = *state;
    opened_with_ecn(s);
    recv_super(s, 1460, ". 1:4381(4380) ack 1 ce");
    expect(s, "E. 1:1(0) ack 4381");
    assert_int_equal(counter(s, "tcp_ecn_marks_in"), 3);
}

static void a_mark_on_out_of_order_text_is_echoed(void **state)
{
    struct script *s = *state;
    opened_with_ecn(s);
    recv(s, "P. 11:21(10) ack 1 ce");
    expect(s, "E. 1:1(0) ack 1 <*>");
}

static void a_mark_on_a_bare_ack_is_ignored_rfc3168_6_1_4(void **state)
{
    struct script *s = *state;
    opened_with_ecn(s);
    recv(s, ". 1:1(0) ack 1 ce");
    recv(s, "P. 1:11(10) ack 1 ect0");
    expect_after(s, 40, ". 1:1(0) ack 11");
}

static void a_mark_outside_the_window_is_ignored_rfc3168_6_1_5(void **state)
{
    struct script *s = *state;
    opened_with_ecn(s);
    recv(s, "P. 1:11(10) ack 1 ect0");
    expect_after(s, 40, ". 1:1(0) ack 11");
    recv(s, "P. 1:11(10) ack 1 ce");
    expect(s, ". 1:1(0) ack 11 <*>");
    recv(s, "P. 3000001:3000011(10) ack 1 ce");
    expect(s, ". 1:1(0) ack 11 <*>");
    assert_int_equal(counter(s, "tcp_ecn_marks_in"), 0);
}

static void without_agreement_a_mark_is_not_echoed_rfc3168_6_1_1(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, "P. 1:11(10) ack 1 ce");
    expect_after(s, 40, ". 1:1(0) ack 11");
}

/* ---- The sender, 6.1.2 ----------------------------------------------------------------------- */

static void an_echo_halves_the_window_once_rfc3168_6_1_2(void **state)
{
    struct script *s = *state;
    opened_with_ecn(s);
    app_send(s, 40 * MSS);
    expect_capable(s, 1, 1 + 10 * MSS);
    recv(s, "E. 1:1(0) ack %u", 1 + MSS); /* 10 were in flight: 5 may be */
    recv(s, "E. 1:1(0) ack %u", 1 + 3 * MSS);
    recv(s, "E. 1:1(0) ack %u", 1 + 5 * MSS);
    recv(s, "E. 1:1(0) ack %u", 1 + 6 * MSS);
    expect(s, "W. %u:%u(1460) ack 1 ect0", 1 + 10 * MSS, 1 + 11 * MSS);
    recv(s, "E. 1:1(0) ack %u", 1 + 8 * MSS);
    expect_capable(s, 1 + 11 * MSS, 1 + 13 * MSS);
    recv(s, "E. 1:1(0) ack %u", 1 + 10 * MSS);
    expect_capable(s, 1 + 13 * MSS, 1 + 15 * MSS);
    assert_int_equal(counter(s, "tcp_ecn_reductions"), 1);
    assert_int_equal(counter(s, "tcp_retransmitted_segments"), 0);
}

static void an_echo_of_what_was_sent_since_halves_it_again_rfc3168_6_1_2(void **state)
{
    struct script *s = *state;
    opened_with_ecn(s);
    app_send(s, 40 * MSS);
    expect_capable(s, 1, 1 + 10 * MSS);
    recv(s, "E. 1:1(0) ack %u", 1 + 10 * MSS);
    expect(s, "W. %u:%u(1460) ack 1 ect0", 1 + 10 * MSS, 1 + 11 * MSS);
    expect_capable(s, 1 + 11 * MSS, 1 + 15 * MSS);
    recv(s, "E. 1:1(0) ack %u", 1 + 11 * MSS); /* 5 were in flight: 2 and a half may be */
    recv(s, "E. 1:1(0) ack %u", 1 + 13 * MSS);
    recv(s, ". 1:1(0) ack %u", 1 + 14 * MSS);
    expect(s, "W. %u:%u(1460) ack 1 ect0", 1 + 15 * MSS, 1 + 16 * MSS);
    assert_int_equal(counter(s, "tcp_ecn_reductions"), 2);
}

static void an_echo_that_acknowledges_nothing_new_changes_nothing_rfc3168_6_1_2(void **state)
{
    struct script *s = *state;
    opened_with_ecn(s);
    app_send(s, 10 * MSS);
    expect_capable(s, 1, 1 + 9 * MSS);
    expect(s, "P. %u:%u(1460) ack 1 ect0", 1 + 9 * MSS, 1 + 10 * MSS);
    for (uint16_t window = 60000; window < 60100; window++)
        recv(s, "E. 1:1(0) ack 1 win %u", window);
    assert_int_equal(counter(s, "tcp_ecn_reductions"), 0);
    assert_int_equal(info(s).tcpi_snd_cwnd, 10);
}

/* 6.1.2: one segment is the least; then the timer alone lets the next one go. */
static void an_echo_in_a_window_of_one_segment_waits_for_the_timer_rfc3168_6_1_2(void **state)
{
    struct script *s = *state;
    opened_with_ecn(s);
    app_send(s, 12 * MSS);
    expect_capable(s, 1, 1 + 10 * MSS);
    recv(s, "E. 1:1(0) ack %u", 1 + 10 * MSS); /* leaves 5 */
    expect(s, "W. %u:%u(1460) ack 1 ect0", 1 + 10 * MSS, 1 + 11 * MSS);
    expect(s, "P. %u:%u(1460) ack 1 ect0", 1 + 11 * MSS, 1 + 12 * MSS);
    recv(s, "E. 1:1(0) ack %u", 1 + 12 * MSS); /* leaves 2, the least of RFC 5681 (4) */
    app_send(s, MSS);
    expect(s, "PW. %u:%u(1460) ack 1 ect0", 1 + 12 * MSS, 1 + 13 * MSS);
    recv(s, "E. 1:1(0) ack %u", 1 + 13 * MSS); /* leaves 1 */
    app_send(s, 3 * MSS);
    expect(s, "W. %u:%u(1460) ack 1 ect0", 1 + 13 * MSS, 1 + 14 * MSS);
    recv(s, "E. 1:1(0) ack %u", 1 + 14 * MSS); /* leaves nothing but the timer */
    expect_after(s, 200, "W. %u:%u(1460) ack 1 ect0", 1 + 14 * MSS, 1 + 15 * MSS);
    recv(s, "E. 1:1(0) ack %u", 1 + 15 * MSS);
    expect_after(s, 200, "PW. %u:%u(1460) ack 1 ect0", 1 + 15 * MSS, 1 + 16 * MSS);
    recv(s, ". 1:1(0) ack %u", 1 + 16 * MSS); /* from here it grows again */
    app_send(s, 2 * MSS);
    expect(s, ". %u:%u(1460) ack 1 ect0", 1 + 16 * MSS, 1 + 17 * MSS);
    expect(s, "P. %u:%u(1460) ack 1 ect0", 1 + 17 * MSS, 1 + 18 * MSS);
}

static void what_a_cork_held_goes_after_the_timer_rfc3168_6_1_2(void **state)
{
    struct script *s = *state;
    opened_with_ecn(s);
    app_send(s, 12 * MSS);
    expect_capable(s, 1, 1 + 10 * MSS);
    recv(s, "E. 1:1(0) ack %u", 1 + 10 * MSS);
    expect(s, "W. %u:%u(1460) ack 1 ect0", 1 + 10 * MSS, 1 + 11 * MSS);
    expect(s, "P. %u:%u(1460) ack 1 ect0", 1 + 11 * MSS, 1 + 12 * MSS);
    recv(s, "E. 1:1(0) ack %u", 1 + 12 * MSS);
    app_send(s, MSS);
    expect(s, "PW. %u:%u(1460) ack 1 ect0", 1 + 12 * MSS, 1 + 13 * MSS);
    recv(s, "E. 1:1(0) ack %u", 1 + 13 * MSS);
    app_send(s, MSS);
    expect(s, "PW. %u:%u(1460) ack 1 ect0", 1 + 13 * MSS, 1 + 14 * MSS);
    app_set(s, IPPROTO_TCP, TCP_CORK, 1);
    app_send(s, 10);
    recv(s, "E. 1:1(0) ack %u", 1 + 14 * MSS);
    expect_after(s, 400, "PW. %u:%u(10) ack 1 ect0", 1 + 14 * MSS, 11 + 14 * MSS);
}

/* RFC 5482 2: it is of what was sent. What waits for the timer has not been. */
static void the_user_timeout_begins_when_the_timer_lets_go_rfc5482_2(void **state)
{
    struct script *s = *state;
    opened_with_ecn(s);
    app_set(s, IPPROTO_TCP, TCP_USER_TIMEOUT, 150);
    app_send(s, 12 * MSS);
    expect_capable(s, 1, 1 + 10 * MSS);
    recv(s, "E. 1:1(0) ack %u", 1 + 10 * MSS);
    expect(s, "W. %u:%u(1460) ack 1 ect0", 1 + 10 * MSS, 1 + 11 * MSS);
    expect(s, "P. %u:%u(1460) ack 1 ect0", 1 + 11 * MSS, 1 + 12 * MSS);
    recv(s, "E. 1:1(0) ack %u", 1 + 12 * MSS);
    app_send(s, MSS);
    expect(s, "PW. %u:%u(1460) ack 1 ect0", 1 + 12 * MSS, 1 + 13 * MSS);
    recv(s, "E. 1:1(0) ack %u", 1 + 13 * MSS);
    app_send(s, MSS);
    expect(s, "PW. %u:%u(1460) ack 1 ect0", 1 + 13 * MSS, 1 + 14 * MSS);
    recv(s, "E. 1:1(0) ack %u", 1 + 14 * MSS);
    app_send(s, MSS);
    expect_after(s, 200, "PW. %u:%u(1460) ack 1 ect0", 1 + 14 * MSS, 1 + 15 * MSS);
    quiet(s, 149);
    app_send(s, 1);
    quiet(s, 2);
    app_send_fails(s, ETIMEDOUT);
}

static void a_loss_in_the_window_of_a_mark_does_not_halve_it_again_rfc3168_6_1_2(void **state)
{
    struct script *s = *state;
    opened_with_ecn(s);
    app_send(s, 40 * MSS);
    expect_capable(s, 1, 1 + 10 * MSS);
    recv(s, "E. 1:1(0) ack %u", 1 + MSS);
    assert_int_equal(info(s).tcpi_snd_ssthresh, 5);
    for (int i = 0; i < 3; i++)
        recv(s, "E. 1:1(0) ack %u", 1 + MSS);
    expect(s, ". %u:%u(1460) ack 1", 1 + MSS, 1 + 2 * MSS); /* 6.1.5: not capable */
    assert_int_equal(info(s).tcpi_snd_ssthresh, 5);
}

static void a_mark_in_the_window_of_a_loss_does_not_halve_it_again_rfc3168_6_1_2(void **state)
{
    struct script *s = *state;
    opened_with_ecn(s);
    app_send(s, 10 * MSS);
    expect_capable(s, 1, 1 + 9 * MSS);
    expect(s, "P. %u:%u(1460) ack 1 ect0", 1 + 9 * MSS, 1 + 10 * MSS);
    for (int i = 0; i < 3; i++)
        recv(s, "E. 1:1(0) ack 1");
    expect(s, ". 1:1461(1460) ack 1");
    recv(s, "E. 1:1(0) ack %u", 1 + 10 * MSS);
    assert_int_equal(counter(s, "tcp_ecn_reductions"), 0);
    assert_int_equal(info(s).tcpi_snd_ssthresh, 5);
}

static void a_loss_is_told_by_cwr_rfc3168_6_1_2(void **state)
{
    struct script *s = *state;
    opened_with_ecn(s);
    app_send(s, 10 * MSS);
    expect_capable(s, 1, 1 + 9 * MSS);
    expect(s, "P. %u:%u(1460) ack 1 ect0", 1 + 9 * MSS, 1 + 10 * MSS);
    for (int i = 0; i < 3; i++)
        recv(s, ". 1:1(0) ack 1");
    expect(s, ". 1:1461(1460) ack 1");
    recv(s, ". 1:1(0) ack %u", 1 + 10 * MSS);
    app_send(s, 2 * MSS);
    expect(s, "W. %u:%u(1460) ack 1 ect0", 1 + 10 * MSS, 1 + 11 * MSS);
    expect(s, "P. %u:%u(1460) ack 1 ect0", 1 + 11 * MSS, 1 + 12 * MSS);
}

static void a_timeout_is_told_by_cwr_and_repeats_without_ect_rfc3168_6_1_5(void **state)
{
    struct script *s = *state;
    opened_with_ecn(s);
    app_send(s, 100);
    expect(s, "P. 1:101(100) ack 1 ect0");
    expect_after(s, 200, "P. 1:101(100) ack 1");
    expect_after(s, 400, "P. 1:101(100) ack 1");
    recv(s, ". 1:1(0) ack 101");
    app_send(s, 100);
    expect(s, "PW. 101:201(100) ack 1 ect0");
}

/* The peer echoes until new text brings CWR: that must not hold back what is sent again. */
static void an_old_echo_does_not_slow_the_repetition_after_a_timeout(void **state)
{
    struct script *s = *state;
    opened_with_ecn(s);
    app_send(s, 10 * MSS);
    expect_capable(s, 1, 1 + 9 * MSS);
    expect(s, "P. %u:%u(1460) ack 1 ect0", 1 + 9 * MSS, 1 + 10 * MSS);
    expect_after(s, 200, ". 1:1461(1460) ack 1");
    recv(s, "E. 1:1(0) ack 1461");
    expect(s, ". 1461:2921(1460) ack 1");
    expect(s, ". 2921:4381(1460) ack 1");
    assert_int_equal(counter(s, "tcp_ecn_reductions"), 0);
}

static void a_window_probe_is_not_capable_rfc3168_6_1_6(void **state)
{
    struct script *s = *state;
    opened_with_ecn(s);
    recv(s, ". 1:1(0) ack 1 win 0");
    app_send(s, 100);
    expect_after(s, 200, ". 1:2(1) ack 1");
    expect_after(s, 400, ". 1:2(1) ack 1");
    recv(s, ". 1:1(0) ack 2");
    expect(s, "P. 2:101(99) ack 1 ect0");
}

static void neither_fin_nor_rst_is_capable_rfc3168_6_1_4(void **state)
{
    struct script *s = *state;
    opened_with_ecn(s);
    recv(s, "P. 1:11(10) ack 1 ce");
    expect(s, "E. 1:1(0) ack 11");
    app_shutdown(s, SHUT_WR);
    expect(s, "FE. 1:1(0) ack 11");
    recv(s, ". 11:11(0) ack 2");
    app_close(s);
    expect(s, "R. 2:2(0) ack 11 <*>");
}

static void super_packets_are_capable_and_cwr_goes_alone_rfc3168_6_1_2(void **state)
{
    struct script *s = *state;
    s->link.features = STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4;
    remake(s);
    opened_with_ecn(s);
    app_send(s, 30 * MSS);
    expect(s, ". 1:14601(14600) ack 1 ect0");
    recv(s, "E. 1:1(0) ack 14601");
    expect(s, "W. 14601:16061(1460) ack 1 ect0");
    expect(s, ". 16061:21901(5840) ack 1 ect0");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_syn_that_asks_is_agreed_to_rfc3168_6_1_1),
        TEST(a_syn_that_does_not_ask_is_not_agreed_to_rfc3168_6_1_1),
        TEST(ecn_that_is_off_is_not_agreed_to),
        TEST(a_syn_ack_is_repeated_with_ece),
        TEST(a_syn_that_comes_again_without_asking_ends_it_rfc3168_6_1_1),
        TEST(a_cookie_brings_ecn_back_with_timestamps_rfc4987_3_6),
        TEST(connect_asks_only_if_it_is_told_to),
        TEST(connect_asks_and_the_answer_turns_it_on_rfc3168_6_1_1),
        TEST(an_answer_that_does_not_agree_turns_it_off_rfc3168_6_1_1),
        TEST(a_syn_that_nobody_answers_stops_asking_rfc3168_6_1_1_1),
        TEST(an_answer_to_a_syn_that_asked_after_one_that_did_not_rfc3168_6_1_1),
        TEST(simultaneous_open_is_without_ecn),
        TEST(a_mark_is_echoed_until_cwr_rfc3168_6_1_3),
        TEST(a_mark_on_the_segment_with_cwr_is_new_rfc3168_6_1_3),
        TEST(a_mark_on_a_super_packet_counts),
        TEST(a_mark_on_out_of_order_text_is_echoed),
        TEST(a_mark_on_a_bare_ack_is_ignored_rfc3168_6_1_4),
        TEST(a_mark_outside_the_window_is_ignored_rfc3168_6_1_5),
        TEST(without_agreement_a_mark_is_not_echoed_rfc3168_6_1_1),
        TEST(an_echo_halves_the_window_once_rfc3168_6_1_2),
        TEST(an_echo_of_what_was_sent_since_halves_it_again_rfc3168_6_1_2),
        TEST(an_echo_that_acknowledges_nothing_new_changes_nothing_rfc3168_6_1_2),
        TEST(an_echo_in_a_window_of_one_segment_waits_for_the_timer_rfc3168_6_1_2),
        TEST(what_a_cork_held_goes_after_the_timer_rfc3168_6_1_2),
        TEST(the_user_timeout_begins_when_the_timer_lets_go_rfc5482_2),
        TEST(a_loss_in_the_window_of_a_mark_does_not_halve_it_again_rfc3168_6_1_2),
        TEST(a_mark_in_the_window_of_a_loss_does_not_halve_it_again_rfc3168_6_1_2),
        TEST(a_loss_is_told_by_cwr_rfc3168_6_1_2),
        TEST(a_timeout_is_told_by_cwr_and_repeats_without_ect_rfc3168_6_1_5),
        TEST(an_old_echo_does_not_slow_the_repetition_after_a_timeout),
        TEST(a_window_probe_is_not_capable_rfc3168_6_1_6),
        TEST(neither_fin_nor_rst_is_capable_rfc3168_6_1_4),
        TEST(super_packets_are_capable_and_cwr_goes_alone_rfc3168_6_1_2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
