/* SPDX-License-Identifier: MIT */
/*
 * A bank whose accounts are registers, with transfers between them: every transaction that has read
 * all accounts has seen the same total. (A transaction reads before it writes.)
 */
#ifndef TESTS_HISTORY_BANK_H
#define TESTS_HISTORY_BANK_H

#include "history.h"

struct bank_result {
    enum history_answer answer;
    uint32_t looks;       /* the transactions that have read all accounts */
    uint32_t transaction; /* NO: the first that has seen another total ... */
    uint64_t seen;        /* ... which was this */
    struct history_text why;
};

/* The accounts are the keys from `first` on, `count` of them. */
void bank_check(const struct history *, uint32_t first, uint32_t count, uint64_t total,
                struct bank_result *);

#endif
