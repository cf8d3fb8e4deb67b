/* SPDX-License-Identifier: MIT */
/* `strait ping` on a pair of stacks in virtual time, where round trips are what they are set to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "pair.h"
#include "ping/ping.h"

struct screen {
    char text[4096];
    bool ended;
};

static void take_line(void *context, const char *line)
{
    struct screen *s = context;
    size_t length = strlen(s->text);
    snprintf(s->text + length, sizeof(s->text) - length, "%s\n", line);
}

static void take_error(void *context, int number)
{
    char line[64];
    snprintf(line, sizeof(line), "errno %d", number);
    take_line(context, line);
}

static void take_end(void *context)
{
    ((struct screen *)context)->ended = true;
}

static bool ended(void *context)
{
    return ((struct screen *)context)->ended;
}

static struct ping_config config_for(struct screen *s)
{
    return (struct ping_config){
        .name = "right",
        .to = pair_address(1, 0).sin_addr,
        .count = 3,
        .interval_ns = 100 * PAIR_MS,
        .wait_ns = PAIR_S,
        .data_bytes = 56,
        .line = take_line,
        .error = take_error,
        .ended = take_end,
        .context = s,
    };
}

/* Pings until it ends, and leaves its summary on the screen. */
static void run(struct pair *pair, const struct ping_config *config)
{
    struct ping *ping = ping_start(pair_stack(pair, 0), pair_env(pair), config);
    assert_non_null(ping);
    pair_until(pair, ended, config->context);
    ping_summary(ping);
    ping_free(ping);
}

static void every_reply_is_told_with_its_round_trip(void **state)
{
    (void)state;
    struct screen s = {0};
    struct pair *pair = pair_new(&(struct pair_config){0});
    struct ping_config config = config_for(&s);
    run(pair, &config);
    assert_string_equal(s.text, "PING right (10.0.0.2) 56(84) bytes of data.\n"
                                "64 bytes from 10.0.0.2: icmp_seq=1 ttl=64 time=2.00 ms\n"
                                "64 bytes from 10.0.0.2: icmp_seq=2 ttl=64 time=2.00 ms\n"
                                "64 bytes from 10.0.0.2: icmp_seq=3 ttl=64 time=2.00 ms\n"
                                "\n"
                                "--- right ping statistics ---\n"
                                "3 packets transmitted, 3 received, 0% packet loss, time 202ms\n"
                                "rtt min/avg/max/mdev = 2.000/2.000/2.000/0.000 ms\n");
    pair_free(pair);
}

/* Which requests are lost. */
struct loss {
    unsigned requests; /* sent so far */
    unsigned lost;     /* a bit for each that is lost, from bit 0 */
};

static bool lose(void *context, int from, const uint8_t *packet, size_t length)
{
    struct loss *loss = context;
    (void)packet, (void)length;
    return from != 0 || !(loss->lost >> loss->requests++ & 1);
}

/* Pings once with these requests lost, and looks at the end of what is said. */
static void expect_with_lost(unsigned lost, uint32_t count, const char *expected)
{
    struct screen s = {0};
    struct loss loss = {.lost = lost};
    struct pair *pair = pair_new(&(struct pair_config){0});
    struct ping_config config = config_for(&s);
    config.count = count;
    pair_filter(pair, lose, &loss);
    run(pair, &config);
    const char *summary = strstr(s.text, "statistics ---\n");
    assert_non_null(summary);
    assert_string_equal(strchr(summary, '\n') + 1, expected);
    pair_free(pair);
}

static void what_is_lost_is_counted_in_per_cent(void **state)
{
    (void)state;
    expect_with_lost(1 << 1, 3,
                     "3 packets transmitted, 2 received, 33.3333% packet loss, time 300ms\n"
                     "rtt min/avg/max/mdev = 2.000/2.000/2.000/0.000 ms\n");
}

static void after_the_last_request_it_waits_an_interval_or_without_any_reply_as_told(void **state)
{
    (void)state;
    expect_with_lost(1 << 1, 2,
                     "2 packets transmitted, 1 received, 50% packet loss, time 200ms\n"
                     "rtt min/avg/max/mdev = 2.000/2.000/2.000/0.000 ms\n");
    expect_with_lost(3, 2, "2 packets transmitted, 0 received, 100% packet loss, time 1100ms\n");
}

static void round_trips_are_written_as_by_iputils(void **state)
{
    static const struct {
        unsigned delay_ns;
        const char *expected;
    } cases[] = {
        {22500, "time=0.045 ms\n"},  {499500, "time=0.999 ms\n"},  {500000, "time=1.00 ms\n"},
        {617000, "time=1.23 ms\n"},  {4997000, "time=9.99 ms\n"},  {4997500, "time=10.0 ms\n"},
        {6172500, "time=12.3 ms\n"}, {49974500, "time=99.9 ms\n"}, {49975000, "time=100 ms\n"},
        {61749500, "time=123 ms\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct screen s = {0};
        struct pair *pair = pair_new(&(struct pair_config){.delay_ns = cases[i].delay_ns});
        struct ping_config config = config_for(&s);
        config.count = 1;
        run(pair, &config);
        if (!strstr(s.text, cases[i].expected))
            fail_msg("not %s in %s", cases[i].expected, s.text);
        pair_free(pair);
    }
}

static void the_longest_request_and_the_shortest_are_answered(void **state)
{
    (void)state;
    for (size_t bytes = 0; bytes <= PING_DATA_MAX; bytes += PING_DATA_MAX) {
        char expected[64];
        struct screen s = {0};
        struct pair *pair = pair_new(&(struct pair_config){0});
        struct ping_config config = config_for(&s);
        config.count = 1;
        config.data_bytes = bytes;
        run(pair, &config);
        snprintf(expected, sizeof(expected),
                 "\n%zu bytes from 10.0.0.2: icmp_seq=1 ttl=64 time=", bytes + 8);
        assert_non_null(strstr(s.text, expected));
        assert_null(strstr(s.text, "wrong"));
        pair_free(pair);
    }
}

static void without_a_count_it_goes_on_beyond_65535(void **state)
{
    (void)state;
    struct screen s = {0};
    struct pair *pair = pair_new(&(struct pair_config){0});
    struct ping_config config = config_for(&s);
    config.count = 0;
    config.interval_ns = 10 * PAIR_MS;
    struct ping *ping = ping_start(pair_stack(pair, 0), pair_env(pair), &config);
    pair_run(pair, 5 * PAIR_MS);
    for (int i = 0; i < 66; i++) {
        s.text[0] = '\0'; /* the screen has room for less than one of these turns */
        pair_run(pair, 10 * PAIR_S);
    }
    s.text[0] = '\0';
    assert_false(s.ended);
    ping_summary(ping);
    assert_non_null(strstr(s.text, "66001 packets transmitted, 66001 received, 0% packet loss"));
    ping_free(ping);
    pair_free(pair);
}

static void without_a_route_it_does_not_begin(void **state)
{
    (void)state;
    struct screen s = {0};
    struct pair *pair = pair_new(&(struct pair_config){0});
    struct ping_config config = config_for(&s);
    config.to.s_addr = INADDR_NONE;
    assert_null(ping_start(pair_stack(pair, 0), pair_env(pair), &config));
    assert_int_equal(errno, EACCES);
    assert_string_equal(s.text, "");
    pair_free(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reply_is_told_with_its_round_trip),
        cmocka_unit_test(what_is_lost_is_counted_in_per_cent),
        cmocka_unit_test(after_the_last_request_it_waits_an_interval_or_without_any_reply_as_told),
        cmocka_unit_test(round_trips_are_written_as_by_iputils),
        cmocka_unit_test(the_longest_request_and_the_shortest_are_answered),
        cmocka_unit_test(without_a_count_it_goes_on_beyond_65535),
        cmocka_unit_test(without_a_route_it_does_not_begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
