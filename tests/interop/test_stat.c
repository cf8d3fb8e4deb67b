/* SPDX-License-Identifier: MIT */
/* `strait stat` and --trace: what the server tells of its connections agrees with the kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel.h"
#include "program.h"
#include "transfer.h"

#define OUTPUT_BYTES 65536
#define STAT         "timeout 20 \"$STRAIT\" stat "
#define ECHO_BYTES   SCALED(1 * MB)

/* A command that has to succeed. Returns its output. */
static const char *output_of(const char *command)
{
    static char output[OUTPUT_BYTES];
    int status = run_command(output, sizeof(output), "%s", command);
    if (status != 0)
        fail_msg("%s: status %d: %s", command, status, output);
    return output;
}

static void expect_output(const char *command, const char *expected)
{
    assert_string_equal(output_of(command), expected);
}

/* An echo that has come back whole, on a connection that stays open. */
static int echo_and_stay(uint64_t bytes)
{
    char error[256];
    struct transfer t;
    int fd = kernel_connect(PORT_ECHO);
    transfer_init_echo(&t, fd, 1, bytes);
    t.keep_open = true;
    if (transfer_run(&kernel_transport, &t, 1, WAIT_MS, error, sizeof(error)) < 0)
        fail_msg("%s", error);
    transfer_finish(&t);
    usleep(300000); /* for the last acknowledgement, that may be delayed */
    return fd;
}

static struct tcp_info kernel_info(int fd)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof(info);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    return info;
}

static uint16_t local_port(int fd)
{
    struct sockaddr_in name;
    socklen_t length = sizeof(name);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &length), 0);
    return ntohs(name.sin_port);
}

/* What the server tells of the connection from that port of the kernel. */
static json_t *stat_of(uint16_t port)
{
    char command[128];
    snprintf(command, sizeof(command), STAT "--json --state ESTAB --port %u", port);
    const char *text = output_of(command);
    json_t *json = json_loads(text, 0, NULL);
    if (!json_is_object(json) || strchr(text, '\n')[1] != '\0')
        fail_msg("not one object: %s", text);
    return json;
}

static uint64_t number(const json_t *json, const char *key)
{
    const json_t *value = json_object_get(json, key);
    if (!json_is_integer(value))
        fail_msg("there is no number \"%s\"", key);
    return (uint64_t)json_integer_value(value);
}

/* ---- Endpoints ---- */

static void the_figures_agree_with_the_kernels(void **state)
{
    program_start(*state, NULL);
    int fd = echo_and_stay(ECHO_BYTES);
    const struct tcp_info kernel = kernel_info(fd);
    json_t *strait = stat_of(local_port(fd));

    assert_int_equal(number(strait, "local_port"), PORT_ECHO);
    assert_int_equal(number(strait, "peer_port"), local_port(fd));
    assert_int_equal(number(strait, "bytes_received"), ECHO_BYTES);
    assert_int_equal(number(strait, "bytes_received"),
                     kernel.tcpi_bytes_sent - kernel.tcpi_bytes_retrans);
    assert_int_equal(number(strait, "bytes_acked"), kernel.tcpi_bytes_received);
    assert_int_equal(number(strait, "bytes_sent") - number(strait, "retransmitted_bytes"),
                     kernel.tcpi_bytes_received);
    assert_int_equal(number(strait, "send_queue"), 0);
    assert_int_equal(number(strait, "receive_queue"), 0);
    assert_int_equal(number(strait, "unacked_segments"), 0);
    assert_int_equal(number(strait, "mss_bytes"), kernel.tcpi_snd_mss);
    assert_int_equal(number(strait, "path_mtu_bytes"), kernel.tcpi_pmtu);
    assert_int_equal(number(strait, "send_scale"), kernel.tcpi_rcv_wscale);
    assert_int_equal(number(strait, "receive_scale"), kernel.tcpi_snd_wscale);
    assert_int_equal(json_is_true(json_object_get(strait, "sack")),
                     (kernel.tcpi_options & TCPI_OPT_SACK) != 0);
    assert_int_equal(json_is_true(json_object_get(strait, "timestamps")),
                     (kernel.tcpi_options & TCPI_OPT_TIMESTAMPS) != 0);
    assert_in_range(number(strait, "rtt_us"), 1, 1000000);
    assert_in_range(number(strait, "rto_us"), 200000, 2000000);
    assert_in_range(number(strait, "last_received_ms"), 100, 10000); /* after that sleep */
    assert_true(number(strait, "cwnd_bytes") >= 10 * number(strait, "mss_bytes"));
    json_decref(strait);
    close(fd);
    program_stop(*state, SIGTERM);
}

/* One that takes nothing: what waits is in the server's queues and in the kernel's. */
static void queues_and_windows_show_a_peer_that_does_not_read(void **state)
{
    program_start(*state, NULL);
    static const char bytes[64 * KB];
    int fd = kernel_connect(PORT_ECHO);
    for (int turn = 0; turn < 500; turn++) {
        while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
            ;
        usleep(1000);
    }
    json_t *strait = stat_of(local_port(fd));
    assert_true(number(strait, "send_queue") > 0);
    assert_true(number(strait, "send_memory_bytes") >= number(strait, "send_queue"));
    assert_true(number(strait, "send_window_bytes") < number(strait, "mss_bytes"));
    assert_string_equal(json_string_value(json_object_get(strait, "timer")), "probe");
    json_decref(strait);
    kernel_close_by_reset(fd);
    close(fd);
    program_stop(*state, SIGTERM);
}

static void the_table_shows_every_kind(void **state)
{
    program_start(*state, NULL);
    int fd = kernel_connect(PORT_ECHO);
    const char *table = output_of(STAT);
    assert_non_null(strstr(table, "Netid State"));
    assert_non_null(strstr(table, "\ntcp   ESTAB "));
    assert_non_null(strstr(table, "\ntcp   LISTEN "));
    assert_non_null(strstr(table, "\nudp   UNCONN "));
    assert_non_null(strstr(table, " rto:"));
    assert_non_null(strstr(table, " cwnd:14480 "));
    expect_output(STAT "--state listen | awk 'NR > 1 { print $5 }' | sort",
                  "*:19\n*:7\n*:7000\n*:7001\n*:80\n*:9\n");
    expect_output(STAT "--port 80 | awk 'NR > 1 { print $2, $5, $6 }'", "LISTEN *:80 *:*\n");
    close(fd);
    program_stop(*state, SIGTERM);
}

enum { MANY = 500 };

static void many_connections_are_each_told_once(void **state)
{
    static int fds[MANY];
    program_start(*state, NULL);
    for (int i = 0; i < MANY; i++)
        fds[i] = kernel_connect(PORT_DISCARD);
    expect_output(STAT "--json --state ESTAB --port 9 | sort -u | wc -l", "500\n");
    expect_output(STAT "--json --state ESTAB | tr ',' '\\n' | grep peer_port | sort -u | wc -l",
                  "500\n");
    for (int i = 0; i < MANY; i++)
        close(fds[i]);
    program_stop(*state, SIGTERM);
}

/* ---- Counters ---- */

static void counters_are_told_while_it_runs(void **state)
{
    program_start(*state, NULL);
    int fd = kernel_connect(PORT_ECHO);
    expect_output(STAT "--counters | grep accepted", "tcp_connections_accepted 1\n");
    expect_output(STAT "--counters | grep -c ' 0$'; true", "0\n");
    expect_output(STAT "--counters --all | grep tcp_checksum", "tcp_checksum_wrong 0\n");
    json_t *json = json_loads(output_of(STAT "--counters --json"), 0, NULL);
    assert_int_equal(number(json, "tcp_connections_accepted"), 1);
    assert_true(number(json, "tun_packets_in") > 0);
    assert_null(json_object_get(json, "tcp_checksum_wrong"));
    json_decref(json);
    close(fd);
    program_stop(*state, SIGTERM);
}

/* ---- Settings ---- */

#define SET "timeout 20 \"$STRAIT\" set "

static void a_setting_takes_effect_while_it_runs(void **state)
{
    program_start(*state, NULL);
    expect_output(SET "tcp.rto_min tcp.rto_min=50ms tcp.rto_min",
                  "tcp.rto_min=200ms\ntcp.rto_min=50ms\n");
    expect_output("test $(" SET "| wc -l) = $(\"$STRAIT\" settings | sed 1d | wc -l)", "");
    int fd = echo_and_stay(1000);
    json_t *strait = stat_of(local_port(fd));
    assert_in_range(number(strait, "rto_us"), 50000, 199999);
    json_decref(strait);
    close(fd);
    expect_output(SET "tcp.rto_min=5h 2>&1; echo $?",
                  "strait: tcp.rto_min=5h: it takes 1ms to 1min; for example tcp.rto_min=200ms\n"
                  "1\n");
    program_stop(*state, SIGTERM);
}

/* ---- Again and again ---- */

static void a_watch_goes_on_until_it_is_interrupted(void **state)
{
    program_start(*state, NULL);
    expect_output("timeout -s INT --preserve-status 3 \"$STRAIT\" stat --watch=0.5 --state LISTEN "
                  ">/run/strait-watch; echo $?; grep -c Netid /run/strait-watch |"
                  "awk '{ print ($1 >= 3 && $1 <= 7) }'; rm /run/strait-watch",
                  "0\n1\n");
    program_stop(*state, SIGTERM);
}

/* ---- Who answers, and who does not ---- */

static void nobody_answers_where_nobody_is(void **state)
{
    const char *const arguments[] = {"stat", "--tun", "nosuch", NULL};
    const char *const here[] = {"stat", "--control", "/tmp/nosuch", NULL};
    program_refuses(*state, 0, 1, "/run/strait/nosuch/control: No such file", arguments);
    program_refuses(*state, 0, 1, "nobody answers at /tmp/nosuch", here);
}

static void a_stranger_is_told_whom_to_be(void **state)
{
    program_start(*state, NULL);
    expect_output(
        "setpriv --reuid 1 --regid 1 --clear-groups \"$STRAIT\" stat 2>&1; echo $?",
        "strait: /run/strait/tun0/control: Permission denied; ask as root, or as the user "
        "whom strait has become\n1\n");
    program_stop(*state, SIGTERM);
}

static void output_that_is_lost_is_a_failure(void **state)
{
    program_start(*state, NULL);
    expect_output(STAT "2>&1 >/dev/full; echo $?", "strait: stdout: No space left on device\n1\n");
    expect_output("\"$STRAIT\" stat --help 2>&1 >/dev/full; echo $?",
                  "strait: stdout: No space left on device\n1\n");
    expect_output("\"$STRAIT\" --version 2>&1 >&-; echo $?",
                  "strait: stdout: Bad file descriptor\n1\n");
    program_stop(*state, SIGTERM);
}

static void a_wrong_line_is_refused(void **state)
{
    const char *const port[] = {"stat", "--port", "0", NULL};
    const char *const watch[] = {"stat", "--watch=0", NULL};
    const char *const host[] = {"stat", "--addr", "10.7.0.2/24", NULL};
    const char *const no_state[] = {"stat", "--state", "OPEN", NULL};
    const char *const all[] = {"stat", "--all", NULL};
    const char *const both[] = {"stat", "--counters", "--port", "80", NULL};
    program_refuses(*state, 0, 2, "a port is a number", port);
    program_refuses(*state, 0, 2, "must be seconds", watch);
    program_refuses(*state, 0, 2, "unknown option --addr", host);
    program_refuses(*state, 0, 2, "there is no such state", no_state);
    program_refuses(*state, 0, 2, "--all needs --counters", all);
    program_refuses(*state, 0, 2, "leave out --state and --port", both);
}

#define FOLDER                                                                                     \
    "/run/strait-stat" /* of the sandbox alone: other runs have files of the same names */
#define SOCKET FOLDER "/socket"

/* The running one is not disturbed, and its file stays. */
static void a_second_server_does_not_take_the_socket(void **state)
{
    struct program *p = *state;
    expect_output("mkdir -m 777 " FOLDER, "");
    program_start(p, "--control", SOCKET, NULL);
    expect_output("stat -c '%a %U %F' " SOCKET, "600 nobody socket\n");
    const char *text = output_of("\"$STRAIT\" serve --tun tun1 --addr 10.8.0.2/24 "
                                 "--control " SOCKET " 2>&1; echo $?");
    assert_non_null(strstr(text, "a running strait answers there"));
    assert_non_null(strstr(text, "\n1\n"));
    expect_output(STAT "--control " SOCKET " --state ESTAB --json", "");
    program_stop(p, SIGTERM);
    expect_output("ls " SOCKET " 2>&1 | grep -c 'No such'", "1\n");
}

static void what_a_killed_server_has_left_is_replaced(void **state)
{
    struct program *p = *state;
    program_start(p, NULL);
    kill(program_pid(p), SIGKILL);
    program_teardown(state);
    assert_int_equal(program_setup(state), 0);
    p = *state;
    expect_output("ls -A /run/strait/tun0", "control\n");
    program_start(p, NULL);
    expect_output(STAT "--json --state ESTAB", "");
    program_stop(p, SIGTERM);
    expect_output("ls -A /run/strait/tun0", "");
}

static void without_a_control_socket_nobody_answers(void **state)
{
    struct program *p = *state;
    program_start(p, "--control", "none", NULL);
    expect_output(STAT "2>&1 | grep -c 'nobody answers'", "1\n");
    program_stop(p, SIGTERM);
}

/* ---- Traces ---- */

#define TRACE "/run/strait-stat.trace"
#define SUM(event)                                                                                 \
    "awk -F '\\t' '$4 == \"" event "\" && $6 > 0 { sum += $6 } END { print sum }' " TRACE

static void a_trace_adds_up_and_is_drawn(void **state)
{
    struct program *p = *state;
    char expected[64];
    /* So much that something is lost of the few hundred packets of a sanitized run, too. */
    program_start(p, "--trace", TRACE, "--impair", "loss=4%,delay=2ms", NULL);
    int fd = echo_and_stay(ECHO_BYTES);
    close(fd);
    program_stop(p, SIGTERM);
    expect_output("head -n 1 " TRACE, "#strait-trace 1\n");
    expect_output("awk -F '\\t' 'NF != 14 && NR > 1' " TRACE, "");
    snprintf(expected, sizeof(expected), "%llu\n", (unsigned long long)ECHO_BYTES + 1);
    expect_output(SUM("sent"), expected); /* and the FIN */
    expect_output("tail -n 1 " TRACE " | cut -f 7 | grep -cE 'CLOSE|TIME-WAIT'", "1\n");
    expect_output("scripts/plot " TRACE " " TRACE ".svg | cut -d ' ' -f 2", "10.7.0.2:7\n");
    expect_output("for word in cwnd ssthresh RTO 'sent again' '</svg>'; do"
                  " grep -q \"$word\" " TRACE ".svg || echo \"no $word\"; done;"
                  "rm " TRACE " " TRACE ".svg",
                  "");
}

/* A zigzag of 200,000 records. */
static void the_picture_of_a_long_trace_is_small(void **state)
{
    (void)state;
    expect_output("awk 'BEGIN { print \"#strait-trace 1\"; OFS = \"\\t\";"
                  " for (i = 0; i < 200000; i++) print i / 1000 + 0.0001, \"10.7.0.2:7\","
                  " \"10.7.0.1:9\", \"sent\", i * 1000, 1000, \"ESTAB\", 10000 + i % 3 * 7000,"
                  " \"-\", 100 + i % 2, 10, 200000, 65535, 65535 }' >" TRACE "; scripts/plot " TRACE
                  " " TRACE ".svg",
                  TRACE ".svg: 10.7.0.2:7 to 10.7.0.1:9\n");
    expect_output("stat -c %s " TRACE ".svg | awk '{ print ($1 > 50000 && $1 < 2000000) }'; "
                  "rm " TRACE " " TRACE ".svg",
                  "1\n");
}

static void plot_refuses_what_is_no_trace_in_one_line(void **state)
{
    (void)state;
    expect_output("scripts/plot README.md /tmp/x.svg 2>&1; echo $?",
                  "scripts/plot: README.md: this is no file that --trace has written\n1\n");
    expect_output("scripts/plot nosuch /tmp/x.svg 2>&1; echo $?",
                  "scripts/plot: nosuch: there is no such file, or it cannot be read\n1\n");
    expect_output("scripts/plot 2>&1; echo $?",
                  "usage: scripts/plot TRACE OUT.svg [LOCAL REMOTE]\n2\n");
    expect_output("printf '#strait-trace 1\\nnot a record\\n' >/run/strait-no-trace;"
                  "scripts/plot /run/strait-no-trace /tmp/x.svg 2>&1; rm /run/strait-no-trace",
                  "scripts/plot: /run/strait-no-trace: there is no connection in it\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, program_setup, program_teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_figures_agree_with_the_kernels),
        TEST(queues_and_windows_show_a_peer_that_does_not_read),
        TEST(the_table_shows_every_kind),
        TEST(many_connections_are_each_told_once),
        TEST(counters_are_told_while_it_runs),
        TEST(a_setting_takes_effect_while_it_runs),
        TEST(a_watch_goes_on_until_it_is_interrupted),
        TEST(nobody_answers_where_nobody_is),
        TEST(a_stranger_is_told_whom_to_be),
        TEST(output_that_is_lost_is_a_failure),
        TEST(a_wrong_line_is_refused),
        TEST(a_second_server_does_not_take_the_socket),
        TEST(what_a_killed_server_has_left_is_replaced),
        TEST(without_a_control_socket_nobody_answers),
        TEST(a_trace_adds_up_and_is_drawn),
        TEST(the_picture_of_a_long_trace_is_small),
        TEST(plot_refuses_what_is_no_trace_in_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
