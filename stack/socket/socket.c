/* SPDX-License-Identifier: MIT */
/*
 * The table of sockets, and the calls that make and end them; what lies between is in open.c.
 *
 * A descriptor is base + (generation << index_bits | index). The index leads to a slot; the
 * generation is counted up each time that the slot is left, and slots are used again in the order
 * in which they were left, so that a stale number is EBADF until the slot has gone through all
 * generations. The table grows until it has sockets_max slots.
 *
 * A call that would block tries first, and then lets the environment wait and tries again. While it
 * waits callbacks run, and may do anything to any socket: so after each wait the descriptor is
 * looked up anew, and nothing is remembered of the socket from before.
 */
#include "socket/socket.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "stack.h"
#include "udp/ping.h"

#define SLOTS_FIRST     256u /* the table starts with so many */
#define SLOT_NONE       UINT32_MAX
#define INDEX_BITS_MAX  31u
#define GENERATIONS_MIN 2u /* with one, a stale descriptor would be a good one */

#define TYPE_MASK  0xf                            /* of a socket's type; flags are above */
#define TYPE_MAX   10                             /* the largest that Linux knows */
#define TYPE_FLAGS (SOCK_NONBLOCK | SOCK_CLOEXEC) /* SOCK_CLOEXEC has no meaning here */

/* ---- The table ---- */

static socket_slot slot_of_free(uint32_t generation, uint32_t next_free)
{
    return (socket_slot)next_free << 32 | generation << 1 | 1; /* of which there are 2^31 at most */
}

static uint32_t slot_generation(socket_slot slot)
{
    return (uint32_t)slot >> 1;
}

/* Puts a slot at the end of those that are free. */
static void slot_free(struct sockets *all, uint32_t index, uint32_t generation)
{
    all->slots[index] = slot_of_free(generation, SLOT_NONE);
    if (all->free_first == SLOT_NONE) {
        all->free_first = index;
    } else {
        socket_slot *last = &all->slots[all->free_last];
        *last = slot_of_free(slot_generation(*last), index);
    }
    all->free_last = index;
}

/* Makes room for `slot_room`, which is not touched before it is needed: however large the table is,
 * no socket waits for it. Returns false with errno ENOMEM. */
static bool table_grow(struct sockets *all, uint32_t slot_room)
{
    socket_slot *slots = realloc(all->slots, slot_room * sizeof(*slots));
    if (!slots)
        return false;
    all->slots = slots;
    all->slot_room = slot_room;
    return true;
}

bool sockets_init(struct sockets *all, struct core *core, struct udp *udp, struct tcp *tcp,
                  struct strait_env *env)
{
    const struct strait_config *config = &core->config;
    *all = (struct sockets){.core = core, .udp = udp, .tcp = tcp, .env = env};
    list_init(&all->ready);
    list_init(&all->released);
    slab_init(&all->socket_slab, sizeof(struct socket));
    all->free_first = SLOT_NONE;
    while (all->index_bits < INDEX_BITS_MAX && UINT32_C(1) << all->index_bits < config->sockets_max)
        all->index_bits++;
    all->index_mask = (UINT32_C(1) << all->index_bits) - 1;
    if (config->descriptor_base >= 0)
        all->generations = ((uint32_t)(INT_MAX - config->descriptor_base) + 1) >> all->index_bits;
    if (all->generations < GENERATIONS_MIN || config->sockets_max == 0) {
        errno = EINVAL;
        return false;
    }
    return table_grow(all, config->sockets_max < SLOTS_FIRST ? config->sockets_max : SLOTS_FIRST);
}

/* Makes room for a socket. Returns false with errno EMFILE or ENOMEM. */
static bool table_reserve(struct sockets *all)
{
    uint32_t limit = all->core->config.sockets_max, room = all->slot_room;
    if (all->free_first != SLOT_NONE || all->slot_count < room)
        return true;
    if (room < limit)
        return table_grow(all, room > limit / 2 ? limit : 2 * room);
    count(all->core, socket_limited);
    log_to(all->core, STRAIT_LOG_SOCKET, "socket: all %u are in use", (unsigned)limit);
    errno = EMFILE;
    return false;
}

/* The slot that has rested longest, and its generation; those that were never used come first. */
static uint32_t table_take(struct sockets *all, uint32_t *generation)
{
    *generation = 0;
    if (all->slot_count < all->slot_room)
        return all->slot_count++;
    uint32_t index = all->free_first;
    *generation = slot_generation(all->slots[index]);
    all->free_first = (uint32_t)(all->slots[index] >> 32);
    return index;
}

static struct socket_options *options_new(const struct strait_config *config)
{
    struct socket_options *o = malloc(sizeof(*o));
    if (!o)
        return NULL;
    *o = (struct socket_options){
        .sharers = 1,
        .receive_timeout_ns = STRAIT_NEVER,
        .send_timeout_ns = STRAIT_NEVER,
        .receive_low = 1,
        .send_buffer_bytes = config->send_buffer_bytes,
        .receive_buffer_bytes = config->receive_buffer_bytes,
        .ttl = config->ttl,
        .mtu_discover = IP_PMTUDISC_WANT,
        .keepalive = {.idle_s = config->keepalive_idle_s,
                      .interval_s = config->keepalive_interval_s,
                      .count = config->keepalive_probes},
    };
    return o;
}

static struct socket_options *options_share(struct socket_options *o)
{
    o->sharers++;
    return o;
}

static void options_leave(struct socket_options *o)
{
    if (--o->sharers == 0)
        free(o);
}

bool socket_own_options(struct socket *s)
{
    if (s->options->sharers == 1)
        return true;
    struct socket_options *own = malloc(sizeof(*own));
    if (!own)
        return false;
    *own = *s->options;
    own->sharers = 1;
    options_leave(s->options);
    s->options = own;
    return true;
}

struct socket *socket_new(struct sockets *all, const struct socket *like, bool nonblocking)
{
    const struct strait_config *config = &all->core->config;
    if (!table_reserve(all))
        return NULL;
    struct socket *s = slab_take(&all->socket_slab);
    struct socket_options *options = like ? options_share(like->options) : options_new(config);
    if (!s || !options) {
        if (options)
            options_leave(options);
        if (s)
            slab_give(&all->socket_slab, s);
        errno = ENOMEM;
        return NULL;
    }
    uint32_t generation, index = table_take(all, &generation);
    all->slots[index] = (uintptr_t)s;
    list_init(&s->ready);
    s->fd = config->descriptor_base + (int)(generation << all->index_bits | index);
    s->nonblocking = nonblocking;
    s->options = options;
    return s;
}

/* Ends the number of a socket: nobody can ask for it any more, and it tells nobody. */
static void socket_retire(struct sockets *all, struct socket *s)
{
    uint32_t number = (uint32_t)s->fd - (uint32_t)all->core->config.descriptor_base;
    slot_free(all, slot_index(all, s->fd), ((number >> all->index_bits) + 1) % all->generations);
    list_remove(&s->ready);
    s->watch = NULL;
    if (all->told == s)
        all->told = NULL;
}

/* Frees what the socket itself has, once its number is retired. */
static void socket_release(struct sockets *all, struct socket *s)
{
    if (s->binding) {
        ports_release(s->binding);
        free(s->binding);
    }
    options_leave(s->options);
    slab_give(&all->socket_slab, s);
}

void socket_free(struct sockets *all, struct socket *s)
{
    socket_retire(all, s);
    socket_release(all, s);
}

void stream_disconnect(struct sockets *all, struct socket *s, bool reset)
{
    if (s->kind == SOCKET_LISTENING) {
        tcp_listener_close(all->tcp, s->listener);
        s->binding->listening = false;
    } else if (s->kind != SOCKET_FRESH) {
        tcp_close(all->tcp, s->connection, reset);
    }
    s->kind = SOCKET_FRESH;
    s->connection = NULL;
    socket_queue(all, s);
}

/* Ends the socket and all that it holds. */
static void socket_end(struct sockets *all, struct socket *s, bool reset)
{
    if (s->kind == SOCKET_DATAGRAM) {
        udp_close(all->udp, s->endpoint);
        free(s->endpoint);
    } else {
        stream_disconnect(all, s, reset);
    }
    socket_free(all, s);
}

void sockets_finish(struct sockets *all)
{
    for (uint32_t i = 0; i < all->slot_count; i++) {
        struct socket *s = slot_socket(all->slots[i]);
        if (s)
            socket_end(all, s, true);
    }
    free(all->slots);
    slab_finish(&all->socket_slab);
    /* Who is told hereafter what was released finds no socket, and makes none. */
    all->slots = NULL;
    all->slot_count = all->slot_room = 0;
    all->free_first = SLOT_NONE;
    all->core->config.sockets_max = 0;
}

/* ---- Waiting ---- */

bool sockets_may_wait(const struct sockets *all)
{
    if (all->dispatching) {
        errno = EDEADLK;
        return false;
    }
    if (!all->env || !all->env->wait) {
        errno = EAGAIN;
        return false;
    }
    return true;
}

uint64_t sockets_deadline(const struct sockets *all, uint64_t timeout_ns)
{
    if (timeout_ns == STRAIT_NEVER || !all->env)
        return STRAIT_NEVER;
    return all->env->now(all->env) + timeout_ns;
}

int sockets_wait(struct sockets *all, uint64_t deadline_ns)
{
    if (!sockets_may_wait(all))
        return -1;
    if (deadline_ns != STRAIT_NEVER && all->env->now(all->env) >= deadline_ns) {
        errno = EAGAIN;
        return -1;
    }
    return all->env->wait(all->env, deadline_ns);
}

/* ---- Addresses ---- */

int socket_address_read(const struct sockaddr *name, socklen_t length, struct address *address,
                        uint16_t *port)
{
    struct sockaddr_in in;
    if (length > 0 && length <= sizeof(struct sockaddr_storage) && !name) {
        errno = EFAULT;
        return -1;
    }
    if (length < sizeof(in) || length > sizeof(struct sockaddr_storage)) {
        errno = EINVAL;
        return -1;
    }
    memcpy(&in, name, sizeof(in));
    if (in.sin_family != AF_INET) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    *address = address_from_in(in.sin_addr);
    *port = ntohs(in.sin_port);
    return 0;
}

void socket_address_complete(const struct binding *local, struct address *destination)
{
    if (address_is_any(destination))
        *destination =
            address_is_any(&local->address) ? address_v4(INADDR_LOOPBACK) : local->address;
}

bool socket_address_fits(const struct sockaddr *name, const socklen_t *length)
{
    if (!length || (!name && *length > 0)) {
        errno = EFAULT;
        return false;
    }
    if (*length > INT_MAX) {
        errno = EINVAL;
        return false;
    }
    return true;
}

void socket_address_write(const struct address *address, uint16_t port, struct sockaddr *name,
                          socklen_t *length)
{
    struct sockaddr_in in = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr = address_to_in(address),
    };
    if (*length > 0)
        memcpy(name, &in, *length < sizeof(in) ? *length : sizeof(in));
    *length = sizeof(in);
}

/* ---- socket and close ---- */

/* Checks the arguments of strait_socket. Returns 0 or an errno. */
static int type_refused(int domain, int type, int protocol)
{
    int kind = type & TYPE_MASK;
    if (type & ~(TYPE_MASK | TYPE_FLAGS))
        return EINVAL;
    if (domain != AF_INET)
        return EAFNOSUPPORT;
    if (kind > TYPE_MAX || protocol < 0 || protocol >= IPPROTO_MAX)
        return EINVAL;
    if (kind != SOCK_STREAM && kind != SOCK_DGRAM)
        return ESOCKTNOSUPPORT;
    if (protocol == 0 || protocol == (kind == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP))
        return 0;
    return kind == SOCK_DGRAM && protocol == IPPROTO_ICMP ? 0 : EPROTONOSUPPORT;
}

int strait_socket(struct strait *stack, int domain, int type, int protocol)
{
    struct sockets *all = &stack->sockets;
    int refused = type_refused(domain, type, protocol);
    if (refused) {
        errno = refused;
        return -1;
    }
    struct socket *s = socket_new(all, NULL, type & SOCK_NONBLOCK);
    if (!s)
        return -1;
    if ((type & TYPE_MASK) == SOCK_STREAM)
        return s->fd;

    struct udp_endpoint *endpoint = calloc(1, sizeof(*endpoint));
    if (!endpoint) {
        socket_free(all, s);
        errno = ENOMEM;
        return -1;
    }
    if (protocol == IPPROTO_ICMP)
        ping_open(all->udp, endpoint, s);
    else
        udp_open(all->udp, endpoint, s);
    s->kind = SOCKET_DATAGRAM;
    s->options->receive_buffer_bytes = all->core->config.udp_receive_buffer_bytes;
    s->options->reuse_address = endpoint->binding.reuse_address; /* some have it on at first */
    s->endpoint = endpoint;
    return s->fd;
}

/* Whether close waits for the peer to have everything. It cannot inside a callback. */
static bool close_lingers(const struct sockets *all, const struct socket *s)
{
    return s->options->linger && s->options->linger_s > 0 && socket_has_connection(s) &&
           sockets_may_wait(all);
}

/*
 * SO_LINGER with a time. The descriptor is gone at once; the connection closes in order, and once
 * the time is over it goes on without us.
 */
static void socket_linger(struct sockets *all, struct socket *s)
{
    uint64_t deadline_ns = sockets_deadline(all, s->options->linger_s * NS_PER_S);
    socket_retire(all, s);
    tcp_leave(all->tcp, s->connection, false);
    while (tcp_is_leaving(s->connection) && sockets_wait(all, deadline_ns) == 0)
        continue;
    tcp_let_go(all->tcp, s->connection);
    socket_release(all, s);
}

int strait_close(struct strait *stack, int fd)
{
    struct sockets *all = &stack->sockets;
    struct socket *s = socket_find(all, fd);
    if (!s)
        return -1;
    if (close_lingers(all, s))
        socket_linger(all, s);
    else
        socket_end(all, s, s->options->linger && s->options->linger_s == 0);
    return 0;
}
