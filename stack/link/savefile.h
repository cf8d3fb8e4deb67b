/* SPDX-License-Identifier: MIT */
/*
 * A file of raw IP packets with nanosecond timestamps, in the format of libpcap, for tcpdump and
 * Wireshark. It needs libpcap and is no part of libstrait.
 */
#ifndef LINK_SAVEFILE_H
#define LINK_SAVEFILE_H

#include <stddef.h>
#include <stdint.h>

struct savefile;

/*
 * Opens the file, replacing one of that name. Packets are kept if they match `filter`, in the
 * language of tcpdump; NULL keeps all. Returns NULL with errno, and in `error` one line that says
 * why (the file cannot be written, EINVAL for the filter).
 */
struct savefile *savefile_open(const char *file, const char *filter, char *error,
                               size_t error_bytes);

/*
 * Writes a packet of `length` bytes, of which the first `captured` are at hand, if it matches the
 * filter. `time_ns` counts from 1970.
 */
void savefile_write(struct savefile *, const void *packet, size_t captured, size_t length,
                    uint64_t time_ns);

/*
 * Gives the operating system what has been written: the file is complete up to here. Returns 0, or
 * -1 with one line in `error` if something could not be written; nothing more will be then.
 */
int savefile_flush(struct savefile *, char *error, size_t error_bytes);

/* NULL is allowed. */
void savefile_close(struct savefile *);

#endif
