/* SPDX-License-Identifier: MIT */
/* Strait as the client of the kernel. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "embedded.h"
#include "kernel.h"
#include "strait.h"
#include "transfer.h"

/* Waits until the socket is readable, and reads; returns what strait_recv does. */
static ssize_t client_receive(struct embedded *e, int fd, void *bytes, size_t length)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_int_equal(strait_poll(e->stack, &p, 1, WAIT_MS), 1);
    return strait_recv(e->stack, fd, bytes, length, MSG_DONTWAIT);
}

/* ---- Transfers ----------------------------------------------------------------------------- */

static void move(struct embedded *e, size_t connections, uint64_t up_bytes, uint64_t down_bytes)
{
    struct transport via = strait_transport(e->stack);
    struct transfer *list = calloc(connections, sizeof(*list));
    char error[200] = "";
    assert_non_null(list);
    uint16_t port = peer_start(
        e,
        (struct peer){.connections = connections, .up_bytes = up_bytes, .down_bytes = down_bytes});
    for (size_t i = 0; i < connections; i++)
        transfer_init(&list[i], embedded_connect(e, port), SEED_UP, up_bytes, SEED_DOWN,
                      down_bytes);
    int result = transfer_run(&via, list, connections, RUN_MS, error, sizeof(error));
    for (size_t i = 0; i < connections; i++) {
        transfer_finish(&list[i]);
        assert_int_equal(strait_close(e->stack, list[i].fd), 0);
    }
    free(list);
    if (result != 0)
        fail_msg("%llu bytes up, %llu down, Strait's side: %s", (unsigned long long)up_bytes,
                 (unsigned long long)down_bytes, error);
    peer_join(e);
    if (e->peer.retransmissions != 0)
        fail_msg("%llu bytes up, %llu down: the kernel has retransmitted %u segments",
                 (unsigned long long)up_bytes, (unsigned long long)down_bytes,
                 e->peer.retransmissions);
    assert_int_equal(embedded_counter(e, "tcp_retransmitted_segments"), 0);
}

static void move_all_sizes(struct embedded *e)
{
    move(e, 1, 1, 0);
    move(e, 1, 0, 1);
    move(e, 1, 1, 1);
    move(e, 1, 0, 0);
    move(e, 1, 1448, 1449);
    move(e, 1, 65535, 65536);
    move(e, 1, SCALED(10 * MB), SCALED(10 * MB));
}

static void strait_and_the_kernel_exchange_all_sizes(void **state)
{
    embedded_start(*state, false, 0);
    move_all_sizes(*state);
    move(*state, 1, SCALED(100 * MB), 0);
    move(*state, 1, 0, SCALED(100 * MB));
    move(*state, 1, SCALED(1 * GB), SCALED(1 * GB));
}

static void strait_and_the_kernel_exchange_all_sizes_without_offload(void **state)
{
    embedded_start(*state, true, 0);
    move_all_sizes(*state);
}

static void move_at_mtu(struct embedded *e, bool plain, uint32_t mtu)
{
    embedded_start(e, plain, mtu);
    move(e, 1, 1, 1);
    move(e, 1, SCALED(20 * MB), SCALED(20 * MB));
}

static void strait_and_the_kernel_agree_at_mtu_576(void **state)
{
    move_at_mtu(*state, false, 576);
}

static void strait_and_the_kernel_agree_at_mtu_576_without_offload(void **state)
{
    move_at_mtu(*state, true, 576);
}

static void strait_and_the_kernel_agree_at_mtu_9000(void **state)
{
    move_at_mtu(*state, false, 9000);
}

static void strait_and_the_kernel_agree_at_mtu_9000_without_offload(void **state)
{
    move_at_mtu(*state, true, 9000);
}

static void strait_and_the_kernel_agree_at_mtu_65535(void **state)
{
    move_at_mtu(*state, false, 65535);
}

static void strait_and_the_kernel_agree_at_mtu_65535_without_offload(void **state)
{
    move_at_mtu(*state, true, 65535);
}

static void two_hundred_connections_to_the_kernel(void **state)
{
    embedded_start(*state, false, 0);
    move(*state, 10, SCALED(3 * MB), SCALED(3 * MB));
    move(*state, 200, SCALED(100 * KB), SCALED(100 * KB));
    assert_int_equal(embedded_counter(*state, "tcp_connections_opened"), 210);
}

/* Strait does not read for a while: the kernel meets a window of zero, and then an open one. */
static void strait_sleeps_and_then_reads_everything(void **state)
{
    struct embedded *e = *state;
    uint64_t bytes = SCALED(100 * MB);
    char error[200] = "";
    struct transfer t;
    embedded_start(e, false, 0);
    struct transport via = strait_transport(e->stack);
    uint16_t port = peer_start(e, (struct peer){.down_bytes = bytes});
    transfer_init(&t, embedded_connect(e, port), SEED_UP, 0, SEED_DOWN, bytes);
    embedded_drive(e, 3000);
    int result = transfer_run(&via, &t, 1, RUN_MS, error, sizeof(error));
    transfer_finish(&t);
    assert_int_equal(strait_close(e->stack, t.fd), 0);
    if (result != 0)
        fail_msg("Strait's side: %s", error);
    peer_join(e);
}

static int answer_once(int fd)
{
    char word[6];
    return recv(fd, word, sizeof(word), MSG_WAITALL) == sizeof(word) &&
                   memcmp(word, "marco\n", sizeof(word)) == 0 && send(fd, "polo\n", 5, 0) == 5 &&
                   recv(fd, word, 1, 0) == 0
               ? 0
               : -1;
}

static void blocking_calls_wait_for_what_they_need(void **state)
{
    struct embedded *e = *state;
    char word[5], byte;
    embedded_start(e, false, 0);
    uint16_t port = peer_start(e, (struct peer){.act = answer_once});
    int fd = embedded_connect(e, port);
    assert_int_equal(strait_send(e->stack, fd, "marco\n", 6, 0), 6);
    for (size_t length = 0; length < sizeof(word);) {
        ssize_t n = strait_recv(e->stack, fd, word + length, sizeof(word) - length, 0);
        assert_true(n > 0);
        length += (size_t)n;
    }
    assert_memory_equal(word, "polo\n", sizeof(word));
    assert_int_equal(strait_shutdown(e->stack, fd, SHUT_WR), 0);
    assert_int_equal(strait_recv(e->stack, fd, &byte, 1, 0), 0);
    assert_int_equal(strait_close(e->stack, fd), 0);
    peer_join(e);
}

/* ---- Urgent data ---------------------------------------------------------------------------- */

static int say_urgent(int fd)
{
    char byte;
    return send(fd, "before", 6, 0) == 6 && send(fd, "urgent!", 7, MSG_OOB) == 7 &&
                   send(fd, "after", 5, 0) == 5 && recv(fd, &byte, 1, 0) == 0
               ? 0
               : -1;
}

/* RFC 9293 3.8.5. The last byte that the kernel calls urgent is the mark. */
static void strait_is_told_of_urgent_data(void **state)
{
    struct embedded *e = *state;
    char bytes[100];
    embedded_start(e, false, 0);
    int fd = embedded_connect(e, peer_start(e, (struct peer){.act = say_urgent}));
    struct pollfd p = {.fd = fd, .events = POLLPRI};
    assert_int_equal(strait_poll(e->stack, &p, 1, WAIT_MS), 1);
    embedded_drive(e, 100); /* all has come */
    assert_int_equal(strait_recv(e->stack, fd, bytes, sizeof(bytes), 0), 12);
    assert_memory_equal(bytes, "beforeurgent", 12);
    assert_int_equal(strait_sockatmark(e->stack, fd), 1);
    assert_int_equal(strait_recv(e->stack, fd, bytes, sizeof(bytes), 0), 6);
    assert_memory_equal(bytes, "!after", 6);
    assert_int_equal(strait_poll(e->stack, &p, 1, 0), 0);
    assert_int_equal(strait_close(e->stack, fd), 0);
    peer_join(e);
}

static int hear_urgent(int fd)
{
    char bytes[100];
    struct pollfd p = {.fd = fd, .events = POLLPRI};
    if (poll(&p, 1, WAIT_MS) != 1 || recv(fd, bytes, 1, MSG_OOB) != 1 || bytes[0] != '!')
        return -1;
    if (recv(fd, bytes, 12, MSG_WAITALL) != 12 || memcmp(bytes, "beforeurgent", 12) != 0)
        return -1;
    return recv(fd, bytes, 5, MSG_WAITALL) == 5 && memcmp(bytes, "after", 5) == 0 ? 0 : -1;
}

static void the_kernel_is_told_of_urgent_data(void **state)
{
    struct embedded *e = *state;
    embedded_start(e, false, 0);
    int fd = embedded_connect(e, peer_start(e, (struct peer){.act = hear_urgent}));
    assert_int_equal(strait_send(e->stack, fd, "before", 6, 0), 6);
    assert_int_equal(strait_send(e->stack, fd, "urgent!", 7, MSG_OOB), 7);
    assert_int_equal(strait_send(e->stack, fd, "after", 5, 0), 5);
    peer_join(e);
    assert_int_equal(strait_close(e->stack, fd), 0);
}

/* ---- Ends ---------------------------------------------------------------------------------- */

/* RFC 9293 3.10.7.3 */
static void a_closed_port_of_the_kernel_refuses(void **state)
{
    struct embedded *e = *state;
    uint16_t port;
    embedded_start(e, false, 0);
    close(kernel_listen(&port));
    struct sockaddr_in to = address_of(KERNEL_ADDRESS, port);
    int fd = strait_socket(e->stack, AF_INET, SOCK_STREAM, 0);
    assert_int_equal(strait_connect(e->stack, fd, (struct sockaddr *)&to, sizeof(to)), -1);
    assert_int_equal(errno, ECONNREFUSED);
    assert_int_equal(strait_close(e->stack, fd), 0);
}

static int reset_after_some_bytes(int fd)
{
    char bytes[10000];
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (recv(fd, bytes, sizeof(bytes), MSG_WAITALL) != sizeof(bytes))
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) != 0)
        return -1;
    /* Closes the connection under the descriptor, which stays its owner's. */
    int none = socket(AF_INET, SOCK_STREAM, 0);
    return none >= 0 && dup2(none, fd) == fd ? close(none) : -1;
}

static void a_reset_by_the_kernel_is_econnreset(void **state)
{
    struct embedded *e = *state;
    char byte;
    struct transfer t;
    embedded_start(e, false, 0);
    struct transport via = strait_transport(e->stack);
    uint16_t port = peer_start(e, (struct peer){.act = reset_after_some_bytes});
    transfer_init(&t, embedded_connect(e, port), SEED_UP, 100 * MB, SEED_DOWN, 0);
    /* EPIPE: the end came between two calls; the reset was told once, to the first. */
    assert_int_equal(transfer_fill(&via, &t, WAIT_MS), -1);
    assert_true(errno == ECONNRESET || errno == EPIPE);
    transfer_finish(&t);
    assert_true(strait_recv(e->stack, t.fd, &byte, 1, MSG_DONTWAIT) <= 0);
    assert_int_equal(strait_close(e->stack, t.fd), 0);
    peer_join(e);
    assert_true(embedded_counter(e, "tcp_resets_in") > 0);
}

static int send_until_reset(int fd)
{
    char bytes[10000] = {0};
    for (int i = 0; i < 100000; i++)
        if (send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL) < 0)
            return errno == ECONNRESET || errno == EPIPE ? 0 : -1;
    return -1;
}

static void close_against_a_sender(struct embedded *e, bool linger)
{
    char bytes[1000];
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    uint16_t port = peer_start(e, (struct peer){.act = send_until_reset});
    int fd = embedded_connect(e, port);
    assert_true(client_receive(e, fd, bytes, sizeof(bytes)) > 0);
    if (linger)
        assert_int_equal(
            strait_setsockopt(e->stack, fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    assert_int_equal(strait_close(e->stack, fd), 0);
    peer_join(e);
    assert_true(embedded_counter(e, "tcp_resets_out") > 0);
}

/* RFC 1122 4.2.2.13 */
static void closing_with_data_unread_resets(void **state)
{
    embedded_start(*state, false, 0);
    close_against_a_sender(*state, false);
}

static void closing_with_linger_0_resets(void **state)
{
    embedded_start(*state, false, 0);
    close_against_a_sender(*state, true);
}

/* ---- Datagrams ----------------------------------------------------------------------------- */

static void datagrams_go_to_the_kernel_and_back(void **state)
{
    struct embedded *e = *state;
    struct sockaddr_in at = {0}, from = {0};
    socklen_t size = sizeof(at);
    char out[1472], in[sizeof(out) + 1];
    embedded_start(e, false, 0);
    int kernel = kernel_socket(SOCK_DGRAM);
    struct sockaddr_in any = address_of(KERNEL_ADDRESS, 0);
    assert_int_equal(bind(kernel, (struct sockaddr *)&any, sizeof(any)), 0);
    assert_int_equal(getsockname(kernel, (struct sockaddr *)&at, &size), 0);
    int fd = strait_socket(e->stack, AF_INET, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    for (size_t length = 1; length <= sizeof(out); length += 30) {
        memset(out, (int)(length & 0xff), length);
        assert_int_equal(
            strait_sendto(e->stack, fd, out, length, 0, (struct sockaddr *)&at, sizeof(at)),
            (ssize_t)length);
        size = sizeof(from);
        ssize_t n = recvfrom(kernel, in, sizeof(in), 0, (struct sockaddr *)&from, &size);
        assert_int_equal(n, (ssize_t)length);
        assert_memory_equal(in, out, length);
        assert_int_equal(from.sin_addr.s_addr, address_of(STRAIT_ADDRESS, 0).sin_addr.s_addr);
        assert_int_equal(sendto(kernel, in, length, 0, (struct sockaddr *)&from, size),
                         (ssize_t)length);
        assert_int_equal(client_receive(e, fd, in, sizeof(in)), (ssize_t)length);
        assert_memory_equal(in, out, length);
    }
    close(kernel);
    assert_int_equal(strait_close(e->stack, fd), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, embedded_setup, embedded_teardown)
    const struct CMUnitTest tests[] = {
        TEST(strait_and_the_kernel_exchange_all_sizes),
        TEST(strait_and_the_kernel_exchange_all_sizes_without_offload),
        TEST(strait_and_the_kernel_agree_at_mtu_576),
        TEST(strait_and_the_kernel_agree_at_mtu_576_without_offload),
        TEST(strait_and_the_kernel_agree_at_mtu_9000),
        TEST(strait_and_the_kernel_agree_at_mtu_9000_without_offload),
        TEST(strait_and_the_kernel_agree_at_mtu_65535),
        TEST(strait_and_the_kernel_agree_at_mtu_65535_without_offload),
        TEST(two_hundred_connections_to_the_kernel),
        TEST(strait_sleeps_and_then_reads_everything),
        TEST(blocking_calls_wait_for_what_they_need),
        TEST(strait_is_told_of_urgent_data),
        TEST(the_kernel_is_told_of_urgent_data),
        TEST(a_closed_port_of_the_kernel_refuses),
        TEST(a_reset_by_the_kernel_is_econnreset),
        TEST(closing_with_data_unread_resets),
        TEST(closing_with_linger_0_resets),
        TEST(datagrams_go_to_the_kernel_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
