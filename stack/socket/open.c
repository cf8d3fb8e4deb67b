/* SPDX-License-Identifier: MIT */
/*
 * The calls that name, open, join and part sockets.
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
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "socket/options.h"
#include "socket/socket.h"
#include "stack.h"

#define ACCEPT_FLAGS (SOCK_NONBLOCK | SOCK_CLOEXEC) /* the latter has no meaning here */

/* Its claim on a local port, of port 0 if it has none. */
static const struct binding *socket_claim(const struct socket *s)
{
    static const struct binding none;
    if (s->kind == SOCKET_DATAGRAM)
        return &s->endpoint->binding;
    return s->binding ? s->binding : &none;
}

/* ---- bind, listen, accept ---- */

/* Claims a port for a stream; 0 is any. Returns 0, or -1 with errno of ports_bind,
 * or ENOMEM. */
static int stream_claim(struct sockets *all, struct socket *s, const struct address *address,
                        uint16_t port)
{
    struct ports *ports = &all->tcp->ports;
    if (!s->binding)
        s->binding = calloc(1, sizeof(*s->binding));
    if (!s->binding)
        return -1;
    s->binding->reuse_address = s->options->reuse_address;
    s->binding->reuse_port = s->options->reuse_port;
    if (port == 0)
        return ports_bind_any(ports, all->core, s->binding, address);
    if (tcp_port_is_held(all->tcp, s->binding, address, port)) {
        errno = EADDRINUSE;
        return -1;
    }
    return ports_bind(ports, s->binding, address, port);
}

static int stream_bind(struct sockets *all, struct socket *s, const struct address *address,
                       uint16_t port)
{
    if (!address_is_any(address) && !ip_is_own(all->tcp->ip, address)) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    if (s->kind != SOCKET_FRESH || stream_is_bound(s)) {
        errno = EINVAL;
        return -1;
    }
    return stream_claim(all, s, address, port);
}

/* Whether connect is to end the association (POSIX: a null address of the family AF_UNSPEC). */
static bool address_is_unspecified(const struct sockaddr *name, socklen_t length)
{
    sa_family_t family = AF_INET;
    if (name && length >= sizeof(family) && length <= sizeof(struct sockaddr_storage))
        memcpy(&family, name, sizeof(family));
    return family == AF_UNSPEC;
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
    if (backlog == 0)
        backlog = 1;
    if (backlog < 0 || (uint32_t)backlog > all->core->config.backlog_max)
        backlog = (int)all->core->config.backlog_max; /* as Linux, a negative one is huge */
    if (s->kind == SOCKET_LISTENING) {
        tcp_listener_set_backlog(s->listener, backlog);
        return 0;
    }
    struct address any = address_v4(INADDR_ANY);
    if (!stream_is_bound(s) && stream_claim(all, s, &any, 0) < 0)
        return -1;
    if (ports_listen(&all->tcp->ports, s->binding) < 0)
        return -1;
    struct listener *listener = tcp_listen(all->tcp, s->binding, backlog, s);
    if (!listener) {
        s->binding->listening = false;
        return -1;
    }
    s->kind = SOCKET_LISTENING;
    s->listener = listener;
    tcp_listener_set_opening(listener, s->options->max_segment, s->options->syn_retries);
    options_ip_changed(s);
    return 0;
}

/* Gives a connection the settings of its socket that differ from the stack's. */
static void connection_configure(struct sockets *all, struct socket *s)
{
    const struct strait_config *config = &all->core->config;
    options_ip_changed(s);
    if (s->options->nodelay)
        tcp_set_nodelay(all->tcp, s->connection, true);
    if (s->options->cork)
        tcp_set_cork(all->tcp, s->connection, true);
    if (s->options->keepalive.on)
        tcp_set_keepalive(all->tcp, s->connection, &s->options->keepalive);
    if (s->options->user_timeout_ms > 0)
        tcp_set_user_timeout(all->tcp, s->connection, s->options->user_timeout_ms);
    if (s->options->send_buffer_bytes != config->send_buffer_bytes)
        tcp_set_send_buffer(all->tcp, s->connection, s->options->send_buffer_bytes);
    options_reuse_changed(all, s);
    if (s->options->quick_ack)
        tcp_set_quick_ack(all->tcp, s->connection, true);
    if (s->options->unsent_low > 0)
        tcp_set_unsent_low(all->tcp, s->connection, s->options->unsent_low);
    if (s->options->receive_low > 1)
        tcp_set_receive_low(s->connection, s->options->receive_low);
    if (s->options->receive_buffer_bytes != config->receive_buffer_bytes)
        tcp_set_receive_buffer(all->tcp, s->connection, s->options->receive_buffer_bytes);
}

/* Makes the socket of a connection that waits. Returns it, or NULL with errno. */
static struct socket *accept_waiting(struct sockets *all, const struct socket *from,
                                     bool nonblocking)
{
    if (!(tcp_listener_events(from->listener) & POLLIN)) {
        errno = EAGAIN;
        return NULL;
    }
    struct socket *s = socket_new(all, from, nonblocking);
    if (!s)
        return NULL;
    s->connection = tcp_accept(all->tcp, from->listener, s);
    if (!s->connection) {
        socket_free(all, s);
        errno = EAGAIN;
        return NULL;
    }
    s->kind = SOCKET_CONNECTED;
    connection_configure(all, s);
    return s;
}

/* Accepts, and waits for it if the listener is blocking. Returns the socket, or NULL with errno. */
static struct socket *stream_accept(struct sockets *all, int fd, bool nonblocking)
{
    const struct socket *from = socket_find(all, fd);
    uint64_t deadline_ns = from ? sockets_deadline(all, from->options->receive_timeout_ns) : 0;
    for (;; from = socket_find(all, fd)) {
        if (!from)
            return NULL;
        if (from->kind != SOCKET_LISTENING) {
            errno = from->kind == SOCKET_DATAGRAM ? EOPNOTSUPP : EINVAL;
            return NULL;
        }
        struct socket *s = accept_waiting(all, from, nonblocking);
        if (s || errno != EAGAIN || from->nonblocking)
            return s;
        if (sockets_wait(all, deadline_ns) < 0)
            return NULL;
    }
}

int strait_accept4(struct strait *stack, int fd, struct sockaddr *name, socklen_t *length,
                   int flags)
{
    const struct socket *from = socket_find(&stack->sockets, fd);
    if (!from)
        return -1;
    if (flags & ~ACCEPT_FLAGS) {
        errno = EINVAL;
        return -1;
    }
    if (from->kind == SOCKET_LISTENING && name && !socket_address_fits(name, length))
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

/*
 * Waits for the handshake. Returns 0, or -1 with errno: `late` if the time to wait is over, or
 * there is nothing to wait with. Interrupted, it goes on without us.
 */
static int connect_wait(struct sockets *all, int fd, int late)
{
    struct socket *s = socket_find(all, fd);
    uint64_t deadline_ns = s ? sockets_deadline(all, s->options->send_timeout_ns) : 0;
    for (;; s = socket_find(all, fd)) {
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
        if (sockets_wait(all, deadline_ns) < 0) {
            errno = errno == EAGAIN ? late : errno;
            return -1;
        }
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
    const struct binding *local = socket_claim(s);
    socket_address_complete(local, &address);
    if (local->port == 0)
        local = NULL;
    struct connection *connection = tcp_connect(all->tcp, local, &address, port, s);
    if (!connection)
        return -1;
    s->kind = SOCKET_CONNECTING;
    s->connection = connection;
    tcp_set_opening(connection, s->options->max_segment, s->options->syn_retries);
    connection_configure(all, s);
    if (!s->nonblocking)
        return connect_wait(all, s->fd, EINPROGRESS);
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
        return connect_wait(all, s->fd, EALREADY);
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
    socket_address_complete(&s->endpoint->binding, &address);
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

/* As in Linux, it is done without a peer, too, and fails all the same. */
static int datagram_shutdown(struct sockets *all, struct socket *s, int how)
{
    if (how != SHUT_WR)
        s->receive_shut = true;
    if (how != SHUT_RD)
        s->send_shut = true;
    socket_queue(all, s);
    if (s->endpoint->remote_port != 0)
        return 0;
    errno = ENOTCONN;
    return -1;
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
    const struct binding *b = socket_claim(s);
    socket_address_write(&b->address, b->port, name, length);
    return 0;
}

static bool has_peer(const struct socket *s)
{
    if (s->kind == SOCKET_DATAGRAM)
        return s->endpoint->remote_port != 0;
    return socket_has_connection(s) && !tcp_is_opening(s->connection) &&
           !tcp_is_closed(s->connection);
}

int strait_getpeername(struct strait *stack, int fd, struct sockaddr *name, socklen_t *length)
{
    const struct socket *s = socket_find(&stack->sockets, fd);
    if (!s)
        return -1;
    if (!has_peer(s)) {
        errno = ENOTCONN;
        return -1;
    }
    if (!socket_address_fits(name, length))
        return -1;
    if (s->kind == SOCKET_DATAGRAM) {
        socket_address_write(&s->endpoint->remote, s->endpoint->remote_port, name, length);
        return 0;
    }
    struct tcp_names names = tcp_names(s->connection);
    socket_address_write(&names.remote, names.remote_port, name, length);
    return 0;
}
