/* SPDX-License-Identifier: MIT */
/*
 * `strait serve --queues 2`: one host on two queues and two threads. Whatever the kernel sends
 * comes to the thread that it belongs to, or is handed over; and nothing that it can see tells it
 * that there are two.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel.h"
#include "program.h"
#include "transfer.h"

#define CONNECTIONS 32

/* Whether the kernel lets the program steer; says it where not. */
static bool has_two_queues(struct program *p)
{
    if (strstr(program_errors(p), "strait: 2 queues"))
        return true;
    print_message("skipped: %s", program_errors(p));
    return false;
}

/* Starts it with two queues; skips the test where there cannot be two. */
static struct program *start_shards(void **state, const char *option, const char *value)
{
    struct program *p = *state;
    program_start(p, "--queues", "2", option, value, NULL);
    if (!has_two_queues(p))
        skip();
    return p;
}

/* It has ended: nothing has come to the wrong queue, and none had all. */
static void check_sharing(const struct program *p, const char *shared)
{
    char name[64];
    assert_int_equal(program_counter(p, "shard_strays"), 0);
    assert_int_equal(program_counter(p, "shard_hand_over_failed"), 0);
    uint64_t sum = 0;
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof(name), "%s[%d]", shared, i);
        assert_true(program_counter(p, name) > 0);
        sum += program_counter(p, name);
    }
    assert_int_equal(program_counter(p, shared), sum);
}

static void stop_shards(struct program *p, const char *shared)
{
    program_stop(p, SIGTERM);
    check_sharing(p, shared);
}

/* ---- Under load ------------------------------------------------------------------------------ */

static void echo_over_many_connections(uint64_t bytes)
{
    struct transfer transfers[CONNECTIONS];
    char error[256];
    for (size_t i = 0; i < CONNECTIONS; i++)
        transfer_init_echo(&transfers[i], kernel_connect(PORT_ECHO), i, bytes);
    if (transfer_run(&kernel_transport, transfers, CONNECTIONS, 30000, error, sizeof(error)) != 0)
        fail_msg("%s", error);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        transfer_finish(&transfers[i]);
        close(transfers[i].fd);
    }
}

static void every_connection_has_its_shard_under_load(void **state)
{
    struct program *p = start_shards(state, NULL, NULL);
    for (int i = 0; i < 3; i++)
        echo_over_many_connections(SCALED(2 * MB));
    stop_shards(p, "tcp_connections_accepted");
    assert_int_equal(program_counter(p, "tcp_connections_accepted"), 3 * CONNECTIONS);
    assert_int_equal(program_counter(p, "tcp_resets_out"), 0);
    assert_int_equal(program_counter(p, "tcp_no_connection"), 0);
}

static void so_it_is_without_offload(void **state)
{
    struct program *p = start_shards(state, "--no-offload", NULL);
    echo_over_many_connections(SCALED(1 * MB));
    stop_shards(p, "tcp_connections_accepted");
    assert_int_equal(program_counter(p, "tcp_no_connection"), 0);
}

static void shards_with_cookies_alone_know_their_own_rfc4987_3_6(void **state)
{
    struct program *p = start_shards(state, "--set", "tcp.syn_cookies=always");
    echo_over_many_connections(100 * KB);
    stop_shards(p, "tcp_cookies_accepted");
    assert_int_equal(program_counter(p, "tcp_cookies_accepted"), CONNECTIONS);
    assert_int_equal(program_counter(p, "tcp_cookies_wrong"), 0);
}

/* ---- What is handed over --------------------------------------------------------------------- */

static void check_udp_echo(size_t size)
{
    static uint8_t out[65507], in[sizeof(out) + 1];
    const struct sockaddr_in to = address_of(STRAIT_ADDRESS, PORT_ECHO);
    int fd = kernel_socket(SOCK_DGRAM);
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(size + i * 7 + i / 256);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(send(fd, out, size, 0), (ssize_t)size);
    assert_int_equal(recv(fd, in, sizeof(in), 0), (ssize_t)size);
    assert_memory_equal(in, out, size);
    close(fd);
}

static void a_datagram_in_fragments_comes_to_the_shard_of_its_ports(void **state)
{
    struct program *p = start_shards(state, NULL, NULL);
    for (size_t i = 0; i < 40; i++)
        check_udp_echo(2000 + i * 1600);
    stop_shards(p, "udp_datagrams_in");
    assert_int_equal(program_counter(p, "udp_datagrams_in"), 40);
    assert_int_equal(program_counter(p, "ip_reassembled"), 40);
    /* The fragments meet in one shard, and those of the other's ports are handed over. */
    uint64_t first = program_counter(p, "udp_datagrams_in[0]");
    uint64_t met = program_counter(p, "ip_reassembled[0]");
    assert_true(met == 0 || met == 40);
    assert_int_equal(program_counter(p, "shard_handed_over"), met == 40 ? 40 - first : first);
}

static void pings_are_answered_by_either(void **state)
{
    struct program *p = start_shards(state, NULL, NULL);
    char output[4096];
    int status = run_command(output, sizeof(output),
                             "ping -n -q -c 20 -i 0.01 -w 20 " STRAIT_ADDRESS
                             " && ping -n -q -c 20 -i 0.01 -w 20 -s 65507 " STRAIT_ADDRESS);
    if (status != 0)
        fail_msg("%s", output);
    program_stop(p, SIGTERM);
    assert_int_equal(program_counter(p, "icmp_echo_answered"), 40);
    assert_int_equal(program_counter(p, "shard_strays"), 0);
}

/* ---- The program around them ----------------------------------------------------------------- */

/* Every line is whole: `wrk` says how many there are to be, at least. */
static void the_access_log_is_written_line_by_line(void **state)
{
    char file[] = "/tmp/strait-access.XXXXXX", output[4096];
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    close(fd);
    struct program *p = start_shards(state, "--access-log", file);
    int status = run_command(output, sizeof(output),
                             "for i in $(seq 20); do for j in $(seq 10); do "
                             "curl -sS -o /dev/null --max-time 20 http://" STRAIT_ADDRESS
                             "/ http://" STRAIT_ADDRESS "/ & done; wait; done");
    if (status != 0)
        fail_msg("%s", output);
    stop_shards(p, "tcp_connections_accepted");
    status =
        run_command(output, sizeof(output),
                    "grep -cx '" KERNEL_ADDRESS " - - \\[[^]]*\\] \"GET / HTTP/1.1\" 200 .*\"' "
                    "%s; wc -l <%s",
                    file, file);
    unlink(file);
    assert_int_equal(status, 0);
    assert_string_equal(output, "400\n400\n");
}

/* Each thread has its processor, where there are two, and is confined as the first. */
static void all_threads_are_confined(void **state)
{
    char output[4096];
    struct program *p = start_shards(state, NULL, NULL);
    check_echo(1, 1000);
    int status = run_command(output, sizeof(output),
                             "cd /proc/%d/task && cat */status | grep -c '^Seccomp:.*2$' && "
                             "cat */status | grep -c '^CapEff:.*0000000000000000$' && ls | wc -l",
                             program_pid(p));
    assert_int_equal(status, 0);
    int confined, bare, threads;
    assert_int_equal(sscanf(output, "%d %d %d", &confined, &bare, &threads), 3);
    assert_true(threads >= 2);
    assert_int_equal(confined, threads);
    assert_int_equal(bare, threads);
    if (sysconf(_SC_NPROCESSORS_ONLN) >= 2) {
        status = run_command(output, sizeof(output),
                             "cat /proc/%d/task/*/status | grep Cpus_allowed_list | sort -u | "
                             "wc -l",
                             program_pid(p));
        assert_int_equal(status, 0);
        assert_true(atoi(output) >= 2);
    }
    program_stop(p, SIGINT);
}

/* They get the end of their data, and their FIN is acknowledged, whichever thread they are on. */
static void a_signal_ends_the_connections_of_all_shards_in_order(void **state)
{
    int fds[CONNECTIONS];
    char byte = 'x';
    struct program *p = start_shards(state, NULL, NULL);
    for (int i = 0; i < CONNECTIONS; i++) {
        fds[i] = kernel_connect(PORT_ECHO);
        assert_int_equal(send(fds[i], &byte, 1, 0), 1);
        assert_int_equal(recv(fds[i], &byte, 1, 0), 1);
    }
    uint64_t started = now_ms();
    assert_int_equal(kill(program_pid(p), SIGTERM), 0);
    for (int i = 0; i < CONNECTIONS; i++) {
        assert_int_equal(recv(fds[i], &byte, 1, 0), 0);
        close(fds[i]);
    }
    program_ends(p, 0);
    assert_true(now_ms() - started < 2000);
    check_sharing(p, "tcp_connections_accepted");
    assert_int_equal(program_counter(p, "tcp_resets_out"), 0);
}

static void a_second_signal_ends_all_shards_at_once(void **state)
{
    int fds[CONNECTIONS];
    struct program *p = start_shards(state, NULL, NULL);
    for (int i = 0; i < CONNECTIONS; i++) /* whose FINs do not come */
        fds[i] = kernel_connect(PORT_DISCARD);
    uint64_t started = now_ms();
    assert_int_equal(kill(program_pid(p), SIGTERM), 0);
    usleep(100000);
    program_stop(p, SIGTERM);
    assert_true(now_ms() - started < 1500);
    for (int i = 0; i < CONNECTIONS; i++)
        close(fds[i]);
}

static void a_device_that_goes_ends_all_shards_with_a_line(void **state)
{
    char output[1024];
    struct program *p = start_shards(state, NULL, NULL);
    assert_int_equal(run_command(output, sizeof(output), "ip link delete " DEVICE), 0);
    program_ends(p, 1);
    assert_non_null(strstr(program_errors(p), DEVICE " has failed"));
}

static void shell(const char *line)
{
    char output[1024];
    if (run_command(output, sizeof(output), "%s", line) != 0)
        fail_msg("%s: %s", line, output);
}

static void an_ordinary_persistent_device_is_served_by_one_queue(void **state)
{
    shell("ip tuntap add " DEVICE " mode tun");
    program_start(*state, "--queues", "2", NULL);
    const char *said = program_errors(*state);
    assert_non_null(strstr(said, "made for one queue: going on with one"));
    assert_null(strstr(said, "2 queues"));
    check_echo(1, 1 * MB);
    program_stop(*state, SIGTERM);
    assert_int_equal(program_counter(*state, "tcp_connections_accepted"), 1);
    assert_int_equal(program_counter(*state, "tcp_connections_accepted[0]"), 0);
    shell("ip link delete " DEVICE);
}

static void what_cannot_go_together_is_refused_in_one_line(void **state)
{
#define ORDINARY "serve", "--tun", DEVICE, "--addr", STRAIT_NETWORK, "--queues"
    static const struct {
        const char *expected;
        const char *const arguments[12];
    } cases[] = {
        {"--queues 0", {ORDINARY, "0", NULL}},
        {"--queues 33", {ORDINARY, "33", NULL}},
        {"--queues two", {ORDINARY, "two", NULL}},
        {"--capture", {ORDINARY, "2", "--capture", "/dev/null", NULL}},
        {"--trace", {ORDINARY, "2", "--trace", "/dev/null", NULL}},
        {"--control", {ORDINARY, "2", "--control", "/run/strait-control", NULL}},
        {"--impair", {ORDINARY, "2", "--impair", "loss=1%", NULL}},
        {"ip.local_ports", {ORDINARY, "3", "--set", "ip.local_ports=5000-5001", NULL}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        program_refuses(*state, 0, 2, cases[i].expected, cases[i].arguments);
    assert_int_equal(if_nametoindex(DEVICE), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, program_setup, program_teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_connection_has_its_shard_under_load),
        TEST(so_it_is_without_offload),
        TEST(shards_with_cookies_alone_know_their_own_rfc4987_3_6),
        TEST(a_datagram_in_fragments_comes_to_the_shard_of_its_ports),
        TEST(pings_are_answered_by_either),
        TEST(the_access_log_is_written_line_by_line),
        TEST(all_threads_are_confined),
        TEST(a_signal_ends_the_connections_of_all_shards_in_order),
        TEST(a_second_signal_ends_all_shards_at_once),
        TEST(a_device_that_goes_ends_all_shards_with_a_line),
        TEST(an_ordinary_persistent_device_is_served_by_one_queue),
        TEST(what_cannot_go_together_is_refused_in_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
