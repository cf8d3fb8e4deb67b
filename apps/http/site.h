/* SPDX-License-Identifier: MIT */
/*
 * The files below a directory of the environment. Nothing outside of it is ever served, wherever
 * links lead. A few files that are asked for often stay open, and the small ones of them in memory;
 * each request still asks for the file's status, so that a change shows at once. Bytes of files
 * take 64 MiB at most.
 */
#ifndef APPS_HTTP_SITE_H
#define APPS_HTTP_SITE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "http/block.h"
#include "http/date.h"
#include "strait.h"

struct site;

/* A file as it was when it was found; shared, and held until it is released. */
struct site_file {
    uint64_t size;
    int64_t modified;      /* seconds since 1970 */
    struct block *content; /* all of it, if it is small; else NULL */
    const char *type;      /* of media */
    char etag[64];
    char modified_text[HTTP_DATE_BYTES];
};

/* Opens the site at a directory. Returns NULL with errno. */
struct site *site_open(struct strait_env *, const char *root);

/* Ends the site; no file is held any more. */
void site_close(struct site *);

/*
 * Finds a regular file by its path, relative to the root. Returns NULL with errno: EISDIR for a
 * directory, EXDEV for what lies outside, EACCES for what is neither, or as file_open.
 */
struct site_file *site_find(struct site *, const char *path);

void site_release(struct site *, struct site_file *);

/*
 * Reads at most `length` bytes of the file at `offset`. Returns how many, or 0 if there are none to
 * be had any more of the file as it was found: it was written to, or cut, or cannot be read.
 */
size_t site_read(struct site *, const struct site_file *, void *bytes, size_t length,
                 uint64_t offset);

/* Memory for bytes that are read. Returns NULL when there is no more of it. */
struct block *site_block(struct site *, size_t capacity);

/* Opens a directory by its path, for file_list; to be closed. Returns -1 with errno. */
int site_open_directory(struct site *, const char *path);

struct strait_env *site_env(const struct site *);

#endif
