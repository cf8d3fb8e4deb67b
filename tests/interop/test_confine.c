/* SPDX-License-Identifier: MIT */
/*
 * What a process can no more do once it is confined as the server is: tried in children, which give
 * up their privileges and confine themselves by the server's own functions. And the server, with
 * all its options, lives with it.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "confine.h"
#include "control/socket.h"
#include "kernel.h"
#include "privilege.h"
#include "program.h"

/* In the sandbox: other runs have files of the same names. */
#define ROOT        "/run/strait-confine"
#define FILE_INSIDE ROOT "/file"

static int make_root(void **state)
{
    (void)state;
    umask(022);
    if (mkdir(ROOT, 0755) < 0 && errno != EEXIST)
        return -1;
    int file = open(FILE_INSIDE, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    return file < 0 || fchmod(file, 0666) < 0 ? -1 : close(file);
}

static int remove_root(void **state)
{
    (void)state;
    unlink(FILE_INSIDE);
    return rmdir(ROOT);
}

static bool confined_with(const struct confine_needs *needs)
{
    char name[64], notice[256], error[256];
    return privilege_drop(name, sizeof(name), error, sizeof(error)) == 0 &&
           confine(needs, notice, sizeof(notice), error, sizeof(error)) == 0;
}

static bool confined(const char *readable)
{
    return confined_with(&(struct confine_needs){.readable = readable, .control_fd = -1});
}

/* The wait status of a child; 0: it says that all is well. */
static int status_of_child(bool (*all_is_well)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        unsetenv("SUDO_UID");
        _exit(all_is_well() ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* Whether a call that has returned `result` was refused with this errno. */
static bool refused(long result, int error)
{
    return result == -1 && errno == error;
}

/* ---- Programs, processes, sockets, memory ---- */

static bool runs_no_program(void)
{
    char *const arguments[] = {(char *)(uintptr_t) "true", NULL};
    return confined(ROOT) && refused(execve("/bin/true", arguments, NULL), EPERM) &&
           refused(syscall(SYS_execveat, AT_FDCWD, "/bin/true", arguments, NULL, 0), EPERM);
}

static void no_program_is_executed(void **state)
{
    (void)state;
    assert_int_equal(status_of_child(runs_no_program), 0);
}

static bool makes_no_socket(void)
{
    return confined(ROOT) && refused(socket(AF_INET, SOCK_STREAM, 0), EPERM) &&
           refused(socket(AF_UNIX, SOCK_STREAM, 0), EPERM) &&
           refused(socket(AF_NETLINK, SOCK_RAW, 0), EPERM);
}

static void no_socket_is_made(void **state)
{
    (void)state;
    assert_int_equal(status_of_child(makes_no_socket), 0);
}

static bool touches_no_process(void)
{
    return confined(ROOT) && refused(syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0), EPERM) &&
           refused(kill(getppid(), 0), EPERM) && refused(fork(), EPERM) &&
           refused(syscall(SYS_process_vm_readv, getpid(), NULL, 0, NULL, 0, 0), EPERM);
}

/* Those are what the sanitizers need at the end of their builds. */
static void no_other_process_is_made_or_touched(void **state)
{
    (void)state;
    if (SANITIZED)
        skip();
    assert_int_equal(status_of_child(touches_no_process), 0);
}

static bool makes_no_code(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page != MAP_FAILED && confined(ROOT) &&
           refused(mprotect(page, 4096, PROT_READ | PROT_EXEC), EPERM) &&
           mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
               MAP_FAILED &&
           errno == EPERM;
}

static void no_memory_becomes_code(void **state)
{
    (void)state;
    assert_int_equal(status_of_child(makes_no_code), 0);
}

static bool changes_nothing_of_the_system(void)
{
    return confined(ROOT) && refused(setuid(0), EPERM) && refused(chdir("/"), EPERM) &&
           refused(unlink(FILE_INSIDE), EPERM) && refused(mkdir(ROOT "/new", 0700), EPERM) &&
           refused(rename(FILE_INSIDE, ROOT "/other"), EPERM) &&
           refused(syscall(SYS_unshare, 0), EPERM);
}

static void nothing_of_the_system_is_changed(void **state)
{
    (void)state;
    assert_int_equal(status_of_child(changes_nothing_of_the_system), 0);
}

/* ---- Files ---- */

/* The one call for opening that is left. */
static long open_by_path(const char *path, int flags)
{
    const struct open_how how = {.flags = (unsigned)flags | O_CLOEXEC};
    return syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
}

static bool opens_files_by_no_other_call(void)
{
    return confined(ROOT) &&
           refused(syscall(SYS_openat, AT_FDCWD, FILE_INSIDE, O_RDONLY, 0), EPERM) &&
           refused(creat("/tmp/strait-new", 0600), EPERM);
}

static void files_are_opened_by_one_call_alone(void **state)
{
    (void)state;
    if (SANITIZED)
        skip();
    assert_int_equal(status_of_child(opens_files_by_no_other_call), 0);
}

static bool reads_below_the_root_alone(void)
{
    return confined(ROOT) && open_by_path(FILE_INSIDE, O_RDONLY) >= 0 &&
           open_by_path(ROOT, O_RDONLY) >= 0 &&
           refused(open_by_path("/etc/passwd", O_RDONLY), EACCES) &&
           refused(open_by_path("/tmp", O_RDONLY), EACCES) &&
           refused(open_by_path(ROOT "/../../etc/passwd", O_RDONLY), EACCES) &&
           refused(open_by_path(FILE_INSIDE, O_RDWR), EACCES) &&
           refused(open_by_path(FILE_INSIDE, O_WRONLY | O_TRUNC), EACCES);
}

static bool reads_nothing(void)
{
    return confined(NULL) && refused(open_by_path(FILE_INSIDE, O_RDONLY), EACCES) &&
           refused(open_by_path("/etc/passwd", O_RDONLY), EACCES);
}

static void files_outside_of_the_root_are_refused(void **state)
{
    (void)state;
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 1) {
        print_message("skipped: this kernel has no Landlock\n");
        skip();
    }
    assert_int_equal(status_of_child(reads_below_the_root_alone), 0);
    assert_int_equal(status_of_child(reads_nothing), 0);
}

/* ---- The control socket ---- */

#define CONTROL ROOT "/control"

/* A UNIX socket in the root, which nobody may write to; it is a file of nobody's, made as root. */
static bool open_control(struct control_socket *control)
{
    char error[256];
    return mkdir(CONTROL, 0700) == 0 &&
           control_socket_open(control, CONTROL "/socket", false, error, sizeof(error)) == 0 &&
           chown(CONTROL, (uid_t)65534, (gid_t)65534) == 0;
}

/* Takes a connection that waits already, and answers. */
static bool answers(int listener, int asking)
{
    char text[8];
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return fd >= 0 && send(fd, "hello", 5, MSG_NOSIGNAL) == 5 &&
           read(asking, text, sizeof(text)) == 5;
}

static bool lives_with_its_control_socket_and_no_other(void)
{
    const struct sockaddr_in somebody = {.sin_family = AF_INET, .sin_port = 7};
    struct control_socket control;
    int other = socket(AF_UNIX, SOCK_STREAM, 0), datagrams = socket(AF_INET, SOCK_DGRAM, 0);
    if (other < 0 || datagrams < 0 || !open_control(&control))
        return false;
    int asking = control_connect(CONTROL "/socket");
    const struct confine_needs needs = {
        .readable = ROOT,
        .control_fd = control.fd,
        .control_directory = control.directory,
    };
    bool good =
        asking >= 0 && confined_with(&needs) && answers(control.fd, asking) &&
        refused(accept4(other, NULL, NULL, 0), EPERM) &&
        refused(sendto(datagrams, "x", 1, 0, (const struct sockaddr *)&somebody, sizeof(somebody)),
                EPERM) &&
        refused(socket(AF_UNIX, SOCK_STREAM, 0), EPERM) &&
        refused(connect(other, NULL, 0), EPERM) && refused(unlink(CONTROL "/socket"), EPERM) &&
        refused(unlinkat(AT_FDCWD, CONTROL "/socket", 0), EPERM) &&
        refused(unlinkat(control.directory, ".", AT_REMOVEDIR), EPERM);
    control_socket_close(&control);
    return good;
}

static bool has_removed_its_control_socket(void)
{
    return refused(access(CONTROL "/socket", F_OK), ENOENT) && rmdir(CONTROL) == 0;
}

static void the_control_socket_is_answered_and_removed_and_nothing_else(void **state)
{
    (void)state;
    assert_int_equal(status_of_child(lives_with_its_control_socket_and_no_other), 0);
    assert_true(has_removed_its_control_socket());
}

static bool accepts_nothing_without_one(void)
{
    int other = socket(AF_UNIX, SOCK_STREAM, 0);
    return other >= 0 && confined(ROOT) && refused(accept4(other, NULL, NULL, 0), EPERM) &&
           refused(send(other, "x", 1, 0), EPERM) && refused(unlinkat(other, "x", 0), EPERM);
}

static void without_a_control_socket_no_connection_is_taken(void **state)
{
    (void)state;
    assert_int_equal(status_of_child(accepts_nothing_without_one), 0);
}

/* ---- Threads, and the end ---- */

static void *try_a_socket(void *argument)
{
    (void)argument;
    return refused(socket(AF_INET, SOCK_STREAM, 0), EPERM) ? try_a_socket : NULL;
}

static bool starts_threads_that_are_confined(void)
{
    pthread_t threads[4];
    bool good = confined(ROOT);
    for (int i = 0; i < 4; i++)
        if (pthread_create(&threads[i], NULL, try_a_socket, NULL) != 0)
            return false;
    for (int i = 0; i < 4; i++) {
        void *result;
        good = pthread_join(threads[i], &result) == 0 && result && good;
    }
    return good;
}

static void threads_are_started_and_confined_as_well(void **state)
{
    (void)state;
    assert_int_equal(status_of_child(starts_threads_that_are_confined), 0);
}

/* Waits until the other thread is confined: then there is something to read. */
static void *await_and_try_a_socket(void *pipe)
{
    char byte;
    return read(*(int *)pipe, &byte, 1) == 1 ? try_a_socket(NULL) : NULL;
}

static bool confines_a_thread_that_is_there(void)
{
    int ends[2];
    pthread_t thread;
    void *result = NULL;
    return pipe(ends) == 0 && pthread_create(&thread, NULL, await_and_try_a_socket, ends) == 0 &&
           confined(ROOT) && write(ends[1], "", 1) == 1 && pthread_join(thread, &result) == 0 &&
           result;
}

static void a_thread_that_is_there_already_is_confined_as_well(void **state)
{
    (void)state;
    assert_int_equal(status_of_child(confines_a_thread_that_is_there), 0);
}

static bool aborts(void)
{
    if (confined(ROOT))
        abort();
    return false;
}

static void a_failed_check_still_ends_the_program(void **state)
{
    (void)state;
    int status = status_of_child(aborts);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* ---- The server ---- */

/* A line of the running program's /proc/PID/status contains the text. */
static void expect_status_line(const struct program *p, const char *text)
{
    char output[4096];
    int status = run_command(output, sizeof(output), "cat /proc/%d/status", (int)program_pid(p));
    assert_int_equal(status, 0);
    if (!strstr(output, text))
        fail_msg("no \"%s\" in %s", text, output);
}

static void expect_served(const char *path)
{
    char output[256];
    int status = run_command(output, sizeof(output),
                             "curl -sS --max-time 10 -o /dev/null -w '%%{http_code}' "
                             "http://" STRAIT_ADDRESS "%s",
                             path);
    assert_int_equal(status, 0);
    assert_string_equal(output, "200");
}

static void the_server_is_confined_with_every_option(void **state)
{
    struct program *p = *state;
    char output[512];
    program_start(p, "--root", ROOT, "--capture", "/run/strait-confine.pcap", "--filter", "tcp",
                  "--impair", "delay=1ms", "--access-log", "/run/strait-confine.log", "--trace",
                  "/run/strait-confine.trace", "-v", NULL);
    expect_status_line(p, "\nNoNewPrivs:\t1\n");
    expect_status_line(p, "\nSeccomp:\t2\n");
    expect_status_line(p, "\nCapPrm:\t0000000000000000\n");
    expect_status_line(p, "\nCapEff:\t0000000000000000\n");
    check_echo(1, 100 * KB);
    expect_served("/file");
    expect_served("/");
    int status = run_command(output, sizeof(output), "\"$STRAIT\" stat | grep -c LISTEN");
    assert_int_equal(status, 0);
    assert_string_equal(output, "6\n");
    program_stop(p, SIGTERM);
    status = run_command(output, sizeof(output),
                         "tcpdump -r /run/strait-confine.pcap 2>/dev/null | head -1 | wc -l;"
                         "wc -l </run/strait-confine.log;"
                         "tail -n 1 /run/strait-confine.trace | grep -c CLOSE;"
                         "ls -A /run/strait/tun0 | wc -l;"
                         "rm /run/strait-confine.pcap /run/strait-confine.log "
                         "/run/strait-confine.trace");
    assert_int_equal(status, 0);
    assert_string_equal(output, "1\n2\n1\n0\n");
}

static void a_client_is_confined_with_every_option(void **state)
{
    char output[512];
    (void)state;
    int status = run_command(
        output, sizeof(output),
        PLAIN_CLIENT("nc") "-l 5000 -w 20 --capture /run/strait-confine.pcap --filter tcp"
                           " --trace /run/strait-confine.trace --impair delay=1ms -v"
                           " --control /run/strait-confine.socket"
                           " </dev/null >/run/strait-confine.out 2>/dev/null & client=$!;"
                           "for turn in $(seq 100); do"
                           " grep -q 'Seccomp:.2' /proc/$client/status && break; sleep 0.1; done;"
                           "grep -c 'Seccomp:.2' /proc/$client/status;"
                           "\"$STRAIT\" stat --control /run/strait-confine.socket | grep -c LISTEN;"
                           "echo hello | timeout 10 nc -N " STRAIT_ADDRESS " 5000;"
                           "wait $client; echo $?; cat /run/strait-confine.out;"
                           "tcpdump -r /run/strait-confine.pcap 2>/dev/null | head -1 | wc -l;"
                           "tail -n 1 /run/strait-confine.trace | wc -l;"
                           "rm -f /run/strait-confine.*");
    assert_int_equal(status, 0);
    assert_string_equal(output, "1\n1\n0\nhello\n1\n1\n");
}

/* ---- A database ---- */

#define DATA ROOT "/data"

/* A transaction that is durable, and what it says when it is read. */
static bool writes_database(const char *path)
{
    sqlite3 *db;
    bool written = sqlite3_open(path, &db) == SQLITE_OK &&
                   sqlite3_exec(db,
                                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                                "CREATE TABLE t(a); INSERT INTO t VALUES(7);"
                                "PRAGMA wal_checkpoint(TRUNCATE); VACUUM INTO '" DATA "/copy'",
                                NULL, NULL, NULL) == SQLITE_OK;
    return sqlite3_close(db) == SQLITE_OK && written;
}

static bool keeps_a_database(void)
{
    return confined_with(&(struct confine_needs){.writable = DATA, .control_fd = -1}) &&
           writes_database(DATA "/db") && unlink(DATA "/copy") == 0 &&
           !writes_database(ROOT "/db") && refused(open(FILE_INSIDE, O_WRONLY), EACCES) &&
           refused(unlink(FILE_INSIDE), EACCES) && refused(mkdir(DATA "/x", 0700), EPERM) &&
           refused(socket(AF_INET, SOCK_STREAM, 0), EPERM);
}

static bool keeps_none(void)
{
    return confined(DATA) && !writes_database(DATA "/db");
}

static void a_database_is_written_where_it_may_be(void **state)
{
    (void)state;
    assert_int_equal(mkdir(DATA, 0777), 0);
    assert_int_equal(chmod(DATA, 0777), 0);
    assert_int_equal(status_of_child(keeps_a_database), 0);
    assert_int_equal(status_of_child(keeps_none), 0);
    assert_int_equal(unlink(DATA "/db"), 0);
    assert_int_equal(rmdir(DATA), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_program_is_executed),
        cmocka_unit_test(no_socket_is_made),
        cmocka_unit_test(no_other_process_is_made_or_touched),
        cmocka_unit_test(no_memory_becomes_code),
        cmocka_unit_test(nothing_of_the_system_is_changed),
        cmocka_unit_test(files_are_opened_by_one_call_alone),
        cmocka_unit_test(files_outside_of_the_root_are_refused),
        cmocka_unit_test(the_control_socket_is_answered_and_removed_and_nothing_else),
        cmocka_unit_test(without_a_control_socket_no_connection_is_taken),
        cmocka_unit_test(threads_are_started_and_confined_as_well),
        cmocka_unit_test(a_thread_that_is_there_already_is_confined_as_well),
        cmocka_unit_test(a_failed_check_still_ends_the_program),
        cmocka_unit_test(a_database_is_written_where_it_may_be),
        cmocka_unit_test(a_client_is_confined_with_every_option),
        cmocka_unit_test_setup_teardown(the_server_is_confined_with_every_option, program_setup,
                                        program_teardown),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
