/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"
#include "sim/disk.h"

#define SECTOR DISK_SECTOR_BYTES

static int setup(void **state)
{
    *state = disk_new(1);
    assert_non_null(*state);
    return 0;
}

static int teardown(void **state)
{
    disk_free(*state);
    return 0;
}

static int make(struct disk *d, const char *path)
{
    int file = disk_open(d, path, O_RDWR | O_CREAT);
    assert_true(file >= 0);
    return file;
}

static void put(struct disk *d, int file, const char *text, uint64_t offset)
{
    assert_int_equal(disk_write(d, file, text, strlen(text), offset), strlen(text));
}

static void assert_content(struct disk *d, int file, const void *bytes, size_t length)
{
    char *got = malloc(length + 1);
    assert_non_null(got);
    assert_int_equal(disk_size(d, file), length);
    assert_int_equal(disk_read(d, file, got, length + 1, 0), length);
    assert_memory_equal(got, bytes, length);
    free(got);
}

#define assert_fails(call, error)                                                                  \
    do {                                                                                           \
        errno = 0;                                                                                 \
        assert_int_equal(call, -1);                                                                \
        assert_int_equal(errno, error);                                                            \
    } while (0)

/* ---- As POSIX ---- */

static void what_is_written_is_read(void **state)
{
    struct disk *d = *state;
    int file = make(d, "a");
    put(d, file, "hello", 0);
    put(d, file, "LL", 2);
    assert_content(d, file, "heLLo", 5);
    char byte;
    assert_int_equal(disk_read(d, file, &byte, 1, 5), 0);
    assert_int_equal(disk_read(d, file, &byte, 1, 4), 1);
    assert_int_equal(byte, 'o');
}

static void a_hole_is_zeros_also_where_a_longer_file_was_truncated(void **state)
{
    struct disk *d = *state;
    int file = make(d, "a");
    put(d, file, "xxxxxxxx", 0);
    int again = disk_open(d, "a", O_RDWR | O_TRUNC);
    assert_int_equal(disk_size(d, file), 0);
    put(d, again, "z", 4);
    assert_content(d, file, "\0\0\0\0z", 5);
}

static void opening_says_what_posix_says(void **state)
{
    struct disk *d = *state;
    assert_fails(disk_open(d, "dir/a", O_RDONLY), ENOENT);
    int file = make(d, "dir/a");
    assert_fails(disk_open(d, "dir/a", O_RDWR | O_CREAT | O_EXCL), EEXIST);
    assert_fails(disk_open(d, "dir/a", O_RDONLY | O_DIRECTORY), ENOTDIR);
    assert_fails(disk_open(d, "di", O_RDONLY | O_DIRECTORY), ENOENT);
    assert_fails(disk_open(d, "dir", O_RDWR), EISDIR);
    assert_fails(disk_open(d, "", O_RDWR | O_CREAT), ENOENT);
    assert_fails(disk_open(d, "b", O_WRONLY | O_CREAT), EINVAL);
    int directory = disk_open(d, "dir", O_RDONLY | O_DIRECTORY);
    char byte = 0;
    assert_fails(disk_read(d, directory, &byte, 1, 0), EISDIR);
    assert_int_equal(disk_close(d, directory), 0);
    int reader = disk_open(d, "dir/a", O_RDONLY);
    assert_fails(disk_write(d, reader, &byte, 1, 0), EBADF);
    assert_int_equal(disk_close(d, file), 0);
    assert_fails(disk_read(d, file, &byte, 1, 0), EBADF);
    assert_fails(disk_sync(d, file), EBADF);
    assert_fails(disk_close(d, file), EBADF);
}

static void a_handle_is_not_used_again(void **state)
{
    struct disk *d = *state;
    int first = make(d, "a");
    assert_int_equal(disk_close(d, first), 0);
    int second = make(d, "a");
    assert_int_not_equal(first, second);
    disk_crash(d);
    assert_int_not_equal(make(d, "a"), second);
}

static void a_file_is_made_shorter_and_longer(void **state)
{
    struct disk *d = *state;
    int file = make(d, "a");
    put(d, file, "abcdef", 0);
    assert_int_equal(disk_truncate(d, file, 2), 0);
    assert_content(d, file, "ab", 2);
    assert_int_equal(disk_truncate(d, file, 4), 0);
    assert_content(d, file, "ab\0\0", 4);
    assert_int_equal(disk_sync(d, file), 0);
    disk_crash(d);
    file = disk_open(d, "a", O_RDONLY);
    assert_content(d, file, "ab\0\0", 4);
    assert_fails(disk_truncate(d, file, 0), EBADF);
}

static void a_deleted_file_is_gone_and_may_be_made_anew(void **state)
{
    struct disk *d = *state;
    int file = make(d, "dir/a");
    put(d, file, "old", 0);
    assert_fails(disk_delete(d, "dir/a", true), EBUSY);
    assert_int_equal(disk_close(d, file), 0);
    assert_int_equal(disk_delete(d, "dir/a", true), 0);
    assert_fails(disk_delete(d, "dir/a", true), ENOENT);
    assert_fails(disk_open(d, "dir/a", O_RDWR), ENOENT);
    assert_fails(disk_open(d, "dir", O_RDONLY | O_DIRECTORY), ENOENT);
    file = disk_open(d, "dir/a", O_RDWR | O_CREAT | O_EXCL);
    assert_content(d, file, "", 0);
}

/* ---- Faults ---- */

static void a_full_disk_says_so_and_takes_what_needs_no_room(void **state)
{
    struct disk *d = *state;
    disk_set_faults(d, &(struct disk_faults){.capacity_bytes = 10});
    int a = make(d, "a"), b = make(d, "b");
    put(d, a, "123456", 0);
    put(d, b, "1234", 0);
    assert_fails(disk_write(d, a, "x", 1, 6), ENOSPC);
    put(d, a, "abcdef", 0);
    assert_int_equal(disk_close(d, disk_open(d, "b", O_RDWR | O_TRUNC)), 0);
    put(d, a, "ghij", 6);
    assert_content(d, a, "abcdefghij", 10);
}

/* Of 10,000 writes with p = 0.2, 2,000 fail; the standard deviation is 40. */
static void errors_strike_as_often_as_asked(void **state)
{
    struct disk *d = *state;
    int file = make(d, "a"), writes = 0, reads = 0;
    char byte = 0;
    disk_set_faults(d, &(struct disk_faults){.write_error = 200000, .read_error = 1000000});
    for (int i = 0; i < 10000; i++) {
        errno = 0;
        writes += disk_write(d, file, &byte, 1, 0) < 0 && errno == EIO;
        reads += disk_read(d, file, &byte, 1, 0) < 0 && errno == EIO;
    }
    assert_in_range(writes, 1800, 2200);
    assert_int_equal(reads, 10000);
}

static void what_a_failed_sync_did_not_sync_is_lost_though_a_later_one_succeeds(void **state)
{
    struct disk *d = *state;
    int file = make(d, "a");
    put(d, file, "old", 0);
    assert_int_equal(disk_sync(d, file), 0);
    put(d, file, "new", 0);
    int fresh = make(d, "fresh");
    disk_set_faults(d, &(struct disk_faults){.sync_error = 1000000});
    assert_fails(disk_sync(d, file), EIO);
    assert_fails(disk_sync(d, fresh), EIO);
    disk_set_faults(d, &(struct disk_faults){0});
    assert_content(d, file, "new", 3);
    put(d, file, "!", 3);
    assert_int_equal(disk_sync(d, file), 0);
    assert_int_equal(disk_sync(d, fresh), 0);
    assert_content(d, file, "new!", 4);
    disk_crash(d);
    assert_true(disk_open(d, "fresh", O_RDONLY) >= 0);
    file = disk_open(d, "a", O_RDONLY);
    assert_content(d, file, "old!", 4);
}

static void a_sync_that_lies_makes_nothing_durable(void **state)
{
    struct disk *d = *state;
    int lost = 0;
    disk_set_faults(d, &(struct disk_faults){.sync_lies = true});
    for (char path[] = "a"; *path <= 'z'; ++*path)
        assert_int_equal(disk_sync(d, make(d, path)), 0);
    disk_crash(d);
    for (char path[] = "a"; *path <= 'z'; ++*path)
        lost += disk_open(d, path, O_RDONLY) < 0;
    assert_in_range(lost, 5, 21);
}

/* ---- Crashes ---- */

static void what_is_synced_survives_every_crash(void **state)
{
    struct disk *d = *state;
    disk_set_faults(d, &(struct disk_faults){.torn = true, .reordered = true});
    int file = make(d, "a");
    put(d, file, "safe", 0);
    assert_int_equal(disk_sync(d, file), 0);
    for (int i = 0; i < 20; i++) {
        disk_crash(d);
        file = disk_open(d, "a", O_RDONLY);
        assert_content(d, file, "safe", 4);
    }
}

static void a_file_that_was_never_synced_may_be_gone_or_not(void **state)
{
    struct disk *d = *state;
    int gone = 0;
    for (int i = 0; i < 100; i++) {
        char path[] = {(char)('0' + i / 10), (char)('0' + i % 10), 0};
        make(d, path);
    }
    disk_crash(d);
    for (int i = 0; i < 100; i++) {
        char path[] = {(char)('0' + i / 10), (char)('0' + i % 10), 0};
        gone += disk_open(d, path, O_RDONLY) < 0;
    }
    assert_in_range(gone, 25, 75);
}

static void
a_deletion_that_was_not_synced_may_be_undone_but_never_mixed_with_what_came_after(void **state)
{
    (void)state;
    int old = 0, new = 0, gone = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct disk *d = disk_new(seed);
        assert_non_null(d);
        disk_set_faults(d, &(struct disk_faults){.reordered = seed % 2});
        int file = make(d, "a");
        put(d, file, "old", 0);
        assert_int_equal(disk_sync(d, file) | disk_close(d, file), 0);
        assert_int_equal(disk_delete(d, "a", false), 0);
        put(d, make(d, "a"), "n", 0);
        disk_crash(d);
        file = disk_open(d, "a", O_RDONLY);
        char bytes[4] = "";
        ssize_t n = file < 0 ? 0 : disk_read(d, file, bytes, sizeof(bytes), 0);
        gone += file < 0;
        old += n == 3 && memcmp(bytes, "old", 3) == 0;
        new += file >= 0 && (n == 0 || (n == 1 && (bytes[0] == 'n' || bytes[0] == 0)));
        disk_free(d);
    }
    assert_int_equal(old + new + gone, 200);
    assert_true(old > 20 && new > 20 && gone > 20);
}

static void a_deletion_that_was_synced_is_final(void **state)
{
    struct disk *d = *state;
    disk_set_faults(d, &(struct disk_faults){.torn = true, .reordered = true});
    for (int i = 0; i < 20; i++) {
        int file = make(d, "a");
        put(d, file, "old", 0);
        assert_int_equal(disk_sync(d, file) | disk_close(d, file), 0);
        assert_int_equal(disk_delete(d, "a", true), 0);
        disk_crash(d);
        assert_fails(disk_open(d, "a", O_RDONLY), ENOENT);
    }
}

static void the_first_sync_of_a_file_makes_deletions_before_it_final(void **state)
{
    struct disk *d = *state;
    for (int i = 0; i < 20; i++) {
        int file = make(d, "a");
        assert_int_equal(disk_sync(d, file) | disk_close(d, file), 0);
        assert_int_equal(disk_delete(d, "a", false), 0);
        char path[] = {'b', (char)('0' + i), 0};
        assert_int_equal(disk_sync(d, make(d, path)), 0);
        disk_crash(d);
        assert_fails(disk_open(d, "a", O_RDONLY), ENOENT);
    }
}

/* ---- Time ---- */

/* A sync takes 4 to 12 ns, all else no time. */
static void what_takes_time_is_seen_at_once_and_durable_when_its_sync_is_complete(void **state)
{
    struct disk *d = *state;
    disk_set_speed(d, &(struct disk_speed){.access_ns = 0, .sync_ns = 8});
    disk_advance(d, 100);
    assert_int_equal(disk_next(d), UINT64_MAX);
    disk_begin(d);
    int file = make(d, "a");
    put(d, file, "one", 0);
    assert_int_equal(disk_sync(d, file), 0);
    put(d, file, "two", 0);
    uint64_t end_ns = disk_end(d);
    assert_in_range(end_ns, 104, 112);
    assert_int_equal(disk_next(d), end_ns);
    assert_content(d, file, "two", 3);

    disk_advance(d, end_ns - 1);
    assert_int_equal(disk_next(d), end_ns);
    disk_advance(d, end_ns);
    assert_int_equal(disk_next(d), UINT64_MAX);
    disk_crash(d);
    file = disk_open(d, "a", O_RDWR);
    char bytes[3];
    assert_int_equal(disk_read(d, file, bytes, 3, 0), 3);
    assert_true(memcmp(bytes, "one", 3) == 0 || memcmp(bytes, "two", 3) == 0);
}

static void a_crash_undoes_what_was_not_complete(void **state)
{
    struct disk *d = *state;
    disk_set_speed(d, &(struct disk_speed){.access_ns = 100, .sync_ns = 100});
    disk_set_faults(d, &(struct disk_faults){.torn = true, .reordered = true});
    int file = make(d, "a");
    put(d, file, "old", 0);
    assert_int_equal(disk_sync(d, file), 0);
    disk_begin(d);
    put(d, file, "new", 0);
    assert_int_equal(disk_sync(d, file), 0);
    assert_true(disk_end(d) >= 100);
    disk_advance(d, 49);
    assert_content(d, file, "new", 3);
    disk_crash(d);
    file = disk_open(d, "a", O_RDWR);
    assert_content(d, file, "old", 3);

    /* The disk of the next life is idle. */
    disk_begin(d);
    assert_int_equal(disk_end(d), 49);
}

static void work_waits_for_the_work_before_and_a_direct_sync_for_none(void **state)
{
    struct disk *d = *state;
    disk_set_speed(d, &(struct disk_speed){.access_ns = 1000, .sync_ns = 1000});
    int a = make(d, "a"), b = make(d, "b");
    disk_begin(d);
    put(d, a, "a", 0);
    uint64_t first_ns = disk_end(d);
    assert_in_range(first_ns, 500, 1500);
    disk_begin(d);
    put(d, b, "b", 0);
    assert_in_range(disk_end(d) - first_ns, 500, 1500);
    assert_int_equal(disk_sync(d, a), 0);
    disk_crash(d);
    assert_content(d, disk_open(d, "a", O_RDONLY), "a", 1);
}

static void a_sync_that_fails_takes_nothing_from_the_one_before(void **state)
{
    struct disk *d = *state;
    int file = make(d, "a");
    disk_begin(d);
    put(d, file, "one", 0);
    assert_int_equal(disk_sync(d, file), 0);
    uint64_t end_ns = disk_end(d);
    disk_set_faults(d, &(struct disk_faults){.sync_error = 1000000});
    assert_fails(disk_sync(d, file), EIO);
    disk_advance(d, end_ns);
    disk_crash(d);
    assert_content(d, disk_open(d, "a", O_RDONLY), "one", 3);
}

/* ---- States that a crash may leave ---- */

/* A naive file: all that was done to it, for states to be computed from. */
#define STEPS      6
#define FILE_BYTES ((size_t)6 * SECTOR)

struct model {
    struct {
        size_t offset, length;
        uint8_t byte;
    } steps[STEPS];
};

struct image {
    uint8_t bytes[FILE_BYTES];
    size_t size;
};

static void image_write(struct image *image, size_t offset, size_t length, uint8_t byte)
{
    memset(image->bytes + offset, byte, length);
    if (image->size < offset + length)
        image->size = offset + length;
}

/* The file after its synced base and the first `count` steps. */
static struct image image_after(const struct model *m, int count)
{
    struct image image = {.size = 0};
    image_write(&image, 0, 2 * SECTOR, 0xff);
    for (int i = 0; i < count; i++)
        image_write(&image, m->steps[i].offset, m->steps[i].length, m->steps[i].byte);
    return image;
}

/* Performs the base and random steps on a disk, and cuts the power. */
static struct image crash(uint64_t seed, const struct disk_faults *faults, struct model *m)
{
    uint8_t bytes[FILE_BYTES];
    struct image image = {.size = 0};
    struct prng prng;
    prng_seed(&prng, seed);
    struct disk *d = disk_new(seed);
    assert_non_null(d);
    disk_set_faults(d, faults);
    int file = make(d, "a");
    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(disk_write(d, file, bytes, 2 * SECTOR, 0), 2 * SECTOR);
    assert_int_equal(disk_sync(d, file), 0);
    for (int i = 0; i < STEPS; i++) {
        size_t offset = prng_below(&prng, FILE_BYTES - 1);
        size_t length = 1 + prng_below(&prng, FILE_BYTES - offset);
        m->steps[i].offset = offset;
        m->steps[i].length = length;
        m->steps[i].byte = (uint8_t)(i + 1);
        memset(bytes, i + 1, length);
        assert_int_equal(disk_write(d, file, bytes, length, offset), length);
    }
    disk_crash(d);
    file = disk_open(d, "a", O_RDONLY);
    assert_true(file >= 0);
    image.size = (size_t)disk_size(d, file);
    assert_int_equal(disk_read(d, file, image.bytes, sizeof(image.bytes), 0), image.size);
    disk_free(d);
    return image;
}

static int same(const struct image *a, const struct image *b)
{
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

static void by_default_a_prefix_of_the_writes_survives_each_as_likely(void **state)
{
    (void)state;
    int seen[STEPS + 1] = {0};
    for (uint64_t seed = 1; seed <= 700; seed++) {
        struct model m;
        struct image image = crash(seed, &(struct disk_faults){0}, &m);
        int count = 0;
        while (count <= STEPS) {
            struct image prefix = image_after(&m, count);
            if (same(&image, &prefix))
                break;
            count++;
        }
        assert_true(count <= STEPS);
        seen[count]++;
    }
    /* 100 each, a standard deviation of 9; a write may undo what another did, so not exactly. */
    for (int i = 0; i <= STEPS; i++)
        assert_in_range(seen[i], 50, 150);
}

/* Whether the image is the first `count` writes and any sectors of the next one. */
static int is_torn_at(const struct image *image, const struct model *m, int count)
{
    struct image before = image_after(m, count), after = image_after(m, count + 1);
    for (size_t at = 0; at < FILE_BYTES; at += SECTOR) {
        const uint8_t *bytes = image->bytes + at;
        if (memcmp(bytes, before.bytes + at, SECTOR) != 0 &&
            memcmp(bytes, after.bytes + at, SECTOR) != 0)
            return 0;
    }
    return image->size >= before.size && image->size <= after.size;
}

static void torn_writes_lose_whole_sectors_of_the_last_one_only(void **state)
{
    (void)state;
    int torn = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct model m;
        struct image image = crash(seed, &(struct disk_faults){.torn = true}, &m);
        int count = 0, whole = 0;
        while (count < STEPS && !is_torn_at(&image, &m, count))
            count++;
        assert_true(count < STEPS);
        for (int i = 0; i <= STEPS; i++) {
            struct image prefix = image_after(&m, i);
            whole += same(&image, &prefix);
        }
        torn += whole == 0;
    }
    assert_in_range(torn, 100, 299);
}

static void reordered_writes_survive_without_those_before(void **state)
{
    (void)state;
    int gaps = 0, longer = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct model m;
        struct image image = crash(seed, &(struct disk_faults){.reordered = true}, &m);
        /* A naive search: one of the 64 sets of writes explains every byte. */
        int explained = 0, size_explained = 0, prefix = 0;
        for (unsigned set = 0; set < 1u << STEPS; set++) {
            struct image candidate = image_after(&m, 0);
            for (int i = 0; i < STEPS; i++)
                if (set >> i & 1)
                    image_write(&candidate, m.steps[i].offset, m.steps[i].length, m.steps[i].byte);
            if (candidate.size > image.size ||
                memcmp(candidate.bytes, image.bytes, sizeof(image.bytes)) != 0)
                continue;
            explained++;
            size_explained += candidate.size == image.size;
            prefix += (set & (set + 1)) == 0;
        }
        assert_true(explained > 0);
        gaps += prefix == 0;
        longer += size_explained == 0;
    }
    assert_in_range(gaps, 100, 299);
    assert_in_range(longer, 1, 299);
}

/* ---- Determinism ---- */

static void the_same_seed_crashes_the_same_way_and_another_in_another(void **state)
{
    (void)state;
    const struct disk_faults faults = {.torn = true, .reordered = true};
    int different = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct model m;
        struct image first = crash(seed, &faults, &m), second = crash(seed, &faults, &m);
        struct image other = crash(seed + 1, &faults, &m);
        assert_true(same(&first, &second));
        different += !same(&first, &other);
    }
    assert_true(different >= 19);
}

static void the_hash_is_of_what_a_sync_would_keep(void **state)
{
    struct disk *d = *state, *other = disk_new(2);
    assert_non_null(other);
    int a = make(d, "a"), b = make(d, "b");
    put(d, a, "one", 0);
    put(d, b, "two", 0);
    int second = make(other, "b"), first = make(other, "a");
    put(other, second, "2wo", 0);
    put(other, first, "one", 0);
    assert_int_not_equal(disk_hash(d), disk_hash(other));
    put(other, second, "two", 0);
    assert_int_equal(disk_hash(d), disk_hash(other));
    uint64_t before = disk_hash(d);
    assert_int_equal(disk_sync(d, a) | disk_sync(d, b), 0);
    assert_int_equal(disk_hash(d), before);
    disk_crash(d);
    assert_int_equal(disk_hash(d), before);
    put(d, make(d, "b"), "2", 0);
    assert_int_not_equal(disk_hash(d), before);
    disk_free(other);
}

int main(void)
{
#define DISK_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        DISK_TEST(what_is_written_is_read),
        DISK_TEST(a_hole_is_zeros_also_where_a_longer_file_was_truncated),
        DISK_TEST(opening_says_what_posix_says),
        DISK_TEST(a_handle_is_not_used_again),
        DISK_TEST(a_file_is_made_shorter_and_longer),
        DISK_TEST(a_deleted_file_is_gone_and_may_be_made_anew),
        DISK_TEST(a_full_disk_says_so_and_takes_what_needs_no_room),
        DISK_TEST(errors_strike_as_often_as_asked),
        DISK_TEST(what_a_failed_sync_did_not_sync_is_lost_though_a_later_one_succeeds),
        DISK_TEST(a_sync_that_lies_makes_nothing_durable),
        DISK_TEST(what_is_synced_survives_every_crash),
        DISK_TEST(a_file_that_was_never_synced_may_be_gone_or_not),
        cmocka_unit_test(
            a_deletion_that_was_not_synced_may_be_undone_but_never_mixed_with_what_came_after),
        DISK_TEST(a_deletion_that_was_synced_is_final),
        DISK_TEST(the_first_sync_of_a_file_makes_deletions_before_it_final),
        DISK_TEST(what_takes_time_is_seen_at_once_and_durable_when_its_sync_is_complete),
        DISK_TEST(a_crash_undoes_what_was_not_complete),
        DISK_TEST(work_waits_for_the_work_before_and_a_direct_sync_for_none),
        DISK_TEST(a_sync_that_fails_takes_nothing_from_the_one_before),
        cmocka_unit_test(by_default_a_prefix_of_the_writes_survives_each_as_likely),
        cmocka_unit_test(torn_writes_lose_whole_sectors_of_the_last_one_only),
        cmocka_unit_test(reordered_writes_survive_without_those_before),
        cmocka_unit_test(the_same_seed_crashes_the_same_way_and_another_in_another),
        DISK_TEST(the_hash_is_of_what_a_sync_would_keep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
