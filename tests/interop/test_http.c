/* SPDX-License-Identifier: MIT */
/* curl as the client of the HTTP server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel.h"
#include "program.h"

#define URL  "http://" STRAIT_ADDRESS
#define CURL "curl -sS --max-time 50 "

static const char page[] = "<!DOCTYPE html>\n<p>A page.</p>\n";

struct site {
    struct program *program;
    char root[32];
};

static void write_page(const char *root)
{
    char path[64];
    snprintf(path, sizeof(path), "%s/index.html", root);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(page, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int site_setup(void **state)
{
    struct site *site = calloc(1, sizeof(*site));
    void *program = NULL;
    *state = site;
    if (site == NULL || program_setup(&program) != 0)
        return -1;
    site->program = program;
    snprintf(site->root, sizeof(site->root), "/tmp/strait-www.XXXXXX");
    /* The program reads it as whoever it became when it gave up its privileges. */
    return mkdtemp(site->root) != NULL && chmod(site->root, 0755) == 0 ? 0 : -1;
}

static int site_teardown(void **state)
{
    struct site *site = *state;
    char output[256];
    void *program = site->program;
    int status = run_command(output, sizeof(output), "rm -rf %s", site->root);
    status |= program_teardown(&program);
    free(site);
    return status;
}

static struct program *serve_site(struct site *site)
{
    write_page(site->root);
    program_start(site->program, "--root", site->root, NULL);
    return site->program;
}

/* Runs curl with options and an address; its output has to be `expected`. */
static void expect_curl(const char *expected, const char *arguments)
{
    char output[8192];
    int status = run_command(output, sizeof(output), CURL "%s", arguments);
    if (status != 0)
        fail_msg("curl %s: status %d, %s", arguments, status, output);
    assert_string_equal(output, expected);
}

static void curl_gets_a_page(void **state)
{
    struct program *p = serve_site(*state);
    expect_curl(page, URL "/index.html");
    expect_curl(page, URL "/");
    expect_curl("200 31 text/html", "-o /dev/null -w '%{http_code} %{size_download} "
                                    "%{content_type}' " URL "/ | sed 's/;.*//'");
    program_stop(p, SIGTERM);
}

static void head_tells_the_length_and_sends_no_body(void **state)
{
    struct program *p = serve_site(*state);
    expect_curl("HTTP/1.1 200 OK\nContent-Length: 31\n",
                "-I " URL "/ | tr -d '\\r' | grep -i -e '^HTTP' -e '^Content-Length'");
    program_stop(p, SIGTERM);
}

static void what_is_not_there_is_404_and_what_is_not_allowed_405(void **state)
{
    struct program *p = serve_site(*state);
    expect_curl("404", "-o /dev/null -w '%{http_code}' " URL "/nothing");
    expect_curl("405", "-o /dev/null -w '%{http_code}' -X DELETE " URL "/");
    program_stop(p, SIGTERM);
}

static void nothing_outside_the_root_is_served(void **state)
{
    struct program *p = serve_site(*state);
    char code[16];
    const char *const paths[] = {"/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        int status =
            run_command(code, sizeof(code),
                        CURL "--path-as-is -o /dev/null -w '%%{http_code}' " URL "%s", paths[i]);
        assert_int_equal(status, 0);
        assert_true(code[0] == '4');
    }
    program_stop(p, SIGTERM);
}

static void one_connection_carries_many_requests(void **state)
{
    struct program *p = serve_site(*state);
    expect_curl("1 0 0 ", "-o /dev/null -o /dev/null -o /dev/null -w '%{num_connects} ' " URL
                          "/ " URL "/index.html " URL "/nothing");
    program_stop(p, SIGTERM);
    assert_int_equal(program_counter(p, "tcp_connections_accepted"), 1);
}

static void without_a_root_there_is_a_page_all_the_same(void **state)
{
    struct site *site = *state;
    program_start(site->program, NULL);
    expect_curl("200", "-o /dev/null -w '%{http_code}' " URL "/");
    program_stop(site->program, SIGTERM);
}

static void make_big_file(const struct site *site, uint64_t bytes)
{
    char output[256];
    int status = run_command(output, sizeof(output), "head -c %llu /dev/urandom >%s/big",
                             (unsigned long long)bytes, site->root);
    assert_int_equal(status, 0);
}

/* `fetch` writes the file to stdout; its hash is compared with the hash of the original. */
static void expect_equal_hash(const struct site *site, const char *fetch)
{
    char copy[256], original[256];
    assert_int_equal(run_command(original, sizeof(original), "sha256sum <%s/big", site->root), 0);
    assert_int_equal(run_command(copy, sizeof(copy), "%s | sha256sum", fetch), 0);
    assert_string_equal(copy, original);
}

static void a_hundred_megabytes_are_equal_by_hash(void **state)
{
    make_big_file(*state, SCALED(100 * MB));
    struct program *p = serve_site(*state);
    expect_equal_hash(*state, CURL URL "/big");
    program_stop(p, SIGTERM);
    assert_int_equal(program_counter(p, "tcp_retransmitted_segments"), 0);
}

static void ten_downloads_at_once_are_equal_by_hash(void **state)
{
    struct site *site = *state;
    char output[4096], fetch[256];
    make_big_file(site, SCALED(20 * MB));
    struct program *p = serve_site(site);
    snprintf(fetch, sizeof(fetch), CURL "--fail -Z '" URL "/big?[0-9]' -o '%s/copy#1'", site->root);
    int status = run_command(output, sizeof(output), "%s", fetch);
    if (status != 0)
        fail_msg("curl: status %d, %s", status, output);
    for (int i = 0; i < 10; i++) {
        snprintf(fetch, sizeof(fetch), "cat %s/copy%d", site->root, i);
        expect_equal_hash(site, fetch);
    }
    program_stop(p, SIGTERM);
}

static void a_slow_download_is_equal_by_hash(void **state)
{
    char fetch[256];
    struct site *site = *state;
    make_big_file(site, SCALED(100 * MB));
    struct program *p = serve_site(site);
    /* The pipe's reader sleeps, so curl does, so the window closes in mid-transfer. */
    snprintf(fetch, sizeof(fetch), CURL URL "/big | (sleep 3; cat)");
    expect_equal_hash(site, fetch);
    program_stop(p, SIGTERM);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, site_setup, site_teardown)
    const struct CMUnitTest tests[] = {
        TEST(curl_gets_a_page),
        TEST(head_tells_the_length_and_sends_no_body),
        TEST(what_is_not_there_is_404_and_what_is_not_allowed_405),
        TEST(nothing_outside_the_root_is_served),
        TEST(one_connection_carries_many_requests),
        TEST(without_a_root_there_is_a_page_all_the_same),
        TEST(a_hundred_megabytes_are_equal_by_hash),
        TEST(ten_downloads_at_once_are_equal_by_hash),
        TEST(a_slow_download_is_equal_by_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
