/* SPDX-License-Identifier: MIT */
/* Socket options of the level IPPROTO_IP. */
#include <string.h>

#include "socket/options.h"

#define TTL_DEFAULT   (-1) /* to set */
#define DIFFSERV_MASK 0xfc /* of the TOS; the rest is for ECN, RFC 3168 5 */

static uint8_t ttl_of(const struct socket *s)
{
    return s->kind == SOCKET_DATAGRAM ? s->endpoint->ttl : s->ttl;
}

static uint8_t tos_of(const struct socket *s)
{
    return s->kind == SOCKET_DATAGRAM ? s->endpoint->tos : s->tos;
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

int options_ip_get(struct socket *s, int name, void *value, socklen_t *length)
{
    switch (name) {
    case IP_TTL:
        return give_number(value, length, ttl_of(s));
    case IP_TOS:
        return give_number(value, length, tos_of(s));
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

static void set_header(struct socket *s, uint8_t ttl, uint8_t tos)
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

static int set_ttl(struct socket *s, int value)
{
    if (value != TTL_DEFAULT && (value < 1 || value > UINT8_MAX))
        return option_refuse(EINVAL);
    set_header(s, value == TTL_DEFAULT ? IP_DEFAULT_TTL : (uint8_t)value, tos_of(s));
    return 0;
}

static int set_tos(struct socket *s, int value)
{
    bool stream = s->kind != SOCKET_DATAGRAM; /* its bits of ECN are TCP's own */
    set_header(s, ttl_of(s), (uint8_t)value & (stream ? DIFFSERV_MASK : UINT8_MAX));
    return 0;
}

int options_ip_set(struct sockets *all, struct socket *s, int name, const void *value,
                   socklen_t length)
{
    int number;
    (void)all;
    if (read_number(value, length, &number) < 0)
        return -1;
    switch (name) {
    case IP_TTL:
        return length == 0 ? option_refuse(EINVAL) : set_ttl(s, number);
    case IP_TOS:
        return set_tos(s, number);
    default:
        return option_refuse(ENOPROTOOPT);
    }
}
