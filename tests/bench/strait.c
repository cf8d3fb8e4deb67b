/* SPDX-License-Identifier: MIT */
/*
 * Strait as a subject: the library, its loop, and the services that `strait serve` offers, as they
 * are, with every setting at its default; one that takes bytes without copying them, and one that
 * sends copies.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "cell.h"
#include "echo/echo.h"
#include "http/http.h"
#include "strait.h"
#include "stream.h"

#define BUSY_POLL_NS UINT64_C(100000) /* of a cell that spins */
#define PARTS_MAX    64
#define BACKLOG      16

static struct strait_link *open_link(const struct cell *cell)
{
    char error[200];
    struct strait_tun_config config = {
        .size = sizeof(config),
        .name = "tun0",
        .mtu = cell->mtu,
        .plain = cell->plain,
        .peer = address_of(KERNEL_ADDRESS, 0).sin_addr,
        .prefix_bits = PREFIX_BITS,
        .queue_packets = QUEUE_PACKETS,
    };
    struct strait_link *link = strait_tun_open(&config, error, sizeof(error));
    if (!link)
        fail("%s", error);
    return link;
}

/* Takes what has come by looking at it. */
static void borrow(void *argument, int fd, short revents)
{
    struct strait *stack = argument;
    struct iovec parts[PARTS_MAX];
    int count;
    (void)revents;
    while ((count = strait_recv_borrow(stack, fd, parts, PARTS_MAX)) > 0) {
        size_t bytes = 0;
        for (int i = 0; i < count; i++)
            bytes += parts[i].iov_len;
        strait_recv_consume(stack, fd, bytes);
    }
    if (count == 0 || errno != EAGAIN)
        strait_close(stack, fd);
}

/* Sends copies, as whoever makes its bytes anew for each call. */
static void copy(void *argument, int fd, short revents)
{
    struct strait *stack = argument;
    static const char piece[PIECE_BYTES];
    (void)revents;
    if (strait_send(stack, fd, piece, sizeof(piece), MSG_NOSIGNAL) < 0 && errno != EAGAIN)
        strait_close(stack, fd);
}

static void accept_lender(void *argument, int listener, short revents)
{
    struct strait *stack = argument;
    (void)revents;
    int fd = strait_accept4(stack, listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd >= 0 && strait_watch(stack, fd, POLLIN, borrow, stack))
        fail("watching a socket");
}

static void accept_taker(void *argument, int listener, short revents)
{
    struct strait *stack = argument;
    (void)revents;
    int fd = strait_accept4(stack, listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd >= 0 && strait_watch(stack, fd, POLLOUT, copy, stack))
        fail("watching a socket");
}

static bool serve_port(struct strait *stack, uint16_t port,
                       void (*accept)(void *stack, int listener, short revents))
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = strait_socket(stack, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    return fd >= 0 && strait_bind(stack, fd, (struct sockaddr *)&at, sizeof(at)) == 0 &&
           strait_listen(stack, fd, BACKLOG) == 0 &&
           strait_watch(stack, fd, POLLIN, accept, stack) == 0;
}

static void serve(const struct cell *cell)
{
    if (cell->queues > 1)
        serve_queues(cell);
    struct in_addr address = address_of(SUBJECT_ADDRESS, 0).sin_addr;
    struct http_config http = {.port = PORT_HTTP};
    struct strait_config config;
    struct strait_loop *loop = strait_loop_new();
    if (!loop)
        fail("the loop");
    struct strait_env *env = strait_loop_env(loop);
    struct strait_link *link = open_link(cell);
    strait_config_init(&config);
    env->random(env, config.secret, sizeof(config.secret));
    struct strait *stack = strait_new(&config, env);
    if (!stack || strait_attach(stack, link, address, PREFIX_BITS) ||
        strait_loop_add(loop, stack, link))
        fail("the host");
    if (!echo_start(stack, env, PORT_ECHO) || !echo_start(stack, env, PORT_CALL) ||
        !discard_start(stack, env, PORT_DISCARD) || !chargen_start(stack, env, PORT_SOURCE) ||
        !http_start(stack, env, &http) || !serve_port(stack, PORT_BORROW, accept_lender) ||
        !serve_port(stack, PORT_COPY, accept_taker))
        fail("the services");
    const struct stream_host host = stream_host_strait(stack, env);
    rpc_serve(&host);
    if (cell->spin)
        strait_loop_busy_poll(loop, BUSY_POLL_NS);
    cell_ready();
    strait_loop_run(loop);
    fail("tun0");
}

const struct subject subject_strait = {
    .name = "strait", .address = SUBJECT_ADDRESS, .serve = serve};
