/* SPDX-License-Identifier: MIT */
/*
 * Socket options. Settings of a stream are kept in the socket, so that they can be made before
 * there is a connection, and be inherited from a listener; a connection is told of them at once.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "socket/socket.h"
#include "stack.h"

#define BUFFER_BYTES_MIN 2048
#define BUFFER_BYTES_MAX (1 << 30) /* the largest window there is, RFC 7323 2.3 */

#define TTL_DEFAULT   (-1) /* to set */
#define DIFFSERV_MASK 0xfc /* of the TOS; the rest is for ECN, RFC 3168 5 */

/* Linux's limits. */
#define KEEPALIVE_SECONDS_MAX 32767
#define KEEPALIVE_COUNT_MAX   127

static int refuse(int error)
{
    errno = error;
    return -1;
}

/* ---- Reading ---- */

/* The pending error, which is told once; or what hinders a connection without having ended it. */
static int take_error(struct socket *s)
{
    int error = 0;
    if (s->kind == SOCKET_DATAGRAM) {
        error = s->endpoint->error;
        s->endpoint->error = 0;
    } else if (socket_has_connection(s)) {
        error = tcp_take_error(s->connection);
        if (!error)
            error = tcp_take_soft_error(s->connection);
    }
    return error;
}

/* An option of SOL_SOCKET that is an int. Returns 0, or -1 with ENOPROTOOPT. */
static int socket_option(struct socket *s, int name, int *value)
{
    bool stream = s->kind != SOCKET_DATAGRAM;
    switch (name) {
    case SO_TYPE:
        *value = stream ? SOCK_STREAM : SOCK_DGRAM;
        return 0;
    case SO_DOMAIN:
        *value = AF_INET;
        return 0;
    case SO_PROTOCOL:
        *value = stream ? IPPROTO_TCP : s->endpoint->echo ? IPPROTO_ICMP : IPPROTO_UDP;
        return 0;
    case SO_ACCEPTCONN:
        *value = s->kind == SOCKET_LISTENING;
        return 0;
    case SO_ERROR:
        *value = take_error(s);
        return 0;
    case SO_REUSEADDR:
        *value = s->reuse_address;
        return 0;
    case SO_KEEPALIVE:
        *value = s->keepalive.on;
        return 0;
    case SO_OOBINLINE:
        *value = 1;
        return 0;
    case SO_SNDBUF:
        *value = (int)s->send_buffer_bytes;
        return 0;
    case SO_RCVBUF:
        *value = (int)s->receive_buffer_bytes;
        return 0;
    default:
        return refuse(ENOPROTOOPT);
    }
}

/* An option of IPPROTO_IP. Returns 0, or -1 with ENOPROTOOPT. */
static int ip_option(const struct socket *s, int name, int *value)
{
    bool stream = s->kind != SOCKET_DATAGRAM;
    switch (name) {
    case IP_TTL:
        *value = stream ? s->ttl : s->endpoint->ttl;
        return 0;
    case IP_TOS:
        *value = stream ? s->tos : s->endpoint->tos;
        return 0;
    default:
        return refuse(ENOPROTOOPT);
    }
}

/* An option of IPPROTO_TCP that is an int. Returns 0, or -1 with ENOPROTOOPT. */
static int tcp_option(const struct socket *s, int name, int *value)
{
    switch (name) {
    case TCP_NODELAY:
        *value = s->nodelay;
        return 0;
    case TCP_CORK:
        *value = s->cork;
        return 0;
    case TCP_KEEPIDLE:
        *value = s->keepalive.idle_s;
        return 0;
    case TCP_KEEPINTVL:
        *value = s->keepalive.interval_s;
        return 0;
    case TCP_KEEPCNT:
        *value = s->keepalive.count;
        return 0;
    case TCP_USER_TIMEOUT:
        *value = (int)s->user_timeout_ms;
        return 0;
    default:
        return refuse(ENOPROTOOPT);
    }
}

/* What TCP knows of a stream; of one without a connection only its state. */
static struct tcp_info stream_info(const struct socket *s)
{
    struct tcp_info info = {.tcpi_state = s->kind == SOCKET_LISTENING ? TCP_LISTEN : TCP_CLOSE};
    if (socket_has_connection(s))
        tcp_get_info(s->connection, &info);
    return info;
}

/* Gives the caller as much of the value as it has room for (POSIX: truncated silently). */
static int give(void *to, socklen_t *length, const void *value, size_t bytes)
{
    if (*length > bytes)
        *length = (socklen_t)bytes;
    memcpy(to, value, *length);
    return 0;
}

int strait_getsockopt(struct strait *stack, int fd, int level, int name, void *value,
                      socklen_t *length)
{
    struct socket *s = socket_find(&stack->sockets, fd);
    int number;
    if (!s)
        return -1;
    if (level == SOL_SOCKET && name == SO_LINGER) {
        struct linger linger = {.l_onoff = s->reset_on_close};
        return give(value, length, &linger, sizeof(linger));
    }
    if (level == SOL_SOCKET)
        return socket_option(s, name, &number) < 0 ? -1
                                                   : give(value, length, &number, sizeof(number));
    if (level == IPPROTO_IP)
        return ip_option(s, name, &number) < 0 ? -1 : give(value, length, &number, sizeof(number));
    if (level != IPPROTO_TCP || s->kind == SOCKET_DATAGRAM)
        return refuse(ENOPROTOOPT);
    if (name == TCP_INFO) {
        struct tcp_info info = stream_info(s);
        return give(value, length, &info, sizeof(info));
    }
    return tcp_option(s, name, &number) < 0 ? -1 : give(value, length, &number, sizeof(number));
}

/* ---- Setting ---- */

/* A size as Linux takes it: out of range is brought into it, and a negative one is huge. */
static uint32_t buffer_bytes(int value)
{
    if (value < 0 || value > BUFFER_BYTES_MAX)
        return BUFFER_BYTES_MAX;
    return value < BUFFER_BYTES_MIN ? BUFFER_BYTES_MIN : (uint32_t)value;
}

static void set_send_buffer(struct sockets *all, struct socket *s, uint32_t bytes)
{
    s->send_buffer_bytes = bytes;
    if (socket_has_connection(s))
        tcp_set_send_buffer(all->tcp, s->connection, bytes);
}

static void set_receive_buffer(struct sockets *all, struct socket *s, uint32_t bytes)
{
    s->receive_buffer_bytes = bytes;
    if (socket_has_connection(s))
        tcp_set_receive_buffer(all->tcp, s->connection, bytes);
    else if (s->kind == SOCKET_DATAGRAM)
        s->endpoint->queue_max_bytes = bytes;
}

static void set_ip(struct socket *s, uint8_t ttl, uint8_t tos)
{
    if (s->kind == SOCKET_DATAGRAM) {
        s->endpoint->ttl = ttl;
        s->endpoint->tos = tos;
        return;
    }
    s->ttl = ttl;
    s->tos = tos;
    if (socket_has_connection(s))
        tcp_set_ip(s->connection, ttl, tos);
}

static int set_ip_option(struct socket *s, int name, int value)
{
    bool stream = s->kind != SOCKET_DATAGRAM;
    uint8_t ttl = stream ? s->ttl : s->endpoint->ttl;
    uint8_t tos = stream ? s->tos : s->endpoint->tos;
    switch (name) {
    case IP_TTL:
        if (value != TTL_DEFAULT && (value < 1 || value > UINT8_MAX))
            return refuse(EINVAL);
        ttl = value == TTL_DEFAULT ? IP_DEFAULT_TTL : (uint8_t)value;
        break;
    case IP_TOS: /* the bits of ECN are TCP's own */
        tos = (uint8_t)value & (stream ? DIFFSERV_MASK : UINT8_MAX);
        break;
    default:
        return refuse(ENOPROTOOPT);
    }
    set_ip(s, ttl, tos);
    return 0;
}

static void keepalive_changed(struct sockets *all, struct socket *s)
{
    if (socket_has_connection(s))
        tcp_set_keepalive(all->tcp, s->connection, &s->keepalive);
}

/* One of the three numbers of the keep-alive. Returns 0, or -1 with EINVAL. */
static int set_keepalive(struct sockets *all, struct socket *s, int name, int value)
{
    int limit = name == TCP_KEEPCNT ? KEEPALIVE_COUNT_MAX : KEEPALIVE_SECONDS_MAX;
    if (value < 1 || value > limit)
        return refuse(EINVAL);
    if (name == TCP_KEEPIDLE)
        s->keepalive.idle_s = (uint16_t)value;
    else if (name == TCP_KEEPINTVL)
        s->keepalive.interval_s = (uint16_t)value;
    else
        s->keepalive.count = (uint8_t)value;
    keepalive_changed(all, s);
    return 0;
}

static int set_user_timeout(struct sockets *all, struct socket *s, int value)
{
    if (value < 0)
        return refuse(EINVAL);
    s->user_timeout_ms = (uint32_t)value;
    if (socket_has_connection(s))
        tcp_set_user_timeout(all->tcp, s->connection, s->user_timeout_ms);
    return 0;
}

static int set_linger(struct socket *s, const void *value, socklen_t length)
{
    struct linger linger;
    if (length < sizeof(linger))
        return refuse(EINVAL);
    memcpy(&linger, value, sizeof(linger));
    if (linger.l_onoff && linger.l_linger != 0)
        return refuse(EOPNOTSUPP);
    s->reset_on_close = linger.l_onoff;
    return 0;
}

static int set_socket_option(struct sockets *all, struct socket *s, int name, int value)
{
    switch (name) {
    case SO_REUSEADDR:
        s->reuse_address = value;
        return 0;
    case SO_KEEPALIVE:
        s->keepalive.on = value;
        keepalive_changed(all, s);
        return 0;
    case SO_OOBINLINE:
        return value ? 0 : refuse(EOPNOTSUPP);
    case SO_SNDBUF:
        set_send_buffer(all, s, buffer_bytes(value));
        return 0;
    case SO_RCVBUF:
        set_receive_buffer(all, s, buffer_bytes(value));
        return 0;
    default:
        return refuse(ENOPROTOOPT);
    }
}

static int set_tcp_option(struct sockets *all, struct socket *s, int name, int value)
{
    if (s->kind == SOCKET_DATAGRAM)
        return refuse(ENOPROTOOPT);
    switch (name) {
    case TCP_NODELAY:
        s->nodelay = value;
        if (socket_has_connection(s))
            tcp_set_nodelay(all->tcp, s->connection, value);
        return 0;
    case TCP_CORK:
        s->cork = value;
        if (socket_has_connection(s))
            tcp_set_cork(all->tcp, s->connection, value);
        return 0;
    case TCP_KEEPIDLE:
    case TCP_KEEPINTVL:
    case TCP_KEEPCNT:
        return set_keepalive(all, s, name, value);
    case TCP_USER_TIMEOUT:
        return set_user_timeout(all, s, value);
    default:
        return refuse(ENOPROTOOPT);
    }
}

int strait_setsockopt(struct strait *stack, int fd, int level, int name, const void *value,
                      socklen_t length)
{
    struct sockets *all = &stack->sockets;
    struct socket *s = socket_find(all, fd);
    int number;
    if (!s)
        return -1;
    if (level == SOL_SOCKET && name == SO_LINGER)
        return set_linger(s, value, length);
    if (length < sizeof(number))
        return refuse(EINVAL);
    memcpy(&number, value, sizeof(number));
    if (level == SOL_SOCKET)
        return set_socket_option(all, s, name, number);
    if (level == IPPROTO_IP)
        return set_ip_option(s, name, number);
    if (level == IPPROTO_TCP)
        return set_tcp_option(all, s, name, number);
    return refuse(ENOPROTOOPT);
}
