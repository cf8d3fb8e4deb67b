/* SPDX-License-Identifier: MIT */
/*
 * Segments that no honest peer sends: each is dropped and counted, refused, or answered as the RFCs
 * say, and the connection goes on. Those of one theme stand with it: headers in test_input.c,
 * options in test_open.c, resets and challenges in test_close.c, pointers in test_urgent.c.
 */
#define _GNU_SOURCE /* POLLRDHUP */
#include <errno.h>
#include <poll.h>

#include "fixtures.h"

#define MSS 1460u

/* ---- Flags ----------------------------------------------------------------------------------- */

static void fixture_closed(struct script *s, struct place place)
{
    (void)s, (void)place;
}

static void fixture_listen(struct script *s, struct place place)
{
    script_app_listen(s, place, 8);
}

static void fixture_half_open(struct script *s, struct place place)
{
    fixture_syn_received(s, place, (struct terms){0});
}

static void fixture_open(struct script *s, struct place place)
{
    fixture_established(s, place, (struct terms){0});
}

/* Each state of RFC 9293 3.3.2, and there the number that the peer would send next. */
static const struct {
    const char *name;
    void (*fixture)(struct script *, struct place);
    unsigned seq;
} states[] = {
    {"CLOSED", fixture_closed, 1},         {"LISTEN", fixture_listen, 0},
    {"SYN-SENT", fixture_syn_sent, 0},     {"SYN-RECEIVED", fixture_half_open, 1},
    {"ESTABLISHED", fixture_open, 1},      {"FIN-WAIT-1", fixture_fin_wait_1, 1},
    {"FIN-WAIT-2", fixture_fin_wait_2, 1}, {"CLOSE-WAIT", fixture_close_wait, 2},
    {"CLOSING", fixture_closing, 2},       {"LAST-ACK", fixture_last_ack, 2},
    {"TIME-WAIT", fixture_time_wait, 2},
};
#define STATES (sizeof states / sizeof states[0])

/* The notation of a set of flags. */
static void write_flags(unsigned flags, char text[9])
{
    static const char letters[] = "FSRPEW.U";
    static const unsigned bits[] = {TCP_FIN, TCP_SYN, TCP_RST, TCP_PSH,
                                    TCP_ECE, TCP_CWR, TCP_ACK, TCP_URG};
    unsigned length = 0;
    for (unsigned i = 0; i < 8; i++)
        if (flags & bits[i])
            text[length++] = letters[i];
    if (length == 0)
        text[length++] = '-';
    text[length] = '\0';
}

/* No flags, all flags, SYN+FIN, SYN+RST and 252 others: none is answered by more than one packet,
 * and what follows finds Strait alive. */
static void every_set_of_flags_in_every_state_has_one_answer_at_most(void **state)
{
    struct script *s = *state;
    for (size_t i = 0; i < STATES; i++) {
        for (unsigned flags = 0; flags < 256; flags++) {
            char text[9];
            unsigned seq = states[i].seq, length = flags % 2 ? 0 : 10;
            remake(s);
            step_begins(s, "%s, flags 0x%02x", states[i].name, flags);
            states[i].fixture(s, HERE);
            write_flags(flags, text);
            recv(s, "%s %u:%u(%u)%s%s", text, seq, seq + length, length,
                 flags & TCP_ACK ? " ack 1" : "", flags & TCP_URG ? " urg 5" : "");
            if (take_all(s) > 1)
                fail_msg("%s: `%s` is answered more than once", states[i].name, text);
            recv(s, "icmp 8/0 (56) id 77 seq 1");
            expect(s, "icmp 0/0 (56) id 77 seq 1");
        }
    }
}

static void without_ack_and_rst_nothing_is_taken_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    static const char *const lines[] = {"- 1:11(10)", "P 1:11(10)",       "U 1:11(10) urg 5",
                                        "F 1:11(10)", "FPU 1:1(0) urg 1", "EW 1:11(10)"};
    established(s);
    for (unsigned i = 0; i < 6; i++)
        recv(s, "%s", lines[i]);
    quiet(s, 1000);
    app_events(s, POLLOUT);
    assert_int_equal(counter(s, "tcp_ack_missing"), 6);
    recv(s, "P. 1:11(10) ack 1");
    app_recv(s, 10);
    expect_after(s, 40, ". 1:1(0) ack 11");
}

/* All flags: of these RST counts first. RFC 5961 3.2: it must be exact. */
static void all_flags_are_a_reset_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, "FSRPUEW. 2:12(10) ack 1 urg 3");
    expect(s, ". 1:1(0) ack 1");
    recv(s, "FSRPUEW. 70000:70010(10) ack 1 urg 3");
    app_recv_fails(s, EAGAIN);
    recv(s, "FSRPUEW. 1:11(10) ack 1 urg 3");
    app_recv_fails(s, ECONNRESET);
    app_recv_end(s);
}

static void syn_and_fin_open_nothing(void **state)
{
    struct script *s = *state;
    app_listen(s, 8);
    recv(s, "SF 0:0(0) <mss 1460>");
    quiet(s, 10000);
    assert_int_equal(counter(s, "tcp_syn_dropped"), 1);
}

static void syn_and_rst_open_nothing_rfc9293_3_10_7(void **state)
{
    struct script *s = *state;
    app_listen(s, 8);
    recv(s, "SR 0:0(0) <mss 1460>");
    on(s, 1);
    s->flow->local_port = 81; /* where nobody listens */
    recv(s, "SR 0:0(0) <mss 1460>");
    quiet(s, 10000);
}

static void syn_and_rst_do_not_end_syn_sent_rfc9293_3_10_7_3(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    recv(s, "SR 0:0(0) <mss 1460>");
    recv(s, "S. 0:0(0) ack 1 <mss 1460>");
    expect(s, ". 1:1(0) ack 1");
}

static void syn_ack_and_rst_do_not_open_a_simultaneous_open_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    recv(s, "S 0:0(0) <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <*>");
    recv(s, "SR. 0:0(0) ack 1 <mss 1460>"); /* in front of the window */
    app_events(s, 0);
    recv(s, "S. 0:0(0) ack 1 <mss 1460>");
    app_events(s, POLLOUT);
}

/* ---- TIME-WAIT ------------------------------------------------------------------------------- */

static void syn_and_fin_do_not_end_time_wait_rfc1337(void **state)
{
    struct script *s = *state;
    time_wait(s);
    recv(s, "SF 100000:100000(0) <mss 1460>");
    expect(s, ". 2:2(0) ack 2");
    recv(s, "F. 1:1(0) ack 2"); /* the record is still there */
    expect(s, ". 2:2(0) ack 2");
}

static void a_guessed_fin_does_not_prolong_time_wait_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    time_wait(s);
    after(s, 59000);
    recv(s, "F. 5:5(0) ack 2");
    expect(s, ". 2:2(0) ack 2");
    for (unsigned i = 1; i < 10; i++) /* answers have a pace */
        recv(s, "F. %u:%u(0) ack 2", 1000 * i, 1000 * i);
    after(s, 2000);
    recv(s, "F. 1:1(0) ack 2");
    expect(s, "R 2:2(0)"); /* the minute was over */
}

/* ---- Guesses, RFC 5961 5.2 ------------------------------------------------------------------- */

static void text_with_a_guessed_ack_is_not_taken_rfc5961_5_2(void **state)
{
    struct script *s = *state;
    established(s);
    send_and_expect(s, 100, MSS, 1);
    recv(s, ". 1:1(0) ack 101");
    recv(s, "PU. 1:11(10) ack 102 urg 10"); /* of what was never sent */
    expect(s, ". 101:101(0) ack 1");
    after(s, 1000);
    recv(s, "F. 1:11(10) ack 4294901000"); /* below UNA by more than the largest window */
    expect(s, ". 101:101(0) ack 1");
    app_events(s, POLLOUT);
    assert_int_equal(counter(s, "tcp_ack_unacceptable"), 2);
    recv(s, "P. 1:11(10) ack 1"); /* within that window: an old acknowledgement */
    app_recv(s, 10);
    expect_after(s, 40, ". 101:101(0) ack 11");
}

static void a_guess_does_not_set_the_timestamp_rfc5961_5_2(void **state)
{
    struct script *s = *state;
    established_with(s, .timestamps = true);
    recv(s, "P. 1:11(10) ack 5000 <TS val 1000000000 ecr 0>");
    expect(s, ". 1:1(0) ack 1 <TS val * ecr 1000>");
    recv(s, "P. 1:11(10) ack 1 <TS val 1001 ecr 0>");
    app_recv(s, 10);
    expect_after(s, 40, ". 1:1(0) ack 11 <TS val * ecr 1001>");
}

/* What the peer does to itself: PAWS goes by the clock that it shows. */
static void a_timestamp_that_jumps_ahead_shuts_out_older_ones_rfc7323_5_3(void **state)
{
    struct script *s = *state;
    established_with(s, .timestamps = true);
    recv(s, "P. 1:11(10) ack 1 <TS val 2147484647 ecr 0>"); /* 1000 + 2^31 - 1 */
    app_recv(s, 10);
    expect_after(s, 40, ". 1:1(0) ack 11 <TS val * ecr 2147484647>");
    recv(s, "P. 11:21(10) ack 1 <TS val 1040 ecr 0>");
    expect(s, ". 1:1(0) ack 11");
    recv(s, "P. 11:21(10) ack 1 <TS val 998 ecr 0>"); /* and as far again, over zero */
    app_recv(s, 10);
    expect_after(s, 40, ". 1:1(0) ack 21");
}

/* ---- Windows --------------------------------------------------------------------------------- */

/* A peer that opens by a byte at a time gets a byte for each timeout, and not for each of its ACKs.
 * RFC 9293 3.8.6.2.1 (4). */
static void what_lacks_its_timestamp_is_dropped_rfc7323_3_2(void **state)
{
    struct script *s = *state;
    established_with(s, .timestamps = true);
    send_and_expect(s, 100, MSS - 12, 1);
    recv(s, "P. 1:11(10) ack 101 <>");
    recv(s, "F. 1:1(0) ack 101 <>");
    recv(s, ". 9999:9999(0) ack 9999 <>");
    app_events(s, POLLOUT);
    assert_int_equal(counter(s, "tcp_timestamp_missing"), 3);
    recv(s, "P. 1:11(10) ack 101");
    app_recv(s, 10);
    expect_after(s, 40, ". 101:101(0) ack 11");
    recv(s, "S 5000000:5000000(0) <mss 1460>"); /* a peer that has started anew */
    expect(s, ". 101:101(0) ack 11");
    recv(s, "R 11:11(0) <>");
    app_recv_fails(s, ECONNRESET);
}

static void one_byte_windows_are_served_slowly_rfc9293_3_8_6_2_1(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, ". 1:1(0) ack 1 win 1");
    app_send(s, 5000);
    for (unsigned i = 1; i <= 5; i++) {
        expect_after(s, 200, ". %u:%u(1) ack 1", i, i + 1);
        recv(s, ". 1:1(0) ack %u win 1", i + 1);
    }
    recv(s, ". 1:1(0) ack 6 win 65535");
    expect(s, ". 6:1466(1460) ack 1");
    expect(s, ". 1466:2926(1460) ack 1");
    expect(s, ". 2926:4386(1460) ack 1");
    expect(s, "P. 4386:5001(615) ack 1");
}

/* Both windows are shut and both sides probe: each probe has one answer, which has none. */
static void two_zero_window_ends_do_not_loop_rfc9293_3_8_6_1(void **state)
{
    struct script *s = *state;
    s->config.receive_buffer_bytes = 4096;
    remake(s);
    established(s);
    recv(s, ". 1:1461(1460) ack 1 win 0");
    recv(s, ". 1461:2921(1460) ack 1 win 0");
    expect(s, ". 1:1(0) ack 2921");
    recv(s, ". 2921:4097(1176) ack 1 win 0");
    expect_after(s, 40, ". 1:1(0) ack 4097 win 0");
    app_send(s, 100);
    for (unsigned i = 0, wait = 200; i < 8; i++, wait *= 2) {
        expect_between(s, wait, wait + 1, ". 1:2(1) ack 4097 win 0");
        recv(s, ". 4097:4097(0) ack 1 win 0"); /* the answer */
        recv(s, ". 4097:4098(1) ack 1 win 0"); /* the peer's probe */
        expect(s, ". 1:1(0) ack 4097 win 0");
    }
    app_recv(s, 4096);
    expect(s, ". 1:1(0) ack 4097 win 4096");
    recv(s, ". 4097:4098(1) ack 1 win 100");
    expect(s, "P. 1:101(100) ack 4098");
    app_recv(s, 1);
}

static void an_mss_of_0_counts_as_none_rfc9293_3_7_1(void **state)
{
    struct script *s = *state;
    app_listen(s, 8);
    recv(s, "S 0:0(0) <mss 0>");
    expect(s, "S. 0:0(0) ack 1 <*>");
    recv(s, ". 1:1(0) ack 1");
    app_accept(s);
    send_and_expect(s, 1000, 536, 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(every_set_of_flags_in_every_state_has_one_answer_at_most),
        TEST(without_ack_and_rst_nothing_is_taken_rfc9293_3_10_7_4),
        TEST(all_flags_are_a_reset_rfc9293_3_10_7_4),
        TEST(syn_and_fin_open_nothing),
        TEST(syn_and_rst_open_nothing_rfc9293_3_10_7),
        TEST(syn_and_rst_do_not_end_syn_sent_rfc9293_3_10_7_3),
        TEST(syn_ack_and_rst_do_not_open_a_simultaneous_open_rfc9293_3_10_7_4),
        TEST(syn_and_fin_do_not_end_time_wait_rfc1337),
        TEST(a_guessed_fin_does_not_prolong_time_wait_rfc9293_3_10_7_4),
        TEST(text_with_a_guessed_ack_is_not_taken_rfc5961_5_2),
        TEST(a_guess_does_not_set_the_timestamp_rfc5961_5_2),
        TEST(a_timestamp_that_jumps_ahead_shuts_out_older_ones_rfc7323_5_3),
        TEST(what_lacks_its_timestamp_is_dropped_rfc7323_3_2),
        TEST(one_byte_windows_are_served_slowly_rfc9293_3_8_6_2_1),
        TEST(two_zero_window_ends_do_not_loop_rfc9293_3_8_6_1),
        TEST(an_mss_of_0_counts_as_none_rfc9293_3_7_1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
