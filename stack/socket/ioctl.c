/* SPDX-License-Identifier: MIT */
/* ioctl and fcntl, as far as tcp(7), udp(7) and socket(7) have them. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "socket/socket.h"
#include "stack.h"

/* What can be asked of a stream. Returns 0, or -1 with errno. */
static int ask_stream(const struct socket *s, unsigned long request, int *value)
{
    const struct connection *c = socket_has_connection(s) ? s->connection : NULL;
    if (request == SIOCATMARK) {
        *value = c && tcp_is_at_mark(c);
        return 0;
    }
    if (s->kind == SOCKET_LISTENING) {
        errno = EINVAL;
        return -1;
    }
    uint32_t bytes = 0;
    if (c && request == SIOCINQ)
        bytes = tcp_readable(c);
    else if (c && request == SIOCOUTQ)
        bytes = tcp_unacknowledged(c);
    else if (c)
        bytes = tcp_unsent(c);
    *value = (int)bytes;
    return 0;
}

static int ask_datagram(const struct socket *s, unsigned long request, int *value)
{
    if (s->endpoint->echo) { /* icmp(7) has none */
        errno = ENOTTY;
        return -1;
    }
    switch (request) {
    case SIOCINQ:
        *value = (int)udp_next_length(s->endpoint);
        return 0;
    case SIOCOUTQ: /* a datagram leaves in the call that sends it */
        *value = 0;
        return 0;
    default:
        errno = ENOTTY;
        return -1;
    }
}

int strait_ioctl(struct strait *stack, int fd, unsigned long request, int *value)
{
    struct socket *s = socket_find(&stack->sockets, fd);
    if (!s)
        return -1;
    bool known = request == SIOCINQ || request == SIOCOUTQ || request == SIOCOUTQNSD ||
                 request == SIOCATMARK || request == FIONBIO;
    if (!known || !value) {
        errno = known ? EFAULT : ENOTTY;
        return -1;
    }
    if (request == FIONBIO) {
        s->nonblocking = *value;
        return 0;
    }
    return s->kind == SOCKET_DATAGRAM ? ask_datagram(s, request, value)
                                      : ask_stream(s, request, value);
}

int strait_fcntl(struct strait *stack, int fd, int command, int argument)
{
    struct socket *s = socket_find(&stack->sockets, fd);
    if (!s)
        return -1;
    switch (command) {
    case F_GETFL:
        return O_RDWR | (s->nonblocking ? O_NONBLOCK : 0);
    case F_SETFL:
        if (argument & (O_ASYNC | O_APPEND)) /* there are no signals; a stream has one end */
            break;
        s->nonblocking = argument & O_NONBLOCK;
        return 0;
    default:
        break;
    }
    errno = EINVAL;
    return -1;
}
