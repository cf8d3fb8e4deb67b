/* SPDX-License-Identifier: MIT */
/*
 * The file of differences: where Strait and the kernel do not do the same, and what the RFCs say to
 * it. Lines that begin with # are for the reader, but for the two that say what was compared:
 *
 *     # kernel: Linux 6.18
 *     # scripts: 120, of which 85 play the same on both
 *
 *     name_of_the_script
 *       step:    what happens to them
 *       strait:  what Strait does
 *       kernel:  what the kernel does
 *       verdict: strait, kernel, both or neither: who is right, and by which clause;
 *                longer ones go on like this
 */
#ifndef TESTS_ORACLE_DIFFERENCES_H
#define TESTS_ORACLE_DIFFERENCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct difference {
    const char *script, *step, *strait, *kernel;
    const char *verdict; /* with its line breaks; "?" while there is none */
    bool seen;
};

struct head {
    unsigned major, minor; /* of the kernel */
    unsigned scripts, same;
};

struct differences {
    char *text; /* the file, in which the strings of the list lie */
    struct difference *list;
    size_t count;
    struct head head;
};

/* Reads the file. Returns false, with the place and the reason in `error`, if it is not as above.
 */
bool differences_read(struct differences *, const char *path, char *error, size_t error_bytes);

/* Whether each has its verdict; if not, `error` says which one lacks it. */
bool differences_judged(const struct differences *, char *error, size_t error_bytes);

void differences_free(struct differences *);

/* The first that was not seen and is the same in everything but the verdict; NULL if none is. */
struct difference *differences_find(const struct differences *, const struct difference *);

/* Writes one as the file has it, with the name of its script if that is not the one before it. */
void difference_write(FILE *, const struct difference *, const char *script_before);

/* Writes the lines for the reader that the file at `path` has, with the two of the head put right.
 */
void differences_write_head(FILE *, const char *path, const struct head *);

#endif
