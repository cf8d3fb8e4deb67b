/* SPDX-License-Identifier: MIT */
/* The control socket: its file, its clients, its answers; on a loop in real time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/control.h"
#include "strait.h"

#define MS          UINT64_C(1000000)
#define PATIENCE_NS (1200 * MS)
#define WAIT_NS     (10000 * MS) /* for what has to come */
#define MANY        5000         /* sockets */

struct fixture {
    char directory[32];
    char path[64];
    struct strait_loop *loop;
    struct strait_env *env;
    struct strait *stack;
    struct control_socket socket;
    struct control *control;
    char *answer; /* what a client has read: a string */
    size_t answer_bytes;
};

static void counters(void *context, void (*visit)(void *context, const char *name, uint64_t value),
                     void *visit_context)
{
    struct fixture *f = context;
    strait_counters(f->stack, visit, visit_context);
    visit(visit_context, "of_the_test", 7);
}

static struct strait *make_stack(struct strait_env *env)
{
    struct strait_config config;
    strait_config_init(&config);
    struct strait *stack = strait_new(&config, NULL);
    assert_non_null(stack);
    strait_advance(stack, env->now(env));
    return stack;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    char error[256] = "";
    assert_non_null(f);
    snprintf(f->directory, sizeof(f->directory), "/tmp/strait-control.XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->path, sizeof(f->path), "%s/socket", f->directory);
    f->loop = strait_loop_new();
    assert_non_null(f->loop);
    f->env = strait_loop_env(f->loop);
    f->stack = make_stack(f->env);
    if (control_socket_open(&f->socket, f->path, false, error, sizeof(error)) < 0)
        fail_msg("%s", error);
    const struct control_config config = {
        .stack = f->stack,
        .env = f->env,
        .fd = f->socket.fd,
        .patience_ns = PATIENCE_NS,
        .counters = counters,
        .counters_context = f,
    };
    f->control = control_start(&config);
    assert_non_null(f->control);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    control_stop(f->control);
    control_socket_close(&f->socket);
    strait_free(f->stack);
    strait_loop_free(f->loop);
    int result = rmdir(f->directory); /* nothing is left in it */
    free(f->answer);
    free(f);
    return result;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

/* ---- Clients ---- */

static int client(const struct fixture *f)
{
    int fd = control_connect(f->path);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void ask(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void turn(struct fixture *f)
{
    assert_int_equal(strait_loop_turn(f->loop, f->env->now(f->env) + MS), 0);
}

static void turns(struct fixture *f, uint64_t ns)
{
    uint64_t end_ns = f->env->now(f->env) + ns;
    while (f->env->now(f->env) < end_ns)
        turn(f);
}

/* Reads what is there. Returns whether the other side has closed. */
static bool read_some(struct fixture *f, int fd)
{
    for (;;) {
        f->answer = realloc(f->answer, f->answer_bytes + 65536);
        assert_non_null(f->answer);
        ssize_t n = read(fd, f->answer + f->answer_bytes, 65535);
        if (n > 0)
            f->answer_bytes += (size_t)n;
        f->answer[f->answer_bytes] = '\0';
        if (n < 0 && errno == EAGAIN)
            return false;
        if (n <= 0)
            return true;
    }
}

static bool is_last(const struct fixture *f)
{
    return f->answer && (strstr(f->answer, "{\"done\":true}\n") || strstr(f->answer, "\"error\""));
}

/* Lets the loop turn until an answer is there whole. */
static const char *hear(struct fixture *f, int fd)
{
    uint64_t end_ns = f->env->now(f->env) + WAIT_NS;
    f->answer_bytes = 0;
    free(f->answer);
    f->answer = NULL;
    do {
        turn(f);
        if (read_some(f, fd) && !is_last(f))
            fail_msg("cut off");
        assert_true(f->env->now(f->env) < end_ns);
    } while (!is_last(f));
    return f->answer;
}

/* Whether the client is cut within a time. */
static bool is_cut(struct fixture *f, int fd, uint64_t ns)
{
    uint64_t end_ns = f->env->now(f->env) + ns;
    while (!read_some(f, fd)) {
        if (f->env->now(f->env) >= end_ns)
            return false;
        turn(f);
    }
    return true;
}

static unsigned lines_of(const char *text)
{
    unsigned lines = 0;
    for (; text && (text = strchr(text, '\n')); text++)
        lines++;
    return lines;
}

static void bind_many(struct fixture *f)
{
    for (int i = 0; i < MANY; i++) {
        struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(1000 + i))};
        int fd = strait_socket(f->stack, AF_INET, SOCK_DGRAM, 0);
        assert_int_equal(strait_bind(f->stack, fd, (struct sockaddr *)&any, sizeof(any)), 0);
    }
}

/* ---- The file ---- */

static void the_file_is_for_its_owner_alone(void **state)
{
    struct fixture *f = *state;
    struct stat status;
    assert_int_equal(stat(f->path, &status), 0);
    assert_true(S_ISSOCK(status.st_mode));
    assert_int_equal(status.st_mode & 07777, 0600);
}

static void a_socket_that_answers_is_left_alone(void **state)
{
    struct fixture *f = *state;
    struct control_socket other;
    char error[256];
    assert_int_equal(control_socket_open(&other, f->path, false, error, sizeof(error)), -1);
    assert_non_null(strstr(error, "a running strait answers there"));
    int fd = client(f);
    ask(fd, "counters\n");
    assert_non_null(strstr(hear(f, fd), "of_the_test"));
    close(fd);
}

static void a_socket_that_was_left_behind_is_replaced(void **state)
{
    struct fixture *f = *state;
    char path[80], error[256];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct control_socket again;
    snprintf(path, sizeof(path), "%s/stale", f->directory);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(dead, (struct sockaddr *)&address, sizeof(address)), 0);
    close(dead);
    assert_int_equal(control_socket_open(&again, path, false, error, sizeof(error)), 0);
    int fd = control_connect(path);
    assert_true(fd >= 0);
    close(fd);
    control_socket_close(&again);
    assert_int_equal(access(path, F_OK), -1);
}

static void what_is_no_socket_is_not_touched(void **state)
{
    struct fixture *f = *state;
    char path[80], error[256];
    struct control_socket s;
    snprintf(path, sizeof(path), "%s/file", f->directory);
    int file = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(file >= 0);
    close(file);
    assert_int_equal(control_socket_open(&s, path, false, error, sizeof(error)), -1);
    assert_non_null(strstr(error, "no socket"));
    assert_int_equal(unlink(path), 0);
}

static void a_path_that_cannot_be_is_refused(void **state)
{
    struct fixture *f = *state;
    char path[200], error[512];
    struct control_socket s;
    memset(path, 'x', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(control_socket_open(&s, path, false, error, sizeof(error)), -1);
    assert_non_null(strstr(error, strerror(ENAMETOOLONG)));
    snprintf(path, sizeof(path), "%s/no/where", f->directory);
    assert_int_equal(control_socket_open(&s, path, false, error, sizeof(error)), -1);
    assert_non_null(strstr(error, strerror(ENOENT)));
    snprintf(path, sizeof(path), "%s/", f->directory);
    assert_int_equal(control_socket_open(&s, path, false, error, sizeof(error)), -1);
    assert_non_null(strstr(error, strerror(EISDIR)));
}

static void a_default_path_gets_its_directories(void **state)
{
    struct fixture *f = *state;
    char path[CONTROL_PATH_MAX], error[256], directory[80];
    struct control_socket s;
    struct stat status;
    setenv("XDG_RUNTIME_DIR", f->directory, 1);
    assert_true(control_default_path("tun7", false, path));
    unsetenv("XDG_RUNTIME_DIR");
    assert_false(control_default_path("tun7", false, error));
    snprintf(directory, sizeof(directory), "%s/strait/tun7", f->directory);
    assert_memory_equal(path, directory, strlen(directory));
    for (int i = 0; i < 2; i++) { /* for the first time, and again */
        assert_int_equal(control_socket_open(&s, path, true, error, sizeof(error)), 0);
        assert_int_equal(stat(directory, &status), 0);
        assert_int_equal(status.st_mode & 07777, 0700);
        control_socket_close(&s);
    }
    assert_int_equal(rmdir(directory), 0);
    *strrchr(directory, '/') = '\0';
    assert_int_equal(rmdir(directory), 0);
}

/* ---- Answers ---- */

static void counters_are_one_object(void **state)
{
    struct fixture *f = *state;
    int fd = client(f);
    ask(fd, "counters\n");
    const char *answer = hear(f, fd);
    assert_int_equal(lines_of(answer), 2);
    *strchr(f->answer, '\n') = '\0';
    json_t *json = json_loads(answer, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(json, "of_the_test")), 7);
    assert_true(json_is_integer(json_object_get(json, "tcp_segments_in")));
    json_decref(json);
    close(fd);
}

static void endpoints_are_told_a_few_in_each_turn(void **state)
{
    struct fixture *f = *state;
    unsigned before = 0, most = 0;
    static bool seen[MANY];
    bind_many(f);
    int fd = client(f);
    ask(fd, "endpoints\n");
    while (!is_last(f)) {
        turn(f);
        assert_false(read_some(f, fd));
        unsigned lines = lines_of(f->answer);
        most = lines - before > most ? lines - before : most;
        before = lines;
    }
    assert_int_equal(before, MANY + 1);
    assert_true(most <= 64);
    char *line = strtok(f->answer, "\n");
    for (int i = 0; i < MANY; i++, line = strtok(NULL, "\n")) {
        json_t *json = json_loads(line, 0, NULL);
        json_int_t port = json_integer_value(json_object_get(json, "local_port"));
        assert_string_equal(json_string_value(json_object_get(json, "protocol")), "udp");
        assert_in_range(port, 1000, 1000 + MANY - 1);
        assert_false(seen[port - 1000]);
        seen[port - 1000] = true;
        json_decref(json);
    }
    close(fd);
}

static void requests_follow_each_other_in_pieces_or_together(void **state)
{
    struct fixture *f = *state;
    int fd = client(f);
    ask(fd, "coun");
    turns(f, 10 * MS);
    ask(fd, "ters\n");
    assert_non_null(strstr(hear(f, fd), "of_the_test"));
    ask(fd, "endpoints\ncounters\n");
    assert_string_equal(hear(f, fd), "{\"done\":true}\n");
    assert_non_null(strstr(hear(f, fd), "of_the_test"));
    close(fd);
}

static void what_is_not_understood_is_an_error_and_no_more(void **state)
{
    struct fixture *f = *state;
    int fd = client(f);
    ask(fd, "reboot\n");
    assert_string_equal(hear(f, fd), "{\"error\":\"unknown request\"}\n");
    ask(fd, "\n");
    assert_non_null(strstr(hear(f, fd), "error"));
    ask(fd, "counters\n");
    assert_non_null(strstr(hear(f, fd), "of_the_test"));
    close(fd);
}

/* ---- Settings ---- */

static void settings_are_read_and_changed(void **state)
{
    struct fixture *f = *state;
    char value[STRAIT_SETTING_BYTES];
    int fd = client(f);
    ask(fd, "get tcp.rto_min\n");
    assert_string_equal(hear(f, fd), "{\"tcp.rto_min\":\"200ms\"}\n{\"done\":true}\n");
    ask(fd, "set tcp.rto_min 70ms\n");
    assert_string_equal(hear(f, fd), "{\"done\":true}\n");
    assert_int_equal(strait_get(f->stack, "tcp.rto_min", value, sizeof(value)), 0);
    assert_string_equal(value, "70ms");
    ask(fd, "get\n");
    const char *all = hear(f, fd);
    for (size_t i = 0; strait_setting(i); i++)
        assert_non_null(strstr(all, strait_setting(i)->name));
    assert_non_null(strstr(all, "\"tcp.rto_min\":\"70ms\""));
    close(fd);
}

static void a_setting_that_cannot_be_is_refused_with_what_it_takes(void **state)
{
    struct fixture *f = *state;
    int fd = client(f);
    ask(fd, "set tcp.rto_min 5h\n");
    assert_non_null(strstr(hear(f, fd), "it takes 1ms to 1min"));
    ask(fd, "set nosuch 1\n");
    assert_non_null(strstr(hear(f, fd), "there is no such setting"));
    ask(fd, "get nosuch\n");
    assert_non_null(strstr(hear(f, fd), "there is no such setting"));
    ask(fd, "set tcp.rto_min\n");
    assert_non_null(strstr(hear(f, fd), "the value is missing"));
    ask(fd, "set socket.max 5\n");
    assert_non_null(strstr(hear(f, fd), "settled at the start"));
    close(fd);
}

/* ---- Clients that do not behave ---- */

static void a_request_without_end_is_cut(void **state)
{
    struct fixture *f = *state;
    char text[CONTROL_REQUEST_MAX + 1];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    int fd = client(f);
    ask(fd, text);
    assert_true(is_cut(f, fd, PATIENCE_NS / 2));
    close(fd);
}

static void a_silent_client_is_cut(void **state)
{
    struct fixture *f = *state;
    int silent = client(f), half = client(f);
    ask(half, "count");
    turns(f, PATIENCE_NS / 2);
    ask(half, "e"); /* gives it no more time */
    assert_false(is_cut(f, silent, 0));
    assert_true(is_cut(f, silent, 2 * PATIENCE_NS));
    assert_true(is_cut(f, half, PATIENCE_NS / 2));
    close(silent);
    close(half);
}

static void a_client_that_does_not_read_is_cut_and_holds_up_nobody(void **state)
{
    struct fixture *f = *state;
    bind_many(f);
    int deaf = client(f);
    ask(deaf, "endpoints\n");
    turns(f, PATIENCE_NS / 2);
    int other = client(f);
    ask(other, "counters\n");
    assert_non_null(strstr(hear(f, other), "of_the_test"));
    turns(f, 2 * PATIENCE_NS);
    assert_true(is_cut(f, deaf, PATIENCE_NS)); /* what was on its way is read; the end is not */
    assert_true(lines_of(f->answer) < MANY);
    close(deaf);
    close(other);
}

static void more_clients_than_there_are_places_wait(void **state)
{
    struct fixture *f = *state;
    int clients[CONTROL_CLIENTS_MAX];
    for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
        clients[i] = client(f);
    int waiting = client(f);
    ask(waiting, "counters\n");
    turns(f, PATIENCE_NS / 4);
    read_some(f, waiting);
    assert_int_equal(f->answer_bytes, 0);
    close(clients[0]);
    assert_non_null(strstr(hear(f, waiting), "of_the_test"));
    for (int i = 1; i < CONTROL_CLIENTS_MAX; i++)
        close(clients[i]);
    close(waiting);
}

static void a_client_that_leaves_in_the_middle_is_forgotten(void **state)
{
    struct fixture *f = *state;
    bind_many(f);
    for (int i = 0; i < 3 * CONTROL_CLIENTS_MAX; i++) {
        int fd = client(f);
        ask(fd, "endpoints\n");
        turn(f);
        turn(f);
        close(fd);
    }
    int fd = client(f);
    ask(fd, "counters\n");
    assert_non_null(strstr(hear(f, fd), "of_the_test"));
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_file_is_for_its_owner_alone),
        TEST(a_socket_that_answers_is_left_alone),
        TEST(a_socket_that_was_left_behind_is_replaced),
        TEST(what_is_no_socket_is_not_touched),
        TEST(a_path_that_cannot_be_is_refused),
        TEST(a_default_path_gets_its_directories),
        TEST(counters_are_one_object),
        TEST(endpoints_are_told_a_few_in_each_turn),
        TEST(requests_follow_each_other_in_pieces_or_together),
        TEST(what_is_not_understood_is_an_error_and_no_more),
        TEST(settings_are_read_and_changed),
        TEST(a_setting_that_cannot_be_is_refused_with_what_it_takes),
        TEST(a_request_without_end_is_cut),
        TEST(a_silent_client_is_cut),
        TEST(a_client_that_does_not_read_is_cut_and_holds_up_nobody),
        TEST(more_clients_than_there_are_places_wait),
        TEST(a_client_that_leaves_in_the_middle_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
