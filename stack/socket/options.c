/* SPDX-License-Identifier: MIT */
/*
 * Socket options: the two calls, and the level SOL_SOCKET. Settings of a stream are kept in the
 * socket, so that they can be made before there is a connection, and be inherited from a listener;
 * a connection is told of them at once.
 */
#include "socket/options.h"

#include <limits.h>
#include <string.h>

#include "stack.h"

#define US_PER_S            1000000
#define TIMEOUT_SECONDS_MAX (UINT32_MAX / 2) /* above this it is for ever */

/* ---- For all levels ---- */

int option_give(void *to, socklen_t *length, const void *value, size_t bytes)
{
    if (*length > bytes)
        *length = (socklen_t)bytes;
    if (!to && *length > 0)
        return option_refuse(EFAULT);
    if (*length > 0)
        memcpy(to, value, *length);
    return 0;
}

int option_give_int(void *to, socklen_t *length, int value)
{
    return option_give(to, length, &value, sizeof(value));
}

int option_read_int(const void *value, socklen_t length, int *number)
{
    if (length < sizeof(*number))
        return option_refuse(EINVAL);
    if (!value)
        return option_refuse(EFAULT);
    memcpy(number, value, sizeof(*number));
    return 0;
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

static int get_linger(const struct socket *s, void *value, socklen_t *length)
{
    struct linger linger = {.l_onoff = s->options->linger, .l_linger = (int)s->options->linger_s};
    return option_give(value, length, &linger, sizeof(linger));
}

static int protocol_of(const struct socket *s)
{
    if (s->kind != SOCKET_DATAGRAM)
        return IPPROTO_TCP;
    return s->endpoint->echo ? IPPROTO_ICMP : IPPROTO_UDP;
}

static int get_timeout(uint64_t timeout_ns, void *value, socklen_t *length)
{
    struct timeval time = {0}; /* for ever */
    if (timeout_ns != STRAIT_NEVER) {
        time.tv_sec = (time_t)(timeout_ns / NS_PER_S);
        time.tv_usec = (suseconds_t)(timeout_ns % NS_PER_S / NS_PER_US);
    }
    return option_give(value, length, &time, sizeof(time));
}

/* An option of SOL_SOCKET. */
static int get_option(struct socket *s, int name, void *value, socklen_t *length)
{
    bool stream = s->kind != SOCKET_DATAGRAM;
    switch (name) {
    case SO_TYPE:
        return option_give_int(value, length, stream ? SOCK_STREAM : SOCK_DGRAM);
    case SO_DOMAIN:
        return option_give_int(value, length, AF_INET);
    case SO_PROTOCOL:
        return option_give_int(value, length, protocol_of(s));
    case SO_ACCEPTCONN:
        return option_give_int(value, length, s->kind == SOCKET_LISTENING);
    case SO_ERROR:
        return option_give_int(value, length, take_error(s));
    case SO_REUSEADDR:
        return option_give_int(value, length, s->options->reuse_address);
    case SO_REUSEPORT:
        return option_give_int(value, length, s->options->reuse_port);
    case SO_KEEPALIVE:
        return option_give_int(value, length, s->options->keepalive.on);
    case SO_OOBINLINE:
        return option_give_int(value, length, 1);
    case SO_SNDBUF:
        return option_give_int(value, length, (int)s->options->send_buffer_bytes);
    case SO_RCVBUF:
        return option_give_int(value, length, (int)s->options->receive_buffer_bytes);
    case SO_LINGER:
        return get_linger(s, value, length);
    case SO_RCVTIMEO:
        return get_timeout(s->options->receive_timeout_ns, value, length);
    case SO_SNDTIMEO:
        return get_timeout(s->options->send_timeout_ns, value, length);
    case SO_RCVLOWAT:
        return option_give_int(value, length, (int)s->options->receive_low);
    case SO_SNDLOWAT:
        return option_give_int(value, length, 1); /* as Linux, which cannot be told another */
    case SO_BROADCAST:
        return option_give_int(value, length, 0);
    default:
        return option_refuse(ENOPROTOOPT);
    }
}

/* Whether the socket has options of the level. */
static bool has_level(const struct socket *s, int level)
{
    return level == SOL_SOCKET || level == IPPROTO_IP || level == protocol_of(s);
}

int strait_getsockopt(struct strait *stack, int fd, int level, int name, void *value,
                      socklen_t *length)
{
    struct sockets *all = &stack->sockets;
    struct socket *s = socket_find(all, fd);
    if (!s)
        return -1;
    if (!has_level(s, level))
        return option_refuse(EOPNOTSUPP); /* as Linux; to set it is ENOPROTOOPT */
    if (!length)
        return option_refuse(EFAULT);
    if (*length > INT_MAX)
        return option_refuse(EINVAL);
    switch (level) {
    case SOL_SOCKET:
        return get_option(s, name, value, length);
    case IPPROTO_IP:
        return options_ip_get(all, s, name, value, length);
    case IPPROTO_TCP:
        return options_tcp_get(all, s, name, value, length);
    default:
        return option_refuse(ENOPROTOOPT); /* UDP has none */
    }
}

/* ---- Setting ---- */

/* A size as Linux takes it: out of range is brought into it, and a negative one is huge. */
static uint32_t buffer_bytes(const struct sockets *all, int value)
{
    uint32_t least = all->core->config.buffer_min_bytes, most = all->core->config.buffer_max_bytes;
    uint32_t bytes = value < 0 || (uint32_t)value > most ? most : (uint32_t)value;

    return bytes > least ? bytes : least;
}

static void set_send_buffer(struct sockets *all, struct socket *s, uint32_t bytes)
{
    s->options->send_buffer_bytes = bytes;
    if (socket_has_connection(s))
        tcp_set_send_buffer(all->tcp, s->connection, bytes);
}

static void set_receive_buffer(struct sockets *all, struct socket *s, uint32_t bytes)
{
    s->options->receive_buffer_bytes = bytes;
    if (socket_has_connection(s))
        tcp_set_receive_buffer(all->tcp, s->connection, bytes);
    else if (s->kind == SOCKET_DATAGRAM)
        s->endpoint->queue_max_bytes = bytes;
}

static int set_linger(struct socket *s, const void *value, socklen_t length)
{
    struct linger linger;
    if (length < sizeof(linger))
        return option_refuse(EINVAL);
    memcpy(&linger, value, sizeof(linger));
    s->options->linger = linger.l_onoff;
    if (linger.l_onoff)
        s->options->linger_s = (uint32_t)linger.l_linger;
    return 0;
}

/* As Linux: no time is for ever, a negative one has passed already. */
static int set_timeout(uint64_t *timeout_ns, const void *value, socklen_t length)
{
    struct timeval time;
    if (length < sizeof(time))
        return option_refuse(EINVAL);
    memcpy(&time, value, sizeof(time));
    if (time.tv_usec < 0 || time.tv_usec >= US_PER_S)
        return option_refuse(EDOM);
    if (time.tv_sec < 0)
        *timeout_ns = 0;
    else if ((time.tv_sec == 0 && time.tv_usec == 0) || time.tv_sec > TIMEOUT_SECONDS_MAX)
        *timeout_ns = STRAIT_NEVER;
    else
        *timeout_ns = (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_usec * NS_PER_US;
    return 0;
}

/* As Linux: 0 is 1, and a negative number the largest there is. */
static int set_receive_low(struct socket *s, int value)
{
    s->options->receive_low = value < 0 ? INT_MAX : value == 0 ? 1 : (uint32_t)value;
    if (socket_has_connection(s))
        tcp_set_receive_low(s->connection, s->options->receive_low);
    return 0;
}

void options_reuse_changed(struct sockets *all, struct socket *s)
{
    struct binding *b = s->kind == SOCKET_DATAGRAM ? &s->endpoint->binding : s->binding;
    struct binding none = {0};
    if (!b)
        b = &none;
    b->reuse_address = s->options->reuse_address;
    b->reuse_port = s->options->reuse_port;
    if (s->kind == SOCKET_LISTENING)
        tcp_listener_set_reuse(s->listener, b);
    else if (socket_has_connection(s))
        tcp_set_reuse(all->tcp, s->connection, b);
}

/* An option of SOL_SOCKET: a number, or what `value` holds. */
static int set_option(struct sockets *all, struct socket *s, int name, int number,
                      const void *value, socklen_t length)
{
    switch (name) {
    case SO_REUSEADDR:
        s->options->reuse_address = number;
        options_reuse_changed(all, s);
        return 0;
    case SO_REUSEPORT:
        s->options->reuse_port = number;
        options_reuse_changed(all, s);
        return 0;
    case SO_KEEPALIVE:
        s->options->keepalive.on = number;
        options_keepalive_changed(all, s);
        return 0;
    case SO_OOBINLINE:
        return number ? 0 : option_refuse(EOPNOTSUPP);
    case SO_SNDBUF:
        set_send_buffer(all, s, buffer_bytes(all, number));
        return 0;
    case SO_RCVBUF:
        set_receive_buffer(all, s, buffer_bytes(all, number));
        return 0;
    case SO_LINGER:
        return set_linger(s, value, length);
    case SO_RCVTIMEO:
        return set_timeout(&s->options->receive_timeout_ns, value, length);
    case SO_SNDTIMEO:
        return set_timeout(&s->options->send_timeout_ns, value, length);
    case SO_RCVLOWAT:
        return set_receive_low(s, number);
    case SO_BROADCAST: /* nothing is sent to everybody */
        return number ? option_refuse(EOPNOTSUPP) : 0;
    default:
        return option_refuse(ENOPROTOOPT);
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
    if (length > INT_MAX)
        return option_refuse(EINVAL);
    if (!socket_own_options(s))
        return -1;
    if (level == IPPROTO_IP)
        return options_ip_set(all, s, name, value, length);
    if (level == IPPROTO_TCP && s->kind != SOCKET_DATAGRAM)
        return options_tcp_set(all, s, name, value, length);
    if (level != SOL_SOCKET)
        return option_refuse(ENOPROTOOPT);
    if (option_read_int(value, length, &number) < 0)
        return -1;
    return set_option(all, s, name, number, value, length);
}
