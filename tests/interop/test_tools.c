/* SPDX-License-Identifier: MIT */
/*
 * Tools that are made to annoy a host: ping -f, nmap's scans, hping3's floods and odd packets. The
 * host tells the scanners the truth, stays up, and goes on serving those who mean it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "kernel.h"
#include "program.h"

#define OUTPUT_BYTES 65536

/* Runs a tool, whose output is stored; it is ended after a minute. Returns its exit status. */
static int run_tool(char output[OUTPUT_BYTES], const char *command)
{
    int status = run_command(output, OUTPUT_BYTES, "timeout 60 %s", command);
    if (status == 126 || status == 127)
        fail_msg("%s: %s", command, output);
    return status;
}

/* The same, of a tool that has to succeed. The host serves as before. */
static void run(char output[OUTPUT_BYTES], const char *command)
{
    int status = run_tool(output, command);
    if (status != 0)
        fail_msg("%s: status %d: %s", command, status, output);
    check_echo(1, 100 * KB);
}

static void expect_line(const char *output, const char *line)
{
    if (strstr(output, line) == NULL)
        fail_msg("`%s` is missing in: %s", line, output);
}

/* ---- ping ---------------------------------------------------------------------------------- */

static void a_flood_of_pings_is_answered_whole(void **state)
{
    char output[OUTPUT_BYTES];
    program_start(*state, NULL);
    run(output, "ping -q -f -c 20000 " STRAIT_ADDRESS);
    expect_line(output, "20000 packets transmitted, 20000 received, 0% packet loss");
    program_stop(*state, SIGTERM);
}

/* ---- nmap ---------------------------------------------------------------------------------- */

#define SCAN "nmap -n -Pn -T5 --reason "

static void a_syn_scan_finds_what_is_open_and_what_is_closed(void **state)
{
    char output[OUTPUT_BYTES];
    program_start(*state, NULL);
    run(output, SCAN "-sS -p 1-1000 " STRAIT_ADDRESS);
    expect_line(output, "7/tcp  open  echo    syn-ack");
    expect_line(output, "9/tcp  open  discard syn-ack");
    expect_line(output, "19/tcp open  chargen syn-ack");
    expect_line(output, "80/tcp open  http    syn-ack");
    expect_line(output, "996 closed tcp ports (reset)");
    program_stop(*state, SIGTERM);
}

static void a_udp_scan_hears_echo_and_port_unreachable(void **state)
{
    char output[OUTPUT_BYTES];
    program_start(*state, NULL);
    run(output, SCAN "-sU -p 1-100 " STRAIT_ADDRESS);
    expect_line(output, "7/udp open  echo    udp-response");
    expect_line(output, "99 closed udp ports (port-unreach)");
    program_stop(*state, SIGTERM);
}

/* RFC 9293 3.10.7.1 and 3.10.7.2: a closed port resets, a listener says nothing. */
static void null_and_christmas_tree_scans_hear_what_the_rfc_says(void **state)
{
    static const char *const scans[] = {"-sN", "-sX", "-sF"};
    char output[OUTPUT_BYTES];
    program_start(*state, NULL);
    for (unsigned i = 0; i < sizeof(scans) / sizeof(scans[0]); i++) {
        char command[200];
        snprintf(command, sizeof(command), SCAN "%s -p 1-100 " STRAIT_ADDRESS, scans[i]);
        run(output, command);
        expect_line(output, "7/tcp  open|filtered echo    no-response");
        expect_line(output, "96 closed tcp ports (reset)");
    }
    program_stop(*state, SIGTERM);
}

/* ---- hping3 -------------------------------------------------------------------------------- */

/*
 * hping3 says by its status whether something has answered; that is no matter here. It stands at
 * 1000 packets of each kind; the floods are bounded by a number, too.
 */
static void annoy(const char *options)
{
    char output[OUTPUT_BYTES], command[300];
    snprintf(command, sizeof(command), "hping3 -q -n %s " STRAIT_ADDRESS, options);
    run_tool(output, command);
    expect_line(output, "packets transmitted");
    check_echo(1, 100 * KB);
}

static void odd_packets_of_all_kinds_leave_it_standing(void **state)
{
    static const char *const kinds[] = {
        "-p 7 -F -S -R -P -A -U -X -Y", /* all flags */
        "-p 7",                         /* none */
        "-p 7 -S -F",
        "-p 7 -S -R",
        "-p 7 -A",
        "-p 7 -R",
        "-p 7 -F",
        "-p 7 -U -P -F",
        "-p 7 -S -O 4",            /* a data offset below 5 */
        "-p 7 -S -O 15",           /* beyond the end */
        "-p 7 -S -b",              /* a wrong checksum */
        "-p 7 -S -d 400",          /* data on the SYN */
        "-p 7 -S -f -d 400",       /* in tiny fragments */
        "-p 7 -S --tcp-mss 1",     /* the smallest offer */
        "-p 7 -S -w 0",            /* a window of nothing */
        "-p 7 -S --tcp-timestamp", /* of an hour unknown */
        "--udp -p 7 -b",
        "--udp -p 7 -d 1400 -f",
        "--udp -p 99 -d 1400",
        "--icmp -C 8 -d 2000",
        "--icmp -C 3 -K 1",
        "--icmp -C 5 -K 1",
        "--icmp -C 11 -K 0",
        "--icmp -C 13",
        "--icmp -C 17",
        "--rawip -H 4 -d 40",  /* IP in IP */
        "--rawip -H 99 -d 40", /* a protocol that nobody speaks */
    };
    program_start(*state, NULL);
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        char options[200];
        snprintf(options, sizeof(options), "-c 1000 --faster %s", kinds[i]);
        annoy(options);
    }
    program_stop(*state, SIGTERM);
}

static void floods_of_syns_and_acks_leave_it_serving(void **state)
{
    static const char *const kinds[] = {
        "-p 7 -S",
        "-p 7 -S --rand-source",
        "-p 7 -A --rand-source",
        "-p 7 -S -A",
        ("-p 7 -S -a " STRAIT_ADDRESS), /* LAND */
        "-p 7 -S -a 127.0.0.1",
        "-p 7 -S -a 224.0.0.1",
        "--udp -p 7 --rand-source",
    };
    program_start(*state, NULL);
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        char options[200];
        snprintf(options, sizeof(options), "-c 20000 -i u1 %s", kinds[i]);
        annoy(options);
    }
    program_stop(*state, SIGTERM);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, program_setup, program_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_flood_of_pings_is_answered_whole),
        TEST(a_syn_scan_finds_what_is_open_and_what_is_closed),
        TEST(a_udp_scan_hears_echo_and_port_unreachable),
        TEST(null_and_christmas_tree_scans_hear_what_the_rfc_says),
        TEST(odd_packets_of_all_kinds_leave_it_standing),
        TEST(floods_of_syns_and_acks_leave_it_serving),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
