/* SPDX-License-Identifier: MIT */
/* Remote procedures: clients of the kernel's side call Strait, and Strait calls the kernel's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"
#include "kernel.h"
#include "program.h"
#include "transfer.h"

#define PORT         7000
#define OUTPUT_BYTES 4096

/* A shell command has to end with this status after just this output. */
static void expect(int expected_status, const char *expected, const char *command)
{
    char output[OUTPUT_BYTES];
    int status = run_command(output, sizeof(output), "%s", command);
    if (status != expected_status)
        fail_msg("%s: status %d instead of %d: %s", command, status, expected_status, output);
    assert_string_equal(output, expected);
}

static void send_all(int fd, const void *bytes, size_t length)
{
    assert_int_equal(send(fd, bytes, length, MSG_NOSIGNAL), (ssize_t)length);
}

/* Reads up to the end, which has to come behind these bytes. */
static void expect_bytes(int fd, const void *expected, size_t length)
{
    char bytes[64];
    size_t got = 0;
    ssize_t n;
    while ((n = recv(fd, bytes + got, sizeof(bytes) - got, 0)) > 0)
        got += (size_t)n;
    assert_int_equal(n, 0);
    assert_int_equal(got, length);
    assert_memory_equal(bytes, expected, length);
    close(fd);
}

/* ---- Strait serves ---- */

static void nc_calls(void **state)
{
    struct program *p = *state;
    program_start(p, NULL);
    expect(0, " 00 00 00 0d\n",
           "printf '\\0\\0\\0\\0\\0\\0\\0\\5' | timeout 20 nc -N " STRAIT_ADDRESS
           " 7000 | od -An -tx1");
    expect(0, " 00 00 00 01\n",
           "printf '\\0\\0\\0\\1\\0\\0\\0\\16\\0\\0\\0\\17' | timeout 20 nc -N " STRAIT_ADDRESS
           " 7000 | od -An -tx1");
    expect(0, "", "printf '\\0\\0\\0\\2' | timeout 20 nc " STRAIT_ADDRESS " 7000");
    program_stop(p, SIGTERM);
    assert_int_equal(program_counter(p, "rpc_results"), 2);
    assert_int_equal(program_counter(p, "rpc_unknown"), 1);
}

static void pythons_socket_calls(void **state)
{
    struct program *p = *state;
    program_start(p, NULL);
    expect(0, "(7919,)\n",
           "timeout 20 python3 -c '\n"
           "import socket, struct\n"
           "s = socket.create_connection((\"" STRAIT_ADDRESS "\", 7000))\n"
           "for byte in struct.pack(\"!II\", 0, 999): s.sendall(bytes([byte]))\n"
           "answer = b\"\"\n"
           "while piece := s.recv(1): answer += piece\n"
           "print(struct.unpack(\"!I\", answer))'");
    program_stop(p, SIGTERM);
}

static void the_command_calls_over_the_kernel_without_privilege(void **state)
{
    struct program *p = *state;
    static const char user[] = "timeout 20 setpriv --reuid=65534 --regid=65534 --clear-groups "
                               "--inh-caps=-all \"$STRAIT\" rpc call ";
    char command[512];
    program_start(p, NULL);
    snprintf(command, sizeof(command), "%s" STRAIT_ADDRESS ":7000 ith_prime 5", user);
    expect(0, "13\n", command);
    snprintf(command, sizeof(command), "%s" STRAIT_ADDRESS " is_coprime 14 21", user);
    expect(0, "0\n", command);
    snprintf(command, sizeof(command), "%s" STRAIT_ADDRESS " ith_prime 203280221", user);
    expect(1, "strait: ith_prime: unknown (unavailable)\n", command);
    snprintf(command, sizeof(command), "%s" STRAIT_ADDRESS ":7002 ith_prime 5", user);
    expect(1,
           "strait: ith_prime: not executed (unavailable): no connection: "
           "Connection refused\n",
           command);
    /* A server that says more than the result speaks of something else: gRPC. */
    snprintf(command, sizeof(command), "%s" STRAIT_ADDRESS ":7001 ith_prime 5 -w 1", user);
    expect(1, "strait: ith_prime: unknown (unavailable)\n", command);
    program_stop(p, SIGTERM);
}

/* The server is confined by then: libprimesieve works on a thread behind its filter. */
static void long_calls_run_beside_others_in_a_confined_server(void **state)
{
    struct program *p = *state;
    program_start(p, NULL);
    int slow[3];
    for (int i = 0; i < 3; i++) {
        slow[i] = kernel_connect(PORT);
        send_all(slow[i], "\0\0\0\0\x0c\x1d\xcf\x5c", 8); /* the last prime below 2^32 */
    }
    int quick = kernel_connect(PORT);
    uint64_t began_ms = now_ms();
    send_all(quick, "\0\0\0\0\0\0\0\5", 8);
    expect_bytes(quick, "\0\0\0\x0d", 4);
    uint64_t quick_ms = now_ms() - began_ms;
    for (int i = 0; i < 3; i++)
        expect_bytes(slow[i], "\xff\xff\xff\xfb", 4);
    assert_true(quick_ms < now_ms() - began_ms);
    program_stop(p, SIGTERM);
    assert_int_equal(program_counter(p, "rpc_results"), 4);
}

static void a_reset_by_the_kernel_cancels(void **state)
{
    struct program *p = *state;
    program_start(p, NULL);
    for (int i = 0; i < 4; i++) {
        int fd = kernel_connect(PORT);
        send_all(fd, "\0\0\0\0\x0c\x1d\xcf\x5c", 8);
        usleep(20000);
        kernel_close_by_reset(fd);
    }
    int fd = kernel_connect(PORT);
    send_all(fd, "\0\0\0\0\0\0\0\5", 8);
    expect_bytes(fd, "\0\0\0\x0d", 4);
    program_stop(p, SIGTERM);
    assert_int_equal(program_counter(p, "rpc_cancelled"), 4);
    assert_true(program_counter(p, "rpc_unheard") <= 2); /* those that ran */
}

#define SERVE_WITH(command)                                                                        \
    command                                                                                        \
        " >/tmp/strait-rpc.$$ 2>&1 & pid=$!; "                                                     \
        "for i in $(seq 200); do grep -qs serving /tmp/strait-rpc.$$ && break; sleep 0.05; done; "
#define SERVE SERVE_WITH("\"$STRAIT\" rpc serve -p 7700")
#define END                                                                                        \
    "; kill -TERM $pid; wait $pid; grep -E 'results|broken' /tmp/strait-rpc.$$; rm "               \
    "/tmp/strait-rpc.$$"

/* Confined, and asked by the program's other commands, as `serve` is. */
static void a_host_that_serves_nothing_else(void **state)
{
    (void)state;
    expect(0, "4294967291\nLISTEN *:7001\nLISTEN *:7002\nrpc_results 1\n",
           SERVE_WITH("exec " PLAIN_CLIENT(
               "rpc serve") "-p 7002") "timeout 20 \"$STRAIT\" rpc call " STRAIT_ADDRESS
                                       ":7002 ith_prime 203280220; "
                                       "timeout 20 \"$STRAIT\" stat --tun " DEVICE
                                       " --state listen | "
                                       "awk 'NR > 1 { print $2, $5 }' | sort" END);
}

/* ---- The kernel's sockets serve ---- */

static void the_same_service_runs_on_the_kernels_sockets(void **state)
{
    (void)state;
    expect(0, "13\n 00 00 00 0d\n15485863\nrpc_results 3\nrpc_requests_broken 1\n",
           SERVE "timeout 20 \"$STRAIT\" rpc call 127.0.0.1:7700 ith_prime 5; "
                 "printf '\\0\\0\\0\\0\\0\\0\\0\\5' | timeout 20 nc -N 127.0.0.1 7700 | "
                 "od -An -tx1; "
                 "timeout 20 \"$STRAIT\" rpc call 127.0.0.1:7700 ith_prime 999999; "
                 "printf '\\0\\0\\0\\0\\0' | timeout 20 nc -N 127.0.0.1 7700" END);
}

static void the_example_of_the_readme_serves(void **state)
{
    (void)state;
    expect(0, " 00 00 00 2a\n",
           "\"$EXAMPLE_RPC\" & pid=$!; "
           "for i in $(seq 200); do nc -z 127.0.0.1 7000 && break; sleep 0.05; done; "
           "printf '\\0\\0\\0\\0\\0\\0\\0\\50\\0\\0\\0\\2' | "
           "timeout 20 nc -N 127.0.0.1 7000 | od -An -tx1; kill $pid");
}

static void strait_calls_the_kernels_service(void **state)
{
    (void)state;
    expect(0, "13\nrpc_results 1\n",
           SERVE CLIENT("rpc call") KERNEL_ADDRESS ":7700 ith_prime 5" END);
}

static void the_bench_tells_its_speed(void **state)
{
    (void)state;
    expect(0, "2000 results\nrpc_results 2000\n",
           SERVE "timeout 50 \"$STRAIT\" rpc bench 127.0.0.1:7700 ith_prime 5 -n 2000 -c 8 | "
                 "grep -c '^[0-9]* calls/s; half of them took up to' | "
                 "sed 's/^1$/2000 results/'" END);
}

/* ---- Command lines ---- */

static void wrong_command_lines_are_refused(void **state)
{
    struct program *p = *state;
    static const struct {
        const char *said, *arguments[6];
    } wrong[] = {
        {"rpc is followed by", {"rpc", NULL}},
        {"rpc is followed by", {"rpc", "cal", NULL}},
        {"needs a host and a procedure", {"rpc", "call", "127.0.0.1", NULL}},
        {"no procedure \"prime\"", {"rpc", "call", "127.0.0.1", "prime", NULL}},
        {"takes 1 argument", {"rpc", "call", "127.0.0.1", "ith_prime", NULL}},
        {"takes 2 arguments", {"rpc", "call", "127.0.0.1", "is_coprime", "1", NULL}},
        {"a number from 0 to 4294967295",
         {"rpc", "call", "127.0.0.1", "ith_prime", "4294967296", NULL}},
        {"a port is a number", {"rpc", "call", "127.0.0.1:0", "ith_prime", "1", NULL}},
        {"--addr is missing", {"rpc", "serve", "--mtu", "1500", NULL}},
        {"--addr is missing", {"rpc", "serve", "-v", NULL}},
        {"-c 0", {"rpc", "bench", "-c", "0", NULL}},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        program_refuses(p, 0, 2, wrong[i].said, wrong[i].arguments);
}

static void the_list_tells_sizes_and_classes(void **state)
{
    (void)state;
    expect(0,
           "procedure      id  class      arguments  result\n"
           "ith_prime       0  pure             4 B     4 B\n"
           "is_coprime      1  pure             8 B     4 B\n",
           "\"$STRAIT\" rpc list");
}

int main(void)
{
#define RPC_TEST(name) cmocka_unit_test_setup_teardown(name, program_setup, program_teardown)
    const struct CMUnitTest tests[] = {
        RPC_TEST(nc_calls),
        RPC_TEST(pythons_socket_calls),
        RPC_TEST(the_command_calls_over_the_kernel_without_privilege),
        RPC_TEST(long_calls_run_beside_others_in_a_confined_server),
        RPC_TEST(a_reset_by_the_kernel_cancels),
        RPC_TEST(a_host_that_serves_nothing_else),
        RPC_TEST(the_same_service_runs_on_the_kernels_sockets),
        RPC_TEST(the_example_of_the_readme_serves),
        RPC_TEST(strait_calls_the_kernels_service),
        RPC_TEST(the_bench_tells_its_speed),
        RPC_TEST(wrong_command_lines_are_refused),
        RPC_TEST(the_list_tells_sizes_and_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
