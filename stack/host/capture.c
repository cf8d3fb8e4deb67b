/* SPDX-License-Identifier: MIT */
#include "host/capture.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/list.h"

#define PACKET_BYTES_MAX 65535
#define MESSAGE_BYTES    200
#define NS_PER_S         INT64_C(1000000000)

struct capture {
    struct strait_link link;
    struct strait_link *inner;
    pcap_t *format;        /* not a source of packets: only says what the file is like */
    pcap_dumper_t *dumper; /* NULL after a failure to write */
    struct bpf_program filter;
    bool filtered;
    bool written;          /* since the last flush */
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

/* Writes one packet, of which `captured` bytes are at hand, if it matches the filter. */
static void record(struct capture *c, const void *packet, size_t captured, size_t length,
                   int64_t now_ns)
{
    if (!c->dumper)
        return;
    /* A batch was read at one `now`, yet an answer to what we sent in between may be in it. */
    if (now_ns > c->last_ns)
        c->last_ns = now_ns;
    int64_t wall_ns = c->last_ns + c->wall_clock_ns;
    struct pcap_pkthdr head = {
        /* With nanosecond precision, tv_usec holds nanoseconds. */
        .ts = {.tv_sec = wall_ns / NS_PER_S, .tv_usec = wall_ns % NS_PER_S},
        .caplen = (bpf_u_int32)captured,
        .len = (bpf_u_int32)length,
    };
    if (c->filtered && !pcap_offline_filter(&c->filter, &head, packet))
        return;
    pcap_dump((u_char *)c->dumper, &head, packet);
    c->written = true;
}

/* Gives the operating system what has been written, and learns whether that went well. */
static void flush(struct capture *c)
{
    if (!c->written)
        return;
    c->written = false;
    errno = 0;
    if (pcap_dump_flush(c->dumper) == 0 && !ferror(pcap_dump_file(c->dumper)))
        return;
    char message[MESSAGE_BYTES];
    snprintf(message, sizeof(message), "the capture ends here: %s",
             errno ? strerror(errno) : "its file cannot be written");
    pcap_dump_close(c->dumper);
    c->dumper = NULL;
    if (c->notice)
        c->notice(c->notice_context, message);
}

static void capture_receive(struct strait_link *inner, const void *packet, size_t length,
                            const struct strait_offload *offload, uint64_t now_ns)
{
    struct capture *c = inner->upper;
    record(c, packet, length, length, (int64_t)now_ns);
    if (!inner->drain)
        flush(c);
    c->link.receive(&c->link, packet, length, offload, now_ns);
}

static int capture_drain(struct strait_link *link, uint64_t now_ns, size_t budget_bytes)
{
    struct capture *c = capture_of(link);
    int packets = c->inner->drain(c->inner, now_ns, budget_bytes);
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

/* Frees what the capture itself holds. */
static void release(struct capture *c)
{
    if (c->dumper)
        pcap_dump_close(c->dumper);
    if (c->filtered)
        pcap_freecode(&c->filter);
    if (c->format)
        pcap_close(c->format);
    free(c);
}

static void capture_close(struct strait_link *link)
{
    struct capture *c = capture_of(link);
    struct strait_link *inner = c->inner;
    flush(c);
    release(c);
    if (inner->close)
        inner->close(inner);
}

/* Prepares the filter and opens the file. Returns 0, or -1 with errno and `error`. */
static int open_file(struct capture *c, const char *file, const char *filter, char *error,
                     size_t error_bytes)
{
    /* The filter first: a wrong one must not cost an older file of that name. */
    if (filter) {
        if (pcap_compile(c->format, &c->filter, filter, 1, PCAP_NETMASK_UNKNOWN)) {
            snprintf(error, error_bytes, "the filter '%s': %s", filter, pcap_geterr(c->format));
            errno = EINVAL;
            return -1;
        }
        c->filtered = true;
    }
    c->dumper = pcap_dump_open(c->format, file);
    if (!c->dumper) {
        snprintf(error, error_bytes, "cannot write the capture: %s", pcap_geterr(c->format));
        return -1;
    }
    /* The savefile's own header: a reader finds a valid file before the first packet. */
    if (pcap_dump_flush(c->dumper)) {
        snprintf(error, error_bytes, "cannot write the capture: %s: %s", file, strerror(errno));
        return -1;
    }
    return 0;
}

struct strait_link *capture_open(struct strait_link *inner, const char *file, const char *filter,
                                 char *error, size_t error_bytes)
{
    struct capture *c = calloc(1, sizeof(*c));
    if (c)
        c->format = pcap_open_dead_with_tstamp_precision(DLT_RAW, PACKET_BYTES_MAX,
                                                         PCAP_TSTAMP_PRECISION_NANO);
    if (!c || !c->format) {
        free(c);
        snprintf(error, error_bytes, "no memory for a capture");
        errno = ENOMEM;
        return NULL;
    }
    if (open_file(c, file, filter, error, error_bytes)) {
        int saved = errno;
        release(c);
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
