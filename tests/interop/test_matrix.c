/* SPDX-License-Identifier: MIT */
/*
 * Every mixture of what the two sides offer: timestamps, selective acknowledgements, window scaling
 * and ECN, each on or off in the kernel and in Strait, with either as the client. Whatever they
 * agree on, the bytes arrive; and the kernel tells what they agreed on, which has to be what both
 * have offered.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/tcp.h>
#include <stdio.h>

#include "embedded.h"
#include "transfer.h"

enum feature { TIMESTAMPS = 1, SACK = 2, SCALING = 4, ECN = 8, FEATURES = 16 };

static const char *const switches[] = {"tcp_timestamps", "tcp_sack", "tcp_window_scaling",
                                       "tcp_ecn"};

/* TUN and settings are those of the sandbox's namespace. */
static void kernel_offers(unsigned features)
{
    for (unsigned i = 0; i < sizeof(switches) / sizeof(switches[0]); i++) {
        char path[100];
        snprintf(path, sizeof(path), "/proc/sys/net/ipv4/%s", switches[i]);
        FILE *file = fopen(path, "we");
        assert_non_null(file);
        fputs(features & 1u << i ? "1" : "0", file); /* 1 asks for ECN, too */
        if (fclose(file) != 0)
            fail_msg("%s: %m", path);
    }
}

static void strait_offers(struct strait_config *config, unsigned features)
{
    config->timestamps = features & TIMESTAMPS;
    config->sack = features & SACK;
    config->window_scaling = features & SCALING;
    config->ecn = features & ECN ? STRAIT_ECN_REQUEST : STRAIT_ECN_OFF;
}

/* What the kernel calls them in tcpi_options. */
static uint8_t kernel_names(unsigned features)
{
    return (uint8_t)((features & TIMESTAMPS ? TCPI_OPT_TIMESTAMPS : 0) |
                     (features & SACK ? TCPI_OPT_SACK : 0) |
                     (features & SCALING ? TCPI_OPT_WSCALE : 0) |
                     (features & ECN ? TCPI_OPT_ECN : 0));
}

#define COMPARED (TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE | TCPI_OPT_ECN)
#define BYTES    200000 /* each way: more than a window without scaling */

/* One exchange over a connected socket of Strait, which is closed. */
static void exchange(struct embedded *e, int fd)
{
    struct transport via = strait_transport(e->stack);
    struct transfer t;
    char error[200] = "";
    transfer_init(&t, fd, SEED_UP, BYTES, SEED_DOWN, BYTES);
    int result = transfer_run(&via, &t, 1, RUN_MS, error, sizeof(error));
    transfer_finish(&t);
    assert_int_equal(strait_close(e->stack, fd), 0);
    if (result != 0)
        fail_msg("Strait's side: %s", error);
}

static void check_agreement(const struct embedded *e, const char *client, unsigned kernel,
                            unsigned strait)
{
    if ((e->peer.options & COMPARED) != kernel_names(kernel & strait))
        fail_msg("%s is the client, the kernel offers %x, Strait %x: they agreed on %x, not %x",
                 client, kernel, strait, e->peer.options & COMPARED, kernel_names(kernel & strait));
    if (e->peer.retransmissions != 0)
        fail_msg("%s is the client, the kernel offers %x, Strait %x: %u segments sent again",
                 client, kernel, strait, e->peer.retransmissions);
}

static void strait_connects(struct embedded *e)
{
    struct peer peer = {.up_bytes = BYTES, .down_bytes = BYTES};
    exchange(e, embedded_connect(e, peer_start(e, peer)));
    peer_join(e);
}

static void kernel_connects(struct embedded *e, int listener)
{
    struct peer peer = {.to_port = PORT_ECHO, .up_bytes = BYTES, .down_bytes = BYTES};
    peer_start(e, peer);
    int fd = strait_accept(e->stack, listener, NULL, NULL);
    if (fd < 0)
        fail_msg("accepting: %m");
    exchange(e, fd);
    peer_join(e);
}

static int listen_on_echo_port(struct embedded *e)
{
    struct sockaddr_in at = address_of("0.0.0.0", PORT_ECHO);
    int fd = strait_socket(e->stack, AF_INET, SOCK_STREAM, 0);
    assert_int_equal(strait_bind(e->stack, fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(strait_listen(e->stack, fd, 8), 0);
    return fd;
}

static void try_all(struct embedded *e, bool plain)
{
    for (unsigned strait = 0; strait < FEATURES; strait++) {
        strait_offers(&e->config, strait);
        embedded_start(e, plain, 0);
        int listener = listen_on_echo_port(e);
        for (unsigned kernel = 0; kernel < FEATURES; kernel++) {
            kernel_offers(kernel);
            strait_connects(e);
            check_agreement(e, "Strait", kernel, strait);
            kernel_connects(e, listener);
            check_agreement(e, "the kernel", kernel, strait);
        }
        assert_int_equal(embedded_counter(e, "tcp_retransmitted_segments"), 0);
        embedded_stop(e);
    }
}

static void every_mixture_of_options_is_agreed_on_and_works(void **state)
{
    try_all(*state, false);
}

static void every_mixture_of_options_works_without_offload(void **state)
{
    try_all(*state, true);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, embedded_setup, embedded_teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_mixture_of_options_is_agreed_on_and_works),
        TEST(every_mixture_of_options_works_without_offload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
