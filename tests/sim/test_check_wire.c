/* SPDX-License-Identifier: MIT */
/*
 * What the checkers find on the wire: each lie that is planted into the packets of a right story,
 * their acknowledgements, selective ones too, and their marks.
 */
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scene.h"

#define S UINT64_C(1000000000)

/* ---- The wire ---- */

static void text_beyond_the_right_edge_is_found(void **state)
{
    struct scene *scene = *state;
    scene_writes(scene, A, 2000);
    scene_sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 500);
    scene_sends(scene, A, PACKET_ACK, 501, 1, WINDOW, 500);
    assert_clean(scene);
    scene_sends(scene, A, PACKET_ACK, 1001, 1, WINDOW, 2);
    assert_found(scene, "beyond the right edge 1001");
}

static void the_one_byte_of_a_probe_is_right(void **state)
{
    struct scene *scene = *state;
    scene_writes(scene, A, 2000);
    scene_sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 500);
    scene_sends(scene, A, PACKET_ACK, 501, 1, WINDOW, 500);
    scene_sends(scene, A, PACKET_ACK, 1001, 1, WINDOW, 1);
    assert_clean(scene);
}

static void a_window_that_has_not_arrived_does_not_count(void **state)
{
    struct scene *scene = *state;
    scene_writes(scene, A, 2000);
    scene_passes(scene, A, PACKET_ACK, 1, 1, WINDOW, 500);
    scene_passes(scene, A, PACKET_ACK, 501, 1, WINDOW, 500);
    scene_sends(scene, B, PACKET_ACK, 1, 1001, WINDOW, 0);
    scene_sends(scene, A, PACKET_ACK, 1001, 1, WINDOW, 500);
    assert_found(scene, "beyond the right edge 1001");
}

static void an_edge_that_moves_left_is_found(void **state)
{
    struct scene *scene = *state;
    scene_sends(scene, B, PACKET_ACK, 1, 1, WINDOW - 1, 0);
    assert_found(scene, "moves its right edge from 1001 back to 1000");
}

static void other_bytes_on_the_wire_are_found(void **state)
{
    struct scene *scene = *state;
    struct said s = {
        .flags = PACKET_ACK, .seq = 1, .ack = 1, .window = WINDOW, .length = 100, .shift = 1};
    scene_writes(scene, A, 300);
    scene_see(scene, A, true, A, &s);
    assert_found(scene, "sends other bytes at 0");
}

static void what_was_acknowledged_and_is_sent_again_is_found(void **state)
{
    struct scene *scene = *state;
    scene_send_a_hundred(scene);
    scene_sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
    assert_found(scene, "what was acknowledged up to 101");
}

static void an_acknowledgement_of_what_has_not_come_is_found(void **state)
{
    struct scene *scene = *state;
    scene_writes(scene, A, 300);
    scene_sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
    scene_passes(scene, A, PACKET_ACK, 101, 1, WINDOW, 100);
    scene_sends(scene, B, PACKET_ACK, 1, 201, WINDOW, 0);
    assert_found(scene, "acknowledges 201, but only 1 has arrived");
}

static void an_acknowledgement_that_forgets_what_has_come_is_found(void **state)
{
    struct scene *scene = *state;
    scene_writes(scene, A, 300);
    scene_passes(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
    scene_passes(scene, A, PACKET_ACK, 101, 1, WINDOW, 100);
    scene_sends(scene, B, PACKET_ACK, 1, 101, WINDOW, 0);
    assert_found(scene, "acknowledges 101, though 201 has arrived");
}

static void a_reset_without_a_reason_is_found(void **state)
{
    struct scene *scene = *state;
    scene_sends(scene, A, PACKET_RST, 1, 0, 0, 0);
    assert_found(scene, "sends a RST without a reason");
}

static void a_reset_in_time_wait_is_found(void **state)
{
    struct scene *scene = *state;
    scene_close_both(scene);
    scene_sends(scene, A, PACKET_RST, 302, 0, 0, 0);
    assert_found(scene, "sends a RST without a reason");
}

static void a_reset_after_time_wait_is_right(void **state)
{
    struct scene *scene = *state;
    scene_close_both(scene);
    scene->now_ns += 61 * S;
    scene_sends(scene, A, PACKET_RST, 302, 0, 0, 0);
    assert_clean(scene);
}

static void who_goes_on_after_a_reset_is_found(void **state)
{
    struct scene *scene = *state;
    scene_ends(scene, B, CHECK_ABANDONED);
    scene_passes(scene, B, PACKET_RST, 1, 0, 0, 0);
    scene_sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 0);
    assert_found(scene, "goes on after it was reset");
}

static void a_fin_that_nobody_asked_for_is_found(void **state)
{
    struct scene *scene = *state;
    scene_sends(scene, A, PACKET_FIN | PACKET_ACK, 1, 1, WINDOW, 0);
    assert_found(scene, "nobody has closed");
}

static void text_behind_a_fin_is_found(void **state)
{
    struct scene *scene = *state;
    scene_writes(scene, A, 10);
    scene_ends(scene, A, CHECK_SHUT);
    scene_sends(scene, A, PACKET_FIN | PACKET_ACK, 1, 1, WINDOW, 10);
    assert_clean(scene);
    scene_writes(scene, A, 1);
    scene_sends(scene, A, PACKET_ACK, 12, 1, WINDOW, 1);
    assert_true(check_violations(scene->check) > 0);
}

static void a_segment_above_the_mss_is_found(void **state)
{
    struct scene *scene = *state;
    scene_writes(scene, A, 600);
    scene_sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 501);
    assert_found(scene, "more than the MSS of 500");
}

static void a_wrong_checksum_is_found(void **state)
{
    struct scene *scene = *state;
    struct said s = {.flags = PACKET_ACK, .seq = 1, .ack = 1, .window = WINDOW};
    uint8_t packet[4096];
    size_t length = scene_make(scene, packet, A, &s);

    packet[36] ^= 1;
    check_packet(scene->check, scene->now_ns, A, true, packet, length, NULL);
    assert_found(scene, "checksums are wrong");
}

static void a_damaged_packet_that_arrives_does_not_count(void **state)
{
    struct scene *scene = *state;
    struct said s = {.flags = PACKET_ACK, .seq = 1, .ack = 1, .window = WINDOW + 500};
    uint8_t packet[4096];
    size_t length = scene_make(scene, packet, B, &s);

    packet[35] ^= 4;
    check_packet(scene->check, scene->now_ns, A, false, packet, length, NULL);
    scene_writes(scene, A, 2000);
    scene_sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 500);
    scene_sends(scene, A, PACKET_ACK, 501, 1, WINDOW, 500);
    assert_clean(scene);
    scene_sends(scene, A, PACKET_ACK, 1001, 1, WINDOW, 500);
    assert_found(scene, "beyond the right edge 1001");
}

/* ---- Selective acknowledgement ---- */

#define NO_BLOCK ((struct range){0, 0})

/* B acknowledges `ack` and reports a block, and a second one if that is not empty. */
static void reports(struct scene *scene, uint32_t ack, struct range first, struct range second)
{
    struct said s = {.flags = PACKET_ACK, .seq = 1, .ack = ack, .window = WINDOW};

    s.blocks[0] = first;
    s.blocks[1] = second;
    scene_see(scene, B, true, B, &s);
}

/* Of 300 bytes the second and the third hundred have arrived at B, and the first not. */
static void lose_the_first_hundred(struct scene *scene)
{
    scene_writes(scene, A, 300);
    scene_sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
    scene_passes(scene, A, PACKET_ACK, 101, 1, WINDOW, 100);
    scene_passes(scene, A, PACKET_ACK, 201, 1, WINDOW, 100);
}

static void a_report_of_what_has_come_is_right(void **state)
{
    struct scene *scene = *state;
    lose_the_first_hundred(scene);
    reports(scene, 1, (struct range){101, 301}, NO_BLOCK);
    scene_passes(scene, A, PACKET_ACK, 101, 1, WINDOW, 100);
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
    scene_passes(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
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
    scene_sends(scene, B, PACKET_ACK, 1, 1, WINDOW, 0);
    assert_found(scene, "reports nothing of what has come from 101 on");
}

static void a_report_without_an_agreement_is_found(void **state)
{
    struct scene *scene = *state;
    lose_the_first_hundred(scene);
    reports(scene, 1, (struct range){101, 301}, NO_BLOCK);
    assert_found(scene, "without an agreement");
}

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

    scene_see(scene, from, true, from, &s);
    s.ecn = later;
    scene_see(scene, 1 - from, false, from, &s);
}

static void a_mark_that_is_echoed_until_cwr_is_right(void **state)
{
    struct scene *scene = *state;
    scene_writes(scene, A, 300);
    passes_marked(scene, A, 0, 1, 100, ECT0, PACKET_CE);
    scene_passes(scene, B, PACKET_ACK | PACKET_ECE, 1, 101, WINDOW, 0);
    passes_marked(scene, A, PACKET_CWR, 101, 100, ECT0, ECT0);
    scene_passes(scene, B, PACKET_ACK, 1, 201, WINDOW, 0);
    assert_clean(scene);
}

static void a_mark_that_is_not_echoed_is_found(void **state)
{
    struct scene *scene = *state;
    scene_writes(scene, A, 300);
    passes_marked(scene, A, 0, 1, 100, ECT0, PACKET_CE);
    scene_passes(scene, B, PACKET_ACK | PACKET_ECE, 1, 101, WINDOW, 0);
    passes_marked(scene, A, 0, 101, 100, ECT0, ECT0);
    scene_sends(scene, B, PACKET_ACK, 1, 201, WINDOW, 0);
    assert_found(scene, "does not say that a mark has come");
}

static void an_echo_without_a_mark_is_found(void **state)
{
    struct scene *scene = *state;
    scene_writes(scene, A, 300);
    passes_marked(scene, A, 0, 1, 100, ECT0, ECT0);
    scene_sends(scene, B, PACKET_ACK | PACKET_ECE, 1, 101, WINDOW, 0);
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
    scene_writes(scene, A, 300);
    passes_marked(scene, A, 0, 1, 100, ECT0, ECT0);
    passes_marked(scene, A, 0, 1, 100, 0, 0);
    passes_marked(scene, A, 0, 1, 100, ECT0, ECT0);
    assert_found(scene, "again with ECT");
}

static void a_probe_that_may_be_marked_is_found(void **state)
{
    struct scene *scene = *state;
    scene_writes(scene, A, 300);
    passes_marked(scene, A, 0, 1, 100, 0, 0);
    scene_passes(scene, B, PACKET_ACK, 1, 101, WINDOW - 100, 0); /* the edge stays at 1001 */
    scene_writes(scene, A, 800);
    passes_marked(scene, A, 0, 101, 450, ECT0, ECT0);
    passes_marked(scene, A, 0, 551, 450, ECT0, ECT0);
    assert_clean(scene);
    passes_marked(scene, A, 0, 1001, 1, ECT0, ECT0);
    assert_found(scene, "probes a window");
}

static void text_that_may_be_marked_without_an_agreement_is_found(void **state)
{
    struct scene *scene = *state;
    scene_writes(scene, A, 300);
    passes_marked(scene, A, 0, 1, 100, ECT0, ECT0);
    assert_found(scene, "without an agreement");
}

static void an_agreement_that_nobody_has_asked_for_is_found(void **state)
{
    struct scene *scene = scene_open(false, 0, PACKET_ECE);
    (void)state;
    assert_found(scene, "nobody has asked");
    scene_free(scene);
}

static void a_reflected_syn_is_found(void **state)
{
    struct scene *scene = scene_open(false, PACKET_ECE | PACKET_CWR, PACKET_ECE | PACKET_CWR);
    (void)state;
    assert_found(scene, "with CWR");
    scene_free(scene);
}

#define WITH_CONNECTION(test) cmocka_unit_test_setup_teardown(test, scene_setup, scene_teardown)
#define WITH_SACK(test)       cmocka_unit_test_setup_teardown(test, scene_setup_sack, scene_teardown)
#define WITH_ECN(test)        cmocka_unit_test_setup_teardown(test, scene_setup_ecn, scene_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
