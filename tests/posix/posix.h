/* SPDX-License-Identifier: MIT */
/*
 * The calls of a program, as a table: the same cases are run on the kernel's sockets and on
 * Strait's, over the loopback of each. What the cases expect is what the kernel does; a case that
 * Strait deliberately fails says why, in its table.
 */
#ifndef TESTS_POSIX_POSIX_H
#define TESTS_POSIX_POSIX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Prototypes are those of the manual. */
struct posix {
    const char *name;
    int (*socket)(int domain, int type, int protocol);
    int (*bind)(int fd, const struct sockaddr *, socklen_t);
    int (*listen)(int fd, int backlog);
    int (*accept)(int fd, struct sockaddr *, socklen_t *);
    int (*accept4)(int fd, struct sockaddr *, socklen_t *, int flags);
    int (*connect)(int fd, const struct sockaddr *, socklen_t);
    int (*shutdown)(int fd, int how);
    int (*close)(int fd);
    int (*getsockname)(int fd, struct sockaddr *, socklen_t *);
    int (*getpeername)(int fd, struct sockaddr *, socklen_t *);
    int (*getsockopt)(int fd, int level, int name, void *, socklen_t *);
    int (*setsockopt)(int fd, int level, int name, const void *, socklen_t);
    ssize_t (*send)(int fd, const void *, size_t, int flags);
    ssize_t (*sendto)(int fd, const void *, size_t, int flags, const struct sockaddr *, socklen_t);
    ssize_t (*sendmsg)(int fd, const struct msghdr *, int flags);
    ssize_t (*write)(int fd, const void *, size_t);
    ssize_t (*writev)(int fd, const struct iovec *, int count);
    ssize_t (*recv)(int fd, void *, size_t, int flags);
    ssize_t (*recvfrom)(int fd, void *, size_t, int flags, struct sockaddr *, socklen_t *);
    ssize_t (*recvmsg)(int fd, struct msghdr *, int flags);
    ssize_t (*read)(int fd, void *, size_t);
    ssize_t (*readv)(int fd, const struct iovec *, int count);
    int (*sockatmark)(int fd);
    int (*ioctl)(int fd, unsigned long request, int *value);
    int (*fcntl)(int fd, int command, int argument);
    int (*poll)(struct pollfd *, nfds_t, int timeout_ms);

    /* Lets time pass; what has been sent arrives. */
    void (*wait)(unsigned ms);

    /* The time that has passed since some moment. */
    uint64_t (*now_ms)(void);

    /* A case begins: no socket of the one before it is left. */
    void (*renew)(void);
};

extern const struct posix posix_kernel, posix_strait;

struct posix_case {
    const char *name; /* NULL ends a table */
    void (*run)(const struct posix *);
    const char *difference; /* why Strait does otherwise; NULL: it does the same */
};

#define CASE(function)                                                                             \
    {                                                                                              \
        .name = #function, .run = (function)                                                       \
    }
#define CASE_BUT(function, why)                                                                    \
    {                                                                                              \
        .name = #function, .run = (function), .difference = (why)                                  \
    }

extern const struct posix_case name_cases[], connect_cases[], stream_cases[], datagram_cases[],
    option_cases[], poll_cases[], control_cases[], wait_cases[], reuse_cases[], tcp_cases[],
    ioctl_cases[], ping_cases[], message_cases[];

/* ---- What many cases need ---- */

#define NO_SUCH_FD 999

/* The call fails with -1 and this errno. */
#define expect_error(number, call)                                                                 \
    do {                                                                                           \
        errno = 0;                                                                                 \
        long result_ = (long)(call);                                                               \
        int errno_ = errno;                                                                        \
        assert_int_equal(result_, -1);                                                             \
        assert_int_equal(errno_, number);                                                          \
    } while (0)

#define expect(result, call) assert_int_equal((long)(call), result)

/* 127.0.0.1, or another address given in host order; a port in host order. */
struct sockaddr_in loopback(uint16_t port);
struct sockaddr_in address(uint32_t host, uint16_t port);

static inline const struct sockaddr *name_of(const struct sockaddr_in *in)
{
    return (const struct sockaddr *)(const void *)in;
}

/* Sockets; `flags` are SOCK_NONBLOCK or 0. A failure fails the case. */
int tcp_socket(const struct posix *, int flags);
int udp_socket(const struct posix *, int flags);

/* Binds to 127.0.0.1 and the port, or any if that is 0. Returns the port. */
uint16_t bind_loopback(const struct posix *, int fd, uint16_t port);

/* A blocking listener on a port of its own. */
int listening(const struct posix *, uint16_t *port);

/* Two connected streams. */
struct streams {
    int client, server;
};
struct streams streams(const struct posix *, int flags);

/* Sends until there is no more room, nor comes any by what the peer takes. Returns the bytes. */
int fill(const struct posix *, int fd);

/* Two datagram sockets, each connected to the other. */
struct streams datagrams(const struct posix *, int flags);

/* The port that a socket is bound to. */
uint16_t port_of(const struct posix *, int fd);

/* An option that is an int. */
int option(const struct posix *, int fd, int level, int name);
int set_option(const struct posix *, int fd, int level, int name, int value);

/* What poll says at once, of `wanted`. */
short events(const struct posix *, int fd, short wanted);

/* A message of one part with room for control data, aligned as a header of it. */
struct message {
    struct msghdr header;
    struct iovec part;
    struct sockaddr_in name;
    uint8_t bytes[64];
    union {
        struct cmsghdr first;
        char control[256];
    };
};

/* Empties it, with room for all that may come. */
struct msghdr *to_receive(struct message *);

#endif
