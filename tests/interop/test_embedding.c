/* SPDX-License-Identifier: MIT */
/* The program that README.md shows, linked with libstrait.a alone. Its path is the variable
 * EXAMPLE. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel.h"
#include "transfer.h"

struct example {
    pid_t pid;  /* 0 while it does not run */
    int errors; /* a file in memory that is its stderr */
    char text[4096];
};

static const char *errors_of(struct example *e)
{
    ssize_t n = pread(e->errors, e->text, sizeof(e->text) - 1, 0);
    e->text[n > 0 ? n : 0] = '\0';
    return e->text;
}

/* Returns its wait status if it has ended by itself within `timeout_ms`, else -1. */
static int ended_within(struct example *e, uint64_t timeout_ms)
{
    uint64_t deadline = now_ms() + timeout_ms;
    int status;
    do {
        if (waitpid(e->pid, &status, WNOHANG) == e->pid) {
            e->pid = 0;
            return status;
        }
        usleep(1000);
    } while (now_ms() < deadline);
    return -1;
}

static int setup(void **state)
{
    const char *path = getenv("EXAMPLE");
    if (path == NULL) {
        print_error("the variable EXAMPLE has to name the program\n");
        return -1;
    }
    struct example *e = calloc(1, sizeof(*e));
    assert_non_null(e);
    *state = e;
    e->errors = memfd_create("stderr", MFD_CLOEXEC);
    assert_true(e->errors >= 0);
    e->pid = fork();
    assert_true(e->pid >= 0);
    if (e->pid == 0) {
        dup2(e->errors, STDERR_FILENO);
        execl(path, path, (char *)NULL);
        _exit(127);
    }
    return 0;
}

static int teardown(void **state)
{
    struct example *e = *state;
    if (e->pid > 0) {
        kill(e->pid, SIGKILL);
        waitpid(e->pid, NULL, 0);
    }
    close(e->errors);
    free(e);
    return 0;
}

/* Until the program has configured its device there is no way to it. */
static void wait_for_the_host(struct example *e)
{
    struct sockaddr_in host = address_of(STRAIT_ADDRESS, PORT_ECHO);
    uint64_t deadline = now_ms() + WAIT_MS;
    for (;;) {
        int fd = kernel_socket(SOCK_STREAM);
        int failed = connect(fd, (struct sockaddr *)&host, sizeof(host));
        int error = errno;
        close(fd);
        if (!failed)
            return;
        if (ended_within(e, 10) != -1)
            fail_msg("it has ended: %s", errors_of(e));
        if (error != ENETUNREACH || now_ms() >= deadline)
            fail_msg("no connection: %s; %s", strerror(error), errors_of(e));
    }
}

static void the_example_of_the_readme_echoes_to_one_guest_after_the_other(void **state)
{
    struct example *e = *state;
    wait_for_the_host(e);
    check_echo(1, 1);
    check_echo(2, 1 * MB);
    check_echo(3, SCALED(100 * MB));
}

static void a_guest_that_resets_does_not_end_the_example(void **state)
{
    struct example *e = *state;
    wait_for_the_host(e);
    int fd = kernel_connect(PORT_ECHO);
    assert_int_equal(send(fd, "hello", 5, MSG_NOSIGNAL), 5);
    kernel_close_by_reset(fd);
    check_echo(4, 1000);
}

/* Deletes the device under the example, which is to end in order. */
static void check_end_without_device(struct example *e)
{
    char output[1024];
    if (run_command(output, sizeof(output), "ip link delete " DEVICE) != 0)
        fail_msg("%s", output);
    int status = ended_within(e, WAIT_MS);
    /* A leak would be another status, under the sanitizers. */
    if (status == -1 || !WIFEXITED(status) || WEXITSTATUS(status) != 1)
        fail_msg("wait status 0x%x: %s", (unsigned)status, errors_of(e));
    if (strstr(errors_of(e), "accept: No such device\n") == NULL)
        fail_msg("%s", errors_of(e));
}

static void the_example_ends_in_order_when_its_device_is_gone(void **state)
{
    wait_for_the_host(*state);
    check_echo(5, 1000);
    check_end_without_device(*state);
}

/* The guest's recv fails first; the accept after it must fail too, and not wait for ever. */
static void the_example_ends_when_its_device_goes_under_a_guest(void **state)
{
    char echoed[5];
    wait_for_the_host(*state);
    int fd = kernel_connect(PORT_ECHO);
    assert_int_equal(send(fd, "hello", 5, MSG_NOSIGNAL), 5);
    assert_int_equal(recv(fd, echoed, sizeof(echoed), MSG_WAITALL), 5);
    check_end_without_device(*state);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            the_example_of_the_readme_echoes_to_one_guest_after_the_other, setup, teardown),
        cmocka_unit_test_setup_teardown(a_guest_that_resets_does_not_end_the_example, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_example_ends_in_order_when_its_device_is_gone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_example_ends_when_its_device_goes_under_a_guest, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
