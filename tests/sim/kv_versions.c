/* SPDX-License-Identifier: MIT */
#include "kv_versions.h"

#include "base/check.h"

bool kv_versions_note(struct kv_versions *v, uint32_t key, uint64_t version, uint64_t number)
{
    CHECK(key < KV_REGISTERS && version < KV_VERSIONS_MAX && number < KV_NUMBERS_MAX);
    if (version == 0) /* it was never written */
        return number == 0;
    bool same = !v->of[key][version].known || v->of[key][version].number == number;
    v->of[key][version].known = true;
    v->of[key][version].number = number;
    v->seen[number] = true;
    return same && !v->failed[number];
}

bool kv_versions_fail(struct kv_versions *v, uint64_t number)
{
    CHECK(number < KV_NUMBERS_MAX);
    v->failed[number] = true;
    return !v->seen[number];
}
