/* SPDX-License-Identifier: MIT */
#include "settings/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RANGE_BYTES 96
#define LINE_BYTES  384

/* Whether the unit stands with the numbers already. */
static bool is_unit_told(const struct strait_setting *s)
{
    return strcmp(s->unit, "time") == 0 || strcmp(s->unit, "bytes") == 0 ||
           strcmp(s->unit, "%") == 0;
}

/* What a setting takes: "1ms to 1min", "1 to 100 segments", "off, on". */
static void describe_range(const struct strait_setting *s, char text[RANGE_BYTES])
{
    size_t length = 0;

    if (s->minimum) {
        snprintf(text, RANGE_BYTES, "%s to %s%s%s", s->minimum, s->maximum,
                 is_unit_told(s) ? "" : " ", is_unit_told(s) ? "" : s->unit);
        return;
    }
    for (const char *c = s->unit; *c && length + 2 < RANGE_BYTES; c++) {
        text[length++] = *c == '|' ? ',' : *c;
        if (*c == '|')
            text[length++] = ' ';
    }
    text[length] = '\0';
}

/* ---- --set ----------------------------------------------------------------------------------- */

static const struct strait_setting *find(const char *name)
{
    const struct strait_setting *s;

    for (size_t i = 0; (s = strait_setting(i)); i++)
        if (strcmp(s->name, name) == 0)
            return s;
    return NULL;
}

void settings_explain(const char *name, const char *value, int error, char *text, size_t text_bytes)
{
    char range[RANGE_BYTES];
    const char *equals = value ? "=" : "";
    const struct strait_setting *s = find(name);
    if (!s) {
        snprintf(text, text_bytes, "%s%s%s: there is no such setting; see strait settings", name,
                 equals, value ? value : "");
        return;
    }
    if (error == EPERM) {
        snprintf(text, text_bytes, "%s: it is settled at the start; give it to --set then", name);
        return;
    }
    describe_range(s, range);
    snprintf(text, text_bytes, "%s%s%s: it takes %s; for example %s=%s", name, equals,
             value ? value : "", range, name, s->default_value);
}

int settings_take(const char *text, struct strait_config *config, const struct report *report)
{
    char name[64], why[LINE_BYTES];
    const char *equals = strchr(text, '=');

    if (!equals)
        return options_fail(report, "--set %s: write it as NAME=VALUE, tcp.rto_min=200ms", text);
    snprintf(name, sizeof(name), "%.*s", (int)(equals - text), text);
    if (strait_config_set(config, name, equals + 1) == 0)
        return 0;
    settings_explain(name, equals + 1, errno, why, sizeof(why));
    return options_fail(report, "--set %s", why);
}

/* ---- The list -------------------------------------------------------------------------------- */

static const char help_text[] =
    "Usage: strait settings [OPTION]\n"
    "\n"
    "Lists the settings that --set and strait set change: names, defaults, ranges, when a change\n"
    "takes effect, and what they mean.\n"
    "\n"
    "  --markdown         as a table for a README\n"
    "  --help             this text\n";

static const char *describe_effect(enum strait_setting_effect effect)
{
    switch (effect) {
    case STRAIT_SETTING_AT_START:
        return "at start";
    case STRAIT_SETTING_NEW:
        return "for new ones";
    case STRAIT_SETTING_AT_ONCE:
        break;
    }
    return "at once";
}

static void print_plain(const struct strait_setting *s, const char *range)
{
    printf("%-27s %-12s %-32s %-13s %s\n", s->name, s->default_value, range,
           describe_effect(s->effect), s->meaning);
}

static void print_markdown(const struct strait_setting *s, const char *range)
{
    printf("| `%s` | %s | %s | %s | %s |\n", s->name, s->default_value, range,
           describe_effect(s->effect), s->meaning);
}

static void print_all(bool markdown)
{
    const struct strait_setting *s;
    char range[RANGE_BYTES];
    if (markdown)
        puts("| Setting | Default | Range | Takes effect | What it is |\n|---|---|---|---|---|");
    else
        printf("%-27s %-12s %-32s %-13s %s\n", "SETTING", "DEFAULT", "RANGE", "TAKES EFFECT",
               "WHAT IT IS");
    for (size_t i = 0; (s = strait_setting(i)); i++) {
        describe_range(s, range);
        if (markdown)
            print_markdown(s, range);
        else
            print_plain(s, range);
    }
}

int settings_main(int argc, char *argv[])
{
    const char *option = argc == 2 ? argv[1] : "";
    bool markdown = strcmp(option, "--markdown") == 0;
    bool help = strcmp(option, "--help") == 0;
    if (argc > 1 && !markdown && !help) {
        fprintf(stderr, "strait: strait settings takes nothing but --markdown; see strait settings "
                        "--help\n");
        return EXIT_USAGE;
    }
    if (help)
        fputs(help_text, stdout);
    else
        print_all(markdown);
    return 0;
}
