/* SPDX-License-Identifier: MIT */
#include "host/capture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/list.h"
#include "link/savefile.h"

#define PACKET_BYTES_MAX 65535
#define MESSAGE_BYTES    200
#define NS_PER_S         INT64_C(1000000000)

struct capture {
    struct strait_link link;
    struct strait_link *inner;
    struct savefile *file; /* NULL after a failure to write */
    bool draining;         /* flushes at its end */
    int64_t wall_clock_ns; /* wall clock minus monotonic clock, when the file was opened */
    int64_t last_ns;       /* monotonic time of the packet before */
    void (*notice)(void *context, const char *message);
    void *notice_context;
    uint8_t packet[PACKET_BYTES_MAX]; /* a sent packet, put together */
};

static struct capture *capture_of(struct strait_link *link)
{
    return container_of(link, struct capture, link);
}

static int64_t clock_read(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* Writes one packet, of which `captured` bytes are at hand. */
static void record(struct capture *c, const void *packet, size_t captured, size_t length,
                   int64_t now_ns)
{
    if (!c->file)
        return;
    /* A batch was read at one `now`, yet an answer to what we sent in between may be in it. */
    if (now_ns > c->last_ns)
        c->last_ns = now_ns;
    savefile_write(c->file, packet, captured, length, (uint64_t)(c->last_ns + c->wall_clock_ns));
}

/* Gives the operating system what has been written, and learns whether that went well. */
static void flush(struct capture *c)
{
    char message[MESSAGE_BYTES];
    if (!c->file || savefile_flush(c->file, message, sizeof(message)) == 0)
        return;
    savefile_close(c->file);
    c->file = NULL;
    if (c->notice)
        c->notice(c->notice_context, message);
}

static void capture_receive(struct strait_link *inner, const void *packet, size_t length,
                            const struct strait_offload *offload, uint64_t now_ns)
{
    struct capture *c = inner->upper;
    record(c, packet, length, length, (int64_t)now_ns);
    if (!c->draining)
        flush(c);
    c->link.receive(&c->link, packet, length, offload, now_ns);
}

static int capture_drain(struct strait_link *link, uint64_t now_ns, size_t budget_bytes)
{
    struct capture *c = capture_of(link);
    c->draining = true;
    int packets = c->inner->drain(c->inner, now_ns, budget_bytes);
    c->draining = false;
    int saved = errno;
    flush(c);
    errno = saved;
    return packets;
}

static int capture_send(struct strait_link *link, const struct iovec *parts, int count,
                        const struct strait_offload *offload)
{
    struct capture *c = capture_of(link);
    size_t captured = 0, length = 0;
    for (int i = 0; i < count; i++) {
        size_t room = sizeof(c->packet) - captured;
        size_t copied = parts[i].iov_len < room ? parts[i].iov_len : room;
        memcpy(c->packet + captured, parts[i].iov_base, copied);
        captured += copied;
        length += parts[i].iov_len;
    }
    record(c, c->packet, captured, length, clock_read(CLOCK_MONOTONIC));
    flush(c);
    return c->inner->send(c->inner, parts, count, offload);
}

static void capture_close(struct strait_link *link)
{
    struct capture *c = capture_of(link);
    struct strait_link *inner = c->inner;
    flush(c);
    savefile_close(c->file);
    free(c);
    if (inner->close)
        inner->close(inner);
}

struct strait_link *capture_open(struct strait_link *inner, const char *file, const char *filter,
                                 char *error, size_t error_bytes)
{
    struct capture *c = calloc(1, sizeof(*c));
    if (!c) {
        snprintf(error, error_bytes, "no memory for a capture");
        errno = ENOMEM;
        return NULL;
    }
    c->file = savefile_open(file, filter, error, error_bytes);
    if (!c->file) {
        int saved = errno;
        free(c);
        errno = saved;
        return NULL;
    }
    c->wall_clock_ns = clock_read(CLOCK_REALTIME) - clock_read(CLOCK_MONOTONIC);
    c->inner = inner;
    c->link = (struct strait_link){
        .size = sizeof(struct strait_link),
        .name = inner->name,
        .mtu = inner->mtu,
        .features = inner->features,
        .fd = inner->fd,
        .send = capture_send,
        .drain = inner->drain ? capture_drain : NULL,
        .close = capture_close,
    };
    inner->receive = capture_receive;
    inner->upper = c;
    return &c->link;
}

void capture_on_failure(struct strait_link *capture,
                        void (*notice)(void *context, const char *message), void *context)
{
    struct capture *c = capture_of(capture);
    c->notice = notice;
    c->notice_context = context;
}
