/* SPDX-License-Identifier: MIT */
/*
 * Strait as the client of the kernel: the library, embedded in this program, drives a TUN on the
 * thread of the test, and the kernel's servers run on a second thread.
 */
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

#include "kernel.h"
#include "strait.h"
#include "transfer.h"

#define SEED_UP   11 /* of what Strait sends */
#define SEED_DOWN 12 /* of what the kernel sends */
#define RUN_MS    (4 * WAIT_MS)

/* ---- The embedded host --------------------------------------------------------------------- */

/* A thread that accepts `connections` and moves bytes on them, or does what `act` does with one. */
struct peer {
    int listener;
    uint16_t port;
    size_t connections;
    uint64_t up_bytes, down_bytes; /* of each connection, as Strait sees it */
    int (*act)(int fd);            /* returns 0 if all was as it should be */
    uint32_t retransmissions;
    int result;
    char error[200];
    pthread_t thread;
    bool started;
};

struct embedded {
    struct peer peer; /* outlives a test that fails while the thread runs */
    struct strait_loop *loop;
    struct strait_link *link;
    struct strait *stack;
};

/* `mtu` of 0 is the default. */
static void embedded_start(struct embedded *e, bool plain, uint32_t mtu)
{
    char error[200];
    struct strait_config config;
    struct strait_tun_config tun = {
        .size = sizeof(tun),
        .name = DEVICE,
        .plain = plain,
        .mtu = mtu,
        .peer = address_of(KERNEL_ADDRESS, 0).sin_addr,
        .prefix_bits = 24,
        .queue_packets = 8192,
    };
    e->loop = strait_loop_new();
    assert_non_null(e->loop);
    struct strait_env *env = strait_loop_env(e->loop);
    strait_config_init(&config);
    env->random(env, config.secret, sizeof(config.secret));
    e->stack = strait_new(&config, env);
    assert_non_null(e->stack);
    e->link = strait_tun_open(&tun, error, sizeof(error));
    if (e->link == NULL)
        fail_msg("%s", error);
    struct in_addr address = address_of(STRAIT_ADDRESS, 0).sin_addr;
    assert_int_equal(strait_attach(e->stack, e->link, address, 24), 0);
    assert_int_equal(strait_loop_add(e->loop, e->stack, e->link), 0);
}

/* Lets the host live for a while without touching its sockets. */
static void drive(struct embedded *e, uint64_t ms)
{
    struct strait_env *env = strait_loop_env(e->loop);
    uint64_t deadline_ns = env->now(env) + ms * 1000000;
    while (env->now(env) < deadline_ns)
        assert_int_equal(strait_loop_turn(e->loop, deadline_ns), 0);
}

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct embedded));
    return *state != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    struct embedded *e = *state;
    if (e->link != NULL && e->loop != NULL)
        strait_loop_remove(e->loop, e->link);
    if (e->stack != NULL)
        strait_free(e->stack);
    if (e->link != NULL)
        e->link->close(e->link);
    if (e->loop != NULL)
        strait_loop_free(e->loop);
    if (e->peer.started)
        pthread_join(e->peer.thread, NULL);
    free(e);
    return 0;
}

/* A counter that is being looked for. */
struct wanted {
    const char *name;
    uint64_t value;
    bool found;
};

static void look_at_counter(void *context, const char *name, uint64_t value)
{
    struct wanted *wanted = context;
    if (strcmp(name, wanted->name) != 0)
        return;
    wanted->value = value;
    wanted->found = true;
}

static uint64_t counter(const struct embedded *e, const char *name)
{
    struct wanted wanted = {.name = name};
    strait_counters(e->stack, look_at_counter, &wanted);
    assert_true(wanted.found);
    return wanted.value;
}

/* A non-blocking Strait socket that is connected to a port of the kernel. */
static int client_connect(struct embedded *e, uint16_t port)
{
    struct sockaddr_in to = address_of(KERNEL_ADDRESS, port);
    int fd = strait_socket(e->stack, AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    if (strait_connect(e->stack, fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        fail_msg("connecting: %m");
    return fd;
}

/* Waits until the socket is readable, and reads; returns what strait_recv does. */
static ssize_t client_receive(struct embedded *e, int fd, void *bytes, size_t length)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_int_equal(strait_poll(e->stack, &p, 1, WAIT_MS), 1);
    return strait_recv(e->stack, fd, bytes, length, MSG_DONTWAIT);
}

/* ---- The kernel's side --------------------------------------------------------------------- */

static uint32_t total_retransmissions(int fd)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_total_retrans
                                                                    : UINT32_MAX;
}

static int accept_some(struct peer *p, struct transfer *list)
{
    for (size_t i = 0; i < p->connections; i++) {
        int fd = accept(p->listener, NULL, NULL);
        if (fd < 0) {
            snprintf(p->error, sizeof(p->error), "accept: %s", strerror(errno));
            return -1;
        }
        transfer_init(&list[i], fd, SEED_DOWN, p->down_bytes, SEED_UP, p->up_bytes);
    }
    return 0;
}

static void *peer_main(void *argument)
{
    struct peer *p = argument;
    struct transfer *list = calloc(p->connections, sizeof(*list));
    p->result = -1;
    if (list == NULL)
        return NULL;
    for (size_t i = 0; i < p->connections; i++)
        list[i].fd = -1;
    if (accept_some(p, list) == 0)
        p->result = p->act != NULL ? p->act(list[0].fd)
                                   : transfer_run(&kernel_transport, list, p->connections, RUN_MS,
                                                  p->error, sizeof(p->error));
    for (size_t i = 0; i < p->connections; i++) {
        p->retransmissions += total_retransmissions(list[i].fd);
        transfer_finish(&list[i]);
        close(list[i].fd);
    }
    free(list);
    return NULL;
}

/* Starts the kernel's side; the device has to be there. Returns the port to connect to. */
static uint16_t peer_start(struct embedded *e, struct peer peer)
{
    struct peer *p = &e->peer;
    *p = peer;
    p->listener = kernel_listen(&p->port);
    if (p->connections == 0)
        p->connections = 1;
    assert_int_equal(pthread_create(&p->thread, NULL, peer_main, p), 0);
    p->started = true;
    return p->port;
}

/* Waits for the kernel's side, which has to be content; Strait sends what it still has to. */
static void peer_join(struct embedded *e)
{
    struct peer *p = &e->peer;
    uint64_t deadline = now_ms() + RUN_MS;
    while (pthread_tryjoin_np(p->thread, NULL) != 0) {
        assert_true(now_ms() < deadline);
        drive(e, 5);
    }
    p->started = false;
    close(p->listener);
    if (p->result != 0)
        fail_msg("the kernel's side: %s", p->error);
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
        transfer_init(&list[i], client_connect(e, port), SEED_UP, up_bytes, SEED_DOWN, down_bytes);
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
    assert_int_equal(counter(e, "tcp_retransmitted_segments"), 0);
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
    assert_int_equal(counter(*state, "tcp_connections_opened"), 210);
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
    transfer_init(&t, client_connect(e, port), SEED_UP, 0, SEED_DOWN, bytes);
    drive(e, 3000);
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
    int fd = client_connect(e, port);
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
    int fd = client_connect(e, peer_start(e, (struct peer){.act = say_urgent}));
    struct pollfd p = {.fd = fd, .events = POLLPRI};
    assert_int_equal(strait_poll(e->stack, &p, 1, WAIT_MS), 1);
    drive(e, 100); /* all has come */
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
    int fd = client_connect(e, peer_start(e, (struct peer){.act = hear_urgent}));
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
    transfer_init(&t, client_connect(e, port), SEED_UP, 100 * MB, SEED_DOWN, 0);
    /* EPIPE: the end came between two calls; the reset was told once, to the first. */
    assert_int_equal(transfer_fill(&via, &t, WAIT_MS), -1);
    assert_true(errno == ECONNRESET || errno == EPIPE);
    transfer_finish(&t);
    assert_true(strait_recv(e->stack, t.fd, &byte, 1, MSG_DONTWAIT) <= 0);
    assert_int_equal(strait_close(e->stack, t.fd), 0);
    peer_join(e);
    assert_true(counter(e, "tcp_resets_in") > 0);
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
    int fd = client_connect(e, port);
    assert_true(client_receive(e, fd, bytes, sizeof(bytes)) > 0);
    if (linger)
        assert_int_equal(
            strait_setsockopt(e->stack, fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    assert_int_equal(strait_close(e->stack, fd), 0);
    peer_join(e);
    assert_true(counter(e, "tcp_resets_out") > 0);
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
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
