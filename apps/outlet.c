/* SPDX-License-Identifier: MIT */
#include "outlet.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

void outlet_init(struct outlet *o, struct strait_env *env, int fd, void (*ready)(void *argument),
                 void *argument)
{
    struct stat status;
    bool file = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    *o = (struct outlet){.env = env, .fd = fd, .ready = ready, .argument = argument};
    /* A pipe that poll calls writable takes this much at once (pipe(7)); a file takes all. */
    o->piece_bytes = file ? SIZE_MAX : PIPE_BUF;
}

static void room_again(void *argument, int fd, short revents)
{
    struct outlet *o = argument;
    (void)fd;
    (void)revents; /* an error is told by the next write */
    outlet_stop(o);
    o->ready(o->argument);
}

static bool has_room(const struct outlet *o)
{
    struct pollfd p = {.fd = o->fd, .events = POLLOUT};
    return poll(&p, 1, 0) > 0;
}

ssize_t outlet_write(struct outlet *o, const void *bytes, size_t length)
{
    size_t done = 0;
    while (done < length && has_room(o)) {
        size_t piece = length - done < o->piece_bytes ? length - done : o->piece_bytes;
        ssize_t n = write(o->fd, (const char *)bytes + done, piece);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return -1;
        if (n < 0)
            break; /* somebody else has made it non-blocking, and was faster */
        done += (size_t)n;
    }
    if (done == length)
        return (ssize_t)done;
    o->waits = true;
    if (o->env->watch(o->env, o->fd, POLLOUT, room_again, o) < 0)
        return -1;
    return (ssize_t)done;
}

void outlet_stop(struct outlet *o)
{
    if (o->waits)
        o->env->watch(o->env, o->fd, 0, NULL, NULL);
    o->waits = false;
}
