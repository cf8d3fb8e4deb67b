/* SPDX-License-Identifier: MIT */
/*
 * A TCP that a script looks at from both sides: from the network, as the peer that exchanges
 * packets with it, and from above, as the application that calls its sockets. There are two: Strait
 * in memory and in virtual time, and the kernel behind a TUN device and in real time.
 */
#ifndef TESTS_ORACLE_SUBJECT_H
#define TESTS_ORACLE_SUBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/* In host order. Peers are what else is in the network. */
#define SUBJECT_ADDRESS 0x0a090001u /* 10.9.0.1/16 */
#define SUBJECT_PREFIX  16
#define SUBJECT_MTU     1500

struct subject {
    /* A script begins, and nothing is left of the one before it. To be called first. */
    void (*renew)(struct subject *);

    /* Told of each packet that the subject sends, during inject or run; set by the user. */
    void (*sent)(void *context, const uint8_t *packet, size_t length);
    void *context;

    /* A packet arrives from the peer. */
    void (*inject)(struct subject *, const void *packet, size_t length);

    /* Lets `ms` milliseconds pass. */
    void (*run)(struct subject *, unsigned ms);

    /* The calls of an application, as POSIX has them; every socket is a non-blocking stream. */
    int (*socket)(struct subject *);
    int (*bind)(struct subject *, int fd, const struct sockaddr *, socklen_t);
    int (*listen)(struct subject *, int fd, int backlog);
    int (*accept)(struct subject *, int fd);
    int (*connect)(struct subject *, int fd, const struct sockaddr *, socklen_t);
    ssize_t (*send)(struct subject *, int fd, const void *, size_t, int flags);
    ssize_t (*recv)(struct subject *, int fd, void *, size_t, int flags);
    int (*shutdown)(struct subject *, int fd, int how);
    int (*close)(struct subject *, int fd);
    int (*getsockopt)(struct subject *, int fd, int level, int name, void *, socklen_t *);
    int (*setsockopt)(struct subject *, int fd, int level, int name, const void *, socklen_t);
    short (*events)(struct subject *, int fd, short wanted); /* as poll, without waiting */

    /* Whether `run` kept time since renew. Where it did not, what was seen is worth nothing. */
    bool (*in_time)(const struct subject *);

    void (*free)(struct subject *);
};

/* A new host. It ends the program where it cannot be made. */
struct subject *subject_strait(void);

/* The kernel of this network namespace, which becomes its own: settings are made, a TUN is opened.
 */
struct subject *subject_kernel(void);

#endif
