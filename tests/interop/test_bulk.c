/* SPDX-License-Identifier: MIT */
/*
 * Bulk transfer with offload, one direction at a time: nothing is lost on a TUN device, so nothing
 * may be sent twice. The speed is printed; it is only asserted to be no toy's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel.h"
#include "program.h"
#include "transfer.h"

#define BULK_BYTES  SCALED(2 * GB)
#define PIECE_BYTES ((size_t)1 << 18)
#define GBITS_MIN   2.0

static double report(const char *what, uint64_t start_ms)
{
    double gbits = (double)BULK_BYTES * 8 / (double)(now_ms() - start_ms + 1) / 1e6;
    print_message("%s: %.2f Gbit/s\n", what, gbits);
    return gbits;
}

static void bulk_into_strait_loses_nothing(void **state)
{
    char *piece = calloc(1, PIECE_BYTES);
    assert_non_null(piece);
    program_start(*state, PATIENT, NULL);
    int fd = kernel_connect(PORT_DISCARD);
    uint64_t start = now_ms();
    for (uint64_t sent = 0; sent < BULK_BYTES;) {
        ssize_t n = send(fd, piece, PIECE_BYTES, MSG_NOSIGNAL);
        assert_true(n > 0);
        sent += (uint64_t)n;
    }
    /* Its end comes once all has been read. */
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_int_equal(recv(fd, piece, 1, 0), 0);
    double gbits = report("into Strait", start);
    assert_int_equal(kernel_retransmissions(fd), 0);
    close(fd);
    free(piece);
    program_stop(*state, SIGTERM);
    assert_int_equal(program_counter(*state, "tcp_retransmitted_segments"), 0);
    assert_true(program_counter(*state, "link_bytes_in") > BULK_BYTES);
    assert_true(SANITIZED || gbits > GBITS_MIN);
}

static void bulk_out_of_strait_loses_nothing(void **state)
{
    char *piece = malloc(PIECE_BYTES);
    assert_non_null(piece);
    program_start(*state, PATIENT, NULL);
    int fd = kernel_connect(PORT_CHARGEN);
    uint64_t start = now_ms();
    for (uint64_t received = 0; received < BULK_BYTES;) {
        ssize_t n = recv(fd, piece, PIECE_BYTES, 0);
        assert_true(n > 0);
        received += (uint64_t)n;
    }
    double gbits = report("out of Strait", start);
    assert_int_equal(kernel_retransmissions(fd), 0);
    kernel_close_by_reset(fd);
    free(piece);
    program_stop(*state, SIGTERM);
    assert_int_equal(program_counter(*state, "tcp_retransmitted_segments"), 0);
    assert_true(program_counter(*state, "link_bytes_out") > BULK_BYTES);
    assert_true(SANITIZED || gbits > GBITS_MIN);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, program_setup, program_teardown)
    const struct CMUnitTest tests[] = {
        TEST(bulk_into_strait_loses_nothing),
        TEST(bulk_out_of_strait_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
