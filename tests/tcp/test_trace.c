/* SPDX-License-Identifier: MIT */
/* What a connection tells to whoever traces it: strait_trace. */
#include <netinet/tcp.h>

#include "fixtures.h"

#define MSS         1460
#define RECORDS_MAX 64

struct records {
    struct strait_trace list[RECORDS_MAX];
    unsigned count;
};

static void told(void *context, const struct strait_trace *record)
{
    struct records *r = context;
    assert_true(r->count < RECORDS_MAX);
    assert_int_equal(record->size, sizeof(*record));
    r->list[r->count++] = *record;
}

/* From here on what happens is told. */
static void listen_to(struct script *s, struct records *r)
{
    r->count = 0;
    strait_trace(s->stack, told, r);
}

/* The only record of this event since the last look, and all are forgotten. */
static struct strait_trace only(struct records *r, enum strait_trace_event event)
{
    struct strait_trace found = {0};
    unsigned count = 0;
    for (unsigned i = 0; i < r->count; i++) {
        if (r->list[i].event != event)
            continue;
        found = r->list[i];
        count++;
    }
    assert_int_equal(count, 1);
    r->count = 0;
    return found;
}

static struct strait_trace last(const struct records *r)
{
    assert_true(r->count > 0);
    return r->list[r->count - 1];
}

/* ---- Segments ---- */

static void text_is_told_with_its_place_in_the_stream(void **state)
{
    struct script *s = *state;
    static struct records r;
    established(s);
    listen_to(s, &r);
    app_send(s, MSS + 100);
    expect(s, ". 1:1461(1460) ack 1");
    expect(s, "P. 1461:1561(100) ack 1");
    assert_int_equal(r.count, 2);
    for (unsigned i = 0; i < 2; i++) {
        const struct strait_trace *t = &r.list[i];
        assert_int_equal(t->event, STRAIT_TRACE_SENT);
        assert_int_equal(t->position, i * MSS);
        assert_int_equal(t->length, i == 0 ? MSS : 100);
        assert_int_equal(t->time_ns, s->now_ns);
        assert_int_equal(t->state, TCP_ESTABLISHED);
        assert_int_equal(ntohl(t->local.sin_addr.s_addr), LOCAL_ADDRESS);
        assert_int_equal(ntohl(t->remote.sin_addr.s_addr), REMOTE_ADDRESS);
        assert_int_equal(ntohs(t->local.sin_port), LOCAL_PORT);
        assert_int_equal(ntohs(t->remote.sin_port), REMOTE_PORT);
    }
}

static void a_fin_counts_as_one(void **state)
{
    struct script *s = *state;
    static struct records r;
    established(s);
    app_send(s, 10);
    expect(s, "P. 1:11(10) ack 1");
    recv(s, ". 1:1(0) ack 11");
    listen_to(s, &r);
    app_shutdown(s, SHUT_WR);
    expect(s, "F. 11:11(0) ack 1");
    struct strait_trace fin = only(&r, STRAIT_TRACE_SENT);
    assert_int_equal(fin.position, 10);
    assert_int_equal(fin.length, 1);
    assert_int_equal(fin.state, TCP_FIN_WAIT1);
}

static void text_that_arrives_is_told_in_order_or_not_and_old_text_is_not(void **state)
{
    struct script *s = *state;
    static struct records r;
    established(s);
    listen_to(s, &r);
    recv(s, ". 101:201(100) ack 1");
    expect(s, ". 1:1(0) ack 1");
    struct strait_trace beyond = only(&r, STRAIT_TRACE_RECEIVED);
    assert_int_equal(beyond.position, 100);
    assert_int_equal(beyond.length, 100);
    recv(s, ". 1:101(100) ack 1");
    expect(s, ". 1:1(0) ack 201");
    struct strait_trace first = only(&r, STRAIT_TRACE_RECEIVED);
    assert_int_equal(first.position, 0);
    assert_int_equal(first.length, 100);
    recv(s, ". 1:101(100) ack 1");
    expect(s, ". 1:1(0) ack 201");
    assert_int_equal(r.count, 0);
}

/* ---- Values ---- */

/* RFC 5681 3.1: cwnd grows by what was acknowledged. */
static void an_acknowledgement_tells_how_far_it_goes_and_the_new_values(void **state)
{
    struct script *s = *state;
    static struct records r;
    established_active(s);
    app_send(s, 10 * MSS);
    take_all(s);
    after(s, 100);
    listen_to(s, &r);
    recv(s, ". 1:1(0) ack 1461 win 30000");
    struct strait_trace ack = only(&r, STRAIT_TRACE_ACKED);
    assert_int_equal(ack.position, MSS);
    assert_int_equal(ack.cwnd, 11 * MSS);
    assert_int_equal(ack.ssthresh, UINT32_MAX);
    assert_int_equal(ack.send_window, 30000);
    take_all(s);
}

/* RFC 5681 (4) and 3.1, RFC 6298 5.5: half of the flight, one segment, twice the time. */
static void a_timeout_tells_what_it_does_to_the_windows_and_the_timer(void **state)
{
    struct script *s = *state;
    static struct records r;
    established(s);
    app_send(s, 6 * MSS);
    take_all(s);
    listen_to(s, &r);
    expect_between(s, 200, 1000, ". 1:1461(1460) ack 1");
    struct strait_trace again = only(&r, STRAIT_TRACE_RESENT);
    assert_int_equal(again.position, 0);
    assert_int_equal(again.length, MSS);
    assert_int_equal(again.cwnd, MSS);
    assert_int_equal(again.ssthresh, 3 * MSS);
    uint32_t rto_us = again.rto_us;
    expect_between(s, 200, 2000, ". 1:1461(1460) ack 1");
    assert_int_equal(only(&r, STRAIT_TRACE_RESENT).rto_us, 2 * rto_us);
}

static void a_window_that_text_fills_is_told_once_it_is_acknowledged(void **state)
{
    struct script *s = *state;
    static struct records r;
    established(s);
    listen_to(s, &r);
    recv(s, ". 1:1461(1460) ack 1");
    uint32_t before = only(&r, STRAIT_TRACE_RECEIVED).receive_window;
    recv(s, ". 1461:2921(1460) ack 1");
    expect(s, ". 1:1(0) ack 2921");
    assert_true(r.count > 0);
    assert_true(last(&r).receive_window >= before); /* the ACK moves the right edge */
}

static void a_change_of_the_window_alone_is_told(void **state)
{
    struct script *s = *state;
    static struct records r;
    established(s);
    listen_to(s, &r);
    recv(s, ". 1:1(0) ack 1 win 1234");
    struct strait_trace changed = only(&r, STRAIT_TRACE_CHANGED);
    assert_int_equal(changed.send_window, 1234);
    recv(s, ". 1:1(0) ack 1 win 1234");
    assert_int_equal(r.count, 0); /* nothing has changed */
}

static void the_way_through_the_states_is_told(void **state)
{
    enum { STATES = 5 };
    static const uint32_t states[STATES] = {TCP_SYN_SENT, TCP_ESTABLISHED, TCP_CLOSE_WAIT,
                                            TCP_LAST_ACK, TCP_CLOSE};
    struct script *s = *state;
    static struct records r;
    listen_to(s, &r);
    established_active(s);
    recv(s, "F. 1:1(0) ack 1");
    expect(s, ". 1:1(0) ack 2");
    app_close(s);
    expect(s, "F. 1:1(0) ack 2");
    recv(s, ". 2:2(0) ack 2");

    unsigned reached = 0;
    for (unsigned i = 0; i < r.count; i++) {
        if (reached > 0 && r.list[i].state == states[reached - 1])
            continue;
        assert_true(reached < STATES);
        assert_int_equal(r.list[i].state, states[reached]);
        reached++;
    }
    assert_int_equal(reached, STATES);
}

static void who_does_not_want_to_know_is_told_no_more(void **state)
{
    struct script *s = *state;
    static struct records r;
    established(s);
    listen_to(s, &r);
    strait_trace(s->stack, NULL, NULL);
    app_send(s, 10);
    expect(s, "P. 1:11(10) ack 1");
    assert_int_equal(r.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(text_is_told_with_its_place_in_the_stream),
        TEST(a_fin_counts_as_one),
        TEST(text_that_arrives_is_told_in_order_or_not_and_old_text_is_not),
        TEST(an_acknowledgement_tells_how_far_it_goes_and_the_new_values),
        TEST(a_timeout_tells_what_it_does_to_the_windows_and_the_timer),
        TEST(a_window_that_text_fills_is_told_once_it_is_acknowledged),
        TEST(a_change_of_the_window_alone_is_told),
        TEST(the_way_through_the_states_is_told),
        TEST(who_does_not_want_to_know_is_told_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
