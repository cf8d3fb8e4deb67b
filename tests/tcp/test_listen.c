/* SPDX-License-Identifier: MIT */
/*
 * A listener under pressure: half-open records at their limit, SYN cookies (RFC 4987 3.6), a full
 * accept queue, and segments that no honest peer sends to LISTEN (RFC 9293 3.10.7.2).
 */
#include <poll.h>
#include <string.h>

#include "fixtures.h"

#define PERIOD_MS    64000 /* of cookies */
#define FIRST_END_MS 24000 /* START_NS is 1000 s: the period that it lies in ends at 1024 s */

/* From now on every SYN but the one of flow 31 finds the records at their limit. */
static void fill_records(struct script *s)
{
    s->config.half_open_max = 1;
    remake(s);
    on(s, 31);
    syn_received(s);
    on(s, 0);
}

/* The record of flow 31 goes, and no retransmission of it disturbs. */
static void free_records(struct script *s)
{
    struct flow *before = s->flow;
    on(s, 31);
    recv(s, "R 1:1(0)");
    s->flow = before;
}

/* A peer without options has got a cookie; nothing is kept of it. */
static void cookie_sent(struct script *s)
{
    fill_records(s);
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
    free_records(s);
}

/* ---- Cookies -------------------------------------------------------------------------------- */

static void a_syn_beyond_the_records_is_answered_and_its_ack_opens_rfc4987_3_6(void **state)
{
    struct script *s = *state;
    cookie_sent(s);
    assert_int_equal(counter(s, "tcp_cookies_sent"), 1);
    assert_int_equal(counter(s, "tcp_half_open_limited"), 0);
    app_accept_none(s);
    recv(s, ". 1:1(0) ack 1");
    assert_int_equal(counter(s, "tcp_cookies_accepted"), 1);
    app_accept(s);
    app_events(s, POLLOUT);
    send_and_expect(s, 3000, 1460, 1);
    recv(s, "P. 1:11(10) ack 3001");
    app_recv(s, 10);
    expect_after(s, 40, ". 3001:3001(0) ack 11");
}

static void the_ack_of_a_cookie_may_bring_data_and_fin_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    cookie_sent(s);
    recv(s, "FP. 1:11(10) ack 1");
    expect(s, ". 1:1(0) ack 12");
    app_accept(s);
    app_recv(s, 10);
    app_recv_end(s);
}

static void a_syn_ack_with_a_cookie_is_not_sent_again_rfc4987_3_6(void **state)
{
    struct script *s = *state;
    cookie_sent(s);
    quiet(s, 60000);
    recv(s, ". 1:1(0) ack 1");
    app_accept(s);
    assert_int_equal(counter(s, "tcp_retransmitted_segments"), 0);
}

static void each_syn_has_one_answer(void **state)
{
    struct script *s = *state;
    cookie_sent(s);
    on(s, 31);
    next_connection(s, REMOTE_ISS);
    syn_received(s);
    on(s, 0);
    for (unsigned i = 0; i < 5; i++) {
        recv(s, "S 0:0(0) win 65535 <mss 1460>");
        expect(s, "S. 0:0(0) ack 1 <mss 1460>"); /* the same cookie: its number is relative */
    }
    assert_int_equal(counter(s, "tcp_cookies_sent"), 6);
    recv(s, ". 1:1(0) ack 1");
    app_accept(s);
}

static void window_scale_and_sack_go_through_the_timestamp_rfc4987_3_6_rfc7323_3(void **state)
{
    struct script *s = *state;
    fill_records(s);
    recv(s, "S 0:0(0) win 65535 <mss 1460,sackOK,TS val 700 ecr 0,nop,wscale 7>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460,TS val * ecr 700,wscale *,sackOK>");
    free_records(s);
    recv(s, ". 1:1(0) ack 1 win 100"); /* 12800 bytes */
    app_accept(s);
    app_send(s, 20000);
    for (unsigned seq = 1; seq < 8 * 1448; seq += 1448)
        expect(s, ". %u:%u(1448) ack 1 <TS val * ecr %u>", seq, seq + 1448, REMOTE_TS);
    expect_nothing(s); /* eight segments fit into the window, a ninth does not */
}

static void without_a_timestamp_neither_scale_nor_sack_is_offered_rfc4987_3_6(void **state)
{
    struct script *s = *state;
    fill_records(s);
    recv(s, "S 0:0(0) win 65535 <mss 1460,sackOK,nop,wscale 7>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
    free_records(s);
    recv(s, ". 1:1(0) ack 1 win 3000");
    app_accept(s);
    app_send(s, 6000);
    expect(s, ". 1:1461(1460) ack 1");
    expect(s, ". 1461:2921(1460) ack 1");
    expect_nothing(s); /* 3000 bytes are meant, and not more */
}

static void the_mss_of_a_cookie_is_never_above_the_offer_rfc9293_3_7_1(void **state)
{
    static const struct {
        const char *offer;
        uint32_t mss;
    } cases[] = {{"", 536},          {"mss 1", 48},      {"mss 500", 256},   {"mss 1400", 1380},
                 {"mss 1459", 1452}, {"mss 1460", 1460}, {"mss 9000", 1460}, {"mss 65535", 1460}};
    struct script *s = *state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fill_records(s);
        recv(s, "S 0:0(0) win 65535 <%s>", cases[i].offer);
        expect(s, "S. 0:0(0) ack 1 <mss 1460>");
        free_records(s);
        recv(s, ". 1:1(0) ack 1");
        app_accept(s);
        send_and_expect(s, cases[i].mss * 3, cases[i].mss, 1);
    }
}

/* The timestamp that the packet carries, absolute. */
static uint32_t timestamp_of(const struct packet *p)
{
    for (unsigned i = 0; i < p->options; i++) {
        if (p->option[i].kind == OPTION_TS)
            return p->option[i].value[0];
    }
    fail_msg("there is no timestamp");
    return 0;
}

static void timestamps_never_run_backward_after_a_cookie_rfc7323_4_1(void **state)
{
    static const char *const options[] = {"wscale 0", "wscale 14", "sackOK", "sackOK,wscale 13"};
    struct script *s = *state;
    for (unsigned ms = 0; ms < 130; ms += 7) {
        fill_records(s);
        after(s, ms);
        recv(s, "S 0:0(0) win 65535 <mss 1460,TS val 700 ecr 0,%s>", options[ms % 4]);
        uint32_t in_the_cookie = timestamp_of(expect(s, "S. 0:0(0) ack 1 <*>"));
        recv(s, ". 1:1(0) ack 1 <TS val 700 ecr %u>", in_the_cookie - s->flow->local_ts);
        app_accept(s);
        app_send(s, 10);
        uint32_t of_the_clock = timestamp_of(expect(s, "P. 1:11(10) ack 1 <*>"));
        assert_in_range(of_the_clock - in_the_cookie, 0, 63);
    }
}

static void a_cookie_lasts_for_the_period_after_its_own(void **state)
{
    struct script *s = *state;
    cookie_sent(s);
    at(s, FIRST_END_MS + PERIOD_MS - 10);
    recv(s, ". 1:1(0) ack 1");
    app_accept(s);
}

static void an_expired_cookie_opens_nothing(void **state)
{
    struct script *s = *state;
    cookie_sent(s);
    at(s, FIRST_END_MS + PERIOD_MS + 10);
    recv(s, ". 1:1(0) ack 1");
    app_accept_none(s);
    assert_int_equal(counter(s, "tcp_cookies_wrong"), 1);
    assert_int_equal(counter(s, "tcp_cookies_accepted"), 0);
}

static void what_brings_no_cookie_is_dropped_while_some_are_out(void **state)
{
    struct script *s = *state;
    cookie_sent(s);
    recv(s, ". 1:1(0) ack 2");
    recv(s, ". 2:2(0) ack 1");
    recv(s, ". 1:1(0) ack 17"); /* the next of the same MSS and period */
    recv(s, "F. 1:11(10) ack 3000");
    expect_nothing(s);
    on(s, 1); /* another port of the same host */
    s->flow->local_port = LOCAL_PORT;
    s->flow->local_iss = s->flows[0].local_iss;
    s->flow->local_iss_known = true;
    recv(s, ". 1:1(0) ack 1");
    app_accept_none(s);
    assert_int_equal(counter(s, "tcp_cookies_wrong"), 5);
    assert_int_equal(counter(s, "tcp_no_connection"), 0);
}

static void text_that_overtakes_the_ack_does_no_harm(void **state)
{
    struct script *s = *state;
    cookie_sent(s);
    recv(s, "P. 11:21(10) ack 1"); /* which SYN it belongs to cannot be seen */
    expect_nothing(s);
    recv(s, ". 1:11(10) ack 1");
    app_accept(s);
    app_recv(s, 10);
    recv(s, "P. 11:21(10) ack 1");
    expect(s, ". 1:1(0) ack 21");
    app_recv(s, 10);
}

static void long_after_the_last_cookie_an_ack_is_reset_as_ever_rfc9293_3_10_7_2(void **state)
{
    struct script *s = *state;
    cookie_sent(s);
    at(s, 2 * PERIOD_MS - 10);
    recv(s, ". 1:1(0) ack 1");
    expect_nothing(s);
    at(s, 2 * PERIOD_MS + 10);
    recv(s, ". 1:1(0) ack 1");
    expect(s, "R 1:1(0)");
    assert_int_equal(counter(s, "tcp_cookies_wrong"), 1);
    assert_int_equal(counter(s, "tcp_no_connection"), 1);
}

static void a_reflected_syn_ack_is_reset_while_cookies_are_out_rfc9293_3_10_7_2(void **state)
{
    struct script *s = *state;
    cookie_sent(s);
    recv(s, "S. 0:0(0) ack 1");
    expect(s, "R 1:1(0)");
    app_accept_none(s);
    assert_int_equal(counter(s, "tcp_cookies_wrong"), 0);
}

static void a_rst_that_answers_a_cookie_is_ignored_rfc9293_3_10_7_2(void **state)
{
    struct script *s = *state;
    cookie_sent(s);
    recv(s, "R 1:1(0)");
    recv(s, "R. 1:1(0) ack 1");
    recv(s, "FSR. 1:1(0) ack 1");
    app_accept_none(s);
}

static void a_closed_listener_takes_no_cookie(void **state)
{
    struct script *s = *state;
    cookie_sent(s);
    app_close_listener(s);
    recv(s, ". 1:1(0) ack 1");
    expect(s, "R 1:1(0)");
}

static void the_cookie_and_the_record_of_a_later_syn_both_open(void **state)
{
    struct script *s = *state;
    cookie_sent(s);
    uint32_t in_the_cookie = s->flow->local_iss;
    next_connection(s, REMOTE_ISS);
    recv(s, "S 0:0(0) win 65535 <mss 1460>"); /* again, and there is room now */
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
    assert_int_equal(counter(s, "tcp_cookies_sent"), 1);
    s->flow->local_iss = in_the_cookie; /* but the first SYN-ACK has arrived before the second */
    recv(s, "P. 11:21(10) ack 1");      /* and the first text was lost */
    expect(s, ". 1:1(0) ack 1");
    app_accept(s);
    recv(s, ". 1:11(10) ack 1");
    expect(s, ". 1:1(0) ack 21");
    app_recv(s, 20);
    quiet(s, 60000); /* the record is gone with its timer */
}

static void text_before_what_overtook_it_is_not_old_rfc7323_5_3(void **state)
{
    struct script *s = *state;
    fill_records(s);
    recv(s, "S 0:0(0) <mss 1460,TS val 700 ecr 0>");
    uint32_t echo = timestamp_of(expect(s, "S. 0:0(0) ack 1 <mss 1460,TS val * ecr 700>"));
    uint32_t in_the_cookie = s->flow->local_iss;
    free_records(s);
    next_connection(s, REMOTE_ISS);
    recv(s, "S 0:0(0) <mss 1460,TS val 702 ecr 0>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460,TS val * ecr 702>");
    s->flow->local_iss = in_the_cookie;
    echo -= s->flow->local_ts;
    recv(s, "P. 11:21(10) ack 1 <TS val 706 ecr %u>", echo);
    expect(s, ". 1:1(0) ack 1 <TS val * ecr 702>");
    app_accept(s);
    recv(s, ". 1:11(10) ack 1 <TS val 704 ecr %u>", echo);
    expect(s, ". 1:1(0) ack 21 <TS val * ecr 704>");
    app_recv(s, 20);
}

static void a_record_still_resets_an_ack_that_is_neither_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    cookie_sent(s);
    next_connection(s, REMOTE_ISS);
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
    recv(s, ". 1:1(0) ack 5");
    expect(s, "R 5:5(0)");
    recv(s, ". 1:1(0) ack 1");
    app_accept(s);
}

/* A cookie has opened a connection, which the server has closed last and forgotten. */
static void opened_and_over(struct script *s)
{
    cookie_sent(s);
    recv(s, "F. 1:1(0) ack 1");
    expect(s, ". 1:1(0) ack 2");
    app_accept(s);
    app_close(s);
    expect(s, "F. 1:1(0) ack 2");
    recv(s, ". 2:2(0) ack 2");
}

static void a_cookie_opens_one_connection_and_no_second_rfc9293_3_10_7_2(void **state)
{
    struct script *s = *state;
    opened_and_over(s);
    recv(s, "F. 1:1(0) ack 1"); /* a late duplicate, or a replay */
    expect(s, "R 1:1(0)");
    assert_int_equal(counter(s, "tcp_cookies_spent"), 1);
    assert_int_equal(counter(s, "tcp_cookies_accepted"), 1);
    app_accept_none(s);
}

static void text_for_a_connection_that_was_aborted_is_reset_as_ever_rfc9293_3_10_7_2(void **state)
{
    struct script *s = *state;
    cookie_sent(s);
    recv(s, "P. 1:11(10) ack 1");
    app_accept(s);
    app_close(s); /* RFC 2525 2.17: unread */
    expect(s, "R. 1:1(0) ack 11");
    recv(s, "P. 1:11(10) ack 1");
    expect(s, "R 1:1(0)");
    app_accept_none(s);
}

static void a_late_syn_of_a_spent_cookie_gets_no_other_rfc4987_3_6(void **state)
{
    struct script *s = *state;
    opened_and_over(s);
    on(s, 31);
    syn_received(s);
    on(s, 0);
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    assert_int_equal(counter(s, "tcp_cookies_spent"), 1);
    assert_int_equal(counter(s, "tcp_cookies_sent"), 1);
}

static void a_spent_cookie_does_not_open_the_record_of_a_late_syn(void **state)
{
    struct script *s = *state;
    opened_and_over(s);
    uint32_t in_the_cookie = s->flow->local_iss;
    next_connection(s, REMOTE_ISS);
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
    s->flow->local_iss = in_the_cookie;
    recv(s, "F. 1:1(0) ack 1");
    expect(s, "R 1:1(0)");
    assert_int_equal(counter(s, "tcp_cookies_accepted"), 1);
    app_accept_none(s);
}

static void time_wait_keeps_a_duplicate_from_opening_again_rfc9293_3_6_1(void **state)
{
    struct script *s = *state;
    cookie_sent(s);
    recv(s, ". 1:1(0) ack 1");
    app_accept(s);
    app_close(s);
    expect(s, "F. 1:1(0) ack 1");
    recv(s, "F. 1:1(0) ack 2");
    expect(s, ". 2:2(0) ack 2");
    recv(s, ". 1:1(0) ack 1");
    app_accept_none(s);
    assert_int_equal(counter(s, "tcp_cookies_accepted"), 1);
}

static void without_cookies_a_syn_beyond_the_records_is_dropped(void **state)
{
    struct script *s = *state;
    s->config.syn_cookies = false;
    fill_records(s);
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    expect_nothing(s);
    assert_int_equal(counter(s, "tcp_half_open_limited"), 1);
    assert_int_equal(counter(s, "tcp_cookies_sent"), 0);
}

/* ---- Records -------------------------------------------------------------------------------- */

static void a_flood_pushes_no_record_out(void **state)
{
    struct script *s = *state;
    fill_records(s);
    for (unsigned i = 0; i < 30; i++) {
        on(s, i);
        recv(s, "S 0:0(0) win 65535 <mss 1460,TS val 700 ecr 0>");
        expect(s, "S. 0:0(0) ack 1 <*>");
    }
    on(s, 31);
    expect_after(s, 1000, "S. 0:0(0) ack 1 <mss 1460>"); /* the record is there, with its timer */
    recv(s, ". 1:1(0) ack 1");
    app_accept(s);
    assert_int_equal(counter(s, "tcp_cookies_sent"), 30);
    assert_int_equal(counter(s, "tcp_cookies_accepted"), 0);
}

/* The records of a listener are as many as its backlog, but 8 at least. */
static void check_share(struct script *s, int backlog, unsigned records)
{
    remake(s);
    app_listen(s, backlog);
    for (unsigned i = 0; i <= records; i++) {
        on(s, i);
        recv(s, "S 0:0(0) win 65535 <mss 1460>");
        expect(s, "S. 0:0(0) ack 1 <mss 1460>");
        assert_int_equal(counter(s, "tcp_cookies_sent"), i < records ? 0 : 1);
    }
    on(s, 0);
    recv(s, "R 1:1(0)"); /* one goes, and there is room for one */
    on(s, records + 1);
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
    assert_int_equal(counter(s, "tcp_cookies_sent"), 1);
}

static void a_listener_has_a_share_of_the_records(void **state)
{
    struct script *s = *state;
    check_share(s, 1, 8);
    check_share(s, 8, 8);
    check_share(s, 20, 20);
}

static void a_record_that_opens_makes_room(void **state)
{
    struct script *s = *state;
    fill_records(s);
    on(s, 31);
    recv(s, ". 1:1(0) ack 1");
    on(s, 0);
    syn_received(s);
    assert_int_equal(counter(s, "tcp_cookies_sent"), 0);
}

/* ---- The accept queue ----------------------------------------------------------------------- */

/* A listener whose queue of one is full, with a cookie out to flow 0. */
static void fill_queue_with_a_cookie_out(struct script *s)
{
    s->config.half_open_max = 1;
    remake(s);
    app_listen(s, 1);
    on(s, 31);
    syn_received(s);
    on(s, 0);
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
    on(s, 31);
    recv(s, ". 1:1(0) ack 1");
    on(s, 0);
}

static void a_cookie_that_finds_the_accept_queue_full_is_dropped_and_comes_again(void **state)
{
    struct script *s = *state;
    fill_queue_with_a_cookie_out(s);
    recv(s, ". 1:1(0) ack 1");
    recv(s, "P. 1:11(10) ack 1");
    expect_nothing(s);
    assert_int_equal(counter(s, "tcp_accept_queue_full"), 2);
    assert_int_equal(counter(s, "tcp_cookies_accepted"), 0);
    on(s, 31);
    app_accept(s);
    on(s, 0);
    app_accept_none(s);
    recv(s, "P. 1:11(10) ack 1");
    app_accept(s);
    app_recv(s, 10);
    expect_after(s, 40, ". 1:1(0) ack 11");
}

static void a_syn_that_finds_the_accept_queue_full_gets_no_cookie(void **state)
{
    struct script *s = *state;
    fill_queue_with_a_cookie_out(s);
    on(s, 1);
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    expect_nothing(s);
    assert_int_equal(counter(s, "tcp_accept_queue_full"), 1);
    assert_int_equal(counter(s, "tcp_cookies_sent"), 1);
}

static void at_the_limit_of_connections_a_cookie_waits(void **state)
{
    struct script *s = *state;
    s->config.connections_max = 1;
    fill_records(s);
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
    on(s, 31);
    recv(s, ". 1:1(0) ack 1");
    app_accept(s);
    on(s, 0);
    recv(s, ". 1:1(0) ack 1");
    app_accept_none(s);
    assert_int_equal(counter(s, "tcp_connections_limited"), 1);
    on(s, 31);
    recv(s, "R 1:1(0)");
    on(s, 0);
    recv(s, "P. 1:11(10) ack 1");
    app_accept(s);
    app_recv(s, 10);
    expect_after(s, 40, ". 1:1(0) ack 11");
}

/* ---- What no honest peer sends -------------------------------------------------------------- */

static void flags_that_make_no_sense_make_no_record_rfc9293_3_10_7_2(void **state)
{
    static const char *const silent[] = {
        "SF 0:0(0)",             /* a request that ends itself */
        "SR 0:0(0)",             /* RST comes first */
        "SFR 0:0(0)",            /* likewise */
        "FSRPUEW. 0:0(0) ack 7", /* all */
        "- 0:0(0)",              /* none */
        "U 0:0(0) urg 1",        /* neither SYN nor ACK */
        "FPU 0:0(0) urg 1",      /* a scanner's */
    };
    struct script *s = *state;
    app_listen(s, 8);
    for (unsigned i = 0; i < sizeof silent / sizeof silent[0]; i++)
        recv(s, "%s", silent[i]);
    recv(s, "SF. 0:0(0) ack 7");
    expect(s, "R 7:7(0)");
    quiet(s, 2000); /* no record sends a SYN-ACK */
}

static void a_syn_from_where_no_host_is_makes_no_record_rfc1122_3_2_1_3(void **state)
{
    static const uint8_t sources[][4] = {
        {10, 0, 0, 1},        /* ourselves: LAND */
        {10, 0, 0, 255},      /* everyone near */
        {255, 255, 255, 255}, /* likewise */
        {224, 0, 0, 1},       /* a group */
        {239, 255, 255, 255}, /* likewise */
        {127, 0, 0, 1},       /* loopback */
        {0, 0, 0, 0},         /* nobody */
        {240, 0, 0, 1},       /* reserved */
    };
    static uint8_t bytes[PACKET_BYTES_MAX];
    struct script *s = *state;
    app_listen(s, 8);
    for (unsigned i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        size_t length = build(s, bytes, "S 0:0(0) <mss 1460>");
        memcpy(bytes + 12, sources[i], 4);
        packet_fix_checksums(bytes, length);
        recv_raw(s, bytes, length);
        expect_nothing(s);
        assert_int_equal(counter(s, "ip_source_refused"), i + 1);
    }
    quiet(s, 2000);
}

static void a_syn_with_our_own_port_and_address_is_dropped(void **state)
{
    struct script *s = *state;
    static uint8_t bytes[PACKET_BYTES_MAX];
    app_listen(s, 8);
    size_t length = build(s, bytes, "S 0:0(0) <mss 1460>");
    memcpy(bytes + 12, bytes + 16, 4); /* LAND: the source is the destination */
    memcpy(bytes + 20, bytes + 22, 2);
    packet_fix_checksums(bytes, length);
    recv_raw(s, bytes, length);
    quiet(s, 2000);
    assert_int_equal(counter(s, "ip_source_refused"), 1);
}

static void a_reflected_syn_ack_is_reset_in_syn_sent_and_changes_nothing(void **state)
{
    struct script *s = *state;
    syn_sent(s);
    for (unsigned i = 2; i < 12; i++) { /* answers to somebody else's SYN */
        recv(s, "S. 777:777(0) ack %u <mss 1460>", i);
        expect(s, "R %u:%u(0)", i, i);
    }
    recv(s, "S. 0:0(0) ack 1 <mss 1460>");
    expect(s, ". 1:1(0) ack 1");
    app_events(s, POLLOUT);
}

static void acks_at_a_listener_cost_one_rst_each_and_leave_nothing_rfc9293_3_10_7_2(void **state)
{
    struct script *s = *state;
    static uint8_t bytes[PACKET_BYTES_MAX];
    app_listen(s, 8);
    for (unsigned i = 0; i < 1000; i++) {
        on(s, i % 30);
        size_t length = build(s, bytes, ". 1:11(10) ack %u", i + 1);
        recv_raw(s, bytes, length);
        const struct packet *rst = expect(s, "R %u:%u(0) <>", i + 1, i + 1);
        size_t answer;
        script_bytes(s, rst, &answer);
        assert_int_equal(answer, 40); /* the headers of IP and TCP: no more than what came */
    }
    assert_int_equal(counter(s, "tcp_no_connection"), 1000);
    app_accept_none(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_syn_beyond_the_records_is_answered_and_its_ack_opens_rfc4987_3_6),
        TEST(the_ack_of_a_cookie_may_bring_data_and_fin_rfc9293_3_10_7_4),
        TEST(a_syn_ack_with_a_cookie_is_not_sent_again_rfc4987_3_6),
        TEST(each_syn_has_one_answer),
        TEST(window_scale_and_sack_go_through_the_timestamp_rfc4987_3_6_rfc7323_3),
        TEST(without_a_timestamp_neither_scale_nor_sack_is_offered_rfc4987_3_6),
        TEST(the_mss_of_a_cookie_is_never_above_the_offer_rfc9293_3_7_1),
        TEST(timestamps_never_run_backward_after_a_cookie_rfc7323_4_1),
        TEST(a_cookie_lasts_for_the_period_after_its_own),
        TEST(an_expired_cookie_opens_nothing),
        TEST(what_brings_no_cookie_is_dropped_while_some_are_out),
        TEST(text_that_overtakes_the_ack_does_no_harm),
        TEST(long_after_the_last_cookie_an_ack_is_reset_as_ever_rfc9293_3_10_7_2),
        TEST(a_reflected_syn_ack_is_reset_while_cookies_are_out_rfc9293_3_10_7_2),
        TEST(a_rst_that_answers_a_cookie_is_ignored_rfc9293_3_10_7_2),
        TEST(a_closed_listener_takes_no_cookie),
        TEST(the_cookie_and_the_record_of_a_later_syn_both_open),
        TEST(text_before_what_overtook_it_is_not_old_rfc7323_5_3),
        TEST(a_record_still_resets_an_ack_that_is_neither_rfc9293_3_10_7_4),
        TEST(a_cookie_opens_one_connection_and_no_second_rfc9293_3_10_7_2),
        TEST(text_for_a_connection_that_was_aborted_is_reset_as_ever_rfc9293_3_10_7_2),
        TEST(a_late_syn_of_a_spent_cookie_gets_no_other_rfc4987_3_6),
        TEST(a_spent_cookie_does_not_open_the_record_of_a_late_syn),
        TEST(time_wait_keeps_a_duplicate_from_opening_again_rfc9293_3_6_1),
        TEST(without_cookies_a_syn_beyond_the_records_is_dropped),
        TEST(a_flood_pushes_no_record_out),
        TEST(a_listener_has_a_share_of_the_records),
        TEST(a_record_that_opens_makes_room),
        TEST(a_cookie_that_finds_the_accept_queue_full_is_dropped_and_comes_again),
        TEST(a_syn_that_finds_the_accept_queue_full_gets_no_cookie),
        TEST(at_the_limit_of_connections_a_cookie_waits),
        TEST(flags_that_make_no_sense_make_no_record_rfc9293_3_10_7_2),
        TEST(a_syn_from_where_no_host_is_makes_no_record_rfc1122_3_2_1_3),
        TEST(a_syn_with_our_own_port_and_address_is_dropped),
        TEST(a_reflected_syn_ack_is_reset_in_syn_sent_and_changes_nothing),
        TEST(acks_at_a_listener_cost_one_rst_each_and_leave_nothing_rfc9293_3_10_7_2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
