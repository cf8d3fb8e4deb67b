/* SPDX-License-Identifier: MIT */
/* What the kernel sends to the echo service comes back: by size, MTU and offload. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernel.h"
#include "program.h"
#include "transfer.h"

/* Ends the program; on this lossless device it must not have sent anything twice. */
static void stop_without_retransmission(struct program *p)
{
    program_stop(p, SIGTERM);
    assert_int_equal(program_counter(p, "tcp_retransmitted_segments"), 0);
    assert_true(program_counter(p, "tcp_segments_in") > 0);
}

static void echo_sizes(struct program *p, unsigned mtu, const char *offload)
{
    char mtu_text[16];
    snprintf(mtu_text, sizeof(mtu_text), "%u", mtu);
    program_start(p, PATIENT, "--mtu", mtu_text, offload, NULL);

    /* 40 bytes of headers, 12 of timestamps: segments that are just full, and just not. */
    const uint64_t sizes[] = {
        1, 2, mtu - 53, mtu - 52, mtu - 51, mtu - 40, 65535, 65536, 1 * MB + 7, SCALED(10 * MB),
    };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        check_echo(mtu + i, sizes[i]);
    stop_without_retransmission(p);
}

#define ECHO_TESTS(X) X(576) X(1500) X(9000) X(65535)

#define ECHO_TEST(mtu)                                                                             \
    static void echo_of_all_sizes_at_mtu_##mtu(void **state)                                       \
    {                                                                                              \
        echo_sizes(*state, mtu, NULL);                                                             \
    }                                                                                              \
    static void echo_of_all_sizes_at_mtu_##mtu##_without_offload(void **state)                     \
    {                                                                                              \
        echo_sizes(*state, mtu, "--no-offload");                                                   \
    }
ECHO_TESTS(ECHO_TEST)

static void echo_of_100_megabytes_without_offload(void **state)
{
    program_start(*state, PATIENT, "--no-offload", NULL);
    check_echo(100, SCALED(100 * MB));
    stop_without_retransmission(*state);
}

static void echo_of_a_gigabyte(void **state)
{
    program_start(*state, PATIENT, NULL);
    uint64_t bytes = SCALED(1 * GB);
    uint64_t start = now_ms();
    check_echo(1000, bytes);
    uint64_t took_ms = now_ms() - start + 1;
    print_message("echo of %llu MB: %.2f Gbit/s each way\n", (unsigned long long)(bytes / MB),
                  (double)bytes * 8 / (double)took_ms / 1e6);
    stop_without_retransmission(*state);
}

int main(void)
{
#define ECHO_LISTED(mtu)                                                                           \
    cmocka_unit_test_setup_teardown(echo_of_all_sizes_at_mtu_##mtu, program_setup,                 \
                                    program_teardown),                                             \
        cmocka_unit_test_setup_teardown(echo_of_all_sizes_at_mtu_##mtu##_without_offload,          \
                                        program_setup, program_teardown),
    const struct CMUnitTest tests[] = {
        ECHO_TESTS(ECHO_LISTED) cmocka_unit_test_setup_teardown(
            echo_of_100_megabytes_without_offload, program_setup, program_teardown),
        cmocka_unit_test_setup_teardown(echo_of_a_gigabyte, program_setup, program_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
