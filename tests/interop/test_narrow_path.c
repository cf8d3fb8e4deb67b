/* SPDX-License-Identifier: MIT */
/*
 * A path that is narrower than both its ends: Strait's TUN carries 1500 bytes, the kernel behind it
 * forwards by a route of 600, and the client at the far end takes 1500 again, so that nothing but
 * an ICMP message tells Strait of it (RFC 1191).
 *
 *     Strait 10.7.0.2 -- 1500 -- 10.7.0.1 kernel 10.9.0.1 -- 600 -> 10.9.0.2 client
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel.h"
#include "program.h"
#include "transfer.h"

#define BYTES    SCALED(20 * MB)
#define LOST_MAX 50 /* datagrams */

/* The client's network namespace lives as long as one of these is open, or a socket made in it. */
struct place {
    int here, there; /* descriptors of the two namespaces */
};

static void command(const char *line)
{
    char output[1024];
    if (run_command(output, sizeof(output), "%s", line) != 0)
        fail_msg("%s: %s", line, output);
}

static struct place make_narrow_path(void)
{
    struct place p;
    char line[200];

    p.here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    assert_int_equal(unshare(CLONE_NEWNET), 0);
    p.there = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    assert_true(p.here >= 0 && p.there >= 0);
    assert_int_equal(setns(p.here, CLONE_NEWNET), 0);
    snprintf(line, sizeof(line), "ip link add near type veth peer name far netns /proc/%d/fd/%d",
             (int)getpid(), p.there);
    command(line);
    /* Narrow in one direction only: a device with an MTU of 600 would take no more in, either. */
    command("ip addr add 10.9.0.1/24 dev near && ip link set near up &&"
            "ip route replace 10.9.0.0/24 dev near mtu lock 600 &&"
            "sysctl -qw net.ipv4.ip_forward=1");
    assert_int_equal(setns(p.there, CLONE_NEWNET), 0);
    command("ip addr add 10.9.0.2/24 dev far && ip link set far up &&"
            "ip route add default via 10.9.0.1");
    assert_int_equal(setns(p.here, CLONE_NEWNET), 0);
    return p;
}

static void end_narrow_path(struct place *p)
{
    command("ip link del near");
    close(p->here);
    close(p->there);
}

/* A connection of the client at the far end. */
static int connect_from(const struct place *p, uint16_t port)
{
    assert_int_equal(setns(p->there, CLONE_NEWNET), 0);
    int fd = kernel_connect(port);
    assert_int_equal(setns(p->here, CLONE_NEWNET), 0);
    return fd;
}

static void echo(const struct place *p, uint64_t seed)
{
    char error[200] = "";
    struct transfer t;
    int fd = connect_from(p, PORT_ECHO);

    transfer_init_echo(&t, fd, seed, BYTES);
    if (transfer_run(&kernel_transport, &t, 1, 2 * WAIT_MS, error, sizeof(error)) != 0)
        fail_msg("over the narrow path: %s", error);
    transfer_finish(&t);
    close(fd);
}

static void check_narrow_path(struct program *program, const char *option)
{
    program_start(program, option, NULL);
    struct place p = make_narrow_path();
    echo(&p, 1);
    echo(&p, 2); /* the second knows the path from its beginning */
    end_narrow_path(&p);
    program_stop(program, SIGTERM);
    assert_int_equal(program_counter(program, "ip_path_lowered"), 1);
    assert_int_equal(program_counter(program, "tcp_retransmission_timeouts"), 0);
}

static void a_stream_gets_through_a_narrow_path_rfc1191(void **state)
{
    check_narrow_path(*state, "--no-offload");
}

static void super_packets_get_through_a_narrow_path_rfc1191(void **state)
{
    check_narrow_path(*state, NULL);
}

/* The replies are too long for the path, and what they reply to is not. */
static void pings_get_through_a_narrow_path(void **state)
{
    struct program *program = *state;
    program_start(program, NULL);
    struct place p = make_narrow_path();
    assert_int_equal(setns(p.there, CLONE_NEWNET), 0);
    command("timeout 10 ping -q -c 5 -i 0.01 -s 1400 " STRAIT_ADDRESS);
    assert_int_equal(setns(p.here, CLONE_NEWNET), 0);
    end_narrow_path(&p);
    program_stop(program, SIGTERM);
    assert_int_equal(program_counter(program, "icmp_echo_answered"), 5);
}

/* Sends a datagram that is echoed. Returns whether it comes back within `timeout_ms`. */
static bool is_echoed(int fd, int timeout_ms)
{
    static uint8_t out[1400], in[sizeof(out) + 1];
    struct pollfd wait = {.fd = fd, .events = POLLIN};

    memset(out, 0x5a, sizeof(out));
    assert_int_equal(send(fd, out, sizeof(out), 0), sizeof(out));
    if (poll(&wait, 1, timeout_ms) == 0)
        return false;
    assert_int_equal(recv(fd, in, sizeof(in), 0), sizeof(out));
    assert_memory_equal(in, out, sizeof(out));
    return true;
}

/* The server's socket is not connected: the first reply is lost, and tells it. */
static void datagrams_get_through_a_narrow_path(void **state)
{
    struct program *program = *state;
    program_start(program, NULL);
    struct place p = make_narrow_path();
    struct sockaddr_in to = address_of(STRAIT_ADDRESS, PORT_ECHO);
    assert_int_equal(setns(p.there, CLONE_NEWNET), 0);
    int fd = kernel_socket(SOCK_DGRAM);
    assert_int_equal(setns(p.here, CLONE_NEWNET), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);

    /* Where the machine is busy, more are on their way before the router's word arrives. */
    int lost = 0;
    while (!is_echoed(fd, 100) && lost < LOST_MAX)
        lost++;
    assert_in_range(lost, 1, LOST_MAX - 1);
    for (int i = 0; i < 5; i++)
        assert_true(is_echoed(fd, WAIT_MS));
    close(fd);
    end_narrow_path(&p);
    program_stop(program, SIGTERM);
    assert_in_range(program_counter(program, "udp_cutting_allowed"), 1, lost);
    assert_int_equal(program_counter(program, "ip_path_lowered"), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, program_setup, program_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_stream_gets_through_a_narrow_path_rfc1191),
        TEST(super_packets_get_through_a_narrow_path_rfc1191),
        TEST(pings_get_through_a_narrow_path),
        TEST(datagrams_get_through_a_narrow_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
