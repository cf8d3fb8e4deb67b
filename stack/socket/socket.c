/* SPDX-License-Identifier: MIT */
/*
 * The table of sockets, and the calls that make, name, join and end them.
 *
 * A descriptor is base + (generation << index_bits | index). The index leads to a slot; the
 * generation is counted up each time that the slot is left, and slots are used again in the order
 * in which they were left, so that a stale number is EBADF until the slot has gone through all
 * generations. The table grows until it has sockets_max slots.
 *
 * Kinds of a stream, and what moves it from one to the other:
 *
 *                connect                 the handshake is over, and connect or accept says so
 *     FRESH ----------------> CONNECTING --------------------------------> CONNECTED
 *      |  ^                       |                                            |
 *      |  |  it failed, and connect has told;  connect to AF_UNSPEC            |
 *      |  +-----------------------+--------------------------------------------+
 *      |  |  shutdown for reading
 *      |  +------------------+
 *      |      listen         |
 *      +----------------> LISTENING
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

#include "socket/options.h"
#include "stack.h"
#include "udp/ping.h"

#define SLOTS_FIRST     256u /* the table starts with so many */
#define SLOT_NONE       UINT32_MAX
#define INDEX_BITS_MAX  31u
#define GENERATIONS_MIN 2u /* with one, a stale descriptor would be a good one */

#define TYPE_MASK    0xf                            /* of a socket's type; flags are above */
#define TYPE_MAX     10                             /* the largest that Linux knows */
#define TYPE_FLAGS   (SOCK_NONBLOCK | SOCK_CLOEXEC) /* SOCK_CLOEXEC has no meaning here */
#define PROTOCOL_MAX 255
#define BACKLOG_MAX  4096 /* net.core.somaxconn */

/* RFC 9293 3.8.4, MUST-25 and MUST-28: off, and two hours; the other two are Linux's. */
#define KEEPALIVE_DEFAULT ((struct tcp_keepalive){.idle_s = 7200, .interval_s = 75, .count = 9})

/* ---- The table ---- */

/* Which slot a descriptor leads to; it may be beyond the table. */
static uint32_t slot_index(const struct sockets *all, int fd)
{
    uint32_t number = (uint32_t)fd - (uint32_t)all->core->config.descriptor_base;
    return number & ((UINT32_C(1) << all->index_bits) - 1);
}

static void slot_free(struct sockets *all, uint32_t index)
{
    struct socket_slot *slot = &all->slots[index];
    slot->socket = NULL;
    slot->next_free = SLOT_NONE;
    if (all->free_first == SLOT_NONE)
        all->free_first = index;
    else
        all->slots[all->free_last].next_free = index;
    all->free_last = index;
}

/* Adds free slots until there are `slot_count`. Returns false with errno ENOMEM. */
static bool table_grow(struct sockets *all, uint32_t slot_count)
{
    struct socket_slot *slots = realloc(all->slots, slot_count * sizeof(*slots));
    if (!slots)
        return false;
    all->slots = slots;
    for (uint32_t i = all->slot_count; i < slot_count; i++) {
        slots[i].generation = 0;
        slot_free(all, i);
    }
    all->slot_count = slot_count;
    return true;
}

bool sockets_init(struct sockets *all, struct core *core, struct udp *udp, struct tcp *tcp,
                  struct strait_env *env)
{
    const struct strait_config *config = &core->config;
    *all = (struct sockets){.core = core, .udp = udp, .tcp = tcp, .env = env};
    list_init(&all->ready);
    all->free_first = SLOT_NONE;
    while (all->index_bits < INDEX_BITS_MAX && UINT32_C(1) << all->index_bits < config->sockets_max)
        all->index_bits++;
    if (config->descriptor_base >= 0)
        all->generations = ((uint32_t)(INT_MAX - config->descriptor_base) + 1) >> all->index_bits;
    if (all->generations < GENERATIONS_MIN || config->sockets_max == 0) {
        errno = EINVAL;
        return false;
    }
    return table_grow(all, config->sockets_max < SLOTS_FIRST ? config->sockets_max : SLOTS_FIRST);
}

struct socket *socket_find(const struct sockets *all, int fd)
{
    uint32_t index = slot_index(all, fd);
    if (index < all->slot_count) {
        struct socket *s = all->slots[index].socket;
        if (s && s->fd == fd)
            return s;
    }
    errno = EBADF;
    return NULL;
}

/* Makes room for a socket. Returns false with errno EMFILE or ENOMEM. */
static bool table_reserve(struct sockets *all)
{
    uint32_t limit = all->core->config.sockets_max;
    if (all->free_first != SLOT_NONE)
        return true;
    if (all->slot_count < limit)
        return table_grow(all, all->slot_count > limit / 2 ? limit : 2 * all->slot_count);
    count(all->core, socket_limited);
    log_to(all->core, STRAIT_LOG_SOCKET, "socket: all %u are in use", (unsigned)limit);
    errno = EMFILE;
    return false;
}

/* A socket with the default settings and a number. NULL with errno EMFILE or ENOMEM. */
static struct socket *socket_new(struct sockets *all, bool nonblocking)
{
    if (!table_reserve(all))
        return NULL;
    struct socket *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    uint32_t index = all->free_first;
    struct socket_slot *slot = &all->slots[index];
    all->free_first = slot->next_free;
    slot->socket = s;

    list_init(&s->ready);
    s->fd = all->core->config.descriptor_base + (int)(slot->generation << all->index_bits | index);
    s->nonblocking = nonblocking;
    s->send_buffer_bytes = all->core->config.send_buffer_bytes;
    s->receive_buffer_bytes = all->core->config.receive_buffer_bytes;
    s->ttl = IP_DEFAULT_TTL;
    s->mtu_discover = IP_PMTUDISC_WANT;
    s->keepalive = KEEPALIVE_DEFAULT;
    return s;
}

/* Forgets a socket whose transport is gone, and retires its number. */
static void socket_free(struct sockets *all, struct socket *s)
{
    uint32_t index = slot_index(all, s->fd);
    struct socket_slot *slot = &all->slots[index];
    slot->generation = (slot->generation + 1) % all->generations;
    slot_free(all, index);
    list_remove(&s->ready);
    free(s);
}

/* Ends what the stream holds of TCP; it is as new, but keeps its local port and its settings. */
static void stream_disconnect(struct sockets *all, struct socket *s, bool reset)
{
    if (s->kind == SOCKET_LISTENING)
        tcp_listener_close(all->tcp, s->listener);
    else if (s->kind != SOCKET_FRESH)
        tcp_close(all->tcp, s->connection, reset);
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
    ports_release(&s->binding);
    socket_free(all, s);
}

void sockets_finish(struct sockets *all)
{
    for (uint32_t i = 0; i < all->slot_count; i++)
        if (all->slots[i].socket)
            socket_end(all, all->slots[i].socket, true);
    free(all->slots);
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

int sockets_wait(struct sockets *all, uint64_t deadline_ns)
{
    return sockets_may_wait(all) ? all->env->wait(all->env, deadline_ns) : -1;
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

/* Whether connect is to end the association (POSIX: a null address of the family AF_UNSPEC). */
static bool address_is_unspecified(const struct sockaddr *name, socklen_t length)
{
    sa_family_t family = AF_INET;
    if (name && length >= sizeof(family))
        memcpy(&family, name, sizeof(family));
    return family == AF_UNSPEC;
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
    if (kind > TYPE_MAX || protocol < 0 || protocol > PROTOCOL_MAX)
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
    struct socket *s = socket_new(all, type & SOCK_NONBLOCK);
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
    s->endpoint = endpoint;
    return s->fd;
}

int strait_close(struct strait *stack, int fd)
{
    struct sockets *all = &stack->sockets;
    struct socket *s = socket_find(all, fd);
    if (!s)
        return -1;
    socket_end(all, s, s->reset_on_close);
    return 0;
}

/* ---- bind, listen, accept ---- */

/* Claims a port for a stream; 0 is any. Returns 0, or -1 with errno of ports_bind. */
static int stream_claim(struct sockets *all, struct socket *s, const struct address *address,
                        uint16_t port)
{
    struct ports *ports = &all->tcp->ports;
    return port == 0 ? ports_bind_any(ports, all->core, &s->binding, address)
                     : ports_bind(ports, &s->binding, address, port);
}

static int stream_bind(struct sockets *all, struct socket *s, const struct address *address,
                       uint16_t port)
{
    if (!address_is_any(address) && !ip_is_own(all->tcp->ip, address)) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    if (s->kind != SOCKET_FRESH || s->binding.port != 0) {
        errno = EINVAL;
        return -1;
    }
    return stream_claim(all, s, address, port);
}

/* As Linux, bind takes any address in the unspecified family, too: some programs leave it out. */
static int bind_address_read(const struct sockaddr *name, socklen_t length, struct address *address,
                             uint16_t *port)
{
    struct sockaddr_in in;
    if (address_is_unspecified(name, length) && length >= sizeof(in)) {
        memcpy(&in, name, sizeof(in));
        if (in.sin_addr.s_addr == INADDR_ANY) {
            in.sin_family = AF_INET;
            return socket_address_read((struct sockaddr *)&in, sizeof(in), address, port);
        }
    }
    return socket_address_read(name, length, address, port);
}

int strait_bind(struct strait *stack, int fd, const struct sockaddr *name, socklen_t length)
{
    struct sockets *all = &stack->sockets;
    struct socket *s = socket_find(all, fd);
    struct address address;
    uint16_t port;
    if (!s || bind_address_read(name, length, &address, &port) < 0)
        return -1;
    if (s->kind == SOCKET_DATAGRAM)
        return udp_bind(all->udp, s->endpoint, &address, port);
    return stream_bind(all, s, &address, port);
}

int strait_listen(struct strait *stack, int fd, int backlog)
{
    struct sockets *all = &stack->sockets;
    struct socket *s = socket_find(all, fd);
    if (!s)
        return -1;
    if (s->kind == SOCKET_DATAGRAM) {
        errno = EOPNOTSUPP;
        return -1;
    }
    if (socket_has_connection(s)) {
        errno = EINVAL;
        return -1;
    }
    if (backlog < 1)
        backlog = 1;
    if (backlog > BACKLOG_MAX)
        backlog = BACKLOG_MAX;
    if (s->kind == SOCKET_LISTENING) {
        tcp_listener_set_backlog(s->listener, backlog);
        return 0;
    }
    struct address any = address_v4(INADDR_ANY);
    if (s->binding.port == 0 && stream_claim(all, s, &any, 0) < 0)
        return -1;
    struct listener *listener = tcp_listen(all->tcp, &s->binding, backlog, s);
    if (!listener)
        return -1;
    s->kind = SOCKET_LISTENING;
    s->listener = listener;
    return 0;
}

/* Gives a connection the settings of its socket that differ from the stack's. */
static void connection_configure(struct sockets *all, struct socket *s)
{
    const struct strait_config *config = &all->core->config;
    options_ip_changed(s);
    if (s->nodelay)
        tcp_set_nodelay(all->tcp, s->connection, true);
    if (s->cork)
        tcp_set_cork(all->tcp, s->connection, true);
    if (s->keepalive.on)
        tcp_set_keepalive(all->tcp, s->connection, &s->keepalive);
    if (s->user_timeout_ms > 0)
        tcp_set_user_timeout(all->tcp, s->connection, s->user_timeout_ms);
    if (s->send_buffer_bytes != config->send_buffer_bytes)
        tcp_set_send_buffer(all->tcp, s->connection, s->send_buffer_bytes);
    if (s->receive_buffer_bytes != config->receive_buffer_bytes)
        tcp_set_receive_buffer(all->tcp, s->connection, s->receive_buffer_bytes);
}

/* Makes the socket of a connection that waits. Returns it, or NULL with errno. */
static struct socket *accept_waiting(struct sockets *all, const struct socket *from,
                                     bool nonblocking)
{
    if (!(tcp_listener_events(from->listener) & POLLIN)) {
        errno = EAGAIN;
        return NULL;
    }
    struct socket *s = socket_new(all, nonblocking);
    if (!s)
        return NULL;
    s->connection = tcp_accept(all->tcp, from->listener, s);
    if (!s->connection) {
        socket_free(all, s);
        errno = EAGAIN;
        return NULL;
    }
    s->kind = SOCKET_CONNECTED;
    s->ttl = from->ttl;
    s->tos = from->tos;
    s->mtu_discover = from->mtu_discover;
    s->tells_failures = from->tells_failures;
    s->wants_pktinfo = from->wants_pktinfo;
    s->wants_ttl = from->wants_ttl;
    s->wants_tos = from->wants_tos;
    s->nodelay = from->nodelay;
    s->cork = from->cork;
    s->keepalive = from->keepalive;
    s->user_timeout_ms = from->user_timeout_ms;
    s->reuse_address = from->reuse_address;
    s->reset_on_close = from->reset_on_close;
    s->send_buffer_bytes = from->send_buffer_bytes;
    s->receive_buffer_bytes = from->receive_buffer_bytes;
    connection_configure(all, s);
    return s;
}

/* Accepts, and waits for it if the listener is blocking. Returns the socket, or NULL with errno. */
static struct socket *stream_accept(struct sockets *all, int fd, bool nonblocking)
{
    for (;;) {
        const struct socket *from = socket_find(all, fd);
        if (!from)
            return NULL;
        if (from->kind != SOCKET_LISTENING) {
            errno = from->kind == SOCKET_DATAGRAM ? EOPNOTSUPP : EINVAL;
            return NULL;
        }
        struct socket *s = accept_waiting(all, from, nonblocking);
        if (s || errno != EAGAIN || from->nonblocking)
            return s;
        if (sockets_wait(all, STRAIT_NEVER) < 0)
            return NULL;
    }
}

int strait_accept4(struct strait *stack, int fd, struct sockaddr *name, socklen_t *length,
                   int flags)
{
    if (flags & ~TYPE_FLAGS) {
        errno = EINVAL;
        return -1;
    }
    if (name && !socket_address_fits(name, length))
        return -1;
    struct socket *s = stream_accept(&stack->sockets, fd, flags & SOCK_NONBLOCK);
    if (!s)
        return -1;
    if (name) {
        struct tcp_names names = tcp_names(s->connection);
        socket_address_write(&names.remote, names.remote_port, name, length);
    }
    return s->fd;
}

int strait_accept(struct strait *stack, int fd, struct sockaddr *name, socklen_t *length)
{
    return strait_accept4(stack, fd, name, length, 0);
}

/* ---- connect, shutdown ---- */

/* The handshake is over: reports how it went. Returns 0, or -1 with errno. */
static int connect_finish(struct sockets *all, struct socket *s)
{
    if (!tcp_is_closed(s->connection)) {
        s->kind = SOCKET_CONNECTED;
        return 0;
    }
    int error = tcp_take_error(s->connection);
    stream_disconnect(all, s, false);
    /* SO_ERROR has told already what it was. */
    errno = error ? error : ECONNABORTED;
    return -1;
}

/* Waits for the handshake. Returns 0, or -1 with errno; interrupted, it goes on without us. */
static int connect_wait(struct sockets *all, int fd)
{
    for (;;) {
        struct socket *s = socket_find(all, fd);
        if (!s)
            return -1;
        if (s->kind == SOCKET_CONNECTED)
            return 0;
        if (s->kind != SOCKET_CONNECTING) {
            errno = ECONNABORTED;
            return -1;
        }
        if (!tcp_is_opening(s->connection))
            return connect_finish(all, s);
        if (sockets_wait(all, STRAIT_NEVER) < 0)
            return -1;
    }
}

static int connect_start(struct sockets *all, struct socket *s, const struct sockaddr *name,
                         socklen_t length)
{
    struct address address;
    uint16_t port;
    if (socket_address_read(name, length, &address, &port) < 0)
        return -1;
    if (port == 0) {
        errno = EINVAL;
        return -1;
    }
    if (!s->nonblocking && !sockets_may_wait(all))
        return -1;
    const struct binding *local = s->binding.port != 0 ? &s->binding : NULL;
    struct connection *connection = tcp_connect(all->tcp, local, &address, port, s);
    if (!connection)
        return -1;
    s->kind = SOCKET_CONNECTING;
    s->connection = connection;
    connection_configure(all, s);
    if (!s->nonblocking)
        return connect_wait(all, s->fd);
    errno = EINPROGRESS;
    return -1;
}

static int stream_connect(struct sockets *all, struct socket *s, const struct sockaddr *name,
                          socklen_t length)
{
    if (address_is_unspecified(name, length)) {
        stream_disconnect(all, s, true);
        return 0;
    }
    if (s->kind == SOCKET_FRESH)
        return connect_start(all, s, name, length);
    if (s->kind != SOCKET_CONNECTING) {
        errno = EISCONN;
        return -1;
    }
    if (!s->nonblocking || !tcp_is_opening(s->connection))
        return connect_wait(all, s->fd);
    errno = EALREADY;
    return -1;
}

static int datagram_connect(struct sockets *all, struct socket *s, const struct sockaddr *name,
                            socklen_t length)
{
    struct address address;
    uint16_t port;
    if (address_is_unspecified(name, length))
        return udp_connect(all->udp, s->endpoint, NULL, 0);
    if (socket_address_read(name, length, &address, &port) < 0)
        return -1;
    return udp_connect(all->udp, s->endpoint, &address, port);
}

int strait_connect(struct strait *stack, int fd, const struct sockaddr *name, socklen_t length)
{
    struct sockets *all = &stack->sockets;
    struct socket *s = socket_find(all, fd);
    if (!s)
        return -1;
    return s->kind == SOCKET_DATAGRAM ? datagram_connect(all, s, name, length)
                                      : stream_connect(all, s, name, length);
}

static int connection_shutdown(struct sockets *all, struct socket *s, int how)
{
    if (tcp_is_closed(s->connection)) {
        errno = ENOTCONN;
        return -1;
    }
    if (how != SHUT_RD && tcp_shutdown_send(all->tcp, s->connection) < 0)
        return -1;
    if (how != SHUT_WR)
        tcp_shutdown_receive(all->tcp, s->connection);
    return 0;
}

static int stream_shutdown(struct sockets *all, struct socket *s, int how)
{
    switch (s->kind) {
    case SOCKET_LISTENING:
        if (how != SHUT_WR)
            stream_disconnect(all, s, false);
        return 0;
    case SOCKET_CONNECTING:
        if (tcp_is_opening(s->connection)) {
            stream_disconnect(all, s, false);
            return 0;
        }
        return connection_shutdown(all, s, how);
    case SOCKET_CONNECTED:
        return connection_shutdown(all, s, how);
    default:
        errno = ENOTCONN;
        return -1;
    }
}

static int datagram_shutdown(struct sockets *all, struct socket *s, int how)
{
    if (s->endpoint->remote_port == 0) {
        errno = ENOTCONN;
        return -1;
    }
    if (how != SHUT_WR)
        s->receive_shut = true;
    if (how != SHUT_RD)
        s->send_shut = true;
    socket_queue(all, s);
    return 0;
}

int strait_shutdown(struct strait *stack, int fd, int how)
{
    struct sockets *all = &stack->sockets;
    struct socket *s = socket_find(all, fd);
    if (!s)
        return -1;
    if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) {
        errno = EINVAL;
        return -1;
    }
    return s->kind == SOCKET_DATAGRAM ? datagram_shutdown(all, s, how)
                                      : stream_shutdown(all, s, how);
}

/* ---- Names ---- */

int strait_getsockname(struct strait *stack, int fd, struct sockaddr *name, socklen_t *length)
{
    const struct socket *s = socket_find(&stack->sockets, fd);
    if (!s || !socket_address_fits(name, length))
        return -1;
    if (socket_has_connection(s)) {
        struct tcp_names names = tcp_names(s->connection);
        socket_address_write(&names.local, names.local_port, name, length);
        return 0;
    }
    const struct binding *b = s->kind == SOCKET_DATAGRAM ? &s->endpoint->binding : &s->binding;
    socket_address_write(&b->address, b->port, name, length);
    return 0;
}

int strait_getpeername(struct strait *stack, int fd, struct sockaddr *name, socklen_t *length)
{
    const struct socket *s = socket_find(&stack->sockets, fd);
    if (!s || !socket_address_fits(name, length))
        return -1;
    if (s->kind == SOCKET_DATAGRAM && s->endpoint->remote_port != 0) {
        socket_address_write(&s->endpoint->remote, s->endpoint->remote_port, name, length);
        return 0;
    }
    if (socket_has_connection(s) && !tcp_is_opening(s->connection) &&
        !tcp_is_closed(s->connection)) {
        struct tcp_names names = tcp_names(s->connection);
        socket_address_write(&names.remote, names.remote_port, name, length);
        return 0;
    }
    errno = ENOTCONN;
    return -1;
}
