/* SPDX-License-Identifier: MIT */
/* What is not TCP: ping, UDP, and packets whose headers lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel.h"
#include "program.h"
#include "wire.h"

static void ping(const char *options)
{
    char output[4096];
    int status =
        run_command(output, sizeof(output), "ping -n -q -w 30 %s " STRAIT_ADDRESS, options);
    if (status != 0 || strstr(output, " 0% packet loss") == NULL)
        fail_msg("ping %s: %s", options, output);
}

static void a_thousand_pings_without_loss(void **state)
{
    program_start(*state, NULL);
    ping("-c 1000 -i 0.001");
    program_stop(*state, SIGTERM);
    assert_int_equal(program_counter(*state, "icmp_echo_answered"), 1000);
}

static void pings_of_every_size_up_to_the_mtu(void **state)
{
    program_start(*state, "--no-offload", NULL);
    struct wire *wire = wire_open(1500);
    ping("-c 5 -i 0.01 -s 0");
    ping("-c 5 -i 0.01 -s 1");
    ping("-c 5 -i 0.01 -s 56");
    ping("-c 5 -i 0.01 -s 1471");
    ping("-c 5 -i 0.01 -s 1472 -M do -p a5");
    assert_int_equal(wire_check(wire), 50);
    wire_close(wire);
    program_stop(*state, SIGTERM);
    assert_int_equal(program_counter(*state, "icmp_echo_answered"), 25);
}

/* RFC 791 3.2: in fragments both ways. */
static void pings_above_the_mtu_up_to_64_kib(void **state)
{
    program_start(*state, NULL);
    ping("-c 5 -i 0.01 -s 1473");
    ping("-c 5 -i 0.01 -s 2952");
    ping("-c 5 -i 0.01 -s 2953 -M dont");
    ping("-c 5 -i 0.01 -s 20000 -p a5");
    ping("-c 20 -i 0.01 -s 65507");
    ping("-c 20 -i 0.01 -s 65507 -M dont");
    program_stop(*state, SIGTERM);
    assert_int_equal(program_counter(*state, "icmp_echo_answered"), 60);
    assert_int_equal(program_counter(*state, "ip_reassembled"), 60);
    assert_int_equal(program_counter(*state, "ip_fragmented"), 60);
}

static int udp_connect(uint16_t port)
{
    int fd = kernel_socket(SOCK_DGRAM);
    struct sockaddr_in to = address_of(STRAIT_ADDRESS, port);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static void udp_echo_of_every_size(void **state)
{
    uint8_t out[1472], in[sizeof(out) + 1];
    program_start(*state, "--no-offload", NULL);
    struct wire *wire = wire_open(1500);
    int fd = udp_connect(PORT_ECHO);
    for (size_t size = 0; size <= sizeof(out); size++) {
        memset(out, (int)(size & 0xff), size);
        assert_int_equal(send(fd, out, size, 0), (ssize_t)size);
        assert_int_equal(recv(fd, in, sizeof(in), 0), (ssize_t)size);
        assert_memory_equal(in, out, size);
    }
    close(fd);
    assert_int_equal(wire_check(wire), 2 * 1473);
    wire_close(wire);
    program_stop(*state, SIGTERM);
}

static void udp_echo_with_offload(void **state)
{
    uint8_t out[1472], in[sizeof(out) + 1];
    program_start(*state, NULL);
    int fd = udp_connect(PORT_ECHO);
    for (size_t size = 1; size <= sizeof(out); size++) {
        memset(out, (int)(size & 0xff), size);
        assert_int_equal(send(fd, out, size, 0), (ssize_t)size);
        assert_int_equal(recv(fd, in, sizeof(in), 0), (ssize_t)size);
        assert_memory_equal(in, out, size);
    }
    close(fd);
    program_stop(*state, SIGTERM);
    assert_int_equal(program_counter(*state, "udp_datagrams_in"), 1472);
    assert_int_equal(program_counter(*state, "udp_datagrams_out"), 1472);
}

static void check_udp_echo(int fd, size_t size)
{
    static uint8_t out[65507], in[sizeof(out) + 1];
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(size + i * 7 + i / 256);
    assert_int_equal(send(fd, out, size, 0), (ssize_t)size);
    ssize_t got = recv(fd, in, sizeof(in), 0);
    if (got != (ssize_t)size)
        fail_msg("%zd bytes came back of %zu", got, size);
    assert_memory_equal(in, out, size);
}

/* Every size that the last fragment may have, and those around the edges of the others. */
static void udp_echo_in_fragments(void **state)
{
    program_start(*state, NULL);
    int fd = udp_connect(PORT_ECHO);
    for (size_t size = 1473; size <= 2 * 1480; size++)
        check_udp_echo(fd, size);
    for (size_t edge = 1480; edge < 65507; edge += 1480)
        for (size_t size = edge - 9; size <= edge + 1; size++)
            check_udp_echo(fd, size);
    check_udp_echo(fd, 65507);
    close(fd);
    program_stop(*state, SIGTERM);
    assert_true(program_counter(*state, "ip_fragmented") > 1488 + 43 * 11);
    assert_int_equal(program_counter(*state, "ip_reassembly_evicted"), 0);
}

/* RFC 1122 4.1.3.1 */
static void a_closed_udp_port_is_unreachable(void **state)
{
    char byte = 0;
    program_start(*state, NULL);
    int fd = udp_connect(6);
    assert_int_equal(send(fd, &byte, 1, 0), 1);
    assert_int_equal(recv(fd, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(fd);
    program_stop(*state, SIGTERM);
    assert_int_equal(program_counter(*state, "udp_no_socket"), 1);
    assert_int_equal(program_counter(*state, "icmp_errors_out"), 1);
}

/* ---- Lies ---------------------------------------------------------------------------------- */

/* A segment to port 7 without payload, right but for the checksums, which come last. */
struct probe {
    uint8_t ip[20];
    uint8_t tcp[20];
};

static const struct probe good = {
    .ip = {0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 7, 0, 1, 10, 7, 0, 2},
    .tcp = {0x30, 0x39, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0},
};

static uint32_t sum16(const uint8_t *bytes, size_t length)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < length; i += 2)
        sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
    return sum;
}

static void store_checksum(uint8_t *at, uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    at[0] = (uint8_t)(~sum >> 8);
    at[1] = (uint8_t)~sum;
}

/* Puts a packet on the wire as it is; the kernel neither looks at it nor mends it. */
static void inject(const void *packet, size_t length)
{
    int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct sockaddr_ll to = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons(ETH_P_IP),
        .sll_ifindex = (int)if_nametoindex(DEVICE),
    };
    assert_int_equal(sendto(fd, packet, length, 0, (struct sockaddr *)&to, sizeof(to)),
                     (ssize_t)length);
    close(fd);
}

static void inject_probe(struct probe p, size_t length)
{
    store_checksum(p.ip + 10, sum16(p.ip, sizeof(p.ip)));
    store_checksum(p.tcp + 16, sum16(p.ip + 12, 8) + 6 + 20 + sum16(p.tcp, sizeof(p.tcp)));
    inject(&p, length);
}

static void headers_that_lie_are_counted_and_dropped(void **state)
{
    struct probe p;
    program_start(*state, NULL);

    inject_probe(good, 19); /* ends within the IP header */
    p = good;
    p.ip[0] = 0x44; /* a header of 16 bytes */
    inject_probe(p, sizeof(p));
    p = good;
    p.ip[0] = 0x4f; /* a header of 60 bytes in a packet of 40 */
    inject_probe(p, sizeof(p));
    p = good;
    p.ip[3] = 41; /* longer than the packet */
    inject_probe(p, sizeof(p));
    p = good;
    p.ip[3] = 19; /* shorter than its own header */
    inject_probe(p, sizeof(p));
    p = good;
    p.ip[10] = 0x12; /* summed into a wrong checksum */
    inject_probe(p, sizeof(p));
    p = good;
    p.tcp[16] = 0x12;
    inject_probe(p, sizeof(p));
    p = good;
    p.tcp[12] = 0x40; /* a header of 16 bytes */
    inject_probe(p, sizeof(p));
    p = good;
    p.tcp[12] = 0x60; /* a header of 24 bytes in 20 */
    inject_probe(p, sizeof(p));

    check_echo(1, 100 * KB);
    program_stop(*state, SIGTERM);
    assert_int_equal(program_counter(*state, "ip_header_short"), 1);
    assert_int_equal(program_counter(*state, "ip_header_length_wrong"), 2);
    assert_int_equal(program_counter(*state, "ip_total_length_wrong"), 2);
    assert_int_equal(program_counter(*state, "ip_checksum_wrong"), 1);
    assert_int_equal(program_counter(*state, "tcp_checksum_wrong"), 1);
    assert_int_equal(program_counter(*state, "tcp_header_wrong"), 2);
    assert_int_equal(program_counter(*state, "tcp_connections_accepted"), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, program_setup, program_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_thousand_pings_without_loss),    TEST(pings_of_every_size_up_to_the_mtu),
        TEST(pings_above_the_mtu_up_to_64_kib), TEST(udp_echo_in_fragments),
        TEST(udp_echo_of_every_size),           TEST(udp_echo_with_offload),
        TEST(a_closed_udp_port_is_unreachable), TEST(headers_that_lie_are_counted_and_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
