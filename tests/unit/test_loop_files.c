/* SPDX-License-Identifier: MIT */
/* The files and the random numbers of a loop's environment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loop_fixture.h"

static void files_are_read_and_written_at_an_offset(void **state)
{
    struct loop_fixture *f = *state;
    struct strait_env *env = f->env;
    char directory[] = "/tmp/strait-loop-XXXXXX", path[64], bytes[8];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/file", directory);

    errno = 0;
    assert_int_equal(env->file_open(env, path, O_RDONLY), -1);
    assert_int_equal(errno, ENOENT);
    int file = env->file_open(env, path, O_RDWR | O_CREAT | O_EXCL);
    assert_true(file >= 0);
    assert_true(fcntl(file, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(env->file_write(env, file, "world", 5, 6), 5);
    assert_int_equal(env->file_write(env, file, "hello ", 6, 0), 6);
    assert_int_equal(env->file_sync(env, file), 0);
    assert_int_equal(env->file_size(env, file), 11);
    assert_int_equal(env->file_read(env, file, bytes, 5, 4), 5);
    assert_memory_equal(bytes, "o wor", 5);
    assert_int_equal(env->file_read(env, file, bytes, 5, 11), 0);
    assert_int_equal(env->file_close(env, file), 0);
    assert_int_equal(env->file_size(env, file), -1);
    unlink(path);

    /* Nobody writes to this FIFO: a plain open would wait for ever. */
    assert_int_equal(mkfifo(path, 0600), 0);
    file = env->file_open(env, path, O_RDONLY);
    assert_true(file >= 0);
    assert_int_equal(env->file_read(env, file, bytes, 5, 0), -1);
    assert_int_equal(env->file_close(env, file), 0);
    unlink(path);
    rmdir(directory);
}

#define NAMES_BYTES 200

/* Collects names, each behind a space, a directory with a slash. */
static bool collect(void *context, const char *name, bool is_directory)
{
    char *names = context;
    size_t length = strlen(names);
    snprintf(names + length, NAMES_BYTES - length, " %s%s", name, is_directory ? "/" : "");
    return true;
}

static void what_lies_below_a_directory_is_opened_and_told_of(void **state)
{
    struct loop_fixture *f = *state;
    struct strait_env *env = f->env;
    struct strait_file_status status, again;
    char root[] = "/tmp/strait-loop-XXXXXX", path[64], names[NAMES_BYTES] = "";
    assert_non_null(mkdtemp(root));
    int directory = env->file_open(env, root, O_RDONLY | O_DIRECTORY);
    assert_true(directory >= 0);
    snprintf(path, sizeof(path), "%s/sub", root);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(env->file_list(env, directory, collect, names), 0);
    assert_string_equal(names, " sub/");
    snprintf(path, sizeof(path), "%s/sub/file", root);
    int file = env->file_open(env, path, O_RDWR | O_CREAT);
    assert_int_equal(env->file_write(env, file, "hello", 5, 0), 5);
    assert_int_equal(env->file_close(env, file), 0);

    int sub = env->file_open_below(env, directory, "sub", O_DIRECTORY);
    assert_true(sub >= 0);
    for (int i = 0; i < 2; i++) {
        names[0] = '\0';
        assert_int_equal(env->file_list(env, sub, collect, names), 0);
        assert_string_equal(names, " file");
    }
    assert_int_equal(env->file_status(env, directory, "sub", &status), 0);
    assert_true(status.directory && !status.regular);
    assert_int_equal(env->file_status(env, sub, "", &again), 0);
    assert_int_equal(again.number, status.number);
    file = env->file_open_below(env, directory, "sub/file", 0);
    assert_true(file >= 0);
    assert_true(fcntl(file, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(env->file_status(env, file, "", &status), 0);
    assert_true(status.regular && !status.directory);
    assert_int_equal(status.size_bytes, 5);
    assert_in_range(status.changed_ns, env->wall_clock(env) - 10000000000, env->wall_clock(env));
    assert_int_equal(env->file_close(env, file), 0);
    assert_int_equal(env->file_close(env, sub), 0);
    assert_int_equal(env->file_status(env, directory, "none", &status), -1);
    assert_int_equal(errno, ENOENT);

    unlink(path);
    snprintf(path, sizeof(path), "%s/sub", root);
    rmdir(path);
    assert_int_equal(env->file_close(env, directory), 0);
    rmdir(root);
}

static void nothing_outside_of_a_directory_is_opened_below_it(void **state)
{
    struct loop_fixture *f = *state;
    struct strait_env *env = f->env;
    char root[] = "/tmp/strait-loop-XXXXXX", path[64];
    static const struct {
        const char *link, *to;
        int error;
    } links[] = {{"up", "..", EXDEV},
                 {"etc", "/etc", EXDEV},
                 {"self", ".", 0},
                 {"twice", "self/self", 0},
                 {"loop", "loop", ELOOP}};
    assert_non_null(mkdtemp(root));
    int directory = env->file_open(env, root, O_RDONLY | O_DIRECTORY);
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", root, links[i].link);
        assert_int_equal(symlink(links[i].to, path), 0);
    }
    static const char *const outside[] = {"..", "self/../..", "/", "/etc/passwd", "etc/passwd"};
    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
        errno = 0;
        assert_int_equal(env->file_open_below(env, directory, outside[i], 0), -1);
        assert_int_equal(errno, EXDEV);
    }
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        errno = 0;
        int file = env->file_open_below(env, directory, links[i].link, 0);
        assert_int_equal(file < 0 ? errno : 0, links[i].error);
        if (file >= 0)
            env->file_close(env, file);
    }
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", root, links[i].link);
        unlink(path);
    }
    env->file_close(env, directory);
    rmdir(root);
}

static void random_bytes_differ_from_call_to_call(void **state)
{
    struct loop_fixture *f = *state;
    uint8_t a[1000] = {0}, b[1000] = {0};
    f->env->random(f->env, a, sizeof(a));
    f->env->random(f->env, b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    assert_memory_not_equal(a, a + 500, 500);
    static const uint8_t zeros[100];
    assert_memory_not_equal(a + 900, zeros, 100); /* filled to the end */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)
    const struct CMUnitTest tests[] = {
        TEST(files_are_read_and_written_at_an_offset),
        TEST(what_lies_below_a_directory_is_opened_and_told_of),
        TEST(nothing_outside_of_a_directory_is_opened_below_it),
        TEST(random_bytes_differ_from_call_to_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
