/* SPDX-License-Identifier: MIT */
#include "kv/explain.h"

#include <inttypes.h>
#include <jansson.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

/* What a phase of the machines' diagrams means for those who wait. */
static const char *meaning(const char *phase)
{
    static const struct {
        const char *phase, *meaning;
    } meanings[] = {
        {"preparing", "its PREPARE is on the way to the disk"},
        {"voting", "votes are awaited"},
        {"committing", "the decision to commit is on the way to the disk"},
        {"aborting", "the decision to abort is on the way to the disk"},
        {"committed", "it has committed"},
        {"aborted", "it is aborted"},
        {"ended", "every participant has acknowledged"},
        {"prepared",
         "in doubt: it has voted to commit, holds its locks, and waits for the outcome"},
    };
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
        if (strcmp(phase, meanings[i].phase) == 0)
            return meanings[i].meaning;
    return "";
}

static const char *text_of(const json_t *json, const char *name)
{
    const char *text = json_string_value(json_object_get(json, name));
    return text ? text : "";
}

static void print_list(FILE *to, const char *title, const json_t *list)
{
    size_t i;
    json_t *item;
    if (json_array_size(list) == 0)
        return;
    fprintf(to, "; %s", title);
    json_array_foreach(list, i, item)
    {
        if (json_is_string(item))
            fprintf(to, " %s", json_string_value(item));
        else
            fprintf(to, " %lld", (long long)json_integer_value(item));
    }
}

static void print_machine(FILE *to, const json_t *json, const char *name)
{
    const json_t *machine = json_object_get(json, name);
    if (!machine)
        return;
    fprintf(to, "  %s: %s (%s)", name, text_of(machine, "phase"),
            meaning(text_of(machine, "phase")));
    print_list(to, "participants", json_object_get(machine, "participants"));
    print_list(to, "voted to commit", json_object_get(machine, "voted"));
    print_list(to, "acknowledged", json_object_get(machine, "acknowledged"));
    fputc('\n', to);
}

static void print_rows(FILE *to, const json_t *rows)
{
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        int64_t ms = json_integer_value(json_object_get(row, "time_ms"));
        time_t seconds = (time_t)(ms / 1000);
        struct tm utc;
        char text[32] = "";
        if (gmtime_r(&seconds, &utc))
            strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &utc);
        fprintf(to, "  %s.%03d UTC  %s: %s", text, (int)(ms % 1000), text_of(row, "machine"),
                text_of(row, "row"));
        print_list(to, "participants", json_object_get(row, "participants"));
        fputc('\n', to);
    }
}

bool kv_explain_print(FILE *to, const char *node, const char *text)
{
    json_error_t error;
    json_t *json = json_loads(text ? text : "", 0, &error);
    const json_t *rows = json_object_get(json, "journal");
    bool known = json_object_get(json, "coordinator") || json_object_get(json, "worker") ||
                 json_array_size(rows) > 0;
    if (!json)
        fprintf(to, "%s answers no JSON\n", node);
    else if (!known)
        fprintf(to, "%s knows nothing of it: it has ended, or never was\n", node);
    else
        fprintf(to, "%s", node);
    if (known) {
        const json_t *keys = json_object_get(json, "keys");
        print_list(to, "keys", keys);
        fputc('\n', to);
        print_rows(to, rows);
        print_machine(to, json, "coordinator");
        print_machine(to, json, "worker");
    }
    json_decref(json);
    return known;
}
