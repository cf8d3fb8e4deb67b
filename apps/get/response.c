/* SPDX-License-Identifier: MIT */
#include "get/response.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- Fields ---------------------------------------------------------------------------------- */

/* Reads a decimal number. Returns what follows it, or NULL if there is none. */
static const char *read_number(const char *text, uint64_t *number)
{
    if (!isdigit((unsigned char)*text))
        return NULL;
    *number = 0;
    for (; isdigit((unsigned char)*text); text++) {
        uint64_t digit = (uint64_t)(*text - '0');
        if (*number > ((uint64_t)INT64_MAX - digit) / 10)
            return NULL;
        *number = *number * 10 + digit;
    }
    return text;
}

/* "bytes 100-199/1000", with "*" for 100-199 or for 1000. What cannot be read stays unknown. */
static void read_range(struct response *r, const char *text)
{
    uint64_t first = RESPONSE_UNKNOWN, last = RESPONSE_UNKNOWN, total = RESPONSE_UNKNOWN;
    if (strncasecmp(text, "bytes ", 6) != 0)
        return;
    text += 6;
    if (*text == '*') {
        text++;
    } else {
        text = read_number(text, &first);
        if (!text || *text != '-')
            return;
        text = read_number(text + 1, &last);
        if (!text || last < first)
            return;
    }
    if (*text != '/')
        return;
    if (strcmp(text + 1, "*") != 0) {
        text = read_number(text + 1, &total);
        if (!text || *text != '\0')
            return;
    }
    r->range_first = first;
    r->range_last = last;
    r->range_total = total;
}

static bool field_is(const struct response *r, const char *name)
{
    return r->field_bytes == strlen(name) && strncasecmp(r->field, name, r->field_bytes) == 0;
}

/* A field is complete when the next one begins, or the head ends. */
static void end_of_field(struct response *r)
{
    if (!r->in_value)
        return;
    r->in_value = false;
    size_t length = r->value_bytes < sizeof(r->value) ? r->value_bytes : 0;
    while (length > 0 && (r->value[length - 1] == ' ' || r->value[length - 1] == '\t'))
        length--; /* white space around a value is none of it: RFC 9112 5.1 */
    r->value[length] = '\0';
    if (field_is(r, "location"))
        memcpy(r->location, r->value, sizeof(r->location));
    else if (field_is(r, "content-range"))
        read_range(r, r->value);
    r->field_bytes = r->value_bytes = 0;
}

/* Appends as much as there is room for, and counts all. */
static void append(char *to, size_t room, size_t *length, const char *bytes, size_t more)
{
    if (*length < room) {
        size_t left = room - *length;
        memcpy(to + *length, bytes, more < left ? more : left);
    }
    *length += more;
}

/* ---- The callbacks of http-parser ------------------------------------------------------------ */

static int on_begin(http_parser *parser)
{
    struct response *r = parser->data;
    r->in_value = false;
    r->field_bytes = r->value_bytes = r->reason_bytes = 0;
    memset(r->reason, 0, sizeof(r->reason));
    r->location[0] = '\0';
    r->range_first = r->range_last = r->range_total = RESPONSE_UNKNOWN;
    return 0;
}

static int on_status(http_parser *parser, const char *at, size_t length)
{
    struct response *r = parser->data;
    append(r->reason, sizeof(r->reason) - 1, &r->reason_bytes, at, length);
    return 0;
}

static int on_field(http_parser *parser, const char *at, size_t length)
{
    struct response *r = parser->data;
    end_of_field(r);
    append(r->field, sizeof(r->field), &r->field_bytes, at, length);
    return 0;
}

static int on_value(http_parser *parser, const char *at, size_t length)
{
    struct response *r = parser->data;
    r->in_value = true;
    append(r->value, sizeof(r->value), &r->value_bytes, at, length);
    return 0;
}

/* RFC 9110 15.2: any number of informational responses may stand in front of the final one. */
static bool is_informational(const http_parser *parser)
{
    return parser->status_code < 200;
}

static int on_head(http_parser *parser)
{
    struct response *r = parser->data;
    end_of_field(r);
    if (is_informational(parser))
        return 0;
    r->head_done = true;
    r->status = parser->status_code;
    bool known = !(parser->flags & F_CHUNKED) && parser->content_length != ULLONG_MAX;
    r->length = known ? parser->content_length : RESPONSE_UNKNOWN;
    http_parser_pause(parser, 1);
    return 0;
}

static int on_body(http_parser *parser, const char *at, size_t length)
{
    struct response *r = parser->data;
    r->body(r->context, at, length);
    return 0;
}

static int on_end(http_parser *parser)
{
    struct response *r = parser->data;
    if (is_informational(parser))
        return 0;
    r->done = true;
    http_parser_pause(parser, 1); /* whatever follows was not asked for */
    return 0;
}

static const http_parser_settings callbacks = {
    .on_message_begin = on_begin,
    .on_status = on_status,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_head,
    .on_body = on_body,
    .on_message_complete = on_end,
};

/* ---- Bytes ----------------------------------------------------------------------------------- */

void response_init(struct response *r,
                   void (*body)(void *context, const char *bytes, size_t length), void *context)
{
    *r = (struct response){.body = body, .context = context};
    http_parser_init(&r->parser, HTTP_RESPONSE);
    r->parser.data = r;
}

static void check_errno(struct response *r)
{
    enum http_errno number = HTTP_PARSER_ERRNO(&r->parser);
    if (r->parser.upgrade)
        r->error = "the server has changed the protocol";
    else if (number != HPE_OK && number != HPE_PAUSED)
        r->error = r->head_done ? "the body of the answer is damaged" : "the answer is no HTTP";
}

size_t response_feed(struct response *r, const char *bytes, size_t length)
{
    if (r->done || r->error)
        return 0;
    if (HTTP_PARSER_ERRNO(&r->parser) == HPE_PAUSED)
        http_parser_pause(&r->parser, 0);
    size_t taken = http_parser_execute(&r->parser, &callbacks, bytes, length);
    check_errno(r);
    return taken;
}

void response_close(struct response *r)
{
    if (r->done || r->error)
        return;
    if (HTTP_PARSER_ERRNO(&r->parser) == HPE_PAUSED)
        http_parser_pause(&r->parser, 0);
    if (r->head_done)
        http_parser_execute(&r->parser, &callbacks, NULL, 0);
    if (!r->done)
        r->error = r->head_done ? "the connection has ended before the body"
                                : "the connection has ended without an answer";
}
