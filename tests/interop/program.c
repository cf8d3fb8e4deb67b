/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "program.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel.h"
#include "transfer.h"

#define ARGUMENTS_MAX 24

struct program {
    pid_t pid;  /* 0 while it does not run */
    int output; /* the reading end of its stdout, -1 when it is closed */
    int errors; /* a file in memory that is its stderr */
    size_t output_length;
    char output_text[65536];
    char errors_text[16384];
};

int program_setup(void **state)
{
    struct program *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return -1;
    p->output = -1;
    p->errors = memfd_create("stderr", MFD_CLOEXEC);
    *state = p;
    return p->errors >= 0 ? 0 : -1;
}

int program_teardown(void **state)
{
    struct program *p = *state;
    if (p->pid > 0) {
        kill(p->pid, SIGKILL);
        waitpid(p->pid, NULL, 0);
    }
    if (p->output >= 0)
        close(p->output);
    close(p->errors);
    free(p);
    return 0;
}

/* Reads more of the output until `deadline`; returns false at its end. */
static bool read_output(struct program *p, uint64_t deadline)
{
    struct pollfd fd = {.fd = p->output, .events = POLLIN};
    uint64_t now = now_ms();
    size_t room = sizeof(p->output_text) - 1 - p->output_length;
    if (now >= deadline || poll(&fd, 1, (int)(deadline - now)) != 1)
        fail_msg("strait said nothing for too long; so far: %s%s", p->output_text,
                 program_errors(p));
    ssize_t n = read(p->output, p->output_text + p->output_length, room);
    assert_true(n >= 0);
    p->output_length += (size_t)n;
    p->output_text[p->output_length] = '\0';
    return n > 0;
}

/* The program is open already: another user may have no way to its path. */
static void run_child(int program, char *const *arguments, uid_t uid, int output, int errors)
{
    unsetenv("SUDO_UID");
    unsetenv("SUDO_GID");
    if (uid != 0 && (setgroups(0, NULL) != 0 || setgid(uid) != 0 || setuid(uid) != 0))
        _exit(126);
    dup2(output, STDOUT_FILENO);
    dup2(errors, STDERR_FILENO);
    fexecve(program, arguments, environ);
    _exit(127);
}

/* Starts `strait FIRST OPTION...`; `first` may be NULL. */
static void spawn(struct program *p, uid_t uid, const char *first, const char *const *options)
{
    const char *path = getenv("STRAIT");
    if (path == NULL)
        fail_msg("the variable STRAIT has to name the program");
    char *arguments[ARGUMENTS_MAX + 1] = {(char *)path, (char *)first};
    size_t count = first != NULL ? 2 : 1;
    for (; *options != NULL; options++) {
        assert_true(count < ARGUMENTS_MAX);
        arguments[count++] = (char *)*options;
    }

    int ends[2];
    int program = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(program >= 0);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(ftruncate(p->errors, 0), 0);
    assert_int_equal(lseek(p->errors, 0, SEEK_SET), 0);
    p->output_length = 0;
    p->output_text[0] = '\0';
    p->pid = fork();
    assert_true(p->pid >= 0);
    if (p->pid == 0)
        run_child(program, arguments, uid, ends[1], p->errors);
    close(program);
    close(ends[1]);
    p->output = ends[0];
}

/* Waits until it has ended by itself; returns its wait status. */
static int await_end(struct program *p)
{
    int status;
    uint64_t deadline = now_ms() + WAIT_MS;
    while (read_output(p, deadline))
        ;
    close(p->output);
    p->output = -1;
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    p->pid = 0;
    return status;
}

void program_start_as(struct program *p, uid_t uid, const char *const *options)
{
    spawn(p, uid, "serve", options);
    uint64_t deadline = now_ms() + WAIT_MS;
    while (strchr(p->output_text, '\n') == NULL)
        if (!read_output(p, deadline))
            fail_msg("strait ended at its start: %s", program_errors(p));
}

void program_refuses(struct program *p, uid_t uid, int status, const char *expected,
                     const char *const *arguments)
{
    spawn(p, uid, NULL, arguments);
    int ended = await_end(p);
    const char *said = program_errors(p), *end = strchr(said, '\n');
    if (!WIFEXITED(ended) || WEXITSTATUS(ended) != status)
        fail_msg("wait status 0x%x instead of exit status %d: %s", (unsigned)ended, status, said);
    assert_string_equal(p->output_text, "");
    if (end == NULL || end[1] != '\0' || strstr(said, expected) == NULL)
        fail_msg("not one line with \"%s\": %s", expected, said);
}

pid_t program_pid(const struct program *p)
{
    return p->pid;
}

void program_start(struct program *p, ...)
{
    const char *options[ARGUMENTS_MAX + 1] = {
        "--tun", DEVICE, "--addr", STRAIT_NETWORK, "--peer", KERNEL_ADDRESS,
    };
    size_t count = 6;
    va_list more;
    va_start(more, p);
    for (const char *option; (option = va_arg(more, const char *)) != NULL;) {
        assert_true(count < ARGUMENTS_MAX);
        options[count++] = option;
    }
    va_end(more);
    program_start_as(p, 0, options);
    assert_string_equal(p->output_text, "strait: ready on " DEVICE ", " STRAIT_ADDRESS "\n");
}

void program_stop(struct program *p, int signal_number)
{
    assert_int_equal(kill(p->pid, signal_number), 0);
    program_ends(p, 0);
}

void program_ends(struct program *p, int expected)
{
    int status = await_end(p);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != expected)
        fail_msg("strait ended with wait status 0x%x: %s", (unsigned)status, program_errors(p));
}

uint64_t program_counter(const struct program *p, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = p->output_text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) == 0 && line[length] == ' ')
            return strtoull(line + length, NULL, 10);
    }
    return 0;
}

const char *program_errors(struct program *p)
{
    ssize_t n = pread(p->errors, p->errors_text, sizeof(p->errors_text) - 1, 0);
    p->errors_text[n > 0 ? n : 0] = '\0';
    return p->errors_text;
}
