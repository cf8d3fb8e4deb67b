/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* getdents64, AT_EMPTY_PATH */
#include "host/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* O_NONBLOCK: a FIFO or a device at this path must not hold up the loop. */
#define ALWAYS (O_CLOEXEC | O_NOCTTY | O_NONBLOCK)

#define LIST_BYTES   16384 /* of names, taken from the kernel at once */
#define OPEN_RETRIES 8

int files_open(struct strait_env *env, const char *path, int flags)
{
    (void)env;
    return open(path, flags | ALWAYS, 0644);
}

int files_close(struct strait_env *env, int file)
{
    (void)env;
    return close(file);
}

ssize_t files_read(struct strait_env *env, int file, void *bytes, size_t length, uint64_t offset)
{
    (void)env;
    ssize_t n;
    do
        n = pread(file, bytes, length, (off_t)offset);
    while (n < 0 && errno == EINTR);
    return n;
}

ssize_t files_write(struct strait_env *env, int file, const void *bytes, size_t length,
                    uint64_t offset)
{
    (void)env;
    ssize_t n;
    do
        n = pwrite(file, bytes, length, (off_t)offset);
    while (n < 0 && errno == EINTR);
    return n;
}

int64_t files_size(struct strait_env *env, int file)
{
    (void)env;
    struct stat status;
    return fstat(file, &status) ? -1 : status.st_size;
}

int files_sync(struct strait_env *env, int file)
{
    (void)env;
    int result;
    do
        result = fdatasync(file);
    while (result < 0 && errno == EINTR);
    return result;
}

/* The kernel keeps the promise (EXDEV) while it walks the path, so that nobody can outrun it. */
int files_open_below(struct strait_env *env, int directory, const char *path, int flags)
{
    (void)env;
    struct open_how how = {
        .flags = (unsigned)(O_RDONLY | flags | ALWAYS),
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    /* EAGAIN: something was renamed meanwhile, and the kernel could not be sure. */
    for (int i = 0; i < OPEN_RETRIES; i++) {
        long file = syscall(SYS_openat2, directory, path, &how, sizeof(how));
        if (file >= 0 || (errno != EAGAIN && errno != EINTR))
            return (int)file;
    }
    return -1;
}

static int64_t ns_of(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int files_status(struct strait_env *env, int directory, const char *path,
                 struct strait_file_status *status)
{
    (void)env;
    struct stat s;
    if (fstatat(directory, path, &s, AT_EMPTY_PATH))
        return -1;
    *status = (struct strait_file_status){
        .device = s.st_dev,
        .number = s.st_ino,
        .size_bytes = (uint64_t)s.st_size,
        .modified_ns = ns_of(s.st_mtim),
        .changed_ns = ns_of(s.st_ctim),
        .directory = S_ISDIR(s.st_mode),
        .regular = S_ISREG(s.st_mode),
    };
    return 0;
}

/* Tells of the entries in `bytes`; returns false when no more are wanted. */
static bool tell(const char *bytes, ssize_t length,
                 bool (*entry)(void *context, const char *name, bool is_directory), void *context)
{
    for (ssize_t at = 0; at < length;) {
        const struct dirent64 *d = (const struct dirent64 *)(const void *)(bytes + at);
        at += d->d_reclen;
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        if (!entry(context, d->d_name, d->d_type == DT_DIR))
            return false;
    }
    return true;
}

int files_list(struct strait_env *env, int directory,
               bool (*entry)(void *context, const char *name, bool is_directory), void *context)
{
    (void)env;
    char bytes[LIST_BYTES] __attribute__((aligned(8)));
    ssize_t got;
    if (lseek(directory, 0, SEEK_SET) < 0)
        return -1;
    do
        got = getdents64(directory, bytes, sizeof(bytes));
    while (got > 0 && tell(bytes, got, entry, context));
    return got < 0 ? -1 : 0;
}
