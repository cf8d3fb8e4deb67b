/* SPDX-License-Identifier: MIT */
/*
 * Who has taken everything says that it is asleep, and looks once more. Who puts something looks
 * afterwards whether the other sleeps, and if so wakes it. All four steps are sequentially
 * consistent, so at least one of the two sees what the other has done, and a flurry of packets
 * costs one system call.
 */
#include "host/mesh.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "host/ring.h"

#define RING_BYTES   ((size_t)256 * 1024) /* several of the largest packets */
#define PACKETS_ONCE 64                   /* taken from one ring at once */

/* What stands in front of a packet in a ring. */
struct label {
    struct strait_offload offload;
};

struct bell {
    _Alignas(64) atomic_bool asleep;
    int fd; /* an eventfd */
};

struct mesh {
    uint32_t shards;
    struct bell bells[STRAIT_SHARDS_MAX];
    struct ring
        rings[]; /* from 0 to 0, from 0 to 1, ...; those from a shard to itself are unused */
};

static struct ring *ring_between(struct mesh *m, uint32_t from, uint32_t to)
{
    return &m->rings[from * m->shards + to];
}

static int open_mesh(struct mesh *m)
{
    for (uint32_t i = 0; i < m->shards; i++) {
        m->bells[i].fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (m->bells[i].fd < 0)
            return -1;
        atomic_init(&m->bells[i].asleep, true);
    }
    for (uint32_t from = 0; from < m->shards; from++)
        for (uint32_t to = 0; to < m->shards; to++)
            if (from != to && ring_init(ring_between(m, from, to), RING_BYTES) < 0)
                return -1;
    return 0;
}

struct mesh *mesh_new(uint32_t shards)
{
    size_t bytes = sizeof(struct mesh) + shards * shards * sizeof(struct ring);
    struct mesh *m = aligned_alloc(_Alignof(struct mesh), bytes);
    if (!m)
        return NULL;
    *m = (struct mesh){.shards = shards};
    for (uint32_t i = 0; i < shards; i++)
        m->bells[i].fd = -1;
    for (uint32_t i = 0; i < shards * shards; i++)
        m->rings[i].bytes = NULL;
    if (open_mesh(m) == 0)
        return m;
    mesh_free(m);
    return NULL;
}

void mesh_free(struct mesh *m)
{
    if (!m)
        return;
    for (uint32_t i = 0; i < m->shards; i++)
        if (m->bells[i].fd >= 0)
            close(m->bells[i].fd);
    for (uint32_t i = 0; i < m->shards * m->shards; i++)
        ring_finish(&m->rings[i]);
    free(m);
}

/* Rings if the shard sleeps, or is about to. */
static void wake(struct bell *bell)
{
    if (!atomic_load(&bell->asleep) || !atomic_exchange(&bell->asleep, false))
        return;
    /* It fails only if the counter is about to overflow: then it is readable anyway. */
    ssize_t n = write(bell->fd, &(uint64_t){1}, sizeof(uint64_t));
    (void)n;
}

bool mesh_put(struct mesh *m, uint32_t from, uint32_t to, const void *packet, size_t length,
              const struct strait_offload *offload)
{
    struct label label = {*offload};
    const struct iovec parts[] = {{&label, sizeof(label)}, {(void *)(uintptr_t)packet, length}};
    if (!ring_put(ring_between(m, from, to), parts, 2))
        return false;
    wake(&m->bells[to]);
    return true;
}

int mesh_bell(const struct mesh *m, uint32_t shard)
{
    return m->bells[shard].fd;
}

/* Whether anything waits for the shard. */
static bool anything(struct mesh *m, uint32_t shard)
{
    size_t length;
    for (uint32_t from = 0; from < m->shards; from++)
        if (from != shard && ring_peek(ring_between(m, from, shard), &length))
            return true;
    return false;
}

void mesh_take(struct mesh *m, uint32_t shard,
               void (*take)(void *context, const void *packet, size_t length,
                            const struct strait_offload *),
               void *context)
{
    struct bell *bell = &m->bells[shard];
    for (uint32_t from = 0; from < m->shards; from++) {
        struct ring *ring = ring_between(m, from, shard);
        size_t length;
        for (int i = 0; from != shard && i < PACKETS_ONCE; i++) {
            const struct label *label = ring_peek(ring, &length);
            if (!label)
                break;
            take(context, label + 1, length - sizeof(*label), &label->offload);
            ring_take(ring);
        }
    }
    if (anything(m, shard))
        return; /* the bell has not been silenced */
    uint64_t times;
    ssize_t n = read(bell->fd, &times, sizeof(times));
    (void)n;
    atomic_store(&bell->asleep, true);
    if (anything(m, shard))
        wake(bell);
}
