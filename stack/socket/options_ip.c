/* SPDX-License-Identifier: MIT */
/* Socket options of the level IPPROTO_IP. */
#include <string.h>

#include "socket/options.h"

#define TTL_DEFAULT   (-1) /* to set */
#define DIFFSERV_MASK 0xfc /* of the TOS; the rest is for ECN, RFC 3168 5 */

static uint8_t ttl_of(const struct socket *s)
{
    return s->kind == SOCKET_DATAGRAM ? s->endpoint->ttl : s->options->ttl;
}

static uint8_t tos_of(const struct socket *s)
{
    return s->kind == SOCKET_DATAGRAM ? s->endpoint->tos : s->options->tos;
}

static bool keeps_failures(const struct socket *s)
{
    return s->kind == SOCKET_DATAGRAM ? s->endpoint->keeps_failures : s->options->tells_failures;
}

static int mtu_discover(const struct socket *s)
{
    return s->kind == SOCKET_DATAGRAM ? s->endpoint->mtu_discover : s->options->mtu_discover;
}

/* ---- Reading ---- */

/* As Linux: who has no room for an int gets a byte, if the number fits one. */
static int give_number(void *to, socklen_t *length, int number)
{
    uint8_t byte = (uint8_t)number;
    if (*length > 0 && *length < sizeof(number) && number == byte)
        return option_give(to, length, &byte, sizeof(byte));
    return option_give_int(to, length, number);
}

/* Returns -1 with errno ENOTCONN, or that of ip_route_find. */
static int path_mtu(struct sockets *all, const struct socket *s)
{
    if (s->kind == SOCKET_DATAGRAM)
        return udp_mtu(all->udp, s->endpoint);
    if (!socket_has_connection(s) || tcp_is_closed(s->connection))
        return option_refuse(ENOTCONN);
    return tcp_mtu(s->connection);
}

int options_ip_get(struct sockets *all, struct socket *s, int name, void *value, socklen_t *length)
{
    int mtu;
    switch (name) {
    case IP_TTL:
        return give_number(value, length, ttl_of(s));
    case IP_TOS:
        return give_number(value, length, tos_of(s));
    case IP_PKTINFO:
        return give_number(value, length, s->options->wants_pktinfo);
    case IP_RECVTTL:
        return give_number(value, length, s->options->wants_ttl);
    case IP_RECVTOS:
        return give_number(value, length, s->options->wants_tos);
    case IP_RECVERR:
        return give_number(value, length, keeps_failures(s));
    case IP_MTU_DISCOVER:
        return give_number(value, length, mtu_discover(s));
    case IP_MTU:
        mtu = path_mtu(all, s);
        return mtu < 0 ? -1 : give_number(value, length, mtu);
    default:
        return option_refuse(ENOPROTOOPT);
    }
}

/* ---- Setting ---- */

/* An int, or a byte, or 0 if there is nothing. */
static int read_number(const void *value, socklen_t length, int *number)
{
    uint8_t byte = 0;
    if (length >= sizeof(*number))
        return option_read_int(value, length, number);
    if (length > 0 && !value)
        return option_refuse(EFAULT);
    if (length > 0)
        memcpy(&byte, value, sizeof(byte));
    *number = byte;
    return 0;
}

void options_ip_changed(struct socket *s)
{
    struct tcp_ip_settings settings = {
        .ttl = s->options->ttl,
        .tos = s->options->tos,
        .may_be_cut = s->options->mtu_discover == IP_PMTUDISC_DONT,
        .tells_failures = s->options->tells_failures,
    };
    if (s->kind == SOCKET_LISTENING)
        tcp_listener_set_ip(s->listener, &settings);
    else if (socket_has_connection(s))
        tcp_set_ip(s->connection, &settings);
}

static void set_header(struct socket *s, uint8_t ttl, uint8_t tos)
{
    if (s->kind == SOCKET_DATAGRAM) {
        s->endpoint->ttl = ttl;
        s->endpoint->tos = tos;
        return;
    }
    s->options->ttl = ttl;
    s->options->tos = tos;
    options_ip_changed(s);
}

static int set_ttl(const struct sockets *all, struct socket *s, int value)
{
    uint8_t standard = all->core->config.ttl;

    if (value != TTL_DEFAULT && (value < 1 || value > UINT8_MAX))
        return option_refuse(EINVAL);
    set_header(s, value == TTL_DEFAULT ? standard : (uint8_t)value, tos_of(s));
    return 0;
}

static int set_tos(struct socket *s, int value)
{
    bool stream = s->kind != SOCKET_DATAGRAM; /* its bits of ECN are TCP's own */
    set_header(s, ttl_of(s), (uint8_t)value & (stream ? DIFFSERV_MASK : UINT8_MAX));
    return 0;
}

static int set_failures(struct sockets *all, struct socket *s, bool on)
{
    if (s->kind == SOCKET_DATAGRAM) {
        udp_keep_failures(all->udp, s->endpoint, on);
        return 0;
    }
    s->options->tells_failures = on;
    options_ip_changed(s);
    return 0;
}

/* A stream finds the MTU of its path by ICMP, or lets routers cut: it has no other way. */
static int set_mtu_discover(struct socket *s, int value)
{
    bool stream = s->kind != SOCKET_DATAGRAM;
    if (value < IP_PMTUDISC_DONT || value > (stream ? IP_PMTUDISC_DO : IP_PMTUDISC_OMIT))
        return option_refuse(EINVAL);
    if (!stream) {
        s->endpoint->mtu_discover = (uint8_t)value;
        return 0;
    }
    s->options->mtu_discover = (uint8_t)value;
    options_ip_changed(s);
    return 0;
}

int options_ip_set(struct sockets *all, struct socket *s, int name, const void *value,
                   socklen_t length)
{
    int number;
    if (read_number(value, length, &number) < 0)
        return -1;
    switch (name) {
    case IP_TTL:
        return length == 0 ? option_refuse(EINVAL) : set_ttl(all, s, number);
    case IP_TOS:
        return set_tos(s, number);
    case IP_PKTINFO:
        s->options->wants_pktinfo = number;
        return 0;
    case IP_RECVTTL:
        s->options->wants_ttl = number;
        return 0;
    case IP_RECVTOS:
        s->options->wants_tos = number;
        return 0;
    case IP_RECVERR:
        return set_failures(all, s, number);
    case IP_MTU_DISCOVER:
        return set_mtu_discover(s, number);
    default:
        return option_refuse(ENOPROTOOPT);
    }
}
