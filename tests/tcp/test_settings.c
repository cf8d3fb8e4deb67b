/* SPDX-License-Identifier: MIT */
/* What the socket options of TCP change on the wire; that they are kept, tests/posix shows. */
#include <netinet/tcp.h>
#include <poll.h>

#include "fixtures.h"

#define SECOND 1000u

/* ---- TCP_QUICKACK, RFC 9293 3.8.6.3 ---- */

static void a_quick_acknowledgement_does_not_wait(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, "P. 1:101(100) ack 1");
    expect_between(s, 40, 41, ". 1:1(0) ack 101");
    app_set(s, IPPROTO_TCP, TCP_QUICKACK, 1);
    recv(s, "P. 101:201(100) ack 1");
    expect(s, ". 1:1(0) ack 201");
    recv(s, "P. 201:301(100) ack 1");
    expect(s, ". 1:1(0) ack 301");
    app_set(s, IPPROTO_TCP, TCP_QUICKACK, 0);
    recv(s, "P. 301:401(100) ack 1");
    expect_between(s, 40, 41, ". 1:1(0) ack 401");
}

static void to_turn_it_on_sends_what_is_held(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, "P. 1:101(100) ack 1");
    expect_nothing(s);
    app_set(s, IPPROTO_TCP, TCP_QUICKACK, 1);
    expect(s, ". 1:1(0) ack 101");
}

/* ---- TCP_MAXSEG, RFC 9293 3.7.1 ---- */

static void a_smaller_segment_is_offered_and_kept_to(void **state)
{
    struct script *s = *state;
    app_listen(s, 1);
    app_set(s, IPPROTO_TCP, TCP_MAXSEG, 500);
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <mss 500>");
    recv(s, ". 1:1(0) ack 1");
    app_accept(s);
    app_send(s, 1200);
    expect(s, ". 1:501(500) ack 1");
    expect(s, ". 501:1001(500) ack 1");
    expect(s, "P. 1001:1201(200) ack 1");
}

static void a_peer_that_takes_less_gets_less(void **state)
{
    struct script *s = *state;
    app_listen(s, 1);
    app_set(s, IPPROTO_TCP, TCP_MAXSEG, 500);
    recv(s, "S 0:0(0) win 65535 <mss 300>");
    expect(s, "S. 0:0(0) ack 1 <mss 500>");
    recv(s, ". 1:1(0) ack 1");
    app_accept(s);
    app_send(s, 300);
    expect(s, "P. 1:301(300) ack 1");
}

/* ---- TCP_SYNCNT ---- */

static void a_syn_is_sent_again_as_often_as_said(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    app_set(s, IPPROTO_TCP, TCP_SYNCNT, 2);
    expect_between(s, 1000, 1001, "S 0:0(0) <*>");
    expect_between(s, 2000, 2001, "S 0:0(0) <*>");
    quiet(s, 3999);
    app_error(s, 0);
    quiet(s, 2);
    app_error(s, ETIMEDOUT);
    quiet(s, 600 * SECOND);
}

static void a_listener_says_how_often_its_syn_acks_are_sent_again(void **state)
{
    struct script *s = *state;
    app_listen(s, 1);
    app_set(s, IPPROTO_TCP, TCP_SYNCNT, 2);
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
    expect_between(s, 1000, 1001, "S. 0:0(0) ack 1 <mss 1460>");
    expect_between(s, 2000, 2001, "S. 0:0(0) ack 1 <mss 1460>");
    quiet(s, 600 * SECOND);
    assert_int_equal(counter(s, "tcp_half_open_expired"), 1);
}

/* ---- IP_TTL, IP_TOS and IP_MTU_DISCOVER of a listener, RFC 9293 3.9.2 and 3.9.1.9 ---- */

static void mark(struct script *s)
{
    app_set(s, IPPROTO_IP, IP_TTL, 255);
    app_set(s, IPPROTO_IP, IP_TOS, 0x20);
    app_set(s, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
}

static void assert_marked(const struct packet *p)
{
    assert_int_equal(p->ttl, 255);
    assert_int_equal(p->tos, 0x20);
}

static void the_first_packet_of_an_accepted_connection_is_its_listener_s(void **state)
{
    struct script *s = *state;
    app_listen(s, 1);
    mark(s);
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    assert_marked(expect(s, "S. 0:0(0) ack 1 <mss 1460>"));
    assert_marked(expect_between(s, 1000, 1001, "S. 0:0(0) ack 1 <mss 1460>"));
    recv(s, "S 7:7(0) win 65535 <mss 1460>");
    assert_marked(expect(s, ". 1:1(0) ack 1"));
    recv(s, "P. 1:1461(1460) ack 1"); /* before it is accepted */
    recv(s, "P. 1461:2921(1460) ack 1");
    assert_marked(expect(s, ". 1:1(0) ack 2921"));
    app_accept(s);
    app_send(s, 1000); /* long enough for a router to cut it */
    const struct packet *p = expect(s, "P. 1:1001(1000) ack 2921");
    assert_marked(p);
    assert_false(p->dont_fragment);
}

static void a_cookie_goes_out_as_its_listener_says(void **state)
{
    struct script *s = *state;
    app_listen(s, 1);
    mark(s);
    for (unsigned i = 0; i < 9; i++) { /* one more than a listener has records for */
        on(s, i);
        recv(s, "S 0:0(0) win 65535 <mss 1460>");
        assert_marked(expect(s, "S. 0:0(0) ack 1 <mss 1460>"));
    }
    assert_int_equal(counter(s, "tcp_cookies_sent"), 1);
    recv(s, "P. 1:1461(1460) ack 1");
    assert_marked(expect_between(s, 0, 41, ". 1:1(0) ack 1461"));
}

/* ---- TCP_NOTSENT_LOWAT ---- */

static void what_was_never_sent_keeps_more_from_being_taken(void **state)
{
    struct script *s = *state;
    established_with(s, .window = 1460);
    app_set(s, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 2000);
    app_send(s, 1460);
    expect(s, "P. 1:1461(1460) ack 1");
    app_events(s, POLLOUT);
    app_send_some(s, 5000); /* of which 2000 are taken */
    app_events(s, 0);
    app_send_fails(s, EAGAIN);
    recv(s, ". 1:1(0) ack 1461 win 1460");
    expect(s, ". 1461:2921(1460) ack 1");
    app_events(s, POLLOUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_quick_acknowledgement_does_not_wait),
        TEST(to_turn_it_on_sends_what_is_held),
        TEST(a_smaller_segment_is_offered_and_kept_to),
        TEST(a_peer_that_takes_less_gets_less),
        TEST(a_syn_is_sent_again_as_often_as_said),
        TEST(a_listener_says_how_often_its_syn_acks_are_sent_again),
        TEST(the_first_packet_of_an_accepted_connection_is_its_listener_s),
        TEST(a_cookie_goes_out_as_its_listener_says),
        TEST(what_was_never_sent_keeps_more_from_being_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
