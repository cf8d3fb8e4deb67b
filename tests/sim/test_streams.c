/* SPDX-License-Identifier: MIT */
/*
 * The stream worlds themselves: they repeat, they can be printed and read back, a few of them are
 * made by hand to show one thing each, and those that have found a bug are kept
 * (tests/sim/regressions.txt).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "run.h"

#define REGRESSIONS "tests/sim/regressions.txt"

static uint64_t hash_of_seed(uint64_t seed)
{
    struct scenario s;

    scenario_draw(&s, seed);
    struct run *run = run_new(&s);
    run_all(run);
    uint64_t hash = world_hash(run_world(run));
    run_free(run);
    return hash;
}

static void the_same_seed_gives_the_same_history(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++)
        assert_true(hash_of_seed(seed) == hash_of_seed(seed));
}

static void another_seed_gives_another_history(void **state)
{
    (void)state;
    assert_true(hash_of_seed(1) != hash_of_seed(2));
}

/* ---- The line of options ---- */

static void a_scenario_is_read_back_as_it_was_printed(void **state)
{
    static char line[SCENARIO_LINE_BYTES];
    char error[200];

    (void)state;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        struct scenario drawn, read;
        scenario_draw(&drawn, seed);
        scenario_print(&drawn, line, sizeof(line));
        assert_int_equal(scenario_parse(&read, line, error, sizeof(error)), 0);
        assert_memory_equal(&drawn, &read, sizeof(drawn));
    }
}

static void options_that_cannot_be_read_are_refused(void **state)
{
    static const char *const lines[] = {
        "",
        "net(hops=5)",
        "net(hops=0)",
        "net(hops=1,second=1)",
        "net(hops=1",
        "net(hops=)",
        "net(hops=1,colour=3)",
        "net(hops=4294967297)",
        "net(hops=1) router(mtu=1500)",
        "net(hops=1) side(bytes=1)",
        "net(hops=1) becomes(loss_ppm=1)",
        "net(hops=1) host(mtu=1500)",
        "net(hops=1) host(mtu=1500) host(mtu=67)",
        "net(hops=1) host(mtu=1500) host(mtu=1500) connection(pair=1)",
        "net(hops=1) host() host() host() host() host()",
    };
    struct scenario s;
    char error[200];

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        error[0] = '\0';
        if (scenario_parse(&s, lines[i], error, sizeof(error)) == 0)
            fail_msg("\"%s\" was read", lines[i]);
        assert_true(strlen(error) > 0);
    }
}

/* ---- Worlds made by hand ---- */

/* Runs a world that has to be without a violation. The result is to be freed. */
static struct run *run_clean(struct scenario *s, const char *line)
{
    char error[200];

    if (scenario_parse(s, line, error, sizeof(error)) != 0)
        fail_msg("%s", error);
    struct run *run = run_new(s);
    run_all(run);
    if (check_violations(run_check(run)) > 0)
        fail_msg("%s\n  in: %s", check_violation(run_check(run), 0), line);
    return run;
}

/* Both stacks together. */
static uint64_t counter(struct run *run, const char *name)
{
    return check_counter(run_check(run), 0, name) + check_counter(run_check(run), 1, name);
}

static void on_a_path_without_loss_nothing_is_sent_twice(void **state)
{
    struct scenario s;

    (void)state;
    struct run *run = run_clean(&s, "net(seed_low=1,hops=3,heal_ms=60000) host(mtu=1500) "
                                    "host(mtu=1500) path(delay_us=5000) path(delay_us=5000) "
                                    "connection() side(bytes=3000000) side(bytes=3000000)");
    assert_int_equal(counter(run, "tcp_retransmitted_segments"), 0);
    assert_int_equal(counter(run, "tcp_duplicate_bytes"), 0);
    assert_int_equal(counter(run, "tcp_window_probes"), 0);
    run_free(run);
}

static void a_single_loss_is_mended_without_a_timeout(void **state)
{
    struct scenario s;

    (void)state;
    struct run *run =
        run_clean(&s, "net(seed_low=1,hops=1,heal_ms=60000) host(mtu=1500) host(mtu=1500) "
                      "path(delay_us=10000,rate_kbit=100000,queue_bytes=1000000) "
                      "path(delay_us=10000) connection() side(bytes=3000000) side(end=1) "
                      "fault(kind=4,at_ms=150,for_ms=1,ways=1) "
                      "becomes(delay_us=10000,rate_kbit=100000,loss_ppm=100000)");
    assert_true(counter(run, "tcp_retransmitted_segments") > 0);
    assert_true(counter(run, "tcp_fast_retransmits") > 0);
    assert_int_equal(counter(run, "tcp_retransmission_timeouts"), 0);
    run_free(run);
}

/* The reader sleeps while the window shuts, and the news that it is open is lost: cut. */
static void a_lost_window_update_is_found_by_a_probe(void **state)
{
    struct scenario s;

    (void)state;
    struct run *run = run_clean(
        &s, "net(seed_low=1,hops=1,heal_ms=60000) host(mtu=1500) host(mtu=1500,receive_bytes=20000)"
            " path(delay_us=5000) path(delay_us=5000) connection() side(bytes=100000) "
            "side(read_delay_ms=5000,end=1) fault(kind=1,at_ms=4900,for_ms=300,ways=2)");
    assert_true(counter(run, "tcp_window_probes") > 0);
    run_free(run);
}

/* Each end's numbers pass 2^32 amid its data. */
static void numbers_that_wrap_do_no_harm(void **state)
{
    (void)state;
    for (uint32_t side = 0; side < 2; side++) {
        struct scenario s = {0};
        uint32_t iss;
        s.net.hops = 1;
        s.net.heal_ms = 30000;
        s.net.seed_low = side; /* run_wrap moves connection 0, and of it the side of this number */
        s.hosts[0].mtu = s.hosts[1].mtu = 1500;
        for (int way = 0; way < 2; way++)
            s.paths[0][way] = (struct scenario_path){.delay_us = 5000, .loss_ppm = 20000};
        s.connection_count = 1;
        s.connections[0].side[0].bytes = s.connections[0].side[1].bytes = 200000;
        run_wrap(&s);

        struct run *run = run_new(&s);
        run_all(run);
        assert_int_equal(check_violations(run_check(run)), 0);
        assert_true(check_iss(run_check(run), 0, side, &iss));
        assert_true(0 - iss > 50000 && 0 - iss < 150000);
        run_free(run);
    }
}

/* ---- What was found once ---- */

static void what_was_found_once_is_not_found_again(void **state)
{
    static char line[SCENARIO_LINE_BYTES];
    int worlds = 0;

    (void)state;
    FILE *file = fopen(REGRESSIONS, "r");
    if (!file)
        fail_msg("%s is not there: run the tests in the root of the project", REGRESSIONS);
    while (fgets(line, sizeof(line), file)) {
        struct scenario s;
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '#' || line[0] == '\0')
            continue;
        run_free(run_clean(&s, line));
        worlds++;
    }
    fclose(file);
    assert_true(worlds > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_history),
        cmocka_unit_test(another_seed_gives_another_history),
        cmocka_unit_test(a_scenario_is_read_back_as_it_was_printed),
        cmocka_unit_test(options_that_cannot_be_read_are_refused),
        cmocka_unit_test(on_a_path_without_loss_nothing_is_sent_twice),
        cmocka_unit_test(a_single_loss_is_mended_without_a_timeout),
        cmocka_unit_test(a_lost_window_update_is_found_by_a_probe),
        cmocka_unit_test(numbers_that_wrap_do_no_harm),
        cmocka_unit_test(what_was_found_once_is_not_found_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
