/* SPDX-License-Identifier: MIT */
/*
 * The file is where SQLite has written it: on the disk, and in a world on the simulated one. So it
 * is read through SQLite's file system.
 */
#include "kv/download.h"

#include <sqlite3.h>
#include <stdlib.h>

struct download {
    struct http_source source;
    const char *path;   /* of sqlite3_create_filename */
    sqlite3_file *file; /* of which the methods are NULL unless it is open */
    uint64_t length;
    void (*released)(void *context);
    void *context;
};

void kv_download_remove(const char *path)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    vfs->xDelete(vfs, path, 0);
}

static size_t read_part(struct http_source *source, void *bytes, size_t length, uint64_t offset)
{
    struct download *d = (struct download *)(void *)source;
    if (d->file->pMethods->xRead(d->file, bytes, (int)length, (sqlite3_int64)offset) != SQLITE_OK)
        return 0;
    return length;
}

static void free_download(struct download *d)
{
    if (d->file && d->file->pMethods)
        d->file->pMethods->xClose(d->file);
    sqlite3_free_filename(d->path);
    free(d->file);
    free(d);
}

static void release(struct http_source *source)
{
    struct download *d = (struct download *)(void *)source;
    void (*released)(void *context) = d->released;
    void *context = d->context;
    kv_download_remove(d->path);
    free_download(d);
    released(context);
}

static bool open_file(struct download *d)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    sqlite3_int64 length;
    int flags;
    d->file = calloc(1, (size_t)vfs->szOsFile);
    if (!d->file || !d->path ||
        vfs->xOpen(vfs, d->path, d->file, SQLITE_OPEN_READONLY | SQLITE_OPEN_MAIN_DB, &flags) !=
            SQLITE_OK ||
        d->file->pMethods->xFileSize(d->file, &length) != SQLITE_OK)
        return false;
    d->length = (uint64_t)length;
    return true;
}

struct http_source *kv_download_open(const char *path, uint64_t *length,
                                     void (*released)(void *context), void *context)
{
    struct download *d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    d->source = (struct http_source){.read = read_part, .release = release};
    d->released = released;
    d->context = context;
    d->path = sqlite3_create_filename(path, "", "", 0, NULL);
    if (!open_file(d)) {
        free_download(d);
        return NULL;
    }
    *length = d->length;
    return &d->source;
}
