/* SPDX-License-Identifier: MIT */
/*
 * The kernel's own TCP as a subject, over loopback, in the way that is fastest for each: a thread
 * that blocks for each connection, and epoll on one thread where there are many small exchanges. On
 * PORT_CALL the thread that accepts serves the connections itself, one by one. Procedures are
 * served by the very code that serves them on Strait, over streams of the kernel.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cell.h"
#include "stream.h"

#define BACKLOG     1024
#define STACK_BYTES ((size_t)65536)
#define EVENTS_MAX  256

#define MESSAGE_BYTES 4096 /* an echoed message, or a request, is no longer */

#define PAGE     "Strait is compared with this page.\n"
#define RESPONSE "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 35\r\n\r\n" PAGE

_Static_assert(sizeof(PAGE) - 1 == 35, "the response says so");

struct service {
    const struct cell *cell;
    uint16_t port;
    /* Takes what has come, and answers. Returns false at the end of the connection. */
    bool (*answer)(const struct cell *, int fd, char *piece);
    enum { BY_THREADS, IN_TURN, BY_EPOLL } way;
    int listener;
};

struct guest {
    const struct service *service;
    int fd;
};

/* recv that, in a cell that spins, asks again and again. */
static ssize_t receive(const struct cell *cell, int fd, void *bytes, size_t length)
{
    ssize_t n;
    do
        n = recv(fd, bytes, length, cell->spin ? MSG_DONTWAIT : 0);
    while (cell->spin && n < 0 && errno == EAGAIN);
    return n;
}

static bool answer_echo(const struct cell *cell, int fd, char *piece)
{
    ssize_t n = receive(cell, fd, piece, MESSAGE_BYTES);
    return n > 0 && send(fd, piece, (size_t)n, 0) == n;
}

static bool answer_discard(const struct cell *cell, int fd, char *piece)
{
    return receive(cell, fd, piece, PIECE_BYTES) > 0;
}

static bool answer_source(const struct cell *cell, int fd, char *piece)
{
    (void)cell;
    return send(fd, piece, PIECE_BYTES, 0) > 0;
}

/* Requests without a body, whole in what is received at once: what wrk sends. */
static bool answer_http(const struct cell *cell, int fd, char *piece)
{
    return receive(cell, fd, piece, MESSAGE_BYTES) > 0 &&
           send(fd, RESPONSE, sizeof(RESPONSE) - 1, 0) > 0;
}

static char *new_piece(void)
{
    char *piece = get_memory(PIECE_BYTES);
    memset(piece, 'x', PIECE_BYTES);
    return piece;
}

static void attend(const struct service *service, int fd, char *piece)
{
    while (service->answer(service->cell, fd, piece))
        ;
    close(fd);
}

static void *attend_guest(void *argument)
{
    struct guest *guest = argument;
    char *piece = new_piece();
    attend(guest->service, guest->fd, piece);
    free(piece);
    free(guest);
    return NULL;
}

static void start_thread(void *(*run)(void *), void *argument)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    errno = pthread_create(&thread, &attributes, run, argument);
    if (errno)
        fail("a thread");
    pthread_attr_destroy(&attributes);
}

/* The next connection; -1: there will be none. */
static int accept_guest(const struct service *service)
{
    int fd;
    do
        fd = accept(service->listener, NULL, NULL);
    while (fd < 0 && errno == EAGAIN); /* the listener's patience is over */
    return fd;
}

static void watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
        fail("epoll");
}

/* One thread for all connections. */
static void *serve_by_epoll(void *argument)
{
    const struct service *service = argument;
    struct epoll_event events[EVENTS_MAX];
    char *piece = new_piece();
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(epoll, service->listener);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS_MAX, -1);
        if (count < 0)
            fail("epoll");
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == service->listener)
                watch(epoll, accept_guest(service));
            else if (!service->answer(service->cell, fd, piece))
                close(fd);
        }
    }
}

static void *serve_one_by_one(void *argument)
{
    const struct service *service = argument;
    char *piece = new_piece();
    for (;;) {
        int fd = accept_guest(service);
        if (fd < 0)
            fail("accepting on port %u", service->port);
        if (service->way == IN_TURN) {
            attend(service, fd, piece);
            continue;
        }
        struct guest *guest = get_memory(sizeof(*guest));
        *guest = (struct guest){service, fd};
        start_thread(attend_guest, guest);
    }
}

void kernel_serve(const struct cell *cell, const char *address)
{
    int small = cell->connections == 1 ? BY_THREADS : BY_EPOLL;
    struct service services[] = {
        {cell, PORT_ECHO, answer_echo, small, -1},
        {cell, PORT_CALL, answer_echo, IN_TURN, -1},
        {cell, PORT_DISCARD, answer_discard, BY_THREADS, -1},
        {cell, PORT_SOURCE, answer_source, BY_THREADS, -1},
        {cell, PORT_HTTP, answer_http, small, -1},
    };
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
        struct sockaddr_in at = address_of(address, services[i].port);
        services[i].listener = kernel_socket();
        if (bind(services[i].listener, (struct sockaddr *)&at, sizeof(at)) ||
            listen(services[i].listener, BACKLOG))
            fail("port %u of %s", services[i].port, address);
        start_thread(services[i].way == BY_EPOLL ? serve_by_epoll : serve_one_by_one, &services[i]);
    }
    struct strait_loop *loop = strait_loop_new();
    if (!loop)
        fail("the loop");
    const struct stream_host host = stream_host_kernel(strait_loop_env(loop));
    rpc_serve(&host);
    cell_ready();
    strait_loop_run(loop);
    fail("the loop");
}

static void serve(const struct cell *cell)
{
    kernel_serve(cell, subject_kernel.address);
}

const struct subject subject_kernel = {.name = "kernel", .address = "127.0.0.1", .serve = serve};
