/* SPDX-License-Identifier: MIT */
/*
 * What the settings of IP, ICMP, UDP and of sockets change while a host runs; those of TCP are in
 * tests/tcp/test_tuning.c. (ip.forward: test_forward.c, ip.path_mtu_timeout: test_path.c.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/tcp.h>

#include "wire.h"

#define TEST(function) cmocka_unit_test_setup_teardown(function, wire_setup, wire_teardown)

static void tune(struct strait *stack, const char *name, const char *value)
{
    assert_int_equal(strait_set(stack, name, value), 0);
}

static uint64_t right_counter(struct wire *w, const char *name)
{
    return pair_counter(w->pair, 1, name);
}

/* Sends a datagram of zeros to a port on the right. */
static void send_datagram(struct wire *w, int fd, uint16_t port, size_t length)
{
    static const char bytes[4000];
    struct sockaddr_in to = pair_address(1, port);
    assert_int_equal(
        strait_sendto(w->left, fd, bytes, length, 0, (struct sockaddr *)&to, sizeof(to)), length);
}

/* ---- IP -------------------------------------------------------------------------------------- */

static bool note_ttl(void *ttl, int from, const uint8_t *packet, size_t length)
{
    (void)from, (void)length;
    *(uint8_t *)ttl = packet[8];
    return true;
}

static void what_is_sent_has_the_ttl_that_is_set_rfc1122_3_2_1_7(void **state)
{
    struct wire *w = *state;
    uint8_t ttl = 0;
    int old = wire_datagram(w->left, 0, 0);
    tune(w->left, "ip.ttl", "7");
    tune(w->right, "ip.ttl", "9");
    int datagram = wire_datagram(w->left, 0, 0), stream = wire_stream(w->left, SOCK_NONBLOCK);
    pair_filter(w->pair, note_ttl, &ttl);
    send_datagram(w, old, 9, 1);
    assert_int_equal(ttl, 64);
    send_datagram(w, datagram, 9, 1);
    assert_int_equal(ttl, 7);
    assert_errno(wire_connect(w, stream, 9), EINPROGRESS);
    pair_run(w->pair, 1); /* the SYN leaves, nothing comes yet */
    assert_int_equal(ttl, 7);
    assert_int_equal(wire_option(w->left, stream, IPPROTO_IP, IP_TTL), 7);
    wire_run(w);
    assert_int_equal(ttl, 9); /* of the RST, which no socket sends */
}

static void an_option_that_is_not_set_is_as_the_setting(void **state)
{
    struct wire *w = *state;
    int fd = wire_stream(w->left, 0), standard = -1;
    tune(w->left, "ip.ttl", "9");
    tune(w->left, "tcp.syn_retries", "3");
    assert_int_equal(
        strait_setsockopt(w->left, fd, IPPROTO_IP, IP_TTL, &standard, sizeof(standard)), 0);
    assert_int_equal(wire_option(w->left, fd, IPPROTO_IP, IP_TTL), 9);
    assert_int_equal(wire_option(w->left, fd, IPPROTO_TCP, TCP_SYNCNT), 3);
}

static uint16_t local_port(struct strait *stack, int fd)
{
    struct sockaddr_in name;
    socklen_t length = sizeof(name);
    assert_int_equal(strait_getsockname(stack, fd, (struct sockaddr *)&name, &length), 0);
    return ntohs(name.sin_port);
}

static void local_ports_come_from_the_range_that_is_set_rfc6056(void **state)
{
    struct wire *w = *state;
    int bound = wire_stream(w->left, 0), connected = wire_stream(w->left, SOCK_NONBLOCK);
    tune(w->left, "ip.local_ports", "7000-7001");
    assert_int_equal(wire_bind(w->left, bound, 0), 0);
    assert_in_range(local_port(w->left, bound), 7000, 7001);
    assert_errno(wire_connect(w, connected, 9), EINPROGRESS);
    assert_int_equal(local_port(w->left, connected), 14001 - local_port(w->left, bound));
}

/* ---- Fragments ------------------------------------------------------------------------------- */

/* Loses what is no first fragment. */
static bool lose_the_rest(void *context, int from, const uint8_t *packet, size_t length)
{
    (void)context, (void)from, (void)length;
    return ((packet[6] & 0x1f) | packet[7]) == 0;
}

static void fragments_wait_as_long_as_set_rfc1122_3_3_2(void **state)
{
    struct wire *w = *state;
    tune(w->right, "ip.fragment_timeout", "2s");
    pair_filter(w->pair, lose_the_rest, NULL);
    send_datagram(w, wire_datagram(w->left, 0, 0), 9, 2000);
    pair_run(w->pair, 1999 * PAIR_MS);
    assert_int_equal(right_counter(w, "ip_reassembly_timed_out"), 0);
    pair_run(w->pair, 3 * PAIR_MS);
    assert_int_equal(right_counter(w, "ip_reassembly_timed_out"), 1);
}

static void incomplete_packets_of_a_source_are_limited(void **state)
{
    struct wire *w = *state;
    int fd = wire_datagram(w->left, 0, 0);
    pair_filter(w->pair, lose_the_rest, NULL);
    for (int i = 0; i < 4; i++)
        send_datagram(w, fd, 9, 2000);
    wire_run(w);
    assert_int_equal(right_counter(w, "ip_reassembly_evicted"), 0);
    tune(w->right, "ip.fragment_packets", "2"); /* there are four already */
    send_datagram(w, fd, 9, 2000);
    wire_run(w);
    assert_int_equal(right_counter(w, "ip_reassembly_evicted"), 3);
}

static void memory_for_fragments_is_limited(void **state)
{
    struct wire *w = *state;
    int fd = wire_datagram(w->left, 0, 0);
    tune(w->right, "ip.fragment_memory", "0");
    send_datagram(w, fd, 9, 2000);
    wire_run(w);
    assert_int_equal(right_counter(w, "ip_fragments_limited"), 2);
    tune(w->right, "ip.fragment_memory", "1MiB");
    send_datagram(w, fd, 9, 2000);
    wire_run(w);
    assert_int_equal(right_counter(w, "ip_reassembled"), 1);
}

/* ---- ICMP ------------------------------------------------------------------------------------ */

/* How many errors 100 datagrams, one each millisecond, to a port that nobody has are answered by.
 */
static uint64_t errors_for_a_hundred(struct wire *w)
{
    int fd = wire_datagram(w->left, 0, 0);
    uint64_t before = right_counter(w, "icmp_errors_out");
    for (int i = 0; i < 100; i++) {
        send_datagram(w, fd, 9, 1);
        pair_run(w->pair, PAIR_MS);
    }
    wire_run(w);
    strait_close(w->left, fd);
    return right_counter(w, "icmp_errors_out") - before;
}

/* With one token, an error in three costs none (SAD DNS, in icmp.c): so there are some, but few. */
static void expect_a_rate_and_a_burst(struct wire *w, const char *rate, const char *burst)
{
    tune(w->right, burst, "1");
    tune(w->right, rate, "1");
    assert_in_range(errors_for_a_hundred(w), 1, 20);
    tune(w->right, rate, "1000000");
    assert_int_equal(errors_for_a_hundred(w), 100);
    tune(w->right, rate, "1");
    tune(w->right, burst, "1000000");
    assert_in_range(errors_for_a_hundred(w), 0, 20); /* it fills at the rate, too */
}

static void errors_have_the_rate_and_burst_that_are_set_rfc1812_4_3_2_8(void **state)
{
    struct wire *w = *state;
    tune(w->right, "icmp.peer_error_burst", "1000000");
    tune(w->right, "icmp.peer_error_rate", "1000000");
    pair_run(w->pair, 1 * PAIR_S);
    expect_a_rate_and_a_burst(w, "icmp.error_rate", "icmp.error_burst");
}

static void errors_for_a_peer_have_theirs(void **state)
{
    expect_a_rate_and_a_burst(*state, "icmp.peer_error_rate", "icmp.peer_error_burst");
}

/* ---- Sockets --------------------------------------------------------------------------------- */

static void datagrams_wait_in_the_memory_that_is_set(void **state)
{
    struct wire *w = *state;
    int from = wire_datagram(w->left, 0, 0);
    tune(w->right, "udp.receive_buffer", "5000");
    int to = wire_datagram(w->right, 9, 0);
    assert_int_equal(wire_option(w->right, to, SOL_SOCKET, SO_RCVBUF), 5000);
    for (int i = 0; i < 10; i++)
        send_datagram(w, from, 9, 1000);
    wire_run(w);
    assert_in_range(right_counter(w, "udp_queue_full"), 5, 9);
}

static void set_buffers(struct strait *stack, int fd, int bytes)
{
    assert_int_equal(strait_setsockopt(stack, fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
    assert_int_equal(strait_setsockopt(stack, fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)), 0);
}

static void a_program_has_buffers_between_the_bounds_that_are_set(void **state)
{
    struct wire *w = *state;
    int fd = wire_stream(w->left, 0);
    tune(w->left, "socket.buffer_min", "10KiB");
    tune(w->left, "socket.buffer_max", "20KiB");
    static const int asked[] = {1, 15000, 1 << 20, -1}, given[] = {10240, 15000, 20480, 20480};
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        set_buffers(w->left, fd, asked[i]);
        assert_int_equal(wire_option(w->left, fd, SOL_SOCKET, SO_SNDBUF), given[i]);
        assert_int_equal(wire_option(w->left, fd, SOL_SOCKET, SO_RCVBUF), given[i]);
    }
}

static void small_memory(struct strait_config *config)
{
    assert_int_equal(strait_config_set(config, "socket.memory", "64KiB"), 0);
}

/* Senders leave a quarter of it to others. */
static void payload_waits_in_the_memory_that_is_set(void **state)
{
    (void)state;
    struct wire *w = wire_new(small_memory);
    static const char bytes[200000];
    int client, server;
    wire_established(w, wire_listener(w), &client, &server);
    ssize_t sent = strait_send(w->left, client, bytes, sizeof(bytes), 0);
    assert_in_range(sent, 1, 49152);
    wire_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_sent_has_the_ttl_that_is_set_rfc1122_3_2_1_7),
        TEST(an_option_that_is_not_set_is_as_the_setting),
        TEST(local_ports_come_from_the_range_that_is_set_rfc6056),
        TEST(fragments_wait_as_long_as_set_rfc1122_3_3_2),
        TEST(incomplete_packets_of_a_source_are_limited),
        TEST(memory_for_fragments_is_limited),
        TEST(errors_have_the_rate_and_burst_that_are_set_rfc1812_4_3_2_8),
        TEST(errors_for_a_peer_have_theirs),
        TEST(datagrams_wait_in_the_memory_that_is_set),
        TEST(a_program_has_buffers_between_the_bounds_that_are_set),
        cmocka_unit_test(payload_waits_in_the_memory_that_is_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
