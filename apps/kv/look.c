/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kv/asking.h"
#include "kv/document.h"
#include "kv/explain.h"
#include "kv/fetch.h"

#define HTTP_PORT 80

static bool is_interrupted(const struct kv_asking *a)
{
    return a->station.signals > 0;
}

int kv_asking_wait(struct kv_asking *a)
{
    a->status = EXIT_UNKNOWN; /* if it is interrupted */
    if (station_run(&a->station) < 0)
        return EXIT_UNKNOWN;
    if (is_interrupted(a))
        say("interrupted");
    return a->status;
}

/* A file, or a text in memory, out of what a node says. */
struct fetched {
    struct kv_asking *asking;
    int file; /* -1: into the text */
    char *text;
    size_t length, room;
    unsigned status;   /* of HTTP; 0: none */
    const char *error; /* what has failed; NULL: nothing */
};

#define TEXT_BYTES_MAX ((size_t)64 << 20)

static bool keep_text(struct fetched *f, const char *bytes, size_t length)
{
    if (f->length + length + 1 > f->room) {
        size_t room = 2 * (f->length + length + 1);
        char *text = room <= TEXT_BYTES_MAX ? realloc(f->text, room) : NULL;
        if (!text)
            return false;
        f->text = text;
        f->room = room;
    }
    memcpy(f->text + f->length, bytes, length);
    f->length += length;
    f->text[f->length] = '\0';
    return true;
}

static bool take_body(void *context, unsigned status, const char *bytes, size_t length)
{
    struct fetched *f = context;
    if (f->file < 0 || status != 200)
        return keep_text(f, bytes, length);
    while (length > 0) {
        ssize_t n = write(f->file, bytes, length);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            bytes += n;
            length -= (size_t)n;
        }
    }
    return true;
}

static void fetch_ended(void *context, unsigned status, const char *error)
{
    struct fetched *f = context;
    f->status = status;
    f->error = error;
    f->asking->status = EXIT_SUCCESS;
    strait_loop_stop(f->asking->station.loop);
}

/* Fetches from one node. Returns whether there was an answer, of whatever status. */
static bool fetch(struct kv_asking *a, size_t node, const char *target, struct fetched *f)
{
    struct kv_fetch_config config = {
        .host = a->host,
        .server = a->nodes[node],
        .target = target,
        .body = take_body,
        .ended = fetch_ended,
        .context = f,
    };
    config.server.sin_port = htons(HTTP_PORT);
    f->asking = a;
    f->length = 0;
    f->status = 0;
    f->error = NULL;
    if (f->text)
        f->text[0] = '\0';
    struct kv_fetch *k = kv_fetch_start(&config);
    if (!k)
        f->error = strerror(errno);
    else if (kv_asking_wait(a) != EXIT_SUCCESS)
        f->error = "interrupted";
    kv_fetch_free(k);
    return !f->error;
}

/* What a node that refuses says of it. */
static const char *refusal_of(const struct fetched *f)
{
    return f->length > 0 ? f->text : "it refuses";
}

/* Fetches from the first node that answers 200. Returns false after a line for each. */
static bool fetch_any(struct kv_asking *a, const char *target, struct fetched *f)
{
    for (size_t i = 0; i < a->node_count && !is_interrupted(a); i++) {
        char address[INET_ADDRSTRLEN];
        inet_ntop(AF_INET, &a->nodes[i].sin_addr, address, sizeof(address));
        bool answered = fetch(a, i, target, f);
        if (answered && f->status == 200)
            return true;
        if (!is_interrupted(a))
            say("%s: %s", address, answered ? refusal_of(f) : f->error);
    }
    return false;
}

static int print_json(const char *text)
{
    json_error_t error;
    json_t *json = json_loads(text ? text : "", 0, &error);
    char *lines = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
    if (lines)
        puts(lines);
    else
        say("the answer is no JSON");
    free(lines);
    json_decref(json);
    return lines ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int print_fetched(struct kv_asking *a, const char *target)
{
    struct fetched f = {.file = -1};
    int status = fetch_any(a, target, &f) ? print_json(f.text) : EXIT_FAILURE;
    free(f.text);
    return status;
}

int kv_look_status(struct kv_asking *a)
{
    return print_fetched(a, "/status");
}

int kv_look_txns(struct kv_asking *a)
{
    return print_fetched(a, a->settings->in_doubt ? "/txns?in_doubt=1" : "/txns");
}

/* Asks every node: each knows its own part. */
int kv_look_explain(struct kv_asking *a)
{
    char target[KV_TXID_BYTES + 8];
    bool known = false;
    snprintf(target, sizeof(target), "/txns/%s", a->operands[0]);
    printf("transaction %s\n", a->operands[0]);
    for (size_t i = 0; i < a->node_count && !is_interrupted(a); i++) {
        struct fetched f = {.file = -1};
        char address[INET_ADDRSTRLEN];
        inet_ntop(AF_INET, &a->nodes[i].sin_addr, address, sizeof(address));
        bool answered = fetch(a, i, target, &f);
        if (answered && (f.status == 200 || f.status == 404))
            known = kv_explain_print(stdout, address, f.text) || known;
        else
            printf("%s does not tell: %s\n", address, answered ? refusal_of(&f) : f.error);
        free(f.text);
    }
    return known ? EXIT_SUCCESS : EXIT_FAILURE;
}

int kv_look_backup(struct kv_asking *a)
{
    struct fetched f = {.file = -1};
    const char *name = a->operands[0];
    f.file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (f.file < 0) {
        say("%s: %s; name a file that is not there yet", name, strerror(errno));
        return EXIT_FAILURE;
    }
    bool whole = false;
    for (size_t i = 0; i < a->node_count && !whole && !is_interrupted(a); i++) {
        whole = fetch(a, i, "/backup", &f) && f.status == 200;
        if (!whole && (ftruncate(f.file, 0) < 0 || lseek(f.file, 0, SEEK_SET) < 0))
            break;
    }
    if (!whole)
        say("no node gives a backup: %s", f.error ? f.error : refusal_of(&f));
    if (fsync(f.file) < 0 || close(f.file) < 0) {
        say("%s: %s", name, strerror(errno));
        whole = false;
    }
    if (!whole)
        unlink(name);
    free(f.text);
    return whole ? EXIT_SUCCESS : EXIT_FAILURE;
}
