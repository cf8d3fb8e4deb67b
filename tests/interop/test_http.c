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
    program_start(site->program, PATIENT, "--root", site->root, NULL);
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
    expect_curl("404", "-o /dev/null -w '%{http_code}' " URL "/$(printf '%0300d' 0)");
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

/* Runs a shell command in the root of the site. */
static void in_root(const struct site *site, const char *command)
{
    char output[512];
    if (run_command(output, sizeof(output), "cd %s && %s", site->root, command) != 0)
        fail_msg("%s: %s", command, output);
}

static void links_are_followed_within_the_root_alone(void **state)
{
    struct program *p = serve_site(*state);
    in_root(*state, "ln -s index.html inside && ln -s /etc/passwd absolute && mkdir sub && "
                    "ln -s ../../../etc sub/up && ln -s ../index.html sub/inside");
    expect_curl(page, URL "/inside");
    expect_curl(page, URL "/sub/inside");
    expect_curl("403", "-o /dev/null -w '%{http_code}' " URL "/absolute");
    expect_curl("403", "-o /dev/null -w '%{http_code}' " URL "/sub/up/passwd");
    program_stop(p, SIGTERM);
}

static void devices_and_what_nobody_may_read_are_forbidden(void **state)
{
    struct program *p = serve_site(*state);
    in_root(*state, "mkfifo fifo && chmod 666 fifo && echo >hidden && chmod 600 hidden");
    expect_curl("403", "-o /dev/null -w '%{http_code}' " URL "/fifo");
    expect_curl("403", "-o /dev/null -w '%{http_code}' " URL "/hidden");
    program_stop(p, SIGTERM);
}

static void a_directory_without_index_is_listed(void **state)
{
    struct program *p = serve_site(*state);
    in_root(*state, "mkdir -p 'sub/a dir' && touch 'sub/<b>&' sub/.c");
    expect_curl("<li><a href=\"../\">../</a>\n"
                "<li><a href=\"./%3Cb%3E%26\">&lt;b&gt;&amp;</a>\n"
                "<li><a href=\"./a%20dir/\">a dir/</a>\n",
                "-L " URL "/sub | grep '<li>'");
    program_stop(p, SIGTERM);
}

/* The status of a request for the page, made in the root of the site. */
static void expect_status(const struct site *site, const char *expected, const char *options)
{
    char output[256];
    int status = run_command(output, sizeof(output),
                             "cd %s && " CURL "-o /dev/null -w '%%{http_code}' %s " URL "/",
                             site->root, options);
    assert_int_equal(status, 0);
    assert_string_equal(output, expected);
}

static void curl_is_told_what_it_has_already(void **state)
{
    struct program *p = serve_site(*state);
    expect_status(*state, "304", "-z index.html"); /* not newer than this file */
    expect_status(*state, "200", "-z '1 Jan 2001'");
    expect_status(*state, "200", "--etag-save tag");
    expect_status(*state, "304", "--etag-compare tag");
    in_root(*state, "touch index.html");
    expect_status(*state, "200", "--etag-compare tag");
    program_stop(p, SIGTERM);
}

static void curl_upgrades_to_nothing(void **state)
{
    struct program *p = serve_site(*state);
    expect_curl("200 1.1", "--http2 -o /dev/null -w '%{http_code} %{http_version}' " URL "/");
    program_stop(p, SIGTERM);
}

static void a_body_is_taken_and_thrown_away(void **state)
{
    struct program *p = serve_site(*state);
    expect_curl("405", "-o /dev/null -w '%{http_code}' -d hello " URL "/");
    expect_curl("413",
                "-o /dev/null -w '%{http_code}' -X GET -H Expect: --data-binary @/bin/sh " URL "/");
    expect_curl(page, "-X GET -H 'Transfer-Encoding: chunked' -d hello " URL "/");
    program_stop(p, SIGTERM);
}

static void the_access_log_has_a_line_for_each_request(void **state)
{
    struct site *site = *state;
    char log[64], output[1024];
    write_page(site->root);
    snprintf(log, sizeof(log), "%s/log", site->root);
    program_start(site->program, "--root", site->root, "--access-log", log, NULL);
    expect_curl(page, "-A agent " URL "/");
    expect_curl("404", "-o /dev/null -w '%{http_code}' -A agent -e " URL "/ " URL "/nothing");
    program_stop(site->program, SIGTERM);
    int status = run_command(output, sizeof(output), "sed 's/\\[.*\\]/[TIME]/' %s", log);
    assert_int_equal(status, 0);
    assert_string_equal(output, KERNEL_ADDRESS
                        " - - [TIME] \"GET / HTTP/1.1\" 200 31 \"-\" \"agent\"\n" KERNEL_ADDRESS
                        " - - [TIME] \"GET /nothing HTTP/1.1\" 404 14 \"" URL "/\" \"agent\"\n");
}

static void an_access_log_that_cannot_be_written_is_refused(void **state)
{
    struct site *site = *state;
    const char *const arguments[] = {"serve",        "--addr",          STRAIT_NETWORK,
                                     "--access-log", "/nowhere/at/all", NULL};
    program_refuses(site->program, 0, 1, "--access-log /nowhere/at/all", arguments);
}

/* Both count what they find wrong; neither fails by its status. */
static void ab_and_wrk_find_nothing_wrong(void **state)
{
    char output[4096];
    struct program *p = serve_site(*state);
    assert_int_equal(run_command(output, sizeof(output), "ab -q -k -n 5000 -c 20 " URL "/"), 0);
    assert_non_null(strstr(output, "Complete requests:      5000\n"));
    assert_non_null(strstr(output, "Failed requests:        0\n"));
    assert_non_null(strstr(output, "Keep-Alive requests:    5000\n"));
    assert_null(strstr(output, "Non-2xx"));
    assert_int_equal(run_command(output, sizeof(output), "ab -q -n 1000 -c 20 " URL "/"), 0);
    assert_non_null(strstr(output, "Failed requests:        0\n"));
    assert_int_equal(run_command(output, sizeof(output), "wrk -t1 -c64 -d1s " URL "/"), 0);
    assert_non_null(strstr(output, "Requests/sec:"));
    assert_null(strstr(output, "Socket errors"));
    assert_null(strstr(output, "Non-2xx"));
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

static void a_download_is_resumed(void **state)
{
    char fetch[256];
    const struct site *site = *state;
    make_big_file(site, 5 * MB);
    struct program *p = serve_site(*state);
    in_root(site, "head -c 1234567 big >part");
    snprintf(fetch, sizeof(fetch), "cd %s && " CURL "-C - -o part " URL "/big && cat part",
             site->root);
    expect_equal_hash(site, fetch);
    program_stop(p, SIGTERM);
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

/* Begins to read the file, does `command` in the root, and goes on once curl can. */
#define INTERRUPTED(command)                                                                       \
    "cd %s && { " CURL URL "/big 2>curl; echo $? >status; } | "                                    \
    "{ head -c 1000; " command "; cat; }"

/* A file is replaced by a rename, as tools that install do: who has begun with it gets all of it.
 */
static void a_file_that_is_replaced_on_the_way_arrives_as_it_was(void **state)
{
    char fetch[512], copy[256], original[256];
    struct site *site = *state;
    make_big_file(site, SCALED(100 * MB));
    struct program *p = serve_site(site);
    assert_int_equal(run_command(original, sizeof(original), "sha256sum <%s/big", site->root), 0);
    in_root(site, "echo new >other");
    snprintf(fetch, sizeof(fetch), INTERRUPTED("mv other big"), site->root);
    assert_int_equal(run_command(copy, sizeof(copy), "%s | sha256sum", fetch), 0);
    assert_string_equal(copy, original);
    expect_curl("new\n", URL "/big");
    program_stop(p, SIGTERM);
}

/* The server must not trip over what is gone, and the peer has to learn of it (RFC 9112 8). */
static void a_file_that_is_cut_on_the_way_does_not_look_complete(void **state)
{
    char fetch[512], output[256];
    struct site *site = *state;
    make_big_file(site, SCALED(100 * MB));
    struct program *p = serve_site(site);
    snprintf(fetch, sizeof(fetch), INTERRUPTED("truncate -s 1000 big"), site->root);
    assert_int_equal(run_command(output, sizeof(output), "%s >part", fetch), 0);
    assert_int_equal(run_command(output, sizeof(output), "cat %s/status", site->root), 0);
    assert_string_equal(output, "56\n"); /* CURLE_RECV_ERROR: the connection was reset */
    expect_curl("1000", "-o /dev/null -w '%{size_download}' " URL "/big");
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
        TEST(links_are_followed_within_the_root_alone),
        TEST(devices_and_what_nobody_may_read_are_forbidden),
        TEST(a_directory_without_index_is_listed),
        TEST(curl_is_told_what_it_has_already),
        TEST(curl_upgrades_to_nothing),
        TEST(a_body_is_taken_and_thrown_away),
        TEST(the_access_log_has_a_line_for_each_request),
        TEST(an_access_log_that_cannot_be_written_is_refused),
        TEST(ab_and_wrk_find_nothing_wrong),
        TEST(one_connection_carries_many_requests),
        TEST(without_a_root_there_is_a_page_all_the_same),
        TEST(a_hundred_megabytes_are_equal_by_hash),
        TEST(a_download_is_resumed),
        TEST(ten_downloads_at_once_are_equal_by_hash),
        TEST(a_slow_download_is_equal_by_hash),
        TEST(a_file_that_is_replaced_on_the_way_arrives_as_it_was),
        TEST(a_file_that_is_cut_on_the_way_does_not_look_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
