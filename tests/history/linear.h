/* SPDX-License-Identifier: MIT */
/*
 * Linearizability of the registers of a history (Herlihy, Wing: Linearizability, 1990): for each
 * key there is an order of the transactions on it that explains all that was read, in which none
 * stands before one that had ended when it began. A transaction counts for a key as what it does to
 * this key, in one step; one that failed does not count; one of unknown outcome stands anywhere
 * after its beginning, or nowhere.
 *
 * Linearizability is local: a history is linearizable if each key alone is.
 */
#ifndef TESTS_HISTORY_LINEAR_H
#define TESTS_HISTORY_LINEAR_H

#include "history.h"

/* Of the search for one key. */
#define LINEAR_STEPS_MAX          (UINT64_C(1) << 26)
#define LINEAR_CONFIGURATIONS_MAX (UINT64_C(1) << 21)

struct linear_result {
    enum history_answer answer;
    uint32_t key; /* NO, TOO_LARGE: the first key that is not linearizable, or too large */

    /*
     * NO: with the end of this transaction ends the shortest prefix of the history that has no
     * order, given how those end that are under way there.
     */
    uint32_t transaction;
    uint64_t steps; /* of the search, for all keys: what it has cost */
    struct history_text why;
};

/* All registers of the history. Before it says TOO_LARGE, it looks for a key that is a NO. */
void linear_check(const struct history *, struct linear_result *);

#endif
