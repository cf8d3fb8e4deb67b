/* SPDX-License-Identifier: MIT */
/*
 * Bulk: streams as fast as they go, out of the subject, into it, or both. A thread of the kernel's
 * side moves each; the bytes that its calls have moved are looked at twice, with the processor time
 * of both sides.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bulk.h"
#include "cell.h"

#define STACK_BYTES ((size_t)65536)
#define WARM_UP_NS  (NS_PER_S / 10)

struct stream {
    int fd;
    bool out;         /* of the subject */
    atomic_bool over; /* the measurement is: the stream may end */
    atomic_ullong bytes;
};

/* What has been done up to a moment. */
struct reading {
    uint64_t time_ns;
    uint64_t bytes;
    double subject_cpu_s, peer_cpu_s;
};

static void *move(void *argument)
{
    struct stream *stream = argument;
    char *piece = get_memory(PIECE_BYTES);
    memset(piece, 'x', PIECE_BYTES);
    for (;;) {
        ssize_t n = stream->out ? recv(stream->fd, piece, PIECE_BYTES, 0)
                                : send(stream->fd, piece, PIECE_BYTES, 0);
        if (n <= 0 && atomic_load(&stream->over))
            return NULL;
        if (n <= 0)
            fail("a stream has ended");
        atomic_fetch_add_explicit(&stream->bytes, (unsigned long long)n, memory_order_relaxed);
    }
}

struct stream *stream_start(const struct cell *cell, uint16_t port)
{
    pthread_attr_t attributes;
    pthread_t thread;
    struct stream *stream = get_memory(sizeof(*stream));
    stream->fd = call_subject(cell, port);
    stream->out = port == PORT_SOURCE || port == PORT_COPY;
    atomic_init(&stream->over, false);
    atomic_init(&stream->bytes, 0);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    if (pthread_create(&thread, &attributes, move, stream))
        fail("a thread");
    pthread_attr_destroy(&attributes);
    return stream;
}

void stream_end(struct stream *stream)
{
    atomic_store(&stream->over, true);
}

static double cpu_s(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t))
        fail("a clock of processor time");
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct reading read_all(const struct cell *cell, struct stream *const streams[],
                               size_t count)
{
    struct reading r = {.time_ns = now_ns(), .peer_cpu_s = cpu_s(CLOCK_PROCESS_CPUTIME_ID)};
    clockid_t clock;
    if (clock_getcpuclockid(cell->served_by, &clock))
        fail("the clock of %s", cell->subject->name);
    r.subject_cpu_s = cpu_s(clock);
    for (size_t i = 0; i < count; i++)
        r.bytes += atomic_load_explicit(&streams[i]->bytes, memory_order_relaxed);
    return r;
}

static void wait_ns(uint64_t ns)
{
    struct timespec t = {(time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S)};
    nanosleep(&t, NULL);
}

/* As many streams as the cell has connections out of a port of the subject, or into one, or both
 * (0: none). */
static void measure(const struct cell *cell, uint16_t out, uint16_t in)
{
    size_t each = cell->connections, count = each * (out && in ? 2 : 1);
    struct stream **streams = get_memory(count * sizeof(struct stream *));
    for (size_t i = 0; i < count; i++)
        streams[i] = stream_start(cell, out && i < each ? out : in);
    wait_ns(WARM_UP_NS);
    struct reading before = read_all(cell, streams, count);
    wait_ns((uint64_t)(cell->seconds * 1e9));
    struct reading after = read_all(cell, streams, count);
    double gbit = (double)(after.bytes - before.bytes) * 8 / 1e9;
    figure("", "Gbit/s", gbit / ((double)(after.time_ns - before.time_ns) / 1e9));
    if (gbit > 0) {
        figure("_cpu", "s/Gbit", (after.subject_cpu_s - before.subject_cpu_s) / gbit);
        figure("_cpu_peer", "s/Gbit", (after.peer_cpu_s - before.peer_cpu_s) / gbit);
    }
    for (size_t i = 0; i < count; i++)
        stream_end(streams[i]);
    free(streams);
}

static void bulk_out(const struct cell *cell)
{
    measure(cell, PORT_SOURCE, 0);
}

static void bulk_in(const struct cell *cell)
{
    measure(cell, 0, PORT_DISCARD);
}

/* Whoever does nothing but blast has nothing to copy. */
static void bulk_out_copied(const struct cell *cell)
{
    bool copies = cell->subject == &subject_strait;
    measure(cell, copies ? PORT_COPY : PORT_SOURCE, 0);
}

/* Whoever cannot borrow copies. */
static void bulk_in_borrowed(const struct cell *cell)
{
    bool borrows = cell->subject == &subject_strait;
    measure(cell, 0, borrows ? PORT_BORROW : PORT_DISCARD);
}

static void bulk_both(const struct cell *cell)
{
    measure(cell, PORT_SOURCE, PORT_DISCARD);
}

const struct work bulk_works[] = {
    {"bulk_out", bulk_out, false},   {"bulk_out_copied", bulk_out_copied, false},
    {"bulk_in", bulk_in, false},     {"bulk_in_borrowed", bulk_in_borrowed, false},
    {"bulk_both", bulk_both, false}, {0},
};
