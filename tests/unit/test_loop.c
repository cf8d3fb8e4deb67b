/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* pipe2 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/list.h"
#include "host/tun.h"
#include "strait.h"

#define MS UINT64_C(1000000)

struct fixture {
    struct strait_loop *loop;
    struct strait_env *env;
    int pipe[2];
    char calls[64]; /* a letter for each callback that ran */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->loop = strait_loop_new();
    assert_non_null(f->loop);
    f->env = strait_loop_env(f->loop);
    assert_int_equal(pipe2(f->pipe, O_NONBLOCK | O_CLOEXEC), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    strait_loop_free(f->loop);
    close(f->pipe[0]);
    close(f->pipe[1]);
    free(f);
    return 0;
}

static void note(struct fixture *f, char letter)
{
    size_t length = strlen(f->calls);
    assert_true(length + 1 < sizeof(f->calls));
    f->calls[length] = letter;
}

/* A turn that does not wait. */
static void turn_now(struct fixture *f)
{
    assert_int_equal(strait_loop_turn(f->loop, 0), 0);
}

static uint64_t in_ms(struct fixture *f, uint64_t ms)
{
    return f->env->now(f->env) + ms * MS;
}

/* ---- Time ------------------------------------------------------------------------------------ */

struct alarm {
    struct strait_timer timer;
    struct fixture *fixture;
    uint64_t expired_ns;
    int again; /* how often it starts itself again */
};

static void alarm_expired(void *owner, struct strait_timer *timer)
{
    struct strait_env *env = owner;
    struct alarm *alarm = container_of(timer, struct alarm, timer);
    note(alarm->fixture, 't');
    alarm->expired_ns = env->now(env);
    if (alarm->again-- > 0)
        env->timer_start(env, timer, alarm->expired_ns + MS);
}

static void a_turn_ends_at_its_deadline(void **state)
{
    struct fixture *f = *state;
    uint64_t deadline_ns = in_ms(f, 20);
    assert_int_equal(strait_loop_turn(f->loop, deadline_ns), 0);
    uint64_t now_ns = f->env->now(f->env);
    assert_true(now_ns >= deadline_ns);
    assert_true(now_ns < deadline_ns + 500 * MS);
}

static void a_timer_ends_the_wait_and_expires_not_before_its_time(void **state)
{
    struct fixture *f = *state;
    struct alarm alarm = {.timer.expired = alarm_expired, .fixture = f};
    uint64_t deadline_ns = in_ms(f, 10);
    f->env->timer_start(f->env, &alarm.timer, deadline_ns);
    turn_now(f);
    assert_string_equal(f->calls, "");
    while (!f->calls[0])
        assert_int_equal(strait_loop_turn(f->loop, in_ms(f, 5000)), 0);
    assert_true(alarm.expired_ns >= deadline_ns);
    assert_true(alarm.expired_ns < deadline_ns + 500 * MS);
}

static void a_stopped_timer_does_not_expire(void **state)
{
    struct fixture *f = *state;
    struct alarm alarm = {.timer.expired = alarm_expired, .fixture = f};
    f->env->timer_start(f->env, &alarm.timer, in_ms(f, 5));
    f->env->timer_stop(f->env, &alarm.timer);
    assert_int_equal(strait_loop_turn(f->loop, in_ms(f, 20)), 0);
    assert_string_equal(f->calls, "");
}

static void a_timer_may_start_itself_again(void **state)
{
    struct fixture *f = *state;
    struct alarm alarm = {.timer.expired = alarm_expired, .fixture = f, .again = 2};
    f->env->timer_start(f->env, &alarm.timer, 0);
    uint64_t deadline_ns = in_ms(f, 5000);
    while (strlen(f->calls) < 3 && f->env->now(f->env) < deadline_ns)
        assert_int_equal(strait_loop_turn(f->loop, deadline_ns), 0);
    assert_string_equal(f->calls, "ttt");
}

/* ---- Posts and work -------------------------------------------------------------------------- */

static void post_a(void *argument)
{
    note(argument, 'a');
}

static void post_b(void *argument)
{
    note(argument, 'b');
}

static void post_again(void *argument)
{
    struct fixture *f = argument;
    note(f, 'p');
    strait_post(f->env, post_a, f);
}

static void *post_from_thread(void *argument)
{
    struct fixture *f = argument;
    usleep(10000);
    strait_post(f->env, post_a, f);
    return NULL;
}

static void a_post_of_another_thread_ends_the_wait(void **state)
{
    struct fixture *f = *state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, post_from_thread, f), 0);
    assert_int_equal(strait_loop_turn(f->loop, in_ms(f, 10000)), 0);
    assert_string_equal(f->calls, "a");
    pthread_join(thread, NULL);
}

static void posts_run_in_their_order(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 20; i++)
        strait_post(f->env, i % 2 ? post_b : post_a, f);
    turn_now(f);
    assert_string_equal(f->calls, "abababababababababab");
    turn_now(f);
    assert_int_equal(strlen(f->calls), 20);
}

static void a_post_of_a_post_waits_for_the_next_turn(void **state)
{
    struct fixture *f = *state;
    strait_post(f->env, post_again, f);
    turn_now(f);
    assert_string_equal(f->calls, "p");
    assert_int_equal(strait_loop_turn(f->loop, in_ms(f, 10000)), 0);
    assert_string_equal(f->calls, "pa");
}

struct job {
    struct strait_work work;
    struct fixture *fixture;
    pthread_t ran_on;
};

static void job_run(struct strait_work *work)
{
    usleep(5000);
    container_of(work, struct job, work)->ran_on = pthread_self();
}

static void job_done(struct strait_work *work)
{
    note(container_of(work, struct job, work)->fixture, 'd');
}

static void finished_work_ends_the_wait(void **state)
{
    struct fixture *f = *state;
    struct job job = {.work = {.run = job_run, .done = job_done}, .fixture = f};
    assert_int_equal(f->env->execute(f->env, &job.work), 0);
    assert_int_equal(strait_loop_turn(f->loop, in_ms(f, 10000)), 0);
    assert_string_equal(f->calls, "d");
    assert_false(pthread_equal(job.ran_on, pthread_self()));
}

static void free_carries_out_accepted_work_and_posts(void **state)
{
    struct fixture *f = *state;
    struct job jobs[10];
    for (int i = 0; i < 10; i++) {
        jobs[i] = (struct job){.work = {.run = job_run, .done = job_done}, .fixture = f};
        assert_int_equal(f->env->execute(f->env, &jobs[i].work), 0);
    }
    strait_post(f->env, post_a, f);
    strait_loop_free(f->loop);
    assert_string_equal(f->calls, "dddddddddda");
    f->loop = strait_loop_new(); /* for teardown */
    assert_non_null(f->loop);
}

/* ---- Descriptors of the host ----------------------------------------------------------------- */

static void ready_r(void *argument, int fd, short revents)
{
    struct fixture *f = argument;
    assert_int_equal(fd, f->pipe[0]);
    assert_int_equal(revents, POLLIN);
    note(f, 'r');
}

static void ready_hangup(void *argument, int fd, short revents)
{
    (void)fd;
    assert_true(revents & POLLHUP);
    note(argument, 'h');
}

/* Ends the watches of both ends, its own included. */
static void ready_end(void *argument, int fd, short revents)
{
    struct fixture *f = argument;
    (void)fd;
    (void)revents;
    note(f, 'e');
    assert_int_equal(f->env->watch(f->env, f->pipe[0], 0, NULL, NULL), 0);
    assert_int_equal(f->env->watch(f->env, f->pipe[1], 0, NULL, NULL), 0);
}

static void a_watch_is_called_for_as_long_as_its_event_holds(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(f->env->watch(f->env, f->pipe[0], POLLIN, ready_r, f), 0);
    turn_now(f);
    assert_string_equal(f->calls, "");
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    turn_now(f);
    turn_now(f);
    assert_string_equal(f->calls, "rr");
    char byte;
    assert_int_equal(read(f->pipe[0], &byte, 1), 1);
    turn_now(f);
    assert_string_equal(f->calls, "rr");
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    assert_int_equal(f->env->watch(f->env, f->pipe[0], 0, NULL, NULL), 0);
    turn_now(f);
    assert_string_equal(f->calls, "rr");
}

static void a_hangup_is_told_unasked(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(f->env->watch(f->env, f->pipe[0], POLLIN, ready_hangup, f), 0);
    close(f->pipe[1]);
    f->pipe[1] = -1;
    turn_now(f);
    assert_string_equal(f->calls, "h");
}

static void a_watch_that_a_callback_ended_is_not_called_in_the_same_turn(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    assert_int_equal(f->env->watch(f->env, f->pipe[0], POLLIN, ready_end, f), 0);
    assert_int_equal(f->env->watch(f->env, f->pipe[1], POLLOUT, ready_end, f), 0);
    turn_now(f);
    assert_string_equal(f->calls, "e");
    turn_now(f);
    assert_string_equal(f->calls, "e");
}

static void a_new_descriptor_of_an_old_number_has_its_own_watch(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(f->env->watch(f->env, f->pipe[0], POLLIN, ready_hangup, f), 0);
    int number = f->pipe[0];
    close(f->pipe[0]);
    close(f->pipe[1]);
    assert_int_equal(pipe2(f->pipe, O_NONBLOCK | O_CLOEXEC), 0);
    assert_int_equal(f->pipe[0], number);
    assert_int_equal(f->env->watch(f->env, f->pipe[0], POLLIN, ready_r, f), 0);
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    turn_now(f);
    assert_string_equal(f->calls, "r");
}

static void what_cannot_be_watched_is_refused(void **state)
{
    struct fixture *f = *state;
    errno = 0;
    assert_int_equal(f->env->watch(f->env, -1, POLLIN, ready_r, f), -1);
    assert_int_equal(errno, EBADF);
    int closed = dup(0);
    close(closed);
    assert_int_equal(f->env->watch(f->env, closed, POLLIN, ready_r, f), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(f->env->watch(f->env, closed, 0, NULL, NULL), 0);
}

/* ---- Signals, stop, re-entrance -------------------------------------------------------------- */

static struct fixture *signalled; /* a handler has no argument */

static void on_alarm_note(int number)
{
    (void)number;
    note(signalled, 's');
}

static void on_alarm_stop(int number)
{
    (void)number;
    note(signalled, 's');
    strait_loop_stop(signalled->loop);
}

/* Sends SIGALRM every `ms` until `ms` is 0. */
static void set_alarm(struct fixture *f, void (*handler)(int), int ms)
{
    signalled = f;
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval every = {.it_interval.tv_usec = ms * 1000, .it_value.tv_usec = ms * 1000};
    setitimer(ITIMER_REAL, &every, NULL);
}

static void a_signal_ends_a_wait_with_eintr(void **state)
{
    struct fixture *f = *state;
    set_alarm(f, on_alarm_note, 10);
    errno = 0;
    assert_int_equal(f->env->wait(f->env, in_ms(f, 10000)), -1);
    assert_int_equal(errno, EINTR);
    set_alarm(f, SIG_DFL, 0);
}

static void expired_stop(void *owner, struct strait_timer *timer)
{
    (void)owner;
    strait_loop_stop(container_of(timer, struct alarm, timer)->fixture->loop);
}

static void run_goes_on_after_a_signal(void **state)
{
    struct fixture *f = *state;
    struct alarm alarm = {.timer.expired = expired_stop, .fixture = f};
    uint64_t deadline_ns = in_ms(f, 60);
    f->env->timer_start(f->env, &alarm.timer, deadline_ns);
    set_alarm(f, on_alarm_note, 20);
    assert_int_equal(strait_loop_run(f->loop), 0);
    set_alarm(f, SIG_DFL, 0);
    assert_true(f->env->now(f->env) >= deadline_ns);
    assert_int_equal(f->calls[0], 's');
}

static void run_is_stopped_by_a_signal_handler(void **state)
{
    struct fixture *f = *state;
    set_alarm(f, on_alarm_stop, 10);
    assert_int_equal(strait_loop_run(f->loop), 0);
    set_alarm(f, SIG_DFL, 0);
    assert_int_equal(f->calls[0], 's');
}

static void post_stop(void *argument)
{
    strait_loop_stop(((struct fixture *)argument)->loop);
}

static void a_stop_before_run_counts_once(void **state)
{
    struct fixture *f = *state;
    strait_loop_stop(f->loop);
    assert_int_equal(strait_loop_run(f->loop), 0);
    strait_post(f->env, post_stop, f);
    strait_post(f->env, post_a, f);
    assert_int_equal(strait_loop_run(f->loop), 0);
    assert_string_equal(f->calls, "a");
}

static void post_turn(void *argument)
{
    struct fixture *f = argument;
    errno = 0;
    assert_int_equal(strait_loop_turn(f->loop, 0), -1);
    assert_int_equal(errno, EDEADLK);
    errno = 0;
    assert_int_equal(strait_loop_run(f->loop), -1);
    assert_int_equal(errno, EDEADLK);
    note(f, 'n');
}

static void a_turn_inside_a_callback_is_edeadlk(void **state)
{
    struct fixture *f = *state;
    strait_post(f->env, post_turn, f);
    turn_now(f);
    assert_string_equal(f->calls, "n");
}

/* ---- The descriptor of a loop inside another one --------------------------------------------- */

static bool readable(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, timeout_ms) == 1;
}

static void the_descriptor_is_readable_when_there_is_work(void **state)
{
    struct fixture *f = *state;
    int fd = strait_loop_descriptor(f->loop);
    assert_true(fd >= 0);
    assert_int_equal(strait_loop_descriptor(f->loop), fd);
    assert_false(readable(fd, 0));

    strait_post(f->env, post_a, f);
    assert_true(readable(fd, 0));
    turn_now(f);
    assert_string_equal(f->calls, "a");
    assert_false(readable(fd, 0));

    assert_int_equal(f->env->watch(f->env, f->pipe[0], POLLIN, ready_r, f), 0);
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    assert_true(readable(fd, 0));
}

static void the_descriptor_is_readable_when_a_timer_is_due(void **state)
{
    struct fixture *f = *state;
    struct alarm alarm = {.timer.expired = alarm_expired, .fixture = f, .again = 1};
    int fd = strait_loop_descriptor(f->loop);
    f->env->timer_start(f->env, &alarm.timer, in_ms(f, 20));
    turn_now(f);
    assert_false(readable(fd, 0));
    for (int i = 0; i < 100 && strlen(f->calls) < 2; i++) {
        assert_true(readable(fd, 10000));
        turn_now(f);
    }
    assert_string_equal(f->calls, "tt");
    assert_false(readable(fd, 0));
}

static void a_timer_started_before_the_descriptor_was_asked_for_is_told_too(void **state)
{
    struct fixture *f = *state;
    struct alarm alarm = {.timer.expired = alarm_expired, .fixture = f};
    f->env->timer_start(f->env, &alarm.timer, in_ms(f, 5));
    assert_true(readable(strait_loop_descriptor(f->loop), 10000));
}

/* ---- Files, random numbers ------------------------------------------------------------------- */

static void files_are_read_and_written_at_an_offset(void **state)
{
    struct fixture *f = *state;
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
    struct fixture *f = *state;
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
    struct fixture *f = *state;
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
    struct fixture *f = *state;
    uint8_t a[1000] = {0}, b[1000] = {0};
    f->env->random(f->env, a, sizeof(a));
    f->env->random(f->env, b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    assert_memory_not_equal(a, a + 500, 500);
    static const uint8_t zeros[100];
    assert_memory_not_equal(a + 900, zeros, 100); /* filled to the end */
}

/* ---- Links and stacks ------------------------------------------------------------------------ */

/* A link over the pipe that notes each drain, and takes one byte by it. */
struct noting {
    struct strait_link link;
    struct fixture *fixture;
    int answer; /* of drain */
    uint64_t now_ns;
};

static int noting_drain(struct strait_link *link, uint64_t now_ns, size_t budget_bytes)
{
    struct noting *noting = container_of(link, struct noting, link);
    char byte;
    assert_in_range(budget_bytes, 65536, 1 << 20);
    note(noting->fixture, 'l');
    noting->now_ns = now_ns;
    ssize_t n = read(link->fd, &byte, 1);
    (void)n;
    errno = ENODEV;
    return noting->answer;
}

static int noting_send(struct strait_link *link, const struct iovec *parts, int count,
                       const struct strait_offload *offload)
{
    (void)link;
    (void)parts;
    (void)count;
    (void)offload;
    return 0;
}

static struct noting noting_over(struct fixture *f)
{
    return (struct noting){.link = {.size = sizeof(struct strait_link),
                                    .name = "noting",
                                    .mtu = 1500,
                                    .fd = f->pipe[0],
                                    .send = noting_send,
                                    .drain = noting_drain},
                           .fixture = f,
                           .answer = 1};
}

static struct strait *stack_new(struct fixture *f, struct strait_link *link)
{
    struct strait_config config;
    strait_config_init(&config);
    struct strait *stack = strait_new(&config, f->env);
    assert_non_null(stack);
    assert_int_equal(strait_attach(stack, link, (struct in_addr){inet_addr("10.9.0.2")}, 24), 0);
    assert_int_equal(strait_loop_add(f->loop, stack, link), 0);
    return stack;
}

static void stack_end(struct fixture *f, struct strait *stack, struct strait_link *link)
{
    strait_loop_remove(f->loop, link);
    strait_free(stack);
}

static void a_link_is_drained_while_it_is_readable(void **state)
{
    struct fixture *f = *state;
    struct noting noting = noting_over(f);
    struct strait *stack = stack_new(f, &noting.link);
    turn_now(f);
    assert_string_equal(f->calls, "");
    assert_int_equal(write(f->pipe[1], "xx", 2), 2);
    uint64_t before_ns = f->env->now(f->env);
    turn_now(f);
    assert_true(noting.now_ns >= before_ns && noting.now_ns <= f->env->now(f->env));
    turn_now(f);
    turn_now(f);
    assert_string_equal(f->calls, "ll");
    stack_end(f, stack, &noting.link);
}

/* The link would take a packet whenever it is asked; its descriptor does not say so. */
static void a_busy_loop_asks_a_link_before_it_sleeps(void **state)
{
    struct fixture *f = *state;
    struct noting noting = noting_over(f);
    struct strait *stack = stack_new(f, &noting.link);
    strait_loop_busy_poll(f->loop, 5000 * MS);
    turn_now(f); /* it would not sleep */
    assert_string_equal(f->calls, "");
    uint64_t deadline_ns = in_ms(f, 10000);
    assert_int_equal(strait_loop_turn(f->loop, deadline_ns), 0);
    assert_string_equal(f->calls, "l");
    assert_true(f->env->now(f->env) < deadline_ns);
    strait_loop_busy_poll(f->loop, 0);
    assert_int_equal(strait_loop_turn(f->loop, in_ms(f, 5)), 0);
    assert_string_equal(f->calls, "l");
    stack_end(f, stack, &noting.link);
}

static void a_busy_loop_hears_what_is_no_link(void **state)
{
    struct fixture *f = *state;
    pthread_t thread;
    uint64_t soon_ns = in_ms(f, 5000);
    strait_loop_busy_poll(f->loop, 10000 * MS);
    assert_int_equal(pthread_create(&thread, NULL, post_from_thread, f), 0);
    assert_int_equal(strait_loop_turn(f->loop, in_ms(f, 20000)), 0);
    assert_string_equal(f->calls, "a");
    assert_true(f->env->now(f->env) < soon_ns);
    pthread_join(thread, NULL);
}

static void a_busy_loop_keeps_its_deadline(void **state)
{
    struct fixture *f = *state;
    uint64_t deadline_ns = in_ms(f, 20);
    strait_loop_busy_poll(f->loop, 10000 * MS);
    assert_int_equal(strait_loop_turn(f->loop, deadline_ns), 0);
    uint64_t now_ns = f->env->now(f->env);
    assert_true(now_ns >= deadline_ns && now_ns < deadline_ns + 500 * MS);
}

/* Of what is ready in one turn, packets come first. */
static void links_are_drained_before_callbacks_run(void **state)
{
    struct fixture *f = *state;
    struct noting noting = noting_over(f);
    struct alarm alarm = {.timer.expired = alarm_expired, .fixture = f};
    strait_post(f->env, post_a, f);
    f->env->timer_start(f->env, &alarm.timer, 0);
    struct strait *stack = stack_new(f, &noting.link);
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    usleep(1000); /* more than a tick of the wheel */
    turn_now(f);
    assert_string_equal(f->calls, "lta");
    stack_end(f, stack, &noting.link);
}

static void a_link_that_fails_ends_every_turn_until_it_is_removed(void **state)
{
    struct fixture *f = *state;
    struct noting noting = noting_over(f);
    struct strait *stack = stack_new(f, &noting.link);
    noting.answer = -1;
    assert_int_equal(write(f->pipe[1], "xx", 2), 2);
    errno = 0;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(strait_loop_turn(f->loop, STRAIT_NEVER), -1);
        assert_int_equal(errno, ENODEV);
    }
    assert_string_equal(f->calls, "l"); /* it is drained no more */
    strait_loop_remove(f->loop, &noting.link);
    turn_now(f);
    strait_free(stack);
}

static void run_ends_when_a_link_fails(void **state)
{
    struct fixture *f = *state;
    struct noting noting = noting_over(f);
    struct strait *stack = stack_new(f, &noting.link);
    noting.answer = -1;
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    errno = 0;
    assert_int_equal(strait_loop_run(f->loop), -1);
    assert_int_equal(errno, ENODEV);
    stack_end(f, stack, &noting.link);
}

static void a_link_with_trouble_and_no_packets_has_failed(void **state)
{
    struct fixture *f = *state;
    struct noting noting = noting_over(f);
    struct strait *stack = stack_new(f, &noting.link);
    noting.answer = 0;
    close(f->pipe[1]);
    f->pipe[1] = -1;
    errno = 0;
    assert_int_equal(strait_loop_turn(f->loop, in_ms(f, 1000)), -1);
    assert_int_equal(errno, EIO);
    stack_end(f, stack, &noting.link);
}

static void a_removed_link_is_not_drained_and_can_be_added_again(void **state)
{
    struct fixture *f = *state;
    struct noting noting = noting_over(f);
    struct strait *stack = stack_new(f, &noting.link);
    errno = 0;
    assert_int_equal(strait_loop_add(f->loop, stack, &noting.link), -1);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(write(f->pipe[1], "xx", 2), 2);
    strait_loop_remove(f->loop, &noting.link);
    strait_loop_remove(f->loop, &noting.link);
    turn_now(f);
    assert_string_equal(f->calls, "");
    assert_int_equal(strait_loop_add(f->loop, stack, &noting.link), 0);
    turn_now(f);
    assert_string_equal(f->calls, "l");
    stack_end(f, stack, &noting.link);
}

struct ending {
    struct fixture *fixture;
    struct strait *stack;
    struct strait_link *link;
};

static void post_end(void *argument)
{
    struct ending *ending = argument;
    stack_end(ending->fixture, ending->stack, ending->link);
    ending->stack = NULL;
}

static void a_callback_may_end_a_stack(void **state)
{
    struct fixture *f = *state;
    struct noting noting = noting_over(f);
    struct ending ending = {f, stack_new(f, &noting.link), &noting.link};
    strait_post(f->env, post_end, &ending);
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    turn_now(f);
    assert_null(ending.stack);
    turn_now(f);
    assert_string_equal(f->calls, "l");
}

/* An echo request (RFC 792) to 10.9.0.2 as the kernel would write it into a plain TUN. */
static size_t make_ping(uint8_t packet[64])
{
    memset(packet, 0, 64);
    packet[0] = 0x45;
    store_be16(packet + 2, 32);
    packet[8] = 64;
    packet[9] = 1;
    memcpy(packet + 12, &(in_addr_t){inet_addr("10.9.0.1")}, 4);
    memcpy(packet + 16, &(in_addr_t){inet_addr("10.9.0.2")}, 4);
    store_be16(packet + 10, (uint16_t)~checksum_fold(checksum_add(0, packet, 20)));
    packet[20] = 8;
    store_be16(packet + 26, 77);
    memcpy(packet + 28, (const uint8_t[]){'p', 'i', 'n', 'g'}, 4);
    store_be16(packet + 22, (uint16_t)~checksum_fold(checksum_add(0, packet + 20, 12)));
    return 32;
}

static void a_stack_behind_a_link_answers_in_the_same_turn(void **state)
{
    struct fixture *f = *state;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    struct strait_link *link = tun_new(&(struct device){.fd = fds[0], .name = "pair", .mtu = 1500});
    assert_non_null(link);
    struct strait *stack = stack_new(f, link);

    uint8_t packet[64], reply[64];
    size_t length = make_ping(packet);
    assert_int_equal(write(fds[1], packet, length), (ssize_t)length);
    turn_now(f);
    assert_int_equal(read(fds[1], reply, sizeof(reply)), (ssize_t)length);
    assert_int_equal(reply[20], 0); /* echo reply */
    assert_memory_equal(reply + 26, packet + 26, 6);
    assert_memory_equal(reply + 12, packet + 16, 4);

    stack_end(f, stack, link);
    link->close(link);
    close(fds[1]);
}

/* A socket whose callback brings another, as a listener's does. */
struct bringer {
    struct fixture *fixture;
    struct strait *stack;
};

static void brought(void *argument, int fd, short revents)
{
    struct bringer *b = argument;
    (void)revents;
    note(b->fixture, 'b');
    assert_int_equal(strait_close(b->stack, fd), 0);
}

static void bring(void *argument, int fd, short revents)
{
    struct bringer *b = argument;
    (void)revents;
    note(b->fixture, 'a');
    assert_int_equal(strait_close(b->stack, fd), 0);
    int other = strait_socket(b->stack, AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(strait_watch(b->stack, other, POLLOUT, brought, b), 0);
}

static void what_a_callback_brings_is_called_in_the_same_turn(void **state)
{
    struct fixture *f = *state;
    struct noting noting = noting_over(f);
    struct bringer b = {f, stack_new(f, &noting.link)};
    int fd = strait_socket(b.stack, AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(strait_watch(b.stack, fd, POLLOUT, bring, &b), 0);
    turn_now(f);
    assert_string_equal(f->calls, "ab");
    stack_end(f, b.stack, &noting.link);
}

struct sender {
    struct fixture *fixture;
    int fd;
};

static void *datagram_from_thread(void *argument)
{
    struct sender *sender = argument;
    uint8_t packet[64];
    size_t length = make_ping(packet);
    packet[9] = 17;
    store_be16(packet + 10, 0);
    store_be16(packet + 10, (uint16_t)~checksum_fold(checksum_add(0, packet, 20)));
    store_be16(packet + 20, 5000);
    store_be16(packet + 22, 7);
    store_be16(packet + 24, 12);
    store_be16(packet + 26, 0); /* RFC 768: no checksum */
    usleep(20000);
    assert_int_equal(write(sender->fd, packet, length), (ssize_t)length);
    return NULL;
}

static void a_blocking_call_drives_the_loop(void **state)
{
    struct fixture *f = *state;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    struct strait_link *link = tun_new(&(struct device){.fd = fds[0], .name = "pair", .mtu = 1500});
    assert_non_null(link);
    struct strait *stack = stack_new(f, link);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(7)};
    int fd = strait_socket(stack, AF_INET, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(strait_bind(stack, fd, (struct sockaddr *)&address, sizeof(address)), 0);

    struct sender sender = {f, fds[1]};
    pthread_t thread;
    char bytes[16];
    assert_int_equal(pthread_create(&thread, NULL, datagram_from_thread, &sender), 0);
    assert_int_equal(strait_recv(stack, fd, bytes, sizeof(bytes), 0), 4);
    assert_memory_equal(bytes, "ping", 4);
    pthread_join(thread, NULL);

    stack_end(f, stack, link);
    link->close(link);
    close(fds[1]);
}

/* What a host says to itself is no event of the loop: no wait may begin while it brings news. */
static void a_host_that_talks_to_itself_does_not_wait_for_an_event(void **state)
{
    struct fixture *f = *state;
    struct noting noting = noting_over(f);
    struct strait *stack = stack_new(f, &noting.link);
    struct alarm late = {.timer.expired = alarm_expired, .fixture = f};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(7)};
    char bytes[16];
    uint64_t soon_ns = in_ms(f, 1000);
    f->env->timer_start(f->env, &late.timer, in_ms(f, 3000)); /* the end of a wait for ever */

    int listener = strait_socket(stack, AF_INET, SOCK_STREAM, 0);
    int client = strait_socket(stack, AF_INET, SOCK_STREAM, 0);
    assert_int_equal(strait_bind(stack, listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(strait_listen(stack, listener, 1), 0);
    address.sin_addr.s_addr = inet_addr("127.0.0.1");
    assert_int_equal(strait_connect(stack, client, (struct sockaddr *)&address, sizeof(address)),
                     0);
    int server = strait_accept(stack, listener, NULL, NULL);
    assert_true(server >= 0);
    assert_int_equal(strait_send(stack, server, "hello", 5, 0), 5);
    assert_int_equal(strait_recv(stack, client, bytes, sizeof(bytes), 0), 5);
    assert_true(f->env->now(f->env) < soon_ns);

    f->env->timer_stop(f->env, &late.timer);
    stack_end(f, stack, &noting.link);
}

/* A link that holds packets back: it starts a timer when it is given one. */
struct holding {
    struct strait_link link;
    struct alarm alarm;
};

static int holding_send(struct strait_link *link, const struct iovec *parts, int count,
                        const struct strait_offload *offload)
{
    struct holding *holding = container_of(link, struct holding, link);
    struct fixture *f = holding->alarm.fixture;
    (void)parts;
    (void)count;
    (void)offload;
    f->env->timer_start(f->env, &holding->alarm.timer, in_ms(f, 10));
    return 0;
}

static void a_timer_that_a_link_starts_when_the_stack_sends_ends_the_wait(void **state)
{
    struct fixture *f = *state;
    struct holding holding = {.link = {.size = sizeof(struct strait_link),
                                       .name = "holding",
                                       .mtu = 1500,
                                       .fd = -1,
                                       .send = holding_send},
                              .alarm = {.timer.expired = alarm_expired, .fixture = f}};
    struct strait *stack = stack_new(f, &holding.link);
    struct sockaddr_in peer = {
        .sin_family = AF_INET, .sin_port = htons(7), .sin_addr.s_addr = inet_addr("10.9.0.1")};
    int fd = strait_socket(stack, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(strait_connect(stack, fd, (struct sockaddr *)&peer, sizeof(peer)), -1);
    assert_int_equal(errno, EINPROGRESS);

    uint64_t start_ns = f->env->now(f->env);
    while (!f->calls[0])
        assert_int_equal(strait_loop_turn(f->loop, start_ns + 5000 * MS), 0);
    assert_true(holding.alarm.expired_ns < start_ns + 500 * MS); /* the SYN goes again after 1 s */
    f->env->timer_stop(f->env, &holding.alarm.timer);
    stack_end(f, stack, &holding.link);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_turn_ends_at_its_deadline),
        TEST(a_timer_ends_the_wait_and_expires_not_before_its_time),
        TEST(a_stopped_timer_does_not_expire),
        TEST(a_timer_may_start_itself_again),
        TEST(a_post_of_another_thread_ends_the_wait),
        TEST(posts_run_in_their_order),
        TEST(a_post_of_a_post_waits_for_the_next_turn),
        TEST(finished_work_ends_the_wait),
        TEST(free_carries_out_accepted_work_and_posts),
        TEST(a_watch_is_called_for_as_long_as_its_event_holds),
        TEST(a_hangup_is_told_unasked),
        TEST(a_watch_that_a_callback_ended_is_not_called_in_the_same_turn),
        TEST(a_new_descriptor_of_an_old_number_has_its_own_watch),
        TEST(what_cannot_be_watched_is_refused),
        TEST(a_signal_ends_a_wait_with_eintr),
        TEST(run_goes_on_after_a_signal),
        TEST(run_is_stopped_by_a_signal_handler),
        TEST(a_stop_before_run_counts_once),
        TEST(a_turn_inside_a_callback_is_edeadlk),
        TEST(the_descriptor_is_readable_when_there_is_work),
        TEST(the_descriptor_is_readable_when_a_timer_is_due),
        TEST(a_timer_started_before_the_descriptor_was_asked_for_is_told_too),
        TEST(files_are_read_and_written_at_an_offset),
        TEST(what_lies_below_a_directory_is_opened_and_told_of),
        TEST(nothing_outside_of_a_directory_is_opened_below_it),
        TEST(random_bytes_differ_from_call_to_call),
        TEST(a_link_is_drained_while_it_is_readable),
        TEST(a_busy_loop_asks_a_link_before_it_sleeps),
        TEST(a_busy_loop_hears_what_is_no_link),
        TEST(a_busy_loop_keeps_its_deadline),
        TEST(links_are_drained_before_callbacks_run),
        TEST(a_link_that_fails_ends_every_turn_until_it_is_removed),
        TEST(run_ends_when_a_link_fails),
        TEST(a_link_with_trouble_and_no_packets_has_failed),
        TEST(a_removed_link_is_not_drained_and_can_be_added_again),
        TEST(a_callback_may_end_a_stack),
        TEST(a_stack_behind_a_link_answers_in_the_same_turn),
        TEST(what_a_callback_brings_is_called_in_the_same_turn),
        TEST(a_blocking_call_drives_the_loop),
        TEST(a_host_that_talks_to_itself_does_not_wait_for_an_event),
        TEST(a_timer_that_a_link_starts_when_the_stack_sends_ends_the_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
