/* SPDX-License-Identifier: MIT */
/*
 * Whether the checkers find who sends what its path, its user or the clock does not allow, and
 * leave alone who does not.
 */
#include <errno.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scene.h"

#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

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
    scene_passes(scene, A, PACKET_SYN, 0, 0, WINDOW, 0);
    scene_see(scene, B, true, B, &syn);
    scene_see(scene, A, false, B, &syn);
    check_opened(scene->check, scene->now_ns, 0, A);
    scene_writes(scene, A, 800);
    scene_sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 600);
}

static void a_segment_larger_than_its_path_is_found(void **state)
{
    struct scene *scene = *state;
    send_six_hundred(scene);
    scene_icmp_error(scene, 3, 4, 576, 1);
    scene->now_ns += MS; /* what it sends at the instant of the error, it may have sent before it */
    scene_sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 537);
    assert_found(scene, "sends a packet of 577 bytes on a path of which it was told 576");
}

static void a_segment_that_its_path_carries_is_right(void **state)
{
    struct scene *scene = *state;
    send_six_hundred(scene);
    scene_icmp_error(scene, 3, 4, 576, 1);
    scene_sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 536);
    assert_clean(scene);
}

static void who_does_not_believe_a_quote_of_nothing_in_flight_is_right(void **state)
{
    struct scene *scene = *state;
    send_six_hundred(scene);
    scene_icmp_error(scene, 3, 4, 576, 601);
    scene_sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 600);
    assert_clean(scene);
}

static void a_short_segment_out_of_a_cork_is_found(void **state)
{
    struct scene *scene = *state;
    plan_of_a(scene)->more = MORE_CORK;
    scene_writes(scene, A, 100);
    scene->now_ns += 198 * MS;
    scene_sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
    assert_found(scene, "sends 100 bytes alone");
}

static void a_short_segment_after_200_ms_is_right(void **state)
{
    struct scene *scene = *state;
    plan_of_a(scene)->more = MORE_CORK;
    scene_writes(scene, A, 100);
    scene->now_ns += 200 * MS;
    scene_sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
    assert_clean(scene);
}

static void keep_alives_that_come_too_fast_are_found(void **state)
{
    struct scene *scene = *state;
    plan_of_a(scene)->keepalive_s = 2;
    scene_send_a_hundred(scene);
    scene->now_ns += 2 * S;
    scene_sends(scene, A, PACKET_ACK, 100, 1, WINDOW, 0);
    scene->now_ns += 2 * S - 2 * MS;
    scene_sends(scene, A, PACKET_ACK, 100, 1, WINDOW, 0);
    assert_found(scene, "sends keep-alives faster than every 2 s");
}

static void keep_alives_that_nobody_wants_are_found(void **state)
{
    struct scene *scene = *state;
    scene_send_a_hundred(scene);
    scene_sends(scene, A, PACKET_ACK, 100, 1, WINDOW, 0);
    assert_found(scene, "sends a keep-alive, for which nobody has asked");
}

static void a_keep_alive_amid_data_is_found(void **state)
{
    struct scene *scene = *state;
    plan_of_a(scene)->keepalive_s = 2;
    scene_send_a_hundred(scene);
    scene_sends(scene, A, PACKET_ACK, 101, 1, WINDOW, 100);
    scene->now_ns += 2 * S;
    scene_sends(scene, A, PACKET_ACK, 100, 1, WINDOW, 0);
    assert_found(scene, "sends a keep-alive while 100 bytes are in flight");
}

static void a_timeout_of_the_user_is_right_after_its_time(void **state)
{
    struct scene *scene = *state;
    plan_of_a(scene)->user_timeout_ms = 5000;
    scene_writes(scene, A, 100);
    scene_sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
    check_error(scene->check, scene->now_ns + 5 * S, 0, A, ETIMEDOUT);
    assert_clean(scene);
}

static void a_timeout_of_the_user_before_its_time_is_found(void **state)
{
    struct scene *scene = *state;
    plan_of_a(scene)->user_timeout_ms = 5000;
    scene_writes(scene, A, 100);
    scene_sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
    check_error(scene->check, scene->now_ns + 5 * S - 10 * MS, 0, A, ETIMEDOUT);
    assert_found(scene, "not tried for long enough");
}

static void say_urgent(struct scene *scene, uint8_t flags, uint16_t urgent)
{
    struct said s = {
        .flags = flags, .seq = 1, .ack = 1, .window = WINDOW, .length = 50, .urgent = urgent};

    plan_of_a(scene)->urgent = 1;
    scene_writes(scene, A, 100);
    scene_see(scene, A, true, A, &s);
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
    scene_sends(scene, A, PACKET_ACK, 1, 1, WINDOW, 0);
    assert_found(scene, "uses a link to reach itself");
}

#define WITH_CONNECTION(test) cmocka_unit_test_setup_teardown(test, scene_setup, scene_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
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
