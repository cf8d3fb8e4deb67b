/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "echo/echo.h"

#define DATAGRAM_BYTES_MAX 65507 /* 65535 less the IPv4 and UDP headers */
#define ROUND              64    /* datagrams in one callback */

struct echo_udp {
    struct strait *stack;
    int fd;
    char datagram[DATAGRAM_BYTES_MAX];
};

/* Echo, Daytime, Quote of the Day, Character Generator and Time answer whatever they get. */
static bool answers_anything(const struct sockaddr_in *from)
{
    static const uint16_t ports[] = {7, 13, 17, 19, 37};
    for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
        if (ntohs(from->sin_port) == ports[i])
            return true;
    return false;
}

static void ready(void *argument, int fd, short revents)
{
    (void)revents;
    struct echo_udp *e = argument;
    for (int i = 0; i < ROUND; i++) {
        struct sockaddr_in from;
        socklen_t from_bytes = sizeof(from);
        ssize_t got = strait_recvfrom(e->stack, fd, e->datagram, sizeof(e->datagram), 0,
                                      (struct sockaddr *)&from, &from_bytes);
        if (got < 0)
            return;
        /* One that cannot be sent is lost, as any datagram may be. */
        if (!answers_anything(&from))
            strait_sendto(e->stack, fd, e->datagram, (size_t)got, 0, (struct sockaddr *)&from,
                          from_bytes);
    }
}

struct echo_udp *echo_udp_start(struct strait *stack, uint16_t port)
{
    struct echo_udp *e = malloc(sizeof(*e));
    if (!e)
        return NULL;
    e->stack = stack;
    e->fd = strait_socket(stack, AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (e->fd >= 0 && strait_bind(stack, e->fd, (struct sockaddr *)&any, sizeof(any)) == 0 &&
        strait_watch(stack, e->fd, POLLIN, ready, e) == 0)
        return e;
    int error = errno;
    echo_udp_stop(e);
    errno = error;
    return NULL;
}

void echo_udp_stop(struct echo_udp *e)
{
    if (!e)
        return;
    if (e->fd >= 0)
        strait_close(e->stack, e->fd);
    free(e);
}
