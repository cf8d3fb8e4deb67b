/* SPDX-License-Identifier: MIT */
/* The kernel's sockets, in the network namespace that scripts/sandbox has made. */
#define _GNU_SOURCE /* accept4, close_range */
#include "posix.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define FD_FIRST 3 /* what is above the standard ones belongs to a case */

/* With _GNU_SOURCE the names of these have a type that does not fit the table. */
static int kernel_bind(int fd, const struct sockaddr *name, socklen_t length)
{
    return bind(fd, name, length);
}

static int kernel_connect(int fd, const struct sockaddr *name, socklen_t length)
{
    return connect(fd, name, length);
}

static int kernel_accept(int fd, struct sockaddr *name, socklen_t *length)
{
    return accept(fd, name, length);
}

static int kernel_accept4(int fd, struct sockaddr *name, socklen_t *length, int flags)
{
    return accept4(fd, name, length, flags);
}

static int kernel_getsockname(int fd, struct sockaddr *name, socklen_t *length)
{
    return getsockname(fd, name, length);
}

static int kernel_getpeername(int fd, struct sockaddr *name, socklen_t *length)
{
    return getpeername(fd, name, length);
}

static ssize_t kernel_sendto(int fd, const void *bytes, size_t length, int flags,
                             const struct sockaddr *name, socklen_t name_length)
{
    return sendto(fd, bytes, length, flags, name, name_length);
}

static ssize_t kernel_recvfrom(int fd, void *bytes, size_t length, int flags, struct sockaddr *name,
                               socklen_t *name_length)
{
    return recvfrom(fd, bytes, length, flags, name, name_length);
}

static int kernel_ioctl(int fd, unsigned long request, int *value)
{
    return ioctl(fd, request, value);
}

static int kernel_fcntl(int fd, int command, int argument)
{
    return fcntl(fd, command, argument);
}

static uint64_t kernel_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void kernel_wait(unsigned ms)
{
    usleep(ms * 1000);
}

/* Ping sockets are for the groups that the namespace names: none at first. */
static void allow_ping(void)
{
    static const char groups[] = "0 0\n";
    int fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, groups, strlen(groups)), strlen(groups));
    close(fd);
}

static void kernel_renew(void)
{
    allow_ping();
    close_range(FD_FIRST, ~0u, 0);
}

const struct posix posix_kernel = {
    .name = "kernel",
    .socket = socket,
    .bind = kernel_bind,
    .listen = listen,
    .accept = kernel_accept,
    .accept4 = kernel_accept4,
    .connect = kernel_connect,
    .shutdown = shutdown,
    .close = close,
    .getsockname = kernel_getsockname,
    .getpeername = kernel_getpeername,
    .getsockopt = getsockopt,
    .setsockopt = setsockopt,
    .send = send,
    .sendto = kernel_sendto,
    .sendmsg = sendmsg,
    .write = write,
    .writev = writev,
    .recv = recv,
    .recvfrom = kernel_recvfrom,
    .recvmsg = recvmsg,
    .read = read,
    .readv = readv,
    .sockatmark = sockatmark,
    .ioctl = kernel_ioctl,
    .fcntl = kernel_fcntl,
    .poll = poll,
    .wait = kernel_wait,
    .now_ms = kernel_now_ms,
    .renew = kernel_renew,
};
