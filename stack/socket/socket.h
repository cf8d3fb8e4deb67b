/* SPDX-License-Identifier: MIT */
/*
 * Sockets as the stack sees them, and what the files of this folder call of each other. A socket is
 * a handle: TCP owns connections and listeners, UDP does the work of an endpoint, and the socket
 * stands as owner in each. What it keeps itself is what POSIX wants of a descriptor: a number, a
 * local port, settings, and a watch.
 */
#ifndef SOCKET_SOCKET_H
#define SOCKET_SOCKET_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/core.h"
#include "base/list.h"
#include "base/slab.h"
#include "ip/ports.h"
#include "strait.h"
#include "tcp/tcp.h"
#include "udp/udp.h"

/* What a socket is at the moment; all but the first and the last hold a part of TCP. */
enum socket_kind {
    SOCKET_FRESH,      /* a stream, neither connected nor listening */
    SOCKET_CONNECTING, /* connect has not reported the outcome yet; the handshake may be over */
    SOCKET_CONNECTED,  /* once it was; the connection may have ended since */
    SOCKET_LISTENING,
    SOCKET_DATAGRAM,
};

/*
 * What setsockopt sets. Sockets that were accepted from one listener share what it had set then,
 * until an option of one is set.
 */
struct socket_options {
    uint32_t sharers;
    bool nodelay : 1;
    bool cork : 1;
    bool linger : 1;        /* close waits for linger_s, or resets if that is 0 */
    bool reuse_address : 1; /* as in the binding, if there is one */
    bool reuse_port : 1;
    bool wants_pktinfo : 1; /* in the control data of what is received */
    bool wants_ttl : 1;
    bool wants_tos : 1;
    bool quick_ack : 1; /* TCP_QUICKACK was turned on; it reads so at first, too, as in Linux */
    bool held_ack : 1;  /* it was turned off */
    bool tells_failures : 1; /* IP_RECVERR of a stream: soft errors are told at once */
    uint8_t ttl, tos;        /* of a stream; an endpoint has its own */
    uint8_t mtu_discover;    /* so it is: IP_PMTUDISC_DONT, _WANT or _DO */
    struct tcp_keepalive keepalive;
    uint8_t syn_retries;  /* 0: the stack's */
    uint16_t max_segment; /* TCP_MAXSEG; 0: as the path has it */
    uint32_t unsent_low;  /* TCP_NOTSENT_LOWAT; 0: none */
    uint32_t user_timeout_ms;
    uint32_t linger_s;
    uint32_t receive_low;                         /* SO_RCVLOWAT: a receive waits for so much */
    uint64_t receive_timeout_ns, send_timeout_ns; /* of calls that wait; STRAIT_NEVER: none */
    uint32_t send_buffer_bytes, receive_buffer_bytes;
};

struct socket {
    struct list ready; /* on sockets.ready while the watch may have something to be told */
    void (*watch)(void *argument, int fd, short revents); /* NULL: nobody watches */
    void *watch_argument;
    union {
        struct connection *connection; /* CONNECTING, CONNECTED */
        struct listener *listener;     /* LISTENING */
        struct udp_endpoint *endpoint; /* DATAGRAM */
    };
    struct binding *binding;        /* of a stream that was bound; an endpoint has its own */
    struct socket_options *options; /* written while it is made, and by setsockopt alone */
    int fd;
    short watch_events;
    uint8_t kind; /* enum socket_kind */
    bool nonblocking : 1;
    bool receive_shut : 1; /* of a datagram socket; TCP knows it of a stream */
    bool send_shut : 1;
};

/*
 * A place in the table of descriptors: the address of a socket, or if it is free an odd number, of
 * the generation of the next descriptor here and the next free place.
 */
typedef uint64_t socket_slot;

/* Its socket, or NULL if it is free. */
static inline struct socket *slot_socket(socket_slot slot)
{
    return slot & 1 ? NULL : (struct socket *)(uintptr_t)slot;
}

struct sockets {
    struct core *core;
    struct udp *udp;
    struct tcp *tcp;
    struct strait_env *env; /* NULL: nothing blocks */

    struct slab socket_slab;
    socket_slot *slots;
    uint32_t slot_count;            /* that have been used */
    uint32_t slot_room;             /* for so many there is memory */
    uint32_t free_first, free_last; /* a queue, so that a slot rests as long as it can */
    uint32_t index_bits;            /* of a descriptor, the low ones; a generation is above */
    uint32_t index_mask;
    uint32_t generations; /* how many fit into an int */

    struct list ready;    /* sockets whose watch may have something to be told, oldest first */
    struct list released; /* references that their owners are to be told of, oldest first */
    bool dispatching;     /* a callback runs */
    struct socket *told;  /* whose callback runs; NULL once it is closed */
};

/* Which slot a descriptor leads to; it may be beyond the table. */
static inline uint32_t slot_index(const struct sockets *all, int fd)
{
    uint32_t number = (uint32_t)fd - (uint32_t)all->core->config.descriptor_base;
    return number & all->index_mask;
}

/* Whether a stream holds a local port by itself. */
static inline bool stream_is_bound(const struct socket *s)
{
    return s->binding && s->binding->port != 0;
}

/* ---- For the stack ---- */

/*
 * Makes an empty table. Returns false with errno EINVAL (descriptor_base leaves no room for
 * sockets_max descriptors) or ENOMEM. `env` may be NULL.
 */
bool sockets_init(struct sockets *, struct core *, struct udp *, struct tcp *, struct strait_env *);

/* Ends every socket and what it owns; between tcp_silence and tcp_finish. */
void sockets_finish(struct sockets *);

/* Tells the owners of what was sent by reference that it is not needed any more. Returns how many
 * were told. For the dispatch, and the last thing that the stack does. */
int sockets_release(struct sockets *);

/* For tcp.wake and udp.wake: `sockets` is the table, `owner` the socket. Runs no callback. */
void sockets_wake(void *sockets, void *owner);

/* Whether strait_dispatch has something to look at. */
static inline bool sockets_pending(const struct sockets *all)
{
    return !list_empty(&all->ready) || !list_empty(&all->released);
}

/* ---- socket.c ---- */

/* The socket of a descriptor, or NULL with errno EBADF. */
static inline struct socket *socket_find(const struct sockets *all, int fd)
{
    uint32_t index = slot_index(all, fd);
    if (index < all->slot_count) {
        struct socket *s = slot_socket(all->slots[index]);
        if (s && s->fd == fd)
            return s;
    }
    errno = EBADF;
    return NULL;
}

/*
 * A socket with a number and the options of another, or if that is NULL those of the stack. NULL
 * with errno EMFILE or ENOMEM.
 */
struct socket *socket_new(struct sockets *, const struct socket *like, bool nonblocking);

/* Makes the options of a socket its own, to be set. Returns false with errno ENOMEM. */
bool socket_own_options(struct socket *);

/* Forgets a socket whose transport is gone, and retires its number. */
void socket_free(struct sockets *, struct socket *);

/* Ends what the stream holds of TCP; it is as new, but keeps its local port and its settings. */
void stream_disconnect(struct sockets *, struct socket *, bool reset);

/*
 * Whether a call may wait now: otherwise false with errno EDEADLK (inside a callback) or EAGAIN
 * (the environment cannot wait).
 */
bool sockets_may_wait(const struct sockets *);

/* When a call that starts now and waits no longer than `timeout_ns` gives up. */
uint64_t sockets_deadline(const struct sockets *, uint64_t timeout_ns);

/*
 * Lets the world go on until something happens or the deadline comes. Callbacks run meanwhile, and
 * may close any socket. Returns 0, or -1 with errno of sockets_may_wait, of the environment, or
 * EAGAIN: the deadline has passed.
 */
int sockets_wait(struct sockets *, uint64_t deadline_ns);

/* Whether a stream has a connection, whatever has become of it. */
static inline bool socket_has_connection(const struct socket *s)
{
    return s->kind == SOCKET_CONNECTING || s->kind == SOCKET_CONNECTED;
}

/*
 * Reads an IPv4 address and port. Returns 0, or -1 with errno EINVAL (of a length that no address
 * has), EFAULT (NULL) or EAFNOSUPPORT.
 */
int socket_address_read(const struct sockaddr *, socklen_t, struct address *, uint16_t *port);

/*
 * As Linux, nobody's address (0.0.0.0) as a destination is this host's: that of the binding, or
 * the loopback's.
 */
void socket_address_complete(const struct binding *, struct address *destination);

/* Whether there is room for a name: otherwise false with errno EFAULT (NULL) or EINVAL (of a
 * negative length). */
bool socket_address_fits(const struct sockaddr *, const socklen_t *);

/* Writes as much of an address as fits into `*length` bytes; `*length` becomes its true length. */
void socket_address_write(const struct address *, uint16_t port, struct sockaddr *, socklen_t *);

/* Whether a call on the socket waits for what is not there. */
static inline bool socket_waits(const struct socket *s, int flags)
{
    return !s->nonblocking && !(flags & (MSG_DONTWAIT | MSG_ERRQUEUE));
}

/* ---- poll.c ---- */

/* Which of the events of poll(2) that are wanted hold, and POLLERR and POLLHUP, as Linux says them.
 */
short socket_events(const struct socket *, int wanted);

/* Something about the socket has changed: its watch will be looked at. */
void socket_queue(struct sockets *, struct socket *);

#endif
