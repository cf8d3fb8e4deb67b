/* SPDX-License-Identifier: MIT */
/* libpcap watches while the two stacks talk: see wire.h for what it looks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kernel.h"
#include "program.h"
#include "transfer.h"
#include "wire.h"

static void echo_watched(struct program *p, unsigned mtu, uint64_t bytes)
{
    char mtu_text[16];
    snprintf(mtu_text, sizeof(mtu_text), "%u", mtu);
    program_start(p, PATIENT, "--no-offload", "--mtu", mtu_text, NULL);
    struct wire *wire = wire_open(mtu);
    check_echo(mtu, 1);
    check_echo(mtu, mtu);
    check_echo(mtu, bytes);
    /* Twice the bytes, in packets of at most the MTU, without counting acknowledgments. */
    assert_true(wire_check(wire) > 2 * bytes / mtu);
    wire_close(wire);
    program_stop(p, SIGTERM);
    assert_int_equal(program_counter(p, "tcp_retransmitted_segments"), 0);
}

static void the_wire_is_clean_at_mtu_576(void **state)
{
    echo_watched(*state, 576, SCALED(5 * MB));
}

static void the_wire_is_clean_at_mtu_1500(void **state)
{
    echo_watched(*state, 1500, SCALED(15 * MB));
}

static void the_wire_is_clean_at_mtu_9000(void **state)
{
    echo_watched(*state, 9000, SCALED(15 * MB));
}

static void the_wire_is_clean_at_mtu_65535(void **state)
{
    echo_watched(*state, 65535, SCALED(15 * MB));
}

static void the_wire_is_clean_with_ten_connections(void **state)
{
    struct transfer list[10];
    char error[200] = "";
    program_start(*state, PATIENT, "--no-offload", NULL);
    struct wire *wire = wire_open(1500);
    for (size_t i = 0; i < 10; i++)
        transfer_init_echo(&list[i], kernel_connect(PORT_ECHO), i, SCALED(1 * MB));
    int result = transfer_run(&kernel_transport, list, 10, 2 * WAIT_MS, error, sizeof(error));
    for (size_t i = 0; i < 10; i++) {
        transfer_finish(&list[i]);
        close(list[i].fd);
    }
    if (result != 0)
        fail_msg("%s", error);
    assert_true(wire_check(wire) > 0);
    wire_close(wire);
    program_stop(*state, SIGTERM);
}

/* The windows of both sides close, are probed, and open again. */
static void the_wire_is_clean_while_a_reader_sleeps(void **state)
{
    struct transfer t;
    char error[200] = "";
    program_start(*state, "--no-offload", NULL);
    struct wire *wire = wire_open(1500);
    int fd = kernel_connect(PORT_ECHO);
    transfer_init_echo(&t, fd, 5, 20 * MB);
    assert_int_equal(transfer_fill(&kernel_transport, &t, 300), 0);
    assert_true(t.sent < t.send_bytes);
    assert_int_equal(poll(NULL, 0, 3000), 0);
    int result = transfer_run(&kernel_transport, &t, 1, 3 * WAIT_MS, error, sizeof(error));
    transfer_finish(&t);
    close(fd);
    if (result != 0)
        fail_msg("%s", error);
    assert_true(wire_check(wire) > 0);
    wire_close(wire);
    program_stop(*state, SIGTERM);
    assert_true(program_counter(*state, "tcp_window_probes") > 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, program_setup, program_teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_wire_is_clean_at_mtu_576),           TEST(the_wire_is_clean_at_mtu_1500),
        TEST(the_wire_is_clean_at_mtu_9000),          TEST(the_wire_is_clean_at_mtu_65535),
        TEST(the_wire_is_clean_with_ten_connections), TEST(the_wire_is_clean_while_a_reader_sleeps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
