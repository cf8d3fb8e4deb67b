/* SPDX-License-Identifier: MIT */
#include "http/site.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/media.h"

#define KEPT_MAX          128          /* files that stay open */
#define CONTENT_BYTES_MAX (256 * 1024) /* of a file whose content stays in memory */
#define BLOCKS_BYTES_MAX  (64 << 20)   /* of contents, and of what is on its way to peers */
#define NS_PER_S          INT64_C(1000000000)
#define SETTLED_NS        (2 * NS_PER_S)

/* A file, and how often it is held: once by each who sends it, and once if it is kept. */
struct held {
    struct site_file file;
    struct strait_file_status status;
    int handle; /* of the environment */
    unsigned references;
    uint64_t used; /* when it was last asked for, as a count of requests */
    char path[];
};

struct site {
    struct strait_env *env;
    struct block_store *blocks;
    int root;
    uint64_t requests;
    size_t kept_count;
    uint32_t hashes[KEPT_MAX]; /* of the paths, side by side for a quick look */
    struct held *kept[KEPT_MAX];
};

struct site *site_open(struct strait_env *env, const char *root)
{
    struct site *site = calloc(1, sizeof(*site));
    if (!site)
        return NULL;
    site->env = env;
    site->blocks = block_store_new(BLOCKS_BYTES_MAX);
    site->root = site->blocks ? env->file_open(env, root, O_RDONLY | O_DIRECTORY) : -1;
    if (site->root >= 0)
        return site;
    int error = errno;
    if (site->blocks)
        block_store_release(site->blocks);
    free(site);
    errno = error;
    return NULL;
}

static void held_free(struct site *site, struct held *h)
{
    site->env->file_close(site->env, h->handle);
    if (h->file.content)
        block_release(h->file.content);
    free(h);
}

static void held_release(struct site *site, struct held *h)
{
    if (--h->references == 0)
        held_free(site, h);
}

void site_release(struct site *site, struct site_file *file)
{
    held_release(site, (struct held *)file);
}

/* ---- What is kept ---- */

static void forget(struct site *site, size_t index)
{
    held_release(site, site->kept[index]);
    site->kept_count--;
    site->kept[index] = site->kept[site->kept_count];
    site->hashes[index] = site->hashes[site->kept_count];
}

void site_close(struct site *site)
{
    while (site->kept_count > 0)
        forget(site, 0);
    site->env->file_close(site->env, site->root);
    block_store_release(site->blocks);
    free(site);
}

/* FNV-1a; whoever finds collisions gains nothing, for few files are kept. */
static uint32_t hash_of(const char *path)
{
    uint32_t hash = 2166136261;
    for (; *path != '\0'; path++)
        hash = (hash ^ (uint8_t)*path) * 16777619;
    return hash;
}

/* The index of the file of that path; kept_count if there is none. */
static size_t kept_index(const struct site *site, const char *path, uint32_t hash)
{
    size_t i = 0;
    while (i < site->kept_count &&
           (site->hashes[i] != hash || strcmp(site->kept[i]->path, path) != 0))
        i++;
    return i;
}

/* Keeps the file, in place of the one that was not asked for the longest if there are many. */
static void keep(struct site *site, struct held *h, uint32_t hash)
{
    if (site->kept_count == KEPT_MAX) {
        size_t oldest = 0;
        for (size_t i = 1; i < KEPT_MAX; i++)
            if (site->kept[i]->used < site->kept[oldest]->used)
                oldest = i;
        forget(site, oldest);
    }
    h->references++;
    site->hashes[site->kept_count] = hash;
    site->kept[site->kept_count++] = h;
}

/*
 * Whether the path still means the file that was opened by it. It is not walked as strictly here as
 * when it was opened: should it lead to that same file through the outside now, no harm is done.
 */
static bool is_current(const struct site *site, const struct held *h)
{
    struct strait_file_status now;
    const struct strait_file_status *then = &h->status;
    return site->env->file_status(site->env, site->root, h->path, &now) == 0 &&
           now.device == then->device && now.number == then->number &&
           now.size_bytes == then->size_bytes && now.modified_ns == then->modified_ns &&
           now.changed_ns == then->changed_ns;
}

/* ---- Reading ---- */

/*
 * What is written to a file changes its time first, so bytes are those of the file as it was if its
 * time is the same behind them. A file that grows is taken for one that is appended to, like a log:
 * what was there is still there. Its name does not matter: a file that another one has replaced is
 * still what it was.
 */
size_t site_read(struct site *site, const struct site_file *file, void *bytes, size_t length,
                 uint64_t offset)
{
    const struct held *h = (const struct held *)file;
    struct strait_env *env = site->env;
    struct strait_file_status now;
    ssize_t got = env->file_read(env, h->handle, bytes, length, offset);
    if (got <= 0 || env->file_status(env, h->handle, "", &now) != 0)
        return 0;
    bool grown = now.size_bytes > h->status.size_bytes;
    bool same = now.size_bytes == h->status.size_bytes && now.modified_ns == h->status.modified_ns;
    return grown || same ? (size_t)got : 0;
}

struct block *site_block(struct site *site, size_t capacity)
{
    return block_new(site->blocks, capacity);
}

/* ---- Opening ---- */

/* Opens a regular file and learns its status. Returns its handle, or -1 with errno. */
static int open_regular(struct site *site, const char *path, struct strait_file_status *status)
{
    struct strait_env *env = site->env;
    int handle = env->file_open_below(env, site->root, path, 0);
    if (handle < 0)
        return -1;
    int error = 0;
    if (env->file_status(env, handle, "", status) < 0)
        error = errno;
    else if (!status->regular)
        error = status->directory ? EISDIR : EACCES;
    if (error == 0)
        return handle;
    env->file_close(env, handle);
    errno = error;
    return -1;
}

/* Writes down what does not change while the file stays as it is. */
static void describe(struct site_file *f, const struct strait_file_status *status, const char *path)
{
    f->size = status->size_bytes;
    f->modified = status->modified_ns / NS_PER_S;
    f->type = http_media_type(path);
    snprintf(f->etag, sizeof(f->etag), "\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 "\"", status->number,
             status->size_bytes, (uint64_t)status->modified_ns);
    http_date_format(f->modified, f->modified_text);
}

/* Takes the content of a small file into memory if there is some, and the file stays as it is. */
static void read_content(struct site *site, struct held *h)
{
    size_t length = (size_t)h->file.size;
    if (h->file.size == 0 || h->file.size > CONTENT_BYTES_MAX)
        return;
    struct block *content = site_block(site, length);
    if (!content)
        return;
    if (site_read(site, &h->file, content->bytes, length, 0) == length)
        h->file.content = content;
    else
        block_release(content);
}

static struct held *load(struct site *site, const char *path)
{
    struct strait_file_status status;
    int handle = open_regular(site, path, &status);
    if (handle < 0)
        return NULL;
    size_t path_bytes = strlen(path) + 1;
    struct held *h = malloc(sizeof(*h) + path_bytes);
    if (!h) {
        site->env->file_close(site->env, handle);
        errno = ENOMEM;
        return NULL;
    }
    *h = (struct held){.status = status, .references = 1, .handle = handle};
    memcpy(h->path, path, path_bytes);
    describe(&h->file, &status, path);
    read_content(site, h);
    return h;
}

/* Clocks of file systems are coarse: what has just changed may change again unnoticed. */
static bool is_settled(const struct site *site, const struct held *h)
{
    return h->status.changed_ns < site->env->wall_clock(site->env) - SETTLED_NS;
}

struct site_file *site_find(struct site *site, const char *path)
{
    uint32_t hash = hash_of(path);
    size_t i = kept_index(site, path, hash);
    bool kept = i < site->kept_count;
    if (kept && !is_current(site, site->kept[i])) {
        forget(site, i);
        kept = false;
    }
    struct held *h = kept ? site->kept[i] : load(site, path);
    if (!h)
        return NULL;
    h->used = ++site->requests;
    if (kept)
        h->references++;
    else if (is_settled(site, h))
        keep(site, h, hash);
    return &h->file;
}

int site_open_directory(struct site *site, const char *path)
{
    return site->env->file_open_below(site->env, site->root, path, O_DIRECTORY);
}

struct strait_env *site_env(const struct site *site)
{
    return site->env;
}
