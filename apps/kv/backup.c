/* SPDX-License-Identifier: MIT */
/*
 * The copy has a connection of its own, and is made in one step, of one state of the database: a
 * reader of the write-ahead log neither waits for writers nor keeps them waiting. (In more steps it
 * would begin anew with each commit between two of them.) Until it is done the log only grows.
 */
#include "kv/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define BUSY_TIMEOUT_MS 5000

static struct kv_backup *backup_of(struct strait_work *work)
{
    return (struct kv_backup *)(void *)((char *)work - offsetof(struct kv_backup, work));
}

static bool open_both(const struct kv_backup *b, sqlite3 **from, sqlite3 **to)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;

    if (sqlite3_open_v2(b->path, to, flags, NULL) != SQLITE_OK ||
        sqlite3_open_v2(b->from, from, flags, NULL) != SQLITE_OK)
        return false;
    sqlite3_busy_timeout(*from, BUSY_TIMEOUT_MS);
    /* With less, a crash may bring back the journal of the copy, which would undo it. */
    return sqlite3_exec(*to, "PRAGMA synchronous=EXTRA", NULL, NULL, NULL) == SQLITE_OK;
}

/* Half a copy is none. */
static void remove_file(const char *path)
{
    sqlite3_vfs *files = sqlite3_vfs_find(NULL);

    files->xDelete(files, path, 1);
}

static bool copy(sqlite3 *from, sqlite3 *to)
{
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");

    if (!backup)
        return false;
    sqlite3_backup_step(backup, -1);
    return sqlite3_backup_finish(backup) == SQLITE_OK;
}

static void backup_run(struct strait_work *work)
{
    struct kv_backup *b = backup_of(work);
    sqlite3 *from = NULL, *to = NULL;

    bool copied = open_both(b, &from, &to) && copy(from, to);
    if (!copied)
        snprintf(b->error, sizeof(b->error), "%.300s: %s", b->path,
                 to ? sqlite3_errmsg(to) : "no memory");
    sqlite3_close(from);
    sqlite3_close(to);
    if (!copied)
        remove_file(b->path);
}

static void backup_done(struct strait_work *work)
{
    struct kv_backup *b = backup_of(work);

    b->running = false;
    b->done(b->context, b->error[0] ? b->error : NULL);
}

/* The file, which must be new, is made at once: whose turn it is finds it empty. */
static int make_file(struct strait_env *env, const char *path)
{
    int file = env->file_open(env, path, O_RDWR | O_CREAT | O_EXCL);

    return file < 0 ? -1 : env->file_close(env, file);
}

int kv_backup_start(struct kv_backup *b, struct strait_env *env, const char *from, const char *path,
                    void (*done)(void *context, const char *error), void *context)
{
    if (b->running || strlen(path) >= sizeof(b->path)) {
        errno = b->running ? EBUSY : ENAMETOOLONG;
        return -1;
    }
    if (make_file(env, path))
        return -1;
    b->work = (struct strait_work){.run = backup_run, .done = backup_done};
    b->from = from;
    snprintf(b->path, sizeof(b->path), "%s", path);
    b->error[0] = 0;
    b->done = done;
    b->context = context;
    b->running = env->execute(env, &b->work) == 0;
    if (b->running)
        return 0;
    remove_file(path);
    errno = EAGAIN;
    return -1;
}
