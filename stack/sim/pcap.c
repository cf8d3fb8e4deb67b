/* SPDX-License-Identifier: MIT */
#include "sim/pcap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "link/savefile.h"

struct world_pcap {
    struct savefile *file;
    int end;
};

static void tap(void *context, uint64_t now_ns, int direction, enum world_sight sight,
                const void *packet, size_t length, const struct strait_offload *offload)
{
    struct world_pcap *p = context;
    enum world_sight here = direction == p->end ? WORLD_SENT : WORLD_DELIVERED;
    (void)offload;
    if (sight == here)
        savefile_write(p->file, packet, length, length, now_ns);
}

struct world_pcap *world_pcap_open(struct world_link *link, int end, const char *file, char *error,
                                   size_t error_bytes)
{
    struct world_pcap *p = calloc(1, sizeof(*p));
    if (!p) {
        snprintf(error, error_bytes, "no memory for a capture");
        errno = ENOMEM;
        return NULL;
    }
    p->end = end;
    p->file = savefile_open(file, NULL, error, error_bytes);
    if (!p->file) {
        int saved = errno;
        free(p);
        errno = saved;
        return NULL;
    }
    world_tap(link, tap, p);
    return p;
}

int world_pcap_close(struct world_pcap *p, char *error, size_t error_bytes)
{
    if (!p)
        return 0;
    int result = savefile_flush(p->file, error, error_bytes);
    savefile_close(p->file);
    free(p);
    return result;
}
