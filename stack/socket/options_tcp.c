/* SPDX-License-Identifier: MIT */
/* Socket options of the level IPPROTO_TCP. */
#include <netinet/tcp.h>
#include <string.h>

#include "socket/options.h"

/* Linux's limits. */
#define KEEPALIVE_SECONDS_MAX 32767
#define KEEPALIVE_COUNT_MAX   127

/* ---- Reading ---- */

/* What TCP knows of a stream; of one without a connection only its state. */
static int get_info(const struct socket *s, void *value, socklen_t *length)
{
    struct tcp_info info = {.tcpi_state = s->kind == SOCKET_LISTENING ? TCP_LISTEN : TCP_CLOSE};
    if (socket_has_connection(s))
        tcp_get_info(s->connection, &info);
    return option_give(value, length, &info, sizeof(info));
}

int options_tcp_get(const struct socket *s, int name, void *value, socklen_t *length)
{
    switch (name) {
    case TCP_NODELAY:
        return option_give_int(value, length, s->nodelay);
    case TCP_CORK:
        return option_give_int(value, length, s->cork);
    case TCP_KEEPIDLE:
        return option_give_int(value, length, s->keepalive.idle_s);
    case TCP_KEEPINTVL:
        return option_give_int(value, length, s->keepalive.interval_s);
    case TCP_KEEPCNT:
        return option_give_int(value, length, s->keepalive.count);
    case TCP_USER_TIMEOUT:
        return option_give_int(value, length, (int)s->user_timeout_ms);
    case TCP_INFO:
        return get_info(s, value, length);
    default:
        return option_refuse(ENOPROTOOPT);
    }
}

/* ---- Setting ---- */

void options_keepalive_changed(struct sockets *all, struct socket *s)
{
    if (socket_has_connection(s))
        tcp_set_keepalive(all->tcp, s->connection, &s->keepalive);
}

/* One of the three numbers of the keep-alive. */
static int set_keepalive(struct sockets *all, struct socket *s, int name, int value)
{
    int limit = name == TCP_KEEPCNT ? KEEPALIVE_COUNT_MAX : KEEPALIVE_SECONDS_MAX;
    if (value < 1 || value > limit)
        return option_refuse(EINVAL);
    if (name == TCP_KEEPIDLE)
        s->keepalive.idle_s = (uint16_t)value;
    else if (name == TCP_KEEPINTVL)
        s->keepalive.interval_s = (uint16_t)value;
    else
        s->keepalive.count = (uint8_t)value;
    options_keepalive_changed(all, s);
    return 0;
}

static int set_user_timeout(struct sockets *all, struct socket *s, int value)
{
    if (value < 0)
        return option_refuse(EINVAL);
    s->user_timeout_ms = (uint32_t)value;
    if (socket_has_connection(s))
        tcp_set_user_timeout(all->tcp, s->connection, s->user_timeout_ms);
    return 0;
}

static int set_nodelay(struct sockets *all, struct socket *s, bool on)
{
    s->nodelay = on;
    if (socket_has_connection(s))
        tcp_set_nodelay(all->tcp, s->connection, on);
    return 0;
}

static int set_cork(struct sockets *all, struct socket *s, bool on)
{
    s->cork = on;
    if (socket_has_connection(s))
        tcp_set_cork(all->tcp, s->connection, on);
    return 0;
}

int options_tcp_set(struct sockets *all, struct socket *s, int name, const void *value,
                    socklen_t length)
{
    int number;
    if (option_read_int(value, length, &number) < 0)
        return -1;
    switch (name) {
    case TCP_NODELAY:
        return set_nodelay(all, s, number);
    case TCP_CORK:
        return set_cork(all, s, number);
    case TCP_KEEPIDLE:
    case TCP_KEEPINTVL:
    case TCP_KEEPCNT:
        return set_keepalive(all, s, name, number);
    case TCP_USER_TIMEOUT:
        return set_user_timeout(all, s, number);
    default:
        return option_refuse(ENOPROTOOPT);
    }
}
