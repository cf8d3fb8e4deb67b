/* SPDX-License-Identifier: MIT */
#include "tap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

static void see(struct strait_link *link, const void *packet, size_t length,
                const struct strait_offload *offload, uint64_t now_ns)
{
    struct seen *seen = link->upper;
    seen->packets++;
    memcpy(seen->packet, packet, length);
    seen->length = length;
    seen->offload = *offload;
    seen->now_ns = now_ns;
}

void tap_listen(struct strait_link *link, struct seen *seen)
{
    memset(seen, 0, sizeof(*seen));
    link->receive = see;
    link->upper = seen;
}

struct wanted {
    const char *name;
    uint64_t value;
    bool found;
};

static void look(void *context, const char *name, uint64_t value)
{
    struct wanted *wanted = context;
    if (strcmp(name, wanted->name) != 0)
        return;
    wanted->value = value;
    wanted->found = true;
}

uint64_t tap_counter(const struct strait_link *link, const char *name)
{
    struct wanted wanted = {.name = name};
    tun_counters(link, look, &wanted);
    assert_true(wanted.found);
    return wanted.value;
}
