/* SPDX-License-Identifier: MIT */
/*
 * The cookies (cookie.h) that have opened connections. Each opens one: a late duplicate, or a
 * replay, of the segment that brought it opens nothing after its connection has ended. Only the
 * latest are known, of each set of them SPENT_WAYS; a few sets, found by the hash in the ISS, are
 * looked through sooner than one.
 */
#ifndef TCP_SPENT_H
#define TCP_SPENT_H

#include <stdbool.h>
#include <stdint.h>

#define SPENT_SETS 256u
#define SPENT_WAYS 8u

struct spent_cookie {
    uint32_t iss, irs;
};

/* All zero: none. */
struct spent_cookies {
    struct spent_cookie sets[SPENT_SETS][SPENT_WAYS]; /* of each, the latest first */
};

/* The cookie that answered the SYN of number `irs` opens a connection. */
void spent_add(struct spent_cookies *, uint32_t iss, uint32_t irs);

/* Whether it is known to have opened one. */
bool spent_has(const struct spent_cookies *, uint32_t iss, uint32_t irs);

#endif
