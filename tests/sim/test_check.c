/* SPDX-License-Identifier: MIT */
/*
 * The checkers themselves: a story in which all is right has no violation, and each lie that is
 * planted into it is found. The packets are made by hand.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/ranges.h"
#include "check.h"
#include "packet.h"
#include "scenario.h"

#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

enum { A, B }; /* the hosts; a opens connection 0 */

#define ISS_A  UINT32_C(4294967000) /* so that numbers wrap */
#define ISS_B  UINT32_C(77)
#define WINDOW 1000u

struct scene {
    struct scenario scenario;
    struct check *check;
    uint64_t now_ns;
    bool sack;    /* both SYNs permit it */
    uint16_t mss; /* of both SYNs */
};

/* A packet; `seq` and `ack` count from the SYNs, which are at 0. */
struct said {
    uint8_t flags;
    uint32_t seq, ack, window;
    uint32_t length;        /* of the text */
    uint64_t shift;         /* how far the bytes are off from those that belong there */
    struct range blocks[2]; /* of SACK, as many as are not empty */
    uint8_t ecn;            /* the field of IP */
    uint16_t urgent;        /* the pointer */
};

static const void *content(struct scene *scene, int from, uint64_t position)
{
    return check_content(scene->check, 0, (uint32_t)from, position);
}

/* Returns their length. */
static size_t make_options(const struct scene *scene, uint8_t *to, int from, const struct said *s)
{
    static const uint8_t of_syn[] = {2, 4, 0, 0, 1, 1, 4, 2}; /* MSS, SACK */
    uint32_t iss = from == A ? ISS_B : ISS_A;
    size_t count = s->blocks[1].end > 0 ? 2 : s->blocks[0].end > 0;

    if (s->flags & PACKET_SYN) {
        memcpy(to, of_syn, sizeof(of_syn));
        store_be16(to + 2, scene->mss);
        return scene->sack ? 8 : 4;
    }
    if (count == 0)
        return 0;
    to[0] = to[1] = 1;
    to[2] = 5;
    to[3] = (uint8_t)(2 + 8 * count);
    for (size_t i = 0; i < count; i++) {
        store_be32(to + 4 + 8 * i, (uint32_t)s->blocks[i].start + iss);
        store_be32(to + 8 + 8 * i, (uint32_t)s->blocks[i].end + iss);
    }
    return 4 + 8 * count;
}

static size_t make(struct scene *scene, uint8_t *packet, int from, const struct said *s)
{
    uint8_t *tcp = packet + 20;
    size_t header_bytes = 20 + make_options(scene, tcp + 20, from, s);

    memset(packet, 0, 40);
    packet[0] = 0x45;
    packet[1] = s->ecn;
    packet[8] = 64;
    packet[9] = IPPROTO_TCP;
    store_be32(packet + 12, 0x0a000001 + (uint32_t)from);
    store_be32(packet + 16, 0x0a000002 - (uint32_t)from);
    store_be16(tcp, from == A ? 10000 : CHECK_LISTEN_PORT);
    store_be16(tcp + 2, from == A ? CHECK_LISTEN_PORT : 10000);
    store_be32(tcp + 4, s->seq + (from == A ? ISS_A : ISS_B));
    store_be32(tcp + 8, s->flags & PACKET_ACK ? s->ack + (from == A ? ISS_B : ISS_A) : 0);
    tcp[12] = (uint8_t)(header_bytes / 4 << 4);
    tcp[13] = s->flags;
    store_be16(tcp + 14, (uint16_t)s->window);
    store_be16(tcp + 18, s->urgent);
    if (s->length > 0)
        memcpy(tcp + header_bytes, content(scene, from, s->seq - 1 + s->shift), s->length);
    packet_seal(packet, 20 + header_bytes + s->length);
    return 20 + header_bytes + s->length;
}

static void see(struct scene *scene, int host, bool sent, int from, const struct said *s)
{
    uint8_t packet[4096];
    size_t length = make(scene, packet, from, s);

    scene->now_ns += MS;
    check_packet(scene->check, scene->now_ns, (uint32_t)host, sent, packet, length, NULL);
}

static void sends(struct scene *scene, int from, uint8_t flags, uint32_t seq, uint32_t ack,
                  uint32_t window, uint32_t length)
{
    struct said s = {.flags = flags, .seq = seq, .ack = ack, .window = window, .length = length};

    see(scene, from, true, from, &s);
}

static void passes(struct scene *scene, int from, uint8_t flags, uint32_t seq, uint32_t ack,
                   uint32_t window, uint32_t length)
{
    struct said s = {.flags = flags, .seq = seq, .ack = ack, .window = window, .length = length};

    see(scene, from, true, from, &s);
    see(scene, 1 - from, false, from, &s);
}

/* B acknowledges `ack` and reports a block, and a second one if that is not empty. */
static void reports(struct scene *scene, uint32_t ack, struct range first, struct range second)
{
    struct said s = {.flags = PACKET_ACK, .seq = 1, .ack = ack, .window = WINDOW};

    s.blocks[0] = first;
    s.blocks[1] = second;
    see(scene, B, true, B, &s);
}

/* An established connection, after SYNs with these flags, too. */
static struct scene *open_connection(bool sack, uint8_t asks, uint8_t agrees)
{
    struct scene *scene = calloc(1, sizeof(*scene));

    assert_non_null(scene);
    scene->sack = sack;
    scene->mss = 500;
    scene->scenario.net.hops = 1;
    scene->scenario.hosts[A].mtu = scene->scenario.hosts[B].mtu = 1500;
    scene->scenario.connection_count = 1;
    scene->scenario.hosts[A].ecn = asks ? 1 + STRAIT_ECN_REQUEST : 0;
    scene->check = check_new(&scene->scenario);
    scene->now_ns = S;
    check_started(scene->check, scene->now_ns, 0, A);
    passes(scene, A, PACKET_SYN | asks, 0, 0, WINDOW, 0);
    passes(scene, B, PACKET_SYN | PACKET_ACK | agrees, 0, 1, WINDOW, 0);
    check_opened(scene->check, scene->now_ns, 0, A);
    passes(scene, A, PACKET_ACK, 1, 1, WINDOW, 0);
    check_opened(scene->check, scene->now_ns, 0, B);
    return scene;
}

static int set_up(void **state)
{
    *state = open_connection(false, 0, 0);
    return 0;
}

static int set_up_sack(void **state)
{
    *state = open_connection(true, 0, 0);
    return 0;
}

static int set_up_ecn(void **state)
{
    *state = open_connection(false, PACKET_ECE | PACKET_CWR, PACKET_ECE);
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;

    check_free(scene->check);
    free(scene);
    return 0;
}

static void writes(struct scene *scene, int side, size_t length)
{
    check_wrote(scene->check, scene->now_ns, 0, (uint32_t)side, length);
}

static void reads(struct scene *scene, int side, uint64_t position, size_t length)
{
    check_read(scene->check, scene->now_ns, 0, (uint32_t)side, content(scene, 1 - side, position),
               length);
}

static void ends(struct scene *scene, int side, enum check_ending ending)
{
    check_ended(scene->check, scene->now_ns, 0, (uint32_t)side, ending);
}

/* a has written 300 bytes, 100 of which have gone over, were acknowledged and read. */
static void send_a_hundred(struct scene *scene)
{
    writes(scene, A, 300);
    passes(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
    reads(scene, B, 0, 100);
    passes(scene, B, PACKET_ACK, 1, 101, WINDOW, 0);
}

static void close_both(struct scene *scene)
{
    send_a_hundred(scene);
    passes(scene, A, PACKET_ACK, 101, 1, WINDOW, 200);
    ends(scene, A, CHECK_SHUT);
    passes(scene, A, PACKET_FIN | PACKET_ACK, 301, 1, WINDOW, 0);
    reads(scene, B, 100, 200);
    check_eof(scene->check, scene->now_ns, 0, B);
    ends(scene, B, CHECK_CLOSED);
    passes(scene, B, PACKET_FIN | PACKET_ACK, 1, 302, WINDOW, 0);
    check_eof(scene->check, scene->now_ns, 0, A);
    ends(scene, A, CHECK_CLOSED);
    passes(scene, A, PACKET_ACK, 302, 2, WINDOW, 0);
}

static void assert_clean(struct scene *scene)
{
    if (check_violations(scene->check) > 0)
        fail_msg("%s", check_violation(scene->check, 0));
}

/* What was planted is found, and nothing else. */
static void assert_found(struct scene *scene, const char *what)
{
    assert_int_equal(check_violations(scene->check), 1);
    if (!strstr(check_violation(scene->check, 0), what))
        fail_msg("\"%s\" does not say \"%s\"", check_violation(scene->check, 0), what);
}

static void a_connection_that_is_right_has_no_violation(void **state)
{
    close_both(*state);
    check_finished(((struct scene *)*state)->check, 100 * S);
    assert_clean(*state);
}

/* ---- The applications ---- */

static void other_bytes_are_found(void **state)
{
    struct scene *scene = *state;
    writes(scene, A, 100);
    check_read(scene->check, scene->now_ns, 0, B, content(scene, A, 1), 50);
    assert_found(scene, "that were not written there");
}

static void bytes_that_come_twice_are_found(void **state)
{
    struct scene *scene = *state;
    writes(scene, A, 100);
    reads(scene, B, 0, 50);
    reads(scene, B, 0, 50);
    assert_found(scene, "that were not written there");
}

static void more_bytes_than_were_written_are_found(void **state)
{
    struct scene *scene = *state;
    writes(scene, A, 100);
    reads(scene, B, 0, 101);
    assert_found(scene, "only 100 were written");
}

static void an_end_before_the_last_byte_is_found(void **state)
{
    struct scene *scene = *state;
    writes(scene, A, 100);
    ends(scene, A, CHECK_SHUT);
    reads(scene, B, 0, 99);
    check_eof(scene->check, scene->now_ns, 0, B);
    assert_found(scene, "reads the end at 99, but 100 were written");
}

static void an_end_that_nobody_made_is_found(void **state)
{
    struct scene *scene = *state;
    check_eof(scene->check, scene->now_ns, 0, B);
    assert_found(scene, "the peer has not closed");
}

static void an_error_without_a_reset_is_found(void **state)
{
    struct scene *scene = *state;
    check_error(scene->check, scene->now_ns, 0, A, ECONNRESET);
    assert_found(scene, "no RST has arrived");
}

static void a_timeout_after_a_short_while_is_found(void **state)
{
    struct scene *scene = *state;
    writes(scene, A, 100);
    sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
    check_error(scene->check, scene->now_ns + 99 * S, 0, A, ETIMEDOUT);
    assert_found(scene, "not tried for long enough");
}

static void a_timeout_after_a_long_while_is_right(void **state)
{
    struct scene *scene = *state;
    writes(scene, A, 100);
    sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
    check_error(scene->check, scene->now_ns + 101 * S, 0, A, ETIMEDOUT);
    assert_clean(scene);
}

/* A router's error about the segment of A at `seq`, which comes to A. */
static void get_an_icmp_error_about(struct scene *scene, uint8_t type, uint8_t code, uint16_t mtu,
                                    uint32_t seq)
{
    const struct said said = {.flags = PACKET_ACK, .seq = seq, .ack = 1, .length = 600};
    uint8_t quoted[4096], packet[56] = {0x45, [3] = sizeof(packet), [8] = 64, [9] = IPPROTO_ICMP};
    uint8_t *icmp = packet + 20;

    make(scene, quoted, A, &said);
    icmp[0] = type;
    icmp[1] = code;
    store_be16(icmp + 6, mtu);
    memcpy(icmp + 8, quoted, 28);
    store_be16(icmp + 2, (uint16_t)~checksum_fold(checksum_add(0, icmp, 36)));
    store_be16(packet + 10, (uint16_t)~checksum_fold(checksum_add(0, packet, 20)));
    scene->now_ns += MS;
    check_packet(scene->check, scene->now_ns, A, false, packet, sizeof(packet), NULL);
}

static void get_an_icmp_error(struct scene *scene, uint8_t type)
{
    get_an_icmp_error_about(scene, type, 0, 0, 1);
}

static void unreachable_without_an_icmp_error_is_found(void **state)
{
    struct scene *scene = *state;
    writes(scene, A, 100);
    sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
    get_an_icmp_error(scene, 12); /* parameter problem is another matter */
    check_error(scene->check, scene->now_ns + 101 * S, 0, A, EHOSTUNREACH);
    assert_found(scene, "no router has said so");
}

static void unreachable_after_a_short_while_is_found(void **state)
{
    struct scene *scene = *state;
    writes(scene, A, 100);
    sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
    get_an_icmp_error(scene, 3);
    check_error(scene->check, scene->now_ns + 99 * S, 0, A, ENETUNREACH);
    assert_found(scene, "not tried for long enough");
}

static void unreachable_after_a_long_while_is_right(void **state)
{
    struct scene *scene = *state;
    writes(scene, A, 100);
    sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
    get_an_icmp_error(scene, 11);
    check_error(scene->check, scene->now_ns + 101 * S, 0, A, EHOSTUNREACH);
    assert_clean(scene);
}

static void two_ends_that_wait_for_each_other_are_found(void **state)
{
    struct scene *scene = *state;
    check_finished(scene->check, 1000 * S);
    assert_int_equal(check_violations(scene->check), 2);
    assert_non_null(strstr(check_violation(scene->check, 0), "has not finished"));
}

static void who_waits_for_a_peer_that_was_reset_is_excused(void **state)
{
    struct scene *scene = *state;
    ends(scene, A, CHECK_ABANDONED);
    check_finished(scene->check, 1000 * S);
    assert_clean(scene);
}

static void bytes_that_nobody_read_are_found(void **state)
{
    struct scene *scene = *state;
    writes(scene, A, 100);
    ends(scene, A, CHECK_CLOSED);
    reads(scene, B, 0, 60);
    ends(scene, B, CHECK_CLOSED);
    check_finished(scene->check, 1000 * S);
    assert_found(scene, "60 bytes of 100 were read");
}

/* ---- The wire ---- */

static void text_beyond_the_right_edge_is_found(void **state)
{
    struct scene *scene = *state;
    writes(scene, A, 2000);
    sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 500);
    sends(scene, A, PACKET_ACK, 501, 1, WINDOW, 500);
    assert_clean(scene);
    sends(scene, A, PACKET_ACK, 1001, 1, WINDOW, 2);
    assert_found(scene, "beyond the right edge 1001");
}

static void the_one_byte_of_a_probe_is_right(void **state)
{
    struct scene *scene = *state;
    writes(scene, A, 2000);
    sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 500);
    sends(scene, A, PACKET_ACK, 501, 1, WINDOW, 500);
    sends(scene, A, PACKET_ACK, 1001, 1, WINDOW, 1);
    assert_clean(scene);
}

static void a_window_that_has_not_arrived_does_not_count(void **state)
{
    struct scene *scene = *state;
    writes(scene, A, 2000);
    passes(scene, A, PACKET_ACK, 1, 1, WINDOW, 500);
    passes(scene, A, PACKET_ACK, 501, 1, WINDOW, 500);
    sends(scene, B, PACKET_ACK, 1, 1001, WINDOW, 0);
    sends(scene, A, PACKET_ACK, 1001, 1, WINDOW, 500);
    assert_found(scene, "beyond the right edge 1001");
}

static void an_edge_that_moves_left_is_found(void **state)
{
    struct scene *scene = *state;
    sends(scene, B, PACKET_ACK, 1, 1, WINDOW - 1, 0);
    assert_found(scene, "moves its right edge from 1001 back to 1000");
}

static void other_bytes_on_the_wire_are_found(void **state)
{
    struct scene *scene = *state;
    struct said s = {
        .flags = PACKET_ACK, .seq = 1, .ack = 1, .window = WINDOW, .length = 100, .shift = 1};
    writes(scene, A, 300);
    see(scene, A, true, A, &s);
    assert_found(scene, "sends other bytes at 0");
}

static void what_was_acknowledged_and_is_sent_again_is_found(void **state)
{
    struct scene *scene = *state;
    send_a_hundred(scene);
    sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
    assert_found(scene, "what was acknowledged up to 101");
}

static void an_acknowledgement_of_what_has_not_come_is_found(void **state)
{
    struct scene *scene = *state;
    writes(scene, A, 300);
    sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
    passes(scene, A, PACKET_ACK, 101, 1, WINDOW, 100);
    sends(scene, B, PACKET_ACK, 1, 201, WINDOW, 0);
    assert_found(scene, "acknowledges 201, but only 1 has arrived");
}

static void an_acknowledgement_that_forgets_what_has_come_is_found(void **state)
{
    struct scene *scene = *state;
    writes(scene, A, 300);
    passes(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
    passes(scene, A, PACKET_ACK, 101, 1, WINDOW, 100);
    sends(scene, B, PACKET_ACK, 1, 101, WINDOW, 0);
    assert_found(scene, "acknowledges 101, though 201 has arrived");
}

static void a_reset_without_a_reason_is_found(void **state)
{
    struct scene *scene = *state;
    sends(scene, A, PACKET_RST, 1, 0, 0, 0);
    assert_found(scene, "sends a RST without a reason");
}

static void a_reset_in_time_wait_is_found(void **state)
{
    struct scene *scene = *state;
    close_both(scene);
    sends(scene, A, PACKET_RST, 302, 0, 0, 0);
    assert_found(scene, "sends a RST without a reason");
}

static void a_reset_after_time_wait_is_right(void **state)
{
    struct scene *scene = *state;
    close_both(scene);
    scene->now_ns += 61 * S;
    sends(scene, A, PACKET_RST, 302, 0, 0, 0);
    assert_clean(scene);
}

static void who_goes_on_after_a_reset_is_found(void **state)
{
    struct scene *scene = *state;
    ends(scene, B, CHECK_ABANDONED);
    passes(scene, B, PACKET_RST, 1, 0, 0, 0);
    sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 0);
    assert_found(scene, "goes on after it was reset");
}

static void a_fin_that_nobody_asked_for_is_found(void **state)
{
    struct scene *scene = *state;
    sends(scene, A, PACKET_FIN | PACKET_ACK, 1, 1, WINDOW, 0);
    assert_found(scene, "nobody has closed");
}

static void text_behind_a_fin_is_found(void **state)
{
    struct scene *scene = *state;
    writes(scene, A, 10);
    ends(scene, A, CHECK_SHUT);
    sends(scene, A, PACKET_FIN | PACKET_ACK, 1, 1, WINDOW, 10);
    assert_clean(scene);
    writes(scene, A, 1);
    sends(scene, A, PACKET_ACK, 12, 1, WINDOW, 1);
    assert_true(check_violations(scene->check) > 0);
}

static void a_segment_above_the_mss_is_found(void **state)
{
    struct scene *scene = *state;
    writes(scene, A, 600);
    sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 501);
    assert_found(scene, "more than the MSS of 500");
}

static void a_wrong_checksum_is_found(void **state)
{
    struct scene *scene = *state;
    struct said s = {.flags = PACKET_ACK, .seq = 1, .ack = 1, .window = WINDOW};
    uint8_t packet[4096];
    size_t length = make(scene, packet, A, &s);

    packet[36] ^= 1;
    check_packet(scene->check, scene->now_ns, A, true, packet, length, NULL);
    assert_found(scene, "checksums are wrong");
}

static void a_damaged_packet_that_arrives_does_not_count(void **state)
{
    struct scene *scene = *state;
    struct said s = {.flags = PACKET_ACK, .seq = 1, .ack = 1, .window = WINDOW + 500};
    uint8_t packet[4096];
    size_t length = make(scene, packet, B, &s);

    packet[35] ^= 4;
    check_packet(scene->check, scene->now_ns, A, false, packet, length, NULL);
    writes(scene, A, 2000);
    sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 500);
    sends(scene, A, PACKET_ACK, 501, 1, WINDOW, 500);
    assert_clean(scene);
    sends(scene, A, PACKET_ACK, 1001, 1, WINDOW, 500);
    assert_found(scene, "beyond the right edge 1001");
}

/* ---- The hosts ---- */

static void counters_that_do_not_add_up_are_found(void **state)
{
    struct scene *scene = *state;
    struct strait_config config;

    close_both(scene);
    strait_config_init(&config);
    struct strait *stacks[2] = {strait_new(&config, NULL), strait_new(&config, NULL)};
    check_host_up(scene->check, scene->now_ns, A, stacks[A]);
    check_host_up(scene->check, scene->now_ns, B, stacks[B]);
    check_at_rest(scene->check, scene->now_ns);
    assert_clean(scene);
    scene->now_ns += 100 * S;
    sends(scene, A, PACKET_RST, 302, 0, 0, 0);
    check_at_rest(scene->check, scene->now_ns);
    assert_true(check_violations(scene->check) > 0);
    assert_non_null(strstr(check_violation(scene->check, 0), "tcp_segments_out is 0, but 1"));
    strait_free(stacks[A]);
    strait_free(stacks[B]);
}

/* ---- Selective acknowledgement ---- */

#define NO_BLOCK ((struct range){0, 0})

/* Of 300 bytes the second and the third hundred have arrived at B, and the first not. */
static void lose_the_first_hundred(struct scene *scene)
{
    writes(scene, A, 300);
    sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
    passes(scene, A, PACKET_ACK, 101, 1, WINDOW, 100);
    passes(scene, A, PACKET_ACK, 201, 1, WINDOW, 100);
}

static void a_report_of_what_has_come_is_right(void **state)
{
    struct scene *scene = *state;
    lose_the_first_hundred(scene);
    reports(scene, 1, (struct range){101, 301}, NO_BLOCK);
    passes(scene, A, PACKET_ACK, 101, 1, WINDOW, 100);
    reports(scene, 1, (struct range){101, 201}, (struct range){101, 301});
    assert_clean(scene);
}

static void a_report_of_what_has_not_come_is_found(void **state)
{
    struct scene *scene = *state;
    lose_the_first_hundred(scene);
    reports(scene, 1, (struct range){101, 302}, NO_BLOCK);
    assert_found(scene, "which has not arrived");
}

static void a_report_that_touches_the_acknowledgement_is_found(void **state)
{
    struct scene *scene = *state;
    lose_the_first_hundred(scene);
    passes(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
    reports(scene, 101, (struct range){101, 301}, NO_BLOCK);
    assert_int_equal(check_violations(scene->check), 2); /* it acknowledges too little, too */
    assert_non_null(strstr(check_violation(scene->check, 1), "not above its acknowledgement"));
}

static void a_duplicate_that_came_once_is_found(void **state)
{
    struct scene *scene = *state;
    lose_the_first_hundred(scene);
    reports(scene, 1, (struct range){101, 201}, (struct range){101, 301});
    assert_found(scene, "which came once");
}

static void blocks_that_touch_are_found(void **state)
{
    struct scene *scene = *state;
    lose_the_first_hundred(scene);
    reports(scene, 1, (struct range){201, 301}, (struct range){101, 201});
    assert_found(scene, "two blocks that touch");
}

static void silence_about_what_has_come_is_found(void **state)
{
    struct scene *scene = *state;
    lose_the_first_hundred(scene);
    sends(scene, B, PACKET_ACK, 1, 1, WINDOW, 0);
    assert_found(scene, "reports nothing of what has come from 101 on");
}

static void a_report_without_an_agreement_is_found(void **state)
{
    struct scene *scene = *state;
    lose_the_first_hundred(scene);
    reports(scene, 1, (struct range){101, 301}, NO_BLOCK);
    assert_found(scene, "without an agreement");
}

#define WITH_CONNECTION(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define WITH_SACK(test)       cmocka_unit_test_setup_teardown(test, set_up_sack, tear_down)

/* ---- ECN ---- */

#define ECT0 2

/* One packet of text, whose ECN field is `ecn` when it leaves and `later` when it arrives. */
static void passes_marked(struct scene *scene, int from, uint8_t flags, uint32_t seq,
                          uint32_t length, uint8_t ecn, uint8_t later)
{
    struct said s = {.flags = flags | PACKET_ACK,
                     .seq = seq,
                     .ack = 1,
                     .window = WINDOW,
                     .length = length,
                     .ecn = ecn};

    see(scene, from, true, from, &s);
    s.ecn = later;
    see(scene, 1 - from, false, from, &s);
}

static void a_mark_that_is_echoed_until_cwr_is_right(void **state)
{
    struct scene *scene = *state;
    writes(scene, A, 300);
    passes_marked(scene, A, 0, 1, 100, ECT0, PACKET_CE);
    passes(scene, B, PACKET_ACK | PACKET_ECE, 1, 101, WINDOW, 0);
    passes_marked(scene, A, PACKET_CWR, 101, 100, ECT0, ECT0);
    passes(scene, B, PACKET_ACK, 1, 201, WINDOW, 0);
    assert_clean(scene);
}

static void a_mark_that_is_not_echoed_is_found(void **state)
{
    struct scene *scene = *state;
    writes(scene, A, 300);
    passes_marked(scene, A, 0, 1, 100, ECT0, PACKET_CE);
    passes(scene, B, PACKET_ACK | PACKET_ECE, 1, 101, WINDOW, 0);
    passes_marked(scene, A, 0, 101, 100, ECT0, ECT0);
    sends(scene, B, PACKET_ACK, 1, 201, WINDOW, 0);
    assert_found(scene, "does not say that a mark has come");
}

static void an_echo_without_a_mark_is_found(void **state)
{
    struct scene *scene = *state;
    writes(scene, A, 300);
    passes_marked(scene, A, 0, 1, 100, ECT0, ECT0);
    sends(scene, B, PACKET_ACK | PACKET_ECE, 1, 101, WINDOW, 0);
    assert_found(scene, "no mark has come");
}

static void a_bare_ack_that_may_be_marked_is_found(void **state)
{
    passes_marked(*state, A, 0, 1, 0, ECT0, ECT0);
    assert_found(*state, "without text");
}

static void text_that_is_sent_again_and_may_be_marked_is_found(void **state)
{
    struct scene *scene = *state;
    writes(scene, A, 300);
    passes_marked(scene, A, 0, 1, 100, ECT0, ECT0);
    passes_marked(scene, A, 0, 1, 100, 0, 0);
    passes_marked(scene, A, 0, 1, 100, ECT0, ECT0);
    assert_found(scene, "again with ECT");
}

static void a_probe_that_may_be_marked_is_found(void **state)
{
    struct scene *scene = *state;
    writes(scene, A, 300);
    passes_marked(scene, A, 0, 1, 100, 0, 0);
    passes(scene, B, PACKET_ACK, 1, 101, WINDOW - 100, 0); /* the edge stays at 1001 */
    writes(scene, A, 800);
    passes_marked(scene, A, 0, 101, 450, ECT0, ECT0);
    passes_marked(scene, A, 0, 551, 450, ECT0, ECT0);
    assert_clean(scene);
    passes_marked(scene, A, 0, 1001, 1, ECT0, ECT0);
    assert_found(scene, "probes a window");
}

static void text_that_may_be_marked_without_an_agreement_is_found(void **state)
{
    struct scene *scene = *state;
    writes(scene, A, 300);
    passes_marked(scene, A, 0, 1, 100, ECT0, ECT0);
    assert_found(scene, "without an agreement");
}

static void an_agreement_that_nobody_has_asked_for_is_found(void **state)
{
    struct scene *scene = open_connection(false, 0, PACKET_ECE);
    (void)state;
    assert_found(scene, "nobody has asked");
    check_free(scene->check);
    free(scene);
}

static void a_reflected_syn_is_found(void **state)
{
    struct scene *scene = open_connection(false, PACKET_ECE | PACKET_CWR, PACKET_ECE | PACKET_CWR);
    (void)state;
    assert_found(scene, "with CWR");
    check_free(scene->check);
    free(scene);
}

#define WITH_ECN(test) cmocka_unit_test_setup_teardown(test, set_up_ecn, tear_down)

/* ---- What the path, the user and the clock allow ---- */

static struct scenario_side *plan_of_a(struct scene *scene)
{
    return &scene->scenario.connections[0].side[A];
}

/* a has 600 bytes in flight, in one segment. */
static void send_six_hundred(struct scene *scene)
{
    struct said syn = {.flags = PACKET_SYN | PACKET_ACK, .ack = 1, .window = WINDOW};

    check_free(scene->check);
    scene->check = check_new(&scene->scenario);
    scene->mss = 1460;
    check_started(scene->check, scene->now_ns, 0, A);
    passes(scene, A, PACKET_SYN, 0, 0, WINDOW, 0);
    see(scene, B, true, B, &syn);
    see(scene, A, false, B, &syn);
    check_opened(scene->check, scene->now_ns, 0, A);
    writes(scene, A, 800);
    sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 600);
}

static void a_segment_larger_than_its_path_is_found(void **state)
{
    struct scene *scene = *state;
    send_six_hundred(scene);
    get_an_icmp_error_about(scene, 3, 4, 576, 1);
    scene->now_ns += MS; /* what it sends at the instant of the error, it may have sent before it */
    sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 537);
    assert_found(scene, "sends a packet of 577 bytes on a path of which it was told 576");
}

static void a_segment_that_its_path_carries_is_right(void **state)
{
    struct scene *scene = *state;
    send_six_hundred(scene);
    get_an_icmp_error_about(scene, 3, 4, 576, 1);
    sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 536);
    assert_clean(scene);
}

static void who_does_not_believe_a_quote_of_nothing_in_flight_is_right(void **state)
{
    struct scene *scene = *state;
    send_six_hundred(scene);
    get_an_icmp_error_about(scene, 3, 4, 576, 601);
    sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 600);
    assert_clean(scene);
}

static void a_short_segment_out_of_a_cork_is_found(void **state)
{
    struct scene *scene = *state;
    plan_of_a(scene)->more = MORE_CORK;
    writes(scene, A, 100);
    scene->now_ns += 198 * MS;
    sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
    assert_found(scene, "sends 100 bytes alone");
}

static void a_short_segment_after_200_ms_is_right(void **state)
{
    struct scene *scene = *state;
    plan_of_a(scene)->more = MORE_CORK;
    writes(scene, A, 100);
    scene->now_ns += 200 * MS;
    sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
    assert_clean(scene);
}

static void keep_alives_that_come_too_fast_are_found(void **state)
{
    struct scene *scene = *state;
    plan_of_a(scene)->keepalive_s = 2;
    send_a_hundred(scene);
    scene->now_ns += 2 * S;
    sends(scene, A, PACKET_ACK, 100, 1, WINDOW, 0);
    scene->now_ns += 2 * S - 2 * MS;
    sends(scene, A, PACKET_ACK, 100, 1, WINDOW, 0);
    assert_found(scene, "sends keep-alives faster than every 2 s");
}

static void keep_alives_that_nobody_wants_are_found(void **state)
{
    struct scene *scene = *state;
    send_a_hundred(scene);
    sends(scene, A, PACKET_ACK, 100, 1, WINDOW, 0);
    assert_found(scene, "sends a keep-alive, for which nobody has asked");
}

static void a_keep_alive_amid_data_is_found(void **state)
{
    struct scene *scene = *state;
    plan_of_a(scene)->keepalive_s = 2;
    send_a_hundred(scene);
    sends(scene, A, PACKET_ACK, 101, 1, WINDOW, 100);
    scene->now_ns += 2 * S;
    sends(scene, A, PACKET_ACK, 100, 1, WINDOW, 0);
    assert_found(scene, "sends a keep-alive while 100 bytes are in flight");
}

static void a_timeout_of_the_user_is_right_after_its_time(void **state)
{
    struct scene *scene = *state;
    plan_of_a(scene)->user_timeout_ms = 5000;
    writes(scene, A, 100);
    sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
    check_error(scene->check, scene->now_ns + 5 * S, 0, A, ETIMEDOUT);
    assert_clean(scene);
}

static void a_timeout_of_the_user_before_its_time_is_found(void **state)
{
    struct scene *scene = *state;
    plan_of_a(scene)->user_timeout_ms = 5000;
    writes(scene, A, 100);
    sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
    check_error(scene->check, scene->now_ns + 5 * S - 10 * MS, 0, A, ETIMEDOUT);
    assert_found(scene, "not tried for long enough");
}

static void say_urgent(struct scene *scene, uint8_t flags, uint16_t urgent)
{
    struct said s = {
        .flags = flags, .seq = 1, .ack = 1, .window = WINDOW, .length = 50, .urgent = urgent};

    plan_of_a(scene)->urgent = 1;
    writes(scene, A, 100);
    see(scene, A, true, A, &s);
}

static void an_urgent_pointer_behind_the_last_urgent_byte_is_right(void **state)
{
    struct scene *scene = *state;
    say_urgent(scene, PACKET_ACK | PACKET_URG, 100);
    assert_clean(scene);
}

static void an_urgent_pointer_to_another_byte_is_found(void **state)
{
    struct scene *scene = *state;
    say_urgent(scene, PACKET_ACK | PACKET_URG, 99);
    assert_found(scene, "says that bytes up to 100 are urgent, which are those up to 101");
}

static void silence_about_urgent_data_is_found(void **state)
{
    struct scene *scene = *state;
    say_urgent(scene, PACKET_ACK, 0);
    assert_found(scene, "does not say that bytes up to 101 are urgent");
}

static void a_host_that_uses_a_link_to_reach_itself_is_found(void **state)
{
    struct scene *scene = *state;
    scene->scenario.connections[0].own = 1;
    sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 0);
    assert_found(scene, "uses a link to reach itself");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_CONNECTION(a_connection_that_is_right_has_no_violation),
        WITH_CONNECTION(other_bytes_are_found),
        WITH_CONNECTION(bytes_that_come_twice_are_found),
        WITH_CONNECTION(more_bytes_than_were_written_are_found),
        WITH_CONNECTION(an_end_before_the_last_byte_is_found),
        WITH_CONNECTION(an_end_that_nobody_made_is_found),
        WITH_CONNECTION(an_error_without_a_reset_is_found),
        WITH_CONNECTION(a_timeout_after_a_short_while_is_found),
        WITH_CONNECTION(a_timeout_after_a_long_while_is_right),
        WITH_CONNECTION(unreachable_without_an_icmp_error_is_found),
        WITH_CONNECTION(unreachable_after_a_short_while_is_found),
        WITH_CONNECTION(unreachable_after_a_long_while_is_right),
        WITH_CONNECTION(two_ends_that_wait_for_each_other_are_found),
        WITH_CONNECTION(who_waits_for_a_peer_that_was_reset_is_excused),
        WITH_CONNECTION(bytes_that_nobody_read_are_found),
        WITH_CONNECTION(text_beyond_the_right_edge_is_found),
        WITH_CONNECTION(the_one_byte_of_a_probe_is_right),
        WITH_CONNECTION(a_window_that_has_not_arrived_does_not_count),
        WITH_CONNECTION(an_edge_that_moves_left_is_found),
        WITH_CONNECTION(other_bytes_on_the_wire_are_found),
        WITH_CONNECTION(what_was_acknowledged_and_is_sent_again_is_found),
        WITH_CONNECTION(an_acknowledgement_of_what_has_not_come_is_found),
        WITH_CONNECTION(an_acknowledgement_that_forgets_what_has_come_is_found),
        WITH_CONNECTION(a_reset_without_a_reason_is_found),
        WITH_CONNECTION(a_reset_in_time_wait_is_found),
        WITH_CONNECTION(a_reset_after_time_wait_is_right),
        WITH_CONNECTION(who_goes_on_after_a_reset_is_found),
        WITH_CONNECTION(a_fin_that_nobody_asked_for_is_found),
        WITH_CONNECTION(text_behind_a_fin_is_found),
        WITH_CONNECTION(a_segment_above_the_mss_is_found),
        WITH_CONNECTION(a_wrong_checksum_is_found),
        WITH_CONNECTION(a_damaged_packet_that_arrives_does_not_count),
        WITH_CONNECTION(counters_that_do_not_add_up_are_found),
        WITH_SACK(a_report_of_what_has_come_is_right),
        WITH_SACK(a_report_of_what_has_not_come_is_found),
        WITH_SACK(a_report_that_touches_the_acknowledgement_is_found),
        WITH_SACK(a_duplicate_that_came_once_is_found),
        WITH_SACK(blocks_that_touch_are_found),
        WITH_SACK(silence_about_what_has_come_is_found),
        WITH_CONNECTION(a_report_without_an_agreement_is_found),
        WITH_ECN(a_mark_that_is_echoed_until_cwr_is_right),
        WITH_ECN(a_mark_that_is_not_echoed_is_found),
        WITH_ECN(an_echo_without_a_mark_is_found),
        WITH_ECN(a_bare_ack_that_may_be_marked_is_found),
        WITH_ECN(text_that_is_sent_again_and_may_be_marked_is_found),
        WITH_ECN(a_probe_that_may_be_marked_is_found),
        WITH_CONNECTION(text_that_may_be_marked_without_an_agreement_is_found),
        cmocka_unit_test(an_agreement_that_nobody_has_asked_for_is_found),
        cmocka_unit_test(a_reflected_syn_is_found),
        WITH_CONNECTION(a_segment_larger_than_its_path_is_found),
        WITH_CONNECTION(a_segment_that_its_path_carries_is_right),
        WITH_CONNECTION(who_does_not_believe_a_quote_of_nothing_in_flight_is_right),
        WITH_CONNECTION(a_short_segment_out_of_a_cork_is_found),
        WITH_CONNECTION(a_short_segment_after_200_ms_is_right),
        WITH_CONNECTION(keep_alives_that_come_too_fast_are_found),
        WITH_CONNECTION(keep_alives_that_nobody_wants_are_found),
        WITH_CONNECTION(a_keep_alive_amid_data_is_found),
        WITH_CONNECTION(a_timeout_of_the_user_is_right_after_its_time),
        WITH_CONNECTION(a_timeout_of_the_user_before_its_time_is_found),
        WITH_CONNECTION(an_urgent_pointer_behind_the_last_urgent_byte_is_right),
        WITH_CONNECTION(an_urgent_pointer_to_another_byte_is_found),
        WITH_CONNECTION(silence_about_urgent_data_is_found),
        WITH_CONNECTION(a_host_that_uses_a_link_to_reach_itself_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
