/* SPDX-License-Identifier: MIT */
/* Opens a TUN device and makes it what the configuration asks for; see strait_tun_config. */
#ifndef HOST_DEVICE_H
#define HOST_DEVICE_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/shard.h"
#include "strait.h"

struct device {
    int fd; /* nonblocking */
    char name[IFNAMSIZ];
    uint32_t mtu;
    uint32_t features; /* STRAIT_LINK_*: what may be written to it */
    bool header;       /* each packet is preceded by a struct virtio_net_hdr */
};

/*
 * Opens the device; a device that does not exist is made, and vanishes when its last descriptor is
 * closed. Where the rule has several shards, so many queues are opened, one in each struct of the
 * array, and the kernel gives each packet to that of its shard; or only one queue, where it refuses
 * that. What the kernel refuses and one can do without is told through `notice`. Returns the number
 * of queues, or -1 with errno and one line in `error`.
 */
int device_open(struct device device[], const struct strait_tun_config *, const struct shard_rule *,
                char *error, size_t error_bytes);

#endif
