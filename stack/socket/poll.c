/* SPDX-License-Identifier: MIT */
/*
 * Readiness. What holds for a socket is computed when it is asked for, never stored, so that it
 * cannot be stale. For watches there is a list of the sockets that may be ready: whoever changes
 * something (TCP and UDP through sockets_wake, the socket calls themselves) puts the socket on it,
 * and a dispatch looks at those alone. A socket stays on the list for as long as it is ready, which
 * makes watches level-triggered, and leaves it when it is not, which makes them cheap.
 */
#define _GNU_SOURCE /* POLLRDHUP */
#include <errno.h>

#include "socket/socket.h"
#include "stack.h"

#define ALWAYS_TOLD (POLLERR | POLLHUP)

/* ---- Events ---- */

static int datagram_events(const struct socket *s)
{
    int events = udp_events(s->endpoint);
    if (s->receive_shut)
        events |= POLLIN | POLLRDHUP;
    if (s->receive_shut && s->send_shut)
        events |= POLLHUP;
    return events;
}

/* The events that all kinds of sockets have. */
static int plain_events(const struct socket *s, int wanted)
{
    if (socket_has_connection(s))
        return tcp_events(s->connection, wanted);
    if (s->kind == SOCKET_LISTENING)
        return tcp_listener_events(s->listener);
    return s->kind == SOCKET_DATAGRAM ? datagram_events(s) : POLLOUT | POLLHUP;
}

/* POLLRDNORM and POLLWRNORM are other names of POLLIN and POLLOUT. */
static int normal_events(const struct socket *s)
{
    int events = plain_events(s, POLLIN | POLLOUT);
    return (events & POLLIN ? POLLRDNORM : 0) | (events & POLLOUT ? POLLWRNORM : 0);
}

short socket_events(const struct socket *s, int wanted)
{
    int events = plain_events(s, wanted);
    if (wanted & (POLLRDNORM | POLLWRNORM))
        events |= normal_events(s);
    return (short)(events & (wanted | ALWAYS_TOLD));
}

/* ---- poll ---- */

/* Fills in all `revents`. Returns how many are not 0. */
static int poll_once(const struct sockets *all, struct pollfd *fds, nfds_t count)
{
    int ready = 0;
    for (nfds_t i = 0; i < count; i++) {
        struct pollfd *p = &fds[i];
        p->revents = 0;
        if (p->fd < 0)
            continue;
        const struct socket *s = socket_find(all, p->fd);
        int events = s ? socket_events(s, p->events) : POLLNVAL;
        p->revents = (short)events;
        ready += events != 0;
    }
    return ready;
}

/* Without an environment that can wait nothing would ever change: the time is over at once. */
static bool poll_is_over(const struct sockets *all, int timeout_ms, uint64_t deadline_ns)
{
    if (timeout_ms == 0 || !all->env || !all->env->wait)
        return true;
    return timeout_ms > 0 && all->env->now(all->env) >= deadline_ns;
}

/* Whether the arguments are none: then with errno EINVAL (as POSIX, more than can be open) or
 * EFAULT. */
static bool poll_refused(const struct sockets *all, const struct pollfd *fds, nfds_t count)
{
    if (count > all->core->config.sockets_max)
        errno = EINVAL;
    else if (count > 0 && !fds)
        errno = EFAULT;
    else
        return false;
    return true;
}

int strait_poll(struct strait *stack, struct pollfd *fds, nfds_t count, int timeout_ms)
{
    struct sockets *all = &stack->sockets;
    uint64_t deadline_ns = STRAIT_NEVER;
    if (poll_refused(all, fds, count))
        return -1;
    if (timeout_ms > 0 && all->env)
        deadline_ns = all->env->now(all->env) + (uint64_t)timeout_ms * NS_PER_MS;
    for (;;) {
        int ready = poll_once(all, fds, count);
        if (ready > 0 || poll_is_over(all, timeout_ms, deadline_ns))
            return ready;
        if (sockets_wait(all, deadline_ns) < 0)
            return -1;
    }
}

/* ---- watch and dispatch ---- */

void socket_queue(struct sockets *all, struct socket *s)
{
    if (!s->watch || !list_empty(&s->ready))
        return;
    list_append(&all->ready, &s->ready);
    /* Its callback will find it by its descriptor, which among very many is in no cache. */
    __builtin_prefetch(&all->slots[slot_index(all, s->fd)]);
}

void sockets_wake(void *sockets, void *owner)
{
    socket_queue(sockets, owner);
}

int strait_watch(struct strait *stack, int fd, short events,
                 void (*ready)(void *argument, int fd, short revents), void *argument)
{
    struct sockets *all = &stack->sockets;
    struct socket *s = socket_find(all, fd);
    if (!s)
        return -1;
    if (!ready && events != 0) {
        errno = EINVAL;
        return -1;
    }
    s->watch = ready;
    s->watch_argument = argument;
    s->watch_events = events;
    if (ready)
        socket_queue(all, s);
    else
        list_remove(&s->ready);
    return 0;
}

/* What the watch of a socket is to be told now. */
static short watch_events(const struct socket *s)
{
    return s->watch ? socket_events(s, s->watch_events) : 0;
}

/*
 * Tells the watch of a socket what holds, if anything does. It is asked again behind the callback,
 * which has often served it: only one that is still ready goes back to the list. The callback may
 * close it, too, and all of it is gone then. Returns whether there was something to tell.
 */
static bool tell(struct sockets *all, struct socket *s)
{
    short events = watch_events(s);
    if (!events) {
        list_remove(&s->ready);
        return false;
    }
    all->told = s;
    s->watch(s->watch_argument, s->fd, events);
    if (!all->told)
        return true;
    list_remove(&s->ready);
    if (watch_events(s))
        list_append(&all->ready, &s->ready);
    return true;
}

int strait_dispatch(struct strait *stack)
{
    struct sockets *all = &stack->sockets;
    if (all->dispatching || !sockets_pending(all))
        return 0;
    struct list round;
    all->dispatching = true;
    int told = list_empty(&all->released) ? 0 : sockets_release(all);
    list_take(&round, &all->ready);
    while (!list_empty(&round))
        told += tell(all, container_of(round.next, struct socket, ready));
    all->dispatching = false;
    return told;
}
