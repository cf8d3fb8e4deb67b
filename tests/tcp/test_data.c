/* SPDX-License-Identifier: MIT */
/* Data that arrives: order, windows, acknowledgements. RFC 9293 3.8.6 and 3.10.7.4, RFC 5681 4.2.
 */
#include <poll.h>

#include "fixtures.h"

#define MSS 1460

/* ---- In order ------------------------------------------------------------------------------- */

static void data_is_delivered_in_order(void **state)
{
    struct script *s = *state;
    established(s);
    app_recv_fails(s, EAGAIN);
    recv(s, "P. 1:101(100) ack 1");
    app_events(s, POLLIN | POLLOUT);
    app_recv(s, 60);
    app_recv(s, 40);
    app_recv_fails(s, EAGAIN);
    expect_after(s, 40, ". 1:1(0) ack 101");
}

static void sequence_numbers_wrap_rfc9293_3_4(void **state)
{
    struct script *s = *state;
    next_connection(s, 0xfffff000u); /* 4095 bytes of data before the wrap */
    established(s);
    for (unsigned seq = 1; seq < 8 * MSS; seq += 2 * MSS) {
        recv(s, ". %u:%u(1460) ack 1", seq, seq + MSS);
        recv(s, ". %u:%u(1460) ack 1", seq + MSS, seq + 2 * MSS);
        expect(s, ". 1:1(0) ack %u", seq + 2 * MSS);
    }
    app_recv(s, 8 * MSS);
    recv(s, ". 1:1461(1460) ack 1"); /* old on the other side of the wrap */
    expect(s, ". 1:1(0) ack 11681");
}

static void an_out_of_order_gap_spans_the_wrap_rfc9293_3_4(void **state)
{
    struct script *s = *state;
    next_connection(s, 0xfffffff0u);
    established(s);
    recv(s, ". 101:201(100) ack 1");
    expect(s, ". 1:1(0) ack 1");
    recv(s, ". 1:101(100) ack 1");
    expect(s, ". 1:1(0) ack 201");
    app_recv(s, 200);
}

static void a_segment_without_ack_is_dropped_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, "P 1:101(100)");
    app_recv_fails(s, EAGAIN);
    quiet(s, 1000);
    assert_int_equal(counter(s, "tcp_ack_missing"), 1);
}

static void an_ack_is_not_acknowledged_rfc9293_3_8_6_3(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, ". 1:1(0) ack 1");
    recv(s, ". 1:1(0) ack 1 win 1000");
    quiet(s, 1000);
}

static void unknown_flags_do_no_harm_rfc9293_3_1(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, "PEW. 1:11(10) ack 1");
    app_recv(s, 10);
    expect_after(s, 40, ". 1:1(0) ack 11");
}

static void reserved_bits_are_ignored_rfc9293_3_1(void **state)
{
    struct script *s = *state;
    established(s);
    static uint8_t bytes[PACKET_BYTES_MAX];
    size_t length = build(s, bytes, "P. 1:11(10) ack 1");
    bytes[32] |= 0x0f;
    packet_fix_checksums(bytes, length);
    recv_raw(s, bytes, length);
    app_recv(s, 10);
    expect_after(s, 40, ". 1:1(0) ack 11");
}

/* ---- Out of order --------------------------------------------------------------------------- */

#define PIECES 4

/* A receiver as RFC 5681 4.2 and RFC 9293 3.8.6.3 want it, by counting pieces. */
struct model {
    bool arrived[PIECES];
    unsigned in_order; /* pieces that may be read */
    unsigned pending;  /* of them, in a row, not yet acknowledged */
};

/* A piece arrives; returns whether it must be acknowledged at once. */
static bool model_arrives(struct model *m, unsigned piece)
{
    bool gap = piece != m->in_order;
    for (unsigned i = m->in_order; i < PIECES; i++)
        gap |= m->arrived[i];
    m->arrived[piece] = true;
    while (m->in_order < PIECES && m->arrived[m->in_order])
        m->in_order++;
    m->pending = gap ? 0 : (m->pending + 1) % 2;
    return gap || m->pending == 0;
}

static void try_order(struct script *s, const unsigned order[PIECES])
{
    struct model m = {0};
    remake(s);
    established(s);
    for (unsigned i = 0; i < PIECES; i++) {
        unsigned seq = 1 + order[i] * MSS;
        recv(s, ". %u:%u(1460) ack 1", seq, seq + MSS);
        if (model_arrives(&m, order[i]))
            expect(s, ". 1:1(0) ack %u", 1 + m.in_order * MSS);
    }
    assert_int_equal(m.in_order, PIECES);
    app_recv(s, PIECES * MSS);
    app_close(s);
    expect(s, "F. 1:1(0) ack %u", 1 + PIECES * MSS);
}

static void data_in_every_order_is_delivered_and_acknowledged_rfc5681_4_2(void **state)
{
    struct script *s = *state;
    unsigned tried = 0;
    for (unsigned code = 0; code < PIECES * PIECES * PIECES * PIECES; code++) {
        unsigned order[PIECES], seen = 0, rest = code;
        for (unsigned i = 0; i < PIECES; i++, rest /= PIECES) {
            order[i] = rest % PIECES;
            seen |= 1u << order[i];
        }
        if (seen != (1u << PIECES) - 1)
            continue;
        try_order(s, order);
        tried++;
    }
    assert_int_equal(tried, 24);
}

static void overlaps_are_delivered_once(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, ". 1:101(100) ack 1");
    recv(s, ". 51:151(100) ack 1"); /* its front is old */
    expect(s, ". 1:1(0) ack 151");
    recv(s, ". 201:301(100) ack 1");
    expect(s, ". 1:1(0) ack 151");
    recv(s, ". 251:351(100) ack 1"); /* overlaps what waits, behind */
    expect(s, ". 1:1(0) ack 151");
    recv(s, ". 181:211(30) ack 1"); /* and in front */
    expect(s, ". 1:1(0) ack 151");
    recv(s, ". 121:401(280) ack 1"); /* covers everything */
    expect(s, ". 1:1(0) ack 401");
    app_recv(s, 400);
}

/* The text covers the first range and ends inside the second. */
static void text_that_ends_inside_a_range_takes_it_all(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, ". 101:201(100) ack 1");
    expect(s, ". 1:1(0) ack 1");
    recv(s, ". 301:401(100) ack 1");
    expect(s, ". 1:1(0) ack 1");
    recv(s, ". 1:351(350) ack 1");
    expect(s, ". 1:1(0) ack 401");
    app_recv(s, 400);
}

static void many_holes_are_filled_backward(void **state)
{
    struct script *s = *state;
    established(s);
    for (unsigned seq = 1 + 99 * 10; seq > 1; seq -= 10) {
        recv(s, ". %u:%u(10) ack 1", seq, seq + 10);
        expect(s, ". 1:1(0) ack 1");
    }
    recv(s, ". 1:11(10) ack 1");
    expect(s, ". 1:1(0) ack 1001");
    app_recv(s, 1000);
}

static void a_fin_waits_for_the_data_before_it_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, "F. 101:201(100) ack 1");
    expect(s, ". 1:1(0) ack 1");
    app_recv_fails(s, EAGAIN);
    recv(s, ". 1:101(100) ack 1");
    expect(s, ". 1:1(0) ack 202");
    app_recv(s, 200);
    app_recv_end(s);
}

/* ---- What is not acceptable: RFC 9293 3.10.7.4, first --------------------------------------- */

static void a_duplicate_is_acknowledged_at_once_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, ". 1:101(100) ack 1");
    expect_after(s, 40, ". 1:1(0) ack 101");
    recv(s, ". 1:101(100) ack 1");
    expect(s, ". 1:1(0) ack 101");
    app_recv(s, 100);
    app_recv_fails(s, EAGAIN);
}

static void a_keepalive_probe_is_acknowledged_rfc9293_3_8_4(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, ". 0:0(0) ack 1");
    expect(s, ". 1:1(0) ack 1");
    after(s, 10000);
    recv(s, ". 0:1(1) ack 1"); /* some send a byte of garbage: it stands before the window */
    expect(s, ". 1:1(0) ack 1");
    app_recv_fails(s, EAGAIN);
}

static void data_beyond_the_window_is_dropped_and_acknowledged_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, ". 65536:65546(10) ack 1");
    expect(s, ". 1:1(0) ack 1 win 65535");
    recv(s, ". 1:11(10) ack 1");
    app_recv(s, 10);
    expect_after(s, 40, ". 1:1(0) ack 11");
}

static void data_is_trimmed_to_the_window_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    s->config.receive_buffer_bytes = 8192;
    remake(s);
    established(s);
    for (unsigned seq = 1; seq < 1 + 8000; seq += 2000) {
        recv(s, ". %u:%u(1000) ack 1", seq, seq + 1000);
        recv(s, ". %u:%u(1000) ack 1", seq + 1000, seq + 2000);
        expect(s, ". 1:1(0) ack %u", seq + 2000);
    }
    recv(s, ". 8001:9001(1000) ack 1");
    expect(s, ". 1:1(0) ack 8193 win 0");
    app_recv(s, 8192);
    expect(s, ". 1:1(0) ack 8193 win 8192");
    app_recv_fails(s, EAGAIN);
    recv(s, ". 8193:8293(100) ack 1");
    app_recv(s, 100);
    expect_after(s, 40, ". 1:1(0) ack 8293");
}

static void a_fin_beyond_the_window_is_not_taken_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    s->config.receive_buffer_bytes = 4096;
    remake(s);
    established(s);
    recv(s, ". 1:2001(2000) ack 1");
    expect_between(s, 0, 40, ". 1:1(0) ack 2001");
    recv(s, "F. 2001:4198(2197) ack 1"); /* 101 bytes too many */
    expect(s, ". 1:1(0) ack 4097 win 0");
    s->flow->remote_fin = false;
    app_recv(s, 4096);
    expect(s, ". 1:1(0) ack 4097 win 4096");
    app_recv_fails(s, EAGAIN);
    recv(s, "F. 4097:4198(101) ack 1");
    expect(s, ". 1:1(0) ack 4199");
    app_recv(s, 101);
    app_recv_end(s);
}

/* Where the numbers wrap, what is old and what is to come meet: neither is at the window. */
static void a_fin_half_the_number_space_away_is_not_taken_rfc9293_3_10_7_4(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, "F. 2147483649:2147483749(100) ack 1"); /* 1 + 2^31 */
    s->flow->remote_fin = false;
    expect(s, ". 1:1(0) ack 1");
    app_recv_fails(s, EAGAIN);
    recv(s, ". 1:11(10) ack 1");
    app_recv(s, 10);
    expect_after(s, 40, ". 1:1(0) ack 11");
}

static void a_bare_ack_at_the_right_edge_is_taken_rfc9293_a_2(void **state)
{
    struct script *s = *state;
    s->config.receive_buffer_bytes = 8192;
    remake(s);
    established(s);
    send_and_expect(s, 100, MSS, 1);
    recv(s, ". 1001:8193(7192) ack 1"); /* fills the window, with a hole in it */
    expect(s, ". 101:101(0) ack 1 win 8192");
    recv(s, ". 8193:8193(0) ack 101"); /* so that this is where the remote stands */
    quiet(s, 1000);
    assert_int_equal(counter(s, "tcp_sequence_unacceptable"), 0);
    send_and_expect(s, 100, MSS, 1);
    recv(s, ". 8194:8194(0) ack 201"); /* one beyond it is nobody's */
    expect(s, ". 201:201(0) ack 1");
    expect_between(s, 200, 201, "P. 101:201(100) ack 1");
}

/* ---- When to acknowledge: RFC 9293 3.8.6.3 -------------------------------------------------- */

static void an_acknowledgement_is_delayed_by_40_ms_rfc9293_3_8_6_3(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, ". 1:1461(1460) ack 1");
    expect_after(s, 40, ". 1:1(0) ack 1461");
    assert_int_equal(counter(s, "tcp_delayed_acks"), 1);
    after(s, 7);
    recv(s, "P. 1461:1462(1) ack 1");
    expect_after(s, 40, ". 1:1(0) ack 1462");
    quiet(s, 1000);
}

static void every_second_full_segment_is_acknowledged_rfc9293_3_8_6_3(void **state)
{
    struct script *s = *state;
    established(s);
    for (unsigned seq = 1; seq < 20 * MSS; seq += 2 * MSS) {
        recv(s, ". %u:%u(1460) ack 1", seq, seq + MSS);
        after(s, 5);
        recv(s, ". %u:%u(1460) ack 1", seq + MSS, seq + 2 * MSS);
        expect(s, ". 1:1(0) ack %u", seq + 2 * MSS);
    }
    quiet(s, 1000);
    app_recv(s, 20 * MSS);
}

static void a_batch_is_acknowledged_once(void **state)
{
    struct script *s = *state;
    established(s);
    begin_batch(s);
    for (unsigned seq = 1; seq < 8 * MSS; seq += MSS)
        recv(s, ". %u:%u(1460) ack 1", seq, seq + MSS);
    end_batch(s);
    expect(s, ". 1:1(0) ack %u", 1 + 8 * MSS);
    quiet(s, 1000);
}

static void a_super_packet_counts_as_its_segments(void **state)
{
    struct script *s = *state;
    established(s);
    recv_super(s, MSS, ". 1:14601(14600) ack 1");
    expect(s, ". 1:1(0) ack 14601");
    quiet(s, 1000);
    app_recv(s, 14600);
}

static void a_super_packet_is_trimmed_like_a_segment(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, ". 1:1461(1460) ack 1");
    recv_super(s, MSS, ". 1:14601(14600) ack 1");
    expect(s, ". 1:1(0) ack 14601");
    app_recv(s, 14600);
}

static void data_carries_the_acknowledgement_rfc9293_3_8_6_3(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, "P. 1:101(100) ack 1");
    after(s, 10);
    app_recv(s, 100);
    send_and_expect(s, 50, MSS, 101);
    recv(s, ". 101:101(0) ack 51");
    quiet(s, 1000);
}

static void filling_a_hole_is_acknowledged_at_once_rfc5681_4_2(void **state)
{
    struct script *s = *state;
    established(s);
    recv(s, ". 1461:2921(1460) ack 1");
    expect(s, ". 1:1(0) ack 1");
    recv(s, ". 2921:4381(1460) ack 1");
    expect(s, ". 1:1(0) ack 1");
    recv(s, ". 1:1461(1460) ack 1");
    expect(s, ". 1:1(0) ack 4381");
    quiet(s, 1000);
}

static void a_batch_out_of_order_is_acknowledged_for_each_segment_rfc5681_4_2(void **state)
{
    struct script *s = *state;
    established(s);
    begin_batch(s);
    for (unsigned i = 1; i <= 3; i++)
        recv(s, ". %u:%u(1460) ack 1", 1 + i * MSS, 1 + (i + 1) * MSS);
    end_batch(s);
    for (unsigned i = 1; i <= 3; i++) /* without SACK, they are what a sender counts */
        expect(s, ". 1:1(0) ack 1 win 65535");
    quiet(s, 1000);
}

static void a_super_packet_out_of_order_counts_as_its_segments_rfc5681_4_2(void **state)
{
    struct script *s = *state;
    established(s);
    recv_super(s, MSS, ". 1461:5841(4380) ack 1");
    for (unsigned i = 1; i <= 3; i++)
        expect(s, ". 1:1(0) ack 1");
    recv_super(s, MSS, ". 5841:49641(43800) ack 1"); /* 30 segments: eight tell as much */
    for (unsigned i = 1; i <= 8; i++)
        expect(s, ". 1:1(0) ack 1");
    quiet(s, 1000);
}

static void a_hole_that_its_batch_fills_is_acknowledged_once(void **state)
{
    struct script *s = *state;
    established(s);
    begin_batch(s);
    recv(s, ". 1461:2921(1460) ack 1");
    recv(s, ". 2921:4381(1460) ack 1");
    recv(s, ". 1:1461(1460) ack 1");
    end_batch(s);
    expect(s, ". 1:1(0) ack 4381");
    quiet(s, 1000);
}

/* ---- The window: RFC 9293 3.8.6 ------------------------------------------------------------- */

static void a_full_buffer_closes_the_window_and_reading_opens_it_rfc9293_3_8_6(void **state)
{
    struct script *s = *state;
    s->config.receive_buffer_bytes = 4 * MSS;
    remake(s);
    established(s);
    recv(s, ". 1:1461(1460) ack 1");
    recv(s, ". 1461:2921(1460) ack 1");
    expect(s, ". 1:1(0) ack 2921 win %u", 2 * MSS);
    recv(s, ". 2921:4381(1460) ack 1");
    recv(s, ". 4381:5841(1460) ack 1");
    expect(s, ". 1:1(0) ack 5841 win 0");
    /* A probe of the closed window is answered and not taken. */
    recv(s, ". 5841:5842(1) ack 1");
    expect(s, ". 1:1(0) ack 5841 win 0");
    app_recv(s, 4 * MSS);
    expect(s, ". 1:1(0) ack 5841 win %u", 4 * MSS);
    recv(s, ". 5841:7301(1460) ack 1");
    app_recv(s, MSS);
    expect_between(s, 0, 40, ". 1:1(0) ack 7301");
}

static void a_small_read_does_not_open_a_closed_window_rfc9293_3_8_6_2_2(void **state)
{
    struct script *s = *state;
    s->config.receive_buffer_bytes = 4 * MSS;
    remake(s);
    established(s);
    recv(s, ". 1:2921(2920) ack 1");
    expect_between(s, 0, 40, ". 1:1(0) ack 2921");
    recv(s, ". 2921:5841(2920) ack 1");
    expect_between(s, 0, 40, ". 1:1(0) ack 5841 win 0");
    app_recv(s, MSS - 1);
    expect_nothing(s);
    recv(s, ". 5841:5842(1) ack 1"); /* asked, it still shows a closed window */
    expect(s, ". 1:1(0) ack 5841 win 0");
    app_recv(s, MSS + 1);
    expect(s, ". 1:1(0) ack 5841 win %u", 2 * MSS);
}

static void a_reader_that_keeps_up_causes_no_window_updates_rfc9293_3_8_6_2_2(void **state)
{
    struct script *s = *state;
    established(s);
    for (unsigned seq = 1; seq < 20 * MSS; seq += 2 * MSS) {
        recv(s, ". %u:%u(1460) ack 1", seq, seq + MSS);
        app_recv(s, MSS);
        recv(s, ". %u:%u(1460) ack 1", seq + MSS, seq + 2 * MSS);
        expect(s, ". 1:1(0) ack %u", seq + 2 * MSS);
        app_recv(s, MSS);
    }
    quiet(s, 1000);
}

static void scaling_does_not_move_the_right_edge_left_rfc9293_3_8_6(void **state)
{
    struct script *s = *state;
    established_with(s, .scale = 7);
    assert_true(s->flow->local_scale > 0);
    uint32_t edge = 0;
    for (unsigned i = 0, seq = 1; i < 200; i++) { /* of every remainder modulo the scale's unit */
        recv(s, ". %u:%u(7) ack 1", seq, seq + 7);
        seq += 7;
        recv(s, ". %u:%u(10) ack 1", seq, seq + 10);
        seq += 10;
        const struct packet *ack = expect(s, ". 1:1(0) ack %u", seq);
        uint32_t now = seq + ((uint32_t)ack->window << s->flow->local_scale);
        assert_true(now >= edge);
        edge = now;
    }
}

static void no_window_update_follows_the_fin_of_the_remote(void **state)
{
    struct script *s = *state;
    s->config.receive_buffer_bytes = 4 * MSS;
    remake(s);
    established(s);
    recv_super(s, MSS, ". 1:2921(2920) ack 1");
    expect(s, ". 1:1(0) ack 2921 win %u", 2 * MSS);
    recv_super(s, MSS, "FP. 2921:5841(2920) ack 1");
    expect(s, ". 1:1(0) ack 5842");
    app_recv(s, 4 * MSS);
    app_recv_end(s);
    quiet(s, 1000);
}

/* ---- Memory runs short ---------------------------------------------------------------------- */

/* No two segments of this size fit into a window that is not scaled, and more than half of the
 * buffer does not. */
static void
a_window_without_scaling_opens_by_half_of_what_it_can_say_rfc9293_3_8_6_2_2(void **state)
{
    struct script *s = *state;
    s->link.mtu = 65535;
    s->config.receive_buffer_bytes = 2 * 65536;
    remake(s);
    established(s);
    recv(s, ". 1:65496(65495) ack 1");
    expect_after(s, 40, ". 1:1(0) ack 65496 win 65535");
    recv(s, ". 65496:130991(65495) ack 1");
    expect_after(s, 40, ". 1:1(0) ack 130991 win 40");
    recv(s, ". 130991:131031(40) ack 1");
    expect_after(s, 40, ". 1:1(0) ack 131031 win 0");
    app_recv(s, 131030);
    expect(s, ". 1:1(0) ack 131031 win 65535");
}

/* A receive buffer takes half of a block of memory. */
#define BLOCK 16384

/* Flows 0 to 3 on a host with so much memory. */
static void establish_with_memory(struct script *s, size_t bytes)
{
    s->config.memory_max_bytes = bytes;
    s->config.receive_buffer_bytes = 8192;
    remake(s);
    for (unsigned i = 0; i <= 3; i++) {
        on(s, i);
        established(s);
    }
    on(s, 0);
}

/* Flows 1 to 3 fill a block each, as far as their windows go, and nobody reads it. */
static void hold_three_blocks(struct script *s)
{
    for (unsigned i = 1; i <= 3; i++) {
        on(s, i);
        recv_super(s, MSS, ". 1:8193(8192) ack 1");
        expect(s, ". 1:1(0) ack 8193 win 0");
    }
    on(s, 0);
}

static void a_window_shut_for_lack_of_memory_opens_when_another_connection_frees_it(void **state)
{
    struct script *s = *state;
    establish_with_memory(s, 4 * BLOCK);
    recv_super(s, MSS, ". 1:4097(4096) ack 1");
    expect(s, ". 1:1(0) ack 4097 win 4096");
    hold_three_blocks(s);
    recv_super(s, MSS, ". 4097:8193(4096) ack 1");
    expect(s, ". 1:1(0) ack 8193 win 0");
    app_recv(s, 8000); /* the rest keeps the block: there is room in the buffer, but no memory */
    quiet(s, 100);
    on(s, 1);
    app_recv(s, 8192);
    expect(s, ". 1:1(0) ack 8193 win 8192");
    on(s, 0);
    expect(s, ". 1:1(0) ack 8193 win 8000"); /* and no probe had to ask */
}

static void a_window_shut_for_lack_of_memory_opens_though_nobody_reads(void **state)
{
    struct script *s = *state;
    s->config.memory_max_bytes = 2 * 65536;
    s->config.receive_buffer_bytes = 2 * 65536; /* more than a window without scaling can say */
    remake(s);
    on(s, 1);
    established(s);
    on(s, 0);
    established(s);
    begin_batch(s);
    recv_super(s, MSS, ". 1:43801(43800) ack 1"); /* a block of 65536 */
    on(s, 1);
    recv_super(s, MSS, ". 1:43801(43800) ack 1"); /* and the other */
    end_batch(s);
    on(s, 0);
    expect(s, ". 1:1(0) ack 43801 win 21735");
    on(s, 1);
    expect(s, ". 1:1(0) ack 43801 win 21735");
    on(s, 0);
    recv_super(s, MSS, ". 43801:65536(21735) ack 1");
    expect(s, ". 1:1(0) ack 65536 win 0");
    on(s, 1);
    app_recv(s, 43800);
    expect(s, ". 1:1(0) ack 43801 win 65535");
    on(s, 0);
    expect(s, ". 1:1(0) ack 65536 win 65535");
}

static void a_window_that_the_reader_could_not_open_opens_when_memory_is_freed(void **state)
{
    struct script *s = *state;
    establish_with_memory(s, 4 * BLOCK);
    recv_super(s, MSS, ". 1:8193(8192) ack 1");
    expect(s, ". 1:1(0) ack 8193 win 0"); /* the buffer is full; of memory there is enough */
    hold_three_blocks(s);
    app_recv(s, 8000); /* now there is room in the buffer, but no memory */
    quiet(s, 100);
    on(s, 1);
    app_recv(s, 8192);
    expect(s, ". 1:1(0) ack 8193 win 8192");
    on(s, 0);
    expect(s, ". 1:1(0) ack 8193 win 8000");
}

static void a_window_opens_when_memory_comes_back_in_small_steps(void **state)
{
    struct script *s = *state;
    establish_with_memory(s, 4 * BLOCK + 2048);
    recv_super(s, MSS, ". 1:4097(4096) ack 1");
    expect(s, ". 1:1(0) ack 4097 win 4096");
    on(s, 4);
    established(s);
    recv(s, ". 1:101(100) ack 1"); /* a small block */
    expect_after(s, 40, ". 1:1(0) ack 101");
    hold_three_blocks(s);
    recv_super(s, MSS, ". 4097:8193(4096) ack 1");
    expect(s, ". 1:1(0) ack 8193 win 0");
    app_recv(s, 8000);
    on(s, 4);
    app_recv(s, 100); /* too few bytes for a window update */
    quiet(s, 100);
    on(s, 1);
    app_recv(s, 8192);
    expect(s, ". 1:1(0) ack 8193 win 8192");
    on(s, 0);
    expect(s, ". 1:1(0) ack 8193 win 8000");
}

static void count_call(void *calls, int fd, short revents)
{
    (void)fd, (void)revents;
    ++*(unsigned *)calls;
}

/* Its window is always less than its buffer allows: that is no event, or the driver would spin. */
static void a_buffer_larger_than_the_memory_leaves_the_driver_at_rest(void **state)
{
    struct script *s = *state;
    unsigned calls = 0;
    s->config.memory_max_bytes = 2 * 65536;
    s->config.receive_buffer_bytes = 4 * 65536;
    remake(s);
    established(s);
    recv(s, "P. 1:11(10) ack 1");
    app_recv(s, 10);
    expect_after(s, 40, ". 1:1(0) ack 11");
    assert_int_equal(strait_watch(s->stack, s->flow->fd, POLLIN, count_call, &calls), 0);
    quiet(s, 1000);
    assert_int_equal(calls, 0);
}

static void a_sender_that_has_met_the_limit_leaves_memory_for_what_arrives(void **state)
{
    struct script *s = *state;
    s->link.features = STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4;
    establish_with_memory(s, 4 * BLOCK);
    on(s, 1);
    assert_in_range(app_send_some(s, 100000), 1, 65536);
    expect(s, ". 1:14601(14600) ack 1");
    assert_int_equal(app_send_some(s, 1), 0);
    on(s, 0);
    recv(s, "P. 1:101(100) ack 1");
    app_recv(s, 100);
    expect_after(s, 40, ". 1:1(0) ack 101");
    recv(s, ". 201:301(100) ack 1"); /* out of order, too */
    expect(s, ". 1:1(0) ack 101");
    recv(s, ". 101:201(100) ack 1");
    expect(s, ". 1:1(0) ack 301");
    app_recv(s, 200);
}

static void what_a_silent_peer_left_out_of_order_leaves_memory_to_senders(void **state)
{
    struct script *s = *state;
    s->config.memory_max_bytes = 65536;
    remake(s);
    established(s);
    for (unsigned i = 1; i < 32; i++) { /* a byte for each block of 2048 */
        recv(s, ". %u:%u(1) ack 1", 1 + i * 2048, 2 + i * 2048);
        expect(s, ". 1:1(0) ack 1");
    }
    on(s, 1);
    established(s);
    app_send(s, MSS);
    expect(s, "P. 1:1461(1460) ack 1");
}

/* ---- Reading is over ------------------------------------------------------------------------ */

static void data_after_shutdown_of_reading_is_acknowledged_and_thrown_away(void **state)
{
    struct script *s = *state;
    established(s);
    app_shutdown(s, SHUT_RD);
    app_recv_end(s);
    recv(s, ". 1:1461(1460) ack 1");
    recv(s, ". 1461:2921(1460) ack 1");
    expect(s, ". 1:1(0) ack 2921 win 65535");
    app_recv_end(s);
    send_and_expect(s, 10, MSS, 2921);
}

/* ---- Timestamps: RFC 7323 ------------------------------------------------------------------- */

static void an_old_timestamp_is_dropped_and_acknowledged_rfc7323_5_3(void **state)
{
    struct script *s = *state;
    established_with(s, .timestamps = true);
    after(s, 100);
    recv(s, "P. 1:11(10) ack 1 <TS val 2000 ecr 0>");
    app_recv(s, 10);
    expect_after(s, 40, ". 1:1(0) ack 11 <TS val * ecr 2000>");
    recv(s, "P. 11:21(10) ack 1 <TS val 1999 ecr 0>");
    expect(s, ". 1:1(0) ack 11 <TS val * ecr 2000>");
    app_recv_fails(s, EAGAIN);
    assert_int_equal(counter(s, "tcp_timestamp_old"), 1);
    recv(s, "P. 11:21(10) ack 1 <TS val 2000 ecr 0>");
    app_recv(s, 10);
    expect_after(s, 40, ". 1:1(0) ack 21 <TS val * ecr 2000>");
}

static void a_rst_with_an_old_timestamp_resets_rfc7323_5_2(void **state)
{
    struct script *s = *state;
    established_with(s, .timestamps = true);
    recv(s, "P. 1:11(10) ack 1 <TS val 2000 ecr 0>");
    app_recv(s, 10);
    recv(s, "R 11:11(0) <TS val 5 ecr 0>");
    app_recv_fails(s, ECONNRESET);
}

static void timestamps_wrap_rfc7323_5_3(void **state)
{
    struct script *s = *state;
    app_listen(s, 8);
    recv(s, "S 0:0(0) <mss 1460,TS val 4294967290 ecr 0>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460,TS val * ecr 4294967290>");
    recv(s, ". 1:1(0) ack 1 <TS val 4294967295 ecr 0>");
    app_accept(s);
    recv(s, "P. 1:11(10) ack 1 <TS val 3 ecr 0>");
    app_recv(s, 10);
    expect_after(s, 40, ". 1:1(0) ack 11 <TS val * ecr 3>");
}

static void after_24_idle_days_a_timestamp_begins_anew_rfc7323_5_5(void **state)
{
    const uint64_t day_ms = 24 * 60 * 60 * 1000;
    struct script *s = *state;
    established_with(s, .timestamps = true);
    recv(s, "P. 1:11(10) ack 1 <TS val 2000 ecr 0>");
    expect_after(s, 40, ". 1:1(0) ack 11 <TS val * ecr 2000>");
    quiet(s, 24 * day_ms - 100);
    recv(s, "P. 11:21(10) ack 1 <TS val 5 ecr 0>");
    expect(s, ". 1:1(0) ack 11 <TS val * ecr 2000>");
    quiet(s, 200);
    recv(s, "P. 11:21(10) ack 1 <TS val 5 ecr 0>");
    expect_after(s, 40, ". 1:1(0) ack 21 <TS val * ecr 5>");
    recv(s, "P. 21:31(10) ack 1 <TS val 4 ecr 0>"); /* and protects from now on */
    expect(s, ". 1:1(0) ack 21 <TS val * ecr 5>");
    app_recv(s, 20);
    app_recv_fails(s, EAGAIN);
}

static void the_echo_is_not_taken_from_out_of_order_data_rfc7323_4_3(void **state)
{
    struct script *s = *state;
    established_with(s, .timestamps = true);
    recv(s, ". 101:201(100) ack 1 <TS val 1010 ecr 0>");
    expect(s, ". 1:1(0) ack 1 <TS val * ecr 1000>");
    recv(s, ". 1:101(100) ack 1 <TS val 1005 ecr 0>");
    expect(s, ". 1:1(0) ack 201 <TS val * ecr 1005>");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(data_is_delivered_in_order),
        TEST(sequence_numbers_wrap_rfc9293_3_4),
        TEST(an_out_of_order_gap_spans_the_wrap_rfc9293_3_4),
        TEST(a_segment_without_ack_is_dropped_rfc9293_3_10_7_4),
        TEST(an_ack_is_not_acknowledged_rfc9293_3_8_6_3),
        TEST(unknown_flags_do_no_harm_rfc9293_3_1),
        TEST(reserved_bits_are_ignored_rfc9293_3_1),
        TEST(data_in_every_order_is_delivered_and_acknowledged_rfc5681_4_2),
        TEST(overlaps_are_delivered_once),
        TEST(text_that_ends_inside_a_range_takes_it_all),
        TEST(many_holes_are_filled_backward),
        TEST(a_fin_waits_for_the_data_before_it_rfc9293_3_10_7_4),
        TEST(a_duplicate_is_acknowledged_at_once_rfc9293_3_10_7_4),
        TEST(a_keepalive_probe_is_acknowledged_rfc9293_3_8_4),
        TEST(data_beyond_the_window_is_dropped_and_acknowledged_rfc9293_3_10_7_4),
        TEST(data_is_trimmed_to_the_window_rfc9293_3_10_7_4),
        TEST(a_fin_beyond_the_window_is_not_taken_rfc9293_3_10_7_4),
        TEST(a_fin_half_the_number_space_away_is_not_taken_rfc9293_3_10_7_4),
        TEST(a_bare_ack_at_the_right_edge_is_taken_rfc9293_a_2),
        TEST(an_acknowledgement_is_delayed_by_40_ms_rfc9293_3_8_6_3),
        TEST(every_second_full_segment_is_acknowledged_rfc9293_3_8_6_3),
        TEST(a_batch_is_acknowledged_once),
        TEST(a_super_packet_counts_as_its_segments),
        TEST(a_super_packet_is_trimmed_like_a_segment),
        TEST(data_carries_the_acknowledgement_rfc9293_3_8_6_3),
        TEST(filling_a_hole_is_acknowledged_at_once_rfc5681_4_2),
        TEST(a_batch_out_of_order_is_acknowledged_for_each_segment_rfc5681_4_2),
        TEST(a_super_packet_out_of_order_counts_as_its_segments_rfc5681_4_2),
        TEST(a_hole_that_its_batch_fills_is_acknowledged_once),
        TEST(a_full_buffer_closes_the_window_and_reading_opens_it_rfc9293_3_8_6),
        TEST(a_small_read_does_not_open_a_closed_window_rfc9293_3_8_6_2_2),
        TEST(a_reader_that_keeps_up_causes_no_window_updates_rfc9293_3_8_6_2_2),
        TEST(scaling_does_not_move_the_right_edge_left_rfc9293_3_8_6),
        TEST(no_window_update_follows_the_fin_of_the_remote),
        TEST(a_window_without_scaling_opens_by_half_of_what_it_can_say_rfc9293_3_8_6_2_2),
        TEST(a_window_shut_for_lack_of_memory_opens_when_another_connection_frees_it),
        TEST(a_window_shut_for_lack_of_memory_opens_though_nobody_reads),
        TEST(a_window_that_the_reader_could_not_open_opens_when_memory_is_freed),
        TEST(a_window_opens_when_memory_comes_back_in_small_steps),
        TEST(a_buffer_larger_than_the_memory_leaves_the_driver_at_rest),
        TEST(a_sender_that_has_met_the_limit_leaves_memory_for_what_arrives),
        TEST(what_a_silent_peer_left_out_of_order_leaves_memory_to_senders),
        TEST(data_after_shutdown_of_reading_is_acknowledged_and_thrown_away),
        TEST(an_old_timestamp_is_dropped_and_acknowledged_rfc7323_5_3),
        TEST(a_rst_with_an_old_timestamp_resets_rfc7323_5_2),
        TEST(timestamps_wrap_rfc7323_5_3),
        TEST(after_24_idle_days_a_timestamp_begins_anew_rfc7323_5_5),
        TEST(the_echo_is_not_taken_from_out_of_order_data_rfc7323_4_3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
