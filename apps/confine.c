/* SPDX-License-Identifier: MIT */
/*
 * Two fences, one behind the other. Landlock limits which files can be opened: by path, which no
 * filter of system calls can see. The filter (seccomp) limits what can be asked of the kernel at
 * all, so that a bug in a parser is worth little to whoever finds it.
 *
 * The filter refuses with EPERM instead of killing: a C library of another version may try a call
 * that is not foreseen here, and do without. The list is what `strace -f` shows of the commands, of
 * glibc's malloc, threads and abort, and of the calls for which the vDSO stands in.
 */
#define _GNU_SOURCE /* O_PATH, CLONE_* */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The sanitizers read /proc, and at the end of the program look at it with ptrace from a process of
 * their own. Only their builds may. */
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* ---- Landlock: which files ------------------------------------------------------------------- */

/* Rights over files by the version of the kernel's interface that brought them, as the kernel's
 * documentation numbers them: newer ones than the header of this machine may know. */
#define RIGHTS_1 UINT64_C(0x1fff) /* execute, write, read, list, remove and make of all kinds */
#define RIGHTS_2 UINT64_C(0x2000) /* link or rename into another directory */
#define RIGHTS_3 UINT64_C(0x4000) /* truncate */
#define RIGHTS_5 UINT64_C(0x8000) /* ioctl of devices */

static uint64_t rights_of_version(long version)
{
    uint64_t rights = RIGHTS_1;
    if (version >= 2)
        rights |= RIGHTS_2;
    if (version >= 3)
        rights |= RIGHTS_3;
    if (version >= 5)
        rights |= RIGHTS_5;
    return rights;
}

/* Gives rights over what is below an open directory. Returns 0, or -1 with errno. */
static int allow_below(int ruleset, int directory, uint64_t rights)
{
    struct landlock_path_beneath_attr below = {.allowed_access = rights, .parent_fd = directory};
    return (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &below, 0);
}

#define READING (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITING                                                                                    \
    (READING | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |                       \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | RIGHTS_3)

/* The same by its path. */
static int allow_path(int ruleset, const char *path, uint64_t rights)
{
    int directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return -1;
    int result = allow_below(ruleset, directory, rights);
    int saved = errno;
    close(directory);
    errno = saved;
    return result;
}

/* Returns 0, 1 where there is no Landlock, or -1 with errno. */
static int limit_files(const struct confine_needs *needs)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1)
        return 1;
    struct landlock_ruleset_attr handled = {.handled_access_fs = rights_of_version(version)};
    long ruleset = syscall(SYS_landlock_create_ruleset, &handled, sizeof(handled), 0);
    if (ruleset < 0)
        return -1;
    int result = 0;
    if ((needs->readable && allow_path((int)ruleset, needs->readable, READING) < 0) ||
        (needs->writable &&
         allow_path((int)ruleset, needs->writable, WRITING & handled.handled_access_fs) < 0) ||
        (needs->control_fd >= 0 &&
         allow_below((int)ruleset, needs->control_directory, LANDLOCK_ACCESS_FS_REMOVE_FILE) < 0) ||
        (SANITIZED && allow_path((int)ruleset, "/proc", READING) < 0) ||
        syscall(SYS_landlock_restrict_self, (int)ruleset, 0) < 0)
        result = -1;
    int saved = errno;
    close((int)ruleset);
    errno = saved;
    return result;
}

/* ---- seccomp: which calls -------------------------------------------------------------------- */

static const int allowed[] = {
    /* Links, files and the loop. */
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(pread64),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(close),
    SCMP_SYS(lseek),
    SCMP_SYS(ftruncate),
    SCMP_SYS(poll),
    SCMP_SYS(openat2),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(statx),
    SCMP_SYS(getdents64),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(getrandom),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday),
    /* Memory. */
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    /* Threads. */
    SCMP_SYS(futex),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_yield),
    SCMP_SYS(exit),
    /* Signals, and the end. */
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(exit_group),
};

/* Of SQLite, on its files: Landlock says which. */
static const int allowed_to_writers[] = {
    SCMP_SYS(openat),    SCMP_SYS(pwrite64),        SCMP_SYS(fsync),  SCMP_SYS(fdatasync),
    SCMP_SYS(unlink),    SCMP_SYS(access),          SCMP_SYS(stat),   SCMP_SYS(lstat),
    SCMP_SYS(readlink),  SCMP_SYS(getcwd),          SCMP_SYS(fchmod), SCMP_SYS(geteuid),
    SCMP_SYS(fallocate), SCMP_SYS(clock_nanosleep),
};

static const int allowed_to_sanitizers[] = {
    SCMP_SYS(openat),   SCMP_SYS(open),
    SCMP_SYS(readlink), SCMP_SYS(prctl),
    SCMP_SYS(clone),    SCMP_SYS(ptrace),
    SCMP_SYS(wait4),    SCMP_SYS(getppid),
    SCMP_SYS(kill),     SCMP_SYS(prlimit64),
    SCMP_SYS(getdents), SCMP_SYS(getuid),
    SCMP_SYS(stat),     SCMP_SYS(sched_setaffinity),
};

static int allow_all(scmp_filter_ctx filter, const int *calls, size_t count)
{
    int error = 0;
    for (size_t i = 0; i < count && error == 0; i++)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    return error;
}

/* What depends on arguments. Returns 0 or a negative errno, as libseccomp does. */
static int allow_in_part(scmp_filter_ctx filter)
{
    const unsigned thread = CLONE_VM | CLONE_THREAD | CLONE_SIGHAND;
    const struct {
        uint32_t action;
        int call;
        struct scmp_arg_cmp when;
    } rules[] = {
        /* Memory that is written is never executed. */
        {SCMP_ACT_ALLOW, SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)},
        {SCMP_ACT_ALLOW, SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)},
        /* Threads, but no process; abort() signals to itself; stdio asks whether it is a terminal,
         * and a progress bar how wide. */
        {SCMP_ACT_ALLOW, SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, thread, thread)},
        {SCMP_ACT_ALLOW, SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid())},
        {SCMP_ACT_ALLOW, SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, TCGETS)},
        {SCMP_ACT_ALLOW, SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, TIOCGWINSZ)},
        /* A thread chooses its own processor. */
        {SCMP_ACT_ALLOW, SCMP_SYS(sched_setaffinity), SCMP_A0(SCMP_CMP_EQ, 0)},
    };
    int error = 0;
    for (size_t i = 0; i < COUNT(rules) && error == 0; i++)
        error = seccomp_rule_add(filter, rules[i].action, rules[i].call, 1, rules[i].when);
    return error;
}

/* The control socket: connections to it alone, answers to who has connected, and its removal.
 * Returns 0 or a negative errno. */
static int allow_control(scmp_filter_ctx filter, const struct confine_needs *needs)
{
    scmp_datum_t listener = (scmp_datum_t)needs->control_fd;
    scmp_datum_t directory = (scmp_datum_t)needs->control_directory;
    int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(accept4), 1,
                                 SCMP_A0(SCMP_CMP_EQ, listener));
    if (error == 0) /* without an address */
        error =
            seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(sendto), 1, SCMP_A4(SCMP_CMP_EQ, 0));
    if (error == 0)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(unlinkat), 2,
                                 SCMP_A0(SCMP_CMP_EQ, directory), SCMP_A2(SCMP_CMP_EQ, 0));
    return error;
}

/* A database: its calls, and the locks between programs. Returns 0 or a negative errno. */
static int allow_writers(scmp_filter_ctx filter)
{
    static const int commands[] = {F_GETLK, F_SETLK, F_SETLKW, F_GETFD, F_SETFD};
    int error = allow_all(filter, allowed_to_writers, COUNT(allowed_to_writers));
    for (size_t i = 0; i < COUNT(commands) && error == 0; i++)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
                                 SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)commands[i]));
    return error;
}

/* Returns 0 or a negative errno. */
static int load(scmp_filter_ctx filter, const struct confine_needs *needs)
{
    /* Threads that are there already are confined as well, or the filter is not set. */
    int error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (error == 0)
        error = allow_all(filter, allowed, COUNT(allowed));
    if (error == 0)
        error = allow_in_part(filter);
    if (error == 0 && needs->control_fd >= 0)
        error = allow_control(filter, needs);
    if (error == 0 && needs->writable)
        error = allow_writers(filter);
    /* Its flags are out of a filter's sight; the C library then falls back to clone. */
    if (error == 0)
        error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (error == 0 && SANITIZED)
        error = allow_all(filter, allowed_to_sanitizers, COUNT(allowed_to_sanitizers));
    return error == 0 ? seccomp_load(filter) : error;
}

static int limit_calls(const struct confine_needs *needs)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!filter)
        return -ENOMEM;
    int error = load(filter, needs);
    seccomp_release(filter);
    return error;
}

int confine(const struct confine_needs *needs, char *notice, size_t notice_bytes, char *error,
            size_t error_bytes)
{
    notice[0] = '\0';
    int files = limit_files(needs);
    if (files < 0) {
        snprintf(error, error_bytes, "cannot confine the program to its files: %s",
                 strerror(errno));
        return -1;
    }
    if (files > 0)
        snprintf(notice, notice_bytes,
                 "this kernel has no Landlock: the user's rights alone "
                 "say which files can be read");
    int failed = limit_calls(needs);
    if (failed == 0)
        return 0;
    snprintf(error, error_bytes, "cannot confine the program to the system calls it needs: %s",
             strerror(-failed));
    return -1;
}
