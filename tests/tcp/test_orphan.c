/* SPDX-License-Identifier: MIT */
/*
 * Orphans: connections that close after their sockets are gone. Nobody can end them, so that their
 * number and their time are limited.
 */
#include "fixtures.h"

#define SECOND 1000u
#define MSS    1460

/* ---- Their time ----------------------------------------------------------------------------- */

static void an_orphan_in_fin_wait_2_ends_after_60_s(void **state)
{
    struct script *s = *state;
    fin_wait_2(s);
    app_close(s);
    quiet(s, 59000);
    quiet(s, 2000);
    assert_int_equal(counter(s, "tcp_orphans_timed_out"), 1);
    recv(s, "F. 1:1(0) ack 2");
    expect(s, "R 2:2(0)");
}

/* The orphan's FIN goes again for 120 s, and then nothing is known of the connection. */
static void expect_the_fin_in_vain(struct script *s, const char *fin)
{
    unsigned wait = 200;
    for (unsigned i = 0; i < 9; i++, wait *= 2) /* till 102.2 s: SHLD-11 */
        expect_between(s, wait, wait + 1, "%s", fin);
    quiet(s, 17700);
    assert_int_equal(counter(s, "tcp_orphans_timed_out"), 0);
    quiet(s, 200);
    assert_int_equal(counter(s, "tcp_orphans_timed_out"), 1);
    assert_int_equal(strait_connections(s->stack), 0);
}

static void an_orphan_whose_fin_nobody_acknowledges_ends_after_120_s(void **state)
{
    struct script *s = *state;
    established(s);
    app_close(s);
    expect(s, "F. 1:1(0) ack 1");
    expect_the_fin_in_vain(s, "F. 1:1(0) ack 1");
    recv(s, "F. 1:1(0) ack 2");
    expect(s, "R 2:2(0)");
}

static void an_orphan_in_last_ack_ends_after_120_s(void **state)
{
    struct script *s = *state;
    close_wait(s);
    app_close(s);
    expect(s, "F. 1:1(0) ack 2");
    expect_the_fin_in_vain(s, "F. 1:1(0) ack 2");
}

static void an_orphan_in_closing_ends_after_120_s(void **state)
{
    struct script *s = *state;
    established(s);
    app_close(s);
    expect(s, "F. 1:1(0) ack 1");
    recv(s, "F. 1:1(0) ack 1");
    expect(s, ". 2:2(0) ack 2");
    expect_the_fin_in_vain(s, "F. 1:1(0) ack 2");
}

static void what_is_shut_down_but_held_is_no_orphan_rfc9293_3_8_3(void **state)
{
    struct script *s = *state;
    fin_wait_1(s);
    unsigned wait = 200;
    for (unsigned i = 0; i < 15; i++) {
        expect_between(s, wait, wait + 1, "F. 1:1(0) ack 1");
        wait = wait * 2 < 120000 ? wait * 2 : 120000;
    }
    quiet(s, wait + 1);
    app_recv_fails(s, ETIMEDOUT);
    assert_int_equal(counter(s, "tcp_orphans_timed_out"), 0);
}

/* The window of the remote is closed, and 1000 bytes wait behind it. */
static void shut_out(struct script *s)
{
    established_with(s, .window = MSS);
    app_send(s, MSS + 1000);
    expect(s, ". 1:1461(1460) ack 1");
    recv(s, ". 1:1(0) ack 1461 win 0");
}

static void an_orphan_before_a_window_that_stays_shut_ends_after_120_s_by_a_reset(void **state)
{
    struct script *s = *state;
    shut_out(s);
    app_close(s);
    unsigned now = 0, wait = 200;
    for (; now + wait < 120 * SECOND; now += wait, wait = wait * 2 < 60000 ? wait * 2 : 60000) {
        expect_between(s, wait, wait + 1, ". 1461:1462(1) ack 1");
        recv(s, ". 1:1(0) ack 1461 win 0"); /* to every probe an answer */
    }
    assert_true(strait_memory(s->stack) > 0);
    at(s, 119999);
    expect_nothing(s);
    at(s, 120001);
    expect(s, "R. 1461:1461(0) ack 1");
    assert_int_equal(counter(s, "tcp_orphans_timed_out"), 1);
    assert_int_equal(strait_memory(s->stack), 0);
    assert_int_equal(strait_connections(s->stack), 0);
}

static void an_orphan_has_its_time_however_long_the_window_was_shut_before(void **state)
{
    struct script *s = *state;
    shut_out(s);
    unsigned now = 0, wait = 200;
    for (; now < 500 * SECOND; now += wait, wait = wait * 2 < 60000 ? wait * 2 : 60000) {
        expect_between(s, wait, wait + 1, ". 1461:1462(1) ack 1");
        recv(s, ". 1:1(0) ack 1461 win 0");
    }
    app_close(s);
    expect_between(s, 60000, 60001, ". 1461:1462(1) ack 1");
    recv(s, ". 1:1(0) ack 1461 win 65535");
    expect(s, "FP. 1461:2461(1000) ack 1");
}

static void an_orphan_lasts_while_the_peer_takes_something(void **state)
{
    struct script *s = *state;
    established_with(s, .window = MSS);
    app_send(s, 3 * MSS);
    expect(s, ". 1:1461(1460) ack 1");
    app_close(s);
    unsigned wait = 200;
    for (unsigned i = 0; i < 8; i++, wait *= 2) /* till 51 s */
        expect_between(s, wait, wait + 1, ". 1:1461(1460) ack 1");
    at(s, 96000);
    recv(s, ". 1:1(0) ack 1461");
    expect(s, ". 1461:2921(1460) ack 1");
    expect_between(s, wait, wait + 1, ". 1461:2921(1460) ack 1"); /* Karn: backed off as before */
    at(s, 192000);
    recv(s, ". 1:1(0) ack 2921 win 1500"); /* with room for the FIN */
    expect(s, "FP. 2921:4381(1460) ack 1");
    quiet(s, 96000);
    recv(s, ". 1:1(0) ack 4382");
    assert_int_equal(counter(s, "tcp_orphans_timed_out"), 0);
}

/* ---- Their number --------------------------------------------------------------------------- */

static void one_orphan_too_many_is_reset_and_counted(void **state)
{
    struct script *s = *state;
    s->config.orphans_max = 1;
    remake(s);
    for (unsigned i = 0; i < 3; i++) {
        on(s, i);
        established(s);
    }
    on(s, 0);
    app_close(s);
    expect(s, "F. 1:1(0) ack 1");
    on(s, 1);
    app_close(s);
    expect(s, "R. 1:1(0) ack 1");
    assert_int_equal(counter(s, "tcp_orphans_limited"), 1);
    on(s, 0); /* its end makes room */
    recv(s, "F. 1:1(0) ack 2");
    expect(s, ". 2:2(0) ack 2");
    on(s, 2);
    app_close(s);
    expect(s, "F. 1:1(0) ack 1");
    assert_int_equal(counter(s, "tcp_orphans_limited"), 1);
}

static void every_way_in_which_an_orphan_ends_makes_room(void **state)
{
    struct script *s = *state;
    s->config.orphans_max = 1;
    remake(s);
    on(s, 0);
    established(s);
    app_close(s);
    expect(s, "F. 1:1(0) ack 1");
    recv(s, "R 1:1(0)");
    on(s, 1);
    close_wait(s);
    app_close(s);
    expect(s, "F. 1:1(0) ack 2");
    recv(s, ". 2:2(0) ack 2");
    on(s, 2);
    established(s);
    app_close(s);
    expect(s, "F. 1:1(0) ack 1");
    recv(s, ". 1:11(10) ack 1"); /* data for nobody */
    expect(s, "R. 2:2(0) ack 1");
    on(s, 3);
    fin_wait_2(s);
    app_close(s);
    quiet(s, 61 * SECOND);
    on(s, 4);
    established(s);
    app_close(s);
    expect(s, "F. 1:1(0) ack 1");
    assert_int_equal(counter(s, "tcp_orphans_limited"), 0);
}

static void with_no_orphans_allowed_every_close_resets(void **state)
{
    struct script *s = *state;
    s->config.orphans_max = 0;
    remake(s);
    established(s);
    app_close(s);
    expect(s, "R. 1:1(0) ack 1");
    recv(s, ". 1:1(0) ack 1");
    expect(s, "R 1:1(0)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_orphan_in_fin_wait_2_ends_after_60_s),
        TEST(an_orphan_whose_fin_nobody_acknowledges_ends_after_120_s),
        TEST(an_orphan_in_last_ack_ends_after_120_s),
        TEST(an_orphan_in_closing_ends_after_120_s),
        TEST(what_is_shut_down_but_held_is_no_orphan_rfc9293_3_8_3),
        TEST(an_orphan_before_a_window_that_stays_shut_ends_after_120_s_by_a_reset),
        TEST(an_orphan_has_its_time_however_long_the_window_was_shut_before),
        TEST(an_orphan_lasts_while_the_peer_takes_something),
        TEST(one_orphan_too_many_is_reset_and_counted),
        TEST(every_way_in_which_an_orphan_ends_makes_room),
        TEST(with_no_orphans_allowed_every_close_resets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
