/* SPDX-License-Identifier: MIT */
/*
 * A link around a link that writes every packet, both ways, to a file for tcpdump and Wireshark:
 * a libpcap savefile of raw IP packets with nanosecond timestamps. It needs libpcap and is no part
 * of libstrait.
 *
 * A packet is written as it passes: with offload in use that may be a super-packet, or one whose
 * transport checksum is not finished, as in any capture on a machine whose network card takes
 * over that work. Packets that the inner link fails to send are in the file as well. The file is
 * complete up to the last packet at any time, so it can be read while it grows.
 */
#ifndef HOST_CAPTURE_H
#define HOST_CAPTURE_H

#include <stddef.h>

#include "strait.h"

/*
 * Opens the file, replacing one of that name, and wraps `inner`, which must not be attached to a
 * stack. Packets are kept if they match `filter`, in the language of tcpdump; NULL keeps all. The
 * link that is returned takes the place of `inner` and owns it: closing one closes both. Returns
 * NULL with errno, and in `error` one line that says why (the file cannot be written, EINVAL for
 * the filter); then `inner` is still the caller's.
 */
struct strait_link *capture_open(struct strait_link *inner, const char *file, const char *filter,
                                 char *error, size_t error_bytes);

/*
 * Sets who is told, once, when the file cannot be written any more. Capturing ends then, while the
 * traffic goes on.
 */
void capture_on_failure(struct strait_link *capture,
                        void (*notice)(void *context, const char *message), void *context);

#endif
