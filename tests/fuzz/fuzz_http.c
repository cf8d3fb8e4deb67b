/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as what a client says to the HTTP server: through the reader of requests, and on to
 * what is made of them (apps/http).
 *
 * The input is a byte that says in which pieces the rest arrives, and the rest: one request after
 * another, as far as they keep the connection.
 *
 * Promised: a request means the same however its bytes arrive, and no more bytes are taken than
 * belong to it; its path stays below the root; a range lies within the file; the head of the answer
 * has one end, and nothing that the client has sent begins a line of it; and a line of the access
 * log is one line of printable characters.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "http/answer.h"
#include "http/condition.h"
#include "http/log.h"
#include "targets.h"

#define NOW         784111777
#define REQUEST_MAX 20

/* Reads a request in pieces. Returns how many bytes were taken. */
static size_t read_request(struct http_request *r, const char *bytes, size_t length, size_t piece)
{
    size_t taken = 0;
    http_request_init(r);
    while (!r->done && taken < length) {
        size_t offered = length - taken < piece ? length - taken : piece;
        /* Memory of just its size: the sanitizer finds what reads beyond it. */
        char *exact = malloc(offered);
        CHECK(exact);
        memcpy(exact, bytes + taken, offered);
        size_t n = http_request_feed(r, exact, offered);
        CHECK(n <= offered && (n > 0 || r->done));
        taken += n;
        free(exact);
    }
    return taken;
}

static void check_same(const struct http_request *a, const struct http_request *b)
{
    CHECK(a->done == b->done && a->status == b->status && a->keep_alive == b->keep_alive);
    if (!a->done || a->status != 0)
        return;
    CHECK(a->head == b->head && a->version_1_0 == b->version_1_0);
    CHECK(a->target_bytes == b->target_bytes && a->text_bytes == b->text_bytes);
    CHECK(memcmp(a->text, b->text, a->text_bytes) == 0);
    CHECK(a->field_count == b->field_count);
    for (size_t i = 0; i < a->field_count; i++)
        CHECK(a->fields[i].name == b->fields[i].name && a->fields[i].length == b->fields[i].length);
}

static void check_path(const struct http_request *r)
{
    char path[256];
    const char *raw;
    size_t raw_bytes;
    if (http_request_path(r, &raw, &raw_bytes, path, sizeof(path)) != 0)
        return;
    CHECK(*path == '/' && strlen(path) <= raw_bytes && raw_bytes <= r->target_bytes + 1);
    for (const char *at = path; at; at = strchr(at + 1, '/')) {
        size_t segment = strcspn(at + 1, "/");
        CHECK(segment != 2 || memcmp(at + 1, "..", 2) != 0);
    }
}

static void check_selection(const struct http_request *r)
{
    static const struct http_version version = {"\"a\"", NOW, NOW + 1};
    for (uint64_t size = 0; size < 300; size += 100) {
        uint64_t first, last;
        if (http_range(r, &version, size, &first, &last) == HTTP_PART)
            CHECK(first <= last && last < size && !r->head);
    }
    unsigned status = http_condition(r, &version);
    CHECK(status == 0 || status == 304 || status == 412);
}

/* The server writes so many lines at most, and each of them begins with a word of its own. */
static void check_head(const struct http_request *r)
{
    static char head[HTTP_ANSWER_HEAD_BYTES + 1];
    static const char *const words[] = {
        "HTTP/1.1 ",        "Server: ", "Date: ",     "Content-Type: ",
        "Content-Length: ", "Allow: ",  "Location: ", "Connection: "};
    struct http_answer a;
    http_answer(&a, NULL, r, NOW);
    CHECK(a.status >= 200 && a.status < 600);
    size_t length = http_answer_head(&a, r, "now", false, head);
    CHECK(length <= HTTP_ANSWER_HEAD_BYTES);
    head[length] = '\0';
    CHECK(strstr(head, "\r\n\r\n") == head + length - 4);
    for (const char *line = head; line < head + length - 2; line = strstr(line, "\r\n") + 2) {
        size_t i = 0;
        while (i < sizeof(words) / sizeof(words[0]) &&
               strncmp(line, words[i], strlen(words[i])) != 0)
            i++;
        CHECK(i < sizeof(words) / sizeof(words[0]));
    }
    http_answer_release(&a, NULL);
}

static void check_log(const struct http_request *r)
{
    char line[HTTP_LOG_BYTES];
    const struct http_record record = {.time = NOW, .request = r, .status = 200};
    size_t length = http_log_line(&record, line);
    CHECK(length < sizeof(line) && line[length - 1] == '\n');
    for (size_t i = 0; i + 1 < length; i++)
        CHECK(isprint((unsigned char)line[i]));
}

int fuzz_http(const uint8_t *bytes, size_t length)
{
    static struct http_request whole, split;
    if (length < 1)
        return 0;
    const char *rest = (const char *)bytes + 1;
    size_t piece = (size_t)bytes[0] + 1;
    length--;
    for (int i = 0; i < REQUEST_MAX && length > 0; i++) {
        size_t taken = read_request(&whole, rest, length, length);
        size_t taken_split = read_request(&split, rest, length, piece);
        check_same(&whole, &split);
        CHECK(!whole.done || whole.status != 0 || taken == taken_split);
        check_log(&whole);
        if (!whole.done)
            return 0;
        check_head(&whole);
        if (whole.status == 0) {
            check_path(&whole);
            check_selection(&whole);
        }
        if (!whole.keep_alive)
            return 0;
        rest += taken;
        length -= taken;
    }
    return 0;
}
