/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "link/impair.h"

static struct impair_config config;
static char error[256];

static void expect_read(const char *text)
{
    memset(&config, 0xff, sizeof(config));
    if (impair_parse(text, &config, error, sizeof(error)) != 0)
        fail_msg("%s: %s", text, error);
}

/* It is refused in one line that contains `words`, and the configuration stays as it was. */
static void expect_refused(const char *text, const char *words)
{
    config = (struct impair_config){.delay_ns = 7};
    memset(error, 0, sizeof(error));
    assert_int_equal(impair_parse(text, &config, error, sizeof(error)), -1);
    if (!strstr(error, words))
        fail_msg("%s\n  said:     %s\n  expected: ...%s...", text, error, words);
    assert_null(strchr(error, '\n'));
    assert_int_equal(config.delay_ns, 7);
}

static void every_key_is_understood(void **state)
{
    (void)state;
    expect_read("delay=20ms,jitter=5ms,rate=100mbit,queue=64kb,ecn=30kb,loss=1%,"
                "burst=0.1%/20%/50%,duplicate=2%,reorder=5%,corrupt=0.25%");
    assert_int_equal(config.delay_ns, 20000000);
    assert_int_equal(config.jitter_ns, 5000000);
    assert_int_equal(config.rate_bps, 100000000);
    assert_int_equal(config.queue_bytes, 65536);
    assert_int_equal(config.ecn_bytes, 30720);
    assert_int_equal(config.loss, 10000);
    assert_int_equal(config.burst_enter, 1000);
    assert_int_equal(config.burst_leave, 200000);
    assert_int_equal(config.burst_loss, 500000);
    assert_int_equal(config.duplicate, 20000);
    assert_int_equal(config.reorder, 50000);
    assert_int_equal(config.corrupt, 2500);
}

static void what_is_not_said_is_perfect(void **state)
{
    (void)state;
    expect_read("loss=0%");
    assert_int_equal(config.delay_ns, 0);
    assert_int_equal(config.jitter_ns, 0);
    assert_int_equal(config.rate_bps, 0);
    assert_int_equal(config.queue_bytes, 0);
    assert_int_equal(config.ecn_bytes, 0);
    assert_int_equal(config.loss, 0);
    assert_int_equal(config.burst_enter, 0);
    assert_int_equal(config.burst_leave, 0);
    assert_int_equal(config.burst_loss, 0);
    assert_int_equal(config.duplicate, 0);
    assert_int_equal(config.reorder, 0);
    assert_int_equal(config.corrupt, 0);
}

static void every_unit_is_understood(void **state)
{
    static const struct {
        const char *text;
        uint64_t value;
    } times[] = {{"delay=3ns", 3},       {"delay=3us", 3000},
                 {"delay=3ms", 3000000}, {"delay=3s", 3000000000},
                 {"delay=0ns", 0},       {"delay=3600s", UINT64_C(3600000000000)}},
      rates[] = {{"rate=1bit", 1},
                 {"rate=56kbit", 56000},
                 {"rate=3mbit", 3000000},
                 {"rate=10gbit", UINT64_C(10000000000)},
                 {"rate=1000gbit", UINT64_C(1000000000000)}},
      sizes[] = {{"rate=1mbit,queue=1b", 1},
                 {"rate=1mbit,queue=1500b", 1500},
                 {"rate=1mbit,queue=3kb", 3072},
                 {"rate=1mbit,queue=64mb", 67108864}};
    (void)state;
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        expect_read(times[i].text);
        assert_true(config.delay_ns == times[i].value);
    }
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        expect_read(rates[i].text);
        assert_true(config.rate_bps == rates[i].value);
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        expect_read(sizes[i].text);
        assert_true(config.queue_bytes == sizes[i].value);
    }
}

static void fractions_are_exact(void **state)
{
    (void)state;
    expect_read("delay=1.5ms,jitter=0.25us,rate=2.048mbit,queue=1.5kb,loss=0.0001%,reorder=33.25%,"
                "corrupt=100%");
    assert_int_equal(config.delay_ns, 1500000);
    assert_int_equal(config.jitter_ns, 250);
    assert_int_equal(config.rate_bps, 2048000);
    assert_int_equal(config.queue_bytes, 1536);
    assert_int_equal(config.loss, 1);
    assert_int_equal(config.reorder, 332500);
    assert_int_equal(config.corrupt, 1000000);
}

static void what_would_have_to_be_rounded_is_refused(void **state)
{
    (void)state;
    expect_refused("delay=0.5ns", "delay \"0.5ns\": must be a time");
    expect_refused("rate=1.5bit", "rate \"1.5bit\": must be a rate");
    expect_refused("rate=1mbit,queue=0.3kb", "queue \"0.3kb\": must be a size");
    expect_refused("loss=0.00001%", "loss \"0.00001%\": must be a percentage");
}

static void values_out_of_range_are_refused(void **state)
{
    (void)state;
    expect_refused("delay=3601s", "at most 3600s");
    expect_refused("delay=999999999999999s", "at most 3600s");
    expect_refused("delay=99999999999999999999999s", "at most 3600s");
    expect_refused("delay=18446744073709551617ns", "at most 3600s"); /* 1 modulo 2^64 */
    expect_refused("rate=0mbit", "at least 1bit");
    expect_refused("rate=1001gbit", "at most 1000gbit");
    expect_refused("rate=1mbit,queue=0kb", "at least 1b");
    expect_refused("rate=1mbit,ecn=65mb", "at most 64mb");
    expect_refused("loss=100.0001%", "from 0% to 100%");
    expect_refused("burst=1%/2%/101%", "three percentages");
}

static void numbers_have_digits_and_a_unit_of_their_kind(void **state)
{
    static const char *const texts[] = {
        "delay",       "delay=",      "delay=20",   "delay=ms",      "delay=20 ms",   "delay=20MS",
        "delay=-1ms",  "delay=+1ms",  "delay=.5ms", "delay=1.ms",    "delay=1.5.5ms", "delay=20msx",
        "delay=1e3ms", "delay=0x1ms", "delay=20%",  "delay=1ms/2ms", "delay=20=20ms", "delay= 20ms",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        expect_refused(texts[i], "must be a time in ns, us, ms or s");
    expect_refused("rate=1mb", "must be a rate in bit, kbit, mbit or gbit");
    expect_refused("rate=1mbit,queue=1kbit", "must be a size in b, kb or mb");
    expect_refused("loss=0.01", "as in loss=1%");
}

static void a_burst_is_three_percentages(void **state)
{
    static const char *const texts[] = {"burst=1%",      "burst=1%/2%",  "burst=1%/2%/3%/4%",
                                        "burst=1%/2%/",  "burst=1%//3%", "burst=1/2/3",
                                        "burst=1%,2%,3%"};
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        expect_refused(texts[i], "as in burst=0.1%/20%/50%");
    expect_refused("burst=1%/2%", "burst \"1%/2%\": must be"); /* as it was written */
}

static void unknown_keys_are_named_with_the_known_ones(void **state)
{
    (void)state;
    expect_refused("latency=20ms", "there is no \"latency\"; there are delay, jitter, rate");
    expect_refused("loss=1%,Delay=20ms", "there is no \"Delay\"");
    expect_refused("20ms", "there is no \"20ms\"");
    expect_refused("=20ms", "there is no \"\"");
}

static void words_are_neither_empty_nor_endless(void **state)
{
    (void)state;
    expect_refused("", "an empty word");
    expect_refused(",", "an empty word");
    expect_refused("delay=1ms,", "an empty word");
    expect_refused("delay=1ms,,loss=1%", "an empty word");
    char text[300] = "delay=";
    memset(text + 6, '1', sizeof(text) - 7);
    expect_refused(text, "\"delay=11111111111111...\" is too long");
}

static void a_key_stands_once(void **state)
{
    (void)state;
    expect_refused("delay=1ms,loss=1%,delay=1ms", "delay is given twice");
}

static void a_key_without_effect_is_refused(void **state)
{
    (void)state;
    expect_refused("jitter=5ms", "jitter has no effect without delay");
    expect_refused("reorder=5%,rate=1mbit", "reorder has no effect without delay");
    expect_refused("queue=64kb,delay=1ms", "queue has no effect without rate");
    expect_refused("ecn=30kb", "ecn has no effect without rate");
}

static void an_error_is_cut_to_its_room(void **state)
{
    (void)state;
    char small[8] = "";
    assert_int_equal(impair_parse("delay=1", &config, small, sizeof(small)), -1);
    assert_string_equal(small, "delay \"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_understood),
        cmocka_unit_test(what_is_not_said_is_perfect),
        cmocka_unit_test(every_unit_is_understood),
        cmocka_unit_test(fractions_are_exact),
        cmocka_unit_test(what_would_have_to_be_rounded_is_refused),
        cmocka_unit_test(values_out_of_range_are_refused),
        cmocka_unit_test(numbers_have_digits_and_a_unit_of_their_kind),
        cmocka_unit_test(a_burst_is_three_percentages),
        cmocka_unit_test(unknown_keys_are_named_with_the_known_ones),
        cmocka_unit_test(words_are_neither_empty_nor_endless),
        cmocka_unit_test(a_key_stands_once),
        cmocka_unit_test(a_key_without_effect_is_refused),
        cmocka_unit_test(an_error_is_cut_to_its_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
