/* SPDX-License-Identifier: MIT */
/* The line that shows how far a download is. */
#ifndef GET_PROGRESS_H
#define GET_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

#define PROGRESS_UNKNOWN UINT64_MAX

struct progress {
    uint64_t done;       /* bytes that there are */
    uint64_t resumed;    /* of them, those that were there before */
    uint64_t total;      /* or PROGRESS_UNKNOWN */
    uint64_t elapsed_ns; /* since it has begun */
};

/*
 * Writes the line for a terminal of so many columns, without an end of line: share and bar if the
 * total is known, bytes, mean rate, and how long it will go on; or how long it took, once all is
 * there.
 */
void progress_write(const struct progress *, int columns, char *line, size_t line_bytes);

#endif
