/* SPDX-License-Identifier: MIT */
/*
 * A TUN device as a link. Before each packet stands a virtio-net header (virtio 1.2, 5.1.6), which
 * says what offload is in use; strait_offload is its checked form.
 */
#ifndef HOST_TUN_H
#define HOST_TUN_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/device.h"
#include "strait.h"

/* The most parts that one packet may be sent in. */
#define TUN_PARTS_MAX 256

/*
 * Makes a link of an opened device, or of anything that gives and takes a packet a call. The
 * descriptor belongs to the link, which is released with link->close. NULL with ENOMEM.
 */
struct strait_link *tun_new(const struct device *);

/* Calls visit(context, name, value) for each counter of a link made by strait_tun_open. */
void tun_counters(const struct strait_link *,
                  void (*visit)(void *context, const char *name, uint64_t value), void *context);

/*
 * Reads the header of a received packet. Returns false if it lies about the packet or announces
 * what was not agreed upon.
 */
bool tun_header_parse(const struct virtio_net_hdr *, const void *packet, size_t length,
                      struct strait_offload *);

/* The header of a packet to be sent. */
struct virtio_net_hdr tun_header_make(const struct strait_offload *);

#endif
