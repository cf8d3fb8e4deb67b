/* SPDX-License-Identifier: MIT */
/* Many connections at once, and the ways in which one ends: in halves, by a reset, after a sleep.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel.h"
#include "program.h"
#include "transfer.h"

/* ---- Many ---------------------------------------------------------------------------------- */

/* Returns how many segments the kernel has retransmitted. */
static uint32_t echo_on_connections(size_t count, uint64_t bytes)
{
    uint32_t retransmissions = 0;
    struct transfer *list = calloc(count, sizeof(*list));
    char error[200] = "";
    assert_non_null(list);
    for (size_t i = 0; i < count; i++)
        transfer_init_echo(&list[i], kernel_connect(PORT_ECHO), i, bytes + i);
    int result = transfer_run(&kernel_transport, list, count, 4 * WAIT_MS, error, sizeof(error));
    for (size_t i = 0; i < count; i++) {
        retransmissions += kernel_retransmissions(list[i].fd);
        close(list[i].fd);
        transfer_finish(&list[i]);
    }
    free(list);
    if (result != 0)
        fail_msg("%zu connections: %s", count, error);
    return retransmissions;
}

static void ten_connections_at_once(void **state)
{
    program_start(*state, PATIENT, NULL);
    assert_int_equal(echo_on_connections(10, SCALED(10 * MB)), 0);
    program_stop(*state, SIGTERM);
    assert_int_equal(program_counter(*state, "tcp_connections_accepted"), 10);
    assert_int_equal(program_counter(*state, "tcp_retransmitted_segments"), 0);
}

static void two_hundred_connections_at_once(void **state)
{
    program_start(*state, PATIENT, NULL);
    assert_int_equal(echo_on_connections(200, SCALED(1 * MB)), 0);
    program_stop(*state, SIGTERM);
    assert_int_equal(program_counter(*state, "tcp_connections_accepted"), 200);
    assert_int_equal(program_counter(*state, "tcp_retransmitted_segments"), 0);
}

/* So many small packets at once may overflow the device's queue: what is lost comes again. */
static void two_hundred_connections_at_once_without_offload(void **state)
{
    program_start(*state, "--no-offload", NULL);
    echo_on_connections(200, SCALED(300 * KB));
    program_stop(*state, SIGTERM);
    assert_int_equal(program_counter(*state, "tcp_connections_accepted"), 200);
}

static void five_hundred_connections_one_after_the_other(void **state)
{
    program_start(*state, NULL);
    for (uint64_t i = 0; i < 500; i++)
        check_echo(i, 1 + i);
    program_stop(*state, SIGTERM);
    assert_int_equal(program_counter(*state, "tcp_connections_accepted"), 500);
}

/* ---- Halves -------------------------------------------------------------------------------- */

/* Reads until the end of the stream or `limit` bytes; returns how many, or -1 with errno. */
static int64_t read_away(int fd, uint64_t limit)
{
    static const size_t piece = 65536;
    char bytes[65536];
    uint64_t total = 0;
    while (total < limit) {
        size_t want = limit - total < piece ? (size_t)(limit - total) : piece;
        ssize_t n = recv(fd, bytes, want, 0);
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        total += (uint64_t)n;
    }
    return (int64_t)total;
}

static void send_all(int fd, const void *bytes, size_t length)
{
    assert_int_equal(send(fd, bytes, length, MSG_NOSIGNAL), (ssize_t)length);
}

/* RFC 9293 3.6, case 2: having received a FIN, a side goes on sending. */
static void echo_still_comes_after_the_client_has_finished(void **state)
{
    static const char text[10000] = "ten thousand bytes, of which most are zero";
    char back[sizeof(text)];
    program_start(*state, NULL);
    int fd = kernel_connect(PORT_ECHO);
    send_all(fd, text, sizeof(text));
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_int_equal(recv(fd, back, sizeof(back), MSG_WAITALL), (ssize_t)sizeof(back));
    assert_memory_equal(back, text, sizeof(text));
    assert_int_equal(recv(fd, back, sizeof(back), 0), 0);
    close(fd);
    program_stop(*state, SIGTERM);
    assert_int_equal(program_counter(*state, "tcp_resets_out"), 0);
}

static void discard_answers_the_end_with_its_own(void **state)
{
    char byte;
    program_start(*state, NULL);
    int fd = kernel_connect(PORT_DISCARD);
    send_all(fd, "all of this is thrown away", 26);
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
    program_stop(*state, SIGTERM);
    assert_int_equal(program_counter(*state, "tcp_resets_out"), 0);
}

/* RFC 864's pattern: line n shows 72 of the 95 printing characters, from the n-th on. */
static char chargen_expected(uint64_t position)
{
    uint64_t line = position / 74, column = position % 74;
    if (column >= 72)
        return column == 72 ? '\r' : '\n';
    return (char)(' ' + (line + column) % 95);
}

static void chargen_goes_on_after_the_client_has_finished(void **state)
{
    char bytes[10000];
    program_start(*state, NULL);
    int fd = kernel_connect(PORT_CHARGEN);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    for (uint64_t position = 0; position < SCALED(5 * MB); position += sizeof(bytes)) {
        assert_int_equal(recv(fd, bytes, sizeof(bytes), MSG_WAITALL), (ssize_t)sizeof(bytes));
        for (uint64_t i = 0; i < sizeof(bytes); i++)
            if (bytes[i] != chargen_expected(position + i))
                fail_msg("byte %llu differs", (unsigned long long)(position + i));
    }
    /* The kernel resets what still arrives for a closed socket. */
    close(fd);
    check_echo(1, 100 * KB);
    program_stop(*state, SIGTERM);
    assert_true(program_counter(*state, "tcp_resets_in") > 0);
}

/* ---- Resets -------------------------------------------------------------------------------- */

static void resets_by_the_client_leave_the_server_well(void **state)
{
    char bytes[100000] = {0};
    program_start(*state, NULL);
    for (int i = 0; i < 20; i++) {
        int echo = kernel_connect(PORT_ECHO), chargen = kernel_connect(PORT_CHARGEN);
        int idle = kernel_connect(PORT_DISCARD);
        send_all(echo, bytes, sizeof(bytes));
        assert_true(read_away(chargen, 100 * KB) > 0);
        kernel_close_by_reset(echo);
        kernel_close_by_reset(chargen);
        kernel_close_by_reset(idle);
    }
    check_echo(2, 1 * MB);
    program_stop(*state, SIGTERM);
    assert_true(program_counter(*state, "tcp_resets_in") >= 60);
}

/* RFC 9293 3.10.7.1 */
static void a_closed_port_refuses(void **state)
{
    program_start(*state, NULL);
    int fd = kernel_socket(SOCK_STREAM);
    struct sockaddr_in to = address_of(STRAIT_ADDRESS, 6);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(fd);
    program_stop(*state, SIGTERM);
    assert_int_equal(program_counter(*state, "tcp_resets_out"), 1);
    assert_int_equal(program_counter(*state, "tcp_no_connection"), 1);
}

static void ending_the_program_ends_its_connections_in_order(void **state)
{
    char byte;
    program_start(*state, NULL);
    int echo = kernel_connect(PORT_ECHO), web = kernel_connect(PORT_HTTP);
    send_all(echo, "x", 1);
    assert_int_equal(recv(echo, &byte, 1, 0), 1);
    /* The clients follow once they have been told; the program waits for them. */
    struct pollfd fds[] = {{.fd = echo, .events = POLLIN}, {.fd = web, .events = POLLIN}};
    pid_t follower = fork();
    assert_true(follower >= 0);
    if (follower == 0) {
        for (int i = 0; i < 2; i++)
            if (poll(&fds[i], 1, WAIT_MS) != 1 || recv(fds[i].fd, &byte, 1, 0) != 0 ||
                shutdown(fds[i].fd, SHUT_WR) != 0)
                _exit(1);
        _exit(0);
    }
    program_stop(*state, SIGINT);
    int status;
    assert_int_equal(waitpid(follower, &status, 0), follower);
    assert_int_equal(status, 0);
    assert_int_equal(program_counter(*state, "tcp_resets_out"), 0);
    close(echo);
    close(web);
}

/* ---- Sleep --------------------------------------------------------------------------------- */

/* Both directions fill up to zero windows, stay so for a while, and then everything flows. */
static void sleep_and_wake(void)
{
    char error[200] = "";
    struct transfer t;
    int fd = kernel_connect(PORT_ECHO);
    transfer_init_echo(&t, fd, 3, SCALED(200 * MB));
    assert_int_equal(transfer_fill(&kernel_transport, &t, 500), 0);
    assert_true(t.sent < t.send_bytes);
    assert_int_equal(poll(NULL, 0, 4000), 0);
    if (transfer_run(&kernel_transport, &t, 1, 6 * WAIT_MS, error, sizeof(error)) != 0)
        fail_msg("%s", error);
    transfer_finish(&t);
    close(fd);
}

static void a_reader_that_sleeps_gets_everything(void **state)
{
    program_start(*state, NULL);
    sleep_and_wake();
    program_stop(*state, SIGTERM);
    assert_true(program_counter(*state, "tcp_window_probes") > 0);
}

static void a_reader_that_sleeps_gets_everything_without_offload(void **state)
{
    program_start(*state, "--no-offload", NULL);
    sleep_and_wake();
    program_stop(*state, SIGTERM);
    assert_true(program_counter(*state, "tcp_window_probes") > 0);
}

/* A reader of one byte at a time must not be fed one byte at a time (RFC 9293 3.8.6.2.1). */
static void a_slow_reader_gets_full_segments(void **state)
{
    char byte;
    program_start(*state, "--no-offload", NULL);
    int fd = kernel_socket(SOCK_STREAM);
    int small = 4096;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    struct sockaddr_in to = address_of(STRAIT_ADDRESS, PORT_CHARGEN);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    for (uint64_t i = 0; i < 100 * KB; i++) {
        assert_int_equal(recv(fd, &byte, 1, 0), 1);
        assert_int_equal(byte, chargen_expected(i));
    }
    kernel_close_by_reset(fd);
    program_stop(*state, SIGTERM);
    /* Full segments would be fewer than 100; a hundred thousand would be the silly window. */
    assert_true(program_counter(*state, "tcp_segments_out") < 1000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, program_setup, program_teardown)
    const struct CMUnitTest tests[] = {
        TEST(ten_connections_at_once),
        TEST(two_hundred_connections_at_once),
        TEST(two_hundred_connections_at_once_without_offload),
        TEST(five_hundred_connections_one_after_the_other),
        TEST(echo_still_comes_after_the_client_has_finished),
        TEST(discard_answers_the_end_with_its_own),
        TEST(chargen_goes_on_after_the_client_has_finished),
        TEST(resets_by_the_client_leave_the_server_well),
        TEST(a_closed_port_refuses),
        TEST(ending_the_program_ends_its_connections_in_order),
        TEST(a_reader_that_sleeps_gets_everything),
        TEST(a_reader_that_sleeps_gets_everything_without_offload),
        TEST(a_slow_reader_gets_full_segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
