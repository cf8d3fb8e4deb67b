/* SPDX-License-Identifier: MIT */
/*
 * TCP_CORK and MSG_MORE, the application's word that more will come: RFC 9293 3.9.1.2 (MAY-16 lets
 * data that is not pushed wait, MUST-60 not for ever).
 */
#include <netinet/tcp.h>

#include "fixtures.h"

#define MSS 1460

static void corked(struct script *s)
{
    established(s);
    app_set(s, IPPROTO_TCP, TCP_CORK, 1);
}

/* ---- TCP_CORK ------------------------------------------------------------------------------- */

static void a_cork_holds_what_is_short_of_a_segment_rfc9293_3_9_1_2(void **state)
{
    struct script *s = *state;
    corked(s);
    app_send(s, 100);
    app_send(s, 1400);
    expect(s, ". 1:1461(1460) ack 1"); /* and 40 bytes are left */
    app_set(s, IPPROTO_TCP, TCP_CORK, 0);
    expect(s, "P. 1461:1501(40) ack 1");
}

static void full_segments_pass_a_cork(void **state)
{
    struct script *s = *state;
    corked(s);
    app_send(s, 2 * MSS);
    expect(s, ". 1:1461(1460) ack 1");
    expect(s, "P. 1461:2921(1460) ack 1");
}

static void a_cork_holds_for_200_ms_and_no_longer_rfc9293_3_9_1_2(void **state)
{
    struct script *s = *state;
    corked(s);
    app_send(s, 10);
    quiet(s, 150);
    app_send(s, 10); /* does not put it off */
    expect_after(s, 50, "P. 1:21(20) ack 1");
    recv(s, ". 1:1(0) ack 21");
    app_send(s, 10); /* it is a cork still */
    expect_after(s, 200, "P. 21:31(10) ack 1");
}

static void the_200_ms_begin_when_nothing_is_in_flight(void **state)
{
    struct script *s = *state;
    corked(s);
    app_send(s, MSS + 100);
    expect(s, ". 1:1461(1460) ack 1");
    quiet(s, 150);
    recv(s, ". 1:1(0) ack 1461");
    expect_after(s, 200, "P. 1461:1561(100) ack 1");
}

static void what_a_cork_let_go_is_sent_again_if_lost(void **state)
{
    struct script *s = *state;
    corked(s);
    app_send(s, 10);
    expect_after(s, 200, "P. 1:11(10) ack 1");
    app_send(s, 10);
    expect_between(s, 200, 201, "P. 1:21(20) ack 1"); /* a repetition may take more along */
    recv(s, ". 1:1(0) ack 21");
    quiet(s, 1000);
}

static void a_cork_is_stronger_than_nodelay(void **state)
{
    struct script *s = *state;
    established(s);
    app_set(s, IPPROTO_TCP, TCP_NODELAY, 1);
    app_set(s, IPPROTO_TCP, TCP_CORK, 1);
    app_send(s, 10);
    quiet(s, 199);
    app_set(s, IPPROTO_TCP, TCP_CORK, 0);
    expect(s, "P. 1:11(10) ack 1");
    app_send(s, 10);
    expect(s, "P. 11:21(10) ack 1");
}

static void setting_nodelay_lets_go_what_is_queued_but_not_what_follows(void **state)
{
    struct script *s = *state;
    corked(s);
    app_send(s, 10);
    expect_nothing(s);
    app_set(s, IPPROTO_TCP, TCP_NODELAY, 1);
    expect(s, "P. 1:11(10) ack 1");
    recv(s, ". 1:1(0) ack 11");
    app_send(s, 10);
    expect_after(s, 200, "P. 11:21(10) ack 1");
}

static void without_a_cork_nagle_holds_what_it_always_holds_rfc9293_3_7_4(void **state)
{
    struct script *s = *state;
    established(s);
    send_and_expect(s, 10, MSS, 1);
    app_set(s, IPPROTO_TCP, TCP_CORK, 1);
    app_send(s, 10);
    app_set(s, IPPROTO_TCP, TCP_CORK, 0);
    expect_nothing(s);
    recv(s, ". 1:1(0) ack 11");
    expect(s, "P. 11:21(10) ack 1");
}

static void a_fin_takes_along_what_is_corked_rfc9293_3_10_4(void **state)
{
    struct script *s = *state;
    corked(s);
    app_send(s, 10);
    app_shutdown(s, SHUT_WR);
    expect(s, "FP. 1:11(10) ack 1");
    on(s, 1);
    corked(s);
    app_send(s, 10);
    app_close(s);
    expect(s, "FP. 1:11(10) ack 1");
}

static void a_closed_window_is_probed_behind_a_cork_rfc9293_3_8_6_1(void **state)
{
    struct script *s = *state;
    established_with(s, .window = MSS);
    app_set(s, IPPROTO_TCP, TCP_CORK, 1);
    app_send(s, MSS + 100);
    expect(s, ". 1:1461(1460) ack 1");
    recv(s, ". 1:1(0) ack 1461 win 0");
    expect_between(s, 200, 201, ". 1461:1462(1) ack 1");
    assert_int_equal(counter(s, "tcp_window_probes"), 1);
    recv(s, ". 1:1(0) ack 1462 win 1460");
    expect_after(s, 200, "P. 1462:1561(99) ack 1");
    assert_int_equal(counter(s, "tcp_window_probes"), 1);
}

static void a_cork_does_not_hold_acknowledgements(void **state)
{
    struct script *s = *state;
    corked(s);
    app_send(s, 10);
    recv(s, "P. 1:11(10) ack 1");
    expect_after(s, 40, ". 1:1(0) ack 11");
    expect_between(s, 159, 160, "P. 1:11(10) ack 11");
}

static void a_corked_connection_that_was_reset_says_nothing(void **state)
{
    struct script *s = *state;
    corked(s);
    app_send(s, 10);
    recv(s, "R 1:1(0)");
    app_set(s, IPPROTO_TCP, TCP_CORK, 0);
    quiet(s, 1000);
}

/* ---- MSG_MORE ------------------------------------------------------------------------------- */

static void more_corks_until_the_next_send_without_it(void **state)
{
    struct script *s = *state;
    established(s);
    app_send_more(s, 10);
    app_send_more(s, 20);
    expect_nothing(s);
    app_send(s, 30);
    expect(s, "P. 1:61(60) ack 1");
}

static void more_holds_for_200_ms_and_no_longer(void **state)
{
    struct script *s = *state;
    established(s);
    app_send_more(s, MSS + 10);
    expect(s, ". 1:1461(1460) ack 1");
    recv(s, ". 1:1(0) ack 1461");
    expect_after(s, 200, "P. 1461:1471(10) ack 1");
}

static void more_inside_a_cork_changes_nothing(void **state)
{
    struct script *s = *state;
    corked(s);
    app_send_more(s, 10);
    app_send(s, 10); /* corked as before */
    expect_nothing(s);
    app_send_more(s, 10);
    app_set(s, IPPROTO_TCP, TCP_CORK, 0);
    expect(s, "P. 1:31(30) ack 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_cork_holds_what_is_short_of_a_segment_rfc9293_3_9_1_2),
        TEST(full_segments_pass_a_cork),
        TEST(a_cork_holds_for_200_ms_and_no_longer_rfc9293_3_9_1_2),
        TEST(the_200_ms_begin_when_nothing_is_in_flight),
        TEST(what_a_cork_let_go_is_sent_again_if_lost),
        TEST(a_cork_is_stronger_than_nodelay),
        TEST(setting_nodelay_lets_go_what_is_queued_but_not_what_follows),
        TEST(without_a_cork_nagle_holds_what_it_always_holds_rfc9293_3_7_4),
        TEST(a_fin_takes_along_what_is_corked_rfc9293_3_10_4),
        TEST(a_closed_window_is_probed_behind_a_cork_rfc9293_3_8_6_1),
        TEST(a_cork_does_not_hold_acknowledgements),
        TEST(a_corked_connection_that_was_reset_says_nothing),
        TEST(more_corks_until_the_next_send_without_it),
        TEST(more_holds_for_200_ms_and_no_longer),
        TEST(more_inside_a_cork_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
