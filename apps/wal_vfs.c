/* SPDX-License-Identifier: MIT */
/*
 * Only logs are files of this VFS. All others are opened by the one below, and are its own: what
 * their connections share with those of other VFS, such as locks, is its business alone.
 *
 * What is gathered lies without a gap, from `at` on. Whatever else is asked of the log, but to
 * write what follows, comes after it has been written. If that fails, what was gathered is let go:
 * SQLite undoes the transaction, and whoever commits hears of it by the sync at the latest.
 */
#include "wal_vfs.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 40

struct wal_vfs {
    sqlite3_vfs base;
    sqlite3_vfs *below;
    char name[NAME_BYTES];
};

struct wal {
    sqlite3_file base;
    uint8_t *gathered; /* WAL_VFS_BYTES */
    size_t length;
    sqlite3_int64 at;
    sqlite3_int64 size; /* of the file, as far as it is known to reach */
    uint64_t below[];   /* the file of the VFS below, aligned as SQLite aligns this one */
};

/* ---- A log ----------------------------------------------------------------------------------- */

static struct wal *wal_of(sqlite3_file *file)
{
    return (struct wal *)(void *)file;
}

static sqlite3_file *below_of(struct wal *w)
{
    return (sqlite3_file *)(void *)w->below;
}

/* Fills up to where the file is to end; nothing is gathered now. No commit needs it to succeed. */
static void grow(struct wal *w)
{
    sqlite3_file *below = below_of(w);
    sqlite3_int64 end = (w->size + WAL_VFS_GROWTH - 1) / WAL_VFS_GROWTH * WAL_VFS_GROWTH;
    memset(w->gathered, 0, WAL_VFS_BYTES);
    while (w->size < end) {
        sqlite3_int64 left = end - w->size;
        int length = left < WAL_VFS_BYTES ? (int)left : WAL_VFS_BYTES;
        if (below->pMethods->xWrite(below, w->gathered, length, w->size) != SQLITE_OK)
            return;
        w->size += length;
    }
}

static int write_below(struct wal *w, const void *bytes, size_t length, sqlite3_int64 at)
{
    sqlite3_file *below = below_of(w);
    int result = below->pMethods->xWrite(below, bytes, (int)length, at);
    sqlite3_int64 end = at + (sqlite3_int64)length;
    if (result == SQLITE_OK && end > w->size) {
        w->size = end;
        grow(w);
    }
    return result;
}

static int flush(struct wal *w)
{
    size_t length = w->length;
    w->length = 0;
    return length > 0 ? write_below(w, w->gathered, length, w->at) : SQLITE_OK;
}

static int wal_write(sqlite3_file *file, const void *bytes, int length, sqlite3_int64 at)
{
    struct wal *w = wal_of(file);
    size_t added = (size_t)length;
    bool follows = at == w->at + (sqlite3_int64)w->length && added <= WAL_VFS_BYTES - w->length;
    int result = follows ? SQLITE_OK : flush(w);
    if (result != SQLITE_OK)
        return result;
    if (added > WAL_VFS_BYTES)
        return write_below(w, bytes, added, at);
    if (w->length == 0)
        w->at = at;
    memcpy(w->gathered + w->length, bytes, added);
    w->length += added;
    return SQLITE_OK;
}

static int wal_read(sqlite3_file *file, void *bytes, int length, sqlite3_int64 at)
{
    sqlite3_file *below = below_of(wal_of(file));
    int result = flush(wal_of(file));
    return result == SQLITE_OK ? below->pMethods->xRead(below, bytes, length, at) : result;
}

static int wal_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    sqlite3_file *below = below_of(wal_of(file));
    int result = flush(wal_of(file));
    if (result == SQLITE_OK)
        result = below->pMethods->xTruncate(below, size);
    if (result == SQLITE_OK)
        wal_of(file)->size = size;
    return result;
}

static int wal_sync(sqlite3_file *file, int flags)
{
    sqlite3_file *below = below_of(wal_of(file));
    int result = flush(wal_of(file));
    return result == SQLITE_OK ? below->pMethods->xSync(below, flags) : result;
}

static int wal_size(sqlite3_file *file, sqlite3_int64 *size)
{
    sqlite3_file *below = below_of(wal_of(file));
    int result = flush(wal_of(file));
    return result == SQLITE_OK ? below->pMethods->xFileSize(below, size) : result;
}

static int wal_control(sqlite3_file *file, int operation, void *argument)
{
    sqlite3_file *below = below_of(wal_of(file));
    int result = flush(wal_of(file));
    return result == SQLITE_OK ? below->pMethods->xFileControl(below, operation, argument) : result;
}

static int wal_sector_size(sqlite3_file *file)
{
    sqlite3_file *below = below_of(wal_of(file));
    return below->pMethods->xSectorSize(below);
}

static int wal_characteristics(sqlite3_file *file)
{
    sqlite3_file *below = below_of(wal_of(file));
    return below->pMethods->xDeviceCharacteristics(below);
}

/* What is gathered belongs to no commit, and goes. */
static int wal_close(sqlite3_file *file)
{
    struct wal *w = wal_of(file);
    sqlite3_file *below = below_of(w);
    free(w->gathered);
    return below->pMethods->xClose(below);
}

/* Locks are taken on the database, not on its log. */
static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = wal_close,
    .xRead = wal_read,
    .xWrite = wal_write,
    .xTruncate = wal_truncate,
    .xSync = wal_sync,
    .xFileSize = wal_size,
    .xFileControl = wal_control,
    .xSectorSize = wal_sector_size,
    .xDeviceCharacteristics = wal_characteristics,
};

/* ---- The VFS --------------------------------------------------------------------------------- */

static sqlite3_vfs *below(sqlite3_vfs *base)
{
    return ((struct wal_vfs *)(void *)base)->below;
}

/* As the VFS below, with pMethods if there is something to close, be it after a failure. */
static int open_wal(sqlite3_vfs *base, const char *path, struct wal *w, int flags, int *flags_out)
{
    *w = (struct wal){.gathered = malloc(WAL_VFS_BYTES)};
    if (!w->gathered)
        return SQLITE_NOMEM;
    int result = below(base)->xOpen(below(base), path, below_of(w), flags, flags_out);
    if (below_of(w)->pMethods)
        w->base.pMethods = &methods;
    else
        free(w->gathered);
    return result == SQLITE_OK ? wal_size(&w->base, &w->size) : result;
}

static int vfs_open(sqlite3_vfs *base, const char *path, sqlite3_file *file, int flags,
                    int *flags_out)
{
    if (flags & SQLITE_OPEN_WAL)
        return open_wal(base, path, wal_of(file), flags, flags_out);
    return below(base)->xOpen(below(base), path, file, flags, flags_out);
}

static int vfs_delete(sqlite3_vfs *base, const char *path, int sync_directory)
{
    return below(base)->xDelete(below(base), path, sync_directory);
}

static int vfs_access(sqlite3_vfs *base, const char *path, int flags, int *result)
{
    return below(base)->xAccess(below(base), path, flags, result);
}

static int vfs_full_pathname(sqlite3_vfs *base, const char *path, int bytes, char *full)
{
    return below(base)->xFullPathname(below(base), path, bytes, full);
}

static int vfs_randomness(sqlite3_vfs *base, int bytes, char *random)
{
    return below(base)->xRandomness(below(base), bytes, random);
}

static int vfs_sleep(sqlite3_vfs *base, int microseconds)
{
    return below(base)->xSleep(below(base), microseconds);
}

static int vfs_time(sqlite3_vfs *base, double *julian_days)
{
    return below(base)->xCurrentTime(below(base), julian_days);
}

static int vfs_time_ms(sqlite3_vfs *base, sqlite3_int64 *julian_ms)
{
    return below(base)->xCurrentTimeInt64(below(base), julian_ms);
}

static int vfs_last_error(sqlite3_vfs *base, int bytes, char *text)
{
    return below(base)->xGetLastError(below(base), bytes, text);
}

struct wal_vfs *wal_vfs_new(void)
{
    struct wal_vfs *v = calloc(1, sizeof(*v));
    if (!v)
        return NULL;
    v->below = sqlite3_vfs_find(NULL);
    snprintf(v->name, sizeof(v->name), "wal-%p", (void *)v);
    v->base = (sqlite3_vfs){
        .iVersion = 2,
        .szOsFile = (int)sizeof(struct wal) + v->below->szOsFile,
        .mxPathname = v->below->mxPathname,
        .zName = v->name,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_pathname,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_time,
        .xGetLastError = vfs_last_error,
        .xCurrentTimeInt64 = vfs_time_ms,
    };
    if (sqlite3_vfs_register(&v->base, 0) == SQLITE_OK)
        return v;
    free(v);
    return NULL;
}

const char *wal_vfs_name(const struct wal_vfs *v)
{
    return v->name;
}

void wal_vfs_free(struct wal_vfs *v)
{
    if (v)
        sqlite3_vfs_unregister(&v->base);
    free(v);
}
