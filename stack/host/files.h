/* SPDX-License-Identifier: MIT */
/* The files of the host, as struct strait_env promises them; a handle is a descriptor. */
#ifndef HOST_FILES_H
#define HOST_FILES_H

#include "strait.h"

int files_open(struct strait_env *, const char *path, int flags);
int files_close(struct strait_env *, int file);
ssize_t files_read(struct strait_env *, int file, void *bytes, size_t length, uint64_t offset);
ssize_t files_write(struct strait_env *, int file, const void *bytes, size_t length,
                    uint64_t offset);
int64_t files_size(struct strait_env *, int file);
int files_sync(struct strait_env *, int file);

int files_open_below(struct strait_env *, int directory, const char *path, int flags);
int files_status(struct strait_env *, int directory, const char *path, struct strait_file_status *);
int files_list(struct strait_env *, int directory,
               bool (*entry)(void *context, const char *name, bool is_directory), void *context);

#endif
