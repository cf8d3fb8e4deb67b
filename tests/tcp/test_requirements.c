/* SPDX-License-Identifier: MIT */
/*
 * What RFC 9293 demands by a number, and no theme of the other files shows: README.md has the table
 * of all.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>

#include "fixtures.h"

#define MSS 1460

static void expect_segments(struct script *s, unsigned seq, unsigned end)
{
    for (; seq < end; seq += MSS)
        expect(s, ". %u:%u(1460) ack 1", seq, seq + MSS);
}

/* ---- The header ----------------------------------------------------------------------------- */

static void a_window_above_32767_is_no_negative_one_rfc9293_3_1(void **state)
{
    struct script *s = *state;
    established_with(s, .window = 65535);
    app_send(s, 200 * MSS);
    expect_segments(s, 1, 1 + 10 * MSS);
    recv(s, ". 1:1(0) ack 14601 win 65535");
    expect_segments(s, 14601, 14601 + 20 * MSS);
    recv(s, ". 1:1(0) ack 43801 win 65535");
    expect_segments(s, 43801, 43801 + 40 * MSS); /* 58400 bytes are in flight */
}

/* ---- RST ------------------------------------------------------------------------------------ */

static void a_reset_may_carry_data_rfc9293_3_5_3(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, "R. 1:31(30) ack 1"); /* an explanation, in the words of RFC 1122 4.2.2.12 */
    app_recv_fails(s, ECONNRESET);
}

static void a_reset_comes_through_a_closed_window_rfc9293_3_8_6(void **state)
{
    struct script *s = *state;
    s->config.receive_buffer_bytes = 2 * MSS;
    remake(s);
    established(s);
    recv(s, ". 1:1461(1460) ack 1");
    recv(s, ". 1461:2921(1460) ack 1");
    expect(s, ". 1:1(0) ack 2921 win 0");
    recv(s, "R 2921:2921(0)");
    app_recv(s, 2 * MSS);
    app_recv_fails(s, ECONNRESET);
}

/* ---- TIME-WAIT ------------------------------------------------------------------------------ */

static void time_wait_lasts_for_two_msl_rfc9293_3_6_1(void **state)
{
    struct script *s = *state;
    time_wait(s);
    quiet(s, 59990);
    recv(s, "P. 1:11(10) ack 2"); /* known still */
    expect(s, ". 2:2(0) ack 2");
    quiet(s, 20);
    recv(s, "P. 1:11(10) ack 2");
    expect(s, "R 2:2(0)");
}

/* ---- A window that shrinks ------------------------------------------------------------------ */

static void a_window_that_shrinks_to_zero_is_probed_and_ends_nothing_rfc9293_3_8_6(void **state)
{
    struct script *s = *state;
    established_with(s, .window = 2 * MSS);
    app_send(s, 5000);
    expect_segments(s, 1, 1 + 2 * MSS);
    recv(s, ". 1:1(0) ack 1 win 0");
    expect_between(s, 200, 201, ". 1:2(1) ack 1");
    recv(s, ". 1:1(0) ack 1 win 0");
    unsigned wait = 200;
    for (unsigned i = 0; i < 30; i++) { /* more than there are retries */
        expect_between(s, wait, wait + 1, ". 1:2(1) ack 1");
        recv(s, ". 1:1(0) ack 1 win 0");
        wait = wait * 2 < 60000 ? wait * 2 : 60000;
    }
    recv(s, ". 1:1(0) ack 1 win 2920");
    expect(s, ". 1:1461(1460) ack 1");
    recv(s, ". 1:1(0) ack 2921 win 2920"); /* it had the rest */
    expect(s, ". 2921:4381(1460) ack 1");
    expect(s, "P. 4381:5001(620) ack 1");
}

static void old_data_goes_again_only_inside_a_window_that_has_shrunk_rfc9293_3_8_6(void **state)
{
    struct script *s = *state;
    established_with(s, .window = 6 * MSS);
    app_send(s, 8 * MSS);
    expect_segments(s, 1, 1 + 6 * MSS);
    recv(s, ". 1:1(0) ack 1461 win 1460"); /* four segments are beyond the right edge now */
    unsigned wait = 200;
    for (unsigned i = 0; i < 5; i++, wait *= 2)
        expect_between(s, wait, wait + 1, ". 1461:2921(1460) ack 1");
}

/* ---- The user's side ------------------------------------------------------------------------ */

static void a_port_can_be_listened_on_while_a_connection_opens_from_it_rfc9293_3_9_1_1(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    app_set(s, SOL_SOCKET, SO_REUSEADDR, 1);
    uint16_t port = s->flow->local_port;
    int on = 1;
    step_begins(s, "listen on port %u", port);
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = strait_socket(s->stack, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(strait_setsockopt(s->stack, fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    assert_int_equal(strait_bind(s->stack, fd, (struct sockaddr *)&name, sizeof(name)), 0);
    assert_int_equal(strait_listen(s->stack, fd, 8), 0);
    step_ends(s);
    on(s, 1);
    s->flow->local_port = port;
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <*>");
    recv(s, ". 1:1(0) ack 1");
    on(s, 0); /* as if nothing had been */
    recv(s, "S. 0:0(0) ack 1 win 65535 <mss 1460>");
    expect(s, ". 1:1(0) ack 1");
    send_and_expect(s, 100, MSS, 1);
}

/* A connection whose packets have this TTL and TOS. */
static void expect_marked(struct script *s, unsigned ttl, unsigned tos)
{
    unsigned seq = 1 + s->flow->app_sent;
    app_send(s, MSS);
    const struct packet *p = expect(s, "P. %u:%u(1460) ack 1", seq, seq + MSS);
    assert_int_equal(p->ttl, ttl);
    assert_int_equal(p->tos, tos);
}

static void ttl_and_diffserv_can_be_set_and_changed_rfc9293_3_9_2_and_3_9_1_9(void **state)
{
    struct script *s = *state;
    on(s, 1);
    established(s);
    on(s, 0);
    established(s);
    app_set(s, IPPROTO_IP, IP_TTL, 7);
    app_set(s, IPPROTO_IP, IP_TOS, 0xb8); /* expedited forwarding */
    expect_marked(s, 7, 0xb8);
    app_set(s, IPPROTO_IP, IP_TOS, 0x20);
    expect_marked(s, 7, 0x20);
    on(s, 1);
    expect_marked(s, 64, 0);
}

static void the_user_can_see_that_data_does_not_get_through_rfc9293_3_8_3(void **state)
{
    struct script *s = *state;
    established(s);
    send_and_expect(s, 100, MSS, 1);
    for (unsigned i = 0, wait = 200; i < 3; i++, wait *= 2)
        expect_between(s, wait, wait + 1, "P. 1:101(100) ack 1");
    struct tcp_info info;
    socklen_t length = sizeof(info);
    assert_int_equal(
        strait_getsockopt(s->stack, s->flow->fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    assert_int_equal(info.tcpi_retransmits, 3);
    assert_int_equal(info.tcpi_total_retrans, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_window_above_32767_is_no_negative_one_rfc9293_3_1),
        TEST(a_reset_may_carry_data_rfc9293_3_5_3),
        TEST(a_reset_comes_through_a_closed_window_rfc9293_3_8_6),
        TEST(time_wait_lasts_for_two_msl_rfc9293_3_6_1),
        TEST(a_window_that_shrinks_to_zero_is_probed_and_ends_nothing_rfc9293_3_8_6),
        TEST(old_data_goes_again_only_inside_a_window_that_has_shrunk_rfc9293_3_8_6),
        TEST(a_port_can_be_listened_on_while_a_connection_opens_from_it_rfc9293_3_9_1_1),
        TEST(ttl_and_diffserv_can_be_set_and_changed_rfc9293_3_9_2_and_3_9_1_9),
        TEST(the_user_can_see_that_data_does_not_get_through_rfc9293_3_8_3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
