/* SPDX-License-Identifier: MIT */
/*
 * Strait's sockets: a host alone, in virtual time. As the kernel delivers over its loopback before
 * a call returns, so the host has its turns around each call, until it has nothing to do.
 */
#include "posix.h"

#include "strait.h"

#define MS UINT64_C(1000000) /* in nanoseconds */

static struct {
    struct strait *stack;
    uint64_t now_ns;
    bool busy; /* the last turn has left something to do at once */
} host;

/* Returns when there will be something to do. */
static uint64_t settle(void)
{
    uint64_t next_ns;

    do {
        strait_dispatch(host.stack);
        next_ns = strait_advance(host.stack, host.now_ns);
    } while (next_ns <= host.now_ns);
    return next_ns;
}

/* The call, and what it brings about; errno is the call's. */
#define CALL(call)                                                                                 \
    do {                                                                                           \
        settle();                                                                                  \
        __typeof__(call) result_ = (call);                                                         \
        int errno_ = errno;                                                                        \
        settle();                                                                                  \
        errno = errno_;                                                                            \
        return result_;                                                                            \
    } while (0)

/* ---- The environment ---- */

static uint64_t env_now(struct strait_env *env)
{
    (void)env;
    return host.now_ns;
}

static int env_wait(struct strait_env *env, uint64_t deadline_ns)
{
    (void)env;
    bool was_busy = host.busy;

    strait_dispatch(host.stack);
    uint64_t next_ns = strait_advance(host.stack, host.now_ns);
    host.busy = next_ns <= host.now_ns;
    if (host.busy || was_busy)
        return 0;
    if (next_ns > deadline_ns)
        next_ns = deadline_ns;
    if (next_ns == STRAIT_NEVER)
        fail_msg("a call waits for what will never happen");
    host.now_ns = next_ns;
    host.busy = true;
    return 0;
}

static struct strait_env env = {.size = sizeof(env), .now = env_now, .wait = env_wait};

static void strait_wait_ms(unsigned ms)
{
    uint64_t end_ns = host.now_ns + ms * MS;

    do {
        uint64_t next_ns = settle();
        host.now_ns = next_ns < end_ns ? next_ns : end_ns;
    } while (host.now_ns < end_ns);
    settle();
}

static uint64_t strait_now_ms(void)
{
    return host.now_ns / MS;
}

static void strait_renew(void)
{
    struct strait_config config;

    strait_free(host.stack);
    strait_config_init(&config);
    host.stack = strait_new(&config, &env);
    assert_non_null(host.stack);
    host.now_ns = 1000000 * MS;
    host.busy = true; /* until a wait has found that nothing is left */
    settle();
}

/* ---- The calls ---- */

static int call_socket(int domain, int type, int protocol)
{
    CALL(strait_socket(host.stack, domain, type, protocol));
}

static int call_bind(int fd, const struct sockaddr *name, socklen_t length)
{
    CALL(strait_bind(host.stack, fd, name, length));
}

static int call_listen(int fd, int backlog)
{
    CALL(strait_listen(host.stack, fd, backlog));
}

static int call_accept(int fd, struct sockaddr *name, socklen_t *length)
{
    CALL(strait_accept(host.stack, fd, name, length));
}

static int call_accept4(int fd, struct sockaddr *name, socklen_t *length, int flags)
{
    CALL(strait_accept4(host.stack, fd, name, length, flags));
}

static int call_connect(int fd, const struct sockaddr *name, socklen_t length)
{
    CALL(strait_connect(host.stack, fd, name, length));
}

static int call_shutdown(int fd, int how)
{
    CALL(strait_shutdown(host.stack, fd, how));
}

static int call_close(int fd)
{
    CALL(strait_close(host.stack, fd));
}

static int call_getsockname(int fd, struct sockaddr *name, socklen_t *length)
{
    CALL(strait_getsockname(host.stack, fd, name, length));
}

static int call_getpeername(int fd, struct sockaddr *name, socklen_t *length)
{
    CALL(strait_getpeername(host.stack, fd, name, length));
}

static int call_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    CALL(strait_getsockopt(host.stack, fd, level, name, value, length));
}

static int call_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    CALL(strait_setsockopt(host.stack, fd, level, name, value, length));
}

static ssize_t call_send(int fd, const void *bytes, size_t length, int flags)
{
    CALL(strait_send(host.stack, fd, bytes, length, flags));
}

static ssize_t call_sendto(int fd, const void *bytes, size_t length, int flags,
                           const struct sockaddr *name, socklen_t name_length)
{
    CALL(strait_sendto(host.stack, fd, bytes, length, flags, name, name_length));
}

static ssize_t call_sendmsg(int fd, const struct msghdr *message, int flags)
{
    CALL(strait_sendmsg(host.stack, fd, message, flags));
}

static ssize_t call_write(int fd, const void *bytes, size_t length)
{
    CALL(strait_write(host.stack, fd, bytes, length));
}

static ssize_t call_writev(int fd, const struct iovec *parts, int count)
{
    CALL(strait_writev(host.stack, fd, parts, count));
}

static ssize_t call_recv(int fd, void *bytes, size_t length, int flags)
{
    CALL(strait_recv(host.stack, fd, bytes, length, flags));
}

static ssize_t call_recvfrom(int fd, void *bytes, size_t length, int flags, struct sockaddr *name,
                             socklen_t *name_length)
{
    CALL(strait_recvfrom(host.stack, fd, bytes, length, flags, name, name_length));
}

static ssize_t call_recvmsg(int fd, struct msghdr *message, int flags)
{
    CALL(strait_recvmsg(host.stack, fd, message, flags));
}

static ssize_t call_read(int fd, void *bytes, size_t length)
{
    CALL(strait_read(host.stack, fd, bytes, length));
}

static ssize_t call_readv(int fd, const struct iovec *parts, int count)
{
    CALL(strait_readv(host.stack, fd, parts, count));
}

static int call_sockatmark(int fd)
{
    CALL(strait_sockatmark(host.stack, fd));
}

static int call_ioctl(int fd, unsigned long request, int *value)
{
    CALL(strait_ioctl(host.stack, fd, request, value));
}

static int call_fcntl(int fd, int command, int argument)
{
    CALL(strait_fcntl(host.stack, fd, command, argument));
}

static int call_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    CALL(strait_poll(host.stack, fds, count, timeout_ms));
}

const struct posix posix_strait = {
    .name = "strait",
    .socket = call_socket,
    .bind = call_bind,
    .listen = call_listen,
    .accept = call_accept,
    .accept4 = call_accept4,
    .connect = call_connect,
    .shutdown = call_shutdown,
    .close = call_close,
    .getsockname = call_getsockname,
    .getpeername = call_getpeername,
    .getsockopt = call_getsockopt,
    .setsockopt = call_setsockopt,
    .send = call_send,
    .sendto = call_sendto,
    .sendmsg = call_sendmsg,
    .write = call_write,
    .writev = call_writev,
    .recv = call_recv,
    .recvfrom = call_recvfrom,
    .recvmsg = call_recvmsg,
    .read = call_read,
    .readv = call_readv,
    .sockatmark = call_sockatmark,
    .ioctl = call_ioctl,
    .fcntl = call_fcntl,
    .poll = call_poll,
    .wait = strait_wait_ms,
    .now_ms = strait_now_ms,
    .renew = strait_renew,
};
