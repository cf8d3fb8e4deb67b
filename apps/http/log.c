/* SPDX-License-Identifier: MIT */
#include "http/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "http/date.h"

#define FIELD_BYTES_MAX 2400 /* of each part that the peer has sent, escaped */

struct line {
    char *text;
    size_t length;
};

__attribute__((format(printf, 2, 3))) static void append(struct line *line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(line->text + line->length, HTTP_LOG_BYTES - line->length, format, arguments);
    va_end(arguments);
    line->length += (size_t)n;
}

static void append_escaped(struct line *line, const char *text, size_t length)
{
    size_t limit = line->length + FIELD_BYTES_MAX;
    for (size_t i = 0; i < length && line->length + 4 <= limit; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < ' ' || c > '~' || c == '"' || c == '\\')
            append(line, "\\x%02X", c);
        else
            line->text[line->length++] = (char)c;
    }
}

/* A field in quotes; "-" if it is missing. */
static void append_field(struct line *line, const struct http_request *r, enum http_field_name name)
{
    size_t index = 0, length;
    const char *value = http_request_field(r, name, &index, &length);
    append(line, " \"");
    append_escaped(line, value ? value : "-", value ? length : 1);
    append(line, "\"");
}

/* The request line, as far as it was understood. */
static void append_request(struct line *line, const struct http_request *r)
{
    if (r->target_bytes == 0) {
        append(line, "-");
        return;
    }
    append(line, "%s ", http_method_str((enum http_method)r->parser.method));
    append_escaped(line, r->text, r->target_bytes);
    if (r->head_done)
        append(line, " HTTP/%u.%u", r->parser.http_major, r->parser.http_minor);
}

size_t http_log_line(const struct http_record *record, char text[HTTP_LOG_BYTES])
{
    struct line line = {text, 0};
    char date[HTTP_DATE_BYTES];
    const uint8_t *ip = (const uint8_t *)&record->peer.s_addr;
    http_date_format_log(record->time, date);
    append(&line, "%u.%u.%u.%u - - [%s] \"", ip[0], ip[1], ip[2], ip[3], date);
    append_request(&line, record->request);
    append(&line, "\" %u %" PRIu64, record->status, record->body_bytes);
    append_field(&line, record->request, HTTP_REFERER);
    append_field(&line, record->request, HTTP_USER_AGENT);
    append(&line, "\n");
    return line.length;
}
