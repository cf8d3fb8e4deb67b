/* SPDX-License-Identifier: MIT */
#include "differences.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define KERNEL_LINE  "# kernel: Linux %u.%u"
#define COUNT_LINE   "# scripts: %u, of which %u play the same on both"
#define VERDICT_MORE 11 /* blanks with which the lines of a verdict go on */

/* ---- Reading ---- */

/* The file as a string, or NULL with errno. The caller frees it. */
static char *read_all(const char *path)
{
    size_t bytes = 0;
    char *text = NULL;
    FILE *file = fopen(path, "re");
    if (!file)
        return NULL;
    ssize_t length = getdelim(&text, &bytes, '\0', file);
    fclose(file);
    if (length >= 0)
        return text;
    free(text);
    return NULL;
}

static struct difference *add(struct differences *d, const char *script)
{
    d->list = reallocarray(d->list, d->count + 1, sizeof *d->list);
    CHECK(d->list);
    d->list[d->count] = (struct difference){.script = script};
    return &d->list[d->count++];
}

/* The value of a line "  key: value", or NULL if the line is another. */
static const char *value_of(const char *line, const char *key)
{
    size_t length = strlen(key);
    line += strspn(line, " ");
    if (strncmp(line, key, length) != 0 || line[length] != ':')
        return NULL;
    line += length + 1;
    return line + strspn(line, " ");
}

/* Takes a line of a difference. Returns false if it is none. */
static bool take_value(struct differences *d, const char *script, const char *line)
{
    struct difference *last = d->count ? &d->list[d->count - 1] : NULL;
    const char *value;
    if (script && (!last || last->verdict) && (value = value_of(line, "step")))
        add(d, script)->step = value;
    else if (last && !last->strait && (value = value_of(line, "strait")))
        last->strait = value;
    else if (last && last->strait && !last->kernel && (value = value_of(line, "kernel")))
        last->kernel = value;
    else if (last && last->kernel && !last->verdict && (value = value_of(line, "verdict")))
        last->verdict = value;
    else
        return false;
    return true;
}

static bool is_verdict(const char *text)
{
    static const char *const sides[] = {"strait", "kernel", "both", "neither"};
    for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++) {
        size_t length = strlen(sides[i]);
        if (strncmp(text, sides[i], length) == 0 && text[length] == ':')
            return true;
    }
    return false;
}

/* Returns false if the line is for the reader alone. */
static bool take_head(struct head *h, const char *line)
{
    return sscanf(line, KERNEL_LINE, &h->major, &h->minor) == 2 ||
           sscanf(line, COUNT_LINE, &h->scripts, &h->same) == 2;
}

/* The strings of the list end where their lines do; only a verdict keeps its line breaks. */
static bool take_lines(struct differences *d, char *text, unsigned *line_number)
{
    const char *script = NULL;
    char *line = text, *end = NULL;
    for (*line_number = 1; *line; ++*line_number) {
        bool goes_on =
            end && d->count && d->list[d->count - 1].verdict && strspn(line, " ") == VERDICT_MORE;
        if (goes_on)
            *end = '\n';
        end = line + strcspn(line, "\n");
        char *next = *end ? end + 1 : end;
        *end = '\0';
        if (*line == '#')
            take_head(&d->head, line);
        else if (*line && *line != ' ')
            script = line;
        else if (*line && !goes_on && !take_value(d, script, line))
            return false;
        line = next;
    }
    return true;
}

bool differences_read(struct differences *d, const char *path, char *error, size_t error_bytes)
{
    unsigned line = 0;
    *d = (struct differences){.text = read_all(path)};
    if (!d->text) {
        snprintf(error, error_bytes, ": %s", strerror(errno));
        return false;
    }
    bool good = take_lines(d, d->text, &line);
    if (good && (d->count == 0 || d->list[d->count - 1].verdict))
        return true;
    snprintf(error, error_bytes, ":%u: a difference is script, step, strait, kernel, verdict",
             line);
    return false;
}

bool differences_judged(const struct differences *d, char *error, size_t error_bytes)
{
    for (size_t i = 0; i < d->count; i++) {
        const struct difference *one = &d->list[i];
        if (is_verdict(one->verdict))
            continue;
        snprintf(error, error_bytes, ": %s, \"%s\": no verdict", one->script, one->step);
        return false;
    }
    return true;
}

void differences_free(struct differences *d)
{
    free(d->text);
    free(d->list);
}

struct difference *differences_find(const struct differences *d, const struct difference *wanted)
{
    for (size_t i = 0; i < d->count; i++) {
        struct difference *one = &d->list[i];
        if (!one->seen && strcmp(one->script, wanted->script) == 0 &&
            strcmp(one->step, wanted->step) == 0 && strcmp(one->strait, wanted->strait) == 0 &&
            strcmp(one->kernel, wanted->kernel) == 0)
            return one;
    }
    return NULL;
}

/* ---- Writing ---- */

void difference_write(FILE *out, const struct difference *d, const char *script_before)
{
    if (!script_before || strcmp(script_before, d->script) != 0)
        fprintf(out, "\n%s\n", d->script);
    fprintf(out, "  step:    %s\n  strait:  %s\n  kernel:  %s\n  verdict: %s\n", d->step, d->strait,
            d->kernel, d->verdict ? d->verdict : "?");
}

void differences_write_head(FILE *out, const char *path, const struct head *head)
{
    char *line = NULL;
    size_t bytes = 0;
    struct head old;
    FILE *file = fopen(path, "re");
    while (file && getline(&line, &bytes, file) > 0 && *line == '#')
        if (!take_head(&old, line))
            fputs(line, out);
    fprintf(out, KERNEL_LINE "\n" COUNT_LINE "\n", head->major, head->minor, head->scripts,
            head->same);
    free(line);
    if (file)
        fclose(file);
}
