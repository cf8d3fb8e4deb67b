/* SPDX-License-Identifier: MIT */
/* Each case runs in a child, which is never root again. As another user there is nothing to test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/capability.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "privilege.h"

#define USER  12345 /* nobody's in particular */
#define GROUP 23456

/* Gives up root in a child under these variables; returns what `holds` says afterwards. */
static bool child(const char *uid, const char *gid, bool (*holds)(const char *name))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char name[64], error[256];
        unsetenv("SUDO_UID");
        unsetenv("SUDO_GID");
        if (uid)
            setenv("SUDO_UID", uid, 1);
        if (gid)
            setenv("SUDO_GID", gid, 1);
        bool good = privilege_drop(name, sizeof(name), error, sizeof(error)) == 0 &&
                    setuid(0) < 0 && setgid(0) < 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 &&
                    holds(name);
        _exit(good ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool is_nobody(const char *name)
{
    return strcmp(name, "nobody") == 0 && getuid() == geteuid() && getuid() != 0 && getgid() != 0;
}

static bool is_the_caller(const char *name)
{
    return strcmp(name, "user 12345") == 0 && getuid() == USER && geteuid() == USER &&
           getgid() == GROUP && getegid() == GROUP && getgroups(0, NULL) == 0;
}

static void root_becomes_the_user_who_called_sudo(void **state)
{
    (void)state;
    assert_true(child("12345", "23456", is_the_caller));
}

static void root_without_sudo_becomes_nobody(void **state)
{
    (void)state;
    assert_true(child(NULL, NULL, is_nobody));
    assert_true(child("12345", NULL, is_nobody));
}

static void variables_that_name_root_or_no_user_do_not_count(void **state)
{
    (void)state;
    assert_true(child("0", "0", is_nobody));
    assert_true(child("12345", "0", is_nobody));
    assert_true(child("-1", "1", is_nobody));
    assert_true(child("4294967295", "1", is_nobody));
    assert_true(child("1x", "1", is_nobody));
}

/* Whether all sets of capabilities are empty, but for the one that only bounds what may come. */
static bool has_no_capabilities(void)
{
    char line[128];
    unsigned long long all = 0, set;
    FILE *status = fopen("/proc/self/status", "re");
    if (!status)
        return false;
    while (fgets(line, sizeof(line), status))
        if (sscanf(line, "CapInh: %llx", &set) == 1 || sscanf(line, "CapPrm: %llx", &set) == 1 ||
            sscanf(line, "CapEff: %llx", &set) == 1 || sscanf(line, "CapAmb: %llx", &set) == 1)
            all |= set;
    fclose(status);
    return all == 0;
}

/* Becomes a user who may configure networks. */
static bool become_capable_user(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const uint32_t bit = 1u << CAP_NET_ADMIN;
    const struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{bit, bit, bit}};
    return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 && setgid(GROUP) == 0 && setuid(USER) == 0 &&
           syscall(SYS_capset, &header, data) == 0 &&
           prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0) == 0 &&
           !has_no_capabilities();
}

static void a_user_with_capabilities_gives_them_up(void **state)
{
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char name[64], error[256];
        bool good = become_capable_user() &&
                    privilege_drop(name, sizeof(name), error, sizeof(error)) == 0 &&
                    getuid() == USER && has_no_capabilities();
        _exit(good ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(root_becomes_the_user_who_called_sudo),
        cmocka_unit_test(root_without_sudo_becomes_nobody),
        cmocka_unit_test(variables_that_name_root_or_no_user_do_not_count),
        cmocka_unit_test(a_user_with_capabilities_gives_them_up),
    };
    if (geteuid() != 0) {
        print_message("skipped: only root has something to give up\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
