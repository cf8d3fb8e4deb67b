/* SPDX-License-Identifier: MIT */
/*
 * The kernel's own TCP as a subject, over loopback. A thread waits for the connections of each
 * port, and each connection has a thread of its own that blocks: of the ways to use sockets the one
 * with the fewest system calls. On PORT_CALL the waiting thread serves them itself, one by one.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cell.h"

#define BACKLOG     1024
#define STACK_BYTES ((size_t)65536)

#define PAGE     "Strait is compared with this page.\n"
#define RESPONSE "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 35\r\n\r\n" PAGE

_Static_assert(sizeof(PAGE) - 1 == 35, "the response says so");

struct service {
    const struct cell *cell;
    uint16_t port;
    void (*serve)(const struct cell *, int fd);
    bool in_turn; /* by the thread that accepts */
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
    while (n < 0 && errno == EAGAIN);
    return n;
}

static void serve_echo(const struct cell *cell, int fd)
{
    char bytes[4096];
    ssize_t n;
    while ((n = receive(cell, fd, bytes, sizeof(bytes))) > 0)
        if (send(fd, bytes, (size_t)n, 0) != n)
            return;
}

static void serve_discard(const struct cell *cell, int fd)
{
    char *piece = get_memory(PIECE_BYTES);
    while (receive(cell, fd, piece, PIECE_BYTES) > 0)
        ;
    free(piece);
}

static void serve_source(const struct cell *cell, int fd)
{
    char *piece = get_memory(PIECE_BYTES);
    (void)cell;
    memset(piece, 'x', PIECE_BYTES);
    while (send(fd, piece, PIECE_BYTES, 0) > 0)
        ;
    free(piece);
}

/* Requests without a body, whole in what is received at once: what wrk sends. */
static void serve_http(const struct cell *cell, int fd)
{
    char bytes[4096];
    ssize_t n;
    while ((n = receive(cell, fd, bytes, sizeof(bytes))) > 0)
        if (send(fd, RESPONSE, sizeof(RESPONSE) - 1, 0) < 0)
            return;
}

static void *attend(void *argument)
{
    struct guest *guest = argument;
    guest->service->serve(guest->service->cell, guest->fd);
    close(guest->fd);
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

static void *accept_guests(void *argument)
{
    const struct service *service = argument;
    for (;;) {
        int fd = accept(service->listener, NULL, NULL);
        if (fd < 0 && errno == EAGAIN) /* the listener's patience is over */
            continue;
        if (fd < 0)
            fail("accepting on port %u", service->port);
        if (service->in_turn) {
            service->serve(service->cell, fd);
            close(fd);
            continue;
        }
        struct guest *guest = get_memory(sizeof(*guest));
        *guest = (struct guest){service, fd};
        start_thread(attend, guest);
    }
}

void kernel_serve(const struct cell *cell, const char *address)
{
    struct service services[] = {
        {cell, PORT_ECHO, serve_echo, false, -1},
        {cell, PORT_CALL, serve_echo, true, -1},
        {cell, PORT_DISCARD, serve_discard, false, -1},
        {cell, PORT_SOURCE, serve_source, false, -1},
        {cell, PORT_HTTP, serve_http, false, -1},
    };
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
        struct sockaddr_in at = address_of(address, services[i].port);
        services[i].listener = kernel_socket();
        if (bind(services[i].listener, (struct sockaddr *)&at, sizeof(at)) ||
            listen(services[i].listener, BACKLOG))
            fail("port %u of %s", services[i].port, address);
        start_thread(accept_guests, &services[i]);
    }
    cell_ready();
    for (;;)
        pause();
}

static void serve(const struct cell *cell)
{
    kernel_serve(cell, subject_kernel.address);
}

const struct subject subject_kernel = {.name = "kernel", .address = "127.0.0.1", .serve = serve};
