/* SPDX-License-Identifier: MIT */
/*
 * Three things make SQLite's files: bytes, which are on the disk of a host and go through its
 * environment, so that the world's hash and log know of them; locks; and the shared memory in which
 * the connections to one database index its write-ahead log. Locks and shared memory belong to a
 * `database`, of which there is one for each path that a life of a host has opened.
 *
 * One thread runs all, so nobody can wait for a lock: who does not get it is told SQLITE_BUSY, and
 * a sleep is over at once.
 */
#include "sim/vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/check.h"
#include "base/list.h"
#include "base/prng.h"
#include "sim/host.h"

#define PATH_BYTES_MAX    512
#define SHM_REGIONS_MAX   1024
#define MS_NS             1000000
#define DAY_MS            86400000.0
#define JULIAN_MS_OF_1970 INT64_C(210866760000000) /* from noon of 4714-11-24 BC */

/* Of all connections that a life of a host has to one path. */
struct database {
    LIST_ENTRY(database) link;
    struct world_host *host;
    uint64_t life;
    char *path;
    unsigned handles;

    unsigned readers;                          /* handles that hold SQLITE_LOCK_SHARED or more */
    const struct vfs_file *reserved, *pending; /* who holds that lock; exclusive is pending too */

    void *regions[SHM_REGIONS_MAX];
    size_t region_count;
    unsigned mappers; /* handles that use the shared memory */
    unsigned shm_shared[SQLITE_SHM_NLOCK];
    const struct vfs_file *shm_exclusive[SQLITE_SHM_NLOCK];
};

struct vfs {
    sqlite3_vfs base;
    struct timeline *time;
    struct prng prng;
    LIST_HEAD(, database) databases;
};

struct vfs_file {
    sqlite3_file base;
    struct world_host *host;
    uint64_t life;
    int handle;
    struct database *database; /* NULL: a journal or a log */
    int lock;                  /* SQLITE_LOCK_* */
    bool mapped;
    unsigned shm_shared, shm_exclusive; /* the locks of the shared memory that it holds, as bits */
};

static struct vfs_file *file_of(sqlite3_file *file)
{
    return container_of(file, struct vfs_file, base);
}

/* Whether the host is in the life that has opened the file, and not at its end. */
static bool is_alive(const struct vfs_file *f)
{
    return f->host->stack && !f->host->ending && f->host->life == f->life;
}

/* ---- Bytes ----------------------------------------------------------------------------------- */

static int file_read(sqlite3_file *file, void *bytes, int length, sqlite3_int64 offset)
{
    const struct vfs_file *f = file_of(file);
    struct strait_env *env = &f->host->env;
    if (!is_alive(f))
        return SQLITE_IOERR_READ;
    ssize_t n = env->file_read(env, f->handle, bytes, (size_t)length, (uint64_t)offset);
    if (n < 0)
        return SQLITE_IOERR_READ;
    if (n == length)
        return SQLITE_OK;
    memset((char *)bytes + n, 0, (size_t)(length - n));
    return SQLITE_IOERR_SHORT_READ;
}

static int file_write(sqlite3_file *file, const void *bytes, int length, sqlite3_int64 offset)
{
    const struct vfs_file *f = file_of(file);
    struct strait_env *env = &f->host->env;
    if (!is_alive(f))
        return SQLITE_IOERR_WRITE;
    if (env->file_write(env, f->handle, bytes, (size_t)length, (uint64_t)offset) == length)
        return SQLITE_OK;
    return errno == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    const struct vfs_file *f = file_of(file);
    if (!is_alive(f) || host_file_truncate(f->host, f->handle, (uint64_t)size))
        return SQLITE_IOERR_TRUNCATE;
    return SQLITE_OK;
}

static int file_sync(sqlite3_file *file, int flags)
{
    const struct vfs_file *f = file_of(file);
    struct strait_env *env = &f->host->env;
    (void)flags; /* one kind of sync is enough for all */
    if (!is_alive(f) || env->file_sync(env, f->handle))
        return SQLITE_IOERR_FSYNC;
    return SQLITE_OK;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    const struct vfs_file *f = file_of(file);
    struct strait_env *env = &f->host->env;
    *size = is_alive(f) ? env->file_size(env, f->handle) : -1;
    return *size < 0 ? SQLITE_IOERR_FSTAT : SQLITE_OK;
}

static int file_control(sqlite3_file *file, int operation, void *argument)
{
    (void)file, (void)operation, (void)argument;
    return SQLITE_NOTFOUND;
}

static int file_sector_size(sqlite3_file *file)
{
    (void)file;
    return DISK_SECTOR_BYTES;
}

/* A torn write leaves alone the bytes around it. */
static int file_characteristics(sqlite3_file *file)
{
    (void)file;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* ---- Locks ----------------------------------------------------------------------------------- */

/* Takes, of what SQLite's "File Locking" describes, one step upward. */
static int file_lock(sqlite3_file *file, int lock)
{
    struct vfs_file *f = file_of(file);
    struct database *d = f->database;
    if (f->lock >= lock)
        return SQLITE_OK;
    if (!is_alive(f))
        return SQLITE_IOERR_LOCK;
    if (lock == SQLITE_LOCK_SHARED) {
        if (d->pending)
            return SQLITE_BUSY;
        d->readers++;
        f->lock = lock;
        return SQLITE_OK;
    }
    if ((d->reserved && d->reserved != f) || (d->pending && d->pending != f))
        return SQLITE_BUSY;
    if (lock == SQLITE_LOCK_RESERVED) {
        d->reserved = f;
        f->lock = lock;
        return SQLITE_OK;
    }
    /* New readers are kept out, and those that are there waited for. */
    d->pending = f;
    f->lock = d->readers > 1 ? SQLITE_LOCK_PENDING : SQLITE_LOCK_EXCLUSIVE;
    return f->lock >= lock ? SQLITE_OK : SQLITE_BUSY;
}

static int file_unlock(sqlite3_file *file, int lock)
{
    struct vfs_file *f = file_of(file);
    struct database *d = f->database;
    if (f->lock <= lock)
        return SQLITE_OK;
    if (d->reserved == f)
        d->reserved = NULL;
    if (d->pending == f)
        d->pending = NULL;
    if (lock == SQLITE_LOCK_NONE)
        d->readers--;
    f->lock = lock;
    return SQLITE_OK;
}

static int file_check_reserved(sqlite3_file *file, int *reserved)
{
    const struct database *d = file_of(file)->database;
    *reserved = d->reserved || d->pending;
    return SQLITE_OK;
}

/* ---- Shared memory --------------------------------------------------------------------------- */

static int shm_map(sqlite3_file *file, int region, int bytes, int extend, void volatile **at)
{
    struct vfs_file *f = file_of(file);
    struct database *d = f->database;
    *at = NULL;
    if (!is_alive(f) || region >= SHM_REGIONS_MAX)
        return SQLITE_IOERR_SHMMAP;
    if (!f->mapped)
        d->mappers++;
    f->mapped = true;
    while (extend && d->region_count <= (size_t)region) {
        void *memory = calloc(1, (size_t)bytes);
        if (!memory)
            return SQLITE_IOERR_NOMEM;
        d->regions[d->region_count++] = memory;
    }
    if ((size_t)region < d->region_count)
        *at = d->regions[region];
    return SQLITE_OK;
}

static bool shm_is_free(const struct vfs_file *f, int lock, bool exclusive)
{
    const struct database *d = f->database;
    unsigned own = f->shm_shared >> lock & 1;
    if (d->shm_exclusive[lock] && d->shm_exclusive[lock] != f)
        return false;
    return !exclusive || d->shm_shared[lock] == own;
}

static void shm_take(struct vfs_file *f, int lock, bool exclusive)
{
    unsigned bit = 1u << lock;
    if (exclusive) {
        f->database->shm_exclusive[lock] = f;
        f->shm_exclusive |= bit;
    } else if (!(f->shm_shared & bit)) {
        f->database->shm_shared[lock]++;
        f->shm_shared |= bit;
    }
}

static void shm_release(struct vfs_file *f, int lock)
{
    unsigned bit = 1u << lock;
    if (f->shm_exclusive & bit)
        f->database->shm_exclusive[lock] = NULL;
    if (f->shm_shared & bit)
        f->database->shm_shared[lock]--;
    f->shm_exclusive &= ~bit;
    f->shm_shared &= ~bit;
}

static int shm_lock(sqlite3_file *file, int first, int count, int flags)
{
    struct vfs_file *f = file_of(file);
    bool exclusive = flags & SQLITE_SHM_EXCLUSIVE;
    if (flags & SQLITE_SHM_UNLOCK) {
        for (int lock = first; lock < first + count; lock++)
            shm_release(f, lock);
        return SQLITE_OK;
    }
    if (!is_alive(f))
        return SQLITE_IOERR_SHMLOCK;
    for (int lock = first; lock < first + count; lock++)
        if (!shm_is_free(f, lock, exclusive))
            return SQLITE_BUSY;
    for (int lock = first; lock < first + count; lock++)
        shm_take(f, lock, exclusive);
    return SQLITE_OK;
}

static void shm_barrier(sqlite3_file *file)
{
    (void)file; /* one thread needs none */
}

/* The memory goes with the last who uses it, whether that deletes the log or not. */
static int shm_unmap(sqlite3_file *file, int delete)
{
    struct vfs_file *f = file_of(file);
    struct database *d = f->database;
    (void)delete;
    if (!f->mapped)
        return SQLITE_OK;
    for (int lock = 0; lock < SQLITE_SHM_NLOCK; lock++)
        shm_release(f, lock);
    f->mapped = false;
    if (--d->mappers > 0)
        return SQLITE_OK;
    while (d->region_count > 0)
        free(d->regions[--d->region_count]);
    return SQLITE_OK;
}

/* ---- Opening and closing --------------------------------------------------------------------- */

/* The database of the host's present life with that path, made if need be; NULL without memory. */
static struct database *database_open(struct vfs *v, struct world_host *h, const char *path)
{
    struct database *d;
    LIST_FOREACH(d, &v->databases, link) {
        if (d->host == h && d->life == h->life && strcmp(d->path, path) == 0)
            break;
    }
    if (!d) {
        d = calloc(1, sizeof(*d));
        char *copy = strdup(path);
        if (!d || !copy) {
            free(d);
            free(copy);
            return NULL;
        }
        d->host = h;
        d->life = h->life;
        d->path = copy;
        LIST_INSERT_HEAD(&v->databases, d, link);
    }
    d->handles++;
    return d;
}

static void database_close(struct database *d)
{
    if (--d->handles > 0)
        return;
    LIST_REMOVE(d, link);
    free(d->path);
    free(d);
}

static int file_close(sqlite3_file *file)
{
    struct vfs_file *f = file_of(file);
    struct strait_env *env = &f->host->env;
    if (f->database) {
        shm_unmap(file, 0);
        file_unlock(file, SQLITE_LOCK_NONE);
        database_close(f->database);
    }
    /* Of a life that is over the disk has closed it. */
    if (is_alive(f))
        env->file_close(env, f->handle);
    return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = shm_map,
    .xShmLock = shm_lock,
    .xShmBarrier = shm_barrier,
    .xShmUnmap = shm_unmap,
};

static struct vfs *vfs_of(sqlite3_vfs *base)
{
    return container_of(base, struct vfs, base);
}

/* Whose files are meant; NULL if nobody acts, or its life is over. */
static struct world_host *acting(sqlite3_vfs *base)
{
    struct world_host *h = vfs_of(base)->time->acting;
    return h && h->stack && !h->ending ? h : NULL;
}

static int open_flags(int flags)
{
    return (flags & SQLITE_OPEN_READWRITE ? O_RDWR : O_RDONLY) |
           (flags & SQLITE_OPEN_CREATE ? O_CREAT : 0) |
           (flags & SQLITE_OPEN_EXCLUSIVE ? O_EXCL : 0);
}

static int vfs_open(sqlite3_vfs *base, const char *path, sqlite3_file *file, int flags,
                    int *flags_out)
{
    struct world_host *h = acting(base);
    struct vfs_file *f = file_of(file);
    *f = (struct vfs_file){.host = h};
    if (!h || !path || (flags & SQLITE_OPEN_DELETEONCLOSE))
        return SQLITE_CANTOPEN;
    f->life = h->life;
    f->handle = h->env.file_open(&h->env, path, open_flags(flags));
    if (f->handle < 0)
        return SQLITE_CANTOPEN;
    if (flags & SQLITE_OPEN_MAIN_DB) {
        f->database = database_open(vfs_of(base), h, path);
        if (!f->database) {
            h->env.file_close(&h->env, f->handle);
            return SQLITE_NOMEM;
        }
    }
    f->base.pMethods = &methods;
    if (flags_out)
        *flags_out = flags;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *base, const char *path, int sync_directory)
{
    struct world_host *h = acting(base);
    if (h && host_file_delete(h, path, sync_directory) == 0)
        return SQLITE_OK;
    return h && errno == ENOENT ? SQLITE_IOERR_DELETE_NOENT : SQLITE_IOERR_DELETE;
}

/* As on Unix, an empty file does not count: a journal without bytes is none. */
static int vfs_access(sqlite3_vfs *base, const char *path, int flags, int *result)
{
    struct world_host *h = acting(base);
    (void)flags; /* what exists can be read and written */
    *result = 0;
    if (!h)
        return SQLITE_IOERR_ACCESS;
    int file = disk_open(h->disk, path, O_RDONLY);
    if (file < 0)
        return SQLITE_OK;
    *result = disk_size(h->disk, file) > 0;
    disk_close(h->disk, file);
    return SQLITE_OK;
}

static int vfs_full_pathname(sqlite3_vfs *base, const char *path, int bytes, char *full)
{
    size_t length = strlen(path);
    (void)base;
    if (length >= (size_t)bytes)
        return SQLITE_CANTOPEN;
    memcpy(full, path, length + 1);
    return SQLITE_OK;
}

/* ---- Randomness and time --------------------------------------------------------------------- */

static int vfs_randomness(sqlite3_vfs *base, int bytes, char *random)
{
    for (int i = 0; i < bytes; i++)
        random[i] = (char)prng_next(&vfs_of(base)->prng);
    return bytes;
}

static int vfs_sleep(sqlite3_vfs *base, int microseconds)
{
    (void)base;
    return microseconds;
}

static int vfs_time_ms(sqlite3_vfs *base, sqlite3_int64 *julian_ms)
{
    *julian_ms = JULIAN_MS_OF_1970 + (int64_t)(vfs_of(base)->time->now_ns / MS_NS);
    return SQLITE_OK;
}

static int vfs_time(sqlite3_vfs *base, double *julian_days)
{
    sqlite3_int64 julian_ms;
    vfs_time_ms(base, &julian_ms);
    *julian_days = (double)julian_ms / DAY_MS;
    return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *base, int bytes, char *text)
{
    (void)base, (void)bytes, (void)text;
    return 0;
}

/* ---- The VFS --------------------------------------------------------------------------------- */

static const sqlite3_vfs vfs_of_a_world = {
    .iVersion = 2,
    .szOsFile = sizeof(struct vfs_file),
    .mxPathname = PATH_BYTES_MAX,
    .zName = "strait-world",
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

struct vfs *vfs_new(struct timeline *time, uint64_t seed)
{
    struct vfs *v = calloc(1, sizeof(*v));
    if (!v)
        return NULL;
    v->base = vfs_of_a_world;
    v->time = time;
    prng_seed(&v->prng, seed);
    LIST_INIT(&v->databases);
    if (sqlite3_vfs_register(&v->base, 1) != SQLITE_OK) {
        free(v);
        return NULL;
    }
    sqlite3_randomness(0, NULL);
    return v;
}

void vfs_free(struct vfs *v)
{
    CHECK(LIST_EMPTY(&v->databases));
    CHECK(sqlite3_vfs_unregister(&v->base) == SQLITE_OK);
    sqlite3_randomness(0, NULL);
    free(v);
}
