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
 * What stood before a sync that failed is lost by the next crash, even if a later sync succeeds: so
 * do pages that a kernel has marked clean after an error. Reads see it until then.
 *
 * Work that takes time is done at once all the same, and each operation is stamped with the time at
 * which it is complete; the stamps of one file never fall. A sync with a stamp to come stands in
 * the list as one more operation, and is carried out when the disk is told that its time has come.
 * A crash knows nothing of operations whose stamp is to come.
 */
#include "sim/disk_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/hash.h"

#define UNSYNCED_BYTES_MAX ((size_t)64 << 20) /* of a file; beyond, the oldest become durable */

static bool coin(struct disk *d)
{
    return prng_next(&d->prng) >> 63;
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
    STAILQ_FOREACH(o, &f->unsynced, link) {
        if (o->kind == SYNC && o->at_ns <= d->now_ns)
            sync = o;
    }
    return sync;
}

void disk_file_settle(struct disk *d, struct file *f)
{
    const struct operation *o, *sync = last_sync(d, f);
    while (sync) {
        if (STAILQ_FIRST(&f->unsynced) == sync)
            sync = NULL;
        write_back_first(f);
    }
    STAILQ_FOREACH(o, &f->unsynced, link) {
        if (o->kind == SYNC && o->at_ns < d->sync_ns)
            d->sync_ns = o->at_ns;
    }
}

/* ---- A file ---------------------------------------------------------------------------------- */

struct file *disk_file_new(struct disk *d, const char *path)
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

void disk_file_free(struct file *f)
{
    drop_all(f);
    free(f->seen.bytes);
    free(f->durable.bytes);
    free(f->path);
    free(f);
}

static int perform_new(struct disk *d, struct file *f, enum operation_kind kind, uint64_t offset,
                       const void *bytes, size_t length)
{
    struct operation *o = operation_new(kind, offset, bytes, length);
    if (!o) {
        errno = ENOMEM;
        return -1;
    }
    perform(d, f, o);
    return 0;
}

int disk_file_change(struct disk *d, struct file *f, enum operation_kind kind, uint64_t offset)
{
    return perform_new(d, f, kind, offset, NULL, 0);
}

int disk_file_write(struct disk *d, struct file *f, const void *bytes, size_t length,
                    uint64_t offset)
{
    return perform_new(d, f, WRITE, offset, bytes, length);
}

int disk_file_make_durable(struct disk *d, struct file *f)
{
    if (disk_file_change(d, f, SYNC, 0))
        return -1;
    if (d->working && f->last_ns < d->sync_ns)
        d->sync_ns = f->last_ns;
    while (!d->working && !STAILQ_EMPTY(&f->unsynced))
        write_back_first(f);
    return 0;
}

void disk_file_lose_unsynced(struct file *f)
{
    struct operation *o, *from = STAILQ_FIRST(&f->unsynced);
    STAILQ_FOREACH(o, &f->unsynced, link) {
        if (o->kind == SYNC)
            from = o;
    }
    for (o = from; o; o = STAILQ_NEXT(o, link))
        o->lost |= o->kind == WRITE || o->kind == TRUNCATE;
}

/* ---- Crash ----------------------------------------------------------------------------------- */

/* Of the operations the first few live, and perhaps a part of the next one. */
static void keep_prefix(struct disk *d, struct file *f)
{
    const struct operation *o;
    uint64_t count = 0;
    STAILQ_FOREACH(o, &f->unsynced, link) {
        count += !o->lost && o->at_ns <= d->now_ns;
    }
    uint64_t kept = prng_below(&d->prng, count + 1);
    STAILQ_FOREACH(o, &f->unsynced, link) {
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
    STAILQ_FOREACH(o, &f->unsynced, link) {
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

void disk_file_crash(struct disk *d, struct file *f)
{
    if (d->faults.reordered)
        keep_any(d, f);
    else
        keep_prefix(d, f);
    drop_all(f);
    f->last_ns = 0;
    content_copy(&f->seen, &f->durable);
}

uint64_t disk_file_hash(const struct file *f)
{
    struct content c = {0};
    const struct operation *o;
    CHECK(content_reserve(&c, f->seen.capacity));
    content_copy(&c, &f->durable);
    STAILQ_FOREACH(o, &f->unsynced, link) {
        if (!o->lost)
            apply(&c, o);
    }
    uint64_t hash = hash_bytes(hash_bytes(0, f->path, strlen(f->path)), c.bytes, c.size);
    free(c.bytes);
    return hash;
}
