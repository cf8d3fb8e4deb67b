/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_STACK_COUNTER_H
#define TESTS_UNIT_STACK_COUNTER_H

#include <stdint.h>

#include "strait.h"

/* The value of a counter; a name that is not there, or there twice, fails the test. */
uint64_t stack_counter(struct strait *, const char *name);

#endif
