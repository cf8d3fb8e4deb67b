/* SPDX-License-Identifier: MIT */
/*
 * The kernel sees a path of three hosts of Strait behind one TUN: two routers and an end, joined by
 * links in memory. A child process drives them.
 *
 *     kernel 10.7.0.1 -- tun0 -- 10.7.0.2 router 10.8.0.1 -- 10.8.0.2 router 10.9.0.1 -- 10.9.0.2
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kernel.h"
#include "strait.h"
#include "transfer.h"

#define HOSTS   3
#define END     "10.9.0.2"
#define NETWORK "10.0.0.0/8"

/* ---- The hosts ------------------------------------------------------------------------------ */

struct packet {
    struct packet *next;
    size_t length;
    struct strait_offload offload;
    uint8_t bytes[];
};

/* One end of a link in memory: what is sent into it waits at the other end. */
struct pipe_end {
    struct strait_link link;
    struct pipe_end *other;
    struct packet *first, **last;
};

struct world {
    struct strait *hosts[HOSTS];
    struct strait_link *tun;
    struct pipe_end ends[2 * (HOSTS - 1)]; /* those of a pipe beside each other */
    bool failed;
};

static uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int pipe_send(struct strait_link *link, const struct iovec *parts, int count,
                     const struct strait_offload *offload)
{
    struct pipe_end *to = ((struct pipe_end *)(void *)link)->other;
    size_t length = 0;
    for (int i = 0; i < count; i++)
        length += parts[i].iov_len;
    struct packet *packet = malloc(sizeof(*packet) + length);
    if (packet == NULL)
        abort();
    *packet = (struct packet){.length = 0, .offload = *offload};
    for (int i = 0; i < count; i++) {
        if (parts[i].iov_len > 0)
            memcpy(packet->bytes + packet->length, parts[i].iov_base, parts[i].iov_len);
        packet->length += parts[i].iov_len;
    }
    *to->last = packet;
    to->last = &packet->next;
    return 0;
}

static void pipe_deliver(struct pipe_end *end, uint64_t now_ns)
{
    struct packet *packet;
    while ((packet = end->first) != NULL) {
        end->first = packet->next;
        if (end->first == NULL)
            end->last = &end->first;
        end->link.receive(&end->link, packet->bytes, packet->length, &packet->offload, now_ns);
        free(packet);
    }
}

static void attach(struct world *w, int host, struct strait_link *link, const char *address)
{
    if (strait_attach(w->hosts[host], link, address_of(address, 0).sin_addr, 24) != 0)
        w->failed = true;
}

static void route(struct world *w, int host, const char *network, struct strait_link *link)
{
    if (strait_route(w->hosts[host], address_of(network, 0).sin_addr, 24, link) != 0)
        w->failed = true;
}

static bool world_init(struct world *w, uint32_t inner_mtu)
{
    char error[200];
    struct strait_config config;
    struct strait_tun_config tun = {
        .size = sizeof(tun),
        .name = DEVICE,
        .peer = address_of(KERNEL_ADDRESS, 0).sin_addr,
        .prefix_bits = 24,
        .plain = true,
    };

    *w = (struct world){.tun = strait_tun_open(&tun, error, sizeof(error))};
    if (w->tun == NULL)
        return false;
    for (int i = 0; i < HOSTS; i++) {
        strait_config_init(&config);
        config.secret[0] = (uint8_t)i;
        config.forward = i < HOSTS - 1;
        w->hosts[i] = strait_new(&config, NULL);
        if (w->hosts[i] == NULL)
            return false;
    }
    for (int i = 0; i < 2 * (HOSTS - 1); i++) {
        struct pipe_end *end = &w->ends[i];
        end->link = (struct strait_link){.size = sizeof(end->link),
                                         .name = "pipe",
                                         .mtu = inner_mtu,
                                         .fd = -1,
                                         .send = pipe_send};
        end->other = &w->ends[i ^ 1];
        end->last = &end->first;
    }
    /* The first link of each host leads towards the kernel, and is its default route. */
    attach(w, 0, w->tun, "10.7.0.2");
    attach(w, 0, &w->ends[0].link, "10.8.0.1");
    attach(w, 1, &w->ends[1].link, "10.8.0.2");
    attach(w, 1, &w->ends[2].link, "10.9.0.1");
    attach(w, 2, &w->ends[3].link, END);
    route(w, 0, "10.9.0.0", &w->ends[0].link);
    return !w->failed;
}

/* Drives the world until it is killed. */
static void world_run(struct world *w)
{
    for (;;) {
        struct pollfd fd = {.fd = w->tun->fd, .events = POLLIN};
        poll(&fd, 1, 10);
        uint64_t now_ns = clock_ns();
        if (w->tun->drain(w->tun, now_ns, 1 << 20) < 0)
            return;
        /* As many rounds as a packet has hops, there and back. */
        for (int round = 0; round < 2 * HOSTS; round++) {
            for (int i = 0; i < 2 * (HOSTS - 1); i++)
                pipe_deliver(&w->ends[i], now_ns);
            for (int i = 0; i < HOSTS; i++)
                strait_advance(w->hosts[i], now_ns);
        }
    }
}

/* ---- The child ------------------------------------------------------------------------------ */

struct child {
    pid_t pid;
};

static int setup_with(void **state, uint32_t inner_mtu)
{
    struct child *c = calloc(1, sizeof(*c));
    assert_non_null(c);
    *state = c;
    c->pid = fork();
    assert_true(c->pid >= 0);
    if (c->pid == 0) {
        static struct world world;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (world_init(&world, inner_mtu))
            world_run(&world);
        _exit(1);
    }
    /* Until the device is there the route is refused. */
    char output[1024];
    uint64_t deadline = now_ms() + WAIT_MS;
    while (run_command(output, sizeof(output),
                       "ip route replace " NETWORK " via " STRAIT_ADDRESS " dev " DEVICE) != 0) {
        if (now_ms() >= deadline)
            fail_msg("no device: %s", output);
        usleep(1000);
    }
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, 1500);
}

static int setup_narrow(void **state)
{
    return setup_with(state, 576);
}

static int teardown(void **state)
{
    struct child *c = *state;
    if (c->pid > 0) {
        kill(c->pid, SIGKILL);
        waitpid(c->pid, NULL, 0);
    }
    free(c);
    return 0;
}

/* ---- What the kernel sees ------------------------------------------------------------------- */

static void ping(const char *options)
{
    char output[4096];
    int status = run_command(output, sizeof(output), "ping -n -q -w 30 %s " END, options);
    if (status != 0 || strstr(output, " 0% packet loss") == NULL)
        fail_msg("ping %s: %s", options, output);
}

/* Whether the lines of the hops come in their order, and nothing else. */
static bool shows_the_path(const char *output)
{
    static const char *const hops[] = {" 1  10.7.0.2  ", " 2  10.8.0.2  ", " 3  10.9.0.2  "};
    const char *at = output;

    for (int i = 0; i < 3; i++) {
        at = strstr(at, hops[i]);
        if (at == NULL)
            return false;
    }
    return strpbrk(output, "*!") == NULL && strstr(at, "\n 4 ") == NULL;
}

static void traceroute(const char *options)
{
    char output[4096];
    int status = run_command(output, sizeof(output), "traceroute -n -w 5 %s " END, options);
    if (status != 0 || !shows_the_path(output))
        fail_msg("traceroute %s: %s", options, output);
}

static void traceroute_shows_each_hop_of_the_path_rfc1812_5_3_1(void **state)
{
    (void)state;
    traceroute("");   /* UDP */
    traceroute("-I"); /* ICMP */
    traceroute("-T -p 80");
}

static void pings_go_through_two_routers(void **state)
{
    (void)state;
    ping("-c 20 -i 0.01 -t 3");
    ping("-c 20 -i 0.01 -s 65507");
}

/* The kernel's fragments are cut again at the first router; the answers come in small ones. */
static void fragments_go_through_narrow_links(void **state)
{
    (void)state;
    ping("-c 10 -i 0.01 -s 1400 -M dont");
    ping("-c 10 -i 0.01 -s 65507 -M dont");
}

/* RFC 1191 4: ping is told the MTU that the next hop has. */
static void a_ping_with_df_hears_of_the_mtu(void **state)
{
    char output[4096];
    (void)state;

    ping("-c 1 -s 548 -M do");
    run_command(output, sizeof(output), "ping -n -c 1 -w 5 -s 549 -M do " END);
    if (strstr(output, "From 10.7.0.2 icmp_seq=1 Frag needed and DF set (mtu = 576)") == NULL)
        fail_msg("%s", output);
}

int main(void)
{
#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(traceroute_shows_each_hop_of_the_path_rfc1812_5_3_1, setup),
        TEST(pings_go_through_two_routers, setup),
        TEST(fragments_go_through_narrow_links, setup_narrow),
        TEST(a_ping_with_df_hears_of_the_mtu, setup_narrow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
