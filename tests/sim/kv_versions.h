/* SPDX-License-Identifier: MIT */
/*
 * What is known of the versions of the registers of a cluster's world, from all answers, those of
 * stale reads among them: a version has one value, and no write that has failed has made one. A
 * read of what was never current is told by that.
 */
#ifndef TESTS_SIM_KV_VERSIONS_H
#define TESTS_SIM_KV_VERSIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "kv_value.h"

#define KV_VERSIONS_MAX 4096  /* of a key */
#define KV_NUMBERS_MAX  65536 /* that are written to registers: each once */

struct kv_versions {
    struct {
        bool known;
        uint64_t number; /* 0: there was no value */
    } of[KV_REGISTERS][KV_VERSIONS_MAX];
    bool seen[KV_NUMBERS_MAX], failed[KV_NUMBERS_MAX];
};

/* A version of a register has, or had, this number. Returns whether that can be. */
bool kv_versions_note(struct kv_versions *, uint32_t key, uint64_t version, uint64_t number);

/* The write of the number has had no effect, nor will. Returns whether that can be. */
bool kv_versions_fail(struct kv_versions *, uint64_t number);

#endif
