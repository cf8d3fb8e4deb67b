/* SPDX-License-Identifier: MIT */
/* `strait get`, from a server of the kernel that says what the test wants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client.h"
#include "strait.h"

#define OUTPUT_BYTES 8192
#define REQUEST_MAX  4096

/* A server, and a folder in which the client writes "file". */
struct site {
    int listener;
    uint16_t port;
    char folder[32];
    char file[64];
};

static int setup(void **state)
{
    struct site *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    s->listener = client_peer(SOCK_STREAM, &s->port);
    snprintf(s->folder, sizeof(s->folder), "/tmp/strait-get.XXXXXX");
    assert_non_null(mkdtemp(s->folder));
    snprintf(s->file, sizeof(s->file), "%s/file", s->folder);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct site *s = *state;
    close(s->listener);
    unlink(s->file);
    rmdir(s->folder);
    free(s);
    return 0;
}

/* ---- The server ------------------------------------------------------------------------------ */

static void send_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t n = send(fd, bytes, length, MSG_NOSIGNAL);
        if (n <= 0)
            fail_msg("sending: %m");
        bytes += n;
        length -= (size_t)n;
    }
}

/* Accepts a request, which has to ask for this target and (if not NULL) contain these words. */
static int take_request(const struct site *s, const char *target, const char *words)
{
    char request[REQUEST_MAX] = "", line[256];
    size_t length = 0;
    int fd = accept(s->listener, NULL, NULL);
    if (fd < 0)
        fail_msg("no request for %s: %m", target);
    while (strstr(request, "\r\n\r\n") == NULL) {
        ssize_t n = recv(fd, request + length, sizeof(request) - 1 - length, 0);
        assert_true(n > 0);
        length += (size_t)n;
        request[length] = '\0';
    }
    snprintf(line, sizeof(line), "GET %s HTTP/1.1\r\nHost: " KERNEL_ADDRESS ":%u\r\n", target,
             s->port);
    if (strncmp(request, line, strlen(line)) != 0 || (words && strstr(request, words) == NULL))
        fail_msg("not %s and %s: %s", line, words ? words : "anything", request);
    return fd;
}

/* The same, answered with this. Then the connection is closed. */
static void serve(const struct site *s, const char *target, const char *words, const char *answer)
{
    int fd = take_request(s, target, words);
    send_all(fd, answer, strlen(answer));
    close(fd);
}

/* ---- The client ------------------------------------------------------------------------------ */

/* Asks for a target of the site. */
static FILE *get(const struct site *s, const char *target, const char *options)
{
    return start_command(CLIENT("get") "http://" KERNEL_ADDRESS ":%u%s %s", s->port, target,
                         options);
}

/* The same, to be written to the file. */
static FILE *get_file(const struct site *s, const char *target, const char *options)
{
    return start_command(CLIENT("get") "http://" KERNEL_ADDRESS ":%u%s -o %s %s", s->port, target,
                         s->file, options);
}

static void expect_end(FILE *client, int expected_status, const char *expected)
{
    char output[OUTPUT_BYTES];
    int status = finish_command(client, output, sizeof(output));
    if (status != expected_status)
        fail_msg("status %d instead of %d: %s", status, expected_status, output);
    assert_string_equal(output, expected);
}

/* It has failed, for this reason, in the last line. */
static void expect_failure(FILE *client, const char *reason)
{
    char output[OUTPUT_BYTES];
    int status = finish_command(client, output, sizeof(output));
    if (status != 1 || strstr(output, "strait: ") == NULL || strstr(output, reason) == NULL)
        fail_msg("status %d, and not `%s` but: %s", status, reason, output);
}

static void write_file(const struct site *s, const char *text)
{
    FILE *file = fopen(s->file, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void expect_file(const struct site *s, const char *expected)
{
    char text[256] = "";
    FILE *file = fopen(s->file, "re");
    assert_non_null(file);
    size_t n = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[n] = '\0';
    assert_string_equal(text, expected);
}

/* ---- Bodies ---------------------------------------------------------------------------------- */

static void a_body_goes_to_stdout(void **state)
{
    struct site *s = *state;
    FILE *client = get(s, "/a/page?x=y#top", "");
    serve(s, "/a/page?x=y",
          "\r\nUser-Agent: strait/" STRAIT_VERSION "\r\nAccept: */*\r\n"
          "Accept-Encoding: identity\r\nConnection: close\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n");
    expect_end(client, 0, "hello\n");

    client = get(s, "", "");
    serve(s, "/", NULL,
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n");
    expect_end(client, 0, "hello");

    client = get(s, "/", "-o -");
    serve(s, "/", NULL, "HTTP/1.0 200 OK\r\n\r\nto the end");
    expect_end(client, 0, "to the end");
}

/* The server need not close: Content-Length says where the body ends. */
static void it_does_not_wait_for_the_server_to_close(void **state)
{
    struct site *s = *state;
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    FILE *client = get(s, "/", "");
    int fd = take_request(s, "/", NULL);
    send_all(fd, answer, strlen(answer));
    expect_end(client, 0, "hello");
    close(fd);
}

static void a_file_is_written_anew(void **state)
{
    struct site *s = *state;
    write_file(s, "what was here before, and was longer");
    FILE *client = get_file(s, "/", "");
    serve(s, "/", NULL, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew");
    expect_end(client, 0, "");
    expect_file(s, "new");
}

static void much_is_equal_by_hash(void **state)
{
    struct site *s = *state;
    size_t length = SCALED(50 * MB);
    char original[OUTPUT_BYTES], head[128];
    uint8_t *bytes = malloc(length);
    assert_non_null(bytes);
    FILE *file = fopen(s->file, "we");
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(i * 2654435761u >> 24);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(run_command(original, sizeof(original), "sha256sum <%s", s->file), 0);
    snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", length);

    /* To a pipe whose reader sleeps at first, and to the file. */
    for (int i = 0; i < 2; i++) {
        FILE *client = i == 0 ? get(s, "/", "| { sleep 1; sha256sum; }") : get_file(s, "/", "");
        int fd = take_request(s, "/", NULL);
        send_all(fd, head, strlen(head));
        send_all(fd, (const char *)bytes, length);
        close(fd);
        expect_end(client, 0, i == 0 ? original : "");
    }
    expect_end(start_command("sha256sum <%s", s->file), 0, original);
    free(bytes);
}

/* ---- Redirections ---------------------------------------------------------------------------- */

static void redirections_are_followed_rfc9110_15_4(void **state)
{
    struct site *s = *state;
    char absolute[256];
    snprintf(absolute, sizeof(absolute),
             "HTTP/1.1 308 Moved\r\nLocation: http://" KERNEL_ADDRESS
             ":%u/end\r\nContent-Length: 0\r\n\r\n",
             s->port);
    FILE *client = get(s, "/a/b", "");
    serve(s, "/a/b", NULL,
          "HTTP/1.1 302 Found\r\nLocation: c?d\r\nContent-Length: 9\r\n\r\nnot this!");
    serve(s, "/a/c?d", NULL, "HTTP/1.1 301 Moved\r\nLocation: /x\r\n\r\nnor this");
    serve(s, "/x", NULL, absolute);
    serve(s, "/end", NULL, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhere");
    expect_end(client, 0, "here");
}

static void redirections_come_to_an_end(void **state)
{
    struct site *s = *state;
    FILE *client = get(s, "/", "");
    for (int i = 0; i < 6; i++)
        serve(s, "/", NULL, "HTTP/1.1 307 Again\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
    expect_failure(client, ": more than 5 redirections\n");
}

static void where_it_cannot_go_is_told(void **state)
{
    struct site *s = *state;
    FILE *client = get(s, "/", "");
    serve(s, "/", NULL, "HTTP/1.1 302 Found\r\nLocation: https://elsewhere/\r\n\r\n");
    expect_failure(client, ": redirected: only http:// is spoken\n");
    client = get(s, "/", "");
    serve(s, "/", NULL, "HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\n\r\n");
    expect_failure(client, ": redirected to elsewhere; names are not looked up any more");
    client = get(s, "/", "");
    serve(s, "/", NULL, "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n");
    expect_failure(client, ": the server answers 302 Found\n");
}

/* ---- Continuing ------------------------------------------------------------------------------ */

static void a_file_is_continued_rfc9110_14(void **state)
{
    struct site *s = *state;
    write_file(s, "01234");
    FILE *client = get_file(s, "/", "-C");
    serve(s, "/", "\r\nRange: bytes=5-\r\n",
          "HTTP/1.1 206 Part\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5\r\n\r\n56789");
    expect_end(client, 0, "");
    expect_file(s, "0123456789");

    client = get_file(s, "/", "-C");
    serve(s, "/", "\r\nRange: bytes=10-\r\n",
          "HTTP/1.1 416 No\r\nContent-Range: bytes */10\r\nContent-Length: 0\r\n\r\n");
    expect_end(client, 0, "");
    expect_file(s, "0123456789");
}

static void without_a_file_there_is_nothing_to_continue(void **state)
{
    struct site *s = *state;
    FILE *client = get_file(s, "/", "-C");
    int fd = take_request(s, "/", "\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n");
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nall";
    send_all(fd, answer, strlen(answer));
    close(fd);
    expect_end(client, 0, "");
    expect_file(s, "all");
}

static void a_server_that_sends_no_parts_sends_the_whole(void **state)
{
    struct site *s = *state;
    write_file(s, "0123x and more than there should be");
    FILE *client = get_file(s, "/", "-C");
    serve(s, "/", NULL, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789");
    expect_end(client, 0,
               "strait: the server sends the whole instead of the rest: beginning anew\n");
    expect_file(s, "0123456789");
}

static void another_part_than_asked_for_is_not_appended(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 206 P\r\nContent-Range: bytes 4-9/10\r\nContent-Length: 6\r\n\r\n456789",
        "HTTP/1.1 206 P\r\nContent-Range: bytes 5-8/10\r\nContent-Length: 4\r\n\r\n5678",
        "HTTP/1.1 206 P\r\nContent-Length: 5\r\n\r\n56789",
        "HTTP/1.1 206 P\r\nContent-Range: bytes */10\r\nContent-Length: 5\r\n\r\n56789",
    };
    struct site *s = *state;
    write_file(s, "01234");
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        FILE *client = get_file(s, "/", "-C");
        serve(s, "/", NULL, answers[i]);
        expect_failure(client, ": the server sends another part than was asked for\n");
        expect_file(s, "01234");
    }
    FILE *client = get_file(s, "/", "-C");
    serve(s, "/", NULL, "HTTP/1.1 416 No\r\nContent-Range: bytes */3\r\n\r\n");
    expect_failure(client, "remove it to begin anew");
    expect_file(s, "01234");
    client = get(s, "/", "");
    serve(s, "/", NULL, answers[1]);
    expect_failure(client, ": the server sends another part than was asked for\n");
}

static void what_came_before_a_failure_can_be_continued(void **state)
{
    struct site *s = *state;
    FILE *client = get_file(s, "/", "");
    serve(s, "/", NULL, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234");
    expect_failure(client, ": the connection has ended before the body\n");
    expect_file(s, "01234");
    client = get_file(s, "/", "-C");
    serve(s, "/", "\r\nRange: bytes=5-\r\n",
          "HTTP/1.1 206 Part\r\nContent-Range: bytes 5-9/*\r\nContent-Length: 5\r\n\r\n56789");
    expect_end(client, 0, "");
    expect_file(s, "0123456789");
}

/* ---- Failures -------------------------------------------------------------------------------- */

static void what_fails_is_status_1_and_one_line(void **state)
{
    struct site *s = *state;
    write_file(s, "kept");
    FILE *client = get_file(s, "/", "");
    serve(s, "/", NULL, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone");
    expect_failure(client, ": the server answers 404 Not Found\n");
    expect_file(s, "kept");
    client = get(s, "/", "");
    serve(s, "/", NULL, "220 mail.example.org ESMTP\r\n");
    expect_failure(client, ": the answer is no HTTP\n");
    client = get(s, "/", "");
    serve(s, "/", NULL, "");
    expect_failure(client, ": the connection has ended without an answer\n");
    client = get(s, "/", "| true");
    int fd = take_request(s, "/", NULL);
    usleep(200000);
    static const char answer[] = "HTTP/1.1 200 OK\r\n\r\nfor nobody";
    send_all(fd, answer, strlen(answer));
    expect_end(client, 0, "strait: stdout: Broken pipe\n");
    close(fd);

    client_refuses("get", 1, "10.7.0.1: Connection refused", "http://10.7.0.1:9/");
    client_refuses("get", 1, "/nonexistent/x: No such file or directory",
                   "http://10.7.0.1/ -o /nonexistent/x");
    client_refuses("get", 1, "/tmp: Is a directory", "http://10.7.0.1/ -o /tmp");
    client_refuses("get", 1, "-C /dev/null: only a file", "http://10.7.0.1/ -C -o /dev/null");
    client_refuses("get", 1, "nowhere.invalid: ", "http://nowhere.invalid/");
}

static void wrong_command_lines_are_status_2_and_one_line(void **state)
{
    (void)state;
    client_refuses("get", 2, "the URL is missing", "");
    client_refuses("get", 2, "unexpected \"http://b/\"", "http://a/ http://b/");
    client_refuses("get", 2, "https://a/: only http:// is spoken", "https://a/");
    client_refuses("get", 2, "10.7.0.1: a URL begins with http://", "10.7.0.1");
    client_refuses("get", 2, "-C needs -o FILE", "-C http://a/");
    client_refuses("get", 2, "-o needs a value; see strait get --help", "http://a/ -o");
}

/* ---- The terminal ---------------------------------------------------------------------------- */

/* script(1) gives it one. Elsewhere than on a terminal there is no progress: see all tests above.
 */
static void progress_is_shown_on_a_terminal_unless_q(void **state)
{
    struct site *s = *state;
    for (int quiet = 0; quiet <= 1; quiet++) {
        char output[OUTPUT_BYTES];
        FILE *client = start_command("script -qec '" CLIENT("get") "http://" KERNEL_ADDRESS
                                                                   ":%u/ -o %s %s' /dev/null",
                                     s->port, s->file, quiet ? "-q" : "");
        serve(s, "/", NULL, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        assert_int_equal(finish_command(client, output, sizeof(output)), 0);
        if (quiet)
            assert_string_equal(output, "");
        else if (strstr(output, "\r100% [====") == NULL || strstr(output, "] ") == NULL)
            fail_msg("no progress: %s", output);
        expect_file(s, "hello");
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_body_goes_to_stdout),
        TEST(it_does_not_wait_for_the_server_to_close),
        TEST(a_file_is_written_anew),
        TEST(much_is_equal_by_hash),
        TEST(redirections_are_followed_rfc9110_15_4),
        TEST(redirections_come_to_an_end),
        TEST(where_it_cannot_go_is_told),
        TEST(a_file_is_continued_rfc9110_14),
        TEST(without_a_file_there_is_nothing_to_continue),
        TEST(a_server_that_sends_no_parts_sends_the_whole),
        TEST(another_part_than_asked_for_is_not_appended),
        TEST(what_came_before_a_failure_can_be_continued),
        TEST(what_fails_is_status_1_and_one_line),
        TEST(wrong_command_lines_are_status_2_and_one_line),
        TEST(progress_is_shown_on_a_terminal_unless_q),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
