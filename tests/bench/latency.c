/* SPDX-License-Identifier: MIT */
/*
 * Latency: a byte there and a byte back, on one connection or many at once, each of which sends its
 * next byte when it has got the last; and whole connections: opened, a byte each way, closed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bulk.h"
#include "cell.h"

#define TIMES_MAX  ((size_t)4 << 20)
#define EVENTS_MAX 256
#define WARM_UP_NS (NS_PER_S / 20)

/* A connection comes from one of so many addresses, so that no pair of ports is used twice. */
#define CALLERS        16
#define CALLER_NETWORK "10.8.0.0/24"
#define CALLER_FIRST   0x0a080001u

/* The measurements of one cell. */
struct meter {
    uint64_t begin_ns, end_ns;
    uint32_t *times_ns;
    size_t count;
};

static struct meter meter_start(const struct cell *cell)
{
    struct meter m = {.times_ns = get_memory(TIMES_MAX * sizeof(uint32_t))};
    m.begin_ns = now_ns() + WARM_UP_NS;
    m.end_ns = m.begin_ns + (uint64_t)(cell->seconds * 1e9);
    return m;
}

/* Notes one that ends now. Returns the time. */
static uint64_t meter_note(struct meter *m, uint64_t start_ns)
{
    uint64_t time_ns = now_ns();
    if (time_ns >= m->begin_ns && m->count < TIMES_MAX)
        m->times_ns[m->count++] = (uint32_t)(time_ns - start_ns);
    return time_ns;
}

static double meter_rate(const struct meter *m, const struct cell *cell)
{
    return (double)m->count / cell->seconds;
}

static void meter_end(struct meter *m)
{
    free(m->times_ns);
}

/* ---- A byte there and back --------------------------------------------------------------------
 */

static void send_byte(int fd)
{
    if (send(fd, "x", 1, 0) != 1)
        fail("sending a byte");
}

static void receive_byte(const struct cell *cell, int fd)
{
    char byte;
    ssize_t n;
    do
        n = recv(fd, &byte, 1, cell->spin ? MSG_DONTWAIT : 0);
    while (cell->spin && n < 0 && errno == EAGAIN);
    if (n != 1)
        fail("receiving a byte");
}

static struct meter ping_pong(const struct cell *cell)
{
    int fd = call_subject(cell, PORT_ECHO);
    struct meter m = meter_start(cell);
    for (uint64_t time_ns = now_ns(); time_ns < m.end_ns;) {
        send_byte(fd);
        receive_byte(cell, fd);
        time_ns = meter_note(&m, time_ns);
    }
    close(fd);
    return m;
}

struct caller {
    int fd;
    uint64_t sent_ns;
};

static void start_caller(const struct cell *cell, struct caller *caller, int epoll)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = caller};
    caller->fd = call_subject(cell, PORT_ECHO);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, caller->fd, &event))
        fail("epoll");
    caller->sent_ns = now_ns();
    send_byte(caller->fd);
}

static struct meter ping_pong_many(const struct cell *cell)
{
    struct caller *callers = get_memory(cell->connections * sizeof(*callers));
    struct epoll_event events[EVENTS_MAX];
    int epoll = epoll_create1(0);
    for (unsigned i = 0; i < cell->connections; i++)
        start_caller(cell, &callers[i], epoll);
    struct meter m = meter_start(cell);
    for (uint64_t time_ns = 0; time_ns < m.end_ns;) {
        int count = epoll_wait(epoll, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            struct caller *caller = events[i].data.ptr;
            receive_byte(cell, caller->fd);
            time_ns = caller->sent_ns = meter_note(&m, caller->sent_ns);
            send_byte(caller->fd);
        }
    }
    close(epoll);
    free(callers);
    return m;
}

static void rr(const struct cell *cell)
{
    struct meter m = cell->connections == 1 ? ping_pong(cell) : ping_pong_many(cell);
    figure_times(m.times_ns, m.count);
    figure("_calls", "1/s", meter_rate(&m, cell));
    meter_end(&m);
}

static void rr_beside_bulk(const struct cell *cell)
{
    struct stream *beside = stream_start(cell, PORT_SOURCE);
    rr(cell);
    stream_end(beside);
}

/* ---- Whole connections ------------------------------------------------------------------------
 */

static void write_setting(const char *name, const char *value)
{
    FILE *file = fopen(name, "we");
    if (!file || fputs(value, file) < 0 || fclose(file))
        fail("%s", name);
}

/* Many addresses, and all the ports: a search for a free one would be what is measured. */
static void prepare_callers(void)
{
    write_setting("/proc/sys/net/ipv4/ip_local_port_range", "1024 65535");
    if (system("ip route add local " CALLER_NETWORK " dev lo") != 0)
        fail("the addresses of " CALLER_NETWORK);
}

static void call_once(const struct cell *cell, const struct sockaddr_in *to, unsigned number)
{
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(CALLER_FIRST + number % CALLERS)};
    int fd = kernel_socket();
    if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int)) ||
        bind(fd, (const struct sockaddr *)&from, sizeof(from)) ||
        connect(fd, (const struct sockaddr *)to, sizeof(*to)))
        fail("call %u", number);
    send_byte(fd);
    receive_byte(cell, fd);
    close(fd);
}

static void connect_calls(const struct cell *cell)
{
    prepare_callers();
    struct sockaddr_in to = address_of(cell->subject->address, PORT_CALL);
    struct meter m = meter_start(cell);
    unsigned number = 0;
    for (uint64_t time_ns = now_ns(); time_ns < m.end_ns;) {
        call_once(cell, &to, number++);
        time_ns = meter_note(&m, time_ns);
    }
    figure("", "1/s", meter_rate(&m, cell));
    meter_end(&m);
}

const struct work latency_works[] = {
    {"rr", rr, false},
    {"rr_beside_bulk", rr_beside_bulk, false},
    {"connect", connect_calls, false},
    {0},
};
