/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "options.h"
#include "strait.h"

#define WORDS_MAX 20

static struct options options;
static char error[256];

/* ---- A command with options of its own ---- */

struct settings {
    const char *root;
    long count;
};

static int take_option(void *settings, int option, const char *value, const struct report *report)
{
    struct settings *s = settings;
    if (option == OPTION_WITHOUT_LETTER) {
        s->root = value;
        return 0;
    }
    assert_int_equal(option, 'c');
    return options_number(value, 99, &s->count)
               ? 0
               : options_fail(report, "-c %s: at most 99; see the help", value);
}

static int check_options(void *settings, const struct options *o, const struct report *report)
{
    const struct settings *s = settings;
    (void)o;
    return s->count == 13 ? options_fail(report, "13 is unlucky") : 0;
}

static const struct command command = {
    .name = "serve",
    .help = "",
    .letters = "c:",
    .options = {{"root", required_argument, NULL, OPTION_WITHOUT_LETTER},
                {"count", required_argument, NULL, 'c'}},
    .operands_max = 2,
    .take = take_option,
    .check = check_options,
};

static struct settings settings;

/* Parses a command line given as one string of words; quotes have no meaning in it. */
static int parse(const char *line)
{
    static char words[512];
    char *argv[WORDS_MAX + 1] = {NULL};
    char *rest = NULL;
    int argc = 0;
    assert_true((size_t)snprintf(words, sizeof(words), "%s", line) < sizeof(words));
    memset(error, 0, sizeof(error));
    for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        assert_true(argc < WORDS_MAX);
        argv[argc++] = word;
    }
    settings = (struct settings){0};
    return options_parse(&command, argc, argv, &options, &settings, error, sizeof(error));
}

/* The line is refused in one line that contains `words`. */
static void expect_refused(const char *line, const char *words)
{
    assert_int_equal(parse(line), -1);
    if (!strstr(error, words))
        fail_msg("%s\n  said:     %s\n  expected: ...%s...", line, error, words);
    assert_null(strchr(error, '\n'));
}

static void the_line_of_the_readme_is_understood(void **state)
{
    (void)state;
    assert_int_equal(parse("serve --tun tun3 --addr 10.7.0.2/24 --peer 10.7.0.1"), 0);
    assert_string_equal(options.tun, "tun3");
    assert_int_equal(ntohl(options.addr.s_addr), 0x0a070002);
    assert_int_equal(options.prefix_bits, 24);
    assert_int_equal(ntohl(options.peer.s_addr), 0x0a070001);
    assert_int_equal(options.mtu, 0);
    assert_false(options.no_offload);
    assert_false(options.impaired);
    assert_null(options.capture);
    assert_null(options.filter);
    assert_null(settings.root);
    assert_int_equal(options.log_categories, 0);
    assert_false(options.help);
}

static void every_option_is_understood(void **state)
{
    (void)state;
    assert_int_equal(
        parse("serve --addr=192.168.1.9/30 --mtu 9000 --no-offload --root /srv "
              "--capture a.pcap --filter tcp --trace t --control c --impair delay=20ms,loss=1% -v"),
        0);
    assert_string_equal(options.tun, "tun0");
    assert_int_equal(options.prefix_bits, 30);
    assert_int_equal(options.peer.s_addr, 0);
    assert_int_equal(options.mtu, 9000);
    assert_true(options.no_offload);
    assert_true(options.impaired);
    assert_int_equal(options.impair.delay_ns, 20000000);
    assert_int_equal(options.impair.loss, 10000);
    assert_string_equal(settings.root, "/srv");
    assert_string_equal(options.capture, "a.pcap");
    assert_string_equal(options.filter, "tcp");
    assert_string_equal(options.trace, "t");
    assert_string_equal(options.control, "c");
    assert_int_equal(options.log_categories, STRAIT_LOG_ALL);
}

static void categories_add_up_in_all_spellings(void **state)
{
    (void)state;
    assert_int_equal(parse("serve --addr 10.7.0.2/24 -v=tcp,ip"), 0);
    assert_int_equal(options.log_categories, STRAIT_LOG_TCP | STRAIT_LOG_IP);
    assert_int_equal(parse("serve --addr 10.7.0.2/24 -vudp -v=link"), 0);
    assert_int_equal(options.log_categories, STRAIT_LOG_UDP | STRAIT_LOG_LINK);
    assert_int_equal(parse("serve --addr 10.7.0.2/24 --verbose=icmp,socket"), 0);
    assert_int_equal(options.log_categories, STRAIT_LOG_ICMP | STRAIT_LOG_SOCKET);
    expect_refused("serve --addr 10.7.0.2/24 -v=tcp,arp", "no category \"arp\"");
    expect_refused("serve --addr 10.7.0.2/24 -v=", "no category \"\"");
    expect_refused("serve --addr 10.7.0.2/24 -v=tcp,", "no category \"\"");
}

static void a_command_has_options_and_operands_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(parse("get -c 7 here --addr 10.7.0.2/24 --root /srv there"), 0);
    assert_int_equal(settings.count, 7);
    assert_string_equal(settings.root, "/srv");
    assert_int_equal(options.operand_count, 2);
    assert_string_equal(options.operands[0], "here");
    assert_string_equal(options.operands[1], "there");
    assert_int_equal(parse("get --count=8 --addr 10.7.0.2/24"), 0);
    assert_int_equal(settings.count, 8);
    assert_int_equal(options.operand_count, 0);
    expect_refused("get --addr 10.7.0.2/24 -c 100", "-c 100: at most 99");
    expect_refused("get --addr 10.7.0.2/24 -c 13", "13 is unlucky");
    expect_refused("get --addr 10.7.0.2/24 -c", "-c needs a value; see strait serve --help");
}

static void seconds_are_read_as_decimals(void **state)
{
    static const struct {
        const char *text;
        uint64_t ns; /* UINT64_MAX: refused */
    } cases[] = {
        {"0", 0},
        {"1", 1000000000},
        {"0.25", 250000000},
        {"60", 60000000000},
        {"60.1", UINT64_MAX},
        {"", UINT64_MAX},
        {".5", UINT64_MAX},
        {"1s", UINT64_MAX},
        {"-1", UINT64_MAX},
        {" 1", UINT64_MAX},
        {"0x1", UINT64_MAX},
        {"1e1", UINT64_MAX},
        {"1.2.3", UINT64_MAX},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t ns = UINT64_MAX;
        bool read = options_seconds(cases[i].text, 60, &ns);
        assert_int_equal(read, cases[i].ns != UINT64_MAX);
        assert_int_equal(ns, cases[i].ns);
    }
}

static void help_asks_for_nothing_else(void **state)
{
    (void)state;
    assert_int_equal(parse("serve --help"), 0);
    assert_true(options.help);
}

static void unknown_options_and_words_are_named(void **state)
{
    (void)state;
    expect_refused("serve --adr 10.7.0.2/24", "unknown option --adr");
    expect_refused("serve -xv --addr 10.7.0.2/24", "unknown option -x");
    expect_refused("serve --addr 10.7.0.2/24 a b tun0", "unexpected \"tun0\"");
}

static void a_missing_value_is_named(void **state)
{
    (void)state;
    expect_refused("serve --addr 10.7.0.2/24 --tun", "--tun needs a value");
    expect_refused("serve --addr", "--addr needs a value");
    expect_refused("serve --tun tun0", "--addr is missing");
}

static void an_address_that_does_not_parse_is_refused(void **state)
{
    (void)state;
    expect_refused("serve --addr 10.7.0.2", "the size of the network is missing");
    expect_refused("serve --addr 10.7.0/24", "not an IPv4 address");
    expect_refused("serve --addr 10.7.0.256/24", "not an IPv4 address");
    expect_refused("serve --addr example/24", "not an IPv4 address");
    expect_refused("serve --addr fe80::1:2:3:4:5:6:7/24", "not an IPv4 address");
    expect_refused("serve --addr /24", "not an IPv4 address");
    expect_refused("serve --addr 10.7.0.2/24 --peer 10.7.0", "--peer 10.7.0: not an IPv4 address");
}

static void a_prefix_out_of_range_is_refused(void **state)
{
    (void)state;
    expect_refused("serve --addr 10.7.0.2/33", "the prefix must be");
    expect_refused("serve --addr 10.7.0.2/0", "the prefix must be");
    expect_refused("serve --addr 10.7.0.2/", "the prefix must be");
    expect_refused("serve --addr 10.7.0.2/-1", "the prefix must be");
    expect_refused("serve --addr 10.7.0.2/24x", "the prefix must be");
    expect_refused("serve --addr 10.7.0.2/99999999999999999999", "the prefix must be");
}

static void an_address_that_no_host_can_have_is_refused(void **state)
{
    (void)state;
    expect_refused("serve --addr 0.0.0.0/24", "no host can have");
    expect_refused("serve --addr 127.0.0.1/8", "no host can have");
    expect_refused("serve --addr 224.0.0.1/24", "no host can have");
    expect_refused("serve --addr 255.255.255.255/24", "no host can have");
    expect_refused("serve --addr 10.7.0.0/24", "belong to no host");
    expect_refused("serve --addr 10.7.0.255/24", "belong to no host");
    expect_refused("serve --addr 10.7.0.2/24 --peer 10.7.0.255", "belong to no host");
    expect_refused("serve --addr 10.7.0.2/24 --peer 224.0.0.1", "no host can have");
}

static void both_addresses_of_a_31_bit_network_are_hosts_rfc3021(void **state)
{
    (void)state;
    assert_int_equal(parse("serve --addr 10.7.0.0/31 --peer 10.7.0.1"), 0);
}

static void the_peer_is_another_host_of_the_same_network(void **state)
{
    (void)state;
    expect_refused("serve --addr 10.7.0.2/24 --peer 10.7.0.2", "another address");
    expect_refused("serve --addr 10.7.0.2/24 --peer 10.7.1.1", "not in the network");
    expect_refused("serve --addr 10.7.0.2/32 --peer 10.7.0.1", "not in the network");
    assert_int_equal(parse("serve --addr 10.7.0.2/16 --peer 10.7.1.1"), 0);
}

static void busy_polling_is_given_in_microseconds_up_to_a_second(void **state)
{
    (void)state;
    assert_int_equal(parse("serve --addr 10.7.0.2/24"), 0);
    assert_int_equal(options.busy_poll_ns, 0);
    assert_int_equal(parse("serve --addr 10.7.0.2/24 --busy-poll 50"), 0);
    assert_int_equal(options.busy_poll_ns, 50000);
    assert_int_equal(parse("serve --addr 10.7.0.2/24 --busy-poll 1000000"), 0);
    expect_refused("serve --addr 10.7.0.2/24 --busy-poll 1000001", "from 0 to 1000000");
    expect_refused("serve --addr 10.7.0.2/24 --busy-poll 5ms", "from 0 to 1000000");
}

static void the_mtu_is_68_to_65535_bytes_rfc791(void **state)
{
    (void)state;
    expect_refused("serve --addr 10.7.0.2/24 --mtu 67", "from 68 to 65535");
    expect_refused("serve --addr 10.7.0.2/24 --mtu 65536", "from 68 to 65535");
    expect_refused("serve --addr 10.7.0.2/24 --mtu 1500x", "from 68 to 65535");
    expect_refused("serve --addr 10.7.0.2/24 --mtu +1500", "from 68 to 65535");
    assert_int_equal(parse("serve --addr 10.7.0.2/24 --mtu 68"), 0);
    assert_int_equal(options.mtu, 68);
    assert_int_equal(parse("serve --addr 10.7.0.2/24 --mtu 65535"), 0);
    assert_int_equal(options.mtu, 65535);
}

static void a_wrong_impairment_is_refused_with_its_word(void **state)
{
    (void)state;
    expect_refused("serve --addr 10.7.0.2/24 --impair latency=20ms",
                   "--impair: there is no \"latency\"; there are delay, jitter, rate, queue, ecn, "
                   "loss, burst, duplicate, reorder, corrupt");
    expect_refused("serve --addr 10.7.0.2/24 --impair rate=1mbit,queue=1",
                   "--impair: queue \"1\": must be a size in b, kb or mb, at least 1b and at most "
                   "64mb, as in queue=64kb");
    expect_refused("serve --addr 10.7.0.2/24 --impair", "--impair needs a value");
}

static void settings_are_set_one_by_one(void **state)
{
    (void)state;
    assert_int_equal(parse("serve --addr 10.7.0.2/24"), 0);
    assert_int_equal(options.config.rto_min_us, 200000);
    assert_int_equal(parse("serve --addr 10.7.0.2/24 --set tcp.rto_min=1s --set tcp.ecn=request "
                           "--set=socket.memory=1GiB --set tcp.rto_min=50ms"),
                     0);
    assert_int_equal(options.config.rto_min_us, 50000);
    assert_int_equal(options.config.ecn, STRAIT_ECN_REQUEST);
    assert_int_equal(options.config.memory_max_bytes, 1 << 30);
}

static void a_wrong_setting_is_refused_with_what_it_takes(void **state)
{
    (void)state;
    expect_refused("serve --addr 10.7.0.2/24 --set", "--set needs a value");
    expect_refused("serve --addr 10.7.0.2/24 --set tcp.rto_min", "write it as NAME=VALUE");
    expect_refused("serve --addr 10.7.0.2/24 --set tcp.rto=1s",
                   "--set tcp.rto=1s: there is no such setting; see strait settings");
    expect_refused("serve --addr 10.7.0.2/24 --set =1s", "there is no such setting");
    expect_refused("serve --addr 10.7.0.2/24 --set tcp.retries=many",
                   "--set tcp.retries=many: it takes 1 to 100 times; for example tcp.retries=15");
    expect_refused("serve --addr 10.7.0.2/24 --set tcp.rto_min=2min",
                   "it takes 1ms to 1min; for example tcp.rto_min=200ms");
    expect_refused("serve --addr 10.7.0.2/24 --set tcp.ecn=on",
                   "it takes off, answer, request; for example tcp.ecn=answer");
    expect_refused("serve --addr 10.7.0.2/24 --set ip.local_ports=9",
                   "it takes 1 to 65535 ports; for example ip.local_ports=32768-60999");
}

static void a_command_that_asks_is_no_host(void **state)
{
    static const struct command asking = {.name = "ask", .help = "", .letters = "", .asks = true};
    char *good[] = {(char[]){"ask"}, (char[]){"--control=/x"}, (char[]){"--tun"}, (char[]){"t"},
                    NULL};
    char *host[] = {(char[]){"ask"}, (char[]){"--addr"}, (char[]){"10.7.0.2/24"}, NULL};
    char *verbose[] = {(char[]){"ask"}, (char[]){"-v"}, NULL};
    (void)state;
    assert_int_equal(options_parse(&asking, 4, good, &options, NULL, error, sizeof(error)), 0);
    assert_string_equal(options.control, "/x");
    assert_string_equal(options.tun, "t");
    assert_int_equal(options_parse(&asking, 3, host, &options, NULL, error, sizeof(error)), -1);
    assert_non_null(strstr(error, "unknown option --addr"));
    assert_int_equal(options_parse(&asking, 2, verbose, &options, NULL, error, sizeof(error)), -1);
    assert_non_null(strstr(error, "unknown option -v"));
}

static void a_filter_needs_a_capture(void **state)
{
    (void)state;
    expect_refused("serve --addr 10.7.0.2/24 --filter tcp", "--filter needs --capture");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_line_of_the_readme_is_understood),
        cmocka_unit_test(every_option_is_understood),
        cmocka_unit_test(categories_add_up_in_all_spellings),
        cmocka_unit_test(a_command_has_options_and_operands_of_its_own),
        cmocka_unit_test(seconds_are_read_as_decimals),
        cmocka_unit_test(help_asks_for_nothing_else),
        cmocka_unit_test(unknown_options_and_words_are_named),
        cmocka_unit_test(a_missing_value_is_named),
        cmocka_unit_test(an_address_that_does_not_parse_is_refused),
        cmocka_unit_test(a_prefix_out_of_range_is_refused),
        cmocka_unit_test(an_address_that_no_host_can_have_is_refused),
        cmocka_unit_test(both_addresses_of_a_31_bit_network_are_hosts_rfc3021),
        cmocka_unit_test(the_peer_is_another_host_of_the_same_network),
        cmocka_unit_test(busy_polling_is_given_in_microseconds_up_to_a_second),
        cmocka_unit_test(the_mtu_is_68_to_65535_bytes_rfc791),
        cmocka_unit_test(a_wrong_impairment_is_refused_with_its_word),
        cmocka_unit_test(settings_are_set_one_by_one),
        cmocka_unit_test(a_wrong_setting_is_refused_with_what_it_takes),
        cmocka_unit_test(a_command_that_asks_is_no_host),
        cmocka_unit_test(a_filter_needs_a_capture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
