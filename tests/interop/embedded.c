/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "embedded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transfer.h"

/* ---- The host ------------------------------------------------------------------------------ */

void embedded_start(struct embedded *e, bool plain, uint32_t mtu)
{
    char error[200];
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
    env->random(env, e->config.secret, sizeof(e->config.secret));
    e->stack = strait_new(&e->config, env);
    assert_non_null(e->stack);
    /* The device loses nothing: who is kept waiting by a busy machine must not send again. */
    assert_int_equal(strait_set(e->stack, "tcp.rto_min", "10s"), 0);
    e->link = strait_tun_open(&tun, error, sizeof(error));
    if (e->link == NULL)
        fail_msg("%s", error);
    struct in_addr address = address_of(STRAIT_ADDRESS, 0).sin_addr;
    assert_int_equal(strait_attach(e->stack, e->link, address, 24), 0);
    assert_int_equal(strait_loop_add(e->loop, e->stack, e->link), 0);
}

void embedded_drive(struct embedded *e, uint64_t ms)
{
    struct strait_env *env = strait_loop_env(e->loop);
    uint64_t deadline_ns = env->now(env) + ms * 1000000;
    while (env->now(env) < deadline_ns)
        assert_int_equal(strait_loop_turn(e->loop, deadline_ns), 0);
}

int embedded_setup(void **state)
{
    struct embedded *e = calloc(1, sizeof(*e));
    if (e == NULL)
        return -1;
    strait_config_init(&e->config);
    *state = e;
    return 0;
}

void embedded_stop(struct embedded *e)
{
    if (e->link != NULL && e->loop != NULL)
        strait_loop_remove(e->loop, e->link);
    strait_free(e->stack);
    if (e->link != NULL)
        e->link->close(e->link);
    if (e->loop != NULL)
        strait_loop_free(e->loop);
    e->stack = NULL;
    e->link = NULL;
    e->loop = NULL;
}

int embedded_teardown(void **state)
{
    struct embedded *e = *state;
    embedded_stop(e);
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

uint64_t embedded_counter(const struct embedded *e, const char *name)
{
    struct wanted wanted = {.name = name};
    strait_counters(e->stack, look_at_counter, &wanted);
    assert_true(wanted.found);
    return wanted.value;
}

int embedded_connect(struct embedded *e, uint16_t port)
{
    struct sockaddr_in to = address_of(KERNEL_ADDRESS, port);
    int fd = strait_socket(e->stack, AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    if (strait_connect(e->stack, fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        fail_msg("connecting: %m");
    return fd;
}

/* ---- The kernel's side --------------------------------------------------------------------- */

/* Notes what the kernel knows of a connection that is about to be closed. */
static void look_at_connection(struct peer *p, int fd)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);
    p->retransmissions += kernel_retransmissions(fd);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0)
        p->options = info.tcpi_options;
}

/* The next connection, or -1 with what is wrong in p->error. No test is failed on this thread. */
static int next_connection(struct peer *p)
{
    if (p->to_port == 0) {
        int fd = accept(p->listener, NULL, NULL);
        if (fd < 0)
            snprintf(p->error, sizeof(p->error), "accept: %s", strerror(errno));
        return fd;
    }
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(p->to_port)};
    inet_pton(AF_INET, STRAIT_ADDRESS, &to.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
        return fd;
    snprintf(p->error, sizeof(p->error), "connect: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static int connect_all(struct peer *p, struct transfer *list)
{
    for (size_t i = 0; i < p->connections; i++) {
        int fd = next_connection(p);
        if (fd < 0)
            return -1;
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
    if (connect_all(p, list) == 0)
        p->result = p->act != NULL ? p->act(list[0].fd)
                                   : transfer_run(&kernel_transport, list, p->connections, RUN_MS,
                                                  p->error, sizeof(p->error));
    for (size_t i = 0; i < p->connections && list[i].fd >= 0; i++) {
        look_at_connection(p, list[i].fd);
        transfer_finish(&list[i]);
        close(list[i].fd);
    }
    free(list);
    return NULL;
}

uint16_t peer_start(struct embedded *e, struct peer peer)
{
    struct peer *p = &e->peer;
    *p = peer;
    p->listener = p->to_port == 0 ? kernel_listen(&p->port) : -1;
    if (p->connections == 0)
        p->connections = 1;
    assert_int_equal(pthread_create(&p->thread, NULL, peer_main, p), 0);
    p->started = true;
    return p->port;
}

void peer_join(struct embedded *e)
{
    struct peer *p = &e->peer;
    uint64_t deadline = now_ms() + RUN_MS;
    while (pthread_tryjoin_np(p->thread, NULL) != 0) {
        assert_true(now_ms() < deadline);
        embedded_drive(e, 5);
    }
    p->started = false;
    if (p->listener >= 0)
        close(p->listener);
    if (p->result != 0)
        fail_msg("the kernel's side: %s", p->error);
}
