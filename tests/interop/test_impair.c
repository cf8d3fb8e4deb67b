/* SPDX-License-Identifier: MIT */
/* A bad path between the kernel and Strait, made by the program itself: --impair. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel.h"
#include "program.h"
#include "transfer.h"

#define USAGE_STATUS 2

/* The shortest round trip of `ping -q`, whole milliseconds. */
static long shortest_ms(const char *output)
{
    const char *line = strstr(output, "rtt min/avg/max/mdev = ");
    if (line == NULL)
        fail_msg("no round trip: %s", output);
    else
        return strtol(line + strlen("rtt min/avg/max/mdev = "), NULL, 10);
    return -1;
}

static void a_delay_counts_on_both_ways(void **state)
{
    char output[2048];
    program_start(*state, "--impair", "delay=20ms", NULL);
    assert_non_null(strstr(program_errors(*state), "--impair: going on without offload"));
    int status = run_command(output, sizeof(output), "ping -n -q -c 5 -i 0.2 -W 5 " STRAIT_ADDRESS);
    assert_int_equal(status, 0);
    /* Twice 20 ms, and no sleep over a packet that is due: that would be many times more. */
    assert_in_range(shortest_ms(output), 40, 60);
    program_stop(*state, SIGTERM);
    assert_true(program_counter(*state, "impair_in_packets") >= 5);
    assert_true(program_counter(*state, "impair_out_packets") >= 5);
    assert_int_equal(program_counter(*state, "impair_out_lost"), 0);
}

static void what_is_echoed_over_a_bad_path_is_whole(void **state)
{
    struct transfer t;
    char error[200] = "";
    program_start(*state, "--impair", "loss=1%,delay=5ms,reorder=1%", NULL);
    int fd = kernel_connect(PORT_ECHO);
    transfer_init_echo(&t, fd, 7, 5 * MB);
    int result = transfer_run(&kernel_transport, &t, 1, 6 * WAIT_MS, error, sizeof(error));
    transfer_finish(&t);
    close(fd);
    if (result != 0)
        fail_msg("%s", error);
    program_stop(*state, SIGTERM);
    assert_true(program_counter(*state, "impair_in_lost") > 0);
    assert_true(program_counter(*state, "impair_out_lost") > 0);
    assert_true(program_counter(*state, "impair_in_reordered") > 0);
    assert_true(program_counter(*state, "tcp_retransmitted_segments") > 0);
}

/* RFC 3168: a marking queue in each direction holds both senders back, and loses nothing. */
/* Takes bytes of chargen, as many as there are to come; then the connection is over. */
static void take_characters(uint64_t bytes)
{
    char piece[65536];
    int fd = kernel_connect(PORT_CHARGEN);
    while (bytes > 0) {
        ssize_t n = recv(fd, piece, bytes < sizeof(piece) ? (size_t)bytes : sizeof(piece), 0);
        assert_true(n > 0);
        bytes -= (uint64_t)n;
    }
    kernel_close_by_reset(fd);
}

/* One way after the other: what comes in through a bottleneck does not fill the next one. */
static void marks_hold_strait_and_the_kernel_back(void **state)
{
    struct transfer t;
    char output[100], error[200] = "";
    assert_int_equal(run_command(output, sizeof(output), "echo 1 >/proc/sys/net/ipv4/tcp_ecn"), 0);
    program_start(*state, PATIENT, "--impair", "delay=5ms,rate=50mbit,queue=1mb,ecn=30kb", NULL);
    int fd = kernel_connect(PORT_DISCARD);
    transfer_init(&t, fd, 7, 5 * MB, 8, 0);
    int result = transfer_run(&kernel_transport, &t, 1, 6 * WAIT_MS, error, sizeof(error));
    transfer_finish(&t);
    assert_int_equal(kernel_retransmissions(fd), 0);
    close(fd);
    if (result != 0)
        fail_msg("%s", error);
    take_characters(5 * MB);
    program_stop(*state, SIGTERM);
    assert_true(program_counter(*state, "impair_in_marked") > 0);
    assert_true(program_counter(*state, "impair_out_marked") > 0);
    assert_true(program_counter(*state, "tcp_ecn_marks_in") > 0);
    assert_true(program_counter(*state, "tcp_ecn_reductions") > 0);
    assert_int_equal(program_counter(*state, "impair_out_queue_full"), 0);
    assert_int_equal(program_counter(*state, "tcp_retransmitted_segments"), 0);
}

static void a_wrong_impairment_is_a_wrong_command_line(void **state)
{
    static const char *const arguments[] = {"serve",    "--addr", STRAIT_NETWORK,
                                            "--impair", "loss=1", NULL};
    program_refuses(*state, 0, USAGE_STATUS, "--impair: loss \"1\": must be a percentage",
                    arguments);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, program_setup, program_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_delay_counts_on_both_ways),
        TEST(what_is_echoed_over_a_bad_path_is_whole),
        TEST(marks_hold_strait_and_the_kernel_back),
        TEST(a_wrong_impairment_is_a_wrong_command_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
