/* SPDX-License-Identifier: MIT */
/*
 * Histories as they are drawn in papers: a line for each client, time from left to right.
 *
 *     DIAGRAM("[wx1]   [rx2]",
 *             "   [wx2   ]  ")
 *
 * A transaction begins at its [ and has ended well at its ]. It has failed at ), was refused for
 * its first condition at }, and its outcome is unknown after >. What begins or ends in the same
 * column is concurrent. The operations, with the key (x, y or z) and what was written or read:
 *
 *     wx1 write, rx1 read (rx0: nothing was there), dx delete, dx+ dx- delete: found, not found,
 *     ix1 if it is 1, ux1 unless it is 1, ax1 append 1, lx12 list: 1 and 2
 */
#ifndef TESTS_HISTORY_DIAGRAM_H
#define TESTS_HISTORY_DIAGRAM_H

#include "history.h"

enum { X, Y, Z }; /* the keys */

#define DIAGRAM(...) diagram((const char *const[]){__VA_ARGS__, NULL})

/* The lines end with NULL. What is no diagram fails the test. */
struct history diagram(const char *const *lines);

#endif
