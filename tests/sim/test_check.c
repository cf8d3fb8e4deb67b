/* SPDX-License-Identifier: MIT */
/*
 * The checkers themselves: a story in which all is right has no violation, and each lie of an
 * application or a host that is planted into it is found.
 */
#include <errno.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scene.h"

#define S UINT64_C(1000000000)

static void a_connection_that_is_right_has_no_violation(void **state)
{
    scene_close_both(*state);
    check_finished(((struct scene *)*state)->check, 100 * S);
    assert_clean(*state);
}

/* ---- The applications ---- */

static void other_bytes_are_found(void **state)
{
    struct scene *scene = *state;
    scene_writes(scene, A, 100);
    check_read(scene->check, scene->now_ns, 0, B, scene_content(scene, A, 1), 50);
    assert_found(scene, "that were not written there");
}

static void bytes_that_come_twice_are_found(void **state)
{
    struct scene *scene = *state;
    scene_writes(scene, A, 100);
    scene_reads(scene, B, 0, 50);
    scene_reads(scene, B, 0, 50);
    assert_found(scene, "that were not written there");
}

static void more_bytes_than_were_written_are_found(void **state)
{
    struct scene *scene = *state;
    scene_writes(scene, A, 100);
    scene_reads(scene, B, 0, 101);
    assert_found(scene, "only 100 were written");
}

static void an_end_before_the_last_byte_is_found(void **state)
{
    struct scene *scene = *state;
    scene_writes(scene, A, 100);
    scene_ends(scene, A, CHECK_SHUT);
    scene_reads(scene, B, 0, 99);
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
    scene_writes(scene, A, 100);
    scene_sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
    check_error(scene->check, scene->now_ns + 99 * S, 0, A, ETIMEDOUT);
    assert_found(scene, "not tried for long enough");
}

static void a_timeout_after_a_long_while_is_right(void **state)
{
    struct scene *scene = *state;
    scene_writes(scene, A, 100);
    scene_sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
    check_error(scene->check, scene->now_ns + 101 * S, 0, A, ETIMEDOUT);
    assert_clean(scene);
}

static void get_an_icmp_error(struct scene *scene, uint8_t type)
{
    scene_icmp_error(scene, type, 0, 0, 1);
}

static void unreachable_without_an_icmp_error_is_found(void **state)
{
    struct scene *scene = *state;
    scene_writes(scene, A, 100);
    scene_sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
    get_an_icmp_error(scene, 12); /* parameter problem is another matter */
    check_error(scene->check, scene->now_ns + 101 * S, 0, A, EHOSTUNREACH);
    assert_found(scene, "no router has said so");
}

static void unreachable_after_a_short_while_is_found(void **state)
{
    struct scene *scene = *state;
    scene_writes(scene, A, 100);
    scene_sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
    get_an_icmp_error(scene, 3);
    check_error(scene->check, scene->now_ns + 99 * S, 0, A, ENETUNREACH);
    assert_found(scene, "not tried for long enough");
}

static void unreachable_after_a_long_while_is_right(void **state)
{
    struct scene *scene = *state;
    scene_writes(scene, A, 100);
    scene_sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
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
    scene_ends(scene, A, CHECK_ABANDONED);
    check_finished(scene->check, 1000 * S);
    assert_clean(scene);
}

static void bytes_that_nobody_read_are_found(void **state)
{
    struct scene *scene = *state;
    scene_writes(scene, A, 100);
    scene_ends(scene, A, CHECK_CLOSED);
    scene_reads(scene, B, 0, 60);
    scene_ends(scene, B, CHECK_CLOSED);
    check_finished(scene->check, 1000 * S);
    assert_found(scene, "60 bytes of 100 were read");
}

/* ---- The hosts ---- */

static void counters_that_do_not_add_up_are_found(void **state)
{
    struct scene *scene = *state;
    struct strait_config config;

    scene_close_both(scene);
    strait_config_init(&config);
    struct strait *stacks[2] = {strait_new(&config, NULL), strait_new(&config, NULL)};
    check_host_up(scene->check, scene->now_ns, A, stacks[A]);
    check_host_up(scene->check, scene->now_ns, B, stacks[B]);
    check_at_rest(scene->check, scene->now_ns);
    assert_clean(scene);
    scene->now_ns += 100 * S;
    scene_sends(scene, A, PACKET_RST, 302, 0, 0, 0);
    check_at_rest(scene->check, scene->now_ns);
    assert_true(check_violations(scene->check) > 0);
    assert_non_null(strstr(check_violation(scene->check, 0), "tcp_segments_out is 0, but 1"));
    strait_free(stacks[A]);
    strait_free(stacks[B]);
}

#define WITH_CONNECTION(test) cmocka_unit_test_setup_teardown(test, scene_setup, scene_teardown)

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
        WITH_CONNECTION(counters_that_do_not_add_up_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
