/* SPDX-License-Identifier: MIT */
/*
 * Writes a link of a world to a file for tcpdump and Wireshark, with virtual timestamps: second 1
 * of the world is second 1 of 1970. It needs libpcap and is no part of libstrait.
 */
#ifndef SIM_PCAP_H
#define SIM_PCAP_H

#include <stddef.h>

#include "sim/world.h"

struct world_pcap;

/*
 * Writes what the host at end 0 or 1 of the link sends there and takes from there, as tcpdump on it
 * would see it, from now on. The file is replaced if there is one. Returns NULL with errno, and in
 * `error` one line that says why.
 */
struct world_pcap *world_pcap_open(struct world_link *, int end, const char *file, char *error,
                                   size_t error_bytes);

/*
 * Completes the file; to be called when the world is freed, or runs no more. NULL is allowed.
 * Returns 0, or -1 with one line in `error` if the file is not complete.
 */
int world_pcap_close(struct world_pcap *, char *error, size_t error_bytes);

#endif
