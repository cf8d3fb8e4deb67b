/* SPDX-License-Identifier: MIT */
/* Socket options of the level IPPROTO_TCP. */
#include <linux/tcp.h>
#include <string.h>

#include "socket/options.h"

/* Linux's limits. */
#define KEEPALIVE_SECONDS_MAX 32767
#define KEEPALIVE_COUNT_MAX   127
#define SYN_RETRIES_MAX       127
#define SEGMENT_MIN           88
#define SEGMENT_MAX           32767
#define NAME_BYTES            16 /* of a congestion control, its end included */

/* ---- Reading ---- */

/* What TCP knows of a stream; of one without a connection only its state. */
static int get_info(const struct sockets *all, const struct socket *s, void *value,
                    socklen_t *length)
{
    struct tcp_info info;
    if (socket_has_connection(s))
        tcp_get_info(all->tcp, s->connection, &info);
    else
        tcp_get_no_info(s->kind == SOCKET_LISTENING ? s->listener : NULL, &info);
    return option_give(value, length, &info, sizeof(info));
}

/* The name of the algorithm, with zeros behind it as far as there is room. */
static int get_congestion(void *value, socklen_t *length)
{
    char name[NAME_BYTES] = {0};
    size_t bytes = strlen(tcp_congestion_default());
    memcpy(name, tcp_congestion_default(), bytes < sizeof(name) ? bytes : sizeof(name) - 1);
    return option_give(value, length, name, sizeof(name));
}

/* As Linux: what is sent, once that is known; before, what was asked for. */
static int max_segment(const struct socket *s)
{
    if (socket_has_connection(s) && !tcp_is_opening(s->connection) && !tcp_is_closed(s->connection))
        return (int)tcp_mss(s->connection);
    return s->options->max_segment > 0 ? s->options->max_segment : TCP_SEGMENT_UNTOLD;
}

int options_tcp_get(const struct sockets *all, const struct socket *s, int name, void *value,
                    socklen_t *length)
{
    switch (name) {
    case TCP_NODELAY:
        return option_give_int(value, length, s->options->nodelay);
    case TCP_CORK:
        return option_give_int(value, length, s->options->cork);
    case TCP_KEEPIDLE:
        return option_give_int(value, length, s->options->keepalive.idle_s);
    case TCP_KEEPINTVL:
        return option_give_int(value, length, s->options->keepalive.interval_s);
    case TCP_KEEPCNT:
        return option_give_int(value, length, s->options->keepalive.count);
    case TCP_USER_TIMEOUT:
        return option_give_int(value, length, (int)s->options->user_timeout_ms);
    case TCP_INFO:
        return get_info(all, s, value, length);
    case TCP_MAXSEG:
        return option_give_int(value, length, max_segment(s));
    case TCP_QUICKACK:
        return option_give_int(value, length, !s->options->held_ack);
    case TCP_NOTSENT_LOWAT:
        return option_give_int(value, length, (int)s->options->unsent_low);
    case TCP_SYNCNT:
        return option_give_int(value, length,
                               s->options->syn_retries ? s->options->syn_retries
                                                       : all->core->config.syn_retries);
    case TCP_CONGESTION:
        return get_congestion(value, length);
    default:
        return option_refuse(ENOPROTOOPT);
    }
}

/* ---- Setting ---- */

void options_keepalive_changed(struct sockets *all, struct socket *s)
{
    if (socket_has_connection(s))
        tcp_set_keepalive(all->tcp, s->connection, &s->options->keepalive);
}

/* One of the three numbers of the keep-alive. */
static int set_keepalive(struct sockets *all, struct socket *s, int name, int value)
{
    int limit = name == TCP_KEEPCNT ? KEEPALIVE_COUNT_MAX : KEEPALIVE_SECONDS_MAX;
    if (value < 1 || value > limit)
        return option_refuse(EINVAL);
    if (name == TCP_KEEPIDLE)
        s->options->keepalive.idle_s = (uint16_t)value;
    else if (name == TCP_KEEPINTVL)
        s->options->keepalive.interval_s = (uint16_t)value;
    else
        s->options->keepalive.count = (uint8_t)value;
    options_keepalive_changed(all, s);
    return 0;
}

static int set_user_timeout(struct sockets *all, struct socket *s, int value)
{
    if (value < 0)
        return option_refuse(EINVAL);
    s->options->user_timeout_ms = (uint32_t)value;
    if (socket_has_connection(s))
        tcp_set_user_timeout(all->tcp, s->connection, s->options->user_timeout_ms);
    return 0;
}

static int set_nodelay(struct sockets *all, struct socket *s, bool on)
{
    s->options->nodelay = on;
    if (socket_has_connection(s))
        tcp_set_nodelay(all->tcp, s->connection, on);
    return 0;
}

static int set_cork(struct sockets *all, struct socket *s, bool on)
{
    s->options->cork = on;
    if (socket_has_connection(s))
        tcp_set_cork(all->tcp, s->connection, on);
    return 0;
}

static void opening_changed(struct socket *s)
{
    if (s->kind == SOCKET_LISTENING)
        tcp_listener_set_opening(s->listener, s->options->max_segment, s->options->syn_retries);
}

static int set_max_segment(struct socket *s, int value)
{
    if (value != 0 && (value < SEGMENT_MIN || value > SEGMENT_MAX))
        return option_refuse(EINVAL);
    s->options->max_segment = (uint16_t)value;
    opening_changed(s);
    return 0;
}

static int set_quick_ack(struct sockets *all, struct socket *s, bool on)
{
    s->options->quick_ack = on;
    s->options->held_ack = !on;
    if (socket_has_connection(s))
        tcp_set_quick_ack(all->tcp, s->connection, on);
    return 0;
}

static int set_unsent_low(struct sockets *all, struct socket *s, int value)
{
    s->options->unsent_low = (uint32_t)value;
    if (socket_has_connection(s))
        tcp_set_unsent_low(all->tcp, s->connection, s->options->unsent_low);
    return 0;
}

static int set_syn_retries(struct socket *s, int value)
{
    if (value < 1 || value > SYN_RETRIES_MAX)
        return option_refuse(EINVAL);
    s->options->syn_retries = (uint8_t)value;
    opening_changed(s);
    if (s->kind == SOCKET_CONNECTING)
        tcp_set_opening(s->connection, s->options->max_segment, s->options->syn_retries);
    return 0;
}

/* There is one algorithm: it can be asked for, and nothing else. */
static int set_congestion(const void *value, socklen_t length)
{
    char name[NAME_BYTES] = {0};
    if (length < 1)
        return option_refuse(EINVAL);
    if (!value)
        return option_refuse(EFAULT);
    memcpy(name, value, length < sizeof(name) ? length : sizeof(name) - 1);
    return strcmp(name, tcp_congestion_default()) == 0 ? 0 : option_refuse(ENOENT);
}

int options_tcp_set(struct sockets *all, struct socket *s, int name, const void *value,
                    socklen_t length)
{
    int number;
    if (name == TCP_CONGESTION)
        return set_congestion(value, length);
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
    case TCP_MAXSEG:
        return set_max_segment(s, number);
    case TCP_QUICKACK:
        return set_quick_ack(all, s, number);
    case TCP_NOTSENT_LOWAT:
        return set_unsent_low(all, s, number);
    case TCP_SYNCNT:
        return set_syn_retries(s, number);
    default:
        return option_refuse(ENOPROTOOPT);
    }
}
