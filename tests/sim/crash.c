/* SPDX-License-Identifier: MIT */
#include "crash.h"

#define WAIT_NS  UINT64_C(10000) /* for the next change to begin */
#define WAIT_MAX 10000           /* in a row: then there is none to come */

bool crash_run_to(struct world *w, struct world_host *h, uint64_t changes,
                  bool (*finished)(void *context), void *context)
{
    struct disk *disk = world_disk(h);
    int waits = 0;
    while (changes > 0 && waits < WAIT_MAX && !finished(context)) {
        uint64_t next_ns = disk_next(disk);
        bool is_change = next_ns != UINT64_MAX;
        waits = is_change ? 0 : waits + 1;
        changes -= is_change;
        world_run(w, is_change ? next_ns : world_now(w) + WAIT_NS);
        disk_advance(disk, world_now(w));
    }
    return changes == 0;
}
