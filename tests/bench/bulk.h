/* SPDX-License-Identifier: MIT */
/* What the latency beside bulk needs of it. */
#ifndef TESTS_BENCH_BULK_H
#define TESTS_BENCH_BULK_H

#include "cell.h"

struct stream;

/* Starts a stream from PORT_SOURCE of the subject, or into another port, as fast as it goes. */
struct stream *stream_start(const struct cell *, uint16_t port);

/* It need not go on. Its thread and its memory last until the process ends. */
void stream_end(struct stream *);

#endif
