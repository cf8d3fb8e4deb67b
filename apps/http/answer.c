/* SPDX-License-Identifier: MIT */
#include "http/answer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/condition.h"
#include "http/listing.h"

#define HTML "text/html; charset=utf-8"

static const char built_in_page[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\">\n"
    "<title>Strait</title>\n"
    "<h1>Strait</h1>\n"
    "<p>This page comes from Strait, a TCP/IP stack that runs in user space on a TUN device.\n"
    "<p>Start it with <code>--root DIR</code> and it serves the files of that directory.\n"
    "</html>\n";

/* ---- What to answer ---- */

/* Makes an answer that is nothing but its status. */
static void answer_status(struct http_answer *a, unsigned status)
{
    a->status = status;
    a->first = 0;
    a->length = 0;
    a->type = NULL;
    if (status == HTTP_STATUS_NOT_MODIFIED)
        return;
    a->type = "text/plain; charset=utf-8";
    a->text = a->words;
    a->length = (uint64_t)snprintf(a->words, sizeof(a->words), "%u %s\n", status,
                                   http_status_str((enum http_status)status));
}

static unsigned status_of_errno(void)
{
    switch (errno) {
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG: /* no file can have this name */
        return HTTP_STATUS_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EXDEV:
        return HTTP_STATUS_FORBIDDEN;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return HTTP_STATUS_SERVICE_UNAVAILABLE;
    default:
        return HTTP_STATUS_INTERNAL_SERVER_ERROR;
    }
}

static unsigned find_built_in(struct http_answer *a, const char *path)
{
    if (strcmp(path, "/") != 0)
        return HTTP_STATUS_NOT_FOUND;
    a->text = built_in_page;
    a->type = HTML;
    a->length = sizeof(built_in_page) - 1;
    return HTTP_STATUS_OK;
}

/* Lists the directory `relative`, which is `path` on the site. */
static unsigned find_listing(struct http_answer *a, struct site *site, const char *relative,
                             const char *path)
{
    struct strait_env *env = site_env(site);
    size_t length = 0;
    int directory = site_open_directory(site, *relative != '\0' ? relative : ".");
    if (directory < 0)
        return status_of_errno();
    a->page = http_listing(env, directory, path, &length);
    unsigned status = a->page ? HTTP_STATUS_OK : status_of_errno();
    env->file_close(env, directory);
    a->text = a->page;
    a->type = HTML;
    a->length = length;
    return status;
}

/* Finds what the path asks for, which has room for the name of an index behind it. */
static unsigned find(struct http_answer *a, struct site *site, char *path)
{
    static const char index_html[] = "index.html";
    char *relative = path + strspn(path, "/");
    size_t length = strlen(relative);
    bool directory = length == 0 || relative[length - 1] == '/';
    if (directory)
        memcpy(relative + length, index_html, sizeof(index_html));
    a->file = site_find(site, relative);
    if (a->file) {
        a->type = a->file->type;
        a->length = a->file->size;
        return HTTP_STATUS_OK;
    }
    if (errno == EISDIR && !directory)
        return HTTP_STATUS_MOVED_PERMANENTLY;
    if (!directory || (errno != ENOENT && errno != EISDIR))
        return status_of_errno();
    relative[length] = '\0';
    return find_listing(a, site, relative, path);
}

/* Obeys conditions and range of a request for a file. */
static void select_part(struct http_answer *a, const struct http_request *r, int64_t now)
{
    uint64_t last;
    /* RFC 9110 8.8.2.1: nothing was modified in the future. */
    a->from_future = a->file->modified > now;
    struct http_version version = {a->file->etag, a->from_future ? now : a->file->modified, now};
    unsigned status = http_condition(r, &version);
    if (status != 0) {
        answer_status(a, status);
        return;
    }
    switch (http_range(r, &version, a->file->size, &a->first, &last)) {
    case HTTP_WHOLE:
        a->first = 0;
        break;
    case HTTP_PART:
        a->status = HTTP_STATUS_PARTIAL_CONTENT;
        a->length = last - a->first + 1;
        break;
    case HTTP_UNSATISFIABLE:
        answer_status(a, HTTP_STATUS_RANGE_NOT_SATISFIABLE);
        break;
    }
}

void http_answer(struct http_answer *a, struct site *site, const struct http_request *r,
                 int64_t now)
{
    char path[PATH_MAX];
    const size_t room_for_index = 16;
    *a = (struct http_answer){.status = r->status};
    if (a->status == 0)
        a->status =
            http_request_path(r, &a->moved, &a->moved_bytes, path, sizeof(path) - room_for_index);
    if (a->status == 0)
        a->status = site ? find(a, site, path) : find_built_in(a, path);
    if (a->status != HTTP_STATUS_OK)
        answer_status(a, a->status);
    else if (a->file)
        select_part(a, r, now);
    /* RFC 3986 4.2: a reference that begins with two slashes would name another host. */
    while (a->moved_bytes > 1 && a->moved[1] == '/') {
        a->moved++;
        a->moved_bytes--;
    }
}

void http_answer_status(struct http_answer *a, unsigned status)
{
    *a = (struct http_answer){0};
    answer_status(a, status);
}

void http_answer_reply(struct http_answer *a, const struct http_reply *reply)
{
    if (reply->type && !reply->body && !reply->source) {
        http_answer_status(a, HTTP_STATUS_SERVICE_UNAVAILABLE);
        return;
    }
    *a = (struct http_answer){
        .status = reply->status,
        .type = reply->type,
        .length = reply->length,
        .text = reply->body,
        .page = reply->body,
        .source = reply->source,
    };
    if (reply->fields)
        snprintf(a->fields, sizeof(a->fields), "%s", reply->fields);
}

void http_answer_release(struct http_answer *a, struct site *site)
{
    if (a->source)
        a->source->release(a->source);
    a->source = NULL;
    if (a->file)
        site_release(site, a->file);
    free(a->page);
    a->file = NULL;
    a->page = NULL;
}

/* ---- The head: put together by hand, for it is half of the work of a small answer ---- */

struct head {
    char *text;
    size_t length;
};

static void put(struct head *h, const char *text)
{
    size_t length = strlen(text);
    memcpy(h->text + h->length, text, length);
    h->length += length;
}

static void put_number(struct head *h, uint64_t number)
{
    char digits[21], *at = digits + sizeof(digits) - 1;
    *at = '\0';
    do
        *--at = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    put(h, at);
}

static void put_field(struct head *h, const char *name, const char *value)
{
    put(h, name);
    put(h, value);
    put(h, "\r\n");
}

static void put_content_range(struct head *h, const struct http_answer *a)
{
    put(h, "Content-Range: bytes ");
    if (a->status == HTTP_STATUS_PARTIAL_CONTENT) {
        put_number(h, a->first);
        put(h, "-");
        put_number(h, a->first + a->length - 1);
    } else {
        put(h, "*");
    }
    put(h, "/");
    put_number(h, a->file->size);
    put(h, "\r\n");
}

/* What is said of a file, whether or not it is sent (RFC 9110 15.4.5). */
static void put_file(struct head *h, const struct http_answer *a, const char *date)
{
    put_field(h, "Last-Modified: ", a->from_future ? date : a->file->modified_text);
    put_field(h, "ETag: ", a->file->etag);
    put(h, "Accept-Ranges: bytes\r\n");
    if (a->status == HTTP_STATUS_PARTIAL_CONTENT || a->status == HTTP_STATUS_RANGE_NOT_SATISFIABLE)
        put_content_range(h, a);
}

static void put_location(struct head *h, const struct http_answer *a)
{
    put(h, "Location: ");
    memcpy(h->text + h->length, a->moved, a->moved_bytes);
    h->length += a->moved_bytes;
    put(h, "/\r\n");
}

size_t http_answer_head(const struct http_answer *a, const struct http_request *r, const char *date,
                        bool close_after, char text[HTTP_ANSWER_HEAD_BYTES])
{
    struct head h = {text, 0};
    put(&h, "HTTP/1.1 ");
    put_number(&h, a->status);
    put_field(&h, " ", http_status_str((enum http_status)a->status));
    put_field(&h, "Server: Strait\r\nDate: ", date);
    if (a->type) {
        put_field(&h, "Content-Type: ", a->type);
        put(&h, "Content-Length: ");
        put_number(&h, a->length);
        put(&h, "\r\n");
    }
    if (a->file)
        put_file(&h, a, date);
    put(&h, a->fields);
    if (a->status == HTTP_STATUS_METHOD_NOT_ALLOWED && !r->gate)
        put(&h, "Allow: GET, HEAD\r\n");
    if (a->status == HTTP_STATUS_MOVED_PERMANENTLY)
        put_location(&h, a);
    if (close_after)
        put(&h, "Connection: close\r\n");
    else if (r->version_1_0)
        put(&h, "Connection: keep-alive\r\n");
    put(&h, "\r\n");
    return h.length;
}
