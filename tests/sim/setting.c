/* SPDX-License-Identifier: MIT */
#include "setting.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

#define VALUES 2 /* of a setting: the least and the most, or two of its words */

/*
 * What makes a connection fail, or last longer than a world does, that would be well without it;
 * and what the checkers expect to be as the scenario has it, or at its default.
 */
static const char *const left_alone[] = {
    "tcp.syn_retries",    "tcp.syn_ack_retries", "tcp.retries",     "tcp.orphans",
    "tcp.orphan_timeout", "tcp.fin_timeout",     "tcp.ecn",         "tcp.initial_window",
    "tcp.send_buffer",    "tcp.receive_buffer",  "tcp.rto_initial", "tcp.time_wait",
};

static bool is_left_alone(const struct strait_setting *s)
{
    for (size_t i = 0; i < sizeof(left_alone) / sizeof(left_alone[0]); i++)
        if (strcmp(left_alone[i], s->name) == 0)
            return true;
    return s->effect == STRAIT_SETTING_AT_START;
}

/* The setting number `index` of those that are changed; NULL behind the last. */
static const struct strait_setting *find(uint32_t index)
{
    const struct strait_setting *s;

    for (size_t i = 0; (s = strait_setting(i)) != NULL; i++)
        if (!is_left_alone(s) && index-- == 0)
            return s;
    return NULL;
}

uint32_t setting_choices(void)
{
    uint32_t count = 0;

    while (find(count) != NULL)
        count++;
    return VALUES * count;
}

/* NULL if there is no such choice. */
static const struct strait_setting *chosen(uint32_t choice)
{
    return find(choice / VALUES);
}

static void set(struct strait *stack, const struct strait_setting *s, const char *value)
{
    CHECK(strait_set(stack, s->name, value) == 0);
}

void setting_change(struct strait *stack, uint32_t choice)
{
    const struct strait_setting *s = chosen(choice);
    bool most = choice % VALUES;
    char value[STRAIT_SETTING_BYTES];

    if (!s)
        return;
    if (strcmp(s->unit, "ports") == 0) {
        set(stack, s, most ? "1-65535" : "40000-40000");
    } else if (s->minimum) {
        set(stack, s, most ? s->maximum : s->minimum);
    } else {
        const char *last = strrchr(s->unit, '|');
        last = last ? last + 1 : s->unit;
        snprintf(value, sizeof(value), "%.*s", (int)strcspn(s->unit, "|"), s->unit);
        set(stack, s, most ? last : value);
    }
}

void setting_save(const struct strait *stack, uint32_t choice, char *value)
{
    const struct strait_setting *s = chosen(choice);

    value[0] = '\0';
    if (s)
        CHECK(strait_get(stack, s->name, value, STRAIT_SETTING_BYTES) == 0);
}

void setting_restore(struct strait *stack, uint32_t choice, const char *value)
{
    if (chosen(choice))
        set(stack, chosen(choice), value);
}
