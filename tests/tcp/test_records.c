/* SPDX-License-Identifier: MIT */
/*
 * Records: a SYN that a listener has answered, and what is left of a connection in TIME-WAIT. Many
 * wait at once, each for its own time, and any of them may go before that is over.
 */
#include <netinet/tcp.h>

#include "fixtures.h"

#define SECOND  1000 /* in milliseconds */
#define MINUTE  (60 * SECOND)
#define RECORDS 8

/* ---- Half-open, RFC 6298 5.5 ---------------------------------------------------------------- */

/* A SYN comes on flow `flow` and is answered. */
static void asks(struct script *s, unsigned flow)
{
    on(s, flow);
    syn_received(s);
}

/* At `ms`, and not before, that SYN-ACK is sent again; the script is in the ms after it then. */
static void answered_again(struct script *s, unsigned flow, uint64_t ms)
{
    on(s, flow);
    quiet(s, ms - script_now_ms(s) - 1);
    expect_between(s, 0, 2, "S. 0:0(0) ack 1 <*>");
}

static void each_syn_ack_is_sent_again_in_its_own_time(void **state)
{
    struct script *s = *state;
    for (unsigned i = 0; i < RECORDS; i++) {
        asks(s, i);
        after(s, 100);
    }
    for (uint64_t ms = 1 * SECOND; ms <= 31 * SECOND; ms = 2 * ms + 1 * SECOND) {
        for (unsigned i = 0; i < RECORDS; i++)
            answered_again(s, i, ms + 100 * i);
    }
    at(s, 63 * SECOND - 1);
    for (unsigned i = 0; i < RECORDS; i++) {
        assert_int_equal(counter(s, "tcp_half_open_expired"), i);
        quiet(s, i == 0 ? 2 : 100);
    }
    assert_int_equal(counter(s, "tcp_half_open_expired"), RECORDS);
}

static void a_younger_record_overtakes_one_that_waits_longer(void **state)
{
    struct script *s = *state;
    asks(s, 0);
    answered_again(s, 0, 1000);
    at(s, 1500);
    asks(s, 1);
    answered_again(s, 1, 2500);
    answered_again(s, 0, 3000);
    at(s, 3600);
    asks(s, 2);
    answered_again(s, 1, 4500);
    answered_again(s, 2, 4600);
    answered_again(s, 2, 6600);
    answered_again(s, 0, 7000);
}

static void a_syn_that_comes_again_moves_no_turn(void **state)
{
    struct script *s = *state;
    asks(s, 0);
    at(s, 500);
    asks(s, 1);
    at(s, 700);
    asks(s, 0);
    answered_again(s, 0, 1000);
    answered_again(s, 1, 1500);
    answered_again(s, 0, 3000);
}

static void who_leaves_changes_nobody_s_turn(void **state)
{
    struct script *s = *state;
    for (unsigned i = 0; i < RECORDS; i++) {
        asks(s, i);
        after(s, 100);
    }
    on(s, 0); /* the first, whose turn is next */
    recv(s, "R 1:1(0)");
    on(s, 3); /* in the middle */
    recv(s, ". 1:1(0) ack 1");
    app_accept(s);
    on(s, RECORDS - 1); /* the last */
    recv(s, "R 1:1(0)");
    for (uint64_t ms = 1 * SECOND; ms <= 3 * SECOND; ms += 2 * SECOND) {
        for (unsigned i = 1; i < RECORDS - 1; i++) {
            if (i != 3)
                answered_again(s, i, ms + 100 * i);
        }
    }
}

static void a_listener_takes_its_records_along_however_long_they_wait(void **state)
{
    struct script *s = *state;
    asks(s, 0);
    answered_again(s, 0, 1000);
    at(s, 1500);
    asks(s, 1);
    app_close_listener(s);
    quiet(s, 100 * SECOND);
    s->listener = -1;
    on(s, 2);
    asks(s, 2);
    answered_again(s, 2, 102500);
    on(s, 2);
    recv(s, "R 1:1(0)");
    assert_int_equal(counter(s, "tcp_half_open_expired"), 0);
}

/* The 17th and all later times are of the longest timeout, 120 s from the 7th on. */
static void records_take_turns_past_the_last_doubling(void **state)
{
    enum { RETRIES = 19 };
    struct script *s = *state;
    app_listen(s, 2);
    app_set(s, IPPROTO_TCP, TCP_SYNCNT, RETRIES);
    asks(s, 0);
    after(s, 100);
    asks(s, 1);
    uint64_t ms = 0;
    for (unsigned i = 0; i < RETRIES; i++) {
        ms += i < 7 ? (uint64_t)SECOND << i : 120 * SECOND;
        answered_again(s, 0, ms);
        answered_again(s, 1, ms + 100);
    }
    quiet(s, 120 * SECOND - 102);
    assert_int_equal(counter(s, "tcp_half_open_expired"), 0);
    quiet(s, 4);
    assert_int_equal(counter(s, "tcp_half_open_expired"), 1);
    quiet(s, 100);
    assert_int_equal(counter(s, "tcp_half_open_expired"), 2);
}

/* That of 32 bits passes 0 at 4294.967296 s; the script's begins at 1000 s. */
static void turns_come_across_the_wrap_of_their_clock(void **state)
{
    struct script *s = *state;
    at(s, 3294000);
    asks(s, 0);
    at(s, 3294500);
    asks(s, 1);
    answered_again(s, 0, 3295000);
    answered_again(s, 1, 3295500);
    answered_again(s, 0, 3297000);
    answered_again(s, 1, 3297500);
}

static void a_timeout_that_is_changed_holds_for_who_waits(void **state)
{
    struct script *s = *state;
    asks(s, 0);
    assert_int_equal(strait_set(s->stack, "tcp.rto_initial", "3s"), 0);
    answered_again(s, 0, 3000);
    assert_int_equal(strait_set(s->stack, "tcp.rto_initial", "1s"), 0);
    at(s, 3500);
    asks(s, 1);
    answered_again(s, 1, 4500);
    answered_again(s, 0, 5000);
}

/* ---- TIME-WAIT, RFC 9293 3.6.1 -------------------------------------------------------------- */

/* Flow `flow` is in TIME-WAIT from now on. */
static void waits(struct script *s, unsigned flow)
{
    on(s, flow);
    time_wait(s);
    app_close(s);
}

/* Whether it is, by the answer to what is wrong in it; asked once in half a second at most. */
static void still_waits(struct script *s, unsigned flow)
{
    on(s, flow);
    recv(s, "P. 1:11(10) ack 2");
    expect(s, ". 2:2(0) ack 2");
}

static void waits_no_more(struct script *s, unsigned flow)
{
    on(s, flow);
    recv(s, "P. 1:11(10) ack 2");
    expect(s, "R 2:2(0)");
}

static void each_record_waits_for_two_msl_of_its_own(void **state)
{
    struct script *s = *state;
    for (unsigned i = 0; i < RECORDS; i++) {
        waits(s, i);
        after(s, 1 * SECOND);
    }
    quiet(s, MINUTE - RECORDS * SECOND - 1);
    for (unsigned i = 0; i < RECORDS; i++) {
        still_waits(s, i);
        quiet(s, 2);
        waits_no_more(s, i);
        quiet(s, 1 * SECOND - 2);
    }
}

static void who_begins_anew_goes_last_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    for (unsigned i = 0; i < 4; i++)
        waits(s, i);
    after(s, 20 * SECOND);
    on(s, 1); /* neither the first nor the last */
    recv(s, "F. 1:1(0) ack 2");
    expect(s, ". 2:2(0) ack 2");
    quiet(s, 40 * SECOND + 1);
    for (unsigned i = 0; i < 4; i++) {
        if (i != 1)
            waits_no_more(s, i);
    }
    quiet(s, 20 * SECOND - 2);
    still_waits(s, 1);
    quiet(s, 2);
    waits_no_more(s, 1);
}

static void a_record_that_opens_anew_leaves_the_others_their_time_rfc9293_3_6_1(void **state)
{
    struct script *s = *state;
    for (unsigned i = 0; i < 3; i++)
        waits(s, i);
    for (unsigned i = 0; i < 2; i++) { /* the first of all, and then the one that has become it */
        on(s, i);
        next_connection(s, REMOTE_ISS + 100000);
        syn_received(s);
        recv(s, "R 1:1(0)");
    }
    quiet(s, MINUTE - 1);
    still_waits(s, 2);
    quiet(s, 2);
    waits_no_more(s, 2);
}

/* Its clock of 31 bits passes 0 at 2147 s, the script's begins at 1000 s. */
static void time_wait_lasts_across_the_wrap_of_its_clock(void **state)
{
    struct script *s = *state;
    for (unsigned i = 0; i < 2; i++) {
        at(s, (1130 + 30 * i) * SECOND);
        waits(s, i);
    }
    for (unsigned i = 0; i < 2; i++) {
        at(s, (1190 + 30 * i) * SECOND - 1);
        still_waits(s, i);
        quiet(s, 2);
        waits_no_more(s, i);
    }
}

/* That of challenge ACKs has 28 bits of milliseconds. */
static void the_pace_of_answers_holds_across_the_wrap_of_its_clock_rfc5961_7(void **state)
{
    struct script *s = *state;
    at(s, (1 << 28) - 1000 * SECOND - 100);
    waits(s, 0);
    still_waits(s, 0);
    for (unsigned i = 0; i < 3; i++) {
        quiet(s, 400);
        recv(s, "P. 1:11(10) ack 2");
        expect_nothing(s);
        quiet(s, 101);
        still_waits(s, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_syn_ack_is_sent_again_in_its_own_time),
        TEST(a_younger_record_overtakes_one_that_waits_longer),
        TEST(a_syn_that_comes_again_moves_no_turn),
        TEST(who_leaves_changes_nobody_s_turn),
        TEST(a_listener_takes_its_records_along_however_long_they_wait),
        TEST(records_take_turns_past_the_last_doubling),
        TEST(turns_come_across_the_wrap_of_their_clock),
        TEST(a_timeout_that_is_changed_holds_for_who_waits),
        TEST(each_record_waits_for_two_msl_of_its_own),
        TEST(who_begins_anew_goes_last_rfc9293_3_10_7_4),
        TEST(a_record_that_opens_anew_leaves_the_others_their_time_rfc9293_3_6_1),
        TEST(time_wait_lasts_across_the_wrap_of_its_clock),
        TEST(the_pace_of_answers_holds_across_the_wrap_of_its_clock_rfc5961_7),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
