/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the socket calls share: a pair of stacks as the fixture of each test, and the
 * few moves that most of them begin with. The client is on the left, 10.0.0.1, the server on the
 * right, 10.0.0.2.
 */
#ifndef TESTS_UNIT_WIRE_H
#define TESTS_UNIT_WIRE_H

#include <errno.h>

#include "pair.h"

/* The call returns -1 and sets errno to `number`. */
#define assert_errno(call, number)                                                                 \
    do {                                                                                           \
        errno = 0;                                                                                 \
        assert_int_equal((call), -1);                                                              \
        assert_int_equal(errno, number);                                                           \
    } while (0)

#define WIRE_PORT 5000 /* that the server listens on */

struct wire {
    struct pair *pair;
    struct strait *left, *right;
    /* Of `wire_interrupt`. */
    int (*wait)(struct strait_env *, uint64_t deadline_ns);
};

/* Makes the fixture; for cmocka_unit_test_setup_teardown. */
int wire_setup(void **state);
int wire_teardown(void **state);

/* The same with another configuration of both stacks. */
struct wire *wire_new(void (*configure)(struct strait_config *));
void wire_free(struct wire *);

/* Lets everything that is under way arrive and be answered: 10 round trips. */
void wire_run(struct wire *);

/* An address of IPv4; `host` in host order. */
struct sockaddr_in wire_address(uint32_t host, uint16_t port);

/* A TCP socket, and a UDP socket bound to a port (0: unbound). flags: 0 or SOCK_NONBLOCK. */
int wire_stream(struct strait *, int flags);
int wire_datagram(struct strait *, uint16_t port, int flags);

/* Binds to a port of every address; returns what strait_bind does. */
int wire_bind(struct strait *, int fd, uint16_t port);

/* A non-blocking listener on WIRE_PORT of the server. */
int wire_listener(struct wire *);

/* Connects to a port of the server; returns what strait_connect does. */
int wire_connect(struct wire *, int fd, uint16_t port);

/* Connects to any address; returns what strait_connect does. */
int wire_connect_to(struct strait *, int fd, uint32_t host, uint16_t port);

/* The name of a socket, and that of its peer: returns what strait_getpeername does. */
struct sockaddr_in wire_name(struct strait *, int fd);
int wire_peer(struct strait *, int fd, struct sockaddr_in *name);

/* A connection to the listener with non-blocking sockets at both ends. */
void wire_established(struct wire *, int listener, int *client, int *server);

/* Fails unless 2 bytes that the client sends arrive at the server. */
void wire_assert_carries(struct wire *, int client, int server);

/* Resets a connection from one end: closes the socket with SO_LINGER 0. */
void wire_reset(struct wire *, struct strait *, int fd);

/* The events of poll(2) that hold now, of those that are asked for. */
short wire_events(struct strait *, int fd, short events);

/* An option that is an int. */
int wire_option(struct strait *, int fd, int level, int name);

/* Sets one, and fails unless it then has that value. */
void wire_set_option(struct strait *, int fd, int level, int name, int value);

/* From now on waits are interrupted at once, or not (the beginning). */
void wire_interrupt(struct wire *, bool on);

#endif
