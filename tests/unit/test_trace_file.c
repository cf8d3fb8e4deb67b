/* SPDX-License-Identifier: MIT */
/* The file of --trace, of a pair of stacks in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "echo/echo.h"
#include "pair.h"
#include "talker.h"
#include "trace.h"

#define COLUMNS 14

static int failure;

static void failed(int error)
{
    assert_int_equal(failure, 0); /* it is told once */
    failure = error;
}

static int reset(void **state)
{
    (void)state;
    failure = 0;
    return 0;
}

/* A file that nothing else has; the caller removes it. */
static const char *new_path(char path[32])
{
    snprintf(path, 32, "/tmp/strait-trace.XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    return path;
}

/* Parts a line by its tabs; it has to have all columns, and no more. */
static void part(char *line, char *columns[COLUMNS])
{
    char *rest = line;
    line[strcspn(line, "\n")] = '\0';
    for (int i = 0; i < COLUMNS; i++) {
        columns[i] = rest ? strsep(&rest, "\t") : NULL;
        if (!columns[i])
            fail_msg("%d columns", i);
    }
    assert_null(rest);
}

/* Lets 100 bytes be echoed under the eyes of the trace, and closes it. */
static void trace_an_echo(const char *path)
{
    static const char text[100];
    struct pair *pair = pair_new(&(struct pair_config){0});
    struct server *server = echo_start(pair_stack(pair, 1), pair_env(pair), 7);
    struct trace *trace = trace_open(path, failed);
    assert_non_null(trace);
    trace_start(trace, pair_stack(pair, 0), pair_env(pair));
    struct talker *client = talker_connect(pair, 0, 7);
    talker_say(client, text, sizeof(text));
    talker_hear(client, sizeof(text));
    pair_run(pair, 2 * PAIR_S);
    strait_trace(pair_stack(pair, 0), NULL, NULL);
    trace_close(trace);
    talker_close(client);
    server_free(server);
    pair_free(pair);
}

/* At 1 ms for each way the SYN-ACK comes after 2 ms; the first RTT is that, RTO 200 ms above. */
static void a_line_holds_a_record(void **state)
{
    char path[32], line[512];
    char *columns[COLUMNS];
    bool sent = false;
    (void)state;
    trace_an_echo(new_path(path));
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof(line), file));
    assert_string_equal(line, "#strait-trace 1\n");
    assert_non_null(fgets(line, sizeof(line), file));
    part(line, columns);
    assert_string_equal(columns[0], "#time_s");

    assert_non_null(fgets(line, sizeof(line), file));
    part(line, columns);
    assert_string_equal(columns[3], "changed");
    assert_string_equal(columns[6], "SYN-SENT");
    assert_string_equal(columns[8], "-");        /* no ssthresh, */
    assert_string_equal(columns[9], "-");        /* no RTT yet, */
    assert_string_equal(columns[11], "1000000"); /* and the RTO of RFC 6298 2.1 */
    while (fgets(line, sizeof(line), file)) {
        part(line, columns);
        if (strcmp(columns[3], "sent") != 0)
            continue;
        sent = true;
        assert_string_equal(columns[2], "10.0.0.2:7");
        assert_string_equal(columns[4], "0");
        assert_string_equal(columns[5], "100");
        assert_string_equal(columns[6], "ESTAB");
        assert_string_equal(columns[9], "2000");
        assert_string_equal(columns[10], "1000"); /* half of it, RFC 6298 2.2 */
    }
    assert_true(sent);
    assert_int_equal(failure, 0);
    fclose(file);
    unlink(path);
}

static void what_is_told_is_in_the_file_after_a_second(void **state)
{
    char path[32];
    (void)state;
    struct pair *pair = pair_new(&(struct pair_config){0});
    struct trace *trace = trace_open(new_path(path), failed);
    trace_start(trace, pair_stack(pair, 0), pair_env(pair));
    struct talker *client = talker_connect(pair, 0, 7); /* nobody listens: it is refused */
    pair_run(pair, PAIR_S + 100 * PAIR_MS);
    FILE *file = fopen(path, "r");
    char text[4096];
    size_t length = fread(text, 1, sizeof(text) - 1, file);
    text[length] = '\0';
    assert_non_null(strstr(text, "\tSYN-SENT\t"));
    assert_non_null(strstr(text, "\tCLOSE\t"));
    fclose(file);
    talker_close(client);
    strait_trace(pair_stack(pair, 0), NULL, NULL);
    trace_close(trace);
    pair_free(pair);
    unlink(path);
}

static void a_file_that_cannot_be_made_is_refused(void **state)
{
    (void)state;
    assert_null(trace_open("/nosuch/trace", failed));
    assert_int_equal(errno, ENOENT);
}

static void a_full_disk_ends_the_trace_and_nothing_else(void **state)
{
    (void)state;
    trace_an_echo("/dev/full");
    assert_int_equal(failure, ENOSPC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_line_holds_a_record, reset),
        cmocka_unit_test_setup(what_is_told_is_in_the_file_after_a_second, reset),
        cmocka_unit_test_setup(a_file_that_cannot_be_made_is_refused, reset),
        cmocka_unit_test_setup(a_full_disk_ends_the_trace_and_nothing_else, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
