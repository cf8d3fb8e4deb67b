/* SPDX-License-Identifier: MIT */
/*
 * ICMP errors about segments (RFC 9293 3.9.2.2, RFC 5927) and path MTU discovery (RFC 1191). The
 * messages come from the remote, as they would from any router; what they quote was copied when it
 * was sent, since several are about segments that others have followed.
 */
#include <string.h>

#include "base/bytes.h"
#include "fixtures.h"

#define MSS        1460
#define NARROW     600           /* the MTU of a link on the path */
#define NARROW_MSS (NARROW - 40) /* 560 */
#define SEG(n)     (1 + (n)*MSS) /* the number at which the n-th segment begins, from 0 */
#define PART(n)    (1 + (n)*NARROW_MSS)

#define UNREACHABLE       3
#define SOURCE_QUENCH     4
#define TIME_EXCEEDED     11
#define PARAMETER_PROBLEM 12
#define TOO_BIG           4 /* code of UNREACHABLE */

/* What an ICMP error quotes: the IP header and 8 bytes (RFC 792). */
struct quote {
    uint8_t bytes[28];
};

static struct quote quote(const struct script *s, const struct packet *sent)
{
    struct quote q;
    size_t length;
    memcpy(q.bytes, script_bytes(s, sent, &length), sizeof q.bytes);
    return q;
}

/* An error arrives. `mtu` is that of TOO_BIG, else 0. */
static void icmp_error(struct script *s, uint8_t type, uint8_t code, uint16_t mtu,
                       const struct quote *q)
{
    uint8_t bytes[128];
    struct packet p = {
        .protocol = IPPROTO_ICMP,
        .ttl = 64,
        .type = type,
        .code = code,
        .sequence = mtu,
        .source = REMOTE_ADDRESS,
        .destination = LOCAL_ADDRESS,
        .payload = q->bytes,
        .payload_bytes = sizeof q->bytes,
    };
    recv_raw(s, bytes, packet_build(&p, bytes, sizeof bytes));
}

static void too_big(struct script *s, uint16_t mtu, const struct quote *q)
{
    icmp_error(s, UNREACHABLE, TOO_BIG, mtu, q);
}

/* So many full segments are sent, the last with PSH. Returns the quote of the first. */
static struct quote send_full(struct script *s, unsigned segments)
{
    struct quote first;
    app_send(s, segments * MSS);
    for (unsigned i = 0; i < segments; i++) {
        const struct packet *p =
            expect(s, "%s %u:%u(1460) ack 1", i + 1 == segments ? "P." : ".", SEG(i), SEG(i + 1));
        if (i == 0)
            first = quote(s, p);
    }
    return first;
}

/* The bytes from `from` to `to` are sent, in segments of NARROW_MSS and the rest. */
static void expect_narrow(struct script *s, uint32_t from, uint32_t to)
{
    for (uint32_t length; from < to; from += length) {
        length = to - from < NARROW_MSS ? to - from : NARROW_MSS;
        expect(s, "%s %u:%u(%u) ack 1", from + length == to ? "P." : ".", from, from + length,
               length);
    }
}

/* ---- Path MTU: what is believed, and what follows ------------------------------------------- */

static void what_was_too_big_is_sent_again_at_once_in_pieces_that_fit_rfc1191_6_4(void **state)
{
    struct script *s = *state;
    established(s);
    struct quote first = send_full(s, 3);
    too_big(s, NARROW, &first);
    expect_narrow(s, 1, SEG(3));
    recv(s, ". 1:1(0) ack %u", SEG(3));
    app_send(s, 2 * NARROW_MSS); /* and so it stays */
    expect(s, ". 4381:4941(560) ack 1");
    expect(s, "P. 4941:5501(560) ack 1");
    assert_int_equal(counter(s, "ip_path_lowered"), 1);
    assert_int_equal(counter(s, "tcp_retransmission_timeouts"), 0);
    assert_int_equal(counter(s, "tcp_fast_retransmits"), 0);
}

static void the_congestion_window_stays_rfc1191_6_4(void **state)
{
    struct script *s = *state;
    established(s);
    struct quote first = send_full(s, 10); /* the initial window: 14600 bytes */
    too_big(s, NARROW, &first);
    for (uint32_t i = 0; i < 26; i++)
        expect(s, ". %u:%u(560) ack 1", PART(i), PART(i + 1));
    expect(s, "P. 14561:14601(40) ack 1");
    /* The path was narrow, not full: as much again may follow what is acknowledged. */
    recv(s, ". 1:1(0) ack 14601");
    app_send(s, 28 * NARROW_MSS);
    for (uint32_t i = 0; i < 27; i++)
        expect(s, ". %u:%u(560) ack 1", 14601 + i * NARROW_MSS, 14601 + (i + 1) * NARROW_MSS);
    /* 14600 and, of the acknowledgement, one segment: 15160 bytes, 27 segments and no more. */
    expect_nothing(s);
}

static void timestamps_count_against_the_path(void **state)
{
    struct script *s = *state;
    established_with(s, .timestamps = true);
    app_send(s, 1448);
    struct quote q = quote(s, expect(s, "P. 1:1449(1448) ack 1 <*>"));
    too_big(s, NARROW, &q);
    expect(s, ". 1:549(548) ack 1 <*>"); /* 600 - 40 - 12 */
    expect(s, ". 549:1097(548) ack 1 <*>");
    expect(s, "P. 1097:1449(352) ack 1 <*>");
}

static void a_super_packet_is_cut_to_the_path(void **state)
{
    struct script *s = *state;
    s->link.features = STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4;
    remake(s);
    established(s);
    app_send(s, 10 * MSS);
    const struct packet *p = expect(s, "P. 1:14601(14600) ack 1");
    assert_int_equal(p->offload.gso_size, MSS);
    struct quote q = quote(s, p);
    too_big(s, NARROW, &q);
    p = expect(s, "P. 1:14601(14600) ack 1");
    assert_int_equal(p->offload.gso_size, NARROW_MSS);
}

static void a_fin_goes_again_behind_the_pieces(void **state)
{
    struct script *s = *state;
    established(s);
    app_send(s, 1000);
    struct quote q = quote(s, expect(s, "P. 1:1001(1000) ack 1"));
    app_shutdown(s, SHUT_WR);
    expect(s, "F. 1001:1001(0) ack 1");
    too_big(s, NARROW, &q);
    expect(s, ". 1:561(560) ack 1");
    expect(s, "FP. 561:1001(440) ack 1");
    recv(s, ". 1:1(0) ack 1002");
}

static void a_second_message_about_the_same_flight_is_ignored_rfc1191_6_4(void **state)
{
    struct script *s = *state;
    established(s);
    struct quote quotes[3];
    app_send(s, 3 * MSS);
    quotes[0] = quote(s, expect(s, ". 1:1461(1460) ack 1"));
    quotes[1] = quote(s, expect(s, ". 1461:2921(1460) ack 1"));
    quotes[2] = quote(s, expect(s, "P. 2921:4381(1460) ack 1"));
    too_big(s, NARROW, &quotes[0]);
    expect_narrow(s, 1, SEG(3));
    too_big(s, NARROW, &quotes[1]); /* each of the three was dropped, and told */
    too_big(s, NARROW, &quotes[2]);
    expect_nothing(s);
    assert_int_equal(counter(s, "ip_path_lowered"), 1);
    assert_int_equal(counter(s, "ip_path_refused"), 2);
}

static void each_narrower_link_is_learned_in_turn_rfc1191_6_4(void **state)
{
    struct script *s = *state;
    established(s);
    app_send(s, 1000);
    struct quote q = quote(s, expect(s, "P. 1:1001(1000) ack 1"));
    too_big(s, 940, &q);
    q = quote(s, expect(s, ". 1:901(900) ack 1"));
    expect(s, "P. 901:1001(100) ack 1");
    too_big(s, 640, &q);
    expect(s, ". 1:601(600) ack 1");
    expect(s, "P. 601:1001(400) ack 1");
    recv(s, ". 1:1(0) ack 1001");
    assert_int_equal(counter(s, "ip_path_lowered"), 2);
}

static void a_router_that_tells_no_mtu_means_the_next_plateau_rfc1191_5(void **state)
{
    struct script *s = *state;
    established(s);
    struct quote first = send_full(s, 1);
    too_big(s, 0, &first); /* 1492 */
    first = quote(s, expect(s, ". 1:1453(1452) ack 1"));
    expect(s, "P. 1453:1461(8) ack 1");
    too_big(s, 0, &first); /* 1006 */
    expect(s, ". 1:967(966) ack 1");
    expect(s, "P. 967:1461(494) ack 1");
}

static void below_the_floor_the_mss_is_that_of_the_floor(void **state)
{
    static const uint16_t mtus[] = {1, 48, 68, 551};
    struct script *s = *state;
    for (size_t i = 0; i < sizeof mtus / sizeof mtus[0]; i++) {
        remake(s);
        established(s);
        struct quote first = send_full(s, 1);
        too_big(s, mtus[i], &first);
        struct quote again = quote(s, expect(s, ". 1:513(512) ack 1")); /* 552 - 40 */
        expect(s, ". 513:1025(512) ack 1");
        expect(s, "P. 1025:1461(436) ack 1");
        too_big(s, mtus[i], &again);
        expect_nothing(s);
    }
}

static void what_is_acknowledged_meanwhile_is_not_sent_again(void **state)
{
    struct script *s = *state;
    established(s);
    app_send(s, 3 * MSS);
    expect(s, ". 1:1461(1460) ack 1");
    struct quote second = quote(s, expect(s, ". 1461:2921(1460) ack 1"));
    expect(s, "P. 2921:4381(1460) ack 1");
    recv(s, ". 1:1(0) ack 1461"); /* the path has changed behind the first */
    too_big(s, NARROW, &second);
    expect_narrow(s, SEG(1), SEG(3));
}

static void what_is_reported_to_have_arrived_is_not_sent_again(void **state)
{
    struct script *s = *state;
    established_with(s, .sack = true);
    struct quote first = send_full(s, 3);
    recv(s, ". 1:1(0) ack 1 <sack %u:%u>", SEG(1), SEG(2));
    too_big(s, NARROW, &first);
    expect(s, ". 1:561(560) ack 1");
    expect(s, ". 561:1121(560) ack 1");
    expect(s, ". 1121:1461(340) ack 1");
    expect_narrow(s, SEG(2), SEG(3));
    recv(s, ". 1:1(0) ack %u", SEG(3));
    quiet(s, 1000);
}

static void duplicates_of_what_is_sent_again_start_no_recovery(void **state)
{
    struct script *s = *state;
    established(s);
    struct quote first = send_full(s, 3);
    too_big(s, NARROW, &first);
    expect_narrow(s, 1, SEG(3));
    for (unsigned i = 0; i < 5; i++)
        recv(s, ". 1:1(0) ack 1");
    expect_nothing(s);
    assert_int_equal(counter(s, "tcp_fast_retransmits"), 0);
    recv(s, ". 1:1(0) ack %u", SEG(3));
}

static void the_retransmission_timer_starts_again_with_the_pieces_rfc6298_5_1(void **state)
{
    struct script *s = *state;
    established(s);
    struct quote first = send_full(s, 1);
    after(s, 150);
    too_big(s, NARROW, &first);
    expect_narrow(s, 1, SEG(1));
    expect_between(s, 200, 201, ". 1:561(560) ack 1");
}

static void a_recovery_ends_with_it_and_keeps_no_inflated_window(void **state)
{
    struct script *s = *state;
    established(s);
    struct quote first = send_full(s, 10);
    for (unsigned i = 0; i < 3; i++)
        recv(s, ". 1:1(0) ack 1");
    expect(s, ". 1:1461(1460) ack 1");
    too_big(s, NARROW, &first);
    /* ssthresh is half of the flight, 7300 bytes, of which 13 segments of 560 take 7280. */
    for (uint32_t i = 0; i < 13; i++)
        expect(s, ". %u:%u(560) ack 1", PART(i), PART(i + 1));
    expect_nothing(s);
    recv(s, ". 1:1(0) ack %u", PART(13));
    for (uint32_t i = 13; i < 26; i++)
        expect(s, ". %u:%u(560) ack 1", PART(i), PART(i + 1));
    expect_nothing(s);
    recv(s, ". 1:1(0) ack %u", PART(26));
    expect(s, "P. 14561:14601(40) ack 1");
}

/* RFC 5681 3.1: the window that a loss leaves, and by which it grows, is counted in segments. */
static void a_later_loss_counts_in_the_new_segments(void **state)
{
    struct script *s = *state;
    established(s);
    struct quote first = send_full(s, 1);
    too_big(s, NARROW, &first);
    expect_narrow(s, 1, SEG(1));
    recv(s, ". 1:1(0) ack 1461");

    send_and_expect(s, 6 * NARROW_MSS, NARROW_MSS, 1); /* 3360 bytes: ssthresh becomes 1680 */
    expect_between(s, 200, 201, ". 1461:2021(560) ack 1");
    recv(s, ". 1:1(0) ack 2021");
    expect(s, ". 2021:2581(560) ack 1");
    expect(s, ". 2581:3141(560) ack 1");
    recv(s, ". 1:1(0) ack 3141");
    expect(s, ". 3141:3701(560) ack 1");
    expect(s, ". 3701:4261(560) ack 1");
    expect(s, "P. 4261:4821(560) ack 1");
    recv(s, ". 1:1(0) ack 4821");
    app_send(s, 5 * NARROW_MSS); /* congestion avoidance: still three */
    expect(s, ". 4821:5381(560) ack 1");
    expect(s, ". 5381:5941(560) ack 1");
    expect(s, ". 5941:6501(560) ack 1");
    expect_nothing(s);
}

static void with_a_closed_window_the_pieces_wait_for_it(void **state)
{
    struct script *s = *state;
    established(s);
    app_send(s, 2 * MSS);
    struct quote first = quote(s, expect(s, ". 1:1461(1460) ack 1"));
    expect(s, "P. 1461:2921(1460) ack 1");
    recv(s, ". 1:1(0) ack 1 win 0");
    too_big(s, NARROW, &first);
    expect_nothing(s);
    recv(s, ". 1:1(0) ack 1 win 65535");
    expect_narrow(s, 1, SEG(2));
}

/* ---- Path MTU: what is not believed --------------------------------------------------------- */

static void too_big_of_data_that_was_acknowledged_is_ignored_rfc5927_4_1(void **state)
{
    struct script *s = *state;
    established(s);
    struct quote first = send_full(s, 1);
    recv(s, ". 1:1(0) ack %u", SEG(1));
    too_big(s, NARROW, &first);
    app_send(s, MSS);
    expect(s, "P. 1461:2921(1460) ack 1");
    assert_int_equal(counter(s, "icmp_quote_unmatched"), 1);
    assert_int_equal(counter(s, "ip_path_lowered"), 0);
}

/* Numbers in and out of what is in flight, [1, 1461); the quoted bytes are a stranger's guess. */
static void only_a_number_in_flight_is_believed_rfc5927_4_1(void **state)
{
    static const struct {
        uint32_t seq;
        bool believed;
    } cases[] = {{0, false},          {1, true},           {1460, true},         {1461, false},
                 {0x80000001, false}, {0x80000000, false}, {(uint32_t)-1, false}};
    struct script *s = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        remake(s);
        established(s);
        struct quote q = send_full(s, 1);
        store_be32(q.bytes + 24, s->flow->local_iss + cases[i].seq);
        too_big(s, NARROW, &q);
        if (cases[i].believed)
            expect_narrow(s, 1, SEG(1));
        expect_nothing(s);
        assert_int_equal(counter(s, "icmp_quote_unmatched"), !cases[i].believed);
    }
}

static void a_quote_of_another_connection_is_ignored_rfc5927_4(void **state)
{
    static const size_t changed[] = {15, 19, 21, 23}; /* addresses, ports */
    struct script *s = *state;
    established(s);
    struct quote first = send_full(s, 1);
    for (size_t i = 0; i < sizeof changed / sizeof changed[0]; i++) {
        struct quote q = first;
        q.bytes[changed[i]] ^= 4;
        too_big(s, NARROW, &q);
        icmp_error(s, UNREACHABLE, 3, 0, &q);
    }
    expect_nothing(s);
    assert_int_equal(counter(s, "icmp_quote_wrong"), 2); /* it is not our address */
    assert_int_equal(counter(s, "icmp_quote_unmatched"), 6);
}

static void an_mtu_that_is_no_less_is_ignored_rfc5927_7_2(void **state)
{
    static const uint16_t mtus[] = {1500, 1501, 9000, 65535};
    struct script *s = *state;
    established(s);
    struct quote first = send_full(s, 1);
    for (size_t i = 0; i < sizeof mtus / sizeof mtus[0]; i++)
        too_big(s, mtus[i], &first);
    expect_nothing(s);
    assert_int_equal(counter(s, "ip_path_refused"), 4);
}

static void a_segment_that_would_have_passed_is_no_reason_rfc5927_7_2(void **state)
{
    struct script *s = *state;
    established(s);
    app_send(s, 100);
    struct quote q = quote(s, expect(s, "P. 1:101(100) ack 1"));
    too_big(s, NARROW, &q);
    too_big(s, 0, &q);
    expect_nothing(s);
    assert_int_equal(counter(s, "ip_path_refused"), 2);
}

static void a_syn_is_never_too_big(void **state)
{
    static const uint16_t mtus[] = {0, 1, 68, 552, 1499};
    struct script *s = *state;
    app_connect(s);
    struct quote syn = quote(s, expect(s, "S 0:0(0) <*>"));
    for (size_t i = 0; i < sizeof mtus / sizeof mtus[0]; i++)
        too_big(s, mtus[i], &syn);
    store_be16(syn.bytes + 2, 1500); /* even if the quote says that it was */
    too_big(s, NARROW, &syn);
    expect_nothing(s);
    recv(s, "S. 0:0(0) ack 1 <mss 1460>");
    expect(s, ". 1:1(0) ack 1");
    send_and_expect(s, MSS, MSS, 1);
    assert_int_equal(counter(s, "ip_path_refused"), 6);
}

static void a_syn_of_a_simultaneous_open_is_never_too_big(void **state)
{
    struct script *s = *state;
    app_connect(s);
    expect(s, "S 0:0(0) <*>");
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    struct quote syn_ack = quote(s, expect(s, "S. 0:0(0) ack 1 <*>"));
    store_be16(syn_ack.bytes + 2, 1500);
    too_big(s, NARROW, &syn_ack);
    expect_after(s, 1000, "S. 0:0(0) ack 1 <*>");
    recv(s, "S. 0:0(0) ack 1 win 65535 <mss 1460>");
    send_and_expect(s, MSS, MSS, 1);
}

/* ---- Path MTU: other connections ------------------------------------------------------------ */

static void the_next_connection_knows_the_path_but_offers_the_links_mss_rfc9293_3_7_1(void **state)
{
    struct script *s = *state;
    established(s);
    struct quote first = send_full(s, 1);
    too_big(s, NARROW, &first);
    expect_narrow(s, 1, SEG(1));

    on(s, 1);
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    expect(s, "S. 0:0(0) ack 1 <mss 1460>");
    recv(s, ". 1:1(0) ack 1");
    app_accept(s);
    app_send(s, 1000);
    expect(s, ". 1:561(560) ack 1");
    expect(s, "P. 561:1001(440) ack 1");
}

static void a_connection_that_exists_learns_by_its_own_message(void **state)
{
    struct script *s = *state;
    established(s);
    on(s, 1);
    established(s);
    struct quote other = send_full(s, 1);
    on(s, 0);
    struct quote first = send_full(s, 1);
    too_big(s, NARROW, &first);
    expect_narrow(s, 1, SEG(1));
    on(s, 1);
    too_big(s, NARROW, &other);
    expect_narrow(s, 1, SEG(1));
}

static void after_ten_minutes_a_new_connection_tries_more_rfc1191_6_3(void **state)
{
    struct script *s = *state;
    established(s);
    struct quote first = send_full(s, 1);
    too_big(s, NARROW, &first);
    expect_narrow(s, 1, SEG(1));
    recv(s, ". 1:1(0) ack %u", SEG(1));
    quiet(s, 600000);
    on(s, 1);
    established(s);
    send_and_expect(s, MSS, MSS, 1);
}

/* ---- Unreachable ----------------------------------------------------------------------------- */

/* Every code of RFC 792, RFC 1122 3.2.2.1 and RFC 1812 5.2.7.1, and some that nobody has defined.
 * Linux's choice of numbers; what refuses is what tells of a condition that will hold. */
static const struct {
    uint8_t type, code;
    int error;
    bool refuses;
} meanings[] = {
    {UNREACHABLE, 0, ENETUNREACH, false},    {UNREACHABLE, 1, EHOSTUNREACH, false},
    {UNREACHABLE, 2, ENOPROTOOPT, true},     {UNREACHABLE, 3, ECONNREFUSED, true},
    {UNREACHABLE, 5, EOPNOTSUPP, false},     {UNREACHABLE, 6, ENETUNREACH, true},
    {UNREACHABLE, 7, EHOSTDOWN, true},       {UNREACHABLE, 8, ENONET, true},
    {UNREACHABLE, 9, ENETUNREACH, true},     {UNREACHABLE, 10, EHOSTUNREACH, true},
    {UNREACHABLE, 11, ENETUNREACH, false},   {UNREACHABLE, 12, EHOSTUNREACH, false},
    {UNREACHABLE, 13, EHOSTUNREACH, true},   {UNREACHABLE, 14, EHOSTUNREACH, true},
    {UNREACHABLE, 15, EHOSTUNREACH, true},   {UNREACHABLE, 16, ETIMEDOUT, false},
    {UNREACHABLE, 255, ETIMEDOUT, false},    {TIME_EXCEEDED, 0, EHOSTUNREACH, false},
    {TIME_EXCEEDED, 1, EHOSTUNREACH, false}, {PARAMETER_PROBLEM, 0, EPROTO, false},
    {PARAMETER_PROBLEM, 1, EPROTO, false},   {SOURCE_QUENCH, 0, ETIMEDOUT, false},
};
#define MEANINGS (sizeof meanings / sizeof meanings[0])

static void what_holds_refuses_a_connection_that_opens_rfc9293_3_9_2_2(void **state)
{
    struct script *s = *state;
    for (size_t i = 0; i < MEANINGS; i++) {
        if (!meanings[i].refuses)
            continue;
        remake(s);
        s->flow->local_port = 0;
        app_connect(s);
        struct quote syn = quote(s, expect(s, "S 0:0(0) <*>"));
        icmp_error(s, meanings[i].type, meanings[i].code, 0, &syn);
        app_error(s, meanings[i].error);
        quiet(s, 10000);
        app_close(s);
        assert_int_equal(counter(s, "tcp_connections_refused"), 1);
    }
}

static void what_may_pass_only_explains_the_timeout_rfc9293_3_9_2_2(void **state)
{
    struct script *s = *state;
    for (size_t i = 0; i < MEANINGS; i++) {
        if (meanings[i].refuses)
            continue;
        remake(s);
        s->flow->local_port = 0;
        app_connect(s);
        struct quote syn = quote(s, expect(s, "S 0:0(0) <*>"));
        icmp_error(s, meanings[i].type, meanings[i].code, 0, &syn);
        for (unsigned j = 0; j < 7; j++)
            expect_between(s, 1, 121000, "S 0:0(0) <*>");
        quiet(s, 121000);
        app_error(s, meanings[i].error);
        app_close(s);
    }
}

static void what_may_pass_does_not_hinder_the_opening_rfc9293_3_9_2_2(void **state)
{
    struct script *s = *state;
    for (size_t i = 0; i < MEANINGS; i++) {
        if (meanings[i].refuses)
            continue;
        remake(s);
        s->flow->local_port = 0;
        app_connect(s);
        struct quote syn = quote(s, expect(s, "S 0:0(0) <*>"));
        icmp_error(s, meanings[i].type, meanings[i].code, 0, &syn);
        recv(s, "S. 0:0(0) ack 1 <mss 1460>");
        expect(s, ". 1:1(0) ack 1");
        app_events(s, POLLOUT); /* MUST-56 */
        app_error(s, 0);
        app_close(s);
        expect(s, "F. 1:1(0) ack 1");
    }
}

static void an_open_connection_survives_every_error_rfc5927_5_2(void **state)
{
    struct script *s = *state;
    established(s);
    app_send(s, 100);
    struct quote q = quote(s, expect(s, "P. 1:101(100) ack 1"));
    for (unsigned type = 0; type < 20; type++)
        for (unsigned code = 0; code < 20; code++)
            if (type != 8) /* a request for an echo is answered */
                icmp_error(s, (uint8_t)type, (uint8_t)code, 68, &q);
    app_events(s, POLLOUT);
    recv(s, "P. 1:11(10) ack 101");
    app_error(s, 0);
    app_recv(s, 10);
    expect_between(s, 40, 41, ". 101:101(0) ack 11");
}

static void the_user_who_asks_is_told_once_what_hinders_rfc9293_3_9_1_8(void **state)
{
    struct script *s = *state;
    established(s);
    app_send(s, 100);
    struct quote q = quote(s, expect(s, "P. 1:101(100) ack 1"));
    for (size_t i = 0; i < MEANINGS; i++) {
        icmp_error(s, meanings[i].type, meanings[i].code, 0, &q);
        app_events(s, POLLOUT); /* nothing comes unasked: SHLD-20 */
        app_error(s, meanings[i].error == ETIMEDOUT ? 0 : meanings[i].error);
        app_error(s, 0);
    }
    recv(s, "P. 1:11(10) ack 101");
    app_recv(s, 10);
    expect_between(s, 40, 41, ". 101:101(0) ack 11");
}

static void an_error_explains_why_an_open_connection_timed_out_rfc1122_4_2_3_9(void **state)
{
    struct script *s = *state;
    established(s);
    app_send(s, 100);
    struct quote q = quote(s, expect(s, "P. 1:101(100) ack 1"));
    icmp_error(s, UNREACHABLE, 1, 0, &q);
    for (unsigned i = 0; i < 15; i++)
        expect_between(s, 200, 121000, "P. 1:101(100) ack 1");
    quiet(s, 121000);
    app_recv_fails(s, EHOSTUNREACH);
}

static void an_error_before_an_acknowledgement_explains_nothing_after_it(void **state)
{
    struct script *s = *state;
    established(s);
    app_send(s, 100);
    struct quote q = quote(s, expect(s, "P. 1:101(100) ack 1"));
    icmp_error(s, UNREACHABLE, 1, 0, &q);
    recv(s, ". 1:1(0) ack 101"); /* it has passed */
    app_error(s, 0);
    app_send(s, 100);
    expect(s, "P. 101:201(100) ack 1");
    for (unsigned i = 0; i < 15; i++)
        expect_between(s, 200, 121000, "P. 101:201(100) ack 1");
    quiet(s, 121000);
    app_recv_fails(s, ETIMEDOUT);
}

static void an_error_about_an_old_syn_is_ignored_rfc5927_4_1(void **state)
{
    struct script *s = *state;
    app_connect(s);
    struct quote syn = quote(s, expect(s, "S 0:0(0) <*>"));
    recv(s, "S. 0:0(0) ack 1 <mss 1460>");
    expect(s, ". 1:1(0) ack 1");
    icmp_error(s, UNREACHABLE, 3, 0, &syn);
    app_events(s, POLLOUT);
    assert_int_equal(counter(s, "icmp_quote_unmatched"), 1);
}

static void a_guess_at_the_number_of_a_syn_refuses_nothing_rfc5927_4_1(void **state)
{
    struct script *s = *state;
    app_connect(s);
    struct quote syn = quote(s, expect(s, "S 0:0(0) <*>"));
    for (uint32_t i = 1; i < 1000; i++) {
        struct quote q = syn;
        store_be32(q.bytes + 24, load_be32(syn.bytes + 24) + i * 4294967u);
        icmp_error(s, UNREACHABLE, 3, 0, &q);
    }
    app_error(s, 0);
    expect_after(s, 1000, "S 0:0(0) <*>");
}

static void records_ignore_every_error(void **state)
{
    struct script *s = *state;
    app_listen(s, 4);
    recv(s, "S 0:0(0) win 65535 <mss 1460>");
    struct quote syn_ack = quote(s, expect(s, "S. 0:0(0) ack 1 <mss 1460>"));
    icmp_error(s, UNREACHABLE, 3, 0, &syn_ack);
    too_big(s, NARROW, &syn_ack);
    recv(s, ". 1:1(0) ack 1");
    app_accept(s); /* it was not refused */

    app_shutdown(s, SHUT_WR);
    struct quote fin = quote(s, expect(s, "F. 1:1(0) ack 1"));
    recv(s, "F. 1:1(0) ack 2");
    expect(s, ". 2:2(0) ack 2");
    icmp_error(s, UNREACHABLE, 3, 0, &fin);
    recv(s, "F. 1:1(0) ack 2"); /* TIME-WAIT still answers */
    expect(s, ". 2:2(0) ack 2");
    assert_int_equal(counter(s, "icmp_quote_unmatched"), 3);
}

static void source_quench_slows_nothing_down_rfc9293_3_9_2_2(void **state)
{
    struct script *s = *state;
    established(s);
    struct quote first = send_full(s, 10);
    icmp_error(s, SOURCE_QUENCH, 0, 0, &first); /* MUST-55 */
    recv(s, ". 1:1(0) ack %u", SEG(10));
    send_and_expect(s, 11 * MSS, MSS, 1);
    assert_int_equal(counter(s, "icmp_type_ignored"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_too_big_is_sent_again_at_once_in_pieces_that_fit_rfc1191_6_4),
        TEST(the_congestion_window_stays_rfc1191_6_4),
        TEST(timestamps_count_against_the_path),
        TEST(a_super_packet_is_cut_to_the_path),
        TEST(a_fin_goes_again_behind_the_pieces),
        TEST(a_second_message_about_the_same_flight_is_ignored_rfc1191_6_4),
        TEST(each_narrower_link_is_learned_in_turn_rfc1191_6_4),
        TEST(a_router_that_tells_no_mtu_means_the_next_plateau_rfc1191_5),
        TEST(below_the_floor_the_mss_is_that_of_the_floor),
        TEST(what_is_acknowledged_meanwhile_is_not_sent_again),
        TEST(what_is_reported_to_have_arrived_is_not_sent_again),
        TEST(duplicates_of_what_is_sent_again_start_no_recovery),
        TEST(the_retransmission_timer_starts_again_with_the_pieces_rfc6298_5_1),
        TEST(a_recovery_ends_with_it_and_keeps_no_inflated_window),
        TEST(a_later_loss_counts_in_the_new_segments),
        TEST(with_a_closed_window_the_pieces_wait_for_it),
        TEST(too_big_of_data_that_was_acknowledged_is_ignored_rfc5927_4_1),
        TEST(only_a_number_in_flight_is_believed_rfc5927_4_1),
        TEST(a_quote_of_another_connection_is_ignored_rfc5927_4),
        TEST(an_mtu_that_is_no_less_is_ignored_rfc5927_7_2),
        TEST(a_segment_that_would_have_passed_is_no_reason_rfc5927_7_2),
        TEST(a_syn_is_never_too_big),
        TEST(a_syn_of_a_simultaneous_open_is_never_too_big),
        TEST(the_next_connection_knows_the_path_but_offers_the_links_mss_rfc9293_3_7_1),
        TEST(a_connection_that_exists_learns_by_its_own_message),
        TEST(after_ten_minutes_a_new_connection_tries_more_rfc1191_6_3),
        TEST(what_holds_refuses_a_connection_that_opens_rfc9293_3_9_2_2),
        TEST(what_may_pass_only_explains_the_timeout_rfc9293_3_9_2_2),
        TEST(what_may_pass_does_not_hinder_the_opening_rfc9293_3_9_2_2),
        TEST(an_open_connection_survives_every_error_rfc5927_5_2),
        TEST(the_user_who_asks_is_told_once_what_hinders_rfc9293_3_9_1_8),
        TEST(an_error_explains_why_an_open_connection_timed_out_rfc1122_4_2_3_9),
        TEST(an_error_before_an_acknowledgement_explains_nothing_after_it),
        TEST(an_error_about_an_old_syn_is_ignored_rfc5927_4_1),
        TEST(a_guess_at_the_number_of_a_syn_refuses_nothing_rfc5927_4_1),
        TEST(records_ignore_every_error),
        TEST(source_quench_slows_nothing_down_rfc9293_3_9_2_2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
