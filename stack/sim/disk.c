/* SPDX-License-Identifier: MIT */
/*
 * Names, handles and calls; what becomes of a file in a crash is the matter of disk_file.c.
 *
 * Each file has luck of its own: between two files there is no order but that of syncs. The first
 * sync of a file makes also its name durable, and the deletions before: who makes a file syncs its
 * directory, too.
 */
#include "sim/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/check.h"
#include "sim/content.h"
#include "sim/disk_file.h"
#include "sim/hash.h"

#define PATH_BYTES_MAX 4096
#define FILE_BYTES_MAX (UINT64_C(1) << 30)
#define ACCESS_NS      5000
#define SYNC_NS        500000
#define MILLION        1000000

static int failed(int error)
{
    errno = error;
    return -1;
}

/* Whether an error strikes that does so `ppm` times in a million. */
static bool strikes(struct disk *d, uint32_t ppm)
{
    return ppm > 0 && prng_below(&d->prng, MILLION) < ppm;
}

/* ---- Files ----------------------------------------------------------------------------------- */

/* Also one that is deleted, and may come back. */
static struct file *file_find_any(const struct disk *d, const char *path)
{
    struct file *f;
    TAILQ_FOREACH(f, &d->files, link) {
        if (strcmp(f->path, path) == 0)
            return f;
    }
    return NULL;
}

static struct file *file_find(const struct disk *d, const char *path)
{
    struct file *f = file_find_any(d, path);
    return f && f->seen.exists ? f : NULL;
}

/* Directories are not made: there is one where a file lies below it. */
static bool is_directory(const struct disk *d, const char *path)
{
    const struct file *f;
    size_t length = strlen(path);
    if (strcmp(path, "/") == 0 || strcmp(path, ".") == 0)
        return true;
    if (length > 0 && path[length - 1] == '/')
        length--;
    TAILQ_FOREACH(f, &d->files, link) {
        if (f->seen.exists && strncmp(f->path, path, length) == 0 && f->path[length] == '/')
            return true;
    }
    return false;
}

static struct file *file_create(struct disk *d, const char *path)
{
    struct file *f = file_find_any(d, path);
    if (!f)
        f = disk_file_new(d, path);
    if (!f || disk_file_change(d, f, CREATE, 0)) {
        errno = ENOMEM;
        return NULL;
    }
    return f;
}

/* As a sync of the directory: what was deleted stays so. Returns 0, or -1 with ENOMEM. */
static int sync_deletions(struct disk *d)
{
    struct file *f;
    TAILQ_FOREACH(f, &d->files, link) {
        if (!f->seen.exists && !STAILQ_EMPTY(&f->unsynced) && disk_file_make_durable(d, f))
            return -1;
    }
    return 0;
}

/* With its first sync the name of a file becomes durable, so that of its directory is one too. */
static int file_sync(struct disk *d, struct file *f)
{
    if (d->faults.sync_lies)
        return 0;
    if (!f->durable.exists && sync_deletions(d))
        return -1;
    return disk_file_make_durable(d, f);
}

/* ---- Handles --------------------------------------------------------------------------------- */

static int handle_new(struct disk *d, struct file *f, bool writable)
{
    if (d->handle_count == DISK_HANDLES_MAX)
        return failed(EMFILE);
    d->handles[d->handle_count++] = (struct handle){++d->last_number, f, writable};
    return d->last_number;
}

static struct handle *handle_find(struct disk *d, int number)
{
    for (size_t i = 0; i < d->handle_count; i++)
        if (d->handles[i].number == number)
            return &d->handles[i];
    errno = EBADF;
    return NULL;
}

static int open_directory(struct disk *d, int flags)
{
    if (flags & (O_RDWR | O_CREAT | O_TRUNC))
        return failed(EISDIR);
    return handle_new(d, NULL, false);
}

int disk_open(struct disk *d, const char *path, int flags)
{
    bool writable = (flags & O_ACCMODE) == O_RDWR;
    if (flags & ~(O_RDONLY | O_RDWR | O_CREAT | O_EXCL | O_TRUNC | O_DIRECTORY))
        return failed(EINVAL);
    if ((flags & O_TRUNC) && !writable)
        return failed(EINVAL);
    if (strlen(path) >= PATH_BYTES_MAX)
        return failed(ENAMETOOLONG);
    if (is_directory(d, path))
        return open_directory(d, flags);

    struct file *f = file_find(d, path);
    if (f && (flags & O_DIRECTORY))
        return failed(ENOTDIR);
    if (f && (flags & O_CREAT) && (flags & O_EXCL))
        return failed(EEXIST);
    if (!f && (!(flags & O_CREAT) || (flags & O_DIRECTORY) || *path == '\0'))
        return failed(ENOENT);
    int handle = handle_new(d, f, writable);
    if (handle < 0)
        return -1;
    if (!f)
        f = d->handles[d->handle_count - 1].file = file_create(d, path);
    if (!f || ((flags & O_TRUNC) && f->seen.size > 0 && disk_file_change(d, f, TRUNCATE, 0))) {
        d->handle_count--;
        return -1;
    }
    return handle;
}

int disk_close(struct disk *d, int file)
{
    struct handle *h = handle_find(d, file);
    if (!h)
        return -1;
    *h = d->handles[--d->handle_count];
    return 0;
}

int disk_delete(struct disk *d, const char *path, bool synced)
{
    struct file *f = file_find(d, path);
    if (!f)
        return failed(ENOENT);
    for (size_t i = 0; i < d->handle_count; i++)
        if (d->handles[i].file == f)
            return failed(EBUSY);
    if (strikes(d, d->faults.write_error))
        return failed(EIO);
    if (disk_file_change(d, f, DELETE, 0))
        return -1;
    return synced ? file_sync(d, f) : 0;
}

/* The file of a handle; NULL with EBADF, or EISDIR for a directory. */
static struct file *file_of(struct disk *d, int number)
{
    struct handle *h = handle_find(d, number);
    if (h && !h->file)
        errno = EISDIR;
    return h ? h->file : NULL;
}

ssize_t disk_read(struct disk *d, int file, void *bytes, size_t length, uint64_t offset)
{
    struct file *f = file_of(d, file);
    if (!f)
        return -1;
    if (strikes(d, d->faults.read_error))
        return failed(EIO);
    if (offset >= f->seen.size)
        return 0;
    if (length > f->seen.size - offset)
        length = (size_t)(f->seen.size - offset);
    memcpy(bytes, f->seen.bytes + offset, length);
    return (ssize_t)length;
}

/* A change may make the file so long. Returns 0, or -1 with EIO, ENOSPC or ENOMEM. */
static int make_room(struct disk *d, struct file *f, uint64_t size)
{
    uint64_t capacity = d->faults.capacity_bytes;
    uint64_t more = size > f->seen.size ? size - f->seen.size : 0;
    if (strikes(d, d->faults.write_error))
        return failed(EIO);
    if (capacity > 0 && more > 0 && d->used_bytes + more > capacity)
        return failed(ENOSPC);
    if (!content_reserve(&f->seen, size) || !content_reserve(&f->durable, size))
        return failed(ENOMEM);
    return 0;
}

ssize_t disk_write(struct disk *d, int file, const void *bytes, size_t length, uint64_t offset)
{
    const struct handle *h = handle_find(d, file);
    if (!h || !h->writable)
        return failed(EBADF);
    if (offset > FILE_BYTES_MAX || length > FILE_BYTES_MAX - offset)
        return failed(EFBIG);
    if (length == 0)
        return 0;
    if (make_room(d, h->file, offset + length))
        return -1;
    return disk_file_write(d, h->file, bytes, length, offset) ? -1 : (ssize_t)length;
}

int disk_truncate(struct disk *d, int file, uint64_t size)
{
    const struct handle *h = handle_find(d, file);
    if (!h || !h->writable)
        return failed(EBADF);
    if (size > FILE_BYTES_MAX)
        return failed(EFBIG);
    return make_room(d, h->file, size) ? -1 : disk_file_change(d, h->file, TRUNCATE, size);
}

int64_t disk_size(struct disk *d, int file)
{
    const struct file *f = file_of(d, file);
    return f ? (int64_t)f->seen.size : -1;
}

int disk_sync(struct disk *d, int file)
{
    struct file *f = file_of(d, file);
    if (!f)
        return -1;
    if (strikes(d, d->faults.sync_error)) {
        disk_file_lose_unsynced(f);
        return failed(EIO);
    }
    return file_sync(d, f);
}

/* ---- Time ------------------------------------------------------------------------------------ */

void disk_advance(struct disk *d, uint64_t now_ns)
{
    struct file *f;
    CHECK(now_ns >= d->now_ns);
    d->now_ns = now_ns;
    if (now_ns < d->sync_ns)
        return;
    d->sync_ns = UINT64_MAX;
    TAILQ_FOREACH(f, &d->files, link) {
        disk_file_settle(d, f);
    }
}

void disk_begin(struct disk *d)
{
    d->working = true;
}

uint64_t disk_end(struct disk *d)
{
    d->working = false;
    return d->busy_ns > d->now_ns ? d->busy_ns : d->now_ns;
}

uint64_t disk_next(const struct disk *d)
{
    const struct file *f;
    const struct operation *o;
    uint64_t next_ns = UINT64_MAX;
    TAILQ_FOREACH(f, &d->files, link) {
        STAILQ_FOREACH(o, &f->unsynced, link) {
            if (o->at_ns > d->now_ns && o->at_ns < next_ns)
                next_ns = o->at_ns;
        }
    }
    return next_ns;
}

/* ---- Crash ----------------------------------------------------------------------------------- */

void disk_crash(struct disk *d)
{
    disk_advance(d, d->now_ns);
    d->handle_count = 0;
    d->used_bytes = 0;
    d->busy_ns = 0;
    d->working = false;
    d->sync_ns = UINT64_MAX;
    for (struct file *f = TAILQ_FIRST(&d->files), *next; f; f = next) {
        next = TAILQ_NEXT(f, link);
        disk_file_crash(d, f);
        if (!f->durable.exists) {
            TAILQ_REMOVE(&d->files, f, link);
            disk_file_free(f);
            continue;
        }
        d->used_bytes += f->seen.size;
    }
}

/* ---- The disk -------------------------------------------------------------------------------- */

uint64_t disk_hash(const struct disk *d)
{
    const struct file *f;
    uint64_t sum = 0; /* which does not depend on the order of the files */
    TAILQ_FOREACH(f, &d->files, link) {
        sum += f->seen.exists ? disk_file_hash(f) : 0;
    }
    return sum;
}

struct disk *disk_new(uint64_t seed)
{
    struct disk *d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    prng_seed(&d->prng, seed);
    prng_seed(&d->pace, hash_word(seed, 1));
    d->speed = (struct disk_speed){ACCESS_NS, SYNC_NS};
    d->sync_ns = UINT64_MAX;
    TAILQ_INIT(&d->files);
    return d;
}

void disk_free(struct disk *d)
{
    if (!d)
        return;
    while (!TAILQ_EMPTY(&d->files)) {
        struct file *f = TAILQ_FIRST(&d->files);
        TAILQ_REMOVE(&d->files, f, link);
        disk_file_free(f);
    }
    free(d);
}

void disk_set_faults(struct disk *d, const struct disk_faults *faults)
{
    d->faults = *faults;
}

void disk_set_speed(struct disk *d, const struct disk_speed *speed)
{
    d->speed = *speed;
}
