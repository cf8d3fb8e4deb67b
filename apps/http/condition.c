/* SPDX-License-Identifier: MIT */
#include "http/condition.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "http/date.h"

/* A part of a field's value that is still to be read. */
struct text {
    const char *at, *end;
};

static bool field(const struct http_request *r, enum http_field_name name, size_t *index,
                  struct text *value)
{
    size_t length;
    value->at = http_request_field(r, name, index, &length);
    if (!value->at)
        return false;
    value->end = value->at + length;
    return true;
}

/* ---- Entity tags ---- */

struct tag {
    bool weak;
    const char *opaque; /* with its quotes */
    size_t length;
};

/* Takes an entity tag (RFC 9110 8.8.3) off the text. */
static bool take_tag(struct text *text, struct tag *tag)
{
    tag->weak = text->end - text->at > 2 && memcmp(text->at, "W/", 2) == 0;
    const char *at = text->at + (tag->weak ? 2 : 0);
    if (at == text->end || *at != '"')
        return false;
    const char *quote = memchr(at + 1, '"', (size_t)(text->end - at - 1));
    if (!quote)
        return false;
    tag->opaque = at;
    tag->length = (size_t)(quote + 1 - at);
    text->at = quote + 1;
    return true;
}

/* RFC 9110 8.8.3.2; ours is strong, so a strong comparison fails if theirs is weak. */
static bool tag_matches(const struct tag *tag, const char *etag, bool strong)
{
    return !(strong && tag->weak) && tag->length == strlen(etag) &&
           memcmp(tag->opaque, etag, tag->length) == 0;
}

/* Whether a list of tags, or "*", matches; it ends where it cannot be understood. */
static bool list_matches(struct text list, const char *etag, bool strong)
{
    struct tag tag;
    if (list.end - list.at == 1 && *list.at == '*')
        return true;
    for (;;) {
        while (list.at < list.end && strchr(" \t,", *list.at))
            list.at++;
        if (!take_tag(&list, &tag))
            return false;
        if (tag_matches(&tag, etag, strong))
            return true;
    }
}

/* Whether any line of the field matches; `*present` tells whether there is one. */
static bool field_matches(const struct http_request *r, enum http_field_name name, const char *etag,
                          bool strong, bool *present)
{
    size_t index = 0;
    struct text value;
    *present = false;
    while (field(r, name, &index, &value)) {
        *present = true;
        if (list_matches(value, etag, strong))
            return true;
    }
    return false;
}

/* The date in a field that may stand once; false if there is none that can be understood. */
static bool field_date(const struct http_request *r, enum http_field_name name, int64_t now,
                       int64_t *date)
{
    size_t index = 0;
    struct text value, more;
    return field(r, name, &index, &value) && !field(r, name, &index, &more) &&
           http_date_parse(value.at, (size_t)(value.end - value.at), now, date);
}

unsigned http_condition(const struct http_request *r, const struct http_version *v)
{
    bool present;
    int64_t date;
    /* The steps of RFC 9110 13.2.2; a condition on tags overrules the one on dates beside it. */
    bool matches = field_matches(r, HTTP_IF_MATCH, v->etag, true, &present);
    if (present && !matches)
        return HTTP_STATUS_PRECONDITION_FAILED;
    bool dated = v->modified != HTTP_NO_DATE;
    if (!present && dated && field_date(r, HTTP_IF_UNMODIFIED_SINCE, v->now, &date) &&
        v->modified > date)
        return HTTP_STATUS_PRECONDITION_FAILED;

    matches = field_matches(r, HTTP_IF_NONE_MATCH, v->etag, false, &present);
    if (present)
        return matches ? HTTP_STATUS_NOT_MODIFIED : 0;
    if (dated && field_date(r, HTTP_IF_MODIFIED_SINCE, v->now, &date) && v->modified <= date)
        return HTTP_STATUS_NOT_MODIFIED;
    return 0;
}

/* ---- Ranges ---- */

/* RFC 9110 13.1.5: a tag is compared strongly, a date exactly, if it can no more be that of two. */
static bool if_range_holds(const struct http_request *r, const struct http_version *v)
{
    size_t index = 0;
    int64_t date;
    struct text value, more;
    struct tag tag;
    if (!field(r, HTTP_IF_RANGE, &index, &value))
        return true;
    if (field(r, HTTP_IF_RANGE, &index, &more))
        return false;
    if (http_date_parse(value.at, (size_t)(value.end - value.at), v->now, &date))
        return date == v->modified && v->modified < v->now;
    return take_tag(&value, &tag) && value.at == value.end && tag_matches(&tag, v->etag, true);
}

/* Takes a number off the text; one that is too large becomes the largest. Returns false if there
 * is none. */
static bool take_number(struct text *text, uint64_t *number)
{
    const char *begin = text->at;
    *number = 0;
    for (; text->at < text->end && isdigit((unsigned char)*text->at); text->at++) {
        uint64_t digit = (uint64_t)(*text->at - '0');
        bool fits = *number <= (UINT64_MAX - digit) / 10;
        *number = fits ? 10 * *number + digit : UINT64_MAX;
    }
    return text->at > begin;
}

/* Reads "bytes=FIRST-LAST", each of which may be missing: then `*has_first`, `*has_last` say so. */
static bool read_range(struct text text, uint64_t *first, bool *has_first, uint64_t *last,
                       bool *has_last)
{
    static const char unit[] = "bytes=";
    size_t unit_bytes = sizeof(unit) - 1;
    if ((size_t)(text.end - text.at) < unit_bytes || strncasecmp(text.at, unit, unit_bytes) != 0)
        return false;
    text.at += unit_bytes;
    *has_first = take_number(&text, first);
    if (text.at == text.end || *text.at++ != '-')
        return false;
    *has_last = take_number(&text, last);
    return text.at == text.end && (*has_first || *has_last);
}

enum http_range http_range(const struct http_request *r, const struct http_version *v,
                           uint64_t size, uint64_t *first, uint64_t *last)
{
    size_t index = 0;
    bool has_first, has_last;
    struct text value, more;
    if (r->head || !field(r, HTTP_RANGE, &index, &value) || field(r, HTTP_RANGE, &index, &more) ||
        !read_range(value, first, &has_first, last, &has_last) ||
        (has_first && has_last && *last < *first) || !if_range_holds(r, v))
        return HTTP_WHOLE;

    if (!has_first) {
        /* The last so many bytes (RFC 9110 14.1.2); of nothing they are all, which is no part. */
        if (*last == 0)
            return HTTP_UNSATISFIABLE;
        if (size == 0)
            return HTTP_WHOLE;
        *first = *last < size ? size - *last : 0;
        *last = size - 1;
        return HTTP_PART;
    }
    if (*first >= size)
        return HTTP_UNSATISFIABLE;
    if (!has_last || *last >= size)
        *last = size - 1;
    return HTTP_PART;
}
