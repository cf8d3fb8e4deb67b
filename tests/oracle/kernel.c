/* SPDX-License-Identifier: MIT */
/*
 * The kernel as a subject: the sockets of this process, and a TUN device without any offload whose
 * packets are read and written raw. The kernel takes a packet and answers it inside write(), so
 * that all that is left to wait for is its timers. Its time is real; what it asks of the machine is
 * that this process runs when a wait is over, and in_time tells whether it has.
 */
#define _GNU_SOURCE /* accept4 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "subject.h"

#define DEVICE         "oracle0"
#define SETTINGS       "/proc/sys/net/ipv4/"
#define SOCKETS_MAX    32
#define LATE_NS_MAX    25000000 /* in a script: less than what tells one timer from the next */
#define READ_BYTES_MAX 65536

struct host {
    struct subject subject;
    int tun;
    int sockets[SOCKETS_MAX]; /* closed at the end, if they are not yet */
    size_t socket_count;
    int64_t began_ns,
        planned_ns; /* the script's time: since when, and how much has been asked for */
};

static struct host *host_of(const struct subject *s)
{
    return (struct host *)s;
}

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "the kernel as oracle: %s: %s (run it by scripts/sandbox, as root)\n", what,
            strerror(errno));
    exit(EXIT_FAILURE);
}

/* ---- The network ---- */

static int64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void host_inject(struct subject *s, const void *packet, size_t length)
{
    if (write(host_of(s)->tun, packet, length) != (ssize_t)length)
        give_up("writing a packet");
}

static void drain(struct host *h)
{
    uint8_t packet[READ_BYTES_MAX];
    ssize_t length;
    while ((length = read(h->tun, packet, sizeof packet)) > 0)
        h->subject.sent(h->subject.context, packet, (size_t)length);
    if (length < 0 && errno != EAGAIN)
        give_up("reading packets");
}

static void host_run(struct subject *s, unsigned ms)
{
    struct host *h = host_of(s);
    int64_t wait_ns = (int64_t)ms * 1000000, until_ns = clock_ns() + wait_ns, left_ns;
    h->planned_ns += wait_ns;
    drain(h);
    while ((left_ns = until_ns - clock_ns()) > 0) {
        struct pollfd readable = {.fd = h->tun, .events = POLLIN};
        struct timespec left = {.tv_sec = left_ns / 1000000000, .tv_nsec = left_ns % 1000000000};
        ppoll(&readable, 1, &left, NULL);
        drain(h);
    }
}

static bool host_in_time(const struct subject *s)
{
    const struct host *h = host_of(s);
    return clock_ns() - h->began_ns - h->planned_ns < LATE_NS_MAX;
}

/* ---- The sockets ---- */

/* Notes a descriptor, so that it does not outlive the script. */
static int keep(struct subject *s, int fd)
{
    struct host *h = host_of(s);
    CHECK(h->socket_count < SOCKETS_MAX);
    if (fd >= 0)
        h->sockets[h->socket_count++] = fd;
    return fd;
}

static int host_socket(struct subject *s)
{
    return keep(s, socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

static int host_bind(struct subject *s, int fd, const struct sockaddr *address, socklen_t length)
{
    (void)s;
    return bind(fd, address, length);
}

static int host_listen(struct subject *s, int fd, int backlog)
{
    (void)s;
    return listen(fd, backlog);
}

static int host_accept(struct subject *s, int fd)
{
    return keep(s, accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

static int host_connect(struct subject *s, int fd, const struct sockaddr *to, socklen_t length)
{
    (void)s;
    return connect(fd, to, length);
}

static ssize_t host_send(struct subject *s, int fd, const void *bytes, size_t length, int flags)
{
    (void)s;
    return send(fd, bytes, length, flags | MSG_NOSIGNAL);
}

static ssize_t host_recv(struct subject *s, int fd, void *bytes, size_t length, int flags)
{
    (void)s;
    return recv(fd, bytes, length, flags);
}

static int host_shutdown(struct subject *s, int fd, int how)
{
    (void)s;
    return shutdown(fd, how);
}

static int host_close(struct subject *s, int fd)
{
    struct host *h = host_of(s);
    for (size_t i = 0; i < h->socket_count; i++)
        if (h->sockets[i] == fd)
            h->sockets[i] = h->sockets[--h->socket_count];
    return close(fd);
}

static int host_getsockopt(struct subject *s, int fd, int level, int name, void *value,
                           socklen_t *length)
{
    (void)s;
    return getsockopt(fd, level, name, value, length);
}

static int host_setsockopt(struct subject *s, int fd, int level, int name, const void *value,
                           socklen_t length)
{
    (void)s;
    return setsockopt(fd, level, name, value, length);
}

static short host_events(struct subject *s, int fd, short wanted)
{
    (void)s;
    struct pollfd descriptor = {.fd = fd, .events = wanted};
    poll(&descriptor, 1, 0);
    return descriptor.revents;
}

/* ---- Beginning and end ---- */

/*
 * The defaults of Linux, for what a distribution or a container may have set otherwise; but nothing
 * is remembered from one connection to the next, and congestion control is the RFCs' own, that of
 * Strait.
 */
static const struct setting {
    const char *name, *value;
} settings[] = {
    {"tcp_timestamps", "1"},
    {"tcp_sack", "1"},
    {"tcp_dsack", "1"},
    {"tcp_window_scaling", "1"},
    {"tcp_ecn", "2"},
    {"tcp_syncookies", "1"},
    {"tcp_invalid_ratelimit", "500"},
    {"tcp_rfc1337", "0"},
    {"tcp_tw_reuse", "2"},
    {"tcp_abort_on_overflow", "0"},
    {"tcp_rmem", "4096 131072 6291456"},
    {"tcp_wmem", "4096 16384 4194304"},
    {"tcp_no_metrics_save", "1"},
    {"tcp_congestion_control", "reno"},
};

static void apply(const struct setting *setting)
{
    char path[128];
    snprintf(path, sizeof path, SETTINGS "%s", setting->name);
    FILE *file = fopen(path, "we");
    if (!file || fputs(setting->value, file) < 0 || fclose(file) != 0)
        give_up(path);
}

static void set_address(int control, struct ifreq *request, unsigned long what, uint32_t address)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
    memcpy(&request->ifr_addr, &in, sizeof in);
    if (ioctl(control, what, request) < 0)
        give_up("setting an address of " DEVICE);
}

static int open_tun(void)
{
    int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    strcpy(request.ifr_name, DEVICE);
    if (tun < 0 || control < 0 || ioctl(tun, TUNSETIFF, &request) < 0)
        give_up("making " DEVICE);
    set_address(control, &request, SIOCSIFADDR, SUBJECT_ADDRESS);
    set_address(control, &request, SIOCSIFNETMASK, UINT32_MAX << (32 - SUBJECT_PREFIX));
    request.ifr_mtu = SUBJECT_MTU;
    if (ioctl(control, SIOCSIFMTU, &request) < 0)
        give_up("setting the MTU of " DEVICE);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(control, SIOCSIFFLAGS, &request) < 0)
        give_up("switching on " DEVICE);
    close(control);
    return tun;
}

static void close_sockets(struct host *h)
{
    while (h->socket_count > 0)
        close(h->sockets[--h->socket_count]);
}

/* The connections of earlier scripts may live on, at ports and with peers that do not come again.
 */
static void host_renew(struct subject *s)
{
    struct host *h = host_of(s);
    close_sockets(h);
    h->began_ns = clock_ns();
    h->planned_ns = 0;
}

static void host_free(struct subject *s)
{
    struct host *h = host_of(s);
    close_sockets(h);
    close(h->tun);
    free(h);
}

struct subject *subject_kernel(void)
{
    struct host *h = calloc(1, sizeof *h);
    CHECK(h);
    h->subject = (struct subject){
        .renew = host_renew,
        .inject = host_inject,
        .run = host_run,
        .in_time = host_in_time,
        .socket = host_socket,
        .bind = host_bind,
        .listen = host_listen,
        .accept = host_accept,
        .connect = host_connect,
        .send = host_send,
        .recv = host_recv,
        .shutdown = host_shutdown,
        .close = host_close,
        .getsockopt = host_getsockopt,
        .setsockopt = host_setsockopt,
        .events = host_events,
        .free = host_free,
    };
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        apply(&settings[i]);
    h->tun = open_tun();
    return &h->subject;
}
