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
 * Each file has luck of its own: between two files there is no order but that of syncs. The first
 * sync of a file makes also its name durable, and the deletions before: who makes a file syncs its
 * directory, too. What stood before a sync that failed is lost by the next crash, even if a later
 * sync succeeds: so do pages that a kernel has marked clean after an error. Reads see it until
 * then.
 *
 * Work that takes time is done at once all the same, and each operation is stamped with the time at
 * which it is complete; the stamps of one file never fall. A sync with a stamp to come stands in
 * the list as one more operation, and is carried out when the disk is told that its time has come.
 * A crash knows nothing of operations whose stamp is to come.
 */
#include "sim/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/check.h"
#include "sim/content.h"
#include "sim/hash.h"

#define PATH_BYTES_MAX     4096
#define HANDLES_MAX        1024
#define FILE_BYTES_MAX     (UINT64_C(1) << 30)
#define UNSYNCED_BYTES_MAX ((size_t)64 << 20) /* of a file; beyond, the oldest become durable */
#define ACCESS_NS          5000
#define SYNC_NS            500000
#define MILLION            1000000

enum operation_kind { CREATE, DELETE, TRUNCATE, WRITE, SYNC };

/* What has been done to a file and not been synced. */
struct operation {
    STAILQ_ENTRY(operation) link;
    enum operation_kind kind;
    bool lost;       /* by a sync that failed */
    uint64_t at_ns;  /* when it is complete */
    uint64_t offset; /* of a write; of a truncation, the size */
    size_t length;
    uint8_t bytes[];
};

struct file {
    TAILQ_ENTRY(file) link;
    char *path;
    struct content seen, durable; /* with room in both for all that was written */
    STAILQ_HEAD(, operation) unsynced;
    size_t unsynced_bytes;
    uint64_t last_ns; /* the stamp of the last operation */
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

    struct disk_speed speed;
    struct prng pace; /* apart from the luck, which does not depend on the speed */
    uint64_t now_ns;
    uint64_t busy_ns; /* when all that was begun is complete */
    uint64_t sync_ns; /* when the next sync that stands in a list is */
    bool working;     /* what is done takes time */

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

/* ---- Operations ------------------------------------------------------------------------------ */

static void apply(struct content *c, const struct operation *o)
{
    switch (o->kind) {
    case CREATE:
        c->exists = true;
        break;
    case DELETE:
        c->exists = false;
        c->size = 0;
        break;
    case TRUNCATE:
        content_resize(c, o->offset);
        break;
    case WRITE:
        content_write(c, o->offset, o->bytes, o->length);
        break;
    case SYNC:
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
    o->at_ns = 0;
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

/* When an operation on the file that begins now is complete. */
static uint64_t stamp(struct disk *d, const struct file *f, uint64_t mean_ns)
{
    if (d->working) {
        if (d->busy_ns < d->now_ns)
            d->busy_ns = d->now_ns;
        d->busy_ns += mean_ns / 2 + prng_below(&d->pace, mean_ns + 1);
        return d->busy_ns;
    }
    return f->last_ns > d->now_ns ? f->last_ns : d->now_ns;
}

/* Does the operation to what is seen, and remembers it. */
static void perform(struct disk *d, struct file *f, struct operation *o)
{
    uint64_t size = f->seen.size;
    o->at_ns = stamp(d, f, o->kind == SYNC ? d->speed.sync_ns : d->speed.access_ns);
    f->last_ns = o->at_ns;
    apply(&f->seen, o);
    d->used_bytes += f->seen.size - size;
    STAILQ_INSERT_TAIL(&f->unsynced, o, link);
    f->unsynced_bytes += o->length;
    while (f->unsynced_bytes > UNSYNCED_BYTES_MAX && STAILQ_FIRST(&f->unsynced)->at_ns <= d->now_ns)
        write_back_first(f);
}

/* The last sync of the file that is complete, or NULL. */
static const struct operation *last_sync(const struct disk *d, const struct file *f)
{
    const struct operation *o, *sync = NULL;
    STAILQ_FOREACH(o, &f->unsynced, link)
    {
        if (o->kind == SYNC && o->at_ns <= d->now_ns)
            sync = o;
    }
    return sync;
}

/* Makes durable what stands before and in the syncs that are complete. */
static void settle(struct disk *d, struct file *f)
{
    const struct operation *o, *sync = last_sync(d, f);
    while (sync) {
        if (STAILQ_FIRST(&f->unsynced) == sync)
            sync = NULL;
        write_back_first(f);
    }
    STAILQ_FOREACH(o, &f->unsynced, link)
    {
        if (o->kind == SYNC && o->at_ns < d->sync_ns)
            d->sync_ns = o->at_ns;
    }
}

/* ---- Files ----------------------------------------------------------------------------------- */

/* Also one that is deleted, and may come back. */
static struct file *file_find_any(const struct disk *d, const char *path)
{
    struct file *f;
    TAILQ_FOREACH(f, &d->files, link)
    {
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
    TAILQ_FOREACH(f, &d->files, link)
    {
        if (f->seen.exists && strncmp(f->path, path, length) == 0 && f->path[length] == '/')
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

/* A file whose name is not there yet; NULL when memory is short. */
static struct file *file_new(struct disk *d, const char *path)
{
    struct file *f = calloc(1, sizeof(*f));
    char *copy = strdup(path);
    if (!f || !copy) {
        free(f);
        free(copy);
        return NULL;
    }
    f->path = copy;
    STAILQ_INIT(&f->unsynced);
    TAILQ_INSERT_TAIL(&d->files, f, link);
    return f;
}

/* Performs an operation without bytes. Returns 0, or -1 with ENOMEM. */
static int file_change(struct disk *d, struct file *f, enum operation_kind kind, uint64_t offset)
{
    struct operation *o = operation_new(kind, offset, NULL, 0);
    if (!o)
        return failed(ENOMEM);
    perform(d, f, o);
    return 0;
}

static struct file *file_create(struct disk *d, const char *path)
{
    struct file *f = file_find_any(d, path);
    if (!f)
        f = file_new(d, path);
    if (!f || file_change(d, f, CREATE, 0)) {
        errno = ENOMEM;
        return NULL;
    }
    return f;
}

/* Makes all that was done to the file durable, in its time. Returns 0, or -1 with ENOMEM. */
static int make_durable(struct disk *d, struct file *f)
{
    if (file_change(d, f, SYNC, 0))
        return -1;
    if (d->working && f->last_ns < d->sync_ns)
        d->sync_ns = f->last_ns;
    while (!d->working && !STAILQ_EMPTY(&f->unsynced))
        write_back_first(f);
    return 0;
}

/* As a sync of the directory: what was deleted stays so. Returns 0, or -1 with ENOMEM. */
static int sync_deletions(struct disk *d)
{
    struct file *f;
    TAILQ_FOREACH(f, &d->files, link)
    {
        if (!f->seen.exists && !STAILQ_EMPTY(&f->unsynced) && make_durable(d, f))
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
    return make_durable(d, f);
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
    if (!f || ((flags & O_TRUNC) && f->seen.size > 0 && file_change(d, f, TRUNCATE, 0))) {
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
    if (file_change(d, f, DELETE, 0))
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
    struct operation *o = operation_new(WRITE, offset, bytes, length);
    if (!o)
        return failed(ENOMEM);
    perform(d, h->file, o);
    return (ssize_t)length;
}

int disk_truncate(struct disk *d, int file, uint64_t size)
{
    const struct handle *h = handle_find(d, file);
    if (!h || !h->writable)
        return failed(EBADF);
    if (size > FILE_BYTES_MAX)
        return failed(EFBIG);
    return make_room(d, h->file, size) ? -1 : file_change(d, h->file, TRUNCATE, size);
}

int64_t disk_size(struct disk *d, int file)
{
    const struct file *f = file_of(d, file);
    return f ? (int64_t)f->seen.size : -1;
}

/* What no sync has in hand is lost; but not the name, which is its directory's. */
static void lose_unsynced(struct file *f)
{
    struct operation *o, *from = STAILQ_FIRST(&f->unsynced);
    STAILQ_FOREACH(o, &f->unsynced, link)
    {
        if (o->kind == SYNC)
            from = o;
    }
    for (o = from; o; o = STAILQ_NEXT(o, link))
        o->lost |= o->kind == WRITE || o->kind == TRUNCATE;
}

int disk_sync(struct disk *d, int file)
{
    struct file *f = file_of(d, file);
    if (!f)
        return -1;
    if (strikes(d, d->faults.sync_error)) {
        lose_unsynced(f);
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
    TAILQ_FOREACH(f, &d->files, link)
    {
        settle(d, f);
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
    TAILQ_FOREACH(f, &d->files, link)
    {
        STAILQ_FOREACH(o, &f->unsynced, link)
        {
            if (o->at_ns > d->now_ns && o->at_ns < next_ns)
                next_ns = o->at_ns;
        }
    }
    return next_ns;
}

/* ---- Crash ----------------------------------------------------------------------------------- */

/* Of the operations the first few live, and perhaps a part of the next one. */
static void keep_prefix(struct disk *d, struct file *f)
{
    const struct operation *o;
    uint64_t count = 0;
    STAILQ_FOREACH(o, &f->unsynced, link)
    {
        count += !o->lost && o->at_ns <= d->now_ns;
    }
    uint64_t kept = prng_below(&d->prng, count + 1);
    STAILQ_FOREACH(o, &f->unsynced, link)
    {
        if (o->at_ns > d->now_ns)
            return;
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
        if (o->at_ns > d->now_ns)
            return;
        if (o->lost)
            continue;
        bool lives = coin(d);
        if (o->kind == DELETE && !lives)
            return; /* and what was created in its place has no name */
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
    disk_advance(d, d->now_ns);
    d->handle_count = 0;
    d->used_bytes = 0;
    d->busy_ns = 0;
    d->working = false;
    d->sync_ns = UINT64_MAX;
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
        f->last_ns = 0;
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
        sum += f->seen.exists ? file_hash(f) : 0;
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
        file_free(f);
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
