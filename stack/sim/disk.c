/* SPDX-License-Identifier: MIT */
/*
 * A file has two contents: what reads see, and what is durable. Between them stands a list of the
 * operations that came after the last sync, oldest first. A sync carries them out on the durable
 * content; a crash carries out some of them, by the luck of the prng, and the file starts anew from
 * there:
 *
 *     by default    the first few, whole and in order
 *     torn          and of the next one, if it is a write, any of its sectors
 *     reordered     any of them, in order; one that is missing may have made the file longer all
 *                   the same, with zeros
 *     both          any of them, and of each write any of its sectors
 *
 * Each file has luck of its own: between two files there is no order but that of syncs. What stood
 * before a sync that failed is lost by the next crash, even if a later sync succeeds: so do pages
 * that a kernel has marked clean after an error. Reads see it until then.
 */
#include "sim/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/check.h"
#include "sim/hash.h"

#define PATH_BYTES_MAX     4096
#define HANDLES_MAX        1024
#define FILE_BYTES_MAX     (UINT64_C(1) << 30)
#define UNSYNCED_BYTES_MAX ((size_t)64 << 20) /* of a file; beyond, the oldest become durable */
#define CAPACITY_AT_FIRST  ((uint64_t)4096)
#define MILLION            1000000

/* The bytes of a file, and whether its name is there. */
struct content {
    uint8_t *bytes;
    uint64_t size, capacity;
    bool exists;
};

enum operation_kind { CREATE, TRUNCATE, WRITE };

/* What has been done to a file and not been synced. */
struct operation {
    STAILQ_ENTRY(operation) link;
    enum operation_kind kind;
    bool lost; /* by a sync that failed */
    uint64_t offset;
    size_t length;
    uint8_t bytes[];
};

struct file {
    TAILQ_ENTRY(file) link;
    char *path;
    struct content seen, durable; /* with room in both for all that was written */
    STAILQ_HEAD(, operation) unsynced;
    size_t unsynced_bytes;
};

struct handle {
    int number;
    struct file *file; /* NULL: a directory */
    bool writable;
};

struct disk {
    struct prng prng;
    struct disk_faults faults;
    TAILQ_HEAD(, file) files; /* in the order in which they were created */
    uint64_t used_bytes;      /* the sizes of all files together */
    struct handle handles[HANDLES_MAX];
    size_t handle_count;
    int last_number;
};

static int failed(int error)
{
    errno = error;
    return -1;
}

static bool coin(struct disk *d)
{
    return prng_next(&d->prng) >> 63;
}

/* Whether an error strikes that does so `ppm` times in a million. */
static bool strikes(struct disk *d, uint32_t ppm)
{
    return ppm > 0 && prng_below(&d->prng, MILLION) < ppm;
}

/* ---- Contents -------------------------------------------------------------------------------- */

/* Makes room for `size` bytes; false when memory is short. */
static bool content_reserve(struct content *c, uint64_t size)
{
    if (size <= c->capacity)
        return true;
    uint64_t capacity = c->capacity ? 2 * c->capacity : CAPACITY_AT_FIRST;
    if (capacity < size)
        capacity = size;
    uint8_t *bytes = realloc(c->bytes, capacity);
    if (!bytes)
        return false;
    c->bytes = bytes;
    c->capacity = capacity;
    return true;
}

/* Lets the content, which has the room, be at least so long; what is new is zero. */
static void content_grow(struct content *c, uint64_t size)
{
    if (size <= c->size)
        return;
    CHECK(size <= c->capacity);
    memset(c->bytes + c->size, 0, size - c->size);
    c->size = size;
}

static void content_write(struct content *c, uint64_t offset, const void *bytes, size_t length)
{
    content_grow(c, offset + length);
    CHECK(c->bytes);
    memcpy(c->bytes + offset, bytes, length);
}

static void content_copy(struct content *to, const struct content *from)
{
    CHECK(content_reserve(to, from->size));
    if (from->size > 0)
        memcpy(to->bytes, from->bytes, from->size);
    to->size = from->size;
    to->exists = from->exists;
}

/* ---- Operations ------------------------------------------------------------------------------ */

static void apply(struct content *c, const struct operation *o)
{
    switch (o->kind) {
    case CREATE:
        c->exists = true;
        break;
    case TRUNCATE:
        c->size = 0;
        break;
    case WRITE:
        content_write(c, o->offset, o->bytes, o->length);
        break;
    }
}

/* Carries out of a write those sectors that luck lets live. */
static void apply_torn(struct disk *d, struct content *c, const struct operation *o)
{
    size_t length;
    for (size_t at = 0; at < o->length; at += length) {
        length = DISK_SECTOR_BYTES - (o->offset + at) % DISK_SECTOR_BYTES;
        if (length > o->length - at)
            length = o->length - at;
        if (coin(d))
            content_write(c, o->offset + at, o->bytes + at, length);
    }
}

static struct operation *operation_new(enum operation_kind kind, uint64_t offset, const void *bytes,
                                       size_t length)
{
    struct operation *o = malloc(sizeof(*o) + length);
    if (!o)
        return NULL;
    o->kind = kind;
    o->lost = false;
    o->offset = offset;
    o->length = length;
    if (length > 0)
        memcpy(o->bytes, bytes, length);
    return o;
}

static void drop_first(struct file *f)
{
    struct operation *o = STAILQ_FIRST(&f->unsynced);
    STAILQ_REMOVE_HEAD(&f->unsynced, link);
    f->unsynced_bytes -= o->length;
    free(o);
}

static void drop_all(struct file *f)
{
    while (!STAILQ_EMPTY(&f->unsynced))
        drop_first(f);
}

/* Makes the oldest operation durable, unless it is lost already. */
static void write_back_first(struct file *f)
{
    const struct operation *o = STAILQ_FIRST(&f->unsynced);
    if (!o->lost)
        apply(&f->durable, o);
    drop_first(f);
}

/* Does the operation to what is seen, and remembers it. */
static void perform(struct disk *d, struct file *f, struct operation *o)
{
    uint64_t size = f->seen.size;
    apply(&f->seen, o);
    d->used_bytes += f->seen.size - size;
    STAILQ_INSERT_TAIL(&f->unsynced, o, link);
    f->unsynced_bytes += o->length;
    while (f->unsynced_bytes > UNSYNCED_BYTES_MAX)
        write_back_first(f);
}

/* ---- Files ----------------------------------------------------------------------------------- */

static struct file *file_find(const struct disk *d, const char *path)
{
    struct file *f;
    TAILQ_FOREACH(f, &d->files, link)
    {
        if (strcmp(f->path, path) == 0)
            return f;
    }
    return NULL;
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
    TAILQ_FOREACH(f, &d->files, link)
    {
        if (strncmp(f->path, path, length) == 0 && f->path[length] == '/')
            return true;
    }
    return false;
}

static void file_free(struct file *f)
{
    drop_all(f);
    free(f->seen.bytes);
    free(f->durable.bytes);
    free(f->path);
    free(f);
}

static struct file *file_create(struct disk *d, const char *path)
{
    struct file *f = calloc(1, sizeof(*f));
    struct operation *o = operation_new(CREATE, 0, NULL, 0);
    char *copy = strdup(path);
    if (!f || !o || !copy) {
        free(f);
        free(o);
        free(copy);
        errno = ENOMEM;
        return NULL;
    }
    f->path = copy;
    STAILQ_INIT(&f->unsynced);
    TAILQ_INSERT_TAIL(&d->files, f, link);
    perform(d, f, o);
    return f;
}

static int file_truncate(struct disk *d, struct file *f)
{
    struct operation *o = operation_new(TRUNCATE, 0, NULL, 0);
    if (!o)
        return failed(ENOMEM);
    perform(d, f, o);
    return 0;
}

/* ---- Handles --------------------------------------------------------------------------------- */

static int handle_new(struct disk *d, struct file *f, bool writable)
{
    if (d->handle_count == HANDLES_MAX)
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
    if (!f || ((flags & O_TRUNC) && f->seen.size > 0 && file_truncate(d, f))) {
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

ssize_t disk_write(struct disk *d, int file, const void *bytes, size_t length, uint64_t offset)
{
    const struct handle *h = handle_find(d, file);
    if (!h || !h->writable)
        return failed(EBADF);
    struct file *f = h->file;
    if (offset > FILE_BYTES_MAX || length > FILE_BYTES_MAX - offset)
        return failed(EFBIG);
    if (length == 0)
        return 0;
    if (strikes(d, d->faults.write_error))
        return failed(EIO);
    uint64_t end = offset + length;
    uint64_t more = end > f->seen.size ? end - f->seen.size : 0;
    if (d->faults.capacity_bytes > 0 && more > 0 && d->used_bytes + more > d->faults.capacity_bytes)
        return failed(ENOSPC);

    struct operation *o = operation_new(WRITE, offset, bytes, length);
    if (!o || !content_reserve(&f->seen, end) || !content_reserve(&f->durable, end)) {
        free(o);
        return failed(ENOMEM);
    }
    perform(d, f, o);
    return (ssize_t)length;
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
        struct operation *o;
        STAILQ_FOREACH(o, &f->unsynced, link)
        {
            o->lost = true;
        }
        return failed(EIO);
    }
    while (!STAILQ_EMPTY(&f->unsynced))
        write_back_first(f);
    f->durable.exists = true;
    return 0;
}

/* ---- Crash ----------------------------------------------------------------------------------- */

/* Of the operations the first few live, and perhaps a part of the next one. */
static void keep_prefix(struct disk *d, struct file *f)
{
    const struct operation *o;
    uint64_t count = 0;
    STAILQ_FOREACH(o, &f->unsynced, link)
    {
        count += !o->lost;
    }
    uint64_t kept = prng_below(&d->prng, count + 1);
    STAILQ_FOREACH(o, &f->unsynced, link)
    {
        if (o->lost)
            continue;
        if (kept == 0) {
            if (d->faults.torn && o->kind == WRITE)
                apply_torn(d, &f->durable, o);
            return;
        }
        apply(&f->durable, o);
        kept--;
    }
}

/* Any of the operations live. */
static void keep_any(struct disk *d, struct file *f)
{
    const struct operation *o;
    STAILQ_FOREACH(o, &f->unsynced, link)
    {
        if (o->lost)
            continue;
        bool lives = coin(d);
        if (lives && d->faults.torn && o->kind == WRITE)
            apply_torn(d, &f->durable, o);
        else if (lives)
            apply(&f->durable, o);
        else if (o->kind == WRITE && coin(d))
            content_grow(&f->durable, o->offset + o->length);
    }
}

void disk_crash(struct disk *d)
{
    d->handle_count = 0;
    d->used_bytes = 0;
    for (struct file *f = TAILQ_FIRST(&d->files), *next; f; f = next) {
        next = TAILQ_NEXT(f, link);
        if (d->faults.reordered)
            keep_any(d, f);
        else
            keep_prefix(d, f);
        if (!f->durable.exists) {
            TAILQ_REMOVE(&d->files, f, link);
            file_free(f);
            continue;
        }
        drop_all(f);
        content_copy(&f->seen, &f->durable);
        d->used_bytes += f->seen.size;
    }
}

/* ---- The disk -------------------------------------------------------------------------------- */

/* A hash of the file as it would be if it were synced now and the power were cut. */
static uint64_t file_hash(const struct file *f)
{
    struct content c = {0};
    const struct operation *o;
    CHECK(content_reserve(&c, f->seen.capacity));
    content_copy(&c, &f->durable);
    STAILQ_FOREACH(o, &f->unsynced, link)
    {
        if (!o->lost)
            apply(&c, o);
    }
    uint64_t hash = hash_bytes(hash_bytes(0, f->path, strlen(f->path)), c.bytes, c.size);
    free(c.bytes);
    return hash;
}

uint64_t disk_hash(const struct disk *d)
{
    const struct file *f;
    uint64_t sum = 0; /* which does not depend on the order of the files */
    TAILQ_FOREACH(f, &d->files, link)
    {
        sum += file_hash(f);
    }
    return sum;
}

struct disk *disk_new(uint64_t seed)
{
    struct disk *d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    prng_seed(&d->prng, seed);
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
        file_free(f);
    }
    free(d);
}

void disk_set_faults(struct disk *d, const struct disk_faults *faults)
{
    d->faults = *faults;
}
