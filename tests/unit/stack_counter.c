/* SPDX-License-Identifier: MIT */
#include "stack_counter.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct wanted {
    const char *name;
    uint64_t value;
    unsigned found;
};

static void look(void *context, const char *name, uint64_t value)
{
    struct wanted *wanted = context;
    if (strcmp(name, wanted->name) != 0)
        return;
    wanted->value = value;
    wanted->found++;
}

uint64_t stack_counter(struct strait *stack, const char *name)
{
    struct wanted wanted = {.name = name};
    strait_counters(stack, look, &wanted);
    if (wanted.found != 1)
        fail_msg("there are %u counters %s", wanted.found, name);
    return wanted.value;
}
