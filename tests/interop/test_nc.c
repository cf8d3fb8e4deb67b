/* SPDX-License-Identifier: MIT */
/* `strait nc`, with sockets of the kernel at the other end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"
#include "transfer.h"

#define OUTPUT_BYTES 8192
#define PORT         5000

/* The client's status and all that it has said have to be these. */
static void expect_end(FILE *client, int expected_status, const char *expected)
{
    char output[OUTPUT_BYTES];
    int status = finish_command(client, output, sizeof(output));
    if (status != expected_status)
        fail_msg("status %d instead of %d: %s", status, expected_status, output);
    assert_string_equal(output, expected);
}

/* Reads from the client until the end, which has to be this. */
static void expect_text(int fd, const char *expected)
{
    char text[256];
    size_t length = 0;
    ssize_t n;
    while ((n = recv(fd, text + length, sizeof(text) - 1 - length, 0)) > 0)
        length += (size_t)n;
    assert_int_equal(n, 0);
    text[length] = '\0';
    assert_string_equal(text, expected);
}

static void send_text(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static int accept_client(int listener)
{
    int fd = accept(listener, NULL, NULL);
    if (fd < 0)
        fail_msg("no client has come: %m");
    close(listener);
    struct timeval limit = {.tv_sec = WAIT_MS / 1000};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)), 0);
    return fd;
}

/* ---- Streams --------------------------------------------------------------------------------- */

static void the_end_of_stdin_is_a_half_close(void **state)
{
    uint16_t port;
    int listener = client_peer(SOCK_STREAM, &port);
    (void)state;
    FILE *client = start_command("printf hello | " CLIENT("nc") KERNEL_ADDRESS " %u", port);
    int fd = accept_client(listener);
    expect_text(fd, "hello");
    usleep(100000);
    send_text(fd, "good");
    usleep(100000);
    send_text(fd, "bye");
    close(fd);
    expect_end(client, 0, "goodbye");
}

/* What the peer says after its half-close is not lost, and stdin goes on being sent. */
static void the_peer_may_finish_first(void **state)
{
    uint16_t port;
    int listener = client_peer(SOCK_STREAM, &port);
    (void)state;
    FILE *client =
        start_command("{ sleep 0.5; printf late; } | " CLIENT("nc") KERNEL_ADDRESS " %u", port);
    int fd = accept_client(listener);
    send_text(fd, "early");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    expect_text(fd, "late");
    close(fd);
    expect_end(client, 0, "early");
}

/* Sends back all that comes. */
static void echo(int fd)
{
    static char bytes[65536];
    ssize_t n;
    while ((n = recv(fd, bytes, sizeof(bytes), 0)) > 0)
        for (ssize_t done = 0, m; done < n; done += m)
            if ((m = send(fd, bytes + done, (size_t)(n - done), MSG_NOSIGNAL)) < 0)
                fail_msg("sending: %m");
    assert_int_equal(n, 0);
    close(fd);
}

/* Echoes a random file through the client, whose input is made by `input` out of its name. */
static void check_bulk(const char *input, const char *options, uint64_t bytes)
{
    char file[] = "/tmp/strait-nc.XXXXXX", output[OUTPUT_BYTES], original[OUTPUT_BYTES];
    char client_input[128];
    uint16_t port;
    int listener = client_peer(SOCK_STREAM, &port);
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    close(fd);
    snprintf(client_input, sizeof(client_input), input, file);
    assert_int_equal(run_command(original, sizeof(original),
                                 "head -c %llu /dev/urandom >%s; sha256sum <%s",
                                 (unsigned long long)bytes, file, file),
                     0);
    FILE *client = start_command("%s " CLIENT("nc") KERNEL_ADDRESS " %u %s | sha256sum",
                                 client_input, port, options);
    echo(accept_client(listener));
    int status = finish_command(client, output, sizeof(output));
    unlink(file);
    assert_int_equal(status, 0);
    assert_string_equal(output, original);
}

static void much_goes_both_ways_at_once(void **state)
{
    (void)state;
    check_bulk("cat %s |", "", SCALED(50 * MB));
    check_bulk("<%s", "", SCALED(50 * MB));
    check_bulk("<%s", "--no-offload", SCALED(20 * MB));
    check_bulk("<%s", "--no-offload --impair delay=2ms,loss=1%", 500 * KB);
}

/* Sends until nothing is taken for half a second. Returns how much was. */
static uint64_t fill(int fd)
{
    static char bytes[65536];
    uint64_t total = 0;
    struct timeval limit = {.tv_usec = 500000};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)), 0);
    for (ssize_t n; (n = send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL)) > 0; total += (uint64_t)n)
        if (total > 200 * MB)
            fail_msg("the client takes more than its reader");
    return total;
}

/* A megabyte in the client's window and what the kernel keeps of a sender are all that is taken. */
static void a_reader_that_sleeps_holds_up_the_peer(void **state)
{
    uint16_t port;
    char expected[32];
    int listener = client_peer(SOCK_STREAM, &port);
    int small = 65536;
    assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    (void)state;
    FILE *client = start_command(CLIENT("nc") KERNEL_ADDRESS " %u | { sleep 2; wc -c; }", port);
    int fd = accept_client(listener);
    uint64_t taken = fill(fd);
    assert_true(taken < 3 * MB);
    close(fd);
    snprintf(expected, sizeof(expected), "%llu\n", (unsigned long long)taken);
    expect_end(client, 0, expected);
}

/* The other way: a megabyte is the client's send buffer. */
static void a_peer_that_sleeps_holds_up_stdin(void **state)
{
    uint16_t port;
    char output[OUTPUT_BYTES];
    int listener = client_peer(SOCK_STREAM, &port);
    int small = 65536;
    assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    (void)state;
    FILE *client =
        start_command("timeout 1 cat /dev/zero | " CLIENT("nc") KERNEL_ADDRESS " %u", port);
    int fd = accept_client(listener);
    sleep(2);
    uint64_t taken = 0;
    static char bytes[65536];
    for (ssize_t n; (n = recv(fd, bytes, sizeof(bytes), 0)) > 0; taken += (uint64_t)n)
        ;
    close(fd);
    assert_int_equal(finish_command(client, output, sizeof(output)), 0);
    assert_true(taken > 1 * MB);
    assert_true(taken < 4 * MB);
}

static void a_client_listens(void **state)
{
    (void)state;
    FILE *client = start_command("printf welcome | " CLIENT("nc") "-l %u", PORT);
    int fd = client_connect(PORT);
    send_text(fd, "thanks");
    expect_text(fd, "welcome");
    close(fd);
    expect_end(client, 0, "thanks");
}

/* With -l it ends with its peer, whatever stdin does. */
static void a_listening_client_ends_with_its_peer(void **state)
{
    (void)state;
    FILE *client = start_command("sleep 5 | { " CLIENT("nc") "-l %u; echo $?; }", PORT);
    char line[16];
    int fd = client_connect(PORT);
    uint64_t start = now_ms();
    send_text(fd, "thanks");
    close(fd);
    assert_non_null(fgets(line, sizeof(line), client));
    assert_string_equal(line, "thanks0\n");
    assert_true(now_ms() < start + 3000);
    expect_end(client, 0, "");
}

/* ---- Datagrams ------------------------------------------------------------------------------- */

static void datagrams_go_both_ways_until_nothing_comes(void **state)
{
    uint16_t port;
    char text[64];
    struct sockaddr_in from;
    socklen_t length = sizeof(from);
    int fd = client_peer(SOCK_DGRAM, &port);
    (void)state;
    FILE *client =
        start_command("printf question | " CLIENT("nc") "-u -w 0.5 " KERNEL_ADDRESS " %u", port);
    assert_int_equal(recvfrom(fd, text, sizeof(text), 0, (struct sockaddr *)&from, &length), 8);
    assert_memory_equal(text, "question", 8);
    assert_int_equal(sendto(fd, "an", 2, 0, (struct sockaddr *)&from, length), 2);
    assert_int_equal(sendto(fd, "", 0, 0, (struct sockaddr *)&from, length), 0);
    assert_int_equal(sendto(fd, "swer", 4, 0, (struct sockaddr *)&from, length), 4);
    expect_end(client, 0, "answer");
    close(fd);
}

static void the_first_datagram_says_who_the_peer_is(void **state)
{
    char text[64];
    struct sockaddr_in to = address_of(STRAIT_ADDRESS, PORT);
    int fd = kernel_socket(SOCK_DGRAM);
    (void)state;
    FILE *client =
        start_command("{ sleep 0.5; printf answer; } | " CLIENT("nc") "-u -l %u -w 1", PORT);
    /* Until the client is there, there is no way to it, or the port is refused. */
    while (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0 || send(fd, "hello", 5, 0) != 5 ||
           recv(fd, text, sizeof(text), 0) != 6)
        usleep(10000);
    assert_memory_equal(text, "answer", 6);
    close(fd);
    char output[OUTPUT_BYTES];
    assert_int_equal(finish_command(client, output, sizeof(output)), 0);
    assert_memory_equal(output, "hello", 5);
}

/* ---- Failures -------------------------------------------------------------------------------- */

static void what_fails_is_status_1_and_one_line(void **state)
{
    (void)state;
    client_refuses("nc", 1, "10.7.0.1 port 9: Connection refused", "10.7.0.1 9");
    client_refuses("nc", 1, "timed out", "-w 0.3 10.7.0.77 9");
    client_refuses("nc", 1, "timed out", "-w 0.3 -l 9");
    client_refuses("nc", 1, "connection: Connection refused", "-u 10.7.0.1 9 </dev/zero");
    client_refuses("nc", 1, "stdin: Is a directory", "10.7.0.2 9 -u </tmp");
    client_refuses("nc", 1, "nowhere.invalid: ", "nowhere.invalid 9");
}

static void a_reset_is_told_after_what_came_before_it(void **state)
{
    uint16_t port;
    int listener = client_peer(SOCK_STREAM, &port);
    (void)state;
    FILE *client = start_command("sleep 5 | { " CLIENT("nc") KERNEL_ADDRESS " %u; exit; }", port);
    int fd = accept_client(listener);
    send_text(fd, "so far");
    usleep(200000);
    kernel_close_by_reset(fd);
    char output[OUTPUT_BYTES];
    finish_command(client, output, sizeof(output));
    assert_string_equal(output, "so farstrait: connection: Connection reset by peer\n");
}

static void the_end_of_stdout_is_told(void **state)
{
    uint16_t port;
    int listener = client_peer(SOCK_STREAM, &port);
    (void)state;
    FILE *client =
        start_command("{ " CLIENT("nc") KERNEL_ADDRESS " %u; echo $? >&2; } | true", port);
    int fd = accept_client(listener);
    usleep(200000);
    send_text(fd, "for nobody");
    expect_text(fd, "");
    close(fd);
    expect_end(client, 0, "strait: stdout: Broken pipe\n1\n");
}

static void wrong_command_lines_are_status_2_and_one_line(void **state)
{
    (void)state;
    client_refuses("nc", 2, "a host and a port", "");
    client_refuses("nc", 2, "a host and a port", "10.7.0.1");
    client_refuses("nc", 2, "unexpected \"8\"", "10.7.0.1 7 8");
    client_refuses("nc", 2, "-l needs a port", "-l 10.7.0.1 7");
    client_refuses("nc", 2, "0: a port is", "10.7.0.1 0");
    client_refuses("nc", 2, "65536: a port is", "-l 65536");
    client_refuses("nc", 2, "echo: a port is", "10.7.0.1 echo");
    client_refuses("nc", 2, "-w 0: must be", "-w 0 10.7.0.1 7");
    client_refuses("nc", 2, "-w needs a value; see strait nc --help", "10.7.0.1 7 -w");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_of_stdin_is_a_half_close),
        cmocka_unit_test(the_peer_may_finish_first),
        cmocka_unit_test(much_goes_both_ways_at_once),
        cmocka_unit_test(a_reader_that_sleeps_holds_up_the_peer),
        cmocka_unit_test(a_peer_that_sleeps_holds_up_stdin),
        cmocka_unit_test(a_client_listens),
        cmocka_unit_test(a_listening_client_ends_with_its_peer),
        cmocka_unit_test(datagrams_go_both_ways_until_nothing_comes),
        cmocka_unit_test(the_first_datagram_says_who_the_peer_is),
        cmocka_unit_test(what_fails_is_status_1_and_one_line),
        cmocka_unit_test(a_reset_is_told_after_what_came_before_it),
        cmocka_unit_test(the_end_of_stdout_is_told),
        cmocka_unit_test(wrong_command_lines_are_status_2_and_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
