/* SPDX-License-Identifier: MIT */
#include "http/request.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/gate.h"

#define BODY_ROOM ((size_t)1024) /* at first */

/* ---- The callbacks of http-parser: a negative result ends parsing ---- */

/* Ends the request early; without keep_alive, for where the next one starts is not known. */
static int end(struct http_request *r, unsigned status)
{
    r->done = true;
    if (r->status == 0)
        r->status = status;
    return -1;
}

/*
 * Notes that the head passes a bound on what is kept, which is answered once the head is complete.
 * Bytes that are no HTTP have precedence: whether the parser hands over what stands in front of
 * them depends on the pieces in which they arrive, and the answer must not.
 */
static void pass_bound(struct http_request *r, unsigned status)
{
    if (r->bound_status == 0)
        r->bound_status = status;
}

static int on_url(http_parser *parser, const char *at, size_t length)
{
    struct http_request *r = parser->data;
    size_t room = HTTP_TARGET_BYTES_MAX - r->target_bytes;
    if (length > room) {
        pass_bound(r, HTTP_STATUS_URI_TOO_LONG);
        length = room;
    }
    memcpy(r->text + r->target_bytes, at, length);
    r->text_bytes = r->target_bytes += length;
    return 0;
}

static const char *const field_names[HTTP_OTHER] = {
    [HTTP_HOST] = "host",
    [HTTP_IF_MATCH] = "if-match",
    [HTTP_IF_NONE_MATCH] = "if-none-match",
    [HTTP_IF_MODIFIED_SINCE] = "if-modified-since",
    [HTTP_IF_UNMODIFIED_SINCE] = "if-unmodified-since",
    [HTTP_IF_RANGE] = "if-range",
    [HTTP_RANGE] = "range",
    [HTTP_REFERER] = "referer",
    [HTTP_USER_AGENT] = "user-agent",
    [HTTP_TRANSFER_ENCODING] = "transfer-encoding",
    [HTTP_CONTENT_TYPE] = "content-type",
    [HTTP_CONTENT_ENCODING] = "content-encoding",
    [HTTP_CONNECT_TIMEOUT] = "connect-timeout-ms",
    [HTTP_ONCE] = "strait-once-bin",
    [HTTP_CLIENT] = "strait-client",
    [HTTP_SEQUENCE] = "strait-sequence",
    [HTTP_LOWEST] = "strait-lowest",
};

static bool name_is(const struct http_request *r, const char *name)
{
    return r->name_bytes == strlen(name) && strncasecmp(r->name, name, r->name_bytes) == 0;
}

/* Takes account of a field name once it is complete: when its value begins. */
static void end_of_name(struct http_request *r)
{
    unsigned name = 0;
    while (name < HTTP_OTHER && !name_is(r, field_names[name]))
        name++;
    r->in_field = name != HTTP_OTHER;
    r->expects = r->expects || name_is(r, "expect");
    if (r->in_field && r->field_count == HTTP_FIELDS_MAX) {
        pass_bound(r, HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE);
        r->in_field = false;
    }
    if (r->in_field)
        r->fields[r->field_count++] =
            (struct http_field){.name = (uint8_t)name, .offset = (uint16_t)r->text_bytes};
}

static int on_header_field(http_parser *parser, const char *at, size_t length)
{
    struct http_request *r = parser->data;
    if (r->in_value)
        r->name_bytes = 0;
    r->in_value = false;
    if (r->name_bytes < sizeof(r->name)) {
        size_t room = sizeof(r->name) - r->name_bytes;
        memcpy(r->name + r->name_bytes, at, length < room ? length : room);
    }
    r->name_bytes += length;
    return 0;
}

static int on_header_value(http_parser *parser, const char *at, size_t length)
{
    struct http_request *r = parser->data;
    /* RFC 9110 6.5.1: what comes behind the body is not taken for a part of the header. */
    if (r->head_done)
        return 0;
    if (!r->in_value)
        end_of_name(r);
    r->in_value = true;
    if (!r->in_field)
        return 0;
    memcpy(r->text + r->text_bytes, at, length);
    r->text_bytes += length;
    r->fields[r->field_count - 1].length += (uint16_t)length;
    return 0;
}

/* RFC 9112 3.2: exactly one Host field, which an older request may lack; a host, and a port. */
static bool host_is_valid(const struct http_request *r)
{
    static const char others[] = "-._~%!$&'()*+,;=:[]";
    size_t index = 0, length;
    const char *host = http_request_field(r, HTTP_HOST, &index, &length);
    if (!host)
        return r->version_1_0;
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)host[i]) && !memchr(others, host[i], sizeof(others) - 1))
            return false;
    return !http_request_field(r, HTTP_HOST, &index, &length);
}

/*
 * RFC 9112 6.1: no coding but "chunked" is known, and to HTTP/1.0 none; 6.3: if "chunked" is not
 * the last of several, the body has no end. Returns 0 or a status.
 */
static unsigned check_coding(const struct http_request *r)
{
    size_t index = 0, length, more;
    const char *coding = http_request_field(r, HTTP_TRANSFER_ENCODING, &index, &length);
    if (!coding)
        return 0;
    if (r->version_1_0 || !(r->parser.flags & F_CHUNKED) ||
        http_request_field(r, HTTP_TRANSFER_ENCODING, &index, &more))
        return HTTP_STATUS_BAD_REQUEST;
    bool chunked = length == strlen("chunked") && strncasecmp(coding, "chunked", length) == 0;
    return chunked ? 0 : HTTP_STATUS_NOT_IMPLEMENTED;
}

static size_t body_max(const struct http_request *r)
{
    return r->gate ? r->gate->body_max : HTTP_BODY_BYTES_MAX;
}

/* Whom a request is for that does not ask for a file. */
static const struct http_gate *find_gate(const struct http_request *r)
{
    for (size_t i = 0; i < r->gate_count; i++) {
        const struct http_gate *gate = &r->gates[i];
        size_t length = strlen(gate->prefix);
        if (r->target_bytes >= length && memcmp(r->text, gate->prefix, length) == 0)
            return gate;
    }
    return NULL;
}

static int on_headers_complete(http_parser *parser)
{
    struct http_request *r = parser->data;
    r->head_done = true;
    r->method = parser->method;
    r->head = parser->method == HTTP_HEAD;
    r->version_1_0 = parser->http_minor == 0;
    if (r->bound_status != 0)
        return end(r, r->bound_status);
    if (parser->http_major != 1)
        return end(r, HTTP_STATUS_HTTP_VERSION_NOT_SUPPORTED);
    if (!host_is_valid(r))
        return end(r, HTTP_STATUS_BAD_REQUEST);
    unsigned status = check_coding(r);
    if (status != 0)
        return end(r, status);
    if (parser->method == HTTP_CONNECT)
        return end(r, HTTP_STATUS_METHOD_NOT_ALLOWED);
    r->gate = find_gate(r);
    if (parser->method != HTTP_GET && parser->method != HTTP_HEAD && !r->gate)
        r->status = HTTP_STATUS_METHOD_NOT_ALLOWED;
    bool has_length = (parser->flags & F_CONTENTLENGTH) != 0;
    if (has_length && parser->content_length > body_max(r))
        return end(r, HTTP_STATUS_PAYLOAD_TOO_LARGE);
    /* RFC 9110 10.1.1: the final answer, instead of 100, spares the peer the sending of a body. */
    bool has_body = (has_length && parser->content_length > 0) || (parser->flags & F_CHUNKED);
    r->continues = r->gate && r->expects && has_body;
    return r->expects && has_body && !r->gate ? end(r, r->status) : 0;
}

/* Adds to the body of a request for a gate; memory follows what has come. Returns 0 or a status. */
static unsigned keep_body(struct http_request *r, const char *at, size_t length)
{
    size_t room = r->body_room > 0 ? r->body_room : BODY_ROOM;
    while (room < r->body_bytes + length)
        room *= 2;
    if (room > r->body_room) {
        char *body =
            *r->memory + room - r->body_room <= HTTP_BODIES_MAX ? realloc(r->body, room) : NULL;
        if (!body)
            return HTTP_STATUS_SERVICE_UNAVAILABLE;
        *r->memory += room - r->body_room;
        r->body = body;
        r->body_room = room;
    }
    memcpy(r->body + r->body_bytes, at, length);
    return 0;
}

static int on_body(http_parser *parser, const char *at, size_t length)
{
    struct http_request *r = parser->data;
    r->continues = false;
    if (length > body_max(r) - r->body_bytes)
        return end(r, HTTP_STATUS_PAYLOAD_TOO_LARGE);
    unsigned status = r->gate ? keep_body(r, at, length) : 0;
    r->body_bytes += length;
    return status != 0 ? end(r, status) : 0;
}

static int on_message_complete(http_parser *parser)
{
    struct http_request *r = parser->data;
    r->done = true;
    r->keep_alive = http_should_keep_alive(parser) != 0;
    /* The next request stays where it is until this one is answered. */
    http_parser_pause(parser, 1);
    return 0;
}

static const http_parser_settings callbacks = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* ---- */

/* RFC 9110 5.6.2 */
static bool is_token_character(char c)
{
    return isalnum((unsigned char)c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

/* What to answer to bytes that the parser has refused at `offending`. */
static unsigned refusal(const http_parser *parser, char offending)
{
    switch (HTTP_PARSER_ERRNO(parser)) {
    case HPE_HEADER_OVERFLOW:
        return HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE;
    case HPE_INVALID_METHOD:
        /* RFC 9110 9.1: 501 to a method that is well-formed but unknown, 400 to what is none. */
        return is_token_character(offending) ? HTTP_STATUS_NOT_IMPLEMENTED
                                             : HTTP_STATUS_BAD_REQUEST;
    default:
        return HTTP_STATUS_BAD_REQUEST;
    }
}

void http_request_init(struct http_request *r)
{
    memset(r, 0, offsetof(struct http_request, text));
    http_parser_init(&r->parser, HTTP_REQUEST);
    r->parser.data = r;
}

void http_request_release(struct http_request *r)
{
    if (r->body_room > 0)
        *r->memory -= r->body_room;
    free(r->body);
    r->body = NULL;
    r->body_room = 0;
}

size_t http_request_feed(struct http_request *r, const char *bytes, size_t length)
{
    bool in_head = !r->head_done;
    if (in_head && length > HTTP_HEAD_BYTES_MAX - r->head_bytes)
        length = HTTP_HEAD_BYTES_MAX - r->head_bytes;
    size_t taken = http_parser_execute(&r->parser, &callbacks, bytes, length);
    if (in_head)
        r->head_bytes += taken;
    if (r->done)
        return taken;
    if (HTTP_PARSER_ERRNO(&r->parser) != HPE_OK)
        end(r, refusal(&r->parser, taken < length ? bytes[taken] : '\0'));
    else if (!r->head_done && r->head_bytes == HTTP_HEAD_BYTES_MAX)
        end(r, r->bound_status ? r->bound_status : HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE);
    return taken;
}

/* ---- What it says ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

const char *http_request_field(const struct http_request *r, enum http_field_name name,
                               size_t *index, size_t *length)
{
    while (*index < r->field_count && r->fields[*index].name != name)
        (*index)++;
    if (*index == r->field_count)
        return NULL;
    const struct http_field *field = &r->fields[(*index)++];
    const char *value = r->text + field->offset;
    size_t bytes = field->length;
    for (; bytes > 0 && is_space(value[bytes - 1]); bytes--)
        ;
    for (; bytes > 0 && is_space(*value); bytes--)
        value++;
    *length = bytes;
    return value;
}

/* The value of a hexadecimal digit, or -1. */
static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undoes percent-encoding (RFC 3986 2.1), which makes nothing longer; returns 0 or a status. */
static unsigned decode(const char *raw, size_t raw_bytes, char *path, size_t path_bytes)
{
    if (raw_bytes >= path_bytes)
        return HTTP_STATUS_URI_TOO_LONG;
    for (size_t i = 0; i < raw_bytes; i++) {
        char c = raw[i];
        if (c == '%') {
            int high = i + 2 < raw_bytes ? digit(raw[i + 1]) : -1;
            int low = i + 2 < raw_bytes ? digit(raw[i + 2]) : -1;
            if (high < 0 || low < 0)
                return HTTP_STATUS_BAD_REQUEST;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (c == '\0')
            return HTTP_STATUS_BAD_REQUEST;
        *path++ = c;
    }
    *path = '\0';
    return 0;
}

/* Whether a segment of the decoded path is "..". */
static bool climbs(const char *path)
{
    for (const char *at = strstr(path, "/.."); at; at = strstr(at + 1, "/.."))
        if (at[3] == '/' || at[3] == '\0')
            return true;
    return false;
}

unsigned http_request_path(const struct http_request *r, const char **raw, size_t *raw_bytes,
                           char *path, size_t path_bytes)
{
    struct http_parser_url url;
    http_parser_url_init(&url);
    *raw = "/";
    *raw_bytes = 1;
    if (http_parser_parse_url(r->text, r->target_bytes, 0, &url) != 0)
        return HTTP_STATUS_BAD_REQUEST;
    if (url.field_set & (1 << UF_PATH)) {
        *raw = r->text + url.field_data[UF_PATH].off;
        *raw_bytes = url.field_data[UF_PATH].len;
    }
    if (**raw != '/') /* "*" is a target for OPTIONS only */
        return HTTP_STATUS_BAD_REQUEST;
    unsigned status = decode(*raw, *raw_bytes, path, path_bytes);
    if (status != 0)
        return status;
    return climbs(path) ? HTTP_STATUS_FORBIDDEN : 0;
}
