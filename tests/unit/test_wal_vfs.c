/* SPDX-License-Identifier: MIT */
/* The VFS below is one of a single file, which notes what it is asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sqlite3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "wal_vfs.h"

#define FILE_BYTES (2 * WAL_VFS_GROWTH)
#define NOTES_MAX  64
#define HEADER     24 /* of a frame */
#define PAGE       4096

/* ---- The VFS below ---- */

struct below {
    sqlite3_vfs base, *before;
    uint8_t bytes[FILE_BYTES];
    char notes[NOTES_MAX]; /* of the calls, in their order: w, z (a write of zeros), s t c */
    size_t count;
    int last_length; /* of a write */
    sqlite3_int64 last_at;
    sqlite3_int64 size;
    int write_result, zeros_result, open_result;
};

struct below_file {
    sqlite3_file base;
    struct below *owner;
};

static struct below *owner_of(sqlite3_file *file)
{
    return ((struct below_file *)(void *)file)->owner;
}

static void note(struct below *b, char what)
{
    assert_true(b->count < NOTES_MAX - 1);
    b->notes[b->count++] = what;
}

static int file_write(sqlite3_file *file, const void *bytes, int length, sqlite3_int64 at)
{
    struct below *b = owner_of(file);
    bool is_zero = *(const uint8_t *)bytes == 0;
    int result = is_zero ? b->zeros_result : b->write_result;
    assert_true(at + length <= FILE_BYTES);
    note(b, is_zero ? 'z' : 'w');
    b->last_length = length;
    b->last_at = at;
    if (result != SQLITE_OK)
        return result;
    memcpy(b->bytes + at, bytes, (size_t)length);
    if (at + length > b->size)
        b->size = at + length;
    return SQLITE_OK;
}

static int file_read(sqlite3_file *file, void *bytes, int length, sqlite3_int64 at)
{
    memcpy(bytes, owner_of(file)->bytes + at, (size_t)length);
    return SQLITE_OK;
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    note(owner_of(file), 't');
    owner_of(file)->size = size;
    return SQLITE_OK;
}

static int file_sync(sqlite3_file *file, int flags)
{
    (void)flags;
    note(owner_of(file), 's');
    return SQLITE_OK;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    *size = owner_of(file)->size;
    return SQLITE_OK;
}

static int file_close(sqlite3_file *file)
{
    note(owner_of(file), 'c');
    return SQLITE_OK;
}

static const sqlite3_io_methods methods = {.iVersion = 1,
                                           .xClose = file_close,
                                           .xRead = file_read,
                                           .xWrite = file_write,
                                           .xTruncate = file_truncate,
                                           .xSync = file_sync,
                                           .xFileSize = file_size};

static int below_open(sqlite3_vfs *base, const char *path, sqlite3_file *file, int flags,
                      int *flags_out)
{
    struct below *b = (struct below *)(void *)base;
    (void)path, (void)flags, (void)flags_out;
    *(struct below_file *)(void *)file = (struct below_file){.owner = b};
    if (b->open_result == SQLITE_OK)
        file->pMethods = &methods;
    return b->open_result;
}

/* ---- A log on it ---- */

struct place {
    struct below below;
    struct wal_vfs *vfs;
    sqlite3_vfs *base; /* as SQLite knows it */
    sqlite3_file *file;
    uint8_t page[PAGE];
};

static int open_file(struct place *p, int flags)
{
    p->file = calloc(1, (size_t)p->base->szOsFile);
    assert_non_null(p->file);
    return p->base->xOpen(p->base, "node.db-wal", p->file, flags | SQLITE_OPEN_READWRITE, NULL);
}

/* A log of that size. */
static void set_up(void **state, sqlite3_int64 size)
{
    struct place *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    p->below.before = sqlite3_vfs_find(NULL);
    p->below.base = (sqlite3_vfs){.iVersion = 2,
                                  .szOsFile = sizeof(struct below_file),
                                  .mxPathname = 64,
                                  .zName = "below",
                                  .xOpen = below_open};
    assert_int_equal(sqlite3_vfs_register(&p->below.base, 1), SQLITE_OK);
    p->below.size = size;
    p->vfs = wal_vfs_new();
    assert_non_null(p->vfs);
    p->base = sqlite3_vfs_find(wal_vfs_name(p->vfs));
    assert_non_null(p->base);
    assert_int_equal(open_file(p, SQLITE_OPEN_WAL), SQLITE_OK);
    memset(p->page, 'p', sizeof(p->page));
    *state = p;
}

static int setup(void **state)
{
    set_up(state, FILE_BYTES);
    return 0;
}

static int setup_new(void **state)
{
    set_up(state, 0);
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    if (p->file->pMethods)
        p->file->pMethods->xClose(p->file);
    wal_vfs_free(p->vfs);
    sqlite3_vfs_unregister(&p->below.base);
    sqlite3_vfs_register(p->below.before, 1);
    free(p->file);
    free(p);
    return 0;
}

static int put(struct place *p, int length, sqlite3_int64 at)
{
    return p->file->pMethods->xWrite(p->file, p->page, length, at);
}

/* As SQLite writes pages of a commit: of each a header, and its bytes. */
static void put_frames(struct place *p, int count, sqlite3_int64 at)
{
    for (int i = 0; i < count; i++, at += HEADER + PAGE) {
        assert_int_equal(put(p, HEADER, at), SQLITE_OK);
        assert_int_equal(put(p, PAGE, at + HEADER), SQLITE_OK);
    }
}

static int sync_file(struct place *p)
{
    return p->file->pMethods->xSync(p->file, SQLITE_SYNC_NORMAL);
}

static void assert_written(const struct place *p, sqlite3_int64 from, sqlite3_int64 to)
{
    for (sqlite3_int64 i = from; i < to; i++)
        assert_int_equal(p->below.bytes[i], 'p');
}

/* ---- Tests ---- */

static void pages_of_a_commit_become_one_write_before_the_sync(void **state)
{
    struct place *p = *state;
    put_frames(p, 10, 32);
    assert_string_equal(p->below.notes, "");
    assert_int_equal(sync_file(p), SQLITE_OK);
    assert_string_equal(p->below.notes, "ws");
    assert_int_equal(p->below.last_at, 32);
    assert_int_equal(p->below.last_length, 10 * (HEADER + PAGE));
    assert_written(p, 32, 32 + 10 * (HEADER + PAGE));
    assert_int_equal(sync_file(p), SQLITE_OK);
    assert_string_equal(p->below.notes, "wss");
}

static void no_write_is_longer_than_the_vfs_for_unix_takes(void **state)
{
    _Static_assert(WAL_VFS_BYTES < 128 << 10, "as long as it may be");
    struct place *p = *state;
    const int frames = 2 * WAL_VFS_BYTES / (HEADER + PAGE);
    put_frames(p, frames, 0);
    assert_true(p->below.last_length <= WAL_VFS_BYTES);
    assert_int_equal(sync_file(p), SQLITE_OK);
    assert_true(p->below.last_length <= WAL_VFS_BYTES);
    assert_written(p, 0, frames * (HEADER + PAGE));
}

static void what_does_not_follow_comes_after_what_was_gathered(void **state)
{
    struct place *p = *state;
    put_frames(p, 1, 1000);
    assert_int_equal(put(p, HEADER, 0), SQLITE_OK); /* a log that begins anew */
    assert_string_equal(p->below.notes, "w");
    assert_int_equal(p->below.last_at, 1000);
    assert_int_equal(sync_file(p), SQLITE_OK);
    assert_string_equal(p->below.notes, "wws");
    assert_int_equal(p->below.last_at, 0);
    assert_int_equal(p->below.last_length, HEADER);
}

static void a_read_sees_what_was_gathered(void **state)
{
    struct place *p = *state;
    uint8_t bytes[PAGE] = {0};
    put_frames(p, 1, 0);
    assert_int_equal(p->file->pMethods->xRead(p->file, bytes, PAGE, HEADER), SQLITE_OK);
    assert_memory_equal(bytes, p->page, PAGE);
}

static void a_size_counts_what_was_gathered(void **state)
{
    struct place *p = *state;
    sqlite3_int64 size = 0;
    put_frames(p, 1, FILE_BYTES - HEADER - PAGE);
    assert_int_equal(p->file->pMethods->xFileSize(p->file, &size), SQLITE_OK);
    assert_string_equal(p->below.notes, "w");
    assert_int_equal(size, FILE_BYTES);
}

static void a_truncation_comes_after_what_was_gathered(void **state)
{
    struct place *p = *state;
    put_frames(p, 1, 0);
    assert_int_equal(p->file->pMethods->xTruncate(p->file, 0), SQLITE_OK);
    assert_string_equal(p->below.notes, "wt");
}

static void a_write_that_fails_fails_the_sync(void **state)
{
    struct place *p = *state;
    p->below.write_result = SQLITE_FULL;
    put_frames(p, 1, 0);
    assert_int_equal(sync_file(p), SQLITE_FULL);
    assert_string_equal(p->below.notes, "w");
}

static void a_log_grows_by_zeros_that_later_commits_write_over(void **state)
{
    struct place *p = *state;
    put_frames(p, 1, 0);
    assert_int_equal(sync_file(p), SQLITE_OK);
    assert_string_equal(p->below.notes, "wzzzs");
    assert_int_equal(p->below.size, WAL_VFS_GROWTH);
    assert_written(p, 0, HEADER + PAGE);
    for (int i = HEADER + PAGE; i < WAL_VFS_GROWTH; i++)
        assert_int_equal(p->below.bytes[i], 0);
    put_frames(p, 1, HEADER + PAGE);
    assert_int_equal(sync_file(p), SQLITE_OK);
    assert_string_equal(p->below.notes, "wzzzsws");
    assert_written(p, 0, 2 * (HEADER + PAGE));
}

static void a_growth_that_fails_fails_no_commit(void **state)
{
    struct place *p = *state;
    p->below.zeros_result = SQLITE_FULL;
    put_frames(p, 1, 0);
    assert_int_equal(sync_file(p), SQLITE_OK);
    put_frames(p, 1, HEADER + PAGE);
    assert_int_equal(sync_file(p), SQLITE_OK);
    assert_string_equal(p->below.notes, "wzswzs");
    assert_int_equal(p->below.size, 2 * (HEADER + PAGE));
}

static void a_log_that_was_cut_grows_anew(void **state)
{
    struct place *p = *state;
    assert_int_equal(p->file->pMethods->xTruncate(p->file, 0), SQLITE_OK);
    put_frames(p, 1, 0);
    assert_int_equal(sync_file(p), SQLITE_OK);
    assert_string_equal(p->below.notes, "twzzzs");
}

static void other_files_are_those_of_the_vfs_below(void **state)
{
    struct place *p = *state;
    p->file->pMethods->xClose(p->file);
    free(p->file);
    assert_int_equal(open_file(p, SQLITE_OPEN_MAIN_DB), SQLITE_OK);
    assert_ptr_equal(p->file->pMethods, &methods);
}

static void a_log_that_cannot_be_opened_is_none(void **state)
{
    struct place *p = *state;
    p->file->pMethods->xClose(p->file);
    free(p->file);
    p->below.open_result = SQLITE_CANTOPEN;
    assert_int_equal(open_file(p, SQLITE_OPEN_WAL), SQLITE_CANTOPEN);
    assert_null(p->file->pMethods);
}

#define WAL_TEST(f)     cmocka_unit_test_setup_teardown(f, setup, teardown)
#define NEW_WAL_TEST(f) cmocka_unit_test_setup_teardown(f, setup_new, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WAL_TEST(pages_of_a_commit_become_one_write_before_the_sync),
        WAL_TEST(no_write_is_longer_than_the_vfs_for_unix_takes),
        WAL_TEST(what_does_not_follow_comes_after_what_was_gathered),
        WAL_TEST(a_read_sees_what_was_gathered),
        WAL_TEST(a_size_counts_what_was_gathered),
        WAL_TEST(a_truncation_comes_after_what_was_gathered),
        WAL_TEST(a_write_that_fails_fails_the_sync),
        NEW_WAL_TEST(a_log_grows_by_zeros_that_later_commits_write_over),
        NEW_WAL_TEST(a_growth_that_fails_fails_no_commit),
        WAL_TEST(a_log_that_was_cut_grows_anew),
        WAL_TEST(other_files_are_those_of_the_vfs_below),
        WAL_TEST(a_log_that_cannot_be_opened_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
