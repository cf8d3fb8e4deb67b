/* SPDX-License-Identifier: MIT */
/* Urgent data: RFC 9293 3.8.5 and 3.10.7.4 (sixth), RFC 6093; the mark is that of POSIX 2.10.12. */
#define _GNU_SOURCE /* POLLRDHUP */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "fixtures.h"

/* ---- Receiving ------------------------------------------------------------------------------- */

static void the_user_is_told_and_a_read_stops_at_the_mark_rfc9293_3_8_5(void **state)
{
    struct script *s = *state;
    established(s);
    app_events(s, POLLOUT);
    recv(s, "UP. 1:11(10) ack 1 urg 5");
    app_events(s, POLLIN | POLLPRI | POLLOUT);
    app_at_mark(s, 0);
    step_begins(s, "recv");
    uint8_t bytes[10];
    assert_int_equal(strait_recv(s->stack, s->flow->fd, bytes, 10, MSG_PEEK), 4);
    step_ends(s);
    app_recv(s, 4);
    app_at_mark(s, 1); /* the fifth byte is the last urgent one */
    app_events(s, POLLIN | POLLPRI | POLLOUT);
    app_recv(s, 6);
    app_at_mark(s, 0);
    app_events(s, POLLOUT);
    expect_after(s, 40, ". 1:1(0) ack 11");
}

static void all_before_the_pointer_is_urgent_rfc9293_3_8_5(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, "U. 1:11(10) ack 1 urg 1000");
    app_events(s, POLLIN | POLLPRI | POLLOUT);
    app_recv(s, 10);
    app_events(s, POLLPRI | POLLOUT); /* more is to come */
    recv(s, ". 11:1002(991) ack 1");
    expect(s, ". 1:1(0) ack 1002");
    app_recv(s, 989);
    app_at_mark(s, 1);
    app_recv(s, 2);
    app_events(s, POLLOUT);
}

static void a_pointer_that_advances_is_followed_rfc9293_3_8_5(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, "U. 1:11(10) ack 1 urg 5");
    recv(s, "U. 11:21(10) ack 1 urg 10");
    expect(s, ". 1:1(0) ack 21");
    app_recv(s, 19); /* past the first mark: urgent data has no boundaries */
    app_at_mark(s, 1);
    app_recv(s, 1);
    assert_int_equal(counter(s, "tcp_urgent_in"), 2);
}

static void the_pointer_never_goes_back_rfc9293_3_8_5(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, "U. 1:11(10) ack 1 urg 10");
    recv(s, "U. 11:12(1) ack 1 urg 0");
    expect(s, ". 1:1(0) ack 12");
    recv(s, "U. 1:11(10) ack 1 urg 5"); /* an old one again */
    expect(s, ". 1:1(0) ack 12 <*>");
    app_recv(s, 9);
    app_at_mark(s, 1);
    app_recv(s, 2);
    recv(s, "U. 12:13(1) ack 1 urg 0"); /* what was read is urgent no more */
    app_events(s, POLLIN | POLLOUT);
    app_recv(s, 1);
    assert_int_equal(counter(s, "tcp_urgent_in"), 1);
    assert_int_equal(counter(s, "tcp_urgent_ignored"), 2); /* the old one is out of the window */
    expect_after(s, 40, ". 1:1(0) ack 13");
}

static void a_pointer_without_data_is_taken_rfc9293_3_8_5(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, "U. 1:1(0) ack 1 urg 3");
    app_events(s, POLLPRI | POLLOUT);
    app_recv_fails(s, EAGAIN);
    recv(s, ". 1:6(5) ack 1");
    app_recv(s, 2);
    app_at_mark(s, 1);
    app_recv(s, 3);
    app_events(s, POLLOUT);
    expect_after(s, 40, ". 1:1(0) ack 6");
}

static void a_pointer_comes_through_a_shut_window_rfc9293_3_8_6(void **state)
{
    struct script *s = *state;
    s->config.receive_buffer_bytes = 4096;
    remake(s);
    established(s);
    recv(s, ". 1:1461(1460) ack 1");
    recv(s, ". 1461:2921(1460) ack 1");
    expect(s, ". 1:1(0) ack 2921");
    recv(s, ". 2921:4097(1176) ack 1");
    expect_after(s, 40, ". 1:1(0) ack 4097 win 0");
    recv(s, "U. 4097:4098(1) ack 1 urg 1"); /* a probe */
    expect(s, ". 1:1(0) ack 4097 win 0");
    app_events(s, POLLIN | POLLPRI | POLLOUT);
    app_recv(s, 4096);
    expect(s, ". 1:1(0) ack 4097 win 4096");
    app_at_mark(s, 1);
    app_events(s, POLLPRI | POLLOUT);
}

static void a_mark_far_beyond_the_window_does_no_harm(void **state)
{
    struct script *s = *state;
    s->config.receive_buffer_bytes = 4096;
    remake(s);
    established(s);
    recv(s, "U. 1:11(10) ack 1 urg 65535");
    app_recv(s, 10);
    expect_after(s, 40, ". 1:1(0) ack 11");
    recv(s, "F. 11:11(0) ack 1");
    expect(s, ". 1:1(0) ack 12");
    app_events(s, POLLIN | POLLOUT | POLLRDHUP); /* it will never come: nothing is urgent */
    app_recv_end(s);
}

static void a_mark_that_a_reset_cuts_off_is_no_longer_told(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, "U. 1:11(10) ack 1 urg 100");
    recv(s, "R. 11:11(0) ack 1");
    app_events(s, POLLIN | POLLPRI | POLLOUT | POLLRDHUP | POLLHUP | POLLERR);
    app_recv(s, 10);
    app_events(s, POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR);
}

static void urg_on_every_byte_does_no_harm(void **state)
{
    struct script *s = *state;
    established(s);
    begin_batch(s);
    for (unsigned i = 1; i <= 1000; i++)
        recv(s, "U. %u:%u(1) ack 1 urg 1", i, i + 1);
    end_batch(s);
    expect(s, ". 1:1(0) ack 1001");
    app_recv(s, 999);
    app_at_mark(s, 1);
    app_recv(s, 1);
    app_events(s, POLLOUT);
    assert_int_equal(counter(s, "tcp_urgent_in"), 1000);
}

static void urg_is_read_with_a_fin_and_not_with_syn_or_rst_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    app_listen(s, 8);
    recv(s, "SU 0:0(0) urg 5 <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <*>");
    recv(s, ". 1:1(0) ack 1");
    app_accept(s);
    app_events(s, POLLOUT);
    recv(s, "SU. 1:1(0) ack 1 urg 5"); /* a challenge, RFC 5961 4.2 */
    expect(s, ". 1:1(0) ack 1");
    recv(s, "RU. 2:2(0) ack 1 urg 5");
    app_events(s, POLLOUT);
    recv(s, "FU. 1:11(10) ack 1 urg 10");
    expect(s, ". 1:1(0) ack 12");
    app_recv(s, 9);
    app_at_mark(s, 1);
    app_recv(s, 1);
    app_recv_end(s);
    recv(s, "U. 12:12(0) ack 1 urg 10"); /* CLOSE-WAIT: ignored */
    app_events(s, POLLIN | POLLOUT | POLLRDHUP);
    quiet(s, 1000);
}

static void urg_on_a_syn_ack_counts_from_its_number_rfc9293_3_10_7_3(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    recv(s, "SU. 0:0(0) ack 1 urg 4 <mss 1460>");
    expect(s, ". 1:1(0) ack 1");
    recv(s, ". 1:11(10) ack 1");
    app_recv(s, 2);
    app_at_mark(s, 1);
    app_recv(s, 8);
    expect_after(s, 40, ". 1:1(0) ack 11");
}

static void a_mark_stands_across_the_wrap_rfc9293_3_4(void **state)
{
    struct script *s = *state;
    s->flow->remote_iss = UINT32_MAX - 5;
    established(s);
    recv(s, "U. 1:11(10) ack 1 urg 10");
    app_recv(s, 9);
    app_at_mark(s, 1);
    app_recv(s, 1);
    app_events(s, POLLOUT);
    expect_after(s, 40, ". 1:1(0) ack 11");
}

static void urgent_data_stays_in_line_rfc6093_4(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, "UP. 1:2(1) ack 1 urg 1");
    step_begins(s, "recv MSG_OOB");
    uint8_t byte;
    assert_int_equal(strait_recv(s->stack, s->flow->fd, &byte, 1, MSG_OOB), -1);
    assert_int_equal(errno, EINVAL);
    int in_line = 0, off = 0;
    socklen_t length = sizeof in_line;
    assert_int_equal(
        strait_getsockopt(s->stack, s->flow->fd, SOL_SOCKET, SO_OOBINLINE, &in_line, &length), 0);
    assert_int_equal(in_line, 1);
    assert_int_equal(
        strait_setsockopt(s->stack, s->flow->fd, SOL_SOCKET, SO_OOBINLINE, &off, sizeof off), -1);
    assert_int_equal(errno, EOPNOTSUPP);
    step_ends(s);
    app_set(s, SOL_SOCKET, SO_OOBINLINE, 1);
    app_at_mark(s, 1);
    app_recv(s, 1);
    expect_after(s, 40, ". 1:1(0) ack 2");
}

static void sockatmark_is_for_streams(void **state)
{
    struct script *s = *state;
    app_bind_udp(s, 53);
    step_begins(s, "sockatmark");
    assert_int_equal(strait_sockatmark(s->stack, s->flow->fd), -1);
    assert_int_equal(errno, ENOTTY);
    assert_int_equal(strait_sockatmark(s->stack, -1), -1);
    assert_int_equal(errno, EBADF);
    int fresh = strait_socket(s->stack, AF_INET, SOCK_STREAM, 0);
    assert_int_equal(strait_sockatmark(s->stack, fresh), 0);
    strait_close(s->stack, fresh);
    step_ends(s);
}

/* ---- Sending --------------------------------------------------------------------------------- */

static void the_pointer_stands_behind_the_urgent_data_rfc9293_3_8_5(void **state)
{
    struct script *s = *state;
    established(s);
    app_send_urgent(s, 10);
    expect(s, "UP. 1:11(10) ack 1 urg 10");
    recv(s, "P. 1:11(10) ack 1");
    expect_after(s, 40, ". 11:11(0) ack 11"); /* behind it there is nothing to say */
    recv(s, ". 11:11(0) ack 11");
    app_send(s, 10);
    expect(s, "P. 11:21(10) ack 11");
}

static void every_segment_in_front_of_the_pointer_has_it_rfc9293_3_8_5(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, ". 1:1(0) ack 1 win 2920");
    app_send(s, 4000);
    expect(s, ". 1:1461(1460) ack 1");
    expect(s, ". 1461:2921(1460) ack 1");
    app_send_urgent(s, 1000);
    expect(s, "U. 2921:2921(0) ack 1 urg 2080"); /* the window is full; it is told all the same */
    recv(s, ". 1:1(0) ack 2921 win 2920");
    expect(s, "U. 2921:4381(1460) ack 1 urg 2080");
    expect(s, "UP. 4381:5001(620) ack 1 urg 620");
    app_send(s, 100);
    expect(s, "P. 5001:5101(100) ack 1");
    expect_after(s, 200, "U. 2921:4381(1460) ack 1 urg 2080"); /* and so when it is sent again */
}

static void urgent_data_does_not_wait_for_nagle(void **state)
{
    struct script *s = *state;
    established(s);
    app_send(s, 10);
    expect(s, "P. 1:11(10) ack 1");
    app_send_urgent(s, 1);
    expect(s, "UP. 11:12(1) ack 1 urg 1");
}

static void a_shut_window_does_not_hide_the_pointer_rfc9293_3_8_5(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, ". 1:1(0) ack 1 win 0");
    app_send_urgent(s, 10);
    expect(s, "U. 1:1(0) ack 1 urg 10");
    expect_after(s, 200, "U. 1:2(1) ack 1 urg 10"); /* a probe */
    app_send_urgent(s, 1); /* the next probe tells of it: bare ones would be duplicates */
    recv(s, ". 1:1(0) ack 1 win 100");
    expect(s, "UP. 1:12(11) ack 1 urg 11");
}

static void a_pointer_too_far_away_leads_towards_it_rfc9293_3_8_5(void **state)
{
    struct script *s = *state;
    s->config.send_buffer_bytes = 300000;
    remake(s);
    established_with(s, .scale = 7, .window = 65535);
    app_send(s, 100000);
    for (unsigned i = 0; i < 10; i++)
        expect(s, ". %u:%u(1460) ack 1", 1 + i * 1460, 1 + (i + 1) * 1460);
    for (unsigned i = 0; i < 3; i++)
        app_send_urgent(s,
                        1); /* cwnd is full: nothing bare, it would be a duplicate (RFC 5681 2) */
    recv(s, ". 1:1(0) ack 14601");
    for (unsigned i = 0; i < 20; i++) {
        unsigned seq = 14601 + i * 1460, ahead = 100004 - seq;
        expect(s, "U. %u:%u(1460) ack 1 urg %u", seq, seq + 1460, ahead < 65535 ? ahead : 65535);
    }
}

/* A link would copy the pointer of a super-packet into each of its segments. */
static void segments_with_the_pointer_are_no_super_packets(void **state)
{
    struct script *s = *state;
    s->link.features = STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4;
    remake(s);
    established(s);
    app_send_urgent(s, 4000);
    expect(s, "U. 1:1461(1460) ack 1 urg 4000");
    expect(s, "U. 1461:2921(1460) ack 1 urg 2540");
    expect(s, "UP. 2921:4001(1080) ack 1 urg 1080");
    recv(s, ". 1:1(0) ack 4001");
    app_send(s, 4000);
    expect(s, "P. 4001:8001(4000) ack 1");
}

static void a_reset_carries_no_pointer(void **state)
{
    struct script *s = *state;
    established(s);
    app_send_urgent(s, 10);
    expect(s, "UP. 1:11(10) ack 1 urg 10");
    app_linger(s, 0);
    app_close(s);
    expect(s, "R. 11:11(0) ack 1 <*>");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(the_user_is_told_and_a_read_stops_at_the_mark_rfc9293_3_8_5),
        TEST(all_before_the_pointer_is_urgent_rfc9293_3_8_5),
        TEST(a_pointer_that_advances_is_followed_rfc9293_3_8_5),
        TEST(the_pointer_never_goes_back_rfc9293_3_8_5),
        TEST(a_pointer_without_data_is_taken_rfc9293_3_8_5),
        TEST(a_pointer_comes_through_a_shut_window_rfc9293_3_8_6),
        TEST(a_mark_far_beyond_the_window_does_no_harm),
        TEST(a_mark_that_a_reset_cuts_off_is_no_longer_told),
        TEST(urg_on_every_byte_does_no_harm),
        TEST(urg_is_read_with_a_fin_and_not_with_syn_or_rst_rfc9293_3_10_7_4),
        TEST(urg_on_a_syn_ack_counts_from_its_number_rfc9293_3_10_7_3),
        TEST(a_mark_stands_across_the_wrap_rfc9293_3_4),
        TEST(urgent_data_stays_in_line_rfc6093_4),
        TEST(sockatmark_is_for_streams),
        TEST(the_pointer_stands_behind_the_urgent_data_rfc9293_3_8_5),
        TEST(every_segment_in_front_of_the_pointer_has_it_rfc9293_3_8_5),
        TEST(urgent_data_does_not_wait_for_nagle),
        TEST(a_shut_window_does_not_hide_the_pointer_rfc9293_3_8_5),
        TEST(a_pointer_too_far_away_leads_towards_it_rfc9293_3_8_5),
        TEST(segments_with_the_pointer_are_no_super_packets),
        TEST(a_reset_carries_no_pointer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
