/* SPDX-License-Identifier: MIT */
#include "http/listing.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX      4096
#define PAGE_BYTES_MAX ((size_t)256 * 1024)
#define ROOM_FOR_END   ((size_t)128)

/* ---- Names ---- */

struct names {
    size_t count;
    bool more; /* there are too many */
    int error;
    char *list[NAMES_MAX]; /* a directory's ends with a slash */
};

static bool take_name(void *context, const char *name, bool is_directory)
{
    struct names *names = context;
    size_t length = strlen(name);
    if (*name == '.')
        return true;
    names->more = names->count == NAMES_MAX;
    if (names->more)
        return false;
    char *copy = malloc(length + 2);
    if (!copy) {
        names->error = ENOMEM;
        return false;
    }
    snprintf(copy, length + 2, "%s%s", name, is_directory ? "/" : "");
    names->list[names->count++] = copy;
    return true;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void names_free(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->list[i]);
    free(names);
}

/* The names in the directory, sorted; NULL with errno. */
static struct names *names_read(struct strait_env *env, int directory)
{
    struct names *names = calloc(1, sizeof(*names));
    if (!names)
        return NULL;
    if (env->file_list(env, directory, take_name, names) < 0)
        names->error = errno;
    if (names->error != 0) {
        int error = names->error;
        names_free(names);
        errno = error;
        return NULL;
    }
    qsort(names->list, names->count, sizeof(names->list[0]), compare);
    return names;
}

/* ---- The page ---- */

struct page {
    char *bytes; /* PAGE_BYTES_MAX of them */
    size_t length;
};

static void put(struct page *page, const char *text, size_t length)
{
    memcpy(page->bytes + page->length, text, length);
    page->length += length;
}

static void put_text(struct page *page, const char *text)
{
    put(page, text, strlen(text));
}

/* As text of HTML, or the value of an attribute. */
static void put_escaped(struct page *page, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            put_text(page, "&amp;");
            break;
        case '<':
            put_text(page, "&lt;");
            break;
        case '>':
            put_text(page, "&gt;");
            break;
        case '"':
            put_text(page, "&quot;");
            break;
        default:
            put(page, text, 1);
        }
    }
}

/* As part of a path: all but RFC 3986's unreserved characters and the slash is percent-encoded. */
static void put_encoded(struct page *page, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (isalnum(c) || strchr("-._~/", c))
            put(page, text, 1);
        else
            put(page, (const char[]){'%', digits[c >> 4], digits[c & 15]}, 3);
    }
}

/* Both kinds of escape make at most six bytes of one. */
static bool has_room(const struct page *page, const char *name)
{
    return PAGE_BYTES_MAX - page->length > 12 * strlen(name) + 2 * ROOM_FOR_END;
}

/* "./" keeps a name with a colon in it from being taken for a scheme. */
static void put_line(struct page *page, const char *name)
{
    put_text(page, "<li><a href=\"./");
    put_encoded(page, name);
    put_text(page, "\">");
    put_escaped(page, name);
    put_text(page, "</a>\n");
}

static void put_head(struct page *page, const char *path)
{
    put_text(page,
             "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Index of ");
    put_escaped(page, path);
    put_text(page, "</title>\n<h1>Index of ");
    put_escaped(page, path);
    put_text(page, "</h1>\n<ul>\n");
    if (strcmp(path, "/") != 0)
        put_text(page, "<li><a href=\"../\">../</a>\n");
}

char *http_listing(struct strait_env *env, int directory, const char *path, size_t *length)
{
    struct names *names = names_read(env, directory);
    if (!names)
        return NULL;
    struct page page = {.bytes = malloc(PAGE_BYTES_MAX)};
    if (!page.bytes) {
        names_free(names);
        errno = ENOMEM;
        return NULL;
    }
    size_t i = 0;
    put_head(&page, path);
    while (i < names->count && has_room(&page, names->list[i]))
        put_line(&page, names->list[i++]);
    put_text(&page, "</ul>\n");
    if (i < names->count || names->more)
        put_text(&page, "<p>There is more.\n");
    put_text(&page, "</html>\n");
    names_free(names);

    *length = page.length;
    char *bytes = realloc(page.bytes, page.length);
    return bytes ? bytes : page.bytes;
}
